//! What nobody can change is no fixture. All four tests may split.

mod tables {
    static PRICES: [u32; 3] = [5, 9, 12];

    #[test]
    fn are_read() {
        rules::log(module_path!());
        assert_eq!(std::hint::black_box(&PRICES)[1], 9);
    }

    #[test]
    fn are_sorted() {
        rules::log(module_path!());
        assert!(std::hint::black_box(&PRICES).is_sorted());
    }
}

/// These hold addresses, which the loader fills in: such a static stands in a writable section of
/// the file, and is read-only all the same once the process runs.
mod texts {
    static NAMES: &[&str] = &["stalls", "circle", "gallery"];
    static RULES: [fn(u32) -> u32; 1] = [rules::price];

    #[test]
    fn are_listed() {
        rules::log(module_path!());
        assert_eq!(std::hint::black_box(NAMES).len(), 3);
    }

    #[test]
    fn are_applied() {
        rules::log(module_path!());
        assert_eq!(std::hint::black_box(&RULES)[0](30), 9);
    }
}
