//! Gives the tests a variable and a place for libraries, as a `-sys` crate does.

use std::path::Path;

fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let libraries = Path::new(&out).join("libraries");
    std::fs::create_dir_all(&libraries).unwrap();
    println!("cargo::rustc-env=FIXTURE_BUILT=by the build script");
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rerun-if-changed=build.rs");
}
