"""A PostgreSQL table of half a million rows into the spool: the first load, then what changed.

    ./run bench sql
    ./run bench sql --rows 500000 --changed 5000

The table has a key, NUMERIC(38,10), times with and without zone, and Korean names. Beside it in the same run: psycopg alone fetches the same
rows in pages from a cursor of the server and keeps nothing. Then as many rows as asked are changed in place and a hundred deleted, and the next look
is timed; then a look that finds nothing; then a new process's first look. At the end the records handed over are compared with those of
the source. Prints one JSON line. Needs PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

TABLE = "생산 실적"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench sql")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--changed", type=int, default=5_000)
    given = parser.parse_args(arguments)
    from tests.connect.sql.servers import postgres

    with tempfile.TemporaryDirectory(prefix="bench-sql-") as folder:
        server = postgres(Path(folder) / "server")
        server.start()
        try:
            result = _measured(Path(folder) / "spool", f"127.0.0.1:{server.port}", given.rows, given.changed)
        finally:
            server.stop()
    print(json.dumps({"bench": "sql", **result}, ensure_ascii=False))
    return 0 if result["differences"] == 0 else 1


def _measured(folder: Path, place: str, rows: int, changed: int) -> dict[str, float | int]:
    import psycopg

    from madang.connect import Collector, ConnectionSettings, Rows, Spool
    from madang.connect.sql import make

    connection = psycopg.connect(f"postgresql://madang@{place}/postgres", autocommit=True)
    connection.execute(
        f'CREATE TABLE "{TABLE}" ("번호" bigint PRIMARY KEY, "로트" text, "중량" numeric(38,10), "온도(℃)" double precision, '
        "made_at timestamptz, 기록시각 timestamp)"
    )
    connection.execute(
        f"INSERT INTO \"{TABLE}\" SELECT n, 'L' || n / 7, (n * 1234567.0000000001)::numeric(38,10), random(), "
        "'2026-01-01 00:00+09'::timestamptz + n * interval '1 second', '2026-01-01'::timestamp + n * interval '1 second' "
        f"FROM generate_series(1, {rows}) n"
    )
    connection.execute(f'ANALYZE "{TABLE}"')

    started = time.perf_counter()
    with psycopg.connect(f"postgresql://madang@{place}/postgres") as bare, bare.cursor("bare") as cursor:
        cursor.itersize = 4096
        cursor.execute(f'SELECT * FROM "{TABLE}"')
        fetched = sum(1 for _ in cursor)
    bare_seconds = time.perf_counter() - started

    def clock() -> datetime:
        return datetime.now(UTC)

    settings = ConnectionSettings("mes", "sql", f"postgresql://madang@{place}/postgres", {"reconcile": "0.01"}, tags=(TABLE,))
    spool = Spool.open(folder, clock=clock)
    source = make(settings)
    collector = Collector(source, spool, spool.ledger, clock)
    seconds: dict[str, float] = {}

    def look(name: str) -> None:
        before = time.perf_counter()
        source.round(collector)  # type: ignore[attr-defined]
        while (depth := spool.depth()).frames and spool.durable < spool.appended:
            time.sleep(0.002)
        seconds[name] = time.perf_counter() - before
        assert depth is not None

    look("first_load")
    connection.execute(f'UPDATE "{TABLE}" SET "중량" = -"중량" WHERE "번호" % {rows // changed} = 0')
    connection.execute(f'DELETE FROM "{TABLE}" WHERE "번호" % {rows // 100} = 1')
    look("changed")
    look("nothing")
    source.close()
    source = make(settings)
    look("after_restart")

    held: dict[int, tuple[object, ...]] = {}
    sequence = 0
    while frames := spool.read(sequence, 64 << 20):
        sequence = frames[-1].sequence
        for frame in frames:
            if not isinstance(frame.content, Rows):
                continue
            part = frame.content
            if part.change == "delete":
                for key in part.batch.column(0).to_pylist():
                    held.pop(key, None)
            else:
                held.update((row[0], row) for row in zip(*[column.to_pylist() for column in part.batch.columns], strict=True))
    there = {row[0]: tuple(row) for row in connection.execute(f'SELECT * FROM "{TABLE}"')}
    differences = sum(held.get(key) != row for key, row in there.items()) + len(held.keys() - there.keys())
    connection.close()
    depth = spool.depth()
    spool.close()
    return {
        "rows": fetched,
        "bare_psycopg_seconds": round(bare_seconds, 2),
        **{f"{name}_seconds": round(value, 2) for name, value in seconds.items()},
        "first_load_rows_per_second": round(rows / seconds["first_load"]),
        "changed": changed,
        "spool_megabytes": round(depth.bytes / 1e6, 1),
        "differences": differences,
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
