#[test]
fn of_the_bench() {
    assert!(std::fs::exists(env!("CARGO_BIN_EXE_recorder")).unwrap());
    environment::record("measurement");
}
