//! What the tests of a worker printed that did not come to their verdicts.

use super::{PendingVerdict, Worker};
use crate::model::lost_output::LostOutput;
use crate::model::output::Output;
use crate::model::protocol::Protocol;
use crate::model::test_output::{ProcessOutput, TestOutput};
use crate::model::verdict::Verdict;
use crate::protocol::channel::{ChannelSummary, ThreadStack};
use crate::worker::inbox::{EndCause, Message};
use crate::worker::supervise::start::is_captured;

impl Worker<'_> {
    /// Whether all that the process prints is one test's.
    pub(super) fn has_one_test(&self) -> bool {
        self.tests.len() == 1
    }

    /// Adds to a failure what is known of its output at the end of its process.
    pub(super) fn with_late_output(
        &self,
        test: usize,
        pending: PendingVerdict,
        left: &mut ChannelSummary,
    ) -> Verdict {
        let PendingVerdict { mut verdict, has_output } = pending;
        if !has_output {
            let output = left.outputs.remove(&test);
            if output.is_none() && !left.ended {
                verdict.output_lost = Some(LostOutput::NoAgent);
            }
            verdict.output = output.unwrap_or_default();
        }
        self.with_rest(verdict, &left.rest)
    }

    /// Adds what came through the pipes, if it can only be this test's.
    pub(super) fn with_rest(&self, mut verdict: Verdict, rest: &Output) -> Verdict {
        if self.has_one_test() {
            verdict.output.append_lines(rest.clone());
        }
        verdict
    }

    /// What came through the pipes of a process in which a test failed, where it is not known
    /// which test it belongs to: children and C libraries write there directly.
    pub(super) fn output_of_unknown(
        &self,
        cause: &EndCause,
        left: &ChannelSummary,
    ) -> Option<Message> {
        let is_over = matches!(cause, EndCause::Done | EndCause::Recycled);
        // Those that ran when the process ended have it in their verdicts.
        let is_of_running = !self.running.is_empty() && !is_over;
        let is_wanted = self.any_failed && !self.context.config.nocapture;
        if !is_wanted || self.has_one_test() || is_of_running || left.rest.is_empty() {
            return None;
        }
        let begun = self.tests.iter().zip(&self.begun).filter(|(_, has_begun)| **has_begun);
        Some(Message::WorkerOutput {
            worker: self.number,
            tests: begun.map(|(test, _)| *test).collect(),
            output: left.rest.clone(),
        })
    }

    /// What the process printed, by test as far as that is known; its backtraces are last.
    pub(super) fn process_output(
        &self,
        cause: &EndCause,
        mut left: ChannelSummary,
    ) -> ProcessOutput {
        let stacks = std::mem::take(&mut left.stacks);
        // Tests that hang may wait for each other. Otherwise the stacks of one say nothing of another.
        let is_apart = |stack: &ThreadStack| {
            let is_running = |test| self.running.iter().any(|(running, _)| *running == test);
            matches!(cause, EndCause::Died(_)) && stack.test.is_some_and(is_running)
        };
        let (own, mut others): (Vec<_>, Vec<_>) = stacks.into_iter().partition(is_apart);
        if !own.is_empty() {
            others.retain(|stack| stack.test.is_some());
        }
        let of_tests = self.running.iter().map(|(test, _)| {
            let mut output = left.outputs.remove(test).unwrap_or_default();
            let own: Vec<ThreadStack> =
                own.iter().filter(|stack| stack.test == Some(*test)).cloned().collect();
            output.append_lines(Output::of_notes(self.shown_stacks(&own, &left.modules)));
            let lost = self.lost_output(*test, cause, &left);
            (self.tests[*test], TestOutput { output, lost })
        });
        let of_tests = of_tests.collect();
        let stacks = self.shown_stacks(&others, &left.modules);
        let mut rest = left.rest;
        rest.append_lines(Output::of_notes(stacks));
        ProcessOutput { of_tests, rest }
    }

    /// Why the output of a test is not known that ran when its process ended.
    fn lost_output(
        &self,
        test: usize,
        cause: &EndCause,
        left: &ChannelSummary,
    ) -> Option<LostOutput> {
        if !is_captured(self.job, self.context) || left.captured.contains(&test) {
            return None;
        }
        let by_cause = || match cause {
            _ if self.job.protocol != Protocol::Agent => Some(LostOutput::NoAgent),
            EndCause::Died(how) => Some(LostOutput::EndedAtOnce(how.clone())),
            EndCause::TimedOut(_) => Some(LostOutput::Unresponsive),
            _ => None,
        };
        left.lost.get(&test).cloned().or_else(by_cause)
    }
}
