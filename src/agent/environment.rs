//! Takes the runner's marks out of the environment before any of the test's code can see them.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::Relaxed};

use crate::{channel, real, threads};

/// The runner names the channel's descriptor here.
const CHANNEL: &[u8] = b"PARTEST_AGENT_FD=";
/// The runner numbers its workers here; tests may read it too.
const WORKER: &[u8] = b"PARTEST_WORKER=";
static WORKER_NUMBER: AtomicU32 = AtomicU32::new(0);
/// The runner puts the agent first in this list.
const PRELOAD: &[u8] = b"LD_PRELOAD=";

unsafe extern "C" {
    static environ: *mut *mut c_char;
}

/// Removes the agent's variables; gives the descriptor that they named.
///
/// # Safety
/// Only while nobody else can use the environment.
pub unsafe fn clean() -> Option<c_int> {
    let mut channel = None;
    // SAFETY: a list of texts that ends in null, which nobody else uses now. What is written is
    // a shorter list, in the same place.
    unsafe {
        let mut from = environ;
        let mut to = environ;
        while !from.is_null() && !(*from).is_null() {
            let text = *from;
            let bytes = CStr::from_ptr(text).to_bytes();
            let stays = if let Some(value) = bytes.strip_prefix(CHANNEL) {
                channel = number(value);
                false
            } else if let Some(value) = bytes.strip_prefix(WORKER) {
                let number = number(value).and_then(|number| u32::try_from(number).ok());
                WORKER_NUMBER.store(number.unwrap_or(0), Relaxed);
                true
            } else if bytes.starts_with(PRELOAD) {
                drop_first(text.add(PRELOAD.len()))
            } else {
                true
            };
            if stays {
                *to = text;
                to = to.add(1);
            } else {
                erase(text);
            }
            from = from.add(1);
        }
        if !to.is_null() {
            *to = core::ptr::null_mut();
        }
    }
    channel
}

pub fn worker() -> u32 {
    WORKER_NUMBER.load(Relaxed)
}

fn number(digits: &[u8]) -> Option<c_int> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes the first entry out of a list of libraries. False: nothing is left.
///
/// # Safety
/// `list` is a text that may be written to.
unsafe fn drop_first(list: *mut c_char) -> bool {
    // SAFETY: stays within the text and its end.
    unsafe {
        let bytes = CStr::from_ptr(list).to_bytes_with_nul();
        let is_separator = |byte: &u8| matches!(byte, b':' | b' ');
        let Some(end) = bytes.iter().position(is_separator) else { return false };
        let rest = bytes.len() - end - 1;
        for index in 0..rest {
            *list.add(index) = *list.add(end + 1 + index);
        }
        rest > 1
    }
}

/// Overwrites a text, which `/proc/self/environ` would show otherwise.
///
/// # Safety
/// `text` may be written to.
unsafe fn erase(text: *mut c_char) {
    // SAFETY: stays within the text.
    unsafe {
        let mut place = text;
        while *place != 0 {
            *place = 0;
            place = place.add(1);
        }
    }
}

/// Set when the arguments ask for what stable libtest refuses.
static WANTS_UNSTABLE: AtomicBool = AtomicBool::new(false);

/// Where the arguments stand, for `hide_arguments`.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// # Safety
/// The arguments that the loader passes to constructors.
pub unsafe fn read_arguments(count: c_int, arguments: *const *const c_char) {
    ARGUMENTS.store(arguments.cast_mut(), Relaxed);
    for index in 1..count.max(1) as usize {
        // SAFETY: there are `count` texts.
        let argument = unsafe { CStr::from_ptr(*arguments.add(index)) }.to_bytes();
        if let b"unstable-options" | b"-Zunstable-options" = argument {
            WANTS_UNSTABLE.store(true, Relaxed);
        }
    }
}

/// What the runner adds to the arguments that `cargo test` would give.
const ADDED: [&CStr; 4] = [c"--format", c"json", c"-Zunstable-options", c"--report-time"];

/// Takes the runner's own arguments out, once libtest has read them: tests that start
/// themselves again (rusty-fork, and with it proptest's `fork`) read them too. The standard
/// library takes a null for the end of the list, whatever the count says.
pub fn hide_arguments() {
    let mut from = ARGUMENTS.load(Relaxed);
    if from.is_null() || !WANTS_UNSTABLE.load(Relaxed) {
        return;
    }
    // SAFETY: the list ends in null and lies on the process's own stack, which may be written
    // to. Only the main thread is there, and it has read what it needs.
    unsafe {
        let mut to = from;
        let mut next = 0;
        while !(*from).is_null() {
            let is_added = ADDED.get(next).is_some_and(|added| CStr::from_ptr(*from) == *added);
            if is_added {
                next += 1;
            } else {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        *to = core::ptr::null();
    }
}

/// libtest asks for `RUSTC_BOOTSTRAP` once, while it reads its arguments, before there is any
/// second thread. It gets its answer; the variable never stands in the environment, where tests
/// that call cargo or rustc would see it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    if is_libtests_question() {
        // SAFETY: the caller passes a text.
        let name = unsafe { CStr::from_ptr(name) };
        if name == c"RUSTC_BOOTSTRAP" {
            return c"1".as_ptr().cast_mut();
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
    threads::relation_to_current(u32::try_from(self::number(number.to_bytes())?).ok()?)
}

fn is_libtests_question() -> bool {
    WANTS_UNSTABLE.load(Relaxed) && !threads::any_created() && channel::is_open()
}
