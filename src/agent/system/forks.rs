//! What it takes to fork before libc has begun, and to be taken for a process of one's own.

use core::ffi::{c_char, c_int};

use super::{call, number, plain};

#[cfg(target_arch = "x86_64")]
mod more {
    pub const BRK: usize = 12;
    pub const RECVMSG: usize = 47;
    pub const CLONE: usize = 56;
    pub const SETPGID: usize = 109;
    pub const SET_ROBUST_LIST: usize = 273;
    pub const GET_ROBUST_LIST: usize = 274;
    pub const DUP3: usize = 292;
    pub const PIPE2: usize = 293;
}

#[cfg(target_arch = "aarch64")]
mod more {
    pub const DUP3: usize = 24;
    pub const PIPE2: usize = 59;
    pub const SET_ROBUST_LIST: usize = 99;
    pub const GET_ROBUST_LIST: usize = 100;
    pub const SETPGID: usize = 154;
    pub const RECVMSG: usize = 212;
    pub const BRK: usize = 214;
    pub const CLONE: usize = 220;
}

/// A list of texts that ends in null.
pub type Texts = *const *const c_char;

/// What a forked process has to be told of the thread that it continues.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Where libc keeps the thread's number.
    place_of_number: usize,
    /// Its list of locks that must not be left locked, and the length of the list's head.
    robust: [usize; 2],
}

impl Thread {
    /// The calling thread, which must be the only one. None where the kernel does not tell.
    pub fn calling() -> Option<Thread> {
        const PR_GET_TID_ADDRESS: usize = 40;
        let mut place = 0usize;
        let mut robust = [0usize; 2];
        let [head, length] = [&raw mut robust[0] as usize, &raw mut robust[1] as usize];
        // SAFETY: the kernel writes one word to each of the three places.
        let answers = unsafe {
            let place = &raw mut place as usize;
            [
                call(number::PRCTL, [PR_GET_TID_ADDRESS, place, 0, 0, 0, 0]),
                call(more::GET_ROBUST_LIST, [0, head, length, 0, 0, 0]),
            ]
        };
        let is_told = answers == [0, 0] && place != 0 && robust[0] != 0;
        is_told.then_some(Thread { place_of_number: place, robust })
    }

    /// Forks a process that is not our child but our sibling: whoever started us waits for it,
    /// and is told of its end. Gives 0 in the new process, and an error below zero.
    ///
    /// It does what libc's own `_Fork` does for a process without other threads; what more
    /// `fork` does is for locks that others may hold, and for handlers that nobody has set
    /// before the program has begun.
    ///
    /// # Safety
    /// The calling thread is the process's only one, and `self` is of it.
    pub unsafe fn fork_sibling(self) -> isize {
        const CLONE_PARENT: usize = 0x8000;
        const CLONE_CHILD_CLEARTID: usize = 0x20_0000;
        const CLONE_CHILD_SETTID: usize = 0x100_0000;
        const FLAGS: usize = CLONE_PARENT | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
        // The last two arguments stand the other way round.
        #[cfg(target_arch = "x86_64")]
        let arguments = [FLAGS, 0, 0, self.place_of_number, 0, 0];
        #[cfg(target_arch = "aarch64")]
        let arguments = [FLAGS, 0, 0, 0, self.place_of_number, 0];
        // SAFETY: the child goes on with a copy of all memory, on a copy of this stack; the
        // number is written to where libc itself lets the kernel write it.
        let answer = unsafe { call(more::CLONE, arguments) };
        if answer == 0 {
            plain(more::SET_ROBUST_LIST, self.robust[0], self.robust[1], 0);
        }
        answer
    }
}

/// Becomes the leader of a process group of its own. Below zero: an error.
pub fn lead_group() -> isize {
    plain(more::SETPGID, 0, 0, 0)
}

/// Makes `to` another name for `from`, one that programs which are started inherit. Below zero:
/// an error.
pub fn rename(from: c_int, to: c_int) -> isize {
    plain(more::DUP3, from as usize, to as usize, 0)
}

/// What came in one message.
pub struct Received {
    pub length: usize,
    pub descriptors: [c_int; 3],
}

/// Waits for a message with three descriptors, which programs that are started do not inherit.
/// None: there will be none, or it was not what anybody should send.
pub fn receive(socket: c_int, room: &mut [u8]) -> Option<Received> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    const CUT: u32 = 0x20 | 0x8;
    const RIGHTS: [u32; 2] = [1, 1];
    const RIGHTS_LENGTH: usize = 16 + 3 * size_of::<c_int>();
    #[repr(C, align(8))]
    struct Control {
        length: usize,
        kind: [u32; 2],
        descriptors: [c_int; 3],
        padding: u32,
    }
    loop {
        let mut control = Control { length: 0, kind: [0; 2], descriptors: [-1; 3], padding: 0 };
        let piece = [room.as_mut_ptr() as usize, room.len()];
        let [pieces, beside] = [piece.as_ptr() as usize, &raw mut control as usize];
        let mut header = [0, 0, pieces, 1, beside, size_of::<Control>(), 0];
        // SAFETY: `header` is laid out as a msghdr without address; the kernel writes to it, to
        // `room` and to `control`, as much as their lengths say.
        let answer = unsafe {
            let header = header.as_mut_ptr() as usize;
            call(more::RECVMSG, [socket as usize, header, MSG_CMSG_CLOEXEC, 0, 0, 0])
        };
        if answer == super::EINTR {
            continue;
        }
        let is_whole = answer > 0
            && header[6] as u32 & CUT == 0
            && control.length == RIGHTS_LENGTH
            && control.kind == RIGHTS;
        let received = Received { length: answer as usize, descriptors: control.descriptors };
        return is_whole.then_some(received);
    }
}

/// Two ends, of which programs that are started inherit none.
pub fn pipe() -> Option<[c_int; 2]> {
    const O_CLOEXEC: usize = 0o2_000_000;
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    let answer = unsafe { call(more::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC, 0, 0, 0, 0]) };
    (answer == 0).then_some(ends)
}

#[repr(C)]
struct Poll {
    descriptor: c_int,
    wanted: i16,
    found: i16,
}

const POLLIN: i16 = 1;

/// Waits for something to read, or for the end of what the other side of a socket sends. True:
/// the second.
pub fn await_either(readable: c_int, socket: c_int) -> bool {
    const POLLRDHUP: i16 = 0x2000;
    let mut polls = [
        Poll { descriptor: readable, wanted: POLLIN, found: 0 },
        Poll { descriptor: socket, wanted: POLLRDHUP, found: 0 },
    ];
    // SAFETY: the kernel reads and writes two of these; no time is set.
    unsafe { call(number::PPOLL, [polls.as_mut_ptr() as usize, polls.len(), 0, 0, 0, 0]) };
    polls[1].found != 0
}

/// Whether there is something to read now.
pub fn has_more(readable: c_int) -> bool {
    let mut poll = Poll { descriptor: readable, wanted: POLLIN, found: 0 };
    let at_once = [0_usize; 2];
    // SAFETY: the kernel reads and writes one of these, and reads a time of two words.
    unsafe {
        let (poll, time) = ((&raw mut poll) as usize, at_once.as_ptr() as usize);
        call(number::PPOLL, [poll, 1, time, 0, 0, 0]);
    }
    poll.found & POLLIN != 0
}

/// What the kernel knows of the places in a process's memory (prctl(2), `PR_SET_MM_MAP`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Places {
    code: [u64; 2],
    data: [u64; 2],
    heap: [u64; 2],
    stack: u64,
    arguments: [u64; 2],
    environment: [u64; 2],
    auxiliary: u64,
    auxiliary_length: u32,
    executable: u32,
}

impl Places {
    /// Those of this process, by proc(5), `/proc/self/stat`. None where it does not tell.
    pub fn own() -> Option<Places> {
        let file = super::open(c"/proc/self/stat", false)?;
        let mut text = [0; 1024];
        let length = super::read(file, &mut text);
        super::close(file);
        let text = text.get(..length)?;
        let bracket = text.iter().rposition(|&byte| byte == b')')?;
        // What follows the name is the third field.
        let field = |number: usize| -> Option<u64> {
            let mut fields = text.get(bracket + 2..)?.split(|byte| *byte == b' ');
            let digits = core::str::from_utf8(fields.nth(number - 3)?).ok()?;
            digits.trim_ascii().parse().ok()
        };
        Some(Places {
            code: [field(26)?, field(27)?],
            data: [field(45)?, field(46)?],
            heap: [field(47)?, plain(more::BRK, 0, 0, 0) as u64],
            stack: field(28)?,
            arguments: [field(48)?, field(49)?],
            environment: [field(50)?, field(51)?],
            auxiliary: 0,
            auxiliary_length: 0,
            executable: u32::MAX,
        })
    }

    /// Where the kernel has put the environment.
    pub fn environment(&self) -> [u64; 2] {
        self.environment
    }

    /// Makes `/proc/self/cmdline` and `/proc/self/environ` show these texts. False: refused.
    pub fn show(mut self, arguments: &[u8], environment: &[u8]) -> bool {
        let ends = |text: &[u8]| [text.as_ptr() as u64, text.as_ptr() as u64 + text.len() as u64];
        self.arguments = ends(arguments);
        self.environment = ends(environment);
        self.set()
    }

    /// False: refused.
    pub fn set(&self) -> bool {
        const PR_SET_MM: usize = 35;
        const PR_SET_MM_MAP: usize = 14;
        let place = core::ptr::from_ref(self) as usize;
        // SAFETY: the kernel reads one `Places`, checks every address in it, and uses them for
        // what it shows in /proc; the heap's end is as it was.
        let answer = unsafe {
            call(number::PRCTL, [PR_SET_MM, PR_SET_MM_MAP, place, size_of::<Places>(), 0, 0])
        };
        answer == 0
    }
}

/// The number of the calling process, as libc knows it. Old ones keep it instead of asking.
pub fn process_by_libc() -> u32 {
    unsafe extern "C" {
        fn getpid() -> c_int;
    }
    // SAFETY: a plain call of libc.
    unsafe { getpid() as u32 }
}

pub fn end(code: c_int) -> ! {
    super::exit(code);
    crate::stop()
}
