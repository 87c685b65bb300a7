//! Parses the command line. Usage errors are clap's, with tips for the flags and commands of other
//! test runners.

use std::ffi::OsString;
use std::io::Write;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, Command, CommandFactory, Error, FromArgMatches, Parser, Subcommand};

use super::args::{self, Args, CargoArgs, Options};
use super::hints::{self, Side};
use super::libtest_args::LibtestArgs;
use super::output_args::MessageFormat;
use crate::config::diagnostic::nearest;
use crate::filterset::reference::REFERENCE;
use crate::model::stream_end::StreamEnd;

/// On which side of `--` a flag was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    Before,
    After,
}

/// The words of the command line, the program's name first.
///
/// cargo hands a subcommand its own name as the first argument; a direct call
/// does not.
pub fn words(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "partest") {
        words.remove(1);
    }
    words
}

/// Parses the command line; prints help and usage errors (exit code 2) itself.
pub fn parse(words: &[OsString]) -> Args {
    if asks_for_reference(words) {
        print_reference();
    }
    if matches!(words, [_, word] if word == "--help" || word == "help") {
        // A closed pipe is no error.
        let _ = with_all_commands().print_long_help();
        std::process::exit(0)
    }
    let is_json = asks_for_json(words);
    let parsed = parse_quickly(words).map_or_else(|| Args::try_parse_from(words), Ok);
    let parsed = parsed.and_then(|args| match format_of_runs(&args) {
        Some(message) => Err(Args::command().error(ErrorKind::ArgumentConflict, message)),
        None => Ok(args),
    });
    parsed.unwrap_or_else(|error| exit(error, Typed::Before, is_json))
}

/// Parses words without a command, which is what most people type; none if there may be one, or if
/// there is something to tell. clap copies all options into each command, which takes longer than
/// all the rest.
fn parse_quickly(words: &[OsString]) -> Option<Args> {
    let is_command = |word: &str| word == "help" || args::Command::has_subcommand(word);
    let mut before = words.iter().skip(1).take_while(|word| *word != "--");
    if before.any(|word| word.to_str().is_none_or(is_command)) {
        return None;
    }
    let matches = options_command().try_get_matches_from(words).ok()?;
    let options = Options::from_arg_matches(&matches).ok()?;
    Some(Args { command: None, options })
}

/// A command with all options, and no commands below it.
pub fn options_command() -> Command {
    Options::augment_args(Command::new("cargo partest"))
}

/// The command line with all of its commands: a summary lists those that most people need.
pub fn with_all_commands() -> Command {
    Args::command().mut_subcommands(|command| command.hide(false))
}

/// What is wrong if the format of a run is asked of a command that runs nothing.
fn format_of_runs(args: &Args) -> Option<&'static str> {
    let is_run =
        matches!(args.command, None | Some(args::Command::Run(_) | args::Command::Merge(_)));
    (args.options.output.message_format.is_of_runs() && !is_run)
        .then_some("libtest's JSON is a format of runs: use `--message-format json` here")
}

/// `help filters`, which is no command; nextest has `help filterset`.
fn asks_for_reference(words: &[OsString]) -> bool {
    let is_topic =
        |word: &OsString| ["filters", "filterset", "filtersets"].iter().any(|t| word == t);
    matches!(words, [_, help, topic] if help == "help" && is_topic(topic))
}

fn print_reference() -> ! {
    // A closed pipe is no error.
    let _ = std::io::stdout().write_all(REFERENCE.as_bytes());
    std::process::exit(0)
}

/// Parses the arguments after `--`; prints usage errors (exit code 2) itself.
pub fn parse_libtest(words: &[String], format: MessageFormat) -> LibtestArgs {
    let is_json = format == MessageFormat::Json;
    LibtestArgs::try_parse_from(words).unwrap_or_else(|error| exit(error, Typed::After, is_json))
}

/// The flags of cargo in these words, which a run has written; none if they are of another version.
pub fn cargo_args(words: &[String]) -> Option<CargoArgs> {
    let words = ["cargo-partest"].into_iter().chain(words.iter().map(String::as_str));
    Args::try_parse_from(words).ok().map(|args| args.options.cargo)
}

fn exit(mut error: Error, typed: Typed, is_json: bool) -> ! {
    add_tip(&mut error, typed);
    // Help is no error.
    if is_json && error.use_stderr() {
        // A closed stdout is no reason to be silent on stderr.
        let _ = std::io::stdout().write_all(usage_error(&error).line().as_bytes());
    }
    error.exit()
}

/// Whether JSON is wanted, as far as that can be told of a command line that cannot be parsed.
fn asks_for_json(words: &[OsString]) -> bool {
    let mut before = words.iter().take_while(|word| *word != "--").peekable();
    while let Some(word) = before.next() {
        let is_next =
            word == "--message-format" && before.peek().is_some_and(|next| *next == "json");
        if is_next || word == "--message-format=json" {
            return true;
        }
    }
    false
}

/// clap's text without its usage: the first line is the message, and tips follow it.
fn usage_error(error: &Error) -> StreamEnd {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let is_end = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let help: Vec<&str> = lines
        .take_while(|line| !is_end(line))
        .map(|line| line.strip_prefix("tip: ").unwrap_or(line))
        .collect();
    StreamEnd::of_usage(message, (!help.is_empty()).then(|| help.join("\n")))
}

/// Replaces clap's guesses about an unknown flag by what is known about it.
fn add_tip(error: &mut Error, typed: Typed) {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return };
    if error.kind() != ErrorKind::UnknownArgument || !flag.starts_with('-') {
        return;
    }
    let flag = flag.split('=').next().unwrap_or_default().to_owned();
    // clap's guess is the nearest flag, however far. "To pass '-- FLAG' as a value" leads in a
    // circle: after `--`, flags are libtest's.
    for kind in [ContextKind::SuggestedArg, ContextKind::Suggested, ContextKind::Usage] {
        error.remove(kind);
    }
    if let Some(tip) = tip(&flag, typed) {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
}

/// What to type instead of a flag that is unknown on this side of `--`.
fn tip(flag: &str, typed: Typed) -> Option<String> {
    let [before, after] = [Args::command(), LibtestArgs::command()].map(flags_of);
    let (here, there) = match typed {
        Typed::Before => (&before, &after),
        Typed::After => (&after, &before),
    };
    if let Some(answer) = answer(flag, typed) {
        return Some(answer.to_owned());
    }
    if there.iter().any(|known| known == flag) {
        return Some(other_side(flag, typed));
    }
    let bare = flag.strip_prefix("--")?;
    let near = |known: &[String]| {
        let names = known.iter().filter_map(|known| known.strip_prefix("--"));
        nearest(bare, names).map(|name| format!("--{name}"))
    };
    if let Some(near) = near(here) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(near) = near(there) {
        return Some(other_side(&near, typed));
    }
    let hinted: Vec<String> =
        hints::flags().flat_map(|hint| hint.flags).map(|flag| (*flag).to_owned()).collect();
    let near = near(&hinted)?;
    answer(&near, typed).map(|answer| format!("`{near}`: {answer}"))
}

fn answer(flag: &str, typed: Typed) -> Option<&'static str> {
    let is_here = |side| match side {
        Side::Both => true,
        Side::Before => typed == Typed::Before,
        Side::After => typed == Typed::After,
    };
    let found = hints::flags().find(|hint| is_here(hint.side) && hint.flags.contains(&flag));
    found.map(|hint| hint.answer)
}

fn other_side(flag: &str, typed: Typed) -> String {
    match typed {
        Typed::Before => format!("`{flag}` goes after `--`: cargo partest -- {flag}"),
        Typed::After => format!("`{flag}` goes before `--`: cargo partest {flag}"),
    }
}

/// All flags that the command accepts, with their dashes, aliases included.
fn flags_of(mut command: Command) -> Vec<String> {
    command.build();
    let mut flags = Vec::new();
    for argument in command.get_arguments() {
        let longs = argument.get_long().into_iter();
        let longs = longs.chain(argument.get_all_aliases().into_iter().flatten());
        flags.extend(longs.map(|long| format!("--{long}")));
        flags.extend(argument.get_short().map(|short| format!("-{short}")));
    }
    flags
}

/// What to type instead of this filter, which matches no test: a command may have been meant.
pub fn tip_for_filter(filter: &str) -> Option<String> {
    if let Some((_, answer)) = hints::COMMANDS.iter().find(|(command, _)| *command == filter) {
        return Some((*answer).to_owned());
    }
    let command = Args::command();
    let known = command.get_subcommands().map(Command::get_name).chain(["help"]);
    nearest(filter, known).map(|near| format!("did you mean the command `{near}`?"))
}

#[cfg(test)]
mod tests;
