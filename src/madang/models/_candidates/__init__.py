"""The learners of a study: each is fitted on a matrix, predicts from one, and can be written down without pickle."""

from __future__ import annotations

from madang.models._candidates._base import Learner, State, learner_from, learner_state
from madang.models._candidates._linear import Linear, Logistic, PartialLeastSquares
from madang.models._candidates._rules import RuleList
from madang.models._candidates._simple import Constant, Direct
from madang.models._candidates._trees import Blend, Hybrid, Trees

__all__ = [
    "Blend", "Constant", "Direct", "Hybrid", "Learner", "Linear", "Logistic", "PartialLeastSquares", "RuleList", "State", "Trees",
    "learner_from", "learner_state",
]  # fmt: skip
