//! A batch, and what its worker needs to run it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::cargo::environment;
use crate::fixture::handover::Values;
use crate::model::protocol::Protocol;
use crate::model::test::TestId;
use crate::model::worker_span::WorkerSpan;
use crate::plan::group::{Batch, Group, Isolation};
use crate::process::clock;
use crate::process::event::Role;
use crate::process::platform::{self, Permits};

/// How often leftover threads and processes are polled.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A batch, and what its worker needs to run it.
pub struct Job {
    pub batch: Batch,
    pub group: Arc<Group>,
    pub protocol: Protocol,
    /// The variables of its fixtures.
    pub values: Values,
    /// How many of its tests may run at once, if that can change.
    pub permits: Option<Arc<Permits>>,
    /// Set when one of its fixtures is lost: then no further test may start.
    pub fixture_is_lost: Arc<AtomicBool>,
}

impl Job {
    /// The longest timeout of these tests; none if one of them has no timeout.
    pub(super) fn longest_timeout(&self, tests: &[TestId]) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for test in tests {
            longest = longest.max(self.group.timeout(*test)?);
        }
        Some(longest)
    }

    pub(super) fn role(&self) -> Role {
        Role::Worker { batch: self.batch.id }
    }

    /// A process of this job that has ended just now.
    pub(super) fn span(&self, number: u64, pid: u32, began: Instant) -> WorkerSpan {
        let threads = self.batch.threads;
        WorkerSpan {
            number,
            pid,
            slots: self.batch.slots.clone(),
            threads,
            most_threads: self.batch.most_threads.unwrap_or(threads),
            node: self.group.node.clone(),
            is_unit: self.group.isolation == Isolation::Unit,
            began,
            ended: clock::now(),
        }
    }

    /// The worker's `PARTEST_SLOT`.
    pub(super) fn slot(&self) -> usize {
        self.batch.slots.first().copied().unwrap_or(0)
    }
}

/// The time between SIGTERM and SIGKILL, for handlers that remove temporary files.
pub(super) const GRACE: Duration = Duration::from_secs(1);

pub(super) fn prepare(command: &mut std::process::Command, job: &Job, run_id: &str, number: u64) {
    if let Some(bytes) = job.group.memory {
        platform::limit_memory(command, bytes);
    }
    command.envs(&job.group.env);
    command.envs(job.values.iter().map(|(name, value)| (name, value)));
    command.envs(environment::worker_variables(run_id, job.slot(), number));
}
