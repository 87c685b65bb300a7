// The lanes: a canvas, so that tens of thousands of tests stay fluent.
const lanes = (() => {
  const AXIS = 24, HEAD = 19, STAGE = 17, FIXTURE = 17, GAP = 7, LOAD = 40, BOTTOM = 6;
  const first = (more) => (more === 0 ? 1 : 0.55);
  const box = document.getElementById("lanes");
  const canvas = element("canvas");
  const slots = data.slots;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label",
    `${tests.length} tests in ${slots} lanes, one for each slot, along the time${data.shards.map(([name]) => `, ${name}`).join("")}. The list of tests says the same in words.`);
  box.append(canvas);
  const context = canvas.getContext("2d");

  const height = slots <= 8 ? 28 : slots <= 16 ? 21 : slots <= 32 ? 15 : 11;
  const stages = data.stages, fixtures = data.fixtures, headings = [], rows = [];
  let y = AXIS;
  // The shards one under another, or the only run.
  (data.shards.length ? data.shards : [["", 0]]).forEach(([name, firstSlot], at, all) => {
    const nextSlot = at + 1 < all.length ? all[at + 1][1] : Infinity;
    if (name) { headings.push({ name, top: y }); y += HEAD; }
    const ownStages = stages.filter((stage) => stage[3] === at);
    for (const stage of ownStages) stage.top = y;
    if (ownStages.length) y += STAGE + 3;
    for (const fixture of fixtures) if (fixture[5] === at) { fixture.top = y; y += FIXTURE; }
    y += GAP;
    for (const [slot, more] of data.lanes) {
      if (slot < firstSlot || slot >= nextSlot) continue;
      const row = { label: slot - firstSlot, more, top: y, height: height * first(more), runs: [], workers: [], leaks: [], begins: [] };
      y += row.height + (more ? 0 : 1);
      rows.push(row);
    }
    y += at + 1 < all.length ? GAP : 0;
  });
  const loadTop = y + GAP;
  const total = loadTop + LOAD + BOTTOM;

  for (const run of runs) if (run.lane >= 0) rows[run.lane].runs.push(run);
  for (const worker of workers.values()) for (const lane of worker.lanes) rows[lane].workers.push(worker);
  for (const leak of leaks) if (leak.end > leak.begin) rows[leak.run.lane].leaks.push(leak);
  for (const row of rows) {
    row.runs.sort((a, b) => a.begin - b.begin);
    row.begins = row.runs.map((run) => run.begin);
    row.workers.sort((a, b) => a.begin - b.begin);
  }

  // How many tests ran: each change, in the order of time.
  const load = (() => {
    const changes = [];
    for (const run of runs) if (run.lane >= 0 && run.length > 0) changes.push([run.begin, 1], [run.end, -1]);
    changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0;
    const steps = [];
    for (const [at, change] of changes) {
      now += change;
      if (steps.length && steps[steps.length - 1][0] === at) steps[steps.length - 1][1] = now;
      else steps.push([at, now]);
    }
    return steps;
  })();
  const mostLoad = Math.max(slots, ...load.reduce((most, step) => [Math.max(most[0], step[1])], [1]));

  const whole = { from: 0, to: Math.max(data.end, 1) };
  const phase = (() => {
    if (!data.bound) return whole;
    const [begin, end] = data.bound;
    const margin = Math.max((end - begin) * 0.02, 1);
    return { from: Math.max(begin - margin, 0), to: end + margin };
  })();
  const view = { ...phase };
  let width = 0, gutter = 0, chosen = null, isMatch = null, colors = {}, isPlanned = false;

  const readColors = () => {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "soft", "line", "band", "grid", "sheet", "pass-1", "pass-2", "pass-3", "on-pass", "bad", "on-bad", "flaky", "on-flaky", "ignored", "leak", "fixture", "on-fixture", "build", "on-build", "focus"];
    colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const tile = document.createElement("canvas");
    [tile.width, tile.height] = [6, 6];
    const pen = tile.getContext("2d");
    pen.strokeStyle = colors.leak;
    pen.lineWidth = 2.2;
    for (const shift of [-6, 0, 6]) { pen.beginPath(); pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); pen.stroke(); }
    colors.hatched = context.createPattern(tile, "repeat");
  };
  const sans = getComputedStyle(document.body).fontFamily;

  const x = (at) => gutter + (at - view.from) / (view.to - view.from) * (width - gutter);
  const timeAt = (px) => view.from + (px - gutter) / (width - gutter) * (view.to - view.from);

  const text = (words, left, middle, room, color, isRight) => {
    if (room < 12) return;
    context.save();
    context.beginPath();
    context.rect(left, middle - 10, room, 20);
    context.clip();
    context.fillStyle = color;
    context.textAlign = isRight ? "right" : "left";
    context.fillText(words, isRight ? left + room : left, middle + 0.5);
    context.restore();
  };
  const bar = (left, top, wide, high, color) => {
    context.fillStyle = color;
    if (wide < 5) return context.fillRect(left, top, wide, high);
    context.beginPath();
    context.roundRect(left, top, wide, high, Math.min(2.5, high / 3));
    context.fill();
  };

  const drawAxis = () => {
    const span = view.to - view.from;
    const rough = span / Math.max((width - gutter) / 110, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
    const zero = data.bound ? data.bound[0] : 0;
    const seconds = step / 1e5;
    const digits = Math.max(0, Math.ceil(-Math.log10(seconds) - 1e-9));
    context.textAlign = "left";
    for (let at = zero + Math.ceil((view.from - zero) / step) * step; at <= view.to; at += step) {
      const px = Math.round(x(at)) + 0.5;
      context.fillStyle = colors.grid;
      context.fillRect(px - 0.5, AXIS - 6, 1, total - AXIS);
      context.fillStyle = colors.soft;
      const value = (at - zero) / 1e5;
      const label = seconds < 0.5 ? `${(value * 1e3).toFixed(Math.max(0, digits - 3))} ms` : `${value.toFixed(digits)} s`;
      context.fillText(Math.abs(value) < 1e-9 ? "0" : label, px + 3, 11);
    }
  };

  const drawBand = ([name, begin, end], top, color, on) => {
    const left = Math.max(x(begin), gutter), right = Math.min(x(end), width);
    if (right <= gutter || left >= width) return;
    bar(left, top, Math.max(right - left, 1), 14, color);
    text(name, left + 5, top + 7, right - left - 8, on);
  };

  const colorOf = (run) => {
    if (run.isBad) return run.test.isBad ? [colors.bad, colors["on-bad"]] : [colors.flaky, colors["on-flaky"]];
    if (run.test.isFlaky) return [colors.flaky, colors["on-flaky"]];
    return [colors[`pass-${(run.worker ? run.worker.shade : 0) + 1}`], colors["on-pass"]];
  };

  const firstIn = (row, time) => {
    let low = 0, high = row.begins.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (row.runs[middle].end < time) low = middle + 1; else high = middle;
    }
    return low;
  };

  const drawRow = (row) => {
    const { top } = row, high = row.height - 2;
    for (const worker of row.workers) {
      if (worker.end < view.from || worker.begin > view.to) continue;
      const left = Math.max(x(worker.begin), gutter), right = Math.min(x(worker.end), width);
      context.fillStyle = colors.band;
      context.fillRect(left, top + 1, Math.max(right - left, 0.5), high);
    }
    const inset = high > 12 ? 3 : 1.5;
    let painted = -1, paintedColor = "";
    const marks = [];
    for (let at = firstIn(row, view.from); at < row.runs.length && row.runs[at].begin <= view.to; at++) {
      const run = row.runs[at];
      const left = Math.max(x(run.begin), gutter), right = Math.min(x(run.end), width);
      const isDim = isMatch && !isMatch(run.test);
      const [color, on] = colorOf(run);
      const isLoud = color === colors.bad || color === colors.flaky;
      // Of tests that share a pixel one is painted, but none that did not pass is left out.
      if (!isLoud && !isMatch && right < painted + 0.6 && color === paintedColor) continue;
      const wide = Math.max(right - left - (right - left > 4 ? 1 : 0), isLoud ? 2 : 0.7);
      context.globalAlpha = isDim ? 0.16 : 1;
      bar(left, top + 1 + inset, wide, high - 2 * inset, color);
      if (wide > 40 && row.height >= 15) text(run.test.name, left + 5, top + row.height / 2, wide - 8, on);
      context.globalAlpha = 1;
      painted = left + wide;
      paintedColor = color;
      if (run.isBad && run.test.isBad && !isDim) marks.push([left + Math.min(wide / 2, 5), top]);
    }
    // A shape as well, since not everybody sees the color.
    context.fillStyle = colors.bad;
    for (const [px, py] of marks) {
      context.beginPath();
      context.moveTo(px - 4, py - 2);
      context.lineTo(px + 4, py - 2);
      context.lineTo(px, py + 4);
      context.fill();
    }
  };

  const drawLeaks = (row) => {
    for (const leak of row.leaks) {
      if (leak.end < view.from || leak.begin > view.to) continue;
      const left = Math.max(x(leak.begin), gutter), right = Math.min(Math.max(x(leak.end), left + 4), width);
      context.globalAlpha = isMatch && !isMatch(leak.run.test) ? 0.16 : 1;
      const thick = row.height > 14 ? 5 : 3, top = row.top + row.height - thick - 1;
      context.fillStyle = colors.sheet;
      context.fillRect(left, top - 1, right - left, thick + 2);
      context.fillStyle = colors.hatched;
      context.fillRect(left, top, right - left, thick);
      context.fillStyle = colors.leak;
      context.fillRect(left, top - 1, right - left, 1);
      context.fillRect(right - 1.5, top - 3, 1.5, thick + 3);
      context.globalAlpha = 1;
    }
  };

  const drawLoad = () => {
    const high = LOAD - 8, floor = loadTop + LOAD;
    const level = (number) => floor - number / mostLoad * high;
    context.fillStyle = colors.grid;
    context.fillRect(gutter, Math.round(level(slots)), width - gutter, 1);
    context.fillStyle = colors["pass-2"];
    context.globalAlpha = 0.55;
    context.beginPath();
    context.moveTo(gutter, floor);
    let now = 0, px = gutter, most = 0, column = -1;
    for (const [at, number] of load) {
      if (at > view.to) break;
      if (at <= view.from) { now = number; continue; }
      px = x(at);
      // The highest number in a pixel stands for it.
      if (Math.floor(px) === column) { most = Math.max(most, number); now = number; continue; }
      if (column >= 0) context.lineTo(column + 0.99, level(most));
      context.lineTo(px, level(now));
      context.lineTo(px, level(number));
      [now, most, column] = [number, number, Math.floor(px)];
    }
    if (column >= 0) context.lineTo(column + 0.99, level(most));
    if (column >= 0) context.lineTo(column + 0.99, level(now));
    context.lineTo(width, level(now));
    context.lineTo(width, floor);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = colors.line;
    context.fillRect(gutter, floor, width - gutter, 1);
  };

  const drawBound = () => {
    if (!data.bound) return;
    const at = data.bound[0] + data.bound[2], px = Math.round(x(at)) + 0.5;
    if (px < gutter || px > width) return;
    context.strokeStyle = colors.ink;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(px, AXIS - 4);
    context.lineTo(px, loadTop + LOAD);
    context.stroke();
    context.setLineDash([]);
    const words = `could end at ${shown(data.bound[2])}`;
    const room = context.measureText(words).width;
    const isLeft = px + room + 10 > width;
    context.fillStyle = colors.sheet;
    context.fillRect(isLeft ? px - room - 8 : px + 2, 2, room + 6, 16);
    context.fillStyle = colors.ink;
    context.textAlign = isLeft ? "right" : "left";
    context.fillText(words, isLeft ? px - 5 : px + 5, 11);
    context.beginPath();
    context.moveTo(px - 3.5, AXIS - 7);
    context.lineTo(px + 3.5, AXIS - 7);
    context.lineTo(px, AXIS - 2);
    context.fill();
  };

  const drawGutter = () => {
    context.fillStyle = colors.sheet;
    context.fillRect(0, 0, gutter - 1, total);
    const isWide = gutter > 50;
    for (const { name, top } of headings) {
      context.fillStyle = colors.line;
      context.fillRect(0, top, width, 1);
      text(name, 0, top + HEAD / 2 + 1, width, colors.ink);
    }
    for (const top of isWide ? new Set(stages.map((stage) => stage.top)) : []) text("cargo", 0, top + 7, gutter - 8, colors.soft, true);
    for (const fixture of fixtures) text(isWide ? "fixture" : "", 0, fixture.top + 7, gutter - 8, colors.soft, true);
    text(isWide ? "running" : "", 0, loadTop + LOAD - 9, gutter - 8, colors.soft, true);
    const every = Math.ceil(13 / height);
    for (const row of rows) {
      if (row.more || row.label % every) continue;
      text(isWide && height > 12 ? `slot ${row.label}` : `${row.label}`, 0, row.top + row.height / 2, gutter - 8, colors.soft, true);
    }
  };

  const drawChosen = () => {
    if (!chosen) return;
    context.strokeStyle = colors.focus;
    context.lineWidth = 2;
    for (const run of chosen.runs) {
      if (run.lane < 0) continue;
      const row = rows[run.lane];
      const left = Math.max(x(run.begin) - 2, gutter), right = Math.min(x(run.end) + 2, width);
      if (right > gutter && left < width) context.strokeRect(left, row.top, Math.max(right - left, 5), row.height - 1);
    }
    context.lineWidth = 1;
  };

  const draw = () => {
    isPlanned = false;
    const scale = window.devicePixelRatio || 1;
    width = box.clientWidth;
    gutter = width < 560 ? 34 : 62;
    const [wide, high] = [Math.round(width * scale), Math.round(total * scale)];
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
      canvas.style.height = `${total}px`;
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, total);
    context.font = `11px ${sans}`;
    context.textBaseline = "middle";
    drawAxis();
    for (const stage of stages) drawBand(stage, stage.top, colors.build, colors["on-build"]);
    for (const fixture of fixtures) {
      const [name, begin, ready, end, how] = fixture, { top } = fixture;
      context.globalAlpha = 0.45;
      drawBand(["", begin, Math.min(ready, end)], top, how === "failed" ? colors.bad : colors.fixture, "");
      context.globalAlpha = 1;
      if (end > ready || how === "failed") drawBand([name, how === "failed" ? begin : ready, end], top, how === "failed" ? colors.bad : colors.fixture, how === "failed" ? colors["on-bad"] : colors["on-fixture"]);
    }
    for (const row of rows) {
      if (!row.more) { context.fillStyle = colors.grid; context.fillRect(gutter, row.top + row.height - 0.5, width - gutter, 1); }
      drawRow(row);
    }
    rows.forEach(drawLeaks);
    drawLoad();
    drawBound();
    drawChosen();
    drawGutter();
    canvas.dataset.drawn = String(runs.length);
  };
  const plan = () => { if (!isPlanned) { isPlanned = true; requestAnimationFrame(draw); } };

  const show = (from, to) => {
    const least = 2;
    const length = Math.min(Math.max(to - from, least), (whole.to - whole.from) * 1.04);
    const low = whole.from - whole.to * 0.02, high = whole.to * 1.02;
    view.from = Math.min(Math.max(from, low), high - length);
    view.to = view.from + length;
    plan();
  };
  const zoom = (factor, px = gutter + (width - gutter) / 2) => {
    const at = timeAt(px);
    show(at - (at - view.from) * factor, at + (view.to - at) * factor);
  };
  const pan = (share) => {
    const by = (view.to - view.from) * share;
    show(view.from + by, view.to + by);
  };

  const hit = (px, py) => {
    const time = timeAt(px), near = (view.to - view.from) / width * 4;
    for (const row of rows) {
      if (py < row.top || py >= row.top + row.height) continue;
      for (const leak of row.leaks) {
        const isLow = py > row.top + row.height - 8;
        if (isLow && time >= leak.begin - near && time <= leak.end + near) return { leak, test: leak.run.test };
      }
      let best = null, distance = near;
      for (let at = Math.max(firstIn(row, time - near) - 1, 0); at < row.runs.length && row.runs[at].begin <= time + near; at++) {
        const run = row.runs[at];
        const away = Math.max(run.begin - time, time - run.end, 0);
        if (away < distance || (away === distance && run.isBad)) [best, distance] = [run, away];
      }
      if (best) return { run: best, test: best.test };
      const worker = row.workers.find((it) => it.begin <= time && time <= it.end);
      return worker ? { worker } : null;
    }
    const isAt = (band, high, end) => py >= band.top && py < band.top + high && band[1] <= time && time <= end;
    const stage = stages.find((band) => isAt(band, STAGE, band[2]));
    if (stage) return { stage };
    const fixture = fixtures.find((band) => isAt(band, FIXTURE, band[3]));
    return fixture ? { fixture } : null;
  };

  readColors();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); plan(); });
  new ResizeObserver(plan).observe(box);
  draw();

  return {
    canvas, view, zoom, pan, hit, show,
    fitTests: () => show(phase.from, phase.to),
    fitRun: () => show(whole.from, whole.to),
    isWhole: () => view.to - view.from >= (whole.to - whole.from) * 0.999,
    choose: (test) => { chosen = test; plan(); },
    match: (matches) => { isMatch = matches; plan(); },
    reveal: (test) => {
      const run = test.runs.filter((it) => it.lane >= 0).pop();
      if (!run) return;
      const room = Math.max(run.length * 1.5, (phase.to - phase.from) / 60);
      if (run.begin < view.from || run.end > view.to || run.length * 30 < view.to - view.from) show(run.begin - room, run.end + room);
      const row = rows[run.lane];
      if (row.top < box.scrollTop || row.top + row.height > box.scrollTop + box.clientHeight) box.scrollTop = row.top - 60;
    },
  };
})();
