//! Panics as the unwinder sees them: where one is raised, what it says, and who catches it.
//!
//! Every panic has a number, which says what a catch is about. Those of libtest's main thread and
//! of the tests' own threads are libtest's business.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::channel;
use crate::frame::Frame;
use crate::records::{self, PanicUnderWay, RUNS_TEST, Record};
use crate::stacks::{self, Stack};
use crate::{catches, kinds, real, system};

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

/// The last panic's number.
static PANICS: AtomicU32 = AtomicU32::new(0);

/// Reports the panic and answers with the function that does the work.
extern "C" fn raised(exception: *const Exception) -> usize {
    // SAFETY: the caller of `_Unwind_RaiseException` passes an exception.
    if let Some(record) = told_of().filter(|_| unsafe { Exception::is_panic(exception) }) {
        let panic = PANICS.fetch_add(1, Relaxed).wrapping_add(1);
        remember(record, exception as usize, panic);
        // SAFETY: it is one of Rust's.
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

/// The running thread, if its panics are told.
fn told_of() -> Option<&'static Record> {
    let record = records::current().filter(|_| channel::is_open())?;
    (!record.is_main() && !record.has(RUNS_TEST)).then_some(record)
}

/// Without an unwinder nothing can be caught; the caller then aborts.
extern "C" fn end_of_stack(_exception: *mut c_void) -> i32 {
    const END_OF_STACK: i32 = 5;
    END_OF_STACK
}

/// One that is raised while another is under way is caught before that goes on, or else the process
/// aborts: of more than there is room for, the outermost ones matter.
fn remember(record: &Record, exception: usize, number: u32) {
    let place_of = |wanted: usize| {
        record.panics.iter().find(move |panic| panic.exception.load(Relaxed) == wanted)
    };
    if let Some(panic) = place_of(exception).or_else(|| place_of(0)).or(record.panics.last()) {
        panic.number.store(number, Relaxed);
        panic.exception.store(exception, Relaxed);
    }
}

/// Stands in for the call by which a personality function names the place where to go on. The
/// last one for a panic is the catch; those before are destructors.
///
/// # Safety
/// As libgcc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Unwind_SetIP(context: *mut c_void, address: usize) {
    if let (Some(record), Some(register)) = (told_of(), real::_Unwind_GetGR()) {
        // SAFETY: the personality function has put the exception there, the first thing that the
        // landing pad is to find.
        let exception = unsafe { register(context, FIRST_FOR_LANDING_PAD) };
        landed(record, exception, stacks::frame_of(context));
    }
    if let Some(set) = real::_Unwind_SetIP() {
        // SAFETY: the caller's own arguments.
        unsafe { set(context, address) };
    }
}

/// DWARF's number of the register, `rax` or `x0`.
const FIRST_FOR_LANDING_PAD: c_int = 0;

/// One that was raised and never landed, or was caught by foreign code, may be gone. None is
/// looked at but the one that a personality function deals with right now.
fn landed(record: &Record, exception: usize, frame: usize) {
    let under_way = |panic: &&PanicUnderWay| panic.exception.load(Relaxed) == exception;
    let Some(panic) = record.panics.iter().find(under_way).filter(|_| exception != 0) else {
        return;
    };
    // SAFETY: raised by this thread, and it lands now: it is alive.
    let catching_frame = unsafe { (*(exception as *const Exception)).catching_frame };
    if catching_frame == frame {
        panic.exception.store(0, Relaxed);
        Frame::new(kinds::PANIC_CAUGHT)
            .u32(record.number.load(Relaxed))
            .u32(panic.number.load(Relaxed))
            .bytes(&[u8::from(catches::is_by_std(record, frame))])
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

impl Exception {
    /// # Safety
    /// An exception of any language.
    unsafe fn is_panic(exception: *const Exception) -> bool {
        // SAFETY: every one starts with its class.
        unsafe { (*exception).class == *b"MOZ\0RUST" }
    }
}

/// The text of a panic, taken from its payload. Hooks have run by now; but what they print in a
/// test's thread is captured, and lost once the test is over.
struct Message {
    bytes: [u8; LONGEST_MESSAGE],
    length: usize,
    /// The payload's table of methods, and the one that tells its type: `<T as Any>::type_id`.
    methods: [usize; 2],
}

impl Message {
    const NONE: Message = Message { bytes: [0; LONGEST_MESSAGE], length: 0, methods: [0; 2] };

    /// A payload is a `&'static str` or a `String` in nearly all panics, and this is its text if
    /// it is. Whether it is, only the runner can tell, who knows the names of functions.
    ///
    /// No layout here is promised, so nothing is believed: memory is read by a call that cannot
    /// crash, and what is not UTF-8 of a plausible length is no message.
    ///
    /// # Safety
    /// The exception is a panic.
    unsafe fn of(exception: *const Exception) -> Message {
        // SAFETY: one of Rust's has these fields.
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
