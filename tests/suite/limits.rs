//! A system that has no room for one more process: the run says so, or waits until there is
//! some. No test gets a verdict that it has not deserved.

#![cfg(target_os = "linux")]

use std::process::Command;

use crate::fixture::{Call, Package, Ran};
use rustix::process::{Resource, getrlimit};

/// Eight that take their time, so that their processes meet; one of them fails.
const TESTS: &str = r#"
fn take_time() { std::thread::sleep(std::time::Duration::from_millis(30)) }
#[test] fn a() { take_time() }
#[test] fn b() { take_time() }
#[test] fn c() { take_time() }
#[test] fn d() { take_time(); panic!("by itself") }
#[test] fn e() { take_time() }
#[test] fn f() { take_time() }
#[test] fn g() { take_time() }
#[test] fn h() { take_time() }
"#;

/// A user of whom there is no process yet: the system counts them by user. Root has no limit.
fn somebody() -> String {
    (61_000 + std::process::id() % 4_000).to_string()
}

/// By a user who may have so many processes and threads, beside those that there are.
fn with_room_for(processes: usize, call: Call) -> Call {
    let mut limited = Command::new("prlimit");
    if !rustix::process::geteuid().is_root() {
        limited.arg(format!("--nproc={}:", processes + processes_of_ours()));
        return call.under(limited);
    }
    limited.arg(format!("--nproc={processes}:")).arg("setpriv");
    limited.arg(format!("--reuid={0}", somebody())).arg(format!("--regid={0}", somebody()));
    limited.args(["--clear-groups", "--inh-caps=-all,+dac_override"]);
    limited.arg("--ambient-caps=-all,+dac_override");
    call.under(limited)
}

fn processes_of_ours() -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let tasks = all.filter_map(|entry| std::fs::read_dir(entry.path().join("task")).ok());
    tasks.map(Iterator::count).sum()
}

/// cargo and rustc need more than we do, and are not who is tried here.
fn cargo_without_a_limit(package: &Package) -> std::path::PathBuf {
    let most = getrlimit(Resource::Nproc).maximum.map_or(30_000, |most| most.min(30_000));
    let script = format!("#!/bin/sh\nexec prlimit --nproc={most}: cargo \"$@\"\n");
    package.write_script("cargo.sh", &script)
}

#[track_caller]
fn comes_out_right(limit: usize, ran: Ran) -> bool {
    assert!(!ran.stderr.contains("panicked"), "{limit}: {ran}");
    if ran.has_not_begun() {
        let told = ran.stderr.lines().find(|line| line.starts_with("error: "));
        let told = told.unwrap_or_else(|| panic!("{limit}: {ran}"));
        assert!(told.contains("cannot start") || told.contains("cannot listen"), "{limit}: {ran}");
        assert!(told.contains("`ulimit -u` shows"), "{limit}: {ran}");
        ran.exits(1);
        return false;
    }
    assert_eq!(ran.ids("failed"), ["shop::d"], "{limit}: {ran}");
    assert_eq!(ran.ids("passed").len(), 7, "{limit}: {ran}");
    ran.exits(100);
    true
}

#[test]
fn few_processes_are_enough_or_missed_loudly() {
    let package = Package::shop("", TESTS);
    comes_out_right(0, package.partest().json().run());
    let cargo = cargo_without_a_limit(&package);
    for way in ["-j8 --isolate", "-j8 --isolate --no-agent", "-j2", "-j1 --no-agent"] {
        let mut enough = Vec::new();
        for limit in (1..12).chain((12..36).step_by(2)) {
            let call = package.partest().json().args(way).env("CARGO", &cargo);
            enough.push(comes_out_right(limit, with_room_for(limit, call).run()));
        }
        assert!(enough.contains(&true) && enough.contains(&false), "{way}: {enough:?}");
    }
}
