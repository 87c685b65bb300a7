//! An id is unique in a run, and is understood wherever the user may write one.

use std::collections::BTreeSet;

use crate::fixture::{Package, Ran, partest, text};

/// Two packages with a test target `api` each, whose tests have the same names too. That of `beta`
/// leaves a thread behind, and fails with the feature `broken`.
fn two_apis(metadata: &str) -> Package {
    let manifest = |name: &str| {
        format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[features]\nbroken = []\n")
    };
    let alpha = "#[test] fn root_is_200() {}\n#[test] fn root_is_small() {}\n";
    let beta = r#"
        #[test] fn root_is_200() {
            std::thread::Builder::new().name("reaper".into()).spawn(|| loop {
                std::thread::park();
            }).unwrap();
            assert!(!cfg!(feature = "broken"));
        }
        #[test] fn root_is_small() {}
    "#;
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"alpha\", \"beta\"]\n";
    Package::new(&[
        ("Cargo.toml", &format!("{workspace}{metadata}")),
        ("alpha/Cargo.toml", &manifest("alpha")),
        ("alpha/src/lib.rs", "#[cfg(test)] mod tests { #[test] fn adds() {} }\n"),
        ("alpha/tests/api.rs", alpha),
        ("beta/Cargo.toml", &manifest("beta")),
        ("beta/src/lib.rs", ""),
        ("beta/tests/api.rs", beta),
    ])
}

const ALL: [&str; 5] = [
    "alpha::api::root_is_200",
    "alpha::api::root_is_small",
    "alpha::tests::adds",
    "beta::api::root_is_200",
    "beta::api::root_is_small",
];

fn ids_of(ran: &Ran) -> BTreeSet<String> {
    ran.verdicts().into_keys().collect()
}

#[test]
fn ids_of_targets_with_one_name_begin_with_the_package() {
    let package = two_apis("");
    let all: BTreeSet<String> = ALL.map(str::to_owned).into();
    let listed = package.partest().args("list").run().exits(0);
    assert_eq!(listed.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), all, "{listed}");
    let listed = package.partest().args("list").json().run().exits(0);
    let ids = listed.events().iter().map(|test| text(&test["id"])).collect::<BTreeSet<_>>();
    assert_eq!(ids, all, "{listed}");
    let planned = package.partest().args("plan --policy unit").json().run().exits(0);
    let nodes: BTreeSet<String> = planned.events().iter().map(|e| text(&e["node"])).collect();
    let expected = ["alpha::api", "alpha::tests", "beta::api"].map(str::to_owned);
    assert_eq!(nodes, expected.into(), "{planned}");
    let ran = package.partest().json().run().exits(0);
    assert_eq!(ids_of(&ran), all, "{ran}");
    let ran = package.partest().args("-v").run().exits(0);
    assert!(all.iter().all(|id| ran.stderr.contains(id)), "{ran}");
}

/// Otherwise what one run calls a test, another one would not understand.
#[test]
fn an_id_is_the_same_when_a_run_has_one_of_the_packages_only() {
    let package = two_apis("");
    let ran = package.partest().args("-p beta").json().run().exits(0);
    assert_eq!(ids_of(&ran), ALL[3..].iter().map(|id| id.to_string()).collect(), "{ran}");
}

#[test]
fn an_id_with_its_package_is_a_filter() {
    let package = two_apis("");
    let table: [(&str, &[&str]); 7] = [
        ("beta::api::root_is_200", &ALL[3..4]),
        ("beta::api::", &ALL[3..]),
        ("beta::", &ALL[3..]),
        ("-- --exact beta::api::root_is_200", &ALL[3..4]),
        ("-- --exact api::root_is_200", &["alpha::api::root_is_200", "beta::api::root_is_200"]),
        ("-- --skip beta::api", &ALL[..3]),
        ("alpha::tests::adds", &ALL[2..3]),
    ];
    for (words, expected) in table {
        let ran = package.partest().args("--no-tests pass").json().args(words).run().exits(0);
        let expected = expected.iter().map(|id| id.to_string()).collect();
        assert_eq!(ids_of(&ran), expected, "{words}: {ran}");
    }
}

/// `node` and `why` of each group in the plan.
fn reasons(package: &Package) -> BTreeSet<(String, String)> {
    let ran = package.partest().args("plan").json().run().exits(0);
    assert_eq!(ran.stderr.matches("warning").count(), 0, "{ran}");
    let events = ran.events();
    let groups = events.iter().filter(|event| event["event"] == "group");
    groups.map(|group| (text(&group["node"]), text(&group["why"]))).collect()
}

#[test]
fn an_id_with_its_package_is_a_key_of_the_metadata() {
    let split = |node: &str, line: usize| (node.to_owned(), format!("split: Cargo.toml:{line}"));
    let auto = |node: &str| (node.to_owned(), "auto: no writable static".to_owned());
    let table = [
        ("\"beta::api\" = \"split\"", [auto("alpha"), auto("alpha::api"), split("beta::api", 5)]),
        ("\"api\" = \"split\"", [auto("alpha"), split("alpha::api", 5), split("beta::api", 5)]),
        // With the package it says more than without.
        (
            "\"api\" = \"unit\"\n\"beta::api\" = \"split\"\n\"alpha::api\" = \"split\"",
            [auto("alpha"), split("alpha::api", 7), split("beta::api", 6)],
        ),
    ];
    for (keys, expected) in table {
        let package = two_apis(&format!("[workspace.metadata.partest.modules]\n{keys}\n"));
        assert_eq!(reasons(&package), expected.into(), "{keys}");
    }
}

#[test]
fn the_rerun_line_of_such_a_test_runs_it_alone() {
    let package = two_apis("");
    let ran = package.partest().args("--features broken").run().exits(100);
    let line = ran.stdout.lines().find_map(|line| line.split_once("cargo partest -p ")).unwrap().1;
    let again = package.partest().json().args(&format!("-p {line}")).run().exits(100);
    assert_eq!(ids_of(&again), [ALL[3].to_owned()].into(), "{again}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_baseline_holds_for_tests_of_its_package_only() {
    let package = two_apis("");
    package.partest().args("--write-baseline").run().exits(0);
    let written = std::fs::read_to_string(package.path("partest-baseline.toml")).unwrap();
    assert!(written.contains("test = \"beta::api::root_is_200\""), "{written}");
    package.partest().args("--leaks deny").run().exits(0);
    // As it was written before ids had packages.
    package.write("partest-baseline.toml", &written.replace("\"beta::api::", "\"api::"));
    package.partest().args("--leaks deny").run().exits(0);
    package.write("partest-baseline.toml", &written.replace("\"beta", "\"alpha"));
    package.partest().args("--leaks deny").run().exits(102);
}

/// A process that a constructor has started is no test's own.
#[test]
#[cfg(target_os = "linux")]
fn a_baseline_holds_what_no_single_test_has_left() {
    let package = two_apis("");
    let library = r#"
#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    extern "C" fn start() {
        let mut sleep = Command::new("sleep");
        sleep.arg("600").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    }
    #[used]
    #[unsafe(link_section = ".init_array")]
    static START: extern "C" fn() = start;
    #[test]
    fn starts_one_too() { assert!(Command::new("true").status().unwrap().success()) }
    #[test]
    fn starts_none() {}
}
"#;
    package.write("beta/src/lib.rs", library);
    let call = |words: &str| package.partest().args("--lib -p beta").args(words).run();
    let ran = call("--leaks deny --message-format json").exits(102);
    let left = ran.events().into_iter().find(|event| event["event"] == "left-behind").unwrap();
    assert_eq!(left["unit"], "beta", "{ran}");
    call("--write-baseline").exits(0);
    let written = std::fs::read_to_string(package.path("partest-baseline.toml")).unwrap();
    assert!(written.contains("package = \"beta\"\ntest = \"beta\"\n"), "{written}");
    call("--leaks deny").exits(0);
}

/// Recording the leaks of some tests must not take the permission from others.
#[test]
#[cfg(target_os = "linux")]
fn a_baseline_keeps_the_leaks_of_tests_that_did_not_run() {
    let leaks = |name: &str| {
        let spawn = format!("Builder::new().name(\"{name}\".into()).spawn(|| loop {{ park() }})");
        format!("#[test] fn {name}() {{ {spawn}.unwrap(); }}\n")
    };
    let library = |tests: &[&str]| {
        let tests: String = tests.iter().map(|name| leaks(name)).collect();
        format!("#[cfg(test)] mod tests {{ use std::thread::{{Builder, park}};\n{tests} }}")
    };
    let package = Package::shop("", &library(&["opens", "sells", "closes"]));
    let entries = || {
        let text = std::fs::read_to_string(package.path("partest-baseline.toml")).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("what = "));
        lines.map(|what| what.trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    package.partest().args("--write-baseline").run().exits(0);
    assert_eq!(entries(), ["closes", "opens", "sells"]);
    // The leak of `opens` is gone, that of `sells` is another, and `closes` does not run.
    let library = "#[cfg(test)] mod tests { use std::thread::{Builder, park};
        #[test] fn opens() {}
        #[test] fn sells() { Builder::new().name(\"till\".into()).spawn(|| loop { park() }).unwrap(); }
        #[test] fn closes() {} }";
    package.write("src/lib.rs", library);
    let ran = package.partest().args("--write-baseline opens sells").run().exits(0);
    assert_eq!(entries(), ["closes", "till"], "{ran}");
    assert!(ran.stderr.contains("wrote 1 leak to") && ran.stderr.contains("kept 1"), "{ran}");
    // What cannot be read is not written over.
    package.write("partest-baseline.toml", "[[leak]\n");
    let ran = package.partest().args("--write-baseline").run().exits(2);
    assert!(ran.stderr.contains("cannot read"), "{ran}");
}

#[test]
fn the_example_with_two_packages_has_five_ids() {
    let ran = partest("two_packages").args("--workspace").json().run().exits(0);
    let expected = [
        "borrower::api::a_book_comes_back",
        "borrower::tests::a_day_costs_ten",
        "lender::api::a_book_comes_back",
        "lender::api::a_book_is_late",
        "lender::tests::four_weeks_at_first",
    ];
    assert_eq!(ids_of(&ran), expected.map(str::to_owned).into(), "{ran}");
}
