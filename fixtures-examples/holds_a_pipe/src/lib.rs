//! A test that leaves a process behind which holds the test's stdout and stderr open.
//!
//! `cargo test` ends, but whoever reads its output through a pipe waits for that process. Under
//! `cargo partest` both tests pass, and the run waits for nobody.

#[cfg(all(test, unix))]
mod tests {
    use std::process::{Command, Stdio};

    #[test]
    fn forgets_a_child_that_might_print() {
        let child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
            let path = std::path::Path::new(&directory).join("child");
            std::fs::write(path, format!("{}\n", child.id())).unwrap();
        }
    }

    #[test]
    fn prints_itself() {
        println!("and is done");
    }
}
