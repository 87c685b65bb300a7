//! Frames in the making, and those that wait to be sent. Pure: who sends them is the channel's
//! business.

use super::kinds::LONGEST;

/// The longest part of a frame that is built by hand: a full stack and a few fields.
const BUILT: usize = 384;

/// A frame in the making. What does not fit is left out; only stacks and names can be that long.
#[derive(Clone)]
pub struct Frame {
    bytes: [u8; BUILT],
    length: usize,
}

impl Frame {
    pub fn new(kind: u8) -> Frame {
        Frame { bytes: [0; BUILT], length: 4 }.bytes(&[kind])
    }

    pub fn bytes(mut self, added: &[u8]) -> Frame {
        self.push(added);
        self
    }

    pub fn u32(self, number: u32) -> Frame {
        self.bytes(&number.to_ne_bytes())
    }

    pub fn u64(self, number: u64) -> Frame {
        self.bytes(&number.to_ne_bytes())
    }

    /// A count and that many addresses.
    pub fn stack(self, addresses: &[u64]) -> Frame {
        let mut frame = self.bytes(&[addresses.len() as u8]);
        for address in addresses {
            frame.push(&address.to_ne_bytes());
        }
        frame
    }

    fn push(&mut self, added: &[u8]) {
        let end = self.length + added.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(added);
            self.length = end;
        }
    }

    /// Sets the length, counting `tail` bytes that follow from elsewhere.
    pub fn close(&mut self, tail: usize) -> &[u8] {
        let follows = (self.length - 4 + tail) as u32;
        for (to, from) in self.bytes.iter_mut().zip(follows.to_ne_bytes()) {
            *to = from;
        }
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    /// Puts the frame where it waits; gives its place. None: no room.
    pub fn wait_in(mut self, queue: &mut Queue, tail: &[u8]) -> Option<usize> {
        let place = queue.length;
        let head = self.close(tail.len());
        if place + head.len() + tail.len() > QUEUED {
            return None;
        }
        queue.push(head);
        queue.push(tail);
        Some(place)
    }
}

/// Room for the end of one test and the start of the next with names of a hundred letters, and
/// for a thread with its stack.
const QUEUED: usize = 512;

/// Whole frames that go out later, in one call.
pub struct Queue {
    bytes: [u8; QUEUED],
    length: usize,
}

impl Queue {
    pub const EMPTY: Queue = Queue { bytes: [0; QUEUED], length: 0 };

    fn push(&mut self, added: &[u8]) {
        let end = self.length + added.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(added);
            self.length = end;
        }
    }

    /// Fills in a field that was not known when its frame was put here.
    pub fn fill_in(&mut self, place: usize, number: u32) {
        for (to, from) in self.bytes.iter_mut().skip(place).zip(number.to_ne_bytes()) {
            *to = from;
        }
    }

    pub fn take_over(&mut self, from: &mut Queue) {
        self.length = 0;
        self.push(from.waiting());
        from.length = 0;
    }

    pub fn waiting(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    pub fn clear(&mut self) {
        self.length = 0;
    }
}

/// Cuts a long payload into tails that fit a frame together with its fields and what waited.
pub fn parts(payload: &[u8]) -> core::slice::Chunks<'_, u8> {
    payload.chunks(LONGEST - BUILT - QUEUED)
}
