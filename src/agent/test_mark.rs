//! Setting and hiding the mark of a test, which is described in `kinds.rs`.

use core::ffi::{c_int, c_ulong};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::kinds::{IN_PERSONALITY, IN_PRIORITY};
use crate::records::{self, Record};
use crate::{real, syscalls};

/// The bits of the personality that hold a mark.
const OURS: u32 = IN_PERSONALITY[0] | IN_PERSONALITY[1];

/// The main thread's personality, which the threads of tests inherit: asking the kernel each time
/// would double the cost of a mark. `UNKNOWN` where the kernel does not tell it.
static OF_MAIN: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = u32::MAX;

/// Marks the calling thread, which libtest's main thread has just created, and so everything that
/// it will start.
pub fn set(mark: u32) {
    let [low, high] = IN_PERSONALITY;
    let bits = ((mark << 8) & low) | ((mark << 20) & high);
    let word = OF_MAIN.load(Relaxed);
    let is_marked = word != UNKNOWN && syscalls::set_personality(word | bits) >= 0;
    if !is_marked {
        let priority = syscalls::io_priority() & !IN_PRIORITY;
        syscalls::set_io_priority(priority | ((mark << 3) & IN_PRIORITY));
    }
}

/// Removes a mark that this process inherited: a test may run `cargo partest` itself, and marks of
/// the outer run mean nothing in the inner one.
pub fn take_off() {
    if let Some(word) = syscalls::personality() {
        if word & OURS != 0 {
            syscalls::set_personality(word & !OURS);
        }
        OF_MAIN.store(word & !OURS, Relaxed);
    }
    let priority = syscalls::io_priority();
    if priority & IN_PRIORITY != 0 {
        syscalls::set_io_priority(priority & !IN_PRIORITY);
    }
}

/// Interposes libc's function: its callers neither see the mark nor remove it.
#[unsafe(no_mangle)]
pub extern "C" fn personality(wanted: c_ulong) -> c_int {
    const ONLY_TELL: u32 = u32::MAX;
    let wanted = wanted as u32;
    let mark = syscalls::personality().unwrap_or(0) & OURS;
    let is_marked = mark != 0;
    let wanted = match wanted != ONLY_TELL && is_marked {
        true => (wanted & !OURS) | mark,
        false => wanted,
    };
    let before = syscalls::set_personality(wanted);
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
