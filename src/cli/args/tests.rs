use clap::CommandFactory;

use super::*;
use crate::cli::libtest_args::LibtestArgs;

fn parse_words(words: &[&str]) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once("cargo-partest").chain(words.iter().copied()))
}

#[test]
fn the_definition_is_valid() {
    Args::command().debug_assert();
    LibtestArgs::command().debug_assert();
}

#[test]
fn jobs_take_numbers_words_and_no_junk() {
    let table = [
        ("4", Ok(Jobs::Exactly(4))),
        ("0", Ok(Jobs::NoPartition)),
        ("-1", Ok(Jobs::CoresLess(1))),
        ("default", Ok(Jobs::Default)),
        ("auto", Ok(Jobs::Default)),
        ("", Err(())),
        ("many", Err(())),
        ("3x", Err(())),
        ("1.5", Err(())),
        ("99999999999999999999", Err(())),
    ];
    for (text, expected) in table {
        assert_eq!(parse_jobs(text).map_err(|_| ()), expected, "-j {text}");
    }
}

#[test]
fn flags_are_accepted_before_and_after_the_command() {
    for words in [&["-j2", "plan", "db"][..], &["plan", "-j2", "db"], &["plan", "db", "-j2"]] {
        let args = parse_words(words).unwrap();
        assert_eq!(args.options.running.jobs, Some(Jobs::Exactly(2)), "{words:?}");
        assert!(
            matches!(&args.command, Some(Command::Plan(s)) if s.filters == ["db"]),
            "{words:?}"
        );
    }
}

#[test]
fn an_unknown_flag_suggests_the_nearest_one() {
    let error = parse_words(&["--no-fail-fats"]).unwrap_err().to_string();
    assert!(error.contains("--no-fail-fast"), "{error}");
}

#[test]
fn arguments_after_the_dashes_are_libtests() {
    let args = parse_words(&["a", "--", "--skip", "b", "--test-threads=3", "c"]).unwrap();
    let libtest = LibtestArgs::try_parse_from(&args.options.selection.libtest).unwrap();
    assert_eq!(args.options.selection.filters, ["a"]);
    assert_eq!((libtest.skip, libtest.filters), (vec!["b".into()], vec!["c".to_string()]));
    assert_eq!(libtest.test_threads.map(|n| n.get()), Some(3));
}

#[test]
fn help_fits_a_screen() {
    let help = Args::command().render_help().to_string();
    let lines = help.lines().count();
    assert!(lines <= 54, "{lines} lines of help:\n{help}");
}
