"use strict";

// What the runner has written, as objects. Times are in hundredths of a millisecond.
const data = JSON.parse(document.getElementById("data").textContent);

const WORDS = {
  p: "passed", f: "failed", i: "ignored", t: "timed out", a: "aborted",
  x: "interrupted", b: "blocked", m: "missing", "-": "not run",
};
const isBad = (letter) => !"pi-".includes(letter);

// `slot 1`, or `slot 1 of shard 2/3`.
const slotName = (slot) => {
  const shard = data.shards.filter(([, first]) => first <= slot).pop();
  return shard ? `slot ${slot - shard[1]} of ${shard[0]}` : `slot ${slot}`;
};

if (data.shards.length) document.body.classList.add("of-shards");

const workers = new Map();
for (const [lane, begin, length, number, pid, node] of data.workers) {
  const worker = workers.get(number);
  if (worker) worker.lanes.push(lane);
  else workers.set(number, { lanes: [lane], begin, end: begin + length, number, pid, node: data.nodes[node], shade: node % 3 });
}

const tests = [];
{
  const flaky = new Set(data.flaky);
  let name = "";
  data.names.forEach(([shared, rest], at) => {
    name = name.slice(0, shared) + rest;
    const id = `${data.binaries[data.of[at]]}::${name}`;
    const cut = id.lastIndexOf("::") + 2;
    const letter = data.outcomes[at];
    tests.push({
      at, id, path: id.slice(0, cut), name: id.slice(cut), letter, word: WORDS[letter],
      isBad: isBad(letter), isFlaky: flaky.has(at), reason: data.reasons[at] || "",
      runs: [], leaks: [], searched: id.toLowerCase(),
    });
  });
}

const runs = data.runs.test.map((test, at) => {
  const letter = data.runs.outcomes[at];
  const [begin, length] = [data.runs.begin[at], data.runs.length[at]];
  const run = {
    test: tests[test], letter, lane: data.runs.lane[at], begin, length, end: begin + length,
    worker: workers.get(data.runs.worker[at]), isBad: isBad(letter),
  };
  run.test.runs.push(run);
  return run;
});

for (const test of tests) {
  // Attempts come before the run that decided.
  const last = test.runs[test.runs.length - 1];
  test.took = last ? last.length : 0;
  test.begin = last && last.lane >= 0 ? last.begin : Infinity;
  test.slot = last && last.lane >= 0 ? data.lanes[last.lane][0] : -1;
}

const leaks = data.leaks.map(([run, kind, what, place, begin, end, action, detail]) => {
  const leak = { run: runs[run], kind, what, place, begin, end, action, detail };
  leak.run.test.leaks.push(leak);
  return leak;
});

const shown = (ticks) => {
  const seconds = ticks / 1e5;
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 2 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}m ${String(whole % 60).padStart(2, "0")}s`;
};

const element = (name, className, ...content) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
};
