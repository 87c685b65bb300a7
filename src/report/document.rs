//! The content of a report that is written to a file: folded while the run goes on, and written at
//! its end.

use std::io::{self, Write};

use crate::model::event::Event;
use crate::model::summary::Summary;

pub trait Document {
    /// Takes an event of the run, before its end.
    fn take(&mut self, event: &Event);

    /// Writes the whole of it, at the end of the run.
    fn write(&mut self, summary: &Summary, file: &mut dyn Write) -> io::Result<()>;
}
