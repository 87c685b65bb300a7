//! Which tests there are, and which of them are wanted.

pub mod compiler;
pub mod doctests;
pub mod filter;
pub mod inventory;
pub mod inventory_cache;
pub mod lister;
pub mod listing;
pub mod statics;
pub mod test_list;
