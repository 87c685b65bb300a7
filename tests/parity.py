#!/usr/bin/env python3
"""Shows that `cargo partest` and `cargo test` agree on published crates.

For every crate below, the set of (package, binary kind, binary, test, verdict) that
`cargo partest --message-format json` reports is held against `cargo test --no-fail-fast`
with the same target flags, once for each way of running them (`--ways`: numbers of slots, and
without the agent). The crates come from the registry by cargo's own means; a project for a harness
that no published crate has in its package is written here. Nothing is skipped silently: what
cannot be compared is told and makes the script fail. Prints a Markdown table; exit code 1 on any
difference.

    python3 tests/parity.py [--crates a,b] [--ways="-j1,-j8 --no-agent"] [--keep DIR]

`cargo partest` must be installed or on PATH.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib

TARGETS = ["--lib", "--bins", "--tests"]

WAYS = ["-j1", "-j2", "-j8", "-j8 --no-agent"]

# No suite below takes a tenth of this; one that hangs must not hang the script.
RUN_LIMIT_SECONDS = 20 * 60

WORDS = {"ok": "passed", "FAILED": "failed", "failed": "failed", "ignored": "ignored"}


@dataclasses.dataclass(frozen=True)
class Crate:
    name: str
    version: str
    why: str
    flags: tuple = ()
    # The sources by their paths, if it is not a crate of the registry.
    files: tuple = ()

    @property
    def folder(self):
        return f"{self.name}-{self.version}"


LIBTEST2_MIMIC = (
    (
        "Cargo.toml",
        """
[package]
name = "uses_libtest2_mimic"
version = "0.0.0"
edition = "2021"

[dev-dependencies]
libtest2-mimic = "=0.0.4"

[[test]]
name = "passes"
harness = false

[[test]]
name = "fails"
harness = false

[[test]]
name = "exits_in_the_middle"
harness = false

[workspace]
""",
    ),
    ("src/lib.rs", "#[test]\nfn has_the_usual_harness() {}\n"),
    (
        "tests/passes.rs",
        """
use libtest2_mimic::{Harness, Trial};

fn main() {
    let trials = (0..100).map(|number| Trial::test(format!("case/{number} of 100"), |_| Ok(())));
    let ignored = Trial::test("is ignored", |context| context.ignore_for("not today"));
    Harness::with_env().discover(trials.chain([ignored])).main()
}
""",
    ),
    (
        "tests/fails.rs",
        """
use libtest2_mimic::{Harness, RunError, Trial};

fn main() {
    let trials = [
        Trial::test("passes", |_| Ok(())),
        Trial::test("fails", |_| Err(RunError::fail("no"))),
        Trial::test("panics", |_| panic!("no")),
        Trial::test("is ignored", |context| context.ignore()),
    ];
    Harness::with_env().discover(trials).main()
}
""",
    ),
    (
        "tests/exits_in_the_middle.rs",
        """
use libtest2_mimic::{Harness, Trial};

fn main() {
    let trials = [Trial::test("a", |_| Ok(())), Trial::test("b", |_| std::process::exit(0))];
    Harness::with_env().discover(trials).main()
}
""",
    ),
)

CRATES = [
    Crate("pulldown-cmark", "0.13.6", "many tiny tests"),
    Crate("indexmap", "2.14.2", "tiny tests, quickcheck"),
    Crate("semver", "1.0.28", "few tests"),
    Crate("anyhow", "1.0.104", "many binaries"),
    Crate("thiserror", "2.0.21", "many binaries"),
    Crate("dotenvy", "0.15.7", "many binaries that change environment and cwd"),
    Crate("async-trait", "0.1.92", "a proc-macro crate"),
    Crate("strum_macros", "0.27.2", "unit tests in a proc-macro crate"),
    Crate("duct", "1.1.2", "starts processes"),
    Crate("subprocess", "0.2.15", "starts processes"),
    Crate("rusty-fork", "0.3.1", "runs itself again"),
    Crate("assert_cmd", "2.2.2", "starts processes"),
    Crate("temp-env", "0.3.6", "environment behind an in-process lock"),
    Crate("once_cell", "1.21.4", "set-once globals, threads"),
    Crate("tempfile", "3.27.0", "temporary files, cwd"),
    Crate("serial_test", "3.5.0", "in-process and file locks"),
    Crate("cached", "0.56.0", "uses serial_test, statics, time"),
    Crate("ctrlc", "3.5.2", "harness = false, no protocol"),
    Crate("autocfg", "1.5.1", "harness = false, starts rustc"),
    Crate("yaml-rust2", "0.11.1", "harness = false, libtest-mimic"),
    Crate("backtrace", "0.3.77", "harness = false, runs itself again"),
    Crate("datatest-stable", "0.3.3", "harness = false, libtest-mimic"),
    Crate(
        "uses_libtest2_mimic", "0.0.0", "harness = false, libtest2-mimic", files=LIBTEST2_MIMIC
    ),
]


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class CannotCompare(Exception):
    """Something stands between the two runs and a comparison."""


def run(words, cwd, merged=False, name=None):
    """Runs a command to its end; `merged` puts stderr into stdout, in order.

    The streams are files: a process that a test leaves behind would hold a pipe open.
    """
    environment = {k: v for k, v in os.environ.items() if k != "CARGO_TARGET_DIR"}
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout if merged else stderr,
            start_new_session=True,
        )
        try:
            process.wait(timeout=RUN_LIMIT_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise CannotCompare(f"`{' '.join(words)}` took over {RUN_LIMIT_SECONDS} s") from late
        finally:
            end_group(process)
        done = Done(process.returncode, text_of(stdout), text_of(stderr))
    if name:
        (cwd.parent / f"{cwd.name}.{name}").write_text(done.stdout)
    return done


def end_group(process):
    """Ends what a command has left behind, and the command itself if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def text_of(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def tail(text):
    return "\n".join(text.splitlines()[-15:])


# ---- the sources -----------------------------------------------------------------------


def fetch(crate, scratch):
    """Puts the crate's sources into the scratch folder, as a workspace of its own."""
    folder = scratch / crate.folder
    for path, text in crate.files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    if not folder.exists():
        shutil.copytree(registry_source(crate, scratch), folder)
        make_standalone(folder / "Cargo.toml")
    return folder


def registry_source(crate, scratch):
    """Lets cargo fetch the crate by way of a package that depends on it."""
    wanter = scratch / f"{crate.folder}.wanter"
    (wanter / "src").mkdir(parents=True, exist_ok=True)
    (wanter / "src/lib.rs").touch()
    (wanter / "Cargo.toml").write_text(
        f'[package]\nname = "wanter"\nversion = "0.0.0"\nedition = "2021"\n'
        f'[dependencies]\n{crate.name} = "={crate.version}"\n[workspace]\n'
    )
    done = run(["cargo", "metadata", "--format-version", "1"], wanter)
    if done.returncode != 0:
        raise CannotCompare(f"cannot fetch it:\n{tail(done.stderr)}")
    packages = json.loads(done.stdout)["packages"]
    found = [p["manifest_path"] for p in packages if p["name"] == crate.name]
    shutil.rmtree(wanter)
    return pathlib.Path(found[0]).parent


def make_standalone(manifest):
    if "workspace" not in tomllib.loads(manifest.read_text()):
        with manifest.open("a") as file:
            file.write("\n[workspace]\n")


# ---- cargo test ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Binary:
    kind: str
    target: str
    executable: pathlib.Path
    has_harness: bool

    @property
    def name(self):
        return self.target.replace("-", "_")

    @property
    def flags(self):
        named = self.kind in ("bin", "test", "bench", "example")
        return [f"--{self.kind}", self.target] if named else ["--lib"]

    def key(self, package, test):
        return (package, self.kind, self.name, test)


def build(crate, folder):
    """The test binaries, by the name of their file."""
    words = ["cargo", "test", "--no-run", "--message-format", "json-render-diagnostics"]
    done = run([*words, *TARGETS, *crate.flags], folder)
    if done.returncode != 0:
        raise CannotCompare(f"it does not build:\n{tail(done.stderr)}")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    tests = [m for m in messages if m.get("executable") and m["profile"]["test"]]
    custom = custom_harnesses(folder / "Cargo.toml")
    binaries = [binary(message, custom) for message in tests]
    return {binary.executable.name: binary for binary in binaries}


def binary(message, custom):
    kind, target = message["target"]["kind"][0], message["target"]["name"]
    flags_kind = kind if kind in ("bin", "test", "bench", "example") else "lib"
    harness = (flags_kind, target) not in custom and (flags_kind, None) not in custom
    return Binary(kind, target, pathlib.Path(message["executable"]), harness)


def custom_harnesses(manifest):
    """Targets with `harness = false`, as (kind, name); the only library needs no name."""
    table = tomllib.loads(manifest.read_text())
    found = set()
    for kind in ("bin", "test", "bench", "example"):
        targets = table.get(kind, [])
        found |= {(kind, t["name"]) for t in targets if not t.get("harness", True)}
    if not table.get("lib", {}).get("harness", True):
        found.add(("lib", None))
    return found


def cargo_test(crate, folder, libtest_flags, name):
    """One `cargo test` of everything, as a transcript of both streams in their order."""
    words = ["cargo", "test", "--no-fail-fast", *TARGETS, *crate.flags, "--", *libtest_flags]
    return run(words, folder, merged=True, name=name).stdout


def split_by_binary(transcript, binaries):
    """Cuts the transcript at cargo's lines `Running … (target/debug/deps/NAME-HASH)`."""
    sections, current = {}, None
    for line in transcript.splitlines():
        started = re.search(r" Running (?:unittests )?\S.* \((?:.*/)?([^/()]+)\)$", line)
        if started and started[1] in binaries:
            current = started[1]
            sections[current] = []
        elif current:
            sections[current].append(line)
    unseen = set(binaries) - set(sections)
    if unseen:
        raise CannotCompare(f"cargo test did not start {', '.join(sorted(unseen))}")
    return sections


def list_tests(crate, folder, binaries):
    """The names of the tests of each binary."""
    transcript = cargo_test(crate, folder, ["--list", "--format", "terse"], "list.txt")
    sections = split_by_binary(transcript, binaries)
    suffix = re.compile(r"(.+): (?:test|benchmark)$")
    return {
        file: [match[1] for match in map(suffix.match, lines) if match]
        for file, lines in sections.items()
    }


def read_verdicts(lines, names):
    """Verdicts from libtest's lines `test NAME ... ok`, each name with all it was given.

    What tests write past the capture may stand before them on the same line.
    """
    found = collections.defaultdict(set)
    for line in lines:
        for mark in re.finditer(r" \.\.\. (ok|FAILED|ignored)\b", line):
            name = name_at_end(line[: mark.start()], names)
            if name:
                found[name].add(WORDS[mark[1]])
    return found


def name_at_end(text, names):
    text = text.rstrip().removesuffix(" - should panic")
    starts = (match.end() for match in re.finditer("test ", text))
    return next((text[at:] for at in starts if text[at:] in names), None)


def failed_targets(transcript):
    """The flags of the targets that cargo lists as failed at its end."""
    _, _, text = transcript.rpartition(" failed:\n")
    return set(re.findall(r"^ +`(?:-p \S+ )?(--[^`]+)`$", text, re.MULTILINE))


def verdicts_of_log(crate, folder, binary, names):
    """Runs one binary again, and reads the verdicts from libtest's own log."""
    with tempfile.TemporaryDirectory() as scratch:
        log = pathlib.Path(scratch) / "log"
        words = ["cargo", "test", *binary.flags, *crate.flags, "--", "--logfile", str(log)]
        run(words, folder)
        text = log.read_text(errors="replace") if log.exists() else ""
    found = collections.defaultdict(set)
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        ends = [rest, *(rest[match.end() :] for match in re.finditer(" ", rest))]
        name = next((end for end in ends if end in names), None)
        if name and word.strip(":") in WORDS:
            found[name].add(WORDS[word.strip(":")])
    return found


def cargo_verdicts(crate, folder, binaries, listed, attempt):
    """The verdict of every test under `cargo test`."""
    transcript = cargo_test(crate, folder, [], f"cargo-test-{attempt}.txt")
    failed = failed_targets(transcript)
    verdicts = {}
    for file, lines in split_by_binary(transcript, binaries).items():
        binary, names = binaries[file], set(listed[file])
        if not binary.has_harness and not names:
            outcome = "failed" if " ".join(binary.flags) in failed else "passed"
            verdicts[binary.key(crate.name, "main")] = outcome
            continue
        found = read_verdicts(lines, names)
        if any(len(found[name]) != 1 for name in names):
            found |= {
                name: verdict
                for name, verdict in verdicts_of_log(crate, folder, binary, names).items()
                if len(found[name]) != 1
            }
        for name in names:
            verdicts[binary.key(crate.name, name)] = only(found[name])
    return verdicts


def only(outcomes):
    return next(iter(outcomes)) if len(outcomes) == 1 else "unknown to cargo test"


# ---- cargo partest ---------------------------------------------------------------------


def partest_verdicts(crate, folder, way, attempt):
    """The verdict of every test under `cargo partest`."""
    words = ["cargo", "partest", "--message-format", "json", "--no-fail-fast", *way.split()]
    name = f"partest{way.replace(' ', '')}-{attempt}.json"
    done = run([*words, *TARGETS, *crate.flags], folder, name=name)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    if not events or events[-1]["event"] != "run-finished":
        said = tail(done.stderr)
        raise CannotCompare(f"cargo partest {way} ended with {done.returncode}:\n{said}")
    verdicts = {}
    for event in events:
        if event["event"] == "test":
            key = (event["package"], event["kind"], event["binary"], event["name"])
            verdicts[key] = "judged twice" if key in verdicts else event["outcome"]
    is_well = set(verdicts.values()) <= {"passed", "ignored"}
    if done.returncode != (0 if is_well else 100):
        raise CannotCompare(f"cargo partest {way}: exit code {done.returncode} for {verdicts}")
    return verdicts


# ---- the comparison --------------------------------------------------------------------


@dataclasses.dataclass
class Row:
    crate: Crate
    binaries: int = 0
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    cells: dict = dataclasses.field(default_factory=dict)
    details: list = dataclasses.field(default_factory=list)
    is_bad: bool = False


def differences(expected, found):
    keys = sorted(expected.keys() | found.keys())
    pairs = {key: (expected.get(key, "absent"), found.get(key, "absent")) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def describe(key, pair):
    package, kind, binary, test = key
    return f"{package} {kind} {binary}::{test}: cargo test {pair[0]}, cargo partest {pair[1]}"


def compare(crate, scratch, ways):
    row = Row(crate)
    try:
        folder = fetch(crate, scratch)
        binaries = build(crate, folder)
        listed = list_tests(crate, folder, binaries)
        expected = cargo_verdicts(crate, folder, binaries, listed, 1)
        row.binaries, row.counts = len(binaries), collections.Counter(expected.values())
        check_readable(row, expected)
        for way in ways:
            progress(f"  {way}")
            again = lambda: cargo_verdicts(crate, folder, binaries, listed, 2)
            compare_by(row, folder, way, expected, again)
    except CannotCompare as why:
        row.is_bad = True
        row.details.append(f"not compared: {why}")
    return row


def check_readable(row, expected):
    unknown = [key for key, outcome in expected.items() if outcome not in WORDS.values()]
    if unknown or not expected:
        row.is_bad = True
        row.details.append(f"no verdict from cargo test: {unknown or 'no test at all'}")


def compare_by(row, folder, way, expected, again):
    """One cell of the table. A difference is tried once more, on both sides."""
    first = differences(expected, partest_verdicts(row.crate, folder, way, 1))
    if not first:
        row.cells[way] = "identical"
        return
    unstable = differences(expected, again()).keys()
    second = differences(expected, partest_verdicts(row.crate, folder, way, 2))
    flaky = {key: pair for key, pair in (first | second).items() if key in unstable}
    stays = {key: pair for key, pair in (first | second).items() if key not in unstable}
    row.details += [f"{way}, flaky: {describe(*item)}" for item in flaky.items()]
    for key, pair in stays.items():
        times = "twice" if key in first and key in second else "once in two runs"
        row.details.append(f"{way}, {times}: {describe(key, pair)}")
    row.is_bad |= bool(stays)
    row.cells[way] = f"**{len(stays)} differ**" if stays else f"identical, {len(flaky)} flaky"


# ---- the report ------------------------------------------------------------------------


def progress(text):
    print(text, file=sys.stderr, flush=True)


def table(rows, ways):
    heads = ["crate", "version", "what it brings", "binaries", "tests"]
    heads += ["passed / failed / ignored", *ways]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        crate, counts = row.crate, row.counts
        verdicts = " / ".join(str(counts[word]) for word in ("passed", "failed", "ignored"))
        cells = [crate.name, crate.version, crate.why, row.binaries, counts.total(), verdicts]
        cells += [row.cells.get(way, "**not compared**") for way in ways]
        yield "| " + " | ".join(map(str, cells)) + " |"


def show(rows, ways):
    print("\n".join(table(rows, ways)))
    for row in rows:
        for detail in row.details:
            print(f"\n{row.crate.folder}: {detail}")
    compared = sum(not row.is_bad for row in rows)
    print(f"\n{compared} of {len(rows)} crates: the same verdicts.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crates", help="only these, separated by commas")
    ways = ",".join(WAYS)
    parser.add_argument("--ways", default=ways, help=f"separated by commas (default: {ways})")
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    return parser.parse_args()


def chosen(names):
    if names is None:
        return CRATES
    known = {crate.name: crate for crate in CRATES}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        sys.exit(f"error: no such crate: {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[name] for name in names.split(",")]


@contextlib.contextmanager
def scratch_folder(keep):
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="partest-parity-") as folder:
            yield pathlib.Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def main():
    args = arguments()
    ways = args.ways.split(",")
    rows = []
    with scratch_folder(args.keep) as scratch:
        for crate in chosen(args.crates):
            progress(f"{crate.name} {crate.version}")
            rows.append(compare(crate, scratch, ways))
            for detail in rows[-1].details:
                progress(f"  {detail}")
    show(rows, ways)
    return 1 if any(row.is_bad for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
