//! Connects libtest's main thread with `events`, and that with the channel.
//!
//! Everything here is for the main thread alone.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;

use crate::channel;
use crate::events::{Events, TestThread, Wire};
use crate::frame::Frame;
use crate::records::{self, Birth, Record};
use crate::syscalls::Piece;
use crate::watch;

struct MainOnly(UnsafeCell<Events>);

// SAFETY: `events` is called by the main thread only, and by no signal handler.
unsafe impl Sync for MainOnly {}

static EVENTS: MainOnly = MainOnly(UnsafeCell::new(Events::NEW));

/// Only for the main thread; each public function here says how that is ensured.
#[allow(clippy::mut_from_ref)]
fn events() -> &'static mut Events {
    // SAFETY: there is one thread, and no function here calls another that borrows it again.
    unsafe { &mut *EVENTS.0.get() }
}

/// The channel to the runner.
struct Channel;

impl Wire for Channel {
    fn send(&mut self, waiting: &[u8], head: &[u8], tail: &[u8]) -> bool {
        channel::send(&[Piece::of(waiting), Piece::of(head), Piece::of(tail)])
    }
}

/// Takes what the main thread writes to stdout; the caller has checked which thread it is.
pub fn take(bytes: &[u8]) -> bool {
    // A test that the main thread had to run itself has finished when libtest writes something.
    records::main().test.store(0, Relaxed);
    events().write(bytes, &mut Channel) && channel::is_open()
}

/// The test that the thread `number`, which `creator` is about to create, will run, if any. The new
/// thread will send the queued frames.
pub fn take_started(creator: &Record, number: u32, birth: &mut Birth) -> Option<u32> {
    // A thread that is created while the main thread runs a test itself belongs to that test.
    if !creator.is_main() || creator.test.load(Relaxed) != 0 {
        return None;
    }
    let TestThread { test, missing } =
        events().begin_thread(number, &mut birth.queue, &mut Channel)?;
    watch::test_begins();
    birth.missing = missing.unwrap_or(0);
    Some(test)
}

/// No thread could be created for this test: the main thread, which calls this, runs it itself.
pub fn runs_itself(test: u32) {
    records::main().test.store(test, Relaxed);
    events().runs_itself(test);
}

/// The main thread, which calls this, has joined the thread of a test.
pub fn joined(test: u32, ended: Frame) {
    watch::test_ended(test);
    events().join(test, ended, &mut Channel);
}

/// Sends the queued frames if this is the main thread.
pub fn flush(thread: &Record) {
    if thread.is_main() {
        events().flush(&mut Channel);
    }
}
