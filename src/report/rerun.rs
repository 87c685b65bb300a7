//! Commands that run tests again, as one types them.

use crate::cargo::binary::Binary;
use crate::cargo::command;
use crate::cli::settings::Settings;
use crate::filterset::compile::binary_id;
use crate::model::shell::shell_line;

/// The command that runs just this test again.
pub fn alone(settings: &Settings, binary: &Binary, test: &str, is_ignored: bool) -> String {
    let chosen = chosen(&[test], &[is_ignored.then_some("--ignored")]);
    line(settings, Vec::new(), flags_to_select(settings, binary), &chosen)
}

/// The command that runs a test in one process with others that have changed its state before it.
pub fn with_others(
    settings: &Settings,
    binary: &Binary,
    tests: &[&str],
    is_ignored: bool,
) -> String {
    let chosen = chosen(tests, &[is_ignored.then_some("--include-ignored")]);
    line(settings, in_one_process(), flags_to_select(settings, binary), &chosen)
}

/// The command that runs the whole binary of a test in one process.
pub fn whole_binary(settings: &Settings, binary: &Binary) -> String {
    line(settings, in_one_process(), flags_to_select(settings, binary), &[])
}

fn in_one_process() -> Vec<String> {
    vec!["-j0".to_owned()]
}

/// What chooses this binary: flags for cargo, or an expression where the tests are from an archive.
pub fn flags_to_select(settings: &Settings, binary: &Binary) -> Vec<String> {
    if settings.archive.archive.is_none() {
        return binary.cargo_flags();
    }
    let id = binary_id(&binary.package_name, binary.kind, &binary.target);
    vec!["-E".to_owned(), format!("binary_id(={id})")]
}

/// What chooses exactly these tests, with flags for libtest before it.
pub fn chosen<'t>(tests: &[&'t str], flags: &[Option<&'t str>]) -> Vec<&'t str> {
    let is_like_a_flag = tests.iter().any(|test| test.starts_with('-'));
    let exact = [Some("--exact"), is_like_a_flag.then_some("--")];
    let words = [Some("--")].into_iter().chain(flags.iter().copied()).chain(exact);
    words.flatten().chain(tests.iter().copied()).collect()
}

/// A whole command: what names the archive of the tests, our flags, those that choose binaries,
/// those of this run that have to be repeated, and what chooses the tests.
pub fn line(
    settings: &Settings,
    flags: Vec<String>,
    selected: Vec<String>,
    chosen: &[&str],
) -> String {
    let mut words = ["cargo", "partest"].map(str::to_owned).to_vec();
    words.extend(from_archive(settings));
    words.extend(flags);
    words.extend(selected);
    if settings.archive.archive.is_none() {
        words.extend(command::flags_to_repeat(&settings.cargo));
    }
    words.extend(chosen.iter().map(|word| (*word).to_owned()));
    shell_line(&words)
}

/// What leads to the same archive, if the tests are from one.
fn from_archive(settings: &Settings) -> Vec<String> {
    let from = &settings.archive;
    let Some(archive) = &from.archive else { return Vec::new() };
    let mut words = vec!["run".to_owned(), "--archive".to_owned(), archive.display().to_string()];
    if let Some(dir) = &from.workspace_remap {
        words.extend(["--workspace-remap".to_owned(), dir.display().to_string()]);
    }
    words
}
