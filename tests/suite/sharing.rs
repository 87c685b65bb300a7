//! Tests of different processes that use the same files, ports and sockets: who got into whose way
//! is told by name, and from the next run on they are kept apart.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::fixture::{Call, Package, Ran, text};
use tempfile::TempDir;

/// What the two binaries of the package have in common. Wherever two tests meet, one waits for a
/// file of the other, so that they collide in every first run. In later runs, and when a test runs
/// again by itself, the files are there, and nobody waits.
const MEETING: &str = r#"
#![allow(dead_code)]
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Once;

unsafe extern "C" { fn flock(descriptor: i32, operation: i32) -> i32; }

fn at(name: &str) -> PathBuf { PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join(name) }
fn port(offset: u16) -> u16 { std::env::var("PORT").unwrap().parse::<u16>().unwrap() + offset }
/// Says that a point is reached.
fn tell(what: &str) { fs::create_dir(at(what)).or_else(|e| at(what).is_dir().then_some(()).ok_or(e)).unwrap() }
fn was_told(what: &str) -> bool { at(what).exists() }
fn wait(what: &str) {
    while !was_told(what) { std::thread::sleep(std::time::Duration::from_millis(1)) }
}
/// Whether this is the first time here.
fn first(what: &str) -> bool {
    let is_first = !was_told(what);
    tell(what);
    is_first
}
/// What both do that harms nobody.
fn harmless() {
    fs::create_dir_all(at("common/directory")).unwrap();
    let mut log = OpenOptions::new().append(true).create(true).open(at("common.log")).unwrap();
    log.write_all(b"line\n").unwrap();
    assert_eq!(fs::read_to_string(at("given")).unwrap(), "given");
    let _any = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::write(at(&format!("common/of-{}", std::process::id())), "").unwrap();
    let _ = fs::remove_file(at("nobody-has-this"));
    let lock = OpenOptions::new().append(true).create(true).open(at("lock")).unwrap();
    unsafe { flock(lock.as_raw_fd(), 2) };
    fs::write(at("under-lock"), "locked").unwrap();
    assert_eq!(fs::read_to_string(at("under-lock")).unwrap(), "locked");
}
"#;

const LEFT: &str = r#"
#[test] fn a_directory_is_removed() {
    fs::create_dir_all(at("removed")).unwrap();
    fs::write(at("removed/data"), "left").unwrap();
    tell("a-left"); wait("a-right");
    fs::read(at("removed/data")).unwrap();
}
#[test] fn b_file_is_removed() {
    fs::write(at("gone"), "left").unwrap();
    tell("b-left"); wait("b-right");
    fs::read(at("gone")).unwrap();
}
#[test] fn c_file_is_truncated() {
    fs::write(at("cut"), "left").unwrap();
    tell("c-left"); wait("c-right");
    assert_eq!(fs::read_to_string(at("cut")).unwrap(), "left");
}
#[test] fn d_relative_path_is_written() {
    fs::write("./here/../d.txt", "left").unwrap();
    tell("d-left"); wait("d-right");
    assert_eq!(fs::read_to_string("d.txt").unwrap(), "left");
}
#[test] fn e_file_is_renamed() {
    fs::write(at("old"), "left").unwrap();
    tell("e-left"); wait("e-right");
    fs::read(at("old")).unwrap();
}
#[test] fn f_file_is_created() {
    tell("f-left"); wait("f-right");
    if !first("f-again") { fs::remove_file(at("new")).unwrap(); }
    File::create_new(at("new")).unwrap();
}
#[test] fn g_port_is_bound() {
    tell("g-left"); wait("g-right");
    let bound = TcpListener::bind(("127.0.0.1", port(0)));
    tell("g-done");
    bound.unwrap();
}
#[test] fn h_socket_is_bound() {
    tell("h-left"); wait("h-right");
    if !first("h-again") { fs::remove_file(at("socket")).unwrap(); }
    UnixListener::bind(at("socket")).unwrap();
}
#[test] fn i_datagram_port_is_bound() {
    tell("i-left"); wait("i-right");
    let bound = UdpSocket::bind(("127.0.0.1", port(0)));
    tell("i-done");
    bound.unwrap();
}
#[test] fn j_file_is_written() {
    let mut file = OpenOptions::new().write(true).create(true).open(at("overwritten")).unwrap();
    file.write_all(b"left").unwrap();
    tell("j-left"); wait("j-right");
    assert_eq!(fs::read_to_string(at("overwritten")).unwrap(), "left");
}
#[test] fn k_directory_is_created() {
    tell("k-left"); wait("k-right");
    if !first("k-again") { fs::remove_dir(at("made")).unwrap(); }
    fs::create_dir(at("made")).unwrap();
}
/// Sets up what all tests of this process use, and ends before the other process comes.
static SET_UP: Once = Once::new();
fn set_up() { SET_UP.call_once(|| fs::create_dir_all(at("set-up")).unwrap()) }
#[test] fn l1_sets_up() {
    set_up();
    tell("l-left"); wait("l-right");
}
#[test] fn l2_uses_what_was_set_up() {
    set_up();
    File::create(at("set-up/mine")).unwrap();
}
#[test] fn m_fails_by_itself() {
    harmless();
    tell("m-left"); wait("m-right");
    panic!("as always");
}
#[test] fn n_other_address_is_bound() {
    let _own = TcpListener::bind(("127.0.0.1", port(1))).unwrap();
    tell("n-left"); wait("n-right");
}
"#;

const RIGHT: &str = r#"
#[test] fn a_removes_directory() {
    wait("a-left"); let _ = fs::remove_dir_all(at("removed")); tell("a-right");
}
#[test] fn b_removes_file() { wait("b-left"); let _ = fs::remove_file(at("gone")); tell("b-right"); }
#[test] fn c_truncates_file() { wait("c-left"); File::create(at("cut")).unwrap(); tell("c-right"); }
#[test] fn d_writes_relative_path() {
    wait("d-left"); fs::write("d.txt", "right").unwrap(); tell("d-right");
}
#[test] fn e_renames_file() {
    wait("e-left"); let _ = fs::rename(at("old"), at("renamed")); tell("e-right");
}
#[test] fn f_creates_file() { wait("f-left"); let _ = File::create_new(at("new")); tell("f-right"); }
#[test] fn g_binds_port() {
    wait("g-left");
    let _bound = TcpListener::bind(("0.0.0.0", port(0))).unwrap();
    tell("g-right"); wait("g-done");
}
#[test] fn h_binds_socket() { wait("h-left"); let _ = UnixListener::bind(at("socket")); tell("h-right"); }
#[test] fn i_binds_datagram_port() {
    wait("i-left");
    let _bound = UdpSocket::bind(("127.0.0.1", port(0))).unwrap();
    tell("i-right"); wait("i-done");
}
#[test] fn j_writes_file() {
    wait("j-left");
    OpenOptions::new().write(true).open(at("overwritten")).unwrap().write_all(b"ri").unwrap();
    tell("j-right");
}
#[test] fn k_creates_directory() { wait("k-left"); let _ = fs::create_dir(at("made")); tell("k-right"); }
#[test] fn l1_clears() { wait("l-left"); let _ = fs::remove_dir_all(at("set-up")); }
#[test] fn l2_comes_after_that() { tell("l-right"); }
#[test] fn m_harms_nobody() { harmless(); wait("m-left"); harmless(); tell("m-right"); }
#[test] fn n_binds_other_address() {
    wait("n-left");
    let _own = TcpListener::bind(("127.0.0.2", port(1))).unwrap();
    tell("n-right");
}
"#;

/// A package of two units that run side by side, one test after the other, and a directory that its
/// runs have in common.
struct Two {
    package: Package,
    common: TempDir,
}

const UNITS: &str = r#"
[package]
name = "two"
version = "0.0.0"
edition = "2024"
[workspace]
[package.metadata.partest]
policy = "unit"
threads = 1
"#;

impl Two {
    fn new(left: &str, right: &str) -> Two {
        let package = Package::new(&[
            ("Cargo.toml", UNITS),
            ("tests/left.rs", &(MEETING.to_owned() + left)),
            ("tests/right.rs", &(MEETING.to_owned() + right)),
            ("here/empty", ""),
        ]);
        let common = TempDir::new().unwrap();
        std::fs::write(common.path().join("given"), "given").unwrap();
        Two { package, common }
    }

    fn call(&self, words: &str) -> Call {
        let call = self.package.partest().env("FIXTURE_LOG", self.common.path());
        call.env("PORT", free_port(self.common.path()).to_string()).args(words)
    }

    /// A thing as it is told, from what the package's tests call it.
    fn thing(&self, name: &str) -> String {
        match name.strip_prefix("port ") {
            Some(protocol) => format!("{protocol} port {}", free_port(self.common.path())),
            None if name == "d.txt" => shown(&self.package.path("d.txt")),
            None => shown(&self.common.path().join(name)),
        }
    }
}

fn shown(path: &Path) -> String {
    let parent = std::fs::canonicalize(path.parent().unwrap()).unwrap();
    parent.join(path.file_name().unwrap()).to_string_lossy().into_owned()
}

/// A port that this test program alone uses, the same for every run in a directory: below those
/// that the kernel gives away.
fn free_port(directory: &Path) -> u16 {
    let file = directory.join("port");
    if let Ok(port) = std::fs::read_to_string(&file) {
        return port.parse().unwrap();
    }
    let is_free = |port: &u16| {
        (*port..port + 2).all(|port| {
            std::net::TcpListener::bind(("0.0.0.0", port)).is_ok()
                && std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok()
        })
    };
    let first = 15_000 + (std::process::id() % 5_000) as u16 * 2;
    let port = (first..32_000).step_by(2).find(is_free).unwrap();
    std::fs::write(file, port.to_string()).unwrap();
    port
}

/// What failed beside what, because of which thing, and what was done to it.
const INTERFERENCES: [(&str, &str, &str, &str); 12] = [
    ("a_directory_is_removed", "a_removes_directory", "removed", "removed"),
    ("b_file_is_removed", "b_removes_file", "gone", "removed"),
    ("c_file_is_truncated", "c_truncates_file", "cut", "truncated"),
    ("d_relative_path_is_written", "d_writes_relative_path", "d.txt", "truncated"),
    ("e_file_is_renamed", "e_renames_file", "old", "removed"),
    ("f_file_is_created", "f_creates_file", "new", "created"),
    ("g_port_is_bound", "g_binds_port", "port TCP", "bound"),
    ("h_socket_is_bound", "h_binds_socket", "socket", "bound"),
    ("i_datagram_port_is_bound", "i_binds_datagram_port", "port UDP", "bound"),
    ("j_file_is_written", "j_writes_file", "overwritten", "written"),
    ("k_directory_is_created", "k_creates_directory", "made", "created"),
    ("l2_uses_what_was_set_up", "l1_clears", "set-up", "removed"),
];

type Named = (String, String, String);

fn interferences(ran: &Ran) -> BTreeMap<String, Named> {
    let tests = ran.tests().into_iter().filter(|test| !test["interfered"].is_null());
    let named = |test: serde_json::Value| {
        let found = &test["interfered"];
        let named = (text(&found["by"]), text(&found["thing"]), text(&found["kind"]));
        (text(&test["id"]), named)
    };
    tests.map(named).collect()
}

fn learnt(ran: &Ran) -> BTreeSet<String> {
    let events = ran.events().into_iter().filter(|event| event["event"] == "locks-learnt");
    let things = events.flat_map(|event| event["locks"].as_array().unwrap().clone());
    things.map(|lock| text(&lock["thing"])).collect()
}

#[test]
fn every_interference_is_named_and_none_is_invented() {
    let two = Two::new(LEFT, RIGHT);
    let ran = two.call("-j2").json().run().exits(100);
    let expected = INTERFERENCES.map(|(test, by, thing, kind)| {
        let named = (format!("right::{by}"), two.thing(thing), kind.to_owned());
        (format!("left::{test}"), named)
    });
    assert_eq!(interferences(&ran), BTreeMap::from(expected), "{ran}");
    assert_eq!(ran.ids("failed"), ["left::m_fails_by_itself"], "{ran}");
    assert_eq!(ran.test("left::m_fails_by_itself")["attempt"], 1, "{ran}");
    assert_eq!(ran.finished()["interfered"], INTERFERENCES.len(), "{ran}");
    let things: BTreeSet<String> =
        INTERFERENCES.iter().map(|(_, _, thing, _)| two.thing(thing)).collect();
    assert_eq!(learnt(&ran), things, "{ran}");

    // From now on they are kept apart, and all is known.
    let plan = two.call("plan -j2").run().exits(0);
    assert_eq!(plan.stdout.matches("TCP port").count(), 2, "{plan}");
    assert!(plan.stdout.contains(&format!("locks {} (learnt)", two.thing("gone"))), "{plan}");
    let ran = two.call("-j2").json().run().exits(100);
    assert_eq!(interferences(&ran), BTreeMap::new(), "{ran}");
    assert_eq!(
        (learnt(&ran), ran.finished()["failed"].clone()),
        (BTreeSet::new(), 1.into()),
        "{ran}"
    );

    two.package.write("Cargo.toml", &(UNITS.to_owned() + "learn = false\n"));
    let plan = two.call("plan -j2").run().exits(0);
    assert!(!plan.stdout.contains("learnt"), "{plan}");
}

/// A test that fails in the first attempt if its file is gone, in the second one always, and then
/// passes.
const FLICKERS: &str = r#"
#[test] fn flickers() {
    fs::write(at("gone"), "left").unwrap();
    tell("b-left"); wait("b-right");
    let read = fs::read(at("gone"));
    if first("again") { read.unwrap(); }
    assert!(!first("and-again"), "not yet");
}
"#;
const REMOVES: &str = r#"
#[test] fn removes() { wait("b-left"); let _ = fs::remove_file(at("gone")); tell("b-right"); }
"#;

/// The second attempt is the one by itself.
#[test]
fn a_test_that_fails_by_itself_too_proves_nothing_when_it_passes_later() {
    let two = Two::new(FLICKERS, REMOVES);
    let ran = two.call("-j2 --retries 3").json().run().exits(0);
    let test = ran.test("left::flickers");
    assert_eq!((&test["outcome"], &test["attempt"]), (&"passed".into(), &3.into()), "{ran}");
    assert_eq!(interferences(&ran), BTreeMap::new(), "{ran}");
    let finished = ran.finished();
    assert_eq!((&finished["interfered"], &finished["flaky"]), (&0.into(), &1.into()), "{ran}");
}

/// Two tests that would break if they met.
const CLEARS: &str = r#"
#[test] fn clears() {
    if std::env::var_os("CHANGED").is_none() {
        let _ = fs::remove_dir_all(at("scratch"));
        fs::create_dir(at("scratch")).unwrap();
    }
}
"#;

#[test]
fn what_would_break_is_kept_apart_before_it_does_and_until_it_no_longer_would() {
    let two = Two::new(CLEARS, CLEARS);
    // One after the other, so that they do not meet.
    let ran = two.call("-j1").json().run().exits(0);
    assert_eq!(learnt(&ran), BTreeSet::from([two.thing("scratch")]), "{ran}");
    let ran = two.call("-j2").run().exits(0);
    assert!(!ran.stdout.contains("kept apart"), "it has been told: {ran}");
    // Nothing is known of what does not run.
    two.call("-j2 --test left").env("CHANGED", "1").run().exits(0);
    assert_eq!(two.call("plan").run().exits(0).stdout.matches("(learnt)").count(), 2);
    // Without the agent nobody sees what they use.
    two.call("-j2 --no-agent").env("CHANGED", "1").run().exits(0);
    assert_eq!(two.call("plan").run().exits(0).stdout.matches("(learnt)").count(), 2);
    two.call("-j2").env("CHANGED", "1").run().exits(0);
    assert!(!two.call("plan").run().exits(0).stdout.contains("(learnt)"));
}

/// Each process counts its directories from 0 on.
const COUNTS: &str = r#"
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
fn works() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let path = format!("case-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    fs::write(format!("{path}/file"), "").unwrap();
}
#[test] fn a() { works() }
#[test] fn b() { works() }
#[test] fn c() { works() }
#[test] fn d() { works() }
#[test] fn e() { works() }
#[test] fn f() { works() }
"#;

#[test]
fn processes_that_count_names_for_themselves_are_kept_apart_whichever_test_has_which_number() {
    let package = Package::shop("", "");
    package.write("tests/counts.rs", COUNTS);
    let declare = |keys: &str| {
        let manifest = "[package]\nname = \"shop\"\nedition = \"2024\"\n[workspace]\n";
        let modules = format!("[package.metadata.partest.modules]\n\"counts\" = {{ {keys} }}\n");
        package.write("Cargo.toml", &(manifest.to_owned() + &modules));
    };
    let call = |words: &str| package.partest().args(words).args("--test counts");
    let is_learnt = || {
        let plan = call("plan -j1").run().exits(0);
        plan.stdout.contains("/case-0 (learnt)") && !plan.stdout.contains("/case-1")
    };
    declare("policy = \"split\", recycle = 3");
    let ran = call("-j1").run().exits(0);
    let told = format!("processes of counts ({} and the like)", shown(&package.path("case-0")));
    assert!(ran.stdout.contains(&told), "{ran}");
    assert!(is_learnt(), "{ran}");
    // Others have the numbers in the next run.
    let ran = call("-j1 --shuffle=3").run().exits(0);
    assert!(!ran.stdout.contains("kept apart"), "it has been told: {ran}");
    assert!(is_learnt(), "{ran}");
    // In one process no two have the same.
    declare("policy = \"unit\"");
    let ran = call("-j1").run().exits(0);
    declare("policy = \"split\", recycle = 3");
    assert!(is_learnt(), "{ran}");
    let by_process = "case-of-{}-{}\", std::process::id()";
    package.write("tests/counts.rs", &COUNTS.replace("case-{}\"", by_process));
    let ran = call("-j1 a b c d").run().exits(0);
    assert!(is_learnt(), "others may do it: {ran}");
    let ran = call("-j1").run().exits(0);
    assert!(!is_learnt(), "they have met without harm: {ran}");
}

#[test]
fn people_are_told_who_did_what_and_how_to_declare_it() {
    let left = LEFT.split_once("#[test] fn b_").unwrap().0;
    let right = RIGHT.split_once("#[test] fn b_").unwrap().0;
    let two = Two::new(left, right);
    let ran = two.call("-j2").run().exits(0);
    let thing = two.thing("removed");
    let lines = [
        format!(
            "left::a_directory_is_removed: failed beside right::a_removes_directory, passed \
             alone: {thing} was removed while both used it"
        ),
        r#""left" = { locks = ["removed"] }, "right" = { locks = ["removed"] }"#.to_owned(),
        format!("left::a_directory_is_removed and right::a_removes_directory ({thing})"),
        "2 passed, 1 interfered with in".to_owned(),
    ];
    for line in lines {
        assert!(ran.stdout.contains(&line), "{line}\n{ran}");
    }
    // What is declared need not be learnt.
    let two = Two::new(left, right);
    let locks = "[package.metadata.partest.modules]\nleft = { locks = [\"removed\"] }\nright = { locks = [\"removed\"] }\n";
    two.package.write("Cargo.toml", &(UNITS.to_owned() + locks));
    for point in ["a-left", "a-right"] {
        std::fs::create_dir(two.common.path().join(point)).unwrap();
    }
    let ran = two.call("-j2").json().run().exits(0);
    assert_eq!((learnt(&ran), interferences(&ran)), Default::default(), "{ran}");
}

#[test]
fn every_report_tells_who_did_what() {
    let package = Package::two_that_meet().with_debug_info();
    package.write("summary.md", "");
    let call = package.partest().args("-j2 --html page.html --markdown m.md");
    let call = call.env("GITHUB_ACTIONS", "true");
    let ran = call.env("GITHUB_STEP_SUMMARY", package.path("summary.md")).run().exits(0);
    let file = shown(&ran.log_directory().join("file"));
    let why = format!("failed beside other::removes, passed alone: {file} was removed while");
    let lock = r#""one" = { locks = ["file"] }, "other" = { locks = ["file"] }"#;
    let read = |name: &str| std::fs::read_to_string(package.path(name)).unwrap();

    let text = read("m.md");
    let line = package.line_of("tests/one.rs", "at(\"file\")).unwrap()");
    for part in [
        "## Tests passed\n\n**2 passed, 1 interfered with in ".to_owned(),
        format!(
            "### Interfered with\n\n- `one::reads`: failed beside `other::removes`, passed alone: \
             `{file}` was removed while both used it\n  - `tests/one.rs:{line}:"
        ),
        format!("  - `to declare it below [package.metadata.partest.modules]: {lock}`\n"),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
    assert!(!text.contains("Flaky") && read("summary.md") == text, "{text}");

    let page = read("page.html");
    for part in [
        "<span class=\"count interfered-with\"><b>1</b> interfered with</span>".to_owned(),
        "<span class=\"mark\">interfered with</span>".to_owned(),
        format!("<pre>  {why}"),
        lock.replace('"', "&quot;"),
        // For the script, at the test in the list.
        format!("\"reasons\":{{\"0\":\"{why}"),
    ] {
        assert!(page.contains(&part), "{part}\n{page}");
    }

    let why = why.replace("::", "%3A%3A").replace(", ", "%2C ").replace(": ", "%3A ");
    // From the top of the repository, if the package is in one.
    let place = format!("tests/one.rs,line={line},");
    let is_it = |line: &&str| line.starts_with("::warning file=") && line.contains(&place);
    let annotation = ran.stdout.lines().find(is_it).unwrap_or_else(|| panic!("{place}\n{ran}"));
    assert!(annotation.contains(&format!(",title=one%3A%3Areads {why}")), "{annotation}");
    assert!(annotation.contains("NotFound") && annotation.ends_with(lock), "{annotation}");
}
