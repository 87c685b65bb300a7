//! Keeps the channel open, and out of the way, when a test closes or replaces descriptors.

use core::ffi::c_int;

use crate::real::{self, ENOSYS};
use crate::syscalls::{self, CLOSE_RANGE_CLOEXEC, EBADF};
use crate::{channel, output};

fn is_channel(descriptor: c_int) -> bool {
    descriptor > 2 && channel::descriptor() == Some(descriptor)
}

/// Interposes libc's function. To the test the channel's descriptor is not open.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    if is_channel(descriptor) {
        return real::fail(EBADF);
    }
    let Some(close) = real::close() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { close(descriptor) };
    output::check_stream(descriptor);
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(from: c_int, to: c_int) -> c_int {
    let Some(dup2) = real::dup2() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    replacing(to, || unsafe { dup2(from, to) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    let Some(dup3) = real::dup3() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    replacing(to, || unsafe { dup3(from, to, flags) })
}

fn replacing(descriptor: c_int, replace: impl FnOnce() -> c_int) -> c_int {
    if is_channel(descriptor) {
        channel::move_away();
    }
    let answer = replace();
    output::check_stream(descriptor);
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: u32, last: u32, flags: c_int) -> c_int {
    match close_around(first, last, flags as u32) {
        0 => 0,
        error => real::fail(-error as c_int),
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closefrom(first: c_int) {
    close_around(first.max(0) as u32, u32::MAX, 0);
}

/// Closes a range except for the channel.
fn close_around(first: u32, last: u32, flags: u32) -> isize {
    let channel = channel::descriptor().map(|descriptor| descriptor as u32);
    let spared = channel.filter(|channel| (first..=last).contains(channel));
    let answer = match spared.filter(|_| flags & CLOSE_RANGE_CLOEXEC == 0) {
        None => syscalls::close_range(first, last, flags),
        Some(channel) => {
            let below =
                if first < channel { syscalls::close_range(first, channel - 1, flags) } else { 0 };
            let above =
                if channel < last { syscalls::close_range(channel + 1, last, flags) } else { 0 };
            below.min(above)
        }
    };
    output::check_stream(1);
    output::check_stream(2);
    answer
}
