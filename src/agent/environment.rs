//! Removes the runner's variables and arguments before tests can see them.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::Relaxed};

use crate::fork_request::REQUESTS;
use crate::gate_page::GATE;
use crate::syscalls::fork::Texts;
use crate::use_log::USES;
use crate::watch_list::WATCH;
use crate::{gate, uses, watch};

/// The variable that holds the channel's descriptor.
const CHANNEL: &[u8] = b"PARTEST_AGENT_FD=";
/// The variable that holds the worker's slot; tests may read it, too.
const SLOT: &[u8] = b"PARTEST_SLOT=";
static SLOT_NUMBER: AtomicU32 = AtomicU32::new(0);
/// The variable in which the agent is the first library.
const PRELOAD: &[u8] = b"LD_PRELOAD=";

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// The auxiliary vector, which follows the environment.
static AUXILIARY: AtomicPtr<usize> = AtomicPtr::new(core::ptr::null_mut());

/// What a process is for, and the descriptor that it gets for that.
pub enum Given {
    /// It is a worker, and this is its channel.
    Channel(c_int),
    /// It is a fork server, and this is its socket.
    Requests(c_int),
}

/// Removes the agent's variables, and returns what they contained.
///
/// # Safety
/// Only while nothing else can use the environment.
pub unsafe fn clean() -> Option<Given> {
    let mut given = None;
    // SAFETY: a null-terminated list of strings, which nothing else uses now. It is overwritten by
    // a shorter one.
    unsafe {
        let mut from = environ;
        let mut to = environ;
        while !from.is_null() && !(*from).is_null() {
            let text = *from;
            let bytes = CStr::from_ptr(text).to_bytes();
            let stays = if let Some(value) = bytes.strip_prefix(CHANNEL) {
                given = number(value).map(Given::Channel);
                false
            } else if let Some(value) = value_of(bytes, REQUESTS.as_bytes()) {
                given = number(value).map(Given::Requests);
                false
            } else if value_of(bytes, GATE.as_bytes()).is_some() {
                gate::open(CStr::from_ptr(text.add(GATE.len() + 1)));
                false
            } else if value_of(bytes, USES.as_bytes()).is_some() {
                uses::open(CStr::from_ptr(text.add(USES.len() + 1)));
                false
            } else if value_of(bytes, WATCH.as_bytes()).is_some() {
                watch::open(CStr::from_ptr(text.add(WATCH.len() + 1)));
                false
            } else if bytes.starts_with(SLOT) {
                note_slot(bytes);
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
            AUXILIARY.store(from.add(1).cast(), Relaxed);
        }
    }
    given
}

fn value_of<'v>(variable: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    variable.strip_prefix(name)?.strip_prefix(b"=")
}

fn note_slot(variable: &[u8]) {
    let number = variable.strip_prefix(SLOT).and_then(number);
    let number = number.and_then(|number| u32::try_from(number).ok());
    SLOT_NUMBER.store(number.unwrap_or(0), Relaxed);
}

/// The auxiliary vector, including its terminator.
///
/// # Safety
/// The environment was where the kernel had put it when it was cleaned.
pub unsafe fn auxiliary_vector() -> &'static [usize] {
    const PAIR: usize = 2;
    let first = AUXILIARY.load(Relaxed);
    let mut length = 0;
    // SAFETY: pairs of words, of which the last one begins with zero.
    unsafe {
        while *first.add(length) != 0 {
            length += PAIR;
        }
        core::slice::from_raw_parts(first, length + PAIR)
    }
}

/// Whether the environment is the kernel's, except for what was removed: no library has changed it.
///
/// # Safety
/// The arguments that the kernel passed; nothing changes the environment now.
pub unsafe fn is_untouched(count: usize, arguments: Texts, [start, end]: [u64; 2]) -> bool {
    // SAFETY: the list ends in null; what the kernel says is the environment may be read.
    unsafe {
        let is_there = environ.cast_const().cast() == arguments.add(count + 1);
        let (mut from, mut variables) = (start, 0);
        let mut next = environ;
        while is_there && !(*next).is_null() {
            let address = *next as u64;
            if !(from..end).contains(&address) {
                return false;
            }
            from = address + CStr::from_ptr(*next).to_bytes_with_nul().len() as u64;
            variables += 1;
            next = next.add(1);
        }
        let texts = core::slice::from_raw_parts(start as *const u8, (end - start) as usize);
        let laid = texts.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        is_there && laid.count() == variables
    }
}

/// Replaces the environment of the process.
///
/// # Safety
/// Only while nothing else can use it; a null-terminated list of strings that is never freed.
pub unsafe fn replace(variables: *mut *mut c_char) {
    // SAFETY: the caller's promise.
    unsafe {
        environ = variables;
        let mut next = variables;
        while !(*next).is_null() {
            let bytes = CStr::from_ptr(*next).to_bytes();
            if bytes.starts_with(SLOT) {
                note_slot(bytes);
            }
            next = next.add(1);
        }
    }
}

pub fn slot() -> u32 {
    SLOT_NUMBER.load(Relaxed)
}

pub fn number(digits: &[u8]) -> Option<c_int> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Removes the first entry from a list of libraries. Returns false if nothing is left.
///
/// # Safety
/// `list` is a writable string.
unsafe fn drop_first(list: *mut c_char) -> bool {
    // SAFETY: stays within the string.
    unsafe {
        let bytes = CStr::from_ptr(list).to_bytes_with_nul();
        let is_separator = |byte: &u8| matches!(byte, b':' | b' ');
        let Some(end) = bytes.iter().position(is_separator) else { return false };
        let rest = bytes.len() - end - 1;
        for index in 0..rest {
            *list.add(index) = *list.add(end + 1 + index);
        }
        for index in rest..bytes.len() {
            *list.add(index) = 0;
        }
        rest > 1
    }
}

/// Overwrites a string, which `/proc/self/environ` would show otherwise.
///
/// # Safety
/// `text` is a writable string.
unsafe fn erase(text: *mut c_char) {
    // SAFETY: stays within the string.
    unsafe {
        let mut place = text;
        while *place != 0 {
            *place = 0;
            place = place.add(1);
        }
    }
}

/// Set if the arguments ask for unstable options of libtest.
static WANTS_UNSTABLE: AtomicBool = AtomicBool::new(false);

/// The arguments of the process, for `hide_arguments`.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// # Safety
/// The arguments that the loader passes to constructors.
pub unsafe fn read_arguments(count: c_int, arguments: *const *const c_char) {
    ARGUMENTS.store(arguments.cast_mut(), Relaxed);
    for index in 1..count.max(1) as usize {
        // SAFETY: there are `count` strings.
        let argument = unsafe { CStr::from_ptr(*arguments.add(index)) }.to_bytes();
        if let b"unstable-options" | b"-Zunstable-options" = argument {
            WANTS_UNSTABLE.store(true, Relaxed);
        }
    }
}

/// Whether libtest is to allow what it refuses on stable.
pub fn wants_unstable() -> bool {
    WANTS_UNSTABLE.load(Relaxed)
}

/// Set once libtest reads its arguments.
static READS_ARGUMENTS: AtomicBool = AtomicBool::new(false);

pub fn note_reading() {
    READS_ARGUMENTS.store(true, Relaxed);
}

/// Whether libtest has begun to read its arguments.
pub fn reads_arguments() -> bool {
    READS_ARGUMENTS.load(Relaxed)
}

/// What the runner adds to the arguments that `cargo test` would pass.
const ADDED: [&CStr; 4] = [c"--format", c"json", c"-Zunstable-options", c"--report-time"];

/// May follow them.
const SEED: &[u8] = b"--shuffle-seed=";

/// Removes the runner's own arguments once libtest has read them: tests that run their own binary
/// (rusty-fork, and with it proptest's `fork`) pass them on. The standard library stops at a null,
/// whatever the argument count says.
pub fn hide_arguments() {
    let mut from = ARGUMENTS.load(Relaxed);
    if from.is_null() || !WANTS_UNSTABLE.load(Relaxed) {
        return;
    }
    // SAFETY: the list ends in null and is on the process's own stack, which is writable. The main
    // thread, which calls this, has read what it needs, and no test runs yet.
    unsafe {
        let mut to = from;
        let mut next = 0;
        while !(*from).is_null() {
            let argument = CStr::from_ptr(*from);
            let is_added = match ADDED.get(next) {
                Some(added) => argument == *added,
                None => next == ADDED.len() && argument.to_bytes().starts_with(SEED),
            };
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
