//! The example in the manual of nose's multiprocess plugin, run in every way: rows N3, N7, N8 and
//! N11 to N13 at once. Three modules have the same fixture and the same tests, and differ only in
//! what they say about the fixture.

#![cfg(feature = "command")]

mod fixture;

use std::collections::BTreeSet;
use std::fmt::Write;

use fixture::{Ran, cargo, partest, text};

const MODULES: [&str; 3] = ["not_shared", "shared", "can_split"];

/// nose's own two ways, without and with its plugin, and ours.
///
/// What the manual says: without the plugin fixtures "execute at the same times, and all tests
/// pass". With it `shared` "executes correctly"; for the unmarked one it does "nothing at all";
/// and `can_split` "will fail": each test that finds what another process has created runs once more
/// by itself, and fails again.
const EXPECTED: &str = include_str!("output/three_nose_modules.txt");

#[test]
fn three_modules_come_out_as_the_manual_says() {
    let mut table = String::from(
        "run by              module      set-ups  by whom   teardowns  tests in      passed  failed\n",
    );
    for module in MODULES {
        let ran = cargo("three_nose_modules").args("test --test").arg(module).run().exits(0);
        let passed =
            if ran.stdout.contains("\ntest result: ok. 3 passed; 0 failed;") { 3 } else { 0 };
        row(&mut table, "cargo test", module, &ran, (passed, 3 - passed));
    }
    for flags in ["-j0", "-j1", "-j2"] {
        // Whatever the exit code: the verdicts say more.
        let ran = partest("three_nose_modules").args(flags).json().run();
        for module in MODULES {
            let came_to = |outcome: &str| {
                let tests = ran.tests().into_iter().filter(|test| test["outcome"] == outcome);
                tests.filter(|test| text(&test["binary"]) == module).count()
            };
            let verdicts = (came_to("passed"), came_to("failed"));
            row(&mut table, &format!("cargo partest {flags}"), module, &ran, verdicts);
        }
    }
    assert_eq!(table, EXPECTED, "\n{table}");
}

fn row(table: &mut String, by: &str, module: &str, ran: &Ran, (passed, failed): (usize, usize)) {
    let log = |what: &str| ran.log(&format!("{module}.{what}"));
    let (setups, teardowns, tests) = (log("setups"), log("teardowns"), log("tests"));
    let processes: BTreeSet<&String> = tests.iter().collect();
    let by_whom = match setups.iter().all(|setup| processes.contains(setup)) {
        true => "its tests",
        false => "another",
    };
    let count = match processes.len() {
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    };
    assert!(teardowns.iter().all(|teardown| setups.contains(teardown)), "{ran}");
    let (setups, teardowns) = (setups.len(), teardowns.len());
    writeln!(
        table,
        "{by:<18}  {module:<10}  {setups:>7}  {by_whom:<9} {teardowns:>9}  {count:<12}  {passed:>6}  {failed:>6}"
    )
    .unwrap();
}
