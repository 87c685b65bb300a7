//! The writable statics of a test binary: state that tests share, and `auto` keeps in one process.

use std::collections::HashSet;

use memchr::memmem::Finder;
use object::read::elf::Sym;
use object::read::{Object, ObjectSection, ObjectSymbol, ReadRef};
use object::{SectionIndex, SectionKind, SymbolKind};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::file_parts::FileParts;
use crate::cargo::link_inputs::{LinkInputs, is_rust_symbol};

/// A writable static of the user's code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Static {
    /// `mycrate::cache::tests::COUNTER`
    pub path: String,
    /// Its module, without enclosing functions; empty if its name has none, as for a static of C.
    pub module: String,
}

/// The writable statics in a symbol table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statics {
    Known {
        statics: Vec<Static>,
        /// Whether the code uses `Barrier`, so that tests may wait for each other.
        has_barrier: bool,
    },
    /// Without symbols no test may be split from the others.
    Unreadable(String),
}

/// Reads the writable statics of the user's own code from an executable.
///
/// Only sections that are writable after start-up count: a table of constant pointers in
/// `.data.rel.ro` is read-only by then. A `thread_local!` is not shared, since libtest gives every
/// test a thread of its own.
pub fn read(executable: &FileParts, link_inputs: &LinkInputs) -> Statics {
    let words = Words::of_statics();
    match Symbols::read(executable, &link_inputs.crates, &words) {
        Ok(found) if found.is_empty() => Statics::Unreadable("it has no symbols".into()),
        Ok(found) => Statics::Known {
            has_barrier: found.words.barrier,
            statics: statics(&found, link_inputs),
        },
        Err(why) => Statics::Unreadable(why),
    }
}

/// What a symbol table says.
#[derive(Debug, Default)]
struct Symbols<'f> {
    words: FoundWords,
    /// Whether there are any, the user's or not.
    has_functions: bool,
    /// The functions of the user's crates, mangled: there are thousands, and seldom a static whose
    /// module they tell.
    functions: Vec<&'f [u8]>,
    /// The writable variables.
    writable: Vec<String>,
    /// Writable variables with unmangled names.
    unmangled: HashSet<String>,
}

/// Which symbols are wanted.
struct Wanted<'c> {
    /// The names of the user's crates.
    crates: FxHashSet<&'c [u8]>,
    writable: FxHashSet<SectionIndex>,
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end])
}

impl<'f> Symbols<'f> {
    fn read(
        executable: &'f FileParts,
        crates: &HashSet<String>,
        words: &Words,
    ) -> Result<Symbols<'f>, String> {
        let object = object::File::parse(executable).map_err(|error| error.to_string())?;
        let wanted = Wanted {
            crates: crates.iter().map(|name| name.as_bytes()).collect(),
            writable: object.sections().filter(is_writable).map(|it| it.index()).collect(),
        };
        let mut found = Symbols::default();
        // Of tens of thousands of names, only those that are wanted are read to their ends.
        match (&object, executable.symbol_names(&object)) {
            (object::File::Elf64(object), Some(names)) => {
                found.words.look(names, words);
                for symbol in object.symbols() {
                    let start = symbol.elf_symbol().st_name(object.endian());
                    let from = usize::try_from(start).ok().and_then(|start| names.get(start..));
                    found.add(&symbol, from.unwrap_or_default(), &wanted);
                }
            }
            _ => {
                for symbol in object.symbols() {
                    let Ok(name) = symbol.name_bytes() else { continue };
                    found.words.look(name, words);
                    found.add(&symbol, name, &wanted);
                }
            }
        }
        Ok(found)
    }

    /// A symbol whose name is what comes before the first zero byte.
    fn add<'d>(&mut self, symbol: &impl ObjectSymbol<'d>, name: &'f [u8], wanted: &Wanted<'_>) {
        let is_writable = |at| wanted.writable.contains(&at);
        match symbol.kind() {
            SymbolKind::Text => self.add_function(name, &wanted.crates),
            kind @ (SymbolKind::Data | SymbolKind::Unknown)
                if symbol.section_index().is_some_and(is_writable) =>
            {
                self.add_variable(until_zero(name), kind);
            }
            _ => {}
        }
    }

    /// Whether it says nothing, as after `strip`.
    fn is_empty(&self) -> bool {
        !self.has_functions && self.writable.is_empty() && self.unmangled.is_empty()
    }

    /// Nearly all functions belong to other crates. One whose path does not begin with a crate (of
    /// an implementation, or an instance of a generic function) never encloses a static by name.
    fn add_function(&mut self, name: &'f [u8], crates: &FxHashSet<&[u8]>) {
        self.has_functions = true;
        if first_crate(name).is_some_and(|name| crates.contains(name)) {
            self.functions.push(until_zero(name));
        }
    }

    /// A writable variable. An unmangled symbol without a type is a linker's marker.
    fn add_variable(&mut self, name: &[u8], kind: SymbolKind) {
        let Ok(name) = std::str::from_utf8(name) else { return };
        if is_rust_symbol(name) {
            self.writable.push(demangle(name));
        } else if kind == SymbolKind::Data {
            self.unmangled.insert(name.to_owned());
        }
    }
}

/// Parts of the names of functions, none of which is looked for in vain: there are megabytes of names.
#[derive(Default)]
struct Words {
    barrier: Option<Finder<'static>>,
    thread_id: Option<Finder<'static>>,
    arguments: Vec<Finder<'static>>,
}

impl Words {
    fn of_statics() -> Words {
        Words {
            barrier: Some(Finder::new("7Barrier4wait")),
            thread_id: Some(Finder::new("ThreadId")),
            arguments: Vec::new(),
        }
    }

    fn of_arguments() -> Words {
        let arguments = ["3std3env4args", "3std3env7args_os"].map(Finder::new).into();
        Words { arguments, ..Words::default() }
    }
}

/// Which of the words are in names.
#[derive(Debug, Default)]
struct FoundWords {
    /// `Barrier::wait`
    barrier: bool,
    /// `ThreadId` as text, which is unique within one process only.
    thread_id_as_text: bool,
    /// `std::env::args`
    arguments: bool,
}

impl FoundWords {
    /// Looks for them in one name, or in many with zero bytes between them.
    fn look(&mut self, names: &[u8], words: &Words) {
        let has = |word: &Finder<'_>| word.find(names).is_some();
        self.barrier |= words.barrier.as_ref().is_some_and(has);
        self.arguments |= words.arguments.iter().any(has);
        let is_text = |at: usize| {
            let name = name_around(names, at);
            let has = |word: &str| memchr::memmem::find(name, word.as_bytes()).is_some();
            ["Debug", "fmt"].into_iter().all(has)
        };
        let thread_ids = words.thread_id.iter().flat_map(|word| word.find_iter(names));
        self.thread_id_as_text |= thread_ids.into_iter().any(is_text);
    }
}

/// The name that a place is in.
fn name_around(names: &[u8], at: usize) -> &[u8] {
    let start = memchr::memrchr(0, &names[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(0, &names[at..]).map_or(names.len(), |length| at + length);
    &names[start..end]
}

/// The crate that a mangled path begins with: `_ZN3web…` and `_RNvNtCs1234_3web…`; none if it
/// begins otherwise, such as that of an implementation.
fn first_crate(mangled: &[u8]) -> Option<&[u8]> {
    let is_v0 = mangled.starts_with(b"_R");
    let rest = match is_v0 {
        false => mangled.strip_prefix(b"_ZN")?,
        true => {
            let kinds = mangled[2..].iter().take_while(|byte| b"Nvt".contains(byte)).count();
            let path = mangled[2 + kinds..].strip_prefix(b"Cs")?;
            &path[memchr::memchr(b'_', path)? + 1..]
        }
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let name = &rest[digits..];
    // The v0 mangling puts a `_` before an identifier that begins with a digit or `_`.
    let name = if is_v0 { name.strip_prefix(b"_").unwrap_or(name) } else { name };
    name.get(..length).filter(|name| !name.starts_with(b"_$"))
}

pub(super) fn is_writable<'data>(section: &impl ObjectSection<'data>) -> bool {
    let by_kind = matches!(section.kind(), SectionKind::Data | SectionKind::UninitializedData);
    let name = section.name().unwrap_or_default();
    by_kind && !name.starts_with(".data.rel.ro") && !name.starts_with("__llvm")
}

/// The path without its hash.
pub(super) fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn statics(symbols: &Symbols<'_>, link_inputs: &LinkInputs) -> Vec<Static> {
    let crates = &link_inputs.crates;
    let is_own = |path: &&String| {
        crate_of(path).is_some_and(|name| crates.contains(name)) && !is_known_harmless(path)
    };
    let own: Vec<&String> = symbols.writable.iter().filter(is_own).collect();
    let functions: HashSet<String> = match own.is_empty() {
        true => HashSet::new(),
        false => {
            let names = symbols.functions.iter().filter_map(|name| std::str::from_utf8(name).ok());
            names.map(demangle).collect()
        }
    };
    let mut statics: Vec<Static> = own
        .into_iter()
        .map(|path| Static { module: module_of(path, &functions), path: path.clone() })
        .collect();
    let own = link_inputs.own_symbols(symbols.unmangled.clone());
    statics.extend(own.into_iter().map(|path| Static { path, module: String::new() }));
    if symbols.words.thread_id_as_text {
        // The counter behind `ThreadId` is a static, too, and names made from it are unique within
        // one process only.
        let (module, path) = ("std::thread::id", "std::thread::id::ThreadId::new::COUNTER");
        statics.push(Static { path: path.into(), module: module.into() });
    }
    statics.sort();
    statics.dedup();
    statics
}

/// The crate that a path begins with; `<api::Pool as Drop>::drop::COUNT` begins with `api`.
pub(super) fn crate_of(path: &str) -> Option<&str> {
    let path = path.trim_start_matches(['<', '&', '*', '(', '[']);
    let end = path.find("::")?;
    let name = &path[..end];
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// The module of a static: its path without the last segment, closures, and the functions in the
/// symbol table.
///
/// The path of a static in a method has no module; the crate is used instead.
fn module_of(path: &str, functions: &HashSet<String>) -> String {
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

/// Whether a static is one that macros of well-known crates define, and that shares nothing between
/// tests but a registration.
pub(super) fn is_known_harmless(path: &str) -> bool {
    // tracing's call sites and their metadata:
    // https://docs.rs/tracing-core/latest/tracing_core/callsite
    let tracing = path.ends_with("::__CALLSITE") || path.ends_with("::__CALLSITE::META");
    // The counters of -Cinstrument-coverage: of older compilers they are in `.data`.
    tracing || path.starts_with("__llvm") || path.starts_with("__prof")
}

/// Whether glibc's dynamic loader, which reads `LD_PRELOAD`, starts the executable. It does not for
/// static executables, nor for those of another libc.
///
/// Reads only the beginning of the file, where linkers put the loader's name.
pub fn has_loader(executable: &FileParts) -> bool {
    const WHERE_NAMES_ARE: u64 = 16 * 1024;
    let length = executable.len().unwrap_or_default().min(WHERE_NAMES_ARE);
    let beginning = executable.read_bytes_at(0, length).unwrap_or_default();
    memchr::memmem::find(beginning, b"/ld-linux-").is_some()
}

/// Whether a function reads the arguments of the process; assumed if there are no symbols.
pub(super) fn reads_arguments(executable: &FileParts) -> bool {
    let symbols = Symbols::read(executable, &HashSet::new(), &Words::of_arguments());
    symbols.map_or(true, |symbols| symbols.is_empty() || symbols.words.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(symbols: &Symbols<'_>) -> Vec<(String, String)> {
        let found = statics(symbols, &LinkInputs::of(&["web"]));
        found.into_iter().map(|found| (found.path, found.module)).collect()
    }

    #[test]
    fn the_module_of_a_static_encloses_its_functions() {
        let text = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let symbols = Symbols {
            functions: vec![b"web::db::tests::reads", b"web::db::tests::next"],
            writable: text(&[
                "web::ROOT",
                "web::db::tests::reads::SEEN",
                "web::db::tests::next::{{closure}}::COUNT",
                "web::pool::POOL",
                "<web::pool::Pool as core::ops::drop::Drop>::drop::DROPS",
                "std::io::STDOUT",
                "web::log::__CALLSITE",
                "web::log::__CALLSITE::META",
                "web::file::META",
            ]),
            unmangled: text(&["counter", "completed.0", "stdout@GLIBC_2.2.5"])
                .into_iter()
                .collect(),
            ..Symbols::default()
        };
        let expected = [
            ("<web::pool::Pool as core::ops::drop::Drop>::drop::DROPS", "web"),
            ("counter", ""),
            ("web::ROOT", "web"),
            ("web::db::tests::next::{{closure}}::COUNT", "web::db::tests"),
            ("web::db::tests::reads::SEEN", "web::db::tests"),
            ("web::file::META", "web::file"),
            ("web::pool::POOL", "web::pool"),
        ];
        let expected: Vec<(String, String)> =
            expected.iter().map(|(path, module)| ((*path).into(), (*module).into())).collect();
        assert_eq!(found(&symbols), expected);
    }

    #[test]
    fn the_crate_of_a_mangled_name_is_read_without_demangling() {
        let table = [
            ("_ZN3web2db5tests5reads17h0123456789abcdefE", Some("web")),
            ("_RNvNtCsjrHSEGnQ3l9_3std6thread5spawn", Some("std")),
            ("_RNvCs1234_6_1crate4main", Some("1crate")),
            ("_ZN46_$LT$web..Pool$u20$as$u20$core..ops..Drop$GT$4drop17hE", None),
            ("_RNvXs_NtCsjrHSEGnQ3l9_3web4poolNtB4_4PoolNtCs_4core5clone5Clone5clone", None),
            ("main", None),
            ("_ZN999web", None),
        ];
        for (mangled, expected) in table {
            let found = first_crate(mangled.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{mangled}");
        }
    }

    #[test]
    fn words_are_found_in_the_names_that_have_them() {
        let found = |names: &str| {
            let mut found = FoundWords::default();
            [Words::of_statics(), Words::of_arguments()]
                .iter()
                .for_each(|words| found.look(names.as_bytes(), words));
            [found.barrier, found.thread_id_as_text, found.arguments]
        };
        assert_eq!(found("_ZN3std4sync7Barrier4wait17hE"), [true, false, false]);
        assert_eq!(
            found("main\0_ZN3std3env8args_os17hE\0_ZN3std3env4args17hE\0"),
            [false, false, true]
        );
        assert_eq!(found("_RNvXs_ThreadId_5Debug3fmt"), [false, true, false]);
        assert_eq!(found("main\0_RNvXs_ThreadId_5Debug3fmt\0"), [false, true, false]);
        assert_eq!(found("ThreadId\0Debug3fmt\0ThreadId\0fmt\0"), [false, false, false]);
    }

    #[test]
    fn thread_ids_as_text_count_as_a_static() {
        let words = FoundWords { thread_id_as_text: true, ..FoundWords::default() };
        assert_eq!(found(&Symbols { words, ..Symbols::default() })[0].1, "std::thread::id");
    }

    #[test]
    fn a_file_that_is_no_executable_is_unreadable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no object").unwrap();
        let statics = read(&FileParts::open(file.path()).unwrap(), &LinkInputs::default());
        assert!(matches!(statics, Statics::Unreadable(_)), "{statics:?}");
    }
}
