//! What tests use outside of their process: paths, ports and names that tests of other processes
//! may use as well. Each use is noted once, in the log that the runner reads (`use_log.rs`).
//!
//! A process that uses nothing of that kind pays for one mapping.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use crate::kinds::action::{READ, REMOVE};
use crate::kinds::sort::PATH;
use crate::use_log::{Entry, LOG_LENGTH, UseLog};
use crate::{channel, real, records, syscalls};

pub const AT_FDCWD: c_int = -100;

static LOG: AtomicPtr<UseLog> = AtomicPtr::new(core::ptr::null_mut());

/// How often the current directory has changed: what a relative path means.
static MOVES: AtomicU64 = AtomicU64::new(0);

/// Hashes of what has been noted, each in the place that follows from it. A hash that another one
/// has replaced is noted again, which is harmless.
static NOTED: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];
const PLACES: usize = 4096;

/// Opens the log at this path.
pub fn open(path: &CStr) {
    let Some(descriptor) = syscalls::open_shared(path) else { return };
    if let Some(log) = syscalls::map_shared(descriptor, LOG_LENGTH) {
        LOG.store(log.cast(), Relaxed);
    }
    syscalls::close(descriptor);
}

pub fn directory_changed() {
    MOVES.fetch_add(1, Relaxed);
}

/// The log, and the test of the calling thread. None in forked children.
fn log() -> Option<(&'static UseLog, u32)> {
    // SAFETY: null, or a mapping that is never unmapped; all of it is atomic, and zeros are valid.
    let log = unsafe { LOG.load(Relaxed).as_ref() }?;
    let test = records::current()?.test.load(Relaxed);
    channel::is_open().then_some((log, test))
}

/// Notes the use of a path, relative to a directory, by a call that has just returned. `failed`
/// calls count: what they did not find may have been removed by another test.
///
/// # Safety
/// `path` is what libc's function was called with, and `errno` is what that left.
pub unsafe fn note_path(action: u8, directory: c_int, path: *const c_char, failed: bool) {
    let Some((log, test)) = log() else { return };
    if path.is_null() || (failed && real::errno() == real::EFAULT) {
        return;
    }
    // SAFETY: the kernel has read it as a string.
    note_path_of(log, test, (action, directory), unsafe { CStr::from_ptr(path) }.to_bytes());
}

/// Notes the use of a path, relative to the current directory.
pub fn note_bytes(action: u8, path: &[u8]) {
    if let Some((log, test)) = log() {
        note_path_of(log, test, (action, AT_FDCWD), path);
    }
}

fn note_path_of(log: &UseLog, test: u32, (action, directory): (u8, c_int), path: &[u8]) {
    let entry = Entry { test, action, sort: PATH };
    match path.first() {
        None => {}
        Some(b'/') if is_of_system(path, action) => {}
        Some(b'/') => note(log, entry, &[path]),
        Some(_) if directory == AT_FDCWD => {
            let moves = MOVES.load(Relaxed) + 1;
            let hash = hash(moves, path) ^ key(&entry);
            let mut room = [0; 1024];
            if !is_noted(hash)
                && let Some(directory) = syscalls::current_directory(&mut room)
                && !log.append(entry, &[directory, b"/", path])
            {
                forget(hash);
            }
        }
        // A tree that is removed recursively is noted where that begins.
        Some(_) if matches!(action, READ | REMOVE) => {}
        Some(_) => {
            let mut room = [0; 1024];
            if let Some(directory) = syscalls::path_of(directory, &mut room) {
                note(log, entry, &[directory, b"/", path]);
            }
        }
    }
}

/// Notes the use of a file by its descriptor.
pub fn note_descriptor(action: u8, descriptor: c_int) {
    let Some((log, test)) = log() else { return };
    let mut room = [0; 1024];
    let path = syscalls::path_of(descriptor, &mut room);
    // Pipes and sockets have no path.
    if let Some(path @ [b'/', ..]) = path.filter(|path| !is_of_system(path, action)) {
        note(log, Entry { test, action, sort: PATH }, &[path]);
    }
}

/// Notes the use of something that is no file.
pub fn note_name(action: u8, sort: u8, text: &[&[u8]]) {
    if let Some((log, test)) = log() {
        note(log, Entry { test, action, sort }, text);
    }
}

fn note(log: &UseLog, entry: Entry, text: &[&[u8]]) {
    let hash = text.iter().fold(0, |seed, piece| hash(seed, piece)) ^ key(&entry);
    if !is_noted(hash) && !log.append(entry, text) {
        forget(hash);
    }
}

fn place(hash: u64) -> Option<&'static AtomicU64> {
    NOTED.get((hash >> 52) as usize % PLACES)
}

/// Whether this was noted before; from now on it is.
fn is_noted(hash: u64) -> bool {
    place(hash)
        .is_some_and(|place| place.load(Relaxed) == hash || place.swap(hash, Relaxed) == hash)
}

fn forget(hash: u64) {
    if let Some(place) = place(hash) {
        place.store(0, Relaxed);
    }
}

/// What tells the entries of one text apart.
fn key(entry: &Entry) -> u64 {
    let about = u64::from(entry.test) << 16 | u64::from(entry.sort) << 8 | u64::from(entry.action);
    mix(about)
}

fn mix(word: u64) -> u64 {
    (word ^ (word >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

/// Eight bytes at a time: paths are long, and hashed for every call.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(mix(hash ^ last) ^ bytes.len() as u64)
}

/// Whether a path belongs to the system: tests do not share it, or only read it, as the loader and
/// the standard library do.
fn is_of_system(path: &[u8], action: u8) -> bool {
    const NEVER_SHARED: [&[u8]; 2] = [b"/proc/", b"/sys/"];
    const ONLY_READ: [&[u8]; 5] = [b"/usr/", b"/lib", b"/etc/", b"/bin/", b"/nix/"];
    let is_below = |root: &&[u8]| path.starts_with(root);
    NEVER_SHARED.iter().any(is_below)
        || (path.starts_with(b"/dev/") && !path.starts_with(b"/dev/shm/"))
        || (action == READ && ONLY_READ.iter().any(is_below))
}
