"""The bounded way from the network's thread to the sink's.

The sink may block when the spool is full. The network's thread must not: a server hears nothing from a stalled one and ends the session.
So samples wait here, up to a bound; beyond it they are dropped, counted, and recorded as a gap.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Origin, Tag
from madang.connect._source import Sink
from madang.connect.opcua._columns import Columns
from madang.connect.opcua._items import Items

MOST_SAMPLES: Final = 500_000
"""What waits for the sink at most; about 30 MB."""
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """Return an instant from microseconds since 1970."""
    return _1970 + timedelta(microseconds=microseconds)


class Outlet:
    """Carries blocks and notes in order from one thread to another; only blocks are ever dropped."""

    def __init__(self, sink: Sink, items: Items, *, most: int = MOST_SAMPLES) -> None:
        self._sink = sink
        self._items = items
        self._most = most
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._samples = 0
        self._something = threading.Condition()
        self._dropped: tuple[int, int] | None = None
        """Since when samples are dropped [us], and how many were."""
        self._newest = 0
        self._numbers: dict[int, int] = {}
        self.delivered = 0
        self.dropped = 0

    def put_columns(self, columns: Columns, origin: Origin = "live") -> bool:
        """Hand over samples; returns whether there was room."""
        tags = self._changed()
        with self._something:
            for handle, tag in tags:
                self._waiting.append((0, lambda handle=handle, tag=tag: self._number(handle, tag)))  # type: ignore[misc]
            if self._samples + len(columns) > self._most:
                since, count = self._dropped or (self._newest or columns.received, 0)
                self._dropped = (since, count + len(columns))
                self.dropped += len(columns)
                self._something.notify()
                return False
            if self._dropped is not None:
                since, count = self._dropped
                self._dropped = None
                self._waiting.append((0, lambda: self._overrun(since, columns.received, count)))
            self._newest = columns.received
            self._samples += len(columns)
            self._waiting.append((len(columns), lambda: self._block(columns, origin)))
            self._something.notify()
        return True

    def room(self, samples: int) -> bool:
        """Whether so many samples can be put and half of the room is left for live ones."""
        return self._samples + samples <= self._most // 2

    def note(self, act: Callable[[Sink], None]) -> None:
        """Have the sink told something, in order with the samples."""
        with self._something:
            self._waiting.append((0, lambda: act(self._sink)))
            self._something.notify()

    def tell_tags(self) -> None:
        """Have the sink told of tags that are new or changed."""
        with self._something:
            for handle, tag in self._changed():
                self._waiting.append((0, lambda handle=handle, tag=tag: self._number(handle, tag)))  # type: ignore[misc]
            self._something.notify()

    def deliver(self, timeout: float) -> bool:
        """Give the sink what waits, in the sink's own thread; returns whether there was something.

        Args:
            timeout: How long to wait for something [s].
        """
        with self._something:
            if not self._waiting:
                self._something.wait(timeout)
            if not self._waiting:
                return False
            samples, act = self._waiting.popleft()
        try:
            act()
        finally:
            with self._something:
                self._samples -= samples
        return True

    def drain(self) -> None:
        """Give the sink everything that waits."""
        while self.deliver(0.0):
            pass
        with self._something:
            dropped, self._dropped = self._dropped, None
        if dropped is not None:
            self._overrun(dropped[0], self._newest, dropped[1])

    @property
    def waiting(self) -> int:
        """How many samples wait."""
        return self._samples

    def _changed(self) -> Sequence[tuple[int, Tag]]:
        changed = {item.handle: item.tag for item in self._items.dirty}
        self._items.dirty.clear()
        return list(changed.items())

    def _number(self, handle: int, tag: Tag) -> None:
        self._numbers[handle] = self._sink.number_of(tag)

    def _block(self, columns: Columns, origin: Origin) -> None:
        self._sink.put_block(make_block(columns, self._numbers, origin))
        self.delivered += len(columns)

    def _overrun(self, since: int, until: int, count: int) -> None:
        gap = self._sink.gap_opened("spool_dropped", instant(since), note="the spool did not take values fast enough")
        self._sink.gap_closed(gap, instant(until), samples=count)


def make_block(columns: Columns, numbers: dict[int, int], origin: Origin = "live") -> Block:
    """Return columns as a block, under the tags' lasting numbers."""
    table = np.zeros(max(numbers, default=0) + 1, dtype=np.int32)
    table[list(numbers)] = list(numbers.values())
    count = len(columns)
    if columns.text:
        texts: list[str | None] = [None] * count
        for row, text in columns.text:
            texts[row] = text
        text = pa.array(texts, pa.string())
    else:
        text = pa.nulls(count, pa.string())
    batch = pa.record_batch(
        [
            pa.array(table[columns.handles], pa.int32()),
            pa.array(columns.time).cast(pa.timestamp("us", tz="UTC")),
            pa.array(columns.number, pa.float64(), mask=~columns.has_number),
            text,
            pa.array(columns.quality, pa.uint32()),
        ],
        schema=BLOCK_SCHEMA,
    )
    return Block(batch, columns.received, columns.server_time, origin)
