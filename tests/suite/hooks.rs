//! Hooks of git by tools that nobody here wrote: pre-commit with our `.pre-commit-hooks.yaml`, lefthook
//! and cargo-husky with what docs/setting-up.md says. `tests/suite/fixture/tools.rs` says where they are.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::tools::{path_with, python, tool};
use crate::fixture::{PROGRAM, Package};

const MANIFEST: &str = "[package]\nversion = \"0.1.0\"\nedition = \"2024\"\n";

/// Calls git as a hook would: in a repository of its own. A hook that lets git's variables through has
/// it write into the index of the commit.
const CALLS_GIT: &str = r#"
#[test]
fn calls_git() {
    let place = std::env::temp_dir().join(format!("calls-git-{}", std::process::id()));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("stray"), "").unwrap();
    for words in [&["init", "-q"][..], &["add", "stray"]] {
        let git = std::process::Command::new("git").args(words).current_dir(&place).status();
        assert!(git.unwrap().success());
    }
    std::fs::remove_dir_all(&place).unwrap();
}
"#;

/// A workspace of two packages that do not know each other, under version control.
struct Scratch(Package);

impl Scratch {
    fn new() -> Scratch {
        Scratch::within(".")
    }

    /// With the workspace in this folder of the repository.
    fn within(folder: &str) -> Scratch {
        let member = |name: &str| MANIFEST.replace("]\n", &format!("]\nname = \"{name}\"\n"));
        let scratch = Scratch(Package::new(&[(".gitignore", "target\nCargo.lock\n")]));
        for (path, text) in [
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\"]\n"),
            ("one/Cargo.toml", &member("one")),
            ("two/Cargo.toml", &member("two")),
            ("one/src/lib.rs", "#[test] fn of_one() {}\n"),
            ("two/src/lib.rs", "#[test] fn of_two() {}\n"),
            ("one/tests/git.rs", CALLS_GIT),
            ("two/tests/gone.rs", "#[test] fn needs_a_file() { include_str!(\"data\"); }\n"),
            ("two/tests/data", ""),
        ] {
            scratch.0.write(&format!("{folder}/{path}"), text);
        }
        scratch.git(&["init", "--quiet"]);
        scratch.git(&["add", "."]);
        scratch.git(&["commit", "--quiet", "-m", "first"]);
        scratch
    }

    /// A command line as a user would type it here, who has `cargo partest` installed.
    fn command(&self, mut command: Command, words: &[&str]) -> Command {
        let programs = Path::new(PROGRAM).parent().unwrap();
        command.args(words).current_dir(self.0.path(""));
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "a").env(format!("GIT_{role}_EMAIL"), "a@b");
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("NO_COLOR", "1");
        command.env("PATH", path_with(&[programs])).env("CARGO_TERM_COLOR", "never");
        command.env("CARGO_TARGET_DIR", self.0.path("target"));
        // pre-commit and lefthook keep what they have got there.
        command.env("PRE_COMMIT_HOME", self.0.path("target/pre-commit"));
        command
    }

    #[track_caller]
    fn git(&self, words: &[&str]) -> String {
        done(self.command(Command::new("git"), words))
    }

    /// Tries to commit, by a git that finds what its hooks need in `hooks`' variables.
    fn commit(&self, hooks: &Command, words: &[&str]) -> Commit {
        let mut git = self.command(Command::new("git"), &["commit", "-m", "next"]);
        git.args(words).envs(hooks.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let Output { status, stdout, stderr } = git.output().unwrap();
        let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Commit { is_made: status.success(), text: text.concat() }
    }
}

/// What became of an attempt to commit, and all that was said.
struct Commit {
    is_made: bool,
    text: String,
}

impl Commit {
    #[track_caller]
    fn is(self, is_made: bool, words: &[&str]) -> Commit {
        assert_eq!(self.is_made, is_made, "{}", self.text);
        for words in words {
            assert!(self.text.contains(words), "no `{words}` in:\n{}", self.text);
        }
        self
    }

    #[track_caller]
    fn says_nothing_of(&self, words: &[&str]) {
        for words in words {
            assert!(!self.text.contains(words), "`{words}` in:\n{}", self.text);
        }
    }
}

#[track_caller]
fn done(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// pre-commit, set up with these hooks of ours as a repository has them that uses a clone of this one.
fn pre_commit(scratch: &Scratch, hooks: &[&str]) -> Option<Command> {
    let ours =
        Package::new(&[(".pre-commit-hooks.yaml", include_str!("../../.pre-commit-hooks.yaml"))]);
    for words in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "-m", "a"],
        &["tag", "v0.1.0"],
    ] {
        let mut git = scratch.command(Command::new("git"), words);
        git.current_dir(ours.path(""));
        done(git);
    }
    let mut text =
        format!("repos:\n- repo: {}\n  rev: v0.1.0\n  hooks:\n", ours.path("").display());
    hooks.iter().for_each(|id| text += &format!("  - id: {id}\n"));
    scratch.0.write(".pre-commit-config.yaml", &text);
    scratch.git(&["add", ".pre-commit-config.yaml"]);
    let tool = || Some(scratch.command(python("pre_commit")?, &["-m", "pre_commit"]));
    for words in [&["install"][..], &["install-hooks"]] {
        let mut command = tool()?;
        done({
            command.args(words);
            command
        });
    }
    tool()
}

const RED: &str = "#[test] fn of_one() { println!(\"counting\"); assert_eq!(1 + 1, 3); }\n";

#[test]
fn pre_commit_is_quiet_when_tests_pass_and_clear_when_one_fails() {
    let scratch = Scratch::new();
    let Some(tool) = pre_commit(&scratch, &["cargo-partest", "cargo-partest-plan"]) else { return };
    scratch.0.write("one/src/lib.rs", "#[test] fn of_one() { assert!(true); }\n");
    // The index of this commit is a file of its own.
    let green = scratch.commit(&tool, &["-a"]).is(true, &["cargo partest....", "Passed\n"]);
    green.is(true, &[]).says_nothing_of(&["passed in", "of_one", "Running", "plan....Passed"]);
    let files = scratch.git(&["ls-files"]);
    assert!(!files.contains("stray") && files.contains("two/src/lib.rs"), "{files}");
    scratch.0.write("one/src/lib.rs", RED);
    let words = [
        "cargo partest....",
        "Failed\n- hook id: cargo-partest\n- exit code: 100\n",
        "FAILED one::of_one",
        "  left: 2\n",
        "  | counting\n",
        "rerun: cargo partest -p one --lib -- --exact of_one\n",
        "1 failed, 3 passed in ",
    ];
    scratch.commit(&tool, &["-a"]).is(false, &words);
    scratch.git(&["checkout", "--quiet", "--force", "HEAD"]);
    scratch.0.write("README.md", "one\n");
    scratch.git(&["add", "README.md"]);
    scratch.commit(&tool, &[]).is(true, &["(no files to check)Skipped\n"]);
    let policies = "[package.metadata.partest.modules]\n\"one\" = \"splt\"\n";
    let manifest = MANIFEST.replace("]\n", "]\nname = \"one\"\n") + policies;
    scratch.0.write("one/Cargo.toml", &manifest);
    let words = ["cargo partest plan....", "- hook id: cargo-partest-plan\n", "\"splt\""];
    scratch.commit(&tool, &["-a"]).is(false, &words);
}

#[test]
fn pre_commit_tests_what_is_staged_and_puts_the_rest_back() {
    let scratch = Scratch::new();
    let Some(tool) = pre_commit(&scratch, &["cargo-partest-changed"]) else { return };
    let read = |path: &str| std::fs::read_to_string(scratch.0.path(path)).unwrap();
    scratch.0.write("one/src/lib.rs", "#[test] fn of_one() { assert!(true); }\n");
    scratch.git(&["add", "one/src/lib.rs"]);
    // Neither of these is part of the commit.
    scratch.0.write("one/src/lib.rs", RED);
    scratch.0.write("two/src/lib.rs", "#[test] fn of_two() { panic!() }\n");
    let green = scratch.commit(&tool, &[]).is(true, &["cargo partest --changed....", "Passed\n"]);
    green.says_nothing_of(&["passed in", "of_one"]);
    assert_eq!(read("one/src/lib.rs"), RED);
    scratch.git(&["add", "one/src/lib.rs"]);
    let red = scratch.commit(&tool, &[]).is(false, &["FAILED one::of_one", "- exit code: 100\n"]);
    red.says_nothing_of(&["of_two"]);
    assert!(read("two/src/lib.rs").contains("panic"), "it was put back");
    scratch.git(&["checkout", "--quiet", "--force", "HEAD"]);
    // pre-commit itself does not count deleted files.
    scratch.git(&["rm", "--quiet", "two/tests/data"]);
    let words = ["- exit code: 101\n", "couldn't read `two/tests/data`"];
    scratch.commit(&tool, &[]).is(false, &words);
    scratch.git(&["reset", "--quiet", "--hard"]);
    scratch.0.write("README.md", "one\n");
    scratch.git(&["add", "README.md"]);
    scratch.commit(&tool, &[]).is(true, &["Passed\n"]).says_nothing_of(&["error", "warning"]);
}

/// The block of docs/setting-up.md that begins with this comment, without it.
fn from_the_page(path: &str) -> String {
    let page = include_str!("../../docs/setting-up.md");
    let (_, block) = page.split_once(&format!("\n# {path}\n")).expect(path);
    let end = ["\n\n# ", "\n```"].iter().filter_map(|end| block.find(end)).min();
    block[..end.unwrap()].to_owned() + "\n"
}

#[test]
fn lefthook_runs_what_the_page_says() {
    let scratch = Scratch::new();
    let Some(lefthook) = tool("python/bin/lefthook") else { return };
    scratch.0.write("lefthook.yml", &from_the_page("lefthook.yml"));
    let Some(python) = python("lefthook") else { return };
    // Its hook looks for it in PATH.
    let programs = [Path::new(PROGRAM).parent().unwrap(), lefthook.parent().unwrap()];
    let mut tool = scratch.command(python, &["-m", "lefthook", "install"]);
    tool.env("PATH", path_with(&programs));
    scratch.git(&["add", "lefthook.yml"]);
    let status = tool.output().unwrap();
    assert!(status.status.success(), "{status:?}");
    decides(&scratch, &tool);
}

#[test]
fn the_script_for_cargo_husky_decides_about_the_commit() {
    let scratch = Scratch::new();
    // The build script of cargo-husky copies it there, and makes it executable.
    let hook = from_the_page(".cargo-husky/hooks/pre-commit");
    scratch.0.write_script(".git/hooks/pre-commit", &hook);
    let plain = scratch.command(Command::new("true"), &[]);
    decides(&scratch, &plain);
}

/// git starts a hook at the top of the working tree, where no manifest is.
#[test]
fn the_hook_of_a_workspace_below_the_top_decides_about_the_commit() {
    let scratch = Scratch::within("my rust");
    let folder = scratch.0.path("my rust");
    let mut command = scratch.command(Command::new(PROGRAM), &["partest", "hook", "install"]);
    command.current_dir(&folder);
    done(command);
    let plain = scratch.command(Command::new("true"), &[]);
    scratch.0.write("my rust/one/src/lib.rs", "#[test] fn of_one() { assert!(true); }\n");
    scratch.commit(&plain, &["-a"]).is(true, &["2 passed in "]).says_nothing_of(&["of_two"]);
    scratch.0.write("my rust/one/src/lib.rs", RED);
    scratch.commit(&plain, &["-a"]).is(false, &["FAILED one::of_one"]);
    // What is without tests is committed without them.
    scratch.git(&["checkout", "--quiet", "--force", "HEAD"]);
    scratch.0.write("README.md", "one\n");
    scratch.git(&["add", "README.md"]);
    scratch.commit(&plain, &[]).is(true, &[]);
}

/// A commit is made if the tests pass, and none of them gets at its index.
#[track_caller]
fn decides(scratch: &Scratch, tool: &Command) {
    scratch.0.write("one/src/lib.rs", "#[test] fn of_one() { assert!(true); }\n");
    scratch.commit(tool, &["-a"]).is(true, &["2 passed in "]).says_nothing_of(&["of_two"]);
    let files = scratch.git(&["ls-files"]);
    assert!(!files.contains("stray") && files.contains("two/src/lib.rs"), "{files}");
    scratch.0.write("one/src/lib.rs", RED);
    scratch.commit(tool, &["-a"]).is(false, &["FAILED one::of_one"]);
}
