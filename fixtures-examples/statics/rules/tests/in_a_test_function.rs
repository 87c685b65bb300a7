//! A static inside of a test function binds the module that the function stands in, as that of any
//! function does: others may call it.

mod visits {
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn counts_its_own_calls() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        rules::log(module_path!());
        CALLS.fetch_add(1, Ordering::SeqCst);
        CALLS.fetch_add(1, Ordering::SeqCst);
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn takes_a_child_along() {
        rules::log(module_path!());
        assert_eq!(rules::price(5) + rules::price(35), 14);
    }

    #[test]
    fn takes_nobody_along() {
        rules::log(module_path!());
        assert_eq!(rules::price(35), 9);
    }
}
