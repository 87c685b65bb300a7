//! Changes of a test to the state of its process, which later tests would see: the current
//! directory and the environment.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::frame::Frame;
use crate::real::{self, ENOSYS};
use crate::{kinds, records, syscalls, uses};

/// Reports a change by a test, and the state that it has led to.
fn report(what: u8, state: impl FnOnce() -> u64, name: &[u8]) {
    let Some(record) = records::current() else { return };
    let test = record.test.load(Relaxed);
    if test != 0 && channel::is_open() {
        // Longer names are cut: they only have to be recognizable.
        const LONGEST: usize = 200;
        let name = name.get(..LONGEST).unwrap_or(name);
        Frame::new(kinds::CHANGED).u32(test).bytes(&[what]).u64(state()).send_with(name);
    }
}

fn report_directory() {
    uses::directory_changed();
    let state = || {
        let mut room = [0; 1024];
        syscalls::current_directory(&mut room).map_or(kinds::UNKNOWN, kinds::state)
    };
    report(kinds::DIRECTORY, state, b"");
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
    if let (0, Some(name), Some(value)) = (answer, unsafe { bytes(name) }, unsafe { bytes(value) }) {
        // Whether it was there before is not looked up: another thread may be changing it.
        let state = || if overwrite == 0 { kinds::UNKNOWN } else { kinds::state(value) };
        report(kinds::VARIABLE, state, name);
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
        report(kinds::VARIABLE, || kinds::ABSENT, name);
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
        report(kinds::VARIABLE, || value.map_or(kinds::ABSENT, kinds::state), name);
    }
    answer
}
