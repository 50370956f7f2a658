"""What a connection gets, made durable: the spool beside a bare loop of write and fdatasync in the same run.

    ./run bench spool --seconds 5

Rows (all durable before they are acknowledged, one producing thread, payloads made before the clock starts):

- ``messages``: JSON of one value each (about 70 bytes), handed over in process 256 at a time as an MQTT loop drains its socket; at most
  8,000 wait for their acknowledgement. Goal: >= 0.8 M messages/s, p99 of the acknowledgement < 15 ms.
- ``messages_alone``: the same, one message a call.
- ``arrow``: blocks of 10,000 samples. Goal: >= 10 M points/s.
- ``collector``: ``messages`` through a `Collector`, with the window that recognises what is sent again.
- ``read``: the reader's rate over what ``messages`` left.

The bare loop writes the same bytes with one fdatasync after each group of 8,000 messages, or each block: `ratio` is spool / bare loop.
`cpu_us` is processor time for one message or point, all threads together [us]: on a machine that others use it says more than the rate. Prints
one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from madang.connect import BLOCK_SCHEMA, Block, Collector, ConnectionSettings, Message, Spool, SpoolLimits
from madang.connect.replay import make

IN_FLIGHT = 8_000
BATCH = 256
ROWS = 10_000
SEED = 11


def payloads(count: int = 100_000) -> list[bytes]:
    """Return JSON of one value each."""
    rng = np.random.default_rng(SEED)
    values = np.round(rng.normal(720, 3, count), 2)
    return [
        b'{"ts": %d, "asset": "A%03d", "tag": "T%03d", "value": %.2f, "q": 192}'
        % (1_760_000_000_000 + i, i % 40, i % 100, values[i])
        for i in range(count)
    ]


def block() -> Block:
    """Return 10,000 samples of 4,000 tags."""
    rng = np.random.default_rng(SEED)
    index = np.arange(ROWS)
    columns = [
        pa.array((index % 4000).astype(np.int32)),
        pa.array(1_760_000_000_000_000 + index * 25).cast(BLOCK_SCHEMA.field("time").type),
        pa.array(rng.integers(1800, 2200, ROWS) * 0.0625),
        pa.nulls(ROWS, pa.string()),
        pa.array(np.zeros(ROWS, np.uint32)),
    ]
    return Block(pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA), 1_760_000_000_000_000)


def bare(folder: Path, data: bytes, units: int, seconds: float) -> tuple[float, float]:
    """Write the same bytes again and again with fdatasync; returns units a second and the p99 of one round [ms]."""
    handle = os.open(folder / "bare", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    rounds = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        os.write(handle, data)
        os.fdatasync(handle)
        rounds.append(time.perf_counter() - start)
        if len(rounds) % 500 == 0:
            os.ftruncate(handle, 0)
    took = time.perf_counter() - begun
    os.close(handle)
    (folder / "bare").unlink()
    return units * len(rounds) / took, 1000 * float(np.quantile(rounds, 0.99))


def pump(put: Callable[[Callable[[], None]], None], units: int, in_flight: int, seconds: float) -> dict[str, float]:
    """Put again and again with so many calls unacknowledged; returns the rate and the times of acknowledgement [ms]."""
    free = threading.Semaphore(in_flight)
    took: list[float] = []
    count = 0
    cpu = time.process_time()
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        free.acquire()
        start = time.perf_counter()

        def told(start: float = start) -> None:
            took.append(time.perf_counter() - start)
            free.release()

        put(told)
        count += 1
    for _ in range(in_flight):
        free.acquire()
    whole = time.perf_counter() - begun
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1000
    return {
        "per_second": units * count / whole,
        "cpu_us": round((time.process_time() - cpu) / units / count * 1e6, 4),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(max(took) * 1000, 1),
    }


def batches(size: int) -> Callable[[], list[Message]]:
    """Return a maker of messages, so many at a time."""
    ready = payloads()
    place = 0

    def take() -> list[Message]:
        nonlocal place
        place = (place + size) % (len(ready) - size)
        now = time.time_ns() // 1000
        return [Message("line/a/values", payload, now) for payload in ready[place : place + size]]

    return take


def ignored(_: int) -> None:
    """Take a sequence that nobody needs."""


def opened(folder: Path) -> Spool:
    """Open a spool on the real disk."""
    return Spool.open(folder, clock=lambda: datetime.now(UTC), limits=SpoolLimits(floor=0))


def measure(root: Path, seconds: float) -> dict[str, object]:
    """Return all rows."""
    rows: dict[str, object] = {}
    group = b"".join(payloads(IN_FLIGHT))
    plain, plain_p99 = bare(root, group, IN_FLIGHT, seconds)
    take, one = batches(BATCH), batches(1)
    with opened(root / "messages") as spool:
        got = pump(lambda told: ignored(spool.append_messages(take(), told)), BATCH, IN_FLIGHT // BATCH, seconds)
        rows["messages"] = got | {
            "bare_per_second": plain,
            "bare_p99_ms": round(plain_p99, 2),
            "ratio": round(got["per_second"] / plain, 3),
        }
        after = read = 0
        begun = time.perf_counter()
        while frames := spool.read(after, 8 << 20):
            after = frames[-1].sequence
            read += sum(f.samples for f in frames)
        rows["read"] = {"per_second": read / (time.perf_counter() - begun)}
        spool.release(after)
    with opened(root / "alone") as spool:
        rows["messages_alone"] = pump(lambda told: ignored(spool.append_messages(one(), told)), 1, IN_FLIGHT, seconds)
    with opened(root / "collector") as spool:
        source = make(ConnectionSettings("bench", "replay", "none.parquet"))
        sink = Collector(source, spool, spool.ledger, lambda: datetime.now(UTC))
        rows["collector"] = pump(lambda told: sink.put_messages(take(), told), BATCH, IN_FLIGHT // BATCH, seconds)
    data = block()
    plain, plain_p99 = bare(root, data.batch.serialize().to_pybytes(), ROWS, seconds)
    with opened(root / "arrow") as spool:
        got = pump(lambda told: ignored(spool.append_block(data, told)), ROWS, 16, seconds)
        rows["arrow"] = got | {
            "bare_per_second": plain,
            "bare_p99_ms": round(plain_p99, 2),
            "ratio": round(got["per_second"] / plain, 3),
        }
    return rows


def main(arguments: list[str]) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="bench spool", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each row runs [s]")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; by default a temporary folder")
    options = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        rows = measure(root, options.seconds)
    finally:
        shutil.rmtree(root)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = {
        k: {n: round(x) if n.endswith("per_second") else x for n, x in v.items()}
        for k, v in rows.items()
        if isinstance(v, dict)
    }
    print(json.dumps({"bench": "spool", "seed": SEED, **whole, "peak_mb": round(memory)}))
    messages, arrow = whole["messages"], whole["arrow"]
    return 0 if messages["per_second"] >= 800_000 and messages["p99_ms"] < 15 and arrow["per_second"] >= 10_000_000 else 1
