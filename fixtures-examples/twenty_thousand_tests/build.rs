//! Writes the tests: as many as `FIXTURE_TESTS` says, else 20,000, in eight modules.

use std::fmt::Write;
use std::path::Path;

const MODULES: [&str; 8] = [
    "atlases", "ballads", "comedies", "diaries", "essays", "fables", "guides", "hymns",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FIXTURE_TESTS");
    let tests = std::env::var("FIXTURE_TESTS").map_or(20_000, |text| {
        text.parse::<usize>()
            .expect("FIXTURE_TESTS should be a number of tests")
    });
    let mut code = String::new();
    for (place, module) in MODULES.iter().enumerate() {
        writeln!(code, "mod {module} {{").unwrap();
        for number in (place..tests).step_by(MODULES.len()) {
            // With its module such a name is about sixty bytes long, as in a large generated suite.
            writeln!(
                code,
                "#[test] fn book_{number:06}_stands_where_the_catalogue_says_it_is() {{ crate::stands({number}) }}"
            )
            .unwrap();
        }
        writeln!(code, "}}").unwrap();
    }
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(Path::new(&out).join("books.rs"), code).unwrap();
}
