"""The plant with its troubles, watched as a person would watch it: every reading is in the lake or inside a recorded gap."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from madang.connect import Gap, kinds
from madang.factory.twin import Account, Kept, LiveRun, LiveSettings, account_for, kept_samples, load_pack, sent_path
from madang.workspace import Workspace

pytest.importorskip("asyncua")
if "opcua" not in kinds():
    pytest.skip("the OPC UA source is not there", allow_module_level=True)

LINE = load_pack("cathode_firing").line
NAME = "kiln1"
SPEED = 20.0


@dataclass
class Watch:
    """A living plant and a workspace that watches it."""

    folder: Path
    run: LiveRun
    workspace: Workspace
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    report: dict[str, Any] = field(default_factory=dict)
    thread: threading.Thread | None = None

    def begin(self) -> None:
        def live() -> None:
            self.report = dict(self.loop.run_until_complete(self.run.run(self.stop)))

        self.thread = threading.Thread(target=live, daemon=True)
        self.thread.start()
        self.until(lambda: (self.folder / "ready.json").exists(), 60)
        ready = json.loads((self.folder / "ready.json").read_text(encoding="utf-8"))
        self.workspace.connections.add(NAME, "opcua", ready["opcua"], options={"security": "none"})
        self.workspace.runner.start()
        self.until(lambda: self.received() > 0, 60)

    def received(self) -> int:
        return int(str(self.workspace.runner.documents().get(NAME, {}).get("received") or 0))

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "it took too long"
            time.sleep(0.05)

    def trouble(self, text: str, *, more: float = 40.0) -> None:
        """Let a trouble happen from now on, and the plant run for `more` seconds of it afterwards."""
        (trouble,) = self.run.add_troubles(text)
        end = trouble.end if np.isfinite(trouble.end) else trouble.start
        self.until(lambda: self.run.plant.t > end + more, 90)

    def finish(self) -> None:
        if self.thread is not None and self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stop.set)
            self.thread.join(60)
        self.workspace.runner.flush(20)
        self.workspace.runner.stop()

    def kept(self) -> dict[str, Kept]:
        epoch = self.run.plant_clock.epoch
        return kept_samples(self.workspace.library, NAME, epoch, reader=self.workspace.settings.owner, purpose="test")

    def gaps(self, cause: str) -> list[Gap]:
        return [gap for gap in self.workspace.gaps.of(NAME) if gap.cause == cause]

    def account(self) -> Account:
        kept = self.kept()
        start = datetime.fromtimestamp(min(int(held.time.min()) for held in kept.values()) / 1e6, UTC)
        return account_for(sent_path(self.folder / "trace.parquet"), "opcua", kept, self.workspace.gaps.of(NAME), start=start)

    def node(self, path: str) -> str:
        ready = json.loads((self.folder / "ready.json").read_text(encoding="utf-8"))
        return str(next(point["node"] for point in ready["points"] if point["point"] == path))

    def happened(self, kind: str) -> tuple[datetime, datetime]:
        trouble = next(t for t in self.run.happened if t["kind"] == kind)
        return datetime.fromisoformat(str(trouble["from"])), datetime.fromisoformat(str(trouble["to"]))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    settings = LiveSettings(
        LINE,
        "cathode_firing",
        seed=3,
        speed=SPEED,
        scan=2.0,
        opcua=0,
        trace=tmp_path / "trace.parquet",
        ready=tmp_path / "ready.json",
    )
    with Workspace.open(tmp_path / "ws") as workspace:
        watch = Watch(tmp_path, LiveRun(settings, lambda: datetime.now(UTC)), workspace)
        try:
            watch.begin()
            yield watch
        finally:
            watch.finish()
            watch.loop.close()


def _whole(account: Account) -> None:
    assert account.expected > 500
    assert (account.lost, account.doubled, account.invented) == (0, 0, 0)


def test_a_cut_network_loses_nothing_and_a_renamed_tag_is_found(watch: Watch) -> None:
    watch.run.add_troubles("tag_renamed@0:packing/temperature")
    watch.trouble("network_cut@40+120", more=20.0)
    watch.until(lambda: any(gap.backfilled == "yes" for gap in watch.gaps("disconnected")), 60)
    renamed = watch.node("packing/temperature")
    watch.finish()
    account = watch.account()
    _whole(account)
    # What the new tag said before it was found is nobody's loss: it did not exist when the tags were listed.
    assert account.not_yet_known <= 20
    cut_from, cut_to = watch.happened("network_cut")
    found = [gap for gap in watch.gaps("disconnected") if gap.since <= cut_to and (gap.until is None or gap.until >= cut_from)]
    assert found[0].backfilled == "yes"
    assert found[0].filled > 0
    assert [gap.tags for gap in watch.gaps("bad_tag")] == [(renamed,)]


@pytest.mark.slow
def test_a_changed_unit_keeps_its_meaning(watch: Watch) -> None:
    watch.trouble("unit_change@20+120", more=60.0)
    draft = watch.node("utility/draft")
    watch.finish()
    clock = watch.run.plant_clock
    trouble = next(t for t in watch.run.troubles if t.kind == "unit_change")
    held = watch.kept()[draft]
    kept = {at: value for at, value in zip(held.time.tolist(), held.value, strict=True) if value is not None}
    sent = pq.read_table(sent_path(watch.folder / "trace.parquet")).filter(pc.field("name") == draft).to_pylist()
    inside = [s for s in sent if s["changed"] and clock.instant(trouble.start) <= s["time"] < clock.instant(trouble.end)]
    assert len(inside) > 20
    # The source said millimetres of water; in the lake the same pressures stand in the pascal of before.
    for sample in inside:
        assert kept[round(sample["time"].timestamp() * 1e6)] == pytest.approx(sample["value"] * 9.80665, abs=1e-6)
    assert max(kept.values()) < -12.0


@pytest.mark.slow
def test_a_server_that_restarts_leaves_a_gap_as_long_as_it_was_away_and_nothing_else(watch: Watch) -> None:
    watch.trouble("server_restart@20+100", more=160.0)
    watch.until(lambda: all(gap.until is not None for gap in watch.workspace.gaps.of(NAME)), 60)
    watch.finish()
    _whole(watch.account())
    away_from, away_to = watch.happened("server_restart")
    gaps = [g for g in watch.workspace.gaps.of(NAME) if g.cause in ("disconnected", "source_restarted")]
    assert any(
        g.since <= away_from + timedelta(seconds=2) and g.until is not None and g.until >= away_to - timedelta(seconds=2)
        for g in gaps
    )


@pytest.mark.slow
def test_a_stuck_sensor_is_kept_as_it_was_shown(watch: Watch) -> None:
    point = "kiln/zone5/temperature_bottom"
    watch.trouble(f"stuck_sensor@20+200:{point}", more=60.0)
    node = watch.node(point)
    watch.finish()
    _whole(watch.account())
    clock = watch.run.plant_clock
    trouble = next(t for t in watch.run.troubles if t.kind == "stuck_sensor")
    held = watch.kept()[node]
    inside = (held.time > clock.micros(trouble.start + 2)) & (held.time < clock.micros(trouble.end))
    # A server reports changes, so a sensor that sticks falls silent; that it is stuck and not calm nobody says yet.
    assert inside.sum() == 0


@pytest.mark.slow
def test_a_clock_that_is_off_keeps_every_reading_under_the_time_it_said(watch: Watch) -> None:
    watch.trouble("clock_skew@20+100=120", more=60.0)
    watch.finish()
    account = watch.account()
    _whole(account)
    clock = watch.run.plant_clock
    late = max(int(held.time.max()) for held in watch.kept().values())
    assert late > clock.micros(float(watch.run.plant.t)) + 60_000_000


@pytest.mark.slow
def test_a_drifting_burner_is_seen_in_the_lake_as_full_duty_under_a_cold_zone(tmp_path: Path) -> None:
    settings = LiveSettings(
        LINE,
        "cathode_firing",
        seed=3,
        speed=240.0,
        scan=60.0,
        opcua=0,
        trace=tmp_path / "trace.parquet",
        ready=tmp_path / "ready.json",
    )
    with Workspace.open(tmp_path / "ws") as workspace:
        watch = Watch(tmp_path, LiveRun(settings, lambda: datetime.now(UTC)), workspace)
        try:
            watch.begin()
            watch.trouble("drifting_burner@0+7200:kiln/zone5/temperature_top=-30", more=0.0)
            top, duty = watch.node("kiln/zone5/temperature_top"), watch.node("kiln/zone5/burner_duty")
        finally:
            watch.finish()
            watch.loop.close()
        _whole(watch.account())
        kept = watch.kept()
        assert float(np.mean([x for x in kept[top].value if x is not None][-5:])) < 835.0
        assert float(np.mean([x for x in kept[duty].value if x is not None][-5:])) > 98.0
