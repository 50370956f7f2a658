"""A study as the published document ``study/1``: JSON values only, both languages, nothing that is not a number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from madang.errors import Json
from madang.models._intervals import NOMINAL
from madang.models._setting import said
from madang.models._words import CandidateResult, Cause, LeakFinding, Score

if TYPE_CHECKING:
    from madang.models._study import Study


def study_document(study: Study) -> dict[str, Json]:
    """Return the report of a study (without the envelope that a face adds)."""
    protocol, setting = study.protocol, study.setting
    found = study.leaks
    document: dict[str, Json] = {
        "name": study.name,
        "task": setting.task,
        "seed": study.request.seed,
        "target": setting.target,
        "unit": setting.unit,
        "classes": list(setting.classes),
        "target_columns": list(setting.family),
        "data": [{"dataset": name, "version": number} for name, number in study.data],
        "rows": {
            "used": study.rows_used,
            "train": len(protocol.final.train),
            "gap": protocol.gap,
            "last_block": len(protocol.final.test),
        },
        "assumptions": said(setting.assumptions),
        "protocol": {
            "kind": protocol.kind,
            **protocol.reason.fields("reason"),
            "gap": protocol.gap,
            "folds": [{"train": list(train), "test": list(test)} for train, test in study.fold_rows],
            "last_block": list(study.last_rows),
            "opened_once": True,
        },
        "metric": {"name": study.metric.name, "unit": study.metric.unit, "better": study.metric.better},
        "candidates": [_candidate(c, study) for c in study.candidates],
        "chosen": study.chosen,
        "leak": {
            "score": _difference(study.leak_random, study.leak_blocked),
            "random_split": _number(study.leak_random),
            "blocked": _number(study.leak_blocked),
            "findings": [_leak(f) for f in found],
        },
        "interval": {
            "nominal": NOMINAL,
            "coverage": _number(study.coverage),
            "mean_width": _number(study.mean_width),
            **(study.interval_text.fields("text") if study.interval_text else {"text_ko": "", "text_en": ""}),
        },
        "drift": {
            "found": study.drift.found,
            "columns": list(study.drift.columns),
            "matters": study.drift.matters,
            **study.drift.text.fields("text"),
            "folds_outside": list(study.folds_outside),
        },
        "causes": [_cause(c) for c in study.causes],
        "look_at": list(study.look_at),
        "worth": _worth(study),
        "verdict": {
            "code": study.verdict.code,
            **study.verdict.sentence.fields("sentence"),
            "confidence": study.verdict.confidence,
            **study.verdict.next.fields("next"),
            "rule": study.verdict.rule,
        },
        "rule_list": study.rule,
        "cost_curve": [dict(point) for point in study.cost_curve],
        "series": study.series,
        "frame": study.frame_facts,
    }
    if study.leak_random is None or study.leak_blocked is None:
        leak = document["leak"]
        if isinstance(leak, dict):
            leak["score_reason"] = "too few rows to split at random"
    if study.coverage is None:
        interval = document["interval"]
        if isinstance(interval, dict):
            interval["coverage_reason"] = "no model was fitted"
    return _clean_object(document)


def _number(value: float | None) -> Json:
    return None if value is None or not math.isfinite(value) else float(value)


def _difference(a: float | None, b: float | None) -> Json:
    return None if a is None or b is None else _number(a - b)


def _score(score: Score) -> dict[str, Json]:
    made: dict[str, Json] = {"value": _number(score.value), "low": _number(score.low), "high": _number(score.high)}
    if made["value"] is None:
        made["value_reason"] = "too few rows, or only one class among them"
    return made


def _candidate(candidate: CandidateResult, study: Study) -> dict[str, Json]:
    made: dict[str, Json] = {
        "name": candidate.name,
        "family": candidate.family,
        "folds": _score(candidate.folds),
        "last_block": _score(candidate.last_block),
        "offered": candidate.offered,
        "why_not_en": candidate.why_not.en if candidate.why_not else None,
        "why_not_ko": candidate.why_not.ko if candidate.why_not else None,
        "fit_seconds": candidate.fit_seconds,
    }
    further = study.scores.get(candidate.name)
    if further:
        made["scores"] = {part: {name: _score(score) for name, score in scores.items()} for part, scores in further.items()}
    return made


def _leak(finding: LeakFinding) -> dict[str, Json]:
    return {
        "column": finding.column, "code": finding.code, "severity": finding.severity, **finding.evidence.fields("evidence"),
        "action": finding.action,
    }  # fmt: skip


def _cause(cause: Cause) -> dict[str, Json]:
    return {
        "column": cause.column, "lag": cause.lag, "direction": cause.direction, "share": _number(cause.share),
        **cause.evidence.fields("evidence"), **cause.prove.fields("prove"), **cause.refute.fields("refute"), "facts": cause.facts,
    }  # fmt: skip


def _worth(study: Study) -> Json:
    worth = study.worth
    if worth is None:
        return None
    made: dict[str, Json] = {
        "currency": worth.currency, "p10": _number(worth.p10), "p50": _number(worth.p50), "p90": _number(worth.p90),
        "payback_24m": _number(worth.payback_24m),
    }  # fmt: skip
    if worth.measure_first is not None:
        made.update(worth.measure_first.fields("measure_first"))
    return made


def _clean_object(value: dict[str, Json]) -> dict[str, Json]:
    return {key: _clean(item) for key, item in value.items()}


def _clean(value: Json) -> Json:
    """Replace what JSON cannot say (NaN, infinity) by null, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return _clean_object(value)
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
