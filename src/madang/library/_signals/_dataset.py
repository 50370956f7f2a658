"""The writer of one signals dataset: its points, what is held for it, and its commits."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from madang.connect import Origin, Tag
from madang.library._catalogue import Dataset
from madang.library._commit import Faults
from madang.library._lake import Lake
from madang.library._signals._book import Book
from madang.library._signals._commit import LiveTable, Mark
from madang.library._signals._encode import Samples, together
from madang.library._signals._layout import TABLE_SCHEMA
from madang.library._signals._points import (
    add_points,
    add_versions,
    live_dataset,
    make_live_dataset,
    points_of,
    propose_cards,
    save_cards,
    versions_of,
)
from madang.library._signals._quarantine import QUARANTINE_SCHEMA, Rejected, write_rejects
from madang.library._signals._write import write_samples

if TYPE_CHECKING:
    from madang.library._state import State

_PROPOSALS = 200
"""Points whose cards are proposed in one step, so that thousands of new tags do not hold up the first commit."""
_SEEN = 64
"""Values that are kept of a point for its proposal."""


@dataclass
class Counted:
    """What a commit holds of one connection."""

    samples: int = 0
    duplicates: int = 0
    rejects: int = 0


@dataclass
class _Held:
    connection: str
    samples: Samples
    origin: Origin


@dataclass
class _Waiting:
    """What is held for one Delta table."""

    upto: dict[str, int] = field(default_factory=dict)
    """Last sequence held of each spool."""


class SignalsWriter:
    """Holds samples of a dataset and commits them. Made by `open`."""

    def __init__(
        self,
        lake: Lake,
        state: State,
        dataset: Dataset,
        pool: Executor | None,
        threads: int,
        faults: Faults,
    ) -> None:
        self.dataset = dataset
        self.changed = False
        self._lake = lake
        self._state = state
        self._pool = pool
        self._threads = threads
        self._faults = faults
        self._table = LiveTable(lake, dataset.table("signals"), TABLE_SCHEMA, faults)
        self._quarantine: LiveTable | None = None
        with state.reading() as db:
            known = points_of(db, dataset.id)
            versions = versions_of(db, dataset.id)
        self._book = Book(versions, {p.id: p.unit_source for p in known}, self._until)
        self._undescribed: dict[int, list[Any]] = {p.id: [] for p in known if p.status == "ask" and p.card.confidence == 0.0}
        self._held: list[_Held] = []
        self._count = 0
        self._rejects: list[tuple[str, Rejected]] = []
        self._upto: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._taken_rejects: dict[str, int] = {}
        self._last = _last_values(lake, dataset)

    @classmethod
    def open(
        cls,
        lake: Lake,
        state: State,
        name: str,
        now: datetime | None,
        pool: Executor | None,
        threads: int,
        faults: Faults,
    ) -> SignalsWriter | None:
        """Open the writer of a dataset, which is made when missing; with `now` None a missing one gives None."""
        with state.reading() as db:
            found = live_dataset(db, name)
        if found is None and now is None:
            return None
        if found is not None and found[1] == "signals":
            dataset = found[0]
        else:
            assert now is not None
            with state.begin() as db:
                dataset = make_live_dataset(db, lake, name, "signals", now)
        return cls(lake, state, dataset, pool, threads, faults)

    def __len__(self) -> int:
        return self._count + len(self._rejects)

    def taken(self, app: str) -> int:
        """Return the last sequence of a spool that the samples' table has."""
        if app not in self._taken:
            self._taken[app] = self._table.taken(app)
        return self._taken[app]

    def number(self, connection: str, tags: Mapping[int, Tag], first: Mapping[int, int], now: datetime) -> dict[str, int]:
        """Return the points of tags by the tags' names; new points are in the catalogue when this returns."""
        with self._state.begin() as db:
            found = add_points(db, self.dataset.id, connection, list(tags.values()), now)
        for number, tag in tags.items():
            point = found[tag.name]
            self._book.room(point)
            self._book.change_unit(point, tag.unit, first[number])
            self._undescribed.setdefault(point, [])
        return found

    def hold(self, app: str, connection: str, sequence: int, samples: Samples, origin: Origin) -> None:
        """Keep samples for the next commit."""
        if len(samples) == 0:
            return
        self._held.append(_Held(connection, samples, origin))
        self._upto[app] = sequence
        self._count += len(samples)

    def hold_reject(self, app: str, rejected: Rejected) -> None:
        """Keep a reject for the next commit, unless the quarantine has it."""
        table = self._quarantine_table()
        if app not in self._taken_rejects:
            self._taken_rejects[app] = table.taken(app)
        if self._taken_rejects[app] < rejected.sequence:
            self._rejects.append((app, rejected))

    def _quarantine_table(self) -> LiveTable:
        if self._quarantine is None:
            self._quarantine = LiveTable(self._lake, self.dataset.table("quarantine"), QUARANTINE_SCHEMA, self._faults)
        return self._quarantine

    def show(self, samples: Samples, received: int) -> None:
        """Keep the newest value of each point where any process can see it at once."""
        if self._last is None or len(samples) == 0:
            return
        chosen = _newest(samples)
        text = None if samples.text is None else samples.text.take(pa.array(chosen)).to_pylist()
        self._last.put(
            samples.point[chosen],
            samples.time[chosen],
            received,
            samples.number[chosen],
            samples.quality[chosen].astype(np.int64),
            text,
        )

    def commit(self, now: datetime) -> dict[str, Counted]:
        """Commit what is held, rejects before samples; returns what each connection gave.

        Raises:
            AlreadyTaken: Another process committed a part of it.
        """
        done: dict[str, Counted] = {}
        self._commit_rejects(now, done)
        self._commit_samples(now, done)
        return done

    def _commit_rejects(self, now: datetime, done: dict[str, Counted]) -> None:
        if not self._rejects:
            return
        table = self._quarantine_table()
        upto = {app: r.sequence for app, r in self._rejects}
        file = write_rejects(table.folder, [r for _, r in self._rejects])
        marks = [Mark(app, self._taken_rejects[app], last) for app, last in upto.items()]
        self._commit_to(table, [file], marks, now)
        for _, rejected in self._rejects:
            done.setdefault(rejected.connection, Counted()).rejects += 1
        self._rejects = []
        self._taken_rejects |= upto

    def _commit_samples(self, now: datetime, done: dict[str, Counted]) -> None:
        if not self._held:
            return
        samples = together([h.samples for h in self._held])
        files = write_samples(self._table.folder, samples, self._book, pool=self._pool, threads=self._threads)
        self._save_versions(now)
        marks = [Mark(app, self.taken(app), last) for app, last in self._upto.items()]
        self._commit_to(self._table, files, marks, now)
        for held in self._held:
            done.setdefault(held.connection, Counted()).samples += len(held.samples)
        self._look(samples)
        self._taken |= self._upto
        self._held, self._upto, self._count = [], {}, 0

    def _commit_to(self, table: LiveTable, files: Any, marks: list[Mark], now: datetime) -> None:  # noqa: ANN401 (files of either table)
        try:
            if not table.commit(files, marks, now):
                table.discard(files)
        except BaseException:
            table.discard(files)
            raise

    def _save_versions(self, now: datetime) -> None:
        fresh = self._book.take_fresh()
        if fresh:
            with self._state.begin() as db:
                add_versions(db, self.dataset.id, fresh, now)
            self.changed = True

    def _until(self) -> Mapping[int, int]:
        return {}

    def _look(self, samples: Samples) -> None:
        """Keep some values of points that nothing has been proposed for yet."""

    def describe_points(self, now: datetime) -> None:
        """Propose what new points are, some of them in each step."""

    def forget(self) -> None:
        """Forget what is held and what was known of the marks."""
        self._held, self._upto, self._count, self._rejects = [], {}, 0, []
        self._taken, self._taken_rejects = {}, {}

    def close(self) -> None:
        """Let go of the last values."""
        if self._last is not None:
            self._last.close()


def _newest(samples: Samples) -> Any:  # noqa: ANN401 (an array of places)
    """Places that hold the newest sample of each point, as cheaply as the order of the samples allows."""
    if bool((samples.time[1:] >= samples.time[:-1]).all()):
        last = np.full(int(samples.point.max()) + 1, -1, dtype=np.int64)
        last[samples.point] = np.arange(len(samples))
        return last[last >= 0]
    return np.arange(len(samples))


def _last_values(lake: Lake, dataset: Dataset) -> Any:  # noqa: ANN401 (LastValues)
    from madang.library._signals._last import LastValues

    return LastValues.open(lake.root / "last" / f"{dataset.folder}.bin", writable=True)
