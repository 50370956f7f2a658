"""Following tags: what came is kept once, what did not come is a gap, and an old value never looks fresh."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua

from madang.connect import Block, ConnectionSettings
from madang.connect.opcua import _live, _subscribe, make
from madang.connect.opcua._outlet import Outlet
from madang.errors import InputError
from madang.plant import BAD_NO_COMMUNICATION, BAD_NODE_UNKNOWN, GOOD, Interval
from tests.connect.opcua.servers import Cable, KeepingSink, PlantServer, Subscribed, settings

QUICK = {"publish": "30", "sampling": "30", "reconnect": "0.1", "timeout": "3"}


def quick(url: str, *tags: str, **options: str) -> ConnectionSettings:
    return settings(url, *(f"ns=2;s={tag}" for tag in tags), secrets=None, **{**QUICK, **options})


@pytest.fixture
def cable(workshop: PlantServer) -> Iterator[Cable]:
    made = Cable(workshop.port)
    yield made
    made.close()


def through(cable: Cable) -> str:
    return f"opc.tcp://127.0.0.1:{cable.port}/plant"


def test_every_change_comes_once_with_its_own_time_and_status(workshop: PlantServer) -> None:
    workshop.add("f1", 0.0, ua.VariantType.Double)
    sink = KeepingSink()
    at = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    with Subscribed(make(quick(workshop.url, "f1")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f1") == [0.0])
        for number, status in enumerate((0, 0x40900000, 0x808C0000, 0x00960000), start=1):
            workshop.set("f1", float(number), at=at + timedelta(milliseconds=number), status=status)
            sink.wait(lambda number=number: len(sink.values("ns=2;s=f1")) == number + 1)  # type: ignore[misc]

    kept = sink.samples("ns=2;s=f1")[1:]
    assert [(time, status) for time, _, status in kept] == [
        (at + timedelta(milliseconds=number), status)
        for number, status in enumerate((0, 0x40900000, 0x808C0000, 0x00960000), start=1)
    ]
    assert [value for _, value, _ in kept[:2]] == [1.0, 2.0]
    assert sink.gaps == {}


def test_one_bad_tag_is_noted_and_the_others_go_on(workshop: PlantServer) -> None:
    workshop.add("f2", 5.0)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f2", "gone")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f2") == [5.0] and sink.of("bad_tag"))
        sink.wait(lambda: sink.states[-1][0] == "degraded")

    assert [status for _, _, status in sink.samples("ns=2;s=gone")] == [BAD_NODE_UNKNOWN]
    assert [(gap.tags, gap.note) for gap in sink.of("bad_tag")] == [(("ns=2;s=gone",), "BadNodeIdUnknown")]


def test_a_tag_that_appears_later_is_taken_up_and_its_gap_ends(workshop: PlantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live, "_RETRY_REFUSED_S", 0.2)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f3")), sink):
        sink.wait(lambda: sink.of("bad_tag"))
        workshop.add("f3", 3.0)
        sink.wait(lambda: 3.0 in sink.values("ns=2;s=f3") and sink.of("bad_tag")[0].until is not None)


def test_a_renamed_tag_is_a_gap_of_the_old_name_and_is_found_under_the_new_one(
    workshop: PlantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_live, "_LOOK_SOON_S", 0.1)
    line = workshop.folder("renaming")
    workshop.add("r1", 1.0, under=line)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, root=line.nodeid.to_string())), sink):
        sink.wait(lambda: sink.values("ns=2;s=r1") == [1.0])
        workshop.add("r2", 2.0, under=line)
        workshop.set("r1", None, ua.VariantType.Null, status=BAD_NODE_UNKNOWN)
        sink.wait(lambda: 2.0 in sink.values("ns=2;s=r2"))

    assert [(gap.tags, gap.until) for gap in sink.of("bad_tag")] == [(("ns=2;s=r1",), None)]


def test_a_unit_that_changes_is_known_before_the_value_that_has_it(workshop: PlantServer) -> None:
    def unit(name: str) -> ua.EUInformation:
        return ua.EUInformation("", 0, ua.LocalizedText(name), ua.LocalizedText(name))

    node = workshop.add("u1", 0.0)
    held = workshop.do(node.add_property(2, "EngineeringUnits", unit("Pa")))
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "u1")), sink):
        sink.wait(lambda: sink.values("ns=2;s=u1") == [0.0])
        assert sink.facts["ns=2;s=u1"].unit == "Pa"
        workshop.do(held.write_value(unit("mmH2O")))
        units: list[str | None] = []
        put = sink.put_block
        sink.put_block = lambda block, done=None: (units.append(sink.facts["ns=2;s=u1"].unit), put(block, done))[1]  # type: ignore[method-assign,func-returns-value]
        workshop.set("u1", 5.0, status=0x4000)
        sink.wait(lambda: 5.0 in sink.values("ns=2;s=u1"))
        workshop.set("u1", 6.0)
        sink.wait(lambda: 6.0 in sink.values("ns=2;s=u1"))

    assert set(units) == {"mmH2O"}
    assert sink.samples("ns=2;s=u1")[1][2] == 0x4000


def test_a_cut_is_a_gap_marks_every_tag_and_an_unchanged_value_comes_back(workshop: PlantServer, cable: Cable) -> None:
    workshop.add("f4", 4.0)
    workshop.set("f4", 4.0, at=datetime.now(UTC) - timedelta(minutes=5))
    sink = KeepingSink()
    with Subscribed(make(quick(through(cable), "f4")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f4") == [4.0])
        cable.cut()
        sink.wait(lambda: sink.of("disconnected") and sink.of("disconnected")[0].filled is not None)
        sink.wait(lambda: len(sink.samples("ns=2;s=f4")) == 3)

    (old, _, _), (marked, nothing, bad), (back, value, good) = sink.samples("ns=2;s=f4")
    assert (nothing, bad, value, good) == (None, BAD_NO_COMMUNICATION, 4.0, GOOD)
    assert old < marked < back
    (gap,) = sink.of("disconnected")
    assert gap.until is not None
    assert gap.since < gap.until


def test_what_the_server_kept_during_a_short_cut_is_not_lost_and_not_doubled(workshop: PlantServer, cable: Cable) -> None:
    workshop.add("f5", 0.0)
    sink = KeepingSink()
    with Subscribed(make(quick(through(cable), "f5")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f5") == [0.0])
        for number in range(1, 40):
            workshop.set("f5", float(number))
            if number in {10, 25}:
                cable.cut()
            time.sleep(0.035)
        sink.wait(lambda: 39.0 in sink.values("ns=2;s=f5"))
        sink.wait(lambda: all(gap.filled is not None for gap in sink.gaps.values()))

    samples = sink.samples("ns=2;s=f5")
    distinct = {(at, value) for at, value, status in samples if status == GOOD}
    assert {value for _, value in distinct} == {float(number) for number in range(40)}
    assert len([one for one in samples if one[2] == GOOD]) == len(distinct)
    assert [gap.whole for gap in sink.of("disconnected")] == [True, True]


def test_a_half_open_connection_is_noticed_by_its_silence(
    workshop: PlantServer, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_subscribe, "KEEP_ALIVE_S", 0.12)
    workshop.add("f6", 6.0)
    sink = KeepingSink()
    with Subscribed(make(quick(through(cable), "f6", timeout="0.5")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f6") == [6.0])
        cable.frozen.set()
        sink.wait(lambda: sink.of("disconnected"))
        assert sink.of("disconnected")[0].note == "silent"
        cable.frozen.clear()
        sink.wait(lambda: sink.of("disconnected")[0].until is not None)


def test_a_blocked_sink_does_not_end_the_session_and_nothing_is_lost(
    workshop: PlantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_subscribe, "KEEP_ALIVE_S", 0.12)
    workshop.add("f7", 0.0)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f7")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f7") == [0.0])
        sink.hold.clear()
        for number in range(1, 31):
            workshop.set("f7", float(number))
            time.sleep(0.035)
        sink.hold.set()
        sink.wait(lambda: 30.0 in sink.values("ns=2;s=f7"))

    assert sink.values("ns=2;s=f7") == [float(number) for number in range(31)]
    assert sink.gaps == {}


def test_beyond_its_bound_a_blocked_sink_costs_values_and_the_ledger_says_how_many(
    workshop: PlantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Outlet.__init__
    monkeypatch.setattr(Outlet, "__init__", lambda self, sink, items: small(self, sink, items, most=5))
    workshop.add("f8", 0.0)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f8")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f8") == [0.0])
        sink.hold.clear()
        for number in range(1, 41):
            workshop.set("f8", float(number))
            time.sleep(0.035)
        sink.hold.set()
        workshop.set("f8", 99.0)
        sink.wait(lambda: 99.0 in sink.values("ns=2;s=f8"))

    lost = 41 - (len(sink.values("ns=2;s=f8")) - 1)
    assert lost > 0
    assert sum(gap.samples or 0 for gap in sink.of("spool_dropped")) == lost


def test_values_that_the_servers_queue_threw_away_are_a_gap_of_their_tags(workshop: PlantServer) -> None:
    workshop.add("f9", 0.0)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f9")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f9") == [0.0])
        workshop.set("f9", 7.0, status=0x00000480)
        sink.wait(lambda: sink.of("server_overflow"))

    (gap,) = sink.of("server_overflow")
    assert gap.tags == ("ns=2;s=f9",)
    assert gap.until == sink.samples("ns=2;s=f9")[-1][0]
    assert sink.samples("ns=2;s=f9")[-1][2] == 0x480


def test_strange_times_cost_only_the_values_that_have_them(workshop: PlantServer) -> None:
    workshop.add("f11", 0.0)
    sink = KeepingSink()
    with Subscribed(make(quick(workshop.url, "f11")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f11") == [0.0])
        workshop.set("f11", 1.0, at=datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
        sink.wait(lambda: sink.of("out_of_range"))
        workshop.set("f11", 2.0)
        sink.wait(lambda: sink.of("out_of_range")[0].until is not None)

    assert sink.values("ns=2;s=f11") == [0.0, 2.0]
    assert [reject.code for reject in sink.rejects] == ["time_out_of_range"]


def test_a_server_whose_clock_is_an_hour_ahead_is_shown_and_its_times_stay(workshop: PlantServer) -> None:
    workshop.add("f12", 0.0)
    ours = datetime.now(UTC) - timedelta(hours=1)
    sink = KeepingSink()
    source = make(quick(workshop.url, "f12"))
    source._clock = lambda: datetime.now(UTC) - timedelta(hours=1)
    with Subscribed(source, sink):
        sink.wait(lambda: sink.values("ns=2;s=f12") == [0.0] and sink.states[-1][0] != "starting")

    text = sink.states[-1][1]
    assert text is not None
    assert "3,600 s ahead" in text.en or "3,599 s ahead" in text.en or "3,601 s ahead" in text.en
    assert "빨라요" in text.ko
    assert sink.samples("ns=2;s=f12")[0][0] > ours + timedelta(minutes=50)


def test_a_pause_is_a_gap_and_resuming_goes_on(workshop: PlantServer) -> None:
    workshop.add("f13", 0.0)
    sink = KeepingSink()
    source = make(quick(workshop.url, "f13"))
    with Subscribed(source, sink):
        sink.wait(lambda: sink.values("ns=2;s=f13") == [0.0])
        source.pause()
        sink.wait(lambda: sink.of("paused") and sink.states[-1][0] == "paused")
        source.resume()
        sink.wait(lambda: sink.of("paused")[0].until is not None)
        workshop.set("f13", 1.0)
        sink.wait(lambda: 1.0 in sink.values("ns=2;s=f13"))


def test_history_fills_the_gap_of_a_server_that_was_restarted_and_says_whether_it_is_whole(workshop: PlantServer) -> None:
    own = PlantServer().start()
    sink = KeepingSink()
    try:
        own.add("h", 0.0)
        own.add("p", 0.0)
        with Subscribed(make(quick(own.url, "h", "p")), sink):
            sink.wait(lambda: sink.values("ns=2;s=h") == [0.0] and sink.values("ns=2;s=p") == [0.0])
            own.stop()
            sink.wait(lambda: sink.of("disconnected"))
            own.start()
            node = own.add("h", 0.0)
            own.add("p", 5.0)
            assert own.server is not None
            own.do(own.server.historize_node_data_change(node))
            sink.wait(lambda: sink.of("disconnected")[0].filled is not None)
            sink.wait(lambda: 5.0 in sink.values("ns=2;s=p"))
            own.set("h", 1.0)
            sink.wait(lambda: 1.0 in sink.values("ns=2;s=h"))
        gap = sink.of("disconnected")[0]
        assert gap.until is not None
        source = make(quick(own.url, "h", "p"))
        already = len(sink.samples("ns=2;s=h", origin="backfill"))
        came = source.backfill(["ns=2;s=h", "ns=2;s=p"], Interval(gap.since, datetime.now(UTC)), sink)
        none = source.backfill(["ns=2;s=p"], Interval(gap.since, datetime.now(UTC)), sink)
        source.close()
    finally:
        own.close()

    assert 1.0 in sink.values("ns=2;s=h", origin="backfill")
    assert (came.whole, none, none.whole) == (False, 0, None)
    assert came == len(sink.samples("ns=2;s=h", origin="backfill")) - already


def test_stopping_ends_soon_and_is_no_gap(workshop: PlantServer) -> None:
    workshop.add("f14", 0.0)
    sink = KeepingSink()
    before = threading.active_count()
    with Subscribed(make(quick(workshop.url, "f14")), sink):
        sink.wait(lambda: sink.values("ns=2;s=f14") == [0.0])

    assert sink.gaps == {}
    assert threading.active_count() <= before


def test_a_sink_that_fails_ends_the_subscription_and_its_session(workshop: PlantServer) -> None:
    workshop.add("f16", 0.0)
    sink = KeepingSink()

    def closed(block: Block, done: Callable[[], None] | None = None) -> None:
        raise InputError("closed", ko="닫혔어요", en="closed")

    sink.put_block = closed  # type: ignore[method-assign]
    with Subscribed(make(quick(workshop.url, "f16")), sink) as running:
        running.join()

    assert isinstance(running.error, InputError)


def test_names_stay_when_the_servers_namespaces_have_moved(workshop: PlantServer) -> None:
    workshop.add("f17", 17.0)
    first = ["http://opcfoundation.org/UA/", "urn:gone", "urn:other", "urn:plant.test:tags"]
    sink = KeepingSink(cursors={"opcua.namespaces": json.dumps(first)})
    with Subscribed(make(settings(workshop.url, "ns=3;s=f17", secrets=None, **QUICK)), sink):
        sink.wait(lambda: sink.values("ns=3;s=f17") == [17.0])


def test_a_server_that_is_off_at_first_is_taken_up_when_it_comes(workshop: PlantServer, cable: Cable) -> None:
    workshop.add("f15", 15.0)
    target, cable.target = cable.target, 1
    sink = KeepingSink()
    with Subscribed(make(quick(through(cable), "f15")), sink):
        sink.wait(lambda: sink.states and sink.states[-1][0] == "disconnected")
        cable.target = target
        sink.wait(lambda: sink.values("ns=2;s=f15") == [15.0])

    assert sink.gaps == {}
