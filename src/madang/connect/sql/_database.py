"""One database, reached so that it can only be read: read-only transactions, time-outs, and nothing that others wait for."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, ResourceClosedError

from madang.connect._database import _decoded
from madang.connect._source import ConnectionSettings
from madang.errors import MissingError, UsageError

Trouble = Literal["lost", "timeout", "refused", "login", "missing", "other"]
Row = Sequence[Any]
SYSTEM_SCHEMAS: Final = frozenset(
    {
        "information_schema",
        "pg_catalog",
        "pg_toast",
        "mysql",
        "performance_schema",
        "sys",
        "innodb",
        "INFORMATION_SCHEMA",
        "guest",
    }
)
_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mssql": "mssql+pymssql",
    "oracle": "oracle+oracledb",
}
_PACKAGES: Final = {"mssql": "pymssql", "oracle": "oracledb"}
_BEGIN: Final = {
    "postgresql": ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "mysql": ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",),
    "sqlite": ("BEGIN",),
    "oracle": ("SET TRANSACTION READ ONLY",),
    "mssql": ("BEGIN TRANSACTION",),
}
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521}
_CONNECT_SECONDS: Final = 10
_LOST_MYSQL: Final = frozenset({1053, 1927, 2002, 2003, 2006, 2013, 2014, 2055})


class StoppedError(Exception):
    """The source was told to stop in the middle of a look, which is as safe as a crash there."""


class Database:
    """One peer. It is used by one thread at a time.

    Args:
        settings: Address, log-in and options of the connection.
        timeout: Longest time one statement may take [s].

    Raises:
        MissingError: The driver is not installed.
        UsageError: The address cannot be understood.
    """

    def __init__(self, settings: ConnectionSettings, timeout: float) -> None:
        self.url = parse_url(settings)
        self.kind = self.url.get_backend_name()
        self.timeout = timeout
        self._deadline = 0.0
        self._path = Path(self.url.database or "") if self.kind == "sqlite" else None
        self.engine = self._made()

    @property
    def host(self) -> str | None:
        """Name of the peer's computer; None for a file."""
        return None if self.kind == "sqlite" else (self.url.host or "localhost")

    @property
    def port(self) -> int:
        """Port of the peer; 0 for a file."""
        return self.url.port or _PORTS.get(self.kind, 0)

    @property
    def path(self) -> Path | None:
        """The database file of SQLite."""
        return self._path

    @contextmanager
    def snapshot(self, stop: threading.Event | None = None) -> Iterator[Reader]:
        """Open a reading transaction; once `stop` is set its next query raises `StoppedError`.

        PostgreSQL, MariaDB/MySQL (InnoDB), Oracle and SQLite with a write-ahead log show one state of the database to all
        statements in it, and make nobody wait. SQLite with a rollback journal would make writers wait: there each page is
        a transaction of its own, and what changes between pages is found by the next comparison.
        """
        with self.engine.connect() as connection:
            reader = Reader(connection, self, self._one_snapshot(connection), stop)
            reader.begin()
            try:
                yield reader
            finally:
                reader.end()

    def close(self) -> None:
        """Let go of all connections; the next use connects anew."""
        self.engine.dispose()

    def started(self) -> None:
        """Note that a statement starts (only SQLite counts its time here; servers do it themselves)."""
        self._deadline = time.monotonic() + self.timeout

    # ---- how each kind is reached

    def _made(self) -> Engine:
        creator: dict[str, Any] = {}
        if self.kind == "sqlite":
            creator = {"creator": self._open_file}
        elif self.kind == "postgresql":
            creator = {
                "connect_args": {"connect_timeout": _CONNECT_SECONDS, "prepare_threshold": None, **_silence(self.timeout)}
            }
        elif self.kind == "mysql":
            creator = {
                "connect_args": {"connect_timeout": _CONNECT_SECONDS, "charset": "utf8mb4", "read_timeout": self.timeout + 30}
            }
            if self.url.password is not None:
                # As a text the driver would take it for Latin-1, which has no Korean.
                creator["connect_args"]["password"] = str(self.url.password).encode()
                self.url = self.url.set(password="")
        try:
            engine = sa.create_engine(
                "sqlite://" if self.kind == "sqlite" else self.url,
                poolclass=sa.pool.QueuePool,
                pool_size=1,
                max_overflow=1,
                pool_recycle=1800,
                isolation_level="AUTOCOMMIT",
                hide_parameters=True,
                **creator,
            )
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise _driver_missing(self.kind) from error
        event.listen(engine, "connect", self._prepare)
        return engine

    def _open_file(self) -> sqlite3.Connection:
        assert self._path is not None
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.resolve()))}?mode=ro",
            uri=True,
            timeout=min(self.timeout, 10.0),
            check_same_thread=False,
            isolation_level=None,
        )
        connection.text_factory = _decoded
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_progress_handler(lambda: int(time.monotonic() > self._deadline > 0), 20_000)
        return connection

    def _prepare(self, connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
        if self.kind == "sqlite":
            return
        if self.kind == "postgresql":
            from madang.connect.sql._postgres import be_lenient

            be_lenient(connection)
        with connection.cursor() as cursor:
            for statement in self._session():
                cursor.execute(statement)
            if self.kind == "mysql":
                cursor.execute("SELECT VERSION()")
                maria = "mariadb" in str(cursor.fetchone()[0]).lower()
                seconds = self.timeout
                cursor.execute(
                    f"SET SESSION max_statement_time = {seconds:.3f}" if maria
                    else f"SET SESSION max_execution_time = {int(seconds * 1000)}"
                )  # fmt: skip

    def _session(self) -> Sequence[str]:
        milliseconds = int(self.timeout * 1000)
        if self.kind == "postgresql":
            return (
                "SET default_transaction_read_only = on",
                f"SET statement_timeout = {milliseconds}",
                "SET lock_timeout = 5000",
                f"SET idle_in_transaction_session_timeout = {milliseconds * 5}",
                "SET TIME ZONE 'UTC'",
                "SET DateStyle = 'ISO'",
                "SET IntervalStyle = 'iso_8601'",
                "SET application_name = 'madang'",
            )
        if self.kind == "mysql":
            return (
                "SET SESSION time_zone = '+00:00'",
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "SET SESSION TRANSACTION READ ONLY",
                "SET SESSION lock_wait_timeout = 5",
            )
        if self.kind == "mssql":
            return ("SET LOCK_TIMEOUT 5000", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        if self.kind == "oracle":
            return ("ALTER SESSION SET TIME_ZONE = 'UTC'",)
        return ()

    def _one_snapshot(self, connection: Connection) -> bool:
        if self.kind == "sqlite":
            return bool(connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal")
        return self.kind != "mssql"


class Reader:
    """An open reading transaction."""

    def __init__(self, connection: Connection, database: Database, one_snapshot: bool, stop: threading.Event | None) -> None:
        self.connection = connection
        self._stop = stop
        self.database = database
        self.one_snapshot = one_snapshot
        """Whether all statements see one state of the database."""

    def begin(self) -> None:
        """Begin the transaction, where the whole reading is one."""
        if self.one_snapshot:
            for statement in _BEGIN[self.database.kind]:
                self.connection.exec_driver_sql(statement)

    def end(self) -> None:
        """End it; nothing was changed."""
        if self.one_snapshot and not self.connection.closed and not self.connection.invalidated:
            try:
                self.connection.exec_driver_sql("ROLLBACK")
            except DBAPIError:
                # The peer went away in between; the connection is thrown away, and with it the transaction.
                self.connection.invalidate()

    def rows(self, query: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Return all rows of a query that is known to return few."""
        self._started()
        return list(self.connection.execute(query, dict(parameters or {})).fetchall())

    def pages(self, query: sa.Select[*tuple[Any, ...]], size: int) -> Iterator[list[Row]]:
        """Yield the rows of a query page by page, from a cursor of the server where it has one."""
        self._started()
        if self.database.kind == "postgresql":
            yield from self._fetched(query, size)
            return
        result = self.connection.execution_options(stream_results=True, max_row_buffer=size).execute(query)
        try:
            while page := result.fetchmany(size):
                yield list(page)
                self._started()
        finally:
            result.close()

    def _fetched(self, query: sa.Select[*tuple[Any, ...]], size: int) -> Iterator[list[Row]]:
        # The driver's own cursors of the server complain when the server goes away under them.
        compiled = query.compile(dialect=self.connection.dialect)
        self.connection.exec_driver_sql(f"DECLARE madang_pages NO SCROLL CURSOR FOR {compiled}", dict(compiled.params))
        fetch = f"FETCH {size} FROM madang_pages"
        while page := self.connection.exec_driver_sql(fetch).fetchall():
            yield list(page)
            self._started()
        self.connection.exec_driver_sql("CLOSE madang_pages")

    def _started(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise StoppedError
        self.database.started()


def _silence(timeout: float) -> dict[str, int]:
    """Return how long a network that was cut without a word may look alive: half a minute when idle, the time-out else."""
    return {
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
        "tcp_user_timeout": int(timeout * 1000) + 10_000,
    }


def parse_url(settings: ConnectionSettings) -> URL:
    """Return the address with the driver that Madang uses and with the log-in filled in.

    Raises:
        UsageError: It is no address of a database that Madang knows.
    """
    text = settings.url
    scheme = text.split("://", 1)[0].split("+", 1)[0].lower()
    if scheme in {"sqlite", "file"} or "://" not in text:
        path = text.split("://", 1)[1].removeprefix("/") if "://" in text else text
        return URL.create("sqlite", database=path)
    if scheme not in _DRIVERS:
        raise _bad_url(settings.name)
    try:
        url = sa.make_url(_DRIVERS[scheme] + "://" + text.split("://", 1)[1])
    except (ArgumentError, ValueError):
        raise _bad_url(settings.name) from None
    user = settings.options.get("user")
    if user:
        url = url.set(username=user)
    password = settings.secrets.get("password")
    return url.set(password=password) if password else url


def trouble(error: BaseException) -> Trouble:
    """Say in one word what a failed statement or connection means, whatever the driver.

    ``lost``: the peer is away and may come back. ``timeout``: one statement took too long. ``refused``: the right to read is
    missing. ``login``: name or password were refused. ``missing``: a table or column is not there (any more).
    """
    if isinstance(error, ConnectionError | TimeoutError | ResourceClosedError):
        return "lost"
    if not isinstance(error, DBAPIError):
        return "other"
    origin = error.orig
    state = str(getattr(origin, "sqlstate", "") or "")
    number = origin.args[0] if origin is not None and origin.args and isinstance(origin.args[0], int) else 0
    text = str(origin).lower()
    rules: tuple[tuple[Trouble, bool], ...] = (
        ("timeout", state in {"57014", "55P03"} or number in {1969, 3024, 1205} or "interrupted" in text),
        ("login", state.startswith("28") or number in {1045, 1698} or "password authentication failed" in text),
        ("refused", state == "42501" or number in {1142, 1143, 1044} or "unable to open" in text or "readonly" in text),
        ("missing", state in {"42P01", "42703", "3F000", "3D000"} or number in {1049, 1054, 1146} or "no such" in text),
        ("lost", state[:2] in {"08", "57"} or state == "25P03" or number in _LOST_MYSQL or error.connection_invalidated),
        ("lost", "locked" in text or "connect" in text or "closed" in text or "terminating" in text),
    )
    return next((word for word, fits in rules if fits), "other")


def _bad_url(name: str) -> UsageError:
    return UsageError(
        "bad_url",
        ko=f"연결 '{name}' 의 주소는 데이터베이스 주소가 아니에요.",
        en=f"The address of the connection '{name}' is not that of a database.",
        next_ko="postgresql://사용자@서버:5432/이름, mysql://사용자@서버:3306/이름, sqlite:///경로 처럼 적어 주세요.",
        next_en="Write postgresql://USER@HOST:5432/NAME, mysql://USER@HOST:3306/NAME or sqlite:///PATH.",
        where={"connection": name},
    )


def _driver_missing(kind: str) -> MissingError:
    line = f"pip install {_PACKAGES[kind]}" if kind in _PACKAGES else "pip install 'madang[sql]'"
    return MissingError(
        "missing_extra",
        ko=f"{kind} 드라이버가 설치되어 있지 않아요.",
        en=f"The driver for {kind} is not installed.",
        next_ko=line,
        next_en=line,
        where={"kind": kind},
    )
