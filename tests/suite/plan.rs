//! `cargo partest plan` shows what a run would do, and why.

use std::collections::BTreeSet;

use crate::fixture::{Package, Ran, text};

/// Some tests that wait, one of them longest, and three that do nothing.
const WAITING: &str = "#[cfg(test)] mod tests {
    fn wait(millis: u64) { std::thread::sleep(std::time::Duration::from_millis(millis)) }
    #[test] fn a_long_one() { wait(400) }
    #[test] fn b_nothing() {}
    #[test] fn c_nothing() {}
    #[test] fn d_nothing() {}
}
#[cfg(test)] mod others {
    #[test] fn waits() { std::thread::sleep(std::time::Duration::from_millis(100)) }
    #[test] fn waits_too() { std::thread::sleep(std::time::Duration::from_millis(100)) }
}";

/// The number before this word in the plan's last line.
#[track_caller]
fn number(ran: &Ran, before: &str) -> f64 {
    let last = ran.stdout.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split_whitespace().collect();
    let at = words.iter().position(|word| word.trim_end_matches([',', ';']) == before);
    at.and_then(|at| words[at - 1].parse().ok()).unwrap_or_else(|| panic!("no {before}; {ran}"))
}

#[test]
fn no_estimate_is_less_than_the_longest_test() {
    let keys = "[package.metadata.partest.modules]\n\"shop::tests\" = { policy = \"unit\", threads = 4 }\n";
    let package = Package::shop(keys, WAITING);
    let ran = package.partest().args("-j 4").json().run().exits(0);
    let took = ran.test("shop::tests::a_long_one")["seconds"].as_f64().unwrap();
    let plan = package.partest().args("plan -j 4").run().exits(0);
    // Shown with two decimals.
    assert!(number(&plan, "s") >= took - 0.01, "{took} s; {plan}");
    assert!(plan.stdout.contains(", estimated from 6 recorded durations\n"), "{plan}");
}

#[test]
fn the_plan_has_the_slots_that_the_run_has() {
    let package = Package::shop("[package.metadata.partest]\nisolate = true\n", WAITING);
    // In the second run it is known that the tests wait.
    for _ in 0..2 {
        let plan = package.partest().args("plan").run().exits(0);
        let batches = package.partest().args("plan").json().run().exits(0);
        let ran = package.partest().json().run().exits(0);
        let slots = ran.events()[0]["slots"].as_u64().unwrap();
        assert_eq!(
            number(&plan, if slots == 1 { "slot" } else { "slots" }),
            slots as f64,
            "{plan}"
        );
        let events = batches.events();
        let used = events.iter().filter_map(|event| event["slots"].as_array()).flatten();
        let used = used.filter_map(serde_json::Value::as_u64).max();
        assert!(used.unwrap() < slots, "{batches}");
    }
}

#[test]
fn the_line_that_isolates_is_named_and_no_two_groups_have_one_label() {
    let keys = "[package.metadata.partest.modules]\n\"shop::tests\" = { isolate = true }\n";
    let package = Package::shop(keys, WAITING);
    let json = package.partest().args("plan").json().run().exits(0);
    let events = json.events();
    let groups: BTreeSet<(String, String)> = events
        .iter()
        .filter(|event| event["event"] == "group")
        .map(|group| (text(&group["node"]), text(&group["why"])))
        .collect();
    let expected = [
        ("shop::others", "auto: no writable static"),
        ("shop::tests", "split, isolated: Cargo.toml:6"),
    ];
    assert_eq!(groups, expected.map(|(node, why)| (node.to_owned(), why.to_owned())).into());
}

#[test]
fn groups_with_one_node_are_told_apart_by_their_modules() {
    let keys = "[package.metadata.partest.modules]\n\"shop\" = \"split\"\n\
        \"shop::a\" = { isolate = true }\n\"shop::c\" = { isolate = true }\n";
    let module = |name: &str| format!("#[cfg(test)] mod {name} {{ #[test] fn runs() {{}} }}\n");
    let library: String = ["a", "b", "c", "e"].map(module).concat();
    let package = Package::shop(keys, &library);
    let ran = package.partest().args("plan").run().exits(0);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("shop (")).collect();
    assert!(lines.iter().any(|line| line.contains("isolated  shop (a and c)")), "{ran}");
    assert!(lines.iter().any(|line| line.contains("split     shop (b and e)")), "{ran}");
}

#[test]
fn the_plan_says_what_holds_up_a_run_and_what_would_help() {
    let keys = "[package.metadata.partest.modules]\n\
        \"shop::others\" = { policy = \"unit\", threads = 1 }\n";
    let package = Package::shop(keys, WAITING);
    let call = |filter: &str| package.partest().args("plan -j4").args(filter).run().exits(0);
    let holds_up = |filter: &str| {
        let ran = call(filter);
        ran.stdout.lines().find(|line| line.contains("takes about")).unwrap_or("").to_owned()
    };
    assert_eq!(holds_up(""), "", "no durations are known yet");
    package.partest().run().exits(0);
    let all = holds_up("");
    assert!(all.starts_with("`shop::tests::a_long_one` takes about "), "{all}");
    assert!(all.ends_with(": no plan could be shorter"), "{all}");
    let others = holds_up("others::");
    assert!(others.starts_with("`shop::others` takes about "), "{others}");
    assert!(others.contains(", one test after another; without `threads = 1` they"), "{others}");
}
