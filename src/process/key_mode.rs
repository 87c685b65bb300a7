//! Single keys of the terminal: while a run reads them, it passes them on without Enter and shows
//! none of them.
//!
//! It is set so only while the run is in the foreground. The guard puts back what was there, should
//! the run end without having done so.
//!
//! Who uses the terminal from the background is stopped only when it changes something: it may have
//! looked before, and will put back what it saw. So once it was lent, it stays in line mode, and keys
//! need Enter.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use super::guard::GuardPipe;
use super::line_mode::LineMode;
use super::syscalls::type_ahead;
use super::typed_keys::TypedKeys;

/// There is one terminal.
static STATE: Mutex<State> = Mutex::new(State {
    guard: None,
    former: None,
    original: None,
    was_lent: false,
    holds: 0,
    keys: TypedKeys::new(),
});

struct State {
    /// None where keys are not read, not yet or not any more.
    guard: Option<GuardPipe>,
    /// What the terminal was set to, while it passes on single keys.
    former: Option<LineMode>,
    /// The same when it was first set so.
    original: Option<LineMode>,
    was_lent: bool,
    /// How many need it in line mode.
    holds: u32,
    keys: TypedKeys,
}

/// From now on, keys can be read; without a guard they cannot.
pub fn begin(guard: &GuardPipe) {
    state().guard = Some(guard.clone()).filter(GuardPipe::is_there);
}

/// Whether keys are read.
pub fn is_wanted() -> bool {
    state().guard.is_some()
}

/// Has the terminal pass on single keys if it is ours.
pub fn resume() {
    state().resume();
}

/// Reads what was typed once the terminal has something, as lines without their ends. None if that
/// is for others.
pub fn read() -> rustix::io::Result<Option<Vec<String>>> {
    // It is not lent before this has ended.
    let mut state = state();
    if state.former.is_none() && !state.was_lent {
        return Ok(None);
    }
    // Longer than the line of a terminal may be.
    let mut bytes = [0; 4096];
    let typed = match rustix::io::read(io::stdin(), &mut bytes)? {
        0 => return Err(Errno::IO),
        length => &bytes[..length],
    };
    Ok(Some(match state.former {
        Some(_) => state.keys.take(typed),
        None => vec![String::from_utf8_lossy(typed).trim().to_owned()],
    }))
}

/// No more keys are read. Text that has no Enter yet is left to the shell.
pub fn end() {
    let mut state = state();
    state.leave();
    state.tell_end();
    state.guard = None;
    state.leave_text();
}

/// Forgets text that has no Enter yet, as the terminal does at Ctrl-C.
pub fn forget_text() {
    state().keys.take_text();
}

/// Makes the terminal ready for another process. We must be in the foreground.
pub fn lend() {
    let mut state = state();
    state.leave();
    state.leave_text();
    state.was_lent = true;
}

/// It is ours again, in whatever way that process has left it.
pub fn take_back() {
    let state = state();
    if let Some(original) = state.original.filter(|_| is_ours()) {
        original.put_back(io::stdin());
    }
}

/// The terminal in line mode, as long as this lives.
pub struct LineModeHold(());

pub fn hold() -> LineModeHold {
    let mut state = state();
    state.holds += 1;
    state.leave();
    state.tell_end();
    LineModeHold(())
}

impl Drop for LineModeHold {
    fn drop(&mut self) {
        let mut state = state();
        state.holds -= 1;
        state.resume();
    }
}

impl State {
    fn resume(&mut self) {
        let Some(guard) = &self.guard else { return };
        if self.former.is_none() && self.holds == 0 && !self.was_lent && is_ours() {
            let tell = |former| guard.keys_begin(former);
            self.former = LineMode::put_away(io::stdin(), tell).ok();
            self.original = self.original.or(self.former);
        }
    }

    fn leave(&mut self) {
        match self.former.take() {
            Some(former) if is_ours() => former.put_back(io::stdin()),
            Some(former) => former.put_back_if_untouched(io::stdin()),
            None => {}
        }
    }

    /// Has the guard leave the terminal alone.
    fn tell_end(&self) {
        self.guard.iter().for_each(GuardPipe::keys_ended);
    }

    fn leave_text(&mut self) {
        let text = self.keys.take_text();
        if is_ours() {
            text.into_iter().for_each(type_ahead);
        }
    }
}

/// Whether we are in the foreground.
pub fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
