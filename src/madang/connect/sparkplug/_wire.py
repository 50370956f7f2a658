"""Sparkplug B on the wire: the messages of the payload, described by their field numbers, and their values by data type.

Source:
    Eclipse Sparkplug specification 3.0.0, chapter 6.4 (field numbers, data types); the description below is written from those
    numbers, names are this project's own.
"""

from __future__ import annotations

import math
import struct
import zlib
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

Value: TypeAlias = "bool | int | float | str | None"
Wire: TypeAlias = Any
"""A protobuf message; its classes are made at run time."""

COMPRESSED: Final = "SPBV1.0_COMPRESSED"
_LARGEST: Final = 64 << 20
"""A compressed payload may not become larger than this [bytes]."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DataType(IntEnum):
    """Data types of metrics."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


_F: Final = descriptor_pb2.FieldDescriptorProto
_KINDS: Final = {
    "u32": _F.TYPE_UINT32,
    "u64": _F.TYPE_UINT64,
    "float": _F.TYPE_FLOAT,
    "double": _F.TYPE_DOUBLE,
    "bool": _F.TYPE_BOOL,
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
}
_SCALARS: Final = (
    "int_value u32",
    "long_value u64",
    "float_value float",
    "double_value double",
    "boolean_value bool",
    "string_value string",
)
_MESSAGES: Final[dict[str, str]] = {
    # name: "field kind number", a star for repeated, a plus for one of the alternatives of the value.
    "Parameter": "name string 1, type u32 2, " + ", ".join(f"+{one} {3 + at}" for at, one in enumerate(_SCALARS)),
    "Template": "version string 1, *metrics Metric 2, *parameters Parameter 3, template_ref string 4, is_definition bool 5",
    "Cell": ", ".join(f"+{one} {1 + at}" for at, one in enumerate(_SCALARS)),
    "Row": "*elements Cell 1",
    "DataSet": "num_of_columns u64 1, *columns string 2, *types u32 3, *rows Row 4",
    "PropertyValue": "type u32 1, is_null bool 2, "
    + ", ".join(f"+{one} {3 + at}" for at, one in enumerate(_SCALARS))
    + ", +propertyset_value PropertySet 9, +propertysets_value PropertySetList 10",
    "PropertySet": "*keys string 1, *values PropertyValue 2",
    "PropertySetList": "*propertyset PropertySet 1",
    "MetaData": "is_multi_part bool 1, content_type string 2, size u64 3, seq u64 4, file_name string 5, file_type string 6, "
    "md5 string 7, description string 8",
    "Metric": "name string 1, alias u64 2, timestamp u64 3, datatype u32 4, is_historical bool 5, is_transient bool 6, is_null bool 7, "
    "metadata MetaData 8, properties PropertySet 9, "
    + ", ".join(f"+{one} {10 + at}" for at, one in enumerate(_SCALARS))
    + ", +bytes_value bytes 16, +dataset_value DataSet 17, +template_value Template 18",
    "Payload": "timestamp u64 1, *metrics Metric 2, seq u64 3, uuid string 4, body bytes 5",
}  # fmt: skip


def _classes() -> dict[str, Wire]:
    package = "madang.sparkplug"
    file = descriptor_pb2.FileDescriptorProto(name="madang_sparkplug.proto", package=package, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            mark = text[0] if text[0] in "*+" else ""
            field_name, kind, number = text.removeprefix(mark).split(" ")
            field = message.field.add(name=field_name, number=int(number))
            field.label = _F.LABEL_REPEATED if mark == "*" else _F.LABEL_OPTIONAL
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{package}.{kind}"
            if mark == "+":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _MESSAGES}


_CLASSES: Final = _classes()
Payload: Final[Wire] = _CLASSES["Payload"]


class MalformedError(ValueError):
    """Bytes that are no Sparkplug payload."""


def decode(data: bytes) -> Wire:
    """Return the payload of a message, unpacked where it came compressed.

    Raises:
        MalformedError: It is none.
    """
    try:
        payload = Payload.FromString(data)
        if payload.uuid == COMPRESSED:
            payload = Payload.FromString(_unpacked(payload.body))
    except (DecodeError, zlib.error, RecursionError, ValueError) as error:
        raise MalformedError(str(error)) from None
    return payload


def rebirth_request(now: int) -> bytes:
    """Return the payload of an NCMD that asks a node for its births.

    Args:
        now: Send time [ms since 1970].
    """
    payload = Payload(timestamp=now)
    payload.metrics.add(name="Node Control/Rebirth", timestamp=now, datatype=DataType.BOOLEAN, boolean_value=True)
    return bytes(payload.SerializeToString())


def _unpacked(body: bytes) -> bytes:
    # 32 + 15: zlib and gzip are told apart by their heads; a body without one is bare DEFLATE.
    for bits in (47, -15):
        unpacker = zlib.decompressobj(bits)
        try:
            data = unpacker.decompress(body, _LARGEST)
        except zlib.error:
            continue
        if unpacker.unconsumed_tail:
            raise MalformedError("too large")
        return data
    raise MalformedError("not compressed as it says")


_BITS: Final = {
    DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64,
    DataType.UINT8: -8, DataType.UINT16: -16, DataType.UINT32: -32, DataType.UINT64: -64,
}  # fmt: skip
"""Width of whole numbers; negative = without sign."""
TEXTS: Final = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID})


def scalar(item: Wire, datatype: int) -> Value:
    """Return the value of a metric, cell, parameter or property of a simple type.

    Whole numbers travel without sign: an Int32 of -12 comes as 4294967284 and is -12 again by its data type.

    Raises:
        MalformedError: The value does not fit its data type.

    >>> metric = Payload().metrics.add(int_value=4294967284)
    >>> scalar(metric, DataType.INT32), scalar(metric, DataType.UINT32)
    (-12, 4294967284)
    """
    field = item.WhichOneof("value")
    if field is None:
        return None
    raw = getattr(item, field)
    if datatype in _BITS:
        if not isinstance(raw, int):
            raise MalformedError("a whole number was announced")
        return _signed(int(raw), _BITS[DataType(datatype)])
    if datatype in {DataType.FLOAT, DataType.DOUBLE} and isinstance(raw, (int, float)):
        return shortest(raw) if field == "float_value" else float(raw)
    if datatype == DataType.BOOLEAN and isinstance(raw, (bool, int)):
        return bool(raw)
    if datatype in TEXTS and isinstance(raw, str):
        return raw
    if datatype == DataType.DATETIME and isinstance(raw, int):
        return instant_text(raw)
    if datatype == DataType.UNKNOWN and isinstance(raw, (bool, int, float, str)):
        return raw
    raise MalformedError("the value does not fit its data type")


def shortest(raw: float) -> float:
    """Return the shortest decimal that gives the same 4-byte float: 23.4, not 23.399999618530273.

    >>> shortest(23.399999618530273)
    23.4
    """
    if not math.isfinite(raw):
        return raw
    packed = struct.pack("<f", raw)
    for digits in range(6, 9):
        short = float(f"{raw:.{digits}g}")
        if abs(short) < 3.4028235e38 and struct.pack("<f", short) == packed:
            return short
    return float(f"{raw:.9g}")


def _signed(raw: int, bits: int) -> int:
    size = abs(bits)
    raw &= (1 << size) - 1
    return raw - (1 << size) if bits > 0 and raw >> (size - 1) else raw


def instant_text(millis: int) -> str:
    """Return a DateTime [ms since 1970] as text; one beyond the calendar stays a number.

    >>> instant_text(1700000000123)
    '2023-11-14T22:13:20.123Z'
    """
    millis = _signed(millis, 64)
    try:
        return (_EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return str(millis)


_ARRAYS: Final = {
    DataType.INT8_ARRAY: "b", DataType.INT16_ARRAY: "h", DataType.INT32_ARRAY: "i", DataType.INT64_ARRAY: "q",
    DataType.UINT8_ARRAY: "B", DataType.UINT16_ARRAY: "H", DataType.UINT32_ARRAY: "I", DataType.UINT64_ARRAY: "Q",
    DataType.FLOAT_ARRAY: "f", DataType.DOUBLE_ARRAY: "d", DataType.DATETIME_ARRAY: "Q",
}  # fmt: skip


def array(data: bytes, datatype: int) -> list[Value]:
    """Return the elements of an array type, packed little-endian (chapter 6.4.17).

    Raises:
        MalformedError: The bytes do not fit.
    """
    try:
        if datatype == DataType.BOOLEAN_ARRAY:
            (count,) = struct.unpack_from("<I", data)
            bits = data[4:]
            if count > len(bits) * 8:
                raise MalformedError("too few bits")
            return [bool(bits[at // 8] >> (7 - at % 8) & 1) for at in range(count)]
        if datatype == DataType.STRING_ARRAY:
            return [part.decode() for part in data.removesuffix(b"\0").split(b"\0")] if data else []
        letter = _ARRAYS[DataType(datatype)]
        values = list(struct.unpack(f"<{len(data) // struct.calcsize(letter)}{letter}", data))
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise MalformedError(str(error)) from None
    return [instant_text(one) for one in values] if datatype == DataType.DATETIME_ARRAY else values
