use passes::{distance, temperature};

#[test]
fn a_journey_adds_up() {
    assert_eq!(distance::metres(2) + distance::nautical::metres(1), 3852);
}

#[test]
fn a_warm_day_is_warm_in_both() {
    assert_eq!(temperature::to_fahrenheit(25.0), 77.0);
}
