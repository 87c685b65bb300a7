//! The gate that the thread of every test passes before its test begins. The runner decides how
//! many tests of a process run at once, and may change that at any time.
//!
//! libtest starts as many threads as it may; those beyond the number of permits wait here, before
//! any code of the test has run. libtest itself goes on, and reports the results of other tests
//! meanwhile, which it could not do if it waited instead.
//!
//! Permits and running tests are one word of a page that is shared with the runner, so that neither
//! side can see one without the other. Nothing enters the kernel unless somebody waits.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::gate_page::{GatePage, LENGTH};
use crate::records::{self, RUNS_TEST, Record, WAITS};
use crate::{channel, syscalls};

/// How long a thread waits at most before it looks again: a runner that is gone wakes nobody.
const LOOK_AGAIN_MILLISECONDS: u64 = 500;

static PAGE: AtomicPtr<GatePage> = AtomicPtr::new(core::ptr::null_mut());
/// Stands for the shared page if that cannot be mapped: the number of permits then never changes.
static FIXED: GatePage = GatePage::new(0);

/// Opens the gate that the runner has set up, from `PERMITS:PATH`.
pub fn open(value: &CStr) {
    let bytes = value.to_bytes();
    let Some(colon) = bytes.iter().position(|byte| *byte == b':') else { return };
    let digits = bytes.get(..colon).unwrap_or(&[]);
    let permits = digits.iter().fold(0, |number: u32, digit| {
        number.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0')))
    });
    let path = value
        .to_bytes_with_nul()
        .get(colon + 1..)
        .and_then(|path| CStr::from_bytes_with_nul(path).ok());
    let page = path.and_then(shared).unwrap_or_else(|| {
        FIXED.set_permits(permits.max(1));
        core::ptr::from_ref(&FIXED).cast_mut()
    });
    PAGE.store(page, Relaxed);
}

fn shared(path: &CStr) -> Option<*mut GatePage> {
    let descriptor: c_int = syscalls::open_shared(path)?;
    let page = syscalls::map_shared(descriptor, LENGTH);
    syscalls::close(descriptor);
    page.map(<*mut u8>::cast)
}

fn page() -> Option<&'static GatePage> {
    // Forked children have no channel, and no part in this.
    let page = channel::is_open().then(|| PAGE.load(Relaxed))?;
    // SAFETY: null, or a page that stays mapped as long as the process; all of it is atomic.
    unsafe { page.as_ref() }
}

/// Whether the threads of tests pass a gate.
pub fn is_there() -> bool {
    !PAGE.load(Relaxed).is_null()
}

/// Lets the thread of a test pass if it may run at once. Earlier threads that have not passed yet
/// have precedence.
pub fn passes_at_once(record: &Record) -> bool {
    let passes = page().is_none_or(|page| page.enter(waiting_before(record)));
    if passes {
        cancel(record);
    }
    passes
}

/// A thread waits no longer. Others may have counted it among those before them.
pub fn cancel(record: &Record) {
    record.unmark(WAITS);
    if let Some(page) = page() {
        page.notify(syscalls::wake_all);
    }
}

/// Waits until the thread of a test may run.
pub fn wait(record: &Record) {
    let Some(page) = page() else { return record.unmark(WAITS) };
    page.wait(
        || page.enter(waiting_before(record)) || !channel::is_open(),
        |word, seen| syscalls::wait_while(word, seen, LOOK_AGAIN_MILLISECONDS),
    );
    cancel(record);
}

/// The thread of a test that has passed is about to exit.
pub fn leave() {
    if let Some(page) = page() {
        page.leave();
        page.notify(syscalls::wake_all);
    }
}

fn waiting_before(record: &Record) -> u32 {
    let number = record.number.load(Relaxed);
    let is_before = |other: &&Record| {
        other.has(RUNS_TEST) && other.has(WAITS) && other.number.load(Relaxed) < number
    };
    records::all().filter(is_before).count() as u32
}
