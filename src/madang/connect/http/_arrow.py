"""Arrow streams from outside: checked before they are touched."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect._blocks import BLOCK_SCHEMA
from madang.connect.http._payload import AHEAD, EARLIEST, MAX_NEW_TAGS, MAX_TAG, MAX_TEXT, OUT_OF_RANGE, declared
from madang.plant import BAD

if TYPE_CHECKING:
    from madang.connect.http._payload import Payload, PushOptions

MAX_ROWS: Final = 8_000_000
"""Samples of one body at most."""
_EXACT: Final = 1 << 53
_RECORDS, _DICTIONARY = 3, 2
_RATIO: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}


def read_stream(payload: Payload, body: bytes, options: PushOptions, received: int) -> None:
    """Read a stream into a payload; what cannot be taken is noted there."""
    try:
        if _compressed(body):
            payload.problem(
                None, "", "compressed", "압축한 Arrow는 받지 않아요. 압축 없이 보내 주세요.",
                "Compressed Arrow is not taken; send it uncompressed.",
            )  # fmt: skip
            return
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            _declare(payload, stream.schema.metadata or {})
            rows = 0
            for batch in stream:
                rows += batch.num_rows
                if rows > MAX_ROWS:
                    payload.problem(
                        None,
                        "",
                        "too_large",
                        f"한 번에 {MAX_ROWS:,}개까지 보낼 수 있어요.",
                        f"{MAX_ROWS:,} samples at a time are allowed.",
                    )
                    return
                batch.validate(full=True)
                _take(payload, batch, rows - batch.num_rows, options, received)
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError, OverflowError, MemoryError):
        # What the library says may quote the content, so it is not repeated.
        payload.problem(
            None,
            "",
            "malformed",
            "보낸 것이 Arrow 스트림이 아니거나 깨졌어요.",
            "The body is not an Arrow stream, or it is damaged.",
        )


def _declare(payload: Payload, metadata: dict[bytes, bytes]) -> None:
    said = metadata.get(b"madang.tags")
    if said is None:
        return
    for item in json.loads(said):
        if isinstance(item, dict) and isinstance(item.get("name"), str) and 0 < len(item["name"]) <= MAX_TAG:
            payload.tags[item["name"]] = declared(item["name"], item)


def _take(payload: Payload, batch: pa.RecordBatch, first: int, options: PushOptions, received: int) -> None:
    names = set(batch.schema.names)
    if (
        "tag" not in names
        or not names & {"value", "number", "text"}
        or ("time" not in names and options.missing_time == "refuse")
    ):
        payload.problem(
            None, "schema", "wrong_type", "열 tag, time, value(또는 number, text)가 있어야 해요.",
            "The columns tag, time and value (or number, text) are needed.",
        )  # fmt: skip
        return
    count = batch.num_rows
    place = _places(payload, batch.column("tag"))
    time = _times(payload, batch, options, received)
    values = _values(payload, batch)
    if place is None or time is None or values is None:
        return
    number, text = values
    quality = _quality(payload, batch, number, text)
    if quality is None:
        return
    late = (time < EARLIEST) | (time > received + AHEAD)
    bad = (place < 0) | late
    if isinstance(text, pa.Array) and text.null_count < count:
        long = pc.fill_null(pc.greater(pc.binary_length(text), MAX_TEXT * 4), fill_value=False).to_numpy(zero_copy_only=False)
        bad |= long
    else:
        long = np.zeros(count, dtype=bool)
    if bad.any():
        for index in np.flatnonzero(bad).tolist():
            if place[index] < 0:
                payload.problem(first + index, "tag", "no_tag", "tag 가 없거나 너무 길어요.", "`tag` is missing or too long.")
            elif late[index]:
                payload.problem(first + index, "time", "time_out_of_range", *OUT_OF_RANGE)
            else:
                payload.problem(first + index, "value", "too_large", "글자가 너무 길어요.", "The text is too long.")
    arrays = [
        pa.array(place.astype(np.int32)),
        pa.array(time).cast(pa.timestamp("us", tz="UTC")),
        number,
        text,
        pa.array(quality),
    ]
    made = pa.RecordBatch.from_arrays(arrays, schema=BLOCK_SCHEMA)
    payload.batches.append(made.filter(pa.array(~bad)) if bad.any() else made)


def _places(payload: Payload, column: pa.Array) -> Any:  # noqa: ANN401 (an int64 array, or None)
    """Places of the tags in the payload's names; -1 where there is none."""
    if not pa.types.is_dictionary(column.type):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            payload.problem(None, "tag", "wrong_type", "tag 열은 글자여야 해요.", "The column tag has to hold text.")
            return None
        column = column.dictionary_encode()
    words = column.dictionary
    if not (pa.types.is_string(words.type) or pa.types.is_large_string(words.type)) or len(words) > MAX_NEW_TAGS:
        payload.problem(
            None,
            "tag",
            "wrong_type",
            f"tag 열은 글자이고 {MAX_NEW_TAGS:,}가지까지예요.",
            f"The column tag holds text of at most {MAX_NEW_TAGS:,} kinds.",
        )
        return None
    indices = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    used = np.zeros(len(words) + 1, dtype=bool)
    used[indices] = True
    table = np.full(len(words) + 1, -1, dtype=np.int64)
    names = words.to_pylist()
    if used[:-1].all() and payload.places_of_all(names):
        return np.where(indices < 0, -1, indices)
    for index in np.flatnonzero(used[:-1]).tolist():
        name = names[index]
        if name and len(name) <= MAX_TAG and "\0" not in name:
            found = payload.place(name)
            table[index] = -1 if found is None else found
    return table[indices]


def _times(payload: Payload, batch: pa.RecordBatch, options: PushOptions, received: int) -> Any:  # noqa: ANN401
    if "time" not in batch.schema.names:
        return np.full(batch.num_rows, received, dtype=np.int64)
    column = batch.column("time")
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            column = pc.assume_timezone(column, options.zone, ambiguous="earliest", nonexistent="latest")
        whole = column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
    elif pa.types.is_integer(column.type):
        whole = column.cast(pa.int64())
        ratio = _RATIO.get(options.time_unit)
        whole = pc.multiply_checked(whole, ratio) if ratio else pc.divide(whole, 1000)
    else:
        payload.problem(
            None,
            "time",
            "wrong_type",
            "time 열은 timestamp나 정수여야 해요.",
            "The column time has to hold timestamps or integers.",
        )
        return None
    return pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)


def _values(payload: Payload, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array] | None:
    names = batch.schema.names
    nothing = pa.nulls(batch.num_rows, pa.string())
    if "value" not in names:
        number = _number(batch.column("number")) if "number" in names else (pa.nulls(batch.num_rows, pa.float64()), nothing)
        text = _number(batch.column("text")) if "text" in names else (None, nothing)
        if number is None or text is None:
            _wrong_value(payload)
            return None
        return number[0], pc.coalesce(text[1], number[1])
    found = _number(batch.column("value"))
    if found is None:
        _wrong_value(payload)
        return None
    return found[0] if found[0] is not None else pa.nulls(batch.num_rows, pa.float64()), found[1]


def _number(column: pa.Array) -> tuple[pa.Array | None, pa.Array] | None:
    """Numbers and texts of one column; None when its type is neither."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.dictionary_decode()
        type_ = column.type
    nothing = pa.nulls(len(column), pa.string())
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pa.nulls(len(column), pa.float64()), column.cast(pa.string())
    if pa.types.is_floating(type_):
        wide = column.cast(pa.float64())
        return pc.if_else(pc.is_finite(wide), wide, None), nothing
    if pa.types.is_boolean(type_):
        return column.cast(pa.uint8()).cast(pa.float64()), nothing
    if pa.types.is_integer(type_):
        if type_.bit_width < 64:
            return column.cast(pa.float64()), nothing
        # Beyond 2^53 a float64 would round: such a number is kept as its digits.
        limit = pa.scalar(_EXACT, type_)
        inside = pc.less_equal(column, limit)
        if pa.types.is_signed_integer(type_):
            inside = pc.and_(inside, pc.greater_equal(column, pa.scalar(-_EXACT, type_)))
        small = pc.if_else(inside, column, None).cast(pa.float64())
        return small, pc.if_else(inside, None, column.cast(pa.string()))
    return None


def _wrong_value(payload: Payload) -> None:
    payload.problem(
        None,
        "value",
        "wrong_type",
        "value 열은 수, 글자, 참거짓이어야 해요.",
        "The column value has to hold numbers, texts or truths.",
    )


def _quality(payload: Payload, batch: pa.RecordBatch, number: pa.Array, text: pa.Array) -> Any:  # noqa: ANN401
    absent = pc.and_(number.is_null(), text.is_null()).to_numpy(zero_copy_only=False)
    if "quality" not in batch.schema.names:
        return np.where(absent, np.uint32(BAD), np.uint32(0)).astype(np.uint32)
    column = batch.column("quality")
    if not pa.types.is_integer(column.type):
        payload.problem(
            None,
            "quality",
            "bad_quality",
            "quality 열은 OPC UA 상태 코드(정수)예요.",
            "The column quality holds OPC UA status codes (integers).",
        )
        return None
    code = pc.fill_null(column.cast(pa.uint32()), 0).to_numpy(zero_copy_only=False)
    return np.where(absent & (code == 0), np.uint32(BAD), code).astype(np.uint32)


def _compressed(body: bytes) -> bool:
    """Whether any message of a stream is compressed: a small body could then unfold to more than there is memory.

    Source:
        Apache Arrow, format/Message.fbs: Message {version, header_type, header, bodyLength}; RecordBatch {length, nodes, buffers, compression}.

    Raises:
        struct.error: The stream breaks off.
    """
    at = 0
    while at + 8 <= len(body):
        (size,) = struct.unpack_from("<i", body, at)
        at += 4
        if size == -1:
            (size,) = struct.unpack_from("<i", body, at)
            at += 4
        if size == 0:
            return False
        if size < 0 or at + size > len(body):
            raise ValueError("message")
        head = memoryview(body)[at : at + size]
        (root,) = struct.unpack_from("<I", head, 0)
        kind_at, header_at, length_at = (_field(head, root, number) for number in (1, 2, 3))
        kind = head[kind_at] if kind_at else 0
        length = struct.unpack_from("<q", head, length_at)[0] if length_at else 0
        if length < 0:
            raise ValueError("message")
        if kind in (_RECORDS, _DICTIONARY) and header_at:
            table = header_at + struct.unpack_from("<I", head, header_at)[0]
            if kind == _DICTIONARY:
                data_at = _field(head, table, 1)
                table = data_at + struct.unpack_from("<I", head, data_at)[0]
            if _field(head, table, 3):
                return True
        at += size + length
    return False


def _field(head: memoryview, table: int, number: int) -> int:
    """Where a field of a flat-buffers table stands; 0 = it is absent."""
    vtable = table - struct.unpack_from("<i", head, table)[0]
    (size,) = struct.unpack_from("<H", head, vtable)
    if 4 + 2 * number + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", head, vtable + 4 + 2 * number)
    return table + offset if offset else 0
