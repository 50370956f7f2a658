"""A table is followed through changes of its columns, its size, its rights, and through restarts on both sides."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from madang.connect import Collector, ConnectionSettings, Rows, Source, Spool
from madang.connect.sql import make
from madang.errors import MissingError, RefusedError, UsageError
from madang.plant import BAD_NODE_UNKNOWN
from tests.connect.sql.servers import Server
from tests.connect.sql.shelf import Hands, Shelf


@pytest.fixture
def mes(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "mes.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE lots (id INTEGER PRIMARY KEY, state TEXT, updated_at DATETIME)")
    connection.execute("INSERT INTO lots VALUES (1, 'new', '2026-03-01 09:00:00'), (2, 'new', '2026-03-01 09:00:01')")
    return connection


def _source(tmp_path: Path, hands: Hands, tags: tuple[str, ...] = ("lots",), **options: str) -> Any:  # noqa: ANN401
    return make(ConnectionSettings("mes", "sql", str(tmp_path / "mes.db"), options, tags=tags), clock=hands)


def test_an_added_column_sends_only_the_records_that_have_something_in_it(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    source, shelf = _source(tmp_path, hands), Shelf()
    source.round(shelf)
    mes.execute("ALTER TABLE lots ADD COLUMN 비고 TEXT")
    mes.execute("UPDATE lots SET 비고 = '재작업' WHERE id = 2")
    hands.on(400)
    source.round(shelf)
    assert shelf.put("lots") == 3
    assert shelf.records("lots")[(2,)]["비고"] == "재작업"
    assert not shelf.rejects()


def test_a_changed_type_is_told_and_every_record_comes_again_with_it(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
    mes.execute("INSERT INTO t VALUES (1, 7)")
    source, shelf = _source(tmp_path, hands, ("t",)), Shelf()
    source.round(shelf)
    mes.execute("DROP TABLE t")
    mes.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    mes.execute("INSERT INTO t VALUES (1, '7')")
    hands.on(400)
    source.round(shelf)
    told = [json.loads(reject.payload) for reject in shelf.rejects() if reject.code == "type_changed"]
    assert told == [{"table": "t", "column": "v", "before": "int64", "now": "string"}]
    assert shelf.records("t")[(1,)]["v"] == "7"


def test_a_table_that_goes_is_a_gap_of_its_own_and_its_records_are_not_taken_for_deleted(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    source, shelf = _source(tmp_path, hands, ("lots", "other")), Shelf()
    source.round(shelf)
    mes.execute("ALTER TABLE lots RENAME TO lots_old")
    mes.execute("INSERT INTO other VALUES (1)")
    hands.on(400)
    source.round(shelf)
    assert len(shelf.records("lots")) == 2
    assert len(shelf.records("other")) == 1
    assert [(gap["cause"], gap["tags"], gap["until"]) for gap in shelf.gaps.values()] == [("bad_tag", ["lots"], None)]
    assert [state for state, _ in shelf.states][-1:] == ["degraded"]
    mes.execute("ALTER TABLE lots_old RENAME TO lots")
    mes.execute("UPDATE lots SET state = 'done' WHERE id = 1")
    hands.on(400)
    source.round(shelf)
    assert shelf.records("lots")[(1,)]["state"] == "done"
    assert all(gap["until"] is not None for gap in shelf.gaps.values())
    assert shelf.states[-1][0] == "connected"


def test_late_rows_within_the_overlap_are_found_by_the_news_alone_and_nothing_is_sent_twice(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    source, shelf = _source(tmp_path, hands, overlap="60", reconcile="100000", compare="100000"), Shelf()
    source.round(shelf)
    mes.execute("INSERT INTO lots VALUES (3, 'late', '2026-03-01 08:59:30')")
    for _ in range(3):
        hands.on(1)
        source.round(shelf)
    assert sorted(key for (key,) in shelf.records("lots")) == [1, 2, 3]
    assert shelf.put("lots") == 3


def test_one_row_dated_in_the_future_does_not_hide_those_that_come_before_it(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.execute("INSERT INTO lots VALUES (9, 'wrong', '2106-02-07 00:00:00')")
    source, shelf = _source(tmp_path, hands, reconcile="100000", compare="100000"), Shelf()
    source.round(shelf)
    mes.execute("INSERT INTO lots VALUES (10, 'right', '2026-03-01 18:00:05')")
    hands.on(10)
    source.round(shelf)
    assert (10,) in shelf.records("lots")


def test_a_table_longer_than_the_memory_is_followed_by_its_cursor_within_bounds(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.executemany("INSERT INTO lots VALUES (?, 'x', '2026-03-01 08:00:00')", [(number,) for number in range(10, 200)])
    source, shelf = _source(tmp_path, hands, remember="50", page="16", overlap="30"), Shelf()
    source.round(shelf)
    assert len(shelf.records("lots")) == 192
    mes.execute("INSERT INTO lots VALUES (500, 'y', '2026-03-01 18:00:00')")
    for _ in range(3):
        hands.on(5000)
        source.round(shelf)
    assert len(shelf.records("lots")) == 193
    assert len(source._followers["lots"].memory) <= 50


def test_several_columns_that_may_grow_are_asked_about(tmp_path: Path, mes: sqlite3.Connection, hands: Hands) -> None:
    mes.execute("CREATE TABLE two (id INTEGER PRIMARY KEY, updated_at DATETIME, 수정일시 DATETIME)")
    *_, last = _source(tmp_path, hands, ("two",)).test()
    assert (last.name, last.state) == ("value", "ask")
    assert "two (updated_at, 수정일시)" in last.text.ko


def test_a_long_table_of_readings_becomes_samples_each_once_also_after_a_crash(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.execute("CREATE TABLE log (시각 DATETIME, 태그 TEXT, 값 REAL, 품질 INTEGER)")
    first = [
        ("2026-03-01 18:00:00", "가", 1.5, 192),
        ("2026-03-01 18:00:00", "가", 1.5, 192),
        ("2026-03-01 18:00:01", "나", None, 0),
    ]
    mes.executemany("INSERT INTO log VALUES (?,?,?,?)", first)
    options = {"samples": "log:시각,태그,값,품질", "overlap": "60"}
    source, shelf = _source(tmp_path, hands, ("log",), **options), Shelf()
    source.round(shelf)
    mes.execute("INSERT INTO log VALUES ('2026-03-01 17:59:30', '가', 9.5, 64)")
    hands.on(1)
    source.round(shelf)
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert [(name, number, quality) for name, _, number, _, quality, _ in shelf.samples()] == [
        ("log/가", 1.5, 0), ("log/가", 1.5, 0), ("log/나", None, 0x80000000), ("log/가", 9.5, 0x40000000),
    ]  # fmt: skip
    assert shelf.samples()[0][1] == at
    again = _source(tmp_path, hands, ("log",), **options)
    mes.execute("INSERT INTO log VALUES ('2026-03-01 18:00:09', '가', 2.5, 192)")
    again.round(shelf)
    # The library keeps of a backfill only what it does not hold; the new one is live.
    assert [origin for *_, origin in shelf.samples()] == ["live"] * 4 + ["backfill"] * 4 + ["live"]


def test_a_reading_at_an_hour_that_a_clock_shows_twice_is_uncertain_and_one_that_it_skips_is_refused(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.execute("CREATE TABLE log (t DATETIME, tag TEXT, v REAL)")
    mes.executemany(
        "INSERT INTO log VALUES (?, 'a', 1)", [("2025-03-09 02:30:00",), ("2025-11-02 01:30:00",), ("2025-11-02 03:30:00",)]
    )
    settings = ConnectionSettings(
        "mes", "sql", str(tmp_path / "mes.db"), {"samples": "log:t,tag,v"}, tags=("log",), zone="America/New_York"
    )
    source: Any = make(settings, clock=hands)
    shelf = Shelf()
    source.round(shelf)
    assert [quality for *_, quality, _ in shelf.samples()] == [0x40000000, 0]
    assert [reject.code for reject in shelf.rejects()] == ["time_out_of_range"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"every": "often"}, "every"),
        ({"late": "never"}, "late"),
        ({"samples": "log"}, "samples"),
        ({"cursor": "lots"}, "cursor"),
    ],
)
def test_an_option_that_cannot_be_understood_is_named(tmp_path: Path, hands: Hands, options: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        _source(tmp_path, hands, ("lots",), **options)
    assert caught.value.where["option"] == word


def test_the_test_of_a_missing_file_ends_at_its_first_step(tmp_path: Path, hands: Hands) -> None:
    assert [(step.name, step.state) for step in _source(tmp_path, hands).test()] == [("name", "failed")]


def test_the_file_cannot_be_written_to(tmp_path: Path, mes: sqlite3.Connection, hands: Hands) -> None:
    source = _source(tmp_path, hands)
    with source._database.engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("INSERT INTO lots VALUES (7, '', '')")


def test_a_record_that_was_handed_over_just_before_a_crash_and_deleted_meanwhile_is_deleted_here_too(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    shelf = Shelf()
    _source(tmp_path, hands).round(shelf)
    mes.execute("INSERT INTO lots VALUES (3, 'short', '2026-03-01 09:00:02')")
    hands.on(10)
    _source(tmp_path, hands).round(shelf)
    # Power was lost right after the record became durable: nothing put later is there.
    shelf.cut(max(place for place, (kind, _) in enumerate(shelf.log) if kind == "rows") + 1)
    assert (3,) in shelf.records("lots")
    mes.execute("DELETE FROM lots WHERE id = 3")
    hands.on(400)
    _source(tmp_path, hands).round(shelf)
    assert (3,) not in shelf.records("lots")


def test_through_the_real_spool_a_restarted_source_sends_only_what_changed(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    for wanted in (2, 1):
        spool = Spool.open(tmp_path / "spool", clock=hands)
        before = spool.durable
        source = _source(tmp_path, hands)
        source.round(Collector(source, spool, spool.ledger, hands))
        spool.close()
        spool = Spool.open(tmp_path / "spool", clock=hands)
        rows = [frame.content for frame in spool.read(before, 1 << 20) if isinstance(frame.content, Rows)]
        assert sum(part.batch.num_rows for part in rows) == wanted
        assert rows[0].key == ("id",)
        spool.close()
        mes.execute("UPDATE lots SET state = 'done', updated_at = '2026-03-01 09:10:00' WHERE id = 1")
        hands.on(400)


def test_asked_to_begin_afresh_it_hands_every_record_over_once_more_and_still_knows_what_was_deleted(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    shelf = Shelf()
    _source(tmp_path, hands).round(shelf)
    mes.execute("DELETE FROM lots WHERE id = 2")
    for _ in range(2):
        hands.on(400)
        _source(tmp_path, hands, afresh="after the fire").round(shelf)
    sent = [(entry.change, entry.batch.column("id").to_pylist()) for kind, entry in shelf.log if kind == "rows"]
    assert sent == [("upsert", [1, 2]), ("upsert", [1]), ("delete", [2])]


def test_reading_a_table_shows_its_newest_record_to_a_person(tmp_path: Path, mes: sqlite3.Connection, hands: Hands) -> None:
    block = _source(tmp_path, hands).read(["lots", "lots/state", "none"], Shelf()).batch
    first, second, third = block.to_pylist()
    assert json.loads(first["text"]) == {"id": "2", "state": "new", "updated_at": "2026-03-01 09:00:01"}
    assert (second["text"], second["quality"]) == ("new", 0)
    assert third["quality"] == BAD_NODE_UNKNOWN


def test_a_driver_that_is_not_installed_is_named_with_the_line_to_type(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oracledb", None)
    with pytest.raises(MissingError) as caught:
        make(ConnectionSettings("erp", "sql", "oracle://reader@host:1521/erp"), clock=hands)
    assert caught.value.next_en == "pip install oracledb"


def test_a_source_that_waits_for_room_in_the_spool_stops_at_the_next_page(
    tmp_path: Path, mes: sqlite3.Connection, hands: Hands
) -> None:
    mes.executemany("INSERT INTO lots VALUES (?, 'x', NULL)", [(number,) for number in range(10, 1000)])
    mes.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    source, stop = _source(tmp_path, hands, ("lots", "other"), page="10"), threading.Event()

    class Full(Shelf):
        """Makes the source wait until there is room, and there is some only after it was told to stop."""

        def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
            waiting.set()
            assert stop.wait(30)
            super().put_rows(rows, done)

    shelf, waiting = Full(), threading.Event()
    thread = threading.Thread(target=source.subscribe, args=(shelf, stop))
    thread.start()
    assert waiting.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert shelf.put("lots") == 10
    again = Shelf(log=list(shelf.log))
    _source(tmp_path, hands, ("lots", "other")).round(again)
    assert len(again.records("lots")) == 992


# ---- against real servers


def _pg(pg: Server, hands: Hands, **options: str) -> Any:  # noqa: ANN401
    return make(
        ConnectionSettings("mes", "sql", f"postgresql://madang@127.0.0.1:{pg.port}/postgres", options, tags=("lots",)),
        clock=hands,
    )


def _psycopg(pg: Server) -> Any:  # noqa: ANN401
    psycopg = pytest.importorskip("psycopg")
    connection = psycopg.connect(f"host=127.0.0.1 port={pg.port} user=madang dbname=postgres", autocommit=True)
    connection.execute("CREATE TABLE IF NOT EXISTS lots (id int PRIMARY KEY, v text)")
    connection.execute("TRUNCATE lots")
    return connection


@pytest.mark.peers
def test_a_server_that_is_killed_and_started_again_costs_a_noted_gap_and_no_record(pg: Server, hands: Hands) -> None:
    with _psycopg(pg) as connection:
        connection.execute("INSERT INTO lots VALUES (1, 'before')")
    source: Source = _pg(pg, hands, every="0.05")
    shelf, stop = Shelf(), threading.Event()
    thread = threading.Thread(target=source.subscribe, args=(shelf, stop))
    thread.start()
    try:
        _until(lambda: (1,) in shelf.records("lots"))
        pg.kill()
        _until(lambda: bool(shelf.gaps))
        pg.start()
        # fsync is off, but it was the process that was killed and not the machine.
        connection = _psycopg(pg)
        connection.execute("INSERT INTO lots VALUES (1, 'before'), (2, 'after')")
        connection.close()
        _until(lambda: (2,) in shelf.records("lots"))
        _until(lambda: all(gap["until"] is not None for gap in shelf.gaps.values()))
    finally:
        stop.set()
        thread.join(30)
        source.close()
    assert [gap["cause"] for gap in shelf.gaps.values()] == ["disconnected"]
    assert shelf.records("lots")[(1,)]["v"] == "before"


@pytest.mark.peers
def test_a_peer_restored_from_an_older_copy_is_compared_whole(pg: Server, hands: Hands) -> None:
    connection = _psycopg(pg)
    connection.execute("INSERT INTO lots VALUES (1, 'a')")
    source, shelf = _pg(pg, hands, compare="1000000"), Shelf()
    source.round(shelf)
    # The transaction numbers of the copy are lower than those seen before.
    shelf.save_cursor("sql/lots/state", json.dumps({**json.loads(shelf.cursor("sql/lots/state") or ""), "horizon": 1 << 40}))
    connection.execute("UPDATE lots SET v = 'b'")
    again = _pg(pg, hands, compare="1000000")
    again.round(shelf)
    assert shelf.records("lots")[(1,)]["v"] == "b"
    connection.close()
    source.close()
    again.close()


@pytest.mark.peers
def test_nobody_waits_for_a_look_and_nothing_can_be_written_through_it(pg: Server, hands: Hands) -> None:
    connection = _psycopg(pg)
    connection.execute("INSERT INTO lots SELECT n, 'x' FROM generate_series(1, 100) n")
    source = _pg(pg, hands)
    with source._database.snapshot() as reader:
        reader.rows(_sql("SELECT count(*) FROM lots"))
        connection.execute("SET lock_timeout = '1s'")
        connection.execute("UPDATE lots SET v = 'y'")
        locks = connection.execute(
            "SELECT DISTINCT mode FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE a.application_name = 'madang' AND l.locktype = 'relation'"
        ).fetchall()
        assert {mode for (mode,) in locks} <= {"AccessShareLock"}
    with source._database.engine.connect() as writer, pytest.raises(Exception, match="read-only"):
        writer.exec_driver_sql("DELETE FROM lots")
    source.close()
    connection.close()


@pytest.mark.peers
def test_the_system_is_told_to_notice_a_network_that_is_cut_without_a_word(pg: Server, hands: Hands) -> None:
    _psycopg(pg).close()
    source = _pg(pg, hands, timeout="20")
    with source._database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(raw.fileno())) as wire:
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count = (
                wire.getsockopt(socket.IPPROTO_TCP, name)
                for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count <= 30
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    source.close()


@pytest.mark.peers
def test_a_statement_that_takes_too_long_is_ended_and_told_and_other_tables_go_on(pg: Server, hands: Hands) -> None:
    connection = _psycopg(pg)
    connection.execute("DROP VIEW IF EXISTS slow")
    connection.execute("CREATE VIEW slow AS SELECT pg_sleep(30)::text AS s")
    connection.execute("INSERT INTO lots VALUES (5, 'x')")
    url = f"postgresql://madang@127.0.0.1:{pg.port}/postgres"
    source: Any = make(ConnectionSettings("mes", "sql", url, {"timeout": "0.3"}, tags=("slow", "lots")), clock=hands)
    shelf = Shelf()
    source.round(shelf)
    assert (5,) in shelf.records("lots")
    state, text = shelf.states[-1]
    assert state == "degraded"
    assert text is not None and "time-out" in text.en
    connection.execute("DROP VIEW slow")
    connection.close()
    source.close()


@pytest.mark.peers
def test_the_test_goes_through_every_step_and_says_whether_the_connection_is_encrypted(
    pg: Server, maria: Server, hands: Hands
) -> None:
    _psycopg(pg).close()
    for url in (f"postgresql://madang@127.0.0.1:{pg.port}/postgres", f"mysql://root@127.0.0.1:{maria.port}/mysql"):
        source = make(ConnectionSettings("mes", "sql", url), clock=hands)
        steps = list(source.test())
        source.close()
        assert [step.name for step in steps] == ["name", "tcp", "trust", "login", "browse", "value"]
        assert {step.state for step in steps} <= {"ok", "ask"}
        assert steps[2].facts["tls"] == "" or steps[2].facts["tls"].startswith("TLS")


@pytest.mark.peers
def test_a_refused_log_in_ends_the_subscription_and_the_message_holds_no_password(maria: Server, hands: Hands) -> None:
    url = f"mysql://nobody_known@127.0.0.1:{maria.port}/mysql"
    source = make(ConnectionSettings("mes", "sql", url, secrets={"password": "s3cret-비밀"}), clock=hands)
    *_, last = source.test()
    assert (last.name, last.state) == ("login", "failed")
    with pytest.raises(RefusedError) as caught:
        source.subscribe(Shelf(), threading.Event())
    assert "s3cret" not in str(caught.value.document()) + last.text.en


def _sql(text: str) -> Any:  # noqa: ANN401
    import sqlalchemy as sa

    return sa.text(text)


def _until(true: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass within a minute"
        time.sleep(0.02)
