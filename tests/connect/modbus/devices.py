"""Devices for the tests: one that holds registers and can be slow, silent or strange; it speaks the wire itself."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Answer = Callable[[bytes, bytes], list[tuple[float, bytes]]]
"""(request frame, proper answer) -> (seconds to wait, bytes to send) in order."""


@dataclass
class Device:
    """Registers 0 and up hold their own number; those in `illegal` are refused."""

    illegal: set[int] = field(default_factory=set)
    answer: Answer = field(default=lambda request, proper: [(0.0, proper)])
    registers: dict[int, int] = field(default_factory=dict)
    requests: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(unit, function, start, count)"""
    port: int = 0
    """Chosen by the system where it is 0."""

    def __enter__(self) -> Device:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            # Closing alone does not wake the thread that waits for a connection.
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop()

    def drop(self) -> None:
        """Close all connections."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while request := connection.recv(12, socket.MSG_WAITALL):
                if len(request) < 12:
                    return
                for wait, data in self.answer(request, self._proper(request)):
                    if wait:
                        time.sleep(wait)
                    connection.sendall(data)
        except OSError:
            return

    def _proper(self, request: bytes) -> bytes:
        number, _, _, unit, function, start, count = struct.unpack(">HHHBBHH", request)
        self.requests.append((unit, function, start, count))
        if self.illegal & set(range(start, start + count)):
            body = bytes([function | 0x80, 2])
        elif function in (1, 2):
            bits = bytearray((count + 7) // 8)
            for place in range(count):
                bits[place // 8] |= (self.registers.get(start + place, start + place) & 1) << (place % 8)
            body = bytes([function, len(bits)]) + bytes(bits)
        else:
            words = [self.registers.get(at, at) & 0xFFFF for at in range(start, start + count)]
            body = bytes([function, 2 * count]) + struct.pack(f">{count}H", *words)
        return struct.pack(">HHHB", number, 0, len(body) + 1, unit) + body
