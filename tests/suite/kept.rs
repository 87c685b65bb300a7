//! What is kept from run to run is never older than what it was made of.

#![cfg(unix)]

use crate::fixture::{Call, Package, Ran};

/// Tells which of cargo's commands was called, and calls it.
const CARGO: &str = "#!/bin/sh\necho \"$1\" >> \"$FIXTURE_LOG/calls\"\nexec cargo \"$@\"\n";

/// Writes down what a test gets to see.
const LIBRARY: &str = "
#[cfg(test)]
mod tests {
    #[test]
    fn opens() {
        let log = std::env::var(\"FIXTURE_LOG\").unwrap();
        let seen = [\"CARGO_PKG_VERSION\", \"SHOP_SIGN\"].map(|name| std::env::var(name).ok());
        std::fs::write(log + \"/seen\", format!(\"{seen:?}\")).unwrap();
    }
}
";

const MANIFEST: &str = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                        [workspace]\nmembers = [\"crates/*\"]\n";

fn shop() -> Package {
    let package = Package::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", LIBRARY)]);
    add_member(&package, "scales", "");
    package.write_script("bin/cargo", CARGO);
    package
}

fn add_member(package: &Package, name: &str, library: &str) {
    let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    package.write(&format!("crates/{name}/Cargo.toml"), &manifest);
    package.write(&format!("crates/{name}/src/lib.rs"), library);
}

fn call(package: &Package) -> Call {
    package.partest().args("--workspace").json().env("CARGO", package.path("bin/cargo"))
}

fn asks(ran: &Ran) -> bool {
    ran.log("calls").iter().any(|call| call == "metadata")
}

/// Runs until cargo's answer is known: what has just been written is not trusted yet.
#[track_caller]
fn until_known(package: &Package) {
    until_known_with(package, "");
}

#[track_caller]
fn until_known_with(package: &Package, flags: &str) {
    const RUNS: usize = 50;
    let call = || call(package).args(flags);
    let is_known = |_| !asks(&call().run().exits(0));
    assert!((0..RUNS).any(is_known), "cargo is asked again and again");
    let ran = call().run().exits(0);
    assert_eq!(ran.log("calls"), ["test"], "{ran}");
    assert_eq!(ran.ids("passed").len(), ran.tests().len(), "{ran}");
}

/// The next run after a change asks anew, and the one after some more do not.
#[track_caller]
fn next_run(package: &Package) -> Ran {
    let ran = call(package).run().exits(0);
    assert!(asks(&ran), "the old answer was believed; {ran}");
    until_known(package);
    ran
}

#[test]
fn a_changed_manifest_holds_at_once() {
    let package = shop();
    until_known(&package);
    // Of the same length.
    package.write("Cargo.toml", &MANIFEST.replace("0.1.0", "0.2.0"));
    let ran = next_run(&package);
    assert!(ran.log("seen")[0].contains("0.2.0"), "{ran}");
    package
        .write("Cargo.toml", &format!("{MANIFEST}[package.metadata.partest]\npolcy = \"unit\"\n"));
    let ran = call(&package).run().exits(2);
    assert!(ran.stderr.contains("polcy"), "{ran}");
}

#[test]
fn a_new_member_is_seen_at_once() {
    let package = shop();
    until_known(&package);
    add_member(&package, "till", "#[test] fn rings() {}");
    let ran = next_run(&package);
    assert_eq!(ran.ids("passed"), ["shop::tests::opens", "till::rings"], "{ran}");
    std::fs::remove_dir_all(package.path("crates/till")).unwrap();
    let ran = next_run(&package);
    assert_eq!(ran.ids("passed"), ["shop::tests::opens"], "{ran}");
}

#[test]
fn a_new_target_is_seen_at_once() {
    let package = shop();
    until_known(&package);
    package.write("tests/hours.rs", "#[test] fn are_kept() {}");
    let ran = next_run(&package);
    assert_eq!(ran.ids("passed"), ["hours::are_kept", "shop::tests::opens"], "{ran}");
}

#[test]
fn changed_configuration_and_variables_hold_at_once() {
    let package = shop();
    until_known(&package);
    package.write(".cargo/config.toml", "[env]\nSHOP_SIGN = \"open\"\n");
    let ran = next_run(&package);
    assert!(ran.log("seen")[0].contains("open"), "{ran}");
    package.write(".cargo/config.toml", "[env]\nSHOP_SIGN = \"shut\"\n");
    let ran = next_run(&package);
    assert!(ran.log("seen")[0].contains("shut"), "{ran}");
    let ran = call(&package).env("CARGO_TERM_COLOR", "never").run().exits(0);
    assert!(asks(&ran), "{ran}");
}

/// As when `rust-toolchain.toml` names another one.
#[test]
fn another_cargo_is_asked_at_once() {
    let package = shop();
    until_known(&package);
    package.write_script("other/cargo", CARGO);
    let ran = call(&package).env("CARGO", package.path("other/cargo")).run().exits(0);
    assert!(asks(&ran), "another path; {ran}");
    until_known(&package);
    std::fs::rename(package.path("other/cargo"), package.path("bin/cargo")).unwrap();
    assert!(asks(&call(&package).run().exits(0)), "another file");
}

#[test]
fn a_damaged_answer_is_told_and_written_anew() {
    let package = shop();
    until_known(&package);
    let files = std::fs::read_dir(package.path("target/partest")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let kept: Vec<String> = names.filter(|name| name.starts_with("metadata-")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    for damage in ["", "{", "null"] {
        package.write(&format!("target/partest/{}", kept[0]), damage);
        let ran = next_run(&package);
        assert_eq!(ran.stderr.matches("ignored damaged file").count(), 1, "{damage:?}; {ran}");
    }
}

#[test]
fn other_flags_are_other_questions() {
    let package = shop();
    until_known(&package);
    assert!(asks(&call(&package).args("--offline").run().exits(0)));
    until_known_with(&package, "--config term.quiet=true");
    let ran = call(&package).args("--config env.SHOP_SIGN=\"open\"").run().exits(0);
    assert!(asks(&ran) && ran.log("seen")[0].contains("open"), "{ran}");
}

/// The files of the command line, and those that files include, are as good as any.
#[test]
fn named_and_included_configuration_holds_at_once() {
    let sign = |says: &str| format!("[env]\nSHOP_SIGN = \"{says}\"\n");
    let package = shop();
    package.write("signs/sign.toml", &sign("open"));
    package.write("named/named.toml", "include = [\"../signs/sign.toml\"]\n");
    let flags = "--config named/named.toml";
    until_known_with(&package, flags);
    package.write("signs/sign.toml", &sign("shut"));
    let ran = call(&package).args(flags).run().exits(0);
    assert!(asks(&ran) && ran.log("seen")[0].contains("shut"), "{ran}");
    until_known_with(&package, flags);
    package.write("named/named.toml", &sign("sold"));
    let ran = call(&package).args(flags).run().exits(0);
    assert!(asks(&ran) && ran.log("seen")[0].contains("sold"), "{ran}");
}
