"""What could not be understood waits here, in the lake, until a person has mended the rule; nothing of it is dropped."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from madang.connect import Reject
from madang.library._lake import sync_file

QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("connection", pa.string()),
        pa.field("sequence", pa.int64()),
        pa.field("topic", pa.string()),
        pa.field("payload", pa.binary()),
        pa.field("code", pa.string()),
        pa.field("reason_ko", pa.string()),
        pa.field("reason_en", pa.string()),
        pa.field("received", pa.timestamp("us", tz="UTC")),
    ]
)
"""``sequence``: frame of the connection's spool."""


@dataclass(frozen=True)
class Rejected:
    """A reject and where it came from."""

    connection: str
    sequence: int
    reject: Reject


@dataclass(frozen=True)
class QuarantineFile:
    """One written file."""

    path: str
    size: int
    rows: int

    def stats(self) -> str:
        """Statistics of an ``add`` action."""
        return json.dumps({"numRecords": self.rows})


def write_rejects(folder: Path, rejects: Sequence[Rejected]) -> QuarantineFile:
    """Write and flush rejects."""
    table = pa.table(
        {
            "connection": [r.connection for r in rejects],
            "sequence": [r.sequence for r in rejects],
            "topic": [r.reject.topic for r in rejects],
            "payload": [r.reject.payload for r in rejects],
            "code": [r.reject.code for r in rejects],
            "reason_ko": [r.reject.reason.ko for r in rejects],
            "reason_en": [r.reject.reason.en for r in rejects],
            "received": pa.array([r.reject.received for r in rejects], pa.timestamp("us", tz="UTC")),
        },
        schema=QUARANTINE_SCHEMA,
    )
    return write_table(folder, table)


def write_table(folder: Path, table: pa.Table) -> QuarantineFile:
    """Write and flush rejects that are a table already."""
    name = f"q-{uuid.uuid4()}.parquet"
    pq.write_table(table, folder / name, compression="zstd", store_schema=False)
    sync_file(folder / name)
    return QuarantineFile(name, (folder / name).stat().st_size, len(table))
