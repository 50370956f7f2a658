"""One of every type: what a peer holds arrives exactly, or is named in quarantine; nothing is bent."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from madang.connect import ConnectionSettings
from madang.connect.sql import make
from tests.connect.sql.servers import Server
from tests.connect.sql.shelf import Hands, Shelf


def _taken(url: str, table: str, hands: Hands, **options: str) -> tuple[Shelf, dict[str, Any]]:
    source = make(ConnectionSettings("mes", "sql", url, options, tags=(table,)), clock=hands)
    shelf = Shelf()
    source.round(shelf)  # type: ignore[attr-defined]
    source.close()
    batch = next(rows.batch for kind, rows in shelf.log if kind == "rows")
    return shelf, {name: (str(batch.schema.field(name).type), batch.column(name).to_pylist()) for name in batch.schema.names}


@pytest.mark.peers
def test_every_type_of_postgresql_arrives_as_it_is(pg: Server, hands: Hands) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(f"host=127.0.0.1 port={pg.port} user=madang dbname=postgres", autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS everything")
        connection.execute("DROP TYPE IF EXISTS 등급")
        connection.execute("CREATE TYPE 등급 AS ENUM ('양품', '불량')")
        connection.execute(
            'CREATE TABLE everything (id uuid PRIMARY KEY, "온도(℃)" numeric(38,10), free numeric, big bigint, r real, d double precision, '
            "b boolean, t timestamp, tz timestamptz, day date, hour time, hz timetz, span interval, doc jsonb, list int[], grade 등급, "
            'raw bytea, addr inet, code char(5), "수율%" int)'
        )
        connection.execute(
            "INSERT INTO everything VALUES ('00000000-0000-0000-0000-000000000001', 1234567890123456789012345678.0123456789, "
            "'1e-40', 9223372036854775807, 0.1, 0.1, true, '2026-11-01 01:30', '2026-11-01 01:30-04', '2026-02-28', "
            "'23:59:59.999999', '10:00+09', '1 day 2 hours', '{\"가\": 1.10}', '{1,2}', '불량', '\\x00ff', '10.0.0.1', '007', 98)"
        )
        connection.execute(
            "INSERT INTO everything (id, free, t, tz, day, d) VALUES ('00000000-0000-0000-0000-000000000002', 'NaN', 'infinity', "
            "'-infinity', '0044-03-15 BC', 'NaN')"
        )
    shelf, got = _taken(f"postgresql://madang@127.0.0.1:{pg.port}/postgres", "everything", hands)
    assert got["온도(℃)"] == ("decimal128(38, 10)", [Decimal("1234567890123456789012345678.0123456789"), None])
    assert Decimal(got["free"][1][0]) == Decimal("1e-40")
    assert got["free"][1][1] == "NaN"
    assert got["big"] == ("int64", [9223372036854775807, None])
    assert got["d"][1][0] == 0.1
    assert str(got["d"][1][1]) == "nan"
    assert got["수율%"] == ("int64", [98, None])
    assert got["code"][1][0].strip() == "007"
    assert got["b"] == ("bool", [True, None])
    assert got["t"] == ("timestamp[us]", [datetime.fromisoformat("2026-11-01T01:30"), None])
    assert got["tz"] == ("timestamp[us, tz=UTC]", [datetime(2026, 11, 1, 5, 30, tzinfo=UTC), None])
    assert got["day"] == ("date32[day]", [date(2026, 2, 28), None])
    assert got["hour"] == ("time64[us]", [time(23, 59, 59, 999999), None])
    assert got["span"][1][0] == "P1DT2H"
    assert json.loads(got["doc"][1][0]) == {"가": 1.1}
    assert got["doc"][1][0] == '{"가": 1.10}'
    assert got["list"][1][0] == "[1, 2]"
    assert got["grade"][1][0] == "불량"
    assert got["raw"][1][0].endswith(";bytes=2")
    assert got["addr"][1][0] == "10.0.0.1"
    # What Python has no time for is not lost: each value waits in quarantine under its column.
    told = {(entry["column"], entry["value"]) for reject in shelf.rejects() for entry in [json.loads(reject.payload)]}
    assert told == {("t", "infinity"), ("tz", "-infinity"), ("day", "0044-03-15 BC")}


@pytest.mark.peers
def test_every_type_of_mariadb_arrives_as_it_is(maria: Server, hands: Hands) -> None:
    pymysql = pytest.importorskip("pymysql")
    connection = pymysql.connect(host="127.0.0.1", port=maria.port, user="root", charset="utf8mb4", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS 공장")
        cursor.execute("USE 공장")
        cursor.execute("SET time_zone = '+09:00', sql_mode = ''")
        cursor.execute("DROP TABLE IF EXISTS `품질 검사`")
        cursor.execute(
            "CREATE TABLE `품질 검사` (`번호` bigint unsigned PRIMARY KEY, `중량` decimal(38,10), wide decimal(65,30), t datetime(6), "
            "ts timestamp(6) NULL, day date, span time(3), y year, flag tinyint(1), j json, raw blob, e enum('가','나'), bits bit(4))"
        )
        cursor.execute(
            "INSERT INTO `품질 검사` VALUES (18446744073709551615, 1.0000000001, 0.000000000000000000000000000001, "
            "'2026-03-01 10:00:00.123456', '2026-03-01 10:00:00.5', '2026-02-28', '-100:00:00.5', 2026, 2, '{\"a\": 1}', x'00', '나', b'101')"
        )
        cursor.execute("INSERT INTO `품질 검사` (`번호`, t, day) VALUES (1, '0000-00-00 00:00:00', '0000-00-00')")
    connection.close()
    shelf, got = _taken(f"mysql://root@127.0.0.1:{maria.port}/공장", "품질 검사", hands)
    place = got["번호"][1].index(18446744073709551615)
    value = {name: (kind, values[place]) for name, (kind, values) in got.items()}
    assert value["번호"][0] == "uint64"
    assert value["중량"] == ("decimal128(38, 10)", Decimal("1.0000000001"))
    assert Decimal(value["wide"][1]) == Decimal("1e-30")
    assert value["t"] == ("timestamp[us]", datetime.fromisoformat("2026-03-01T10:00:00.123456"))
    assert value["ts"] == ("timestamp[us, tz=UTC]", datetime(2026, 3, 1, 1, 0, 0, 500000, tzinfo=UTC))
    assert value["span"][1] == "-100:00:00.500000"
    assert value["y"][1] == 2026
    assert value["flag"][1] in (2, "2")
    assert json.loads(value["j"][1]) == {"a": 1}
    assert value["e"][1] == "나"
    told = {json.loads(reject.payload)["column"] for reject in shelf.rejects()}
    assert told <= {"t", "day"}


def test_sqlite_values_that_do_not_fit_their_column_wait_in_quarantine_and_the_record_goes_on(
    tmp_path: Path, hands: Hands
) -> None:
    path = tmp_path / "mes.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            'CREATE TABLE "로트" ("로트번호" TEXT PRIMARY KEY, n INTEGER, w DECIMAL(10,3), r REAL, t DATETIME, z DATETIME, free, b BLOB)'
        )
        connection.execute(
            'INSERT INTO "로트" VALUES (?,?,?,?,?,?,?,?)',
            ("L-1", 3, 1.25, 0.1, "2026-03-01 10:00:00", "2026-03-01T10:00:00+09:00", "x", b"\x00"),
        )
        connection.execute('INSERT INTO "로트" VALUES (?,?,?,?,?,?,?,?)', ("L-2", "많음", 0.12345, 1, None, None, 7, None))
        connection.execute('INSERT INTO "로트" VALUES (NULL,1,1,1,NULL,NULL,NULL,NULL)')
    connection.close()
    shelf, got = _taken(str(path), "로트", hands)
    assert got["로트번호"][1] == ["L-1", "L-2"]
    assert got["n"] == ("int64", [3, None])
    assert got["w"] == ("decimal128(10, 3)", [Decimal("1.250"), None])
    assert got["t"] == ("timestamp[us]", [datetime.fromisoformat("2026-03-01T10:00"), None])
    assert got["z"] == ("timestamp[us, tz=UTC]", [datetime(2026, 3, 1, 1, tzinfo=UTC), None])
    assert got["free"][1] == ["x", "7"]
    told = {
        (reject.code, json.loads(reject.payload)["column"], json.loads(reject.payload)["value"]) for reject in shelf.rejects()
    }
    assert told == {("wrong_type", "n", "많음"), ("out_of_range", "w", "0.12345"), ("no_value", "로트번호", "None")}


def test_binary_values_are_kept_when_asked_and_a_too_large_one_waits_in_quarantine(tmp_path: Path, hands: Hands) -> None:
    path = tmp_path / "mes.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE pictures (id INTEGER PRIMARY KEY, raw BLOB)")
        connection.execute("INSERT INTO pictures VALUES (1, ?), (2, ?)", (b"\x00\xff", bytes((1 << 20) + 1)))
    connection.close()
    shelf, got = _taken(str(path), "pictures", hands, blobs="keep")
    assert got["raw"] == ("binary", [b"\x00\xff", None])
    assert [reject.code for reject in shelf.rejects()] == ["too_large"]


def test_the_zone_of_wall_clock_times_travels_beside_them(tmp_path: Path, hands: Hands) -> None:
    path = tmp_path / "mes.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE lots (id INTEGER PRIMARY KEY, t DATETIME)")
        connection.execute("INSERT INTO lots VALUES (1, '2026-03-01 10:00:00')")
    connection.close()
    shelf, _ = _taken(str(path), "lots", hands)
    schema = next(rows.batch.schema for kind, rows in shelf.log if kind == "rows")
    assert schema.field("t").type == pa.timestamp("us")
    assert schema.field("t").metadata == {b"zone": b"Asia/Seoul"}


def test_a_text_of_a_megabyte_and_a_text_that_looks_like_a_number_stay_what_they_are(tmp_path: Path, hands: Hands) -> None:
    path = tmp_path / "mes.db"
    long = "가" * 350_000
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY, "번호" TEXT, body TEXT)')
        connection.execute("INSERT INTO notes VALUES (1, '007', ?), (-9223372036854775808, '1e5', 'x')", (long,))
    connection.close()
    shelf, got = _taken(str(path), "notes", hands)
    assert got["id"][1] == [-9223372036854775808, 1]
    assert got["번호"][1] == ["1e5", "007"]
    assert got["body"][1][1] == long
    assert not shelf.rejects()
