use std::sync::Arc;

use super::*;
use crate::cli::flag_defaults::FLAGS;
use crate::config::diagnostic::Source;
use crate::config::schema;

fn migrated_text(config: &str) -> String {
    metadata(&toml::from_str(config).unwrap())
}

const CONFIG: &str = r#"
nextest-version = "0.9.50"

[test-groups]
database = { max-threads = 1 }
network = { max-threads = 4 }

[profile.default]
retries = { backoff = "exponential", count = 3, delay = "1m 1s", jitter = true, max-delay = "10s" }
slow-timeout = { period = "30s", terminate-after = 4, grace-period = "5s" }
default-filter = "not test(slow)"
leak-timeout = { period = "500ms", result = "fail" }
fail-fast = false
test-threads = 4
status-level = "all"
final-status-level = "flaky"

[[profile.default.overrides]]
filter = "package(web) & test(=db::opens)"
test-group = "database"
threads-required = 2

[[profile.default.overrides]]
filter = "test(=db::opens) & package(=web)"
threads-required = 3
retries = 5

[[profile.default.overrides]]
filter = "package(api)"
slow-timeout = "1m 30s"
test-group = "network"

[[profile.default.overrides]]
filter = "package(api) and binary(it)"
retries = 7

[[profile.default.overrides]]
filter = "binary_id(api::it) & test(/^db::/)"
threads-required = 4

[[profile.default.overrides]]
filter = "test(slow)"
retries = 1

[[profile.default.overrides]]
filter = "binary(ui)"
platform = "cfg(windows)"
retries = 2

[profile.ci]
retries = 2
flaky-result = "fail"
fail-fast = { max-fail = 3 }
junit = { path = "junit.xml" }

[[profile.ci.overrides]]
filter = "binary(server)"
slow-timeout = { period = "10s", terminate-after = 3 }

[[profile.ci.overrides]]
filter = "package(api)"
retries = 0

[[profile.ci.overrides]]
filter = "all()"
retries = 4

[profile."ci nightly"]
inherits = "ci"
fail-fast = { max-fail = 1 }
"#;

#[test]
fn what_has_an_equivalent_becomes_keys_and_the_rest_comments() {
    let text = migrated_text(CONFIG);
    let expected = r#"[workspace.metadata.partest]
default-filter = "not test(slow)"
fail-fast = false
linger = "500ms"
leaks = "deny"
retries = { count = 3, delay = "61s", backoff = "exponential" }
slow = "30s"
timeout = "120s"
status-level = "all"
jobs = 4
# final-status-level = "flaky": what is printed is chosen by flags, whose defaults are keys of [workspace.metadata.partest]
# jitter = true: not supported: retries have `count`, `delay`, `backoff` and `flaky`
# max-delay = "10s": not supported: retries have `count`, `delay`, `backoff` and `flaky`
# grace-period = "5s": not supported for tests, which are killed; for fixtures, use `stop`

[workspace.metadata.partest.modules]
# filter = package(web) & test(=db::opens)
# filter = test(=db::opens) & package(=web)
"web::db::opens" = { locks = ["database"], slots = 2, retries = 5 }

"#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("# in the Cargo.toml of package `api`:\n[package.metadata.partest]\nslow = \"90s\"\n# test-group = \"network\": its tests may run 4 at a time"), "{text}");
    let of_package = r#"
# in the Cargo.toml of package `api`:
[package.metadata.partest.modules]
# filter = package(api) and binary(it)
"it" = { retries = 7 }
# filter = binary_id(api::it) & test(/^db::/)
"it::db" = { slots = 4 }
"#;
    assert!(text.contains(of_package), "{text}");
    assert!(text.contains("#   \"BINARY::MODULE\" = { retries = 1 }"), "{text}");
    assert!(text.contains("# filter = binary(ui)\n# it applies to one platform only"), "{text}");
    let ci = r#"
[workspace.metadata.partest.profile.ci]
reports = { junit = "target/nextest/ci/junit.xml" }
retries = 4
# fail-fast = { max-fail = 3 }: use the flag `--fail-fast`, whose default is a key of [workspace.metadata.partest]

[workspace.metadata.partest.profile.ci.modules]
# filter = binary(server)
"server" = { slow = "10s", timeout = "30s" }

# filter = package(api)
# a profile has no keys of a package: write
#   "BINARY" = { retries = 0 }
# into [workspace.metadata.partest.profile.ci.modules], for each of them

"#;
    assert!(text.contains(ci), "{text}");
    // What it inherits from another profile is written out.
    let nightly = r#"
[workspace.metadata.partest.profile."ci nightly"]
fail-fast = true
reports = { junit = "target/nextest/ci nightly/junit.xml" }
retries = 4

[workspace.metadata.partest.profile."ci nightly".modules]
"#;
    assert!(text.contains(nightly), "{text}");
    assert!(text.contains("# nextest-version = \"0.9.50\": not needed"), "{text}");
}

/// What a test is slow after, and stopped after: as keys, or else as comments.
#[test]
fn the_time_limit_of_a_test_is_a_key_or_a_comment() {
    let hint = "use `slow` for the time after which a test is reported, `timeout` for the time after which it is stopped";
    let table = [
        ("'1m 30s', terminate-after = 2", "slow = \"90s\"\ntimeout = \"180s\"\n".to_owned()),
        ("'1m30s', terminate-after = 2", "slow = \"90s\"\ntimeout = \"180s\"\n".to_owned()),
        ("'2 minutes', terminate-after = 1", "slow = \"120s\"\ntimeout = \"120s\"\n".to_owned()),
        ("'1m30s'", "slow = \"90s\"\n".to_owned()),
        (
            "'1m30s', terminate-after = 0",
            format!("slow = \"90s\"\n# terminate-after = 0: {hint}\n"),
        ),
        (
            "'soon', terminate-after = 2",
            format!("# period = \"soon\": {hint}\n# terminate-after = 2: {hint}\n"),
        ),
    ];
    for (period, expected) in table {
        let text =
            migrated_text(&format!("profile.default.slow-timeout = {{ period = {period} }}"));
        assert_eq!(text, format!("[workspace.metadata.partest]\n{expected}\n"), "{period}");
    }
}

/// All sections together are metadata that this program accepts, those of packages by themselves.
#[test]
fn what_is_printed_is_accepted() {
    let text = migrated_text(CONFIG);
    let sections = text.split("\n\n");
    let (packages, workspace): (Vec<&str>, Vec<&str>) =
        sections.partition(|section| section.contains("\n[package."));
    let packages = packages.into_iter().map(|section| (schema::Table::Package, section.to_owned()));
    let all = packages.chain([(schema::Table::Workspace, workspace.join("\n\n"))]);
    for (kind, text) in all {
        toml::from_str::<Table>(&text).unwrap();
        let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.clone() });
        let mut diagnostics = Vec::new();
        let config = schema::read(&source, kind, FLAGS, &mut diagnostics);
        let titles: Vec<&String> = diagnostics.iter().map(|found| &found.title).collect();
        assert!(config.is_declared && titles.is_empty(), "{titles:?} in:\n{text}");
    }
}

#[test]
fn an_empty_configuration_says_so() {
    assert_eq!(migrated_text(""), "# nothing is configured\n");
}
