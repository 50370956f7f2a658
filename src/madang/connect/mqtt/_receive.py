"""Listens to a broker for as long as a connection runs: stores, then acknowledges; reconnects; and notes what was not got."""

from __future__ import annotations

import json
import random
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import paho.mqtt.client as paho

from madang.connect._blocks import Message, Reject
from madang.connect._gaps import GapCause
from madang.connect._source import Sink
from madang.connect.mqtt._handover import Handover
from madang.connect.mqtt._link import CertificateRefusedError, Greeting, Link
from madang.connect.mqtt._options import MqttOptions, matches
from madang.connect.mqtt._payload import REASONS
from madang.connect.mqtt._watch import SYSTEM_TOPICS, BrokerWatch, SequenceWatch
from madang.connect.mqtt._words import overflow_note, refused_login, untrusted
from madang.errors import MadangError
from madang.plant import Bilingual

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BACKOFF: Final = (0.2, 30.0)
"""Shortest and longest wait between attempts to connect [s]."""
_SETTLED: Final = 75.0
"""How long after a reconnection the broker's count is waited for [s]; mosquitto tells it every 10 s unless told otherwise."""
_ALL_TOLD: Final = 500_000
"""The broker's figures follow one another within this [us]."""
_SAVE_EVERY: Final = 30.0
_SHORT: Final = 10.0
_FLAPPING: Final = 3
"""After so many connections that lasted less than `_SHORT` [s], it is no accident; mosquitto before 2.1 does not say who was first."""
_REFUSED: Final = 0x80
_TAKEN_OVER: Final = 0x8E
_LOGIN_CODES: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
"""Refusals that no waiting heals: protocol, client id, user, rights, banned, method (MQTT 5, 3.2.2.2)."""


class Receiver:
    """One running subscription.

    Args:
        options: Where to and how.
        sink: Where messages and notes go.
        stop: Ends the subscription.
        clock: Returns the time [ns since 1970].
    """

    def __init__(self, options: MqttOptions, sink: Sink, stop: threading.Event, clock: Callable[[], int]) -> None:
        self._options = options
        self._sink = sink
        self._stop = stop
        self._clock = clock
        self._client_id = options.client_id or self._kept_id()
        self._broker = BrokerWatch(sink.cursor("broker"))
        self._sequence = SequenceWatch(options.rules, sink.cursor("sequence")) if options.rules.sequence is not None else None
        self._hand = Handover(sink, "sequence" if self._sequence is not None else None)
        self._batch: list[Message] = []
        self._batch_bytes = 0
        self._epoch = 0
        self._link: Link | None = None
        self._session = self._kept_session()
        self._was_connected = False
        self._gap: str | None = None
        self._filling: str | None = None
        self._arrived = 0
        self._overflowed = False
        self._last_arrival = self._connected = 0.0
        self._short = 0
        self._resumed = False
        self._subscribed: tuple[int, list[str]] = (0, [])
        self._refused: dict[str, str] = {}
        seen = self._session.get("seen")
        self._held = seen if isinstance(seen, int) else self._now()
        self._saved = 0.0

    def run(self) -> None:
        """Receive until stopped.

        Raises:
            MadangError: The settings cannot work (login refused, certificate not trusted), and never have in this run.
        """
        wait = _BACKOFF[0]
        self._sink.state("starting")
        try:
            while not self._stop.is_set():
                if self._connect():
                    self._serve()
                    lasted = time.monotonic() - self._connected
                    self._short = self._short + 1 if lasted < _SHORT else 0
                    self._leave()
                    wait = wait if self._short else _BACKOFF[0]
                if self._hand.fault is not None:
                    raise self._hand.fault
                if not self._stop.is_set():
                    self._stop.wait(wait * (0.75 + 0.5 * random.random()))  # noqa: S311 - spreads reconnections, hides nothing
                    wait = min(wait * 2, _BACKOFF[1])
        finally:
            self._hand.close()
            if self._link is not None:
                self._link.close()
        self._sink.state("stopped")

    # --- connecting

    def _connect(self) -> bool:
        self._epoch += 1
        try:
            link = Link(self._options, self._client_id, clean=False, on_message=self._take)
            self._link = link
            greeting = link.open()
        except CertificateRefusedError as error:
            return self._untrusted(error)
        except ssl.SSLCertVerificationError as error:
            return self._untrusted(error)
        except (OSError, ssl.SSLError) as error:
            return self._away(str(error) or type(error).__name__)
        if not greeting.accepted:
            link.close()
            return self._not_let_in(greeting)
        self._begin(greeting)
        return True

    def _away(self, why: str) -> bool:
        self._open_gap(why)
        self._sink.state(
            "disconnected",
            Bilingual(
                f"브로커에 연결할 수 없어요. 다시 시도하고 있어요. ({why})",
                f"The broker cannot be reached; trying again. ({why})",
            ),
        )
        return False

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> bool:
        refusal = untrusted(self._options, error)
        self._sink.state("needs_trust", Bilingual(refusal.ko, refusal.en))
        return self._give_up(refusal)

    def _not_let_in(self, greeting: Greeting) -> bool:
        if greeting.code not in _LOGIN_CODES:
            return self._away(greeting.reason)
        refusal = refused_login(greeting.code, greeting.reason)
        self._sink.state("failed", Bilingual(refusal.ko, refusal.en))
        return self._give_up(refusal)

    def _give_up(self, refusal: MadangError) -> bool:
        """Trying again cannot help before it ever worked; later, a broker may be half started or its files half changed."""
        if not self._was_connected:
            raise refusal
        self._open_gap(refusal.en)
        return False

    def _begin(self, greeting: Greeting) -> None:
        link, now = self._link, self._now()
        assert link is not None
        self._was_connected = True
        self._broker.connected(self._held)
        earlier = self._session.get("filters")
        given_back = [str(one) for one in earlier if one not in self._options.filters] if isinstance(earlier, list) else []
        if greeting.session_present and given_back:
            link.unsubscribe(given_back)
        self._subscribed = (link.subscribe(self._options.filters, self._options.qos), list(self._options.filters))
        link.subscribe(SYSTEM_TOPICS, 0, kept="always")
        if self._gap is None and self._session:
            # While the collector did not run, the broker kept what came, if it kept the session.
            self._gap = self._sink.gap_opened("collector_stopped", _instant(self._held))
        if self._gap is not None:
            self._sink.gap_closed(self._gap, _instant(now))
            if greeting.session_present:
                self._filling = self._gap
            else:
                self._sink.gap_filled(self._gap, 0, whole=None)
        if self._session and not greeting.session_present:
            self._note(
                "broker_overflow", self._held, now, None, "the broker kept no session: what was published meanwhile is lost"
            )
        self._gap, self._held = None, now
        self._arrived, self._overflowed, self._connected = 0, False, time.monotonic()
        self._last_arrival = time.monotonic()
        self._session = {"client_id": self._client_id, "filters": list(self._options.filters), "seen": now}
        self._save(force=True)
        self._resumed = greeting.session_present

    # --- receiving

    def _serve(self) -> None:
        link, hand, options = self._link, self._hand, self._options
        assert link is not None
        while not self._stop.is_set() and hand.fault is None:
            room = hand.bytes < options.buffer_bytes and hand.messages < 2 * options.receive_maximum
            link.enough = False
            alive = link.spin(0.2, wake=hand.wake, read=room)
            self._held = self._now() - int((time.monotonic() - link.heard) * 1_000_000)
            if self._batch:
                self._pass_on()
            self._acknowledge()
            if link.granted:
                self._granted(link)
            self._look_after()
            if not alive:
                return

    def _take(self, message: paho.MQTTMessage) -> None:
        now = self._clock() // 1_000
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._sink.put_reject(Reject("?", bytes(message.payload), REASONS["not_text"], "malformed", now))
            if self._link is not None and message.mid and message.qos:
                self._link.ack(message.mid)
            return
        if topic in SYSTEM_TOPICS and message.qos == 0 and not any(matches(topic, one) for one in self._options.filters):
            self._told(topic, bytes(message.payload), now, retained=message.retain)
            return
        packet = message.mid if message.qos else 0
        payload = bytes(message.payload)
        self._batch_bytes += len(payload) + len(topic)
        if self._link is not None and self._hand.bytes + self._batch_bytes >= self._options.buffer_bytes:
            self._link.enough = True
        self._batch.append(Message(topic, payload, now, message.dup, message.retain, packet))
        if self._sequence is not None:
            skipped = self._sequence.met(topic, payload, now, again=message.dup)
            if skipped is not None:
                note = f"{skipped.count} of the sender's numbers never came"
                self._note("sequence_jump", skipped.since, now, skipped.count, note, (topic,))

    def _pass_on(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._arrived += len(batch)
        self._last_arrival = time.monotonic()
        self._hand.put(self._epoch, batch, self._sequence.state() if self._sequence is not None else None)

    def _acknowledge(self) -> None:
        for epoch, packets in self._hand.due():
            # An identifier of an earlier connection may stand for another message by now; the broker sends that one again.
            if epoch == self._epoch and self._link is not None:
                for packet in packets:
                    self._link.ack(packet)
        if self._link is not None:
            self._link.flush()

    def _granted(self, link: Link) -> None:
        mid, filters = self._subscribed
        codes = link.granted.pop(mid, None)
        link.granted.clear()
        if codes is None:
            return
        refused = [one for one, code in zip(filters, codes, strict=False) if code >= _REFUSED]
        for one in [known for known in self._refused if known not in refused]:
            self._sink.gap_closed(self._refused.pop(one), _instant(self._now()))
        for one in refused:
            self._refused[one] = self._sink.gap_opened(
                "bad_tag", _instant(self._now()), tags=(one,), note="the broker refuses this subscription"
            )
        lower = [one for one, code in zip(filters, codes, strict=False) if code < min(self._options.qos, 1)]
        if refused:
            names = ", ".join(refused)
            self._sink.state(
                "failed" if len(refused) == len(filters) else "degraded",
                Bilingual(f"브로커가 구독을 허락하지 않은 토픽이 있어요: {names}", f"The broker refuses to subscribe: {names}"),
            )
        elif lower:
            self._sink.state(
                "degraded",
                Bilingual(
                    f"브로커가 QoS 0만 허락했어요. 끊기면 다시 보내 주지 않아요: {', '.join(lower)}",
                    f"The broker grants QoS 0 only, so nothing is sent again after a break: {', '.join(lower)}",
                ),
            )
        elif self._resumed:
            self._sink.state(
                "connected",
                Bilingual(
                    "연결됐어요. 끊긴 동안 브로커가 쌓아 둔 메시지를 받고 있어요.",
                    "Connected; the broker is sending what it kept meanwhile.",
                ),
            )
        else:
            self._sink.state("connected", Bilingual("연결됐어요.", "Connected."))

    # --- what was not got

    def _told(self, topic: str, payload: bytes, now: int, *, retained: bool) -> None:
        dropped = self._broker.told(topic, payload, now, retained=retained)
        if dropped is not None:
            self._overflowed = True
            self._note("broker_overflow", dropped.since, now, None, overflow_note(dropped.count))
            self._sink.state(
                "degraded",
                Bilingual(
                    f"브로커가 받는 쪽에 보내지 못한 메시지 {dropped.count:,}개를 버렸어요. 브로커 설정 max_queued_messages를 늘려 주세요.",
                    f"The broker threw away {dropped.count:,} messages for its receivers. Raise its max_queued_messages.",
                ),
            )

    def _look_after(self) -> None:
        """Say that a gap was filled once the broker has sent what it kept, and save positions now and then."""
        now = time.monotonic()
        told = self._broker.told_at is not None and self._now() - self._broker.told_at > _ALL_TOLD
        settled = now - self._last_arrival > 1.0 and (told or now - self._connected > _SETTLED)
        if self._filling is not None and settled:
            whole = told and not self._overflowed and not self._broker.restarted
            self._sink.gap_filled(self._filling, self._arrived, whole=whole)
            self._filling = None
        self._save()

    def _leave(self) -> None:
        """Close after an end that was asked for, or note one that was not."""
        link = self._link
        assert link is not None
        if self._stop.is_set():
            end = time.monotonic() + 3
            while self._hand.messages and self._hand.fault is None and time.monotonic() < end and link.lost is None:
                link.spin(0.05, wake=self._hand.wake, read=False)
                self._acknowledge()
            self._acknowledge()
            self._save(force=True)
            link.close()
            return
        self._batch, self._batch_bytes = [], 0
        why = link.lost or "closed"
        taken_over = link.lost_code == _TAKEN_OVER or self._short >= _FLAPPING
        link.abort()
        if self._filling is not None:
            self._sink.gap_filled(self._filling, self._arrived, whole=False)
            self._filling = None
        self._open_gap(why)
        text = Bilingual(
            f"브로커와 연결이 끊겼어요. 다시 연결하고 있어요. ({why})", f"The broker connection broke; reconnecting. ({why})"
        )
        if taken_over:
            text = Bilingual(
                "브로커가 이 연결을 받자마자 끊어요. 다른 곳에서 같은 client_id를 쓰는 것 같아요. 한쪽의 client_id를 바꿔 주세요.",
                "The broker lets this connection in and cuts it off: another client seems to use the same client_id. Change one of them.",
            )
        self._sink.state("failed" if taken_over else "disconnected", text)
        if link.lost_code == _TAKEN_OVER:
            # Two that cut each other off at once would do so for ever.
            self._stop.wait(_BACKOFF[1])

    def _open_gap(self, why: str) -> None:
        if self._gap is None:
            self._gap = self._sink.gap_opened("disconnected", _instant(self._held), note=why)

    def _note(
        self, cause: GapCause, since: int, until: int, samples: int | None, note: str, tags: tuple[str, ...] | None = None
    ) -> None:
        gap = self._sink.gap_opened(cause, _instant(since), tags=tags, note=note)
        self._sink.gap_closed(gap, _instant(max(until, since)), samples=samples)

    # --- what is kept

    def _save(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._saved < _SAVE_EVERY:
            return
        self._saved = now
        self._session["seen"] = self._now()
        self._sink.save_cursor("session", json.dumps(self._session, ensure_ascii=False))
        state = self._broker.state()
        if state is not None:
            self._sink.save_cursor("broker", state)

    def _kept_id(self) -> str:
        kept = self._sink.cursor("client_id")
        if kept:
            return kept
        made = f"madang-{secrets.token_hex(6)}"
        self._sink.save_cursor("client_id", made)
        return made

    def _kept_session(self) -> dict[str, object]:
        try:
            kept = json.loads(self._sink.cursor("session") or "{}")
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) and kept.get("client_id") == self._client_id else {}

    def _now(self) -> int:
        return self._clock() // 1_000


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
