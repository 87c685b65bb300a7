//! System calls that tell what state the process is in, for a run that watches it.

use core::ffi::c_int;

use super::call;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const GETITIMER: usize = 36;
    pub const GETDENTS64: usize = 217;
    pub const PRLIMIT64: usize = 302;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const GETITIMER: usize = 102;
    pub const GETDENTS64: usize = 61;
    pub const PRLIMIT64: usize = 261;
}

/// A resource limit of the process: the soft one, and the hard one.
pub fn limit(resource: usize) -> Option<[u64; 2]> {
    let mut limit = [0; 2];
    let place = limit.as_mut_ptr() as usize;
    // SAFETY: the kernel writes two words, and changes nothing without a new limit.
    let answer = unsafe { call(number::PRLIMIT64, [0, resource, 0, place, 0, 0]) };
    (answer == 0).then_some(limit)
}

/// Whether a timer of setitimer(2) will go off.
pub fn is_timer_armed(which: usize) -> bool {
    // Two times of two words each: the interval, and what is left.
    let mut timer = [0_u64; 4];
    let place = timer.as_mut_ptr() as usize;
    // SAFETY: the kernel writes four words.
    let answer = unsafe { call(number::GETITIMER, [which, place, 0, 0, 0, 0]) };
    answer == 0 && timer != [0; 4]
}

/// Visits the names in an open directory.
pub fn each_entry(directory: c_int, mut visit: impl FnMut(&[u8])) {
    // Inode, offset, length of the entry, type; then the name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut room = [0; 2048];
    loop {
        let [address, length] = [room.as_mut_ptr() as usize, room.len()];
        // SAFETY: the kernel writes into `room` only.
        let filled =
            unsafe { call(number::GETDENTS64, [directory as usize, address, length, 0, 0, 0]) };
        let Some(mut entries) = usize::try_from(filled).ok().and_then(|filled| room.get(..filled))
        else {
            return;
        };
        if entries.is_empty() {
            return;
        }
        while let Some(&[low, high]) = entries.get(LENGTH..LENGTH + 2) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let Some((entry, rest)) = entries.split_at_checked(length.max(NAME)) else { return };
            let name = entry.get(NAME..).unwrap_or(&[]);
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            visit(name.get(..end).unwrap_or(&[]));
            entries = rest;
        }
    }
}
