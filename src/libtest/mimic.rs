//! What a harness that is built on `libtest-mimic` is called with, and says.

/// Unless colors are always on, such a harness looks for them in all that it prints, byte by byte, to
/// take them out. In a debug build that takes longer than the rest of its work, and its lists and
/// logs have none.
pub const COLOR: [&str; 2] = ["--color", "always"];

/// The message of a panic, of which such a harness tells as of an error that a test has returned:
/// `Error: "test panicked: no such file"`.
pub fn panic_message(line: &str) -> Option<&str> {
    let rest = line.trim_end().strip_prefix("Error: \"test panicked")?.strip_suffix('"')?;
    let rest = Some(rest).filter(|rest| !rest.contains('\n'))?;
    Some(rest.strip_prefix(": ").unwrap_or(rest))
}
