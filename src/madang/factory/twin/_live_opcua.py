"""The OPC UA face of the living plant: an address space made from the line document, set points with guarded ranges, history.

Node ids are numbers that follow from the place of a point in the line document, so they stay the same over restarts. The display
name is Korean and the description English, because a node has one display name. A write is accepted only inside the engineering range
of a set point (``BadOutOfRange`` outside, ``BadTypeMismatch`` for what is no number, ``BadNotWritable`` elsewhere).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from madang.errors import MissingError
from madang.factory.twin._live_history import History
from madang.factory.twin._live_plant import LivePlant, PlantSecond
from madang.factory.twin._live_points import LivePoint
from madang.factory.twin._live_wire import Wire

NAMESPACE: Final = "urn:madang:twin"
PATH: Final = "/madang/twin"
HISTORY_HOURS: Final = 4.0
"""How far back HistoryRead goes [h of the clock on the wall]."""
FIRST_POINT: Final = 1000
"""Number of the first point's node; each point takes ten numbers (its own, then EURange and EngineeringUnits)."""
RENAMED: Final = 5000
"""What is added to a node's number when its tag is renamed."""
SEMANTICS_CHANGED: Final = 0x00004000
"""Bit of the status code that tells of a changed unit or range (OPC 10000-8, 5.2)."""
BAD_NODE_ID_UNKNOWN: Final = 0x80340000

_UNITS: Final[Mapping[str, tuple[str, str, str]]] = {
    "Cel": ("CEL", "℃", "degree Celsius"),
    "%": ("P1", "%", "percent"),
    "m3{normal}/h": ("Q40", "Nm3/h", "normalised cubic metre per hour"),
    "mm/min": ("H81", "mm/min", "millimetre per minute"),
    "Hz": ("HTZ", "Hz", "hertz"),
    "Pa": ("PAL", "Pa", "pascal"),
    "mm[H2O]": ("HP", "mmH2O", "conventional millimetre of water"),
    "kW.h": ("KWH", "kWh", "kilowatt hour"),
    "{pcs}": ("H87", "개", "piece"),
}
"""UNECE common code (Recommendation 20), how the plant writes it, and its name, by UCUM code."""


def unece_id(code: str) -> int:
    """Return the unit id of a UNECE common code: its characters as one number.

    Source:
        OPC 10000-8, 5.6.4.3 (mapping of UNECE codes).

    >>> unece_id("CEL")
    4408652
    """
    return int.from_bytes(code.encode("ascii"), "big")


class OpcUaFace:
    """The plant as an OPC UA server.

    Args:
        plant: What is shown and written to.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        sent: Told of every sample that the server took: name, time [us], value, text, quality.

    Raises:
        MissingError: asyncua is not installed.
    """

    def __init__(
        self, plant: LivePlant, *, host: str, port: int, sent: Callable[[str, int, float | None, str | None, int], None]
    ) -> None:
        try:
            import asyncua  # noqa: F401
        except ImportError as error:
            raise MissingError(
                "missing_extra",
                ko="OPC UA 서버를 열려면 asyncua 가 필요해요.",
                en="An OPC UA server needs asyncua.",
                next_ko="pip install 'madang[opcua]'",
                next_en="pip install 'madang[opcua]'",
            ) from error
        for name in ("asyncua.server.address_space", "asyncua.server.uaprocessor", "asyncua.server.internal_server", "asyncua"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.plant = plant
        self.host = host
        self._sent = sent
        self._wanted_port = port
        self._memory = History(timedelta(hours=HISTORY_HOURS))
        self._server: Any = None
        self._inner = 0
        self._wire: Wire | None = None
        self._renamed: set[str] = set()
        self._unit: dict[str, str | None] = {p.path: p.unit for p in plant.points}
        self._changed: set[str] = set()
        self._nodes: list[Any] = []
        self._types: list[Any] = []

    @property
    def url(self) -> str:
        """Address for clients."""
        assert self._wire is not None
        return f"opc.tcp://{self.host}:{self._wire.port}{PATH}"

    def node_of(self, point: LivePoint) -> str:
        """Return the node id under which a point stands now."""
        number = FIRST_POINT + 10 * self.plant.place[point.path] + (RENAMED if point.path in self._renamed else 0)
        return f"ns=2;i={number}"

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Open the server; the same addresses and node ids after every restart."""
        inner = await self._open(self._inner)
        if self._wire is None:
            self._wire = Wire(self.host, self._wanted_port, inner)
            self._inner = inner
        await self._wire.start()
        self._server_endpoint()

    async def _open(self, port: int) -> int:
        from asyncua.server.server import Server

        ua = _ua()

        if port == 0:
            port = await _free_port()
        server: Any = Server()
        await server.init()
        server.set_server_name("Madang twin")
        await server.set_application_uri(f"{NAMESPACE}:server")
        server.socket_address = ("127.0.0.1", port)
        server.set_endpoint(f"opc.tcp://{self.host}:{port}{PATH}")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.iserver.history_manager.set_storage(self._memory)
        self._server = server
        await self._build(server)
        self._guard_writes(server)
        await server.start()
        return port

    def _server_endpoint(self) -> None:
        """Let the endpoints name the wire's port, which is the one that clients can reach."""
        assert self._server is not None
        self._server.iserver.match_discovery_source_ip = False
        for endpoint in self._server.iserver.endpoints:
            endpoint.EndpointUrl = self.url
            endpoint.Server.DiscoveryUrls = [self.url]

    async def stop(self) -> None:
        """Close the server and its wire."""
        if self._wire is not None:
            await self._wire.stop()
        if self._server is not None:
            server, self._server = self._server, None
            with contextlib.suppress(Exception):
                await asyncio.wait_for(server.stop(), 5.0)

    def cut(self) -> None:
        """Cut the network in front of the server."""
        if self._wire is not None:
            self._wire.cut()

    def mend(self) -> None:
        """Mend the network."""
        if self._wire is not None:
            self._wire.mend()

    @property
    def up(self) -> bool:
        """Whether the server runs (cut off or not)."""
        return self._server is not None

    # ------------------------------------------------------------------ address space

    async def _build(self, server: Any) -> None:  # noqa: ANN401
        index = await server.register_namespace(NAMESPACE)
        assert index == 2
        head = self.plant.line.line
        root = await self._folder(server.nodes.objects, 1, head.line, head.name_ko, head.name_en)
        folders: dict[str, Any] = {}
        number = 10
        units = {unit.id: unit for unit in self.plant.line.equipment}
        self._nodes, self._types = [], []
        for point in self.plant.points:
            parent, way = root, ""
            for part in point.path.split("/")[:-1]:
                way = f"{way}/{part}".lstrip("/")
                if way not in folders:
                    unit = units.get(way)
                    ko, en = (
                        (unit.name_ko, unit.name_en) if unit is not None else (_zone_name(part, "ko"), _zone_name(part, "en"))
                    )
                    folders[way] = await self._folder(parent, number, part, ko, en)
                    number += 1
                parent = folders[way]
            self._types.append(_variant(point))
            self._nodes.append(await self._variable(parent, point, self._types[-1]))

    async def _folder(self, parent: Any, number: int, name: str, ko: str, en: str) -> Any:  # noqa: ANN401
        ua = _ua()

        folder = await parent.add_object(ua.NodeId(number, 2), ua.QualifiedName(name, 2), ua.ObjectIds.FolderType)
        await _name(folder, ko or name, en or name)
        return folder

    async def _variable(self, parent: Any, point: LivePoint, kind: Any) -> Any:  # noqa: ANN401
        ua = _ua()

        at = FIRST_POINT + 10 * self.plant.place[point.path]
        name = point.path.split("/")[-1]
        if point.path in self._renamed:
            at, name = at + RENAMED, f"{name}_2"
        initial = ua.Variant({ua.VariantType.String: "", ua.VariantType.Boolean: False}.get(kind, 0), kind)
        node = await parent.add_variable(ua.NodeId(at, 2), ua.QualifiedName(name, 2), initial)
        await _name(node, point.label.ko, point.label.en)
        waiting = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadWaitingForInitialData)))
        await node.write_value(waiting)
        if point.low is not None and point.high is not None:
            await node.delete_reference(
                ua.NodeId(ua.ObjectIds.BaseDataVariableType), ua.ObjectIds.HasTypeDefinition, bidirectional=False
            )
            await node.add_reference(
                ua.NodeId(ua.ObjectIds.AnalogItemType), ua.ObjectIds.HasTypeDefinition, bidirectional=False
            )
            limits = ua.Range(Low=point.low, High=point.high)
            await node.add_property(ua.NodeId(at + 1, 2), ua.QualifiedName("EURange", 0), limits)
            unit = self._unit[point.path]
            if unit is not None and unit in _UNITS:
                await node.add_property(ua.NodeId(at + 2, 2), ua.QualifiedName("EngineeringUnits", 0), _unit(unit))
        bits = {ua.AccessLevel.CurrentRead, ua.AccessLevel.HistoryRead} | (
            {ua.AccessLevel.CurrentWrite} if point.writable else set()
        )
        level = ua.Variant(sum(1 << bit.value for bit in bits), ua.VariantType.Byte)
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await node.write_attribute(attribute, ua.DataValue(level))
        await node.write_attribute(ua.AttributeIds.Historizing, ua.DataValue(ua.Variant(True, ua.VariantType.Boolean)))
        return node

    def _guard_writes(self, server: Any) -> None:  # noqa: ANN401
        """Let clients write set points inside their range, and nothing else."""
        ua = _ua()
        from asyncua.server.address_space import AttributeService

        face = self

        class Guarded(AttributeService):  # type: ignore[misc]
            """Attribute service that hands accepted set points to the plant."""

            async def write(self, params: Any, user: Any = None) -> list[Any]:  # noqa: ANN401
                if user is not None and user.role.name == "Admin":
                    return list(await super().write(params, user))
                return [ua.StatusCode(await face._written(item)) for item in params.NodesToWrite]

        server.iserver.attribute_service = Guarded(server.iserver.aspace)

    async def _written(self, item: Any) -> Any:  # noqa: ANN401
        """Answer one write of a client with a status code."""
        ua = _ua()

        codes = ua.StatusCodes
        at = next((i for i, node in enumerate(self._nodes) if node.nodeid == item.NodeId), None)
        if at is None or item.AttributeId != ua.AttributeIds.Value:
            return codes.BadNotWritable if at is not None else codes.BadNodeIdUnknown
        value = item.Value.Value.Value if item.Value is not None and item.Value.Value is not None else None
        if not self.plant.points[at].writable:
            return codes.BadNotWritable
        if isinstance(value, bool) or not isinstance(value, int | float):
            return codes.BadTypeMismatch
        if self.plant.refusal(self.plant.points[at].path, float(value)) is not None:
            return codes.BadOutOfRange
        self.plant.write(self.plant.points[at].path, float(value))
        return codes.Good

    # ------------------------------------------------------------------ values

    async def show(self, second: PlantSecond, *, at: datetime) -> None:
        """Put what stands on the screens into the address space, with `at` as its source time."""
        ua = _ua()

        if self._server is None:
            return
        aspace = self._server.iserver.aspace
        good = ua.StatusCode(ua.UInt32(0))
        micros = round((at - _EPOCH).total_seconds() * 1e3) * 1000
        for i, point in enumerate(self.plant.points):
            number = None if point.data_type == "text" else float(second.numbers[i])
            text = second.texts.get(i)
            content = text if number is None else _as(number, point)
            quality = 0
            if point.path in self._changed:
                self._changed.discard(point.path)
                quality = SEMANTICS_CHANGED
            status = good if not quality else ua.StatusCode(ua.UInt32(quality))
            value = ua.DataValue(ua.Variant(content, self._types[i]), status, at, at)
            await aspace.write_attribute_value(self._nodes[i].nodeid, ua.AttributeIds.Value, value)
            self._memory.add(self._nodes[i].nodeid, value)
            self._sent(self.node_of(point), micros, number, text, quality)

    async def tell_unit(self, path: str, unit: str | None) -> None:
        """Change the engineering unit that a point says, and mark its next value."""
        self._unit[path] = unit
        self._changed.add(path)
        if self._server is None or unit is None or unit not in _UNITS:
            return
        ua = _ua()

        number = FIRST_POINT + 10 * self.plant.place[path] + 2
        value = ua.DataValue(ua.Variant(_unit(unit), ua.VariantType.ExtensionObject))
        await self._server.iserver.aspace.write_attribute_value(ua.NodeId(number, 2), ua.AttributeIds.Value, value)

    async def rename(self, path: str) -> None:
        """Take a tag away and put another in its place: other node id, other browse name, the same label."""
        ua = _ua()

        if path in self._renamed:
            return
        self._renamed.add(path)
        if self._server is None:
            return
        at = self.plant.place[path]
        node = self._nodes[at]
        gone = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(BAD_NODE_ID_UNKNOWN)))
        await self._server.iserver.aspace.write_attribute_value(node.nodeid, ua.AttributeIds.Value, gone)
        parent = await node.get_parent()
        # asyncua calls the watchers of a deleted node without awaiting them; they have just been told, so nobody is left to tell.
        self._server.iserver.aspace[node.nodeid].attributes[ua.AttributeIds.Value].datachange_callbacks.clear()
        await self._server.delete_nodes([*(await node.get_properties()), node])
        self._nodes[at] = await self._variable(parent, self.plant.points[at], self._types[at])


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _ua() -> Any:  # noqa: ANN401 - asyncua's own types narrow what its calls accept
    """Return asyncua's module of types."""
    import importlib

    return importlib.import_module("asyncua.ua")


def _as(number: float, point: LivePoint) -> float | int | bool:
    return bool(number) if point.data_type == "boolean" else int(number) if point.data_type == "integer" else number


def _variant(point: LivePoint) -> Any:  # noqa: ANN401 - asyncua's enum
    ua = _ua()

    return {
        "number": ua.VariantType.Double,
        "integer": ua.VariantType.UInt32,
        "boolean": ua.VariantType.Boolean,
        "text": ua.VariantType.String,
    }[point.data_type]


def _unit(code: str) -> Any:  # noqa: ANN401
    ua = _ua()

    common, short, name = _UNITS[code]
    return ua.EUInformation(
        NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
        UnitId=unece_id(common),
        DisplayName=ua.LocalizedText(short),
        Description=ua.LocalizedText(name, "en"),
    )


async def _name(node: Any, ko: str, en: str) -> None:  # noqa: ANN401
    ua = _ua()

    await node.write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText(ko, "ko-KR"))))
    await node.write_attribute(ua.AttributeIds.Description, ua.DataValue(ua.Variant(ua.LocalizedText(en, "en-US"))))


def _zone_name(part: str, language: str) -> str:
    if not part.startswith("zone"):
        return part
    number = part.removeprefix("zone")
    return f"{number}존" if language == "ko" else f"Zone {number}"


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port
