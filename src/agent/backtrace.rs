//! Backtraces, taken by the process's own unwinder.
//!
//! libgcc's `_Unwind_Backtrace` does not allocate. Since glibc 2.35 it takes no lock either
//! (`_dl_find_object`); before that it takes the loader's recursive lock for each frame.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::real;

/// The most frames of a backtrace. Enough to get through the standard library to the test: a debug
/// build has about ten frames from `pthread_create` to the caller of `thread::spawn`, and as many
/// below the test.
pub const DEEPEST: usize = 32;

pub struct Stack {
    addresses: [u64; DEEPEST],
    length: usize,
}

/// The address range of the agent's own code, which backtraces leave out.
static OWN_START: AtomicUsize = AtomicUsize::new(0);
static OWN_END: AtomicUsize = AtomicUsize::new(0);

pub fn leave_out(start: usize, end: usize) {
    OWN_START.store(start, Relaxed);
    OWN_END.store(end, Relaxed);
}

fn is_own(address: usize) -> bool {
    (OWN_START.load(Relaxed)..OWN_END.load(Relaxed)).contains(&address)
}

impl Stack {
    const EMPTY: Stack = Stack { addresses: [0; DEEPEST], length: 0 };

    /// The backtrace of the code that called into the agent, innermost frame first.
    pub fn here() -> Stack {
        let mut stack = Stack::EMPTY;
        if let Some(walk) = real::_Unwind_Backtrace() {
            let place: *mut Stack = &mut stack;
            // SAFETY: `visit` gets `place` back, which outlives the walk.
            unsafe { walk(visit, place.cast()) };
        }
        stack
    }

    pub fn addresses(&self) -> &[u64] {
        self.addresses.get(..self.length).unwrap_or(&[])
    }

    fn push(&mut self, address: usize) {
        if let Some(place) = self.addresses.get_mut(self.length) {
            *place = address as u64;
            self.length += 1;
        }
    }
}

extern "C" fn visit(context: *mut c_void, stack: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 4;
    // SAFETY: `here` passes a stack of its own, and nothing else uses it meanwhile.
    let stack = unsafe { &mut *stack.cast::<Stack>() };
    let address = address_of(context);
    if address == 0 {
        return STOP;
    }
    if !is_own(address) {
        stack.push(address);
    }
    if stack.length == DEEPEST { STOP } else { GO_ON }
}

/// An address inside of the calling instruction. A return address may already belong to the next
/// line, or to the next function.
pub fn address_of(context: *mut c_void) -> usize {
    let Some(look) = real::_Unwind_GetIPInfo() else { return 0 };
    let mut interrupted = 0;
    // SAFETY: `context` is the unwinder's, valid during this call.
    let address = unsafe { look(context, &mut interrupted) };
    if interrupted == 0 { address.saturating_sub(1) } else { address }
}

/// The canonical frame address, by which the unwinder identifies a frame.
pub fn frame_of(context: *mut c_void) -> usize {
    // SAFETY: `context` is the unwinder's, valid during this call.
    real::_Unwind_GetCFA().map_or(0, |look| unsafe { look(context) })
}
