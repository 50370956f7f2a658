"""What changed between training and the last block, and whether it matters.

Plant readings follow one another slowly, so that the usual tests call everything a change. Here the null is made from the
training rows themselves, in blocks as long as the column's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from madang.models._frame import FloatArray, Frame, Series
from madang.models._words import Drift
from madang.plant import Bilingual

_REPEATS: Final = 200
_MOST_ROWS: Final = 2_000
_FEWEST: Final = 20
_FALSE_SHARE: Final = 0.05
"""Expected share of false alarms among the columns called moved (Benjamini and Hochberg, 1995)."""
_SMALLEST_SHIFT: Final = 0.2
"""Population stability index below which a change is too small to speak of (common rule: 0.1 to 0.25 moderate)."""
_OUTSIDE: Final = 0.05
"""Share of rows outside the training range from which it is told."""
_WORSE: Final = 1.1
"""Ratio of errors from which a real worsening also matters."""


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column moved."""

    name: str
    distance: float
    """Kolmogorov-Smirnov distance [-]; for categories the total variation distance."""
    p: float
    """Share of block-bootstrapped pairs of training rows that lie at least as far apart."""
    index: float
    """Population stability index [-]."""
    outside: float
    """Share of the last block's rows outside the range (or categories) of training."""
    moved: bool = False


def find_drift(
    train: Frame,
    last: Frame,
    columns: Sequence[str],
    *,
    errors_train: FloatArray | None = None,
    errors_last: FloatArray | None = None,
    seed: int = 0,
) -> Drift:
    """Say which inputs moved, which left their training range, and whether the error got worse.

    Args:
        train: Rows that the model learned from, in time order.
        last: Rows of the untouched last block, in time order.
        columns: Inputs to look at.
        errors_train: Absolute errors (or losses) of out-of-fold predictions on training rows, NaN where absent.
        errors_last: The same on the last block.
        seed: Of the bootstrap.

    Returns:
        `matters` is true when the error of the last block is worse than that of training by more than a tenth and beyond
        its block-bootstrap interval (one-sided 99 %); without errors, when more than a tenth of the rows lie outside the
        training range of some input.
    """
    generator = np.random.default_rng(seed)
    seen = [column_drift(train[c], last[c], generator) for c in columns if c in train.series and c in last.series]
    moved = _moved([s for s in seen if s is not None])
    ratio = _worse(errors_train, errors_last, generator)
    if ratio is None:
        matters = any(m.outside > 0.1 for m in moved)
    else:
        matters = ratio[1] > 1.0 and ratio[0] > _WORSE
    found = bool(moved) or matters
    return Drift(found=found, columns=tuple(m.name for m in moved), matters=matters, text=_text(moved, ratio, matters))


def column_drift(train: Series, last: Series, generator: np.random.Generator) -> ColumnDrift | None:
    """Compare one column of training with the last block; None when there is too little to compare."""
    old, new = train.values[np.isfinite(train.values)], last.values[np.isfinite(last.values)]
    if len(old) < _FEWEST or len(new) < _FEWEST:
        return None
    if train.categorical or len(np.unique(old)) <= 12:
        levels = np.unique(np.concatenate([old, new]))
        distance = _total_variation(old, new, levels)
        outside = float(np.mean(~np.isin(new, np.unique(old))))
        null = [_total_variation(old, draw, levels) for draw in _redraws(old, len(new), generator)]
    else:
        low, high = float(old.min()), float(old.max())
        slack = 0.02 * (high - low)
        outside = float(np.mean((new < low - slack) | (new > high + slack)))
        reference = np.sort(old)
        distance = _distance(reference, new)
        null = [_distance(reference, draw) for draw in _redraws(old, len(new), generator)]
    p = (1 + sum(d >= distance for d in null)) / (1 + len(null))
    return ColumnDrift(train.name, distance, p, stability_index(old, new), outside)


def stability_index(old: FloatArray, new: FloatArray) -> float:
    """Return the population stability index over ten classes of equal training share [-]."""
    edges = np.unique(np.quantile(old, np.linspace(0, 1, 11)[1:-1]))
    expected = np.bincount(np.searchsorted(edges, old), minlength=len(edges) + 1) / len(old)
    actual = np.bincount(np.searchsorted(edges, new), minlength=len(edges) + 1) / len(new)
    expected, actual = np.maximum(expected, 1e-3), np.maximum(actual, 1e-3)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def memory_rows(values: FloatArray) -> int:
    """Return over how many rows a series remembers itself: the integrated autocorrelation time, at least 1."""
    n = len(values)
    centred = values - values.mean()
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    correlation = np.fft.irfft(power)[: max(2, n // 4)]
    if correlation[0] <= 0:
        return 1
    correlation = correlation / correlation[0]
    below = np.flatnonzero(correlation < 0.05)
    stop = int(below[0]) if len(below) else len(correlation)
    return max(1, int(np.ceil(1 + 2 * float(np.sum(correlation[1:stop])))))


def block_means(values: FloatArray, repeats: int, generator: np.random.Generator) -> FloatArray:
    """Return means of block-bootstrapped copies of a series, shape (repeats,)."""
    n = len(values)
    length = int(np.clip(2 * memory_rows(values), 1, max(1, n // 6)))
    blocks = int(np.ceil(n / length))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    starts = generator.integers(0, n, (repeats, blocks))
    return np.asarray((sums[starts + length] - sums[starts]).sum(axis=1) / (blocks * length), dtype=np.float64)


def _redraws(old: FloatArray, size: int, generator: np.random.Generator) -> list[FloatArray]:
    """Pseudo last blocks from training rows, in blocks of twice the memory (a quarter of the training rows at most)."""
    n = len(old)
    length = int(np.clip(2 * memory_rows(old), 1, max(1, n // 4)))
    blocks = max(1, int(np.ceil(size / length)))
    # Long blocks are thinned evenly, so that a draw spans as much time as the last block does.
    offsets = np.arange(0, length, max(1, size // _MOST_ROWS))
    out = []
    for _ in range(_REPEATS):
        starts = generator.integers(0, max(1, n - length + 1), blocks)
        out.append(old[(starts[:, None] + offsets).ravel() % n][:size])
    return out


def _distance(reference: FloatArray, new: FloatArray) -> float:
    ordered = np.sort(new)
    if len(ordered) > _MOST_ROWS:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _MOST_ROWS).astype(np.int64)]
    below = np.searchsorted(reference, ordered, side="right") / len(reference)
    until = np.searchsorted(reference, ordered, side="left") / len(reference)
    own = np.arange(1, len(ordered) + 1) / len(ordered)
    return float(max(np.max(own - below), np.max(until - (own - 1 / len(ordered)))))


def _total_variation(old: FloatArray, new: FloatArray, levels: FloatArray) -> float:
    a = np.bincount(np.searchsorted(levels, old), minlength=len(levels)) / len(old)
    b = np.bincount(np.searchsorted(levels, new), minlength=len(levels)) / len(new)
    return float(0.5 * np.abs(a - b).sum())


def _moved(seen: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    ranked = sorted(seen, key=lambda s: s.p)
    cut = 0.0
    for place, one in enumerate(ranked, start=1):
        if one.p <= _FALSE_SHARE * place / len(ranked):
            cut = one.p
    out = [s for s in seen if s.outside > _OUTSIDE or (s.p <= cut and s.index > _SMALLEST_SHIFT)]
    return sorted(out, key=lambda s: (-s.outside, -s.distance, s.name))


def _worse(
    train: FloatArray | None, last: FloatArray | None, generator: np.random.Generator
) -> tuple[float, float, float] | None:
    """Ratio of the mean errors with its one-sided 99 % lower bound, and the two-sided upper one."""
    if train is None or last is None:
        return None
    old, new = train[np.isfinite(train)], last[np.isfinite(last)]
    if len(old) < _FEWEST or len(new) < _FEWEST or float(np.mean(old)) <= 0:
        return None
    ratios = block_means(new, 1_000, generator) / np.maximum(block_means(old, 1_000, generator), 1e-300)
    low, high = np.quantile(ratios, (0.01, 0.99))
    return float(np.mean(new) / np.mean(old)), float(low), float(high)


def _text(moved: Sequence[ColumnDrift], ratio: tuple[float, float, float] | None, matters: bool) -> Bilingual:
    ko: list[str] = []
    en: list[str] = []
    if not moved:
        ko.append("마지막 구간에서 입력의 변화는 찾지 못했어요.")
        en.append("No input was found to have moved in the last block.")
    else:
        shown = moved[:5]
        names = "; ".join(f"{m.name} ({100 * m.outside:.0f} %, {m.distance:.2f})" for m in shown)
        more_ko = f" 외 {len(moved) - 5}개" if len(moved) > 5 else ""
        more_en = f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        ko.append(f"학습 구간과 달라진 입력(학습 범위를 벗어난 행의 비율, 분포 거리 KS): {names}{more_ko}.")
        en.append(f"Inputs that moved (share of rows outside the training range, KS distance): {names}{more_en}.")
    if ratio is None:
        ko.append("오차가 커졌는지는 확인할 수 없었어요.")
        en.append("Whether the error grew could not be checked.")
    else:
        value, low, high = (f"{part:.2f}" for part in ratio)
        ko.append(f"마지막 구간의 평균 오차는 학습 구간의 {value}배예요(98 % 구간 {low} ~ {high}).")
        en.append(f"The mean error of the last block is {value} times that of training (98 % interval {low} to {high}).")
    ko.append("그래서 예측에 영향이 있어요." if matters else "예측에 미치는 영향은 확인되지 않았어요.")
    en.append("So the change matters for the prediction." if matters else "An effect on the prediction was not seen.")
    return Bilingual(ko=" ".join(ko), en=" ".join(en))
