//! Answers every line that it is sent, and ends when its standard input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            thread::spawn(|| serve(visitor));
        }
    });
    // The end of the input is how the runner says that it is over.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve(mut visitor: TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(visitor.try_clone()?).lines() {
        writeln!(visitor, "{}", asks_for_a_fixture::answer(&line?))?;
    }
    Ok(())
}
