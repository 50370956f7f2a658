"""MQTT does what every source does, against a real mosquitto with a password."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from madang.connect import ConnectionSettings, Source
from madang.connect.mqtt import make
from madang.testing import SourceContract, SourcePeer
from tests.connect.mqtt.broker import KEEPS_ALL, Broker

pytestmark = pytest.mark.peers
WORD = "k1ln-s3cret"


class Plant(SourcePeer):
    """A broker and one machine that publishes to it."""

    tags = ("공장/1호기#온도", "공장/1호기#압력")
    secrets = (WORD,)
    can_restart = True

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def make(self) -> Source:
        return make(self.settings(self.broker.port))

    def settings(self, port: int) -> ConnectionSettings:
        options = {"wait": "1", "keepalive": "2", "user": "kiln", "client_id": "contract"}
        return ConnectionSettings("line", "mqtt", f"mqtt://127.0.0.1:{port}", options, {"password": WORD}, ("공장/#",))

    def away(self) -> Source:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return make(self.settings(int(free.getsockname()[1])))

    def change(self, value: float) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set("kiln", WORD)
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        payload = f'{{"온도": {value}, "압력": {value}}}'.encode()
        client.publish("공장/1호기", payload, qos=1, retain=True).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def stop(self) -> None:
        self.broker.stop()

    def start(self) -> None:
        self.broker.start()


class TestMqtt(SourceContract):
    """The contract."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[SourcePeer]:
        passwords = tmp_path / "passwords"
        passwords.touch(mode=0o600)
        with Broker(tmp_path / "broker", (*KEEPS_ALL, f"password_file {passwords}"), anonymous=False) as broker:
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), "kiln", WORD], check=True, capture_output=True)
            broker.restart()
            plant = Plant(broker)
            plant.change(0.5)
            yield plant
