//! What has changed in version control, and which packages that affects.

pub mod affected;
pub mod build_flags;
pub mod packages;
pub mod repository;
