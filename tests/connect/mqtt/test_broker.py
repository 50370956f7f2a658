"""Against a real mosquitto: acknowledgement, back-pressure, breaks, overflow, trust and rights."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from madang.connect import ConnectionSettings
from madang.connect import TestStep as Step
from madang.connect.mqtt import make
from madang.errors import RefusedError
from madang.plant import BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_LAST_USABLE
from tests.connect.mqtt import trials
from tests.connect.mqtt.broker import Broker, publish
from tests.connect.mqtt.certificates import papers
from tests.connect.mqtt.sinks import MemorySink, running, until
from tests.connect.sparkplug.recorder import Recorder

pytestmark = pytest.mark.peers

TOLD = 1.2
"""Within this time [s] the test broker tells its figures, which it does once a second."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as running_broker:
        yield running_broker


def settings(
    broker: Broker, *, tags: tuple[str, ...] = ("p/#",), url: str = "", secrets: dict[str, str] | None = None, **options: str
) -> ConnectionSettings:
    return ConnectionSettings(
        "line", "mqtt", url or broker.url, {"wait": "1", "keepalive": "2", **options}, secrets or {}, tags
    )


def numbered(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(f"p/{number % 7}", str(number).encode()) for number in range(first, first + count)]


def values(sink: MemorySink) -> list[int]:
    return [int(message.payload) for message in sink.messages]


def connected(sink: MemorySink, times: int) -> Callable[[], bool]:
    return lambda: sink.states.count("connected") == times


# --- storing before acknowledging


def test_everything_comes_once_and_in_order(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink):
        assert publish(broker.port, [("p/온도", str(n).encode()) for n in range(3_000)]) == 3_000
        until(lambda: len(sink.messages) >= 3_000)
    assert values(sink) == list(range(3_000))
    assert {message.topic for message in sink.messages} == {"p/온도"}
    assert sink.gaps == {}


def test_what_was_not_stored_comes_again_after_a_crash_and_is_marked_so(broker: Broker) -> None:
    given = settings(broker, client_id="crash")
    sink = MemorySink(hold=True)
    stop = threading.Event()
    source = make(given)
    thread = threading.Thread(target=source.subscribe, args=(sink, stop))
    thread.start()
    until(lambda: "connected" in sink.states)
    publish(broker.port, numbered(50))
    until(lambda: len(sink.messages) == 50)
    stop.set()
    thread.join()
    after = MemorySink()
    with running(make(given), after):
        until(lambda: len(after.messages) == 50)
    assert values(after) == list(range(50))
    assert all(message.again and message.packet for message in after.messages)
    assert [message.packet for message in after.messages] == [message.packet for message in sink.messages]


def test_what_was_stored_does_not_come_again(broker: Broker) -> None:
    given = settings(broker, client_id="kept")
    sink = MemorySink()
    with running(make(given), sink):
        publish(broker.port, numbered(50))
        until(lambda: len(sink.messages) == 50)
    after = MemorySink()
    with running(make(given), after):
        publish(broker.port, numbered(1, first=1_000))
        until(lambda: len(after.messages) >= 1)
    assert values(after) == [1_000]


@pytest.mark.parametrize("most", [5, 20])
def test_the_broker_waits_at_receive_maximum_until_something_is_stored(broker: Broker, most: int) -> None:
    sink = MemorySink(hold=True)
    with running(make(settings(broker, receive_maximum=str(most))), sink):
        publish(broker.port, numbered(200))
        until(lambda: len(sink.messages) >= most)
        probe = MemorySink()
        with running(make(settings(broker, client_id="other")), probe):
            publish(broker.port, numbered(1))
            until(lambda: len(probe.messages) == 1)
        assert len(sink.messages) == most
        sink.release()
        until(lambda: len(sink.messages) == 201)
    assert values(sink) == [*range(200), 0]


def test_a_slow_disk_stops_the_reading_at_the_byte_bound_even_without_acknowledgements(broker: Broker) -> None:
    sink = MemorySink(hold=True)
    payload = b"x" * 10_000
    with running(make(settings(broker, qos="0", buffer_bytes="100000", keepalive="600")), sink):
        publish(broker.port, [("p/1", payload)] * 3_000, qos=0)
        until(lambda: len(sink.messages) > 5)
        held = -1
        while held != len(sink.messages):
            held = len(sink.messages)
            time.sleep(0.2)
        assert held * len(payload) < 400_000
        sink.release()
        until(lambda: len(sink.messages) == 3_000)


def test_a_message_published_with_qos_2_is_safe_too(broker: Broker) -> None:
    given = settings(broker, client_id="two")
    sink = MemorySink(hold=True)
    with running(make(given), sink):
        publish(broker.port, numbered(5), qos=2)
        until(lambda: len(sink.messages) == 5)
    after = MemorySink()
    with running(make(given), after):
        until(lambda: len(after.messages) == 5)
    assert values(after) == list(range(5))


# --- what a break brings


def test_a_break_is_a_gap_that_the_brokers_queue_fills(broker: Broker) -> None:
    with _Pipe(broker.port) as pipe:
        sink = MemorySink()
        with running(make(settings(broker, url=f"mqtt://127.0.0.1:{pipe.port}", client_id="pipe")), sink):
            publish(broker.port, numbered(3))
            until(lambda: len(sink.messages) == 3)
            time.sleep(TOLD)
            pipe.cut()
            until(lambda: "disconnected" in sink.states)
            publish(broker.port, numbered(500, first=3))
            pipe.mend()
            until(lambda: len(sink.messages) >= 503)
            until(lambda: any(gap.filled is not None for gap in sink.gaps.values()))
    (gap,) = sink.gaps.values()
    assert values(sink) == list(range(503))
    assert (gap.cause, gap.filled, gap.whole) == ("disconnected", 500, True)
    assert gap.until is not None
    assert gap.since <= gap.until
    assert any("쌓아 둔" in text.ko for text in sink.texts)


def test_a_peer_that_falls_silent_is_noticed(broker: Broker) -> None:
    with _Pipe(broker.port) as pipe:
        sink = MemorySink()
        with running(make(settings(broker, url=f"mqtt://127.0.0.1:{pipe.port}")), sink):
            pipe.freeze()
            until(lambda: "disconnected" in sink.states)
            pipe.mend()
            until(connected(sink, 2))
    assert sink.causes() == ["disconnected"]


def test_a_broker_restarts_and_nothing_is_missed(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink):
        for turn in range(3):
            broker.restart()
            until(connected(sink, turn + 2))
            publish(broker.port, numbered(20, first=turn * 20))
            until(lambda last=turn * 20 + 19: bool(sink.messages) and values(sink)[-1] == last)  # type: ignore[misc]
    assert list(dict.fromkeys(values(sink))) == list(range(60))
    first: dict[int, int] = {}
    for message in sink.messages:
        # What the broker had not heard an acknowledgement of comes again, marked so and under the same identifier.
        assert first.setdefault(int(message.payload), message.packet) == message.packet
    assert len(first) + sum(message.again for message in sink.messages) >= len(sink.messages)
    assert sink.causes() == ["disconnected"] * 3


def test_a_broker_that_is_killed_without_warning_is_survived(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker)), sink):
        publish(broker.port, numbered(10))
        until(lambda: len(sink.messages) == 10)
        broker.stop(signal.SIGKILL)
        broker.start()
        until(connected(sink, 2))
        publish(broker.port, numbered(10, first=10))
        until(lambda: len(sink.messages) == 20)
    assert values(sink) == list(range(20))
    assert "disconnected" in sink.causes()


def test_a_collector_that_was_away_says_that_the_queue_filled_the_hole(broker: Broker) -> None:
    sink = MemorySink()
    source = settings(broker)
    with running(make(source), sink):
        publish(broker.port, numbered(1))
        until(lambda: len(sink.messages) == 1)
        time.sleep(TOLD)
    publish(broker.port, numbered(2_500, first=1))
    sink.states.clear()
    with running(make(source), sink):
        until(lambda: len(sink.messages) == 2_501)
        until(lambda: any(gap.filled is not None for gap in sink.gaps.values()))
    (gap,) = sink.gaps.values()
    assert (gap.cause, gap.filled, gap.whole) == ("collector_stopped", 2_500, True)


def test_a_lost_session_is_reported_as_loss(tmp_path: Path) -> None:
    sink = MemorySink()
    with Broker(tmp_path / "broker") as broker, running(make(settings(broker)), sink):
        broker.stop()
        until(lambda: "disconnected" in sink.states)
        (broker.folder / "mosquitto.db").unlink()
        broker.start()
        until(connected(sink, 2))
    assert sink.causes() == ["disconnected", "broker_overflow"]
    assert next(iter(sink.gaps.values())).whole is None
    assert "kept no session" in list(sink.gaps.values())[1].note


@pytest.mark.parametrize("told_before", [False, True])
def test_a_default_broker_that_threw_messages_away_is_reported(tmp_path: Path, told_before: bool) -> None:
    """Mosquitto keeps 1,000 messages for a receiver that is away; here as its defaults are."""
    sink = MemorySink()
    with Broker(tmp_path / "broker", ()) as broker:
        source = settings(broker, client_id="away")
        with running(make(source), sink):
            publish(broker.port, numbered(1))
            until(lambda: len(sink.messages) == 1)
            time.sleep(TOLD)
        publish(broker.port, numbered(3_000, first=1))
        if told_before:
            time.sleep(TOLD)
        sink.states.clear()
        with running(make(source), sink):
            until(lambda: "broker_overflow" in sink.causes())
            until(lambda: any(gap.filled is not None for gap in sink.gaps.values()))
    lost = 3_001 - len(sink.messages)
    assert lost > 1_500
    notes = [gap.note for gap in sink.gaps.values() if gap.cause == "broker_overflow"]
    assert sum(int(note.split()[4]) for note in notes) == lost
    away = next(gap for gap in sink.gaps.values() if gap.cause == "collector_stopped")
    assert away.whole is False
    assert "degraded" in sink.states


def test_numbers_that_never_came_are_a_gap_of_their_topic(broker: Broker) -> None:
    source = settings(broker, sequence="seq")
    sink = MemorySink()

    def send(*numbers: int) -> None:
        publish(broker.port, [("p/a", b'{"seq":%d,"x":1}' % number) for number in numbers])

    with running(make(source), sink):
        send(1, 2, 3, 7, 8)
        until(lambda: len(sink.messages) == 5)
    sink.states.clear()
    with running(make(source), sink):
        send(9, 12, 1, 2)
        until(lambda: len(sink.messages) == 9)
    jumps = [gap for gap in sink.gaps.values() if gap.cause == "sequence_jump"]
    assert [(gap.tags, gap.samples) for gap in jumps] == [(("p/a",), 3), (("p/a",), 2)]


def test_two_that_share_a_client_id_are_told_so(broker: Broker) -> None:
    first, second = MemorySink(), MemorySink()
    with running(make(settings(broker, client_id="same")), first), running(make(settings(broker, client_id="same")), second):
        until(lambda: "failed" in first.states + second.states)
    assert any("client_id" in text.en for text in first.texts + second.texts)


def test_topics_given_back_no_longer_come(broker: Broker) -> None:
    sink = MemorySink()
    with running(make(settings(broker, tags=("p/1", "p/2"))), sink):
        pass
    sink.states.clear()
    with running(make(settings(broker, tags=("p/2",))), sink):
        publish(broker.port, [("p/1", b"1"), ("p/2", b"2")])
        until(lambda: len(sink.messages) == 1)
    assert values(sink) == [2]


def test_a_kept_message_comes_once_and_is_marked(broker: Broker) -> None:
    publish(broker.port, [("p/kept", b"5")], retain=True)
    sink = MemorySink()
    with running(make(settings(broker)), sink):
        until(lambda: len(sink.messages) == 1)
        broker.restart()
        until(connected(sink, 2))
        publish(broker.port, numbered(1))
        until(lambda: len(sink.messages) == 2)
    assert [message.retained for message in sink.messages] == [True, False]


# --- looking


def test_browsing_lists_what_is_heard_and_reading_gives_what_is_kept(broker: Broker) -> None:
    publish(broker.port, [("p/kiln", b'{"a": 1, "b": "x"}'), ("q/other", b"1")], retain=True)
    source = make(settings(broker))
    assert [tag.name for tag in source.browse()] == ["p/kiln#a", "p/kiln#b"]
    assert [tag.name for tag in source.browse("q")] == ["q/other"]
    sink = MemorySink()
    block = source.read(["p/kiln#a", "p/nothing"], sink)
    assert [(sink.names()[row["tag"]], row["number"], row["quality"]) for row in block.batch.to_pylist()] == [
        ("p/kiln#a", 1.0, UNCERTAIN_LAST_USABLE),
        ("p/nothing", None, BAD_WAITING_FOR_INITIAL_DATA),
    ]


def test_the_test_goes_through_all_steps_and_publishes_nothing(broker: Broker) -> None:
    publish(broker.port, [("p/kiln", b'{"a": 1}')], retain=True)
    heard: list[str] = []
    witness = paho.Client(CallbackAPIVersion.VERSION2)
    witness.on_message = lambda *call: heard.append(call[2].topic)
    witness.connect("127.0.0.1", broker.port)
    witness.loop_start()
    witness.subscribe("#")
    steps = list(make(settings(broker)).test())
    witness.disconnect()
    witness.loop_stop()
    assert [(step.name, step.state) for step in steps] == [
        ("name", "ok"),
        ("tcp", "ok"),
        ("login", "ok"),
        ("browse", "ok"),
        ("value", "ok"),
    ]
    assert "max_queued_messages" in str(steps[3].next)
    assert heard in ([], ["p/kiln"])


def test_a_silent_source_leads_to_a_pasted_sample(broker: Broker) -> None:
    last = list(make(settings(broker)).test())[-1]
    assert (last.name, last.state) == ("value", "skipped")
    assert last.next is not None
    assert "붙여" in last.next.ko


# --- rights


def _secured(tmp_path: Path) -> Broker:
    passwords, rights = tmp_path / "passwords", tmp_path / "rights"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "kiln", "s3cret"], check=True, capture_output=True)
    rights.write_text("user kiln\ntopic readwrite p/#\n")
    return Broker(tmp_path / "broker", (f"password_file {passwords}", f"acl_file {rights}"), anonymous=False)


def test_a_wrong_password_is_told_at_the_login_step_and_ends_the_run(tmp_path: Path) -> None:
    with _secured(tmp_path) as broker:
        wrong = settings(broker, user="kiln", secrets={"password": "wrong"})
        assert _last(wrong) == ("login", "failed")
        with pytest.raises(RefusedError) as refused, running(make(wrong), MemorySink()):
            pass
        assert "password" in refused.value.next_en
        right = settings(broker, user="kiln", secrets={"password": "s3cret"})
        steps = [(step.name, step.state) for step in make(right).test()]
        assert steps[2:4] == [("trust", "skipped"), ("login", "ok")]
        assert "s3cret" not in str(right)


def test_a_topic_that_the_broker_refuses_is_a_gap_of_that_topic(tmp_path: Path) -> None:
    """Mosquitto takes any subscription and refuses by silence; this broker says what it refuses."""
    with Recorder(refuses="q/#") as recorder:
        sink = MemorySink()
        given = ConnectionSettings("line", "mqtt", recorder.url, tags=("p/#", "q/#"))
        stop = threading.Event()
        thread = threading.Thread(target=make(given).subscribe, args=(sink, stop))
        thread.start()
        until(lambda: "degraded" in sink.states)
        recorder.send("p/1", b"5")
        until(lambda: len(sink.messages) == 1)
        stop.set()
        thread.join()
    (gap,) = sink.gaps.values()
    assert (gap.cause, gap.tags, gap.until) == ("bad_tag", ("q/#",), None)


# --- trust


def test_a_certificate_that_nobody_vouches_for_is_asked_about_and_never_passed_over(tmp_path: Path) -> None:
    paper = papers(tmp_path / "papers")
    with Broker(tmp_path / "broker", listener=paper.listener()) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        plain = settings(broker, url=url)
        steps = {step.name: step for step in make(plain).test()}
        assert list(steps) == ["name", "tcp", "trust"]
        assert steps["trust"].state == "ask"
        assert steps["trust"].facts["fingerprint"] == paper.fingerprint
        sink = MemorySink()
        with pytest.raises(RefusedError), running(make(plain), sink):
            pass
        assert "needs_trust" in sink.states
        assert "connected" not in sink.states
        for name, good in (("ca", str(paper.ca)), ("trust", paper.fingerprint)):
            sink = MemorySink()
            trusting = ConnectionSettings("line", "mqtt", url, {"wait": "1", name: good}, tags=("p/#",))
            with running(make(trusting), sink):
                _publish_tls(broker.port, paper.ca)
                until(lambda: len(sink.messages) == 1)  # noqa: B023 - ends within the turn
            assert {step.state for step in make(trusting).test()} <= {"ok", "skipped"}


def test_another_certificate_than_the_trusted_one_gets_not_a_byte(tmp_path: Path) -> None:
    paper, other = papers(tmp_path / "papers"), papers(tmp_path / "other")
    with Broker(tmp_path / "broker", ("log_type all",), listener=paper.listener()) as broker:
        given = settings(
            broker, url=f"mqtts://127.0.0.1:{broker.port}", trust=other.fingerprint, user="kiln", secrets={"password": "x"}
        )
        assert _last(given) == ("trust", "ask")
        with pytest.raises(RefusedError) as refused, running(make(given), MemorySink()):
            pass
        assert "replaced" in refused.value.en
        assert "New client connected" not in (broker.folder / "mosquitto.log").read_text()


@pytest.mark.parametrize(("trouble", "words"), [("expired", "expired"), ("address", "another address")])
def test_what_is_wrong_with_a_certificate_is_said_plainly(tmp_path: Path, trouble: str, words: str) -> None:
    paper = (
        papers(tmp_path / "papers", ends=timedelta(days=-1))
        if trouble == "expired"
        else papers(tmp_path / "papers", address="192.0.2.1")
    )
    with Broker(tmp_path / "broker", listener=paper.listener()) as broker:
        given = settings(broker, url=f"mqtts://127.0.0.1:{broker.port}", ca=str(paper.ca))
        step = _steps(given)[-1]
        assert (step.name, step.state) == ("trust", "ask")
        assert words in step.text.en


def test_a_tls_address_at_a_plain_port_is_not_tried_in_the_clear(broker: Broker) -> None:
    step = _steps(settings(broker, url=f"mqtts://127.0.0.1:{broker.port}"))[-1]
    assert (step.name, step.state) == ("trust", "failed")
    sink = MemorySink()
    stop = threading.Event()
    thread = threading.Thread(
        target=make(settings(broker, url=f"mqtts://127.0.0.1:{broker.port}")).subscribe, args=(sink, stop)
    )
    thread.start()
    until(lambda: "disconnected" in sink.states)
    stop.set()
    thread.join()
    assert "connected" not in sink.states


# --- the whole way to the lake


def test_killed_collector_and_restarted_broker_lose_and_double_nothing(tmp_path: Path) -> None:
    result = trials.crash(tmp_path, 6_000, kills=3, restarts=1, seed=7, per_second=2_000)
    assert (result["lost"], result["doubled"], result["committed"]) == (0, 0, 6_000)


def test_ten_values_per_message_reach_the_lake(tmp_path: Path) -> None:
    result = trials.values(tmp_path, seconds=3, per_second=5_000)
    assert (result["values"], result["lost"], result["doubled"]) == (15_000, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_hundred_thousand_messages_survive_twenty_kills(tmp_path: Path) -> None:
    result = trials.crash(tmp_path, 200_000, kills=20, restarts=3, seed=3)
    assert (result["lost"], result["doubled"], result["committed"]) == (0, 0, 200_000)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_five_thousand_changes_a_second_for_ten_minutes(tmp_path: Path) -> None:
    result = trials.values(tmp_path, seconds=600, per_second=5_000)
    assert (result["values"], result["lost"], result["doubled"]) == (3_000_000, 0, 0)
    assert result["rss_mb_end"] < 1.1 * result["rss_mb_half"]


def _steps(given: ConnectionSettings) -> list[Step]:
    return list(make(given).test())


def _last(given: ConnectionSettings) -> tuple[str, str]:
    step = _steps(given)[-1]
    return step.name, step.state


def _publish_tls(port: int, ca: Path) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.tls_set(str(ca))
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish("p/1", b"1", qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


class _Pipe:
    """A cable between collector and broker that can be cut, frozen and mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._links: list[socket.socket] = []
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._ended = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self._refusing or self._ended:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._links += [near, far]
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(one, other))
                self._threads.append(thread)
                thread.start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65_536):
                self._passing.wait()
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                end.close()

    def cut(self) -> None:
        self._refusing = True
        for link in self._links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                link.close()
        self._links.clear()

    def freeze(self) -> None:
        self._passing.clear()

    def mend(self) -> None:
        if not self._passing.is_set():
            self.cut()
            self._passing.set()
        self._refusing = False

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self.cut()
        self._passing.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(timeout=5)
        for link in self._links:
            link.close()
