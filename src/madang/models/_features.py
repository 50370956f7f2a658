"""Features that exist at the instant of issue: what a record says, what came before it, the calendar, and known results.

A recipe is a tuple of `Feature`, plain data that is saved with the model. `build` makes the matrix from a `History` and a
`Query`; every number of a row depends only on rows before it in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json
from madang.models._frame import FloatArray, IntArray
from madang.models._history import History, Query, Timing, as_of, results_known

Matrix: TypeAlias = NDArray[np.float32]

FeatureKind = Literal[
    "now",
    "is",
    "lag",
    "roll",
    "calendar",
    "product",
    "difference",
    "ratio",
    "result",
    "results",
    "target_lag",
    "target_roll",
    "slot",
]
DAY = 86400.0


@dataclass(frozen=True)
class Feature:
    """One column of a feature matrix."""

    kind: FeatureKind
    column: str = ""
    other: str = ""
    """Second column of a product, difference or ratio."""
    code: float = 0.0
    """Category asked for (``is``), number of results back (``result``), number of results or repeats (``results``, ``slot``)."""
    span: float = 0.0
    """Clock length: lag before the issue, or width of a window, or season (``slot``, ``target_lag`` before the row's own instant)."""
    stat: str = ""
    """``mean std min max slope change`` of a window; the part of a calendar; ``median mean`` of results."""

    @property
    def name(self) -> str:
        """A short name for people and for LightGBM."""
        parts = [self.kind, self.column, self.other, self.stat]
        numbers = [f"{v:g}" for v in (self.code, self.span) if v]
        return ":".join([p for p in parts if p] + numbers)

    @property
    def title(self) -> str:
        """What the feature is, for people, in signs that both languages read."""
        match self.kind:
            case "now":
                return self.column
            case "is":
                return f"[{self.column} = {self.code:g}]"
            case "product":
                return f"{self.column} × {self.other}"
            case "difference":
                return f"({self.column} − {self.other})"
            case "ratio":
                return f"{self.column} / {self.other}"
            case "lag":
                return f"{self.column}(t−{self.span:g})"
            case "roll":
                return f"{self.stat}({self.column}, {self.span:g})"
            case _:
                return self.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the feature is made of; none for the calendar and the target's own past."""
        return tuple(c for c in (self.column, self.other) if c)

    def to_json(self) -> dict[str, Json]:
        """Return the feature as JSON values."""
        return {k: v for k, v in asdict(self).items() if v not in ("", 0.0)}

    @classmethod
    def from_json(cls, document: dict[str, Json]) -> Feature:
        """Make a feature from `to_json`'s values."""
        return cls(**document)  # type: ignore[arg-type]


Recipe: TypeAlias = tuple[Feature, ...]


class Builder:
    """Builds feature columns of one set of queries, sharing the searches between features."""

    def __init__(self, history: History, query: Query, timing: Timing) -> None:
        self._history = history
        self._query = query
        self._timing = timing
        self._found: dict[tuple[str, float], IntArray] = {}
        self._settled: IntArray | None = None
        self._sums: dict[str, tuple[FloatArray, ...]] = {}
        self._extremes: dict[tuple[str, str], list[FloatArray]] = {}
        self._known: tuple[IntArray, IntArray, IntArray] | None = None

    def matrix(self, recipe: Recipe) -> Matrix:
        """Return the features, shape (query, feature), float32, NaN where there is no such past."""
        made = np.empty((len(self._query), len(recipe)), dtype=np.float32)
        with np.errstate(all="ignore"):
            for place, feature in enumerate(recipe):
                column = self.column(feature)
                made[:, place] = np.where(np.abs(column) < 1e30, column, np.nan)
        return made

    def column(self, feature: Feature) -> FloatArray:
        """Return one feature as float64."""
        match feature.kind:
            case "now":
                return self._now(feature.column)
            case "is":
                value = self._now(feature.column)
                return np.where(np.isnan(value), np.nan, (value == feature.code).astype(np.float64))
            case "product":
                return self._now(feature.column) * self._now(feature.other)
            case "difference":
                return self._now(feature.column) - self._now(feature.other)
            case "ratio":
                below = self._now(feature.other)
                return np.where(np.abs(below) > 1e-12, self._now(feature.column) / below, np.nan)
            case "lag":
                return self._at(self._past(feature.column), self._issue_back(feature.span))
            case "roll":
                return self._window(feature.column, self._issue_back(0.0), feature)
            case "target_lag":
                return self._target_at(feature.span)
            case "target_roll":
                return self._target_window(feature)
            case "slot":
                past = [self._target_at(feature.span * k) for k in range(1, int(feature.code) + 1)]
                return _row_mean(past)
            case "result":
                return self._result(int(feature.code))
            case "results":
                return self._results(int(feature.code), feature.stat)
            case "calendar":
                return self._calendar(feature.stat)

    def _now(self, column: str) -> FloatArray:
        values = self._query.values.get(column)
        return np.full(len(self._query), np.nan) if values is None else values

    def _past(self, column: str) -> FloatArray:
        values = self._history.values.get(column)
        return np.full(len(self._history), np.nan) if values is None else values

    def _issue_back(self, span: float) -> IntArray:
        return self._search("issue", span, self._query.issue - span)

    def _search(self, what: str, span: float, instant: FloatArray) -> IntArray:
        key = (what, span)
        if key not in self._found:
            found = as_of(self._history, self._query, instant)
            clock = self._history.clock
            if len(clock):
                # A reading much older than asked for is no reading of that instant.
                stale = instant - clock[np.maximum(found, 0)] > 3 * self._timing.step
                found = np.where((found >= 0) & ~stale, found, -1)
            self._found[key] = found
        return self._found[key]

    def _at(self, values: FloatArray, found: IntArray) -> FloatArray:
        if not len(values):
            return np.full(len(found), np.nan)
        return np.where(found >= 0, values[np.maximum(found, 0)], np.nan)

    def _target_at(self, span: float) -> FloatArray:
        """The target a span before the row's own instant, if it was known at the issue."""
        found = self._search("own", span, self._query.clock - span)
        if not len(self._history):
            return np.full(len(found), np.nan)
        known = self._history.known_at[np.maximum(found, 0)] <= self._query.issue
        return np.where(known, self._at(self._history.target, found), np.nan)

    def _target_window(self, feature: Feature) -> FloatArray:
        """A window over the newest rows whose results, and those of all rows before them, were known at the issue."""
        if self._settled is None:
            reached = self._history.known_at.copy()
            for start, end in zip(self._history.starts, self._history.ends, strict=True):
                reached[start:end] = np.maximum.accumulate(reached[start:end])
            self._settled = as_of(self._history, self._query, self._query.issue, reached)
        return self._window("", self._settled, feature)

    def _window(self, column: str, end: IntArray, feature: Feature) -> FloatArray:
        """A statistic of the rows in (end - span, end] of the history."""
        history = self._history
        if not len(history):
            return np.full(len(end), np.nan)
        rows = max(1, round(feature.span / self._timing.step))
        last = np.maximum(end, 0)
        place = np.searchsorted(history.starts, last, side="right") - 1
        begin = np.maximum(last - rows + 1, history.starts[place])
        values = self._past(column) if column else history.target
        if feature.stat in ("min", "max"):
            made = self._extreme(column, values, begin, last, feature.stat)
        else:
            made = self._moment(column, values, begin, last, feature.stat)
        return np.where(end >= 0, made, np.nan)

    def _moment(self, column: str, values: FloatArray, begin: IntArray, last: IntArray, stat: str) -> FloatArray:
        if column not in self._sums:
            self._sums[column] = self._running_sums(values)
        count, first, second, crossed, zero = self._sums[column]
        history = self._history
        start = history.starts[np.searchsorted(history.starts, last, side="right") - 1]

        def total_of(sums: FloatArray) -> FloatArray:
            return sums[last] - np.where(begin > start, sums[np.maximum(begin - 1, 0)], 0.0)

        n = total_of(count)
        total = total_of(first)
        mean = np.where(n > 0, total / np.maximum(n, 1.0), np.nan)
        if stat == "mean":
            return mean + zero[last]
        if stat == "std":
            return np.where(n > 1, np.sqrt(np.maximum(total_of(second) / np.maximum(n, 1.0) - mean * mean, 0.0)), np.nan)
        middle = (begin + last) / 2.0 - start
        width = (last - begin + 1).astype(np.float64)
        lean = total_of(crossed) - middle * total
        steep = 12.0 * lean / np.maximum(width * (width * width - 1.0), 1.0)
        return np.where((width > 2) & (n == width), steep, np.nan)

    def _running_sums(self, values: FloatArray) -> tuple[FloatArray, ...]:
        """Count, sum, sum of squares and sum times place, begun anew in each run: another run's rows never touch their last bits."""
        made = tuple(np.zeros(len(values)) for _ in range(5))
        for start, end in zip(self._history.starts, self._history.ends, strict=True):
            part = values[start:end]
            good = np.isfinite(part)
            # The first good value as zero keeps the sums small; it does not depend on later rows.
            zero = float(part[np.argmax(good)]) if good.any() else 0.0
            level = np.where(good, part - zero, 0.0)
            made[0][start:end] = np.cumsum(good)
            made[1][start:end] = np.cumsum(level)
            made[2][start:end] = np.cumsum(level * level)
            made[3][start:end] = np.cumsum(level * np.arange(len(part)))
            made[4][start:end] = zero
        return made

    def _extreme(self, column: str, values: FloatArray, begin: IntArray, last: IntArray, stat: str) -> FloatArray:
        """Minimum or maximum of index ranges by a table of power-of-two windows."""
        key = (column, stat)
        best, absent = (np.fmin, np.inf) if stat == "min" else (np.fmax, -np.inf)
        if key not in self._extremes:
            level = np.where(np.isfinite(values), values, absent)
            table = [level]
            while 2 ** len(table) <= len(level):
                half = 2 ** (len(table) - 1)
                grown = table[-1].copy()
                grown[:-half] = best(table[-1][:-half], table[-1][half:])
                table.append(grown)
            self._extremes[key] = table
        table = self._extremes[key]
        width = last - begin + 1
        power = np.minimum(np.floor(np.log2(np.maximum(width, 1))).astype(np.int64), len(table) - 1)
        made = np.empty(len(begin))
        for p in np.unique(power):
            chosen = power == p
            left = table[p][begin[chosen]]
            right = table[p][np.maximum(last[chosen] - 2**p + 1, begin[chosen])]
            made[chosen] = best(left, right)
        return np.where(np.isfinite(made), made, np.nan)

    def _results_known(self) -> tuple[IntArray, IntArray, IntArray]:
        if self._known is None:
            self._known = results_known(self._history, self._query)
        return self._known

    def _result(self, back: int) -> FloatArray:
        order, after, first = self._results_known()
        place = after - 1 - back
        if not len(order):
            return np.full(len(place), np.nan)
        return np.where(place >= first, self._history.target[order[np.maximum(place, 0)]], np.nan)

    def _results(self, count: int, stat: str) -> FloatArray:
        columns = np.column_stack([self._result(k) for k in range(count)])
        if stat == "median":
            return _row_median(columns)
        return _row_mean([columns[:, k] for k in range(columns.shape[1])])

    def _calendar(self, part: str) -> FloatArray:
        wall = self._query.wall
        if wall is None:
            return np.full(len(self._query), np.nan)
        return calendar(wall, part)


def calendar(wall: NDArray[np.datetime64], part: str) -> FloatArray:
    """Return a part of the calendar in Korean time (UTC+9, no summer time): the clock that shifts and tariffs follow.

    Args:
        wall: Instants in UTC.
        part: ``hour`` [h, with fraction], ``weekday`` (Monday 0), ``week_hour`` [h from Monday 0:00], ``shift`` (0-2, 8 h from 6:00), ``month``, ``is_weekday_0`` to ``is_weekday_6`` (0/1),
            ``day_sin``, ``day_cos``, ``half_day_sin``, ``half_day_cos``, ``weekend`` (0/1), ``day_of_month``.
    """
    local = wall.astype("datetime64[us]").astype(np.int64) / 1e6 + 9 * 3600.0
    local = np.where(np.isnat(wall), np.nan, local)
    of_day: FloatArray = np.asarray(np.mod(local, DAY))
    weekday: FloatArray = np.asarray(np.mod(np.floor(local / DAY) + 3, 7))
    if part == "hour":
        return np.asarray(of_day / 3600.0)
    if part == "weekday":
        return weekday
    if part == "week_hour":
        return weekday * 24.0 + of_day / 3600.0
    if part.startswith("is_weekday_"):
        return np.where(np.isnan(weekday), np.nan, (weekday == float(part[-1])).astype(np.float64))
    if part == "weekend":
        return np.where(np.isnan(weekday), np.nan, (weekday >= 5).astype(np.float64))
    if part == "shift":
        return np.floor(np.mod(of_day / 3600.0 - 6.0, 24.0) / 8.0)
    if part in ("month", "day_of_month"):
        days = wall.astype("datetime64[us]") + np.timedelta64(9, "h")
        months = days.astype("datetime64[M]")
        number = (
            months.astype(np.int64) % 12 + 1
            if part == "month"
            else (days.astype("datetime64[D]") - months).astype(np.int64) + 1
        )
        return np.where(np.isnat(wall), np.nan, number.astype(np.float64))
    turns = {"day_sin": 1, "day_cos": 1, "half_day_sin": 2, "half_day_cos": 2}[part]
    angle = 2 * np.pi * turns * of_day / DAY
    return np.asarray(np.sin(angle) if part.endswith("sin") else np.cos(angle))


def _row_mean(columns: Sequence[FloatArray]) -> FloatArray:
    total = np.zeros(len(columns[0]))
    count = np.zeros(len(columns[0]))
    for column in columns:
        good = np.isfinite(column)
        total = total + np.where(good, column, 0.0)
        count = count + good
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _row_median(columns: FloatArray) -> FloatArray:
    """Median of the finite values of each row; NaN for a row without any."""
    ordered = np.sort(columns, axis=1)
    count = np.isfinite(columns).sum(axis=1)
    rows = np.arange(len(columns))
    low = ordered[rows, np.maximum((count - 1) // 2, 0)]
    high = ordered[rows, np.maximum(count // 2, 0)]
    return np.where(count > 0, (low + high) / 2.0, np.nan)
