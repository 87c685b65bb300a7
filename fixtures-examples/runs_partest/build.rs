//! Looks for `cargo-partest`: in `PARTEST_EXE`, else in the `PATH`. The test is ignored without it.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PARTEST_EXE");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-check-cfg=cfg(has_partest)");
    let name = format!("cargo-partest{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = match std::env::var_os("PARTEST_EXE") {
        Some(named) => Some(PathBuf::from(named)),
        None => std::env::split_paths(&path)
            .map(|place| place.join(&name))
            .find(|it| it.is_file()),
    };
    if found.is_some() {
        println!("cargo::rustc-cfg=has_partest");
    }
    println!(
        "cargo::rustc-env=PARTEST_EXE={}",
        found.unwrap_or(name.into()).display()
    );
}
