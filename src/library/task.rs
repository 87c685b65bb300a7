//! Threads that the library started, as their tests remember them.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread;

use super::lock::lock;
use super::threads::{Alive, Identity};

/// A thread that the library started, as its test remembers it.
#[derive(Debug)]
pub struct Task {
    pub name: Option<String>,
    pub(super) identity: OnceLock<Option<Identity>>,
    pub(super) has_ended: AtomicBool,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) handle: Option<thread::JoinHandle<()>>,
    pub(super) panic: Option<Panic>,
    /// Nobody will join it any more.
    pub(super) is_abandoned: bool,
    pub(super) is_joined: bool,
}

/// What a thread said when it panicked.
#[derive(Debug, Clone)]
pub struct Panic {
    pub(super) message: String,
    pub(super) place: Option<String>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl Task {
    pub(super) fn new(name: Option<String>) -> Task {
        let (identity, state) = (OnceLock::new(), Mutex::default());
        Task { name, identity, has_ended: AtomicBool::new(false), state }
    }

    pub fn identity(&self) -> Option<Identity> {
        self.identity.get().copied().flatten()
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended.load(SeqCst)
    }

    /// Whether it has ended, and nobody is going to ask how.
    pub fn is_settled(&self, alive: Option<&Alive>) -> bool {
        let is_asked_for = {
            let state = lock(&self.state);
            !state.is_joined && (!state.is_abandoned || state.handle.is_some())
        };
        let is_listed = match (self.identity(), alive) {
            (Some(id), Some(alive)) => alive.contains_key(&id),
            _ => false,
        };
        self.has_ended() && !is_asked_for && !is_listed
    }

    /// Joins the thread if it has panicked and nobody else will: whoever calls this tells of it.
    pub fn take_panic(&self) -> Option<Panic> {
        let mut state = lock(&self.state);
        if !state.is_abandoned {
            return None;
        }
        let handle = state.handle.take()?;
        let panic = state.panic.take();
        drop(state);
        // One that goes on is let go, as `std` does.
        let payload = self.has_ended().then(|| handle.join().err())??;
        Some(panic.unwrap_or_else(|| Panic { message: message(&*payload), place: None }))
    }

    pub(super) fn note(&self, panic: Panic) {
        lock(&self.state).panic = Some(panic);
    }
}

pub(super) fn message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}
