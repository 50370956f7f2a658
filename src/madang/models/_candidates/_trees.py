"""Boosted trees, boosted trees on what a linear model leaves, and the mean of both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json
from madang.models._candidates._base import Learner, State, learner_from, learner_state
from madang.models._candidates._linear import Linear
from madang.models._features import Matrix
from madang.models._frame import FloatArray

THREADS = 2
FEWEST_TO_STOP = 60
"""Held-out rows of every class needed to find the number of rounds."""
SMALL = 3_000_000
"""Cells up to which one thread learns: below, waiting for the other thread costs more than it brings."""


class Trees(Learner):
    """Gradient boosted trees, regularised, the number of rounds found on held-out rows; several unlike ones are averaged.

    Args:
        rounds: Most rounds.
        rate: Learning rate.
        leaves: Leaves of a tree; fewer for few rows.
        absolute: Whether to fit the absolute error (the median) instead of the squared one.
        repeats: How many are averaged: plain ones, and ones with random thresholds, in turn.
        most_rows: Rows learned from at most, taken evenly.

    Source:
        Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree"; Geurts, Ernst & Wehenkel 2006, "Extremely randomized
        trees" (random thresholds).
    """

    def __init__(
        self,
        rounds: int = 600,
        rate: float = 0.05,
        leaves: int = 31,
        absolute: bool = False,
        repeats: int = 1,
        most_rows: int = 1_000_000,
    ) -> None:
        self._most = rounds
        self._rate = rate
        self._leaves = leaves
        self._absolute = absolute
        self._repeats = repeats
        self._most_rows = most_rows
        self._texts: list[str] = []
        self._classes = 0
        self._boosters: list[object] = []
        self.held_out: tuple[NDArray[np.bool_], FloatArray] | None = None
        """While fitting: which rows were seen, and the predictions of those that were not by trees that had not seen them."""

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Find the number of rounds on held-out rows, then fit on everything."""
        self._classes = classes
        rows = len(target)
        if len(target) > self._most_rows:
            some = np.linspace(0, len(target) - 1, self._most_rows).round().astype(np.int64)
            features, target = features[some], target[some]
        place = np.arange(len(target)) if ordered else np.random.default_rng(seed).permutation(len(target))
        seen = place < 0.8 * len(target)
        tried: list[FloatArray] = []
        self._texts = [self._fit_one(features, target, seen, repeat, seed, tried) for repeat in range(self._repeats)]
        self.held_out = (seen, np.mean(tried, axis=0)) if len(tried) == self._repeats and len(target) == rows else None
        self._load()

    def _fit_one(
        self, features: Matrix, target: FloatArray, seen: NDArray[np.bool_], repeat: int, seed: int, held: list[FloatArray]
    ) -> str:
        import lightgbm

        settings = self._settings(features.size, len(target), repeat, seed)
        rounds = self._most
        if self._classes and np.bincount(target[~seen].astype(np.int64), minlength=self._classes).min() < FEWEST_TO_STOP:
            # So few held-out cases of a class would stop the rounds by chance.
            rounds = min(self._most, int(16.0 / self._rate))
        elif 0 < seen.sum() < len(target):
            learn = lightgbm.Dataset(features[seen], target[seen], params=settings)
            judge = lightgbm.Dataset(features[~seen], target[~seen], reference=learn, params=settings)
            stop = lightgbm.early_stopping(max(30, self._most // 12), verbose=False)
            tried = lightgbm.train(settings, learn, num_boost_round=self._most, valid_sets=[judge], callbacks=[stop])
            rounds = max(20, int(tried.best_iteration * 1.1))
            held.append(np.asarray(tried.predict(features[~seen], num_iteration=tried.best_iteration), dtype=np.float64))
        booster = lightgbm.train(settings, lightgbm.Dataset(features, target, params=settings), num_boost_round=rounds)
        return str(booster.model_to_string(num_iteration=-1))

    def _settings(self, cells: int, rows: int, repeat: int, seed: int) -> dict[str, Json]:
        classes = self._classes
        objective = "multiclass" if classes > 2 else "binary" if classes else "l1" if self._absolute else "l2"
        # Random thresholds blur the sharp limits between classes, and help where a number is smooth.
        loose = repeat % 2 == 1 and not classes
        leaves = self._leaves * 2 if loose else self._leaves
        settings: dict[str, Json] = {
            "objective": objective, "learning_rate": self._rate, "num_leaves": max(4, min(leaves, rows // 25 + 4)),
            "min_data_in_leaf": int(np.clip(rows // 400, 5, 40)), "lambda_l2": 2.0, "feature_fraction": 0.8 if loose or classes else 0.5,
            "bagging_fraction": 0.8, "bagging_freq": 1, "extra_trees": loose, "max_bin": 127 if rows > 50_000 else 255 if rows > 10_000 or not classes else 1023, "seed": seed + 101 * repeat,
            "deterministic": True, "force_row_wise": True, "num_threads": 1 if cells < SMALL else THREADS, "verbosity": -1,
        }  # fmt: skip
        if classes > 2:
            settings["num_class"] = classes
        return settings

    def _load(self) -> None:
        import lightgbm

        self._boosters = [lightgbm.Booster(model_str=text) for text in self._texts]

    def predict(self, features: Matrix) -> FloatArray:
        """Return the mean over the repeats."""
        total: FloatArray | None = None
        for booster in self._boosters:
            made = np.asarray(booster.predict(features, num_threads=1 if features.size < SMALL else THREADS), dtype=np.float64)  # type: ignore[attr-defined]
            total = made if total is None else total + made
        if total is None:
            raise ValueError("trees are asked before they were fitted")
        total = total / len(self._boosters)
        return np.column_stack([1 - total, total]) if self._classes == 2 else total

    @property
    def fitted(self) -> bool:
        """Whether there are trees already."""
        return bool(self._texts)

    def importance(self) -> NDArray[np.float64]:
        """Gain of each feature, summed over the repeats."""
        gains = [np.asarray(b.feature_importance("gain"), dtype=np.float64) for b in self._boosters]  # type: ignore[attr-defined]
        return np.asarray(sum(gains))

    def state(self) -> State:
        """The trees as LightGBM's text."""
        return {"texts": {str(n): t for n, t in enumerate(self._texts)}, "classes": self._classes}

    def restore(self, state: Mapping[str, object]) -> None:
        """Read the trees from their text."""
        texts: dict[str, str] = dict(state["texts"])  # type: ignore[call-overload]
        self._texts = [texts[k] for k in sorted(texts, key=int)]
        self._classes = int(state["classes"])  # type: ignore[call-overload]
        self._load()


class Hybrid(Learner):
    """A linear model, and trees on what it leaves over: extrapolates like a line, bends like trees."""

    def __init__(self, trees: Learner | None = None) -> None:
        self._line = Linear()
        self._trees = trees or Trees()

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Fit the line, then trees on its residuals."""
        self._line.fit(features, target, classes, ordered, seed)
        self._trees.fit(features, target - self._line.predict(features), classes, ordered, seed)

    def predict(self, features: Matrix) -> FloatArray:
        """Return line plus trees."""
        return self._line.predict(features) + self._trees.predict(features)

    def state(self) -> State:
        """Both parts."""
        return {"line": self._line.state(), "trees": self._trees.state()}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take both parts."""
        self._line.restore(state["line"])  # type: ignore[arg-type]
        self._trees.restore(state["trees"])  # type: ignore[arg-type]


class Blend(Learner):
    """Trees and a smooth learner side by side; the weight of the smooth one is found on rows that neither had seen.

    Args:
        trees: The trees.
        smooth: The other learner.
    """

    MOST = 0.6
    """Largest weight of the smooth learner."""
    DRAWN = 0.2
    """Weight taken when no rows could be held out."""

    def __init__(self, trees: Learner | None = None, smooth: Learner | None = None) -> None:
        self._trees = trees or Trees()
        self._smooth = smooth or Linear()
        self._weight = self.DRAWN

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Fit both, and the weight by least squares on the rows held out while the trees were fitted."""
        if not (isinstance(self._trees, Trees) and self._trees.fitted):
            self._trees.fit(features, target, classes, ordered, seed)
        held = self._trees.held_out if isinstance(self._trees, Trees) else None
        if held is not None and not classes:
            seen, trees = held
            self._smooth.fit(features[seen], target[seen], classes, ordered, seed)
            step = self._smooth.predict(features[~seen]) - trees
            left = target[~seen] - trees
            self._weight = float(np.clip(np.sum(step * left) / max(float(np.sum(step * step)), 1e-12), 0.0, self.MOST))
        self._smooth.fit(features, target, classes, ordered, seed)

    def share(self, trees: Trees) -> None:
        """Take trees that were fitted on the same rows and features, instead of fitting the same ones again."""
        self._trees = trees

    def predict(self, features: Matrix) -> FloatArray:
        """Return the weighted mean."""
        return np.asarray((1 - self._weight) * self._trees.predict(features) + self._weight * self._smooth.predict(features))

    def state(self) -> State:
        """Both parts and the weight."""
        return {"trees": learner_state(self._trees), "smooth": learner_state(self._smooth), "weight": self._weight}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take both parts and the weight."""
        self._trees = learner_from(state["trees"])  # type: ignore[arg-type]
        self._smooth = learner_from(state["smooth"])  # type: ignore[arg-type]
        self._weight = float(state["weight"])  # type: ignore[arg-type]
