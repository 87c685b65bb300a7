//! Runs that are not reported: chosen tests in a chosen company, for commands that learn from what
//! becomes of them. State of ordinary runs is neither used nor changed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::leftovers::Leftovers;
use super::project::Project;
use crate::config::policy::FixtureName;
use crate::error::{Error, Result};
use crate::fixture::kept::KeptFixtures;
use crate::leaks::baseline::{self, Baseline};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::state_change::StateChange;
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::plan::group::Group;
use crate::plan::schedule::Plan;
use crate::process::clock;
use crate::run::coordinator::state::Run;
use crate::run::interrupt::Interrupts;
use crate::worker::context::Context;
use crate::worker::inbox::Message;
use crate::worker::run_config::RunConfig;
use crate::worker::run_state::RunState;

/// What is needed to run tests.
pub struct Trials<'r> {
    pub project: Project<'r>,
    fixtures: &'r [FixtureName],
    pool: &'r rayon::ThreadPool,
    interrupts: &'r Interrupts,
    /// How many runs there were.
    pub count: usize,
    /// When the time for all of them is over, if it is limited.
    pub ends_at: Option<Instant>,
}

/// How a trial runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrialSetup {
    pub slots: usize,
    /// The most threads of one worker.
    pub thread_cap: Option<usize>,
    /// Whether it is watched what tests change in their processes.
    pub watches_state: bool,
}

/// What became of the tests of a trial, what they used, and what they left changed.
pub struct Tried {
    pub verdicts: HashMap<TestId, Verdict>,
    pub state: RunState,
    pub changes: HashMap<TestId, Vec<StateChange>>,
    /// Whether it had the time to run all tests to their end.
    pub is_complete: bool,
}

impl<'r> Trials<'r> {
    /// `fixtures` are those that groups refer to by index.
    pub fn new(
        project: Project<'r>,
        fixtures: &'r [FixtureName],
        pool: &'r rayon::ThreadPool,
        interrupts: &'r Interrupts,
    ) -> Trials<'r> {
        Trials { project, fixtures, pool, interrupts, count: 0, ends_at: None }
    }

    /// Whether the user has ended them.
    pub fn is_interrupted(&self) -> bool {
        self.interrupts.is_interrupted()
    }

    /// Runs these groups. An interrupt is an error, and so is it if no time is left.
    pub fn run(&mut self, groups: Vec<Group>, setup: TrialSetup) -> Result<Tried> {
        let left = self.ends_at.map(|end| end.saturating_duration_since(clock::now()));
        if self.is_interrupted() || left.is_some_and(|left| left.is_zero()) {
            return Err(Error::Interrupted);
        }
        self.count += 1;
        let context = self.context(&groups, setup, left)?;
        let mut verdicts = HashMap::new();
        let mut changed: HashMap<TestId, Vec<StateChange>> = HashMap::new();
        let mut emit = |event: Event| {
            match event {
                Event::TestFinished { test, verdict } => drop(verdicts.insert(test, verdict)),
                Event::StateChanged { test, changes } => {
                    changed.entry(test).or_default().extend(changes);
                }
                _ => {}
            }
            true
        };
        let plan = Plan::new(groups, setup.slots, setup.thread_cap);
        let run = Run::new(&context, plan, false, &mut emit);
        let no_build: Option<fn(std::sync::mpsc::Sender<Message>)> = None;
        let summary = run.run(self.pool, self.interrupts, no_build);
        context.services.fork_servers.end_all();
        Leftovers::kill(&context.services);
        let summary = summary?;
        if summary.interrupted || self.is_interrupted() {
            return Err(Error::Interrupted);
        }
        // Nothing is known of a test that could not run.
        let blocked = verdicts.values().find(|verdict| verdict.outcome == Outcome::Blocked);
        if let Some(blocked) = blocked {
            let why = blocked.reason.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Error::FixtureLost(why));
        }
        let is_complete = !summary.timed_out;
        Ok(Tried { verdicts, state: context.state, changes: changed, is_complete })
    }

    fn context(
        &self,
        groups: &[Group],
        setup: TrialSetup,
        run_timeout: Option<Duration>,
    ) -> Result<Context<'r>> {
        let TrialSetup { slots, watches_state, .. } = setup;
        let Project { settings, workspace, .. } = self.project;
        let root = workspace.root();
        let config = RunConfig {
            run_timeout,
            max_crashes: settings.max_crashes,
            watches_state,
            baseline: Baseline::load(&baseline::path(root))?,
            root: root.to_owned(),
            ..RunConfig::new(&settings.run_id, slots)
        };
        let mut context = self.project.context(groups, self.fixtures, config, self.interrupts);
        if !settings.nested {
            context.services.kept_fixtures = Some(KeptFixtures::new(&workspace.state_dir, false));
        }
        Ok(context)
    }
}
