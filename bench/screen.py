"""From the machine to the screen: a thousand tags at 1 Hz, from the source's own time to the event that a browser gets.

    ./run bench screen --tags 1000 --seconds 60

A recording is replayed in real time (its times moved so that each value is told when it comes) by the runner inside ``madang serve``; the events of
``/api/v1/live`` are read as a browser reads them. The delay of a value is the time at which its event was read, minus its own time. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench._served import Served, path, quantile


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench screen")
    parser.add_argument("--tags", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="bench-screen-"))
    try:
        result = measure(folder, given.tags, given.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))
    return 0 if float(result["p99_seconds"]) < 1.0 else 1


def measure(folder: Path, tags: int, seconds: int) -> dict[str, float | int | str]:
    recording = folder / "recording.parquet"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        (start + timedelta(seconds=s, microseconds=t * 1_000_000 // tags), f"tag{t}", float(s))
        for s in range(seconds)
        for t in range(tags)
    ]
    columns = list(zip(*rows, strict=True))
    pq.write_table(
        pa.table({"time": pa.array(columns[0], pa.timestamp("us", "UTC")), "tag": columns[1], "value": columns[2]}), recording
    )
    with Served(folder) as server:
        client = server.client()
        client.document(
            "POST", path("connections"), {"name": "line", "kind": "replay", "url": str(recording), "wanted": "running"}
        )
        until = time.monotonic() + 60
        while not client.document("GET", path("signals"))["signals"]:
            if time.monotonic() > until:
                raise RuntimeError("nothing came")
            time.sleep(0.1)
        time.sleep(2.0)
        delays, values = _listen(server.host, max(5.0, seconds - 10.0))
    return {
        "bench": "screen",
        "tags": tags,
        "seconds": seconds,
        "values": values,
        "p50_seconds": round(quantile(delays, 0.5), 3),
        "p95_seconds": round(quantile(delays, 0.95), 3),
        "p99_seconds": round(quantile(delays, 0.99), 3),
        "max_seconds": round(max(delays, default=float("nan")), 3),
    }


def _listen(host: str, seconds: float) -> tuple[list[float], int]:
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path("live", dataset="line"))
    answer = connection.getresponse()
    delays: list[float] = []
    seen: dict[str, str] = {}
    first = True
    until = time.monotonic() + seconds
    kind = ""
    while time.monotonic() < until:
        line = answer.readline().decode()
        if line.startswith("event: "):
            kind = line[7:].strip()
        elif line.startswith("data: ") and kind == "values":
            read = time.time()
            for value in json.loads(line[6:])["values"]:
                if seen.get(value["point"]) != value["time"]:
                    seen[value["point"]] = value["time"]
                    # The first event shows what was there before anybody looked.
                    if not first:
                        delays.append(read - datetime.fromisoformat(value["time"]).timestamp())
            first = False
    connection.close()
    return delays, len(delays)
