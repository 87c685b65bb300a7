//! The summary of a job, which the CI system shows as Markdown.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::model::ci_system::CiSystem;
use crate::model::event::Event;
use crate::model::summary::Summary;
use crate::report::document::Document;
use crate::report::markdown::{LIMIT, Markdown};
use crate::report::view::View;

pub struct JobSummary<'r> {
    markdown: Markdown<'r>,
    target: Target,
}

/// How the system takes a summary.
enum Target {
    /// GitHub reads a file, to which all parts of a step append.
    Appended(PathBuf),
    /// Azure reads a file that the log names.
    Named(PathBuf),
    /// Buildkite has a program for it.
    Annotation,
}

impl<'r> JobSummary<'r> {
    /// One for systems that show one.
    pub fn new(system: CiSystem, view: View<'r>) -> Option<JobSummary<'r>> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let target = match system {
            CiSystem::GitHub => Target::Appended(variable("GITHUB_STEP_SUMMARY")?.into()),
            CiSystem::Azure => {
                let name = format!("partest-{}.md", view.settings.run_id);
                Target::Named(PathBuf::from(variable("AGENT_TEMPDIRECTORY")?).join(name))
            }
            CiSystem::Buildkite => Target::Annotation,
            CiSystem::GitLab | CiSystem::TeamCity => return None,
        };
        Some(JobSummary { markdown: Markdown::new(view), target })
    }

    /// The file that it is written to.
    pub fn path(&self) -> &Path {
        match &self.target {
            Target::Appended(path) | Target::Named(path) => path,
            Target::Annotation => Path::new(""),
        }
    }

    pub fn take(&mut self, event: &Event) {
        self.markdown.take(event);
    }

    /// Writes the summary into its file, as far as there is room; returns a line for the log.
    pub fn write(&mut self, summary: &Summary) -> io::Result<String> {
        match &self.target {
            Target::Appended(path) => {
                let mut file = OpenOptions::new().append(true).create(true).open(path)?;
                let used = usize::try_from(file.metadata()?.len()).unwrap_or(LIMIT);
                let text = self.markdown.text(summary, LIMIT.saturating_sub(used));
                // In one piece: others may append to it too.
                file.write_all(text.as_bytes())?;
                Ok(String::new())
            }
            Target::Named(path) => {
                std::fs::write(path, self.markdown.text(summary, LIMIT))?;
                Ok(format!("##vso[task.uploadsummary]{}\n", path.display()))
            }
            Target::Annotation => Ok(String::new()),
        }
    }

    /// The text of an annotation that a program makes, if there is something to look at.
    pub fn annotation(&mut self, summary: &Summary) -> Option<String> {
        /// What fits into one argument of a process.
        const ROOM: usize = 100 * 1024;
        let Summary { flaky, order_dependent, interfered, leaks, .. } = summary;
        let is_clean = summary.is_success() && flaky + order_dependent + interfered + leaks == 0;
        let is_wanted = matches!(self.target, Target::Annotation) && !is_clean;
        is_wanted.then(|| self.markdown.text(summary, ROOM))
    }
}
