// What the user does: search, filters, the selection, mouse and keyboard.
document.documentElement.classList.add("scripted");
{
  const by = (id) => document.getElementById(id);
  const search = by("search"), tip = by("tip"), selected = by("selected"), found = by("found");
  const number = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

  const FILTERS = [
    ["all", "All", () => true],
    ["bad", "Not passed", (test) => test.isBad],
    ["flaky", "Flaky", (test) => test.isFlaky],
    ["leaky", "Left something", (test) => test.leaks.length > 0],
    ["passed", "Passed", (test) => test.letter === "p"],
    ["ignored", "Ignored", (test) => test.letter === "i"],
  ];
  let filter = FILTERS[0];
  const buttons = FILTERS.flatMap((one) => {
    const count = tests.filter(one[2]).length;
    if (!count && one[0] !== "all") return [];
    const button = element("button", "", `${one[1]} ${number(count)}`);
    button.type = "button";
    button.dataset.filter = one[0];
    button.setAttribute("aria-pressed", String(one === filter));
    button.addEventListener("click", () => { filter = one; update(); });
    return [button];
  });
  by("filters").append(...buttons);

  const update = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.filter === filter[0]));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hasWords = (test) => words.every((word) => test.searched.includes(word) || test.word.startsWith(word));
    const matches = (test) => filter[2](test) && hasWords(test);
    const isAll = !words.length && filter[0] === "all";
    const those = isAll ? tests : tests.filter(matches);
    found.textContent = isAll ? "" : `${number(those.length)} of ${number(tests.length)}`;
    list.show(those);
    lanes.match(isAll ? null : matches);
    for (const card of document.querySelectorAll("#failures .card[id]")) {
      const test = tests[Number(card.id.slice(1))];
      card.hidden = Boolean(test) && !matches(test);
    }
  };

  const say = (test) => {
    selected.replaceChildren();
    if (!test) return selected.append("Point at a bar to see what it is; click it, or a test in the list, to keep it here.");
    const run = test.runs[test.runs.length - 1];
    const facts = [];
    if (run && run.length) facts.push(shown(run.length));
    if (run && run.lane >= 0 && data.bound) facts.push(`began at ${shown(Math.max(run.begin - data.bound[0], 0))}`);
    if (test.slot >= 0) facts.push(slotName(test.slot));
    if (run && run.worker) facts.push(`process ${run.worker.number} (pid ${run.worker.pid}) of ${run.worker.node}`);
    if (test.runs.length > 1) facts.push(`${test.runs.length} attempts`);
    const word = element("span", test.isBad ? "bad" : "", test.isFlaky && !test.isBad ? "flaky" : test.word);
    selected.append(word, " ", element("code", "", test.path, element("b", "", test.name)), ` ${facts.join(", ")}`);
    if (test.reason) selected.append(element("div", "", test.reason));
    for (const leak of test.leaks) {
      const place = leak.place ? ` started at ${leak.place}` : "";
      selected.append(element("div", "", `left a ${leak.kind} \`${leak.what}\`${place}: ${leak.detail}`));
    }
    const card = by(`t${test.at}`);
    if (card) {
      const link = element("a", "", "its output");
      link.href = `#t${test.at}`;
      selected.append(link);
    }
  };

  const choose = (test, isRevealed) => {
    for (const card of document.querySelectorAll(".card.chosen")) card.classList.remove("chosen");
    list.choose(test);
    lanes.choose(test);
    say(test);
    if (!test) return;
    const card = by(`t${test.at}`);
    if (card) { card.open = true; card.classList.add("chosen"); }
    if (isRevealed) lanes.reveal(test);
  };

  const told = (there) => {
    const { run, leak, worker, stage, fixture, test } = there;
    const time = (begin, end) => shown(Math.max(end - begin, 0));
    if (leak) return [leak.what, `${leak.kind} left by ${test.id}`, `${time(leak.begin, leak.end)} longer than its test${leak.place ? `, started at ${leak.place}` : ""}`];
    if (run) return [test.id, `${WORDS[run.letter]}, ${time(run.begin, run.end)}, ${slotName(data.lanes[run.lane][0])}${run.worker ? `, process ${run.worker.number}` : ""}`, test.reason];
    if (worker) return [worker.node, `process ${worker.number} (pid ${worker.pid}) starts or ends: no test`, time(worker.begin, worker.end)];
    if (stage) return [stage[0], time(stage[1], stage[2])];
    return [fixture[0], `ready after ${time(fixture[1], fixture[2])}, there for ${time(fixture[1], fixture[3])}, ${fixture[4]}`];
  };

  const { canvas } = lanes;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    grip = { x: event.clientX, from: lanes.view.from, to: lanes.view.to, isMoved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (grip) {
      const by = event.clientX - grip.x;
      grip.isMoved ||= Math.abs(by) > 4;
      if (!grip.isMoved) return;
      canvas.classList.add("moving");
      tip.hidden = true;
      const time = by / canvas.clientWidth * (grip.to - grip.from);
      lanes.show(grip.from - time, grip.to - time);
      return;
    }
    const there = lanes.hit(...place(event));
    tip.hidden = !there;
    if (!there) return;
    const [first, ...rest] = told(there).filter(Boolean);
    tip.replaceChildren(element("div", "", element("b", "", first)), ...rest.map((line) => element("div", "", line)));
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
    const isLow = event.clientY + 18 + box.height > innerHeight;
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${isLow ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  });
  const letGo = (event) => {
    if (grip && !grip.isMoved && event.type === "pointerup") {
      const there = lanes.hit(...place(event));
      choose(there && there.test ? there.test : null, false);
    }
    grip = null;
    canvas.classList.remove("moving");
  };
  canvas.addEventListener("pointerup", letGo);
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => lanes.zoom(0.3, place(event)[0]));
  canvas.addEventListener("wheel", (event) => {
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isSideways) {
      event.preventDefault();
      return lanes.pan((event.deltaX || event.deltaY) / canvas.clientWidth);
    }
    // At its widest it lets the page scroll.
    if (event.deltaY > 0 && lanes.isWhole()) return;
    event.preventDefault();
    tip.hidden = true;
    lanes.zoom(Math.exp(Math.max(Math.min(event.deltaY, 120), -120) * 0.0022), place(event)[0]);
  }, { passive: false });

  by("zoom-in").addEventListener("click", () => lanes.zoom(0.5));
  by("zoom-out").addEventListener("click", () => lanes.zoom(2));
  by("zoom-tests").addEventListener("click", lanes.fitTests);
  by("zoom-run").addEventListener("click", lanes.fitRun);
  by("order").addEventListener("change", (event) => list.order(event.target.value));
  search.addEventListener("input", update);

  list.box.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(tests[Number(row.dataset.test)], true);
  });
  list.box.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 };
    if (event.key in steps) choose(list.beside(steps[event.key]), false);
    else if (event.key === "Enter" && list.beside(0)) choose(list.beside(0), true);
    else return;
    event.preventDefault();
  });

  const KEYS = {
    "/": () => { search.focus(); search.select(); },
    "+": () => lanes.zoom(0.6),
    "=": () => lanes.zoom(0.6),
    "-": () => lanes.zoom(1 / 0.6),
    0: lanes.fitTests,
    9: lanes.fitRun,
    ArrowLeft: () => lanes.pan(-0.15),
    ArrowRight: () => lanes.pan(0.15),
    n: () => { const test = list.nextBad(1); if (test) choose(test, true); },
    p: () => { const test = list.nextBad(-1); if (test) choose(test, true); },
    "?": () => { by("keys").open = !by("keys").open; },
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      [search.value, filter] = ["", FILTERS[0]];
      choose(null, false);
      update();
      search.blur();
      return;
    }
    const isTyping = event.target.closest("input, select, textarea");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  const openTarget = () => {
    const card = location.hash.length > 1 && by(location.hash.slice(1));
    if (card && card.matches("details")) card.open = true;
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  say(null);
  update();
}
