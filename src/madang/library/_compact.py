"""Gathers the small files of a dataset into large ones: the same rows in the same order, in fewer files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from madang.errors import Json
from madang.library._catalogue import (
    FLAGS_SCHEMA,
    QUARANTINE_SCHEMA,
    TABLES,
    Dataset,
    file_values,
    files_of,
    live_files,
    parts_of,
    records_schema,
    resolve,
    union_columns,
)
from madang.library._commit import Faults
from madang.library._instants import iso
from madang.library._lake import FILE_ROWS, ROW_GROUP, Lake, StoredFile
from madang.library._state import State, files, pending

if TYPE_CHECKING:
    from sqlalchemy import Connection


def compact(lake: Lake, state: State, name: str, now: datetime, faults: Faults) -> dict[str, Json]:
    """Rewrite the small live files of a dataset's tables; every version keeps its rows, and the old files stay.

    Returns:
        Files before and after, over all tables of the dataset.
    """
    with state.reading() as db:
        dataset, version = resolve(db, name)
        stored = parts_of(db, dataset, version.parts)
        columns, _ = union_columns([(p.stored, p.empty) for p in stored])
        types = dict(columns)
        own = {p.card.index for p in stored if all(types[n] == t for n, t in p.stored)}
        live = {kind: live_files(db, dataset, kind) for kind in TABLES}
    schemas = {"records": records_schema(columns), "flags": FLAGS_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
    with state.begin() as db:
        db.execute(pending.insert().values(dataset=dataset.id, folder=dataset.folder, new=False, time=iso(now)))
    before = after = 0
    gathered: list[tuple[str, StoredFile, list[StoredFile]]] = []
    for kind in TABLES:
        before += len(live[kind])
        groups = [g for g in _groups(live[kind], version.parts) if len(g) > 1]
        after += len(live[kind]) - sum(len(g) - 1 for g in groups)
        for group in groups:
            new = _gather(lake, dataset.table(kind), group, version.parts, schemas[kind])
            faults.at("compact:file")
            note = f"{dataset.name}@{dataset.latest} compacted"
            at = int(now.timestamp() * 1000)
            lake.commit(dataset.table(kind), schemas[kind], add=[new], remove=group, data_change=False, note=note, time_ms=at)
            faults.at("compact:delta")
            gathered.append((kind, new, group))
    with state.begin() as db:
        for kind, new, group in gathered:
            _record(db, dataset, kind, new, group, own)
        db.execute(pending.delete())
        faults.at("compact:catalogue")
    return {"dataset": dataset.name, "version": version.id.number, "files_before": before, "files_after": after}


def _groups(live: Sequence[StoredFile], order: Sequence[int]) -> Iterator[list[StoredFile]]:
    """Neighbouring files in the order of the version, up to the rows of one file."""
    place = {part: at for at, part in enumerate(order)}
    group: list[StoredFile] = []
    rows = 0
    for file in sorted(live, key=lambda f: (place.get(f.parts[0], len(order)), f.path)):
        if group and rows + file.rows > FILE_ROWS:
            yield group
            group, rows = [], 0
        group.append(file)
        rows += file.rows
    if group:
        yield group


def _gather(lake: Lake, table: str, group: Sequence[StoredFile], order: Sequence[int], schema: pa.Schema) -> StoredFile:
    parts = [p for p in order if any(p in f.parts for f in group)]
    number = 1 + sum(1 for _ in lake.folder(table).glob("c*.parquet"))
    writer = lake.writer(table, f"c{number:08d}", parts[0])
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in lake.batches(table, group, parts, schema):
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP:
            writer.write(_joined(waiting))
            waiting, rows = [], 0
    if waiting:
        writer.write(_joined(waiting))
    made = writer.close()
    if len(made) != 1:
        raise RuntimeError(f"a compaction of {len(group)} files gave {len(made)} files")
    return StoredFile(made[0].path, made[0].rows, made[0].size, tuple(parts))


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _record(db: Connection, dataset: Dataset, kind: str, new: StoredFile, group: Sequence[StoredFile], own: set[int]) -> None:
    # A part whose types were widened for the lake keeps being read from its own file.
    elsewhere = [f for f in files_of(db, dataset, kind, new.parts) if f.path not in {g.path for g in group}]
    reads = (kind != "records" or set(new.parts) <= own) and not elsewhere
    db.execute(files.insert().values(**file_values(dataset.id, kind, new, current=reads)))
    for file in group:
        where = (files.c.dataset == dataset.id) & (files.c.kind == kind) & (files.c.path == file.path)
        values = {"live": False, "current": False} if reads else {"live": False}
        db.execute(files.update().where(where).values(**values))
