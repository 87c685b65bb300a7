//! Two test programs with a `main` of their own, which simply run, whatever they are told.
//!
//! Under `cargo partest` each is one test, judged by its exit code, and runs exactly once: not also
//! while the tests are listed. Both pass; with `--features broken`, `strict` fails with exit code 1.

use std::io::Write;
use std::path::Path;

pub fn weigh(parcel: &str) -> usize {
    parcel.len()
}

/// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
pub fn log(name: &str, line: &str) {
    if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
        let path = Path::new(&directory).join(name);
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
