//! One test in a debugger or under a tracer, which takes this process's place: what is typed is for
//! it, nothing is captured, and nothing ends it.

use std::path::Path;
use std::process::Command;

use super::fixtures::values_of;
use super::project::Project;
use super::test_name;
use crate::cargo::environment;
use crate::cli::debug_args::Prefix;
use crate::config::policy::{FixtureName, Rules};
use crate::discovery::filter::Choice;
use crate::discovery::listing::Listing;
use crate::error::{Error, Exit, Result};
use crate::fixture::handover::Values;
use crate::fixture::kept::KeptFixtures;
use crate::model::printable::printable_name;
use crate::model::shell::shell_line;
use crate::model::test::TestId;
use crate::process::exec;
use crate::process::stderr::write_line;
use crate::report::messages;
use crate::report::progress::status;
use crate::report::text::Paint;
use crate::worker::arguments;

/// Runs the only test that is chosen, as the arguments of this command.
pub fn run(prefix: &Prefix, project: Project<'_>, choices: &[Vec<Choice>]) -> Result<Exit> {
    let Project { settings, policy, inventory, .. } = project;
    let Some(test) = only_test(project, choices)? else {
        let paint = Paint(settings.color.stderr);
        let tip = test_name::tip(&settings.filter, inventory);
        let what = messages::no_test_matched(settings, tip.as_deref());
        write_line(&format!("{}: {what}", paint.bad("error")));
        return Ok(Exit::NoTests);
    };
    let listing = &inventory.listings[test.listing];
    let binary = &listing.binary;
    let name = &listing.tests[test.test].name;
    if listing.is_doctests() {
        return Err(Error::usage(format!(
            "`{}` is a doctest, which rustdoc compiles and starts by itself: move it into a test",
            binary.id(name)
        )));
    }
    let rules = policy.rules(binary.package, &format!("{}::{name}", binary.name));
    let values = values(&rules, project, &binary.id(name))?;
    let (command, words) = command(prefix, listing, test, &rules, values, &settings.run_id);
    write_line(&status(Paint(settings.color.stderr), "Running", &shell_line(&words)));
    let program = prefix.program.clone();
    let ended = exec::exec(command).map_err(|source| Error::Start { program, source })?;
    Ok(if ended.success() { Exit::Success } else { Exit::TestFailed })
}

/// The test that is to run; none if no test is chosen.
fn only_test(project: Project<'_>, choices: &[Vec<Choice>]) -> Result<Option<TestId>> {
    let with = |wanted: Choice| -> Vec<TestId> {
        let listings = choices.iter().enumerate();
        let tests = listings.flat_map(|(listing, of_listing)| {
            let chosen = of_listing.iter().enumerate().filter(move |(_, is)| **is == wanted);
            chosen.map(move |(test, _)| TestId { listing, test })
        });
        tests.collect()
    };
    let id = |test: &TestId| {
        let listing = &project.inventory.listings[test.listing];
        printable_name(&listing.binary.id(&listing.tests[test.test].name))
    };
    match (with(Choice::Run).as_slice(), with(Choice::Ignore).as_slice()) {
        ([only], _) => Ok(Some(*only)),
        ([], []) => Ok(None),
        ([], [ignored, ..]) => Err(Error::usage_with_help(
            format!("`{}` is ignored", id(ignored)),
            "add `-- --ignored` to run it".to_owned(),
        )),
        (several, _) => {
            /// As many as are read at a glance.
            const SHOWN: usize = 10;
            let mut ids: Vec<String> = several.iter().take(SHOWN).map(id).collect();
            if several.len() > SHOWN {
                ids.push(format!("… and {} more", several.len() - SHOWN));
            }
            Err(Error::usage_with_help(
                format!(
                    "one test can run in a debugger or tracer, and {} are chosen",
                    several.len()
                ),
                format!("name one of them, behind `-- --exact`:\n  {}", ids.join("\n  ")),
            ))
        }
    }
}

/// What its fixtures hand over. They have to be up: the debugger would outlive those of a run.
fn values(rules: &Rules, project: Project<'_>, id: &str) -> Result<Values> {
    let kept = KeptFixtures::new(&project.workspace.state_dir, false);
    let names: Vec<FixtureName> = rules.fixtures.concat();
    let records = kept.all();
    let is_up = |name: &&FixtureName| {
        let key = project.policy.key_of(name);
        records.iter().any(|record| super::fixtures::is_of(record, &key))
    };
    match names.iter().find(|name| !is_up(name)) {
        None => Ok(values_of(names.iter(), Some(0), project.policy, &kept)),
        Some(FixtureName { name, .. }) => Err(Error::usage_with_help(
            format!("`{id}` needs the fixture `{name}`, which is not running"),
            match project.settings.archive.archive {
                Some(_) => {
                    "fixtures of an archive run with its tests only: debug it where it was built"
                        .to_owned()
                }
                None => format!(
                    "start it with `cargo partest fixtures start {name}`, and stop it with `cargo partest fixtures stop {name}`"
                ),
            },
        )),
    }
}

/// The command, and its words for people.
fn command(
    prefix: &Prefix,
    listing: &Listing,
    test: TestId,
    rules: &Rules,
    values: Values,
    run_id: &str,
) -> (Command, Vec<String>) {
    let own = listing.binary.command();
    // The test's directory is another one.
    let program = match Path::new(&prefix.program) {
        path if path.components().count() > 1 => std::path::absolute(path).unwrap_or(path.into()),
        name => name.to_owned(),
    };
    let mut command = Command::new(program);
    command.args(&prefix.args).arg(own.get_program()).args(own.get_args());
    let selection = arguments::parts(listing, &[test]).into_iter().flat_map(|(_, words)| words);
    if !listing.dispatch.is_whole() {
        command.args(["--test-threads", "1", "--nocapture"]).args(selection);
    }
    let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables).envs(&rules.env).envs(values);
    command.envs(environment::worker_variables(run_id, 0, 0));
    command.current_dir(&listing.binary.dir);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
    (command, words)
}
