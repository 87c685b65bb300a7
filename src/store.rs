//! Files that are kept from run to run, below the target directory.

use std::io::Write;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What became of reading a stored file.
pub enum Stored<T> {
    Found(T),
    /// Never written yet.
    Absent,
    /// There, but not to be used; the text says why.
    Damaged(String),
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Stored<T> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Stored::Absent,
        Err(error) => return Stored::Damaged(error.to_string()),
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Stored::Found(value),
        Err(error) => Stored::Damaged(error.to_string()),
    }
}

/// Whether another version of this program wrote the file: then it is not damaged, only of no
/// use.
pub fn is_of_another_version(path: &Path, format: u32) -> bool {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    matches!(read::<Format>(path), Stored::Found(found) if found.format != format)
}

/// What tells one build of an executable from the next. Its time of modification alone
/// would not: a test suite may set the clock.
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

/// Writes the file whole or not at all: beside its place first, then renamed.
pub fn write(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    let mut buffered = std::io::BufWriter::new(file.as_file_mut());
    serde_json::to_writer(&mut buffered, value)?;
    buffered.flush()?;
    drop(buffered);
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_says_so_and_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state.json");
        assert!(matches!(read::<Vec<u8>>(&path), Stored::Absent));
        write(&path, &vec![1, 2]).unwrap();
        assert!(matches!(read::<Vec<u8>>(&path), Stored::Found(v) if v == [1, 2]));
        std::fs::write(&path, "[1, 2").unwrap();
        assert!(matches!(read::<Vec<u8>>(&path), Stored::Damaged(_)));
        write(&path, &vec![3]).unwrap();
        assert!(matches!(read::<Vec<u8>>(&path), Stored::Found(v) if v == [3]));
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "no temporary file is left");
    }
}
