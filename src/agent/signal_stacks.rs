//! Stacks for the signal handlers of tests' threads, used again and again.
//!
//! The standard library gives every thread a stack of its own for its handler of stack overflows,
//! unless the thread has one: it maps one, protects its end, and unmaps it when the thread ends.
//! For a trivial test that is a fifth of its time. Threads of tests find one of these instead.

use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::system;

/// As many as there are bits in `TAKEN`. A thread that finds none gets its own as ever.
const MOST: usize = u32::BITS as usize;

/// Enough for what a processor of either architecture saves of its registers, and for a handler.
/// The lowest part is a guard, as long as the longest page that Linux has on them.
const LENGTH: usize = 128 * 1024;
const GUARD: usize = 64 * 1024;

/// A bit for each stack that some thread has.
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// Where they lie; 0: not made yet.
static PLACES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// Gives the calling thread a stack; its number, counted from 1, or 0 where there is none.
pub fn take() -> u32 {
    let Some(index) = reserve() else { return 0 };
    // One that cannot be made stays reserved, and is not tried again.
    let Some(lowest) = place(index) else { return 0 };
    system::set_signal_stack(Some((lowest + GUARD, LENGTH - GUARD)));
    index + 1
}

/// The calling thread, which has the stack of that number, is about to end.
pub fn give_back(number: u32) {
    if let Some(index) = number.checked_sub(1) {
        system::set_signal_stack(None);
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
            let memory = system::memory(LENGTH)?;
            if !system::forbid(memory, GUARD) {
                return None;
            }
            place.store(memory.addr(), Relaxed);
            Some(memory.addr())
        }
        made => Some(made),
    }
}
