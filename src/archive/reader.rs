//! Reads an archive, which may be damaged or made to do harm: nothing is written outside of the
//! directory, and nothing that the first entry does not announce.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::compression::Decompressor;
use super::contents::{Contents, Entry, FORMAT, Header, NAME, Platform};
use super::remap::Remap;
use super::while_wanted::WhileWanted;
use crate::error::{Error, Result};

/// More than the description of any suite takes.
const LONGEST: u64 = 1 << 28;

type Tar = tar::Archive<Decompressor<BufReader<File>>>;

/// An archive of which only the first entry has been read.
pub struct Archive {
    path: PathBuf,
    value: Value,
    pub contents: Contents,
}

impl Archive {
    /// Fails for what is no archive, or one that this program cannot run.
    pub fn open(path: &Path) -> Result<Archive> {
        let wrong = |why: String| Error::Archive { path: path.to_owned(), why };
        // What is there at all is told apart from what is in it.
        File::open(path).map_err(|error| wrong(error.to_string()))?;
        let first = || -> io::Result<Vec<u8>> {
            let mut tar = open(path)?;
            let first = tar.entries()?.next().transpose()?;
            let first = first.filter(|entry| entry.path_bytes().as_ref() == NAME.as_bytes());
            let mut text = Vec::new();
            let first = first.ok_or_else(|| io::Error::other("it does not begin as one"))?;
            first.take(LONGEST).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = first().map_err(|error| {
            const OTHER: &str = "it is not an archive made by `cargo partest archive`";
            match error.to_string() {
                // No file of this compression begins so.
                why if why.contains("BadMagicNumber") => wrong(OTHER.to_owned()),
                why => wrong(format!("{OTHER}, or it is damaged: {why}")),
            }
        })?;
        let damaged = |error: serde_json::Error| wrong(format!("it is damaged: {error}"));
        let header: Header = serde_json::from_slice(&text).map_err(damaged)?;
        if header.format != FORMAT {
            return Err(wrong(format!(
                "it was written by cargo partest {}, in format {}, and this is {}, which reads format {FORMAT}: use the same version for both",
                header.program,
                header.format,
                env!("CARGO_PKG_VERSION")
            )));
        }
        let value: Value = serde_json::from_slice(&text).map_err(damaged)?;
        let contents: Contents = serde_json::from_value(value.clone()).map_err(damaged)?;
        contents.check_entries().map_err(wrong)?;
        Ok(Archive { path: path.to_owned(), value, contents })
    }

    /// The root manifest where the tests were built, and its text.
    pub fn root_manifest(&self) -> Option<(PathBuf, String)> {
        let Contents { root_manifest, manifests, .. } = &self.contents;
        manifests.iter().find(|(path, _)| path == root_manifest).cloned()
    }

    /// Fails if the tests were built for another platform, and nothing is configured that runs
    /// them here.
    pub fn check_platform(&self, has_runner: impl Fn(&str) -> bool) -> Result<()> {
        let (built, here) = (&self.contents.header.platform, Platform::here());
        let targets = &self.contents.targets;
        if *built == here || targets.iter().any(|target| has_runner(&target.triple)) {
            return Ok(());
        }
        let triple = targets.first().map(|target| target.triple.clone()).unwrap_or_default();
        Err(self.wrong(format!(
            "its tests were built for {} on {} ({triple}), and this machine is {} on {}: archive them on the same platform, or configure a runner (target.{triple}.runner in cargo's configuration)",
            built.arch, built.os, here.arch, here.os
        )))
    }

    /// Extracts all files into a directory that has nothing in it.
    pub fn extract(&self, dir: &Path, is_wanted: &dyn Fn() -> bool) -> Result<()> {
        self.check_space(dir)?;
        match self.extract_files(dir, is_wanted) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(self.wrong(format!(
                "`{}` is full: name another directory with `--extract-to`",
                dir.display()
            ))),
            Err(_) if !is_wanted() => Err(Error::Interrupted),
            Err(error) => Err(self.wrong(error.to_string())),
        }
    }

    /// The contents with paths of this machine.
    pub fn remapped(&self, remap: &Remap) -> Result<Contents> {
        let mut value = self.value.clone();
        remap.apply(&mut value);
        serde_json::from_value(value).map_err(|error| self.wrong(error.to_string()))
    }

    /// How it was named.
    pub fn name(&self) -> String {
        format!("`{}`", self.path.display())
    }

    pub fn wrong(&self, why: String) -> Error {
        Error::Archive { path: self.path.clone(), why }
    }

    #[cfg(unix)]
    fn check_space(&self, dir: &Path) -> Result<()> {
        let size = self.contents.size();
        let Ok(found) = rustix::fs::statvfs(dir) else { return Ok(()) };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        match size > free {
            false => Ok(()),
            true => Err(self.wrong(format!(
                "its files take {size} bytes, and `{}` has {free} left: name another directory with `--extract-to`",
                dir.display()
            ))),
        }
    }

    #[cfg(not(unix))]
    fn check_space(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn extract_files(&self, dir: &Path, is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
        let damaged = |why: String| io::Error::other(format!("it is damaged: {why}"));
        let mut announced: HashMap<&str, &Entry> =
            self.contents.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        let mut tar = open(&self.path)?;
        let mut entries = tar.entries()?;
        // The first one has been read.
        let _contents = entries.next().transpose()?;
        for entry in entries {
            let entry = entry.map_err(|error| damaged(error.to_string()))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !matches!(
                entry.header().entry_type(),
                tar::EntryType::Regular | tar::EntryType::Continuous
            ) {
                return Err(damaged(format!("`{}` is no regular file", name.escape_debug())));
            }
            let Some(known) = announced.remove(name.as_str()) else {
                return Err(damaged(format!(
                    "`{}` is not in its list of files, or there twice",
                    name.escape_debug()
                )));
            };
            if entry.size() != known.size {
                return Err(damaged(format!(
                    "`{name}` has not the size that its list of files has"
                )));
            }
            let mut source = WhileWanted { source: entry, is_wanted };
            write(&dir.join(&name), known, &mut source).map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => error,
                kind => {
                    let why = format!("cannot extract `{name}`, or it is damaged: {error}");
                    io::Error::new(kind, why)
                }
            })?;
        }
        // The checksum comes last.
        io::copy(&mut tar.into_inner(), &mut io::sink())
            .map_err(|error| damaged(error.to_string()))?;
        match announced.keys().min() {
            Some(missing) => Err(damaged(format!("`{missing}` is missing"))),
            None => Ok(()),
        }
    }
}

fn open(path: &Path) -> io::Result<Tar> {
    let file = BufReader::new(File::open(path)?);
    Ok(tar::Archive::new(Decompressor::new(file)?))
}

fn write(path: &Path, entry: &Entry, data: &mut impl Read) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        if entry.is_executable { 0o755 } else { 0o644 },
    );
    let mut file = options.open(path)?;
    match io::copy(&mut data.take(entry.size), &mut file)? == entry.size {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
