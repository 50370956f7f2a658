"""Counts what a watcher kept of what the plant handed out: kept, inside a recorded gap, lost, doubled, invented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.connect import Gap
from madang.errors import Json
from madang.library import Library

Times: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """What a watcher holds of one tag, in any order."""

    time: Times
    """Source times [us since 1970]."""
    value: Sequence[float | None]
    text: Sequence[str | None]
    quality: NDArray[np.int64]


@dataclass
class Account:
    """What became of the samples that a face handed out."""

    expected: int = 0
    kept: int = 0
    in_gaps: int = 0
    """Not kept, but inside an interval that the watcher says it did not get."""
    lost: int = 0
    not_yet_known: int = 0
    """Of a tag that appeared while the watcher ran, before it was found."""
    doubled: int = 0
    """Kept more often than handed out."""
    invented: int = 0
    """Kept with a good quality although it was never handed out."""
    causes: dict[str, int] = field(default_factory=dict)
    """Samples in gaps, by cause."""
    lost_names: list[str] = field(default_factory=list)
    """Names of tags with lost samples, at most ten."""

    def fields(self) -> dict[str, Json]:
        """Return the counts for a report."""
        return {
            "expected": self.expected, "kept": self.kept, "in_gaps": self.in_gaps, "lost": self.lost,
            "not_yet_known": self.not_yet_known, "doubled": self.doubled, "invented": self.invented, "gap_causes": dict(self.causes), "lost_names": list(self.lost_names),
        }  # fmt: skip


def kept_samples(library: Library, dataset: str, since: datetime, *, reader: str, purpose: str) -> dict[str, Kept]:
    """Return what a library holds of every tag of a signals dataset from an instant on.

    Args:
        library: The library.
        dataset: A dataset of signals.
        since: Source times from here on.
        reader: Who reads.
        purpose: What for.
    """
    found = {}
    for point in library.points(dataset):
        samples = library.range(dataset, point.point, since, None, reader=reader, purpose=purpose)
        if len(samples):
            value = [None if np.isnan(x) else float(x) for x in samples.value]
            text = [None] * len(samples) if samples.text is None else samples.text.to_pylist()
            found[point.tag] = Kept(np.asarray(samples.time), value, text, np.asarray(samples.quality).astype(np.int64))
    return found


def account_for(
    sent: Path,
    face: str,
    kept: Mapping[str, Kept],
    gaps: Iterable[Gap] = (),
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    changed_only: bool = True,
) -> Account:
    """Compare the twin's ledger of samples handed out with what a watcher kept.

    Args:
        sent: The ledger beside a trace (`sent_path`).
        face: ``opcua`` or ``mqtt``.
        kept: What the watcher holds, by the name that the face gives a tag (node id, topic).
        gaps: What the watcher says it did not get.
        start: Samples before are not counted, such as those before the watcher connected.
        end: Samples from then on are not counted.
        changed_only: Whether a sample that repeats value and quality need not be there: a server does not report it.

    Returns:
        The counts. A sample counts as kept when time, value, text and quality are all equal.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(sent)
    table = table.filter(pc.equal(table["face"].cast("string"), face))
    names = np.array(table["name"].cast("string").to_pylist(), dtype=object)
    micros = np.asarray(table["time"].cast("int64"))
    numbers, texts = table["value"].to_pylist(), table["text"].to_pylist()
    quality = np.asarray(table["quality"]).astype(np.int64)
    changed = np.asarray(table["changed"])
    first = -(2**62) if start is None else _micros(start)
    last = 2**62 if end is None else _micros(end)
    known = [_Interval.of(gap) for gap in gaps]
    account = Account()
    for name in dict.fromkeys(names.tolist()):
        held = kept.get(name)
        books = {} if held is None else _book(held)
        rows = np.flatnonzero(names == name)
        appeared = int(micros[rows].min())
        found = appeared if appeared <= first or held is None else int(held.time.min())
        handed: dict[_Sample, int] = {}
        for i in rows:
            sample = (int(micros[i]), numbers[i], texts[i], int(quality[i]))
            handed[sample] = handed.get(sample, 0) + 1
            if not first <= sample[0] < last or (changed_only and not changed[i]):
                continue
            account.expected += 1
            if books.get(sample):
                account.kept += 1
                continue
            if sample[0] < found:
                account.not_yet_known += 1
                continue
            cause = next((gap.cause for gap in known if gap.holds(name, sample[0])), None)
            if cause is None:
                account.lost += 1
                if name not in account.lost_names and len(account.lost_names) < 10:
                    account.lost_names.append(name)
            else:
                account.in_gaps += 1
                account.causes[cause] = account.causes.get(cause, 0) + 1
        for sample, count in books.items():
            if sample[3] >> 30 == 0 and sample not in handed:
                account.invented += count
            elif sample in handed:
                account.doubled += max(count - handed[sample], 0)
    return account


_Sample: TypeAlias = "tuple[int, float | None, str | None, int]"


def _book(held: Kept) -> dict[_Sample, int]:
    book: dict[_Sample, int] = {}
    for at, value, text, quality in zip(held.time.tolist(), held.value, held.text, held.quality.tolist(), strict=True):
        number = None if value is None or np.isnan(value) else float(value)
        book[(at, number, text, quality)] = book.get((at, number, text, quality), 0) + 1
    return book


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)


@dataclass(frozen=True)
class _Interval:
    """A gap with bounds in microseconds; both ends belong to it."""

    cause: str
    since: int
    until: int
    tags: frozenset[str] | None

    @classmethod
    def of(cls, gap: Gap) -> _Interval:
        until = 2**62 if gap.until is None else _micros(gap.until)
        return cls(gap.cause, _micros(gap.since), until, None if gap.tags is None else frozenset(gap.tags))

    def holds(self, name: str, at: int) -> bool:
        return (self.tags is None or name in self.tags) and self.since <= at <= self.until
