"""The Sparkplug B face of the living plant: an edge node with its births, deaths, aliases and sequence numbers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from madang.errors import MissingError
from madang.factory.twin._live_mqtt import BROKER_WAIT, bad_url, missing_paho, no_broker
from madang.factory.twin._live_plant import LivePlant, PlantSecond
from madang.factory.twin._live_points import LivePoint

if TYPE_CHECKING:
    from paho.mqtt.client import Client

NAMESPACE: Final = "spBv1.0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REBIRTH: Final = "Node Control/Rebirth"
_FIRST_ALIAS: Final = 100


class SparkplugFace:
    """The plant as an edge node.

    ``NBIRTH`` names every point with its alias, type, unit and range; ``NDATA`` carries what changed, by alias. The broker holds
    ``NDEATH`` as the will. A host may ask for the births again. Group and node are area and line of the line document.

    Args:
        plant: What is published.
        url: ``mqtt://[user[:password]@]host[:port]``.
        sent: Told of every value handed to the broker: ``group/node#point``, time [us], value, text, quality.

    Raises:
        MissingError: paho-mqtt or protobuf is not installed, or no broker answers there.
        InputError: The address is none of MQTT.

    Source:
        Eclipse Sparkplug specification 3.0.0, chapters 5 (operational behaviour) and 6 (payloads).
    """

    def __init__(self, plant: LivePlant, url: str, *, sent: Callable[[str, int, float | None, str | None, int], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise bad_url(parts.scheme)
        if any(find_spec(name) is None for name in ("paho", "google.protobuf")):
            raise missing_paho()
        head = plant.line.line
        self.plant = plant
        self.group, self.node = head.area, head.line
        self.url = f"mqtt://{parts.hostname}:{parts.port or 1883}"
        self._host, self._port = parts.hostname, parts.port or 1883
        self._login = (parts.username, parts.password)
        self._sent = sent
        self._guard = threading.Lock()
        self._client: Client | None = None
        self._bdseq = -1
        self._seq = 0
        self._last: dict[int, Any] = {}
        self._cut = False
        self._births_wanted = threading.Event()
        self._waiting: list[Any] = []
        self._connect()

    # ------------------------------------------------------------------ life

    def _connect(self) -> None:
        """Open a connection whose will is the death of this birth (``bdSeq`` counts them)."""
        from paho.mqtt import client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._bdseq = (self._bdseq + 1) % 256
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311, clean_session=True)
        if self._login[0]:
            client.username_pw_set(*self._login)
        client.will_set(self._topic("NDEATH"), self._death(), qos=1, retain=False)
        connected = threading.Event()

        def joined(*_: object) -> None:
            client.subscribe(self._topic("NCMD"), qos=1)
            self._births_wanted.set()
            connected.set()

        client.on_connect = joined
        client.on_message = self._commanded
        try:
            client.connect(self._host, self._port)
        except OSError as error:
            raise no_broker(self.url) from error
        client.loop_start()
        if not connected.wait(BROKER_WAIT):
            client.loop_stop()
            raise no_broker(self.url)
        self._client = client

    def _commanded(self, client: object, user: object, message: Any) -> None:  # noqa: ANN401 - paho's own
        from madang.connect.sparkplug._wire import MalformedError, decode

        try:
            payload = decode(message.payload)
        except MalformedError:
            return
        if any(metric.name == _REBIRTH and metric.boolean_value for metric in payload.metrics):
            self._births_wanted.set()

    def cut(self) -> None:
        """Lose the network without a farewell: the broker publishes the will."""
        self._cut = True
        client, self._client = self._client, None
        if client is None:
            return
        client.on_connect = None
        client.loop_stop()
        held = client.socket()
        if held is not None:
            held.close()

    def mend(self) -> None:
        """Connect again with the next reading, which carries the births; a broker that is away is tried with each."""
        self._cut = False

    def stop(self) -> None:
        """Say farewell as the specification asks, with a death certificate of one's own, and leave."""
        client, self._client = self._client, None
        if client is None:
            return
        until = time.monotonic() + BROKER_WAIT
        for info in [*self._waiting, client.publish(self._topic("NDEATH"), self._death(), qos=1)]:
            if not info.is_published() and time.monotonic() < until:
                info.wait_for_publish(max(until - time.monotonic(), 0.01))
        client.disconnect()
        client.loop_stop()

    # ------------------------------------------------------------------ messages

    def show(self, second: PlantSecond, *, at: datetime) -> None:
        """Publish what changed; births first, where a host asked or the connection is new."""
        if self._client is None and not self._cut:
            with contextlib.suppress(MissingError):
                self._connect()
        if self._client is None:
            return
        with self._guard:
            if self._births_wanted.is_set():
                self._births_wanted.clear()
                self._publish("NBIRTH", second, at)
            else:
                self._publish("NDATA", second, at)

    def _publish(self, kind: str, second: PlantSecond, at: datetime) -> None:
        from madang.connect.sparkplug._wire import DataType, Payload

        assert self._client is not None
        birth = kind == "NBIRTH"
        stamp = round((at - _EPOCH).total_seconds() * 1000)
        payload = Payload(timestamp=stamp)
        if birth:
            self._seq = 0
            self._last.clear()
            payload.metrics.add(name="bdSeq", timestamp=stamp, datatype=DataType.UINT64, long_value=self._bdseq)
            payload.metrics.add(name=_REBIRTH, timestamp=stamp, datatype=DataType.BOOLEAN, boolean_value=False)
        payload.seq = self._seq
        told: list[tuple[str, float | None, str | None]] = []
        for i, point in enumerate(self.plant.points):
            text = second.texts.get(i)
            number = None if point.data_type == "text" else float(second.numbers[i])
            content: Any = text if number is None else number
            if not birth and self._last.get(i) == content:
                continue
            self._last[i] = content
            metric = payload.metrics.add(alias=_FIRST_ALIAS + i, timestamp=stamp)
            if birth:
                _describe(metric, point, self.plant.unit_of(point, second.t))
            _fill(metric, point, content)
            told.append((f"{self.group}/{self.node}#{point.path}", number, text))
        if not told:
            return
        self._seq = (self._seq + 1) % 256
        info = self._client.publish(self._topic(kind), payload.SerializeToString(), qos=0)
        self._waiting = [one for one in [*self._waiting, info] if not one.is_published()]
        for name, number, text in told:
            self._sent(name, stamp * 1000, number, text, 0)

    def _death(self) -> bytes:
        from madang.connect.sparkplug._wire import DataType, Payload

        payload = Payload(timestamp=round(time.time() * 1000))
        payload.metrics.add(name="bdSeq", timestamp=payload.timestamp, datatype=DataType.UINT64, long_value=self._bdseq)
        return bytes(payload.SerializeToString())

    def _topic(self, kind: str) -> str:
        return f"{NAMESPACE}/{self.group}/{kind}/{self.node}"


def _datatype(point: LivePoint) -> int:
    from madang.connect.sparkplug._wire import DataType

    return int(
        {"number": DataType.DOUBLE, "integer": DataType.UINT32, "boolean": DataType.BOOLEAN, "text": DataType.STRING}[
            point.data_type
        ]
    )


def _describe(metric: Any, point: LivePoint, unit: str | None) -> None:  # noqa: ANN401 - a protobuf message
    from madang.connect.sparkplug._wire import DataType

    metric.name, metric.datatype = point.path, _datatype(point)
    said: dict[str, str | float | None] = {
        "displayName": point.label.ko,
        "engUnit": unit,
        "engLow": point.low,
        "engHigh": point.high,
    }
    for key, value in said.items():
        if isinstance(value, str):
            metric.properties.keys.append(key)
            metric.properties.values.add(type=DataType.STRING, string_value=value)
        elif value is not None:
            metric.properties.keys.append(key)
            metric.properties.values.add(type=DataType.DOUBLE, double_value=value)


def _fill(metric: Any, point: LivePoint, content: Any) -> None:  # noqa: ANN401 - a protobuf message
    if point.data_type == "text":
        metric.string_value = content
    elif point.data_type == "boolean":
        metric.boolean_value = bool(content)
    elif point.data_type == "integer":
        metric.int_value = int(content)
    else:
        metric.double_value = content
