//! A prepared process: loaded, relocated, and stopped before any code of the program itself has
//! run. It keeps some forks of itself ready, and each becomes one of the runner's workers.
//!
//! The runner asks by a message on a socket (`asked.rs`), which any of the spare forks takes: the
//! worker's arguments and environment, and its three descriptors. It answers on the channel that
//! it was given, and goes on from there. So where the channel ends without an answer, there is
//! no worker. The forks are the runner's own children, as if it had started them.
//!
//! What a process cannot be given after its start, and the tests of a binary therefore share:
//! where things lie in memory, the stack protector's secret, and `AT_RANDOM`.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};

use crate::asked::{HEADER, LONGEST_REQUEST, REFUSED};
use crate::environment::{self, is_untouched};
use crate::system::forks::{self, Places, Received, Thread};
use crate::system::{self, Piece};
use crate::{real, records};

/// Where the runner asks; 0 in every other process.
static REQUESTS: AtomicI32 = AtomicI32::new(0);

/// libc's own `__libc_start_main`.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The constructor's part.
pub fn prepare(given: c_int) {
    const HIGH: c_int = 500;
    const LOW: c_int = 10;
    let socket = system::duplicate(given, HIGH).or_else(|| system::duplicate(given, LOW));
    crate::free(given);
    match socket {
        Some(socket) => REQUESTS.store(socket, Relaxed),
        None => system::exit(1),
    }
}

/// How a program is to begin. It travels in two registers.
#[repr(C)]
pub struct Beginning {
    count: usize,
    arguments: forks::Texts,
}

/// What stands before libc's own start of a program.
extern "C" fn begin(count: usize, arguments: forks::Texts) -> Beginning {
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

/// Stands in for libc's, which the program's entry calls with its `main`, before any of its
/// constructors. Leaves no frame behind.
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

/// Stands in for libc's, which the program's entry calls with its `main`, before any of its
/// constructors. Leaves no frame behind.
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

/// So many forks wait for a request: forking the next one then costs nobody any time.
const SPARES: usize = 2;

/// What the prepared process and its forks know from before.
struct Common {
    /// Where the runner asks.
    requests: c_int,
    /// Where a fork that has taken a request says so: its number.
    taken: [c_int; 2],
    thread: Thread,
    places: Places,
    room: *mut u8,
}

/// Keeps spare forks until the runner wants no more; returns in the forks only.
fn serve(requests: c_int, beginning: Beginning) -> Beginning {
    let Some(common) = Common::find(requests, &beginning) else { forks::end(1) };
    tell(requests, 0, system::process());
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
                tell(requests, 0, *spare);
            }
            forks::end(0);
        }
    }
}

/// To where nobody listens any more it is told once: that is a signal (SIGPIPE), which nobody
/// has asked to survive.
fn tell(to: c_int, error: u32, process: u32) {
    let (error, process) = (error.to_ne_bytes(), process.to_ne_bytes());
    system::write(to, &[Piece::of(&error), Piece::of(&process)]);
}

impl Common {
    /// None where the process cannot be given what a worker needs.
    fn find(requests: c_int, beginning: &Beginning) -> Option<Common> {
        let places = Places::own().filter(Places::set)?;
        // SAFETY: what the program's entry passed; nothing else runs.
        let is_fit =
            unsafe { is_untouched(beginning.count, beginning.arguments, places.environment()) }
                && forks::process_by_libc() == system::process();
        let room = system::memory(LONGEST_REQUEST).filter(|_| is_fit)?;
        let (thread, taken) = (Thread::calling()?, forks::pipe()?);
        Some(Common { requests, taken, thread, places, room })
    }

    /// Waits for a spare fork to be taken. False: the runner wants no more of them.
    fn await_taken(&self, spares: &mut [u32; SPARES]) -> bool {
        let is_over = forks::await_either(self.taken[0], self.requests);
        // Who was taken before the end has said so before.
        if !forks::has_more(self.taken[0]) {
            return !is_over;
        }
        let mut number = [0; 4];
        if system::read(self.taken[0], &mut number) == number.len() {
            let number = u32::from_ne_bytes(number);
            spares.iter_mut().filter(|spare| **spare == number).for_each(|spare| *spare = 0);
        }
        true
    }

    /// In a fork: waits for a request, and makes the process what the runner would have started.
    fn become_worker(&self) -> Beginning {
        // Should the runner have died before this, there will be no request either.
        system::die_with_parent();
        let is_leader = forks::lead_group() >= 0;
        // SAFETY: a mapping of that length, of which this process alone uses its copy.
        let room = unsafe { core::slice::from_raw_parts_mut(self.room, LONGEST_REQUEST) };
        let Some(received) = forks::receive(self.requests, room) else { forks::end(0) };
        // Not where nobody reads it: we could, so that the death of who should is no signal.
        system::write(self.taken[1], &[Piece::of(&system::process().to_ne_bytes())]);
        self.taken.iter().for_each(|end| system::close(*end));
        system::close(self.requests);
        REQUESTS.store(0, Relaxed);
        let beginning = self.begin(&received, room).filter(|_| is_leader);
        let [channel, ..] = received.descriptors;
        let Some(beginning) = beginning else {
            tell(channel, REFUSED, system::process());
            forks::end(1)
        };
        tell(channel, 0, system::process());
        crate::begin_worker(channel, beginning.count as c_int, beginning.arguments);
        beginning
    }

    fn begin(&self, received: &Received, room: &[u8]) -> Option<Beginning> {
        let wanted = Wanted::read(room.get(..received.length)?)?;
        let [_, output, errors] = received.descriptors;
        let is_done = forks::rename(output, 1) >= 0
            && forks::rename(errors, 2) >= 0
            && self.places.show(wanted.arguments, wanted.environment)
            && forks::process_by_libc() == system::process();
        system::close(output);
        system::close(errors);
        crate::empty_input();
        records::main().thread.store(system::thread(), Relaxed);
        // SAFETY: the program has not begun; the texts lie in a mapping that stays.
        unsafe { wanted.lay_out() }.filter(|_| is_done)
    }
}

/// What the runner wants.
struct Wanted<'r> {
    counts: [usize; 2],
    /// Texts that end in zero bytes, one after the other.
    arguments: &'r [u8],
    environment: &'r [u8],
}

impl Wanted<'_> {
    fn read(message: &[u8]) -> Option<Wanted<'_>> {
        let (header, texts) = message.split_at_checked(HEADER)?;
        let mut numbers = header.chunks_exact(4);
        let mut number = || Some(u32::from_ne_bytes(numbers.next()?.try_into().ok()?) as usize);
        let counts = [number()?, number()?];
        let (arguments, environment) = texts.split_at_checked(number()?)?;
        let count = |texts: &[u8]| texts.iter().filter(|byte| **byte == 0).count();
        let is_right = [count(arguments), count(environment)] == counts
            && arguments.last() == Some(&0)
            && environment.last().is_none_or(|last| *last == 0);
        is_right.then_some(Wanted { counts, arguments, environment })
    }

    /// Lays out what a program finds on its stack: arguments, environment, auxiliary vector.
    ///
    /// # Safety
    /// Nobody uses the environment now, and all texts stay where they are.
    unsafe fn lay_out(&self) -> Option<Beginning> {
        let [arguments, variables] = self.counts;
        // SAFETY: `is_untouched` has said so before the first request.
        let auxiliary = unsafe { environment::auxiliary_vector() };
        let words = arguments + 1 + variables + 1 + auxiliary.len();
        let room = system::memory(words * size_of::<usize>())?.cast::<usize>();
        // SAFETY: a fresh mapping of that many words; `texts` gives as many as were counted.
        unsafe {
            let mut place = room;
            let mut put = |word: usize| {
                place.write(word);
                place = place.add(1);
            };
            texts(self.arguments).for_each(&mut put);
            put(0);
            texts(self.environment).for_each(&mut put);
            put(0);
            auxiliary.iter().copied().for_each(&mut put);
            environment::replace(room.add(arguments + 1).cast());
        }
        Some(Beginning { count: arguments, arguments: room.cast_const().cast() })
    }
}

/// Where each of the texts begins.
fn texts(all: &[u8]) -> impl Iterator<Item = usize> + '_ {
    all.split_inclusive(|byte| *byte == 0).map(|text| text.as_ptr() as usize)
}
