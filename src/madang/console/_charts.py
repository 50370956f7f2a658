"""Charts drawn as SVG on the server: they print, need no script, and carry their numbers as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

Translate = Callable[..., str]
_WIDTH = 960


def _svg(width: int, height: int, title: str, body: Sequence[str], css: str = "chart") -> Markup:
    # Everything that came from data went through `escape` where it entered the body.
    joined = "".join(body)
    head = f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
    return Markup(f"{head}<title>{escape(title)}</title>{joined}</svg>")  # noqa: S704


def _text(x: float, y: float, words: object, anchor: str = "start", css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(str(words))}</text>'


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that cover a range.

    >>> ticks(0.0, 9.3, 4)
    [0.0, 2.5, 5.0, 7.5]
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    while (first + len(found)) * step <= high + 1e-9 * span:
        found.append((first + len(found)) * step)
    return found or [low]


def share_bar(share: object) -> Markup:
    """A share between 0 and 1 as a short bar."""
    part = max(0.0, min(1.0, _number(share) or 0.0))
    bars = f'<rect class="rest" width="96" height="6"/><rect class="part" width="{96 * part:.1f}" height="6"/>'
    return Markup(f'<svg class="meter" width="96" height="6" viewBox="0 0 96 6" aria-hidden="true">{bars}</svg>')  # noqa: S704


def candidates_chart(
    study: Mapping[str, Any], t: Translate, name: Callable[[Mapping[str, Any]], str], show: Callable[[float], str]
) -> Markup:
    """Scores of the methods with their intervals: filled on the last block, hollow on the folds."""
    rows = [c for c in study.get("candidates", []) if _number((c.get("last_block") or {}).get("value")) is not None]
    rows += [
        c for c in study.get("candidates", []) if c not in rows and _number((c.get("folds") or {}).get("value")) is not None
    ]
    rows = _best_of_each_kind(rows, study)
    values = [
        v
        for c in rows
        for part in ("folds", "last_block")
        for v in [_number((c.get(part) or {}).get(key)) for key in ("value", "low", "high")]
        if v is not None
    ]
    if not rows or not values:
        return Markup("")
    # Methods that are hopeless must not press the others together: the scale ends at a few times the best spread.
    low, high = min(values), max(values)
    points = sorted(v for c in rows for v in [_number((c.get("last_block") or {}).get("value"))] if v is not None) or [low]
    lower_better = (study.get("metric") or {}).get("better") == "lower"
    if lower_better and high > 4 * max(points[len(points) // 2], 1e-12):
        high = 4 * points[len(points) // 2]
    if not lower_better and low < 0:
        low = max(low, -1.0)
    if lower_better and low > 0 and low < 0.5 * high:
        low = 0.0
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    low, high = (low if low == 0.0 else low - pad), high + pad
    left, right, row_height, top = 230, 20, 24, 6

    def x(value: float) -> float:
        return left + (max(low, min(high, value)) - low) / (high - low) * (_WIDTH - left - right)

    height = top + row_height * len(rows) + 24
    body = []
    for tick in ticks(low, high):
        body.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{height - 22}"/>')
        body.append(_text(x(tick), height - 8, show(tick), "middle"))
    for index, candidate in enumerate(rows):
        y = top + row_height * (index + 0.5)
        chosen = candidate.get("name") == study.get("chosen")
        body.append(_text(left - 12, y + 4, name(candidate), "end", "label" if chosen else ""))
        for part, offset, css in (("folds", -4.0, "dot hollow"), ("last_block", 4.0, "dot" if chosen else "dot rest")):
            score = candidate.get(part) or {}
            value, lo, hi = (_number(score.get(key)) for key in ("value", "low", "high"))
            if value is None:
                continue
            if lo is not None and hi is not None:
                body.append(
                    f'<line class="whisker" x1="{x(lo):.1f}" x2="{x(hi):.1f}" y1="{y + offset:.1f}" y2="{y + offset:.1f}"/>'
                )
            body.append(f'<circle class="{css}" cx="{x(value):.1f}" cy="{y + offset:.1f}" r="3.5"/>')
    return _svg(_WIDTH, height, t("chart.candidates"), body)


def _best_of_each_kind(rows: Sequence[Mapping[str, Any]], study: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Keep one variant of each method (``trees``, ``trees+line`` ...): the chosen one, else the best on the folds; the table has all."""
    sign = 1 if (study.get("metric") or {}).get("better") == "lower" else -1
    best: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        base = str(row.get("name")).partition("+")[0]
        rank = _number((row.get("folds") or {}).get("value"))
        before = best.get(base)
        known = None if before is None else _number((before.get("folds") or {}).get("value"))
        if (
            before is None
            or row.get("name") == study.get("chosen")
            or (
                before.get("name") != study.get("chosen") and rank is not None and (known is None or sign * rank < sign * known)
            )
        ):
            best[base] = row
    return list(best.values())


def protocol_chart(study: Mapping[str, Any], t: Translate, count: Callable[[object], str]) -> Markup:
    """Which rows were learned from, checked on, and kept for the last block."""
    protocol = study.get("protocol") or {}
    folds = [f for f in protocol.get("folds", []) if f.get("train") and f.get("test")]
    last = protocol.get("last_block")
    ends = [float(e) for f in folds for part in ("train", "test") for e in f[part]] + [float(e) for e in last or []]
    if not ends:
        return Markup("")
    low, high = min(ends), max(ends)
    left, right, row_height = 110, 20, 20

    def bar(span: Sequence[float], row: int, css: str) -> str:
        scale = (_WIDTH - left - right) / max(high - low, 1e-9)
        width = max(2.0, (float(span[1]) - float(span[0])) * scale)
        return f'<rect class="{css}" x="{left + (float(span[0]) - low) * scale:.1f}" y="{row * row_height + 5}" width="{width:.1f}" height="11"/>'

    body: list[str] = []
    for index, fold in enumerate(folds[:12]):
        body.append(_text(left - 12, index * row_height + 15, t("chart.fold", n=index + 1), "end"))
        body.append(bar(fold["train"], index, "train"))
        body.append(bar(fold["test"], index, "test"))
    rows = min(len(folds), 12)
    if last:
        body.append(_text(left - 12, rows * row_height + 15, t("chart.last_row"), "end"))
        body.append(bar((low, float(last[0])), rows, "train"))
        body.append(bar(last, rows, "sealed"))
        rows += 1
    y = rows * row_height + 16
    body.append(_text(left, y, f"{t('chart.row_range')} {count(low)}"))
    body.append(_text(_WIDTH - right, y, count(high), "end"))
    return _svg(_WIDTH, y + 8, t("chart.protocol"), body)


def prediction_chart(
    series: Mapping[str, Any], title: str, show: Callable[[float], str], label: Callable[[object], str], height: int = 240
) -> Markup:
    """Truth, prediction and its interval over the last block; a missing value breaks the line.

    Args:
        series: Equal-length lists ``at``, ``truth``, ``prediction``, ``lower``, ``upper``; null = absent.
        title: What the picture shows, for those who cannot see it.
        show: Words of a value on the axis.
        label: Words of a place on the horizontal axis (an entry of ``at``).
        height: Height of the picture [px].
    """
    n = len(series["at"])
    columns = {key: [_number(v) for v in series.get(key) or [None] * n] for key in ("truth", "prediction", "lower", "upper")}
    values = [v for column in columns.values() for v in column if v is not None]
    if n < 2 or not values:
        return Markup("")
    low, high = _robust(columns)
    left, right, top, bottom = 64, 12, 8, 26
    places = _places(series["at"])

    def x(index: int) -> float:
        return left + places[index] * (_WIDTH - left - right)

    def y(value: float) -> float:
        return top + (high - max(low, min(high, value))) / (high - low) * (height - top - bottom)

    body = []
    for tick in ticks(low, high):
        body.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        body.append(_text(left - 8, y(tick) + 4, show(tick), "end"))
    for start, stop in _runs(
        [a is not None and b is not None for a, b in zip(columns["lower"], columns["upper"], strict=True)]
    ):
        upper = [f"{x(i):.1f},{y(columns['upper'][i] or 0.0):.1f}" for i in range(start, stop)]
        lower = [f"{x(i):.1f},{y(columns['lower'][i] or 0.0):.1f}" for i in range(stop - 1, start - 1, -1)]
        body.append(f'<polygon class="band" points="{" ".join(upper + lower)}"/>')
    for key, css in (("truth", "truth"), ("prediction", "guess")):
        for start, stop in _runs([v is not None for v in columns[key]]):
            points = " ".join(f"{x(i):.1f},{y(columns[key][i] or 0.0):.1f}" for i in range(start, stop))
            body.append(f'<polyline class="{css}" points="{points}"/>')
    for share in (0, 1, 2, 3):
        index = round(share / 3 * (n - 1))
        anchor = "start" if share == 0 else "end" if share == 3 else "middle"
        body.append(_text(x(index), height - 8, label(series["at"][index]), anchor))
    return _svg(_WIDTH, height, title, body)


def quality_strip(strip: Mapping[str, Any], title: str) -> Markup:
    """Quality of shifts as a calendar: a row for each shift of the day, a column for each day, in four steps.

    Args:
        strip: ``rows`` and ``columns`` (labels), ``values`` (per row the scores 0-1, null = no records) and ``titles`` (words).
        title: What the picture shows.
    """
    days = list(strip["columns"])
    left, row_height, top = 150, 22, 4
    width = min(26.0, (_WIDTH - left) / max(len(days), 1))
    body = []
    for row, name in enumerate(strip["rows"]):
        y = top + row * row_height
        body.append(_text(left - 10, y + 14, name, "end"))
        for place, value in enumerate(strip["values"][row]):
            share = _number(value)
            if share is None:
                continue
            step = 0 if share >= 0.95 else 1 if share >= 0.8 else 2 if share >= 0.5 else 3
            at = f'x="{left + place * width:.2f}" y="{y}" width="{max(width - 2, 1):.2f}" height="{row_height - 3}"'
            body.append(f'<rect class="q{step}" {at}><title>{escape(strip["titles"][row][place])}</title></rect>')
    y = top + len(strip["rows"]) * row_height + 14
    body.append(_text(left, y, days[0]))
    if len(days) * width > 200:
        body.append(_text(left + len(days) * width, y, days[-1], "end"))
    return _svg(_WIDTH, y + 6, title, body, "strip")


def _robust(columns: Mapping[str, list[float | None]]) -> tuple[float, float]:
    """Range of the truth and the prediction; an interval that is very wide may run out of the picture."""
    core = sorted(v for key in ("truth", "prediction") for v in columns[key] if v is not None)
    wide = sorted(v for column in columns.values() for v in column if v is not None)
    low, high = (core or wide)[0], (core or wide)[-1]
    reach = (high - low) or abs(high) or 1.0
    low, high = max(wide[0], low - 0.6 * reach), min(wide[-1], high + 0.6 * reach)
    pad = (high - low) * 0.03 or 1.0
    return low - pad, high + pad


def _places(at: Sequence[object]) -> list[float]:
    """Horizontal places from 0 to 1: true to time when the entries are numbers, else evenly spaced."""
    numbers = [_number(a) for a in at]
    n = len(at)
    if all(v is not None for v in numbers):
        known = [v for v in numbers if v is not None]
        span = known[-1] - known[0]
        if span > 0 and all(b >= a for a, b in pairwise(known)):
            return [(v - known[0]) / span for v in known]
    return [i / max(n - 1, 1) for i in range(n)]


def _runs(present: Sequence[bool]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start: int | None = None
    for index, here in enumerate([*present, False]):
        if here and start is None:
            start = index
        elif not here and start is not None:
            found.append((start, index))
            start = None
    return found
