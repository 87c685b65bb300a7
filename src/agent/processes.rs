//! Which test starts which process, and which processes are waited for.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::backtrace::Stack;
use crate::channel;
use crate::frame::Frame;
use crate::kinds;
use crate::real::{self, ENOSYS, Text, Texts};
use crate::records;

/// Stands for a process that libc starts without returning its PID.
const UNKNOWN_PID: c_int = 0;

/// Whether the process has ever started another.
static ANY_STARTED: AtomicBool = AtomicBool::new(false);

pub fn any_started() -> bool {
    ANY_STARTED.load(Relaxed)
}

fn started(process: c_int) {
    if !channel::is_open() {
        return;
    }
    ANY_STARTED.store(true, Relaxed);
    let (number, test) = records::of_current();
    Frame::new(kinds::PROCESS_STARTED)
        .u32(process as u32)
        .u32(number)
        .u32(test)
        .stack(Stack::here().addresses())
        .send();
}

fn reaped(process: c_int) {
    if process > 0 && channel::is_open() {
        Frame::new(kinds::PROCESS_REAPED).u32(process as u32).send();
    }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fork() -> c_int {
    let Some(fork) = real::fork() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own call.
    let process = unsafe { fork() };
    match process {
        0 => channel::leave_child(),
        1.. => started(process),
        _ => {}
    }
    process
}

/// Interposes `vfork`, whose child runs on the same stack and in the same memory: nothing may be on
/// the stack when it returns for the first time.
///
/// # Safety
/// As libc's.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {before}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_register rip, rdi",
        "mov eax, 58",
        "syscall",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rip, -8",
        "test eax, eax",
        "jz 2f",
        "mov edi, eax",
        "jmp {after}",
        "2:",
        "ret",
        ".cfi_endproc",
        before = sym before_vfork,
        after = sym after_vfork,
    )
}

/// Interposes `vfork`, whose child runs on the same stack and in the same memory: nothing may be on
/// the stack when it returns for the first time.
///
/// # Safety
/// As libc's.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, -16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 29, -16",
        ".cfi_offset 30, -8",
        "bl {before}",
        "ldp x29, x30, [sp], 16",
        ".cfi_restore 30",
        ".cfi_restore 29",
        ".cfi_def_cfa_offset 0",
        // clone(CLONE_VM | CLONE_VFORK | SIGCHLD) on the same stack.
        "mov x0, #0x4111",
        "mov x1, xzr",
        "mov x8, #220",
        "svc #0",
        "cbz x0, 2f",
        "b {after}",
        "2:",
        "ret",
        ".cfi_endproc",
        before = sym before_vfork,
        after = sym after_vfork,
    )
}

extern "C" fn before_vfork() {
    if let Some(record) = records::current() {
        record.vforks.fetch_add(1, Relaxed);
    }
}

/// In the parent: the child has executed a program, or has exited.
extern "C" fn after_vfork(process: c_int) -> c_int {
    if let Some(record) = records::current() {
        record.vforks.fetch_sub(1, Relaxed);
        // A child that crashed has left it set.
        record.crashes.store(false, Relaxed);
    }
    if process < 0 {
        return real::fail(-process);
    }
    started(process);
    process
}

/// Spawns by one of libc's functions; `process` may be null.
fn spawning(process: *mut c_int, spawn: impl FnOnce(*mut c_int) -> c_int) -> c_int {
    let mut own = 0;
    let place = if process.is_null() { &raw mut own } else { process };
    let answer = spawn(place);
    if answer == 0 {
        // SAFETY: a successful call has filled it in.
        started(unsafe { *place });
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn(
    process: *mut c_int,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    environment: Texts,
) -> c_int {
    let Some(spawn) = real::posix_spawn() else { return ENOSYS };
    spawning(process, |process| {
        // SAFETY: the caller's own arguments, or a variable of ours instead of null.
        unsafe { spawn(process, path, actions, attributes, arguments, environment) }
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawnp(
    process: *mut c_int,
    file: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    environment: Texts,
) -> c_int {
    let Some(spawn) = real::posix_spawnp() else { return ENOSYS };
    spawning(process, |process| {
        // SAFETY: the caller's own arguments, or a variable of ours instead of null.
        unsafe { spawn(process, file, actions, attributes, arguments, environment) }
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn system(command: Text) -> c_int {
    let Some(system) = real::system() else { return real::fail(ENOSYS) };
    // Without a command it only returns whether there is a shell.
    if !command.is_null() {
        started(UNKNOWN_PID);
    }
    // SAFETY: the caller's own argument.
    unsafe { system(command) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn popen(command: Text, mode: Text) -> *mut c_void {
    let Some(popen) = real::popen() else {
        real::set_errno(ENOSYS);
        return core::ptr::null_mut();
    };
    started(UNKNOWN_PID);
    // SAFETY: the caller's own arguments.
    unsafe { popen(command, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkpty(
    terminal: *mut c_int,
    name: *mut c_char,
    settings: *const c_void,
    size: *const c_void,
) -> c_int {
    let Some(forkpty) = real::forkpty() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments.
    let process = unsafe { forkpty(terminal, name, settings, size) };
    match process {
        0 => channel::leave_child(),
        1.. => started(process),
        _ => {}
    }
    process
}

/// Whether the process has exited, and not only stopped or continued.
fn is_gone(status: *const c_int) -> bool {
    // SAFETY: null, or a variable that the wait has just set.
    unsafe { status.as_ref() }.is_none_or(|status| status & 0xff != 0x7f && *status != 0xffff)
}

/// Waits by one of libc's functions; `status` may be null.
fn waiting(status: *mut c_int, wait: impl FnOnce(*mut c_int) -> c_int) -> c_int {
    let mut own = 0;
    let place = if status.is_null() { &raw mut own } else { status };
    let process = wait(place);
    if process > 0 && is_gone(place) {
        reaped(process);
    }
    process
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait(status: *mut c_int) -> c_int {
    let Some(wait) = real::wait() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own argument, or a variable of ours.
    waiting(status, |status| unsafe { wait(status) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int {
    let Some(wait) = real::waitpid() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments, or a variable of ours.
    waiting(status, |status| unsafe { wait(process, status, options) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait3(status: *mut c_int, options: c_int, usage: *mut c_void) -> c_int {
    let Some(wait) = real::wait3() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments, or a variable of ours.
    waiting(status, |status| unsafe { wait(status, options, usage) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait4(
    process: c_int,
    status: *mut c_int,
    options: c_int,
    usage: *mut c_void,
) -> c_int {
    let Some(wait) = real::wait4() else { return real::fail(ENOSYS) };
    // SAFETY: the caller's own arguments, or a variable of ours.
    waiting(status, |status| unsafe { wait(process, status, options, usage) })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waitid(kind: c_int, id: u32, about: *mut c_int, options: c_int) -> c_int {
    const WNOWAIT: c_int = 0x0100_0000;
    const ENDED: core::ops::RangeInclusive<c_int> = 1..=3;
    let Some(wait) = real::waitid() else { return real::fail(ENOSYS) };
    // A siginfo: its code is the third number, the PID the fifth.
    let mut own = [0; 32];
    let place = if about.is_null() { own.as_mut_ptr() } else { about };
    // SAFETY: the caller's own arguments, or a variable of ours instead of null.
    let answer = unsafe { wait(kind, id, place, options) };
    // SAFETY: a successful call has filled the siginfo in.
    let [cause, process] = unsafe { [*place.add(2), *place.add(4)] };
    if answer == 0 && options & WNOWAIT == 0 && process > 0 && ENDED.contains(&cause) {
        reaped(process);
    }
    answer
}
