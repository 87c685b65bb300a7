//! The rooms of the library `partest`; its front page is `lib.rs`. None of this is part of the
//! program, and none of it may depend on anything but the standard library.

pub mod fixture;
pub mod joiner;
pub mod lock;
pub mod owner;
pub mod spawn;
pub mod task;
pub mod threads;
pub mod watch;
