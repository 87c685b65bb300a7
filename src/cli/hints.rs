//! Flags and commands of cargo test, libtest and nextest that this program does not have, and what
//! to use instead.
//!
//! Data only. docs/coming-from-cargo-test-and-nextest.md shows the same rows; a test compares them,
//! and fails for a flag that the program has come to accept: remove its row then, here and there.

/// Where a flag has no meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Neither before nor after `--`.
    Both,
    /// Before `--` only: after it, the flag is accepted.
    Before,
    /// After `--` only: before it, the flag is accepted, with another meaning.
    After,
}

/// Flags with the same answer.
#[derive(Debug)]
pub struct FlagHint {
    pub flags: &'static [&'static str],
    pub side: Side,
    /// Lower case, without full stop.
    pub answer: &'static str,
}

const fn hint(flags: &'static [&'static str], answer: &'static str) -> FlagHint {
    FlagHint { flags, side: Side::Both, answer }
}

const fn hint_on(side: Side, flags: &'static [&'static str], answer: &'static str) -> FlagHint {
    FlagHint { flags, side, answer }
}

/// Flags of `cargo test`.
pub const CARGO_TEST: &[FlagHint] = &[hint(
    &["--future-incompat-report", "--unit-graph"],
    "not supported: use `cargo test --no-run` with this flag",
)];

/// Flags that libtest takes after `--`.
pub const LIBTEST: &[FlagHint] = &[
    hint(&["--list"], "to list the tests, use `cargo partest list`"),
    hint(
        &["--format"],
        "the output format is a flag before `--`: `--message-format human` or `--message-format json`",
    ),
    hint(
        &["--report-time"],
        "`-v` shows how long each test took, and so does `--message-format json`",
    ),
    hint(
        &["--ensure-time"],
        "for a time limit, use `--timeout`, or the keys `slow` and `timeout` in Cargo.toml",
    ),
    hint(&["--logfile"], "for a log of all tests, use `--message-format json`"),
    hint(&["--shuffle-seed"], "use `--shuffle` before `--`, with the seed behind `=`"),
    hint(
        &["--force-run-in-process"],
        "not supported: `--no-partition` runs all tests of a binary in one process",
    ),
    hint(&["--exclude-should-panic"], "not supported: leave tests out with `-- --skip FILTER`"),
    hint_on(
        Side::Before,
        &["--test-threads"],
        "the number of slots is `-j N`; `-- --test-threads N` is the number of threads in each process",
    ),
    hint_on(
        Side::After,
        &["--bench"],
        "benchmarks run once, as tests, with `--benches` before `--`: use `cargo bench` to measure them",
    ),
    hint_on(Side::After, &["-Z"], "unstable flags of libtest are not supported"),
];

/// Flags of `cargo nextest run` and `cargo nextest list`.
pub const NEXTEST: &[FlagHint] = &[
    hint(
        &["--run-ignored"],
        "use `-- --ignored` for ignored tests only, `-- --include-ignored` for all tests",
    ),
    hint(&["--platform-filter"], "use `-E 'platform(host)'` or `-E 'platform(target)'`"),
    hint(
        &["-R", "--rerun"],
        "use `--last-failed`, which reruns what failed or did not run last time",
    ),
    hint(&["--flaky-result"], "use `--flaky pass` or `--flaky fail`"),
    hint(&["--ff"], "use `--fail-fast`"),
    hint(&["--nff"], "use `--no-fail-fast`"),
    hint(&["--max-fail"], "not supported: `--fail-fast` stops after the first failure"),
    hint(&["--cargo-profile"], "use `--profile NAME`, which is cargo's profile"),
    hint(&["--cargo-quiet"], "use `-q`, which is passed on to cargo"),
    hint(&["--cargo-verbose"], "use `-vv`, which shows cargo's command lines"),
    hint(
        &["--cargo-message-format"],
        "not supported: cargo's diagnostics are printed to stderr as text",
    ),
    hint(
        &["--final-status-level"],
        "not supported: the report always ends with failures, leaks and flaky tests",
    ),
    hint(&["--no-output-indent"], "not supported: the output of tests is always indented"),
    hint(
        &["--show-progress", "--hide-progress-bar"],
        "the progress bar is cargo's setting: CARGO_TERM_PROGRESS_WHEN=never, auto or always",
    ),
    hint(
        &["--max-progress-running"],
        "not supported: the progress bar shows as many tests as the window has room for",
    ),
    hint(&["--no-input-handler"], "not needed: redirect stdin from /dev/null"),
    hint(&["--no-pager"], "not needed: there is no pager"),
    hint(
        &["--message-format-version"],
        "not needed: fields are added to the JSON format, and never renamed",
    ),
    hint(
        &["-T", "--list-type"],
        "use `cargo partest list` for people, `cargo partest list --message-format json` for scripts",
    ),
    hint(
        &["--stress-count", "--stress-duration"],
        "not supported: repeat the command in a loop of the shell",
    ),
    hint(
        &["--archive-file"],
        "use `cargo partest archive --file PATH`, and `cargo partest run --archive PATH`",
    ),
    hint(&["--archive-format"], "not needed: archives are tar files compressed with zstd"),
    hint(
        &["--extract-overwrite", "--persist-extract-tempdir"],
        "use `--extract-to DIR`, which is kept; without it the archive is extracted to a temporary directory",
    ),
    hint(
        &["--cargo-metadata", "--binaries-metadata", "--target-dir-remap", "--build-dir-remap"],
        "not needed: an archive knows its directories",
    ),
    hint(
        &["-P"],
        "use `--profile-partest NAME`; profiles are in Cargo.toml, under [workspace.metadata.partest.profile]",
    ),
    hint(
        &["--config-file", "--user-config-file", "--tool-config-file"],
        "there are no configuration files: settings are in Cargo.toml, under [workspace.metadata.partest]",
    ),
    hint(&["--override-version-check"], "not needed: no version is checked"),
];

/// Commands of nextest and of others, for filters that match no test.
pub const COMMANDS: &[(&str, &str)] = &[
    ("nextest", "`cargo partest` without a command runs the tests"),
    ("test", "`cargo partest` without a command runs the tests"),
    ("bench", "to measure benchmarks, use `cargo bench`"),
    ("show-config", "`cargo partest explain TEST` shows every setting of a test, and what sets it"),
    ("self", "to update, use `cargo install`"),
    ("update", "to update, use `cargo install`"),
    ("version", "use `cargo partest --version`"),
    ("ls", "to list the tests, use `cargo partest list`"),
    ("watch", "not supported: use a program that watches files, such as watchexec or bacon"),
    ("rerun", "use `--last-failed`, which reruns what failed or did not run last time"),
    ("replay", "`cargo partest merge FILE` shows the report of a run again, from its JSON"),
    ("report", "`cargo partest merge FILE` shows the report of a run again, from its JSON"),
    ("debug", "use `--debugger COMMAND`, such as rust-gdb, with the name of one test"),
    ("coverage", "run it in the environment of `cargo llvm-cov show-env`"),
    ("build", "use `--no-run`"),
    ("stress", "not supported: repeat the command in a loop of the shell"),
    ("clean", "use `cargo clean`; the history of earlier runs is in target/partest"),
];

/// Flags of other languages' test runners that people type by habit.
pub const OTHERS: &[FlagHint] = &[
    hint(
        &[
            "-n",
            "--threads",
            "--workers",
            "--numprocesses",
            "--maxprocesses",
            "--maxWorkers",
            "--parallel",
        ],
        "the number of slots is `-j N`",
    ),
    hint(
        &["-i", "--runInBand", "--no-parallel"],
        "use `-j 1`, or `--no-partition` to keep each binary in one process as well",
    ),
    hint(
        &["--dist", "--tx"],
        "tests stay together by a policy of their module in Cargo.toml: \"unit\"",
    ),
    hint(&["--forked", "--boxed"], "use `--isolate`, which runs each test in a process of its own"),
    hint(
        &["-k", "-t", "-m", "--run", "--only", "--grep", "--filter", "--tag", "--testNamePattern"],
        "filters are plain arguments: `cargo partest NAME`, or expressions: `-E EXPR`",
    ),
    hint(
        &["--deselect", "--ignore", "--exclude-filter"],
        "leave tests out with `-- --skip FILTER`, or `-E 'not test(NAME)'`",
    ),
    hint(&["-x", "--exitfirst", "--bail", "--failfast"], "use `--fail-fast`"),
    hint(&["--maxfail"], "not supported: `--fail-fast` stops after the first failure"),
    hint(&["--lf", "--failed", "--onlyFailures"], "use `--last-failed`"),
    hint(
        &["--failed-first", "--nf", "--new-first"],
        "not supported: `--last-failed` runs only what failed or did not run last time",
    ),
    hint(&["--sw", "--stepwise"], "use `--last-failed` with `--fail-fast`"),
    hint(
        &["--changed-since", "--changedSince", "--onlyChanged", "--affected", "--since"],
        "use `--changed REV`",
    ),
    hint(&["-s"], "use `--no-capture`"),
    hint(
        &["-l", "--ls", "--co", "--collect-only", "--listTests"],
        "to list the tests, use `cargo partest list`",
    ),
    hint(&["--reruns"], "use `--retries N`"),
    hint(&["--count", "--repeat"], "not supported: repeat the command in a loop of the shell"),
    hint(
        &["--random", "--random-order", "--randomize", "--seed"],
        "use `--shuffle`, with a seed behind `=`",
    ),
    hint(
        &["-f", "-w", "--looponfail", "--watch", "--watchAll"],
        "not supported: use a program that watches files, such as watchexec or bacon",
    ),
    hint(&["--json"], "use `--message-format json`"),
    hint(&["--junitxml", "--junit-xml", "--outputFile"], "use `--junit PATH`"),
    hint(
        &["--reporter", "--reporters"],
        "`--message-format` chooses the format of stdout; `--junit`, `--html`, `--markdown` and `--trace` write files",
    ),
    hint(&["--silent"], "use `-q`"),
    hint(&["--no-color", "--no-colors"], "use `--color never`, or set NO_COLOR"),
    hint(
        &["--tb"],
        "the variable RUST_BACKTRACE says how much of a backtrace is shown: 0, 1 or full",
    ),
    hint(&["--pdb"], "use `--debugger COMMAND`, such as rust-gdb, with the name of one test"),
    hint(&["--cov", "--coverage"], "run it in the environment of `cargo llvm-cov show-env`"),
    hint(
        &["--race"],
        "not supported: build with the thread sanitizer of a nightly toolchain, or run under Miri",
    ),
    hint(
        &["--update", "--update-snapshots"],
        "snapshots are written by the library that compares them, by a variable of its own",
    ),
    hint(
        &["--fixtures", "--setup-show"],
        "use `cargo partest fixtures`, which lists them, or `cargo partest plan`",
    ),
    hint(
        &["--doctest", "--doctests", "--doctest-modules", "--doc-tests"],
        "use `--doc` for doctests only, `--no-doc` to leave them out",
    ),
    hint(&["--unit"], "use `--lib`"),
    hint(&["--integration"], "use `-E 'kind(test)'`, or `--test NAME` for one of them"),
    hint(&["--cache-clear"], "use `rm -r target/partest`, where the history of earlier runs is"),
];

/// All flags.
pub fn flags() -> impl Iterator<Item = &'static FlagHint> {
    [CARGO_TEST, LIBTEST, NEXTEST, OTHERS].into_iter().flatten()
}
