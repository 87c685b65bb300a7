//! Everything from cargo and rustc: the workspace, the toolchain, the build and its test binaries.

pub mod binary;
pub mod build;
pub mod build_output;
pub mod build_stderr;
pub mod cache_input;
pub mod command;
pub mod environment;
pub mod filtersets;
pub mod link_inputs;
mod member_graph;
pub mod metadata_cache;
pub mod root_manifest;
pub mod rust_version;
pub mod rustdoc;
pub mod toolchain;
pub mod workspace;
