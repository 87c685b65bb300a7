//! A static whose name says nothing about where it stands binds the whole binary.

mod doors {
    use std::sync::atomic::{AtomicU64, Ordering};

    #[unsafe(no_mangle)]
    static DOORS_OPENED: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn are_counted() {
        rules::log(module_path!());
        assert!(DOORS_OPENED.fetch_add(1, Ordering::SeqCst) < 2);
    }

    #[test]
    fn are_counted_again() {
        rules::log(module_path!());
        assert!(DOORS_OPENED.fetch_add(1, Ordering::SeqCst) < 2);
    }
}

mod windows {
    #[test]
    fn are_not() {
        rules::log(module_path!());
    }
}
