//! The flags of the command line that may have defaults in Cargo.toml, and a command line with its
//! defaults.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, CommandFactory, ValueEnum};

use super::args::{self, CargoArgs};
use super::command_line::options_command;
use super::libtest_args::LibtestArgs;
use super::output_args::MessageFormat;
use crate::config::flag_defaults::{FlagDefault, FlagDefaults};
use crate::config::flags::{Flags, Takes, Wrong};
use crate::model::report_kind::REPORT_KINDS;

/// Filters, which have no flag.
const FILTERS: &str = "filters";

/// Flags that say what to do, or where settings are, and libtest's `--test`, which has no effect;
/// cargo's own and those of reports, which have a table, are left out, too.
const NO_DEFAULTS: [&str; 11] = [
    "archive",
    "debugger",
    "extract-to",
    "help",
    "no-run",
    "profile-partest",
    "test",
    "tracer",
    "version",
    "workspace-remap",
    "write-baseline",
];

/// Pairs that exclude each other although the command line accepts both: the later one counts there.
const RIVALS: [(&str, &str); 5] = [
    ("fail-fast", "no-fail-fast"),
    ("quiet", "verbose"),
    ("quiet", "status-level"),
    ("verbose", "status-level"),
    ("show-output", "success-output"),
];

pub const FLAGS: Flags = Flags { takes, check, names, is_cargos };

/// The two halves of a command line: ours, and libtest's behind `--`.
struct Halves {
    own: Command,
    libtest: Command,
}

static HALVES: LazyLock<Halves> = LazyLock::new(|| {
    let (mut own, mut libtest) = (options_command(), LibtestArgs::command());
    own.build();
    libtest.build();
    Halves { own, libtest }
});

impl Halves {
    fn find(&self, name: &str) -> Option<&Arg> {
        let is_it = |arg: &&Arg| arg.get_long() == Some(name) && may_have_default(arg);
        self.own.get_arguments().chain(self.libtest.get_arguments()).find(is_it)
    }

    fn is_own(&self, name: &str) -> bool {
        self.own.get_arguments().any(|arg| arg.get_long() == Some(name))
    }
}

fn may_have_default(arg: &Arg) -> bool {
    let is_report = |name| REPORT_KINDS.iter().any(|(kind, _)| *kind == name);
    let is_other = |name| NO_DEFAULTS.contains(&name) || is_report(name) || is_cargos(name);
    arg.get_long().is_some_and(|name| !is_other(name))
}

fn is_cargos(name: &str) -> bool {
    // It stands beside cargo's `--doc`, and is ours.
    const OURS: &str = "no-doc";
    let cargo = CargoArgs::augment_args(Command::new("cargo"));
    name != OURS && cargo.get_arguments().any(|arg| arg.get_long() == Some(name))
}

fn names() -> Vec<String> {
    let Halves { own, libtest } = &*HALVES;
    let all = own.get_arguments().chain(libtest.get_arguments());
    let names = all.filter(|arg| may_have_default(arg)).filter_map(Arg::get_long);
    names.map(str::to_owned).chain([FILTERS.to_owned()]).collect()
}

fn takes(name: &str) -> Option<Takes> {
    if name == FILTERS {
        return Some(Takes::Values);
    }
    let arg = HALVES.find(name)?;
    Some(match arg.get_action() {
        ArgAction::Count => Takes::Count,
        ArgAction::Append => Takes::Values,
        ArgAction::Set if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => {
            Takes::MaybeValue
        }
        ArgAction::Set => Takes::Value,
        _ => Takes::Nothing,
    })
}

fn check(name: &str, value: &str) -> Result<(), Wrong> {
    // The engine's variables count, which are there only where the profile is for.
    if HALVES.find(name).is_none() || (name == "shard" && value.starts_with("auto")) {
        return Ok(());
    }
    let word = format!("--{name}={value}");
    let parsed = match HALVES.is_own(name) {
        true => HALVES.own.clone().try_get_matches_from(["cargo partest", &word]),
        false => HALVES.libtest.clone().try_get_matches_from([&word]),
    };
    let Err(error) = parsed else { return Ok(()) };
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(known)) if !known.is_empty() => Some(known.clone()),
        _ => None,
    };
    if error.kind() == ErrorKind::InvalidValue
        && let Some(known) = known
    {
        return Err(Wrong::OneOf(known));
    }
    let why = std::error::Error::source(&error).map(ToString::to_string);
    Err(Wrong::Because(why.unwrap_or_else(|| error.kind().to_string())))
}

/// The words of a command line with the defaults that it leaves open, those of the first table
/// first. `root` is what paths in them are relative to.
pub fn with_defaults(
    words: &[OsString],
    command: Option<&args::Command>,
    tables: &[&FlagDefaults],
    root: &Path,
) -> Vec<OsString> {
    use args::Command::{List, Plan, Run};
    let takes_filters = matches!(command, None | Some(Run(_) | Plan(_) | List(_)));
    let is_run = matches!(command, None | Some(Run(_)));
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (own, libtest) = (&words[..end], words.get(end + 1..).unwrap_or_default());
    // Commands have flags and filters of their own. To a parser without commands, their names are
    // filters; one with commands takes longer to build.
    let mut decided = match command {
        None => typed(&HALVES.own, own),
        Some(_) => typed(&args::Args::command(), own),
    };
    decided.extend(typed(&HALVES.libtest, libtest));
    let (mut own, mut behind) = (own.to_vec(), Vec::new());
    for table in tables {
        let is_open = |name: &str| !decided.iter().any(|other| excludes(other, name));
        let open: Vec<_> = table.iter().filter(|(name, _)| is_open(&name.value)).collect();
        for (name, default) in &open {
            let name = name.value.as_str();
            let is_own = name != FILTERS && HALVES.is_own(name);
            if is_own && (is_run || !is_format_of_runs(name, default)) {
                own.extend(words_of(name, default, root));
            } else if !is_own && takes_filters {
                behind.extend(words_of(name, default, root));
            }
        }
        decided.extend(open.into_iter().map(|(name, _)| name.value.clone()));
    }
    behind.extend(libtest.iter().cloned());
    if !behind.is_empty() {
        own.push("--".into());
    }
    [own, behind].concat()
}

/// The names of the flags that are given, and `filters` if any are.
fn typed(command: &Command, words: &[OsString]) -> Vec<String> {
    let parsed = command.clone().try_get_matches_from(words);
    let Ok(matches) = parsed else { return Vec::new() };
    let mut given = given_in(command, &matches);
    let mut outer = &matches;
    while let Some((_, inner)) = outer.subcommand() {
        given.extend(given_in(command, inner));
        outer = inner;
    }
    given
}

fn given_in(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_given = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        let source = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id));
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    let name = |arg: &Arg| arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned();
    command.get_arguments().filter(is_given).map(name).collect()
}

/// Whether one flag leaves no room for the other.
fn excludes(one: &str, other: &str) -> bool {
    let conflicts = |command: &Command, one: &str, other: &str| {
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(one));
        arg.is_some_and(|arg| {
            let rivals = command.get_arg_conflicts_with(arg);
            rivals.iter().any(|rival| rival.get_long() == Some(other))
        })
    };
    let either = |command| conflicts(command, one, other) || conflicts(command, other, one);
    one == other
        || RIVALS.iter().any(|pair| *pair == (one, other) || *pair == (other, one))
        || either(&HALVES.own)
        || either(&HALVES.libtest)
}

/// Other commands print nothing in these formats.
fn is_format_of_runs(name: &str, default: &FlagDefault) -> bool {
    let FlagDefault::Values(values) = default else { return false };
    let formats = values.iter().filter_map(|value| MessageFormat::from_str(value, false).ok());
    name == "message-format" && formats.into_iter().any(MessageFormat::is_of_runs)
}

fn words_of(name: &str, default: &FlagDefault, root: &Path) -> Vec<OsString> {
    let is_path = HALVES
        .find(name)
        .is_some_and(|arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>());
    match default {
        FlagDefault::Off => Vec::new(),
        FlagDefault::On(times) => vec![format!("--{name}").into(); *times],
        FlagDefault::Values(values) if name == FILTERS => values.iter().map(Into::into).collect(),
        FlagDefault::Values(values) => {
            let word = |value: &String| {
                let mut word = OsString::from(format!("--{name}="));
                match is_path {
                    true => word.push(root.join(value)),
                    false => word.push(value),
                }
                word
            };
            values.iter().map(word).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::config::diagnostic::Source;
    use crate::config::schema::{Config, Table, read};

    fn config(text: &str) -> (Config, Vec<String>) {
        let text = format!("[workspace.metadata.partest]\n{text}\n");
        let source = Arc::new(Source { path: "Cargo.toml".into(), text });
        let mut diagnostics = Vec::new();
        let config = read(&source, Table::Workspace, FLAGS, &mut diagnostics);
        let told = |one: &crate::config::diagnostic::Diagnostic| {
            format!("{}: {} ({})", one.place, one.title, one.help.as_deref().unwrap_or(""))
        };
        (config, diagnostics.iter().map(told).collect())
    }

    /// The whole command line for what is typed, with these defaults at the top and in a profile.
    fn line(typed: &str, top: &str, profile: &str) -> String {
        let [top, profile] = [top, profile].map(|text| {
            let (config, told) = config(text);
            assert_eq!(told, Vec::<String>::new(), "{text}");
            config.flags
        });
        let words: Vec<OsString> = typed.split(' ').map(Into::into).collect();
        let command = args::Args::try_parse_from(&words).unwrap().command;
        let tables = [&profile, &top];
        let words = with_defaults(&words, command.as_ref(), &tables, Path::new("/shop"));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_typed_counts_before_the_profile_and_that_before_the_top() {
        let table = [
            ("p", "jobs = 2", "", "p --jobs=2"),
            ("p plan db", "jobs = 2", "jobs = 4", "p plan db --jobs=4"),
            ("p -j1", "jobs = 2", "jobs = 4", "p -j1"),
            ("p plan -j1", "jobs = 2", "", "p plan -j1"),
            ("p plan", "filters = [\"db::\"]", "", "p plan -- db::"),
            ("p list web", "filters = [\"db::\"]", "", "p list web"),
            ("p doctor --write -j1", "jobs = 2", "", "p doctor --write -j1"),
            ("p -j4 doctor --write", "jobs = 2", "", "p -j4 doctor --write"),
            ("p bisect db::a --repeat 3 -v", "verbose = 2", "", "p bisect db::a --repeat 3 -v"),
            ("p", "ordered = true", "ordered = false", "p"),
            ("p --no-fail-fast", "fail-fast = true", "", "p --no-fail-fast"),
            ("p -v", "quiet = true", "status-level = \"none\"", "p -v"),
            ("p", "quiet = true", "verbose = 2", "p --verbose --verbose"),
            ("p", "include-ignored = true", "ignored = true", "p -- --ignored"),
            ("p -- --include-ignored", "ignored = true", "", "p -- --include-ignored"),
            ("p", "filters = [\"db::\"]", "skip = [\"a\", \"b\"]", "p -- --skip=a --skip=b db::"),
            ("p web", "filters = [\"db::\"]", "", "p web"),
            ("p", "durations-file = \"ci/d.json\"", "", "p --durations-file=/shop/ci/d.json"),
            ("p list", "message-format = \"libtest-json\"", "", "p list"),
            ("p list", "message-format = \"json\"", "", "p list --message-format=json"),
            ("p fixtures start db -j1", "jobs = 2\nskip = [\"a\"]", "", "p fixtures start db -j1"),
            ("p", "shuffle = 7", "last-failed = true", "p --last-failed --shuffle=7"),
            ("p", "shard = \"auto\"", "", "p --shard=auto"),
            ("p", "no-doc = true", "", "p --no-doc"),
            ("p --doc", "no-doc = true", "", "p --doc"),
            ("p --write-baseline", "no-agent = true", "", "p --write-baseline"),
            ("p", "changed = true", "", "p --changed"),
            ("p", "changed = \"main\"", "changed = false", "p"),
        ];
        for (typed, top, profile, expected) in table {
            assert_eq!(line(typed, top, profile), expected, "{typed}; {top}; {profile}");
        }
    }

    #[test]
    fn a_wrong_default_is_told_with_its_place() {
        let table = [
            ("jobs = true", "`jobs` must be a string or a number"),
            ("jobs = \"many\"", "invalid value `many` for `jobs` (expected a number"),
            ("no-tests = \"pas\"", "invalid value `pas` for `no-tests` (did you mean `pass`?)"),
            ("ordered = 1", "`ordered` must be true or false"),
            ("status-levle = \"all\"", "unknown key `status-levle` (did you mean `status-level`?)"),
            ("release = true", "`release` is a flag of cargo"),
            ("no-run = true", "unknown key `no-run`"),
            ("skip = [1]", "`skip` must be a list of strings"),
            (
                "html = \"x\"",
                "unknown key `html` (use `reports = { html = \"target/tests.html\" }`)",
            ),
            ("profil = { ci = {} }", "unknown key `profil` (did you mean `profile`?)"),
            ("junit = \"x\"", "unknown key `junit` (use `reports = { junit"),
        ];
        for (text, expected) in table {
            let told = config(text).1;
            let expected = format!("Cargo.toml:2: {expected}");
            assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:?}: {expected}");
        }
    }
}
