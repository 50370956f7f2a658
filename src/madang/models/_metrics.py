"""How good a prediction is, with an interval that knows about series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from madang.models._frame import FloatArray, IntArray
from madang.models._words import Metric, Score

PLATEAU = 0.02
"""F1 that two thresholds may differ by and still be called equally good."""
FALSE_ALARM_RATE = 0.05
"""Share of good rows that may be called bad when recall is stated."""


def rmse(truth: FloatArray, guess: FloatArray) -> float:
    """Root mean square error, in the unit of the target."""
    return float(np.sqrt(np.mean((truth - guess) ** 2)))


def mae(truth: FloatArray, guess: FloatArray) -> float:
    """Mean absolute error, in the unit of the target."""
    return float(np.mean(np.abs(truth - guess)))


def r2(truth: FloatArray, guess: FloatArray) -> float | None:
    """Share of the variance explained [-]; None when the truth does not vary."""
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return None if spread <= 0 else 1.0 - float(np.sum((truth - guess) ** 2)) / spread


def average_precision(truth: FloatArray, score: FloatArray) -> float:
    """Area under the precision-recall curve by steps (average precision); ties count as one step.

    Source:
        Davis & Goadrich 2006, "The relationship between precision-recall and ROC curves": no interpolation between the points.
    """
    positives = float(truth.sum())
    if positives == 0:
        return 0.0
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    hits = hits[last_of_tie]
    seen = np.flatnonzero(last_of_tie) + 1.0
    return float(np.sum(np.diff(np.concatenate([[0.0], hits])) / positives * hits / seen))


def roc_auc(truth: FloatArray, score: FloatArray) -> float | None:
    """Chance that a bad row scores above a good one (Mann-Whitney), ties count half; None with one class only."""
    from scipy.stats import rankdata

    bad = float(truth.sum())
    good = len(truth) - bad
    if bad == 0 or good == 0:
        return None
    ranks = rankdata(score)
    return float((ranks[truth > 0].sum() - bad * (bad + 1) / 2) / (bad * good))


def f1(truth: FloatArray, called: FloatArray) -> float:
    """Harmonic mean of precision and recall of the bad class [-]."""
    hits = float(np.sum((truth > 0) & (called > 0)))
    total = float(np.sum(truth > 0) + np.sum(called > 0))
    return 2 * hits / total if total else 0.0


def macro_f1(truth: FloatArray, guess: FloatArray, classes: int) -> float:
    """Mean over the classes of each class's F1; classes that occur in neither truth nor guess do not count."""
    scores = [
        f1((truth == c).astype(float), (guess == c).astype(float))
        for c in range(classes)
        if np.any((truth == c) | (guess == c))
    ]
    return float(np.mean(scores)) if scores else 0.0


def recall_at(truth: FloatArray, score: FloatArray, rate: float = FALSE_ALARM_RATE) -> float:
    """Share of the bad rows found when at most a share `rate` of the good rows raises a false alarm."""
    good, bad = score[truth == 0], score[truth > 0]
    if not len(bad):
        return 0.0
    if not len(good):
        return 1.0
    allowed = int(np.floor(rate * len(good)))
    limit = np.sort(good)[::-1][allowed] if allowed < len(good) else -np.inf
    return float(np.mean(bad > limit))


def best_threshold(truth: FloatArray, probability: FloatArray) -> float:
    """Probability above which to call a row bad so that F1 is best on rows like these.

    Source:
        Lipton, Elkan & Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure".
    """
    if truth.sum() == 0:
        return 0.5
    order = np.argsort(-probability, kind="stable")
    p = probability[order]
    hits = np.cumsum(truth[order])
    score = 2 * hits / (truth.sum() + np.arange(1, len(p) + 1))
    score = np.where(np.append(np.diff(p) != 0, True), score, -1.0)
    middles = (p + np.append(p[1:], 0.9 * p[-1])) / 2
    # The middle of all thresholds that are about as good, drawn towards half the best F1, where the best threshold of well
    # calibrated probabilities lies: the single best one is luck of these rows.
    return float((np.median(middles[score >= score.max() - PLATEAU]) + score.max() / 2) / 2)


def cost_curve(truth: FloatArray, probability: FloatArray) -> list[dict[str, float]]:
    """Expected cost per row against the ratio of a missed bad row's cost to a false alarm's.

    Returns:
        For ratios 1 to 100: the threshold to use, the cost per row in false alarms, and the cheaper of never and always acting.
    """
    curve = []
    bad = float(np.mean(truth))
    for ratio in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0):
        limit = 1.0 / (1.0 + ratio)
        called = probability >= limit
        cost = float(np.mean(called & (truth == 0)) + ratio * np.mean(~called & (truth > 0)))
        curve.append({"cost_ratio": ratio, "threshold": limit, "cost": cost, "without_model": min(ratio * bad, 1 - bad)})
    return curve


Value = Callable[[IntArray], float | None]


def with_interval(value: Value, rows: int, *, block: int, seed: int, draws: int = 200, level: float = 0.95) -> Score:
    """Return a metric with its bootstrap interval; rows of a series are drawn in blocks, because neighbours are alike.

    Args:
        value: Metric of a choice of row places (0 to rows - 1, with repeats).
        rows: How many rows were judged.
        block: Length of a block [row]; 1 = independent rows.
        seed: For the draws.
        draws: How many bootstrap samples.
        level: Confidence of the interval.

    Source:
        Künsch 1989, "The jackknife and the bootstrap for general stationary observations" (moving blocks, here circular).
    """
    if rows == 0:
        return Score(None, None, None)
    everything = np.arange(rows, dtype=np.int64)
    middle = value(everything)
    if middle is None:
        return Score(None, None, None)
    if rows < 8:
        return Score(middle, None, None)
    rng = np.random.default_rng(seed)
    block = max(1, min(block, rows // 4))
    found = []
    for _ in range(draws):
        starts = rng.integers(0, rows, size=-(-rows // block))
        chosen = np.mod((starts[:, None] + np.arange(block)[None, :]).ravel()[:rows], rows)
        drawn = value(chosen)
        if drawn is not None:
            found.append(drawn)
    if len(found) < draws // 2:
        return Score(middle, None, None)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Score(middle, float(low), float(high))


def better(metric: Metric, a: float, b: float) -> bool:
    """Whether score a beats score b."""
    return a < b if metric.better == "lower" else a > b
