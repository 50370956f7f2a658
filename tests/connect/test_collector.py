"""Nothing that a source hands over is lost or counted twice, and no silence goes unnoted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from madang.connect import (
    Block,
    Capability,
    Collector,
    Decoder,
    Gap,
    Message,
    Reject,
    Rows,
    Sink,
    SourceDescription,
    Spool,
    Tag,
    TestStep,
)
from madang.errors import InputError
from madang.plant import Bilingual, Interval
from tests.connect.spooling import START, START_US, Clock, block, everything, messages, open_spool

SECOND = timedelta(seconds=1)


class Script:
    """A source that does what a test tells it to."""

    def __init__(
        self, *acts: Callable[[Sink], object], capabilities: Sequence[Capability] = ("subscribe",), wait: bool = False
    ) -> None:
        self.acts = list(acts)
        self.description = SourceDescription("script", Bilingual("대본", "script"), frozenset(capabilities))
        self.wait = wait
        self.asked: list[tuple[tuple[str, ...], Interval]] = []
        self.history: Block | None = None

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        while self.acts:
            self.acts.pop(0)(sink)
        if self.wait:
            stop.wait(30)

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        self.asked.append((tuple(tags), interval))
        if self.history is None:
            raise TimeoutError
        sink.put_block(self.history)
        return len(self.history)

    def test(self) -> Iterator[TestStep]:
        return iter(())

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        return ()

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        raise NotImplementedError

    def decoder(self) -> Decoder | None:
        return None

    def close(self) -> None:
        return


def run(folder: Path, source: Script, *, options: dict[str, str] | None = None) -> Collector:
    """Run a source to its end into the spool of a folder."""
    with open_spool(folder) as spool:
        collector = Collector(source, spool, spool.ledger, Clock(), options=options, tags=("온도",))
        collector.run(threading.Event())
        spool.wait(spool.append_messages([]), 10)
        wait_for(
            lambda: (
                collector.status().durable + collector.status().rejected
                >= collector.status().received - collector.status().duplicates_dropped
            )
        )
    return collector


def wait_for(what: Callable[[], bool]) -> None:
    event = threading.Event()
    for _ in range(1000):
        if what():
            return
        event.wait(0.005)
    raise TimeoutError


def at(second: float) -> int:
    return START_US + int(second * 1_000_000)


def sends(second: float) -> Callable[[Sink], object]:
    return lambda sink: sink.put_block(block([1.0, 2.0], received=at(second)))


def gaps(folder: Path) -> list[Gap]:
    with open_spool(folder) as spool:
        return spool.ledger.gaps()


def test_what_is_received_durable_rejected_and_doubled_is_counted(tmp_path: Path) -> None:
    lots = Rows("lots", (), pa.record_batch({"a": [1, 2, 3]}), START_US)
    told: list[str] = []
    source = Script(
        lambda s: s.put_block(block([1.0, 2.0]), lambda: told.append("block")),
        lambda s: s.put_messages(messages(b"a", b"b"), lambda: told.append("messages")),
        lambda s: s.put_messages([replace_again(messages(b"b", at=START_US + 1)[0])], lambda: told.append("again")),
        lambda s: s.put_messages([], lambda: told.append("none")),
        lambda s: s.put_rows(lots),
        lambda s: s.put_reject(Reject("t", b"", Bilingual("", ""), "malformed", START_US)),
    )
    status = run(tmp_path / "line", source).status()
    assert (status.received, status.durable, status.duplicates_dropped, status.rejected) == (9, 7, 1, 1)
    assert told == ["block", "messages", "again"]
    assert status.state == "stopped"


def replace_again(message: Message) -> Message:
    """Return a message as the peer sends it a second time."""
    return Message(message.topic, message.payload, message.received + 5, again=True, packet=message.packet)


def payloads(folder: Path) -> list[bytes]:
    with open_spool(folder) as spool:
        return [m.payload for f in everything(spool) if isinstance(f.content, list) for m in f.content]


def test_a_message_that_the_peer_sends_again_after_a_restart_is_told_as_taken_and_kept_once(tmp_path: Path) -> None:
    first = Message("t", b"one", START_US, packet=7)
    run(tmp_path / "line", Script(lambda s: s.put_messages([first, Message("t", b"two", START_US, packet=8)])))
    told = threading.Event()
    again = run(tmp_path / "line", Script(lambda s: s.put_messages([replace_again(first)], told.set)))
    assert told.is_set()
    assert again.status().duplicates_dropped == 1
    assert payloads(tmp_path / "line") == [b"one", b"two"]


def test_equal_messages_sent_on_purpose_are_all_kept_however_often_one_of_them_is_sent_again(tmp_path: Path) -> None:
    tick = Message("counter", b"1", START_US, packet=3)
    acts: list[Callable[[Sink], object]] = [lambda s: s.put_messages([tick, tick, tick])]
    acts += [lambda s: s.put_messages([replace_again(tick)])] * 3
    acts += [lambda s: s.put_messages([replace_again(tick)])]
    run(tmp_path / "line", Script(*acts))
    assert payloads(tmp_path / "line") == [b"1"] * 4


def test_a_message_marked_as_sent_again_that_never_came_is_kept(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(lambda s: s.put_messages([Message("t", b"x", START_US, again=True, packet=9)])))
    assert payloads(tmp_path / "line") == [b"x"]


def test_a_connection_whose_payload_is_the_identity_drops_equal_messages(tmp_path: Path) -> None:
    once = Message("t", b'{"id": 1}', START_US)
    other = Message("u", b'{"id": 1}', START_US)
    source = Script(lambda s: s.put_messages([once, other, once]), lambda s: s.put_messages([once]))
    run(tmp_path / "line", source, options={"identity": "payload"})
    run(tmp_path / "line", Script(lambda s: s.put_messages([once])), options={"identity": "payload"})
    assert payloads(tmp_path / "line") == [b'{"id": 1}'] * 2


def test_messages_that_could_not_be_kept_are_not_taken_for_kept_when_they_come_again(tmp_path: Path) -> None:
    good = Message("t", b"x", START_US, packet=1)
    bad = Message("t", b"y", START_US, packet=1 << 20)

    def tries(sink: Sink) -> None:
        with pytest.raises(ValueError, match="fit"):
            sink.put_messages([good, bad])

    run(tmp_path / "line", Script(tries, lambda s: s.put_messages([replace_again(good)])))
    assert payloads(tmp_path / "line") == [b"x"]


def test_the_first_start_has_no_gap_and_every_later_one_has(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(sends(10)))
    run(tmp_path / "line", Script(sends(100), sends(101)))
    first, second = gaps(tmp_path / "line")
    assert (first.cause, first.since, first.until) == ("collector_stopped", START + 10 * SECOND, START + 100 * SECOND)
    assert (second.cause, second.since, second.until) == ("collector_stopped", START + 101 * SECOND, None)


def test_a_collector_that_died_is_noted_by_the_next_from_the_last_durable_sample_on(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(block([1.0], received=at(10))), 10)
        spool.ledger.open("disconnected", START + 11 * SECOND)
        spool.ledger.open("bad_tag", START, tags=["없는 태그"])
    run(tmp_path / "line", Script(sends(60)))
    told = {g.cause: (g.since, g.until) for g in gaps(tmp_path / "line")[:3]}
    assert told == {
        "disconnected": (START + 11 * SECOND, START + 60 * SECOND),
        "bad_tag": (START, None),
        "collector_stopped": (START + 10 * SECOND, START + 60 * SECOND),
    }


def test_what_was_measured_and_not_yet_received_when_the_collector_died_lies_in_the_gap(tmp_path: Path) -> None:
    late = block([1.0], at=at(9.75), received=at(10))
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(late), 10)
    run(tmp_path / "line", Script(sends(100), lambda sink: sink.put_block(replace(late, received=at(101)))))
    newest = max(late.batch.column("time").to_pylist())
    first, second = gaps(tmp_path / "line")
    assert newest == START + 9.75 * SECOND
    assert first.since == newest
    assert second.since == START + 101 * SECOND  # 91 s old: the clock of a source is no measure


def test_a_push_that_is_quicker_than_the_start_neither_hides_the_gap_nor_makes_one(tmp_path: Path) -> None:
    for stop, first in ((10, 0), (100, 1)):
        with open_spool(tmp_path / "line") as spool:
            collector = Collector(Script(sends(stop + 2)), spool, spool.ledger, Clock())
            sends(stop)(collector)
            sends(stop + 1)(collector)
            assert len(spool.ledger.gaps()) == first
            collector.run(threading.Event())
    before, after = gaps(tmp_path / "line")
    assert (before.since, before.until) == (START + 12 * SECOND, START + 100 * SECOND)
    assert (after.since, after.until) == (START + 102 * SECOND, None)


def test_a_start_that_gets_nothing_leaves_the_gap_open(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(sends(10)))
    run(tmp_path / "line", Script(lambda s: s.put_block(replace(block([1.0], received=at(50)), origin="backfill"))))
    [gap] = gaps(tmp_path / "line")
    assert (gap.since, gap.until) == (START + 10 * SECOND, None)


def test_what_the_peer_kept_while_nobody_listened_is_fetched_and_noted(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(sends(10)))
    source = Script(sends(100), capabilities=("subscribe", "backfill"))
    source.history = replace(block([1.0] * 30, at=at(11), received=at(101)), origin="backfill")
    run(tmp_path / "line", source)
    gap = gaps(tmp_path / "line")[0]
    assert (gap.backfilled, gap.filled) == ("yes", 30)
    [(tags, interval)] = source.asked
    assert tags == ("온도",)
    assert interval.start <= START + 10 * SECOND
    assert interval.end == START + 100 * SECOND


class Told(int):
    """A number of samples with what the source knows beside it."""

    whole: bool | None


@pytest.mark.parametrize(("whole", "said"), [(True, "yes"), (False, "part"), (None, "impossible")])
def test_history_that_came_in_part_is_not_called_whole(tmp_path: Path, whole: bool | None, said: str) -> None:
    class Partly(Script):
        def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
            came = Told(super().backfill(tags, interval, sink))
            came.whole = whole
            return came

    run(tmp_path / "line", Script(sends(10)))
    source = Partly(sends(100), capabilities=("subscribe", "backfill"))
    source.history = replace(block([1.0] * 30, at=at(11), received=at(101)), origin="backfill")
    run(tmp_path / "line", source)
    gap = gaps(tmp_path / "line")[0]
    assert (gap.backfilled, gap.filled) == (said, 30)


def test_history_that_cannot_be_fetched_leaves_the_gap_unfilled_and_the_rest_goes_on(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(sends(10)))
    run(tmp_path / "line", Script(sends(100), sends(101), capabilities=("subscribe", "backfill")))
    gap = gaps(tmp_path / "line")[0]
    assert (gap.until, gap.backfilled, gap.filled) == (START + 100 * SECOND, "no", 0)
    with open_spool(tmp_path / "line") as spool:
        assert len(everything(spool)) == 3


def test_a_table_that_is_read_on_from_its_saved_position_missed_nothing(tmp_path: Path) -> None:
    lots = Rows("lots", ("a",), pa.record_batch({"a": [1]}), at(10))
    run(tmp_path / "line", Script(lambda s: s.put_rows(lots), capabilities=("rows",)))
    run(tmp_path / "line", Script(lambda s: s.state("connected"), capabilities=("rows",)))
    gap = gaps(tmp_path / "line")[0]
    assert (gap.cause, gap.until is not None, gap.backfilled) == ("collector_stopped", True, "yes")


@pytest.mark.parametrize(
    ("capabilities", "closed"), [(("subscribe", "rows"), True), (("browse",), True), (("subscribe",), False)]
)
def test_a_source_whose_peer_waits_is_whole_again_once_it_is_reached_though_nothing_came(
    tmp_path: Path, capabilities: tuple[Capability, ...], *, closed: bool
) -> None:
    run(tmp_path / "line", Script(sends(10)))
    run(tmp_path / "line", Script(lambda s: s.state("connected"), capabilities=capabilities))
    gap = gaps(tmp_path / "line")[0]
    assert (gap.cause, gap.until is not None, gap.backfilled) == ("collector_stopped", closed, "yes" if closed else "no")


def test_a_pause_by_a_person_is_no_stopped_collector(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        Collector(Script(sends(10)), spool, spool.ledger, Clock()).run(threading.Event(), lambda: "paused")
    [gap] = gaps(tmp_path / "line")
    assert (gap.cause, gap.since, gap.until) == ("paused", START + 10 * SECOND, None)
    run(tmp_path / "line", Script(sends(100)))
    first, second = gaps(tmp_path / "line")
    assert (first.cause, first.until) == ("paused", START + 100 * SECOND)
    assert (second.cause, second.since, second.until) == ("collector_stopped", START + 100 * SECOND, None)


def test_what_the_peer_kept_while_a_person_had_paused_it_is_fetched(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        Collector(Script(sends(10)), spool, spool.ledger, Clock()).run(threading.Event(), lambda: "paused")
    source = Script(sends(100), capabilities=("subscribe", "backfill"))
    source.history = replace(block([1.0] * 30, at=at(11), received=at(101)), origin="backfill")
    run(tmp_path / "line", source)
    gap = gaps(tmp_path / "line")[0]
    assert (gap.cause, gap.backfilled, gap.filled) == ("paused", "yes", 30)


def test_a_source_that_breaks_down_is_started_again_and_the_break_is_noted_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.connect._collector._PATIENCE", (0.01, 0.01))

    def breaks(_: Sink) -> None:
        raise ConnectionError("opc.tcp://user:hunter2@10.0.0.1 refused")

    with caplog.at_level(logging.DEBUG):
        collector = run(tmp_path / "line", Script(sends(1), breaks, sends(5)))
    broke = gaps(tmp_path / "line")[0]
    assert (broke.cause, broke.since, broke.until, broke.note) == (
        "disconnected",
        START + SECOND,
        START + 5 * SECOND,
        "ConnectionError",
    )
    assert collector.status().received == 4
    assert "hunter2" not in caplog.text
    assert "hunter2" not in (tmp_path / "line" / "gaps.jsonl").read_text()


def test_a_refusal_ends_the_run_and_says_why(tmp_path: Path) -> None:
    def refuses(_: Sink) -> None:
        raise InputError("login_refused", ko="비밀번호가 달라요.", en="The password is wrong.")

    with open_spool(tmp_path / "line") as spool:
        collector = Collector(Script(refuses), spool, spool.ledger, Clock())
        with pytest.raises(InputError):
            collector.run(threading.Event())
        status = collector.status()
    assert (status.state, status.text) == ("failed", Bilingual("비밀번호가 달라요.", "The password is wrong."))


def test_closing_the_spool_lets_a_blocked_source_end(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "line")

    def goes_on(sink: Sink) -> None:
        while True:
            sink.put_block(block([1.0]))

    collector = Collector(Script(goes_on), spool, spool.ledger, Clock())
    thread = threading.Thread(target=collector.run, args=(threading.Event(),))
    thread.start()
    wait_for(lambda: collector.status().durable > 0)
    spool.close()
    thread.join(10)
    assert not thread.is_alive()
    assert collector.status().state == "stopped"


def test_a_connection_that_cannot_write_to_its_disk_is_called_degraded(tmp_path: Path) -> None:
    broken = threading.Event()

    def sync(_: int) -> None:
        if broken.is_set():
            raise OSError(5, "Input/output error")

    with open_spool(tmp_path / "line", sync=sync) as spool:
        collector = Collector(Script(), spool, spool.ledger, Clock())
        collector.state("connected")
        assert collector.status().state == "connected"
        broken.set()
        collector.put_block(block([1.0]))
        wait_for(lambda: collector.status().state == "degraded")
        assert collector.status().durable == 0
        broken.clear()
        wait_for(lambda: collector.status().durable == 1)
        assert collector.status().state == "connected"


def test_a_tag_and_a_cursor_pass_through_to_the_spool(tmp_path: Path) -> None:
    told = threading.Event()

    def saves(sink: Sink) -> None:
        assert sink.number_of(Tag("온도")) == 1
        assert sink.cursor("lots") is None
        sink.save_cursor("lots", "17", told.set)
        assert sink.cursor("lots") == "17"

    run(tmp_path / "line", Script(saves))
    assert told.is_set()
    with open_spool(tmp_path / "line") as spool:
        assert (spool.cursor("lots"), spool.tags.tag(1).name) == ("17", "온도")


def test_the_age_of_the_newest_is_known_after_a_restart(tmp_path: Path) -> None:
    run(tmp_path / "line", Script(sends(10)))
    with open_spool(tmp_path / "line") as spool:
        status = Collector(Script(), spool, spool.ledger, Clock()).status()
    assert status.newest == START + 10 * SECOND == datetime.fromtimestamp(at(10) / 1e6, UTC)


def test_a_spool_given_to_a_collector_counts_its_losses(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        assert isinstance(spool, Spool)
        gap = spool.ledger.open("spool_dropped", START)
        spool.ledger.grow(gap, START + SECOND, 120)
        assert Collector(Script(), spool, spool.ledger, Clock()).status().overflowed == 120
