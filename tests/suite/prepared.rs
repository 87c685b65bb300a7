//! A worker that is forked from a prepared process cannot tell that from having been started, and
//! nobody else can: what it sees, what it leaves behind, and how it ends with the run.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeSet;

use crate::fixture::{Package, Ran, await_that, is_alive, text};
use rustix::process::{Pid, Signal, kill_process};

/// Six tests, each of which writes down what it sees. Before that the first one does what its
/// caller wants.
const LIBRARY: &str = r#"
#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    unsafe extern "C" {
        fn getauxval(what: u64) -> u64;
        fn getpid() -> i32;
        fn getppid() -> i32;
        fn getpgid(process: i32) -> i32;
        #[allow(dead_code)]
        fn kill(process: i32, signal: i32) -> i32;
        fn raise(signal: i32) -> i32;
    }
    /// Sixteen bytes that the kernel gives to each program that it starts.
    fn origin() -> String {
        let bytes = unsafe { *(getauxval(25) as *const [u8; 16]) };
        format!("{bytes:?}")
    }
    fn place(name: &str) -> PathBuf {
        Path::new(&std::env::var_os("FIXTURE_LOG").unwrap()).join(name)
    }
    fn log(name: &str, text: &str) {
        let half = format!("{name}.half");
        std::fs::write(place(&half), text).unwrap();
        // Whole, or not there at all.
        std::fs::rename(place(&half), place(name)).unwrap();
    }
    /// What the kernel shows of a process, in a line.
    fn shown(what: &str) -> String {
        let bytes = std::fs::read(format!("/proc/self/{what}")).unwrap();
        let texts = bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        texts.map(|text| format!("{what} {:?}\n", OsStr::from_bytes(text))).collect()
    }
    fn of_main(what: &str) -> String {
        std::fs::read_to_string(format!("/proc/self/task/{}/{what}", std::process::id())).unwrap()
    }
    fn write_down(test: &str) {
        let mut seen = String::new();
        std::env::args_os().for_each(|word| writeln!(seen, "argument {word:?}").unwrap());
        std::env::vars_os().for_each(|variable| writeln!(seen, "variable {variable:?}").unwrap());
        writeln!(seen, "directory {:?}", std::env::current_dir().unwrap()).unwrap();
        writeln!(seen, "program {:?}", std::env::current_exe().unwrap()).unwrap();
        // libtest itself is told that there is none.
        writeln!(seen, "terminal {:?}", std::env::var("TERM")).unwrap();
        seen += &shown("cmdline");
        // What the runner has taken out of it is not to be seen in either.
        seen += &shown("environ");
        writeln!(seen, "name {}", of_main("comm").trim()).unwrap();
        // Of this thread: the main one may still be on its way out of making it.
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let is_telling = |line: &&str| {
            ["SigPnd", "SigBlk", "SigIgn", "SigCgt", "Shd", "Seccomp", "Umask", "Uid", "Gid", "NoNew", "Threads"].iter().any(|it| line.starts_with(it))
        };
        for line in status.lines().filter(is_telling) {
            writeln!(seen, "{line}").unwrap();
        }
        let mut descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| {
            let entry = entry.unwrap();
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            // Pipes and sockets differ in their numbers.
            let target = target.to_string_lossy().split(':').next().unwrap().to_owned();
            let flags = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(entry.file_name())).unwrap_or_default();
            let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default().to_owned();
            format!("descriptor {} {target} {flags}\n", entry.file_name().display())
        }).filter(|line| !line.contains("/proc/")).collect();
        descriptors.sort();
        seen += &descriptors.concat();
        unsafe {
            let own = std::process::id() as i32;
            writeln!(seen, "itself {}", getpid() == own).unwrap();
            writeln!(seen, "leads its group {}", getpgid(0) == own).unwrap();
            writeln!(seen, "children {:?}", of_main("children").trim()).unwrap();
            writeln!(seen, "limits {}", of_main("limits").len()).unwrap();
            assert!(getppid() > 1);
        }
        let mut stat = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::open("/proc/self/stat").unwrap(), &mut stat).unwrap();
        let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().to_owned();
        writeln!(seen, "session {session}").unwrap();
        log(&format!("{test}.origin"), &origin());
        log(&format!("{test}.seen"), &seen);
    }
    /// The processes that were there for us, and those that wait to be.
    #[allow(dead_code)]
    fn prepared_ones() -> Vec<i32> {
        let parent = unsafe { getppid() };
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let process: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let its_parent: i32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            let line = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
            let is_prepared = line.windows(6).any(|part| part == b"--list");
            (its_parent == parent && is_prepared).then_some(process)
        });
        let mut found: Vec<i32> = processes.collect();
        found.sort();
        found
    }
    /// The same, once all are there: the one that makes the others, and two of these.
    #[allow(dead_code)]
    fn all_prepared_ones() -> Vec<i32> {
        loop {
            let found = prepared_ones();
            if found.len() == 3 {
                return found;
            }
            std::thread::yield_now();
        }
    }
    #[test]
    fn a() {
        FIRST
        write_down("a");
    }
    #[test]
    fn b() { write_down("b") }
    #[test]
    fn c() { write_down("c") }
    #[test]
    fn d() { write_down("d") }
    #[test]
    fn e() { write_down("e") }
    #[test]
    fn f() {
        // By the number that libc knows of the thread.
        if std::env::var_os("RAISES").is_some() { unsafe { raise(9) }; }
        write_down("f")
    }
}
"#;

const TESTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn shop(first: &str) -> Package {
    Package::shop("", &LIBRARY.replace("FIRST", first))
}

/// In how many programs that were started the tests ran.
fn origins(ran: &Ran) -> BTreeSet<String> {
    TESTS.iter().map(|test| ran.log(&format!("{test}.origin")).concat()).collect()
}

/// What a test saw, without what no two processes have in common.
fn seen(ran: &Ran, test: &str) -> Vec<String> {
    let log = ran.log_directory().display().to_string();
    let differs = ["PARTEST_RUN_ID", "PARTEST_WORKER"];
    let is_common = |line: &String| !differs.iter().any(|name| line.contains(name));
    let lines = ran.log(&format!("{test}.seen")).into_iter().filter(is_common);
    lines.map(|line| line.replace(&log, "LOG")).collect()
}

#[test]
fn a_forked_worker_sees_what_a_started_one_sees() {
    let package = shop("");
    let call = || {
        let call = package.partest().args("--isolate -j1");
        call.env("MINE", "is kept").env("TERM", "xterm")
    };
    let forked = call().run().exits(0);
    assert_eq!(origins(&forked).len(), 1, "all are forked from one; {forked}");
    assert!(!forked.stderr.contains("outlived"), "{forked}");
    for test in TESTS {
        // Alone it is not worth a prepared process.
        let started = call().arg(format!("tests::{test}")).run().exits(0);
        let origin = started.log(&format!("{test}.origin")).concat();
        assert!(!origins(&forked).contains(&origin), "{started}");
        let (expected, found) = (seen(&started, test), seen(&forked, test));
        for line in [
            "variable (\"MINE\", \"is kept\")",
            "environ \"MINE=is kept\"",
            "cmdline \"--exact\"",
            "terminal Ok(\"xterm\")",
        ] {
            assert!(expected.iter().any(|it| it == line), "{line}: {expected:?}");
        }
        assert_eq!(found, expected, "{test}; {forked}");
    }
}

#[test]
fn each_of_several_slots_has_its_own_number_and_variables() {
    let modules = "[package.metadata.partest.modules]\n\
        \"shop::tests\" = { policy = \"split\", isolate = true, env = { FLAVOUR = \"sweet\" } }\n\
        \"shop::tests::f\" = { policy = \"split\", isolate = true, env = { FLAVOUR = \"sour\" } }\n";
    let package = Package::shop(modules, &LIBRARY.replace("FIRST", ""));
    let ran = package.partest().args("-j3").json().run().exits(0);
    let mut workers = BTreeSet::new();
    for test in TESTS {
        let seen = ran.log(&format!("{test}.seen")).concat();
        let flavour = if test == "f" { "sour" } else { "sweet" };
        assert!(seen.contains(&format!("(\"FLAVOUR\", \"{flavour}\")")), "{test}: {seen}");
        assert!(seen.contains(&format!("FLAVOUR={flavour}")), "{test}: {seen}");
        let (_, worker) = seen.split_once("variable (\"PARTEST_WORKER\", \"").unwrap();
        let worker = worker.split('"').next().unwrap().to_owned();
        let told = &ran.test(&format!("shop::tests::{test}"))["worker"];
        assert_eq!(worker, told.to_string(), "{test}; {ran}");
        workers.insert(worker);
    }
    assert_eq!(workers.len(), TESTS.len(), "{ran}");
}

#[test]
fn a_signal_to_its_own_thread_arrives_there() {
    let call = shop("").partest().args("--isolate -j1").json().env("RAISES", "1");
    let ran = call.run().exits(100);
    assert_eq!(ran.ids("aborted"), ["shop::tests::f"], "{ran}");
    assert_eq!(ran.test("shop::tests::f")["reason"], "SIGKILL", "{ran}");
    assert_eq!(ran.ids("passed").len(), 5, "{ran}");
}

#[test]
fn what_a_forked_worker_leaves_is_its_tests() {
    let leaves = r#"
        let child = std::process::Command::new("sleep").arg("600")
            .stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        log("child", &child.id().to_string());
        std::thread::Builder::new().name("stays".into()).spawn(|| loop { std::thread::park() }).unwrap();
    "#;
    let ran = shop(leaves).with_debug_info().partest().args("--isolate -j1").json().run().exits(0);
    assert_eq!(origins(&ran).len(), 1, "{ran}");
    for test in TESTS {
        let leaks = ran.test(&format!("shop::tests::{test}"))["leaks"].clone();
        let leaks = leaks.as_array().cloned().unwrap_or_default();
        let told: BTreeSet<String> = leaks
            .iter()
            .map(|leak| {
                format!("{} {} {}", text(&leak["kind"]), text(&leak["what"]), text(&leak["where"]))
            })
            .collect();
        let at = |words: &str| {
            told.iter().any(|leak| leak.starts_with(words) && leak.contains("src/lib.rs:"))
        };
        match test {
            "a" => assert!(at("process sleep 600") && at("thread stays"), "{told:?}; {ran}"),
            _ => assert!(told.is_empty(), "{told:?}; {ran}"),
        }
    }
    let child = ran.log("child").concat();
    await_that("the end of the child", || !is_alive(&child));
}

/// All prepared processes with their spare ones end with the runner, and so does the worker.
#[test]
fn nothing_is_left_of_a_runner_that_is_killed() {
    let stays = r#"
        let all = all_prepared_ones().into_iter().chain([unsafe { getppid() }, std::process::id() as i32]);
        log("stays", &all.map(|process| format!("{process}\n")).collect::<String>());
        loop { std::thread::park() }
        #[allow(unreachable_code)]
    "#;
    let package = shop(stays);
    let run = package.partest().args("--isolate -j1").start();
    let processes = run.await_log("stays");
    assert_eq!(processes.len(), 5, "three, the runner and the worker");
    let runner = processes[processes.len() - 2].parse().unwrap();
    kill_process(Pid::from_raw(runner).unwrap(), Signal::KILL).unwrap();
    let ran = run.wait();
    assert_eq!(ran.ended_by(), Some(9), "{ran}");
    for process in processes {
        await_that(&format!("the end of {process}"), || !is_alive(&process));
    }
}

#[test]
fn when_the_prepared_process_dies_workers_are_started_again() {
    let kills = "while prepared_ones().iter().any(|process| unsafe { kill(*process, 9) } == 0) {}";
    let ran = shop(kills).partest().args("--isolate -j1").json().run().exits(0);
    assert_eq!(ran.ids("passed").len(), TESTS.len(), "{ran}");
    let origins = origins(&ran);
    assert_eq!(origins.len(), TESTS.len(), "each in a program of its own; {ran}");
    assert!(!ran.stderr.contains("outlived"), "{ran}");
}

/// The first of them is the oldest one, from which the others come.
#[test]
fn spare_forks_serve_when_the_process_is_gone_that_made_them() {
    let kills = "let process = all_prepared_ones()[0]; unsafe { kill(process, 9) };";
    let ran = shop(kills).partest().args("--isolate -j1").json().run().exits(0);
    assert_eq!(ran.ids("passed").len(), TESTS.len(), "{ran}");
    // Its own worker was the first of three forks.
    assert_eq!(origins(&ran).len(), 1 + TESTS.len() - 3, "{ran}");
}

/// What libraries do while they are loaded would be done once for all: such binaries' workers
/// are started. So are those that are told to use less memory, before they are loaded.
#[test]
fn what_cannot_be_shared_is_not() {
    let modules = "[package.metadata.partest.modules]\n\
        \"shop::tests\" = { policy = \"split\", isolate = true, memory = \"1GiB\" }\n";
    let package = Package::shop(modules, &LIBRARY.replace("FIRST", ""));
    let ran = package.partest().args("-j1").run().exits(0);
    assert_eq!(origins(&ran).len(), TESTS.len(), "{ran}");
    let ran = shop("").partest().args("--isolate -j1 --no-agent").run().exits(0);
    assert_eq!(origins(&ran).len(), TESTS.len(), "{ran}");
}
