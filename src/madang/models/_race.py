"""The candidates of a study, run over its folds under the same rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from madang.models._candidates import (
    Blend,
    Constant,
    Direct,
    Hybrid,
    Learner,
    Linear,
    Logistic,
    PartialLeastSquares,
    RuleList,
    Trees,
)
from madang.models._features import Builder, Matrix, Recipe
from madang.models._feedback import Feedback, Inputs
from madang.models._frame import FloatArray, Frame, IntArray
from madang.models._history import History, Query, Timing
from madang.models._protocol import Fold
from madang.models._recipes import Recipes
from madang.models._setting import Setting
from madang.models._words import Family

FOLD_ROWS = 25_000
"""Rows learned from in a fold at most, taken evenly: enough to rank the candidates."""
FULL_ROWS = 50_000
"""Rows learned from with full effort at most, taken evenly."""
TAIL = 3_000
"""Learned rows whose residuals start a feedback."""


@dataclass(frozen=True)
class Spec:
    """One candidate: features, learner, what is done with late results."""

    name: str
    family: Family
    recipe: str
    make: Callable[[bool], Learner]
    """Makes the learner; True = with full effort."""
    rank: float
    """Simpler is smaller."""
    feedback: Feedback = field(default_factory=Feedback)


@dataclass
class Arena:
    """Rows, features and targets of one study."""

    frame: Frame
    setting: Setting
    history: History
    query: Query
    place: IntArray
    """History row of each row of the frame."""
    recipes: Recipes
    builder: Builder
    _made: dict[str, Matrix] = field(default_factory=dict)

    @property
    def target(self) -> FloatArray:
        """Target of each row, NaN where absent."""
        return self.frame[self.setting.target].values

    def recipe(self, name: str) -> Recipe:
        """Return a recipe by name."""
        made: Recipe = getattr(self.recipes, name) if name != "none" else ()
        return made

    def matrix(self, name: str) -> Matrix:
        """Return the features of a recipe for every row (made once)."""
        if name not in self._made:
            self._made[name] = self.builder.matrix(self.recipe(name))
        return self._made[name]


def specs_for(arena: Arena, rows: int, budget: float, *, refit: bool) -> list[Spec]:
    """Return the candidates of a study, the simple ones first.

    Args:
        arena: The study.
        rows: Rows to learn from.
        budget: Seconds that the study may take [s]; sets how many rounds and rows the trees get, so that the same request gives the
            same model on a slow machine.
        refit: Whether the chosen candidate will be fitted once more, on the last block too.
    """
    recipes, setting = arena.recipes, arena.setting
    classes = len(setting.classes)
    returns = setting.timing is not None and setting.timing.returns
    made = [Spec("constant", "constant", "none", lambda full: Constant(), 0)]
    if recipes.persistence:
        made.append(Spec("persistence", "persistence", "persistence", lambda full: Direct(), 1))
    if recipes.seasonal:
        made.append(Spec("seasonal_naive", "seasonal", "seasonal", lambda full: Direct(), 1.5))
    made.append(Spec("rules", "rules", "rules", lambda full: RuleList(), 2))
    made.append(Spec("linear", "linear_lags", "linear", lambda full: Logistic() if classes else Linear(), 3))
    made.append(Spec("pls", "pls", "linear", lambda full: PartialLeastSquares(), 3.5))
    trees = _trees(rows, len(recipes.trees), budget, absolute=setting.task == "regression", classes=classes, refit=refit)
    made.append(Spec("trees", "trees", "trees", trees, 5))
    if classes:
        return made
    if setting.task == "forecast":
        made.append(
            Spec(
                "trees_and_linear",
                "hybrid",
                "trees",
                lambda full: Blend(trees(full), PartialLeastSquares()),
                6,
            )
        )
    else:
        made.append(Spec("linear_then_trees", "hybrid", "trees", lambda full: Hybrid(trees(full)), 6))
    if returns and setting.task == "regression":
        bases = [s for s in made if s.family in ("linear_lags", "pls", "trees", "hybrid")]
        for base in bases:
            for step, feedback in enumerate((Feedback("median"), Feedback("ewma"), Feedback("line"))):
                made.append(
                    Spec(
                        base.name + feedback.label, base.family, base.recipe, base.make, base.rank + 0.1 + 0.1 * step, feedback
                    )
                )
    return made


def _trees(rows: int, features: int, budget: float, *, absolute: bool, classes: int, refit: bool) -> Callable[[bool], Learner]:
    """Trees sized so that the folds take a sixth of the budget and the final fit almost half of it.

    A round takes about 0.055 ms a feature and 4 ms a million cells on one core, once for each class beyond two.
    """
    most_rows = int(np.clip(budget / 60.0 * 4e6 / max(features, 1), 3_000, 1_000_000))
    used = min(rows, most_rows)
    features = max(features, 1)
    # A regression grows a second set of trees, on what the linear model leaves.
    seconds = (5.5e-5 * features + 4e-9 * used * features) * (classes if classes > 2 else 2 if absolute else 1)
    full_rounds = int(np.clip(budget * 0.45 / ((7.3 if refit else 4.7) * seconds), 60, 1200))
    quick_rounds = int(np.clip(budget * 0.16 / (7.7 * seconds), 40, 400))

    def make(full: bool) -> Learner:
        if full:
            return Trees(
                full_rounds, float(np.clip(25.0 / full_rounds, 0.02, 0.12)), absolute=absolute, repeats=2, most_rows=most_rows
            )
        return Trees(quick_rounds, float(np.clip(18.0 / quick_rounds, 0.04, 0.18)), absolute=absolute, most_rows=most_rows // 2)

    return make


@dataclass
class Run:
    """Predictions of every candidate on the judged rows of one fold."""

    predictions: dict[str, FloatArray]
    seconds: dict[str, float]
    learners: dict[str, Learner]
    inputs: Inputs
    residuals: dict[str, FloatArray]
    """Result minus prediction by history row, for the candidates whose feedback or interval wants it."""


def run_fold(arena: Arena, specs: Sequence[Spec], fold: Fold, *, full: bool, seed: int, judged: IntArray | None = None) -> Run:
    """Fit every candidate on the learned rows and predict the judged ones, results of judged rows returning as they would in operation.

    Args:
        arena: The study.
        specs: The candidates.
        fold: Rows to learn from and to judge.
        full: Whether to learn with full effort.
        seed: For the learners.
        judged: Rows to predict instead of the fold's own.
    """
    target = arena.target
    test = fold.test if judged is None else judged
    train = fold.train[np.isfinite(target[fold.train])]
    run = Run({}, {}, {}, Inputs(), {})
    watched = arena.matrix("inputs")
    run.inputs.fit(watched[train])
    raw: dict[str, tuple[FloatArray, IntArray, FloatArray, float]] = {}
    for spec in specs:
        key = spec.name.split("+", maxsplit=1)[0]
        if key not in raw:
            raw[key] = _fit_base(arena, spec, train, test, run, full=full, seed=seed)
        base, tail, tail_base, seconds = raw[key]
        run.seconds[spec.name] = seconds
        if spec.feedback.kind == "none":
            run.predictions[spec.name] = base
            continue
        begun = time.perf_counter()
        residual = np.full(len(arena.history), np.nan)
        for rows, guess in ((tail, tail_base), (test, base)):
            residual[arena.place[rows]] = target[rows] - guess
        past = np.zeros((len(arena.history), len(run.inputs.columns)))
        scaled = run.inputs.scaled(watched)
        past[arena.place] = scaled
        run.predictions[spec.name] = base + spec.feedback.corrections(
            arena.history, take(arena.query, test), residual, past, scaled[test]
        )
        run.seconds[spec.name] = seconds + time.perf_counter() - begun
    return run


def _fit_base(
    arena: Arena, spec: Spec, train: IntArray, test: IntArray, run: Run, *, full: bool, seed: int
) -> tuple[FloatArray, IntArray, FloatArray, float]:
    begun = time.perf_counter()
    matrix = arena.matrix(spec.recipe)
    learner = spec.make(full)
    learn = train
    most = FULL_ROWS if full else FOLD_ROWS
    if len(train) > most:
        learn = train[np.linspace(0, len(train) - 1, most).round().astype(np.int64)]
    grown = run.learners.get("trees")
    if isinstance(learner, Blend) and isinstance(grown, Trees):
        learner.share(grown)
    learner.fit(matrix[learn], arena.target[learn], len(arena.setting.classes), arena.setting.ordered, seed)
    guess = learner.predict(matrix[test])
    run.learners[spec.name.split("+", maxsplit=1)[0]] = learner
    tail = train[-TAIL:] if arena.setting.timing is not None and arena.setting.timing.returns else train[:0]
    tail_guess = learner.predict(matrix[tail]) if len(tail) and not arena.setting.classes else np.zeros(0)
    return guess, tail if len(tail_guess) else tail[:0], tail_guess, time.perf_counter() - begun


def take(query: Query, rows: IntArray) -> Query:
    """Return some of the queries."""
    return Query(
        {n: v[rows] for n, v in query.values.items()},
        query.run[rows],
        query.clock[rows],
        query.issue[rows],
        query.limit[rows],
        None if query.wall is None else query.wall[rows],
    )


def standing_still() -> Timing:
    """The clock of rows without an order: nothing lies before anything."""
    return Timing(timed=False, step=1.0)
