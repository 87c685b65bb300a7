//! Writes an archive: whole, or not at all.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::compression::Compressor;
use super::contents::{Contents, Entry, NAME};
use super::while_wanted::WhileWanted;
use crate::state;

/// Writes the contents and the files of its entries, each with its path on this machine. Returns the
/// size of the archive, or none if it is not wanted any more.
pub fn write(
    path: &Path,
    contents: &Contents,
    sources: &[PathBuf],
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<Option<u64>> {
    let written = state::replace_file(path, state::ORDINARY, |file| {
        let mut tar = tar::Builder::new(Compressor::new(file));
        let text = serde_json::to_vec(contents)?;
        append(&mut tar, NAME, text.len() as u64, false, text.as_slice())?;
        for (entry, source) in contents.entries.iter().zip(sources) {
            append_file(&mut tar, entry, source, is_wanted).map_err(|error| {
                io::Error::new(error.kind(), format!("`{}`: {error}", source.display()))
            })?;
        }
        tar.into_inner()?.finish().map(drop)
    });
    match written {
        Err(_) if !is_wanted() => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(std::fs::metadata(path)?.len())),
    }
}

fn append_file(
    tar: &mut tar::Builder<impl Write>,
    entry: &Entry,
    source: &Path,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<()> {
    let source = BufReader::new(File::open(source)?);
    // A file that grows meanwhile is cut at the size that is recorded.
    let mut file = WhileWanted { source, is_wanted }.take(entry.size);
    append(tar, &entry.path, entry.size, entry.is_executable, &mut file)?;
    match file.limit() {
        0 => Ok(()),
        _ => Err(io::Error::other("it became shorter while it was read")),
    }
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    is_executable: bool,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(if is_executable { 0o755 } else { 0o644 });
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, name, data)
}
