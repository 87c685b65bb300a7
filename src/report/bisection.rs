//! What `bisect` shows: its progress, and what it has found, for people and for scripts.

use serde::Serialize;

use super::bisection_text as text;
use super::progress::status;
use super::spinner::Spinner;
use super::text::{Paint, is_quiet, print, unless_closed};
use super::view::View;
use crate::cli::output_args::MessageFormat;
use crate::error::Result;
use crate::model::bisection::{Bisection, Company, Finding, TestSet, Trial};
use crate::model::json_line::json_line;
use crate::process::stderr::write_line;

pub struct BisectionReport<'r> {
    view: View<'r>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'l> {
    Trial { company: &'l str, others: usize, outcome: &'l str, runs: usize },
    Bisected(BisectedLine<'l>),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BisectedLine<'l> {
    id: String,
    finding: &'l str,
    company: Option<&'l str>,
    with: Vec<OtherLine>,
    smallest: bool,
    reason: Option<&'l str>,
    failed: usize,
    failed_of: usize,
    failed_alone: usize,
    failed_alone_of: usize,
    command: Option<String>,
    runs: usize,
    interrupted: bool,
}

#[derive(Serialize)]
struct OtherLine {
    id: String,
    thing: Option<String>,
}

impl<'r> BisectionReport<'r> {
    pub fn new(view: View<'r>) -> BisectionReport<'r> {
        BisectionReport { view }
    }

    /// A set is about to run; shown until the result is dropped.
    pub fn begin(&self, company: Company, others: usize, run: usize) -> Spinner {
        let what = format!("{}, run {run}", text::company(company, others));
        Spinner::start(self.view.settings, "Trying", what)
    }

    /// A set has run. `runs` is the number of runs so far.
    pub fn tried(&self, runs: usize, trial: Trial) -> Result<()> {
        let Trial { company, others, failed } = trial;
        let outcome = if failed { "failed" } else { "passed" };
        if self.is_json() {
            let company = company.as_str();
            return self.line(&Line::Trial { company, others, outcome, runs });
        }
        if !is_quiet(self.view.settings) {
            let paint = Paint(self.view.settings.color.stderr);
            let word = if failed { paint.bad(outcome) } else { outcome.to_owned() };
            let what = format!("{}: {word}", text::company(company, others));
            write_line(&status(paint, "Tried", &what));
        }
        Ok(())
    }

    pub fn finish(&self, bisection: &Bisection) -> Result<()> {
        match self.is_json() {
            true => self.line(&Line::Bisected(self.bisected(bisection))),
            false => {
                let paint = Paint(self.view.settings.color.stdout);
                unless_closed(print(&text::bisection(bisection, &self.view, paint)))
            }
        }
    }

    fn bisected<'b>(&self, bisection: &'b Bisection) -> BisectedLine<'b> {
        let (finding, set, reason) = match &bisection.finding {
            Finding::Unknown => ("unknown", None, None),
            Finding::Passed(_) => ("passed", None, None),
            Finding::Alone { reason, passes_with } => {
                ("alone", passes_with.as_ref(), reason.as_deref())
            }
            Finding::With(set) => ("with", Some(set), set.reason.as_deref()),
        };
        let counts = |of: fn(&TestSet) -> (usize, usize)| set.map(of).unwrap_or_default();
        let (failed, failed_of) = counts(|set| set.failed);
        let (failed_alone, failed_alone_of) = counts(|set| set.failed_alone);
        let others = set.iter().flat_map(|set| &set.others);
        let other = |other: &crate::model::bisection::Other| OtherLine {
            id: self.view.id(other.test),
            thing: other.thing.clone(),
        };
        BisectedLine {
            id: self.view.id(bisection.test),
            finding,
            company: set.map(|set| set.company.as_str()),
            with: others.map(other).collect(),
            smallest: set.is_some_and(|set| set.is_smallest),
            reason,
            failed,
            failed_of,
            failed_alone,
            failed_alone_of,
            command: text::command(bisection, &self.view),
            runs: bisection.runs,
            interrupted: bisection.is_interrupted,
        }
    }

    fn is_json(&self) -> bool {
        self.view.settings.format == MessageFormat::Json
    }

    fn line(&self, line: &Line<'_>) -> Result<()> {
        unless_closed(print(&json_line(line)))
    }
}
