//! Fixtures and their users. What ends in `_fails` has to fail.

#![cfg(test)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// One line in a log of this name.
fn note(name: &str) {
    let path = std::path::Path::new(&std::env::var_os("FIXTURE_LOG").unwrap()).join(name);
    let mut log = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    // In one call, since others write there at the same time.
    log.write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
}

partest::fixture! {
    /// The one that everybody talks to.
    pub static SERVER = fn server(setup) {
        note("set-ups");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        setup.set("SERVER_ADDR", listener.local_addr().unwrap());
        setup.set("SERVER_NAME", "the server");
        std::thread::spawn(move || {
            for client in listener.incoming() {
                client.unwrap().write_all(b"at your service").unwrap();
            }
        });
        setup.ready();
        setup.wait();
        note("tear-downs");
    }
}

partest::fixture! {
    static KITCHEN = fn kitchen(_setup) {
        panic!("there is no gas");
    }
}

fn greeting() -> String {
    let mut text = String::new();
    let address: SocketAddr = SERVER.get("SERVER_ADDR");
    TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
    text
}

mod users {
    use super::*;

    #[test]
    fn is_greeted() {
        note("users");
        assert_eq!(greeting(), "at your service");
    }

    #[test]
    fn is_greeted_too() {
        note("users");
        assert_eq!(greeting(), "at your service");
        assert_eq!(SERVER.get::<String>("SERVER_NAME"), "the server");
    }

    #[test]
    fn leaves_no_thread() {
        SERVER.get::<String>("SERVER_NAME");
        assert_eq!(partest::active_count(), 0, "{:?}", partest::active());
    }
}

mod mistakes {
    use super::*;

    #[test]
    fn no_such_key_fails() {
        SERVER.get::<String>("SERVER_PORT");
    }

    #[test]
    fn not_of_this_type_fails() {
        SERVER.get::<u16>("SERVER_ADDR");
    }

    #[test]
    fn no_fixture_fails() {
        KITCHEN.get::<String>("KITCHEN_MENU");
    }
}
