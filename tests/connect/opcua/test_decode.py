"""The fast reader of notifications agrees with asyncua's slow one, and one bad value does not spoil the others."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect.opcua._decode import ARRAY, RAW_TEXT, decode_publish
from madang.connect.opcua._history import ticks

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
V = ua.VariantType
PLAIN = {
    V.Boolean: st.booleans(),
    V.SByte: st.integers(-128, 127),
    V.Byte: st.integers(0, 255),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1),
    V.Int32: st.integers(-(2**31), 2**31 - 1),
    V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1),
    V.UInt64: st.integers(0, 2**64 - 1),
    V.Float: st.floats(width=32, allow_nan=False),
    V.Double: st.floats(allow_nan=False),
    V.String: st.one_of(st.none(), st.text(max_size=20)),
}
variants = st.one_of(
    st.just(ua.Variant(None, V.Null)),
    *[st.builds(ua.Variant, values, st.just(kind)) for kind, values in PLAIN.items()],
    st.lists(st.integers(0, 9), min_size=1, max_size=5).map(lambda value: ua.Variant(value, V.Int32)),
    st.text(max_size=8).map(lambda text: ua.Variant(ua.LocalizedText(text, "ko"), V.LocalizedText)),
)
moments = st.one_of(st.none(), st.integers(0, 10**12).map(lambda us: NOW + timedelta(microseconds=us)))
values = st.builds(
    lambda variant, status, source, server: ua.DataValue(variant, ua.StatusCode(status), source, server),
    variants,
    st.sampled_from([0, 0x40900000, 0x80310000, 0x00960480]),
    moments,
    moments,
)


def response(items: list[tuple[int, ua.DataValue]], sequence: int = 7) -> bytes:
    answer = ua.PublishResponse()
    answer.Parameters.SubscriptionId = 3
    answer.Parameters.AvailableSequenceNumbers = [5, 6]
    notice = ua.DataChangeNotification()
    for handle, value in items:
        item = ua.MonitoredItemNotification()
        item.ClientHandle, item.Value = handle, value
        notice.MonitoredItems.append(item)
    answer.Parameters.NotificationMessage.SequenceNumber = sequence
    answer.Parameters.NotificationMessage.PublishTime = NOW
    answer.Parameters.NotificationMessage.NotificationData = [notice] if items else []
    return bytes(struct_to_binary(answer))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), values), max_size=12))
def test_the_fast_reader_gives_what_the_slow_one_gives(items: list[tuple[int, ua.DataValue]]) -> None:
    body = response(items)
    slow = struct_from_binary(ua.PublishResponse, Buffer(body)).Parameters

    fast = decode_publish(body)

    assert (fast.subscription, fast.sequence, fast.keep_alive) == (3, 7, not items)
    expected = [one for data in slow.NotificationMessage.NotificationData for one in data.MonitoredItems]
    assert len(fast.rows) == len(expected)
    for (handle, kind, value, status, source, server), one in zip(fast.rows, expected, strict=True):
        assert (handle, status) == (one.ClientHandle, int(one.Value.StatusCode.value))
        held: Any = value.Value if kind == ARRAY and isinstance(value, ua.Variant) else value
        assert held == one.Value.Value.Value
        assert (source, server) == (ticks(one.Value.SourceTimestamp), ticks(one.Value.ServerTimestamp))


def test_a_notification_cut_in_the_middle_gives_what_came_before_and_says_how_much_is_lost() -> None:
    body = bytearray(response([(number, ua.DataValue(ua.Variant(1.5, V.Double))) for number in range(4)]))
    at = body.rindex(struct.pack("<IB", 2, 3))
    body[at + 5 : at + 10] = struct.pack("<Bi", 12, 1_000_000)  # a text longer than its message

    read = decode_publish(bytes(body))

    assert [row[0] for row in read.rows] == [0, 1]
    assert read.broken
    assert read.broken_values == 2


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x01\x00=\x03", bytes(60), b"\xff" * 200])
def test_what_is_no_publish_response_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a publish response"):
        decode_publish(body[:20])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_bytes_of_a_hostile_server_never_break_the_reader(noise: bytes, at: int) -> None:
    good = response([(1, ua.DataValue(ua.Variant(1.0, V.Double))), (2, ua.DataValue(ua.Variant("가", V.String)))])
    try:
        decode_publish(good[: len(good) - at] + noise)
    except ValueError:
        return


def test_picoseconds_stand_behind_the_time_to_which_they_belong() -> None:
    """OPC 10000-6, 5.2.2.17: value, status, source time, its picoseconds, server time, its picoseconds (asyncua 2.1 mixes them up)."""
    for value in (struct.pack("<Bd", 11, 1.5), struct.pack("<Bi", 12, 1) + b"x"):
        plain = response([(1, ua.DataValue(ua.Variant(9.25, V.Double)))])
        start = plain.rindex(struct.pack("<IB", 1, 3)) - 4
        item = struct.pack("<iIB", 1, 1, 0x3D) + value + struct.pack("<qHqH", 1000, 7, 2000, 8)
        length = struct.pack("<i", len(item) + 4)
        body = plain[: start - 4] + length + item + struct.pack("<i", -1) + plain[start + 4 + 5 + 9 + 4 + 4 :]

        ((_, _, _, status, source, server),) = decode_publish(body).rows

        assert (status, source, server) == (0, 1000, 2000)


def test_a_text_that_is_not_utf8_keeps_its_bytes() -> None:
    body = response([(1, ua.DataValue(ua.Variant("AB", V.String)))]).replace(b"AB", "가".encode("cp949"))

    assert decode_publish(body).rows[0][1:3] == (RAW_TEXT, "가".encode("cp949"))
