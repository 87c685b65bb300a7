//! Panics as the unwinder sees them: where one is raised, what it says, and where it lands.
//!
//! The agent decides nothing about a panic. It reports the stack at the raise and the stack
//! from the catching frame outwards; the runner knows the functions' names and judges.

use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;

use crate::channel::{self, Frame};
use crate::kinds;
use crate::records::{self, Record};
use crate::stacks::{self, Stack};
use crate::{real, system};

/// Longer messages are cut: they are for a line or two in a report.
const LONGEST_MESSAGE: usize = 1024;

/// Stands in for the unwinder's entry. It must not have a frame of its own when the unwinding
/// runs, hence the jump.
///
/// # Safety
/// As libgcc's.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn _Unwind_RaiseException(exception: *mut c_void) -> i32 {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "call {raised}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp rax",
        ".cfi_endproc",
        raised = sym raised,
    )
}

/// Stands in for the unwinder's entry. It must not have a frame of its own when the unwinding
/// runs, hence the jump.
///
/// # Safety
/// As libgcc's.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn _Unwind_RaiseException(exception: *mut c_void) -> i32 {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, -32]!",
        ".cfi_def_cfa_offset 32",
        ".cfi_offset 29, -32",
        ".cfi_offset 30, -24",
        "str x0, [sp, 16]",
        "bl {raised}",
        "mov x16, x0",
        "ldr x0, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        ".cfi_restore 30",
        ".cfi_restore 29",
        ".cfi_def_cfa_offset 0",
        "br x16",
        ".cfi_endproc",
        raised = sym raised,
    )
}

/// Reports the panic and answers with the function that does the work.
extern "C" fn raised(exception: *const Exception) -> usize {
    if let Some(record) = records::current().filter(|_| channel::is_open()) {
        remember(record, exception as usize);
        let message = Message::of(exception);
        Frame::new(kinds::PANIC_RAISED)
            .u32(record.number.load(Relaxed))
            .u32(record.test.load(Relaxed))
            .stack(Stack::here().addresses())
            .send_with(message.text());
    }
    match real::_Unwind_RaiseException() {
        Some(raise) => raise as usize,
        None => end_of_stack as *const () as usize,
    }
}

/// Without an unwinder nothing can be caught; the caller then aborts.
extern "C" fn end_of_stack(_exception: *mut c_void) -> i32 {
    const END_OF_STACK: i32 = 5;
    END_OF_STACK
}

fn remember(record: &Record, exception: usize) {
    let free = record.exceptions.iter().find(|place| place.load(Relaxed) == 0);
    if let Some(place) = free.or(record.exceptions.first()) {
        place.store(exception, Relaxed);
    }
}

/// Stands in for the call by which a personality function names the place where to go on. The
/// last one for a panic is the catch; those before are destructors.
///
/// # Safety
/// As libgcc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Unwind_SetIP(context: *mut c_void, address: usize) {
    if let Some(record) = records::current().filter(|_| channel::is_open()) {
        landed(record, stacks::frame_of(context));
    }
    if let Some(set) = real::_Unwind_SetIP() {
        // SAFETY: the caller's own arguments.
        unsafe { set(context, address) };
    }
}

fn landed(record: &Record, frame: usize) {
    let caught = record.exceptions.iter().find(|place| {
        let exception = place.load(Relaxed) as *const Exception;
        // SAFETY: an exception that was raised and not yet caught is alive.
        !exception.is_null() && unsafe { (*exception).catching_frame } == frame
    });
    if let Some(place) = caught {
        place.store(0, Relaxed);
        Frame::new(kinds::PANIC_CAUGHT)
            .u32(record.number.load(Relaxed))
            .stack(Stack::from_frame(frame).addresses())
            .send();
    }
}

/// The unwinder's header, the same in libgcc and LLVM's libunwind, and behind it what Rust's
/// `panic_unwind` keeps.
#[repr(C)]
struct Exception {
    class: [u8; 8],
    cleanup: usize,
    stop: usize,
    /// Set by the search phase: the stack pointer of the frame that will catch.
    catching_frame: usize,
    canary: usize,
    payload: usize,
    vtable: usize,
}

/// The text of a panic, taken from its payload. Hooks have run by now; but what they print in a
/// test's thread is captured, and lost once the test is over.
struct Message {
    bytes: [u8; LONGEST_MESSAGE],
    length: usize,
}

impl Message {
    const NONE: Message = Message { bytes: [0; LONGEST_MESSAGE], length: 0 };

    /// A payload is a `&'static str` or a `String` in nearly all panics. Their layouts are not
    /// promised, so nothing is believed: memory is read by a call that cannot crash, and what
    /// is not UTF-8 of a plausible length is no message.
    fn of(exception: *const Exception) -> Message {
        // SAFETY: the caller of `_Unwind_RaiseException` passes an exception, and every one
        // starts with its class.
        if unsafe { (*exception).class } != *b"MOZ\0RUST" {
            return Message::NONE;
        }
        // SAFETY: the class says that it is one of Rust's, which has these fields.
        let (payload, vtable) = unsafe { ((*exception).payload, (*exception).vtable) };
        let [_drop, size, _align] = words::<3>(vtable);
        match size {
            16 => Message::read(words::<2>(payload)),
            24 => Message::read(pointer_and_length(words::<3>(payload))),
            _ => Message::NONE,
        }
    }

    fn read([address, length]: [usize; 2]) -> Message {
        const LONGEST_BELIEVED: usize = 1 << 24;
        let mut message = Message::NONE;
        if length <= LONGEST_BELIEVED {
            let wanted = length.min(LONGEST_MESSAGE);
            let room = message.bytes.get_mut(..wanted).unwrap_or_default();
            let read = system::peek(address, room);
            message.length = if read == wanted { wanted } else { 0 };
        }
        message
    }

    fn text(&self) -> &[u8] {
        let bytes = self.bytes.get(..self.length).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text.as_bytes(),
            // Cut in the middle of a character.
            Err(error) if error.error_len().is_none() => {
                bytes.get(..error.valid_up_to()).unwrap_or(&[])
            }
            Err(_) => &[],
        }
    }
}

fn words<const N: usize>(address: usize) -> [usize; N] {
    let mut words = [0; N];
    // SAFETY: the bytes of `words`, any value of which is a number.
    let room = unsafe {
        core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of::<[usize; N]>())
    };
    system::peek(address, room);
    words
}

/// A `String` is a capacity, a pointer and a length in an order of the compiler's choice: the
/// pointer is the greatest by far, and the length no greater than the capacity.
fn pointer_and_length(words: [usize; 3]) -> [usize; 2] {
    let [a, b, c] = words;
    [a.max(b).max(c), a.min(b).min(c)]
}
