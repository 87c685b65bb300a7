//! What people and scripts get to see. Every report folds the same stream of events.

mod human;
mod json;
pub mod messages;
mod plan;
mod progress;

use std::cmp::Ordering;
use std::io::{self, Write};

use crate::cli::args::MessageFormat;
use crate::cli::settings::{Settings, Verbosity};
use crate::discovery::inventory::Inventory;
use crate::error::{Error, Result};
use crate::model::event::Event;
use crate::model::test::TestId;
use crate::process::stderr::write_line_over_progress;
use crate::run::interrupt::Notice;

pub use human::is_cut;
pub use plan::{list, plan};
pub use progress::{Spinner, status};

/// What a report may know besides the events.
#[derive(Clone, Copy)]
pub struct View<'r> {
    pub inventory: &'r Inventory,
    pub settings: &'r Settings,
}

impl View<'_> {
    pub fn id(&self, test: TestId) -> String {
        let listing = &self.inventory.listings[test.listing];
        listing.binary.id(&listing.tests[test.test].name)
    }

    /// The order of tests in every report. That of their places hangs on what was built first.
    pub fn compare(&self, one: TestId, other: TestId) -> Ordering {
        let listings = &self.inventory.listings;
        let binaries = match one.listing == other.listing {
            true => Ordering::Equal,
            false => listings[one.listing].binary.compare(&listings[other.listing].binary),
        };
        binaries.then(one.cmp(&other))
    }
}

/// All reports of a run.
pub struct Reports<'r> {
    view: View<'r>,
    progress: progress::Progress,
    result: Sink<'r>,
    /// Why the result cannot be written any more.
    failure: Option<io::Error>,
}

/// What goes to stdout.
enum Sink<'r> {
    Human(human::Human<'r>),
    Json(json::Json<'r>),
}

impl<'r> Reports<'r> {
    pub fn new(view: View<'r>) -> Reports<'r> {
        let result = match view.settings.format {
            MessageFormat::Human => Sink::Human(human::Human::new(view)),
            MessageFormat::Json => Sink::Json(json::Json::new(view)),
        };
        let progress = progress::Progress::new(view.settings);
        Reports { view, progress, result, failure: None }
    }

    /// Whether the passing of time changes anything that is shown.
    pub fn ticks(&self) -> bool {
        self.progress.is_drawn()
    }

    /// Shows an event; false once nobody reads the result any more.
    pub fn show(&mut self, event: &Event) -> bool {
        self.progress.show(event, &self.view);
        let shown = match &mut self.result {
            Sink::Human(human) => human.show(event),
            Sink::Json(json) => json.show(event),
        };
        if let Err(error) = shown {
            self.failure.get_or_insert(error);
        }
        self.failure.is_none()
    }

    /// Whether all of the result was written, or as much of it as somebody wanted to read.
    pub fn end(self) -> Result<()> {
        self.failure.map_or(Ok(()), |error| unless_closed(Err(error)))
    }
}

/// Writes a result and says whether somebody still reads it.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A closed pipe has seen enough; a full disk has lost what somebody wanted to keep.
pub fn unless_closed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Result(error)),
        _ => Ok(()),
    }
}

/// Shows what has to be said besides the events of a run.
pub fn show_notice(notice: &Notice) {
    write_line_over_progress(&messages::notice(notice));
}

/// Styles for one stream: colored, or plain.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn style(self, style: console::Style, text: &str) -> String {
        style.force_styling(self.0).apply_to(text).to_string()
    }

    pub fn good(self, text: &str) -> String {
        self.style(console::Style::new().green().bold(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.style(console::Style::new().red().bold(), text)
    }

    pub fn warn(self, text: &str) -> String {
        self.style(console::Style::new().yellow().bold(), text)
    }

    pub fn strong(self, text: &str) -> String {
        self.style(console::Style::new().bold(), text)
    }

    pub fn faint(self, text: &str) -> String {
        self.style(console::Style::new().dim(), text)
    }
}

fn is_quiet(settings: &Settings) -> bool {
    settings.verbosity == Verbosity::Quiet
}
