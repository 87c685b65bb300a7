//! The report as JUnit XML, which CI systems show: a suite for each binary, a case for each test.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_junit::{
    FlakyOrRerun, NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::document::Document;
use super::human::panic_message;
use super::messages;
use super::view::View;
use crate::cargo::binary::Binary;
use crate::model::event::{Event, FixtureEvent, LeakedBy};
use crate::model::leak::Leak;
use crate::model::listing::{BinaryName, ListFailure};
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::model::verdict::{Attempt, Verdict};
use crate::model::warning::Warning;

pub struct Junit<'r> {
    view: View<'r>,
    cases: Vec<(TestId, TestCase)>,
    /// Leaks that were found after the verdict on their test.
    late_leaks: BTreeMap<TestId, Vec<Leak>>,
    /// Leaks of which only the unit is known, or nothing.
    stray_leaks: Vec<(String, Vec<Leak>)>,
    /// Selected tests that the run ended before.
    not_run: Vec<TestId>,
    /// Binaries whose tests are not known.
    /// Binaries without tests, with the only case that they have.
    not_listed: Vec<(BinaryName, TestCaseStatus)>,
    /// By listing: the output of workers that may be any of their tests'.
    worker_output: BTreeMap<usize, Vec<u8>>,
}

impl<'r> Junit<'r> {
    pub fn new(view: View<'r>) -> Junit<'r> {
        Junit {
            view,
            cases: Vec::new(),
            late_leaks: BTreeMap::new(),
            stray_leaks: Vec::new(),
            not_run: Vec::new(),
            not_listed: Vec::new(),
            worker_output: BTreeMap::new(),
        }
    }

    fn report(&mut self, summary: &Summary) -> Report {
        let mut report = Report::new("cargo-partest");
        report.set_time(summary.took);
        let mut cases = std::mem::take(&mut self.cases);
        let not_run = std::mem::take(&mut self.not_run).into_iter();
        cases.extend(not_run.map(|test| (test, not_run_case(summary))));
        cases.sort_by(|(a, _), (b, _)| self.view.compare(*a, *b));
        let mut suites: Vec<(usize, Vec<TestCase>)> = Vec::new();
        for (test, mut case) in cases {
            let listing = &self.view.inventory.listings[test.listing];
            case.name = listing.tests[test.test].name.as_str().into();
            if let Some(place) = listing.place(test.test)
                && let Some((file, line)) = place.rsplit_once(':')
            {
                case.extra.insert("file".into(), file.into());
                case.extra.insert("line".into(), line.into());
            }
            add_leaks(&mut case, &self.late_leaks.remove(&test).unwrap_or_default());
            match suites.last_mut() {
                Some((last, cases)) if *last == test.listing => cases.push(case),
                _ => suites.push((test.listing, vec![case])),
            }
        }
        let names = self.names();
        for (listing, cases) in suites {
            let binary = &self.view.inventory.listings[listing].binary;
            let mut suite = suite(binary, &names[listing], cases);
            if let Some(output) = self.worker_output.remove(&listing) {
                suite.set_system_out(clean(&output));
            }
            report.add_test_suite(suite);
        }
        report.add_test_suites(self.not_listed.drain(..).map(not_listed_suite));
        for (name, leaks) in std::mem::take(&mut self.stray_leaks) {
            let mut suite = TestSuite::new(name);
            suite.set_system_err(leaks.iter().map(leak_text).collect::<String>());
            suite.add_properties(numbered(leaks.iter().map(leak_property)));
            report.add_test_suite(suite);
        }
        report
    }

    /// The name of each binary as in the ids of its tests, with the kind of its target where
    /// another one has that name too.
    fn names(&self) -> Vec<String> {
        let listings = &self.view.inventory.listings;
        let prefixes = || listings.iter().map(|listing| &listing.binary.prefix);
        let name =
            |binary: &Binary| match prefixes().filter(|prefix| **prefix == binary.prefix).count() {
                1 => binary.prefix.clone(),
                _ => format!("{} ({})", binary.prefix, binary.kind),
            };
        listings.iter().map(|listing| name(&listing.binary)).collect()
    }
}

impl Document for Junit<'_> {
    fn take(&mut self, event: &Event) {
        match event {
            Event::TestFinished { test, verdict } => self.cases.push((*test, case(verdict))),
            Event::NotRun { test } => self.not_run.push(*test),
            Event::Warning(Warning::ListFailed(failure)) => {
                self.not_listed.push((failure.binary.clone(), list_failure(failure)));
            }
            Event::Warning(Warning::InterruptedWhileListing { binaries }) => {
                let status = |binary: &BinaryName| (binary.clone(), list_interrupted());
                self.not_listed.extend(binaries.iter().map(status));
            }
            Event::LeftBehind { by: LeakedBy::Test(test), leaks } => {
                self.late_leaks.entry(*test).or_default().extend(leaks.iter().cloned());
            }
            Event::LeftBehind { by: LeakedBy::Unit(node), leaks } => {
                self.stray_leaks.push((node.clone(), leaks.clone()));
            }
            Event::LeftBehind { by: LeakedBy::Run, leaks } => {
                self.stray_leaks.push(("run".to_owned(), leaks.clone()));
            }
            Event::Fixture {
                instance,
                what: FixtureEvent::Failed { leaks, .. } | FixtureEvent::Stopped { leaks, .. },
                ..
            } if !leaks.is_empty() => {
                self.stray_leaks.push((format!("fixture {instance}"), leaks.clone()));
            }
            Event::WorkerOutput { tests, output, .. } => {
                let listing = tests.first().map(|test| test.listing);
                if let Some(listing) = listing {
                    self.worker_output.entry(listing).or_default().extend_from_slice(output);
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, summary: &Summary, file: &mut dyn Write) -> io::Result<()> {
        let report = self.report(summary);
        let text = report.to_string().map_err(io::Error::other)?;
        // The schema that Jenkins publishes has this count at each suite, and not at the root.
        let skipped = format!(" skipped=\"{}\"", report.skipped);
        file.write_all(text.replacen(&skipped, "", 1).as_bytes())
    }
}

fn suite(binary: &Binary, name: &str, cases: Vec<TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(cases.iter().filter_map(|case| case.time).sum());
    suite.add_property(("package", binary.package_name.as_str()));
    suite.add_property(("kind", binary.kind));
    suite.add_property(("target", binary.target.as_str()));
    // That schema knows properties of suites only.
    let mut of_cases = Vec::new();
    for mut case in cases {
        case.set_classname(name);
        let properties = std::mem::take(&mut case.properties).into_iter();
        of_cases.extend(properties.map(|Property { name, value }| {
            Property::new(name, format!("{}: {}", case.name.as_str(), value.as_str()))
        }));
        suite.add_test_case(case);
    }
    suite.add_properties(numbered(of_cases));
    suite
}

/// Gives the second property of a name, and those after it, a number: Jenkins and others keep one
/// value for each name.
fn numbered(properties: impl IntoIterator<Item = Property>) -> Vec<Property> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let number = |mut property: Property| {
        let count = seen.entry(property.name.as_str().to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            property.name = format!("{}.{count}", property.name.as_str()).into();
        }
        property
    };
    properties.into_iter().map(number).collect()
}

/// A case that has no name yet.
fn case(verdict: &Verdict) -> TestCase {
    let mut status = match kind(verdict.outcome) {
        Some(kind) => TestCaseStatus::non_success(kind),
        None if verdict.outcome == Outcome::Ignored => skipped("ignored"),
        None => TestCaseStatus::success(),
    };
    if verdict.outcome != Outcome::Ignored {
        status.set_type(verdict.outcome.as_str());
    }
    if let Some(reason) = &verdict.reason {
        let reason = clean(reason.to_string().as_bytes());
        // Some readers show the message only, others the text only.
        if kind(verdict.outcome).is_some() {
            let output = String::from_utf8_lossy(verdict.output.printed());
            let message = panic_message::find_last(&output).map(|panic| panic.message);
            let text = [&*reason, message.unwrap_or_default()].join("\n");
            status.set_description(clean(text.trim_end().as_bytes()));
        }
        status.set_message(reason);
    }
    if verdict.flakiness().is_some() || verdict.interference.is_some() {
        status.set_rerun_kind(FlakyOrRerun::Flaky);
    }
    status.add_reruns(verdict.failed_before.iter().map(rerun));
    let mut case = TestCase::new("", status);
    case.set_time(verdict.took.unwrap_or_default());
    if !verdict.output.printed().is_empty() {
        case.set_system_out(clean(verdict.output.printed()));
    }
    let lost = verdict.output_lost.as_ref().map(messages::output_lost);
    let notes = clean(verdict.output.notes());
    let notes = [notes, lost.map(|lost| lost + "\n").unwrap_or_default()].concat();
    if !notes.is_empty() {
        case.set_system_err(notes);
    }
    add_leaks(&mut case, &verdict.leaks);
    case
}

/// The case of a test that did not start, which has no name yet.
fn not_run_case(summary: &Summary) -> TestCase {
    let mut status = skipped(&messages::not_run(summary));
    status.set_type("not-run");
    TestCase::new("", status)
}

/// With the reason as its text too: to some readers, an element without content is not there.
fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status.set_description(reason);
    status
}

fn list_failure(failure: &ListFailure) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("not-listed");
    status.set_message(clean(failure.to_string().as_bytes()));
    status
}

fn list_interrupted() -> TestCaseStatus {
    let mut status = skipped("not listed: the run was interrupted before");
    status.set_type("not-listed");
    status
}

fn not_listed_suite((binary, status): (BinaryName, TestCaseStatus)) -> TestSuite {
    let BinaryName { name, kind, package } = &binary;
    let mut case = TestCase::new("list of tests", status);
    case.set_classname(name.as_str());
    let mut suite = TestSuite::new(name.as_str());
    suite.add_property(("package", package.as_str()));
    suite.add_property(("kind", kind.as_str()));
    suite.add_test_case(case);
    suite
}

/// What a test that did not pass is called in JUnit: a failure is found by the test itself.
fn kind(outcome: Outcome) -> Option<NonSuccessKind> {
    match outcome {
        Outcome::Passed | Outcome::Ignored => None,
        Outcome::Failed => Some(NonSuccessKind::Failure),
        Outcome::TimedOut
        | Outcome::Aborted
        | Outcome::Interrupted
        | Outcome::Blocked
        | Outcome::Missing => Some(NonSuccessKind::Error),
    }
}

fn rerun(attempt: &Attempt) -> TestRerun {
    let kind = kind(attempt.outcome).unwrap_or(NonSuccessKind::Failure);
    let mut rerun = TestRerun::new(kind);
    rerun.set_type(attempt.outcome.as_str());
    // Readers expect a message.
    let reason = attempt.reason.as_ref().map(Reason::to_string);
    let reason = reason.unwrap_or_else(|| attempt.outcome.as_str().to_owned());
    rerun.set_message(clean(reason.as_bytes()));
    rerun.set_system_out(clean(&attempt.output));
    rerun
}

fn add_leaks(case: &mut TestCase, leaks: &[Leak]) {
    if leaks.is_empty() {
        return;
    }
    case.add_properties(leaks.iter().map(leak_property));
    let before = case.system_err.take().map(String::from).unwrap_or_default();
    let texts: String = leaks.iter().map(leak_text).collect();
    case.set_system_err(before + &texts);
}

fn leak_property(leak: &Leak) -> Property {
    Property::new(format!("leak.{}", leak.kind.as_str()), clean(leak.what.as_bytes()))
}

fn leak_text(leak: &Leak) -> String {
    let Leak { what, detail, .. } = leak;
    let place = leak.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let (action, kind) = (leak.action.as_str(), leak.kind.as_str());
    clean(format!("leak ({action}): {kind} `{what}`{place}: {detail}\n").as_bytes())
}

/// Text that XML may contain: quick-junit leaves out escape sequences and control characters, and
/// lets these two pass.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\u{fffe}', '\u{ffff}'], "")
}
