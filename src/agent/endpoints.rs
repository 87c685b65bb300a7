//! Ports, sockets, shared memory, semaphores and file locks that tests take.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

use crate::kinds::action::{BIND, CREATE, CREATE_NEW, LOCK, READ, REMOVE};
use crate::kinds::sort::{ABSTRACT_SOCKET, SEMAPHORE, SHARED_MEMORY, TCP, UDP};
use crate::real::{self, ENOSYS};
use crate::{syscalls, uses};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The longest `sockaddr` that is looked at (`sockaddr_un`).
const LONGEST_ADDRESS: usize = 110;

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(socket: c_int, address: *const c_void, length: c_uint) -> c_int {
    let Some(bind) = real::bind() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { bind(socket, address, length) };
    let length = (length as usize).min(LONGEST_ADDRESS);
    if !address.is_null() && (answer == 0 || real::errno() != real::EFAULT) {
        // SAFETY: the kernel has read that much.
        let address = unsafe { core::slice::from_raw_parts(address.cast(), length) };
        bound(socket, address);
    }
    answer
}

/// A socket was to be bound to an address, as the kernel lays it out.
fn bound(socket: c_int, address: &[u8]) -> Option<()> {
    let (family, rest) = address.split_first_chunk()?;
    match u16::from_ne_bytes(*family) {
        AF_UNIX => match rest.split_first()? {
            (0, name) if !name.is_empty() => uses::note_name(BIND, ABSTRACT_SOCKET, &[name]),
            (0, _) => {}
            _ => {
                let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                uses::note_bytes(BIND, rest.get(..end)?);
            }
        },
        family @ (AF_INET | AF_INET6) => {
            let (port, rest) = rest.split_at_checked(2)?;
            // Behind the port of an IPv6 address is its flow.
            let address = match family {
                AF_INET => rest.get(..4)?,
                _ => rest.get(4..20)?,
            };
            // Any free port is nobody else's.
            if port != [0, 0] {
                let sort = if syscalls::is_stream(socket) { TCP } else { UDP };
                uses::note_name(BIND, sort, &[port, address]);
            }
        }
        _ => {}
    }
    Some(())
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shm_open(name: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let Some(shm_open) = real::shm_open() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { shm_open(name, flags, mode) };
    // SAFETY: libc has read it as a string.
    unsafe { named(action_of(flags), SHARED_MEMORY, name) };
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shm_unlink(name: *const c_char) -> c_int {
    let Some(shm_unlink) = real::shm_unlink() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { shm_unlink(name) };
    // SAFETY: libc has read it as a string.
    unsafe { named(REMOVE, SHARED_MEMORY, name) };
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_open(
    name: *const c_char,
    flags: c_int,
    mode: c_uint,
    value: c_uint,
) -> *mut c_void {
    let Some(sem_open) = real::sem_open() else { return core::ptr::null_mut() };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { sem_open(name, flags, mode, value) };
    // SAFETY: libc has read it as a string.
    unsafe { named(action_of(flags), SEMAPHORE, name) };
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sem_unlink(name: *const c_char) -> c_int {
    let Some(sem_unlink) = real::sem_unlink() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument.
    let answer = unsafe { sem_unlink(name) };
    // SAFETY: libc has read it as a string.
    unsafe { named(REMOVE, SEMAPHORE, name) };
    answer
}

fn action_of(flags: c_int) -> u8 {
    const O_CREAT: c_int = 0o100;
    const O_EXCL: c_int = 0o200;
    match (flags & O_CREAT != 0, flags & O_EXCL != 0) {
        (true, true) => CREATE_NEW,
        (true, false) => CREATE,
        _ => READ,
    }
}

/// # Safety
/// `name` is a string or null.
unsafe fn named(action: u8, sort: u8, name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the caller's promise.
        uses::note_name(action, sort, &[unsafe { CStr::from_ptr(name) }.to_bytes()]);
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flock(descriptor: c_int, operation: c_int) -> c_int {
    const LOCK_UN: c_int = 8;
    let Some(flock) = real::flock() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { flock(descriptor, operation) };
    if answer == 0 && operation & LOCK_UN == 0 {
        uses::note_descriptor(LOCK, descriptor);
    }
    answer
}

/// Whether a call of `fcntl` takes a lock.
///
/// # Safety
/// The kernel has accepted the arguments.
unsafe fn takes_lock(command: c_int, argument: usize) -> bool {
    const F_SETLK: c_int = 6;
    const F_SETLKW: c_int = 7;
    const F_OFD_SETLK: c_int = 37;
    const F_OFD_SETLKW: c_int = 38;
    const F_UNLCK: i16 = 2;
    let sets = matches!(command, F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW);
    // SAFETY: the argument of these is a `struct flock`, which begins with its kind.
    sets && unsafe { core::ptr::with_exposed_provenance::<i16>(argument).read() } != F_UNLCK
}

/// Functions that do many things with a descriptor; the last argument is read as the next function
/// reads it, or not at all.
macro_rules! fcntls {
    ($($name:ident)*) => {
        $(
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                descriptor: c_int,
                command: c_int,
                argument: usize,
            ) -> c_int {
                let Some(next) = real::$name() else { return real::fail(ENOSYS) };
                // SAFETY: the caller's own arguments.
                let answer = unsafe { next(descriptor, command, argument) };
                // SAFETY: the call has succeeded.
                if answer == 0 && unsafe { takes_lock(command, argument) } {
                    uses::note_descriptor(LOCK, descriptor);
                }
                answer
            }
        )*
    };
}

fcntls! { fcntl fcntl64 }
