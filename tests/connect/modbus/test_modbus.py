"""Registers become samples; an answer is never taken for that to another request; what fails, fails alone."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.connect import Block, ConnectionSettings
from madang.connect.modbus import make
from madang.connect.modbus._address import BadAddressError, Item, parse
from madang.connect.modbus._decode import decode
from madang.connect.modbus._link import DeviceSaysNoError, Link, LinkLostError, NoAnswerError
from madang.connect.modbus._plan import plan
from madang.errors import UsageError
from madang.plant import BAD_NO_COMMUNICATION, BAD_NODE_UNKNOWN, GOOD, UNCERTAIN
from tests.connect.modbus.devices import Device
from tests.connect.sql.shelf import Hands, Shelf


def _source(device: Device, points: str, clock: Any = None, **options: str) -> Any:  # noqa: ANN401
    given = {"points": points, "timeout": "2", **options}
    return make(ConnectionSettings("plc", "modbus", f"modbus://127.0.0.1:{device.port}", given), clock=clock or Hands())


def _last(shelf: Shelf) -> dict[str, tuple[float | None, int]]:
    return {name: (number, quality) for name, _, number, _, quality, _ in shelf.samples()}


# ---- addresses


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hr:40001", ("holding", 0, "uint16")),
        ("hr:1", ("holding", 0, "uint16")),
        ("hr:400001", ("holding", 0, "uint16")),
        ("hr/40001", ("holding", 40001, "uint16")),
        ("holding/0:float32:cdab", ("holding", 0, "float32")),
        ("ir:30010:int64", ("input", 9, "int64")),
        ("coil:17", ("coil", 16, "bool")),
        ("di:10001", ("discrete", 0, "bool")),
        ("4x:40005.3", ("holding", 4, "bool")),
        ("hr:65536", ("holding", 65535, "uint16")),
    ],
)
def test_an_address_says_whether_it_counts_from_0_or_1(text: str, meant: tuple[str, int, str]) -> None:
    item = parse(text)
    assert (item.area, item.start, item.kind) == meant


@pytest.mark.parametrize(
    "text",
    ["", "hr", "xx:1", "hr:0", "hr:70000", "hr/65536", "hr/65535:float32", "hr:1.16", "coil:1.2", "coil:1:int16", "hr:1:float16",
     "hr:1:scale=x", "hr:1:scale=NaN", "hr:1:colour=red", "300@hr:1", "hr:1:string0", "hr:-1", "hr:1 OR 1"],
)  # fmt: skip
def test_an_address_that_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse(text)


def test_the_refusal_names_the_point_and_the_part() -> None:
    settings = ConnectionSettings("plc", "modbus", "modbus://h", {"points": "a=hr:1; b=hr:2:float16"})
    with pytest.raises(UsageError) as caught:
        make(settings)
    assert (caught.value.where["point"], caught.value.where["part"]) == ("b", "float16")


# ---- numbers


ORDERED = {"abcd": b"ABCD", "cdab": b"CDAB", "badc": b"BADC", "dcba": b"DCBA"}


@given(
    st.sampled_from(sorted(ORDERED)), st.sampled_from(["int32", "uint32", "int64", "uint64", "float32", "float64"]), st.data()
)
def test_every_order_of_bytes_gives_the_number_back(order: str, kind: str, data: st.DataObject) -> None:
    formats = {"int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f", "float64": ">d"}
    size = 64 if kind.endswith("64") else 32
    if kind.startswith("float"):
        floats = st.floats(allow_nan=False, allow_infinity=False, width=64 if size == 64 else 32)
        value: float | int = data.draw(floats)
    else:
        value = data.draw(st.integers(0, 2**size - 1)) - (2 ** (size - 1) if kind.startswith("int") else 0)
    big = struct.pack(formats[kind], value)
    words = [big[at : at + 2] for at in range(0, len(big), 2)]
    if order in ("cdab", "dcba"):
        words.reverse()
    wire = b"".join(word[::-1] if order in ("badc", "dcba") else word for word in words)
    number, text, quality = decode(parse(f"hr/7:{kind}:{order}"), b"\xff\xff" + wire, 6, "utf-8")
    assert quality == GOOD
    assert (number if text is None else int(text)) == value


@pytest.mark.parametrize(
    ("address", "wire", "expected"),
    [
        ("hr/0:int16", b"\xff\xf4", (-12.0, None, GOOD)),
        ("hr/0:int16:scale=0.1", b"\x00\x03", (0.3, None, GOOD)),
        ("hr/0:int16:scale=0.1:offset=-40", b"\x01\xf4", (10.0, None, GOOD)),
        ("hr/0:int16:none=-32768", b"\x80\x00", (None, None, 0x80000000)),
        ("hr/0:ba", b"\x34\x12", (4660.0, None, GOOD)),
        ("hr/0.0", b"\x00\x01", (1.0, None, GOOD)),
        ("hr/0.15", b"\x00\x01", (0.0, None, GOOD)),
        ("hr/0:uint32", b"\xff\xff\xff\xff", (4294967295.0, None, GOOD)),
        ("hr/0:uint64", b"\xff" * 8, (None, "18446744073709551615", GOOD)),
        ("hr/0:string6", b"LOT\x00zz", (None, "LOT", GOOD)),
        ("hr/0:string4:badc", b"OL-T", (None, "LOT-", GOOD)),
        ("hr/0:string2", b"\xff\xfe", (None, None, 0x80000000)),
    ],
)
def test_a_value_is_what_the_device_shows(address: str, wire: bytes, expected: tuple[float | None, str | None, int]) -> None:
    assert decode(parse(address), wire, 0, "utf-8") == expected


def test_a_number_that_is_none_is_kept_and_uncertain() -> None:
    number, text, quality = decode(parse("hr/0:float32"), b"\x7f\xc0\x00\x00", 0, "utf-8")
    assert number is not None
    assert number != number
    assert (text, quality) == (None, UNCERTAIN)


# ---- blocks


def _items(draw: st.DrawFn) -> list[Item]:
    kinds = st.sampled_from(["uint16", "float32", "int64", "string20"])
    places = draw(st.lists(st.tuples(st.integers(0, 400), kinds, st.integers(1, 2)), max_size=40))
    return [parse(f"{unit}@hr/{start}:{kind}", name=f"p{at}") for at, (start, kind, unit) in enumerate(places)]


@given(st.composite(_items)(), st.integers(0, 30), st.integers(16, 125))
def test_blocks_hold_every_value_whole_once_and_are_never_longer_or_more_holed_than_allowed(
    items: list[Item], gap: int, most: int
) -> None:
    blocks = plan(items, gap, most)
    assert sorted(item.name for block in blocks for item in block.items) == sorted(item.name for item in items)
    for block in blocks:
        assert block.count <= most
        read = set(range(block.start, block.start + block.count))
        wanted = {place for item in block.items for place in range(item.start, item.start + item.count)}
        assert wanted <= read
        holes = sorted(read - wanted)
        longest = run = 0
        for at, place in enumerate(holes):
            run = run + 1 if at and holes[at - 1] == place - 1 else 1
            longest = max(longest, run)
        assert longest <= gap
        assert {item.unit_id for item in block.items} == {block.unit_id}


# ---- the wire


def test_a_late_answer_is_never_taken_for_the_answer_to_the_next_request() -> None:
    first = threading.Event()

    def late_once(request: bytes, proper: bytes) -> list[tuple[float, bytes]]:
        if first.is_set():
            return [(0.0, proper)]
        first.set()
        return [(0.3, proper)]

    with Device(answer=late_once) as device:
        link = Link("127.0.0.1", device.port, 0.15)
        with pytest.raises(NoAnswerError):
            link.read(1, "holding", 100, 1)
        link._timeout = 3
        assert [link.read(1, "holding", at, 1) for at in (200, 300)] == [b"\x00\xc8", b"\x01\x2c"]
        assert link.late == 1
        link.close()


def test_an_answer_that_came_half_before_the_time_out_does_not_shift_the_next_ones() -> None:
    halves: list[bytes] = []

    def half_once(request: bytes, proper: bytes) -> list[tuple[float, bytes]]:
        if not halves:
            halves.append(proper[5:])
            return [(0.0, proper[:5])]
        if len(halves) == 1:
            halves.append(b"")
            return [(0.0, halves[0]), (0.0, proper)]
        return [(0.0, proper)]

    with Device(answer=half_once) as device:
        link = Link("127.0.0.1", device.port, 0.1)
        with pytest.raises(NoAnswerError):
            link.read(1, "holding", 100, 1)
        link._timeout = 3
        assert link.read(1, "holding", 200, 1) == b"\x00\xc8"
        link.close()


@given(st.binary(min_size=0, max_size=40), st.integers(0, 65535))
def test_whatever_comes_instead_is_an_error_of_the_link_and_never_a_value(noise: bytes, start: int) -> None:
    class Wire:
        def __init__(self) -> None:
            self.parts = [noise, b""]

        def settimeout(self, _: float) -> None: ...
        def sendall(self, _: bytes) -> None: ...
        def recv(self, _: int) -> bytes:
            return self.parts.pop(0)

        def close(self) -> None: ...

    link = Link.__new__(Link)
    link._timeout, link._strict, link._number, link._buffer, link.late = 1.0, True, 41, bytearray(), 0
    link._socket = Wire()  # type: ignore[assignment]
    answer = struct.pack(">HHHBBB", 42, 0, 5, 1, 3, 2)
    if noise.startswith(answer) and len(noise) >= 11:
        return
    with pytest.raises((LinkLostError, DeviceSaysNoError)):
        link.read(1, "holding", start, 1)


def test_a_device_that_does_not_number_its_answers_is_believed_only_while_nothing_is_outstanding() -> None:
    def unnumbered(request: bytes, proper: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, b"\x00\x00" + proper[2:])]

    with Device(answer=unnumbered) as device:
        link = Link("127.0.0.1", device.port, 3, strict=False)
        assert link.read(1, "holding", 5, 1) == b"\x00\x05"
        link.close()
        device.answer = lambda request, proper: []
        link = Link("127.0.0.1", device.port, 0.1, strict=False)
        with pytest.raises(LinkLostError):
            link.read(1, "holding", 5, 1)
        link.close()


# ---- following a device


def test_one_bad_address_is_isolated_and_told_once_and_its_neighbours_go_on(hands: Hands) -> None:
    with Device(illegal={5}) as device:
        points = "; ".join(f"p{at}=hr/{at}" for at in range(12))
        source, shelf = _source(device, points, hands), Shelf()
        assert source.round(shelf)
        values = _last(shelf)
        assert values["p5"] == (None, BAD_NODE_UNKNOWN)
        assert all(values[f"p{at}"] == (at, GOOD) for at in range(12) if at != 5)
        assert [(gap["cause"], gap["tags"]) for gap in shelf.gaps.values()] == [("bad_tag", ["p5"])]
        device.requests.clear()
        hands.on(1)
        source.round(shelf)
        assert not any(start <= 5 < start + count for _, _, start, count in device.requests)
        assert sum(name == "p5" for name, *_ in shelf.samples()) == 1
        device.illegal.clear()
        hands.on(61)
        source.round(shelf)
        assert _last(shelf)["p5"] == (5, GOOD)
        assert all(gap["until"] is not None for gap in shelf.gaps.values())
        source.close()


def test_a_silent_device_behind_a_gateway_is_bad_and_a_gap_and_the_others_go_on(hands: Hands) -> None:
    silent = {2}

    def gateway(request: bytes, proper: bytes) -> list[tuple[float, bytes]]:
        return [] if request[6] in silent else [(0.0, proper)]

    with Device(answer=gateway) as device:
        source, shelf = _source(device, "a=1@hr/7; b=2@hr/8; c=3@hr/9; d=2@hr/300", hands, timeout="0.15"), Shelf()
        source.round(shelf)
        assert _last(shelf) == {
            "a": (7, GOOD), "b": (None, BAD_NO_COMMUNICATION), "c": (9, GOOD), "d": (None, BAD_NO_COMMUNICATION),
        }  # fmt: skip
        assert [unit for unit, *_ in device.requests] == [1, 2, 3]
        assert [(gap["cause"], gap["tags"]) for gap in shelf.gaps.values()] == [("disconnected", ["b", "d"])]
        silent.clear()
        hands.on(1)
        source.round(shelf)
        assert _last(shelf)["b"] == (8, GOOD)
        assert all(gap["until"] is not None for gap in shelf.gaps.values())
        source.close()


def test_a_device_that_goes_and_comes_back_leaves_one_gap_and_no_made_up_values(hands: Hands) -> None:
    with Device() as device:
        source, shelf = _source(device, "a=hr/7", hands), Shelf()
        assert source.round(shelf)
        device.drop()
        hands.on(1)
        assert not source.round(shelf)
        assert _last(shelf)["a"] == (None, BAD_NO_COMMUNICATION)
        hands.on(1)
        assert source.round(shelf)
        assert [number for _, _, number, *_ in shelf.samples()] == [7, None, 7]
        (gap,) = shelf.gaps.values()
        assert (gap["cause"], (gap["until"] - gap["since"]).total_seconds()) == ("disconnected", 2.0)
        source.close()


def test_a_network_that_is_cut_without_a_word_is_noticed_and_the_connection_made_anew(hands: Hands) -> None:
    with Device() as device:
        source, shelf = _source(device, "a=hr/7", hands, timeout="0.05"), Shelf()
        source.round(shelf)
        device.answer = lambda request, proper: []
        results = []
        for _ in range(4):
            hands.on(1)
            results.append(source.round(shelf))
        assert results[:3] == [True, True, False]
        assert [(number, quality) for _, _, number, _, quality, _ in shelf.samples()][:2] == [
            (7, GOOD),
            (None, BAD_NO_COMMUNICATION),
        ]
        assert 7 not in [number for _, _, number, *_ in shelf.samples()][1:]
        device.answer = lambda request, proper: [(0.0, proper)]
        source._timeout = 5
        source.close()
        hands.on(1)
        assert source.round(shelf)
        assert _last(shelf)["a"] == (7, GOOD)
        assert all(gap["until"] is not None for gap in shelf.gaps.values())
        source.close()


def test_a_source_that_waits_for_room_in_the_spool_stops_after_that_poll() -> None:
    stop, waiting = threading.Event(), threading.Event()

    class Full(Shelf):
        """Makes the source wait until there is room, and there is some only after it was told to stop."""

        def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
            waiting.set()
            assert stop.wait(30)
            super().put_block(block, done)

    with Device() as device:
        source, shelf = _source(device, "a=hr/7", every="0.01"), Full()
        thread = threading.Thread(target=source.subscribe, args=(shelf, stop))
        thread.start()
        assert waiting.wait(30)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert len(shelf.samples()) == 1


def test_counters_that_wrap_around_are_left_as_they_are(hands: Hands) -> None:
    with Device(registers={0: 65535}) as device:
        source, shelf = _source(device, "count=hr/0", hands), Shelf()
        for value in (65535, 2):
            device.registers[0] = value
            source.round(shelf)
        assert [number for _, _, number, *_ in shelf.samples()] == [65535, 2]
        source.close()


def test_subscribing_polls_until_it_is_told_to_stop_and_reading_gives_one_value_of_each() -> None:
    with Device() as device:
        source, shelf, stop = (
            _source(device, "a=hr/7;온도=hr:11:int16:scale=0.5:unit=degC", every="0.01"),
            Shelf(),
            threading.Event(),
        )
        thread = threading.Thread(target=source.subscribe, args=(shelf, stop))
        thread.start()
        _until(lambda: len(shelf.samples()) >= 6)
        stop.set()
        thread.join(10)
        assert shelf.states[-1][0] == "stopped"
        assert _last(shelf) == {"a": (7, GOOD), "온도": (5, GOOD)}
        block = source.read(["온도", "hr/9", "nonsense"], shelf)
        assert sorted(zip(block.batch.column("number").to_pylist(), block.batch.column("quality").to_pylist(), strict=True), key=str) == [
            (5.0, GOOD), (9.0, GOOD), (None, BAD_NODE_UNKNOWN),
        ]  # fmt: skip
        (tag,) = [tag for tag in source.browse() if tag.name == "온도"]
        assert (tag.unit, tag.facts["from_zero"]) == ("degC", "10")


def test_the_test_says_where_it_fails() -> None:
    with Device(illegal={7}) as device:
        steps = list(_source(device, "a=hr/7").test())
    assert [(step.name, step.state) for step in steps][-1] == ("value", "failed")
    assert "exception 2" in steps[-1].text.en
    with Device() as device:
        assert {step.state for step in _source(device, "a=hr/7").test()} == {"ok", "skipped"}
    assert [(step.name, step.state) for step in _source(device, "a=hr/7").test()][-1] == ("tcp", "failed")


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
