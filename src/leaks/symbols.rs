//! From addresses of a worker to functions and lines.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use super::vtables;

/// A part of an executable or a library, as it stands in the worker's memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    pub base: u64,
    pub start: u64,
    pub end: u64,
    /// Empty for the executable itself.
    pub path: Vec<u8>,
}

/// One call on a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub function: String,
    /// `src/db.rs:88`
    pub place: Option<String>,
    /// The place is one of the workspace's own sources.
    pub is_ours: bool,
}

/// Debug information of the modules of a binary, read when it is first asked for.
#[derive(Default)]
pub struct Symbols {
    loaders: HashMap<PathBuf, Option<Loader>>,
    /// The tables of methods that are a text's.
    texts: HashMap<PathBuf, HashSet<u64>>,
}

impl Symbols {
    /// The calls behind some addresses, inlined ones included, innermost first.
    ///
    /// `root` is the directory that places are shown relative to.
    pub fn calls(
        &mut self,
        addresses: &[u64],
        modules: &[Module],
        executable: &Path,
        root: &Path,
    ) -> Vec<Call> {
        let mut calls = Vec::new();
        for address in addresses {
            let found = modules.iter().find(|m| (m.start..m.end).contains(address));
            let Some(module) = found else { continue };
            let path = module.file(executable);
            let loader = self.loaders.entry(path).or_insert_with_key(|path| Loader::new(path).ok());
            if let Some(loader) = loader {
                calls_at(loader, address - module.base, root, &mut calls);
            }
        }
        calls
    }

    /// Whether the debug information says that methods at this address are a text's.
    pub fn is_table_of_text(
        &mut self,
        address: u64,
        modules: &[Module],
        executable: &Path,
    ) -> bool {
        // Data lies behind a module's code, or before it.
        let before = modules.iter().filter(|module| module.base <= address);
        let Some(module) = before.max_by_key(|module| module.base) else { return false };
        let texts = self.texts.entry(module.file(executable));
        let texts = texts.or_insert_with_key(|path| vtables::of_texts(path));
        texts.contains(&(address - module.base))
    }
}

impl Module {
    fn file(&self, executable: &Path) -> PathBuf {
        match self.path.is_empty() {
            true => executable.to_owned(),
            false => PathBuf::from(path_of(&self.path)),
        }
    }
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(not(unix))]
fn path_of(_bytes: &[u8]) -> &OsStr {
    OsStr::new("")
}

fn calls_at(loader: &Loader, address: u64, root: &Path, calls: &mut Vec<Call>) {
    let before = calls.len();
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| name.raw_name().ok());
            let file = frame.location.as_ref().and_then(|location| location.file);
            let line = frame.location.as_ref().and_then(|location| location.line);
            let place =
                file.zip(line).map(|(file, line)| format!("{}:{line}", relative(file, root)));
            let is_ours = place.is_some() && file.is_some_and(|file| is_ours(file, root));
            let function = name.map(|name| demangled(&name)).unwrap_or_default();
            calls.push(Call { function, place, is_ours });
        }
    }
    // Without debug information the symbol table may still know the function.
    let is_nameless =
        calls.len() == before || calls[before..].iter().all(|c| c.function.is_empty());
    if let (true, Some(symbol)) = (is_nameless, loader.find_symbol(address)) {
        calls.truncate(before);
        calls.push(Call { function: demangled(symbol), place: None, is_ours: false });
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// What `cargo vendor` has put into the workspace is not its own.
pub fn is_ours(file: &str, root: &Path) -> bool {
    Path::new(file).strip_prefix(root).is_ok_and(|path| !path.starts_with("vendor"))
}

/// `/rustc/HASH/library/…` says no more than `library/…`.
fn relative(file: &str, root: &Path) -> String {
    if let Some((_, rest)) = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/')) {
        return rest.to_owned();
    }
    let path = Path::new(file);
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
