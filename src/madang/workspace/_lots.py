"""When each lot was made, for the screens that show signals: from the dataset that holds a record per lot with its start and its end."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from madang.errors import InputError, Json
from madang.plant import Role

if TYPE_CHECKING:
    from madang.library import Library

PURPOSE: Final = "trend"
_LIMIT: Final = 500
_MOST_RECORDS: Final = 200_000
"""Records of a dataset above which it is not looked into unless it is named."""
_FRESH: Final = 10.0
"""Seconds for which it is known which datasets there are, and what they hold."""
_START: Final = re.compile(r"시작|투입|착수|개시|start|begin|charged|_in$|^from$", re.IGNORECASE)
_END: Final = re.compile(r"종료|완료|배출|마감|끝|end|finish|complete|discharge|_out$|^to$", re.IGNORECASE)
_OPEN_FOR: Final = 10
"""A lot without an end is taken for one under way for so many times as long as lots mostly take."""


@dataclass(frozen=True)
class Lot:
    """One lot."""

    name: str
    start: datetime
    end: datetime | None
    """None while it is under way."""


@dataclass(frozen=True)
class _Intervals:
    name: NDArray[np.object_]
    start: NDArray[np.int64]
    """[us since 1970]"""
    end: NDArray[np.int64]
    """The largest number while it is under way."""


_NEVER: Final = int(np.iinfo(np.int64).max)


class Lots:
    """Finds the lots of a span.

    Args:
        library: Where the datasets are.
        reader: Party on whose behalf they are read.
    """

    def __init__(self, library: Library, reader: str) -> None:
        self._library = library
        self._reader = reader
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, _Intervals | None]] = {}
        self._listed: tuple[float, list[tuple[str, object]]] = (-1e9, [])

    def between(self, start: datetime, end: datetime, dataset: str | None = None) -> list[Lot]:
        """Return the lots that were under way in a span, oldest first, 500 at most.

        Args:
            start: First instant.
            end: First instant not wanted any more.
            dataset: The dataset that holds them; when None, the only one that has lots in the span, and none where there are several.

        Raises:
            InputError: There is no such dataset, or it has no lot, start and end.
        """
        low, high = _micros(start), _micros(end)
        with self._lock:
            if dataset is not None:
                intervals = self._intervals(dataset, time.monotonic() // _FRESH)
                if intervals is None:
                    raise _no_lots(dataset)
                return _within(intervals, low, high)
            hit = [found for name, stamp in self._candidates() if (found := self._quietly(name, stamp, low, high))]
        return hit[0] if len(hit) == 1 else []

    def _candidates(self) -> list[tuple[str, object]]:
        now = time.monotonic()
        if now - self._listed[0] >= _FRESH:
            listed = self._library.list()["datasets"]
            assert isinstance(listed, list)
            fits = [
                d for d in listed if isinstance(d, dict) and d["kind"] != "signals" and int(str(d["rows"])) <= _MOST_RECORDS
            ]
            self._listed = now, [(str(d["dataset"]), d["version"]) for d in fits]
            self._known = {name: kept for name, kept in self._known.items() if name in {str(d["dataset"]) for d in fits}}
        return self._listed[1]

    def _quietly(self, name: str, stamp: object, low: int, high: int) -> list[Lot]:
        from madang.errors import MadangError

        try:
            intervals = self._intervals(name, stamp)
        except MadangError:  # it was removed meanwhile, or this reader may not see it: it has no lots to show
            return []
        return [] if intervals is None else _within(intervals, low, high)

    def _intervals(self, name: str, stamp: object) -> _Intervals | None:
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = stamp, self._read(name)
        return known[1]

    def _read(self, name: str) -> _Intervals | None:
        columns = self._library.card(name)["columns"]
        assert isinstance(columns, list)
        chosen = columns_of([c for c in columns if isinstance(c, dict)])
        if chosen is None:
            return None
        table = self._library.read(name, reader=self._reader, purpose=PURPOSE, columns=[*chosen]).table
        return _intervals_of([table[c] for c in chosen])


def columns_of(columns: Sequence[dict[str, Json]]) -> tuple[str, str, str] | None:
    """Return the columns that name a lot, its start and its end: the first start and the last end where there are several steps.

    >>> times = [{"name": n, "role": "time"} for n in ("투입일시", "유지시작", "유지종료", "배출일시", "수정일시")]
    >>> columns_of([{"name": "로트번호", "role": "lot"}, *times])
    ('로트번호', '투입일시', '배출일시')
    """
    lots = [str(c["name"]) for c in columns if c["role"] == Role.LOT]
    times = [str(c["name"]) for c in columns if c["role"] == Role.TIME]
    starts, ends = [t for t in times if _START.search(t)], [t for t in times if _END.search(t)]
    return (lots[0], starts[0], ends[-1]) if lots and starts and ends and starts[0] != ends[-1] else None


def _intervals_of(columns: Sequence[Any]) -> _Intervals | None:
    """Return the intervals of lots; None where a lot has more than one record: those are steps of lots, or pieces."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name, start, end = columns
    if not pa.types.is_timestamp(start.type) or not pa.types.is_timestamp(end.type):
        return None
    good = pc.and_(pc.is_valid(name), pc.is_valid(start))
    utc = pa.timestamp("us", tz="UTC")
    names = name.filter(good).cast(pa.string()).to_numpy(zero_copy_only=False)
    if len(set(names.tolist())) != len(names):
        return None
    from_ = start.filter(good).cast(utc).cast(pa.int64()).to_numpy()
    to = end.filter(good).cast(utc).cast(pa.int64()).fill_null(_NEVER).to_numpy()
    order = np.argsort(from_, kind="stable")
    return _Intervals(names[order], from_[order], to[order])


def _within(of: _Intervals, low: int, high: int) -> list[Lot]:
    closed = (of.end != _NEVER) & (of.end > of.start)
    longest = _OPEN_FOR * int(np.median((of.end - of.start)[closed])) if closed.any() else high - low
    until = np.where(of.end != _NEVER, of.end, of.start + longest)
    hit = np.flatnonzero((of.start < high) & (until > low))[-_LIMIT:]
    rows = zip(of.name[hit].tolist(), of.start[hit].tolist(), of.end[hit].tolist(), strict=True)
    return [Lot(name, _instant(a), None if b == _NEVER else _instant(b)) for name, a, b in rows]


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def _no_lots(dataset: str) -> InputError:
    return InputError(
        "no_lot_times",
        ko=f"‘{dataset}’에는 로트마다 시작과 끝이 한 줄씩 있지 않아요.",
        en=f"“{dataset}” does not hold one record per lot with its start and its end.",
        next_ko="로트 열, 시작 열, 끝 열이 있는 데이터셋을 고르세요. 열의 역할은 매핑에서 고칠 수 있어요.",
        next_en="Name a dataset with a column for the lot, its start and its end; roles of columns can be corrected under mapping.",
        where={"dataset": dataset},
    )
