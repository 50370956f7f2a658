"""What a live intake takes from, and what it tells of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from madang.connect import Block, Message, Reject, Rows, Tag


class Tags(Protocol):
    """The tags of a spool; see `madang.connect.TagBook`."""

    def number_of(self, tag: Tag) -> int: ...
    def tag(self, number: int) -> Tag: ...
    def changes(self, after: int) -> Sequence[tuple[int, int, Tag]]: ...


class Frame(Protocol):
    """One frame of a spool."""

    @property
    def sequence(self) -> int: ...
    @property
    def content(self) -> Block | list[Message] | Rows | Reject: ...


class Frames(Protocol):
    """What is asked of a spool; see `madang.connect.Spool`."""

    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def durable(self) -> int: ...
    @property
    def released(self) -> int: ...
    def read(self, after: int, limit_bytes: int) -> Sequence[Frame]: ...
    def release(self, upto: int) -> None: ...


@dataclass(frozen=True)
class ConnectionReport:
    """What one step did for one connection."""

    name: str
    dataset: str
    committed: int
    """Last sequence that the lake has."""
    samples: int = 0
    """Samples committed by this step."""
    duplicates_dropped: int = 0
    """Samples of backfilling that the lake had already."""
    rejects: int = 0
    """What went into quarantine."""
    rows: int = 0
    """Entries of tables committed."""
    newest_good: datetime | None = None
    """Time of the newest sample with good quality and a value since the connection was attached, never after it was received; for
    records when they were received (UTC). None = none came."""
    skew_seconds: float | None = None
    """Median of time of reception - source time of the live samples that this step pulled; None = there were none."""


@dataclass(frozen=True)
class LiveReport:
    """What one step did."""

    connections: Mapping[str, ConnectionReport]
    committed: bool
    """Whether anything was written to the lake."""
    waiting: int
    """Samples and records pulled and not committed yet."""


@dataclass(frozen=True)
class Replayed:
    """What a replay of the quarantine came to."""

    taken: int
    """Records that are understood now, and left the quarantine."""
    left: int
    """Records that are still not understood."""
