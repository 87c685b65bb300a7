//! The settings of a run that workers and the coordinator follow.

use std::path::PathBuf;
use std::time::Duration;

use crate::leaks::baseline::Baseline;
use crate::sharing::learnt::LearntLocks;

/// The settings of a run. They do not change while it goes on.
pub struct RunConfig<'r> {
    pub run_id: &'r str,
    pub slots: usize,
    /// How many slots are expected to be used.
    pub likely_slots: usize,
    /// How long the whole run may take.
    pub run_timeout: Option<Duration>,
    /// After so many crashes of workers the run is given up.
    pub max_crashes: usize,
    pub nocapture: bool,
    pub show_output: bool,
    pub is_verbose: bool,
    /// Leaks that are allowed because they are known.
    pub baseline: Baseline,
    /// The locks that earlier runs have learnt; none if nothing is to be learnt.
    pub learnt: Option<LearntLocks>,
    /// Whether it is watched what tests change in their processes.
    pub watches_state: bool,
    /// The workspace's directory.
    pub root: PathBuf,
}

impl<'r> RunConfig<'r> {
    /// A run of this many slots that learns nothing and shows nothing.
    pub fn new(run_id: &'r str, slots: usize) -> RunConfig<'r> {
        RunConfig {
            run_id,
            slots,
            likely_slots: slots,
            run_timeout: None,
            max_crashes: usize::MAX,
            nocapture: false,
            show_output: false,
            is_verbose: false,
            baseline: Baseline::default(),
            learnt: None,
            watches_state: false,
            root: PathBuf::new(),
        }
    }
}
