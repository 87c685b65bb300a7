//! What the agent of `cargo partest` knows about threads. It is asked by way of libc's `getenv`,
//! in front of which it stands: for a variable `PARTEST_THREAD_<TID>`, which nobody sets, it
//! answers what that thread is to the calling one.

use std::env;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The test that the calling thread belongs to.
    This,
    /// Another test, or none.
    Other,
    /// The agent does not know the thread (yet).
    New,
}

/// Whether the agent is in this process.
pub fn is_here() -> bool {
    owner_of(0).is_some()
}

/// The owner of a thread; `None` without the agent.
pub fn owner_of(tid: u32) -> Option<Owner> {
    match env::var(format!("PARTEST_THREAD_{tid}")).ok()?.as_str() {
        "of this test" => Some(Owner::This),
        "of another" => Some(Owner::Other),
        _ => Some(Owner::New),
    }
}
