#!/usr/bin/env python3
"""Times `cargo test`, `cargo nextest run` and `cargo partest` on whole projects.

Takes any workspace directories, or published crates that cargo fetches. Each project is built
once; each round runs every tool once, in an order that rotates, on the same binaries, and
`cargo partest` twice: as on a new machine, with nothing kept from earlier runs, and with what they
have left. What is reported are medians, and ratios within a round to the faster of the other two
tools. Doctests are left out. A project with failing tests is timed and marked. Prints a Markdown table and draws a plot.

    python3 tests/bench_projects.py DIR... [--flags='--workspace'] [--rounds N] [--out DIR]
    python3 tests/bench_projects.py --published [--crates a,b] [--keep DIR] [...]

`cargo partest` must be installed or on PATH; nextest is left out where it is not installed, and
the number of processes where there is no strace. Exit code 1 if a project could not be timed.
"""

import argparse
import collections
import dataclasses
import html
import math
import os
import pathlib
import re
import shlex
import shutil
import statistics
import sys
import tempfile

import bench
import parity
from bench import BASE, DEFAULT, NEXTEST
from parity import CannotCompare, Crate

TARGETS = ["--tests", "--no-fail-fast"]

# No suite takes a tenth of this; one that hangs under one of the tools must not hang the script.
RUN_LIMIT_SECONDS = 10 * 60

# Tests that start threads without end are slow under strace; then the number is not known.
COUNT_LIMIT_SECONDS = 60

FIRST = f"{DEFAULT}, first run"

WORDS = {
    BASE: ("cargo", "test"),
    NEXTEST: ("cargo", "nextest", "run"),
    FIRST: ("cargo", "partest"),
    DEFAULT: ("cargo", "partest"),
}

OURS = (FIRST, DEFAULT)

# A tool that takes this long, and this many times as long as `cargo test`, has fewer rounds.
SLOW_SECONDS, SLOW_RATIO = 5, 5

# What is aimed at: in no project slower than this beside the faster of the other two ...
RATIO_LIMITS = {FIRST: 1.05, DEFAULT: 1.02}
# ... or, where everything takes less than half a second, not more than this above it.
SHORT_SECONDS = 0.5
ADDED_LIMIT_SECONDS = 0.020


def known(name, why, flags=()):
    """One of the crates that are compared test by test as well."""
    found = next(crate for crate in parity.CRATES if crate.name == name)
    return dataclasses.replace(found, why=why, flags=flags)


PUBLISHED = [
    known("pulldown-cmark", "over a thousand tiny tests"),
    Crate("glam", "0.34.2", "thousands of tiny tests, many binaries"),
    Crate("num-bigint", "0.5.1", "tiny tests, some that compute"),
    known("semver", "a small crate"),
    known("indexmap", "a small crate with quickcheck"),
    Crate("itertools", "0.15.0", "quickcheck: computes"),
    Crate("rayon", "1.12.0", "computes"),
    Crate("petgraph", "0.8.3", "many binaries"),
    known("anyhow", "many binaries"),
    known("dotenvy", "many binaries with a test each"),
    Crate("tokio-util", "0.7.20", "many binaries, some wait", ("--features", "full")),
    Crate("crossbeam-channel", "0.5.17", "waits, and computes"),
    Crate("flume", "0.12.0", "waits"),
    Crate("async-process", "2.5.0", "starts processes"),
    known("duct", "starts processes"),
    known("subprocess", "starts processes, and waits"),
    known("assert_cmd", "starts processes"),
    known("tempfile", "temporary files"),
    known("serial_test", "locks"),
]


@dataclasses.dataclass(frozen=True)
class Project:
    title: str
    why: str
    folder: pathlib.Path
    flags: tuple


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a tool says that it has run."""

    passed: int
    failed: int

    @property
    def tests(self):
        return self.passed + self.failed


@dataclasses.dataclass
class Row:
    """A project, and by tool what was measured."""

    project: Project
    binaries: int = 0
    counts: dict = dataclasses.field(default_factory=dict)
    processes: dict = dataclasses.field(default_factory=dict)
    # By tool and round; a round of a slow tool may be missing.
    samples: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(dict))
    notes: list = dataclasses.field(default_factory=list)
    loads: list = dataclasses.field(default_factory=list)
    is_timed: bool = True

    def median(self, name, figure):
        return statistics.median(map(figure, self.samples[name].values()))

    def ratios(self, name):
        """The tool's time to that of the faster of the other two runners, by round."""
        of_tool = self.samples[name].items()
        return [sample.seconds / self.faster(number) for number, sample in of_tool]

    def ratio(self, name):
        return statistics.median(self.ratios(name))

    def added(self, name):
        """The seconds that the tool took more than the faster of the other two, by round."""
        mine = self.samples[name].items()
        return [sample.seconds - self.faster(number) for number, sample in mine]

    def faster(self, number):
        others = [of_tool for name, of_tool in self.samples.items() if name not in OURS]
        return min(of_tool[number].seconds for of_tool in others if number in of_tool)

    def is_within_aim(self, name):
        is_short = self.median(name, bench.wall) < SHORT_SECONDS
        is_near = is_short and statistics.median(self.added(name)) <= ADDED_LIMIT_SECONDS
        return is_near or self.ratio(name) <= RATIO_LIMITS[name]


# ---- measuring -------------------------------------------------------------------------


def time_project(project, names, rounds, slow_rounds):
    row = Row(project)
    try:
        build(project)
        warm = {name: warm_up(row, name) for name in names}
        for number in range(rounds):
            parity.progress(f"{project.title}: round {number + 1} of {rounds}")
            row.loads.append(os.getloadavg()[0])
            for name in bench.rotated(names, number):
                if number < slow_rounds or not is_slow(warm[name], warm[BASE]):
                    row.samples[name][number] = time_once(project, name)
    except CannotCompare as why:
        row.is_timed = False
        row.notes.append(f"not timed: {why}")
    return row


def is_slow(seconds, base_seconds):
    return seconds > SLOW_SECONDS and seconds > SLOW_RATIO * base_seconds


def time_once(project, name):
    sample, _, text = measure(project, name)
    if re.search(r"^ +Compiling ", text, re.MULTILINE):
        raise CannotCompare(f"`{name}` built something while it was timed")
    return sample


def build(project):
    parity.progress(f"{project.title}: building")
    words = ["cargo", "test", "--no-run", *TARGETS, *project.flags]
    _, code, text = bench.timed(words, project.folder, environment(project))
    if code != 0:
        raise CannotCompare(f"it does not build:\n{parity.tail(text)}")


def environment(project):
    return os.environ | {"CARGO_TARGET_DIR": str(project.folder / "target")}


def measure(project, name, before=(), limit_seconds=RUN_LIMIT_SECONDS):
    if name == FIRST:
        shutil.rmtree(project.folder / "target" / "partest", ignore_errors=True)
    words = [*before, *WORDS[name], *TARGETS, *project.flags]
    done = bench.timed(words, project.folder, environment(project), limit_seconds)
    sample = done[0]
    if sample.seconds >= limit_seconds:
        raise CannotCompare(f"`{name}` took over {limit_seconds} s")
    return done


def warm_up(row, name):
    """A run outside of the rounds: what there is, how it ends, how many processes it takes."""
    parity.progress(f"{row.project.title}: warming up {name}")
    sample, code, text = measure(row.project, name)
    counts = row.counts[name] = read_counts(name, text)
    if counts.tests == 0:
        raise CannotCompare(f"`{name}` ran no test:\n{parity.tail(text)}")
    if name == BASE:
        row.binaries = len(re.findall(r"^ +Running .*\(.*\)$", text, re.MULTILINE))
    if code != 0:
        failed = f"{counts.failed} of {counts.tests} tests fail"
        row.notes.append(f"`{name}`: {failed}, exit code {code}")
    elif counts.tests != row.counts[BASE].tests:
        row.notes.append(f"`{name}` counts {counts.tests} tests")
    row.processes[name] = count_processes(row.project, name)
    return sample.seconds


def read_counts(name, text):
    """From the last lines that a tool prints; `cargo test` has one for each binary."""
    pattern = {BASE: r"^test result: .*", NEXTEST: r"^ +Summary .*"}.get(name, r"^.*\d passed.*")
    lines = re.findall(pattern, re.sub(r"\x1b\[\d*m", "", text), re.MULTILINE)
    said = "\n".join(lines if name == BASE else lines[-1:]).replace(",", "")
    passed = re.findall(r"(\d+) passed", said)
    failed = re.findall(r"(\d+) (?:failed|aborted|timed out|crashed|leaked|blocked)\b", said)
    return Counts(sum(map(int, passed)), sum(map(int, failed)))


def count_processes(project, name):
    """The processes that a run starts, itself among them; None where they cannot be counted."""
    if shutil.which("strace") is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        log = pathlib.Path(scratch) / "log"
        calls = "--trace=clone,clone3,fork,vfork"
        # -D: strace itself would wait for whatever the tests leave behind.
        strace = ("strace", "-D", "-f", "--seccomp-bpf", calls, "-o", str(log))
        try:
            measure(project, name, strace, COUNT_LIMIT_SECONDS)
        except CannotCompare:
            return None
        lines = log.read_text(errors="replace").splitlines()
    starts = [line for line in lines if re.match(r"\d+ +(clone3?|v?fork)\(", line)]
    is_process = lambda line: "CLONE_THREAD" not in line and " = -1 " not in line
    return 1 + sum(map(is_process, starts))


# ---- the table -------------------------------------------------------------------------


def table(rows, names):
    titles = [name.removeprefix("cargo ") for name in names]
    heads = ["project", "what it brings", "binaries", "tests"]
    heads += [f"{title}, s" for title in titles]
    heads += [f"`{name}` / the faster other" for name in OURS]
    heads += [f"{what}: {' / '.join(titles)}" for what in ("CPU, s", "MiB", "processes")]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        mark = " (*)" if row.notes else ""
        cells = [row.project.title + mark, row.project.why]
        cells += figures(row, names) if row.is_timed else ["not timed"]
        yield "| " + " | ".join(map(str, cells)) + " |"


def figures(row, names):
    yield row.binaries
    yield f"{row.counts[BASE].tests:,}"
    for name in names:
        yield short(row.median(name, bench.wall))
    for name in OURS:
        ratio = bench.spread(row.ratios(name))
        yield ratio if row.is_within_aim(name) else f"**{ratio}**"
    yield " / ".join(short(row.median(name, bench.cpu)) for name in names)
    largest = lambda sample: sample.largest_process_mib
    yield " / ".join(f"{row.median(name, largest):.0f}" for name in names)
    yield " / ".join(thousands(row.processes[name]) for name in names)


def short(seconds):
    places = 3 if seconds < 1 else 2 if seconds < 10 else 0
    return f"{seconds:.{places}f}"


def thousands(number):
    return "?" if number is None else f"{number:,}"


def summary(rows, names):
    timed = [row for row in rows if row.is_timed]
    if not timed:
        return
    yield "| wall time / the faster other | geometric mean | least | greatest |"
    yield "|---|---|---|---|"
    for name in names:
        ratios = [row.ratio(name) for row in timed]
        cells = [statistics.geometric_mean(ratios), min(ratios), max(ratios)]
        yield f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |"
    added = f"{1000 * ADDED_LIMIT_SECONDS:.0f} ms above it, where it takes under {SHORT_SECONDS} s"
    for name in OURS:
        within = sum(row.is_within_aim(name) for row in timed)
        yield f"\n`{name}`: {within} of {len(timed)} projects within {RATIO_LIMITS[name]} times the"
        yield f"faster of `{BASE}` and `{NEXTEST} run` (or {added}); the others are in bold."


def markdown(rows, names, machine, rounds):
    yield from table(rows, names)
    for row in rows:
        for note in row.notes:
            yield f"\n(*) {row.project.title}: {note}"
    yield ""
    yield from summary(rows, names)
    yield ""
    for line in [*machine, *load_during(rows)]:
        yield f"- {line}"
    yield f"- {rounds} rounds; times are medians; ratios are those within a round: median (least to"
    yield "  greatest). CPU: the tool and all that it has waited for. MiB: the largest process."
    yield "  Processes: all that are started, the tool among them, counted in a run of their own"


def load_during(rows):
    """The tests' own load is in it."""
    loads = [load for row in rows for load in row.loads]
    if loads:
        yield f"load while timing: median {statistics.median(loads):.1f} (to {max(loads):.1f})"


# ---- the plot --------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, TOP, LINE, FOOT = 820, 190, 24, 64, 22, 17

MARKS = {
    FIRST: '<circle class="first" cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
    DEFAULT: '<circle class="partest" cx="{x:.1f}" cy="{y:.1f}" r="6"/>',
    BASE: '<path class="test" d="M{x:.1f} {y:.1f}m-5 -5h10v10h-10z"/>',
    NEXTEST: '<path class="nextest" d="M{x:.1f} {y:.1f}m0 -6l6 11h-12z"/>',
}

# Greys that can be read on white and on black; the colours are lighter where it is dark.
STYLE = """
text { font: 12px sans-serif; fill: #57606a } .title { font-size: 14px; font-weight: bold }
.small { font-size: 11px } .grid { stroke: #8b949e; stroke-opacity: .3 } .one { stroke: #8b949e }
.partest { fill: #0969da } .test { fill: #9a6700 } .nextest { fill: #8250df }
.first { fill: none; stroke: #0969da; stroke-width: 2 }
.test, .nextest { fill-opacity: .75 }
@media (prefers-color-scheme: dark) { text { fill: #b1bac4 }
.partest { fill: #58a6ff } .first { stroke: #58a6ff } .test { fill: #d4a72c } .nextest { fill: #bc8cff } }
"""


def plot(rows, names, machine, rounds):
    """A line for each project, a mark for each tool, further to the right where it is slower."""
    words = [machine[0], "; ".join(machine[1:-1])]
    words.append("; ".join([machine[-1], *load_during(rows), f"{rounds} rounds, medians"]))
    rows = sorted((row for row in rows if row.is_timed), key=lambda row: row.ratio(DEFAULT))
    ratios = [row.ratio(name) for row in rows for name in names]
    ticks = ticks_around(min(ratios), max(ratios))
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    at = lambda ratio: LEFT + (math.log(ratio) - low) * scale
    bottom = TOP + LINE * len(rows)
    height = bottom + 30 + FOOT * len(words)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    yield f"<style>{STYLE}</style>"
    yield '<text class="title" x="8" y="20">Wall time, 1 = the faster of cargo test and'
    yield f" cargo nextest run</text>{legend(names)}"
    for tick in ticks:
        kind, x = "one" if tick == 1 else "grid", at(tick)
        yield f'<path class="{kind}" d="M{x:.1f} {TOP - 8}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
    for number, row in enumerate(rows):
        y = TOP + LINE * (number + 0.5)
        title = html.escape(row.project.title)
        yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{title}</text>'
        yield f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
        yield "".join(MARKS[name].format(x=at(row.ratio(name)), y=y) for name in names)
    for number, line in enumerate(words):
        y = bottom + 36 + FOOT * number
        yield f'<text class="small" x="8" y="{y}">{html.escape(line)}</text>'
    yield "</svg>"


def legend(names):
    parts = []
    for number, name in enumerate(names):
        x = LEFT + 150 * number
        parts.append(MARKS[name].format(x=x, y=38) + f'<text x="{x + 10}" y="42">{name}</text>')
    return "".join(parts)


def ticks_around(least, greatest):
    """Round numbers on a logarithmic axis, one at or beyond either end, with 1 among them."""
    steps = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5)]
    first = max(step for step in steps if step <= min(least, 0.5))
    last = min(step for step in steps if step >= max(greatest, 2))
    return [step for step in steps if first <= step <= last]


# ---- the projects ----------------------------------------------------------------------


def projects(args, scratch):
    """The directories, then the published crates, fetched one by one."""
    for folder in args.folders:
        flags = tuple(shlex.split(args.flags))
        yield Project(folder.resolve().name, "", folder.resolve(), flags)
    for crate in chosen(args.crates) if args.published else []:
        folder = parity.fetch(crate, scratch)
        yield Project(f"{crate.name} {crate.version}", crate.why, folder, crate.flags)


def chosen(names):
    if names is None:
        return PUBLISHED
    known_names = {crate.name: crate for crate in PUBLISHED}
    unknown = [name for name in names.split(",") if name not in known_names]
    if unknown:
        known_ones = ", ".join(known_names)
        sys.exit(f"error: no such crate: {', '.join(unknown)}; known: {known_ones}")
    return [known_names[name] for name in names.split(",")]


def argument_parser(description, out, keep):
    """The arguments of a benchmark that times its projects by `time_project`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
    help_slow = "rounds of a tool that is slow beside cargo test (default: 2)"
    parser.add_argument("--slow-rounds", type=int, default=2, help=help_slow)
    parser.add_argument("--out", type=pathlib.Path, help=f"for {out}")
    parser.add_argument("--keep", type=pathlib.Path, help=f"{keep} this folder and leave it")
    return parser


def arguments():
    parser = argument_parser(__doc__, "projects.md and projects.svg", "fetch into")
    parser.add_argument("folders", nargs="*", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--flags", default="", help="for cargo, in each DIR: --flags=--workspace")
    parser.add_argument("--published", action="store_true", help="crates from the registry")
    parser.add_argument("--crates", help="of the published ones only these, separated by commas")
    args = parser.parse_args()
    if not args.folders and not args.published:
        parser.error("a DIR, or --published")
    return args


def write(folder, name, lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def main():
    args = arguments()
    names = [name for name in WORDS if name != NEXTEST or bench.has_nextest()]
    machine = bench.machine()
    rows = []
    with bench.scratch_folder(args.keep) as scratch:
        for project in projects(args, scratch):
            rows.append(time_project(project, names, args.rounds, args.slow_rounds))
            # A long run that is interrupted leaves what it has.
            if args.out:
                write(args.out, "projects.md", markdown(rows, names, machine, args.rounds))
                if any(row.is_timed for row in rows):
                    write(args.out, "projects.svg", plot(rows, names, machine, args.rounds))
    print("\n".join(markdown(rows, names, machine, args.rounds)))
    return 0 if all(row.is_timed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
