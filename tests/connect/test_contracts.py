"""The contracts find what they are for: each behaviour fails for a source or an actuator that lacks it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from madang.connect import (
    Actuator,
    Block,
    Capability,
    ConnectionState,
    Message,
    Reject,
    Sink,
    Source,
    SourceDescription,
    Tag,
    TestStep,
    WriteOutcome,
)
from madang.connect.replay._source import ReplaySource
from madang.plant import Bilingual, Interval
from madang.testing import ActuatorContract, ActuatorPeer, PretendActuator, RecordingSink, SourceContract, SourcePeer
from tests.connect.replay.test_replay import ReplayPeer
from tests.connect.spooling import START_US, block


class PretendActuatorPeer(ActuatorPeer):
    """A furnace in memory."""

    tag = "소성로1호기/설정온도"
    values = (720.0, 735.5)
    too_much = 900.0
    read_only = "소성로1호기/온도"

    def __init__(self) -> None:
        self.actuator = PretendActuator({self.tag: (20.0, 800.0)}, {self.read_only: 719.0})

    def make(self) -> Actuator:
        return self.actuator

    def stands(self) -> float:
        return self.actuator.values[self.tag]


class TestPretendActuator(ActuatorContract):
    @pytest.fixture
    def peer(self) -> ActuatorPeer:
        return PretendActuatorPeer()


class Wrong:
    """A source that is a good one but for what a test takes out of it."""

    def __init__(self, good: ReplaySource, **instead: Any) -> None:  # noqa: ANN401 - members of any kind
        self._good = good
        self._instead = instead

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - members of any kind
        return self._instead[name] if name in self._instead else getattr(self._good, name)


@dataclass
class Quiet:
    """A sink that passes on only what it is told to."""

    sink: Sink
    drop: Callable[[Block], Block | None]

    def put_block(self, got: Block, done: Callable[[], None] | None = None) -> None:
        kept = self.drop(got)
        if kept is not None:
            self.sink.put_block(kept, done)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the sink
        return getattr(self.sink, name)


def through(drop: Callable[[Block], Block | None]) -> Callable[[ReplaySource], dict[str, Any]]:
    return lambda good: {"subscribe": lambda sink, stop: good.subscribe(Quiet(sink, drop), stop)}


def deaf(good: ReplaySource) -> dict[str, Any]:
    return {"subscribe": lambda sink, stop: (sink.state("connected"), threading.Event().wait(2))}


def littering(good: ReplaySource) -> dict[str, Any]:
    def subscribe(sink: Sink, stop: threading.Event) -> None:
        threading.Thread(target=threading.Event().wait, args=(3,), daemon=True).start()
        good.subscribe(sink, stop)

    return {"subscribe": subscribe}


def once(good: ReplaySource) -> dict[str, Any]:
    calls: list[int] = []

    def subscribe(sink: Sink, stop: threading.Event) -> None:
        calls.append(1)
        if len(calls) == 1:
            good.subscribe(sink, stop)

    return {"subscribe": subscribe}


def closing_twice(good: ReplaySource) -> dict[str, Any]:
    handles = [1]
    return {"close": handles.pop}


def described(**changes: Any) -> Callable[[ReplaySource], dict[str, Any]]:  # noqa: ANN401 - fields of a description
    return lambda good: {"description": replace(good.description, **changes)}


def saying(*steps: TestStep) -> Callable[[ReplaySource], dict[str, Any]]:
    return lambda good: {"test": lambda: iter(steps)}


def without_one(got: Block) -> Block | None:
    numbers = got.batch.column("number").to_pylist()
    return None if 3.0 in numbers else got


def good_but_empty(got: Block) -> Block:
    return block([None])


FAILED = TestStep("tcp", "failed", Bilingual("", ""))
OK = TestStep("name", "ok", Bilingual("", ""))
FAULTS: list[tuple[str, Callable[[ReplaySource], dict[str, Any]]]] = [
    ("test_the_description_is_whole_in_both_languages", described(title=Bilingual("기록", ""))),
    ("test_the_description_is_whole_in_both_languages", described(capabilities=frozenset({"fly"}))),
    ("test_it_may_be_closed_twice_and_without_having_been_used", closing_twice),
    ("test_a_test_against_a_peer_that_is_there_passes_step_by_step", saying(OK, FAILED)),
    ("test_a_test_against_a_peer_that_is_there_passes_step_by_step", saying()),
    ("test_browsing_lists_each_tag_once_and_the_same_again", lambda g: {"browse": lambda: [Tag("로1/온도")] * 2}),
    ("test_browsing_keeps_to_the_limit", lambda g: {"browse": lambda limit: g.browse()}),
    ("test_reading_gives_one_value_for_each_tag", lambda g: {"read": lambda tags, sink: g.read(tags[:1], sink)}),
    (
        "test_one_wrong_tag_leaves_the_others_as_they_are",
        lambda g: {"read": lambda tags, sink: g.read(["x"] * len(tags), sink)},
    ),
    ("test_it_starts_and_stops_and_leaves_no_thread_behind", deaf),
    ("test_it_starts_and_stops_and_leaves_no_thread_behind", littering),
    ("test_a_stopped_source_can_be_started_again", once),
    ("test_every_change_arrives_in_its_order", through(without_one)),
    ("test_what_arrives_is_well_formed", through(good_but_empty)),
    ("test_nothing_comes_that_was_not_declared", described(capabilities=frozenset({"subscribe", "messages"}))),
    ("test_history_of_an_interval_is_fetched_and_counted", lambda g: {"backfill": lambda tags, interval, sink: 6}),
    ("test_history_may_be_fetched_while_it_is_subscribed", lambda g: {"backfill": lambda tags, interval, sink: 0}),
]


class WrongPeer(ReplayPeer):
    """A peer whose source has a fault."""

    patience = 0.6

    def __init__(self, folder: Path, fault: Callable[[ReplaySource], dict[str, Any]]) -> None:
        super().__init__(folder)
        self.fault = fault

    def make(self) -> Source:
        good = super().make()
        assert isinstance(good, ReplaySource)
        return Wrong(good, **self.fault(good))


@pytest.mark.parametrize(("behaviour", "fault"), FAULTS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(FAULTS)])
def test_a_behaviour_fails_for_a_source_that_lacks_it(
    tmp_path: Path, behaviour: str, fault: Callable[[ReplaySource], dict[str, Any]]
) -> None:
    contract = SourceContract()
    getattr(contract, behaviour)(ReplayPeer(tmp_path))
    with pytest.raises((AssertionError, IndexError)):
        getattr(contract, behaviour)(WrongPeer(tmp_path, fault))


class Line:
    """A peer in memory that can be taken away, with raw messages, a secret and whatever fault a test wants."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[float] = []
        self.kept: list[float] = []


class LineSource:
    """A good source of messages; tests make it worse."""

    capabilities: frozenset[Capability] = frozenset({"subscribe", "messages", "acknowledge"})

    def __init__(self, line: Line) -> None:
        self.line = line
        self.description = SourceDescription("line", Bilingual("라인", "line"), self.capabilities)

    def __repr__(self) -> str:
        return "LineSource()"

    def test(self) -> Iterator[TestStep]:
        yield OK if self.line.up else TestStep("tcp", "failed", OK.text, Bilingual("켜 주세요.", "Switch it on."))

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        return ()

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        raise NotImplementedError

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        now: ConnectionState = "starting"
        gap = ""
        sent = 0
        while not stop.wait(0.005):
            if self.line.up and now != "connected":
                now = "connected"
                sent = 0
                self.tell(sink, now)
                if gap:
                    self.close_gap(sink, gap)
            elif not self.line.up and now == "connected":
                now = "disconnected"
                self.tell(sink, now)
                gap = self.open_gap(sink)
            while self.line.up and sent < len(self.line.sent):
                value = self.line.sent[sent]
                sent += 1
                if value not in self.line.kept:
                    self.hand_over(sink, value)

    def tell(self, sink: Sink, state: ConnectionState) -> None:
        sink.state(state)

    def hand_over(self, sink: Sink, value: float) -> None:
        raw = [Message(t, b"%g" % value, START_US + 10**15) for t in ("a", "b")]
        sink.put_messages(raw, lambda: self.line.kept.append(value))

    def open_gap(self, sink: Sink) -> str:
        return sink.gap_opened("disconnected", datetime.now(UTC))

    def close_gap(self, sink: Sink, gap: str) -> None:
        sink.gap_closed(gap, datetime.now(UTC))

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        return 0

    def decoder(self) -> Any:  # noqa: ANN401 - a decoder
        return Plain()

    def close(self) -> None:
        return


class Plain:
    """Decodes numbers written as text."""

    def decode(self, messages: Sequence[Message], number_of: Callable[[Tag], int]) -> Any:  # noqa: ANN401 - Decoded
        from madang.connect import Decoded

        blocks, rejects = [], []
        for message in messages:
            try:
                number = float(message.payload)
            except ValueError:
                reason = Bilingual("수가 아니에요.", "This is no number.")
                rejects.append(Reject(message.topic, message.payload, reason, "malformed", message.received))
                continue
            blocks.append(block([number], tag=number_of(Tag(message.topic)), received=message.received))
        return Decoded(blocks, rejects)


class LinePeer(SourcePeer):
    tags = ("a", "b")
    secrets = ("hunter2",)
    can_restart = True
    patience = 5.0

    def __init__(self, make: Callable[[Line], LineSource] = LineSource) -> None:
        self.line = Line()
        self._make = make

    def make(self) -> Source:
        return self._make(self.line)

    def change(self, value: float) -> None:
        self.line.sent.append(value)

    def stop(self) -> None:
        self.line.up = False

    def start(self) -> None:
        self.line.up = True


class TestLine(SourceContract):
    @pytest.fixture
    def peer(self) -> SourcePeer:
        return LinePeer()


class Frozen(LineSource):
    def tell(self, sink: Sink, state: ConnectionState) -> None:
        sink.state("connected")


class GapLess(LineSource):
    def open_gap(self, sink: Sink) -> str:
        return ""


class NeverClosing(LineSource):
    def close_gap(self, sink: Sink, gap: str) -> None:
        return


class Hasty(LineSource):
    def hand_over(self, sink: Sink, value: float) -> None:
        self.line.kept.append(value)
        super().hand_over(sink, value)


class Talking(LineSource):
    def tell(self, sink: Sink, state: ConnectionState) -> None:
        sink.state(state, Bilingual("", "mqtt://user:hunter2@line"))


class Helpless(LineSource):
    def test(self) -> Iterator[TestStep]:
        yield OK if self.line.up else FAILED


class Moody(LineSource):
    def decoder(self) -> Any:  # noqa: ANN401 - a decoder
        calls: list[int] = []

        class Counting(Plain):
            def decode(self, messages: Sequence[Message], number_of: Callable[[Tag], int]) -> Any:  # noqa: ANN401 - Decoded
                calls.append(1)
                return super().decode(messages[len(calls) - 1 :], number_of)

        return Counting()


class Brittle(LineSource):
    def decoder(self) -> Any:  # noqa: ANN401 - a decoder
        class Strict(Plain):
            def decode(self, messages: Sequence[Message], number_of: Callable[[Tag], int]) -> Any:  # noqa: ANN401 - Decoded
                decoded = super().decode(messages, number_of)
                return decoded if not decoded.rejects else super().decode([], number_of)

        return Strict()


@pytest.mark.parametrize(
    ("behaviour", "source"),
    [
        ("test_it_survives_a_restart_of_the_peer", Frozen),
        ("test_the_time_without_the_peer_is_a_gap_that_is_closed_afterwards", GapLess),
        ("test_the_time_without_the_peer_is_a_gap_that_is_closed_afterwards", NeverClosing),
        ("test_what_was_not_made_durable_is_sent_again", Hasty),
        ("test_a_test_against_a_peer_that_is_away_says_where_it_fails", Helpless),
        ("test_decoding_again_gives_the_same", Moody),
        ("test_what_cannot_be_understood_becomes_a_reject_and_the_rest_goes_on", Brittle),
    ],
)
def test_a_behaviour_fails_for_a_source_of_messages_that_lacks_it(behaviour: str, source: Callable[[Line], LineSource]) -> None:
    peer = LinePeer(source)
    peer.patience = 0.5
    with pytest.raises((AssertionError, KeyError)):
        getattr(SourceContract(), behaviour)(peer)


def test_a_source_that_tells_its_secret_is_found(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AssertionError):
        SourceContract().test_secrets_appear_nowhere(LinePeer(Talking), caplog)


class Careless(PretendActuator):
    """Writes whatever it is told, even when it is only asked."""

    def propose(self, tag: str, value: float | str) -> Bilingual | None:
        self.values[tag] = value  # type: ignore[assignment]
        return None

    def write(self, tag: str, value: float | str) -> WriteOutcome:
        self.values[tag] = value  # type: ignore[assignment]
        return WriteOutcome(True, -1.0, 0, Bilingual("", ""))

    def read_back(self, tag: str) -> WriteOutcome:
        return WriteOutcome(True, None, 0, Bilingual("", ""))


@pytest.mark.parametrize("behaviour", sorted(name for name in vars(ActuatorContract) if name.startswith("test_")))
def test_a_behaviour_fails_for_an_actuator_that_lacks_it(behaviour: str) -> None:
    peer = PretendActuatorPeer()
    peer.actuator = Careless({})
    with pytest.raises(AssertionError):
        getattr(ActuatorContract(), behaviour)(peer)


def test_a_sink_that_holds_acknowledges_only_when_it_is_told() -> None:
    told: list[int] = []
    sink = RecordingSink(hold=True)
    sink.put_block(block([1.0]), lambda: told.append(1))
    assert told == []
    assert sink.acknowledge() == 1
    assert told == [1]
