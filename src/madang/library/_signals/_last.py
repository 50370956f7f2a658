"""The last value of every point of a dataset: a memory-mapped table that one process writes and any process reads.

A record is one sample as it came: its own time, when it was received, its quality. Nothing here ever makes a value look newer than
it is. A reader never sees half a record: the writer makes a record's count odd, writes, and makes it even again, and the sum over
the record's words is kept with it, so that a processor that reorders writes, a killed writer or a torn page is noticed too.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from madang.library._lake import sync_folder

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

AHEAD: Final = 3_600_000_000
"""A source time later than its reception by more than this [us] is taken for a wrong clock: the next sample replaces it."""
UNKNOWN: Final = -(2**63)
"""A time of reception that nobody knows."""
_MAGIC: Final = 0x31_4C_41_4E_47_44_4D  # "MDGNAL1"
_TEXT: Final = 176
_NONE, _NUMBER, _TEXT_KIND, _ABSENT = 0, 1, 2, 3
_RECORD: Final = np.dtype(
    [
        ("count", "<u8"),
        ("check", "<u8"),
        ("time", "<i8"),
        ("received", "<i8"),
        ("number", "<f8"),
        ("quality", "<i8"),
        ("point", "<i8"),
        ("kind", "<u4"),
        ("length", "<u4"),
        ("whole", "<i8"),
        ("rest", "<i8"),
        ("text", "u1", (_TEXT,)),
    ]
)
"""256 bytes. `length` is that of `text` as kept; `whole` that of the text as it came [byte]."""
_WORDS: Final = _RECORD.itemsize // 8
_WEIGHTS: Final = (np.arange(_WORDS, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
_FIRST_CAPACITY: Final = 1024
_TRIES: Final = 200


@dataclass(frozen=True)
class LastRow:
    """The newest sample of one point."""

    point: int
    time: int
    """The source's own time [us since 1970, UTC]."""
    received: int
    """[us since 1970, UTC]; `UNKNOWN` where the row was taken from the lake, which does not keep it for each sample."""
    number: float | None
    text: str | None
    quality: int
    """OPC UA status code."""
    cut: bool = False
    """Whether `text` is only the beginning of a longer one, which the lake has whole."""
    unit: str | None = None
    """Unit of `number` as the source spelled it then; only where the row is `from_lake`."""
    from_lake: bool = False
    """Whether the row was read from the lake's files; else its unit is the one that the point's source says now."""


class LastValues:
    """The table of one dataset. Make one with `open`.

    One writer at a time; as many readers in as many processes as there are. Points are small numbers, counted from 1 or so: they are
    places in the table.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path = path
        self._writable = writable
        self._handle = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        self._inode = os.fstat(self._handle).st_ino
        self._map: mmap.mmap | None = None
        self._records: Any = None
        self._words: Any = None
        try:
            if writable:
                _lock(self._handle)
            self._remap()
        except BaseException:
            os.close(self._handle)
            raise

    @classmethod
    def open(cls, path: Path, *, writable: bool = False, rebuild: Callable[[], Iterable[LastRow]] | None = None) -> LastValues:
        """Open the table of a dataset; a writer makes a missing one.

        Args:
            path: ``lake/last/<folder>.bin``.
            writable: Whether this is the one writer.
            rebuild: Gives the rows for a table that is made anew, from the lake. Records that a killed writer left torn are taken
                from it too.

        Raises:
            FileNotFoundError: A reader found no table: nothing was received yet, or the lake was copied without it.
            BlockingIOError: Another process writes the table.
        """
        made = False
        if writable and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            header = np.zeros((1 + _FIRST_CAPACITY) * _WORDS, dtype=np.uint64)
            header[0] = _MAGIC
            draft.write_bytes(header.tobytes())
            draft.replace(path)
            sync_folder(path.parent)
            made = True
        table = cls(path, writable=writable)
        if writable and rebuild is not None and (made or table.torn()):
            table.put_rows(rebuild())
        return table

    def __enter__(self) -> LastValues:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._records = self._words = None
        if self._map is not None:
            self._map = None
            os.close(self._handle)

    @property
    def capacity(self) -> int:
        """How many points the mapped table has room for."""
        return len(self._records) - 1

    def put(
        self,
        point: NDArray[np.integer],
        time: IntArray,
        received: int | IntArray,
        number: FloatArray,
        quality: NDArray[np.integer],
        text: Sequence[str | None] | None = None,
    ) -> int:
        """Take samples in the order in which they came; return how many points now show another sample.

        A point keeps its newest sample by the source's time; of equal times the later arrival. A late sample (a backfill) changes
        nothing. A kept sample whose time lies more than an hour after its reception gives way to the next one.

        Args:
            point: Number of the point of each sample.
            time: Source times [us since 1970].
            received: When they were received [us since 1970], for all or for each.
            number: Values; NaN where there is none.
            quality: OPC UA status codes.
            text: Texts, where the values are texts; None = no texts at all.
        """
        if len(point) == 0:
            return 0
        points = np.asarray(point, dtype=np.int64)
        if int(points.min()) < 0:
            raise ValueError("points are counted from 0")
        arrival = np.broadcast_to(np.asarray(received, dtype=np.int64), points.shape)
        standing = _standing(time, arrival)
        order = np.lexsort((standing, points))
        newest = order[np.append(points[order][1:] != points[order][:-1], True)]
        self._room(int(points.max()))
        at = points[newest] + 1
        held = self._records[at]
        held_at = _standing(held["time"], held["received"])
        fresh = (held["kind"] == _NONE) | (standing[newest] >= held_at) | (self._sums(at) != held["check"])
        chosen, at = newest[fresh], at[fresh]
        if len(chosen) == 0:
            return 0
        rows = np.zeros(len(chosen), dtype=_RECORD)
        rows["time"], rows["received"], rows["number"] = time[chosen], arrival[chosen], number[chosen]
        rows["quality"], rows["point"] = np.asarray(quality)[chosen], points[chosen]
        rows["kind"] = np.where(np.isnan(rows["number"]), _ABSENT, _NUMBER)
        if text is not None:
            for row, sample in enumerate(chosen.tolist()):
                _set_text(rows, row, text[sample])
        self._write(at, rows)
        return len(chosen)

    def put_rows(self, rows: Iterable[LastRow]) -> int:
        """Take rows, as `put` takes samples."""
        many = list(rows)
        return self.put(
            np.array([r.point for r in many], dtype=np.int64),
            np.array([r.time for r in many], dtype=np.int64),
            np.array([r.received for r in many], dtype=np.int64),
            np.array([np.nan if r.number is None else r.number for r in many], dtype=np.float64),
            np.array([r.quality for r in many], dtype=np.int64),
            [r.text for r in many] if any(r.text is not None for r in many) else None,
        )

    def get(self, points: Sequence[int] | IntArray | None = None) -> list[LastRow]:
        """Return the rows of the points that have one, in the order asked for; all of them, by number, without an order.

        A record that stays torn (its writer was killed) is left out: the lake has it.
        """
        self._follow()
        wanted = np.arange(self.capacity, dtype=np.int64) if points is None else np.asarray(points, dtype=np.int64)
        if len(wanted) and int(wanted.max()) >= self.capacity:
            self._remap()
        inside = wanted[(wanted >= 0) & (wanted < self.capacity)] + 1
        rows, sound = self._read(inside)
        return [_row(r) for r in rows[sound & (rows["kind"] != _NONE)]]

    def torn(self) -> int:
        """Count the records that are half written; only meaningful while nobody writes."""
        at = np.arange(1, len(self._records))
        return int(np.count_nonzero((self._sums(at) != self._records["check"][1:]) | (self._records["count"][1:] & 1 == 1)))

    def _read(self, at: IntArray) -> tuple[Any, NDArray[np.bool_]]:
        """Copy records until each was the same before and after its copy and agrees with its sum."""
        rows = np.zeros(len(at), dtype=_RECORD)
        sound = np.zeros(len(at), dtype=np.bool_)
        left = np.arange(len(at))
        for _ in range(_TRIES):
            before = self._records["count"][at[left]]
            copied = self._records[at[left]]
            after = self._records["count"][at[left]]
            good = (before == after) & (before & np.uint64(1) == 0) & (_sum(copied) == copied["check"])
            rows[left[good]] = copied[good]
            sound[left[good]] = True
            left = left[~good]
            if len(left) == 0:
                break
        return rows, sound

    def _write(self, at: IntArray, rows: Any) -> None:  # noqa: ANN401 (a structured array)
        counts = self._records["count"][at]
        begun = counts + np.uint64(1) + (counts & np.uint64(1))
        self._records["count"][at] = begun
        rows["count"] = begun
        rows["check"] = _sum(rows)
        self._records[at] = rows
        self._records["count"][at] = begun + np.uint64(1)

    def _sums(self, at: IntArray) -> Any:  # noqa: ANN401 (an array of uint64)
        return _sum(self._records[at])

    def _room(self, point: int) -> None:
        if point < self.capacity:
            return
        capacity = self.capacity
        while capacity <= point:
            capacity *= 2
        os.ftruncate(self._handle, (1 + capacity) * _RECORD.itemsize)
        self._remap()

    def _remap(self) -> None:
        size = os.fstat(self._handle).st_size // _RECORD.itemsize * _RECORD.itemsize
        self._map = mmap.mmap(self._handle, size, access=mmap.ACCESS_WRITE if self._writable else mmap.ACCESS_READ)
        self._words = np.frombuffer(self._map, dtype=np.uint64)
        if int(self._words[0]) != _MAGIC:
            raise ValueError(f"{self._path} is not a table of last values")
        self._records = np.frombuffer(self._map, dtype=_RECORD)

    def _follow(self) -> None:
        """Take up a table that was made anew in the place of this one."""
        if self._writable:
            return
        try:
            found = self._path.stat().st_ino
        except FileNotFoundError:
            return
        if found != self._inode:
            handle = os.open(self._path, os.O_RDONLY)
            os.close(self._handle)
            self._handle, self._inode = handle, os.fstat(handle).st_ino
            self._remap()


def _standing(time: IntArray, received: IntArray) -> IntArray:
    """Return the times by which samples are newer or older: their own, or that of reception where their clock was ahead."""
    return np.where((received != UNKNOWN) & (time - AHEAD > received), received, time)


def _lock(handle: int) -> None:
    """Hold the table for this writer until its handle is closed; where the system has no such lock, the caller sees to it."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sum(records: Any) -> Any:  # noqa: ANN401 (structured arrays)
    """Return the weighted sum of the words of each record, without those of its count and of the sum itself."""
    words = np.ascontiguousarray(records).view(np.uint64).reshape(-1, _WORDS)
    with np.errstate(over="ignore"):
        return words[:, 2:] @ _WEIGHTS[2:]


def _set_text(rows: Any, row: int, text: str | None) -> None:  # noqa: ANN401 (a structured array)
    if text is None:
        return
    raw = text.encode()
    kept = raw[:_TEXT].decode(errors="ignore").encode()
    rows["kind"][row], rows["length"][row], rows["whole"][row] = _TEXT_KIND, len(kept), len(raw)
    rows["text"][row, : len(kept)] = np.frombuffer(kept, dtype=np.uint8)


def _row(record: Any) -> LastRow:  # noqa: ANN401 (one record)
    kind, length = int(record["kind"]), int(record["length"])
    return LastRow(
        point=int(record["point"]),
        time=int(record["time"]),
        received=int(record["received"]),
        number=float(record["number"]) if kind == _NUMBER else None,
        text=record["text"][:length].tobytes().decode() if kind == _TEXT_KIND else None,
        quality=int(record["quality"]),
        cut=kind == _TEXT_KIND and length < int(record["whole"]),
    )
