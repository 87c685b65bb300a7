//! Forking before libc is initialized, and making a fork look like a spawned process.

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

/// A null-terminated list of strings.
pub type Texts = *const *const c_char;

/// What a fork needs to know about the thread that it continues.
#[derive(Clone, Copy)]
pub struct Thread {
    /// The address at which libc keeps the thread's TID.
    place_of_number: usize,
    /// Its list of robust mutexes, and the length of the list's head.
    robust: [usize; 2],
}

impl Thread {
    /// The calling thread, which must be the only one. None if the kernel does not tell.
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

    /// Forks a process that is our sibling instead of our child: our parent waits for it. Returns 0
    /// in the new process, and a negative error on failure.
    ///
    /// This is what libc's own `_Fork` does for a process without other threads. What `fork` does
    /// beyond that is for locks that other threads may hold, and for handlers that are not set
    /// before the program starts.
    ///
    /// # Safety
    /// The calling thread is the process's only one, and `self` is of it.
    pub unsafe fn fork_sibling(self) -> isize {
        const CLONE_PARENT: usize = 0x8000;
        const CLONE_CHILD_CLEARTID: usize = 0x20_0000;
        const CLONE_CHILD_SETTID: usize = 0x100_0000;
        const FLAGS: usize = CLONE_PARENT | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
        // The last two arguments are in a different order.
        #[cfg(target_arch = "x86_64")]
        let arguments = [FLAGS, 0, 0, self.place_of_number, 0, 0];
        #[cfg(target_arch = "aarch64")]
        let arguments = [FLAGS, 0, 0, 0, self.place_of_number, 0];
        // SAFETY: the child continues with a copy of all memory, on a copy of this stack; the TID
        // is written to where libc itself lets the kernel write it.
        let answer = unsafe { call(more::CLONE, arguments) };
        if answer == 0 {
            plain(more::SET_ROBUST_LIST, self.robust[0], self.robust[1], 0);
        }
        answer
    }
}

/// Makes the process the leader of a process group of its own. Negative on failure.
pub fn lead_group() -> isize {
    plain(more::SETPGID, 0, 0, 0)
}

/// Duplicates `from` to `to`, which is inherited across exec. Negative on failure.
pub fn duplicate_to(from: c_int, to: c_int) -> isize {
    plain(more::DUP3, from as usize, to as usize, 0)
}

/// A message with its descriptors.
pub struct Received {
    pub length: usize,
    pub descriptors: [c_int; 3],
}

/// Waits for a message with three descriptors, which are closed on exec. None if the socket is
/// closed, or if the message is malformed.
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

/// A pipe, both ends of which are closed on exec.
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

/// Waits until there is something to read, or until the other side of a socket has shut down.
/// Returns true in the second case.
pub fn await_either(readable: c_int, socket: c_int) -> bool {
    const POLLRDHUP: i16 = 0x2000;
    let mut polls = [
        Poll { descriptor: readable, wanted: POLLIN, found: 0 },
        Poll { descriptor: socket, wanted: POLLRDHUP, found: 0 },
    ];
    // SAFETY: the kernel reads and writes two `Poll`s; there is no timeout.
    unsafe { call(number::PPOLL, [polls.as_mut_ptr() as usize, polls.len(), 0, 0, 0, 0]) };
    polls[1].found != 0
}

/// Whether there is something to read now.
pub fn has_more(readable: c_int) -> bool {
    let mut poll = Poll { descriptor: readable, wanted: POLLIN, found: 0 };
    let at_once = [0_usize; 2];
    // SAFETY: the kernel reads and writes one `Poll`, and reads a time of two words.
    unsafe {
        let (poll, time) = ((&raw mut poll) as usize, at_once.as_ptr() as usize);
        call(number::PPOLL, [poll, 1, time, 0, 0, 0]);
    }
    poll.found & POLLIN != 0
}

/// The kernel's memory map of a process (prctl(2), `PR_SET_MM_MAP`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct MemoryMap {
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

impl MemoryMap {
    /// That of this process, from `/proc/self/stat` (proc(5)). None if that cannot be read.
    pub fn own() -> Option<MemoryMap> {
        let file = super::open(c"/proc/self/stat", false)?;
        let mut text = [0; 1024];
        let length = super::read(file, &mut text);
        super::close(file);
        let text = text.get(..length)?;
        let bracket = text.iter().rposition(|&byte| byte == b')')?;
        // The third field follows the name.
        let field = |number: usize| -> Option<u64> {
            let mut fields = text.get(bracket + 2..)?.split(|byte| *byte == b' ');
            let digits = core::str::from_utf8(fields.nth(number - 3)?).ok()?;
            digits.trim_ascii().parse().ok()
        };
        Some(MemoryMap {
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

    /// The address range of the environment.
    pub fn environment(&self) -> [u64; 2] {
        self.environment
    }

    /// Makes `/proc/self/cmdline` and `/proc/self/environ` show these strings. Returns false if
    /// that is refused.
    pub fn show(mut self, arguments: &[u8], environment: &[u8]) -> bool {
        let ends = |text: &[u8]| [text.as_ptr() as u64, text.as_ptr() as u64 + text.len() as u64];
        self.arguments = ends(arguments);
        self.environment = ends(environment);
        self.set()
    }

    /// Returns false if that is refused.
    pub fn set(&self) -> bool {
        const PR_SET_MM: usize = 35;
        const PR_SET_MM_MAP: usize = 14;
        let place = core::ptr::from_ref(self) as usize;
        // SAFETY: the kernel reads one `MemoryMap`, checks every address in it, and uses them for
        // what it shows in /proc; the heap's end stays the same.
        let answer = unsafe {
            call(number::PRCTL, [PR_SET_MM, PR_SET_MM_MAP, place, size_of::<MemoryMap>(), 0, 0])
        };
        answer == 0
    }
}

/// The PID as libc knows it. Old versions cache it.
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
