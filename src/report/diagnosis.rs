//! What `doctor` shows: its progress, and what it has found, for people and for scripts.

use std::path::Path;

use serde::Serialize;

use super::diagnosis_text as text;
use super::messages;
use super::progress::status;
use super::spinner::Spinner;
use super::text::{Paint, is_quiet, print, unless_closed};
use super::view::View;
use crate::cli::output_args::MessageFormat;
use crate::error::Result;
use crate::model::diagnosis::{
    Dependence, Diagnosis, ModuleLeaks, Phase, PhaseResult, SharedFixture, Suggestion,
};
use crate::model::interference::{Interference, SharedThing};
use crate::model::json_line::json_line;
use crate::model::test::TestId;
use crate::process::stderr::write_line;

pub struct DiagnosisReport<'r> {
    view: View<'r>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'l> {
    Phase { phase: &'l str, seed: Option<u64>, tests: usize, failed: usize, complete: bool },
    Diagnosed(DiagnosedLine<'l>),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiagnosedLine<'l> {
    tests: usize,
    dependences: Vec<DependenceLine<'l>>,
    shared: Vec<SharedLine>,
    leaks_by_module: Vec<LeaksLine<'l>>,
    suggestions: Vec<SuggestionLine<'l>>,
    shared_fixtures: Vec<SharedFixtureLine<'l>>,
    splittable: &'l [String],
    written: Vec<&'l Path>,
    runs: usize,
    seconds: f64,
    cut_short: bool,
    interrupted: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DependenceLine<'l> {
    id: String,
    kind: &'l str,
    reason: Option<&'l str>,
    with: Vec<OtherLine>,
    kept_apart: bool,
}

#[derive(Serialize)]
struct LeaksLine<'l> {
    module: &'l str,
    tests: usize,
    threads: usize,
    processes: usize,
    panics: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SharedFixtureLine<'l> {
    node: &'l str,
    statics: &'l [String],
    seconds: f64,
    seconds_before: f64,
    seconds_after: f64,
}

#[derive(Serialize)]
struct SharedLine {
    thing: String,
    kind: &'static str,
    users: Vec<String>,
}

#[derive(Serialize)]
struct OtherLine {
    id: String,
    thing: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SuggestionLine<'l> {
    manifest: &'l Path,
    node: &'l str,
    value: String,
    passed_runs: usize,
    seconds_before: Option<f64>,
    seconds_after: Option<f64>,
}

impl<'r> DiagnosisReport<'r> {
    pub fn new(view: View<'r>) -> DiagnosisReport<'r> {
        DiagnosisReport { view }
    }

    /// A phase is about to run, of which so many are still to come; shown until the result is
    /// dropped.
    pub fn begin(&self, phase: Phase, to_come: usize) -> Spinner {
        let what = match to_come {
            0 => text::phase(phase),
            more => format!("{}, {} to come", text::phase(phase), messages::count(more, "run")),
        };
        Spinner::start(self.view.settings, "Running", what)
    }

    /// The tests on which this one depends are looked for; shown until the result is dropped.
    pub fn begin_search(&self, test: TestId) -> Spinner {
        let what = format!("the tests on which {} depends", self.view.shown_id(test));
        Spinner::start(self.view.settings, "Finding", what)
    }

    pub fn ran(&self, result: &PhaseResult) -> Result<()> {
        let PhaseResult { phase, tests, failed, is_complete } = *result;
        if self.is_json() {
            let seed = match phase {
                Phase::Shuffled(seed) => Some(seed),
                _ => None,
            };
            let (phase, complete) = (phase.as_str(), is_complete);
            return self.line(&Line::Phase { phase, seed, tests, failed, complete });
        }
        if !is_quiet(self.view.settings) {
            let paint = Paint(self.view.settings.color.stderr);
            write_line(&status(paint, "Ran", &text::ran(result, paint)));
        }
        Ok(())
    }

    /// `has_written` is whether the suggestions were to be written.
    pub fn finish(&self, found: &Diagnosis, has_written: bool) -> Result<()> {
        match self.is_json() {
            true => self.line(&Line::Diagnosed(self.diagnosed(found))),
            false => {
                let paint = Paint(self.view.settings.color.stdout);
                let text = text::diagnosis(found, has_written, &self.view, paint);
                unless_closed(print(&paint.printable(&text)))
            }
        }
    }

    fn diagnosed<'d>(&self, found: &'d Diagnosis) -> DiagnosedLine<'d> {
        let dependences = text::sorted(found, &self.view);
        DiagnosedLine {
            tests: found.tests,
            dependences: dependences
                .into_iter()
                .map(|(test, of)| self.dependence(test, of))
                .collect(),
            shared: found.shared.iter().map(|shared| self.shared(shared)).collect(),
            leaks_by_module: found.leaks.iter().map(leaks).collect(),
            suggestions: found.suggestions.iter().map(suggestion).collect(),
            shared_fixtures: found.shared_fixtures.iter().map(shared_fixture).collect(),
            splittable: &found.splittable,
            written: found.written.iter().map(|path| path.as_path()).collect(),
            runs: found.runs,
            seconds: found.took.as_secs_f64(),
            cut_short: found.is_cut_short,
            interrupted: found.is_interrupted,
        }
    }

    fn dependence<'d>(&self, test: TestId, dependence: &'d Dependence) -> DependenceLine<'d> {
        let set = dependence.others().into_iter().flat_map(|set| &set.others);
        let set = set.map(|other| (self.view.id(other.test), other.thing.clone()));
        let other = |met: &Interference| (self.view.interferer(met), Some(met.thing.to_string()));
        let met = dependence.met().map(other);
        let with = set.chain(met).map(|(id, thing)| OtherLine { id, thing }).collect();
        DependenceLine {
            id: self.view.id(test),
            kind: dependence.as_str(),
            reason: dependence.reason(),
            with,
            kept_apart: dependence.is_kept_apart(),
        }
    }

    fn shared(&self, shared: &SharedThing) -> SharedLine {
        SharedLine {
            thing: shared.thing.to_string(),
            kind: shared.kind.as_str(),
            users: text::users(shared, &self.view),
        }
    }

    fn is_json(&self) -> bool {
        self.view.settings.format == MessageFormat::Json
    }

    fn line(&self, line: &Line<'_>) -> Result<()> {
        unless_closed(print(&json_line(line)))
    }
}

fn suggestion(suggestion: &Suggestion) -> SuggestionLine<'_> {
    SuggestionLine {
        manifest: &suggestion.manifest,
        node: &suggestion.node,
        value: suggestion.line.to_string(),
        passed_runs: suggestion.proven,
        seconds_before: suggestion.gain.map(|(before, _)| before.as_secs_f64()),
        seconds_after: suggestion.gain.map(|(_, after)| after.as_secs_f64()),
    }
}

fn shared_fixture(found: &SharedFixture) -> SharedFixtureLine<'_> {
    let SharedFixture { node, statics, cost, gain: (before, after) } = found;
    SharedFixtureLine {
        node,
        statics,
        seconds: cost.as_secs_f64(),
        seconds_before: before.as_secs_f64(),
        seconds_after: after.as_secs_f64(),
    }
}

fn leaks(found: &ModuleLeaks) -> LeaksLine<'_> {
    let ModuleLeaks { ref module, tests, threads, processes, panics } = *found;
    LeaksLine { module, tests, threads, processes, panics }
}
