// What every trend on uPlot shares: colours from the tokens, axes, the clock of the plant, and hatching of bad stretches.

export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const lang = document.documentElement.lang;
export const number = new Intl.NumberFormat(lang, { maximumSignificantDigits: 6 });

export const height = (box) => Math.max(220, Math.min(380, Math.round(box.clientWidth * 0.3)));

export function axes(timed, unit) {
  const line = { stroke: token("--line"), width: 1 };
  const font = `11px ${token("--sans")}`;
  // Year-month-day and the 24-hour clock read the same in both languages.
  const day = 86400;
  const clock = [
    [day * 365, "{YYYY}", null, null, null, null, null, null, 1],
    [day * 28, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [day, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [0, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  ];
  return [
    { stroke: token("--ink-2"), grid: line, ticks: line, font, space: 70, values: timed ? clock : undefined },
    { stroke: token("--ink-2"), grid: line, ticks: line, font, size: 64, label: unit || undefined, labelFont: font, labelSize: unit ? 18 : 0,
      values: (_, ticks) => ticks.map((tick) => number.format(tick).replace("-", "−")) },
  ];
}

export const inZone = (zone) => (seconds) => uPlot.tzDate(new Date(seconds * 1e3), zone);

export function hatch(plot, worst) {
  const { ctx, bbox } = plot;
  const [at] = plot.data;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = token("--hatch");
  ctx.lineWidth = devicePixelRatio;
  const step = 5 * devicePixelRatio;
  const strip = 10 * devicePixelRatio;
  const foot = bbox.top + bbox.height;
  for (let i = 0; i < at.length; i += 1) {
    if (worst[i] !== 1 && worst[i] !== 2) continue;
    let last = i;
    while (last + 1 < at.length && (worst[last + 1] === 1 || worst[last + 1] === 2)) last += 1;
    const from = plot.valToPos(at[i], "x", true);
    const to = Math.max(plot.valToPos(at[Math.min(last + 1, at.length - 1)], "x", true), from + 2 * devicePixelRatio);
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, foot - strip, to - from, strip);
    ctx.clip();
    ctx.beginPath();
    for (let x = from - strip; x < to; x += step) { ctx.moveTo(x, foot); ctx.lineTo(x + strip, foot - strip); }
    ctx.stroke();
    ctx.restore();
    i = last;
  }
  ctx.restore();
}
