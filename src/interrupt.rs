//! Signals that ask the run to end. The first one lets what runs come to an end; the second
//! one cuts it short.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::process::{Groups, Passed};
use crate::worker::Message;

/// What happened so far, for every part of the run to see.
#[derive(Debug, Default)]
pub struct Interrupts {
    count: AtomicUsize,
    /// cargo while it builds: it is in our process group, but a signal may be for us alone.
    build: AtomicU32,
    listener: Mutex<Option<Sender<Message>>>,
    /// Every process that the run has started.
    pub groups: Groups,
}

impl Interrupts {
    pub fn happened(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// From now on signals end this process and its children too.
    pub fn watch_build(&self, pid: Option<u32>) {
        self.build.store(pid.unwrap_or(0), Ordering::SeqCst);
    }

    /// From now on signals are sent here.
    pub fn listen(&self, listener: Sender<Message>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    fn note(&self, signal: Passed) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let build = self.build.load(Ordering::SeqCst);
        if build != 0 {
            crate::process::end_tree(build);
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match &*listener {
            // Nobody listens any more once the run is over.
            Some(listener) => drop(listener.send(Message::Signal(signal))),
            // Binaries that are being listed have nothing to clean up.
            None => self.groups.kill_all(),
        }
    }

    /// Catches the signals for as long as the process lives.
    #[cfg(unix)]
    pub fn catch() -> std::io::Result<Arc<Interrupts>> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let interrupts = Arc::new(Interrupts::default());
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
        let noted = interrupts.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in &mut signals {
                noted.note(match signal {
                    SIGTERM => Passed::Terminate,
                    SIGHUP => Passed::HangUp,
                    SIGQUIT => Passed::Quit,
                    _ => Passed::Interrupt,
                });
            }
        })?;
        Ok(interrupts)
    }

    /// Elsewhere Ctrl-C ends us and all that share our console.
    #[cfg(not(unix))]
    pub fn catch() -> std::io::Result<Arc<Interrupts>> {
        Ok(Arc::new(Interrupts::default()))
    }
}
