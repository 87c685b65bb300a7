mod nose;

use std::io::{Read, stdin};

use nose::{called, fixture};

/// What the runner starts before the first test.
#[test]
#[ignore = "a fixture, which the runner starts"]
fn context() {
    nose::setup();
    println!("PARTEST_READY");
    stdin().read_to_end(&mut Vec::new()).unwrap();
    nose::teardown();
}

#[test]
fn test_a() {
    fixture();
    assert_eq!(called(), 1);
}

#[test]
fn test_b() {
    fixture();
    assert_eq!(called(), 1);
}

mod test_me {
    use super::{called, fixture};

    #[test]
    fn test_one() {
        fixture();
        assert_eq!(called(), 1);
    }
}
