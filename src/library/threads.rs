//! The threads of this process, as the system lists them. Which test they belong to is not known
//! here.

use std::collections::BTreeMap;
use std::fmt;

/// Identifies a thread for as long as the process lives: the system uses thread ids again, but not
/// for two threads that started at the same time. Sorts by age, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// When it started, in ticks since the system did.
    pub started: u64,
    pub tid: u32,
}

/// A thread that was alive when it was asked for, as reports name it. Its `Display` is
/// `NAME (tid 123)`, or without the id where the system has none.
///
/// ```
/// let thread = partest::Builder::new().name("reaper").spawn(std::thread::park)?;
/// let info = &partest::active()[0];
/// assert_eq!(info.name.as_deref(), Some("reaper"));
/// assert!(info.to_string().starts_with("reaper"));
/// # thread.thread().unpark();
/// # thread.join().unwrap();
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadInfo {
    /// Its name, or `None` if it was given none. Linux keeps only the first 15 bytes of a name;
    /// threads of [`Builder`](crate::Builder) are known by their whole name.
    pub name: Option<String>,
    /// The system's thread id, on Linux; `None` on other systems.
    pub tid: Option<u32>,
}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("unnamed"))?;
        self.tid.map_or(Ok(()), |tid| write!(f, " (tid {tid})"))
    }
}

/// Sorts by name, the unnamed last.
pub fn sort(threads: &mut [ThreadInfo]) {
    threads.sort_by(|a, b| {
        let key = |thread: &ThreadInfo| (thread.name.is_none(), thread.name.clone(), thread.tid);
        key(a).cmp(&key(b))
    });
}

/// The calling thread; `None` if the system does not tell.
pub fn own() -> Option<Identity> {
    own_with_name().map(|(identity, _)| identity)
}

/// Every thread of the process that has not ended, with the name that the system has for it.
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

    /// The threads that are alive; `None` if the system does not tell.
    ///
    /// The kernel cuts its list short if a thread ends just when the list has come to it
    /// (`next_tid` in Linux's fs/proc/base.c). So it is read again until it is known to be whole,
    /// or, if threads start and end all the time, a limited number of times.
    ///
    /// It is whole if, of the threads that it names, as many are there after they were counted as
    /// were counted: they were there when they were listed, and so at the count too, and make up
    /// all of it. Threads that have ended since they were listed must not stand for one that is
    /// missing.
    pub fn alive() -> Option<Alive> {
        const TRIES: u32 = 20;
        let mut alive = Alive::new();
        for _ in 0..TRIES {
            let listed: Vec<_> =
                fs::read_dir(TASKS).ok()?.filter_map(|task| Some(task.ok()?.path())).collect();
            let count = count()?;
            let there: Vec<_> =
                listed.iter().filter_map(|task| fs::read(task.join("stat")).ok()).collect();
            alive.extend(there.iter().filter_map(|stat| parse(stat)));
            if there.len() as u64 >= count {
                break;
            }
        }
        Some(alive)
    }

    /// The number of threads: each is a directory and so a link to this one, which has two links
    /// of its own.
    fn count() -> Option<u64> {
        Some(fs::metadata(TASKS).ok()?.nlink().saturating_sub(2))
    }

    /// Reads `TID (NAME) STATE …`, where the name may contain anything. `None` for a thread that
    /// has ended: after a join it must not be seen any more, although the kernel lists it a while
    /// longer.
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
            Identity { started: field(START_TIME)?.parse().ok()?, tid: tid.trim().parse().ok()? };
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
    fn threads_sort_by_name_with_the_unnamed_last() {
        let thread = |name: Option<&str>, tid| ThreadInfo { name: name.map(str::to_owned), tid };
        let mut threads =
            [thread(None, Some(2)), thread(Some("b"), Some(4)), thread(Some("a"), None)];
        sort(&mut threads);
        assert_eq!(threads.map(|thread| thread.to_string()), ["a", "b (tid 4)", "unnamed (tid 2)"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_may_contain_anything() {
        let stat = |name: &str, flags: u32| {
            format!("77 ({name}) S 1 2 3 4 5 {flags} 7 8 9 10 11 12 13 14 15 16 17 18 999 20\n")
        };
        let read = |text: String| system::parse(text.as_bytes());
        let identity = Identity { started: 999, tid: 77 };
        assert_eq!(read(stat("a) R (b", 64)), Some((identity, "a) R (b".to_owned())));
        assert_eq!(read(stat("ends", 64 | 4)), None);
        assert_eq!(read("77 (cut".to_owned()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_thread_is_missed_while_others_end() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static STOP: AtomicBool = AtomicBool::new(false);
        let churning: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    while !STOP.load(Ordering::Relaxed) {
                        std::thread::spawn(|| {}).join().unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..1_000 {
            let (sender, receiver) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                sender.send(own()).unwrap();
                std::thread::park();
            });
            let id = receiver.recv().unwrap().unwrap();
            assert!(alive().unwrap().contains_key(&id));
            thread.thread().unpark();
            thread.join().unwrap();
        }
        STOP.store(true, Ordering::Relaxed);
        churning.into_iter().for_each(|thread| thread.join().unwrap());
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
