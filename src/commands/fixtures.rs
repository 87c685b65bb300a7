//! `cargo partest fixtures`: lists, starts and stops fixtures outside of a run.

use std::fmt::Write;

use super::prepare::{Declared, declared_alone};
use super::project::Project;
use crate::cli::settings::Settings;
use crate::cli::task::FixtureTask;
use crate::config::diagnostic::suggestion;
use crate::config::fixtures::Scope;
use crate::config::policy::{FixtureName, Policy};
use crate::discovery::inventory::Inventory;
use crate::error::{Error, Exit, Result};
use crate::fixture::definition::{Fixture, resolve};
use crate::fixture::handover::Values;
use crate::fixture::kept::{Found, KeptFixtures, Record, Request, stop};
use crate::fixture::task::Failure;
use crate::model::fixture::FixtureInstance;
use crate::model::printable::printable;
use crate::process::stderr::write_line;
use crate::report::messages;
use crate::report::progress::status;
use crate::report::text::{Paint, print};
use crate::run::interrupt::Interrupts;

/// Lists or stops fixtures, which needs no build.
pub fn run_without_build(
    what: &FixtureTask,
    settings: &Settings,
    interrupts: &Interrupts,
) -> Result<Exit> {
    let Declared { workspace, policy, .. } = declared_alone(settings, &mut Vec::new())?;
    let kept_fixtures = KeptFixtures::new(&workspace.state_dir, false);
    let wanted = wanted(what, &policy)?;
    match what {
        FixtureTask::Stop(_) => {
            let is_wanted = &|| !interrupts.is_interrupted();
            stop_all(&wanted, &policy, settings, &kept_fixtures, is_wanted)
        }
        FixtureTask::List | FixtureTask::Start(_) => show(&policy, &kept_fixtures),
    }
}

/// Starts fixtures that are to stay up.
pub fn run(what: &FixtureTask, project: Project<'_>, interrupts: &Interrupts) -> Result<Exit> {
    let Project { settings, workspace, policy, inventory, .. } = project;
    let kept_fixtures = KeptFixtures::new(&workspace.state_dir, true);
    let names = policy.with_needs(&wanted(what, policy)?);
    let fixtures = resolve(&names, policy, inventory, workspace.root());
    let is_wanted = &|| !interrupts.is_interrupted();
    start(&names, &fixtures, policy, settings, &kept_fixtures, inventory, is_wanted)
}

fn show(policy: &Policy, kept_fixtures: &KeptFixtures) -> Result<Exit> {
    // A closed pipe is no error.
    let _ = print(&list(policy, kept_fixtures));
    Ok(Exit::Success)
}

fn wanted(what: &FixtureTask, policy: &Policy) -> Result<Vec<FixtureName>> {
    let all = policy.fixtures();
    let named = what.names();
    let known: Vec<&str> = all.iter().map(|fixture| fixture.name.as_str()).collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) {
        let help = match known[..] {
            [] => "no fixtures are defined".to_owned(),
            _ => suggestion(unknown, &known),
        };
        return Err(Error::usage(format!("unknown fixture `{unknown}`: {help}")));
    }
    let is_named = |fixture: &FixtureName| named.is_empty() || named.contains(&fixture.name);
    Ok(all.into_iter().filter(is_named).collect())
}

fn list(policy: &Policy, kept_fixtures: &KeptFixtures) -> String {
    let records = kept_fixtures.all();
    let mut text = String::new();
    for fixture in policy.fixtures() {
        let key = policy.key_of(&fixture);
        let up: Vec<&Record> = records.iter().filter(|record| is_of(record, &key)).collect();
        if up.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key}: not running");
        }
        for record in up {
            let values: Vec<String> =
                record.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let slot = record.slot.map(|slot| format!(" of slot {slot}")).unwrap_or_default();
            let _ = writeln!(text, "{key}{slot}: running, kept by process {}", record.daemon);
            for value in values {
                let _ = writeln!(text, "  {value}");
            }
        }
    }
    if text.is_empty() {
        text.push_str(
            "no fixtures are defined: add [package.metadata.partest.fixtures.NAME] to Cargo.toml\n",
        );
    }
    text
}

pub(super) fn is_of(record: &Record, key: &str) -> bool {
    match record.slot {
        Some(slot) => record.key == format!("{key}.{slot}"),
        None => record.key == key,
    }
}

fn start(
    names: &[FixtureName],
    fixtures: &[Fixture],
    policy: &Policy,
    settings: &Settings,
    kept_fixtures: &KeptFixtures,
    inventory: &Inventory,
    wants: &dyn Fn() -> bool,
) -> Result<Exit> {
    // Instances for further slots start during a run.
    let most = settings.most_slots(policy.overcommit());
    let request = Request { slots: most, wants, must_die: &|| false };
    for (name, fixture) in names.iter().zip(fixtures) {
        let is_by_slot = policy.fixture(name).is_some_and(|keys| keys.scope == Scope::Slot);
        let slots = if is_by_slot { (0..settings.slots).map(Some).collect() } else { vec![None] };
        for slot in slots {
            let needs = fixture.needs.iter().map(|at| &names[*at]);
            let values = values_of(needs, slot, policy, kept_fixtures);
            let launch = fixture.launch(inventory, slot, values);
            let found = match launch {
                Ok(launch) => kept_fixtures.find_or_start(&launch, &request),
                Err(why) => Some(Found::Lost(Failure::at_start(why))),
            };
            match found {
                Some(Found::Lost(failure)) => {
                    let paint = Paint(settings.color.stderr);
                    let instance = FixtureInstance { name: fixture.name.clone(), slot };
                    let why = &failure.why;
                    write_line(&format!(
                        "{}: fixture {instance} failed: {why}",
                        paint.bad("error")
                    ));
                    write_line(printable(&failure.output).trim_end());
                    return Ok(Exit::FixtureFailed);
                }
                Some(Found::Unwanted) => {
                    // Fixtures that are up stay up.
                    let _ = print(&list(policy, kept_fixtures));
                    return Err(Error::Interrupted);
                }
                Some(Found::Up(_)) | None => {}
            }
        }
    }
    let _ = print(&list(policy, kept_fixtures));
    Ok(Exit::Success)
}

/// The values that these fixtures provide.
pub(super) fn values_of<'n>(
    fixtures: impl Iterator<Item = &'n FixtureName>,
    slot: Option<usize>,
    policy: &Policy,
    kept_fixtures: &KeptFixtures,
) -> Values {
    let records = kept_fixtures.all();
    let mut values = Values::new();
    for needed in fixtures {
        let key = policy.key_of(needed);
        let of_needed = records.iter().filter(|record| is_of(record, &key));
        for record in of_needed.filter(|record| record.slot.is_none() || record.slot == slot) {
            values.extend(record.values.iter().cloned());
        }
    }
    values
}

/// Stops fixtures in reverse order of their dependencies.
fn stop_all(
    wanted: &[FixtureName],
    policy: &Policy,
    settings: &Settings,
    kept_fixtures: &KeptFixtures,
    wants: &dyn Fn() -> bool,
) -> Result<Exit> {
    let records = kept_fixtures.all();
    let mut stopped = 0;
    for name in policy.with_needs(wanted).iter().rev().filter(|name| wanted.contains(name)) {
        let key = policy.key_of(name);
        for record in records.iter().filter(|record| is_of(record, &key)) {
            if !stop(record, wants).map_err(Error::Fixture)? {
                return Err(Error::Interrupted);
            }
            stopped += 1;
        }
    }
    let paint = Paint(settings.color.stderr);
    write_line(&status(paint, "Stopped", &messages::count(stopped, "fixture")));
    Ok(Exit::Success)
}
