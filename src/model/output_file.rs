//! Files with complete outputs. What a test prints beyond what is kept in memory goes to a
//! file below the target directory, so that a failure can be read from its first line to its last.
//!
//! A run has a directory of its own, for its user alone. A file in there goes with the last who
//! knows of it, unless a report has named it: what passes leaves none. Directories of runs that
//! have ended go when the next run begins; those of runs that go on are locked. Nothing in here
//! ends a run: what cannot be written is reported once, and the report has both ends of it as ever.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::directory_lock::{self, ATTEMPTS, DirectoryLock, is_ours};

/// What the files of one run may take: a disk is full soon enough.
pub const MOST: u64 = 1 << 30;

/// The directory of all runs, below the state directory.
const PLACE: &str = "output";

/// What the name of a run's own directory begins with.
const OF_A_RUN: &str = "run-";

/// The output_files of one run.
#[derive(Debug)]
pub struct OutputFiles {
    place: PathBuf,
    left: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    directory: Option<Directory>,
    files: u64,
    failure: Option<String>,
}

/// A run's own directory, until it is dropped.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    _lock: DirectoryLock,
}

impl OutputFiles {
    /// Removes what runs before this one have left. None where no directory can be locked.
    pub fn new(state_dir: &Path) -> Option<Arc<OutputFiles>> {
        OutputFiles::with_room(state_dir, MOST)
    }

    fn with_room(state_dir: &Path, most: u64) -> Option<Arc<OutputFiles>> {
        let place = state_dir.join(PLACE);
        remove_old(&place);
        let output_files =
            OutputFiles { place, left: AtomicU64::new(most), state: Mutex::default() };
        cfg!(unix).then(|| Arc::new(output_files))
    }

    /// Why a output could not be kept.
    pub fn failure(&self) -> Option<(PathBuf, String)> {
        Some((self.place.clone(), self.state().failure.clone()?))
    }

    /// A file for one output. None where something has gone wrong once: a disk that is full
    /// belongs to the tests.
    pub fn begin(self: &Arc<Self>) -> Option<OutputFileWriter> {
        let mut state = self.state();
        if state.failure.is_some() {
            return None;
        }
        match state.create(&self.place) {
            Ok((file, draft)) => {
                let output_files = self.clone();
                let output = OutputFile {
                    output_files,
                    draft,
                    written: 0,
                    missed: 0,
                    is_lost: false,
                    kept: OnceLock::new(),
                };
                Some(OutputFileWriter { file: BufWriter::with_capacity(64 * 1024, file), output })
            }
            Err(error) => {
                state.failure = Some(error.to_string());
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As much of what is wanted as there is room for.
    fn take(&self, wanted: u64) -> u64 {
        let less = |left: u64| Some(left - wanted.min(left));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        wanted.min(before.unwrap_or_default())
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for OutputFiles {
    fn drop(&mut self) {
        // Neither goes while there is something in it.
        if let Some(directory) = self.state().directory.take() {
            let _ = fs::remove_dir(directory.path);
            let _ = fs::remove_dir(&self.place);
        }
    }
}

impl State {
    fn create(&mut self, place: &Path) -> io::Result<(File, PathBuf)> {
        if self.directory.is_none() {
            self.directory = Some(Directory::new(place)?);
        }
        let directory = self.directory.as_ref().map(|directory| &*directory.path);
        self.files += 1;
        let path = directory.unwrap_or(place).join(format!("{}.part", self.files));
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok((options.open(&path)?, path))
    }

    /// A name that no other output of the run has.
    fn name(&mut self, wanted: &str, draft: &Path) -> PathBuf {
        let path = draft.with_file_name(format!("{wanted}.txt"));
        if !path.exists() {
            return path;
        }
        self.files += 1;
        draft.with_file_name(format!("{wanted}.{}.txt", self.files))
    }
}

impl Directory {
    fn new(place: &Path) -> io::Result<Directory> {
        for _ in 0..ATTEMPTS {
            make(place)?;
            let mut directory = tempfile::Builder::new();
            directory.prefix(OF_A_RUN).rand_bytes(8);
            #[cfg(unix)]
            directory.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
            let Ok(directory) = directory.tempdir_in(place) else { continue };
            if let Some(lock) = DirectoryLock::of(directory.path())? {
                return Ok(Directory { path: directory.keep(), _lock: lock });
            }
        }
        Err(io::Error::other("no directory of its own"))
    }
}

/// Makes the directory of all runs, or finds that it is ours.
fn make(place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut directory = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    match directory.create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if is_ours(place) => Ok(()),
        _ => Err(io::Error::other("it is no directory of this user's; remove it")),
    }
}

/// Removes the directories of runs that have ended.
fn remove_old(place: &Path) {
    if is_ours(place) {
        directory_lock::remove_old(place, OF_A_RUN);
        let _ = fs::remove_dir(place);
    }
}

/// A output that goes on.
#[derive(Debug)]
pub struct OutputFileWriter {
    file: BufWriter<File>,
    output: OutputFile,
}

impl OutputFileWriter {
    pub fn write(&mut self, bytes: &[u8]) {
        if self.output.is_lost {
            return;
        }
        let wanted = bytes.len() as u64;
        // A hole in the middle would be worse than an end that is missing.
        let taken = if self.output.missed > 0 { 0 } else { self.output.output_files.take(wanted) };
        self.output.written += taken;
        self.output.missed += wanted - taken;
        let written = self.file.write_all(&bytes[..taken as usize]);
        self.note(written);
    }

    /// Takes over another output.
    pub fn append(&mut self, mut other: OutputFileWriter) {
        let flushed = other.file.flush();
        other.note(flushed);
        if other.output.is_lost {
            return self.output.is_lost = true;
        }
        let copied = File::open(&other.output.draft).and_then(|mut file| {
            let mut chunk = vec![0; 64 * 1024];
            while let count @ 1.. = io::Read::read(&mut file, &mut chunk)? {
                self.write(&chunk[..count]);
            }
            Ok(())
        });
        self.note(copied);
        self.output.missed += other.output.missed;
    }

    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.output.is_lost = true;
            self.output.output_files.state().failure.get_or_insert(error.to_string());
            // Others may need the room.
            let _ = self.file.get_ref().set_len(0);
        }
    }

    /// The output has come to its end.
    pub fn finish(mut self) -> Option<OutputFile> {
        let flushed = self.file.flush();
        self.note(flushed);
        let OutputFileWriter { file, output } = self;
        // What is left in its memory belongs to a output that is lost.
        drop(file.into_parts());
        (!output.is_lost).then_some(output)
    }
}

/// The whole of what a test has printed, in a file.
#[derive(Debug)]
pub struct OutputFile {
    output_files: Arc<OutputFiles>,
    draft: PathBuf,
    /// How many bytes are in there.
    pub written: u64,
    /// How many there was no room for.
    pub missed: u64,
    is_lost: bool,
    kept: OnceLock<PathBuf>,
}

impl OutputFile {
    /// It stays beyond the end of the run, under a name that people know the test by.
    pub fn keep(&self, name: &str) {
        self.kept.get_or_init(|| {
            let path = self.output_files.state().name(&file_name(name), &self.draft);
            match fs::rename(&self.draft, &path) {
                Ok(()) => path,
                Err(_) => self.draft.clone(),
            }
        });
    }

    /// Where it is, if it stays.
    pub fn path(&self) -> Option<&Path> {
        self.kept.get().map(PathBuf::as_path)
    }

    /// Takes so many bytes off its end, which are not the test's.
    pub fn cut(&mut self, surplus: u64) {
        if self.missed == 0
            && let Some(length) = self.written.checked_sub(surplus)
            && File::options()
                .write(true)
                .open(&self.draft)
                .is_ok_and(|f| f.set_len(length).is_ok())
        {
            self.written = length;
            self.output_files.give_back(surplus);
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.kept.get().is_none() {
            let _ = fs::remove_file(&self.draft);
            self.output_files.give_back(self.written);
        }
    }
}

impl PartialEq for OutputFile {
    fn eq(&self, other: &OutputFile) -> bool {
        self.draft == other.draft
    }
}

/// `api::auth::rejects` becomes `api.auth.rejects`; what is no letter becomes `_`.
fn file_name(id: &str) -> String {
    // The system takes 255 bytes.
    const MOST_LETTERS: usize = 120;
    let letter = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    id.replace("::", ".").chars().map(letter).take(MOST_LETTERS).collect()
}

#[cfg(test)]
mod tests;
