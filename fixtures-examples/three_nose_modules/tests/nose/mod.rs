//! What the three modules have in common.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;
use std::{env, process};

/// Before the first test: `setup` here, unless the runner has started the fixture of that name; and
/// `teardown` when the process ends.
pub fn fixture() {
    static SET_UP: OnceLock<()> = OnceLock::new();
    log("tests");
    SET_UP.get_or_init(|| {
        let by_the_runner = env::var("PARTEST_FIXTURES").unwrap_or_default();
        if by_the_runner != "context" {
            setup();
            at_the_end(teardown);
        }
    });
}

/// Not re-entrant: whoever comes second fails.
pub fn setup() {
    log("setups");
    let context = meeting_place().join(format!("{}.context", module()));
    if let Err(error) = File::create_new(context) {
        panic!("setup was called before: {error}");
    }
    log("called");
}

pub extern "C" fn teardown() {
    log("called");
    log("teardowns");
}

/// How often `setup` and `teardown` were called, as in nose's example.
pub fn called() -> usize {
    let file = meeting_place().join(format!("{}.called", module()));
    fs::read_to_string(file).unwrap().lines().count()
}

/// In Rust nobody takes down what stands in a static, unless the process does it at its end.
fn at_the_end(function: extern "C" fn()) {
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> i32;
    }
    // SAFETY: the function can be called at any time, and lives as long as the program.
    assert_eq!(unsafe { atexit(function) }, 0);
}

fn log(what: &str) {
    let path = meeting_place().join(format!("{}.{what}", module()));
    let file = File::options().create(true).append(true).open(path);
    let line = format!("{}\n", process::id());
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// `not_shared`, `shared` or `can_split`.
fn module() -> &'static str {
    module_path!().split("::").next().unwrap()
}

/// Where all processes of one run meet: what `FIXTURE_LOG` names, or a directory of this run.
fn meeting_place() -> &'static PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = env::var_os("FIXTURE_LOG").map_or_else(
            || {
                // Without a runner that names its run, all tests of a binary share this process.
                let run = env::var("PARTEST_RUN_ID").unwrap_or_else(|_| {
                    let now = UNIX_EPOCH.elapsed().unwrap().as_nanos();
                    format!("{}-{now}", process::id())
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
