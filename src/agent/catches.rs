//! Who catches a panic: the standard library at the very start of its thread, for whoever joins
//! it, or somebody on the way there.
//!
//! Names say nothing here: programs are stripped, and a catch may stand any number of calls above
//! the start of its thread. What decides is what the unwinder itself goes by: the tables in which
//! the compiler notes where a function catches.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::real::{self, Start};
use crate::records::Record;
use crate::stacks::{address_of, frame_of};

/// The standard library's own start routine, by which it starts all threads of the binary.
static START_OF_STD: AtomicUsize = AtomicUsize::new(0);

/// Learns it from a thread that libtest has started for a test.
pub fn learn_start(start: Start) {
    START_OF_STD.store(start as usize, Relaxed);
}

/// Between its catch and the start of a thread the standard library has about ten calls in a
/// debug build, and the compiler adds few. A catch that stands farther out is somebody else's.
const MOST_OUTSIDE: usize = 32;

/// Whether the catch in `frame`, of the running thread, is the standard library's, which keeps
/// the panic for who joins the thread. Everything that cannot be made out is a no.
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
    /// Frames seen outside of the one that catches.
    outside: usize,
    /// The start of the thread was reached, and nothing there catches.
    is_outermost: bool,
}

extern "C" fn visit(context: *mut c_void, search: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 4;
    // SAFETY: `is_by_std` passes a search of its own, and nobody else looks at it meanwhile.
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

/// Whether the call that this frame waits for stands in something that catches.
fn may_catch(context: *mut c_void) -> bool {
    let (Some(table), Some(start)) =
        (real::_Unwind_GetLanguageSpecificData(), real::_Unwind_GetRegionStart())
    else {
        return true;
    };
    // SAFETY: `context` is the unwinder's, for the time of this visit.
    let (table, start) = unsafe { (table(context), start(context)) };
    if table == 0 {
        return false;
    }
    let address = address_of(context);
    // SAFETY: the table of the function that stands on the stack, which the unwinder has read.
    let catches = unsafe { Table::of(table).and_then(|table| table.catches(start, address)) };
    catches.unwrap_or(true)
}

/// What the compiler has noted about a function, as the Itanium C++ ABI has it: which calls have
/// a landing pad, and what each of these is for.
struct Table {
    calls: Reader,
    encoding: u8,
    actions: usize,
}

impl Table {
    /// None: in a way that is not known here.
    ///
    /// # Safety
    /// `place` is where such a table stands.
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
    /// Its place was a table.
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

    /// One of the actions that hang together is a catch: those have numbers above zero, what
    /// cleans up has zero, and what lets nothing through has one below.
    ///
    /// # Safety
    /// As the table says it.
    unsafe fn is_catch(&self, action: usize) -> bool {
        let mut place = self.actions + action - 1;
        loop {
            let mut reader = Reader(place);
            // SAFETY: the caller's promise; the last one says that it is.
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

/// Reads numbers one after the other.
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

    /// A number in an encoding of DWARF, of which only the size matters here: what it is relative
    /// to is known. None: an unknown one.
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
    /// There is a number of seven bits a byte.
    unsafe fn unsigned(&mut self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.sevens() }.0
    }

    /// # Safety
    /// There is a number of seven bits a byte.
    unsafe fn signed(&mut self) -> isize {
        // SAFETY: the caller's promise.
        let (number, bits) = unsafe { self.sevens() };
        let unused = usize::BITS.saturating_sub(bits);
        ((number << unused) as isize) >> unused
    }

    /// The number, and how many bits it was written with.
    ///
    /// # Safety
    /// There is a number of seven bits a byte.
    unsafe fn sevens(&mut self) -> (usize, u32) {
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
