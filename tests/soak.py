#!/usr/bin/env python3
"""Runs the fixtures that do their worst, again and again, and looks for what is left of a run.

    cargo build --release
    tests/soak.py [--rounds 30] [--program target/release/cargo-partest] [FIXTURE …]

A round is one run of each fixture in each way (one slot, two, many; with the agent and without
it). After every run there must be no process that carries the run's marker variable, no new entry
in the temporary directory, and the counts of outcomes must be those of the first round. The
memory of the runner (VmHWM) must not grow from round to round, nor beyond a bound.

Not a part of the test suite: it takes minutes. Linux only. Ends with 1 if anything was left.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import bench

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = ["torture", "dies", "exits_zero", "is_hostile", "leaves_a_child", "holds_a_pipe",
            "writes_past_the_capture", "prints_a_lot", "hangs"]
WAYS = ["-j1", "-j2", "-j8", "-j2 --no-agent", "-j8 --no-agent"]
MARKER = "PARTEST_SOAK"
# Kept of a flood: both ends of each failing test's output. A debug build needs some more.
MOST_MEMORY = 128 * 1024


def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]


def with_marker(mark):
    """Processes that inherited the variable and live."""
    found = []
    for pid in processes():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"{MARKER}={mark}".encode() not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(") ", 1)[1][0] not in "ZX":
                    found.append(pid)
        except (OSError, IndexError):
            pass
    return found


def field(pid, name):
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return file.read().split()
    except OSError:
        return []


def of_the_run(pid):
    """The process that was started, the guard below it, and the runner below that, which is the
    one that counts: the first child of each."""
    found = [str(pid)]
    for _ in range(2):
        found += children(found[-1])[:1]
    return found


def run(program, fixture, way, scratch, number):
    """One run: its exit code, what it counted, its memory and descriptors, what it left."""
    mark = f"{os.getpid()}.{number}"
    tmp = os.path.join(scratch, "tmp")
    os.makedirs(tmp, exist_ok=True)
    environment = dict(os.environ, TMPDIR=tmp, CARGO_TARGET_DIR=os.path.join(scratch, "target"))
    environment[MARKER] = mark
    environment.pop("FIXTURE_LOG", None)
    line = [program, "partest", "--message-format", "json", *way.split()]
    began = time.monotonic()
    with open(os.path.join(scratch, "out"), "wb+") as out:
        child = subprocess.Popen(line, cwd=os.path.join(ROOT, "fixtures-examples", fixture),
                                 env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.DEVNULL)
        memory = most = 0
        while child.poll() is None:
            family = of_the_run(child.pid)
            memory = max(memory, *(field(pid, "VmHWM") for pid in family))
            most = max(most, *(descriptors(pid) for pid in family))
            time.sleep(0.01)
            if time.monotonic() - began > 300:
                child.kill()
                child.wait()
                return {"code": "hangs", "memory": memory, "descriptors": most, "left": ["itself"],
                        "counts": {}, "seconds": 300}
        seconds = time.monotonic() - began
        left = [f"process {pid}" for pid in with_marker(mark)]
        # What a test itself leaves there is no concern of the runner's: the fixtures leave none.
        left += [f"file {name}" for name in os.listdir(tmp)]
        out.seek(0)
        events = [json.loads(text) for text in out.read().decode().splitlines()]
    finished = events[-1] if events else {}
    counts = {key: value for key, value in finished.items()
              if isinstance(value, int) and key != "processes"}
    ids = [event["id"] for event in events if event["event"] == "test"]
    if len(ids) != len(set(ids)):
        left.append("two verdicts of one test")
    return {"code": child.returncode, "counts": counts, "memory": memory, "descriptors": most,
            "left": left, "seconds": seconds}


def memory_of_machine():
    with open("/proc/meminfo") as file:
        return f"{int(file.readline().split()[1]) // 1024} MiB of memory"


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=30)
    words.add_argument("--minutes", type=float, default=None, help="stop after so long")
    words.add_argument("--program", default=os.path.join(ROOT, "target/release/cargo-partest"))
    words.add_argument("fixtures", nargs="*", default=FIXTURES)
    words = words.parse_args()
    print(*bench.machine(), memory_of_machine(), sep="\n", flush=True)
    wrong, first, number, began = [], {}, 0, time.monotonic()
    memory = {}
    done = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        for fixture in words.fixtures:
            run(words.program, fixture, "-j2", scratch, "build")
        for done in range(1, words.rounds + 1):
            for fixture in words.fixtures:
                for way in WAYS:
                    number += 1
                    came = run(words.program, fixture, way, scratch, number)
                    what = f"round {done}, {fixture} {way}"
                    wrong += [f"{what}: left {left}" for left in came["left"]]
                    if came["memory"] > MOST_MEMORY:
                        wrong.append(f"{what}: {came['memory']} KiB of memory")
                    known = first.setdefault((fixture, way), (came["code"], came["counts"]))
                    if known != (came["code"], came["counts"]):
                        wrong.append(f"{what}: {came['code']} {came['counts']}, first {known}")
                    memory.setdefault((fixture, way), []).append(
                        (came["memory"], came["descriptors"], came["seconds"]))
            print(f"round {done}: {len(wrong)} things wrong so far", *wrong[-1:], flush=True)
            if words.minutes and time.monotonic() - began > words.minutes * 60:
                break
    print(f"{done} rounds, {number} runs, {time.monotonic() - began:.0f} s")
    print(f"{'fixture and way':<44} {'KiB first':>10} {'median':>8} {'most':>8} {'fds':>4} {'s':>6}")
    for (fixture, way), runs in memory.items():
        sizes = sorted(size for size, _, _ in runs)
        most = max(fds for _, fds, _ in runs)
        mean = sum(seconds for _, _, seconds in runs) / len(runs)
        name = f"{fixture} {way}"
        print(f"{name:<44} {runs[0][0]:>10} {sizes[len(sizes) // 2]:>8} {sizes[-1]:>8} {most:>4} {mean:>6.2f}")
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
