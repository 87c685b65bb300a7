//! Building frames, and queueing those that are sent later. Pure: sending is left to the channel.

use super::kinds::LONGEST;

/// The longest part of a frame that is copied field by field: a full backtrace and a few numbers.
const BUILT: usize = 384;

/// A frame being built. What does not fit is left out; only backtraces and names can be that long.
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

    /// Appends a backtrace: a count and that many addresses.
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

    /// Sets the length field, including `tail` bytes that will follow.
    pub fn close(&mut self, tail: usize) -> &[u8] {
        let follows = (self.length - 4 + tail) as u32;
        for (to, from) in self.bytes.iter_mut().zip(follows.to_ne_bytes()) {
            *to = from;
        }
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    /// Appends the frame to a queue, and returns its position there. None if the queue is full.
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

/// The capacity of a queue: the end of one test and the start of the next with names of a hundred
/// letters, or the start of a thread with its backtrace.
const QUEUED: usize = 512;

/// Whole frames that are sent later, in one call.
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

    /// Fills in a field that was not known when its frame was queued.
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

/// Splits a long payload into tails, each of which fits into one write with the fields of its frame
/// and a full queue.
pub fn parts(payload: &[u8]) -> core::slice::Chunks<'_, u8> {
    payload.chunks(LONGEST - BUILT - QUEUED)
}
