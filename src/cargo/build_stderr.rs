//! What cargo and the compiler write to stderr where that is a pipe: passed on, and the last errors
//! kept, for reports that nobody reads beside it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// How many errors are kept, and how much text.
const MOST: usize = 20;
const TAIL: usize = 256 * 1024;

/// How much of a line is held back for its end.
const LONGEST_LINE: usize = 64 * 1024;

/// The stderr of a build.
///
/// cargo writes a line of progress piece by piece, and may be ended within one. Where no terminal is,
/// lines are passed on as wholes, so that nothing else is written into one.
#[derive(Debug)]
pub struct BuildStderr {
    tail: Arc<Mutex<Vec<u8>>>,
    /// For the mark; until then the pipe has no end.
    end: Option<(PipeWriter, Receiver<()>)>,
    mark: Vec<u8>,
}

impl BuildStderr {
    /// Makes it the stderr of this command.
    pub fn pipe(command: &mut Command) -> Result<BuildStderr> {
        let pipe = |source| Error::Start { program: "a pipe for cargo's stderr".into(), source };
        let (reader, writer) = io::pipe().map_err(pipe)?;
        command.stderr(writer.try_clone().map_err(pipe)?);
        // Nobody else can know it.
        let mark = format!("\0{:016x}\0", RandomState::new().hash_one(std::process::id()));
        let mark = mark.into_bytes();
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (has_ended, end) = channel();
        let by_line = !io::stderr().is_terminal();
        let mut held = Held { mark: mark.clone(), by_line, text: Vec::new() };
        let kept = tail.clone();
        let pass_on = move |text: &[u8]| {
            // A stderr that nobody reads any more is no reason to stop the build.
            let _ = io::stderr().write_all(text);
            keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), text);
        };
        let follow = move || {
            for_each_chunk(reader, |chunk| {
                let (text, is_marked) = held.release(chunk);
                pass_on(&text);
                if is_marked {
                    // Nobody waits if the build has been given up.
                    let _ = has_ended.send(());
                }
            });
            pass_on(&held.text);
        };
        let thread = std::thread::Builder::new().name("cargo's stderr".into()).spawn(follow);
        thread.map_err(Error::Thread)?;
        Ok(BuildStderr { tail, end: Some((writer, end)), mark })
    }

    /// Waits until everything that cargo has written is passed on, after its exit. What it leaves
    /// running, a compiler cache's server say, may still hold the pipe open, so its end says
    /// nothing; but what we write now comes behind all that cargo wrote.
    pub fn finish(&mut self) {
        if let Some((mut writer, end)) = self.end.take()
            && writer.write_all(&self.mark).is_ok()
        {
            let _ = end.recv();
        }
    }

    /// The last errors, when it is finished.
    pub fn last_errors(&self) -> Vec<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        errors_in(&String::from_utf8_lossy(&tail))
    }
}

fn for_each_chunk(mut pipe: PipeReader, mut take: impl FnMut(&[u8])) {
    let mut chunk = [0; 8 * 1024];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => take(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

fn keep(tail: &mut Vec<u8>, text: &[u8]) {
    tail.extend_from_slice(text);
    let surplus = tail.len().saturating_sub(TAIL);
    tail.drain(..surplus);
}

/// The end of a stream that is not passed on yet: the beginning of a line, or of the mark.
#[derive(Debug)]
struct Held {
    mark: Vec<u8>,
    /// Whether lines are passed on as wholes. A progress bar ends in no line feed.
    by_line: bool,
    text: Vec<u8>,
}

impl Held {
    /// What can be passed on, now that this has been read, and whether the mark came with it. A line
    /// that ends at the mark is given a line feed.
    fn release(&mut self, chunk: &[u8]) -> (Vec<u8>, bool) {
        self.text.extend_from_slice(chunk);
        let mark = self.text.windows(self.mark.len()).position(|window| window == self.mark);
        let mut released = Vec::new();
        if let Some(at) = mark {
            released.extend(self.text.drain(..at));
            self.text.drain(..self.mark.len());
            if self.by_line && released.last().is_some_and(|last| *last != b'\n') {
                released.push(b'\n');
            }
        }
        released.extend(self.text.drain(..self.whole()));
        (released, mark.is_some())
    }

    /// How much of the text has nothing to wait for.
    fn whole(&self) -> usize {
        let length = self.text.len();
        let is_of_mark = |at: &usize| self.mark.starts_with(&self.text[*at..]);
        let mark = length.saturating_sub(self.mark.len());
        let mark = (mark..length).find(is_of_mark).unwrap_or(length);
        let line = self.text[..mark].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if self.by_line && mark - line < LONGEST_LINE { line } else { mark }
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

    const MARK: &[u8] = b"\0mark\0";

    /// What is passed on of a stream that is read in such pieces, and where the mark was found.
    fn passed_on<'p>(
        by_line: bool,
        pieces: impl Iterator<Item = &'p [u8]>,
    ) -> (Vec<Vec<u8>>, Vec<usize>) {
        let mut held = Held { mark: MARK.to_vec(), by_line, text: Vec::new() };
        let mut marks = Vec::new();
        let mut passed_on = Vec::new();
        for (at, piece) in pieces.enumerate() {
            let (text, is_marked) = held.release(piece);
            passed_on.push(text);
            marks.extend(is_marked.then_some(at));
        }
        passed_on.push(held.text);
        (passed_on, marks)
    }

    #[test]
    fn lines_are_passed_on_as_wholes_and_the_last_one_is_ended_at_the_mark() {
        let pieces: [&[u8]; 5] = [b"   Comp", b"iling a\n   Compi", b"\0mar", b"k\0late", b"r\n"];
        let (passed_on, marks) = passed_on(true, pieces.into_iter());
        let expected: [&[u8]; 6] = [b"", b"   Compiling a\n", b"", b"   Compi\n", b"later\n", b""];
        assert_eq!((passed_on, marks), (expected.map(<[u8]>::to_vec).to_vec(), vec![3]));
    }

    #[test]
    fn a_progress_bar_and_a_line_without_an_end_are_passed_on_at_once() {
        let pieces: [&[u8]; 3] = [b"  Building [=> ] 1/2\r", b"a\0b\0m", b"e\0mark\0"];
        let (text, marks) = passed_on(false, pieces.into_iter());
        let expected: [&[u8]; 4] = [pieces[0], b"a\0b", b"\0me", b""];
        assert_eq!((text, marks), (expected.map(<[u8]>::to_vec).to_vec(), vec![2]));
        let long = vec![b'-'; LONGEST_LINE];
        let (text, _) = passed_on(true, [&long[1..], b"-", b"end"].into_iter());
        assert_eq!(text, [Vec::new(), long, Vec::new(), b"end".to_vec()]);
    }

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
        fn nothing_is_lost_and_the_mark_is_found_wherever_a_stream_is_split(
            before in "[a\n\0m]{0,12}", after in "[a\n]{0,12}", size in 1..8_usize, by_line: bool
        ) {
            let stream = [before.as_bytes(), MARK, after.as_bytes()].concat();
            let (text, marks) = passed_on(by_line, stream.chunks(size));
            let is_cut = by_line && !before.is_empty() && !before.ends_with('\n');
            let feed = if is_cut { "\n" } else { "" };
            assert_eq!(text.concat(), [&before, feed, &after].concat().as_bytes());
            assert_eq!(marks.len(), 1);
        }

        #[test]
        fn no_text_makes_the_search_panic(text in "( {0,12}|error|warning|[A-Zé]{1,14}|[:\\[\r\n\u{1b}]){0,20}") {
            errors_in(&text);
        }
    }
}
