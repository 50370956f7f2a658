"""Linear candidates: ridge on sparse lags, partial least squares, logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.models._candidates._base import Learner, State, weighted_sum
from madang.models._features import Matrix
from madang.models._frame import FloatArray

Bool: TypeAlias = NDArray[np.bool_]

CLIP = 6.0
"""Standard deviations beyond which a feature counts no further: a linear model must not follow a broken sensor."""
PENALTIES = np.logspace(-4, 2, 13)
"""Ridge penalties tried, per row."""


class Scaler:
    """Fills gaps with the middle, centres and scales, and stops at `CLIP` standard deviations."""

    def __init__(self) -> None:
        self.middle: FloatArray = np.zeros(0)
        self.mean: FloatArray = np.zeros(0)
        self.scale: FloatArray = np.zeros(0)

    def fit(self, features: Matrix) -> None:
        """Learn middle, mean and spread of each feature."""
        with np.errstate(all="ignore"):
            present = np.isfinite(features)
            # np.nanmedian warns on a column without values, which is allowed here.
            self.middle = np.array(
                [np.median(c[m]) if m.any() else 0.0 for c, m in zip(features.T, present.T, strict=True)], dtype=np.float64
            )
        filled = self._filled(features)
        self.mean = filled.mean(axis=0)
        spread = filled.std(axis=0)
        self.scale = np.where(spread > 1e-9 * (1 + np.abs(self.mean)), spread, np.inf)

    def apply(self, features: Matrix) -> FloatArray:
        """Return the scaled features."""
        return np.asarray(np.clip((self._filled(features) - self.mean) / self.scale, -CLIP, CLIP))

    def _filled(self, features: Matrix) -> FloatArray:
        wide = features.astype(np.float64)
        return np.asarray(np.where(np.isfinite(wide), wide, self.middle))

    def state(self) -> State:
        """The three rows of numbers."""
        return {"middle": self.middle, "mean": self.mean, "scale": self.scale}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take the three rows of numbers."""
        self.middle, self.mean, self.scale = (np.asarray(state[k], dtype=np.float64) for k in ("middle", "mean", "scale"))


class _LinearInFeatures(Learner):
    """A learner whose prediction is a weighted sum of scaled features."""

    def __init__(self) -> None:
        self.scaler = Scaler()
        self.weights: FloatArray = np.zeros(0)
        self.offset: FloatArray = np.zeros(1)
        self.classes = 0
        self.low, self.high = -np.inf, np.inf

    def predict(self, features: Matrix) -> FloatArray:
        """Return the weighted sum, no further outside the seen targets than half their range."""
        total = weighted_sum(self.scaler.apply(features), self.weights)
        if self.classes:
            return _shares(total + self.offset)
        return np.asarray(np.clip(total + self.offset[0], self.low, self.high))

    def state(self) -> State:
        """Scaler, weights and bounds."""
        return {
            "scaler": self.scaler.state(), "weights": self.weights, "offset": self.offset, "classes": self.classes,
            "bounds": np.array([self.low, self.high]),
        }  # fmt: skip

    def restore(self, state: Mapping[str, object]) -> None:
        """Take scaler, weights and bounds."""
        self.scaler.restore(state["scaler"])  # type: ignore[arg-type]
        self.weights = np.asarray(state["weights"], dtype=np.float64)
        self.offset = np.asarray(state["offset"], dtype=np.float64)
        self.classes = int(state["classes"])  # type: ignore[call-overload]
        self.low, self.high = (float(v) for v in np.asarray(state["bounds"]))

    def _bound(self, target: FloatArray) -> None:
        reach = 0.5 * float(target.max() - target.min())
        self.low, self.high = float(target.min()) - reach, float(target.max()) + reach


class Linear(_LinearInFeatures):
    """Ridge regression on the few features that a lasso path keeps (sparse lags).

    Source:
        Efron et al. 2004, "Least angle regression" (path, chosen by BIC); Golub, Heath & Wahba 1979 (penalty by generalised
        cross-validation).
    """

    KEEP = 60
    """Most features kept."""

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Choose features, then the penalty, then the weights."""
        self.scaler.fit(features)
        scaled = self.scaler.apply(features)
        self.offset = np.array([target.mean()])
        centred = target - target.mean()
        shift = scaled.mean(axis=0)
        gram = scaled.T @ scaled - len(scaled) * np.outer(shift, shift)
        cross = scaled.T @ centred
        kept = _sparse(gram, cross, float(centred @ centred), len(target), self.KEEP)
        weights = np.zeros(scaled.shape[1])
        if len(kept):
            weights[kept] = _ridge(gram[np.ix_(kept, kept)], cross[kept], float(centred @ centred), len(target))
        self.weights = weights
        self.offset = np.array([target.mean() - float(shift @ weights)])
        self._bound(target)


def _sparse(gram: FloatArray, cross: FloatArray, total: float, rows: int, keep: int) -> NDArray[np.int64]:
    """Return the features of the lasso path's best step by BIC; all of them when they are few."""
    alive = np.flatnonzero(np.diag(gram) > 1e-9)
    if len(alive) <= 12 or total <= 0:
        return alive
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path_gram

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        jitter = 1e-6 * np.eye(len(alive)) * np.diag(gram)[alive].mean()
        _, _, path = lars_path_gram(
            cross[alive], gram[np.ix_(alive, alive)] + jitter, n_samples=rows, method="lasso", max_iter=2 * keep
        )
    best, chosen = np.inf, alive[:0]
    for step in path.T:
        some = np.flatnonzero(step)
        if len(some) > min(keep, rows // 3):
            break
        error = max(total - 2 * float(step @ cross[alive]) + float(step @ gram[np.ix_(alive, alive)] @ step), 1e-12)
        score = rows * np.log(error / rows) + len(some) * np.log(rows)
        if score < best:
            best, chosen = score, alive[some]
    return chosen


def _ridge(gram: FloatArray, cross: FloatArray, total: float, rows: int) -> FloatArray:
    """Return ridge weights with the penalty of least generalised cross-validation error."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ cross
    best, chosen = np.inf, turned
    for penalty in PENALTIES * rows:
        shrunk = turned / (values + penalty)
        error = total - 2 * float(shrunk @ turned) + float(shrunk @ (values * shrunk))
        freedom = float(np.sum(values / (values + penalty)))
        score = error / max(rows - 1 - freedom, 1.0) ** 2
        if score < best:
            best, chosen = score, shrunk
    return vectors @ chosen


class PartialLeastSquares(_LinearInFeatures):
    """Partial least squares; for a classification on class indicators, its scores turned into probabilities.

    Source:
        Dayal & MacGregor 1997, "Improved PLS algorithms" (kernel algorithm 1).
    """

    MOST = 10
    """Most components tried."""

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Choose the number of components on held-out blocks, then fit on everything."""
        self.classes = classes
        self.scaler.fit(features)
        scaled = self.scaler.apply(features)
        wanted = np.eye(classes)[target.astype(np.int64)] if classes else target[:, None]
        parts = (
            np.arange(len(scaled)) * 4 // len(scaled) if ordered else np.random.default_rng(seed).permutation(len(scaled)) % 4
        )
        error = np.zeros(self.MOST)
        for part in range(1 if ordered else 0, 4):
            seen = parts < part if ordered else parts != part
            judged = parts == part
            for count, (weights, offset) in enumerate(_pls(scaled[seen], wanted[seen], self.MOST)):
                error[count] += float(np.sum((wanted[judged] - scaled[judged] @ weights - offset) ** 2))
            error[count + 1 :] = np.inf
        chosen = int(np.argmin(error))
        weights, offset = _pls(scaled, wanted, chosen + 1)[-1]
        if classes:
            raw = scaled @ weights + offset
            sharpness = _sharpness(raw, target.astype(np.int64))
            self.weights, self.offset = weights * sharpness, (offset - 1.0 / classes) * sharpness
            prior = np.log((np.bincount(target.astype(np.int64), minlength=classes) + 0.5) / len(target))
            self.offset = self.offset + prior - prior.mean() if classes > 2 else self.offset
        else:
            self.weights, self.offset = weights[:, 0], offset
            self._bound(target)


def _pls(features: FloatArray, target: FloatArray, components: int) -> list[tuple[FloatArray, FloatArray]]:
    """Return weights and offset for 1, 2, ... components."""
    middle, wanted = features.mean(axis=0), target.mean(axis=0)
    gram = features.T @ features - len(features) * np.outer(middle, middle)
    cross = features.T @ (target - wanted)
    inputs = features.shape[1]
    turns = np.zeros((inputs, 0))
    loads = np.zeros((inputs, 0))
    weights = np.zeros((inputs, target.shape[1]))
    made = []
    for _ in range(min(components, inputs)):
        if target.shape[1] == 1:
            direction = cross[:, 0]
        else:
            _, vectors = np.linalg.eigh(cross.T @ cross)
            direction = cross @ vectors[:, -1]
        size = float(np.linalg.norm(direction))
        if size < 1e-10:
            break
        direction = direction / size
        turn = direction - turns @ (loads.T @ direction)
        strength = float(turn @ gram @ turn)
        if strength < 1e-10:
            break
        load = gram @ turn / strength
        answer = cross.T @ turn / strength
        cross = cross - np.outer(load, answer) * strength
        turns, loads = np.column_stack([turns, turn]), np.column_stack([loads, load])
        weights = weights + np.outer(turn, answer)
        made.append((weights, wanted - middle @ weights))
    return made or [(weights, wanted)]


def _sharpness(raw: FloatArray, target: NDArray[np.int64]) -> float:
    """How much to stretch scores so that their shares fit the classes best (log loss on a grid)."""
    rows = np.arange(len(target))
    losses = {}
    for sharpness in (1.0, 2.0, 4.0, 6.0, 10.0, 16.0):
        losses[sharpness] = -float(np.mean(np.log(_shares((raw - 1.0 / raw.shape[1]) * sharpness)[rows, target] + 1e-12)))
    return min(losses, key=lambda s: losses[s])


def _shares(level: FloatArray) -> FloatArray:
    raised = np.exp(level - level.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class Logistic(_LinearInFeatures):
    """Logistic regression with a ridge penalty chosen by held-out log loss."""

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Choose the penalty on held-out rows, then fit on everything."""
        self.classes = classes
        self.scaler.fit(features)
        scaled = self.scaler.apply(features)
        place = np.arange(len(scaled)) if ordered else np.random.default_rng(seed).permutation(len(scaled))
        seen = place < 0.75 * len(scaled)
        losses = {}
        for strength in (0.001, 0.01, 0.1, 1.0):
            if len(np.unique(target[seen])) < 2:
                break
            weights, offset = self._solve(scaled[seen], target[seen], strength)
            likely = _shares(scaled[~seen] @ weights + offset)[np.arange(int((~seen).sum())), target[~seen].astype(np.int64)]
            losses[strength] = -float(np.mean(np.log(likely + 1e-9)))
        best = min(losses, key=lambda s: losses[s]) if losses else 0.01
        self.weights, self.offset = self._solve(scaled, target, best)

    def _solve(self, scaled: FloatArray, target: FloatArray, strength: float) -> tuple[FloatArray, FloatArray]:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, max_iter=300, tol=1e-4)
        with warnings.catch_warnings():
            # A penalised fit that stops after 300 steps is good enough for a candidate.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(scaled, target.astype(np.int64))
        weights = np.zeros((scaled.shape[1], self.classes))
        offset = np.full(self.classes, -20.0)
        present = model.classes_.astype(np.int64)
        if len(present) == 2:
            weights[:, present[1]], offset[present[0]], offset[present[1]] = model.coef_[0], 0.0, model.intercept_[0]
        else:
            weights[:, present], offset[present] = model.coef_.T, model.intercept_
        return weights, offset
