//! Detects doctests, which this run skips: rustdoc runs them. Users of `cargo test` expect a note.

use std::path::Path;

use super::inventory::Inventory;
use crate::cargo::workspace::Workspace;
use crate::cli::args::CargoArgs;

/// The packages of this run whose doctests `cargo test` would run with the same flags.
pub fn left_out(workspace: &Workspace, inventory: &Inventory, args: &CargoArgs) -> Vec<String> {
    if args.chooses_targets() {
        return Vec::new();
    }
    let mut packages: Vec<usize> =
        inventory.listings.iter().map(|listing| listing.binary.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
        .into_iter()
        .map(|index| &workspace.packages[index])
        .filter(|package| package.may_have_doctests() && has_doctest(&package.dir().join("src")))
        .map(|package| package.cargo.name.to_string())
        .collect()
}

fn has_doctest(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        // Links are not followed, as they may form a cycle.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => has_doctest(&path),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "rs") => {
                std::fs::read_to_string(&path).is_ok_and(|text| has_code(&text))
            }
            _ => false,
        }
    })
}

/// Whether the doc comments of a file have a block of Rust code.
fn has_code(text: &str) -> bool {
    let mut is_open = false;
    text.lines().filter_map(fence).any(|language| {
        let opens = !is_open;
        is_open = opens;
        opens && is_rust(language)
    })
}

/// The language after a fence in a doc comment; empty for a closing fence.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    text.trim_start().strip_prefix("```")
}

fn is_rust(language: &str) -> bool {
    let first = language.split([',', ' ']).next().unwrap_or_default();
    matches!(first, "" | "rust" | "no_run" | "should_panic" | "compile_fail")
        || first.starts_with("edition")
}

#[cfg(test)]
mod tests {
    use super::has_code;

    #[test]
    fn only_rust_counts() {
        let table = [
            ("/// ```\n/// x\n/// ```", true),
            ("    //! ```rust,no_run", true),
            ("/// ```text\n/// x\n/// ```", false),
            ("//! ```toml\n//! ```\n/// ```edition2024\n", true),
            ("// ```", false),
            ("/// no code", false),
        ];
        for (text, expected) in table {
            assert_eq!(has_code(text), expected, "{text}");
        }
    }
}
