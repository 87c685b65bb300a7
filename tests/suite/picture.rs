//! What ran when and where: as a trace, read by Chromium's own reader as well, and as a page, looked
//! at in a browser.
//!
//! Chromium is looked for on this machine, and its reader of traces where `PARTEST_TRACE_VIEWER`
//! says: in the directory of `catapult_trace_viewer.js`. Where one is not there, the tests that need
//! it are left out, which the last line of `cargo test` says. `.ci/run` gets both if it can.

#![cfg(target_os = "linux")]

mod browser;
mod merged;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::fixture::{self, Package, Ran, skip};
use browser::{browse, script};
use serde_json::{Value, json};

const TESTS: &str = r#"
#[cfg(test)]
mod tests {
    use std::time::Duration;
    #[test] fn aborts() { std::process::abort(); }
    #[test] fn compares() { assert_eq!(vec![1, 2], vec![1, 3], "</script><img src=x onerror=alert(1)>"); }
    #[test] #[ignore] fn ignored() {}
    #[test] fn leaves_a_child() {
        std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    }
    #[test] fn leaves_a_thread() {
        std::thread::Builder::new().name("</script>".into())
            .spawn(|| std::thread::sleep(Duration::MAX)).unwrap();
    }
    #[test] fn flickers() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("f");
        assert!(std::fs::write(&log, std::fs::read(&log).map_or(vec![1], |_| vec![])).is_ok());
        assert!(std::fs::read(&log).unwrap().is_empty(), "not yet");
    }
}
#[cfg(test)]
mod unit {
    #[test] fn first() { std::thread::sleep(std::time::Duration::from_millis(30)); }
    #[test] fn second() { std::thread::sleep(std::time::Duration::from_millis(30)); }
    #[test] fn third() {}
}
#[cfg(test)]
mod served {
    #[test] fn one() {}
    #[test] fn two() {}
}
"#;

const KEYS: &str = r#"
[package.metadata.partest.reports]
html = "out/page.html"
trace = "out/trace.json"
[package.metadata.partest.modules]
"shop::tests" = { policy = "split", isolate = true }
"shop::tests::flickers" = { retries = 1 }
"shop::unit" = { policy = "unit", threads = 1 }
"shop::served" = { policy = "shared", fixture = "server" }
[package.metadata.partest.fixtures.server]
start = ["sh", "-c", "echo PARTEST_READY; cat"]
"#;

/// The run that all tests look at.
struct Run {
    ran: Ran,
    page: String,
    trace: String,
}

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let package = Package::shop(KEYS, TESTS).with_debug_info();
        let ran = package.partest().json().args("-j3").run().exits(100);
        let read = |path: &str| std::fs::read_to_string(package.path(path)).unwrap();
        let left: Vec<_> = std::fs::read_dir(package.path("out")).unwrap().collect();
        assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
        Run { page: read("out/page.html"), trace: read("out/trace.json"), ran }
    })
}

fn events(trace: &str) -> Vec<Value> {
    let read: Value = serde_json::from_str(trace).unwrap();
    assert_eq!(read["displayTimeUnit"], "ms");
    read["traceEvents"].as_array().unwrap().clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

fn track(event: &Value) -> (u64, u64) {
    (number(&event["pid"]), number(&event["tid"]))
}

/// Beginning and end.
fn span(slice: &Value) -> (u64, u64) {
    (number(&slice["ts"]), number(&slice["ts"]) + number(&slice["dur"]))
}

fn of_category<'e>(events: &'e [Value], phase: &str, category: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["ph"] == phase && event["cat"] == category).collect()
}

/// How often each test has run, by its id.
fn attempts(ran: &Ran) -> BTreeMap<String, usize> {
    let mut attempts = BTreeMap::new();
    for test in ran.tests().iter().filter(|test| test["outcome"] != "ignored") {
        let before = test["failed-before"].as_array().map_or(0, Vec::len);
        attempts.insert(fixture::text(&test["id"]), before + 1);
    }
    attempts
}

mod trace {
    use super::*;

    #[test]
    fn every_attempt_is_a_slice_within_its_process() {
        let Run { ran, trace, .. } = run();
        let events = events(trace);
        let processes = of_category(&events, "X", "process");
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for test in of_category(&events, "X", "test") {
            *seen.entry(fixture::text(&test["name"])).or_default() += 1;
            let worker = &test["args"]["worker"];
            let process = processes.iter().find(|process| process["args"]["worker"] == *worker);
            let process = process.unwrap_or_else(|| panic!("no process for {test}"));
            let ((begin, end), (from, to)) = (span(test), span(process));
            assert!(from <= begin && begin <= end && end <= to, "{test} is not in {process}");
            assert!(number(&process["args"]["pid"]) > 1, "{process}");
        }
        assert_eq!(seen, attempts(ran), "{ran}");
        assert_eq!(seen["shop::tests::flickers"], 2, "{ran}");
        // Those of a unit with one thread are one after another.
        let unit = of_category(&events, "X", "test");
        let unit = unit.iter().filter(|test| fixture::text(&test["name"]).contains("::unit::"));
        let mut spans: Vec<(u64, u64)> = unit.map(|test| span(test)).collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    }

    #[test]
    fn the_slices_of_a_track_are_nested_and_all_tracks_have_names() {
        let events = events(&run().trace);
        are_nested_and_named(&events);
        let known = ["M", "X", "i", "C", "b", "e"];
        let unknown = |event: &&Value| !known.iter().any(|phase| event["ph"] == *phase);
        assert_eq!(events.iter().find(unknown), None);
    }

    #[track_caller]
    pub fn are_nested_and_named(events: &[Value]) {
        let mut tracks: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
        for slice in events.iter().filter(|event| event["ph"] == "X") {
            tracks.entry(track(slice)).or_default().push(span(slice));
        }
        let named = |what: &str| -> BTreeSet<(u64, u64)> {
            events.iter().filter(|event| event["name"] == what).map(track).collect()
        };
        let (processes, threads) = (named("process_name"), named("thread_name"));
        assert!(!tracks.is_empty());
        for (track, mut spans) in tracks {
            assert!(threads.contains(&track) && processes.contains(&(track.0, 0)), "{track:?}");
            spans.sort_by_key(|(begin, end)| (*begin, std::cmp::Reverse(*end)));
            let mut open: Vec<(u64, u64)> = Vec::new();
            for span in spans {
                open.retain(|outer| outer.1 > span.0 || (outer.1 == span.0 && span.1 == span.0));
                assert!(open.iter().all(|outer| span.1 <= outer.1), "{track:?}: {span:?} {open:?}");
                open.push(span);
            }
        }
    }

    #[test]
    fn what_was_left_behind_outlives_its_test() {
        let events = events(&run().trace);
        let begins = of_category(&events, "b", "leak");
        for (kind, test) in
            [("thread </script>", "leaves_a_thread"), ("process sleep 1000", "leaves_a_child")]
        {
            let leak = begins.iter().find(|leak| leak["name"] == kind);
            let leak = leak.unwrap_or_else(|| panic!("no {kind} in {begins:?}"));
            let ends = of_category(&events, "e", "leak");
            let end = ends.iter().find(|end| end["id"] == leak["id"]).unwrap();
            let test = format!("shop::tests::{test}");
            assert_eq!(leak["args"]["test"], test.as_str());
            let tests = of_category(&events, "X", "test");
            let slice = tests.iter().find(|slice| slice["name"] == test.as_str()).unwrap();
            assert_eq!(leak["ts"], slice["ts"]);
            assert!(number(&end["ts"]) > span(slice).1, "{leak} {slice}");
        }
        assert_eq!(begins.len(), 2);
    }

    #[test]
    fn it_has_the_build_the_fixture_failures_and_counters() {
        let events = events(&run().trace);
        let stages = of_category(&events, "X", "stage");
        assert!(stages.iter().any(|stage| stage["name"] == "building"), "{stages:?}");
        let fixtures = of_category(&events, "X", "fixture");
        let server = fixtures.iter().find(|fixture| fixture["name"] == "server").unwrap();
        assert_eq!(server["args"]["end"], "stopped");
        let (ready, _) = span(server);
        for test in of_category(&events, "X", "test") {
            let is_served = fixture::text(&test["name"]).contains("::served::");
            assert!(!is_served || span(test).0 >= ready, "{test} {server}");
        }
        let failures = of_category(&events, "i", "failure");
        let names: BTreeSet<String> =
            failures.iter().map(|failure| fixture::text(&failure["name"])).collect();
        let expected = [
            "aborted: shop::tests::aborts",
            "failed: shop::tests::compares",
            "failed: shop::tests::flickers",
        ];
        assert_eq!(names, expected.map(str::to_owned).into());
        for (name, what) in [("running tests", "tests"), ("slots busy", "slots")] {
            let samples = events.iter().filter(|event| event["name"] == name);
            let samples: Vec<i64> =
                samples.map(|event| event["args"][what].as_i64().unwrap()).collect();
            assert!(samples.iter().all(|sample| (0..=3).contains(sample)), "{name}: {samples:?}");
            assert!(samples.iter().any(|sample| *sample > 0), "{name}");
            assert_eq!(samples.last(), Some(&0), "{name}");
        }
    }

    /// The reader of Chromium's own `chrome://tracing`, which Perfetto's page has as well.
    #[test]
    fn chromiums_reader_finds_all_slices_and_has_no_complaint() {
        let reason = "PARTEST_TRACE_VIEWER does not name a directory with catapult_trace_viewer.js";
        let Some(viewer) = std::env::var_os("PARTEST_TRACE_VIEWER") else { return skip(reason) };
        let viewer = PathBuf::from(viewer);
        let read = |name: &str| std::fs::read_to_string(viewer.join(name)).expect(reason);
        let (markup, code) = (read("catapult_trace_viewer.html"), read("catapult_trace_viewer.js"));
        let markup = markup.replace("<script src=\"catapult_trace_viewer.js\"></script>", "");
        let trace = &run().trace;
        let page = format!(
            "{markup}<script>{code}</script>{}{}",
            script("trace", trace),
            include_str!("picture/reads_a_trace.html")
        );
        let Some(found) = browse(&page) else { return };
        assert_eq!(found["warnings"], json!([]), "{found}");
        let events = events(trace);
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let name_of = |track| {
            let is_it =
                |event: &&Value| event["name"] == "thread_name" && self::track(event) == track;
            fixture::text(&events.iter().find(is_it).unwrap()["args"]["name"])
        };
        for slice in events.iter().filter(|event| event["ph"] == "X" || event["ph"] == "i") {
            *expected.entry(name_of(track(slice))).or_default() += 1;
        }
        assert_eq!(found["threads"], json!(expected), "{found}");
        assert_eq!(found["asynchronous"], 2, "{found}");
        assert_eq!(found["counters"], json!(["running tests", "slots busy"]), "{found}");
    }
}

mod page {
    use super::*;

    #[test]
    fn it_needs_nothing_else_and_no_text_of_a_test_is_markup() {
        let page = &run().page;
        for word in [" src=", "@import", "url(", "<link rel=\"style", "http://", "https://"] {
            let lines: Vec<&str> = page.lines().filter(|line| line.contains(word)).collect();
            let told = |line: &&str| !line.contains("&lt;img src=x onerror=");
            assert_eq!(lines.into_iter().find(told), None, "{word}");
        }
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"));
        assert!(page.contains("\"\\u003c/script>\""), "the thread's name");
    }

    #[test]
    fn without_a_script_it_has_failures_leaks_the_bound_and_a_table() {
        let Run { page, ran, .. } = run();
        let failures = page.split_once("<section id=\"failures\"").unwrap().1;
        let (failures, rest) = failures.split_once("</section>").unwrap();
        let at = |words: &str| failures.find(words).unwrap_or_else(|| panic!("no {words}"));
        assert!(at("<b>aborts</b>") < at("<b>flickers</b>"), "failures come first");
        at("<b>compares</b>");
        at("src/lib.rs:6:");
        at("cargo partest -p shop --lib -- --exact tests::compares");
        let leaks = rest.split_once("<section id=\"leaks\"").unwrap().1;
        assert!(leaks.contains("process</span> `sleep 1000` started at"), "{leaks}");
        assert!(rest.contains("With 3 slots they could not be done in less than"), "{rest}");
        let table = page.split_once("<table>").unwrap().1;
        assert_eq!(table.matches("<tr class=").count(), ran.tests().len());
        assert!(page.contains("<rect class=\"failed\""));
    }

    #[test]
    fn in_a_browser_it_draws_searches_and_fits_at_every_width() {
        let probe = include_str!("picture/probe.html");
        let page = script("page", &serde_json::to_string(&run().page).unwrap());
        let Some(found) = browse(&format!("{page}{probe}")) else { return };
        let tests = run().ran.tests().len();
        for width in ["390", "900", "1600"] {
            let seen = &found[width];
            assert_eq!(seen["trouble"], json!([]), "{width}: {found}");
            assert_eq!(seen["overflow"], 0, "{width}: {found}");
            assert_eq!(seen["images"], 0, "{width}: {found}");
            for color in ["bad", "flaky", "leak", "pass"] {
                assert!(number(&seen["pixels"][color]) > 10, "{color} at {width}: {found}");
            }
            assert_eq!(seen["rows"], tests, "{width}: {found}");
            // Two have failed, and either may have taken longer.
            let first = fixture::text(&seen["first"]);
            let failed = ["shop::tests::aborts", "shop::tests::compares"];
            assert!(failed.contains(&&*first), "{width}: {found}");
            assert_eq!(seen["searched"], json!(["shop::tests::flickers"]), "{width}: {found}");
            assert_eq!(seen["cards"], json!(["flickers"]), "{width}: {found}");
            assert_eq!(seen["status"], format!("1 of {tests}"), "{width}: {found}");
            assert_eq!(seen["filtered"], json!(["aborts", "compares"]), "{width}: {found}");
            for change in ["zoomed", "moved", "wheeled", "dragged"] {
                assert_eq!(seen[change], true, "{change} at {width}: {found}");
            }
            assert_eq!(seen["restored"], true, "{width}: {found}");
            assert!(fixture::text(&seen["chosen"]).contains(&first), "{width}: {found}");
            assert_eq!(seen["unnamed"], json!([]), "controls without a name at {width}: {found}");
        }
        let plain = &found["plain"];
        assert_eq!(plain["overflow"], 0, "{found}");
        assert_eq!(plain["controls"], 0, "{found}");
        assert_eq!(plain["rows"], tests, "{found}");
        assert!(number(&plain["bars"]) >= tests as u64 - 1, "{found}");
        assert!(
            fixture::text(&plain["text"]).contains("assertion `left == right` failed"),
            "{found}"
        );
    }
}

/// Nothing that failed is a test: the page says so all the same, and why.
#[test]
fn a_run_that_failed_without_a_failed_test_does_not_look_like_one_that_passed() {
    let page = |package: &Package, code: i32| {
        package.partest().args("--html p.html --leaks deny").run().exits(code);
        std::fs::read_to_string(package.path("p.html")).unwrap()
    };
    let lost = page(&Package::with_a_lost_list(), 1);
    assert!(lost.contains("<title>failed – "), "{lost}");
    assert!(lost.contains("<span class=\"count not-listed\"><b>1</b> not listed</span>"), "{lost}");
    let failures = lost.split_once("<section id=\"failures\"").map(|(_, rest)| rest);
    let failures = failures.unwrap_or_else(|| panic!("no failures: {lost}"));
    let (failures, _) = failures.split_once("</section>").unwrap();
    assert!(failures.contains("cannot list the tests of `lost`"), "{failures}");
    assert!(failures.contains("no file catalogue.txt"), "{failures}");

    let leaks = "#[test] fn leaks() { std::thread::spawn(|| loop { std::thread::park() }); }\n";
    let leaks = page(&Package::shop("", leaks), 102);
    assert!(leaks.contains("<title>failed – "), "{leaks}");
    assert!(leaks.contains("<span class=\"count denied\"><b>1</b> denied</span>"), "{leaks}");
}

#[test]
fn an_interrupted_run_is_drawn() {
    let library = r#"
        #[test] fn a_passes() {}
        #[test] fn b_hangs() {
            let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
            std::fs::write(log.join("hangs"), "now\n").unwrap();
            loop { std::thread::park(); }
        }
    "#;
    let keys = "[package.metadata.partest]\npolicy = \"unit\"\nthreads = 1\n";
    let package = Package::shop(keys, library);
    let running = package.partest().args("-j1 --html new/p.html --trace new/t.json").start();
    running.await_log("hangs");
    running.send(rustix::process::Signal::INT);
    let ran = running.wait().exits(130);
    let read = |path: &str| std::fs::read_to_string(package.path(path)).unwrap();
    let events = events(&read("new/t.json"));
    let tests = of_category(&events, "X", "test");
    let outcomes: Vec<(String, String)> = tests
        .iter()
        .map(|test| (fixture::text(&test["name"]), fixture::text(&test["args"]["outcome"])))
        .collect();
    let expected = [("shop::a_passes", "passed"), ("shop::b_hangs", "interrupted")];
    assert_eq!(outcomes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{ran}");
    assert!(read("new/p.html").contains("<b>1</b> interrupted"), "{ran}");
}
