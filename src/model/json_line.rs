//! Lines of JSON, as commands print them for scripts.

use serde::Serialize;

/// The value as one line, with its end. It has to be of a type that always serializes: a struct or
/// an enum without maps.
pub fn json_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}
