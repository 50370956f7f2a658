// Trends with uPlot: minimum and maximum of each bucket, bad stretches hatched, gaps left as gaps.

import { axes, hatch, height, inZone, lang, number, token } from "./chart.js";

async function library(box) {
  const { trendUrl, label, unit, zone, failed, empty } = box.dataset;
  const figure = box.closest("figure");
  const show = (name, text) => { figure.querySelector(`[data-cursor="${name}"]`).textContent = text; };
  const state = { worst: [] };
  const fetchRange = async (from, to) => {
    const url = new URL(trendUrl, location.href);
    url.searchParams.set("width", String(Math.round(box.clientWidth * 2)));
    if (from === null) { url.searchParams.delete("from"); url.searchParams.delete("to"); }
    else if (from !== undefined) { url.searchParams.set("from", new Date(from * 1e3).toISOString()); url.searchParams.set("to", new Date(to * 1e3).toISOString()); }
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };
  let trend;
  try { trend = await fetchRange(); } catch { box.replaceChildren(note(failed)); return; } finally { box.removeAttribute("aria-busy"); }
  if (trend.at.length === 0) { box.replaceChildren(note(empty)); return; }
  state.worst = trend.worst;
  // A page opened on a part knows nothing of the ends: the server cuts there.
  const part = new URL(trendUrl, location.href).searchParams.has("from");
  const whole = part ? [-8e12, 8e12] : [trend.at[0], trend.at[trend.at.length - 1]];
  const words = figure.querySelector('[data-cursor="quality"]').dataset;
  const clock = new Intl.DateTimeFormat(lang, { timeZone: zone, dateStyle: "medium", timeStyle: "medium" });
  const colour = token("--s1");
  const options = {
    width: box.clientWidth, height: height(box), legend: { show: false }, scales: { x: { time: trend.timed } },
    tzDate: inZone(zone),
    cursor: { drag: { x: trend.timed, y: false, setScale: false }, points: { size: 5 } },
    series: [
      {},
      { label, stroke: colour, width: 1.25, spanGaps: false, points: { show: false } },
      { label, stroke: colour, width: 1.25, spanGaps: false, points: { show: false } },
    ],
    bands: [{ series: [2, 1], fill: token("--band") }],
    axes: axes(trend.timed, unit),
    hooks: {
      drawSeries: [(plot, index) => { if (index === 2) hatch(plot, state.worst); }],
      setCursor: [(plot) => {
        const i = plot.cursor.idx;
        if (i === null || i === undefined) return;
        const [at, low, high] = plot.data;
        show("time", trend.timed ? clock.format(new Date(at[i] * 1e3)) : number.format(at[i]));
        show("min", low[i] === null ? "–" : `${number.format(low[i])} ${unit}`);
        show("max", high[i] === null ? "–" : `${number.format(high[i])} ${unit}`);
        show("quality", [words.good, words.uncertain, words.bad, words.gap][state.worst[i]]);
      }],
      setSelect: [(plot) => {
        if (plot.select.width < 8) return;
        zoom(plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x"));
      }],
    },
  };
  box.replaceChildren();
  const plot = new uPlot(options, [trend.at, trend.low, trend.high], box);
  const zoom = async (from, to) => {
    const next = await fetchRange(from, to);
    if (next.at.length === 0) return;
    state.worst = next.worst;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    plot.setData([next.at, next.low, next.high]);
    remember(from === null ? null : next.at[0], next.at[next.at.length - 1], zone);
  };
  figure.parentNode.querySelectorAll("[data-zoom]").forEach((button) => {
    button.hidden = !trend.timed;
    button.addEventListener("click", () => {
      const { min, max } = plot.scales.x;
      const half = (max - min) / 2;
      const middle = (max + min) / 2;
      if (button.dataset.zoom === "all") { zoom(null); return; }
      const reach = { in: half / 2, out: half * 2 }[button.dataset.zoom];
      zoom(Math.max(whole[0], middle - reach), Math.min(whole[1], middle + reach));
    });
  });
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: height(box) })).observe(box);
}

// The range that is seen stands in the address and in the two fields, so that reloading and sharing show the same.
function remember(from, to, zone) {
  const url = new URL(location.href);
  const two = (n) => String(n).padStart(2, "0");
  const written = (seconds) => {
    const d = uPlot.tzDate(new Date(seconds * 1e3), zone);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  };
  for (const [name, seconds] of [["from", from], ["to", to]]) {
    const field = document.getElementById(name);
    if (from === null) { url.searchParams.delete(name); if (field) field.value = field.dataset.whole ?? ""; continue; }
    url.searchParams.set(name, written(seconds));
    if (field) field.value = written(seconds);
  }
  history.replaceState(null, "", url);
}

function note(text) {
  const p = document.createElement("p");
  p.className = "note warn";
  p.textContent = text;
  return p;
}

// The report's picture is an SVG from the server; on screen it becomes one that can be looked into.
function predictions(box) {
  const series = JSON.parse(box.dataset.trend);
  const lane = document.createElement("div");
  lane.className = "lane screen";
  const printed = document.createElement("div");
  printed.className = "print";
  printed.hidden = true;
  printed.append(...box.childNodes);
  box.append(printed, lane);
  printed.removeAttribute("hidden");
  printed.classList.add("only-print");
  const options = {
    width: lane.clientWidth, height: height(lane), legend: { show: false }, scales: { x: { time: series.timed } },
    tzDate: inZone(series.zone),
    series: [
      {},
      { stroke: "transparent", width: 0, points: { show: false } },
      { stroke: "transparent", width: 0, points: { show: false } },
      { stroke: token("--ink"), width: 1.25, points: { show: false } },
      { stroke: token("--s1"), width: 1.25, points: { show: false } },
    ],
    bands: [{ series: [2, 1], fill: token("--band") }],
    axes: axes(series.timed, series.unit),
  };
  const plot = new uPlot(options, [series.at, series.lower, series.upper, series.truth, series.prediction], lane);
  new ResizeObserver(() => plot.setSize({ width: lane.clientWidth, height: height(lane) })).observe(lane);
}

document.querySelectorAll("[data-trend-url]").forEach(library);
document.querySelectorAll("[data-trend]").forEach(predictions);
