//! What ran when and where, as a page and as a trace.

mod bound;
mod failures;
pub mod html;
mod lanes;
mod leftovers;
mod markup;
mod page_data;
mod static_lanes;
mod timeline;
pub mod trace;
