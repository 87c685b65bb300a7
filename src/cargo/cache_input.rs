//! What the output of `cargo metadata` depends on. It stays valid as long as all digests match.
//!
//! Digests are of contents, not of times: a clock may be set, and two writes may share a tick.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Something in the file system that cargo reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CacheInput {
    /// The contents of a file, or its absence.
    Text(PathBuf),
    /// Whether a path is a file, a directory or absent.
    Kind(PathBuf),
    /// The entries of a directory where cargo discovers targets, and whether its subdirectories have
    /// a `main.rs`.
    Targets(PathBuf),
    /// The directories with a manifest that a pattern such as `crates/*` may match.
    Members { root: PathBuf, pattern: String },
}

/// Too many directories to search in every run.
const MOST_DIRECTORIES: usize = 4096;

impl CacheInput {
    /// The digest of its current state; none if that cannot be read.
    pub fn digest(&self) -> Option<u64> {
        match self {
            CacheInput::Text(path) => match fs::read(path) {
                Ok(bytes) => Some(digest(&(true, bytes))),
                Err(error) if is_absence(&error) => Some(digest(&false)),
                Err(_) => None,
            },
            CacheInput::Kind(path) => kind(path).map(|kind| digest(&kind)),
            CacheInput::Targets(dir) => targets(dir).map(|found| digest(&found)),
            CacheInput::Members { root, pattern } => {
                members(root, pattern).map(|found| digest(&found))
            }
        }
    }

    /// When it was last changed, as far as the file system records that.
    pub fn changed(&self) -> Option<SystemTime> {
        let path = match self {
            CacheInput::Text(path) | CacheInput::Kind(path) | CacheInput::Targets(path) => path,
            CacheInput::Members { root, .. } => root,
        };
        // If it is absent, its directory has changed last when it was removed.
        path.ancestors().take(2).find_map(changed)
    }
}

/// A digest that is the same from run to run of one build of this program.
pub fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Found {
    Nothing,
    File,
    Directory,
}

fn kind(path: &Path) -> Option<Found> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some(Found::Directory),
        Ok(_) => Some(Found::File),
        Err(error) if is_absence(&error) => Some(Found::Nothing),
        Err(_) => None,
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The entries of a directory; none if it is absent.
fn entries(dir: &Path) -> Option<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<Result<_, _>>().ok(),
        Err(error) if is_absence(&error) => Some(Vec::new()),
        Err(_) => None,
    }
}

fn targets(dir: &Path) -> Option<BTreeSet<(PathBuf, Found)>> {
    let mut found = BTreeSet::new();
    for entry in entries(dir)? {
        let path = entry.path();
        let kind = kind(&path)?;
        if kind == Found::Directory {
            let main = path.join("main.rs");
            found.insert((main.clone(), self::kind(&main)?));
        }
        found.insert((path, kind));
    }
    Some(found)
}

/// A superset of what cargo would match: a part with wildcards matches every name.
fn members(root: &Path, pattern: &str) -> Option<BTreeSet<PathBuf>> {
    let mut dirs = vec![root.to_owned()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        dirs = match part {
            // Of any depth: too many directories to search.
            "**" => return None,
            part if is_pattern(part) => {
                let mut found = Vec::new();
                for dir in dirs {
                    found.extend(entries(&dir)?.into_iter().map(|entry| entry.path()));
                }
                found
            }
            part => dirs.into_iter().map(|dir| dir.join(part)).collect(),
        };
        if dirs.len() > MOST_DIRECTORIES {
            return None;
        }
    }
    let has_manifest = |dir: &PathBuf| dir.join("Cargo.toml").exists();
    Some(dirs.into_iter().filter(has_manifest).collect())
}

/// Whether a workspace member is a pattern.
pub fn is_pattern(member: &str) -> bool {
    member.contains(['*', '?', '['])
}

fn changed(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    let modified = metadata.modified().ok();
    #[cfg(unix)]
    let moved = {
        use std::os::unix::fs::MetadataExt;
        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
        Some(SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanoseconds))
    };
    #[cfg(not(unix))]
    let moved = None;
    modified.max(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The digests before and after the change.
    fn around(input: &CacheInput, change: impl FnOnce()) -> (Option<u64>, Option<u64>) {
        let before = input.digest();
        assert!(before.is_some(), "{input:?}");
        change();
        (before, input.digest())
    }

    #[track_caller]
    fn notices(input: CacheInput, change: impl FnOnce()) {
        let (before, after) = around(&input, change);
        assert!(after.is_some() && before != after, "{input:?} noticed nothing");
    }

    #[track_caller]
    fn overlooks(input: CacheInput, change: impl FnOnce()) {
        let (before, after) = around(&input, change);
        assert_eq!(before, after, "{input:?}");
    }

    #[test]
    fn a_text_is_known_by_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Cargo.toml");
        let text = || CacheInput::Text(path.clone());
        notices(text(), || write(&path, ""));
        notices(text(), || write(&path, "a"));
        // In the same tick, of the same length.
        notices(text(), || write(&path, "b"));
        overlooks(text(), || write(&path, "b"));
        notices(text(), || fs::remove_file(&path).unwrap());
        overlooks(text(), || write(&dir.path().join("Cargo.lock"), ""));
        fs::create_dir(&path).unwrap();
        assert_eq!(text().digest(), None, "a directory is no text");
    }

    #[test]
    fn targets_are_files_and_directories_with_a_main() {
        let dir = tempfile::tempdir().unwrap();
        let tests = dir.path().join("tests");
        let targets = || CacheInput::Targets(tests.clone());
        notices(targets(), || write(&tests.join("a.rs"), ""));
        notices(targets(), || write(&tests.join("b/helper.rs"), ""));
        notices(targets(), || write(&tests.join("b/main.rs"), ""));
        overlooks(targets(), || write(&tests.join("b/other.rs"), ""));
        overlooks(targets(), || write(&tests.join("a.rs"), "fn a() {}"));
        notices(targets(), || fs::rename(tests.join("a.rs"), tests.join("c.rs")).unwrap());
    }

    #[test]
    fn a_member_may_appear_wherever_a_pattern_looks() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let members =
            |pattern: &str| CacheInput::Members { root: root.clone(), pattern: pattern.into() };
        notices(members("crates/*"), || write(&root.join("crates/a/Cargo.toml"), ""));
        overlooks(members("crates/*"), || fs::create_dir(root.join("crates/b")).unwrap());
        notices(members("crates/*"), || write(&root.join("crates/b/Cargo.toml"), ""));
        overlooks(members("crates/*"), || write(&root.join("crates/b/c/Cargo.toml"), ""));
        notices(members("*/b/[a-z]"), || write(&root.join("more/b/d/Cargo.toml"), ""));
        notices(members("crates/*"), || fs::remove_dir_all(root.join("crates/a")).unwrap());
        assert_eq!(members("**/a").digest(), None, "too much to look through");
    }

    #[test]
    fn a_kind_is_no_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("build.rs");
        notices(CacheInput::Kind(path.clone()), || write(&path, ""));
        overlooks(CacheInput::Kind(path.clone()), || write(&path, "fn main() {}"));
        notices(CacheInput::Kind(path.clone()), || fs::remove_file(&path).unwrap());
    }

    #[test]
    fn a_change_is_seen_in_the_file_or_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let before = SystemTime::now() - std::time::Duration::from_secs(60);
        assert!(CacheInput::Text(path.clone()).changed().unwrap() > before);
        assert_eq!(CacheInput::Text(path.join("b/c")).changed(), None);
    }
}
