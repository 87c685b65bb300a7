//! Where in a run of `cargo partest` this process stands, by its environment.

use std::env;

/// Whether `cargo partest` started this process.
///
/// Returns `false` under `cargo test`, nextest, or anything else.
///
/// ```
/// use std::time::Duration;
///
/// let timeout = Duration::from_secs(if partest::is_active() { 30 } else { 300 });
/// # assert!(timeout >= Duration::from_secs(30));
/// ```
#[must_use]
pub fn is_active() -> bool {
    env::var_os("PARTEST").is_some_and(|value| value == "1")
}

/// The id of the run: the same in all of its workers, and in no other run.
///
/// Returns `None` outside of a run.
///
/// ```
/// let schema = match partest::run_id() {
///     Some(run) => format!("test_{run}"),
///     None => "test".to_owned(),
/// };
/// # assert!(schema.starts_with("test"));
/// ```
#[must_use]
pub fn run_id() -> Option<String> {
    env::var("PARTEST_RUN_ID").ok()
}

/// The slot that this process runs in: a number from 0 to one less than the run's `-j`; without
/// `-j`, to one less than `overcommit` times the cores.
///
/// No two workers that are alive at the same time have the same slot, so it is a safe way to
/// share out ports, databases or directories. A slot is used again by later workers.
///
/// Returns `None` outside of a run, where tests of other processes may run at the same time.
///
/// ```
/// let database = format!("test_{}", partest::slot().unwrap_or(0));
/// # assert!(database.starts_with("test_"));
/// ```
#[must_use]
pub fn slot() -> Option<usize> {
    env::var("PARTEST_SLOT").ok()?.parse().ok()
}

/// The number of this worker process. No other worker of the run has it, before or after.
///
/// Returns `None` outside of a run.
///
/// ```
/// let log = match partest::worker() {
///     Some(worker) => format!("worker-{worker}.log"),
///     None => format!("process-{}.log", std::process::id()),
/// };
/// # assert!(log.ends_with(".log"));
/// ```
#[must_use]
pub fn worker() -> Option<u64> {
    env::var("PARTEST_WORKER").ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What this library reports in a process of its own, with these variables of a run and no
    /// others.
    fn reported(variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "library::run::tests::reports", "--ignored", "--nocapture"]);
        for name in ["PARTEST", "PARTEST_RUN_ID", "PARTEST_SLOT", "PARTEST_WORKER"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = stdout.lines().find_map(|line| line.strip_prefix("reported: "));
        line.unwrap_or_else(|| panic!("{stdout}")).to_owned()
    }

    #[test]
    #[ignore = "runs in the processes that the tests below start"]
    fn reports() {
        println!("\nreported: {} {:?} {:?} {:?}", is_active(), run_id(), slot(), worker());
    }

    #[test]
    fn a_test_reads_its_place_in_the_run() {
        let run = [
            ("PARTEST", "1"),
            ("PARTEST_RUN_ID", "18c2-77"),
            ("PARTEST_SLOT", "3"),
            ("PARTEST_WORKER", "41"),
        ];
        assert_eq!(reported(&run), "true Some(\"18c2-77\") Some(3) Some(41)");
    }

    #[test]
    fn a_test_outside_of_a_run_has_no_place_in_one() {
        assert_eq!(reported(&[]), "false None None None");
        assert_eq!(
            reported(&[("PARTEST", "0"), ("PARTEST_SLOT", "first")]),
            "false None None None"
        );
    }

    /// Fails if the runner does not set what the library reads.
    #[test]
    fn all_of_it_is_known_exactly_under_the_runner() {
        let known = [run_id().is_some(), slot().is_some(), worker().is_some()];
        assert_eq!(known, [is_active(); 3]);
    }
}
