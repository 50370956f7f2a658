"""The wire: one request at a time, and no answer is ever taken for the answer to another request.

The client library of the same protocol was not used here because a try again of it carries the number of the first try, so that a late answer
to the first passes for one to the second, and because it drops the first half of an answer when its wait ends in the middle.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Final, Protocol

from madang.connect.modbus._address import FUNCTIONS, Area

_HEAD: Final = struct.Struct(">HHHB")
_LONGEST: Final = 254
"""Longest length field: unit identifier and 253 bytes (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3)."""


class LinkLostError(Exception):
    """The connection to the device is gone, or what came is no Modbus."""


class NoAnswerError(Exception):
    """The device did not answer in time; the connection may still be good."""


class DeviceSaysNoError(Exception):
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Wire(Protocol):
    """What the source needs of a link."""

    def read(self, unit_id: int, area: Area, start: int, count: int) -> bytes: ...
    def close(self) -> None: ...


class Link:
    """One connection to a device or gateway.

    Each request carries a new transaction number. An answer with another number, another device or another function is one that
    came too late: it is counted and thrown away. A device that does not give the numbers back (``strict`` False) is
    believed only on a connection on which no answer is outstanding: after each time-out the connection is closed.

    Args:
        host: Name or address of the device.
        port: TCP port.
        timeout: Longest wait for one answer [s].
        strict: Whether the device gives transaction numbers back.

    Raises:
        LinkLostError: It cannot be reached.
    """

    def __init__(self, host: str, port: int, timeout: float, strict: bool = True) -> None:
        self._timeout = timeout
        self._strict = strict
        self._number = 0
        self._buffer = bytearray()
        self.late = 0
        """Answers that came too late to be used."""
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise LinkLostError(type(error).__name__) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, unit_id: int, area: Area, start: int, count: int) -> bytes:
        """Return the bytes of registers or bits.

        Raises:
            NoAnswerError: No answer to this very request came in time.
            DeviceSaysNoError: The device refused it.
            LinkLostError: The connection is gone.
        """
        self._number = self._number % 65_535 + 1
        function = FUNCTIONS[area]
        deadline = time.monotonic() + self._timeout
        self._send(_HEAD.pack(self._number, 0, 6, unit_id) + struct.pack(">BHH", function, start, count))
        while True:
            number, unit, body = self._frame(deadline)
            mine = number == self._number or not self._strict
            if not mine or unit != unit_id or not body or body[0] & 0x7F != function:
                self.late += 1
                continue
            if body[0] & 0x80:
                raise DeviceSaysNoError(body[1] if len(body) > 1 else 0)
            wanted = (count + 7) // 8 if area in ("coil", "discrete") else 2 * count
            if len(body) != wanted + 2 or body[1] != wanted:
                raise LinkLostError("the answer has another length than was asked for")
            return bytes(body[2:])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise LinkLostError(type(error).__name__) from error

    def _frame(self, deadline: float) -> tuple[int, int, bytes]:
        """Return the next frame; a half one stays for the next call, whatever request that is for."""
        while True:
            if len(self._buffer) >= _HEAD.size:
                number, protocol, length, unit = _HEAD.unpack_from(self._buffer)
                if protocol != 0 or not 2 <= length <= _LONGEST:
                    raise LinkLostError("what came is no Modbus TCP")
                if len(self._buffer) >= 6 + length:
                    body = bytes(self._buffer[_HEAD.size : 6 + length])
                    del self._buffer[: 6 + length]
                    return number, unit, body
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silent()
            try:
                self._socket.settimeout(left)
                part = self._socket.recv(4096)
            except TimeoutError:
                raise self._silent() from None
            except OSError as error:
                raise LinkLostError(type(error).__name__) from error
            if not part:
                raise LinkLostError("the device closed the connection")
            self._buffer += part

    def _silent(self) -> Exception:
        return NoAnswerError() if self._strict else LinkLostError("no answer, and the device does not number its answers")
