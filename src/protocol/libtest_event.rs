//! One line of libtest's JSON.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

/// Fields that its kind does not have are empty.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Line<'l> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'l, str>,
    #[serde(default, borrow)]
    pub event: Cow<'l, str>,
    #[serde(default, borrow)]
    pub name: Cow<'l, str>,
    #[serde(default)]
    exec_time: Option<f64>,
    #[serde(default)]
    pub stdout: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    /// How many tests libtest says it has run, at the end of a suite.
    #[serde(default)]
    passed: usize,
    #[serde(default)]
    failed: usize,
    #[serde(default)]
    ignored: usize,
}

/// How many tests came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
}

impl Counts {
    pub fn all(self) -> usize {
        self.passed + self.failed + self.ignored
    }
}

/// How every event of libtest's begins.
const BEGINNING: &[u8] = b"{ \"type\": \"";

/// The events among what else stands in these bytes, with where they stand.
pub fn events_in(bytes: &[u8]) -> Vec<(Range<usize>, Line<'_>)> {
    let begin = memchr::memmem::find_iter(bytes, BEGINNING);
    let event = |begin: usize| {
        let mut events = serde_json::Deserializer::from_slice(&bytes[begin..]).into_iter();
        let event = events.next()?.ok()?;
        Some((begin..begin + events.byte_offset(), event))
    };
    begin.filter_map(event).collect()
}

impl<'l> Line<'l> {
    /// None for what is no event.
    pub fn read(bytes: &'l [u8]) -> Option<Line<'l>> {
        std::str::from_utf8(bytes)
            .ok()
            .and_then(Line::read_usual)
            .or_else(|| serde_json::from_slice(bytes).ok())
    }

    /// The two lines that nearly every test comes to, as libtest writes them: a tiny test takes
    /// not much longer than reading them by the rules of JSON.
    fn read_usual(line: &'l str) -> Option<Line<'l>> {
        let rest = line.strip_prefix("{ \"type\": \"test\", ")?.strip_suffix(" }")?;
        let (event, name, exec_time) = match rest.strip_prefix("\"event\": \"started\", ") {
            Some(rest) => ("started", rest, None),
            None => {
                let (rest, took) = rest.rsplit_once(',')?;
                let took = took.strip_prefix(" \"exec_time\": ")?;
                ("ok", rest.strip_suffix(", \"event\": \"ok\"")?, Some(decimal(took)?))
            }
        };
        let name = name.strip_prefix("\"name\": \"")?.strip_suffix('"')?;
        let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\');
        name.bytes().all(is_plain).then(|| Line {
            kind: "test".into(),
            event: event.into(),
            name: name.into(),
            exec_time,
            stdout: None,
            message: None,
            passed: 0,
            failed: 0,
            ignored: 0,
        })
    }

    /// At the end of a suite.
    pub fn counts(&self) -> Counts {
        Counts { passed: self.passed, failed: self.failed, ignored: self.ignored }
    }

    pub fn took(&self) -> Option<Duration> {
        self.exec_time.and_then(|took| Duration::try_from_secs_f64(took).ok())
    }
}

/// A number as libtest writes durations; what else may be one is left to others.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    text.bytes().all(is_decimal).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_lines_read_as_all_others_do() {
        let table = [
            (r#"{ "type": "test", "event": "started", "name": "tests::a" }"#, true),
            (
                r#"{ "type": "test", "name": "tests::a", "event": "ok", "exec_time": 0.000012345 }"#,
                true,
            ),
            (
                r#"{ "type": "test", "name": "ä - should panic", "event": "ok", "exec_time": 12 }"#,
                true,
            ),
            (r#"{ "type": "test", "name": "a", "event": "ok", "exec_time": 1e-7 }"#, false),
            (
                r#"{ "type": "test", "name": "a", "event": "ok", "exec_time": 1, "stdout": "x" }"#,
                false,
            ),
            (r#"{ "type": "test", "name": "a\n", "event": "ok", "exec_time": 1.5 }"#, false),
            (r#"{ "type": "test", "name": "a", "event": "failed", "message": "m" }"#, false),
            (r#"{ "type": "suite", "event": "started", "test_count": 2 }"#, false),
            (r#"{"type":"test","event":"started","name":"a"}"#, false),
        ];
        for (text, is_usual) in table {
            let by_the_rules: Line<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(Line::read_usual(text).is_some(), is_usual, "{text}");
            assert_eq!(Line::read(text.as_bytes()), Some(by_the_rules), "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_none() {
        let table: [&[u8]; 7] = [
            b"",
            b"running 2 tests",
            b"{ \"type\": \"test\", ",
            b"{ \"type\": \"test\", \"event\": \"started\", \"name\": \"a\"b\" }",
            b"{ \"type\": \"test\", \"event\": \"started\", \"name\": \"\x01\" }",
            b"{ \"type\": \"test\", \"name\": \"a\", \"event\": \"ok\", \"exec_time\": . }",
            b"\xff",
        ];
        for text in table {
            assert_eq!(Line::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn events_are_found_among_anything() {
        let (a, b) = (
            r#"{ "type": "test", "event": "started", "name": "a{ \"type\": \"x" }"#,
            r#"{ "type": "suite", "event": "ok", "passed": 3, "failed": 0, "ignored": 1 }"#,
        );
        let text = format!("x{{ \"type\": \"{a}}}{b}\u{fffd}");
        let found = events_in(text.as_bytes());
        let texts: Vec<_> = found.iter().map(|(range, _)| &text[range.clone()]).collect();
        assert_eq!(texts, [a, b]);
        assert_eq!(found[1].1.counts(), Counts { passed: 3, failed: 0, ignored: 1 });
    }
}
