//! A static of another crate of the workspace binds the whole binary that it is linked into.

mod letters {
    #[test]
    fn are_numbered() {
        rules::log(module_path!());
        assert!(counters::next() > 0);
    }
}

mod parcels {
    #[test]
    fn are_numbered_apart() {
        rules::log(module_path!());
        assert_ne!(counters::next(), counters::next());
    }
}
