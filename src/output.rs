//! What tests print, in bounded memory.

/// Bytes with a bound: the beginning and the end are kept, the middle is counted.
#[derive(Debug, Default, Clone)]
pub struct Bounded {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
}

impl Bounded {
    /// What is kept of each of the two ends, in bytes: more than anybody scrolls through,
    /// and 1,000 failures still fit into memory.
    pub const PART: usize = 128 * 1024;

    pub fn push(&mut self, bytes: &[u8]) {
        let room = Self::PART.saturating_sub(self.head.len());
        let (head, tail) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        // Cutting at twice the bound keeps the moving of bytes rare.
        if self.tail.len() > 2 * Self::PART {
            let surplus = self.tail.len() - Self::PART;
            self.tail.drain(..surplus);
            self.dropped += surplus;
        }
    }

    /// Notes bytes that were not kept before they came here.
    pub fn leave_out(&mut self, bytes: usize) {
        self.dropped += bytes;
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
