"""What every learner can do, and how it is written down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.models._features import Matrix
from madang.models._frame import FloatArray

State: TypeAlias = "dict[str, float | int | str | NDArray[Any] | State]"
"""Numbers, texts, arrays and nested states: all that a fitted learner is."""


class Learner(ABC):
    """Learns from a feature matrix; rows of its prediction depend on their own features only.

    A regression target gives predictions of shape (row,), a classification of k classes gives probabilities of shape (row, k).
    """

    kinds: ClassVar[dict[str, type[Learner]]] = {}
    """Every kind of learner by the name it is saved under."""

    def __init_subclass__(cls) -> None:
        Learner.kinds[cls.__name__] = cls

    @abstractmethod
    def fit(self, features: Matrix, target: FloatArray, classes: int, ordered: bool, seed: int) -> None:
        """Learn.

        Args:
            features: Shape (row, feature), NaN where absent, oldest row first when ordered.
            target: Shape (row,), finite; class codes from 0 for a classification.
            classes: Number of classes, 0 for a regression.
            ordered: Whether later rows are later: inner validation then looks forward too.
            seed: For everything random.
        """

    @abstractmethod
    def predict(self, features: Matrix) -> FloatArray:
        """Return predictions, each from its own row alone (bit for bit, however many rows are asked for at once)."""

    @abstractmethod
    def state(self) -> State:
        """Return everything that `restore` needs."""

    @abstractmethod
    def restore(self, state: Mapping[str, object]) -> None:
        """Become the learner that `state` described."""


def learner_state(learner: Learner) -> State:
    """Return a learner's state with its kind."""
    return {"kind": type(learner).__name__, **learner.state()}


def learner_from(state: Mapping[str, object]) -> Learner:
    """Make the learner that a state describes."""
    learner = Learner.kinds[str(state["kind"])]()
    learner.restore(state)
    return learner


def weighted_sum(features: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``features @ weights`` column by column.

    A BLAS product may round differently for another number of rows; a prediction must not change when a file is cut.
    """
    total = np.zeros((len(features), weights.shape[1]) if weights.ndim == 2 else len(features))
    for place in range(features.shape[1]):
        if weights.ndim == 2:
            total += features[:, place, None] * weights[place][None, :]
        else:
            total += features[:, place] * weights[place]
    return total
