#[test]
fn of_the_integration_test() {
    assert!(std::fs::exists(env!("CARGO_BIN_EXE_recorder")).unwrap());
    environment::record("integration");
}
