//! What the end of a worker means for its tests.

use std::process::ExitStatus;
use std::time::Duration;

use super::{PendingVerdict, Worker};
use crate::leaks::classify::{Symbolizer, relevant_calls};
use crate::leaks::symbols::Module;
use crate::model::outcome::Outcome;
use crate::model::output::Output;
use crate::model::protocol::Protocol;
use crate::model::reason::Reason;
use crate::model::state_change::{StateChange, StateKind};
use crate::model::test::TestId;
use crate::model::verdict::Verdict;
use crate::process::{clock, exit_status};
use crate::protocol::channel::{ChannelSummary, FatalCause, FatalEvent, ThreadStack};
use crate::worker::inbox::{BatchEnd, EndCause, LateLeaks, Message, Overdue};

impl Worker<'_> {
    pub(super) fn finish(mut self, status: ExitStatus, messages: &mut Vec<Message>) -> BatchEnd {
        let span = self.job.span(self.number, self.process.pid(), self.began);
        messages.push(Message::WorkerEnded(span));
        let mut left = self.left.take().unwrap_or_default();
        self.retract(&left.retracted);
        let cause = self.ending.take().unwrap_or_else(|| self.cause(status, &left));
        let culprit = match &cause {
            EndCause::Died(_) => culprit_of(status, &left),
            _ => None,
        };
        if let (EndCause::Died(how), Some(test)) = (&cause, culprit) {
            self.fail_ended_test(test, how, &left.rest);
        }
        if let ([_], [_, ..]) = (&*self.tests, &*left.unattributed) {
            // Whose else could it be?
            left.findings.entry(0).or_default().append(&mut left.unattributed);
        }
        if cause == EndCause::NoChannel && self.job.protocol == Protocol::HarnessLog {
            // Failures that it does not count as such.
            for test in std::mem::take(&mut self.failed).into_keys() {
                self.begun[test] = false;
            }
        }
        self.append_late_output(&mut left);
        self.settle_all(&mut left, messages);
        for (test, pending) in std::mem::take(&mut self.failed) {
            let verdict = self.with_late_leaks(test, pending.verdict, &mut left);
            let pending = PendingVerdict { verdict, ..pending };
            let verdict = self.with_late_output(test, pending, &mut left);
            self.judge(test, self.explained(test, verdict), messages);
        }
        if let Some((test, verdict)) = self.last_pass.take() {
            let output = left.outputs.remove(&test);
            let is_innocent = culprit.is_some();
            let verdict = match is_innocent {
                true => Verdict { output: output.unwrap_or(verdict.output), ..verdict },
                false => self.last_verdict(verdict, output, &cause, &left.rest),
            };
            self.judge(test, verdict, messages);
        }
        messages.extend(self.output_of_unknown(&cause, &left));
        messages.extend(self.changed_state(&mut left));
        self.rest(cause, culprit, left)
    }

    /// What its tests have left changed in the process.
    fn changed_state(&self, left: &mut ChannelSummary) -> Option<Message> {
        let changes = std::mem::take(&mut left.left_changed).into_iter();
        let named = |change| self.with_handlers(change, &left.modules);
        let changes: Vec<_> =
            changes.map(|(test, change)| (self.tests[test], named(change))).collect();
        (!changes.is_empty()).then_some(Message::StateChanged(changes))
    }

    /// Names the functions that handle a signal, of which the channel knows the addresses.
    fn with_handlers(&self, change: StateChange, modules: &[Module]) -> StateChange {
        if change.thing.kind != StateKind::SignalHandler {
            return change;
        }
        let named = |text: String| {
            let address = text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
            let Some(address) = address else { return text };
            let calls = self
                .context
                .services
                .with_symbols(|symbols| self.names(symbols, modules, "").calls(&[address]));
            let function = calls.into_iter().map(|call| call.function).find(|f| !f.is_empty());
            function.unwrap_or_else(|| "a function".to_owned())
        };
        let is_same = change.before == change.after;
        let rest = if is_same { " with other flags" } else { "" };
        let after = change.after.map(|text| named(text) + rest);
        StateChange { before: change.before.map(named), after, ..change }
    }

    /// Takes back verdicts that turned out to be unreliable: these tests run again.
    pub(super) fn retract(&mut self, tests: &[usize]) {
        for test in tests {
            if self.unsettled.remove(test).is_some() {
                self.begun[*test] = false;
                self.ended -= 1;
            }
        }
    }

    /// A thread that a finished test left behind ended the process, so the test has not passed. A
    /// test that still runs has no verdict to change.
    pub(super) fn fail_ended_test(&mut self, test: usize, how: &str, rest: &Output) {
        let last = self.last_pass.as_mut().filter(|(last, _)| *last == test);
        let last = last.map(|(_, verdict)| verdict);
        let verdict = self.unsettled.get_mut(&test).map(|pending| &mut pending.verdict).or(last);
        if let Some(verdict) = verdict.filter(|verdict| verdict.outcome == Outcome::Passed) {
            verdict.outcome = Outcome::Aborted;
            verdict.reason = Some(Reason::EndedByLeftoverThread(how.to_owned()));
            verdict.output.append(rest.clone());
        }
    }

    /// Adds what threads of a test have written after its end to its verdict, if that is not told yet.
    fn append_late_output(&mut self, left: &mut ChannelSummary) {
        let pending = self.unsettled.iter_mut().chain(&mut self.failed);
        let pending = pending.map(|(test, pending)| (*test, &mut pending.verdict));
        let last_pass = self.last_pass.iter_mut().map(|(test, verdict)| (*test, verdict));
        for (test, verdict) in pending.chain(last_pass) {
            if let Some(output) = left.outputs_after_end.remove(&test) {
                verdict.output.append(output);
            }
        }
    }

    /// Reports the verdicts that waited for leaks, which are all known now.
    pub(super) fn settle_all(&mut self, left: &mut ChannelSummary, messages: &mut Vec<Message>) {
        for (test, kept) in std::mem::take(&mut self.unsettled) {
            let verdict = self.with_late_leaks(test, kept.verdict, left);
            self.route(test, PendingVerdict { verdict, ..kept }, messages);
        }
        // A late finding belongs to a test whose verdict seemed settled.
        if let Some((test, verdict)) = self.last_pass.take() {
            let verdict = self.with_late_leaks(test, verdict, left);
            self.route(test, PendingVerdict { verdict, has_output: true }, messages);
        }
    }

    pub(super) fn with_late_leaks(
        &self,
        test: usize,
        verdict: Verdict,
        left: &mut ChannelSummary,
    ) -> Verdict {
        let findings = left.findings.remove(&test).unwrap_or_default();
        self.with_leaks(test, verdict, &findings, &left.modules)
    }

    /// What verdicts that have been told did not tell of. What a test has started that was ended
    /// with its process is no leak.
    pub(super) fn late_leaks(&self, left: &mut ChannelSummary) -> Vec<LateLeaks> {
        let is_running = |test: usize| self.running.iter().any(|(running, _)| *running == test);
        let mut findings: Vec<_> = std::mem::take(&mut left.findings).into_iter().collect();
        findings.sort_by_key(|(test, _)| *test);
        let ended = findings.iter().filter(|(test, _)| self.begun[*test] && !is_running(*test));
        let of_tests = ended.map(|(test, findings)| LateLeaks {
            test: Some(self.tests[*test]),
            leaks: self.leaks_of(*test, findings, &left.modules),
        });
        let of_unit = LateLeaks { test: None, leaks: self.leaks_of_unit(left) };
        of_tests.chain([of_unit]).filter(|left| !left.leaks.is_empty()).collect()
    }

    pub(super) fn rest(
        &self,
        cause: EndCause,
        culprit: Option<usize>,
        mut left: ChannelSummary,
    ) -> BatchEnd {
        let left_behind = self.late_leaks(&mut left);
        let now = clock::now();
        // Where the one that ended the process is known, the others are not suspects.
        let is_suspect = |test: usize| culprit.is_none_or(|culprit| culprit == test);
        let is_over = matches!(cause, EndCause::TimedOut(_));
        let running = self.running.iter().filter(|(test, _)| is_over || is_suspect(*test));
        let running: Vec<(TestId, Duration)> =
            running.map(|(test, began)| (self.tests[*test], now - *began)).collect();
        let is_innocent = |test: &usize| !is_over && !is_suspect(*test);
        let innocent = self.running.iter().map(|(test, _)| *test).filter(is_innocent);
        let innocent = innocent.map(|test| self.tests[test]).collect();
        let not_begun = (0..self.tests.len()).filter(|test| !self.begun[*test]);
        let not_begun = not_begun.map(|test| self.tests[test]).collect();
        let output = self.process_output(&cause, left);
        let worker = Some(self.number);
        BatchEnd { cause, worker, running, not_begun, innocent, output, left_behind }
    }

    /// Where the threads of a hung worker were, by test.
    pub(super) fn shown_stacks(&self, stacks: &[ThreadStack], modules: &[Module]) -> Vec<u8> {
        if stacks.is_empty() {
            return Vec::new();
        }
        let text = self.context.services.with_symbols(|symbols| {
            let mut names = self.names(symbols, modules, "");
            // As long as tests run, the main thread only waits for them.
            let has_tests = stacks.iter().any(|stack| stack.test.is_some());
            let shown = stacks.iter().filter(|stack| stack.test.is_some() || !has_tests);
            let stacks = shown.map(|stack| self.shown_stack(stack, &mut names));
            stacks.collect::<String>()
        });
        text.into_bytes()
    }

    pub(super) fn shown_stack(&self, stack: &ThreadStack, names: &mut Symbolizer<'_>) -> String {
        let of_test = stack.test.map(|test| {
            let name = &self.listing.tests[self.tests[test].test].name;
            format!(" of {}", self.listing.binary.id(name))
        });
        let mut text = format!("thread `{}`{}:\n", stack.name, of_test.unwrap_or_default());
        for call in relevant_calls(&names.calls(&stack.stack)) {
            let place = call.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
            text.push_str(&format!("  {}{place}\n", call.function));
        }
        text.push('\n');
        text
    }

    /// The last test that passed answers for an end that came when all had their verdicts.
    pub(super) fn last_verdict(
        &self,
        mut verdict: Verdict,
        output: Option<Output>,
        cause: &EndCause,
        rest: &Output,
    ) -> Verdict {
        if let Some(output) = output {
            verdict.output = output;
        }
        let (outcome, reason) = match cause {
            _ if self.ended < self.tests.len() => return self.with_rest(verdict, rest),
            EndCause::Died(how) => (Outcome::Aborted, Reason::DiedAfterPass(how.clone())),
            EndCause::TimedOut(Overdue { timeout, .. }) => {
                (Outcome::TimedOut, Reason::HungAfterPass(timeout.clone()))
            }
            _ => return self.with_rest(verdict, rest),
        };
        verdict.output.append_lines(rest.clone());
        Verdict { outcome, reason: Some(reason), ..verdict }
    }

    /// What the end of the process means. An exit code alone proves nothing: only together
    /// with the verdicts and libtest's own last line it does.
    pub(super) fn cause(&self, status: ExitStatus, left: &ChannelSummary) -> EndCause {
        if self.job.protocol == Protocol::HarnessLog {
            return self.cause_by_log(status, left);
        }
        let code_fits = match status.code() {
            Some(0) => !self.any_failed,
            // libtest's exit code when tests have failed.
            Some(101) => self.any_failed || self.job.protocol == Protocol::Doctests,
            _ => false,
        };
        let all_told = self.ended == self.tests.len();
        let adds_up = left.counted.is_none_or(|counted| counted == left.heard);
        if code_fits && (all_told || left.ended && adds_up && left.retracted.is_empty()) {
            return EndCause::Done;
        }
        if self.job.protocol == Protocol::Doctests && !left.began && status.code().is_some() {
            return EndCause::NotStarted(rustdoc_failure(status, &left.rest));
        }
        if self.is_silent(status, left) && !all_told {
            return EndCause::NoChannel;
        }
        if ended_by_itself(status, left) && !all_told {
            return EndCause::Misheard;
        }
        EndCause::Died(exit_status::describe(status))
    }

    /// The same for a custom harness, whose exit code may be any if tests have failed. What does
    /// not add up proves nothing: then its tests run one by one.
    fn cause_by_log(&self, status: ExitStatus, left: &ChannelSummary) -> EndCause {
        let all_told = self.ended == self.tests.len();
        match status.code() {
            Some(_) if left.was_lost => EndCause::NoChannel,
            Some(0) if self.any_failed && left.ended => EndCause::NoChannel,
            Some(code) if left.ended && all_told && (code != 0) == self.any_failed => {
                EndCause::Done
            }
            // It did not understand its arguments, or ran fewer tests than it was told.
            Some(_) if !all_told && (!left.began || left.ended) => EndCause::NoChannel,
            _ => EndCause::Died(exit_status::describe(status)),
        }
    }

    /// Whether the process ended by itself, and its channel before it.
    pub(super) fn is_silent(&self, status: ExitStatus, left: &ChannelSummary) -> bool {
        match self.job.protocol {
            Protocol::Agent => {
                matches!(status.code(), Some(0 | 101)) && (!left.began || left.was_lost)
            }
            Protocol::Doctests => false,
            _ if status.code() == Some(0) => left.was_lost,
            _ => {
                let is_lost = !left.began || left.was_lost || has_lost_ledger(&left.rest);
                status.code() == Some(101) && is_lost
            }
        }
    }
}

/// Why rustdoc has run no doctest: usually the package cannot be documented.
fn rustdoc_failure(status: ExitStatus, output: &Output) -> String {
    let text = String::from_utf8_lossy(output);
    let error = text.lines().find(|line| line.starts_with("error")).unwrap_or_default();
    format!("rustdoc ended with {}: {error}", exit_status::describe(status))
}

/// Whether libtest's own main function ended the process, and no test did.
fn ended_by_itself(status: ExitStatus, left: &ChannelSummary) -> bool {
    let is_libtests = matches!(status.code(), Some(0 | 101));
    is_libtests && left.said_goodbye && culprit_of(status, left).is_none()
}

/// The test that did what the process ended with: the first one that exited, since another exit
/// waits for it, and the last one that was hit by a signal, since those before were handled.
fn culprit_of(status: ExitStatus, left: &ChannelSummary) -> Option<usize> {
    let is_it = |culprit: &&FatalEvent| match culprit.cause {
        // The system keeps the lowest eight bits.
        FatalCause::Exit(code) => status.code() == Some(code & 0xff),
        FatalCause::Signal(signal) => exit_status::terminating_signal(status) == Some(signal),
    };
    let mut of_end = left.fatal_events.iter().filter(is_it);
    let culprit = match status.code() {
        Some(_) => of_end.next(),
        None => of_end.next_back(),
    };
    culprit.map(|culprit| culprit.test)
}

/// libtest's words when it can no longer write to its `--logfile`: a test has closed
/// descriptors that are not its own.
fn has_lost_ledger(output: &[u8]) -> bool {
    const WORDS: &str = "error: io error when listing tests";
    String::from_utf8_lossy(output).contains(WORDS)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn signals_that_were_handled_make_no_culprit_and_a_later_exit_neither() {
        let event = |test, cause| FatalEvent { test, cause };
        let left = ChannelSummary {
            fatal_events: vec![
                event(0, FatalCause::Signal(11)),
                event(1, FatalCause::Signal(11)),
                event(2, FatalCause::Exit(3)),
                event(3, FatalCause::Exit(3)),
            ],
            ..ChannelSummary::default()
        };
        let culprit = |status| culprit_of(ExitStatus::from_raw(status), &left);
        assert_eq!([culprit(11), culprit(3 << 8), culprit(6)], [Some(1), Some(2), None]);
    }
}
