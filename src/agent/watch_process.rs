//! What else of the process each test has changed, on request: its umask, signal handlers, limits,
//! descriptors, timers and locale. They are compared as the statics are (`watch.rs`), and at the same
//! time.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use crate::frame::Frame;
use crate::kinds::{self, ABSENT, watched};
use crate::syscalls::state;
use crate::{channel, signals, syscalls};

unsafe extern "C" {
    fn setlocale(category: c_int, name: *const c_char) -> *const c_char;
}

const SIGNALS: usize = 64;
const LIMITS: usize = 16;
const TIMERS: usize = 4;

/// What is the same number of words for every process.
#[derive(Clone, Copy)]
struct Snapshot {
    umask: u32,
    /// Handler, flags, mask.
    handlers: [[u64; 3]; SIGNALS + 1],
    /// The soft limit, and the hard one.
    limits: [[u64; 2]; LIMITS],
    /// How many are armed: of the three kinds of setitimer(2), and of timer_create(2).
    timers: [u64; TIMERS],
    locale: [u8; LOCALE],
}

/// Names of locales are short, but for those that differ by category, which are cut.
const LOCALE: usize = 128;

struct MainOnly(UnsafeCell<Snapshot>);

// SAFETY: used by the main thread only, between tests.
unsafe impl Sync for MainOnly {}

static KNOWN: MainOnly = MainOnly(UnsafeCell::new(Snapshot {
    umask: 0,
    handlers: [[0; 3]; SIGNALS + 1],
    limits: [[0; 2]; LIMITS],
    timers: [0; TIMERS],
    locale: [0; LOCALE],
}));

impl Snapshot {
    fn now() -> Snapshot {
        let mut now = Snapshot {
            umask: umask(),
            handlers: [[0; 3]; SIGNALS + 1],
            limits: [[0; 2]; LIMITS],
            timers: [0; TIMERS],
            locale: [0; LOCALE],
        };
        for (handler, signal) in now.handlers.iter_mut().zip(0..) {
            *handler = signals::action_of_process(signal).unwrap_or_default();
        }
        for (limit, number) in now.limits.iter_mut().zip(0..) {
            *limit = state::limit(number).unwrap_or_default();
        }
        for (timer, number) in now.timers.iter_mut().zip(0..3) {
            *timer = u64::from(state::is_timer_armed(number));
        }
        if let Some(created) = now.timers.last_mut() {
            *created = created_timers();
        }
        const LC_ALL: c_int = 6;
        // SAFETY: a query, which changes nothing and takes no lock; the name stays while no test
        // runs.
        let locale = unsafe { setlocale(LC_ALL, core::ptr::null()) };
        if !locale.is_null() {
            // SAFETY: libc's own string.
            let bytes = unsafe { CStr::from_ptr(locale) }.to_bytes();
            now.locale.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        now
    }

    fn locale(&self) -> &[u8] {
        let end = self.locale.iter().position(|byte| *byte == 0).unwrap_or(LOCALE);
        self.locale.get(..end).unwrap_or(&[])
    }
}

/// A test is about to begin, the first of the process.
pub fn begin() {
    // SAFETY: only the main thread comes here, and to `test_ended`.
    unsafe { *KNOWN.0.get() = Snapshot::now() };
    Descriptors::begin();
}

/// A test has ended. Reports what it has changed, unless others ran beside it.
pub fn test_ended(test: Option<u32>) {
    // SAFETY: only the main thread comes here, and to `begin`.
    let known = unsafe { &mut *KNOWN.0.get() };
    let before = core::mem::replace(known, Snapshot::now());
    let now = &*known;
    Descriptors::compare(test);
    let Some(test) = test else { return };
    if before.umask != now.umask {
        let [old, new] = [before.umask, now.umask].map(u32::to_ne_bytes);
        report(test, (watched::UMASK, 0), &old, &new);
    }
    for (number, (old, new)) in before.handlers.iter().zip(&now.handlers).enumerate() {
        if old != new {
            report_words(test, (watched::HANDLER, number), old, new);
        }
    }
    for (number, (old, new)) in before.limits.iter().zip(&now.limits).enumerate() {
        if old != new {
            report_words(test, (watched::LIMIT, number), old, new);
        }
    }
    for (number, (old, new)) in before.timers.iter().zip(&now.timers).enumerate() {
        if old != new {
            report_words(test, (watched::TIMER, number), &[*old], &[*new]);
        }
    }
    if before.locale != now.locale {
        report(test, (watched::LOCALE, 0), before.locale(), now.locale());
    }
}

fn report_words(test: u32, what: (u8, usize), before: &[u64], after: &[u64]) {
    let bytes = |words: &[u64]| {
        let mut bytes = [0; 24];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    };
    let length = 8 * before.len();
    let (before, after) = (bytes(before), bytes(after));
    report(test, what, before.get(..length).unwrap_or(&[]), after.get(..length).unwrap_or(&[]));
}

/// Reports a change of which both states are all that there is to know.
fn report(test: u32, what: (u8, usize), before: &[u8], after: &[u8]) {
    send(test, what, [kinds::state(before), kinds::state(after)], [before, after]);
}

fn send(test: u32, (what, number): (u8, usize), [old, new]: [u64; 2], [before, after]: [&[u8]; 2]) {
    Frame::new(kinds::STATE_CHANGED)
        .u32(test)
        .bytes(&[what])
        .u32(number as u32)
        .u64(old)
        .u64(new)
        .bytes(&[before.len() as u8])
        .bytes(before)
        .send_with(after);
}

/// Reads the beginning of one of the process's own files.
fn read<'r>(path: &CStr, room: &'r mut [u8]) -> &'r [u8] {
    let Some(descriptor) = syscalls::open(path, false) else { return &[] };
    let length = syscalls::read(descriptor, room);
    syscalls::close(descriptor);
    room.get(..length).unwrap_or(&[])
}

/// Asked for without being changed, which other threads could notice.
fn umask() -> u32 {
    const LABEL: &[u8] = b"Umask:\t";
    let mut room = [0; 256];
    let status = read(c"/proc/self/status", &mut room);
    let mut lines = status.split(|byte| *byte == b'\n');
    let digits = lines.find_map(|line| line.strip_prefix(LABEL)).unwrap_or(&[]);
    digits.iter().fold(0, |umask, digit| umask << 3 | u32::from(digit & 7))
}

fn created_timers() -> u64 {
    let mut room = [0; 4096];
    let timers = read(c"/proc/self/timers", &mut room).split(|byte| *byte == b'\n');
    timers.filter(|line| line.starts_with(b"ID:")).count() as u64
}

/// An open descriptor.
#[repr(C)]
#[derive(Clone, Copy)]
struct Descriptor {
    number: u32,
    length: u32,
    /// Of the open file; two of the same file are equal.
    state: u64,
    path: [u8; PATH],
}

const PATH: usize = 112;

/// The first so many descriptors, in the order of their numbers. Pages cost something only once they
/// are touched.
struct Descriptors {
    first: *mut Descriptor,
    count: usize,
}

const MOST: usize = 4096;

/// Two tables, the one that is known first.
static TABLES: [AtomicPtr<Descriptor>; 2] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 2];
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Descriptors {
    fn begin() {
        for table in &TABLES {
            let room = syscalls::memory(MOST * size_of::<Descriptor>());
            table.store(room.unwrap_or(core::ptr::null_mut()).cast(), Relaxed);
        }
        let [known, _] = &TABLES;
        COUNT.store(Descriptors::fill(known.load(Relaxed)).count, Relaxed);
    }

    /// Looks which are open now.
    fn fill(first: *mut Descriptor) -> Descriptors {
        let mut count = 0;
        let Some(directory) = syscalls::open(c"/proc/self/fd", false).filter(|_| !first.is_null())
        else {
            return Descriptors { first, count };
        };
        state::each_entry(directory, |name| {
            let digits = name.iter().try_fold(0_u32, |number, digit| {
                digit.is_ascii_digit().then(|| number.wrapping_mul(10) + u32::from(digit - b'0'))
            });
            let own = [Some(directory), channel::descriptor()];
            let Some(number) = digits.filter(|_| count < MOST) else { return };
            if own.contains(&Some(number as c_int)) {
                return;
            }
            // SAFETY: within the table.
            unsafe { first.add(count).write(Descriptor::of(number)) };
            count += 1;
        });
        syscalls::close(directory);
        Descriptors { first, count }
    }

    fn all(&self) -> &[Descriptor] {
        if self.first.is_null() {
            return &[];
        }
        // SAFETY: so many were written.
        unsafe { core::slice::from_raw_parts(self.first, self.count) }
    }

    fn compare(test: Option<u32>) {
        let [known, other] = &TABLES;
        let before = Descriptors { first: known.load(Relaxed), count: COUNT.load(Relaxed) };
        let now = Descriptors::fill(other.load(Relaxed));
        known.store(now.first, Relaxed);
        other.store(before.first, Relaxed);
        COUNT.store(now.count, Relaxed);
        let Some(test) = test else { return };
        let (mut old, mut new) = (before.all(), now.all());
        // Both are sorted.
        loop {
            let (one, other) = (old.first(), new.first());
            let order = match (one, other) {
                (None, None) => return,
                (Some(one), Some(other)) => one.number.cmp(&other.number),
                (Some(_), None) => core::cmp::Ordering::Less,
                (None, Some(_)) => core::cmp::Ordering::Greater,
            };
            let (closed, opened) = (one.filter(|_| order.is_le()), other.filter(|_| order.is_ge()));
            Descriptor::report(test, closed, opened);
            old = old.get(usize::from(order.is_le())..).unwrap_or(&[]);
            new = new.get(usize::from(order.is_ge())..).unwrap_or(&[]);
        }
    }
}

impl Descriptor {
    fn of(number: u32) -> Descriptor {
        let mut path = [0; PATH];
        let mut room = [0; 1024];
        let text = syscalls::path_of(number as c_int, &mut room).unwrap_or(b"");
        path.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        let identity = syscalls::identity(number as c_int);
        let words = identity.map_or([0; 2], |identity| [identity.device, identity.inode]);
        let mut bytes = [0; 16];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let length = text.len().min(PATH) as u32;
        Descriptor { number, length, state: kinds::state(&bytes), path }
    }

    fn path(&self) -> &[u8] {
        self.path.get(..self.length as usize).unwrap_or(&[])
    }

    /// Reports what a descriptor was, and what it is, if these differ.
    fn report(test: u32, closed: Option<&Descriptor>, opened: Option<&Descriptor>) {
        let state_of = |one: Option<&Descriptor>| one.map_or(ABSENT, |one| one.state);
        let Some(any) = opened.or(closed).filter(|_| state_of(closed) != state_of(opened)) else {
            return;
        };
        let (states, paths) = ([closed, opened].map(state_of), [closed, opened]);
        let paths = paths.map(|one| one.map_or(&b""[..], Descriptor::path));
        send(test, (watched::DESCRIPTOR, any.number as usize), states, paths);
    }
}
