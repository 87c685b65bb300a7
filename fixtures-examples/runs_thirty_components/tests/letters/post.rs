//! The system under test: the one that the runner has started, or else one of this process's own.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use runs_thirty_components::office::ask;
use runs_thirty_components::system::System;

pub struct Post {
    offices: Vec<SocketAddr>,
}

pub fn post() -> &'static Post {
    static POST: OnceLock<Post> = OnceLock::new();
    POST.get_or_init(|| Post {
        offices: match std::env::var("POST_OFFICES") {
            Ok(addresses) => addresses.split(',').map(|at| at.parse().unwrap()).collect(),
            Err(_) => open_here(),
        },
    })
}

/// Statics are never dropped: these components are closed when the process ends.
static OWN: Mutex<Option<System>> = Mutex::new(None);

fn open_here() -> Vec<SocketAddr> {
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> i32;
    }
    extern "C" fn close() {
        drop(OWN.lock().unwrap().take());
    }
    let system = System::of_threads().unwrap();
    let addresses = system.addresses().to_vec();
    *OWN.lock().unwrap() = Some(system);
    // SAFETY: `close` can be called at any time, and lives as long as the program.
    assert_eq!(unsafe { atexit(close) }, 0);
    addresses
}

impl Post {
    pub fn send(&self, from: usize, to: usize, name: &str, text: &str) {
        let letter = format!("letter {to} {name} {text} 0");
        assert_eq!(ask(self.offices[from], &letter).unwrap(), "done");
    }

    /// Waits for this number of letters; nothing but asking tells whether they have come.
    pub fn collect(&self, at: usize, name: &str, number: usize) -> Vec<String> {
        let began = Instant::now();
        let mut letters = Vec::new();
        loop {
            let answer = ask(self.offices[at], &format!("collect {name}")).unwrap();
            letters.extend(answer.split_whitespace().map(str::to_owned));
            if letters.len() >= number {
                return letters;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "only {letters:?} came"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The number by which an office knows itself, and the process that it is in.
    pub fn who(&self, number: usize) -> (usize, String) {
        let answer = ask(self.offices[number], "who").unwrap();
        let (number, process) = answer.split_once(' ').unwrap();
        (number.parse().unwrap(), process.to_owned())
    }
}
