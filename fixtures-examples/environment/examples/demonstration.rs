#[cfg_attr(test, allow(dead_code))]
fn main() {
    println!("an example, which cargo builds for the tests");
}

#[test]
fn of_the_example() {
    environment::record("demonstration");
}
