//! `cargo partest merge`: the shards of a run become one report, and whatever is missing, twice or of
//! another run is named.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::fixture::{Call, Package, Ran, text};
use serde_json::Value;

/// A library with a test of each kind, and a second binary.
static SHOP: LazyLock<Package> = LazyLock::new(|| {
    let library = r#"
        #[cfg(test)] mod stock {
            #[test] fn passes() {}
            #[test] fn fails() { println!("counting"); assert_eq!(1 + 1, 3, "the sum"); }
            #[test] fn aborts() { eprintln!("the end is near"); std::process::abort() }
            #[test] #[ignore] fn is_ignored() {}
            #[test] #[ignore] fn fails_if_it_runs() { panic!("it ran") }
            #[test] fn leaks() {
                std::thread::Builder::new().name("reaper".into()).spawn(std::thread::park).unwrap();
            }
            #[test] fn is_flaky() {
                let log = std::env::var("FIXTURE_LOG").unwrap();
                let seen = std::path::Path::new(&log).join("seen");
                let is_second = seen.exists();
                std::fs::write(seen, "").unwrap();
                assert!(is_second, "the first time");
            }
            #[test] fn hangs() { loop { std::thread::park() } }
        }
        #[cfg(test)] mod split {
            #[test] fn a() {}
            #[test] fn b() {}
            #[test] fn c() {}
            #[test] fn d() {}
        }
    "#;
    let manifest = "[package.metadata.partest]\nlinger = \"10ms\"\n\
        [package.metadata.partest.modules]\n\"shop::stock\" = { policy = \"split\", isolate = true }\n\
        api_v2 = { policy = \"shared\", fixture = \"server\" }\n\
        \"shop::stock::hangs\" = { policy = \"split\", isolate = true, timeout = \"300ms\" }\n\
        [package.metadata.partest.fixtures.server]\nstart = [\"false\"]\n";
    let package = Package::shop(manifest, library);
    package.write("tests/api-v2.rs", "#[test] fn is_blocked() {}\n");
    package.partest().args("--no-run").run().exits(0);
    package
});

/// Three shards of tests that pass, of one plan, each in its file.
static SHARDS: LazyLock<[String; 3]> = LazyLock::new(|| {
    [1, 2, 3].map(|shard| {
        let ran = shop(&format!("--shard {shard}/3 split:: stock::passes")).json().run();
        ran.exits(0).stdout
    })
});

fn shop(words: &str) -> Call {
    SHOP.partest().args(words)
}

/// Files of these texts in a directory of their own, and a call that merges them.
struct Files(tempfile::TempDir);

impl Files {
    fn new(texts: &[(&str, &str)]) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        for (name, text) in texts {
            std::fs::write(files.path(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn merge(&self, names: &[&str]) -> Call {
        let call = SHOP.partest().arg("merge");
        names.iter().fold(call, |call, name| call.arg(self.path(name)))
    }

    /// Refuses to merge these files, and says why.
    #[track_caller]
    fn are_refused(&self, names: &[&str], why: &[&str]) {
        let ran = self.merge(names).run().exits(1);
        for why in why {
            assert!(ran.stderr.contains(why), "no `{why}`: {ran}");
        }
        assert_eq!(ran.stdout, "", "{ran}");
    }
}

/// The text without what differs from run to run.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let parts = line.split_inclusive([' ', '(', '"']).collect::<Vec<_>>();
        for (at, part) in parts.iter().enumerate() {
            let number = part.trim_end_matches([' ', '(', '"', ')']);
            let is_number = !number.is_empty() && number.parse::<f64>().is_ok();
            let unit = parts.get(at + 1).is_some_and(|next| next.starts_with('s'));
            let is_attribute = at > 0 && parts[at - 1].ends_with("time=\"");
            words.push(if is_number && (unit || is_attribute) {
                "TIME ".into()
            } else {
                (*part).into()
            });
        }
        words.push("\n".into());
    }
    words.concat()
}

#[test]
fn a_stream_gives_the_reports_of_its_run() {
    let log = tempfile::tempdir().unwrap();
    let files = Files::new(&[]);
    let reports = [("junit", "xml"), ("markdown", "md")];
    let with_reports = |call: Call, name: &str| {
        reports.iter().fold(call, |call, (kind, ending)| {
            call.arg(format!("--{kind}")).arg(files.path(&format!("{name}.{ending}")))
        })
    };
    let call = shop("--retries 1 -j2").env("FIXTURE_LOG", log.path()).json();
    let call = with_reports(call, "run").args("-- --include-ignored");
    let ran = call.run().exits(100);
    std::fs::write(files.path("run.json"), &ran.stdout).unwrap();
    let merged = with_reports(files.merge(&["run.json"]).json(), "merged").run().exits(100);
    for (_, ending) in reports {
        let read = |name: &str| {
            let text = std::fs::read_to_string(files.path(&format!("{name}.{ending}"))).unwrap();
            without_times(&text)
        };
        assert_eq!(read("run"), read("merged"), "{ending}");
    }
    // Its own stream too, but for the files of output and what only the machine knew.
    let tests = |ran: &Ran| -> Vec<Value> {
        let mut tests = ran.tests();
        tests.sort_by_key(|test| text(&test["id"]));
        tests
    };
    assert_eq!(tests(&ran), tests(&merged));
    let times = |ran: &Ran| -> Vec<Value> {
        let kinds = ["stage-ended", "worker-ended", "fixture"];
        let is_one = |event: &Value| kinds.iter().any(|kind| event["event"] == *kind);
        ran.events().into_iter().filter(is_one).collect()
    };
    assert!(times(&ran).len() > 8, "{ran}");
    assert_eq!(times(&ran), times(&merged));
    assert_eq!(ran.finished(), merged.finished());
    let outcomes: Vec<String> = tests(&ran).iter().map(|test| text(&test["outcome"])).collect();
    for outcome in ["passed", "failed", "aborted", "timed-out", "blocked"] {
        assert!(outcomes.iter().any(|of| of == outcome), "{outcome}: {ran}");
    }
}

/// Merges the stream of this run, which gives its counts, its last line and its exit code.
#[track_caller]
fn is_the_same_when_merged(call: Call) -> [Ran; 2] {
    let files = Files::new(&[]);
    let with_markdown = |call: Call, name| call.json().arg("--markdown").arg(files.path(name));
    let ran = with_markdown(call, "run.md").run();
    std::fs::write(files.path("run.json"), &ran.stdout).unwrap();
    let merged = with_markdown(files.merge(&["run.json"]), "merged.md").run();
    assert_eq!(merged.code(), ran.code(), "{ran}{merged}");
    assert_eq!(merged.finished(), ran.finished());
    let last_line = |name: &str| {
        let text = std::fs::read_to_string(files.path(name)).unwrap();
        without_times(text.lines().nth(2).unwrap())
    };
    assert_eq!(last_line("merged.md"), last_line("run.md"), "{ran}");
    [ran, merged]
}

#[test]
fn a_test_that_another_one_interfered_with_is_not_flaky() {
    let package = Package::two_that_meet();
    let [ran, merged] = is_the_same_when_merged(package.partest().args("-j2"));
    assert_eq!(ran.finished()["interfered"], 1, "{ran}");
    assert_eq!(merged.test("one::reads"), ran.test("one::reads"));
    let files = Files::new(&[("run.json", &ran.stdout)]);
    let merged = files.merge(&["run.json"]).run().exits(0);
    for words in ["one::reads: failed beside other::removes, ", "2 passed, 1 interfered with in "] {
        assert!(merged.stdout.contains(words), "{words}\n{merged}");
    }
}

#[test]
fn what_could_not_be_listed_or_was_not_chosen_counts_as_in_the_run() {
    let broken = "#[cfg(doc)] compile_error!(\"nobody documents this\");\n/// ```\n/// ```\n\
        pub fn open() {}\n#[test] fn opens() {}\n#[test] fn closes() {}\n";
    let package = Package::shop("", broken);
    let [ran, _] = is_the_same_when_merged(package.partest().args("opens"));
    assert_eq!((ran.code(), &ran.finished()["filtered-out"]), (Some(101), &1.into()), "{ran}");
    let [ran, _] = is_the_same_when_merged(Package::with_a_lost_list().partest());
    assert_eq!((ran.code(), &ran.finished()["list-failures"]), (Some(1), &1.into()), "{ran}");
    // Each shard knows of all of that, and it has happened once.
    let shard = |shard| {
        let ran = package.partest().args(&format!("--shard {shard}/2 opens")).json().run();
        ran.exits(101).stdout
    };
    let files = Files::new(&[("1", &shard(1)), ("2", &shard(2))]);
    let merged = files.merge(&["1", "2"]).run().exits(101);
    let last = "1 passed, doctests of 1 package not built, 1 filtered out in ";
    assert!(merged.stdout.contains(last), "{merged}");
}

/// The source lines, commands and hints are those of the run.
#[test]
fn the_report_for_people_is_the_same() {
    let words = "--offline stock::fails stock::aborts split:: --status-level none";
    let files = Files::new(&[("run.json", &shop(words).json().run().exits(100).stdout)]);
    let expected = shop(words).run().exits(100);
    let merged = files.merge(&["run.json"]).run().exits(100);
    // How long tests take, and so which are slow, differs.
    let failures = |ran: &Ran| {
        let (_, failures) = ran.stdout.split_once("failures:\n").unwrap();
        let end = ["slowest:", "failed tests:"].iter().filter_map(|heading| failures.find(heading));
        without_times(&failures[..end.min().unwrap()]).replace(" (TIME s)", "")
    };
    assert_eq!(failures(&merged), failures(&expected), "{merged}");
    assert!(merged.stdout.contains("rerun: cargo partest -p shop --lib --offline"), "{merged}");
    assert!(merged.stdout.contains("  > 4 | "), "{merged}");
}

#[test]
fn shards_become_one_report_and_one_exit_code() {
    let streams = [1, 2, 3].map(|shard| {
        let log = tempfile::tempdir().unwrap();
        let words = format!("--shard {shard}/3 --retries 1");
        shop(&words).env("FIXTURE_LOG", log.path()).json().run().stdout
    });
    let files = Files::new(&[("1", &streams[0]), ("2", &streams[1]), ("3", &streams[2])]);
    let merged = files.merge(&["3", "1", "2"]).json().run().exits(100);
    assert_eq!(merged.verdicts().len(), 13, "{merged}");
    let count = |event: &Value, field: &str| event[field].as_u64().unwrap();
    let last = merged.finished();
    for field in
        ["passed", "failed", "ignored", "timed-out", "aborted", "blocked", "leaks", "flaky"]
    {
        let of = |stream: &String| {
            let last: Value = serde_json::from_str(stream.lines().last().unwrap()).unwrap();
            count(&last, field)
        };
        assert_eq!(count(&last, field), streams.iter().map(of).sum::<u64>(), "{field}: {merged}");
    }
    assert!(last.get("in-other-shards").is_none(), "{merged}");
    // Slots are numbered through, as processes are.
    let workers = |events: Vec<Value>| -> Vec<Value> {
        events.into_iter().filter(|event| event["event"] == "worker-ended").collect()
    };
    let of = |stream: &String| -> Vec<Value> {
        workers(stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    let all = workers(merged.events());
    assert_eq!(all.len(), streams.iter().map(|stream| of(stream).len()).sum::<usize>());
    let numbers: BTreeSet<u64> = all.iter().map(|worker| count(worker, "worker")).collect();
    assert_eq!(numbers.len(), all.len(), "{merged}");
    let last = of(&streams[2]).len();
    let least = all[all.len() - last..].iter().map(|worker| worker["slots"][0].as_u64().unwrap());
    assert!(least.min().unwrap() > 0, "the slots of the last shard come last; {merged}");
    let report = files.merge(&["1", "2", "3"]).run().exits(100);
    let counts = "1 failed, 1 timed out, 1 aborted, 1 blocked, 7 passed, 2 ignored, 1 flaky, 1 leak, 1 fixture failed in";
    assert!(report.stdout.contains(counts), "{report}");
    assert!(report.stderr.contains("     Merging 13 tests of 2 binaries"), "{report}");
}

#[test]
fn shards_that_pass_pass_together_and_give_a_file_of_durations() {
    let [one, two, three] = &*SHARDS;
    let files = Files::new(&[("1", one), ("2", two), ("3", three)]);
    let path = files.path("durations.toml");
    std::fs::write(&path, "[\"shop/lib/shop\"]\ngone = 4.0\n\"split::a\" = 2.0\n").unwrap();
    let merge = || files.merge(&["1", "2", "3"]).arg("--durations-file").arg(&path);
    let merged = merge().run().exits(0);
    assert!(merged.stdout.starts_with("5 passed, 8 filtered out in "), "{merged}");
    let durations = std::fs::read_to_string(&path).unwrap();
    assert!(!durations.contains("= 2.0"), "{durations}");
    assert!(durations.contains("gone = 4.0"), "filters have left tests out: {durations}");
}

#[test]
fn what_is_missing_or_twice_is_named() {
    let [one, two, three] = &*SHARDS;
    let half = &two[..two.find("\"run-finished\"").unwrap()];
    let files = Files::new(&[("1", one), ("2", two), ("3", three), ("again", two)]);
    let more = [
        ("half", half.to_owned()),
        ("empty", String::new()),
        ("appended", format!("{half}{two}")),
        ("doubled", format!("{two}{two}")),
        ("log", "Compiling shop\n".to_owned()),
        (
            "failed",
            r#"{"event":"build-failed","reason":"the build failed","errors":[],"exit-code":101}"#
                .to_owned(),
        ),
    ];
    more.iter().for_each(|(name, text)| std::fs::write(files.path(name), text).unwrap());
    files.are_refused(&["1", "3"], &["shard 2/3 is missing"]);
    files.are_refused(&["1"], &["shard 2/3 is missing", "shard 3/3 is missing"]);
    files.are_refused(&["1", "3", "half"], &["shard 2/3 is incomplete", "/half` is cut off after"]);
    files.are_refused(
        &["1", "3", "empty"],
        &["shard 2/3 is missing", "/empty` has no result: it is empty"],
    );
    files.are_refused(&["1", "3", "failed"], &["/failed` has no result: the build failed"]);
    files.are_refused(
        &["1", "2", "3", "again"],
        &["shard 2/3 appears twice: in `", "/2` and `", "/again`"],
    );
    files.are_refused(&["1", "doubled", "3"], &["shard 2/3 appears twice"]);
    files.are_refused(&["1", "2", "3", "log"], &["/log` is not a result of `cargo partest"]);
    files.are_refused(&["1", "2", "nowhere"], &["cannot read `", "/nowhere`"]);
    // The machine of a shard died, and the shard was started again.
    for names in [&["1", "half", "3", "2"][..], &["1", "appended", "3"], &["failed", "1", "2", "3"]]
    {
        let merged = files.merge(names).run().exits(0);
        assert!(merged.stdout.starts_with("5 passed, 8 filtered out in "), "{merged}");
        assert!(merged.stderr.contains("warning: left out: `"), "{merged}");
    }
    let json = files.merge(&["1"]).json().run().exits(1);
    assert_eq!(json.events().last().unwrap()["event"], "error", "{json}");
}

#[test]
fn shards_of_other_plans_or_runs_are_named() {
    let [one, two, three] = &*SHARDS;
    let other = shop("--shard 2/3 split::").json().run().exits(0).stdout;
    let of_two = shop("--shard 2/2 split:: stock::passes").json().run().exits(0).stdout;
    let whole = shop("split::").json().run().exits(0).stdout;
    let pipeline = |text: &str, number: u32| {
        text.replace("\"pipeline\":null", &format!("\"pipeline\":\"CI_PIPELINE_ID={number}\""))
    };
    let files = Files::new(&[("1", one), ("2", two), ("3", three), ("other", &other)]);
    let more = [
        ("of_two", of_two),
        ("whole", whole),
        ("p1", pipeline(one, 1)),
        ("p2", pipeline(two, 2)),
        ("p3", pipeline(three, 1)),
        ("p4", pipeline(two, 1)),
    ];
    more.iter().for_each(|(name, text)| std::fs::write(files.path(name), text).unwrap());
    let different = ["/1` and `", "/other` are shards of different plans: 3 shards, plan"];
    files.are_refused(&["1", "other", "3"], &different);
    files.are_refused(
        &["1", "of_two"],
        &["/of_two` are shards of different plans", "2 shards, plan"],
    );
    files.are_refused(&["1", "2", "3", "whole"], &["/whole` is a complete run, not a shard"]);
    let runs = "are shards of different runs: CI_PIPELINE_ID=1 and CI_PIPELINE_ID=2";
    files.are_refused(&["p1", "p2", "p3"], &[runs]);
    files.merge(&["p1", "p4", "p3"]).run().exits(0);
}

#[test]
fn a_test_that_no_shard_or_two_have_run_is_named() {
    let [one, two, three] = &*SHARDS;
    let is_test = |line: &&str| line.starts_with("{\"event\":\"test\"");
    let streams = [one, two, three];
    let at = streams.iter().position(|stream| stream.lines().any(|line| is_test(&line))).unwrap();
    let stream = streams[at];
    let line = stream.lines().find(is_test).unwrap();
    let id = text(&serde_json::from_str::<Value>(line).unwrap()["id"]);
    let without = stream.replace(&format!("{line}\n"), "");
    let other = streams[(at + 1) % 3]
        .replace("{\"event\":\"run-fin", &format!("{line}\n{{\"event\":\"run-fin"));
    let third = streams[(at + 2) % 3];
    let files = Files::new(&[("a", stream), ("b", &other), ("c", third), ("hole", &without)]);
    let names = ["1/3", "2/3", "3/3"];
    let twice = format!("`{id}` was run twice: by shard ");
    files.are_refused(&["a", "b", "c"], &[&twice, names[at], names[(at + 1) % 3]]);
    std::fs::write(files.path("b"), streams[(at + 1) % 3]).unwrap();
    let hole = format!("no shard has run `{id}`, which belongs to shard {} (`", names[at]);
    files.are_refused(&["hole", "b", "c"], &[&hole]);
}

/// The machine dies while tests run: what it has written has no end.
#[test]
fn a_shard_whose_machine_died_is_named_until_it_has_run_again() {
    let words = "--shard 1/1 stock::hangs split::";
    let mut killed = shop(words).args("--timeout 100s").json().start();
    killed.await_stderr("Shard 1/1");
    killed.send(rustix::process::Signal::KILL);
    killed.await_end();
    let cut = killed.wait();
    let again = shop(words).json().run().exits(100);
    let files = Files::new(&[("cut", &cut.stdout), ("again", &again.stdout)]);
    files.are_refused(&["cut"], &["shard 1/1 is incomplete: `"]);
    let merged = files.merge(&["cut", "again"]).run().exits(100);
    assert!(merged.stdout.contains("1 timed out, 4 passed, 8 filtered out in "), "{merged}");
}
