//! State of a process, other than its memory, that a test has left changed: from the agent's bytes
//! to texts.

use super::changes::{NewChange, State};
use crate::frames::ABSENT;
use crate::frames::kinds::watched;
use crate::model::state_change::{StateKind, StateThing};
use crate::process::exit_status::signal_name;

/// What the agent says.
#[derive(Debug)]
pub struct ProcessChange {
    /// Of `kinds::watched`.
    pub what: u8,
    /// Of the signal, the resource, the descriptor, the timer.
    pub number: u32,
    pub states: [u64; 2],
    pub bytes: [Vec<u8>; 2],
}

/// From the bytes of a state to a text for people.
type Text = fn(&[u8]) -> Option<String>;

/// The resources of getrlimit(2), by number.
const LIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// The timers of setitimer(2), and those of timer_create(2) together.
const TIMERS: [&str; 4] = ["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF", "timer_create"];

impl ProcessChange {
    /// What is to be told; none if no agent says that.
    pub fn into_change(self) -> Option<NewChange> {
        let number = self.number as usize;
        let (kind, name, text): (_, _, Text) = match self.what {
            watched::UMASK => (StateKind::Umask, String::new(), umask),
            watched::HANDLER => {
                (StateKind::SignalHandler, signal_name(i32::try_from(number).ok()?), handler)
            }
            watched::LIMIT => {
                (StateKind::ResourceLimit, format!("RLIMIT_{}", LIMITS.get(number)?), limit)
            }
            watched::DESCRIPTOR => (StateKind::Descriptor, number.to_string(), descriptor),
            watched::TIMER => (StateKind::Timer, (*TIMERS.get(number)?).to_owned(), timer),
            watched::LOCALE => (StateKind::Locale, String::new(), locale),
            _ => return None,
        };
        let [before, after] = [0, 1].map(|at| {
            let is_closed = kind == StateKind::Descriptor && self.states[at] == ABSENT;
            let text = if is_closed { Some("not open".into()) } else { text(&self.bytes[at]) };
            State { hash: self.states[at], text }
        });
        let thing = StateThing { kind, name };
        Some(NewChange { thing, owner: None, before: Some(before), after, is_poisoned: false })
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn umask(bytes: &[u8]) -> Option<String> {
    Some(format!("{:03o}", u32::from_ne_bytes(bytes.try_into().ok()?)))
}

/// Its address, where it is a function of the process.
fn handler(bytes: &[u8]) -> Option<String> {
    Some(match words(bytes).next()? {
        0 => "default".to_owned(),
        1 => "ignored".to_owned(),
        address => format!("{address:#x}"),
    })
}

fn limit(bytes: &[u8]) -> Option<String> {
    let text =
        |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    let mut limits = words(bytes).map(text);
    Some(format!("{} of {}", limits.next()?, limits.next()?))
}

fn timer(bytes: &[u8]) -> Option<String> {
    Some(match words(bytes).next()? {
        0 => "not armed".to_owned(),
        1 => "armed".to_owned(),
        count => format!("{count} armed"),
    })
}

fn locale(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The path, or what it is instead: `socket:[4711]` has a number that tells nobody anything.
fn descriptor(bytes: &[u8]) -> Option<String> {
    let path = String::from_utf8_lossy(bytes);
    Some(match path.split_once(":[") {
        Some(("anon_inode", kind)) => kind.trim_end_matches(']').to_owned(),
        Some((kind @ ("socket" | "pipe"), _)) => format!("a {kind}"),
        _ => path.trim_start_matches("anon_inode:").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(what: u8, number: u32, before: &[u8], after: &[u8]) -> String {
        let states = [before, after].map(|bytes| if bytes.is_empty() { ABSENT } else { 7 });
        let bytes = [before.to_vec(), after.to_vec()];
        let change = ProcessChange { what, number, states, bytes }.into_change();
        change.map(|change| change.to_state_change().to_string()).unwrap_or_default()
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn states_are_told_as_people_write_them() {
        let umask = [0o22_u32, 0o77].map(u32::to_ne_bytes);
        assert_eq!(told(watched::UMASK, 0, &umask[0], &umask[1]), "the umask (022 → 077)");
        let limits = [bytes(&[1024, u64::MAX]), bytes(&[64, 4096])];
        let limit = told(watched::LIMIT, 7, &limits[0], &limits[1]);
        assert_eq!(limit, "the limit RLIMIT_NOFILE (1024 of unlimited → 64 of 4096)");
        let timer = told(watched::TIMER, 0, &bytes(&[0]), &bytes(&[1]));
        assert_eq!(timer, "the timer ITIMER_REAL (not armed → armed)");
        let socket = told(watched::DESCRIPTOR, 5, b"", b"socket:[4711]");
        assert_eq!(socket, "descriptor 5 (not open → a socket)");
        let event = told(watched::DESCRIPTOR, 5, b"/tmp/x", b"anon_inode:[eventpoll]");
        assert_eq!(event, "descriptor 5 (/tmp/x → eventpoll)");
    }

    #[test]
    fn what_no_agent_says_is_nothing() {
        assert_eq!(told(99, 0, b"a", b"b"), "");
        assert_eq!(told(watched::LIMIT, 16, b"a", b"b"), "");
        assert_eq!(told(watched::UMASK, 0, b"a", b"b"), "the umask");
    }
}
