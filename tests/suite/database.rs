//! A real database as a shared fixture, in `fixtures-examples/asks_a_database`.
//!
//! This is the one part of the suite that needs more than Rust: PostgreSQL. Where it is not
//! installed these tests are left out, which the last line of `cargo test` says. `.ci/run` sets
//! `PARTEST_REQUIRE_POSTGRESQL`, with which they fail.

#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fixture::expected::{Build, Expected};
use crate::fixture::{Call, Ran, Running, await_that, is_alive, partest, skip};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const NOT_INSTALLED: &str = "PostgreSQL is not installed";

/// A directory for temporary files, so that it can be seen what is left there. The server's own
/// account has to get in.
fn scratch() -> TempDir {
    let everybody = Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(everybody).tempdir().unwrap()
}

fn asks_a_database(scratch: &TempDir) -> Call {
    partest("asks_a_database").env("TMPDIR", scratch.path()).json()
}

/// The run, unless it needs what is not installed.
#[track_caller]
fn with_postgresql(ran: Ran) -> Option<Ran> {
    if !ran.stdout.contains(NOT_INSTALLED) {
        return Some(ran);
    }
    let reason = "PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)";
    assert!(std::env::var_os("PARTEST_REQUIRE_POSTGRESQL").is_none(), "{reason}");
    skip(reason);
    None
}

fn left_in(scratch: &TempDir) -> Vec<PathBuf> {
    fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Processes that name this directory in their command lines, as the server and all its own do.
fn processes_of(scratch: &TempDir) -> Vec<String> {
    let place = scratch.path().to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().into_string().ok());
    let names = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(place) && is_alive(pid)
    };
    pids.filter(|pid| pid.parse::<u32>().is_ok()).filter(names).collect()
}

/// A run whose server has begun; or that has ended, where it never will.
fn begun(scratch: &TempDir) -> Running {
    let run = asks_a_database(scratch).start();
    await_that("a server or the end of the run", || {
        let has_begun = |place: &PathBuf| server_of(place).is_some();
        left_in(scratch).iter().any(has_begun) || !is_alive(&run.pid().to_string())
    });
    run
}

/// The process of the server in this directory, once there is one. While the directory is made,
/// a process without clients stands there, as a negative number.
fn server_of(place: &Path) -> Option<u32> {
    let file = fs::read_to_string(place.join("data/postmaster.pid")).ok()?;
    file.lines().next()?.parse().ok()
}

fn parent_of(pid: u32) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(parent.trim().parse().ok()?)
}

#[test]
fn every_slot_has_its_own_and_nothing_is_left() {
    for (flags, slots) in [("-j1", 1), ("-j2", 2), ("-j8 --leaks deny", 8)] {
        let scratch = scratch();
        let Some(ran) = with_postgresql(asks_a_database(&scratch).args(flags).run()) else {
            return;
        };
        let fixtures = ran.events().into_iter().filter(|event| event["event"] == "fixture");
        let ready: Vec<_> = fixtures.filter(|event| event["state"] == "ready").collect();
        let count = |name: &str| ready.iter().filter(|event| event["name"] == name).count();
        assert_eq!((count("postgres"), count("template")), (1, 1), "{ran}");
        assert!((1..=slots).contains(&count("database")), "{ran}");
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
        assert_eq!(left_in(&scratch), [""; 0].map(PathBuf::from), "{ran}");
        assert_eq!(processes_of(&scratch), [""; 0], "{ran}");
        Expected::of("asks_a_database", Build::Whole).compare(ran);
    }
}

#[test]
fn that_of_a_killed_run_is_gone() {
    let scratch = scratch();
    let run = begun(&scratch);
    run.send(Signal::KILL);
    let Some(ran) = with_postgresql(run.wait()) else { return };
    assert_eq!(ran.ended_by(), Some(9), "{ran}");
    await_that("the end of the server", || processes_of(&scratch).is_empty());
    // The guard gives it time to tidy up; if that was not enough, the next run does it.
    asks_a_database(&scratch).run().exits(0);
    await_that("an empty directory", || left_in(&scratch).is_empty());
}

#[test]
fn that_of_a_killed_fixture_is_gone_and_its_directory_goes_with_the_next_run() {
    let scratch = scratch();
    let run = begun(&scratch);
    let server = left_in(&scratch).iter().find_map(|place| server_of(place));
    if let Some(fixture) = server.and_then(parent_of) {
        kill_process(fixture, Signal::KILL).unwrap();
    }
    let Some(ran) = with_postgresql(run.wait()) else { return };
    let ran = ran.exits(105);
    assert_eq!(ran.ids("blocked").len(), 6, "{ran}");
    await_that("the end of the server", || processes_of(&scratch).is_empty());
    assert_eq!(left_in(&scratch).len(), 1, "{ran}");
    let ran = asks_a_database(&scratch).run().exits(0);
    assert_eq!(left_in(&scratch), [""; 0].map(PathBuf::from), "{ran}");
}
