//! Tests of a program that listens at one port.

mod serve {
    #[test]
    fn starts() {}

    #[test]
    fn stops() {}
}

#[test]
fn prints_help() {}
