#!/usr/bin/env python3
"""Runs a suite in which it is known what every test shares, many times, and compares what is told.

Its tests leave all kinds of state changed, are victims of what others have left, or use paths, ports
and sockets that tests of another process use; beside each of them stand harmless twins. Everything
has to be named each time, with the right test and the right thing, and nothing else.

    cargo build --release
    tests/labelled.py [--runs 100] [--program target/release/cargo-partest] [PART ...]

Every other run goes beside processes that keep all cores busy. Not a part of the test suite: it
takes an hour. Linux with glibc only. Ends with 1 if a run told anything else.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import bench
from bench import write
from patterns import busy, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent

# ---- what tests leave changed in their process -----------------------------------------

STATE = {
    "statics::atomic_changes": "static shop::statics::COUNT",
    "statics::countdown_ends": "static shop::statics::LEFT",
    "statics::flag_changes": "static shop::statics::FLAG",
    "statics::lock_in_a_lazy_lock_b_is_filled": "static shop::statics::REGISTRY",
    "statics::mutable_changes": "static shop::statics::LEVEL",
    "statics::mutex_is_poisoned": "static shop::statics::POISONED",
    "statics::number_in_a_mutex_changes": "static shop::statics::TOTAL",
    "statics::rw_lock_is_poisoned": "static shop::statics::GUARDED",
    "statics::static_in_a_function_changes": "static shop::visits::VISITS",
    "statics::static_of_a_dependency_changes": "static till::OPEN",
    "statics::table_changes_far_behind": "static shop::statics::TABLE",
    "statics::text_changes": "static shop::statics::TEXT",
    "statics::vector_b_grows": "static shop::statics::LOG",
    "surroundings::directory_changes": "directory",
    "surroundings::variable_is_removed": "variable SHOP_GIVEN",
    "surroundings::variable_is_replaced": "variable SHOP_SECRET",
    "surroundings::variable_is_set": "variable SHOP_DOOR",
    "process::handler_b_changes": "signal-handler SIGUSR1",
    "process::handler_d_of_a_crash_changes": "signal-handler SIGSEGV",
    "process::limit_b_changes": "resource-limit RLIMIT_CORE",
    "process::locale_b_changes": "locale",
    "process::panic_hook_b_changes": "panic-hook",
    "process::timer_b_changes": "timer ITIMER_VIRTUAL",
    "process::umask_b_changes": "umask",
    "orders::a_opens": "static shop::orders::OPEN",
    "orders::b_changes_another": "static shop::orders::OTHER",
}
# Their numbers are those of the machine.
DESCRIPTORS = ("b_stays_open", "c_is_a_socket", "d_was_there_and_is_closed")

TILL = """
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
pub struct OnceCell { state: AtomicUsize, value: AtomicUsize }
impl OnceCell {
    pub const fn new() -> OnceCell {
        OnceCell { state: AtomicUsize::new(0), value: AtomicUsize::new(0) }
    }
    pub fn set(&self, value: usize) { self.value.store(value, SeqCst); self.state.store(2, SeqCst); }
}
static OPEN: AtomicU8 = AtomicU8::new(0);
pub fn open() { OPEN.fetch_add(1, SeqCst); }
pub fn close() { OPEN.fetch_sub(1, SeqCst); }
"""

# ---- victims of what earlier tests of their process have left --------------------------

ORDERS = """
#![allow(static_mut_refs)]
use std::{{env, fs, path::Path, sync::Mutex, sync::atomic::{{AtomicUsize, Ordering::SeqCst}}}};
unsafe extern "C" {{
    fn umask(mask: u32) -> u32;
    fn signal(signal: i32, handler: usize) -> usize;
}}
mod atomic {{ use super::*;
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    #[test] fn a_polluter() {{ COUNT.fetch_add(1, SeqCst); }}
    #[test] fn b_twin() {{ COUNT.fetch_add(1, SeqCst); COUNT.fetch_sub(1, SeqCst); }}
    #[test] fn c_victim() {{ assert_eq!(COUNT.load(SeqCst), 0) }}
}}
mod behind {{ use super::*;
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    #[test] fn a_victim() {{ assert_eq!(COUNT.load(SeqCst), 0) }}
    #[test] fn b_twin() {{ COUNT.fetch_add(1, SeqCst); COUNT.fetch_sub(1, SeqCst); }}
    #[test] fn c_polluter() {{ COUNT.fetch_add(1, SeqCst); }}
}}
mod directory {{ use super::*;
    #[test] fn a_polluter() {{ env::set_current_dir("/").unwrap() }}
    #[test] fn b_twin() {{
        let former = env::current_dir().unwrap();
        env::set_current_dir("/usr").unwrap();
        env::set_current_dir(former).unwrap();
    }}
    #[test] fn c_victim() {{ assert_ne!(env::current_dir().unwrap(), Path::new("/")) }}
}}
mod handler {{ use super::*;
    #[test] fn a_polluter() {{ unsafe {{ signal(10, 1) }}; }}
    #[test] fn b_twin() {{ unsafe {{ let former = signal(12, 1); signal(12, former) }}; }}
    #[test] fn c_victim() {{ unsafe {{ let former = signal(10, 0); signal(10, former); assert_eq!(former, 0) }} }}
}}
mod poison {{ use super::*;
    static LOG: Mutex<u32> = Mutex::new(0);
    #[test] fn a_polluter() {{
        assert!(std::panic::catch_unwind(|| {{ let _held = LOG.lock(); panic!("held") }}).is_err());
    }}
    #[test] fn b_twin() {{ drop(LOG.try_lock()) }}
    #[test] fn c_victim() {{ drop(LOG.lock().unwrap()) }}
}}
mod text {{ use super::*;
    static mut TEXT: Option<&str> = None;
    #[test] fn a_polluter() {{ unsafe {{ TEXT = Some("text") }} }}
    #[test] fn b_twin() {{ unsafe {{ let former = TEXT; TEXT = Some("other"); TEXT = former }} }}
    #[test] fn c_victim() {{ unsafe {{ assert!(TEXT.is_none()) }} }}
}}
mod two {{ use super::*;
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    #[test] fn a_polluter() {{ COUNT.fetch_add(1, SeqCst); }}
    #[test] fn b_polluter() {{ COUNT.fetch_add(1, SeqCst); }}
    #[test] fn c_twin() {{}}
    #[test] fn d_victim() {{ assert!(COUNT.load(SeqCst) < 2) }}
}}
mod mask {{ use super::*;
    #[test] fn a_polluter() {{ unsafe {{ umask(0o77) }}; }}
    #[test] fn b_twin() {{ unsafe {{ let former = umask(0o27); umask(former) }}; }}
    #[test] fn c_victim() {{ unsafe {{ let former = umask(0); umask(former); assert_ne!(former, 0o77) }} }}
}}
mod variable {{ use super::*;
    #[test] fn a_polluter() {{ unsafe {{ env::set_var("ORDERS_DOOR", "open") }} }}
    #[test] fn b_twin() {{ unsafe {{ env::set_var("ORDERS_TWIN", "1"); env::remove_var("ORDERS_TWIN") }} }}
    #[test] fn c_victim() {{ assert!(env::var_os("ORDERS_DOOR").is_none()) }}
}}
mod file {{ use super::*;
    fn owner() -> std::path::PathBuf {{ Path::new("{outside}").join("owner") }}
    #[test] fn a_polluter() {{ fs::write(owner(), std::process::id().to_string()).unwrap() }}
    #[test] fn b_twin() {{ fs::write(owner().with_extension("of-twin"), "").unwrap() }}
    #[test] fn c_victim() {{
        let read = fs::read_to_string(owner()).unwrap_or_default();
        assert_ne!(read, std::process::id().to_string());
    }}
}}
"""


def victims(outside):
    """By victim: its polluters, and the thing."""
    things = {
        "atomic": "the static orders::atomic::COUNT",
        "directory": "the current directory",
        "handler": "the handler of SIGUSR1",
        "poison": "the static orders::poison::LOG",
        "text": "the static orders::text::TEXT",
        "mask": "the umask",
        "variable": "the variable ORDERS_DOOR",
        "file": f"{outside}/owner",
    }
    found = {f"orders::{of}::c_victim": [(f"orders::{of}::a_polluter", thing)] for of, thing in things.items()}
    found["orders::behind::a_victim"] = [("orders::behind::c_polluter", "the static orders::behind::COUNT")]
    of_two = "the static orders::two::COUNT"
    found["orders::two::d_victim"] = [(f"orders::two::{of}_polluter", of_two) for of in "ab"]
    return found


# ---- what tests of two processes use ---------------------------------------------------

MEETINGS = """
use std::{{fs, net::{{TcpListener, UdpSocket}}, os::unix::net::UnixListener, path::{{Path, PathBuf}}}};
fn at(name: &str) -> PathBuf {{ Path::new("{outside}").join(name) }}
#[test] fn creates_all() {{ fs::create_dir_all(at("made/by/all")).unwrap() }}
#[test] fn reads_only() {{ assert!(fs::read("/etc/hostname").is_ok() || true) }}
#[test] fn has_its_own_file() {{ fs::write(at("{name}-own"), "{name}").unwrap() }}
#[test] fn has_its_own_port() {{ drop(TcpListener::bind("127.0.0.1:0").unwrap()) }}
#[test] fn has_its_own_directory() {{
    fs::create_dir_all(at("{name}-directory")).unwrap();
    fs::remove_dir_all(at("{name}-directory")).unwrap();
}}
#[test] fn writes_beside_a_port() {{ fs::write(at("{name}-port"), "{tcp}").unwrap() }}
#[test] fn truncates_a_file() {{ fs::write(at("truncated"), "{name}").unwrap() }}
#[test] fn clears_a_directory() {{
    let _ = fs::remove_dir_all(at("cleared"));
    let _ = fs::create_dir_all(at("cleared"));
}}
#[test] fn removes_a_file() {{
    let _ = fs::OpenOptions::new().create(true).append(true).open(at("removed"));
    let _ = fs::remove_file(at("removed"));
}}
#[test] fn renames_over_a_file() {{
    fs::write(at("{name}-new"), "").unwrap();
    fs::rename(at("{name}-new"), at("renamed")).unwrap();
    let _ = fs::remove_file(at("renamed"));
}}
#[test] fn writes_by_a_relative_path() {{ fs::write("relative.txt", "{name}").unwrap() }}
#[test] fn binds_a_port() {{ let _ = TcpListener::bind(("127.0.0.1", {tcp})); }}
#[test] fn binds_a_port_of_udp() {{ let _ = UdpSocket::bind(("127.0.0.1", {udp})); }}
#[test] fn binds_a_socket() {{
    let _ = fs::remove_file(at("socket"));
    let _ = UnixListener::bind(at("socket"));
}}
"""


def meetings(outside, folder, tcp, udp):
    """By thing: the test of both processes."""
    return {
        f"{outside}/truncated": "truncates_a_file",
        f"{outside}/cleared": "clears_a_directory",
        f"{outside}/removed": "removes_a_file",
        f"{outside}/renamed": "renames_over_a_file",
        f"{folder}/relative.txt": "writes_by_a_relative_path",
        f"TCP port {tcp}": "binds_a_port",
        f"UDP port {udp}": "binds_a_port_of_udp",
        f"{outside}/socket": "binds_a_socket",
    }


# ---- the runs ---------------------------------------------------------------------------


class Suite:
    def __init__(self, program, folder):
        self.program, self.folder, self.outside = program, folder, folder / "outside"
        self.tcp, self.udp = free_port(), free_port()
        write(folder / "Cargo.toml", MANIFEST)
        write(folder / "till/Cargo.toml", '[package]\nname = "till"\nedition = "2024"\n')
        write(folder / "till/src/lib.rs", TILL)
        write(folder / "src/lib.rs", (ROOT / "tests/suite/state/lib.rs").read_text())
        write(folder / "tests/orders.rs", ORDERS.format(outside=self.outside))
        for name in ("one", "two"):
            text = MEETINGS.format(outside=self.outside, name=name, tcp=self.tcp, udp=self.udp)
            write(folder / f"tests/{name}.rs", text)
        # Each test program has them: they stand for nothing.
        subprocess.run(["cargo", "test", "--quiet", "--no-run"], cwd=folder, check=True)

    def events(self, words):
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir()
        given = os.environ | {"SHOP_GIVEN": "given", "SHOP_SECRET": "secret", "LC_ALL": "C"}
        words = [self.program, "partest", *words, "--message-format", "json"]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=with_known_state,
        )
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def state(self):
        """What is told of changed state, and what should be."""
        events, text = self.events(["--lib", "--policy", "unit", "--watch-state", "--no-fail-fast"])
        told = set()
        for event in events:
            for change in event.get("changes", []) if event["event"] == "state-changed" else []:
                name = "" if change["kind"] == "descriptor" else change.get("name", "")
                told.add((event["id"], f"{change['kind']} {name}".strip()))
        expected = {(f"shop::{test}", thing) for test, thing in STATE.items()}
        expected |= {(f"shop::process::descriptor_{test}", "descriptor") for test in DESCRIPTORS}
        return told, expected, text

    def orders(self):
        """Which victims are told, with polluters and things, and with which lines."""
        last, text = self.doctor("--test=orders")
        told = set()
        for of in last["dependences"]:
            others = tuple((other["id"], other["thing"]) for other in of["with"])
            told.add((of["kind"], of["id"], others))
        told |= {("line", of["node"], of["value"]) for of in last["suggestions"]}
        told |= {("shared", of["thing"], tuple(of["users"])) for of in last["shared"]}
        all_victims = victims(self.outside)
        expected = {("victim", victim, tuple(by)) for victim, by in all_victims.items()}
        isolate = 'policy = "split", isolate = true'
        expected |= {("line", victim, f"{{ {isolate} }}") for victim in all_victims}
        # In two processes they would meet at the file as well.
        polluter, victim, lock = "orders::file::a_polluter", "orders::file::c_victim", 'locks = ["owner"]'
        expected.remove(("line", victim, f"{{ {isolate} }}"))
        expected.add(("line", victim, f"{{ {isolate}, {lock}, threads = 1 }}"))
        expected.add(("line", polluter, f"{{ {lock}, threads = 1 }}"))
        expected.add(("shared", f"{self.outside}/owner", (polluter, victim)))
        return told, expected, text

    def meetings(self):
        """Which things of two processes are told, with the tests that use them."""
        last, text = self.doctor("--test=one", "--test=two")
        told = {(of["thing"], tuple(of["users"])) for of in last["shared"]}
        told |= {
            (other["thing"], tuple(sorted((of["id"], other["id"]))))
            for of in last["dependences"]
            for other in of["with"] or [{"thing": of["kind"], "id": ""}]
        }
        folder = self.folder.resolve()
        pairs = meetings(self.outside, folder, self.tcp, self.udp)
        expected = {(thing, (f"one::{test}", f"two::{test}")) for thing, test in pairs.items()}
        return told, expected, text

    def doctor(self, *words):
        events, text = self.events(["doctor", "-j2", "--budget", "10m", *words])
        return events[-1], text


def with_known_state():
    """Whatever the machine has."""
    os.umask(0o22)
    resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))


MANIFEST = """[package]
name = "shop"
version = "0.0.0"
edition = "2024"
[dependencies]
till = { path = "till" }
[workspace]
"""


def show(part, suite, runs):
    """Runs a part so often; returns what went wrong."""
    wrong = []
    for number in range(runs):
        others = busy() if number % 2 else []
        told, expected, text = getattr(suite, part)()
        for process in others:
            process.kill()
            process.wait()
        missing, invented = sorted(map(str, expected - told)), sorted(map(str, told - expected))
        if missing or invented:
            wrong.append(f"{part}, run {number}: missing {missing}; invented {invented}\n{text[-600:]}")
            print(wrong[-1], flush=True)
    print(f"{part}: {len(expected)} facts in {runs} runs, {len(wrong)} of them wrong", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ("state", "orders", "meetings")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    parser.add_argument("--runs", type=int, default=100)
    program = ROOT / "target/release/cargo-partest"
    parser.add_argument("--program", type=lambda path: pathlib.Path(path).resolve(), default=program)
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in known]
    if unknown:
        sys.exit(f"error: no such part: {', '.join(unknown)}; known: {', '.join(known)}")
    with bench.scratch_folder(args.keep) as scratch:
        suite = Suite(args.program, scratch.resolve() / "suite")
        wrong = [line for part in args.parts or known for line in show(part, suite, args.runs)]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
