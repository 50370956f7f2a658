"""What every source does, done by databases."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madang.connect import ConnectionSettings, Source
from madang.connect.sql import make
from madang.testing import RecordingSink, SourceContract, SourcePeer
from madang.testing._sink import Value
from tests.connect.sql.servers import Server, free_port, postgres

OPTIONS = {"every": "0.05", "reconcile": "0.05", "timeout": "20"}


class Lots(SourcePeer):
    """A table of one lot with two numbers, which are its tags."""

    tags = ("로트/온도", "로트/압력")
    url = ""

    def make(self) -> Source:
        secrets = {"password": self.secrets[0]} if self.secrets else {}
        return make(ConnectionSettings("mes", "sql", self.url, OPTIONS, secrets, tags=self.tags))

    def values(self, source: Source, sink: RecordingSink) -> list[Value]:
        return [
            (f"{rows.table}/{name}", float(record[name]), 0)
            for rows in sink.rows
            if rows.change == "upsert"
            for record in rows.batch.to_pylist()
            for name in ("온도", "압력")
        ]


class SqliteLots(Lots):
    """In a file."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder / "mes.db")
        self.connection = sqlite3.connect(self.url, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("CREATE TABLE 로트 (id INTEGER PRIMARY KEY, 온도 REAL, 압력 REAL)")
        self.connection.execute("INSERT INTO 로트 VALUES (1, 0, 0)")

    def away(self) -> Source | None:
        return make(ConnectionSettings("mes", "sql", f"{self.url}.none", OPTIONS))

    def change(self, value: float) -> None:
        self.connection.execute("UPDATE 로트 SET 온도 = ?, 압력 = ?", (value, value))


class PostgresLots(Lots):
    """In a server that can be taken away."""

    can_restart = True
    patience = 60.0
    secrets = ("비밀-s3cret",)

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"postgresql://madang@127.0.0.1:{server.port}/postgres"
        self._do("CREATE TABLE IF NOT EXISTS 로트 (id int PRIMARY KEY, 온도 float8, 압력 numeric(10,3))")
        self._do("INSERT INTO 로트 VALUES (1, 0, 0) ON CONFLICT DO NOTHING")

    def away(self) -> Source | None:
        return make(ConnectionSettings("mes", "sql", f"postgresql://madang@127.0.0.1:{free_port()}/postgres", OPTIONS))

    def change(self, value: float) -> None:
        self._do("UPDATE 로트 SET 온도 = %s, 압력 = %s", (value, value))

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def _do(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql, values)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this module's own, since it is taken away."""
    with tempfile.TemporaryDirectory(prefix="madang-pg-") as folder:
        server = postgres(Path(folder))
        server.start()
        yield server
        server.stop()


class TestSqlite(SourceContract):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[SourcePeer]:
        peer = SqliteLots(tmp_path)
        yield peer
        peer.connection.close()


@pytest.mark.peers
class TestPostgresql(SourceContract):
    @pytest.fixture
    def peer(self, server: Server) -> SourcePeer:
        if server.process is None:
            server.start()
        peer = PostgresLots(server)
        peer.change(0.0)
        return peer
