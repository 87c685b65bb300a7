//! The `rust-version` of a package as its author has typed it, which cargo gives to tests:
//! `1.70`, of which `cargo_metadata` makes `1.70.0`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use toml::de::{DeTable, DeValue};

/// The manifest of a workspace, from which packages may inherit their version.
#[derive(Debug)]
pub struct RootManifest {
    path: PathBuf,
    /// Where it is not read from its place: in an archive.
    text: Option<String>,
    /// Read once, and only where a package inherits it.
    typed: OnceLock<Option<String>>,
}

impl RootManifest {
    pub fn new(path: PathBuf, text: Option<String>) -> Arc<RootManifest> {
        Arc::new(RootManifest { path, text, typed: OnceLock::new() })
    }

    fn typed(&self) -> Option<&str> {
        let read = || {
            let text = match &self.text {
                Some(text) => text.clone(),
                None => std::fs::read_to_string(&self.path).ok()?,
            };
            let document = DeTable::parse(&text).ok()?;
            let package = document.get_ref().get("workspace")?.get_ref().get("package")?;
            package.get_ref().get("rust-version")?.get_ref().as_str().map(str::to_owned)
        };
        self.typed.get_or_init(read).as_deref()
    }
}

/// The version as typed in the manifest of a package, or the one above it. `whole` is the same
/// with three numbers; it counts where the text cannot be read, or has changed since.
pub fn typed(whole: &str, manifest: &str, root: &RootManifest) -> String {
    // Nothing was left away that is not zero.
    let may_be_shorter = whole.ends_with(".0");
    let found = if may_be_shorter { in_manifest(manifest, root) } else { None };
    found.filter(|typed| with_three_numbers(typed) == whole).unwrap_or_else(|| whole.to_owned())
}

fn in_manifest(manifest: &str, root: &RootManifest) -> Option<String> {
    let document = DeTable::parse(manifest).ok()?;
    let document = document.get_ref();
    let package = document.get("package").or_else(|| document.get("project"))?;
    match package.get_ref().get("rust-version")?.get_ref() {
        DeValue::String(typed) => Some(typed.to_string()),
        _ => root.typed().map(str::to_owned),
    }
}

/// `1.70.0` for `1.70`, and `1.0.0` for `1`, which cargo takes too.
pub fn with_three_numbers(typed: &str) -> String {
    let missing = 2_usize.saturating_sub(typed.matches('.').count());
    format!("{typed}{}", ".0".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_stands_in_the_manifest_or_the_one_above() {
        let root = |typed: &str| {
            let text = format!("[workspace.package]\nrust-version = {typed}\n");
            RootManifest::new(PathBuf::new(), Some(text))
        };
        let table = [
            ("1.70.0", "rust-version = \"1.70\"", "\"1.71\"", "1.70"),
            ("1.70.0", "rust-version = '1.70'", "\"1.71\"", "1.70"),
            ("1.70.0", "'rust-version' = \"1.70.0\" # not \"1.70\"", "\"1.71\"", "1.70.0"),
            ("1.70.1", "rust-version = \"1.70.1\"", "\"1.71\"", "1.70.1"),
            ("1.0.0", "rust-version = \"1\"", "\"1.71\"", "1"),
            ("1.70.0", "rust-version.workspace = true", "'1.70'", "1.70"),
            ("1.70.0", "rust-version = { workspace = true }", "\"1.70.0\"", "1.70.0"),
            // What is not the version that cargo has told.
            ("1.72.0", "rust-version.workspace = true", "\"1.71\"", "1.72.0"),
            ("1.72.0", "rust-version = \"1.71\"", "\"1.71\"", "1.72.0"),
            ("1.72.0", "rust-version = ", "\"1.72\"", "1.72.0"),
        ];
        for (whole, manifest, above, expected) in table {
            let manifest = format!("[package]\nname = \"a\"\n{manifest}\n");
            assert_eq!(typed(whole, &manifest, &root(above)), expected, "{manifest} {above}");
        }
        let nowhere = RootManifest::new(PathBuf::from("/nowhere/Cargo.toml"), None);
        let inherits = "[package]\nrust-version.workspace = true\n";
        assert_eq!(typed("1.70.0", inherits, &nowhere), "1.70.0");
    }
}
