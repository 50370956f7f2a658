"""A pushed body becomes samples; what cannot be taken is named by number and field, and nothing is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect.http._payload import Payload, PayloadFormat, PushOptions
from madang.plant import BAD, UNCERTAIN_LAST_USABLE

NOW = 1_790_000_000_000_000  # 2026-09-21T13:33:20Z
T = "2026-05-30T18:00:00Z"
T_US = 1_780_164_000_000_000


def _read(body: object, form: str = "json", **options: str) -> Payload:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Payload.read(raw, cast(PayloadFormat, form), replace(PushOptions(), **options), NOW)  # type: ignore[arg-type]


def _rows(payload: Payload) -> list[tuple[str, int, float | None, str | None, int]]:
    block = payload.block(range(len(payload.names)), NOW)
    if block is None:
        return []
    columns = [block.batch.column(0), block.batch.column(1).cast(pa.int64()), *block.batch.columns[2:]]
    return [(payload.names[row[0]], *row[1:]) for row in zip(*(c.to_pylist() for c in columns), strict=True)]


def _stream(table: dict[str, Any], metadata: dict[str, str] | None = None, compression: str | None = None) -> bytes:
    batch = pa.record_batch(table)
    if metadata:
        batch = batch.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def test_the_hand_counted_instant_is_right() -> None:
    assert datetime(2026, 5, 30, 18, tzinfo=UTC).timestamp() * 1e6 == T_US


def test_one_sample_a_list_lines_and_values_of_one_time_say_the_same() -> None:
    expected = [("a", T_US, 1.5, None, 0), ("b", T_US, 2.0, None, 0)]
    items = [{"tag": "a", "time": T, "value": 1.5}, {"tag": "b", "time": T, "value": 2}]
    assert _rows(_read(items[0])) == expected[:1]
    assert _rows(_read(items)) == expected
    assert _rows(_read({"samples": items})) == expected
    assert _rows(_read(b"\n".join(json.dumps(i).encode() for i in items) + b"\n\n", "ndjson")) == expected
    assert _rows(_read({"time": T, "values": {"a": 1.5, "b": 2}})) == expected
    arrow = _stream({"tag": ["a", "b"], "time": pa.array([T_US, T_US], pa.timestamp("us", "UTC")), "value": [1.5, 2.0]})
    assert _rows(_read(arrow, "arrow")) == expected


@pytest.mark.parametrize(
    ("value", "number", "text", "quality"),
    [
        (True, 1.0, None, 0),
        ("정지", None, "정지", 0),
        (None, None, None, BAD),
        (2**53, float(2**53), None, 0),
        (2**53 + 1, None, "9007199254740993", 0),
        (-(2**80), None, str(-(2**80)), 0),
        (-0.0, -0.0, None, 0),
    ],
)
def test_a_value_is_kept_as_it_was_sent(value: object, number: float | None, text: str | None, quality: int) -> None:
    [row] = _rows(_read({"tag": "a", "time": T, "value": value}))
    assert (repr(row[2]), *row[3:]) == (repr(number), text, quality)


def test_a_quality_is_a_word_or_a_status_code_and_an_absent_value_is_never_good() -> None:
    items = [
        {"tag": "a", "time": T, "value": 1, "quality": quality}
        for quality in ("good", "Uncertain", "bad", UNCERTAIN_LAST_USABLE)
    ]
    assert [row[4] for row in _rows(_read(items))] == [0, 0x40000000, BAD, UNCERTAIN_LAST_USABLE]
    [row] = _rows(_read({"tag": "a", "time": T, "value": None, "quality": UNCERTAIN_LAST_USABLE}))
    assert row[2:] == (None, None, UNCERTAIN_LAST_USABLE)
    arrow = _stream(
        {"tag": ["a", "a"], "time": pa.array([T_US] * 2, pa.timestamp("us", "UTC")), "value": [float("nan"), float("inf")]}
    )
    assert [row[2:] for row in _rows(_read(arrow, "arrow"))] == [(None, None, BAD)] * 2


@pytest.mark.parametrize(
    ("time", "options", "expected"),
    [
        ("2026-05-31T03:00:00", {}, T_US),
        ("2026-05-31T03:00:00+09:00", {}, T_US),
        ("2026-05-30T18:00:00.123456789Z", {}, T_US + 123_456),
        (T_US // 1000, {}, T_US),
        (T_US / 1e6, {"time_unit": "s"}, T_US),
        (T_US * 1000 + 999, {"time_unit": "ns"}, T_US),
        (None, {"missing_time": "received"}, NOW),
    ],
)
def test_times_are_read_as_the_connection_says(time: object, options: dict[str, str], expected: int) -> None:
    [row] = _rows(_read({"tag": "a", "time": time, "value": 1}, **options))
    assert row[1] == expected


WRONG = [
    ({"time": T, "value": 1}, "tag", "no_tag"),
    ({"tag": 5, "time": T, "value": 1}, "tag", "no_tag"),
    ({"tag": "x" * 2000, "time": T, "value": 1}, "tag", "too_large"),
    ({"tag": "a", "value": 1}, "time", "no_time"),
    ({"tag": "a", "time": "yesterday", "value": 1}, "time", "wrong_type"),
    ({"tag": "a", "time": True, "value": 1}, "time", "wrong_type"),
    ({"tag": "a", "time": "1970-01-01T00:00:05Z", "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": "2106-02-07T06:28:15Z", "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": 10**30, "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": -1.7e308, "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": "0001-01-01T00:00:00+09:00", "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": "0001-01-01T00:00:00", "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": "9999-12-31T23:59:59-12:00", "value": 1}, "time", "time_out_of_range"),
    ({"tag": "a", "time": T}, "value", "no_value"),
    ({"tag": "a", "time": T, "value": {"x": 1}}, "value", "wrong_type"),
    ({"tag": "a", "time": T, "value": "x" * 1_000_000}, "value", "too_large"),
    ({"tag": "a", "time": T, "value": 1, "quality": "great"}, "quality", "bad_quality"),
    ({"tag": "a", "time": T, "value": 1, "quality": -1}, "quality", "bad_quality"),
    ("a", "", "wrong_type"),
]


@pytest.mark.parametrize(("item", "place", "code"), WRONG)
def test_a_wrong_sample_is_named_and_its_neighbours_are_read(item: object, place: str, code: str) -> None:
    good = {"tag": "a", "time": T, "value": 1}
    payload = _read([good, item, good])
    [problem] = payload.problems
    assert (problem.index, problem.field, problem.code) == (1, place, code)
    assert (payload.samples, payload.refused) == (2, 1)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b'"\xff"', b"NaN", b'[{"tag":"a","value":NaN}]', b"5", b"[" * 100_000, b'{"samples": 3}']
)
def test_a_body_that_is_not_what_it_says_is_refused_whole(body: bytes) -> None:
    for form in ("json", "ndjson", "arrow"):
        payload = _read(body, form)
        assert payload.samples == 0
        assert payload.problems or (form == "ndjson" and not body.strip()) or (form == "arrow" and not body)


def test_a_broken_line_hides_no_other_line() -> None:
    payload = _read(
        b'{"tag":"a","time":"2026-05-30T18:00:00Z","value":1}\n{"tag":\n{"tag":"b","time":"2026-05-30T18:00:00Z","value":2}',
        "ndjson",
    )
    assert [row[0] for row in _rows(payload)] == ["a", "b"]
    assert (payload.problems[0].index, payload.problems[0].field) == (1, "line 2")


def test_tags_may_come_with_unit_label_and_range() -> None:
    said = {"name": "a", "unit": "℃", "label": "1구역 온도", "low": 0, "high": 1200, "data_type": "number", "surprise": 1}
    for payload in (
        _read({"tags": [said], "samples": [{"tag": "a", "time": T, "value": 1}]}),
        _read(
            _stream(
                {"tag": ["a"], "time": pa.array([T_US], pa.timestamp("us", "UTC")), "value": [1]},
                {"madang.tags": json.dumps([said])},
            ),
            "arrow",
        ),
    ):
        tag = payload.tags["a"]
        assert (tag.unit, tag.low, tag.high) == ("℃", 0.0, 1200.0)
        assert tag.label is not None
        assert tag.label.ko == "1구역 온도"


@pytest.mark.parametrize(
    "type_", [pa.int8(), pa.uint64(), pa.float32(), pa.bool_(), pa.string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_arrow_type_of_values_is_taken(type_: pa.DataType) -> None:
    value = pa.array(["1", "0"]).cast(type_) if type_ != pa.bool_() else pa.array([True, False])
    table = {"tag": pa.array(["a", "b"]).dictionary_encode(), "time": pa.array([T_US // 1000] * 2), "value": value}
    rows = _rows(_read(_stream(table), "arrow"))
    assert [(r[2], r[3]) for r in rows] in ([(1.0, None), (0.0, None)], [(None, "1"), (None, "0")])


def test_wrong_rows_of_a_stream_are_named_and_the_rest_is_read() -> None:
    table = {
        "tag": pa.array(["a", None, "", "b", "c"]),
        "time": pa.array([T_US, T_US, T_US, 5, T_US], pa.timestamp("us", "UTC")),
        "value": pa.array([1.0, 2.0, 3.0, 4.0, None]),
    }
    payload = _read(_stream(table), "arrow")
    assert [row[0] for row in _rows(payload)] == ["a", "c"]
    assert [(p.index, p.code) for p in payload.problems] == [(1, "no_tag"), (2, "no_tag"), (3, "time_out_of_range")]


def test_compressed_streams_are_refused_before_they_unfold() -> None:
    table = {"tag": ["a"] * 100_000, "time": pa.array([T_US] * 100_000, pa.timestamp("us", "UTC")), "value": np.zeros(100_000)}
    for codec in ("zstd", "lz4"):
        payload = _read(_stream(table, compression=codec), "arrow")
        assert [p.code for p in payload.problems] == ["compressed"]
    assert _read(_stream(table), "arrow").samples == 100_000


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_stream_is_an_answer_and_never_a_crash(data: st.DataObject) -> None:
    body = bytearray(_stream({"tag": ["a", "b"], "time": pa.array([T_US] * 2, pa.timestamp("us", "UTC")), "value": ["x", "y"]}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    payload = _read(bytes(body[:cut]), "arrow")
    assert payload.samples <= 2
    _rows(payload)


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.integers(), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.sampled_from(["tag", "time", "value", "values", "quality", "samples", "tags", "name"]), c, max_size=5), max_leaves=15))  # fmt: skip
def test_any_json_is_read_or_refused_and_never_a_crash(document: object) -> None:
    payload = _read(document)
    assert payload.samples == len(_rows(payload))
