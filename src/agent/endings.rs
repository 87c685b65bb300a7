//! Who ends the process, and what is still alive then.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::channel;
use crate::frame::Frame;
use crate::records::{self, ENDED, RUNS_TEST, Record};
use crate::{kinds, libtest, real, signals, system};

fn exiting(code: c_int) {
    if !channel::is_open() {
        return;
    }
    let (number, test) = records::of_current();
    Frame::new(kinds::EXITING).u32(code as u32).u32(number).u32(test).send();
}

/// Ends the process by one of libc's functions, or, if there is none, by an instruction that no
/// process survives.
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

/// A signal that nobody can catch leaves no trace of who sent it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kill(process: c_int, signal: c_int) -> c_int {
    const SIGKILL: c_int = 9;
    if signal == SIGKILL && channel::is_open() && process as u32 == system::process() {
        signals::tell_crash(signal, 0, 0);
    }
    match real::kill() {
        // SAFETY: the caller's own arguments.
        Some(kill) => unsafe { kill(process, signal) },
        None => real::fail(real::ENOSYS),
    }
}

/// Runs at the end of `exit`, after everything that the process itself had to do.
pub extern "C" fn destructor() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !channel::is_open() || DONE.swap(true, Relaxed) {
        return;
    }
    if let Some(record) = records::current() {
        libtest::flush(record);
        if record.is_main() {
            let_others_end();
        }
    }
    for record in records::all().filter(|record| is_alive(record)) {
        tell_alive(record);
    }
    Frame::new(kinds::GOODBYE).send();
}

fn is_alive(record: &Record) -> bool {
    !record.is_main() && !record.has(ENDED | RUNS_TEST)
}

/// How long a thread may be on its way to its own end when the process ends, in pauses of a
/// millisecond. Only a busy machine, or a thread that never rests, takes that long.
const MOST_PAUSES: u32 = 1_000;
/// Seen at rest so many times in a row, a thread waits for something that will not come.
const ENOUGH_RESTS: u32 = 5;

/// libtest exits as soon as the last test has ended. A thread that the test has just told to
/// end would look as if it had been left behind, only for want of a processor.
fn let_others_end() {
    let mut rests = 0;
    for _ in 0..MOST_PAUSES {
        let mut alive = records::all().filter(|record| is_alive(record)).peekable();
        if alive.peek().is_none() || rests == ENOUGH_RESTS {
            return;
        }
        rests = if alive.all(rests_now) { rests + 1 } else { 0 };
        system::pause();
    }
}

/// Whether a thread sleeps: its state follows its name, which ends in the last bracket.
fn rests_now(record: &Record) -> bool {
    let mut stat = [0; 64];
    let length = read_of(record.thread.load(Relaxed), b"/stat", &mut stat);
    let stat = stat.get(..length).unwrap_or(&[]);
    let bracket = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
    stat.get(bracket + 2) == Some(&b'S')
}

fn tell_alive(record: &Record) {
    let thread = record.thread.load(Relaxed);
    record.tell_start(thread);
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

/// The beginning of one of the kernel's files about another thread.
fn read_of(thread: u32, what: &[u8], into: &mut [u8]) -> usize {
    let mut room = [0; 40];
    let path = path_of(thread, what, &mut room);
    let Some(file) = path.and_then(|path| system::open(path, false)) else { return 0 };
    let length = system::read(file, into);
    system::close(file);
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
