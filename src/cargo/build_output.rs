//! What cargo reports about the targets it has built, and the test binaries among them.

use std::collections::HashMap;
use std::path::PathBuf;

use cargo_metadata::{Artifact, Message, PackageId, Target, TargetKind};

use super::binary::{Binary, Harness};
use super::environment::{BuildScript, TestEnvironment};
use super::link_inputs::{LinkInputs, linked_path};
use super::toolchain::Toolchain;
use super::workspace::{Workspace, crate_name};
use crate::cli::args::CargoArgs;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::settings::Settings;
use crate::cli::task::Task;
use crate::error::{Error, Result};
use crate::state::Stamp;

/// The messages of cargo, by what they are about.
#[derive(Default)]
pub struct BuildOutput {
    /// Test binaries not yet taken by `binaries`.
    tests: Vec<Artifact>,
    scripts: HashMap<PackageId, BuildScript>,
    linked_paths: Vec<PathBuf>,
    /// The executables of `bin` targets.
    binaries: HashMap<PackageId, Vec<(String, PathBuf)>>,
    /// All other targets that have been built; a program and a library may share a name.
    others: HashMap<PackageId, Vec<Target>>,
    link_inputs: LinkInputs,
    /// All messages about what was built, if they are recorded.
    record: Option<Vec<Message>>,
}

impl BuildOutput {
    /// Keeps the messages as well if an archive is to be written.
    pub fn for_task(task: &Task) -> BuildOutput {
        let record = matches!(task, Task::Archive(_)).then(Vec::new);
        BuildOutput { record, ..BuildOutput::default() }
    }

    /// The messages so far, if they are recorded.
    pub fn take_record(&mut self) -> Option<Vec<Message>> {
        self.record.take()
    }

    pub fn take(&mut self, message: Message) {
        let is_kept =
            matches!(message, Message::CompilerArtifact(_) | Message::BuildScriptExecuted(_));
        if let Some(record) = self.record.as_mut().filter(|_| is_kept) {
            record.push(message.clone());
        }
        match message {
            Message::CompilerArtifact(artifact) => self.artifact(artifact),
            Message::BuildScriptExecuted(script) => {
                let paths = script.linked_paths.iter().map(|path| linked_path(path.as_str()));
                self.linked_paths.extend(paths);
                self.link_inputs.add_script(&script);
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
        self.link_inputs.add(&artifact);
        let (package, target) = (artifact.package_id, artifact.target);
        if let Some(executable) = artifact.executable
            && target.kind.contains(&TargetKind::Bin)
        {
            let binaries = self.binaries.entry(package.clone()).or_default();
            binaries.push((target.name.clone(), executable.into()));
        }
        self.others.entry(package).or_default().push(target);
    }

    /// Whether there are test binaries not yet taken by `binaries`.
    pub fn has_tests(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Whether this target, which is no test, has been built.
    pub fn has(&self, package: &PackageId, target: &Target) -> bool {
        let is_same = |built: &Target| built.name == target.name && built.kind == target.kind;
        self.others.get(package).is_some_and(|targets| targets.iter().any(is_same))
    }

    /// The packages of the workspace with a library that was built and that `cargo test` would look
    /// for doctests in.
    pub fn packages_with_doctests(&self, workspace: &Workspace) -> Vec<usize> {
        let built = self.others.iter().filter(|(_, targets)| targets.iter().any(|t| t.doctest));
        let mut packages: Vec<usize> =
            built.filter_map(|(package, _)| workspace.position(package)).collect();
        packages.sort_unstable();
        packages
    }

    /// Whether the build script of a package has run, or is up to date.
    pub fn has_run_script(&self, package: &PackageId) -> bool {
        self.scripts.contains_key(package)
    }

    /// Takes the test binaries that were built since the last call, in an order that does not depend
    /// on the build. Fails for a package that the workspace does not have: see `read_packages`.
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
            let package = package
                .ok_or_else(|| Error::Cargo(format!("package `{id}` is not in the workspace")))?;
            Ok(self.binary(artifact, package, workspace, toolchain, &settings.cargo_config))
        };
        let mut binaries: Vec<Binary> = tests.iter().map(binary).collect::<Result<_>>()?;
        binaries.sort_by(Binary::compare);
        Ok(binaries)
    }

    /// What the test binaries are linked from, as far as it has been reported.
    pub fn link_inputs(&self, toolchain: &Toolchain) -> LinkInputs {
        self.link_inputs.clone().with_toolchain(toolchain.library_dirs())
    }

    /// Adds the packages of test binaries from outside of the workspace to it.
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
        cargo_config: &CargoConfig,
    ) -> Binary {
        let package = &workspace.packages[index];
        let target = &artifact.target;
        let kind = target.kind.first().cloned().unwrap_or(TargetKind::Lib);
        let executable: PathBuf = artifact.executable.clone().map(Into::into).unwrap_or_default();
        let platform = toolchain.platform_of(&executable);
        let sees_binaries = matches!(kind, TargetKind::Test | TargetKind::Bench);
        let own_binaries = self.binaries.get(&artifact.package_id).filter(|_| sees_binaries);
        let environment = TestEnvironment {
            package,
            executable: &executable,
            build_script: self.scripts.get(&artifact.package_id),
            linked_paths: &self.linked_paths,
            binaries: own_binaries.map(Vec::as_slice).unwrap_or_default(),
            cargo_config,
            toolchain,
            platform,
        };
        let env = environment.variables();
        let harness = match package.has_custom_harness(&kind, &target.name) {
            true => Harness::Custom,
            false => Harness::Libtest,
        };
        Binary {
            package: index,
            package_name: package.cargo.name.to_string(),
            name: crate_name(&target.name),
            prefix: workspace.id_prefix(index, target),
            target: target.name.clone(),
            kind: kind_name(&kind),
            stamp: Stamp::of(&executable),
            executable,
            args: Vec::new(),
            dir: package.dir().to_owned(),
            env,
            runner: platform.runner.clone(),
            harness,
        }
    }
}

/// The kind of a target, as cargo names it.
pub(super) fn kind_name(kind: &TargetKind) -> &'static str {
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
