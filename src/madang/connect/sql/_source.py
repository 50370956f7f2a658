"""The source: looks at its tables one after another, survives the peer's restarts, and says which table it cannot follow and why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from madang.connect._blocks import BLOCK_SCHEMA, Block, DataType, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestStep
from madang.connect.sql import DESCRIPTION
from madang.connect.sql._catalogue import Catalogue, SqlTable
from madang.connect.sql._columns import SqlColumn, batch_of
from madang.connect.sql._database import Database, Reader, StoppedError, Trouble, trouble
from madang.connect.sql._follow import Look, TableFollower
from madang.connect.sql._options import read_options
from madang.connect.sql._quarantine import changed_type
from madang.connect.sql._samples import ReadingsFollower, value_of
from madang.connect.sql._steps import steps
from madang.errors import RefusedError
from madang.plant import BAD, BAD_NODE_UNKNOWN, GOOD, Bilingual, Interval

_LONGEST_WAIT: Final = 30.0
_FIRST_WAIT: Final = 0.5
Follower = TableFollower | ReadingsFollower


class SqlSource:
    """One database.

    Args:
        settings: Address, log-in, options; `tags` are names of tables, none of them means all.
        clock: The time now (UTC).
    """

    def __init__(self, settings: ConnectionSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._options = read_options(settings)
        self._database = Database(settings, self._options.timeout)
        self._catalogue = Catalogue(self._database, self._options.schemas, self._options.blobs)
        self._followers: dict[str, Follower] = {}
        self._described: dict[str, datetime] = {}
        self._troubles: dict[str, tuple[Bilingual, str]] = {}
        self._missed: str | None = None
        self._last_good: datetime | None = None

    @property
    def description(self) -> SourceDescription:
        """What databases can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try name, TCP, log-in, tables and one row."""
        return steps(self._database, self._catalogue, self._wanted)

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return the tables, each followed by its columns; below a table, its columns alone."""
        if not under:
            tables = self._catalogue.tables(limit)
            found = [
                tag
                for table in tables
                for tag in (_table_tag(table), *[_column_tag(table, column) for column in table.columns])
            ]
            return found[:limit]
        table = self._catalogue.table(under)
        return [_column_tag(table, column) for column in table.columns[:limit]] if table is not None else []

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the newest value of columns (``TABLE/COLUMN``), or of tables the newest record as a document.

        Newest is the one with the greatest value in the column that only grows, else with the greatest key.
        """
        received = int(self._clock().timestamp() * 1_000_000)
        rows = [(*self._newest(tag, sink),) for tag in tags]
        arrays = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(BLOCK_SCHEMA)]
        return Block(pa.RecordBatch.from_arrays(arrays, schema=BLOCK_SCHEMA), received)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Look again and again until `stop` is set.

        Raises:
            RefusedError: The log-in was refused.
            UsageError: A named column is not there.
        """
        # What is known of a table belongs to the sink that keeps its cursors, and this may be another one than the last.
        self._followers.clear()
        self._troubles.clear()
        self._missed = None
        sink.state("starting")
        wait = _FIRST_WAIT
        while not stop.is_set():
            try:
                self.round(sink, stop)
            except (SQLAlchemyError, OSError) as error:
                self._lost(error, sink)
                stop.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            wait = _FIRST_WAIT
            stop.wait(self._options.every)
        sink.state("stopped")

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: what a database keeps, following it brings by itself."""
        return 0

    def decoder(self) -> Decoder | None:
        """Return None: records and samples need no decoding."""
        return None

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # ---- one round over all tables

    def round(self, sink: Sink, stop: threading.Event | None = None) -> dict[str, Look]:
        """Look once at every table that is followed; returns what each look brought.

        Raises:
            SQLAlchemyError, OSError: The peer is away.
        """
        looks: dict[str, Look] = {}
        now = self._clock()
        for name in self._wanted():
            if stop is not None and stop.is_set():
                return looks
            try:
                looks[name] = self._look(name, sink, now, stop)
                self._well(name, sink)
            except StoppedError:
                return looks
            except (SQLAlchemyError, OSError) as error:
                word = trouble(error)
                if word in ("lost", "login"):
                    raise
                self._followers.pop(name, None)
                self._ill(name, _WHY.get(word, _other(error)), sink)
        self._last_good = self._clock()
        if self._missed is not None:
            sink.gap_closed(self._missed, self._last_good)
            sink.gap_filled(self._missed, sum(look.put + look.deleted for look in looks.values()), whole=True)
            self._missed = None
        self._say(sink)
        return looks

    def _wanted(self) -> list[str]:
        """Return the tables that are followed, in the order in which they were named."""
        known = self._catalogue.names()
        names = dict.fromkeys(_table_of(tag, known) for tag in self._settings.tags) if self._settings.tags else sorted(known)
        return [*names, *[name for name in self._options.samples if name not in names]]

    def _look(self, name: str, sink: Sink, now: datetime, stop: threading.Event | None) -> Look:
        follower = self._follower(name, sink, now)
        if follower is None:
            raise _GoneError(name)
        with self._database.snapshot(stop) as reader:
            look = follower.look(reader, now)
        if isinstance(follower, TableFollower) and not follower.followed:
            self._ill(name, _TOO_LONG, sink)
        return look

    def _follower(self, name: str, sink: Sink, now: datetime) -> Follower | None:
        known = self._followers.get(name)
        since = self._described.get(name)
        if known is not None and since is not None and 0 <= (now - since).total_seconds() < self._options.reconcile:
            return known
        estimate = None
        names = self._catalogue.names()
        if name in names and known is None:
            estimate = self._catalogue.estimates().get(names[name][:2])
        table = self._catalogue.table(name, estimate if known is None else known.table.estimate)
        self._described[name] = now
        if table is None:
            self._followers.pop(name, None)
            return None
        if known is None or known.table != table:
            self._followers[name] = self._made(table, sink)
        return self._followers[name]

    def _made(self, table: SqlTable, sink: Sink) -> Follower:
        zone = self._settings.zone
        if table.name in self._options.samples:
            return ReadingsFollower(
                table,
                self._options.samples[table.name],
                self._options,
                sink,
                self._clock,
                zone,
                self._database.kind == "sqlite",
            )
        follower = TableFollower(table, self._options, sink, self._clock, zone, self._database.kind)
        self._note_schema(follower, sink)
        return follower

    def _note_schema(self, follower: TableFollower, sink: Sink) -> None:
        """See whether columns were added or changed since they were last looked at, and hand such records over anew."""
        table = follower.table
        name = f"sql/{table.name}/schema"
        now = {column.name: str(column.arrow) for column in table.columns}
        before: dict[str, str] = json.loads(sink.cursor(name) or "{}")
        if before == now:
            return
        retyped = [column for column in now if column in before and before[column] != now[column]]
        for column in retyped:
            sink.put_reject(
                changed_type(table.name, column, before[column], now[column], int(self._clock().timestamp() * 1_000_000))
            )
        if before:
            follower.columns_changed(retyped=bool(retyped))
        sink.save_cursor(name, json.dumps(now, ensure_ascii=False))

    # ---- how it is

    def _lost(self, error: BaseException, sink: Sink) -> None:
        if trouble(error) == "login":
            raise RefusedError(
                "login_refused",
                ko=f"연결 '{self._settings.name}' 의 로그인이 거절됐어요.",
                en=f"The log-in of the connection '{self._settings.name}' was refused.",
                next_ko="사용자와 비밀번호를 다시 넣어 주세요.",
                next_en="Give the user and the password again.",
                where={"connection": self._settings.name},
            ) from error
        self._database.close()
        if self._missed is None:
            since = self._last_good or self._clock()
            self._missed = sink.gap_opened("disconnected", since, note=type(getattr(error, "orig", None) or error).__name__)
        sink.state("disconnected", _WHY["lost"])

    def _ill(self, name: str, text: Bilingual, sink: Sink) -> None:
        if name not in self._troubles:
            gap = sink.gap_opened("bad_tag", self._clock(), tags=[name], note=text.en)
            self._troubles[name] = (text, gap)

    def _well(self, name: str, sink: Sink) -> None:
        follower = self._followers.get(name)
        if name in self._troubles and not (isinstance(follower, TableFollower) and not follower.followed):
            _, gap = self._troubles.pop(name)
            sink.gap_closed(gap, self._clock())
            sink.gap_filled(gap, 0, whole=True)

    def _say(self, sink: Sink) -> None:
        if not self._troubles:
            sink.state("connected")
            return
        name, (text, _) = next(iter(sorted(self._troubles.items())))
        more = len(self._troubles) - 1
        ko, en = (f" (그 밖에 {more}개)", f" (and {more} more)") if more else ("", "")
        sink.state("degraded", Bilingual(f"'{name}': {text.ko}{ko}", f"'{name}': {text.en}{en}"))

    def _newest_record(self, table: SqlTable) -> str:
        """Return the newest record of a table as a document, for a person to look at."""
        names = [column.name for column in table.columns]
        with self._database.snapshot() as reader:
            row = _last_row(reader, table, names, table.growing[:1] or table.key[:1])
        shown = {name: None if value is None else str(value)[:200] for name, value in zip(names, row or (), strict=False)}
        return json.dumps(shown, ensure_ascii=False)

    def _newest(self, tag: str, sink: Sink) -> tuple[int, datetime, float | None, str | None, int]:
        name, _, column = tag.rpartition("/")
        number = sink.number_of(Tag(tag, parent=name))
        table = self._catalogue.table(name) if name else None
        if table is None and (whole := self._catalogue.table(tag)) is not None:
            return number, self._clock().astimezone(UTC), None, self._newest_record(whole), GOOD
        if table is None or column not in {known.name for known in table.columns}:
            return number, self._clock().astimezone(UTC), None, None, BAD_NODE_UNKNOWN
        order = table.growing[:1] or table.key[:1]
        timed = [known for known in table.columns if known.form in ("instant",) and known.name in order]
        with self._database.snapshot() as reader:
            row = _last_row(reader, table, [column], order)
        time = batch_of(timed, [[row[1]]], self._settings.zone)[0].column(0)[0].as_py() if row is not None and timed else None
        value, text = value_of(row[0]) if row is not None else (None, None)
        quality = BAD if value is None and text is None else GOOD
        return number, time or self._clock().astimezone(UTC), value, text, quality


def _table_of(tag: str, known: Container[str]) -> str:
    """Return the table that a tag names; a column stands for its whole table, since records are not cut up."""
    table, sign, _ = tag.rpartition("/")
    return table if sign and tag not in known and table in known else tag


class _GoneError(SQLAlchemyError):
    """A table is not there (any more)."""


def _last_row(reader: Reader, table: SqlTable, columns: Sequence[str], order: Sequence[str]) -> Any:  # noqa: ANN401
    query = table.select([*columns, *order])
    for name in order:
        grows: sa.ColumnElement[Any] = sa.column(name)
        query = query.where(grows.is_not(None)).order_by(grows.desc())
    found = reader.rows(query.limit(1))
    return found[0] if found else None


def _table_tag(table: SqlTable) -> Tag:
    columns = {column.name: f"{column.declared}{'' if column.nullable else ' NOT NULL'}" for column in table.columns}
    return Tag(
        name=table.name,
        data_type="text",
        parent=table.schema or "",
        facts={
            "kind": "view" if table.view else "table",
            "columns": json.dumps(columns, ensure_ascii=False),
            "key": json.dumps(list(table.key), ensure_ascii=False),
            "rows": "" if table.estimate is None else str(table.estimate),
            "grows": json.dumps(list(table.growing), ensure_ascii=False),
        },
    )


def _column_tag(table: SqlTable, column: SqlColumn) -> Tag:
    kinds: dict[str, DataType] = {"number": "number", "decimal": "number", "integer": "integer", "boolean": "boolean"}
    return Tag(
        name=f"{table.name}/{column.name}",
        data_type=kinds.get(column.form, "text"),
        parent=table.name,
        facts={
            "type": column.declared,
            "key": "yes" if column.name in table.key else "no",
            "nullable": "yes" if column.nullable else "no",
        },
    )


def _other(error: BaseException) -> Bilingual:
    if isinstance(error, _GoneError):
        return _WHY["missing"]
    name = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
    return Bilingual(f"데이터베이스가 거절했어요 ({name}).", f"The database refused ({name}).")


_TOO_LONG: Final = Bilingual(
    "행이 너무 많아서 기억할 수 없고, 앞으로만 가는 열도 없어서 따라갈 수 없어요.",
    "It has too many rows to remember and no column that only grows, so it cannot be followed.",
)
_WHY: Final[dict[Trouble, Bilingual]] = {
    "lost": Bilingual(
        "데이터베이스가 대답하지 않아요. 계속 다시 연결해요.", "The database does not answer; connecting goes on."
    ),
    "timeout": Bilingual("질의가 시간 제한을 넘었어요.", "A statement took longer than its time-out."),
    "refused": Bilingual("읽을 권한이 없어요.", "There is no right to read it."),
    "missing": Bilingual("표나 열이 없어졌어요.", "The table or a column is gone."),
}
