//! A crate that rustc refuses: a text where a number belongs.
//!
//! Under `cargo partest` the error is shown as rustc prints it, no test runs, and the exit code is
//! 101.

pub fn dozen() -> u32 {
    "twelve"
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_dozen_is_twelve() {
        assert_eq!(super::dozen(), 12);
    }
}
