//! What a test binary is linked from, and which of it is the user's own code.
//!
//! A package in a local directory is the user's, whether it is a member of the workspace or not;
//! one from a registry or from git is not, nor is what the toolchain adds. cargo reports each
//! artifact with its package. A mangled symbol names its crate; other symbols (`#[no_mangle]`, C)
//! are looked up in the libraries, as few binaries have any.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cargo_metadata::{Artifact, BuildScript, PackageId, Target, TargetKind};
use object::read::archive::ArchiveFile;
use object::read::{Object, ObjectSymbol, ReadCache};

use super::workspace::crate_name;

/// The libraries and crates that test binaries are linked from, by owner.
#[derive(Debug, Clone, Default)]
pub struct LinkInputs {
    /// The names of the user's crates.
    pub crates: HashSet<String>,
    /// Where build scripts of the user's packages put libraries.
    own_dirs: Vec<PathBuf>,
    /// Libraries of other packages, with the C code that is linked with them.
    foreign: Vec<PathBuf>,
    /// The directories of the toolchain's libraries.
    toolchain_dirs: Vec<PathBuf>,
    /// The symbols of libraries read so far: many binaries are linked from the same.
    defined: Arc<Mutex<HashMap<PathBuf, Arc<HashSet<String>>>>>,
}

/// Whether tests may be linked with this target. Macros and build scripts run in the compiler's
/// processes.
fn is_linked(target: &Target) -> bool {
    let is_library = |kind: &TargetKind| {
        matches!(
            kind,
            TargetKind::Lib
                | TargetKind::RLib
                | TargetKind::DyLib
                | TargetKind::CDyLib
                | TargetKind::StaticLib
        )
    };
    target.kind.iter().any(is_library)
}

/// Whether a package comes from a local directory.
fn is_own(package: &PackageId) -> bool {
    // `path+file:///shop#0.1.0`, and of older cargos `shop 0.1.0 (path+file:///shop)`.
    package.repr.starts_with("path+") || package.repr.contains("(path+")
}

/// The path of a `cargo::rustc-link-search`, which may begin with a kind: `native=/path`.
pub fn linked_path(text: &str) -> PathBuf {
    let kinds = ["native=", "dependency=", "crate=", "framework=", "all="];
    let path = kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
    PathBuf::from(path)
}

impl LinkInputs {
    #[cfg(test)]
    pub fn of(crates: &[&str]) -> LinkInputs {
        let crates = crates.iter().map(|name| (*name).to_owned()).collect();
        LinkInputs { crates, ..LinkInputs::default() }
    }

    /// Adds the directories of the toolchain's libraries.
    pub fn with_toolchain(self, toolchain_dirs: Vec<PathBuf>) -> LinkInputs {
        LinkInputs { toolchain_dirs, ..self }
    }

    /// Adds an artifact that is no test.
    pub fn add(&mut self, artifact: &Artifact) {
        if !is_linked(&artifact.target) {
            return;
        }
        if is_own(&artifact.package_id) {
            self.crates.insert(crate_name(&artifact.target.name));
            return;
        }
        let files = artifact.filenames.iter();
        let archives = files.filter(|file| matches!(file.extension(), Some("rlib" | "a")));
        self.foreign.extend(archives.map(|file| file.clone().into()));
    }

    /// Adds what a build script of the user's may have built.
    pub fn add_script(&mut self, script: &BuildScript) {
        if is_own(&script.package_id) {
            let paths = script.linked_paths.iter().map(|path| linked_path(path.as_str()));
            let below = paths.filter(|path| path.starts_with(&script.out_dir));
            self.own_dirs.extend(below.chain([script.out_dir.clone().into()]));
        }
    }

    /// Those of some unmangled symbols that the user's own code may define: the ones in its
    /// libraries, and the ones in nobody else's.
    pub fn own_symbols(&self, names: HashSet<String>) -> HashSet<String> {
        let own = self.own_dirs.iter().flat_map(|dir| libraries(dir));
        let own: Vec<_> = own.map(|library| self.defined(&library)).collect();
        let is_in_own = |name: &String| own.iter().any(|names| names.contains(name));
        let (own, others): (HashSet<String>, _) = names.into_iter().partition(is_in_own);
        let mut unknown: HashSet<String> =
            others.into_iter().filter(|name| !is_toolchains(name)).collect();
        let of_toolchain = self.toolchain_dirs.iter().flat_map(|dir| libraries(dir));
        // Reading libraries is slow: stop as soon as every symbol is known.
        for library in self.foreign.iter().cloned().chain(of_toolchain) {
            if unknown.is_empty() {
                break;
            }
            let defined = self.defined(&library);
            unknown.retain(|name| !defined.contains(name));
        }
        own.into_iter().chain(unknown).collect()
    }

    /// The unmangled symbols that a library defines.
    fn defined(&self, library: &Path) -> Arc<HashSet<String>> {
        let found = || self.defined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(defined) = found().get(library) {
            return defined.clone();
        }
        let defined = Arc::new(defined(library));
        found().insert(library.to_owned(), defined.clone());
        defined
    }
}

/// Whether a symbol is one of those that C's start-up code, linkers and compilers add to programs.
fn is_toolchains(name: &str) -> bool {
    let of_program = ["completed.", "__dso_handle", "__TMC_", "DW.ref."];
    let of_rustc = ["__rust", "_rust_extern_with_linkage_", "anon."];
    let of_instruments =
        ["__llvm_", "__prof", "lprof", "__asan", "___asan", "__odr_asan", "__sancov"];
    let mut starts = of_program.iter().chain(&of_rustc).chain(&of_instruments);
    // A versioned symbol is a copy of a shared library's.
    starts.any(|start| name.starts_with(start)) || name.contains('@')
}

/// The libraries and object files of a directory.
fn libraries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_library = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default();
        ["a", "rlib", "lib", "o", "obj"].iter().any(|known| ending == *known)
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_library).collect();
    found.sort_unstable();
    found
}

fn defined(library: &Path) -> HashSet<String> {
    let Ok(file) = File::open(library) else { return HashSet::new() };
    let cache = ReadCache::new(file);
    let Ok(archive) = ArchiveFile::parse(&cache) else {
        return object::File::parse(&cache).map(|object| defined_in(&object)).unwrap_or_default();
    };
    // The archive's index has the global symbols.
    let index = archive.symbols().ok().flatten().into_iter().flatten().flatten();
    let index = index.filter_map(|symbol| std::str::from_utf8(symbol.name()).ok());
    let mut found: HashSet<String> =
        index.filter(|name| !is_rust_symbol(name)).map(str::to_owned).collect();
    for member in archive.members().flatten() {
        // The local symbols in rustc's own objects are all mangled.
        let is_of_rustc = member.name().ends_with(b".rcgu.o") || member.name() == b"lib.rmeta";
        let data = (!is_of_rustc).then(|| member.data(&cache).ok()).flatten();
        if let Some(Ok(object)) = data.map(object::File::parse) {
            found.extend(defined_in(&object));
        }
    }
    found
}

fn defined_in<'data>(object: &impl Object<'data>) -> HashSet<String> {
    let definitions = object.symbols().filter(ObjectSymbol::is_definition);
    let names = definitions.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    names.filter(|name| !is_rust_symbol(name)).collect()
}

/// Whether a symbol was mangled by rustc. C++ uses the legacy form, too, but without the hash at
/// its end.
pub fn is_rust_symbol(name: &str) -> bool {
    // LLVM may add `.llvm.123` to a symbol that it makes global.
    let plain = name.split(".llvm.").next().unwrap_or(name);
    // Some systems prefix each symbol with one more `_`.
    let bare = plain.trim_start_matches('_');
    let has_hash = || {
        let hash = bare.strip_suffix('E').and_then(|name| name.get(name.len().checked_sub(19)?..));
        let hash = hash.and_then(|hash| hash.strip_prefix("17h"));
        hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    plain.starts_with('_')
        && match bare.as_bytes() {
            [b'R', ..] => rustc_demangle::try_demangle(plain).is_ok(),
            [b'Z', b'N', ..] => has_hash(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_other_compilers_are_not_rust_symbols() {
        let table = [
            ("_ZN3web2db4POOL17h0123456789abcdefE", true),
            ("__ZN3web2db4POOL17h0123456789abcdefE", true),
            ("_ZN3web2db4POOL17h0123456789abcdefE.llvm.12", true),
            ("_RNvNtCsjrHSEGnQ3l9_3web2db4POOL", true),
            ("_ZN3web7counterE", false),
            ("_ZZ4nextvE7counter", false),
            ("_READY", false),
            ("Result", false),
            ("counter", false),
            ("exported.name", false),
            ("", false),
        ];
        for (name, expected) in table {
            assert_eq!(is_rust_symbol(name), expected, "{name}");
        }
    }

    #[test]
    fn packages_of_local_directories_are_the_users() {
        let table = [
            ("path+file:///shop#0.1.0", true),
            ("shop 0.1.0 (path+file:///shop)", true),
            ("registry+https://github.com/rust-lang/crates.io-index#log@0.4.2", false),
            ("git+https://example.com/shop#0.1.0", false),
        ];
        for (repr, expected) in table {
            assert_eq!(is_own(&PackageId { repr: repr.to_owned() }), expected, "{repr}");
        }
    }

    #[test]
    fn a_symbol_is_the_users_unless_only_others_define_it() {
        let dir = tempfile::tempdir().unwrap();
        let names = |names: &[&str]| Arc::new(names.iter().map(|n| (*n).to_owned()).collect());
        let place = |name: &str| dir.path().join(name);
        std::fs::create_dir(place("out")).unwrap();
        std::fs::write(place("out/libown.a"), "").unwrap();
        let defined = HashMap::from([
            (place("out/libown.a"), names(&["counter", "both", "completed.0"])),
            (place("libring.rlib"), names(&["both", "others"])),
        ]);
        let link_inputs = LinkInputs {
            own_dirs: vec![place("out")],
            foreign: vec![place("libring.rlib")],
            defined: Arc::new(Mutex::new(defined)),
            ..LinkInputs::default()
        };
        let all = ["counter", "both", "others", "nobodys", "completed.0", "completed.1"];
        let mut own: Vec<String> =
            link_inputs.own_symbols(all.map(str::to_owned).into()).into_iter().collect();
        own.sort_unstable();
        assert_eq!(own, ["both", "completed.0", "counter", "nobodys"]);
    }
}
