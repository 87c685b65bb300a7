//! Suites packed into one file, to be run elsewhere: what goes into an archive, and what comes out.

pub mod collect;
pub mod compiled_paths;
mod compression;
pub mod contents;
pub mod extraction;
pub mod reader;
pub mod remap;
mod while_wanted;
pub mod writer;
