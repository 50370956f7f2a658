"""What is believed to drive a target, what would prove it, and what would refute it.

The search adds one column at a time. At each step every column is freed from what is already known, and its tie to the rest of
the target is compared with the strongest tie that any column shows when the target is moved along the rows (all circular
shifts). Such a shift keeps the slowness and the cycles of both sides, so that two series which merely both wander do not count,
and the strongest over all columns pays for looking at many. What is found must keep its sign over blocks of the rows and hold
in the last part, which the search did not see.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal

import numpy as np

from madang.errors import Json
from madang.models._frame import FloatArray, Frame, IntArray, Series, Task
from madang.models._words import Cause
from madang.plant import Bilingual

_MOST_ROWS: Final = 20_000
_MOST_CAUSES: Final = 3
_MOST_STEPS: Final = 8
_SURE: Final = 0.01
"""Family-wise chance of a false step."""
_HELD: Final = 0.25
"""Share of the training rows, the last ones, that the search does not see."""
_BLOCKS: Final = 5
_TWIN: Final = 0.8
"""Correlation from which two columns are told together, as proxies of one another."""
_LEAST: Final = 0.01
"""Share of the target's variation below which a cause is not worth naming."""


@dataclass
class _Term:
    """One way in which a column may act."""

    name: str
    values: FloatArray
    form: Literal["line", "bend", "class"]
    label: str = ""


@dataclass
class _Found:
    term: _Term
    lag: int
    p: float
    tie: float
    """Correlation with the rest of the target, freed from the earlier ones [-]."""
    twins: tuple[str, ...] = ()
    others: list[_Term] = field(default_factory=list)


def find_causes(
    frame: Frame,
    target: str,
    task: Task,
    columns: Sequence[str],
    *,
    train: IntArray,
    seed: int,
    budget_seconds: float = 10.0,
) -> tuple[Cause, ...]:
    """Name up to three believed causes of the target, strongest first; none where nothing holds.

    Args:
        frame: Rows in the order of their source.
        target: Column asked for.
        task: For a forecast, and for rows at equal steps of time, delays are searched.
        columns: Inputs that are known before the result and carry no leak.
        train: Rows that may be seen, rising.
        seed: Of the bootstrap.
        budget_seconds: Time after which no further step is begun.

    Source:
        Maximum over columns as null: Westfall and Young (1993), Resampling-based multiple testing. Freed from earlier
        columns: Frisch and Waugh (1933). Shares: Lindeman, Merenda and Gold (1980).
    """
    started = time.monotonic()
    rows = np.asarray(train, dtype=np.int64)
    rows = rows[np.isfinite(frame[target].values[rows])][-_MOST_ROWS:]
    if len(rows) < 60:
        return ()
    outcomes = _outcomes(frame[target], rows, task)
    terms = [t for name in columns if name in frame.series and name != target for t in _terms(frame[name], rows)]
    if not outcomes or not terms:
        return ()
    reach = _reach(frame, rows, task)
    seen = int(len(rows) * (1 - _HELD))
    found: list[_Found] = []
    for y in outcomes:
        for one in _search(terms, y[:seen], reach, started + budget_seconds):
            if all(_base(one.term.name) != _base(f.term.name) for f in found):
                found.append(one)
    y = outcomes[0]
    held = [f for f in found if _holds(f, found, y, seen)]
    if not held:
        return ()
    ranked = _ranked(held, terms, y, reach)
    generator = np.random.default_rng(seed)
    told = [_told(frame, target, rows, one, share, held, y, generator) for one, share in ranked if share > 0]
    return tuple(told[:_MOST_CAUSES])


def _outcomes(target: Series, rows: IntArray, task: Task) -> list[FloatArray]:
    """The target, freed from a slow trend; one mark per class where there are classes."""
    y = target.values[rows]
    if not (target.categorical or task == "classification"):
        return [_winsorised(y)] if float(np.std(y)) > 0 else []
    levels, count = np.unique(y, return_counts=True)
    if len(levels) < 2:
        return []
    if len(levels) == 2:
        return [(y == levels[count.argmin()]).astype(np.float64)]
    common = levels[np.argsort(-count, kind="stable")][:4]
    return [(y == level).astype(np.float64) for level in common]


def _winsorised(x: FloatArray) -> FloatArray:
    low, high = np.nanquantile(x, (0.005, 0.995))
    return np.clip(x, low, high)


def _terms(series: Series, rows: IntArray) -> list[_Term]:
    x = series.values[rows]
    known = np.isfinite(x)
    if known.mean() < 0.5 or len(np.unique(x[known])) < 2:
        return []
    if series.categories is not None:
        levels, count = np.unique(x[known], return_counts=True)
        kept = [level for level, n in zip(levels, count, strict=True) if 20 <= n <= len(rows) - 20]
        return [
            _Term(series.name, (x == level).astype(np.float64), "class", series.categories[int(level)]) for level in kept[:12]
        ]
    filled = np.where(known, x, float(np.median(x[known])))
    line = _winsorised(filled)
    spread = float(np.std(line))
    if spread <= 0:
        return []
    out = [_Term(series.name, line, "line")]
    if len(np.unique(line)) > 4:
        out.append(_Term(series.name, ((line - line.mean()) / spread) ** 2, "bend"))
    return out


def _reach(frame: Frame, rows: IntArray, task: Task) -> int:
    """How many rows back a column may act: none for lots, up to 48 for rows at equal steps of time."""
    if task != "forecast" and frame.group is not None:
        return 0
    if frame.time is None or frame.facts.get("rows_are") == "lots":
        return 0
    steps = np.diff(frame.time[rows].astype("datetime64[us]").astype(np.int64))
    if len(steps) < 200 or np.median(steps) <= 0:
        return 0
    even = float(np.mean(np.abs(steps - np.median(steps)) <= 0.01 * np.median(steps)))
    return int(min(48, len(rows) // 50)) if even > 0.9 else 0


def _trend(n: int) -> FloatArray:
    """Orthonormal polynomials up to the third degree: a drift common to all columns is nobody's cause."""
    at = np.linspace(-1, 1, n)
    basis, _ = np.linalg.qr(np.stack([at**k for k in range(4)], axis=1))
    return np.asarray(basis, dtype=np.float64)


def _free(table: FloatArray, basis: FloatArray) -> FloatArray:
    return table - basis @ (basis.T @ table)


def _search(terms: Sequence[_Term], y: FloatArray, reach: int, until: float) -> list[_Found]:
    n = len(y)
    basis = _trend(n)
    table = _free(np.stack([t.values[:n] for t in terms], axis=1), basis)
    whole = np.sqrt((table**2).sum(axis=0))
    rest = _free(y[:, None], basis)[:, 0]
    start = float(np.sqrt(np.sum(rest**2)))
    found: list[_Found] = []
    taken: set[str] = set()
    while len(found) < _MOST_STEPS and time.monotonic() < until and start > 0:
        size = np.sqrt((table**2).sum(axis=0))
        open_ = np.array([t.name not in taken for t in terms]) & (size > 0.2 * np.maximum(whole, 1e-300))
        left = float(np.sqrt(np.sum(rest**2)))
        if not open_.any() or left <= 1e-9 * start:
            break
        memory = _memory(rest)
        whitened, quick = _whiten(table, memory), _whiten(rest[:, None], memory)[:, 0]
        place, lag, tie, p = _strongest(whitened, open_, quick, reach)
        if p > _SURE or tie**2 < _LEAST:
            break
        chosen = terms[place]
        found.append(_Found(chosen, lag, p, tie))
        taken.add(chosen.name)
        # Free everything from the column in both of its forms, at its delay.
        same = [k for k, t in enumerate(terms) if t.name == chosen.name]
        for k in same:
            new = np.roll(table[:, k], lag)
            new = new - basis @ (basis.T @ new)
            length = float(np.sqrt(np.sum(new**2)))
            if length <= 1e-6 * max(whole[k], 1e-300):
                continue
            basis = np.column_stack([basis, new / length])
            table = _free(table, new[:, None] / length)
            rest = _free(rest[:, None], new[:, None] / length)[:, 0]
    return found


def _memory(rest: FloatArray) -> float:
    """First-order autocorrelation of what is left of the target, between 0 and 0.98 [-]."""
    now, before = rest[1:], rest[:-1]
    size = float(np.sum(before * before))
    return 0.0 if size <= 0 else float(np.clip(np.sum(now * before) / size, 0.0, 0.98))


def _whiten(table: FloatArray, memory: float) -> FloatArray:
    """Take the target's own memory out of every column alike (Cochrane and Orcutt, 1949): rows then count as separate."""
    return table[1:] - memory * table[:-1]


def _strongest(table: FloatArray, open_: np.ndarray, rest: FloatArray, reach: int) -> tuple[int, int, float, float]:
    """The strongest tie within reach, and how often a shifted target shows as strong a one in any column."""
    n = len(rest)
    size = np.maximum(np.sqrt((table**2).sum(axis=0)), 1e-300)
    rest = rest / max(float(np.sqrt(np.sum(rest**2))), 1e-300)
    far = max(2 * reach + 2, n // 20, 10)
    wave = np.fft.rfft(rest)
    best = (-1, 0, 0.0)
    null = np.zeros(n)
    for k in np.flatnonzero(open_):
        # c[s] = sum over t of table[t - s] * rest[t]: the column s rows earlier.
        c = np.fft.irfft(wave * np.conj(np.fft.rfft(table[:, k])), n) / size[k]
        strength = np.abs(c)
        lag = int(np.argmax(strength[: reach + 1]))
        if strength[lag] > abs(best[2]):
            best = (int(k), lag, float(c[lag]))
        np.maximum(null, strength, out=null)
    if reach:
        null = np.max(np.stack([np.roll(null, -k) for k in range(0, reach + 1, max(1, reach // 8))]), axis=0)
    away = null[far : n - far]
    p = (1 + float(np.sum(away >= abs(best[2])))) / (1 + len(away))
    return best[0], best[1], best[2], p


def _lagged(x: FloatArray, lag: int) -> FloatArray:
    if lag == 0:
        return x
    return np.concatenate([np.full(lag, x[0]), x[:-lag]])


def _holds(one: _Found, found: Sequence[_Found], y: FloatArray, seen: int) -> bool:
    """Whether a cause keeps its sign over blocks and in the rows that the search did not see, freed from the others."""
    n = len(y)
    others = [_lagged(f.term.values, f.lag) for f in found if f is not one]
    x = _lagged(one.term.values, one.lag)
    ties = [
        _partial(x[part], y[part], [o[part] for o in others])
        for part in np.array_split(np.arange(seen), _BLOCKS)
        if len(part) > 20
    ]
    sign = np.sign(one.tie)
    agreeing = sum(np.sign(t) == sign for t in ties)
    if ties and agreeing < max(1, math.ceil(0.8 * len(ties))):
        return False
    last = slice(seen, n)
    if n - seen < 30:
        return True
    late = _partial(x[last], y[last], [o[last] for o in others])
    return bool(np.sign(late) == sign and abs(late) > 1.3 / math.sqrt(n - seen))


def _partial(x: FloatArray, y: FloatArray, others: Sequence[FloatArray]) -> float:
    """Correlation after others, a trend and the target's own memory are taken out [-]."""
    n = len(y)
    at = np.linspace(-1, 1, n)
    design = np.stack([np.ones(n), at, *others], axis=1)
    both = np.stack([x, y], axis=1)
    weights, *_ = np.linalg.lstsq(design, both, rcond=1e-8)
    rest = both - design @ weights
    rest = _whiten(rest, _memory(rest[:, 1]))
    size = float(np.sqrt(np.sum(rest[:, 0] ** 2) * np.sum(rest[:, 1] ** 2)))
    return 0.0 if size <= 0 else float(np.sum(rest[:, 0] * rest[:, 1])) / size


def _base(name: str) -> str:
    """The tag behind a feature: ``kiln_t3 mean over soak`` and ``kiln_t3 max`` are one."""
    return re.split(r"\s|__|@", name.strip(), maxsplit=1)[0].lower()


def _ranked(held: list[_Found], terms: Sequence[_Term], y: FloatArray, reach: int) -> list[tuple[_Found, float]]:
    """Share of the explained variation of each cause, averaged over all orders of entry."""
    n = len(y)
    del reach
    trend = _trend(n)
    kept = held[:6]
    parts = []
    for one in kept:
        forms = [t for t in terms if t.name == one.term.name]
        parts.append(np.stack([_lagged(t.values, one.lag) for t in forms], axis=1))
        one.others = forms
        one.twins = _twins(one, terms)
    rest = _free(y[:, None], trend)[:, 0]
    total = float(np.sum(rest**2))
    freed = [_free(p, trend) for p in parts]

    def explained(chosen: tuple[int, ...]) -> float:
        if not chosen:
            return 0.0
        design = np.concatenate([freed[k] for k in chosen], axis=1)
        weights, *_ = np.linalg.lstsq(design, rest, rcond=1e-8)
        return 1.0 - float(np.sum((rest - design @ weights) ** 2)) / total

    m = len(kept)
    gains = {c: explained(c) for size in range(m + 1) for c in combinations(range(m), size)}
    shares = []
    for k in range(m):
        value = 0.0
        for size in range(m):
            weight = 1.0 / (m * math.comb(m - 1, size))
            value += weight * sum(
                gains[tuple(sorted((*c, k)))] - gains[c] for c in combinations([i for i in range(m) if i != k], size)
            )
        shares.append(max(0.0, value))
    whole = max(sum(shares), 1e-12)
    order = sorted(range(m), key=lambda k: (-shares[k], kept[k].term.name))
    return [(kept[k], shares[k] / whole) for k in order]


def _twins(one: _Found, terms: Sequence[_Term]) -> tuple[str, ...]:
    x = one.term.values - one.term.values.mean()
    size = float(np.sqrt(np.sum(x**2)))
    out: dict[str, float] = {}
    for term in terms:
        if term.name == one.term.name or term.form == "bend":
            continue
        other = term.values - term.values.mean()
        length = float(np.sqrt(np.sum(other**2)))
        tie = 0.0 if length <= 0 or size <= 0 else abs(float(np.sum(x * other)) / size / length)
        if tie >= _TWIN:
            out[term.name] = max(tie, out.get(term.name, 0.0))
    return tuple(sorted(out, key=lambda name: (-out[name], name)))


def _told(
    frame: Frame, target: str, rows: IntArray, one: _Found, share: float, held: Sequence[_Found], y: FloatArray,
    generator: np.random.Generator,
) -> Cause:  # fmt: skip
    """Write one cause down, with the change that a trial must show."""
    x = _lagged(one.term.values, one.lag)
    others = [_lagged(f.term.values, f.lag) for f in held if f is not one]
    slope, low, high = _slope(x, y, others, generator)
    step = 1.0 if one.term.form == "class" else _round(float(np.std(one.term.values)))
    change, least, most = (v * step for v in (slope, low, high))
    if least > most:
        least, most = most, least
    series, wanted = frame[one.term.name], frame[target]
    unit = f" {series.unit}" if series.unit else ""
    classes = wanted.categorical or set(np.unique(y)) <= {0.0, 1.0}
    y_unit = "" if classes else (f" {wanted.unit}" if wanted.unit else "")
    noise = float(np.std(y - y.mean())) * math.sqrt(max(0.05, 1 - _partial(x, y, others) ** 2))
    lots = int(np.clip(math.ceil(2 * (2.5 * noise / max(abs(change), 1e-12)) ** 2), 3, 500))
    direction: Literal["up", "down", "both", "category"]
    if one.term.form == "class":
        direction = "category"
    elif one.term.form == "bend":
        direction = "both"
    else:
        direction = "up" if slope > 0 else "down"
    name, lag = one.term.name, _lag_text(frame, rows, one.lag)
    blocks = [_partial(x[p], y[p], [o[p] for o in others]) for p in np.array_split(np.arange(len(y)), _BLOCKS)]
    agreeing = sum(np.sign(b) == np.sign(one.tie) for b in blocks)
    figure = f"{abs(one.tie):.2f}"
    proxies_ko = f" 같이 움직여 구별되지 않는 열: {', '.join(one.twins[:3])}." if one.twins else ""
    proxies_en = f" Moves together with, and is not told apart from: {', '.join(one.twins[:3])}." if one.twins else ""
    evidence = Bilingual(
        ko=f"다른 원인과 추세를 뺀 뒤의 상관 {figure}(학습 {len(y)}행, 이동 검정 p={one.p:.3f}), "
        f"{len(blocks)}개 구간 중 {agreeing}개에서 같은 방향이고 보지 않은 뒷부분에서도 유지돼요.{proxies_ko}",
        en=f"correlation {figure} after other causes and trends are taken out ({len(y)} training rows, shift test p={one.p:.3f}), "
        f"the same sign in {agreeing} of {len(blocks)} blocks, and it holds in the later part that the search did not see.{proxies_en}",
    )
    span = f"{_number(least)} ~ {_number(most)}{y_unit}"
    half = _number(abs(change) / 2) + y_unit
    what_ko, what_en = _what(target, classes)
    if one.term.form == "class":
        do_ko, do_en = f"{name}={one.term.label}인 로트와 아닌 로트를", f"lots with {name} = {one.term.label} and lots without,"
    elif one.term.form == "bend":
        do_ko = f"{name}만 지금의 평균에서 양쪽으로 {_number(step)}{unit} 벗어난 로트를"
        do_en = f"lots with only {name} moved {_number(step)}{unit} to either side of its mean"
    else:
        do_ko = f"{name}만 {_number(step)}{unit} 높인 로트와 그대로인 로트를"
        do_en = f"lots with only {name} higher by {_number(step)}{unit} beside unchanged lots"
    if one.term.form == "bend":
        span = f"|{what_en}|"
        prove = Bilingual(
            ko=f"같은 원료 로트로 {do_ko} {lots}개씩 만들어 보세요. 양쪽 모두에서 {what_ko} 같은 방향으로 달라지면 원인이 맞아요.",
            en=f"Make {lots} {do_en}, from the same raw lot. If {what_en} changes the same way on both sides, the cause is confirmed.",
        )
        refute = Bilingual(
            ko=f"같은 시험에서 {what_ko} 어느 쪽에서도 달라지지 않거나 서로 반대로 움직이면 이 원인은 기각돼요.",
            en=f"If in the same trial {what_en} changes on neither side, or in opposite ways, the cause is refuted.",
        )
    else:
        prove = Bilingual(
            ko=f"같은 원료 로트로 {do_ko} {lots}개씩 만들어 보세요. {what_ko} {span}만큼 달라지면 원인이 맞아요.",
            en=f"Make {lots} {do_en} from the same raw lot. If {what_en} changes by {span}, the cause is confirmed.",
        )
        refute = Bilingual(
            ko=f"같은 시험({lots}개씩)에서 차이가 {half}에 못 미치거나 방향이 반대면 이 원인은 기각돼요.",
            en=f"If in that trial ({lots} lots each) the difference stays below {half} or has the other sign, the cause is refuted.",
        )
    facts: dict[str, Json] = {
        "step": step, "change": change, "low": least, "high": most, "lots": lots, "p": one.p,
        "together_with": list(one.twins), "lag_rows": one.lag, "correlation": one.tie,
    }  # fmt: skip
    return Cause(name, lag, direction, float(share), evidence, prove, refute, facts)


def _what(target: str, classes: bool) -> tuple[str, str]:
    return (f"{target}의 비율이", f"the share of {target}") if classes else (f"{target} 값이", target)


def _slope(
    x: FloatArray, y: FloatArray, others: Sequence[FloatArray], generator: np.random.Generator
) -> tuple[float, float, float]:
    """Effect of one unit of `x`, freed from the others and a trend, with its 95 % block-bootstrap interval."""
    n = len(y)
    design = np.concatenate([_trend(n), np.stack(others, axis=1)], axis=1) if others else _trend(n)
    both = np.stack([x, y], axis=1)
    weights, *_ = np.linalg.lstsq(design, both, rcond=1e-8)
    rest = both - design @ weights
    products, squares = rest[:, 0] * rest[:, 1], rest[:, 0] ** 2
    slope = float(products.sum() / max(float(squares.sum()), 1e-300))
    blocks = np.array_split(np.arange(n), min(40, max(4, n // 10)))
    a = np.array([products[b].sum() for b in blocks])
    b = np.array([squares[k].sum() for k in blocks])
    drawn = generator.integers(0, len(blocks), (400, len(blocks)))
    slopes = a[drawn].sum(axis=1) / np.maximum(b[drawn].sum(axis=1), 1e-300)
    low, high = np.quantile(slopes, (0.025, 0.975))
    return slope, float(low), float(high)


def _round(value: float) -> float:
    """One figure: 1, 2 or 5 times a power of ten, at most the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return max(k for k in (1.0, 2.0, 5.0) if k * power <= value * 1.0000001) * power


def _number(value: float) -> str:
    return f"{value:.3g}"


def _lag_text(frame: Frame, rows: IntArray, lag: int) -> str | None:
    if lag == 0 or frame.time is None:
        return None
    seconds = lag * float(np.median(np.diff(frame.time[rows].astype("datetime64[s]").astype(np.int64))))
    if seconds >= 7_200:
        return f"{seconds / 3600:g} h"
    return f"{seconds / 60:g} min" if seconds >= 120 else f"{seconds:g} s"


def look_at(
    frame: Frame, target: str, predictions: FloatArray, intervals: FloatArray, *, most: int = 10
) -> list[dict[str, Json]]:
    """List the rows to check by hand: those whose result lies farthest outside its interval, counted in interval widths.

    Args:
        frame: The rows that were predicted.
        target: Column asked for.
        predictions: One per row, NaN where there was none; for classes the probability of the row's own class.
        intervals: Lower and upper ends, shape (row, 2).
        most: Longest list.
    """
    y = frame[target].values
    width = np.maximum(intervals[:, 1] - intervals[:, 0], 1e-12)
    if frame[target].categorical:
        far = 1.0 - predictions
        outside = predictions < 0.1
    else:
        far = np.maximum(intervals[:, 0] - y, y - intervals[:, 1]) / width
        outside = far > 0
    usable = np.isfinite(far) & outside & np.isfinite(y)
    order = [int(k) for k in np.argsort(-np.where(usable, far, -np.inf), kind="stable") if usable[k]][:most]
    out: list[dict[str, Json]] = []
    for k in order:
        part = int(frame.part[k])
        stamp = None if frame.time is None or np.isnat(frame.time[k]) else f"{np.datetime_as_string(frame.time[k], unit='s')}Z"
        reason = Bilingual(ko="결과가 예측구간에서 멀리 벗어났어요.", en="The result lies far outside its interval.")
        out.append(
            {
                "source": frame.sources[part] if part < len(frame.sources) else None,
                "row": int(frame.row[k]),
                "time": stamp,
                "group": None if frame.group is None else str(frame.group[k]),
                **reason.fields("reason"),
            }
        )
    return out
