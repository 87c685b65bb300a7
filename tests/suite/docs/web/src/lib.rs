//! The package that the examples of `README.md` and `docs/` are run on.

/// Prices that take long to load: a fixture in a `static`.
pub mod cache {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    static PRICES: OnceLock<BTreeMap<&'static str, u32>> = OnceLock::new();

    pub fn price(of: &str) -> Option<u32> {
        PRICES.get_or_init(|| [("tea", 3), ("cake", 5)].into()).get(of).copied()
    }

    #[cfg(test)]
    mod tests {
        use super::price;

        #[test]
        fn hits() {
            assert_eq!(price("tea"), Some(3));
        }

        #[test]
        fn misses() {
            assert_eq!(price("coffee"), None);
        }
    }
}

/// A table that all of its tests write to.
pub mod db {
    use std::sync::Mutex;

    static TABLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

    pub fn insert(row: &str) -> usize {
        let mut table = TABLE.lock().unwrap();
        table.push(row.to_owned());
        table.len()
    }

    #[cfg(test)]
    mod tests {
        use super::insert;

        #[test]
        fn inserts() {
            assert!(insert("one") > 0);
        }

        #[test]
        fn inserts_again() {
            assert!(insert("another") > 0);
        }
    }
}

/// Functions without state.
pub mod parse {
    pub fn number(text: &str) -> Option<u32> {
        text.trim().parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use super::number;

        #[test]
        fn digits_are_a_number() {
            assert_eq!(number(" 42 "), Some(42));
        }

        #[test]
        fn words_are_none() {
            assert_eq!(number("forty-two"), None);
        }

        #[test]
        #[ignore = "slow"]
        fn all_numbers_are_numbers() {
            assert!((0..1000).all(|n| number(&n.to_string()) == Some(n)));
        }
    }
}

/// State of the whole process.
#[cfg(test)]
mod settings {
    #[test]
    fn follow_the_directory() {
        std::env::set_current_dir("src").unwrap();
        assert!(std::path::Path::new("lib.rs").exists());
    }

    #[test]
    fn follow_a_variable() {
        // SAFETY: no other test of this package reads the environment in another thread.
        unsafe { std::env::set_var("WEB_LANGUAGE", "de") };
        assert_eq!(std::env::var("WEB_LANGUAGE").as_deref(), Ok("de"));
    }
}

/// What tests leave behind.
#[cfg(test)]
mod jobs {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn leave_a_thread() {
        let reaper = thread::Builder::new().name("pool-reaper".into());
        reaper.spawn(|| thread::sleep(Duration::from_secs(1000))).unwrap();
    }

    #[test]
    fn panic_unseen() {
        thread::spawn(|| panic!("nobody sees this"));
        thread::sleep(Duration::from_millis(50));
    }

    #[test]
    fn leave_a_process() {
        drop(Command::new("sleep").arg("1000").spawn().unwrap());
    }
}

/// What goes wrong, with the feature `broken`.
#[cfg(all(test, feature = "broken"))]
mod broken {
    use std::path::PathBuf;

    #[test]
    fn fails() {
        assert_eq!(super::cache::price("tea"), Some(4), "the price of tea");
    }

    #[test]
    fn exits() {
        std::process::exit(0);
    }

    #[test]
    fn hangs() {
        if let Some(log) = std::env::var_os("FIXTURE_LOG") {
            std::fs::write(PathBuf::from(log).join("hangs"), "now").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_secs(1000));
    }

    /// Fails in the first of its attempts.
    #[test]
    fn is_flaky() {
        let run = std::env::var("PARTEST_RUN_ID").unwrap();
        let mut tried: PathBuf = std::env::current_exe().unwrap();
        tried.set_extension(run);
        let is_first = !tried.exists();
        std::fs::write(tried, "").unwrap();
        assert!(!is_first, "the first attempt");
    }

    /// Prints more than a report shows.
    #[test]
    fn prints_a_lot() {
        (0..20_000).for_each(|line| println!("line {line} of a long protocol"));
        panic!("and fails");
    }
}

/// Tests of which one leaves something for another, with the feature `ordered`.
#[cfg(all(test, feature = "ordered"))]
mod stock {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    static CAKES: AtomicU32 = AtomicU32::new(5);

    #[test]
    fn counts() {
        assert!(CAKES.load(SeqCst) <= 5);
    }

    #[test]
    fn runs_out() {
        CAKES.store(0, SeqCst);
    }

    #[test]
    fn sells() {
        assert!(CAKES.load(SeqCst) > 0, "no cake is left");
    }
}
