"""A broker of a few lines that lets everybody in, takes every subscription, and writes down what it was told."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True)
class Published:
    """A message that a client published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass
class Connection:
    """What one client did, in order: ``CONNECT``, ``SUBSCRIBE``, a `Published`, ``DISCONNECT``."""

    clean: bool = False
    expiry: int = 0
    will: Published | None = None
    acts: list[str | Published] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    socket: socket.socket | None = None

    def published(self) -> list[Published]:
        return [act for act in self.acts if isinstance(act, Published)]


class Recorder:
    """Listens on a free port of this machine.

    Args:
        refuses: Topic filter that nobody may subscribe to.
    """

    def __init__(self, refuses: str = "") -> None:
        self._refuses = refuses
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.connections: list[Connection] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> Recorder:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self.connections:
            self.cut(connection)
        for thread in self._threads:
            thread.join(timeout=5)

    def cut(self, connection: Connection) -> None:
        if connection.socket is not None:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                connection.socket.close()

    def send(self, topic: str, payload: bytes, *, retain: bool = False, to: int = -1) -> None:
        """Deliver a message with QoS 0."""
        link = self.connections[to].socket
        assert link is not None
        link.sendall(_packet(0x30 | int(retain), _text(topic) + b"\0" + payload))

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            self._start(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        connection = Connection(socket=link)
        stream = link.makefile("rb")
        try:
            while head := stream.read(1):
                self._one(connection, link, head[0], stream.read(_length(stream)))
        except (OSError, struct.error, IndexError):
            pass
        finally:
            stream.close()
            link.close()

    def _one(self, connection: Connection, link: socket.socket, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == 1:
            _connect(connection, body)
            connection.acts.append("CONNECT")
            self.connections.append(connection)
            link.sendall(_packet(0x20, b"\0\0\0"))
        elif kind == 8:
            connection.acts.append("SUBSCRIBE")
            at = 3 + body[2]
            codes = bytearray()
            while at < len(body):
                text, at = _read_text(body, at)
                connection.filters.append(text)
                codes.append(0x87 if text == self._refuses else body[at] & 3)
                at += 1
            link.sendall(_packet(0x90, body[:2] + b"\0" + bytes(codes)))
        elif kind == 3:
            qos = head >> 1 & 3
            topic, at = _read_text(body, 0)
            packet, at = (body[at : at + 2], at + 2) if qos else (b"", at)
            at += 1 + body[at]
            connection.acts.append(Published(topic, body[at:], qos, bool(head & 1)))
            if qos:
                link.sendall(_packet(0x40, packet))
        elif kind == 12:
            link.sendall(_packet(0xD0, b""))
        elif kind == 14:
            connection.acts.append("DISCONNECT")


def _connect(connection: Connection, body: bytes) -> None:
    flags = body[7]
    connection.clean = bool(flags & 2)
    size = body[10]
    properties, at = body[11 : 11 + size], 11 + size
    place = 0
    while place < len(properties):
        if properties[place] == 0x11:
            connection.expiry = struct.unpack("!I", properties[place + 1 : place + 5])[0]
            place += 5
        else:
            assert properties[place] == 0x21, properties
            place += 3
    _, at = _read_text(body, at)
    if flags & 4:
        at += 1 + body[at]
        topic, at = _read_text(body, at)
        (length,) = struct.unpack("!H", body[at : at + 2])
        connection.will = Published(topic, body[at + 2 : at + 2 + length], flags >> 3 & 3, bool(flags & 0x20))


def _length(stream: BinaryIO) -> int:
    value, shift = 0, 0
    while True:
        digit = stream.read(1)[0]
        value |= (digit & 127) << shift
        if not digit & 128:
            return value
        shift += 7


def _read_text(body: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack("!H", body[at : at + 2])
    return body[at + 2 : at + 2 + length].decode(), at + 2 + length


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body
