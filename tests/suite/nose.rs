//! The example in the manual of nose's multiprocess plugin, run in every way: rows N3, N7, N8 and
//! N11 to N13 at once. Three modules have the same fixture and the same tests, and differ only in
//! what they say about the fixture.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::fixture::{Ran, cargo, partest, text};

const MODULES: [&str; 3] = ["not_shared", "shared", "can_split"];

/// nose's own two ways, without and with its plugin, and ours.
///
/// What the manual says: without the plugin fixtures "execute at the same times, and all tests
/// pass". With it `shared` "executes correctly"; for the unmarked one it does "nothing at all";
/// and `can_split` "will fail". Where two of its tests run side by side, one that finds what the other
/// process has created runs once more by itself, and fails again: the table leaves that out.
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
        row(&mut table, "cargo test", module, &ran, [passed, 3 - passed, 0]);
    }
    for flags in ["-j0", "-j1", "-j2"] {
        // Whatever the exit code: the verdicts say more.
        let ran = partest("three_nose_modules").args(flags).json().run();
        for module in MODULES {
            let came_to = |outcome: &str| {
                let tests = ran.tests().into_iter().filter(|test| test["outcome"] == outcome);
                tests.filter(|test| text(&test["binary"]) == module).count()
            };
            let of_module = ran.tests().into_iter().filter(|test| text(&test["binary"]) == module);
            let ran_again: u64 =
                of_module.filter_map(|test| test["attempt"].as_u64()).map(|nth| nth - 1).sum();
            assert!(flags == "-j2" || ran_again == 0, "{ran}");
            let verdicts = [came_to("passed"), came_to("failed"), ran_again as usize];
            row(&mut table, &format!("cargo partest {flags}"), module, &ran, verdicts);
        }
    }
    assert_eq!(table, EXPECTED, "\n{table}");
}

fn row(table: &mut String, by: &str, module: &str, ran: &Ran, verdicts: [usize; 3]) {
    let [passed, failed, ran_again] = verdicts;
    let log = |what: &str| ran.log(&format!("{module}.{what}"));
    let (setups, teardowns, tests) = (log("setups"), log("teardowns"), log("tests"));
    let processes: BTreeSet<&String> = tests.iter().collect();
    let by_whom = match setups.iter().all(|setup| processes.contains(setup)) {
        true => "its tests",
        false => "another",
    };
    let count = match processes.len() - ran_again {
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    };
    assert!(teardowns.iter().all(|teardown| setups.contains(teardown)), "{ran}");
    let (setups, teardowns) = (setups.len() - ran_again, teardowns.len());
    writeln!(
        table,
        "{by:<18}  {module:<10}  {setups:>7}  {by_whom:<9} {teardowns:>9}  {count:<12}  {passed:>6}  {failed:>6}"
    )
    .unwrap();
}
