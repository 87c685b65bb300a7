//! Ignored tests: without a reason, with one, and one that would fail if it ran. The last one's
//! reason has a second line that reads like the result of another test.
//!
//! Under `cargo partest` one test passes and four are ignored; with `-- --include-ignored` four
//! pass and `would_fail` fails; with `-- --ignored` only the four run.

pub fn is_leap_year(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::is_leap_year;

    #[test]
    fn centuries_are_none() {
        assert!(!is_leap_year(1900));
    }

    #[test]
    #[ignore]
    fn without_a_reason() {
        assert!(is_leap_year(2024));
    }

    #[test]
    #[ignore = "the calendar server is not reachable from here"]
    fn with_a_reason() {
        assert!(is_leap_year(2000));
    }

    #[test]
    #[ignore = "takes two lines to explain:\nok tests::centuries_are_none"]
    fn with_a_reason_that_looks_like_a_result() {
        assert!(!is_leap_year(2023));
    }

    #[test]
    #[ignore = "known to be wrong"]
    fn would_fail() {
        assert!(is_leap_year(2100), "2100 is no leap year");
    }
}
