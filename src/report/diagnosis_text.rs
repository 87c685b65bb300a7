//! The wording of what `doctor` has found.

use std::collections::BTreeSet;
use std::path::Path;

use super::messages::{count, list};
use super::sharing_messages;
use super::text::Paint;
use super::view::View;
use crate::model::diagnosis::{
    Dependence, Diagnosis, ModuleLeaks, Phase, PhaseResult, SharedFixture, Suggestion,
};
use crate::model::duration::{brief, written};
use crate::model::interference::SharedThing;
use crate::model::test::TestId;
use crate::model::toml_string::toml_string;

pub fn phase(phase: Phase) -> String {
    match phase {
        Phase::Declared => "all tests as declared".to_owned(),
        Phase::Alone => "each test in a process of its own".to_owned(),
        Phase::Together => "all tests of a binary in one process".to_owned(),
        Phase::Beside => "several tests of a process at a time".to_owned(),
        Phase::Shuffled(seed) => {
            format!("all tests of a binary in one process, shuffled with seed {seed}")
        }
        Phase::Proof => "all tests with the suggestions".to_owned(),
    }
}

/// `all tests as declared: 12 passed, 1 failed`
pub fn ran(result: &PhaseResult, paint: Paint) -> String {
    let passed = format!("{} passed", result.tests.saturating_sub(result.failed));
    let failed = match result.failed {
        0 => String::new(),
        failed => format!(", {}", paint.bad(&format!("{failed} failed"))),
    };
    let rest = if result.is_complete { "" } else { ", until the budget was spent" };
    format!("{}: {passed}{failed}{rest}", phase(result.phase))
}

/// The dependences in the order of every report.
pub fn sorted<'d>(found: &'d Diagnosis, view: &View<'_>) -> Vec<(TestId, &'d Dependence)> {
    let mut all: Vec<_> = found.dependences.iter().map(|(test, of)| (*test, of)).collect();
    all.sort_by(|(one, _), (other, _)| view.compare(*one, *other));
    all
}

/// The users of a thing in the order of every report.
pub fn users(shared: &SharedThing, view: &View<'_>) -> Vec<String> {
    let mut users: Vec<_> = shared.users.iter().collect();
    users.sort_by(|one, other| view.compare(one.test, other.test));
    users.into_iter().map(|user| view.user(user)).collect()
}

/// All that was found, some lines.
pub fn diagnosis(found: &Diagnosis, has_written: bool, view: &View<'_>, paint: Paint) -> String {
    let mut about = Vec::new();
    for (test, dependence) in sorted(found, view) {
        about.extend(self::dependence(test, dependence, view, paint));
    }
    for shared in &found.shared {
        about.push(sharing_messages::would_break(&users(shared, view), shared));
    }
    let mut summary = Vec::new();
    if !found.splittable.is_empty() {
        let units = list(&found.splittable);
        summary.push(format!("could be split, but would hardly be faster: {units}"));
    }
    let is_faster = found.suggestions.iter().any(|suggestion| suggestion.gain.is_some());
    let is_all = !found.is_cut_short && !found.is_interrupted;
    let is_faster = is_faster || !found.shared_fixtures.is_empty();
    if found.splittable.is_empty() && !is_faster && is_all {
        summary.push("no policy change would make the suite faster".to_owned());
    }
    summary.extend(left_out(found));
    let runs = count(found.runs, "run");
    let (tests, took) = (count(found.tests, "test"), brief(found.took));
    summary.push(match dependent(found) {
        0 => format!("{tests}: none is known to depend on others, in {runs}, {took}"),
        1 => format!("{tests}: 1 fails or depends on others, found in {runs}, {took}"),
        more => format!("{tests}: {more} fail or depend on others, found in {runs}, {took}"),
    });
    let suggested = suggestions(found, has_written, view, paint);
    let fixtures = found.shared_fixtures.iter().flat_map(shared_fixture).collect();
    let sections = [about, suggested, fixtures, leaks(&found.leaks), summary].into_iter();
    let texts = sections.filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n");
    texts.collect::<Vec<_>>().join("\n")
}

/// How many tests fail, or depend on others.
fn dependent(found: &Diagnosis) -> usize {
    let of_shared = found.shared.iter().flat_map(|shared| &shared.users).map(|user| user.test);
    let all = found.dependences.iter().map(|(test, _)| *test).chain(of_shared);
    all.collect::<BTreeSet<_>>().len()
}

fn dependence(test: TestId, of: &Dependence, view: &View<'_>, paint: Paint) -> Vec<String> {
    let id = view.painted_id(test, paint);
    let what = match of {
        Dependence::Broken { .. } => "fails however it is run",
        Dependence::Brittle { .. } => "fails alone, and passes with others (brittle)",
        Dependence::Victim { .. } => "passes alone, and fails after others (victim)",
        Dependence::Race { .. } => "passes alone, and fails while others run (race)",
        Dependence::Flaky { .. } => {
            "fails at times, and passes when it runs in the same way (flaky)"
        }
        Dependence::Unknown { .. } => "fails; the time budget ran out before it could run alone",
    };
    let mut lines = vec![format!("{id} {what}")];
    lines.extend(of.reason().map(|reason| format!("  {reason}")));
    match (of, of.others()) {
        (_, Some(set)) => {
            let word = match of {
                Dependence::Brittle { .. } => "relies on",
                Dependence::Race { .. } => "beside",
                _ => "after",
            };
            lines.extend(set.others.iter().map(|other| match &other.thing {
                Some(thing) => format!("  {word} {} (through {thing})", view.shown_id(other.test)),
                None => format!("  {word} {}", view.shown_id(other.test)),
            }));
            if !set.is_smallest {
                lines.push("  fewer of them may be enough".to_owned());
            }
        }
        (Dependence::Race { met: Some(found), .. }, None) => {
            let (other, thing) = (view.interferer(found), found.thing.to_string());
            let why = sharing_messages::interference(&other, &thing, found.kind);
            lines.push(format!("  {why}"));
        }
        (
            Dependence::Broken { .. } | Dependence::Flaky { .. } | Dependence::Unknown { .. },
            None,
        ) => {}
        (_, None) => lines.push("  could not find out with which tests".to_owned()),
    }
    if of.is_kept_apart() {
        lines.push("  its policy keeps it apart from them: nothing to declare".to_owned());
    }
    lines
}

/// The lines for each manifest, with what speaks for them.
fn suggestions(found: &Diagnosis, has_written: bool, view: &View<'_>, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut above: Option<&Path> = None;
    for suggestion in &found.suggestions {
        let manifest = suggestion.manifest.as_path();
        if above != Some(manifest) {
            let shown = manifest.strip_prefix(view.root).unwrap_or(manifest).display();
            let of = "below [package.metadata.partest.modules]";
            lines.push(match found.written.iter().any(|path| path == manifest) {
                true => paint.strong(&format!("written to {shown}, {of}:")),
                false => paint.strong(&format!("for {shown}, {of}:")),
            });
            above = Some(manifest);
        }
        lines.push(line(suggestion, has_written));
    }
    if !found.suggestions.is_empty() && !has_written {
        lines.push("  --write puts them there".to_owned());
    }
    lines
}

/// `"web::db" = "split" # 1.20 s → 0.60 s by the plan; passed 2 runs`
fn line(suggestion: &Suggestion, has_written: bool) -> String {
    let Suggestion { node, line, proven, gain, .. } = suggestion;
    let gain = match gain {
        Some((before, after)) => format!("{} → {} by the plan, ", brief(*before), brief(*after)),
        None => String::new(),
    };
    let proof = match proven {
        0 if has_written => "not tried, so not written".to_owned(),
        0 => "not tried".to_owned(),
        runs => format!("passed in {}", count(*runs, "run")),
    };
    format!("    {} = {line}  # {gain}{proof}", toml_string(node))
}

/// No line helps: somebody has to write the fixture.
fn shared_fixture(found: &SharedFixture) -> [String; 2] {
    let SharedFixture { node, statics, cost, gain: (before, after) } = found;
    let (cost, before, after) = (brief(*cost), brief(*before), brief(*after));
    [
        format!("{node} sets up {} in {cost}, in each process", list(statics)),
        format!(
            "  if it can serve several processes: policy = \"shared\" and a fixture, \
             {before} → {after} by the plan"
        ),
    ]
}

/// What modules leave behind, and what keeps it from becoming more.
fn leaks(found: &[ModuleLeaks]) -> Vec<String> {
    let line = |of: &ModuleLeaks| {
        let kinds = [(of.threads, "thread"), (of.processes, "process"), (of.panics, "panic")];
        let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
        let kinds: Vec<String> = kinds.map(|(number, kind)| count(number, kind)).collect();
        format!("leaks of {} in {}: {}", of.module, count(of.tests, "test"), list(&kinds))
    };
    let mut lines: Vec<String> = found.iter().map(line).collect();
    if !lines.is_empty() {
        lines.push(
            "  to deny new ones: cargo partest --write-baseline, and leaks = \"deny\" below \
             [package.metadata.partest]"
                .to_owned(),
        );
    }
    lines
}

/// What did not fit, or was not reached.
fn left_out(found: &Diagnosis) -> Vec<String> {
    let mut lines = Vec::new();
    if found.is_interrupted {
        lines.push("interrupted: what is known so far".to_owned());
    } else if found.is_cut_short {
        let budget = written(found.budget);
        lines.push(format!(
            "the budget of {budget} was not enough: what is above is incomplete; --budget gives more"
        ));
    } else {
        return lines;
    }
    lines.extend(found.not_run.iter().map(|missing| format!("  not run: {}", phase(*missing))));
    lines
}
