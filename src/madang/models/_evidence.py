"""The one place where a study hands its measurements to the checks that judge them: leaks, order, drift, causes, worth, verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madang.errors import Json
from madang.models._causes import find_causes, look_at, what_predicts
from madang.models._drift import find_drift
from madang.models._frame import FloatArray, Frame, IntArray
from madang.models._judge import Judge
from madang.models._leaks import find_leaks
from madang.models._metrics import FALSE_ALARM_RATE, recall_at, with_interval
from madang.models._order import OrderTest, row_order_carries_target
from madang.models._protocol import Protocol
from madang.models._setting import Setting
from madang.models._span import Span
from madang.models._verdict import Alarms, Evidence, make_verdict
from madang.models._wording import decimals_of, plain, rows_of, with_unit
from madang.models._words import CandidateResult, Cause, Drift, LeakFinding, Score, StudyRequest, Verdict, Worth
from madang.models._worth import estimate_worth
from madang.plant import Bilingual, Kind, Role


@dataclass(frozen=True)
class Findings:
    """What a study measured."""

    frame: Frame
    setting: Setting
    request: StudyRequest
    protocol: Protocol
    judge: Judge
    inputs: tuple[str, ...]
    leaks: tuple[LeakFinding, ...]
    results: tuple[CandidateResult, ...]
    chosen: str | None
    oof: list[tuple[IntArray, FloatArray]]
    """Rows and predictions of each judged block."""
    last: FloatArray
    """Predictions of the last block."""
    gain: Score | None
    coverage: float | None
    nominal: float
    leak_score: float | None
    rule: Bilingual | None
    relies_on: tuple[str, ...]

    @property
    def target(self) -> FloatArray:
        """Target of each row."""
        return self.frame[self.setting.target].values


def leaks_of(frame: Frame, setting: Setting, learn: IntArray, *, horizon_rows: int, seed: int) -> tuple[LeakFinding, ...]:
    """Find leaks on the rows that may be learned from."""
    return find_leaks(frame, setting.target, setting.task, horizon_rows=horizon_rows, seed=seed, train=learn)


def order_test(frame: Frame, setting: Setting, seed: int) -> OrderTest:
    """Test whether the order of the rows says something about the target."""
    return row_order_carries_target(frame, setting.target, setting.task, seed)


def drift_of(found: Findings) -> Drift:
    """Say what changed between learning and the last block, and whether it matters."""
    train, last = np.sort(found.protocol.final.train), np.sort(found.protocol.final.test)
    errors = np.full(len(found.frame), np.nan)
    for rows, guess in found.oof:
        errors[rows] = _errors(found, rows, guess)
    errors_last = np.full(len(found.frame), np.nan)
    errors_last[found.protocol.final.test] = _errors(found, found.protocol.final.test, found.last)
    return find_drift(
        found.frame.take(train), found.frame.take(last), found.inputs, errors_train=errors[train], errors_last=errors_last[last],
        seed=found.request.seed,
    )  # fmt: skip


def _errors(found: Findings, rows: IntArray, guess: FloatArray) -> FloatArray:
    truth = found.target[rows]
    if not found.setting.classes:
        return np.abs(truth - guess)
    known = np.isfinite(truth)
    own = guess[np.arange(len(rows)), np.nan_to_num(truth).astype(np.int64)]
    return np.where(known, 1.0 - own, np.nan)


def causes_of(found: Findings, lower: FloatArray, upper: FloatArray) -> tuple[tuple[Cause, ...], list[Json]]:
    """Name the causes that hold on the learned rows, and the rows of the last block to check by hand."""
    inputs = [n for n in found.inputs if found.frame[n].available in ("before", "calendar", "with_target", "unknown")]
    train = np.sort(found.protocol.final.train)
    causes = find_causes(
        found.frame, found.setting.target, found.setting.task, inputs, train=train, seed=found.request.seed,
        budget_seconds=max(2.0, found.request.budget_seconds / 6), barred=_follows(found.leaks),
    )  # fmt: skip
    last = found.protocol.final.test
    truth = found.target[last]
    predictions = found.last
    if found.setting.classes:
        predictions = found.last[np.arange(len(last)), np.nan_to_num(truth).astype(np.int64)]
    return causes, list(look_at(found.frame.take(last), found.setting.target, predictions, np.column_stack([lower, upper])))


def _follows(leaks: tuple[LeakFinding, ...]) -> frozenset[str]:
    """Columns that follow from the result, whatever was done about them."""
    codes = {"consequence", "label_copy", "identifier", "row_order", "future_value", "target_derived", "after_result"}
    return frozenset(f.column for f in leaks if f.column is not None and f.code in codes and f.severity != "info")


def worth_of(found: Findings) -> Worth | None:
    """Estimate the worth from a person's ranges; without a share that acting avoids it follows from the gain on the last block."""
    money = dict(found.request.money)
    if not money:
        return None
    return estimate_worth(money, _improvement(found), seed=found.request.seed)


def _improvement(found: Findings) -> Score | None:
    """Share of the error that the chosen candidate takes away from the constant on the last block."""
    chosen = next((c for c in found.results if c.name == found.chosen), None)
    constant = next((c for c in found.results if c.family == "constant"), None)
    if chosen is None or constant is None or chosen.last_block.value is None or not constant.last_block.value:
        return None
    base = constant.last_block.value
    if found.judge.metric.better == "lower":
        share = [
            None if v is None else 1 - v / base
            for v in (chosen.last_block.value, chosen.last_block.high, chosen.last_block.low)
        ]
    else:
        share = [
            None if v is None else (v - base) / max(1 - base, 1e-9)
            for v in (chosen.last_block.value, chosen.last_block.low, chosen.last_block.high)
        ]
    return Score(*share)


def verdict_of(found: Findings, drift: Drift, causes: tuple[Cause, ...]) -> Verdict:
    """Say the one sentence."""
    setting, last = found.setting, found.protocol.final.test
    train = found.protocol.final.train
    train = train[np.isfinite(found.target[train])]
    judged = last[np.isfinite(found.target[last])]
    counts, counts_last = _counts(found, train), _counts(found, judged)
    evidence = Evidence(
        task=setting.task, target=setting.target, metric=found.judge.metric, candidates=found.results, chosen=found.chosen,
        protocol=found.protocol.kind, rows_train=len(train), rows_last=len(judged), unit=setting.unit, reason=found.protocol.reason,
        gain=found.gain, coverage=found.coverage, nominal=found.nominal, drift=drift, leaks=found.leaks, leak_score=found.leak_score,
        causes=causes, classes=counts, classes_last=counts_last,
        prevalence=min(counts_last.values()) / max(len(judged), 1) if counts_last else None, rule=found.rule,
        kinds=frozenset(found.frame[n].kind for n in found.inputs) - {Kind.UNKNOWN},
        has_lot=found.frame.group is not None or any(s.role is Role.LOT for s in found.frame), relies_on=found.relies_on,
        rows=rows_of(found.frame), last_days=_days(found, judged), horizon=_horizon(setting), predicts=_predicts(found, train),
        worst=_worst(found), alarms=_alarms(found),
    )  # fmt: skip
    return make_verdict(evidence)


def _days(found: Findings, rows: IntArray) -> float | None:
    """How long the last block is [d]."""
    timing = found.setting.timing
    if found.frame.time is None or timing is None or not timing.timed or timing.by_group or found.frame.group is not None:
        return None
    at = found.frame.time[rows]
    at = at[~np.isnat(at)]
    return float((at.max() - at.min()) / np.timedelta64(1, "D")) if len(at) > 1 else None


def _horizon(setting: Setting) -> Bilingual | None:
    span: Span | None = None if setting.task != "forecast" or setting.timing is None else setting.timing.horizon
    if span is None:
        return None
    if span.rows is not None:
        return Bilingual(f"{span.rows:,}행", "1 record" if span.rows == 1 else f"{span.rows:,} records")
    seconds = span.seconds or 0.0
    for length, ko, en in ((86_400.0, "일", "day"), (3_600.0, "시간", "h"), (60.0, "분", "min")):
        if seconds >= length and seconds % length == 0 and (length < 86_400.0 or seconds >= 2 * length):
            n = seconds / length
            return Bilingual(f"{n:g}{ko}", f"{n:g} days" if en == "day" else f"{n:g} {en}")
    return Bilingual(f"{seconds:g}초", f"{seconds:g} s") if seconds else None


def _predicts(found: Findings, train: IntArray) -> Bilingual | None:
    timing = found.setting.timing
    if found.setting.task != "forecast" or timing is None or timing.by_group:
        return None
    ahead = max(1, round((timing.length(timing.horizon) + timing.length(timing.delay)) / max(timing.step, 1e-9)))
    return what_predicts(found.frame, found.setting.target, np.sort(train), ahead)


def _worst(found: Findings) -> Bilingual | None:
    """When the errors of the last block were largest: above or below a value of the prediction; None where no third stands out."""
    if found.setting.classes or not len(found.last):
        return None
    rows = found.protocol.final.test
    error = np.abs(found.target[rows] - found.last)
    known = np.isfinite(error)
    guess, error = found.last[known], error[known]
    if len(guess) < 90 or float(np.ptp(guess)) <= 0 or float(error.mean()) <= 0:
        return None
    low, high = np.quantile(guess, (1 / 3, 2 / 3))
    unit = found.judge.metric.unit
    for limit, part, ko, en in ((high, guess > high, "클", "above"), (low, guess < low, "작을", "below")):
        if part.sum() >= 20 and float(error[part].mean()) >= 1.3 * float(error.mean()):
            shown = plain(float(f"{limit:.2g}"), decimals_of(float(limit), float(limit), float(limit)))
            return Bilingual(
                f"예측이 {with_unit(shown, unit, 'ko')}보다 {ko} 때",
                f"when the prediction is {en} {with_unit(shown, unit, 'en')}",
            )
    return None


def _alarms(found: Findings) -> Alarms | None:
    """What the chosen candidate finds of the class looked for, as an alarm at a stated rate of false ones, on the last block."""
    setting = found.setting
    if len(setting.classes) != 2 or setting.positive is None or found.last.ndim != 2:
        return None
    rows = found.protocol.final.test
    known = np.isfinite(found.target[rows])
    bad, score = found.judge.bad(found.target[rows][known]), found.judge.score(found.last[known])
    if not 0 < bad.sum() < len(bad):
        return None
    share = with_interval(
        lambda some: recall_at(bad[some], score[some]), len(bad), block=found.judge.block, seed=found.judge.seed
    )
    return Alarms(int(bad.sum()), share, FALSE_ALARM_RATE, setting.classes[setting.positive])


def _counts(found: Findings, rows: IntArray) -> dict[str, int]:
    if not found.setting.classes:
        return {}
    counts = np.bincount(found.target[rows].astype(np.int64), minlength=len(found.setting.classes))
    return {name: int(n) for name, n in zip(found.setting.classes, counts, strict=True)}
