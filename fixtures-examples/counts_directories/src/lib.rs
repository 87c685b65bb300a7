//! Tests that number their temporary directories by a counter in a static, as some published suites
//! do: the numbers are new in one process only.
//!
//! Under `cargo partest` all six tests pass, since `auto` sees the static and keeps the module in
//! one process. With `"counts_directories::tests" = { policy = "split", isolate = true }` in
//! Cargo.toml every process counts from zero, and five of the six find their directory taken.

use std::path::Path;

/// Writes an order into a new file there.
pub fn order(directory: &Path, dish: &str) -> std::io::Result<()> {
    std::fs::write(directory.join("order.txt"), dish)
}

#[cfg(test)]
mod tests {
    use super::order;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::UNIX_EPOCH;
    use std::{env, fs, process};

    /// A directory that no other test of this process has. It stays, as they often do.
    fn new_directory() -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let directory = meeting_place().join(format!("order-{number}"));
        if let Err(error) = fs::create_dir(&directory) {
            panic!("order {number} is somebody else's: {error}");
        }
        directory
    }

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

    #[test]
    fn orders_beans() {
        order(&new_directory(), "beans").unwrap();
    }

    #[test]
    fn orders_dumplings() {
        order(&new_directory(), "dumplings").unwrap();
    }

    #[test]
    fn orders_lentils() {
        order(&new_directory(), "lentils").unwrap();
    }

    #[test]
    fn orders_noodles() {
        order(&new_directory(), "noodles").unwrap();
    }

    #[test]
    fn orders_peas() {
        order(&new_directory(), "peas").unwrap();
    }

    #[test]
    fn orders_rice() {
        order(&new_directory(), "rice").unwrap();
    }
}
