//! Which processes of the run live now.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{Passed, Role};

#[cfg(target_os = "linux")]
use super::foster::Fostered;
#[cfg(not(target_os = "linux"))]
use super::no_foster::Fostered;
#[cfg(unix)]
use super::signal;

/// The process groups of all that the run has started and that live now, so that the
/// coordinator can reach them.
#[derive(Debug, Default)]
pub struct Groups(Mutex<Living>);

#[derive(Debug, Default)]
struct Living {
    pub(super) pids: HashMap<u32, Role>,
    order: Order,
    spared: Vec<u32>,
    kept: Option<Fostered>,
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

impl Groups {
    pub(super) fn insert(&self, pid: u32, role: Role) {
        let mut living = self.lock();
        living.pids.insert(pid, role);
        #[cfg(unix)]
        match living.order {
            Order::Live => {}
            Order::Stop => signal::stop_group(pid),
            Order::Die => signal::kill_group(pid),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Living> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must happen before the process is reaped: after that its number may be another's.
    pub(super) fn remove(&self, pid: u32) {
        self.lock().pids.remove(&pid);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().pids.is_empty()
    }

    /// Whether this is one of them.
    pub fn has(&self, pid: u32) -> bool {
        self.lock().pids.contains_key(&pid)
    }

    /// From now on these children of ours are nobody's to wait for or to end: what has cargo and all
    /// that it leaves running.
    pub fn spare(&self, pids: Vec<u32>) {
        self.lock().spared = pids;
    }

    pub fn spared(&self) -> Vec<u32> {
        self.lock().spared.clone()
    }

    /// This build has ended, and tests still run.
    pub fn keep(&self, build: Fostered) {
        self.lock().kept = Some(build);
    }

    /// What tests have left has been ended; what a build has left goes its way.
    pub fn release(&self) {
        if let Some(build) = self.lock().kept.take() {
            build.release();
        }
    }

    /// Those that list tests now.
    pub fn listers(&self) -> Vec<u32> {
        let living = self.lock();
        let listers = living.pids.iter().filter(|(_, role)| **role == Role::Lister);
        listers.map(|(pid, _)| *pid).collect()
    }

    #[cfg(unix)]
    /// Fixtures do not get it: tests that clean up may still need them.
    pub fn pass_on(&self, signal: Passed) {
        for (pid, role) in &self.lock().pids {
            if *role != Role::Fixture {
                signal::signal_group(*pid, signal);
            }
        }
    }

    /// Asks the worker of this batch to end.
    #[cfg(unix)]
    pub fn end_batch(&self, batch: usize) {
        for (pid, role) in &self.lock().pids {
            if *role == (Role::Worker { batch }) {
                signal::signal_group(*pid, Passed::Terminate);
            }
        }
    }

    /// Elsewhere its tests come to their end by themselves.
    #[cfg(not(unix))]
    pub fn end_batch(&self, _batch: usize) {}

    /// Elsewhere the console hands Ctrl-C to every process by itself.
    #[cfg(not(unix))]
    pub fn pass_on(&self, _signal: Passed) {}

    #[cfg(unix)]
    pub fn kill_all(&self) {
        let mut living = self.lock();
        living.order = Order::Die;
        living.pids.keys().for_each(|pid| signal::kill_group(*pid));
    }

    #[cfg(not(unix))]
    pub fn kill_all(&self) {}

    /// Whether all of them were told to die, and whoever is not among them should too.
    pub fn must_die(&self) -> bool {
        self.lock().order == Order::Die
    }

    #[cfg(unix)]
    pub fn stop(&self) {
        let mut living = self.lock();
        if living.order == Order::Live {
            living.order = Order::Stop;
        }
        living.pids.keys().for_each(|pid| signal::stop_group(*pid));
    }

    #[cfg(unix)]
    pub fn go_on(&self) {
        let mut living = self.lock();
        if living.order == Order::Stop {
            living.order = Order::Live;
        }
        living.pids.keys().for_each(|pid| signal::go_on_group(*pid));
    }
}
