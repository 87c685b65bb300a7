//! `--changed`: which packages are tested, by what git says has changed.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use crate::fixture::{Call, Package, Ran};

/// A workspace in a subdirectory of a repository: all but `alone` depend on `base`, by the three
/// kinds of dependencies, and `top` on `web`.
struct Repository(Package);

impl Repository {
    fn new() -> Repository {
        let member = |name: &str, more: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
        };
        let needs = |kind: &str, on: &str| format!("[{kind}]\n{on} = {{ path = \"../{on}\" }}\n");
        let repository = Repository(Package::new(&[
            (".gitignore", "/rust/target\n"),
            ("README.md", "one\n"),
            (
                "rust/Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\", \"aside\"]\n",
            ),
            ("rust/aside/Cargo.toml", &member("aside", "[workspace]\n")),
            ("rust/aside/src/lib.rs", ""),
            ("rust/base/build.rs", "fn main() {}\n"),
            ("rust/base/Cargo.toml", &member("base", &needs("dependencies", "aside"))),
            ("rust/web/Cargo.toml", &member("web", &needs("dependencies", "base"))),
            ("rust/dev/Cargo.toml", &member("dev", &needs("dev-dependencies", "base"))),
            ("rust/made/Cargo.toml", &member("made", &needs("build-dependencies", "base"))),
            ("rust/made/build.rs", "fn main() {}\n"),
            ("rust/top/Cargo.toml", &member("top", &needs("dependencies", "web"))),
            ("rust/alone/Cargo.toml", &member("alone", "")),
        ]));
        for name in ["base", "web", "dev", "made", "top", "alone"] {
            repository.0.write(&format!("rust/{name}/src/lib.rs"), "#[test] fn passes() {}\n");
        }
        repository.git("init -q -b main");
        repository.partest("--no-run").run().exits(0);
        repository.commit();
        repository
    }

    #[track_caller]
    fn git(&self, words: &str) -> String {
        git(&self.0.path(""), words)
    }

    fn commit(&self) {
        self.git("add -A");
        self.git("commit -q -m x");
    }

    /// As it was at the last commit.
    fn reset(&self) {
        self.git("reset -q --hard");
        self.git("clean -q -d -f");
    }

    fn partest(&self, words: &str) -> Call {
        self.0
            .partest()
            .within("rust")
            .args(words)
            .env("CARGO_TARGET_DIR", self.0.path("rust/target"))
    }

    /// The packages whose tests ran.
    #[track_caller]
    fn tested(&self, words: &str) -> (String, Ran) {
        let ran = self.partest(words).json().run().exits(0);
        let ids = ran.ids("passed");
        let names: Vec<&str> = ids.iter().filter_map(|id| id.split("::").next()).collect();
        (names.join(" "), ran)
    }
}

#[track_caller]
fn git(dir: &Path, words: &str) -> String {
    let mut git = Command::new("git");
    git.current_dir(dir).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
    git.args(["-c", "protocol.file.allow=always"]).args(words.split(' '));
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(name);
    }
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const ALL: &str = "alone base dev made top web";

/// Whatever else has the name of a package, and wherever the sources of its targets are.
#[test]
fn a_package_is_known_by_more_than_its_name_and_folder() {
    let repository = Repository::new();
    let manifest = |name: &str, version: &str, more: &str| {
        let head = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
        format!("{head}edition = \"2024\"\n{more}")
    };
    let shared = "[[test]]\nname = \"both\"\npath = \"../../shared/both.rs\"\n";
    let older = "[dependencies]\nbase = { path = \"../../older/base\" }\n";
    let package = &repository.0;
    package.write("shared/both.rs", "#[test] fn passes() {}\n");
    package
        .write("rust/alone/Cargo.toml", &manifest("alone", "0.1.0", &(shared.to_owned() + older)));
    package.write("rust/web/Cargo.toml", &manifest("web", "0.1.0", shared));
    package.write("older/base/Cargo.toml", &manifest("base", "0.0.1", "[workspace]\n"));
    package.write("older/base/src/lib.rs", "");
    repository.partest("--no-run").run().exits(0);
    repository.commit();
    package.write("rust/base/src/lib.rs", "#[test] fn passes() {} // changed\n");
    let (tested, ran) = repository.tested("--changed --lib");
    assert_eq!(tested, "alone base dev made", "{ran}");
    repository.reset();
    package.write("shared/both.rs", "#[test] fn passes() {} // changed\n");
    let (tested, ran) = repository.tested("--changed --lib");
    assert_eq!(tested, "alone top web", "{ran}");
}

#[test]
fn packages_with_changes_are_tested_and_those_that_depend_on_them() {
    let repository = Repository::new();
    let write = |path: &str| repository.0.write(path, "#[test] fn passes() {} // changed\n");
    let remove = |path: &str| std::fs::remove_file(repository.0.path(path)).unwrap();
    type Change<'c> = (&'c str, Box<dyn Fn() + 'c>, &'c str);
    let changes: Vec<Change<'_>> = vec![
        ("a file of one", Box::new(|| write("rust/alone/src/lib.rs")), "alone"),
        (
            "a file of a dependency",
            Box::new(|| write("rust/base/src/lib.rs")),
            "base dev made top web",
        ),
        ("an untracked file", Box::new(|| write("rust/web/src/new.rs")), "top web"),
        ("a deleted file", Box::new(|| remove("rust/made/build.rs")), "made"),
        (
            "a file that moved to another package",
            Box::new(|| {
                repository.git("mv rust/base/build.rs rust/alone/moved.rs");
            }),
            "alone base dev made top web",
        ),
        (
            "a staged file",
            Box::new(|| {
                write("rust/dev/src/lib.rs");
                repository.git("add -A");
            }),
            "dev",
        ),
        (
            "a local dependency that is no member",
            Box::new(|| repository.0.write("rust/aside/src/lib.rs", "// changed\n")),
            "base dev made top web",
        ),
        (
            "the manifest of the workspace",
            Box::new(|| {
                repository.0.write("rust/Cargo.toml", "# changed\n[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\", \"aside\"]\n")
            }),
            ALL,
        ),
        (
            "the lock file",
            Box::new(|| {
                let lock = std::fs::read_to_string(repository.0.path("rust/Cargo.lock")).unwrap();
                repository.0.write("rust/Cargo.lock", &format!("{lock}# changed\n"));
            }),
            ALL,
        ),
        (
            "cargo's configuration above",
            Box::new(|| repository.0.write(".cargo/config.toml", "\n")),
            ALL,
        ),
    ];
    for (what, change, expected) in &changes {
        repository.reset();
        change();
        let (tested, ran) = repository.tested("--changed");
        assert_eq!(tested, *expected, "{what}; {ran}");
    }
}

#[test]
fn where_nothing_has_changed_nothing_is_built() {
    let repository = Repository::new();
    // Nothing can be built.
    let broken = |call: Call| call.env("RUSTC", "/nowhere/rustc");
    let ran = broken(repository.partest("--changed").json()).run().exits(0);
    assert_eq!(ran.finished()["passed"], 0, "{ran}");
    assert!(ran.stderr.contains("since HEAD: no package"), "{ran}");
    let ran = broken(repository.partest("--changed passes --no-run")).run();
    assert_eq!(ran.code(), Some(2), "a filter behind the flag is a revision: {ran}");
    broken(repository.partest("passes --changed --no-run")).run().exits(0);
    // The package that has changed is built, and the broken one is not.
    repository.0.write("rust/web/src/lib.rs", "this does not compile\n");
    repository.commit();
    repository.0.write("rust/alone/src/lib.rs", "#[test] fn passes() {} // changed\n");
    let (tested, ran) = repository.tested("--changed");
    assert_eq!(tested, "alone", "{ran}");
}

#[test]
fn a_revision_stands_for_the_commit_where_the_branch_left_it() {
    let repository = Repository::new();
    let changed = "#[test] fn passes() {} // changed\n";
    repository.git("checkout -q -b topic");
    repository.0.write("rust/dev/src/lib.rs", changed);
    repository.commit();
    repository.git("checkout -q main");
    repository.0.write("rust/made/src/lib.rs", changed);
    repository.commit();
    repository.git("checkout -q topic");
    repository.0.write("rust/alone/src/lib.rs", changed);
    repository.0.write("README.md", "two\n");
    for words in
        ["--changed main", "--changed=main", "--changed=main passes", "passes --changed main"]
    {
        let (tested, ran) = repository.tested(words);
        assert_eq!(tested, "alone dev", "{ran}");
        assert!(
            ran.stderr.contains("not in any package: `../README.md`")
                || ran.stderr.contains("README.md`"),
            "{ran}"
        );
    }
    assert_eq!(repository.tested("--changed").0, "alone");
    assert_eq!(repository.tested("--changed -p alone -p base").0, "alone");
    assert_eq!(repository.tested("--changed=main --workspace --exclude alone").0, "dev");
    let listed = repository.partest("list --changed").run().exits(0);
    assert_eq!(listed.stdout, "alone::passes\n", "{listed}");
    // As in a hook of git, whose variables hold for another directory.
    let hook =
        repository.partest("--changed").env("GIT_DIR", ".git").env("GIT_INDEX_FILE", ".git/index");
    assert_eq!(hook.json().run().exits(0).ids("passed"), ["alone::passes"]);
    let misspelt = repository.partest("--changed mian").run().exits(2);
    assert!(misspelt.stderr.contains("did you mean `--changed=main`?"), "{misspelt}");
    let filter = repository.partest("--changed db::tests").json().run().exits(2);
    assert!(filter.stderr.contains("`cargo partest db::tests --changed`"), "{filter}");
    assert_eq!(filter.events()[0]["event"], "usage-error", "{filter}");
    let package = repository.partest("--changed -p bas").run().exits(2);
    assert!(package.stderr.contains("did you mean `base`?"), "{package}");
}

#[test]
fn default_members_are_those_that_cargo_takes() {
    let repository = Repository::new();
    let member = "[package]\nname = \"nested\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    repository.0.write("rust/web/nested/Cargo.toml", member);
    repository.0.write("rust/web/nested/src/lib.rs", "#[test] fn passes() {}\n");
    let table = [
        ("", "alone nested top web"),
        ("default-members = [\"./web\"]", "web"),
        ("default-members = [\"web/\", \"alone\"]", "alone web"),
        // A wildcard stops at a directory's end.
        ("default-members = [\"w*\"]", "web"),
        ("default-members = [\"web/n*\", \"./t*/\"]", "nested top"),
    ];
    for (key, expected) in table {
        let members = "members = [\"*\", \"web/nested\"]\nexclude = [\"target\", \"aside\"]";
        let manifest = format!("[workspace]\nresolver = \"3\"\n{members}\n{key}\n");
        repository.0.write("rust/Cargo.toml", &manifest);
        repository.partest("--no-run --workspace").run().exits(0);
        repository.commit();
        for name in ["alone", "web", "web/nested"] {
            repository.0.write(
                &format!("rust/{name}/src/lib.rs"),
                &format!("#[test] fn passes() {{}} // changed for {key}\n"),
            );
        }
        // The second time, cargo's answer is known.
        for _ in 0..2 {
            let (tested, ran) = repository.tested("--changed");
            assert_eq!(tested, expected, "{key}; {ran}");
        }
    }
}

/// `web` has a target and a feature, and what it depends on has one too.
fn with_features() -> Repository {
    let repository = Repository::new();
    let append = |path: &str, more: &str| {
        let text = std::fs::read_to_string(repository.0.path(path)).unwrap();
        repository.0.write(path, &format!("{text}{more}"));
    };
    append("rust/web/Cargo.toml", "[features]\npostgres = []\n");
    append("rust/base/Cargo.toml", "[features]\nfast = []\n");
    append("rust/web/src/lib.rs", "#[cfg(feature = \"postgres\")] #[test] fn stores() {}\n");
    repository.0.write("rust/web/tests/api.rs", "#[test] fn answers() {}\n");
    repository.commit();
    repository
}

#[test]
fn targets_and_features_of_packages_without_changes_do_not_fail_the_build() {
    let repository = with_features();
    let change = |name: &str| {
        repository.reset();
        repository.0.write(&format!("rust/{name}/src/new.rs"), "// changed\n");
    };
    change("alone");
    let nothing = repository.partest("--changed --test api").env("RUSTC", "/nowhere/rustc");
    let ran = nothing.run().exits(0);
    assert!(ran.stderr.contains("since HEAD: no package"), "{ran}");
    for words in [
        "--changed --workspace --features web/postgres",
        "--changed --features postgres,base/fast",
        "--changed --lib --test a*",
    ] {
        let (tested, ran) = repository.tested(words);
        assert_eq!(tested, "alone", "{words}; {ran}");
    }
    // Cargo takes no feature of what a package depends on by way of another one.
    change("top");
    let (tested, ran) = repository.tested("--changed --workspace --features base/fast");
    assert_eq!(tested, "top", "{ran}");
    // What has changed is built as without the flag.
    change("web");
    let ran = repository.partest("--changed --features web/postgres").json().run().exits(0);
    assert!(ran.ids("passed").iter().any(|id| id == "web::stores"), "{ran}");
    let (tested, ran) = repository.tested("--changed --test api");
    assert_eq!(tested, "api", "{ran}");
}

#[test]
fn targets_and_features_that_no_package_has_are_errors_with_changes_too() {
    let repository = with_features();
    repository.0.write("rust/alone/src/new.rs", "// changed\n");
    for (words, name) in [
        ("--changed --test pai", "pai"),
        ("--changed --test api --test pai", "pai"),
        ("--changed --features postgers", "postgers"),
        ("--changed --features web/postgers", "web/postgers"),
        // As without `--changed`, since `web` is not selected.
        ("--changed -p alone --test api", "api"),
    ] {
        let ran = repository.partest(words).run().exits(101);
        assert!(ran.stderr.contains(name), "{words}; {ran}");
    }
}

#[test]
fn a_submodule_counts_as_its_packages() {
    let library = Package::new(&[
        (
            "inner/Cargo.toml",
            "[package]\nname = \"inner\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        ("inner/src/lib.rs", "#[test] fn passes() {}\n"),
    ]);
    for words in ["init -q -b main", "add -A", "commit -q -m x"] {
        git(&library.path(""), words);
    }
    let repository = Repository::new();
    let url = library.path("").display().to_string();
    repository.git(&format!("submodule --quiet add {} rust/sub", url.trim_end_matches('/')));
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"*\", \"sub/inner\"]\nexclude = [\"target\", \"aside\", \"sub\"]\n";
    repository.0.write(
        "rust/Cargo.toml",
        &manifest.replace(", \"sub\"]", "]").replace("\"*\"", "\"alone\""),
    );
    repository.partest("--no-run").run().exits(0);
    repository.commit();
    repository.0.write("rust/sub/inner/src/new.rs", "");
    let (tested, ran) = repository.tested("--changed");
    assert_eq!(tested, "inner", "{ran}");
}

#[test]
fn where_git_cannot_tell_what_has_changed_it_says_what_to_do() {
    let package = Package::shop("", "#[test] fn opens() {}\n");
    let above = package.path("").parent().unwrap().parent().unwrap().to_owned();
    let alone = package.partest().args("--changed").env("GIT_CEILING_DIRECTORIES", &above);
    let ran = alone.run().exits(2);
    assert!(ran.stderr.contains("is in no git repository"), "{ran}");
    assert!(ran.stderr.contains("`-p`"), "{ran}");
    let without =
        package.partest().args("--changed").env("CARGO", env!("CARGO")).env("PATH", "/nowhere");
    let ran = without.run().exits(2);
    assert!(ran.stderr.contains("cannot start `git`"), "{ran}");

    // Before the first commit, everything is new.
    let repository = package.path("");
    git(&repository, "init -q -b main");
    let ran = package.partest().args("--changed").json().run().exits(0);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    for message in ["one", "two"] {
        git(&repository, "add -A");
        git(&repository, &format!("commit -q --allow-empty -m {message}"));
    }
    let old = git(&repository, "rev-parse HEAD~1");
    let clones = Package::new(&[]);
    let url = format!("file://{}", repository.display());
    git(&clones.path(""), &format!("clone -q --depth 1 {url} shallow"));
    let shallow = || clones.partest().within("shallow");
    let ran = shallow().arg(format!("--changed={}", old.trim())).run().exits(2);
    assert!(ran.stderr.contains("git fetch --unshallow"), "{ran}");
    // The commit is there, and what lies between is not.
    git(&clones.path("shallow"), &format!("fetch -q --depth 1 origin {}", old.trim()));
    let ran = shallow().arg(format!("--changed={}", old.trim())).run().exits(2);
    assert!(ran.stderr.contains("too shallow"), "{ran}");
}
