"""What is believed to drive a target, what would prove it, and what would refute it.

The search adds one column at a time. At each step every column is freed from what is already known, and its tie to the rest of
the target is compared with the strongest tie that any column shows when the target is moved along the rows (all circular
shifts). Such a shift keeps the slowness and the cycles of both sides, so that two series which merely both wander do not count,
and the strongest over all columns pays for looking at many. What is found must keep its sign over blocks of the rows and hold
in the last part, which the search did not see.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal

import numpy as np

from madang.errors import Json
from madang.models._frame import FloatArray, Frame, IntArray, Series, Task
from madang.models._wording import (
    LOTS,
    RowWords,
    base_of,
    chance,
    column_name,
    decimals_of,
    plain,
    rows_of,
    symbol,
    with_particle,
    with_unit,
)
from madang.models._words import Cause
from madang.plant import Bilingual, Role

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
_TELLS: Final = 0.1
"""Share of the target's variation from which its own past or the calendar is said to predict it."""
_UNSEEN: Final = 30
"""Rows that the held part needs before anything is said of it."""


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
    barred: Collection[str] = (),
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
        barred: Columns that a leak was found at: consequences are nobody's causes.

    Returns:
        Causes that somebody could act on. What comes with the target or after it is never one; a forecast names only what is set
        or planned before (its own past and the calendar predict, but cause nothing; see `what_predicts`).

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
    offered = [n for n in columns if n in frame.series and n != target and n not in barred and _may_cause(frame[n], task)]
    terms = [t for name in offered for t in _terms(frame[name], rows)]
    if not outcomes or not terms:
        return ()
    reach = _reach(frame, rows, task)
    seen = int(len(rows) * (1 - _HELD))
    found: list[_Found] = []
    for y in outcomes:
        for one in _search(terms, y[:seen], reach, started + budget_seconds):
            if all(base_of(frame, one.term.name) != base_of(frame, f.term.name) for f in found):
                found.append(one)
    y = outcomes[0]
    held = [f for f in found if _holds(f, found, y, seen)]
    if not held:
        return ()
    ranked = _ranked(frame, held, terms, y)
    generator = np.random.default_rng(seed)
    told = [_told(frame, target, rows, one, share, held, y, generator) for one, share in ranked if share > 0]
    return tuple(told[:_MOST_CAUSES])


def _may_cause(series: Series, task: Task) -> bool:
    """Whether a column can be a cause by the time it is known."""
    if series.available in ("with_target", "after_result", "past_only") or series.role in (Role.TIME, Role.IDENTIFIER):
        return False
    return task != "forecast" or series.available == "before"


def what_predicts(frame: Frame, target: str, train: IntArray, ahead: int) -> Bilingual | None:
    """Say from what a forecast mostly lives: the target's own past, the time of day, the day of week.

    Each is named from a tenth of the target's variation over the training rows (squared correlation with the last value known in
    time; correlation ratio over hours and over weekdays), strongest first. None when none reaches it.

    Args:
        frame: Rows in the order of their source.
        target: Column asked for.
        train: Rows that may be seen, rising.
        ahead: How many rows before its own a forecast is issued, at least 1.
    """
    y = frame[target].values[train]
    known = np.isfinite(y)
    if known.sum() < 60 or float(np.std(y[known])) <= 0 or frame[target].categorical:
        return None
    found: list[tuple[float, Bilingual]] = []
    now, before = y[ahead:], y[: len(y) - ahead]
    both = np.isfinite(now) & np.isfinite(before)
    if both.sum() >= 60 and float(np.std(now[both])) > 0 and float(np.std(before[both])) > 0:
        found.append((float(np.corrcoef(now[both], before[both])[0, 1]) ** 2, Bilingual("자기 과거 값", "its own past values")))
    if frame.time is not None:
        at = frame.time[train]
        usable = known & ~np.isnat(at)
        hours = at[usable].astype("datetime64[h]").astype(np.int64)
        days = float(np.ptp(hours)) / 24 if len(hours) else 0.0
        if days >= 7 and len(np.unique(hours % 24)) > 3:
            found.append((_ratio(y[usable], hours % 24), Bilingual("하루 중 시각", "the time of day")))
        if days >= 28 and len(np.unique(hours // 24 % 7)) > 3:
            found.append((_ratio(y[usable], hours // 24 % 7), Bilingual("요일", "the day of week")))
    names = [name for share, name in sorted(found, key=lambda f: (-f[0], f[1].en)) if share >= _TELLS]
    if not names:
        return None
    *first, last = names
    joined = with_particle(", ".join(n.ko for n in first), "과", "와") + " " if first else ""
    ko = joined + with_particle(last.ko, "을", "를")
    en = f"{', '.join(n.en for n in first)} and {last.en}" if first else last.en
    return Bilingual(ko, en)


def _ratio(y: FloatArray, classes: IntArray) -> float:
    """Share of the variation that the means of the classes carry (correlation ratio, Pearson 1905) [-]."""
    _, place = np.unique(classes, return_inverse=True)
    count = np.bincount(place)
    means = np.bincount(place, weights=y) / count
    total = float(np.sum((y - y.mean()) ** 2))
    return float(np.sum(count * (means - y.mean()) ** 2)) / total if total > 0 else 0.0


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


def _ranked(frame: Frame, held: list[_Found], terms: Sequence[_Term], y: FloatArray) -> list[tuple[_Found, float]]:
    """Share of the explained variation of each cause, averaged over all orders of entry."""
    n = len(y)
    trend = _trend(n)
    kept = held[:6]
    parts = []
    for one in kept:
        forms = [t for t in terms if t.name == one.term.name]
        parts.append(np.stack([_lagged(t.values, one.lag) for t in forms], axis=1))
        one.others = forms
        one.twins = _twins(frame, one, terms)
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


def _twins(frame: Frame, one: _Found, terms: Sequence[_Term]) -> tuple[str, ...]:
    """Tags that move with a cause so that nothing tells them apart; the same tag in another window is no other tag."""
    own = base_of(frame, one.term.name)
    x = one.term.values - one.term.values.mean()
    size = float(np.sqrt(np.sum(x**2)))
    out: dict[str, float] = {}
    for term in terms:
        base = base_of(frame, term.name)
        if base == own or term.form == "bend":
            continue
        other = term.values - term.values.mean()
        length = float(np.sqrt(np.sum(other**2)))
        tie = 0.0 if length <= 0 or size <= 0 else abs(float(np.sum(x * other)) / size / length)
        if tie >= _TWIN:
            out[base] = max(tie, out.get(base, 0.0))
    return tuple(sorted(out, key=lambda name: (-out[name], name)))


def _told(
    frame: Frame, target: str, rows: IntArray, one: _Found, share: float, held: Sequence[_Found], y: FloatArray,
    generator: np.random.Generator,
) -> Cause:  # fmt: skip
    """Write one cause down, with the change that a trial must show."""
    x = _lagged(one.term.values, one.lag)
    others = [_lagged(f.term.values, f.lag) for f in held if f is not one]
    slope, low, high = _slope(x, y, others, generator)
    step, steps = _step(frame[one.term.name], rows, one.term)
    change, least, most = (v * steps for v in (slope, low, high))
    if least > most:
        least, most = most, least
    wanted = frame[target]
    classes = wanted.categorical or set(np.unique(y)) <= {0.0, 1.0}
    noise = float(np.std(y - y.mean())) * math.sqrt(max(0.05, 1 - _partial(x, y, others) ** 2))
    count = int(np.clip(math.ceil(2 * (2.5 * noise / max(abs(change), 1e-12)) ** 2), 3, 500))
    direction: Literal["up", "down", "both", "category"]
    if one.term.form == "class":
        direction = "category"
    elif one.term.form == "bend":
        direction = "both"
    else:
        direction = "up" if slope > 0 else "down"
    name, delay = column_name(frame, one.term.name), _delay(frame, rows, one.lag)
    said = _Said(
        name.full, name.listed, delay, rows_of(frame), _result(wanted, y, classes), one.term.form, one.term.label,
        Bilingual(*(with_unit(plain(step, max(0, -math.floor(math.log10(step)))), frame[one.term.name].unit, lang) for lang in ("ko", "en"))), slope > 0,
    )  # fmt: skip
    facts: dict[str, Json] = {
        "step": step, "change": change, "low": least, "high": most, "lots": count, "p": one.p,
        "together_with": list(one.twins), "lag_rows": one.lag, "correlation": one.tie, "feature": one.term.name,
    }  # fmt: skip
    words = [w for w in (name.window, delay) if w is not None]
    if words:
        facts["lag_ko"], facts["lag_en"] = ", ".join(w.ko for w in words), ", ".join(w.en for w in words)
    prove, refute = _trial(
        said, count, _span(change, least, most, classes, wanted.unit), _span(change / 2, None, None, classes, wanted.unit)
    )
    return Cause(
        name.base, ", ".join(w.en for w in words) or None, direction, float(share), _evidence(frame, said, one, others, x, y), prove,
        refute, facts,
    )  # fmt: skip


@dataclass(frozen=True)
class _Said:
    """The words of one cause."""

    full: Bilingual
    listed: Bilingual
    delay: Bilingual | None
    rows: RowWords
    result: Bilingual
    """What follows: the value of the target, or how often a class occurs."""
    form: Literal["line", "bend", "class"]
    label: str
    step: Bilingual
    rises: bool
    """Whether the result rises with the column (or away from its mean, or in the category)."""


def _result(target: Series, y: FloatArray, classes: bool) -> Bilingual:
    if not classes:
        return Bilingual(f"‘{target.name}’ 값", target.name)
    label = ""
    if target.categories is not None:
        known = target.values[np.isfinite(target.values)]
        share = float(np.mean(y))
        # The outcome is one class: the one whose share over all rows comes nearest.
        nearest = min(range(len(target.categories)), key=lambda k: abs(float(np.mean(known == k)) - share))
        label = target.categories[nearest]
    if not label or label.strip().lower() in ("1", "1.0", "true", "yes", "y"):
        return Bilingual(f"‘{target.name}’ 비율", f"the share of {target.name}")
    return Bilingual(f"‘{target.name}’ 가운데 ‘{label}’ 비율", f"the share of {target.name} = {label}")


def _evidence(frame: Frame, said: _Said, one: _Found, others: Sequence[FloatArray], x: FloatArray, y: FloatArray) -> Bilingual:
    """A plain sentence first, the statistics in one bracket after it."""
    blocks = [_partial(x[p], y[p], [o[p] for o in others]) for p in np.array_split(np.arange(len(y)), _BLOCKS)]
    agreeing, n = int(sum(np.sign(b) == np.sign(one.tie) for b in blocks)), len(blocks)
    timed = frame.time is not None
    share = said.result.ko.endswith("비율")
    more_ko = ("높았어요" if share else "컸어요") if said.rises else ("낮았어요" if share else "작았어요")
    more_en = "higher" if said.rises else "lower"
    had_en = f"a {more_en} {said.result.en.removeprefix('the ')}" if share else f"{more_en} {said.result.en}"
    rows, result = said.rows, said.result
    shift_ko = f" {said.delay.ko} 앞선" if said.delay else ""
    shift_en = f" {said.delay.en} before" if said.delay else ""
    subject = with_particle(result.ko, "이", "가")
    # A tag in Latin letters has no last sound that could choose the particle: the word for value takes it.
    tag = f"{said.full.ko} 값이" if said.full.ko == said.full.en else with_particle(said.full.ko, "이", "가")
    if said.form == "class":
        ko = f"{said.listed.ko} = {said.label}인 {with_particle(rows.ko, '은', '는')} 다른 {rows.ko}보다 {subject} {more_ko}"
        en = f"{rows.en.capitalize()} with {said.listed.en} = {said.label}{shift_en} had {had_en} than the others"
    elif said.form == "bend":
        ko = f"{tag} 평균에서 어느 쪽으로든 멀어진 {rows.ko}일수록 {subject} {more_ko}"
        en = f"{rows.en.capitalize()} in which {said.full.en} lay far from its mean on either side{shift_en} had {had_en}"
    else:
        ko = f"{tag} 높은 {rows.ko}일수록 {subject} {more_ko}"
        en = f"{rows.en.capitalize()} in which {said.full.en} was higher{shift_en} had {had_en}"
    if shift_ko:
        ko = ko.replace(said.full.ko, f"{shift_ko.strip()} {said.full.ko}", 1)
    parts_ko, parts_en = ("기간", "periods") if timed else ("부분", "parts")
    ko += f". {n}개 {parts_ko} 모두에서 그랬" if agreeing == n else f". {n}개 {parts_ko} 가운데 {agreeing}개에서 그랬"
    en += f", in all {n} {parts_en}" if agreeing == n else f", in {agreeing} of {n} {parts_en}"
    if len(y) - int(len(y) * (1 - _HELD)) >= _UNSEEN:
        ko += f"고, 찾을 때 보지 않은 {'뒷부분' if timed else '부분'}에서도 그랬어요"
        en += f", and again in the {'later ' if timed else ''}part that the search had not seen"
    else:
        ko += "어요"
    figure = f"{abs(one.tie):.2f}"
    counted = rows.counted(len(y))
    ko += f" (다른 원인과 추세를 뺀 상관 {figure}, {counted.ko}, {chance(one.p)})."
    en += f" (correlation {figure} after other causes and trends are taken out, {counted.en}, {chance(one.p)})."
    if one.twins:
        named = ", ".join(one.twins[:2])
        ko += f" 같이 움직여 따로 가를 수 없는 태그: {named}."
        en += f" Not to be told apart, because they move together: {named}."
    return Bilingual(ko, en)


def _trial(said: _Said, count: int, span: Bilingual, half: Bilingual) -> tuple[Bilingual, Bilingual]:
    """What to do, what proves the cause and what refutes it."""
    result = said.result
    subject = with_particle(result.ko, "이", "가")
    before_ko = f" {said.delay.ko} 뒤의 결과를 보세요." if said.delay else ""
    before_en = f" Look at the result {said.delay.en} later." if said.delay else ""
    column = f"{said.full.ko}만"
    if said.form == "class":
        ko_one, ko_two = f"{said.listed.ko} = {said.label}인 것", "아닌 것"
        en_one, en_two = f"with {said.listed.en} = {said.label}", "without"
    elif said.form == "bend":
        ko_one, ko_two = f"{column} 평균보다 {said.step.ko} 높인 것, {said.step.ko} 낮춘 것", "평균에 맞춘 것"
        en_one, en_two = (
            f"with only {said.full.en} {said.step.en} above its mean, as many {said.step.en} below it",
            "at its mean",
        )
    else:
        ko_one, ko_two = f"{column} {said.step.ko} 높인 것", "그대로 둔 것"
        en_one, en_two = f"with only {said.full.en} higher by {said.step.en}", "unchanged"
    if said.rows is LOTS:
        ko = f"같은 원료로 {with_particle(ko_one, '과', '와')} {with_particle(ko_two, '을', '를')} {count:,}로트씩 만들어 보세요."
        en = f"From the same raw material make {count:,} lots {en_one} and {count:,} {en_two}."
    else:
        ko = (
            f"나머지 조건이 같을 때 {with_particle(ko_one, '과', '와')} {with_particle(ko_two, '을', '를')} {count:,}행씩 모아 비교하세요."
            " 일부러 바꿀 수 없는 값이면 새 기록에서 그런 행을 고르세요."
        )
        en = (
            f"With all else alike, compare {count:,} records {en_one} and {count:,} {en_two}; where it cannot be set on purpose, "
            "pick such records from new data."
        )
    if said.form == "bend":
        more_ko, more_en = ("커지면", "rises") if said.rises else ("작아지면", "falls")
        return (
            Bilingual(
                f"{ko}{before_ko} 양쪽 모두에서 {subject} {more_ko} 원인이 맞아요.",
                f"{en}{before_en} If {result.en} {more_en} on both sides, the cause is confirmed.",
            ),
            Bilingual(
                f"같은 비교({count:,}{'로트' if said.rows is LOTS else '행'}씩)에서 {subject} 어느 쪽에서도 달라지지 않거나 서로 반대로 "
                "움직이면 이 원인은 아니에요.",
                f"If in that trial ({count:,} {said.rows.en} each) {result.en} changes on neither side, or in opposite ways, the cause is "
                "refuted.",
            ),
        )
    return (
        Bilingual(
            f"{ko}{before_ko} {subject} {span.ko}만큼 달라지면 원인이 맞아요.",
            f"{en}{before_en} If {result.en} changes by {span.en}, the cause is confirmed.",
        ),
        Bilingual(
            f"같은 비교({count:,}{'로트' if said.rows is LOTS else '행'}씩)에서 차이가 {half.ko}에 못 미치거나 방향이 반대면 이 원인은 아니에요.",
            f"If in that trial ({count:,} {said.rows.en} each) the difference stays below {half.en} or has the other sign, the cause is "
            "refuted.",
        ),
    )


def _span(change: float, low: float | None, high: float | None, classes: bool, unit: str | None) -> Bilingual:
    """A change with its interval, or its size alone; of a share in percentage points."""
    scale = 100.0 if classes else 1.0
    signs = ("%p", "percentage points") if classes else (symbol(unit, "ko"), symbol(unit, "en"))
    if low is None or high is None:
        ko, en = (f"{plain(abs(change) * scale)} {sign}".strip() for sign in signs)
        return Bilingual(ko, en)
    places = decimals_of(change * scale, low * scale, high * scale)
    first, last = (f"{'+' if v > 0 else ''}{plain(v * scale, places)}" for v in (low, high))
    return Bilingual(
        f"{first} ~ {last} {signs[0]}".strip() + "(95 % 구간)", f"{first} to {last} {signs[1]}".strip() + " (95 % interval)"
    )


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


def _step(series: Series, rows: IntArray, term: _Term) -> tuple[float, float]:
    """How far a trial should move a column [its unit], and what that is in the unit of the term."""
    if term.form == "class":
        return 1.0, 1.0
    known = series.values[rows]
    spread = float(np.std(_winsorised(known[np.isfinite(known)])))
    step = _round(2 * spread if term.form == "bend" else float(np.std(term.values)))
    return step, (step / max(spread, 1e-300)) ** 2 if term.form == "bend" else step


def _round(value: float) -> float:
    """One figure: 1, 2 or 5 times a power of ten, at most the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return max(k for k in (1.0, 2.0, 5.0) if k * power <= value * 1.0000001) * power


def _delay(frame: Frame, rows: IntArray, lag: int) -> Bilingual | None:
    if lag == 0 or frame.time is None:
        return None
    seconds = lag * float(np.median(np.diff(frame.time[rows].astype("datetime64[s]").astype(np.int64))))
    if seconds >= 7_200:
        return Bilingual(f"{seconds / 3600:g}시간", f"{seconds / 3600:g} h")
    return (
        Bilingual(f"{seconds / 60:g}분", f"{seconds / 60:g} min")
        if seconds >= 120
        else Bilingual(f"{seconds:g}초", f"{seconds:g} s")
    )


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
