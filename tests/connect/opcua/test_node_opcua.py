"""Against a server that nobody here wrote: node-opcua."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from madang.connect import ConnectionSettings
from madang.connect.opcua import make
from madang.plant import Interval
from tests.connect.opcua import trials
from tests.connect.opcua.servers import Cable, KeepingSink, Subscribed

pytestmark = pytest.mark.peers
PEER = "node-opcua-server"


@pytest.fixture
def peer(tmp_path: Path) -> trials.Peer:
    return trials.Peer(tmp_path / "peer", tags=20, hz=10)


def test_a_thousand_encrypted_tags_reach_the_lake_whole_and_with_equal_statuses(tmp_path: Path) -> None:
    result = trials.flow(tmp_path, seconds=4)

    assert result["changes"] == 20_000
    assert (result["lost"], result["doubled"], result["status_or_time_wrong"], result["gaps"]) == (0, 0, 0, 0)


def test_after_a_killed_server_every_change_is_in_the_lake_or_in_a_gap(tmp_path: Path) -> None:
    result = trials.crash(tmp_path, kills=2, tags=100)

    assert result["missing_outside_gaps"] == 0
    assert (result["doubled"], result["status_or_time_wrong"]) == (0, 0)
    assert result["no_communication_marks"] >= 200
    assert result["slowest_return_s"] <= 10


@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"])
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_each_policy_is_spoken(peer: trials.Peer, policy: str, mode: str) -> None:
    peer.start()
    try:
        source = make(peer.settings("line", security=policy, mode=mode))
        found = list(source.test())
        source.close()
    finally:
        peer.close()

    assert [step.state for step in found] == ["ok"] * 6
    assert (found[2].facts["security"], found[2].facts["mode"]) == (policy, mode)


def test_names_units_and_ranges_are_told_as_the_server_has_them(peer: trials.Peer) -> None:
    peer.start()
    try:
        source = make(peer.settings("line"))
        tags = source.browse()
        source.close()
    finally:
        peer.close()

    assert len(tags) == 20
    first = next(tag for tag in tags if tag.name.endswith("s=tag0"))
    assert first.label is not None
    assert first.label.ko == "온도 0"
    assert (first.unit, first.low, first.high, first.parent) == ("°C", -1e9, 1e9, "소성 라인")
    assert first.facts["unece"] == "CEL"


def test_history_fills_what_a_cut_lost(tmp_path: Path) -> None:
    peer = trials.Peer(tmp_path / "peer", tags=5, hz=10, history=5000, changes=60)
    peer.start()
    try:
        wanted = peer.settings("line")
        sink = KeepingSink()
        source = make(wanted)
        begun = datetime.now(UTC)
        peer.go()
        assert peer.node is not None
        peer.node.line()
        came = source.backfill((), Interval(begun, datetime.now(UTC)), sink)
        source.close()
    finally:
        peer.close()

    truth = peer.written()
    held = {
        (int(name.rpartition("tag")[2]), int(value), int(at.timestamp() * 1000), status)
        for name in sink.tags
        for at, value, status in sink.samples(name, origin="backfill")
        if isinstance(value, float) and value >= 0
    }
    assert came.whole is True
    assert held == {tuple(row) for row in truth.tolist()}


def test_a_queue_that_is_too_short_is_told_by_the_server_and_recorded(peer: trials.Peer) -> None:
    peer.hz = 50
    peer.start()
    try:
        wanted = peer.settings("line", publish="400", sampling="0", queue="100")
        short = ConnectionSettings("line", "opcua", wanted.url, {**wanted.options, "sampling": "400", "queue": "2"})
        sink = KeepingSink()
        with Subscribed(make(short), sink):
            sink.wait(lambda: len(sink.tags) == 20)
            peer.go()
            sink.wait(lambda: len(sink.blocks) > 8, 20)
    finally:
        peer.close()

    assert sink.tags
    statuses = {status for name in sink.tags for _, _, status in sink.samples(name)}
    overflowed = any(status & 0xC80 == 0x480 for status in statuses)
    assert bool(sink.of("server_overflow")) == overflowed


def test_a_cut_line_is_taken_up_again_without_loss(peer: trials.Peer) -> None:
    peer.changes = 80
    peer.start()
    cable = Cable(peer.port)
    try:
        wanted = peer.settings("line")
        through = ConnectionSettings(
            "line", "opcua", f"opc.tcp://127.0.0.1:{cable.port}/plant", {**wanted.options, "reconnect": "0.2"}
        )
        sink = KeepingSink()
        with Subscribed(make(through), sink):
            sink.wait(lambda: len(sink.tags) == 20)
            peer.go()
            for _ in range(2):
                threading.Event().wait(2.0)
                cable.cut()
            assert peer.node is not None
            peer.node.line()
            sink.wait(lambda: all(gap.filled is not None for gap in sink.of("disconnected")), 20)
            sink.wait(lambda: any(79.0 in sink.values(name) for name in sink.tags), 20)
            threading.Event().wait(1.0)
    finally:
        cable.close()
        peer.close()

    held = {
        (int(name.rpartition("tag")[2]), int(value), int(at.timestamp() * 1000), status)
        for name in sink.tags
        for at, value, status in sink.samples(name)
        if isinstance(value, float) and value >= 0
    }
    missing = {tuple(row) for row in peer.written().tolist()} - held
    gaps = [(gap.since.timestamp() * 1000, gap.until.timestamp() * 1000) for gap in sink.of("disconnected") if gap.until]
    assert len(gaps) == 2
    assert [one for one in missing if not any(since <= one[2] <= until for since, until in gaps)] == []
