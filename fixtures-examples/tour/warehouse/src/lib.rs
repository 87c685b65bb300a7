//! Where the books are. Each module is named for what it asks for: the tests of `unit` share expensive
//! shelves, those of `split` need nothing, the one of `exclusive` wants the machine for itself.
//!
//! Under `cargo partest` all of it passes, and the shelves are filled once.

pub fn filled_shelf(books: u32) -> Vec<String> {
    (0..books).map(|number| format!("book {number}")).collect()
}

pub fn label(shelf: u32, place: u32) -> String {
    format!("{shelf:03}-{place:02}")
}

#[cfg(test)]
mod unit {
    use super::filled_shelf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static TIMES_FILLED: AtomicU32 = AtomicU32::new(0);

    /// Costs a few tenths of a second: once for the unit, or once for every test where each has a
    /// process of its own.
    fn shelf() -> &'static [String] {
        static SHELF: OnceLock<Vec<String>> = OnceLock::new();
        let shelf = SHELF.get_or_init(|| {
            TIMES_FILLED.fetch_add(1, Ordering::SeqCst);
            filled_shelf(1_000_000)
        });
        assert_eq!(TIMES_FILLED.load(Ordering::SeqCst), 1);
        shelf
    }

    #[test]
    fn shelves_begin_with_book_zero() {
        assert_eq!(shelf()[0], "book 0");
    }

    #[test]
    fn shelves_end_with_the_last_book() {
        assert_eq!(shelf().last().unwrap(), "book 999999");
    }

    #[test]
    fn shelves_hold_a_million() {
        assert_eq!(shelf().len(), 1_000_000);
    }

    #[test]
    fn shelves_keep_their_order() {
        assert_eq!(shelf()[4711], "book 4711");
    }
}

#[cfg(test)]
mod split {
    use super::label;

    #[test]
    fn labels_are_long_enough_for_small_numbers() {
        assert_eq!(label(1, 2), "001-02");
    }

    #[test]
    fn labels_differ_by_place() {
        assert_ne!(label(7, 1), label(7, 2));
    }

    #[test]
    fn labels_differ_by_shelf() {
        assert_ne!(label(1, 7), label(2, 7));
    }

    #[test]
    fn labels_grow_with_large_numbers() {
        assert_eq!(label(12_345, 678), "12345-678");
    }
}

/// Uses every core, so that nothing else should run beside it.
#[cfg(test)]
mod exclusive {
    use std::thread;

    #[test]
    fn stocktaking_uses_every_core() {
        let hands = thread::available_parallelism().unwrap().get();
        let books = super::filled_shelf(100_000);
        let counted: usize = thread::scope(|scope| {
            let counting: Vec<_> = books
                .chunks(books.len().div_ceil(hands))
                .map(|part| scope.spawn(|| part.iter().filter(|book| book.len() > 4).count()))
                .collect();
            counting.into_iter().map(|hand| hand.join().unwrap()).sum()
        });
        assert_eq!(counted, 100_000);
    }
}
