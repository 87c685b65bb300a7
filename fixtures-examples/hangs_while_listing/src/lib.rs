//! Next to this library's ordinary test stands `tests/slow_catalogue.rs`, a harness of its own that
//! speaks the protocol but never answers when it is asked for its list.
//!
//! `cargo test` does not ask, and passes. Under `cargo partest` the listing ends after the second
//! that Cargo.toml allows; then the harness runs as one test, and passes too. A warning shows the
//! binary and the command.

pub fn shelf(number: u32) -> u32 {
    number / 100
}

#[cfg(test)]
mod tests {
    #[test]
    fn books_have_a_shelf() {
        assert_eq!(super::shelf(742), 7);
    }
}
