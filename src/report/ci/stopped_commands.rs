//! Text of tests in a log of GitHub Actions, whose runner reads commands in it: what a test prints
//! must not annotate the job, hide a part of the log or mask words in it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::log_group;
use crate::cli::output_args::MessageFormat;
use crate::cli::settings::Settings;
use crate::model::ci_system::CiSystem;

/// Text for the log of this system, in which no line is a command.
pub fn as_text(system: Option<CiSystem>, text: String) -> String {
    if system != Some(CiSystem::GitHub) || !text.split(['\n', '\r']).any(may_be_command) {
        return text;
    }
    let token = token();
    let (gap, end) = if text.ends_with('\n') { ("", "\n") } else { ("\n", "") };
    format!("{}{text}{gap}{}{end}", stop(&token), resume(&token))
}

/// Whether the runner looks for a command in this line: it takes spaces before `::`, and anything
/// before `##[` (`ActionCommand.cs` of actions/runner).
fn may_be_command(line: &str) -> bool {
    let begins_one = |line: &str| line.trim_start().starts_with("::");
    line.contains("##[") || begins_one(&console::strip_ansi_codes(line))
}

fn stop(token: &str) -> String {
    format!("::stop-commands::{token}\n")
}

fn resume(token: &str) -> String {
    format!("::{token}::")
}

/// What no test can guess: it would let commands through. The number of the run is no secret.
fn token() -> String {
    let random = RandomState::new();
    format!("partest-{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

/// As long as this is there, the log has no commands: tests print into it themselves.
pub struct StoppedCommands {
    token: String,
    format: MessageFormat,
    /// Whether what was printed last has no end of a line yet.
    is_mid_line: bool,
}

impl StoppedCommands {
    /// Where tests are not captured.
    pub fn begin(settings: &Settings) -> Option<StoppedCommands> {
        if !settings.nocapture || settings.ci != Some(CiSystem::GitHub) {
            return None;
        }
        let (token, format) = (token(), settings.format);
        log_group::write(format, &stop(&token));
        Some(StoppedCommands { token, format, is_mid_line: false })
    }

    /// Notes what a test has printed.
    pub fn note(&mut self, printed: &[u8]) {
        self.is_mid_line = printed.last().map_or(self.is_mid_line, |last| *last != b'\n');
    }
}

impl Drop for StoppedCommands {
    fn drop(&mut self) {
        // A command has a line of its own.
        let gap = if self.is_mid_line { "\n" } else { "" };
        log_group::write(self.format, &format!("{gap}{}\n", resume(&self.token)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_github_could_take_for_a_command_is_marked_as_text() {
        let on_github = |text: &str| as_text(Some(CiSystem::GitHub), text.to_owned());
        let commands =
            ["a\n::error::b\n", "    ::error::b", "\u{1b}[2m  \u{1b}[0m::a\n", "a ##[add-mask]b\n"];
        for text in commands {
            let shown = on_github(text);
            let (begin, rest) = shown.split_once('\n').unwrap();
            let token = begin.strip_prefix("::stop-commands::").unwrap();
            assert_eq!(rest.trim_end(), format!("{}\n::{token}::", text.trim_end()));
            assert_eq!(shown.ends_with('\n'), text.ends_with('\n'), "{shown:?}");
            assert_ne!(on_github(text), shown, "a token is used once");
            for other in [None, Some(CiSystem::Azure), Some(CiSystem::TeamCity)] {
                assert_eq!(as_text(other, text.to_owned()), text);
            }
        }
        for text in ["a::b\n", "  | ::error::b\n", "# [a]\n", ""] {
            assert_eq!(on_github(text), text);
        }
    }
}
