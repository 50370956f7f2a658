"""From the database through the spool into the lake: what the library shows is what the database holds."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from madang.connect import Collector, ConnectionSettings, Spool
from madang.connect.sql import make
from madang.library import Library
from tests.connect.sql.servers import Server
from tests.connect.sql.shelf import Hands


class Line:
    """A connection, its spool and the library, which are all opened anew when asked."""

    def __init__(self, root: Path, url: str, tables: tuple[str, ...], hands: Hands) -> None:
        self.root, self.hands = root, hands
        self.settings = ConnectionSettings("mes", "sql", url, {"reconcile": "30", "compare": "300", "page": "50"}, tags=tables)
        self._open()

    def _open(self) -> None:
        self.library = Library.open(self.root / "library", clock=self.hands, zone="Asia/Seoul")
        self.spool = Spool.open(self.root / "spool", clock=self.hands)
        self.live = self.library.live()
        self.live.attach("mes", self.spool, None, dataset="mes", zone="Asia/Seoul")
        self.source: Any = make(self.settings, clock=self.hands)
        self.collector = Collector(self.source, self.spool, self.spool.ledger, self.hands)

    def look(self, seconds: float) -> None:
        self.hands.on(seconds)
        self.source.round(self.collector)
        self.spool.wait(self.spool.appended, 30)
        self.live.step(self.hands.now, force=True)

    def again(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        self.source.close()
        self.live.close()
        self.spool.close()
        self.library.close()

    def records(self, dataset: str, *columns: str) -> Counter[tuple[Any, ...]]:
        table = self.library.read(dataset, reader="owner", purpose="show").table
        return Counter(zip(*[table.column(name).to_pylist() for name in columns], strict=True))


def test_records_of_sqlite_with_and_without_a_key_are_those_of_the_database(tmp_path: Path, hands: Hands) -> None:
    chance = random.Random(7)
    with sqlite3.connect(tmp_path / "mes.db", isolation_level=None) as mes:
        mes.execute('CREATE TABLE "로트" (id INTEGER PRIMARY KEY, "상태" TEXT, updated_at DATETIME)')
        mes.execute("CREATE TABLE events (what TEXT, n INTEGER)")
        line = Line(tmp_path, str(tmp_path / "mes.db"), ("로트", "events"), hands)
        for round_ in range(12):
            for _ in range(chance.randint(0, 12)):
                number, state = chance.randint(1, 30), chance.choice(["대기", "가동", None])
                mes.execute('INSERT OR REPLACE INTO "로트" VALUES (?, ?, ?)', (number, state, "2026-03-01 18:00:00"))
                mes.execute("INSERT INTO events VALUES (?, ?)", (state, number % 3))
            mes.execute('DELETE FROM "로트" WHERE id = ?', (chance.randint(1, 30),))
            mes.execute("DELETE FROM events WHERE rowid IN (SELECT rowid FROM events ORDER BY random() LIMIT 1)")
            line.look(40)
            if round_ % 4 == 3:
                line.again()
            assert line.records("mes.로트", "id", "상태") == Counter(mes.execute('SELECT id, "상태" FROM "로트"').fetchall())
            assert line.records("mes.events", "what", "n") == Counter(mes.execute("SELECT what, n FROM events").fetchall())
        line.close()
    mes.close()


@pytest.mark.peers
def test_records_of_postgresql_arrive_exactly_with_decimals_and_times(tmp_path: Path, hands: Hands, pg: Server) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(f"host=127.0.0.1 port={pg.port} user=madang dbname=postgres", autocommit=True) as mes:
        mes.execute("DROP TABLE IF EXISTS 실적")
        mes.execute('CREATE TABLE 실적 (id bigint PRIMARY KEY, "중량(kg)" numeric(38,10), t timestamptz, wall timestamp)')
        mes.execute(
            "INSERT INTO 실적 SELECT n, (n * 1234567890.0123456789)::numeric(38,10), '2026-03-01+09'::timestamptz + n * interval '1 hour', "
            "'2026-03-01'::timestamp + n * interval '1 hour' FROM generate_series(1, 500) n"
        )
        line = Line(tmp_path, f"postgresql://madang@127.0.0.1:{pg.port}/postgres", ("실적",), hands)
        line.look(1)
        mes.execute('UPDATE 실적 SET "중량(kg)" = -"중량(kg)" WHERE id % 7 = 0')
        mes.execute("DELETE FROM 실적 WHERE id % 11 = 0")
        line.look(40)
        table = line.library.read("mes.실적", reader="owner", purpose="show", units="source").table
        held = {row["id"]: row for row in table.to_pylist()}
        there = mes.execute('SELECT id, "중량(kg)", t, wall FROM 실적').fetchall()
        assert len(held) == len(there)
        for number, weight, instant, wall in there:
            row = held[number]
            assert Decimal(row["중량(kg)"]) == weight
            assert row["t"] == instant.astimezone(UTC)
            # A wall-clock time is that of the connection's zone.
            assert row["wall"] == (wall - timedelta(hours=9)).replace(tzinfo=UTC)
        line.close()
