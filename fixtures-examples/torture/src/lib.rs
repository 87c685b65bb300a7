//! Tests that do what no test should, several in one process: they end it in all ways there are
//! (with any exit code, by a signal, in a panic within a panic), take its streams away, fill
//! them, forge results, and bear names that nobody can read.
//!
//! Under `cargo partest` each costs itself only: what passes has passed, what ends its process has
//! aborted, also where three of one process do it at once. The exit code is 100.
#![cfg(all(test, unix))]

unsafe extern "C" {
    fn close(fd: i32) -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// Three tests that abort, in one process with those that pass.
mod aborts_together {
    #[test]
    fn a_aborts() {
        std::process::abort();
    }

    #[test]
    fn b_passes() {}

    #[test]
    fn c_aborts() {
        std::process::abort();
    }

    #[test]
    fn d_passes() {}

    #[test]
    fn e_aborts() {
        std::process::abort();
    }
}

mod exits {
    use super::_exit;

    #[test]
    fn with_1() {
        std::process::exit(1);
    }

    /// libtest's own exit code for a failure.
    #[test]
    fn with_101() {
        std::process::exit(101);
    }

    #[test]
    fn with_255() {
        std::process::exit(255);
    }

    /// Past all handlers.
    #[test]
    fn with_0_at_once() {
        unsafe { _exit(0) };
    }

    #[test]
    fn not_at_all() {}
}

mod kills_itself {
    use super::kill;

    #[test]
    fn by_sigkill() {
        unsafe { kill(std::process::id() as i32, 9) };
        std::thread::park();
    }

    #[test]
    fn by_sigterm() {
        unsafe { kill(std::process::id() as i32, 15) };
        std::thread::park();
    }

    #[test]
    fn not() {}
}

mod panics {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }

    /// A panic like any other.
    #[test]
    fn in_a_drop() {
        drop(Bomb);
    }

    /// The process aborts.
    #[test]
    fn while_panicking() {
        let _bomb = Bomb;
        panic!("first");
    }

    #[test]
    fn with_no_text() {
        std::panic::panic_any(42);
    }

    #[test]
    fn with_escapes() {
        panic!("\x1b[2J\x1b]0;a new title\x07 \x1b[31m\u{202e}red\r\n\x08\u{9b}31m and so on");
    }

    #[test]
    fn with_a_long_message() {
        panic!("{}", "word ".repeat(400_000));
    }

    #[test]
    #[should_panic(expected = "never said")]
    fn with_a_long_message_that_is_not_as_expected() {
        panic!("{}", "word ".repeat(400_000));
    }

    #[test]
    fn not() {}
}

/// Each in a process of its own: their streams are all tests' of it.
mod streams {
    use super::close;
    use std::io::Write;

    #[test]
    fn closes_stdout() {
        unsafe { close(1) };
    }

    #[test]
    fn closes_stderr() {
        unsafe { close(2) };
    }

    #[test]
    fn closes_all_three_and_fails() {
        for fd in 0..3 {
            unsafe { close(fd) };
        }
        panic!("and who hears that?");
    }

    /// More than any pipe holds, in one piece, to both, and no end of a line.
    #[test]
    fn fills_both_pipes() {
        let much = vec![b'x'; 4 << 20];
        std::io::stdout().write_all(&much).unwrap();
        std::io::stderr().write_all(&much).unwrap();
    }

    /// Bytes that are no text, 64 MiB of them, past the capture.
    #[test]
    fn floods_with_bytes_that_are_no_text() {
        let much = vec![0xff; 1 << 20];
        for _ in 0..64 {
            std::io::stdout().write_all(&much).unwrap();
        }
    }
}

mod forges {
    use std::io::Write;

    const FORGED: &str = "\n\
        {\"type\":\"test\",\"event\":\"ok\",\"name\":\"forges::fails_all_the_same\"}\n\
        {\"type\":\"test\",\"event\":\"ok\",\"name\":\"forges::dies_all_the_same\"}\n\
        {\"type\":\"suite\",\"event\":\"ok\",\"passed\":2,\"failed\":0}\n\
        ok forges::fails_all_the_same\n\
        ok forges::dies_all_the_same\n\
        test forges::fails_all_the_same ... ok\n\
        ---- forges::fails_all_the_same stdout ----\n\
        test result: ok. 2 passed; 0 failed\n";

    fn forge() {
        std::io::stdout().write_all(FORGED.as_bytes()).unwrap();
        std::io::stderr().write_all(FORGED.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }

    #[test]
    fn fails_all_the_same() {
        forge();
        panic!("it does");
    }

    #[test]
    fn dies_all_the_same() {
        forge();
        std::process::exit(0);
    }

    #[test]
    fn passes() {
        forge();
    }
}

mod names {
    /// A thread's name may hold anything but a zero.
    #[test]
    fn of_a_thread_with_escapes() {
        let thread = std::thread::Builder::new().name("\x1b[2J\x1b[31mred\r\n".into());
        thread.spawn(|| ()).unwrap().join().unwrap();
    }

    /// 500 bytes; `long_names` has longer ones.
    #[test]
    fn nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn() {}
}
