//! What `auto` keeps together, by the statics that a test binary is linked from.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;

use crate::fixture::{Call, Package, Ran, partest, text};

/// By the binary: what stays together (`=`) and what may part (`~`).
fn planned(ran: &Ran) -> BTreeMap<String, Vec<String>> {
    let mut planned = BTreeMap::<_, Vec<String>>::new();
    for group in ran.events().iter().filter(|event| event["event"] == "group") {
        let sign = if group["policy"] == "unit" { '=' } else { '~' };
        let node = format!("{sign}{}", text(&group["node"]));
        planned.entry(text(&group["binary"])).or_default().push(node);
    }
    planned.values_mut().for_each(|nodes| nodes.sort());
    planned
}

/// As in `fixtures-examples/statics/README.md`.
const PLANNED: &[(&str, &str)] = &[
    ("at_the_root", "=at_the_root"),
    ("counters", "=counters"),
    ("immutable", "~immutable"),
    ("in_a_crate_outside", "=in_a_crate_outside"),
    ("in_a_helper_function", "=in_a_helper_function::tills ~in_a_helper_function"),
    ("in_a_helper_module", "=in_a_helper_module"),
    ("in_a_module_of_tests", "=in_a_module_of_tests::tickets ~in_a_module_of_tests"),
    ("in_a_test_function", "=in_a_test_function::visits"),
    ("in_an_ancestor", "=in_an_ancestor::theatre ~in_an_ancestor"),
    ("in_another_crate", "=in_another_crate"),
    (
        "in_once_and_lazy_locks",
        "=in_once_and_lazy_locks::maps =in_once_and_lazy_locks::prices ~in_once_and_lazy_locks",
    ),
    ("in_thread_locals", "~in_thread_locals"),
    ("rules", "~rules"),
    ("under_a_foreign_name", "=under_a_foreign_name"),
    ("under_a_well_known_name", "=under_a_well_known_name::files ~under_a_well_known_name"),
];

#[test]
fn each_kind_of_static_binds_what_can_reach_it() {
    // Where no number is named, what is known to be short shares a process.
    let ran = partest("statics").args("plan --workspace -j2").json().run().exits(0);
    let found = planned(&ran).into_iter().map(|(binary, nodes)| (binary, nodes.join(" ")));
    let expected = PLANNED.iter().map(|(binary, nodes)| ((*binary).into(), (*nodes).into()));
    assert_eq!(found.collect::<Vec<(String, String)>>(), expected.collect::<Vec<_>>(), "{ran}");
}

/// Compiles C into a library of this name, which is linked.
fn build_script(library: &str, source: &str) -> String {
    format!(
        "use std::process::Command;
        fn main() {{
            let out = std::env::var(\"OUT_DIR\").unwrap();
            let (object, library) = (format!(\"{{out}}/code.o\"), format!(\"{{out}}/lib{library}.a\"));
            let run = |command: &mut Command| assert!(command.status().unwrap().success());
            std::fs::write(format!(\"{{out}}/code.c\"), {source:?}).unwrap();
            run(Command::new(\"cc\").args([\"-c\", \"-o\", &object, &format!(\"{{out}}/code.c\")]));
            run(Command::new(\"ar\").args([\"crs\", &library, &object]));
            println!(\"cargo::rustc-link-search=native={{out}}\");
            println!(\"cargo::rustc-link-lib=static={library}\");
        }}"
    )
}

const TWO: &str = "
mod one { #[test] fn counts() { CALL } }
mod other { #[test] fn does_not() {} }
";

/// `shop` depends on `scales`, which comes from a registry.
fn with_a_registry(library: &str) -> Package {
    let package = Package::shop("[dependencies]\nscales = \"0.1\"\n", library);
    package.write(
        ".cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"near\"\n[source.near]\ndirectory = \"near\"\n",
    );
    package.write(
        "near/scales/Cargo.toml",
        "[package]\nname = \"scales\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    package.write("near/scales/.cargo-checksum.json", "{\"files\":{}}");
    let source = "static int hidden; int seen; int weigh(void) { return ++hidden + ++seen; }";
    package.write("near/scales/build.rs", &build_script("scales", source));
    package.write(
        "near/scales/src/lib.rs",
        "use std::sync::atomic::AtomicU64;\n\
         #[no_mangle] pub static WEIGHED: AtomicU64 = AtomicU64::new(0);\n\
         extern \"C\" { fn weigh() -> i32; }\n\
         pub fn weighed() -> i32 { unsafe { weigh() + WEIGHED.as_ptr().read() as i32 } }",
    );
    package
}

fn plan(package: &Package) -> Vec<String> {
    let ran = Call::json(package.partest().args("plan")).run().exits(0);
    planned(&ran).remove("shop").unwrap_or_else(|| panic!("{ran}"))
}

/// The C code of a library binds nobody, whatever its variables are called; that of the user's own
/// package does.
#[test]
fn statics_of_c_bind_where_they_are_the_users_own() {
    let package = with_a_registry(&TWO.replace("CALL", "assert!(scales::weighed() > 0);"));
    assert_eq!(plan(&package), ["~shop"]);
    // Under the name that the library uses, and under another one.
    for (name, variable) in [("hidden", "static int hidden"), ("own", "int own")] {
        let source = format!("{variable}; int count(void) {{ return ++{name}; }}");
        package.write("build.rs", &build_script("counts", &source));
        let call = "unsafe extern \"C\" { fn count() -> i32; } \
                    assert!(scales::weighed() + unsafe { count() } > 0);";
        package.write("src/lib.rs", &TWO.replace("CALL", call));
        assert_eq!(plan(&package), ["=shop"], "{variable}");
    }
    std::fs::remove_file(package.path("build.rs")).unwrap();
    let attributes: [(&str, &[&str]); 3] = [
        ("#[unsafe(no_mangle)]", &["=shop"]),
        ("#[unsafe(export_name = \"with.a.dot\")]", &["=shop"]),
        ("", &["=shop::one", "~shop"]),
    ];
    for (attribute, expected) in attributes {
        let call = format!(
            "use std::sync::atomic::*; {attribute} static OWN: AtomicU64 = AtomicU64::new(0); \
             OWN.fetch_add(1, Ordering::SeqCst); assert!(scales::weighed() > 0);"
        );
        package.write("src/lib.rs", &TWO.replace("CALL", &call));
        assert_eq!(plan(&package), expected, "{attribute}");
    }
}
