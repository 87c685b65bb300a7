//! A thread that the library started, and its panic.

use std::any::Any;
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread;

use super::lock::lock;
use super::threads::{Alive, Identity};

/// A thread that the library started, as its test remembers it.
#[derive(Debug)]
pub struct Task {
    pub name: Option<String>,
    identity: OnceLock<Option<Identity>>,
    has_finished: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    handle: Option<thread::JoinHandle<()>>,
    panic: Option<Panic>,
    /// The handle was dropped: nobody will join the thread any more.
    is_detached: bool,
    is_joined: bool,
}

impl Task {
    pub fn new(name: Option<String>) -> Task {
        let (identity, state) = (OnceLock::new(), Mutex::default());
        Task { name, identity, has_finished: AtomicBool::new(false), state }
    }

    /// The thread's identity: `None` before it runs, and where the system does not tell.
    pub fn identity(&self) -> Option<Identity> {
        self.identity.get().copied().flatten()
    }

    /// Called by the thread itself, first.
    pub fn set_identity(&self, identity: Option<Identity>) {
        let _ = self.identity.set(identity);
    }

    pub fn set_handle(&self, handle: thread::JoinHandle<()>) {
        lock(&self.state).handle = Some(handle);
    }

    pub fn has_finished(&self) -> bool {
        self.has_finished.load(SeqCst)
    }

    /// Called by the thread itself, last; with the panic that it unwinds from, if any.
    pub fn finish(&self, panic: Option<Panic>) {
        lock(&self.state).panic = panic;
        self.has_finished.store(true, SeqCst);
    }

    /// Waits for the thread's end, and returns its panic as an error.
    pub fn join(&self) -> thread::Result<()> {
        let handle = lock(&self.state).handle.take();
        let joined = handle.map_or(Ok(()), thread::JoinHandle::join);
        lock(&self.state).is_joined = true;
        joined
    }

    /// Says that nobody will join the thread. Without `keep_result` nobody will take its panic
    /// either.
    pub fn detach(&self, keep_result: bool) {
        let mut state = lock(&self.state);
        state.is_detached = true;
        if !keep_result {
            state.handle = None;
        }
    }

    /// Whether it has finished, and nobody is going to ask for its result.
    pub fn is_settled(&self, alive: Option<&Alive>) -> bool {
        let is_asked_for = {
            let state = lock(&self.state);
            !state.is_joined && (!state.is_detached || state.handle.is_some())
        };
        let is_listed = match (self.identity(), alive) {
            (Some(id), Some(alive)) => alive.contains_key(&id),
            _ => false,
        };
        self.has_finished() && !is_asked_for && !is_listed
    }

    /// Joins the thread if it has panicked and nobody else will, and returns the panic, which
    /// the caller is to report.
    pub fn take_panic(&self) -> Option<Panic> {
        let mut state = lock(&self.state);
        if !state.is_detached {
            return None;
        }
        let handle = state.handle.take()?;
        let panic = state.panic.take();
        drop(state);
        // A thread that goes on is detached, as `std` does.
        let payload = self.has_finished().then(|| handle.join().err())??;
        Some(panic.unwrap_or_else(|| Panic::from_payload(&*payload)))
    }
}

/// The message of a panic, and where it happened.
#[derive(Debug, Clone)]
pub struct Panic {
    message: String,
    location: Option<String>,
}

impl Panic {
    /// For a thread that unwinds without having called the panic hook.
    pub fn unknown() -> Panic {
        Panic { message: "without a message".to_owned(), location: None }
    }

    fn from_payload(payload: &dyn Any) -> Panic {
        Panic { message: message(payload), location: None }
    }
}

impl From<&PanicHookInfo<'_>> for Panic {
    fn from(info: &PanicHookInfo<'_>) -> Panic {
        let location = info.location().map(ToString::to_string);
        Panic { message: message(info.payload()), location }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

fn message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}
