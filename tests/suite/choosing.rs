//! Which tests run, and in which order: expressions, `default-filter`, `--last-failed`, `--shuffle`.

#![cfg(unix)]

use std::collections::BTreeSet;

use crate::fixture::{self, Call, Package, Ran, partest, text};

#[track_caller]
fn chosen(call: Call) -> Vec<String> {
    let ran = call.json().run();
    let mut ids: Vec<String> =
        ran.tests().iter().map(|test| text(&test["id"]).to_owned()).collect();
    ids.sort();
    ids
}

/// `two_packages`: `borrower` depends on nothing of `lender`.
fn library() -> Call {
    partest("two_packages").args("--workspace")
}

const BORROWER: [&str; 2] =
    ["borrower::api::a_book_comes_back", "borrower::tests::a_day_costs_ten"];
const LENDER: [&str; 3] = [
    "lender::api::a_book_comes_back",
    "lender::api::a_book_is_late",
    "lender::tests::four_weeks_at_first",
];

#[test]
fn expressions_choose_among_packages_targets_and_names() {
    let all = [&BORROWER[..], &LENDER].concat();
    let table: [(&[&str], &[&str]); 10] = [
        (&["-E", "all()"], &all),
        (&["-E", "package(borrower)"], &BORROWER),
        (&["--filterset", "package(~lend)"], &LENDER),
        (&["--filter-expr", "not package(=lender)"], &BORROWER),
        (&["-E", "binary_id(lender::api) - test(late)"], &LENDER[..1]),
        (&["-E", "kind(test) and test(/late$/)"], &LENDER[1..2]),
        (
            &["-E", "package(borrower)", "-E", "test(=a_book_is_late)"],
            &[BORROWER[0], BORROWER[1], LENDER[1]],
        ),
        // Names beside an expression: both have to match.
        (&["-E", "package(lender)", "comes_back"], &LENDER[..1]),
        (&["-E", "module(borrower::api) + module(lender::tests)"], &[BORROWER[0], LENDER[2]]),
        (&["-E", "rdeps(borrower) & kind(lib)"], &BORROWER[1..]),
    ];
    for (words, expected) in table {
        let call = words.iter().fold(library(), |call, word| call.arg(word));
        assert_eq!(chosen(call), expected, "{words:?}");
    }
}

#[test]
fn what_no_filter_chose_is_counted() {
    let count = |ran: &Ran| ran.finished()["filtered-out"].as_u64();
    let filtered = || library().args("-E package(borrower)");
    let ran = filtered().run().exits(0);
    assert!(ran.stdout.contains("2 passed, 3 filtered out in "), "{ran}");
    assert_eq!(count(&filtered().json().run().exits(0)), Some(3));
    assert_eq!(count(&library().json().args("-- --skip comes_back").run().exits(0)), Some(2));
    assert_eq!(count(&library().json().run().exits(0)), Some(0));
    let ran = library().args("-E none()").run().exits(4);
    assert!(ran.stderr.contains("error: no test matches `none()`: "), "{ran}");
}

#[test]
fn a_mistake_shows_its_place_and_nothing_runs() {
    let table = [
        ("tset(a)", "unknown predicate `tset`", "-E:1:1", "did you mean `test`?"),
        (
            "all() and package(lendr)",
            "no package matches `lendr`",
            "-E:1:19",
            "did you mean `lender`?",
        ),
        ("test(/a(/)", "invalid regular expression: unclosed group", "-E:1:8", "crate `regex`"),
        ("(all()", "missing `)`", "-E:1:1", "never closed"),
        (" ", "empty expression", "-E:1:1", "`all()`"),
        ("policy(unti)", "no policy is named `unti`", "-E:1:8", "did you mean `unit`?"),
    ];
    for (expr, title, place, help) in table {
        let ran = library().arg("-E").arg(expr).run().exits(2);
        assert!(ran.stderr.contains(&format!("error: {title}\n")), "{ran}");
        assert!(ran.stderr.contains(place) && ran.stderr.contains(help), "{ran}");
        assert!(ran.stdout.is_empty(), "{ran}");
    }
    let ran = library().json().args("-E tset(a)").run().exits(2);
    let mistake = &ran.events()[0]["errors"][0];
    assert_eq!(mistake["place"], "-E:1:1", "{ran}");
    assert_eq!(mistake["help"], "did you mean `test`?", "{ran}");
}

#[test]
fn help_shows_the_language() {
    for topic in ["filters", "filterset"] {
        let ran = library()
            .shell(&format!("exec {} partest help {topic}", fixture::PROGRAM))
            .run()
            .exits(0);
        assert!(ran.stdout.contains("rdeps(NAME)") && ran.stdout.contains("slow(>1s)"), "{ran}");
    }
}

/// Tests `a`, `b` and `c`, the last of which is broken as long as `BROKEN` is set; and a binary of
/// one more.
const SHOP: &str = r#"
    #[test] fn a() {}
    #[test] fn b() {}
    mod slow {
        #[test] fn c() { assert!(std::env::var_os("BROKEN").is_none()) }
    }
"#;

fn shop(metadata: &str) -> Package {
    let package = Package::shop(metadata, SHOP);
    package.write("tests/api.rs", "#[test] fn d() {}\n");
    package
}

#[test]
fn dependencies_of_any_kind_count() {
    let package = shop("[dev-dependencies]\ntill = { path = \"till\" }\n");
    package.write("till/Cargo.toml", "[package]\nname = \"till\"\nedition = \"2024\"\n");
    package.write("till/src/lib.rs", "#[test] fn e() {}\n");
    let ids = |expr: &str| chosen(package.partest().args("--workspace -E").arg(expr));
    let shop = ["api::d", "shop::a", "shop::b", "shop::slow::c"];
    assert_eq!(ids("deps(till)"), ["till::e"]);
    assert_eq!(ids("rdeps(till) - package(till)"), shop);
    assert_eq!(ids("rdeps(shop)"), shop);
    assert_eq!(ids("deps(shop) - rdeps(shop)"), ["till::e"]);
}

/// A local package between two members is none itself.
#[test]
fn dependencies_lead_through_packages_that_are_no_members() {
    let package = shop("");
    package.write(
        "Cargo.toml",
        "[package]\nname = \"shop\"\nedition = \"2024\"\n[dependencies]\nmid = { path = \"mid\" }\n\
         [workspace]\nmembers = [\"till\"]\nexclude = [\"mid\"]\n",
    );
    let named = |name: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    package.write("till/Cargo.toml", &named("till"));
    package.write("till/src/lib.rs", "#[test] fn e() {}\n");
    let needs_till = "[target.'cfg(unix)'.dependencies]\ntill = { path = \"../till\" }\n";
    package.write("mid/Cargo.toml", &(named("mid") + needs_till));
    package.write("mid/src/lib.rs", "");
    let ids = |expr: &str| chosen(package.partest().args("--workspace -E").arg(expr));
    assert_eq!(ids("rdeps(till)"), ["api::d", "shop::a", "shop::b", "shop::slow::c", "till::e"]);
    assert_eq!(ids("deps(shop) - package(shop)"), ["till::e"]);
}

#[test]
fn the_default_filter_chooses_unless_it_is_ignored() {
    let package = shop(
        "[workspace.metadata.partest]\ndefault-filter = 'not (binary(api) | module(shop::slow))'\n",
    );
    let ids =
        |words: &[&str]| chosen(words.iter().fold(package.partest(), |call, word| call.arg(word)));
    assert_eq!(ids(&[]), ["shop::a", "shop::b"]);
    assert_eq!(ids(&["-E", "all() - test(=a)"]), ["shop::b"]);
    assert_eq!(
        ids(&["--ignore-default-filter"]),
        ["api::d", "shop::a", "shop::b", "shop::slow::c"]
    );
    assert_eq!(
        ids(&["--ignore-default-filter", "-E", "not default()"]),
        ["api::d", "shop::slow::c"]
    );
    let ran = package.partest().run().exits(0);
    assert!(ran.stdout.contains("2 passed, 2 filtered out in "), "{ran}");

    // A mistake in it, with its place.
    let manifest = "[package]\nname = \"shop\"\nedition = \"2024\"\n[workspace]\n";
    let filter = "[package.metadata.partest]\ndefault-filter = \"all() - default()\"\n";
    package.write("Cargo.toml", &format!("{manifest}{filter}"));
    let ran = package.partest().run().exits(2);
    assert!(ran.stderr.contains("error: `default()` in `default-filter`\n"), "{ran}");
    assert!(ran.stderr.contains("Cargo.toml:6:27"), "{ran}");
    package
        .write("Cargo.toml", &format!("{manifest}{}", filter.replace("- default()", "& binry(a)")));
    let ran = package.partest().run().exits(2);
    assert!(
        ran.stderr.contains("Cargo.toml:6:27") && ran.stderr.contains("did you mean `binary`?"),
        "{ran}"
    );
    // In the package, it is the package's.
    package.write(
        "Cargo.toml",
        &format!("{manifest}{}", filter.replace("all() - default()", "binary(api)")),
    );
    assert_eq!(ids(&[]), ["api::d"]);
}

#[test]
fn what_failed_or_did_not_run_can_be_run_again() {
    let package = shop("");
    let listed = |words: &str| {
        let ran = package.partest().args("list").args(words).run().exits(0);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let all = "shop::a shop::b shop::slow::c api::d";
    let warns =
        |ran: &Ran| ran.stderr.contains("no selected test failed or was left unrun last time");
    let broken = || package.partest().env("BROKEN", "1");

    // Nothing is known yet.
    let ran = package.partest().args("--last-failed").run().exits(0);
    assert!(warns(&ran) && ran.stdout.contains("4 passed in "), "{ran}");
    assert_eq!(listed("-E failed()"), "");

    broken().run().exits(100);
    assert_eq!(listed("--last-failed"), "shop::slow::c");
    assert_eq!(listed("-E failed()"), "shop::slow::c");
    assert_eq!(listed("-E all()-failed()"), "shop::a shop::b api::d");
    let ran = broken().args("--last-failed").run().exits(100);
    assert!(!warns(&ran) && ran.stdout.contains("1 failed, 3 filtered out in "), "{ran}");
    // What does not run stays as it is.
    package.partest().args("shop::a").run().exits(0);
    assert_eq!(listed("--last-failed"), "shop::slow::c");
    // None of those that are selected.
    assert_eq!(listed("--last-failed --test api"), "api::d");

    // What failed runs first; nothing else gets to run.
    let ran = broken().json().args("--isolate -j1 --fail-fast").run().exits(100);
    assert_eq!(ran.finished()["not-run"], 3, "{ran}");
    assert_eq!(listed("--last-failed"), all);
    assert_eq!(listed("--last-failed -E failed()"), "shop::slow::c");
    let ran = package.partest().args("--last-failed").run().exits(0);
    assert!(!warns(&ran) && ran.stdout.contains("4 passed in "), "{ran}");
    assert_eq!(listed("-E failed()"), "");
    assert!(warns(&package.partest().args("--last-failed").run().exits(0)));
}

/// Tests that write their names where `ORDER` says: twelve that may be spread, and three that are
/// declared to run one after another.
fn writers() -> Package {
    let write = "fn write(name: &str) {
        use std::io::Write;
        assert!(!std::env::args().any(|word| word.contains(\"shuffle\")));
        let path = std::env::var_os(\"ORDER\").unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        // In one call, since others write there at the same time.
        file.write_all(format!(\"{name}\\n\").as_bytes()).unwrap();
    }\n";
    let test = |name: String| format!("#[test] fn {name}() {{ crate::write(\"{name}\") }}\n");
    let any: String = (10..22).map(|at| test(format!("any_{at}"))).collect();
    let ordered: String = (1..4).map(|at| test(format!("ordered_{at}"))).collect();
    let metadata = "[package.metadata.partest.modules]\n\
        \"shop::any\" = \"unit\"\n\
        \"shop::ordered\" = { policy = \"unit\", threads = 1 }\n";
    Package::shop(metadata, &format!("{write}mod any {{ {any} }}\nmod ordered {{ {ordered} }}\n"))
}

#[test]
fn a_seed_repeats_an_order() {
    let package = writers();
    let order = |words: &str| {
        let path = package.path("order");
        let _ = std::fs::remove_file(&path);
        let call = package.partest().env("ORDER", &path).args("-j1").args(words);
        let ran = call.args("-- --test-threads=1").run().exits(0);
        let names = std::fs::read_to_string(&path).unwrap();
        (names.lines().map(str::to_owned).collect::<Vec<_>>(), ran)
    };
    let (first, ran) = order("--shuffle=1");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 15, "{ran}");
    assert!(ran.stderr.contains("shuffled (`--shuffle=1`)"), "{ran}");
    assert!(ran.stdout.contains("`--shuffle=1` repeats it"), "{ran}");
    assert_eq!(order("--shuffle=1").0, first);
    let (other, _) = order("--shuffle=2");
    assert_ne!(other, first);
    // In each process, too: not in the order of the list.
    for names in [&first, &other] {
        let of =
            |kind: &str| names.iter().filter(|name| name.starts_with(kind)).collect::<Vec<_>>();
        assert!(!of("any").is_sorted() && of("ordered").is_sorted(), "{names:?}");
    }

    let (random, ran) = order("--shuffle --message-format json");
    let seed = &ran.events()[0]["shuffle-seed"];
    assert_eq!(order(&format!("--shuffle={seed}")).0, random, "{ran}");
    let (_, ran) = order("--message-format json");
    assert!(ran.events()[0].get("shuffle-seed").is_none(), "{ran}");
}

/// Who has only that line left has to know how to see the failure again.
#[test]
fn a_quiet_run_that_fails_tells_its_seed_and_one_that_passes_does_not() {
    let library = "#[test] fn fails() { panic!() }\n#[test] fn passes() {}\n";
    let package = Package::shop("", library);
    let call = |words: &str| package.partest().args("-q --shuffle=7").args(words).run();
    let ran = call("").exits(100);
    assert!(ran.stdout.contains("`--shuffle=7` repeats it"), "{ran}");
    let ran = call("passes").exits(0);
    assert!(ran.stdout.starts_with("1 passed") && !ran.stdout.contains("--shuffle"), "{ran}");
}

#[test]
fn a_binary_that_no_expression_can_choose_need_not_be_listed() {
    let package = Package::with_a_lost_list();
    let ran = package.partest().args("-E kind(lib)").run().exits(0);
    assert!(ran.stdout.contains("1 passed in "), "{ran}");
    package.partest().args("-E test(opens)").run().exits(1);
}
