"""The read side of signals datasets: what stands behind `Library.points`, `last`, `range`, `trend` and the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from madang.errors import InputError
from madang.library._cards import VersionId
from madang.library._catalogue import Dataset
from madang.library._lake import Lake
from madang.library._read import Door
from madang.library._signals._index import FileIndex, MissingVersionError
from madang.library._signals._last import LastValues
from madang.library._signals._points import Point, points_of, signals_datasets
from madang.library._signals._table import SignalTable, SignalView
from madang.library._signals._times import micros
from madang.library._state import State


class SignalReads:
    """Finds signals datasets, their versions and points, and keeps the indexes of those that were read.

    Args:
        lake: The table store.
        state: The catalogue.
        door: Decides and records reads.
        clock: Gives the time by which values are old.
    """

    def __init__(self, lake: Lake, state: State, door: Door, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._state = state
        self.door = door
        self._clock = clock
        self._lock = threading.Lock()
        self._indexes: dict[str, FileIndex] = {}
        self._tables: dict[str, LastValues] = {}
        self._books: dict[str, tuple[object, dict[str, Point]]] = {}
        self._known: tuple[object, tuple[Dataset, ...]] = (None, ())

    def close(self) -> None:
        """Let go of the tables of last values."""
        with self._lock:
            for table in self._tables.values():
                table.close()
            self._tables.clear()

    def datasets(self) -> tuple[Dataset, ...]:
        """Return every signals dataset, by name."""
        stamp = self._stamp()
        if self._known[0] != stamp:
            with self._state.reading() as db:
                self._known = stamp, signals_datasets(db)
        return self._known[1]

    def find(self, name: str | VersionId) -> SignalTable | None:
        """Return the version of a signals dataset that a name means; None where it is not a signals dataset.

        Raises:
            InputError: There is the dataset, but not the version; the error says which there are.
        """
        text = str(name)
        known = {d.name: d for d in self.datasets()}
        number: int | None = None
        dataset = known.get(text)
        if dataset is None and "@" in text:
            stem, _, tail = text.rpartition("@")
            dataset = known.get(stem)
            number = int(tail) if tail.isdecimal() else -1
        if dataset is None:
            return None
        index = self._index(dataset)
        try:
            index.snapshot(number)
            return SignalTable(self, dataset, index, number)
        except MissingVersionError as error:
            raise InputError(
                "no_such_version",
                ko=f"‘{dataset.name}’에서 읽을 수 있는 판은 {error.first}부터 {error.last}까지예요.",
                en=f"Of “{dataset.name}” the versions {error.first} to {error.last} can be read.",
                next_ko=f"예: {dataset.name}@{error.last}",
                next_en=f"For example: {dataset.name}@{error.last}",
                where={"dataset": dataset.name, "asked": text},
            ) from error

    def table(self, name: str | VersionId) -> SignalTable:
        """Return what `find` does.

        Raises:
            InputError: There is no such signals dataset or version.
        """
        found = self.find(name)
        if found is None:
            known = [d.name for d in self.datasets()]
            raise InputError(
                "no_such_signals",
                ko=f"‘{name}’이라는 신호 데이터셋이 없어요.",
                en=f"There is no signals dataset “{name}”.",
                next_ko="madang library list 로 이름을 확인하세요.",
                next_en="See the names with: madang library list",
                where={"dataset": str(name), "known": [*known[:50]]},
            )
        return found

    def points(self, dataset: Dataset) -> dict[str, Point]:
        """Return the registered points by name."""
        stamp = self._stamp()
        with self._lock:
            known = self._books.get(dataset.folder)
        if known is None or known[0] != stamp:
            with self._state.reading() as db:
                known = stamp, {p.name: p for p in points_of(db, dataset.id)}
            with self._lock:
                self._books[dataset.folder] = known
        return known[1]

    def _stamp(self) -> object:
        """Return what changes whenever anybody writes the catalogue, so that a poll need not ask it."""
        found = []
        for name in (self._state.path, self._state.path.with_name(self._state.path.name + "-wal")):
            try:
                at = name.stat()
            except OSError:
                continue
            found.append((at.st_ino, at.st_size, at.st_mtime_ns))
        return tuple(found) if found else object()

    def now(self) -> int:
        """Return the time by which values are old [us since 1970]."""
        return micros(self._clock())

    def last_values(self, dataset: Dataset) -> LastValues | None:
        """Return the table of last values that the intake keeps; None where there is none."""
        with self._lock:
            table = self._tables.get(dataset.folder)
            if table is None:
                try:
                    table = LastValues.open(self._lake.root / "last" / f"{dataset.folder}.bin")
                except (FileNotFoundError, ValueError):
                    return None
                self._tables[dataset.folder] = table
            return table

    def _index(self, dataset: Dataset) -> FileIndex:
        with self._lock:
            if dataset.folder not in self._indexes:
                self._indexes[dataset.folder] = FileIndex(self._lake.folder(f"{dataset.folder}/signals"))
            return self._indexes[dataset.folder]

    def view(self, name: str | VersionId, points: Sequence[str] | None, *, reader: str, purpose: str) -> SignalView:
        """Decide and record a read of some points; see `Library.view`."""
        table = self.table(name)
        chosen = table.chosen(points)
        return SignalView(table, chosen, self.door.ask(table.version(), reader, purpose, tuple(p.name for p in chosen)))
