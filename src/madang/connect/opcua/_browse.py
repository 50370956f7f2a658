"""Finds the variables of a server and what it says about them: type, unit, range, names, whether it keeps their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from asyncua import ua

from madang.connect._blocks import DataType, Tag
from madang.connect.opcua._link import Link
from madang.connect.opcua._units import unece_code, unit_text
from madang.plant import Bilingual

_VARIABLE: Final = int(ua.NodeClass.Variable)
_HAS_PROPERTY: Final = ua.NodeId(ua.ObjectIds.HasProperty)
_PROPERTY_TYPE: Final = ua.NodeId(ua.ObjectIds.PropertyType)
_BUILT_IN: Final[dict[int, DataType]] = {
    1: "boolean",
    **dict.fromkeys(range(2, 10), "integer"),
    10: "number",
    11: "number",
    **dict.fromkeys((12, 13, 14, 16, 17, 18, 20, 21), "text"),
    19: "integer",
    26: "number",
    27: "integer",
    28: "integer",
    29: "integer",
    290: "number",
    294: "text",
    295: "text",
}
"""Data types of namespace 0 that are understood (OPC 10000-6, 5.1.2), abstract ones by what they hold."""
_ENUMERATION: Final = 29
_ANY: Final = 24
_PROPERTIES: Final = ("EURange", "EngineeringUnits", "EnumStrings", "EnumValues", "TrueState", "FalseState", "InstrumentRange")
_HISTORY_READ: Final = 4
_WRITE: Final = 2
_MOST_REFERENCES: Final = 2_000_000


@dataclass(frozen=True)
class Found:
    """One variable of the server, before anything else about it is asked."""

    node: ua.NodeId
    label: str = ""
    parent: str = ""
    """Path of display names, with slashes."""


@dataclass
class Described:
    """One variable, and how it can be followed."""

    tag: Tag
    node: ua.NodeId
    known: bool = True
    """Whether its data type is said."""
    supported: bool = True
    history: bool = False
    array: bool = False
    status: int = 0
    """Status with which the server refuses to describe it, such as BadNodeIdUnknown."""
    length: tuple[str, ...] = field(default=())


class Namespaces:
    """Keeps names of tags stable: they speak of namespaces by the indexes that were seen first, whatever the server's are now."""

    def __init__(self, first: Sequence[str], now: Sequence[str]) -> None:
        known = list(first)
        known += [uri for uri in now if uri not in known]
        self.first = tuple(known)
        self._to_now = {index: now.index(uri) for index, uri in enumerate(known) if uri in now}
        self._to_first = {index: known.index(uri) for index, uri in enumerate(now)}

    def name(self, node: ua.NodeId) -> str:
        """Return the lasting name of a node, such as ``ns=2;s=Kiln.T1``."""
        return str(_with_namespace(node, self._to_first.get(node.NamespaceIndex, node.NamespaceIndex)).to_string())

    def node(self, name: str) -> ua.NodeId:
        """Return the node of a name; ``nsu=URI;...`` is understood too.

        Raises:
            ValueError: It is no node id, or its namespace is not on the server now.
        """
        if name.startswith("nsu="):
            uri, _, rest = name[4:].partition(";")
            if uri not in self.first:
                raise ValueError("unknown namespace")
            name = f"ns={self.first.index(uri)};{rest}"
        try:
            node = ua.NodeId.from_string(name)
        except Exception as error:  # asyncua raises several kinds of its own here
            raise ValueError("not a node id") from error
        index = self._to_now.get(node.NamespaceIndex)
        if index is None and node.NamespaceIndex != 0:
            raise ValueError("unknown namespace")
        return _with_namespace(node, index or 0)


async def find(link: Link, start: ua.NodeId, *, path: str = "", depth: int, limit: int) -> tuple[list[Found], bool]:
    """Return the variables below a node, level by level, and whether the limit cut the search short.

    A node that is reached on several ways is found once; two nodes of one name are two. What a server tells about itself (nodes of the
    standard's own namespace) is no part of the plant.
    """
    found: list[Found] = []
    seen = {start}
    level = [(start, path)]
    for _ in range(depth):
        following: list[tuple[ua.NodeId, str]] = []
        for begin in range(0, len(level), link.limits.browse):
            part = level[begin : begin + link.limits.browse]
            for (_, parent), references in zip(part, await _children(link, [node for node, _ in part]), strict=True):
                for reference in references:
                    node = _local(reference.NodeId)
                    if node is None or node in seen or node.NamespaceIndex == 0 or _is_property(reference):
                        continue
                    seen.add(node)
                    label = str(reference.DisplayName.Text or reference.BrowseName.Name or "")
                    if int(reference.NodeClass) == _VARIABLE:
                        found.append(Found(node, label, parent))
                        if len(found) >= limit:
                            return found, True
                    following.append((node, f"{parent}/{label}" if parent else label))
        level = following
        if not level:
            return found, False
    return found, False


async def place(link: Link, namespaces: Namespaces, under: str, root: str) -> tuple[ua.NodeId, str]:
    """Return the node of a path: a node id, or display or browse names with slashes below the root.

    Raises:
        ValueError: There is no such place.
    """
    node = namespaces.node(root)
    if not under:
        return node, ""
    if "=" in under.split("/")[0]:
        return namespaces.node(under), ""
    for part in under.split("/"):
        (references,) = await _children(link, [node])
        for reference in references:
            local = _local(reference.NodeId)
            if local is not None and part in {str(reference.DisplayName.Text), str(reference.BrowseName.Name)}:
                node = local
                break
        else:
            raise ValueError("no such folder")
    return node, under


async def describe(link: Link, namespaces: Namespaces, found: Sequence[Found]) -> list[Described]:
    """Return what the server says about some variables, in their order; asked in few requests."""
    attributes = (
        ua.AttributeIds.DataType,
        ua.AttributeIds.ValueRank,
        ua.AttributeIds.UserAccessLevel,
        ua.AttributeIds.Historizing,
        ua.AttributeIds.Description,
        ua.AttributeIds.DisplayName,
        ua.AttributeIds.NodeClass,
    )
    asked = [ua.ReadValueId(NodeId=one.node, AttributeId=attribute) for one in found for attribute in attributes]
    answers = await link.read(asked)
    width = len(attributes)
    rows = [answers[start : start + width] for start in range(0, len(answers), width)]
    types = _Types(link)
    properties = await _properties(link, [one.node for one in found])
    described = []
    for one, row, held in zip(found, rows, properties, strict=True):
        described.append(await _describe(one, row, held, types, namespaces))
    await _english(link, described)
    return described


async def _describe(
    one: Found, row: Sequence[ua.DataValue], held: dict[str, object], types: _Types, namespaces: Namespaces
) -> Described:
    kind, rank, access, historizing, description, shown, node_class = (
        answer.Value.Value if answer.Value is not None else None for answer in row
    )
    name = namespaces.name(one.node)
    status = int(row[6].StatusCode.value) if row[6].StatusCode is not None else 0
    if status >> 30:
        return Described(Tag(name, parent=one.parent), one.node, known=False, status=status)
    data_type: DataType | None = "number"
    known = enumeration = False
    if isinstance(kind, ua.NodeId):
        number, enumeration = await types.built_in(kind)
        known = number != _ANY
        data_type = _BUILT_IN.get(number) if known else "number"
    label = str(shown.Text or "") if isinstance(shown, ua.LocalizedText) else one.label
    unit, low, high, facts = _engineering(held)
    facts = {"namespace": _uri(namespaces, one.node), **facts}
    if enumeration:
        facts["enumeration"] = "yes"
    level = int(access) if isinstance(access, int) else 0
    tag = Tag(
        name=name,
        label=Bilingual(label, label) if label else None,
        data_type=data_type or "text",
        unit=unit,
        low=low,
        high=high,
        writable=bool(level & _WRITE),
        description=str(description.Text or "") if isinstance(description, ua.LocalizedText) else "",
        parent=one.parent,
        facts=facts,
    )
    supported = data_type is not None and int(node_class or _VARIABLE) == _VARIABLE
    history = bool(historizing) or bool(level & _HISTORY_READ)
    return Described(tag, one.node, known, supported, history, isinstance(rank, int) and rank >= 0)


def _engineering(held: dict[str, object]) -> tuple[str | None, float | None, float | None, dict[str, str]]:
    unit, low, high, facts = None, None, None, {}
    scale = held.get("EURange") or held.get("InstrumentRange")
    if isinstance(scale, ua.Range) and scale.Low is not None and scale.High is not None and scale.Low < scale.High:
        low, high = float(scale.Low), float(scale.High)
    units = held.get("EngineeringUnits")
    if isinstance(units, ua.EUInformation):
        unit = unit_text(units)
        if units.UnitId and units.UnitId > 0:
            facts["unece"] = unece_code(int(units.UnitId))
    words = held.get("EnumStrings")
    if isinstance(words, list | tuple):
        facts["states"] = "; ".join(f"{number}={getattr(word, 'Text', word)}" for number, word in enumerate(words))
    values = held.get("EnumValues")
    if isinstance(values, list | tuple):
        facts["states"] = "; ".join(
            f"{one.Value}={one.DisplayName.Text}" for one in values if isinstance(one, ua.EnumValueType)
        )
    for number, name in ((0, "FalseState"), (1, "TrueState")):
        if isinstance(state := held.get(name), ua.LocalizedText):
            facts["states"] = "; ".join(part for part in (facts.get("states", ""), f"{number}={state.Text}") if part)
    return unit, low, high, facts


async def _properties(link: Link, nodes: Sequence[ua.NodeId]) -> list[dict[str, object]]:
    """Values of the properties that are understood, for each node."""
    held: list[dict[str, object]] = [{} for _ in nodes]
    wanted: list[tuple[int, str, ua.NodeId]] = []
    for begin in range(0, len(nodes), link.limits.browse):
        part = list(nodes[begin : begin + link.limits.browse])
        children = await _children(link, part, reference=ua.ObjectIds.HasProperty)
        for offset, references in enumerate(children):
            for reference in references:
                node = _local(reference.NodeId)
                if node is not None and reference.BrowseName.Name in _PROPERTIES:
                    wanted.append((begin + offset, str(reference.BrowseName.Name), node))
    values = await link.read([ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _, _, node in wanted])
    for (row, name, _), answer in zip(wanted, values, strict=True):
        held[row][name] = answer.Value.Value if answer.Value is not None else None
    return held


async def _english(link: Link, described: Sequence[Described]) -> None:
    """Ask for the English names as well, where the server gave Korean ones."""
    asked = [one for one in described if one.tag.label is not None and not one.tag.label.ko.isascii()]
    if not asked:
        return
    nodes = [ua.ReadValueId(NodeId=one.node, AttributeId=ua.AttributeIds.DisplayName) for one in asked]
    shown = await link.read(nodes)
    korean = [
        isinstance(name := answer.Value.Value, ua.LocalizedText) and str(name.Locale or "").startswith("ko") for answer in shown
    ]
    if not any(korean):
        return
    english = await link.read_in("en", nodes)
    for one, answer in zip(asked, english, strict=True):
        name = answer.Value.Value if answer.Value is not None else None
        if isinstance(name, ua.LocalizedText) and name.Text and one.tag.label is not None:
            object.__setattr__(one.tag, "label", Bilingual(one.tag.label.ko, str(name.Text)))


class _Types:
    """Which built-in type stands behind a data type of the server, asked once for each."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._known: dict[ua.NodeId, tuple[int, bool]] = {}

    async def built_in(self, kind: ua.NodeId) -> tuple[int, bool]:
        """Return the number of the built-in type (0 = none that is understood) and whether it is an enumeration."""
        if kind in self._known:
            return self._known[kind]
        node, found = kind, (0, False)
        for _ in range(20):
            number = node.Identifier
            if node.NamespaceIndex == 0 and isinstance(number, int) and (number in _BUILT_IN or number == _ANY):
                found = (number, number == _ENUMERATION)
                break
            parents = await _children(self._link, [node], reference=ua.ObjectIds.HasSubtype, inverse=True)
            parent = _local(parents[0][0].NodeId) if parents[0] else None
            if parent is None:
                break
            node = parent
            if node == ua.NodeId(_ANY):  # a structure or another built thing below BaseDataType
                break
        self._known[kind] = found
        return found


async def _children(
    link: Link, nodes: Sequence[ua.NodeId], *, reference: int = ua.ObjectIds.HierarchicalReferences, inverse: bool = False
) -> list[list[ua.ReferenceDescription]]:
    """References of each node, all of them, however many answers that takes."""
    parameters = ua.BrowseParameters()
    parameters.View = ua.ViewDescription()
    parameters.RequestedMaxReferencesPerNode = 1000
    for node in nodes:
        asked = ua.BrowseDescription()
        asked.NodeId = node
        asked.BrowseDirection = ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward
        asked.ReferenceTypeId = ua.NodeId(reference)
        asked.IncludeSubtypes = True
        asked.NodeClassMask = ua.NodeClass.Unspecified if inverse else ua.NodeClass.Object | ua.NodeClass.Variable
        asked.ResultMask = ua.BrowseResultMask.All
        parameters.NodesToBrowse.append(asked)
    results = await link.session.browse(parameters)
    references = [list(result.References or []) for result in results]
    points = {row: result.ContinuationPoint for row, result in enumerate(results) if result.ContinuationPoint}
    total = sum(map(len, references))
    while points and total < _MOST_REFERENCES:
        following = ua.BrowseNextParameters()
        following.ContinuationPoints = list(points.values())
        more = await link.session.browse_next(following)
        further = {}
        for row, result in zip(list(points), more, strict=True):
            new = list(result.References or [])
            references[row] += new
            total += len(new)
            if result.ContinuationPoint and new:
                further[row] = result.ContinuationPoint
        points = further
    return references


def _is_property(reference: ua.ReferenceDescription) -> bool:
    """Whether it leads to something said about a variable (its range, its unit), which is no variable of the plant."""
    return bool(reference.ReferenceTypeId == _HAS_PROPERTY or _local(reference.TypeDefinition) == _PROPERTY_TYPE)


def _local(node: ua.ExpandedNodeId) -> ua.NodeId | None:
    """Return a node of this server; None for one of another server."""
    if getattr(node, "ServerIndex", 0):
        return None
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def _with_namespace(node: ua.NodeId, index: int) -> ua.NodeId:
    return ua.NodeId(node.Identifier, index)


def _uri(namespaces: Namespaces, node: ua.NodeId) -> str:
    name = ua.NodeId.from_string(namespaces.name(node))
    return namespaces.first[name.NamespaceIndex] if name.NamespaceIndex < len(namespaces.first) else ""
