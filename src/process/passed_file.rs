//! A file that another process opens by its path.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub struct PassedFile {
    file: File,
    path: PathBuf,
    /// Removes the file at the end if it is on disk.
    _on_disk: Option<tempfile::TempPath>,
}

impl PassedFile {
    /// An in-memory file where the system supports it, since nothing of it can be left behind.
    pub fn new(name: &str) -> io::Result<PassedFile> {
        if let Some(file) = Self::in_memory(name) {
            return Ok(file);
        }
        let prefix = format!("{name}-");
        let (file, path) = tempfile::Builder::new().prefix(&prefix).tempfile()?.into_parts();
        Ok(PassedFile { file, path: path.to_path_buf(), _on_disk: Some(path) })
    }

    #[cfg(target_os = "linux")]
    fn in_memory(name: &str) -> Option<PassedFile> {
        use rustix::fs::{MemfdFlags, memfd_create};
        use std::os::fd::AsRawFd;
        let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC).ok()?);
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let path = PathBuf::from(path);
        path.exists().then_some(PassedFile { file, path, _on_disk: None })
    }

    #[cfg(not(target_os = "linux"))]
    fn in_memory(_name: &str) -> Option<PassedFile> {
        None
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All that is in it now.
    pub fn read(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
