//! Tests that take their process with them, each in its own way, among tests that pass.
//!
//! Under `cargo partest` the six that die have aborted, each with its signal or exit code and with
//! what it printed before; the seven others pass, also those that shared a process with a dying one.
//! The exit code is 100.

#[cfg(test)]
mod aborts {
    #[test]
    fn before() {
        assert_eq!("abort".len(), 5);
    }

    #[test]
    fn dies_of_sigabrt() {
        println!("printed before the abort");
        std::process::abort();
    }

    #[test]
    fn then_another() {
        assert_eq!("another".len(), 7);
    }
}

#[cfg(test)]
mod exits {
    #[test]
    fn ends_with_three() {
        std::process::exit(3);
    }

    /// Two of a module die: the second must be found although the first has cost the process.
    #[test]
    fn ends_with_zero() {
        std::process::exit(0);
    }

    #[test]
    fn survives() {
        assert!("survives".starts_with('s'));
    }
}

#[cfg(all(test, unix))]
mod is_killed {
    #[test]
    fn dies_of_sigkill() {
        let own = std::process::id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-9", &own])
            .status();
        // The signal may take a moment to arrive; whoever comes back here was not killed.
        std::thread::park_timeout(std::time::Duration::from_secs(60));
        panic!("still alive after `kill -9 {own}`: {status:?}");
    }

    #[test]
    fn is_spared() {
        assert_ne!(std::process::id(), 0);
    }
}

#[cfg(test)]
mod overflows {
    fn depth(level: u64) -> u64 {
        // Opaque to the compiler, which would turn the recursion into a loop or refuse it.
        match std::hint::black_box(level) {
            u64::MAX => 0,
            level => 1 + depth(level + 1),
        }
    }

    #[test]
    fn dies_of_its_stack() {
        assert_eq!(depth(0), u64::MAX);
    }

    #[test]
    fn stays_shallow() {
        assert_eq!(depth(u64::MAX - 10), 10);
    }
}

#[cfg(test)]
mod writes {
    // A foreign function, since a checked build would find a null pointer of Rust's own and panic.
    unsafe extern "C" {
        fn memset(target: *mut u8, byte: i32, length: usize) -> *mut u8;
    }

    #[test]
    fn dies_of_a_null_pointer() {
        let nowhere = std::hint::black_box(std::ptr::null_mut());
        // Not sound, and meant not to be: the process dies here.
        unsafe { memset(nowhere, 1, std::hint::black_box(16)) };
    }

    #[test]
    fn fills_a_buffer() {
        let mut buffer = [0u8; 16];
        // Sound: the buffer has these sixteen bytes.
        unsafe { memset(buffer.as_mut_ptr(), 1, buffer.len()) };
        assert_eq!(buffer, [1; 16]);
    }
}

#[cfg(test)]
mod lives {
    #[test]
    fn on() {
        assert!(std::env::args().count() > 0);
    }
}
