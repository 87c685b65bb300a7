//! The mark that tells of a process whose test's it is; what it is stands in `kinds.rs`.

use core::ffi::{c_int, c_ulong};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::kinds::{IN_PERSONALITY, IN_PRIORITY};
use crate::records::{self, Record};
use crate::{real, system};

/// The bits of the personality word that are not the tests' while there is a mark.
const OURS: u32 = IN_PERSONALITY[0] | IN_PERSONALITY[1];

/// The main thread's word, which the threads of tests begin with: asking the kernel each time
/// would double the price of a mark. `UNKNOWN` where it may not be asked for.
static OF_MAIN: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = u32::MAX;

/// Gives the calling thread, which libtest's main thread has just created, and all that it
/// starts, a mark.
pub fn set(mark: u32) {
    let [low, high] = IN_PERSONALITY;
    let bits = ((mark << 8) & low) | ((mark << 20) & high);
    let word = OF_MAIN.load(Relaxed);
    let is_marked = word != UNKNOWN && system::set_personality(word | bits) >= 0;
    if !is_marked {
        let priority = system::io_priority() & !IN_PRIORITY;
        system::set_io_priority(priority | ((mark << 3) & IN_PRIORITY));
    }
}

/// Takes off a mark that this process was given: tests may run `cargo partest` themselves, and
/// whose a process is within the inner run is its own matter.
pub fn take_off() {
    if let Some(word) = system::personality() {
        if word & OURS != 0 {
            system::set_personality(word & !OURS);
        }
        OF_MAIN.store(word & !OURS, Relaxed);
    }
    let priority = system::io_priority();
    if priority & IN_PRIORITY != 0 {
        system::set_io_priority(priority & !IN_PRIORITY);
    }
}

/// Stands in for libc's: its callers are neither told of the mark nor do they take it off.
#[unsafe(no_mangle)]
pub extern "C" fn personality(wanted: c_ulong) -> c_int {
    const ONLY_TELL: u32 = u32::MAX;
    let wanted = wanted as u32;
    let mark = system::personality().unwrap_or(0) & OURS;
    let is_marked = mark != 0;
    let wanted = match wanted != ONLY_TELL && is_marked {
        true => (wanted & !OURS) | mark,
        false => wanted,
    };
    let before = system::set_personality(wanted);
    let is_main = records::current().is_some_and(Record::is_main) && !records::is_in_vfork();
    if before >= 0 && wanted != ONLY_TELL && is_main {
        OF_MAIN.store(wanted & !OURS, Relaxed);
    }
    match before {
        before if before < 0 => real::fail(-before as c_int),
        before if is_marked => (before as u32 & !OURS) as c_int,
        before => before as c_int,
    }
}
