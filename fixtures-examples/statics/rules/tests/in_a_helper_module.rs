//! Nobody can tell who uses a static in a module without tests: the whole binary is one unit.

mod support {
    use std::sync::atomic::{AtomicU32, Ordering};

    static LAST_NUMBER: AtomicU32 = AtomicU32::new(0);

    pub fn draw_a_number() -> u32 {
        LAST_NUMBER.fetch_add(1, Ordering::SeqCst) + 1
    }
}

mod counter {
    #[test]
    fn calls_a_number() {
        rules::log(module_path!());
        assert!(super::support::draw_a_number() > 0);
    }
}

mod queue {
    #[test]
    fn grows() {
        rules::log(module_path!());
        let before = super::support::draw_a_number();
        assert!(super::support::draw_a_number() > before);
    }
}
