//! Tests that start a process and forget it: one in the test's own process group, one in a session
//! of its own, as daemons do.
//!
//! `cargo test` and nextest both pass and leave the processes behind. Under `cargo partest` the
//! tests pass, and when the run has ended so have both processes.

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// A process that outlives every run.
    fn sleeper() -> Command {
        let mut sleeper = Command::new("sleep");
        sleeper
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        sleeper
    }

    /// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
    fn log(name: &str, line: &str) {
        if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
            let path = std::path::Path::new(&directory).join(name);
            std::fs::write(path, format!("{line}\n")).unwrap();
        }
    }

    #[test]
    fn forgets_a_child() {
        let child = sleeper().spawn().unwrap();
        log("child", &child.id().to_string());
    }

    #[test]
    fn forgets_a_daemon() {
        unsafe extern "C" {
            fn setsid() -> i32;
        }
        let mut daemon = sleeper();
        // Sound: `setsid` may be called between fork and exec.
        unsafe {
            daemon.pre_exec(|| match setsid() {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        log("daemon", &daemon.spawn().unwrap().id().to_string());
    }

    #[test]
    fn waits_for_its_child() {
        assert!(Command::new("true").status().unwrap().success());
    }
}
