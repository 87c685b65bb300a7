//! `self-check` says what works on a machine, and what does not.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeMap;
use std::path::Path;

use crate::fixture::{Call, Ran, partest};
use tempfile::TempDir;

/// With this as its folder for temporary files.
fn call(folder: &Path) -> Call {
    partest("passes").args("self-check").env("TMPDIR", folder)
}

/// Which checks there are, and what came out of them.
fn checks(ran: &Ran) -> BTreeMap<String, (bool, String)> {
    let [event] = &ran.events()[..] else { panic!("not one event; {ran}") };
    assert_eq!(event["event"], "self-check", "{ran}");
    let checks = event["checks"].as_array().unwrap().iter().map(|check| {
        let text = |field: &str| check[field].as_str().unwrap().to_owned();
        (text("name"), (check["works"].as_bool().unwrap(), text("detail")))
    });
    checks.collect()
}

fn missing(ran: &Ran) -> Vec<String> {
    checks(ran).into_iter().filter(|(_, (works, _))| !works).map(|(name, _)| name).collect()
}

/// Whatever was written there is gone.
fn is_empty(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().all(|name| name == ".cargo")
}

#[test]
fn all_works_here_but_a_terminal() {
    let folder = TempDir::new().unwrap();
    let ran = call(folder.path()).json().run().exits(0);
    assert_eq!(missing(&ran), ["terminal"], "{ran}");
    assert_eq!(checks(&ran).len(), 10, "{ran}");
    assert!(is_empty(folder.path()));
    let human = call(folder.path()).run().exits(0);
    assert!(human.stdout.contains("works    agent          the agent loads"), "{human}");
    assert!(human.stdout.contains("missing  terminal       stderr is not a terminal"), "{human}");
}

/// No agent is loaded into what a runner starts, which may be an emulator.
#[test]
fn what_a_runner_hides_is_missing() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join(".cargo")).unwrap();
    let config = "[target.'cfg(unix)']\nrunner = \"env\"\n";
    std::fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
    let ran = call(folder.path()).json().run().exits(0);
    let missing = missing(&ran);
    for name in ["agent", "threads", "places", "output"] {
        assert!(missing.iter().any(|missing| missing == name), "{name}; {ran}");
    }
    assert!(!missing.iter().any(|missing| missing == "run"), "{ran}");
}

#[test]
fn a_machine_without_a_build_is_broken() {
    let folder = TempDir::new().unwrap();
    let ran = call(folder.path()).json().env("CARGO", "/nowhere/cargo").run().exits(1);
    let found = checks(&ran);
    assert_eq!(found.len(), 1, "{ran}");
    let (works, detail) = &found["run"];
    assert!(!works && detail.contains("cannot start `/nowhere/cargo`"), "{ran}");
    assert!(is_empty(folder.path()));
}

#[test]
fn a_machine_without_a_temporary_directory_is_an_error() {
    let folder = TempDir::new().unwrap();
    let ran = call(&folder.path().join("missing")).run().exits(1);
    assert!(ran.stderr.contains("error: cannot write into the temporary directory: "), "{ran}");
}
