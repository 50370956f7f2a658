"""Keeps publish requests at the server, reads the answers in their order, acknowledges them, and notices missing ones.

asyncua's own loop keeps one request at a time, reads values slowly, and leaves sequence numbers to the reader. This is the one place
that uses what asyncua calls private (`UASocketProtocol._send_request`): its answers come as bytes, in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from madang.connect.opcua._decode import Publication, decode_publish
from madang.connect.opcua._link import Link

_FAULT: Final = ua.NodeId(ua.ObjectIds.ServiceFault_Encoding_DefaultBinary)
_TOO_MANY: Final = ua.StatusCodes.BadTooManyPublishRequests
_GONE: Final = {ua.StatusCodes.BadNoSubscription, ua.StatusCodes.BadSessionIdInvalid, ua.StatusCodes.BadSessionClosed}
_MOST_MISSING: Final = 1_000


@dataclass
class Followed:
    """What is known of one subscription's sequence numbers (OPC 10000-4, 5.14.1.1: from 1, no zero after the wrap)."""

    expected: int = 1
    taken: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_MISSING))
    """Numbers of the newest notifications that were taken."""
    last_published: int = 0
    """The server's time of its newest answer [us since 1970]."""


@dataclass(frozen=True)
class Missing:
    """Notifications that were sent and did not come."""

    subscription: int
    first: int
    count: int
    since: int
    """Server's time of the last answer before them [us since 1970]."""
    until: int


class Publisher:
    """Publishes for one link until it ends.

    Args:
        link: The open session.
        take: Called with each publication, in order.
        missing: Called where sequence numbers show a hole.
        ended: Called once when publishing cannot go on, with what happened.
    """

    def __init__(
        self,
        link: Link,
        take: Callable[[Publication], None],
        missing: Callable[[Missing], None],
        ended: Callable[[str], None],
    ) -> None:
        self._link = link
        self._take = take
        self._missing = missing
        self._ended = ended
        self._acknowledge: list[ua.SubscriptionAcknowledgement] = []
        self._wanted = 0
        self._out = 0
        self._over = False
        self.followed: dict[int, Followed] = {}
        self.heard = time.monotonic()
        """When the server last answered [s]."""
        self.unreadable = 0

    def start(self, subscriptions: int) -> None:
        """Keep as many requests at the server as it needs for some subscriptions."""
        self.heard = time.monotonic()
        self._wanted = min(10, subscriptions + 2)
        self._fill()

    def stop(self) -> None:
        """Send no more."""
        self._over = True

    def reset(self) -> None:
        """Begin again on a new socket of the same session; what was expected stays."""
        self._over, self._out, self._acknowledge = False, 0, []

    def _fill(self) -> None:
        while self._out < self._wanted and not self._over:
            protocol = self._link.client.uaclient.protocol
            if protocol is None or protocol.transport is None:
                self._end("the connection is closed")
                return
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements = self._acknowledge
            self._acknowledge = []
            try:
                future = protocol._send_request(request, 0)
            except Exception as error:  # asyncua lets errors of the socket and of its encoder through here
                self._end(type(error).__name__)
                return
            self._out += 1
            future.add_done_callback(lambda done, socket=protocol: self._came(done, socket))

    def _came(self, future: asyncio.Future[Any], socket: object) -> None:
        if self._over or socket is not self._link.client.uaclient.protocol:
            if not future.cancelled():
                future.exception()  # looked at, so that nobody complains
            return
        self._out -= 1
        if future.cancelled() or future.exception() is not None:
            self._end("the connection was lost")
            return
        self.heard = time.monotonic()
        buffer = future.result()
        fault = _fault(buffer)
        if fault:
            self._refused(fault)
            return
        try:
            publication = decode_publish(bytes(buffer))
        except ValueError:
            self.unreadable += 1
            self._fill()
            return
        if self._in_order(publication):
            self._take(publication)
        self._fill()

    def _refused(self, status: int) -> None:
        if status == _TOO_MANY and self._wanted > 1:
            self._wanted = max(1, self._out)
            if self._out == 0:
                self._fill()
        elif status in _GONE:
            self._end(f"0x{status:08X}")
        else:  # BadTimeout and the like: ask again, not in a circle
            asyncio.get_running_loop().call_later(0.2, self._fill)

    def _in_order(self, publication: Publication) -> bool:
        """Whether the publication is new; what is missing before it is told."""
        followed = self.followed.get(publication.subscription)
        if followed is None:
            return False
        ahead = (publication.sequence - followed.expected) & 0xFFFFFFFF
        earlier = ahead >= 0x80000000
        if earlier and (publication.keep_alive or publication.sequence in followed.taken):
            return publication.ended is not None
        if ahead and not earlier:
            self._missing(
                Missing(
                    publication.subscription,
                    followed.expected,
                    min(ahead, _MOST_MISSING),
                    followed.last_published,
                    publication.published,
                )
            )
        followed.last_published = publication.published
        if publication.keep_alive:
            followed.expected = publication.sequence
            return True
        followed.taken.append(publication.sequence)
        followed.expected = (publication.sequence % 0xFFFFFFFF) + 1
        self._acknowledge.append(
            ua.SubscriptionAcknowledgement(SubscriptionId=publication.subscription, SequenceNumber=publication.sequence)
        )
        return True

    def _end(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._ended(why)


def _fault(buffer: Any) -> int:  # noqa: ANN401 - asyncua's buffer
    data = buffer.copy()
    try:
        if nodeid_from_binary(data) != _FAULT:
            return 0
        header = struct_from_binary(ua.ResponseHeader, data)
    except (ua.UaError, ValueError, IndexError):
        return 0
    return int(header.ServiceResult.value)
