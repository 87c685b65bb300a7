//! A static at the root stands above every module: the whole binary is one unit.

use std::sync::atomic::{AtomicU32, Ordering};

static DOOR: AtomicU32 = AtomicU32::new(0);

fn enter(module: &str) -> u32 {
    rules::log(module);
    DOOR.fetch_add(1, Ordering::SeqCst) + 1
}

mod staff {
    #[test]
    fn come_in() {
        assert!(super::enter(module_path!()) > 0);
    }
}

mod visitors {
    #[test]
    fn come_in() {
        assert!(super::enter(module_path!()) > 0);
    }

    #[test]
    fn come_in_twice() {
        let before = super::enter(module_path!());
        assert!(super::enter(module_path!()) > before);
    }
}
