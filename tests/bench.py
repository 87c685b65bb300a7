#!/usr/bin/env python3
"""Times `cargo test`, `cargo nextest run` and `cargo partest` side by side.

Three generated projects: one binary with 10,000 trivial tests, a workspace of 50 members with
20 trivial tests each, and a crate of two tests, which is all start-up. Everything is built
before the clock starts. Each round runs every tool once, in an order that rotates; what is
reported are ratios and differences within a round.

    python3 tests/bench.py [--rounds N] [--slow-rounds N] [--quick] [--keep DIR]

`cargo partest` must be installed or on PATH; nextest is left out where it is not installed.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BASE = "cargo test"
FRESH = "cargo test --no-run"
DEFAULT = "cargo partest"
NEXTEST = "cargo nextest"


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    words: tuple
    environment: tuple = ()
    # What to delete in the target directory before each run.
    forgets: str | None = None
    is_slow: bool = False
    runs_tests: bool = True


TOOLS = [
    Tool(BASE, ("cargo", "test")),
    Tool(FRESH, ("cargo", "test", "--no-run"), runs_tests=False),
    Tool(DEFAULT, ("cargo", "partest")),
    Tool(f"{DEFAULT} -j2", ("cargo", "partest", "-j2")),
    Tool(f"{DEFAULT}, nothing cached", ("cargo", "partest"), forgets="partest"),
    Tool(NEXTEST, ("cargo", "nextest", "run"), is_slow=True),
    Tool(
        f"{NEXTEST}, no double spawn",
        ("cargo", "nextest", "run"),
        (("NEXTEST_DOUBLE_SPAWN", "0"),),
        is_slow=True,
    ),
]


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    folder: pathlib.Path
    members: int
    tests_each: int
    # Whether a process for each test takes too long for many rounds.
    is_slow: bool

    @property
    def tests(self):
        return self.members * self.tests_each


@dataclasses.dataclass(frozen=True)
class Sample:
    seconds: float
    cpu_seconds: float
    largest_process_mib: float


# ---- the projects ----------------------------------------------------------------------


def cases(scratch, quick):
    many, members, each = (1_000, 10, 20) if quick else (10_000, 50, 20)
    one = Case(f"{many:,} tests in one binary", scratch / "one", 1, many, is_slow=True)
    title = f"{members} members with {each} tests each"
    several = Case(title, scratch / "members", members, each, is_slow=False)
    small = Case("a small crate: 2 tests", scratch / "small", 1, 2, is_slow=False)
    return [one, several, small]


def generate(case):
    names = [f"member_{number}" for number in range(case.members)]
    for name in names:
        package(case.folder / name, name, case.tests_each)
    members = ", ".join(f'"{name}"' for name in names)
    write(case.folder / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = [{members}]\n')


def package(folder, name, tests):
    manifest = f'[package]\nname = "{name}"\nversion = "0.0.0"\nedition = "2021"\n'
    write(folder / "Cargo.toml", manifest)
    functions = "".join(
        f"    #[test]\n    fn test_{number:05}() {{}}\n\n" for number in range(tests)
    )
    write(folder / "src/lib.rs", f"#[cfg(test)]\nmod tests {{\n{functions}}}\n")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


# ---- measuring -------------------------------------------------------------------------


def measure(tool, case, check_count=False):
    """Runs one tool on one project, as a user would after a build.

    `--lib`, so that none of them runs doctests.
    """
    target = case.folder / "target"
    if tool.forgets:
        shutil.rmtree(target / tool.forgets, ignore_errors=True)
    environment = os.environ | dict(tool.environment) | {"CARGO_TARGET_DIR": str(target)}
    words = [*tool.words, "--workspace", "--lib"]
    sample, code, text = timed(words, case.folder, environment)
    check(tool, case, code, text, check_count)
    return sample


def timed(words, folder, environment, limit_seconds=None):
    """One command: what it took, its exit code, and what it printed.

    The output is a file: a process that a test leaves behind would hold a pipe open.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with ended_after(process, limit_seconds):
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    sample = Sample(seconds, usage.ru_utime + usage.ru_stime, kib / 1024)
    return sample, process.returncode, text


@contextlib.contextmanager
def ended_after(process, limit_seconds):
    """Ends the command's group: when its time is over, and what is left of it in any case."""

    def end():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_seconds or threading.TIMEOUT_MAX, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        end()


def check(tool, case, code, text, check_count):
    if code != 0:
        sys.exit(f"error: `{tool.name}` ended with {code}:\n{text[-2000:]}")
    if not check_count and " Compiling " in text:
        sys.exit(f"error: `{tool.name}` built something while it was timed")
    passed = sum(map(int, re.findall(r"(\d+) passed", text.replace(",", ""))))
    if check_count and tool.runs_tests and passed != case.tests:
        sys.exit(f"error: `{tool.name}` ran {passed} tests, not {case.tests}:\n{text[-2000:]}")


def run_rounds(case, tools, rounds, slow_rounds):
    """Samples by tool and round; a round of a slow tool may be missing."""
    for tool in tools:
        progress(f"{case.title}: warming up {tool.name}")
        measure(tool, case, check_count=True)
    samples = {tool.name: {} for tool in tools}
    for number in range(rounds):
        for tool in rotated(tools, number):
            if tool.is_slow and case.is_slow and number >= slow_rounds:
                continue
            samples[tool.name][number] = measure(tool, case)
        progress(f"{case.title}: round {number + 1} of {rounds}")
    return samples


def rotated(items, by):
    at = by % len(items)
    return items[at:] + items[:at]


# ---- the report ------------------------------------------------------------------------


def ratios(of, to, figure):
    """One ratio for each round that has both."""
    both = of.keys() & to.keys()
    return [figure(of[number]) / figure(to[number]) for number in sorted(both)]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def differences(of, to):
    """In milliseconds, one for each round that has both."""
    both = of.keys() & to.keys()
    return [1000 * (of[number].seconds - to[number].seconds) for number in sorted(both)]


def wall(sample):
    return sample.seconds


def cpu(sample):
    return sample.cpu_seconds


def report(case, samples):
    print(f"\n### {case.title}\n")
    print("| tool | rounds | wall time / cargo test | CPU time / cargo test ", end="")
    print("| CPU seconds | largest process, MiB |")
    print("|---|---|---|---|---|---|")
    base = samples[BASE]
    for name, of_tool in samples.items():
        values = of_tool.values()
        largest = statistics.median(sample.largest_process_mib for sample in values)
        cells = [name, len(values), spread(ratios(of_tool, base, wall))]
        cells += [spread(ratios(of_tool, base, cpu)), spread([cpu(s) for s in values])]
        print("| " + " | ".join(map(str, [*cells, f"{largest:.0f}"])) + " |")
    for base in (BASE, FRESH):
        added = differences(samples[DEFAULT], samples[base])
        ratio = spread(ratios(samples[DEFAULT], samples[base], wall))
        milliseconds = f"{statistics.median(added):.0f} ({min(added):.0f} to {max(added):.0f})"
        print(f"\n`{DEFAULT}` takes {milliseconds} ms more than `{base}`, {ratio} times as long.")
    for name in (name for name in samples if name.startswith(NEXTEST)):
        times = spread(ratios(samples[name], samples[DEFAULT], wall))
        print(f"\n`{name}` takes {times} times as long as `{DEFAULT}`.")


def describe_machine():
    for line in machine():
        print(f"- {line}")
    print("- figures: median of the rounds (least to greatest), paired within a round")


def machine():
    """What the figures depend on, and what else the machine had to do."""
    lines = [f"{len_of_affinity()} cores, {cpu_model()}, {platform.platform()}"]
    commands = [["rustc", "-V"], ["cargo", "-V"], ["cargo", "partest", "-V"]]
    if has_nextest():
        commands.append(["cargo", "nextest", "-V"])
    lines += map(version, commands)
    lines.append(f"load before: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    return lines


def len_of_affinity():
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()


def cpu_model():
    info = pathlib.Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def version(words):
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.splitlines()[0] if done.returncode == 0 else f"{' '.join(words)}: none"


def has_nextest():
    return shutil.which("cargo-nextest") is not None


def progress(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="rounds (default: 7; 3 with --quick)")
    parser.add_argument(
        "--slow-rounds", type=int, default=2, help="rounds with nextest on the one binary"
    )
    parser.add_argument("--quick", action="store_true", help="small projects, few rounds")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    return parser.parse_args()


@contextlib.contextmanager
def scratch_folder(keep):
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="partest-bench-") as folder:
            yield pathlib.Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def main():
    args = arguments()
    rounds = args.rounds or (3 if args.quick else 7)
    tools = [tool for tool in TOOLS if has_nextest() or not tool.name.startswith(NEXTEST)]
    describe_machine()
    with scratch_folder(args.keep) as scratch:
        for case in cases(scratch, args.quick):
            generate(case)
            report(case, run_rounds(case, tools, rounds, args.slow_rounds))


if __name__ == "__main__":
    main()
