//! The vault once more, for auditors, in a binary of their own.

mod vault;

use serial_test::serial;
use vault::Vault;

#[test]
fn counts_the_coins() {
    let _turn = serial();
    let _vault = Vault::open();
}

#[test]
fn counts_the_notes() {
    let _turn = serial();
    let _vault = Vault::open();
}
