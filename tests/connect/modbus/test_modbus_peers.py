"""Devices that nobody here wrote: PLC4X's recorded exchanges, the server of pymodbus, and modbus-serial under Node.js."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from madang.connect import ConnectionSettings
from madang.connect.modbus import make
from madang.connect.modbus._address import parse
from madang.connect.modbus._decode import decode
from madang.connect.modbus._link import Link
from madang.plant import BAD_NODE_UNKNOWN, GOOD
from tests.connect.modbus.devices import Device
from tests.connect.sql.servers import free_port
from tests.connect.sql.shelf import Hands, Shelf
from tests.peers import need_npm

TYPES = {
    "BOOL": ".0", "BYTE": ":uint8", "SINT": ":int8", "USINT": ":uint8", "WORD": ":uint16", "INT": ":int16", "UINT": ":uint16",
    "DWORD": ":uint32", "DINT": ":int32", "UDINT": ":uint32", "LINT": ":int64", "ULINT": ":uint64", "REAL": ":float32", "LREAL": ":float64",
}  # fmt: skip


@pytest.fixture
def vectors(shared_data: Path) -> Path:
    folder = shared_data / "standards" / "plc4x" / "modbus" / "tcp"
    if not folder.is_dir():
        pytest.skip("PLC4X's vectors are not among the shared data")
    return folder


def _cases(file: Path) -> Iterator[tuple[str, bytes, str]]:
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        asked = case.find(".//TestReadRequest")
        if asked is None:
            continue
        addresses = [found.text or "" for found in asked.iter("address")]
        raw = [found.text or "" for found in case.iter("value") if found.get("dataType") == "byte"]
        values = [found.text for found in case.iter() if found.tag.startswith("Plc") and found.text and found.text.strip()]
        if len(addresses) == len(raw) == len(values) and "[" not in addresses[0]:
            for address, data, value in zip(addresses, raw, values, strict=True):
                yield address, bytes.fromhex(data.removeprefix("0x")), str(value)


@pytest.mark.parametrize(
    ("file", "order", "cases"),
    [
        ("Modbus-all-datatypes.xml", "abcd", 14),
        ("Modbus-all-datatypes-little-endian.xml", "dcba", 14),
        ("DriverTestsuite.xml", "abcd", 3),
    ],
)
def test_every_value_that_plc4x_reads_is_read_alike(vectors: Path, file: str, order: str, cases: int) -> None:
    seen = 0
    for address, data, value in _cases(vectors / file):
        area, number, kind = address.split(":")
        # Little-endian as PLC4X means it has the lowest byte of the whole value first; of a single register that is its first byte.
        text = f"{area}:{number}{TYPES[kind]}"
        item = parse(text, order=order)
        read, exact, quality = decode(item, data, item.start, "utf-8")
        shown = exact if exact is not None else read
        if kind == "BOOL":
            assert bool(read) == (value == "true")
        elif kind in ("REAL", "LREAL"):
            assert read == float(value) or struct.pack(">f", read) == struct.pack(">f", float(value))
        else:
            assert int(str(shown).removesuffix(".0")) == int(value), address
        assert quality == GOOD
        seen += 1
    assert seen == cases


def test_requests_are_byte_for_byte_those_that_plc4x_sends(vectors: Path) -> None:
    text = (vectors / "ParserSerializerTestsuite.xml").read_text(encoding="utf-8")
    found = re.search(r"<name>Read Input Registers Request</name>\s*<raw>([0-9a-f]+)</raw>", text)
    assert found is not None
    wanted = bytes.fromhex(found[1])
    sent: list[bytes] = []

    def keep(request: bytes, proper: bytes) -> list[tuple[float, bytes]]:
        sent.append(request)
        return [(0.0, proper)]

    unit, (start, count) = wanted[6], struct.unpack(">HH", wanted[8:12])
    with Device(answer=keep) as device:
        link = Link("127.0.0.1", device.port, 5)
        link._number = 65_535
        link.read(unit, "input", start, count)
        link.close()
    # The transaction number is each side's own.
    assert sent[0][2:] == wanted[2:]


@contextmanager
def _pymodbus(port: int) -> Iterator[None]:
    pytest.importorskip("pymodbus")
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        data = [
            SimData(0, values=[7, 65535, 12], datatype=DataType.REGISTERS),
            SimData(10, values=3.5, datatype=DataType.FLOAT32),
            SimData(20, values=-(2**40), datatype=DataType.INT64),
        ]
        server = ModbusTcpServer(SimDevice(1, simdata=data), address=("127.0.0.1", port))
        await server.listen()
        ready.set()
        await stopping.wait()
        await server.shutdown()  # type: ignore[no-untyped-call]

    stopping = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        loop.close()


def test_the_server_of_pymodbus_is_read_alike_and_what_it_refuses_is_isolated(hands: Hands) -> None:
    port = free_port()
    points = "a=hr/0; b=hr/1:int16; c=hr/2; f=hr/10:float32; big=hr/20:int64; none=hr/15; far=hr/900"
    with _pymodbus(port):
        source = make(ConnectionSettings("plc", "modbus", f"127.0.0.1:{port}", {"points": points, "timeout": "5"}), clock=hands)
        shelf = Shelf()
        assert source.round(shelf)
        source.close()
    got = {name: (number, quality) for name, _, number, _, quality, _ in shelf.samples()}
    good = {"a": 7, "b": -1, "c": 12, "f": 3.5, "big": -(2.0**40)}
    assert {name: got[name] for name in good} == {name: (value, GOOD) for name, value in good.items()}
    assert got["none"] == got["far"] == (None, BAD_NODE_UNKNOWN)


SCRIPT = """
const ModbusRTU = require("modbus-serial");
const floats = Buffer.alloc(4); floats.writeFloatBE(731.25);
const held = { 0: 7, 1: floats.readUInt16BE(2), 2: floats.readUInt16BE(0), 9: 65535 };
const vector = {
  getHoldingRegister: (at, unit) => { if (at === 5) throw { modbusErrorCode: 2 }; return held[at] ?? at + unit; },
  getInputRegister: (at) => 1000 + at,
  getCoil: (at) => at % 2 === 1,
  getDiscreteInput: (at) => at % 3 === 0,
};
const server = new ModbusRTU.ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: 0 });
server.on("initialized", () => console.log(JSON.stringify({ ready: true })));
server.on("socketError", () => {});
process.stdin.on("end", () => process.exit(0)); process.stdin.resume();
"""


@pytest.mark.peers
def test_modbus_serial_under_node_is_read_alike(tmp_path: Path, hands: Hands) -> None:
    folder, port = need_npm("modbus-serial"), free_port()
    script = tmp_path / "server.cjs"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        ["node", str(script), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"NODE_PATH": str(folder / "node_modules"), "PATH": "/usr/bin:/usr/local/bin:/bin"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        points = (
            "a=hr:1;t=hr:2:float32:cdab;bad=hr/5;near=hr/6;wide=hr/9;other=7@hr/20;in=ir:30011;coil=coil/3;off=coil/4;di=di/9"
        )
        source = make(
            ConnectionSettings("plc", "modbus", f"modbus://127.0.0.1:{port}", {"points": points, "timeout": "5"}), clock=hands
        )
        shelf = Shelf()
        assert source.round(shelf)
        source.close()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
    got = {name: (number, quality) for name, _, number, _, quality, _ in shelf.samples()}
    assert got.pop("bad")[0] is None
    assert got == {
        name: (value, GOOD)
        for name, value in {
            "a": 7,
            "t": 731.25,
            "near": 7,
            "wide": 65535,
            "other": 27,
            "in": 1010,
            "coil": 1,
            "off": 0,
            "di": 1,
        }.items()
    }
