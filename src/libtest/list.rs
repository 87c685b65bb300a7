//! The lists that test binaries print.

use serde::Deserialize;

/// Reads `--list --format terse`: a line `NAME: test` for each test, or `NAME: benchmark`, which
/// `libtest-mimic` calls `bench`. Whatever else a binary prints before or behind is left aside.
pub fn parse_list(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim_end_matches('\r');
        let name =
            [": test", ": benchmark", ": bench"].iter().find_map(|end| line.strip_suffix(end));
        name.map(str::to_owned)
    };
    text.lines().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// A test, and whether it is ignored.
type Discovered = (String, bool);

/// The last line of a list in JSON.
#[derive(Deserialize)]
struct Completed {
    total: usize,
    ignored: usize,
}

/// Reads libtest's `--list --format json`, which says of each test whether it is ignored. None if it is
/// not complete, or not in this form, which is unstable.
pub fn parse_json_list(text: &str) -> Option<Vec<Discovered>> {
    let mut tests = Vec::new();
    let mut completed: Option<Completed> = None;
    for line in text.lines() {
        let Some((kind, rest)) =
            line.strip_prefix("{ \"type\": \"").and_then(|rest| rest.split_once("\", \"event\": "))
        else {
            continue;
        };
        if let Some(rest) = rest.strip_prefix("\"discovered\", \"name\": ") {
            tests.push(discovered(rest)?);
        } else if kind == "suite" && rest.starts_with("\"completed\"") {
            completed = Some(serde_json::from_str(line).ok()?);
        }
    }
    let ignored = tests.iter().filter(|(_, is_ignored)| *is_ignored).count();
    completed.filter(|all| all.total == tests.len() && all.ignored == ignored).map(|_| tests)
}

/// Reads the name and what follows it. Not the whole line: libtest writes the reason why a test is
/// ignored without escaping it.
fn discovered(rest: &str) -> Option<Discovered> {
    let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let name = names.next()?.ok()?;
    let rest = rest[names.byte_offset()..].strip_prefix(", \"ignore\": ")?;
    match rest.split_once(',')?.0 {
        "true" => Some((name, true)),
        "false" => Some((name, false)),
        _ => None,
    }
}

/// The name without the kind of a test, where that stands before it, as in `[kind] name`. Logs of
/// `libtest-mimic` have the name only.
pub fn without_kind(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.split_once("] ").map(|(_, name)| name)
}
