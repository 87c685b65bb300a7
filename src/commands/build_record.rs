//! The messages of a build, recorded for the archive of its tests.

use cargo_metadata::Message;

use crate::cargo::toolchain::Toolchain;

pub struct BuildRecord {
    /// About what was built, in cargo's order.
    pub messages: Vec<Message>,
    pub toolchain: Toolchain,
    /// The packages that may have doctests, which no archive has.
    pub doctest_packages: Vec<usize>,
}
