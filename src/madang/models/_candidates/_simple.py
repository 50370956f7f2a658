"""The candidates that cost nothing, and that every other one has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from madang.models._candidates._base import Learner, State
from madang.models._features import Matrix
from madang.models._frame import FloatArray


class Constant(Learner):
    """Always the median (regression) or the share of each class (classification)."""

    def __init__(self) -> None:
        self._value: FloatArray = np.zeros(1)

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Take the middle of the target."""
        if classes:
            counts = np.bincount(target.astype(np.int64), minlength=classes)
            self._value = np.asarray((counts + 0.5) / (len(target) + 0.5 * classes), dtype=np.float64)
        else:
            self._value = np.array([np.median(target)])

    def predict(self, features: Matrix) -> FloatArray:
        """Return the same for every row."""
        if len(self._value) == 1:
            return np.full(len(features), self._value[0])
        return np.tile(self._value, (len(features), 1))

    def state(self) -> State:
        """The value."""
        return {"value": self._value}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take the value."""
        self._value = np.asarray(state["value"], dtype=np.float64)


class Direct(Learner):
    """The first feature as it is (the newest known result, the same hour of last week), the next one where it is absent."""

    def __init__(self) -> None:
        self._middle = Constant()
        self._classes = 0

    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Take the middle of the target for rows without any past."""
        self._classes = classes
        self._middle.fit(features, target, classes, ordered, seed)

    def predict(self, features: Matrix) -> FloatArray:
        """Return the first feature that is there, else the middle."""
        chosen = np.full(len(features), np.nan)
        for place in range(features.shape[1]):
            chosen = np.where(np.isnan(chosen), features[:, place].astype(np.float64), chosen)
        middle = self._middle.predict(features)
        if not self._classes:
            return np.where(np.isnan(chosen), middle, chosen)
        sure = (
            np.eye(self._classes)[np.clip(np.nan_to_num(chosen), 0, self._classes - 1).astype(np.int64)] * 0.9
            + 0.1 / self._classes
        )
        return np.where(np.isnan(chosen)[:, None], middle, sure)

    def state(self) -> State:
        """The middle and the number of classes."""
        return {"middle": self._middle.state(), "classes": self._classes}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take the middle and the number of classes."""
        self._middle.restore(state["middle"])  # type: ignore[arg-type]
        self._classes = int(state["classes"])  # type: ignore[call-overload]
