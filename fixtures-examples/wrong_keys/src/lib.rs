//! A package whose Cargo.toml has a mistake in nearly every line for `cargo partest`.
//!
//! Under `cargo partest` every mistake is reported in one go, with file, line, column and the nearest
//! right word; the path that matches no test may come as a warning. The exit code is 2 and no test
//! runs. Plain `cargo test` does not read those lines and passes.

#[cfg(test)]
mod spelling {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::spelling");
    }
}

#[cfg(test)]
mod types {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::types");
    }
}

#[cfg(test)]
mod scales {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::scales");
    }
}

#[cfg(test)]
mod server {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::server");
    }
}

#[cfg(test)]
mod client {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::client");
    }
}

#[cfg(test)]
mod offline {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::offline");
    }
}

#[cfg(test)]
mod pool {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::pool");
    }
}

#[cfg(test)]
mod right {
    #[test]
    fn is_found() {
        assert_eq!(module_path!(), "wrong_keys::right");
    }
}
