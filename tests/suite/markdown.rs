//! The report as Markdown: what is in it, that text of tests stays text, and that it is bounded.

#![cfg(target_os = "linux")]

use crate::fixture::Package;

const TESTS: &str = r#"
#[cfg(test)]
mod tests {
    #[test] fn aborts() { std::process::abort(); }
    #[test] fn fails() {
        println!("before \u{1b}[31mred\u{1b}[0m </details> ````");
        panic!("a *reason*\n```\n# no heading");
    }
    #[test] #[ignore] fn ignored() {}
    #[test] fn leaks() {
        std::thread::Builder::new().name("a`b".into())
            .spawn(|| std::thread::sleep(std::time::Duration::MAX)).unwrap();
    }
    #[test] fn needs_a_fixture() {}
    #[test] fn sleeps() { std::thread::sleep(std::time::Duration::from_millis(20)); }
    #[test] fn flickers() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("f");
        assert!(std::fs::write(&log, std::fs::read(&log).map_or(vec![1], |_| vec![])).is_ok());
        assert!(std::fs::read(&log).unwrap().is_empty(), "not yet");
    }
}
"#;

const KEYS: &str = r#"
[package.metadata.partest]
policy = "split"
isolate = true
[package.metadata.partest.modules]
"shop::tests::flickers" = { retries = 1 }
"shop::tests::needs_a_fixture" = { policy = "shared", fixture = "none" }
[package.metadata.partest.fixtures.none]
start = ["false"]
"#;

#[test]
fn it_has_counts_failures_flaky_tests_leaks_and_the_slowest() {
    let package = Package::shop(KEYS, TESTS).with_debug_info();
    let ran = package.partest().args("--markdown new/m.md --junit new/j.xml").run().exits(100);
    let text = std::fs::read_to_string(package.path("new/m.md")).unwrap();
    let last = ran.stdout.lines().last().unwrap();
    let counts = "1 failed, 1 aborted, 1 blocked, 3 passed, 1 ignored, 1 flaky, 1 leak, 1 fixture";
    assert!(last.starts_with(counts), "{ran}");
    assert!(
        text.starts_with(&format!("## Tests failed\n\n**{last}**\n\n### Failures\n\n")),
        "{text}"
    );
    // The fence is longer than what the message has, and nothing stands outside of it.
    let failure = "`shop::tests::fails`\n\n`src/lib.rs:7:9`\n\n\
        ````text\na *reason*\n```\n# no heading\n````\n\n\
        <details><summary>Output</summary>\n\n\
        `````text\nbefore red </details> ````\n`````\n\n</details>\n\n\
        `cargo partest -p shop --lib -- --exact tests::fails`\n\n";
    for part in [
        failure,
        "#### ABORTED `shop::tests::aborts`",
        "#### BLOCKED `shop::tests::needs_a_fixture`\n\n```text\nfixture none failed: ",
        "### Flaky\n\n- `shop::tests::flickers`: failed 1 time, passed at attempt 2\n  \
            - `src/lib.rs:19:9`: `not yet`\n",
        "### Other problems\n\nFixture `none` failed:\n\n```text\n",
        "### Leaks\n\n- `shop::tests::leaks`: thread ``a`b`` started at `src/lib.rs:",
        "### Slowest\n\n- 0.",
        " s `shop::tests::sleeps`\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    let files = std::fs::read_dir(package.path("new")).unwrap().count();
    assert_eq!(files, 2, "both reports, and nothing else");
}

#[test]
fn a_run_that_passes_has_no_failures_and_the_key_names_the_file() {
    let keys = "[package.metadata.partest.reports]\nmarkdown = \"out/m.md\"\n";
    let package = Package::shop(keys, "#[test] fn one() {}\n");
    package.partest().within("src").run().exits(0);
    let text = std::fs::read_to_string(package.path("out/m.md")).unwrap();
    assert!(text.starts_with("## Tests passed\n\n**1 passed in "), "{text}");
    assert!(!text.contains("###"), "{text}");
    package.partest().args("nothing_like_it").run().exits(4);
    let text = std::fs::read_to_string(package.path("out/m.md")).unwrap();
    assert!(text.starts_with("## No tests\n\n"), "{text}");
}

#[test]
fn it_is_never_longer_than_a_job_summary_may_be() {
    const TESTS: usize = 700;
    let name = |number| format!("fails_{number}_{}", "and_has_a_long_name".repeat(25));
    let long = "fn fail() { println!(\"{}\", \"y\\n\".repeat(5000)); panic!(\"{}\", \"x\".repeat(9000)) }\n";
    let tests = (0..TESTS).map(|number| format!("#[test] fn {}() {{ fail() }}\n", name(number)));
    let sleeps =
        "#[test] fn sleeps() { std::thread::sleep(std::time::Duration::from_millis(20)) }\n";
    let tests = tests.chain([sleeps.to_owned()]).collect::<String>();
    let package = Package::shop("", &format!("#[cfg(test)] {long}{tests}"));
    package.partest().json().args("--markdown m.md").run().exits(100);
    let text = std::fs::read_to_string(package.path("m.md")).unwrap();
    assert!((700_000..=1024 * 1024).contains(&text.len()), "{}", text.len());
    let whole = text.matches("\n#### FAILED `shop::fails_").count();
    let lines = text.matches("\n- FAILED `shop::fails_").count();
    assert!(whole > 10 && lines > 100, "{whole} {lines}");
    let left_out = TESTS - whole - lines;
    assert!(text.contains(&format!("\n- … and {left_out} more\n")), "{whole} {lines}");
    assert!(text.contains("\n### Slowest\n"), "what comes later has its place");
}
