use proptest::prelude::*;

use super::*;
use crate::frames::kinds;
use crate::libtest::tests::in_chunks;
use crate::model::lost_output::LostOutput;
use crate::model::outcome::Outcome;
use crate::process::procfs::TaskStatus;
use crate::protocol::long_line::LONGEST;

/// Nothing lives, and nothing has come home.
pub struct Nobody;

impl Inspector for Nobody {
    fn thread(&self, _tid: u32) -> Option<TaskStatus> {
        Some(TaskStatus { is_idle: true, cpu_time: Duration::ZERO, age: Duration::ZERO })
    }
    fn process(&self, _pid: u32) -> Option<TaskStatus> {
        None
    }
    fn thread_name(&self, _tid: u32) -> Option<String> {
        Some("reaper".to_owned())
    }
    fn command_line(&self, _pid: u32) -> Option<String> {
        None
    }
    fn is_fixture(&self, _pid: u32) -> bool {
        false
    }
    fn orphans(&self) -> Vec<Orphan> {
        Vec::new()
    }
    fn unknown_children(&self, _is_known: &dyn Fn(u32) -> bool) -> Vec<Orphan> {
        Vec::new()
    }
}

/// Threads of a process that is being killed: there at the first look, and gone at the second.
struct Dying;

impl Inspector for Dying {
    fn thread(&self, tid: u32) -> Option<TaskStatus> {
        Nobody.thread(tid)
    }
    fn process(&self, _pid: u32) -> Option<TaskStatus> {
        None
    }
    fn thread_name(&self, _tid: u32) -> Option<String> {
        None
    }
    fn command_line(&self, _pid: u32) -> Option<String> {
        None
    }
    fn is_fixture(&self, _pid: u32) -> bool {
        false
    }
    fn orphans(&self) -> Vec<Orphan> {
        Vec::new()
    }
    fn unknown_children(&self, _is_known: &dyn Fn(u32) -> bool) -> Vec<Orphan> {
        Vec::new()
    }
}

const NAMES: [&str; 3] = ["a", "b c", "größe"];

fn agent() -> AgentChannel<'static> {
    AgentChannel::new(7, NAMES.to_vec(), vec![Duration::ZERO; 3], true)
}

fn frame(kind: u8, fields: &[u8]) -> Vec<u8> {
    let length = (fields.len() as u32 + 1).to_ne_bytes();
    [&length[..], &[kind], fields].concat()
}

fn libtest(text: &str) -> Vec<u8> {
    frame(kinds::LIBTEST, &[&0_u32.to_ne_bytes(), text.as_bytes()].concat())
}

fn event(event: &str, name: &str) -> String {
    format!("{{\"type\":\"test\",\"event\":\"{event}\",\"name\":\"{name}\",\"exec_time\":1e-3}}\n")
}

fn started(test: u32, name: &str) -> Frame {
    let event = event("started", name).into_bytes();
    Frame::TestStarted { test, thread: 5, tid: 100, line: 0, event }
}

/// All that an agent may say, in any order, and what no agent says.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec!["started", "ok", "failed", "ignored", "timeout", "x"]);
    let name = prop::sample::select(vec!["a", "b c", "größe", "nobody"]);
    let line = (word, name).prop_map(|(word, name)| libtest(&event(word, name)));
    let torn = ("\\PC{0,20}").prop_map(|text| libtest(&text));
    let suite = prop::sample::select(vec!["started", "ok", "failed"]);
    let suite = suite.prop_map(|e| libtest(&format!("{{\"type\":\"suite\",\"event\":\"{e}\"}}\n")));
    let noise = (0_u8..30, prop::collection::vec(0_u8..4, 0..60));
    let noise = noise.prop_map(|(kind, fields)| frame(kind, &fields));
    let numbers = (0_u8..30, prop::collection::vec(0_u32..4, 0..8));
    let numbers = numbers.prop_map(|(kind, numbers)| {
        frame(kind, &numbers.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>())
    });
    let raw = prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![8 => line, 2 => torn, 2 => suite, 2 => noise, 4 => numbers, 1 => raw]
}

/// What was heard, without the times; and what is left.
fn events_of(chunks: &[&[u8]]) -> (Vec<String>, bool, bool) {
    let mut agent = Box::new(agent());
    let mut heard = Vec::new();
    for chunk in chunks {
        heard.extend(agent.feed(Stream::Channel, chunk));
    }
    let _ = (agent.due(), agent.has_stacks());
    heard.extend(agent.look(&Nobody));
    check(&heard);
    let left = agent.finish(&Nobody);
    let shown = heard.iter().map(|heard| match heard {
        ChannelEvent::ResultFinal { test, .. } => format!("settled {test}"),
        heard => format!("{heard:?}"),
    });
    (shown.collect(), left.began, left.was_lost)
}

/// A test begins once, ends once, and settles after its end.
fn check(heard: &[ChannelEvent]) {
    let (mut begun, mut ended, mut settled) = ([0; 3], [0; 3], [0; 3]);
    for heard in heard {
        match heard {
            ChannelEvent::TestStarted(test) => begun[*test] += 1,
            ChannelEvent::TestWaits(test) => begun[*test] -= 1,
            ChannelEvent::TestFinished(end) => ended[end.test] += 1,
            ChannelEvent::ResultFinal { test, .. } => {
                settled[*test] += 1;
                assert_eq!(ended[*test], 1, "settled before its end");
            }
            ChannelEvent::Output(_) | ChannelEvent::AwaitsExit { .. } => {}
        }
    }
    let all = [begun, ended, settled].concat();
    assert!(all.iter().all(|times| *times <= 1), "{all:?}");
}

proptest! {
    #[test]
    fn whatever_comes_a_test_ends_once_and_chunks_make_no_difference(
        frames in prop::collection::vec(any_bytes(), 0..40),
        cuts in prop::collection::vec(0_usize..2000, 0..12),
        cut_off in 0_usize..20,
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(bytes.len().saturating_sub(cut_off));
        let whole = events_of(&[&bytes]);
        prop_assert_eq!(&events_of(&in_chunks(&bytes, cuts)), &whole);
        prop_assert_eq!(&events_of(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

}

proptest! {
    // Each is a few MiB.
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn a_line_that_is_too_long_is_still_json(
        piece in "[a-zé\"\\\\\u{1b}\n ]{1,40}[a-z ]{16}",
        more in 0_usize..100_000,
    ) {
        let printed = piece.repeat((5 * LONGEST + more) / piece.len());
        let text = serde_json::to_string(&printed).unwrap();
        let line = format!("{{\"type\":\"test\",\"event\":\"failed\",\"name\":\"a\",\"stdout\":{text}}}\n");
        let mut agent = agent();
        agent.take(started(1, "a"), &mut Vec::new());
        let mut heard = Vec::new();
        for chunk in line.as_bytes().chunks(60_000) {
            agent.pieces(1, chunk, &mut heard);
            prop_assert!(agent.line.bytes.len() <= 4 * LONGEST);
        }
        let Some(ChannelEvent::TestFinished(ended)) = heard.first() else { panic!("no verdict") };
        prop_assert_eq!(ended.outcome, Outcome::Failed);
        let output = String::from_utf8_lossy(ended.output.as_ref().unwrap());
        prop_assert!(output.contains("bytes left out"));
        prop_assert!(output.as_bytes().starts_with(&printed.as_bytes()[..1000]));
        prop_assert!(output.as_bytes().ends_with(&printed.as_bytes()[printed.len() - 1000..]));
    }
}

/// On a busy machine the news of a thread may come long before its first turn. Until then it
/// has no number, by which it could be looked at.
#[test]
fn a_thread_that_waits_for_its_first_turn_is_not_gone() {
    let mut agent = agent();
    let mut heard = Vec::new();
    agent.take(started(1, "a"), &mut heard);
    let (thread, creator, stack) = (6, 5, vec![]);
    let detached = false;
    let told = Frame::ThreadStarted { thread, tid: 0, creator, test: 1, detached, stack };
    agent.take(told, &mut heard);
    agent.pieces(1, event("ok", "a").as_bytes(), &mut heard);
    let nobody = Strays(Vec::new());
    (0..3).for_each(|_| drop(agent.look(&nobody)));
    assert!(agent.has_pending());
    agent.take(Frame::ThreadRuns { thread, tid: 101 }, &mut heard);
    (0..2).for_each(|_| drop(agent.look(&Nobody)));
    assert!(!agent.has_pending());
    assert_eq!(Box::new(agent).finish(&Nobody).findings[&0].len(), 1);
}

/// It has no name any more, and is no leak without one.
#[test]
fn a_thread_that_dies_with_its_process_is_no_leak() {
    for (look, leaks) in [(&Dying as &dyn Inspector, 0), (&Nobody, 1)] {
        let mut agent = agent();
        let mut heard = Vec::new();
        agent.take(started(1, "a"), &mut heard);
        let (thread, tid, creator, stack) = (6, 101, 5, vec![]);
        let told = Frame::ThreadStarted { thread, tid, creator, test: 1, detached: false, stack };
        agent.take(told, &mut heard);
        agent.pieces(1, event("ok", "a").as_bytes(), &mut heard);
        (0..3).for_each(|_| drop(agent.look(look)));
        agent.process_exited();
        let findings = Box::new(agent).finish(look).findings;
        assert_eq!(findings.get(&0).map_or(0, Vec::len), leaks);
    }
}

/// These have come home, and live.
struct Strays(Vec<Orphan>);

impl Inspector for Strays {
    fn thread(&self, _tid: u32) -> Option<TaskStatus> {
        None
    }
    fn process(&self, pid: u32) -> Option<TaskStatus> {
        let is_there = self.0.iter().any(|stray| stray.pid == pid);
        is_there.then_some(TaskStatus {
            is_idle: true,
            cpu_time: Duration::ZERO,
            age: Duration::from_secs(3_600),
        })
    }
    fn thread_name(&self, _tid: u32) -> Option<String> {
        None
    }
    fn command_line(&self, pid: u32) -> Option<String> {
        Some(format!("number {pid}"))
    }
    fn is_fixture(&self, _pid: u32) -> bool {
        false
    }
    fn orphans(&self) -> Vec<Orphan> {
        self.0.clone()
    }
    fn unknown_children(&self, _is_known: &dyn Fn(u32) -> bool) -> Vec<Orphan> {
        Vec::new()
    }
}

fn stray(pid: u32, leader: u32, mark: Option<u32>) -> Orphan {
    Orphan {
        pid,
        start_time: 0,
        age: Duration::ZERO,
        leaders: [leader; 2],
        mark,
        is_from_worker: true,
        is_fixture: false,
    }
}

const MANY: usize = 300;

/// Of many tests that have all run, these have started a process each, of their own numbers.
fn ran(starters: &[u32], names: &'static [String]) -> Box<AgentChannel<'static>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut agent = AgentChannel::new(7, names.clone(), vec![Duration::ZERO; MANY], true);
    let mut heard = Vec::new();
    for (test, name) in (1..).zip(names) {
        let event_of = event("started", name).into_bytes();
        let started = Frame::TestStarted { test, thread: test, tid: 100, line: 0, event: event_of };
        agent.take(started, &mut heard);
        if starters.contains(&test) {
            let (process, thread, stack) = (1_000 + test, test, vec![]);
            agent.take(Frame::ProcessStarted { process, thread, test, stack }, &mut heard);
            agent.take(Frame::ProcessReaped { process }, &mut heard);
        }
        agent.pieces(test, event("ok", name).as_bytes(), &mut heard);
    }
    Box::new(agent)
}

fn many_names() -> &'static [String] {
    static NAMES: std::sync::LazyLock<Vec<String>> =
        std::sync::LazyLock::new(|| (0..MANY).map(|test| format!("t{test}")).collect());
    &NAMES
}

/// Whose these strays are, by their numbers: their test's number, or 0.
fn owners(starters: &[u32], strays: &[Orphan]) -> Vec<(u32, usize)> {
    let (mut agent, look) = (ran(starters, many_names()), Strays(strays.to_vec()));
    agent.process_exited();
    agent.look(&look);
    while agent.has_pending() {
        agent.look(&look);
    }
    let mut left = agent.finish(&look);
    left.findings.insert(usize::MAX, left.unattributed);
    let pid = |finding: &Finding| match finding.what {
        crate::leaks::finding::Leftover::Process { pid, .. } => pid,
        _ => 0,
    };
    let of_test = |(test, findings): (&usize, &Vec<Finding>)| {
        let number = test.wrapping_add(1);
        findings.iter().map(|finding| (pid(finding), number)).collect::<Vec<_>>()
    };
    let mut owners: Vec<_> = left.findings.iter().flat_map(of_test).collect();
    owners.sort_unstable();
    owners
}

/// Where there are more workers than marks, one that has left its environment may be another's.
#[test]
fn a_mark_that_two_workers_may_have_says_nothing_of_a_stranger() {
    let stranger = Orphan { is_from_worker: false, ..stray(9, 1, Some(frames::mark(7, 5))) };
    let whose = |slots: usize| ran(&[5], many_names()).among(slots).owner_of(&stranger);
    assert_eq!((whose(8), whose(9)), (Some(4), None));
}

/// The marks of tests 5 and 132 are the same.
#[test]
fn a_late_stray_is_laid_at_nobodys_door_where_it_may_be_anothers() {
    let mark = Some(frames::mark(7, 5));
    assert_eq!(mark, Some(frames::mark(7, 132)));
    let late = stray(9, 1, mark);
    assert_eq!(owners(&[5, 132], &[late]), [(9, 0)], "of one of the two");
    assert_eq!(owners(&[5], &[late]), [(9, 5)], "the other has started nothing");
    assert_eq!(owners(&[], &[late]), [(9, 0)]);
    assert_eq!(owners(&[], &[stray(9, 1, Some(frames::mark(7, 130)))]), [(9, 0)], "130 and 3");
    assert_eq!(owners(&[], &[stray(9, 1, Some(frames::mark(7, 100)))]), [(9, 0)], "and 227");
}

#[test]
fn a_session_tells_whose_a_stray_is_unless_its_mark_says_otherwise() {
    let of = |test| Some(frames::mark(7, test));
    let strays = [stray(9, 1_005, of(5)), stray(10, 1_132, of(132)), stray(11, 1_005, None)];
    assert_eq!(owners(&[5, 132], &strays), [(9, 5), (10, 132), (11, 5)]);
    // The number of the session was test 5's, and is given out again.
    assert_eq!(owners(&[5, 6], &[stray(9, 1_005, of(6))]), [(9, 6)]);
}

#[test]
fn nothing_is_kept_of_a_broken_channel() {
    let mut agent = agent();
    for _ in 0..100 {
        agent.feed(Stream::Channel, &[0; 64 * 1024]);
    }
    assert!(agent.is_broken && agent.decoder.kept() <= 64 * 1024);
}

#[test]
fn captured_output_counts_once() {
    let mut agent = agent();
    let mut heard = Vec::new();
    agent.take(started(1, "a"), &mut heard);
    agent.take(started(2, "b c"), &mut heard);
    let captured = |test, from, text: &[u8]| Frame::Captured { test, from, bytes: text.to_vec() };
    for (from, text) in [(0, "one "), (0, "one "), (4, "two"), (2, "e two "), (40, "later")] {
        agent.take(captured(1, from, text.as_bytes()), &mut heard);
    }
    agent.take(captured(7, 0, b"of no test"), &mut heard);
    agent.take(Frame::CaptureLost { test: 2, why: kinds::NO_SYMBOL }, &mut heard);
    let left = Box::new(agent).finish(&Nobody);
    assert_eq!(&*left.outputs[&0], b"one two ");
    assert_eq!(left.captured, [0].into());
    assert_eq!(left.lost, [(1, LostOutput::NoSymbols)].into());
}

#[test]
fn writes_past_the_capture_keep_their_place() {
    let merged = |writes: &[(Option<u64>, &str)], captured: &str| {
        let mut written = test_outputs::WrittenOutput::new(None);
        writes.iter().for_each(|(place, text)| written.push(*place, text.as_bytes()));
        let mut kept = TruncatedOutput::default();
        kept.push(captured.as_bytes());
        String::from_utf8(written.merge_into(kept).into_bytes()).unwrap()
    };
    assert_eq!(
        merged(&[(Some(0), "a"), (Some(2), "b"), (Some(2), "c"), (Some(4), "d")], "1234"),
        "a12bc34d"
    );
    assert_eq!(
        merged(&[(Some(3), "a"), (Some(1), "b"), (Some(4), "c")], "1234"),
        "123ab4c",
        "in their own order"
    );
    assert_eq!(merged(&[(Some(1), "a"), (None, "b"), (Some(2), "c")], "1234"), "1a234bc");
    assert_eq!(merged(&[(Some(9), "a")], ""), "a", "of a passed test nothing is captured");
}
