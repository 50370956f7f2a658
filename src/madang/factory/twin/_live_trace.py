"""The twin's own truth on disk: every state of every second, and everything a face handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from madang.factory.twin._live_plant import PlantSecond
from madang.factory.twin._live_points import LivePoint, state_names

TRACE_COLUMNS: Final = ("t", "name", "value", "text")
"""``t`` [s of the plant], ``name`` (path of a point as it was shown, ``state:...`` for a true state, ``sound:<point>`` for what a
sound instrument would have shown, ``write:<point>`` for a write that reached the plant), ``value``, ``text`` (for points that are
texts; ``value`` is null there)."""
SENT_COLUMNS: Final = ("face", "name", "time", "value", "text", "quality", "changed")
"""What a face handed out: ``time`` is the source time that it carried, ``changed`` whether value or quality differ from the last one."""
FLUSH_SECONDS = 600


class Trace:
    """Writes the trace of a run; the file is whole once it is closed.

    Args:
        path: The Parquet file; replaced when it is there.
        points: What the plant shows.
        doubted: Points whose sound reading is written too, because a trouble touches them.
    """

    def __init__(self, path: Path, points: tuple[LivePoint, ...], doubted: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        self.schema = pa.schema([
            ("t", pa.float64()), ("name", pa.dictionary(pa.int32(), pa.string())), ("value", pa.float64()), ("text", pa.string()),
        ])  # fmt: skip
        self._file = pq.ParquetWriter(path, self.schema, compression="zstd")
        place = {p.path: i for i, p in enumerate(points)}
        self._number = [i for i, p in enumerate(points) if p.data_type != "text"]
        self._doubted = [place[name] for name in doubted]
        names = [points[i].path for i in self._number] + list(state_names()) + [f"sound:{name}" for name in doubted]
        self._names = names
        self._paths = [p.path for p in points]
        self._seconds: list[int] = []
        self._values: list[Any] = []
        self._texts: list[tuple[int, str, str]] = []
        self._writes: list[tuple[float, str, float]] = []
        self.rows = 0

    def add(self, second: PlantSecond) -> None:
        """Take one second."""
        self._seconds.append(second.t)
        self._values.append(np.concatenate([second.numbers[self._number], second.states, second.sound[self._doubted]]))
        self._texts += [(second.t, self._paths[i], text) for i, text in second.texts.items()]
        self._writes += [(float(second.t), f"write:{w.point}", w.value) for w in second.writes]
        if len(self._seconds) >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._seconds:
            return
        width = len(self._names)
        texts, writes = self._texts, self._writes
        t = np.concatenate([
            np.repeat(np.array(self._seconds, dtype=np.float64), width), [x[0] for x in texts], [x[0] for x in writes],
        ])  # fmt: skip
        value = np.concatenate([np.concatenate(self._values), np.full(len(texts), np.nan), [x[2] for x in writes]])
        more = [x[1] for x in texts] + [x[1] for x in writes]
        book = {name: i for i, name in enumerate(dict.fromkeys([*self._names, *more]))}
        index = np.concatenate([np.tile(np.arange(width), len(self._seconds)), [book[name] for name in more]]).astype(np.int32)
        text: list[str | None] = [None] * (width * len(self._seconds)) + [x[2] for x in texts] + [None] * len(writes)
        names = pa.DictionaryArray.from_arrays(pa.array(index), pa.array(list(book)))
        order = pa.array(np.argsort(t, kind="stable"))
        table = pa.table(
            [pa.array(t), names, pa.array(value, from_pandas=True), pa.array(text, pa.string())], schema=self.schema
        )
        self._file.write_table(table.take(order))
        self.rows += table.num_rows
        self._seconds.clear()
        self._values.clear()
        texts.clear()
        writes.clear()

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._file.close()


class SentLedger:
    """What every face handed out, sample by sample: what a watcher has to have, or to have a gap for."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        word = pa.dictionary(pa.int32(), pa.string())
        self.schema = pa.schema([
            ("face", word), ("name", word), ("time", pa.timestamp("us", tz="UTC")), ("value", pa.float64()),
            ("text", pa.string()), ("quality", pa.uint32()), ("changed", pa.bool_()),
        ])  # fmt: skip
        self._file = pq.ParquetWriter(path, self.schema, compression="zstd")
        self._rows: list[tuple[str, str, int, float | None, str | None, int, bool]] = []
        self._last: dict[tuple[str, str], tuple[object, int]] = {}
        self.sent = 0
        self.changed = 0

    def add(self, face: str, name: str, time: int, value: float | None, text: str | None, quality: int) -> None:
        """Note one sample; `time` is its source time [us since 1970]."""
        now = (value if text is None else text, quality)
        changed = self._last.get((face, name)) != now
        self._last[(face, name)] = now
        self._rows.append((face, name, time, value, text, quality, changed))
        self.sent += 1
        self.changed += changed
        if len(self._rows) >= 50_000:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        columns = list(zip(*self._rows, strict=True))
        arrays = [
            pa.array(columns[0]).dictionary_encode(), pa.array(columns[1]).dictionary_encode(),
            pa.array(columns[2], pa.int64()).cast(self.schema.field("time").type), pa.array(columns[3], pa.float64()),
            pa.array(columns[4], pa.string()), pa.array(columns[5], pa.uint32()), pa.array(columns[6]),
        ]  # fmt: skip
        self._file.write_table(pa.table(arrays, schema=self.schema))
        self._rows.clear()

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._file.close()


def sent_path(trace: Path) -> Path:
    """Return where the ledger of samples handed out lies beside a trace: ``F.sent.parquet`` for ``F.parquet``."""
    return trace.with_name(f"{trace.stem}.sent{trace.suffix}")
