//! Who ends the process, and what is still alive then.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::channel::{self, Frame};
use crate::records::{self, ENDED, RUNS_TEST, Record};
use crate::{kinds, libtest, real, system};

fn exiting(code: c_int) {
    let in_vfork = records::current().is_some_and(|record| record.in_vfork.load(Relaxed));
    if in_vfork || !channel::is_open() {
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

/// Runs at the end of `exit`, after everything that the process itself had to do.
pub extern "C" fn destructor() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !channel::is_open() || DONE.swap(true, Relaxed) {
        return;
    }
    if let Some(record) = records::current() {
        libtest::flush(record);
    }
    for record in records::all().filter(|record| is_alive(record)) {
        tell_alive(record);
    }
    Frame::new(kinds::GOODBYE).send();
}

fn is_alive(record: &Record) -> bool {
    !record.is_main() && !record.has(ENDED | RUNS_TEST)
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
    let mut room = [0; 40];
    let path = path_of_name(thread, &mut room);
    let Some(file) = path.and_then(|path| system::open(path, false)) else { return 0 };
    let length = system::read(file, name);
    system::close(file);
    length.saturating_sub(1)
}

fn path_of_name(thread: u32, room: &mut [u8; 40]) -> Option<&CStr> {
    let mut digits = [0; 10];
    let mut rest = thread;
    let mut first = digits.len();
    while first == digits.len() || rest > 0 {
        first -= 1;
        *digits.get_mut(first)? = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let pieces = [b"/proc/self/task/", digits.get(first..)?, b"/comm"];
    let bytes = pieces.iter().flat_map(|piece| piece.iter());
    for (to, from) in room.iter_mut().zip(bytes) {
        *to = *from;
    }
    CStr::from_bytes_until_nul(room).ok()
}
