//! Binaries that are listed beside the tests of others, several at once. One whose list takes long
//! holds up neither those that are built meanwhile nor the tests.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};

use super::project::Project;
use crate::cargo::link_inputs::LinkInputs;
use crate::discovery::inventory::{Candidate, Listers};
use crate::error::{Error, Result};
use crate::model::listing::BinaryName;
use crate::model::warning::Warning;
use crate::run::interrupt::Interrupts;
use crate::worker::inbox::Message;

/// Lists binaries, and adds them to the inventory and to the run.
pub struct ListJobs<'l> {
    project: Project<'l>,
    interrupts: &'l Interrupts,
    /// Of the coordinator, which receives messages until `Built` has arrived.
    inbox: &'l Sender<Message>,
    /// Listings are added by one thread at a time.
    adding: Mutex<()>,
    /// What was not listed because the run has been ended.
    unlisted: Mutex<Vec<BinaryName>>,
}

impl<'l> ListJobs<'l> {
    pub fn new(
        project: Project<'l>,
        interrupts: &'l Interrupts,
        inbox: &'l Sender<Message>,
    ) -> ListJobs<'l> {
        let (adding, unlisted) = Default::default();
        ListJobs { project, interrupts, inbox, adding, unlisted }
    }

    fn list(&self, candidate: Candidate, link_inputs: &LinkInputs) {
        let Project { policy, filtersets, inventory, .. } = self.project;
        let groups = &self.interrupts.groups;
        let name = candidate.full_name();
        let listers = Listers { policy, filtersets, link_inputs, groups };
        let found = (!groups.is_listing_over()).then(|| listers.list(candidate));
        // A binary that an interrupt has ended has not said which tests it has.
        let Some(found) = found.filter(|_| !groups.is_listing_over()) else {
            lock(&self.unlisted).push(name);
            return;
        };
        let warnings = found.warnings().collect();
        let adding = lock(&self.adding);
        let listings = inventory.listings.append(found.listings);
        let _ = self.inbox.send(Message::Listed { listings, warnings });
        drop(adding);
    }

    /// Reports the binaries that an interrupt has left unlisted.
    fn report_unlisted(&self) {
        let binaries = std::mem::take(&mut *lock(&self.unlisted));
        if !binaries.is_empty() {
            let all = self.project.inventory.listings.len();
            let warnings = vec![Warning::InterruptedWhileListing { binaries }];
            let _ = self.inbox.send(Message::Listed { listings: all..all, warnings });
        }
    }
}

/// Takes binaries to list, and starts as many threads as can be at work. They are not those of the
/// run, which may all wait for tests.
pub struct ListQueue<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    jobs: &'scope ListJobs<'scope>,
    sender: Sender<Job>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    threads: Cell<usize>,
}

type Job = (Candidate, Arc<LinkInputs>);

impl ListQueue<'_, '_> {
    /// Lists these binaries as soon as a thread is free.
    pub fn add(&self, mut candidates: Vec<Candidate>, link_inputs: LinkInputs) -> Result<()> {
        candidates.sort_by_key(Candidate::priority);
        let link_inputs = Arc::new(link_inputs);
        for candidate in candidates {
            // The receiver is ours.
            let _ = self.sender.send((candidate, link_inputs.clone()));
            self.start_thread()?;
        }
        Ok(())
    }

    fn start_thread(&self) -> Result<()> {
        let running = self.threads.get();
        if running == self.jobs.project.settings.slots {
            return Ok(());
        }
        let (jobs, waiting) = (self.jobs, self.waiting.clone());
        let work = move || {
            let next = || lock(&waiting).recv();
            while let Ok((candidate, link_inputs)) = next() {
                jobs.list(candidate, &link_inputs);
            }
        };
        match Builder::new().name("list".into()).spawn_scoped(self.scope, work) {
            Ok(_) => self.threads.set(running + 1),
            Err(error) if running == 0 => return Err(Error::Thread(error)),
            // Those that run are enough.
            Err(_) => {}
        }
        Ok(())
    }
}

/// Does `work`, which may add binaries, and returns when all of them are listed. If the work fails, no
/// more are listed.
pub fn follow<'l, T>(
    jobs: &ListJobs<'l>,
    work: impl FnOnce(&ListQueue<'_, '_>) -> Result<T>,
) -> Result<T> {
    let done = std::thread::scope(|scope| {
        let (sender, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let done = work(&ListQueue { scope, jobs, sender, waiting, threads: Cell::new(0) });
        if done.is_err() {
            jobs.interrupts.groups.end_listing();
        }
        done
    });
    jobs.report_unlisted();
    done
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
