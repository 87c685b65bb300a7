//! Answers to questions that libtest and the library `partest` put to the environment.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{channel, environment, real, threads};

/// Set once libtest runs, which reads its arguments first.
static READS_ARGUMENTS: AtomicBool = AtomicBool::new(false);

/// libtest asks for `RUSTC_BOOTSTRAP` once, while it reads its arguments, before there is any
/// second thread. It gets its answer; the variable never stands in the environment, where tests
/// that call cargo or rustc would see it.
///
/// Then, before the first test, it asks for what it would not ask for without unstable options,
/// and for `TERM`, and looks the terminal up, for colours that its JSON does not have. It is spared
/// that: it takes a tenth of a small process's time.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    if is_libtests_question() {
        // SAFETY: the caller passes a text.
        let name = unsafe { CStr::from_ptr(name) };
        if name == c"RUSTC_BOOTSTRAP" {
            READS_ARGUMENTS.store(true, Relaxed);
            return c"1".as_ptr().cast_mut();
        }
        if is_unasked(name) && READS_ARGUMENTS.load(Relaxed) {
            return core::ptr::null_mut();
        }
    }
    // SAFETY: the caller passes a text.
    if let Some(answer) = unsafe { answer_about_thread(name) } {
        return answer.as_ptr().cast_mut();
    }
    match real::getenv() {
        // SAFETY: the caller's own argument.
        Some(getenv) => unsafe { getenv(name) },
        None => core::ptr::null_mut(),
    }
}

/// What libtest would do without under `cargo test`: a user's `RUST_TEST_SHUFFLE` changes nothing
/// there, and a `RUST_TEST_TIME_UNIT` that is no time ends nothing.
fn is_unasked(name: &CStr) -> bool {
    let of_unstable: [&[u8]; 2] = [b"RUST_TEST_SHUFFLE", b"RUST_TEST_TIME_"];
    name == c"TERM" || of_unstable.iter().any(|start| name.to_bytes().starts_with(start))
}

/// The library `partest` asks for a variable of this name, and a thread's number behind it, to
/// learn whether the thread belongs to its test. It stands in no environment.
const THREAD: &[u8] = b"PARTEST_THREAD_";

/// # Safety
/// `name` is a text.
unsafe fn answer_about_thread(name: *const c_char) -> Option<&'static CStr> {
    // SAFETY: the comparison ends at the first byte that differs, at the text's end at the
    // latest; so all that is read as a text before is one.
    let is_asked = THREAD.iter().enumerate().all(|(at, byte)| unsafe { *name.add(at) } as u8 == *byte);
    if !is_asked || !channel::is_open() {
        return None;
    }
    // SAFETY: as above.
    let number = unsafe { CStr::from_ptr(name.add(THREAD.len())) };
    threads::relation_to_current(u32::try_from(environment::number(number.to_bytes())?).ok()?)
}

fn is_libtests_question() -> bool {
    environment::wants_unstable() && !threads::any_created() && channel::is_open()
}
