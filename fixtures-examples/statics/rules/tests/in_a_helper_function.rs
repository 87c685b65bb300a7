//! A static inside of a function of a module of tests binds that module: `tills` is a unit,
//! `shelves` may split.

mod tills {
    use std::sync::atomic::{AtomicU32, Ordering};

    fn next_receipt() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        rules::log(module_path!());
        NEXT.fetch_add(1, Ordering::SeqCst)
    }

    #[test]
    fn receipts_are_numbered() {
        assert!(next_receipt() > 0);
    }

    #[test]
    fn receipts_are_numbered_apart() {
        assert_ne!(next_receipt(), next_receipt());
    }
}

mod shelves {
    #[test]
    fn are_counted_from_zero() {
        rules::log(module_path!());
        assert_eq!((0..4).next(), Some(0));
    }

    #[test]
    fn are_four() {
        rules::log(module_path!());
        assert_eq!((0..4).count(), 4);
    }
}
