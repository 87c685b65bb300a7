//! The messages of panics in what a test has printed, as the standard library writes them.

/// A panic's message, cut out of a test's output.
#[derive(Debug, PartialEq)]
pub struct PanicMessage<'o> {
    pub thread: &'o str,
    /// `src/lib.rs:29:9`
    pub place: &'o str,
    pub message: &'o str,
    /// The lines of its frames; empty without `RUST_BACKTRACE`.
    pub backtrace: &'o str,
    /// Whether the message is known to end where it does.
    pub is_whole: bool,
    /// What was printed before it, and after it.
    pub before: &'o str,
    pub after: &'o str,
}

/// How the standard library says how to get a backtrace, once in each process.
pub const HINT: &str = "note: run with `RUST_BACKTRACE=";
const BACKTRACE: &str = "stack backtrace:";
const OMITTED: &str = "note: Some details are omitted";

/// The panic that a test failed with: the last one of its own thread, since what it caught came
/// before. Where no thread has its name, the one at the place that is known as the reason.
pub fn find<'o>(output: &'o str, thread: &str, place: Option<&str>) -> Option<PanicMessage<'o>> {
    let headers: Vec<Header<'o>> = headers(output).collect();
    let own = headers.iter().rfind(|header| header.thread == thread);
    let header = own.or(headers.iter().find(|header| Some(header.place) == place))?;
    let next = headers.iter().find(|other| other.start > header.start);
    Some(cut(output, header, next.map(|next| next.start)))
}

/// The last panic in a text.
pub fn find_last(output: &str) -> Option<PanicMessage<'_>> {
    headers(output).last().map(|header| cut(output, &header, None))
}

impl PanicMessage<'_> {
    /// Whether it only says that another thread has panicked, which told its own message.
    pub fn is_of_another_thread(&self) -> bool {
        self.message.ends_with("on an `Err` value: Any { .. }")
            || self.message == "a scoped thread panicked"
    }
}

/// `thread 'main' (4711) panicked at src/lib.rs:29:9:`, and where it stands in the output.
struct Header<'o> {
    thread: &'o str,
    place: &'o str,
    start: usize,
    end: usize,
}

fn headers(output: &str) -> impl Iterator<Item = Header<'_>> {
    let mut end = 0;
    output.split_inclusive('\n').filter_map(move |line| {
        let start = end;
        end += line.len();
        let (thread, place) = header(line.trim_end())?;
        Some(Header { thread, place, start, end })
    })
}

fn header(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.strip_prefix("thread '")?.rsplit_once(" panicked at ")?;
    // The thread's number comes with Rust 1.91.
    let thread = match thread.rsplit_once(" (") {
        Some((name, _)) if thread.ends_with(')') => name,
        _ => thread,
    };
    Some((thread.strip_suffix('\'')?, rest.strip_suffix(':')?))
}

fn cut<'o>(output: &'o str, header: &Header<'o>, next: Option<usize>) -> PanicMessage<'o> {
    let before = &output[..header.start];
    let rest = &output[header.end..next.unwrap_or(output.len())];
    let later = &output[next.unwrap_or(output.len())..];
    let is_end = |line: &str| line.starts_with(HINT) || line.trim_end() == BACKTRACE;
    let end = offset_of(rest, is_end);
    let (message, tail) = rest.split_at(end.unwrap_or(rest.len()));
    let (backtrace, tail) = split_backtrace(tail);
    let has_hint = tail.starts_with(HINT);
    let tail = if has_hint || tail.starts_with(OMITTED) { without_line(tail) } else { tail };
    // Both are parts of one text: what is between them is cut out.
    let after = &output[output.len() - later.len() - tail.len()..];
    let message = message.trim_end();
    let (thread, place) = (header.thread, header.place);
    let is_whole = end.is_some();
    PanicMessage { thread, place, message, backtrace, is_whole, before, after }
}

/// The frames, which are indented, and what comes after them.
fn split_backtrace(text: &str) -> (&str, &str) {
    if !text.starts_with(BACKTRACE) {
        return ("", text);
    }
    let frames = without_line(text);
    let end = offset_of(frames, |line| !line.starts_with("  ")).unwrap_or(frames.len());
    frames.split_at(end)
}

fn offset_of(text: &str, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if is_it(line) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

fn without_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
opening

thread 'tests::opens' (4711) panicked at src/lib.rs:9:5:
caught
thread '<unnamed>' (4712) panicked at src/lib.rs:20:5:
foreign
thread 'tests::opens' panicked at src/lib.rs:29:9:
two
lines
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:689:5
   1: shop::open
             at ./src/lib.rs:29:9
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
closing
";

    #[test]
    fn the_last_panic_of_the_tests_own_thread_is_cut_out() {
        let panic = find(OUTPUT, "tests::opens", None).unwrap();
        assert_eq!((panic.thread, panic.place), ("tests::opens", "src/lib.rs:29:9"));
        assert_eq!(panic.message, "two\nlines");
        assert_eq!(panic.backtrace.lines().count(), 4, "{panic:?}");
        assert!(panic.before.ends_with("foreign\n"), "{panic:?}");
        assert_eq!(panic.after, "closing\n");
    }

    #[test]
    fn the_one_at_the_known_place_stands_for_a_thread_of_another_name() {
        assert_eq!(find(OUTPUT, "main", None), None);
        let panic = find(OUTPUT, "main", Some("src/lib.rs:9:5")).unwrap();
        assert_eq!((panic.place, panic.message), ("src/lib.rs:9:5", "caught"));
        assert!(panic.after.starts_with("thread '<unnamed>'"), "{panic:?}");
    }

    #[test]
    fn the_hint_is_no_part_of_the_message() {
        let output = "thread 'a' panicked at b.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nmore\n";
        let panic = find(output, "a", None).unwrap();
        assert_eq!((panic.message, panic.after), ("boom", "more\n"));
    }

    #[test]
    fn other_lines_are_no_panics() {
        for line in ["thread 'a' panicked at 'boom', b.rs:1:2", "the thread 'a' panicked at b:"] {
            assert_eq!(find(line, "a", None), None, "{line}");
        }
    }
}
