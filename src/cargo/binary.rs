//! The build, and the test binaries that come out of it.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use cargo_metadata::{Artifact, Message, PackageId, Target, TargetKind};

use super::command;
use super::environment::{self, Surroundings, Variables};
use super::origins::Origins;
use super::toolchain::Toolchain;
use super::workspace::{Workspace, crate_name};
use crate::cli::args::CargoArgs;
use crate::cli::cargo_config::Configuration;
use crate::cli::settings::Settings;
use crate::error::{Error, Result};
use crate::model::listing::BinaryName;
use crate::process::platform;
use crate::process::platform::Fostered;
use crate::state::Stamp;

/// One test executable, and all that is needed to start it as `cargo test` would.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The index of its package in the workspace.
    pub package: usize,
    pub package_name: String,
    /// The crate name of its target, the first word of its tests' ids.
    pub name: String,
    /// The target as cargo names it.
    pub target: String,
    /// `lib`, `bin`, `test`, …, as cargo names it.
    pub kind: &'static str,
    pub executable: PathBuf,
    /// Of the executable as cargo left it.
    stamp: Option<Stamp>,
    pub dir: PathBuf,
    pub env: Variables,
    pub runner: Vec<OsString>,
    pub harness: Harness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harness {
    Libtest,
    /// `harness = false`.
    Custom,
}

/// What a build script left for the tests of its package.
#[derive(Debug)]
pub struct BuildScript {
    pub out_dir: PathBuf,
    pub env: Vec<(String, String)>,
}

/// cargo at work.
pub struct Build {
    pub cargo: Fostered,
    /// What it tells. They end when it has closed its output, which it does at its own end.
    pub news: Receiver<Message>,
}

/// What cargo has told about what it built.
#[derive(Default)]
pub struct Told {
    /// Test binaries that nobody has asked for yet.
    tests: Vec<Artifact>,
    scripts: HashMap<PackageId, BuildScript>,
    linked_paths: Vec<PathBuf>,
    /// The executables of `bin` targets that are not tests.
    binaries: HashMap<PackageId, Vec<(String, PathBuf)>>,
    /// The targets of all that is not a test: a program and a library may have one name.
    others: HashMap<PackageId, Vec<Target>>,
    origins: Origins,
}

impl Build {
    /// Where tests may run `beside_tests`, what the build leaves running is told from what they do.
    pub fn start(settings: &Settings, beside_tests: bool) -> Result<Build> {
        let command = command::build(settings);
        let program = command.get_program().to_string_lossy().into_owned();
        let started = match beside_tests {
            true => Fostered::spawn(command),
            false => Fostered::spawn_alone(command),
        };
        let (mut cargo, stdout) = started.map_err(|source| Error::Start { program, source })?;
        let stdout = stdout.ok_or(Error::Build)?;
        let (sender, news) = channel();
        let read = move || {
            // Text that is no message is what a build script or a wrapper printed; nothing of
            // ours. Nobody who listens any more has given the build up.
            let messages = Message::parse_stream(BufReader::new(stdout)).flatten();
            messages.map_while(|message| sender.send(message).ok()).for_each(drop);
        };
        match std::thread::Builder::new().name("cargo".into()).spawn(read) {
            Ok(_) => Ok(Build { cargo, news }),
            Err(error) => {
                platform::end_tree(cargo.id());
                // It has been killed; there is nothing more to learn of it.
                let _ = cargo.wait();
                cargo.release();
                Err(Error::Thread(error))
            }
        }
    }
}

/// `native=/path` and its kin name a kind before the path.
pub fn linked_path(text: &str) -> PathBuf {
    let kinds = ["native=", "dependency=", "crate=", "framework=", "all="];
    let path = kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
    PathBuf::from(path)
}

impl Told {
    pub fn take(&mut self, message: Message) {
        match message {
            Message::CompilerArtifact(artifact) => self.artifact(artifact),
            Message::BuildScriptExecuted(script) => {
                let paths = script.linked_paths.iter().map(|path| linked_path(path.as_str()));
                self.linked_paths.extend(paths);
                self.origins.add_script(&script);
                let script_left = BuildScript { out_dir: script.out_dir.into(), env: script.env };
                self.scripts.insert(script.package_id, script_left);
            }
            _ => {}
        }
    }

    fn artifact(&mut self, artifact: Artifact) {
        if artifact.profile.test {
            self.tests.extend(artifact.executable.is_some().then_some(artifact));
            return;
        }
        self.origins.add(&artifact);
        let (package, target) = (artifact.package_id, artifact.target);
        if let Some(executable) = artifact.executable
            && target.kind.contains(&TargetKind::Bin)
        {
            let binaries = self.binaries.entry(package.clone()).or_default();
            binaries.push((target.name.clone(), executable.into()));
        }
        self.others.entry(package).or_default().push(target);
    }

    /// Whether there are test binaries that nobody has asked for yet.
    pub fn has_tests(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Whether a target has been built that is not a test.
    pub fn has(&self, package: &PackageId, target: &Target) -> bool {
        let is_same = |built: &Target| built.name == target.name && built.kind == target.kind;
        self.others.get(package).is_some_and(|targets| targets.iter().any(is_same))
    }

    /// Whether the build script of a package has run, or has not had to.
    pub fn has_run_script(&self, package: &PackageId) -> bool {
        self.scripts.contains_key(package)
    }

    /// The test binaries since the last time, in an order that does not depend on the build's.
    /// An error for one of a package that the workspace does not know: see `read_packages`.
    pub fn binaries(
        &mut self,
        workspace: &Workspace,
        toolchain: &Toolchain,
        settings: &Settings,
    ) -> Result<Vec<Binary>> {
        let tests = std::mem::take(&mut self.tests);
        let binary = |artifact: &Artifact| {
            let id = &artifact.package_id;
            let package = workspace.position(id);
            let package = package.ok_or_else(|| Error::Cargo(format!("nobody knows `{id}`")))?;
            Ok(self.binary(artifact, package, workspace, toolchain, &settings.configuration))
        };
        let mut binaries: Vec<Binary> = tests.iter().map(binary).collect::<Result<_>>()?;
        binaries.sort_by(Binary::compare);
        Ok(binaries)
    }

    /// Whose all that is which the test binaries are made of, as far as they are told of.
    pub fn origins(&self, toolchain: &Toolchain) -> Origins {
        self.origins.clone().beside(toolchain.library_dirs())
    }

    /// Adds those packages to the workspace that are built and stand outside of it.
    pub fn read_packages(&self, workspace: &mut Workspace, args: &CargoArgs) -> Result<()> {
        let mut packages =
            self.tests.iter().map(|test| (&test.package_id, test.manifest_path.as_std_path()));
        packages.try_for_each(|(id, manifest)| workspace.add(id, manifest, args))
    }

    fn binary(
        &self,
        artifact: &Artifact,
        index: usize,
        workspace: &Workspace,
        toolchain: &Toolchain,
        configuration: &Configuration,
    ) -> Binary {
        let package = &workspace.packages[index];
        let target = &artifact.target;
        let kind = target.kind.first().cloned().unwrap_or(TargetKind::Lib);
        let executable: PathBuf = artifact.executable.clone().map(Into::into).unwrap_or_default();
        let platform = toolchain.platform_of(&executable);
        let sees_binaries = matches!(kind, TargetKind::Test | TargetKind::Bench);
        let own_binaries = self.binaries.get(&artifact.package_id).filter(|_| sees_binaries);
        let env = environment::variables(&Surroundings {
            package,
            executable: &executable,
            build_script: self.scripts.get(&artifact.package_id),
            linked_paths: &self.linked_paths,
            binaries: own_binaries.map(Vec::as_slice).unwrap_or_default(),
            configuration,
            toolchain,
            platform,
        });
        let harness = match package.has_custom_harness(&kind, &target.name) {
            true => Harness::Custom,
            false => Harness::Libtest,
        };
        Binary {
            package: index,
            package_name: package.cargo.name.to_string(),
            name: crate_name(&target.name),
            target: target.name.clone(),
            kind: kind_name(&kind),
            stamp: Stamp::of(&executable),
            executable,
            dir: package.dir().to_owned(),
            env,
            runner: platform.runner.clone(),
            harness,
        }
    }
}

impl Binary {
    #[cfg(test)]
    pub fn example(name: &str) -> Binary {
        Binary {
            package: 0,
            package_name: name.into(),
            name: name.into(),
            target: name.into(),
            kind: "lib",
            executable: "/nowhere".into(),
            stamp: None,
            dir: "/".into(),
            env: Variables::new(),
            runner: Vec::new(),
            harness: Harness::Libtest,
        }
    }

    /// cargo's own order: by package, the library first, then binaries, then tests.
    pub fn compare(&self, other: &Binary) -> Ordering {
        let kinds = ["bin", "test", "bench", "example"];
        let kind = |binary: &Binary| kinds.iter().position(|kind| *kind == binary.kind);
        let Binary { package_name, target, executable, .. } = other;
        let packages = self.package_name.cmp(package_name).then(kind(self).cmp(&kind(other)));
        packages.then(self.target.cmp(target)).then(self.executable.cmp(executable))
    }

    /// The flags that make cargo build this binary and no other.
    pub fn cargo_flags(&self) -> Vec<String> {
        let mut flags = vec!["-p".to_owned(), self.package_name.clone()];
        match self.kind {
            "bin" | "test" | "bench" | "example" => {
                flags.extend([format!("--{}", self.kind), self.target.clone()])
            }
            _ => flags.push("--lib".to_owned()),
        }
        flags
    }

    /// A name that is the same from build to build: `web/test/api`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.package_name, self.kind, self.target)
    }

    /// The id of one of its tests: `api::auth::rejects`.
    pub fn id(&self, test: &str) -> String {
        format!("{}::{test}", self.name)
    }

    /// The program and its first arguments: the binary, or its runner with the binary.
    pub fn command(&self) -> std::process::Command {
        let mut words = self.runner.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(runner) => {
                let mut command = std::process::Command::new(runner);
                command.args(words).arg(&self.executable);
                command
            }
            None => std::process::Command::new(&self.executable),
        };
        command.current_dir(&self.dir).envs(&self.env);
        command
    }

    /// An error where another build has put another program in the place of this one: what it
    /// does would be told as if this one had done it.
    pub fn check(&self) -> std::io::Result<()> {
        let now = Stamp::of(&self.executable);
        match now.is_some() && now != self.stamp {
            true => Err(std::io::Error::other(Replaced(self.short_path().to_owned()))),
            // One that is gone is told of by whoever starts it.
            false => Ok(()),
        }
    }

    /// As messages name it.
    pub fn full_name(&self) -> BinaryName {
        let (name, kind) = (self.name.clone(), self.kind.to_string());
        BinaryName { name, kind, package: self.package_name.clone() }
    }

    pub fn short_path(&self) -> &Path {
        let here = std::env::current_dir().unwrap_or_default();
        self.executable.strip_prefix(here).unwrap_or(&self.executable)
    }
}

/// Why a binary is not started any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` was replaced while the run went on, by another build as a rule; run again what had not begun",
    .0.display()
)]
struct Replaced(PathBuf);

/// Kinds of libraries (`rlib`, `proc-macro`, `cdylib`, …) are told as cargo tells them.
fn kind_name(kind: &TargetKind) -> &'static str {
    match kind {
        TargetKind::Bin => "bin",
        TargetKind::Test => "test",
        TargetKind::Bench => "bench",
        TargetKind::Example => "example",
        TargetKind::ProcMacro => "proc-macro",
        TargetKind::RLib => "rlib",
        TargetKind::DyLib => "dylib",
        TargetKind::CDyLib => "cdylib",
        TargetKind::StaticLib => "staticlib",
        _ => "lib",
    }
}
