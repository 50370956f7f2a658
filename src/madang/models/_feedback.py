"""Results that return late correct what a model says next: a running median, a running mean, or a running line on what is left over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from madang.models._candidates import State
from madang.models._features import Matrix, _row_median
from madang.models._frame import FloatArray
from madang.models._history import History, Query, results_known

FeedbackKind = Literal["none", "median", "ewma", "line"]

LAG_ROWS = 2_000
"""How many known results the running line goes back for its start."""
EVERY = 4
"""The running line is solved anew after so many new results."""


@dataclass(frozen=True)
class Feedback:
    """How known residuals (result minus prediction) are carried to the next prediction."""

    kind: FeedbackKind = "none"
    count: int = 25
    """Residuals of the running median."""
    share: float = 0.05
    """Weight of the newest residual in the running mean."""
    memory: float = 0.998
    """Weight that an old residual keeps from one result to the next, in the running line."""

    def corrections(
        self, history: History, query: Query, residual: FloatArray, past: FloatArray, now: FloatArray
    ) -> FloatArray:
        """Return what to add to the predictions of the queries.

        Args:
            history: Rows whose results may be known.
            query: Rows to predict.
            residual: Result minus prediction of each history row, NaN where there is no result; shape (history,).
            past: Scaled inputs of the history rows, shape (history, input).
            now: Scaled inputs of the queries, shape (query, input).
        """
        if self.kind == "none" or not len(history):
            return np.zeros(len(query))
        known = History({}, residual, history.run, history.clock, np.where(np.isfinite(residual), history.known_at, np.inf))
        order, after, first = results_known(known, query)
        stream = residual[order]
        if not len(order):
            return np.zeros(len(query))
        if self.kind == "median":
            places = after[:, None] - 1 - np.arange(self.count)[None, :]
            taken = np.where(places >= first[:, None], stream[np.maximum(places, 0)], np.nan)
            return np.nan_to_num(_row_median(taken))
        if self.kind == "ewma":
            return self._running_mean(stream, after, first)
        return self._running_line(stream, past[order], after, first, now)

    def _running_mean(
        self, stream: FloatArray, after: np.typing.NDArray[np.int64], first: np.typing.NDArray[np.int64]
    ) -> FloatArray:
        """Exponentially weighted mean of each run's residuals, from zero."""
        levels = np.zeros(len(stream) + 1)
        begins = set(np.unique(first).tolist())
        level = 0.0
        for place, value in enumerate(stream):
            level = 0.0 if place in begins else level
            level += self.share * (value - level)
            levels[place + 1] = level
        return np.where(after > first, levels[after], 0.0)

    def _running_line(
        self,
        stream: FloatArray,
        past: FloatArray,
        after: np.typing.NDArray[np.int64],
        first: np.typing.NDArray[np.int64],
        now: FloatArray,
    ) -> FloatArray:
        """Ridge regression of the residuals on the inputs with fading memory: the plant's slow change, learned while predicting.

        Source:
            Ljung & Söderström 1983, "Theory and practice of recursive identification" (forgetting), with a fixed ridge so that
            quiet inputs cannot wind the estimate up.
        """
        inputs = past.shape[1] + 1
        made = np.zeros(len(after))
        asked = np.argsort(after, kind="stable")
        asked = asked[after[asked] > first[asked]]
        begins = set(np.unique(first).tolist())
        gram, cross = np.zeros((inputs, inputs)), np.zeros(inputs)
        ridge = np.eye(inputs) * 0.02 / (1 - self.memory)
        ridge[0, 0] = 0.002 / (1 - self.memory)
        weights = np.zeros(inputs)
        turn = 0
        since = 0
        skip = max(0, int(after[asked[0]]) - LAG_ROWS) if len(asked) else 0
        for place in range(skip, len(stream)):
            if place in begins:
                gram, cross, weights, since = np.zeros((inputs, inputs)), np.zeros(inputs), np.zeros(inputs), 0
            x = np.concatenate([[1.0], past[place]])
            gram = self.memory * gram + np.outer(x, x)
            cross = self.memory * cross + x * stream[place]
            since += 1
            if since % EVERY == 0 or since < 4 * EVERY:
                weights = np.linalg.solve(gram + ridge, cross)
            while turn < len(asked) and after[asked[turn]] == place + 1:
                row = asked[turn]
                made[row] = weights[0] + float(np.sum(now[row] * weights[1:]))
                turn += 1
            if turn == len(asked):
                break
        return made

    @property
    def label(self) -> str:
        """Suffix of a candidate's name."""
        return {"none": "", "median": "+median", "ewma": "+ewma", "line": "+line"}[self.kind]

    def state(self) -> State:
        """The settings."""
        return {"kind": self.kind, "count": self.count, "share": self.share, "memory": self.memory}

    @classmethod
    def restore(cls, state: Mapping[str, object]) -> Feedback:
        """Make feedback from its settings."""
        return cls(**state)  # type: ignore[arg-type]


class Inputs:
    """Scaled inputs for the running line: the numbers a record says itself, at most twenty."""

    MOST = 20

    def __init__(self) -> None:
        self.columns = np.zeros(0, dtype=np.int64)
        self.middle = np.zeros(0)
        self.scale = np.zeros(0)
        self.low = np.zeros(0)
        self.high = np.zeros(0)

    def fit(self, features: Matrix) -> None:
        """Learn middle, spread and seen range of each input."""
        self.middle, self.scale, self.low, self.high = (np.zeros(features.shape[1]) for _ in range(4))
        for place in range(features.shape[1]):
            column = features[:, place].astype(np.float64)
            good = column[np.isfinite(column)]
            if not len(good):
                self.scale[place], self.low[place], self.high[place] = np.inf, -np.inf, np.inf
                continue
            self.middle[place] = float(np.median(good))
            spread = float(good.std())
            self.scale[place] = spread if spread > 0 else np.inf
            self.low[place], self.high[place] = float(good.min()), float(good.max())
        self.columns = np.flatnonzero(np.isfinite(self.scale))[: self.MOST]

    def scaled(self, features: Matrix) -> FloatArray:
        """Return the inputs in standard deviations from the middle, at most four; the middle where absent."""
        wide = features[:, self.columns].astype(np.float64)
        scaled = (wide - self.middle[self.columns]) / self.scale[self.columns]
        return np.clip(np.where(np.isfinite(scaled), scaled, 0.0), -4.0, 4.0)

    def outside(self, features: Matrix) -> FloatArray:
        """Return how far each input lies outside the range seen in training, in widths of that range; 0 inside or absent."""
        if not features.shape[1]:
            return np.zeros((len(features), 0))
        wide = features.astype(np.float64)
        width = np.where(self.high > self.low, self.high - self.low, np.maximum(np.abs(self.high), 1.0))
        beyond = np.maximum(np.maximum(self.low - wide, wide - self.high), 0.0) / width
        return np.where(np.isfinite(beyond), beyond, 0.0)

    def state(self) -> State:
        """The five rows of numbers."""
        return {
            "columns": self.columns.astype(np.float64), "middle": self.middle, "scale": self.scale, "low": self.low, "high": self.high,
        }  # fmt: skip

    def restore(self, state: Mapping[str, object]) -> None:
        """Take the five rows of numbers."""
        self.columns = np.asarray(state["columns"], dtype=np.float64).astype(np.int64)
        self.middle, self.scale, self.low, self.high = (
            np.asarray(state[k], dtype=np.float64) for k in ("middle", "scale", "low", "high")
        )
