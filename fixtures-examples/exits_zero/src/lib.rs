//! One of five tests ends the process with exit code 0, as a call into a program's `main` may.
//!
//! `cargo test` says nothing about the rest and calls it a success. Under `cargo partest` the one
//! test has aborted with exit code 0, the other four pass, and the exit code is 100.

/// A program's `main`, as it is often written: it does not come back.
pub fn run(arguments: &[&str]) -> u32 {
    match arguments {
        ["--version"] => {
            println!("exits_zero 0.0.0");
            std::process::exit(0)
        }
        others => others.len() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn counts_none() {
        assert_eq!(run(&[]), 0);
    }

    #[test]
    fn counts_one() {
        assert_eq!(run(&["a"]), 1);
    }

    #[test]
    fn prints_the_version() {
        assert_eq!(run(&["--version"]), 0);
    }

    #[test]
    fn sees_three() {
        assert_eq!(run(&["a", "b", "c"]), 3);
    }

    #[test]
    fn sees_two() {
        assert_eq!(run(&["a", "b"]), 2);
    }
}
