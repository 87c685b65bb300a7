//! All calls of cargo.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Metadata, MetadataCommand};

use super::rust_version::with_three_numbers;
use crate::cli::args::CargoArgs;
use crate::cli::output_args::{MessageFormat, When};
use crate::cli::settings::{Settings, Verbosity};
use crate::error::{Error, Result};

/// Runs `cargo metadata --no-deps`, which resolves no dependencies and so is as cheap as reading
/// the manifests.
///
/// `manifest_path` replaces that of the command line, for a package outside of the workspace.
pub fn metadata(args: &CargoArgs, manifest_path: Option<&Path>) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.no_deps();
    if let Some(path) = manifest_path.or(args.manifest_path.as_deref()) {
        command.manifest_path(path);
    }
    command.other_options(resolution_flags(args));
    let output = command
        .cargo_command()
        .output()
        .map_err(|source| Error::Start { program: "cargo metadata".into(), source })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Cargo(why.trim_end().into()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let json = printed.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    parsed_metadata(json).map_err(|error| Error::Cargo(format!("cargo metadata: {error}")))
}

/// `cargo_metadata` takes no `rust-version` of one number, which cargo does; few have one, so it is
/// looked for only where the text was not taken.
fn parsed_metadata(json: &str) -> cargo_metadata::Result<Metadata> {
    MetadataCommand::parse(json).or_else(|_| {
        let mut metadata: serde_json::Value = serde_json::from_str(json)?;
        let packages = metadata.get_mut("packages").and_then(serde_json::Value::as_array_mut);
        for package in packages.into_iter().flatten() {
            if let Some(version) = package["rust_version"].as_str().map(with_three_numbers) {
                package["rust_version"] = version.into();
            }
        }
        Ok(serde_json::from_value(metadata)?)
    })
}

/// The manifest that cargo takes for a command in this folder, or that of the workspace it belongs to.
pub fn located_manifest(manifest_path: Option<&Path>, of_workspace: bool) -> Result<PathBuf> {
    let mut command =
        escargot::Cargo::new().args(["locate-project", "--message-format", "plain"]).into_command();
    command.args(of_workspace.then_some("--workspace"));
    if let Some(path) = manifest_path {
        command.arg("--manifest-path").arg(path);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start { program: "cargo".into(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout).into());
    }
    let why = text(&output.stderr);
    Err(Error::Cargo(why.strip_prefix("error: ").unwrap_or(&why).into()))
}

/// `cargo test --no-run` with the user's flags, its JSON on a pipe, and its progress and
/// diagnostics on our stderr.
///
/// escargot's own `exec` reads stderr only after stdout has ended, and hangs beyond 64 KiB
/// of it (0.5.15 to 1.0.1); so only its command builder is used.
pub fn build(settings: &Settings) -> Command {
    // With `--doc` alone cargo does not accept `--no-run`; what stands in for rustdoc runs nothing.
    let no_run = (!settings.cargo.doctests.doc).then_some("--no-run");
    let mut command = escargot::Cargo::new()
        .args(["test", "--message-format=json-render-diagnostics"])
        .args(no_run)
        .args(selection_flags(&settings.cargo))
        .args(feature_flags(&settings.cargo))
        .args(build_flags(&settings.cargo))
        .args(resolution_flags(&settings.cargo))
        .args(output_flags(settings))
        .into_command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if is_stderr_piped(settings) {
        command.envs(progress_variables());
    }
    command
}

/// Whether what the build writes to stderr goes through this process: the stream of events has to say
/// why a build failed, and lines are kept whole where no terminal is.
pub fn is_stderr_piped(settings: &Settings) -> bool {
    settings.format == MessageFormat::Json || !std::io::stderr().is_terminal()
}

/// `cargo test --doc` for the packages that the user has selected. What `build` has built is fresh.
pub fn doctests(settings: &Settings) -> Command {
    let mut args = CargoArgs { timings: false, keep_going: true, ..settings.cargo.clone() };
    args.doctests.doc = true;
    escargot::Cargo::new()
        .args(["test", "--color", "never"])
        .args(selection_flags(&args))
        .args(feature_flags(&args))
        .args(build_flags(&args))
        .args(resolution_flags(&args))
        .into_command()
}

/// What makes cargo draw its progress bar on a pipe, where it would on the terminal behind it.
fn progress_variables() -> Vec<(&'static str, String)> {
    const WHEN: &str = "CARGO_TERM_PROGRESS_WHEN";
    let is_set = |name| std::env::var_os(name).is_some();
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if !std::io::stderr().is_terminal() || is_dumb || is_set("CI") || is_set(WHEN) {
        return Vec::new();
    }
    let (_, width) = console::Term::stderr().size();
    vec![(WHEN, "always".to_owned()), ("CARGO_TERM_PROGRESS_WIDTH", width.to_string())]
}

/// The flags for building the same test binaries again, for the command that repeats a failure.
pub fn flags_to_repeat(args: &CargoArgs) -> Vec<String> {
    let mut flags = feature_flags(args);
    let build = CargoArgs { build_jobs: None, timings: false, keep_going: false, ..args.clone() };
    flags.extend(build_flags(&build));
    flags.extend(resolution_flags(args));
    if let Some(path) = &args.manifest_path {
        flags.extend(["--manifest-path".into(), path.display().to_string()]);
    }
    flags
}

/// The flags that choose packages and targets, for a command that builds the same ones again.
pub fn flags_to_select(args: &CargoArgs) -> Vec<String> {
    selection_flags(&CargoArgs { manifest_path: None, ..args.clone() })
}

/// All flags that choose what is built, and how.
pub fn flags_of_build(args: &CargoArgs) -> Vec<String> {
    [selection_flags(args), feature_flags(args), build_flags(args)].concat()
}

fn selection_flags(args: &CargoArgs) -> Vec<String> {
    let mut flags = Flags::default();
    flags.each("--package", &args.package);
    flags.when("--workspace", args.workspace);
    flags.each("--exclude", &args.exclude);
    flags.when("--lib", args.lib);
    flags.when("--bins", args.bins);
    flags.each("--bin", &args.bin);
    flags.when("--examples", args.examples);
    flags.each("--example", &args.example);
    flags.when("--tests", args.tests);
    flags.each("--test", &args.test);
    flags.when("--benches", args.benches);
    flags.each("--bench", &args.bench);
    flags.when("--all-targets", args.all_targets);
    flags.when("--doc", args.doctests.doc);
    if let Some(path) = &args.manifest_path {
        flags.each("--manifest-path", [path.display().to_string()].iter());
    }
    flags.0
}

fn feature_flags(args: &CargoArgs) -> Vec<String> {
    let mut flags = Flags::default();
    flags.each("--features", &args.features);
    flags.when("--all-features", args.all_features);
    flags.when("--no-default-features", args.no_default_features);
    flags.0
}

fn build_flags(args: &CargoArgs) -> Vec<String> {
    let mut flags = Flags::default();
    flags.when("--release", args.release);
    flags.each("--profile", &args.profile);
    flags.each("--jobs", &args.build_jobs);
    flags.each("--target", &args.target);
    if let Some(dir) = &args.target_dir {
        flags.each("--target-dir", [dir.display().to_string()].iter());
    }
    flags.when("--no-fail-fast", args.keep_going);
    flags.when("--ignore-rust-version", args.ignore_rust_version);
    flags.when("--timings", args.timings);
    flags.0
}

/// The flags that `cargo metadata` takes as well.
pub fn resolution_flags(args: &CargoArgs) -> Vec<String> {
    let mut flags = Flags::default();
    flags.when("--locked", args.locked);
    flags.when("--offline", args.offline);
    flags.when("--frozen", args.frozen);
    flags.each("--config", &args.config);
    flags.each("-Z", &args.unstable);
    flags.0
}

fn output_flags(settings: &Settings) -> Vec<String> {
    let mut flags = Flags::default();
    // On a pipe, cargo could not tell whether it may use colors.
    let color = match (settings.format, settings.color.typed) {
        (MessageFormat::Json, When::Auto) if settings.color.stderr => When::Always,
        (_, typed) => typed,
    };
    flags.each("--color", [color.as_str().to_owned()].iter());
    let is_quiet = settings.verbosity == Verbosity::Quiet;
    flags.when("--quiet", is_quiet);
    for _ in 0..settings.cargo_verbosity {
        // cargo accepts one of the two.
        flags.when("--verbose", !is_quiet);
    }
    flags.0
}

#[derive(Default)]
struct Flags(Vec<String>);

impl Flags {
    fn when(&mut self, flag: &str, is_set: bool) {
        if is_set {
            self.0.push(flag.to_owned());
        }
    }

    fn each<'a>(&mut self, flag: &str, values: impl IntoIterator<Item = &'a String>) {
        for value in values {
            self.0.extend([flag.to_owned(), value.clone()]);
        }
    }
}
