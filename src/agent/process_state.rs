//! Changes of a test to the state of its process, which later tests would see: the current
//! directory and the environment.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::frame::Frame;
use crate::real::{self, ENOSYS};
use crate::{kinds, records};

/// Reports a change by a test.
fn report(what: u8, name: &[u8]) {
    let Some(record) = records::current() else { return };
    let test = record.test.load(Relaxed);
    if test != 0 && channel::is_open() {
        // Longer names are cut: they only have to be recognizable.
        const LONGEST: usize = 200;
        let name = name.get(..LONGEST).unwrap_or(name);
        Frame::new(kinds::CHANGED).u32(test).bytes(&[what]).send_with(name);
    }
}

/// # Safety
/// `name` is a string or null.
unsafe fn report_variable(name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the caller's promise.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        let end = name.iter().position(|byte| *byte == b'=').unwrap_or(name.len());
        report(kinds::VARIABLE, &name[..end]);
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chdir(path: *const c_char) -> c_int {
    let Some(chdir) = real::chdir() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { chdir(path) };
    if answer == 0 {
        report(kinds::DIRECTORY, b"");
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
        report(kinds::DIRECTORY, b"");
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
    if answer == 0 {
        // SAFETY: libc has read it as a string.
        unsafe { report_variable(name) };
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
    if answer == 0 {
        // SAFETY: libc has read it as a string.
        unsafe { report_variable(name) };
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
    if answer == 0 {
        // SAFETY: libc has read it as a string.
        unsafe { report_variable(pair) };
    }
    answer
}
