"""Whatever the order in which transactions begin, write and end, the records handed over are those of the source."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.connect.sql.interleave import TABLE, Follower, Plant, play
from tests.connect.sql.servers import Server
from tests.connect.sql.shelf import Hands

START = datetime.fromisoformat("2026-03-01T08:00")
RUNS = 1000


class Session:
    """A connection that executes as a cursor does."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401
        self.connection = connection
        self.cursor = connection.cursor()

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401
        return self.cursor.execute(sql, values)

    def fetchall(self) -> list[Any]:
        return list(self.cursor.fetchall())

    def fetchone(self) -> Any:  # noqa: ANN401
        return self.cursor.fetchone()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()


def _same(plant: Plant, follower: Follower) -> None:
    """The last look may have been lost in a crash; the one after it has to bring everything."""
    follower.random.random = lambda: 1.0  # type: ignore[method-assign]
    follower.look(4000.0)
    assert Counter(follower.rows()) == Counter(plant.rows())
    assert not follower.shelf.rejects()


@pytest.fixture(scope="module")
def postgres_sessions(pg: Server) -> Iterator[list[Session]]:
    psycopg = pytest.importorskip("psycopg")
    sessions = [Session(psycopg.connect(f"host=127.0.0.1 port={pg.port} user=madang dbname=postgres")) for _ in range(5)]
    for session in sessions[1:]:
        session.execute("SET lock_timeout = '20ms'")
        session.commit()
    yield sessions
    for session in sessions:
        session.connection.close()


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_thousand_interleavings_of_postgresql_transactions_miss_nothing_and_every_look_shows_one_instant(
    pg: Server, postgres_sessions: list[Session]
) -> None:
    _postgres_runs(pg, postgres_sessions, range(RUNS))


@pytest.mark.peers
def test_forty_interleavings_of_postgresql_transactions_miss_nothing_and_every_look_shows_one_instant(
    pg: Server, postgres_sessions: list[Session]
) -> None:
    _postgres_runs(pg, postgres_sessions, range(5000, 5040))


def _postgres_runs(pg: Server, sessions: list[Session], seeds: range) -> None:
    setup, *writers = sessions
    setup.execute(f'DROP TABLE IF EXISTS "{TABLE}"')
    setup.execute(
        f'CREATE TABLE "{TABLE}" ("번호" bigint PRIMARY KEY, "중량" numeric(38,10), "비고" varchar(10), updated_at timestamp NOT NULL)'
    )
    setup.commit()
    options = {"reconcile": "1", "compare": "100000", "late": "xmin", "page": "7"}
    for seed in seeds:
        setup.execute(f'TRUNCATE "{TABLE}"')
        setup.commit()
        plant = Plant(seed, list(writers), setup, '"', "%s", "FOR UPDATE SKIP LOCKED", START)
        follower = Follower(f"postgresql://madang@127.0.0.1:{pg.port}/postgres", options, plant.random)
        look = follower.look

        def checked(seconds: float, follower: Follower = follower, look: Any = look, plant: Plant = plant) -> None:  # noqa: ANN401
            look(max(seconds, 1.0))
            if follower.source is not None:
                # Nothing ran at the same time as this look, so what is committed now is what it saw.
                assert Counter(follower.rows()) == Counter(plant.rows()), f"seed {plant.seed}"

        follower.look = checked  # type: ignore[method-assign]
        play(plant, follower, 24, lambda done, plant=plant: _same(plant, done))  # type: ignore[misc]


@pytest.mark.peers
def test_interleavings_of_postgresql_transactions_end_alike_by_overlap_and_comparison_too(
    pg: Server, postgres_sessions: list[Session]
) -> None:
    setup, *writers = postgres_sessions
    for seed, key in [(seed, key) for seed in range(30) for key in ("PRIMARY KEY", "")]:
        setup.execute(f'DROP TABLE IF EXISTS "{TABLE}"')
        setup.execute(
            f'CREATE TABLE "{TABLE}" ("번호" bigint {key}, "중량" numeric(38,10), "비고" varchar(10), updated_at timestamp)'
        )
        setup.commit()
        plant = Plant(seed, list(writers), setup, '"', "%s", "FOR UPDATE SKIP LOCKED", START, keyed=bool(key))
        options = {"reconcile": "30", "compare": "300", "late": "overlap", "overlap": "3", "page": "5"}
        follower = Follower(f"postgresql://madang@127.0.0.1:{pg.port}/postgres", options, plant.random)
        play(plant, follower, 40, lambda done, plant=plant: _same(plant, done))  # type: ignore[misc]


@pytest.mark.peers
def test_interleavings_of_mariadb_transactions_end_alike(maria: Server) -> None:
    pymysql = pytest.importorskip("pymysql")
    sessions = []
    for _ in range(4):
        connection = pymysql.connect(host="127.0.0.1", port=maria.port, user="root", charset="utf8mb4")
        sessions.append(Session(connection))
    setup, *writers = sessions
    setup.execute("CREATE DATABASE IF NOT EXISTS mes_interleaved")
    for session in sessions:
        session.execute("USE mes_interleaved")
        session.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        session.commit()
    for seed, key in [(seed, key) for seed in range(25) for key in (", PRIMARY KEY (`번호`)", "")]:
        setup.execute(f"DROP TABLE IF EXISTS `{TABLE}`")
        setup.execute(
            f"CREATE TABLE `{TABLE}` (`번호` bigint, `중량` decimal(38,10), `비고` varchar(10), updated_at datetime NOT NULL{key})"
            " ENGINE=InnoDB"
        )
        setup.commit()
        # Without a key MariaDB locks every row that it passes: one writer at a time, its transaction open over several looks.
        taking_part = list(writers if key else writers[:1])
        plant = Plant(seed, taking_part, setup, "`", "%s", "FOR UPDATE SKIP LOCKED", START, keyed=bool(key))
        options = {"reconcile": "30", "compare": "300", "overlap": "3", "page": "5"}
        follower = Follower(f"mysql://root@127.0.0.1:{maria.port}/mes_interleaved", options, plant.random)
        play(plant, follower, 40, lambda done, plant=plant: _same(plant, done))  # type: ignore[misc]
    for session in sessions:
        session.connection.close()


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("keyed", [True, False])
def test_interleavings_of_sqlite_writers_end_alike(tmp_path: Path, journal: str, keyed: bool) -> None:
    for seed in range(12):
        path = tmp_path / f"{seed}.db"
        setup, writer = (Session(sqlite3.connect(path)) for _ in range(2))
        setup.execute(f"PRAGMA journal_mode = {journal}")
        key = "PRIMARY KEY" if keyed else ""
        setup.execute(f'CREATE TABLE "{TABLE}" ("번호" integer {key}, "중량" text, "비고" text, updated_at text)')
        setup.commit()
        writer.execute("PRAGMA busy_timeout = 5000")
        # SQLite has one writer at a time; its transaction stays open over several looks.
        plant = Plant(seed, [_Texts(writer)], setup, '"', "?", "", START, keyed=keyed)
        options = {"reconcile": "30", "compare": "300", "overlap": "3", "page": "5", "cursor": f"{TABLE}=updated_at"}
        follower = Follower(str(path), options, plant.random, Hands(datetime(2026, 3, 1, 9, tzinfo=UTC)))
        play(plant, follower, 40, lambda done, plant=plant: _same(plant, done))  # type: ignore[misc]
        for session in (setup, writer):
            session.connection.close()


class _Texts(Session):
    """SQLite has neither decimals nor times."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.connection)

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401
        return super().execute(sql, tuple(value if isinstance(value, int | str | None) else str(value) for value in values))
