//! The channel to the runner: one descriptor, one system call per frame.
//!
//! A frame is `u32 length of what follows, u8 kind, fields`, all in the machine's byte order.
//! Everything here may run in signal handlers and in several threads at once: there is no lock, and
//! no buffer but on the caller's stack.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crate::frame::{Frame, Queue};
use crate::records;
use crate::syscalls::{self, Identity, Piece};

/// The state of the channel. It is on a page that the kernel zeroes in every forked child, however
/// it was forked, so that a child sends nothing.
struct State {
    /// 0 if nothing is sent. The channel itself is always far above the standard descriptors.
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    /// 0 if the kernel zeroes the page in children, else the process that may send.
    process: AtomicU32,
    /// How often the channel has moved to another descriptor.
    moves: AtomicU32,
    /// How many frames are being written, by whether `moves` was even when they began.
    writing: [AtomicU32; 2],
}

impl State {
    /// Counts a frame that is about to be written to the current descriptor.
    fn enter(&self) -> &AtomicU32 {
        loop {
            let moves = self.moves.load(SeqCst);
            let [even, odd] = &self.writing;
            let writing = if moves % 2 == 0 { even } else { odd };
            writing.fetch_add(1, SeqCst);
            if self.moves.load(SeqCst) == moves {
                return writing;
            }
            writing.fetch_sub(1, SeqCst);
        }
    }

    /// Waits after a move until nothing is written to the old descriptor any more, which the test
    /// is about to reuse. A write takes no longer than the runner takes to read. The wait is
    /// limited, because a signal handler may have left a write by `longjmp`.
    fn await_writers(&self) {
        let [even, odd] = &self.writing;
        let writing = if self.moves.fetch_add(1, SeqCst) % 2 == 0 { even } else { odd };
        for _ in 0..MOST_PAUSES {
            if writing.load(SeqCst) == 0 {
                return;
            }
            syscalls::pause();
        }
    }
}

/// In pauses of a millisecond.
const MOST_PAUSES: u32 = 1_000;

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());
/// The same descriptor outside of the page: a forked child has to close it.
static INHERITED: AtomicI32 = AtomicI32::new(0);

/// A whole number of pages for every page size that is in use (4 KiB to 64 KiB).
const STATE_SIZE: usize = 65_536;

fn state() -> Option<&'static State> {
    // SAFETY: null, or the mapping that `open` made and that is never unmapped.
    unsafe { STATE.load(Relaxed).as_ref() }
}

/// Takes over the descriptor from the runner. Returns false if that fails; the agent then does
/// nothing.
pub fn open(given: c_int) -> bool {
    let Some(high) = move_up(given) else { return false };
    let (Some(room), Some(identity)) = (syscalls::memory(STATE_SIZE), syscalls::identity(high))
    else {
        return false;
    };
    let wiped = syscalls::wipe_in_children(room, STATE_SIZE);
    STATE.store(room.cast(), Relaxed);
    let Some(state) = state() else { return false };
    state.process.store(if wiped { 0 } else { syscalls::process() }, Relaxed);
    adopt(state, high, identity);
    true
}

fn adopt(state: &State, descriptor: c_int, identity: Identity) {
    state.device.store(identity.device, Relaxed);
    state.inode.store(identity.inode, Relaxed);
    state.descriptor.store(descriptor, Relaxed);
    INHERITED.store(descriptor, Relaxed);
}

/// Moves the channel to a descriptor that tests do not come across: loops over "all" descriptors
/// often stop at 256, and the usual limit is 1,024. Where the limit is lower, a lower one will do.
fn move_up(descriptor: c_int) -> Option<c_int> {
    [900, 500, 200, 50, 10].iter().find_map(|&lowest| syscalls::duplicate(descriptor, lowest))
}

/// The channel's descriptor, if this process may send. The child of a `vfork` may not, although it
/// shares our memory: what it does to its descriptors does not affect its parent.
pub fn descriptor() -> Option<c_int> {
    let state = state()?;
    let descriptor = state.descriptor.load(SeqCst);
    let process = state.process.load(Relaxed);
    let may_send = descriptor != 0 && (process == 0 || process == syscalls::process());
    (may_send && !records::is_in_vfork()).then_some(descriptor)
}

pub fn is_open() -> bool {
    descriptor().is_some()
}

/// Moves the channel to another descriptor, because the test is about to use this one.
pub fn move_away() {
    let Some((state, old)) = state().zip(descriptor()) else { return };
    match syscalls::duplicate(old, old + 1).or_else(|| move_up(old)) {
        Some(new) => {
            state.descriptor.store(new, SeqCst);
            INHERITED.store(new, Relaxed);
        }
        None => disable(),
    }
    state.await_writers();
}

/// Stops sending. The runner sees that the channel ends without `goodbye`.
pub fn disable() {
    if let Some(state) = state() {
        state.descriptor.store(0, Relaxed);
    }
}

/// Closes the channel in a forked child, so that the runner does not wait for it.
pub fn leave_child() {
    let descriptor = INHERITED.swap(0, Relaxed);
    if descriptor != 0 {
        syscalls::close(descriptor);
    }
}

/// Whether the descriptor still refers to the channel. A test may have closed it by a raw system
/// call, and its number may have been reused.
fn is_ours(state: &State, descriptor: c_int) -> bool {
    let ours = Identity { device: state.device.load(Relaxed), inode: state.inode.load(Relaxed) };
    syscalls::identity(descriptor) == Some(ours)
}

/// Sends pieces that together are one or more whole frames. Returns false if nothing is sent any
/// more.
pub fn send(pieces: &[Piece]) -> bool {
    let Some(state) = state() else { return false };
    let writing = state.enter();
    let is_sent = write(state, pieces);
    writing.fetch_sub(1, SeqCst);
    is_sent
}

fn write(state: &State, pieces: &[Piece]) -> bool {
    let Some(descriptor) = descriptor() else { return false };
    if !is_ours(state, descriptor) {
        disable();
        return false;
    }
    loop {
        match syscalls::write(descriptor, pieces) {
            syscalls::EINTR => continue,
            sent if sent >= 0 => return true,
            _ => {
                disable();
                return false;
            }
        }
    }
}

/// Sending frames.
impl Frame {
    pub fn send(mut self) -> bool {
        let whole = self.close(0);
        send(&[Piece::of(whole)])
    }

    /// Sends the frame, followed by the bytes of its last field, which must fit: see `parts`.
    pub fn send_with(mut self, tail: &[u8]) -> bool {
        let head = self.close(tail.len());
        send(&[Piece::of(head), Piece::of(tail)])
    }

    /// Queues the frame, and sends the queue when it is full.
    pub fn send_or_wait(self, queue: &mut Queue, tail: &[u8]) {
        if self.clone().wait_in(queue, tail).is_some() {
            return;
        }
        queue.flush();
        if self.clone().wait_in(queue, tail).is_none() {
            self.send_with(tail);
        }
    }
}

impl Queue {
    pub fn flush(&mut self) -> bool {
        let sent = self.waiting().is_empty() || send(&[Piece::of(self.waiting())]);
        self.clear();
        sent
    }
}
