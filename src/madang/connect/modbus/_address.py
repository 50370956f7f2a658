"""Addresses as people write them, and what they mean on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

Area = Literal["holding", "input", "coil", "discrete"]
Kind = Literal["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"]
AREAS: Final[dict[str, Area]] = {
    "hr": "holding", "holding": "holding", "holding-register": "holding", "4x": "holding",
    "ir": "input", "input": "input", "input-register": "input", "3x": "input",
    "co": "coil", "coil": "coil", "0x": "coil",
    "di": "discrete", "discrete": "discrete", "discrete-input": "discrete", "1x": "discrete",
}  # fmt: skip
FUNCTIONS: Final[dict[Area, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_LEADING: Final[dict[Area, str]] = {"coil": "0", "discrete": "1", "input": "3", "holding": "4"}
_REGISTERS: Final[dict[str, int]] = {
    "int8": 1, "uint8": 1, "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4, "float32": 2, "float64": 4,
}  # fmt: skip
"""How many registers each type takes; 8 bits are the low byte of one."""
ORDERS: Final = ("abcd", "cdab", "badc", "dcba")
"""Big-endian; words swapped; bytes swapped within words; both. They are said of 32 bits and hold for 16 and 64 alike."""
_SHAPE: Final = re.compile(
    r"^(?:(?P<unit>\d{1,3})@)?(?P<area>[A-Za-z0-9-]+)(?P<sign>[:/])(?P<number>\d{1,6})(?:\.(?P<bit>\d{1,2}))?(?P<rest>(?::.*)?)$"
)


class BadAddressError(ValueError):
    """An address cannot be understood; the message says which part."""


@dataclass(frozen=True)
class Item:
    """One value of a device."""

    name: str
    unit_id: int
    area: Area
    start: int
    """Number of its first register or bit, counted from 0."""
    kind: Kind
    order: str = "abcd"
    bit: int | None = None
    """Bit within the register, 0 the lowest."""
    length: int = 0
    """Characters of a text."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    none: int | None = None
    """Raw number that stands for "no value"."""
    unit: str | None = None
    address: str = ""

    @property
    def count(self) -> int:
        """Registers or bits that it takes."""
        if self.area in ("coil", "discrete") or self.kind == "bool":
            return 1
        return (self.length + 1) // 2 if self.kind == "string" else _REGISTERS[self.kind]


def parse(text: str, *, name: str | None = None, unit_id: int = 1, order: str = "abcd") -> Item:
    """Return the value that an address means.

    Args:
        text: The address.
        name: Name of the tag; None: the address itself.
        unit_id: Number of the device where the address says none.
        order: Order of bytes where the address says none.

    Raises:
        BadAddressError: A part of it cannot be understood.

    >>> parse("hr:40001:float32:cdab").start, parse("holding/0:float32").start, parse("3@ir:30010:uint32").unit_id
    (0, 0, 3)
    """
    found = _SHAPE.match(text.strip())
    if found is None or found["area"].lower() not in AREAS:
        raise BadAddressError("area")
    area = AREAS[found["area"].lower()]
    start = _start(area, found["sign"], found["number"])
    unit = int(found["unit"]) if found["unit"] is not None else unit_id
    if not 0 <= unit <= 255:
        raise BadAddressError("unit_id")
    bits = area in ("coil", "discrete")
    bit = int(found["bit"]) if found["bit"] is not None else None
    if bit is not None and (bits or bit > 15):
        raise BadAddressError("bit")
    kind: Kind = "bool" if bits or bit is not None else "uint16"
    length, scale, offset, none, spelled = 0, Decimal(1), Decimal(0), None, None
    for part in found["rest"].split(":")[1:]:
        word, sign, value = part.strip().partition("=")
        word = word.strip().lower()
        if sign:
            match word:
                case "scale":
                    scale = _decimal(value, "scale")
                case "offset":
                    offset = _decimal(value, "offset")
                case "none":
                    none = _whole(value)
                case "unit":
                    spelled = value.strip()
                case _:
                    raise BadAddressError(word or "=")
        elif word in _REGISTERS or word == "bool":
            kind = _kind(word, bits, bit)
        elif re.fullmatch(r"string\d{1,3}", word) and not bits and bit is None and 0 < int(word[6:]) <= 250:
            kind, length = "string", int(word[6:])
        elif _order_of(word) is not None:
            order = str(_order_of(word))
        else:
            raise BadAddressError(word or ":")
    item = Item(name or text.strip(), unit, area, start, kind, order, bit, length, scale, offset, none, spelled, text.strip())
    if item.start + item.count > 65_536:
        raise BadAddressError("number")
    return item


def _kind(word: str, bits: bool, bit: int | None) -> Kind:
    if (bits or bit is not None) and word != "bool":
        raise BadAddressError(word)
    return word  # type: ignore[return-value]


def _order_of(word: str) -> str | None:
    long = {"abcdefgh": "abcd", "ghefcdab": "cdab", "badcfehg": "badc", "hgfedcba": "dcba", "ab": "abcd", "ba": "badc"}
    return word if word in ORDERS else long.get(word)


def _start(area: Area, sign: str, number: str) -> int:
    value = int(number)
    if sign == "/":
        if value > 65_535:
            raise BadAddressError("number")
        return value
    # 40001 and 400001 are the Modicon way to write the first holding register: one digit for the area, the rest counts from 1.
    if len(number) in (5, 6) and number[0] == _LEADING[area] and int(number[1:]) >= 1:
        value = int(number[1:])
    if not 1 <= value <= 65_536:
        raise BadAddressError("number")
    return value - 1


def _decimal(text: str, part: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise BadAddressError(part) from None
    if not value.is_finite():
        raise BadAddressError(part)
    return value


def _whole(text: str) -> int:
    try:
        return int(text.strip(), 0)
    except ValueError:
        raise BadAddressError("none") from None
