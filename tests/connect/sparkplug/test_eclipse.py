"""Against Eclipse's own JavaScript client, through a real mosquitto."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.connect import ConnectionSettings
from madang.connect.sparkplug import make
from tests.connect.mqtt.broker import Broker
from tests.connect.mqtt.sinks import MemorySink, running, until
from tests.peers import NodeProcess, start_node

pytestmark = pytest.mark.peers
PACKAGE = "sparkplug-client"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as running_broker:
        yield running_broker


def edge(broker: Broker) -> NodeProcess:
    return start_node("sparkplug_edge.js", str(broker.port), "공장", "E1", package=PACKAGE)


def settings(broker: Broker, **options: str) -> ConnectionSettings:
    return ConnectionSettings(
        "line", "sparkplug", broker.url, {"wait": "2", "rebirth_interval": "1", "reorder_timeout": "300", **options}
    )


def order(node: NodeProcess, **what: object) -> None:
    node.say(json.dumps(what))


def rows(sink: MemorySink) -> list[tuple[str, object, int]]:
    names = sink.names()
    return [
        (names[row["tag"]], row["number"] if row["text"] is None else row["text"], row["quality"])
        for block in sink.blocks
        for row in block.batch.to_pylist()
    ]


BORN = {
    "공장/E1#위치": -12.0,
    "공장/E1#온도": 731.5,
    "공장/E1#큰수": "9007199254740993",
    "공장/E1#상태": "가동",
    "공장/E1#켜짐": 1.0,
    "공장/E1#작은수": -7.0,
    "공장/E1#시각": "2023-11-14T22:13:20.123Z",
    "공장/E1#수": 4_000_000_000.0,
    "공장/E1#표[0].구역": "상부",
    "공장/E1#표[0].값": 1.5,
    "공장/E1#표[1].구역": "하부",
    "공장/E1#표[1].값": 2.5,
    "공장/E1/K#압력": 0.5,
}


def test_births_of_eclipses_client_come_whole_and_exact(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker):
        until(lambda: len(rows(sink)) >= len(BORN))
    born = rows(sink)[: len(BORN)]
    assert {name: value for name, value, _ in born} == BORN
    assert {quality for _, _, quality in born} == {0}
    assert sink.tags["공장/E1#온도"].unit == "℃"
    assert sink.rejects == []


def test_data_by_alias_keep_sign_and_type_and_compression_is_undone(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker) as node:
        until(lambda: len(rows(sink)) == len(BORN))
        order(node, data=[[1, "Int32", -13], [3, "UInt64", "18446744073709551615"]])
        order(node, data=[[20, "Float", 0.25]], device="K", compress=True)
        order(node, data=[[2, "Double", 700.5]], compress=True, algorithm="GZIP")
        until(lambda: len(rows(sink)) == len(BORN) + 4)
    assert rows(sink)[len(BORN) :][:4] == [
        ("공장/E1#위치", -13.0, 0),
        ("공장/E1#큰수", "18446744073709551615", 0),
        ("공장/E1/K#압력", 0.25, 0),
        ("공장/E1#온도", 700.5, 0),
    ]


def test_a_host_that_comes_later_asks_once_and_then_knows(broker: Broker) -> None:
    sink = MemorySink()
    with edge(broker) as node, running(make(settings(broker)), sink):
        order(node, data=[[1, "Int32", -1]])
        assert node.line() == {"event": "ncmd", "rebirth": True}
        until(lambda: len(rows(sink)) == len(BORN))
        order(node, data=[[1, "Int32", -2]])
        until(lambda: len(rows(sink)) == len(BORN) + 1)
    assert [reject.code for reject in sink.rejects] == ["unknown_alias"]
    assert rows(sink)[-1][:2] == ("공장/E1#위치", -2.0)


def test_lost_messages_are_a_gap_and_make_the_edge_born_again(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker) as node:
        until(lambda: len(rows(sink)) == len(BORN))
        order(node, skip=3, data=[[1, "Int32", 5]])
        assert node.line() == {"event": "ncmd", "rebirth": True}
        until(lambda: "sequence_jump" in sink.causes())
        until(lambda: len(rows(sink)) > len(BORN) + 1)
    assert rows(sink)[len(BORN)][:2] == ("공장/E1#위치", 5.0)
    assert "3 messages" in next(gap.note for gap in sink.gaps.values() if gap.cause == "sequence_jump")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_when_the_edge_dies_its_values_are_known_no_longer(broker: Broker, end: str) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker) as node:
        until(lambda: len(rows(sink)) == len(BORN))
        if end == "stop":
            order(node, stop=True)
        else:
            node.kill()
        until(lambda: len(rows(sink)) == 2 * len(BORN))
    assert {(value, quality) for _, value, quality in rows(sink)[len(BORN) :]} == {(None, 0x80310000)}
    (gap,) = sink.gaps.values()
    assert (gap.cause, gap.until) == ("disconnected", None)


def test_a_dead_device_takes_only_its_own_values_with_it(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker) as node:
        until(lambda: len(rows(sink)) == len(BORN))
        order(node, ddeath="K")
        until(lambda: len(rows(sink)) == len(BORN) + 1)
    assert rows(sink)[len(BORN)] == ("공장/E1/K#압력", None, 0x80310000)


def test_historical_values_are_no_news(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker) as node:
        until(lambda: len(rows(sink)) == len(BORN))
        order(node, data=[[1, "Int32", 5]], historical=True)
        until(lambda: len(rows(sink)) == len(BORN) + 1)
        kept = sink.blocks[-1]
    assert (kept.origin, kept.batch.column("number").to_pylist()) == ("backfill", [5.0])


def test_browsing_and_reading_ask_the_edges(broker: Broker) -> None:
    with edge(broker) as node:
        order(node, data=[[1, "Int32", -1]])
        source = make(settings(broker))
        steps = [(step.name, step.state) for step in source.test()]
        assert steps[:3] == [("name", "ok"), ("tcp", "ok"), ("login", "ok")]
        order(node, data=[[1, "Int32", -1]])
        more = threading.Timer(0.5, lambda: order(node, data=[[1, "Int32", -1]]))
        more.start()
        assert {tag.name for tag in source.browse()} == set(BORN)
        more.join()


def test_the_broker_restarts_and_the_edge_is_asked_again(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink), edge(broker):
        until(lambda: len(rows(sink)) == len(BORN))
        broker.restart()
        until(lambda: sink.states.count("connected") == 2)
        until(lambda: len(rows(sink)) >= 2 * len(BORN))
    assert "disconnected" in sink.causes()
