#!/usr/bin/env python3
"""Runs the fixtures that leave things behind in many ways, and looks whether all reports agree.

    cargo build --release
    tests/plans.py [--runs 200] [--program target/release/cargo-partest] [FIXTURE …]

What is a leak (its test, kind, name and place) must not depend on which tests share a process, in
which order they run, or what else the machine does. Each run takes the next way, every other one
beside processes that keep all cores busy, half of them with backtraces, and half of them with a
random half of the tests, so that others come first and last. The first run, in one process and
alone, is what the others are compared with: it must report as many leaks as the fixture is known
to leave (which ones is what `tests/suite/leaks.rs` knows). Every run must finish, with exit code 0 and a
verdict for each of its tests.

Not a part of the test suite: it takes minutes. Linux with glibc only. Ends with 1 if any differed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter

import bench

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# With the number of their leaks: the labels in their sources, as `tests/suite/leaks.rs` reads them.
FIXTURES = {"ends_around_its_linger": 12, "leaves_things_behind": 80}
WAYS = ["-j1 --no-partition", "-j1", "-j2", "-j8", "-j2 --policy unit", "-j2 --policy split",
        "-j8 --policy split", "-j4 --isolate", "-j2 --no-partition -- --test-threads=2"]


class DidNotRun(Exception):
    """A run that says nothing about leaks."""


def run(program, fixture, way, target, arguments, backtrace="0"):
    """One run: the tests that have a verdict, and its leaks, each with how often it was told.

    What did not pass is counted among the leaks, so that it is a difference.
    """
    line = [program, "partest", "--message-format", "json", *way.split(), *arguments]
    environment = dict(os.environ, CARGO_TARGET_DIR=target, RUST_BACKTRACE=backtrace)
    environment.pop("FIXTURE_LOG", None)
    ran = subprocess.run(line, cwd=os.path.join(ROOT, "fixtures-examples", fixture),
                         env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=600)
    events = [json.loads(text) for text in ran.stdout.decode().splitlines()]
    if not events or events[-1]["event"] != "run-finished" or ran.returncode != 0:
        said = ran.stderr.decode(errors="replace")[-2000:]
        raise DidNotRun(f"`{' '.join(line)}` ended with {ran.returncode}:\n{said}")
    tests, told = [], Counter()
    for event in events:
        for leak in event.get("leaks") or [] if event["event"] in ("test", "left-behind") else []:
            # A shell may or may not have become the program that it was asked to.
            what = leak["what"].removeprefix("sh -c ")
            told[event.get("id"), leak["kind"], what, leak["where"]] += 1
        if event["event"] == "test":
            tests.append(event["id"])
            if event["outcome"] != "passed":
                told[event["id"], event["outcome"], event["reason"], None] += 1
    return sorted(tests), told


def first_run(program, fixture, target):
    """What the other runs are compared with."""
    tests, expected = run(program, fixture, WAYS[0], target, [])
    if sum(expected.values()) != FIXTURES[fixture]:
        raise DidNotRun(f"{fixture}: {sum(expected.values())} leaks in the first run, "
                        f"and the fixture leaves {FIXTURES[fixture]}: {expected}")
    return tests, expected


def random_half(tests, expected):
    """Some of the tests, so that others come first and last, and what these leave."""
    chosen = sorted(random.sample(tests, len(tests) // 2))
    return chosen, Counter({leak: n for leak, n in expected.items() if leak[0] in chosen})


def differences(program, fixture, target, number, tests, expected):
    """Makes one run. A line for each difference from the first."""
    way = WAYS[number % len(WAYS)]
    arguments = []
    if number // len(WAYS) % 2 and "--" not in way.split():
        tests, expected = random_half(tests, expected)
        arguments = ["--", "--exact", *(test.split("::", 1)[1] for test in tests)]
    is_loaded = bool(number % 2)
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
            for _ in range(os.cpu_count() * is_loaded)]
    try:
        ran, told = run(program, fixture, way, target, arguments, str(number // 2 % 2))
    except DidNotRun as why:
        ran, told = tests, expected
        yield str(why)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    what = f"run {number}, {way}, {'under load' if is_loaded else 'alone'}"
    if ran != tests:
        yield f"{what}: {len(ran)} verdicts for {len(tests)} tests: {set(ran) ^ set(tests)}"
    yield from (f"{what}: missed {leak}" for leak in (expected - told).elements())
    yield from (f"{what}: surplus {leak}" for leak in (told - expected).elements())


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--runs", type=int, default=200, help="of each fixture")
    words.add_argument("--program", default=os.path.join(ROOT, "target/release/cargo-partest"))
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("fixtures", nargs="*", metavar="FIXTURE", help=", ".join(FIXTURES))
    words = words.parse_args()
    unknown = set(words.fixtures) - set(FIXTURES)
    if unknown or words.runs < 1:
        sys.exit(f"error: nothing to compare: {', '.join(unknown) or '--runs'}")
    random.seed(words.seed)
    print(*bench.machine(), sep="\n", flush=True)
    wrong = 0
    program = os.path.abspath(words.program)
    with tempfile.TemporaryDirectory(prefix="plans-") as target:
        for fixture in words.fixtures or FIXTURES:
            try:
                tests, expected = first_run(program, fixture, target)
            except DidNotRun as why:
                sys.exit(f"error: {why}")
            print(f"{fixture}: {sum(expected.values())} leaks of {len(tests)} tests", flush=True)
            for number in range(words.runs):
                lines = list(differences(program, fixture, target, number, tests, expected))
                wrong += bool(lines)
                print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
            print(f"{fixture}: {words.runs} runs, {wrong} differed so far", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
