//! What tests leave changed in their process is told by name, with `--watch-state`.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::fixture::{Call, Package, Ran};
use serde_json::Value;

const LIBRARY: &str = include_str!("state/lib.rs");

/// What each test has left changed, as `kind name: before -> after`.
fn changes(ran: &Ran) -> BTreeMap<String, BTreeSet<String>> {
    let lines = ran.events().into_iter().filter(|line| line["event"] == "state-changed");
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let change = |change: &Value| {
        let poisoned = if change["poisoned"] == true { " poisoned" } else { "" };
        let (kind, name) = (text(&change["kind"]), change["name"].as_str().unwrap_or_default());
        let (before, after) = (text(&change["before"]), text(&change["after"]));
        format!("{kind} {name}: {before} -> {after}{poisoned}")
    };
    let changes = |line: &Value| line["changes"].as_array().unwrap().iter().map(change).collect();
    lines.map(|line| (text(&line["id"]), changes(&line))).collect()
}

/// The package, and what it leaves changed in each run with these words; built once.
fn package() -> &'static Package {
    static PACKAGE: OnceLock<Package> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let package = Package::shop("[dependencies]\ntill = { path = \"till\" }\n", LIBRARY)
            .with_debug_info();
        package.write("till/Cargo.toml", "[package]\nname = \"till\"\nedition = \"2024\"\n");
        package.write(
            "till/src/lib.rs",
            "use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};\n\
             /// Knows by a number whether it is set, as `once_cell` does.\n\
             pub struct OnceCell { state: AtomicUsize, value: AtomicUsize }\n\
             impl OnceCell {\n\
                 pub const fn new() -> OnceCell {\n\
                     OnceCell { state: AtomicUsize::new(0), value: AtomicUsize::new(0) }\n\
                 }\n\
                 pub fn set(&self, value: usize) {\n\
                     self.value.store(value, SeqCst);\n\
                     self.state.store(2, SeqCst);\n\
                 }\n\
             }\n\
             static OPEN: AtomicU8 = AtomicU8::new(0);\n\
             pub fn open() { OPEN.fetch_add(1, SeqCst); }\n\
             pub fn close() { OPEN.fetch_sub(1, SeqCst); }\n",
        );
        package
    })
}

fn call(words: &str) -> Call {
    let given = package().partest().env("SHOP_GIVEN", "given").env("SHOP_SECRET", "secret");
    given.args("--lib --policy unit").args(words)
}

fn ran(words: &str) -> Ran {
    call(words).run()
}

/// What is expected, in the same form.
fn expected(all: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    all.iter().map(|(id, changes)| (format!("shop::{id}"), lines(changes))).collect()
}

#[test]
fn every_changed_static_is_named_with_its_test_and_none_else() {
    let found = changes(&ran("--watch-state statics:: --message-format json").exits(0));
    assert_eq!(found, with_types(CHANGED_STATICS));
}

/// Then numbers tell what is set once, and what is poisoned.
#[test]
fn without_types_what_the_standard_library_sets_once_is_still_left_out() {
    let call = call("--watch-state statics:: --message-format json");
    let mut found = changes(&call.env("CARGO_PROFILE_TEST_DEBUG", "0").run().exits(0));
    let mut expected = expected(CHANGED_STATICS);
    // Nobody can know that.
    for id in ["once_cell_of_a_crate_is_set", "countdown_ends"] {
        let id = format!("shop::statics::{id}");
        found.remove(&id);
        expected.remove(&id);
    }
    assert_eq!(found, expected);
}

/// Booleans, and the poison of a `RwLock`.
fn with_types(all: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let mut expected = expected(all);
    let mut replace = |id: &str, line: &str| {
        expected.insert(format!("shop::statics::{id}"), [line.to_owned()].into());
    };
    replace("flag_changes", "static shop::statics::FLAG: true -> false");
    replace("rw_lock_is_poisoned", "static shop::statics::GUARDED: ? -> ? poisoned");
    expected
}

const CHANGED_STATICS: &[(&str, &[&str])] = &[
    ("statics::atomic_changes", &["static shop::statics::COUNT: 0 -> 1"]),
    ("statics::countdown_ends", &["static shop::statics::LEFT: 3 -> 0"]),
    ("statics::flag_changes", &["static shop::statics::FLAG: 1 -> 0"]),
    ("statics::lock_in_a_lazy_lock_b_is_filled", &["static shop::statics::REGISTRY: ? -> ?"]),
    ("statics::mutable_changes", &["static shop::statics::LEVEL: -1 -> 2"]),
    ("statics::mutex_is_poisoned", &["static shop::statics::POISONED: ? -> ? poisoned"]),
    ("statics::number_in_a_mutex_changes", &["static shop::statics::TOTAL: 3 -> 5"]),
    ("statics::rw_lock_is_poisoned", &["static shop::statics::GUARDED: ? -> ?"]),
    ("statics::static_in_a_function_changes", &["static shop::visits::VISITS: 0 -> 1"]),
    ("statics::static_of_a_dependency_changes", &["static till::OPEN: 0 -> 1"]),
    ("statics::table_changes_far_behind", &["static shop::statics::TABLE: ? -> ?"]),
    ("statics::text_changes", &["static shop::statics::TEXT: ? -> ?"]),
    ("statics::vector_b_grows", &["static shop::statics::LOG: ? -> ?"]),
];

#[test]
fn changed_variables_and_directories_are_named_and_no_value_of_the_users_is_shown() {
    let ran = ran("--watch-state surroundings:: --message-format json").exits(0);
    let expected = expected(&[
        ("surroundings::directory_changes", &["/"]),
        ("surroundings::variable_is_removed", &["variable SHOP_GIVEN: ? -> not set"]),
        ("surroundings::variable_is_replaced", &["variable SHOP_SECRET: ? -> \"other\""]),
        ("surroundings::variable_is_set", &["variable SHOP_DOOR: not set -> \"open\""]),
    ]);
    let mut found = changes(&ran);
    let directory = found.get_mut("shop::surroundings::directory_changes").unwrap();
    let hide = |line: String| line.split_once(" -> ").map(|(_, after)| after.to_owned()).unwrap();
    *directory = std::mem::take(directory).into_iter().map(hide).collect();
    assert_eq!(found, expected);
    assert!(!ran.stdout.contains("secret"), "{ran}");
}

#[test]
fn what_else_of_the_process_has_changed_is_named_and_nothing_else() {
    let call = call("--watch-state process:: --message-format json");
    let found = changes(&call.prepared(with_known_state).run().exits(0));
    let descriptors = |text: &str| {
        let of_test = &found[&format!("shop::process::{text}")];
        let [change] = &of_test.iter().collect::<Vec<_>>()[..] else { panic!("{of_test:?}") };
        change.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(descriptors("descriptor_b_stays_open"), "not open -> /dev/zero");
    assert_eq!(descriptors("descriptor_c_is_a_socket"), "not open -> a socket");
    assert_eq!(descriptors("descriptor_d_was_there_and_is_closed"), "/dev/zero -> not open");
    let others = found.iter().filter(|(id, _)| !id.contains("descriptor"));
    let mut others: BTreeMap<_, _> =
        others.map(|(id, lines)| (id.clone(), lines.clone())).collect();
    // What the standard library has set has other names in other versions.
    let crash = others.get_mut("shop::process::handler_d_of_a_crash_changes").unwrap();
    let name = |line: String| {
        let (thing, change) = line.split_once(": std::").unwrap();
        format!("{thing} -> {}", change.split_once(" -> ").unwrap().1)
    };
    *crash = std::mem::take(crash).into_iter().map(name).collect();
    let expected = expected(&[
        (
            "process::handler_b_changes",
            &["signal-handler SIGUSR1: default -> shop::process::handles"],
        ),
        ("process::handler_d_of_a_crash_changes", &["signal-handler SIGSEGV -> ignored"]),
        ("process::limit_b_changes", &["resource-limit RLIMIT_CORE: 4096 of 8192 -> 0 of 8192"]),
        ("process::locale_b_changes", &["locale : C -> C.UTF-8"]),
        ("process::panic_hook_b_changes", &["panic-hook : ? -> ?"]),
        ("process::timer_b_changes", &["timer ITIMER_VIRTUAL: not armed -> armed"]),
        ("process::umask_b_changes", &["umask : 022 -> 027"]),
    ]);
    assert_eq!(others, expected);
    assert_eq!(found.len(), expected.len() + 3);
}

/// Whatever the machine has.
fn with_known_state() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit, umask};
    umask(rustix::fs::Mode::from_raw_mode(0o22));
    let limit = Rlimit { current: Some(4096), maximum: Some(8192) };
    Ok(setrlimit(Resource::Core, limit)?)
}

#[test]
fn the_report_lists_tests_with_what_they_have_changed() {
    let ran = ran("--watch-state statics::atomic statics::mutex").exits(0);
    let expected = "changed state:\n  shop::statics::atomic_changes\n    \
                    the static shop::statics::COUNT (0 → 1)\n  \
                    shop::statics::mutex_is_poisoned\n    \
                    the static shop::statics::POISONED (poisoned)\n";
    assert!(ran.stdout.contains(expected), "{ran}");
}

#[test]
fn the_stream_of_a_run_has_all_that_its_report_shows() {
    let words = "--watch-state statics:: surroundings::variable";
    let stream = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stream.path(), ran(&format!("{words} --message-format json")).stdout).unwrap();
    let merged = package().partest().args("merge").arg(stream.path()).run().exits(0);
    let list = |ran: &Ran| {
        let (_, list) = ran.stdout.split_once("changed state:\n").unwrap();
        list.split_once("\n\n").unwrap().0.to_owned()
    };
    assert_eq!(list(&merged), list(&ran(words).exits(0)));
}

#[test]
fn a_binary_that_is_not_watched_is_told() {
    let ran = ran("--watch-state statics::atomic --no-agent").exits(0);
    let warning = "warning: what tests of 1 binary leave changed was not watched";
    assert!(ran.stderr.contains(warning) && !ran.stdout.contains("changed state"), "{ran}");
}

#[test]
fn nothing_is_told_without_the_flag() {
    let ran = ran("statics:: surroundings:: --message-format json").exits(0);
    assert_eq!(changes(&ran), BTreeMap::new());
}

#[test]
fn a_failure_names_the_static_that_an_earlier_test_has_changed() {
    let ran = ran("--watch-state orders:: -- --include-ignored").exits(100);
    let opened = "note: in the same process, `orders::a_opens` had changed the static \
                  shop::orders::OPEN (0 → 2)\n";
    let other = "note: in the same process, `orders::b_changes_another` had changed the static \
                 shop::orders::OTHER (0 → 1)\n";
    // What the failed test uses itself comes first.
    let places = [opened, other].map(|note| ran.stdout.find(note.trim_end()));
    assert!(places[0].is_some() && places[0] < places[1], "{ran}");
}
