//! The threads of this process, as the system lists them. Whose they are is not known here.

use std::collections::BTreeMap;
use std::fmt;

/// A thread for as long as the process lives: numbers are given out again, but not to two
/// threads that began at one time. Sorts by age, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Ticks since the machine started.
    pub born: u64,
    pub tid: u32,
}

/// A thread, as reports name it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadInfo {
    /// Its name, or `None` where it was given none. Linux keeps 15 bytes of it; threads of
    /// [`Builder`](crate::Builder) are known by their whole name.
    pub name: Option<String>,
    /// The system's number of it; `None` elsewhere than on Linux.
    pub tid: Option<u32>,
}

/// `name (tid 123)`
impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("unnamed"))?;
        self.tid.map_or(Ok(()), |tid| write!(f, " (tid {tid})"))
    }
}

/// By name, the nameless last.
pub fn sort(threads: &mut [ThreadInfo]) {
    threads.sort_by(|a, b| {
        let key = |thread: &ThreadInfo| (thread.name.is_none(), thread.name.clone(), thread.tid);
        key(a).cmp(&key(b))
    });
}

/// The calling thread, where the system tells.
pub fn own() -> Option<Identity> {
    own_with_name().map(|(identity, _)| identity)
}

/// Every thread of the process that has not ended, with the name that the system has for it.
/// `None`: the system does not tell.
pub type Alive = BTreeMap<Identity, String>;

#[cfg(target_os = "linux")]
mod system {
    use super::{Alive, Identity};
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    pub fn own_with_name() -> Option<(Identity, String)> {
        let place = fs::read_link("/proc/thread-self").ok()?;
        parse(&fs::read(format!("/proc/{}/stat", place.display())).ok()?)
    }

    const TASKS: &str = "/proc/self/task";

    /// A list ends early where a thread comes to its end just when the kernel stands at it
    /// (`next_tid` in Linux's fs/proc/base.c): it is read again until as many have been seen
    /// alive as there are at its end, and where threads end all the time, often enough.
    pub fn alive() -> Option<Alive> {
        const TRIES: u32 = 20;
        let mut alive = Alive::new();
        for _ in 0..TRIES {
            // One that has ended since is not there any more, and not missed.
            let read = |task: std::io::Result<fs::DirEntry>| {
                fs::read(task.ok()?.path().join("stat")).ok().and_then(|stat| parse(&stat))
            };
            let listed: Alive = fs::read_dir(TASKS).ok()?.filter_map(read).collect();
            let is_whole = listed.len() as u64 >= count()?;
            alive.extend(listed);
            if is_whole {
                break;
            }
        }
        Some(alive)
    }

    /// How many threads there are: a directory each, besides the two names of their own that
    /// directories have.
    fn count() -> Option<u64> {
        Some(fs::metadata(TASKS).ok()?.nlink().saturating_sub(2))
    }

    /// `TID (NAME) STATE …`, where the name may hold anything. `None` for a thread that has ended:
    /// who joined it must not see it any more, although the kernel lists it a while longer.
    pub fn parse(stat: &[u8]) -> Option<(Identity, String)> {
        const FLAGS: usize = 9;
        const START_TIME: usize = 22;
        const FIRST_BEHIND_NAME: usize = 3;
        const PF_EXITING: u64 = 4;
        let stat = String::from_utf8_lossy(stat);
        let (head, rest) = stat.rsplit_once(')')?;
        let (tid, name) = head.split_once(" (")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - FIRST_BEHIND_NAME).copied();
        let is_exiting = field(FLAGS)?.parse::<u64>().ok()? & PF_EXITING != 0;
        if is_exiting || matches!(field(FIRST_BEHIND_NAME)?, "Z" | "X") {
            return None;
        }
        let identity =
            Identity { born: field(START_TIME)?.parse().ok()?, tid: tid.trim().parse().ok()? };
        Some((identity, name.to_owned()))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Alive, Identity};

    pub fn own_with_name() -> Option<(Identity, String)> {
        None
    }

    pub fn alive() -> Option<Alive> {
        None
    }
}

pub use system::{alive, own_with_name};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_sort_by_name_with_the_nameless_last() {
        let thread = |name: Option<&str>, tid| ThreadInfo { name: name.map(str::to_owned), tid };
        let mut threads =
            [thread(None, Some(2)), thread(Some("b"), Some(4)), thread(Some("a"), None)];
        sort(&mut threads);
        assert_eq!(threads.map(|thread| thread.to_string()), ["a", "b (tid 4)", "unnamed (tid 2)"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_may_hold_anything() {
        let stat = |name: &str, flags: u32| {
            format!("77 ({name}) S 1 2 3 4 5 {flags} 7 8 9 10 11 12 13 14 15 16 17 18 999 20\n")
        };
        let read = |text: String| system::parse(text.as_bytes());
        let identity = Identity { born: 999, tid: 77 };
        assert_eq!(read(stat("a) R (b", 64)), Some((identity, "a) R (b".to_owned())));
        assert_eq!(read(stat("ends", 64 | 4)), None);
        assert_eq!(read("77 (cut".to_owned()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_thread_is_overlooked_while_others_end() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        let restless: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    while !IS_OVER.load(Ordering::Relaxed) {
                        std::thread::spawn(|| {}).join().unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            let (tell, told) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                tell.send(own()).unwrap();
                std::thread::park();
            });
            let id = told.recv().unwrap().unwrap();
            assert!(alive().unwrap().contains_key(&id));
            thread.thread().unpark();
            thread.join().unwrap();
        }
        IS_OVER.store(true, Ordering::Relaxed);
        restless.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_gone_as_soon_as_it_is_joined() {
        for _ in 0..200 {
            let id = std::thread::spawn(own).join().unwrap().unwrap();
            assert!(!alive().unwrap().contains_key(&id));
        }
    }
}
