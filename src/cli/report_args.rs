//! The flags for reports that are written to files, as typed.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::model::report_kind::ReportKind;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Reports")]
pub struct ReportArgs {
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub junit: Option<PathBuf>,
    /// Write the results as Markdown to this file
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub markdown: Option<PathBuf>,
    /// Write what ran when, with failures and leaks, as one HTML page to this file
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub html: Option<PathBuf>,
    /// Write what ran when as a trace for Perfetto or Chrome to this file
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub trace: Option<PathBuf>,
    /// Do not print annotations, groups or a job summary for the CI system
    #[arg(long, global = true, hide_short_help = true)]
    pub no_ci: bool,
}

impl ReportArgs {
    /// Where to write a report of this kind, if the user has said so.
    pub fn path(&self, kind: ReportKind) -> Option<&PathBuf> {
        match kind {
            ReportKind::Junit => self.junit.as_ref(),
            ReportKind::Markdown => self.markdown.as_ref(),
            ReportKind::Html => self.html.as_ref(),
            ReportKind::Trace => self.trace.as_ref(),
        }
    }
}
