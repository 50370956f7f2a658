"""How content becomes bytes of a spool, and back: one frame each, with its own checksums.

A frame is a header of 40 bytes, a payload, and zeros up to a multiple of 8. The header's checksum is seeded with the spool's own salt:
bytes of another spool, or a payload that happens to hold a frame, are never taken for a frame of this one.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, repeat
from typing import Final

import numpy as np
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Message, Reject, Rows
from madang.plant import Bilingual

Content = Block | list[Message] | Rows | Reject

MAGIC: Final = b"MDF1"
HEADER: Final = struct.Struct("<4sBBHQIIqII")
"""Magic, kind, flags, unused, sequence, length of the payload [bytes], samples, received [us], payload CRC-32, header CRC-32."""
_BEFORE_CHECK: Final = HEADER.size - 4
_BLOCK_HEAD: Final = struct.Struct("<qB7x")
_MESSAGES_HEAD: Final = struct.Struct("<IIIB3x")
_JSON_HEAD: Final = struct.Struct("<II")
_BACKFILL: Final = 1
_NO_TEXT: Final = 2
_ALL_GOOD: Final = 4
_BLOCK_SCHEMAS: Final = {
    (no_text, all_good): pa.schema(
        [f for f in BLOCK_SCHEMA if not (no_text and f.name == "text") and not (all_good and f.name == "quality")]
    )
    for no_text in (False, True)
    for all_good in (False, True)
}
_AGAIN: Final = 1
_RETAINED: Final = 2
_NO_TIME: Final = -(2**63)
MAX_PAYLOAD: Final = 2**31 - 1


class FrameKind(IntEnum):
    """What a frame holds. The first four carry data and have a sequence of their own; the others stand between them."""

    BLOCK = 1
    MESSAGES = 2
    ROWS = 3
    REJECT = 4
    HEAD = 16
    """First in its segment: the state that earlier segments had built up."""
    CURSOR = 17
    RELEASE = 18

    @property
    def is_data(self) -> bool:
        """Whether readers of the spool see it."""
        return self < FrameKind.HEAD


@dataclass(frozen=True)
class FrameHeader:
    """What is known of a frame without its payload."""

    kind: FrameKind
    sequence: int
    length: int
    samples: int
    received: int
    check: int

    @property
    def size(self) -> int:
        """Bytes of the whole frame with its padding."""
        return HEADER.size + padded(self.length)


@dataclass(frozen=True)
class Frame:
    """One durable piece of a spool."""

    sequence: int
    """Counted from 1; a frame whose number was passed over was dropped or damaged, and stands in the ledger."""
    content: Content
    received: int = 0
    """When the newest of it was received [us since 1970, UTC]."""
    samples: int = 0
    """Samples, messages or records in it."""
    size: int = 0
    """Bytes in the spool."""


def padded(length: int) -> int:
    """Return the length rounded up to a multiple of 8."""
    return (length + 7) & ~7


def framed(
    kind: FrameKind, sequence: int, payload: Payload, samples: int, received: int, salt: int
) -> tuple[FrameHeader, list[bytes]]:
    """Return a frame's header, and the parts that are written one after another."""
    header = FrameHeader(kind, sequence, payload.length, samples, received, payload.check)
    head = HEADER.pack(MAGIC, kind, 0, 0, sequence, payload.length, samples, received, payload.check, 0)[:_BEFORE_CHECK]
    parts = [head + zlib.crc32(head, salt).to_bytes(4, "little"), *payload.parts]
    if filling := padded(payload.length) - payload.length:
        parts.append(b"\0" * filling)
    return header, parts


def unpack_header(buffer: bytes | memoryview, offset: int, salt: int) -> FrameHeader | None:
    """Return the header that stands at an offset; None when there is none, or its checksum is wrong."""
    if len(buffer) - offset < HEADER.size:
        return None
    magic, kind, _, _, sequence, length, samples, received, check, own = HEADER.unpack_from(buffer, offset)
    if magic != MAGIC or zlib.crc32(buffer[offset : offset + _BEFORE_CHECK], salt) != own:
        return None
    try:
        return FrameHeader(FrameKind(kind), sequence, length, samples, received, check)
    except ValueError:
        return None


class Payload:
    """Bytes of a frame in parts, so that large ones are not copied, with their length and CRC-32."""

    __slots__ = ("check", "length", "parts")

    def __init__(self, *parts: bytes | pa.Buffer) -> None:
        self.parts = parts
        self.length = 0
        self.check = 0
        for part in parts:
            self.length += len(part)
            self.check = zlib.crc32(part, self.check)
        if self.length > MAX_PAYLOAD:
            raise ValueError(f"a frame holds at most {MAX_PAYLOAD} bytes")


def encode_block(block: Block) -> Payload:
    """Return the payload of a block: its times of the whole, and the Arrow IPC message of its batch without the schema.

    A column of texts without any text, and one of qualities that are all good, are left out: in most blocks that is a third.
    """
    batch = block.batch
    if not batch.schema.equals(BLOCK_SCHEMA):
        batch = batch.select(BLOCK_SCHEMA.names).cast(BLOCK_SCHEMA)
    texts, quality = batch.column(3), batch.column(4)
    no_text = texts.null_count == len(texts)
    all_good = not np.frombuffer(quality.buffers()[1] or b"", np.uint32)[quality.offset : quality.offset + len(quality)].any()
    flags = _BACKFILL * (block.origin == "backfill") + _NO_TEXT * no_text + _ALL_GOOD * all_good
    if no_text or all_good:
        schema = _BLOCK_SCHEMAS[no_text, all_good]
        batch = pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)
    head = _BLOCK_HEAD.pack(_NO_TIME if block.server_time is None else block.server_time, flags)
    return Payload(head, batch.serialize())


def _decode_block(payload: memoryview, received: int) -> Block:
    server, flags = _BLOCK_HEAD.unpack_from(payload)
    no_text, all_good = bool(flags & _NO_TEXT), bool(flags & _ALL_GOOD)
    batch = pa.ipc.read_record_batch(pa.py_buffer(payload[_BLOCK_HEAD.size :]), _BLOCK_SCHEMAS[no_text, all_good])
    if no_text or all_good:
        count = batch.num_rows
        texts = pa.nulls(count, pa.string()) if no_text else batch.column(3)
        quality = pa.array(np.zeros(count, np.uint32)) if all_good else batch.column(batch.num_columns - 1)
        batch = pa.RecordBatch.from_arrays([*batch.columns[:3], texts, quality], schema=BLOCK_SCHEMA)
    return Block(batch, received, None if server == _NO_TIME else server, "backfill" if flags & _BACKFILL else "live")


class MessageColumns:
    """Raw messages as they stand in a frame: a table of their topics, columns of numbers, and the bytes one after another.

    It grows message by message, so that many small appends become one frame.
    """

    __slots__ = ("_bodies", "_flags", "_index", "_packets", "_received", "_sizes", "_topics", "size")

    def __init__(self) -> None:
        self._topics: dict[str, int] = {}
        self._index = array("I")
        self._sizes = array("I")
        self._received = array("q")
        self._packets = array("H")
        self._flags = bytearray()
        self._bodies: list[bytes] = []
        self.size = 0
        """About how many bytes the frame has [bytes]."""

    def __len__(self) -> int:
        return len(self._bodies)

    def extend(self, messages: Sequence[Message]) -> int:
        """Take messages, all or, where one of them is none, nothing; returns by how much the frame grew [bytes].

        Raises:
            TypeError: A payload is not bytes, or a number is none.
            ValueError: A number does not fit its column, or a payload is too large for a frame.
        """
        if len(messages) == 1:
            return self._append(messages[0])
        bodies = [m.payload for m in messages]
        if set(map(type, bodies)) - {bytes}:
            raise TypeError("the payload of a message is bytes")
        try:
            sizes = array("I", map(len, bodies))
            received = array("q", [m.received for m in messages])
            packets = array("H", [m.packet for m in messages])
        except OverflowError as error:
            raise ValueError("a number of a message does not fit") from error
        grown = sum(sizes) + 19 * len(bodies)
        if grown > MAX_PAYLOAD // 2:
            raise ValueError(f"messages taken at once are at most {MAX_PAYLOAD // 2} bytes")
        flags = bytes([_AGAIN * bool(m.again) + _RETAINED * bool(m.retained) for m in messages])
        topics = self._topics
        index = [topics.setdefault(m.topic, len(topics)) for m in messages]
        self._index.extend(index)
        self._sizes.extend(sizes)
        self._received.extend(received)
        self._packets.extend(packets)
        self._flags += flags
        self._bodies += bodies
        self.size += grown
        return grown

    def _append(self, message: Message) -> int:
        """Take one message."""
        body = message.payload
        if type(body) is not bytes:
            raise TypeError("the payload of a message is bytes")
        size, packet, received = len(body), message.packet, message.received
        if not (0 <= packet <= 0xFFFF and -(2**63) <= received < 2**63):
            raise ValueError("a number of a message does not fit")
        if size > MAX_PAYLOAD // 2:
            raise ValueError(f"messages taken at once are at most {MAX_PAYLOAD // 2} bytes")
        topics = self._topics
        self._index.append(topics.setdefault(message.topic, len(topics)))
        self._sizes.append(size)
        self._received.append(received)
        self._packets.append(packet)
        self._flags.append(_AGAIN * bool(message.again) + _RETAINED * bool(message.retained))
        self._bodies.append(body)
        self.size += size + 19
        return size + 19

    def payload(self) -> Payload:
        """Return the payload of a frame that holds them."""
        names = [topic.encode("utf-8", "surrogatepass") for topic in self._topics]
        marked = any(self._flags) or any(self._packets)
        return Payload(
            _MESSAGES_HEAD.pack(len(self._bodies), len(names), sum(map(len, names)), marked),
            self._received.tobytes(),
            self._index.tobytes(),
            self._sizes.tobytes(),
            array("I", list(map(len, names))).tobytes(),
            bytes(self._flags) + self._packets.tobytes() if marked else b"",
            b"".join(names),
            b"".join(self._bodies),
        )


def _decode_messages(payload: memoryview) -> list[Message]:
    count, topics, _, marked = _MESSAGES_HEAD.unpack_from(payload)
    at = _MESSAGES_HEAD.size

    def column(code: str, length: int) -> array[int]:
        nonlocal at
        values = array(code)
        end = at + values.itemsize * length
        values.frombytes(payload[at:end])
        at = end
        return values

    received, index, sizes, names = column("q", count), column("I", count), column("I", count), column("I", topics)
    flags: Iterable[int] = repeat(0, count)
    packets: Iterable[int] = repeat(0, count)
    if marked:
        flags, at = payload[at : at + count], at + count
        packets = column("H", count)
    table = []
    for size in names:
        table.append(str(payload[at : at + size], "utf-8", "surrogatepass"))
        at += size
    body = bytes(payload[at:])
    ends = list(accumulate(sizes))
    return [
        Message(table[topic], body[end - size : end], when, bool(flag & _AGAIN), bool(flag & _RETAINED), packet)
        for topic, end, size, when, flag, packet in zip(index, ends, sizes, received, flags, packets, strict=True)
    ]


def _with_json(document: object, *rest: bytes | pa.Buffer) -> Payload:
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    size = padded(_JSON_HEAD.size + len(text))
    return Payload(_JSON_HEAD.pack(len(text), size) + text.ljust(size - _JSON_HEAD.size), *rest)


def _json_of(payload: memoryview) -> tuple[dict[str, object], memoryview]:
    length, end = _JSON_HEAD.unpack_from(payload)
    text = str(payload[_JSON_HEAD.size : _JSON_HEAD.size + length], "utf-8", "surrogatepass")
    return json.loads(text), payload[end:]


def encode_rows(rows: Rows) -> Payload:
    """Return the payload of records: what they are, and an Arrow IPC stream with their own schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.batch.schema) as writer:
        writer.write_batch(rows.batch)
    return _with_json({"table": rows.table, "key": list(rows.key), "change": rows.change}, sink.getvalue())


def _decode_rows(payload: memoryview, received: int) -> Rows:
    facts, rest = _json_of(payload)
    with pa.ipc.open_stream(pa.py_buffer(rest)) as reader:
        batch = reader.read_next_batch()
    return Rows(str(facts["table"]), tuple(facts["key"]), batch, received, facts["change"])  # type: ignore[arg-type]


def encode_reject(reject: Reject) -> Payload:
    """Return the payload of what could not be understood."""
    facts = {"topic": reject.topic, "ko": reject.reason.ko, "en": reject.reason.en, "code": reject.code}
    return _with_json(facts, bytes(reject.payload))


def _decode_reject(payload: memoryview, received: int) -> Reject:
    facts, rest = _json_of(payload)
    reason = Bilingual(str(facts["ko"]), str(facts["en"]))
    return Reject(str(facts["topic"]), bytes(rest), reason, str(facts["code"]), received)


def encode_facts(facts: dict[str, object]) -> Payload:
    """Return the payload of a frame that carries no data."""
    return _with_json(facts)


def decode_facts(payload: memoryview) -> dict[str, object]:
    """Return what `encode_facts` was given."""
    return _json_of(payload)[0]


def decode(header: FrameHeader, payload: memoryview) -> Content:
    """Return the content of a data frame whose checksum was found right."""
    match header.kind:
        case FrameKind.BLOCK:
            return _decode_block(payload, header.received)
        case FrameKind.MESSAGES:
            return _decode_messages(payload)
        case FrameKind.ROWS:
            return _decode_rows(payload, header.received)
        case FrameKind.REJECT:
            return _decode_reject(payload, header.received)
        case _:
            raise ValueError(f"{header.kind.name} is no data frame")
