"""What each message means to a host: names, order, deaths, and everything that edges get wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.connect.sparkplug._host import Host, Outcome, Sample
from madang.connect.sparkplug._wire import DataType, Payload, Wire
from madang.plant import BAD, BAD_NO_COMMUNICATION, BAD_NOT_SUPPORTED, BAD_TYPE_MISMATCH, GOOD, UNCERTAIN_LAST_USABLE
from tests.connect.sparkplug.covers import covers
from tests.connect.sparkplug.edge import NOW, Edge, put

SECOND = 1_000_000
D = DataType.DOUBLE


class Hall:
    """A host and the time at which it hears."""

    def __init__(self, **wishes: Wire) -> None:
        self.host = Host(**wishes)
        self.now = NOW * 1_000 + 60 * SECOND
        self.samples: list[Sample] = []
        self.outcomes: list[Outcome] = []

    def hear(self, *messages: tuple[str, bytes]) -> Outcome:
        """Return everything that came of some messages."""
        whole = Outcome()
        for topic, raw in messages:
            self.now += 1_000
            _add(whole, self.host.receive(topic, raw, self.now))
        return whole

    def later(self, seconds: float) -> Outcome:
        self.now += int(seconds * SECOND)
        return self.host.tick(self.now)


def _add(whole: Outcome, part: Outcome) -> None:
    for name in ("samples", "rejects", "rebirths", "lost", "died", "born"):
        getattr(whole, name).extend(getattr(part, name))


def values(out: Outcome) -> list[tuple[str, Wire, int]]:
    return [(sample.tag.name, sample.value, sample.quality) for sample in out.samples]


# --- births, aliases, types


def test_a_birth_gives_values_tags_and_units() -> None:
    edge = Edge()
    topic, raw = edge.nbirth()
    payload = Payload.FromString(raw)
    metric = payload.metrics.add(name="소성로/온도", datatype=D, double_value=731.5, timestamp=NOW + 5)
    for key, datatype, value in (
        ("engUnit", DataType.STRING, "℃"),
        ("engLow", D, 0.0),
        ("engHigh", D, 1200.0),
        ("Quality", DataType.INT32, 192),
    ):
        metric.properties.keys.append(key)
        put(metric.properties.values.add(type=datatype), datatype, value)
    (sample,) = Hall().hear((topic, payload.SerializeToString())).samples
    assert (sample.tag.name, sample.value, sample.time, sample.quality) == (
        "공장/E1#소성로/온도",
        731.5,
        (NOW + 5) * 1_000,
        GOOD,
    )
    assert (sample.tag.unit, sample.tag.low, sample.tag.high) == ("℃", 0.0, 1200.0)


def test_int32_minus_12_stays_minus_12_though_data_carry_neither_type_nor_sign() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"위치": (DataType.INT32, 5)}, alias=1))
    topic, raw = edge.data((1, DataType.INT32, -12))
    assert Payload.FromString(raw).metrics[0].int_value == 4_294_967_284
    assert values(hall.hear((topic, raw))) == [("공장/E1#위치", -12, GOOD)]


@covers("payloads-alias-data-cmd-requirement", "payloads-name-requirement")
def test_an_alias_means_what_the_newest_birth_says() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"a": (D, 1.0), "b": (D, 2.0)}, alias=1))
    assert values(hall.hear(edge.data((2, D, 5.0)))) == [("공장/E1#b", 5.0, GOOD)]
    hall.hear(edge.nbirth({"b": (D, 2.0), "a": (D, 1.0)}, alias=1))
    assert values(hall.hear(edge.data((2, D, 6.0)))) == [("공장/E1#a", 6.0, GOOD)]


def test_a_device_and_its_node_may_use_the_same_names() -> None:
    edge, hall = Edge(), Hall()
    out = hall.hear(edge.nbirth({"T": (D, 1.0)}), edge.dbirth("K", {"T": (D, 2.0)}), edge.data(("T", D, 3.0), device="K"))
    assert values(out) == [("공장/E1#T", 1.0, GOOD), ("공장/E1/K#T", 2.0, GOOD), ("공장/E1/K#T", 3.0, GOOD)]


@covers("topic-structure-namespace-duplicate-device-id-across-edge-node")
def test_two_edges_with_the_same_metric_are_two_tags() -> None:
    first, second, hall = Edge(), Edge(node="E2"), Hall()
    out = hall.hear(first.nbirth({"T": (D, 1.0)}, alias=1), second.nbirth({"T": (D, 2.0)}, alias=1), first.data((1, D, 3.0)))
    assert [name for name, _, _ in values(out)] == ["공장/E1#T", "공장/E2#T", "공장/E1#T"]


def test_a_birth_that_comes_twice_is_stored_once() -> None:
    edge, hall = Edge(), Hall()
    birth = edge.nbirth({"T": (D, 1.0)})
    assert len(hall.hear(birth).samples) == 1
    assert len(hall.hear(birth).samples) == 0


def test_control_metrics_are_no_tags() -> None:
    assert Hall().hear(Edge().nbirth()).samples == []


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, -128),
        (DataType.INT16, -32_768),
        (DataType.INT32, -(2**31)),
        (DataType.INT64, -(2**63)),
        (DataType.UINT8, 255),
        (DataType.UINT16, 65_535),
        (DataType.UINT32, 2**32 - 1),
        (DataType.UINT64, 2**64 - 1),
        (DataType.FLOAT, 0.5),
        (DataType.FLOAT, 23.4),
        (DataType.FLOAT, -1e-38),
        (DataType.DOUBLE, 1e-300),
        (DataType.BOOLEAN, True),
        (DataType.STRING, "가동"),
        (DataType.TEXT, "007"),
        (DataType.UUID, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ],
)
def test_every_simple_type_comes_back_as_it_was(datatype: DataType, value: Wire) -> None:
    edge, hall = Edge(), Hall()
    born = hall.hear(edge.nbirth({"m": (datatype, value)}, alias=3))
    told = hall.hear(edge.data((3, datatype, value)))
    assert [sample.value for sample in born.samples + told.samples] == [value, value]
    assert all(type(sample.value) is type(value) for sample in told.samples)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_int64_comes_back(value: int) -> None:
    assert Hall().hear(Edge().nbirth({"m": (DataType.INT64, value)})).samples[0].value == value


def test_a_date_is_kept_as_text() -> None:
    (sample,) = Hall().hear(Edge().nbirth({"끝": (DataType.DATETIME, 1_700_000_000_123)})).samples
    assert (sample.value, sample.tag.data_type) == ("2023-11-14T22:13:20.123Z", "text")


def test_a_null_is_a_sample_without_a_value() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 1.0)}, alias=1))
    assert values(hall.hear(edge.data((1, D, None)))) == [("공장/E1#m", None, BAD)]
    assert values(hall.hear(edge.data((1, D, float("nan"))))) == [("공장/E1#m", None, BAD)]


@covers("payloads-propertyset-quality-value-value", "payloads-propertyset-quality-value-type")
@pytest.mark.parametrize(("quality", "code"), [(0, BAD), (192, GOOD), (500, UNCERTAIN_LAST_USABLE)])
def test_the_quality_property_is_kept_until_another_is_said(quality: int, code: int) -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 1.0)}, alias=1))
    topic, raw = edge.data((1, D, 2.0))
    payload = Payload.FromString(raw)
    payload.metrics[0].properties.keys.append("Quality")
    payload.metrics[0].properties.values.add(type=3, int_value=quality)
    assert values(hall.hear((topic, payload.SerializeToString()))) == [("공장/E1#m", 2.0, code)]
    assert values(hall.hear(edge.data((1, D, 3.0)))) == [("공장/E1#m", 3.0, code)]


def test_a_data_set_is_taken_apart_by_row_and_column() -> None:
    edge = Edge()
    topic, raw = edge.nbirth()
    payload = Payload.FromString(raw)
    metric = payload.metrics.add(name="표", datatype=DataType.DATASET, timestamp=NOW)
    table = metric.dataset_value
    table.num_of_columns = 2
    table.columns.extend(["구역", "온도"])
    table.types.extend([DataType.STRING, DataType.INT32])
    for name, degrees in (("상부", -12), ("하부", 700)):
        row = table.rows.add()
        row.elements.add(string_value=name)
        row.elements.add(int_value=degrees & 0xFFFFFFFF)
    assert values(Hall().hear((topic, payload.SerializeToString()))) == [
        ("공장/E1#표[0].구역", "상부", GOOD),
        ("공장/E1#표[0].온도", -12, GOOD),
        ("공장/E1#표[1].구역", "하부", GOOD),
        ("공장/E1#표[1].온도", 700, GOOD),
    ]


@covers("payloads-dataset-column-num-headers", "payloads-dataset-types-num")
def test_a_data_set_that_contradicts_itself_is_quarantined_and_the_rest_goes_on() -> None:
    topic, raw = Edge().nbirth()
    payload = Payload.FromString(raw)
    table = payload.metrics.add(name="표", datatype=DataType.DATASET).dataset_value
    table.columns.extend(["a", "b"])
    table.types.append(DataType.DOUBLE)
    payload.metrics.add(name="m", datatype=D, double_value=1.0)
    out = Hall().hear((topic, payload.SerializeToString()))
    assert [reject.code for reject in out.rejects] == ["malformed"]
    assert values(out) == [("공장/E1#m", 1.0, GOOD)]


@covers(
    "payloads-template-definition-nbirth-only",
    "payloads-template-instance-members-data",
    "payloads-template-is-definition-definition",
)
def test_a_template_is_taken_apart_by_member_and_a_partial_one_keeps_its_types() -> None:
    edge, hall = Edge(), Hall()
    topic, raw = edge.nbirth()
    payload = Payload.FromString(raw)
    definition = payload.metrics.add(name="모터", datatype=DataType.TEMPLATE).template_value
    definition.is_definition = True
    definition.metrics.add(name="rpm", datatype=DataType.INT32, int_value=0)
    instance = payload.metrics.add(name="M1", alias=9, datatype=DataType.TEMPLATE, timestamp=NOW).template_value
    instance.template_ref, instance.is_definition = "모터", False
    put(instance.parameters.add(name="극수", type=DataType.INT32), DataType.INT32, 4)
    put(instance.metrics.add(name="rpm", datatype=DataType.INT32), DataType.INT32, -7)
    put(instance.metrics.add(name="상태", datatype=DataType.STRING), DataType.STRING, "정지")
    assert values(hall.hear((topic, payload.SerializeToString()))) == [
        ("공장/E1#M1/극수", 4, GOOD),
        ("공장/E1#M1/rpm", -7, GOOD),
        ("공장/E1#M1/상태", "정지", GOOD),
    ]
    data = edge.payload()
    part = data.metrics.add(alias=9, timestamp=NOW + 1).template_value
    part.is_definition = False
    put(part.metrics.add(name="rpm"), DataType.INT32, -8)
    assert values(hall.hear((edge.topic("NDATA"), data.SerializeToString()))) == [("공장/E1#M1/rpm", -8, GOOD)]


@pytest.mark.parametrize(
    ("datatype", "data", "elements"),
    [
        (DataType.INT8_ARRAY, b"\xef\x7b", [-17, 123]),
        (DataType.INT16_ARRAY, b"\x30\x8a\x30\x75", [-30_160, 30_000]),
        (DataType.UINT32_ARRAY, b"\x34\x00\x00\x00\x00\x00\x00\x80", [52, 2**31]),
        (DataType.FLOAT_ARRAY, b"\x00\x00\x00\x3f", [0.5]),
        (
            DataType.BOOLEAN_ARRAY,
            b"\x0c\x00\x00\x00\x34\xd0",
            [False, False, True, True, False, True, False, False, True, True, False, True],
        ),
        (DataType.STRING_ARRAY, b"ABC\x00hello\x00", ["ABC", "hello"]),
        (DataType.DATETIME_ARRAY, (1_700_000_000_123).to_bytes(8, "little"), ["2023-11-14T22:13:20.123Z"]),
    ],
)
def test_arrays_are_taken_apart_by_place(datatype: DataType, data: bytes, elements: list[Wire]) -> None:
    samples = Hall().hear(Edge().nbirth({"m": (datatype, data)})).samples
    assert [(sample.tag.name, sample.value) for sample in samples] == [
        (f"공장/E1#m[{at}]", one) for at, one in enumerate(elements)
    ]


@pytest.mark.parametrize("datatype", [DataType.BYTES, DataType.FILE])
def test_a_file_is_no_measurement_and_says_so_once(datatype: DataType) -> None:
    edge, hall = Edge(), Hall()
    out = hall.hear(edge.nbirth({"m": (datatype, b"\x00\x01")}, alias=1), edge.data((1, datatype, b"\x02")))
    assert [reject.code for reject in out.rejects] == ["not_supported"]
    assert values(out) == [("공장/E1#m", None, BAD_NOT_SUPPORTED)] * 2


def test_a_value_of_another_type_than_announced_is_marked() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 1.0)}))
    assert values(hall.hear(edge.data(("m", DataType.STRING, "ERR"), typed=True))) == [("공장/E1#m", "ERR", BAD_TYPE_MISMATCH)]


def test_a_text_of_a_megabyte_is_quarantined_and_the_rest_goes_on() -> None:
    out = Hall().hear(Edge().nbirth({"m": (DataType.STRING, "x" * 1_000_000), "n": (D, 1.0)}))
    assert [reject.code for reject in out.rejects] == ["too_large"]
    assert values(out) == [("공장/E1#n", 1.0, GOOD)]


def test_two_values_of_one_metric_at_one_time_are_both_kept() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    out = hall.hear(edge.data((1, D, 1.0), (1, D, 2.0), at=NOW), edge.data((1, D, 2.0), at=NOW))
    assert [(sample.time, sample.value) for sample in out.samples] == [
        (NOW * 1_000, 1.0),
        (NOW * 1_000, 2.0),
        (NOW * 1_000, 2.0),
    ]


# --- death


@covers(
    "operational-behavior-edge-node-termination-host-action-ndeath-node-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale",
)
def test_the_death_of_a_node_makes_all_its_values_unknown_at_the_hosts_time() -> None:
    edge, hall = Edge(bdseq=4), Hall()
    hall.hear(edge.nbirth({"T": (D, 1.0)}), edge.dbirth("K", {"T": (D, 2.0)}))
    out = hall.hear(edge.ndeath())
    assert values(out) == [("공장/E1#T", None, BAD_NO_COMMUNICATION), ("공장/E1/K#T", None, BAD_NO_COMMUNICATION)]
    assert {sample.time for sample in out.samples} == {hall.now}
    node = hall.host.nodes["공장/E1"]
    assert (node.online, node.devices) == (False, {})
    assert out.died == [node]


@covers(
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale",
)
def test_the_death_of_a_device_makes_its_values_unknown_at_the_payloads_time() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"T": (D, 1.0)}), edge.dbirth("K", {"T": (D, 2.0)}))
    out = hall.hear(edge.ddeath("K"))
    assert values(out) == [("공장/E1/K#T", None, BAD_NO_COMMUNICATION)]
    assert out.samples[0].time == edge.now * 1_000
    assert hall.host.nodes["공장/E1"].devices == {"K": False}
    assert hall.host.nodes["공장/E1"].online


def test_a_death_of_an_earlier_connection_kills_nobody() -> None:
    edge, hall = Edge(bdseq=4), Hall()
    hall.hear(edge.nbirth({"T": (D, 1.0)}))
    assert hall.hear(edge.ndeath(bdseq=3)).samples == []
    assert hall.host.nodes["공장/E1"].online


def test_data_of_a_dead_device_are_asked_about() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth(), edge.dbirth("K", {"T": (D, 2.0)}), edge.ddeath("K"))
    out = hall.hear(edge.data(("T", D, 3.0), device="K"))
    assert (out.samples, [node.path for node in out.rebirths]) == ([], ["공장/E1"])


def test_a_metric_that_a_new_birth_leaves_out_is_known_no_longer() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"a": (D, 1.0), "b": (D, 2.0)}))
    assert ("공장/E1#b", None, BAD_NO_COMMUNICATION) in values(hall.hear(edge.nbirth({"a": (D, 1.0)})))


# --- order


@covers("operational-behavior-host-reordering-start", "operational-behavior-host-reordering-success")
def test_messages_out_of_order_wait_for_the_one_that_is_missing() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    first, second, third = (edge.data((1, D, float(number))) for number in (1, 2, 3))
    assert hall.hear(first, third).samples[-1].value == 1.0
    assert [sample.value for sample in hall.hear(second).samples] == [2.0, 3.0]
    late = hall.later(10)
    assert (late.rebirths, late.lost) == ([], [])


@covers("operational-behavior-host-reordering-rebirth", "operational-behavior-host-reordering-param")
@pytest.mark.parametrize("timeout", [0.5, 5.0])
def test_a_message_that_never_comes_is_a_loss_and_makes_the_host_ask(timeout: float) -> None:
    edge, hall = Edge(), Hall(reorder=int(timeout * SECOND))
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1), edge.data((1, D, 1.0)))
    edge.data((1, D, 2.0))
    edge.data((1, D, 3.0))
    hall.hear(edge.data((1, D, 4.0)))
    assert hall.later(timeout * 0.9).lost == []
    out = hall.later(timeout * 0.2)
    assert [(lost.node, lost.count, lost.tags) for lost in out.lost] == [("공장/E1", 2, ("공장/E1#m",))]
    assert [sample.value for sample in out.samples] == [4.0]
    assert [node.path for node in out.rebirths] == ["공장/E1"]
    assert hall.hear(edge.data((1, D, 5.0))).samples[0].value == 5.0


def test_sequence_numbers_go_round_after_255() -> None:
    edge, hall = Edge(), Hall()
    out = hall.hear(edge.nbirth({"m": (D, -1.0)}, alias=1), *(edge.data((1, D, float(number))) for number in range(600)))
    assert [sample.value for sample in out.samples] == [float(number) for number in range(-1, 600)]
    assert hall.later(60).lost == []


@given(st.permutations(range(8)), st.integers(0, 255))
def test_any_order_of_a_few_messages_comes_out_in_order(order: list[int], start: int) -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, -1.0)}, alias=1), *(edge.data((1, D, -2.0)) for _ in range(start)))
    messages = [edge.data((1, D, float(number))) for number in range(8)]
    out = hall.hear(*(messages[at] for at in order))
    assert [sample.value for sample in out.samples] == [float(number) for number in range(8)]
    assert out.lost == []


def test_a_message_that_comes_twice_is_stored_once() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    data = edge.data((1, D, 1.0))
    assert len(hall.hear(data, data).samples) == 1


# --- asking


def test_a_host_asks_one_node_only_now_and_then() -> None:
    edge, other, hall = Edge(), Edge(node="E2"), Hall(patience=10 * SECOND)
    asked = hall.hear(*(edge.data((1, D, 1.0)) for _ in range(20)), other.data((1, D, 1.0)))
    assert [node.path for node in asked.rebirths] == ["공장/E1", "공장/E2"]
    hall.later(11)
    assert [node.path for node in hall.hear(edge.data((1, D, 1.0))).rebirths] == ["공장/E1"]


def test_after_a_lost_connection_old_aliases_are_not_trusted() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    hall.host.disconnected()
    out = hall.hear(edge.data((1, D, 1.0)))
    assert out.samples == []
    assert [reject.code for reject in out.rejects] == ["unknown_alias"]
    assert len(out.rebirths) == 1


def test_an_unknown_metric_among_known_ones_costs_only_itself() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}))
    out = hall.hear(edge.data(("m", D, 1.0), ("new", D, 2.0)))
    assert values(out) == [("공장/E1#m", 1.0, GOOD)]
    assert [reject.code for reject in out.rejects] == ["unknown_metric"]
    assert len(out.rebirths) == 1


# --- time


def test_historical_values_keep_their_time_and_are_marked() -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    (sample,) = hall.hear(edge.data((1, D, 1.0), historical=True, at=NOW - 3_600_000)).samples
    assert (sample.historical, sample.time) == (True, (NOW - 3_600_000) * 1_000)


@covers("payloads-timestamp-in-UTC", "payloads-metric-timestamp-in-UTC")
@pytest.mark.parametrize("at", [0, 4_294_967_295_000, 2**63])
def test_an_impossible_time_is_quarantined(at: int) -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 0.0)}, alias=1))
    out = hall.hear(edge.data((1, D, 1.0), at=at), edge.data((1, D, 2.0)))
    assert [reject.code for reject in out.rejects] == ["time_out_of_range"]
    assert [sample.value for sample in out.samples] == [2.0]


# --- broken


@covers(
    "topic-structure",
    "topic-structure-namespace-a",
    "topic-structure-namespace-device-id-associated-message-types",
    "topic-structure-namespace-device-id-non-associated-message-types",
)
@pytest.mark.parametrize(
    ("topic", "rejected"),
    [
        ("spBv1.0/G/NDATA/E/D", True),
        ("spBv1.0/G/DDATA/E", True),
        ("spBv1.0/G/NBIRTH", True),
        ("spBv1.0/G/XDATA/E", True),
        ("spBv1.0//NDATA/E", True),
        ("spBv1.0/G", True),
        ("spBv1.0/STATE/other", False),
        ("spBv1.0/G/NCMD/E", False),
        ("spBv1.0/G/DCMD/E/D", False),
        ("other/G/NDATA/E", False),
    ],
)
def test_a_topic_of_another_shape_is_quarantined_or_not_ours(topic: str, rejected: bool) -> None:
    assert bool(Hall().hear((topic, Edge().nbirth()[1])).rejects) is rejected


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x12\xff", b"{}", b"\x12\x03" * 5_000])
def test_bytes_that_are_no_payload_are_quarantined_and_the_next_is_read(raw: bytes) -> None:
    edge, hall = Edge(), Hall()
    out = hall.hear((edge.topic("NBIRTH"), raw), edge.nbirth({"m": (D, 1.0)}))
    assert [reject.code for reject in out.rejects] == ["malformed"]
    assert values(out) == [("공장/E1#m", 1.0, GOOD)]


@given(st.binary(max_size=300), st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]))
def test_any_bytes_leave_the_host_alive(raw: bytes, kind: str) -> None:
    edge, hall = Edge(), Hall()
    hall.hear(edge.nbirth({"m": (D, 1.0)}), edge.dbirth("K", {"m": (D, 1.0)}))
    hall.hear((edge.topic(kind, "K" if kind[0] == "D" else None), raw))
    hall.later(60)
    edge.seq = 0
    assert ("공장/E1#m", 5.0, GOOD) in values(hall.hear(edge.nbirth({"m": (D, 5.0)})))


def test_a_compressed_payload_is_read_and_a_bomb_is_not() -> None:
    import zlib

    edge, hall = Edge(), Hall()
    topic, raw = edge.nbirth({"m": (D, 1.0)})
    small = Payload(uuid="SPBV1.0_COMPRESSED", body=zlib.compress(raw))
    assert values(hall.hear((topic, small.SerializeToString()))) == [("공장/E1#m", 1.0, GOOD)]
    bomb = Payload(uuid="SPBV1.0_COMPRESSED", body=zlib.compress(bytes(80 << 20)))
    assert [reject.code for reject in hall.hear((topic, bomb.SerializeToString())).rejects] == ["malformed"]
