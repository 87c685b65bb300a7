use std::collections::HashMap;

use proptest::prelude::*;

use super::list::*;
use super::logfile::*;
use super::report::*;
use super::select::*;
use crate::model::output::TruncatedOutput;

#[test]
fn a_list_is_read_around_chatter() {
    let text = "hello\n\na::b: test\nwith: colon: test\nr#fn: test\nbench: benchmark\nb: bench\n: test\nbye\n";
    assert_eq!(parse_list(text), ["a::b", "with: colon", "r#fn", "bench", "b"]);
}

/// As libtest 1.95 writes it, unescaped reasons and all.
#[test]
fn a_list_in_json_is_read_whole_or_not_at_all() {
    let line = |name: &str, rest: &str| {
        format!(
            "{{ \"type\": \"test\", \"event\": \"discovered\", \"name\": \"{name}\", {rest} }}\n"
        )
    };
    let end = |total: usize, ignored: usize| {
        format!(
            "{{ \"type\": \"suite\", \"event\": \"completed\", \"tests\": {total}, \
             \"benchmarks\": 0, \"total\": {total}, \"ignored\": {ignored} }}\n"
        )
    };
    let begin = "hello\n{ \"type\": \"suite\", \"event\": \"discovery\" }\n";
    let place = "\"source_path\": \"a.rs\", \"start_line\": 1";
    let runs = line("a::b", &format!("\"ignore\": false, \"ignore_message\": \"\", {place}"));
    let told = "\"ignore\": true, \"ignore_message\": \"because \"x\" \\ and\nmore\", ";
    let ignored = line("größe_\\\"", &format!("{told}{place}"));
    let tests = Some(vec![("a::b".to_owned(), false), ("größe_\"".to_owned(), true)]);
    let other = line("c", "\"ignore\": null, \"ignore_message\": \"\"");
    let table = [
        (format!("{begin}{runs}{ignored}{}", end(2, 1)), tests),
        (format!("{begin}{}", end(0, 0)), Some(Vec::new())),
        (format!("{begin}{runs}{ignored}"), None),
        (format!("{begin}{runs}{}", end(2, 1)), None),
        (format!("{begin}{runs}{ignored}{}", end(2, 0)), None),
        (format!("{begin}{other}{}", end(1, 0)), None),
        ("a::b: test\n".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expected) in table {
        assert_eq!(parse_json_list(&text), expected, "{text}");
    }
}

fn read_all(names: &[&str], chunks: &[&[u8]]) -> Vec<(String, LogfileVerdict, Option<String>)> {
    let mut all = by_name(names);
    all.insert("not::handed_out".into(), names.len());
    let mut reader = LogfileReader::new(&all, 0..names.len());
    let entries = chunks.iter().flat_map(|chunk| reader.read(chunk));
    entries
        .collect::<Vec<_>>()
        .into_iter()
        .map(|entry| (names[entry.test].to_owned(), entry.verdict, entry.message))
        .collect()
}

fn by_name(names: &[&str]) -> HashMap<String, usize> {
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect()
}

#[test]
fn the_line_of_an_ignored_test_does_not_swallow_the_next_one() {
    let found = read_all(&["a"], &[&b"ignored: two\nlines not::handed_out\nok a\n"[..]]);
    assert_eq!(found, [("a".into(), LogfileVerdict::Ok, None)]);
}

#[test]
fn a_name_may_be_cut_in_the_middle_of_a_letter() {
    let line = "ok größe\n".as_bytes();
    let found = read_all(&["größe"], &[&line[..6], &line[6..]]);
    assert_eq!(found, [("größe".into(), LogfileVerdict::Ok, None)]);
}

#[test]
fn ledger_lines_are_matched_from_their_end() {
    use LogfileVerdict::*;
    let names = ["a", "b", "c d", "m::e"];
    let found = read_all(
        &names,
        &[
            &b"ok a\nfai"[..],
            b"led: two\nlines of b c\n b\nignored: why not c d\nok z\nfailed m::e\nok a\n",
        ],
    );
    assert_eq!(
        found,
        [
            ("a".into(), Ok, None),
            ("b".into(), Failed, Some("two\nlines of b c".into())),
            ("c d".into(), Ignored, Some("why not".into())),
            ("m::e".into(), Failed, None),
        ]
    );
}

fn listed<'a>(tests: &[(&'a str, bool, bool)]) -> Vec<Listed<'a>> {
    let one = |&(name, is_ignored, is_chosen): &(&'a str, bool, bool)| Listed {
        name,
        is_ignored,
        is_chosen,
    };
    tests.iter().map(one).collect()
}

fn args(tests: &[(&str, bool, bool)]) -> String {
    select(&listed(tests)).args.join(" ")
}

#[test]
fn tests_are_chosen_in_the_cheapest_form() {
    let (yes, no) = (true, false);
    assert_eq!(args(&[("a", no, yes), ("b", no, yes), ("i", yes, no)]), "");
    assert_eq!(args(&[("a", no, yes), ("i", yes, yes)]), "--include-ignored");
    assert_eq!(args(&[("a", no, no), ("i", yes, yes)]), "--ignored");
    assert_eq!(args(&[("a", no, yes), ("b", no, yes), ("c", no, no)]), "--exact --skip c");
    assert_eq!(args(&[("a", no, yes), ("b", no, no), ("c", no, no)]), "--exact a");
    assert_eq!(args(&[("m::a", no, yes), ("m::b", no, yes), ("n::a", no, no)]), "m::");
    assert_eq!(
        args(&[("m::a", no, yes), ("m::b", no, yes), ("x::m::a", no, no)]),
        "--exact --skip x::m::a"
    );
    assert_eq!(
        args(&[("é::a", no, yes), ("è::b", no, yes), ("c", no, no), ("d", no, no)]),
        "--exact é::a è::b"
    );
}

/// What libtest would run, by its own rules.
fn simulate<'a>(tests: &[Listed<'a>], args: &[String]) -> Vec<&'a str> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let (mut filters, mut skips, mut words) = (Vec::new(), Vec::new(), args.iter());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--skip" => skips.extend(words.next()),
            flag if flag.starts_with("--") => {}
            _ => filters.push(word),
        }
    }
    let matches = |name: &str, filter: &String| match has("--exact") {
        true => name == filter,
        false => name.contains(filter.as_str()),
    };
    tests
        .iter()
        .filter(|t| filters.is_empty() || filters.iter().any(|f| matches(t.name, f)))
        .filter(|t| !skips.iter().any(|f| matches(t.name, f)))
        .filter(|t| match (has("--ignored"), has("--include-ignored")) {
            (true, _) => t.is_ignored,
            (_, true) => true,
            _ => !t.is_ignored,
        })
        .map(|t| t.name)
        .collect()
}

proptest! {
    #[test]
    fn exactly_the_chosen_tests_run(
        names in prop::collection::btree_set("[a-c](::[a-c]){0,2}", 1..20),
        bits in prop::collection::vec((any::<bool>(), any::<bool>()), 20),
    ) {
        let tests: Vec<Listed<'_>> = names
            .iter()
            .zip(&bits)
            .map(|(name, (is_ignored, is_chosen))| Listed { name, is_ignored: *is_ignored, is_chosen: *is_chosen })
            .collect();
        prop_assume!(tests.iter().any(|test| test.is_chosen));
        let chosen: Vec<&str> = tests.iter().filter(|t| t.is_chosen).map(|t| t.name).collect();
        prop_assert_eq!(&simulate(&tests, &select(&tests).args), &chosen);
        let args = select_by_skipping(&tests).args;
        let is_filter = |at: &usize| {
            !args[*at].starts_with("--") && (*at == 0 || args[*at - 1] != "--skip")
        };
        prop_assert!((0..args.len()).filter(is_filter).count() <= 1);
        prop_assert_eq!(simulate(&tests, &args), chosen);
    }

    #[test]
    fn a_list_is_read_whatever_stands_around_it(
        names in prop::collection::vec("[a-zé: #]{0,12}[a-zé]", 1..9),
        chatter in prop::collection::vec("\\PC{0,20}", 9),
        has_end in any::<bool>(),
    ) {
        let quiet = |line: &&String| !line.ends_with(": test") && !line.ends_with(": benchmark");
        let mut text = String::new();
        for (name, chatter) in names.iter().zip(&chatter) {
            let chatter = Some(chatter).filter(quiet).map(String::as_str).unwrap_or_default();
            text.push_str(&format!("{chatter}\n{name}: test\n"));
        }
        if !has_end {
            text.pop();
        }
        prop_assert_eq!(parse_list(&text), names);
    }

    /// The same entries and sections, however the bytes arrive.
    #[test]
    fn chunks_make_no_difference(
        lines in prop::collection::vec(any_line(), 0..12),
        cuts in prop::collection::vec(0_usize..400, 0..12),
        end in 0_usize..400,
    ) {
        let mut bytes = lines.concat();
        bytes.truncate(bytes.len().saturating_sub(end / 40));
        let names = by_name(&["a", "b c", "m::größe"]);
        let read = |chunks: &[&[u8]]| {
            let mut ledger = LogfileReader::new(&names, [0, 1]);
            let mut report = ReportReader::new(["a", "b c"]);
            let mut entries = Vec::new();
            for chunk in chunks {
                entries.extend(ledger.read(chunk));
                report.read(chunk);
            }
            (entries, report.began(), report.ended(), report.may_have_run_nothing, report.finish())
        };
        let whole = read(&[&bytes]);
        let mut tests: Vec<usize> = whole.0.iter().map(|entry| entry.test).collect();
        let count = tests.len();
        tests.sort_unstable();
        tests.dedup();
        prop_assert!(tests.len() == count && tests.iter().all(|test| *test < 2));
        prop_assert_eq!(&read(&in_chunks(&bytes, cuts)), &whole);
        prop_assert_eq!(&read(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn no_bytes_make_the_readers_panic(chunks in prop::collection::vec("\\PC{0,30}|ok a\n|failed: x", 0..8)) {
        let names = by_name(&["a", "b"]);
        let mut ledger = LogfileReader::new(&names, [0, 1]);
        let mut report = ReportReader::new(["a", "b"]);
        for chunk in &chunks {
            ledger.read(chunk.as_bytes());
            report.read(chunk.as_bytes());
        }
        report.finish();
    }
}

/// What libtest writes, what tests forge, and what is neither.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just("ok a\n"),
        Just("failed b c\n"),
        Just("failed: panic did not contain\n  b c\nexpected string b c\n"),
        Just("ignored m::größe\n"),
        Just("ignored: größe of a\nb c m::größe\n"),
        Just("ok nobody::knows\n"),
        Just("failed: ok a"),
        Just("\nrunning 2 tests\n"),
        Just("running 0 tests\n"),
        Just("---- a stdout ----\n"),
        Just("---- b c stdout ----\r\n"),
        Just("\nfailures:\n    a\n"),
        Just("test result: ok\n"),
        Just("..F"),
        Just("\n"),
    ]
    .prop_map(|line| line.as_bytes().to_vec())
    .boxed()
    .prop_union(prop::collection::vec(any::<u8>(), 0..20).boxed())
}

pub fn in_chunks(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
    cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// A panic's message may be longer than anybody wants to search for names.
#[test]
fn a_long_message_costs_no_time_and_hides_no_verdict() {
    for flood in ["word ".repeat(2_000_000), "line of it\n".repeat(300_000)] {
        let names = by_name(&["a", "b"]);
        let mut reader = LogfileReader::new(&names, [0, 1]);
        let text = format!("failed: {flood} a\nok b\n");
        let chunks = text.as_bytes().chunks(64 * 1024);
        let entries: Vec<LogfileEntry> = chunks.flat_map(|chunk| reader.read(chunk)).collect();
        let verdicts: Vec<_> = entries.iter().map(|e| (e.test, e.verdict)).collect();
        assert_eq!(verdicts, [(0, LogfileVerdict::Failed), (1, LogfileVerdict::Ok)]);
        assert!(entries[0].message.as_ref().unwrap().len() < 4 * LONGEST_MESSAGE);
    }
}

#[test]
fn the_rest_of_a_long_line_is_no_header() {
    let mut reader = ReportReader::new(["a"]);
    reader.read(&[b'x'; TruncatedOutput::PART + 1]);
    reader.read(b"---- a stdout ----\ntest result: ok");
    let (sections, _) = reader.finish();
    assert!(sections.is_empty());
}

#[test]
fn the_report_is_taken_apart_by_test() {
    let mut reader = ReportReader::new(["a", "b"]);
    let text = "\nrunning 2 tests\nnoise\nFF\nfailures:\n\n---- a stdout ----\none\n---- z stdout ----\n\n\
                ---- b stdout ----\nfailures:\n\ntwo\n\n\nfailures:\n    a\n    b\n\ntest result: FAILED. 0 passed; 2 failed; \
                0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n";
    for chunk in text.as_bytes().chunks(7) {
        reader.read(chunk);
    }
    assert!(reader.began() && reader.ended() && !reader.may_have_run_nothing);
    let (sections, rest) = reader.finish();
    assert_eq!(String::from_utf8_lossy(&sections[&0]), "one\n---- z stdout ----\n");
    assert_eq!(String::from_utf8_lossy(&sections[&1]), "failures:\n\ntwo\n");
    assert_eq!(String::from_utf8_lossy(&rest), "noise\n");
}

#[test]
fn the_end_of_a_report_inside_of_another_is_not_its_end() {
    let head = "\nrunning 1 test\n";
    let end = "\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; \
               finished in 0.00s\n";
    // A test has printed that: libtest says more.
    let other = "\ntest result: ok. 1 passed; 0 failed\n";
    let table = [
        (vec![head, other], false),
        (vec![], false),
        (vec![head], false),
        (vec![end], false),
        (vec![head, end], true),
        (vec![head, head, end], false),
        (vec![head, head, end, end], true),
    ];
    for (lines, expected) in table {
        let mut reader = ReportReader::new([]);
        lines.iter().for_each(|lines| reader.read(lines.as_bytes()));
        assert_eq!(reader.ended(), expected, "{lines:?}");
    }
}

#[test]
fn the_reason_is_the_place_of_the_panic() {
    let table = [
        (
            "x\nthread 'a::b' panicked at tests/api.rs:14:5:\nboom\n",
            Some("panicked at tests/api.rs:14:5"),
        ),
        ("thread 'a' (812) panicked at src/lib.rs:1:2:\n", Some("panicked at src/lib.rs:1:2")),
        ("Error: \"bad\"\n", Some("returned Error: \"bad\"")),
        ("Error: \"test panicked: bad\"\n", Some("panicked: bad")),
        ("Error: \"test panicked\"\n", Some("panicked")),
        (
            "note: test did not panic as expected at a.rs:1:1\n",
            Some("test did not panic as expected at a.rs:1:1"),
        ),
        ("nothing\n", None),
    ];
    for (output, expected) in table {
        assert_eq!(failure_reason(output).as_deref(), expected, "{output}");
    }
}
