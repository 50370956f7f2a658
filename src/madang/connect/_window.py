"""Recognises messages that a peer sent again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from madang.connect._blocks import Message

_WINDOW: Final = 65_536


class RecentMessages:
    """Hashes of the newest messages, in bounded memory.

    A message that the peer marks as sent before is a duplicate when a kept message has its topic, payload and packet number; each kept
    message accounts for one such repetition, so that equal messages sent on purpose are not lost. With `by_payload`, any message with
    the topic and payload of a kept one is a duplicate.

    Args:
        by_payload: Whether topic and payload alone identify a message.
        limit: About how many messages are remembered.
    """

    def __init__(self, *, by_payload: bool = False, limit: int = _WINDOW) -> None:
        self.by_payload = by_payload
        self.limit = limit
        self._runs: deque[list[int]] = deque()
        self._size = 0
        self._known: Counter[int] | None = Counter() if by_payload else None
        """How often each hash is remembered; counted only when the first repetition comes, since most peers never send one."""

    def remember(self, messages: Sequence[Message]) -> None:
        """Take messages that are kept."""
        if self.by_payload:
            keys = [hash((m.topic, m.payload)) for m in messages]
        else:
            keys = [hash((m.topic, m.payload, m.packet)) for m in messages]
        self._runs.append(keys)
        self._size += len(keys)
        if self._known is not None:
            self._known.update(keys)
        while self._size - len(self._runs[0]) > self.limit:
            oldest = self._runs.popleft()
            self._size -= len(oldest)
            for key in oldest if self._known is not None else ():
                self._forget(key)

    def fresh(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages that are not kept yet, in their order, and remember them."""
        if not self.by_payload and not any(m.again for m in messages):
            self.remember(messages)
            return messages
        if self._known is None:
            self._known = Counter(key for run in self._runs for key in run)
        kept = []
        for message in messages:
            key = (
                hash((message.topic, message.payload))
                if self.by_payload
                else hash((message.topic, message.payload, message.packet))
            )
            if (message.again or self.by_payload) and self._known[key] > 0:
                if not self.by_payload:
                    self._forget(key)
                continue
            self.remember([message])
            kept.append(message)
        return kept

    def take_back(self, messages: Sequence[Message]) -> None:
        """Forget the messages remembered last, which could not be kept after all."""
        left = len(messages)
        while left > 0:
            run = self._runs.pop()
            left -= len(run)
            self._size -= len(run)
            for key in run if self._known is not None else ():
                self._forget(key)

    def _forget(self, key: int) -> None:
        known = self._known
        if known is None:
            return
        if known[key] > 1:
            known[key] -= 1
        else:
            known.pop(key, None)
