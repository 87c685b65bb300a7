//! Answers each line that it receives in capitals, until its input ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|client| {
            std::thread::spawn(move || answer(client));
        });
    });
    let mut input = String::new();
    while std::io::stdin().read_line(&mut input).is_ok_and(|count| count > 0) {}
}

fn answer(mut client: TcpStream) {
    let lines = BufReader::new(client.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if writeln!(client, "{}", line.to_uppercase()).is_err() {
            return;
        }
    }
}
