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
