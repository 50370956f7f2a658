"""What the living plant shows to others: an OPC UA server, a lot system, a laboratory's folder, a broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madang.errors import MissingError
from madang.factory.twin import LiveRun, LiveSettings, live_points, load_pack, read_troubles
from madang.factory.twin._live_lab import LabFace
from madang.factory.twin._live_mes import MesFace
from madang.factory.twin._live_mqtt import MqttFace, topic_of
from madang.factory.twin._live_opcua import OpcUaFace, unece_id
from madang.factory.twin._live_plant import LivePlant, PlantClock
from madang.factory.twin._live_sparkplug import SparkplugFace
from madang.factory.twin._live_wire import Wire

pytest.importorskip("asyncua")

LINE = load_pack("cathode_firing").line
EPOCH = datetime.now(UTC).replace(microsecond=0)


def _plant(speed: float = 1.0, hours: float = 1.0, troubles: str = "") -> LivePlant:
    chosen = read_troubles(troubles, live_points(LINE), seed=3, hours=None)
    return LivePlant(LINE, 3, clock=PlantClock(EPOCH, speed), troubles=chosen, warm_hours=hours)


class _Noted:
    """A handler that keeps what a subscription brings."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any, int]] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:  # noqa: ANN401 - asyncua's own
        self.got.append((node.nodeid.to_string(), value, data.monitored_item.Value.StatusCode.value))


class _Shared:
    """One server for several tests, in a loop of its own thread: opening one takes seconds."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.plant = _plant()
        self.sent: list[tuple[Any, ...]] = []
        self.face = OpcUaFace(self.plant, host="127.0.0.1", port=0, sent=lambda *sample: self.sent.append(sample))
        self.run(self.face.start())

    def run(self, body: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(body, self.loop).result(60)

    def close(self) -> None:
        self.run(self.face.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[_Shared]:
    server = _Shared()
    yield server
    server.close()


async def _show(plant: LivePlant, face: OpcUaFace, seconds: int) -> None:
    for _ in range(seconds):
        second = plant.second()
        await face.show(second, at=plant.clock.instant(second.t))


def test_an_address_space_says_name_unit_and_range_and_takes_set_points_only_inside_it(shared: _Shared) -> None:
    from asyncua import Client, ua

    async def body() -> None:
        plant, face = shared.plant, shared.face
        await _show(plant, face, 1)
        async with Client(face.url) as client:
            point = next(p for p in plant.points if p.path == "kiln/zone5/temperature_set")
            node = client.get_node(face.node_of(point))
            assert (await node.read_display_name()).Text == "5존 설정 온도"
            assert (await node.read_description()).Text == "Zone 5 set point"
            limits = await (await node.get_child("0:EURange")).read_value()
            unit = await (await node.get_child("0:EngineeringUnits")).read_value()
            assert (limits.Low, limits.High) == (0.0, 1000.0)
            assert unit.UnitId == unece_id("CEL") == 4408652
            assert await node.read_type_definition() == ua.NodeId(ua.ObjectIds.AnalogItemType)
            await node.write_value(853.5, ua.VariantType.Double)
            await _show(plant, face, 1)
            assert await node.read_value() == 853.5
            for value, kind, error in (
                (1000.1, ua.VariantType.Double, ua.uaerrors.BadOutOfRange),
                (float("nan"), ua.VariantType.Double, ua.uaerrors.BadOutOfRange),
                ("850", ua.VariantType.String, ua.uaerrors.BadTypeMismatch),
            ):
                with pytest.raises(error):
                    await node.write_value(value, kind)
            actual = client.get_node(face.node_of(plant.points[0]))
            with pytest.raises(ua.uaerrors.BadNotWritable):
                await actual.write_value(1.0, ua.VariantType.Double)
            assert plant.writes == 1

    shared.run(body())


def test_every_change_reaches_a_subscriber_and_history_gives_it_again_after_a_restart_under_the_same_ids(
    shared: _Shared,
) -> None:
    from asyncua import Client

    async def body() -> None:
        plant, face = shared.plant, shared.face
        await _show(plant, face, 1)
        ids = [face.node_of(point) for point in plant.points]
        url, noted, begun = face.url, _Noted(), plant.t
        shared.sent.clear()
        async with Client(url) as client:
            subscription = await client.create_subscription(50, noted)
            nodes = [client.get_node(i) for i in ids]
            await subscription.subscribe_data_change(nodes, queuesize=100)
            last: dict[str, Any] = {i: await node.read_value() for i, node in zip(ids, nodes, strict=True)}
            await _show(plant, face, 30)
            changes = len(ids)
            for name, _, value, text, _ in shared.sent:
                shown = value if text is None else text
                changes += last[name] != shown
                last[name] = shown
            until = time.monotonic() + 10
            while len(noted.got) < changes and time.monotonic() < until:
                await asyncio.sleep(0.02)
            assert len(noted.got) == changes
        await face.stop()
        await face.start()
        assert (face.url, [face.node_of(point) for point in plant.points]) == (url, ids)
        async with Client(url) as client:
            first, last_one = plant.clock.instant(begun + 5), plant.clock.instant(begun + 14.5)
            history = await client.get_node(ids[0]).read_raw_history(first, last_one)
            assert [value.SourceTimestamp for value in history] == [plant.clock.instant(begun + t) for t in range(5, 15)]
            assert [value.Value.Value for value in history] == [s[2] for s in shared.sent if s[0] == ids[0]][4:14]

    shared.run(body())


def test_a_renamed_tag_leaves_a_bad_node_behind_and_a_changed_unit_marks_its_next_value(shared: _Shared) -> None:
    from asyncua import Client, ua

    async def body() -> None:
        plant, face = shared.plant, shared.face
        await _show(plant, face, 1)
        path = "packing/temperature"
        point = next(p for p in plant.points if p.path == path)
        draft = next(p for p in plant.points if p.path == "utility/draft")
        old = face.node_of(point)
        noted = _Noted()
        async with Client(face.url) as client:
            subscription = await client.create_subscription(50, noted)
            await subscription.subscribe_data_change([client.get_node(old), client.get_node(face.node_of(draft))])
            await face.rename(path)
            await face.tell_unit(draft.path, "mm[H2O]")
            await _show(plant, face, 1)
            new = client.get_node(face.node_of(point))
            assert face.node_of(point) != old
            assert (await new.read_display_name()).Text == point.label.ko
            assert (await new.read_data_value()).StatusCode.is_good()
            with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
                await client.get_node(old).read_value()
            until = time.monotonic() + 10
            while not any(q == 0x00004000 for _, _, q in noted.got) and time.monotonic() < until:
                await asyncio.sleep(0.02)
            assert (old, None, 0x80340000) in [(name, None, q) for name, _, q in noted.got]
            assert any(name == face.node_of(draft) and q == 0x00004000 for name, _, q in noted.got)
            unit = await (await client.get_node(face.node_of(draft)).get_child("0:EngineeringUnits")).read_value()
            assert unit.DisplayName.Text == "mmH2O"

    shared.run(body())


def test_a_cut_wire_passes_nothing_and_tells_nobody_and_what_waited_comes_when_it_is_mended() -> None:
    async def run() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while content := await reader.read(100):
                    writer.write(content)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        wire = Wire("127.0.0.1", 0, server.sockets[0].getsockname()[1])
        await wire.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"a")
        assert await reader.read(1) == b"a"
        wire.cut()
        writer.write(b"b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        wire.mend()
        assert await asyncio.wait_for(reader.read(1), 5) == b"b"
        await wire.stop()
        assert await asyncio.wait_for(_ended(reader), 5)
        writer.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    asyncio.run(run())


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


def test_the_lot_system_changes_records_in_place_and_commits_some_steps_late(tmp_path: Path) -> None:
    plant = _plant(hours=16.0)
    mes = MesFace(plant, str(tmp_path), np.random.default_rng(1))
    base = sqlite3.connect(tmp_path / "mes.sqlite")
    before = base.execute('SELECT count(*) FROM "생산로트"').fetchone()[0]
    assert before == sum(event.kind == "charged" for event in plant.before)
    seen: set[int] = set()
    held = 0
    for hour in range(10):
        for _ in range(60):
            plant.kiln.step(60.0)
        mes.take(plant.take_events(), wall=float(hour * 3))
        now = {row[0] for row in base.execute('SELECT "번호" FROM "공정이력"')}
        held += bool(now and now != set(range(1, max(now) + 1)))
        assert seen <= now
        seen = now
    assert mes.count.late_commits > 0
    assert held > 0
    mes.stop()
    numbers = [row[0] for row in base.execute('SELECT "번호" FROM "공정이력" ORDER BY "번호"')]
    assert numbers == list(range(1, mes.count.steps + 1))
    done = base.execute('SELECT count(*) FROM "생산로트" WHERE "배출일시" IS NOT NULL AND "상태" = \'검사대기\'').fetchone()[0]
    assert done > 0
    planned, charged = base.execute('SELECT sum("계획수량"), sum("투입수량") FROM "작업지시"').fetchone()
    assert charged == mes.count.lots <= planned
    base.close()


def test_a_verdict_is_written_on_the_lot_once_its_result_is_there(tmp_path: Path) -> None:
    plant = _plant(hours=20.0)
    mes = MesFace(plant, str(tmp_path), np.random.default_rng(1))
    lot = next(event.lot for event in plant.before if event.kind == "discharged")
    mes.judge([(10.0, lot)])
    base = sqlite3.connect(tmp_path / "mes.sqlite")
    state, verdict = base.execute('SELECT "상태", "판정" FROM "생산로트" WHERE "로트번호" = ?', (lot.name,)).fetchone()
    assert lot.result is not None
    assert (state, verdict) == ("판정", "합격" if abs(lot.result.residual - 3300.0) <= 400.0 else "불합격")
    base.close()
    mes.stop()


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(MissingError) as caught:
        MesFace(_plant(), "postgresql://mes:secret@127.0.0.1:1/mes", np.random.default_rng(1))
    assert "secret" not in caught.value.en + caught.value.ko + json.dumps(caught.value.where)


def _lab(plant: LivePlant, folder: Path) -> LabFace:
    return LabFace(plant, folder, np.random.default_rng(1), plant.troubles)


def test_a_workbook_lies_half_written_for_a_moment_and_is_whole_then(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    plant = _plant(hours=24.0)
    lots = [event.lot for event in plant.before if event.kind == "discharged"][:5]

    async def run() -> None:
        lab = _lab(plant, tmp_path)
        for lot in lots:
            lab.add(lot, 0.0)
        lab.drop(0.0, force=True)
        path = tmp_path / lab.files[0]
        half = path.stat().st_size
        with pytest.raises(Exception, match=r"(?i)zip|central|truncated"):
            load_workbook(path)
        await lab.stop()
        assert path.stat().st_size > half

    asyncio.run(run())
    sheet = load_workbook(next(tmp_path.iterdir()))["시험결과"]
    rows = {row[0]: row[4] for row in sheet.iter_rows(min_row=7, values_only=True)}
    assert {lot.name: lot.result.residual for lot in lots if lot.result is not None}.items() <= rows.items()


def test_late_and_wrong_results_are_noted_in_the_truth(tmp_path: Path) -> None:
    plant = _plant(hours=30.0, troubles="late_lab@0=3600,wrong_lab_rows@0=1.0")
    lots = [event.lot for event in plant.before if event.kind == "discharged"]

    async def run() -> LabFace:
        lab = _lab(plant, tmp_path)
        for lot in lots:
            lab.add(lot, lab.due(lot))
        lab.drop(0.0, force=True)
        await lab.stop()
        return lab

    lab = asyncio.run(run())
    # Both act for twelve hours from second 0; the delay of an hour moves some results into the second trouble's time, and some out.
    told = [(lot.name, lot.resulted) for lot in lots if lot.resulted is not None]
    late = [name for name, at in told if 0.0 <= at < 43_200.0]
    assert late
    assert lab.late == late
    moved = [(name, at + 3600.0 if name in late else at) for name, at in told]
    assert {str(wrong["lot"]) for wrong in lab.wrong} == {name for name, at in moved if 0.0 <= at < 43_200.0}
    assert {wrong["what"] for wrong in lab.wrong} <= {"slip", "typo", "swapped_times"}


def test_a_broker_that_is_not_there_is_said_with_the_next_step() -> None:
    with pytest.raises(MissingError, match="broker"):
        MqttFace(_plant(), f"mqtt://127.0.0.1:{_free_port()}", sent=lambda *_: None)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def broker() -> Iterator[int]:
    program = shutil.which("mosquitto")
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = _free_port()
    child = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    child.terminate()
    child.wait(10)


@pytest.mark.peers
def test_a_broker_gets_every_point_under_its_place_in_the_plant(broker: int) -> None:
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    got: dict[str, dict[str, Any]] = {}
    listener = mqtt.Client(CallbackAPIVersion.VERSION2)
    listener.on_message = lambda _c, _u, message: got.__setitem__(message.topic, json.loads(message.payload))
    listener.connect("127.0.0.1", broker)
    listener.subscribe("#", qos=1)
    listener.loop_start()
    time.sleep(0.2)
    plant = _plant()
    sent: list[tuple[Any, ...]] = []
    face = MqttFace(plant, f"mqtt://127.0.0.1:{broker}", sent=lambda *sample: sent.append(sample))
    second = plant.second()
    face.show(second, at=plant.clock.instant(second.t))
    face.cut()
    face.show(plant.second(), at=EPOCH + timedelta(seconds=2))
    face.stop()
    until = time.monotonic() + 10
    while len(got) < len(plant.points) and time.monotonic() < until:
        time.sleep(0.02)
    listener.loop_stop()
    assert len(sent) == len(plant.points) == len(got)
    point = next(p for p in plant.points if p.path == "kiln/zone5/temperature_top")
    topic = topic_of(plant, point)
    assert topic == "example/cathode/firing/kiln1/kiln/zone5/temperature_top"
    assert got[topic]["value"] == second.numbers[plant.place[point.path]]
    assert got[topic]["unit"] == "Cel"


@pytest.mark.peers
def test_an_edge_node_is_born_says_what_changes_dies_with_its_wire_and_is_born_again_when_asked(broker: int) -> None:
    """The broker is mosquitto, the host is Madang's own: births, deaths and order are as the specification says."""
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    from madang.connect.sparkplug._host import Host
    from madang.connect.sparkplug._wire import rebirth_request

    host = Host()
    topics: list[str] = []
    samples: list[tuple[str, int, Any]] = []
    lost: list[Any] = []

    def received(_client: object, _user: object, message: Any) -> None:  # noqa: ANN401 - paho's own
        topics.append(message.topic.split("/")[2])
        out = host.receive(message.topic, message.payload, round(time.time() * 1e6))
        samples.extend((s.tag.name, s.time, s.value) for s in out.samples)
        lost.extend([*out.lost, *out.rejects])

    listener = mqtt.Client(CallbackAPIVersion.VERSION2)
    listener.on_message = received
    listener.connect("127.0.0.1", broker)
    listener.subscribe("spBv1.0/#", qos=1)
    listener.loop_start()
    time.sleep(0.2)
    plant = _plant()
    sent: list[tuple[Any, ...]] = []
    face = SparkplugFace(plant, f"mqtt://127.0.0.1:{broker}", sent=lambda *sample: sent.append(sample))

    def show(seconds: int) -> None:
        for _ in range(seconds):
            second = plant.second()
            face.show(second, at=plant.clock.instant(second.t))

    def until(done: Any) -> None:  # noqa: ANN401 - a plain question
        end = time.monotonic() + 10
        while not done() and time.monotonic() < end:
            time.sleep(0.02)
        assert done()

    show(3)
    until(lambda: topics == ["NBIRTH", "NDATA", "NDATA"])
    face.cut()
    show(2)
    until(lambda: topics[-1] == "NDEATH")
    face.mend()
    show(2)
    until(lambda: topics[-2:] == ["NBIRTH", "NDATA"])
    listener.publish("spBv1.0/firing/NCMD/kiln1", rebirth_request(round(time.time() * 1000)), qos=1)
    until(lambda: face._births_wanted.is_set())
    show(300)
    until(lambda: topics.count("NDATA") >= 302)
    face.stop()
    until(lambda: topics[-1] == "NDEATH")
    listener.loop_stop()
    assert topics.count("NBIRTH") == 3
    assert lost == []
    values = [(name, at, value) for name, at, value in samples if value is not None]
    assert len(values) > 5000
    assert {(at, value if text is None else text) for _, at, value, text, _ in sent} == {(at, value) for _, at, value in values}


@pytest.mark.slow
def test_a_run_with_all_troubles_does_them_and_says_when(tmp_path: Path) -> None:
    troubles = "network_cut@60+60,server_restart@150+30,unit_change@200+60,tag_renamed@220,clock_skew@240+30=120"
    settings = LiveSettings(
        LINE, "cathode_firing", seed=3, hours=300 / 3600, speed=150.0, scan=10.0, troubles=troubles, opcua=0, mes=str(tmp_path / "mes"),
        lab=tmp_path / "lab", trace=tmp_path / "t.parquet", ready=tmp_path / "r.json",
    )  # fmt: skip
    document = asyncio.run(LiveRun(settings, lambda: datetime.now(UTC)).run(asyncio.Event()))
    happened = document["troubles"]
    assert isinstance(happened, list)
    kinds = [trouble["kind"] for trouble in happened if isinstance(trouble, dict)]
    assert kinds == ["network_cut", "server_restart", "unit_change", "tag_renamed", "clock_skew"]
    assert all(isinstance(trouble, dict) and trouble["from"] and trouble["to"] for trouble in happened)
    ready = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [t["kind"] for t in ready["troubles"]] == kinds
    import pyarrow.parquet as pq

    sent = pq.read_table(tmp_path / "t.sent.parquet")
    names = set(sent["name"].cast("string").to_pylist())
    renamed = next(p for p in ready["points"] if p["point"] == ready["troubles"][3]["point"])
    assert renamed["node"] in names
    assert f"ns=2;i={int(renamed['node'].split('=')[-1]) + 5000}" in names
    # Thirty readings of all points, less those of the three tens of seconds in which the server was down.
    assert sent.num_rows == 27 * len(ready["points"])
