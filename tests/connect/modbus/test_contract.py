"""What every source does, done by Modbus TCP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from madang.connect import ConnectionSettings, Source
from madang.connect.modbus import make
from madang.testing import SourceContract, SourcePeer
from tests.connect.modbus.devices import Device
from tests.connect.sql.servers import free_port

OPTIONS = {"points": "온도=hr/0:int16; 압력=hr/7:uint32:cdab", "every": "0.02", "timeout": "5"}


class Plc(SourcePeer):
    """Two registers of a device that can be taken away."""

    tags = ("온도", "압력")
    can_restart = True

    def __init__(self) -> None:
        self.device = Device(port=free_port())
        self.there = False
        self.start()
        self.change(0.0)

    def make(self) -> Source:
        return make(ConnectionSettings("plc", "modbus", f"modbus://127.0.0.1:{self.device.port}", OPTIONS))

    def away(self) -> Source | None:
        return make(ConnectionSettings("plc", "modbus", f"modbus://127.0.0.1:{free_port()}", OPTIONS))

    def change(self, value: float) -> None:
        self.device.registers.update({0: int(value), 7: int(value), 8: 0})

    def stop(self) -> None:
        if self.there:
            self.device.__exit__()
            self.there = False

    def start(self) -> None:
        self.device.__enter__()
        self.there = True


class TestModbus(SourceContract):
    @pytest.fixture
    def peer(self) -> Iterator[SourcePeer]:
        peer = Plc()
        yield peer
        peer.stop()
