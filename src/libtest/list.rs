//! The lists that test binaries print.

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

/// The name without the kind of a test, where that stands before it, as in `[kind] name`. Logs of
/// `libtest-mimic` have the name only.
pub fn without_kind(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.split_once("] ").map(|(_, name)| name)
}
