//! Commands about the metadata: `init` writes it, `explain` says what it means for a test.

#![cfg(unix)]

use crate::fixture::{Package, Ran};
use serde_json::{Value, json};

/// A static that keeps a module in one process, and a test that is free.
const SHOP: &str = "#[cfg(test)] mod db {
    static ROWS: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
    #[test] fn counts() { *ROWS.lock().unwrap() += 1 }
    #[test] fn counts_on() { *ROWS.lock().unwrap() += 1 }
}
#[cfg(test)] mod parse {
    #[test] fn reads() {}
    #[test] #[ignore] fn takes_long() {}
}";

fn explained(ran: &Ran) -> Value {
    let [only] = &ran.events()[..] else { panic!("not one event; {ran}") };
    assert_eq!(only["event"], "explained", "{ran}");
    only.clone()
}

/// Value, origin and node of this setting.
#[track_caller]
fn setting(event: &Value, key: &str) -> [Value; 3] {
    let settings = event["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {event:#}"));
    ["value", "origin", "node"].map(|field| found[field].clone())
}

#[test]
fn every_setting_has_the_line_that_it_comes_from() {
    let keys = r#"
[workspace.metadata.partest]
slow = "10s"
linger = "1s"
leaks = "allow"

[package.metadata.partest]
timeout = "30s"
linger = "2s"
env = { OUTER = "1", BOTH = "1" }

[package.metadata.partest.modules]
"shop::db" = { policy = "unit", threads = 1, env = { BOTH = "2" } }
"shop::db::counts" = { timeout = "5s", locks = { read = ["a"] }, leaks = { thread = "deny" } }
"shop::parse" = { fixture = "server" }

[package.metadata.partest.fixtures]
server = { start = ["true"], fixture = "database" }
database = { start = ["true"] }
"#;
    let package = Package::shop(keys, SHOP);
    let at = |words: &str| json!(format!("Cargo.toml:{}", package.line_of("Cargo.toml", words)));
    let call = || package.partest().json().args("explain --retries 3");
    let event = explained(&call().arg("shop::db::counts").run().exits(0));
    let (module, test, default) = (json!("shop::db"), json!("shop::db::counts"), json!("default"));
    let table = [
        ("policy", "unit", at("policy"), &module),
        ("isolate", "false", default.clone(), &Value::Null),
        ("threads", "1", at("policy"), &module),
        ("slots", "1", default.clone(), &Value::Null),
        ("locks", "{ read = [\"a\"] }", at("locks"), &test),
        ("timeout", "5s", at("locks"), &test),
        ("slow", "10s", at("slow"), &Value::Null),
        ("retries", "3", json!("--retries"), &Value::Null),
        ("retries.flaky", "pass", default.clone(), &Value::Null),
        ("recycle", "never", default, &Value::Null),
        ("env.OUTER", "1", at("OUTER"), &Value::Null),
        ("env.BOTH", "2", at("policy"), &module),
        ("leaks", "allow", at("leaks = \"allow\""), &Value::Null),
        ("leaks.thread", "deny", at("locks"), &test),
        ("linger", "2s", at("linger = \"2s\""), &Value::Null),
    ];
    for (key, value, origin, node) in table {
        assert_eq!(setting(&event, key), [json!(value), origin, node.clone()], "{key}");
    }
    assert_eq!(event["node"], "shop::db");
    assert_eq!(event["beside"], json!(["shop::db::counts_on"]));
    // In the order of their start.
    let event_of_parse = explained(&call().arg("reads").run().exits(0));
    let fixtures = json!([
        { "name": "shop.database", "place": at("database = {") },
        { "name": "shop.server", "place": at("server = {") },
    ]);
    assert_eq!(event_of_parse["fixtures"], fixtures);
    assert_eq!(
        setting(&event_of_parse, "policy")[..2],
        [json!("shared"), at("fixture = \"server\" }")]
    );
    // The flag goes before all keys.
    let isolated = explained(&call().args("--isolate --timeout 9s counts").run().exits(0));
    assert_eq!(setting(&isolated, "policy")[..2], [json!("split"), json!("--isolate")]);
    assert_eq!(setting(&isolated, "isolate")[..2], [json!("true"), json!("--isolate")]);
    assert_eq!(setting(&isolated, "timeout")[..2], [json!("9s"), json!("--timeout")]);
    assert_eq!((&isolated["policy"], &isolated["beside"]), (&json!("isolated"), &json!([])));
}

#[test]
fn what_earlier_runs_know_is_shown() {
    let package = Package::shop("", SHOP);
    let explain = |test: &str| explained(&package.partest().json().args("explain").arg(test).run());
    let before = explain("reads");
    assert_eq!((&before["last-result"], &before["seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(before["left-out"], Value::Null);
    package.partest().run().exits(0);
    let after = explain("reads");
    assert_eq!(after["last-result"], "passed");
    assert!(after["seconds"].as_f64().is_some_and(|seconds| seconds < 300.0), "{after}");
    let ignored = explain("takes_long");
    assert_eq!((&ignored["left-out"], &ignored["ignored"]), (&json!("#[ignore]"), &json!(true)));
    assert_eq!(ignored["last-result"], Value::Null);
    package.write("src/lib.rs", &SHOP.replace("reads() {}", "reads() { panic!() }"));
    package.partest().run().exits(100);
    assert_eq!(explain("reads")["last-result"], "failed");
    let human = package.partest().args("explain reads -q").run().exits(0);
    assert!(human.stdout.starts_with("shop::parse::reads\n  test of "), "{human}");
    assert!(human.stdout.contains("\n  last result  failed\n"), "{human}");
    assert!(human.stdout.contains("\n  policy     auto "), "{human}");
}

#[test]
fn learnt_locks_are_those_that_the_plan_keeps_apart() {
    let package = Package::two_that_meet();
    package.partest().args("-j2").run().exits(0);
    let event = explained(&package.partest().json().args("explain one::reads").run().exits(0));
    let locks = event["learnt-locks"].as_array().unwrap();
    let of_file = locks.iter().find(|lock| lock["thing"].as_str().unwrap().ends_with("/file"));
    let of_file = of_file.unwrap_or_else(|| panic!("{event:#}"));
    // What is seen before it is known which test runs is taken to be of all tests of the binary.
    let with = of_file["with"].as_array().unwrap();
    assert!([json!("other::removes"), json!("other")].contains(&with[0]), "{event:#}");
    assert_eq!(with.len(), 1, "{event:#}");
    assert_eq!(of_file["proven"], true);
    let human = package.partest().args("explain other::removes -q").run().exits(0);
    let line = human.stdout.lines().find(|line| line.contains("/file, not beside one"));
    assert!(
        line.is_some_and(|line| line.ends_with("; a test has failed because of it")),
        "{human}"
    );
}

#[test]
fn a_name_that_means_no_test_or_several_is_answered_with_the_right_one() {
    let package = Package::shop("", SHOP);
    let answer = |name: &str| {
        let ran = package.partest().json().args("explain").arg(name).run().exits(2);
        let error = ran.events()[0]["errors"][0].clone();
        let [message, help] =
            ["message", "help"].map(|field| error[field].as_str().unwrap().to_owned());
        assert!(ran.stderr.contains(&format!("error: {message}; {help}\n")), "{ran}");
        (message, help)
    };
    let table = [
        (
            "shop::db::conts",
            "no test is named `shop::db::conts`",
            "did you mean `shop::db::counts`?",
        ),
        ("raeds", "no test is named `raeds`", "did you mean `shop::parse::reads`?"),
        ("zzzzzz", "no test is named `zzzzzz`", "`cargo partest list` lists all tests"),
        (
            "db",
            "`db` names 2 tests",
            "choose one of them: shop::db::counts and shop::db::counts_on",
        ),
        (
            "shop",
            "`shop` names 4 tests",
            "choose one of them: shop::db::counts, shop::db::counts_on, shop::parse::reads and 1 more",
        ),
    ];
    for (name, message, help) in table {
        assert_eq!(answer(name), (message.to_owned(), help.to_owned()), "{name}");
    }
}

#[test]
fn init_adds_comments_once_and_nothing_changes_by_them() {
    let package = Package::shop("", SHOP);
    let manifest = || std::fs::read_to_string(package.path("Cargo.toml")).unwrap();
    let before = manifest();
    let groups = || package.partest().json().args("plan").run().exits(0).stdout;
    let planned = groups();
    let printed = package.partest().args("init --dry-run").run().exits(0);
    assert_eq!(manifest(), before);
    let unit = "# 2 tests in one process because of static shop::db::ROWS. If each process may have its \
                own:\n# \"shop::db\" = \"split\"\n";
    assert!(printed.stdout.contains(unit), "{printed}");
    assert!(!printed.stdout.contains("shop::parse"), "{printed}");

    let ran = package.partest().args("init").run().exits(0);
    let line = package.line_of("Cargo.toml", "# Settings of");
    let added = format!("added [workspace.metadata.partest] to Cargo.toml:{line}: comments only");
    assert!(ran.stdout.starts_with(&added), "{ran}");
    assert_eq!(manifest(), format!("{before}\n{}", printed.stdout));
    assert_eq!(groups(), planned);

    // What it proposes works.
    let written = manifest();
    package.write("Cargo.toml", &written.replace("# \"shop::db\"", "\"shop::db\""));
    assert!(groups().contains("\"policy\":\"split\",\"why\":\"split: Cargo.toml:"), "{}", groups());
    package.write("Cargo.toml", &written);

    let again = package.partest().args("init").run().exits(2);
    let place = format!("Cargo.toml:{}", package.line_of("Cargo.toml", "[workspace.metadata"));
    assert!(
        again.stderr.contains(&format!("error: {place} already has cargo partest settings")),
        "{again}"
    );
    assert_eq!(manifest(), written);
    let names = std::fs::read_dir(package.path("")).unwrap();
    assert_eq!(names.count(), 4, "Cargo.toml, Cargo.lock, src and target");
}

#[test]
fn init_goes_by_the_kind_of_manifest_and_leaves_what_it_cannot_extend() {
    let alone = "[package]\nname = \"shop\"\nedition = \"2024\"";
    let package = Package::new(&[("Cargo.toml", alone), ("src/lib.rs", "#[test] fn opens() {}")]);
    let ran = package.partest().args("init").run().exits(0);
    assert!(ran.stdout.starts_with("added [package.metadata.partest] to Cargo.toml:5:"), "{ran}");
    let inline = "workspace = { metadata = { other = 1 } }\n[package]\nname = \"shop\"\nedition = \"2024\"\n";
    package.write("Cargo.toml", inline);
    let ran = package.partest().args("init").run().exits(2);
    assert!(ran.stderr.contains("`cargo partest init --dry-run` prints the lines"), "{ran}");
    assert_eq!(std::fs::read_to_string(package.path("Cargo.toml")).unwrap(), inline);
}
