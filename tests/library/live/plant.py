"""A spool in memory that survives the crash of whoever reads it, and a reader of the lake that does not use the intake's code."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from madang.connect import BLOCK_SCHEMA, Block, Message, Origin, Reject, Rows, Tag, TagBook
from madang.library import Library
from madang.library._commit import Faults
from madang.library._signals._layout import Footer

BEGIN = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
T0 = int(BEGIN.timestamp()) * 1_000_000

Value = float | str | None
Sample = tuple[str, int, Value, int]
"""Tag, time [us since 1970], value, quality."""


@dataclass(frozen=True)
class Frame:
    sequence: int
    content: Block | list[Message] | Rows | Reject


@dataclass
class MemorySpool:
    """Frames in a list; what is released is gone, everything else survives."""

    id: str = "s1"
    frames: list[Frame] = field(default_factory=list)
    released: int = 0

    def __post_init__(self) -> None:
        self.tags = TagBook(lambda: self.durable)

    @property
    def durable(self) -> int:
        return self.frames[-1].sequence if self.frames else 0

    def append(self, content: Block | list[Message] | Rows | Reject) -> int:
        self.frames.append(Frame(self.durable + 1, content))
        return self.durable

    def read(self, after: int, limit_bytes: int) -> list[Frame]:
        assert after >= self.released
        return [f for f in self.frames if f.sequence > after][: max(1, limit_bytes // 1_000_000)]

    def release(self, upto: int) -> None:
        self.released = max(self.released, upto)

    def put(
        self, samples: Sequence[Sample], *, origin: Origin = "live", received: int = T0, units: dict[str, str] | None = None
    ) -> int:
        """Append samples as one block."""
        tags = [self.tags.number_of(Tag(s[0], unit=(units or {}).get(s[0]))) for s in samples]
        batch = pa.record_batch(
            [
                pa.array(tags, pa.int32()),
                pa.array([s[1] for s in samples], pa.timestamp("us", tz="UTC")),
                pa.array([s[2] if isinstance(s[2], float) else None for s in samples], pa.float64()),
                pa.array([s[2] if isinstance(s[2], str) else None for s in samples], pa.string()),
                pa.array([s[3] for s in samples], pa.uint32()),
            ],
            schema=BLOCK_SCHEMA,
        )
        return self.append(Block(batch, received, origin=origin))


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def go(self, by: timedelta = timedelta(seconds=1)) -> datetime:
        self.now += by
        return self.now


def opened(root: Path, clock: Clock | None = None, faults: Faults | None = None) -> Library:
    return Library.open(root, clock=clock or Clock(), zone="Asia/Seoul", faults=faults)


def names_of(library: Library, dataset: str = "plant") -> dict[int, str]:
    return {p.id: p.point for p in library.points(dataset)}


def bits(value: Value) -> Value | bytes:
    """A number as its bits: NaN equals NaN, and -0.0 is not 0.0."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def exact(samples: Sequence[Sample]) -> Counter[tuple[object, ...]]:
    return Counter((tag, time, bits(value), quality) for tag, time, value, quality in samples)


def lake_samples(folder: Path, names: dict[int, str]) -> list[Sample]:
    """All live samples, file by file in the files' own order, decoded by the files' footers."""
    found: list[Sample] = []
    for uri in DeltaTable(str(folder)).file_uris():
        path = Path(uri.removeprefix("file://"))
        footer = Footer.of(pq.read_metadata(path))
        table = pq.read_table(path)
        version = [v for v, n in zip(footer.version, footer.rows[1:] - footer.rows[:-1], strict=True) for _ in range(n)]
        times = table["time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
        rows = zip(
            table["point"].to_pylist(), times, table.column(2).to_pylist(), table["quality"].to_pylist(), version, strict=True
        )
        for point, time, value, quality, which in rows:
            if footer.kind == "counts" and value is not None:
                scale = footer.versions[which]
                number = value * scale.scale / scale.divisor + scale.offset
                value = struct.unpack("<f", struct.pack("<f", number))[0] if scale.rounding == 32 else number
            found.append((names[point], time, value, quality))
    return found


def signals_folder(root: Path, number: int = 1) -> Path:
    return root / "lake" / "tables" / f"d{number:06d}" / "signals"


def kept(root: Path, library: Library, dataset: str = "plant") -> Counter[tuple[object, ...]]:
    """The multiset of all samples in the lake."""
    return exact(lake_samples(signals_folder(root), names_of(library, dataset)))


def log_actions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for p in sorted((folder / "_delta_log").glob("0*.json")) for line in p.read_text().splitlines()]
