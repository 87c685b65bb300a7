//! Eight tests that each wait until all eight have begun: a choir that sings only when complete.
//!
//! Under `cargo partest -j 8` all pass, each in a process of its own, on a machine with any number
//! of cores. With fewer places the first to arrive gives up after a minute, and the rest with it.
//! `cargo test` needs `-- --test-threads=8`.

/// How many voices the choir has.
pub const VOICES: usize = 8;

#[cfg(test)]
mod tests {
    use super::VOICES;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::time::{Duration, Instant, UNIX_EPOCH};
    use std::{env, fs, process, thread};

    /// Where all tests of one run meet: what `FIXTURE_LOG` names, or a directory of this run.
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

    /// Comes in, and waits for the others to have done so.
    fn sing(voice: &str) {
        let choir = meeting_place();
        fs::write(
            choir.join(format!("voice-{voice}")),
            process::id().to_string(),
        )
        .unwrap();
        let gave_up = choir.join("gave-up");
        let began = Instant::now();
        loop {
            let voices = fs::read_dir(choir)
                .unwrap()
                .filter(|entry| {
                    let name = entry.as_ref().unwrap().file_name();
                    name.to_string_lossy().starts_with("voice-")
                })
                .count();
            // Who comes after somebody gave up is too late, even if the choir is complete then.
            assert!(
                !gave_up.exists(),
                "{voice} came when another voice had given up"
            );
            if voices == VOICES {
                return;
            }
            if began.elapsed() > Duration::from_secs(60) {
                fs::write(gave_up, voice).unwrap();
                panic!("{voice} waited for a minute, and only {voices} of {VOICES} voices came");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn alto_one() {
        sing("alto_one");
    }

    #[test]
    fn alto_two() {
        sing("alto_two");
    }

    #[test]
    fn bass_one() {
        sing("bass_one");
    }

    #[test]
    fn bass_two() {
        sing("bass_two");
    }

    #[test]
    fn soprano_one() {
        sing("soprano_one");
    }

    #[test]
    fn soprano_two() {
        sing("soprano_two");
    }

    #[test]
    fn tenor_one() {
        sing("tenor_one");
    }

    #[test]
    fn tenor_two() {
        sing("tenor_two");
    }
}
