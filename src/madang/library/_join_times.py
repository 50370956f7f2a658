"""When the rows of a table are: start, end, and when a result became known."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.errors import Json
from madang.library._cards import ColumnCard
from madang.plant import Bilingual

Instants = NDArray[np.datetime64]

_RESULT = re.compile(
    "result|report|approv|releas|complet|issued|judg|entered|regist|updated|confirm|결과|보고|승인|판정|등록|입력|발행|확정|수정|통보"
)
_START = re.compile("start|begin|begun|charge(?!d?out)|loaded|시작|착수|개시|투입|장입|입실")
_END = re.compile("end|finish|discharg|unload|stop|종료|완료|배출|끝|출고|취출")


@dataclass(frozen=True)
class TableView:
    """A table to be joined, with what is known about its columns."""

    name: str
    """How the reader of a report knows it: dataset, or file."""
    table: pa.Table
    columns: tuple[ColumnCard, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class RowTimes:
    """Instants of the rows (datetime64[us], NaT where unknown)."""

    start: Instants
    end: Instants
    """Equal to `start` where the rows are points in time."""
    result: Instants | None
    """When the row's result became known, where the table says so."""
    start_column: str
    end_column: str
    result_column: str | None
    inner: tuple[str, ...] = ()
    """Time columns between start and end, in their order: borders of phases."""

    @property
    def windows(self) -> bool:
        """Whether the rows last, rather than being points."""
        return self.start_column != self.end_column


@dataclass(frozen=True)
class Phase:
    """A part of every lot: from one border to the next."""

    name: str
    label: Bilingual
    start: Instants
    end: Instants


def instants_of(column: pa.ChunkedArray) -> Instants:
    """Return a time column as datetime64[us] in UTC, NaT where absent."""
    zone = getattr(column.type, "tz", None)
    naive = column.cast(pa.timestamp("us", tz=zone)).cast(pa.timestamp("us"))
    values: Instants = naive.to_numpy().astype("datetime64[us]")
    return values


def is_instant(type_: pa.DataType) -> bool:
    """Whether an Arrow type is an instant."""
    return bool(pa.types.is_timestamp(type_) or pa.types.is_date(type_))


def row_times(view: TableView) -> RowTimes | None:
    """Return when the rows of a table are, or None when it has no time.

    A column named after results (``result``, ``보고``) that never lies before the others is the result time. Of the rest, the
    columns that stand in one order in nearly every row are start, inner borders and end; else the first is the time.
    """
    names = [n for n in view.table.column_names if is_instant(view.table.schema.field(n).type)]
    known = {n: instants_of(view.table[n]) for n in names}
    known = {n: values for n, values in known.items() if not np.isnat(values).all()}
    if not known:
        return None
    labels = {n: _plain(n, view.columns) for n in known}
    result = None
    if len(known) > 1:
        for name in known:
            if _RESULT.search(labels[name]) and not _END.search(labels[name]) and not _START.search(labels[name]):
                others = [n for n in known if n != name]
                if any(_in_order(known[other], known[name]) for other in others):
                    result = name
                    break
    rest = [n for n in known if n != result]
    ordered = _chain(rest, known)
    spans = len(ordered) > 1 and (
        result is None or bool(_START.search(labels[ordered[0]])) or bool(_END.search(labels[ordered[-1]]))
    )
    first, last = (ordered[0], ordered[-1]) if spans else (rest[0] if not ordered else ordered[0],) * 2
    return RowTimes(
        known[first], known[last], None if result is None else known[result], first, last, result,
        tuple(ordered[1:-1]) if spans else (),
    )  # fmt: skip


def phases(view: TableView, times: RowTimes) -> tuple[Phase, ...]:
    """Return the parts of each row's window that its own inner time columns mark."""
    borders = [times.start_column, *times.inner, times.end_column]
    if not times.windows or not times.inner:
        return ()
    at = [instants_of(view.table[name]) for name in borders]
    made = []
    for (first, last), (low, high) in zip(itertools.pairwise(borders), itertools.pairwise(at), strict=True):
        made.append(Phase(f"{first}..{last}", Bilingual(f"{first}~{last}", f"{first} to {last}"), low, high))
    return tuple(made)


def _plain(name: str, columns: Sequence[ColumnCard]) -> str:
    source = next((card.source_name for card in columns if card.name == name), "")
    return unicodedata.normalize("NFKC", f"{name} {source}").casefold()


def _in_order(earlier: Instants, later: Instants) -> bool:
    both = ~(np.isnat(earlier) | np.isnat(later))
    return bool(both.any()) and float(np.mean(earlier[both] <= later[both])) >= 0.98


def _chain(names: Sequence[str], known: Mapping[str, Instants]) -> list[str]:
    """Return the columns that stand in one order in nearly every row, earliest first; the others are left out."""
    usable = [n for n in names if float(np.mean(~np.isnat(known[n]))) >= 0.5]
    if not usable:
        return list(names[:1])
    origin = min(known[n][~np.isnat(known[n])].min() for n in usable)

    def middle(name: str) -> float:
        elapsed = (known[name] - origin) / np.timedelta64(1, "s")
        return float(np.nanmedian(elapsed))

    by_time = sorted(usable, key=lambda n: (middle(n), names.index(n)))
    chain = [by_time[0]]
    for name in by_time[1:]:
        if _in_order(known[chain[-1]], known[name]) and not np.array_equal(known[chain[-1]], known[name], equal_nan=True):
            chain.append(name)
    return chain
