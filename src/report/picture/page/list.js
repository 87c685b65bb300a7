// The list of tests: only the rows that can be seen are there.
const list = (() => {
  const HEIGHT = 26, AROUND = 8;
  const box = element("div", "rows");
  box.tabIndex = 0;
  box.id = "rows";
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", "Tests");
  const filler = element("div");
  box.append(filler);
  document.getElementById("list").append(box);

  let found = tests, order = "failures", chosen = null, isPlanned = false;
  const longest = tests.reduce((most, test) => Math.max(most, test.took), 1);
  const rank = (test) => (test.isBad ? 0 : test.isFlaky ? 1 : test.leaks.length ? 2 : test.letter === "p" ? 3 : 4);
  const ORDERS = {
    failures: (a, b) => rank(a) - rank(b) || b.took - a.took || a.at - b.at,
    slowest: (a, b) => b.took - a.took || a.at - b.at,
    begin: (a, b) => a.begin - b.begin || a.at - b.at,
    name: (a, b) => a.at - b.at,
  };

  const row = (test, at) => {
    const isOdd = test.isFlaky && !test.isBad;
    const word = element("span", `word${test.isBad ? " bad" : isOdd ? " flaky" : ""}`, isOdd ? "flaky" : test.word);
    const id = element("code", "id", element("span", "path", test.path), test.name);
    if (test.leaks.length) id.append(element("span", "leaky", ` ${test.leaks.length === 1 ? "leak" : `${test.leaks.length} leaks`}`));
    const slot = element("span", "slot", test.slot < 0 ? "" : slotName(test.slot));
    const bar = element("span", `bar${test.isBad ? " bad" : ""}`);
    bar.style.width = `${(test.took / longest * 100).toFixed(2)}%`;
    const took = element("span", "took", test.took ? shown(test.took) : "");
    const made = element("div", "row", word, id, slot, bar, took);
    made.style.top = `${at * HEIGHT}px`;
    made.id = `row-${test.at}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(test === chosen));
    made.setAttribute("aria-setsize", String(found.length));
    made.setAttribute("aria-posinset", String(at + 1));
    made.title = test.id;
    made.dataset.test = String(test.at);
    return made;
  };

  const draw = () => {
    isPlanned = false;
    filler.style.height = `${found.length * HEIGHT}px`;
    box.style.height = `min(60vh, ${Math.max(found.length, 1) * HEIGHT + 2}px)`;
    box.style.minHeight = "0";
    const from = Math.max(Math.floor(box.scrollTop / HEIGHT) - AROUND, 0);
    const to = Math.min(from + Math.ceil(box.clientHeight / HEIGHT) + 2 * AROUND, found.length);
    filler.replaceChildren(...found.slice(from, to).map((test, at) => row(test, from + at)));
    const isThere = chosen && document.getElementById(`row-${chosen.at}`);
    if (isThere) box.setAttribute("aria-activedescendant", `row-${chosen.at}`);
    else box.removeAttribute("aria-activedescendant");
  };
  const plan = () => { if (!isPlanned) { isPlanned = true; requestAnimationFrame(draw); } };
  box.addEventListener("scroll", plan, { passive: true });
  new ResizeObserver(plan).observe(box);

  const reveal = () => {
    const at = found.indexOf(chosen);
    if (at < 0) return;
    const top = at * HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + HEIGHT - box.clientHeight;
  };

  return {
    box,
    show: (those) => { found = [...those].sort(ORDERS[order]); box.scrollTop = 0; draw(); },
    order: (by) => { order = by; found = [...found].sort(ORDERS[order]); box.scrollTop = 0; draw(); },
    choose: (test) => { chosen = test; reveal(); draw(); },
    beside: (step) => {
      const at = found.indexOf(chosen);
      return found[Math.min(Math.max(at + step, 0), found.length - 1)];
    },
    nextBad: (step) => {
      const bad = found.filter((test) => test.isBad || test.isFlaky);
      if (!bad.length) return null;
      const at = bad.indexOf(chosen);
      return bad[(at < 0 ? (step > 0 ? 0 : -1) : at + step + bad.length) % bad.length] || bad[bad.length - 1];
    },
  };
})();
