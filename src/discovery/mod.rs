//! The tests of all binaries, what is known about them, and which of them are selected.

mod binary_facts;
pub mod compiler;
mod doc_comments;
mod doc_text;
mod doctest_lister;
pub mod doctests;
mod file_parts;
pub mod filter;
pub mod inventory;
pub mod inventory_cache;
mod list_protocol;
pub mod lister;
pub mod listing;
pub mod one_by_one;
pub mod selection;
pub mod statics;
pub mod test_list;
pub mod watched_statics;
