"""Whether the order of the rows carries the target, as in a file that was sorted by class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from madang.models._frame import FloatArray, Frame, IntArray, Task
from madang.models._wording import chance
from madang.plant import Bilingual

_PERMUTATIONS: Final = 500
_FEWEST: Final = 20
_MANY: Final = 1_000
"""Rows from which the normal limit stands in for permutations."""
_SURE: Final = 0.01
_SORTED_RANK: Final = 0.98


@dataclass(frozen=True)
class OrderTest:
    """The result of comparing neighbours in a file with rows drawn at random."""

    found: bool
    """Whether neighbours are more alike than chance allows (p < 0.01)."""
    statistic: float
    """Likeness of neighbours: 1 when neighbours are equal, 0 when they are like any two rows [-]."""
    evidence: Bilingual
    sorted: bool = False
    """Whether the rows are sorted by the target (or lie in one run per class), which no process does by itself."""
    p: float = 1.0


def row_order_carries_target(frame: Frame, target: str, task: Task, seed: int, rows: IntArray | None = None) -> OrderTest:
    """Test whether the order of the rows says something about the target.

    A class: share of neighbouring rows of equal class against permutations (Wald and Wolfowitz, 1940, runs test).
    A number: one minus half of von Neumann's ratio on ranks (Bartels, 1982).

    Args:
        frame: Rows in the order of their source.
        target: Column asked for.
        task: A classification compares classes, other tasks compare ranks.
        seed: Of the permutations.
        rows: Rows to look at; all when None.
    """
    values = frame[target].values if rows is None else frame[target].values[rows]
    return order_of(values, task == "classification" or frame[target].categorical, seed)


def order_of(values: FloatArray, classes: bool, seed: int) -> OrderTest:
    """Test a column that lies in row order; see `row_order_carries_target`."""
    known = values[np.isfinite(values)]
    levels = np.unique(known)
    if len(known) < _FEWEST or len(levels) < 2:
        return OrderTest(
            found=False,
            statistic=0.0,
            evidence=Bilingual(
                ko=f"행이 {len(known)}개, 서로 다른 값이 {len(levels)}개라서 순서를 검정할 수 없어요.",
                en=f"With {len(known)} rows and {len(levels)} different values the order cannot be tested.",
            ),
        )
    codes = np.searchsorted(levels, known)
    generator = np.random.default_rng(seed)
    if classes:
        return _runs(codes, len(levels), generator)
    return _ranks(known, generator)


def _runs(codes: IntArray, classes: int, generator: np.random.Generator) -> OrderTest:
    n = len(codes)
    runs = 1 + int(np.sum(codes[1:] != codes[:-1]))
    null = np.empty(_PERMUTATIONS)
    for k in range(_PERMUTATIONS):
        shuffled = generator.permutation(codes)
        null[k] = 1 + np.sum(shuffled[1:] != shuffled[:-1])
    expected = float(null.mean())
    p = (1 + int(np.sum(null <= runs))) / (1 + _PERMUTATIONS)
    statistic = max(0.0, 1.0 - (runs - classes) / max(expected - classes, 1.0))
    in_order = runs <= max(classes, min(2 * classes, expected / 20)) and expected > 3 * classes
    return OrderTest(
        found=p < _SURE,
        statistic=statistic,
        sorted=in_order,
        p=p,
        evidence=Bilingual(
            ko=f"같은 등급이 이어진 구간이 {runs}개예요. 순서가 무작위라면 평균 {expected:.0f}개여야 해요(순열검정 {chance(p)}, {n:,}행).",
            en=f"There are {runs} runs of one class where a random order gives {expected:.0f} "
            f"(permutation test {chance(p)}, {n:,} rows).",
        ),
    )  # fmt: skip


def _ranks(values: FloatArray, generator: np.random.Generator) -> OrderTest:
    from scipy.stats import rankdata

    n = len(values)
    ranks = rankdata(values)
    spread = float(np.sum((ranks - ranks.mean()) ** 2))

    def likeness(r: FloatArray) -> float:
        return 1.0 - float(np.sum(np.diff(r) ** 2)) / (2.0 * spread)

    statistic = likeness(ranks)
    if n < _MANY:
        null = np.array([likeness(generator.permutation(ranks)) for _ in range(_PERMUTATIONS)])
        p = (1 + int(np.sum(null >= statistic))) / (1 + _PERMUTATIONS)
    else:
        # Bartels' ratio is close to normal with variance 4/n, so that half of it has 1/n.
        p = max(1 / (1 + _PERMUTATIONS), 0.5 * math.erfc(statistic * math.sqrt(n / 2)))
    slope = float(np.corrcoef(ranks, np.arange(n))[0, 1])
    return OrderTest(
        found=p < _SURE,
        statistic=max(0.0, statistic),
        sorted=abs(slope) >= _SORTED_RANK and statistic >= _SORTED_RANK,
        p=p,
        evidence=Bilingual(
            ko=f"이웃한 행의 순위 유사도가 {statistic:.2f}, 행 번호와의 순위상관이 {slope:.2f}예요"
            f"(무작위면 0 근처, 순위 순서 검정 {chance(p)}, {n:,}행).",
            en=f"Neighbouring rows are alike by {statistic:.2f} in rank and the rank correlation with the row number is {slope:.2f} "
            f"(near 0 for a random order, rank test {chance(p)}, {n:,} rows).",
        ),
    )  # fmt: skip
