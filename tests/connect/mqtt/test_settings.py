"""What is read and watched without a broker: settings, refusals, and what was lost."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.connect import ConnectionSettings, Message, Source
from madang.connect.mqtt import DESCRIPTION, make
from madang.connect.mqtt._handover import Handover
from madang.connect.mqtt._options import address_of, checked_filter, matches, options_of
from madang.connect.mqtt._rules import rules_of
from madang.connect.mqtt._watch import DROPPED, UPTIME, BrokerWatch, SequenceWatch
from madang.errors import MadangError, MissingError, UsageError
from tests.connect.mqtt.sinks import MemorySink, until

SECOND = 1_000_000


def test_the_source_is_one_and_knows_its_settings() -> None:
    source = make(ConnectionSettings("line", "mqtt", "mqtt://broker"))
    assert isinstance(source, Source)
    assert source.description is DESCRIPTION
    assert all(text.ko and text.en for text in DESCRIPTION.options.values())


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://broker", "wrong_address"),
        ("mqtt://", "wrong_address"),
        ("mqtt://broker:notaport", "wrong_address"),
        ("mqtt://broker/topic", "wrong_address"),
        ("mqtts://me:word@broker", "secret_in_address"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_a_password(url: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        address_of(url)
    assert refused.value.code == code
    assert "word" not in str(refused.value.document()).replace("password", "")


@pytest.mark.parametrize("text", ["", "a/#/b", "a/b#", "a+/b", "#/a"])
def test_a_wrong_topic_filter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        checked_filter(text)


@pytest.mark.parametrize("text", ["#", "+/+", "공장/+/온도", "a//b", "/", "$share/g/a/#"])
def test_a_right_topic_filter_is_taken(text: str) -> None:
    assert checked_filter(text) == text


@given(st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4))
def test_each_topic_falls_under_itself_and_its_wildcards(levels: list[str]) -> None:
    topic = "/".join(levels)
    assert matches(topic, topic)
    assert matches(topic, "/".join(["+"] * len(levels)))
    assert matches(topic, "#")
    assert not matches(topic, "/".join(["+"] * (len(levels) + 1)))


@pytest.mark.parametrize(
    "options",
    [{"qos": "2"}, {"keepalive": "x"}, {"receive_maximum": "0"}, {"trust": "ab:cd"}, {"identity": "x"}, {"nonsense": "1"}],
)
def test_a_wrong_setting_is_refused_with_a_next_step(options: dict[str, str]) -> None:
    with pytest.raises(MadangError) as refused:
        options_of(ConnectionSettings("line", "mqtt", "mqtt://broker", options))
    assert refused.value.exit_code == 2


def test_secrets_stand_in_no_text_of_the_settings() -> None:
    settings = ConnectionSettings("line", "mqtt", "mqtt://broker", {"user": "u"}, {"password": "s3cret"})
    assert "s3cret" not in repr(settings) + repr(options_of(settings))


def test_a_missing_package_names_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("madang.connect.mqtt._source")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingError) as missing:
        make(ConnectionSettings("line", "mqtt", "mqtt://broker"))
    assert missing.value.next_en == "pip install 'madang[mqtt]'"


def test_importing_the_front_loads_no_client() -> None:
    code = "import sys, madang.connect.mqtt; sys.exit(any(n.startswith(('paho', 'google')) for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- what the broker threw away


def test_more_thrown_away_than_before_is_a_loss_since_the_last_look() -> None:
    watch = BrokerWatch()
    watch.connected(0)
    assert watch.told(DROPPED, b"5", 10 * SECOND) is None
    lost = watch.told(DROPPED, b"12", 20 * SECOND)
    assert lost is not None
    assert (lost.count, lost.since) == (7, 10 * SECOND)
    assert watch.told(DROPPED, b"12", 30 * SECOND) is None


def test_a_restarted_broker_counts_from_nought() -> None:
    before = BrokerWatch()
    before.connected(0)
    before.told(UPTIME, b"100 seconds", 100 * SECOND)
    before.told(DROPPED, b"5", 100 * SECOND)
    watch = BrokerWatch(before.state())
    watch.connected(110 * SECOND)
    watch.told(UPTIME, b"3 seconds", 120 * SECOND)
    assert watch.restarted
    lost = watch.told(DROPPED, b"2", 120 * SECOND)
    assert lost is not None
    assert lost.count == 2


def test_figures_kept_from_before_prove_nothing_about_now() -> None:
    watch = BrokerWatch()
    watch.connected(0)
    watch.told(UPTIME, b"100 seconds", 100 * SECOND, retained=True)
    assert watch.told_at is None


@pytest.mark.parametrize("saved", ["", "{}", "[]", '{"dropped": "x", "seen": 1}', "nonsense"])
def test_a_damaged_note_is_no_note(saved: str) -> None:
    assert BrokerWatch(saved).told(DROPPED, b"7", 1) is None
    assert SequenceWatch(rules_of({"sequence": "n"}, "UTC"), saved).met("t", b'{"n":9}', 1, again=False) is None


# --- what senders counted


@given(st.sets(st.integers(1, 60), min_size=1))
def test_what_was_skipped_and_what_came_make_the_whole(came: set[int]) -> None:
    watch = SequenceWatch(rules_of({"sequence": "head.n"}, "UTC"))
    skipped = 0
    for number in sorted(came):
        found = watch.met("t", b'{"head":{"n":%d}}' % number, number, again=False)
        skipped += found.count if found is not None else 0
    assert skipped + len(came) == max(came) - min(came) + 1


def test_a_message_sent_again_and_a_sender_that_begins_anew_claim_nothing() -> None:
    watch = SequenceWatch(rules_of({"sequence": "n"}, "UTC"))
    for number, again in ((7, False), (8, False), (7, True), (9, False), (0, False), (1, False)):
        assert watch.met("t", b'{"n":%d}' % number, 1, again=again) is None


# --- handing over


def test_a_sink_that_blocks_does_not_hold_up_the_one_who_hands_over() -> None:
    door = threading.Event()

    class Slow(MemorySink):
        def put_messages(self, messages, done=None):  # type: ignore[no-untyped-def]
            door.wait(10)
            super().put_messages(messages, done)

    sink = Slow()
    hand = Handover(sink)
    for number in range(20):
        hand.put(1, [Message("t", str(number).encode(), number, packet=number + 1)])
    assert hand.messages == 20
    door.set()
    due: list[int] = []

    def all_due() -> bool:
        due.extend(packet for _, packets in hand.due() for packet in packets)
        return len(due) == 20

    until(all_due)
    hand.close()
    assert due == list(range(1, 21))
    assert [int(message.payload) for message in sink.messages] == list(range(20))
    assert (hand.messages, hand.bytes) == (0, 0)


def test_a_fault_of_the_sink_is_kept_and_nothing_more_is_handed_over() -> None:
    class Broken(MemorySink):
        def put_messages(self, messages, done=None):  # type: ignore[no-untyped-def]
            raise OSError("broken")

    hand = Handover(Broken())
    hand.put(1, [Message("t", b"1", 1)])
    until(lambda: hand.fault is not None)
    hand.close()
    assert isinstance(hand.fault, OSError)
