//! All components together, as threads or as processes.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::{fs, io};

use crate::OFFICES;
use crate::office::{ask, serve};

/// Closes its components when it is dropped, and waits for each.
pub struct System {
    addresses: Vec<SocketAddr>,
    components: Vec<Component>,
}

enum Component {
    Thread(JoinHandle<io::Result<()>>),
    Process(Child),
}

impl System {
    /// A thread of this process for each component.
    pub fn of_threads() -> io::Result<System> {
        Self::open(|number| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let office = thread::Builder::new().name(format!("office {number}"));
            let thread = office.spawn(move || serve(number, listener))?;
            Ok((address, Component::Thread(thread)))
        })
    }

    /// A process for each component: this program, with the component's number.
    pub fn of_processes() -> io::Result<System> {
        let program = std::env::current_exe()?;
        Self::open(|number| {
            let mut command = Command::new(&program);
            let mut process = command
                .arg(number.to_string())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut address = String::new();
            let stdout = process.stdout.take().expect("it was asked for");
            BufReader::new(stdout).read_line(&mut address)?;
            let address = address.trim_end().parse().map_err(io::Error::other)?;
            Ok((address, Component::Process(process)))
        })
    }

    /// Opens all, and closes the ring.
    fn open(
        component: impl Fn(usize) -> io::Result<(SocketAddr, Component)>,
    ) -> io::Result<System> {
        let mut system = System {
            addresses: Vec::new(),
            components: Vec::new(),
        };
        for number in 0..OFFICES {
            let (address, component) = component(number)?;
            system.addresses.push(address);
            system.components.push(component);
        }
        for (number, address) in system.addresses.iter().enumerate() {
            let next = system.addresses[(number + 1) % OFFICES];
            ask(*address, &format!("next {next}"))?;
        }
        Ok(system)
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (address, component) in self.addresses.iter().zip(self.components.drain(..)) {
            let closed = ask(*address, "close");
            let is_well = match component {
                Component::Thread(thread) => thread.join().is_ok_and(|served| served.is_ok()),
                Component::Process(mut process) => process.wait().is_ok_and(|s| s.success()),
            };
            if closed.is_ok() && is_well {
                log("closed", &address.to_string());
            }
        }
    }
}

/// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
pub fn log(name: &str, line: &str) {
    use io::Write;
    if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
        let path = std::path::Path::new(&directory).join(name);
        let file = fs::File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("FIXTURE_LOG should be a directory");
    }
}
