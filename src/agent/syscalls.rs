//! System calls made without libc.
//!
//! They leave `errno` alone, enter no function that the agent interposes, take no lock and are
//! async-signal-safe. All system calls of the agent are made here.

use core::ffi::{CStr, c_int};
use core::sync::atomic::AtomicU32;

pub mod fork;
pub mod state;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const CLOSE: usize = 3;
    pub const FSTAT: usize = 5;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const WRITEV: usize = 20;
    pub const MADVISE: usize = 28;
    pub const NANOSLEEP: usize = 35;
    pub const GETPID: usize = 39;
    pub const FCNTL: usize = 72;
    pub const GETCWD: usize = 79;
    pub const SIGALTSTACK: usize = 131;
    pub const PERSONALITY: usize = 135;
    pub const GETPRIORITY: usize = 140;
    pub const PRCTL: usize = 157;
    pub const GETTID: usize = 186;
    pub const GETSOCKOPT: usize = 55;
    pub const FUTEX: usize = 202;
    pub const CLOCK_GETTIME: usize = 228;
    pub const WAITID: usize = 247;
    pub const EXIT_GROUP: usize = 231;
    pub const TGKILL: usize = 234;
    pub const IOPRIO_SET: usize = 251;
    pub const IOPRIO_GET: usize = 252;
    pub const OPENAT: usize = 257;
    pub const READLINKAT: usize = 267;
    pub const PPOLL: usize = 271;
    pub const PROCESS_VM_READV: usize = 310;
    pub const CLOSE_RANGE: usize = 436;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const READ: usize = 63;
    pub const CLOSE: usize = 57;
    pub const WRITEV: usize = 66;
    pub const FSTAT: usize = 80;
    pub const MMAP: usize = 222;
    pub const MPROTECT: usize = 226;
    pub const MUNMAP: usize = 215;
    pub const SIGALTSTACK: usize = 132;
    pub const MADVISE: usize = 233;
    pub const FUTEX: usize = 98;
    pub const NANOSLEEP: usize = 101;
    pub const GETCWD: usize = 17;
    pub const GETPID: usize = 172;
    pub const FCNTL: usize = 25;
    pub const PERSONALITY: usize = 92;
    pub const GETPRIORITY: usize = 141;
    pub const IOPRIO_SET: usize = 30;
    pub const IOPRIO_GET: usize = 31;
    pub const PRCTL: usize = 167;
    pub const GETTID: usize = 178;
    pub const CLOCK_GETTIME: usize = 113;
    pub const EXIT_GROUP: usize = 94;
    pub const TGKILL: usize = 131;
    pub const OPENAT: usize = 56;
    pub const READLINKAT: usize = 78;
    pub const GETSOCKOPT: usize = 209;
    pub const WAITID: usize = 95;
    pub const PPOLL: usize = 73;
    pub const PROCESS_VM_READV: usize = 270;
    pub const CLOSE_RANGE: usize = 436;
}

pub const EINTR: isize = -4;
pub const EBADF: c_int = 9;

pub const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// # Safety
/// That of the system call: pointers among the arguments must be valid for what it does.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let answer: isize;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel's calling convention; it spoils rcx and r11 only, and what it does to
    // memory is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// # Safety
/// That of the system call: pointers among the arguments must be valid for what it does.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let answer: isize;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel's calling convention; it spoils x0 only, and what it does to memory is
    // the caller's promise.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    answer
}

/// A call whose arguments are plain numbers.
fn plain(number: usize, a: usize, b: usize, c: usize) -> isize {
    // SAFETY: used in this file only, for calls that read and write no memory.
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

pub fn process() -> u32 {
    plain(number::GETPID, 0, 0, 0) as u32
}

pub fn thread() -> u32 {
    plain(number::GETTID, 0, 0, 0) as u32
}

pub fn close(descriptor: c_int) {
    plain(number::CLOSE, descriptor as usize, 0, 0);
}

pub fn close_range(first: u32, last: u32, flags: u32) -> isize {
    plain(number::CLOSE_RANGE, first as usize, last as usize, flags as usize)
}

/// Has the kernel kill the process when the thread that spawned it exits.
pub fn die_with_parent() {
    const PR_SET_PDEATHSIG: usize = 1;
    const SIGKILL: usize = 9;
    plain(number::PRCTL, PR_SET_PDEATHSIG, SIGKILL, 0);
}

/// Whether the reading end of a pipe that we write to is closed.
pub fn has_hung_up(descriptor: c_int) -> bool {
    const POLLERR: i16 = 0x8;
    poll(descriptor, 0, Some(0)) & POLLERR != 0
}

/// Waits for a byte, at most `milliseconds` if given. Returns false if the time is up, or if the
/// other end is closed.
pub fn await_byte(descriptor: c_int, milliseconds: Option<u32>) -> bool {
    const POLLIN: i16 = 1;
    poll(descriptor, POLLIN, milliseconds) != 0 && read(descriptor, &mut [0]) == 1
}

/// Waits for an event of a descriptor, and returns its `revents`; 0 if the time is up.
fn poll(descriptor: c_int, wanted: i16, milliseconds: Option<u32>) -> i16 {
    #[repr(C)]
    struct Poll {
        descriptor: c_int,
        wanted: i16,
        found: i16,
    }
    let mut poll = Poll { descriptor, wanted, found: 0 };
    // The kernel writes the remaining time to it.
    let mut time = milliseconds.map(|ms| [ms as usize / 1_000, ms as usize % 1_000 * 1_000_000]);
    let time = time.as_mut().map_or(0, |time| time.as_mut_ptr() as usize);
    loop {
        // SAFETY: the kernel reads and writes one `Poll`, and a time of two words or none.
        let answer = unsafe { call(number::PPOLL, [(&raw mut poll) as usize, 1, time, 0, 0, 0]) };
        if answer != EINTR {
            return if answer > 0 { poll.found } else { 0 };
        }
    }
}

/// Whether the process has any child, running or zombie, however it was started.
pub fn has_children() -> bool {
    const P_ALL: usize = 0;
    const WNOHANG: usize = 0x1;
    const WEXITED: usize = 0x4;
    const WNOWAIT: usize = 0x0100_0000;
    const ALL: usize = 0x4000_0000;
    let options = WNOHANG | WEXITED | WNOWAIT | ALL;
    // SAFETY: the kernel writes nothing to a null pointer.
    unsafe { call(number::WAITID, [P_ALL, 0, 0, options, 0, 0]) == 0 }
}

pub fn exit(code: c_int) {
    plain(number::EXIT_GROUP, code as usize, 0, 0);
}

pub fn signal_thread(thread: u32, signal: c_int) {
    plain(number::TGKILL, process() as usize, thread as usize, signal as usize);
}

/// Duplicates a descriptor to a number not below `lowest`, closed on exec.
pub fn duplicate(descriptor: c_int, lowest: c_int) -> Option<c_int> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    let answer = plain(number::FCNTL, descriptor as usize, F_DUPFD_CLOEXEC, lowest as usize);
    (answer >= 0).then_some(answer as c_int)
}

/// The file that a descriptor refers to. The same number may later refer to another file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

pub fn identity(descriptor: c_int) -> Option<Identity> {
    stat(descriptor).map(|stat| Identity { device: stat[0], inode: stat[1] })
}

/// The kernel's `struct stat` in words: the first two are device and inode on both architectures,
/// and the seventh is the length.
fn stat(descriptor: c_int) -> Option<[u64; 24]> {
    let mut stat = [0u64; 24];
    // SAFETY: `stat` has room for the kernel's struct (144 bytes at most).
    let answer = unsafe {
        call(number::FSTAT, [descriptor as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0])
    };
    (answer == 0).then_some(stat)
}

/// Opens a file, with `write` for reading and writing.
pub fn open(path: &CStr, write: bool) -> Option<c_int> {
    open_with(path, if write { O_RDWR } else { O_CLOEXEC })
}

/// Opens a file that is shared with other processes.
pub fn open_shared(path: &CStr) -> Option<c_int> {
    open_with(path, O_RDWR | O_CLOEXEC)
}

const O_RDWR: usize = 2;
const O_CLOEXEC: usize = 0o2_000_000;

fn open_with(path: &CStr, flags: usize) -> Option<c_int> {
    const AT_FDCWD: usize = -100_isize as usize;
    // SAFETY: `path` ends in a zero byte.
    let answer =
        unsafe { call(number::OPENAT, [AT_FDCWD, path.as_ptr() as usize, flags, 0, 0, 0]) };
    (answer >= 0).then_some(answer as c_int)
}

pub fn read(descriptor: c_int, room: &mut [u8]) -> usize {
    let [address, length] = [room.as_mut_ptr() as usize, room.len()];
    // SAFETY: the kernel writes into `room` only.
    let answer = unsafe { call(number::READ, [descriptor as usize, address, length, 0, 0, 0]) };
    answer.max(0) as usize
}

/// The path of the current directory, without the zero byte behind it; none if it is too long.
pub fn current_directory(room: &mut [u8]) -> Option<&[u8]> {
    let [address, length] = [room.as_mut_ptr() as usize, room.len()];
    // SAFETY: the kernel writes into `room` only.
    let answer = unsafe { call(number::GETCWD, [address, length, 0, 0, 0, 0]) };
    room.get(..usize::try_from(answer).ok()?.checked_sub(1)?)
}

/// The path of an open file, as the kernel knows it; none if it is too long.
pub fn path_of(descriptor: c_int, room: &mut [u8]) -> Option<&[u8]> {
    const ROOT: &[u8] = b"/proc/self/fd/";
    let mut link = [0; ROOT.len() + 11];
    let mut digits = [0; 10];
    let (mut rest, mut first) = (u32::try_from(descriptor).ok()?, digits.len());
    while first == digits.len() || rest > 0 {
        first -= 1;
        *digits.get_mut(first)? = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    for (to, from) in link.iter_mut().zip(ROOT.iter().chain(digits.get(first..)?)) {
        *to = *from;
    }
    let [address, length] = [room.as_mut_ptr() as usize, room.len()];
    // SAFETY: `link` ends in a zero byte, and the kernel writes into `room` only.
    let answer =
        unsafe { call(number::READLINKAT, [0, link.as_ptr() as usize, address, length, 0, 0]) };
    let filled = usize::try_from(answer).ok().filter(|filled| *filled < length)?;
    room.get(..filled)
}

/// Whether a socket is of the kind that TCP has.
pub fn is_stream(socket: c_int) -> bool {
    const SOL_SOCKET: usize = 1;
    const SO_TYPE: usize = 3;
    const SOCK_STREAM: c_int = 1;
    let (mut kind, mut length) = (0 as c_int, size_of::<c_int>() as u32);
    let (kind_at, length_at) = ((&raw mut kind) as usize, (&raw mut length) as usize);
    // SAFETY: the kernel writes as many bytes as `length` says to `kind`, and the number to it.
    let answer = unsafe {
        call(number::GETSOCKOPT, [socket as usize, SOL_SOCKET, SO_TYPE, kind_at, length_at, 0])
    };
    answer == 0 && kind == SOCK_STREAM
}

/// The name of the calling thread.
pub fn own_name() -> [u8; 16] {
    const PR_GET_NAME: usize = 16;
    let mut name = [0; 16];
    // SAFETY: the kernel writes 16 bytes, which is what `name` holds.
    unsafe { call(number::PRCTL, [PR_GET_NAME, name.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    name
}

/// Changes the calling thread's personality. Returns the one before, or a negative error.
pub fn set_personality(word: u32) -> isize {
    plain(number::PERSONALITY, word as usize, 0, 0)
}

/// The calling thread's personality; none where the call is forbidden.
pub fn personality() -> Option<u32> {
    const ONLY_TELL: u32 = u32::MAX;
    u32::try_from(set_personality(ONLY_TELL)).ok()
}

const IOPRIO_WHO_PROCESS: usize = 1;

/// The calling thread's I/O priority: a class, a hint and a level.
pub fn io_priority() -> u32 {
    const LEVEL_BITS: u32 = 3;
    const CLASS_SHIFT: u32 = 13;
    const BEST_EFFORT: u32 = 2;
    let priority = plain(number::IOPRIO_GET, IOPRIO_WHO_PROCESS, 0, 0).max(0) as u32;
    if priority >> CLASS_SHIFT != 0 {
        return priority;
    }
    // An unset priority is not inherited. The one that it stands for follows from the nice value,
    // see ioprio_set(2); the call returns 20 minus the nice value.
    let nice = 20 - plain(number::GETPRIORITY, 0, 0, 0).clamp(1, 40);
    (BEST_EFFORT << CLASS_SHIFT) | (((nice + 20) / 5) as u32 & ((1 << LEVEL_BITS) - 1))
}

pub fn set_io_priority(priority: u32) {
    plain(number::IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, priority as usize);
}

/// Sleeps for a millisecond.
pub fn pause() {
    let time = [0u64, 1_000_000];
    // SAFETY: the kernel reads one timespec, two words on both architectures.
    unsafe { call(number::NANOSLEEP, [time.as_ptr() as usize, 0, 0, 0, 0, 0]) };
}

/// The CPU time that the calling thread has used so far, in nanoseconds.
pub fn own_cpu_time() -> u64 {
    const CLOCK_THREAD_CPUTIME_ID: usize = 3;
    let mut time = [0u64; 2];
    let place = time.as_mut_ptr() as usize;
    // SAFETY: the kernel writes one timespec, two words on both architectures.
    unsafe { call(number::CLOCK_GETTIME, [CLOCK_THREAD_CPUTIME_ID, place, 0, 0, 0, 0]) };
    time[0] * 1_000_000_000 + time[1]
}

/// Maps zeroed memory. Pages cost something only once they are touched.
pub fn memory(length: usize) -> Option<*mut u8> {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS_NORESERVE: usize = 0x2 | 0x20 | 0x4000;
    let nowhere = usize::MAX;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let answer = unsafe {
        call(number::MMAP, [0, length, READ_WRITE, PRIVATE_ANONYMOUS_NORESERVE, nowhere, 0])
    };
    (answer > 0).then_some(answer as *mut u8)
}

/// The length of a file.
pub fn length(descriptor: c_int) -> Option<usize> {
    const SIZE: usize = 6;
    stat(descriptor)?.get(SIZE).map(|length| *length as usize)
}

/// Maps a file to be read.
pub fn map(descriptor: c_int, length: usize) -> Option<*const u8> {
    const READ: usize = 1;
    const PRIVATE: usize = 2;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let answer = unsafe { call(number::MMAP, [0, length, READ, PRIVATE, descriptor as usize, 0]) };
    (answer > 0).then_some(answer as *const u8)
}

/// Maps a file so that its other users see what is written here.
pub fn map_shared(descriptor: c_int, length: usize) -> Option<*mut u8> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let answer =
        unsafe { call(number::MMAP, [0, length, READ_WRITE, SHARED, descriptor as usize, 0]) };
    (answer > 0).then_some(answer as *mut u8)
}

/// Sleeps while the word, which may be shared with other processes, has this value.
pub fn wait_while(word: &AtomicU32, value: u32, milliseconds: u64) {
    const FUTEX_WAIT: usize = 0;
    let time = [milliseconds / 1_000, milliseconds % 1_000 * 1_000_000];
    let (word, time) = (core::ptr::from_ref(word) as usize, time.as_ptr() as usize);
    // SAFETY: the kernel reads the word and one timespec, two words on both architectures.
    unsafe { call(number::FUTEX, [word, FUTEX_WAIT, value as usize, time, 0, 0]) };
}

/// Wakes all threads of all processes that sleep on the word.
pub fn wake_all(word: &AtomicU32) {
    const FUTEX_WAKE: usize = 1;
    let (word, all) = (core::ptr::from_ref(word) as usize, i32::MAX as usize);
    // SAFETY: the kernel uses the address of the word only.
    unsafe { call(number::FUTEX, [word, FUTEX_WAKE, all, 0, 0, 0]) };
}

/// Unmaps memory.
pub fn unmap(memory: *const u8, length: usize) {
    plain(number::MUNMAP, memory.addr(), length, 0);
}

/// Makes pages inaccessible.
pub fn forbid(pages: *mut u8, length: usize) -> bool {
    const NONE: usize = 0;
    plain(number::MPROTECT, pages.addr(), length, NONE) == 0
}

/// Sets the calling thread's alternate signal stack: its lowest address and length, or none.
pub fn set_signal_stack(stack: Option<(usize, usize)>) {
    const DISABLE: usize = 2;
    let (lowest, flags, length) = match stack {
        Some((lowest, length)) => (lowest, 0, length),
        None => (0, DISABLE, 0),
    };
    // The flags are an int, padded to a word, which reads the same with the lowest byte first.
    let wanted = [lowest, flags, length];
    // SAFETY: the kernel reads one stack_t, three words on both architectures.
    unsafe { call(number::SIGALTSTACK, [wanted.as_ptr() as usize, 0, 0, 0, 0, 0]) };
}

/// Has the kernel zero these pages in every forked child. Returns false before Linux 4.14.
pub fn wipe_in_children(pages: *mut u8, length: usize) -> bool {
    const MADV_WIPEONFORK: usize = 18;
    plain(number::MADVISE, pages as usize, length, MADV_WIPEONFORK) == 0
}

/// Copies memory that may not be mapped: a bad address is an error, not a crash. Returns the number
/// of bytes copied, which is 0 where the call is forbidden (some sandboxes).
pub fn peek(address: usize, room: &mut [u8]) -> usize {
    let here = [room.as_mut_ptr() as usize, room.len()];
    let there = [address, room.len()];
    let [here, there] = [here.as_ptr() as usize, there.as_ptr() as usize];
    // SAFETY: the kernel writes into `room` only, and checks the other side itself.
    let answer =
        unsafe { call(number::PROCESS_VM_READV, [process() as usize, here, 1, there, 1, 0]) };
    answer.max(0) as usize
}

/// A piece of a frame, laid out as the kernel's `iovec`.
#[repr(C)]
pub struct Piece {
    pub address: usize,
    pub length: usize,
}

impl Piece {
    pub fn of(bytes: &[u8]) -> Piece {
        Piece { address: bytes.as_ptr() as usize, length: bytes.len() }
    }
}

/// Writes the pieces in one call. Without a reader that would raise SIGPIPE, but the runner reads
/// until we have exited, and we are killed when it is (`die_with_parent`).
pub fn write(descriptor: c_int, pieces: &[Piece]) -> isize {
    let [address, count] = [pieces.as_ptr() as usize, pieces.len()];
    // SAFETY: every piece came from a slice that lives as long as `pieces` is borrowed.
    unsafe { call(number::WRITEV, [descriptor as usize, address, count, 0, 0, 0]) }
}
