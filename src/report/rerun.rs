//! Commands that run tests again, as one types them.

use crate::cargo::binary::Binary;
use crate::cargo::command;
use crate::cli::settings::Settings;
use crate::model::shell::shell_line;

/// The command that runs just this test again.
pub fn alone(settings: &Settings, binary: &Binary, test: &str, is_ignored: bool) -> String {
    let chosen = chosen(&[test], is_ignored.then_some("--ignored"));
    line(settings, binary, &[], &chosen)
}

/// The command that runs a test in one process with others that have changed its state before it.
pub fn with_others(
    settings: &Settings,
    binary: &Binary,
    tests: &[&str],
    is_ignored: bool,
) -> String {
    let chosen = chosen(tests, is_ignored.then_some("--include-ignored"));
    line(settings, binary, &["-j0"], &chosen)
}

/// The command that runs the whole binary of a test in one process.
pub fn whole_binary(settings: &Settings, binary: &Binary) -> String {
    line(settings, binary, &["-j0"], &[])
}

/// What chooses exactly these tests.
fn chosen<'t>(tests: &[&'t str], ignored: Option<&'t str>) -> Vec<&'t str> {
    let is_like_a_flag = tests.iter().any(|test| test.starts_with('-'));
    let flags = [Some("--"), ignored, Some("--exact"), is_like_a_flag.then_some("--")];
    flags.into_iter().flatten().chain(tests.iter().copied()).collect()
}

fn line(settings: &Settings, binary: &Binary, flags: &[&str], chosen: &[&str]) -> String {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut words = owned(&["cargo", "partest"]);
    words.extend(owned(flags));
    words.extend(binary.cargo_flags());
    words.extend(command::flags_to_repeat(&settings.cargo));
    words.extend(owned(chosen));
    shell_line(&words)
}
