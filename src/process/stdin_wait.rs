//! Whether a process waits for its input.

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use super::event::StdinWait;
use super::procfs::children_of;

/// Whether a process, or what it has started, waits for the end of its input: then that is
/// enough to make it stop, and a signal on top would cut its cleaning up short.
pub fn stdin_wait(pid: u32) -> StdinWait {
    if !cfg!(target_os = "linux") {
        return StdinWait::Unknown;
    }
    let mut family = vec![pid];
    let mut found = StdinWait::NotWaiting;
    while let Some(pid) = family.pop() {
        match hearing_of(pid) {
            StdinWait::Waiting => return StdinWait::Waiting,
            StdinWait::Unknown => found = StdinWait::Unknown,
            StdinWait::NotWaiting => {}
        }
        family.extend(children_of(&pid.to_string()));
    }
    found
}

/// What each thread of a process waits for (proc(5), `/proc/PID/syscall`: the number of the
/// call, then its arguments).
fn hearing_of(pid: u32) -> StdinWait {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut found = StdinWait::NotWaiting;
    for thread in threads {
        let Ok(call) = fs::read_to_string(thread.path().join("syscall")) else {
            found = StdinWait::Unknown;
            continue;
        };
        match waits_in(&call) {
            Some(Wait::Read { descriptor: 0 }) => return StdinWait::Waiting,
            Some(Wait::Epoll) if epoll_has_stdin(pid) => return StdinWait::Waiting,
            Some(Wait::Memory { address, length, of }) => match read_memory(pid, address, length) {
                Some(memory) if of.has_stdin(&memory) => return StdinWait::Waiting,
                Some(_) => {}
                None => found = StdinWait::Unknown,
            },
            // It is running, and may read next.
            None => found = StdinWait::Unknown,
            Some(_) => {}
        }
    }
    found
}

/// A system call that a thread is in.
#[derive(Debug, PartialEq)]
enum Wait {
    Read {
        descriptor: u64,
    },
    Epoll,
    /// `poll` or `select`: the descriptors are in the memory of the process.
    Memory {
        address: u64,
        length: usize,
        of: Descriptors,
    },
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Descriptors {
    /// An array of `struct pollfd`, 8 bytes each, of which the first 4 are the descriptor.
    Poll,
    /// The first word of an `fd_set`: a bit for each descriptor.
    Select,
}

impl Descriptors {
    fn has_stdin(self, memory: &[u8]) -> bool {
        match self {
            Descriptors::Poll => memory.chunks(8).any(|entry| entry.starts_with(&[0; 4])),
            Descriptors::Select => memory.first().is_some_and(|bits| bits & 1 == 1),
        }
    }
}

/// The system call in a line of `/proc/PID/syscall`; none for a thread that is running.
fn waits_in(line: &str) -> Option<Wait> {
    /// More descriptors than that are not looked at.
    const MOST: u64 = 4096;
    let mut words = line.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let arguments = words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let arguments: Vec<u64> = arguments.collect();
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    Some(match Call::of(number) {
        Call::Read => Wait::Read { descriptor: argument(0) },
        Call::Epoll => Wait::Epoll,
        Call::Poll => {
            let length = usize::try_from(argument(1).min(MOST)).unwrap_or_default() * 8;
            Wait::Memory { address: argument(0), length, of: Descriptors::Poll }
        }
        // Nothing to read, as where it only sleeps.
        Call::Select if argument(0) == 0 || argument(1) == 0 => Wait::Other,
        Call::Select => Wait::Memory { address: argument(1), length: 8, of: Descriptors::Select },
        Call::Other => Wait::Other,
    })
}

/// System calls that wait for input, whatever their variants are called.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
enum Call {
    Read,
    Epoll,
    Poll,
    Select,
    Other,
}

impl Call {
    #[cfg(target_os = "linux")]
    fn of(number: libc::c_long) -> Call {
        #[cfg(target_arch = "x86_64")]
        match number {
            libc::SYS_epoll_wait => return Call::Epoll,
            libc::SYS_poll => return Call::Poll,
            libc::SYS_select => return Call::Select,
            _ => {}
        }
        match number {
            libc::SYS_read | libc::SYS_readv => Call::Read,
            libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => Call::Epoll,
            libc::SYS_ppoll => Call::Poll,
            libc::SYS_pselect6 => Call::Select,
            _ => Call::Other,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_number: i64) -> Call {
        Call::Other
    }
}

fn read_memory(pid: u32, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = vec![0; length];
    memory.seek(SeekFrom::Start(address)).ok()?;
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether one of its `epoll`s watches descriptor 0 (proc(5), `/proc/PID/fdinfo`).
fn epoll_has_stdin(pid: u32) -> bool {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    let is_input = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("tfd:") && words.next() == Some("0")
    };
    texts.into_iter().any(|text| text.lines().any(is_input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_that_wait_are_known_by_their_numbers() {
        let memory = |address, length, of| Some(Wait::Memory { address, length, of });
        let table = [
            ("running\n", None),
            ("0 0x0 0x7ffc 0x400 0x0 0x0 0x0 0x7ffc 0x7f00\n", Some(Wait::Read { descriptor: 0 })),
            ("232 0x4 0x7ffc 0x10 0xffffffff 0x0 0x8 0x7ffc 0x7f00\n", Some(Wait::Epoll)),
            (
                "7 0x7ffc10 0x2 0xffffffff 0x0 0x0 0x0 0x7ffc 0x7f00\n",
                memory(0x7ffc10, 16, Descriptors::Poll),
            ),
            (
                "271 0x7ffc10 0x1 0x0 0x0 0x8 0x0 0x7ffc 0x7f00\n",
                memory(0x7ffc10, 8, Descriptors::Poll),
            ),
            (
                "23 0x1 0x7ffc10 0x0 0x0 0x0 0x0 0x7ffc 0x7f00\n",
                memory(0x7ffc10, 8, Descriptors::Select),
            ),
            ("23 0x0 0x0 0x0 0x0 0x7ffc20 0x0 0x7ffc 0x7f00\n", Some(Wait::Other)),
            ("230 0x1 0x0 0x7ffc 0x0 0x0 0x0 0x7ffc 0x7f00\n", Some(Wait::Other)),
        ];
        for (line, expected) in table {
            assert_eq!(waits_in(line), expected, "{line}");
        }
    }

    #[test]
    fn standard_input_is_found_among_descriptors() {
        let entry = |descriptor: i32| [&descriptor.to_ne_bytes()[..], &[1, 0, 0, 0]].concat();
        let poll = |descriptors: &[i32]| {
            let memory: Vec<u8> = descriptors.iter().flat_map(|fd| entry(*fd)).collect();
            Descriptors::Poll.has_stdin(&memory)
        };
        assert!(poll(&[0]) && poll(&[5, 0]));
        assert!(!poll(&[]) && !poll(&[5, -1, 256]));
        assert!(Descriptors::Select.has_stdin(&[0b101, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!Descriptors::Select.has_stdin(&[0b110, 0, 0, 0, 0, 0, 0, 1]));
    }
}
