//! Doctests run beside the other tests, with the verdicts of `cargo test --doc`.

use crate::fixture::{self, Package, Ran, text};
use serde_json::Value;

/// Every attribute, all of which compiles where it should.
const EXAMPLES: &str = r#"
//! ```
//! assert_eq!(NAME::double(2), 4);
//! println!("printed by a doctest that passes");
//! ```

/// ```
/// println!("printed before it panics");
/// panic!("this fails");
/// ```
///
/// ```should_panic
/// panic!("as it should");
/// ```
///
/// ```compile_fail
/// let number: u8 = "text";
/// ```
///
/// ```compile_fail,E0001
/// let number: u8 = "text";
/// ```
///
/// ```no_run
/// loop {}
/// ```
///
/// ```ignore
/// not Rust
/// ```
///
/// ```edition2018
/// let gen = 1;
/// assert_eq!(gen, 1);
/// ```
pub fn double(number: u64) -> u64 {
    number * 2
}

pub struct Generic<T>(pub T);

impl<T> Generic<T> {
    /// ```should_panic
    /// assert_eq!(1, 1);
    /// ```
    ///
    /// ```compile_fail
    /// assert_eq!(1, 1);
    /// ```
    pub fn is_marked_wrongly() {}

    /// ```
    /// std::process::exit(3);
    /// ```
    pub fn ends_the_process() {}
}

macro_rules! adds {
    ($($number:ty),*) => { $(
        impl std::ops::Add<$number> for Generic<$number> {
            type Output = $number;

            /// ```
            /// assert!(true);
            /// ```
            fn add(self, other: $number) -> $number {
                self.0 + other
            }
        }
    )* };
}

adds!(u8, u16);

pub struct Twice;

impl From<u8> for Twice {
    /// ```
    /// assert!(true);
    /// ```
    fn from(_: u8) -> Twice { Twice }
}

#[cfg(test)]
mod tests {
    #[test]
    fn doubles() {
        assert_eq!(super::double(2), 4);
    }
}
"#;

const ROOT: &str =
    "[workspace]\nresolver = \"2\"\nmembers = [\"old\", \"new\", \"macros\", \"dynamic\"]\n";

/// What the one before 2024 has besides: something that does not compile, and something that rustdoc
/// ignores on some targets.
const OLD: &str = r#"
/// ```
/// let number: u8 = "text";
/// ```
pub fn does_not_compile() {}

/// ```ignore-wasm32
/// assert!(true);
/// ```
pub fn is_ignored_elsewhere() {}
"#;

/// Where one doctest does not compile, rustdoc compiles each by itself.
const DYNAMIC: &str = r#"
/// ```
/// assert_eq!(dynamic::one(), 1);
/// ```
pub fn one() -> u32 { 1 }

/// ```
/// dynamic::nobody();
/// ```
pub fn two() {}

/// ```standalone_crate
/// assert_eq!(dynamic::one(), 1);
/// ```
pub fn three() {}
"#;

const MACROS: &str = r#"
/// ```
/// assert_eq!(macros::answer!(), 42);
/// ```
#[proc_macro]
pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    "42".parse().unwrap()
}
"#;

fn manifest(name: &str, edition: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nedition = \"{edition}\"\n{more}")
}

fn of_all_kinds() -> Package {
    let package = Package::new(&[("Cargo.toml", ROOT)]);
    let add = |name: &str, edition: &str, more: &str, library: &str| {
        package.write(&format!("{name}/Cargo.toml"), &manifest(name, edition, more));
        package.write(&format!("{name}/src/lib.rs"), library.trim_start());
    };
    add("old", "2021", "", &(EXAMPLES.replace("NAME", "old") + OLD));
    add("new", "2024", "", &EXAMPLES.replace("NAME", "new"));
    add("macros", "2021", "[lib]\nproc-macro = true\n", MACROS);
    add("dynamic", "2024", "[lib]\ncrate-type = [\"dylib\", \"rlib\"]\n", DYNAMIC);
    package
}

/// The names of doctests with their verdicts, sorted; those of one name as often as they are there.
type Verdicts = Vec<(String, String)>;

fn verdicts_of_cargo(ran: &Ran) -> Verdicts {
    let verdict = |line: &str| {
        let (name, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        let word = match word {
            "ok" => "passed",
            "FAILED" => "failed",
            word => word,
        };
        // libtest adds ` - compile fail`, and others like it.
        let name = match name.rsplit_once(" - ") {
            Some((name, _)) if name.ends_with(')') => name,
            _ => name,
        };
        Some((name.to_owned(), word.to_owned()))
    };
    let mut verdicts: Verdicts = ran.stdout.lines().filter_map(verdict).collect();
    verdicts.sort();
    verdicts
}

fn verdicts_of_ours(ran: &Ran) -> Verdicts {
    let doctests = ran.tests().into_iter().filter(|test| test["kind"] == "doc");
    let verdict = |test: Value| {
        let name = text(&test["name"]);
        let name = name.rsplit_once(" #").map_or(name.as_str(), |(name, _)| name).to_owned();
        (name, text(&test["outcome"]))
    };
    let mut verdicts: Verdicts = doctests.map(verdict).collect();
    verdicts.sort();
    verdicts
}

#[test]
fn doctests_of_all_kinds_have_the_verdicts_of_cargo_test() {
    let package = of_all_kinds();
    let theirs = package.cargo().args("test --doc --no-fail-fast").run().exits(101);
    let expected = verdicts_of_cargo(&theirs);
    assert!(expected.len() > 25, "{theirs}");
    let ours = package.partest().json().run().exits(100);
    assert_eq!(verdicts_of_ours(&ours), expected, "{ours}\n{theirs}");

    // They are beside the others, and in the counts.
    assert_eq!(ours.test("old::tests::doubles")["outcome"], "passed", "{ours}");
    let others = ours.tests().len() - expected.len();
    assert_eq!(others, 2, "{ours}");
    assert_eq!(ours.events()[0]["tests"], ours.tests().len(), "{ours}");
    let count = |outcome: &str| ours.ids(outcome).len();
    assert_eq!(ours.finished()["failed"], count("failed"), "{ours}");
    assert_eq!(ours.finished()["ignored"], 2, "{ours}");

    // With their output and their place.
    let line = package.line_of("new/src/lib.rs", "printed before it panics") - 1;
    let place = format!("new/src/lib.rs:{line}");
    let name = format!("new/src/lib.rs - double (line {line})");
    let failed = ours.test(&format!("new::doc::{name}"));
    assert_eq!(failed["place"], *place, "{ours}");
    assert_eq!(failed["reason"], format!("panicked: the doctest at {place}"), "{ours}");
    assert!(text(&failed["output"]).contains("printed before it panics"), "{ours}");
    let is_undone = |test: &Value| text(&test["name"]).contains("does_not_compile");
    let undone = ours.tests().into_iter().find(is_undone).unwrap();
    assert!(text(&undone["reason"]).starts_with("does not compile: "), "{ours}");
    assert!(text(&undone["output"]).contains("E0308"), "{ours}");

    // Those that failed are known to the next run.
    let failed = package.partest().json().args("--last-failed").run().exits(100);
    assert_eq!(failed.ids("failed").len(), ours.ids("failed").len(), "{failed}");
    assert!(failed.ids("passed").is_empty(), "{failed}");

    // The command that repeats one runs no other.
    let again = package.partest().args("-p new --doc -- --exact").arg(&name).run().exits(100);
    let rerun = format!("rerun: cargo partest -p new --doc -- --exact '{name}'");
    assert!(again.stdout.contains(&rerun), "{again}");
    assert!(again.stdout.contains(&format!("\nFAILED new::doc::{name}")), "{again}");
    assert!(again.stdout.contains("\n  | printed before it panics\n"), "{again}");
    assert!(again.stdout.contains("\n1 failed, 13 filtered out in "), "{again}");
}

/// Of each of these words, the names of the tests that run.
#[track_caller]
fn choose(package: &Package, table: &[(&str, &[&str])]) {
    for (words, expected) in table {
        let ran = package.partest().json().args(words).run();
        let names: Vec<String> = ran.ids("passed");
        assert_eq!(names, *expected, "{words}: {ran}");
    }
}

const SHOP: &str = "/// ```\n/// assert_eq!(shop::price(), 7);\n/// ```\n///\n/// ```\n\
    /// let directory = std::env::current_dir().unwrap();\n\
    /// assert_eq!(directory.to_str().unwrap(), std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());\n\
    /// assert_eq!(std::env::var(\"PARTEST\").unwrap(), \"1\");\n\
    /// assert_eq!(std::env::var_os(\"PARTEST_RUSTDOC\"), None);\n\
    /// assert_eq!(std::env::var_os(\"RUSTDOC\"), None);\n\
    /// assert_eq!(std::env::var_os(\"RUSTC_BOOTSTRAP\"), None);\n\
    /// ```\npub fn price() -> u32 { 7 }\n#[test] fn opens() {}\n";

const PRICES: [&str; 2] =
    ["shop::doc::src/lib.rs - price (line 1)", "shop::doc::src/lib.rs - price (line 5)"];

#[test]
fn doctests_are_chosen_by_flags_and_by_filters_like_any_test() {
    let package = Package::shop("", SHOP);
    let [first, second] = PRICES;
    let table: [(&str, &[&str]); 13] = [
        ("", &[first, second, "shop::opens"]),
        ("--doc", &[first, second]),
        ("--no-doc", &["shop::opens"]),
        ("--lib", &["shop::opens"]),
        ("--all-targets", &["shop::opens"]),
        ("shop::doc", &[first, second]),
        ("5)", &[second]),
        ("price -- --skip src/lib.rs", &[]),
        ("opens", &["shop::opens"]),
        ("--doc --isolate", &[first, second]),
        ("-E kind(doc)", &[first, second]),
        ("-E kind(lib)", &["shop::opens"]),
        ("-E kind(doc)&test(5)", &[second]),
    ];
    choose(&package, &table);
    // One unit: one of the shards has both.
    let part = |part: &str| package.partest().json().args(part).run().exits(0).ids("passed");
    let mut parts = [part("--shard 1/2 --doc"), part("--shard 2/2 --doc")];
    parts.sort();
    assert_eq!(parts, [vec![], PRICES.map(str::to_owned).to_vec()]);
    let listed = package.partest().args("list --doc").run().exits(0);
    assert_eq!(listed.stdout, format!("{first}\n{second}\n"), "{listed}");
    let planned = package.partest().args("plan --doc").run().exits(0);
    let why = "unit: rustdoc compiles the doctests of a package together";
    assert!(planned.stdout.contains(why), "{planned}");
    let built = package.partest().args("--doc --no-run").run().exits(0);
    assert_eq!(built.stdout, "", "{built}");
    package.partest().args("--doc --lib").run().exits(2);
}

#[test]
fn a_crate_that_cannot_be_documented_is_an_error_and_its_tests_run() {
    let broken = "#[cfg(doc)] compile_error!(\"nobody documents this\");\n/// ```\n/// ```\n\
        pub fn open() {}\n#[test] fn opens() {}\n";
    let package = Package::shop("", broken);
    let theirs = package.cargo().args("test --doc").run();
    assert_ne!(theirs.code(), Some(0), "{theirs}");
    let ran = package.partest().run().exits(101);
    assert!(ran.stderr.contains("error: cannot run the doctests of shop: "), "{ran}");
    assert!(ran.stderr.contains("nobody documents this"), "{ran}");
    assert!(ran.stdout.contains("1 passed, doctests of 1 package not built in "), "{ran}");
    let ran = package.partest().json().run().exits(101);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    assert_eq!(ran.finished()["list-failures"], 1, "{ran}");
    package.partest().args("list").run().exits(101);
}

#[test]
fn a_doctest_that_fails_runs_again_alone() {
    let library = "/// ```\n/// let log = std::env::var(\"FIXTURE_LOG\").unwrap();\n\
        /// let path = std::path::Path::new(&log).join(\"ran\");\n\
        /// let is_first = !path.exists();\n/// std::fs::write(path, \"\").unwrap();\n\
        /// assert!(!is_first, \"not at first\");\n/// ```\n///\n/// ```\n\
        /// let log = std::env::var(\"FIXTURE_LOG\").unwrap();\n\
        /// let path = std::path::Path::new(&log).join(\"others\");\n\
        /// let mut others = std::fs::read_to_string(&path).unwrap_or_default();\n\
        /// others.push_str(\"ran\\n\");\n/// std::fs::write(path, others).unwrap();\n/// ```\n\
        pub fn flakes() {}\n";
    let package = Package::shop("", library);
    let ran = package.partest().json().args("--doc --retries 2").run().exits(0);
    let test = ran.test("shop::doc::src/lib.rs - flakes (line 1)");
    assert_eq!((test["flaky"].as_bool(), test["attempt"].as_u64()), (Some(true), Some(2)), "{ran}");
    assert!(text(&test["failed-before"][0]["output"]).contains("not at first"), "{ran}");
    assert_eq!(ran.log("others"), ["ran"], "{ran}");
}

/// A package without examples costs no second call of cargo.
#[test]
fn a_package_without_examples_is_not_asked_for_doctests() {
    let library = "//! Text, and what is no test:\n//!\n//! ```text\n//! shop\n//! ```\n\n\
        /// A price.\npub fn price() -> u32 { 7 }\n#[test] fn opens() {}\n";
    let package = Package::shop("", library);
    let script = "#!/bin/sh\necho \"$*\" >> \"$FIXTURE_LOG/calls\"\nexec cargo \"$@\"\n";
    let path = package.write_script("counting-cargo", script);
    let tests_of =
        |ran: &Ran| ran.log("calls").iter().filter(|call| call.starts_with("test")).count();
    let ran = package.partest().env("CARGO", &path).run().exits(0);
    assert_eq!(tests_of(&ran), 1, "{ran}");
    package.write("src/lib.rs", &format!("{library}/// ```\n/// ```\npub fn sold() {{}}\n"));
    let ran = package.partest().env("CARGO", &path).run().exits(0);
    assert_eq!(tests_of(&ran), 2, "{ran}");
    assert!(ran.stdout.starts_with("2 passed in "), "{ran}");
    // Nor one of which filters can choose none.
    let ran = package.partest().args("-E kind(lib)").env("CARGO", &path).run().exits(0);
    assert_eq!(tests_of(&ran), 1, "{ran}");
    assert!(ran.stdout.starts_with("1 passed in "), "{ran}");
}

/// Each in a package of its own, which nothing else would give away.
#[test]
fn examples_are_found_in_whatever_form_rustdoc_takes() {
    let libraries = [
        ("heading", "//! # Title\n//!     assert!(true);\n"),
        ("rule", "//! Text\n//!\n//! ---\n//!     assert!(true);\n"),
        ("html", "//! <!--\n//! a comment -->\n//!     assert!(true);\n"),
        ("list", "//! -     assert!(true);\n"),
        ("task", "//! - [ ] ```\n//!   assert!(true);\n//!   ```\n"),
        ("footnote", "//! [^1]: ```\n//!     assert!(true);\n//!     ```\n"),
        ("flush", "//!Text\n//!\n//!    assert!(true);\n"),
        ("words", "//! ```(a comment)\n//! assert!(true);\n//! ```\n"),
        ("behind", "pub struct A; /// ```\n/// assert!(true);\n/// ```\npub struct B;\n"),
        ("block", "pub struct A; /** ```\nassert!(true);\n``` */ pub struct B;\n"),
        ("split", "#[doc =\n\"```\\nassert!(true);\\n```\"]\npub struct A;\n"),
        ("braces", "include! { \"../docs.txt\" }\n"),
        ("path", "#[cfg_attr(all(), path = \"../docs.txt\")]\npub mod docs;\n"),
    ];
    let mut files = vec![("Cargo.toml".to_owned(), String::new())];
    for (name, library) in libraries {
        files[0].1 += &format!("\"{name}\", ");
        let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
        files.push((format!("{name}/Cargo.toml"), manifest));
        files.push((format!("{name}/src/lib.rs"), library.to_owned()));
        let docs = "/// ```\n/// assert!(true);\n/// ```\npub struct A;\n";
        files.push((format!("{name}/docs.txt"), docs.to_owned()));
    }
    files[0].1 = format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", files[0].1);
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let package = Package::new(&files);
    let theirs = package.cargo().args("test --doc").run().exits(0);
    let passed = theirs.stdout.matches("test result: ok. 1 passed").count();
    assert_eq!(passed, libraries.len(), "{theirs}");
    let ran = package.partest().json().run().exits(0);
    let ids = ran.ids("passed");
    let found = libraries.map(|(name, _)| name);
    let found = found.into_iter().filter(|name| ids.iter().any(|id| id.starts_with(name)));
    assert_eq!(found.collect::<Vec<_>>(), libraries.map(|(name, _)| name), "{ran}");
}

/// Tests have run beside rustdoc, which is interrupted while it still lists.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_while_doctests_are_listed_leaves_the_verdicts_of_the_others() {
    let library = "/// ```\n/// ```\npub fn price() {}\n#[test] fn opens() {}\n#[test] fn stays() {\n\
        let log = std::path::PathBuf::from(std::env::var_os(\"FIXTURE_LOG\").unwrap());\n\
        std::fs::write(log.join(\"half\"), \"began\\n\").unwrap();\n\
        std::fs::rename(log.join(\"half\"), log.join(\"stays\")).unwrap();\n\
        loop { std::thread::park() } }\n";
    // The second test begins when the verdict on the first one has been sent.
    let metadata = "[package.metadata.partest]\nthreads = 1\n";
    let package = Package::shop(metadata, library);
    let script = "#!/bin/sh\ncase \"$*\" in *--test*) ;; *) exec rustdoc \"$@\" ;; esac\n\
        echo $$ > \"$FIXTURE_LOG/listed\"\nmv \"$FIXTURE_LOG/listed\" \"$FIXTURE_LOG/lists\"\n\
        exec sleep 1000\n";
    let path = package.write_script("slow-rustdoc", script);
    let run = package.partest().json().env("RUSTDOC", &path).start();
    let lister = run.await_log("lists").concat();
    run.await_log("stays");
    run.send(rustix::process::Signal::INT);
    let ran = run.wait().exits(130);
    assert_eq!(ran.ids("passed"), ["shop::opens"], "{ran}");
    assert_eq!(ran.ids("interrupted"), ["shop::stays"], "{ran}");
    fixture::await_that("rustdoc ends with the run", || !fixture::is_alive(&lister));
}

/// rustdoc, and whatever it has started, ends with the run, however the run ends.
#[cfg(target_os = "linux")]
#[test]
fn nothing_that_rustdoc_has_started_outlives_the_run() {
    use fixture::{await_that, is_alive};
    use rustix::process::Signal;

    let library = "/// ```\n/// let log = std::env::var(\"FIXTURE_LOG\").unwrap();\n\
        /// let log = std::path::Path::new(&log);\n\
        /// std::fs::write(log.join(\"half\"), format!(\"{}\\n\", std::process::id())).unwrap();\n\
        /// std::fs::rename(log.join(\"half\"), log.join(\"stays\")).unwrap();\n\
        /// loop { std::thread::sleep(std::time::Duration::from_secs(1)) }\n/// ```\n\
        pub fn stays() {}\n";
    let package = Package::shop("", library);
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let run = package.partest().json().args("--doc").start();
        let stays = run.await_log("stays").concat();
        run.send(signal);
        let ran = run.wait();
        assert_eq!(ran.code(), code, "{ran}");
        await_that("the doctest ends with the run", || !is_alive(&stays));
    }
}
