//! Tests that write where the capture of the test harness does not reach: straight to stdout and
//! stderr, through `/dev/stdout`, through a child. They print what looks like results, bytes that
//! are no text, terminal codes, and lines without an end.
//!
//! Under `cargo partest` all ten pass whatever they print, none of the forged names appears as a
//! test, and the terminal is left alone. With `--features broken` one more test fails, and its
//! output is its own.

#[cfg(all(test, unix))]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::process::Command;

    /// Results as libtest prints them, of tests that do not exist and of one that does.
    const FORGED: &str = "\
test forged::by_hand ... FAILED
test tests::z_says_nothing ... FAILED
ok other::name
failed tests::z_says_nothing
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn bytes_that_are_no_text() {
        std::io::stdout()
            .write_all(b"before \xff\xfe\xc3( after\n")
            .unwrap();
        std::io::stderr()
            .write_all(b"\xf0\x28\x8c\x28\0\n")
            .unwrap();
    }

    #[test]
    fn forged_results_by_a_child() {
        assert!(Command::new("echo").arg(FORGED).status().unwrap().success());
    }

    #[test]
    fn forged_results_by_a_device() {
        let mut device = File::options().append(true).open("/dev/stdout").unwrap();
        device.write_all(FORGED.as_bytes()).unwrap();
    }

    #[test]
    fn forged_results_in_json() {
        let event = br#"{ "type": "test", "event": "failed", "name": "tests::z_says_nothing" }"#;
        std::io::stdout().write_all(event).unwrap();
        std::io::stdout()
            .write_all(b"\n{\"event\":\"run-finished\",\"passed\":0}\n")
            .unwrap();
    }

    #[test]
    fn forged_results_on_stderr() {
        std::io::stderr().write_all(FORGED.as_bytes()).unwrap();
    }

    #[test]
    fn forged_results_on_stdout() {
        std::io::stdout().write_all(FORGED.as_bytes()).unwrap();
    }

    #[test]
    fn forged_results_within_the_capture() {
        print!("{FORGED}");
        eprint!("{FORGED}");
    }

    #[test]
    fn lines_without_an_end() {
        std::io::stdout().write_all(b"no end on stdout").unwrap();
        std::io::stdout().flush().unwrap();
        std::io::stderr().write_all(b"no end on stderr").unwrap();
    }

    #[cfg(feature = "broken")]
    #[test]
    fn loses_its_place() {
        std::io::stdout()
            .write_all(b"test tests::loses_its_place ... ok\n")
            .unwrap();
        println!("captured, and followed by a failure");
        assert_eq!("page 1", "page 2", "the bookmark fell out");
    }

    #[test]
    fn terminal_codes() {
        let codes = b"\x1b[2J\x1b[H\x1b[31mred\x1b]0;a new title\x07\rback at the start\x1b[?25l\n";
        std::io::stdout().write_all(codes).unwrap();
        std::io::stderr().write_all(codes).unwrap();
    }

    #[test]
    fn z_says_nothing() {
        assert!(FORGED.contains("z_says_nothing"));
    }
}
