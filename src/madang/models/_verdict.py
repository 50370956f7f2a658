"""How a study becomes one sentence that a foreman can read aloud.

The rules, in their order; the first that applies decides the code:

1. ``collect_data``: too few rows (60 to learn from, 20 in the last block), a class with too few cases (10 and 5), or nothing
   could be fitted.
2. ``not_answerable``: no candidate, simple or not, beats the constant on the last block beyond its interval, although there
   were enough rows to see an effect (300 to learn from, 60 in the last block). With fewer rows it is ``collect_data``. Where
   the rarer class has fewer than 30 cases in the last block, but a candidate beats the constant in the folds beyond its
   interval, it is ``weak``: a trace that the last block is too small to confirm.
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
of availability is still asked.

A shuffled protocol always adds that nothing is known about next month. A percentage never stands without metric, set and
interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from madang.models._frame import Task
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
    "mae": Bilingual(ko="평균 절대 오차(MAE)", en="mean absolute error (MAE)"),
    "median_ae": Bilingual(ko="절대 오차 중앙값", en="median absolute error"),
    "r2": Bilingual(ko="결정계수 R²", en="R²"),
    "f1": Bilingual(ko="F1", en="F1"),
    "macro_f1": Bilingual(ko="매크로 F1", en="macro F1"),
    "roc_auc": Bilingual(ko="ROC AUC", en="ROC AUC"),
    "pr_auc": Bilingual(ko="PR AUC", en="PR AUC"),
}
_SAME_METRIC: Final[Mapping[str, str]] = {
    "auc": "roc_auc", "rocauc": "roc_auc", "average_precision": "pr_auc", "ap": "pr_auc", "prauc": "pr_auc",
    "f1_macro": "macro_f1", "macro-f1": "macro_f1", "r_squared": "r2",
}  # fmt: skip

_FAMILY: Final[Mapping[str, Bilingual]] = {
    "constant": Bilingual(ko="늘 같은 값", en="always the same value"),
    "persistence": Bilingual(ko="마지막 값을 그대로 쓰는 방법", en="taking the last value"),
    "seasonal": Bilingual(ko="지난 주기의 같은 때 값을 쓰는 방법", en="taking the value of the same time one cycle ago"),
    "rules": Bilingual(ko="간단한 규칙", en="a simple rule"),
    "spc_limit": Bilingual(ko="관리한계 하나", en="one control limit"),
}

NOTHING_BEYOND: Final = Bilingual(
    ko="이와 비슷한 행에만 해당하고, 다음 달에 대해서는 아무것도 알 수 없어요",
    en="this holds for rows like these; nothing is known about next month",
)


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
    """The candidate that beats the constant in the folds, where the last block has too few cases to tell."""
    counts = [n for n in evidence.classes_last.values() if n > 0]
    reference = constant.folds.value
    if not counts or min(counts) >= _CASES_TELL or reference is None:
        return None
    lower = evidence.metric.better == "lower"
    found = []
    for one in evidence.candidates:
        value, end = one.folds.value, one.folds.high if lower else one.folds.low
        if one.family == "constant" or value is None or end is None:
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
            ko=f"학습 {evidence.rows_train}행, 마지막 구간 {evidence.rows_last}행뿐이에요(각각 {_LEARN}행, {_LAST}행이 필요해요)",
            en=f"there are only {evidence.rows_train} rows to learn from and {evidence.rows_last} in the last block "
            f"({_LEARN} and {_LAST} are needed)",
        )
    if evidence.task != "classification":
        return None
    for counts, needed, ko, en in (
        (evidence.classes, _LEARN_CASES, "학습 구간", "the training rows"),
        (evidence.classes_last, _LAST_CASES, "마지막 구간", "the last block"),
    ):
        if not counts:
            continue
        name, count = min(counts.items(), key=lambda item: (item[1], item[0]))
        if len(counts) < 2 or (count < needed and len(counts) == 2):
            return Bilingual(
                ko=f"{ko}에 ‘{name}’ 사례가 {count}개이고 등급이 {len(counts)}가지뿐이에요({needed}개 이상 필요해요)",
                en=f"{en} hold {len(counts)} class(es), with {count} case(s) of {name!r} ({needed} are needed)",
            )
    return None


def _reservations(evidence: Evidence) -> list[Bilingual]:
    out: list[Bilingual] = []
    if evidence.drift is not None and evidence.drift.matters:
        out.append(
            Bilingual(
                ko="마지막 구간에서 공정이 달라져 오차가 커졌어요", en="the process moved and the error grew in the last block"
            )
        )
    if evidence.rows_last < _LAST_HIGH:
        out.append(
            Bilingual(
                ko=f"마지막 구간이 {evidence.rows_last}행뿐이에요", en=f"the last block has only {evidence.rows_last} rows"
            )
        )
    counts = [n for n in evidence.classes_last.values() if n > 0]
    if counts and min(counts) < _CASES_HIGH:
        out.append(
            Bilingual(
                ko=f"마지막 구간의 드문 등급이 {min(counts)}건이에요",
                en=f"the rarest class has {min(counts)} case(s) in the last block",
            )
        )
    if evidence.protocol == "shuffled":
        out.append(Bilingual(ko="시간 순서가 없어요", en="the rows have no order in time"))
    if any(f.action == "asked" and f.severity != "info" for f in evidence.leaks):
        out.append(
            Bilingual(
                ko="언제 알 수 있는지 확인이 필요한 열이 있어요", en="for some columns it is still asked when they are known"
            )
        )
    if _coverage_off(evidence):
        out.append(
            Bilingual(
                ko=f"예측구간의 적중률이 {evidence.coverage:.1%}로 목표 {evidence.nominal:.0%}와 달라요(마지막 구간)",
                en=f"the intervals covered {evidence.coverage:.1%} of the last block instead of {evidence.nominal:.0%}",
            )
        )
    return out


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


def _figure(evidence: Evidence, score: Score) -> str:
    if score.value is None:
        return "-"
    unit = f" {evidence.metric.unit}" if evidence.metric.unit else ""
    if score.low is None or score.high is None:
        return f"{score.value:.3g}{unit}"
    return f"{score.value:.3g}{unit} ({evidence.level:.0%}: {score.low:.3g} ~ {score.high:.3g})"


def _metric_name(evidence: Evidence) -> Bilingual:
    return _NAMES.get(_metric(evidence.metric), Bilingual(ko=evidence.metric.name, en=evidence.metric.name))


def _simple_name(candidate: CandidateResult) -> Bilingual:
    return _FAMILY.get(candidate.family, Bilingual(ko=candidate.name, en=candidate.name))


def with_particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """Put the Korean particle that fits the last sound of a word; both when the sound is not known from the letters.

    >>> with_particle("수율", "은", "는"), with_particle("온도", "은", "는"), with_particle("NOx", "은", "는")
    ('수율은', '온도는', 'NOx은(는)')
    """
    code = ord(word[-1]) - 0xAC00 if word else -1
    if not 0 <= code < 11172:
        return f"{word}{after_consonant}({after_vowel})"
    return word + (after_consonant if code % 28 else after_vowel)


def _sentence(evidence: Evidence, ko: str, en: str) -> Bilingual:
    if evidence.protocol == "shuffled":
        return Bilingual(ko=f"{ko}. 다만 {NOTHING_BEYOND.ko}.", en=f"{en}; {NOTHING_BEYOND.en}.")
    return Bilingual(ko=f"{ko}.", en=f"{en}.")


def _about(evidence: Evidence) -> tuple[str, str]:
    return with_particle(evidence.target, "은", "는"), evidence.target


def _model(evidence: Evidence, chosen: CandidateResult, simple: CandidateResult | None) -> Verdict:
    ko, en = _about(evidence)
    metric, figure = _metric_name(evidence), _figure(evidence, chosen.last_block)
    against_ko = against_en = ""
    if simple is not None:
        name, other = _simple_name(simple), _figure(evidence, simple.last_block)
        against_ko, against_en = f"; AI 없는 가장 나은 방법({name.ko})은 {other}", f", against {other} for {name.en}"
    sentence = _sentence(
        evidence,
        f"{ko} 미리 맞힐 수 있어요: 한 번도 쓰지 않은 마지막 {evidence.rows_last}행에서 {metric.ko} {figure}{against_ko}",
        f"{en} can be predicted: on the last {evidence.rows_last} rows, never used before, the {metric.en} was "
        f"{figure}{against_en}",
    )
    reservations = _reservations(evidence)
    return Verdict(
        code="use_model", sentence=sentence, confidence=confidence_of(evidence), next=_next_of_model(evidence, reservations)
    )


def _next_of_model(evidence: Evidence, reservations: list[Bilingual]) -> Bilingual:
    if evidence.drift is not None and evidence.drift.matters:
        first = evidence.drift.columns[0] if evidence.drift.columns else evidence.target
        return Bilingual(
            ko=f"먼저 ‘{first}’에서 무엇이 바뀌었는지 확인하고, 검사 결과가 들어오는 대로 모델에 돌려주면서 한 주 동안 예측을 나란히 적어 보세요.",
            en=f"First find out what changed at {first!r}; return each result to the model as it comes in, and write predictions "
            "beside results for one week.",
        )
    if evidence.causes:
        cause = evidence.causes[0]
        return Bilingual(ko=f"첫 번째 원인부터 확인하세요: {cause.prove.ko}", en=f"Settle the first cause: {cause.prove.en}")
    doubt_ko = f" 주의: {reservations[0].ko}." if reservations else ""
    doubt_en = f" Mind: {reservations[0].en}." if reservations else ""
    return Bilingual(
        ko=f"다음 50건 동안 예측과 실제 결과를 나란히 적고, 예측구간을 벗어난 것부터 손으로 확인하세요.{doubt_ko}",
        en=f"Write predictions beside results for the next 50 cases, and check by hand those outside the interval first.{doubt_en}",
    )


def _simple(evidence: Evidence, rule: CandidateResult, chosen: CandidateResult) -> Verdict:
    ko, en = _about(evidence)
    name, metric = _simple_name(rule), _metric_name(evidence)
    text = evidence.rule if evidence.rule is not None and rule.family in {"rules", "spc_limit"} else name
    figure = _figure(evidence, rule.last_block)
    against_ko = against_en = ""
    if chosen is not rule:
        other = _figure(evidence, chosen.last_block)
        against_ko, against_en = f" AI는 {other}", f"; AI reached {other}"
    sentence = _sentence(
        evidence,
        f"{ko} AI가 필요 없어요: ‘{text.ko}’만으로 충분해요. 마지막 {evidence.rows_last}행의 {metric.ko}{_subject(metric.ko)} {figure}"
        + (f", {against_ko.strip()}" if against_ko else ""),
        f"AI is not needed for {en}: {text.en} is as good, with {metric.en} {figure} on the last {evidence.rows_last} rows{against_en}",
    )
    return Verdict(
        code="use_simple_rule",
        sentence=sentence,
        confidence=confidence_of(evidence),
        next=Bilingual(
            ko="이 규칙을 현장 화면이나 점검표에 적고, 한 달 뒤 같은 방법으로 다시 확인하세요.",
            en="Put this rule on the line's screen or check sheet, and check it again the same way in a month.",
        ),
        rule=text.en,
    )


def _subject(word: str) -> str:
    """The topic particle where the last letter is Hangul; nothing after figures and Latin letters."""
    code = ord(word[-1]) - 0xAC00
    return ("은" if code % 28 else "는") if 0 <= code < 11172 else ""


def _weak(evidence: Evidence, chosen: CandidateResult, simple: CandidateResult | None) -> Verdict:
    ko, en = _about(evidence)
    metric, figure = _metric_name(evidence), _figure(evidence, chosen.last_block)
    doubtful = _asked(evidence)
    if doubtful:
        names = ", ".join(doubtful[:3])
        sentence = _sentence(
            evidence,
            f"{ko} 맞힐 수 있는지 아직 말할 수 없어요: 결과가 나온 뒤에야 알 수 있을지 모르는 열({names})에 기대고 있어요. "
            f"마지막 {evidence.rows_last}행에서 {metric.ko} {figure}",
            f"whether {en} can be predicted is not settled: the model leans on columns that may be known only after the result "
            f"({names}); on the last {evidence.rows_last} rows the {metric.en} was {figure}",
        )
        step = Bilingual(
            ko=f"{names}: 예측할 때 이미 아는 값인지 현장에 물어보세요. 아니라면 --exclude로 빼고 다시 실행하세요.",
            en=f"Ask on the line whether {names} is known when the prediction is made; if not, run again with --exclude.",
        )
        return Verdict(code="weak", sentence=sentence, confidence="low", next=step)
    against_ko = against_en = ""
    if simple is not None and simple is not chosen:
        other = _figure(evidence, simple.last_block)
        against_ko, against_en = f"; 간단한 방법은 {other}", f" and a simple way reaches {other}"
    sentence = _sentence(
        evidence,
        f"{ko} 조금만 맞힐 수 있어요: 마지막 {evidence.rows_last}행에서 {metric.ko} {figure}{against_ko}. "
        "검사 순서를 정하는 데는 쓸 수 있어도 검사를 대신할 수는 없어요",
        f"{en} can be predicted only weakly: on the last {evidence.rows_last} rows the {metric.en} was {figure}{against_en}; good "
        "enough to decide what to inspect first, not to replace the inspection",
    )
    return Verdict(code="weak", sentence=sentence, confidence=confidence_of(evidence), next=_measure(evidence))


def _faint(evidence: Evidence, trace: CandidateResult, constant: CandidateResult) -> Verdict:
    ko, en = _about(evidence)
    cases = min(n for n in evidence.classes_last.values() if n > 0)
    metric, folds, base = _metric_name(evidence), _figure(evidence, trace.folds), _figure(evidence, constant.folds)
    last = _figure(evidence, trace.last_block)
    sentence = _sentence(
        evidence,
        f"{ko} 아주 약하게만 맞힐 수 있어요: 학습 구간을 나누어 확인한 {metric.ko} {folds}, 늘 같은 값이면 {base}. "
        f"마지막 {evidence.rows_last}행에는 드문 등급이 {cases}건뿐이라 {last}로는 확인되지 않아요",
        f"{en} shows only a weak trace: {metric.en} {folds} over the folds of the training rows, against {base} for always the same "
        f"value; the last {evidence.rows_last} rows hold only {cases} cases of the rarer class and do not confirm it ({last})",
    )
    return Verdict(
        code="weak",
        sentence=sentence,
        confidence="low",
        next=Bilingual(
            ko=f"모델은 아직 쓰지 말고, 드문 등급이 새 데이터에서 {_CASES_TELL}건 모일 때까지 기록한 뒤 같은 명령을 다시 실행하세요. "
            f"{_measure(evidence).ko}",
            en=f"Do not use a model yet; record until new data hold {_CASES_TELL} cases of the rarer class, then run the same command "
            f"again. {_measure(evidence).en}",
        ),
    )


def _not_answerable(evidence: Evidence, chosen: CandidateResult) -> Verdict:
    en = evidence.target
    metric, figure = _metric_name(evidence), _figure(evidence, chosen.last_block)
    step = _measure(evidence)
    sentence = _sentence(
        evidence,
        f"이 데이터로는 {evidence.target}에 답할 수 없어요: 마지막 {evidence.rows_last}행에서 어떤 방법도 늘 같은 값보다 낫지 않았어요"
        f"({metric.ko} {figure})",
        f"these data cannot answer {en}: on the last {evidence.rows_last} rows nothing did better than always the same value "
        f"({metric.en} {figure})",
    )
    return Verdict(code="not_answerable", sentence=sentence, confidence=confidence_of(evidence), next=step)


def _collect(evidence: Evidence, few: Bilingual | None) -> Verdict:
    ko, _ = _about(evidence)
    why = few or Bilingual(
        ko=f"학습 {evidence.rows_train}행, 마지막 구간 {evidence.rows_last}행으로는 효과가 있어도 보이지 않아요",
        en=f"with {evidence.rows_train} rows to learn from and {evidence.rows_last} in the last block an effect would not be seen",
    )
    sentence = _sentence(
        evidence,
        f"{ko} 아직 판단할 수 없어요: {why.ko}",
        f"{evidence.target} cannot be judged yet: {why.en}",
    )
    rows = max(0, _LEARN_SURE + _LEARN_SURE // 4 - evidence.rows_train - evidence.rows_last)
    if evidence.task == "classification" and few is not None and evidence.rows_train >= _LEARN and evidence.rows_last >= _LAST:
        step = Bilingual(
            ko=f"드문 등급이 학습 구간에 {_LEARN_CASES}건, 마지막 구간에 {_LAST_CASES}건 이상 모일 때까지 기록을 이어 가세요.",
            en=f"Keep recording until the rarer class has {_LEARN_CASES} cases to learn from and {_LAST_CASES} in the last block.",
        )
    elif rows > 0:
        step = Bilingual(
            ko=f"결과가 있는 행을 {rows}개 더 모은 뒤 같은 명령을 다시 실행하세요.",
            en=f"Collect {rows} more rows with a result, then run the same command again.",
        )
    else:
        step = Bilingual(
            ko="학습할 수 있는 열이 없었어요. 결과를 알기 전에 아는 값(온도, 원료 로트, 설정값)을 같이 올려 주세요.",
            en="Nothing could be fitted. Add columns that are known before the result: temperatures, raw lot, set-points.",
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
    wanted = [] if evidence.has_lot else [Bilingual(ko="원료 로트", en="the raw-material lot")]
    wanted += [name for kinds, name in _MISSING_KINDS if not kinds & evidence.kinds]
    add_ko = f" 그리고 행마다 {', '.join(w.ko for w in wanted[:2])}을(를) 함께 적으세요." if wanted else ""
    add_en = f" And record {' and '.join(w.en for w in wanted[:2])} with every row." if wanted else ""
    return Bilingual(
        ko=f"같은 시료 20개의 {evidence.target}을(를) 두 번씩 재어, 측정 오차가 얼마나 되는지 먼저 확인하세요.{add_ko}",
        en=f"Measure {evidence.target} twice on the same 20 samples, to learn how much of its spread is the measurement.{add_en}",
    )
