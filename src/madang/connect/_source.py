"""What every source and every actuator can be asked, whatever its protocol.

A source runs in one thread of its connection; it may block there. It hands everything to a `Sink`, which makes it durable before
the source tells its peer that it has it. Differences between sources are declared in the description, never asked by name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from madang.connect._blocks import Block, Decoded, Message, Reject, Rows, Tag
from madang.connect._gaps import GapCause
from madang.plant import Bilingual, Interval

Capability = Literal[
    "browse",
    "read",
    "subscribe",
    "backfill",
    "acknowledge",
    "source_time",
    "server_time",
    "quality",
    "units",
    "rows",
    "messages",
    "write",
]
TestName = Literal["name", "tcp", "trust", "login", "browse", "value"]


@dataclass(frozen=True)
class SourceDescription:
    """What a kind of source can do."""

    kind: str
    """Word of ``madang connect add --kind``."""
    title: Bilingual
    capabilities: frozenset[Capability]
    options: Mapping[str, Bilingual] = field(default_factory=dict)
    """Names of the options that ``--set`` takes, each with its meaning and default."""
    secrets: frozenset[str] = frozenset()
    """Options that are secrets: never written in plain text, never logged."""
    extra: str | None = None
    """Optional dependency that has to be installed, such as ``opcua``."""
    schemes: tuple[str, ...] = ()
    """What its addresses may begin with, such as ``opc.tcp``; empty: anything, or no address at all."""
    url_example: str = ""
    """An address as people write it, shown where a wrong one is refused."""


@dataclass(frozen=True)
class ConnectionSettings:
    """How to reach one peer. `options` and `secrets` are handed in resolved; `str()` of it shows no secret."""

    name: str
    kind: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    tags: tuple[str, ...] = ()
    """Tags to subscribe; empty = all that browsing finds."""
    zone: str = "Asia/Seoul"
    """Zone of the source's times that do not say theirs."""


@dataclass(frozen=True)
class TestStep:
    """One step of a connection test."""

    __test__ = False  # its name does not make it a test for pytest

    name: TestName
    state: Literal["ok", "failed", "skipped", "ask"]
    """``ask``: a person has to decide, such as whether to trust a certificate."""
    text: Bilingual
    next: Bilingual | None = None
    seconds: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Where a source puts what it gets. Every `put_*` returns at once or, when the spool is full and the policy says so, blocks."""

    def number_of(self, tag: Tag) -> int:
        """Return the tag's lasting number; a new tag, or new facts about one, are durable before a block that uses it."""

    def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
        """Take samples; `done` is called (from another thread) once they survive a power loss."""

    def put_messages(self, messages: Sequence[Message], done: Callable[[], None] | None = None) -> None:
        """Take raw messages, decoded later by the source's `Decoder`."""

    def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
        """Take records of a table."""

    def put_reject(self, reject: Reject) -> None:
        """Take what could not be understood; it waits in quarantine for a person."""

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        """Note that nothing is got from an instant on; returns the gap's id. The same open cause and tags is noted once."""

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        """Note that samples arrive again."""

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        """Note what backfilling brought; `whole` None = the peer keeps no history."""

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        """Say how the connection is."""

    def cursor(self, name: str) -> str | None:
        """Return a position that the source saved with `save_cursor`, such as the last id read of a table."""

    def save_cursor(self, name: str, value: str, done: Callable[[], None] | None = None) -> None:
        """Save a position; it becomes durable in order with the blocks and rows put before it, never ahead of them."""


ConnectionState = Literal["starting", "connected", "degraded", "disconnected", "needs_trust", "failed", "paused", "stopped"]


@runtime_checkable
class Source(Protocol):
    """One configured source."""

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""

    def test(self) -> Iterator[TestStep]:
        """Try to reach the peer step by step, changing nothing there; ends after the first step that fails."""

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return tags below a path of the peer."""

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the values that the peer has now, one per tag."""

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Hand everything that comes to the sink until `stop` is set; reconnect by itself, and note every gap.

        Raises:
            MadangError: Only for what trying again cannot help (wrong settings, refused certificate, missing extra).
        """

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Fetch history of an interval into the sink as ``backfill`` blocks; returns how many samples came."""

    def decoder(self) -> Decoder | None:
        """Return what turns this source's raw messages into blocks; None where it puts blocks itself."""

    def close(self) -> None:
        """Let go of the peer."""


class Decoder(Protocol):
    """Turns raw messages into blocks, away from the thread that receives them. It holds no state that a replay would miss."""

    def decode(self, messages: Sequence[Message], number_of: Callable[[Tag], int]) -> Decoded:
        """Return what the messages hold, in their order; what cannot be understood comes back as rejects."""


@dataclass(frozen=True)
class WriteOutcome:
    """What a write came to."""

    written: bool
    value: float | str | None
    """Value read back after the write."""
    quality: int
    text: Bilingual


class Actuator(Protocol):
    """Writes set points; only the gate holds one."""

    def propose(self, tag: str, value: float | str) -> Bilingual | None:
        """Return why the peer would refuse this value (range, type, rights), None when it would not; writes nothing."""

    def write(self, tag: str, value: float | str) -> WriteOutcome:
        """Write, read back, and say what stands there now."""

    def read_back(self, tag: str) -> WriteOutcome:
        """Read what stands there now; `written` is False."""
