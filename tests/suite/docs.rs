//! The documentation is true: the examples of README.md and docs/ run and come out as shown, tables
//! of keys, fields and exit codes are complete, flags exist, and links lead somewhere.
//!
//! The words behind a fence say what a block is, and so what becomes of it:
//!
//! | fence | what is done with the block |
//! |---|---|
//! | `toml web` | put into the Cargo.toml of `tests/suite/docs/web`, planned without a warning, and left there for the blocks below it |
//! | `console web`, `console tour`, `exit=N` | its commands are run in that package or fixture, and what is shown is compared |
//! | `sh web` | its commands are run there, and succeed |
//! | `sh repository` | commands for a clone of this repository: what they name exists |
//! | `json EVENT` | has the fields that the event has |
//! | `yaml ci`, `yaml pre-commit` | its commands are run; its hooks exist |
//! | `yaml recipe FILE`, `sh recipe FILE`, `starlark recipe FILE` | run by `tests/suite/recipes.rs` |
//! | `rust library`, `toml library` | tests that pass; the dependency that they need |
//! | `text` | free |

#![cfg(unix)]

pub mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fixture::{Call, Package, Ran, partest, partest_in};
use page::{Block, Page, REPOSITORY, spans};
use rustix::process::Signal;
use serde_json::Value;

/// A difference between a page and the program; none is fine.
type Checked = Result<(), String>;

/// The package of the examples. It stands at one place, so that it is built once for all of them.
struct Web {
    directory: PathBuf,
}

impl Web {
    const FILES: [(&str, &str); 5] = [
        ("Cargo.toml", include_str!("docs/web/Cargo.toml")),
        ("src/lib.rs", include_str!("docs/web/src/lib.rs")),
        ("src/bin/server.rs", include_str!("docs/web/src/bin/server.rs")),
        ("tests/api.rs", include_str!("docs/web/tests/api.rs")),
        ("tests/cli.rs", include_str!("docs/web/tests/cli.rs")),
    ];

    /// For one test at a time.
    fn lock() -> (Web, MutexGuard<'static, ()>) {
        static ONLY: Mutex<()> = Mutex::new(());
        // A test that failed leaves nothing half done: all files are laid out anew.
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let web = Web { directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs/web") };
        Web::FILES[1..].iter().for_each(|(path, text)| web.write(path, text));
        web.declare("");
        web.put_under_version_control();
        (web, only)
    }

    /// In a repository of its own, wherever the target directory is. The only commit is empty, so that
    /// all files are new ones.
    fn put_under_version_control(&self) {
        if self.directory.join(".git").exists() {
            return;
        }
        self.write(".gitignore", "target\n");
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        for words in [&["init", "--quiet"][..], &["commit", "--quiet", "--allow-empty", "-m", "a"]]
        {
            let mut git = std::process::Command::new("git");
            git.args(identity).args(words).current_dir(&self.directory);
            assert!(git.status().unwrap().success(), "{git:?}");
        }
    }

    /// What stands there already is left as it is: cargo goes by times.
    fn write(&self, path: &str, text: &str) {
        let path = self.directory.join(path);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// With this in its Cargo.toml, and nothing left of former runs that a run goes by.
    fn declare(&self, toml: &str) {
        self.write("Cargo.toml", &format!("{}\n{toml}", Web::FILES[0].1));
        let state = ["history.json", "last-run.json", "locks.json"];
        let state = state.map(|name| format!("target/partest/{name}")).into_iter();
        for path in state.chain(["partest-baseline.toml".to_owned()]) {
            // It need not be there.
            let _ = std::fs::remove_file(self.directory.join(path));
        }
    }

    fn partest(&self, words: &str) -> Call {
        words_of(words).iter().fold(partest_in(&self.directory), |call, word| call.arg(word))
    }

    /// Accepts this in its Cargo.toml without a word.
    fn accepts(&self, toml: &str) -> Checked {
        self.declare(toml);
        let ran = self.partest("plan").run();
        match ran.code() {
            Some(0) if !ran.stderr.contains("warning") => Ok(()),
            _ => Err(format!("{toml}\n{ran}")),
        }
    }
}

#[track_caller]
fn is_true(differences: Vec<String>) {
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n\n"));
}

#[test]
fn every_example_runs() {
    let (web, _only) = Web::lock();
    let mut differences = Vec::new();
    for page in Page::all() {
        let mut declared = String::new();
        for block in page.blocks() {
            if let Err(difference) = check_block(&web, &block, &mut declared) {
                differences.push(format!("{}: {difference}", block.place));
            }
        }
    }
    is_true(differences);
}

fn check_block(web: &Web, block: &Block, declared: &mut String) -> Checked {
    let info: Vec<&str> = block.info.iter().map(String::as_str).collect();
    match info[..] {
        ["toml", "web"] => {
            declared.clone_from(&block.text);
            web.accepts(declared)
        }
        ["console", whose @ ("web" | "tour"), ref exit @ ..] => {
            web.declare(declared);
            console(web, whose, exit, &block.text)
        }
        ["sh", "web"] => {
            web.declare(declared);
            commands(&block.text).try_for_each(|command| succeeds(web, command))
        }
        ["sh", "repository"] => commands(&block.text).try_for_each(exists),
        ["sh"] if block.text == "cargo test\n" => Ok(()),
        ["json", event] => {
            let found: Value = serde_json::from_str(&block.text).map_err(|e| e.to_string())?;
            if found["event"] == event { Ok(()) } else { Err(format!("no `{event}`")) }
        }
        ["yaml", "ci"] => {
            web.declare(declared);
            let steps = block.text.lines().filter_map(|line| line.split_once("run: "));
            let mut own = steps.map(|(_, step)| step).filter(|step| is_ours(step)).peekable();
            own.peek().ok_or("no step of ours")?;
            own.try_for_each(|command| succeeds(web, command))
        }
        ["yaml", "pre-commit"] => pre_commit(&block.text),
        // These have a test of their own.
        ["toml" | "rust", "library"] | ["yaml" | "sh" | "starlark", "recipe", _] | ["text"] => {
            Ok(())
        }
        _ => Err(format!("nothing is known of blocks like ```{}", info.join(" "))),
    }
}

/// The lines of a shell script, without comments.
fn commands(script: &str) -> impl Iterator<Item = &str> {
    let bare = |line: &'_ str| -> usize { line.find('#').unwrap_or(line.len()) };
    script.lines().map(move |line| line[..bare(line)].trim()).filter(|line| !line.is_empty())
}

fn is_ours(command: &str) -> bool {
    command
        .strip_prefix("cargo partest")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// The words of a command line, of which some may stand in single quotes.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn succeeds(web: &Web, command: &str) -> Checked {
    if !is_ours(command) {
        return Err(format!("`{command}` is no command of ours"));
    }
    let ran = web.partest(&command["cargo partest".len()..]).run();
    if ran.code() == Some(0) { Ok(()) } else { Err(ran.to_string()) }
}

/// Most commands for a clone of the repository would run for minutes: what they name has to be there.
fn exists(command: &str) -> Checked {
    let words: Vec<&str> = command.split_whitespace().collect();
    let is_there = |path: &str| Path::new(REPOSITORY).join(path).exists();
    let is_right = match words[..] {
        ["cargo", "test", "--test", name, ..] => is_there(&format!("tests/{name}/main.rs")),
        ["cargo", "install", "--locked", "--path", "."] => is_there("Cargo.toml"),
        ["cargo", "tour", ref words @ ..] => {
            let command = alias("tour").unwrap_or_default();
            let Some(words_of_alias) = command.strip_prefix("run -- partest ") else {
                return Err(format!("`{command}` does not start the program"));
            };
            let call = partest_in(Path::new(REPOSITORY)).args(words_of_alias);
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
            let ran = call.args(&words.join(" ")).env("CARGO_TARGET_DIR", target).run();
            let expected = if words.contains(&"broken") { 100 } else { 0 };
            if ran.code() != Some(expected) {
                return Err(ran.to_string());
            }
            true
        }
        ["cargo", "lint"] => alias("lint").is_some(),
        ["cargo", "build" | "check" | "fmt" | "clippy" | "doc" | "test", ..] => true,
        ["python3", path, ..] | [path] => is_there(path),
        _ => false,
    };
    if is_right { Ok(()) } else { Err(format!("`{command}` does not work")) }
}

/// A cargo command of this repository.
fn alias(name: &str) -> Option<String> {
    let aliases = std::fs::read_to_string(Path::new(REPOSITORY).join(".cargo/config.toml")).ok()?;
    let beginning = format!("{name} = \"");
    let mut commands = aliases.lines().filter_map(|line| line.strip_prefix(&beginning));
    commands.next()?.strip_suffix('"').map(str::to_owned)
}

/// Commands behind `$ `, each with what it prints below it.
fn console(web: &Web, whose: &str, exit: &[&str], text: &str) -> Checked {
    let exit = match exit {
        [] => 0,
        [code] => code.strip_prefix("exit=").and_then(|code| code.parse().ok()).ok_or("no code")?,
        _ => return Err("too many words behind the fence".to_owned()),
    };
    let mut sessions = text.split("$ cargo partest").peekable();
    if sessions.next() != Some("") || sessions.peek().is_none() {
        return Err("a console begins with `$ cargo partest`".to_owned());
    }
    while let Some(session) = sessions.next() {
        let (words, shown) = session.split_once('\n').unwrap_or((session, ""));
        let call = match whose {
            "web" => web.partest(words),
            fixture => partest(fixture).args(words),
        };
        let (ran, expected) = (call.run(), if sessions.peek().is_some() { 0 } else { exit });
        if ran.code() != Some(expected) {
            return Err(format!("not the exit code {expected}: {ran}"));
        }
        is_shown(shown, &ran)?;
    }
    Ok(())
}

/// Whether every line that is shown is one of the run. Numbers that differ from run to run and the
/// wording of messages may differ: what a line names is compared.
fn is_shown(shown: &str, ran: &Ran) -> Checked {
    let mut real: Vec<&str> = ran.stderr.lines().chain(ran.stdout.lines()).collect();
    for line in shown.lines() {
        let is_it = |real: &&str| match line.starts_with('{') {
            true => lasting(line) == lasting(real),
            false => names(line) == names(real),
        };
        // How many tests are known at first is a matter of how far the build is.
        if names(line).is_empty() || line.trim_start().starts_with("Running ") {
            continue;
        }
        match real.iter().position(is_it) {
            Some(at) => drop(real.remove(at)),
            None => return Err(format!("no line like {line:?} ({:?}): {ran}", names(line))),
        }
    }
    Ok(())
}

/// What a line is about: ids, places, verdicts, policies, flags and counts.
fn names(line: &str) -> BTreeSet<String> {
    const WORDS: &str = "unit split isolated shared auto deny warn default allow";
    const COUNTED: &str =
        "test binary passed failed ignored aborted timed blocked missing flaky leak";
    let bare = |word: &'_ str| -> String {
        word.trim_matches(|c: char| !c.is_alphanumeric() && !"-<>".contains(c)).to_owned()
    };
    let words: Vec<String> = line.split_whitespace().map(bare).collect();
    let is_name = |word: &&String| {
        let is_loud = word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        let is_path = word.contains("::") || word.contains(".rs:") || word.contains("Cargo.toml");
        let is_foreign = word.contains("std::") || word.starts_with("library/");
        let is_ours = WORDS.split(' ').any(|known| known == *word) || word.starts_with("--");
        (is_loud || is_path || is_ours) && !is_foreign
    };
    // A line of a Cargo.toml moves with what stands above it.
    let settled = |word: &String| match word.split_once("Cargo.toml:") {
        Some((directory, _)) => format!("{directory}Cargo.toml"),
        None => word.clone(),
    };
    let counts = words.windows(2).filter(|pair| {
        let noun = pair[1].trim_end_matches('s').replace("binarie", "binary");
        pair[0].parse::<u64>().is_ok() && COUNTED.split(' ').any(|known| known == noun)
    });
    let counts = counts.map(|pair| pair.join(" "));
    words.iter().filter(is_name).map(settled).chain(counts).collect()
}

/// The fields of a JSON line, without what differs from run to run.
fn lasting(line: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    for (name, value) in value.as_object_mut()? {
        let differs = [
            "run",
            "seconds",
            "cpu-seconds",
            "worker",
            "slots",
            "processes",
            "tests",
            "binaries",
            "began",
            "ended",
            "pid",
            "threads",
            "most-threads",
        ];
        if differs.contains(&name.as_str()) {
            *value = Value::Null;
        }
    }
    Some(value)
}

fn pre_commit(text: &str) -> Checked {
    let hooks = std::fs::read_to_string(Path::new(REPOSITORY).join(".pre-commit-hooks.yaml"));
    let hooks = hooks.map_err(|error| error.to_string())?;
    let (_, id) = text.split_once("id: ").ok_or("no hook")?;
    let id = id.split([' ', '}']).next().unwrap_or_default();
    let version = format!("rev: v{}\n", env!("CARGO_PKG_VERSION"));
    match hooks.contains(&format!("- id: {id}\n")) && text.contains(&version) {
        true => Ok(()),
        false => Err(format!("no hook `{id}`, or not {version}")),
    }
}

#[test]
fn the_readme_is_short_and_has_the_test_command() {
    let readme = Page::read("README.md");
    assert!(readme.text.lines().count() <= 180, "a newcomer reads so much and no more");
    // As `.ci/run` finds it.
    let mut lines = readme.text.lines().skip_while(|line| *line != "<!-- test command -->");
    assert_eq!(lines.nth(2), Some("cargo test"));
}

#[test]
fn examples_of_the_library_pass() {
    let (mut tests, mut count, mut dependency) = (String::new(), 0, String::new());
    for block in Page::all().iter().flat_map(Page::blocks) {
        match block.info.join(" ").as_str() {
            "rust library" => {
                count += block.text.matches("#[test]").count();
                tests += &format!("mod of_{} {{\n{}}}\n", count, block.text);
            }
            "toml library" => dependency = block.text,
            _ => {}
        }
    }
    let (from_registry, here) = (
        format!("version = \"{}\"", env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0),
        format!("path = {REPOSITORY:?}"),
    );
    assert!(dependency.contains(&from_registry), "{dependency}");
    let package = Package::shop(&dependency.replace(&from_registry, &here), "");
    package.write("tests/library.rs", &tests);
    let ran = package.partest().json().run().exits(0);
    assert_eq!(ran.ids("passed").len(), count, "{ran}");
    assert!(count > 0);
}

mod keys {
    use super::*;

    /// A word that the program knows nowhere, in each place of the metadata.
    const UNKNOWN: &str = r#"
[package.metadata.partest]
zzzz = 1

[package.metadata.partest.modules]
"web" = { zzzz = 1 }
"web::a" = { leaks = { zzzz = "deny" } }
"web::b" = { retries = { zzzz = 1 } }
"web::c" = { locks = { zzzz = 1 } }

[package.metadata.partest.fixtures.server]
zzzz = 1
start = ["true"]
ready = { zzzz = 1 }
stop = { zzzz = 1 }

[package.metadata.partest.reports]
zzzz = 1

[package.metadata.partest.archive]
zzzz = 1

[workspace.metadata.partest]
zzzz = 1
"#;

    /// What the program says it knows, for each of these places in their order.
    fn known(web: &Web) -> Vec<BTreeSet<String>> {
        web.declare(UNKNOWN);
        let ran = web.partest("plan").run().exits(2);
        let helps = ran.stderr.lines().filter(|line| line.contains("help: "));
        let lists = helps.filter_map(|line| line.rsplit_once(": "));
        lists.map(|(_, list)| list.split(", ").map(str::to_owned).collect()).collect()
    }

    #[test]
    fn are_all_on_the_page_and_no_others() {
        let (web, _only) = Web::lock();
        let known = known(&web);
        let page = Page::read("docs/keys.md");
        let names = |heading| page.table(heading).names();
        let [top, node, leaks, retries, locks, fixture, ready, stop, reports, archive, workspace] =
            &known[..]
        else {
            panic!("{known:?}")
        };
        let (of_nodes, of_tops) =
            (names("Keys of a node"), names("Keys at the top of a table only"));
        assert_eq!(&of_nodes, node);
        assert_eq!(&of_nodes.union(&of_tops).cloned().collect::<BTreeSet<_>>(), top);
        assert_eq!(of_nodes.intersection(&of_tops).count(), 0);
        let of_workspaces = names("Keys of the workspace's table only");
        assert_eq!(&top.union(&of_workspaces).cloned().collect::<BTreeSet<_>>(), workspace);
        let tables = [
            ("leaks", leaks),
            ("retries", retries),
            ("locks", locks),
            ("Keys of a fixture", fixture),
            ("ready", ready),
            ("stop", stop),
            ("reports", reports),
            ("archive", archive),
        ];
        for (heading, known) in tables {
            assert_eq!(&names(heading), known, "{heading}");
        }
    }

    /// As many as a table has rows.
    const NODES: &str = "web web::cache web::cache::tests web::cache::tests::hits \
        web::cache::tests::misses web::db web::db::tests web::db::tests::inserts \
        web::db::tests::inserts_again web::parse web::parse::tests web::settings web::jobs \
        web::jobs::leave_a_thread cli cli::serve cli::serve::starts cli::serve::stops";

    /// The examples of a table, one in each row.
    #[track_caller]
    fn examples(page: &Page, heading: &str) -> Vec<String> {
        let table = page.table(heading);
        let examples = table.column("example");
        assert_eq!(examples.len(), table.rows.len(), "an example in each row of `{heading}`");
        for (example, row) in examples.iter().zip(&table.rows) {
            let key = spans(&row[0]).remove(0);
            assert!(example.contains(&format!("{key} = ")), "`{example}` is no example of `{key}`");
        }
        examples
    }

    /// Examples in tables of their own: at nodes, or as fixtures that a node needs.
    fn at_nodes(examples: &[String], around: (&str, &str)) -> String {
        let nodes = NODES.split_whitespace().zip(examples);
        let lines = nodes
            .map(|(node, example)| format!("{node:?} = {{ {}{example}{} }}\n", around.0, around.1));
        assert!(examples.len() <= NODES.split_whitespace().count());
        let modules: String = lines.collect();
        format!("[package.metadata.partest.modules]\n{modules}{SERVER}")
    }

    fn as_fixtures(examples: &[String], around: (&str, &str)) -> String {
        let start = |example: &str| match example {
            own if own.starts_with("start") || own.starts_with("test") => "",
            _ => "start = [\"server\"], ",
        };
        let lines = examples.iter().enumerate().map(|(at, example)| {
            format!("f{at} = {{ {}{}{example}{} }}\n", start(example), around.0, around.1)
        });
        let fixtures: String = lines.collect();
        let names: Vec<String> = (0..examples.len()).map(|at| format!("\"f{at}\"")).collect();
        format!(
            "[package.metadata.partest.modules]\n\
             api = {{ policy = \"shared\", fixture = [{}] }}\n{SERVER}\
             [package.metadata.partest.fixtures]\npostgres.start = [\"server\"]\n{fixtures}",
            names.join(", ")
        )
    }

    /// What examples name.
    const SERVER: &str = "[package.metadata.partest.fixtures.server]\nstart = [\"server\"]\n";

    #[test]
    fn have_examples_that_are_accepted() {
        let (web, _only) = Web::lock();
        let page = Page::read("docs/keys.md");
        let examples = |heading| examples(&page, heading);
        let at_top = examples("Keys at the top of a table only").join("\n");
        let of_workspace = examples("Keys of the workspace's table only").join("\n");
        let checks = [
            web.accepts(&at_nodes(&examples("Keys of a node"), ("", ""))),
            web.accepts(&at_nodes(&examples("leaks"), ("leaks = { ", " }"))),
            web.accepts(&at_nodes(&examples("retries"), ("retries = { ", " }"))),
            web.accepts(&at_nodes(&examples("locks"), ("locks = { ", " }"))),
            web.accepts(&format!("[package.metadata.partest]\n{at_top}\n")),
            web.accepts(&format!("[workspace.metadata.partest]\n{of_workspace}\n")),
            web.accepts(&as_fixtures(&examples("Keys of a fixture"), ("", ""))),
            web.accepts(&as_fixtures(&examples("ready"), ("ready = { ", " }"))),
            web.accepts(&as_fixtures(&examples("stop"), ("stop = { ", " }"))),
        ];
        is_true(checks.into_iter().filter_map(Result::err).collect());
    }
}

mod exit_codes {
    use super::*;

    /// Each code, by a run that ends with it.
    fn shown(web: &Web) -> BTreeSet<i32> {
        let code = |words: &str| web.partest(words).run().code();
        web.declare("");
        let mut codes = vec![
            code("list"),
            web.partest("list").env("CARGO", "/nowhere/cargo").run().code(),
            code("--nonsense"),
            code("nowhere"),
            code("--lib --features broken fails"),
            code("--test nowhere"),
            code("--lib --leaks deny leave_a_thread"),
        ];
        let mut hangs = web.partest("--lib --features broken hangs").start();
        hangs.await_log("hangs");
        hangs.send(Signal::INT);
        hangs.await_end();
        codes.push(hangs.wait().code());
        let fixture = "[package.metadata.partest.modules]\n\
                       api = { policy = \"shared\", fixture = \"server\" }\n\
                       [package.metadata.partest.fixtures]\nserver.start = [\"false\"]\n";
        web.declare(fixture);
        codes.push(web.partest("--test api").run().code());
        codes.into_iter().map(|code| code.expect("it was not killed")).collect()
    }

    #[test]
    fn are_all_on_the_page_and_can_be_shown() {
        let (web, _only) = Web::lock();
        let table = Page::read("docs/json-and-exit-codes.md").table("Exit codes");
        let of_page: BTreeSet<i32> = table.rows.iter().map(|row| row[0].parse().unwrap()).collect();
        let help = web.partest("--help").run().exits(0).stdout;
        let (_, codes) = help.split_once("Exit codes: ").unwrap();
        let codes = codes.split_once("\n\n").unwrap().0.split("; ").flat_map(|c| c.split(";\n"));
        let of_help: BTreeSet<i32> =
            codes.map(|code| code.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(of_page, of_help, "the page and --help");
        assert_eq!(of_page, shown(&web), "the page and what runs end with");
    }
}

mod json {
    use super::*;

    type Fields = BTreeMap<String, BTreeSet<String>>;

    fn note(fields: &mut Fields, heading: &str, object: &Value) {
        let names = object.as_object().unwrap().keys();
        let names = names.filter(|name| *name != "event").cloned();
        fields.entry(heading.to_owned()).or_default().extend(names);
        for (name, heading) in [
            ("leaks", "Leaks"),
            ("failed-before", "Attempts"),
            ("output-files", "Files of output"),
            ("errors", "Usage errors"),
            ("binaries", "Binaries of a shard"),
            ("locks", "Learnt locks"),
            ("changes", "Changes of state"),
            ("checks", "Checks"),
            ("learnt-locks", "Learnt locks of a test"),
            ("settings", "Settings of a test"),
            ("fixtures", "Fixtures of a test"),
            ("with", "Tests of a bisection"),
            ("dependences", "Dependences"),
            ("shared", "Shared things"),
            ("leaks-by-module", "Leaks by module"),
            ("suggestions", "Suggestions"),
            ("shared-fixtures", "Shared fixtures"),
        ] {
            let parts = object[name].as_array().into_iter().flatten();
            parts.filter(|part| part.is_object()).for_each(|part| note(fields, heading, part));
        }
        if let interference @ Value::Object(_) = &object["interfered"] {
            note(fields, "Interference", interference);
        }
    }

    /// The fields of every event, from runs in which they all occur.
    fn real(web: &Web) -> Fields {
        web.declare(
            "[package.metadata.partest.modules]\n\
             api = { policy = \"shared\", fixture = \"server\" }\n\
             [package.metadata.partest.fixtures.server]\n\
             start = [\"server\"]\nready = \"listening on (?<ADDR>.*)\"\n",
        );
        let mut fields = Fields::new();
        for words in [
            "--features broken --timeout 1s --retries 1",
            "--features broken --timeout 1s --retries 1 --no-agent",
            "--lib --no-agent --shuffle jobs::",
            "--shard 1/2 --lib",
            "plan --test api",
            "list --test api",
            "explain greets",
            "self-check",
            "--no-run",
            "archive --test cli --file target/suite.tar.zst",
            "--nonsense",
            "--test nowhere",
        ] {
            let ran = web.partest(words).json().run();
            for event in ran.events() {
                note(&mut fields, event["event"].as_str().unwrap(), &event);
            }
        }
        // One changes the directory that the next one needs.
        let tests = "#[test] fn a() { std::env::set_current_dir(\"/\").unwrap() }\n\
            #[test] fn b() { assert!(std::path::Path::new(\"Cargo.toml\").exists()) }\n";
        let poisons = "static LOG: std::sync::Mutex<u64> = std::sync::Mutex::new(0);\n\
            #[test] fn c() { let _held = LOG.lock(); panic!() }\n";
        let changes = Package::shop("", &(tests.to_owned() + poisons));
        let file = |does: &str| {
            let path = "std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap())";
            let text = if does == "write" { ", \"\"" } else { "" };
            format!(
                "#[test] fn {does}() {{ std::thread::spawn(std::thread::park); let _ = std::fs::{does}({path}.join(\"x\"){text}); }}"
            )
        };
        changes.write("tests/one.rs", &file("write"));
        changes.write("tests/other.rs", &file("remove_file"));
        let ran = changes.partest().args("-j0 --watch-state").json().run().exits(100);
        let bisected = changes.partest().args("bisect b").json().run().exits(100);
        let diagnosed = changes.partest().args("doctor -j1").json().run().exits(100);
        let sets_up = Package::that_sets_up_in_each_process();
        let sets_up = sets_up.partest().args("doctor -j2").json().run().exits(0);
        // What a child prints in a process of several tests is nobody's alone.
        let unit = "[package.metadata.partest.modules]\nshop = { policy = \"unit\" }\n";
        let prints = "#[test] fn a() {\n\
            std::process::Command::new(\"echo\").arg(\"out\").status().unwrap();\n    panic!()\n}\n\
            #[test] fn b() {}\n";
        let prints = Package::shop(unit, prints);
        prints.write("tests/with-dash.rs", "#[test] #[ignore] fn a() {}\n");
        let prints = prints.partest().json().args("-- --include-ignored").run().exits(100);
        let two = Package::two_that_meet();
        let shares = two.partest().args("-j2").json().run().exits(0);
        let explained = two.partest().args("explain one::reads").json().run().exits(0);
        let library = Package::shop("", "/// ```\n/// ```\npub fn documented() {}\n");
        let doctests = ["--doc", "list --doc"].map(|words| library.partest().json().args(words));
        let doctests = doctests.into_iter().flat_map(|call| call.run().exits(0).events());
        let others = prints
            .events()
            .into_iter()
            .chain(shares.events())
            .chain(explained.events())
            .chain(doctests);
        let others = others
            .chain(bisected.events())
            .chain(diagnosed.events())
            .chain(sets_up.events())
            .chain(ends_without_a_build(web));
        for event in ran.events().into_iter().chain(others) {
            note(&mut fields, event["event"].as_str().unwrap(), &event);
        }
        fields
    }

    /// The events of runs in which cargo does not start, and does not end.
    fn ends_without_a_build(web: &Web) -> Vec<Value> {
        let missing = web.partest("list").json().env("CARGO", "/nowhere/cargo").run().exits(1);
        web.write(
            "cargo.sh",
            "#!/bin/sh\n[ \"$1\" = test ] || exec cargo \"$@\"\necho >$FIXTURE_LOG/builds\nexec sleep 600\n",
        );
        let cargo = web.directory.join("cargo.sh");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&cargo, executable).unwrap();
        let builds = web.partest("").json().env("CARGO", &cargo).start();
        builds.await_log("builds");
        builds.send(Signal::INT);
        [missing, builds.wait().exits(130)].iter().flat_map(Ran::events).collect()
    }

    #[test]
    fn fields_are_all_on_the_page_and_no_others() {
        let (web, _only) = Web::lock();
        let real = real(&web);
        let page = Page::read("docs/json-and-exit-codes.md");
        let tables = page.tables().into_iter().filter(|table| table.columns[0] == "field");
        let on_page: Fields = tables.map(|table| (table.heading.clone(), table.names())).collect();
        assert_eq!(on_page, real);
        for block in Page::all().iter().flat_map(Page::blocks) {
            if let [language, event] = &block.info[..]
                && language == "json"
            {
                let mut fields = Fields::new();
                note(&mut fields, event, &serde_json::from_str(&block.text).unwrap());
                let unknown = |(name, of_block): (&String, &BTreeSet<String>)| {
                    let more: Vec<_> = of_block.difference(&real[name]).cloned().collect();
                    assert_eq!(more, Vec::<String>::new(), "{}", block.place);
                };
                fields.iter().for_each(unknown);
            }
        }
    }

    #[test]
    fn outcomes_are_those_of_the_last_event() {
        let page = Page::read("docs/json-and-exit-codes.md");
        let outcome = page.table("test").rows.into_iter().find(|row| row[0] == "`outcome`");
        let outcomes: BTreeSet<String> = spans(&outcome.unwrap()[1]).into_iter().collect();
        let counts = page.table("run-finished").names();
        // `interrupted` is the run's own flag.
        let count_of = |outcome: &String| match outcome.as_str() {
            "interrupted" => "interrupted-tests".to_owned(),
            outcome => outcome.to_owned(),
        };
        let expected: BTreeSet<String> = outcomes.iter().map(count_of).collect();
        assert!(expected.is_subset(&counts), "{outcomes:?} {counts:?}");
        assert_eq!(outcomes.len(), 8);
    }
}

/// The words that begin like this, up to the first character that is none of theirs.
fn words_with(prefix: &str, texts: &[String]) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut words = BTreeSet::new();
    for text in texts {
        for (at, _) in text.match_indices(prefix) {
            let is_inside = text[..at].ends_with(is_part);
            let rest = &text[at + prefix.len()..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let word = rest[..end].trim_end_matches(['-', '_']);
            if !is_inside && !word.is_empty() {
                words.insert(format!("{prefix}{word}"));
            }
        }
    }
    words
}

/// Flags of other programs that pages speak about.
const OF_OTHERS: &[&str] = &[
    "--args",
    "--array",
    "--check",
    "--dependency",
    "--export-prefix",
    "--follow",
    "--format",
    "--git",
    "--list",
    "--local-env-vars",
    "--no-verify",
    "--ntasks",
    "--open",
    "--output",
    "--parsable",
    "--path",
    "--port",
    "--published",
    "--report-time",
    "--requeue",
    "--test_filter",
    "--wait",
];

#[test]
fn flags_are_those_that_the_program_has_and_all_of_them() {
    let helps = ["--help", "init --help", "bisect --help", "archive --help", "doctor --help"]
        .map(|words| partest("tour").args(words).run().exits(0));
    let known = words_with("--", &helps.map(|ran| ran.stdout));
    let code: Vec<String> = Page::all().iter().flat_map(Page::code).collect();
    let named = words_with("--", &code);
    // A unit test of src/cli compares these tables.
    let page = Page::read("docs/coming-from-cargo-test-and-nextest.md");
    let tables = page.tables().into_iter().filter(|table| table.columns == ["flag", "here"]);
    let cells: Vec<String> =
        tables.flat_map(|table| table.rows).map(|mut row| row.swap_remove(0)).collect();
    let of_others = words_with("--", &cells);
    let is_known = |flag: &str| OF_OTHERS.contains(&flag) || of_others.contains(flag);
    let strange: Vec<_> = named.difference(&known).filter(|flag| !is_known(flag)).collect();
    assert!(strange.is_empty(), "flags that nobody has: {strange:?}");
    let untold: Vec<_> = known
        .difference(&named)
        .filter(|flag| !["--help", "--version"].contains(&flag.as_str()))
        .collect();
    assert!(untold.is_empty(), "flags that no page explains: {untold:?}");
}

#[test]
fn variables_are_those_that_the_program_has_and_all_of_them() {
    fn sources(directory: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, texts),
                false => texts.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let mut texts = Vec::new();
    sources(&Path::new(REPOSITORY).join("src"), &mut texts);
    // Those of tests of our own, and of a thread's name.
    let known: BTreeSet<String> = words_with("PARTEST_", &texts)
        .into_iter()
        .filter(|name| !name.starts_with("PARTEST_THREAD") && name != "PARTEST_TROUBLE")
        .collect();
    let code: Vec<String> = Page::all().iter().flat_map(Page::code).collect();
    assert_eq!(words_with("PARTEST_", &code), known);
    let help = partest("tour").args("--help").run().exits(0).stdout;
    let (_, read) = help.split_once("Environment: ").unwrap();
    let read = read.trim().trim_end_matches('.').split([',', '\n']).map(str::trim);
    for name in read.filter(|name| !name.is_empty()) {
        assert!(code.iter().any(|code| code.contains(name)), "no page has {name}");
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut broken = Vec::new();
    let others = ["fixtures-examples/README.md", "fixtures-examples/tour/README.md"];
    for page in Page::all().into_iter().chain(others.map(Page::read)) {
        for (line, link) in page.links() {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.path.clone(),
                path => page.path.parent().unwrap().join(path),
            };
            let is_there = Path::new(REPOSITORY).join(&target).exists();
            let has_it = || Page::read(target.to_str().unwrap()).anchors().contains(anchor);
            if !is_there || (!anchor.is_empty() && !has_it()) {
                broken.push(format!("{}:{line}: {link}", page.path.display()));
            }
        }
    }
    is_true(broken);
}
