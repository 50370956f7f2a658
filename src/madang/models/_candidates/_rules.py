"""A rule list of at most three rules that a shift leader can read, check and keep on a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madang.models._candidates._base import Learner, State
from madang.models._features import Matrix
from madang.models._frame import FloatArray

BINS = 48
"""Thresholds tried per feature."""
MOST_RULES = 3
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Condition:
    """A feature above (or at most at) a limit."""

    feature: int
    above: bool
    limit: float

    def holds(self, features: Matrix) -> NDArray[np.bool_]:
        """Say for which rows the condition holds; an absent value fulfils nothing."""
        column = features[:, self.feature].astype(np.float64)
        return column > self.limit if self.above else column <= self.limit

    def text(self, names: Sequence[str]) -> str:
        """The condition for people."""
        return f"{names[self.feature]} {'>' if self.above else '<='} {self.limit:.4g}"


class RuleList(Learner):
    """The first rule that holds gives the answer: at most three rules of one or two conditions, and an answer for the rest.

    Each rule is the pair of limits that separates the rows not yet covered best (largest variance between the covered and the
    uncovered rows), searched over quantiles of the features.
    """

    def __init__(self) -> None:
        self.rules: list[tuple[Condition, ...]] = []
        self.answers: FloatArray = np.zeros((1, 1))
        self._classes = 0

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Search rule after rule."""
        self._classes = classes
        if len(target) > MOST_ROWS:
            chosen = np.sort(np.random.default_rng(seed).choice(len(target), MOST_ROWS, replace=False))
            features, target = features[chosen], target[chosen]
        wanted = np.eye(classes)[target.astype(np.int64)] if classes else target[:, None]
        limits = [_limits(features[:, f]) for f in range(features.shape[1])]
        bins = np.column_stack([_binned(features[:, f], limits[f]) for f in range(features.shape[1])])
        left = np.ones(len(target), dtype=bool)
        self.rules, answers = [], []
        least = max(5, len(target) // 1000) if classes else max(10, len(target) // 50)
        # Of two classes the rarer one is what rules look for: a rule for the ordinary row tells a shift leader nothing.
        towards = int(np.argmin(wanted.sum(axis=0))) if classes == 2 else None
        for _ in range(MOST_RULES):
            rule = _best_rule(bins, limits, wanted, left, least, towards)
            if rule is None:
                break
            covered = left.copy()
            for condition in rule:
                covered &= condition.holds(features)
            if covered.sum() < least or covered.sum() == left.sum():
                break
            self.rules.append(rule)
            answers.append(self._answer(wanted[covered], classes))
            left &= ~covered
        answers.append(self._answer(wanted[left], classes) if left.any() else answers[-1])
        self.answers = np.array(answers)

    @staticmethod
    def _answer(wanted: FloatArray, classes: int) -> FloatArray:
        if classes:
            return np.asarray((wanted.sum(axis=0) + 0.5 / classes) / (len(wanted) + 0.5))
        return np.asarray(wanted.mean(axis=0))

    def predict(self, features: Matrix) -> FloatArray:
        """Return the answer of the first rule that holds."""
        number = np.full(len(features), len(self.rules), dtype=np.int64)
        for place in reversed(range(len(self.rules))):
            holds = np.ones(len(features), dtype=bool)
            for condition in self.rules[place]:
                holds &= condition.holds(features)
            number[holds] = place
        made = self.answers[number]
        return made if self._classes else made[:, 0]

    def text(self, names: Sequence[str], classes: Sequence[str] = (), *, unit: str = "") -> str:
        """The rules for people, one line each.

        Args:
            names: Names of the features.
            classes: Names of the classes of a classification.
            unit: Unit of the target of a regression.
        """
        lines = []
        for place, answer in enumerate(self.answers):
            when = " and ".join(c.text(names) for c in self.rules[place]) if place < len(self.rules) else "else"
            if self._classes:
                best = int(np.argmax(answer))
                says = f"{classes[best] if classes else best} ({answer[best]:.0%})"
            else:
                says = f"{answer[0]:.4g}{' ' + unit if unit else ''}"
            lines.append(f"{'if ' + when if when != 'else' else when}: {says}")
        return "\n".join(lines)

    def state(self) -> State:
        """Rules as rows of numbers, and the answers."""
        flat = [[float(r), float(c.feature), float(c.above), c.limit] for r, rule in enumerate(self.rules) for c in rule]
        return {"rules": np.array(flat, dtype=np.float64).reshape(-1, 4), "answers": self.answers, "classes": self._classes}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take rules and answers."""
        rows = np.asarray(state["rules"], dtype=np.float64)
        self.answers = np.asarray(state["answers"], dtype=np.float64)
        self._classes = int(state["classes"])  # type: ignore[call-overload]
        self.rules = [
            tuple(Condition(int(f), bool(a), float(v)) for n, f, a, v in rows if int(n) == rule)
            for rule in range(len(self.answers) - 1)
        ]


def _limits(column: NDArray[np.float32]) -> FloatArray:
    """Limits midway between neighbouring values at the quantiles, so that no measured value sits on one."""
    good = np.unique(column[np.isfinite(column)].astype(np.float64))
    if len(good) < 2:
        return np.zeros(0)
    middles = (good[:-1] + good[1:]) / 2
    if len(middles) <= BINS:
        return middles
    ordered = np.sort(column[np.isfinite(column)].astype(np.float64))
    # Rare classes live in the tails: they get thresholds of their own.
    shares = np.unique(
        np.concatenate([np.linspace(0, 1, BINS - 14)[1:-1], [0.002, 0.005, 0.01, 0.015, 0.02, 0.98, 0.985, 0.99, 0.995, 0.998]])
    )
    wanted = ordered[np.minimum((shares * len(ordered)).astype(np.int64), len(ordered) - 1)]
    return np.asarray(np.unique(middles[np.clip(np.searchsorted(middles, wanted), 0, len(middles) - 1)]))


def _binned(column: NDArray[np.float32], limits: FloatArray) -> NDArray[np.int64]:
    """Number of limits below each value; -1 where absent."""
    wide = column.astype(np.float64)
    return np.where(np.isfinite(wide), np.searchsorted(limits, wide, side="left"), -1).astype(np.int64)


def _scan(
    bins: NDArray[np.int64],
    limits: list[FloatArray],
    wanted: FloatArray,
    within: NDArray[np.bool_],
    left: NDArray[np.bool_],
    least: int,
    towards: int | None,
) -> list[tuple[float, Condition]]:
    """Score the best limit of every feature and direction, for rows `within` against the others of `left`."""
    rows = wanted[within]
    n_left, sum_left = float(left.sum()), wanted[left].sum(axis=0)
    found = []
    for feature, cuts in enumerate(limits):
        if not len(cuts):
            continue
        place = bins[within, feature]
        good = place >= 0
        size = len(cuts) + 1
        count = np.bincount(place[good], minlength=size).astype(np.float64)
        sums = np.column_stack([np.bincount(place[good], weights=rows[good, k], minlength=size) for k in range(rows.shape[1])])
        below_n, below_s = np.cumsum(count)[:-1], np.cumsum(sums, axis=0)[:-1]
        for above in (False, True):
            n = below_n if not above else count.sum() - below_n
            s = below_s if not above else sums.sum(axis=0) - below_s
            rest = n_left - n
            ok = (n >= least) & (rest > 0)
            if not ok.any():
                continue
            apart = s / np.maximum(n, 1)[:, None] - (sum_left - s) / np.maximum(rest, 1)[:, None]
            ok = ok if towards is None else ok & (apart[:, towards] > 0)
            gain = np.where(ok, n * rest / n_left * np.sum(apart**2, axis=1), -1.0)
            best = int(np.argmax(gain))
            found.append((float(gain[best]), Condition(feature, above, float(cuts[best]))))
    return sorted(found, key=lambda f: -f[0])


def _best_rule(
    bins: NDArray[np.int64],
    limits: list[FloatArray],
    wanted: FloatArray,
    left: NDArray[np.bool_],
    least: int,
    towards: int | None,
) -> tuple[Condition, ...] | None:
    singles = _scan(bins, limits, wanted, left, left, least, towards)
    if not singles:
        return None
    best_gain = singles[0][0]
    best: tuple[Condition, ...] = (singles[0][1],)
    for gain, first in singles[:10]:
        within = left & _holds(bins, limits, first)
        for pair_gain, second in _scan(bins, limits, wanted, within, left, least, towards)[:1]:
            # A second condition has to earn its place.
            if pair_gain > 1.1 * max(best_gain, gain) and second.feature != first.feature:
                best_gain, best = pair_gain, (first, second)
    return best if best_gain > 0 else None


def _holds(bins: NDArray[np.int64], limits: list[FloatArray], condition: Condition) -> NDArray[np.bool_]:
    cut = int(np.searchsorted(limits[condition.feature], condition.limit))
    place = bins[:, condition.feature]
    return (place > cut) if condition.above else ((place >= 0) & (place <= cut))
