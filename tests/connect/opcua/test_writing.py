"""Set points: checked against what the server says of the tag, written in the tag's own type, read back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from asyncua import ua

from madang.connect import Actuator
from madang.connect.opcua import make_actuator
from madang.connect.opcua._actuator import OpcuaActuator
from madang.errors import MadangError
from madang.testing import ActuatorContract, ActuatorPeer
from tests.connect.opcua.servers import PlantServer, free_port, settings


@pytest.fixture(scope="module")
def actuator(workshop: PlantServer) -> Iterator[OpcuaActuator]:
    node = workshop.add("w/speed", 10.0, ua.VariantType.Float, writable=True)
    workshop.do(node.add_property(2, "EURange", ua.Range(0.0, 50.0)))
    workshop.add("w/count", 1, ua.VariantType.UInt16, writable=True)
    workshop.add("w/big", 1, ua.VariantType.Int64, writable=True)
    workshop.add("w/on", False, ua.VariantType.Boolean, writable=True)
    workshop.add("w/lot", "a", ua.VariantType.String, writable=True)
    workshop.add("w/fixed", 1.0, ua.VariantType.Double)
    made = make_actuator(settings(workshop.url))
    yield made
    made.close()


class Kiln(ActuatorPeer):
    """A set point with a range, and a tag that may not be written."""

    tag = "ns=2;s=w/speed"
    values = (10.5, 23.4)
    too_much = 51.0
    read_only = "ns=2;s=w/fixed"

    def __init__(self, server: PlantServer, actuator: OpcuaActuator) -> None:
        self._server, self._actuator = server, actuator

    def make(self) -> Actuator:
        return self._actuator

    def stands(self) -> float:
        held = self._server.do(self._server.nodes["w/speed"].read_value())
        return float(str(np.float32(held)))


class TestOpcuaActuator(ActuatorContract):
    @pytest.fixture
    def peer(self, workshop: PlantServer, actuator: OpcuaActuator) -> ActuatorPeer:
        return Kiln(workshop, actuator)


def test_it_is_an_actuator(actuator: OpcuaActuator) -> None:
    assert isinstance(actuator, OpcuaActuator)
    taken: Actuator = actuator
    assert taken.read_back("ns=2;s=w/lot").value == "a"


@pytest.mark.parametrize(
    ("tag", "value", "held"),
    [
        ("w/speed", 23.4, 23.4),
        ("w/count", 65535, 65535.0),
        ("w/big", str(2**60 + 1), str(2**60 + 1)),
        ("w/on", 1, 1.0),
        ("w/lot", "가-002", "가-002"),
    ],
)
def test_a_value_that_fits_is_written_and_read_back(
    actuator: OpcuaActuator, tag: str, value: float | str, held: float | str
) -> None:
    assert actuator.propose(f"ns=2;s={tag}", value) is None

    outcome = actuator.write(f"ns=2;s={tag}", value)

    assert (outcome.written, outcome.value, outcome.quality) == (True, held, 0)
    assert actuator.read_back(f"ns=2;s={tag}").value == held


@pytest.mark.parametrize(
    ("tag", "value", "word"),
    [
        ("w/speed", 50.1, "range"),
        ("w/speed", float("nan"), "finite"),
        ("w/speed", 1e300, "finite"),
        ("w/speed", "fast", "number"),
        ("w/count", 65536, "65535"),
        ("w/count", 1.5, "whole"),
        ("w/on", 2, "0 or 1"),
        ("w/lot", 5.0, "not written"),
        ("w/fixed", 2.0, "may not write"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_not_sent(
    actuator: OpcuaActuator, tag: str, value: float | str, word: str
) -> None:
    before = actuator.read_back(f"ns=2;s={tag}").value

    refusal, outcome = actuator.propose(f"ns=2;s={tag}", value), actuator.write(f"ns=2;s={tag}", value)

    assert refusal is not None
    assert word in refusal.en
    assert not outcome.written
    assert actuator.read_back(f"ns=2;s={tag}").value == before


def test_a_tag_that_is_not_there_cannot_be_written(actuator: OpcuaActuator) -> None:
    assert actuator.propose("ns=2;s=w/nothing", 1.0) is not None
    assert not actuator.write("ns=2;s=w/nothing", 1.0).written


def test_a_server_that_is_off_is_an_error_and_not_a_no() -> None:
    alone = make_actuator(settings(f"opc.tcp://127.0.0.1:{free_port()}"))

    with pytest.raises(MadangError) as caught:
        alone.write("ns=2;s=x", 1.0)

    alone.close()
    assert caught.value.retry
