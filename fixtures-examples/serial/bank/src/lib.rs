//! Tests that must not overlap, and see to it with the crate `serial_test`, whose locks hold in one
//! process only.
//!
//! Under `cargo partest` a package that depends on `serial_test` is one unit per binary, and the plan
//! says so: all six tests pass. In two processes at once they would find the vault open.

/// What a sum of cents looks like on paper.
pub fn written(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod vault {
    use std::path::PathBuf;
    use std::time::Duration;
    use std::{env, fs, process, thread};

    /// The open vault: a directory that stands as long as one test is inside.
    pub struct Vault(PathBuf);

    impl Vault {
        pub fn open() -> Vault {
            let run = env::var("PARTEST_RUN_ID").unwrap_or_else(|_| process::id().to_string());
            let own = env::current_exe().unwrap().with_extension(run);
            let vault =
                env::var_os("FIXTURE_LOG").map_or(own, |log| PathBuf::from(log).join("vault"));
            if let Err(error) = fs::create_dir(&vault) {
                panic!("the vault is open already: {error}");
            }
            // Nothing is awaited here: the time only gives others a chance to come in.
            thread::sleep(Duration::from_millis(20));
            Vault(vault)
        }
    }

    impl Drop for Vault {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }
}

#[cfg(test)]
mod deposits {
    use crate::vault::Vault;
    use serial_test::serial;

    #[test]
    fn of_coins() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(5), "0.05");
    }

    #[test]
    fn of_gold() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(5_000_000), "50000.00");
    }

    #[test]
    fn of_notes() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(5000), "50.00");
    }
}

#[cfg(test)]
mod withdrawals {
    use crate::vault::Vault;
    use serial_test::serial;

    #[test]
    fn of_coins() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(99), "0.99");
    }

    #[test]
    fn of_nothing() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(0), "0.00");
    }

    #[test]
    fn of_notes() {
        let _turn = serial();
        let _vault = Vault::open();
        assert_eq!(crate::written(2010), "20.10");
    }
}
