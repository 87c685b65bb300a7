use std::sync::Arc;

use super::*;
use crate::cargo::binary::Binary;
use crate::cli::cargo_config::CargoConfig;
use crate::cli::command_line;
use crate::config::diagnostic::Source;
use crate::config::flags::Flags;
use crate::config::policy::PackagePolicy;
use crate::config::schema::{Table, read};
use crate::discovery::statics::Static;
use crate::discovery::test_list::Test;
use crate::model::interference::InterferenceKind;
use crate::model::thing::Thing;
use crate::plan::history::Measurements;
use crate::sharing::learnt::LearntLocks;
use crate::sharing::lock::{Lock, LockUser, User};

fn settings() -> Settings {
    let args = command_line::parse(&["cargo-partest".into()]);
    let mut settings = Settings::new(args, CargoConfig::default());
    // A run within another has its number from outside.
    settings.may_overcommit = true;
    settings
}

/// `NODE(FORM)*TESTS` of every group.
fn grouped(names: &[&str], statics: &[(&str, &str)], modules: &str) -> Vec<String> {
    let show = |g: Group| format!("{}({:?})*{}", g.node, g.isolation, g.tests.len());
    groups(names, statics, modules).into_iter().map(show).collect()
}

fn groups(names: &[&str], statics: &[(&str, &str)], modules: &str) -> Vec<Group> {
    let history = History::default();
    groups_with(names, statics, modules, &settings(), &history)
}

fn groups_with(
    names: &[&str],
    statics: &[(&str, &str)],
    modules: &str,
    settings: &Settings,
    history: &History,
) -> Vec<Group> {
    let source = Arc::new(Source {
        path: "Cargo.toml".into(),
        text: format!("[package.metadata.partest.modules]\n{modules}\n"),
    });
    let mut diagnostics = Vec::new();
    let config = read(&source, Table::Package, Flags::none(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let package = PackagePolicy { config, ..PackagePolicy::default() };
    let policy = Policy { packages: vec![package], ..Policy::default() };
    let found =
        |(path, module): &(&str, &str)| Static { path: (*path).into(), module: (*module).into() };
    let tests = names.iter().map(|n| Test { name: (*n).into(), is_ignored: false }).collect();
    let statics = statics.iter().map(found).collect();
    let statics = Statics::Known { statics, has_barrier: false };
    let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
    let choices = vec![vec![Choice::Run; names.len()]];
    let inventory = Inventory { listings: [listing].into_iter().collect(), ..Inventory::default() };
    group(&inventory, 0, &choices, settings, &policy, history).groups
}

/// Whichever is listed first.
#[test]
fn a_unit_runs_as_few_tests_at_once_as_any_of_its_nodes_asks_for() {
    let of_unit = |modules: &str| {
        let modules = format!("\"web\" = \"unit\"\n{modules}");
        let groups = groups(&["cache::a", "db::a", "db::b"], &[], &modules);
        groups.iter().map(|group| (group.tests.len(), group.threads)).collect::<Vec<_>>()
    };
    for node in ["web::db", "web::cache"] {
        let of_node = of_unit(&format!("\"{node}\" = {{ threads = 1 }}"));
        assert_eq!(of_node, [(3, Threads::Exactly(1))], "{node}");
    }
    let of_both = of_unit("\"web::cache\" = { threads = 3 }\n\"web::db\" = { threads = 2 }");
    assert_eq!(of_both, [(3, Threads::Exactly(2))]);
    assert_eq!(of_unit(""), [(3, Threads::Auto)]);
}

#[test]
fn a_unit_is_recycled_whenever_one_of_its_nodes_asks_for_it() {
    for (first, second) in [("cache", "db"), ("db", "cache")] {
        let modules = format!(
            "\"web\" = {{ policy = \"unit\", recycle = 9 }}\n\
             \"web::{first}\" = {{ recycle = \"on-leak\" }}\n\
             \"web::{second}\" = {{ recycle = 5 }}"
        );
        let groups = groups(&["cache::a", "db::a", "db::b"], &[], &modules);
        let recycling: Vec<_> = groups.iter().map(|group| group.recycling).collect();
        let expected = Recycling { after: Some(5), on_failure: false, on_leak: true };
        assert_eq!(recycling, [expected], "{first}");
    }
}

#[test]
fn tests_that_exclude_each_other_do_so_in_one_process_too() {
    let threads = |modules: &str| {
        let groups = groups(&["db::a", "db::b"], &[], modules);
        groups.into_iter().map(|group| (group.tests.len(), group.threads)).collect::<Vec<_>>()
    };
    let one_by_one = [(2, Threads::Exactly(1))];
    assert_eq!(threads("\"web::db\" = { locks = [\"port\"] }"), one_by_one);
    assert_eq!(threads("\"web::db\" = { policy = \"unit\", locks = [\"port\"] }"), one_by_one);
    let a_reads = "\"web::db\" = { policy = \"unit\", locks = [\"port\"] }\n\
        \"web::db::a\" = { locks = { read = [\"port\"] } }";
    assert_eq!(threads(a_reads), one_by_one);
    let at_once = [(2, Threads::Auto)];
    assert_eq!(threads("\"web::db\" = { locks = { read = [\"port\"] } }"), at_once);
    let a_alone = "\"web::db\" = \"unit\"\n\"web::db::a\" = { locks = [\"port\"] }";
    assert_eq!(threads(a_alone), at_once, "nobody else wants it");
    let declared = "\"web::db\" = { locks = [\"port\"], threads = 4 }";
    assert_eq!(threads(declared), [(2, Threads::Exactly(4))], "who says so knows better");
}

/// What would break if it met would do so in any order.
#[test]
fn a_learnt_lock_holds_in_a_shuffled_order_too() {
    let user = |test: &str| LockUser {
        user: User { binary: Binary::example("web").key(), test: Some(test.to_owned()) },
        only_reads: false,
    };
    let lock = Lock {
        thing: Thing::path("/tmp/shop"),
        kind: InterferenceKind::Removed,
        is_proven: false,
        users: vec![user("db::a"), user("db::b")],
    };
    let learnt = LearntLocks::default().after(vec![lock.clone()], &|_| true, &|_| true);
    let history = History::of_locks(learnt);
    for shuffle in [None, Some(7)] {
        let settings = Settings { shuffle, ..settings() };
        let names = ["db::a", "db::b", "pure::c"];
        let groups = groups_with(&names, &[], "\"web\" = \"split\"", &settings, &history);
        let locked = groups.iter().filter(|group| group.locks.write == [lock.name()]);
        let locked: Vec<_> = locked.map(|group| (group.tests.len(), group.threads)).collect();
        assert_eq!(locked, [(2, Threads::Exactly(1))], "{shuffle:?}");
    }
}

/// A thread waits longer for libtest to hand it the next test than such a test takes.
#[test]
fn trivial_tests_get_more_slots_than_cores_unless_the_user_has_named_a_number() {
    let slots = |took: Duration, is_named: bool| {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..3_000).map(|at| format!("t{at:04}")).collect();
        let test = |name: &String| Test { name: name.clone(), is_ignored: false };
        let tests = names.iter().map(test).collect();
        let statics = Statics::Known { statics: vec![], has_barrier: false };
        let listing = Listing::example(Binary::example("web"), Dispatch::Batches, tests, statics);
        let inventory =
            Inventory { listings: [listing].into_iter().collect(), ..Inventory::default() };
        let mut measured = Measurements::default();
        for test in 0..names.len() {
            measured.record(TestId { listing: 0, test }, took, None, false);
        }
        assert_eq!(History::default().save(measured, dir.path(), &inventory), None);
        let history = History::load(dir.path(), &mut Vec::new());
        let choices = vec![vec![Choice::Run; names.len()]];
        let policy = Policy { packages: vec![PackagePolicy::default()], ..Policy::default() };
        let mut settings = settings();
        settings.slots = 2;
        settings.may_overcommit = !is_named;
        let grouped = group(&inventory, 0, &choices, &settings, &policy, &history);
        super::slots(&grouped.groups, false, &settings, 4)
    };
    let micros = Duration::from_micros;
    assert_eq!(slots(micros(5), false), Slots { count: 8, cores: Some(2), likely: 8 });
    assert_eq!(slots(micros(200), false), Slots::from(2), "its work fills the cores");
    assert_eq!(slots(micros(5), true), Slots::from(2), "to the letter");
}

const TESTS: [&str; 5] =
    ["cache::tests::a", "cache::tests::b", "db::tests::c", "db::tests::deep::d", "top"];

#[test]
fn without_statics_everything_may_part() {
    assert_eq!(grouped(&TESTS, &[], ""), ["web(Split)*5"]);
}

#[test]
fn a_static_binds_the_node_it_stands_in() {
    let table: [(&str, &[&str]); 6] = [
        ("web::cache::tests", &["web::cache::tests(Unit)*2", "web(Split)*3"]),
        ("web::db", &["web(Split)*3", "web::db(Unit)*2"]),
        ("web::db::tests::deep", &["web(Split)*4", "web::db::tests::deep(Unit)*1"]),
        ("web", &["web(Unit)*5"]),
        ("web::helper", &["web(Unit)*5"]),
        ("other::pool", &["web(Unit)*5"]),
    ];
    for (module, expected) in table {
        assert_eq!(grouped(&TESTS, &[("X", module)], ""), expected, "static in {module}");
    }
}

#[test]
fn an_outer_static_swallows_an_inner_one() {
    let statics = [("X", "web::db::tests::deep"), ("Y", "web::db")];
    assert_eq!(grouped(&TESTS, &statics, ""), ["web(Split)*3", "web::db(Unit)*2"]);
}

#[test]
fn a_key_beats_what_auto_reads() {
    let modules = "\"web::cache::tests\" = \"split\"\n\"web::db\" = \"unit\"";
    assert_eq!(
        grouped(&TESTS, &[("X", "web")], modules),
        ["web::cache::tests(Split)*2", "web::db(Unit)*2", "web(Unit)*1"]
    );
}

#[test]
fn a_nested_key_without_policy_does_not_tear_its_unit() {
    let modules = "\"web::db\" = \"unit\"\n\"web::db::tests::deep\" = { locks = [\"port\"], timeout = \"1s\" }";
    assert_eq!(grouped(&TESTS[2..4], &[], modules), ["web::db(Unit)*2"]);
}

#[test]
fn a_key_may_name_one_test() {
    let modules = "\"web::cache::tests::a\" = { policy = \"split\", isolate = true }";
    assert_eq!(
        grouped(&TESTS[..2], &[], modules),
        ["web::cache::tests::a(PerTest)*1", "web::cache::tests::b(Split)*1"]
    );
}

#[test]
fn groups_that_nobody_has_asked_for_share_a_process_while_all_of_it_is_short() {
    let joined = |took: Duration, declared: &str| {
        let mut declared = Some(declared).filter(|d| !d.is_empty());
        let mut group = |node: &str, isolation| Group {
            has_explicit_policy: declared.take_if(|declared| *declared == node).is_some(),
            node: node.into(),
            tests: vec![],
            ..crate::plan::schedule::tests::group(0, isolation, &[])
        };
        let mut groups = vec![
            group("other", Isolation::Split),
            group("web::cache", Isolation::Unit),
            group("web", Isolation::Split),
            group("web::db", Isolation::Unit),
        ];
        for (at, group) in groups.iter_mut().enumerate() {
            let tests = crate::plan::schedule::tests::group(0, Isolation::Split, &[Some(0)]).tests;
            let id = TestId { listing: 0, test: 9 - at };
            group.tests =
                tests.into_iter().map(|t| GroupTest { id, expected: Some(took), ..t }).collect();
        }
        coalesce(&mut groups, 1);
        let in_order = |group: &Group| group.tests.is_sorted_by_key(|test| test.id);
        assert!(groups.iter().all(in_order));
        // What would keep one of them in one process is not why they share it.
        let says_so = |group: &Group| group.why.contains("they share a process");
        assert!(groups.iter().all(|group| says_so(group) == (group.tests.len() > 1)));
        let show = |g: &Group| format!("{}({:?})*{}", g.node, g.isolation, g.tests.len());
        groups.iter().map(show).collect::<Vec<_>>()
    };
    let short = Duration::from_millis(10);
    assert_eq!(joined(short, ""), ["other(Split)*1", "web(Unit)*3"]);
    assert_eq!(joined(short * 4, "").len(), 4, "together it is long");
    assert_eq!(
        joined(short, "web::cache"),
        ["other(Split)*1", "web::cache(Unit)*1", "web(Unit)*2"]
    );
}

/// The five cases of nose's `test_next_batch`: how many batches come of two contexts.
#[test]
fn nose_batches_come_out_as_they_did() {
    let two = ["first::a", "first::b", "second::c"];
    let batches = |statics: &[(&str, &str)], modules: &str| {
        let groups = grouped(&two, statics, modules);
        let count = |group: &String| match group.contains("Split") {
            // Individually dispatched, there would be a batch for each.
            true => group.rsplit('*').next().and_then(|n| n.parse().ok()).unwrap_or(0),
            false => 1,
        };
        groups.iter().map(count).sum::<usize>()
    };
    assert_eq!(batches(&[("X", "web::first")], ""), 2, "one with fixtures, one without");
    assert_eq!(batches(&[], ""), 3, "no fixtures at all");
    assert_eq!(batches(&[("X", "web")], ""), 1, "fixtures of the package");
    assert_eq!(batches(&[("X", "web")], "\"web\" = \"split\""), 3, "marked as splittable");
    assert_eq!(batches(&[], "\"web\" = \"unit\""), 1, "marked as a unit");
}
