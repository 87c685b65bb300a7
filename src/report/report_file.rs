//! A report that is written to a file at the end of the run, whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::document::Document;
use super::junit::Junit;
use super::markdown::Markdown;
use super::picture::html::Html;
use super::picture::trace::Trace;
use super::view::View;
use crate::model::event::Event;
use crate::model::report_kind::ReportKind;
use crate::model::summary::Summary;
use crate::state;

pub struct ReportFile<'r> {
    path: PathBuf,
    document: Box<dyn Document + 'r>,
}

impl<'r> ReportFile<'r> {
    pub fn new(kind: ReportKind, view: View<'r>, path: PathBuf) -> ReportFile<'r> {
        let document: Box<dyn Document + 'r> = match kind {
            ReportKind::Junit => Box::new(Junit::new(view)),
            ReportKind::Markdown => Box::new(Markdown::new(view)),
            ReportKind::Html => Box::new(Html::new(view)),
            ReportKind::Trace => Box::new(Trace::new(view)),
        };
        ReportFile { path, document }
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes an event. The end of the run writes the file.
    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunFinished(summary) => self.write(summary),
            event => {
                self.document.take(event);
                Ok(())
            }
        }
    }

    /// Writes the file as a whole, by renaming a temporary one. What is no regular file, such as a
    /// pipe, is written to.
    fn write(&mut self, summary: &Summary) -> io::Result<()> {
        let path = &self.path;
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = std::fs::OpenOptions::new().write(true).open(path)?;
            return buffered(&mut *self.document, summary, file);
        }
        // What reads it may be another user.
        state::replace_file(path, state::ORDINARY, |file| {
            buffered(&mut *self.document, summary, file)
        })
    }
}

fn buffered(document: &mut dyn Document, summary: &Summary, file: impl Write) -> io::Result<()> {
    let mut buffered = BufWriter::new(file);
    document.write(summary, &mut buffered)?;
    buffered.flush()
}
