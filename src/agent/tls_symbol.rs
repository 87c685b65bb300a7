//! The thread-local variable of the standard library that holds a thread's captured output, found
//! in the symbol table of the executable.
//!
//! The table is read when it is first needed, which in most processes is never. Everything here may
//! run in a signal handler.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::syscalls;

/// Part of the variable's mangled name in both of the compiler's schemes. The length before each
/// identifier keeps variables of other crates out, and `OUTPUT_CAPTURE_USED`.
const NAME: &[u8] = b"3std2io5stdio14OUTPUT_CAPTURE";

/// The offset of the executable's thread-local storage from the thread pointer, which is the same
/// for all threads; 0 if it has none.
static STORAGE: AtomicUsize = AtomicUsize::new(0);

/// The offset of the variable from the thread pointer, or one of the following.
static OFFSET: AtomicUsize = AtomicUsize::new(NOT_READ);
/// No variable is in the first bytes that the thread pointer points to, which are libc's.
const NOT_READ: usize = 0;
const NOT_FOUND: usize = 1;

/// Takes the address of the executable's thread-local storage of the calling thread.
pub fn set_storage(address: usize) {
    STORAGE.store(address.wrapping_sub(thread_pointer()), Relaxed);
}

pub fn has_storage() -> bool {
    STORAGE.load(Relaxed) != 0
}

#[cfg(target_arch = "x86_64")]
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads the thread pointer, which is constant for a thread.
    unsafe {
        core::arch::asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) pointer,
            options(nostack, readonly, preserves_flags),
        );
    }
    pointer
}

#[cfg(target_arch = "aarch64")]
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads the thread pointer, which is constant for a thread.
    unsafe {
        core::arch::asm!(
            "mrs {}, tpidr_el0",
            out(reg) pointer,
            options(nostack, nomem, preserves_flags),
        );
    }
    pointer
}

/// The offset of the variable from the thread pointer; none if the executable does not have its
/// symbol.
pub fn offset() -> Option<usize> {
    let known = OFFSET.load(Relaxed);
    let offset = if known == NOT_READ { read() } else { known };
    (offset != NOT_FOUND).then_some(offset)
}

fn read() -> usize {
    let storage = STORAGE.load(Relaxed);
    let found = if storage == 0 { None } else { in_executable() };
    let offset = found.map_or(NOT_FOUND, |value| storage.wrapping_add(value));
    OFFSET.store(offset, Relaxed);
    offset
}

fn in_executable() -> Option<usize> {
    let file = syscalls::open(c"/proc/self/exe", false)?;
    let found = syscalls::length(file).and_then(|length| {
        let mapped = syscalls::map(file, length)?;
        // SAFETY: a mapping of that many bytes, which ends after this. Nobody can write to the file
        // of a running program.
        let found = value_in(unsafe { core::slice::from_raw_parts(mapped, length) });
        syscalls::unmap(mapped, length);
        found
    });
    syscalls::close(file);
    found
}

/// The value of the symbol in this file: its offset in the thread-local storage.
fn value_in(file: &[u8]) -> Option<usize> {
    const SECTIONS: usize = 40;
    const SECTION_LENGTH: usize = 64;
    const SECTION_COUNT: usize = 60;
    const SYMBOL_TABLE: u32 = 2;
    const SYMBOL_LENGTH: usize = 24;
    const THREAD_LOCAL: u8 = 6;
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let sections = word(file, SECTIONS)?;
    let count = usize::from(u16::from_le_bytes(*file.get(SECTION_COUNT..)?.first_chunk()?));
    let section = |index: usize| file.get(sections.checked_add(index * SECTION_LENGTH)?..);
    let is_table = |section: &&[u8]| number(section, 4) == Some(SYMBOL_TABLE);
    let table = (0..count).filter_map(section).find(is_table)?;
    let names = contents(file, section(number(table, 40)? as usize)?)?;
    let symbols = contents(file, table)?.chunks_exact(SYMBOL_LENGTH);
    let mut variables =
        symbols.filter(|symbol| symbol.get(4).is_some_and(|kind| kind & 0xf == THREAD_LOCAL));
    let is_it = |symbol: &&[u8]| {
        let name = number(symbol, 0).and_then(|at| names.get(at as usize..));
        let name = name.and_then(|name| CStr::from_bytes_until_nul(name).ok());
        name.is_some_and(|name| name.to_bytes().windows(NAME.len()).any(|part| part == NAME))
    };
    word(variables.find(is_it)?, 8)
}

fn contents<'f>(file: &'f [u8], section: &[u8]) -> Option<&'f [u8]> {
    let (offset, length) = (word(section, 24)?, word(section, 32)?);
    file.get(offset..offset.checked_add(length)?)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
