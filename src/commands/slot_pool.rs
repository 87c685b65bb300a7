//! The threads that supervise workers.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::cli::settings::Settings;
use crate::config::policy::Policy;
use crate::error::{Error, Result};

/// Creates a thread for each slot that a run may have. They have to outlive the run, because workers
/// are killed when the thread that started them exits.
///
/// To be called while cargo builds: threads that have just been started take time from others.
pub fn make(settings: &Settings, policy: &Policy) -> Result<ThreadPool> {
    let slots = settings.most_slots(policy.overcommit());
    ThreadPoolBuilder::new()
        .num_threads(slots)
        .thread_name(|slot| format!("slot {slot}"))
        .build()
        .map_err(|source| Error::Pool { slots, source })
}
