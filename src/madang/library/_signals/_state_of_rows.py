"""The state of a followed table: of all entries of a key the newest, unless it says that the record was deleted."""

# ruff: noqa: S608 (the SQL is written here and names are quoted)
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from madang.library._signals._columns import CHANGE, OWN, SEQUENCE

if TYPE_CHECKING:
    import duckdb

_WAITING: Final = 1 << 62
"""Number of the first entry that is not committed yet: after all that are."""


def current(
    folder: Path, files: Iterable[str], key: Sequence[str], columns: Sequence[str], waiting: Sequence[pa.Table] = ()
) -> pa.Table:
    """Return the records that are there now, in the order of their newest entries.

    Args:
        folder: The table's folder.
        files: Names of its live files.
        key: Columns of the source that identify a record; empty = all of them.
        columns: Columns to return; such that no file has come back as nulls of text.
        waiting: Entries that are not committed yet, without their numbers.
    """
    with _session() as db:
        there = _entries(db, folder, files, waiting)
        if there is None:
            return pa.table({c: pa.nulls(0, pa.string()) for c in columns})
        chosen = ", ".join(_name(c) if c in there else f"NULL::VARCHAR AS {_name(c)}" for c in columns)
        return db.sql(
            f"SELECT {chosen or '1'} FROM ({newest_of(key, there - OWN.keys(), 'entries')}) ORDER BY {SEQUENCE}"
        ).to_arrow_table()


def gone(folder: Path, files: Iterable[str], key: Sequence[str], named: pa.Table, waiting: Sequence[pa.Table]) -> pa.Table:
    """Return the kept keys that a snapshot of the source does not name, in the columns of `named`."""
    with _session() as db:
        there = _entries(db, folder, files, waiting)
        if there is None:
            return named.slice(0, 0)
        db.register("named", named)
        chosen = ", ".join(_name(c) if c in there else f"NULL AS {_name(c)}" for c in named.column_names)
        found = db.sql(
            f"SELECT {chosen} FROM ({newest_of(key, there - OWN.keys(), 'entries')}) EXCEPT SELECT * FROM named"
        ).to_arrow_table()
        return found.cast(named.schema)


def _session() -> duckdb.DuckDBPyConnection:
    import duckdb

    session = duckdb.connect()
    session.execute(
        "SET TimeZone = 'UTC'; SET threads = 2; SET enable_progress_bar = false; SET preserve_insertion_order = true"
    )
    return session


def _entries(
    db: duckdb.DuckDBPyConnection, folder: Path, files: Iterable[str], waiting: Sequence[pa.Table]
) -> frozenset[str] | None:
    """Make a view ``entries``; returns its columns, None where there is no entry."""
    sources = []
    paths = [str(folder / f) for f in files]
    if paths:
        listed = ", ".join("'" + p.replace("'", "''") + "'" for p in paths)
        sources.append(f"SELECT * FROM read_parquet([{listed}], union_by_name = true)")
    if waiting:
        table = pa.concat_tables(waiting, promote_options="default")
        numbers = pa.array(range(_WAITING, _WAITING + len(table)), pa.int64())
        db.register("waiting", table.append_column(SEQUENCE, numbers))
        sources.append("SELECT * FROM waiting")
    if not sources:
        return None
    db.execute("CREATE TEMP VIEW entries AS " + " UNION ALL BY NAME ".join(sources)) if not waiting else db.execute(
        "CREATE TEMP TABLE entries AS " + " UNION ALL BY NAME ".join(sources)
    )
    return frozenset(row[0] for row in db.execute("DESCRIBE entries").fetchall())


def newest_of(key: Sequence[str], columns: Iterable[str], entries: str) -> str:
    """Return the SQL of the records that are there now.

    Args:
        key: Columns of the source that identify a record; empty = all of them.
        columns: The source's columns that ``entries`` has.
        entries: Name of the table of all entries, quoted where it has to be.
    """
    own = sorted(columns)
    parts = []
    for name in key:
        mine = [c for c in own if c == name or c.startswith(f"{name}__")]
        if len(mine) == 1:
            parts.append(_name(mine[0]))
        elif mine:  # the key changed its type: the same key is the same text
            parts.append("coalesce(" + ", ".join(f"{_name(c)}::VARCHAR" for c in mine) + ")")
    by = ", ".join(parts or [_name(c) for c in own])
    return (
        f"SELECT * FROM (SELECT * FROM {entries} QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {SEQUENCE} DESC) = 1)"
        f" WHERE {CHANGE} <> 'delete'"
    )


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
