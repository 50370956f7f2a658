"""What tables a peer has: columns, keys, how many rows about, and which column only grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Inspector
from sqlalchemy.exc import CompileError, DBAPIError

from madang.connect.sql._columns import SqlColumn, column_of
from madang.connect.sql._database import SYSTEM_SCHEMAS, Database

ROW: Final = "_row"
"""Column that identifies a record of a table without a key."""
_CHANGED: Final = (
    "updated_at", "modified_at", "changed_at", "last_modified", "last_updated", "update_time", "updatedat", "modify_time", "upd_dt",
    "upd_dtm", "mod_dt", "mod_dtm", "rowversion", "수정일시", "변경일시", "갱신일시", "수정시각", "변경시각", "갱신시각", "최종수정일시",
)  # fmt: skip
_MADE: Final = ("created_at", "inserted_at", "reg_dt", "reg_dtm", "등록일시", "생성일시", "입력일시", "등록시각", "기록시각")
_LOOKED_AT: Final = 1000


@dataclass(frozen=True)
class SqlTable:
    """One table or view."""

    name: str
    """As people write it: ``mes.lots``, or ``lots`` in the schema that the connection starts in."""
    schema: str | None
    relation: str
    view: bool
    columns: tuple[SqlColumn, ...]
    key: tuple[str, ...]
    """Primary key, or a unique key without empty cells; empty where there is none."""
    estimate: int | None
    """About how many rows, where the peer says so without counting."""
    growing: tuple[str, ...]
    """Columns that may be the one that only grows, likeliest first; more than one means that a person is asked."""
    whole: bool = True
    """Whether the row versions of PostgreSQL can be asked for (tables, not views)."""

    def column(self, name: str) -> SqlColumn:
        """Return a column by name."""
        return next(column for column in self.columns if column.name == name)

    def clause(self) -> sa.TableClause:
        """Return the table for a query; names are quoted by the dialect, so that Korean ones and spaces are safe."""
        return sa.table(self.relation, *[sa.column(column.name) for column in self.columns], schema=self.schema)

    def select(self, names: Sequence[str] | None = None) -> sa.Select[*tuple[Any, ...]]:
        """Return the query for columns; None: for all. Values come as the driver gives them."""
        wanted: list[sa.ColumnElement[Any]] = [
            sa.column(name) for name in (names if names is not None else [column.name for column in self.columns])
        ]
        return sa.select(*wanted).select_from(self.clause())


class Catalogue:
    """Asks a peer what it has.

    Args:
        schemas: Schemas to look at; empty: all that are not the system's.
        blobs: How binary columns travel.
    """

    def __init__(self, database: Database, schemas: Sequence[str], blobs: str) -> None:
        self._database = database
        self._schemas = tuple(schemas)
        self._blobs = blobs

    def names(self) -> dict[str, tuple[str | None, str, bool]]:
        """Return all tables and views: name -> (schema, relation, whether it is a view)."""
        with self._database.engine.connect() as connection:
            self._database.started()
            inspector = sa.inspect(connection)
            home = inspector.default_schema_name
            found: dict[str, tuple[str | None, str, bool]] = {}
            for schema in self._looked_at(inspector):
                inner = None if schema == home or self._database.kind == "sqlite" else schema
                views = set(inspector.get_view_names(schema=inner))
                if self._database.kind == "postgresql":
                    views |= set(inspector.get_materialized_view_names(schema=inner))
                for relation in sorted({*inspector.get_table_names(schema=inner), *views}):
                    found[relation if inner is None else f"{inner}.{relation}"] = (inner, relation, relation in views)
            return found

    def table(self, name: str, estimate: int | None = None) -> SqlTable | None:
        """Return one table; None when it is not there, or this log-in may not see it."""
        place = self.names().get(name)
        return self._described(name, *place, estimate) if place is not None else None

    def tables(self, limit: int) -> list[SqlTable]:
        """Return the first tables by name, with estimates of their rows."""
        estimates = self.estimates()
        found = self.names()
        return [self._described(name, *found[name], estimates.get(found[name][:2])) for name in sorted(found)[:limit]]

    def estimates(self) -> dict[tuple[str | None, str], int]:
        """Return about how many rows each table has, as the peer's own statistics say."""
        queries = {
            "postgresql": (
                "SELECT CASE WHEN n.nspname = current_schema() THEN NULL ELSE n.nspname END, c.relname, c.reltuples::bigint "
                "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'p') AND c.reltuples >= 0"
            ),
            "mysql": (
                "SELECT CASE WHEN table_schema = DATABASE() THEN NULL ELSE table_schema END, table_name, table_rows "
                "FROM information_schema.tables WHERE table_rows IS NOT NULL"
            ),
        }
        if self._database.kind not in queries:
            return {}
        with self._database.engine.connect() as connection:
            self._database.started()
            rows = connection.execute(sa.text(queries[self._database.kind])).fetchall()
        return {(row[0], row[1]): int(row[2]) for row in rows}

    def _looked_at(self, inspector: Inspector) -> list[str]:
        if self._database.kind == "sqlite":
            return ["main"]
        if self._schemas:
            return list(self._schemas)
        if self._database.kind == "mysql" and self._database.url.database:
            return [self._database.url.database]
        return [name for name in inspector.get_schema_names() if name not in SYSTEM_SCHEMAS and not name.startswith("pg_")]

    def _described(self, name: str, schema: str | None, relation: str, view: bool, estimate: int | None) -> SqlTable:
        with self._database.engine.connect() as connection:
            self._database.started()
            inspector = sa.inspect(connection)
            dialect = connection.dialect
            raw = inspector.get_columns(relation, schema=schema)
            columns = tuple(
                column_of(
                    str(column["name"]), column["type"], _spelled(column["type"], dialect), bool(column.get("nullable", True)),
                    self._database.kind, self._blobs,
                )
                for column in raw
            )  # fmt: skip
            key = () if view else _key(inspector, relation, schema, columns)
        table = SqlTable(name, schema, relation, view, columns, key, estimate, (), whole=not view)
        if self._database.kind == "sqlite":
            table = replace(table, columns=self._as_stored(table))
        return replace(table, growing=growing(table))

    def _as_stored(self, table: SqlTable) -> tuple[SqlColumn, ...]:
        """SQLite keeps times as texts in whatever form they came: look at the first ones to see which."""
        timed = [column for column in table.columns if column.form in ("wall_clock", "date")]
        if not timed:
            return table.columns
        query = table.select([column.name for column in timed]).limit(_LOOKED_AT)
        with self._database.snapshot() as reader:
            rows = reader.rows(query)
        stored = {column.name: _stored_form(column, [row[place] for row in rows]) for place, column in enumerate(timed)}
        return tuple(stored.get(column.name, column) for column in table.columns)


def _stored_form(column: SqlColumn, values: Sequence[object]) -> SqlColumn:
    there = [value for value in values if value is not None]
    read: list[datetime | None] = []
    for value in there:
        try:
            read.append(datetime.fromisoformat(value) if isinstance(value, str) else None)
        except ValueError:
            read.append(None)
    if any(value is None for value in read):
        return replace(column, form="text", arrow=pa.string())
    if column.form == "date":
        return column if all(len(str(value)) == 10 for value in there) else replace(column, form="text", arrow=pa.string())
    aware = {value.tzinfo is not None for value in read if value is not None}
    if aware == {True}:
        return replace(column, form="instant", arrow=pa.timestamp("us", tz="UTC"))
    return column if aware <= {False} else replace(column, form="text", arrow=pa.string())


def _spelled(kind: Any, dialect: Any) -> str:  # noqa: ANN401
    try:
        return str(kind.compile(dialect=dialect))
    except (CompileError, NotImplementedError):
        return str(kind)


def _key(inspector: Inspector, relation: str, schema: str | None, columns: Sequence[SqlColumn]) -> tuple[str, ...]:
    primary = tuple(inspector.get_pk_constraint(relation, schema=schema).get("constrained_columns") or ())
    # A key of a lossy form could make two records one.
    lossy = {column.name for column in columns if "BLOB" in column.declared.upper() or column.form == "number"}
    if primary and not lossy & set(primary):
        return primary
    solid = {column.name for column in columns if not column.nullable} - lossy
    try:
        unique = inspector.get_unique_constraints(relation, schema=schema)
    except (NotImplementedError, DBAPIError):
        return ()
    fitting = sorted((tuple(found["column_names"]) for found in unique), key=lambda names: (len(names), names))
    return next((tuple(str(name) for name in names) for names in fitting if names and set(names) <= solid), ())


def growing(table: SqlTable) -> tuple[str, ...]:
    """Return the columns that may be the one that only grows; one is plain, several are for a person to choose from."""
    times = [column.name for column in table.columns if column.form in ("wall_clock", "instant")]
    changed = [name for name in times if name.lower() in _CHANGED]
    if changed:
        return tuple(changed)
    if len(table.key) == 1 and table.column(table.key[0]).form == "integer":
        return table.key
    made = [name for name in times if name.lower() in _MADE]
    return tuple(made)
