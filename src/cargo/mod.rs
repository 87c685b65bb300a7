//! What cargo and rustc know: the workspace, the toolchain, the test binaries and how to start them.

pub mod binary;
pub mod build;
pub mod build_output;
pub mod cache_input;
pub mod command;
pub mod environment;
pub mod link_inputs;
pub mod metadata_cache;
pub mod toolchain;
pub mod workspace;
