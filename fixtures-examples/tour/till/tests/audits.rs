//! Reads the cash drawer: beside other readers, never beside a writer.

mod read_lock {
    use std::path::Path;
    use till::CashDrawer;

    /// One drawer for all test binaries of a run, whose name only `cargo partest` tells.
    fn drawer() -> CashDrawer {
        let run = std::env::var("PARTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
        CashDrawer::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drawer-{run}")))
    }

    #[test]
    fn in_the_evening_the_total_is_right() {
        for _ in 0..50 {
            assert_eq!(drawer().total(), CashDrawer::TOTAL);
        }
    }

    #[test]
    fn in_the_morning_the_total_is_right() {
        for _ in 0..50 {
            assert_eq!(drawer().total(), CashDrawer::TOTAL);
        }
    }
}
