//! Alternate signal stacks for the threads of tests, which are reused.
//!
//! The standard library sets one up for every thread that has none, for its stack overflow handler:
//! it maps the stack, protects its end, and unmaps it when the thread exits. That takes a fifth of
//! the time of a trivial test. Threads of tests get one of these instead.

use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::syscalls;

/// As many as there are bits in `TAKEN`. A thread that finds none gets its own
/// from the standard library.
const MOST: usize = u32::BITS as usize;

/// Enough for the registers that the kernel saves on either architecture, and for a handler. The
/// lowest part is a guard, as long as the largest page that Linux has on them.
const LENGTH: usize = 128 * 1024;
const GUARD: usize = 64 * 1024;

/// A bit for each stack that is in use.
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// Their lowest addresses; 0 for one that is not mapped yet.
static PLACES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// Gives the calling thread a stack, and returns its number, counted from 1; 0 if there is none.
pub fn take() -> u32 {
    let Some(index) = reserve() else { return 0 };
    // One that cannot be mapped stays reserved, and is not tried again.
    let Some(lowest) = place(index) else { return 0 };
    syscalls::set_signal_stack(Some((lowest + GUARD, LENGTH - GUARD)));
    index + 1
}

/// Takes the stack of that number back from the calling thread, which is about to exit.
pub fn give_back(number: u32) {
    if let Some(index) = number.checked_sub(1) {
        syscalls::set_signal_stack(None);
        free(index);
    }
}

fn reserve() -> Option<u32> {
    let mut taken = TAKEN.load(Relaxed);
    loop {
        let index = taken.trailing_ones();
        let bit = 1_u32.checked_shl(index)?;
        match TAKEN.compare_exchange_weak(taken, taken | bit, AcqRel, Acquire) {
            Ok(_) => return Some(index),
            Err(other) => taken = other,
        }
    }
}

fn free(index: u32) {
    TAKEN.fetch_and(!(1 << index), AcqRel);
}

/// The lowest address of a stack that the caller has reserved.
fn place(index: u32) -> Option<usize> {
    let place = PLACES.get(index as usize)?;
    match place.load(Relaxed) {
        0 => {
            let memory = syscalls::memory(LENGTH)?;
            if !syscalls::forbid(memory, GUARD) {
                return None;
            }
            place.store(memory.addr(), Relaxed);
            Some(memory.addr())
        }
        made => Some(made),
    }
}
