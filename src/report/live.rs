//! What the lines say that are drawn during a run: how far it is, what runs longest, and what the
//! rest waits for. Pure: the window and what happens go in, text comes out.

use std::time::{Duration, Instant};

use super::messages;
use crate::model::event::FixtureEvent;
use crate::model::fixture::FixtureInstance;
use crate::model::outcome::Outcome;
use crate::model::test::TestId;
use crate::process::clock;
use crate::report::screen::{Size, cut_left};
use crate::report::text::Paint;

/// At most so many tests are named, in a window that has room for them.
const NAMED: usize = 8;

/// A test that runs for less than that would be gone before it is read.
const NAMED_AFTER: Duration = Duration::from_millis(500);

/// The columns of a line before what it says, as in cargo's status lines.
const MARGIN: usize = 13;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Testing,
    Paused,
    /// The user has ended the run, and waits for the tests that run.
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FixturePhase {
    Starting,
    Stopping,
}

#[derive(Debug, Default)]
pub struct Live {
    pub phase: Phase,
    pub tests: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Fixtures that are starting or stopping, since when.
    fixtures: Vec<(FixtureInstance, FixturePhase, Instant)>,
}

impl Live {
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Ignored => self.skipped += 1,
            _ => self.failed += 1,
        }
    }

    pub fn finished(&self) -> usize {
        self.passed + self.failed + self.skipped
    }

    pub fn note_fixture(&mut self, instance: &FixtureInstance, what: &FixtureEvent) {
        self.fixtures.retain(|(known, ..)| known != instance);
        let phase = match what {
            FixtureEvent::Starting => FixturePhase::Starting,
            FixtureEvent::Stopping => FixturePhase::Stopping,
            _ => return,
        };
        self.fixtures.push((instance.clone(), phase, clock::now()));
    }

    /// The lines for a window, of the tests that run, longest first.
    #[expect(clippy::too_many_arguments)]
    pub fn lines(
        &self,
        size: Size,
        took: Duration,
        failing: usize,
        tests: &[(TestId, Duration)],
        locks: &[String],
        name: impl Fn(TestId) -> String,
        paint: Paint,
    ) -> Vec<String> {
        let mut lines = vec![self.first_line(size, took, failing, paint)];
        let awaited = self.awaited(locks, tests.is_empty());
        // Room for the first line, for the last, and for what is above.
        let room = NAMED.min(size.rows.saturating_sub(3));
        let named = tests.iter().take_while(|(_, took)| *took >= NAMED_AFTER).take(room);
        for (test, took) in named {
            let width = size.columns.saturating_sub(MARGIN + 1);
            let shown = cut_left(&name(*test), width);
            lines.push(format!("{} {shown}", paint.faint(&format!("{:>12}", short(*took)))));
        }
        if !awaited.is_empty() && size.rows > 2 {
            let awaited = messages::list(&awaited);
            lines.push(format!("{} {awaited}", paint.faint(&format!("{:>12}", "waits for"))));
        }
        lines
    }

    fn first_line(&self, size: Size, took: Duration, failing: usize, paint: Paint) -> String {
        let verb = match self.phase {
            Phase::Testing => paint.good(&format!("{:>12}", "Testing")),
            Phase::Paused => paint.warn(&format!("{:>12}", "Paused")),
            Phase::Stopping => paint.warn(&format!("{:>12}", "Stopping")),
        };
        let bar = match size.columns {
            ..80 => String::new(),
            80..100 => bar(self.finished(), self.tests, 12),
            _ => bar(self.finished(), self.tests, 24),
        };
        let mut counts = vec![paint.good(&format!("{} passed", self.passed))];
        let failed = self.failed + failing;
        counts.extend((failed > 0).then(|| paint.bad(&format!("{failed} failed"))));
        counts.extend((self.skipped > 0).then(|| format!("{} skipped", self.skipped)));
        counts.push(short(took));
        format!("{verb} {bar}{}/{}: {}", self.finished(), self.tests, counts.join(", "))
    }

    /// What tests wait for, or the run where no test runs any more.
    pub fn awaited(&self, locks: &[String], is_idle: bool) -> Vec<String> {
        let awaited = |(_, phase, _): &&(FixtureInstance, FixturePhase, Instant)| {
            is_idle || *phase == FixturePhase::Starting
        };
        let fixtures = self.fixtures.iter().filter(awaited).map(|(instance, phase, since)| {
            let what = if *phase == FixturePhase::Stopping { " to stop" } else { "" };
            format!("fixture {instance}{what} ({})", short(clock::since(*since)))
        });
        fixtures.chain(locks.iter().map(|lock| format!("lock {lock}"))).collect()
    }
}

/// `[=====>      ] `
fn bar(done: usize, all: usize, width: usize) -> String {
    let filled = (width * done).checked_div(all).unwrap_or_default().min(width);
    let head = if filled < width { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(filled));
    format!("[{bar:width$}] ")
}

/// Seconds for the eye: `0.6 s`, `12 s`.
pub fn short(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(size: Size, live: &Live, tests: &[u64], locks: &[&str]) -> Vec<String> {
        let id = |test| TestId { listing: 0, test };
        let tests: Vec<_> =
            tests.iter().enumerate().map(|(at, ms)| (id(at), Duration::from_millis(*ms))).collect();
        let locks: Vec<String> = locks.iter().map(|lock| (*lock).to_owned()).collect();
        let name = |test: TestId| format!("shop::orders::tests::{}", "x".repeat(test.test + 1));
        live.lines(size, Duration::from_secs(12), 1, &tests, &locks, name, Paint(false))
    }

    fn live() -> Live {
        let mut live = Live { tests: 140, ..Live::default() };
        (0..52).for_each(|_| live.count(Outcome::Passed));
        live.count(Outcome::TimedOut);
        live.count(Outcome::Ignored);
        live
    }

    #[test]
    fn what_runs_longest_and_what_waits_stand_below_the_counts() {
        let size = Size { rows: 24, columns: 80 };
        let expected = [
            "     Testing [====>       ] 54/140: 52 passed, 2 failed, 1 skipped, 12 s",
            "        12 s shop::orders::tests::x",
            "       0.6 s shop::orders::tests::xx",
            "   waits for lock port-8080",
        ];
        assert_eq!(lines(size, &live(), &[12_000, 600, 400], &["port-8080"]), expected);
    }

    #[test]
    fn a_fixture_that_stops_is_named_when_nothing_else_runs() {
        let size = Size { rows: 24, columns: 80 };
        let server = FixtureInstance { name: "server".to_owned(), slot: None };
        let last = |live: &Live, tests: &[u64]| lines(size, live, tests, &[]).pop().unwrap();
        let mut live = live();
        live.note_fixture(&server, &FixtureEvent::Starting);
        assert!(last(&live, &[700]).starts_with("   waits for fixture server ("));
        live.note_fixture(&server, &FixtureEvent::Stopping);
        assert_eq!(last(&live, &[700]), "       0.7 s shop::orders::tests::x");
        assert!(last(&live, &[]).starts_with("   waits for fixture server to stop ("));
        live.note_fixture(&server, &FixtureEvent::Kept);
        assert!(last(&live, &[]).starts_with("     Testing"));
    }

    #[test]
    fn a_small_window_shows_less() {
        let narrow = Size { rows: 24, columns: 32 };
        let expected = [
            "     Testing 54/140: 52 passed, 2 failed, 1 skipped, 12 s",
            "       2.0 s …:orders::tests::x",
        ];
        assert_eq!(lines(narrow, &live(), &[2_000], &[]), expected);
        for (rows, shown) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 3), (7, 6), (10, 9), (50, 10)] {
            let size = Size { rows, columns: 80 };
            let lines = lines(size, &live(), &[9_000; 20], &["port-8080"]);
            assert_eq!(lines.len(), shown, "{rows}: {lines:?}");
        }
    }

    #[test]
    fn a_bar_fills_up() {
        assert_eq!(bar(0, 0, 4), "[>   ] ");
        assert_eq!(bar(2, 4, 4), "[==> ] ");
        assert_eq!(bar(4, 4, 4), "[====] ");
        assert_eq!(bar(9, 4, 4), "[====] ");
    }
}
