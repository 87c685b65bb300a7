//! Commands that set up a repository or a shell.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::PROGRAM;
use tempfile::TempDir;

/// Runs the program in a folder that no repository of the outside contains.
fn partest(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    command.arg("partest").args(words).current_dir(folder).env("NO_COLOR", "1");
    command.env("GIT_CEILING_DIRECTORIES", std::env::temp_dir());
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn repository() -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = Command::new("git").args(["init", "--quiet"]).current_dir(&folder).status();
    assert!(made.unwrap().success());
    std::fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").unwrap();
    folder
}

#[test]
fn a_hook_is_installed_again_and_removed() {
    let folder = repository();
    let hook = folder.path().join(".git/hooks/pre-commit");
    for _ in 0..2 {
        let (code, stdout, stderr) = partest(folder.path(), &["hook", "install"]);
        assert_eq!((code, &*stderr), (0, ""));
        assert!(stdout.starts_with("installed `") && stdout.contains("hooks/pre-commit`"));
    }
    let text = std::fs::read_to_string(&hook).unwrap();
    assert!(
        text.starts_with("#!/bin/sh\n")
            && text.ends_with("\nexec cargo partest --quiet --changed\n")
    );
    assert_eq!(hook.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    // Nothing else was left beside it.
    let ours = |name: &str| name.contains("partest");
    let names = std::fs::read_dir(hook.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| ours(&name)));
    assert_eq!(partest(folder.path(), &["hook", "uninstall"]).0, 0);
    assert!(!hook.exists());
    let (code, stdout, _) = partest(folder.path(), &["hook", "uninstall"]);
    assert!(code == 0 && stdout.starts_with("there is no hook"), "{stdout}");
}

#[test]
fn the_hook_runs_where_git_looks_for_it_and_decides_about_the_commit() {
    let folder = repository();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        // A stand-in for cargo: what the hook runs, and whether git's own variables reach it.
        command.args(words).current_dir(&folder).env("PATH", path_with(folder.path()));
        command.env("HOME", folder.path()).output().unwrap()
    };
    for (key, value) in [("core.hooksPath", "my-hooks"), ("user.name", "a"), ("user.email", "a@b")]
    {
        assert!(git(&["config", key, value]).status.success());
    }
    assert_eq!(partest(folder.path(), &["hook", "install"]).0, 0);
    assert!(folder.path().join("my-hooks/pre-commit").exists());
    for (code, is_made) in [(1, false), (0, true)] {
        let stand_in =
            format!("#!/bin/sh\necho \"$*,${{GIT_INDEX_FILE-unset}}\" >>ran\nexit {code}\n");
        let cargo = folder.path().join("cargo");
        std::fs::write(&cargo, stand_in).unwrap();
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
        let made = git(&["commit", "--quiet", "--allow-empty", "-m", "first"]);
        assert_eq!(made.status.success(), is_made, "{made:?}");
    }
    let ran = std::fs::read_to_string(folder.path().join("ran")).unwrap();
    assert_eq!(ran, "partest --quiet --changed,unset\n".repeat(2));
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}

#[test]
fn a_hook_of_somebody_else_stays() {
    let folder = repository();
    let hook = folder.path().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nmake lint\n").unwrap();
    let below = folder.path().join("the rust");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("Cargo.toml"), "[workspace]\n").unwrap();
    for (from, command, end) in [
        (
            "",
            "install",
            "is; to run the tests from it, add this line: cargo partest --quiet --changed\n",
        ),
        ("the rust", "install", ": (cd './the rust' && cargo partest --quiet --changed)\n"),
        ("the rust", "uninstall", "is another hook, and stays as it is\n"),
    ] {
        let (code, _, stderr) = partest(&folder.path().join(from), &["hook", command]);
        assert_eq!(code, 2);
        assert!(stderr.ends_with(end), "{stderr}");
        assert_eq!(std::fs::read_to_string(&hook).unwrap(), "#!/bin/sh\nmake lint\n");
    }
}

#[test]
fn the_hook_of_an_earlier_version_is_replaced_and_removed() {
    let folder = repository();
    let hook = folder.path().join(".git/hooks/pre-commit");
    let old = "#!/bin/sh\n# Installed by `cargo partest hook install`. To commit without it: git commit --no-verify\nexec cargo partest\n";
    for (command, is_left) in [("install", true), ("uninstall", false)] {
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, old).unwrap();
        assert_eq!(partest(folder.path(), &["hook", command]).0, 0);
        assert_eq!(hook.exists(), is_left);
    }
}

#[test]
fn the_hook_enters_the_workspace_from_wherever_it_is_installed() {
    let folder = repository();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let package = "[package]\nname = \"web\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    std::fs::remove_file(folder.path().join("Cargo.toml")).unwrap();
    write("it's $HOME/Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"web\"]\n");
    write("it's $HOME/web/Cargo.toml", package);
    write("it's $HOME/web/src/lib.rs", "");
    let named = ["hook", "install", "--manifest-path", "it's $HOME/web/Cargo.toml"];
    for (from, words) in
        [("it's $HOME", &named[..2]), ("it's $HOME/web", &named[..2]), ("", &named[..])]
    {
        let (code, _, stderr) = partest(&folder.path().join(from), words);
        assert_eq!((code, &*stderr), (0, ""), "{from}");
        let hook = folder.path().join(".git/hooks/pre-commit");
        let text = std::fs::read_to_string(&hook).unwrap();
        assert!(text.contains("\ncd './it'\\''s $HOME' || exit 1\nexec "), "{text}");
        std::fs::remove_file(hook).unwrap();
    }
    // Such a hook would let no commit pass.
    let (code, _, stderr) = partest(folder.path(), &["hook", "install"]);
    assert_eq!(code, 101);
    assert!(stderr.starts_with("error: could not find `Cargo.toml`"), "{stderr}");
    assert!(!folder.path().join(".git/hooks/pre-commit").exists());
    // A repository whose packages are members of a workspace around it.
    write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"sub/web\"]\n");
    write("sub/web/Cargo.toml", package);
    write("sub/web/src/lib.rs", "");
    let sub = folder.path().join("sub");
    assert!(Command::new("git").args(["init", "-q"]).current_dir(&sub).status().unwrap().success());
    assert_eq!(partest(&sub.join("web"), &["hook", "install"]).0, 0);
    let text = std::fs::read_to_string(sub.join(".git/hooks/pre-commit")).unwrap();
    assert!(text.contains("\ncd ./web || exit 1\n"), "{text}");
}

#[test]
fn a_hook_needs_a_repository() {
    let folder = TempDir::new().unwrap();
    let (code, _, stderr) = partest(folder.path(), &["hook", "install"]);
    assert_eq!(code, 2);
    assert!(stderr.starts_with("error: hooks belong to a git repository: "), "{stderr}");
}

#[test]
fn a_configuration_of_nextest_is_found_from_below_and_by_name() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join(".config");
    std::fs::create_dir_all(folder.path().join("crates/web")).unwrap();
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("nextest.toml"), "[profile.default]\nretries = 2\n").unwrap();
    let expected = "[workspace.metadata.partest]\nretries = 2\n\n";
    for (from, words) in [
        ("", &["migrate"][..]),
        ("crates/web", &["migrate"]),
        ("crates", &["migrate", "../.config/nextest.toml"]),
        ("crates", &["migrate", "--manifest-path", "../Cargo.toml"]),
    ] {
        let (code, stdout, stderr) = partest(&folder.path().join(from), words);
        assert_eq!((code, &*stdout, &*stderr), (0, expected, ""), "{words:?}");
    }
    std::fs::write(place.join("nextest.toml"), "[profile.default\n").unwrap();
    let (code, stdout, stderr) = partest(folder.path(), &["migrate"]);
    assert_eq!((code, &*stdout), (2, ""));
    assert!(stderr.contains("nextest.toml` is not valid TOML"), "{stderr}");
    let (code, _, stderr) = partest(folder.path(), &["migrate", "missing.toml"]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("error: cannot read `missing.toml`: "), "{stderr}");
}

#[test]
fn shells_get_completions_and_man_a_page() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, stdout, stderr) = partest(folder.path(), &["completions", shell]);
        assert_eq!((code, &*stderr), (0, ""), "{shell}");
        assert!(stdout.contains("cargo-partest") && stdout.contains("no-partition"), "{shell}");
    }
    let (code, _, stderr) = partest(folder.path(), &["completions", "tcsh"]);
    assert!(code == 2 && stderr.contains("possible values: bash"), "{stderr}");
    let (code, page, _) = partest(folder.path(), &["man"]);
    assert_eq!(code, 0);
    assert!(page.contains(".TH cargo-partest 1") && page.contains("\\-\\-no\\-partition"));
    let lines: Vec<&str> = page.lines().collect();
    for entry in lines.windows(3).filter(|lines| lines[0] == ".TP") {
        assert!(!entry[2].is_empty(), "{} is not described", entry[1]);
    }
    let (_, help, _) = partest(folder.path(), &["--help"]);
    for command in ["archive", "bisect", "self-check"] {
        assert!(page.contains(&format!("\\fB{}\\fR\n", command.replace('-', "\\-"))), "{command}");
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
}

/// What bash reads must be a script that bash takes.
#[test]
fn bash_accepts_its_completions() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, partest(folder.path(), &["completions", "bash"]).1).unwrap();
    let check = "source \"$0\"; complete -p cargo-partest";
    let bash = Command::new("bash").args(["-c", check]).arg(&script).output().unwrap();
    assert!(bash.status.success(), "{bash:?}");
}
