//! `cargo partest archive`, and runs of what it has written: elsewhere, with the sources gone.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::fixture::{self, Call, Package, await_that, is_alive};
use rustix::process::Signal;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use tar::EntryType;

/// Archives of what is built so are small.
const SMALL: &str = "[profile.dev]\ndebug = false\nstrip = true\n";

/// A workspace whose tests use all that a build leaves for them: a program, the output of a build
/// script, a library that is linked at run time, and files beside the sources.
struct Place(Package);

impl Place {
    fn new() -> Place {
        let member = |name: &str, more: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
        };
        let place = Place(Package::new(&[
            (
                "here/Cargo.toml",
                "[profile.dev]\ndebug = false\nstrip = true\n\
                 [workspace]\nresolver = \"3\"\nmembers = [\"web\", \"plug\", \"macros\"]\n\
                 [workspace.metadata.partest.archive]\ninclude = [\"web/data/*.txt\"]\n\
                 [workspace.metadata.partest.profile.fast]\nskip = [\"sleeps\"]\nretries = 1\n",
            ),
            (
                "here/.cargo/config.toml",
                "[env]\nSHOP_HOME = { value = \"web\", relative = true }\n\
                 [build]\nrustflags = [\"-Cprefer-dynamic\"]\n",
            ),
            ("here/plug/Cargo.toml", &member("plug", "[lib]\ncrate-type = [\"dylib\"]\n")),
            (
                "here/plug/src/lib.rs",
                "pub fn two() -> u32 { 2 }\n#[test] fn is_two() { assert_eq!(two(), 2) }\n",
            ),
            ("here/macros/Cargo.toml", &member("macros", "[lib]\nproc-macro = true\n")),
            ("here/macros/src/lib.rs", "#[test] fn is_a_macro() {}\n"),
            (
                "here/web/Cargo.toml",
                &member(
                    "web",
                    "[dependencies]\nplug = { path = \"../plug\" }\n[[test]]\nname = \"own\"\nharness = false\n",
                ),
            ),
            (
                "here/web/build.rs",
                "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
                 std::fs::write(format!(\"{out}/made.txt\"), \"made\").unwrap();\n    \
                 println!(\"cargo::rerun-if-changed=build.rs\");\n}\n",
            ),
            ("here/web/src/lib.rs", "#[test] fn adds() { assert_eq!(plug::two(), 2) }\n"),
            ("here/web/src/main.rs", "fn main() { println!(\"served\") }\n"),
            ("here/web/tests/own.rs", "fn main() {}\n"),
            ("here/web/tests/api.rs", API),
            ("here/web/data/one.txt", "one"),
            ("here/web/data/two.csv", "two"),
        ]));
        fs::create_dir(place.0.path("elsewhere")).unwrap();
        fs::create_dir(place.0.path("tmp")).unwrap();
        place
    }

    fn call(&self, directory: &str, words: &str) -> Call {
        let call = self.0.partest().within(directory).args(words);
        call.env("CARGO_TARGET_DIR", self.0.path("here/target")).env("TMPDIR", self.0.path("tmp"))
    }

    /// In another directory, on a machine without Rust.
    fn elsewhere(&self, words: &str) -> Call {
        let call = self.call("elsewhere", words).env("PATH", "/usr/bin:/bin");
        call.env("RUSTC", "/nowhere/rustc").env("CARGO", "/nowhere/cargo")
    }

    fn is_tidy(&self) -> bool {
        has_no_archive(&self.0.path("tmp"))
    }
}

/// Whether no archive is extracted in here.
fn has_no_archive(dir: &Path) -> bool {
    extracted(dir).is_empty()
}

/// The directories with files of an archive.
fn extracted(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("partest-archive-")).collect()
}

const API: &str = r#"
use std::{env, fs, path::Path, process::Command};

#[test] fn runs_its_program() {
    let program = env::var("CARGO_BIN_EXE_web").unwrap();
    let output = Command::new(program).output().unwrap();
    assert_eq!(output.stdout, b"served\n");
}

#[test] fn finds_what_its_build_script_made() {
    let made = Path::new(&env::var("OUT_DIR").unwrap()).join("made.txt");
    assert_eq!(fs::read_to_string(made).unwrap(), "made");
}

#[test] fn is_where_its_manifest_is() {
    let here = env::current_dir().unwrap();
    assert_eq!(here, Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).canonicalize().unwrap());
    assert!(here.join("Cargo.toml").exists());
    assert!(Path::new(&env::var("SHOP_HOME").unwrap()).ends_with("web"));
}

#[test] fn reads_a_file() { assert_eq!(fs::read_to_string("data/one.txt").unwrap(), "one") }
#[test] fn fails() { panic!("as always") }
#[test] #[ignore] fn reads_another_file() { fs::read_to_string("data/two.csv").unwrap(); }
#[test] #[ignore] fn sleeps() { std::thread::sleep(std::time::Duration::from_secs(600)) }
"#;

#[test]
fn an_archive_gives_the_same_verdicts_elsewhere_with_the_sources_gone() {
    let place = Place::new();
    let in_place = place.call("here", "--workspace").json().run().exits(100);
    let ran =
        place.call("here", "archive --workspace --file ../suite.tar.zst").json().run().exits(0);
    assert_eq!(ran.events().last().unwrap()["event"], "archive-written", "{ran}");
    // Where the sources still are, tests find all that is beside them.
    let beside = place
        .elsewhere("--message-format json run --archive ../suite.tar.zst -- --ignored reads")
        .run()
        .exits(0);
    assert_eq!(beside.ids("passed"), ["api::reads_another_file"], "{beside}");
    fs::rename(place.0.path("here"), place.0.path("moved")).unwrap();

    let ran = place.elsewhere("run --archive ../suite.tar.zst").json().run().exits(100);
    assert_eq!(ran.verdicts(), in_place.verdicts(), "{ran}\n{in_place}");
    assert!(place.is_tidy(), "{ran}");
    assert!(!place.0.path("elsewhere/target").exists(), "{ran}");
    // By the same flags as any run.
    let named =
        place.elsewhere("run --archive ../suite.tar.zst --isolate adds").json().run().exits(0);
    assert_eq!(named.ids("passed"), ["web::adds"], "{named}");
    let listed = place.elsewhere("list --archive ../suite.tar.zst is_two").run().exits(0);
    assert_eq!(listed.stdout, "plug::is_two\n", "{listed}");
    let fast = "--message-format json run --archive ../suite.tar.zst --profile-partest fast --junit out.xml -- --ignored";
    let ran = place.elsewhere(fast).run().exits(100);
    assert_eq!(ran.ids("failed"), ["api::reads_another_file"], "no sleeps: {ran}");
    assert_eq!(ran.test("api::reads_another_file")["attempt"], 2, "{ran}");
    assert!(place.0.path("elsewhere/out.xml").exists(), "{ran}");

    let remap = "run --archive ../suite.tar.zst --workspace-remap ../moved -- --ignored reads";
    place.elsewhere(remap).run().exits(0);
    let kept = "run --archive ../suite.tar.zst --extract-to kept adds";
    place.elsewhere(kept).run().exits(0);
    assert!(place.0.path("elsewhere/kept/target").exists());
    let again = place.elsewhere(kept).run().exits(1);
    assert!(again.stderr.contains("it is not empty"), "{again}");
    let wrong =
        place.elsewhere("run --archive ../suite.tar.zst --workspace-remap ../tmp").run().exits(1);
    assert!(wrong.stderr.contains("--workspace-remap"), "{wrong}");
    for flag in ["-p web", "--release", "--changed", "--features x", "--no-run"] {
        let ran = place.elsewhere(&format!("run --archive ../suite.tar.zst {flag}")).run().exits(2);
        assert!(ran.stderr.contains("`cargo partest archive`"), "{ran}");
    }
    assert!(place.is_tidy());
}

/// A library with a doctest, a failure, and a test that never ends.
const SHOP: &str = r#"
/// ```
/// ```
/// ```
/// assert!(true);
/// ```
pub fn documented() {}
#[test] fn fails() { panic!("as always") }
#[test] #[ignore] fn sleeps() {
    let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
    std::fs::write(log.join("sleeps"), "here\n").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(600));
}
"#;

#[test]
fn nothing_is_left_of_an_archive_however_the_run_ends() {
    let include = "[package.metadata.partest.archive]\ninclude = [\"data\"]\n";
    let package = Package::shop(&format!("{include}{SMALL}"), SHOP);
    fs::create_dir(package.path("data")).unwrap();
    fs::create_dir(package.path("tmp")).unwrap();
    let tmp = package.path("tmp");
    let call = |words: &str| package.partest().args(words).env("TMPDIR", &tmp);
    let ran = call("archive --file suite.tar.zst").run().exits(0);
    assert!(ran.stderr.contains("Archived 2 tests of 1 binary to `suite.tar.zst`"), "{ran}");
    let left_out = "2 doctests of `shop` are not in the archive: rustdoc compiles them from the \
                    sources; `cargo partest --doc` runs them in a checkout\n";
    assert!(ran.stderr.contains(&format!("note: {left_out}")), "{ran}");
    let says = |words: &str| {
        let ran = call(words).args("--archive suite.tar.zst").run();
        ran.stderr.contains(&format!("warning: {left_out}"))
    };
    assert!(says("run") && says("list") && says("plan"));
    assert!(!says("run --no-doc") && !says("run fails"));
    let ran = call("archive --doc --file suite.tar.zst").run().exits(2);
    assert!(ran.stderr.contains("doctests are not in archives"), "{ran}");

    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut running = call("run --archive suite.tar.zst -- --ignored sleeps").start();
        running.await_log("sleeps");
        assert!(!has_no_archive(&tmp));
        let guard = fixture::children_of(&running.pid().as_raw_pid().to_string());
        running.send(signal);
        running.await_end();
        await_that("the end of the guard", || guard.iter().all(|pid| !is_alive(pid)));
        assert!(has_no_archive(&tmp), "{signal:?}");
    }

    // Where nothing is left that could remove it, a later run does.
    let mut killed = call("run --archive suite.tar.zst -- --ignored sleeps").start();
    killed.await_log("sleeps");
    let launcher = killed.pid().as_raw_pid().to_string();
    let guard = fixture::children_of(&launcher);
    let runner = fixture::children_of(&guard[0]);
    // A guard that is stopped does not see how the runner ends.
    for (pids, signal) in [(&guard, Signal::STOP), (&runner, Signal::KILL), (&guard, Signal::KILL)]
    {
        pids.iter().for_each(|pid| send(pid, signal));
    }
    killed.send(Signal::KILL);
    killed.await_end();
    await_that("the end of both", || guard.iter().chain(&runner).all(|pid| !is_alive(pid)));
    let left = extracted(&tmp);
    assert_eq!(left.len(), 1);
    let mut beside = call("run --archive suite.tar.zst -- --ignored sleeps").start();
    beside.await_log("sleeps");
    let own = extracted(&tmp);
    assert!(own.len() == 1 && own != left, "{left:?} {own:?}");
    // What belongs to a run that goes on stays.
    call("list --archive suite.tar.zst").run().exits(0);
    assert_eq!(extracted(&tmp), own);
    beside.send(Signal::INT);
    beside.await_end();
    assert!(has_no_archive(&tmp));

    an_archive_that_cannot_be_finished_is_not_there(&package);
}

fn an_archive_that_cannot_be_finished_is_not_there(package: &Package) {
    let full = package.partest().args("archive --file out/full.tar.zst").with_a_full_disk();
    let full = full.run().exits(1);
    assert!(full.stderr.contains("full.tar.zst"), "{full}");
    assert_eq!(fs::read_dir(package.path("out")).unwrap().count(), 0, "{full}");

    // In the middle of a file that takes minutes, and no space.
    let large = fs::File::create(package.path("data/large")).unwrap();
    large.set_len(1 << 38).unwrap();
    package.write("out/suite.tar.zst", "the former one");
    let out = fs::canonicalize(package.path("out")).unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let writing = package.partest().args("archive --file out/suite.tar.zst").json().start();
        let pid = writing.pid().as_raw_pid();
        await_that("the file that is being written", || is_writing_in(pid, &out));
        writing.send(signal);
        let ran = writing.wait();
        assert!(ran.code() == Some(130) || ran.ended_by() == Some(9), "{ran}");
        let left: Vec<_> = fs::read_dir(&out).unwrap().map(|left| left.unwrap().path()).collect();
        assert_eq!(left, [out.join("suite.tar.zst")], "{ran}");
        let former = fs::read_to_string(package.path("out/suite.tar.zst")).unwrap();
        assert_eq!(former, "the former one", "{ran}");
    }
}

/// Into a file that may have no name. One that stays empty shows at the start, before the process
/// listens to signals, that the archive can be written.
fn is_writing_in(pid: i32, directory: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    open.filter_map(|open| Some(open.ok()?.path())).any(|open| {
        let is_in = fs::read_link(&open).is_ok_and(|file| file.parent() == Some(directory));
        is_in && fs::metadata(&open).is_ok_and(|file| file.len() > 0)
    })
}

fn send(pid: &str, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// In a process with `a_polluter`, `b_victim` fails; both targets have a test `c_same`.
const POLLUTED: &str = r#"
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
static SET: AtomicBool = AtomicBool::new(false);
#[test] fn a_polluter() { SET.store(true, SeqCst) }
#[test] fn b_victim() { assert!(!SET.load(SeqCst), "set") }
#[test] fn c_same() { panic!("as always") }
"#;

#[test]
fn what_a_run_of_an_archive_says_can_be_typed() {
    let package = Package::shop(SMALL, POLLUTED);
    package.write("src/main.rs", "fn main() {}\n#[test] fn c_same() {}\n");
    package.write("tmp/empty", "");
    let tmp = package.path("tmp");
    package.partest().args("archive --file suite.tar.zst").run().exits(0);
    let call = |words: &str| package.partest().args(words).env("TMPDIR", &tmp);
    let ran = call("run --archive suite.tar.zst -j0 --lib").run().exits(2);
    assert!(ran.stderr.contains("`--lib` cannot be used with `--archive`"), "{ran}");

    let words = "run --archive suite.tar.zst -j0 --retries 1 -- --test-threads 1";
    let ran = call(words).run().exits(100);
    let commands: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_once("cargo "))
        .map(|(_, command)| command)
        .collect();
    let start = "partest run --archive suite.tar.zst";
    let of_library = "-E 'binary_id(=shop)'";
    let alone = |name: &str| format!("{start} {of_library} -- --exact {name}");
    let whole = format!("{start} -j0 {of_library}");
    let expected = [alone("c_same"), alone("b_victim"), whole];
    assert_eq!(commands, expected, "{ran}");
    // What each of them runs, and how it ends.
    let run = |command: &str| {
        let json = command.replacen("partest", "cargo partest --message-format json", 1);
        package.cargo().shell(&json).env("TMPDIR", &tmp).run()
    };
    assert_eq!(run(&expected[1]).exits(0).ids("passed"), ["shop::b_victim"]);
    assert_eq!(run(&expected[2]).exits(100).tests().len(), 3);
    assert_eq!(run(&expected[0]).exits(100).ids("failed"), ["shop::c_same"]);

    let ran = call("bisect --archive suite.tar.zst b_victim").json().run().exits(100);
    let last = ran.events().pop().unwrap();
    assert_eq!(last["with"][0]["id"], "shop::a_polluter", "{ran}");
    let command = fixture::text(&last["command"]).replacen("cargo ", "", 1);
    assert!(command.starts_with(start), "{ran}");
    assert_eq!(run(&command).exits(100).ids("failed"), ["shop::b_victim"], "{command}");
    let ran = call("explain --archive suite.tar.zst a_polluter").run().exits(0);
    assert!(ran.stdout.starts_with("shop::a_polluter"), "{ran}");
    for command in ["fixtures", "fixtures start", "init", "archive --file x.tar.zst", "merge x"] {
        let ran = call(command).args("--archive suite.tar.zst").run().exits(2);
        assert!(ran.stderr.contains("`--archive` is for `run`, `plan`, `list`"), "{ran}");
    }
    let ran = call("run --archive suite.tar.zst --keep-fixtures").run().exits(2);
    assert!(ran.stderr.contains("`--keep-fixtures` cannot be used with `--archive`"), "{ran}");
    assert!(has_no_archive(&tmp));
}

const API_OF_SHOP: &str = r#"
#[test] fn reads() { std::fs::read("src/main.rs").unwrap(); }
#[test] fn starts() {
    std::process::Command::new(env!("CARGO_BIN_EXE_shop")).status().unwrap();
}
"#;

#[test]
fn what_tests_miss_elsewhere_is_said() {
    let package = Package::shop(SMALL, "");
    package.write("src/main.rs", "fn main() {}\n");
    package.write("tests/api.rs", API_OF_SHOP);
    package.write("tests/none.rs", "#[test] fn opens() {}\n");
    let tmp = "#[test] fn writes() { std::fs::write(concat!(env!(\"CARGO_TARGET_TMPDIR\"), \"/a\"), \"\").unwrap() }\n";
    package.write("tests/tmp.rs", tmp);
    let call = |words: &str| package.partest().args(words);
    let ran = call("archive --target-dir built/target --file suite.tar.zst").run().exits(0);
    let built = package.path("built").canonicalize().unwrap();
    let note = format!(
        "note: `api` has the value of `env!(\"CARGO_BIN_EXE_shop\")` compiled in, a path in \
         `{0}/target`, which is elsewhere when the archive runs: run the archive with \
         `--extract-to {0}`, or read the variable when the test runs",
        built.display()
    );
    assert!(ran.stderr.contains(&note), "{ran}");
    let note = "note: `tmp` has the value of `env!(\"CARGO_TARGET_TMPDIR\")` compiled in";
    assert!(ran.stderr.contains(note), "{ran}");
    assert!(!ran.stderr.contains("`none` has"), "{ran}");
    fs::remove_dir_all(built).unwrap();
    fs::remove_file(package.path("Cargo.toml")).unwrap();

    let ran = call("run --archive suite.tar.zst").json().run().exits(100);
    assert_eq!(ran.ids("failed"), ["api::reads", "api::starts", "tmp::writes"], "{ran}");
    let words = "warning: the sources are not in the archive";
    assert!(ran.stderr.contains(words), "{ran}");
    let ran = call("run --archive suite.tar.zst --extract-to built --workspace-remap .");
    let ran = ran.json().run().exits(0);
    let all = ["api::reads", "api::starts", "none::opens", "tmp::writes"];
    assert_eq!(ran.ids("passed"), all, "{ran}");
    assert!(!ran.stderr.contains(words), "{ran}");
}

/// The entries of an archive: names and contents.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let (mut frames, mut all) = (bytes.as_slice(), Vec::new());
    while !frames.is_empty() {
        StreamingDecoder::new(&mut frames).unwrap().read_to_end(&mut all).unwrap();
    }
    let mut tar = tar::Archive::new(all.as_slice());
    let entries = tar.entries().unwrap().map(|entry| {
        let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

/// Any bytes as names; the last one is of this kind.
fn write(path: &Path, entries: &[(String, Vec<u8>)], kind: EntryType) {
    let mut tar = tar::Builder::new(Vec::new());
    for (at, (name, bytes)) in entries.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let is_last = at + 1 == entries.len();
        header.set_entry_type(if is_last { kind } else { EntryType::Regular });
        if is_last && kind != EntryType::Regular {
            header.set_link_name("../../../../etc/passwd").unwrap();
        }
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    fs::write(path, compress_to_vec(tar.as_slice(), CompressionLevel::Fastest)).unwrap();
}

#[test]
fn a_file_may_have_any_name_and_a_build_script_may_write_nothing() {
    let library = r#"
        #[test]
        fn finds_both() {
            assert!(std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).is_dir());
            assert!(std::path::Path::new("data/10:00 a\\b.txt").exists());
        }
    "#;
    let include = "[workspace.metadata.partest.archive]\ninclude = [\"data/*\"]\n";
    let package = Package::shop(include, library);
    package.write("build.rs", "fn main() {}\n");
    package.write("data/10:00 a\\b.txt", "");
    let archive = package.path("target/suite.tar.zst").display().to_string();
    package.partest().args("archive --file").arg(&archive).run().exits(0);
    // Elsewhere, as nothing else is there.
    fs::rename(package.path("src"), package.path("gone")).unwrap();
    fs::rename(package.path("target/debug"), package.path("target/gone")).unwrap();
    fs::rename(package.path("Cargo.toml"), package.path("Cargo.gone")).unwrap();
    let ran = package.partest().args("run --archive").arg(&archive).json().run().exits(0);
    assert_eq!(ran.ids("passed"), ["shop::finds_both"], "{ran}");
}

#[test]
fn a_damaged_or_hostile_archive_writes_nothing_outside_and_runs_nothing() {
    let package = Package::shop(SMALL, "#[test] fn opens() {}\n");
    package.partest().args("archive --file good.tar.zst").run().exits(0);
    fs::create_dir(package.path("tmp")).unwrap();
    let good = entries(&package.path("good.tar.zst"));
    let bad = package.path("bad.tar.zst");
    let rejected = |what: &str, told: &str| {
        let call = package.partest().args("run --archive bad.tar.zst").json();
        let ran = call.env("TMPDIR", package.path("tmp")).run().exits(1);
        assert!(ran.stderr.contains(told), "{what}: {ran}");
        assert_eq!(ran.events().pop().unwrap()["event"], "error", "{what}: {ran}");
        assert!(!package.path("tmp/evil").exists() && !Path::new("/tmp/evil-of-partest").exists());
        assert_eq!(fs::read_dir(package.path("tmp")).unwrap().count(), 0, "{what}: {ran}");
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut contents: Value = serde_json::from_slice(&good[0].1).unwrap();
        change(&mut contents);
        let mut entries = good.clone();
        entries[0].1 = serde_json::to_vec(&contents).unwrap();
        entries
    };
    let evil = |path: &str| {
        let more = json!({ "path": path, "size": 4, "is_executable": true });
        let mut entries =
            changed(&|contents| contents["entries"].as_array_mut().unwrap().push(more.clone()));
        entries.push((path.to_owned(), b"evil".to_vec()));
        entries
    };
    for path in ["../evil", "target/../../evil", "/tmp/evil-of-partest"] {
        write(&bad, &evil(path), EntryType::Regular);
        rejected(path, "leads out of the archive");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
        write(&bad, &evil("target/evil"), kind);
        rejected("a link", "is no regular file");
    }
    let mut unlisted = good.clone();
    unlisted.push(("target/evil".to_owned(), b"evil".to_vec()));
    write(&bad, &unlisted, EntryType::Regular);
    rejected("an entry that is not announced", "is not in its list of files");
    let mut twice = good.clone();
    twice.push(good[1].clone());
    write(&bad, &twice, EntryType::Regular);
    rejected("an entry twice", "or there twice");
    write(&bad, &good[..good.len() - 1], EntryType::Regular);
    rejected("a missing entry", "is missing");
    let resize = |size: u64| changed(&|contents| contents["entries"][0]["size"] = size.into());
    write(&bad, &resize(1), EntryType::Regular);
    rejected("another size", "has not the size");
    write(&bad, &resize(u64::MAX), EntryType::Regular);
    rejected("more than fits", "--extract-to");
    write(&bad, &changed(&|contents| contents["format"] = 999.into()), EntryType::Regular);
    rejected("another format", "use the same version for both");
    let mars = json!({ "arch": "mips", "os": "mars" });
    write(&bad, &changed(&|contents| contents["platform"] = mars.clone()), EntryType::Regular);
    rejected("another platform", "were built for mips on mars");

    let bytes = fs::read(package.path("good.tar.zst")).unwrap();
    fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    rejected("half of one", "damaged");
    let mut flipped = bytes.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    fs::write(&bad, &flipped).unwrap();
    rejected("a wrong checksum", "damaged");
    fs::write(&bad, "no archive").unwrap();
    rejected("a text", "it is not an archive made by `cargo partest archive`");
    fs::remove_file(&bad).unwrap();
    rejected("nothing", "No such file");
}
