use std::process::Command;

#[test]
#[cfg_attr(
    not(has_partest),
    ignore = "there is no cargo-partest: set PARTEST_EXE or install it"
)]
fn a_run_within_a_run_passes() {
    let program = env!("PARTEST_EXE");
    let output = Command::new(program)
        .args(runs_partest::arguments("../passes/Cargo.toml"))
        // A directory of its own: the outer cargo may hold the lock of the other one.
        .env(
            "CARGO_TARGET_DIR",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/nested"),
        )
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let told = format!(
        "stdout:\n{stdout}\nstderr:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "{told}");
    // An exit code alone does not prove that anything ran.
    let end = stdout.lines().last().unwrap_or_default();
    assert!(
        end.contains("run-finished") && end.contains("\"passed\":7"),
        "{told}"
    );
}
