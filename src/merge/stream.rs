//! The streams in a file. There may be several: a job that is started again may append to the file
//! of the machine that died.

use std::path::{Path, PathBuf};

use super::line::{Finished, Line, RunStarted, Shard};

/// What one run has written.
#[derive(Debug)]
pub struct Stream {
    pub path: PathBuf,
    pub started: RunStarted,
    pub shard: Option<Shard>,
    /// What is between the beginning and the end.
    pub lines: Vec<Line>,
    pub end: End,
}

#[derive(Debug)]
pub enum End {
    Finished(Finished),
    /// The run has ended without a result, and why.
    NoResult(String),
    /// There is no last event: the machine died, or not all has been copied.
    Cut,
    /// A line that cannot be read, and why.
    Damaged(usize, String),
}

/// What a file has in it.
#[derive(Debug, Default)]
pub struct StreamFile {
    pub streams: Vec<Stream>,
    /// Why there is no run in it, if one ended before it began.
    pub no_run: Option<String>,
}

impl StreamFile {
    /// The error names the file.
    pub fn read(path: &Path) -> Result<StreamFile, String> {
        let named = path.display();
        let bytes =
            std::fs::read(path).map_err(|error| format!("cannot read `{named}`: {error}"))?;
        let text = String::from_utf8_lossy(&bytes);
        let file = StreamFile::of_text(path, &text);
        let is_ours = file.no_run.is_some() || !file.streams.is_empty() || text.trim().is_empty();
        match is_ours {
            true => Ok(file),
            false => Err(format!(
                "`{named}` is not a result of `cargo partest --message-format json`: no `run-started` is in it"
            )),
        }
    }

    fn of_text(path: &Path, text: &str) -> StreamFile {
        let mut file = StreamFile::default();
        for (number, line) in (1..).zip(text.lines()) {
            match serde_json::from_str(line) {
                Ok(line) => file.take(path, line),
                Err(error) => {
                    let is_last_half = !text.ends_with('\n') && number == text.lines().count();
                    if !is_last_half {
                        file.damage(number, &error);
                    }
                    // What was cut has no end of a line.
                    if let Some(line) = appended(line) {
                        file.take(path, line);
                    }
                }
            }
        }
        file
    }

    fn take(&mut self, path: &Path, line: Line) {
        let open = self.streams.last_mut().filter(|stream| matches!(stream.end, End::Cut));
        match (line, open) {
            (Line::RunStarted(started), _) => self.streams.push(Stream {
                path: path.to_owned(),
                started,
                shard: None,
                lines: Vec::new(),
                end: End::Cut,
            }),
            (Line::Shard(shard), Some(stream)) => stream.shard = Some(shard),
            (Line::RunFinished(finished), Some(stream)) => stream.end = End::Finished(finished),
            (
                Line::BuildFailed(end)
                | Line::UsageError(end)
                | Line::Interrupted(end)
                | Line::Error(end),
                open,
            ) => match open {
                Some(stream) => stream.end = End::NoResult(end.reason),
                None => self.no_run = Some(end.reason),
            },
            (line, Some(stream)) => stream.lines.push(line),
            (_, None) => {}
        }
    }

    fn damage(&mut self, number: usize, error: &serde_json::Error) {
        if let Some(stream) = self.streams.last_mut()
            && matches!(stream.end, End::Cut)
        {
            stream.end = End::Damaged(number, error.to_string());
        }
    }
}

/// The first line of a stream that was appended to half a line.
fn appended(line: &str) -> Option<Line> {
    let at = line.rfind(r#"{"event":"run-started""#)?;
    serde_json::from_str(&line[at..]).ok()
}

impl Stream {
    pub fn finished(&self) -> Option<&Finished> {
        match &self.end {
            End::Finished(finished) => Some(finished),
            _ => None,
        }
    }

    /// `shard 2/5`, or `the run`.
    pub fn name(&self) -> String {
        match &self.shard {
            Some(shard) => format!("shard {}/{}", shard.shard, shard.shards),
            None => "the run".to_owned(),
        }
    }

    /// How many tests have a verdict.
    pub fn verdicts(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line, Line::Test(_))).count()
    }

    /// Why it has not the results of all of its tests, if that is so.
    pub fn trouble(&self) -> Option<String> {
        let path = self.path.display();
        let after = || match self.verdicts() {
            1 => "after 1 test".to_owned(),
            tests => format!("after {tests} tests"),
        };
        Some(match &self.end {
            End::Finished(finished) if finished.interrupted => {
                format!("`{path}` was interrupted {}", after())
            }
            End::Finished(finished) if finished.not_run > 0 => {
                format!("`{path}` has stopped {}", after())
            }
            End::Finished(_) => return None,
            End::NoResult(reason) => format!("`{path}` has no result: {reason}"),
            End::Cut => format!("`{path}` is cut off {}", after()),
            End::Damaged(line, why) => format!("`{path}` is damaged in line {line}: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{"event":"run-started","run":"1","tests":1,"binaries":1,"slots":2}"#;
    const FINISHED: &str = r#"{"event":"run-finished","not-run":0,"leaks":0,"list-failures":0,"processes":1,"interrupted":false,"seconds":0.1}"#;

    fn ends(text: &str) -> Vec<&'static str> {
        let file = StreamFile::of_text(Path::new("a.json"), text);
        let end = |stream: &Stream| match &stream.end {
            End::Finished(_) => "finished",
            End::NoResult(_) => "no result",
            End::Cut => "cut",
            End::Damaged(..) => "damaged",
        };
        file.streams.iter().map(end).collect()
    }

    #[test]
    fn a_file_has_as_many_streams_as_there_were_runs() {
        let whole = format!("{STARTED}\n{FINISHED}\n");
        assert_eq!(ends(&whole), ["finished"]);
        assert_eq!(ends(&whole.repeat(2)), ["finished"; 2]);
        assert_eq!(ends(""), [""; 0]);
        assert_eq!(ends(&format!("{STARTED}\n")), ["cut"]);
        assert_eq!(ends(&format!("{STARTED}\n{{\"event\":\"te")), ["cut"]);
        assert_eq!(ends(&format!("{STARTED}\n{whole}")), ["cut", "finished"]);
        assert_eq!(ends(&format!("{STARTED}\n{{\"event\":\"te{whole}")), ["damaged", "finished"]);
        assert_eq!(
            ends(&format!("{STARTED}\nslurmstepd: killed\n{whole}")),
            ["damaged", "finished"]
        );
        assert_eq!(ends(&format!("{STARTED}\nx\n{FINISHED}\n")), ["damaged"]);
        let failed = r#"{"event":"error","reason":"no disk","exit-code":1}"#;
        assert_eq!(ends(&format!("{STARTED}\n{failed}\n")), ["no result"]);
        let before = StreamFile::of_text(Path::new("a.json"), failed);
        assert_eq!(before.no_run.as_deref(), Some("no disk"));
    }
}
