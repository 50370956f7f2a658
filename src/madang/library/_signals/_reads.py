"""The read side of signals datasets: what stands behind `Library.points`, `last`, `range`, `trend` and the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from madang.errors import InputError, Json
from madang.library._cards import Decision, ReadResult, VersionId
from madang.library._catalogue import Dataset
from madang.library._export import write_batches
from madang.library._lake import Lake
from madang.library._read import Door
from madang.library._signals._cards import PointCard
from madang.library._signals._forms import long, stored
from madang.library._signals._index import FileIndex, MissingVersionError, Snapshot
from madang.library._signals._last import LastValues
from madang.library._signals._point_book import PointBook
from madang.library._signals._points import Point, rows_of, signals_datasets
from madang.library._signals._resample import Grid, How, default_period, grid_schema, resampled, totals
from madang.library._signals._table import SignalTable, SignalView
from madang.library._signals._times import micros
from madang.library._state import State
from madang.library._where import Form, Where

MOST_SPANS = 50_000_000
"""Rows of a wide form above which a wrong clock is more likely than a wish."""


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
        self._books: dict[str, PointBook] = {}
        self._known: tuple[object, tuple[Dataset, ...]] = (None, ())

    def close(self) -> None:
        """Let go of the tables of last values."""
        with self._lock:
            for table in self._tables.values():
                table.close()
            self._tables.clear()

    def datasets(self) -> tuple[Dataset, ...]:
        """Return every signals dataset, by name."""
        stamp = self._state.stamp()
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

        def rows() -> Sequence[Any]:
            with self._state.reading() as db:
                return rows_of(db, dataset.id)

        return self._book(dataset).points(self._state.stamp(), rows)

    def cards(self, dataset: Dataset, snapshot: Snapshot) -> list[PointCard]:
        """Return the points' cards, by number, with what a snapshot holds of each."""
        return self._book(dataset).cards(self.points(dataset), snapshot)

    def _book(self, dataset: Dataset) -> PointBook:
        with self._lock:
            return self._books.setdefault(dataset.folder, PointBook())

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

    def read(
        self,
        table: SignalTable,
        *,
        reader: str,
        purpose: str,
        columns: Sequence[str] | None,
        where: Where,
        form: Form,
        units: Literal["unit", "source"],
        every: timedelta | None,
        how: How,
    ) -> ReadResult:
        """Read a signals dataset as a table; see `Library.read`."""
        chosen, decision = self.decided(table, columns, reader, purpose)
        snapshot = table.snapshot()
        facts: dict[str, Json] = {"form": form, "units": units}
        if form == "wide":
            grid = self.grid(table, snapshot, chosen, where, every)
            batches = list(resampled(snapshot, chosen, grid, how, as_written=units == "source"))
            schema = grid_schema(chosen)
            facts |= {"every_seconds": grid.every / 1e6, "spans": grid.count, "spans_with_value": {**totals(batches, chosen)}}
        else:
            make = long if form == "long" else stored
            schema, found = make(snapshot, chosen, *_bounds(where), as_written=units == "source")
            batches = list(found)
        return ReadResult(
            table=pa.Table.from_batches(batches, schema=schema),
            columns=tuple(p.card for p in chosen),
            version=VersionId(table.dataset.name, snapshot.version),
            parts=(),
            decision=decision,
            facts=facts,
        )

    def export(
        self,
        table: SignalTable,
        out: Path,
        *,
        form: Literal["wide", "long", "source"],
        units: Literal["unit", "source"],
        columns: Sequence[str] | None,
        reader: str,
        where: Where,
        every: timedelta | None,
        how: How,
    ) -> dict[str, Json]:
        """Write a signals dataset to a file; see `Library.export`."""
        chosen, decision = self.decided(table, columns, reader, "export")
        snapshot = table.snapshot()
        if form == "wide":
            grid = self.grid(table, snapshot, chosen, where, every)
            schema, batches = grid_schema(chosen), resampled(snapshot, chosen, grid, how, as_written=units == "source")
        else:
            make = long if form == "long" else stored
            schema, batches = make(snapshot, chosen, *_bounds(where), as_written=units == "source" or form == "source")
        rows = write_batches(schema, batches, Path(out))
        return {
            "dataset": table.dataset.name,
            "version": snapshot.version,
            "out": str(out),
            "form": form,
            "units": units,
            "columns": [*schema.names],
            "rows": rows,
            "log_index": decision.log_index,
        }

    def decided(
        self, table: SignalTable, columns: Sequence[str] | None, reader: str, purpose: str
    ) -> tuple[list[Point], Decision]:
        """Decide and record a read of some points; return them with the answer."""
        chosen = table.chosen(columns)
        return chosen, self.door.ask(table.version(), reader, purpose, tuple(p.name for p in chosen))

    def grid(
        self, table: SignalTable, snapshot: Snapshot, points: Sequence[Point], where: Where, every: timedelta | None
    ) -> Grid:
        """Return the clock of a wide form: the period asked for, or one found from the data."""
        step = default_period(snapshot, points) if every is None else every // timedelta(microseconds=1)
        wanted = {p.id for p in points}
        held = [(a, b) for p, (_, a, b) in snapshot.points().items() if p in wanted]
        start, end = _bounds(where)
        first = start if start is not None else min((a for a, _ in held), default=0)
        beyond = end if end is not None else max((b for _, b in held), default=first - 1) + 1
        if step < 1:
            raise InputError(
                "bad_period",
                ko="간격(every)은 0보다 길어야 해요.",
                en="A period (every) has to be longer than 0.",
                next_ko="예: --every 1min",
                next_en="For example: --every 1min",
                where={"dataset": table.dataset.name},
            )
        grid = Grid.over(first, beyond, step)
        if grid.count > MOST_SPANS:
            raise InputError(
                "too_many_spans",
                ko=f"이 기간과 간격이면 행이 {grid.count:,}개예요. {MOST_SPANS:,}개까지 만들 수 있어요.",
                en=f"This period and step make {grid.count:,} rows; {MOST_SPANS:,} can be made.",
                next_ko="--from 과 --to 로 기간을 좁히거나 --every 를 늘리세요. 시각이 크게 틀린 값이 있을 수 있어요.",
                next_en="Narrow the period with --from and --to, or lengthen --every; a value may carry a very wrong time.",
                where={"dataset": table.dataset.name, "spans": grid.count, "every_seconds": step / 1e6},
            )
        return grid


def _bounds(where: Where) -> tuple[int | None, int | None]:
    return (None, None) if where.time is None else (micros(where.time[0]), micros(where.time[1]))
