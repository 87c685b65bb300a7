#!/usr/bin/env python3
"""Times `cargo test`, `cargo nextest run` and `cargo partest` on suites of one shape each.

The shapes are those on which a runner most plainly wins or fails: a unit that computes beside
tests that take no time, tests that wait, a harness with a thousand files, and so on. They are
written here, and measured as `bench_projects.py` measures projects: a first run with nothing kept
from earlier ones, and a later run.

    python3 tests/bench_shapes.py [--shapes a,b] [--rounds N] [--out DIR] [--keep DIR]

`cargo partest` must be installed or on PATH. Exit code 1 if a shape could not be timed.
"""

import dataclasses
import sys

import bench
import bench_projects
from bench import NEXTEST, write
from bench_projects import Project, WORDS

MANIFEST = '[package]\nname = "{name}"\nversion = "0.0.0"\nedition = "2021"\n'

# Processor time of the thread itself, so that a busy machine does not make it less work. Without
# crates: work that takes about so long is found out by a clock once for each process.
COMPUTES = """
fn compute(milliseconds: u64) {
    use std::sync::OnceLock;
    use std::time::Instant;
    fn spin(rounds: u64) -> u64 {
        (0..rounds).fold(1, |a, b| std::hint::black_box(a ^ b).rotate_left(7))
    }
    static ROUNDS: OnceLock<u64> = OnceLock::new();
    let a_millisecond = ROUNDS.get_or_init(|| {
        let fastest = (0..5).map(|_| { let began = Instant::now(); spin(20_000); began.elapsed() });
        let fastest = fastest.min().unwrap().as_nanos().max(1) as u64;
        20_000 * 1_000_000 / fastest
    });
    spin(milliseconds * a_millisecond);
}
"""

WAITS = "fn wait(ms: u64) { std::thread::sleep(std::time::Duration::from_millis(ms)) }\n"

SHARED = """
static SHARED: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
fn share() { *SHARED.lock().unwrap() += 1 }
"""

MIMIC = """
use libtest_mimic::{Arguments, Trial};
fn main() {
    let args = Arguments::from_args();
    let files = std::fs::read_dir("tests/files").unwrap();
    let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().path();
    let trial = |path: std::path::PathBuf| Trial::test(path.display().to_string(), move || {
        std::fs::read_to_string(&path).map(drop).map_err(|e| e.to_string().into())
    });
    libtest_mimic::run(&args, files.map(name).map(trial).collect()).exit();
}
"""

# About half a millisecond in a debug build. A static that keeps the measure of a millisecond, as above,
# would keep the tests in one process, in which such a harness runs them in turn.
CHECK = "(0..32_000_u64).fold(1, |a, b| std::hint::black_box(a ^ b).rotate_left(7));"
MIMIC_COMPUTES = MIMIC.replace("std::fs::read_to_string", f"{CHECK}\n        std::fs::read_to_string")

DATATEST = """
fn reads(path: &std::path::Path) -> datatest_stable::Result<()> {
    std::fs::read_to_string(path)?;
    Ok(())
}
datatest_stable::harness! { { test = reads, root = "tests/files", pattern = r"^.*\\.txt$" } }
"""


def tests(count, body, name="test"):
    return "".join(f"#[test]\nfn {name}_{at:05}() {{ {body} }}\n" for at in range(count))


def module(text):
    return f"#[cfg(test)]\nmod tests {{\n{text}}}\n"


def harness(crate, version, text):
    manifest = f'[dev-dependencies]\n{crate} = "{version}"\n'
    manifest += '[[test]]\nname = "files"\nharness = false\n'
    files = {f"tests/files/case_{at:04}.txt": f"{at}\n" for at in range(1_000)}
    return {"Cargo.toml": manifest, "src/lib.rs": "", "tests/files.rs": text} | files


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    why: str
    # By path; what stands in Cargo.toml follows the [package] table.
    files: dict


SHAPES = [
    Shape(
        "unit",
        "300 trivial tests beside 100 that compute for 10 ms, kept together by a static",
        {
            "src/lib.rs": module(tests(300, "")),
            "tests/computes.rs": COMPUTES + SHARED + tests(100, "share(); compute(10)"),
        },
    ),
    Shape("waits", "200 tests that sleep for 100 ms", {"src/lib.rs": module(WAITS + tests(200, "wait(100)"))}),
    Shape(
        "waits-unit",
        "the same, kept together by a static",
        {"src/lib.rs": module(WAITS + SHARED + tests(200, "share(); wait(100)"))},
    ),
    Shape(
        "waits-long",
        "40 tests that sleep for 1.5 s beside 20 that compute for 50 ms",
        {
            "src/lib.rs": module(COMPUTES + tests(20, "compute(50)")),
            "tests/remote.rs": WAITS + tests(40, "wait(1500)"),
        },
    ),
    Shape(
        "ignored",
        "a unit of 5,000 trivial tests, one of them ignored",
        {"src/lib.rs": module(SHARED + tests(5_000, "share()") + "#[ignore]\n" + tests(1, "", "other"))},
    ),
    Shape("mimic", "1,000 files under libtest-mimic", harness("libtest-mimic", "0.8", MIMIC)),
    Shape(
        "mimic-computes",
        "the same, each of which computes for 0.5 ms",
        harness("libtest-mimic", "0.8", MIMIC_COMPUTES),
    ),
    Shape("datatest", "1,000 files under datatest-stable", harness("datatest-stable", "0.3", DATATEST)),
]


def project(shape, scratch):
    folder = scratch / shape.name
    for path, text in {"Cargo.toml": "", **shape.files}.items():
        head = MANIFEST.format(name=shape.name) if path == "Cargo.toml" else ""
        write(folder / path, head + text)
    return Project(shape.name, shape.why, folder, ())


def chosen(names):
    known = {shape.name: shape for shape in SHAPES}
    wanted = list(known) if names is None else names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"error: no such shape: {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[name] for name in wanted]


def main():
    parser = bench_projects.argument_parser(__doc__, "shapes.md", "work in")
    parser.add_argument("--shapes", help="only these, separated by commas")
    args = parser.parse_args()
    names = [name for name in WORDS if name != NEXTEST or bench.has_nextest()]
    machine = bench.machine()
    rows = []
    with bench.scratch_folder(args.keep) as scratch:
        for shape in chosen(args.shapes):
            shaped = project(shape, scratch)
            rows.append(bench_projects.time_project(shaped, names, args.rounds, args.slow_rounds))
    lines = list(bench_projects.markdown(rows, names, machine, args.rounds))
    if args.out:
        bench_projects.write(args.out, "shapes.md", lines)
    print("\n".join(lines))
    return 0 if all(row.is_timed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
