//! One module that is given two policies at once.
//!
//! Under `cargo partest` that is an error which names the file, the place and the key; the exit code
//! is 2 and no test runs. (The ancestor of this tool took such a list, and then ran the fixture
//! nowhere.)

pub fn both(left: bool, right: bool) -> bool {
    left && right
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_are_needed() {
        assert!(super::both(true, true));
    }

    #[test]
    fn one_is_not_enough() {
        assert!(!super::both(true, false));
    }
}
