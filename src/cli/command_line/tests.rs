use std::process::Command as Process;

use super::*;

/// The flags in a help text: the words with dashes at the beginning of a line.
fn flags_in(help: &str) -> Vec<String> {
    let mut flags = Vec::new();
    for line in help.lines() {
        let words = line.split_whitespace().map(|word| word.trim_end_matches([',', '.']));
        let words = words.take_while(|word| word.starts_with('-'));
        let names = words.map(|word| word.split(['[', '=']).next().unwrap_or_default());
        flags.extend(names.filter(|name| name.len() > 1).map(str::to_owned));
    }
    flags
}

#[track_caller]
fn help_of(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> String {
    let output = Process::new(program).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn accepted() -> [Vec<String>; 2] {
    [Args::command(), LibtestArgs::command()].map(flags_of)
}

/// Those that are neither accepted nor have an answer of their own.
fn unanswered(flags: &[String], typed: Typed) -> Vec<&String> {
    let [before, after] = accepted();
    let (here, there) = match typed {
        Typed::Before => (before, after),
        Typed::After => (after, before),
    };
    let is_answered = |flag: &&String| {
        here.contains(flag) || there.contains(flag) || answer(flag, typed).is_some()
    };
    flags.iter().filter(|flag| !is_answered(flag)).collect()
}

#[test]
fn every_flag_of_cargo_test_is_accepted_or_answered() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let flags = flags_in(&help_of(cargo, &["test", "--help"]));
    assert!(flags.len() > 35 && flags.contains(&"--no-fail-fast".into()), "{flags:?}");
    assert_eq!(unanswered(&flags, Typed::Before), Vec::<&String>::new());
}

#[test]
fn every_flag_of_libtest_is_accepted_or_answered() {
    // This program is one of libtest's.
    let flags = flags_in(&help_of(std::env::current_exe().unwrap(), &["--help"]));
    assert!(flags.len() > 20 && flags.contains(&"--report-time".into()), "{flags:?}");
    for typed in [Typed::Before, Typed::After] {
        assert_eq!(unanswered(&flags, typed), Vec::<&String>::new(), "{typed:?}");
    }
}

/// Of `cargo nextest run` and `cargo nextest list` 0.9.143, without those of `cargo test`.
const NEXTEST: &str = "--archive-file --archive-format --binaries-metadata --build-dir-remap \
    --build-jobs --cargo-message-format --cargo-metadata --cargo-profile --cargo-quiet \
    --cargo-verbose --color --config-file --debugger --exact --extract-overwrite --extract-to \
    --fail-fast --failure-output --ff --filter-expr --filterset --final-status-level \
    --flaky-result --hide-progress-bar --ignore-default-filter --ignored --include-ignored --jobs \
    --list-type --max-fail --max-progress-running --message-format --message-format-version --nff \
    --no-capture --no-fail-fast --no-input-handler --no-output-indent --no-pager --no-run \
    --no-tests --nocapture --override-version-check --partition --persist-extract-tempdir \
    --platform-filter --profile --rerun --retries --run-ignored --show-progress --skip \
    --status-level --stress-count --stress-duration --success-output --target-dir-remap \
    --test-threads --timings --tool-config-file --tracer --user-config-file --verbose \
    --workspace-remap -E -P -R -T -j -p -r -v";

#[test]
fn every_flag_of_nextest_is_accepted_or_answered() {
    let flags: Vec<String> = NEXTEST.split_whitespace().map(str::to_owned).collect();
    assert_eq!(unanswered(&flags, Typed::Before), Vec::<&String>::new());
}

#[test]
fn no_answer_is_about_a_flag_that_is_accepted() {
    let [before, after] = accepted();
    for hint in hints::flags() {
        for flag in hint.flags.iter().map(|flag| (*flag).to_owned()) {
            let accepted = (before.contains(&flag), after.contains(&flag));
            let expected = match hint.side {
                Side::Both => (false, false),
                Side::Before => (false, true),
                Side::After => (true, false),
            };
            assert_eq!(accepted, expected, "remove `{flag}`, which is accepted now, from its row");
        }
    }
}

#[test]
fn answers_name_flags_that_exist() {
    let [before, after] = accepted();
    let others = ["--doc", "--no-run", "--exact", "--file"].map(str::to_owned);
    let answers = hints::flags().map(|hint| hint.answer);
    for answer in answers.chain(hints::COMMANDS.iter().map(|(_, answer)| *answer)) {
        assert!(answer.starts_with(|c: char| !c.is_uppercase()) && !answer.ends_with('.'));
        for code in answer.split('`').skip(1).step_by(2) {
            for flag in
                code.split_whitespace().filter(|word| word.starts_with("--") && *word != "--")
            {
                let is_known = [&before, &after].iter().any(|known| known.contains(&flag.into()));
                assert!(is_known || others.contains(&flag.into()), "`{flag}` in: {answer}");
            }
        }
    }
}

/// The flags and the answers of each row in the page's tables of flags.
fn rows_of_the_page() -> Vec<(Vec<&'static str>, &'static str)> {
    let page = include_str!("../../../docs/coming-from-cargo-test-and-nextest.md");
    let (_, tables) = page.split_once("\n## Every flag\n").unwrap();
    let rows = tables.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.filter_map(|row| row.split_once(" | ")).filter(|row| row.0.contains('`'));
    let flags = |cell: &'static str| {
        let code = cell.split('`').skip(1).step_by(2);
        code.filter(|code| code.len() > 1 && *code != "--").collect()
    };
    rows.map(|(cell, answer)| (flags(cell), answer)).collect()
}

#[test]
fn the_page_has_every_flag_and_gives_the_same_answers() {
    let rows = rows_of_the_page();
    for hint in hints::flags() {
        let is_row = |row: &(Vec<&str>, &str)| row.0 == hint.flags && row.1 == hint.answer;
        assert!(rows.iter().any(is_row), "no row on the page: {hint:?}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut flags = flags_in(&help_of(cargo, &["test", "--help"]));
    flags.extend(flags_in(&help_of(std::env::current_exe().unwrap(), &["--help"])));
    flags.extend(NEXTEST.split_whitespace().map(str::to_owned));
    let on_page: Vec<&str> = rows.iter().flat_map(|row| row.0.clone()).collect();
    flags.retain(|flag| !on_page.contains(&&**flag));
    assert_eq!(flags, Vec::<String>::new(), "flags without a row on the page");
    let [before, after] = accepted();
    let is_known = |flag: &str| {
        [&before, &after].iter().any(|known| known.iter().any(|known| known == flag))
            || hints::flags().any(|hint| hint.flags.contains(&flag))
    };
    let stale: Vec<&&str> = on_page.iter().filter(|flag| !is_known(flag)).collect();
    assert!(stale.is_empty(), "neither accepted nor answered: {stale:?}");
}

#[test]
fn flags_on_the_wrong_side_and_misspelled_ones_have_a_tip() {
    use Typed::*;
    let table = [
        (
            "--nocapture",
            Before,
            Some("`--nocapture` goes after `--`: cargo partest -- --nocapture"),
        ),
        ("--isolate", After, Some("`--isolate` goes before `--`: cargo partest --isolate")),
        ("--no-fail-fats", Before, Some("did you mean `--no-fail-fast`?")),
        ("--includ-ignored", After, Some("did you mean `--include-ignored`?")),
        ("--skp", Before, Some("`--skip` goes after `--`: cargo partest -- --skip")),
        ("--doc", After, Some("`--doc` goes before `--`: cargo partest --doc")),
        ("--filterst", Before, Some("did you mean `--filterset`?")),
        ("--stress-coun", Before, None),
        ("--retry", Before, Some("did you mean `--retries`?")),
        ("-n", Before, Some("the number of slots is `-j N`")),
        ("--zzzzzzzz", Before, None),
        ("-y", Before, None),
    ];
    for (flag, typed, expected) in table {
        let tip = tip(flag, typed);
        match flag {
            "--stress-coun" => assert!(tip.unwrap().starts_with("`--stress-count`: not supported")),
            _ => assert_eq!(tip.as_deref(), expected, "{flag} {typed:?}"),
        }
    }
}

#[test]
fn a_filter_near_a_command_has_a_tip() {
    let table = [
        ("lst", Some("did you mean the command `list`?")),
        ("plans", Some("did you mean the command `plan`?")),
        ("hlep", Some("did you mean the command `help`?")),
        (
            "show-config",
            Some("`cargo partest explain TEST` shows every setting of a test, and what sets it"),
        ),
        ("nextest", Some("`cargo partest` without a command runs the tests")),
        ("ls", Some("to list the tests, use `cargo partest list`")),
        ("db::", None),
        ("parse", None),
    ];
    for (filter, expected) in table {
        assert_eq!(tip_for_filter(filter).as_deref(), expected, "{filter}");
    }
}

/// What is parsed quickly means the same; what may be a command, or is wrong, is not.
#[test]
fn words_without_a_command_are_parsed_as_with_one() {
    let quick = [
        "",
        "-j2",
        "-p shop --test till db::",
        "--no-fail-fast --timeout 2s a b",
        "--message-format json -- --skip run --exact",
        "--partition 1/2 --all",
    ];
    for words in quick {
        let words = words_of(words);
        let parsed = parse_quickly(&words).expect("no command is among them");
        let expected = Args::try_parse_from(&words).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{expected:?}"), "{words:?}");
    }
    let all = Args::command();
    let commands: Vec<&str> = all.get_subcommands().map(Command::get_name).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for word in commands.into_iter().chain(["help", "-h", "-V", "--no-such-flag"]) {
        assert!(parse_quickly(&words_of(word)).is_none(), "{word}");
        assert!(parse_quickly(&words_of(&format!("-j2 {word}"))).is_none(), "{word}");
    }
}

fn words_of(words: &str) -> Vec<OsString> {
    ["cargo-partest"].into_iter().chain(words.split_whitespace()).map(OsString::from).collect()
}
