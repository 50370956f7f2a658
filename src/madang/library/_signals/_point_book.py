"""The points of one dataset as they were last read: what has not changed since is not made anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from madang.library._signals._cards import PointCard
from madang.library._signals._points import Point, point_of
from madang.library._signals._times import instant

if TYPE_CHECKING:
    from madang.library._signals._index import Snapshot


class PointBook:
    """Points and their cards. A plant has thousands, and a screen asks for all of them while their counts grow each second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: object = None
        self._rows: dict[int, tuple[Any, Point]] = {}
        self._points: dict[str, Point] = {}
        self._cards: tuple[dict[str, Point], Snapshot, list[PointCard]] | None = None

    def points(self, stamp: object, rows: Callable[[], Sequence[Any]]) -> dict[str, Point]:
        """Return the points by name, in the order of their numbers; nobody changes what is returned.

        Args:
            stamp: What differs once anything in the catalogue has changed.
            rows: Reads the points' rows of the catalogue.
        """
        with self._lock:
            if self._stamp != stamp:
                self._take(rows())
                self._stamp = stamp
            return self._points

    def _take(self, rows: Sequence[Any]) -> None:
        found: dict[int, tuple[Any, Point]] = {}
        same = len(rows) == len(self._rows)
        for row in rows:
            known = self._rows.get(row.point)
            if known is None or known[0] != row:
                known = row, point_of(row)
                same = False
            found[row.point] = known
        if not same:
            self._rows, self._points = found, {point.name: point for _, point in found.values()}

    def cards(self, points: dict[str, Point], snapshot: Snapshot) -> list[PointCard]:
        """Return the cards of the points with what a snapshot holds of each, by number."""
        known = self._cards
        if known is not None and known[0] is points and known[1] is snapshot:
            return list(known[2])
        held = snapshot.points()
        before = known[2] if known is not None and known[0] is points else [card_of(p) for p in points.values()]
        cards = [_counted(card, held) for card in before]
        self._cards = points, snapshot, cards
        return list(cards)


def card_of(point: Point) -> PointCard:
    """Return the card of a point of which no sample is known."""
    return PointCard(
        point=point.name,
        id=point.id,
        connection=point.connection,
        tag=point.tag,
        label=point.label,
        kind=point.kind,
        role=point.role,
        data_type=point.data_type,
        unit=point.unit,
        unit_source=point.unit_source,
        low=point.low,
        high=point.high,
        status=point.status,
        samples=0,
        first=None,
        last=None,
    )


def _counted(card: PointCard, held: Mapping[int, tuple[int, int, int]]) -> PointCard:
    """Return a card with the counts of a snapshot; `dataclasses.replace` takes six times as long."""
    count, first, last = held.get(card.id, (0, None, None))
    made = object.__new__(PointCard)
    made.__dict__.update(
        card.__dict__,
        samples=count,
        first=None if first is None else instant(first),
        last=None if last is None else instant(last),
    )
    return made
