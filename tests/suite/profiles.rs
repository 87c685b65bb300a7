//! Defaults of the command line in Cargo.toml, and profiles of them.

#![cfg(unix)]

use crate::fixture::{Call, Package};

/// A member of a workspace with one test that fails, one that passes, and one that is ignored.
fn workspace(metadata: &str) -> Package {
    let root = format!("[workspace]\nresolver = \"3\"\nmembers = [\"shop\"]\n{metadata}");
    Package::new(&[
        ("Cargo.toml", &root),
        (
            "shop/Cargo.toml",
            "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        (
            "shop/src/lib.rs",
            "#[test] fn opens() {}\n\
             #[test] fn closes() { assert!(std::env::var(\"SHOP\").is_ok(), \"no shop\") }\n\
             #[test] #[ignore] fn waits() {}\n",
        ),
    ])
}

const METADATA: &str = r#"
[workspace.metadata.partest]
retries = 1
jobs = 1
skip = ["closes"]
modules = { "shop::opens" = { retries = 5 } }

[workspace.metadata.partest.profile.ci]
retries = 2
jobs = 3
skip = []
include-ignored = true
no-fail-fast = true
reports = { junit = "out/ci.xml" }
status-level = "all"

[workspace.metadata.partest.profile.narrow]
default-filter = "test(closes)"
skip = []
env = { SHOP = "1" }
modules = { "shop::closes" = { retries = 3 } }

[workspace.metadata.partest.profile.ci-fast]
filters = ["opens"]
env = { SHOP = "1" }
"#;

#[test]
fn the_command_line_counts_before_the_profile_and_that_before_the_top_level() {
    let package = workspace(METADATA);
    let attempts = |call: Call| -> Option<u64> {
        let ran = call.run();
        let test = ran.tests().into_iter().find(|test| test["id"] == "shop::closes")?;
        test["attempt"].as_u64()
    };
    let ran = package.partest().json().run().exits(0);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    assert_eq!(ran.events()[0]["slots"], 1, "{ran}");
    assert!(!package.path("out/ci.xml").exists());

    // From a member's directory, too.
    let ci = || package.partest().within("shop").args("--profile-partest ci");
    let ran = ci().json().run().exits(100);
    assert_eq!(ran.ids("passed"), ["shop::opens", "shop::waits"], "{ran}");
    assert_eq!(ran.events()[0]["slots"], 3, "{ran}");
    assert!(package.path("out/ci.xml").exists(), "{ran}");
    assert_eq!(attempts(ci().json()), Some(3), "the profile's retries");
    assert_eq!(attempts(ci().json().args("--retries 0")), Some(1), "the command line's retries");
    assert_eq!(
        attempts(package.partest().json().args("closes")),
        None,
        "a filter leaves `skip` as it is"
    );
    assert_eq!(
        attempts(package.partest().json().args("-- --skip opens")),
        Some(2),
        "the top's retries"
    );
    let ran = ci().args("-j1").json().run();
    assert_eq!(ran.events()[0]["slots"], 1, "{ran}");
    let ran = ci().run();
    assert!(ran.stderr.contains("shop::waits"), "every test is printed: {ran}");

    let fast = || package.partest().env("PARTEST_PROFILE", "ci-fast");
    assert_eq!(fast().json().run().exits(0).verdicts().len(), 1);
    let named = fast().json().args("-- --skip nothing closes").run().exits(0);
    assert_eq!(named.ids("passed"), ["shop::closes"], "the profile's variable: {named}");
    let flag = fast().args("--profile-partest ci").json().run();
    assert_eq!(flag.verdicts().len(), 3, "the flag counts before the variable: {flag}");
    // In a run that a test has started, the variable is that of another project.
    let nested = fast().env("PARTEST_RUN_ID", "1").env("PARTEST_PROFILE", "outer");
    nested.json().run().exits(0);
    let narrow = package.partest().args("--profile-partest narrow").json().run().exits(0);
    assert_eq!(narrow.ids("passed"), ["shop::closes"], "the profile's filter: {narrow}");
    let all = package.partest().args("--profile-partest narrow --ignore-default-filter").json();
    assert_eq!(all.run().exits(0).ids("passed"), ["shop::closes", "shop::opens"]);
    // Commands about no workspace have no profile.
    package.partest().env("PARTEST_PROFILE", "outer").args("completions bash").run().exits(0);
    // Nothing is inferred from the surroundings.
    let ran = package.partest().env("CI", "true").json().run().exits(0);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
}

#[test]
fn mistakes_in_profiles_and_defaults_are_told_with_place_and_nearest_word() {
    let package = workspace(METADATA);
    for call in [
        package.partest().args("--profile-partest c"),
        package.partest().args("list --profile-partest cii"),
        package.partest().env("PARTEST_PROFILE", "cj"),
    ] {
        let ran = call.json().run().exits(2);
        assert!(ran.stderr.contains("did you mean `ci`?"), "{ran}");
        assert!(ran.stderr.contains("Cargo.toml:11:"), "the place of the nearest: {ran}");
        assert!(!ran.stderr.contains("Compiling"), "nothing is built: {ran}");
        let event = &ran.events()[0];
        assert_eq!(event["event"], "usage-error", "{ran}");
        assert!(event.to_string().contains("Cargo.toml:11:"), "{ran}");
    }
    let far = package.partest().args("--profile-partest zzz").run().exits(2);
    assert!(far.stderr.contains("expected one of: ci, ci-fast, narrow"), "{far}");
    assert!(far.stderr.contains("(from --profile-partest)"), "{far}");
    let none = workspace("").partest().args("--profile-partest ci").run().exits(2);
    assert!(none.stderr.contains("[workspace.metadata.partest.profile.ci]"), "{none}");

    let wrong = workspace(
        "[workspace.metadata.partest]\n\
         jobs = \"many\"\n\
         status-levle = \"all\"\n\
         release = true\n\
         html = \"page.html\"\n\
         [workspace.metadata.partest.profile.ci]\n\
         retires = 2\n\
         no-tests = \"pas\"\n\
         fixtures = {}\n\
         modules = { \"shpo::opens\" = \"unit\" }\n\
         [workspace.metadata.partest.profile]\n\
         fast = 1\n",
    );
    wrong.write(
        "shop/Cargo.toml",
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [package.metadata.partest]\njobs = 2\nprofile = {}\n",
    );
    let ran = wrong.partest().run().exits(2);
    for told in [
        "invalid value `many` for `jobs`",
        "did you mean `status-level`?",
        "`release` is a flag of cargo",
        "use `reports = { html = ",
        "did you mean `retries`?",
        "did you mean `pass`?",
        "fixtures cannot be defined in a profile",
        "did you mean `shop::opens`?",
        "`fast` must be a table",
        "`jobs` cannot be set for one package",
        "profiles are tables [workspace.metadata.partest.profile.NAME]",
        "Cargo.toml:5:",
        "shop/Cargo.toml:6:1",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran}");
    }
}
