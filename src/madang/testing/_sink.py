"""A sink in memory that remembers everything, and acknowledges when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from madang.connect import (
    Block,
    ConnectionState,
    Decoder,
    Gap,
    GapCause,
    Ledger,
    Message,
    Reject,
    Rows,
    Tag,
    TagBook,
)
from madang.plant import Bilingual

Done = Callable[[], None]
Value = tuple[str, float | str | None, int]
"""Name of the tag, its value, and the quality."""


class RecordingSink:
    """Takes what a source hands over, in order. Any thread may put and look.

    Args:
        hold: Whether acknowledgements wait for `acknowledge`; else everything counts as durable at once.
        cursors: Positions that an earlier sink kept.
    """

    def __init__(self, *, hold: bool = False, cursors: dict[str, str] | None = None) -> None:
        self.hold = hold
        self.cursors = dict(cursors or {})
        self.tags = TagBook()
        self.items: list[Block | Message | Rows | Reject] = []
        """Everything in the order in which it came, messages one by one."""
        self.states: list[tuple[ConnectionState, Bilingual | None]] = []
        self.ended = False
        """Whether the source that fills it has ended: then waiting is in vain."""
        self._changed = threading.Condition()
        self._waiting: list[Done] = []
        self._ledger = Ledger(None, "recording")

    @property
    def blocks(self) -> list[Block]:
        """Blocks alone."""
        return [i for i in self._copy() if isinstance(i, Block)]

    @property
    def messages(self) -> list[Message]:
        """Raw messages alone."""
        return [i for i in self._copy() if isinstance(i, Message)]

    @property
    def rows(self) -> list[Rows]:
        """Records of tables alone."""
        return [i for i in self._copy() if isinstance(i, Rows)]

    @property
    def rejects(self) -> list[Reject]:
        """What was not understood."""
        return [i for i in self._copy() if isinstance(i, Reject)]

    @property
    def gaps(self) -> list[Gap]:
        """Intervals that were noted as not got."""
        return self._ledger.gaps()

    def values(self, decoder: Decoder | None = None) -> list[Value]:
        """Return every sample in its order; raw messages are decoded."""
        found: list[Value] = []
        for item in self._copy():
            if isinstance(item, Block):
                found += self.values_of(item)
            elif isinstance(item, Message) and decoder is not None:
                for block in decoder.decode([item], self.number_of).blocks:
                    found += self.values_of(block)
        return found

    def values_of(self, block: Block) -> list[Value]:
        """Return the samples of a block with the names of their tags."""
        columns = (block.batch.column(name).to_pylist() for name in ("tag", "number", "text", "quality"))
        return [(self.tags.tag(t).name, n if x is None else x, q) for t, n, x, q in zip(*columns, strict=True)]

    def wait_for(self, what: Callable[[], bool], patience: float) -> bool:
        """Wait until something holds, at most `patience` seconds, looking again whenever something comes; returns whether it does."""
        with self._changed:
            for _ in range(max(1, int(patience / 0.05))):
                if what():
                    return True
                if self.ended:
                    return False
                self._changed.wait(0.05)
            return what()

    def acknowledge(self) -> int:
        """Call back everything that waits; returns how many callbacks that were."""
        with self._changed:
            waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()
        return len(waiting)

    def number_of(self, tag: Tag) -> int:
        """Return the tag's number."""
        return self.tags.number_of(tag)

    def put_block(self, block: Block, done: Done | None = None) -> None:
        """Take samples."""
        self._put([block], done)

    def put_messages(self, messages: Sequence[Message], done: Done | None = None) -> None:
        """Take raw messages."""
        self._put(messages, done)

    def put_rows(self, rows: Rows, done: Done | None = None) -> None:
        """Take records."""
        self._put([rows], done)

    def put_reject(self, reject: Reject) -> None:
        """Take what could not be understood."""
        self._put([reject], None)

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        """Note a gap."""
        with self._changed:
            self._changed.notify_all()
            return self._ledger.open(cause, since, tags=tags, note=note)

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        """Note its end."""
        with self._changed:
            self._ledger.close(gap, until, samples=samples)
            self._changed.notify_all()

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        """Note what came later."""
        with self._changed:
            self._ledger.fill(gap, filled, whole=whole)
            self._changed.notify_all()

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        """Note how the connection is."""
        with self._changed:
            self.states.append((state, text))
            self._changed.notify_all()

    def cursor(self, name: str) -> str | None:
        """Return a saved position."""
        return self.cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Done | None = None) -> None:
        """Save a position."""
        self.cursors[name] = value
        self._put([], done)

    def _put(self, items: Sequence[Block | Message | Rows | Reject], done: Done | None) -> None:
        with self._changed:
            self.items.extend(items)
            if done is not None and self.hold:
                self._waiting.append(done)
            self._changed.notify_all()
        if done is not None and not self.hold:
            done()

    def _copy(self) -> list[Block | Message | Rows | Reject]:
        with self._changed:
            return list(self.items)
