//! Tests that do to their process what a runner inside of it could stumble over: they close
//! descriptors that are not theirs, fork without another program, wrap `pthread_create`, handle
//! signals. All of them pass, with the agent and without it; under `cargo test`, which has them
//! side by side in one process, they close each other's descriptors.
#![cfg(all(test, target_os = "linux"))]

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

unsafe extern "C" {
    fn close(fd: i32) -> i32;
    fn close_range(first: u32, last: u32, flags: i32) -> i32;
    fn dup2(from: i32, to: i32) -> i32;
    fn fork() -> i32;
    fn vfork() -> i32;
    fn _exit(code: i32) -> !;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn write(fd: i32, bytes: *const u8, length: usize) -> isize;
    fn syscall(number: i64, ...) -> i64;
}

static WRAPPED: AtomicU32 = AtomicU32::new(0);

/// The binary's own wrapper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    handle: *mut usize,
    attributes: *const c_void,
    start: *const c_void,
    argument: *const c_void,
) -> i32 {
    type Create =
        unsafe extern "C" fn(*mut usize, *const c_void, *const c_void, *const c_void) -> i32;
    WRAPPED.fetch_add(1, Ordering::Relaxed);
    let next = unsafe { dlsym(-1isize as *mut c_void, c"pthread_create".as_ptr()) };
    let next: Create = unsafe { std::mem::transmute(next) };
    unsafe { next(handle, attributes, start, argument) }
}

/// The highest descriptor that is open, whoever opened it.
fn highest() -> i32 {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers =
        all.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<i32>().unwrap());
    numbers.max().unwrap()
}

#[test]
fn closes_every_descriptor() {
    for fd in 3..5_000 {
        unsafe { close(fd) };
    }
}

#[test]
fn closes_a_range_of_descriptors() {
    assert_eq!(unsafe { close_range(3, u32::MAX, 0) }, 0);
}

#[test]
fn takes_the_highest_number() {
    let path = std::env::temp_dir().join(format!("is-hostile-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    // Looked for after the file was opened, or it could be the file's own.
    let number = highest();
    use std::os::fd::AsRawFd;
    assert_eq!(unsafe { dup2(file.as_raw_fd(), number) }, number);
    std::thread::spawn(|| ()).join().unwrap();
    assert_eq!(unsafe { close(number) }, 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn forks_without_another_program() {
    unsafe {
        let child = fork();
        if child == 0 {
            std::thread::spawn(|| ()).join().unwrap();
            write(1, b"child\n".as_ptr(), 6);
            _exit(3);
        }
        let mut status = 0;
        assert_eq!(waitpid(child, &mut status, 0), child);
        assert_eq!(status >> 8, 3);
    }
}

#[test]
fn forks_and_shares_its_memory() {
    unsafe {
        let child = vfork();
        if child == 0 {
            _exit(4);
        }
        let mut status = 0;
        assert_eq!(waitpid(child, &mut status, 0), child);
        assert_eq!(status >> 8, 4);
    }
}

#[test]
fn starts_threads_through_its_own_wrapper() {
    std::thread::spawn(|| ()).join().unwrap();
    assert!(WRAPPED.load(Ordering::Relaxed) > 1);
}

#[test]
fn handles_its_own_signals() {
    unsafe extern "C" {
        fn signal(number: i32, handler: usize) -> usize;
        fn raise(number: i32) -> i32;
    }
    static SEEN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(number: i32) {
        SEEN.fetch_add(number as u32, Ordering::Relaxed);
    }
    unsafe {
        assert_eq!(signal(8, handler as *const () as usize), 0);
        assert_eq!(raise(8), 0);
        assert_eq!(SEEN.load(Ordering::Relaxed), 8);
        assert_eq!(signal(8, 1), handler as *const () as usize);
        assert_eq!(raise(8), 0);
        assert_eq!(signal(8, 0), 1);
        assert_eq!(signal(8, 0), 0);
    }
}

#[test]
fn overflows_the_stack_of_its_handlers() {
    #[repr(C)]
    struct Stack {
        lowest: *mut u8,
        flags: i32,
        length: usize,
    }
    unsafe extern "C" {
        fn sigaltstack(new: *const Stack, old: *mut Stack) -> i32;
        fn signal(number: i32, handler: usize) -> usize;
    }
    let mut stack = Stack { lowest: std::ptr::null_mut(), flags: 0, length: 0 };
    unsafe {
        assert_eq!(sigaltstack(std::ptr::null(), &mut stack), 0);
        assert_eq!(stack.flags, 0, "there is one, and nobody runs on it");
        assert!(stack.length >= 8_192);
        stack.lowest.write(1);
        let child = fork();
        if child == 0 {
            signal(11, 0);
            stack.lowest.sub(1).write(1);
            _exit(0);
        }
        let mut status = 0;
        assert_eq!(waitpid(child, &mut status, 0), child);
        assert_eq!(status & 127, 11, "nobody's memory lies below it");
    }
}

#[test]
fn closes_by_a_bare_system_call() {
    const SYS_CLOSE: i64 = if cfg!(target_arch = "x86_64") { 3 } else { 57 };
    let number = highest();
    unsafe { syscall(SYS_CLOSE, number as i64) };
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    use std::os::fd::AsRawFd;
    // A socket of the test under that number, by a bare call again.
    const SYS_DUP3: i64 = if cfg!(target_arch = "x86_64") { 292 } else { 24 };
    unsafe { syscall(SYS_DUP3, one.as_raw_fd() as i64, number as i64, 0i64) };
    std::thread::spawn(|| ()).join().unwrap();
    _other.set_nonblocking(true).unwrap();
    let mut byte = [0];
    use std::io::Read;
    assert!((&_other).read(&mut byte).is_err(), "somebody wrote to the test's socket");
}
