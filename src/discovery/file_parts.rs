//! An executable that is read in a few large parts: one that holds all debug information is too big
//! to be read as a whole, and each name by itself would cost two system calls.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use object::read::{Object, ObjectSection, ReadRef};

/// Parts begin at multiples of this, so that what is aligned in the file is aligned in memory.
const PAGE: u64 = 4096;

/// The least that is read at once: most of what is asked for is small and close together.
const LEAST: u64 = 16 * 1024;

/// A file, with the parts that were read so far.
#[derive(Debug)]
pub struct FileParts {
    file: File,
    len: u64,
    parts: boxcar::Vec<Part>,
}

/// The bytes from an offset in the file.
#[derive(Debug)]
struct Part {
    start: u64,
    bytes: Vec<u8>,
}

impl Part {
    /// The rest of this part from an offset in the file.
    fn from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(offset.checked_sub(self.start)?).ok()?..)
    }
}

impl FileParts {
    pub fn open(path: &Path) -> io::Result<FileParts> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(FileParts { file, len, parts: boxcar::Vec::new() })
    }

    /// The names of all symbols, each with a zero byte behind it, read at once; none if it is no ELF
    /// file of 64 bits.
    pub fn symbol_names<'f>(
        &'f self,
        object: &object::File<'f, &'f FileParts>,
    ) -> Option<&'f [u8]> {
        let object::File::Elf64(elf) = object else { return None };
        let names = object.section_by_index(elf.elf_symbol_table().string_section());
        let (start, size) = names.ok()?.file_range()?;
        self.read_bytes_at(start, size).ok()
    }

    /// What was read of it that has this offset, up to the end of the part.
    fn known(&self, offset: u64) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().filter_map(move |(_, part)| part.from(offset))
    }

    fn read(&self, offset: u64, size: u64) -> io::Result<&[u8]> {
        let start = offset - offset % PAGE;
        let end = offset.checked_add(size.max(LEAST)).ok_or(io::ErrorKind::UnexpectedEof)?;
        let wanted = end.min(self.len).saturating_sub(start);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).map_err(io::Error::other)?);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        file.take(wanted).read_to_end(&mut bytes)?;
        let part = self.parts.push(Part { start, bytes });
        self.parts[part].from(offset).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl<'f> ReadRef<'f> for &'f FileParts {
    fn len(self) -> Result<u64, ()> {
        Ok(self.len)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'f [u8], ()> {
        let length = usize::try_from(size).map_err(drop)?;
        if let Some(bytes) = self.known(offset).find_map(|bytes| bytes.get(..length)) {
            return Ok(bytes);
        }
        if offset.checked_add(size).is_none_or(|end| end > self.len) {
            return Err(());
        }
        self.read(offset, size).map_err(drop)?.get(..length).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'f [u8], ()> {
        let most = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let until = |bytes: &'f [u8]| {
            let bytes = &bytes[..most.min(bytes.len())];
            memchr::memchr(delimiter, bytes).map(|end| &bytes[..end])
        };
        if let Some(found) = self.known(range.start).find_map(until) {
            return Ok(found);
        }
        let mut size = LEAST;
        loop {
            let bytes = self.read(range.start, size).map_err(drop)?;
            match until(bytes) {
                Some(found) => return Ok(found),
                None if bytes.len() >= most || range.start + size >= self.len => return Err(()),
                None => size = size.saturating_mul(2),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8 + 1).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn each_range_has_the_bytes_of_the_file_in_any_order() {
        let (file, bytes) = file(300_000);
        let parts = FileParts::open(file.path()).unwrap();
        let (len, least) = (bytes.len(), LEAST as usize);
        let ends = [0, 1, 4095, 4096, 4097, least - 1, least, least + 1, 200_001, len - 1, len];
        for start in ends.into_iter().rev().chain(ends) {
            for end in ends.into_iter().filter(|end| *end >= start) {
                let read = parts.read_bytes_at(start as u64, (end - start) as u64);
                assert_eq!(read, Ok(&bytes[start..end]), "{start}..{end}");
            }
        }
        for (start, size) in [(len as u64, 1), (0, len as u64 + 1), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(parts.read_bytes_at(start, size).is_err(), "{start} {size}");
        }
    }

    #[test]
    fn a_name_ends_at_its_delimiter_however_far_that_is() {
        let (file, mut bytes) = file(300_000);
        for end in [10, 65_536, 280_000] {
            bytes[end] = 0;
        }
        std::fs::write(file.path(), &bytes).unwrap();
        for (start, end) in [(0, 10), (11, 65_536), (65_537, 280_000), (10, 10)] {
            let parts = FileParts::open(file.path()).unwrap();
            let until = |to: usize| parts.read_bytes_at_until(start as u64..to as u64, 0);
            assert_eq!(until(bytes.len()), Ok(&bytes[start..end]), "{start}");
            assert_eq!(until(end + 1), Ok(&bytes[start..end]), "{start}");
            assert!(until(end).is_err(), "{start}");
        }
        let parts = FileParts::open(file.path()).unwrap();
        assert!(parts.read_bytes_at_until(280_001..300_000, 0).is_err());
        assert!(parts.read_bytes_at_until(300_001..u64::MAX, 0).is_err());
    }

    /// A linker may write it anew while it is read.
    #[test]
    fn a_file_that_gets_shorter_is_an_error() {
        let (file, bytes) = file(300_000);
        let parts = FileParts::open(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..100_000]).unwrap();
        assert_eq!(parts.read_bytes_at(0, 10), Ok(&bytes[..10]));
        for start in [90_000, 99_999, 100_000, 200_000] {
            assert!(parts.read_bytes_at(start, 20_000).is_err(), "{start}");
            assert!(parts.read_bytes_at_until(start..300_000, 0).is_err(), "{start}");
        }
    }
}
