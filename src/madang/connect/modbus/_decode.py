"""Registers become numbers and texts, exactly."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from madang.connect.modbus._address import Item
from madang.plant import BAD, GOOD, UNCERTAIN

_FORMATS: Final[Mapping[str, str]] = {
    "int8": ">xb", "uint8": ">xB", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f", "float64": ">d",
}  # fmt: skip
_EXACT: Final = 1 << 53
Reading = tuple[float | None, str | None, int]
"""Number, text, quality."""


def decode(item: Item, data: bytes, start: int, encoding: str) -> Reading:
    """Return the reading of a value in the answer to one read.

    A counter stays as the device shows it; that it wraps around is for those to see who know its register.

    Args:
        item: The value.
        data: Bytes of the answer: registers high byte first, bits lowest first.
        start: Register or bit with which the answer begins.
        encoding: Encoding of texts.
    """
    if item.area in ("coil", "discrete"):
        place = item.start - start
        return float(data[place // 8] >> (place % 8) & 1), None, GOOD
    raw = data[(item.start - start) * 2 : (item.start - start + item.count) * 2]
    if item.kind == "string":
        return _text(item, raw, encoding)
    if item.kind == "bool":
        (word,) = struct.unpack(">H", ordered(raw, item.order))
        return float(word >> (item.bit or 0) & 1), None, GOOD
    (value,) = struct.unpack(_FORMATS[item.kind], ordered(raw, item.order))
    return _number(item, value)


def ordered(raw: bytes, order: str) -> bytes:
    """Return bytes with the highest first.

    >>> ordered(b"CDAB", "cdab"), ordered(b"BADC", "badc"), ordered(b"DCBA", "dcba")
    (b'ABCD', b'ABCD', b'ABCD')
    """
    if order in ("badc", "dcba"):
        swapped = bytearray(raw)
        swapped[0::2], swapped[1::2] = raw[1::2], raw[0::2]
        raw = bytes(swapped)
    if order in ("cdab", "dcba"):
        raw = b"".join(raw[at : at + 2] for at in range(len(raw) - 2, -1, -2))
    return raw


def _number(item: Item, value: float | int) -> Reading:
    if item.none is not None and value == item.none:
        return None, None, BAD
    plain = item.scale == 1 and item.offset == 0
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return value, None, UNCERTAIN
        return (value if plain else float(Decimal(value) * item.scale + item.offset)), None, GOOD
    exact = Decimal(value) if plain else Decimal(value) * item.scale + item.offset
    if abs(value) > _EXACT and plain:
        return None, str(value), GOOD
    return float(exact), None, GOOD


def _text(item: Item, raw: bytes, encoding: str) -> Reading:
    # In texts only the two characters of a register change places.
    data = ordered(raw, "badc") if item.order in ("badc", "dcba") else raw
    try:
        return None, data[: item.length].split(b"\0", 1)[0].decode(encoding).rstrip(), GOOD
    except UnicodeDecodeError:
        return None, None, BAD
