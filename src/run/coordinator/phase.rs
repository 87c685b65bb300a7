//! Whether a run goes on, stops, or counts for nothing.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::clock;

/// The phase of a run.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Nothing new starts.
    Stopping(Deadlines),
    /// The build that the run began with has failed: none of its results are reported.
    Undone(Error),
}

/// What a run that stops waits for.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// How long interrupted workers may take to report their stacks.
    stacks_until: Option<Instant>,
    /// When the tests that still run are killed.
    kill_at: Option<Instant>,
    /// Whether fixtures are killed with them: nobody will wait for these to stop.
    kills_fixtures: bool,
}

impl Phase {
    pub(super) fn is_stopped(&self) -> bool {
        !matches!(self, Phase::Running)
    }

    pub(super) fn stop(&mut self) {
        if !self.is_stopped() {
            *self = Phase::Stopping(Deadlines::default());
        }
    }

    fn deadlines(&mut self) -> Option<&mut Deadlines> {
        match self {
            Phase::Stopping(deadlines) => Some(deadlines),
            Phase::Running | Phase::Undone(_) => None,
        }
    }

    /// Running tests are killed after this time, or earlier if that was set before.
    pub(super) fn kill_within(&mut self, grace: Duration) {
        if let Some(Deadlines { kill_at, .. }) = self.deadlines() {
            let at = clock::within(grace);
            *kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// Fixtures are killed together with the tests.
    pub(super) fn kill_fixtures_too(&mut self) {
        if let Some(deadlines) = self.deadlines() {
            deadlines.kills_fixtures = true;
        }
    }

    pub(super) fn kills_fixtures(&self) -> bool {
        matches!(self, Phase::Stopping(Deadlines { kills_fixtures: true, .. }))
    }

    /// Workers may take so long to report their stacks.
    pub(super) fn await_stacks(&mut self, patience: Duration) {
        if let Some(deadlines) = self.deadlines() {
            deadlines.stacks_until = Some(clock::within(patience));
        }
    }

    /// The next deadline.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Phase::Stopping(Deadlines { stacks_until, kill_at, .. }) => {
                [*stacks_until, *kill_at].into_iter().flatten().min()
            }
            Phase::Running | Phase::Undone(_) => None,
        }
    }

    /// Whether the time for stacks is up; says so once.
    pub(super) fn take_stacks_deadline(&mut self, now: Instant) -> bool {
        let deadlines = self.deadlines();
        deadlines.is_some_and(|it| it.stacks_until.take_if(|until| *until <= now).is_some())
    }

    /// Whether the tests that still run have to be killed now; says so once.
    pub(super) fn take_kill_deadline(&mut self, now: Instant) -> bool {
        self.deadlines().is_some_and(|it| it.kill_at.take_if(|at| *at <= now).is_some())
    }
}
