//! Keys of nextest's configuration and attributes of `serial_test` that are no keys here, and what to
//! use instead.
//!
//! Data only. docs/coming-from-cargo-test-and-nextest.md shows the same rows; a test compares them,
//! and fails for a word that has become a key.

/// Words with the same answer: lower case, without full stop.
#[derive(Debug)]
pub struct KeyHint {
    pub words: &'static [&'static str],
    pub answer: &'static str,
}

const fn hint(words: &'static [&'static str], answer: &'static str) -> KeyHint {
    KeyHint { words, answer }
}

/// Keys of `.config/nextest.toml`.
pub const NEXTEST: &[KeyHint] = &[
    hint(
        &["slow-timeout", "period", "terminate-after"],
        "use `slow` for the time after which a test is reported, `timeout` for the time after which it is stopped",
    ),
    hint(&["grace-period"], "not supported for tests, which are killed; for fixtures, use `stop`"),
    hint(&["on-timeout"], "not supported: a test that times out has failed"),
    hint(&["result"], "use `leaks = \"deny\"` to fail a run that has leaks"),
    hint(
        &["max-delay", "jitter"],
        "not supported: retries have `count`, `delay`, `backoff` and `flaky`",
    ),
    hint(&["flaky-result"], "use `retries = { count = 2, flaky = \"fail\" }`"),
    hint(&["global-timeout"], "use `run-timeout`"),
    hint(
        &["test-threads"],
        "use `jobs` in [workspace.metadata.partest], or the flag `-j N`, for the number of slots, `threads` for the threads of each process",
    ),
    hint(&["threads-required"], "use `slots`"),
    hint(
        &["test-group", "test-groups", "max-threads"],
        "use `locks = [\"NAME\"]`: tests with the same lock never run at the same time",
    ),
    hint(&["priority"], "not needed: tests that took longest in earlier runs start first"),
    hint(
        &["overrides", "filter"],
        "use [package.metadata.partest.modules], with the path of a module or a test for each entry",
    ),
    hint(&["platform"], "not supported: settings are the same on all platforms"),
    hint(
        &["default-filter"],
        "not a key of a node: write it directly into [workspace.metadata.partest] or [package.metadata.partest]",
    ),
    hint(&["run-extra-args"], "not supported: pass flags of libtest after `--`"),
    hint(
        &["fail-fast", "max-fail", "terminate"],
        "use the flag `--fail-fast`, whose default is a key of [workspace.metadata.partest]",
    ),
    hint(
        &["status-level", "final-status-level", "failure-output", "success-output"],
        "what is printed is chosen by flags, whose defaults are keys of [workspace.metadata.partest]",
    ),
    hint(
        &[
            "junit",
            "path",
            "report-name",
            "store-success-output",
            "store-failure-output",
            "report-skipped",
            "flaky-fail-status",
        ],
        "use `reports = { junit = \"target/junit.xml\" }`, or the flag `--junit`",
    ),
    hint(
        &["scripts", "script", "setup"],
        "use a fixture: [package.metadata.partest.fixtures.NAME] with `start`",
    ),
    hint(&["command"], "use `start = [\"PROGRAM\", \"ARGUMENT\"]`"),
    hint(
        &["capture-stdout", "capture-stderr"],
        "not needed: the output of a fixture is captured, and shown if it fails",
    ),
    hint(
        &["wrapper", "list-wrapper", "run-wrapper", "target-runner"],
        "use cargo's `target.TRIPLE.runner` in .cargo/config.toml",
    ),
    hint(
        &["archive", "include", "relative-to", "depth", "on-missing"],
        "use `archive = { include = [\"GLOB\"] }` at the top of the table, relative to the manifest",
    ),
    hint(
        &["profile", "default", "inherits"],
        "profiles are tables [workspace.metadata.partest.profile.NAME], which inherit from [workspace.metadata.partest]",
    ),
    hint(&["bench"], "not supported: to measure benchmarks, use `cargo bench`"),
    hint(
        &["nextest-version", "experimental", "store", "dir"],
        "not needed: there are no versions, no experimental features and no store to configure",
    ),
];

/// Attributes of `serial_test`, where somebody writes them as keys or policies.
pub const SERIAL_TEST: &[KeyHint] = &[
    hint(
        &["serial", "file_serial"],
        "use `locks = [\"NAME\"]`, which also holds across processes, or `exclusive = true` to run beside no other test",
    ),
    hint(&["parallel", "file_parallel"], "use `locks = { read = [\"NAME\"] }`"),
];

/// Policies under other names.
const POLICIES: &[KeyHint] = &[hint(
    &["isolate", "isolated", "process"],
    "use { policy = \"split\", isolate = true } for a process for each test",
)];

/// What to use instead of this word.
pub fn answer(word: &str) -> Option<&'static str> {
    let all = [NEXTEST, SERIAL_TEST, POLICIES].into_iter().flatten();
    all.into_iter().find(|hint| hint.words.contains(&word)).map(|hint| hint.answer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::diagnostic::Source;
    use crate::config::flags::Flags;
    use crate::config::schema::{Table, read};

    /// Of the configuration reference of nextest 0.9.143, and the attributes of serial_test 3.
    const WORDS: &str = "archive bench capture-stderr capture-stdout command count default-filter \
        delay depth dir experimental fail-fast failure-output filter final-status-level \
        flaky-fail-status flaky-result global-timeout grace-period include inherits jitter junit \
        leak-timeout list-wrapper max-delay max-fail max-threads nextest-version on-missing \
        on-timeout overrides path period platform priority profile relative-to report-name \
        report-skipped result retries run-extra-args run-wrapper script scripts setup slow-timeout \
        status-level store store-failure-output store-success-output success-output \
        target-runner terminate terminate-after test-group test-groups test-threads \
        threads-required wrapper serial parallel file_serial file_parallel";

    /// Keys of tables that have a word in common with nextest's.
    const IN_TABLES: [&str; 2] = ["count", "delay"];

    /// What is said about a key of a node with this name.
    fn told(word: &str) -> Option<String> {
        let text = format!("[package.metadata.partest.modules]\na = {{ {word} = [] }}\n");
        let source = Arc::new(Source { path: "Cargo.toml".into(), text });
        let mut diagnostics = Vec::new();
        read(&source, Table::Package, Flags::none(), &mut diagnostics);
        let unknown = diagnostics.into_iter().find(|told| told.title.starts_with("unknown key"));
        unknown.map(|told| told.help.unwrap_or_default())
    }

    #[test]
    fn every_key_of_nextest_is_a_key_or_has_an_answer() {
        for word in WORDS.split_whitespace().filter(|word| !IN_TABLES.contains(word)) {
            let Some(help) = told(word) else { continue };
            assert_eq!(answer(word), Some(&*help), "{word}");
        }
    }

    #[test]
    fn no_answer_is_about_a_key() {
        for hint in [NEXTEST, SERIAL_TEST].into_iter().flatten() {
            for word in hint.words {
                assert!(WORDS.split_whitespace().any(|known| known == *word) || *word == "default");
                assert!(told(word).is_some(), "remove `{word}`, which is a key now, from its row");
            }
        }
    }

    #[test]
    fn the_page_has_the_same_answers() {
        let page = include_str!("../../docs/coming-from-cargo-test-and-nextest.md");
        for hint in [NEXTEST, SERIAL_TEST].into_iter().flatten() {
            let words: Vec<String> = hint.words.iter().map(|word| format!("`{word}`")).collect();
            let row = format!("\n| {} | {} |\n", words.join(", "), hint.answer);
            assert!(page.contains(&row), "no row on the page:{row}");
        }
    }
}
