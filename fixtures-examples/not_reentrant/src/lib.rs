//! A fixture that may be set up once only, in a module that is wrongly declared `split`.
//!
//! `cargo test` passes, and so does `cargo partest` once the policy is `unit`. As declared, every
//! test's own process sets the fixture up: one of the four tests passes, whichever comes first, and
//! three fail, since the kitchen is taken.

pub fn cook(dish: &str) -> String {
    format!("{dish}, well done")
}

#[cfg(test)]
mod tests {
    use super::cook;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::time::UNIX_EPOCH;
    use std::{env, fs, process};

    /// Takes the only kitchen there is, and keeps it to the end of the run.
    fn kitchen() -> &'static Path {
        static KITCHEN: OnceLock<PathBuf> = OnceLock::new();
        KITCHEN.get_or_init(|| {
            let kitchen = meeting_place().join("kitchen");
            if let Err(error) = fs::create_dir(&kitchen) {
                panic!("the kitchen is taken, it cannot be set up a second time: {error}");
            }
            kitchen
        })
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
    fn cooks_beans() {
        assert!(kitchen().is_dir());
        assert_eq!(cook("beans"), "beans, well done");
    }

    #[test]
    fn cooks_lentils() {
        assert!(kitchen().is_dir());
        assert_eq!(cook("lentils"), "lentils, well done");
    }

    #[test]
    fn cooks_peas() {
        assert!(kitchen().is_dir());
        assert_eq!(cook("peas"), "peas, well done");
    }

    #[test]
    fn cooks_rice() {
        assert!(kitchen().is_dir());
        assert_eq!(cook("rice"), "rice, well done");
    }
}
