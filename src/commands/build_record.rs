//! The messages of a build, recorded for the archive of its tests.

use cargo_metadata::Message;

use crate::cargo::toolchain::Toolchain;

pub struct BuildRecord {
    /// About what was built, in cargo's order.
    pub messages: Vec<Message>,
    pub toolchain: Toolchain,
    /// Whether there are doctests, which no archive has.
    pub has_doctests: bool,
}
