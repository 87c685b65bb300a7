//! Tracing's macros make a harmless static `META`, inside of another one; nobody else's is.

mod files {
    use std::sync::atomic::{AtomicU64, Ordering};

    static META: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn have_an_owner() {
        rules::log(module_path!());
        assert!(META.fetch_add(1, Ordering::SeqCst) < 2);
    }

    #[test]
    fn have_a_size() {
        rules::log(module_path!());
        assert!(META.fetch_add(1, Ordering::SeqCst) < 2);
    }
}

mod pages {
    #[test]
    fn have_none() {
        rules::log(module_path!());
    }
}
