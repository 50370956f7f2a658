"""Follows one table: what is new, what was changed in place, what was deleted, and nothing twice.

Three looks, cheap to costly. *News* asks for rows written since the last look. *Keys* reads the keys alone and finds deletes.
*Comparison* reads all rows in key order and finds whatever else there is. Each look is one state of the database where the peer can show
one, so that after it the records handed over are those of the peer at that instant.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from madang.connect._blocks import Rows
from madang.connect._source import Sink
from madang.connect.sql._catalogue import ROW, SqlTable
from madang.connect.sql._columns import Misfit, batch_of, schema_of
from madang.connect.sql._database import Reader, Row
from madang.connect.sql._memory import Memory, digests, hashes_of, keys_of
from madang.connect.sql._options import SqlOptions
from madang.connect.sql._pages import after, cursor_low, key_pages, pages_after
from madang.connect.sql._quarantine import misfit_rejects

XMIN_ROWS: Final = 5_000_000
"""Largest table that is searched by transaction number on its own: the search reads the whole table at the peer, though it sends little."""
_TOLD: Final = 10_000
SMALL: Final = 20_000
"""Tables up to here are compared whole as often as deletes are looked for."""


@dataclass
class Look:
    """What one look at a table brought."""

    read: int = 0
    put: int = 0
    deleted: int = 0


class TableFollower:
    """Follows one table; it is made anew when the table's columns have changed.

    Args:
        table: The table as it is now.
        options: How it is followed.
        sink: Where records go.
        clock: The time now (UTC).
        zone: Zone of wall-clock columns.
        kind: Kind of database.
    """

    def __init__(
        self, table: SqlTable, options: SqlOptions, sink: Sink, clock: Callable[[], datetime], zone: str, kind: str
    ) -> None:
        self.table = table
        self._options = options
        self._sink = sink
        self._clock = clock
        self._zone = zone
        self._kind = kind
        self._prefix = f"sql/{table.name}"
        self._names = [column.name for column in table.columns]
        self._key_at = [self._names.index(name) for name in table.key]
        self.row = row_name(table)
        self._schema = schema_of(table.columns, zone)
        self.memory = Memory(sink, f"{self._prefix}/memory", self._key_schema())
        self._told: set[str] = set()
        self._state: dict[str, Any] = json.loads(sink.cursor(f"{self._prefix}/state") or "{}")
        if self._state.get("afresh", "") != options.afresh:
            self._state["afresh"] = options.afresh
            self.columns_changed(retyped=True)

    @property
    def cursor(self) -> str | None:
        """Column that only grows, where it is plain or a person named it."""
        named = self._options.cursors.get(self.table.name)
        if named is not None:
            return named if named in self._names else None
        return self.table.growing[0] if len(self.table.growing) == 1 else None

    @property
    def by_transaction(self) -> bool:
        """Whether new rows are found by the peer's transaction numbers, which misses no late commit and no update."""
        if self._kind != "postgresql" or not self.table.whole or not self.table.key or self._options.late == "overlap":
            return False
        return self._options.late == "xmin" or (self.table.estimate or 0) <= XMIN_ROWS

    @property
    def forgets(self) -> bool:
        """Whether the table is too long to be remembered: then updates in place and deletes are not found."""
        return bool(self._state.get("forgets")) or max(len(self.memory), self.table.estimate or 0) > self._options.remember

    @property
    def followed(self) -> bool:
        """Whether the table can be followed at all: a long one needs a key, and a column that only grows or transaction numbers."""
        return not self.forgets or bool(self.table.key and (self.cursor or self.by_transaction))

    def look(self, reader: Reader, now: datetime) -> Look:
        """Take the look that is due, the most thorough one first."""
        if not self.followed:
            return Look()
        if self.forgets and "compared" in self._state:
            return self.news(reader)
        if self._due("compared", now, self._compare_every()):
            return self.compare(reader)
        look = self.news(reader)
        if self.table.key and self._due("reconciled", now, self._options.reconcile):
            look.deleted = self.keys(reader)
        return look

    def _compare_every(self) -> float:
        options = self._options
        if not self.table.key or not (self.cursor or self.by_transaction):
            return options.every if len(self.memory) <= SMALL else max(options.every, options.reconcile)
        if len(self.memory) <= SMALL and not self.by_transaction:
            return min(options.reconcile, options.compare)
        return options.compare

    def _due(self, what: str, now: datetime, seconds: float) -> bool:
        last = self._state.get(what)
        if last is None:
            return True
        then = datetime.fromisoformat(last)
        # A clock that was set back must not put a look off for hours.
        return now < then or now - then >= timedelta(seconds=seconds)

    def columns_changed(self, *, retyped: bool) -> None:
        """Compare whole at the next look; after a change of type hand every record over anew."""
        if retyped:
            self.memory.doubt()
            self.memory.save()
        self._state.pop("compared", None)

    # ---- news

    def news(self, reader: Reader) -> Look:
        """Hand over rows written since the last look; deletes are not among them."""
        if not self.table.key:
            return Look()
        if self.by_transaction:
            return self._news_by_transaction(reader)
        return self._news_by_cursor(reader) if self.cursor is not None else Look()

    def _news_by_transaction(self, reader: Reader) -> Look:
        from madang.connect.sql._postgres import horizon, newest, written_since

        look = Look()
        last = self._state.get("horizon")
        now = horizon(reader)
        if last is None or newest(reader) < int(last):
            # The numbers ran back: the peer was restored from a copy or is another one. Only a comparison can tell what changed.
            return self.compare(reader)
        query = self.table.select().where(written_since(int(last)))
        seen: set[Any] = set()
        for page in reader.pages(query, self._options.page):
            seen.update(self._hand_over(page, look))
        self._only(seen)
        self._save(horizon=now)
        return look

    def _news_by_cursor(self, reader: Reader) -> Look:
        look = Look()
        assert self.cursor is not None
        column = self.cursor
        at = self._names.index(column)
        wall = self._clock().astimezone(ZoneInfo(self._zone))
        low = cursor_low(self._state.get("cursor"), wall, self._options)
        highest = self._state.get("cursor")
        order = [column, *[name for name in self.table.key if name != column]]
        seen: set[Any] = set()
        for page in pages_after(reader, self.table, self.table.select(), order, low, self._options.page):
            seen.update(self._hand_over(page, look))
            highest = after(highest, page[-1][at])
            if highest != self._state.get("cursor"):
                self._save(cursor=highest)
        self._only(seen)
        return look

    def _only(self, seen: set[Any]) -> None:
        """Of a table too long to be remembered, remember only the rows that this look will meet again."""
        if self.forgets:
            self.memory.forget([key for key in self.memory if key not in seen])
            self.memory.save()

    # ---- keys and comparison

    def keys(self, reader: Reader) -> int:
        """Read the keys alone, and hand over deletes; returns how many."""
        started = self._clock()
        key_columns = [self.table.column(name) for name in self.table.key]
        gone = set(self.memory)
        for page in key_pages(reader, self.table, self.table.key, self._options.page):
            batch, _ = batch_of(key_columns, page, self._zone)
            gone.difference_update(keys_of(batch))
        self._delete(gone)
        self._save(reconciled=started.isoformat())
        return len(gone)

    def compare(self, reader: Reader) -> Look:
        """Read all rows, and hand over what is new, changed or gone."""
        started = self._clock()
        now = None
        if self.by_transaction:
            from madang.connect.sql._postgres import horizon

            now = horizon(reader)
        look = self._compare_keyed(reader) if self.table.key else self._compare_keyless(reader)
        marks = {"compared": started.isoformat(), "reconciled": started.isoformat()}
        self._save(**marks, **({"horizon": now} if now is not None else {}))
        return look

    def _compare_keyed(self, reader: Reader) -> Look:
        look = Look()
        gone = set(self.memory)
        at = self._names.index(self.cursor) if self.cursor is not None else None
        highest = self._state.get("cursor")
        for page in key_pages(reader, self.table, self._names, self._options.page):
            gone.difference_update(self._hand_over(page, look))
            if at is not None:
                for row in page:
                    highest = after(highest, row[at])
        look.deleted = len(gone)
        self._delete(gone)
        # Saved at the end: a comparison that breaks off begins anew, and what it handed over is remembered.
        if highest is not None:
            self._state["cursor"] = highest
        return look

    def _compare_keyless(self, reader: Reader) -> Look:
        look = Look()
        times_seen: Counter[bytes] = Counter()
        gone = set(self.memory)
        for page in self._whole(reader):
            identities = []
            for digest in digests(self._names, page, 16):
                times_seen[digest] += 1
                identities.append(f"{digest.hex()}-{times_seen[digest]}")
            gone.difference_update(identities)
            self._put(page, identities, [1] * len(page), look)
        look.deleted = len(gone)
        self._delete(gone)
        return look

    def _whole(self, reader: Reader) -> Iterator[list[Row]]:
        if self._kind == "sqlite" and not self.table.view and not reader.one_snapshot:
            yield from key_pages(reader, self.table, self._names, self._options.page, rowid=True)
        else:
            yield from reader.pages(self.table.select(), self._options.page)

    # ---- handing over

    def _hand_over(self, page: Sequence[Row], look: Look) -> list[Any]:
        """Hand over those of the rows that changed; returns the keys of all."""
        key_columns = [self.table.columns[at] for at in self._key_at]
        key_batch, misfits = batch_of(key_columns, [[row[at] for at in self._key_at] for row in page], self._zone)
        # SQLite allows an empty cell in a primary key.
        empty = {index for index, row in enumerate(page) if any(row[at] is None for at in self._key_at)}
        if misfits or empty:
            # A record whose key cannot be held cannot be told from others.
            bad = empty | {misfit.row for misfit in misfits}
            nothing = [Misfit(index, self.table.key[0], None) for index in sorted(empty)]
            # It is met again at every look, and is told once while this process runs.
            new = [misfit for misfit in (*misfits, *nothing) if repr(page[misfit.row]) not in self._told]
            self._told.update(repr(page[misfit.row]) for misfit in new[: max(0, _TOLD - len(self._told))])
            self._reject(page, new)
            page = [row for index, row in enumerate(page) if index not in bad]
            return self._hand_over(page, look) if page else []
        keys = keys_of(key_batch)
        self._put(page, keys, hashes_of(self._names, page), look)
        return keys

    def _put(self, page: Sequence[Row], keys: Sequence[Any], hashes: Sequence[int], look: Look) -> None:
        look.read += len(page)
        changed = self.memory.changed(keys, hashes)
        if not changed:
            return
        rows = [page[index] for index in changed]
        batch, misfits = batch_of(self.table.columns, rows, self._zone)
        identities = [keys[index] for index in changed]
        if not self.table.key:
            batch = batch.add_column(0, self.row, self.memory.batch(identities).column(0))
        if misfits:
            self._reject(rows, misfits)
        if self.forgets and not self._state.get("forgets"):
            self._save(forgets=True)
        remembers = not (self.forgets and "compared" not in self._state)
        if remembers:
            self.memory.announce(identities)
        self._sink.put_rows(Rows(self.table.name, self._key_names(), batch, self._micros()))
        look.put += len(changed)
        if remembers:
            self.memory.remember(identities, [hashes[index] for index in changed])
            self.memory.save()

    def _delete(self, gone: set[Any]) -> None:
        ordered = list(gone)
        for start in range(0, len(ordered), self._options.page):
            part = ordered[start : start + self._options.page]
            self._sink.put_rows(Rows(self.table.name, self._key_names(), self.memory.batch(part), self._micros(), "delete"))
            self.memory.forget(part)
        if ordered:
            self.memory.save()

    def _reject(self, rows: Sequence[Row], misfits: Sequence[Any]) -> None:
        for reject in misfit_rejects(self.table, rows, misfits, self._micros()):
            self._sink.put_reject(reject)

    def _save(self, **marks: Any) -> None:  # noqa: ANN401
        self._state.update(marks)
        self._sink.save_cursor(f"{self._prefix}/state", json.dumps(self._state, ensure_ascii=False))

    def _key_names(self) -> tuple[str, ...]:
        return self.table.key or (self.row,)

    def _key_schema(self) -> Any:  # noqa: ANN401
        import pyarrow as pa

        if not self.table.key:
            return pa.schema([pa.field(self.row, pa.string())])
        return pa.schema([self._schema.field(name) for name in self.table.key])

    def _micros(self) -> int:
        return int(self._clock().timestamp() * 1_000_000)


def row_name(table: SqlTable) -> str:
    """Return the name of the added column that identifies a record of a table without a key."""
    names = {column.name for column in table.columns}
    name = ROW
    while name in names:
        name = f"_{name}"
    return name
