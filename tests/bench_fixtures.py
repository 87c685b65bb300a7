#!/usr/bin/env python3
"""Times what a fixture costs by the way it is held, and a process against a thread.

Two measurements. 100 tests that need a fixture of 200 ms, by each policy with two places, beside
`cargo test` and `cargo nextest run`. And 500 threads against 500 processes, one after another,
which is what an isolated test costs more than one that shares its process; then 500 tests that
way. Everything is built before the clock starts. Each round does everything once, in an order
that rotates; what is reported are ratios within a round.

    python3 tests/bench_fixtures.py [--rounds N] [--quick] [--keep DIR]

`cargo partest` must be installed or on PATH; nextest is left out where it is not installed.
"""

import argparse
import dataclasses
import pathlib
import subprocess

import bench
from bench import BASE, NEXTEST, Case, Tool, write

TESTS = 100
FIXTURE_MILLISECONDS = 200
STARTS = 500

# A policy, and what stands in its package's manifest.
POLICIES = {
    "unit": '"held" = "unit"',
    "shared": '"held" = { policy = "shared", fixture = "slow" }',
    "split": '"held" = "split"',
    "isolated": '"held" = { policy = "split", isolate = true }',
}

# The fixture: that of the runner where it has started one, or else one of this process.
LIBRARY = """
#[cfg(test)]
mod tests {{
    use std::io::Read;
    use std::sync::OnceLock;
    use std::time::Duration;

    fn set_up() {{
        std::thread::sleep(Duration::from_millis({milliseconds}));
    }}

    fn fixture() {{
        static HERE: OnceLock<()> = OnceLock::new();
        if std::env::var_os("PARTEST_FIXTURES").is_none() {{
            HERE.get_or_init(set_up);
        }}
    }}

    #[test]
    #[ignore]
    fn slow() {{
        set_up();
        println!("PARTEST_READY");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }}

{tests}}}
"""

PROGRAM = """
use std::process::{Command, Stdio};
use std::time::Instant;

fn main() {
    let number = match std::env::args().nth(1) {
        Some(number) => number.parse::<u32>().unwrap(),
        None => return,
    };
    let program = std::env::current_exe().unwrap();
    let began = Instant::now();
    for _ in 0..number {
        std::thread::spawn(|| {}).join().unwrap();
    }
    let threads = began.elapsed();
    let began = Instant::now();
    for _ in 0..number {
        let process = Command::new(&program).stdout(Stdio::piped()).spawn().unwrap();
        process.wait_with_output().unwrap();
    }
    println!("{} {}", threads.as_secs_f64(), began.elapsed().as_secs_f64());
}
"""


@dataclasses.dataclass(frozen=True)
class Way:
    """One tool on the package of one policy."""

    tool: Tool
    policy: str

    @property
    def name(self):
        is_ours = self.tool.words[1] == "partest"
        return f"cargo partest, {self.policy}" if is_ours else self.tool.name


PARTEST = Tool("cargo partest", ("cargo", "partest", "-j2"))
WAYS = [
    Way(Tool(BASE, ("cargo", "test")), "unit"),
    *(Way(PARTEST, policy) for policy in POLICIES),
    Way(Tool(NEXTEST, ("cargo", "nextest", "run", "-j2")), "unit"),
]


def generate(folder, policy, tests, milliseconds):
    manifest = (
        '[package]\nname = "held"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
        f"[package.metadata.partest.modules]\n{POLICIES[policy]}\n"
        '[package.metadata.partest.fixtures.slow]\ntest = "held::tests::slow"\n'
    )
    functions = "".join(
        f"    #[test]\n    fn test_{number:03}() {{\n        fixture();\n    }}\n\n"
        for number in range(tests)
    )
    write(folder / "Cargo.toml", manifest)
    library = LIBRARY.format(milliseconds=milliseconds, tests=functions)
    write(folder / "src/lib.rs", library)


def run_rounds(title, scratch, ways, rounds, tests, milliseconds):
    """Samples by way and round, of a package for each policy."""
    cases = {}
    for way in ways:
        folder = scratch / way.policy
        generate(folder, way.policy, tests, milliseconds)
        cases[way] = Case(title, folder, 1, tests, is_slow=False)
        bench.progress(f"{title}: warming up {way.name}")
        bench.measure(way.tool, cases[way], check_count=True)
    samples = {way.name: {} for way in ways}
    for number in range(rounds):
        for way in bench.rotated(ways, number):
            samples[way.name][number] = bench.measure(way.tool, cases[way])
        bench.progress(f"{title}: round {number + 1} of {rounds}")
    return samples


def report(title, samples):
    base = next(iter(samples))
    print(f"\n### {title}\n")
    print(f"| run by | seconds | wall time / {base} | CPU time / {base} |")
    print("|---|---|---|---|")
    for name, of_way in samples.items():
        cells = [name, bench.spread([sample.seconds for sample in of_way.values()])]
        for figure in (bench.wall, bench.cpu):
            cells.append(bench.spread(bench.ratios(of_way, samples[base], figure)))
        print("| " + " | ".join(cells) + " |")


def starts(scratch, rounds):
    """The seconds of a number of threads and of as many processes, by round."""
    folder = scratch / "starts"
    manifest = '[package]\nname = "starts"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
    write(folder / "Cargo.toml", manifest)
    write(folder / "src/main.rs", PROGRAM)
    target = folder / "target"
    words = ["cargo", "build", "--release", "--quiet", "--target-dir", str(target)]
    subprocess.run(words, cwd=folder, check=True)
    program = target / "release/starts"
    pairs = []
    for _ in range(rounds + 1):
        done = subprocess.run([program, str(STARTS)], capture_output=True, text=True, check=True)
        pairs.append(tuple(map(float, done.stdout.split())))
    # The first one warms up.
    return pairs[1:]


def report_starts(pairs):
    print(f"\n### {STARTS} threads against {STARTS} processes, each awaited before the next\n")
    print("| | seconds | for one, microseconds |\n|---|---|---|")
    for name, seconds in zip(("threads", "processes"), zip(*pairs)):
        each = bench.spread([value / STARTS * 1e6 for value in seconds])
        print(f"| {name} | {min(seconds):.3f} to {max(seconds):.3f} | {each} |")
    print(f"\nA process costs {bench.spread([p / t for t, p in pairs])} times a thread.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="rounds (default: 7; 3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    return parser.parse_args()


def main():
    args = arguments()
    rounds = args.rounds or (3 if args.quick else 7)
    bench.describe_machine()
    with bench.scratch_folder(args.keep) as scratch:
        # Short enough to be repeated more often.
        report_starts(starts(scratch, 3 * rounds))
        ways = [way for way in WAYS if bench.has_nextest() or way.tool.name != NEXTEST]
        title = f"{TESTS} tests with a fixture of {FIXTURE_MILLISECONDS} ms, two places"
        fixture = run_rounds(title, scratch / "slow", ways, rounds, TESTS, FIXTURE_MILLISECONDS)
        report(title, fixture)
        # The same without a fixture to speak of: what is left is the price of a process.
        ways = [Way(PARTEST, "unit"), Way(PARTEST, "isolated")]
        title = f"{STARTS} trivial tests, two places"
        report(title, run_rounds(title, scratch / "trivial", ways, rounds, STARTS, 0))


if __name__ == "__main__":
    main()
