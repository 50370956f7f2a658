// The trend workbench: one lane for each point over one span of time, with its gaps, its quality, and its newest value.

import { axes, hatch, inZone, lang, number, token } from "./chart.js";

const board = document.getElementById("lanes");
const words = JSON.parse(document.getElementById("trend-words").textContent);
const wanted = JSON.parse(document.getElementById("trend-points").textContent);
const { dataset, zone } = board.dataset;
const clock = new Intl.DateTimeFormat(lang, { timeZone: zone, dateStyle: "medium", timeStyle: "medium" });
const palette = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6"];
const LANE = 148;
const SHOWN_AGES = 90;
const SHORTEST = 2;
const EARLIEST = 0;
const LATEST = 4_102_444_800;
const FEW = 60;
// The server tells every value again each 10 s: silence that is longer means that nobody tells.
const SILENT = 25_000;

const state = { from: null, to: null, live: board.dataset.live === "1", span: Number(board.dataset.span) || 3600, gaps: [], lots: [], lanes: [], stream: null, heard: Date.now(), broken: false };

function age(seconds) {
  if (seconds === null || seconds === undefined) return words.unknown;
  if (seconds < SHOWN_AGES) return words.seconds.replace("{n}", number.format(Math.round(seconds)));
  if (seconds < 5400) return words.minutes.replace("{n}", number.format(Math.round(seconds / 60)));
  return words.hours.replace("{n}", number.format(Math.round(seconds / 3600)));
}

const shown = (value, text, unit) => {
  if (text !== null && text !== undefined) return text;
  if (value === null || value === undefined) return "–";
  return `${number.format(value).replace("-", "−")}${unit ? ` ${unit}` : ""}`;
};

let running = null;
async function fetchTrend(from, to) {
  running?.abort();
  running = new AbortController();
  const url = new URL(`/api/v1/signals/${encodeURIComponent(dataset)}/trend`, location.href);
  for (const point of wanted) url.searchParams.append("point", point.point);
  url.searchParams.set("from", new Date(from * 1e3).toISOString());
  url.searchParams.set("to", new Date(to * 1e3).toISOString());
  url.searchParams.set("buckets", String(Math.min(4000, Math.round(board.clientWidth * 2))));
  const answer = await fetch(url, { signal: running.signal });
  if (answer.status === 401) askWhoItIs();
  if (!answer.ok) {
    let said = words.failed;
    try { const error = await answer.json(); said = `${error[`message_${lang}`]} ${error[`next_${lang}`] ?? ""}`; } catch { /* no document */ }
    throw new Error(said);
  }
  return answer.json();
}

// A gap is drawn over the whole lane, hatched in grey: nothing is known there, and no line crosses it.
const concerns = (gap, tag) => !gap.points || gap.points.length === 0 || gap.points.includes(tag);

function drawGaps(plot, tag) {
  const { ctx, bbox } = plot;
  const step = 7 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = token("--line-2");
  ctx.lineWidth = devicePixelRatio;
  for (const gap of state.gaps) {
    if (!concerns(gap, tag)) continue;
    const left = Math.max(bbox.left, plot.valToPos(gap.from, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(gap.to, "x", true));
    if (right <= left) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, Math.max(right - left, 2 * devicePixelRatio), bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let x = left - bbox.height; x < right; x += step) { ctx.moveTo(x, bbox.top + bbox.height); ctx.lineTo(x + bbox.height, bbox.top); }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

function limits(point) {
  const lines = (point.limits ?? []).filter((limit) => limit.value !== null);
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const limit of lines) {
      const y = plot.valToPos(limit.value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = token("--ink-2");
      ctx.lineWidth = devicePixelRatio;
      // A specification limit is dashed, a control limit solid: they are never the same thing.
      ctx.setLineDash(limit.kind === "specification" ? [6 * devicePixelRatio, 4 * devicePixelRatio] : []);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.fillStyle = token("--ink-2");
      ctx.font = `${11 * devicePixelRatio}px ${token("--sans")}`;
      ctx.textAlign = "right";
      ctx.fillText(limit.label ?? "", bbox.left + bbox.width - 4 * devicePixelRatio, y - 3 * devicePixelRatio);
    }
    ctx.restore();
  };
}

// A few samples far apart make no line: each is shown.
const sparse = (plot, series) => plot.data[series].reduce((n, value) => n + (value === null || value === undefined ? 0 : 1), 0) <= FEW;

function makeLane(point, index) {
  const row = document.createElement("section");
  row.className = "trend-lane";
  const head = document.createElement("header");
  const name = document.createElement("h2");
  const swatch = document.createElement("i");
  const colour = palette[index % palette.length];
  swatch.style.background = `var(${colour})`;
  name.append(swatch, point.label || point.point);
  if (point.unit) name.append(Object.assign(document.createElement("span"), { className: "quiet", textContent: ` [${point.unit}]` }));
  const now = document.createElement("p");
  now.className = "now";
  now.append(Object.assign(document.createElement("span"), { className: "value", textContent: "–" }), Object.assign(document.createElement("span"), { className: "age quiet small" }));
  head.append(name, now);
  const box = document.createElement("div");
  row.append(head, box);
  board.append(row);
  const lane = { point, row, now, data: [[], [], []], worst: [], plot: null, last: null, heard: 0 };
  // A text has no axis: its lane tells the newest one.
  if (!point.drawn) return lane;
  // What holds until it is changed (states, set points) is drawn as steps.
  const paths = point.steps ? uPlot.paths.stepped({ align: 1 }) : undefined;
  const last = index === wanted.findLastIndex((other) => other.drawn);
  const both = axes(true, point.unit);
  if (!last) both[0] = { ...both[0], size: 6, values: () => [] };
  both[1] = { ...both[1], size: 72, label: undefined };
  lane.plot = new uPlot({
    width: board.clientWidth,
    height: LANE + (last ? 34 : 0),
    legend: { show: false },
    padding: [6, 30, 0, 0],
    tzDate: inZone(zone),
    scales: { x: { time: true, auto: false, range: () => [state.from, state.to] }, y: { range: (plot, low, high) => (low === null ? [0, 1] : low === high ? [low - 1, high + 1] : [low - (high - low) * 0.06, high + (high - low) * 0.06]) } },
    cursor: { sync: { key: "trends" }, drag: { x: true, y: false, setScale: false }, points: { size: 5 } },
    series: [
      {},
      { stroke: token(colour), width: 1.25, spanGaps: false, points: { size: 4, show: sparse }, paths },
      { stroke: token(colour), width: 1.25, spanGaps: false, points: { size: 4, show: sparse }, paths },
    ],
    bands: [{ series: [2, 1], fill: token("--band") }],
    axes: both,
    hooks: {
      drawClear: [(plot) => drawGaps(plot, point.tag)],
      draw: [limits(point)],
      drawSeries: [(plot, series) => { if (series === 2) hatch(plot, lane.worst); }],
      setCursor: [() => showCursor(lane.plot)],
      setSelect: [(plot) => {
        if (plot.select.width < 8) return;
        const from = plot.posToVal(plot.select.left, "x");
        const to = plot.posToVal(plot.select.left + plot.select.width, "x");
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        look(from, to);
      }],
    },
  }, lane.data, box);
  return lane;
}

function showCursor(plot) {
  if (!plot) return;
  const at = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null;
  document.querySelector('[data-cursor="time"]').textContent = at === null ? "–" : clock.format(new Date(at * 1e3));
  for (const lane of state.lanes) {
    const cells = document.querySelector(`[data-cursor-point="${CSS.escape(lane.point.point)}"]`);
    if (!cells) continue;
    const [times, low, high] = lane.data;
    let i = -1;
    if (at !== null && times.length > 0) {
      let a = 0;
      let b = times.length - 1;
      while (a < b) { const m = (a + b + 1) >> 1; if (times[m] <= at) a = m; else b = m - 1; }
      i = times[a] <= at ? a : -1;
    }
    const [min, max, quality] = cells.querySelectorAll("td[data-cell]");
    min.textContent = i < 0 ? "–" : shown(low[i], null, lane.point.unit);
    max.textContent = i < 0 ? "–" : shown(high[i], null, lane.point.unit);
    quality.textContent = i < 0 ? "–" : [words.good, words.uncertain, words.bad, words.gap][lane.worst[i] ?? 3];
  }
}

function drawRibbon() {
  const ribbon = document.getElementById("ribbon");
  const plot = state.lanes.find((lane) => lane.plot)?.plot;
  if (!ribbon || !plot) return;
  ribbon.hidden = state.lots.length === 0;
  const left = plot.bbox.left / devicePixelRatio;
  ribbon.replaceChildren(...state.lots.filter((lot) => lot.to > state.from && lot.from < state.to).map((lot) => {
    const cell = document.createElement("span");
    const start = Math.max(plot.valToPos(lot.from, "x"), 0);
    const end = Math.min(plot.valToPos(lot.to, "x"), plot.bbox.width / devicePixelRatio);
    cell.style.left = `${left + start}px`;
    cell.style.width = `${Math.max(1, end - start)}px`;
    cell.title = lot.name;
    if (end - start > 46) cell.textContent = lot.name;
    return cell;
  }));
}

const inGap = (at, i, tag) => state.gaps.some((gap) => concerns(gap, tag) && gap.from < (at[i + 1] ?? state.to) && gap.to > (at[i - 1] ?? state.from));

// What holds until it is changed is drawn on to now as long as its connection lives, also when it changed before this span.
function held(lane) {
  const { data, last, point } = lane;
  const known = last !== null && !last.stale && !state.broken && last.quality_class !== "bad" && last.value !== null;
  if (!state.live || !point.steps || !known) return data;
  const [times, low, high] = data;
  const first = times.length > 0 ? [] : [state.from];
  const ends = first.map(() => last.value).concat([last.value]);
  return [[...times, ...first, state.to], [...low, ...ends], [...high, ...ends]];
}

function draw(lane) {
  lane.plot?.setData(held(lane), false);
  lane.plot?.setScale("x", { min: state.from, max: state.to });
}

function listGaps() {
  const box = document.getElementById("gap-list");
  if (!box) return;
  const open = state.gaps.filter((gap) => gap.to > state.from && gap.from < state.to);
  box.hidden = open.length === 0;
  box.querySelector("ul").replaceChildren(...open.slice(0, 12).map((gap) => {
    const until = gap.open ? words.still : clock.format(new Date(gap.to * 1e3));
    return Object.assign(document.createElement("li"), { textContent: `${clock.format(new Date(gap.from * 1e3))} – ${until} · ${gap[`cause_${lang}`] ?? gap.cause}` });
  }));
}

function show(trend) {
  state.gaps = (trend.gaps ?? []).map((gap) => ({ ...gap, open: gap.to === null, from: seconds(gap.from), to: gap.to === null ? state.to : seconds(gap.to) }));
  state.lots = [...(trend.lots ?? []), ...(trend.shifts ?? [])].map((lot) => ({ ...lot, from: seconds(lot.from), to: lot.to === null ? state.to : seconds(lot.to) }));
  listGaps();
  const found = new Map(trend.points.map((series) => [series.point, series]));
  let any = false;
  for (const lane of state.lanes) {
    const series = found.get(lane.point.point) ?? { at: [], low: [], high: [], worst: [] };
    any ||= series.at.length > 0;
    // What holds is told when it changes: long silence breaks its line only where a gap is known.
    const kept = series.at.map((_, i) => i).filter((i) => !lane.point.steps || series.worst[i] !== 3 || inGap(series.at, i, lane.point.tag));
    lane.worst = kept.map((i) => series.worst[i]);
    lane.data = [series.at, series.low, series.high].map((part) => kept.map((i) => part[i]));
    draw(lane);
  }
  document.getElementById("trend-note").textContent = any ? "" : words.empty;
  document.getElementById("trend-note").hidden = any;
  drawRibbon();
}

const seconds = (instant) => (typeof instant === "number" ? instant : Date.parse(instant) / 1e3);

let asking = 0;
async function goTo(from, to, keep = true) {
  asking += 1;
  const mine = asking;
  board.setAttribute("aria-busy", "true");
  try {
    const trend = await fetchTrend(from, to);
    if (mine !== asking) return;
    state.from = from;
    state.to = to;
    show(trend);
    if (keep) remember(true);
  } catch (error) {
    if (mine !== asking || error.name === "AbortError") return;
    const note = document.getElementById("trend-note");
    note.textContent = error.message || words.failed;
    note.hidden = false;
  } finally {
    if (mine === asking) board.removeAttribute("aria-busy");
  }
}

// The span that a person asked for, within what has instants and two seconds at least.
function look(from, to) {
  const middle = (from + to) / 2;
  const half = Math.max((to - from) / 2, SHORTEST / 2);
  const first = Math.min(Math.max(Math.floor(middle - half), EARLIEST), LATEST - SHORTEST);
  state.live = false;
  return goTo(first, Math.max(Math.min(Math.ceil(middle + half), LATEST), first + SHORTEST));
}

// What is seen stands in the address: reloading, sharing and going back show the same.
function remember(push = false) {
  const url = new URL(location.href);
  const two = (n) => String(n).padStart(2, "0");
  const written = (at) => {
    const d = uPlot.tzDate(new Date(at * 1e3), zone);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  };
  const stands = { from: written(state.from), to: written(state.to), live: state.live ? "1" : "", span: String(Math.round(state.span)) };
  for (const [name, value] of Object.entries(stands)) {
    const wants = state.live ? name === "live" || name === "span" : name === "from" || name === "to";
    if (wants) url.searchParams.set(name, value); else url.searchParams.delete(name);
    // Choosing other points keeps the span that is seen.
    const kept = document.querySelector(`form.picker input[name="${name}"]`);
    if (kept) { kept.value = value; kept.disabled = !wants; }
    const field = document.getElementById(name);
    if (field?.tagName === "INPUT") field.value = value;
  }
  const back = document.querySelector('.condition input[name="back"]');
  if (back) back.value = `${url.pathname}${url.search}`;
  const seen = { from: state.from, to: state.to, live: state.live, span: state.span };
  if (push && url.href !== location.href) history.pushState(seen, "", url); else history.replaceState(seen, "", url);
  const live = document.getElementById("live");
  if (live) { live.setAttribute("aria-pressed", String(state.live)); live.textContent = state.live ? words.pause : words.follow; }
}

window.addEventListener("popstate", (event) => {
  if (!event.state) return location.reload();
  const { from, to, live, span } = event.state;
  state.live = live;
  state.span = span;
  const now = Date.now() / 1e3;
  goTo(live ? now - span : from, live ? now : to, false).then(() => remember());
});

function tell(lane) {
  const { last } = lane;
  if (last === null) return;
  const [text, old] = lane.now.children;
  text.textContent = shown(last.value, last.text, lane.point.unit);
  const passed = (Date.now() - lane.heard) / 1e3;
  const known = last.age_seconds === null || last.age_seconds === undefined ? null : last.age_seconds + passed;
  old.textContent = last.time === null ? words.none : `${last[`quality_${lang}`]} · ${words.age.replace("{age}", age(known))}`;
  lane.now.classList.toggle("stale", Boolean(last.stale) || state.broken);
  lane.now.classList.toggle("bad", last.quality_class === "bad");
}

// Nothing may look fresh that nobody tells any more.
function watch() {
  const broken = state.stream !== null && (state.broken || Date.now() - state.heard > SILENT);
  if (broken !== state.broken) breakOff(broken);
  state.lanes.forEach(tell);
}

function breakOff(broken) {
  state.broken = broken;
  const cut = document.getElementById("cut");
  cut.textContent = broken ? words.cut.replace("{time}", clock.format(new Date(state.heard))) : "";
  cut.hidden = !broken;
  state.lanes.forEach(tell);
}

function newest(values, now) {
  for (const value of values) {
    const lane = state.lanes.find((other) => other.point.point === value.point);
    if (!lane) continue;
    lane.last = value;
    lane.heard = Date.now();
    tell(lane);
    if (!state.live || !lane.plot || value.time === null) continue;
    const at = seconds(value.time);
    const [times, low, high] = lane.data;
    if (times.length > 0 && at <= times[times.length - 1]) continue;
    times.push(at);
    const number = value.quality_class === "bad" ? null : value.value;
    low.push(number);
    high.push(number);
    lane.worst.push({ good: 0, uncertain: 1, bad: 2 }[value.quality_class] ?? 0);
  }
  if (!state.live) return;
  state.to = seconds(now);
  state.from = state.to - state.span;
  for (const lane of state.lanes) {
    let drop = 0;
    while (drop < lane.data[0].length - 1 && lane.data[0][drop + 1] < state.from) drop += 1;
    if (drop > 0) { for (const part of lane.data) part.splice(0, drop); lane.worst.splice(0, drop); }
    draw(lane);
  }
  for (const gap of state.gaps) if (gap.open) gap.to = state.to;
  drawRibbon();
}

let again = null;
function listen() {
  clearTimeout(again);
  hushed();
  const url = new URL("/api/v1/live", location.href);
  url.searchParams.set("dataset", dataset);
  for (const point of wanted) url.searchParams.append("point", point.point);
  const stream = new EventSource(url);
  state.stream = stream;
  const heard = () => { state.heard = Date.now(); if (state.broken) breakOff(false); };
  stream.addEventListener("open", heard);
  stream.addEventListener("connections", heard);
  stream.addEventListener("values", (event) => { heard(); const news = JSON.parse(event.data); newest(news.values, news.now); });
  stream.addEventListener("error", () => {
    breakOff(true);
    // A refusal ends the stream for good: whoever is not logged in any more logs in; else it is tried again.
    if (stream.readyState === EventSource.CLOSED) { askWhoItIs(); again = setTimeout(listen, 5000); }
  });
}

function hushed() {
  state.stream?.close();
  state.stream = null;
}

async function askWhoItIs() {
  const answer = await fetch("/api/v1/me").then((found) => found.json()).catch(() => null);
  if (answer && !answer.open && !answer.login) location.assign(`/log-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

// What the lake holds by now replaces what was only drawn as it came.
async function settle() {
  if (!state.live || document.hidden) return;
  const to = Date.now() / 1e3;
  await goTo(to - state.span, to, false);
}

function start() {
  if (wanted.length === 0) return;
  const to = board.dataset.to ? seconds(board.dataset.to) : Date.now() / 1e3;
  state.to = to;
  state.from = board.dataset.from ? seconds(board.dataset.from) : to - state.span;
  state.lanes = wanted.map(makeLane);
  goTo(state.from, state.to, false).then(() => remember());
  listen();
  setInterval(settle, 20_000);
  setInterval(watch, 1000);
  // A screen that nobody sees asks for nothing; it is filled again when it is looked at.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clearTimeout(again); hushed(); } else { state.heard = Date.now(); listen(); settle(); }
  });
  window.addEventListener("pagehide", hushed);
  window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  new ResizeObserver(() => {
    for (const lane of state.lanes) lane.plot?.setSize({ width: board.clientWidth, height: lane.plot.height });
    drawRibbon();
  }).observe(board);
  document.getElementById("live")?.addEventListener("click", () => {
    state.live = !state.live;
    if (state.live) settle();
    remember(true);
  });
  document.querySelectorAll("[data-span]").forEach((button) => button.addEventListener("click", () => {
    state.span = Number(button.dataset.span);
    const end = state.live ? Date.now() / 1e3 : state.to;
    if (state.live) goTo(end - state.span, end); else look(end - state.span, end);
  }));
  document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    const middle = (state.from + state.to) / 2;
    const half = (state.to - state.from) / 2;
    const shift = { back: -half, on: half }[button.dataset.zoom] ?? 0;
    const reach = { in: half / 2, out: half * 2 }[button.dataset.zoom] ?? half;
    look(middle + shift - reach, middle + shift + reach);
  }));
}

start();
