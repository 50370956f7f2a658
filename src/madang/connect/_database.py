"""SQLite files: each table and view is a table; the file is never written to."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from madang.connect._bytes import GZIP, broken_container, open_container
from madang.connect._cells import Cell, CellTable
from madang.connect._tables import ReadOptions, TableSource
from madang.errors import InputError

FETCH = 4096
"""Rows fetched at a time."""
_BROKEN = (sqlite3.Error, OSError, UnicodeDecodeError, OverflowError)


def find_relations(path: Path, member: str | None, shown: str) -> list[str]:
    """Return the names of the tables and views of a database file that can be read, by name.

    Raises:
        InputError: The file is damaged or holds no table.
    """
    try:
        with _connected(path, member) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("the check of its pages failed")
            listed = connection.execute(
                "SELECT name, type, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            ).fetchall()
            names = [name for name, kind, sql in listed if _readable(connection, str(name), str(kind), str(sql))]
    except _BROKEN as error:
        raise broken_container(path, member, error) from error
    if not names:
        raise InputError(
            "empty_database",
            ko=f"'{shown}' 에 읽을 수 있는 표가 없어요.",
            en=f"The database '{shown}' holds no table that can be read.",
            next_ko="표가 들어 있는 데이터베이스 파일인지 확인해 주세요.",
            next_en="Check that it is the database file with the tables.",
            where={"file": path.name},
        )
    return names


def _readable(connection: sqlite3.Connection, name: str, kind: str, sql: str) -> bool:
    # A recursive view may have no end; shadow tables of full-text indexes are no data.
    virtual = sql.lstrip().upper().startswith("CREATE VIRTUAL")
    if name.startswith("sqlite_") or virtual or (kind == "view" and "RECURSIVE" in sql.upper()):
        return False
    try:
        connection.execute(f"SELECT * FROM {_quoted(name)} LIMIT 1").fetchone()  # noqa: S608 - the name is quoted
    except sqlite3.Error:
        return kind == "table"
    return True


def open_relation(source: TableSource, options: ReadOptions) -> CellTable:
    """Open one table or view of a database file; rows come in the order in which they were stored.

    Raises:
        InputError: The file is damaged or the table is gone; also while reading.
    """
    assert source.part is not None
    query = f"SELECT * FROM {_quoted(source.part)}"  # noqa: S608 - the name is quoted
    try:
        with _connected(source.path, source.member) as connection:
            header = tuple(str(column[0]) for column in connection.execute(f"{query} LIMIT 0").description)
    except _BROKEN as error:
        raise broken_container(source.path, source.member, error) from error

    def rows() -> Iterator[list[Cell]]:
        try:
            with _connected(source.path, source.member) as connection:
                cursor = connection.execute(query)
                while block := cursor.fetchmany(FETCH):
                    for record in block:
                        yield [value if not isinstance(value, bytes) else _text_of(value) for value in record]
        except _BROKEN as error:
            raise broken_container(source.path, source.member, error) from error

    return CellTable(rows=rows, header=header, details={"relation": source.part})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text_of(value: bytes) -> str:
    """Keep a blob readable: as hexadecimal digits, as SQLite itself writes it."""
    return f"x'{value.hex()}'" if len(value) <= 1024 else f"blob of {len(value)} bytes"


def _decoded(value: bytes) -> str:
    """Read a text of the database: UTF-8 by rule, CP949 as Korean tools write it against the rule."""
    for codec in ("utf-8", "cp949"):
        try:
            return value.decode(codec)
        except UnicodeDecodeError:
            continue
    return value.decode("latin-1")


@contextmanager
def _connected(path: Path, member: str | None) -> Iterator[sqlite3.Connection]:
    """Connect to a database without changing a byte of it or of its folder."""
    with path.open("rb") as file:
        packed = member is not None or file.read(2) == GZIP
    wal = path.with_name(path.name + "-wal")
    if not packed and not (wal.exists() and wal.stat().st_size):
        with _connection(path) as connection:
            yield connection
        return
    # A write-ahead log holds rows that are not in the file yet. Reading it would write beside it, so both are copied.
    with tempfile.TemporaryDirectory(prefix="madang-") as folder:
        copy = Path(folder) / "database"
        _copy(path, member, copy)
        if not packed:
            _copy(wal, None, Path(folder) / "database-wal")
        with _connection(copy, immutable=packed) as connection:
            yield connection


def _copy(path: Path, member: str | None, target: Path) -> None:
    with open_container(path, member) as stream, target.open("wb") as file:
        while block := stream.read(1 << 20):
            file.write(block)


@contextmanager
def _connection(path: Path, immutable: bool = True) -> Iterator[sqlite3.Connection]:
    mode = "mode=ro&immutable=1" if immutable else "mode=rw"
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True)
    try:
        connection.text_factory = _decoded
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    finally:
        connection.close()
