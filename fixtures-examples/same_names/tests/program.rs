mod tests {
    use std::process::Command;

    fn output() -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_same_names"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn ends() {
        assert!(output().ends_with("!\n"));
    }

    #[test]
    fn starts() {
        assert!(output().starts_with("Hello"));
    }
}
