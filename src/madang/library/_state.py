"""The catalogue: what the library knows beside the files, in SQLite or PostgreSQL; the last step of every change.

A change is real when its transaction here is committed. Files and Delta commits made before it are found and withdrawn when the
library is opened again (`pending` names what was begun).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
)

from madang.errors import InputError, Json
from madang.library._state_base import Base, Beyond, SqliteBase

SCHEMA_VERSION = 1

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

datasets = Table(
    "datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("folder", String, nullable=False),
    Column("created", String, nullable=False),
    Column("latest", Integer, nullable=False, default=0),
    Column("facts", Text, nullable=False, default="{}"),
)
"""One row per dataset; `facts` holds what people said about it (process, equipment, licence, owner, importance)."""

parts = Table(
    "parts",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("sha256", String, nullable=False, index=True),
    Column("object", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("member", String),
    Column("sheet", String),
    Column("size", Integer, nullable=False),
    Column("added", String, nullable=False),
    Column("layout", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("tally", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("stored", Text, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("sketch", LargeBinary, nullable=False),
    Column("time_first", String),
    Column("time_last", String),
    Column("flags", Integer, nullable=False, default=0),
)
"""One row per source table ever read. A part never changes; a correction, an undo or a replay makes another part."""

files = Table(
    "files",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("kind", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("parts", Text, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("current", Boolean, nullable=False),
)
"""Parquet files (`kind`: records, flags, quarantine). `live`: the Delta log lists it. `current`: reads of its parts use it."""

versions = Table(
    "versions",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("created", String, nullable=False),
    Column("party", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("parts", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("parents", Text, nullable=False),
    Column("event", Integer),
)
"""Immutable: the list of parts and the columns' cards as they were understood then."""

steps = Table(
    "steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("dataset", Integer, ForeignKey("datasets.id")),
    Column("subject", String, nullable=False),
    Column("origin", Integer),
    Column("party", String, nullable=False),
    Column("time", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("undone", String),
)
"""Everything that can be undone: reading steps, intakes, mapping decisions. The id is shown as ``u<id>``."""

mappings = Table(
    "mappings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset", Integer, ForeignKey("datasets.id")),
    Column("source_name", String, nullable=False),
    Column("unit_source", String),
    Column("answer", String, nullable=False),
    Column("role", String),
    Column("kind", String),
    Column("unit", String),
    Column("point", String),
    Column("party", String, nullable=False),
    Column("time", String, nullable=False),
    Column("withdrawn", Boolean, nullable=False, default=False),
    Index("ix_mappings_source_name", "source_name", postgresql_using="hash"),
)
"""Decisions of people about what a column means, used again for later files with the same column name."""

decisions = Table(
    "decisions",
    metadata,
    Column("index", Integer, primary_key=True),
    Column("time", String, nullable=False),
    Column("reader", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("version", Integer),
    Column("columns", Text, nullable=False),
    Column("allow", Boolean, nullable=False),
    Column("clause", String, nullable=False),
)
"""The log of every answer of the decision point, counted from 0."""

parties = Table(
    "parties",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("created", String, nullable=False),
)
accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("party", String, ForeignKey("parties.id"), nullable=False),
    Column("login", String, nullable=False, unique=True),
    Column("salt", LargeBinary, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created", String, nullable=False),
)
roles = Table(
    "roles",
    metadata,
    Column("party", String, ForeignKey("parties.id"), primary_key=True),
    Column("role", String, primary_key=True),
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("label", String, nullable=False),
    Column("created", String, nullable=False),
    Column("expires", String),
    Column("revoked", String),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("facts", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("created", String, nullable=False),
    Column("party", String, nullable=False),
    UniqueConstraint("kind", "name", "version"),
)
"""Saved studies, models and reports; `inputs` are the dataset versions they came from."""

pending = Table(
    "pending",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset", Integer, nullable=False),
    Column("folder", String, nullable=False),
    Column("new", Boolean, nullable=False),
    Column("time", String, nullable=False),
    Column("weight", Float),
)
"""Changes that were begun: their files may exist without the catalogue knowing them."""

live = Table(
    "live",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("kind", String, nullable=False),
    Column("facts", Text, nullable=False, default="{}"),
)
"""Datasets that plants write without end (`kind`: signals, rows); their row in `datasets` keeps ``latest`` 0."""

points = Table(
    "points",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("point", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("connection", String, nullable=False),
    Column("tag", String, nullable=False),
    Column("type", String, nullable=False),
    Column("unit_source", String),
    Column("facts", Text, nullable=False),
    Column("card", Text),
    Column("created", String, nullable=False),
    UniqueConstraint("dataset", "connection", "tag").ddl_if(dialect="sqlite"),
    UniqueConstraint("dataset", "name").ddl_if(dialect="sqlite"),
)
# An index of PostgreSQL holds no value beyond 2,704 bytes, and the topic of a broker may have 65,535.
Index("ix_points_tag", points.c.dataset, func.md5(points.c.connection), func.md5(points.c.tag), unique=True).ddl_if(
    dialect="postgresql"
)
Index("ix_points_name", points.c.dataset, func.md5(points.c.name), unique=True).ddl_if(dialect="postgresql")
"""Points of signals datasets, counted from 1 in each; `card` is the column card that was proposed or decided."""

point_versions = Table(
    "point_versions",
    metadata,
    Column("dataset", Integer, ForeignKey("datasets.id"), primary_key=True),
    Column("point", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("valid_from", BigInteger),
    Column("scale", Float, nullable=False),
    Column("divisor", Float, nullable=False),
    Column("offset", Float, nullable=False),
    Column("rounding", Integer, nullable=False),
    Column("unit", String),
    Column("created", String, nullable=False),
)
"""How counts of a point become values, from a time on [us since 1970; null: always]. Rows are added and never changed."""


for _column in (c for table in metadata.tables.values() for c in table.c):
    # PostgreSQL compares by the rules of a language, and its INTEGER ends at 2**31; SQLite compares bytes and counts to 2**63.
    if isinstance(_column.type, String):
        _column.type = _column.type.with_variant(Text(collation="C"), "postgresql")
    elif type(_column.type) is Integer and not (_column.primary_key or _column.foreign_keys):
        _column.type = _column.type.with_variant(BigInteger(), "postgresql")


class State:
    """The open catalogue of one workspace.

    Args:
        root: Folder of the workspace.
        place: ``postgresql+psycopg://user:password@host/database``, maybe with ``?options=-csearch_path=schema``; the file
            ``state.sqlite`` in the workspace when None.

    Raises:
        InputError: It cannot be read or reached, describes another lake, or was written by a newer Madang.
        MissingError: The driver of the database is not installed.
    """

    def __init__(self, root: Path, place: str | None = None) -> None:
        self._base = _base_of(root, place)
        try:
            self._prepare()
        except BaseException:
            self._base.close()
            raise

    def _prepare(self) -> None:
        from sqlalchemy.exc import DatabaseError

        shown = self._base.shown
        try:
            with self._base.translated(), self._base.writing.begin() as db:
                self._base.prepare(db, metadata)
                found = db.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
                if found is None:
                    db.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
                self._base.belongs(db)
        except DatabaseError as error:
            raise InputError(
                "catalogue_unreadable",
                ko=f"작업 공간의 목록 {shown} 을(를) 읽을 수 없어요.",
                en=f"The catalogue {shown} of the workspace cannot be read.",
                next_ko="백업에서 되돌리거나 다른 작업 공간을 고르세요.",
                next_en="Restore it from a backup, or choose another workspace.",
                where={"file": shown},
            ) from error
        if found is not None and int(found) > SCHEMA_VERSION:
            raise newer_version(shown, int(found), SCHEMA_VERSION)

    @property
    def beyond(self) -> Beyond | None:
        """What makes this machine the only one that writes; None where the file lock of the workspace does it alone."""
        return self._base.beyond

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: all or nothing, and alone from its first statement on."""
        with self._base.translated(), self._base.writing.begin() as db:
            self._base.alone(db)
            yield db

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads, and sees one moment."""
        with self._base.translated(), self._base.reading.connect() as db:
            yield db

    def settle(self) -> None:
        """Wait until no commit that was sent and never answered can still become real; then what is read is what is so."""
        self._base.settle()

    def stamp(self) -> object:
        """Return what differs after every change by anybody, so that a poll need not ask for what it knows."""
        return self._base.stamp()

    def close(self) -> None:
        """Close the database."""
        self._base.close()


def _base_of(root: Path, place: str | None) -> Base:
    if place is None:
        return SqliteBase(root / "state.sqlite")
    from madang.library._state_postgresql import PostgresBase

    return PostgresBase(place, root)


def newer_version(file: str, found: int, known: int) -> InputError:
    """The refusal to open what a newer Madang wrote."""
    return InputError(
        "newer_workspace",
        ko=f"이 작업 공간은 더 새로운 마당이 만들었어요 (형식 {found}, 이 프로그램은 {known}까지 알아요).",
        en=f"This workspace was written by a newer Madang (format {found}; this program knows up to {known}).",
        next_ko="마당을 새 판으로 올리거나 다른 작업 공간을 고르세요.",
        next_en="Upgrade Madang, or choose another workspace.",
        where={"file": file, "found": found, "known": known},
    )


def dumps(value: Json | list[Any] | dict[str, Any]) -> str:
    """JSON text with a fixed order, as the catalogue keeps it."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:  # noqa: ANN401 (a border: the catalogue's own JSON)
    """The value of `dumps`."""
    return json.loads(text)
