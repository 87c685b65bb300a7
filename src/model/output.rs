//! What tests print, in bounded memory, with the whole of a flood in a file.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::output_file::{Flood, Floods, Writer};

/// What a test has printed, as far as it is kept in memory, and where the rest is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    bytes: Vec<u8>,
    floods: Vec<Arc<Flood>>,
}

impl Output {
    pub fn append(&mut self, mut other: Output) {
        self.bytes.append(&mut other.bytes);
        self.floods.append(&mut other.floods);
    }

    /// Takes off the end what is not the test's.
    pub fn truncate(&mut self, length: usize) {
        let surplus = self.bytes.len().saturating_sub(length);
        self.bytes.truncate(length);
        // The last one ends as this does; nobody else knows of it yet.
        if let Some(flood) = self.floods.last_mut().and_then(Arc::get_mut) {
            flood.cut(surplus as u64);
        }
    }

    /// Writes all of it to a file too, for whom it is too long to be shown.
    pub fn spill(&mut self, floods: &Arc<Floods>) {
        if !self.floods.is_empty() {
            return;
        }
        let writer = floods.begin().and_then(|mut writer| {
            writer.write(&self.bytes);
            writer.finish()
        });
        self.floods.extend(writer.map(Arc::new));
    }

    /// Its files stay, for it is reported.
    pub fn keep(&self, name: &str) {
        self.floods.iter().for_each(|flood| flood.keep(name));
    }

    /// Files that stay.
    pub fn kept(&self) -> impl Iterator<Item = (&Flood, &Path)> {
        self.floods.iter().filter_map(|flood| Some((&**flood, flood.path()?)))
    }
}

impl Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Output {
        Output { bytes, floods: Vec::new() }
    }
}

/// Bytes with a bound: the beginning and the end are kept, the middle is counted, and all of it
/// goes to a file where there is a place for it.
#[derive(Debug, Default)]
pub struct Bounded {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
    floods: Option<Arc<Floods>>,
    flood: Option<Writer>,
}

impl Bounded {
    /// What is kept of each of the two ends, in bytes: more than anybody scrolls through,
    /// and 1,000 failures still fit into memory.
    pub const PART: usize = 128 * 1024;

    /// One whose floods go there.
    pub fn new(floods: Option<&Arc<Floods>>) -> Bounded {
        Bounded { floods: floods.cloned(), ..Bounded::default() }
    }

    /// A text of which so many bytes were left out before it came here, and all went there.
    pub fn shortened(text: &[u8], left_out: usize, flood: Option<Writer>) -> Bounded {
        let mut kept = Bounded { dropped: left_out, ..Bounded::default() };
        kept.keep(text);
        Bounded { flood, ..kept }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(flood) = &mut self.flood {
            flood.write(bytes);
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = Self::PART.saturating_sub(self.head.len());
        let (head, tail) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        // Cutting at twice the bound keeps the moving of bytes rare.
        if self.tail.len() > 2 * Self::PART {
            self.spill();
            let surplus = self.tail.len() - Self::PART;
            self.tail.drain(..surplus);
            self.dropped += surplus;
        }
    }

    /// Begins the file, with all that there was so far, if there is none and nothing is missing.
    fn spill(&mut self) {
        if self.flood.is_none() && self.dropped == 0 {
            self.flood = self.floods.as_ref().and_then(Floods::begin);
            for part in [&self.head, &self.tail] {
                self.flood.iter_mut().for_each(|flood| flood.write(part));
            }
        }
    }

    /// What comes behind it, and may be a flood itself.
    pub fn append(&mut self, other: Bounded) {
        if other.dropped == 0 {
            self.push(&other.head);
            return self.push(&other.tail);
        }
        self.spill();
        match (&mut self.flood, other.flood) {
            (Some(flood), Some(others)) => flood.append(others),
            // Half of it would be called the whole.
            _ => self.flood = None,
        }
        self.floods = None;
        self.keep(&other.head);
        self.keep(&other.tail);
        self.dropped += other.dropped;
    }

    pub fn into_output(mut self) -> Output {
        let floods = self.flood.take().and_then(Writer::finish).map(Arc::new);
        Output { floods: floods.into_iter().collect(), bytes: self.into_bytes() }
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!("\n[… {} bytes left out …]\n", self.dropped);
            self.head.extend_from_slice(note.as_bytes());
        }
        self.head.append(&mut self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_has_a_bound(
            pieces in prop::collection::vec((any::<u8>(), 0_usize..300_000), 0..12),
        ) {
            let mut kept = Bounded::default();
            let mut all = Vec::new();
            for (byte, length) in pieces {
                kept.push(&vec![byte; length]);
                all.extend(vec![byte; length]);
            }
            let kept = kept.into_bytes();
            prop_assert!(kept.len() <= 4 * Bounded::PART);
            let ends = all.len().min(Bounded::PART);
            prop_assert_eq!(&kept[..ends], &all[..ends]);
            prop_assert_eq!(&kept[kept.len() - ends..], &all[all.len() - ends..]);
        }
    }

    #[test]
    fn a_flood_keeps_its_two_ends() {
        let mut kept = Bounded::default();
        kept.push(b"begin");
        for _ in 0..100 {
            kept.push(&[b'x'; 64 * 1024]);
        }
        kept.push(b"end");
        let bytes = kept.into_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(bytes.len() < 4 * Bounded::PART && text.contains("bytes left out"));
    }
}
