//! Calls the switchboard, one server for all tests in however many processes.
//!
//! Under `cargo partest` all of it passes. Under `cargo test` nobody starts the server.

use std::io::Read;
use std::net::TcpStream;

/// The number that the switchboard gives to this call.
fn call() -> u32 {
    let address = std::env::var("SWITCHBOARD").expect("the switchboard is running");
    let mut answer = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
    answer.trim().strip_prefix("you are caller ").unwrap().parse().unwrap()
}

#[test]
fn callers_are_counted() {
    let first = call();
    assert!(call() > first);
}

#[test]
fn every_call_is_answered() {
    assert!(call() >= 1);
}
