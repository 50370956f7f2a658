"""An edge node for tests: it counts as the specification says, and can be told to do otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from madang.connect.sparkplug._wire import DataType, Payload, Wire

NOW = 1_767_225_600_000
"""Time of the first message [ms since 1970]."""
_FIELDS = {
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.TEXT: "string_value",
    DataType.UUID: "string_value",
    DataType.INT64: "long_value",
    DataType.UINT64: "long_value",
    DataType.DATETIME: "long_value",
    DataType.BYTES: "bytes_value",
    DataType.FILE: "bytes_value",
}


def put(metric: Wire, datatype: DataType, value: Wire) -> Wire:
    """Set a value as the wire carries it: whole numbers without sign."""
    if value is None:
        metric.is_null = True
        return metric
    field = "bytes_value" if datatype >= DataType.INT8_ARRAY else _FIELDS.get(datatype, "int_value")
    if field == "int_value":
        value &= 0xFFFFFFFF
    elif field == "long_value":
        value &= 0xFFFFFFFFFFFFFFFF
    setattr(metric, field, value)
    return metric


class Edge:
    """Messages of one edge node."""

    def __init__(self, group: str = "공장", node: str = "E1", bdseq: int = 0, namespace: str = "spBv1.0") -> None:
        self.group, self.node, self.namespace, self.bdseq = group, node, namespace, bdseq
        self.seq = 0
        self.now = NOW

    @property
    def path(self) -> str:
        return f"{self.group}/{self.node}"

    def topic(self, kind: str, device: str | None = None) -> str:
        tail = f"/{device}" if device else ""
        return f"{self.namespace}/{self.group}/{kind}/{self.node}{tail}"

    def payload(self, *, seq: bool = True) -> Wire:
        self.now += 1_000
        payload = Payload(timestamp=self.now)
        if seq:
            payload.seq = self.seq
            self.seq = (self.seq + 1) % 256
        return payload

    def nbirth(
        self, metrics: Mapping[str, tuple[DataType, Wire]] | None = None, *, alias: int | None = None
    ) -> tuple[str, bytes]:
        self.seq = 0
        payload = self.payload()
        put(payload.metrics.add(name="bdSeq", datatype=DataType.INT64), DataType.INT64, self.bdseq)
        put(payload.metrics.add(name="Node Control/Rebirth", datatype=DataType.BOOLEAN), DataType.BOOLEAN, False)
        self._fill(payload, metrics or {}, alias)
        return self.topic("NBIRTH"), payload.SerializeToString()

    def dbirth(
        self, device: str, metrics: Mapping[str, tuple[DataType, Wire]], *, alias: int | None = None
    ) -> tuple[str, bytes]:
        payload = self.payload()
        self._fill(payload, metrics, alias)
        return self.topic("DBIRTH", device), payload.SerializeToString()

    def data(
        self,
        *values: tuple[str | int, DataType, Wire],
        device: str | None = None,
        historical: bool = False,
        at: int | None = None,
        typed: bool = False,
    ) -> tuple[str, bytes]:
        """Data of metrics by name or by alias; without a data type, as the specification wants it."""
        payload = self.payload()
        for which, datatype, value in values:
            metric = payload.metrics.add(timestamp=at if at is not None else self.now)
            if isinstance(which, int):
                metric.alias = which
            else:
                metric.name = which
            if historical:
                metric.is_historical = True
            if typed:
                metric.datatype = datatype
            put(metric, datatype, value)
        return self.topic("DDATA" if device else "NDATA", device), payload.SerializeToString()

    def ndeath(self, bdseq: int | None = None) -> tuple[str, bytes]:
        payload = self.payload(seq=False)
        put(payload.metrics.add(name="bdSeq", datatype=DataType.INT64), DataType.INT64, self.bdseq if bdseq is None else bdseq)
        return self.topic("NDEATH"), payload.SerializeToString()

    def ddeath(self, device: str) -> tuple[str, bytes]:
        return self.topic("DDEATH", device), self.payload().SerializeToString()

    def _fill(self, payload: Wire, metrics: Mapping[str, tuple[DataType, Wire]], alias: int | None) -> None:
        for at, (name, (datatype, value)) in enumerate(metrics.items()):
            metric = payload.metrics.add(name=name, datatype=datatype, timestamp=self.now)
            if alias is not None:
                metric.alias = alias + at
            put(metric, datatype, value)
