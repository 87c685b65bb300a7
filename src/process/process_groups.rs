//! Which processes of the run live now.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{ForwardedSignal, Role};

#[cfg(target_os = "linux")]
use super::build_process::BuildProcess;
#[cfg(unix)]
use super::kill;
#[cfg(not(target_os = "linux"))]
use super::no_build_process::BuildProcess;
#[cfg(target_os = "linux")]
use super::procfs;

/// The process groups of all that the run has started and that live now, so that the
/// coordinator can reach them.
#[derive(Debug, Default)]
pub struct ProcessGroups {
    living: Mutex<Living>,
    #[cfg(unix)]
    is_guarded: bool,
}

#[derive(Debug, Default)]
struct Living {
    pub(super) pids: HashMap<u32, Role>,
    /// The signals that make workers report the stacks of their threads.
    stacks_signals: HashMap<u32, i32>,
    /// Workers that were asked for their stacks, and get this signal next.
    #[cfg_attr(not(unix), allow(dead_code))]
    asked_for_stacks: HashMap<u32, AfterStacks>,
    order: Order,
    /// Whether all that runs tests was told to die. Fixtures were not: they take down what they have
    /// set up when their tests are gone.
    are_tests_killed: bool,
    /// The signal that ends the tests, and the batches that were told to end: their processes that
    /// are born later get it too.
    forwarded: Option<ForwardedSignal>,
    ended_batches: HashSet<usize>,
    /// Whether nothing is listed any more.
    is_listing_over: bool,
    /// How many processes are being started, which are not among these yet.
    #[cfg_attr(not(unix), allow(dead_code))]
    births: usize,
    spared: Vec<u32>,
    kept: Option<BuildProcess>,
}

impl Living {
    fn listers(&self) -> impl Iterator<Item = u32> {
        let listers = self.pids.iter().filter(|(_, role)| **role == Role::Lister);
        listers.map(|(pid, _)| *pid)
    }

    /// What a process of this role has missed because it was being started.
    #[cfg(unix)]
    fn signal_to_end(&self, role: Role) -> Option<ForwardedSignal> {
        let Role::Worker { batch } = role else { return None };
        let of_batch = self.ended_batches.contains(&batch).then_some(ForwardedSignal::Terminate);
        self.forwarded.or(of_batch)
    }
}

/// What all of them were told, and whoever is born just then has not heard.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
enum Order {
    #[default]
    Live,
    Stop,
    Die,
}

/// Why a worker was asked for its stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
enum AfterStacks {
    /// It gets this signal next.
    Forward(ForwardedSignal),
    /// The user wants to see them.
    Report,
}

/// Held while a process is being started.
#[cfg(unix)]
pub(super) struct Birth<'g>(&'g ProcessGroups);

#[cfg(unix)]
impl Drop for Birth<'_> {
    fn drop(&mut self) {
        self.0.lock().births -= 1;
    }
}

impl ProcessGroups {
    /// `is_guarded` is whether a guard ends all of them if the run is killed.
    #[cfg(unix)]
    pub fn new(is_guarded: bool) -> ProcessGroups {
        ProcessGroups { is_guarded, ..ProcessGroups::default() }
    }

    /// Whether the guard is enough to end a process of this role. It may be killed together with the
    /// run: then a list soon ends by itself, and tests might not.
    #[cfg(unix)]
    pub(super) fn is_left_to_guard(&self, role: Role) -> bool {
        self.is_guarded && role == Role::Lister
    }

    pub(super) fn insert(&self, pid: u32, role: Role) {
        let mut living = self.lock();
        living.pids.insert(pid, role);
        #[cfg(unix)]
        match living.order {
            _ if living.is_listing_over && role == Role::Lister => kill::kill_group(pid),
            _ if living.are_tests_killed && role != Role::Fixture => kill::kill_group(pid),
            Order::Live => {
                living.signal_to_end(role).inspect(|signal| kill::signal_group(pid, *signal));
            }
            Order::Stop => kill::stop_group(pid),
            Order::Die => kill::kill_group(pid),
        }
    }

    /// A process is being started until this is dropped.
    #[cfg(unix)]
    pub(super) fn birth(&self) -> Birth<'_> {
        self.lock().births += 1;
        Birth(self)
    }

    /// Gives the children that are none of these, unless there may be some that are not among them
    /// yet, and nothing is started meanwhile.
    #[cfg(target_os = "linux")]
    pub(super) fn with_adopted(&self, take: impl Fn(u32)) {
        let living = self.lock();
        if living.births == 0 {
            let is_other =
                |pid: &u32| !living.pids.contains_key(pid) && !living.spared.contains(pid);
            procfs::adopted().into_iter().filter(is_other).for_each(take);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must happen before the process is reaped: after that its number may be another's.
    pub(super) fn remove(&self, pid: u32) {
        let mut living = self.lock();
        living.pids.remove(&pid);
        living.stacks_signals.remove(&pid);
        living.asked_for_stacks.remove(&pid);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().pids.is_empty()
    }

    /// Whether this is one of them.
    pub fn contains(&self, pid: u32) -> bool {
        self.lock().pids.contains_key(&pid)
    }

    /// From now on these children of ours are nobody's to wait for or to end: what has cargo and all
    /// that it leaves running.
    pub fn exempt(&self, pids: Vec<u32>) {
        self.lock().spared = pids;
    }

    pub fn exempted(&self) -> Vec<u32> {
        self.lock().spared.clone()
    }

    /// This build has ended, and tests still run.
    pub fn hold_build(&self, build: BuildProcess) {
        self.lock().kept = Some(build);
    }

    /// What tests have left has been ended; what a build has left goes its way.
    pub fn release_build(&self) {
        if let Some(build) = self.lock().kept.take() {
            build.release();
        }
    }

    /// Those that list tests now.
    pub fn listers(&self) -> Vec<u32> {
        self.lock().listers().collect()
    }

    /// From now on nothing is listed: what lists tests has nothing to clean up, and is killed.
    pub fn end_listing(&self) {
        let mut living = self.lock();
        living.is_listing_over = true;
        #[cfg(unix)]
        living.listers().for_each(kill::kill_group);
    }

    pub fn is_listing_over(&self) -> bool {
        self.lock().is_listing_over
    }

    /// This worker reports the stacks of its threads when it gets this signal.
    pub fn note_stacks_signal(&self, pid: u32, signal: i32) {
        self.lock().stacks_signals.insert(pid, signal);
    }

    /// Sends the signal to everything but fixtures: tests that clean up may still need them. A worker
    /// that can report its stacks is asked for them first, and gets the signal when it has answered.
    #[cfg(unix)]
    pub fn forward(&self, signal: ForwardedSignal) {
        let mut living = self.lock();
        living.forwarded = Some(signal);
        let Living { pids, stacks_signals, asked_for_stacks, .. } = &mut *living;
        for (pid, _) in pids.iter().filter(|(_, role)| **role != Role::Fixture) {
            match stacks_signals.get(pid) {
                Some(asks) if kill::ask_running(*pid, *asks) => {
                    asked_for_stacks.insert(*pid, AfterStacks::Forward(signal));
                }
                _ => kill::signal_group(*pid, signal),
            }
        }
    }

    /// Asks all workers that can report their stacks for them.
    #[cfg(unix)]
    pub fn ask_for_stacks(&self) {
        let mut living = self.lock();
        let Living { stacks_signals, asked_for_stacks, .. } = &mut *living;
        for (pid, asks) in stacks_signals {
            // One that was asked before will answer.
            if !asked_for_stacks.contains_key(pid) && kill::ask_running(*pid, *asks) {
                asked_for_stacks.insert(*pid, AfterStacks::Report);
            }
        }
    }

    /// This worker has reported its stacks; returns whether the user has asked for them.
    #[cfg(unix)]
    pub fn note_stacks(&self, pid: u32) -> bool {
        match self.lock().asked_for_stacks.remove(&pid) {
            Some(AfterStacks::Forward(signal)) => {
                kill::signal_group(pid, signal);
                false
            }
            asked => asked == Some(AfterStacks::Report),
        }
    }

    /// Forwards the signal to the workers that have not answered yet.
    #[cfg(unix)]
    pub fn forward_without_stacks(&self) {
        for (pid, next) in self.lock().asked_for_stacks.drain() {
            if let AfterStacks::Forward(signal) = next {
                kill::signal_group(pid, signal);
            }
        }
    }

    /// Asks the worker of this batch to end.
    #[cfg(unix)]
    pub fn terminate_batch(&self, batch: usize) {
        let mut living = self.lock();
        living.ended_batches.insert(batch);
        for (pid, role) in &living.pids {
            if *role == (Role::Worker { batch }) {
                kill::signal_group(*pid, ForwardedSignal::Terminate);
            }
        }
    }

    /// Elsewhere its tests come to their end by themselves.
    #[cfg(not(unix))]
    pub fn terminate_batch(&self, _batch: usize) {}

    /// Elsewhere the console hands Ctrl-C to every process by itself.
    #[cfg(not(unix))]
    pub fn forward(&self, _signal: ForwardedSignal) {}

    #[cfg(not(unix))]
    pub fn ask_for_stacks(&self) {}

    #[cfg(not(unix))]
    pub fn note_stacks(&self, _pid: u32) -> bool {
        false
    }

    #[cfg(not(unix))]
    pub fn forward_without_stacks(&self) {}

    #[cfg(unix)]
    pub fn kill_all(&self) {
        let mut living = self.lock();
        living.order = Order::Die;
        living.pids.keys().for_each(|pid| kill::kill_group(*pid));
    }

    #[cfg(not(unix))]
    pub fn kill_all(&self) {}

    /// Kills all but fixtures and the commands that stop them.
    #[cfg(unix)]
    pub fn kill_tests(&self) {
        let mut living = self.lock();
        living.are_tests_killed = true;
        let tests = living.pids.iter().filter(|(_, role)| **role != Role::Fixture);
        tests.for_each(|(pid, _)| kill::kill_group(*pid));
    }

    #[cfg(not(unix))]
    pub fn kill_tests(&self) {}

    /// Whether all of them were told to die, and whoever is not among them should too.
    pub fn is_killed(&self) -> bool {
        self.lock().order == Order::Die
    }

    /// The same of all that runs tests.
    pub fn are_tests_killed(&self) -> bool {
        let living = self.lock();
        living.are_tests_killed || living.order == Order::Die
    }

    #[cfg(unix)]
    pub fn stop_all(&self) {
        let mut living = self.lock();
        if living.order == Order::Live {
            living.order = Order::Stop;
        }
        living.pids.keys().for_each(|pid| kill::stop_group(*pid));
    }

    #[cfg(unix)]
    pub fn continue_all(&self) {
        let mut living = self.lock();
        if living.order == Order::Stop {
            living.order = Order::Live;
        }
        living.pids.keys().for_each(|pid| kill::continue_group(*pid));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    use super::*;

    /// The signal that ends a process whose start is noted only now, or none.
    fn ends_by(groups: &ProcessGroups, role: Role) -> Option<i32> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sleep");
        let mut born: Child = command.arg("1000").process_group(0).spawn().unwrap();
        groups.insert(born.id(), role);
        groups.remove(born.id());
        // What was sent before is not made up for by this.
        kill::signal_group(born.id(), ForwardedSignal::Quit);
        born.wait().unwrap().signal().filter(|signal| *signal != libc::SIGQUIT)
    }

    #[test]
    fn a_worker_that_was_being_started_ends_as_the_others() {
        let (first, second) = (Role::Worker { batch: 1 }, Role::Worker { batch: 2 });
        let groups = ProcessGroups::default();
        assert_eq!(ends_by(&groups, first), None);
        groups.terminate_batch(1);
        assert_eq!(ends_by(&groups, first), Some(libc::SIGTERM));
        assert_eq!(ends_by(&groups, second), None);
        groups.forward(ForwardedSignal::Interrupt);
        assert_eq!(ends_by(&groups, second), Some(libc::SIGINT));
        for other in [Role::Fixture, Role::Lister] {
            assert_eq!(ends_by(&groups, other), None);
        }
        groups.kill_tests();
        assert_eq!(ends_by(&groups, second), Some(libc::SIGKILL));
        assert_eq!(ends_by(&groups, Role::Fixture), None, "it stops by itself");
        groups.kill_all();
        assert_eq!(ends_by(&groups, Role::Fixture), Some(libc::SIGKILL));
    }
}
