"""The Sparkplug source: a host application that shows its state, follows the edges, and stores what they say."""

from __future__ import annotations

import json
import random
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import paho.mqtt.client as paho
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Message, Reject, Tag
from madang.connect._source import ConnectionSettings, Sink, SourceDescription, TestStep
from madang.connect.mqtt._decode import is_exact
from madang.connect.mqtt._link import Link
from madang.connect.mqtt._steps import steps_of
from madang.connect.mqtt._words import refused_login, untrusted
from madang.connect.sparkplug._host import Host, Outcome, Sample
from madang.connect.sparkplug._node import EdgeNode
from madang.connect.sparkplug._settings import DESCRIPTION, SparkplugOptions, sparkplug_options
from madang.connect.sparkplug._wire import rebirth_request
from madang.errors import MadangError, MissingError
from madang.plant import BAD_WAITING_FOR_INITIAL_DATA, Bilingual, Interval

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BACKOFF: Final = (0.2, 30.0)
_LOGIN_CODES: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})


class SparkplugSource:
    """All edge nodes of a namespace on one broker.

    Args:
        settings: Where to, as which host; tags = names of tags, devices, nodes or groups, none = all.
        clock: Returns the time [ns since 1970].

    Raises:
        UsageError: A setting is wrong.
    """

    def __init__(self, settings: ConnectionSettings, clock: Callable[[], int] = time.time_ns) -> None:
        self._options = sparkplug_options(settings)
        self._clock = clock

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try to reach the broker step by step; nothing is published, so that no edge takes this test for its host."""
        host = _host_of(self._options)

        def look(heard: list[Message]) -> tuple[list[str], Sequence[Reject]]:
            names: dict[str, None] = {}
            rejects: list[Reject] = []
            for message in heard:
                out = host.receive(message.topic, message.payload, message.received)
                names.update(dict.fromkeys(sample.tag.name for sample in out.samples))
                # Data without a birth is what a host meets that comes later; running, it asks for the birth.
                names.update(dict.fromkeys(one.topic for one in out.rejects if one.code == "unknown_alias"))
                rejects += [one for one in out.rejects if one.code != "unknown_alias"]
            return list(names), rejects

        return steps_of(self._options.mqtt, self._clock, look)

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Ask the nodes that are heard for their births, and return what those announce.

        Args:
            under: Group, node or device to look below; empty = all.
            limit: Tags at most.
        """
        found: dict[str, Tag] = {}
        for out in self._listen():
            for sample in out.samples:
                name = sample.tag.name
                if not under or name == under or name.startswith((f"{under}/", f"{under}#")):
                    found[name] = sample.tag
        return sorted(found.values(), key=lambda tag: tag.name)[:limit]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the newest value of each tag after asking for births; one that stays silent is bad (waiting for the first value)."""
        newest: dict[str, Sample] = {}
        for out in self._listen():
            newest.update({sample.tag.name: sample for sample in out.samples if sample.tag.name in tags})
        now = self._now()
        silent = [Sample(Tag(tag), now, None, BAD_WAITING_FOR_INITIAL_DATA) for tag in tags if tag not in newest]
        return block_of([*(newest[tag] for tag in tags if tag in newest), *silent], sink.number_of, now)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Be a host until `stop` is set: show it, follow births and deaths, store values, note what was lost.

        Raises:
            RefusedError: The broker refuses the login, or its certificate is not trusted, and neither worked in this run.
        """
        _Hosting(self._options, sink, stop, self._clock).run()

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: edges send what they kept by themselves, marked as historical."""
        return 0

    def decoder(self) -> None:
        """Return None: what a message means depends on all before it, so it is decoded as it comes."""

    def close(self) -> None:
        """Let go of the broker; a running subscription is ended by its own `stop`."""

    def _now(self) -> int:
        return self._clock() // 1_000

    def _listen(self) -> Iterator[Outcome]:
        options = self._options
        host = _host_of(options)
        heard: list[tuple[str, bytes]] = []
        link = Link(
            options.mqtt,
            f"madang-look-{secrets.token_hex(6)}",
            clean=True,
            on_message=lambda message: heard.append((message.topic, bytes(message.payload))),
        )
        try:
            greeting = link.open()
            if not greeting.accepted:
                raise refused_login(greeting.code, greeting.reason)
            link.subscribe(options.mqtt.filters, 0)
            end = time.monotonic() + options.mqtt.wait
            while time.monotonic() < end and link.spin(0.1):
                for topic, payload in heard:
                    out = host.receive(topic, payload, self._now())
                    for node in out.rebirths:
                        _request(link, options, node, self._now())
                    yield out
                heard.clear()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(options.mqtt, error) from None
        except OSError as error:
            raise MissingError(
                "unreachable",
                ko=f"브로커에 연결할 수 없어요: {error}",
                en=f"The broker cannot be reached: {error}",
                next_ko=f"`madang connect test {options.mqtt.name}` 으로 어디서 막히는지 봐 주세요.",
                next_en=f"See where it ends with `madang connect test {options.mqtt.name}`.",
                where={"host": options.mqtt.host, "port": options.mqtt.port},
                retry=True,
            ) from None
        finally:
            link.close()


class _Hosting:
    """One running subscription."""

    def __init__(self, options: SparkplugOptions, sink: Sink, stop: threading.Event, clock: Callable[[], int]) -> None:
        self._options, self._sink, self._stop, self._clock = options, sink, stop, clock
        self._host = _host_of(options)
        self._known = _kept_nodes(sink.cursor("nodes"))
        self._gap: str | None = None
        self._dead: dict[str, str] = {}
        """Open gaps by node."""
        self._filling: dict[str, str] = {}
        """Closed gaps by node, which values kept by the edge may still fill."""
        self._held = self._now()
        self._worked = False
        self._born_at = 0
        """Timestamp of this connection's STATE [ms since 1970]."""
        self._inbox: list[tuple[str, bytes, bool]] = []

    def run(self) -> None:
        self._sink.state("starting")
        wait = _BACKOFF[0]
        while not self._stop.is_set():
            link = self._connect()
            if link is not None:
                wait = _BACKOFF[0]
                self._serve(link)
                self._host.disconnected()
            if not self._stop.is_set():
                self._stop.wait(wait * (0.75 + 0.5 * random.random()))  # noqa: S311 - spreads reconnections, hides nothing
                wait = min(wait * 2, _BACKOFF[1])
        self._sink.state("stopped")

    def _connect(self) -> Link | None:
        options = self._options
        self._inbox.clear()
        try:
            link = Link(options.mqtt, f"madang-{options.host_id}-{secrets.token_hex(4)}", clean=True, on_message=self._take)
            self._born_at = self._clock() // 1_000_000
            link.will(options.state_topic, _state(online=False, at=self._born_at), qos=1, retain=True)
            greeting = link.open()
        except ssl.SSLCertVerificationError as error:
            refusal = untrusted(options.mqtt, error)
            self._sink.state("needs_trust", Bilingual(refusal.ko, refusal.en))
            self._refused(refusal)
            return None
        except OSError as error:
            self._away(str(error) or type(error).__name__)
            return None
        if not greeting.accepted:
            link.close()
            refusal = refused_login(greeting.code, greeting.reason)
            if greeting.code not in _LOGIN_CODES:
                self._away(greeting.reason)
                return None
            self._sink.state("failed", Bilingual(refusal.ko, refusal.en))
            self._refused(refusal)
            return None
        return link if self._present(link) else None

    def _present(self, link: Link) -> bool:
        """Subscribe, and then say that this host is there: an edge that hears it may send its births at once."""
        options = self._options
        asked = link.subscribe((*options.mqtt.filters, options.state_topic), 1)
        end = time.monotonic() + 10
        while asked not in link.granted:
            if not link.spin(0.1) or time.monotonic() > end:
                self._away(link.lost or "no SUBACK")
                link.abort()
                return False
        refused = [one for one, code in zip(options.mqtt.filters, link.granted[asked], strict=False) if code >= 0x80]
        if refused:
            self._sink.state(
                "failed",
                Bilingual(
                    f"브로커가 구독을 허락하지 않아요: {', '.join(refused)}",
                    f"The broker refuses to subscribe: {', '.join(refused)}",
                ),
            )
            link.close()
            return False
        link.publish(options.state_topic, _state(online=True, at=self._born_at), qos=1, retain=True)
        self._worked = True
        now = self._now()
        if self._gap is not None:
            self._sink.gap_closed(self._gap, _instant(now))
            self._sink.gap_filled(self._gap, 0, whole=None)
            self._gap = None
        for path in sorted(self._known):
            node = self._host.ask(path, now)
            if node is not None:
                _request(link, options, node, now)
        self._sink.state("connected", Bilingual("연결됐어요. 설비의 출생 메시지를 기다려요.", "Connected; waiting for births."))
        return True

    def _refused(self, refusal: MadangError) -> None:
        if not self._worked:
            raise refusal
        self._open_gap(refusal.en)

    def _away(self, why: str) -> None:
        self._open_gap(why)
        self._sink.state(
            "disconnected",
            Bilingual(
                f"브로커에 연결할 수 없어요. 다시 시도하고 있어요. ({why})",
                f"The broker cannot be reached; trying again. ({why})",
            ),
        )

    def _open_gap(self, why: str) -> None:
        if self._gap is None:
            self._gap = self._sink.gap_opened("disconnected", _instant(self._held), note=why)

    def _take(self, message: paho.MQTTMessage) -> None:
        self._inbox.append((message.topic, bytes(message.payload), message.retain))

    def _serve(self, link: Link) -> None:
        try:
            while not self._stop.is_set():
                alive = link.spin(0.1, packets=1_000)
                now = self._now()
                self._held = now - int((time.monotonic() - link.heard) * 1_000_000)
                inbox, self._inbox = self._inbox, []
                outcomes = [self._one(link, topic, payload, now, kept=kept) for topic, payload, kept in inbox]
                self._keep([*outcomes, self._host.tick(now)], link, now)
                if not alive:
                    self._away(link.lost or "closed")
                    return
        finally:
            self._leave(link)

    def _one(self, link: Link, topic: str, payload: bytes, now: int, *, kept: bool) -> Outcome:
        if topic == self._options.state_topic:
            # An earlier connection's will, or another host with this id: as long as this host is here, it says so.
            if not kept and _is_offline(payload):
                link.publish(topic, _state(online=True, at=self._born_at), qos=1, retain=True)
            return Outcome()
        if kept:
            # Births and data are never retained; a kept one tells of a time that nobody knows.
            return Outcome()
        return self._host.receive(topic, payload, now)

    def _keep(self, outcomes: Sequence[Outcome], link: Link, now: int) -> None:
        live: list[Sample] = []
        late: list[Sample] = []
        for out in outcomes:
            for sample in out.samples:
                if self._options.wanted(sample.tag.name):
                    (late if sample.historical else live).append(sample)
            for reject in out.rejects:
                self._sink.put_reject(reject)
            for lost in out.lost:
                gap = self._sink.gap_opened(
                    "sequence_jump",
                    _instant(lost.since),
                    tags=lost.tags or (lost.node,),
                    note=f"{lost.count} messages of {lost.node} never came",
                )
                self._sink.gap_closed(gap, _instant(now))
            for node in out.died:
                self._dead[node.path] = self._sink.gap_opened(
                    "disconnected", _instant(node.last_heard or now), tags=_tags(node), note=f"{node.path} sent its death"
                )
            for node in out.born:
                self._reborn(node, now)
            for node in out.rebirths:
                _request(link, self._options, node, now)
        if live:
            self._sink.put_block(block_of(live, self._sink.number_of, now))
        if late:
            self._sink.put_block(block_of(late, self._sink.number_of, now, historical=True))
            for path, gap in self._filling.items():
                came = sum(sample.tag.name.startswith((f"{path}/", f"{path}#")) for sample in late)
                if came:
                    self._sink.gap_filled(gap, came, whole=False)

    def _reborn(self, node: EdgeNode, now: int) -> None:
        gap = self._dead.pop(node.path, None)
        if gap is not None:
            self._sink.gap_closed(gap, _instant(now))
            self._filling[node.path] = gap
        if node.path not in self._known:
            self._known.add(node.path)
            self._sink.save_cursor("nodes", json.dumps(sorted(self._known), ensure_ascii=False))

    def _leave(self, link: Link) -> None:
        if not self._stop.is_set():
            link.abort()
            return
        death = link.publish(self._options.state_topic, _state(online=False, at=self._clock() // 1_000_000), qos=1, retain=True)
        end = time.monotonic() + 3
        while not death.is_published() and time.monotonic() < end and link.spin(0.05):
            pass
        link.close()

    def _now(self) -> int:
        return self._clock() // 1_000


def block_of(samples: Sequence[Sample], number_of: Callable[[Tag], int], received: int, *, historical: bool = False) -> Block:
    """Return samples as a block.

    Args:
        samples: In the order of arrival.
        number_of: Returns a tag's number.
        received: When they were received [us since 1970].
        historical: Whether an edge had kept them.
    """
    numbers: dict[int, int] = {}
    tags: list[int] = []
    for sample in samples:
        number = numbers.get(id(sample.tag))
        if number is None:
            number = numbers[id(sample.tag)] = number_of(sample.tag)
        tags.append(number)
    number_column: list[float | None] = []
    text_column: list[str | None] = []
    for sample in samples:
        value = sample.value
        if isinstance(value, int) and not isinstance(value, bool) and not is_exact(value):
            value = str(value)
        number_column.append(None if value is None or isinstance(value, str) else float(value))
        text_column.append(value if isinstance(value, str) else None)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(tags, pa.int32()),
            pa.array([sample.time for sample in samples], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            pa.array(number_column, pa.float64()),
            pa.array(text_column, pa.string()),
            pa.array([sample.quality for sample in samples], pa.uint32()),
        ],
        schema=BLOCK_SCHEMA,
    )
    return Block(batch, received=received, origin="backfill" if historical else "live")


def _host_of(options: SparkplugOptions) -> Host:
    rules = options.mqtt.rules
    return Host(
        options.namespace, reorder=options.reorder, patience=options.patience, earliest=rules.earliest, ahead=rules.ahead
    )


def _request(link: Link, options: SparkplugOptions, node: EdgeNode, now: int) -> None:
    link.publish(f"{options.namespace}/{node.group}/NCMD/{node.name}", rebirth_request(now // 1_000), qos=0)


def _state(*, online: bool, at: int) -> bytes:
    return json.dumps({"online": online, "timestamp": at}).encode()


def _is_offline(payload: bytes) -> bool:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("online") is False


def _kept_nodes(saved: str | None) -> set[str]:
    try:
        return {str(one) for one in json.loads(saved or "[]")}
    except (ValueError, TypeError):
        return set()


def _tags(node: EdgeNode) -> tuple[str, ...]:
    return tuple(tag.name for metric in node.metrics.values() for tag in metric.tags.values()) or (node.path,)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
