//! Files and directories that tests use: the functions of libc that open, create, rename and remove
//! them. Each call goes on unchanged, and is noted.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

use crate::kinds::action::{CREATE, CREATE_NEW, READ, REMOVE, TRUNCATE, WRITE};
use crate::real::{self, ENOSYS};
use crate::uses::{self, AT_FDCWD};

/// What opening a file with these flags does to it; none if no other test can come across it.
fn action_of(flags: c_int) -> Option<u8> {
    const O_WRONLY: c_int = 0o1;
    const O_RDWR: c_int = 0o2;
    const O_CREAT: c_int = 0o100;
    const O_EXCL: c_int = 0o200;
    const O_TRUNC: c_int = 0o1_000;
    const O_APPEND: c_int = 0o2_000;
    /// The bit of `O_TMPFILE` that is not that of `O_DIRECTORY`, which differs by architecture.
    const TEMPORARY: c_int = 0o20_000_000;
    let has = |bits: c_int| flags & bits == bits;
    let writes = flags & (O_WRONLY | O_RDWR) != 0;
    match () {
        () if has(TEMPORARY) => None,
        () if has(O_CREAT | O_EXCL) => Some(CREATE_NEW),
        () if has(O_TRUNC) => Some(TRUNCATE),
        // What is appended harms nothing.
        () if has(O_APPEND) => Some(CREATE),
        () if writes => Some(WRITE),
        () if has(O_CREAT) => Some(CREATE),
        () => Some(READ),
    }
}

/// As `flags` of `open`, from the mode of `fopen`.
fn action_of_mode(mode: &[u8]) -> u8 {
    let has = |letter: u8| mode.contains(&letter);
    match mode.first() {
        _ if has(b'x') => CREATE_NEW,
        Some(b'w') => TRUNCATE,
        Some(b'a') => CREATE,
        _ if has(b'+') => WRITE,
        _ => READ,
    }
}

/// Functions that open a file by a path. In the calling conventions of both architectures, an
/// argument that a caller leaves out is a register with any value, which the next function ignores
/// as it does.
macro_rules! opens {
    ($($name:ident, $name_at:ident;)*) => {
        $(
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                path: *const c_char,
                flags: c_int,
                mode: c_uint,
            ) -> c_int {
                let Some(open) = real::$name() else { return real::fail(ENOSYS) };
                // SAFETY: the caller's own arguments.
                let answer = unsafe { open(path, flags, mode) };
                if let Some(action) = action_of(flags) {
                    // SAFETY: the kernel has had the same path.
                    unsafe { uses::note_path(action, AT_FDCWD, path, answer < 0) };
                }
                answer
            }

            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name_at(
                directory: c_int,
                path: *const c_char,
                flags: c_int,
                mode: c_uint,
            ) -> c_int {
                let Some(open) = real::$name_at() else { return real::fail(ENOSYS) };
                // SAFETY: the caller's own arguments.
                let answer = unsafe { open(directory, path, flags, mode) };
                if let Some(action) = action_of(flags) {
                    // SAFETY: the kernel has had the same path.
                    unsafe { uses::note_path(action, directory, path, answer < 0) };
                }
                answer
            }
        )*
    };
}

opens! {
    open, openat;
    open64, openat64;
}

/// Functions of a path, and what they do to it.
macro_rules! of_one_path {
    ($($action:expr, $name:ident($($argument:ident: $type:ty),*) of $directory:expr, $path:ident;)*) => {
        $(
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                let Some(next) = real::$name() else { return real::fail(ENOSYS) };
                // SAFETY: the caller's own arguments.
                let answer = unsafe { next($($argument),*) };
                // SAFETY: the kernel has had the same path.
                unsafe { uses::note_path($action, $directory, $path, answer < 0) };
                answer
            }
        )*
    };
}

of_one_path! {
    TRUNCATE, creat(path: *const c_char, mode: c_uint) of AT_FDCWD, path;
    TRUNCATE, creat64(path: *const c_char, mode: c_uint) of AT_FDCWD, path;
    TRUNCATE, truncate(path: *const c_char, length: i64) of AT_FDCWD, path;
    TRUNCATE, truncate64(path: *const c_char, length: i64) of AT_FDCWD, path;
    CREATE, mkdir(path: *const c_char, mode: c_uint) of AT_FDCWD, path;
    CREATE, mkdirat(at: c_int, path: *const c_char, mode: c_uint) of at, path;
    CREATE_NEW, mkfifo(path: *const c_char, mode: c_uint) of AT_FDCWD, path;
    REMOVE, rmdir(path: *const c_char) of AT_FDCWD, path;
    REMOVE, unlink(path: *const c_char) of AT_FDCWD, path;
    REMOVE, unlinkat(at: c_int, path: *const c_char, flags: c_int) of at, path;
}

/// Functions that give a name to what has another one: what they do to the second path.
macro_rules! of_two_paths {
    ($($before:expr, $after:expr, $name:ident($($argument:ident: $type:ty),*)
        from $from:expr, $old:ident to $to:expr, $new:ident;)*) => {
        $(
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                let Some(next) = real::$name() else { return real::fail(ENOSYS) };
                // SAFETY: the caller's own arguments.
                let answer = unsafe { next($($argument),*) };
                // SAFETY: the kernel has had the same paths.
                unsafe {
                    uses::note_path($before, $from, $old, answer < 0);
                    uses::note_path($after, $to, $new, answer < 0);
                }
                answer
            }
        )*
    };
}

of_two_paths! {
    REMOVE, WRITE, rename(old: *const c_char, new: *const c_char)
        from AT_FDCWD, old to AT_FDCWD, new;
    REMOVE, WRITE, renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char)
        from from, old to to, new;
    REMOVE, WRITE, renameat2(
        from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_uint)
        from from, old to to, new;
    READ, CREATE_NEW, link(old: *const c_char, new: *const c_char)
        from AT_FDCWD, old to AT_FDCWD, new;
    READ, CREATE_NEW, linkat(
        from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_int)
        from from, old to to, new;
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    let Some(symlink) = real::symlink() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { symlink(target, path) };
    // SAFETY: the kernel has had the same path.
    unsafe { uses::note_path(CREATE_NEW, AT_FDCWD, path, answer < 0) };
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlinkat(target: *const c_char, at: c_int, path: *const c_char) -> c_int {
    let Some(symlinkat) = real::symlinkat() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { symlinkat(target, at, path) };
    // SAFETY: the kernel has had the same path.
    unsafe { uses::note_path(CREATE_NEW, at, path, answer < 0) };
    answer
}

/// # Safety
/// As libc's.
unsafe fn opened(path: *const c_char, mode: *const c_char, file: *mut c_void) {
    if !mode.is_null() {
        // SAFETY: libc has read both as strings.
        unsafe {
            let action = action_of_mode(CStr::from_ptr(mode).to_bytes());
            uses::note_path(action, AT_FDCWD, path, file.is_null());
        }
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void {
    let Some(fopen) = real::fopen() else { return core::ptr::null_mut() };
    // SAFETY: the caller's own arguments.
    unsafe {
        let file = fopen(path, mode);
        opened(path, mode, file);
        file
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut c_void {
    let Some(fopen64) = real::fopen64() else { return core::ptr::null_mut() };
    // SAFETY: the caller's own arguments.
    unsafe {
        let file = fopen64(path, mode);
        opened(path, mode, file);
        file
    }
}
