//! Exits of the process: which thread causes one, and what is still alive then.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::channel;
use crate::frame::Frame;
use crate::records::{self, ENDED, RUNS_TEST, Record};
use crate::{capture, kinds, libtest, processes, real, signals, syscalls};

fn exiting(code: c_int) {
    if !channel::is_open() {
        return;
    }
    let (number, test) = records::of_current();
    Frame::new(kinds::EXITING).u32(code as u32).u32(number).u32(test).send();
    capture::send(test);
}

/// Exits by one of libc's functions, or, if there is none, by an invalid instruction.
fn end(by: Option<unsafe extern "C" fn(c_int)>, code: c_int) -> ! {
    if let Some(end) = by {
        // SAFETY: these take any number, and do not return.
        unsafe { end(code) };
    }
    crate::stop()
}

#[unsafe(no_mangle)]
pub extern "C" fn exit(code: c_int) -> ! {
    exiting(code);
    end(real::exit(), code)
}

#[unsafe(no_mangle)]
pub extern "C" fn _exit(code: c_int) -> ! {
    exiting(code);
    end(real::_exit(), code)
}

#[unsafe(no_mangle)]
pub extern "C" fn _Exit(code: c_int) -> ! {
    exiting(code);
    end(real::_exit(), code)
}

#[unsafe(no_mangle)]
pub extern "C" fn quick_exit(code: c_int) -> ! {
    exiting(code);
    end(real::quick_exit(), code)
}

/// Interposes libc's function, because a SIGKILL to the process itself cannot be handled.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kill(process: c_int, signal: c_int) -> c_int {
    const SIGKILL: c_int = 9;
    if signal == SIGKILL && channel::is_open() && process as u32 == syscalls::process() {
        signals::report_crash(signal, 0, 0);
        capture::send(records::of_current().1);
    }
    match real::kill() {
        // SAFETY: the caller's own arguments.
        Some(kill) => unsafe { kill(process, signal) },
        None => real::fail(real::ENOSYS),
    }
}

/// Runs at the end of `exit`, after the process's own exit handlers.
pub extern "C" fn destructor() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !channel::is_open() || DONE.swap(true, Relaxed) {
        return;
    }
    if let Some(record) = records::current() {
        libtest::flush(record);
        if record.is_main() {
            ask_to_exit();
        }
    }
    for record in records::all().filter(|record| is_alive(record)) {
        report_alive(record);
    }
    Frame::new(kinds::GOODBYE).send();
}

fn is_alive(record: &Record) -> bool {
    !record.is_main() && !record.has(ENDED | RUNS_TEST)
}

/// How long the runner may take to acknowledge the request, in milliseconds. It cannot do so if the
/// process has changed its user.
const ACKNOWLEDGE_TIMEOUT: u32 = 10_000;

/// Waits until the runner lets the process exit.
///
/// libtest exits as soon as the last test has finished. Threads and processes of tests may still be
/// within their linger then, and would be lost with this process. The runner knows which tests they
/// belong to and how long they may stay.
///
/// If no thread or process is left, there is nothing to wait for.
fn ask_to_exit() {
    let has_threads = records::all().any(is_alive);
    if !has_threads && !processes::any_started() && !syscalls::has_children() {
        return;
    }
    let Some([answers, request]) = syscalls::fork::pipe() else { return };
    let is_asked = Frame::new(kinds::LEAVING).u32(request as u32).send();
    if is_asked && syscalls::await_byte(answers, Some(ACKNOWLEDGE_TIMEOUT)) {
        // If the runner closes its end without a second byte, we may exit as well.
        syscalls::close(request);
        syscalls::await_byte(answers, None);
    }
    syscalls::close(answers);
}

fn report_alive(record: &Record) {
    let thread = record.thread.load(Relaxed);
    record.report_start(thread);
    let mut name = [0; 16];
    let length = read_name(thread, &mut name);
    Frame::new(kinds::THREAD_ALIVE)
        .u32(record.number.load(Relaxed))
        .u32(thread)
        .u32(record.test.load(Relaxed))
        .send_with(name.get(..length).unwrap_or(&[]));
}

/// The name of another thread, without its line feed.
fn read_name(thread: u32, name: &mut [u8; 16]) -> usize {
    read_of(thread, b"/comm", name).saturating_sub(1)
}

/// The beginning of a file of another thread below `/proc`.
fn read_of(thread: u32, what: &[u8], into: &mut [u8]) -> usize {
    let mut room = [0; 40];
    let path = path_of(thread, what, &mut room);
    let Some(file) = path.and_then(|path| syscalls::open(path, false)) else { return 0 };
    let length = syscalls::read(file, into);
    syscalls::close(file);
    length
}

fn path_of<'r>(thread: u32, what: &[u8], room: &'r mut [u8; 40]) -> Option<&'r CStr> {
    let mut digits = [0; 10];
    let mut rest = thread;
    let mut first = digits.len();
    while first == digits.len() || rest > 0 {
        first -= 1;
        *digits.get_mut(first)? = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let pieces = [b"/proc/self/task/", digits.get(first..)?, what];
    let bytes = pieces.iter().flat_map(|piece| piece.iter());
    for (to, from) in room.iter_mut().zip(bytes) {
        *to = *from;
    }
    CStr::from_bytes_until_nul(room).ok()
}
