//! Every kind of target that can hold tests: library, program, integration test, example, bench.
//! Each has one test, which checks what it may rely on, and writes its working directory and its
//! whole environment to `<target>.env` in the directory that `FIXTURE_LOG` names.
//!
//! Under `cargo partest` all five tests pass, and the files differ from those of `cargo test` in the
//! `PARTEST` variables only.

use std::env;
use std::path::Path;

/// Checks what cargo promises to every test, and writes down the rest.
pub fn record(target: &str) {
    let directory = env::current_dir().unwrap();
    assert_eq!(env::var_os("CARGO_MANIFEST_DIR").unwrap(), directory);
    assert_eq!(env::var("CARGO_PKG_NAME").unwrap(), "environment");
    assert_eq!(env::var("FIXTURE_BUILT").unwrap(), "by the build script");
    assert!(Path::new(&env::var_os("OUT_DIR").unwrap()).is_dir());
    if let Some(log) = env::var_os("FIXTURE_LOG") {
        let mut lines: Vec<String> = env::vars_os()
            .map(|(key, value)| format!("{}={value:?}\n", key.display()))
            .collect();
        lines.sort();
        let text = format!("{directory:?}\n{}", lines.concat());
        std::fs::write(Path::new(&log).join(format!("{target}.env")), text).unwrap();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_the_library() {
        // Only integration tests and benches are told where the programs are.
        assert_eq!(std::env::var_os("CARGO_BIN_EXE_recorder"), None);
        super::record("environment");
    }
}
