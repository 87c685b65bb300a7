#!/usr/bin/env python3
"""Runs suites whose binaries share a place, many times, and counts what collides.

Each is a pattern that published suites have, and passes under `cargo test`, which runs one binary
after another: a directory that every binary clears and makes, a port, a relative path, names that
a static counts. A first run (nothing kept from earlier ones) may only collide where it says so
and passes all the same; in the later run that follows it nothing may collide any more.

    cargo build --release
    tests/patterns.py [--runs 100] [--program target/release/cargo-partest] [PATTERN ...]

Every other run goes beside processes that keep all cores busy. Not a part of the test suite: it
takes minutes. Linux with glibc only. Ends with 1 if a run failed, or a later one collided.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import bench
from bench import write

ROOT = pathlib.Path(__file__).resolve().parent.parent

CLEARS = """
use std::{{fs, path::PathBuf, sync::Once}};
fn directory() -> PathBuf {{
    static CLEARED: Once = Once::new();
    let all = std::env::temp_dir().join("patterns-of-one-library");
    CLEARED.call_once(|| {{
        let _ = fs::remove_dir_all(&all);
        fs::create_dir_all(&all).unwrap();
    }});
    all
}}
fn write_and_read(name: &str) {{
    let path = directory().join(name);
    for size in [1, 1_000, 100_000] {{
        fs::write(&path, vec![b'x'; size]).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), size);
    }}
}}
#[test] fn {name}_first() {{ write_and_read("{name}-1") }}
#[test] fn {name}_second() {{ write_and_read("{name}-2") }}
#[test] fn {name}_third() {{ write_and_read("{name}-3") }}
"""

SERVES = """
use std::io::{{Read, Write}};
use std::net::{{TcpListener, TcpStream}};
#[test]
fn {name}_answers() {{
    let place = ("127.0.0.1", {port});
    let server = TcpListener::bind(place).unwrap();
    let answers = std::thread::spawn(move || {{
        for _ in 0..50 {{ server.accept().unwrap().0.write_all(b"{name}").unwrap() }}
    }});
    for _ in 0..50 {{
        let mut answer = String::new();
        TcpStream::connect(place).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "{name}");
    }}
    answers.join().unwrap();
}}
"""

RELATIVE = """
use std::fs;
#[test]
fn {name}_keeps_its_report() {{
    for number in 0..200 {{
        fs::write("report.txt", format!("{name} {{number}}")).unwrap();
        assert_eq!(fs::read_to_string("report.txt").unwrap(), format!("{name} {{number}}"));
    }}
}}
"""

FILE_SERIAL = """
use std::fs;
#[test]
#[serial_test::file_serial]
fn {name}_has_it_alone() {{
    for number in 0..50 {{
        fs::write("serial.txt", format!("{name} {{number}}")).unwrap();
        assert_eq!(fs::read_to_string("serial.txt").unwrap(), format!("{name} {{number}}"));
    }}
}}
"""

COUNTED = """
use std::sync::atomic::{{AtomicUsize, Ordering}};
use std::{{fs, path::PathBuf}};
static NEXT: AtomicUsize = AtomicUsize::new(0);
fn directory() -> PathBuf {{
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("patterns-counted-{{number}}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}}
fn works(name: &str) {{
    let directory = directory();
    for number in 0..20 {{
        fs::write(directory.join("in"), format!("{{name}} {{number}}")).unwrap();
        let read = fs::read_to_string(directory.join("in")).unwrap();
        assert_eq!(read, format!("{{name}} {{number}}"));
    }}
}}
"""
COUNTED_TESTS = "".join(f'#[test] fn t{at:02}() {{{{ works("t{at:02}") }}}}\n' for at in range(24))


@dataclasses.dataclass(frozen=True)
class Pattern:
    name: str
    text: str
    binaries: tuple = ("one", "two", "three", "four")
    manifest: str = ""
    # Whether the library's own lock keeps its tests apart.
    never_collides: bool = False


PATTERNS = [
    Pattern("clears-a-directory", CLEARS),
    Pattern("one-port", SERVES, ("one", "two")),
    Pattern("relative-path", RELATIVE, ("one", "two")),
    Pattern(
        "file-serial",
        FILE_SERIAL,
        manifest='[dev-dependencies]\nserial_test = { version = "3", features = ["file_locks"] }\n',
        never_collides=True,
    ),
    Pattern(
        "counted-by-a-static",
        COUNTED + COUNTED_TESTS,
        ("one",),
        manifest='[package.metadata.partest.modules]\n"one" = "split"\n',
    ),
]


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def generate(pattern, folder):
    manifest = '[package]\nname = "patterns"\nversion = "0.0.0"\nedition = "2021"\n'
    write(folder / "Cargo.toml", manifest + pattern.manifest + "[workspace]\n")
    write(folder / "src/lib.rs", "")
    port = free_port()
    for name in pattern.binaries:
        write(folder / f"tests/{name}.rs", pattern.text.format(name=name, port=port))


def run(program, folder):
    """One run: its exit code, and the tests that others interfered with."""
    words = [program, "partest", "--tests", "--no-fail-fast", "--message-format", "json"]
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
    tests = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "test"]
    interfered = sorted(test["id"] for test in tests if test.get("interfered"))
    failed = sorted(test["id"] for test in tests if test["outcome"] != "passed")
    return done.returncode, interfered, failed, done.stderr.decode(errors="replace")


def busy():
    words = [sys.executable, "-c", "while True: pass"]
    return [subprocess.Popen(words) for _ in range(os.cpu_count() or 1)]


def show(pattern, program, folder, runs):
    """Runs a pattern so often; returns what went wrong."""
    generate(pattern, folder)
    subprocess.run(["cargo", "test", "--quiet", "--tests"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    collided, wrong = 0, []
    for number in range(runs):
        others = busy() if number % 2 else []
        shutil.rmtree(folder / "target/partest", ignore_errors=True)
        for kind in ("first", "later"):
            code, interfered, failed, text = run(program, folder)
            collided += kind == "first" and bool(interfered)
            if code != 0:
                wrong.append(f"{kind} run {number}: exit code {code}, {failed}\n{text[-1000:]}")
            if interfered and (kind == "later" or pattern.never_collides):
                wrong.append(f"{kind} run {number}: interfered with: {interfered}")
        for process in others:
            process.kill()
            process.wait()
    print(f"{pattern.name}: {runs} first runs, {collided} of them collided; {len(wrong)} wrong", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    parser.add_argument("--runs", type=int, default=100)
    program = ROOT / "target/release/cargo-partest"
    parser.add_argument("--program", type=lambda path: pathlib.Path(path).resolve(), default=program)
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    args = parser.parse_args()
    known = {pattern.name: pattern for pattern in PATTERNS}
    unknown = [name for name in args.patterns if name not in known]
    if unknown:
        sys.exit(f"error: no such pattern: {', '.join(unknown)}; known: {', '.join(known)}")
    wrong = []
    with bench.scratch_folder(args.keep) as scratch:
        for name in args.patterns or known:
            wrong += show(known[name], args.program, scratch / name, args.runs)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
