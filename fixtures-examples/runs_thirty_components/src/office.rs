//! One component. It does not know whether it is a thread or a process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::{io, process};

/// Serves at this address until it is told to close. One line is one message, and has an answer.
pub fn serve(number: usize, listener: TcpListener) -> io::Result<()> {
    let mut office = Office {
        number,
        next: listener.local_addr()?,
        letters: BTreeMap::new(),
    };
    for visitor in listener.incoming() {
        let mut visitor = BufReader::new(visitor?);
        let mut line = String::new();
        visitor.read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = office.answer(&words)?;
        // Whoever hands a letter on has left by now.
        let _ = writeln!(visitor.get_mut(), "{answer}");
        if words == ["close"] {
            break;
        }
    }
    Ok(())
}

struct Office {
    number: usize,
    next: SocketAddr,
    /// Of those who have not come yet, by name: texts and the ways they have come.
    letters: BTreeMap<String, Vec<String>>,
}

impl Office {
    fn answer(&mut self, words: &[&str]) -> io::Result<String> {
        match words {
            ["next", address] => self.next = address.parse().map_err(io::Error::other)?,
            ["letter", office, name, text, steps] => {
                self.take(office.parse().ok(), name, text, steps.parse().unwrap_or(0))?;
            }
            ["collect", name] => {
                let letters = self.letters.remove(*name).unwrap_or_default();
                return Ok(letters.join(" "));
            }
            ["who"] => return Ok(format!("{} {}", self.number, process::id())),
            ["close"] => {}
            _ => return Ok(format!("not understood: {words:?}")),
        }
        Ok("done".to_owned())
    }

    fn take(&mut self, to: Option<usize>, name: &str, text: &str, steps: usize) -> io::Result<()> {
        match to {
            Some(to) if to != self.number => {
                let steps = steps + 1;
                // Nobody waits for the answer: an office that waited for the next one, which waits
                // for the next one, could wait for itself in the end.
                say(self.next, &format!("letter {to} {name} {text} {steps}"))?;
            }
            _ => {
                let letters = self.letters.entry(name.to_owned()).or_default();
                letters.push(format!("{text}/{steps}"));
            }
        }
        Ok(())
    }
}

/// Sends a message, and leaves before the answer.
fn say(to: SocketAddr, line: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    Ok(stream)
}

/// Sends a message, and waits for the answer.
pub fn ask(to: SocketAddr, line: &str) -> io::Result<String> {
    let mut answer = String::new();
    BufReader::new(say(to, line)?).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}
