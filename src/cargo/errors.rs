//! The errors that cargo and the compiler write to stderr, for reports that nobody reads beside it.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// How many errors are kept, and how much text.
const MOST: usize = 20;
const TAIL: usize = 256 * 1024;

/// What the build writes to stderr: passed on as it comes, and its end kept.
#[derive(Debug)]
pub struct BuildErrors {
    tail: Arc<Mutex<Vec<u8>>>,
    /// Disconnected at the end of the stream.
    end: Receiver<()>,
}

impl BuildErrors {
    pub fn follow(mut stderr: impl Read + Send + 'static) -> Result<BuildErrors> {
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (is_open, end) = channel::<()>();
        let kept = tail.clone();
        let read = move || {
            let mut chunk = [0; 8 * 1024];
            while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                // A stderr that nobody reads any more is no reason to stop the build.
                let _ = std::io::stderr().write_all(&chunk[..length]);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[..length]);
                let surplus = kept.len().saturating_sub(TAIL);
                kept.drain(..surplus);
            }
            drop(is_open);
        };
        let thread = std::thread::Builder::new().name("cargo's stderr".into()).spawn(read);
        thread.map(|_| BuildErrors { tail, end }).map_err(Error::Thread)
    }

    /// The last errors, when cargo has exited.
    pub fn last(&self) -> Vec<String> {
        // What cargo leaves running, a compiler cache's server say, may hold the pipe open.
        const PATIENCE: Duration = Duration::from_secs(1);
        let _ = self.end.recv_timeout(PATIENCE);
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        errors_in(&String::from_utf8_lossy(&tail))
    }
}

/// The last errors in this text, each with all of its lines, without styles.
fn errors_in(text: &str) -> Vec<String> {
    let plain = console::strip_ansi_codes(text);
    let mut errors: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in plain.lines() {
        // What stands before a carriage return was a progress bar.
        let line = line.rsplit('\r').next().unwrap_or_default();
        if is_title(line, "error") {
            errors.push(String::new());
            is_inside = true;
        } else if is_title(line, "warning") || is_progress(line) {
            is_inside = false;
        }
        if let Some(error) = errors.last_mut().filter(|_| is_inside) {
            error.push_str(line);
            error.push('\n');
        }
    }
    errors.drain(..errors.len().saturating_sub(MOST));
    errors.iter().map(|error| error.trim_end().to_owned()).collect()
}

/// `error: …`, `error[E0308]: …`
fn is_title(line: &str, level: &str) -> bool {
    line.strip_prefix(level).is_some_and(|rest| rest.starts_with([':', '[']))
}

/// `   Compiling web v0.1.0`: a verb that ends in the twelfth column.
fn is_progress(line: &str) -> bool {
    let verb = line.get(..12).map(str::trim_start).unwrap_or_default();
    line.starts_with(' ')
        && line.get(12..).is_some_and(|rest| rest.starts_with(' '))
        && verb.starts_with(|c: char| c.is_ascii_uppercase())
        && verb.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_among_progress_and_warnings() {
        let text = "   Compiling web v0.1.0\nwarning: unused\n --> a\n\n\
            \u{1b}[1m\u{1b}[91merror[E0308]\u{1b}[0m: mismatched types\n --> src/lib.rs:7:5\n\n\
            \u{20}   Building [==> ] 1/2: web\rerror: two\n\nCaused by:\n  three\n\
            \u{20}   Finished in 1s\nlate\nerror: could not compile `web`\n";
        assert_eq!(
            errors_in(text),
            [
                "error[E0308]: mismatched types\n --> src/lib.rs:7:5",
                "error: two\n\nCaused by:\n  three",
                "error: could not compile `web`",
            ]
        );
        let many: String = (0..30).map(|at| format!("error: {at}\n")).collect();
        let last = errors_in(&many);
        assert_eq!((last.len(), last[0].as_str()), (MOST, "error: 10"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_search_panic(text in "( {0,12}|error|warning|[A-Zé]{1,14}|[:\\[\r\n\u{1b}]){0,20}") {
            errors_in(&text);
        }
    }
}
