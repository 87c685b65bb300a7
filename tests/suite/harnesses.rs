//! Harnesses of one's own: what `cargo test` runs is run here too, each test by its name where the
//! harness can do that, and judged by exit codes.

mod threads;

use std::collections::{BTreeMap, BTreeSet};

use crate::fixture::{self, Package, Ran};

/// All ways to run tests, with and without what libtest would be told.
const ANYHOW: [&str; 7] =
    ["", "-j1", "-j8", "--no-agent", "--isolate", "-- --nocapture", "-- --show-output"];

/// What the harnesses below have in common: a shop that sells, has nothing left, and has a test
/// that fails and one that is ignored.
const SHOP: &str = r#"
    use std::process::ExitCode;

    pub const TESTS: [(&str, bool); 3] = [("closes late", false), ("opens", false), ("moves", true)];

    pub fn asked(word: &str) -> bool {
        std::env::args().skip(1).any(|argument| argument == word)
    }

    /// By the name behind `--exact`, and by `--ignored` where that is known.
    pub fn chosen(knows_ignored: bool) -> Vec<(&'static str, bool)> {
        let name = std::env::args().skip_while(|word| word != "--exact").nth(1);
        let is_named = |test: &(&str, bool)| name.as_ref().is_none_or(|name| name == test.0);
        let is_wanted = |test: &(&str, bool)| !knows_ignored || !asked("--ignored") || test.1;
        TESTS.into_iter().filter(is_named).filter(is_wanted).collect()
    }

    pub fn list(knows_ignored: bool, kind: &str) -> ExitCode {
        chosen(knows_ignored).iter().for_each(|(name, _)| println!("{name}: {kind}"));
        ExitCode::SUCCESS
    }

    /// `opens` fails where the environment says so, and leaves a mark where it runs.
    pub fn run() -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for (name, is_ignored) in chosen(true) {
            if is_ignored && !asked("--ignored") {
                println!("test {name} ... ignored");
            } else if name == "opens" && std::env::var_os("BROKEN").is_some() {
                println!("test {name} ... FAILED");
                code = ExitCode::from(101);
            } else {
                println!("test {name} ... ok");
            }
            if let (Some(log), true) = (std::env::var_os("FIXTURE_LOG"), name == "opens") {
                let program = std::env::args().next().unwrap();
                let program = program.rsplit('/').next().unwrap().split('-').next().unwrap();
                std::fs::write(std::path::Path::new(&log).join(program), "ran").unwrap();
            }
        }
        code
    }

    pub fn refuses(word: &str) -> ExitCode {
        eprintln!("error: unexpected argument `{word}`");
        ExitCode::from(2)
    }
"#;

/// As libtest does it.
const KNOWS_ALL: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        if asked("--list") && asked("terse") { return list(true, "test") }
        run()
    }
"#;

/// `libtest-mimic` calls a benchmark so.
const BENCH: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        if asked("--list") && asked("terse") { return list(true, "bench") }
        run()
    }
"#;

/// The same list with `--ignored`: all of its tests would be ignored, and none would run.
const KNOWS_NO_IGNORED: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        if asked("--list") && asked("terse") { return list(false, "test") }
        run()
    }
"#;

/// As `libtest2-mimic` has it, whose exit code is libtest's.
const WANTS_UNSTABLE: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        if asked("terse") && !asked("-Zunstable-options") {
            eprintln!("`--format` requires `-Zunstable-options`");
            return std::process::ExitCode::from(101);
        }
        if asked("--list") { return list(true, "test") }
        run()
    }
"#;

/// `--list` alone; everything else that is not known is an error, even the output's options.
const KNOWS_NO_FORMAT: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        for word in ["--format", "terse", "--nocapture", "--show-output", "-Zunstable-options"] {
            if asked(word) { return refuses(word) }
        }
        if asked("--list") { return list(true, "test") }
        run()
    }
"#;

/// As divan lists: for people.
const LISTS_A_TREE: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        for word in ["--format", "terse"] {
            if asked(word) { return refuses(word) }
        }
        if asked("--list") {
            println!("shop\n├─ opens\n╰─ closes late");
            return std::process::ExitCode::SUCCESS;
        }
        run()
    }
"#;

/// It lists, and runs all or nothing.
const TAKES_NO_NAME: &str = r#"
    use shop::*;
    fn main() -> std::process::ExitCode {
        if asked("--exact") { return refuses("--exact") }
        if asked("--list") && asked("terse") { return list(true, "test") }
        run()
    }
"#;

/// The name of each binary, its text, whether it is a benchmark, and whether it runs by names.
const HARNESSES: [(&str, &str, bool, bool); 7] = [
    ("knows_all", KNOWS_ALL, false, true),
    ("measures", BENCH, true, true),
    ("knows_no_ignored", KNOWS_NO_IGNORED, false, false),
    ("wants_unstable", WANTS_UNSTABLE, false, true),
    ("knows_no_format", KNOWS_NO_FORMAT, false, true),
    ("lists_a_tree", LISTS_A_TREE, true, false),
    ("takes_no_name", TAKES_NO_NAME, false, false),
];

fn package() -> Package {
    let mut manifest = String::new();
    let kind = |is_bench: bool| if is_bench { ("bench", "benches") } else { ("test", "tests") };
    for (name, _, is_bench, _) in HARNESSES {
        let (section, _) = kind(is_bench);
        manifest.push_str(&format!("[[{section}]]\nname = \"{name}\"\nharness = false\n"));
    }
    let package = Package::shop(&manifest, SHOP);
    for (name, text, is_bench, _) in HARNESSES {
        let (_, directory) = kind(is_bench);
        package.write(&format!("{directory}/{name}.rs"), text);
    }
    package
}

/// The verdicts of all, where `opens` comes to this.
fn expected(opens: &str) -> BTreeMap<String, String> {
    let of_one = |(name, _, _, has_names): (&str, &str, bool, bool)| {
        let tests = match has_names {
            true => vec![("opens", opens), ("closes late", "passed"), ("moves", "ignored")],
            false => vec![("main", opens)],
        };
        let id = |test: &str| format!("{name}::{test}");
        tests.into_iter().map(|(test, outcome)| (id(test), outcome.to_owned())).collect::<Vec<_>>()
    };
    HARNESSES.into_iter().flat_map(of_one).collect()
}

/// Each has run, not only come to a verdict.
#[track_caller]
fn all_have_run(ran: &Ran) {
    for (name, ..) in HARNESSES {
        assert_eq!(ran.log(name), ["ran"], "{name}; {ran}");
    }
}

#[test]
fn what_cargo_test_runs_comes_to_the_same_here_however_its_harness_lists() {
    let package = package();
    package.cargo().args("test --all-targets").run().exits(0);
    package.cargo().args("test --all-targets").env("BROKEN", "1").run().exits(101);
    for way in ANYHOW {
        let call = || package.partest().json().args("--all-targets --no-fail-fast").args(way);
        let ran = call().run().exits(0);
        assert_eq!(ran.verdicts(), expected("passed"), "{ran}");
        all_have_run(&ran);
        let ran = call().env("BROKEN", "1").run().exits(100);
        assert_eq!(ran.verdicts(), expected("failed"), "{ran}");
        all_have_run(&ran);
    }
}

#[test]
fn a_harness_that_runs_as_a_whole_though_it_lists_says_why() {
    let ran = package().partest().args("--all-targets").run().exits(0);
    let table = [
        (
            "`knows_no_ignored` (test of shop)",
            "it lists the same tests with and without `--ignored`, so ignored tests cannot be identified\n",
        ),
        ("`lists_a_tree` (bench of shop)", "listing its tests failed: it ended with exit code 2\n"),
        (
            "`takes_no_name` (test of shop)",
            "it lists `closes late`, but does not find it with `--exact`\n",
        ),
    ];
    for (what, why) in table {
        let line = format!("warning: {what} runs as one test, judged by its exit code: {why}");
        assert!(ran.stderr.contains(&line), "{line}; {ran}");
    }
    assert!(ran.stderr.contains("  | error: unexpected argument `--format`\n"), "{ran}");
    assert_eq!(ran.stderr.matches("runs as one test").count(), table.len(), "{ran}");
    let plan = package().partest().args("plan --all-targets").run().exits(0);
    let why = "its harness does not list and choose tests as libtest does";
    assert_eq!(plan.stdout.matches(why).count(), table.len(), "{plan}");
    let why = "its harness takes no arguments";
    let others = HARNESSES.iter().filter(|(.., has_names)| !has_names).count() - table.len();
    assert_eq!(plan.stdout.matches(why).count(), others, "{plan}");
}

#[test]
fn ignored_tests_of_a_harness_run_where_they_are_asked_for() {
    let ran = package().partest().json().args("--all-targets -- --ignored").run().exits(0);
    let named = HARNESSES.into_iter().filter(|harness| harness.3);
    let mut expected: Vec<String> = named.map(|(name, ..)| format!("{name}::moves")).collect();
    expected.sort();
    assert_eq!(ran.ids("passed"), expected, "{ran}");
}

/// What a harness prints, or a test of it, or a child, says nothing about how it ended.
#[test]
fn a_harness_is_judged_by_its_exit_code_whatever_is_printed() {
    const PRINTS: &str = r#"
        use shop::*;
        fn prints() {
            println!("\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
        }
        fn main() -> std::process::ExitCode {
            if asked("--list") && asked("terse") { return list(true, "test") }
            let code = run();
            prints();
            code
        }
    "#;
    let whole = PRINTS.replace("asked(\"terse\")", "false").replace("asked(\"--list\")", "false");
    let manifest = "[[test]]\nname = \"named\"\nharness = false\n[[test]]\nname = \"whole\"\nharness = false\n";
    let package = Package::shop(manifest, SHOP);
    package.write("tests/named.rs", PRINTS);
    package.write("tests/whole.rs", &whole);
    let expected = |opens: &str| {
        let table = [
            ("named::closes late", "passed"),
            ("named::moves", "ignored"),
            ("named::opens", opens),
            ("whole::main", opens),
        ];
        table.map(|(id, outcome)| (id.to_owned(), outcome.to_owned())).into()
    };
    for way in ANYHOW {
        let ran = package.partest().json().args(way).run().exits(0);
        assert_eq!(ran.verdicts(), expected("passed"), "{ran}");
        let ran = package.partest().json().args(way).env("BROKEN", "1").run().exits(100);
        assert_eq!(ran.verdicts(), expected("failed"), "{ran}");
    }
}

/// As `libtest-mimic` does it: several tests in a process, those that `--skip` leaves, one after
/// another; with a `--logfile`, each of them is an event there. `WRONG` makes its log say what is
/// not so.
const LOGS: &str = r##"
    use std::io::Write;
    const TESTS: [&str; 30] = [
        "aborts", "exits", "fails", "hangs", "later", "t05", "t06", "t07", "t08", "t09", "t10",
        "t11", "t12", "t13", "t14", "t15", "t16", "t17", "t18", "t19", "t20", "t21", "t22", "t23",
        "t24", "t25", "t26", "t27", "t28", "t29",
    ];
    fn note(name: &str, what: usize) {
        let log = std::env::var_os("FIXTURE_LOG").unwrap();
        let log = std::path::Path::new(&log).join(name);
        let mut log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        // In one call, since others write there at the same time.
        log.write_all(format!("{what}\n").as_bytes()).unwrap();
    }
    fn run(name: &str) -> bool {
        note(name, std::process::id() as usize);
        if name.starts_with('t') {
            return true;
        }
        println!("{name} prints to stdout");
        eprint!("{name} prints to stderr");
        let is_wanted = |kind: &str| std::env::var("DO").is_ok_and(|word| word.contains(kind));
        match name {
            _ if !is_wanted(name) => true,
            "aborts" => std::process::abort(),
            "exits" => std::process::exit(0),
            "hangs" => loop { std::thread::park() },
            _ => false,
        }
    }
    fn main() {
        let (mut skipped, mut filter, mut log, mut words) = (vec![], None, None, std::env::args());
        let (mut lists, mut exact, mut ignored) = (false, false, false);
        words.next();
        while let Some(word) = words.next() {
            match &*word {
                "--list" => lists = true,
                "--exact" => exact = true,
                "--ignored" => ignored = true,
                "--include-ignored" => {}
                "--skip" => skipped.push(words.next().unwrap()),
                "--logfile" => log = words.next(),
                "--test-threads" => drop(words.next().unwrap()),
                "--format" => assert!(["terse", "json"].contains(&&*words.next().unwrap())),
                _ if word.starts_with('-') => {
                    eprintln!("error: unexpected argument `{word}`");
                    std::process::exit(2)
                }
                _ => filter = Some(word),
            }
        }
        let wrong = std::env::var("WRONG").unwrap_or_default();
        let is_one = filter.is_some();
        let mut out: Box<dyn Write> = match &log {
            Some(path) => Box::new(std::fs::File::create(path).unwrap()),
            None => Box::new(std::io::stdout()),
        };
        if wrong == "skips nothing" && !lists { skipped.clear() }
        assert!(exact || filter.is_none());
        let takes_names = exact || wrong == "skips whole names" && !lists;
        let is_skipped = |name: &str| skipped.iter().any(|skip| match takes_names {
            true => skip == name,
            false => name.contains(&**skip),
        });
        let is_ignored = |name: &str| name == "later";
        let mut failed = 0;
        match lists {
            true => note("asked", 0),
            false if skipped.is_empty() => {}
            false => note("skipped", skipped.len()),
        }
        if !lists {
            writeln!(out, r#"{{ "type": "suite", "event": "started" }}"#).unwrap();
        }
        let files = std::fs::read_to_string("tests/files").unwrap_or_default();
        for name in TESTS.into_iter().chain(files.lines()) {
            let is_filtered = filter.as_ref().is_some_and(|filter| filter != name);
            if is_filtered || is_skipped(name) || ignored && !is_ignored(name) {
                continue;
            }
            if lists {
                writeln!(out, "{name}: test").unwrap();
                continue;
            }
            if wrong == "forgets one" && name == "t20" && !is_one { continue }
            if wrong != "starts none" {
                writeln!(out, r#"{{ "type": "test", "event": "started", "name": "{name}" }}"#).unwrap();
            }
            let event = match is_ignored(name) && !ignored {
                true => "ignored",
                false if run(name) => "ok",
                false => { failed += 1; "failed" }
            };
            let end = format!(r#"{{ "type": "test", "name": "{name}", "event": "{event}" }}"#);
            writeln!(out, "{end}").unwrap();
            if wrong == "says it twice" { writeln!(out, "{end}").unwrap() }
        }
        let event = if failed > 0 { "failed" } else { "ok" };
        if !lists { writeln!(out, r#"{{ "type": "suite", "event": "{event}" }}"#).unwrap() }
        std::process::exit(if failed > 0 && wrong != "exits with 0" { 101 } else { 0 })
    }
"##;

fn logs() -> Package {
    let package = Package::shop("[[test]]\nname = \"logs\"\nharness = false\n", "");
    package.write("tests/logs.rs", LOGS);
    package
}

/// All tests of `LOGS` but these pass.
fn logged(others: &[(&str, &str)]) -> BTreeMap<String, String> {
    let names = ["aborts", "exits", "fails", "hangs"].map(String::from);
    let names = names.into_iter().chain((5..30).map(|at| format!("t{at:02}")));
    let mut verdicts: BTreeMap<String, String> =
        names.map(|name| (format!("logs::{name}"), "passed".to_owned())).collect();
    verdicts.insert("logs::later".into(), "ignored".into());
    let others = others.iter().map(|(name, outcome)| (format!("logs::{name}"), (*outcome).into()));
    verdicts.extend(others);
    verdicts
}

/// The processes in which these tests have run, each once.
#[track_caller]
fn processes(ran: &Ran) -> BTreeSet<String> {
    let tests = logged(&[]);
    let have_run = tests.iter().filter(|(_, outcome)| *outcome == "passed");
    let process = |id: &String| match &*ran.log(id.strip_prefix("logs::").unwrap()) {
        [process] => process.clone(),
        more => panic!("{id} has run in {more:?}; {ran}"),
    };
    have_run.map(|(id, _)| process(id)).collect()
}

#[test]
fn a_harness_that_logs_its_tests_runs_many_of_them_in_a_process() {
    let package = logs();
    package.cargo().args("test --test logs").run().exits(0);
    let ran = package.partest().json().arg("-j1").run().exits(0);
    assert_eq!(ran.verdicts(), logged(&[]), "{ran}");
    assert!(processes(&ran).len() < 15, "{ran}");
    let ran = package.partest().json().run().exits(0);
    assert_eq!(ran.verdicts(), logged(&[]), "{ran}");
    assert!(processes(&ran).len() < 15, "{ran}");
    let ran = package.partest().json().arg("--isolate").run().exits(0);
    assert_eq!(ran.verdicts(), logged(&[]), "{ran}");
    assert_eq!(processes(&ran).len(), 29, "{ran}");
    let ran = package.partest().json().args("-- --skip t0 --skip t1 --skip t2").run().exits(0);
    let left = ["aborts", "exits", "fails", "hangs", "later"].map(|name| format!("logs::{name}"));
    assert_eq!(ran.verdicts().into_keys().collect::<Vec<_>>(), left, "{ran}");
    let ran = package.partest().json().args("-- --ignored").run().exits(0);
    assert_eq!(ran.ids("passed"), ["logs::later"], "{ran}");
    let ran = package.partest().args("plan").run().exits(0);
    assert!(ran.stdout.contains("one test after another in each process"), "{ran}");
}

/// It compares each of its tests with each name that it is to skip.
#[test]
fn many_tests_of_a_harness_that_logs_are_left_out_by_few_words() {
    let package = logs();
    let files: Vec<String> = (0..400).map(|at| format!("tests.files.case-{at:03}")).collect();
    // In no order, as they are in a directory.
    let mixed: Vec<&str> = (0..400).map(|at| &*files[at * 7 % 400]).collect();
    package.write("tests/files", &mixed.join("\n"));
    let ids: Vec<String> = files.iter().map(|file| format!("logs::{file}")).collect();
    let call = || package.partest().json().args("-j2 -- case-");
    let ran = call().run().exits(0);
    assert_eq!(ran.ids("passed"), ids, "{ran}");
    // Nobody knows yet that one process would do.
    let skipped = ran.log("skipped");
    let skipped: Vec<usize> = skipped.iter().map(|words| words.parse().unwrap()).collect();
    assert!(skipped.len() > 1 && skipped.iter().all(|words| *words < 40), "{skipped:?} {ran}");
    let later = call().run().exits(0);
    assert_eq!(later.ids("passed"), ids, "{later}");
    // Though it takes them all, it may take them for whole names when it runs tests.
    std::fs::remove_dir_all(package.path("target/partest")).unwrap();
    let ran = call().env("WRONG", "skips whole names").run().exits(0);
    assert!(ran.stderr.contains("the log of the custom harness `logs` does not agree"), "{ran}");
    assert_eq!(ran.ids("passed"), ids, "{ran}");
}

/// How it can be called is known then; which tests it has may depend on more than its executable.
#[test]
fn a_harness_that_logs_is_asked_for_its_tests_only_in_a_later_run() {
    let package = logs();
    let ran = package.partest().json().run().exits(0);
    assert!(ran.log("asked").len() > 2, "{ran}");
    package.write("tests/files", "t30\n");
    let ran = package.partest().json().run().exits(0);
    assert_eq!(ran.log("asked").len(), 2, "once for the ignored tests; {ran}");
    assert_eq!(ran.verdicts()["logs::t30"], "passed", "{ran}");
    assert!(processes(&ran).len() < 15, "{ran}");
}

/// What makes `LOGS` look like one that is built on `libtest-mimic`, in place of `"--list"`.
const KEEPS: &str = r#""--color" => { assert_eq!(words.next().unwrap(), "always"); note("keeps", 0) }
    "libtest-mimic-0.8.2/src/lib.rs" => unreachable!(),
    "--list""#;

/// One that is built on `libtest-mimic` takes colors out of all that it prints, unless they are always
/// on. Another one may only look like that, and take no such argument.
#[test]
fn a_harness_that_looks_for_colors_is_told_to_leave_them() {
    const CALLED: &str = "note(\"called\", 0); words.next();";
    let package = logs();
    let called = LOGS.replace("words.next();\n", CALLED);
    package.write("tests/logs.rs", &called.replace("\"--list\"", KEEPS));
    for _first_and_later in 0..2 {
        let ran = package.partest().json().run().exits(0);
        assert_eq!(ran.verdicts(), logged(&[]), "{ran}");
        // What it can do is known.
        assert_eq!(ran.log("asked").len(), 2, "{ran}");
        assert_eq!(ran.log("keeps").len(), ran.log("called").len(), "{ran}");
        assert!(ran.log("called").len() < 15, "{ran}");
    }
    let refuses = called.replace("\"--list\"", &KEEPS.replace("--color", "--dye"));
    let paints = called.replace("\"--list\"", &KEEPS.replace("note(", "paints = true; note("));
    let paints = paints.replace(
        "let mut failed",
        "let name_of = |name: &str| match paints {
            true => format!(\"\\x1b[1m{name}\"),
            false => name.to_owned(),
        };
        let mut failed",
    );
    let paints = paints.replace("let (mut lists", "let mut paints = false; let (mut lists");
    let paints = paints.replace("\"{name}: test\"", "\"{}: test\", name_of(name)");
    for (looks_like_it, keeps) in [(refuses, 0), (paints, 2)] {
        package.write("tests/logs.rs", &looks_like_it);
        for keeps in [keeps, 0] {
            let ran = package.partest().json().run().exits(0);
            assert_eq!(ran.verdicts(), logged(&[]), "{ran}");
            assert_eq!(ran.log("keeps").len(), keeps, "{ran}");
            assert!(processes(&ran).len() < 15, "{ran}");
        }
    }
}

#[test]
fn who_ends_a_process_of_a_harness_that_logs_or_hangs_in_it_costs_one_test() {
    let package = logs();
    let call = |words: &str| package.partest().json().args("--no-fail-fast").env("DO", words);
    for way in ["-j1", "-j4", "--isolate"] {
        let ran = call("aborts exits fails").arg(way).run().exits(100);
        let expected = [("aborts", "aborted"), ("exits", "aborted"), ("fails", "failed")];
        assert_eq!(ran.verdicts(), logged(&expected), "{ran}");
        processes(&ran);
        for name in ["aborts", "exits", "fails"] {
            let test = ran.test(&format!("logs::{name}"));
            let output = fixture::text(&test["output"]);
            let own = format!("{name} prints to stdout");
            assert!(output.contains(&own) && output.contains(&own.replace("out", "err")), "{ran}");
        }
        assert_eq!(ran.test("logs::aborts")["reason"], "SIGABRT", "{ran}");
    }
    let ran = call("hangs").args("-j1 --timeout 1s").run().exits(100);
    assert_eq!(ran.verdicts(), logged(&[("hangs", "timed-out")]), "{ran}");
    processes(&ran);
}

#[test]
fn a_harness_whose_log_does_not_add_up_runs_its_tests_one_by_one_until_it_is_built_again() {
    let package = logs();
    let looks_like_mimic = LOGS.replace("\"--list\"", KEEPS);
    let table = ["forgets one", "skips nothing", "starts none", "says it twice", "exits with 0"];
    let table = table.map(|wrong| (wrong, LOGS)).into_iter();
    for (wrong, text) in table.chain([("skips nothing", &*looks_like_mimic)]) {
        package.write("tests/logs.rs", &format!("{text}\nconst _: &str = {wrong:?};"));
        // It counts no failure, and so does no exit code.
        let passes = wrong == "exits with 0";
        let call = || {
            let call = package.partest().json().args("-j3 --no-fail-fast");
            call.env("WRONG", wrong).env("DO", "fails")
        };
        let expected = logged(&[("fails", if passes { "passed" } else { "failed" })]);
        let code = if passes { 0 } else { 100 };
        let says_so = "the log of the custom harness `logs` does not agree";
        let ran = call().run().exits(code);
        assert_eq!(ran.verdicts(), expected, "{wrong}: {ran}");
        assert!(ran.stderr.contains(says_so), "{wrong}: {ran}");
        let ran = call().run().exits(code);
        assert_eq!(ran.verdicts(), expected, "{wrong}: {ran}");
        assert_eq!(processes(&ran).len(), 29, "{wrong}: {ran}");
        assert!(!ran.stderr.contains(says_so), "{wrong}: {ran}");
    }
    package.write("tests/logs.rs", LOGS);
    let ran = package.partest().json().args("-j1").run().exits(0);
    assert!(processes(&ran).len() < 15, "{ran}");
}

/// A name moves the cursor, sets the title, and forges a line.
#[test]
fn a_name_reaches_the_terminal_as_text_only() {
    let names = r#"
        const NAME: &str = "cases::\u{1b}[2J\u{1b}]0;title\u{7}hides\u{8}\u{202e}";
        fn main() -> std::process::ExitCode {
            let wanted = std::env::args().skip_while(|word| word != "--exact").nth(1);
            assert!(wanted.is_none_or(|wanted| wanted == NAME));
            if shop::asked("--list") && shop::asked("terse") { return shop::only(NAME) }
            println!("\u{1b}[2Jprinted");
            std::process::ExitCode::from(101)
        }
    "#;
    let only = r#"
        /// None is ignored.
        pub fn only(name: &str) -> ExitCode {
            if !asked("--ignored") { println!("{name}: test") }
            ExitCode::SUCCESS
        }
    "#;
    let package = Package::shop(
        "[[test]]\nname = \"names\"\nharness = false\n[package.metadata.partest]\npolicy = \"unit\"\n",
        &format!("{SHOP}{only}"),
    );
    package.write("tests/names.rs", names);
    let whole = "cases::\u{1b}[2J\u{1b}]0;title\u{7}hides\u{8}\u{202e}";
    for (words, last, code) in [
        ("--retries 1 --status-level all --test", "names", 100),
        ("list --test", "names", 0),
        ("plan --test", "names", 0),
        ("explain", whole, 0),
        ("explain", "cases", 2),
    ] {
        for color in ["never", "always"] {
            let call = package.partest().args(words).arg(last).env("CARGO_TERM_COLOR", color);
            let ran = call.run().exits(code);
            let text = console::strip_ansi_codes(&ran.stdout).into_owned() + &ran.stderr;
            assert!(text.contains("names::cases::hides\u{fffd}\u{fffd}"), "{ran}");
            for sign in ["\u{1b}[2J", "\u{1b}]", "\u{7}", "\u{8}", "\u{202e}"] {
                assert!(![&ran.stdout, &ran.stderr].iter().any(|on| on.contains(sign)), "{ran}");
            }
        }
    }
}
