//! What the help says after the flags.

macro_rules! examples {
    () => {
        "\
Examples:
  cargo partest                      run the tests of the default packages
  cargo partest -j8 db::             tests whose name contains `db::`, on 8 slots
  cargo partest -p web --test api    one test binary of one package
  cargo partest -- --ignored         pass flags to libtest after `--`

Policies are keys of [package.metadata.partest] in Cargo.toml."
    };
}

/// What stands below the summary.
pub const EXAMPLES: &str = concat!(
    examples!(),
    " Also: archive, bisect, doctor, init,
explain, merge, hook, migrate, schema, self-check, completions, man."
);

/// What stands below the whole help.
pub const LONG_EXAMPLES: &str = concat!(
    examples!(),
    "

After `--`, as with cargo test: FILTERS, --ignored, --include-ignored, --skip FILTER,
--exact, --nocapture, --show-output, --test-threads N.

Exit codes: 0 success; 1 error of cargo partest itself; 2 invalid usage or metadata;
4 no tests to run; 100 a test failed; 101 the build failed; 102 a denied leak;
105 a fixture failed; 130 interrupted.

Environment: CARGO, CARGO_TERM_COLOR, CARGO_TERM_PROGRESS_WHEN, CARGO_TERM_QUIET,
CARGO_TERM_VERBOSE, NO_COLOR, CLICOLOR_FORCE, RUST_TEST_THREADS, RUST_TEST_NOCAPTURE,
PARTEST_PROFILE, GITHUB_ACTIONS, GITLAB_CI, BUILDKITE, TEAMCITY_VERSION, TF_BUILD."
);
