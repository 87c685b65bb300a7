//! The table that `init` writes: comments, in which what is known of the tests comes first.

use std::fmt::Write;

/// What is known of a project.
#[derive(Debug, Default)]
pub struct Findings {
    /// `workspace` or `package`.
    pub section: &'static str,
    /// The packages that depend on `serial_test`.
    pub serial: Vec<String>,
    /// What `auto` keeps in one process.
    pub units: Vec<Unit>,
    pub has_nextest_config: bool,
}

/// Tests that `auto` keeps in one process.
#[derive(Debug)]
pub struct Unit {
    pub node: String,
    pub tests: usize,
    /// `static web::db::POOL`
    pub why: String,
}

const HEAD: &str = "\
# Settings of `cargo partest`, by `cargo partest init`. All of them are comments: nothing is set yet.
# `cargo partest plan` shows what a change would do, `cargo partest explain TEST` what holds for a test.
";

/// Keys that many projects want; the defaults are those of the program.
const KEYS: &str = "\
# timeout = \"60s\"    # end a test that takes longer; by default none is ended
# retries = 1        # run a failed test again; by default it is not
# leaks = \"deny\"     # fail if a test leaves a thread, a process or a panic behind; default \"warn\"
";

/// Who has more of them looks at the plan.
const UNITS: usize = 20;

/// The lines to add to Cargo.toml.
pub fn template(findings: &Findings) -> String {
    let Findings { section, serial, units, has_nextest_config } = findings;
    let mut text = format!("{HEAD}[{section}.metadata.partest]\n{KEYS}");
    if *has_nextest_config {
        text +=
            "# .config/nextest.toml is not read: `cargo partest migrate` prints it as metadata.\n";
    }
    for package in serial {
        _ = writeln!(
            text,
            "\n# {package} depends on serial_test, whose locks hold within one process: each of its \
             binaries is\n# one unit, and no two of them run at once. Keys `locks` hold across \
             processes, and let other tests run."
        );
    }
    _ = writeln!(text, "\n[{section}.metadata.partest.modules]");
    for Unit { node, tests, why } in units.iter().take(UNITS) {
        let tests = if *tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") };
        _ = writeln!(
            text,
            "# {tests} in one process because of {why}. If each process may have its own:"
        );
        _ = writeln!(text, "# \"{node}\" = \"split\"");
    }
    match units.len() {
        0 => text += NO_UNITS,
        all if all > UNITS => {
            _ = writeln!(text, "# And {} more: see `cargo partest plan`.", all - UNITS);
        }
        _ => {}
    }
    text
}

const NO_UNITS: &str = "\
# No module has a static that would keep its tests in one process. For those that need it otherwise:
# \"crate::module\" = \"unit\"
# \"crate::module::test\" = { locks = [\"port-8080\"], timeout = \"5m\" }
";
