"""Fetches what a server kept of an interval (OPC 10000-11, ReadRaw), page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from madang.connect.opcua._decode import ARRAY, EPOCH, Row
from madang.connect.opcua._items import Item
from madang.connect.opcua._link import Link
from madang.plant import Interval

_PAGE: Final = 1_000
_NO_DATA: Final = {ua.StatusCodes.GoodNoData, ua.StatusCodes.BadNoData, ua.StatusCodes.BadBoundNotFound}
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Fetched:
    """How a fetch went."""

    samples: int = 0
    asked: int = 0
    """Tags whose history was asked for."""
    without: int = 0
    """Tags of which the server keeps none."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tags whose history did not come whole, with the status."""

    @property
    def whole(self) -> bool | None:
        """Whether everything came; None: the server keeps no history of any of them."""
        if not self.asked:
            return None
        return not self.failed and not self.without


async def fetch(link: Link, items: Sequence[Item], interval: Interval, went: Fetched) -> AsyncIterator[list[Row]]:
    """Yield rows of the history of some tags, a few thousand at a time; `went` tells how it goes."""
    with_history = [item for item in items if item.history and not item.refused and not item.element]
    went.asked = len(with_history)
    went.without = sum(1 for item in items if not item.element) - len(with_history)
    for start in range(0, len(with_history), link.limits.history):
        part = with_history[start : start + link.limits.history]
        points: dict[int, bytes | None] = dict.fromkeys(range(len(part)))
        while points:
            results = await _ask(link, [(part[place], point) for place, point in points.items()], interval)
            further: dict[int, bytes | None] = {}
            rows: list[Row] = []
            for (place, point), result in zip(points.items(), results, strict=True):
                item, status = part[place], int(result.StatusCode.value)
                if status in _NO_DATA:
                    continue
                if status >> 30 == 2:
                    went.failed[item.tag.name] = f"0x{status:08X}"
                    continue
                rows += _rows(item, result)
                if result.ContinuationPoint and result.ContinuationPoint != point:
                    further[place] = result.ContinuationPoint
            went.samples += len(rows)
            if rows:
                yield rows
            points = further


async def _ask(link: Link, wanted: Sequence[tuple[Item, bytes | None]], interval: Interval) -> list[ua.HistoryReadResult]:
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    # Naive UTC is what asyncua writes; ends are included, and one microsecond is no loss to either side.
    details.StartTime = interval.start.astimezone(UTC)
    details.EndTime = interval.end.astimezone(UTC) + timedelta(microseconds=1)
    details.NumValuesPerNode = _PAGE
    details.ReturnBounds = False
    parameters = ua.HistoryReadParameters()
    parameters.HistoryReadDetails = details
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    parameters.ReleaseContinuationPoints = False
    for item, point in wanted:
        node = ua.HistoryReadValueId()
        node.NodeId = ua.NodeId.from_string(item.node)
        node.IndexRange = ""
        node.ContinuationPoint = point
        parameters.NodesToRead.append(node)
    results: list[ua.HistoryReadResult] = await link.session.history_read(parameters)
    return results


def _rows(item: Item, result: ua.HistoryReadResult) -> list[Row]:
    values = getattr(result.HistoryData, "DataValues", None) or []
    return [as_row(item.handle, value) for value in values]


def as_row(handle: int, value: ua.DataValue) -> Row:
    """Return a value that asyncua read as a row like those of notifications."""
    variant = value.Value
    kind = int(getattr(variant.VariantType, "value", 0)) if variant is not None else 0
    content: object = variant.Value if variant is not None else None
    if kind not in {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12} or (variant is not None and variant.is_array):
        kind, content = ARRAY, variant
    status = int(value.StatusCode.value) if value.StatusCode is not None else 0
    return handle, kind, content, status, ticks(value.SourceTimestamp), ticks(value.ServerTimestamp)


def ticks(moment: datetime | None) -> int:
    """Return a time as OPC UA counts it [100 ns since 1601]; 0 = none."""
    if moment is None:
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return EPOCH + 10 * ((aware - _1970) // timedelta(microseconds=1))
