//! Signals, and what the run makes of them. The first one that asks it to end lets what runs
//! come to an end; the second one cuts it short; the third one ends us at once.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::event::Stage;

#[cfg(unix)]
use crate::process::event::Passed;
use crate::process::groups::Groups;
use crate::process::platform::{GuardLine, Lines};
use crate::process::procfs;
use crate::process::procfs::AtWork;
use crate::worker::inbox::Message;

/// What to tell the user while nothing listens yet, or not to all of the run.
#[derive(Debug)]
pub struct Notice {
    pub occasion: Occasion,
    pub stage: Stage,
    /// The processes that are waited for.
    pub at_work: Vec<AtWork>,
    /// Whether tests run meanwhile.
    pub tests_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The user has ended the run.
    Interrupted,
    /// Somebody asked what runs now.
    Asked,
}

/// What happened so far, for every part of the run to see.
#[derive(Debug, Default)]
pub struct Interrupts {
    count: AtomicUsize,
    /// cargo while it builds: it is in our process group, but a signal may be for us alone.
    build: AtomicU32,
    listener: Mutex<Option<Sender<Message>>>,
    /// Tests run while others are still built or listed.
    grows: AtomicBool,
    /// Every process that the run has started.
    pub groups: Groups,
    pub guard: GuardLine,
    /// Words a notice and shows it.
    show: Option<fn(&Notice)>,
}

impl Interrupts {
    pub fn happened(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// What the first test waits for, or the first of the rest.
    pub fn stage(&self) -> Stage {
        let builds = self.build().is_some() && self.groups.listers().is_empty();
        if builds { Stage::Building } else { Stage::Listing }
    }

    /// The processes that it waits for: what cargo has started, or cargo itself, or the binaries
    /// that are listed. None where nobody tells.
    pub fn at_work(&self) -> Vec<AtWork> {
        let pids = match self.build().filter(|_| self.stage() == Stage::Building) {
            None => self.groups.listers(),
            Some(cargo) => match procfs::children_of(&cargo.to_string()) {
                none if none.is_empty() => vec![cargo],
                children => children,
            },
        };
        let mut at_work: Vec<AtWork> = pids.into_iter().filter_map(procfs::at_work).collect();
        at_work.sort_by_key(|at_work| std::cmp::Reverse(at_work.age));
        at_work
    }

    fn build(&self) -> Option<u32> {
        Some(self.build.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }

    /// From now on signals end this process and its children too.
    pub fn watch_build(&self, pid: Option<u32>) {
        self.build.store(pid.unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether tests run while others are still built or listed.
    pub fn set_grows(&self, grows: bool) {
        self.grows.store(grows, Ordering::SeqCst);
    }

    /// From now on a person at the terminal may ask what runs now. Not before: while cargo
    /// builds, somebody may be asked for a password.
    #[cfg(target_os = "linux")]
    pub fn watch_terminal(self: &Arc<Self>) {
        use crate::process::platform::Terminal;
        let Some(terminal) = Terminal::of_a_person() else { return };
        let interrupts = self.clone();
        let listen = move || {
            Terminal::may_not_stop_us();
            while let Ok(()) = terminal.next_line() {
                interrupts.tell_what_runs();
            }
        };
        // The run is none the worse without it, and the thread ends with the process.
        let _ = std::thread::Builder::new().name("terminal".into()).spawn(listen);
    }

    #[cfg(not(target_os = "linux"))]
    pub fn watch_terminal(self: &Arc<Self>) {}

    /// From now on signals are sent here.
    pub fn listen(&self, listener: Sender<Message>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Catches the signals for as long as the process lives.
    #[cfg(unix)]
    pub fn catch(lines: Lines, show: fn(&Notice)) -> std::io::Result<Arc<Interrupts>> {
        let mut signals = crate::process::platform::Signals::catch(lines.signals)?;
        let interrupts =
            Arc::new(Interrupts { guard: lines.guard, show: Some(show), ..Interrupts::default() });
        let noted = interrupts.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            while let Ok(wish) = signals.next() {
                noted.fulfil(wish);
            }
        })?;
        Ok(interrupts)
    }

    /// Elsewhere Ctrl-C ends us and all that share our console.
    #[cfg(not(unix))]
    pub fn catch(_lines: Lines, _show: fn(&Notice)) -> std::io::Result<Arc<Interrupts>> {
        Ok(Arc::new(Interrupts::default()))
    }
}

#[cfg(unix)]
impl Interrupts {
    fn fulfil(&self, wish: crate::process::platform::Wish) {
        use crate::process::platform::Wish;
        match wish {
            Wish::End(signal) => self.end(signal),
            Wish::Stop => self.stop(),
            Wish::Know => self.tell_what_runs(),
            Wish::Orphaned => self.end_soon(Message::Orphaned),
        }
    }

    fn end(&self, signal: Passed) {
        /// The third one is for a run that does not come to its end.
        const MOST: usize = 2;
        if self.count.load(Ordering::SeqCst) >= MOST {
            self.guard.end_all();
            self.groups.kill_all();
            std::process::exit(crate::error::Exit::Interrupted as i32);
        }
        let grows = self.grows.load(Ordering::SeqCst);
        if !self.happened() && (grows || !self.is_heard()) {
            self.notify(Occasion::Interrupted, grows);
        }
        self.end_soon(Message::Signal(signal));
    }

    fn end_soon(&self, message: Message) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if let Some(build) = self.build() {
            crate::process::platform::end_tree(build);
        }
        // Binaries that are being listed have nothing to clean up.
        if !self.send(message) {
            self.groups.kill_all();
        }
    }

    /// Returns when somebody has let the run go on. For the run no time has passed then.
    fn stop(&self) {
        use crate::process::platform::{go_on_tree, stop_here, stop_tree};
        crate::process::clock::pause();
        self.groups.stop();
        self.build().into_iter().for_each(stop_tree);
        stop_here();
        crate::process::clock::go_on();
        self.build().into_iter().for_each(go_on_tree);
        self.groups.go_on();
    }

    fn tell_what_runs(&self) {
        let is_heard = self.send(Message::WhatRuns);
        if !is_heard || self.grows.load(Ordering::SeqCst) {
            self.notify(Occasion::Asked, is_heard);
        }
    }

    fn notify(&self, occasion: Occasion, tests_run: bool) {
        let (stage, at_work) = (self.stage(), self.at_work());
        self.show.inspect(|show| show(&Notice { occasion, stage, at_work, tests_run }));
    }

    /// Whether there are tests.
    fn is_heard(&self) -> bool {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// False while nobody listens yet. Once the run is over nobody does any more.
    fn send(&self, message: Message) -> bool {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = &*listener else { return false };
        drop(listener.send(message));
        true
    }
}
