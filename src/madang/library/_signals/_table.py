"""One signals dataset at one version (or at the newest), and a view of it through which a reader reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.errors import InputError
from madang.library._cards import Decision, VersionId
from madang.library._catalogue import Dataset
from madang.library._kernels import Buckets, Feature
from madang.library._signals._cards import LastValue, PointCard
from madang.library._signals._features import features_of
from madang.library._signals._index import FileIndex, Snapshot
from madang.library._signals._last import UNKNOWN, LastRow
from madang.library._signals._last_rows import last_rows
from madang.library._signals._points import Point
from madang.library._signals._slices import THREADS, Samples, ToUnit, as_stored, read_samples
from madang.library._signals._times import instant, micros
from madang.library._signals._trend import trend_of
from madang.plant import Kind, Role, affine, parse_unit

if TYPE_CHECKING:
    from madang.library._signals._reads import SignalReads

STALE_AFTER = 60.0
"""Age up to which a last value of a connection that lives is never stale, unless the asker says another [s]."""
SILENT_AFTER = 10.0
"""Age from which the last value of a connection that does not live is stale [s]."""
_STEPS_MISSED = 10.0
"""A point that is told again and again is stale after so many of its own mean steps."""
_STEPS_EVERY = 30_000_000
"""How long the mean steps of a view's points are taken as known [us]."""


_NO_WAY = (math.nan, math.nan)
"""Conversion between units of different quantities (mass to temperature): there is no value in the card's unit."""
HELD = frozenset({Role.SET_POINT, Role.STATE, Role.TEXT, Role.RECIPE, Role.LOT, Role.IDENTIFIER, Role.CATEGORY, Role.LIMIT})
"""Roles of points whose value stands until another one comes."""


class SignalTable:
    """A signals dataset, at the version that was asked for or always at the newest.

    Args:
        reads: What knows the datasets.
        dataset: The dataset.
        index: Its file index.
        number: The version; None follows the newest.
    """

    def __init__(self, reads: SignalReads, dataset: Dataset, index: FileIndex, number: int | None) -> None:
        self.reads = reads
        self.dataset = dataset
        self.index = index
        self._number = number

    @property
    def follows(self) -> bool:
        """Whether the newest version is read, and not one that was named."""
        return self._number is None

    def snapshot(self) -> Snapshot:
        """Return the files of the version."""
        return self.index.snapshot(self._number)

    def version(self) -> VersionId:
        """Return the version's name; its number is that of the Delta table."""
        return VersionId(self.dataset.name, self.snapshot().version)

    def points(self) -> dict[str, Point]:
        """Return the registered points by name."""
        return self.reads.points(self.dataset)

    def chosen(self, names: Sequence[str] | None) -> list[Point]:
        """Return the points of some names, in their order; all by number when None.

        Raises:
            InputError: There is no such point; the error lists some that there are.
        """
        known = self.points()
        if names is None:
            return list(known.values())
        unknown = [n for n in names if n not in known]
        if unknown:
            raise InputError(
                "no_such_point",
                ko=f"‘{self.dataset.name}’에 ‘{unknown[0]}’ 포인트가 없어요.",
                en=f"“{self.dataset.name}” has no point “{unknown[0]}”.",
                next_ko=f"madang library card {self.dataset.name} 로 이름을 확인하세요.",
                next_en=f"See the names with: madang library card {self.dataset.name}",
                where={"dataset": self.dataset.name, "asked": [*unknown[:50]], "known": [*list(known)[:200]]},
            )
        return [known[n] for n in names]

    def cards(self) -> list[PointCard]:
        """Return what is known of every point, by number."""
        return self.reads.cards(self.dataset, self.snapshot())


class SignalView:
    """A reader's view of some points, decided and recorded once; make one with `Library.view`.

    A screen that polls keeps its view: every poll asks the decision point again, but only an answer that has changed is recorded.

    Args:
        table: The dataset.
        points: The points it is about.
        decision: The recorded answer.
    """

    def __init__(self, table: SignalTable, points: Sequence[Point], decision: Decision) -> None:
        self.table = table
        self.decision = decision
        self._points = {p.name: p for p in points}
        self._steps: tuple[int, dict[int, tuple[int, int, int]]] | None = None

    def last(self, *, stale_after: float = STALE_AFTER, silent: Collection[str] = ()) -> list[LastValue]:
        """Return the newest sample of each point that has one; see `Library.last`.

        A value that did not change is not told again by most sources, so age alone makes nothing stale. It is where its connection is
        silent and it is older than ten seconds; or where it is older than `stale_after` and than ten of the point's own mean steps.
        A point with one sample has no step, and a set point, state or recipe may stand for ever: they are stale only with their
        connection.

        Args:
            stale_after: Age up to which no value of a living connection is stale [s].
            silent: Names of connections that do not live.
        """
        self._still()
        wanted = list(self._points.values())
        rows: dict[int, LastRow] = {}
        kept = self.table.reads.last_values(self.table.dataset) if self.table.follows else None
        if kept is not None:
            rows = {r.point: r for r in kept.get([p.id for p in wanted])}
        missing = [p.id for p in wanted if p.id not in rows or rows[p.id].cut]
        if missing:
            rows |= {r.point: r for r in last_rows(self.table.snapshot(), missing)}
        now = self.table.reads.now()
        found = [_last_value(p, rows[p.id], now) for p in wanted if p.id in rows]
        return [v if not self._is_stale(v, stale_after, silent) else replace(v, stale=True) for v in found]

    def _is_stale(self, value: LastValue, stale_after: float, silent: Collection[str]) -> bool:
        point = self._points[value.point]
        if value.age > SILENT_AFTER and point.connection in silent:
            return True
        if value.age <= stale_after or point.role in HELD or point.data_type == "text":
            return False
        step = self._step(point)
        return step is not None and value.age > _STEPS_MISSED * step

    def _step(self, point: Point) -> float | None:
        """Return the mean time between two samples of a point [s]; None where it has fewer than two."""
        now = self.table.reads.now()
        if self._steps is None or not 0 <= now - self._steps[0] < _STEPS_EVERY:
            self._steps = now, self.table.snapshot().points()
        samples, first, last = self._steps[1].get(point.id, (0, 0, 0))
        return None if samples < 2 else (last - first) / (samples - 1) / 1e6

    def range(self, point: str, start: datetime | None, end: datetime | None, *, limit: int | None = None) -> Samples:
        """Return the samples of ``start <= time < end``; see `Library.range`."""
        self._still()
        chosen = self._one(point)
        return read_samples(self.table.snapshot(), chosen.id, micros(start), micros(end), unit_of(chosen)).head(limit)

    def trend(self, start: datetime, end: datetime, buckets: int) -> dict[str, Buckets]:
        """Return the thinned trend of every point over ``start <= time < end``; see `Library.trend`."""
        self._still()
        snapshot = self.table.snapshot()
        first, beyond = micros(start), micros(end)
        return {p.name: trend_of(snapshot, p.id, first, beyond, buckets, unit_of(p)) for p in self._points.values()}

    def features(
        self, windows: Sequence[tuple[datetime, datetime]] | pa.Table, features: Sequence[Feature], *, threads: int = THREADS
    ) -> pa.Table:
        """Return statistics of every point per window; see `Library.features`."""
        self._still()
        start, end = _windows(windows)
        points = list(self._points.values())
        made = features_of(self.table.snapshot(), {p.id: unit_of(p) for p in points}, start, end, ("n", *features), threads)
        at, window = np.nonzero(made["n"])
        order = np.lexsort((at, window))
        at, window = at[order], window[order]
        names = pa.array([p.name for p in points])
        instants = (pa.array(edge[window], pa.timestamp("us", tz="UTC")) for edge in (start, end))
        columns = {"window": pa.array(window), "point": names.take(pa.array(at))}
        columns |= dict(zip(("start", "end"), instants, strict=True))
        for feature in features:
            found = made[feature][at, window]
            columns[feature] = pa.array(found.astype(np.int64)) if feature == "n" else pa.array(found, from_pandas=True)
        return pa.table(columns)

    def _one(self, name: str) -> Point:
        if name not in self._points:
            self.table.chosen([name])
            raise InputError(
                "point_not_in_view",
                ko=f"이 화면은 ‘{name}’ 포인트를 열지 않았어요.",
                en=f"This view was not opened for the point “{name}”.",
                next_ko="그 포인트도 넣어 다시 여세요.",
                next_en="Open it again with that point too.",
                where={"dataset": self.table.dataset.name, "point": name},
            )
        return self._points[name]

    def _still(self) -> None:
        self.decision = self.table.reads.door.recheck(self.decision)


def _windows(windows: Sequence[tuple[datetime, datetime]] | pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not isinstance(windows, pa.Table):
        return tuple(np.array([micros(w[k]) for w in windows], dtype=np.int64) for k in (0, 1))  # type: ignore[return-value]
    if not {"start", "end"} <= set(windows.schema.names):
        raise InputError(
            "no_windows",
            ko="구간 표에는 start 와 end 열이 있어야 해요.",
            en="A table of windows needs the columns start and end.",
            next_ko="열 이름을 start, end 로 바꾸세요.",
            next_en="Name its columns start and end.",
            where={"columns": [*windows.schema.names[:50]]},
        )
    utc = pa.timestamp("us", tz="UTC")
    start, end = (windows[n].cast(utc).cast(pa.int64()).to_numpy() for n in ("start", "end"))
    return start, end


def unit_of(point: Point) -> ToUnit:
    """Return what converts a point's runs to the unit of its card; values whose unit nobody knows stay as they are."""
    if point.unit is None:
        return as_stored
    target, kind = point.unit, point.kind
    found: dict[str | None, tuple[float, float] | None] = {}

    def convert(written: str | None) -> tuple[float, float] | None:
        if written not in found:
            found[written] = _conversion(written, target, kind)
        return found[written]

    return convert


def _conversion(written: str | None, target: str, kind: Kind) -> tuple[float, float] | None:
    unit = None if written is None else parse_unit(written, kind)
    if unit is None:
        return None
    try:
        return affine(unit, target)
    except InputError:
        return _NO_WAY


def _last_value(point: Point, row: LastRow, now: int) -> LastValue:
    by = unit_of(point)(row.unit if row.from_lake else point.unit_source)
    value = row.number if row.number is None or by is None else row.number * by[0] + by[1]
    age = (now - row.time) / 1e6
    return LastValue(
        point=point.name,
        value=value,
        text=row.text,
        time=instant(row.time),
        received=None if row.received == UNKNOWN else instant(row.received),
        quality=row.quality,
        age=age,
        stale=False,
        unit=point.unit,
    )
