//! Groups of lines in a log, which a CI system folds.

use std::time::SystemTime;

use super::teamcity::attribute;
use crate::cli::output_args::MessageFormat;
use crate::cli::settings::{Settings, Verbosity};
use crate::model::ci_system::CiSystem;
use crate::process::stderr::write_line;
use crate::report::text::print;

/// A group in the log of this run. It ends when this is dropped.
pub struct LogGroup {
    system: CiSystem,
    part: Part,
    format: MessageFormat,
}

/// The parts of a run that are groups of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Build,
    Tests,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Build => "partest_build",
            Part::Tests => "partest_tests",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Part::Build => "Build of the tests",
            Part::Tests => "Tests",
        }
    }
}

impl LogGroup {
    /// Begins one, where the system has them. GitHub and Azure get none for the build: it would hide
    /// the errors of the compiler, which stand nowhere else.
    pub fn begin(settings: &Settings, part: Part) -> Option<LogGroup> {
        let system = settings.ci.filter(|_| settings.verbosity != Verbosity::Quiet)?;
        let hides_errors = matches!(system, CiSystem::GitHub | CiSystem::Azure);
        if part == Part::Build && hides_errors {
            return None;
        }
        let group = LogGroup { system, part, format: settings.format };
        write(group.format, &group.first_line(unix_time()));
        Some(group)
    }

    /// Ends it, and lets it be unfolded.
    pub fn fail(self) {
        if self.system == CiSystem::Buildkite {
            write(self.format, "^^^ +++\n");
        }
    }

    fn first_line(&self, now: u64) -> String {
        let (name, title) = (self.part.name(), self.part.title());
        match self.system {
            CiSystem::GitHub => format!("::group::{title}\n"),
            CiSystem::Azure => format!("##[group]{title}\n"),
            CiSystem::GitLab => {
                format!("\u{1b}[0Ksection_start:{now}:{name}\r\u{1b}[0K{title}\n")
            }
            CiSystem::Buildkite => format!("--- {title}\n"),
            CiSystem::TeamCity => format!("##teamcity[blockOpened name='{}']\n", attribute(title)),
        }
    }

    fn last_line(&self, now: u64) -> String {
        let (name, title) = (self.part.name(), self.part.title());
        match self.system {
            CiSystem::GitHub => "::endgroup::\n".to_owned(),
            CiSystem::Azure => "##[endgroup]\n".to_owned(),
            CiSystem::GitLab => format!("\u{1b}[0Ksection_end:{now}:{name}\r\u{1b}[0K\n"),
            // It ends where the next one begins.
            CiSystem::Buildkite => String::new(),
            CiSystem::TeamCity => format!("##teamcity[blockClosed name='{}']\n", attribute(title)),
        }
    }
}

impl Drop for LogGroup {
    fn drop(&mut self) {
        write(self.format, &self.last_line(unix_time()));
    }
}

/// Writes lines for the CI system: to stdout, unless that is for a program.
pub fn write(format: MessageFormat, lines: &str) {
    match format {
        _ if lines.is_empty() => {}
        // A closed pipe is noticed when the report is written.
        MessageFormat::Human => drop(print(lines)),
        _ => write_line(lines.trim_end_matches('\n')),
    }
}

fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
