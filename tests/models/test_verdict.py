"""The one sentence: what it may say, what it may never say."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from madang.models._verdict import SIMPLE, Alarms, Evidence, Protocol, best_simple, confidence_of, make_verdict
from madang.models._wording import LOTS, RECORDS, measured, plain, with_particle
from madang.models._words import CandidateResult, Cause, Drift, Family, LeakFinding, Metric, Score
from madang.plant import Bilingual, Kind

TEXT = Bilingual(ko="글", en="text")


def _candidate(name: str, family: Family, value: float, half: float) -> CandidateResult:
    score = Score(value, value - half, value + half)
    return CandidateResult(name, family, score, score, True, None, 0.1)


def _evidence(trees: float = 1.0, persistence: float = 2.0, constant: float = 4.0, half: float = 0.2) -> Evidence:
    return Evidence(
        task="forecast", target="전력사용량", unit="kW.h", metric=Metric("rmse", "kW.h", "lower"),
        candidates=(
            _candidate("constant", "constant", constant, half), _candidate("last value", "persistence", persistence, half),
            _candidate("boosted trees", "trees", trees, half),
        ),
        chosen="boosted trees", protocol="forward", rows_train=4_000, rows_last=1_000, coverage=0.9, nominal=0.9,
        gain=Score(persistence - trees, persistence - trees - half, persistence - trees + half),
    )  # fmt: skip


def _classes(trees: float, half: float, metric: str = "roc_auc", constant: float = 0.5) -> Evidence:
    return Evidence(
        task="classification", target="불량", metric=Metric(metric, None, "higher"),
        candidates=(
            _candidate("constant", "constant", constant, 0.0), _candidate("one limit", "spc_limit", constant + 0.01, half),
            _candidate("boosted trees", "trees", trees, half),
        ),
        chosen="boosted trees", protocol="forward", rows_train=900, rows_last=300, classes={"ok": 840, "bad": 60},
        classes_last={"ok": 275, "bad": 25}, prevalence=0.08,
    )  # fmt: skip


def test_a_model_that_beats_the_simple_ways_is_used_with_high_confidence() -> None:
    verdict = make_verdict(_evidence())
    assert (verdict.code, verdict.confidence) == ("use_model", "high")
    assert "전력사용량" in verdict.sentence.ko
    assert "1,000 records" in verdict.sentence.en
    assert "1,000행" in verdict.sentence.ko


def test_taking_the_last_value_is_enough_where_the_model_gains_nothing() -> None:
    verdict = make_verdict(_evidence(trees=1.95, persistence=2.0))
    assert verdict.code == "use_simple_rule"
    assert verdict.rule == "taking the last known value"


def test_a_limit_is_enough_where_the_model_gains_nothing() -> None:
    evidence = _classes(0.92, 0.03, "f1", 0.0)
    limit = _candidate("one limit", "spc_limit", 0.91, 0.03)
    rule = Bilingual(ko="로내온도가 812 degC를 넘으면 불량", en="bad when the furnace is above 812 degC")
    verdict = make_verdict(replace(evidence, candidates=(evidence.candidates[0], limit, evidence.candidates[2]), rule=rule))
    assert verdict.code == "use_simple_rule"
    assert verdict.rule == rule.en
    assert rule.ko in verdict.sentence.ko
    assert "AI is not needed" in verdict.sentence.en


def test_the_same_time_last_week_is_enough_where_it_was_chosen_itself() -> None:
    evidence = _evidence()
    weekly = _candidate("same time last week", "seasonal", 0.9, 0.2)
    verdict = make_verdict(
        replace(evidence, candidates=(*evidence.candidates, weekly), chosen="same time last week", gain=None)
    )
    assert verdict.code == "use_simple_rule"


def test_nothing_better_than_a_constant_cannot_be_answered_and_says_what_to_measure() -> None:
    measured = replace(_evidence(trees=3.95, persistence=4.5, constant=4.0), task="regression")
    verdict = make_verdict(measured)
    assert verdict.code == "not_answerable"
    assert "twice" in verdict.next.en
    assert "두 번" in verdict.next.ko
    assert "temperature" in verdict.next.en
    warm = make_verdict(replace(measured, kinds=frozenset({Kind.TEMPERATURE}), has_lot=True))
    assert "temperature" not in warm.next.en


def test_a_forecast_without_an_answer_asks_for_plans_and_not_for_samples() -> None:
    verdict = make_verdict(_evidence(trees=3.95, persistence=4.5, constant=4.0))
    assert verdict.code == "not_answerable"
    assert "plan" in verdict.next.en
    assert "생산 계획" in verdict.next.ko
    assert "samples" not in verdict.next.en


def test_with_few_rows_nothing_is_judged() -> None:
    assert make_verdict(replace(_evidence(), rows_train=40)).code == "collect_data"
    assert make_verdict(replace(_evidence(), rows_last=10)).code == "collect_data"
    assert make_verdict(replace(_evidence(trees=3.95, persistence=4.5), rows_train=150)).code == "collect_data"
    assert make_verdict(replace(_classes(0.9, 0.02), classes_last={"ok": 300, "bad": 2})).code == "collect_data"
    assert make_verdict(replace(_evidence(), candidates=(), chosen=None)).code == "collect_data"


def test_a_wafer_fab_auc_of_072_is_weak() -> None:
    assert make_verdict(_classes(0.72, 0.09)).code == "weak"


def test_a_trace_in_the_folds_is_weak_where_the_last_block_has_few_cases() -> None:
    evidence = replace(_classes(0.08, 0.06, "pr_auc", 0.07), classes_last={"ok": 287, "bad": 13})
    folds = replace(evidence.candidates[2], folds=Score(0.10, 0.08, 0.2))
    traced = replace(evidence, candidates=(*evidence.candidates[:2], folds))
    assert make_verdict(traced).code == "weak"
    assert "13" in make_verdict(traced).sentence.ko
    assert make_verdict(evidence).code == "not_answerable"


def test_a_trace_in_the_folds_stays_weak_unless_enough_cases_of_the_last_block_speak_against_it() -> None:
    evidence = replace(_classes(0.52, 0.08), classes_last={"ok": 240, "bad": 60})
    folds = replace(evidence.candidates[2], folds=Score(0.62, 0.56, 0.68))
    traced = replace(evidence, candidates=(*evidence.candidates[:2], folds))
    assert make_verdict(traced).code == "weak"
    assert "60" in make_verdict(traced).sentence.en
    against = replace(folds, last_block=Score(0.48, 0.44, 0.52))
    gone = replace(evidence, candidates=(*evidence.candidates[:2], against))
    assert make_verdict(gone).code == "not_answerable"
    assert make_verdict(replace(gone, classes_last={"ok": 287, "bad": 13})).code == "weak"


@given(
    value=st.floats(0.3, 0.9), half=st.floats(0.01, 0.2), last=st.floats(0.35, 0.65), wide=st.floats(0.16, 0.3),
    bad=st.integers(5, 200),
)  # fmt: skip
def test_where_the_last_block_tells_nothing_the_folds_decide_between_weak_and_not_answerable(
    value: float, half: float, last: float, wide: float, bad: int
) -> None:
    evidence = replace(_classes(last, wide), classes_last={"ok": 400, "bad": bad})
    limit = replace(evidence.candidates[1], last_block=Score(0.5, 0.4, 0.6), folds=Score(0.5, 0.4, 0.6))
    trees = replace(evidence.candidates[2], folds=Score(value, value - half, value + half))
    verdict = make_verdict(replace(evidence, candidates=(evidence.candidates[0], limit, trees)))
    against = bad >= 30 and last + wide < value - half
    assert verdict.code == ("weak" if value - half > 0.5 and not against else "not_answerable")


def test_a_model_that_leans_on_a_doubtful_column_is_weak_and_asks() -> None:
    leak = LeakFinding("scrap", "consequence", "warning", TEXT, "asked")
    verdict = make_verdict(replace(_evidence(), leaks=(leak,), relies_on=("scrap",)))
    assert (verdict.code, verdict.confidence) == ("weak", "low")
    assert "scrap" in verdict.next.en
    assert make_verdict(replace(_evidence(), leaks=(leak,), relies_on=("other",))).confidence == "medium"


def test_a_shuffled_protocol_says_that_nothing_is_known_about_next_month() -> None:
    for evidence in (
        _evidence(),
        _evidence(trees=1.95),
        _evidence(3.95, 4.5),
        replace(_evidence(), rows_last=5),
        _classes(0.72, 0.09),
    ):
        verdict = make_verdict(replace(evidence, protocol="shuffled"))
        assert "nothing is known about next month" in verdict.sentence.en
        assert "다음 달" in verdict.sentence.ko
        assert verdict.confidence != "high"


def test_the_first_cause_is_the_next_step() -> None:
    cause = Cause("soak", None, "up", 0.5, TEXT, Bilingual(ko="다섯 로트를 돌려요.", en="Run five lots."), TEXT)
    lots = replace(_evidence(), task="regression", rows=LOTS, causes=(cause,))
    assert "Run five lots." in make_verdict(lots).next.en


def test_a_forecast_is_tried_beside_the_simple_way_whatever_was_named_as_a_cause() -> None:
    cause = Cause("power", None, "up", 0.5, TEXT, Bilingual(ko="다섯 로트를 돌려요.", en="Run five lots."), TEXT)
    ahead = Bilingual("15분", "15 min")
    evidence = replace(
        _evidence(), causes=(cause,), horizon=ahead, last_days=73.0, predicts=Bilingual("요일을", "the day of week")
    )
    verdict = make_verdict(evidence)
    assert "4 weeks" in verdict.next.en
    assert "4주" in verdict.next.ko
    assert "taking the last known value" in verdict.next.en
    assert "15 min ahead from the day of week" in verdict.sentence.en
    assert "요일을 보고 15분 앞까지" in verdict.sentence.ko
    assert "the last 73 days (1,000 records)" in verdict.sentence.en
    assert "lot" not in verdict.next.en.lower().split()


def test_a_model_of_two_classes_says_what_it_finds_at_which_false_alarms() -> None:
    alarms = Alarms(61, Score(0.87, 0.78, 0.94), 0.05, "1")
    verdict = make_verdict(replace(_classes(0.9, 0.05, "pr_auc", 0.08), target="Machine failure", alarms=alarms))
    assert verdict.code == "use_model"
    assert "53 of 61 cases of Machine failure (95 % interval 48 to 57)" in verdict.sentence.en
    assert "no more than 5 false alarms per 100" in verdict.sentence.en
    assert "61건 가운데 53건(95 % 구간 48 ~ 57건)" in verdict.sentence.ko
    assert "PR AUC" in verdict.sentence.ko


def test_a_model_that_gains_little_over_the_simple_way_is_not_sure() -> None:
    surely = _evidence(trees=1.0, persistence=2.0, half=0.05)
    assert make_verdict(surely).confidence == "high"
    little = _evidence(trees=1.85, persistence=2.0, half=0.05)
    assert (make_verdict(little).code, make_verdict(little).confidence) == ("use_model", "medium")
    maybe = replace(surely, gain=Score(1.0, 0.05, 1.9))
    assert make_verdict(maybe).confidence == "medium"


def test_a_rule_is_told_with_signs_of_units_in_both_languages_and_without_shares() -> None:
    text = "if 온도 > 800 and 수분 <= 3: 12.1 [ppm] (83%)\nelse: 8 [ppm]"
    evidence = replace(_evidence(trees=1.95), unit="[ppm]", rule=Bilingual(text, text))
    limit = _candidate("one limit", "rules", 1.96, 0.2)
    verdict = make_verdict(replace(evidence, candidates=(evidence.candidates[0], limit, evidence.candidates[2])))
    assert "온도 > 800 그리고 수분 ≤ 3이면 12.1 ppm; 그 밖에는 8 ppm" in verdict.sentence.ko
    assert verdict.rule == "if 온도 > 800 and 수분 ≤ 3: 12.1 ppm; else: 8 ppm"


def test_drift_that_matters_lowers_the_confidence_and_names_the_column() -> None:
    drift = Drift(found=True, columns=("burner",), matters=True, text=TEXT)
    verdict = make_verdict(replace(_evidence(), drift=drift))
    assert verdict.confidence == "medium"
    assert "burner" in verdict.next.en
    assert make_verdict(replace(_evidence(), drift=drift, coverage=0.7)).confidence == "low"


def test_particles_follow_the_last_sound() -> None:
    assert with_particle("수율", "은", "는") == "수율은"
    assert with_particle("온도", "은", "는") == "온도는"
    assert with_particle("y", "은", "는") == "y은(는)"
    assert with_particle("", "은", "는") == "은(는)"


_families: st.SearchStrategy[Family] = st.sampled_from(
    ["trees", "linear_lags", "pls", "persistence", "seasonal", "rules", "spc_limit"]
)


@st.composite
def _any_evidence(draw: st.DrawFn) -> Evidence:
    better = draw(st.sampled_from(["lower", "higher"]))
    unit = draw(st.sampled_from(["[ppm]", "kW.h", "Cel", "m3/h", "um", None]))
    metric = (
        Metric("mae", unit, "lower")
        if better == "lower"
        else Metric(draw(st.sampled_from(["f1", "pr_auc", "roc_auc"])), None, "higher")
    )
    value = st.floats(0.01, 0.99)
    candidates = [_candidate("constant", "constant", draw(value), 0.0)]
    for k in range(draw(st.integers(1, 4))):
        candidates.append(_candidate(f"c{k}", draw(_families), draw(value), draw(st.floats(0.0, 0.3))))
    matters = draw(st.booleans())
    protocol: Protocol = draw(st.sampled_from(["forward", "grouped", "shuffled"]))
    gain = draw(st.one_of(st.none(), st.builds(lambda v, h: Score(v, v - h, v + h), st.floats(-0.5, 0.5), st.floats(0, 0.3))))
    return Evidence(
        task=draw(st.sampled_from(["regression", "forecast"])) if better == "lower" else "classification", target=draw(st.sampled_from(["y", "수율", "온도"])), metric=metric,
        candidates=tuple(candidates), chosen=draw(st.sampled_from([c.name for c in candidates])), protocol=protocol,
        rows_train=draw(st.sampled_from([10, 100, 1_000])), rows_last=draw(st.sampled_from([5, 30, 100, 500])), gain=gain,
        coverage=draw(st.one_of(st.none(), st.floats(0, 1))), nominal=0.9,
        drift=Drift(found=matters, columns=("a",) if matters else (), matters=matters, text=TEXT), unit=metric.unit,
        rows=draw(st.sampled_from([LOTS, RECORDS])), last_days=draw(st.sampled_from([None, 0.5, 55.0, 300.0])),
        alarms=draw(st.sampled_from([None, Alarms(20, Score(0.5, 0.3, 0.7), 0.05, "NG")])) if better == "higher" else None,
    )  # fmt: skip


@given(evidence=_any_evidence())
def test_a_model_is_never_used_unless_it_beats_the_best_simple_one_beyond_its_interval(evidence: Evidence) -> None:
    if make_verdict(evidence).code != "use_model":
        return
    chosen = next(c for c in evidence.candidates if c.name == evidence.chosen)
    simple = best_simple(evidence)
    assert chosen.family not in SIMPLE
    assert simple is not None
    assert chosen.last_block.low is not None
    assert chosen.last_block.high is not None
    assert simple.last_block.value is not None
    if evidence.metric.better == "lower":
        assert chosen.last_block.high < simple.last_block.value
    else:
        assert chosen.last_block.low > simple.last_block.value
    assert evidence.gain is None or (evidence.gain.low is not None and evidence.gain.low > 0)


def test_the_search_above_meets_every_verdict() -> None:
    """The property over models would be empty if no drawn evidence led to one."""
    codes = {make_verdict(e).code for e in (_evidence(), _evidence(trees=1.95), _classes(0.72, 0.09), _evidence(3.95, 4.5))}
    assert codes == {"use_model", "use_simple_rule", "weak", "not_answerable"}


@given(evidence=_any_evidence())
def test_confidence_is_never_high_under_drift_or_on_a_small_last_block(evidence: Evidence) -> None:
    assert evidence.drift is not None
    if evidence.drift.matters or evidence.rows_last < 150 or evidence.protocol == "shuffled":
        assert confidence_of(evidence) != "high"
        assert make_verdict(evidence).confidence != "high"


@given(evidence=_any_evidence())
def test_every_verdict_speaks_both_languages_and_never_shows_a_bare_percentage(evidence: Evidence) -> None:
    verdict = make_verdict(evidence)
    for text in (verdict.sentence, verdict.next):
        assert re.search("[가-힣]", text.ko)
        assert not re.search("[가-힣]", text.en.replace(evidence.target, ""))
        assert text.en
    for shown, level in (
        (verdict.sentence.ko, r"\(95 % 구간 [−\d.,]+ ~ [−\d.,]+건?\)"), (verdict.sentence.en, r"\(95 % interval [−\d.,]+ to [−\d.,]+\)"),
    ):  # fmt: skip
        # A percentage in the sentence is only ever the level of an interval, with both of its ends to equal digits.
        assert len(re.findall("%", shown)) == len(re.findall(level, shown))
        for low, high in re.findall(r"([−\d.,]+) (?:~|to) ([−\d.,]+)", shown):
            assert len(low.partition(".")[2]) == len(high.partition(".")[2])
    if verdict.code == "use_simple_rule":
        assert verdict.rule


_CODES = re.compile(r"\[ppm\]|kW\.h|\bCel\b|m3/h|\bum\b|trees|linear_|seasonal_|pls|spc_|c\d\b|p=|\(s\)|\brow\(|None|\bnan\b")


@given(evidence=_any_evidence())
def test_no_sentence_shows_codes_of_units_or_names_of_the_program(evidence: Evidence) -> None:
    verdict = make_verdict(evidence)
    for text in (verdict.sentence, verdict.next):
        assert not _CODES.search(text.ko), text.ko
        assert not _CODES.search(text.en), text.en
        assert "(로도)" not in text.ko
        assert ")(" not in text.ko
        if evidence.target in ("수율", "온도"):
            assert not re.search(r"(은\(는\)|을\(를\)|이\(가\))", text.ko), text.ko


@given(evidence=_any_evidence())
def test_a_figure_comes_with_its_metric_its_set_and_its_interval(evidence: Evidence) -> None:
    verdict = make_verdict(evidence)
    if verdict.code == "collect_data":
        return
    named = {"mae": "MAE", "f1": "F1", "pr_auc": "PR AUC", "roc_auc": "ROC AUC"}[evidence.metric.name]
    for text, interval, unused in (
        (verdict.sentence.ko, "95 % 구간", "한 번도 쓰지 않은"), (verdict.sentence.en, "95 % interval", "never used before"),
    ):  # fmt: skip
        assert named in text
        assert interval in text
        assert unused in text
        assert f"{evidence.rows_last:,}" in text


@given(evidence=_any_evidence())
def test_lots_are_spoken_of_only_where_rows_are_lots(evidence: Evidence) -> None:
    verdict = make_verdict(replace(evidence, rows=RECORDS))
    for text in (verdict.sentence, verdict.next):
        assert not re.search(r"\blots?\b", text.en), text.en
        assert "로트" not in text.ko.replace("원료 로트", ""), text.ko
    if make_verdict(replace(evidence, rows=LOTS)).code != "collect_data":
        assert "로트" in make_verdict(replace(evidence, rows=LOTS)).sentence.ko


@given(value=st.floats(-1e6, 1e6), half=st.floats(1e-6, 1e5))
def test_both_ends_of_an_interval_bear_the_digits_of_the_value(value: float, half: float) -> None:
    text = measured(Score(value, value - half, value + half), "kW.h").en
    numbers = re.findall(r"−?[\d,]+(?:\.\d+)?(?= kWh| to |\))", text)
    assert len(numbers) == 3
    assert len({len(n.partition(".")[2]) for n in numbers}) == 1
    assert plain(-0.0, 2) == "0.00"
