//! The manifest of the workspace, found without cargo: what it says about the command line counts
//! before cargo is started.

use std::path::{Path, PathBuf};

use toml::Value;

/// The path and the text of the root manifest, found as cargo finds it. None where no manifest
/// above mentions this program, so that most projects pay for reading their manifests only.
pub fn mentioning(name: &str, manifest_path: Option<&Path>) -> Option<(PathBuf, String)> {
    let here = std::env::current_dir().ok()?;
    let start = match manifest_path {
        Some(path) => here.join(path),
        None => here.ancestors().map(|dir| dir.join("Cargo.toml")).find(|path| path.is_file())?,
    };
    let text = std::fs::read_to_string(&start).ok()?;
    let dir = start.parent()?.to_owned();
    let above = dir.ancestors().skip(1).map(|dir| dir.join("Cargo.toml"));
    let above: Vec<(PathBuf, String)> = above
        .filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text)))
        .collect();
    let points_elsewhere = text.contains("workspace");
    if !text.contains(name)
        && !points_elsewhere
        && !above.iter().any(|(_, text)| text.contains(name))
    {
        return None;
    }
    let manifest: toml::Table = text.parse().ok()?;
    if manifest.contains_key("workspace") {
        return Some((start, text));
    }
    let pointed = manifest.get("package").and_then(|package| package.get("workspace")?.as_str());
    if let Some(root) = pointed {
        let path = dir.join(root).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).ok()?;
        return Some((path, text));
    }
    for (path, text) in above {
        let Ok(manifest) = text.parse::<toml::Table>() else { continue };
        if let Some(workspace) = manifest.get("workspace") {
            let root = path.parent().unwrap_or(Path::new("/"));
            return (!is_excluded(&dir, root, workspace)).then_some((path, text));
        }
    }
    None
}

fn is_excluded(dir: &Path, root: &Path, workspace: &Value) -> bool {
    let has = |key| {
        let paths = workspace.get(key).and_then(Value::as_array).into_iter().flatten();
        paths.filter_map(Value::as_str).any(|path| dir.starts_with(root.join(path)))
    };
    has("exclude") && !has("members")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_where_cargo_looks_for_it() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\nexclude = [\"out\"]\n[workspace.metadata.partest]\n");
        write("web/Cargo.toml", "[package]\nname = \"web\"\n");
        write("out/Cargo.toml", "[package]\nname = \"out\"\n");
        write("far/Cargo.toml", "[package]\nworkspace = \"../other\"\n");
        write("other/Cargo.toml", "[workspace]\n");
        let table = [
            ("Cargo.toml", Some("Cargo.toml")),
            ("web/Cargo.toml", Some("Cargo.toml")),
            ("out/Cargo.toml", None),
            ("far/Cargo.toml", Some("far/../other/Cargo.toml")),
            ("none/Cargo.toml", None),
        ];
        for (start, expected) in table {
            let start = place.path().join(start);
            let found = mentioning("partest", Some(&start)).map(|(path, _)| path);
            assert_eq!(found, expected.map(|path| place.path().join(path)), "{start:?}");
        }
    }
}
