"""Tables of databases in the lake: every entry that came, the newest of a key first among them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from madang.connect import Rows
from madang.errors import Json
from madang.library._catalogue import Dataset
from madang.library._commit import Faults
from madang.library._instants import iso
from madang.library._lake import Lake, sync_file
from madang.library._signals._columns import CHANGE, OWN, ROWS_SCHEMA, SEEN, SEQUENCE, kept_column, kept_type, place_of
from madang.library._signals._commit import LiveTable, Mark
from madang.library._signals._points import live_dataset, make_live_dataset
from madang.library._signals._state_of_rows import gone
from madang.library._state import dumps, live

if TYPE_CHECKING:
    from madang.library._state import State


@dataclass(frozen=True)
class RowsFile:
    """One written file of entries."""

    path: str
    size: int
    rows: int
    last: int
    """Number of its last entry."""

    def stats(self) -> str:
        """Statistics of an ``add`` action."""
        return json.dumps(
            {"numRecords": self.rows, "minValues": {SEQUENCE: self.last - self.rows + 1}, "maxValues": {SEQUENCE: self.last}}
        )


@dataclass
class SealedRows:
    """What one commit of a table takes."""

    entries: list[tuple[str, int, Rows]] = field(default_factory=list)
    """Connection, sequence of the frame, what came."""
    upto: dict[str, int] = field(default_factory=dict)


def table_dataset(home: str, table: str) -> str:
    """Return the dataset of a source's table: below the connection's own, in signs that a name can bear.

    >>> table_dataset("mes", "dbo.lots")
    'mes.dbo.lots'
    """
    plain = re.sub(r"[/\\:*?\"<>|#@,'!\x00-\x1f]", "_", table).strip(" .") or "table"
    return f"{home}.{plain}"


class RowsWriter:
    """Holds entries of one followed table and commits them. Made by `open`."""

    def __init__(self, lake: Lake, state: State, dataset: Dataset, facts: dict[str, Json], zone: str, faults: Faults) -> None:
        self.dataset = dataset
        self.changed = True
        self._facts = facts
        self._state = state
        self._zone = zone
        self._table = LiveTable(lake, dataset.table("rows"), ROWS_SCHEMA, faults)
        self._held = SealedRows()
        self._count = 0
        self._taken: dict[str, int] = {}

    @classmethod
    def open(
        cls, lake: Lake, state: State, name: str, connection: str, rows: Rows, zone: str, now: datetime, faults: Faults
    ) -> RowsWriter:
        """Open the writer of a table's dataset, which is made when missing.

        Raises:
            InputError: A dataset of another kind has that name.
        """
        facts: dict[str, Json] = {
            "connection": connection,
            "table": rows.table,
            "key": [*rows.key],
            "zone": zone,
            "findings": [],
        }
        with state.begin() as db:
            dataset = make_live_dataset(db, lake, name, "rows", now, facts)
            found = live_dataset(db, name)
        assert found is not None
        return cls(lake, state, dataset, found[2], zone, faults)

    def __len__(self) -> int:
        return self._count

    def taken(self, app: str) -> int:
        """Return the last sequence of a spool that this table has."""
        if app not in self._taken:
            self._taken[app] = self._table.taken(app)
        return self._taken[app]

    def hold(self, app: str, connection: str, sequence: int, rows: Rows) -> None:
        """Keep entries for the next commit, unless the lake has them."""
        if self.taken(app) < sequence:
            self._held.entries.append((connection, sequence, rows))
            self._held.upto[app] = sequence
            self._count += max(1, rows.batch.num_rows)

    def seal(self) -> SealedRows:
        """Return what is held, and begin anew."""
        sealed, self._held, self._count = self._held, SealedRows(), 0
        return sealed

    def forget(self) -> None:
        """Forget what is held and what was known of the marks."""
        self.seal()
        self._taken = {}

    def commit(self, sealed: SealedRows, now: datetime) -> dict[str, int]:
        """Commit what was sealed; returns how many entries each connection gave.

        Raises:
            AlreadyTaken: Another process committed a part of it.
        """
        if not sealed.entries:
            return {}
        counted: dict[str, int] = {}
        present = self._present()
        pieces: list[pa.Table] = []
        for connection, _, rows in sealed.entries:
            piece = self._entries(rows, present, pieces, now)
            if len(piece):
                pieces.append(piece)
                counted[connection] = counted.get(connection, 0) + len(piece)
        marks = [Mark(app, self.taken(app), last) for app, last in sealed.upto.items()]
        if pieces:
            self._grow(present)
            table = pa.concat_tables(pieces, promote_options="default")
            first = self._last() + 1
            table = table.append_column(SEQUENCE, pa.array(range(first, first + len(table)), pa.int64()))
            file = _write(self._table.folder, table, first + len(table) - 1)
            self._table.commit([file], marks, now)
        self._taken |= sealed.upto
        return counted

    def _present(self) -> dict[str, Any]:
        from deltalake import DeltaTable

        schema = pa.schema(DeltaTable(str(self._table.folder)).schema().to_arrow())
        return {f.name: kept_type(f.type) for f in schema}

    def _entries(self, rows: Rows, present: dict[str, Any], before: Sequence[pa.Table], now: datetime) -> pa.Table:
        """Return the entries of one frame in the table's columns, new columns noted in `present`."""
        columns: dict[str, pa.Array] = {}
        for name, column in zip(rows.batch.schema.names, rows.batch.columns, strict=True):
            values = kept_type(column.type)
            if values is None or (rows.change == "delete" and rows.key and name not in rows.key):
                continue
            place = place_of(name, values, present)
            if place not in present:
                present[place] = values
                if place not in (name, f"{name}_"):
                    self._note_type(name, place, now)
            columns[place] = kept_column(column, rows.batch.schema.field(name), self._zone)
        if rows.change == "snapshot":
            columns = self._gone(rows, columns, before)
        count = len(next(iter(columns.values()), ()))
        columns[CHANGE] = pa.array(["upsert" if rows.change == "upsert" else "delete"] * count, pa.string())
        columns[SEEN] = pa.array([rows.received] * count, pa.timestamp("us", tz="UTC"))
        return pa.table(columns)

    def _gone(self, rows: Rows, columns: dict[str, pa.Array], before: Sequence[pa.Table]) -> dict[str, pa.Array]:
        """Return the kept keys that a snapshot does not name: those records were deleted at the source."""
        named = pa.table(
            {n: c for n, c in columns.items() if not rows.key or n.partition("__")[0] in rows.key or n in rows.key}
        )
        missing = gone(self._table.folder, self._table.live(), rows.key, named, before)
        return {n: missing.column(n).combine_chunks() for n in missing.column_names}

    def _note_type(self, name: str, place: str, now: datetime) -> None:
        """Keep a finding: a column came in another type, and stands in a column of its own from now on."""
        findings = self._facts.setdefault("findings", [])
        assert isinstance(findings, list)
        if any(isinstance(f, dict) and f.get("place") == place for f in findings):
            return
        findings.append({"code": "type_change", "column": name, "place": place, "time": iso(now)})
        with self._state.begin() as db:
            db.execute(live.update().where(live.c.dataset == self.dataset.id).values(facts=dumps(self._facts)))
        self.changed = True

    def _grow(self, wanted: Mapping[str, Any]) -> None:
        """Add the columns that the table does not have yet."""
        from deltalake import DeltaTable, Schema

        with self._table.lock.held():
            opened = DeltaTable(str(self._table.folder))
            there = {f.name for f in opened.schema().fields}
            new = pa.schema([pa.field(n, t) for n, t in wanted.items() if n not in there])
            if len(new):
                opened.alter.add_columns(Schema.from_arrow(new).fields)
                opened.update_incremental()
                log = self._table.folder / "_delta_log"
                sync_file(log / f"{opened.version():020d}.json")
                self.changed = True

    def _last(self) -> int:
        """Number of the table's last entry."""
        found = 0
        for action in self._table.live().values():
            last = json.loads(str(action["stats"])).get("maxValues", {}).get(SEQUENCE)
            found = max(found, int(last or 0))
        return found

    def close(self) -> None:
        """Nothing is held open."""


def _write(folder: Path, table: pa.Table, last: int) -> RowsFile:
    name = f"r-{uuid.uuid4()}.parquet"
    pq.write_table(table.select([n for n in table.column_names if n not in OWN] + [*OWN]), folder / name, compression="zstd")
    sync_file(folder / name)
    return RowsFile(name, (folder / name).stat().st_size, len(table), last)
