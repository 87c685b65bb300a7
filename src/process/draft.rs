//! A file that is written beside the one that it replaces.
//!
//! On Linux it has no name while it is written, so that nothing is left of it, however the process
//! ends. Where that is not possible, on other systems and some file systems, it has a name from the
//! beginning, and a process that is killed leaves it.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// A file without its final name.
pub enum Draft {
    #[cfg(target_os = "linux")]
    Unnamed(unnamed::Unnamed),
    Named(NamedTempFile),
}

impl Draft {
    /// A new file in this directory; the umask applies to the permissions.
    pub fn new(directory: &Path, permissions: u32) -> io::Result<Draft> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::Unnamed::new(directory, permissions) {
            return Ok(Draft::Unnamed(file));
        }
        named(directory, permissions).map(Draft::Named)
    }

    pub fn file(&mut self) -> &mut File {
        match self {
            #[cfg(target_os = "linux")]
            Draft::Unnamed(unnamed) => unnamed.file(),
            Draft::Named(named) => named.as_file_mut(),
        }
    }

    /// Takes the place of the file at this path, which is in the directory of the draft.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Draft::Unnamed(unnamed) => unnamed.replace(path),
            Draft::Named(named) => named.persist(path).map(drop).map_err(|error| error.error),
        }
    }
}

#[cfg_attr(not(unix), allow(unused_variables, unused_mut))]
fn named(directory: &Path, permissions: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(permissions));
    builder.tempfile_in(directory)
}

#[cfg(target_os = "linux")]
mod unnamed {
    use std::ffi::OsString;
    use std::fs::{self, File};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, linkat, open};
    use rustix::io::Errno;

    /// How many names are tried. Another one is needed where another process replaces the same file
    /// at the same moment.
    const NAMES: usize = 64;

    pub struct Unnamed(File);

    impl Unnamed {
        /// None where the file system has no unnamed files, or they cannot be given a name.
        pub fn new(directory: &Path, permissions: u32) -> Option<Unnamed> {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let file = open(directory, flags, Mode::from_raw_mode(permissions)).ok()?;
            // Locked until it is in its place: whoever finds it under its second name knows by that
            // whether it has been left there.
            flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
            let file = Unnamed(File::from(file));
            file.source().exists().then_some(file)
        }

        pub fn file(&mut self) -> &mut File {
            &mut self.0
        }

        /// Linux has no call by which a file without a name replaces another one. So it gets a second
        /// name first, if there is one to replace. A process that is killed between the two calls
        /// leaves the second name, which the next one that replaces the file removes.
        pub fn replace(self, path: &Path) -> io::Result<()> {
            if self.link(path)? {
                return Ok(());
            }
            for second in (0..NAMES).map(|number| second_name(path, number)) {
                if self.link(&second)? || (remove_abandoned(&second) && self.link(&second)?) {
                    let renamed = fs::rename(&second, path);
                    if renamed.is_err() {
                        let _ = fs::remove_file(&second);
                    }
                    return renamed;
                }
            }
            Err(io::Error::other("too many others replace it"))
        }

        /// Gives it this name, unless there is a file with it.
        fn link(&self, name: &Path) -> io::Result<bool> {
            match linkat(CWD, self.source(), CWD, name, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }

        fn source(&self) -> PathBuf {
            format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
        }
    }

    /// `.suite.tar.zst.0.partest` for `suite.tar.zst`.
    pub fn second_name(path: &Path, number: usize) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{number}.partest"));
        path.with_file_name(name)
    }

    /// Removes what a process has left that was killed. False if it belongs to one that goes on.
    fn remove_abandoned(second: &Path) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match open(second, flags, Mode::empty()) {
            Ok(found) => {
                flock(&found, FlockOperation::NonBlockingLockExclusive).is_ok()
                    // It may have been renamed or removed since, and the name may be another's.
                    && fstat(&found).is_ok_and(|found| is(second, found.st_dev, found.st_ino))
                    && fs::remove_file(second).is_ok()
            }
            Err(error) => error == Errno::NOENT,
        }
    }

    fn is(path: &Path, device: u64, inode: u64) -> bool {
        use std::os::unix::fs::MetadataExt;
        fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (device, inode))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> =
            names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn draft(directory: &Path, text: &str) -> Draft {
        let mut draft = Draft::new(directory, 0o666).unwrap();
        draft.file().write_all(text.as_bytes()).unwrap();
        draft
    }

    #[test]
    fn a_draft_is_seen_when_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        for text in ["one", "two"] {
            let before = names(directory.path());
            let draft = draft(directory.path(), text);
            if cfg!(target_os = "linux") {
                assert_eq!(names(directory.path()), before);
            }
            draft.replace(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(directory.path()), ["report"]);
        }
        drop(draft(directory.path(), "three"));
        let folder = directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        draft(directory.path(), "four").replace(&folder).unwrap_err();
        assert_eq!(names(directory.path()), ["folder", "report"]);
        named(directory.path(), 0o600).map(Draft::Named).unwrap().replace(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_a_running_one_has_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let second = |number| unnamed::second_name(&path, number);
        for at in [path.clone(), second(0), second(1)] {
            fs::write(at, "old").unwrap();
        }
        let own = fs::File::open(second(0)).unwrap();
        rustix::fs::flock(&own, rustix::fs::FlockOperation::LockExclusive).unwrap();
        draft(directory.path(), "new").replace(&path).unwrap();
        assert_eq!(names(directory.path()), [".report.0.partest", "report"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        drop(own);
        draft(directory.path(), "newer").replace(&path).unwrap();
        assert_eq!(names(directory.path()), ["report"]);
    }

    #[test]
    fn processes_may_replace_a_file_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (directory, path) = (directory.path(), &directory.path().join("report"));
        std::thread::scope(|scope| {
            for text in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    for _ in 0..200 {
                        draft(directory, text).replace(path).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(path).unwrap().len(), 1);
        assert_eq!(names(directory), ["report"]);
    }
}
