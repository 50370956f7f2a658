"""A publisher that is faster than any receiver, over a bare socket, and knows exactly what the broker took over."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

Payload = Callable[[int], tuple[str, bytes]]


def _packet(kind: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


class Flood:
    """Publishes messages 0, 1, 2 ... with QoS 1; what a lost connection leaves unanswered is sent again.

    Args:
        port: Port of the broker on this machine.
        message: Topic and payload of a number.
        window: Messages that may wait for the broker's word.
        rate: Messages a second; None = as fast as it goes.
    """

    def __init__(self, port: int, message: Payload, *, window: int = 2_000, rate: float | None = None) -> None:
        self.port = port
        self.message = message
        self.window = window
        self.rate = rate
        self.taken = 0
        """Messages that the broker has taken over, all numbers below included."""
        self.resent = 0
        self._socket: socket.socket | None = None

    def send(self, count: int, *, patience: float = 60.0) -> int:
        """Publish until `count` messages are taken over; returns how many are."""
        begun, sent, rest = time.monotonic(), self.taken, b""
        give_up = time.monotonic() + patience
        while self.taken < count:
            try:
                link = self._link()
                allowed = count if self.rate is None else min(count, int((time.monotonic() - begun) * self.rate) + 1)
                upto = min(allowed, self.taken + self.window)
                if sent < upto:
                    upto = min(upto, sent + 500)
                    link.sendall(b"".join(self._publish(number) for number in range(sent, upto)))
                    sent = upto
                    link.settimeout(0.0 if sent < min(allowed, self.taken + self.window) else 0.005)
                else:
                    link.settimeout(0.02)
                try:
                    data = link.recv(1 << 16)
                    if not data:
                        raise ConnectionError
                    rest += data
                    answers = len(rest) // 4
                    rest = rest[answers * 4 :]
                    self.taken += answers
                    give_up = time.monotonic() + patience
                except (BlockingIOError, TimeoutError):
                    pass
                link.settimeout(10)
            except OSError:
                if time.monotonic() > give_up:
                    return self.taken
                self.close()
                self.resent += sent - self.taken
                sent, rest = self.taken, b""
                time.sleep(0.05)
        return self.taken

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _link(self) -> socket.socket:
        if self._socket is None:
            link = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.sendall(_packet(0x10, _text("MQTT") + bytes([4, 2]) + struct.pack("!H", 600) + _text(f"flood-{self.port}")))
            answer = link.recv(4)
            if len(answer) < 4 or answer[3]:
                link.close()
                raise ConnectionError
            self._socket = link
        return self._socket

    def _publish(self, number: int) -> bytes:
        topic, payload = self.message(number)
        return _packet(0x32, _text(topic) + struct.pack("!H", number % 65_535 + 1) + payload)
