//! Paths of the machine that built the tests, and what they are on this one. Pure.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Directories there and here, the longest first, so that the target directory counts before the
/// workspace that it is in.
pub struct Remap(Vec<(String, String)>);

impl Remap {
    pub fn new(pairs: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Remap {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let pairs = pairs.into_iter().filter(|(there, _)| there.is_absolute());
        let mut pairs: Vec<_> = pairs.map(|(there, here)| (text(there), text(here))).collect();
        pairs.sort_by_key(|(there, _)| std::cmp::Reverse(there.len()));
        Remap(pairs)
    }

    /// Replaces the paths in all strings of a value.
    pub fn apply(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(here) = self.text(text) {
                    *text = here;
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|value| self.apply(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.apply(value)),
            _ => {}
        }
    }

    /// A string that is a path, or one with a path behind its first `=`, as in `native=/web/out`.
    fn text(&self, text: &str) -> Option<String> {
        if let Some(path) = self.path(text) {
            return Some(path);
        }
        let (name, path) = text.split_once('=')?;
        self.path(path).map(|path| format!("{name}={path}"))
    }

    fn path(&self, text: &str) -> Option<String> {
        let is_end = |rest: &str| rest.is_empty() || rest.starts_with(std::path::is_separator);
        self.0.iter().find_map(|(there, here)| {
            let rest = text.strip_prefix(there.as_str()).filter(|rest| is_end(rest))?;
            Some(format!("{here}{rest}"))
        })
    }
}

/// Where a path is in the archive, if it is below one of these roots: the longest counts.
pub fn name_in_archive(path: &Path, roots: &[(PathBuf, String)]) -> Option<String> {
    let around = roots.iter().filter(|(root, _)| path.starts_with(root));
    let (root, name) = around.max_by_key(|(root, _)| root.components().count())?;
    let below = path.strip_prefix(root).ok()?;
    let parts: Vec<_> = below.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
    Some(std::iter::once(name.as_str()).chain(parts).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_directory_counts_and_whole_names_only() {
        let pairs = [("/shop", "/x/workspace"), ("/shop/target", "/x/target")];
        let remap = Remap::new(pairs.map(|(a, b)| (a.into(), b.into())));
        let table = [
            ("/shop", "/x/workspace"),
            ("/shop/web/Cargo.toml", "/x/workspace/web/Cargo.toml"),
            ("/shop/target/debug/a", "/x/target/debug/a"),
            ("/shop/targets", "/x/workspace/targets"),
            ("/shopping", "/shopping"),
            ("native=/shop/target/out", "native=/x/target/out"),
            ("path+file:///shop#0.1.0", "path+file:///shop#0.1.0"),
            ("shop", "shop"),
        ];
        for (there, here) in table {
            let mut value = serde_json::json!({ "a": [there] });
            remap.apply(&mut value);
            assert_eq!(value["a"][0], here);
        }
    }

    #[test]
    fn a_file_is_named_after_the_nearest_root() {
        let roots = [("/shop", "workspace"), ("/shop/target", "target")];
        let roots = roots.map(|(root, name)| (PathBuf::from(root), name.to_owned()));
        let name = |path: &str| name_in_archive(Path::new(path), &roots);
        assert_eq!(name("/shop/target/debug/a").as_deref(), Some("target/debug/a"));
        assert_eq!(name("/shop/web/a").as_deref(), Some("workspace/web/a"));
        assert_eq!(name("/elsewhere/a"), None);
    }
}
