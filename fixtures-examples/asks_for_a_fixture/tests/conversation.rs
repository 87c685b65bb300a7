use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

fn ask(line: &str) -> String {
    let address = std::env::var("ADDR")
        .expect("ADDR should be the address that the fixture `echo` of Cargo.toml has announced");
    let mut server = TcpStream::connect(address).unwrap();
    writeln!(server, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(server).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn a_greeting_is_returned() {
    assert_eq!(ask("good morning"), "GOOD MORNING\n");
}

#[test]
fn a_question_is_returned() {
    assert_eq!(ask("how are you?"), "HOW ARE YOU?\n");
}

#[test]
fn umlauts_are_understood() {
    assert_eq!(ask("tschüss"), "TSCHÜSS\n");
}
