"""Leaks that lie in the rows: repeated rows, rows of one lot on both sides, source files that tell the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from madang.models._frame import FloatArray, Series
from madang.models._leaks_view import View

_FEWEST: Final = 60
_SHIFTS: Final = 200


@dataclass(frozen=True)
class Duplicates:
    """Rows that repeat another row."""

    rows: int
    share: float
    equal_target: float
    """Share of the repeated rows whose target is that of the row they repeat."""
    proven: bool
    """Whether chance does not make such repetitions."""


def repeated_rows(view: View, columns: list[Series]) -> Duplicates | None:
    """Find rows whose inputs all equal those of another row that is not its neighbour.

    Coarse sensors at rest repeat themselves by chance. A copy is proven when inputs of fine resolution agree as well, and
    a numeric target agrees too.
    """
    usable = [view.values(s) for s in columns]
    n = len(view.rows)
    if n < _FEWEST or len(usable) < 2:
        return None
    table = np.stack([np.where(np.isfinite(v), v, -1.2345e300) for v in usable], axis=1)
    _, back, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    back = back.ravel()
    repeated = count[back] > 1
    if not repeated.any():
        return Duplicates(0, 0.0, 0.0, False)
    order = np.lexsort((np.arange(n), back))
    same = back[order][1:] == back[order][:-1]
    first, second = order[:-1][same], order[1:][same]
    apart = np.abs(view.rows[first] - view.rows[second]) > 3
    first, second = first[apart], second[apart]
    if len(first) == 0:
        return Duplicates(0, 0.0, 0.0, False)
    equal = float(np.mean(view.y[first] == view.y[second]))
    touched = len(np.unique(np.concatenate([first, second])))
    single = ~repeated
    fine = [v for v in usable if _fine(v[single] if single.sum() > n // 4 else v)]
    proven = len(fine) >= 2 and equal >= 0.9
    if not proven and view.classes == 0 and equal >= 0.9:
        # A plant at rest repeats one state many times; a copied row is there twice.
        times = float(np.mean(count[back[first]]))
        proven = _chance_equal(view.y, view.seed) < 0.2 and len(usable) >= 3 and times <= 3
    return Duplicates(touched, touched / n, equal, proven)


def _fine(values: FloatArray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) >= 20 and len(np.unique(known)) > 0.4 * len(known)


def _chance_equal(y: FloatArray, seed: int) -> float:
    shuffled = np.random.default_rng(seed).permutation(y)
    near = float(np.mean(y[1:] == y[:-1]))
    return max(near, float(np.mean(shuffled == y)))


@dataclass(frozen=True)
class Grouping:
    """A column whose values bundle rows that are alike."""

    groups: int
    likeness: float
    """Share of the target's variation that lies between groups, beyond chance [-]."""
    p: float


def grouping_of(labels: FloatArray, view: View) -> Grouping | None:
    """Say whether rows with equal labels have like targets, beyond what their neighbourhood explains.

    Labels that lie side by side are judged by the steps of the target at their borders against the steps within (random
    borders are the null), so that a slow process is not taken for a lot effect. Scattered labels are permuted.
    """
    known = np.isfinite(labels)
    if known.sum() < _FEWEST:
        return None
    codes = np.unique(labels[known], return_inverse=True)[1]
    y = view.y[known]
    groups, n = int(codes.max()) + 1, len(codes)
    if groups < 5 or n / groups < 1.8 or float(np.ptp(y)) == 0:
        return None
    generator = np.random.default_rng(view.seed)
    border = codes[1:] != codes[:-1]
    if int(border.sum()) + 1 <= 1.5 * groups:
        steps = (np.diff(y) != 0).astype(np.float64) if view.classes else np.diff(y) ** 2
        observed, within = float(steps[border].mean()), float(steps[~border].mean())
        null = np.array([steps[generator.permutation(border)].mean() for _ in range(_SHIFTS)])
        likeness = 1.0 - within / max(observed, 1e-300)
    else:
        observed = _between(codes, y, groups)
        null = np.array([_between(generator.permutation(codes), y, groups) for _ in range(_SHIFTS)])
        likeness = (observed - float(null.mean())) / max(1e-12, 1.0 - float(null.mean()))
    p = (1 + int(np.sum(null >= observed))) / (1 + _SHIFTS)
    return Grouping(groups, max(0.0, likeness), p)


def _between(codes: np.ndarray, y: FloatArray, groups: int) -> float:
    count = np.maximum(np.bincount(codes, minlength=groups), 1)
    means = np.bincount(codes, weights=y, minlength=groups) / count
    return float(np.sum((means[codes] - y.mean()) ** 2) / max(float(np.sum((y - y.mean()) ** 2)), 1e-300))


def told_by(labels: FloatArray, view: View) -> float:
    """Share of the target told by a few labels: error reduction for classes, R² for numbers (both out of sample) [-]."""
    from madang.models._leaks_view import strength

    found = strength(labels, view.y, view.classes, True, np.random.default_rng(view.seed))
    return 0.0 if found is None else found.score
