"""What every source does, done by this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from asyncua import ua

from madang.connect import Source
from madang.connect.opcua import make
from madang.plant import Interval
from madang.testing import RecordingSink, SourceContract, SourcePeer
from tests.connect.opcua.servers import PlantServer, free_port, settings


class KilnServer(SourcePeer):
    """Two tags of a server that can be taken away."""

    tags = ("ns=2;s=c1", "ns=2;s=c2")
    secrets = ("가마-secret-1",)
    can_restart = True
    patience = 30.0

    def __init__(self) -> None:
        self.server = PlantServer()
        self.value = 0.0
        self.start()

    def make(self) -> Source:
        return make(
            settings(
                self.server.url,
                *self.tags,
                secrets={"password": self.secrets[0]},
                user="operator",
                accept="plain_password",
                publish="30",
                sampling="30",
                reconnect="0.2",
                timeout="5",
            )
        )

    def away(self) -> Source | None:
        return make(settings(f"opc.tcp://127.0.0.1:{free_port()}", *self.tags))

    def change(self, value: float) -> None:
        self.value = value
        for name in ("c1", "c2"):
            self.server.set(name, value)

    def start(self) -> None:
        self.server.start()
        for name in ("c1", "c2"):
            node = self.server.add(name, self.value, ua.VariantType.Double)
            assert self.server.server is not None
            self.server.do(self.server.server.historize_node_data_change(node))

    def stop(self) -> None:
        self.server.stop()

    def history(self, source: Source, sink: RecordingSink) -> tuple[Interval, int] | None:
        begun = datetime.now(UTC)
        for value in (101.0, 102.0, 103.0):
            self.change(value)
            time.sleep(0.1)
        return Interval(begun, datetime.now(UTC)), 6


@pytest.fixture(scope="module")
def shared() -> Iterator[KilnServer]:
    peer = KilnServer()
    yield peer
    peer.server.close()


class TestOpcua(SourceContract):
    @pytest.fixture
    def peer(self, shared: KilnServer) -> SourcePeer:
        if shared.server.server is None:
            shared.start()
        shared.change(0.0)
        return shared
