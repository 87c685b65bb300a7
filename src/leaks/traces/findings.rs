//! What a test has left behind.

use std::time::Instant;

use super::place::Place;
use super::{Lingered, Panic, Process, Thread, Traces};
use crate::leaks::finding::{Finding, Leftover};

impl Traces {
    /// What a test has left, as things are now.
    ///
    /// `alive` tells what a process is called that is still there.
    pub fn findings(
        &self,
        test: usize,
        now: Instant,
        alive: impl Fn(u32) -> Option<String>,
    ) -> Vec<Finding> {
        self.findings_of(test, |_| true, now, alive)
    }

    /// The same, but only what is a leak whatever may still come: a panic may be observed.
    pub fn lasting(
        &self,
        test: usize,
        now: Instant,
        alive: impl Fn(u32) -> Option<String>,
    ) -> Vec<Finding> {
        let is_certain = |thread: &Thread| thread.ended.is_none() || thread.panics.is_empty();
        self.findings_of(test, is_certain, now, alive)
    }

    fn findings_of(
        &self,
        test: usize,
        counts: impl Fn(&Thread) -> bool,
        now: Instant,
        alive: impl Fn(u32) -> Option<String>,
    ) -> Vec<Finding> {
        let threads = self.threads.iter();
        let threads = threads.filter(|(_, thread)| thread.test == test && counts(thread));
        let threads = threads.flat_map(|(_, thread)| self.of_thread(thread));
        let processes = self.processes.iter().filter(|(_, process)| process.test == test);
        let processes = processes.filter_map(|(pid, process)| {
            let command = alive(*pid).filter(|_| process.ended.is_none());
            self.of_process(*pid, process, command, now)
        });
        threads.chain(processes).collect()
    }

    /// `command` is what it is called now; none where it is gone.
    fn of_process(
        &self,
        pid: u32,
        process: &Process,
        command: Option<String>,
        now: Instant,
    ) -> Option<Finding> {
        if command.is_none() && process.lingered.is_none() {
            return None;
        }
        let ended = process.ended.unwrap_or(now);
        let of_test = self.ended.get(&process.test);
        let lived_on = of_test.filter(|_| command.is_none());
        let lived_on = lived_on.map(|test| ended.saturating_duration_since(*test));
        let age = now.saturating_duration_since(process.began);
        let command = command.unwrap_or_else(|| process.command.clone());
        let of_test = || self.starts.get(&process.test).and_then(Place::known);
        let stack = process.stack.clone().or_else(of_test).unwrap_or_default();
        Some(Finding { what: Leftover::Process { pid, command, age, lived_on }, stack })
    }

    /// The panic that has ended a thread, observed or not, or else the thread itself.
    fn of_thread(&self, thread: &Thread) -> Vec<Finding> {
        if thread.ended.is_some() && !thread.panics.is_empty() {
            return thread.panics.iter().map(|panic| of_panic(thread, panic)).collect();
        }
        let lived_on = match (thread.ended, self.ended.get(&thread.test)) {
            (Some(ended), Some(test)) => Some(ended.saturating_duration_since(*test)),
            _ => None,
        };
        // One that a dying worker took with it had no time to end by itself.
        let Some(Lingered { was_waiting, .. }) = thread.lingered else { return Vec::new() };
        let (name, stack) = (thread.name.clone(), thread.stack.clone());
        let what = Leftover::Thread { name, tid: thread.tid, lived_on, was_waiting };
        vec![Finding { what, stack }]
    }
}

fn of_panic(thread: &Thread, panic: &Panic) -> Finding {
    let (name, stack) = (thread.name.clone(), thread.stack.clone());
    let (message, raised) = (panic.message.clone(), panic.raised.clone());
    let what = Leftover::Panic { thread: name, message, methods: panic.methods, raised };
    Finding { what, stack }
}
