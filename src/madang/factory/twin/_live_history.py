"""What the OPC UA face remembers of the recent hours, for clients that ask for what they missed."""

from __future__ import annotations

import bisect
from datetime import UTC, datetime, timedelta
from typing import Any


class History:
    """History of the recent hours, kept by the plant over restarts of its server; asyncua asks it as its storage."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep
        self._times: dict[Any, list[datetime]] = {}
        self._values: dict[Any, list[Any]] = {}

    def add(self, node: Any, value: Any) -> None:  # noqa: ANN401 - asyncua's own types
        """Keep one value; times that run backwards (a clock set back) are sorted in."""
        times, values = self._times.setdefault(node, []), self._values.setdefault(node, [])
        at = value.SourceTimestamp
        place = len(times) if not times or times[-1] <= at else bisect.bisect_right(times, at)
        times.insert(place, at)
        values.insert(place, value)
        if len(times) % 512 == 0:
            old = bisect.bisect_left(times, at - self._keep)
            del times[:old], values[:old]

    async def init(self) -> None:
        """Nothing has to be opened."""

    async def stop(self) -> None:
        """Nothing has to be closed."""

    async def read_node_history(
        self,
        node_id: Any,  # noqa: ANN401
        start: datetime | None,
        end: datetime | None,
        nb_values: int,
    ) -> tuple[list[Any], datetime | None]:
        """Return values from `start` to `end`, both included, and where to go on when there are more than asked for."""
        times, values = self._times.get(node_id, []), self._values.get(node_id, [])
        never = datetime(1601, 1, 2, tzinfo=UTC)
        lower = None if start is None or start <= never else start
        upper = None if end is None or end <= never else end
        backwards = lower is None or (upper is not None and upper < lower)
        if backwards:
            lower, upper = upper, lower
        first = 0 if lower is None else bisect.bisect_left(times, lower)
        last = len(times) if upper is None else bisect.bisect_right(times, upper)
        chosen = values[first:last]
        if backwards:
            chosen = chosen[::-1]
        limit = min(nb_values or 10_000, 10_000)
        if len(chosen) <= limit:
            return chosen, None
        # The continuation is a time: it must not lie inside a run of equal times, or some would come twice or never.
        while limit > 1 and chosen[limit].SourceTimestamp == chosen[limit - 1].SourceTimestamp:
            limit -= 1
        return chosen[:limit], chosen[limit].SourceTimestamp

    async def read_event_history(self, *_: Any) -> tuple[list[Any], None]:  # noqa: ANN401
        """The plant keeps no events."""
        return [], None
