"""One change of the lake and the catalogue: files, then Delta logs, then the catalogue, each flushed before the next.

Whatever stops it in between, the catalogue still says what was true before; `recover` then withdraws what the logs already name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from madang.errors import InputError, Json
from madang.library._cards import ColumnCard, PartCard, VersionId
from madang.library._catalogue import (
    FLAGS_SCHEMA,
    QUARANTINE_SCHEMA,
    TABLES,
    Dataset,
    StoredColumns,
    StoredPart,
    file_values,
    files_of,
    live_files,
    part_values,
    parts_of,
    records_schema,
    union_columns,
    version_of,
)
from madang.library._catalogue import merge_cards as merged
from madang.library._instants import iso
from madang.library._lake import Lake, StoredFile, file_batches, sync_folder
from madang.library._staging import Staged
from madang.library._state import State, datasets, dumps, files, pending, versions
from madang.library._state import live as live_table
from madang.library._state import parts as parts_table

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection


@dataclass
class Change:
    """A new version of one dataset."""

    name: str
    dataset: Dataset | None
    """None for a dataset that does not exist yet."""
    parts: list[int]
    """Parts of the new version in their order, new ones included."""
    add: list[Staged] = field(default_factory=list)
    reason: str = "intake"
    cards: Sequence[ColumnCard] | None = None
    """Cards of the version, when they are not the sum of its parts' (a mapping was decided)."""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Committed:
    """What a change became."""

    dataset: Dataset
    version: VersionId


class Faults:
    """Where a test may stop a commit. The real one does nothing."""

    def at(self, step: str) -> None:
        """Called after each step with its name."""


class Committer:
    """Carries out changes, all of them or none.

    Args:
        lake: The table store.
        state: The catalogue.
        faults: For tests.
    """

    def __init__(self, lake: Lake, state: State, faults: Faults | None = None) -> None:
        self._lake = lake
        self._state = state
        self._faults = faults or Faults()

    def commit(
        self,
        changes: Sequence[Change],
        *,
        party: str,
        now: datetime,
        finish: Callable[[Connection, list[Committed]], None] | None = None,
    ) -> list[Committed]:
        """Carry out the changes in one catalogue transaction.

        Args:
            changes: One per dataset.
            party: Who made them.
            now: When.
            finish: Called with the open transaction and the result, to record what belongs to the change.
        """
        with self._state.begin() as db:
            targets = [self._target(db, change, now) for change in changes]
            for target in targets:
                db.execute(
                    pending.insert().values(dataset=target.id, folder=target.folder, new=target.latest == 0, time=iso(now))
                )
        self._faults.at("announced")
        try:
            with self._state.reading() as db:
                arrangements = [self._arrange(db, c, t) for c, t in zip(changes, targets, strict=True)]
            for change, target in zip(changes, targets, strict=True):
                self._move(change, target)
            self._faults.at("files")
            for arrangement, target in zip(arrangements, targets, strict=True):
                for table in arrangement:
                    table.commit(self._lake, target, now)
                    self._faults.at(f"delta:{table.kind}")
            with self._state.begin() as db:
                done = [
                    self._record(db, change, target, arrangement, party, now)
                    for change, target, arrangement in zip(changes, targets, arrangements, strict=True)
                ]
                if finish is not None:
                    finish(db, done)
                db.execute(pending.delete())
                self._faults.at("catalogue")
        except Exception:
            recover(self._lake, self._state)
            raise
        self._faults.at("done")
        return done

    def _target(self, db: Connection, change: Change, now: datetime) -> Dataset:
        if change.dataset is not None:
            return change.dataset
        from sqlalchemy import func, select

        live_one = (
            select(live_table.c.dataset)
            .join(datasets, datasets.c.id == live_table.c.dataset)
            .where(datasets.c.name == change.name)
        )
        if db.execute(live_one).first() is not None:
            raise live_name(change.name)
        last = db.execute(select(func.max(datasets.c.id))).scalar() or 0
        number = last + 1
        folder = f"d{number:06d}"
        # A folder that an earlier, failed intake left is not reused.
        while self._lake.folder(folder).exists():
            number += 1
            folder = f"d{number:06d}"
        row = {"id": number, "name": change.name, "folder": folder, "created": iso(now), "latest": 0, "facts": "{}"}
        db.execute(datasets.insert().values(**row))
        return Dataset(number, change.name, folder, str(iso(now)), 0, {})

    def _move(self, change: Change, target: Dataset) -> None:
        for kind in TABLES:
            for staged in change.add:
                new: tuple[StoredFile, ...] = getattr(staged, kind)
                for file in new:
                    place = self._lake.folder(target.table(kind))
                    place.mkdir(parents=True, exist_ok=True)
                    (staged.folder / kind / file.path).replace(place / file.path)
                if new:
                    sync_folder(self._lake.folder(target.table(kind)))

    def _arrange(self, db: Connection, change: Change, target: Dataset) -> list[_Arrangement]:
        kept_ids = [p for p in change.parts if p not in {s.part for s in change.add}]
        kept = parts_of(db, target, kept_ids)
        schemas = [(p.stored, p.empty) for p in kept] + [(s.stored, s.empty) for s in change.add]
        columns, clashes = union_columns(schemas)
        if clashes:
            raise type_clash(target.name, clashes[0].column)
        found = []
        for kind, schema in (
            ("records", records_schema(columns)),
            ("flags", FLAGS_SCHEMA),
            ("quarantine", QUARANTINE_SCHEMA),
        ):
            added = [f for s in change.add for f in getattr(s, kind)]
            arrangement = _Arrangement(kind, schema, columns, added)
            arrangement.plan(db, self._lake, target, kept_ids, [s.folder / kind for s in change.add])
            found.append(arrangement)
        return found

    def _record(
        self, db: Connection, change: Change, target: Dataset, arrangement: list[_Arrangement], party: str, now: datetime
    ) -> Committed:
        number = target.latest + 1
        for staged in change.add:
            db.execute(parts_table.insert().values(**part_values(stored_part(staged, target.id, now))))
        for table in arrangement:
            table.record(db, target)
        cards = change.cards
        if cards is None:
            cards = version_cards(db, target, change.parts)
        db.execute(
            versions.insert().values(
                dataset=target.id,
                number=number,
                created=iso(now),
                party=party,
                reason=change.reason,
                parts=dumps(list(change.parts)),
                columns=dumps([_card(c) for c in cards]),
                parents=dumps(list(change.parents)),
            )
        )
        db.execute(datasets.update().where(datasets.c.id == target.id).values(latest=number))
        return Committed(replace(target, latest=number), VersionId(target.name, number))


def _card(card: ColumnCard) -> dict[str, Json]:
    from madang.library._catalogue import card_to_json

    return card_to_json(card)


def version_cards(db: Connection, dataset: Dataset, part_ids: Sequence[int]) -> tuple[ColumnCard, ...]:
    """Cards of a version: the sum of its parts' counts, with the meaning that the newest part or a person gave."""
    return merged([p.columns for p in parts_of(db, dataset, part_ids)])


@dataclass
class _Arrangement:
    """Which files one Delta table gains and loses."""

    kind: str
    schema: pa.Schema
    columns: StoredColumns
    added: list[StoredFile]
    again: list[StoredFile] = field(default_factory=list)
    rewritten: list[StoredFile] = field(default_factory=list)
    removed: list[StoredFile] = field(default_factory=list)
    aside: list[StoredFile] = field(default_factory=list)

    def plan(self, db: Connection, lake: Lake, target: Dataset, kept: Sequence[int], staged: Sequence[Path]) -> None:
        """Decide what is kept, withdrawn, brought back or written anew so that exactly the wanted parts are live."""
        wanted = set(kept)
        table = target.table(self.kind)
        folder = lake.folder(table)
        live = live_files(db, target, self.kind)
        clash = (folder / "_delta_log").is_dir() and self._clashes(lake.schema(table))
        covered: set[int] = set()
        for file in live:
            if not clash and set(file.parts) <= wanted and self._fits(folder / file.path):
                covered |= set(file.parts)
            else:
                self.removed.append(file)
        live_paths = {f.path for f in live}
        for file in files_of(db, target, self.kind, wanted - covered):
            absent = set(file.parts) - covered
            if not absent & wanted:
                continue
            whole = set(file.parts) <= wanted - covered and file.path not in live_paths and not clash
            if whole and self._fits(folder / file.path):
                self.again.append(file)
            else:
                for part in file.parts:
                    if part in wanted - covered:
                        self.rewritten.extend(self._rewrite(lake, target, folder / file.path, part))
        for file in list(self.added):
            place = next(p for p in staged if (p / file.path).exists())
            if not self._fits(place / file.path):
                # The part keeps its own file for reads; the lake shows a copy in the dataset's types.
                self.added.remove(file)
                self.aside.append(file)
                self.rewritten.extend(self._rewrite(lake, target, place / file.path, file.parts[0]))

    def _clashes(self, present: pa.Schema) -> bool:
        types = dict(zip(present.names, present.types, strict=True))
        return any(types.get(f.name, f.type) != f.type for f in self.schema)

    def _fits(self, path: Path) -> bool:
        return not self._clashes(pq.read_schema(path))

    def _rewrite(self, lake: Lake, target: Dataset, source: Path, part: int) -> tuple[StoredFile, ...]:
        table = target.table(self.kind)
        number = 1 + sum(1 for _ in lake.folder(table).glob(f"p{part:08d}-r*.parquet"))
        writer = lake.writer(table, f"p{part:08d}-r{number:03d}", part)
        for batch in file_batches(source, part, self.schema):
            writer.write(batch)
        return writer.close()

    def commit(self, lake: Lake, target: Dataset, now: datetime) -> None:
        """Write the Delta commit; a table whose files do not change is left alone."""
        add = [*self.added, *self.again, *self.rewritten]
        exists = (lake.folder(target.table(self.kind)) / "_delta_log").is_dir()
        if add or self.removed or (self.kind == "records" and not exists):
            lake.commit(
                target.table(self.kind),
                self.schema,
                add=add,
                remove=self.removed,
                note=f"{target.name}@{target.latest + 1}",
                time_ms=int(now.timestamp() * 1000),
            )

    def record(self, db: Connection, target: Dataset) -> None:
        """Bring the catalogue's account of the files up to date."""
        for live, group in ((False, self.removed), (True, self.again)):
            for file in group:
                where = (files.c.dataset == target.id) & (files.c.kind == self.kind) & (files.c.path == file.path)
                db.execute(files.update().where(where).values(live=live))
        for file in self.added:
            db.execute(files.insert().values(**file_values(target.id, self.kind, file)))
        for file in self.aside:
            db.execute(files.insert().values(**file_values(target.id, self.kind, file, live=False)))
        for file in self.rewritten:
            # Reads keep to the first file of a part, so that an older version keeps its bytes and types.
            db.execute(files.insert().values(**file_values(target.id, self.kind, file, current=False)))


def stored_part(staged: Staged, dataset: int, now: datetime) -> StoredPart:
    """The catalogue's part of a staged table."""
    return StoredPart(
        card=PartCard(
            index=staged.part,
            source=staged.source.source,
            sha256=staged.source.sha256,
            layout=staged.layout,
            tally=staged.tally,
            time_first=staged.time_first,
            time_last=staged.time_last,
            findings=tuple(staged.findings),
        ),
        dataset=dataset,
        object=staged.object,
        file_name=staged.source.path.name,
        member=staged.source.member,
        sheet=staged.source.part,
        size=staged.source.size,
        added=str(iso(now)),
        zone=staged.options.zone,
        zone_given=staged.options.zone_given,
        disabled=staged.options.disabled,
        columns=tuple(staged.cards),
        stored=staged.stored,
        profile=staged.shifts,
        sketch=staged.profile.sketch,
        flags=staged.flag_count,
        empty=staged.empty,
        origin=staged.origin or staged.part,
        place=staged.place,
    )


def type_clash(dataset: str, column: str) -> InputError:
    """A part that cannot stand in a dataset."""
    return InputError(
        "type_clash",
        ko=f"‘{column}’ 열의 종류가 ‘{dataset}’에 있는 것과 달라서 함께 둘 수 없어요.",
        en=f"Column “{column}” is of another type than in “{dataset}”; they cannot stand together.",
        next_ko="--dataset 으로 다른 이름을 주세요.",
        next_en="Give another name with --dataset.",
        where={"dataset": dataset, "column": column},
    )


def live_name(dataset: str) -> InputError:
    """Files cannot stand in a dataset that a live connection fills."""
    return InputError(
        "dataset_of_another_kind",
        ko=f"‘{dataset}’ 데이터셋은 연결에서 오는 값이 채우고 있어서 파일을 함께 둘 수 없어요.",
        en=f"Dataset “{dataset}” is filled by a live connection; files cannot stand in it.",
        next_ko="--dataset 으로 다른 이름을 주세요.",
        next_en="Give another name with --dataset.",
        where={"dataset": dataset},
    )


def recover(lake: Lake, state: State) -> list[str]:
    """Withdraw what an interrupted change left: the lake then says what the catalogue says.

    Returns:
        Folders that were put right.
    """
    from sqlalchemy import select

    righted = []
    state.settle()
    with state.reading() as db:
        begun = db.execute(select(pending)).all()
    for row in begun:
        with state.reading() as db:
            known = db.execute(select(datasets).where(datasets.c.id == row.dataset)).first()
        if known is None or known.latest == 0:
            lake.remove_tree(row.folder)
            with state.begin() as db:
                db.execute(datasets.delete().where(datasets.c.id == row.dataset))
                db.execute(pending.delete().where(pending.c.id == row.id))
        else:
            _restore(lake, state, Dataset(known.id, known.name, known.folder, known.created, known.latest, {}))
            with state.begin() as db:
                db.execute(pending.delete().where(pending.c.id == row.id))
        righted.append(row.folder)
    return righted


def _restore(lake: Lake, state: State, dataset: Dataset) -> None:
    for kind in TABLES:
        table = dataset.table(kind)
        with state.reading() as db:
            listed = live_files(db, dataset, kind)
            every = {r.path for r in db.execute(files.select().where(files.c.dataset == dataset.id, files.c.kind == kind))}
            columns = _columns_now(db, dataset)
        logged = lake.live(table)
        gone = [f for f in listed if f.path not in logged]
        stray = [StoredFile(p, 0, size, (0,)) for p, size in logged.items() if p not in {f.path for f in listed}]
        if gone or stray:
            schema = {"flags": FLAGS_SCHEMA, "quarantine": QUARANTINE_SCHEMA}.get(kind, records_schema(columns))
            lake.commit(table, schema, add=gone, remove=stray, note="an interrupted change was withdrawn")
        folder = lake.folder(table)
        if folder.is_dir():
            lake.discard(table, [p.name for p in folder.glob("*.parquet") if p.name not in every and p.name not in logged])


def _columns_now(db: Connection, dataset: Dataset) -> StoredColumns:
    version = version_of(db, dataset, dataset.latest)
    parts = parts_of(db, dataset, version.parts) if version is not None else ()
    return union_columns([(p.stored, p.empty) for p in parts])[0]
