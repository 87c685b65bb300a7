//! Whether a panic is caught by the standard library at the start of its thread, to be returned by
//! `join`, or by other code before that.
//!
//! Function names do not help: programs are stripped, and the catching frame may be any number of
//! calls above the start of its thread. So this reads what the unwinder reads: the tables (LSDA) in
//! which the compiler records where a function catches.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::backtrace::{address_of, frame_of};
use crate::real::{self, Start};
use crate::records::Record;

/// The start routine that the standard library passes to `pthread_create` for all threads.
static START_OF_STD: AtomicUsize = AtomicUsize::new(0);

/// Records the start routine of a thread that libtest has started for a test.
pub fn learn_start(start: Start) {
    START_OF_STD.store(start as usize, Relaxed);
}

/// The most frames outside of the catching one. In a debug build the standard library has about ten
/// between its catch and the start of a thread. A catch farther away is not the standard library's.
const MOST_OUTSIDE: usize = 32;

/// Whether the catch in `frame`, of the running thread, is the standard library's, which keeps the
/// panic for `join`. False if that cannot be determined.
pub fn is_by_std(record: &Record, frame: usize) -> bool {
    let start = record.routine.get().start.map_or(0, |start| start as usize);
    if start == 0 || start != START_OF_STD.load(Relaxed) {
        return false;
    }
    let start_of_thread = record.outermost_frame.load(Relaxed);
    let mut search = Search { frame, start_of_thread, outside: 0, is_outermost: false };
    if let Some(walk) = real::_Unwind_Backtrace() {
        let place: *mut Search = &mut search;
        // SAFETY: `visit` gets `place` back, which outlives the walk.
        unsafe { walk(visit, place.cast()) };
    }
    search.is_outermost
}

struct Search {
    frame: usize,
    start_of_thread: usize,
    /// The number of frames outside of the catching one.
    outside: usize,
    /// The start of the thread was reached, and no frame on the way catches.
    is_outermost: bool,
}

extern "C" fn visit(context: *mut c_void, search: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 4;
    // SAFETY: `is_by_std` passes a search of its own, and nothing else uses it meanwhile.
    let search = unsafe { &mut *search.cast::<Search>() };
    let frame = frame_of(context);
    if frame <= search.frame {
        return GO_ON;
    }
    if frame >= search.start_of_thread {
        search.is_outermost = true;
        return STOP;
    }
    search.outside += 1;
    if search.outside > MOST_OUTSIDE || may_catch(context) { STOP } else { GO_ON }
}

/// Whether the current call of this frame is inside of a catch.
fn may_catch(context: *mut c_void) -> bool {
    let (Some(table), Some(start)) =
        (real::_Unwind_GetLanguageSpecificData(), real::_Unwind_GetRegionStart())
    else {
        return true;
    };
    // SAFETY: `context` is the unwinder's, valid during this call.
    let (table, start) = unsafe { (table(context), start(context)) };
    if table == 0 {
        return false;
    }
    let address = address_of(context);
    // SAFETY: the table of a function on the stack, which the unwinder has read.
    let catches = unsafe { Table::of(table).and_then(|table| table.catches(start, address)) };
    catches.unwrap_or(true)
}

/// A function's language-specific data area, in the format of the Itanium C++ ABI: which calls have
/// a landing pad, and what each landing pad does.
struct Table {
    calls: Reader,
    encoding: u8,
    actions: usize,
}

impl Table {
    /// None if its encoding is not supported.
    ///
    /// # Safety
    /// `place` is the address of such a table.
    unsafe fn of(place: usize) -> Option<Table> {
        const OMITTED: u8 = 0xff;
        let mut reader = Reader(place);
        // SAFETY: the caller's promise.
        unsafe {
            let landing = reader.byte();
            if landing != OMITTED {
                reader.number(landing)?;
            }
            let types = reader.byte();
            if types != OMITTED {
                reader.unsigned();
            }
            let encoding = reader.byte();
            let length = reader.unsigned();
            Some(Table { calls: Reader(reader.0), encoding, actions: reader.0 + length })
        }
    }

    /// # Safety
    /// As for `of`.
    unsafe fn catches(mut self, start: usize, address: usize) -> Option<bool> {
        while self.calls.0 < self.actions {
            // SAFETY: between its start and its end.
            let [from, length, landing] = unsafe {
                [
                    self.calls.number(self.encoding)?,
                    self.calls.number(self.encoding)?,
                    self.calls.number(self.encoding)?,
                ]
            };
            // SAFETY: as above.
            let action = unsafe { self.calls.unsigned() };
            let from = start + from;
            if (from..from + length).contains(&address) {
                // SAFETY: the action belongs to a call of the table.
                return Some(landing != 0 && action != 0 && unsafe { self.is_catch(action) });
            }
        }
        Some(false)
    }

    /// Whether a chain of actions contains a catch: the filter of a catch is positive, that of a
    /// cleanup is zero, and that of an exception specification is negative.
    ///
    /// # Safety
    /// The action is one of the table's.
    unsafe fn is_catch(&self, action: usize) -> bool {
        let mut place = self.actions + action - 1;
        loop {
            let mut reader = Reader(place);
            // SAFETY: the caller's promise; the last action of a chain has no next one.
            let kind = unsafe { reader.signed() };
            let from = reader.0;
            // SAFETY: as above.
            let next = unsafe { reader.signed() };
            if kind > 0 || next == 0 {
                return kind > 0;
            }
            place = from.wrapping_add_signed(next);
        }
    }
}

/// Reads numbers from memory, one after the other.
struct Reader(usize);

impl Reader {
    /// # Safety
    /// There is a byte.
    unsafe fn byte(&mut self) -> u8 {
        // SAFETY: the caller's promise.
        let byte = unsafe { (self.0 as *const u8).read() };
        self.0 += 1;
        byte
    }

    /// A number in a DWARF pointer encoding. Only its size matters here, since its base is known.
    /// None if the encoding is unknown.
    ///
    /// # Safety
    /// There is such a number.
    unsafe fn number(&mut self, encoding: u8) -> Option<usize> {
        const SIZE: u8 = 0x0f;
        // SAFETY: the caller's promise.
        unsafe {
            Some(match encoding & SIZE {
                0x01 => self.unsigned(),
                0x09 => self.signed() as usize,
                0x02 | 0x0a => usize::from(self.fixed::<u16>()),
                0x03 | 0x0b => self.fixed::<u32>() as usize,
                0x00 | 0x04 | 0x0c => self.fixed::<usize>(),
                _ => return None,
            })
        }
    }

    /// # Safety
    /// There is such a number.
    unsafe fn fixed<T>(&mut self) -> T {
        // SAFETY: the caller's promise; `T` is a plain number.
        let number = unsafe { (self.0 as *const T).read_unaligned() };
        self.0 += size_of::<T>();
        number
    }

    /// # Safety
    /// There is a LEB128 number.
    unsafe fn unsigned(&mut self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.leb128() }.0
    }

    /// # Safety
    /// There is a LEB128 number.
    unsafe fn signed(&mut self) -> isize {
        // SAFETY: the caller's promise.
        let (number, bits) = unsafe { self.leb128() };
        let unused = usize::BITS.saturating_sub(bits);
        ((number << unused) as isize) >> unused
    }

    /// A LEB128 number, and how many bits it was written with.
    ///
    /// # Safety
    /// There is a LEB128 number.
    unsafe fn leb128(&mut self) -> (usize, u32) {
        const MORE: u8 = 0x80;
        let (mut number, mut bits) = (0, 0);
        loop {
            // SAFETY: the caller's promise.
            let byte = unsafe { self.byte() };
            number |= usize::from(byte & !MORE).checked_shl(bits).unwrap_or(0);
            bits += 7;
            if byte & MORE == 0 {
                return (number, bits);
            }
        }
    }
}
