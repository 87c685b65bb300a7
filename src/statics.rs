//! The writable statics of a test binary, by their paths: what `auto` reads as fixtures.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use object::read::{Object, ObjectSection, ObjectSymbol, ReadCache};
use object::{SectionIndex, SectionKind, SymbolKind};

use serde::{Deserialize, Serialize};

/// A writable static of a workspace crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Static {
    /// `mycrate::cache::tests::COUNTER`
    pub path: String,
    /// The module that it stands in, with the functions around it taken off.
    pub module: String,
}

/// What could be learnt from a symbol table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statics {
    Known(Vec<Static>),
    /// No symbols to read: then nothing can be said, and nothing may be split.
    Unreadable(String),
}

/// Reads the symbols of an executable; `crates` are the crate names of the workspace.
///
/// Only sections that a program can write to after its start count: a table of constant
/// pointers stands in `.data.rel.ro` and is read-only by then. A `thread_local!` is no
/// fixture: libtest gives every test a thread of its own, so none sees another's.
pub fn read(executable: &Path, crates: &HashSet<String>) -> Statics {
    match symbols(executable) {
        Ok(symbols) if symbols.is_empty() => Statics::Unreadable("it has no symbols".into()),
        Ok(symbols) => Statics::Known(statics(&symbols, crates)),
        Err(why) => Statics::Unreadable(why),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Symbol {
    Function(String),
    Writable(String),
}

fn symbols(executable: &Path) -> Result<Vec<Symbol>, String> {
    let file = File::open(executable).map_err(|error| error.to_string())?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).map_err(|error| error.to_string())?;
    let writable: HashSet<SectionIndex> =
        object.sections().filter(is_writable).map(|section| section.index()).collect();
    let symbol = |symbol: object::Symbol<'_, '_, &ReadCache<File>>| {
        let name = || Some(demangle(symbol.name().ok()?));
        match symbol.kind() {
            SymbolKind::Text => name().map(Symbol::Function),
            SymbolKind::Data | SymbolKind::Unknown
                if symbol.section_index().is_some_and(|index| writable.contains(&index)) =>
            {
                name().map(Symbol::Writable)
            }
            _ => None,
        }
    };
    Ok(object.symbols().filter_map(symbol).collect())
}

fn is_writable<'data>(section: &impl ObjectSection<'data>) -> bool {
    let by_kind = matches!(section.kind(), SectionKind::Data | SectionKind::UninitializedData);
    let name = section.name().unwrap_or_default();
    by_kind && !name.starts_with(".data.rel.ro") && !name.starts_with("__llvm")
}

/// The path without the hash that tells one build from another.
fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn statics(symbols: &[Symbol], crates: &HashSet<String>) -> Vec<Static> {
    let functions: HashSet<&str> = symbols
        .iter()
        .filter_map(|symbol| match symbol {
            Symbol::Function(path) => Some(path.as_str()),
            Symbol::Writable(_) => None,
        })
        .collect();
    let mut statics: Vec<Static> = symbols
        .iter()
        .filter_map(|symbol| match symbol {
            Symbol::Writable(path) => Some(path),
            Symbol::Function(_) => None,
        })
        .filter(|path| crate_of(path).is_some_and(|name| crates.contains(name)))
        .filter(|path| !is_known_harmless(path))
        .map(|path| Static { module: module_of(path, &functions), path: path.clone() })
        .collect();
    statics.sort();
    statics.dedup();
    statics
}

/// The crate that a path begins with; `<api::Pool as Drop>::drop::COUNT` begins with `api`.
fn crate_of(path: &str) -> Option<&str> {
    let path = path.trim_start_matches(['<', '&', '*', '(', '[']);
    let end = path.find("::")?;
    let name = &path[..end];
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// The module that a static stands in: its path without the last word, without closures,
/// and without functions, as far as the symbol table knows them as such.
///
/// A static of a method has no module in its path; the whole crate stands in for it.
fn module_of(path: &str, functions: &HashSet<&str>) -> String {
    if path.starts_with('<') || path.contains('<') {
        return crate_of(path).unwrap_or_default().to_owned();
    }
    let mut module = path.rsplit_once("::").map_or("", |(module, _)| module);
    while let Some((outer, last)) = module.rsplit_once("::") {
        if !last.starts_with('{') && !functions.contains(module) {
            break;
        }
        module = outer;
    }
    module.to_owned()
}

/// Statics that macros of well-known crates make, and that carry nothing from one test to
/// the next but a registration.
fn is_known_harmless(path: &str) -> bool {
    // tracing's call sites: https://docs.rs/tracing-core/latest/tracing_core/callsite
    let tracing = path.ends_with("::__CALLSITE") || path.ends_with("::META");
    // The counters of -Cinstrument-coverage stand in sections of their own; older ones in
    // .data.
    tracing || path.starts_with("__llvm") || path.starts_with("__prof")
}

/// Whether the executable is started by glibc's dynamic loader, which reads `LD_PRELOAD`: a
/// static one is not, nor one of another libc.
///
/// Reads the first bytes of the file only, where compilers put the loader's name.
pub fn has_loader(executable: &Path) -> bool {
    const WHERE_NAMES_ARE: u64 = 16 * 1024;
    let mut beginning = Vec::new();
    let read = File::open(executable)
        .and_then(|file| file.take(WHERE_NAMES_ARE).read_to_end(&mut beginning));
    read.is_ok() && memchr::memmem::find(&beginning, b"/ld-linux-").is_some()
}

/// Whether a binary with `harness = false` looks as if it spoke libtest's list protocol.
///
/// It must not be asked by running it: one that ignores its arguments would run its tests.
/// One that answers `--list --format terse` has that last word in it, and reads its
/// arguments. The word also stands inside `intersect`, which every binary with Unicode
/// tables contains.
pub fn speaks_protocol(executable: &Path) -> bool {
    let Ok(bytes) = std::fs::read(executable) else { return false };
    let mut words = memchr::memmem::find_iter(&bytes, b"terse");
    words.any(|at| !bytes[..at].ends_with(b"in")) && reads_arguments(executable)
}

/// Without symbols nothing speaks against it.
fn reads_arguments(executable: &Path) -> bool {
    let Ok(symbols) = symbols(executable) else { return true };
    let reads = |symbol: &Symbol| matches!(symbol, Symbol::Function(path) if path.starts_with("std::env::args"));
    symbols.is_empty() || symbols.iter().any(reads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(symbols: &[Symbol]) -> Vec<(String, String)> {
        let crates = HashSet::from(["web".to_owned()]);
        let found = statics(symbols, &crates);
        found.into_iter().map(|found| (found.path, found.module)).collect()
    }

    #[test]
    fn a_static_stands_in_the_module_around_its_functions() {
        let function = |path: &str| Symbol::Function(path.into());
        let writable = |path: &str| Symbol::Writable(path.into());
        let symbols = [
            function("web::db::tests::reads"),
            function("web::db::tests::next"),
            writable("web::ROOT"),
            writable("web::db::tests::reads::SEEN"),
            writable("web::db::tests::next::{{closure}}::COUNT"),
            writable("web::pool::POOL"),
            writable("<web::pool::Pool as core::ops::drop::Drop>::drop::DROPS"),
            writable("std::io::STDOUT"),
            writable("web::log::__CALLSITE"),
        ];
        let expected = [
            ("<web::pool::Pool as core::ops::drop::Drop>::drop::DROPS", "web"),
            ("web::ROOT", "web"),
            ("web::db::tests::next::{{closure}}::COUNT", "web::db::tests"),
            ("web::db::tests::reads::SEEN", "web::db::tests"),
            ("web::pool::POOL", "web::pool"),
        ];
        let expected: Vec<(String, String)> =
            expected.iter().map(|(path, module)| ((*path).into(), (*module).into())).collect();
        assert_eq!(found(&symbols), expected);
    }

    #[test]
    fn a_file_that_is_no_executable_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no object").unwrap();
        let statics = read(file.path(), &HashSet::new());
        assert!(matches!(statics, Statics::Unreadable(_)), "{statics:?}");
    }
}
