"""A run of the living plant: its trace is the truth, its troubles are what they say, its report invents nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from madang.connect import Gap
from madang.errors import MissingError, UsageError
from madang.factory.twin import Kept, LiveRun, LiveSettings, account_for, live_points, load_pack, read_troubles, sent_path
from madang.factory.twin._live_plant import LivePlant, PlantClock
from madang.factory.twin._live_trace import SentLedger

LINE = load_pack("cathode_firing").line
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


def _plant(troubles: str = "", seed: int = 3) -> LivePlant:
    chosen = read_troubles(troubles, live_points(LINE), seed=seed, hours=None)
    return LivePlant(LINE, seed, clock=PlantClock(EPOCH, 1.0), troubles=chosen, warm_hours=1.0)


def _run(settings: LiveSettings) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return dict(await LiveRun(settings, lambda: datetime.now(UTC)).run(asyncio.Event()))

    return asyncio.run(run())


def _column(trace: Any, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:  # noqa: ANN401 - a table
    rows = trace.filter(pc.equal(trace["name"].cast("string"), name))
    return np.asarray(rows["value"])


def test_the_trace_holds_every_point_and_every_state_of_each_second_and_every_write(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    document = _run(LiveSettings(LINE, "cathode_firing", seed=3, hours=0.05, trace=path))
    trace = pq.read_table(path)
    assert trace.column_names[:3] == ["t", "name", "value"]
    names = set(trace["name"].cast("string").to_pylist())
    assert {point.path for point in live_points(LINE)} <= names
    assert len(_column(trace, "state:zone5/temperature")) == 180
    assert np.unique(np.asarray(trace["t"])).tolist() == list(range(1, 181))
    assert document["trace_rows"] == trace.num_rows
    assert document["plant_seconds"] == 180
    texts = trace.filter(pc.equal(trace["name"].cast("string"), "kiln/recipe"))
    assert set(texts["text"].to_pylist()) == {"R-850A"}


def test_a_run_without_faces_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _run(LiveSettings(LINE, "cathode_firing", seed=5, hours=0.02, trace=tmp_path / f"{name}.parquet"))
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_what_is_not_computed_is_null_with_a_reason() -> None:
    document = _run(LiveSettings(LINE, "cathode_firing", seed=5, hours=0.01))
    for name in ("profit", "human_acts"):
        assert document[name] is None
        assert document[f"{name}_reason"]
    assert document["kpis"]["share_in_tolerance"] is None
    assert document["kpis"]["share_in_tolerance_reason"]
    assert document["sent"] is None


def test_instruments_show_the_states_within_their_errors_and_in_steps_of_their_cards() -> None:
    plant = _plant()
    shown, true = [], []
    place = plant.place["kiln/zone5/temperature_top"]
    for _ in range(300):
        second = plant.second()
        shown.append(second.numbers[place])
        true.append(second.states[4])
    error = np.array(shown) - np.array(true)
    assert 0.3 < float(np.std(error)) < 0.8
    assert abs(float(np.mean(error))) < 6.0
    assert np.allclose(np.array(shown) * 10, np.rint(np.array(shown) * 10), atol=1e-9)


def test_a_stuck_sensor_repeats_its_value_while_the_sound_reading_goes_on() -> None:
    point = "kiln/zone5/temperature_bottom"
    plant = _plant(f"stuck_sensor@20+60:{point}")
    seconds = [plant.second() for _ in range(100)]
    at = plant.place[point]
    held = {s.numbers[at] for s in seconds if 20 <= s.t < 80}
    assert len(held) == 1
    assert len({s.sound[at] for s in seconds if 20 <= s.t < 80}) > 5
    assert all(s.numbers[at] == s.sound[at] for s in seconds if not 20 <= s.t < 80)


def test_a_unit_change_shows_pascal_as_millimetres_of_water() -> None:
    plant = _plant("unit_change@20+60")
    at = plant.place["utility/draft"]
    seconds = [plant.second() for _ in range(100)]
    for second in seconds:
        factor = 9.80665 if 20 <= second.t < 80 else 1.0
        assert second.numbers[at] == pytest.approx(second.sound[at] / factor, abs=0.006)
    point = plant.points[at]
    assert (plant.unit_of(point, 30), plant.unit_of(point, 90)) == ("mm[H2O]", "Pa")


def test_a_written_set_point_acts_from_the_next_second_and_stands_in_the_second_that_took_it() -> None:
    plant = _plant()
    plant.write("kiln/zone5/temperature_set", 856.0)
    second = plant.second()
    assert [(w.point, w.value) for w in second.writes] == [("kiln/zone5/temperature_set", 856.0)]
    assert second.numbers[plant.place["kiln/zone5/temperature_set"]] == 856.0
    assert plant.writes == 1
    assert plant.refusal("kiln/zone5/temperature_set", 5000.0) == "out_of_range"
    assert plant.refusal("kiln/zone5/temperature_top", 850.0) == "read_only"
    assert plant.refusal("kiln/zone9/temperature_set", 850.0) == "unknown"


def test_an_exit_from_the_envelope_is_counted_once_until_the_state_comes_back() -> None:
    plant = _plant()
    plant.write("kiln/zone5/temperature_set", 900.0)
    for _ in range(3600):
        plant.second()
    assert plant.envelope_exits == 1
    plant.write("kiln/zone5/temperature_set", 850.0)
    for _ in range(4800):
        plant.second()
    assert plant.envelope_exits >= 1
    assert plant.kiln.zones[4] < 865.0


def test_a_list_of_troubles_is_read_as_it_is_written() -> None:
    points = live_points(LINE)
    found = read_troubles(
        "stuck_sensor@300:kiln/zone3/temperature_top, network_cut@10min+2min,clock_skew@1h=-60", points, seed=1, hours=8.0
    )
    assert [(t.kind, t.start, t.end) for t in found] == [
        ("stuck_sensor", 300.0, 2100.0), ("network_cut", 600.0, 720.0), ("clock_skew", 3600.0, 5400.0),
    ]  # fmt: skip
    assert found[0].point == "kiln/zone3/temperature_top"
    assert found[2].size == -60.0
    chosen = read_troubles("tag_renamed", points, seed=1, hours=8.0)[0]
    assert chosen.point is not None
    assert 0.0 < chosen.start <= 4 * 3600.0
    assert chosen.end == float("inf")


@pytest.mark.parametrize(
    "text", ["meteorite", "network_cut@soon", "stuck_sensor:kiln/none", "clock_skew=far", "network_cut:kiln/lot"]
)
def test_a_trouble_that_cannot_be_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError):
        read_troubles(text, live_points(LINE), seed=1, hours=None)


def test_policies_that_are_not_there_are_refused_with_exit_6() -> None:
    with pytest.raises(MissingError) as caught:
        LiveRun(LiveSettings(LINE, "cathode_firing", policy="agents"), lambda: EPOCH)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("settings", [{"speed": 0.0}, {"hours": -1.0}, {"scan": 0.0}])
def test_speed_length_and_scan_have_bounds(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        LiveRun(LiveSettings(LINE, "cathode_firing", **settings), lambda: EPOCH)  # type: ignore[arg-type]


def _ledger(path: Path, samples: list[tuple[int, float, int]]) -> Path:
    ledger = SentLedger(path)
    for at, value, quality in samples:
        ledger.add("opcua", "a", at, value, None, quality)
    ledger.close()
    return path


def _kept(samples: list[tuple[int, float, int]]) -> dict[str, Kept]:
    time_, value, quality = zip(*samples, strict=True)
    return {"a": Kept(np.array(time_), list(value), [None] * len(value), np.array(quality, dtype=np.int64))}


def test_the_count_tells_kept_lost_doubled_and_invented_apart(tmp_path: Path) -> None:
    second = 1_000_000
    base = round(EPOCH.timestamp()) * second
    sent = _ledger(tmp_path / "s.parquet", [(base + i * second, float(i), 0) for i in range(6)] + [(base + 6 * second, 5.0, 0)])
    have = [
        (base, 0.0, 0),
        (base + second, 1.0, 0),
        (base + second, 1.0, 0),
        (base + 3 * second, 99.0, 0),
        (base + 5 * second, 5.0, 0),
    ]
    gap = Gap("x-1", "x", "disconnected", EPOCH + timedelta(seconds=3.5), EPOCH + timedelta(seconds=4.5))
    account = account_for(sent, "opcua", _kept(have), [gap])
    # 6 changes; second 6 repeats 5.0, which a server need not report. 2 and 3 are lost (99.0 was never sent), 4 lies in the gap.
    assert (account.expected, account.kept, account.in_gaps, account.lost) == (6, 3, 1, 2)
    assert (account.doubled, account.invented) == (1, 1)
    assert account.causes == {"disconnected": 1}
    assert account_for(sent, "opcua", _kept(have), [], changed_only=False).expected == 7


def test_the_command_stops_whole_when_it_is_told_to(tmp_path: Path) -> None:
    ready, report, trace = tmp_path / "r.json", tmp_path / "o.json", tmp_path / "t.parquet"
    command = [sys.executable, "-m", "madang", "twin", "run", "cathode_firing", "--speed", "20", "--mes", str(tmp_path / "mes")]
    child = subprocess.Popen([*command, "--ready", str(ready), "--json", str(report), "--trace", str(trace), "--quiet"])
    try:
        until = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.05)
        document = json.loads(ready.read_text(encoding="utf-8"))
        assert document["schema"] == "twin-ready/1"
        assert document["pid"] == child.pid
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
    assert json.loads(report.read_text(encoding="utf-8"))["schema"] == "twin/1"
    assert pq.read_table(trace).num_rows > 0
    assert pq.read_table(sent_path(trace)).num_rows == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process there does not learn that its parent has ended")
def test_a_plant_started_with_its_parent_does_not_outlive_it(tmp_path: Path) -> None:
    ready = tmp_path / "r.json"
    command = [
        sys.executable,
        "-m",
        "madang",
        "twin",
        "run",
        "cathode_firing",
        "--mes",
        str(tmp_path),
        "--ready",
        str(ready),
        "--quiet",
    ]
    program = f"import subprocess, time; subprocess.Popen({[*command, '--with-parent']!r}); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        until = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.05)
        pid = json.loads(ready.read_text(encoding="utf-8"))["pid"]
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_twice_in_one_folder_ends_with_a_verdict_and_loses_nothing_of_the_living_line(tmp_path: Path) -> None:
    for turn in range(2):
        report = tmp_path / f"{turn}.json"
        command = [sys.executable, "-m", "madang", "--workspace", str(tmp_path / "ws"), "demo", "--headless", "--quiet"]
        assert subprocess.run([*command, "--json", str(report)], timeout=600).returncode == 0
        document = json.loads(report.read_text(encoding="utf-8"))
        assert document["schema"] == "study/1"
        assert document["verdict"]
        live = document["live"]
        assert live["kept"] > 500
        assert (live["lost"], live["doubled"], live["invented"]) == (0, 0, 0)
        assert live["kept"] + live["in_gaps"] == live["expected"]
        assert live["everything_committed"] is True
