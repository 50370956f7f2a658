"""What payloads are taken for: shapes, times, qualities, exact numbers, and everything that is broken."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect import Message, Reject, Tag
from madang.connect.mqtt import describe_payload
from madang.connect.mqtt._decode import PayloadDecoder
from madang.connect.mqtt._rules import rules_of
from madang.errors import UsageError
from madang.plant import BAD, BAD_SENSOR_FAILURE, BAD_TYPE_MISMATCH, GOOD, UNCERTAIN, UNCERTAIN_LAST_USABLE

RECEIVED = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC [us]."""
STAMP = 1_700_000_000_000_000
"""2023-11-14 22:13:20 UTC [us]."""
TOPIC = "공장/1호기"


class Sample(NamedTuple):
    tag: str
    time: int
    value: float | str | None
    quality: int


class Reading(NamedTuple):
    samples: list[Sample]
    rejects: list[Reject]
    tags: dict[str, Tag]


def read(
    *payloads: bytes | str,
    options: Mapping[str, str] | None = None,
    zone: str = "Asia/Seoul",
    retained: bool = False,
    decoder: PayloadDecoder | None = None,
) -> Reading:
    decoder = decoder or PayloadDecoder(rules_of(dict(options or {}), zone))
    tags: dict[str, Tag] = {}
    names: list[str] = []

    def number_of(tag: Tag) -> int:
        tags[tag.name] = tag
        if tag.name not in names:
            names.append(tag.name)
        return names.index(tag.name)

    messages = [
        Message(TOPIC, payload if isinstance(payload, bytes) else payload.encode(), RECEIVED, retained=retained)
        for payload in payloads
    ]
    decoded = decoder.decode(messages, number_of)
    samples = []
    for block in decoded.blocks:
        times = block.batch.column("time").cast("int64").to_pylist()
        for row, time in zip(block.batch.to_pylist(), times, strict=True):
            assert row["number"] is None or row["text"] is None
            samples.append(
                Sample(names[row["tag"]], time, row["number"] if row["text"] is None else row["text"], row["quality"])
            )
    return Reading(samples, list(decoded.rejects), tags)


def one(payload: bytes | str, **wishes: object) -> Sample:
    reading = read(payload, **wishes)  # type: ignore[arg-type]
    assert not reading.rejects
    assert len(reading.samples) == 1
    return reading.samples[0]


# --- shapes


@pytest.mark.parametrize(
    ("payload", "value", "data_type"),
    [
        ("23.5", 23.5, "number"),
        ("-0.0", -0.0, "number"),
        ("42", 42.0, "integer"),
        ("true", 1.0, "boolean"),
        ("false", 0.0, "boolean"),
        ('"가동"', "가동", "text"),
        ("가동", "가동", "text"),
        ('"007"', "007", "text"),
        ("007", "007", "text"),
        ('"123"', "123", "text"),
        ("  23.5\r\n", 23.5, "number"),
        (b"\xef\xbb\xbf23.5", 23.5, "number"),
    ],
)
def test_a_bare_value_is_the_value_of_its_topic(payload: bytes | str, value: float | str, data_type: str) -> None:
    reading = read(payload)
    assert reading.samples == [Sample(TOPIC, RECEIVED, value, GOOD)]
    assert reading.tags[TOPIC].data_type == data_type


def test_one_value_with_its_time_is_the_value_of_its_topic() -> None:
    assert one('{"value": 23.5, "timestamp": 1700000000}') == Sample(TOPIC, STAMP, 23.5, GOOD)


def test_united_manufacturing_hub_payloads_give_one_sample_for_each_key() -> None:
    reading = read('{"timestamp_ms": 1700000000123, "a": 1, "b": 2.5}')
    assert reading.samples == [
        Sample(f"{TOPIC}#a", STAMP + 123_000, 1.0, GOOD),
        Sample(f"{TOPIC}#b", STAMP + 123_000, 2.5, GOOD),
    ]


def test_korean_topics_keys_and_times_are_read() -> None:
    reading = read('{"측정시각": "2023-11-15 07:13:20", "온도": {"상부": 731.5, "하부": 702}, "상태": "가동"}')
    assert reading.samples == [
        Sample("공장/1호기#온도.상부", STAMP, 731.5, GOOD),
        Sample("공장/1호기#온도.하부", STAMP, 702.0, GOOD),
        Sample("공장/1호기#상태", STAMP, "가동", GOOD),
    ]


def test_a_list_of_samples_keeps_each_time() -> None:
    reading = read('[{"ts": 1700000000, "value": 1}, {"ts": 1700000001, "value": 2}]')
    assert [(s.tag, s.time, s.value) for s in reading.samples] == [(TOPIC, STAMP, 1.0), (TOPIC, STAMP + 1_000_000, 2.0)]


def test_two_values_of_one_tag_at_one_time_are_both_kept() -> None:
    reading = read('{"value": 1, "ts": 1700000000}', '{"value": 2, "ts": 1700000000}', '{"value": 2, "ts": 1700000000}')
    assert [(s.time, s.value) for s in reading.samples] == [(STAMP, 1.0), (STAMP, 2.0), (STAMP, 2.0)]


def test_a_list_of_pairs_of_time_and_value_is_read() -> None:
    reading = read('{"온도": [[1700000000000, 1.5], [1700000000500, 2.5]]}')
    assert [(s.tag, s.time, s.value) for s in reading.samples] == [
        (f"{TOPIC}#온도", STAMP, 1.5),
        (f"{TOPIC}#온도", STAMP + 500_000, 2.5),
    ]


def test_a_gateways_list_of_named_values_gives_each_its_own_tag_time_and_quality() -> None:
    payload = (
        '{"timestamp": 1700000009000, "values": [{"id": "Ch1.PLC.T1", "v": 42, "q": true, "t": 1700000000000},'
        ' {"id": "Ch1.PLC.T2", "v": 4, "q": false, "t": 1700000001000}]}'
    )
    assert read(payload).samples == [
        Sample(f"{TOPIC}#Ch1.PLC.T1", STAMP, 42.0, GOOD),
        Sample(f"{TOPIC}#Ch1.PLC.T2", STAMP + 1_000_000, 4.0, BAD),
    ]


def test_an_opc_ua_publisher_keeps_source_time_and_status() -> None:
    payload = (
        '{"Payload": {"Temp": {"Value": 3.25, "SourceTimestamp": "2023-11-14T22:13:20Z",'
        ' "ServerTimestamp": "2023-11-14T22:13:21Z", "StatusCode": {"Code": 2156658688}}}}'
    )
    assert read(payload).samples == [Sample(f"{TOPIC}#Payload.Temp", STAMP, 3.25, BAD_SENSOR_FAILURE)]


def test_three_phases_are_three_values_and_not_a_unit_with_a_value() -> None:
    assert [s.tag for s in read('{"u": 229.9, "v": 230.1, "w": 230.4}').samples] == [f"{TOPIC}#{key}" for key in "uvw"]


def test_a_temperature_called_t_is_no_time() -> None:
    reading = read('{"t": 21.5, "h": 40}')
    assert reading.samples == [Sample(f"{TOPIC}#t", RECEIVED, 21.5, GOOD), Sample(f"{TOPIC}#h", RECEIVED, 40.0, GOOD)]


def test_a_machines_status_is_a_value_and_no_quality() -> None:
    assert read('{"status": "RUN", "speed": 3}').samples[0] == Sample(f"{TOPIC}#status", RECEIVED, "RUN", GOOD)


def test_the_unit_in_a_payload_is_a_fact_of_the_tag() -> None:
    assert read('{"value": 3, "unit": "℃"}').tags[TOPIC].unit == "℃"


# --- settings that settle what guessing cannot


def test_the_options_say_which_field_is_what() -> None:
    options = {
        "time": "kopf.zeit",
        "time_format": "%d.%m.%Y %H:%M:%S",
        "value": "mess",
        "quality": "kopf.guete",
        "quality_scale": "da",
    }
    payload = '{"kopf": {"zeit": "14.11.2023 23:13:20", "guete": 0}, "mess": 7.5, "rest": 1}'
    assert one(payload, options=options, zone="Europe/Berlin") == Sample(TOPIC, STAMP, 7.5, BAD)


def test_a_sequence_number_is_no_value() -> None:
    assert [s.tag for s in read('{"n": 7, "a": 1}', options={"sequence": "n"}).samples] == [f"{TOPIC}#a"]


def test_another_encoding_can_be_set() -> None:
    payload = '{"상태": "가동"}'.encode("cp949")
    assert one(payload, options={"encoding": "cp949"}) == Sample(f"{TOPIC}#상태", RECEIVED, "가동", GOOD)


@pytest.mark.parametrize(
    "options",
    [{"encoding": "klingon"}, {"time_format": "sometime"}, {"quality_scale": "x"}, {"ahead": "-1"}, {"earliest": "gestern"}],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(options: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        rules_of(options, "Asia/Seoul")
    assert refused.value.where["option"] in options


# --- time


@pytest.mark.parametrize(
    ("stamp", "micros"),
    [
        ("1700000000", 0),
        ("1700000000.25", 250_000),
        ("1700000000250", 250_000),
        ("1700000000250001", 250_001),
        ("1700000000250001999", 250_001),
        ('"1700000000"', 0),
        ('"1700000000250"', 250_000),
        ('"2023-11-14T22:13:20Z"', 0),
        ('"2023-11-14T22:13:20.250001999Z"', 250_001),
        ('"2023-11-15T07:13:20+09:00"', 0),
        ('"2023-11-15 07:13:20.5"', 500_000),
        ('"2023/11/15 07:13:20"', 0),
        ('"2023년 11월 15일 오전 07:13:20"', 0),
        ('"20231115071320"', 0),
    ],
)
def test_times_are_read_in_the_ways_plants_write_them(stamp: str, micros: int) -> None:
    assert one(f'{{"value": 1, "timestamp": {stamp}}}').time == STAMP + micros


def test_without_a_time_the_receive_time_stands_and_the_tag_says_so() -> None:
    reading = read('{"value": 1}')
    assert reading.samples[0].time == RECEIVED
    assert reading.tags[TOPIC].facts["time"] == "received"
    assert "time" not in read('{"value": 1, "ts": 1700000000}').tags[TOPIC].facts


def test_a_kept_value_without_a_time_is_not_taken_for_a_fresh_one() -> None:
    assert read("23.5", retained=True).samples == [Sample(TOPIC, RECEIVED, 23.5, UNCERTAIN_LAST_USABLE)]
    assert read('{"value": 1, "ts": 1700000000}', retained=True).samples == [Sample(TOPIC, STAMP, 1.0, GOOD)]


@pytest.mark.parametrize(
    "stamp", ["0", "1", "4294967295", '"1970-01-01T00:00:00Z"', '"2106-02-07T06:28:15Z"', "-1", "1e300", "1" * 40]
)
def test_an_impossible_time_is_quarantined_and_never_replaced(stamp: str) -> None:
    reading = read(f'{{"value": 1, "timestamp": {stamp}}}', '{"value": 2, "timestamp": 1700000000}')
    assert [reject.code for reject in reading.rejects] == ["time_out_of_range"]
    assert [sample.value for sample in reading.samples] == [2.0]


@pytest.mark.parametrize("stamp", ['"soon"', "true", "[]", '"' + "9" * 5000 + '"', '"0000-00-00T00:00:00Z"'])
def test_a_time_that_cannot_be_read_is_quarantined(stamp: str) -> None:
    reading = read(f'{{"value": 1, "timestamp": {stamp}}}')
    assert not reading.samples
    assert reading.rejects[0].code in {"time_unreadable", "time_out_of_range"}


def test_an_hour_that_summer_time_doubles_is_not_guessed() -> None:
    reading = read('{"value": 1, "timestamp": "2023-10-29 02:30:00"}', zone="Europe/Berlin")
    assert [reject.code for reject in reading.rejects] == ["time_ambiguous"]


# --- quality


@pytest.mark.parametrize(
    ("quality", "code"),
    [
        ('"GOOD"', GOOD),
        ('"Bad"', BAD),
        ('"좋음"', GOOD),
        ('"나쁨"', BAD),
        ("true", GOOD),
        ("false", BAD),
        ("192", GOOD),
        ("2147483648", BAD),
        ("2156658688", BAD_SENSOR_FAILURE),
        ("16", BAD_SENSOR_FAILURE),
        ("0", UNCERTAIN),
        ('"Uncertain"', UNCERTAIN),
    ],
)
def test_quality_words_and_codes_are_read(quality: str, code: int) -> None:
    assert one(f'{{"value": 1, "quality": {quality}}}') == Sample(TOPIC, RECEIVED, 1.0, code)


def test_a_bare_zero_means_what_its_scale_says() -> None:
    payload = '{"value": 1, "quality": 0}'
    assert one(payload, options={"quality_scale": "ua"}).quality == GOOD
    assert one(payload, options={"quality_scale": "da"}).quality == BAD
    assert one('{"value": 1, "statusCode": 0}').quality == GOOD


def test_a_products_quality_is_a_value() -> None:
    assert read('{"value": 1, "quality": 0.97}').samples[1] == Sample(f"{TOPIC}#quality", RECEIVED, 0.97, GOOD)


@pytest.mark.parametrize("payload", ['{"value": null}', '{"value": NaN}', '{"value": -Infinity}', "NaN", "null"])
def test_no_value_is_a_sample_without_a_value_and_bad(payload: str) -> None:
    assert one(payload) == Sample(TOPIC, RECEIVED, None, BAD)


def test_beside_a_nan_the_other_values_go_on() -> None:
    assert [s.value for s in read('{"a": NaN, "b": 2}').samples] == [None, 2.0]


# --- exact


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("9007199254740992", 9007199254740992.0),
        ("9007199254740993", "9007199254740993"),
        ("-9007199254740993", "-9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1e400", "1e400"),
        ("1152921504606846976", 1152921504606846976.0),
    ],
)
def test_numbers_beyond_float64_are_kept_in_decimal(number: str, kept: float | str) -> None:
    assert one(f'{{"value": {number}}}').value == kept


@given(
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(st.characters(codec="utf-8"), max_size=30)
)
@settings(max_examples=200, deadline=None)
def test_every_json_scalar_comes_back_as_it_was(value: float | str) -> None:
    sample = one(json.dumps({"value": value, "timestamp_ms": 1700000000000}))
    if isinstance(value, str):
        assert sample.value == value
    elif isinstance(sample.value, str):
        assert int(sample.value) == value
    else:
        assert sample.value == value
        assert sample.value is not None
        assert math.copysign(1, sample.value) == math.copysign(1, value)


# --- type changes


def test_a_change_of_type_is_kept_marked_and_told_once() -> None:
    reading = read("1", "2.5", '"ERR"', '"ERR"', "true", "null", "3")
    assert [(s.value, s.quality) for s in reading.samples] == [
        (1.0, GOOD),
        (2.5, GOOD),
        ("ERR", BAD_TYPE_MISMATCH),
        ("ERR", BAD_TYPE_MISMATCH),
        (1.0, GOOD),
        (None, BAD),
        (3.0, GOOD),
    ]
    assert [reject.code for reject in reading.rejects] == ["wrong_type"]
    assert reading.tags[TOPIC].data_type == "number"


def test_a_restart_remembers_the_first_type() -> None:
    known = read('"A1"').tags[TOPIC]
    decoder = PayloadDecoder(rules_of({}, "Asia/Seoul"))
    decoder.learn({7: known})
    decoded = decoder.decode([Message(TOPIC, b"17", RECEIVED)], lambda tag: 7)
    assert decoded.blocks[0].batch.column("quality").to_pylist() == [BAD_TYPE_MISMATCH]


def test_a_tag_that_began_empty_gets_its_type_from_its_first_value() -> None:
    reading = read("null", '"A1"', '"A2"')
    assert [s.quality for s in reading.samples] == [BAD, GOOD, GOOD]
    assert reading.tags[TOPIC].data_type == "text"
    assert "type" not in reading.tags[TOPIC].facts


# --- broken


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"a": 1', "malformed"),
        (b"[1, 2", "malformed"),
        (b'"open', "malformed"),
        (b"\xff\xfe\x00\x01", "malformed"),
        ("가동".encode("cp949"), "malformed"),
        (b"\x00\x01\x02", "malformed"),
        (b'"\\ud800"', "malformed"),
        (b'{"\\ud800": NaN}', "malformed"),
        (b"", "no_value"),
        (b"{}", "no_value"),
        (b"[]", "no_value"),
        (b'{"timestamp": 1700000000}', "no_value"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "too_deep"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "too_deep"),
        (b"[" + b"NaN," * 3 + b"[" * 100_000, "too_deep"),
        (b'{"value": "' + b"x" * 1_000_000 + b'"}', "too_large"),
        (b'"' + b"x" * 5_000_000 + b'"', "too_large"),
        (b"1" * 5_000, "malformed"),
        (json.dumps({"k" * 1_000: 1}).encode(), "malformed"),
        (json.dumps({str(i): 1 for i in range(6_000)}).encode(), "too_many_values"),
    ],
)
def test_a_broken_message_is_quarantined_whole_and_the_next_one_is_read(payload: bytes, code: str) -> None:
    reading = read(payload, "23.5")
    assert [reject.code for reject in reading.rejects] == [code]
    assert reading.rejects[0].payload == payload
    assert reading.rejects[0].reason.ko
    assert reading.samples[-1] == Sample(TOPIC, RECEIVED, 23.5, GOOD)


def test_a_message_in_cp949_is_told_so() -> None:
    assert "encoding=cp949" in read("가동".encode("cp949")).rejects[0].reason.en


def test_a_connection_cannot_be_flooded_with_tags() -> None:
    reading = read(*(json.dumps({f"k{i}": 1}) for i in range(20)), options={"max_tags": "10"})
    assert len(reading.tags) == 10
    assert {reject.code for reject in reading.rejects} == {"too_many_tags"}


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=300, deadline=None)
def test_any_bytes_become_samples_or_a_reject_and_never_an_error(payload: bytes) -> None:
    reading = read(payload, "1")
    assert reading.samples or reading.rejects


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["value", "v", "ts", "time", "t", "quality", "q", "name", "id", "unit", "값", "a", "b.c", ""]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=300, deadline=None)
def test_any_json_becomes_samples_or_a_reject_and_the_same_the_second_time(value: object) -> None:
    payload = json.dumps(value)
    first = read(payload)
    assert first.samples or first.rejects
    decoder = PayloadDecoder(rules_of({}, "Asia/Seoul"))
    assert read(payload, decoder=decoder).samples == first.samples
    again = read(payload, payload)
    half = len(again.samples) // 2
    assert again.samples[:half] == first.samples
    assert [(s.tag, s.time, s.value) for s in again.samples[half:]] == [(s.tag, s.time, s.value) for s in first.samples]


# --- a pasted sample


def test_a_pasted_sample_says_what_it_would_be_taken_for() -> None:
    seen = describe_payload('{"온도": 731.5, "압력": 2, "측정시각": "2026-03-02 08:00:00", "seq": 7}'.encode(), topic="1호기")
    assert seen.shape == "many_values"
    assert dict(seen.options) == {"time": "측정시각", "sequence": "seq"}
    assert [(one.tag, one.value) for one in seen.samples][:2] == [("1호기#온도", 731.5), ("1호기#압력", 2.0)]
    assert seen.samples[0].time.isoformat() == "2026-03-01T23:00:00+00:00"
    assert len(seen.questions) == 2
    assert json.dumps(seen.document(), allow_nan=False)


def test_a_pasted_sample_that_cannot_be_read_says_why() -> None:
    seen = describe_payload(b'{"a": ')
    assert (seen.shape, seen.samples) == ("unreadable", ())
    assert seen.problems[0].ko == "JSON이 깨져 있어요"


def test_a_pasted_sample_without_a_time_says_what_will_stand_for_it() -> None:
    assert "receive time" in describe_payload(b"23.5").questions[0].en
