//! Answers every call with the number of the caller, until its standard input ends. It is a fixture of
//! `tests/shared.rs`.

use std::io::Write;
use std::net::TcpListener;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, caller) in (1..).zip(listener.incoming().flatten()) {
            // A caller that has hung up is no reason to close.
            let _ = writeln!(&caller, "you are caller {number}");
        }
    });
    let mut input = String::new();
    while std::io::stdin().read_line(&mut input).is_ok_and(|count| count > 0) {}
}
