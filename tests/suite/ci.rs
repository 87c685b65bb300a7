//! What a run writes for the CI system that it runs in, and that it writes nothing else.

#![cfg(target_os = "linux")]

use crate::fixture::{Call, Package, Ran};

const MANIFEST: &str = "[package]\nname = \"shop\"\nedition = \"2024\"\n[workspace]\n\
    [package.metadata.partest]\npolicy = \"split\"\nisolate = true\n\
    modules = { \"shop::tests::flickers\" = { retries = 1 } }\n";

const TESTS: &str = r#"#[cfg(test)]
mod tests {
    #[test] fn fails() {
        println!("::error::out");
        panic!("a, 100%\nit's [b]");
    }
    #[test] #[ignore = "too slow"] fn ignored() {}
    #[test] fn leaks() {
        std::thread::Builder::new().name("stray".into())
            .spawn(|| std::thread::sleep(std::time::Duration::MAX)).unwrap();
    }
    #[test] fn passes() {}
    #[test] fn flickers() {
        let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("f");
        assert!(std::fs::write(&log, std::fs::read(&log).map_or(vec![1], |_| vec![])).is_ok());
        assert!(std::fs::read(&log).unwrap().is_empty(), "not yet");
    }
}
"#;

/// A package that is not at the root of its repository.
fn package() -> Package {
    Package::new(&[
        (".git/HEAD", "ref: refs/heads/main\n"),
        ("rust/Cargo.toml", MANIFEST),
        ("rust/src/lib.rs", TESTS),
    ])
    .with_debug_info()
}

fn partest(package: &Package) -> Call {
    package.partest().within("rust")
}

/// What stands between the lines of two groups.
fn is_in_order(text: &str, parts: &[&str]) -> Result<(), String> {
    let mut rest = text;
    for part in parts {
        let found = rest.split_once(part).ok_or_else(|| format!("no {part:?} in\n{rest}"))?;
        rest = found.1;
    }
    Ok(())
}

#[track_caller]
fn has_in_order(ran: &Ran, parts: &[&str]) {
    if let Err(missing) = is_in_order(&ran.stdout, parts) {
        panic!("{missing}\n{ran}");
    }
}

const ERROR: &str = "::error file=rust/src/lib.rs,line=5,col=9,\
    title=shop%3A%3Atests%3A%3Afails failed::a, 100%25%0Ait's [b]\n";

#[test]
fn github_gets_annotations_a_group_and_a_job_summary() {
    let package = package();
    package.write("summary.md", "before\n");
    let summary = package.path("summary.md");
    let on_github = |call: Call| {
        call.env("CI", "true").env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary)
    };
    let ran = on_github(partest(&package)).run().exits(100);
    let flaky = "::warning file=rust/src/lib.rs,line=16,col=9,\
        title=shop%3A%3Atests%3A%3Aflickers failed 1 time%2C passed at attempt 2::not yet\n";
    let leak = "::warning file=rust/src/lib.rs,line=10,\
        title=shop%3A%3Atests%3A%3Aleaks leaked a thread::stray: still alive";
    let last = "1 failed, 3 passed, 1 ignored, 1 flaky, 1 leak in ";
    has_in_order(&ran, &["::group::Tests\n", "::endgroup::\n", ERROR, flaky, leak, last]);
    assert!(!ran.stdout.contains("\n::error::out"), "a test writes no annotation: {ran}");
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n## Tests failed\n\n**1 failed, "), "{text}");
    assert!(text.contains("`src/lib.rs:5:9`"), "{text}");

    // stdout is a program's.
    let ran = on_github(partest(&package)).json().run().exits(100);
    assert_eq!(ran.tests().len(), 5, "{ran}");
    ran.finished();
    assert!(ran.stderr.contains(ERROR), "{ran}");

    // There is no room left, and nothing is lost.
    package.write("summary.md", &"x".repeat(1024 * 1024 - 10));
    on_github(partest(&package)).run().exits(100);
    assert_eq!(std::fs::metadata(&summary).unwrap().len(), 1024 * 1024 - 10);
}

#[test]
fn nothing_is_written_without_a_known_system_or_with_no_ci_or_by_a_run_within_a_test() {
    let package = package();
    let summary = package.path("summary.md");
    let call = || partest(&package).env("GITHUB_STEP_SUMMARY", &summary);
    let usual = call().run().exits(100);
    let runs = [
        call().env("CI", "true"),
        call().env("GITHUB_ACTIONS", "true").args("--no-ci"),
        call().env("GITHUB_ACTIONS", "false"),
        call().env("GITHUB_ACTIONS", "true").env("PARTEST_RUN_ID", "1"),
    ];
    // Durations differ.
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    for ran in runs.map(|call| call.run().exits(100)) {
        assert_eq!(words(&ran.stdout), words(&usual.stdout), "{ran}");
        for sign in ["::group::", "::error ", "::warning "] {
            assert!(!ran.stderr.contains(sign), "{ran}");
        }
    }
    assert!(!summary.exists());
    let listed = call().env("GITHUB_ACTIONS", "true").args("list").run().exits(0);
    assert!(!listed.stdout.contains("::group::"), "{listed}");
}

/// Where commands are stopped in a log, with the text of each part; all of them go on again.
#[track_caller]
fn stopped(log: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), log);
    while let Some((_, begun)) = rest.split_once("::stop-commands::") {
        let (token, text) = begun.split_once('\n').unwrap();
        let end = format!("\n::{token}::\n");
        let (text, after) = text.split_once(&end).unwrap_or_else(|| panic!("no {end}\n{log}"));
        parts.push(text.to_owned());
        rest = after;
    }
    parts
}

#[test]
fn what_a_test_prints_is_no_command_to_github() {
    let tests = r#"
        #[test] fn panics() { panic!("wrong:\n::add-mask::pass"); }
        #[test] fn prints() { println!("\n::error::of a test"); print!("half a line"); }
    "#;
    let package = Package::shop("[package.metadata.partest]\npolicy = \"split\"\n", tests);
    let github = |words: &str| package.partest().env("GITHUB_ACTIONS", "true").args(words);
    let ran = github("").run().exits(100);
    let parts = stopped(&ran.stdout);
    assert!(parts.len() == 1 && parts[0].contains("    ::add-mask::pass"), "{ran}");
    for own in ["::group::", "::endgroup::", "::error file="] {
        assert!(!parts[0].contains(own) && ran.stdout.contains(own), "{own} {ran}");
    }
    // Nothing is stopped without need.
    let ran = github("prints").run().exits(0);
    assert_eq!(stopped(&ran.stdout), [""; 0], "{ran}");
    for (name, value) in [("TF_BUILD", "True"), ("GITLAB_CI", "1"), ("BUILDKITE", "true")] {
        let ran = package.partest().env(name, value).run().exits(100);
        assert!(!ran.stdout.contains("stop-commands"), "{ran}");
    }

    let ran = github("prints -- --nocapture").run().exits(0);
    let parts = stopped(&ran.stdout);
    assert!(parts.len() == 1 && parts[0].contains("\n::error::of a test\n"), "{ran}");
    assert!(parts[0].contains("half a line"), "{ran}");
    assert!(!parts[0].contains("::endgroup::"), "{ran}");
    is_in_order(&ran.stdout, &["::group::", "::stop-commands::", "::endgroup::\n", "1 passed"])
        .unwrap();

    // What a binary says instead of a list is on stderr.
    let lost = Package::with_a_lost_list();
    let says = std::fs::read_to_string(lost.path("tests/lost.rs")).unwrap();
    lost.write("tests/lost.rs", &says.replace("no file", "##[error]no file"));
    let ran = lost.partest().env("GITHUB_ACTIONS", "true").run().exits(1);
    let parts = stopped(&ran.stderr);
    assert!(parts.len() == 1 && parts[0].contains("##[error]no file"), "{ran}");
}

#[test]
fn gitlab_and_azure_get_what_they_read() {
    let package = package();
    let ran = partest(&package).env("GITLAB_CI", "true").run().exits(100);
    // Times differ.
    let ran_at: String = ran.stdout.chars().filter(|c| !c.is_ascii_digit()).collect();
    let sections = [
        "\u{1b}[Ksection_start::partest_build\r\u{1b}[KBuild of the tests\n",
        "\u{1b}[Ksection_end::partest_build\r\u{1b}[K\n",
        "\u{1b}[Ksection_start::partest_tests\r\u{1b}[KTests\n",
        "\u{1b}[Ksection_end::partest_tests\r\u{1b}[K\n",
    ];
    is_in_order(&ran_at, &sections).unwrap_or_else(|missing| panic!("{missing}\n{ran}"));
    assert!(ran.stdout.contains("\u{1b}[0Ksection_start:1"), "{ran}");

    let ran =
        partest(&package).env("TF_BUILD", "True").env("AGENT_TEMPDIRECTORY", package.path("."));
    let ran = ran.run().exits(100);
    let issue = "##vso[task.logissue type=error;sourcepath=rust/src/lib.rs;linenumber=5;\
        columnnumber=9]shop::tests::fails failed: a, 100%AZP25%0Ait's [b]\n";
    has_in_order(&ran, &["##[group]Tests\n", "##[endgroup]\n", issue, "##vso[task.uploadsummary]"]);
    let (_, path) = ran.stdout.split_once("uploadsummary]").unwrap();
    let text = std::fs::read_to_string(path.lines().next().unwrap()).unwrap();
    assert!(text.starts_with("## Tests failed\n"), "{text}");
}

#[test]
fn teamcity_gets_a_message_for_each_test() {
    let package = package();
    let ran = partest(&package).env("TEAMCITY_VERSION", "2026.1").run().exits(100);
    let about = |name: &str| format!("name='shop::tests::{name}' flowId='shop::tests::{name}'");
    let fails = about("fails");
    has_in_order(
        &ran,
        &[
            "##teamcity[blockOpened name='Build of the tests']\n",
            "##teamcity[blockClosed name='Build of the tests']\n",
            &format!("##teamcity[testStarted {fails} captureStandardOutput='false']\n"),
            &format!("##teamcity[testStdOut {fails} out='::error::out']\n"),
            &format!(
                "##teamcity[testFailed {fails} message='a, 100%' \
             details='src/lib.rs:5:9|na, 100%|nit|'s |[b|]']\n"
            ),
            &format!("##teamcity[testFinished {fails} duration='"),
            "##teamcity[blockClosed name='Tests']\n",
        ],
    );
    let ignored = format!("##teamcity[testIgnored {} message='", about("ignored"));
    assert!(ran.stdout.contains(&ignored), "{ran}");
    let flickers = format!("##teamcity[testStarted {} ", about("flickers"));
    assert_eq!(ran.stdout.matches(&flickers).count(), 2, "{ran}");
    let supported = ran.stdout.find("##teamcity[testRetrySupport enabled='true']\n");
    assert!(supported < ran.stdout.find(&flickers), "{ran}");
}

#[test]
fn buildkite_gets_groups_and_by_its_agent_an_annotation() {
    let package = package();
    let agent =
        "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done >\"$FIXTURE_LOG/annotation\"\n";
    package.write_script("bin/buildkite-agent", agent);
    let path = format!("{}:{}", package.path("bin").display(), std::env::var("PATH").unwrap());
    let buildkite = || partest(&package).env("BUILDKITE", "true").env("BUILDKITE_JOB_ID", "7");
    let ran = buildkite().env("PATH", &path).run().exits(100);
    let last = "1 failed, 3 passed";
    has_in_order(&ran, &["--- Build of the tests\n", "--- Tests\n", "+++ Results\n", last]);
    let expected = "annotate --style error --context cargo-partest-7 -- ## Tests failed";
    assert_eq!(ran.log("annotation")[..7].join(" "), expected, "{ran}");

    let ran = buildkite().run().exits(100);
    assert!(
        ran.stderr.contains("warning: could not annotate this job with the results: "),
        "{ran}"
    );
    let ran = buildkite().env("PATH", &path).args("passes").run().exits(0);
    has_in_order(&ran, &["--- Results\n", "1 passed"]);
    assert!(ran.log("annotation").is_empty(), "{ran}");
}

#[test]
fn a_build_that_fails_hides_no_error_in_a_group() {
    let package = package();
    package.write("rust/src/lib.rs", "fn wrong() -> u8 { \"\" }\n");
    let github = partest(&package).env("GITHUB_ACTIONS", "true").run().exits(101);
    assert!(!github.stdout.contains("::group::"), "{github}");
    let gitlab = partest(&package).env("GITLAB_CI", "true").run().exits(101);
    assert!(gitlab.stdout.contains(":partest_build\r\u{1b}[0K\n"), "it is closed: {gitlab}");
    let buildkite = partest(&package).env("BUILDKITE", "true").run().exits(101);
    assert_eq!(buildkite.stdout, "--- Build of the tests\n^^^ +++\n", "{buildkite}");
}
