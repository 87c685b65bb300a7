//! Tests that must not overlap, and see to it with the crate `serial_test`, whose locks hold in one
//! process only.
//!
//! `cargo test` runs the binaries of a package one after another, so that they hold between those,
//! too. Under `cargo partest` a package that depends on `serial_test` is one unit per binary, and its
//! binaries share a lock; the plan says so, and all ten tests pass. In two processes at once they
//! would find the vault open.

/// What a sum of cents looks like on paper.
pub fn written(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
#[path = "../tests/vault/mod.rs"]
mod vault;

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
