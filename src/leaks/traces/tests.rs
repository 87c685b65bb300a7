use super::*;
use crate::leaks::finding::Leftover;
use crate::leaks::finding::{Finding, Subject};

fn test_of(number: u32) -> Option<usize> {
    number.checked_sub(1).map(|test| test as usize)
}

struct Play {
    traces: Traces,
    now: Instant,
}

impl Play {
    fn new() -> Play {
        Play { traces: Traces::default(), now: Instant::now() }
    }

    fn after(mut self, ms: u64) -> Play {
        self.now += Duration::from_millis(ms);
        self
    }

    fn frame(mut self, frame: Frame) -> Play {
        self.traces.take(frame, &test_of, self.now);
        self
    }

    fn starts(self, thread: u32, test: u32) -> Play {
        let (tid, creator, stack) = (thread + 100, 0, vec![1]);
        self.frame(Frame::ThreadStarted { thread, tid, creator, test, detached: false, stack })
    }

    fn ends(self, thread: u32) -> Play {
        let name = format!("t{thread}").into_bytes();
        self.frame(Frame::ThreadEnded { thread, processor_nanoseconds: 0, name })
    }

    fn raises(self, thread: u32, panic: u32) -> Play {
        let (stack, message, methods) = (vec![2], b"boom".to_vec(), [3, 4]);
        self.frame(Frame::PanicRaised { thread, test: 1, panic, methods, stack, message })
    }

    fn catches(self, thread: u32, panic: u32, by_std: bool) -> Play {
        self.frame(Frame::PanicCaught { thread, panic, by_std })
    }

    /// Up to the start of the thread.
    fn panics(self, thread: u32) -> Play {
        self.raises(thread, 9).catches(thread, 9, true)
    }

    fn test_ends(mut self, test: usize) -> Play {
        self.traces.test_ended(test, self.now);
        self
    }

    fn found(&self, test: usize) -> Vec<&'static str> {
        let kind = |finding: Finding| match finding.what {
            Leftover::Thread { lived_on: None, .. } => "alive",
            Leftover::Thread { .. } => "lingered",
            Leftover::Panic { .. } => "panic",
            Leftover::Process { .. } => "process",
        };
        let alive = |_| Some("sleep".to_owned());
        self.traces.findings(test, self.now, alive).into_iter().map(kind).collect()
    }
}

const LINGER: fn(usize) -> Duration = |_| Duration::from_millis(100);

#[test]
fn a_thread_that_ends_before_anybody_looked_left_nothing() {
    let play = Play::new().starts(1, 1).test_ends(0);
    assert!(!play.traces.is_clean(0) && play.traces.due(LINGER).is_some());
    let play = play.after(500).ends(1);
    assert!(play.traces.is_clean(0));
    assert_eq!(play.found(0), [""; 0]);
}

#[test]
fn a_thread_that_was_seen_idle_after_its_linger_is_left_even_if_it_ends() {
    let mut play = Play::new().starts(1, 1).test_ends(0).after(100);
    let overdue = play.traces.overdue(LINGER, play.now);
    assert_eq!(overdue, [Subject::Thread { number: 1, tid: 101 }]);
    play.traces.note_lingering(overdue[0], true, None, play.now);
    assert_eq!(play.found(0), ["alive"]);
    assert_eq!(play.traces.due(LINGER), None);
    assert_eq!(play.after(50).ends(1).found(0), ["lingered"]);
}

#[test]
fn what_a_dying_process_takes_with_it_within_its_linger_is_not_left() {
    let mut play = Play::new().starts(1, 1).starts(2, 1).test_ends(0);
    let stays = Subject::Thread { number: 2, tid: 102 };
    play.traces.note_lingering(stays, true, Some("reaper".into()), play.now);
    assert!(play.traces.has_pending());
    play.traces.worker_ended();
    assert!(!play.traces.has_pending());
    assert_eq!(play.found(0), ["alive"]);
}

#[test]
fn a_process_that_lived_on_behind_its_linger_is_left_even_if_it_ends() {
    let mut play = Play::new().frame(process(9, 1)).test_ends(0).after(100);
    let overdue = play.traces.overdue(LINGER, play.now);
    assert_eq!(overdue, [Subject::Process { pid: 9 }]);
    play.traces.note_lingering(overdue[0], true, Some("sleep 1".into()), play.now);
    assert!(!play.traces.has_pending() && play.traces.due(LINGER).is_some());
    let play = play.after(700).frame(Frame::ProcessReaped { process: 9 });
    assert!(play.traces.is_final(0));
    let found = play.traces.findings(0, play.now, |_| None);
    let Leftover::Process { lived_on, command, .. } = &found[0].what else { panic!("{found:?}") };
    assert_eq!((lived_on.unwrap().as_millis(), &**command), (800, "sleep 1"));
}

#[test]
fn a_joined_thread_left_nothing_whatever_it_did() {
    let joined = |play: Play| play.frame(Frame::ThreadJoined { thread: 1, joiner: 2 });
    let play = joined(Play::new().starts(1, 1).panics(1).ends(1)).test_ends(0);
    assert!(play.traces.is_clean(0));
}

#[test]
fn a_panic_is_unobserved_once_its_thread_has_ended_detached() {
    let play = Play::new().starts(1, 1).panics(1).test_ends(0);
    assert_eq!(play.found(0), [""; 0]);
    let play = play.ends(1);
    assert!(!play.traces.is_final(0), "somebody may still join it");
    let play = play.frame(Frame::ThreadDetached { thread: 1 });
    assert!(play.traces.is_final(0));
    assert_eq!(play.found(0), ["panic"]);
}

#[test]
fn news_of_a_thread_may_come_before_its_start() {
    let play = Play::new().panics(1).ends(1);
    let play = play.frame(Frame::ThreadDetached { thread: 1 }).starts(1, 1).test_ends(0);
    assert_eq!(play.found(0), ["panic"]);
}

#[test]
fn a_panic_that_is_caught_on_its_way_left_nothing() {
    let ends = |play: Play| play.ends(1).frame(Frame::ThreadDetached { thread: 1 });
    let caught = ends(Play::new().starts(1, 1).raises(1, 7).catches(1, 7, false));
    assert!(caught.traces.is_clean(0));
    // More were under way than the agent has room for.
    let not_told = ends(Play::new().starts(1, 1).raises(1, 7));
    assert!(not_told.traces.is_clean(0));
}

#[test]
fn a_catch_is_about_the_panic_that_it_names() {
    let ends = |play: Play| play.ends(1).frame(Frame::ThreadDetached { thread: 1 });
    let play = || Play::new().starts(1, 1).raises(1, 7).raises(1, 8);
    let one = ends(play().catches(1, 8, false).catches(1, 7, true));
    assert_eq!(one.found(0), ["panic"]);
    let none = ends(play().catches(1, 7, false).catches(1, 8, false));
    assert!(none.traces.is_clean(0));
}

/// As by every level of nested calls of `rayon::join`.
#[test]
fn one_that_is_raised_again_and_again_is_one() {
    let mut play = Play::new().starts(1, 1);
    for panic in 1..1_000 {
        play = play.raises(1, panic).catches(1, panic, false);
        assert_eq!(play.traces.threads[&1].panics.len(), 0);
    }
    let play = play.raises(1, 1_000).catches(1, 1_000, true).ends(1);
    assert_eq!(play.frame(Frame::ThreadDetached { thread: 1 }).found(0), ["panic"]);
}

/// The threads of many tests, which are never told of, push nothing out that is new.
#[test]
fn early_news_is_kept_for_the_newest_threads() {
    let mut play = Play::new();
    for thread in 1..5_000 {
        play = play.ends(thread);
    }
    assert!(play.traces.early_frames <= MOST_EARLY);
    let kept: usize = play.traces.early.values().map(Vec::len).sum();
    assert_eq!(play.traces.early_frames, kept);
    let play = play.panics(5_000).ends(5_000).starts(5_000, 1).test_ends(0);
    assert_eq!(play.found(0), ["panic"]);
}

fn process(process: u32, test: u32) -> Frame {
    Frame::ProcessStarted { process, thread: 1, test, stack: vec![u64::from(process)] }
}

#[test]
fn a_stray_was_started_where_its_session_began() {
    let mut play = Play::new().frame(process(9, 1)).frame(process(10, 1)).frame(process(11, 2));
    assert_eq!(play.traces.test_of_kin([1, 9]), Some(0));
    assert_eq!(play.traces.test_of_kin([11, 1]), Some(1));
    assert_eq!(play.traces.test_of_kin([1, 2]), None);
    play.traces.adopt(90, 0, [1, 9], play.now);
    assert_eq!(play.traces.processes[&90].stack.as_deref(), Some(&[9][..]));
    play.traces.adopt(91, 1, [1, 9], play.now);
    assert_eq!(play.traces.processes[&91].stack, None, "the session is another test's");
    let found = play.traces.findings(1, play.now, |_| Some(String::new()));
    assert!(found.iter().all(|finding| finding.stack == [11]), "it starts all in one place");
}

#[test]
fn only_one_that_started_any_can_have_left_one() {
    let play = Play::new();
    assert_eq!(play.traces.only_starter(), None);
    let play = play.frame(process(9, 1)).frame(process(10, 1));
    assert_eq!(play.traces.only_starter(), Some(0));
    assert_eq!(play.frame(process(11, 2)).traces.only_starter(), None);
    let with_a_constructor = Play::new().frame(process(9, 0)).frame(process(10, 1));
    assert_eq!(with_a_constructor.traces.only_starter(), None, "it may have started any");
}

#[test]
fn a_process_is_left_until_somebody_waits_for_it() {
    let started = Frame::ProcessStarted { process: 9, thread: 1, test: 1, stack: vec![] };
    let play = Play::new().frame(started).test_ends(0);
    assert_eq!(play.found(0), ["process"]);
    assert!(play.frame(Frame::ProcessReaped { process: 9 }).traces.is_clean(0));
}
