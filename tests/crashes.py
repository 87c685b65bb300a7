#!/usr/bin/env python3
"""Runs the fixture whose tests end their process among others, and looks who is blamed.

    cargo build --release
    tests/crashes.py [--runs 100] [--program target/release/cargo-partest]

Every test must have its outcome, by name: those that end the process have aborted, and nobody
else. No test may have been started more than three times: a suspect runs beside others, then alone.
The runs are spread over numbers of slots and threads, every other round beside processes that keep
all cores busy.

Not a part of the test suite: it takes minutes. Ends with 1 if any run was wrong.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter

import bench

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURE = "dies_among_many"
# Slots and threads. More threads than slots are cut to as many.
CELLS = [(1, 1), (2, 1), (2, 2), (8, 1), (8, 2), (8, 8)]
MOST_STARTS = 3
# The outcome, by the first letter of a test's name, and how many there are.
OUTCOMES = {"a": "passed", "b": "ignored", "c": "aborted", "d": "aborted", "y": "failed",
            "z": "passed"}
COUNTS = {"passed": 20, "ignored": 10, "aborted": 18, "failed": 10}


def run(program, slots, threads, target):
    """One run: a line for each thing that is wrong, and the most starts of a test."""
    line = [program, "partest", "--message-format", "json", f"-j{slots}", "--",
            f"--test-threads={threads}"]
    with tempfile.TemporaryDirectory(prefix="crashes-") as log:
        environment = dict(os.environ, CARGO_TARGET_DIR=target, FIXTURE_LOG=log)
        ran = subprocess.run(line, cwd=os.path.join(ROOT, "fixtures-examples", FIXTURE),
                             env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=600)
        path = os.path.join(log, "starts")
        starts = Counter()
        if os.path.exists(path):
            with open(path) as file:
                starts.update(file.read().splitlines())
    events = [json.loads(text) for text in ran.stdout.decode().splitlines()]
    if not events or events[-1]["event"] != "run-finished" or ran.returncode != 100:
        said = ran.stderr.decode(errors="replace")[-2000:]
        return [f"`{' '.join(line)}` ended with {ran.returncode}:\n{said}"], 0
    tests = [event for event in events if event["event"] == "test"]
    return wrong_outcomes(tests, events[-1]) + wrong_starts(tests, starts), max(starts.values(), default=0)


def wrong_outcomes(tests, finished):
    """Lines about tests with another outcome than theirs, and about counts."""
    wrong = [f"{test['id']}: {test['outcome']} ({test['reason']})" for test in tests
             if OUTCOMES.get(test["name"].rpartition("::")[2][0]) != test["outcome"]]
    ids = Counter(test["id"] for test in tests)
    wrong += [f"{test}: {count} verdicts" for test, count in ids.items() if count > 1]
    told = Counter(test["outcome"] for test in tests)
    summed = {outcome: finished[outcome] for outcome in COUNTS}
    wrong += [f"counted {counts}" for counts in (dict(told), summed) if counts != COUNTS]
    return wrong


def wrong_starts(tests, starts):
    """Lines about tests that started too often, or not at all."""
    wrong = [f"{test}: started {count} times" for test, count in starts.items()
             if count > MOST_STARTS]
    ran = {"::".join(test["name"].split("::")[-2:]) for test in tests
           if test["outcome"] != "ignored"}
    names = {name.replace(" ", "") for name in starts}
    return wrong + [f"{test}: verdict and start differ" for test in sorted(ran ^ names)]


def keep_busy():
    return [subprocess.Popen(["sh", "-c", "while :; do :; done"])
            for _ in range(os.cpu_count())]


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--runs", type=int, default=100, help="in all cells together")
    words.add_argument("--program", default=os.path.join(ROOT, "target/release/cargo-partest"))
    words = words.parse_args()
    if words.runs < 1:
        sys.exit("error: no runs")
    print(*bench.machine(), sep="\n", flush=True)
    program = os.path.abspath(words.program)
    runs, bad, most = Counter(), Counter(), Counter()
    with tempfile.TemporaryDirectory(prefix="crashes-") as target:
        for number in range(words.runs):
            slots, threads = cell = CELLS[number % len(CELLS)]
            is_loaded = bool(number // len(CELLS) % 2)
            busy = keep_busy() if is_loaded else []
            try:
                wrong, starts = run(program, slots, threads, target)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            runs[cell] += 1
            bad[cell] += bool(wrong)
            most[cell] = max(most[cell], starts)
            for line in wrong:
                load = "under load" if is_loaded else "alone"
                print(f"run {number}, -j{slots}, {threads} threads, {load}: {line}", flush=True)
    print("| slots | threads | runs | wrong | most starts of a test |", "|---|---|---|---|---|",
          sep="\n")
    for slots, threads in runs:
        cell = (slots, threads)
        print(f"| {slots} | {threads} | {runs[cell]} | {bad[cell]} | {most[cell]} |")
    sys.exit(1 if bad.total() else 0)


if __name__ == "__main__":
    main()
