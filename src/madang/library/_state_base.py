"""Where the catalogue stands: a SQLite file in the workspace, or a schema of a PostgreSQL database.

Both give the same promises: a transaction that writes is alone from its first statement on, one that reads sees a single moment, and
what is committed survives a loss of power.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event

from madang.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import MetaData


class Beyond(Protocol):
    """The part of the one-writer rule that reaches beyond this machine."""

    def take(self, patience: float) -> bool:
        """Become the only writer; False when another one still is after `patience` [s]."""

    def release(self) -> None:
        """Let the next writer go on."""

    def busy(self, patience: float) -> InputError:
        """The error that names who holds it."""


class Base(Protocol):
    """A database that holds one catalogue."""

    @property
    def shown(self) -> str:
        """Its name as people know it; no password stands in it."""

    @property
    def writing(self) -> Engine:
        """Gives the connections that write."""

    @property
    def reading(self) -> Engine:
        """Gives the connections that read."""

    @property
    def beyond(self) -> Beyond | None:
        """What makes this machine the only one that writes; None where the file lock of the workspace does it alone."""

    def prepare(self, db: Connection, metadata: MetaData) -> None:
        """Make what is missing; first in the transaction that opens the catalogue."""

    def belongs(self, db: Connection) -> None:
        """Refuse a catalogue that describes another lake."""

    def alone(self, db: Connection) -> None:
        """Wait, in the first statement of a transaction, until nobody else writes."""

    def settle(self) -> None:
        """Wait until no transaction of an earlier connection can still become real."""

    def stamp(self) -> object:
        """Something that differs after every change."""

    def translated(self) -> Any:  # noqa: ANN401 (a context manager)
        """Say the database's own troubles in plain words."""

    def close(self) -> None:
        """Let go of all connections."""


class SqliteBase:
    """A catalogue in one file beside the lake.

    Args:
        path: The file.
    """

    beyond: Beyond | None = None

    def __init__(self, path: Path) -> None:
        if not path.exists() and mark(path.parent).exists():
            raise elsewhere(path.parent, "PostgreSQL")
        self._path = path
        self.shown = str(path)
        self.reading: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self.reading, "connect", _settings)
        event.listen(self.reading, "begin", _begin)
        self.writing = self.reading.execution_options(writes=True)

    def prepare(self, db: Connection, metadata: MetaData) -> None:
        """Make the tables that are missing."""
        metadata.create_all(db, checkfirst=True)

    def belongs(self, db: Connection) -> None:
        """The file stands beside its lake."""

    def alone(self, db: Connection) -> None:
        """``BEGIN IMMEDIATE`` has done it."""

    def settle(self) -> None:
        """A transaction of SQLite ends with the process that made it."""

    def stamp(self) -> object:
        """Node, size and time of the file and of its log; something new each time when there is no file."""
        found = []
        for name in (self._path, self._path.with_name(self._path.name + "-wal")):
            try:
                at = name.stat()
            except OSError:
                continue
            found.append((at.st_ino, at.st_size, at.st_mtime_ns))
        return tuple(found) if found else object()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's troubles stand as they are."""
        yield

    def close(self) -> None:
        """Close the file."""
        self.reading.dispose()


def mark(root: Path) -> Path:
    """The file by which a lake knows its catalogue when that stands in a database elsewhere."""
    return root / "lake" / ".catalogue"


def elsewhere(root: Path, kept: str) -> InputError:
    """The refusal to begin a second catalogue for a lake that has one."""
    return InputError(
        "catalogue_elsewhere",
        ko=f"‘{root}’의 목록은 {kept}에 있는데, workspace.toml 은 다른 곳을 가리켜요.",
        en=f"The catalogue of “{root}” is kept in {kept}, and workspace.toml names another place.",
        next_ko="workspace.toml 의 state 와 state_schema 를 전과 같이 되돌리거나, 새 폴더에서 시작하세요.",
        next_en="Set state and state_schema in workspace.toml as they were, or begin in a new folder.",
        where={"workspace": str(root)},
    )


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail, not wait, when another one wrote in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _settings(connection: Any, _record: object) -> None:  # noqa: ANN401 (a DB-API connection)
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
