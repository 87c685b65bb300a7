//! Which files go into an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, Message, TargetKind};

use super::contents::{BUILD, Entry, LIBRARIES, OUTSIDE, Root, TARGET, WORKSPACE};
use super::remap::name_in_archive;

/// The files of an archive by their names in it.
#[derive(Default)]
pub struct Files(BTreeMap<String, PathBuf>);

/// The directories of the machine that builds, and their names in the archive.
pub struct Roots(pub Vec<(PathBuf, String)>);

impl Roots {
    /// `libdirs` are those of the toolchain, `packages` the directories of all packages.
    pub fn new(
        workspace: &Path,
        target: &Path,
        libdirs: &[PathBuf],
        packages: &[PathBuf],
        artifacts: &[PathBuf],
    ) -> Roots {
        let mut roots = vec![
            (workspace.to_owned(), WORKSPACE.to_owned()),
            (target.to_owned(), TARGET.to_owned()),
        ];
        let libdirs = libdirs.iter().enumerate();
        roots.extend(libdirs.map(|(at, dir)| (dir.clone(), format!("{LIBRARIES}/{at}"))));
        let is_elsewhere =
            |path: &&PathBuf| !path.starts_with(workspace) && !path.starts_with(target);
        let outside = packages.iter().filter(is_elsewhere).enumerate();
        roots.extend(outside.map(|(at, dir)| (dir.clone(), format!("{OUTSIDE}/{at}"))));
        // With a build directory of its own, test binaries are not in the target directory.
        let elsewhere =
            artifacts.iter().filter(|path| !roots.iter().any(|(root, _)| path.starts_with(root)));
        let dirs: BTreeSet<PathBuf> =
            elsewhere.filter_map(|path| path.parent().map(Path::to_owned)).collect();
        let dirs: Vec<_> = dirs.into_iter().collect();
        roots.extend(dirs.into_iter().enumerate().map(|(at, dir)| (dir, format!("{BUILD}/{at}"))));
        Roots(roots)
    }

    fn is_target(&self, path: &Path) -> bool {
        self.0.iter().any(|(root, name)| name == TARGET && root == path)
    }

    pub fn named(&self) -> Vec<Root> {
        let root = |(built_at, name): &(PathBuf, String)| Root {
            built_at: built_at.clone(),
            name: name.clone(),
        };
        self.0.iter().map(root).collect()
    }
}

impl Files {
    /// Adds a file, or all files of a directory. Links are followed, but to directories only where
    /// they do not lead back up. Returns whether there was anything at this path.
    pub fn add(&mut self, path: &Path, roots: &Roots) -> bool {
        self.add_below(path, roots, &mut Vec::new())
    }

    fn add_below(&mut self, path: &Path, roots: &Roots, above: &mut Vec<PathBuf>) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        if metadata.is_file() {
            let name = name_in_archive(path, &roots.0);
            let is_known = name.is_some();
            self.0.extend(name.map(|name| (name, path.to_owned())));
            return is_known;
        }
        let Ok(real) = path.canonicalize() else { return false };
        let is_left_out = !above.is_empty() && (roots.is_target(path) || path.ends_with(".git"));
        if !metadata.is_dir() || above.contains(&real) || is_left_out {
            return false;
        }
        above.push(real);
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            self.add_below(&entry.path(), roots, above);
        }
        above.pop();
        true
    }

    /// Adds what tests find by the variables that cargo sets for them: programs, and the shared
    /// libraries that they may be linked with.
    pub fn add_artifacts(&mut self, messages: &[Message], roots: &Roots) {
        for message in messages {
            match message {
                Message::CompilerArtifact(artifact) => {
                    for path in files_of(artifact) {
                        self.add(path, roots);
                    }
                }
                Message::BuildScriptExecuted(script) => {
                    let dirs = script.linked_paths.iter();
                    let dirs =
                        dirs.map(|path| crate::cargo::link_inputs::linked_path(path.as_str()));
                    dirs.for_each(|dir| self.add_libraries(&dir, roots));
                }
                _ => {}
            }
        }
    }

    /// Adds the shared libraries of a directory that a build script has told the linker of.
    fn add_libraries(&mut self, dir: &Path, roots: &Roots) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let libraries = entries.map(|entry| entry.path()).filter(|path| is_shared_library(path));
        for path in libraries {
            self.add(&path, roots);
        }
    }

    /// Adds the libraries of the toolchain that one of the files so far is linked with: those whose
    /// names are in it.
    pub fn add_toolchain_libraries(
        &mut self,
        libdirs: &[PathBuf],
        roots: &Roots,
    ) -> std::io::Result<()> {
        let entries = |dir: &PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
        let libraries = libdirs.iter().flat_map(entries).map(|entry| entry.path());
        let mut open: Vec<PathBuf> = libraries.filter(|path| is_shared_library(path)).collect();
        let programs: Vec<PathBuf> = self.0.values().cloned().collect();
        for program in programs {
            if open.is_empty() {
                break;
            }
            let bytes = fs::read(program)?;
            let is_named = |library: &PathBuf| {
                let name = library.file_name().unwrap_or_default().to_string_lossy();
                memchr::memmem::find(&bytes, name.as_bytes()).is_some()
            };
            let (needed, others) = open.into_iter().partition(is_named);
            let needed: Vec<PathBuf> = needed;
            for library in &needed {
                self.add(library, roots);
            }
            open = others;
        }
        Ok(())
    }

    /// The entries, and the file of each.
    pub fn into_entries(self) -> std::io::Result<(Vec<Entry>, Vec<PathBuf>)> {
        let mut entries = Vec::new();
        let mut sources = Vec::new();
        for (path, source) in self.0 {
            let metadata = fs::metadata(&source)?;
            let is_executable = is_executable(&metadata);
            entries.push(Entry { path, size: metadata.len(), is_executable });
            sources.push(source);
        }
        Ok((entries, sources))
    }
}

/// The files of an artifact that a process may need while it runs.
fn files_of(artifact: &Artifact) -> impl Iterator<Item = &Path> {
    let has = |kind: TargetKind| artifact.target.kind.contains(&kind);
    let is_program = artifact.profile.test || has(TargetKind::Bin);
    let program = artifact.executable.iter().filter(move |_| is_program);
    let libraries = artifact.filenames.iter().filter(move |path| {
        !artifact.profile.test
            && (has(TargetKind::DyLib)
                || has(TargetKind::CDyLib)
                || artifact.target.crate_types.iter().any(|kind| {
                    matches!(
                        kind,
                        cargo_metadata::CrateType::DyLib | cargo_metadata::CrateType::CDyLib
                    )
                }))
            && is_shared_library(path.as_std_path())
    });
    program.chain(libraries).map(|path| path.as_std_path())
}

/// `libweb.so`, `libz.so.1`, `libweb.dylib`, `web.dll`.
fn is_shared_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".so")
        || name.contains(".so.")
        || name.ends_with(".dylib")
        || name.ends_with(".dll")
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    true
}
