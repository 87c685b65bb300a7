//! The vault once more, for robbers, in a binary of their own.

mod vault;

use serial_test::serial;
use vault::Vault;

#[test]
fn is_noticed() {
    let _turn = serial();
    let _vault = Vault::open();
}

#[test]
fn fails() {
    let _turn = serial();
    let _vault = Vault::open();
}
