use std::sync::Arc;

use super::*;
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
retries = { backoff = "exponential", count = 3, delay = "1s", jitter = true, max-delay = "10s" }
slow-timeout = { period = "30s", terminate-after = 4, grace-period = "5s" }
default-filter = "not test(slow)"
leak-timeout = { period = "500ms", result = "fail" }
fail-fast = false

[[profile.default.overrides]]
filter = "package(web) & test(=db::opens)"
test-group = "database"
threads-required = 2

[[profile.default.overrides]]
filter = "package(api)"
slow-timeout = "1m 30s"
test-group = "network"

[[profile.default.overrides]]
filter = "test(slow)"
retries = 1

[profile.ci]
retries = 2
flaky-result = "fail"
junit = { path = "junit.xml" }
"#;

#[test]
fn what_has_an_equivalent_becomes_keys_and_the_rest_comments() {
    let text = migrated_text(CONFIG);
    let expected = r#"[workspace.metadata.partest]
default-filter = "not test(slow)"
linger = "500ms"
leaks = "deny"
retries = { count = 3, delay = "1s", backoff = "exponential" }
slow = "30s"
timeout = "120s"
# fail-fast = false: not a key: use the flag `--fail-fast`
# jitter = true: not supported: retries have `count`, `delay`, `backoff` and `flaky`
# max-delay = "10s": not supported: retries have `count`, `delay`, `backoff` and `flaky`
# grace-period = "5s": not supported for tests, which are killed; for fixtures, use `stop`

# filter = package(web) & test(=db::opens)
[workspace.metadata.partest.modules]
"web::db::opens" = { locks = ["database"], slots = 2 }
"#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("# in the Cargo.toml of package `api`:\n[package.metadata.partest]\nslow = \"90s\"\n# test-group = \"network\": its tests may run 4 at a time"), "{text}");
    assert!(text.contains("#   \"BINARY::MODULE\" = { retries = 1 }"), "{text}");
    let ci = "# There are no profiles. These keys would be those of `ci`:\n# [workspace.metadata.partest]\n";
    assert!(text.contains(ci), "{text}");
    assert!(text.contains("\n# retries = { count = 2, flaky = \"fail\" }\n"), "{text}");
    let junit = "\n# reports = { junit = \"target/nextest/default/junit.xml\" }\n";
    assert!(text.contains(junit), "{text}");
    assert!(text.contains("# nextest-version = \"0.9.50\": not needed"), "{text}");
}

/// Every section by itself is metadata that this program accepts.
#[test]
fn what_is_printed_is_accepted() {
    for section in migrated_text(CONFIG).split("\n\n").filter(|section| section.contains("\n[")) {
        let text = section.to_owned();
        let kind = match text.contains("[package.") {
            true => schema::Table::Package,
            false => schema::Table::Workspace,
        };
        let source = Arc::new(Source { path: "Cargo.toml".into(), text: text.clone() });
        let mut diagnostics = Vec::new();
        schema::read(&source, kind, &mut diagnostics);
        let titles: Vec<&String> = diagnostics.iter().map(|found| &found.title).collect();
        assert!(titles.is_empty(), "{titles:?} in:\n{text}");
    }
}

#[test]
fn an_empty_configuration_says_so() {
    assert_eq!(migrated_text(""), "# nothing is configured\n");
}
