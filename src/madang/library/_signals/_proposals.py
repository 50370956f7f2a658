"""New points wait here, with some of their values, until it is proposed what they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from madang.library._catalogue import Dataset
from madang.library._mapping import decisions_of
from madang.library._signals._points import points_of, propose_cards, save_cards
from madang.library._signals._samples import Samples, sort

if TYPE_CHECKING:
    from madang.library._state import State

_AT_ONCE: Final = 100
"""Points that are proposed in one step, so that thousands of new tags hold up no commit."""
_VALUES: Final = 64
"""Values of a point that are enough for a proposal that stays."""
_LOOK: Final = 65_536
"""Samples of a commit that are looked at."""


class Proposals:
    """Proposes what new points are: at once from what is there, and again when values enough were seen.

    Args:
        state: The catalogue.
        dataset: The points' dataset.
        points: Points that nothing has been proposed for.
    """

    def __init__(self, state: State, dataset: Dataset, points: Iterable[int]) -> None:
        self._state = state
        self._dataset = dataset
        self._values: dict[int, list[object]] = {p: [] for p in points}
        self._once: set[int] = set()

    def add(self, point: int) -> None:
        """Wait for a point's values."""
        self._values[point] = []
        self._once.discard(point)

    def look(self, samples: Samples) -> None:
        """Keep some values of the points that wait."""
        if not self._values:
            return
        n = min(len(samples), _LOOK)
        part = Samples(samples.point[:n], samples.time[:n], samples.number[:n], samples.quality[:n])
        ordered = sort(part)
        order, starts = ordered.order, ordered.starts
        text = None if samples.text is None else samples.text.slice(0, n)
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True):
            values = self._values.get(int(part.point[order[start]]))
            if values is None:
                continue
            for at in order[start : min(end, start + _VALUES - len(values))].tolist():
                number = part.number[at]
                if number == number:
                    values.append(float(number))
                elif text is not None and text[at].is_valid:
                    values.append(text[at].as_py())

    def propose(self, now: datetime) -> bool:
        """Propose for some of the waiting points; returns whether any card was kept."""
        due = [p for p, v in self._values.items() if len(v) >= _VALUES or (v and p not in self._once)][:_AT_ONCE]
        if not due:
            return False
        wanted = set(due)
        with self._state.reading() as db:
            known = [p for p in points_of(db, self._dataset.id) if p.id in wanted]
            decided = decisions_of(db)
        samples = {p: _array(self._values[p]) for p in due}
        cards = propose_cards(known, samples, decided, self._dataset.id)
        with self._state.begin() as db:
            save_cards(db, self._dataset.id, cards)
        for point in due:
            if len(self._values[point]) >= _VALUES:
                del self._values[point]
                self._once.discard(point)
            else:
                self._once.add(point)
        return True


def _array(values: list[object]) -> pa.Array:
    numbers = [v for v in values if isinstance(v, float)]
    if len(numbers) * 2 >= len(values):
        return pa.array(np.array(numbers), pa.float64())
    return pa.array([v for v in values if isinstance(v, str)], pa.string())
