"""How a study becomes one sentence that a foreman can read aloud.

The rules, in their order; the first that applies decides the code:

1. ``collect_data``: too few rows (60 to learn from, 20 in the last block), a class with too few cases (10 and 5), or nothing
   could be fitted.
2. ``not_answerable``: no candidate, simple or not, beats the constant on the last block beyond its interval, although there
   were enough rows to see an effect (300 to learn from, 60 in the last block). With fewer rows it is ``collect_data``. Where
   a candidate of a classification beats the constant in the folds beyond its interval, and the last block does not speak
   against it, it is ``weak``: a trace that the last block is too small to confirm. The last block speaks against it when it has
   at least 30 cases of the rarer class and the interval there ends below what the folds showed at the least.
3. ``use_simple_rule``: the chosen model does not beat the best simple candidate on the last block beyond its interval, and
   that simple candidate beats the constant.
4. ``weak``: the chosen model beats the simple ones, but what it gains is too little to act on (see `_ENOUGH`), or it relies
   on a column that may not be known in time.
5. ``use_model``.

"Beyond its interval": the paired interval of the gain where the study gives one (its lower end must be above zero), and in
any case the interval of the chosen candidate must not reach the value of the other one.

Confidence counts reservations: none is ``high``, one is ``medium``, more is ``low``. A drift that matters together with an
interval that missed its coverage is ``low`` at once, and so is a last block below 50 rows. Never ``high``: a drift that
matters, a last block below 150 rows, fewer than 20 cases of the rarer class in it, a shuffled protocol, a column whose time
of availability is still asked, and a model whose gain over the best simple way is below a tenth or may be below a twentieth of
what the simple way leaves to gain.

A shuffled protocol always adds that nothing is known about next month. A percentage never stands without metric, set and
interval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from madang.models._frame import Task
from madang.models._wording import RECORDS, RowWords, measured, plain, symbol, with_particle
from madang.models._words import CandidateResult, Cause, Confidence, Drift, LeakFinding, Metric, Score, Verdict
from madang.plant import Bilingual, Kind

Protocol = Literal["forward", "grouped", "grouped_forward", "shuffled"]

SIMPLE: Final = frozenset({"constant", "persistence", "seasonal", "rules", "spc_limit"})
"""Families that need no AI."""

_LEARN, _LAST = 60, 20
_LEARN_CASES, _LAST_CASES = 10, 5
_LEARN_SURE, _LAST_SURE = 300, 60
_LAST_HIGH, _LAST_LOW = 150, 50
_CASES_HIGH: Final = 20
_CASES_TELL: Final = 30
_COVERAGE: Final = 0.03
_BARELY, _BARELY_LOW = 0.10, 0.05
"""Share of what the best simple way leaves to gain (its error, or what its score lacks to 1) below which a model gains barely."""
_WEEKS: Final = 4

_ENOUGH: Final[Mapping[str, tuple[float, float]]] = {
    "roc_auc": (0.60, 0.50),
    "pr_auc": (0.30, 0.15),
    "f1": (0.40, 0.25),
    "macro_f1": (0.40, 0.30),
    "r2": (0.20, 0.10),
    "error": (0.15, 0.05),
}
"""Skill from which a model is worth acting on, and the skill that its interval must not fall below [-].

Skill is 0 for the constant candidate and 1 for a perfect one. ROC AUC 0.80 is a skill of 0.6.
"""

_NAMES: Final[Mapping[str, Bilingual]] = {
    "rmse": Bilingual(ko="오차(RMSE)", en="error (RMSE)"),
    "mae": Bilingual(ko="평균 오차(MAE)", en="mean error (MAE)"),
    "median_ae": Bilingual(ko="오차의 중앙값", en="median error"),
    "r2": Bilingual(ko="설명력(R²)", en="share explained (R²)"),
    "f1": Bilingual(ko="적중 점수(F1, 1이면 완벽)", en="hit score (F1, 1 is perfect)"),
    "macro_f1": Bilingual(
        ko="등급별 적중 점수(매크로 F1, 1이면 완벽)", en="hit score over the classes (macro F1, 1 is perfect)"
    ),
    "roc_auc": Bilingual(ko="구별 점수(ROC AUC, 0.5면 동전 던지기)", en="score of telling apart (ROC AUC, 0.5 is a coin toss)"),
    "pr_auc": Bilingual(ko="찾기 점수(PR AUC, 1이면 완벽)", en="score of finding (PR AUC, 1 is perfect)"),
}
_SAME_METRIC: Final[Mapping[str, str]] = {
    "auc": "roc_auc", "rocauc": "roc_auc", "average_precision": "pr_auc", "ap": "pr_auc", "prauc": "pr_auc",
    "f1_macro": "macro_f1", "macro-f1": "macro_f1", "r_squared": "r2",
}  # fmt: skip

_FAMILY: Final[Mapping[str, Bilingual]] = {
    "constant": Bilingual(ko="늘 같은 값으로 답하는 방법", en="always giving the same answer"),
    "persistence": Bilingual(ko="마지막 값을 그대로 쓰는 방법", en="taking the last known value"),
    "seasonal": Bilingual(ko="지난 주기 같은 때의 값을 쓰는 방법", en="taking the value of the same time one cycle before"),
    "rules": Bilingual(ko="간단한 규칙", en="a simple rule"),
    "spc_limit": Bilingual(ko="관리한계 하나로 가르는 방법", en="one control limit"),
    "linear_lags": Bilingual(ko="직선식 모델", en="a linear model"),
    "pls": Bilingual(ko="부분최소제곱 모델", en="a partial least squares model"),
    "trees": Bilingual(ko="결정 트리 모델", en="a model of decision trees"),
    "hybrid": Bilingual(ko="직선식과 결정 트리를 합친 모델", en="a model of lines and decision trees"),
}

NOTHING_BEYOND: Final = Bilingual(
    ko="이 데이터와 비슷한 경우에만 맞고, 다음 달에 대해서는 아무것도 알 수 없어요",
    en="this holds for rows like these; nothing is known about next month",
)


@dataclass(frozen=True)
class Alarms:
    """What a model of two classes does as an alarm on the last block."""

    cases: int
    """Rows of the class looked for."""
    found: Score
    """Share of them that is found [-], with its interval."""
    false_alarms: float
    """Most false alarms per row of the other class that come with it [-]."""
    name: str
    """The class looked for."""


@dataclass(frozen=True)
class Evidence:
    """Everything a verdict may rest on."""

    task: Task
    target: str
    metric: Metric
    candidates: tuple[CandidateResult, ...]
    chosen: str | None
    """Name of the chosen candidate."""
    protocol: Protocol
    rows_train: int
    rows_last: int
    unit: str | None = None
    reason: Bilingual | None = None
    """Why this protocol."""
    gain: Score | None = None
    """Gain of the chosen candidate over the best simple one on the last block, paired by row or block, in the unit of the
    metric and positive when the chosen one is better, with its interval."""
    coverage: float | None = None
    nominal: float | None = None
    drift: Drift | None = None
    leaks: tuple[LeakFinding, ...] = ()
    leak_score: float | None = None
    """Random-split score minus blocked score, in the unit of the metric."""
    causes: tuple[Cause, ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)
    """Training rows of each class."""
    classes_last: Mapping[str, int] = field(default_factory=dict)
    """Rows of each class in the last block."""
    prevalence: float | None = None
    """Share of the rarer class in the last block."""
    tolerance: tuple[float | None, float | None] | None = None
    """Specification limits, when known."""
    rule: Bilingual | None = None
    """The best simple rule as text."""
    kinds: frozenset[Kind] = frozenset()
    """Kinds of quantity that the inputs hold: what is absent is proposed for measuring."""
    has_lot: bool = False
    """Whether a raw-material or production lot is among the columns."""
    relies_on: tuple[str, ...] = ()
    """Columns the chosen candidate relies on most."""
    level: float = 0.95
    """Level of the intervals of the scores."""
    rows: RowWords = RECORDS
    """What a row is."""
    last_days: float | None = None
    """How long the last block is [d]; None without a time."""
    horizon: Bilingual | None = None
    """How far ahead a forecast looks."""
    predicts: Bilingual | None = None
    """What a forecast mostly lives from, the Korean with its object particle."""
    worst: Bilingual | None = None
    """When the error of the last block was largest: ``예측이 60 kWh보다 클 때``."""
    alarms: Alarms | None = None


def make_verdict(evidence: Evidence) -> Verdict:
    """Return the verdict that the evidence allows; the rules are those of the module's docstring."""
    chosen, simple, constant = _chosen(evidence), best_simple(evidence), _constant(evidence)
    few = _too_few(evidence)
    if few is not None or chosen is None or chosen.last_block.value is None:
        return _collect(evidence, few)
    offered = [c for c in evidence.candidates if c.last_block.value is not None and c.family != "constant"]
    if constant is not None and not any(_beats(evidence, c, constant) for c in offered):
        if evidence.rows_train < _LEARN_SURE or evidence.rows_last < _LAST_SURE:
            return _collect(evidence, None)
        trace = _trace(evidence, constant)
        if trace is not None:
            return _faint(evidence, trace, constant)
        return _not_answerable(evidence, chosen)
    if chosen.family in SIMPLE or (simple is not None and not _gains(evidence, chosen, simple)):
        rule = chosen if simple is None or chosen.family in SIMPLE else simple
        if constant is not None and (rule.family == "constant" or not _beats(evidence, rule, constant)):
            return _weak(evidence, chosen, simple)
        return _simple(evidence, rule, chosen)
    if not _enough(evidence, chosen, constant) or _asked(evidence):
        return _weak(evidence, chosen, simple)
    return _model(evidence, chosen, simple)


def _trace(evidence: Evidence, constant: CandidateResult) -> CandidateResult | None:
    """The candidate that beats the constant in the folds, where the last block does not speak against it."""
    counts = [n for n in evidence.classes_last.values() if n > 0]
    reference = constant.folds.value
    if not counts or reference is None:
        return None
    lower = evidence.metric.better == "lower"
    found = []
    for one in evidence.candidates:
        value, end = one.folds.value, one.folds.high if lower else one.folds.low
        if one.family == "constant" or value is None or end is None:
            continue
        reach = one.last_block.low if lower else one.last_block.high
        if min(counts) >= _CASES_TELL and (reach is None or ((reach > end) if lower else (reach < end))):
            continue
        if (end < reference) if lower else (end > reference):
            found.append((value if lower else -value, one.name, one))
    return min(found)[2] if found else None


def best_simple(evidence: Evidence) -> CandidateResult | None:
    """Return the simple candidate that did best on the last block."""
    return _best(evidence, [c for c in evidence.candidates if c.family in SIMPLE])


def _chosen(evidence: Evidence) -> CandidateResult | None:
    return next((c for c in evidence.candidates if c.name == evidence.chosen), None)


def _constant(evidence: Evidence) -> CandidateResult | None:
    return _best(evidence, [c for c in evidence.candidates if c.family == "constant"])


def _best(evidence: Evidence, candidates: list[CandidateResult]) -> CandidateResult | None:
    known = [c for c in candidates if c.last_block.value is not None]
    sign = 1.0 if evidence.metric.better == "lower" else -1.0
    return min(known, key=lambda c: (sign * (c.last_block.value or 0.0), c.name), default=None)


def _beats(evidence: Evidence, one: CandidateResult, other: CandidateResult) -> bool:
    """Whether the interval of `one` on the last block lies wholly on the better side of the value of `other`."""
    value, low, high, rival = one.last_block.value, one.last_block.low, one.last_block.high, other.last_block.value
    if value is None or low is None or high is None or rival is None:
        return False
    return high < rival if evidence.metric.better == "lower" else low > rival


def _gains(evidence: Evidence, chosen: CandidateResult, simple: CandidateResult) -> bool:
    if evidence.gain is not None and (evidence.gain.low is None or evidence.gain.low <= 0):
        return False
    return _beats(evidence, chosen, simple)


def skill(evidence: Evidence, value: float, constant: CandidateResult | None) -> float:
    """Return the skill of a score: 0 for the constant candidate, 1 for perfection [-]."""
    name = _metric(evidence.metric)
    if name == "roc_auc":
        return 2.0 * value - 1.0
    if name == "r2":
        return value
    reference = None if constant is None else constant.last_block.value
    if name in {"pr_auc", "f1", "macro_f1"} or evidence.metric.better == "higher":
        floor = reference if reference is not None else (evidence.prevalence or 0.0)
        return (value - floor) / max(1e-9, 1.0 - floor)
    return 1.0 if not reference else 1.0 - value / reference


def _enough(evidence: Evidence, chosen: CandidateResult, constant: CandidateResult | None) -> bool:
    score = chosen.last_block
    if score.value is None or score.low is None or score.high is None:
        return False
    name = _metric(evidence.metric)
    needed, floor = _ENOUGH.get(name, _ENOUGH["error" if evidence.metric.better == "lower" else "f1"])
    worst = score.high if evidence.metric.better == "lower" else score.low
    return skill(evidence, score.value, constant) >= needed and skill(evidence, worst, constant) >= floor


def _metric(metric: Metric) -> str:
    name = metric.name.lower().replace(" ", "_")
    return _SAME_METRIC.get(name, name)


def _asked(evidence: Evidence) -> tuple[str, ...]:
    """Columns in doubt that the chosen candidate relies on."""
    doubtful = {f.column for f in evidence.leaks if f.action == "asked" and f.severity != "info" and f.column is not None}
    return tuple(c for c in evidence.relies_on if c in doubtful)


def _too_few(evidence: Evidence) -> Bilingual | None:
    if evidence.rows_train < _LEARN or evidence.rows_last < _LAST:
        return Bilingual(
            ko=f"결과가 있는 {evidence.rows.ko}{_subject(evidence.rows.ko)} 배울 것 {evidence.rows_train:,}개, 마지막 구간 "
            f"{evidence.rows_last:,}개뿐이에요(적어도 {_LEARN}개와 {_LAST}개가 필요해요)",
            en=f"there are only {evidence.rows.counted(evidence.rows_train).en} with a result to learn from and "
            f"{evidence.rows_last:,} in the last block (at least {_LEARN} and {_LAST} are needed)",
        )
    if evidence.task != "classification":
        return None
    for counts, needed, ko, en in (
        (evidence.classes, _LEARN_CASES, "배울 구간", "the part to learn from"),
        (evidence.classes_last, _LAST_CASES, "마지막 구간", "the last block"),
    ):
        if not counts:
            continue
        name, count = min(counts.items(), key=lambda item: (item[1], item[0]))
        if len(counts) < 2:
            return Bilingual(ko=f"{ko}에 ‘{name}’ 한 가지 결과만 있어요", en=f"{en} holds only one kind of result, {name}")
        if count < needed and len(counts) == 2:
            return Bilingual(
                ko=f"{ko}에 ‘{name}’ 사례가 {count}건뿐이에요(적어도 {needed}건이 필요해요)",
                en=f"{en} holds only {count} {'case' if count == 1 else 'cases'} of {name} (at least {needed} are needed)",
            )
    return None


def _reservations(evidence: Evidence) -> list[Bilingual]:
    out: list[Bilingual] = []
    counted = evidence.rows.counted(evidence.rows_last)
    if evidence.drift is not None and evidence.drift.matters:
        out.append(
            Bilingual("마지막 구간에서 공정이 달라져 오차가 커졌어요", "the process moved and the error grew in the last block")
        )
    if evidence.rows_last < _LAST_HIGH:
        out.append(Bilingual(f"마지막 구간이 {counted.ko}뿐이에요", f"the last block holds only {counted.en}"))
    counts = [n for n in evidence.classes_last.values() if n > 0]
    if counts and min(counts) < _CASES_HIGH:
        few = min(counts)
        cases = "case" if few == 1 else "cases"
        out.append(
            Bilingual(
                f"마지막 구간에 드문 등급이 {few}건뿐이에요", f"the rarest class has only {few} {cases} in the last block"
            )
        )
    if evidence.protocol == "shuffled":
        out.append(Bilingual("데이터에 시간 순서가 없어요", "the data have no order in time"))
    if any(f.action == "asked" and f.severity != "info" for f in evidence.leaks):
        out.append(
            Bilingual(
                "언제 알 수 있는 값인지 확인이 필요한 열이 있어요", "for some columns it is not settled when they are known"
            )
        )
    if _coverage_off(evidence) and evidence.coverage is not None and evidence.nominal is not None:
        got, wanted = 100 * evidence.coverage, 100 * evidence.nominal
        out.append(
            Bilingual(
                f"마지막 구간에서 예측구간이 실제 값을 {got:.1f} % 담아 목표 {wanted:.0f} %와 달라요",
                f"the prediction intervals held {got:.1f} % of the last block instead of {wanted:.0f} %",
            )
        )
    if _barely(evidence):
        out.append(Bilingual("간단한 방법보다 나은 정도가 작아요", "the gain over the simple way is small"))
    return out


def _barely(evidence: Evidence) -> bool:
    """Whether the chosen model gains little over the best simple way: below a tenth of what is left, or maybe below a twentieth."""
    chosen, simple = _chosen(evidence), best_simple(evidence)
    if chosen is None or simple is None or chosen.family in SIMPLE:
        return False
    one, other = chosen.last_block.value, simple.last_block.value
    if one is None or other is None:
        return False
    lower = evidence.metric.better == "lower"
    left = abs(other) if lower else max(1.0 - other, 0.0)
    gain = other - one if lower else one - other
    least = evidence.gain.low if evidence.gain is not None else None
    return gain < _BARELY * left or (least is not None and least < _BARELY_LOW * left)


def _coverage_off(evidence: Evidence) -> bool:
    return (
        evidence.coverage is not None and evidence.nominal is not None and abs(evidence.coverage - evidence.nominal) > _COVERAGE
    )


def confidence_of(evidence: Evidence) -> Confidence:
    """Return how sure a verdict on this evidence may be; the rules are those of the module's docstring."""
    count = len(_reservations(evidence))
    drifting = evidence.drift is not None and evidence.drift.matters
    if evidence.rows_last < _LAST_LOW or (drifting and _coverage_off(evidence)) or count > 1:
        return "low"
    return "medium" if count == 1 else "high"


def _figure(evidence: Evidence, score: Score) -> Bilingual:
    return measured(score, evidence.metric.unit, evidence.level)


def _metric_name(evidence: Evidence) -> Bilingual:
    return _NAMES.get(_metric(evidence.metric), Bilingual(ko=evidence.metric.name, en=evidence.metric.name))


def _way(candidate: CandidateResult) -> Bilingual:
    """What a candidate is, in words; never the name it bears in the program."""
    return _FAMILY.get(candidate.family, Bilingual(ko="다른 방법", en="another way"))


def _subject(word: str) -> str:
    """The topic particle of a Korean noun."""
    return with_particle(word, "은", "는")[len(word) :]


def _set(evidence: Evidence) -> Bilingual:
    """The last block, as a person would call it."""
    counted = evidence.rows.counted(evidence.rows_last)
    days = evidence.last_days
    if days is None or days < 2 or evidence.protocol == "shuffled":
        return (
            Bilingual(f"한 번도 쓰지 않은 {counted.ko}", f"{counted.en} never used before")
            if evidence.protocol == "shuffled"
            else (Bilingual(f"한 번도 쓰지 않은 마지막 {counted.ko}", f"the last {counted.en}, never used before,"))
        )
    return Bilingual(
        f"한 번도 쓰지 않은 마지막 {days:,.0f}일({counted.ko})", f"the last {days:,.0f} days ({counted.en}), never used before,"
    )


def _score_of(evidence: Evidence, candidate: CandidateResult, other: CandidateResult | None) -> Bilingual:
    """How a candidate did on the last block, beside another one."""
    metric, figure = _metric_name(evidence), _figure(evidence, candidate.last_block)
    ko, en = f"{with_particle(metric.ko, '이', '가')} {figure.ko}", f"the {metric.en} was {figure.en}"
    if other is None or other is candidate:
        return Bilingual(ko, en)
    name, beside = _way(other), _figure(evidence, other.last_block)
    return Bilingual(f"{ko}, {with_particle(name.ko, '은', '는')} {beside.ko}", f"{en}, against {beside.en} for {name.en}")


def _sentence(evidence: Evidence, ko: str, en: str) -> Bilingual:
    if evidence.protocol == "shuffled":
        return Bilingual(ko=f"{ko} 다만 {NOTHING_BEYOND.ko}.", en=f"{en}; {NOTHING_BEYOND.en}.")
    return Bilingual(ko=ko, en=f"{en}.")


def _about(evidence: Evidence) -> Bilingual:
    """The target as the subject of a sentence, the Korean with its topic particle."""
    target, alarms = evidence.target, evidence.alarms
    if evidence.task != "classification":
        return Bilingual(f"‘{target}’ 값은", target)
    if alarms is not None and not _yes(alarms.name):
        return Bilingual(f"‘{target}’에서 ‘{alarms.name}’ 여부는", f"{target} = {alarms.name}")
    return Bilingual(f"‘{target}’ 여부는" if len(evidence.classes_last) <= 2 else f"‘{target}’ 구분은", target)


def _yes(name: str) -> bool:
    return name.strip().lower() in {"1", "1.0", "true", "yes", "y"}


def _ahead(evidence: Evidence) -> Bilingual:
    """How far ahead, and from what."""
    if evidence.task != "forecast":
        return Bilingual("미리 맞힐 수 있어요", "can be predicted")
    seen_ko = f"{evidence.predicts.ko} 보고 " if evidence.predicts else ""
    seen_en = f" from {evidence.predicts.en}" if evidence.predicts else ""
    far_ko = f"{evidence.horizon.ko} 앞까지 " if evidence.horizon else ""
    far_en = f" {evidence.horizon.en} ahead" if evidence.horizon else ""
    return Bilingual(f"{seen_ko}{far_ko}미리 맞힐 수 있어요", f"can be predicted{far_en}{seen_en}")


def _alarm_words(evidence: Evidence) -> Bilingual | None:
    """What the model finds at which false alarms; None where it is no alarm or its interval is not known."""
    alarms = evidence.alarms
    if alarms is None or alarms.found.value is None or alarms.found.low is None or alarms.found.high is None:
        return None
    hits, low, high = (round(v * alarms.cases) for v in (alarms.found.value, alarms.found.low, alarms.found.high))
    level, false = f"{100 * evidence.level:.0f} %", plain(100 * alarms.false_alarms, 0)
    name = evidence.target if _yes(alarms.name) else alarms.name
    return Bilingual(
        f"‘{name}’ {alarms.cases:,}건 가운데 {hits:,}건({level} 구간 {low:,} ~ {high:,}건)을 찾고, 그때 헛경보는 정상 100건에 많아야 {false}건이에요",
        f"it finds {hits:,} of {alarms.cases:,} cases of {name} ({level} interval {low:,} to {high:,}) at no more than {false} false alarms per "
        "100 good ones",
    )


def _model(evidence: Evidence, chosen: CandidateResult, simple: CandidateResult | None) -> Verdict:
    about, where, score, alarms = _about(evidence), _set(evidence), _score_of(evidence, chosen, simple), _alarm_words(evidence)
    if evidence.task == "classification" and len(evidence.classes_last) <= 2:
        can = Bilingual("미리 가려낼 수 있어요", "can be told in advance")
    else:
        can = _ahead(evidence)
    if alarms is not None:
        sentence = _sentence(
            evidence,
            f"{about.ko} {can.ko}: {where.ko}에서 {alarms.ko}; {score.ko}예요.",
            f"{about.en} {can.en}: on {where.en} {alarms.en}; {score.en}",
        )
    else:
        sentence = _sentence(
            evidence, f"{about.ko} {can.ko}: {where.ko}에서 {score.ko}예요.", f"{about.en} {can.en}: on {where.en} {score.en}"
        )
    return Verdict(
        code="use_model", sentence=sentence, confidence=confidence_of(evidence), next=_next_of_model(evidence, simple)
    )


def _while(evidence: Evidence) -> Bilingual:
    """How long a trial beside the simple way should last."""
    if evidence.last_days is None:
        counted = evidence.rows.counted(max(50, min(200, evidence.rows_last)))
        return Bilingual(f"다음 {counted.ko} 동안", f"For the next {counted.en}")
    weeks = _WEEKS if evidence.last_days <= 120 else 2 * _WEEKS
    return Bilingual(f"앞으로 {weeks}주 동안", f"For the next {weeks} weeks")


def _next_of_model(evidence: Evidence, simple: CandidateResult | None) -> Bilingual:
    while_ = _while(evidence)
    if evidence.drift is not None and evidence.drift.matters:
        first = evidence.drift.columns[0] if evidence.drift.columns else evidence.target
        return Bilingual(
            ko=f"먼저 ‘{first}’에서 무엇이 바뀌었는지 담당자가 확인하고, {while_.ko} 결과가 나오는 대로 예측 옆에 적어 오차가 다시 줄어드는지 보세요.",
            en=f"First let the engineer find out what changed at {first}. {while_.en}, write each result beside its prediction as it "
            "comes in, and see whether the error falls again.",
        )
    if evidence.causes and evidence.task != "forecast":
        cause = evidence.causes[0]
        return Bilingual(
            ko=f"공정 담당자와 첫 번째 원인부터 확인하세요. {cause.prove.ko}",
            en=f"Settle the first cause with the process engineer. {cause.prove.en}",
        )
    beside = _way(simple) if simple is not None else _FAMILY["constant"]
    first_ko = f" 오차는 {evidence.worst.ko} 가장 컸으니 그때부터 비교하세요." if evidence.worst else ""
    first_en = f" Compare first {evidence.worst.en}, where the error was largest." if evidence.worst else ""
    doubts = _reservations(evidence)
    doubt_ko = f" 주의할 점: {doubts[0].ko}." if doubts else ""
    doubt_en = f" Mind that {doubts[0].en}." if doubts else ""
    if evidence.task == "classification" and evidence.alarms is not None:
        return Bilingual(
            ko=f"{while_.ko} 모델이 경보를 낸 것은 모두, 경보를 내지 않은 것은 20건을 골라 검사자가 직접 확인하고 맞은 건수를 적으세요.{doubt_ko}",
            en=f"{while_.en}, let an inspector check by hand every alarm and 20 cases without one, and write down how many were right."
            f"{doubt_en}",
        )
    return Bilingual(
        ko=f"{while_.ko} 담당자 한 명이 예측, 실제 값, {beside.ko}의 답을 나란히 적어 어느 쪽이 더 맞는지 비교하세요."
        f"{first_ko}{doubt_ko}",
        en=f"{while_.en}, let one person write down the prediction, the answer of {beside.en} and the result, and compare which comes "
        f"closer.{first_en}{doubt_en}",
    )


def _rule_words(evidence: Evidence, rule: CandidateResult) -> Bilingual:
    """A simple way in words: the rule itself where it is one."""
    if evidence.rule is None or rule.family not in {"rules", "spc_limit"}:
        return _way(rule)
    # The shares of classes that a rule list carries have no interval: they are left to the report.
    shown = re.sub(r" \(\d+(\.\d+)?\s?%\)", "", evidence.rule.en), re.sub(r" \(\d+(\.\d+)?\s?%\)", "", evidence.rule.ko)
    if evidence.unit:
        shown = (
            shown[0].replace(evidence.unit, symbol(evidence.unit, "en")),
            shown[1].replace(evidence.unit, symbol(evidence.unit, "ko")),
        )
    en = "; ".join(line.replace("<=", "≤") for line in shown[0].split("\n"))
    lines = [re.sub(r"^if (.*): (.*)$", r"\1이면 \2", line.replace("<=", "≤")) for line in shown[1].split("\n")]
    ko = "; ".join(re.sub(r"^else: ", "그 밖에는 ", line).replace(" and ", " 그리고 ") for line in lines)
    return Bilingual(ko, en)


def _simple(evidence: Evidence, rule: CandidateResult, chosen: CandidateResult) -> Verdict:
    text, metric = _rule_words(evidence, rule), _metric_name(evidence)
    figure, where = _figure(evidence, rule.last_block), _set(evidence)
    target = evidence.target
    beside_ko = beside_en = ""
    if chosen is not rule:
        other = _figure(evidence, chosen.last_block)
        beside_ko, beside_en = f"이고 AI는 {other.ko}예요", f"; AI reached {other.en}"
    else:
        beside_ko = "예요"
    quoted = text.ko if text is _FAMILY.get(rule.family) else f"‘{text.ko}’"
    sentence = _sentence(
        evidence,
        f"‘{target}’ 예측에는 AI가 필요 없어요: {quoted}만 써도 충분해서, {where.ko}에서 "
        f"{with_particle(metric.ko, '이', '가')} {figure.ko}{beside_ko}.",
        f"AI is not needed for {target}: {text.en} is as good, and on {where.en} the {metric.en} was {figure.en}{beside_en}",
    )
    return Verdict(
        code="use_simple_rule",
        sentence=sentence,
        confidence=confidence_of(evidence),
        next=Bilingual(
            ko="반장이 이 방법을 현장 화면이나 점검표에 적어 쓰고, 한 달 뒤 새 데이터로 이 분석을 다시 실행하세요.",
            en="Let the foreman put this on the line's screen or check sheet, and run this study again on new data in a month.",
        ),
        rule=text.en,
    )


def _weak(evidence: Evidence, chosen: CandidateResult, simple: CandidateResult | None) -> Verdict:
    about, where, score = _about(evidence), _set(evidence), _score_of(evidence, chosen, simple)
    doubtful = _asked(evidence)
    if doubtful:
        names = ", ".join(doubtful[:3])
        alone = _score_of(evidence, chosen, None)
        sentence = _sentence(
            evidence,
            f"{about.ko} 맞힐 수 있는지 아직 말할 수 없어요: 결과가 나온 뒤에야 알 수 있을지 모르는 값({names})에 기대고 있고, "
            f"{where.ko}에서 {alone.ko}예요.",
            f"Whether {about.en} can be predicted is not settled: the model leans on values that may be known only after the result "
            f"({names}), and on {where.en} {alone.en}",
        )
        step = Bilingual(
            ko=f"{names}: 예측할 때 이미 아는 값인지 현장 담당자에게 물어보고, 아니라면 그 열을 빼고(--exclude) 다시 실행하세요.",
            en=f"Ask the people on the line whether {names} {'is' if len(doubtful) == 1 else 'are'} known when the prediction is made; if "
            "not, leave it out (--exclude) and run again.",
        )
        return Verdict(code="weak", sentence=sentence, confidence="low", next=step)
    use = _WEAK_USE[evidence.task] if evidence.task in _WEAK_USE else _WEAK_USE["regression"]
    alarms = _alarm_words(evidence)
    told_ko = f"{alarms.ko}; {score.ko}" if alarms else f"{score.ko}"
    told_en = f"{alarms.en}; {score.en}" if alarms else score.en
    sentence = _sentence(
        evidence,
        f"{about.ko} 조금만 맞힐 수 있어서 {use.ko}: {where.ko}에서 {told_ko}예요.",
        f"{about.en} can be predicted only weakly, {use.en}: on {where.en} {told_en}",
    )
    return Verdict(code="weak", sentence=sentence, confidence=confidence_of(evidence), next=_measure(evidence))


_WEAK_USE: Final[Mapping[str, Bilingual]] = {
    "forecast": Bilingual("참고로만 쓰세요", "enough as a hint but not to plan by"),
    "classification": Bilingual(
        "먼저 볼 것을 고르는 데만 쓰세요", "enough to choose what to inspect first but not to replace the inspection"
    ),
    "regression": Bilingual(
        "먼저 검사할 것을 고르는 데만 쓰세요", "enough to choose what to inspect first but not to replace the inspection"
    ),
}


def _faint(evidence: Evidence, trace: CandidateResult, constant: CandidateResult) -> Verdict:
    cases = min(n for n in evidence.classes_last.values() if n > 0)
    metric, folds, base = _metric_name(evidence), _figure(evidence, trace.folds), _figure(evidence, constant.folds)
    last, where, name = _figure(evidence, trace.last_block), _set(evidence), _way(constant)
    about = _about(evidence)
    if cases < _CASES_TELL:
        only = Bilingual(f"드문 등급이 {cases}건뿐이라", f"only {cases} {'case' if cases == 1 else 'cases'} of the rarer class")
    else:
        only = Bilingual(f"드문 등급이 {cases}건이라도", f"{cases} cases of the rarer class")
    sentence = _sentence(
        evidence,
        f"{about.ko} 아주 약하게만 맞힐 수 있어요: 배운 구간을 나누어 확인하면 {with_particle(metric.ko, '이', '가')} {folds.ko}"
        f", {with_particle(name.ko, '은', '는')} {base.ko}이지만, {where.ko}에는 {only.ko} {last.ko}로는 확인되지 않아요.",
        f"{about.en} shows only a weak trace: over the folds of the part learned from the {metric.en} was {folds.en}, against {base.en} for "
        f"{name.en}, but {where.en} hold {only.en} and do not confirm it, with {last.en}",
    )
    step = _measure(evidence)
    wanted = max(_CASES_TELL, 2 * cases)
    return Verdict(
        code="weak",
        sentence=sentence,
        confidence="low",
        next=Bilingual(
            ko=f"모델은 아직 쓰지 말고, 새 데이터에 드문 등급이 {wanted}건 모일 때까지 기록한 뒤 다시 실행하세요. {step.ko}",
            en=f"Do not use a model yet; record until new data hold {wanted} cases of the rarer class, then run again. {step.en}",
        ),
    )


def _not_answerable(evidence: Evidence, chosen: CandidateResult) -> Verdict:
    constant = _constant(evidence)
    where, score = _set(evidence), _score_of(evidence, chosen, constant)
    same = _FAMILY["constant"]
    about = f"‘{evidence.target}’" if evidence.task != "classification" else f"‘{evidence.target}’ 여부"
    sentence = _sentence(
        evidence,
        f"이 데이터로는 {with_particle(about, '을', '를')} 맞힐 수 없어요: {where.ko}에서 어떤 방법도 {same.ko}보다 확실히 낫지 않았고, {score.ko}예요.",
        f"These data cannot answer {evidence.target}: on {where.en} nothing did surely better than {same.en}, and {score.en}",
    )
    return Verdict(code="not_answerable", sentence=sentence, confidence=confidence_of(evidence), next=_measure(evidence))


def _collect(evidence: Evidence, few: Bilingual | None) -> Verdict:
    train, last = (evidence.rows.counted(n) for n in (evidence.rows_train, evidence.rows_last))
    why = few or Bilingual(
        ko=f"배울 것 {train.ko}, 마지막 구간 {with_particle(last.ko, '으로는', '로는')} 효과가 있어도 보이지 않아요",
        en=f"with {train.en} to learn from and {last.en} in the last block an effect would not be seen",
    )
    sentence = _sentence(
        evidence,
        f"‘{evidence.target}’에 대해서는 아직 판단할 수 없어요: {why.ko}.",
        f"{evidence.target} cannot be judged yet: {why.en}",
    )
    # About every fifth new row falls into the last block.
    wanted = (_LEARN_SURE - evidence.rows_train, 5 * (_LAST_SURE - evidence.rows_last))
    rows = max(0, *wanted) if evidence.chosen is not None or few is not None else 0
    more = evidence.rows.counted(rows)
    if evidence.task == "classification" and few is not None and evidence.rows_train >= _LEARN and evidence.rows_last >= _LAST:
        step = Bilingual(
            ko=f"드문 등급이 배울 구간에 {_LEARN_CASES}건, 마지막 구간에 {_LAST_CASES}건 이상 모일 때까지 검사 담당자가 기록을 이어 가세요.",
            en=f"Let the inspectors keep recording until the rarer class has {_LEARN_CASES} cases to learn from and {_LAST_CASES} in the "
            "last block.",
        )
    elif rows > 0:
        step = Bilingual(
            ko=f"결과가 적힌 기록을 {more.ko} 더 모은 뒤 다시 실행하세요.",
            en=f"Collect {more.en} more with a result, then run again.",
        )
    else:
        step = Bilingual(
            ko="배울 수 있는 열이 없었어요. 결과를 알기 전에 아는 값(온도, 원료 로트, 설정값)을 같이 올려 주세요.",
            en="Nothing could be fitted. Add columns that are known before the result: temperatures, raw material, set-points.",
        )
    return Verdict(code="collect_data", sentence=sentence, confidence="low", next=step)


_MISSING_KINDS: Final[tuple[tuple[frozenset[Kind], Bilingual], ...]] = (
    (frozenset({Kind.TEMPERATURE}), Bilingual(ko="공정 온도", en="the process temperature")),
    (frozenset({Kind.HUMIDITY}), Bilingual(ko="현장 습도", en="the humidity on the floor")),
    (frozenset({Kind.PRESSURE, Kind.VOLUME_FLOW, Kind.MASS_FLOW}), Bilingual(ko="압력이나 유량", en="a pressure or a flow")),
    (frozenset({Kind.DURATION}), Bilingual(ko="단계별 유지 시간", en="the time spent in each step")),
)


def _measure(evidence: Evidence) -> Bilingual:
    """What to measure: first whether the result itself can be trusted, then what no column holds."""
    if evidence.task == "forecast":
        return Bilingual(
            ko=f"‘{evidence.target}’의 앞날을 정하는 것 가운데 미리 아는 값(생산 계획, 가동 일정, 정비 일정)을 생산 담당자가 시각과 함께 적어 "
            "같이 올린 뒤 다시 실행하세요.",
            en=f"Let production record what is known ahead and decides {evidence.target} (production plan, running hours, planned "
            "maintenance) with its times, add it, and run again.",
        )
    wanted = [] if evidence.has_lot else [Bilingual(ko="원료 종류나 번호", en="the raw material used")]
    wanted += [name for kinds, name in _MISSING_KINDS if not kinds & evidence.kinds]
    names_ko = with_particle(", ".join(w.ko for w in wanted[:2]), "을", "를")
    each = "로트마다" if evidence.rows is not RECORDS else "기록마다"
    classes = evidence.task == "classification"
    judge = ("판정해", "판정", "judge", "judgement") if classes else ("재어", "측정", "measure", "measurement")
    add_ko = f" 그리고 {each} {names_ko} 함께 적으세요." if wanted else ""
    add_en = f" And record {' and '.join(w.en for w in wanted[:2])} each time." if wanted else ""
    return Bilingual(
        ko=f"같은 시료 20개의 {with_particle(f'‘{evidence.target}’', '을', '를')} 검사자가 두 번씩 {judge[0]}, {judge[1]}이 얼마나 흔들리는지 먼저 확인하세요.{add_ko}",
        en=f"Let the inspectors {judge[2]} {evidence.target} twice on the same 20 samples, to learn how far the {judge[3]} itself "
        f"varies.{add_en}",
    )
