//! A static of a crate that is used by its path binds as one of the workspace does.

mod letters {
    #[test]
    fn are_numbered() {
        rules::log(module_path!());
        assert!(outside::next() > 0);
    }
}

mod parcels {
    #[test]
    fn are_numbered_apart() {
        rules::log(module_path!());
        assert_ne!(outside::next(), outside::next());
    }
}
