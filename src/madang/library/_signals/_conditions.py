"""Conditions over points, as data: compared with a limit, lasting for a time, combined with ``&`` and ``|``; they become intervals.

>>> hot = Compare("temp", ">", 720.0) & Compare("state", "=", "soak")
>>> Lasting(hot, 300.0).text().en
'temp > 720 and state = soak, for 300 s or longer'
>>> condition_of(Lasting(hot, 300.0).document()) == Lasting(hot, 300.0)
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import InputError, Json
from madang.library._signals._slices import Samples
from madang.plant import Bilingual

IntArray = NDArray[np.int64]
Op = Literal["<", "<=", ">", ">=", "=", "!="]
OPS: Final[tuple[Op, ...]] = ("<", "<=", ">", ">=", "=", "!=")
_DEEPEST: Final = 20
_MOST: Final = 100


@dataclass(frozen=True)
class Intervals:
    """When something held: apart from each other, in order, ``start <= time < end``; both of shape (interval,) [us since 1970]."""

    start: IntArray
    end: IntArray

    @classmethod
    def of(cls, start: IntArray, end: IntArray) -> Intervals:
        """Return intervals in any order, which may touch and overlap, as ones that stand apart."""
        kept = end > start
        start, end = start[kept], end[kept]
        if len(start) == 0:
            return cls(start, end)
        order = np.argsort(start, kind="stable")
        start, end = start[order], np.maximum.accumulate(end[order])
        fresh = np.append(True, start[1:] > end[:-1])
        return cls(start[fresh], end[np.append(np.flatnonzero(fresh)[1:] - 1, len(end) - 1)])

    def __and__(self, other: Intervals) -> Intervals:
        """Return when both held."""
        if len(self.start) == 0 or len(other.start) == 0:
            return Intervals(self.start[:0], self.end[:0])
        first = np.searchsorted(other.end, self.start, side="right")
        last = np.searchsorted(other.start, self.end, side="left")
        counts = np.maximum(last - first, 0)
        mine = np.repeat(np.arange(len(self.start)), counts)
        theirs = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        start = np.maximum(self.start[mine], other.start[theirs])
        return Intervals.of(start, np.minimum(self.end[mine], other.end[theirs]))

    def __or__(self, other: Intervals) -> Intervals:
        """Return when either held."""
        return Intervals.of(np.concatenate((self.start, other.start)), np.concatenate((self.end, other.end)))

    def lasting(self, seconds: float) -> Intervals:
        """Return those that are at least so long."""
        kept = self.end - self.start >= round(seconds * 1e6)
        return Intervals(self.start[kept], self.end[kept])


Leaf = Callable[["Compare"], Intervals]
"""Gives when a comparison held."""


class _Combinable:
    def __and__(self, other: Condition) -> All:
        return All((self, other))  # type: ignore[arg-type]

    def __or__(self, other: Condition) -> AnyOf:
        return AnyOf((self, other))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Compare(_Combinable):
    """A point compared with a number or a text; a reading holds until the next, one of bad quality holds nothing."""

    point: str
    op: Op
    value: float | str

    def text(self) -> Bilingual:
        """Return the condition for people."""
        shown = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return Bilingual(f"{self.point} {self.op} {shown}", f"{self.point} {self.op} {shown}")

    def document(self) -> dict[str, Json]:
        """Return the condition as data."""
        return {"point": self.point, "op": self.op, "value": self.value}

    def points(self) -> frozenset[str]:
        """Return the points it is about."""
        return frozenset((self.point,))

    def held(self, leaf: Leaf) -> Intervals:
        """Return when it held."""
        return leaf(self)

    def holds(self, samples: Samples) -> NDArray[np.bool_]:
        """Say for each sample whether it meets the comparison."""
        good: NDArray[np.bool_] = samples.quality < 0x8000_0000
        if isinstance(self.value, str):
            texts = np.array([] if samples.text is None else samples.text.to_pylist(), dtype=object)
            if len(texts) == 0:
                return np.zeros(len(samples), dtype=np.bool_)
            known = good & np.array([t is not None for t in texts], dtype=np.bool_)
            same = np.array([t == self.value for t in texts], dtype=np.bool_)
            return known & (same if self.op == "=" else ~same)
        compare: dict[Op, Callable[[Any, Any], Any]] = {
            "<": np.less,
            "<=": np.less_equal,
            ">": np.greater,
            ">=": np.greater_equal,
            "=": np.equal,
            "!=": np.not_equal,
        }
        found: NDArray[np.bool_] = good & ~np.isnan(samples.value) & compare[self.op](samples.value, self.value)
        return found


@dataclass(frozen=True)
class All(_Combinable):
    """All of several conditions at once."""

    of: tuple[Condition, ...]

    def text(self) -> Bilingual:
        """Return the condition for people."""
        return _joined(self.of, " 그리고 ", " and ")

    def document(self) -> dict[str, Json]:
        """Return the condition as data."""
        return {"all": [c.document() for c in self.of]}

    def points(self) -> frozenset[str]:
        """Return the points it is about."""
        return frozenset().union(*(c.points() for c in self.of))

    def held(self, leaf: Leaf) -> Intervals:
        """Return when it held."""
        found = self.of[0].held(leaf)
        for more in self.of[1:]:
            found = found & more.held(leaf)
        return found


@dataclass(frozen=True)
class AnyOf(_Combinable):
    """Any of several conditions."""

    of: tuple[Condition, ...]

    def text(self) -> Bilingual:
        """Return the condition for people."""
        return _joined(self.of, " 또는 ", " or ")

    def document(self) -> dict[str, Json]:
        """Return the condition as data."""
        return {"any": [c.document() for c in self.of]}

    def points(self) -> frozenset[str]:
        """Return the points it is about."""
        return frozenset().union(*(c.points() for c in self.of))

    def held(self, leaf: Leaf) -> Intervals:
        """Return when it held."""
        found = self.of[0].held(leaf)
        for more in self.of[1:]:
            found = found | more.held(leaf)
        return found


@dataclass(frozen=True)
class Lasting(_Combinable):
    """A condition that held without a break for some time."""

    of: Condition
    seconds: float

    def text(self) -> Bilingual:
        """Return the condition for people."""
        inner = self.of.text()
        return Bilingual(f"{inner.ko}, {self.seconds:g}초 이상", f"{inner.en}, for {self.seconds:g} s or longer")

    def document(self) -> dict[str, Json]:
        """Return the condition as data."""
        return {"lasting_seconds": self.seconds, "of": self.of.document()}

    def points(self) -> frozenset[str]:
        """Return the points it is about."""
        return self.of.points()

    def held(self, leaf: Leaf) -> Intervals:
        """Return when it held."""
        return self.of.held(leaf).lasting(self.seconds)


Condition: TypeAlias = Compare | All | AnyOf | Lasting


def condition_of(document: Json) -> Condition:
    """Read a condition from its data.

    Raises:
        InputError: It is none; the error shows the three forms.
    """
    return _condition(document, 0, [0])


def _condition(document: Json, depth: int, count: list[int]) -> Condition:
    count[0] += 1
    if isinstance(document, dict) and depth < _DEEPEST and count[0] <= _MOST:
        if document.keys() == {"point", "op", "value"}:
            point, op, value = document["point"], document["op"], document["value"]
            number = isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
            text = isinstance(value, str) and op in ("=", "!=")
            if isinstance(point, str) and op in OPS and (number or text):
                return Compare(point, op, float(value) if isinstance(value, int | float) else str(value))
        for word, made in (("all", All), ("any", AnyOf)):
            parts = document.get(word)
            if document.keys() == {word} and isinstance(parts, list) and parts:
                return made(tuple(_condition(p, depth + 1, count) for p in parts))
        seconds = document.get("lasting_seconds")
        if document.keys() == {"lasting_seconds", "of"} and isinstance(seconds, int | float) and 0 <= seconds < 1e10:
            return Lasting(_condition(document["of"], depth + 1, count), float(seconds))
    raise InputError(
        "bad_condition",
        ko="조건을 읽을 수 없어요.",
        en="The condition cannot be read.",
        next_ko='쓸 수 있는 꼴: {"point","op","value"}, {"all":[...]}, {"any":[...]}, {"lasting_seconds","of"}. op: < <= > >= = !=',
        next_en='Forms: {"point","op","value"}, {"all":[...]}, {"any":[...]}, {"lasting_seconds","of"}. op: < <= > >= = !=',
        where={"depth": depth},
    )


def intervals_of(compare: Compare, samples: Samples) -> Intervals:
    """Return when a comparison held by a point's samples; the last one holds until its own time, since more may come."""
    if len(samples) < 2:
        none = np.empty(0, np.int64)
        return Intervals(none, none)
    held = compare.holds(samples)[:-1]
    return Intervals.of(samples.time[:-1][held], samples.time[1:][held])


def _joined(parts: Sequence[Condition], ko: str, en: str) -> Bilingual:
    texts = [(p.text(), isinstance(p, All | AnyOf | Lasting)) for p in parts]
    return Bilingual(
        ko.join(f"({t.ko})" if nested else t.ko for t, nested in texts),
        en.join(f"({t.en})" if nested else t.en for t, nested in texts),
    )
