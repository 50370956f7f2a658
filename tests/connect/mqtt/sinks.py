"""A sink in memory that says when it stored, and what it was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from madang.connect import Block, ConnectionState, GapCause, Message, Reject, Rows, Source, Tag
from madang.plant import Bilingual


@dataclass
class Noted:
    """One gap as it was told."""

    cause: GapCause
    since: datetime
    until: datetime | None = None
    tags: tuple[str, ...] | None = None
    samples: int | None = None
    note: str = ""
    filled: int | None = None
    whole: bool | None = None


class MemorySink:
    """Keeps everything. With `hold`, nothing is durable until `release` is called."""

    def __init__(self, *, hold: bool = False) -> None:
        self.messages: list[Message] = []
        self.blocks: list[Block] = []
        self.rejects: list[Reject] = []
        self.gaps: dict[str, Noted] = {}
        self.states: list[ConnectionState] = []
        self.texts: list[Bilingual] = []
        self.cursors: dict[str, str] = {}
        self.tags: dict[str, Tag] = {}
        self._numbers: dict[str, int] = {}
        self.hold = hold
        self._held: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def number_of(self, tag: Tag) -> int:
        with self._lock:
            self.tags[tag.name] = tag
            return self._numbers.setdefault(tag.name, len(self._numbers) + 1)

    def names(self) -> dict[int, str]:
        return {number: name for name, number in self._numbers.items()}

    def _done(self, done: Callable[[], None] | None) -> None:
        if done is None:
            return
        with self._lock:
            if self.hold:
                self._held.append(done)
                return
        done()

    def release(self) -> None:
        """What waits becomes durable, and so does all that follows."""
        with self._lock:
            self.hold = False
            held, self._held = self._held, []
        for done in held:
            done()

    def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
        self.blocks.append(block)
        self._done(done)

    def put_messages(self, messages: Sequence[Message], done: Callable[[], None] | None = None) -> None:
        self.messages.extend(messages)
        self._done(done)

    def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
        raise AssertionError("no rows here")

    def put_reject(self, reject: Reject) -> None:
        self.rejects.append(reject)

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        name = f"g-{len(self.gaps) + 1}"
        self.gaps[name] = Noted(cause, since, tags=None if tags is None else tuple(tags), note=note)
        return name

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        self.gaps[gap] = replace(self.gaps[gap], until=until, samples=samples)

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        self.gaps[gap] = replace(self.gaps[gap], filled=filled, whole=whole)

    def causes(self) -> list[GapCause]:
        return [gap.cause for gap in self.gaps.values()]

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        self.states.append(state)
        if text is not None:
            self.texts.append(text)

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Callable[[], None] | None = None) -> None:
        self.cursors[name] = value
        self._done(done)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come about")
        time.sleep(0.005)


@contextmanager
def running(source: Source, sink: MemorySink) -> Iterator[threading.Thread]:
    """Run a subscription in a thread, from its connection to its end."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            source.subscribe(sink, stop)
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=run, name="subscription")
    thread.start()
    try:
        until(lambda: "connected" in sink.states or not thread.is_alive())
        if faults:
            raise faults[0]
        yield thread
    finally:
        stop.set()
        thread.join(timeout=20)
    if faults:
        raise faults[0]
    assert not thread.is_alive()
