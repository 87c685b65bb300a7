//! Changes of a test to the state of its process, which later tests would see: the current
//! directory and the environment.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::frame::Frame;
use crate::real::{self, ENOSYS};
use crate::{kinds, records, syscalls, uses, watch};

/// The running test, if changes can be reported.
fn test() -> Option<u32> {
    let test = records::current()?.test.load(Relaxed);
    (test != 0 && channel::is_open()).then_some(test)
}

fn report_directory() {
    uses::directory_changed();
    if let Some(test) = test() {
        let mut room = [0; 1024];
        let path = syscalls::current_directory(&mut room);
        let state = path.map_or(kinds::UNKNOWN, kinds::state);
        let frame = Frame::new(kinds::CHANGED).u32(test).bytes(&[kinds::DIRECTORY]).u64(state);
        frame.send_with(path.filter(|_| watch::is_on()).unwrap_or(b""));
    }
}

/// Reports a change of a variable by a test, the state that it has led to, and its value if it is
/// known and asked for.
fn report_variable(name: &[u8], state: u64, value: Option<&[u8]>) {
    // Longer ones are cut: they only have to be recognizable.
    const LONGEST: usize = 200;
    let Some(test) = test() else { return };
    let mut room = [0; 2 * LONGEST + 1];
    let text = name.iter().take(LONGEST);
    let value = value
        .filter(|_| watch::is_on())
        .into_iter()
        .flat_map(|value| [b'='].iter().chain(value.iter().take(LONGEST)));
    let mut length = 0;
    for (place, byte) in room.iter_mut().zip(text.chain(value)) {
        *place = *byte;
        length += 1;
    }
    let frame = Frame::new(kinds::CHANGED).u32(test).bytes(&[kinds::VARIABLE]).u64(state);
    frame.send_with(room.get(..length).unwrap_or(name));
}

/// # Safety
/// `text` is a string or null.
unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chdir(path: *const c_char) -> c_int {
    let Some(chdir) = real::chdir() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { chdir(path) };
    if answer == 0 {
        report_directory();
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchdir(descriptor: c_int) -> c_int {
    let Some(fchdir) = real::fchdir() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { fchdir(descriptor) };
    if answer == 0 {
        report_directory();
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setenv(
    name: *const c_char,
    value: *const c_char,
    overwrite: c_int,
) -> c_int {
    let Some(setenv) = real::setenv() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { setenv(name, value, overwrite) };
    // SAFETY: libc has read both as strings.
    if let (0, Some(name), Some(value)) = (answer, unsafe { bytes(name) }, unsafe { bytes(value) })
    {
        // Whether it was there before is not looked up: another thread may be changing it.
        match overwrite {
            0 => report_variable(name, kinds::UNKNOWN, None),
            _ => report_variable(name, kinds::state(value), Some(value)),
        }
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
    let Some(unsetenv) = real::unsetenv() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { unsetenv(name) };
    // SAFETY: libc has read it as a string.
    if let (0, Some(name)) = (answer, unsafe { bytes(name) }) {
        report_variable(name, kinds::ABSENT, None);
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn putenv(pair: *mut c_char) -> c_int {
    let Some(putenv) = real::putenv() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { putenv(pair) };
    // SAFETY: libc has read it as a string.
    if let (0, Some(pair)) = (answer, unsafe { bytes(pair) }) {
        let end = pair.iter().position(|byte| *byte == b'=');
        let name = pair.get(..end.unwrap_or(pair.len())).unwrap_or_default();
        let value = end.and_then(|end| pair.get(end + 1..));
        report_variable(name, value.map_or(kinds::ABSENT, kinds::state), value);
    }
    answer
}
