"""Which row of one table belongs to which row of another, when a key says nearly all of it and time says the rest.

A lot number that is used again months later, a laboratory that measures twice, a clock that runs ahead: the key alone does not
decide them. So the usual distance in time between the two tables is learned from the rows whose key leaves no choice, and a
choice is made only where one candidate keeps that distance and every other one clearly does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from madang.library._join_times import Instants, RowTimes
from madang.library._keys import KeyMatch, TextKeys, match_keys, spellings
from madang.plant import Bilingual

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_ONE_USE = 14 * _DAY
"""Results of one lot come within this time, where nothing else tells one use of a number from the next."""
_ENOUGH = 8
"""Pairs without a choice that a usual distance is learned from, at least."""


class Outcome(IntEnum):
    """What became of a row of the left table."""

    JOINED = 0
    NO_KEY = 1
    UNKNOWN_KEY = 2
    NO_PARTNER_THEN = 3
    """The key is known, but every row that carries it belongs to another use of the number."""
    SPELLINGS = 4
    """Several rows carry the key in different spellings, and nothing says which one is meant."""
    TIMES = 5
    """Several rows fit the time equally well."""
    FAR = 6
    """The only rows with this key lie far from where the others lie."""
    DIFFERENT = 7
    """Several rows carry the key, differ, and nothing says which one holds."""
    SHARED = 8
    """A row of the other table fits this row and another one."""
    MANY = 9
    """The other table has several rows per key as a rule: it must be summed up or laid wide first."""


AMBIGUOUS = frozenset({Outcome.SPELLINGS, Outcome.TIMES, Outcome.FAR, Outcome.DIFFERENT, Outcome.SHARED, Outcome.MANY})

REASONS: dict[Outcome, Bilingual] = {
    Outcome.SPELLINGS: Bilingual(
        "번호를 적는 방식이 달라 여러 번호로 읽혀요.", "The key may mean several keys of the other table."
    ),
    Outcome.TIMES: Bilingual(
        "같은 번호의 행이 여럿이고 시각으로도 가릴 수 없어요.",
        "Several rows carry the key and the times do not tell which one it is.",
    ),
    Outcome.FAR: Bilingual(
        "같은 번호의 행이 평소와 다른 시각에만 있어요. 다시 쓰인 번호일 수 있어요.",
        "Rows with this key lie at an unusual distance in time; the number may have been used again.",
    ),
    Outcome.DIFFERENT: Bilingual(
        "같은 번호의 행이 여럿인데 내용이 다르고 순서를 알 수 없어요.",
        "Several rows carry the key, they differ, and nothing says which one holds.",
    ),
    Outcome.SHARED: Bilingual(
        "상대 행 하나가 이 행과 다른 행에 똑같이 맞아요.",
        "One row of the other table fits this row and another one equally well.",
    ),
    Outcome.MANY: Bilingual(
        "상대 표는 번호마다 행이 여럿이에요. 먼저 집계하거나 가로로 펼쳐 주세요.",
        "The other table has several rows per key; sum it up or lay it wide first.",
    ),
}


@dataclass(frozen=True)
class Distance:
    """The usual distance in time from a row of the left table to its partner, learned from pairs without a choice."""

    left: Literal["start", "end"]
    right: Literal["start", "end"]
    low: int
    """[us]"""
    high: int
    """[us]"""
    pairs: int
    """How many pairs it was learned from."""

    @property
    def margin(self) -> int:
        """How much farther than the usual a candidate must lie to be ruled out [us]."""
        return max((self.high - self.low) // 2, _HOUR)

    def beyond(self, lag: IntArray) -> IntArray:
        """Return how far each lag lies outside the usual distance; 0 inside."""
        return np.maximum(np.maximum(self.low - lag, lag - self.high), 0)


@dataclass(frozen=True)
class Side:
    """One table as the matcher sees it."""

    keys: TextKeys
    times: RowTimes | None
    content: IntArray
    """Code of the row's content, times and record numbers left out: equal rows are duplicates."""


@dataclass(frozen=True)
class Matched:
    """The partner of every row of the left table."""

    partner: IntArray
    """Row of the right table; -1 = none."""
    outcome: IntArray
    """`Outcome` of each row."""
    candidates: dict[int, tuple[int, ...]]
    """Rows of the right table that came into question, for ambiguous rows."""
    superseded: tuple[tuple[int, int], ...]
    """(older row, row that replaced it) of the right table."""
    level: IntArray
    """Level of spelling at which the key of each row was found; -1 = not found."""
    distance: Distance | None
    repeated: bool = field(default=False)
    """Whether the right table holds repeated results of the left one's things."""


@dataclass(frozen=True)
class _Pairs:
    """Every row of the left table with every row of the right one that carries its key."""

    left: IntArray
    right: IntArray

    def keep(self, mask: BoolArray) -> _Pairs:
        return _Pairs(self.left[mask], self.right[mask])


def match_rows(left: Side, right: Side, *, tolerance: int | None = None) -> Matched:
    """Return the partner of every row of the left table, or why it has none.

    Args:
        left: The table whose rows are kept.
        right: The table that is looked up.
        tolerance: Greatest distance beyond the usual one that is still accepted [us]; None = found from the data.
    """
    codes = left.keys.codes
    repeated = _holds_results_of(left, right)
    # whoever writes by hand has many spellings for one thing: the results look up the things, never the other way round
    if repeated:
        keys = match_keys(right.keys.spellings, left.keys.spellings)
        turned = _pairs(right.keys.codes, codes, keys)
        pairs = _Pairs(turned.right, turned.left)
        level = np.full(len(codes), -1, dtype=np.int64)
        level[pairs.left] = np.append(keys.level, -1)[right.keys.codes[pairs.right]]
    else:
        keys = match_keys(left.keys.spellings, right.keys.spellings)
        pairs = _pairs(codes, right.keys.codes, keys)
        level = np.append(keys.level, -1)[codes]
    distance = _usual_distance(pairs, left, right)
    decide = _gather if repeated else _look_up
    partner, decided, candidates, superseded = decide(pairs, left, right, distance, tolerance)
    outcome = np.where(codes < 0, int(Outcome.NO_KEY), int(Outcome.UNKNOWN_KEY)).astype(np.int64)
    touched = np.unique(pairs.left)
    outcome[touched] = decided[touched]
    return Matched(partner, outcome, candidates, superseded, level, distance, repeated)


def _holds_results_of(left: Side, right: Side) -> bool:
    """Whether the right table reports on the things of the left one (perhaps several times), rather than listing things."""
    rows, things = _rows_per_thing(left), _rows_per_thing(right)
    if max(rows, things) > 1.5 * min(rows, things):
        # many lots made of one raw lot look it up, whatever lasts and whatever is a point in time
        return things > rows
    lasting = [side.times is not None and side.times.windows for side in (left, right)]
    if lasting[0] != lasting[1]:
        return lasting[0]
    reported = [side.times is not None and side.times.result is not None for side in (left, right)]
    if reported[0] != reported[1]:
        return reported[1]
    return _repeats(right) > _repeats(left)


def _rows_per_thing(side: Side) -> float:
    things = {spellings(side.keys.spellings[code])[-1] for code in np.unique(side.keys.codes) if code >= 0}
    return int(np.count_nonzero(side.keys.codes >= 0)) / max(1, len(things))


def _repeats(side: Side) -> float:
    """Return the share of rows that follow another row of their key within a week (at any time, where times are unknown)."""
    kept = np.flatnonzero(side.keys.codes >= 0)
    if len(kept) == 0:
        return 0.0
    plain = np.asarray([spellings(text)[-1] for text in side.keys.spellings] or [""])
    _, same = np.unique(plain, return_inverse=True)
    thing = same[side.keys.codes[kept]]
    at = np.zeros(len(kept), dtype=np.int64)
    if side.times is not None:
        start = side.times.start[kept]
        at = np.where(np.isnat(start), 0, start.astype("datetime64[us]").astype(np.int64))
    order = np.lexsort((at, thing))
    close = (np.diff(thing[order]) == 0) & (np.diff(at[order]) < 7 * _DAY)
    return float(np.count_nonzero(close)) / len(kept)


def _rows_by_code(codes: IntArray) -> dict[int, IntArray]:
    order = np.argsort(codes, kind="stable")
    found, first = np.unique(codes[order], return_index=True)
    return {int(c): part for c, part in zip(found, np.split(order, first[1:]), strict=True) if c >= 0} if len(codes) else {}


def _pairs(asking: IntArray, known: IntArray, keys: KeyMatch) -> _Pairs:
    """Return every asking row with every known row that its spelling may mean."""
    by_code = _rows_by_code(known)
    rows_of = {
        code: np.concatenate([by_code[other] for other in found if other in by_code] or [np.empty(0, np.int64)])
        for code, found in enumerate(keys.candidates)
        if found
    }
    asked, answers = [], []
    for row in np.flatnonzero(asking >= 0):
        found = rows_of.get(int(asking[row]))
        if found is not None and len(found):
            asked.append(np.full(len(found), row, dtype=np.int64))
            answers.append(found)
    if not asked:
        return _Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
    return _Pairs(np.concatenate(asked), np.concatenate(answers).astype(np.int64))


def _lag(pairs: _Pairs, left: RowTimes, right: RowTimes, left_end: bool, right_end: bool) -> tuple[IntArray, BoolArray]:
    """Return right minus left of each pair [us], and where both are known."""
    a: Instants = (left.end if left_end else left.start)[pairs.left]
    b: Instants = (right.end if right_end else right.start)[pairs.right]
    known = ~(np.isnat(a) | np.isnat(b))
    return np.where(known, (b - a).astype("timedelta64[us]").astype(np.int64), 0), known


def _usual_distance(pairs: _Pairs, left: Side, right: Side) -> Distance | None:
    """Learn the usual distance from pairs without a choice; without enough of them, from the nearest candidate of each row."""
    if left.times is None or right.times is None or len(pairs.left) == 0:
        return None
    per_left, per_right = np.bincount(pairs.left), np.bincount(pairs.right)
    free = (per_left[pairs.left] == 1) & (per_right[pairs.right] == 1)
    if np.count_nonzero(free) < _ENOUGH:
        free = (per_left[pairs.left] == 1) | (per_right[pairs.right] == 1)
    best: Distance | None = None
    for left_end in (False, True):
        for right_end in (False, True):
            found = _learn(pairs, left.times, right.times, left_end, right_end, free)
            if found is not None and (best is None or found.high - found.low < best.high - best.low):
                best = found
    return best


def _learn(pairs: _Pairs, left: RowTimes, right: RowTimes, left_end: bool, right_end: bool, free: BoolArray) -> Distance | None:
    lag, known = _lag(pairs, left, right, left_end, right_end)
    if np.count_nonzero(free & known) >= _ENOUGH:
        lags = lag[free & known]
    else:
        order = np.lexsort((np.abs(lag), ~known, pairs.left))
        _, first = np.unique(pairs.left[order], return_index=True)
        nearest = order[first]
        lags = lag[nearest[known[nearest]]]
        if len(lags) < _ENOUGH:
            return None
    low, middle, high = np.quantile(lags, [0.1, 0.5, 0.9])
    reach = 3.0 * (high - low) + _HOUR
    usual = lags[np.abs(lags - middle) <= reach]
    end: Literal["end"] = "end"
    start: Literal["start"] = "start"
    return Distance(end if left_end else start, end if right_end else start, int(usual.min()), int(usual.max()), len(usual))


def _beyond(pairs: _Pairs, left: Side, right: Side, distance: Distance | None) -> IntArray:
    """Return how far each pair lies outside the usual distance [us]; without a usual one, how far apart; 0 without times."""
    if left.times is None or right.times is None:
        return np.zeros(len(pairs.left), dtype=np.int64)
    if distance is None:
        lag, known = _lag(pairs, left.times, right.times, left_end=False, right_end=False)
        return np.where(known, np.abs(lag), 0)
    lag, known = _lag(pairs, left.times, right.times, distance.left == "end", distance.right == "end")
    return np.where(known, distance.beyond(lag), 0)


def _reach(distance: Distance | None, tolerance: int | None) -> int:
    """Return how far outside the usual distance a partner may lie [us]."""
    if tolerance is not None:
        return tolerance
    return np.iinfo(np.int64).max if distance is None else distance.high - distance.low + distance.margin


def _clearly_nearer(best: int, second: int, distance: Distance | None) -> bool:
    if distance is None:
        return second > 3 * best + _DAY
    return second > 2 * best + distance.margin


_Decided = tuple[IntArray, IntArray, dict[int, tuple[int, ...]], tuple[tuple[int, int], ...]]


def _look_up(pairs: _Pairs, left: Side, right: Side, distance: Distance | None, tolerance: int | None) -> _Decided:
    """Decide where the right table names each thing once (or once per use of its number)."""
    partner = np.full(len(left.keys.codes), -1, dtype=np.int64)
    outcome = np.full(len(left.keys.codes), Outcome.UNKNOWN_KEY, dtype=np.int64)
    candidates: dict[int, tuple[int, ...]] = {}
    beyond = _beyond(pairs, left, right, distance)
    reach = _reach(distance, tolerance)
    for group in _groups(pairs.left):
        row, found, far = int(pairs.left[group[0]]), pairs.right[group], beyond[group]
        order = np.argsort(far, kind="stable")
        found, far = found[order], far[order]
        if far[0] > reach:
            outcome[row], candidates[row] = Outcome.FAR, tuple(found[:10].tolist())
            continue
        different = [at for at in range(1, len(found)) if right.content[found[at]] != right.content[found[0]]]
        rival = int(far[different[0]]) if different else None
        if rival is None or _clearly_nearer(int(far[0]), rival, distance):
            # an equal row is the same fact written twice, unless it is another use of the number at another time
            outcome[row], partner[row] = Outcome.JOINED, int(found[0])
            if len(found) > 1 and not different and not _one_use(found, right.times):
                nearest_alone = _clearly_nearer(int(far[0]), int(far[1]), distance)
                if not nearest_alone:
                    outcome[row], partner[row] = Outcome.TIMES, -1
                    candidates[row] = tuple(found[:10].tolist())
            continue
        timed = left.times is not None and right.times is not None
        if len({_plain(right.keys, int(at)) for at in found}) > 1:
            outcome[row] = Outcome.SPELLINGS
        else:
            outcome[row] = Outcome.TIMES if timed else Outcome.DIFFERENT
        candidates[row] = tuple(found[:10].tolist())
    return partner, outcome, candidates, ()


def _gather(pairs: _Pairs, left: Side, right: Side, distance: Distance | None, tolerance: int | None) -> _Decided:
    """Decide where the right table holds repeated results: each goes to its lot, and the latest result of a lot wins."""
    partner = np.full(len(left.keys.codes), -1, dtype=np.int64)
    outcome = np.full(len(left.keys.codes), Outcome.UNKNOWN_KEY, dtype=np.int64)
    outcome[np.unique(pairs.left)] = Outcome.NO_PARTNER_THEN
    candidates: dict[int, tuple[int, ...]] = {}
    beyond = _beyond(pairs, left, right, distance)
    reach = _reach(distance, tolerance)
    owned: dict[int, list[int]] = {}
    undecided: dict[int, list[tuple[int, Outcome]]] = {}
    for group in _groups(pairs.right):
        result = int(pairs.right[group[0]])
        order = group[np.argsort(beyond[group], kind="stable")]
        best = int(pairs.left[order[0]])
        if beyond[order[0]] > reach:
            for at in order:
                undecided.setdefault(int(pairs.left[at]), []).append((result, Outcome.FAR))
        elif len(order) == 1 or _clearly_nearer(int(beyond[order[0]]), int(beyond[order[1]]), distance):
            owned.setdefault(best, []).append(result)
        else:
            near = [at for at in order if not _clearly_nearer(int(beyond[order[0]]), int(beyond[at]), distance)]
            for at in near:
                undecided.setdefault(int(pairs.left[at]), []).append((result, Outcome.SHARED))
    many = len(owned) >= _ENOUGH and np.mean([_differ(rows, right.content) for rows in owned.values()]) > 0.5
    superseded: list[tuple[int, int]] = []
    for row in sorted(owned.keys() | undecided.keys()):
        results = owned.get(row, [])
        open_results = [(r, why) for r, why in undecided.get(row, []) if why is Outcome.SHARED or not results]
        if open_results:
            outcome[row] = open_results[0][1]
            candidates[row] = tuple((results + [r for r, _ in open_results])[:10])
            continue
        latest = None if many and len(results) > 1 else _latest(results, right, distance is None)
        if latest is None:
            outcome[row] = Outcome.MANY if many else Outcome.DIFFERENT
            candidates[row] = tuple(results[:10])
            continue
        outcome[row], partner[row] = Outcome.JOINED, latest
        superseded += [(older, latest) for older in results if right.content[older] != right.content[latest]]
    return partner, outcome, candidates, tuple(superseded)


def _plain(keys: TextKeys, row: int) -> str:
    return spellings(keys.spellings[keys.codes[row]])[1]


def _differ(rows: Sequence[int], content: IntArray) -> bool:
    return len({int(content[row]) for row in rows}) > 1


def _latest(results: Sequence[int], right: Side, unordered: bool) -> int | None:
    """Return the result that came last; None when different results came at one time, or no time orders them.

    Args:
        results: Rows of the right table.
        right: The table.
        unordered: Whether no time of the left table says that the results are of one use of their number.
    """
    if len(results) == 1 or not _differ(results, right.content):
        return results[0]
    if right.times is None or (unordered and _far_apart(results, right.times)):
        return None
    known = right.times.start if right.times.result is None else right.times.result
    at = [known[row] for row in results]
    if any(np.isnat(instant) for instant in at):
        return None
    newest = max(at)
    last = [row for row, instant in zip(results, at, strict=True) if instant == newest]
    return None if _differ(last, right.content) else last[0]


def _far_apart(results: Sequence[int], times: RowTimes) -> bool:
    at = times.start[np.asarray(results)]
    known = at[~np.isnat(at)]
    return bool(len(known) and known.max() - known.min() > np.timedelta64(_ONE_USE, "us"))


def _one_use(rows: IntArray, times: RowTimes | None) -> bool:
    """Whether rows of equal content are at one time, so that they are one fact written several times."""
    if times is None:
        return True
    at = times.start[rows]
    return bool(np.all(at == at[0]) or np.isnat(at).all())


def _groups(sorted_or_not: IntArray) -> list[IntArray]:
    """Return the positions of each value, values in ascending order."""
    if len(sorted_or_not) == 0:
        return []
    order = np.argsort(sorted_or_not, kind="stable")
    edges = np.flatnonzero(np.diff(sorted_or_not[order])) + 1
    return np.split(order, edges)
