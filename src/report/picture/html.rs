//! The run as a page: one file that needs nothing else, and says all that matters without its
//! script.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use super::bound::{Bound, Indivisible, Piece};
use super::failures::{self, Failures};
use super::lanes::Lanes;
use super::markup::escaped;
use super::page_data::PageData;
use super::static_lanes;
use super::timeline::Timeline;
use crate::model::duration::brief;
use crate::model::event::Event;
use crate::model::outcome::{OUTCOMES, Outcome};
use crate::model::summary::Summary;
use crate::model::test::TestId;
use crate::report::document::Document;
use crate::report::messages::count;
use crate::report::view::View;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: [&str; 4] = [
    include_str!("page/data.js"),
    include_str!("page/lanes.js"),
    include_str!("page/list.js"),
    include_str!("page/page.js"),
];

/// The run as a page.
pub struct Html<'r> {
    view: View<'r>,
    timeline: Timeline,
    failures: Failures,
}

impl<'r> Html<'r> {
    pub fn new(view: View<'r>) -> Html<'r> {
        Html { view, timeline: Timeline::default(), failures: Failures::default() }
    }
}

impl Document for Html<'_> {
    fn take(&mut self, event: &Event) {
        self.timeline.take(event);
        self.failures.take(event);
    }

    fn write(&mut self, summary: &Summary, file: &mut dyn Write) -> io::Result<()> {
        let (view, timeline) = (&self.view, &self.timeline);
        let lanes = Lanes::of(timeline);
        let bound = Bound::of(timeline, &lanes);
        let last = timeline.runs.iter().filter(|run| run.is_last);
        let mut tests: Vec<TestId> = last.map(|run| run.test).collect();
        tests.sort_by(|one, other| view.compare(*one, *other));
        let indices: HashMap<TestId, usize> =
            tests.iter().enumerate().map(|(at, test)| (*test, at)).collect();
        let index = |test| indices.get(&test).copied().unwrap_or_default();
        let has_failures = !self.failures.is_empty();
        for part in TEMPLATE.split("{{") {
            let Some((name, rest)) = part.split_once("}}") else {
                file.write_all(part.as_bytes())?;
                continue;
            };
            let markup = match name {
                "style" => STYLE.to_owned(),
                "script" => SCRIPT.concat(),
                "data" => PageData::new(view, timeline, &lanes, bound.as_ref(), &tests).markup()?,
                "title" => escaped(&title(view, summary)),
                "verdict" => verdict(summary, self.failures.count_leaks()),
                "facts" => escaped(&facts(summary)),
                "bound" => bound.as_ref().map(|bound| told(view, bound)).unwrap_or_default(),
                "failures" if has_failures => {
                    section("failures", "Failures", &self.failures.markup(view, index))
                }
                "leaks" => match self.failures.leaks_markup(view) {
                    leaks if leaks.is_empty() => leaks,
                    leaks => section("leaks", "Left behind", &leaks),
                },
                "lanes" => static_lanes::svg(view, timeline, &lanes),
                "table" => failures::table(view, timeline),
                "version" => env!("CARGO_PKG_VERSION").to_owned(),
                _ => String::new(),
            };
            file.write_all(markup.as_bytes())?;
            file.write_all(rest.as_bytes())?;
        }
        Ok(())
    }
}

fn section(id: &str, heading: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-heading\">\n\
         <h2 id=\"{id}-heading\">{heading}</h2>\n{content}</section>\n"
    )
}

/// `3 failed – shop`
fn title(view: &View<'_>, summary: &Summary) -> String {
    let word = match bad(summary) {
        0 if summary.interrupted => "interrupted".to_owned(),
        0 if !summary.is_success() => "failed".to_owned(),
        0 if summary.total() == 0 => "no tests".to_owned(),
        0 => format!("{} passed", summary.count(Outcome::Passed)),
        bad => format!("{bad} failed"),
    };
    let root = view.root.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("{word} – {}", root.unwrap_or_default())
}

fn bad(summary: &Summary) -> usize {
    let bad = OUTCOMES.iter().filter(|outcome| !outcome.is_success());
    bad.map(|outcome| summary.count(*outcome)).sum()
}

/// The counts, those that matter most first.
fn verdict(summary: &Summary, (leaks, denied_leaks): (usize, usize)) -> String {
    let outcomes = OUTCOMES.iter().filter(|outcome| **outcome != Outcome::Passed);
    let order = outcomes.filter(|outcome| **outcome != Outcome::Ignored);
    let order = order.chain(&[Outcome::Passed, Outcome::Ignored]);
    let counts = order.map(|outcome| (summary.count(*outcome), outcome.as_str()));
    let others = [
        (summary.flaky, "flaky"),
        (summary.order_dependent, "order-dependent"),
        (summary.interfered, "interfered-with"),
        (leaks, if leaks == 1 { "leak" } else { "leaks" }),
        (denied_leaks, "denied"),
        (summary.list_failures, "not-listed"),
        (summary.not_run, "not-run"),
        (summary.failed_fixtures, "failed fixtures"),
    ];
    let shown = counts.chain(others).filter(|(number, _)| *number > 0);
    let mut markup: Vec<String> = shown
        .map(|(number, word)| {
            let text = word.replace('-', " ");
            format!("<span class=\"count {word}\"><b>{}</b> {text}</span>", grouped(number))
        })
        .collect();
    if summary.interrupted || summary.timed_out {
        let word = if summary.timed_out { "the run timed out" } else { "interrupted" };
        markup.insert(0, format!("<span class=\"count failed\"><b>{word}</b></span>"));
    }
    if markup.is_empty() {
        markup.push("<span class=\"count\">no tests ran</span>".to_owned());
    }
    markup.join(" ")
}

/// `20 000`, with a narrow space that does not break.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn facts(summary: &Summary) -> String {
    let Summary { took, binaries, workers, slots, .. } = summary;
    let workers = usize::try_from(*workers).unwrap_or(usize::MAX);
    let busy = match summary.fill {
        // Not told by other machines.
        0.0 => String::new(),
        fill => format!(", {:.0} % busy", fill * 100.0),
    };
    format!(
        "{} in {}, {} in {}{busy}",
        brief(*took),
        count(*slots, "slot"),
        count(workers, "process"),
        count(*binaries, "binary"),
    )
}

/// What the run could have taken at least, and how to come nearer.
fn told(view: &View<'_>, bound: &Bound) -> String {
    let (took, shortest) = (bound.tests.length(), bound.shortest());
    let mut told = format!(
        "<p>The tests took <b>{}</b>. With {} they could not be done in less than <b>{}</b>: {}.</p>\n",
        brief(took),
        escaped(&count(bound.slots, "slot")),
        brief(shortest),
        why(view, bound),
    );
    if let Some((Piece { what: Indivisible::Unit { node, .. }, .. }, then)) =
        bound.worth_splitting()
    {
        told.push_str(&format!(
            "<p>If its tests do not need one process, this lets them have several, and the run \
             could be done in {}:</p>\n<pre class=\"advice\">[package.metadata.partest.modules]\n\
             &quot;{}&quot; = {{ policy = &quot;split&quot; }}</pre>\n",
            brief(then),
            escaped(node)
        ));
    }
    let longest = bound.pieces.first().map(|piece| piece.took).unwrap_or_default();
    let scale = bound.share().max(longest).as_secs_f64().max(f64::EPSILON);
    let percent = |took: Duration| took.as_secs_f64() / scale * 100.0;
    told.push_str("<ul class=\"pieces\">\n");
    let share = format!("all tests, shared by {}", count(bound.slots, "slot"));
    told.push_str(&piece("share", &escaped(&share), percent(bound.share()), bound.share()));
    for Piece { what, took } in &bound.pieces {
        let name = match what {
            Indivisible::Unit { node, tests, .. } => {
                format!("<code>{}</code>, {}", escaped(node), count(*tests, "test"))
            }
            Indivisible::Test(test) => format!("<code>{}</code>", escaped(&view.id(*test))),
        };
        told.push_str(&piece("piece", &name, percent(*took), *took));
    }
    told.push_str("</ul>\n");
    told
}

fn piece(class: &str, name: &str, percent: f64, took: Duration) -> String {
    format!(
        "<li class=\"{class}\"><span class=\"name\">{name}</span>\
         <span class=\"bar\"><span style=\"width:{percent:.1}%\"></span></span>\
         <span class=\"took\">{}</span></li>\n",
        brief(took)
    )
}

fn why(view: &View<'_>, bound: &Bound) -> String {
    let longest = bound.pieces.first().filter(|piece| piece.took > bound.share());
    match longest.map(|piece| &piece.what) {
        None => format!("together they are {} of work", brief(bound.work)),
        Some(Indivisible::Test(test)) => {
            format!("<code>{}</code> alone takes that long", escaped(&view.id(*test)))
        }
        Some(Indivisible::Unit { node, tests, .. }) => format!(
            "the {} of <code>{}</code> run in one process",
            count(*tests, "test"),
            escaped(node)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The color of a variable in the page's style, in the light or the dark scheme.
    fn color(name: &str, is_dark: bool) -> [f64; 3] {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let part = if is_dark { dark } else { light };
        let value = part.split_once(&format!("--{name}: #")).unwrap().1.get(..6).unwrap();
        let part = |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap());
        [0, 2, 4].map(|at| part(at) / 255.0)
    }

    /// As WCAG 2 counts it.
    fn contrast(one: &str, other: &str, is_dark: bool) -> f64 {
        let luminance = |name| {
            let linear = color(name, is_dark).map(|part| match part {
                part if part <= 0.04045 => part / 12.92,
                part => ((part + 0.055) / 1.055_f64).powf(2.4),
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn all_text_can_be_read_in_both_schemes() {
        let on_sheets = ["ink", "soft", "bad", "flaky-text", "leak", "removed", "added"];
        let on_sheets = on_sheets.map(|text| ["paper", "sheet", "band"].map(|sheet| (text, sheet)));
        let on_bars = [
            ("on-pass", "pass-1"),
            ("on-pass", "pass-2"),
            ("on-pass", "pass-3"),
            ("on-bad", "bad"),
            ("on-flaky", "flaky"),
            ("on-fixture", "fixture"),
            ("on-build", "build"),
        ];
        for (text, sheet) in on_sheets.concat().into_iter().chain(on_bars) {
            for is_dark in [false, true] {
                let contrast = contrast(text, sheet, is_dark);
                assert!(contrast >= 4.5, "{text} on {sheet}, dark: {is_dark}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        let numbers = [0, 999, 1000, 20_000, 1_234_567].map(grouped);
        assert_eq!(
            numbers.map(|it| it.replace('\u{202f}', " ")),
            ["0", "999", "1 000", "20 000", "1 234 567"]
        );
    }
}
