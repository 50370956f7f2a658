"""From predictions to scores: one metric to choose by, the others beside it, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from madang.models._frame import FloatArray, IntArray
from madang.models._metrics import (
    average_precision,
    best_threshold,
    f1,
    macro_f1,
    mae,
    r2,
    recall_at,
    rmse,
    roc_auc,
    with_interval,
)
from madang.models._setting import Setting
from madang.models._words import Metric, Score

FEWEST_CASES = 100
"""Cases below which the precision-recall area is ruled by single rows; candidates are then chosen by the ROC area."""

Measure = Callable[[FloatArray, FloatArray], float | None]


@dataclass(frozen=True)
class Judge:
    """Scores predictions of one study."""

    setting: Setting
    block: int
    """Length of the blocks that the bootstrap draws [row]."""
    seed: int
    cases: int = 0
    """Learned rows of the class looked for."""

    @property
    def metric(self) -> Metric:
        """The metric candidates are chosen by."""
        if self.setting.task == "classification":
            if len(self.setting.classes) > 2:
                return Metric("macro_f1", None, "higher")
            return Metric("pr_auc" if self.cases >= FEWEST_CASES else "roc_auc", None, "higher")
        return Metric("rmse" if self.setting.task == "forecast" else "mae", self.setting.unit, "lower")

    def main(self, truth: FloatArray, guess: FloatArray) -> float | None:
        """Return the metric of some rows; None when it cannot be computed."""
        if not len(truth):
            return None
        name = self.metric.name
        if name == "pr_auc":
            bad = self.bad(truth)
            return average_precision(bad, self.score(guess)) if bad.any() else None
        if name == "roc_auc":
            return roc_auc(self.bad(truth), self.score(guess))
        if name == "macro_f1":
            return macro_f1(truth, np.argmax(guess, axis=1).astype(float), len(self.setting.classes))
        return rmse(truth, guess) if name == "rmse" else mae(truth, guess)

    def bad(self, truth: FloatArray) -> FloatArray:
        """Return 1 for rows of the class looked for."""
        return np.asarray(truth == self.setting.positive, dtype=np.float64)

    def score(self, guess: FloatArray) -> FloatArray:
        """Return the probability of the class looked for."""
        return guess[:, self.setting.positive if self.setting.positive is not None else 1]

    def interval(self, truth: FloatArray, guess: FloatArray) -> Score:
        """Return the metric with its bootstrap interval."""
        return with_interval(lambda rows: self.main(truth[rows], guess[rows]), len(truth), block=self.block, seed=self.seed)

    def difference(self, truth: FloatArray, a: FloatArray, b: FloatArray, draws: int = 100) -> tuple[float, Score]:
        """Return how much better b is than a (positive = better): its standard error, and the value with its interval."""
        sign = 1.0 if self.metric.better == "higher" else -1.0

        def gain(rows: IntArray) -> float | None:
            one, other = self.main(truth[rows], a[rows]), self.main(truth[rows], b[rows])
            return None if one is None or other is None else sign * (other - one)

        score = with_interval(gain, len(truth), block=self.block, seed=self.seed, draws=draws)
        if score.low is None or score.high is None:
            return np.inf, score
        return (score.high - score.low) / 3.92, score

    def others(self, truth: FloatArray, guess: FloatArray, weights: FloatArray, *, intervals: bool) -> dict[str, Score]:
        """Return the further metrics of some rows.

        Args:
            truth: Results.
            guess: Predictions, or probabilities of shape (row, class).
            weights: Weights of the classes in the decision, from the folds.
            intervals: Whether to add bootstrap intervals.
        """
        if not len(truth):
            return {}
        if not intervals:
            return {name: Score(measure(truth, guess), None, None) for name, measure in self._measures(weights).items()}
        return {name: self._drawn(measure, truth, guess) for name, measure in self._measures(weights).items()}

    def _drawn(self, measure: Measure, truth: FloatArray, guess: FloatArray) -> Score:
        return with_interval(lambda rows: measure(truth[rows], guess[rows]), len(truth), block=self.block, seed=self.seed)

    def _measures(self, weights: FloatArray) -> Mapping[str, Measure]:
        if self.setting.task != "classification":
            return {"rmse": rmse, "mae": mae, "r2": r2}
        classes = len(self.setting.classes)

        def called(guess: FloatArray) -> FloatArray:
            return np.asarray(np.argmax(guess * weights, axis=1), dtype=np.float64)

        if classes > 2:
            return {
                "macro_f1": lambda t, g: macro_f1(t, called(g), classes),
                "accuracy": lambda t, g: float(np.mean(t == called(g))),
            }
        return {
            "pr_auc": lambda t, g: average_precision(self.bad(t), self.score(g)) if self.bad(t).any() else None,
            "roc_auc": lambda t, g: roc_auc(self.bad(t), self.score(g)),
            "f1": lambda t, g: f1(self.bad(t), self.bad(called(g))),
            "recall_at_false_alarm_0.05": lambda t, g: recall_at(self.bad(t), self.score(g)),
        }

    def decision_weights(self, truth: FloatArray, guess: FloatArray) -> FloatArray:
        """Return class weights that give the best F1 of the class looked for on out-of-fold predictions; equal for more classes."""
        classes = len(self.setting.classes)
        weights = np.ones(max(classes, 1))
        if classes == 2 and self.setting.positive is not None:
            limit = float(np.clip(best_threshold(self.bad(truth), self.score(guess)), 1e-6, 1 - 1e-6))
            weights[self.setting.positive] = (1 - limit) / limit
            return weights
        return weights
