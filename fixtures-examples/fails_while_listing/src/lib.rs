//! Next to this library's ordinary test stands `tests/lost_catalogue.rs`, a harness of its own that
//! speaks the protocol but fails when it is asked for its list.
//!
//! `cargo test` does not ask, and passes. Under `cargo partest` the harness runs as one test, and
//! passes too. A warning shows the binary, the command and what it said.

pub fn room(number: u32) -> u32 {
    number % 10
}

#[cfg(test)]
mod tests {
    #[test]
    fn books_have_a_room() {
        assert_eq!(super::room(742), 2);
    }
}
