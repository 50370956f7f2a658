"""Raw points as Arrow batches over HTTP push, with queries at the same time: loss, memory, and what the queries pay.

    ./run bench push --minutes 10
    ./run bench push --minutes 2 --rate 720000 --tags 7200

Points have 16 bytes (tag number 4, time 8, value 4): 720,000 a second are 11.6 MB/s, 30 TB in a month. The sender is paced, and says when it fell
behind. Queries (a trend of four points over the last minute in 1,000 buckets, the newest values of 20 points, 1 minute of one point) run once a
second: before anything is sent (with the first minute in the lake), during, and after. All answers of 200 are counted and
held against what the lake holds at the end. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench._served import Client, Served, path, quantile

ARROW = "application/vnd.apache.arrow.stream"


class Sender:
    """Makes and sends batches at a steady rate; each has an idempotency key."""

    def __init__(self, client: Client, rate: int, tags: int, seed: int) -> None:
        self.client = client
        self.rate = rate
        self.per_tag = max(1, rate // tags // 10)
        """Samples of a tag in one batch; ten batches a second."""
        self.tags = tags
        random = np.random.default_rng(seed)
        steps = random.integers(-2, 3, (tags, self.per_tag)).cumsum(axis=1)
        self.values = np.round(700 + steps * 0.1, 1).astype(np.float32).ravel()
        self.names = pa.array([f"line1/zone{i // 100}/sensor{i % 100}" for i in range(tags)])
        self.codes = pa.array(np.repeat(np.arange(tags, dtype=np.int32), self.per_tag))
        self.offsets = np.tile((np.arange(self.per_tag) * (100_000 // self.per_tag)).astype(np.int64), tags)
        self.sent = self.answered = self.batches = 0
        self.behind = 0.0
        self.seconds: list[float] = []

    @property
    def batch_points(self) -> int:
        return self.tags * self.per_tag

    def one(self, start_us: int) -> None:
        time_ = pa.array(self.offsets + start_us).cast(pa.timestamp("us", tz="UTC"))
        batch = pa.record_batch(
            [pa.DictionaryArray.from_arrays(self.codes, self.names), time_, pa.array(self.values)],
            names=["tag", "time", "value"],
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        began = time.perf_counter()
        self.sent += batch.num_rows
        status, payload = self.client.ask(
            "POST", path("push", "raw"), sink.getvalue().to_pybytes(), content_type=ARROW, idempotency_key=f"batch-{start_us}"
        )
        if status != 200:
            raise RuntimeError(f"push: {status} {payload[:300]!r}")
        self.seconds.append(time.perf_counter() - began)
        self.answered += int(json.loads(payload)["accepted"])
        self.batches += 1

    def run(self, seconds: float) -> float:
        """Send for so long; returns the seconds it took."""
        began = time.monotonic()
        instant = int((datetime.now(UTC) - timedelta(seconds=1)).timestamp() * 1e6)
        step = self.batch_points / self.rate
        count = int(seconds / step)
        for number in range(count):
            due = began + number * step
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            else:
                self.behind = max(self.behind, -wait)
            self.one(instant + round(number * step * 1e6))
        return time.monotonic() - began


class Asker:
    """Asks the same three questions once a second and keeps how long each took [ms]."""

    def __init__(self, client: Client, points: list[str]) -> None:
        self.client = client
        self.points = points
        self.times: dict[str, list[float]] = {"trend": [], "last": [], "range": []}

    def ask(self) -> None:
        now = datetime.now(UTC)
        span = {"from": (now - timedelta(seconds=60)).isoformat(), "to": now.isoformat()}
        questions = {
            "trend": path("signals", "raw", "trend", point=self.points[:4], buckets=1000, **span),
            "last": path("signals", "raw", "last", point=self.points[:20]),
            "range": path("signals", "raw", "range", point=self.points[0], limit=10_000, **span),
        }
        for name, address in questions.items():
            began = time.perf_counter()
            status, payload = self.client.ask("GET", address)
            if status != 200:
                raise RuntimeError(f"{name}: {status} {payload[:300]!r}")
            self.times[name].append((time.perf_counter() - began) * 1000)

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(1.0):
            self.ask()

    def p95(self) -> dict[str, float]:
        return {name: round(quantile(values, 0.95), 1) for name, values in self.times.items()}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench push")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=int, default=720_000, help="points a second")
    parser.add_argument("--tags", type=int, default=7200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of queries alone")
    parser.add_argument("--keep", type=Path, default=None)
    given = parser.parse_args(arguments)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="bench-push-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = measure(folder, given)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))
    return 0 if result["lost"] == 0 and result["doubled"] == 0 else 1


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    with Served(folder) as server:
        client = server.client()
        client.document("POST", path("connections"), {"name": "raw", "kind": "http", "wanted": "running"})
        until = time.monotonic() + 30
        while client.document("GET", path("connections", "raw"))["state"] != "connected" and time.monotonic() < until:
            time.sleep(0.1)
        sender = Sender(server.client(), given.rate, given.tags, given.seed)
        sender.run(5.0)
        _settle(client, sender.answered)
        points = [p["point"] for p in client.document("GET", path("signals", "raw", "points"))["points"]]
        idle = Asker(server.client(), points)
        _for(idle, given.idle)
        busy, stop = Asker(server.client(), points), threading.Event()
        thread = threading.Thread(target=busy.run, args=(stop,), daemon=True)
        memory: list[float] = []
        watcher = threading.Thread(target=_watch, args=(server, memory, stop), daemon=True)
        thread.start()
        watcher.start()
        before = sender.answered
        took = sender.run(given.minutes * 60)
        sent = sender.answered - before
        stop.set()
        thread.join()
        watcher.join()
        drained = _settle(client, sender.answered)
        after = Asker(server.client(), points)
        _for(after, given.idle)
        state = client.document("GET", path("connections", "raw"))
        held = sum(p["samples"] for p in client.document("GET", path("signals", "raw", "points"))["points"])
        size = sum(f.stat().st_size for f in (server.root / "lake").rglob("*") if f.is_file())
    third = max(1, len(memory) // 3)
    return {
        "bench": "push",
        "minutes": round(took / 60, 2),
        "points": sender.answered,
        "points_per_second": round(sent / took),
        "mb_per_second": round(sent * 16 / took / 1e6, 2),
        "behind_seconds": round(sender.behind, 2),
        "answer_ms": {
            "p50": round(quantile(sender.seconds, 0.5) * 1000, 1),
            "p99": round(quantile(sender.seconds, 0.99) * 1000, 1),
        },
        "committed": state["committed"],
        "in_the_lake": held,
        "lost": max(0, sender.answered - held),
        "doubled": max(0, held - sender.answered),
        "committed_after_seconds": round(drained, 1),
        "memory_mb": {
            "first_third": round(max(memory[:third])),
            "last_third": round(max(memory[-third:])),
            "peak": round(max(memory)),
        },
        "query_p95_ms": {"idle": idle.p95(), "busy": busy.p95(), "idle_after": after.p95()},
        "query_ratio": {name: round(busy.p95()[name] / max(idle.p95()[name], after.p95()[name]), 2) for name in busy.times},
        "lake_mb": round(size / 1e6, 1),
        "bytes_per_point": round(size / max(1, held), 3),
    }


def _for(asker: Asker, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        asker.ask()
        time.sleep(0.5)


def _watch(server: Served, memory: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.5):
        memory.append(server.memory())


def _settle(client: Client, count: int) -> float:
    """Wait until so many are committed; returns the seconds."""
    began = time.monotonic()
    while time.monotonic() - began < 300:
        if client.document("GET", path("connections", "raw"))["committed"] >= count:
            break
        time.sleep(0.2)
    return time.monotonic() - began
