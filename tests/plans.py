#!/usr/bin/env python3
"""Runs the fixtures that leave things behind in many ways, and looks whether all reports agree.

    cargo build --release
    tests/plans.py [--runs 200] [--program target/release/cargo-partest] [FIXTURE …]

What is a leak (its test, kind, name and place) must not depend on which tests share a process, in
which order they run, or what else the machine does. Each run takes the next way, every other one
beside processes that keep all cores busy, half of them with backtraces, and half of them with a
random half of the tests, so that others come first and last. The first run, in one process and
alone, is what the others are compared with; whether that is right is what `tests/leaks.rs` knows.

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
FIXTURES = ["ends_around_its_linger", "leaves_things_behind"]
WAYS = ["-j1 --no-partition", "-j1", "-j2", "-j8", "-j2 --policy unit", "-j2 --policy split",
        "-j8 --policy split", "-j4 --isolate", "-j2 --no-partition -- --test-threads=2"]


def leaks(program, fixture, way, target, tests, backtrace="0"):
    """One run: its leaks, each with how often it was told, and what did not pass."""
    line = [program, "partest", "--message-format", "json", *way.split(), *tests]
    environment = dict(os.environ, CARGO_TARGET_DIR=target, RUST_BACKTRACE=backtrace)
    environment.pop("FIXTURE_LOG", None)
    ran = subprocess.run(line, cwd=os.path.join(ROOT, "fixtures-examples", fixture),
                         env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=600)
    told = Counter()
    for event in map(json.loads, ran.stdout.decode().splitlines()):
        for leak in event.get("leaks") or [] if event["event"] in ("test", "left-behind") else []:
            # A shell may or may not have become the program that it was asked to.
            what = leak["what"].removeprefix("sh -c ")
            told[event.get("id"), leak["kind"], what, leak["where"]] += 1
        if event["event"] == "test" and event["outcome"] != "passed":
            told[event["id"], event["outcome"], event["reason"], None] += 1
    return told


def some_of(expected, names):
    """A random half of the tests: others are first and last in their processes."""
    chosen = set(random.sample(names, len(names) // 2))
    return sorted(chosen), Counter({leak: n for leak, n in expected.items() if leak[0] in chosen})


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--runs", type=int, default=200, help="of each fixture")
    words.add_argument("--program", default=os.path.join(ROOT, "target/release/cargo-partest"))
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("fixtures", nargs="*", default=FIXTURES)
    words = words.parse_args()
    random.seed(words.seed)
    print(*bench.machine(), sep="\n", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="plans-") as target:
        program = os.path.abspath(words.program)
        for fixture in words.fixtures:
            expected = leaks(program, fixture, WAYS[0], target, [])
            names = sorted({test for test, *_ in expected})
            print(f"{fixture}: {sum(expected.values())} leaks of {len(names)} tests", flush=True)
            for number in range(words.runs):
                way = WAYS[number % len(WAYS)]
                tests, wanted = [], expected
                if number // len(WAYS) % 2 and "--" not in way.split():
                    tests, wanted = some_of(expected, names)
                    tests = ["--", "--exact", *(name.split("::", 1)[1] for name in tests)]
                is_loaded = bool(number % 2)
                busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
                        for _ in range(os.cpu_count() * is_loaded)]
                try:
                    told = leaks(program, fixture, way, target, tests,
                                 str(number // 2 % 2))
                finally:
                    for process in busy:
                        process.kill()
                        process.wait()
                differing = [("missed", leak) for leak in (wanted - told).elements()]
                differing += [("surplus", leak) for leak in (told - wanted).elements()]
                wrong += bool(differing)
                for word, leak in differing:
                    load = "under load" if is_loaded else "alone"
                    print(f"run {number}, {way}, {load}: {word} {leak}", flush=True)
            print(f"{fixture}: {words.runs} runs, {wrong} differed so far", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
