//! Starts the program of this package, with a limit of 20 seconds for each test.

mod timeout {
    use std::process::{Command, Output};

    fn till(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_till"))
            .args(arguments)
            .output()
            .unwrap()
    }

    #[test]
    fn adds_up() {
        let output = till(&["199", "1"]);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "    1.99\n    0.01\n    2.00\n"
        );
    }

    #[test]
    fn refuses_what_is_no_amount() {
        let output = till(&["nothing"]);
        assert_eq!(output.status.code(), Some(2));
    }
}
