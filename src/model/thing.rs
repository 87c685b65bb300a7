//! What tests use outside of their process: paths, ports, and names that all processes of the
//! machine share.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::frames::kinds::action;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Thing {
    /// An absolute path without `.`, `..` and repeated slashes.
    Path(String),
    Port(Port),
    AbstractSocket(String),
    SharedMemory(String),
    Semaphore(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// A port of an address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    pub protocol: Protocol,
    pub number: u16,
    pub address: IpAddr,
}

/// What was done to a thing: bits of `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(pub u8);

/// A use of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The agent's number of the test; 0 if that is not known, or no test ran.
    pub test: u32,
    pub actions: Actions,
    pub thing: Thing,
}

impl Actions {
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Whether these and nothing else were done.
    pub fn are_only(self, bits: u8) -> bool {
        self.0 & !bits == 0
    }

    pub fn add(&mut self, others: Actions) {
        self.0 |= others.0;
    }

    /// Whether it only read.
    pub fn only_read(self) -> bool {
        self.are_only(action::READ)
    }
}

impl Thing {
    /// A path as the agent has noted it. `..` is taken by the letter: a path through a symbolic
    /// link is another thing.
    pub fn path(text: &str) -> Thing {
        let has = |part: &str| text.contains(part);
        if text.starts_with('/') && !text.ends_with('/') && !has("//") && !has("/.") {
            return Thing::Path(text.to_owned());
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Thing::Path(format!("/{}", parts.join("/")))
    }

    /// From what it is shown as; the address of a port is not in there.
    pub fn of_text(text: &str) -> Thing {
        let behind = |words: &str| text.strip_prefix(words);
        let port = |protocol, words: &str| {
            let number = behind(words)?.parse().ok()?;
            Some(Thing::Port(Port { protocol, number, address: Ipv4Addr::UNSPECIFIED.into() }))
        };
        let named = |words, thing: fn(String) -> Thing| Some(thing(behind(words)?.to_owned()));
        port(Protocol::Tcp, "TCP port ")
            .or_else(|| port(Protocol::Udp, "UDP port "))
            .or_else(|| named("abstract socket ", Thing::AbstractSocket))
            .or_else(|| named("shared memory ", Thing::SharedMemory))
            .or_else(|| named("semaphore ", Thing::Semaphore))
            .unwrap_or_else(|| Thing::Path(text.to_owned()))
    }

    /// The name of a lock that stands for it in Cargo.toml.
    pub fn lock_name(&self) -> String {
        match self {
            Thing::Path(path) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                name.trim_start_matches('.').to_owned()
            }
            Thing::Port(port) => format!("port-{}", port.number),
            Thing::AbstractSocket(name) | Thing::SharedMemory(name) | Thing::Semaphore(name) => {
                name.trim_start_matches('/').to_owned()
            }
        }
    }

    /// The directories that a path is in, the innermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Thing> {
        let path = match self {
            Thing::Path(path) => path.as_str(),
            _ => "",
        };
        let slashes = path.rmatch_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
        slashes.map(|at| Thing::Path(path[..at].to_owned()))
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Path(path) => write!(f, "{path}"),
            Thing::Port(Port { protocol: Protocol::Tcp, number, .. }) => {
                write!(f, "TCP port {number}")
            }
            Thing::Port(Port { protocol: Protocol::Udp, number, .. }) => {
                write!(f, "UDP port {number}")
            }
            Thing::AbstractSocket(name) => write!(f, "abstract socket {name}"),
            Thing::SharedMemory(name) => write!(f, "shared memory {name}"),
            Thing::Semaphore(name) => write!(f, "semaphore {name}"),
        }
    }
}

impl Port {
    /// From a port in network byte order and an address.
    pub fn read(protocol: Protocol, text: &[u8]) -> Option<Port> {
        let (number, address) = text.split_first_chunk()?;
        let address = match address.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
            _ => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        };
        let address = address.to_canonical();
        Some(Port { protocol, number: u16::from_be_bytes(*number), address })
    }

    /// Whether only one socket can be bound to both.
    pub fn overlaps(&self, other: &Port) -> bool {
        let is_any = |port: &Port| port.address.is_unspecified();
        (self.protocol, self.number) == (other.protocol, other.number)
            && (self.address == other.address || is_any(self) || is_any(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &[u8]) -> Port {
        Port::read(Protocol::Tcp, text).unwrap()
    }

    #[test]
    fn one_path_is_one_thing_however_it_is_written() {
        for text in ["/a/b", "/a//b/", "/a/./b", "/a/c/../b", "/../a/b"] {
            assert_eq!(Thing::path(text), Thing::Path("/a/b".into()), "{text}");
        }
        assert_eq!(Thing::path("/.."), Thing::Path("/".into()));
    }

    #[test]
    fn a_thing_is_read_as_it_was_shown() {
        let port = |protocol, number| {
            Thing::Port(Port { protocol, number, address: Ipv4Addr::UNSPECIFIED.into() })
        };
        let things = [
            Thing::Path("/tmp/TCP port 80".into()),
            port(Protocol::Tcp, 80),
            port(Protocol::Udp, 8080),
            Thing::AbstractSocket("a b".into()),
            Thing::SharedMemory("/a".into()),
            Thing::Semaphore("/a".into()),
        ];
        for thing in things {
            assert_eq!(Thing::of_text(&thing.to_string()), thing);
        }
        assert_eq!(Thing::of_text("TCP port x"), Thing::Path("TCP port x".into()));
    }

    #[test]
    fn the_ancestors_of_a_path_are_its_directories() {
        let above: Vec<Thing> = Thing::path("/tmp/a/b").ancestors().collect();
        assert_eq!(above, [Thing::path("/tmp/a"), Thing::path("/tmp")]);
        assert_eq!(Thing::Semaphore("/a/b".into()).ancestors().count(), 0);
    }

    #[test]
    fn an_address_is_a_part_of_all_addresses_and_of_no_other() {
        let local = port(&[0x1f, 0x90, 127, 0, 0, 1]);
        assert_eq!(local.number, 8080);
        assert!(local.overlaps(&local) && local.overlaps(&port(&[0x1f, 0x90, 0, 0, 0, 0])));
        let mut any = [0; 18];
        any[..2].copy_from_slice(&[0x1f, 0x90]);
        assert!(local.overlaps(&port(&any)));
        assert!(!local.overlaps(&port(&[0x1f, 0x90, 127, 0, 0, 2])));
        assert!(!local.overlaps(&port(&[0x1f, 0x91, 127, 0, 0, 1])));
        let datagrams = Port { protocol: Protocol::Udp, ..local };
        assert!(!local.overlaps(&datagrams));
        assert_eq!(Port::read(Protocol::Tcp, &[0x1f, 0x90, 127]), None);
    }
}
