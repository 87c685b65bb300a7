//! Where the files of an archive are while its tests run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::Message;
use tempfile::TempDir;

use super::compiled_paths::TMP;
use super::contents::{Contents, TARGET, WORKSPACE};
use super::reader::Archive;
use super::remap::Remap;
use crate::error::{Error, Result};
use crate::model::directory_lock::{self, ATTEMPTS, DirectoryLock};

/// An archive, and the directory that it is extracted to.
pub struct Extraction {
    pub archive: Archive,
    dir: Dir,
    /// The root of the workspace, as the tests see it.
    workspace: PathBuf,
}

/// What the names of temporary directories begin with.
const PREFIX: &str = "partest-archive-";

enum Dir {
    /// Removed at the end; by a later run, if neither this process nor its guard can do it.
    Temporary(TempDir, #[allow(dead_code, reason = "held")] Option<DirectoryLock>),
    Kept(PathBuf),
}

impl Extraction {
    /// Opens an archive and makes room for its files: in `extract_to`, which must have nothing in
    /// it, or in a temporary directory. `sources` is where the workspace is on this machine.
    pub fn new(
        archive: Archive,
        extract_to: Option<&Path>,
        sources: Option<&Path>,
    ) -> Result<Extraction> {
        let dir = match extract_to {
            Some(dir) => Dir::Kept(empty(dir).map_err(|why| archive.wrong(why))?),
            None => temporary(&std::env::temp_dir()).map_err(|error| {
                archive.wrong(format!("cannot make a temporary directory: {error}"))
            })?,
        };
        let workspace = match sources {
            Some(dir) => sources_in(dir)?,
            None => built_at(&archive.contents).unwrap_or_else(|| path(&dir).join(WORKSPACE)),
        };
        Ok(Extraction { archive, dir, workspace })
    }

    pub fn dir(&self) -> &Path {
        path(&self.dir)
    }

    /// The directory that is removed at the end, if it is.
    pub fn temporary_dir(&self) -> Option<&Path> {
        match &self.dir {
            Dir::Temporary(dir, _) => Some(dir.path()),
            Dir::Kept(_) => None,
        }
    }

    /// Extracts all files, and returns the contents with paths of this machine.
    pub fn extract(&self, is_wanted: &dyn Fn() -> bool) -> Result<Contents> {
        let extracted = self.archive.extract(self.dir(), is_wanted);
        if extracted.is_err()
            && let Dir::Kept(dir) = &self.dir
        {
            // What is there is of no use, and in the way of the next attempt.
            let _ = fs::remove_dir_all(dir);
        }
        extracted?;
        // As cargo does, where tests may look for it: `CARGO_TARGET_TMPDIR`.
        let _ = fs::create_dir_all(self.dir().join(TARGET).join(TMP));
        let root = |root: &super::contents::Root| {
            let here = match root.name.as_str() {
                WORKSPACE => self.workspace.clone(),
                name => self.dir().join(name),
            };
            (root.built_at.clone(), here)
        };
        let contents =
            self.archive.remapped(&Remap::new(self.archive.contents.roots.iter().map(root)))?;
        // A build script that has written nothing has left no file that an entry would be for.
        let out_dirs = contents.messages.iter().filter_map(|message| match message {
            Message::BuildScriptExecuted(script) => Some(script.out_dir.as_std_path()),
            _ => None,
        });
        for dir in out_dirs.filter(|dir| dir.starts_with(self.dir())) {
            let _ = fs::create_dir_all(dir);
        }
        for package in &contents.packages {
            let dir = package.manifest_path.parent().map(|dir| dir.as_std_path());
            if let Some(missing) = dir.filter(|dir| !dir.is_dir()) {
                return Err(self.archive.wrong(format!(
                    "package `{}` is not in `{}`: `--workspace-remap` names the root of the workspace that was archived, at the same revision",
                    package.name,
                    missing.display()
                )));
            }
        }
        Ok(contents)
    }
}

fn path(dir: &Dir) -> &Path {
    match dir {
        Dir::Temporary(dir, _) => dir.path(),
        Dir::Kept(dir) => dir,
    }
}

/// A new directory in `place`, which is cleared of those of runs that were killed.
fn temporary(place: &Path) -> io::Result<Dir> {
    directory_lock::remove_old(place, PREFIX);
    for _ in 0..ATTEMPTS {
        let mut dir = tempfile::Builder::new();
        dir.prefix(PREFIX);
        #[cfg(unix)]
        dir.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let dir = dir.tempdir_in(place)?;
        match DirectoryLock::of(dir.path()) {
            // Another run has taken it for an old one.
            Ok(None) if cfg!(unix) => {}
            // Where nothing can be locked, nothing is taken for an old one.
            lock => return Ok(Dir::Temporary(dir, lock.ok().flatten())),
        }
    }
    Err(io::Error::other("others remove it"))
}

/// Where the workspace was built, if it still is there: the same root manifest is.
fn built_at(contents: &Contents) -> Option<PathBuf> {
    let (path, text) =
        contents.manifests.iter().find(|(path, _)| *path == contents.root_manifest)?;
    let is_same = fs::read_to_string(path).is_ok_and(|found| found == *text);
    path.parent().filter(|_| is_same).map(Path::to_owned)
}

fn empty(dir: &Path) -> std::result::Result<PathBuf, String> {
    let why = |error: io::Error| format!("cannot extract to `{}`: {error}", dir.display());
    fs::create_dir_all(dir).map_err(why)?;
    let dir = dir.canonicalize().map_err(why)?;
    match fs::read_dir(&dir).map_err(why)?.next() {
        None => Ok(dir),
        Some(_) => Err(format!("cannot extract to `{}`: it is not empty", dir.display())),
    }
}

fn sources_in(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize()
        .map_err(|error| Error::usage(format!("`--workspace-remap {}`: {error}", dir.display())))
}
