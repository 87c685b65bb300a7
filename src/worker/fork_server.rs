//! The prepared processes of a run: who has one, and for how long.
//!
//! A test in a process of its own costs less when that is forked from a prepared one. A binary
//! gets one as soon as enough of its tests are to run like that, and keeps it until none is
//! left. Whatever is in the way of that, the tests' processes are started instead.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cargo::binary::Binary;
use crate::cargo::environment;
use crate::fixture::handover::Values;
use crate::model::protocol::Protocol;
use crate::plan::group::{Group, Isolation};
use crate::process::platform;
use crate::worker::agent_file::AgentFile;
use crate::worker::job::Job;

/// It has to serve so many tests to be worth its own start.
const FEWEST_TESTS: usize = 4;

/// As many slots as one can keep busy: it forks one process after another.
const SLOTS_EACH: usize = 4;

/// Those of all binaries, by their listings.
#[derive(Default)]
pub struct ForkServers(boxcar::Vec<BinaryServers>);

#[derive(Default)]
struct BinaryServers {
    /// Tests that will each want a process.
    left: AtomicUsize,
    standing: Mutex<Vec<ForkServer>>,
}

/// One with all that its forks have in common.
struct ForkServer {
    /// What was there when libraries were loaded, beside the numbers of slot and worker.
    env: BTreeMap<String, String>,
    values: Values,
    /// Which of the slots it serves.
    part: usize,
    /// None while it is started, and where that did not work.
    process: Option<Arc<platform::ForkServer>>,
}

impl ForkServers {
    /// These groups are to run; `listings` are all that there are by now.
    pub fn expect(&self, groups: &[Group], listings: usize) {
        while self.0.count() < listings {
            self.0.push(BinaryServers::default());
        }
        for group in groups.iter().filter(|group| group.isolation == Isolation::PerTest) {
            if let Some(of_binary) = self.0.get(group.listing) {
                of_binary.left.fetch_add(group.tests.len(), Ordering::Relaxed);
            }
        }
    }

    /// The one that a batch's process can be forked from.
    pub fn for_job(
        &self,
        job: &Job,
        binary: &Binary,
        agent: Option<&AgentFile>,
        run_id: &str,
    ) -> Option<Arc<platform::ForkServer>> {
        let of_binary = self.0.get(job.group.listing)?;
        // A limit is set before a program is loaded; a runner may be anything.
        if job.protocol != Protocol::Agent
            || job.group.memory.is_some()
            || !binary.runner.is_empty()
        {
            return None;
        }
        let (env, values) = (&job.group.env, &job.values);
        let part = job.slot() / SLOTS_EACH;
        let fits = |one: &ForkServer| one.env == *env && one.values == *values;
        let is_own = |one: &ForkServer| one.part == part && fits(one);
        let mut standing = of_binary.lock();
        if let Some(own) = standing.iter().find(|one| is_own(one)) {
            return own.process.clone();
        }
        // Each of them serves its share.
        let worth = FEWEST_TESTS * (standing.len() + 1);
        if of_binary.left.load(Ordering::Relaxed) < worth {
            return standing.iter().filter(|one| fits(one)).find_map(|one| one.process.clone());
        }
        let (env, values) = (env.clone(), values.clone());
        standing.push(ForkServer { env, values, part, process: None });
        // The other slots do not wait for it.
        drop(standing);
        let process = start(job, binary, agent?, run_id).map(Arc::new)?;
        let mut standing = of_binary.lock();
        if let Some(own) = standing.iter_mut().find(|one| is_own(one)) {
            own.process = Some(process.clone());
        }
        Some(process)
    }

    /// A batch has its process. The binary's prepared ones end with the last test that might
    /// want one.
    pub fn served(&self, job: &Job) {
        let Some(of_binary) = self.0.get(job.group.listing) else { return };
        if job.group.isolation != Isolation::PerTest {
            return;
        }
        let count = job.batch.tests.len();
        let less = |left: usize| Some(left.saturating_sub(count));
        let before = of_binary.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if before.is_ok_and(|before| before <= count) {
            of_binary.end();
        }
    }

    /// Nothing more is to come.
    pub fn end_all(&self) {
        self.0.iter().for_each(|(_, of_binary)| of_binary.end());
    }
}

impl BinaryServers {
    fn lock(&self) -> MutexGuard<'_, Vec<ForkServer>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let ending = std::mem::take(&mut *self.lock());
        drop(ending);
    }
}

/// Where it is loaded without the agent, it lists its tests, as it has done before.
fn start(
    job: &Job,
    binary: &Binary,
    agent: &AgentFile,
    run_id: &str,
) -> Option<platform::ForkServer> {
    let mut command = binary.command();
    command.envs(&job.group.env);
    command.envs(job.values.iter().map(|(name, value)| (name, value)));
    command.envs(environment::worker_variables(run_id, job.slot(), 0));
    agent.preload(&mut command);
    command.args(["--list", "--format", "terse"]);
    platform::ForkServer::start(command)
}
