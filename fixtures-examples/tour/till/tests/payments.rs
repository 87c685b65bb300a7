//! Writes to the cash drawer, by a lock that nobody else may hold meanwhile.

mod write_lock {
    use std::path::Path;
    use till::CashDrawer;

    /// One drawer for all test binaries of a run, whose name only `cargo partest` tells.
    fn drawer() -> CashDrawer {
        let run = std::env::var("PARTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
        CashDrawer::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drawer-{run}")))
    }

    #[test]
    fn coins_become_notes() {
        for _ in 0..50 {
            drawer().change_to_notes(1);
            assert_eq!(drawer().total(), CashDrawer::TOTAL);
        }
    }
}
