//! Tests that share something outside of their process, and say so by locks with names.
//!
//! Under `cargo partest` nobody else is there while one of `writers` or `thieves` has the catalogue,
//! and the two `visitors` of the reading room, both readers, meet: each waits for the other, so that
//! they need `-j 2`. All nine tests pass.

#[cfg(test)]
use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::OnceLock,
    thread,
    time::{Duration, UNIX_EPOCH},
};

/// Where all tests of one run meet: what `FIXTURE_LOG` names, or a directory of this run.
#[cfg(test)]
fn meeting_place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = env::var_os("FIXTURE_LOG").map_or_else(
            || {
                // Without a runner that names its run, all tests share this process.
                let run = env::var("PARTEST_RUN_ID").unwrap_or_else(|_| {
                    format!(
                        "{}-{}",
                        process::id(),
                        UNIX_EPOCH.elapsed().unwrap().as_nanos()
                    )
                });
                // Beside the test binary, where `cargo clean` finds it.
                env::current_exe().unwrap().with_extension(run)
            },
            PathBuf::from,
        );
        fs::create_dir_all(&place).unwrap();
        place
    })
}

/// A marker file that stands as long as its test uses the catalogue.
#[cfg(test)]
struct Marker(PathBuf);

#[cfg(test)]
impl Marker {
    fn set(kind: &str) -> Marker {
        let test = thread::current().name().unwrap().replace("::", ".");
        let path = meeting_place().join(format!("runs {kind} {} {test}", process::id()));
        fs::write(&path, "").unwrap();
        Marker(path)
    }

    /// Looks for a while, and fails when another process is seen whose marker is of these kinds.
    ///
    /// The threads of this process are not of interest: what is promised is promised to workers.
    fn watch_for(&self, kinds: &[&str]) {
        for _ in 0..20 {
            for entry in fs::read_dir(meeting_place()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let words: Vec<_> = name.split(' ').collect();
                let &["runs", kind, pid, test] = &words[..] else {
                    continue;
                };
                let met = kinds.contains(&kind) && pid != process::id().to_string();
                assert!(!met, "{test} runs at the same time, in process {pid}");
            }
            // Nothing is awaited here: the time only gives others a chance to show up.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod writers {
    use crate::Marker;

    #[test]
    fn adds_a_book() {
        Marker::set("writer").watch_for(&["reader", "writer"]);
    }

    #[test]
    fn removes_a_book() {
        Marker::set("writer").watch_for(&["reader", "writer"]);
    }
}

#[cfg(test)]
mod readers {
    use crate::Marker;

    #[test]
    fn looks_for_a_title() {
        Marker::set("reader").watch_for(&["writer"]);
    }

    #[test]
    fn looks_for_an_author() {
        Marker::set("reader").watch_for(&["writer"]);
    }

    #[test]
    fn reads_it_all() {
        Marker::set("reader").watch_for(&["writer"]);
    }
}

/// A plain list of names is to write, and several are taken together.
#[cfg(test)]
mod thieves {
    use crate::Marker;

    #[test]
    fn take_the_catalogue() {
        Marker::set("writer").watch_for(&["reader", "writer"]);
    }

    #[test]
    fn take_the_vault() {
        Marker::set("writer").watch_for(&["reader", "writer"]);
    }
}

/// Readers of a lock of their own, which no writer wants, so that no order can part them.
#[cfg(test)]
mod visitors {
    use crate::meeting_place;
    use std::time::{Duration, Instant};
    use std::{fs, thread};

    fn meet(own: &str, other: &str) {
        fs::write(meeting_place().join(own), "").unwrap();
        let other = meeting_place().join(other);
        let began = Instant::now();
        while !other.exists() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{own} sat alone for a minute"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn ada_meets_charles() {
        meet("ada", "charles");
    }

    #[test]
    fn charles_meets_ada() {
        meet("charles", "ada");
    }
}
