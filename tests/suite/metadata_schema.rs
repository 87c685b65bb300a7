//! The JSON Schema of the metadata, as taplo reads it: what is right is accepted, what is wrong is not.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docs::page::{Page, REPOSITORY};
use crate::fixture::tools::tool;
use crate::fixture::{PROGRAM, directory};
use tempfile::TempDir;

/// Fixtures whose metadata the program refuses.
const WRONG: [&str; 2] = ["two_policies", "wrong_keys"];

/// taplo, with a folder in which the schema is. It fetches nothing.
struct Taplo {
    program: PathBuf,
    folder: TempDir,
}

impl Taplo {
    fn find() -> Option<Taplo> {
        let program = tool("python/bin/taplo")?;
        let folder = TempDir::new().unwrap();
        let schema = Command::new(PROGRAM).args(["partest", "schema"]).output().unwrap();
        assert!(schema.status.success() && schema.stderr.is_empty(), "{schema:?}");
        std::fs::write(folder.path().join("partest.schema.json"), schema.stdout).unwrap();
        Some(Taplo { program, folder })
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What it has to say about these manifests; nothing is fine.
    fn complaints(&self, manifests: &[PathBuf]) -> Option<String> {
        let schema = self.folder.path().join("partest.schema.json");
        let mut taplo = Command::new("timeout");
        taplo.arg("120").arg(&self.program).args(["check", "--colors", "never", "--schema"]);
        taplo.arg(format!("file://{}", schema.display())).args(manifests);
        let ran = taplo.current_dir(&self.folder).output().unwrap();
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        (!ran.status.success()).then_some(told)
    }
}

/// All manifests with metadata below a folder.
fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            manifests(&path, found);
        } else if path.ends_with("Cargo.toml") {
            found.push(path);
        }
    }
}

/// The examples in the tables of the manual, each in its place.
fn examples() -> Vec<String> {
    let page = Page::read("docs/keys.md");
    let node = |around: [&str; 2]| {
        let [before, after] = around;
        [
            format!("[package.metadata.partest.modules]\n\"web::db\" = {{ {before}"),
            format!("{after} }}\n"),
        ]
    };
    let fixture = |around: [&str; 2]| {
        let [before, after] = around;
        [format!("[package.metadata.partest.fixtures]\ndb = {{ {before}"), format!("{after} }}\n")]
    };
    let at = |section: &str| [format!("[{section}.metadata.partest]\n"), "\n".to_owned()];
    let places = [
        ("Keys of a node", node(["", ""])),
        ("leaks", node(["leaks = { ", " }"])),
        ("retries", node(["retries = { ", " }"])),
        ("locks", node(["locks = { ", " }"])),
        ("Keys at the top of a table only", at("package")),
        ("Keys at the top of a table only", at("workspace")),
        ("Keys of the workspace's table only", at("workspace")),
        ("Keys of a fixture", fixture(["", ""])),
        ("ready", fixture(["start = [\"x\"], ready = { ", " }"])),
        ("stop", fixture(["start = [\"x\"], stop = { ", " }"])),
    ];
    let in_place = |(heading, [before, after]): (&str, [String; 2])| {
        let examples = page.table(heading).column("example");
        let needs_start = |example: &str| {
            heading == "Keys of a fixture"
                && !["start", "test"].iter().any(|key| example.starts_with(key))
        };
        let whole = move |example: String| {
            let start = if needs_start(&example) { "start = [\"x\"], " } else { "" };
            format!("{before}{start}{example}{after}")
        };
        examples.into_iter().map(whole).collect::<Vec<_>>()
    };
    places.into_iter().flat_map(in_place).collect()
}

#[test]
fn every_example_of_the_manual_and_every_fixture_is_accepted() {
    let Some(taplo) = Taplo::find() else { return };
    let mut all = Vec::new();
    manifests(&Path::new(REPOSITORY).join("fixtures-examples"), &mut all);
    all.retain(|path| !WRONG.iter().any(|wrong| path.parent().unwrap().ends_with(wrong)));
    let fixtures = all.len();
    let blocks = Page::all().iter().flat_map(Page::blocks).collect::<Vec<_>>();
    let blocks = blocks.into_iter().filter(|block| block.info == ["toml", "web"]);
    for (at, text) in blocks.map(|block| block.text).chain(examples()).enumerate() {
        all.push(taplo.write(&format!("{at}.toml"), &text));
    }
    assert!(fixtures > 30 && all.len() > fixtures + 60, "{} and {fixtures}", all.len());
    assert_eq!(taplo.complaints(&all), None);
}

#[test]
fn what_the_program_refuses_is_refused() {
    let Some(taplo) = Taplo::find() else { return };
    for fixture in WRONG {
        assert!(taplo.complaints(&[directory(fixture).join("Cargo.toml")]).is_some(), "{fixture}");
    }
    let top = |text: &str| format!("[package.metadata.partest]\n{text}\n");
    let node = |text: &str| format!("[package.metadata.partest.modules]\nweb = {text}\n");
    let fixture = |text: &str| format!("[package.metadata.partest.fixtures]\ndb = {text}\n");
    let workspace = |text: &str| format!("[workspace.metadata.partest]\n{text}\n");
    let wrong = [
        top("treads = 2"),
        top("timeout = 30"),
        top("timeout = \"30 parsecs\""),
        top("leaks = \"forbid\""),
        top("leaks = { threads = \"deny\" }"),
        top("jobs = 2"),
        top("overcommit = 0"),
        top("reports = { junti = \"x\" }"),
        node("\"spilt\""),
        node("{ isolate = \"yes\" }"),
        node("{ modules = {} }"),
        node("{ memory = \"1\" }"),
        node("{ recycle = \"on-error\" }"),
        fixture("{ ready = \"x\" }"),
        fixture("{ start = [\"x\"], test = \"x\" }"),
        fixture("{ start = \"x\" }"),
        fixture("{ start = [\"x\"], scope = \"test\" }"),
        workspace("no-tests = \"pas\""),
        workspace("release = true"),
        workspace("profile = { ci = { fixtures = {} } }"),
    ];
    for (at, text) in wrong.iter().enumerate() {
        let manifest = taplo.write(&format!("{at}.toml"), text);
        assert!(taplo.complaints(&[manifest]).is_some(), "{text}");
    }
    // Other tables are left to others.
    let other = "[package]\nname = 1\nmetadata.other.partest.treads = 2\n";
    assert_eq!(taplo.complaints(&[taplo.write("other.toml", other)]), None);
}
