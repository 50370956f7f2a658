"""Prediction intervals that keep their promise: conformal, and adaptive where results return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madang.models._candidates import State
from madang.models._frame import FloatArray
from madang.models._history import History, Query, results_known

NOMINAL = 0.90
BINS = 8
GAIN = 0.04
"""How strongly one miss widens an adaptive interval (natural logarithm of its width)."""
WIDENINGS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Widening tried per width of the training range that an input lies outside."""


@dataclass
class Band:
    """Half-widths of the interval around a prediction.

    Half-width = `quantile` x local scale x (1 + `widening` x distance outside the training range). The local scale is the typical error
    at predictions of that size. Where results return while predicting, `quantile` follows them.

    Source:
        Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world" (split conformal, Mondrian bins); Gibbs & Candès 2021,
        "Adaptive conformal inference under distribution shift" (here on the logarithm of the width).
    """

    quantile: float = 1.0
    edges: FloatArray = None  # type: ignore[assignment]
    """Prediction at the middle of each bin, rising."""
    scales: FloatArray = None  # type: ignore[assignment]
    widening: float = 0.0
    adaptive: bool = False
    gain: float = GAIN
    """How strongly one miss widens (natural logarithm)."""

    def scale(self, prediction: FloatArray, beyond: FloatArray) -> FloatArray:
        """Return the relative half-width of each row, before the quantile."""
        return np.interp(prediction, self.edges, self.scales) * (1.0 + self.widening * beyond)

    def quantiles(self, history: History, query: Query, residual: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the quantile to use for each query, following the results known by then.

        Args:
            history: Rows whose results may be known.
            query: Rows to predict.
            residual: Result minus final prediction of each history row; NaN where it does not count.
            scale: Relative half-width of each history row.
        """
        if not self.adaptive or not len(history):
            return np.full(len(query), self.quantile)
        counts = np.isfinite(residual) & np.isfinite(scale)
        known = History(
            {}, np.where(counts, residual, np.nan), history.run, history.clock, np.where(counts, history.known_at, np.inf)
        )
        order, after, first = results_known(known, query)
        rows = Query({}, history.run, history.clock, history.clock, np.arange(len(history)))
        # What the history rows themselves knew when they were issued: the same search from their own issue.
        _, own_after, own_first = results_known(known, rows)
        log = np.zeros(len(order) + 1)
        begins = set(np.unique(first).tolist())
        own = np.minimum(own_after[order], np.arange(len(order))) if len(order) else np.zeros(0, dtype=np.int64)
        for place, row in enumerate(order):
            start = log[place] if place not in begins else 0.0
            used = log[own[place]] if own[place] > own_first[row] else 0.0
            missed = abs(residual[row]) > self.quantile * np.exp(used) * scale[row]
            log[place + 1] = np.clip(start + self.gain * (float(missed) - (1 - NOMINAL)), -3.0, 3.0)
        return np.where(after > first, self.quantile * np.exp(log[after]), self.quantile)

    def state(self) -> State:
        """The numbers."""
        return {
            "quantile": self.quantile, "edges": self.edges, "scales": self.scales, "widening": self.widening, "adaptive": int(self.adaptive), "gain": self.gain,
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, object]) -> Band:
        """Make a band from its numbers."""
        return cls(
            quantile=float(state["quantile"]),  # type: ignore[arg-type]
            edges=np.asarray(state["edges"], dtype=np.float64),
            scales=np.asarray(state["scales"], dtype=np.float64),
            widening=float(state["widening"]),  # type: ignore[arg-type]
            adaptive=bool(state["adaptive"]),
            gain=float(state["gain"]),  # type: ignore[arg-type]
        )


def calibrate(prediction: FloatArray, residual: FloatArray, beyond: FloatArray, *, adaptive: bool, late: float = 0.0) -> Band:
    """Fit a band on predictions of rows that were not learned from.

    Args:
        prediction: Out-of-fold predictions.
        residual: Result minus prediction.
        beyond: How far the inputs of each row lie outside what its fold had learned from, in widths of that range.
        adaptive: Whether results return while predicting.
        late: How late they return [row]: the later, the more gently the width must follow, or it swings.
    """
    error = np.abs(residual)
    bins = max(1, min(BINS, len(error) // 40))
    order = np.argsort(prediction, kind="stable")
    parts = np.array_split(order, bins)
    floor = max(float(np.mean(error)) * 0.05, 1e-12)
    edges = np.array([float(np.median(prediction[p])) for p in parts])
    scales = np.array([max(float(np.mean(error[p])), floor) for p in parts])
    edges, places = np.unique(edges, return_index=True)
    band = Band(edges=edges, scales=scales[places], adaptive=adaptive, gain=GAIN / (1 + late / 24.0))
    best = np.inf
    base = np.interp(prediction, band.edges, band.scales)
    for widening in WIDENINGS if np.any(beyond > 0) else WIDENINGS[:1]:
        scale = base * (1 + widening * beyond)
        quantile = conformal_quantile(error / scale)
        half = quantile * scale
        score = float(np.mean(2 * half + 2 / (1 - NOMINAL) * np.maximum(error - half, 0.0)))
        if score < best * 0.999:
            best, band.widening, band.quantile = score, widening, quantile
    return band


def conformal_quantile(scores: FloatArray, nominal: float = NOMINAL) -> float:
    """Return the score that covers at least a nominal share of new rows that are like these."""
    if not len(scores):
        return 1.0
    rank = int(np.ceil((len(scores) + 1) * nominal))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def sets_threshold(probability: FloatArray, truth: Sequence[int] | FloatArray) -> float:
    """Return the probability above which a class belongs to the prediction set (least ambiguous sets).

    Source:
        Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error levels".
    """
    truth = np.asarray(truth, dtype=np.int64)
    return 1.0 - conformal_quantile(1.0 - probability[np.arange(len(truth)), truth])
