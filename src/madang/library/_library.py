"""The library of one workspace: bringing in, describing, reading, changing the mind."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from madang.connect import Layout, ReadOptions, TableReader, TableSource
from madang.errors import InputError, Json
from madang.library._cards import ReadResult, VersionId
from madang.library._decide import DecisionPoint, OwnerMay
from madang.library._lock import WriterLock
from madang.library._report import IntakeReport
from madang.library._where import Form, Where

if TYPE_CHECKING:
    import pyarrow as pa

    from madang.library._changes import Changes
    from madang.library._commit import Committed, Faults
    from madang.library._intake import Progress
    from madang.library._kernels import Buckets, Feature
    from madang.library._meaning import Proposer
    from madang.library._objects import StoredObject
    from madang.library._people import People
    from madang.library._signals._cards import LastValue, PointCard
    from madang.library._signals._conditions import Condition, Op
    from madang.library._signals._events import SavedCondition
    from madang.library._signals._intake import LiveIntake
    from madang.library._signals._keeping import Keeping
    from madang.library._signals._reads import SignalReads
    from madang.library._signals._resample import How
    from madang.library._signals._rows_reads import RowsReads
    from madang.library._signals._slices import Samples
    from madang.library._signals._table import SignalView
    from madang.library._staging import TableFiles


class ConnectedFiles:
    """The tables of files, as `madang.connect` reads them."""

    def find(self, path: Path) -> Sequence[TableSource]:
        """Return the tables of one file."""
        from madang.connect import find_tables

        return list(find_tables([path]))

    def open(self, source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
        """Open one table, by the template of an earlier one when there is one."""
        from madang.connect import open_table

        return open_table(source, options, template)


class Library:
    """Keeps datasets, knows what they mean, and decides every read.

    Make one with `Library.open`; close it, or use it as a context manager.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], datetime],
        zone: str,
        decide: DecisionPoint | None = None,
        files: TableFiles | None = None,
        propose: Proposer | None = None,
        shift_start: int = 6,
        faults: Faults | None = None,
        state: str | None = None,
    ) -> None:
        from madang.library._commit import Committer, Faults, recover
        from madang.library._lake import Lake
        from madang.library._meaning import standard_proposer
        from madang.library._read import Door
        from madang.library._state import State

        self.root = root
        self.zone = zone
        self.shift_start = shift_start
        self._clock = clock
        self._files: TableFiles = files or ConnectedFiles()
        self._propose: Proposer = propose or standard_proposer
        self._lake = Lake(root / "lake")
        self._state = State(root, state)
        self._lock = WriterLock(root / ".writer.lock", beyond=self._state.beyond)
        self._faults = faults or Faults()
        self._committer = Committer(self._lake, self._state, self._faults)
        self._door = Door(self._lake, self._state, decide or OwnerMay(), self._now)
        self._signal_reads: SignalReads | None = None
        with self._lock.held(wait=False) as alone:
            if alone:
                righted = recover(self._lake, self._state)
                self._sweep()
                if righted:
                    self._describe_lake()

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        clock: Callable[[], datetime],
        zone: str,
        decide: DecisionPoint | None = None,
        files: TableFiles | None = None,
        propose: Proposer | None = None,
        shift_start: int = 6,
        faults: Faults | None = None,
        state: str | None = None,
    ) -> Library:
        """Open the library below a workspace folder, made when missing; what an interrupted change left is put right.

        Args:
            root: Workspace folder.
            clock: Gives the time (aware) of every record that is made.
            zone: IANA zone of local times that do not say theirs, and of shifts.
            decide: Decision point of reads; the owner may when None.
            files: Reader of files; `madang.connect` when None.
            propose: Standardiser that proposes columns' cards; the library's own when None.
            shift_start: Local hour at which the first of three shifts begins.
            faults: For tests of interrupted changes.
            state: Address of the database that holds the catalogue, with its password, such as
                ``postgresql+psycopg://user:password@host/database?options=-csearch_path=schema``; ``state.sqlite`` in the folder when None.

        Raises:
            InputError: The folder is a file, or was written by a newer Madang; or the catalogue cannot be read or reached, or is
                another workspace's.
            MissingError: The driver of the database is not installed.
        """
        if root.exists() and not root.is_dir():
            raise InputError(
                "workspace_is_a_file",
                ko=f"‘{root}’은(는) 폴더가 아니라 파일이에요.",
                en=f"“{root}” is a file, not a folder.",
                next_ko="--workspace 로 폴더를 주세요.",
                next_en="Give a folder with --workspace.",
                where={"workspace": str(root)},
            )
        root.mkdir(parents=True, exist_ok=True)
        return cls(
            root,
            clock=clock,
            zone=zone,
            decide=decide,
            files=files,
            propose=propose,
            shift_start=shift_start,
            faults=faults,
            state=state,
        )

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the catalogue."""
        if self._signal_reads is not None:
            self._signal_reads.close()
        self._state.close()

    def stamp(self) -> object:
        """Return what differs after every change of the catalogue by anybody: as long as it is equal, what was read still holds."""
        return self._state.stamp()

    def _now(self) -> datetime:
        now = self._clock()
        if now.tzinfo is None:
            raise ValueError("the clock must give aware times")
        return now.astimezone(UTC)

    def _sweep(self) -> None:
        """Remove what died on the way; only called by the one writer."""
        import shutil

        shutil.rmtree(self._lake.root / "staging", ignore_errors=True)
        for draft in (self._lake.root / "objects").glob(".draft-*"):
            draft.unlink(missing_ok=True)

    def _describe_lake(self) -> None:
        """Write ``open.sql`` and the README beside the files, for those who come without Madang."""
        from madang.library._open_sql import describe_lake

        describe_lake(self._lake, self._state)

    def intake(
        self,
        paths: Sequence[Path],
        *,
        dataset: str | None = None,
        zone: str | None = None,
        strict: bool = False,
        party: str = "owner",
        progress: Progress | None = None,
    ) -> IntakeReport:
        """Bring files and folders in; one new version for each dataset that gains something.

        Args:
            paths: Files or folders.
            dataset: Name of the dataset they belong to; found out when None.
            zone: IANA zone of local times; the workspace's is assumed, and said to be assumed, when None.
            strict: Change nothing when a file cannot be read or any finding is a warning or a stop.
            party: Who brings them in.
            progress: Told what is being read and the share that is done.

        Raises:
            InputError: Nothing could be read, or the name or zone is not one; nothing was changed.
            CheckFailed: `strict`, and something was remarkable; nothing was changed.
        """
        from madang.library._intake import Intake, checked_name
        from madang.library._mapping import decisions_of

        _known_zone(zone)
        if dataset is not None:
            dataset = checked_name(dataset)
        with self._lock.held():
            with self._state.reading() as db:
                decided = decisions_of(db)
            run = Intake(
                self._lake,
                self._state,
                self._committer,
                self._files,
                now=self._now(),
                zone=zone or self.zone,
                zone_given=zone is not None,
                shift_start=self.shift_start,
                shift_zone=self.zone,
                propose=self._propose,
                decisions=decided,
                party=party,
                progress=progress,
            )
            report = run.run([Path(p) for p in paths], dataset=dataset, strict=strict)
            if report.id is not None:
                self._describe_lake()
        return report

    def read(
        self,
        dataset: str | VersionId,
        *,
        reader: str,
        purpose: str,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        form: Form = "wide",
        units: Literal["unit", "source"] = "unit",
        every: timedelta | None = None,
        how: How = "auto",
    ) -> ReadResult:
        """Read a version: the one way to its records.

        Args:
            dataset: ``name`` for the latest version, or ``name@number``.
            reader: Party that reads.
            purpose: What for, such as ``study``, ``export`` or ``show``.
            columns: Names of columns (of a long dataset: tags); all when None.
            where: Parts, rows or period; all when None.
            form: ``wide`` pivots a long dataset; ``stored`` gives it as kept; ``long`` gives one record per cell.
            units: Numbers in the standard unit of each column, or as the source wrote them.
            every: Period of the wide form of signals: a record ``time`` holds what was known by then of the period before it, and
                ``samples`` how many samples that were; a period in which nine of ten points have a sample when None.
            how: How the wide form brings signals to the period: ``mean``, ``last`` in it, value ``held`` at its end, or ``auto``
                (held for texts, states, set points and recipes, mean for the rest).

        Raises:
            InputError: There is no such dataset, version or column.
            RefusedError: The decision point said no; the error names the clause.
        """
        signals = self._signals.find(dataset)
        if signals is not None:
            return self._signals.read(
                signals,
                reader=reader,
                purpose=purpose,
                columns=columns,
                where=where or Where(),
                form=form,
                units=units,
                every=every,
                how=how,
            )
        rows = self._rows.find(dataset)
        if rows is not None:
            return self._rows.read(rows, reader=reader, purpose=purpose, columns=columns, where=where or Where(), units=units)
        return self._door.read(
            dataset, reader=reader, purpose=purpose, columns=columns, where=where or Where(), form=form, units=units
        )

    @property
    def _rows(self) -> RowsReads:
        from madang.library._signals._rows_reads import RowsReads

        return RowsReads(self._lake, self._state, self._door)

    @property
    def _signals(self) -> SignalReads:
        if self._signal_reads is None:
            from madang.library._signals._reads import SignalReads

            self._signal_reads = SignalReads(self._lake, self._state, self._door, self._now)
        return self._signal_reads

    def points(self, dataset: str | VersionId) -> builtins.list[PointCard]:
        """Return what is known of every point of a signals dataset, by number.

        Raises:
            InputError: There is no such signals dataset or version.
        """
        return self._signals.table(dataset).cards()

    def view(self, dataset: str | VersionId, points: Sequence[str] | None = None, *, reader: str, purpose: str) -> SignalView:
        """Open points for a reader who goes on reading, such as a screen: decided and recorded once, here.

        Every read through the view asks the decision point again; only an answer that has changed is recorded, so that a screen
        that polls four times a second leaves one entry and not a million. It follows the newest version unless one was named.

        Args:
            dataset: ``name`` for the newest version, whatever is committed later, or ``name@number``.
            points: Names of points; all that there are when None.
            reader: Party that reads.
            purpose: What for.

        Raises:
            InputError: There is no such signals dataset, version or point.
            RefusedError: The decision point said no; the error names the clause.
        """
        return self._signals.view(dataset, points, reader=reader, purpose=purpose)

    def last(
        self,
        dataset: str | VersionId,
        points: Sequence[str] | None = None,
        *,
        reader: str,
        purpose: str,
        stale_after: float = 60.0,
    ) -> builtins.list[LastValue]:
        """Return the newest sample of each point that has one, as old as it is.

        Each call is recorded; a screen that polls opens a `view` and asks that.

        Args:
            dataset: See `view`.
            points: Names of points; all that there are when None.
            reader: Party that reads.
            purpose: What for.
            stale_after: Age from which a value is called stale [s].

        Raises:
            InputError: There is no such signals dataset, version or point.
            RefusedError: The decision point said no.
        """
        return self.view(dataset, points, reader=reader, purpose=purpose).last(stale_after=stale_after)

    def range(
        self,
        dataset: str | VersionId,
        point: str,
        start: datetime | None,
        end: datetime | None,
        *,
        reader: str,
        purpose: str,
        limit: int | None = None,
    ) -> Samples:
        """Return a point's samples of ``start <= time < end``, sorted by their own time.

        Args:
            dataset: See `view`.
            point: Name of the point.
            start: First instant; from the first sample on when None.
            end: Instant after the last; to the last sample when None.
            reader: Party that reads.
            purpose: What for.
            limit: How many at most, the earliest; all when None.

        Raises:
            InputError: There is no such signals dataset, version or point.
            RefusedError: The decision point said no.
        """
        return self.view(dataset, [point], reader=reader, purpose=purpose).range(point, start, end, limit=limit)

    def trend(
        self,
        dataset: str | VersionId,
        points: Sequence[str],
        start: datetime,
        end: datetime,
        buckets: int,
        *,
        reader: str,
        purpose: str,
    ) -> dict[str, Buckets]:
        """Return points thinned for the eye: extremes, ends, count and worst quality of equal spans of time.

        Values of bad quality are left out of the extremes, and counted. Buckets without a sample are left out.

        Args:
            dataset: See `view`.
            points: Names of points.
            start: First instant.
            end: Instant after the last.
            buckets: How many at most for each point.
            reader: Party that reads.
            purpose: What for.

        Raises:
            InputError: There is no such signals dataset, version or point.
            RefusedError: The decision point said no.
        """
        return self.view(dataset, points, reader=reader, purpose=purpose).trend(start, end, buckets)

    def features(
        self,
        dataset: str | VersionId,
        windows: Sequence[tuple[datetime, datetime]] | pa.Table,
        points: Sequence[str] | None = None,
        features: Sequence[Feature] = ("n", "mean", "min", "max", "std"),
        *,
        reader: str,
        purpose: str,
        threads: int = 2,
    ) -> pa.Table:
        """Return statistics of points per window (lot, shift, phase): one row per window and point that has a value in it.

        Values of bad quality are left out. Windows are ``start <= time < end`` and may overlap.

        Args:
            dataset: See `view`.
            windows: Pairs of instants, or a table with the columns ``start`` and ``end``.
            points: Names of points; all that there are when None.
            features: Some of n, mean, min, max, std (of the sample), first, last, slope (per hour).
            reader: Party that reads.
            purpose: What for.
            threads: How many files are worked on at once.

        Returns:
            ``window`` (counted from 0), ``point``, ``start``, ``end``, then the features; null where there are too few values.

        Raises:
            InputError: There is no such signals dataset, version or point, or the windows have no start and end.
            RefusedError: The decision point said no.
        """
        view = self.view(dataset, points, reader=reader, purpose=purpose)
        return view.features(windows, features, threads=threads)

    def snapshot(
        self,
        dataset: str | VersionId,
        name: str,
        *,
        every: timedelta | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        points: Sequence[str] | None = None,
        how: How = "auto",
        reader: str = "owner",
    ) -> dict[str, Json]:
        """Keep a stretch of signals as a dataset of records, side by side on one clock, so that studies run on it.

        The same version, period and points give the same bytes, and so the same dataset; other ones take the place of the records
        that a snapshot of that name held before. Each record holds what was known by its time; see `read`.

        Args:
            dataset: ``name`` or ``name@number``.
            name: Dataset to write.
            every: Period; found from the data when None.
            start: First instant; the first sample's when None.
            end: Instant after the last; the last sample's when None.
            points: Names of points; all that there are when None.
            how: How signals are brought to the period; see `read`.
            reader: Party that reads.

        Returns:
            ``dataset``, ``version``, ``from_version``, ``rows``, ``columns``, ``every_seconds``, ``time_first``, ``time_last``.

        Raises:
            InputError: There is no such signals dataset, version or point, or the name is that of signals.
            RefusedError: The decision point said no.
        """
        from madang.library._intake import checked_name
        from madang.library._signals._snapshot import write_snapshot

        target = checked_name(name)
        table = self._signals.table(dataset)
        place = self.root / "snapshots" / f"{target}.parquet"
        place.parent.mkdir(exist_ok=True)
        try:
            made = write_snapshot(
                self._signals, table, place, target, every=every, start=start, end=end, points=points, how=how, reader=reader
            )
            report = self.intake([place], dataset=target, party=reader)
        finally:
            place.unlink(missing_ok=True)
        found = report.tables[0]
        return made | {"dataset": found.dataset, "version": found.version, "added": found.added}

    def conditions(self, dataset: str) -> builtins.list[SavedCondition]:
        """Return the saved conditions of a signals dataset with what each found last, by name.

        Raises:
            InputError: There is no such signals dataset.
        """
        from madang.library._signals._conditions import condition_of
        from madang.library._signals._events import KIND, SavedCondition

        name = self._signals.table(dataset).dataset.name
        newest = {o.name: o for o in self.objects(KIND) if o.facts.get("dataset") == name}
        return [
            SavedCondition(
                name=str(o.facts["label"]),
                dataset=name,
                condition=condition_of(o.facts["expression"]),
                events=int(str(o.facts["events"])),
                last=None if o.facts["last"] is None else str(o.facts["last"]),
                events_dataset=str(o.facts["events_dataset"]),
                evaluated=str(o.facts["evaluated"]),
            )
            for _, o in sorted(newest.items())
        ]

    def keep_condition(
        self,
        dataset: str,
        *,
        name: str,
        condition: Condition | None = None,
        point: str = "",
        op: Op = ">",
        value: float | str = 0.0,
        lasting: timedelta = timedelta(0),
        reader: str = "owner",
    ) -> SavedCondition:
        """Save a condition under a name and store when it held as events; the same name again takes its place.

        Args:
            dataset: A signals dataset.
            name: What people call it.
            condition: The condition; else it is made of `point`, `op` and `value`.
            point: Name of a point.
            op: ``<``, ``<=``, ``>``, ``>=``, ``=`` or ``!=``.
            value: Number or text to compare with, in the unit of the point's card.
            lasting: Shortest time that counts.
            reader: Party that saves and reads.

        Raises:
            InputError: There is no such dataset or point, or the name or condition is none.
            RefusedError: The decision point said no; nothing was saved.
        """
        from madang.library._signals._conditions import Compare, Lasting, condition_of
        from madang.library._signals._events import checked_label

        wanted: Condition = condition or Compare(point, op, value)
        if lasting > timedelta(0):
            wanted = Lasting(wanted, lasting.total_seconds())
        wanted = condition_of(wanted.document())
        label = checked_label(name)
        table = self._signals.table(dataset)
        table.chosen(sorted(wanted.points()))
        kept = {c.name: c.condition for c in self.conditions(table.dataset.name)} | {label: wanted}
        return next(c for c in self._store_events(table.dataset.name, kept, reader) if c.name == label)

    def refresh_events(self, dataset: str, *, reader: str = "owner") -> builtins.list[SavedCondition]:
        """Evaluate the saved conditions of a dataset on its newest version and store the events anew."""
        kept = {c.name: c.condition for c in self.conditions(dataset)}
        return self._store_events(dataset, kept, reader) if kept else []

    def events(
        self,
        dataset: str | VersionId,
        condition: Condition,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        reader: str,
        purpose: str,
    ) -> pa.Table:
        """Return when a condition held: ``condition``, ``start``, ``end``, ``seconds``; nothing is saved.

        Args:
            dataset: See `view`.
            condition: The condition.
            start: First instant; from the first sample on when None.
            end: Instant after the last.
            reader: Party that reads.
            purpose: What for.

        Raises:
            InputError: There is no such signals dataset, version or point.
            RefusedError: The decision point said no.
        """
        from madang.library._signals._events import evaluate, events_table
        from madang.library._signals._times import micros

        table = self._signals.table(dataset)
        points, _ = self._signals.decided(table, sorted(condition.points()), reader, purpose)
        held = evaluate(table.snapshot(), points, condition, micros(start), micros(end))
        return events_table([(condition.text().en, held)])

    def _store_events(self, dataset: str, kept: dict[str, Condition], reader: str) -> builtins.list[SavedCondition]:
        import json

        from madang.library._instants import iso
        from madang.library._signals._events import KIND, evaluate, events_table
        from madang.library._signals._times import instant

        table = self._signals.table(dataset)
        names = sorted({p for c in kept.values() for p in c.points()})
        points, _ = self._signals.decided(table, names, reader, "events")
        snapshot = table.snapshot()
        found = [(label, evaluate(snapshot, points, condition)) for label, condition in sorted(kept.items())]
        target = f"{table.dataset.name}_events"
        records = events_table(found)
        if len(records):
            place = self.root / "snapshots" / f"{target}.parquet"
            place.parent.mkdir(exist_ok=True)
            try:
                self.write_table(records, place)
                self.intake([place], dataset=target, party=reader)
            finally:
                place.unlink(missing_ok=True)
        version = f"{table.dataset.name}@{snapshot.version}"
        for label, held in found:
            facts: dict[str, Json] = {
                "label": label,
                "dataset": table.dataset.name,
                "expression": kept[label].document(),
                "events": len(held.start),
                "last": iso(instant(int(held.start[-1]))) if len(held.start) else None,
                "events_dataset": target,
                "evaluated": version,
            }
            payload = json.dumps(kept[label].document(), ensure_ascii=False, sort_keys=True).encode()
            self.put_object(KIND, f"{table.dataset.name}/{label}", payload, facts=facts, inputs=[version], party=reader)
        return self.conditions(table.dataset.name)

    def decisions(self, first: int = 0) -> list[dict[str, Json]]:
        """Return the recorded answers of the decision point from an index on."""
        from madang.library._read import decision_log

        with self._state.reading() as db:
            return decision_log(db, first)

    def list(self) -> dict[str, Json]:
        """Return the newest version of every dataset in short: ``datasets[]`` with rows, columns, time span and quality."""
        from madang.library._card import list_datasets
        from madang.library._signals._documents import listed

        with self._state.reading() as db:
            document = list_datasets(db)
        found = document["datasets"]
        if isinstance(found, builtins.list):
            found += [listed(self._signals.table(d.name)) for d in self._signals.datasets()]
            rows = self._rows
            found += [rows.listed(d) for d in rows.datasets()]
            found.sort(key=lambda d: str(d["dataset"]) if isinstance(d, dict) else "")
        return document

    def card(self, dataset: str | VersionId) -> dict[str, Json]:
        """Return the card of a version: what it is, how good, from what and of what; unknown fields are said to be unknown.

        Raises:
            InputError: There is no such dataset or version.
        """
        from madang.library._card import card
        from madang.library._signals import _documents

        signals = self._signals.find(dataset)
        if signals is not None:
            return _documents.card(signals, self.zone)
        rows = self._rows.find(dataset)
        if rows is not None:
            return self._rows.card(rows, self.zone)
        with self._state.reading() as db:
            return card(db, str(dataset), self.zone)

    def describe(self, dataset: str, **facts: str | None) -> None:
        """Keep what people say about a dataset: process, equipment, licence, owner, importance, description.

        Raises:
            InputError: There is no such dataset, or a field has another name.
        """
        from madang.library._card import SAID_BY_PEOPLE
        from madang.library._catalogue import resolve
        from madang.library._changes import describe

        unknown = sorted(set(facts) - set(SAID_BY_PEOPLE))
        if unknown:
            raise InputError(
                "no_such_field",
                ko=f"‘{unknown[0]}’은(는) 명세서에 적을 수 있는 항목이 아니에요.",
                en=f"“{unknown[0]}” is not a field of a card that people fill.",
                next_ko="쓸 수 있는 항목: " + ", ".join(SAID_BY_PEOPLE),
                next_en="Fields: " + ", ".join(SAID_BY_PEOPLE),
                where={"dataset": dataset, "asked": [*unknown]},
            )
        with self._lock.held(), self._state.begin() as db:
            describe(db, resolve(db, dataset)[0], dict(facts))

    def search(self, text: str) -> builtins.list[dict[str, Json]]:
        """Return datasets and columns that fit a Korean or English text, best first, whatever its spacing."""
        from madang.library._search import search

        with self._state.reading() as db:
            return search(db, text)

    def undo(self, step: str, *, party: str = "owner") -> dict[str, Json]:
        """Take one reading step, intake or mapping decision back; the dataset gets a new version.

        Args:
            step: Id of the step, such as ``u3``, from an intake report or a card's lineage.
            party: Who takes it back.

        Raises:
            InputError: There is no such step, it is already undone, or its file was superseded.
        """
        return self._changed(lambda changes: changes.undo(step, party)) | {"undone": step}

    def redo(self, step: str, *, party: str = "owner") -> dict[str, Json]:
        """Make an undone step again."""
        return self._changed(lambda changes: changes.undo(step, party, back=True)) | {"redone": step}

    def replay(self, dataset: str, *, party: str = "owner") -> dict[str, Json]:
        """Read the files with quarantined records again by today's rules; without such files nothing changes."""
        return self._changed(lambda changes: changes.replay(dataset, party))

    def accept(
        self,
        dataset: str,
        column: str,
        *,
        role: str | None = None,
        kind: str | None = None,
        unit: str | None = None,
        point: str | None = None,
        author: str = "owner",
    ) -> dict[str, Json]:
        """Settle what a column is, for this dataset and for later files with the same column name and written unit.

        Args:
            dataset: Name of the dataset.
            column: Name of the column, or of a long table's tag.
            role: One of `madang.plant.Role`; as proposed when None.
            kind: One of `madang.plant.Kind`; as proposed when None.
            unit: UCUM code; as proposed when None.
            point: Path of the point of a line document it belongs to.
            author: Who settles it.

        Raises:
            InputError: A name or word is not known.
        """
        signals = self._keeping.find(dataset)
        if signals is not None:
            from madang.library._signals._deciding import decide_point

            words = {"role": role, "kind": kind, "unit": unit, "point": point}
            return decide_point(self._state, signals, column, "accept", author, self._now(), **words)
        return self._changed(
            lambda c: c.decide(dataset, column, "accept", author, role=role, kind=kind, unit=unit, point=point)
        )

    def reject(self, dataset: str, column: str, *, author: str = "owner") -> dict[str, Json]:
        """Say that the proposal for a column is wrong, without saying what is right: it then counts as unknown."""
        signals = self._keeping.find(dataset)
        if signals is not None:
            from madang.library._signals._deciding import decide_point

            return decide_point(self._state, signals, column, "reject", author, self._now())
        return self._changed(lambda c: c.decide(dataset, column, "reject", author, role=None, kind=None, unit=None, point=None))

    def map_review(self, dataset: str | None = None) -> builtins.list[dict[str, Json]]:
        """Return the columns whose meaning waits for a person, the least certain first."""
        from madang.library._catalogue import all_datasets, version_of
        from madang.library._report import column_document
        from madang.library._signals._points import points_of, signals_datasets

        waiting: builtins.list[dict[str, Json]] = []
        with self._state.reading() as db:
            for found in all_datasets(db):
                version = version_of(db, found, found.latest)
                if version is None or (dataset is not None and found.name != dataset):
                    continue
                waiting.extend(
                    {"dataset": found.name, "version": found.latest, **column_document(card)}
                    for card in version.columns
                    if card.status == "ask"
                )
            for live in signals_datasets(db):
                if dataset is None or live.name == dataset:
                    waiting.extend(
                        {"dataset": live.name, "version": 1, **column_document(p.card)}
                        for p in points_of(db, live.id)
                        if p.status == "ask"
                    )
        return sorted(waiting, key=lambda w: float(str(w["confidence"])))

    def quarantine(self, dataset: str) -> builtins.list[dict[str, Json]]:
        """Return the records of a version that could not be read: source, row, reason and text."""
        from madang.library._catalogue import QUARANTINE_SCHEMA, files_of, parts_of, resolve

        with self._state.reading() as db:
            found, version = resolve(db, dataset)
            parts = parts_of(db, found, version.parts)
            files = files_of(db, found, "quarantine", version.parts)
        rows: builtins.list[dict[str, Json]] = []
        for part in parts:
            for batch in self._lake.batches(found.table("quarantine"), files, [part.card.index], QUARANTINE_SCHEMA):
                for record in batch.to_pylist():
                    row = {"row": record["_row"], "reason": record["reason"], "text": record["text"]}
                    rows.append({"dataset": found.name, "part": part.card.index, "source": part.card.source, **row})
        return rows

    def flags(self, dataset: str, *, part: int | None = None) -> pa.Table:
        """Return the remarks on single cells of a version: ``_part``, ``_row``, ``column``, ``flag``, ``original``."""
        import pyarrow as pa

        from madang.library._catalogue import FLAGS_SCHEMA, files_of, resolve

        with self._state.reading() as db:
            found, version = resolve(db, dataset)
            files = files_of(db, found, "flags", version.parts)
        wanted = [p for p in version.parts if part is None or p == part]
        batches = builtins.list(self._lake.batches(found.table("flags"), files, wanted, FLAGS_SCHEMA))
        return pa.Table.from_batches(batches, schema=FLAGS_SCHEMA)

    def export(
        self,
        dataset: str,
        out: Path,
        *,
        form: Literal["wide", "long", "source"] = "wide",
        units: Literal["unit", "source"] = "unit",
        columns: Sequence[str] | None = None,
        reader: str = "owner",
        where: Where | None = None,
        every: timedelta | None = None,
        how: How = "auto",
    ) -> dict[str, Json]:
        """Write a version as CSV, Parquet or JSON lines; the same version gives the same bytes.

        Args:
            dataset: ``name`` or ``name@number``.
            out: File to write; its ending says the format. It appears whole or not at all.
            form: ``wide`` has one column per column or tag; ``long`` one record per value with its quality; ``source`` the records
                as the source had them.
            units: Numbers in each column's unit, or as the source wrote them.
            columns: Columns to write, in this order; all when None.
            reader: Party that reads.
            where: Parts, rows or period; all when None.
            every: Period of the wide form of signals; see `read`.
            how: How the wide form brings signals to the period; see `read`.

        Raises:
            InputError: The dataset, a column or the ending is not known.
            RefusedError: The decision point said no.
        """
        signals = self._signals.find(dataset)
        if signals is not None:
            return self._signals.export(
                signals,
                Path(out),
                form=form,
                units=units,
                columns=columns,
                reader=reader,
                where=where or Where(),
                every=every,
                how=how,
            )
        from madang.library import _export
        from madang.library._read import pivot

        rows_table = self._rows.find(dataset)
        if rows_table is not None:
            return self._rows.export(rows_table, Path(out), units=units, columns=columns, reader=reader, where=where or Where())
        opened = self._door.open(dataset, reader=reader, purpose="export", columns=columns, where=where or Where())
        if form == "long":
            schema, batches = _export.long_batches(opened, units, lambda part: self.flags(str(opened.version.id), part=part))
        elif form == "wide" and opened.long is not None:
            import pyarrow as pa

            stored = pa.Table.from_batches(builtins.list(opened.batches(units)), schema=opened.schema(units))
            asked = None if columns is None else [c.name for c in opened.cards]
            table = pivot(stored, opened.parts, opened.cards, asked)
            wanted = asked if asked is not None else [n for n in table.schema.names if n[0] != "_"]
            schema, batches = _export.wide_batches(table, wanted)
        else:
            schema, batches = _export.stored_batches(opened, units)
        rows = _export.write_batches(schema, batches, Path(out))
        version = opened.version.id
        return {
            "dataset": version.dataset,
            "version": version.number,
            "out": str(out),
            "form": form,
            "units": units,
            "columns": [*schema.names],
            "rows": rows,
            "log_index": opened.decision.log_index,
        }

    def write_table(self, table: pa.Table, out: Path) -> int:
        """Write a table (of a join, say) as `export` writes: by the file's ending, whole or not at all; return its rows."""
        from madang.library._export import write_batches

        return write_batches(table.schema, iter(table.to_batches(max_chunksize=131_072)), Path(out))

    def originals(self, dataset: str, folder: Path) -> builtins.list[Path]:
        """Put the kept originals of a version's parts into a folder under their own names; return them, each once."""
        from madang.library._catalogue import parts_of, resolve
        from madang.library._reread import place_original

        with self._state.reading() as db:
            found, version = resolve(db, dataset)
            parts = parts_of(db, found, version.parts)
        folder.mkdir(parents=True, exist_ok=True)
        placed: dict[str, Path] = {}
        for part in parts:
            if part.object not in placed:
                placed[part.object] = place_original(self._lake, part, folder)
        return builtins.list(placed.values())

    def compact(self, dataset: str) -> dict[str, Json]:
        """Gather a dataset's small files into large ones; every version keeps its rows in their order."""
        from madang.library._compact import compact

        gathered = self._keeping.compact(dataset, self._now())
        if gathered is not None:
            return gathered
        with self._lock.held():
            done = compact(self._lake, self._state, dataset, self._now(), self._faults)
            self._describe_lake()
        return done

    @property
    def _keeping(self) -> Keeping:
        from madang.library._signals._keeping import Keeping

        return Keeping(self._lake, self._state, self._faults)

    def resort(self, dataset: str | None = None, *, everything: bool = False) -> dict[str, Json]:
        """Gather the small files of signals into large sorted ones, without stopping any reader or writer.

        Args:
            dataset: Name of a signals dataset; all when None.
            everything: Gather all there is, not only what is due (sixteen commits, an hour or a day that is over).

        Returns:
            Per dataset ``files_before``, ``files_after``, ``samples``, ``bytes_before``, ``bytes_after``.

        Raises:
            InputError: There is no such signals dataset.
        """
        import dataclasses

        done = self._keeping.resort(self._now(), dataset, everything=everything)
        return {name: dataclasses.asdict(one) for name, one in done.items()}

    def retain(
        self, dataset: str | None = None, *, keep: timedelta = timedelta(days=7), dry_run: bool = True
    ) -> builtins.list[Json]:
        """Apply the rules of retention to signals, then remove files that no kept version needs.

        The rules are those of ``retention.toml`` in the workspace, else the standard ones.

        Args:
            dataset: Name of a signals dataset; all when None.
            keep: For how long older versions can be read again.
            dry_run: Only say what would happen.

        Raises:
            InputError: There is no such signals dataset.
        """
        return self._keeping.retain(self._now(), dataset, keep=keep, dry_run=dry_run)

    def restore(
        self, dataset: str, start: datetime | None = None, end: datetime | None = None, *, dry_run: bool = False
    ) -> dict[str, Json]:
        """Bring back what retention moved to the archive, until the rules are applied again.

        Args:
            dataset: Name of a signals dataset.
            start: Files with samples from this instant on; all when None.
            end: Files with samples before this instant; all when None.
            dry_run: Only say what would come back.

        Returns:
            ``files``, ``samples`` and ``bytes`` that came back.

        Raises:
            InputError: There is no such signals dataset.
        """
        return self._keeping.restore(self._now(), dataset, start, end, dry_run=dry_run)

    def forecast(self, raw_tb_per_month: float = 30.0) -> dict[str, Json]:
        """Return what raw samples (16 bytes each) will take in the lake, from the bytes per sample measured here.

        Raises:
            InputError: There is no sample to measure on.
        """
        return self._keeping.forecast(raw_tb_per_month)

    def live(self, *, threads: int = 2, interval: timedelta = timedelta(seconds=1)) -> LiveIntake:
        """Return what brings live connections' spools into the lake; close it before the library.

        Args:
            threads: How many threads write files.
            interval: Time between commits.
        """
        from madang.library._signals._intake import LiveIntake

        return LiveIntake(
            self._lake, self._state, threads=threads, interval=interval, faults=self._faults, changed=self._describe_lake
        )

    def put_object(
        self,
        kind: str,
        name: str,
        payload: bytes,
        *,
        facts: dict[str, Json] | None = None,
        inputs: Sequence[str | VersionId] = (),
        party: str = "owner",
    ) -> StoredObject:
        """Keep a study, model or report as a new version, with the dataset versions it came from."""
        from madang.library._objects import record_object

        with self._lock.held():
            sha256 = self._lake.keep(iter([payload]))
            with self._state.begin() as db:
                names = [str(i) for i in inputs]
                return record_object(db, kind, name, sha256, len(payload), facts or {}, names, self._now(), party)

    def get_object(self, kind: str, name: str, version: int | None = None) -> tuple[bytes, StoredObject]:
        """Return a saved object's bytes and what is known about it; the newest version without a number (or ``name@2``).

        Raises:
            InputError: There is none of that name; the error lists the names there are.
        """
        from madang.library._objects import find_object

        with self._state.reading() as db:
            found = find_object(db, kind, name, version)
        return self._lake.object_path(found.sha256).read_bytes(), found

    def objects(self, kind: str | None = None) -> builtins.list[StoredObject]:
        """Return every version of every saved object, oldest first."""
        from madang.library._objects import list_objects

        with self._state.reading() as db:
            return list_objects(db, kind)

    @property
    def people(self) -> People:
        """Parties, accounts, roles and tokens."""
        from madang.library._people import People

        return People(self._state, self._now)

    def _changed(self, change: Callable[[Changes], builtins.list[Committed]]) -> dict[str, Json]:
        from madang.library._changes import Changes

        with self._lock.held():
            changes = Changes(
                self._lake,
                self._state,
                self._committer,
                self._files,
                self._propose,
                now=self._now(),
                zone=self.zone,
                shift_start=self.shift_start,
            )
            done = change(changes)
            self._describe_lake()
        made: builtins.list[Json] = [{"dataset": c.version.dataset, "version": c.version.number} for c in done]
        return {"dataset": done[0].version.dataset, "version": done[0].version.number, "datasets": made}


def _known_zone(zone: str | None) -> None:
    import zoneinfo

    if zone is None:
        return
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            "unknown_zone",
            ko=f"‘{zone}’은(는) 모르는 시간대예요.",
            en=f"“{zone}” is not a known time zone.",
            next_ko="예: --zone Asia/Seoul, --zone UTC",
            next_en="For example: --zone Asia/Seoul, --zone UTC",
            where={"zone": zone},
        ) from error
