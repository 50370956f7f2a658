"""Sparkplug does what every source does, against Eclipse's own client through a real mosquitto."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.connect import ConnectionSettings, Source
from madang.connect.sparkplug import make
from madang.testing import SourceContract, SourcePeer
from tests.connect.mqtt.broker import Broker
from tests.peers import NodeProcess, start_node

pytestmark = pytest.mark.peers


class Line(SourcePeer):
    """A broker and one edge node that says something now and then."""

    tags = ("공장/E1#온도", "공장/E1/K#압력")
    can_restart = True

    def __init__(self, broker: Broker, edge: NodeProcess) -> None:
        self.broker = broker
        self._edge = edge
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._murmur)
        self._thread.start()

    def make(self) -> Source:
        return make(self.settings(self.broker.port))

    def settings(self, port: int) -> ConnectionSettings:
        options = {"wait": "2", "keepalive": "2", "rebirth_interval": "1", "reorder_timeout": "300"}
        return ConnectionSettings("line", "sparkplug", f"mqtt://127.0.0.1:{port}", options)

    def away(self) -> Source:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return make(self.settings(int(free.getsockname()[1])))

    def change(self, value: float) -> None:
        self._say(data=[[2, "Double", value]])
        self._say(data=[[20, "Float", value]], device="K")

    def stop(self) -> None:
        self.broker.stop()

    def start(self) -> None:
        self.broker.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _murmur(self) -> None:
        while not self._ended.wait(0.25):
            self._say(data=[[1, "Int32", 7]])

    def _say(self, **what: object) -> None:
        with self._lock:
            self._edge.say(json.dumps(what))


class TestSparkplug(SourceContract):
    """The contract."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[SourcePeer]:
        with (
            Broker(tmp_path / "broker") as broker,
            start_node("sparkplug_edge.js", str(broker.port), "공장", "E1", package="sparkplug-client") as edge,
        ):
            line = Line(broker, edge)
            yield line
            line.close()
