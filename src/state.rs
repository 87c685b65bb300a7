//! Files that last: those of the state, below the target directory, and how any file is replaced.

use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::process::draft::Draft;

/// The result of reading a state file.
pub enum Stored<T> {
    Found(T),
    /// Not written yet, or by another version.
    Absent,
    /// Unreadable, and why.
    Damaged(String),
}

/// The contents of a state file, with the version of their format.
#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    kept: T,
}

/// Reads a state file. One of another format is absent, not damaged.
pub fn read<T: DeserializeOwned>(path: &Path, format: u32) -> Stored<T> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Stored::Absent,
        Err(error) => return Stored::Damaged(error.to_string()),
    };
    match serde_json::from_slice::<File<T>>(&bytes) {
        Ok(file) if file.format == format => Stored::Found(file.kept),
        Ok(_) => Stored::Absent,
        Err(error) => match serde_json::from_slice::<Format>(&bytes) {
            Ok(found) if found.format != format => Stored::Absent,
            _ => Stored::Damaged(error.to_string()),
        },
    }
}

/// Identifies a build of an executable. The time of modification is not enough, since a test suite
/// may set the clock.
pub fn identity(executable: &Path) -> Option<String> {
    let metadata = std::fs::metadata(executable).ok()?;
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        format!("{}:{}:{changed:?}", metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let file = String::new();
    Some(format!("{}:{:?}:{file}", metadata.len(), metadata.modified().ok()?))
}

/// Identifies the contents of a file; unlike `identity` it ignores changes of permissions.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    length: u64,
    modified: std::time::SystemTime,
    /// Device and inode.
    #[cfg(unix)]
    place: (u64, u64),
}

impl Stamp {
    pub fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            length: metadata.len(),
            modified: metadata.modified().ok()?,
            #[cfg(unix)]
            place: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
        })
    }
}

/// Writes a state file, whole or not at all.
pub fn write(path: &Path, format: u32, kept: impl Serialize) -> std::io::Result<()> {
    replace_file(path, PRIVATE, |file| {
        let mut buffered = std::io::BufWriter::new(file);
        serde_json::to_writer(&mut buffered, &File { format, kept })?;
        buffered.flush()
    })
}

/// The permissions of files that nobody else reads, of ordinary ones and of programs; the umask
/// applies.
pub const PRIVATE: u32 = 0o600;
pub const ORDINARY: u32 = 0o666;
pub const PROGRAM: u32 = 0o777;

/// Writes a file whole or not at all, and puts it in the place of the former one. Its directory is
/// made if it is not there.
pub fn replace_file(
    path: &Path,
    permissions: u32,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut draft = Draft::new(dir, permissions)?;
    write(draft.file())?;
    draft.replace(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_reported_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state.json");
        let stored = || read::<Vec<u8>>(&path, 2);
        assert!(matches!(stored(), Stored::Absent));
        write(&path, 2, vec![1, 2]).unwrap();
        assert!(matches!(stored(), Stored::Found(v) if v == [1, 2]));
        let table = [
            ("{\"format\":2,\"kept\":[1, 2", true),
            ("{\"format\":2,\"kept\":{}}", true),
            ("{\"format\":1,\"kept\":[1]}", false),
            ("{\"format\":3,\"kept\":{}}", false),
            ("{\"other\":1}", true),
            ("junk", true),
        ];
        for (text, is_damaged) in table {
            std::fs::write(&path, text).unwrap();
            match stored() {
                Stored::Damaged(why) => assert!(is_damaged, "{text}: {why}"),
                Stored::Absent => assert!(!is_damaged, "{text}"),
                Stored::Found(found) => panic!("{text}: {found:?}"),
            }
        }
        write(&path, 2, vec![3]).unwrap();
        assert!(matches!(stored(), Stored::Found(v) if v == [3]));
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "no temporary file is left");
    }
}
