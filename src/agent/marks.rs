//! The mark that tells of a process whose test's it is; what it is stands in `kinds.rs`.

use core::ffi::{c_int, c_ulong};

use crate::kinds::{IN_PERSONALITY, IN_PRIORITY};
use crate::{real, system};

/// The bits of the personality word that are not the tests' while there is a mark.
const OURS: u32 = IN_PERSONALITY[0] | IN_PERSONALITY[1];

/// Gives the calling thread, and all that it starts, a mark.
pub fn set(mark: u32) {
    let [low, high] = IN_PERSONALITY;
    let bits = ((mark << 8) & low) | ((mark << 20) & high);
    let is_marked = system::personality()
        .is_some_and(|word| system::set_personality((word & !OURS) | bits) >= 0);
    if !is_marked {
        let priority = system::io_priority() & !IN_PRIORITY;
        system::set_io_priority(priority | ((mark << 3) & IN_PRIORITY));
    }
}

/// Takes off a mark that this process was given: tests may run `cargo partest` themselves, and
/// whose a process is within the inner run is its own matter.
pub fn take_off() {
    if let Some(word) = system::personality().filter(|word| word & OURS != 0) {
        system::set_personality(word & !OURS);
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
    match system::set_personality(wanted) {
        before if before < 0 => real::fail(-before as c_int),
        before if is_marked => (before as u32 & !OURS) as c_int,
        before => before as c_int,
    }
}
