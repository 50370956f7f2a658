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
        limit: How many messages are remembered.
    """

    def __init__(self, *, by_payload: bool = False, limit: int = _WINDOW) -> None:
        self.by_payload = by_payload
        self.limit = limit
        self._order: deque[int] = deque()
        self._known: Counter[int] = Counter()

    def remember(self, message: Message) -> None:
        """Take a message that is kept."""
        key = self._key(message)
        self._order.append(key)
        self._known[key] += 1
        if len(self._order) > self.limit:
            oldest = self._order.popleft()
            self._forget(oldest)

    def fresh(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages that are not kept yet, in their order, and remember them."""
        kept = []
        for message in messages:
            if (message.again or self.by_payload) and self._known[self._key(message)] > 0:
                if not self.by_payload:
                    self._forget(self._key(message))
                continue
            self.remember(message)
            kept.append(message)
        return kept

    def take_back(self, messages: Sequence[Message]) -> None:
        """Forget messages that were remembered and could not be kept after all."""
        for message in messages:
            key = self._key(message)
            self._order.remove(key)
            self._forget(key)

    def _forget(self, key: int) -> None:
        if self._known[key] > 1:
            self._known[key] -= 1
        else:
            self._known.pop(key, None)

    def _key(self, message: Message) -> int:
        return (
            hash((message.topic, message.payload))
            if self.by_payload
            else hash((message.topic, message.payload, message.packet))
        )
