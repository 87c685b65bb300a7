#!/usr/bin/env python3
"""Shows that published crates have the same verdicts in an archive as in place.

For every crate below, the verdicts of `cargo partest --no-doc` are held against those of
`cargo partest run --archive` in another directory: with the sources gone and no toolchain on PATH,
or with a checkout in another place for suites that read their sources or call cargo. Prints a
Markdown table; exit code 1 on any difference.

    python3 tests/archives.py [--crates a,b] [--keep DIR]

`cargo partest` must be installed or on PATH.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import parity

# Enough to start a test binary, and no toolchain.
BARE = {"PATH": "/usr/bin:/bin"}


@dataclasses.dataclass(frozen=True)
class Suite:
    name: str
    # Whether its tests need a checkout, and why.
    checkout: str = ""
    # More for its manifest.
    metadata: str = ""


SUITES = (
    Suite("pulldown-cmark"),
    Suite("indexmap"),
    Suite("semver"),
    Suite("temp-env"),
    Suite("tempfile"),
    Suite(
        "once_cell",
        metadata='[workspace.metadata.partest.archive]\ninclude = ["target/debug/examples/*"]\n',
    ),
    Suite("duct", checkout="its tests build programs"),
)


def partest(words, folder, env=None):
    program = shutil.which("cargo-partest")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CARGO_", "PARTEST_"))}
    return subprocess.run(
        [program, "partest", *words],
        cwd=folder,
        env=inherited if env is None else env,
        capture_output=True,
        text=True,
        timeout=parity.RUN_LIMIT_SECONDS,
    )


def verdicts(ran):
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    if not events or events[-1]["event"] != "run-finished":
        raise parity.CannotCompare(f"the run did not finish:\n{parity.tail(ran.stderr)}")
    return {event["id"]: event["outcome"] for event in events if event["event"] == "test"}


def compare(suite, scratch):
    """The verdicts in place, and those that differ elsewhere."""
    crate = next(crate for crate in parity.CRATES if crate.name == suite.name)
    here, elsewhere = scratch / "here", scratch / "elsewhere"
    shutil.copytree(parity.fetch(crate, scratch), here)
    with (here / "Cargo.toml").open("a") as manifest:
        manifest.write(suite.metadata)
    elsewhere.mkdir()
    archive = elsewhere / "suite.tar.zst"
    written = partest(["archive", "--file", str(archive)], here)
    if written.returncode != 0:
        raise parity.CannotCompare(f"no archive:\n{parity.tail(written.stderr)}")
    json_lines = ["--message-format", "json"]
    in_place = verdicts(partest(["--no-doc", *json_lines], here))
    gone = scratch / "gone"
    here.rename(gone)
    words, env = ["run", "--archive", archive.name, *json_lines], BARE
    if suite.checkout:
        words, env = [*words, "--workspace-remap", str(gone)], None
    moved = verdicts(partest(words, elsewhere, env))
    ids = in_place.keys() | moved.keys()
    return in_place, sorted(name for name in ids if in_place.get(name) != moved.get(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crates", help="only these, separated by commas")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this directory, and keep it")
    args = parser.parse_args()
    chosen = args.crates.split(",") if args.crates else [suite.name for suite in SUITES]
    failed = False
    print("| crate | elsewhere | verdicts | differences |\n|---|---|---|---|")
    for suite in (suite for suite in SUITES if suite.name in chosen):
        with contextlib.ExitStack() as stack:
            scratch = args.keep / suite.name if args.keep else None
            if scratch is None:
                scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                in_place, different = compare(suite, scratch)
            except parity.CannotCompare as why:
                failed = True
                print(f"| {suite.name} | | cannot compare | |\n{why}", flush=True)
                continue
        counts = collections.Counter(in_place.values())
        shown = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        where = f"a checkout: {suite.checkout}" if suite.checkout else "sources and toolchain gone"
        print(f"| {suite.name} | {where} | {shown} | {', '.join(different) or 'none'} |", flush=True)
        failed |= bool(different) or not in_place
    sys.exit(failed)


if __name__ == "__main__":
    main()
