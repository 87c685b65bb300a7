//! What tests leave behind: all of it is found, named and judged, and nothing else is.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::fixture::{
    self, Call, Package, Ran, await_that, directory, is_alive, laid_out, partest, partest_in, text,
};
use serde_json::Value;
use wildmatch::WildMatch;

const FIXTURE: &str = "leaves_things_behind";
/// Its modules, and the kind of what their tests leave.
const KINDS: [(&str, &str); 3] =
    [("panics", "panic"), ("processes", "process"), ("threads", "thread")];

/// What a test leaves behind; in what is expected, `what` is a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Left {
    kind: String,
    what: String,
    place: String,
}

impl Left {
    fn is(&self, found: &Left) -> bool {
        let is_what = WildMatch::new(&self.what).matches(&found.what);
        is_what && (&self.kind, &self.place) == (&found.kind, &found.place)
    }
}

type ByTest = BTreeMap<String, Vec<Left>>;

/// Every test of the fixture and what it leaves, as its source says.
fn labelled() -> ByTest {
    KINDS.into_iter().flat_map(|(module, kind)| of(FIXTURE, module, |_| kind)).collect()
}

fn check(labelled: &ByTest) {
    for (test, left) in labelled {
        let is_left = test.ends_with("_left");
        assert!(is_left || test.ends_with("_harmless"), "{test} has no label");
        assert_eq!(is_left, !left.is_empty(), "the name and the comments of {test} differ");
    }
}

/// The tests of a module, and what they leave of the kind that follows from what it is called.
fn of(fixture: &str, module: &str, kind: impl Fn(&str) -> &'static str) -> ByTest {
    let path = format!("src/{module}.rs");
    let source = std::fs::read_to_string(directory(fixture).join(&path)).unwrap();
    let id = |name: &str| format!("{fixture}::{module}::{name}");
    let mut tests = ByTest::new();
    let mut current = String::new();
    for (line, number) in source.lines().zip(1..) {
        if let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
            current = name.to_owned();
        }
        let is_test = current.ends_with("_left") || current.ends_with("_harmless");
        if is_test && line.starts_with("fn ") {
            tests.entry(id(&current)).or_default();
        }
        for (name, what) in labels(line) {
            let place = match what.strip_suffix(" (nowhere)") {
                Some(_) => String::new(),
                None => format!("{path}:{number}"),
            };
            let what = what.trim_end_matches(" (nowhere)").to_owned();
            let left = Left { kind: kind(&what).to_owned(), what, place };
            tests.entry(id(name.unwrap_or(&current))).or_default().push(left);
        }
    }
    tests
}

/// `// left: WHAT` or `// left by NAME: WHAT`, also several; `(nowhere)` where no line is told.
fn labels(line: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    line.split("// left").skip(1).filter_map(|label| {
        let (name, what) = label.split_once(": ")?;
        Some((name.strip_prefix(" by "), what.trim_end()))
    })
}

fn only(tests: ByTest, is_wanted: impl Fn(&str) -> bool) -> ByTest {
    tests.into_iter().filter(|(test, _)| is_wanted(test)).collect()
}

/// What came out: with the verdicts, and later. Whose test is not known stands below no name.
fn found(ran: &Ran) -> ByTest {
    let left = |leak: &Value| Left {
        kind: text(&leak["kind"]),
        what: text(&leak["what"]),
        place: text(&leak["where"]),
    };
    let mut found = ByTest::new();
    for event in ran.events() {
        if event["event"] == "test" || event["event"] == "left-behind" {
            let leaks = event["leaks"].as_array().cloned().unwrap_or_default();
            let of_test = found.entry(text(&event["id"])).or_default();
            of_test.extend(leaks.iter().map(left));
        }
    }
    found
}

/// A line for whatever was missed, and for whatever was told and is not there.
fn deviations(expected: &ByTest, found: &ByTest) -> Vec<String> {
    let tests: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    tests.into_iter().flat_map(|test| of_test(test, expected.get(test), found.get(test))).collect()
}

fn of_test(test: &str, expected: Option<&Vec<Left>>, found: Option<&Vec<Left>>) -> Vec<String> {
    let (Some(expected), Some(found)) = (expected, found) else {
        return vec![format!("{test}: known {}, ran {}", expected.is_some(), found.is_some())];
    };
    let mut surplus = found.clone();
    let mut missed = Vec::new();
    for left in expected {
        match surplus.iter().position(|found| left.is(found)) {
            Some(at) => drop(surplus.remove(at)),
            None => missed.push(left),
        }
    }
    let line = |word: &str, left: &Left| {
        format!("{test}: {word} {} `{}` at {}", left.kind, left.what, left.place)
    };
    let missed = missed.into_iter().map(|left| line("missed", left));
    missed.chain(surplus.iter().map(|left| line("falsely told", left))).collect()
}

#[track_caller]
fn is_exactly(ran: &Ran, expected: &ByTest) {
    let deviations = deviations(expected, &found(ran));
    assert!(deviations.is_empty(), "{} deviations:\n{}\n{ran}", deviations.len(), {
        deviations.join("\n")
    });
}

#[track_caller]
fn all_passed(ran: &Ran) {
    let others = ran.verdicts().into_iter().filter(|(_, outcome)| outcome != "passed");
    assert_eq!(others.collect::<Vec<_>>(), [], "all tests pass; {ran}");
}

/// Whatever the fixture started carries the name of the run's own directory.
#[track_caller]
fn nothing_lives(ran: &Ran) {
    let mark = format!("FIXTURE_LOG={}", ran.log_directory().display());
    await_that("the end of all processes of the run", || of_run(&mark).is_empty());
}

fn of_run(mark: &str) -> Vec<String> {
    let processes = Path::new("/proc").read_dir().unwrap().filter_map(Result::ok);
    let pids = processes.filter_map(|process| process.file_name().into_string().ok());
    let pids = pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter(|pid| has_variable(pid, mark) && is_alive(pid)).collect()
}

fn has_variable(pid: &str, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

fn ran(way: &str) -> Ran {
    partest(FIXTURE).json().args(way).run()
}

/// The files of the fixture, with more in its manifest.
fn files(metadata: &str) -> [(&'static str, String); 5] {
    let paths = ["Cargo.toml", "src/lib.rs", "src/panics.rs", "src/processes.rs", "src/threads.rs"];
    let mut files =
        paths.map(|path| (path, std::fs::read_to_string(directory(FIXTURE).join(path)).unwrap()));
    files[0].1.push_str(metadata);
    files
}

/// The fixture with more in its manifest.
fn copy(metadata: &str) -> Package {
    Package::new(&files(metadata).each_ref().map(|(path, text)| (*path, text.as_str())))
        .with_debug_info()
}

/// Four tests of each process run at once, as threads.
fn side_by_side() -> Call {
    let files = files("[package.metadata.partest]\nthreads = 4\n");
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    partest_in(&laid_out("leaks-side-by-side", &files))
}

mod recall_and_precision {
    use super::*;

    fn are_one(way: &str) {
        are_one_in(ran(way));
    }

    fn are_one_in(ran: Ran) {
        let ran = ran.exits(0);
        all_passed(&ran);
        is_exactly(&ran, &labelled());
        nothing_lives(&ran);
    }

    #[test]
    fn in_one_process_after_the_other() {
        are_one("-j1");
    }

    #[test]
    fn in_two_processes() {
        are_one("-j2");
    }

    #[test]
    fn with_modules_as_they_are() {
        are_one("-j2 --policy unit");
    }

    #[test]
    fn spread_over_processes() {
        are_one("-j2 --policy split");
    }

    #[test]
    fn side_by_side_in_one_process() {
        are_one_in(side_by_side().json().args("-j4 --policy unit").run());
    }

    #[test]
    fn all_modules_side_by_side_in_one_process() {
        are_one_in(side_by_side().json().args("-j4 --no-partition").run());
    }

    #[test]
    fn in_a_process_for_each() {
        are_one("-j2 --isolate");
    }

    #[test]
    fn the_fixture_is_large_and_balanced() {
        let tests = labelled();
        check(&tests);
        for (module, _) in KINDS {
            let of_module = |label: &str| {
                let in_module = |test: &&String| test.contains(&format!("::{module}::"));
                tests.keys().filter(in_module).filter(|test| test.ends_with(label)).count()
            };
            assert!(of_module("_left") >= 15 && of_module("_harmless") >= 15, "{module}");
        }
    }

    #[test]
    fn side_by_side_is_meant() {
        let plan = |way: &str| {
            let call = side_by_side().args("plan --message-format json").args(way);
            let plan = call.run().exits(0);
            let batches = plan.events().into_iter().filter(|line| line["event"] == "batch");
            batches.map(|batch| batch["threads"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(plan("-j4 --policy unit"), [4, 4, 4]);
        assert_eq!(plan("-j4 --no-partition"), [4]);
    }
}

/// Who may look at the processes of others, and at what, depends on who asks.
mod for_ordinary_users {
    use super::*;

    fn by_one_of_them(call: Call) -> Ran {
        call.by_an_ordinary_user().run().exits(0)
    }

    #[test]
    fn recall_and_precision_are_one_as_well() {
        partest(FIXTURE).args("--no-run").run().exits(0);
        for way in ["-j1", "-j2", "-j2 --isolate"] {
            let ran = by_one_of_them(partest(FIXTURE).json().args(way));
            all_passed(&ran);
            is_exactly(&ran, &labelled());
            nothing_lives(&ran);
        }
    }

    #[test]
    fn also_side_by_side_in_one_process() {
        side_by_side().args("--no-run").run().exits(0);
        for way in ["-j4 --policy unit", "-j4 --no-partition"] {
            let ran = by_one_of_them(side_by_side().json().args(way));
            is_exactly(&ran, &labelled());
            nothing_lives(&ran);
        }
    }
}

/// Containers, whose rules forbid some system calls.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod in_containers {
    use super::*;
    use std::ffi::{c_int, c_ulong};

    const IS_X86: bool = cfg!(target_arch = "x86_64");
    const PERSONALITY: u32 = if IS_X86 { 135 } else { 92 };
    const IOPRIO_SET: u32 = if IS_X86 { 251 } else { 30 };

    /// Of a program for seccomp(2): code, two jumps, a value.
    #[repr(C)]
    struct Step(u16, u8, u8, u32);

    #[repr(C)]
    struct Program(u16, *const Step);

    const LOAD: u16 = 0x20;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    const EPERM: u32 = 0x0005_0001;
    const ALLOW: u32 = 0x7fff_0000;

    unsafe extern "C" {
        fn prctl(option: c_int, ...) -> c_int;
        fn syscall(number: std::ffi::c_long, ...) -> std::ffi::c_long;
    }

    /// From here on, changing the personality fails, and so does the call of this number.
    fn forbid(number: u32) -> std::io::Result<()> {
        const PR_SET_SECCOMP: c_int = 22;
        const PR_SET_NO_NEW_PRIVS: c_int = 38;
        const FILTER: c_ulong = 2;
        let (one, zero): (c_ulong, c_ulong) = (1, 0);
        // A container begins without any mark; a run that this test is part of has left its own.
        // SAFETY: the call takes a number, and reads no memory.
        unsafe { syscall(PERSONALITY.into(), zero) };
        let steps = [
            Step(LOAD, 0, 0, NUMBER),
            Step(IF_EQUAL, 4, 0, number),
            Step(IF_EQUAL, 0, 2, PERSONALITY),
            Step(LOAD, 0, 0, FIRST_ARGUMENT),
            Step(IF_EQUAL, 0, 1, u32::MAX),
            Step(RETURN, 0, 0, ALLOW),
            Step(RETURN, 0, 0, EPERM),
        ];
        let program = Program(steps.len() as u16, steps.as_ptr());
        // SAFETY: both take these arguments, and the program outlives the call that reads it.
        let answers = unsafe {
            [
                prctl(PR_SET_NO_NEW_PRIVS, one, zero, zero, zero),
                prctl(PR_SET_SECCOMP, FILTER, &raw const program),
            ]
        };
        if answers == [0, 0] { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }

    /// What Docker forbids.
    fn personality_is_fixed() -> std::io::Result<()> {
        forbid(u32::MAX)
    }

    fn so_is_the_priority() -> std::io::Result<()> {
        forbid(IOPRIO_SET)
    }

    fn ran(how: fn() -> std::io::Result<()>, way: &str) -> Ran {
        partest(FIXTURE).args("--no-run").run().exits(0);
        let ran = partest(FIXTURE).json().args(way).by_an_ordinary_user().prepared(how).run();
        all_passed(&ran);
        nothing_lives(&ran);
        ran.exits(0)
    }

    /// Before Linux 6.5 a priority has no hints.
    fn has_hints() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(5))
    }

    #[test]
    fn recall_and_precision_are_one_as_well() {
        if !has_hints() {
            return fixture::skip("this kernel is older than Linux 6.5");
        }
        for way in ["-j1", "-j2"] {
            is_exactly(&ran(personality_is_fixed, way), &labelled());
        }
    }

    /// A shell's child that lost its parent and bears no mark: its unit is told, and no test is
    /// blamed for another's.
    #[test]
    fn without_any_mark_nobody_is_blamed_falsely() {
        for way in ["-j1", "-j2"] {
            let ran = ran(so_is_the_priority, way);
            let mut found = found(&ran);
            let of_units = found.remove("").unwrap_or_default();
            let deviations = deviations(&labelled(), &found);
            let ids =
                ["child_of_a_killed_shell_left", "through_a_shell_left", "through_two_shells_left"];
            let missed = |line: &String, id: &str| {
                line.contains(&format!("::{id}: missed process `*sleep 1000*`"))
            };
            // The first one of a process that starts any is known for that.
            let is_one = |line: &String| ids.iter().any(|id| missed(line, id));
            assert!(deviations.iter().all(is_one), "{}\n{ran}", deviations.join("\n"));
            assert!(of_units.iter().all(|left| left.what == "sleep 1000"), "{ran}");
            assert!(deviations.len() + 1 >= ids.len(), "{ran}");
            assert_eq!(of_units.len(), deviations.len(), "{ran}");
            let units = ran.events().into_iter().filter(|event| event["event"] == "left-behind");
            let units: BTreeSet<String> = units.map(|event| text(&event["unit"])).collect();
            assert_eq!(units, set(&[FIXTURE]), "{ran}");
        }
    }
}

/// The mark of a test is a part of its personality, which its code may look at and change.
mod personality {
    use super::*;
    use std::process::Command;

    const READS_AND_CHANGES_IT: &str = r#"
#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    unsafe extern "C" { fn personality(word: std::ffi::c_ulong) -> i32; }
    const ONLY_TELL: u32 = u32::MAX;
    const NO_RANDOM_ADDRESSES: u32 = 0x40000;
    const OLD_RELEASE: u32 = 0x20000;
    fn set(word: u32) -> u32 { unsafe { personality(word.into()) as u32 } }

    fn uname(flag: &str) -> String {
        let told = Command::new("uname").arg(flag).output().unwrap();
        String::from_utf8(told.stdout).unwrap()
    }

    #[test]
    fn knows_it() {
        let expected: u32 = std::env::var("EXPECTED").unwrap().parse().unwrap();
        assert_eq!(set(ONLY_TELL), expected);
    }

    #[test]
    fn changes_it() {
        let before = set(ONLY_TELL);
        assert_eq!(set(OLD_RELEASE | NO_RANDOM_ADDRESSES), before);
        assert!(uname("-r").starts_with("2.6."), "it is handed on");
        assert_eq!(set(before), OLD_RELEASE | NO_RANDOM_ADDRESSES);
        assert_eq!(set(ONLY_TELL), before);
    }

    #[test]
    fn leaves_one_with_its_own() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 &"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        unsafe { shell.pre_exec(|| { set(NO_RANDOM_ADDRESSES); Ok(()) }) };
        assert!(shell.status().unwrap().success());
    }

    #[test]
    fn sees_the_same_machine() {
        assert_eq!(uname("-m").trim(), std::env::consts::ARCH);
        assert!(!uname("-r").starts_with("2."));
    }
}
"#;

    fn fixed_addresses() -> Command {
        let mut setarch = Command::new("setarch");
        setarch.args([std::env::consts::ARCH, "-R"]);
        setarch
    }

    /// As a run has it that a test of another one started.
    fn bears_a_mark() -> std::io::Result<()> {
        unsafe extern "C" {
            fn personality(word: std::ffi::c_ulong) -> std::ffi::c_int;
        }
        // SAFETY: it takes any number.
        match unsafe { personality(0x1000_5a00) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Containers have the program and may forbid its call.
    fn can_fix_addresses() -> bool {
        let works = fixed_addresses().arg("true").status().is_ok_and(|status| status.success());
        if !works {
            fixture::skip("there is no `setarch`, or it may not change the personality");
        }
        works
    }

    #[track_caller]
    fn is_undisturbed(call: Call) {
        let ran = call.run().exits(0);
        all_passed(&ran);
        let left = each(&ran, "leaves_one_with_its_own", "what");
        assert!(left.len() == 1 && ran.finished()["leaks"] == 1, "{ran}");
    }

    #[test]
    fn tests_see_their_own() {
        let package = Package::shop("", READS_AND_CHANGES_IT).with_debug_info();
        let call = |expected| package.partest().json().args("-j2").env("EXPECTED", expected);
        if can_fix_addresses() {
            is_undisturbed(call("0"));
            is_undisturbed(call("0").prepared(bears_a_mark));
            is_undisturbed(call("262144").under(fixed_addresses()));
        }
    }

    #[test]
    fn fixed_addresses_change_no_verdict() {
        if can_fix_addresses() {
            let ran = partest(FIXTURE).json().args("-j2").under(fixed_addresses()).run().exits(0);
            all_passed(&ran);
            is_exactly(&ran, &labelled());
            nothing_lives(&ran);
        }
    }
}

mod actions {
    use super::*;

    #[test]
    fn allow_hides_everything() {
        let ran = ran("--leaks allow -j2").exits(0);
        let none = labelled().into_keys().map(|test| (test, Vec::new())).collect();
        is_exactly(&ran, &none);
        all_passed(&ran);
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
        nothing_lives(&ran);
    }

    #[test]
    fn a_denied_panic_is_a_failure() {
        let side_by_side = side_by_side().json().args("-j4 --policy unit --leaks deny");
        for ran in [ran("--leaks deny -j2"), side_by_side.run()] {
            let ran = ran.exits(100);
            is_exactly(&ran, &labelled());
            let verdict = |test: String| {
                let fails = test.contains("::panics::") && test.ends_with("_left");
                (test, if fails { "failed" } else { "passed" }.to_owned())
            };
            let expected: BTreeMap<_, _> = labelled().into_keys().map(verdict).collect();
            assert_eq!(ran.verdicts(), expected, "{ran}");
        }
    }

    #[test]
    fn a_denied_thread_or_process_fails_the_run() {
        for way in ["-j2 --leaks deny -- --skip panics", "-j2 --leaks deny threads"] {
            let ran = ran(way).exits(102);
            all_passed(&ran);
        }
    }

    #[test]
    fn nothing_denied_is_all_well() {
        let ran = ran("-j2 --leaks deny harmless").exits(0);
        is_exactly(&ran, &only(labelled(), |test| test.ends_with("_harmless")));
    }

    #[test]
    fn a_failure_says_which_panic() {
        let ran = ran("-j1 --leaks deny handle_dropped_left").exits(100);
        let test = ran.test("leaves_things_behind::panics::handle_dropped_left");
        let place = &labelled()["leaves_things_behind::panics::handle_dropped_left"][0].place;
        let reason = format!("unobserved panic in a thread: nobody joins ({place})");
        assert_eq!(test["reason"], reason, "{ran}");
    }
}

/// Where the copy's manifest goes on.
fn first_line_of_metadata() -> usize {
    std::fs::read_to_string(directory(FIXTURE).join("Cargo.toml")).unwrap().lines().count() + 1
}

/// All leaks of tests with this in their ids, each one of these fields.
fn each(ran: &Ran, of: &str, field: &str) -> BTreeSet<String> {
    let is_of = |test: &Value| text(&test["id"]).contains(of);
    let tests = ran.tests().into_iter().filter(is_of);
    let leaks = tests.flat_map(|test| test["leaks"].as_array().cloned().unwrap_or_default());
    leaks.map(|leak| text(&leak[field])).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

mod rules {
    use super::*;

    #[test]
    fn a_module_denies_for_itself() {
        let key = "[package.metadata.partest.modules]\n\"leaves_things_behind::threads\" = { leaks = \"deny\" }\n";
        let ran = copy(key).partest().json().args("-j2").run().exits(102);
        is_exactly(&ran, &labelled());
        all_passed(&ran);
        let rule = format!("Cargo.toml:{}", first_line_of_metadata() + 1);
        assert_eq!(each(&ran, "::threads::", "action"), set(&["deny"]), "{ran}");
        assert_eq!(each(&ran, "::threads::", "rule"), set(&[&rule]), "{ran}");
        for other in ["::panics::", "::processes::"] {
            assert_eq!(each(&ran, other, "action"), set(&["warn"]), "{ran}");
            assert_eq!(each(&ran, other, "rule"), set(&["default"]), "{ran}");
        }
    }

    #[test]
    fn each_kind_has_its_action() {
        let key = "[package.metadata.partest]\nleaks = { thread = \"allow\", panic = \"warn\", process = \"deny\" }\n";
        let ran = copy(key).partest().json().args("-j2").run().exits(102);
        let is_hidden = |left: &Left| left.kind == "thread";
        let mut expected = labelled();
        expected.values_mut().for_each(|left| left.retain(|left| !is_hidden(left)));
        is_exactly(&ran, &expected);
        assert_eq!(each(&ran, "::panics::", "action"), set(&["warn"]), "{ran}");
        assert_eq!(each(&ran, "::processes::", "action"), set(&["deny"]), "{ran}");
    }

    #[test]
    fn the_command_line_beats_the_manifest() {
        let key = "[package.metadata.partest]\nleaks = \"deny\"\n";
        let ran = copy(key).partest().json().args("-j2 --leaks warn").run().exits(0);
        is_exactly(&ran, &labelled());
        assert_eq!(each(&ran, "", "rule"), set(&["--leaks"]), "{ran}");
    }

    /// `ignore` hides what it matches, of its kind and below its node, whatever is denied.
    #[test]
    fn what_is_ignored_is_hidden() {
        let key = "[package.metadata.partest]
leaks = { all = \"deny\", ignore = [{ thread = \"un*\" }, { process = \"sleep ?000\" }] }
[package.metadata.partest.modules]
\"leaves_things_behind::panics\" = { leaks = { ignore = [{ panic = \"*\" }] } }
";
        let ran = copy(key).partest().json().args("-j2").run().exits(102);
        let ignored = [("thread", "un*"), ("process", "*sleep ?000"), ("panic", "*")];
        let is_ignored = |left: &Left| {
            let what = left.what.trim_matches('*');
            ignored
                .iter()
                .any(|(kind, what_is)| left.kind == *kind && WildMatch::new(what_is).matches(what))
        };
        let mut expected = labelled();
        expected.values_mut().for_each(|left| left.retain(|left| !is_ignored(left)));
        is_exactly(&ran, &expected);
        all_passed(&ran);
    }

    #[test]
    fn an_ignored_kind_hides_no_other() {
        let key = "[package.metadata.partest]\nleaks = { ignore = [{ process = \"*\" }, { panic = \"unnamed\" }] }\n";
        let ran = copy(key).partest().json().args("-j2 threads").run().exits(0);
        is_exactly(&ran, &only(labelled(), |test| test.contains("::threads::")));
    }
}

/// The thread of one test ends when a later one says so, a second after its start: long enough
/// for anybody who wants to look at it.
const ENDS_LATER: &str = r#"
#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};
    static MAY_END: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static HAS_ENDED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    fn tell(what: &(Mutex<bool>, Condvar)) {
        *what.0.lock().unwrap() = true;
        what.1.notify_all();
    }
    fn await_it(what: &(Mutex<bool>, Condvar)) {
        drop(what.1.wait_while(what.0.lock().unwrap(), |told| !*told).unwrap());
    }
    #[test]
    fn a_starts_it() {
        std::thread::spawn(|| { await_it(&MAY_END); tell(&HAS_ENDED) });
    }
    #[test]
    fn b_ends_it() {
        std::thread::sleep(std::time::Duration::from_secs(1));
        tell(&MAY_END);
        await_it(&HAS_ENDED);
        // It has said its last word, and is gone when only this thread and libtest's are left.
        while std::fs::read_dir("/proc/self/task").unwrap().count() > 2 {
            std::thread::yield_now();
        }
    }
}
"#;

mod linger {
    use super::*;

    fn with(linger: &str) -> Ran {
        let key = format!("[package.metadata.partest]\nlinger = \"{linger}\"\n");
        Package::shop(&key, ENDS_LATER)
            .with_debug_info()
            .partest()
            .json()
            .args("-j1 --policy unit")
            .run()
            .exits(0)
    }

    #[test]
    fn what_ends_within_it_is_not_left() {
        let ran = with("1000s");
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
    }

    #[test]
    fn what_lives_on_behind_it_is_left() {
        let ran = with("10ms");
        let leak = &ran.test("shop::tests::a_starts_it")["leaks"][0];
        assert_eq!((&leak["kind"], &leak["where"]), (&"thread".into(), &"src/lib.rs:16".into()));
        let detail = text(&leak["detail"]);
        assert!(WildMatch::new("waiting, lived on for * s, then ended").matches(&detail), "{ran}");
        assert_eq!(ran.finished()["leaks"], 1, "{ran}");
    }

    /// It is looked at though there is always something to read.
    #[test]
    fn what_lives_on_beside_a_test_that_keeps_writing_is_left() {
        let library = r#"
            #[cfg(test)]
            static GO: std::sync::Mutex<Option<std::sync::mpsc::Sender<()>>> = std::sync::Mutex::new(None);
            #[test]
            fn a_starts_it() {
                let (go, waits) = std::sync::mpsc::channel();
                *GO.lock().unwrap() = Some(go);
                std::thread::spawn(move || waits.recv());
            }
            #[test]
            fn b_writes() {
                let began = std::time::Instant::now();
                while began.elapsed().as_secs() < 2 {
                    std::io::Write::write_all(&mut std::io::stderr(), &[b'y'; 1000]).unwrap();
                }
                GO.lock().unwrap().take();
                // The main thread, and this one.
                while std::fs::read_dir("/proc/self/task").unwrap().count() > 2 {}
            }
        "#;
        let key = "[package.metadata.partest]\nlinger = \"10ms\"\n";
        let ran = Package::shop(key, library)
            .with_debug_info()
            .partest()
            .json()
            .args("-j1 --policy unit")
            .run();
        let leaks = ran.test("shop::a_starts_it")["leaks"].clone();
        assert_eq!(leaks.as_array().map(Vec::len), Some(1), "{ran}");
        let detail = text(&leaks[0]["detail"]);
        assert!(WildMatch::new("waiting, lived on for * s, then ended").matches(&detail), "{ran}");
    }

    /// The same for a process, which a later test ends.
    #[test]
    fn a_process_that_lives_on_behind_it_is_left_too() {
        let library = ENDS_LATER.replace(
            "std::thread::spawn(|| { await_it(&MAY_END); tell(&HAS_ENDED) });",
            "let mut cat = std::process::Command::new(\"cat\");
             *CAT.lock().unwrap() = Some(cat.stdin(std::process::Stdio::piped()).spawn().unwrap());",
        );
        let library = library.replace(
            "tell(&MAY_END);\n        await_it(&HAS_ENDED);",
            "assert!(CAT.lock().unwrap().take().unwrap().wait().unwrap().success());",
        );
        let library = library.replace(
            "#[test]\n    fn a_",
            "static CAT: Mutex<Option<std::process::Child>> = Mutex::new(None);\n#[test] fn a_",
        );
        let key = "[package.metadata.partest]\nlinger = \"10ms\"\n";
        let ran = Package::shop(key, &library)
            .with_debug_info()
            .partest()
            .json()
            .args("-j1 --policy unit")
            .run();
        let leak = &ran.test("shop::tests::a_starts_it")["leaks"][0];
        assert_eq!((&leak["kind"], &leak["what"]), (&"process".into(), &"cat".into()), "{ran}");
        let detail = text(&leak["detail"]);
        assert!(WildMatch::new("pid *, lived on for * s, then ended").matches(&detail), "{ran}");
        assert_eq!(ran.exits(0).finished()["leaks"], 1);
    }

    /// What a test leaves is looked for only as long as it says, and not for ever.
    #[test]
    fn a_run_ends_before_a_long_linger_that_nobody_needs() {
        let library = "#[test]\nfn passes() { assert!(std::process::Command::new(\"true\").status().unwrap().success()) }";
        let key = "[package.metadata.partest]\nlinger = \"1h\"\n";
        Package::shop(key, library).with_debug_info().partest().json().run().exits(0);
    }
}

/// What is a leak does not depend on which tests share a process, in which order, and with what
/// else the machine does.
mod whatever_the_plan {
    use super::*;

    const AROUND: &str = "ends_around_its_linger";

    /// The place of a process that nobody has told of is not known.
    fn around() -> ByTest {
        let kind = |what: &str| match what {
            "first" | "last" | "unnamed" => "thread",
            _ => "process",
        };
        let mut labelled = of(AROUND, "soon", kind);
        labelled.extend(of(AROUND, "late", kind));
        for (test, left) in &mut labelled {
            let place = |name: &str, line: &str| {
                let path = "src/lib.rs";
                let source = std::fs::read_to_string(directory(AROUND).join(path)).unwrap();
                let at = source.lines().position(|it| it.contains(line)).unwrap() + 1;
                test.ends_with(name).then(|| format!("{path}:{at}"))
            };
            let of_system = place("f_by_system_left", "unsafe { system(");
            if let Some(place) = of_system.or_else(|| place("g_by_popen_left", "unsafe { popen(")) {
                let (kind, what) = ("process".to_owned(), "*sleep 30".to_owned());
                left.push(Left { kind, what, place });
            }
        }
        labelled
    }

    const WAYS: [&str; 7] = [
        "-j1",
        "-j2",
        "-j8",
        "-j2 --policy split",
        "-j8 --isolate",
        "-j2 --policy unit",
        "-j2 --no-partition -- --test-threads=2",
    ];

    #[test]
    fn what_ends_around_its_linger_is_told_or_not() {
        check(&around());
        for way in WAYS {
            let ran = partest(AROUND).json().args(way).run().exits(0);
            all_passed(&ran);
            is_exactly(&ran, &around());
            nothing_lives(&ran);
        }
    }
}

mod for_scripts {
    use super::*;

    fn leak(module: &str, name: &str) -> Value {
        let ran = ran(&format!("-j1 {module}::{name}")).exits(0);
        let test = ran.test(&format!("{FIXTURE}::{module}::{name}"));
        assert_eq!(test["leaks"].as_array().unwrap().len(), 1, "{ran}");
        test["leaks"][0].clone()
    }

    #[track_caller]
    fn is(leak: &Value, kind: &str, what: &str, detail: &str) {
        let fields: Vec<&String> = leak.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["action", "detail", "kind", "rule", "what", "where"]);
        assert_eq!((text(&leak["kind"]), text(&leak["what"])), (kind.into(), what.into()));
        assert_eq!((text(&leak["action"]), text(&leak["rule"])), ("warn".into(), "default".into()));
        assert!(WildMatch::new(detail).matches(&text(&leak["detail"])), "{leak}");
    }

    #[test]
    fn a_thread() {
        let leak = leak("threads", "named_left");
        is(&leak, "thread", "reaper", "still alive when its process ended");
    }

    #[test]
    fn a_panic() {
        let leak = leak("panics", "named_left");
        is(&leak, "panic", "in the books", "in thread `auditor`");
    }

    #[test]
    fn a_process() {
        let leak = leak("processes", "stdio_null_left");
        is(&leak, "process", "sleep 1000", "pid *, * s old, killed");
    }

    #[test]
    fn all_leaks_are_counted_at_the_end() {
        let ran = ran("-j2").exits(0);
        let all: usize = labelled().values().map(Vec::len).sum();
        assert_eq!(ran.finished()["leaks"], all, "{ran}");
    }
}

/// A report without what changes from run to run: numbers of processes, times, the last line's
/// measures.
fn timeless(report: &str) -> String {
    let mut shown = String::new();
    for line in report.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_measured = |at: usize| {
            let unit = words.get(at + 1).map(|word| word.trim_end_matches([',', ')', ':']));
            let is_pid = at > 0 && words[at - 1] == "pid";
            is_pid || unit.is_some_and(|unit| ["s", "%"].contains(&unit))
        };
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let word = |at| match is_measured(at) {
            true => words[at].replace(is_number, ""),
            false => words[at].to_owned(),
        };
        // A time that nobody would notice is left out.
        let line = (0..words.len()).map(word).collect::<Vec<_>>().join(" ");
        shown += &(line.replace(" ( s)", "") + "\n");
    }
    shown
}

mod for_people {
    use super::*;

    const SHOP: &str = r#"
fn audit() {
    panic!("the till is short");
}

#[test]
fn audits() {
    std::thread::spawn(audit);
}

#[test]
fn closes_well() {
    std::thread::spawn(|| 7).join().unwrap();
}

#[test]
fn opens() {
    let named = |name: &str| std::thread::Builder::new().name(name.into());
    named("guard").spawn(|| loop { std::thread::park() }).unwrap();
    std::process::Command::new("sleep").arg("1000").spawn().unwrap();
}
"#;

    fn shop(metadata: &str, flags: &str) -> Ran {
        Package::shop(metadata, SHOP)
            .with_debug_info()
            .partest()
            .args("-j1 --policy unit")
            .args(flags)
            .run()
    }

    const WARNED: &str = "\
leaks:
  shop::audits
    unobserved panic `the till is short` at src/lib.rs:3, in thread `unnamed` [warn: default]
  shop::opens
    process `sleep 1000` started at src/lib.rs:20, pid ,  s old, killed [warn: default]
    thread `guard` started at src/lib.rs:19, still alive when its process ended [warn: default]
  to allow one: leaks = { ignore = [{ panic = \"the till is short\" }] } under its module in Cargo.toml

3 passed, 3 leaks in  s
";

    #[test]
    fn leaks_are_grouped_by_test() {
        let ran = shop("", "").exits(0);
        assert_eq!(timeless(&ran.stdout), WARNED, "{ran}");
    }

    const DENIED: &str = "\
failures:

FAILED shop::audits
  unobserved panic in a thread: the till is short (src/lib.rs:3)
  rerun: cargo partest -p shop --lib -- --exact audits

leaks:
  shop::audits
    unobserved panic `the till is short` at src/lib.rs:3, in thread `unnamed` [deny: Cargo.toml:5]
  shop::opens
    process `sleep 1000` started at src/lib.rs:20, pid ,  s old, killed [warn: Cargo.toml:5]
  to allow one: leaks = { ignore = [{ panic = \"the till is short\" }] } under its module in Cargo.toml

1 failed, 2 passed, 2 leaks (1 denied) in  s
";

    #[test]
    fn the_gravest_come_first_and_name_their_rule() {
        let rule = "[package.metadata.partest]\nleaks = { panic = \"deny\", process = \"warn\", thread = \"allow\" }\n";
        let ran = shop(rule, "").exits(100);
        let manifest =
            "[package]\nname = \"shop\"\nedition = \"2024\"\n[workspace]\n".lines().count();
        let denied = DENIED.replace("Cargo.toml:5", &format!("Cargo.toml:{}", manifest + 2));
        assert_eq!(timeless(&ran.stdout), denied, "{ran}");
    }

    /// The line to paste is worth what it says.
    #[test]
    fn what_the_report_offers_to_paste_works() {
        let offered = shop("", "").exits(0);
        let line = offered.stdout.lines().find(|line| line.contains("to allow one: ")).unwrap();
        let (_, line) = line.split_once(": ").unwrap();
        let (key, _) = line.split_once(" under its module").unwrap();
        let ran = shop(&format!("[package.metadata.partest]\n{key}\n"), "").exits(0);
        assert!(!ran.stdout.contains("the till is short"), "{ran}");
        assert!(ran.stdout.contains("3 passed, 2 leaks"), "{ran}");
    }

    #[test]
    fn the_whole_stack_is_shown_on_request() {
        let ran = shop("", "-v").exits(0);
        assert!(ran.stdout.contains("shop::opens at src/lib.rs:19\n"), "{ran}");
    }

    #[test]
    fn a_passed_test_that_leaks_is_marked_on_request() {
        let ran = shop("", "-v").exits(0);
        let is_it = |line: &&str| line.contains("PASSED shop::opens");
        let line = ran.stderr.lines().find(is_it).unwrap_or_else(|| panic!("{ran}"));
        assert!(line.ends_with(", 2 leaks"), "{ran}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let ran = partest(FIXTURE).args("-j2").run().exits(0);
        let all: usize = labelled().values().map(Vec::len).sum();
        let more = format!("  … and {} more (-v shows all)\n", all - 20);
        assert!(ran.stdout.contains(&more), "{ran}");
        assert!(ran.stdout.lines().count() < 60, "fits a screen or two; {ran}");
    }
}

mod without_the_agent {
    use super::*;

    #[test]
    fn the_verdicts_are_the_same() {
        for way in ["-j1", "-j2", "-j4 --policy unit", "-j2 --isolate"] {
            let ran = ran(&format!("--no-agent {way}")).exits(0);
            all_passed(&ran);
            let expected: Vec<String> = labelled().into_keys().collect();
            assert_eq!(ran.verdicts().into_keys().collect::<Vec<_>>(), expected, "{ran}");
            nothing_lives(&ran);
        }
    }

    #[test]
    fn the_report_says_what_was_not_looked_for() {
        let ran = partest(FIXTURE).args("--no-agent -j2").run().exits(0);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let told: Vec<&str> = said.lines().filter(|line| line.contains("agent")).collect();
        assert_eq!(told.len(), 1, "one line, once; {ran}");
        assert!(told[0].contains("threads and panics"), "{ran}");
    }

    #[test]
    fn processes_are_found_all_the_same() {
        let ran = partest(FIXTURE).args("--no-agent -j1 daemon_left").run().exits(0);
        assert!(ran.stdout.contains("sleep 1000"), "{ran}");
        nothing_lives(&ran);
    }

    /// Of one test nobody else can have left it.
    #[test]
    fn of_one_test_it_is_known_who_left_it() {
        for way in ["--no-agent -j1 stdio_null_left", "--no-agent --isolate -j2 stdio_null"] {
            let ran = ran(&format!("{way} --leaks deny")).exits(102);
            let leak = &ran.test("leaves_things_behind::processes::stdio_null_left")["leaks"][0];
            assert_eq!((&leak["kind"], &leak["what"]), (&"process".into(), &"sleep 1000".into()));
            assert_eq!(ran.finished()["leaks"], 1, "{ran}");
        }
    }

    #[test]
    fn of_several_their_unit_is_told_and_denied() {
        let ran = ran("--no-agent -j1 --policy unit --leaks deny stdio_null").exits(102);
        all_passed(&ran);
        let later = ran.events().into_iter().find(|event| event["event"] == "left-behind").unwrap();
        assert_eq!(later["unit"], "leaves_things_behind::processes", "{ran}");
        assert_eq!(later["leaks"][0]["what"], "sleep 1000", "{ran}");
        assert_eq!(ran.finished()["leaks"], 1, "{ran}");
        let people =
            partest(FIXTURE).args("--no-agent -j1 --policy unit stdio_null").run().exits(0);
        let shown = "  a test of leaves_things_behind::processes\n    process `sleep 1000`, pid ";
        assert!(people.stdout.contains(shown), "{people}");
        assert!(people.stdout.contains("2 passed, 1 leak"), "{people}");
    }

    const OWN_HARNESS: &str = "
fn main() {
    let program = std::env::args().next().unwrap();
    if std::env::args().any(|word| word == \"--list\") {
        return println!(\"leaves_one: test\");
    }
    assert!(!program.is_empty());
    std::process::Command::new(\"sleep\").arg(\"1000\").spawn().unwrap();
}
";

    /// A harness of one's own is judged by its exit code, and what it leaves is its own.
    #[test]
    fn a_harness_of_its_own_leaves_its_own() {
        let manifest = "[[test]]\nname = \"own\"\nharness = false\n";
        let package = Package::shop(manifest, "").with_debug_info();
        package.write("tests/own.rs", OWN_HARNESS);
        for flags in ["", "--no-agent", "-j1"] {
            let call = package.partest().json().args(flags);
            let ran = call.args("--leaks deny --test own").run().exits(102);
            let left: Vec<Left> = found(&ran).into_values().flatten().collect();
            let what = "sleep 1000".to_owned();
            assert_eq!(
                left,
                [Left { kind: "process".into(), what, place: String::new() }],
                "{ran}"
            );
            assert!(ran.tests().iter().any(|test| test["leaks"][0]["action"] == "deny"), "{ran}");
            nothing_lives(&ran);
        }
    }
}

/// Two tests of one process want the thread that is started once, whoever comes first.
/// A dependency starts the thread, by several calls of its own; a person looks at the line of
/// the workspace that wanted it.
#[test]
fn the_place_is_the_innermost_of_the_workspace() {
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
        [dependencies]\nsteam = { path = \"vendor/steam\" }\n\
        [workspace]\nexclude = [\"vendor\"]\n";
    let dependency = "[package]\nname = \"steam\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    let starts = "pub fn start() { run() }\n\
        fn run() { std::thread::spawn(std::thread::park); }\n";
    let tests = "#[cfg(test)]\nmod tests {\n\
        #[test] fn left() { super::engine() }\n\
        }\n\
        #[cfg(test)]\nfn engine() {\n    steam::start()\n}\n";
    let package = Package::new(&[
        ("Cargo.toml", manifest),
        ("src/lib.rs", tests),
        ("vendor/steam/Cargo.toml", dependency),
        ("vendor/steam/src/lib.rs", starts),
    ])
    .with_debug_info();
    let ran = package.partest().args("-j1 left").json().run().exits(0);
    assert_eq!(ran.test("shop::tests::left")["leaks"][0]["where"], "src/lib.rs:7", "{ran}");
}

#[test]
fn a_shared_thread_belongs_to_one_test() {
    let library = "
static JOBS: std::sync::LazyLock<std::sync::mpsc::Sender<()>> = std::sync::LazyLock::new(|| {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || receiver.iter().for_each(drop));
    sender
});
#[test] fn a() { JOBS.send(()).unwrap() }
#[test] fn b() { JOBS.send(()).unwrap() }
#[test] fn c() { JOBS.send(()).unwrap() }
";
    let package = Package::shop("", library).with_debug_info();
    for threads in [1, 3] {
        let way = format!("-j3 --policy unit -- --test-threads={threads}");
        let ran = package.partest().json().args(&way).run().exits(0);
        let all: Vec<Left> = found(&ran).into_values().flatten().collect();
        let left =
            Left { kind: "thread".into(), what: "unnamed".into(), place: "src/lib.rs:4".into() };
        assert_eq!(all, [left], "{ran}");
    }
}

/// However many threads it has, and whichever tests use it; by the names of its functions it is known
/// as one.
#[test]
fn a_pool_is_one_leak_of_each_test_and_one_of_the_run() {
    let library = r#"
#[cfg(test)]
mod rayon_core {
    pub mod registry {
        #[inline(never)]
        pub fn global_registry() {
            for _ in 0..2 { std::thread::spawn(|| loop { std::thread::park() }); }
        }
    }
}
#[test] fn a() { rayon_core::registry::global_registry() }
#[test] fn b() { rayon_core::registry::global_registry() }
"#;
    let package = Package::shop("", library).with_debug_info();
    let call = || package.partest().args("--isolate");
    let ran = call().json().run().exits(0);
    for id in ["shop::a", "shop::b"] {
        let leaks = ran.test(id)["leaks"].as_array().cloned().unwrap();
        assert_eq!(leaks.len(), 1, "{ran}");
        assert_eq!(
            (&leaks[0]["kind"], &leaks[0]["what"]),
            (&"pool".into(), &RAYON.into()),
            "{ran}"
        );
    }
    let ran = call().args("--html p.html").env("GITHUB_ACTIONS", "true").run().exits(0);
    assert!(ran.stdout.contains("used by 2 tests") && ran.stdout.contains(", 1 leak in "), "{ran}");
    assert_eq!(ran.stdout.matches(" leaked a pool::rayon's global pool").count(), 1, "{ran}");
    let page = std::fs::read_to_string(package.path("p.html")).unwrap();
    assert!(page.contains("<span class=\"count leak\"><b>1</b> leak</span>"), "{page}");
}

const RAYON: &str = "rayon's global pool";

/// Between the start of a shell and that of its child, another test starts a process: the child
/// is still the shell's.
#[test]
fn a_process_without_a_parent_belongs_to_the_test_of_its_parent() {
    let library = r#"
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Barrier;
static BARRIER: Barrier = Barrier::new(2);

#[test]
fn a_leaves_one() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; sleep 1000 &"]).stdin(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    BARRIER.wait();
    BARRIER.wait();
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(shell.wait().unwrap().success());
}

#[test]
fn b_leaves_none() {
    BARRIER.wait();
    assert!(Command::new("true").status().unwrap().success());
    BARRIER.wait();
}
"#;
    let package =
        Package::shop("[package.metadata.partest]\nthreads = 2\n", library).with_debug_info();
    let ran = package.partest().json().args("-j2 --policy unit").run().exits(0);
    let leaks = |test: &str| ran.test(test)["leaks"].as_array().unwrap().len();
    assert_eq!((leaks("shop::a_leaves_one"), leaks("shop::b_leaves_none")), (1, 0), "{ran}");
}

/// The examples of `tl.testing.thread`.
mod python {
    use super::*;

    fn example(filter: &str) -> Call {
        partest("threads_of_python").args("-j1 --policy unit").arg(filter)
    }

    const LEFT: &str = "\
leaks:
  threads_of_python::sample_test::leave_behind_a_thread
    thread `unnamed` started at src/lib.rs:PLACE, still alive when its process ended [warn: default]
  to allow one: leaks = { ignore = [{ thread = \"unnamed\" }] } under its module in Cargo.toml

2 passed, 1 leak, 6 filtered out in  s
";

    #[test]
    fn a_report_on_a_thread_left_behind() {
        let ran = example("sample_test").run().exits(0);
        assert_eq!(timeless(&ran.stdout), LEFT.replace("PLACE", "18"), "{ran}");
    }

    const LATE: &str = "\
failures:

FAILED threads_of_python::late::b_late
  unobserved panic in a thread: just for fun (src/lib.rs:PLACE)
  rerun: cargo partest -p threads_of_python --lib -- --exact late::b_late

leaks:
  threads_of_python::late::b_late
    unobserved panic `just for fun` at src/lib.rs:PLACE, in thread `unnamed` [deny: Cargo.toml:8]
  to allow one: leaks = { ignore = [{ panic = \"just for fun\" }] } under its module in Cargo.toml

1 failed, 2 passed, 1 leak (1 denied), 5 filtered out in  s
";

    #[test]
    fn a_late_failure_is_its_owners() {
        let ran = example("late").run().exits(100);
        assert_eq!(timeless(&ran.stdout), LATE.replace("PLACE", "43"), "{ran}");
    }

    #[test]
    fn failures_in_threads_are_collected() {
        let ran = example("collected").json().run().exits(100);
        assert_eq!(ran.ids("failed").len(), 2, "{ran}");
        let messages = set(&["just for fun", "attempt to divide by zero"]);
        assert_eq!(each(&ran, "collected", "what"), messages, "{ran}");
    }

    #[test]
    fn expected_ones_are_silenced() {
        let ran = example("silenced").json().run().exits(0);
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
    }
}

/// The busiest way to run the harmless tests: eight processes on whatever cores there are.
///
///     cargo test --test suite -- --ignored --nocapture under_load
#[test]
#[ignore = "takes some ten minutes"]
fn no_false_report_in_200_runs_under_load() {
    let harmless = only(labelled(), |test| test.ends_with("_harmless"));
    let mut told = Vec::new();
    for run in 0..200 {
        let way = ["--policy split", "--policy unit", "--isolate", ""][run % 4];
        let ran = ran(&format!("-j8 --leaks deny harmless {way}"));
        told.extend(
            deviations(&harmless, &found(&ran)).iter().map(|line| format!("{run}: {line}")),
        );
        all_passed(&ran);
    }
    assert!(told.is_empty(), "{} false reports:\n{}", told.len(), told.join("\n"));
}

/// Writes how long the start of a thread takes that ends at once, and its start and its join
/// together: medians, in nanoseconds.
const STARTS_THREADS: &str = r#"
use std::io::Write;
use std::time::Instant;

fn median(mut all: Vec<u128>) -> u128 {
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn starts_threads() {
    let one = |_| {
        let began = Instant::now();
        let thread = std::thread::spawn(|| ());
        let started = began.elapsed();
        thread.join().unwrap();
        (started.as_nanos(), began.elapsed().as_nanos())
    };
    let (started, joined): (Vec<_>, Vec<_>) = (0..5_000).map(one).unzip();
    let log = std::env::var("FIXTURE_LOG").unwrap() + "/medians";
    let mut log = std::fs::File::create(log).unwrap();
    writeln!(log, "{}\n{}", median(started), median(joined)).unwrap();
}
"#;

/// What the agent adds to the start of a thread, whose stack it records, in a debug build:
/// less than 20 µs. Nothing is asserted, since that is the machine's to say.
///
///     cargo test --test suite -- --ignored --nocapture price_of_a_thread
#[test]
#[ignore = "measures, and asserts nothing"]
fn price_of_a_thread() {
    let package = Package::shop("", STARTS_THREADS).with_debug_info();
    let medians = |way: &str| -> [i64; 2] {
        let ran = package.partest().args("-j1").args(way).run().exits(0);
        let numbers = ran.log("medians").into_iter().map(|line| line.parse().unwrap());
        numbers.collect::<Vec<_>>().try_into().unwrap()
    };
    let machine = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = machine.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().unwrap();
    println!(
        "{cores} cores, {}, Linux {}",
        model.trim_start_matches(['\t', ' ', ':']),
        kernel.trim()
    );
    // Side by side, so that what else the machine does weighs on both.
    let rounds: Vec<_> = (0..9).map(|_| (medians(""), medians("--no-agent"))).collect();
    for (at, what) in ["start", "start and join"].into_iter().enumerate() {
        let middle = |of: fn(i64, i64) -> i64| {
            let all = rounds.iter().map(|(with, without)| of(with[at], without[at]));
            let mut all: Vec<i64> = all.collect();
            all.sort_unstable();
            all[all.len() / 2] as f64 / 1000.0
        };
        let with = middle(|with, _| with);
        let without = middle(|_, without| without);
        let price = middle(|with, without| with - without);
        println!("{what}: {with:.1} µs with the agent, {without:.1} µs without: {price:+.1} µs");
    }
}

mod recycling {
    use super::*;

    const LIBRARY: &str = r#"
#[cfg(test)]
mod tests {
    fn log(of: &str) -> std::path::PathBuf {
        std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(of)
    }
    fn note(test: &str) {
        std::fs::write(log(test), format!("{}\n", std::process::id())).unwrap();
    }
    /// In the process of this test, it lasts as long as that.
    fn lasts_after(test: &str) {
        let is_in_its_process = std::fs::read_to_string(log(test)).unwrap() == format!("{}\n", std::process::id());
        while is_in_its_process { std::thread::park() }
    }
    #[test] fn a_leaves_a_thread() {
        note("a");
        std::thread::spawn(|| loop { std::thread::park() });
    }
    #[test] fn b_lasts() {
        lasts_after("a");
        note("b");
    }
    #[test] fn c_leaves_a_process() {
        note("c");
        std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    }
    #[test] fn d_lasts() {
        lasts_after("c");
        note("d");
    }
}
"#;

    #[test]
    fn what_is_still_there_after_its_linger_is_enough_for_a_fresh_process() {
        let unit =
            "[package.metadata.partest]\npolicy = \"unit\"\nthreads = 1\nrecycle = \"on-leak\"\n";
        let package = Package::shop(unit, LIBRARY);
        let ran = package.partest().json().run().exits(0);
        assert_eq!(ran.finished()["leaks"], 2, "{ran}");
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|test| ran.log(test));
        assert!(a != b && b == c && c != d, "{a:?} {b:?} {c:?} {d:?} {ran}");
        let plan = package.partest().args("plan").run().exits(0);
        assert!(plan.stdout.contains("fresh process after a leak"), "{plan}");
    }
}

/// The parent of an orphan is the runner, which does for it what init does under `cargo test`.
#[test]
fn an_orphan_that_has_ended_is_gone_while_its_test_runs() {
    let library = r#"
        #[test]
        fn waits_for_the_end_of_an_orphan() {
            let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
            let mut shell = std::process::Command::new("sh");
            let said = shell.args(["-c", script]).output().unwrap().stdout;
            let orphan = String::from_utf8(said).unwrap().trim().to_owned();
            let is_there = || std::path::Path::new("/proc").join(&orphan).exists();
            assert!(is_there());
            std::process::Command::new("kill").arg(&orphan).status().unwrap();
            while is_there() {
                std::thread::yield_now();
            }
        }
    "#;
    let package = Package::shop("", library);
    for way in ["-j2", "-j2 --no-agent", "-j2 --isolate"] {
        let ran = package.partest().args(way).json().run().exits(0);
        assert_eq!(ran.finished()["leaks"], 0, "{ran}");
    }
}
