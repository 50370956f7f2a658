"""Watches for messages that never came: the broker's own count of what it threw away, and senders' own numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import msgspec

from madang.connect.mqtt._payload import Unreadable, read_payload
from madang.connect.mqtt._rules import PayloadRules

DROPPED: Final = "$SYS/broker/publish/messages/dropped"
UPTIME: Final = "$SYS/broker/uptime"
VERSION: Final = "$SYS/broker/version"
SYSTEM_TOPICS: Final = (DROPPED, UPTIME, VERSION)
"""Mosquitto's own figures (mosquitto.conf(5), broker status); other brokers keep silent here, and then nothing is claimed."""
_ROUNDING: Final = 3_000_000
"""Two tellings of one start of a broker differ by less than this [us]."""


@dataclass(frozen=True)
class Dropped:
    """Messages that the broker threw away between two looks at its count."""

    count: int
    since: int
    """When the count was last seen lower [us since 1970]."""


class BrokerWatch:
    """Compares the broker's count of thrown away messages with what it was.

    The count is the broker's for all its receivers together: more than before means that something was lost for somebody.

    Args:
        saved: What `state` returned earlier, None at the very first.
    """

    def __init__(self, saved: str | None = None) -> None:
        self.version: str | None = None
        self.restarted = False
        """Whether the broker was started again since the last `connected`."""
        self.told_at: int | None = None
        """When the broker told its figures anew since the last `connected` [us since 1970]; what it had kept may be old."""
        self._held = 0
        self._begun: int | None = None
        self._count: int | None = None
        self._seen = 0
        if saved is not None:
            try:
                kept = json.loads(saved)
                self._count, self._seen = int(kept["dropped"]), int(kept["seen"])
                self._begun = int(kept["begun"]) if kept.get("begun") is not None else None
            except (ValueError, KeyError, TypeError):
                self._count = None

    def connected(self, held: int) -> None:
        """Begin to compare anew with a new connection; the one before it was alive until `held` [us since 1970]."""
        self.told_at, self.restarted, self._held = None, False, held

    def told(self, topic: str, payload: bytes, now: int, *, retained: bool = False) -> Dropped | None:
        """Take one of the broker's figures; returns what was lost since the last look.

        Args:
            topic: One of `SYSTEM_TOPICS`.
            payload: What it says.
            now: When it was received [us since 1970].
            retained: Whether it was kept from an earlier time.
        """
        text = payload.decode(errors="replace").strip()
        if topic == VERSION:
            self.version = text[:80]
            return None
        number = text.split(" ", 1)[0]
        if not number.isdecimal():
            return None
        if topic == UPTIME:
            if not retained:
                self._started(now - int(number) * 1_000_000)
                self.told_at = now
            return None
        if topic != DROPPED:
            return None
        count, before, since = int(number), self._count, self._seen or now
        self._count, self._seen = count, now
        if before is None:
            return None
        if count < before:
            # Its count begins at 0 with each start of the broker.
            self.restarted = True
            before = 0
        return Dropped(count - before, since) if count > before else None

    def _started(self, begun: int) -> None:
        """Take the broker's own start, known to the second; without an earlier one, it counts against the last connection."""
        before, self._begun = self._begun, begun
        if before is not None:
            self.restarted = self.restarted or begun - before > _ROUNDING
        else:
            self.restarted = self.restarted or begun > self._held

    def state(self) -> str | None:
        """Return what has to be kept for the next start, None while nothing is known."""
        return None if self._count is None else json.dumps({"dropped": self._count, "seen": self._seen, "begun": self._begun})


@dataclass(frozen=True)
class Skipped:
    """Numbers that a sender counted and that never came."""

    topic: str
    count: int
    since: int
    """When the last message before them was received [us since 1970]."""


class SequenceWatch:
    """Follows the numbers that senders count up by one, topic by topic.

    A number that is lower than the last one is a sender that started again, or a message sent again: nothing is claimed.

    Args:
        rules: Names the field; `rules.sequence` is set.
        saved: What `state` returned earlier.
    """

    def __init__(self, rules: PayloadRules, saved: str | None = None) -> None:
        self._rules = rules
        self._path = (rules.sequence or "").split(".")
        self._last: dict[str, tuple[int, int]] = {}
        if saved is not None:
            try:
                self._last = {topic: (int(last), int(when)) for topic, (last, when) in json.loads(saved).items()}
            except (ValueError, TypeError, AttributeError):
                self._last = {}

    def met(self, topic: str, payload: bytes, now: int, *, again: bool) -> Skipped | None:
        """Take a message; returns what was skipped before it."""
        number = self._number(payload)
        if number is None:
            return None
        last = self._last.get(topic)
        if last is not None and again and number <= last[0]:
            return None
        self._last[topic] = (number, now)
        if last is None or number <= last[0] + 1:
            return None
        return Skipped(topic, number - last[0] - 1, last[1])

    def state(self) -> str:
        """Return what has to be kept for the next start."""
        return msgspec.json.encode(self._last).decode()

    def _number(self, payload: bytes) -> int | None:
        try:
            value = read_payload(payload, self._rules)
        except Unreadable:
            return None
        for key in self._path:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None
