//! All that is known of one test: what decides about it, and what earlier runs have seen.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::messages::{NOTICEABLE, count};
use super::plan::{asks, form};
use super::text::Paint;
use super::view::View;
use crate::cli::output_args::MessageFormat;
use crate::cli::settings::Verbosity;
use crate::config::policy::origins::Setting;
use crate::discovery::filter::Choice;
use crate::model::duration::brief;
use crate::model::json_line::json_line;
use crate::model::test::TestId;
use crate::plan::group::{Group, Isolation};
use crate::plan::history::Record;

/// What is shown.
pub struct Explanation<'e> {
    pub test: TestId,
    /// What becomes of it in a run without filters.
    pub choice: Choice,
    /// Whether it is a fixture, and so never runs as a test.
    pub is_fixture: bool,
    pub settings: Vec<Setting>,
    /// The group that it belongs to when all tests run.
    pub group: &'e Group,
    pub record: Option<Record>,
    pub last_result: Option<&'static str>,
    pub learnt: Vec<LearntLock>,
    pub fixtures: Vec<Fixture>,
}

/// A thing outside of the process that earlier runs have seen the test use, as others did.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LearntLock {
    pub thing: String,
    pub only_reads: bool,
    /// Whether a test has failed because of it.
    pub proven: bool,
    /// The other tests, or whole binaries, that take the lock.
    pub with: Vec<String>,
}

#[derive(Serialize)]
pub struct Fixture {
    pub name: String,
    /// Where it is defined.
    pub place: Option<String>,
}

impl Explanation<'_> {
    pub fn shown(&self, view: View<'_>) -> String {
        match view.settings.format {
            MessageFormat::Json => self.json(view),
            _ => self.human(view),
        }
    }

    /// Why a run without filters does not run it.
    fn left_out(&self) -> Option<&'static str> {
        match self.choice {
            _ if self.is_fixture => Some("it is a fixture of other tests"),
            Choice::LeaveOut => Some("`default-filter` or a flag leaves it out"),
            Choice::Ignore => Some("#[ignore]"),
            Choice::Run => None,
        }
    }

    fn process(&self) -> &'static str {
        match self.group.isolation {
            Isolation::Unit => "one process for all of them",
            Isolation::Split => "in batches, which the plan sizes",
            Isolation::PerTest => "a process for each of them",
        }
    }

    fn human(&self, view: View<'_>) -> String {
        let paint = Paint(view.settings.color.stdout);
        let binary = &view.inventory.listings[self.test.listing].binary;
        let mut text = format!("{}\n", view.painted_id(self.test, paint));
        line(&mut text, "test of", &binary.full_name().to_string());
        match self.left_out() {
            Some(why) => line(&mut text, "runs", &format!("not by default: {why}")),
            None => line(&mut text, "runs", "by default"),
        }
        self.push_group(&mut text, view, paint);
        self.push_settings(&mut text, paint);
        if !self.fixtures.is_empty() {
            heading(&mut text, paint, "fixtures, in the order in which they start");
            for Fixture { name, place } in &self.fixtures {
                line(&mut text, name, place.as_deref().unwrap_or_default());
            }
        }
        heading(&mut text, paint, "earlier runs");
        line(&mut text, "last result", self.last_result.unwrap_or("none: it has not run here"));
        if let Some(record) = self.record {
            let takes = match record.took {
                took if took < NOTICEABLE => format!("less than {}", brief(NOTICEABLE)),
                took => format!("about {}", brief(took)),
            };
            line(&mut text, "takes", &takes);
        }
        if let Some(load) = self.record.and_then(|record| record.load) {
            line(&mut text, "uses", &format!("{:.0} % of a core", load * 100.0));
        }
        if !self.learnt.is_empty() {
            heading(&mut text, paint, "learnt locks");
            self.learnt.iter().for_each(|lock| push_lock(&mut text, lock));
        }
        paint.printable(&text)
    }

    fn push_group(&self, text: &mut String, view: View<'_>, paint: Paint) {
        heading(text, paint, "process, when all tests run");
        let Group { node, tests, why, .. } = self.group;
        let (tests_in_it, form) = (count(tests.len(), "test"), form(self.group));
        let why = paint.faint(&format!("[{why}]"));
        line(text, form, &format!("{node}: {tests_in_it}, {}  {why}", self.process()));
        let asks = asks(self.group);
        if !asks.is_empty() {
            line(text, "needs", &asks.join(", "));
        }
        if self.group.isolation == Isolation::PerTest {
            return;
        }
        /// As many as are read at a glance.
        const SHOWN: usize = 8;
        let others: Vec<String> = self.others(view).collect();
        let shown = match view.settings.verbosity {
            Verbosity::Verbose => others.len(),
            _ => SHOWN,
        };
        for (at, id) in others.iter().take(shown).enumerate() {
            line(text, if at == 0 { "beside" } else { "" }, id);
        }
        if others.len() > shown {
            line(text, "", &format!("… and {} more (-v shows all)", others.len() - shown));
        }
    }

    /// The tests that may share a process with it.
    fn others<'v>(&'v self, view: View<'v>) -> impl Iterator<Item = String> + 'v {
        let others = self.group.tests.iter().filter(|other| other.id != self.test);
        others.map(move |other| view.id(other.id))
    }

    fn push_settings(&self, text: &mut String, paint: Paint) {
        heading(text, paint, "settings");
        let width = |of: fn(&Setting) -> &str| {
            self.settings.iter().map(|setting| of(setting).chars().count()).max().unwrap_or(0)
        };
        let (keys, values) = (width(|setting| &setting.key), width(|setting| &setting.value));
        for Setting { key, value, origin, node } in &self.settings {
            let origin = match node {
                Some(node) => format!("{origin} \"{node}\""),
                None => origin.clone(),
            };
            _ = writeln!(text, "  {key:<keys$}  {value:<values$}  {}", paint.faint(&origin));
        }
    }

    fn json(&self, view: View<'_>) -> String {
        let listing = &view.inventory.listings[self.test.listing];
        let (binary, test) = (&listing.binary, &listing.tests[self.test.test]);
        let settings = self.settings.iter().map(|setting| SettingLine {
            key: &setting.key,
            value: &setting.value,
            origin: &setting.origin,
            node: setting.node.as_deref(),
        });
        json_line(&Line {
            event: "explained",
            id: binary.id(&test.name),
            package: &binary.package_name,
            binary: &binary.name,
            kind: binary.kind,
            name: &test.name,
            ignored: test.is_ignored,
            left_out: self.left_out(),
            policy: form(self.group),
            node: &self.group.node,
            why: &self.group.why,
            beside: match self.group.isolation {
                Isolation::PerTest => Vec::new(),
                _ => self.others(view).collect(),
            },
            settings: settings.collect(),
            fixtures: &self.fixtures,
            last_result: self.last_result,
            seconds: self.record.map(|record| micros(record.took)),
            load: self.record.and_then(|record| record.load),
            learnt_locks: &self.learnt,
        })
    }
}

fn micros(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e6
}

fn heading(text: &mut String, paint: Paint, heading: &str) {
    _ = writeln!(text, "\n{}", paint.strong(heading));
}

fn line(text: &mut String, word: &str, value: &str) {
    _ = writeln!(text, "  {word:<11}  {value}");
}

fn push_lock(text: &mut String, lock: &LearntLock) {
    let how = if lock.only_reads { "reads" } else { "uses" };
    let why = if lock.proven { "; a test has failed because of it" } else { "" };
    let with = match lock.with.as_slice() {
        [] => String::new(),
        with => format!(", not beside {}", with.join(", ")),
    };
    line(text, how, &format!("{}{with}{why}", lock.thing));
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'l> {
    event: &'static str,
    id: String,
    package: &'l str,
    binary: &'l str,
    kind: &'l str,
    name: &'l str,
    ignored: bool,
    left_out: Option<&'l str>,
    policy: &'l str,
    node: &'l str,
    why: &'l str,
    beside: Vec<String>,
    settings: Vec<SettingLine<'l>>,
    fixtures: &'l [Fixture],
    last_result: Option<&'l str>,
    seconds: Option<f64>,
    load: Option<f64>,
    learnt_locks: &'l [LearntLock],
}

#[derive(Serialize)]
struct SettingLine<'l> {
    key: &'l str,
    value: &'l str,
    origin: &'l str,
    node: Option<&'l str>,
}
