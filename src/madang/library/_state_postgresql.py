"""The catalogue in a schema of a PostgreSQL database: several machines, one writer, and nobody writes on a lock that was lost.

Each transaction that writes begins by counting up one row of ``meta``. The row's lock keeps others waiting until it ends, and the count
tells caches that something changed. READ COMMITTED is needed for that: a stricter level would keep the view of before the wait.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from madang.errors import InputError, MissingError
from madang.library._lake import sync_file, sync_folder
from madang.library._state_base import elsewhere, mark

if TYPE_CHECKING:
    from sqlalchemy import URL, MetaData

SCHEMA: Final = "madang"
"""Schema of a catalogue whose address names none."""
_SPACE: Final = 0x6D61_6461
"""First half of the advisory locks' keys: other programs of the database have other numbers."""
_PATIENCE_MS: Final = 30_000
"""Longest wait for another transaction that writes, as with SQLite [ms]."""
_SESSION: Final = {
    "lock_timeout": _PATIENCE_MS,
    # A machine that lost its power holds its locks until the server notices: half a minute instead of two hours.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}


def checked_url(place: str) -> tuple[URL, str]:
    """Return the address of a database and the schema of the catalogue in it.

    Args:
        place: ``postgresql+psycopg://user@host/database``, maybe with ``?options=-csearch_path=schema``.

    Raises:
        InputError: It is none, or of another kind of database.
    """
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        raise _no_url("") from None
    if url.drivername not in ("postgresql", "postgresql+psycopg") or not url.database:
        raise _no_url(url.drivername)
    url = url.set(drivername="postgresql+psycopg")
    options = url.query.get("options", "")
    options = options if isinstance(options, str) else " ".join(options)
    named = re.search(r"-c\s*search_path=(\S+)", options)
    schema = named[1].strip('"') if named else SCHEMA
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
        raise no_schema(schema)
    rest = re.sub(r"-c\s*search_path=\S+", "", options).strip()
    own = " ".join(f"-c{name}={value}" for name, value in {**_SESSION, "search_path": schema}.items())
    return url.update_query_dict({"options": f"{rest} {own}".strip()}), schema


class PostgresBase:
    """A catalogue in a schema of a PostgreSQL database.

    Args:
        place: Address of the database; see `checked_url`.
        root: Folder of the workspace whose lake it describes.

    Raises:
        InputError: The address is none, or nobody answers there.
        MissingError: The driver is not installed.
    """

    def __init__(self, place: str, root: Path) -> None:
        url, self._schema = checked_url(place)
        shown = url.set(query={}).render_as_string(hide_password=True)
        self.shown = f"{shown} ({self._schema})"
        self._root = root
        arguments = {
            "application_name": f"madang {socket.gethostname()[:40]} {os.getpid()}",
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
        try:
            self._engine: Engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, hide_parameters=True)
        except ImportError as error:
            raise _no_driver() from error
        event.listen(self._engine, "connect", _durable)
        self.writing = self._engine.execution_options(isolation_level="READ COMMITTED")
        self.reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._asking = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.beyond = Machines(self)

    def session(self) -> Connection:
        """A connection of its own, outside any transaction."""
        return self._asking.connect()

    def prepare(self, db: Connection, metadata: MetaData) -> None:
        """Make the schema, the tables and the counters that are missing, while nobody else does."""
        db.execute(text("SELECT pg_advisory_xact_lock(:space, :key)"), {"space": _SPACE, "key": self.key("prepare")})
        if not db.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": self._schema}).scalar():
            db.execute(text(f"CREATE SCHEMA {self._schema}"))
        metadata.create_all(db, checkfirst=True)
        counters = text("INSERT INTO meta (key, value) VALUES ('changes', '0'), ('writer', '0') ON CONFLICT DO NOTHING")
        db.execute(counters)

    def belongs(self, db: Connection) -> None:
        """Refuse when the catalogue and the lake do not know each other; make them known when both are new."""
        said = db.execute(text("SELECT value FROM meta WHERE key = 'lake'")).scalar()
        file = mark(self._root)
        found = file.read_text(encoding="ascii").strip() if file.exists() else None
        if said is not None:
            if said != found:
                raise self._of_another()
            return
        tables = self._root / "lake" / "tables"
        if (self._root / "state.sqlite").exists() or (tables.is_dir() and any(tables.iterdir())):
            raise elsewhere(self._root, "state.sqlite" if found is None else "PostgreSQL")
        if found is None:
            found = uuid.uuid4().hex
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(found + "\n", encoding="ascii")
            sync_file(file)
            sync_folder(file.parent)
        # An interrupted first opening leaves the file without the row: then the name in the file is taken.
        db.execute(text("INSERT INTO meta (key, value) VALUES ('lake', :lake)"), {"lake": found})

    def alone(self, db: Connection) -> None:
        """Wait for the others by counting up the row that each of them counts up first.

        Raises:
            InputError: This machine was the one writer and is it no longer.
        """
        db.execute(text("UPDATE meta SET value = CAST(CAST(value AS bigint) + 1 AS text) WHERE key = 'changes'"))
        self.beyond.check(db)

    def settle(self) -> None:
        """Wait for a commit that was sent before its connection was lost: it holds the row until it has become real or not."""
        with self.translated(), self.writing.begin() as db:
            self.alone(db)

    def stamp(self) -> object:
        """The count of changes."""
        with self.translated(), self._asking.connect() as db:
            return db.execute(text("SELECT value FROM meta WHERE key = 'changes'")).scalar()

    def key(self, what: str) -> int:
        """Second half of an advisory lock's key, of the schema's own."""
        return int.from_bytes(hashlib.sha256(f"{what}:{self._schema}".encode()).digest()[:4], "big", signed=True)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say that nobody answers, or that somebody else has been writing for too long."""
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            state = _sqlstate(error)
            if state == "55P03":
                raise self.beyond.busy(_PATIENCE_MS / 1000) from error
            if error.connection_invalidated or state is None or state[:2] in ("08", "53", "57", "28", "3D"):
                raise self._unreachable(error) from error
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _unreachable(self, error: DBAPIError) -> InputError:
        reason = " ".join(str(error.orig).split())[:300]
        return InputError(
            "catalogue_unreachable",
            ko=f"작업 공간의 목록이 있는 데이터베이스 {self.shown} 에 닿지 못했어요: {reason}",
            en=f"The database of the catalogue, {self.shown}, does not answer: {reason}",
            next_ko="서버가 켜져 있는지, workspace.toml 의 state 와 state_password 가 맞는지 보고 다시 하세요.",
            next_en="See that the server runs and that state and state_password in workspace.toml are right, then try again.",
            where={"database": self.shown, "workspace": str(self._root)},
            retry=True,
        )

    def _of_another(self) -> InputError:
        return InputError(
            "catalogue_of_another_workspace",
            ko=f"{self.shown} 에는 다른 작업 공간의 목록이 있어요.",
            en=f"{self.shown} holds the catalogue of another workspace.",
            next_ko='workspace.toml 에 다른 이름을 주세요. 예: state_schema = "kiln2"',
            next_en='Name another one in workspace.toml, for example: state_schema = "kiln2"',
            where={"database": self.shown, "workspace": str(self._root)},
        )


class Machines:
    """One writer among all machines of a catalogue: an advisory lock, and a count that rises with each holder.

    The lock lives as long as its connection. A holder that lost it without noticing is found out by the count before it changes anything.
    """

    def __init__(self, base: PostgresBase) -> None:
        self._base = base
        self._session: Connection | None = None
        self._turn: str | None = None

    def take(self, patience: float) -> bool:
        """Become the only writer; False when another machine still is after `patience` [s]; 0 does not wait."""
        with self._base.translated():
            session = self._base.session()
            try:
                if not self._locked(session, patience):
                    session.close()
                    return False
                with self._base.writing.begin() as db:
                    self._base.alone(db)
                    up = "UPDATE meta SET value = CAST(CAST(value AS bigint) + 1 AS text) WHERE key = 'writer' RETURNING value"
                    turn = str(db.execute(text(up)).scalar_one())
            except BaseException:
                # The lock goes with its connection, wherever this was interrupted.
                session.invalidate()
                session.close()
                raise
        self._session, self._turn = session, turn
        return True

    def _locked(self, session: Connection, patience: float) -> bool:
        lock = {"space": _SPACE, "key": self._base.key("writer")}
        if patience <= 0:
            return bool(session.execute(text("SELECT pg_try_advisory_lock(:space, :key)"), lock).scalar())
        wait = {"wait": f"{max(1, int(patience * 1000))}ms"}
        session.execute(text("SELECT set_config('lock_timeout', :wait, false)"), wait)
        try:
            session.execute(text("SELECT pg_advisory_lock(:space, :key)"), lock)
        except OperationalError as error:
            if _sqlstate(error) != "55P03":
                raise
            return False
        finally:
            session.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{_PATIENCE_MS}ms"})
        return True

    def release(self) -> None:
        """Let the next writer go on."""
        session, self._session, self._turn = self._session, None, None
        if session is None:
            return
        try:
            session.execute(text("SELECT pg_advisory_unlock(:space, :key)"), {"space": _SPACE, "key": self._base.key("writer")})
        except DBAPIError:
            # The connection is lost, and the lock with it.
            session.invalidate()
        session.close()

    def check(self, db: Connection) -> None:
        """Refuse to write for one who was the writer and is it no longer.

        Raises:
            InputError: Another machine has become the writer meanwhile.
        """
        mine = self._turn
        if mine is None:
            return
        if db.execute(text("SELECT value FROM meta WHERE key = 'writer'")).scalar() != mine:
            raise InputError(
                "writer_replaced",
                ko=f"데이터베이스와 끊긴 사이에 다른 컴퓨터가 이 작업 공간을 바꾸기 시작했어요. 이 변경은 남지 않았어요: {self._base.shown}",
                en=f"While the database was out of reach another machine began to change this workspace; "
                f"nothing of this change remains: {self._base.shown}",
                next_ko="다시 하세요.",
                next_en="Try again.",
                where={"database": self._base.shown},
                retry=True,
            )

    def holder(self) -> str:
        """Who holds the lock: program, machine, process and address; empty when nobody does."""
        asked = text(
            "SELECT a.application_name, host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST(:space AS oid) AND l.objid::bigint = :key"
        )
        with self._base.session() as db:
            key = self._base.key("writer") % 2**32
            row = db.execute(asked, {"space": _SPACE, "key": key}).first()
        return "" if row is None else " ".join(str(part) for part in row if part)

    def busy(self, patience: float) -> InputError:
        """The error that names who holds the lock."""
        try:
            who = self.holder()
        except DBAPIError:
            who = ""
        return InputError(
            "workspace_busy",
            ko=f"다른 프로그램이 이 작업 공간을 바꾸는 중이에요: {who or self._base.shown}",
            en=f"Another program is changing this workspace: {who or self._base.shown}",
            next_ko="그 작업이 끝난 뒤 다시 하세요.",
            next_en="Try again when it has finished.",
            where={"database": self._base.shown, "held_by": who, "waited_seconds": patience},
            retry=True,
        )


def _durable(connection: Any, _record: object) -> None:  # noqa: ANN401 (a DB-API connection)
    """A server that is set to forget its last commits is told not to for the catalogue."""
    before = connection.autocommit
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.autocommit = before


def _sqlstate(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return None if found is None else str(found)


def no_schema(schema: str) -> InputError:
    """The refusal of a name that is no schema's."""
    return InputError(
        "no_such_schema_name",
        ko=f"‘{schema}’은(는) 스키마 이름으로 쓸 수 없어요.",
        en=f"“{schema}” cannot be the name of a schema.",
        next_ko="소문자, 숫자, 밑줄로 된 63자까지의 이름을 주세요. 예: kiln_1",
        next_en="Give up to 63 lower-case letters, digits and underscores, for example kiln_1.",
        where={"schema": schema},
    )


def _no_url(kind: str) -> InputError:
    got = kind or "?"
    return InputError(
        "no_such_catalogue_place",
        ko=f"목록을 둘 수 없는 주소예요 (종류: {got}).",
        en=f"A catalogue cannot be kept at this address (kind: {got}).",
        next_ko="postgresql+psycopg://사용자@서버/데이터베이스 꼴로 적거나, state 줄을 지워 state.sqlite 를 쓰세요.",
        next_en="Write postgresql+psycopg://user@host/database, or take the line away to use state.sqlite.",
        where={"kind": got},
    )


def _no_driver() -> MissingError:
    return MissingError(
        "missing_extra",
        ko="PostgreSQL 에 닿는 꾸러미 psycopg 가 없어요.",
        en="The package psycopg, which speaks to PostgreSQL, is not installed.",
        next_ko="pip install 'madang[sql]'",
        next_en="pip install 'madang[sql]'",
        where={"package": "psycopg"},
    )
