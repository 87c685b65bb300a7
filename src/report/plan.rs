//! The output of `cargo partest list` and `cargo partest plan`.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::messages::{bottleneck, count, list as list_of};
use super::shard::{self, ShardLine};
use crate::cli::output_args::MessageFormat;
use crate::config::keys::Threads;
use crate::config::policy::FixtureName;
use crate::discovery::filter::Choice;
use crate::discovery::listing::Listing;
use crate::discovery::test_list::Dispatch;
use crate::model::bottleneck::Bottleneck;
use crate::model::duration::seconds;
use crate::model::json_line::json_line;
use crate::model::shard::ShardPlan;
use crate::model::test::TestId;
use crate::plan::group::{Group, GroupTest, Isolation, Recycling};
use crate::plan::occupancy::Occupancy;
use crate::plan::schedule::Plan;
use crate::plan::simulate::{Step, simulate};
use crate::report::text::Paint;
use crate::report::view::View;
use crate::sharing::lock;

/// One selected test per line, ignored ones marked; or one JSON object per line.
pub fn list(view: View<'_>, choices: &[Vec<Choice>]) -> String {
    let mut text = String::new();
    for (index, listing) in view.inventory.listings.iter().enumerate() {
        for (test, choice) in choices[index].iter().enumerate() {
            if *choice != Choice::LeaveOut {
                text.push_str(&match view.settings.format {
                    MessageFormat::Json => json_test(listing, test),
                    _ => human_test(view, listing, index, test),
                });
            }
        }
    }
    text
}

fn human_test(view: View<'_>, listing: &Listing, index: usize, test: usize) -> String {
    let mark = if listing.tests[test].is_ignored { " (ignored)" } else { "" };
    format!("{}{mark}\n", view.shown_id(TestId { listing: index, test }))
}

#[derive(Serialize)]
struct ListedLine<'l> {
    event: &'static str,
    id: String,
    package: &'l str,
    binary: &'l str,
    kind: &'l str,
    name: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    ignored: bool,
}

fn json_test(listing: &Listing, test: usize) -> String {
    let place = listing.place(test);
    let (binary, test) = (&listing.binary, &listing.tests[test]);
    json_line(&ListedLine {
        event: "listed",
        id: binary.id(&test.name),
        package: &binary.package_name,
        binary: &binary.name,
        kind: binary.kind,
        name: &test.name,
        place,
        ignored: test.is_ignored,
    })
}

/// The groups with the origin of their policy, then the batches in their expected order.
pub fn plan(
    view: View<'_>,
    plan: Plan,
    slots: usize,
    fixtures: &[FixtureName],
    shard: Option<&ShardPlan>,
) -> String {
    let groups: Vec<Group> = plan.groups().cloned().collect();
    let steps = simulate(plan);
    let mut text = match view.settings.format {
        MessageFormat::Json => json_plan(view, &groups, &steps, fixtures),
        _ => human_plan(view, &groups, &steps, slots, fixtures),
    };
    if let Some(shard) = shard {
        push_shard(&mut text, view, shard);
    }
    match view.settings.format {
        MessageFormat::Json => text,
        _ => Paint(view.settings.color.stdout).printable(&text),
    }
}

fn push_shard(text: &mut String, view: View<'_>, plan: &ShardPlan) {
    if view.settings.format == MessageFormat::Json {
        let event = ShardEvent { event: "shard", shard: shard::line(plan, &view) };
        return text.push_str(&json_line(&event));
    }
    push_line(text, &format!("shard {}", shard::summary(plan)));
    if let Some(unit) = &plan.unbalanced {
        push_line(text, &shard::unbalanced(unit));
    }
}

#[derive(Serialize)]
struct ShardEvent<'l> {
    event: &'static str,
    #[serde(flatten)]
    shard: ShardLine<'l>,
}

fn human_plan(
    view: View<'_>,
    groups: &[Group],
    steps: &[Step],
    slots: usize,
    fixtures: &[FixtureName],
) -> String {
    let paint = Paint(view.settings.color.stdout);
    let mut text = String::new();
    for (index, listing) in view.inventory.listings.iter().enumerate() {
        let own: Vec<&Group> = groups.iter().filter(|group| group.listing == index).collect();
        if own.is_empty() {
            continue;
        }
        text.push_str(&heading(paint, listing, &own));
        let labels: Vec<String> = own.iter().map(|group| label(listing, group, &own)).collect();
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        for (group, label) in own.iter().zip(&labels) {
            text.push_str(&group_line(paint, group, label, fixtures, width));
        }
    }
    text.push_str(&batches(view, groups, steps));
    if let Some((found, total)) = expected_bottleneck(view, groups, steps, slots) {
        push_line(&mut text, &format!("\n{}", bottleneck(&found, "takes about", total)));
    }
    text.push_str(&totals(groups, steps, slots));
    text
}

/// What would hold up a run, by the durations that are known, and how long that would take.
fn expected_bottleneck(
    view: View<'_>,
    groups: &[Group],
    steps: &[Step],
    slots: usize,
) -> Option<(Bottleneck, Duration)> {
    /// What is left to gain where slots are busier than that is not worth a line.
    const MOST: f64 = 0.85;
    let tests = || groups.iter().flat_map(|group| &group.tests);
    let mut occupancy = Occupancy::default();
    for test in tests() {
        occupancy.note_test(test.expected?, || view.id(test.id));
    }
    for step in steps {
        occupancy.note_batch(&groups[step.batch.group], step.ends.saturating_sub(step.starts));
    }
    let total = steps.iter().map(|step| step.ends).max()?;
    let work: Duration = tests().filter_map(|test| test.expected).sum();
    let is_idle = work.as_secs_f64() < MOST * total.as_secs_f64() * slots as f64;
    let found = occupancy.bottleneck(total).filter(|_| is_idle)?;
    Some((found, total))
}

fn heading(paint: Paint, listing: &Listing, groups: &[&Group]) -> String {
    let binary = &listing.binary;
    let how = match listing.dispatch {
        Dispatch::Batches => "",
        Dispatch::LoggedBatches | Dispatch::MimicBatches => {
            let units = groups.iter().filter(|group| group.can_thread()).count();
            match units {
                0 => ", one test after another in each process: its harness is its own",
                all if all == groups.len() => ", in threads of its own harness",
                _ => {
                    ", one test after another in each process but a unit's: its harness is its own"
                }
            }
        }
        Dispatch::OneByOne => ", a process for each test: its harness is its own",
        Dispatch::Doctests => ", compiled and run by rustdoc",
        Dispatch::Whole => ", runs as one test: its harness takes no arguments",
        Dispatch::Unlisted => {
            ", runs as one test: its harness does not list and choose tests as libtest does"
        }
    };
    format!("{} ({} of {}{how})\n", paint.strong(&binary.name), binary.kind, binary.package_name)
}

/// The node of a group, with the modules of its tests where another group has that node too.
fn label(listing: &Listing, group: &Group, all: &[&Group]) -> String {
    if all.iter().filter(|other| other.node == group.node).count() < 2 {
        return group.node.clone();
    }
    let name = |test: &GroupTest| listing.tests[test.id.test].name.as_str();
    let mut modules: Vec<&str> = group.tests.iter().map(name).collect();
    for module in &mut modules {
        // A test without a module stands for itself.
        *module = module.rsplit_once("::").map_or(*module, |(module, _)| module);
    }
    modules.sort_unstable();
    modules.dedup();
    let modules: Vec<String> = modules.into_iter().map(str::to_owned).collect();
    format!("{} ({})", group.node, list_of(&modules))
}

fn group_line(
    paint: Paint,
    group: &Group,
    label: &str,
    fixtures: &[FixtureName],
    width: usize,
) -> String {
    let form = form(group);
    let tests = count(group.tests.len(), "test");
    let mut asks = asks(group);
    let needed = fixtures_of(group, fixtures);
    if !needed.is_empty() {
        asks.insert(0, format!("with {}", needed.join(" ")));
    }
    let asks = if asks.is_empty() { String::new() } else { format!(", {}", asks.join(", ")) };
    let why = paint.faint(&format!("[{}]", group.why));
    format!("  {form:<8}  {:<width$}  {tests:>9}{asks}  {why}\n", label)
}

pub(super) fn form(group: &Group) -> &'static str {
    match group.isolation {
        Isolation::Unit => "unit",
        Isolation::PerTest => "isolated",
        Isolation::Split if !group.fixtures.is_empty() => "shared",
        Isolation::Split => "split",
    }
}

/// The names of the fixtures that a group needs, in starting order.
fn fixtures_of<'f>(group: &Group, fixtures: &'f [FixtureName]) -> Vec<&'f str> {
    let needs = group.fixtures.iter().flatten();
    needs.map(|need| fixtures[need.fixture].name.as_str()).collect()
}

/// The settings of a group that differ from the defaults.
pub(super) fn asks(group: &Group) -> Vec<String> {
    let mut asks = Vec::new();
    if let Threads::Exactly(threads) = group.threads {
        asks.push(count(threads, "thread"));
    }
    if let Some(most) = group.at_once {
        asks.push(format!("{} of the binary at once: RUST_TEST_THREADS", count(most, "test")));
    }
    if group.slots > 1 {
        asks.push(count(group.slots, "slot"));
    }
    asks_for_locks(group, &mut asks);
    if let Some(bytes) = group.memory {
        asks.push(format!("memory {} MiB", bytes >> 20));
    }
    if group.exclusive {
        asks.push("alone on the machine".into());
    }
    let Recycling { after, on_failure, on_leak } = group.recycling;
    let when = [
        after.map(|tests| count(tests, "test")),
        on_failure.then(|| "a failure".into()),
        on_leak.then(|| "a leak".into()),
    ];
    let when: Vec<String> = when.into_iter().flatten().collect();
    if !when.is_empty() {
        asks.push(format!("fresh process after {}", when.join(" or ")));
    }
    let timeouts = group.tests.iter().filter_map(|test| test.timeout);
    if let Some(timeout) = timeouts.min() {
        asks.push(format!("timeout {} s", seconds(timeout)));
    }
    if !group.env.is_empty() {
        let names: Vec<&str> = group.env.keys().map(String::as_str).collect();
        asks.push(format!("env {}", names.join(" ")));
    }
    asks
}

/// Declared locks by their names, learnt ones by the things that they stand for.
fn asks_for_locks(group: &Group, asks: &mut Vec<String>) {
    let sides = [("reads", &group.locks.read), ("locks", &group.locks.write)];
    for (word, names) in sides {
        let declared = names.iter().filter(|name| lock::thing_of(name).is_none());
        let declared: Vec<&str> = declared.map(String::as_str).collect();
        if !declared.is_empty() {
            asks.push(format!("{word} {}", declared.join(" ")));
        }
        let things = names.iter().filter_map(|name| lock::thing_of(name));
        asks.extend(things.map(|thing| format!("{word} {thing} (learnt)")));
    }
}

/// Batches shown without `-v`: as many as fit beside the groups on a screen.
const SHOWN: usize = 20;

fn batches(view: View<'_>, groups: &[Group], steps: &[Step]) -> String {
    let is_verbose = view.settings.verbosity == crate::cli::settings::Verbosity::Verbose;
    let shown = if is_verbose { steps.len() } else { SHOWN };
    let mut text = String::from("\nbatches, in the order in which they would start:\n");
    for step in steps.iter().take(shown) {
        let batch = &step.batch;
        let what = match batch.tests.as_slice() {
            [only] => view.shown_id(*only),
            tests => format!("{} {}", groups[batch.group].node, count(tests.len(), "test")),
        };
        let threads = match batch.threads {
            1 => String::new(),
            threads => format!(", {}", count(threads, "thread")),
        };
        let slot = batch.slots.first().copied().unwrap_or(0);
        push_line(&mut text, &format!("{:>4}  slot {slot}  {what}{threads}", batch.id + 1));
    }
    if steps.len() > shown {
        push_line(&mut text, &format!("      … and {} more (-v shows all)", steps.len() - shown));
    }
    text
}

fn totals(groups: &[Group], steps: &[Step], slots: usize) -> String {
    let tests: usize = groups.iter().map(|group| group.tests.len()).sum();
    let known = groups.iter().flat_map(|g| &g.tests).filter(|test| test.expected.is_some()).count();
    let mut text = format!(
        "\n{} in {} over {}",
        count(tests, "test"),
        count(steps.len(), "process"),
        count(slots, "slot")
    );
    let used: std::collections::BTreeSet<usize> =
        steps.iter().flat_map(|step| step.batch.slots.iter().copied()).collect();
    if used.len() < slots && !steps.is_empty() {
        let _ = write!(text, "; only {} can be used", count(used.len(), "slot"));
    }
    let expected: Duration = steps.iter().map(|step| step.ends).max().unwrap_or_default();
    match known {
        0 => text.push_str("; no durations are known yet\n"),
        _ => {
            let known = count(known, "recorded duration");
            let _ = writeln!(text, "; about {} s, estimated from {known}", seconds(expected));
        }
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[derive(Serialize)]
struct GroupLine<'l> {
    event: &'static str,
    package: &'l str,
    binary: &'l str,
    kind: &'l str,
    node: &'l str,
    policy: &'l str,
    why: &'l str,
    fixtures: Vec<&'l str>,
    tests: Vec<String>,
}

#[derive(Serialize)]
struct BatchLine<'l> {
    event: &'static str,
    batch: usize,
    node: &'l str,
    slots: &'l [usize],
    threads: usize,
    tests: Vec<String>,
}

fn json_plan(view: View<'_>, groups: &[Group], steps: &[Step], fixtures: &[FixtureName]) -> String {
    let mut text = String::new();
    for group in groups {
        let binary = &view.inventory.listings[group.listing].binary;
        text.push_str(&json_line(&GroupLine {
            event: "group",
            package: &binary.package_name,
            binary: &binary.name,
            kind: binary.kind,
            node: &group.node,
            policy: form(group),
            why: &group.why,
            fixtures: fixtures_of(group, fixtures),
            tests: group.tests.iter().map(|test| view.id(test.id)).collect(),
        }));
    }
    for step in steps {
        text.push_str(&json_line(&BatchLine {
            event: "batch",
            batch: step.batch.id,
            node: &groups[step.batch.group].node,
            slots: &step.batch.slots,
            threads: step.batch.threads,
            tests: step.batch.tests.iter().map(|test| view.id(*test)).collect(),
        }));
    }
    text
}
