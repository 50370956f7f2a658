"""The same function of one file by threads and by a Spark Connect server (Sail): the answers must be equal.

Needs ``pysail`` and ``pyspark-client`` in the environment; they are no dependencies of Madang.
"""

from __future__ import annotations

import json
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench._lake_jobs import THREADS
from bench._lake_made import table_folder
from bench._plant_signals import TAGS, lots
from madang.library._kernels import Feature
from madang.library._signals._features import PARTS_SCHEMA, FileTask, features_of, put_together, tasks, window_parts
from madang.library._signals._index import FileIndex, Snapshot
from madang.library._signals._slices import as_stored

FEATURES: tuple[Feature, ...] = ("n", "mean", "min", "max", "std", "first", "last")
_SPARK = {pa.int64(): "long", pa.float64(): "double"}


def run_tasks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks of a column of texts: what `mapInArrow` is given."""
    for batch in batches:
        for text in batch.column(0).to_pylist():
            yield from window_parts(FileTask.of(text))


def asked(snapshot: Snapshot) -> list[tuple[range, Any, Any]]:
    """Return for each asset its points and its lots."""
    assets = 1 + max(int(f.points[-1]) - 1 for f in snapshot.files) // TAGS
    table = lots(assets)
    asset = table["asset"].to_numpy()
    edges = [table[n].cast(pa.int64()).to_numpy() for n in ("start", "end")]
    return [(range(a * TAGS + 1, (a + 1) * TAGS + 1), edges[0][asset == a], edges[1][asset == a]) for a in range(assets)]


def by_threads(snapshot: Snapshot) -> list[dict[Feature, Any]]:
    """Return the features of every asset, worked out here."""
    return [features_of(snapshot, dict.fromkeys(p, as_stored), a, b, FEATURES, THREADS) for p, a, b in asked(snapshot)]


def by_spark(spark: Any, snapshot: Snapshot) -> list[dict[Feature, Any]]:  # noqa: ANN401 (a Spark session)
    """Return the same, worked out by the workers of a Spark Connect server."""
    questions = asked(snapshot)
    texts = [(t.text(),) for p, a, b in questions for t, _ in tasks(snapshot, dict.fromkeys(p, as_stored), a, b, FEATURES)]
    schema = ", ".join(f"{f.name} {_SPARK[f.type]}" for f in PARTS_SCHEMA)
    frame = spark.createDataFrame(texts, "task string").repartition(THREADS * 2)
    parts = pa.Table.from_batches(frame.mapInArrow(run_tasks, schema).toArrow().to_batches()).cast(PARTS_SCHEMA)
    point = parts["point"].to_numpy()
    answers = []
    for points, start, _ in questions:
        mine = parts.filter(pa.array((point >= points[0]) & (point <= points[-1])))
        answers.append(put_together(mine, list(points), len(start), FEATURES))
    return answers


def compare_engines(root: Path) -> int:
    """Print both times; fail where an answer differs."""
    try:
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession
    except ImportError:
        print("not run: pip install pysail pyspark-client")
        return 6
    snapshot = FileIndex(table_folder(root)).snapshot()
    server = SparkConnectServer()
    server.start()
    spark = SparkSession.builder.remote(f"sc://localhost:{server.listening_address[1]}").getOrCreate()
    seconds: dict[str, list[float]] = {"threads": [], "sail": []}
    answers: dict[str, list[dict[Feature, Any]]] = {}
    for _ in range(3):
        for name in seconds:
            begun = clock.perf_counter()
            answers[name] = by_threads(snapshot) if name == "threads" else by_spark(spark, snapshot)
            seconds[name].append(clock.perf_counter() - begun)
    equal = all(
        np.array_equal(a[f], b[f], equal_nan=True) or np.allclose(a[f], b[f], rtol=1e-12, equal_nan=True)
        for a, b in zip(answers["threads"], answers["sail"], strict=True)
        for f in FEATURES
    )
    held = int(sum(float(a["n"].sum()) for a in answers["threads"]))
    print(
        json.dumps(
            {"samples_in_lots": held, "seconds": {k: [round(s, 3) for s in v] for k, v in seconds.items()}, "equal": equal}
        )
    )
    spark.stop()
    server.stop()
    return 0 if equal else 5
