//! Tests that need a server, which the runner is to start once for all of them (`shared`), next to
//! ordinary ones.
//!
//! Under `cargo partest` the fixture `echo` starts before the first test of `conversation`, hands
//! over its address as `ADDR`, and ends after the last: all five tests pass. `cargo test` starts no
//! fixtures, and fails the three for want of an address.

/// What the server answers to a line.
pub fn answer(line: &str) -> String {
    line.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn answers_are_loud() {
        assert_eq!(answer("hello"), "HELLO");
    }

    #[test]
    fn silence_is_answered_by_silence() {
        assert_eq!(answer(""), "");
    }
}
