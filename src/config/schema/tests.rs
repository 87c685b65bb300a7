use super::*;
use crate::config::keys::Kind;
use proptest::prelude::*;

fn read_text(text: &str) -> (Config, Vec<String>) {
    let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.into() });
    let mut diagnostics = Vec::new();
    let config = read(&source, Table::Package, Flags::none(), &mut diagnostics);
    let shown = diagnostics
        .iter()
        .map(|m| format!("{}: {} ({})", m.place, m.title, m.help.as_deref().unwrap_or("")))
        .collect();
    (config, shown)
}

fn mistakes_of(line: &str) -> Vec<String> {
    read_text(&format!("[package.metadata.partest.modules]\n{line}\n")).1
}

#[test]
fn all_keys_are_read() {
    let (found, diagnostics) = read_text(
        r#"
        [package.metadata.partest]
        leaks = { thread = "deny", ignore = [{ thread = "tokio-*" }] }
        linger = "100ms"
        list-timeout = "5s"
        [package.metadata.partest.modules]
        "web::cache" = "split"
        "web::db" = { policy = "unit", threads = 1, timeout = "30s", recycle = 4 }
        "cli" = { policy = "split", isolate = true, locks = { read = ["a"], write = ["b"] } }
        "api" = { policy = "shared", fixture = "server" }
        [package.metadata.partest.fixtures.server]
        start = ["server", "--port", "0"]
        ready = "listening on (?<ADDR>\\S+)"
        "#,
    );
    assert_eq!(diagnostics, Vec::<String>::new());
    let policies: Vec<_> = found
        .modules
        .iter()
        .map(|(path, keys)| (path.value.as_str(), keys.policy.as_ref().unwrap().value))
        .collect();
    assert_eq!(
        policies,
        [
            ("api", Kind::Shared),
            ("cli", Kind::Split),
            ("web::cache", Kind::Split),
            ("web::db", Kind::Unit)
        ]
    );
    let locks = found.modules[1].1.locks.clone().unwrap().value;
    assert_eq!((locks.read, locks.write), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(found.list_timeout.unwrap().value, Duration::from_secs(5));
}

#[test]
fn every_diagnostic_has_its_line_and_the_nearest_valid_word() {
    let table = [
        (r#""a" = { treads = 2 }"#, "unknown key `treads` (did you mean `threads`?)"),
        (r#""a" = "spilt""#, "unknown policy `spilt` (did you mean `split`?)"),
        (
            r#""a" = ["split", "shared"]"#,
            "`policy` must be one policy, not a list (use one of auto, unit, split and shared)",
        ),
        (r#""a" = { threads = 0 }"#, "`threads` must be \"auto\" or an integer of at least 1 ()"),
        (r#""a" = { slots = -1 }"#, "`slots` must be an integer of at least 1 ()"),
        (
            r#""a" = { timeout = "5" }"#,
            "invalid duration for `timeout` (expected a number and a unit, such as 100ms, 30s, 2m or 1h)",
        ),
        (
            r#""a" = { recycle = "on-failre" }"#,
            "unknown value `on-failre` for `recycle` (did you mean `on-failure`?)",
        ),
        (
            r#""a" = { locks = { read = ["x"], write = ["x"] } }"#,
            "lock `x` is in both `read` and `write` (remove it from `read`: a writer excludes all readers)",
        ),
        (
            r#""a" = { slow-timeout = "1s" }"#,
            "unknown key `slow-timeout` (use `slow` for the time after which a test is reported, `timeout` for the time after which it is stopped)",
        ),
        (
            r#""a" = "serial""#,
            "unknown policy `serial` (use `locks = [\"NAME\"]`, which also holds across processes, or `exclusive = true` to run beside no other test)",
        ),
        (r#""a" = { leaks = "dney" }"#, "unknown leak action `dney` (did you mean `deny`?)"),
        (
            r#""a" = { policy = "unit", isolate = true }"#,
            "`isolate` conflicts with `policy = \"unit\"` (remove `isolate`, or use policy = \"split\")",
        ),
        (
            r#""a" = { policy = "unit", fixture = "db" }"#,
            "`fixture` conflicts with `policy = \"unit\"` (use policy = \"shared\", or remove `fixture`)",
        ),
    ];
    for (line, expected) in table {
        assert_eq!(mistakes_of(line), [format!("Cargo.toml:2: {expected}")], "{line}");
    }
}

#[test]
fn a_table_whose_name_is_misspelt_is_a_warning() {
    for name in ["parttest", "partets", "Partest", "par-test", "cargo-partest", "patest"] {
        let (_, shown) = read_text(&format!("[package.metadata.{name}]\ntimeout = \"1s\"\n"));
        let expected = format!(
            "Cargo.toml:1: unused table `package.metadata.{name}` \
             (did you mean `package.metadata.partest`?)"
        );
        assert_eq!(shown, [expected]);
    }
    for name in ["partest", "nextest", "docs", "playground", "release", "part", "test"] {
        let (_, shown) = read_text(&format!("[package.metadata.{name}]\n"));
        assert_eq!(shown, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn nextests_name_for_linger_is_understood() {
    let text = |lines| format!("[package.metadata.partest]\n{lines}\n");
    let (found, diagnostics) = read_text(&text("leak-timeout = \"1s\""));
    assert_eq!(diagnostics, Vec::<String>::new());
    assert_eq!(found.keys.linger.unwrap().value, Duration::from_secs(1));
    let (_, diagnostics) = read_text(&text("leak-timeout = \"1s\"\nlinger = \"1s\""));
    let both = "duplicate key: `leak-timeout` is an alias of `linger` (remove one of them)";
    assert_eq!(diagnostics, [format!("Cargo.toml:3: {both}")]);
}

#[test]
fn a_path_in_the_wrong_place_is_told_the_right_one() {
    let belongs = "(if it is the path of a module or a test, it belongs below `modules`)";
    let one_key = "(write the path of a module as one key: \"a::tests\")";
    let table = [
        ("partest]\n\"a::tests\" = 1", format!("unknown key `a::tests` {belongs}")),
        ("partest]\na = \"unit\"", format!("unknown key `a` {belongs}")),
        ("partest.modules]\na.tests = \"unit\"", format!("unknown key `tests` in `a` {one_key}")),
        (
            "partest.modules]\na.tests = { policy = \"unit\" }",
            format!("unknown key `tests` in `a` {one_key}"),
        ),
    ];
    for (lines, expected) in table {
        let (_, told) = read_text(&format!("[package.metadata.{lines}\n"));
        assert_eq!(told, [format!("Cargo.toml:2: {expected}")], "{lines}");
    }
}

#[test]
fn all_diagnostics_are_reported_at_once() {
    assert_eq!(mistakes_of(r#""a" = { treads = 2, slost = 1, policy = "unit" }"#).len(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        read_text(&text);
        read_text(&format!("[package.metadata.partest]\n{text}"));
        read_text(&format!("[package.metadata.partest.modules]\n\"a\" = {text}"));
    }
}
