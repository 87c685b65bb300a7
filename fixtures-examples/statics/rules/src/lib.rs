//! One binary for every rule by which `auto` reads statics: see README.md beside the workspace's
//! Cargo.toml, and `tests/`.
//!
//! This library itself has no static: its own two tests may go to any process. Under `cargo partest`
//! all tests pass.

use std::io::Write;
use std::path::Path;

/// Notes which process ran a module's test, where `FIXTURE_LOG` names a directory for it.
pub fn log(module: &str) {
    if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
        let path = Path::new(&directory).join(module.replace("::", "."));
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .unwrap();
    }
}

/// A ticket's price for somebody of this age.
pub fn price(age: u32) -> u32 {
    if age < 14 { 5 } else { 9 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn adults_pay_in_full() {
        super::log(module_path!());
        assert_eq!(super::price(30), 9);
    }

    #[test]
    fn children_pay_less() {
        super::log(module_path!());
        assert!(super::price(7) < super::price(30));
    }
}
