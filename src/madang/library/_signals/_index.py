"""Which files hold a point's samples: the Delta log says which files count, their footers say what is in them.

The log is read here, and not by its library, because a screen asks four times a second: when nothing was committed, one look for
the next log file is all that is done; when something was, only that is read. A `Snapshot` never changes: a reader that holds one
reads the same samples whatever is committed or re-sorted meanwhile.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from madang.library._signals._layout import Footer
from madang.library._signals._scales import Scale

IntArray = NDArray[np.int64]
FileKind = Literal["counts", "numbers", "texts"]
_COLUMN: Final[Mapping[str, str]] = {"counts": "value", "numbers": "number", "texts": "text"}
_RANK: Final[Mapping[str, int]] = {"numbers": 0, "texts": 1, "counts": 2}
"""Order of files of one commit: a sample without a value, which stands in counts, goes after a value of the same time."""


@dataclass(frozen=True)
class Run:
    """The rows of one point in one file, in order of time; of equal times in order of arrival."""

    file: SignalFile
    row: int
    """First row."""
    end: int
    """Row after the last."""
    first: int
    """Time of the first sample [us since 1970]."""
    last: int
    """Time of the last sample [us since 1970]."""
    scale: Scale
    """How its counts become values, and in which unit."""


@dataclass(eq=False)
class SignalFile:
    """One immutable file of signals and what its footer says. Row groups are looked into only when they are asked for."""

    path: Path
    kind: FileKind
    level: int
    order: tuple[int, ...]
    """Sorts files by the arrival of their samples, oldest first."""
    points: IntArray
    rows: IntArray
    first: IntArray
    last: IntArray
    version: NDArray[np.integer]
    versions: tuple[Scale, ...]
    metadata: Any
    """The Parquet footer, so that a read does not parse it again."""
    group_rows: IntArray
    """First row of each row group, then the count of all; shape (row group + 1,)."""
    column: str = ""
    """The column that holds the values."""
    _quality_good: dict[int, bool] = field(default_factory=dict)
    _time_bounds: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, order: tuple[int, ...] = ()) -> SignalFile:
        """Read a file's footer.

        Raises:
            FileNotFoundError: The file is gone: its days of time travel are over.
        """
        metadata = pq.read_metadata(path)
        footer = Footer.of(metadata)
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return cls(
            path=path,
            kind=footer.kind,
            level=footer.level,
            order=order or (-footer.level,),
            points=footer.points.astype(np.int64),
            rows=footer.rows,
            first=footer.first,
            last=footer.last,
            version=footer.version,
            versions=tuple(footer.versions),
            metadata=metadata,
            group_rows=np.concatenate(([0], np.cumsum(groups))).astype(np.int64),
            column=_COLUMN[footer.kind],
        )

    @property
    def begin(self) -> int:
        """The earliest time in the file [us since 1970]."""
        return int(self.first.min()) if len(self.first) else 0

    @property
    def end(self) -> int:
        """The latest time in the file [us since 1970]."""
        return int(self.last.max()) if len(self.last) else -1

    def runs(self, point: int, start: int | None = None, end: int | None = None) -> Iterator[Run]:
        """Yield a point's runs that may hold samples of ``start <= time < end``."""
        low, high = np.searchsorted(self.points, point, side="left"), np.searchsorted(self.points, point, side="right")
        for at in range(int(low), int(high)):
            first, last = int(self.first[at]), int(self.last[at])
            if (end is None or first < end) and (start is None or last >= start):
                yield self.run(at)

    def run(self, at: int) -> Run:
        """Return the run at an index of `points`."""
        bounds = int(self.rows[at]), int(self.rows[at + 1]), int(self.first[at]), int(self.last[at])
        return Run(self, *bounds, self.versions[int(self.version[at])])

    def all_good(self, group: int) -> bool:
        """Whether every quality code of a row group is 0, by its statistics."""
        known = self._quality_good.get(group)
        if known is None:
            stats = self._statistics(group, "quality")
            known = stats is not None and stats.has_min_max and stats.min_raw == 0 and stats.max_raw == 0
            self._quality_good[group] = known
        return known

    def group_times(self, group: int) -> tuple[int, int]:
        """Return the least and greatest time of a row group [us since 1970], whatever points it holds."""
        known = self._time_bounds.get(group)
        if known is None:
            stats = self._statistics(group, "time")
            if stats is None or not stats.has_min_max:
                known = (self.begin, self.end)
            else:
                factor = 1000 if "milliseconds" in str(stats.logical_type) else 1
                known = (int(stats.min_raw) * factor, int(stats.max_raw) * factor)
            self._time_bounds[group] = known
        return known

    def _statistics(self, group: int, name: str) -> Any:  # noqa: ANN401 (Parquet statistics)
        groups = self.metadata.row_group(group)
        for at in range(self.metadata.num_columns):
            column = groups.column(at)
            if column.path_in_schema == name:
                return column.statistics
        return None


@dataclass(frozen=True)
class Snapshot:
    """The files of one version of a signals table."""

    version: int
    """Version of the Delta table; -1 where there is none yet."""
    files: tuple[SignalFile, ...]
    """In order of the arrival of their samples."""
    begin: IntArray
    end: IntArray

    @classmethod
    def of(cls, version: int, files: Sequence[SignalFile]) -> Snapshot:
        """Return a snapshot of files in any order."""
        ordered = sorted(files, key=lambda f: (f.order, _RANK[f.kind], f.path.name))
        begin = np.array([f.begin for f in ordered], dtype=np.int64)
        return cls(version, tuple(ordered), begin, np.array([f.end for f in ordered], dtype=np.int64))

    def runs(self, point: int, start: int | None = None, end: int | None = None) -> list[Run]:
        """Return a point's runs that may hold samples of ``start <= time < end``, in order of arrival."""
        hit = np.ones(len(self.files), dtype=np.bool_)
        if start is not None:
            hit &= self.end >= start
        if end is not None:
            hit &= self.begin < end
        return [run for at in np.flatnonzero(hit).tolist() for run in self.files[at].runs(point, start, end)]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(int(f.rows[-1]) for f in self.files if len(f.rows))

    @property
    def span(self) -> tuple[int, int] | None:
        """The earliest and the latest time [us since 1970]; None without samples."""
        kept = [f for f in self.files if len(f.points)]
        return (min(f.begin for f in kept), max(f.end for f in kept)) if kept else None

    def points(self) -> dict[int, tuple[int, int, int]]:
        """Return for each point: samples, earliest and latest time [us since 1970]."""
        kept = [f for f in self.files if len(f.points)]
        if not kept:
            return {}
        point = np.concatenate([f.points for f in kept])
        count = np.concatenate([np.diff(f.rows) for f in kept])
        order = np.argsort(point, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(point[order]) != 0))
        total = np.add.reduceat(count[order], starts)
        first = np.minimum.reduceat(np.concatenate([f.first for f in kept])[order], starts)
        last = np.maximum.reduceat(np.concatenate([f.last for f in kept])[order], starts)
        rows = zip(point[order][starts].tolist(), total.tolist(), first.tolist(), last.tolist(), strict=True)
        return {p: (n, a, b) for p, n, a, b in rows}


class MissingVersionError(LookupError):
    """A version of a signals table cannot be had: it was never made, or its days of time travel are over."""

    def __init__(self, asked: int, first: int, last: int) -> None:
        super().__init__(f"version {asked} cannot be had; there are {first} to {last}")
        self.asked = asked
        self.first = first
        self.last = last


class FileIndex:
    """The index of one signals table, for many threads of one process; other processes may commit meanwhile.

    Args:
        folder: Folder of the table, with its ``_delta_log``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "_delta_log"
        self._lock = threading.Lock()
        self._version = -1
        self._live: dict[str, tuple[int, ...]] = {}
        self._known: dict[str, SignalFile] = {}
        self._snapshot = Snapshot.of(-1, ())

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Return the newest version, or the one asked for.

        Raises:
            MissingVersionError: There is no such version any more, or not yet.
        """
        with self._lock:
            self._refresh()
            if self._snapshot.version != self._version:
                self._snapshot = self._made(self._version, self._live)
            if version is None or version == self._snapshot.version:
                return self._snapshot
            live = self._replayed(version)
            try:
                return self._made(version, live)
            except FileNotFoundError as error:
                raise MissingVersionError(version, self._first(), self._version) from error

    def versions(self) -> tuple[int, int]:
        """Return the first and the last version whose log is there; (0, -1) without a table."""
        with self._lock:
            self._refresh()
            return self._first(), self._version

    def _first(self) -> int:
        numbers = [int(p.stem) for p in self._log.glob("*.json") if p.stem.isdecimal()] if self._log.is_dir() else []
        whole = [v for v in self._checkpoints() if v not in numbers]
        return min([*numbers, *whole], default=0)

    def _refresh(self) -> None:
        """Take up what was committed since."""
        before = self._version
        if self._version < 0:
            if not self._log.is_dir():
                return
            base = max(self._checkpoints(), default=-1)
            if base >= 0:
                self._live, self._version = self._checkpoint(base), base
        while True:
            path = self._log / f"{self._version + 1:020d}.json"
            try:
                raw = path.read_bytes()
            except FileNotFoundError:
                newer = [v for v in self._checkpoints() if v > self._version] if self._version == before else []
                if newer and not path.exists():
                    # The log was cleaned while nobody read: go on from its checkpoint.
                    self._live, self._version = self._checkpoint(max(newer)), max(newer)
                    continue
                break
            actions = _actions(raw)
            if actions is None:
                break
            _apply(actions, self._live)
            self._version += 1

    def _replayed(self, version: int) -> dict[str, tuple[int, ...]]:
        base = max((v for v in self._checkpoints() if v <= version), default=-1)
        live = self._checkpoint(base) if base >= 0 else {}
        for number in range(base + 1, version + 1):
            try:
                raw = (self._log / f"{number:020d}.json").read_bytes()
            except FileNotFoundError as error:
                raise MissingVersionError(version, self._first(), self._version) from error
            _apply(_actions(raw) or [], live)
        if version < 0 or version > self._version:
            raise MissingVersionError(version, self._first(), self._version)
        return live

    def _checkpoints(self) -> list[int]:
        if not self._log.is_dir():
            return []
        return [int(p.name.split(".", 1)[0]) for p in self._log.glob("*.checkpoint.parquet") if p.name[:20].isdecimal()]

    def _checkpoint(self, version: int) -> dict[str, tuple[int, ...]]:
        path = self._log / f"{version:020d}.checkpoint.parquet"
        with pq.ParquetFile(path) as opened:
            adds = opened.read(columns=["add.path", "add.modificationTime"]).column("add").to_pylist()
        return {unquote(a["path"]): (int(a["modificationTime"]),) for a in adds if a is not None and a["path"] is not None}

    def _made(self, version: int, live: Mapping[str, tuple[int, ...]]) -> Snapshot:
        files = []
        for name, order in live.items():
            known = self._known.get(name)
            if known is None:
                known = SignalFile.open(self._folder / name)
                known.order = (-known.level, *order)
                self._known[name] = known
            files.append(known)
        if live is self._live:
            for name in [n for n in self._known if n not in live]:
                del self._known[name]
        return Snapshot.of(version, files)


def _actions(raw: bytes) -> list[dict[str, Any]] | None:
    """Return the file actions of a commit; None while it is being written (on a file system that cannot hide that)."""
    try:
        return [json.loads(line) for line in raw.splitlines() if b'"add"' in line or b'"remove"' in line]
    except ValueError:
        return None


def _apply(actions: Sequence[Mapping[str, Any]], live: dict[str, tuple[int, ...]]) -> None:
    for action in actions:
        if "remove" in action:
            live.pop(unquote(action["remove"]["path"]), None)
        elif "add" in action:
            added = action["add"]
            live[unquote(added["path"])] = (int(added.get("modificationTime") or 0),)
