"""The nouns of a study report, as facts (frozen) that `_report` turns into the published document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from madang.errors import Json
from madang.models._frame import Task
from madang.plant import Bilingual

LeakCode = Literal[
    "consequence",
    "label_copy",
    "identifier",
    "row_order",
    "future_value",
    "duplicate_rows",
    "target_derived",
    "after_result",
    "file_name",
    "group_overlap",
]
VerdictCode = Literal["use_model", "use_simple_rule", "weak", "collect_data", "not_answerable"]
Confidence = Literal["high", "medium", "low"]
Family = Literal[
    "constant",
    "persistence",
    "seasonal",
    "linear_lags",
    "pls",
    "rules",
    "spc_limit",
    "trees",
    "hybrid",
    "subspace",
    "memory",
    "template",
]


@dataclass(frozen=True)
class Score:
    """A metric's value with its interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Metric:
    """What is measured, in which unit, and which way is better."""

    name: str
    unit: str | None
    better: Literal["lower", "higher"]


@dataclass(frozen=True)
class LeakFinding:
    """A column (or the rows) that would let a model see what it cannot know."""

    column: str | None
    code: LeakCode
    severity: Literal["info", "warning", "stop"]
    evidence: Bilingual
    action: Literal["dropped", "kept", "asked"]


@dataclass(frozen=True)
class Cause:
    """Something believed to drive the target, and what would settle it."""

    column: str
    lag: str | None
    """Transport delay or window, such as ``40 min`` or ``mean over soak``."""
    direction: Literal["up", "down", "both", "category"]
    """Which way the target goes when the column goes up."""
    share: float
    """Share of the explained variation of the target (0-1) carried by this column."""
    evidence: Bilingual
    prove: Bilingual
    refute: Bilingual
    facts: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """What changed between training and the last block, and whether it matters."""

    found: bool
    columns: tuple[str, ...]
    matters: bool
    text: Bilingual


@dataclass(frozen=True)
class Worth:
    """Money per year as a distribution, from ranges that a person gave."""

    currency: str
    p10: float
    p50: float
    p90: float
    payback_24m: float
    """Probability that the cost is back within 24 months."""
    measure_first: Bilingual | None = None


@dataclass(frozen=True)
class CandidateResult:
    """How one candidate did."""

    name: str
    family: Family
    folds: Score
    last_block: Score
    offered: bool
    why_not: Bilingual | None
    fit_seconds: float


@dataclass(frozen=True)
class Verdict:
    """The one sentence, how sure it is, and the next step."""

    code: VerdictCode
    sentence: Bilingual
    confidence: Confidence
    next: Bilingual
    rule: str | None = None


@dataclass(frozen=True)
class StudyRequest:
    """What a person asked of a study; None = find out."""

    task: Task | Literal["auto"] = "auto"
    target: str | None = None
    time: str | None = None
    group: tuple[str, ...] = ()
    lot: str | None = None
    order: str | None = None
    exclude: tuple[str, ...] = ()
    horizon: str | None = None
    """``1h``, ``15min``, ``3rows``."""
    lab_delay: str | None = None
    """``8h`` or ``24rows``: how late a result returns."""
    train_rows: tuple[int, int] | None = None
    """First and last data row (1-based, ends included, per file) that may be seen in training and choosing."""
    goal: str | None = None
    budget_seconds: float = 60.0
    seed: int = 0
    name: str | None = None
    money: dict[str, Json] = field(default_factory=dict)
    """Ranges for the worth: ``{"currency": "KRW", "loss_per_bad": [low, likely, high], "units_per_year": [...], ...}``."""
