"""The writer of one signals dataset: its points, what is held for it, and its commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from madang.connect import Origin, Tag
from madang.library._catalogue import Dataset
from madang.library._commit import Faults
from madang.library._lake import Lake
from madang.library._signals._book import Book
from madang.library._signals._commit import LiveTable, Mark
from madang.library._signals._kept import Kept, new_among
from madang.library._signals._layout import TABLE_SCHEMA
from madang.library._signals._points import (
    UNSEEN,
    add_points,
    add_versions,
    live_dataset,
    make_live_dataset,
    points_of,
    versions_of,
)
from madang.library._signals._proposals import Proposals
from madang.library._signals._quarantine import QUARANTINE_SCHEMA, Rejected, write_rejects, write_table
from madang.library._signals._samples import Arena, Samples, chosen, sort
from madang.library._signals._write import write_samples

if TYPE_CHECKING:
    from madang.library._state import State


@dataclass
class Counted:
    """What a commit holds of one connection."""

    samples: int = 0
    duplicates: int = 0
    rejects: int = 0
    rows: int = 0

    def add(self, other: Counted) -> None:
        """Add another's counts."""
        self.samples += other.samples
        self.duplicates += other.duplicates
        self.rejects += other.rejects
        self.rows += other.rows


@dataclass
class Sealed:
    """What one commit takes; nothing is added to it any more."""

    arena: Arena
    filled: list[tuple[str, Samples]]
    """Backfilled samples of each connection, of which the lake may have some."""
    rejects: list[tuple[str, Rejected]]
    upto: dict[str, int]
    """Last sequence of each spool."""
    counted: dict[str, Counted]


class SignalsWriter:
    """Holds samples of a dataset and commits them. Made by `open`."""

    def __init__(
        self,
        lake: Lake,
        state: State,
        dataset: Dataset,
        faults: Faults,
    ) -> None:
        self.dataset = dataset
        self.changed = False
        self._lake = lake
        self._state = state
        self._faults = faults
        self._table = LiveTable(lake, dataset.table("signals"), TABLE_SCHEMA, faults)
        self._kept = Kept(self._table.folder)
        self._quarantine: LiveTable | None = None
        with state.reading() as db:
            known = points_of(db, dataset.id)
            versions = versions_of(db, dataset.id)
        self._book = Book(versions, {p.id: p.unit_source for p in known}, self._until)
        self._proposals = Proposals(state, dataset, (p.id for p in known if p.card.unit_reason == UNSEEN))
        self._arena = Arena()
        self._spare: Arena | None = None
        self._filled: list[tuple[str, Samples]] = []
        self._filled_count = 0
        self._rejects: list[tuple[str, Rejected]] = []
        self._upto: dict[str, int] = {}
        self._counted: dict[str, Counted] = {}
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
        faults: Faults,
    ) -> SignalsWriter | None:
        """Open the writer of a dataset, which is made when missing; with `now` None a missing one gives None."""
        with state.reading() as db:
            found = live_dataset(db, name)
        if found is not None and found[1] == "signals":
            dataset = found[0]
        elif now is None:
            return None
        else:
            with state.begin() as db:
                dataset = make_live_dataset(db, lake, name, "signals", now)
        return cls(lake, state, dataset, faults)

    def __len__(self) -> int:
        return len(self._arena) + self._filled_count + len(self._rejects)

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
            if self._book.is_new(point, tag.unit):
                self._proposals.add(point)
            self._book.room(point)
            self._book.change_unit(point, tag.unit, first[number])
        return found

    def hold(self, app: str, connection: str, sequence: int, samples: Samples, origin: Origin) -> None:
        """Keep samples for the next commit."""
        if len(samples) == 0:
            return
        if origin == "backfill":
            self._filled.append((connection, samples))
            self._filled_count += len(samples)
        else:
            self._arena.add(samples)
            self._counted.setdefault(connection, Counted()).samples += len(samples)
        self._upto[app] = sequence

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

    def seal(self) -> Sealed:
        """Return what is held, and begin anew."""
        sealed = Sealed(self._arena, self._filled, self._rejects, self._upto, self._counted)
        self._arena = self._spare or Arena()
        self._spare = None
        self._filled, self._filled_count, self._rejects, self._upto, self._counted = [], 0, [], {}, {}
        return sealed

    def rejected(self) -> list[tuple[str, pa.Table]]:
        """Return the files of the quarantine and what is in them."""
        table = self._quarantine_table()
        return [(path, pq.read_table(table.folder / path, schema=QUARANTINE_SCHEMA)) for path in table.live()]

    def replace_rejects(self, path: str, new: Sequence[pa.Table], now: datetime) -> list[str]:
        """Put rejects, cut anew, in the place of a file of the quarantine; returns the names of the new files."""
        table = self._quarantine_table()
        files = [write_table(table.folder, one) for one in new if len(one)]
        table.replace([path], files, now)
        return [f.path for f in files]

    def commit(self, sealed: Sealed, now: datetime) -> dict[str, Counted]:
        """Commit what was sealed, rejects before samples; returns what each connection gave.

        Raises:
            AlreadyTaken: Another process committed a part of it.
        """
        self._commit_rejects(sealed, now)
        self._commit_samples(sealed, now)
        sealed.arena.clear()
        self._spare = sealed.arena
        return sealed.counted

    def _commit_rejects(self, sealed: Sealed, now: datetime) -> None:
        if not sealed.rejects:
            return
        table = self._quarantine_table()
        upto = {app: r.sequence for app, r in sealed.rejects}
        file = write_rejects(table.folder, [r for _, r in sealed.rejects])
        marks = [Mark(app, self._taken_rejects[app], last) for app, last in upto.items()]
        table.commit([file], marks, now)
        for _, rejected in sealed.rejects:
            sealed.counted.setdefault(rejected.connection, Counted()).rejects += 1
        self._taken_rejects |= upto

    def _commit_samples(self, sealed: Sealed, now: datetime) -> None:
        self._add_filled(sealed)
        if len(sealed.arena) == 0:
            return
        samples = sealed.arena.samples()
        files = write_samples(self._table.folder, sort(samples), self._book)
        self._save_versions(now)
        marks = [Mark(app, self.taken(app), last) for app, last in sealed.upto.items()]
        self._table.commit(files, marks, now)
        self._proposals.look(samples)
        self._taken |= sealed.upto

    def _add_filled(self, sealed: Sealed) -> None:
        """Add the backfilled samples that neither the lake nor this commit has."""
        if not sealed.filled:
            return
        filled = [samples for _, samples in sealed.filled]
        points = np.unique(np.concatenate([s.point for s in filled]))
        first = min(int(s.time.min()) for s in filled)
        last = max(int(s.time.max()) for s in filled)
        kept = [sealed.arena.samples()] if len(sealed.arena) else []
        in_lake = self._kept.between(self._table.live(), points, first, last)
        if in_lake is not None:
            kept.append(in_lake)
        for (connection, samples), new in zip(sealed.filled, new_among(filled, kept), strict=True):
            counted = sealed.counted.setdefault(connection, Counted())
            counted.duplicates += int(len(new) - new.sum())
            counted.samples += int(new.sum())
            if new.any():
                sealed.arena.add(chosen(samples, new))

    def _save_versions(self, now: datetime) -> None:
        fresh = self._book.take_fresh()
        if fresh:
            with self._state.begin() as db:
                add_versions(db, self.dataset.id, fresh, now)
            self.changed = True

    def _until(self) -> Mapping[int, int]:
        return self._kept.until(self._table.live())

    def describe_points(self, now: datetime) -> None:
        """Propose what new points are, some of them in each step."""
        self.changed |= self._proposals.propose(now)

    def forget(self) -> None:
        """Forget what is held and what was known of the marks."""
        self.seal()
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
    from madang.library._signals._index import FileIndex
    from madang.library._signals._last import LastRow, LastValues
    from madang.library._signals._last_rows import last_rows

    def rebuild() -> Iterable[LastRow]:
        return last_rows(FileIndex(lake.folder(dataset.table("signals"))).snapshot())

    try:
        return LastValues.open(lake.root / "last" / f"{dataset.folder}.bin", writable=True, rebuild=rebuild)
    except BlockingIOError:  # another process shows the last values of this dataset; both may commit to it
        return None
