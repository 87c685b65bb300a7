mod nose;

use nose::{called, fixture};

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
