"""The MQTT source."""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import paho.mqtt.client as paho
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Message, Tag
from madang.connect._source import ConnectionSettings, Sink, SourceDescription, TestStep
from madang.connect.mqtt._decode import PayloadDecoder
from madang.connect.mqtt._description import DESCRIPTION
from madang.connect.mqtt._link import Link
from madang.connect.mqtt._options import checked_filter, matches, options_of
from madang.connect.mqtt._receive import Receiver
from madang.connect.mqtt._steps import steps_of
from madang.connect.mqtt._words import refused_login, untrusted
from madang.errors import MissingError
from madang.plant import BAD_WAITING_FOR_INITIAL_DATA, Interval

_HEARD_AT_MOST = 20_000


class MqttSource:
    """A broker and some of its topics.

    Args:
        settings: Where to, how, and which topic filters; no filters = all topics.
        clock: Returns the time [ns since 1970].

    Raises:
        UsageError: A setting is wrong.
    """

    def __init__(self, settings: ConnectionSettings, clock: Callable[[], int] = time.time_ns) -> None:
        self._options = options_of(settings)
        self._clock = clock

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try to reach the broker step by step; nothing is published and a running session is not disturbed."""
        return steps_of(self._options, self._clock)

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Listen for a while and return the tags of what was heard; a topic that is silent now is not found.

        Args:
            under: Topic whose own and lower topics are listened to; empty = the connection's filters.
            limit: Tags at most.
        """
        filters = (checked_filter(f"{under.rstrip('/')}/#"),) if under else self._options.filters
        found: dict[str, Tag] = {}

        def number_of(tag: Tag) -> int:
            found[tag.name] = tag
            return len(found)

        PayloadDecoder(self._options.rules).decode(self._listen(filters, lambda heard: False), number_of)
        return sorted(found.values(), key=lambda tag: tag.name)[:limit]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the newest value of each tag that is heard while listening; what the broker kept counts as last usable.

        MQTT cannot ask for a value: a tag that is silent all the while has none, and is bad (waiting for the first value).
        """
        topics = sorted({tag.partition("#")[0] for tag in tags})
        missing = set(tags)
        numbers: dict[int, str] = {}

        def number_of(tag: Tag) -> int:
            number = sink.number_of(tag)
            numbers[number] = tag.name
            return number

        decoder = PayloadDecoder(self._options.rules)
        newest: dict[str, dict[str, object]] = {}

        def heard(messages: list[Message]) -> bool:
            for block in decoder.decode(messages, number_of).blocks:
                for row in block.batch.to_pylist():
                    name = numbers[row["tag"]]
                    if name in missing or name in newest:
                        newest[name] = row
                        missing.discard(name)
            return not missing

        self._listen([checked_filter(one) for one in topics], heard)
        now = self._clock() // 1_000
        silent = {"time": now, "number": None, "text": None, "quality": BAD_WAITING_FOR_INITIAL_DATA}
        rows = [newest.get(tag) or {"tag": sink.number_of(Tag(tag)), **silent} for tag in tags]
        return Block(pa.RecordBatch.from_pylist(rows, schema=BLOCK_SCHEMA), received=now)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Hand every message to the sink until `stop` is set; acknowledge what has become durable; reconnect; note gaps.

        Raises:
            RefusedError: The broker refuses the login, or its certificate is not trusted, and neither worked in this run.
        """
        Receiver(self._options, sink, stop, self._clock).run()

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: a broker has no history beyond the queue that it sends by itself after a break."""
        return 0

    def decoder(self) -> PayloadDecoder:
        """Return what turns this connection's messages into samples."""
        return PayloadDecoder(self._options.rules)

    def close(self) -> None:
        """Let go of the broker; a running subscription is ended by its own `stop`."""

    def _listen(self, filters: Sequence[str], enough: Callable[[list[Message]], bool]) -> list[Message]:
        """Hear what comes under filters for as long as the option ``wait`` says, without touching a running session."""
        heard: list[Message] = []
        fresh: list[Message] = []

        def take(message: paho.MQTTMessage) -> None:
            if message.qos and message.mid:
                link.ack(message.mid)
            if any(matches(message.topic, one) for one in filters) and len(heard) < _HEARD_AT_MOST:
                fresh.append(Message(message.topic, bytes(message.payload), self._clock() // 1_000, retained=message.retain))

        link = Link(self._options, f"madang-look-{secrets.token_hex(6)}", clean=True, on_message=take)
        try:
            greeting = link.open()
            if not greeting.accepted:
                raise refused_login(greeting.code, greeting.reason)
            link.subscribe(filters, self._options.qos)
            end = time.monotonic() + self._options.wait
            while time.monotonic() < end and link.spin(0.1):
                if fresh:
                    heard += fresh
                    if enough(list(fresh)):
                        break
                    fresh.clear()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self._options, error) from None
        except OSError as error:
            raise MissingError(
                "unreachable",
                ko=f"브로커에 연결할 수 없어요: {error}",
                en=f"The broker cannot be reached: {error}",
                next_ko=f"`madang connect test {self._options.name}` 으로 어디서 막히는지 봐 주세요.",
                next_en=f"See where it ends with `madang connect test {self._options.name}`.",
                where={"host": self._options.host, "port": self._options.port},
                retry=True,
            ) from None
        finally:
            link.close()
        return heard
