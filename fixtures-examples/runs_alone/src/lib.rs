//! Three modules of tests, of which two must have the machine for themselves, as measurements do.
//!
//! Under `cargo partest` `exclusive = true` lets no other test run beside one of `exclusive`, where
//! each has a process of its own, or of `in_one_process`, where all share one; those of `ordinary`
//! run side by side: all eleven tests pass. Each leaves a marker while it runs and fails if it meets
//! the marker of a test that it must not meet.

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

/// A marker file that stands as long as its test runs.
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

    /// Looks for a while, and fails when another test is seen whose marker is of these kinds.
    fn watch_for(&self, kinds: &[&str]) {
        for _ in 0..20 {
            for entry in fs::read_dir(meeting_place()).unwrap() {
                let name = &entry.unwrap().file_name().into_string().unwrap();
                let words: Vec<_> = name.split(' ').collect();
                let &["runs", kind, pid, test] = &words[..] else {
                    continue;
                };
                let met = kinds.contains(&kind) && !self.0.ends_with(name);
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
mod ordinary {
    use crate::Marker;

    #[test]
    fn answers_a_letter() {
        Marker::set("ordinary").watch_for(&["exclusive"]);
    }

    #[test]
    fn answers_the_door() {
        Marker::set("ordinary").watch_for(&["exclusive"]);
    }

    #[test]
    fn answers_the_telephone() {
        Marker::set("ordinary").watch_for(&["exclusive"]);
    }

    #[test]
    fn reads_the_paper() {
        Marker::set("ordinary").watch_for(&["exclusive"]);
    }

    #[test]
    fn waters_the_plants() {
        Marker::set("ordinary").watch_for(&["exclusive"]);
    }
}

#[cfg(test)]
mod exclusive {
    use crate::Marker;

    #[test]
    fn measures_the_latency() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }

    #[test]
    fn measures_the_noise() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }

    #[test]
    fn measures_the_throughput() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }
}

#[cfg(test)]
mod in_one_process {
    use crate::Marker;

    #[test]
    fn measures_the_pressure() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }

    #[test]
    fn measures_the_temperature() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }

    #[test]
    fn measures_the_wind() {
        Marker::set("exclusive").watch_for(&["ordinary", "exclusive"]);
    }
}
