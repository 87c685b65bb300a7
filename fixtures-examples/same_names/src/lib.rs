//! A library and a program of one name, whose tests have the same names too, and an integration test
//! with the same again.
//!
//! Under `cargo partest` all six tests pass, none is mistaken for another, and results of the
//! library and the program are told apart by their kind (`lib`, `bin`). With `--features broken`
//! only the program's `tests::starts` fails.

pub fn greeting(name: &str) -> String {
    format!("Hello, {name}!")
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn ends() {
        assert!(greeting("Ada").ends_with('!'));
    }

    #[test]
    fn starts() {
        assert!(greeting("Ada").starts_with("Hello"));
    }
}
