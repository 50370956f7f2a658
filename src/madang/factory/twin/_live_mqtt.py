"""The MQTT face of the living plant: one topic for each point in a unified namespace, JSON payloads, QoS 1."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from madang.errors import InputError, MissingError
from madang.factory.twin._live_plant import LivePlant, PlantSecond
from madang.factory.twin._live_points import LivePoint

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BROKER_WAIT: Final = 10.0
"""How long a broker may take to answer [s]."""


def topic_of(plant: LivePlant, point: LivePoint, prefix: str = "") -> str:
    """Return the topic of a point: enterprise, site, area and line of ISA-95, then the point's own path."""
    head = plant.line.line
    return "/".join(part for part in (prefix, head.enterprise, head.site, head.area, head.line, point.path) if part)


class MqttFace:
    """The plant as a publisher.

    A payload is ``{"time": "2026-01-01T00:00:00.000Z", "value": 850.1, "unit": "Cel", "quality": "GOOD"}``.

    Args:
        plant: What is published.
        url: ``mqtt://[user[:password]@]host[:port][/prefix]``; a path is put before every topic.
        sent: Told of every sample handed to the broker: topic, time [us], value, text, quality.

    Raises:
        MissingError: paho-mqtt is not installed, or no broker answers there.
        InputError: The address is none of MQTT.
    """

    def __init__(self, plant: LivePlant, url: str, *, sent: Callable[[str, int, float | None, str | None, int], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise bad_url(parts.scheme)
        try:
            from paho.mqtt import client as mqtt
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise missing_paho() from error
        self.plant = plant
        self.url = f"mqtt://{parts.hostname}:{parts.port or 1883}"
        self._prefix = parts.path.strip("/")
        self._sent = sent
        self._whole = True
        self._connected = threading.Event()
        self._waiting: list[MQTTMessageInfo] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if parts.username:
            self._client.username_pw_set(parts.username, parts.password)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = lambda *_: self._connected.set()
        self._client.on_disconnect = lambda *_: self._connected.clear()
        try:
            self._client.connect(parts.hostname, parts.port or 1883)
        except OSError as error:
            raise no_broker(self.url) from error
        self._client.loop_start()
        if not self._connected.wait(BROKER_WAIT):
            self._client.loop_stop()
            raise no_broker(self.url)

    def show(self, second: PlantSecond, *, at: datetime) -> None:
        """Publish what stands on the screens; nothing while the network is cut."""
        if not self._whole:
            return
        written = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        micros = round((at - _EPOCH).total_seconds() * 1e3) * 1000
        for i, point in enumerate(self.plant.points):
            number = None if point.data_type == "text" else float(second.numbers[i])
            text = second.texts.get(i)
            content = text if number is None else number if point.data_type == "number" else int(number)
            record = {"time": written, "value": bool(content) if point.data_type == "boolean" else content, "quality": "GOOD"}
            unit = self.plant.unit_of(point, second.t)
            if unit is not None:
                record["unit"] = unit
            topic = topic_of(self.plant, point, self._prefix)
            info = self._client.publish(topic, json.dumps(record, ensure_ascii=False).encode(), qos=1)
            self._waiting.append(info)
            self._sent(topic, micros, number, text, 0)
        self._waiting = [info for info in self._waiting if not info.is_published()]

    @property
    def unanswered(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return sum(not info.is_published() for info in self._waiting)

    def cut(self) -> None:
        """Publish nothing until `mend`: a plant without a store of its own loses what it does not say."""
        self._whole = False

    def mend(self) -> None:
        """Publish again."""
        self._whole = True

    def stop(self) -> None:
        """Wait for the broker's answers, at most ten seconds in all, and leave."""
        import time

        until = time.monotonic() + BROKER_WAIT
        for info in self._waiting:
            if info.is_published() or time.monotonic() > until:
                continue
            try:
                info.wait_for_publish(max(until - time.monotonic(), 0.01))
            except (RuntimeError, ValueError):
                break
        self._client.disconnect()
        self._client.loop_stop()


def bad_url(scheme: str) -> InputError:
    """Return the error of an address that is none of MQTT."""
    return InputError(
        "bad_url", ko="MQTT 주소는 mqtt://호스트:포트 꼴이어야 해요.", en="An MQTT address looks like mqtt://host:port.",
        next_ko="예: mqtt://127.0.0.1:1883", next_en="For example mqtt://127.0.0.1:1883", where={"scheme": scheme},
    )  # fmt: skip


def missing_paho() -> MissingError:
    """Return the error of a missing library."""
    return MissingError(
        "missing_extra", ko="MQTT 로 보내려면 paho-mqtt 와 protobuf 가 필요해요.", en="Publishing over MQTT needs paho-mqtt and protobuf.",
        next_ko="pip install 'madang[mqtt]'", next_en="pip install 'madang[mqtt]'",
    )  # fmt: skip


def no_broker(url: str) -> MissingError:
    """Return the error of a broker that does not answer."""
    return MissingError(
        "no_broker", ko=f"{url} 에 MQTT 브로커가 없어요.", en=f"No MQTT broker answers at {url}.",
        next_ko="브로커를 켜거나(예: mosquitto -p 1883) 주소를 고쳐 주세요.", next_en="Start a broker (such as mosquitto -p 1883) or correct the address.",
        where={"url": url}, retry=True,
    )  # fmt: skip
