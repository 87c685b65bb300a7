//! The fork server: a process that is loaded, relocated, and stopped before any code of the program
//! itself has run. It keeps some forks of itself ready, and each becomes one of the runner's
//! workers.
//!
//! The runner sends a request on a socket (`fork_request.rs`), which any of the spare forks takes:
//! the worker's arguments and environment, and its three descriptors. The fork answers on the
//! channel that it got, and continues as the worker. So if the channel ends without an answer,
//! there is no worker. The forks are the runner's own children, as if it had spawned them.
//!
//! The workers of a binary share what a process cannot be given after its start: its address space
//! layout, the stack protector's canary, and `AT_RANDOM`.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};

use crate::environment::{self, is_untouched};
use crate::fork_request::{HEADER, LONGEST_REQUEST, REFUSED};
use crate::syscalls::fork::{self, MemoryMap, Received, Thread};
use crate::syscalls::{self, Piece};
use crate::{gate, real, records, uses};

/// The socket for requests; 0 in every other process.
static REQUESTS: AtomicI32 = AtomicI32::new(0);

/// libc's own `__libc_start_main`.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Called by the constructor.
pub fn prepare(given: c_int) {
    const HIGH: c_int = 500;
    const LOW: c_int = 10;
    let socket = syscalls::duplicate(given, HIGH).or_else(|| syscalls::duplicate(given, LOW));
    crate::free(given);
    match socket {
        Some(socket) => REQUESTS.store(socket, Relaxed),
        None => syscalls::exit(1),
    }
}

/// The arguments of a program. They are returned in two registers.
#[repr(C)]
pub struct Beginning {
    count: usize,
    arguments: fork::Texts,
}

/// Runs before libc's own `__libc_start_main`.
extern "C" fn begin(count: usize, arguments: fork::Texts) -> Beginning {
    match real::__libc_start_main() {
        Some(next) => NEXT.store(next as *const () as usize, Relaxed),
        None => crate::stop(),
    }
    let beginning = Beginning { count, arguments };
    match REQUESTS.load(Relaxed) {
        0 => beginning,
        requests => serve(requests, beginning),
    }
}

/// Interposes libc's function, which the program's entry point calls with its `main`, before any of
/// its constructors. Leaves no frame behind.
///
/// # Safety
/// As libc's.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __libc_start_main() {
    core::arch::naked_asm!(
        "push rdi",
        "push rcx",
        "push r8",
        "push r9",
        "sub rsp, 8",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "call {begin}",
        "mov rsi, rax",
        "add rsp, 8",
        "pop r9",
        "pop r8",
        "pop rcx",
        "pop rdi",
        "jmp qword ptr [rip + {next}]",
        begin = sym begin,
        next = sym NEXT,
    )
}

/// Interposes libc's function, which the program's entry point calls with its `main`, before any of
/// its constructors. Leaves no frame behind.
///
/// # Safety
/// As libc's.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __libc_start_main() {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -64]!",
        "stp x0, x3, [sp, 16]",
        "stp x4, x5, [sp, 32]",
        "str x6, [sp, 48]",
        "mov w0, w1",
        "mov x1, x2",
        "bl {begin}",
        "mov x2, x1",
        "mov x1, x0",
        "ldr x6, [sp, 48]",
        "ldp x4, x5, [sp, 32]",
        "ldp x0, x3, [sp, 16]",
        "ldp x29, x30, [sp], 64",
        "adrp x16, {next}",
        "ldr x16, [x16, :lo12:{next}]",
        "br x16",
        begin = sym begin,
        next = sym NEXT,
    )
}

/// How many forks wait for a request, so that no request has to wait for a fork.
const SPARES: usize = 2;

/// What the fork server and its forks have in common.
struct Common {
    /// The socket for requests.
    requests: c_int,
    /// A pipe on which a fork that has taken a request sends its PID.
    taken: [c_int; 2],
    thread: Thread,
    memory_map: MemoryMap,
    room: *mut u8,
}

/// Keeps spare forks until the runner wants no more; returns only in the forks.
fn serve(requests: c_int, beginning: Beginning) -> Beginning {
    let Some(common) = Common::find(requests, &beginning) else { fork::end(1) };
    answer(requests, 0, syscalls::process());
    let mut spares = [0; SPARES];
    loop {
        for spare in spares.iter_mut().filter(|spare| **spare == 0) {
            // SAFETY: no code has run that could have made a second thread and left it; the
            // runner has looked, too.
            match unsafe { common.thread.fork_sibling() } {
                0 => return common.become_worker(),
                fork if fork > 0 => *spare = fork as u32,
                _ => {}
            }
        }
        let is_over = spares == [0; SPARES] || !common.await_taken(&mut spares);
        if is_over {
            for spare in spares.iter().filter(|spare| **spare != 0) {
                answer(requests, 0, *spare);
            }
            fork::end(0);
        }
    }
}

/// Sends an answer. If the other end is closed, SIGPIPE kills the process, which nothing needs
/// then.
fn answer(to: c_int, error: u32, process: u32) {
    let (error, process) = (error.to_ne_bytes(), process.to_ne_bytes());
    syscalls::write(to, &[Piece::of(&error), Piece::of(&process)]);
}

impl Common {
    /// None if the process cannot become a worker later.
    fn find(requests: c_int, beginning: &Beginning) -> Option<Common> {
        let memory_map = MemoryMap::own().filter(MemoryMap::set)?;
        // SAFETY: what the program's entry point passed; nothing else runs.
        let is_fit =
            unsafe { is_untouched(beginning.count, beginning.arguments, memory_map.environment()) }
                && fork::process_by_libc() == syscalls::process();
        let room = syscalls::memory(LONGEST_REQUEST).filter(|_| is_fit)?;
        let (thread, taken) = (Thread::calling()?, fork::pipe()?);
        Some(Common { requests, taken, thread, memory_map, room })
    }

    /// Waits until a spare fork has taken a request. Returns false if the runner wants no more
    /// forks.
    fn await_taken(&self, spares: &mut [u32; SPARES]) -> bool {
        let is_over = fork::await_either(self.taken[0], self.requests);
        // A fork that has taken a request before that has sent its PID before.
        if !fork::has_more(self.taken[0]) {
            return !is_over;
        }
        let mut number = [0; 4];
        if syscalls::read(self.taken[0], &mut number) == number.len() {
            let number = u32::from_ne_bytes(number);
            spares.iter_mut().filter(|spare| **spare == number).for_each(|spare| *spare = 0);
        }
        true
    }

    /// In a fork: waits for a request, and makes the process the worker that the runner would have
    /// spawned.
    fn become_worker(&self) -> Beginning {
        // If the runner died before this, there will be no request either.
        syscalls::die_with_parent();
        let is_leader = fork::lead_group() >= 0;
        // SAFETY: a mapping of that length, of which this process alone uses its copy.
        let room = unsafe { core::slice::from_raw_parts_mut(self.room, LONGEST_REQUEST) };
        let Some(received) = fork::receive(self.requests, room) else { fork::end(0) };
        // This fork has the reading end as well, so that SIGPIPE is impossible if the server is
        // gone.
        syscalls::write(self.taken[1], &[Piece::of(&syscalls::process().to_ne_bytes())]);
        self.taken.iter().for_each(|end| syscalls::close(*end));
        syscalls::close(self.requests);
        REQUESTS.store(0, Relaxed);
        let beginning = self.begin(&received, room).filter(|_| is_leader);
        let [channel, ..] = received.descriptors;
        let Some(beginning) = beginning else {
            answer(channel, REFUSED, syscalls::process());
            fork::end(1)
        };
        answer(channel, 0, syscalls::process());
        crate::begin_worker(channel, beginning.count as c_int, beginning.arguments);
        beginning
    }

    fn begin(&self, received: &Received, room: &[u8]) -> Option<Beginning> {
        let request = Request::read(room.get(..received.length)?)?;
        let [_, output, errors] = received.descriptors;
        if let Some(gate) = request.gate {
            gate::open(gate);
        }
        if let Some(log) = request.uses {
            uses::open(log);
        }
        let is_done = fork::duplicate_to(output, 1) >= 0
            && fork::duplicate_to(errors, 2) >= 0
            && self.memory_map.show(request.arguments, request.environment)
            && fork::process_by_libc() == syscalls::process();
        syscalls::close(output);
        syscalls::close(errors);
        crate::empty_input();
        records::main().thread.store(syscalls::thread(), Relaxed);
        // SAFETY: the program has not started; the strings are in a mapping that is never unmapped.
        unsafe { request.lay_out() }.filter(|_| is_done)
    }
}

/// A request of the runner.
struct Request<'r> {
    counts: [usize; 2],
    /// Strings that end in zero bytes, one after the other.
    arguments: &'r [u8],
    environment: &'r [u8],
    /// The gate of its tests, if it has one.
    gate: Option<&'r CStr>,
    /// The log of what its tests use, if it has one.
    uses: Option<&'r CStr>,
}

impl Request<'_> {
    fn read(message: &[u8]) -> Option<Request<'_>> {
        let (header, texts) = message.split_at_checked(HEADER)?;
        let mut numbers = header.chunks_exact(4);
        let mut number = || Some(u32::from_ne_bytes(numbers.next()?.try_into().ok()?) as usize);
        let counts = [number()?, number()?];
        let (arguments, texts) = texts.split_at_checked(number()?)?;
        let (environment, rest) = texts.split_at_checked(number()?)?;
        let mut rest = rest.split_inclusive(|byte| *byte == 0);
        let mut next = || CStr::from_bytes_with_nul(rest.next()?).ok().filter(|c| !c.is_empty());
        let (gate, uses) = (next(), next());
        let count = |texts: &[u8]| texts.iter().filter(|byte| **byte == 0).count();
        let is_right = [count(arguments), count(environment)] == counts
            && arguments.last() == Some(&0)
            && environment.last().is_none_or(|last| *last == 0);
        is_right.then_some(Request { counts, arguments, environment, gate, uses })
    }

    /// Lays out what a program finds on its initial stack: arguments, environment, auxiliary
    /// vector.
    ///
    /// # Safety
    /// Nothing uses the environment now, and all strings stay where they are.
    unsafe fn lay_out(&self) -> Option<Beginning> {
        let [arguments, variables] = self.counts;
        // SAFETY: `is_untouched` has checked that before the first request.
        let auxiliary = unsafe { environment::auxiliary_vector() };
        let words = arguments + 1 + variables + 1 + auxiliary.len();
        let room = syscalls::memory(words * size_of::<usize>())?.cast::<usize>();
        // SAFETY: a fresh mapping of that many words; `strings` yields as many as were counted.
        unsafe {
            let mut place = room;
            let mut put = |word: usize| {
                place.write(word);
                place = place.add(1);
            };
            strings(self.arguments).for_each(&mut put);
            put(0);
            strings(self.environment).for_each(&mut put);
            put(0);
            auxiliary.iter().copied().for_each(&mut put);
            environment::replace(room.add(arguments + 1).cast());
        }
        Some(Beginning { count: arguments, arguments: room.cast_const().cast() })
    }
}

/// The address of each of the strings.
fn strings(all: &[u8]) -> impl Iterator<Item = usize> + '_ {
    all.split_inclusive(|byte| *byte == 0).map(|text| text.as_ptr() as usize)
}
