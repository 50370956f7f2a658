"""Which scale each point's counts have, from when on, and when a better one is worth a new version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from madang.library._signals._points import PointVersion
from madang.library._signals._scales import FloatArray, Int32Array, IntArray, Scale, counts, find_scale

ALWAYS: Final = int(np.iinfo(np.int64).min)
"""Time before all times."""
_SETTLED: Final = 64
"""Numbers of a point after which its scale is looked at again."""
_LOOK: Final = 4096
"""Numbers that are looked at to find a scale."""
_MISFITS: Final = 0.02
"""Share of numbers that a scale may fail to hold before a better one is sought."""


class Book:
    """The scales of a dataset's points, as the catalogue has them and as new samples ask for.

    Args:
        versions: Versions that the catalogue has.
        units: The unit of each point as its source spells it.
        until: Gives for each point that stood in the catalogue before the time up to which it has numbers in the lake; asked once,
            and only when such a point needs a new version.
    """

    def __init__(
        self,
        versions: Iterable[PointVersion],
        units: Mapping[int, str | None],
        until: Callable[[], Mapping[int, int]],
    ) -> None:
        self.scales: list[Scale] = []
        self.newest = np.empty(0, dtype=np.int32)
        """Index into `scales` of each point's newest version; -1 = none yet."""
        self.since = np.empty(0, dtype=np.int64)
        """From when on the newest version is valid [us since 1970]."""
        self._all: dict[int, list[tuple[int, int]]] = {}
        self._known: dict[Scale, int] = {}
        self._units = dict(units)
        self._until = np.empty(0, dtype=np.int64)
        self._ask_until: Callable[[], Mapping[int, int]] | None = until
        self._fresh: list[PointVersion] = []
        self._young: dict[int, list[FloatArray]] = {}
        self._waiting: dict[int, list[tuple[int, str | None]]] = {}
        """Units that changed before a point had any number: from when on each holds."""
        self._lock = threading.Lock()
        self.room(max(units, default=0))
        for version in versions:
            self._keep(version.point, version.scale, ALWAYS if version.valid_from is None else version.valid_from)

    def room(self, point: int) -> None:
        """Make room for points up to this number."""
        more = point + 1 - len(self.newest)
        if more > 0:
            more = max(more, len(self.newest))
            self.newest = np.append(self.newest, np.full(more, -1, dtype=np.int32))
            self.since = np.append(self.since, np.full(more, ALWAYS, dtype=np.int64))
            self._until = np.append(self._until, np.full(more, ALWAYS, dtype=np.int64))

    def is_new(self, point: int, unit: str | None) -> bool:
        """Whether a point was not known, or had another unit."""
        return point not in self._units or self._units[point] != unit

    def _keep(self, point: int, scale: Scale, since: int) -> int:
        index = self._known.setdefault(scale, len(self.scales))
        if index == len(self.scales):
            self.scales.append(scale)
        self._all.setdefault(point, []).append((since, index))
        self.newest[point], self.since[point] = index, since
        return index

    def version_at(self, point: int, time: int) -> int:
        """Return the index of the scale that is valid for a point at a time; -1 = none."""
        found = -1
        for since, index in self._all.get(point, ()):
            if since <= time:
                found = index
        return found

    def thresholds(self, point: int) -> list[int]:
        """Return from when on each of a point's versions is valid."""
        return [since for since, _ in self._all.get(point, ())]

    def first_scale(self, point: int, number: FloatArray) -> int:
        """Give a point its first version from the numbers that came; returns the index of its scale."""
        found = find_scale(number[:_LOOK], self._units.get(point))
        with self._lock:
            index = -1
            for since, unit in [*self._waiting.pop(point, ()), (None, found.unit)]:
                if since is None and index >= 0:
                    break
                scale = replace(found, unit=unit)
                index = self._keep(point, scale, ALWAYS if since is None else since)
                number_of = len(self._all[point])
                self._fresh.append(PointVersion(point, number_of, None if since == ALWAYS else since, scale))
            if len(number) < _SETTLED:
                self._young[point] = []
        return index

    def seen(self, point: Int32Array, last: IntArray) -> None:
        """Take note of the time up to which points have numbers now, one entry per run."""
        np.maximum.at(self._until, point, last)

    def look_again(self, point: int, number: FloatArray, misfits: int) -> None:
        """Weigh a new version after a batch: with the first numbers enough to see a converter's step, or when many do not fit."""
        if point in self._young:
            self._young[point].append(number[-_LOOK:])
            if sum(len(n) for n in self._young[point]) < _SETTLED:
                return
            number = np.concatenate(self._young.pop(point))[-_LOOK:]
        elif misfits <= _MISFITS * len(number):
            return
        elif len(number) < _SETTLED:
            self._young[point] = [number]
            return
        number = number[-_LOOK:]
        now = self.scales[self.newest[point]]
        better = find_scale(number, now.unit)
        if better == now or _gain(number, better, now) <= 0:
            return
        self._renew(point, better, ALWAYS)

    def is_young(self, point: int) -> bool:
        """Whether more numbers are waited for to see the step of a point."""
        return point in self._young

    def change_unit(self, point: int, unit: str | None, since: int) -> bool:
        """Note that a point's source says another unit now; returns whether a version had to be made.

        Args:
            point: The point.
            unit: The unit as the source spells it.
            since: Time of the first sample after the change [us since 1970].
        """
        known = point in self._units
        before, self._units[point] = self._units.get(point), unit
        if before == unit:
            return False
        if point >= len(self.newest) or self.newest[point] < 0:
            if known:
                self._waiting.setdefault(point, [(ALWAYS, before)]).append((since, unit))
            return known
        now = self.scales[self.newest[point]]
        self._renew(point, Scale(now.scale, now.divisor, now.offset, unit, now.rounding), since)
        return True

    def _renew(self, point: int, scale: Scale, since: int) -> None:
        """Add a version, valid only after every number that is in the lake already, so that none changes its meaning."""
        self._learn_until()
        until = int(self._until[point])
        since = since if until == ALWAYS else max(since, until + 1)
        with self._lock:
            self._keep(point, scale, since)
            self._fresh.append(PointVersion(point, len(self._all[point]), None if since == ALWAYS else since, scale))

    def _learn_until(self) -> None:
        if self._ask_until is not None:
            for point, last in self._ask_until().items():
                if point < len(self._until):
                    self._until[point] = max(int(self._until[point]), last)
            self._ask_until = None

    def take_fresh(self) -> list[PointVersion]:
        """Return versions that the catalogue does not have yet, and forget that they are new."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return fresh


def _gain(number: FloatArray, better: Scale, now: Scale) -> float:
    """How much a scale is worth against another: numbers held, then the size of the steps between counts."""
    held = [counts(number, s) for s in (better, now)]
    share = [float(exact.mean()) for _, exact in held]
    if abs(share[0] - share[1]) > _MISFITS:
        return share[0] - share[1]
    spread = [float(np.abs(np.diff(found[exact].astype(np.int64))).sum()) + 1.0 for found, exact in held]
    return 1.0 - 2.0 * spread[0] / spread[1]
