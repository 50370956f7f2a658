"""The state of a Sparkplug host application: what each message means, given all before it. It knows no network and no clock.

Source:
    Eclipse Sparkplug specification 3.0.0, chapters 4 to 6. `TOPICS` and the rules carry the numbers of its testable assertions in
    the tests beside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from madang.connect._blocks import DataType as TagType
from madang.connect._blocks import Reject, Tag
from madang.connect.sparkplug._flatten import NotSupportedError, is_text, parts
from madang.connect.sparkplug._node import EdgeNode, Metric, Waiting
from madang.connect.sparkplug._wire import DataType, MalformedError, Value, Wire, decode
from madang.plant import (
    BAD,
    BAD_NO_COMMUNICATION,
    BAD_NOT_SUPPORTED,
    BAD_TYPE_MISMATCH,
    GOOD,
    UNCERTAIN,
    UNCERTAIN_LAST_USABLE,
    Bilingual,
)

NODE_KINDS: Final = frozenset({"NBIRTH", "NDATA", "NDEATH"})
DEVICE_KINDS: Final = frozenset({"DBIRTH", "DDATA", "DDEATH"})
_COMMANDS: Final = frozenset({"NCMD", "DCMD"})
_CONTROLS: Final = ("bdSeq", "Node Control/", "Device Control/")
_QUALITIES: Final = {0: BAD, 192: GOOD, 500: UNCERTAIN_LAST_USABLE}
_RECENT: Final = 64
_LONGEST: Final = 1 << 16
"""Letters of a text."""

REASONS: Final = {
    "malformed": Bilingual("Sparkplug 메시지로 읽을 수 없어요", "it cannot be read as a Sparkplug message"),
    "unknown_alias": Bilingual(
        "무엇의 값인지 아직 몰라요(출생 메시지를 못 받음). 다시 알려 달라고 요청했어요",
        "whose value it is is not known yet (no birth was received); a rebirth was asked for",
    ),
    "unknown_metric": Bilingual("출생 메시지에 없던 메트릭이에요", "the metric was not in the birth"),
    "not_supported": Bilingual("측정값이 아닌 형식(파일, 바이트, 너무 큰 표)이에요", "its type is no measurement (file, bytes, a table too large)"),
    "too_large": Bilingual("글자 값이 너무 길어요", "a text is too long"),
    "time_out_of_range": Bilingual(
        "시각이 있을 수 없는 때예요(기기 시계를 확인해 주세요)", "the time is impossible (check the device's clock)"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One value."""

    tag: Tag
    time: int
    """[us since 1970]"""
    value: Value
    quality: int
    historical: bool = False
    """Kept by the edge while it could not send: no news of now."""


@dataclass(frozen=True)
class Lost:
    """Messages of a node that never came."""

    node: str
    count: int
    since: int
    """When the last message before them was received [us since 1970]."""
    tags: tuple[str, ...]


@dataclass
class Outcome:
    """What came of a message, or of the passing of time."""

    samples: list[Sample] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rebirths: list[EdgeNode] = field(default_factory=list)
    """Nodes to be asked for their births."""
    lost: list[Lost] = field(default_factory=list)
    died: list[EdgeNode] = field(default_factory=list)
    born: list[EdgeNode] = field(default_factory=list)


class Host:
    """Follows all edge nodes below a namespace.

    Args:
        namespace: First part of the topics.
        reorder: How long a missing message is waited for [us].
        patience: Least time between two rebirth requests to one node [us].
        earliest: Earlier times are refused [us since 1970].
        ahead: How far a time may lie ahead of the receive time [us].
    """

    def __init__(
        self,
        namespace: str = "spBv1.0",
        *,
        reorder: int = 2_000_000,
        patience: int = 10_000_000,
        earliest: int = 946_684_800_000_000,
        ahead: int = 86_400_000_000,
    ) -> None:
        self._namespace = namespace
        self._reorder = reorder
        self._patience = patience
        self._earliest = earliest
        self._ahead = ahead
        self.nodes: dict[str, EdgeNode] = {}

    def receive(self, topic: str, raw: bytes, received: int) -> Outcome:
        """Take a message.

        Args:
            topic: Where it was published.
            raw: Its payload.
            received: When it was received [us since 1970].
        """
        out = Outcome()
        parts_ = topic.split("/")
        if parts_[0] != self._namespace or len(parts_) < 2 or parts_[1] == "STATE":
            return out
        kind = parts_[2] if len(parts_) > 2 else ""
        if kind in _COMMANDS:
            return out
        wanted = 4 if kind in NODE_KINDS else 5 if kind in DEVICE_KINDS else 0
        if len(parts_) != wanted or not all(parts_):
            out.rejects.append(Reject(topic, raw, REASONS["malformed"], "malformed", received))
            return out
        device = parts_[4] if wanted == 5 else None
        try:
            payload = decode(raw)
        except MalformedError:
            out.rejects.append(Reject(topic, raw, REASONS["malformed"], "malformed", received))
            return out
        node = self.nodes.setdefault(f"{parts_[1]}/{parts_[3]}", EdgeNode(parts_[1], parts_[3]))
        if kind == "NBIRTH":
            self._node_birth(node, payload, raw, received, out)
        elif kind == "NDEATH":
            self._node_death(node, payload, received, out)
        else:
            self._in_order(node, Waiting(kind, device, payload, raw, received), out)
        if kind != "NDEATH":
            node.last_heard = received
        return out

    def tick(self, now: int) -> Outcome:
        """Let time pass: a message that was waited for too long is lost, and its node is asked for its births."""
        out = Outcome()
        for node in self.nodes.values():
            if node.waits_since and now - node.waits_since >= self._reorder:
                first = min(node.waiting, key=lambda seq: (seq - node.expected) % 256)
                count = (first - node.expected) % 256
                out.lost.append(Lost(node.path, count, node.waits_since, tuple(_names(node))))
                node.expected = first
                node.waits_since = 0
                self._drain(node, out)
                if node.waiting:
                    node.waits_since = now
                self._ask(node, now, out)
        return out

    def disconnected(self) -> None:
        """Forget what may have changed unseen while there was no connection."""
        for node in self.nodes.values():
            node.forget()

    def ask(self, path: str, now: int) -> EdgeNode | None:
        """Return a node that is to be asked for its births, None when it was asked a moment ago."""
        group, _, name = path.partition("/")
        node = self.nodes.setdefault(path, EdgeNode(group, name))
        if node.asked and now - node.asked < self._patience:
            return None
        node.asked = now
        return node

    # --- who is alive

    def _node_birth(self, node: EdgeNode, payload: Wire, raw: bytes, received: int, out: Outcome) -> None:
        seq = payload.seq if payload.HasField("seq") else 0
        if not 0 <= seq <= 255:
            out.rejects.append(self._rejected(node, "NBIRTH", None, raw, received, "malformed"))
            return
        node.born(_bdseq(payload), seq)
        out.born.append(node)
        self._births(node, None, payload, raw, received, out)

    def _node_death(self, node: EdgeNode, payload: Wire, received: int, out: Outcome) -> None:
        bdseq = _bdseq(payload)
        if not node.online or (bdseq is not None and node.bdseq is not None and bdseq != node.bdseq):
            # The will of an earlier connection, delivered late: the node that lives now is another one.
            return
        node.forget()
        out.died.append(node)
        self._stale(node.metrics.values(), received, out)

    def _stale(self, metrics: Iterable[Metric], time: int, out: Outcome) -> None:
        """Say of each value that it is known no longer; the last one is not repeated as if it were fresh."""
        for metric in metrics:
            for path, tag in metric.tags.items():
                out.samples.append(Sample(tag, time, None, BAD_NO_COMMUNICATION))
                metric.last.pop(path, None)

    # --- order

    def _in_order(self, node: EdgeNode, message: Waiting, out: Outcome) -> None:
        if not node.online:
            self._unborn(node, message, out)
            return
        if not message.payload.HasField("seq"):
            self._take(node, message, out)
            return
        seq = message.payload.seq % 256
        mark = (seq, hash(message.raw))
        ahead = (seq - node.expected) % 256
        if ahead == 0:
            self._remember(node, mark)
            node.expected = (seq + 1) % 256
            self._take(node, message, out)
            self._drain(node, out)
        elif ahead < 128:
            if not node.waits_since:
                node.waits_since = message.received
            node.waiting.setdefault(seq, message)
        elif mark not in node.recent:
            # Late beyond the waiting time: its values are real and carry their own times.
            self._remember(node, mark)
            self._take(node, message, out)

    def _drain(self, node: EdgeNode, out: Outcome) -> None:
        while node.expected in node.waiting:
            message = node.waiting.pop(node.expected)
            self._remember(node, (node.expected, hash(message.raw)))
            node.expected = (node.expected + 1) % 256
            self._take(node, message, out)
        if not node.waiting:
            node.waits_since = 0

    def _remember(self, node: EdgeNode, mark: tuple[int, int]) -> None:
        node.recent.append(mark)
        del node.recent[:-_RECENT]

    # --- what it says

    def _take(self, node: EdgeNode, message: Waiting, out: Outcome) -> None:
        kind, device, payload = message.kind, message.device, message.payload
        if kind == "DBIRTH" and device is not None:
            node.devices[device] = True
            self._births(node, device, payload, message.raw, message.received, out)
        elif kind == "DDEATH" and device is not None:
            node.devices[device] = False
            time = payload.timestamp * 1_000 if payload.HasField("timestamp") else message.received
            time = time if self._possible(time, message.received) else message.received
            self._stale((m for (owner, _), m in node.metrics.items() if owner == device), time, out)
        elif device is not None and not node.devices.get(device):
            self._unborn(node, message, out)
        else:
            self._data(node, message, out)

    def _births(self, node: EdgeNode, device: str | None, payload: Wire, raw: bytes, received: int, out: Outcome) -> None:
        known = {name for owner, name in node.metrics if owner == device}
        for item in payload.metrics:
            known.discard(item.name)
            if not item.name or item.name.startswith(_CONTROLS):
                continue
            if item.datatype == DataType.TEMPLATE and item.template_value.is_definition:
                continue
            metric = _metric_of(item, device, node.metrics.get((device, item.name)))
            node.metrics[device, item.name] = metric
            if metric.alias is not None:
                node.aliases[metric.alias] = metric
            self._values(node, metric, item, payload, raw, received, out, birth=True)
        gone = [node.metrics.pop((device, name)) for name in known]
        self._stale(gone, received, out)

    def _data(self, node: EdgeNode, message: Waiting, out: Outcome) -> None:
        unknown: set[str] = set()
        for item in message.payload.metrics:
            if item.HasField("name") and item.name:
                metric = node.metrics.get((message.device, item.name))
                trouble = "unknown_metric"
                if item.name.startswith(_CONTROLS):
                    continue
            else:
                metric = node.aliases.get(item.alias) if item.HasField("alias") else None
                trouble = "unknown_alias"
            if metric is None:
                unknown.add(trouble)
                continue
            self._values(node, metric, item, message.payload, message.raw, message.received, out, birth=False)
        for trouble in sorted(unknown):
            out.rejects.append(self._rejected(node, message.kind, message.device, message.raw, message.received, trouble))
        if unknown:
            self._ask(node, message.received, out)

    def _values(
        self, node: EdgeNode, metric: Metric, item: Wire, payload: Wire, raw: bytes, received: int, out: Outcome, *, birth: bool
    ) -> None:
        kind = ("N" if metric.device is None else "D") + ("BIRTH" if birth else "DATA")
        stamp = item.timestamp if item.HasField("timestamp") else payload.timestamp if payload.HasField("timestamp") else None
        time = received if stamp is None else stamp * 1_000
        if not self._possible(time, received):
            out.rejects.append(self._rejected(node, kind, metric.device, raw, received, "time_out_of_range"))
            return
        quality, said = _quality(item)
        if said:
            metric.quality = quality
        try:
            for part in parts(item, item.datatype or metric.datatype, lambda path: metric.types.get(path, 0)):
                if birth:
                    metric.types[part.path] = part.datatype
                tag = metric.tags.get(part.path) or _tag(node, metric, part.path, part.datatype, timed=stamp is not None)
                metric.tags[part.path] = tag
                value = None if isinstance(part.value, float) and not math.isfinite(part.value) else part.value
                code = metric.quality
                if value is None and not code >> 30:
                    code = BAD
                elif value is not None and (tag.data_type == "text") != isinstance(value, str):
                    code = BAD_TYPE_MISMATCH
                if isinstance(value, str) and len(value) > _LONGEST:
                    out.rejects.append(self._rejected(node, kind, metric.device, raw, received, "too_large"))
                    continue
                seen = (time, value, code)
                if birth and metric.last.get(part.path) == seen:
                    continue
                if not item.is_historical:
                    metric.last[part.path] = seen
                out.samples.append(Sample(tag, time, value, code, bool(item.is_historical)))
        except MalformedError:
            out.rejects.append(self._rejected(node, kind, metric.device, raw, received, "malformed"))
        except NotSupportedError:
            if birth:
                out.rejects.append(self._rejected(node, kind, metric.device, raw, received, "not_supported"))
            tag = metric.tags.setdefault("", _tag(node, metric, "", DataType.STRING, timed=True))
            out.samples.append(Sample(tag, time, None, BAD_NOT_SUPPORTED, bool(item.is_historical)))

    # --- troubles

    def _unborn(self, node: EdgeNode, message: Waiting, out: Outcome) -> None:
        out.rejects.append(self._rejected(node, message.kind, message.device, message.raw, message.received, "unknown_alias"))
        self._ask(node, message.received, out)

    def _ask(self, node: EdgeNode, now: int, out: Outcome) -> None:
        if self.ask(node.path, now) is not None:
            out.rebirths.append(node)

    def _rejected(self, node: EdgeNode, kind: str, device: str | None, raw: bytes, received: int, code: str) -> Reject:
        tail = f"/{device}" if device is not None else ""
        return Reject(f"{self._namespace}/{node.group}/{kind}/{node.name}{tail}", raw, REASONS[code], code, received)

    def _possible(self, time: int, received: int) -> bool:
        return self._earliest <= time <= received + self._ahead


def _names(node: EdgeNode) -> Iterator[str]:
    for metric in node.metrics.values():
        for tag in metric.tags.values():
            yield tag.name


def _bdseq(payload: Wire) -> int | None:
    for item in payload.metrics:
        if item.name == "bdSeq":
            return int(item.long_value if item.WhichOneof("value") == "long_value" else item.int_value)
    return None


def _properties(item: Wire) -> Mapping[str, Wire]:
    if not item.HasField("properties"):
        return {}
    return dict(zip(item.properties.keys, item.properties.values, strict=False))


def _quality(item: Wire) -> tuple[int, bool]:
    """Return the status code of a metric, and whether it said one."""
    for key, said in _properties(item).items():
        if key.casefold() == "quality":
            value = getattr(said, said.WhichOneof("value") or "int_value")
            return (_QUALITIES.get(value, UNCERTAIN) if isinstance(value, int) else UNCERTAIN), True
    return GOOD, False


def _metric_of(item: Wire, device: str | None, before: Metric | None) -> Metric:
    said = {key.casefold(): value for key, value in _properties(item).items()}

    def text(*keys: str) -> str:
        return next((said[key].string_value for key in keys if key in said and said[key].string_value), "")

    def number(*keys: str) -> float | None:
        for key in keys:
            field_ = said[key].WhichOneof("value") if key in said else None
            if field_ in {"float_value", "double_value", "int_value", "long_value"}:
                return float(getattr(said[key], field_))
        return None

    metric = Metric(
        item.name,
        device,
        item.datatype,
        item.alias if item.HasField("alias") else None,
        unit=text("engunit", "unit", "engineeringunits") or None,
        low=number("englow"),
        high=number("enghigh"),
        description=text("documentation", "tooltip") or item.metadata.description,
    )
    if before is not None:
        metric.last = before.last
        if before.datatype == metric.datatype:
            metric.tags = {
                path: replace(tag, unit=metric.unit, low=metric.low, high=metric.high, description=metric.description)
                for path, tag in before.tags.items()
            }
    return metric


def _tag(node: EdgeNode, metric: Metric, path: str, datatype: int, *, timed: bool) -> Tag:
    owner = node.path if metric.device is None else f"{node.path}/{metric.device}"
    kind: TagType = "number"
    if is_text(datatype):
        kind = "text"
    elif datatype == DataType.BOOLEAN:
        kind = "boolean"
    elif DataType.INT8 <= datatype <= DataType.UINT64:
        kind = "integer"
    facts = {
        "datatype": DataType(datatype).name if datatype in DataType.__members__.values() else str(datatype),
        "metric": metric.name,
    }
    if not timed:
        facts["time"] = "received"
    return Tag(
        f"{owner}#{metric.name}{path}",
        data_type=kind,
        unit=metric.unit,
        low=metric.low,
        high=metric.high,
        description=metric.description,
        parent=owner,
        facts=facts,
    )
