//! Whether something that has outlived its linger is about to end or stays. Pure: observations in,
//! judgement out.
//!
//! On a busy machine what was told to end may not have had the time for it, and a false report is
//! worse than none. So it is not how long something is there that counts, but what it does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::leaks::finding::Subject;
use crate::process::procfs::TaskStatus;

/// Who has worked that much since its linger passed is not on its way to its end. A panic takes
/// a part of it, where its backtrace is shown and the debug information is large.
const ENOUGH_WORK: Duration = Duration::from_secs(1);

/// Who is there for that long after its linger has been waiting for a processor or a disk all the
/// time, and somebody waits for it.
const MOST_DOUBT: Duration = Duration::from_secs(10);

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    Gone,
    Stays { was_waiting: bool },
    Undecided,
}

/// What was seen of things whose linger has passed.
#[derive(Debug, Default)]
pub struct Observations(HashMap<Subject, Observation>);

#[derive(Debug)]
struct Observation {
    since: Instant,
    worked: Duration,
    rested: bool,
    was_missing: bool,
}

impl Observations {
    /// Looks that follow each other have to be some time apart.
    pub fn look(&mut self, subject: Subject, seen: Option<TaskStatus>, now: Instant) -> Conclusion {
        let worked = seen.map(|seen| seen.cpu_time).unwrap_or_default();
        let fresh = || Observation { since: now, worked, rested: false, was_missing: false };
        let observation = self.0.entry(subject).or_insert_with(fresh);
        let Some(seen) = seen else {
            // The news of a thread's end is on its way, and says more.
            let is_news_due = matches!(subject, Subject::Thread { .. });
            let is_gone = !is_news_due || std::mem::replace(&mut observation.was_missing, true);
            return if is_gone { Conclusion::Gone } else { Conclusion::Undecided };
        };
        observation.was_missing = false;
        // One that was just woken to end may wait once more on its way, for a lock or for memory.
        let rested = std::mem::replace(&mut observation.rested, seen.is_idle);
        let was_waiting = rested && seen.is_idle;
        let has_worked = seen.cpu_time.saturating_sub(observation.worked) >= ENOUGH_WORK;
        let is_long = now.saturating_duration_since(observation.since) >= MOST_DOUBT;
        match was_waiting || has_worked || is_long {
            true => Conclusion::Stays { was_waiting },
            false => Conclusion::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: Subject = Subject::Thread { number: 1, tid: 101 };
    const PROCESS: Subject = Subject::Process { pid: 9 };

    fn seen(is_idle: bool, cpu_time: u64) -> Option<TaskStatus> {
        Some(TaskStatus { is_idle, cpu_time: Duration::from_millis(cpu_time), age: Duration::ZERO })
    }

    /// The judgement after each of these looks, 20 ms apart.
    fn conclusions(subject: Subject, looks: &[Option<TaskStatus>]) -> Vec<Conclusion> {
        let (mut observations, began) = (Observations::default(), Instant::now());
        let at = |number: usize| began + Duration::from_millis(20) * number as u32;
        let looks = looks.iter().enumerate();
        looks.map(|(number, seen)| observations.look(subject, *seen, at(number))).collect()
    }

    #[test]
    fn who_rests_twice_in_a_row_stays() {
        let (rests, runs) = (seen(true, 3), seen(false, 3));
        let stays = Conclusion::Stays { was_waiting: true };
        for subject in [THREAD, PROCESS] {
            assert_eq!(conclusions(subject, &[rests, rests]), [Conclusion::Undecided, stays]);
            let looks = [rests, runs, rests, runs];
            assert_eq!(conclusions(subject, &looks), [Conclusion::Undecided; 4]);
        }
    }

    #[test]
    fn who_works_on_stays_and_who_is_kept_from_it_may_be_about_to_end() {
        let busy = [seen(false, 10), seen(false, 800), seen(false, 1_010)];
        let stays = Conclusion::Stays { was_waiting: false };
        assert_eq!(
            conclusions(THREAD, &busy),
            [Conclusion::Undecided, Conclusion::Undecided, stays]
        );
        assert_eq!(conclusions(THREAD, &[seen(false, 500); 20]), [Conclusion::Undecided; 20]);
        assert_eq!(conclusions(THREAD, &[seen(false, 500); 600]).last(), Some(&stays), "for ever");
    }

    #[test]
    fn who_is_not_there_is_gone_once_its_own_news_has_had_time() {
        assert_eq!(conclusions(PROCESS, &[None]), [Conclusion::Gone]);
        assert_eq!(
            conclusions(THREAD, &[seen(true, 0), None, None]),
            [Conclusion::Undecided, Conclusion::Undecided, Conclusion::Gone]
        );
    }
}
