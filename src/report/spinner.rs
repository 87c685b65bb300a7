//! A line for an activity of unknown length.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::settings::Settings;
use crate::process::clock;
use crate::report::live::short;
use crate::report::progress::{is_wanted, status};
use crate::report::screen::Screen;
use crate::report::text::Paint;

/// Indicates an activity of unknown length, such as listing; removed on drop.
pub struct Spinner {
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Spinner {
    pub fn start(settings: &Settings, verb: &'static str, what: String) -> Spinner {
        const INTERVAL: Duration = Duration::from_millis(100);
        if !is_wanted(settings) {
            return Spinner { drawing: None };
        }
        let (until_dropped, ends) = channel();
        let (paint, began) = (Paint(settings.color.stderr), clock::now());
        let draw = move || {
            let mut screen = Screen::stderr();
            while ends.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let what = format!("{what}, {}", short(clock::since(began)));
                screen.draw(|_| vec![status(paint, verb, &what)]);
            }
            screen.clear();
        };
        // The run does not depend on it.
        let thread = std::thread::Builder::new().name("spinner".into()).spawn(draw).ok();
        Spinner { drawing: thread.map(|thread| (until_dropped, thread)) }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some((until_dropped, thread)) = self.drawing.take() {
            drop(until_dropped);
            let _ = thread.join();
        }
    }
}
