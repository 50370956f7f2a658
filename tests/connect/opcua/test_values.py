"""Every data type of OPC UA as a sample: exact, with the peer's own status and time, or set aside with a reason."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from madang.connect import Tag
from madang.connect.opcua._columns import BAD_INDEX_NO_DATA, Columnizer, Turned, shortest
from madang.connect.opcua._decode import ARRAY, EPOCH, RAW_TEXT, Row
from madang.connect.opcua._history import as_row
from madang.connect.opcua._items import Items
from madang.connect.opcua._live import microseconds
from madang.connect.opcua._options import read_options
from tests.connect.opcua.servers import settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
US = microseconds(NOW)
AT = EPOCH + 10 * US
V = ua.VariantType


class Turner:
    """One tag, and what becomes of its rows."""

    def __init__(self, data_type: str = "number", known: bool = True, **options: str) -> None:
        self.items = Items()
        self.items.add([(Tag("t", data_type=data_type), "ns=2;s=t", known, False)])  # type: ignore[arg-type]
        self.columnizer = Columnizer(self.items, read_options(settings("opc.tcp://h:1", secrets=None, **options)))
        self.items.fresh[:] = False

    def __call__(self, *rows: Row, received: int = US) -> Turned:
        self.turned = self.columnizer.turn(rows, received)
        return self.turned

    def value(self) -> float | str | None:
        columns = self.turned.columns
        assert columns is not None
        if columns.text:
            return columns.text[-1][1]
        return float(columns.number[-1]) if columns.has_number[-1] else None

    def one(self, value: object, kind: ua.VariantType, at: int = AT) -> float | str | None:
        row = as_row(0, ua.DataValue(ua.Variant(value, kind)))
        self((row[0], row[1], row[2], row[3], at, at))
        return self.value()


def test_a_four_byte_float_is_the_decimal_that_was_meant() -> None:
    assert Turner().one(float(np.float32(23.4)), V.Float) == 23.4


@given(st.floats(width=32, allow_nan=False))
def test_the_shortest_decimal_gives_the_same_four_bytes(value: float) -> None:
    (short,) = shortest(np.array([value]))

    assert np.float32(short).tobytes() == np.float32(value).tobytes()


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_of_any_size_stay_exact(value: int) -> None:
    kind = V.UInt64 if value >= 2**63 else V.Int64

    held = Turner("integer").one(value, kind)

    assert int(held) == value if isinstance(held, str) else held == value and abs(value) <= 2**53


@pytest.mark.parametrize(
    ("value", "kind", "data_type", "expected"),
    [
        (True, V.Boolean, "boolean", 1.0),
        (-128, V.SByte, "integer", -128.0),
        (255, V.Byte, "integer", 255.0),
        (-12, V.Int32, "integer", -12.0),
        (4294967295, V.UInt32, "integer", 4294967295.0),
        (1e300, V.Double, "number", 1e300),
        ("가마 1", V.String, "text", "가마 1"),
        ("", V.String, "text", ""),
        (ua.LocalizedText("가동", "ko"), V.LocalizedText, "text", "가동"),
        (NOW, V.DateTime, "text", "2026-03-01T12:00:00Z"),
        (uuid.UUID(int=7), V.Guid, "text", "00000000-0000-0000-0000-000000000007"),
        (ua.QualifiedName("n", 2), V.QualifiedName, "text", "2:n"),
        (ua.NodeId("x", 3), V.NodeId, "text", "ns=3;s=x"),
        (ua.StatusCode(0x80310000), V.StatusCode, "integer", float(0x80310000)),
    ],
)
def test_each_data_type_has_its_place(value: object, kind: ua.VariantType, data_type: str, expected: object) -> None:
    assert Turner(data_type).one(value, kind) == expected
    assert Turner("number", known=False).one(value, kind) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_finite_number_is_kept_as_the_peer_gave_it(value: float) -> None:
    held = Turner().one(value, V.Double)

    assert isinstance(held, float)
    assert str(held) == str(value)


def test_status_codes_are_kept_to_the_bit_and_a_bad_one_needs_no_value() -> None:
    turn = Turner()

    turned = turn(
        (0, 11, 1.0, 0x40910000, AT, AT), (0, 0, None, 0x808C0000, AT + 10, AT), (0, 11, 2.0, 0x00000480, AT + 20, AT)
    )

    assert turned.columns is not None
    assert turned.columns.quality.tolist() == [0x40910000, 0x808C0000, 0x480]
    assert turned.columns.has_number.tolist() == [True, False, True]


def test_two_values_of_one_time_are_both_kept() -> None:
    turned = Turner()((0, 11, 1.0, 0, AT, AT), (0, 11, 2.0, 0, AT, AT), (0, 11, 2.0, 0, AT, AT))

    assert turned.columns is not None
    assert turned.columns.number.tolist() == [1.0, 2.0, 2.0]


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    assert Turner("text").one("007", V.String) == "007"


def test_the_overflow_bit_tells_from_when_to_when_values_were_lost() -> None:
    turn = Turner()
    turn((0, 11, 1.0, 0, AT, AT))

    turned = turn((0, 11, 2.0, 0x00000480, AT + 50_000_000, AT), (0, 11, 3.0, 0x00000080, AT + 60_000_000, AT))

    assert turned.overflowed == [(0, US, US + 5_000_000)]


def test_a_value_without_source_time_takes_the_servers_and_the_tag_says_so() -> None:
    turn = Turner()

    turned = turn((0, 11, 1.0, 0, 0, AT + 10))

    assert turned.columns is not None
    assert turned.columns.time.tolist() == [US + 1]
    assert turn.items.all[0].tag.facts["time_from"] == "server"
    assert turn((0, 11, 2.0, 0, 0, 0), received=US + 5).columns.time.tolist() == [US + 5]  # type: ignore[union-attr]
    assert turn.items.all[0].tag.facts["time_from"] == "received"


@pytest.mark.parametrize("year", [1970, 2106])
def test_times_of_1970_and_2106_are_set_aside_and_the_rest_goes_on(year: int) -> None:
    turn = Turner()
    far = EPOCH + 10 * microseconds(datetime(year, 1, 1, tzinfo=UTC)) + 1000

    turned = turn((0, 11, 1.0, 0, far, AT), (0, 11, 2.0, 0, AT, AT), (0, 11, 3.0, 0, far, AT))

    assert turned.columns is not None
    assert turned.columns.number.tolist() == [2.0]
    assert turned.set_aside == {"t": 2}
    assert [(reject.code, reject.topic) for reject in turned.rejects] == [("time_out_of_range", "t")]
    assert "time=server" in turned.rejects[0].reason.en


def test_times_of_1970_are_kept_where_the_servers_time_is_asked_for() -> None:
    turned = Turner(time="server")((0, 11, 1.0, 0, EPOCH + 1000, AT))

    assert turned.columns is not None
    assert turned.columns.time.tolist() == [US]


def test_a_text_of_one_megabyte_goes_to_quarantine_whole() -> None:
    turn = Turner("text")

    turned = turn((0, 12, "x" * 1_000_000, 0, AT, AT), (0, 12, "short", 0, AT + 10, AT))

    assert [(reject.code, len(reject.payload)) for reject in turned.rejects] == [("too_large", 1_000_000)]
    assert turn.value() == "short"


@pytest.mark.parametrize(("data_type", "kind", "value"), [("number", 12, "off"), ("text", 11, 1.5)])
def test_a_value_of_another_type_than_its_tag_goes_to_quarantine(data_type: str, kind: int, value: object) -> None:
    turned = Turner(data_type)((0, kind, value, 0, AT, AT))

    assert turned.columns is None
    assert [reject.code for reject in turned.rejects] == ["wrong_type"]
    assert turned.rejects[0].payload == str(value).encode()


def test_a_tag_that_is_always_wrong_is_told_of_once_a_minute() -> None:
    turn = Turner()
    rejects = [turn((0, 12, "off", 0, AT, AT), received=US + second * 1_000_000).rejects for second in range(0, 90, 10)]

    assert [len(found) for found in rejects] == [1, 0, 0, 0, 0, 0, 1, 0, 0]


def test_bytes_and_structures_are_refused_with_a_reason() -> None:
    turn = Turner("number", known=False)

    turned = turn(
        (0, ARRAY, ua.Variant(b"\x00\x01", V.ByteString), 0, AT, AT),
        (0, ARRAY, ua.Variant(ua.Range(1, 2), V.ExtensionObject), 0, AT, AT),
    )

    assert turned.columns is None
    assert [reject.code for reject in turned.rejects] == ["wrong_type"]


def test_old_korean_text_is_read_and_the_tag_says_how() -> None:
    turn = Turner("text")

    turn((0, RAW_TEXT, "가동 중".encode("cp949"), 0, AT, AT))

    assert turn.value() == "가동 중"
    assert turn.items.all[0].tag.facts["encoding"] == "cp949"


def test_each_element_of_an_array_is_a_tag_and_a_shorter_array_says_what_is_gone() -> None:
    turn = Turner()

    turn(as_row(0, ua.DataValue(ua.Variant([1.5, 2.5, 3.5], V.Double), SourceTimestamp=NOW)))
    turned = turn(as_row(0, ua.DataValue(ua.Variant([4.5], V.Double), SourceTimestamp=NOW + timedelta(seconds=1))))

    assert [item.tag.name for item in turn.items.all] == ["t", "t[0]", "t[1]", "t[2]"]
    assert turned.columns is not None
    assert turned.columns.handles.tolist() == [1, 2, 3]
    assert turned.columns.has_number.tolist() == [True, False, False]
    assert turned.columns.quality.tolist() == [0, BAD_INDEX_NO_DATA, BAD_INDEX_NO_DATA]


def test_a_table_of_values_has_tags_by_row_and_column() -> None:
    turn = Turner("integer")
    variant = ua.Variant([[1, 2], [3, 4]], V.Int32)

    turn(as_row(0, ua.DataValue(variant, SourceTimestamp=NOW)))

    assert [item.tag.name for item in turn.items.all[1:]] == ["t[0,0]", "t[0,1]", "t[1,0]", "t[1,1]"]


def test_an_array_beyond_the_limit_is_refused_with_its_size() -> None:
    turn = Turner(array_limit="10")

    turned = turn(as_row(0, ua.DataValue(ua.Variant([0.0] * 11, V.Double), SourceTimestamp=NOW)))

    assert turned.columns is None
    assert [reject.code for reject in turned.rejects] == ["too_large"]
    assert "11" in turned.rejects[0].reason.en


def test_the_first_value_after_subscribing_anew_is_not_kept_twice() -> None:
    turn = Turner()
    turn((0, 11, 1.0, 0, AT, AT))
    turn.items.fresh[0] = True

    turned = turn((0, 11, 1.0, 0, AT, AT + 50))

    assert turned.columns is None
    assert turned.repeated == 1


def test_an_unchanged_value_answers_the_mark_of_an_interruption_at_the_servers_time() -> None:
    turn = Turner()
    turn((0, 11, 1.0, 0, AT, AT))
    turn.items.fresh[0] = True
    turn.items.marked[0] = US + 5_000_000

    turned = turn((0, 11, 1.0, 0, AT, AT + 90_000_000))

    assert turned.columns is not None
    assert turned.columns.time.tolist() == [US + 9_000_000]
    assert turned.columns.quality.tolist() == [0]
    assert turn.items.all[0].tag.facts["time_after_interruption"] == "server"


def test_a_passwords_place_is_not_in_the_options_text(tmp_path: Path) -> None:
    options = read_options(settings("opc.tcp://h:1", secrets={"password": "s3cret"}, user="op"))

    assert "s3cret" not in f"{options} {options!r}"
