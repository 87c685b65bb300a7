//! Interrupts. The first one lets running tests finish, the second one kills them, and the third one
//! exits at once.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::model::event::Stage;

#[cfg(unix)]
use crate::process::event::ForwardedSignal;
#[cfg(unix)]
use crate::process::platform::key_mode;
use crate::process::platform::{GuardPipe, RunnerPipes};
use crate::process::process_groups::ProcessGroups;
use crate::process::procfs;
use crate::process::procfs::ProcessInfo;
#[cfg(target_os = "linux")]
use crate::worker::inbox::Command;
use crate::worker::inbox::Message;

/// Printed on a signal while the coordinator does not run yet, or does not know all tests.
#[derive(Debug)]
pub struct Notice {
    pub kind: NoticeKind,
    pub stage: Stage,
    /// The processes that the run is waiting for.
    pub at_work: Vec<ProcessInfo>,
    pub tests: TestsMeanwhile,
}

/// Whether tests run while others are still being built or listed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TestsMeanwhile {
    /// Either none runs yet, or all are known.
    #[default]
    None,
    /// Their results count however the run ends.
    WhileListing,
    /// Their results count if the build succeeds.
    WhileBuilding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// The user has interrupted the run.
    Interrupt,
    /// The user has asked what is running.
    Status,
}

/// The coordinator of the run, if there is one, and what it has not heard yet.
#[derive(Debug, Default)]
struct Listener {
    coordinator: Option<Sender<Message>>,
    /// Reasons to end that came before it listened, or after the coordinator of an earlier run.
    unheard: Vec<Message>,
}

/// The interrupts so far, and what has to be stopped by the next one.
#[derive(Debug, Default)]
pub struct Interrupts {
    count: AtomicUsize,
    /// The pid of cargo while it builds, or 0. It is in our process group, but a signal may be sent to
    /// this process only.
    build: AtomicU32,
    listener: Mutex<Listener>,
    tests_meanwhile: Mutex<TestsMeanwhile>,
    /// The process groups that the run has started.
    pub groups: ProcessGroups,
    pub guard: GuardPipe,
    /// Whether the user has paused the run.
    #[cfg_attr(not(unix), allow(dead_code))]
    paused: Mutex<bool>,
    /// Prints a notice.
    show: Option<fn(&Notice)>,
}

impl Interrupts {
    pub fn is_interrupted(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    pub fn fail_if_interrupted(&self) -> Result<()> {
        if self.is_interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// What the next test waits for.
    pub fn stage(&self) -> Stage {
        let builds = self.build().is_some() && self.groups.listers().is_empty();
        if builds { Stage::Building } else { Stage::Listing }
    }

    /// The processes that it waits for: children of cargo, cargo itself, or the binaries that are
    /// being listed. Empty on platforms without procfs.
    pub fn at_work(&self) -> Vec<ProcessInfo> {
        let pids = match self.build().filter(|_| self.stage() == Stage::Building) {
            None => self.groups.listers(),
            Some(cargo) => match procfs::children_of(&cargo.to_string()) {
                none if none.is_empty() => vec![cargo],
                children => children,
            },
        };
        let mut at_work: Vec<ProcessInfo> =
            pids.into_iter().filter_map(procfs::process_info).collect();
        at_work.sort_by_key(|at_work| std::cmp::Reverse(at_work.age));
        at_work
    }

    fn build(&self) -> Option<u32> {
        Some(self.build.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }

    /// From now on, interrupts also end this process and its children.
    pub fn set_build(&self, pid: Option<u32>) {
        self.build.store(pid.unwrap_or(0), Ordering::SeqCst);
        // An interrupt that came before knew nothing of it.
        if let Some(pid) = pid.filter(|_| self.is_interrupted()) {
            crate::process::platform::terminate_tree(pid);
        }
    }

    /// An interrupt has either come before this, or is answered by what is set here. Returns whether
    /// one has come before.
    pub fn set_tests_meanwhile(&self, tests: TestsMeanwhile) -> bool {
        let mut meanwhile = self.tests_meanwhile();
        *meanwhile = tests;
        self.is_interrupted()
    }

    fn tests_meanwhile(&self) -> MutexGuard<'_, TestsMeanwhile> {
        self.tests_meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, what is typed at the terminal is read. Not before: while cargo builds, the
    /// user may be asked for a password.
    #[cfg(target_os = "linux")]
    pub fn watch_terminal(self: &Arc<Self>) {
        use crate::process::platform::TerminalInput;
        let Some(terminal) = TerminalInput::interactive(&self.guard) else { return };
        let interrupts = self.clone();
        let listen = move || {
            TerminalInput::block_sigttin();
            while let Ok(lines) = terminal.next_lines() {
                lines.iter().for_each(|line| interrupts.typed(line));
            }
        };
        // The run does not depend on it, and the thread ends with the process.
        let _ = std::thread::Builder::new().name("terminal".into()).spawn(listen);
    }

    #[cfg(not(target_os = "linux"))]
    pub fn watch_terminal(self: &Arc<Self>) {}

    /// From now on, signals are forwarded to this listener. It hears at once of those that nobody
    /// has heard of.
    pub fn listen(&self, coordinator: Sender<Message>) {
        let mut listener = self.listener();
        for message in listener.unheard.drain(..) {
            // Who listens is there.
            let _ = coordinator.send(message);
        }
        listener.coordinator = Some(coordinator);
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Catches the signals for as long as the process lives.
    #[cfg(unix)]
    pub fn catch(lines: RunnerPipes, show: fn(&Notice)) -> std::io::Result<Arc<Interrupts>> {
        crate::process::platform::survive_file_size_limit()?;
        let mut signals = crate::process::platform::Signals::catch(lines.signals)?;
        let groups = ProcessGroups::new(lines.guard.is_there());
        let (guard, show) = (lines.guard, Some(show));
        let interrupts = Arc::new(Interrupts { groups, guard, show, ..Interrupts::default() });
        let noted = interrupts.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            while let Ok(wish) = signals.next() {
                noted.handle(wish);
            }
        })?;
        Ok(interrupts)
    }

    /// On other platforms, Ctrl-C ends every process of the console.
    #[cfg(not(unix))]
    pub fn catch(_lines: RunnerPipes, _show: fn(&Notice)) -> std::io::Result<Arc<Interrupts>> {
        Ok(Arc::new(Interrupts::default()))
    }
}

#[cfg(unix)]
impl Interrupts {
    fn handle(&self, wish: crate::process::platform::SignalRequest) {
        use crate::process::platform::SignalRequest;
        if wish != SignalRequest::ShowRunning {
            key_mode::forget_text();
        }
        match wish {
            SignalRequest::Shutdown(signal) => self.interrupt(signal),
            SignalRequest::Stop => self.suspend(),
            SignalRequest::ShowRunning => self.report_status(),
            SignalRequest::ParentExited => {
                // What is typed now is for others.
                key_mode::end();
                self.shut_down(Message::Orphaned);
            }
        }
    }

    fn interrupt(&self, signal: ForwardedSignal) {
        /// One more than that is for a run that hangs.
        const MOST: usize = 2;
        if self.count.load(Ordering::SeqCst) >= MOST {
            self.guard.kill_all();
            self.groups.kill_all();
            key_mode::end();
            std::process::exit(crate::error::Exit::Interrupted as i32);
        }
        // Until it is counted, what the answer says about the results stays true.
        let tests = self.tests_meanwhile();
        let is_growing = *tests != TestsMeanwhile::None;
        if !self.is_interrupted() && (is_growing || !self.has_listener()) {
            self.notify(NoticeKind::Interrupt, *tests);
        }
        self.shut_down(Message::Signal(signal));
    }

    fn shut_down(&self, message: Message) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.end_pause();
        if let Some(build) = self.build() {
            crate::process::platform::terminate_tree(build);
        }
        self.groups.end_listing();
        if !self.send_or_keep(message) {
            self.groups.kill_all();
        }
    }

    /// Stops the run (Ctrl-Z), and returns when it is continued. The clock of the run is paused.
    fn suspend(&self) {
        // A run that the user has paused stays so.
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop_all();
        crate::process::platform::stop_self();
        if !*paused {
            self.continue_all();
        }
    }

    fn stop_all(&self) {
        crate::process::clock::pause();
        self.groups.stop_all();
        self.build().into_iter().for_each(crate::process::platform::stop_tree);
    }

    fn continue_all(&self) {
        crate::process::clock::resume();
        self.build().into_iter().for_each(crate::process::platform::continue_tree);
        self.groups.continue_all();
    }

    /// Pauses the run, or continues it; this process goes on. Returns whether it is paused now.
    #[cfg(target_os = "linux")]
    fn toggle_pause(&self) -> bool {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = !*paused;
        if *paused {
            self.stop_all()
        } else {
            self.continue_all()
        }
        *paused
    }

    fn end_pause(&self) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *paused) {
            self.continue_all();
        }
    }

    /// A key was typed at the terminal, or a line.
    #[cfg(target_os = "linux")]
    fn typed(&self, line: &str) {
        let command = match line {
            "" | "t" if !self.has_listener() => return self.report_status(),
            "" | "t" => Command::WhatRuns,
            _ if !self.has_listener() => return,
            "p" => Command::Pause(self.toggle_pause()),
            "q" => {
                self.end_pause();
                Command::StopAfterRunning
            }
            _ => Command::Help,
        };
        self.send(Message::Typed(command));
    }

    fn report_status(&self) {
        let is_heard = self.send(Message::WhatRuns);
        let tests = *self.tests_meanwhile();
        if !is_heard || tests != TestsMeanwhile::None {
            self.notify(NoticeKind::Status, tests);
        }
    }

    fn notify(&self, kind: NoticeKind, tests: TestsMeanwhile) {
        let (stage, at_work) = (self.stage(), self.at_work());
        self.show.inspect(|show| show(&Notice { kind, stage, at_work, tests }));
    }

    /// Whether the coordinator runs, and with it tests.
    fn has_listener(&self) -> bool {
        self.listener().coordinator.is_some()
    }

    /// Returns false if there is no listener yet. After the run, messages are dropped.
    fn send(&self, message: Message) -> bool {
        let listener = self.listener();
        let Some(coordinator) = &listener.coordinator else { return false };
        drop(coordinator.send(message));
        true
    }

    /// The same, but what nobody hears is for the next listener.
    fn send_or_keep(&self, message: Message) -> bool {
        let mut listener = self.listener();
        let unsent = match &listener.coordinator {
            Some(coordinator) => coordinator.send(message).err().map(|unsent| unsent.0),
            None => Some(message),
        };
        listener.unheard.extend(unsent);
        listener.coordinator.is_some()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Whenever it comes, the coordinator hears of it once: twice would be more urgent.
    #[test]
    fn each_interrupt_is_heard_once_before_the_run_in_it_and_between_two() {
        let interrupts = Interrupts::default();
        let interrupt = || interrupts.interrupt(ForwardedSignal::Interrupt);
        let heard = |messages: &Receiver<Message>| {
            let is_signal =
                |message: &Message| matches!(message, Message::Signal(ForwardedSignal::Interrupt));
            messages.try_iter().filter(is_signal).count()
        };
        interrupt();
        let (sender, messages) = channel();
        interrupts.listen(sender);
        assert_eq!(heard(&messages), 1);
        drop(messages);
        interrupt();
        for expected in [1, 0] {
            let (sender, messages) = channel();
            interrupts.listen(sender);
            assert_eq!(heard(&messages), expected);
        }
    }

    #[test]
    fn an_interrupt_while_the_coordinator_listens_goes_to_no_later_one() {
        let interrupts = Interrupts::default();
        let (sender, messages) = channel();
        interrupts.listen(sender);
        interrupts.shut_down(Message::Orphaned);
        assert!(matches!(messages.try_recv(), Ok(Message::Orphaned)));
        let (sender, messages) = channel();
        interrupts.listen(sender);
        assert!(messages.try_recv().is_err());
    }
}
