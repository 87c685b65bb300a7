//! The writable statics of a test binary with their addresses, for a run that watches them.

use std::collections::HashSet;
use std::path::Path;

use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{SectionIndex, SymbolKind};

use super::file_parts::FileParts;
use super::statics::{Statics, crate_of, demangle, is_known_harmless, is_writable};
use crate::cargo::link_inputs::is_rust_symbol;

/// A static that is compared from test to test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedStatic {
    pub path: String,
    /// Its crate, if its name says that.
    pub owner: Option<String>,
    /// Whether it is of the user's own code.
    pub is_own: bool,
    /// In the file.
    pub address: u64,
    pub length: u64,
}

/// The standard library's place of the panic hook, which tests do set.
pub const PANIC_HOOK: &str = "std::panicking::HOOK";

/// Longer ones are not compared.
const LONGEST: u64 = 16 << 20;

/// The standard library changes its statics whenever it is used, and puts them right by itself. The
/// same goes for crates in which programs register what they log to.
const HARMLESS_CRATES: [&str; 15] = [
    "alloc",
    "backtrace",
    "compiler_builtins",
    "core",
    "log",
    "memchr",
    "panic_unwind",
    "parking_lot_core",
    "partest",
    "proc_macro",
    "std",
    "std_detect",
    "test",
    "tracing",
    "tracing_core",
];

/// Those of an executable, of all crates but the standard library; none where it has no symbols.
pub fn read(executable: &Path, statics: &Statics) -> Vec<WatchedStatic> {
    let own: HashSet<&str> = match statics {
        Statics::Known { statics, .. } => statics.iter().map(|known| &*known.path).collect(),
        Statics::Unreadable(_) => HashSet::new(),
    };
    let Ok(file) = FileParts::open(executable) else { return Vec::new() };
    let Ok(object) = object::File::parse(&file) else { return Vec::new() };
    // Each by itself would be read from the file.
    let _ = file.symbol_names(&object);
    let writable: HashSet<SectionIndex> =
        object.sections().filter(is_writable).map(|section| section.index()).collect();
    let watched = |symbol: object::Symbol<'_, '_, _>| {
        let is_static = matches!(symbol.kind(), SymbolKind::Data | SymbolKind::Unknown)
            && symbol.section_index().is_some_and(|index| writable.contains(&index))
            && (1..=LONGEST).contains(&symbol.size());
        let name = symbol.name().ok().filter(|_| is_static)?;
        let (address, length) = (symbol.address(), symbol.size());
        if !is_rust_symbol(name) {
            let is_own = own.contains(name);
            let (path, owner) = (name.to_owned(), None);
            return is_own.then_some(WatchedStatic { path, owner, is_own, address, length });
        }
        let path = demangle(name);
        if path == PANIC_HOOK {
            return Some(WatchedStatic { path, owner: None, is_own: true, address, length });
        }
        let owner = crate_of(&path).map(str::to_owned);
        let is_harmless = owner.as_deref().is_some_and(|name| HARMLESS_CRATES.contains(&name));
        if is_harmless || is_known_harmless(&path) {
            return None;
        }
        let is_own = own.contains(&*path);
        Some(WatchedStatic { path, owner, is_own, address, length })
    };
    object.symbols().filter_map(watched).collect()
}
