"""What a host knows about one edge node: its births, aliases, order of messages, and who is alive."""

from __future__ import annotations

from dataclasses import dataclass, field

from madang.connect._blocks import Tag
from madang.connect.sparkplug._wire import Value, Wire


@dataclass
class Metric:
    """One metric as its birth announced it."""

    name: str
    device: str | None
    """None: the node's own."""
    datatype: int
    alias: int | None = None
    quality: int = 0
    """The newest it was given; data messages without one keep it."""
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    description: str = ""
    types: dict[str, int] = field(default_factory=dict)
    """Data types of the members of a template, by their path."""
    tags: dict[str, Tag] = field(default_factory=dict)
    """Tags of its values, by their path."""
    last: dict[str, tuple[int, Value, int]] = field(default_factory=dict)
    """Newest time [us], value and quality of each tag."""


@dataclass
class Waiting:
    """A message that came before its turn."""

    kind: str
    device: str | None
    payload: Wire
    raw: bytes
    received: int


@dataclass
class EdgeNode:
    """One edge node."""

    group: str
    name: str
    online: bool = False
    bdseq: int | None = None
    expected: int = 0
    """Sequence number of the next message."""
    metrics: dict[tuple[str | None, str], Metric] = field(default_factory=dict)
    """By device and name."""
    aliases: dict[int, Metric] = field(default_factory=dict)
    devices: dict[str, bool] = field(default_factory=dict)
    """Whether each device is alive."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    """Messages after a hole, by sequence number."""
    waits_since: int = 0
    """When the hole was noticed [us since 1970]; 0 = there is none."""
    last_heard: int = 0
    """When its last message was received [us since 1970]."""
    asked: int = 0
    """When it was last asked for its births [us since 1970]."""
    recent: list[tuple[int, int]] = field(default_factory=list)
    """Sequence number and hash of the newest messages, to tell a message that came twice."""

    @property
    def path(self) -> str:
        """Group and name."""
        return f"{self.group}/{self.name}"

    def born(self, bdseq: int | None, seq: int) -> None:
        """Begin anew, as a birth of the node says; nothing that was announced before holds any longer."""
        self.online, self.bdseq, self.expected = True, bdseq, (seq + 1) % 256
        self.waiting.clear()
        self.waits_since = 0
        self.devices.clear()
        self.aliases.clear()
        self.recent.clear()

    def forget(self) -> None:
        """Forget who is alive and what aliases mean; names and last values stay."""
        self.online = False
        self.waiting.clear()
        self.waits_since = 0
        self.devices.clear()
        self.aliases.clear()
        self.recent.clear()
