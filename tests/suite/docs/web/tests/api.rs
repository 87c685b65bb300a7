//! Tests of a server, which a shared fixture starts: its address is in `ADDR`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// What the server answers; without a server nothing is asked.
#[track_caller]
fn answers(question: &str, expected: &str) {
    let Ok(address) = std::env::var("ADDR") else { return };
    let mut server = TcpStream::connect(address).unwrap();
    writeln!(server, "{question}").unwrap();
    let mut answer = String::new();
    BufReader::new(server).read_line(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), expected);
}

mod auth {
    #[test]
    fn accepts() {
        super::answers("user", "USER");
    }

    #[test]
    fn rejects() {
        super::answers("nobody", "NOBODY");
    }
}

#[test]
fn greets() {
    answers("hello", "HELLO");
}

mod fixtures {
    /// A fixture as a function: `docs/fixtures.md` names it.
    #[test]
    #[ignore = "a fixture"]
    fn server() {
        println!("PARTEST_READY");
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}
