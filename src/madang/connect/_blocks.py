"""What travels from a source to the lake: tags, blocks of samples, raw messages, rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
import pyarrow as pa

from madang.plant import Bilingual

DataType = Literal["number", "integer", "boolean", "text"]
Origin = Literal["live", "backfill"]

BLOCK_SCHEMA: Final = pa.schema(
    [
        pa.field("tag", pa.int32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("number", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("quality", pa.uint32(), nullable=False),
    ]
)
"""Columns of a block of samples.

``tag`` is the tag's number in the connection's `TagBook`. ``time`` is the source's own time of the value. ``number`` holds numbers,
integers that float64 holds exactly, and booleans (0, 1); ``text`` holds texts, and numbers that float64 cannot hold exactly, in
decimal. Both null: the source gave no value, and ``quality`` (OPC UA status code) says why.
"""


@dataclass(frozen=True)
class Tag:
    """One variable of a source, under the source's own name."""

    name: str
    """Unique in its connection and stable over restarts of the peer, such as a node id, a topic path or a register."""
    label: Bilingual | None = None
    """Display name, where the source has one."""
    data_type: DataType = "number"
    unit: str | None = None
    """As the source spells it."""
    low: float | None = None
    """Engineering range [unit], where the source says it."""
    high: float | None = None
    writable: bool = False
    description: str = ""
    parent: str = ""
    """Path of the folder, object or device in which it was found, for a tree."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else the source says about it (address, namespace, semantic id)."""


@dataclass(frozen=True)
class Block:
    """A run of samples of one connection, in the order in which they came.

    Several samples of one tag at one time are all kept: time alone is never an identity.
    """

    batch: pa.RecordBatch
    """Columns of `BLOCK_SCHEMA`."""
    received: int
    """When the block was received [us since 1970, UTC]; never taken for the time of a value."""
    server_time: int | None = None
    """The newest server time in the block [us since 1970], where the protocol has one."""
    origin: Origin = "live"
    """``backfill``: fetched later to fill a gap; samples that are already kept are not kept twice."""

    def __len__(self) -> int:
        return int(self.batch.num_rows)


class Message(msgspec.Struct, frozen=True, gc=False):
    """One raw message, kept as it came so that it can be decoded again when a rule was wrong.

    A struct and no dataclass: there are many, and a frozen dataclass takes fifteen times as long to make.
    """

    topic: str
    payload: bytes
    received: int
    """[us since 1970, UTC]"""
    again: bool = False
    """Whether the peer marked it as sent before (MQTT DUP)."""
    retained: bool = False
    """Whether the broker sent what it had kept (MQTT RETAIN): the value is older than `received`, by how much nobody knows."""
    packet: int = 0
    """Packet identifier under which the peer waits for the acknowledgement (MQTT), 0 = it waits for none."""


@dataclass(frozen=True)
class Rows:
    """Changed records of one table of a source."""

    table: str
    """Name in the source, such as ``mes.lots``."""
    key: tuple[str, ...]
    """Columns that identify a record; empty: the whole record does."""
    batch: pa.RecordBatch
    """The source's own columns and types; NUMERIC stays decimal."""
    received: int
    change: Literal["upsert", "delete", "snapshot"] = "upsert"
    """``delete``: only the key columns count. ``snapshot``: the keys present now; kept records with other keys were deleted."""


@dataclass(frozen=True)
class Reject:
    """A message or value that could not be taken, kept for a person."""

    topic: str
    payload: bytes
    reason: Bilingual
    code: str
    """Stable word: malformed, wrong_type, too_large, no_value, unknown_alias, time_out_of_range, ..."""
    received: int


@dataclass(frozen=True)
class Decoded:
    """What raw messages turned out to hold."""

    blocks: Sequence[Block] = ()
    rejects: Sequence[Reject] = ()
