//! libtest's main thread: hands what it does to `events`, and what that says to the channel.
//!
//! Everything here belongs to the main thread alone.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::events::{Events, TestThread, Wire};
use crate::frame::Frame;
use crate::records::{self, Birth, Record};
use crate::system::Piece;

struct MainOnly(UnsafeCell<Events>);

// SAFETY: `events` is called by the main thread only, and by no signal handler.
unsafe impl Sync for MainOnly {}

static EVENTS: MainOnly = MainOnly(UnsafeCell::new(Events::NEW));

/// Only for the main thread; each public function here says how that is known.
#[allow(clippy::mut_from_ref)]
fn events() -> &'static mut Events {
    // SAFETY: one thread, and no function here calls another that gets it again.
    unsafe { &mut *EVENTS.0.get() }
}

/// The channel to the runner.
struct Channel;

impl Wire for Channel {
    fn send(&mut self, waiting: &[u8], head: &[u8], tail: &[u8]) -> bool {
        channel::send(&[Piece::of(waiting), Piece::of(head), Piece::of(tail)])
    }
}

/// Takes what the main thread writes to fd 1; its caller has checked who writes.
pub fn take(bytes: &[u8]) -> bool {
    // A test that the main thread had to run itself is over with the first that libtest says.
    records::main().test.store(0, Relaxed);
    events().write(bytes, &mut Channel) && channel::is_open()
}

/// The test that the thread about to be created by `creator` will run, if it is one. What waits
/// is handed to the new thread, which has `number`.
pub fn take_started(creator: &Record, number: u32, birth: &mut Birth) -> Option<u32> {
    // A thread that the main thread creates for a test that it runs itself is that test's.
    if !creator.is_main() || creator.test.load(Relaxed) != 0 {
        return None;
    }
    let TestThread { test, missing } =
        events().begin_thread(number, &mut birth.queue, &mut Channel)?;
    birth.missing = missing.unwrap_or(0);
    Some(test)
}

/// There is no thread for this test: the main thread, which calls this, runs it itself.
pub fn runs_itself(test: u32) {
    records::main().test.store(test, Relaxed);
    events().runs_itself(test);
}

/// The main thread, which calls this, has joined the thread of a test.
pub fn joined(test: u32, ended: Frame) {
    events().join(test, ended, &mut Channel);
}

/// Sends what the main thread still keeps. Only for the main thread.
pub fn flush(thread: &Record) {
    if thread.is_main() {
        events().flush(&mut Channel);
    }
}
