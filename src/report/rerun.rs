//! Commands that run tests again, as one types them.

use crate::cargo::binary::Binary;
use crate::cargo::command;
use crate::cli::settings::Settings;
use crate::model::shell::shell_line;

/// The command that runs just this test again.
pub fn alone(settings: &Settings, binary: &Binary, test: &str, is_ignored: bool) -> String {
    let names = [name(settings, binary, test)];
    let chosen = chosen(&names, &[is_ignored.then_some("--ignored")]);
    line(settings, Vec::new(), binary.cargo_flags(), chosen)
}

/// The command that runs a test in one process with others that have changed its state before it.
pub fn with_others(
    settings: &Settings,
    binary: &Binary,
    tests: &[&str],
    is_ignored: bool,
) -> String {
    let names: Vec<String> = tests.iter().map(|test| name(settings, binary, test)).collect();
    let chosen = chosen(&names, &[is_ignored.then_some("--include-ignored")]);
    line(settings, in_one_process(), binary.cargo_flags(), chosen)
}

/// The command that runs the whole binary of a test in one process.
pub fn whole_binary(settings: &Settings, binary: &Binary) -> String {
    // No flag chooses the binary in an archive.
    let of_archive = settings.archive.archive.is_some().then(|| binary.id(""));
    line(settings, in_one_process(), binary.cargo_flags(), of_archive.into_iter().collect())
}

fn in_one_process() -> Vec<String> {
    vec!["-j0".to_owned()]
}

/// What chooses a test of this binary with `--exact`: its name beside the flags that choose the
/// binary, and its id where those cannot be, with an archive.
pub fn name(settings: &Settings, binary: &Binary, test: &str) -> String {
    match settings.archive.archive {
        Some(_) => binary.id(test),
        None => test.to_owned(),
    }
}

/// What chooses exactly these tests, with flags for libtest before it.
pub fn chosen(names: &[String], flags: &[Option<&str>]) -> Vec<String> {
    let is_like_a_flag = names.iter().any(|name| name.starts_with('-'));
    let exact = [Some("--exact"), is_like_a_flag.then_some("--")];
    let words = [Some("--")].into_iter().chain(flags.iter().copied()).chain(exact);
    words.flatten().map(str::to_owned).chain(names.iter().cloned()).collect()
}

/// A whole command: what names the archive that the tests came from, our flags, those that make
/// cargo build what is needed, those of this run that have to be repeated, and what chooses the
/// tests.
pub fn line(
    settings: &Settings,
    flags: Vec<String>,
    selected: Vec<String>,
    chosen: Vec<String>,
) -> String {
    let mut words = ["cargo", "partest"].map(str::to_owned).to_vec();
    let archive = from_archive(settings);
    let of_build = match archive.is_empty() {
        true => [selected, command::flags_to_repeat(&settings.cargo)].concat(),
        false => Vec::new(),
    };
    words.extend([archive, flags, of_build, chosen].concat());
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
