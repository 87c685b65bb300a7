//! Units that get a fresh process now and then: after every two tests, or after a failure.
//!
//! Under `cargo partest` all ten tests pass: the six of `every_two` in three processes, the four of
//! `after_a_failure` in one. With `--features broken` the second of these four fails, and the two
//! after it run in a second process.

#[cfg(test)]
use std::{env, fs::File, io::Write, path::Path, process};

/// Notes which process ran a test, in the file `name` of `FIXTURE_LOG`, where somebody named one.
#[cfg(test)]
fn log(name: &str) {
    if let Some(directory) = env::var_os("FIXTURE_LOG") {
        let path = Path::new(&directory).join(name);
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{}\n", process::id()).as_bytes())
            .unwrap();
    }
}

#[cfg(test)]
mod every_two {
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Stands for what grows with every test, such as memory that nobody frees.
    static GROWN: AtomicU32 = AtomicU32::new(0);

    fn grow() {
        crate::log("every_two");
        assert!(GROWN.fetch_add(1, Ordering::SeqCst) < 6);
    }

    #[test]
    fn fifth() {
        grow();
    }

    #[test]
    fn first() {
        grow();
    }

    #[test]
    fn fourth() {
        grow();
    }

    #[test]
    fn second() {
        grow();
    }

    #[test]
    fn sixth() {
        grow();
    }

    #[test]
    fn third() {
        grow();
    }
}

#[cfg(test)]
mod after_a_failure {
    #[test]
    fn a_starts() {
        crate::log("after_a_failure");
        assert!(std::process::id() > 0);
    }

    #[test]
    fn b_stumbles_where_asked_to() {
        crate::log("after_a_failure");
        let shoes = if cfg!(feature = "broken") {
            "untied"
        } else {
            "tied"
        };
        assert_eq!(shoes, "tied", "stumbled");
    }

    #[test]
    fn c_goes_on() {
        crate::log("after_a_failure");
        assert!(std::process::id() > 0);
    }

    #[test]
    fn d_arrives() {
        crate::log("after_a_failure");
        assert!(std::process::id() > 0);
    }
}
