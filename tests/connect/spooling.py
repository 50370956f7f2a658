"""Small makers for the tests of the spool and what stands on it."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from madang.connect import BLOCK_SCHEMA, Block, Frame, Message, Spool, SpoolLimits

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
START_US = int(START.timestamp() * 1_000_000)
SMALL = SpoolLimits(segment_bytes=4096, keep_bytes=0, floor=0, window=0.0)


class Clock:
    """A clock that goes on by a second with each look."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def no_sync(_: int) -> None:
    """Stand for a flush where the test is not about the disk."""


def block(numbers: Sequence[float | None], *, tag: int = 1, at: int = START_US, received: int | None = None) -> Block:
    """Return samples of one tag, a second apart."""
    count = len(numbers)
    columns = [
        pa.array([tag] * count, pa.int32()),
        pa.array([at + 1_000_000 * i for i in range(count)], pa.timestamp("us", "UTC")),
        pa.array(numbers, pa.float64()),
        pa.nulls(count, pa.string()),
        pa.array([0] * count, pa.uint32()),
    ]
    return Block(pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA), at if received is None else received)


def messages(*payloads: bytes, topic: str = "공장/로/온도", at: int = START_US) -> list[Message]:
    """Return raw messages received one microsecond after another."""
    return [Message(topic, payload, at + i) for i, payload in enumerate(payloads)]


def open_spool(
    folder: Path,
    *,
    limits: SpoolLimits = SMALL,
    sync: Callable[[int], None] = no_sync,
    free: Callable[[Path], int] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Spool:
    """Open a spool with small files and without waiting for a disk."""
    if free is None:
        return Spool.open(folder, clock=clock or Clock(), limits=limits, sync=sync)
    return Spool.open(folder, clock=clock or Clock(), limits=limits, sync=sync, free=free)


def everything(spool: Spool, after: int = 0, limit: int = 5000) -> list[Frame]:
    """Return all durable frames above a sequence, read in small steps as the lake would."""
    found: list[Frame] = []
    while frames := spool.read(found[-1].sequence if found else after, limit):
        found += frames
    return found


def segments(folder: Path) -> list[Path]:
    """Return the files of frames, oldest first."""
    return sorted(folder.glob("*.frames"), key=lambda p: [int(n) for n in p.stem.split("-")])


class Disk:
    """Remembers how much of each file was flushed, and can stop a flush midway: what a power loss may leave is known.

    It tells files by their inode, so it serves one folder on one file system.

    Args:
        folder: What stands in it is on the disk already.
    """

    def __init__(self, folder: Path | None = None) -> None:
        there = [p.stat() for p in folder.iterdir()] if folder is not None else []
        self.flushed = {state.st_ino: state.st_size for state in there}
        self.failures = 0
        """How many flushes fail from now on."""
        self.may_flush = threading.Event()
        self.may_flush.set()
        self.flushing = threading.Event()

    def __call__(self, handle: int) -> None:
        if not self.may_flush.is_set():
            self.flushing.set()
            self.may_flush.wait()
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        state = os.fstat(handle)
        self.flushed[state.st_ino] = state.st_size

    def stop(self, spool: Spool) -> int:
        """Append something that will wait in its flush for ever; returns its sequence once the writer stands still."""
        self.may_flush.clear()
        sequence = spool.append_block(block([0.5]))
        assert self.flushing.wait(10)
        return sequence

    def after_power_loss(self, folder: Path, to: Path, chance: random.Random) -> None:
        """Copy a folder whose writer stands still as a power loss could leave it: of what was not flushed, any part of its beginning."""
        to.mkdir()
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            if path.suffix == ".frames" or path.name == "tags.jsonl":
                sure = min(self.flushed.get(path.stat().st_ino, 0), len(data))
                data = data[: chance.randint(sure, len(data))]
            (to / path.name).write_bytes(data)
