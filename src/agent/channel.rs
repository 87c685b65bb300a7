//! The way to the runner: one descriptor, one system call a frame.
//!
//! A frame is `u32 length of what follows, u8 kind, fields`, all in the machine's byte order.
//! What is here may run in a signal handler and in any thread at once: it holds no lock and no
//! buffer but its caller's stack.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crate::frame::{Frame, Queue};
use crate::records;
use crate::system::{self, Identity, Piece};

/// What makes this process the one that speaks. It lies on a page that the kernel empties in
/// every forked child, however it was forked, so that a child is silent without being asked.
struct Voice {
    /// 0: silent. The channel itself is always far above the standard descriptors.
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    /// 0: the page is emptied in children. Otherwise the process that may speak.
    process: AtomicU32,
    /// How often the channel has moved to another number.
    moves: AtomicU32,
    /// Frames that are being written, by whether that number was even when they began.
    writing: [AtomicU32; 2],
}

impl Voice {
    /// Counts a frame that is about to be written to the channel as it stands now.
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

    /// The channel has another number: waits until nobody writes to the old one any more, for
    /// whoever gets that. A frame takes no longer than the runner to read; one that a handler has
    /// left by a jump is not waited for in vain for ever.
    fn await_writers(&self) {
        let [even, odd] = &self.writing;
        let writing = if self.moves.fetch_add(1, SeqCst) % 2 == 0 { even } else { odd };
        for _ in 0..MOST_PAUSES {
            if writing.load(SeqCst) == 0 {
                return;
            }
            system::pause();
        }
    }
}

/// In pauses of a millisecond.
const MOST_PAUSES: u32 = 1_000;

static VOICE: AtomicPtr<Voice> = AtomicPtr::new(ptr::null_mut());
/// The same number outside of the page: what a forked child has to close.
static INHERITED: AtomicI32 = AtomicI32::new(0);

/// Two pages at the most common sizes (4 KiB, 64 KiB) are one mapping of this length.
const VOICE_ROOM: usize = 65_536;

fn voice() -> Option<&'static Voice> {
    // SAFETY: null, or the mapping that `open` made and nobody ever gives back.
    unsafe { VOICE.load(Relaxed).as_ref() }
}

/// Takes over the descriptor that the runner handed down. False: no channel, the agent sleeps.
pub fn open(given: c_int) -> bool {
    let Some(high) = move_up(given) else { return false };
    let (Some(room), Some(identity)) = (system::memory(VOICE_ROOM), system::identity(high)) else {
        return false;
    };
    let wiped = system::wipe_in_children(room, VOICE_ROOM);
    VOICE.store(room.cast(), Relaxed);
    let Some(voice) = voice() else { return false };
    voice.process.store(if wiped { 0 } else { system::process() }, Relaxed);
    adopt(voice, high, identity);
    true
}

fn adopt(voice: &Voice, descriptor: c_int, identity: Identity) {
    voice.device.store(identity.device, Relaxed);
    voice.inode.store(identity.inode, Relaxed);
    voice.descriptor.store(descriptor, Relaxed);
    INHERITED.store(descriptor, Relaxed);
}

/// A number that tests do not come across: loops over "all" descriptors often stop at 256, and
/// the usual limit is 1,024. Lower ones serve where the limit is lower.
fn move_up(descriptor: c_int) -> Option<c_int> {
    [900, 500, 200, 50, 10].iter().find_map(|&lowest| system::duplicate(descriptor, lowest))
}

/// The channel's descriptor, if this process speaks. The child of a `vfork` does not, though it has
/// the same memory: what it does to its descriptors is no concern of its parent's.
pub fn descriptor() -> Option<c_int> {
    let voice = voice()?;
    let descriptor = voice.descriptor.load(SeqCst);
    let process = voice.process.load(Relaxed);
    let speaks = descriptor != 0 && (process == 0 || process == system::process());
    (speaks && !records::is_in_vfork()).then_some(descriptor)
}

pub fn is_open() -> bool {
    descriptor().is_some()
}

/// Somebody asks for our number: the channel moves elsewhere and lets them have it.
pub fn give_way() {
    let Some((voice, old)) = voice().zip(descriptor()) else { return };
    match system::duplicate(old, old + 1).or_else(|| move_up(old)) {
        Some(new) => {
            voice.descriptor.store(new, SeqCst);
            INHERITED.store(new, Relaxed);
        }
        None => silence(),
    }
    voice.await_writers();
}

/// From now on nothing is sent. The runner sees a channel without `goodbye`.
pub fn silence() {
    if let Some(voice) = voice() {
        voice.descriptor.store(0, Relaxed);
    }
}

/// In a forked child: the runner must not wait for it.
pub fn leave_child() {
    let descriptor = INHERITED.swap(0, Relaxed);
    if descriptor != 0 {
        system::close(descriptor);
    }
}

/// Closed behind our back (by a bare system call) and opened again, the number is the test's.
fn is_ours(voice: &Voice, descriptor: c_int) -> bool {
    let ours = Identity { device: voice.device.load(Relaxed), inode: voice.inode.load(Relaxed) };
    system::identity(descriptor) == Some(ours)
}

/// Sends pieces that together are one frame or several whole ones. False: the agent is silent.
pub fn send(pieces: &[Piece]) -> bool {
    let Some(voice) = voice() else { return false };
    let writing = voice.enter();
    let is_sent = write(voice, pieces);
    writing.fetch_sub(1, SeqCst);
    is_sent
}

fn write(voice: &Voice, pieces: &[Piece]) -> bool {
    let Some(descriptor) = descriptor() else { return false };
    if !is_ours(voice, descriptor) {
        silence();
        return false;
    }
    loop {
        match system::write(descriptor, pieces) {
            system::EINTR => continue,
            sent if sent >= 0 => return true,
            _ => {
                silence();
                return false;
            }
        }
    }
}

/// Sending, which is the channel's own part.
impl Frame {
    pub fn send(mut self) -> bool {
        let whole = self.close(0);
        send(&[Piece::of(whole)])
    }

    /// Sends the frame with bytes that end it. They must fit: see `parts`.
    pub fn send_with(mut self, tail: &[u8]) -> bool {
        let head = self.close(tail.len());
        send(&[Piece::of(head), Piece::of(tail)])
    }

    /// Lets the frame wait for more of its kind, as long as there is room.
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
