//! Answers to questions that libtest and the library `partest` put to the environment.

use core::ffi::{CStr, c_char};

use crate::{channel, environment, real, threads};

/// Interposes libc's function, to answer three kinds of requests.
///
/// While it reads its arguments, before it creates a thread, libtest asks for
/// `RUSTC_BOOTSTRAP`. It is told that the variable is set, but the variable is not in the
/// environment, where tests that call cargo or rustc would see it.
///
/// Before the first test, libtest asks for variables that it would not read without unstable
/// options, and for `TERM`, to look up the terminal's colours, which its JSON does not use. It is
/// told that these are not set: looking up the terminal takes a tenth of a small process's time.
///
/// The library `partest` asks which test a thread belongs to.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    if is_asked_by_libtest() {
        // SAFETY: the caller passes a string.
        let name = unsafe { CStr::from_ptr(name) };
        if name == c"RUSTC_BOOTSTRAP" {
            environment::note_reading();
            return c"1".as_ptr().cast_mut();
        }
        if is_unused_by_cargo_test(name) && environment::reads_arguments() {
            return core::ptr::null_mut();
        }
    }
    // SAFETY: the caller passes a string.
    if let Some(answer) = unsafe { answer_about_thread(name) } {
        return answer.as_ptr().cast_mut();
    }
    match real::getenv() {
        // SAFETY: the caller's own argument.
        Some(getenv) => unsafe { getenv(name) },
        None => core::ptr::null_mut(),
    }
}

/// Whether libtest would not read the variable under `cargo test`, where `RUST_TEST_SHUFFLE` has no
/// effect, and an invalid `RUST_TEST_TIME_UNIT` is no error.
fn is_unused_by_cargo_test(name: &CStr) -> bool {
    let of_unstable: [&[u8]; 2] = [b"RUST_TEST_SHUFFLE", b"RUST_TEST_TIME_"];
    name == c"TERM" || of_unstable.iter().any(|start| name.to_bytes().starts_with(start))
}

/// The library `partest` asks for a variable of this name, followed by a thread's TID, to find out
/// whether the thread belongs to its test. No environment contains it.
const THREAD: &[u8] = b"PARTEST_THREAD_";

/// # Safety
/// `name` is a string.
unsafe fn answer_about_thread(name: *const c_char) -> Option<&'static CStr> {
    // SAFETY: the comparison ends at the first byte that differs, at the string's end at the
    // latest.
    let is_asked =
        THREAD.iter().enumerate().all(|(at, byte)| unsafe { *name.add(at) } as u8 == *byte);
    if !is_asked || !channel::is_open() {
        return None;
    }
    // SAFETY: as above.
    let number = unsafe { CStr::from_ptr(name.add(THREAD.len())) };
    threads::relation_to_current(u32::try_from(environment::number(number.to_bytes())?).ok()?)
}

fn is_asked_by_libtest() -> bool {
    environment::wants_unstable() && channel::is_open() && threads::is_before_first_test()
}
