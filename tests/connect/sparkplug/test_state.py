"""How the host shows itself: named after the assertions of the Sparkplug test kit (their ids stand in the names and in `covers`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from madang.connect import ConnectionSettings
from madang.connect.sparkplug import make
from madang.connect.sparkplug._wire import DataType, decode
from tests.connect.mqtt.sinks import MemorySink, running, until
from tests.connect.sparkplug.covers import covers
from tests.connect.sparkplug.edge import Edge
from tests.connect.sparkplug.recorder import Connection, Recorder

TEMPERATURE = {"온도": (DataType.DOUBLE, 731.5)}


def settings(url: str, **options: str) -> ConnectionSettings:
    return ConnectionSettings("line", "sparkplug", url, {"host_id": "H1", "wait": "1", **options})


@contextmanager
def hosting(**options: str) -> Iterator[tuple[Recorder, MemorySink]]:
    sink = MemorySink()
    with Recorder() as recorder, running(make(settings(recorder.url, **options)), sink):
        until(lambda: bool(recorder.connections) and bool(recorder.connections[0].published()))
        yield recorder, sink


def whole_life() -> Connection:
    with hosting() as (recorder, _):
        pass
    return recorder.connections[0]


@pytest.fixture(scope="module")
def life() -> Connection:
    """One connection of a host from its beginning to its wanted end."""
    return whole_life()


@covers(
    "message-flow-phid-sparkplug-clean-session-50",
    "host-topic-phid-death-required",
    "operational-behavior-host-application-connect-will",
    "payloads-state-will-message",
)
def test_it_connects_with_a_clean_session_and_a_will(life: Connection) -> None:
    assert (life.clean, life.expiry) == (True, 0)
    assert life.will is not None


@covers(
    "host-topic-phid-death-topic",
    "host-topic-phid-death-qos",
    "host-topic-phid-death-retain",
    "operational-behavior-host-application-connect-will-topic",
    "operational-behavior-host-application-connect-will-qos",
    "operational-behavior-host-application-connect-will-retained",
    "payloads-state-will-message-qos",
    "payloads-state-will-message-retain",
)
def test_its_will_lies_on_its_state_topic_with_qos_1_and_retained(life: Connection) -> None:
    assert life.will is not None
    assert (life.will.topic, life.will.qos, life.will.retain) == ("spBv1.0/STATE/H1", 1, True)


@covers(
    "host-topic-phid-death-payload",
    "host-topic-phid-death-payload-timestamp-connect",
    "operational-behavior-host-application-connect-will-payload",
    "payloads-state-will-message-payload",
)
def test_its_will_says_offline_with_the_time_of_the_connection(life: Connection) -> None:
    assert life.will is not None
    said = json.loads(life.will.payload)
    assert said["online"] is False
    assert isinstance(said["timestamp"], int)
    assert json.loads(life.published()[0].payload)["timestamp"] == said["timestamp"]


@covers(
    "host-topic-phid-birth-sub-required",
    "host-topic-phid-birth-required",
    "host-topic-phid-birth-message",
    "message-flow-phid-sparkplug-subscription",
    "message-flow-phid-sparkplug-state-publish",
    "operational-behavior-host-application-connect-birth",
    "payloads-state-subscribe",
)
def test_it_subscribes_first_and_then_its_first_message_is_its_birth(life: Connection) -> None:
    assert life.acts[:2] == ["CONNECT", "SUBSCRIBE"]
    assert life.acts[2] is life.published()[0]
    assert set(life.filters) == {"spBv1.0/+/#", "spBv1.0/STATE/H1"}


@covers(
    "host-topic-phid-birth-topic",
    "host-topic-phid-birth-qos",
    "host-topic-phid-birth-retain",
    "operational-behavior-host-application-connect-birth-topic",
    "operational-behavior-host-application-connect-birth-qos",
    "operational-behavior-host-application-connect-birth-retained",
    "payloads-state-birth",
    "intro-sparkplug-host-state",
    "components-ph-state",
    "conformance-primary-host",
)
def test_its_birth_lies_on_its_state_topic_with_qos_1_and_retained(life: Connection) -> None:
    birth = life.published()[0]
    assert (birth.topic, birth.qos, birth.retain) == ("spBv1.0/STATE/H1", 1, True)


@covers(
    "host-topic-phid-birth-payload",
    "host-topic-phid-birth-payload-timestamp",
    "message-flow-phid-sparkplug-state-publish-payload",
    "message-flow-phid-sparkplug-state-publish-payload-timestamp",
    "operational-behavior-host-application-connect-birth-payload",
    "payloads-state-birth-payload",
)
def test_its_birth_says_online_with_the_time_of_its_will(life: Connection) -> None:
    assert life.will is not None
    assert json.loads(life.published()[0].payload) == {"online": True, "timestamp": json.loads(life.will.payload)["timestamp"]}


@covers(
    "operational-behavior-host-application-termination",
    "operational-behavior-host-application-death-topic",
    "operational-behavior-host-application-death-payload",
    "operational-behavior-host-application-death-qos",
    "operational-behavior-host-application-death-retained",
    "operational-behavior-host-application-disconnect-intentional",
    "host-topic-phid-death-payload-timestamp-disconnect-clean",
)
def test_it_publishes_its_death_before_it_leaves(life: Connection) -> None:
    birth, death = life.published()[0], life.published()[-1]
    assert (death.topic, death.qos, death.retain) == ("spBv1.0/STATE/H1", 1, True)
    said = json.loads(death.payload)
    assert said["online"] is False
    assert said["timestamp"] >= json.loads(birth.payload)["timestamp"]
    assert life.acts[-1] == "DISCONNECT"


@covers("operational-behavior-primary-application-state-with-multiple-servers-state")
def test_each_new_connection_begins_with_a_birth_of_its_own_time() -> None:
    with hosting() as (recorder, sink):
        recorder.cut(recorder.connections[0])
        until(lambda: len(recorder.connections) == 2 and bool(recorder.connections[1].published()))
        until(lambda: sink.states.count("connected") == 2)
    first, second = recorder.connections
    assert second.acts[:2] == ["CONNECT", "SUBSCRIBE"]
    assert json.loads(second.published()[0].payload)["timestamp"] > json.loads(first.published()[0].payload)["timestamp"]
    (gap,) = sink.gaps.values()
    assert (gap.cause, gap.whole) == ("disconnected", None)


@covers("message-flow-hid-sparkplug-state-message-delivered")
def test_it_contradicts_a_death_of_its_own_that_comes_while_it_lives() -> None:
    with hosting() as (recorder, _):
        born = recorder.connections[0].published()[0]
        recorder.send("spBv1.0/STATE/H1", b'{"online": true, "timestamp": 1}')
        recorder.send("spBv1.0/STATE/H1", b"nonsense")
        recorder.send("spBv1.0/STATE/H1", b'{"online": false, "timestamp": 1}')
        until(lambda: len(recorder.connections[0].published()) == 2)
        assert recorder.connections[0].published()[1] == born


@covers(
    "operational-behavior-data-commands-ncmd-rebirth-verb",
    "operational-behavior-data-commands-ncmd-rebirth-name",
    "operational-behavior-data-commands-ncmd-rebirth-value",
    "operational-behavior-data-commands-ncmd-verb",
    "topics-ncmd-topic",
    "topics-ncmd-mqtt",
    "topics-ncmd-timestamp",
    "topics-ncmd-payload",
    "payloads-ncmd-timestamp",
    "payloads-ncmd-seq",
    "payloads-ncmd-qos",
    "payloads-ncmd-retain",
)
def test_data_of_a_node_that_it_does_not_know_makes_it_ask_for_a_birth_once() -> None:
    edge = Edge()
    with hosting() as (recorder, sink):
        for _ in range(5):
            recorder.send(*edge.data((1, DataType.DOUBLE, 1.0)))
        until(lambda: len(sink.rejects) == 5)
        until(lambda: len(recorder.connections[0].published()) == 2)
        birth, request = recorder.connections[0].published()
    assert len(recorder.connections[0].published()) == 3  # birth, request, death
    assert (request.topic, request.qos, request.retain) == ("spBv1.0/공장/NCMD/E1", 0, False)
    payload = decode(request.payload)
    (metric,) = payload.metrics
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", DataType.BOOLEAN, True)
    assert not payload.HasField("seq")
    assert payload.timestamp >= json.loads(birth.payload)["timestamp"]
    assert {reject.code for reject in sink.rejects} == {"unknown_alias"}


def test_values_travel_from_a_birth_to_the_sink_and_a_death_makes_a_gap() -> None:
    edge = Edge(bdseq=3)
    with hosting() as (recorder, sink):
        recorder.send(*edge.nbirth(TEMPERATURE, alias=7))
        recorder.send(*edge.data((7, DataType.DOUBLE, 732.5)))
        until(lambda: sum(map(len, sink.blocks)) == 2)
        recorder.send(*edge.ndeath())
        until(lambda: sum(map(len, sink.blocks)) == 3)
        recorder.send(*edge.nbirth(TEMPERATURE, alias=7))
        until(lambda: sum(map(len, sink.blocks)) == 4)
        recorder.send(*edge.data((7, DataType.DOUBLE, 700.0), historical=True))
        until(lambda: sum(map(len, sink.blocks)) == 5)
        until(lambda: next(iter(sink.gaps.values())).filled == 1)
    rows = [row for block in sink.blocks for row in block.batch.to_pylist()]
    assert {sink.names()[row["tag"]] for row in rows} == {"공장/E1#온도"}
    assert [row["number"] for row in rows] == [731.5, 732.5, None, 731.5, 700.0]
    assert [row["quality"] for row in rows] == [0, 0, 0x80310000, 0, 0]
    assert [block.origin for block in sink.blocks][-1] == "backfill"
    (gap,) = sink.gaps.values()
    assert (gap.cause, gap.tags) == ("disconnected", ("공장/E1#온도",))
    assert gap.until is not None


def test_after_a_restart_the_known_nodes_are_asked_at_once() -> None:
    edge = Edge()
    sink = MemorySink()
    with Recorder() as recorder:
        source = settings(recorder.url)
        with running(make(source), sink):
            until(lambda: bool(recorder.connections))
            recorder.send(*edge.nbirth(TEMPERATURE))
            until(lambda: "nodes" in sink.cursors)
        sink.states.clear()
        with running(make(source), sink):
            until(lambda: len(recorder.connections) == 2 and len(recorder.connections[1].published()) == 2)
    assert [one.topic for one in recorder.connections[1].published()][:2] == ["spBv1.0/STATE/H1", "spBv1.0/공장/NCMD/E1"]


def test_the_namespace_is_a_setting() -> None:
    with hosting(namespace="spCv4.0") as (recorder, sink):
        recorder.send(*Edge(namespace="spCv4.0").nbirth(TEMPERATURE))
        recorder.send(*Edge(node="E2").nbirth(TEMPERATURE))
        until(lambda: bool(sink.blocks))
    assert set(sink.tags) == {"공장/E1#온도"}
    assert recorder.connections[0].published()[0].topic == "spCv4.0/STATE/H1"


def test_only_the_chosen_devices_are_stored() -> None:
    edge, sink = Edge(), MemorySink()
    with Recorder() as recorder:
        given = ConnectionSettings(
            "line", "sparkplug", recorder.url, {"host_id": "H1"}, tags=("공장/E1/소성로", "공장/E1#온도")
        )
        with running(make(given), sink):
            until(lambda: bool(recorder.connections))
            recorder.send(*edge.nbirth({"온도": (DataType.DOUBLE, 1.0), "습도": (DataType.DOUBLE, 2.0)}))
            recorder.send(*edge.dbirth("소성로", TEMPERATURE))
            recorder.send(*edge.dbirth("소성로2", TEMPERATURE))
            recorder.send(*edge.data(("온도", DataType.DOUBLE, 5.0)))
            until(lambda: sum(map(len, sink.blocks)) == 3)
    assert set(sink.tags) == {"공장/E1#온도", "공장/E1/소성로#온도"}
