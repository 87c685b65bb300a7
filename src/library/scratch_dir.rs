//! A directory of a fixture's own, removed with it.

use std::env;
use std::fs::{self};
use std::io::{self};
use std::path::PathBuf;
use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// A directory for the two files of a fixture's start, removed when the fixture is ready.
pub(super) struct ScratchDir(PathBuf);

impl ScratchDir {
    pub(super) fn new(name: &str) -> io::Result<ScratchDir> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        const TRIES: u32 = 1_000;
        let create = |_| {
            let number = NUMBER.fetch_add(1, SeqCst);
            let path = env::temp_dir().join(format!("partest-{}-{name}-{number}", id()));
            match fs::create_dir(&path) {
                // An earlier process of the same id left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                created => Some(created.map(|()| ScratchDir(path))),
            }
        };
        (0..TRIES).find_map(create).unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
    }

    pub(super) fn values(&self) -> PathBuf {
        self.0.join("values")
    }

    pub(super) fn output(&self) -> PathBuf {
        self.0.join("output")
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Some systems do not remove open files; then the directory stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}
