//! The fork servers of a run: which binaries have one, and for how long.
//!
//! A process of its own costs a test less when it is forked from a fork server. A binary gets one
//! as soon as enough of its tests need it, and keeps it until none is left. Where that is not
//! possible, processes are spawned instead.

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

/// A fork server has to serve at least so many tests to be worth its own start.
const FEWEST_TESTS: usize = 4;

/// How many slots a fork server can keep busy, since it forks one process after another.
const SLOTS_EACH: usize = 4;

/// The fork servers of all binaries, by listing.
#[derive(Default)]
pub struct ForkServers(boxcar::Vec<BinaryServers>);

#[derive(Default)]
struct BinaryServers {
    /// How many tests will still need a process.
    left: AtomicUsize,
    standing: Mutex<Vec<ForkServer>>,
}

/// A fork server, and what all of its forks have in common.
struct ForkServer {
    /// The environment in which its libraries were loaded, without the numbers of slot and worker.
    env: BTreeMap<String, String>,
    values: Values,
    /// Which share of the slots it serves.
    part: usize,
    /// None while it starts, or if that failed.
    process: Option<Arc<platform::ForkServer>>,
}

impl ForkServers {
    /// Expects the tests of these groups; `listings` is the number of listings so far.
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

    /// The fork server for a batch, started if that is worth it.
    pub fn for_job(
        &self,
        job: &Job,
        binary: &Binary,
        agent: Option<&AgentFile>,
        run_id: &str,
    ) -> Option<Arc<platform::ForkServer>> {
        let of_binary = self.0.get(job.group.listing)?;
        // Memory limits have to be set before the program is loaded, and a runner may be anything.
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
        // Each fork server needs enough tests.
        let worth = FEWEST_TESTS * (standing.len() + 1);
        if of_binary.left.load(Ordering::Relaxed) < worth {
            return standing.iter().filter(|one| fits(one)).find_map(|one| one.process.clone());
        }
        let (env, values) = (env.clone(), values.clone());
        standing.push(ForkServer { env, values, part, process: None });
        // The other slots do not wait for the start.
        drop(standing);
        let process = start(job, binary, agent?, run_id).map(Arc::new)?;
        let mut standing = of_binary.lock();
        if let Some(own) = standing.iter_mut().find(|one| is_own(one)) {
            own.process = Some(process.clone());
        }
        Some(process)
    }

    /// Notes that a batch has its process. The fork servers of a binary end with the last test that
    /// needs them.
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

    /// Ends all fork servers.
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

/// If the agent is not loaded, the process just lists its tests and exits.
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
