//! Reporting crashes with their test, and backtraces on request.
//!
//! For signals that mean a crash, the agent's handler runs before the one that the process has set.
//! The process does not notice: `sigaction` returns what the process set itself. The handler
//! reports the crash and calls the process's handler. A process that would have died still dies of
//! the same signal.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::backtrace::Stack;
use crate::channel;
use crate::frame::Frame;
use crate::kinds;
use crate::records::{self, ENDED, Record, WAITS};
use crate::{capture, real, syscalls};

const SIGILL: c_int = 4;
const SIGTRAP: c_int = 5;
const SIGABRT: c_int = 6;
const SIGBUS: c_int = 7;
const SIGFPE: c_int = 8;
const SIGSEGV: c_int = 11;
const SIGSYS: c_int = 31;
const CRASHES: [c_int; 7] = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS];

/// The real-time signal by which the runner requests backtraces. The highest ones are rarely used:
/// libraries count upwards from SIGRTMIN (34). Its number is sent in `hello`.
pub const ASKS_FOR_STACKS: c_int = 61;

const SA_SIGINFO: c_int = 4;
const SA_RESTART: c_int = 0x1000_0000;
const SA_ONSTACK: c_int = 0x0800_0000;
const SA_RESETHAND: c_int = 0x8000_0000_u32 as c_int;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// glibc's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

impl Action {
    const DEFAULT: Action = Action { handler: SIG_DFL, mask: [0; 16], flags: 0, restorer: 0 };
}

/// The action that the process has set for each signal that the agent handles first; null for all
/// others.
static SET: [AtomicPtr<Action>; 32] = [const { AtomicPtr::new(ptr::null_mut()) }; 32];

/// The actions that `SET` may point to. They are never freed, since a handler may be reading one;
/// but a process sets few different ones.
static KEPT: [AtomicPtr<Action>; MOST_KEPT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MOST_KEPT];
const MOST_KEPT: usize = 64;
static ROOM: AtomicPtr<Action> = AtomicPtr::new(ptr::null_mut());
static TAKEN: AtomicUsize = AtomicUsize::new(0);

pub fn prepare() {
    let room = syscalls::memory(MOST_KEPT * size_of::<Action>());
    ROOM.store(room.unwrap_or(ptr::null_mut()).cast(), Release);
    for signal in CRASHES {
        let mut present = Action::DEFAULT;
        change(signal, ptr::null(), &mut present);
        if present.handler == SIG_DFL {
            set(signal, &Action::DEFAULT);
        }
    }
    let answer = Action {
        handler: backtrace_requested as *const () as usize,
        flags: SA_SIGINFO | SA_RESTART,
        ..Action::DEFAULT
    };
    change(ASKS_FOR_STACKS, &answer, ptr::null_mut());
}

fn change(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    let Some(change) = real::sigaction() else { return real::fail(real::ENOSYS) };
    // SAFETY: our callers pass null or an action.
    unsafe { change(signal, new.cast(), old.cast()) }
}

fn watched(signal: c_int) -> Option<&'static AtomicPtr<Action>> {
    SET.get(usize::try_from(signal).ok()?).filter(|_| CRASHES.contains(&signal))
}

/// What the process has set, if the agent handles the signal first.
fn set_by_process(signal: c_int) -> Option<Action> {
    let set = watched(signal)?.load(Acquire);
    // SAFETY: null, or one of the kept actions, which never change.
    unsafe { set.as_ref() }.copied()
}

/// What the process has set for a signal: its handler, its flags, and the mask's first word.
pub fn action_of_process(signal: c_int) -> Option<[u64; 3]> {
    let errno = real::errno();
    let mut action = Action::DEFAULT;
    let is_known = match set_by_process(signal) {
        Some(set) => {
            action = set;
            true
        }
        None => signal != ASKS_FOR_STACKS && change(signal, ptr::null(), &mut action) == 0,
    };
    real::set_errno(errno);
    let [mask, ..] = action.mask;
    let is_function = !matches!(action.handler, SIG_DFL | SIG_IGN);
    // Without a function the rest means nothing.
    let [flags, mask] = if is_function { [action.flags as u32 as u64, mask] } else { [0; 2] };
    is_known.then_some([action.handler as u64, flags, mask])
}

/// A kept action that equals `wanted`; none if there is no room left.
fn keep(wanted: &Action) -> Option<*mut Action> {
    let taken = TAKEN.load(Acquire).min(MOST_KEPT);
    let known = KEPT.iter().take(taken).map(|place| place.load(Acquire));
    // SAFETY: null, or one of the kept actions, which never change.
    if let Some(known) = known.into_iter().find(|&kept| unsafe { kept.as_ref() } == Some(wanted)) {
        return Some(known);
    }
    let room = ROOM.load(Acquire);
    let index = TAKEN.fetch_add(1, AcqRel).min(MOST_KEPT);
    let place = KEPT.get(index).filter(|_| !room.is_null())?;
    // SAFETY: `index` is ours alone and below the number of actions that the room holds.
    let kept = unsafe {
        let kept = room.add(index);
        kept.write(*wanted);
        kept
    };
    place.store(kept, Release);
    Some(kept)
}

/// Sets `wanted`, with our handler before it.
fn set(signal: c_int, wanted: &Action) -> c_int {
    let (Some(place), Some(kept)) = (watched(signal), keep(wanted)) else {
        return change(signal, wanted, ptr::null_mut());
    };
    let before = place.swap(kept, AcqRel);
    let stack = if wanted.handler == SIG_DFL { SA_ONSTACK } else { 0 };
    let flags = wanted.flags | SA_SIGINFO | stack;
    let ours = Action { handler: crashed as *const () as usize, flags, ..*wanted };
    let answer = change(signal, &ours, ptr::null_mut());
    if answer != 0 {
        place.store(before, Release);
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const c_void, old: *mut c_void) -> c_int {
    let (new, old) = (new.cast::<Action>(), old.cast::<Action>());
    let is_in_vfork = records::is_in_vfork();
    if watched(signal).is_none() || !(is_in_vfork || channel::is_open()) {
        return change(signal, new, old);
    }
    // SAFETY: the caller passes null or an action; a copy, since both may be the same place.
    let wanted = unsafe { new.as_ref() }.copied();
    return_old(signal, old);
    match wanted {
        None => 0,
        // The kept actions are the parent's, in whose memory the child runs.
        Some(wanted) if is_in_vfork => change(signal, &wanted, ptr::null_mut()),
        // An ignored signal is inherited across exec; a handler would not be.
        Some(wanted) if wanted.handler == SIG_IGN => uninstall(signal, &wanted),
        Some(wanted) => set(signal, &wanted),
    }
}

fn return_old(signal: c_int, old: *mut Action) {
    match set_by_process(signal) {
        // SAFETY: the caller passes a place for an action.
        Some(set) if !old.is_null() => unsafe { old.write(set) },
        Some(_) => {}
        None => {
            change(signal, ptr::null(), old);
        }
    }
}

fn uninstall(signal: c_int, wanted: &Action) -> c_int {
    if let Some(place) = watched(signal).filter(|_| !records::is_in_vfork()) {
        place.store(ptr::null_mut(), Release);
    }
    change(signal, wanted, ptr::null_mut())
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: usize) -> usize {
    const SIG_ERR: usize = usize::MAX;
    let new = Action { handler, flags: SA_RESTART, ..Action::DEFAULT };
    let mut old = Action::DEFAULT;
    // SAFETY: both are actions of ours.
    let answer = unsafe { sigaction(signal, (&raw const new).cast(), (&raw mut old).cast()) };
    if answer == 0 { old.handler } else { SIG_ERR }
}

/// The start of the kernel's `siginfo`.
#[repr(C)]
struct About {
    signal: c_int,
    error: c_int,
    /// 0 or negative if sent by a process, else a fault of the running instruction.
    cause: c_int,
    padding: c_int,
    address: u64,
}

impl About {
    fn is_fault(&self) -> bool {
        self.cause > 0
    }
}

type Handler = extern "C" fn(c_int, *const About, *mut c_void);

/// The handler for crashes.
extern "C" fn crashed(signal: c_int, about: *const About, context: *mut c_void) {
    // SAFETY: the kernel passes both with SA_SIGINFO, which `set` asks for.
    let (about_it, at) = unsafe { (&*about, interrupted_at(context)) };
    let nesting = Nesting::enter();
    report_crash(signal, at, if about_it.is_fault() { about_it.address } else { 0 });
    let set = set_by_process(signal).unwrap_or(Action::DEFAULT);
    if set.flags & SA_RESETHAND != 0 {
        uninstall(signal, &Action::DEFAULT);
    }
    match set.handler {
        SIG_DFL => die(signal, about_it, &nesting),
        handler => {
            nesting.send_capture_once();
            // SAFETY: the process set it as a handler; one with fewer parameters ignores the rest.
            let handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
            handler(signal, about, context);
        }
    }
}

/// Reports that this thread kills its process: at which instruction, and for which address.
pub fn report_crash(signal: c_int, at: u64, address: u64) {
    if !channel::is_open() {
        return;
    }
    let (number, test) = records::of_current();
    Frame::new(kinds::CRASHING)
        .u32(signal as u32)
        .u32(number)
        .u32(test)
        .u64(at)
        .u64(address)
        .send();
}

/// Lets the process die of a signal that it does not handle, after a backtrace. Unwinding a corrupt
/// stack may crash, but that is the same death. Inside of another crash's handler there is no
/// backtrace: that handler runs on a stack of 8 KiB, and overflowing it would turn an abort into a
/// segmentation fault.
fn die(signal: c_int, about: &About, nesting: &Nesting) {
    if !nesting.is_inner {
        report_backtrace();
    }
    if !nesting.is_inner || records::current().is_some_and(has_own_stack) {
        capture::send(records::of_current().1);
    }
    uninstall(signal, &Action::DEFAULT);
    // A fault happens again on return; a signal that was sent must be sent again.
    if !about.is_fault() {
        syscalls::signal_thread(syscalls::thread(), signal);
    }
}

/// Whether the thread was already in the handler for a crash, as when std's own handler for a stack
/// overflow aborts.
struct Nesting {
    is_inner: bool,
}

impl Nesting {
    fn enter() -> Nesting {
        let record = records::current();
        Nesting { is_inner: record.is_none_or(|record| record.crashes.swap(true, Relaxed)) }
    }
}

impl Nesting {
    /// Sends what the test has printed before the process's own handler runs, whose stack may be too
    /// short for it. Some processes handle such signals often; then only the first one counts.
    fn send_capture_once(&self) {
        let is_first = |record: &&Record| !record.has_crashed.swap(true, Relaxed);
        if let Some(record) = records::current().filter(|_| !self.is_inner).filter(is_first) {
            capture::send(record.test.load(Relaxed));
        }
    }
}

/// Whether the signal stack of the thread is the agent's, which is long enough for handlers inside
/// of handlers.
fn has_own_stack(record: &Record) -> bool {
    record.signal_stack.load(Relaxed) != 0
}

impl Drop for Nesting {
    fn drop(&mut self) {
        if let (false, Some(record)) = (self.is_inner, records::current()) {
            record.crashes.store(false, Relaxed);
        }
    }
}

/// # Safety
/// `context` is what the kernel passed to a handler.
#[cfg(target_arch = "x86_64")]
unsafe fn interrupted_at(context: *const c_void) -> u64 {
    const INSTRUCTION_POINTER: usize = 168;
    // SAFETY: the register's offset in the kernel's signal frame.
    unsafe { context.byte_add(INSTRUCTION_POINTER).cast::<u64>().read() }
}

/// # Safety
/// `context` is what the kernel passed to a handler.
#[cfg(target_arch = "aarch64")]
unsafe fn interrupted_at(context: *const c_void) -> u64 {
    const PROGRAM_COUNTER: usize = 440;
    // SAFETY: the register's offset in the kernel's signal frame.
    unsafe { context.byte_add(PROGRAM_COUNTER).cast::<u64>().read() }
}

/// The handler for the runner's request. The thread that gets it forwards it to all others, and
/// each reports its own backtrace.
extern "C" fn backtrace_requested(_signal: c_int, about: *const About, _context: *mut c_void) {
    const FROM_A_THREAD: c_int = -6;
    if !channel::is_open() {
        return;
    }
    // SAFETY: the kernel passes it with SA_SIGINFO.
    if unsafe { (*about).cause } != FROM_A_THREAD {
        request_all();
    }
    report_backtrace();
}

fn request_all() {
    let own = syscalls::thread();
    let others = || {
        let threads = records::all().filter(|record| !record.has(ENDED | WAITS));
        threads
            .map(|record| record.thread.load(Relaxed))
            .filter(move |&thread| thread != 0 && thread != own)
    };
    // Before the backtraces, with which the answer is complete.
    capture::send(0);
    Frame::new(kinds::STACKS_ASKED).u32(others().count() as u32 + 1).send();
    for thread in others() {
        syscalls::signal_thread(thread, ASKS_FOR_STACKS);
    }
}

/// Reports the running thread's backtrace.
fn report_backtrace() {
    if !channel::is_open() {
        return;
    }
    let (number, test) = records::of_current();
    Frame::new(kinds::STACK)
        .u32(number)
        .u32(syscalls::thread())
        .u32(test)
        .stack(Stack::here().addresses())
        .bytes(&syscalls::own_name())
        .send();
}
