//! Panics as the unwinder sees them: where one is raised, its message, and what catches it.
//!
//! Every panic has a number, to which a catch refers. Panics of libtest's main thread and of the
//! tests' own threads are reported by libtest.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::backtrace::{self, Stack};
use crate::channel;
use crate::frame::Frame;
use crate::records::{self, PanicUnderWay, RUNS_TEST, Record};
use crate::{kinds, panic_catch, real, syscalls};

/// Longer messages are truncated: they fill a line or two in a report.
const LONGEST_MESSAGE: usize = 1024;

/// Interposes the unwinder's entry point. It must not have a frame of its own during the unwinding,
/// hence the jump.
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

/// Interposes the unwinder's entry point. It must not have a frame of its own during the unwinding,
/// hence the jump.
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

/// The last panic's number.
static PANICS: AtomicU32 = AtomicU32::new(0);

/// Reports the panic, and returns the unwinder's function.
extern "C" fn raised(exception: *const Exception) -> usize {
    // SAFETY: the caller of `_Unwind_RaiseException` passes an exception.
    if let Some(record) = reported_thread().filter(|_| unsafe { Exception::is_panic(exception) }) {
        let panic = PANICS.fetch_add(1, Relaxed).wrapping_add(1);
        remember(record, exception as usize, panic);
        // SAFETY: it is a Rust panic.
        let message = unsafe { Message::of(exception) };
        Frame::new(kinds::PANIC_RAISED)
            .u32(record.number.load(Relaxed))
            .u32(record.test.load(Relaxed))
            .u32(panic)
            .u64(message.methods[0] as u64)
            .u64(message.methods[1] as u64)
            .stack(Stack::here().addresses())
            .send_with(message.text());
    }
    match real::_Unwind_RaiseException() {
        Some(raise) => raise as usize,
        None => end_of_stack as *const () as usize,
    }
}

/// The running thread, if its panics are reported.
fn reported_thread() -> Option<&'static Record> {
    let record = records::current().filter(|_| channel::is_open())?;
    (!record.is_main() && !record.has(RUNS_TEST)).then_some(record)
}

/// Used without an unwinder: nothing can be caught, and the caller aborts.
extern "C" fn end_of_stack(_exception: *mut c_void) -> i32 {
    const END_OF_STACK: i32 = 5;
    END_OF_STACK
}

/// Remembers a panic until it is caught. A panic that is raised during another one is caught before
/// that goes on, or the process aborts. If there are too many, the outermost ones matter.
fn remember(record: &Record, exception: usize, number: u32) {
    let place_of = |wanted: usize| {
        record.panics.iter().find(move |panic| panic.exception.load(Relaxed) == wanted)
    };
    if let Some(panic) = place_of(exception).or_else(|| place_of(0)).or(record.panics.last()) {
        panic.number.store(number, Relaxed);
        panic.exception.store(exception, Relaxed);
    }
}

/// Interposes the call by which a personality function sets the landing pad. The last one of a
/// panic is the catch; those before are destructors.
///
/// # Safety
/// As libgcc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Unwind_SetIP(context: *mut c_void, address: usize) {
    if let (Some(record), Some(register)) = (reported_thread(), real::_Unwind_GetGR()) {
        // SAFETY: the personality function has put the exception there, as the first argument of
        // the landing pad.
        let exception = unsafe { register(context, FIRST_FOR_LANDING_PAD) };
        landed(record, exception, backtrace::frame_of(context));
    }
    if let Some(set) = real::_Unwind_SetIP() {
        // SAFETY: the caller's own arguments.
        unsafe { set(context, address) };
    }
}

/// The DWARF number of the register, `rax` or `x0`.
const FIRST_FOR_LANDING_PAD: c_int = 0;

/// Reports the catch of a panic. Only the exception that the personality function handles right now
/// is read: others may have been caught by foreign code and freed.
fn landed(record: &Record, exception: usize, frame: usize) {
    let under_way = |panic: &&PanicUnderWay| panic.exception.load(Relaxed) == exception;
    let Some(panic) = record.panics.iter().find(under_way).filter(|_| exception != 0) else {
        return;
    };
    // SAFETY: this thread has raised it, and it is being unwound: it is alive.
    let catching_frame = unsafe { (*(exception as *const Exception)).catching_frame };
    if catching_frame == frame {
        panic.exception.store(0, Relaxed);
        Frame::new(kinds::PANIC_CAUGHT)
            .u32(record.number.load(Relaxed))
            .u32(panic.number.load(Relaxed))
            .bytes(&[u8::from(panic_catch::is_by_std(record, frame))])
            .send();
    }
}

/// The unwinder's header, which is the same in libgcc and LLVM's libunwind, followed by the fields
/// of Rust's `panic_unwind`.
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

impl Exception {
    /// # Safety
    /// It is an exception of any language.
    unsafe fn is_panic(exception: *const Exception) -> bool {
        // SAFETY: every exception starts with its class.
        unsafe { (*exception).class == *b"MOZ\0RUST" }
    }
}

/// The message of a panic, taken from its payload. Panic hooks have run by now, but what they print
/// in a test's thread is captured, and lost once the test has finished.
struct Message {
    bytes: [u8; LONGEST_MESSAGE],
    length: usize,
    /// The payload's vtable, and its method `<T as Any>::type_id`.
    methods: [usize; 2],
}

impl Message {
    const NONE: Message = Message { bytes: [0; LONGEST_MESSAGE], length: 0, methods: [0; 2] };

    /// Reads the payload as a `&'static str` or a `String`, which it is in nearly all panics. Only
    /// the runner, which can symbolize functions, can tell whether it is one.
    ///
    /// None of these layouts is guaranteed. So memory is read by a call that cannot crash, and what
    /// is not UTF-8 of a plausible length is no message.
    ///
    /// # Safety
    /// The exception is a panic.
    unsafe fn of(exception: *const Exception) -> Message {
        // SAFETY: a Rust panic has these fields.
        let (payload, vtable) = unsafe { ((*exception).payload, (*exception).vtable) };
        let [_drop, size, _align, type_id] = words::<4>(vtable);
        let message = match size {
            16 => Message::read(words::<2>(payload)),
            24 => Message::read(pointer_and_length(words::<3>(payload))),
            _ => Message::NONE,
        };
        Message { methods: [vtable, type_id], ..message }
    }

    fn read([address, length]: [usize; 2]) -> Message {
        const LONGEST_PLAUSIBLE: usize = 1 << 24;
        let mut message = Message::NONE;
        if length <= LONGEST_PLAUSIBLE {
            let wanted = length.min(LONGEST_MESSAGE);
            let room = message.bytes.get_mut(..wanted).unwrap_or_default();
            let read = syscalls::peek(address, room);
            message.length = if read == wanted { wanted } else { 0 };
        }
        message
    }

    fn text(&self) -> &[u8] {
        let bytes = self.bytes.get(..self.length).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text.as_bytes(),
            // Truncated in the middle of a character.
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
    syscalls::peek(address, room);
    words
}

/// A `String` is a capacity, a pointer and a length in an order of the compiler's choice: the
/// pointer is the greatest by far, and the length no greater than the capacity.
fn pointer_and_length(words: [usize; 3]) -> [usize; 2] {
    let [a, b, c] = words;
    [a.max(b).max(c), a.min(b).min(c)]
}
