"""A study's report: the same body on the screen and as one file that prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from madang import __version__
from madang.console._charts import candidates_chart, prediction_chart, protocol_chart, share_bar
from madang.console._format import Formats
from madang.console._pages import render, report_css, words
from madang.console._texts import Lang

_EMPTY: dict[str, Any] = {
    "name": None, "task": "auto", "seed": 0, "target": None, "unit": None, "data": [], "madang": "", "causes": [], "candidates": [],
    "chosen": None, "assumptions": [], "look_at": [], "worth": None, "interval": None,
}  # fmt: skip
_NEAR = 0.05
"""Share within which two scores are said to be alike."""
_PARTS: dict[str, dict[str, Any]] = {
    "rows": {"used": None, "train": None, "last_block": None},
    "protocol": {"kind": "forward", "folds": [], "last_block": None},
    "metric": {"name": "", "unit": None, "better": "lower"},
    "leak": {"score": None, "random_split": None, "blocked": None, "findings": []},
    "drift": {"found": False, "matters": False, "columns": []},
    "verdict": {"confidence": "low", "rule": None},
}


def report_html(document: Mapping[str, Any], lang: Lang = "ko", zone: str = "Asia/Seoul") -> str:
    """Return a study's report as one HTML file that prints cleanly on A4.

    Args:
        document: A ``study/1`` document.
        lang: Language of the report.
        zone: Zone in which instants are shown.

    Returns:
        A page that asks for nothing over http or from disk: style and pictures are inside, and no script is needed.
    """
    base = words(lang, zone)
    return render("report_file.html", {**base, "css": report_css(), **report_context(document, base)})


def report_context(document: Mapping[str, Any], base: Mapping[str, Any], *, live: bool = False) -> dict[str, Any]:
    """Return what the report's template needs.

    Args:
        document: A ``study/1`` document; fields it does not carry are shown as unknown.
        base: Words of the language (`words`).
        live: Whether a script may draw the trend again on the screen.
    """
    study: dict[str, Any] = {**_EMPTY, **document}
    for part, fields in _PARTS.items():
        study[part] = {**fields, **(document.get(part) or {})}
    study["madang"] = study["madang"] or __version__
    f: Formats = base["f"]
    t, word, unit = base["t"], base["word"], base["unit"]
    metric = study["metric"]
    metric_name = word("metric", str(metric["name"]).lower()) if metric["name"] else t("word.unknown")
    metric_unit = unit(metric["unit"])

    def score(value: Mapping[str, Any] | None, *, bare: bool = False) -> str:
        return (
            f.score(value.get("value"), value.get("low"), value.get("high"), None if bare else metric["unit"]) if value else "–"
        )

    def candidate_name(candidate: Mapping[str, Any]) -> str:
        base_name, plus, kind = str(candidate.get("name", "")).partition("+")
        shown = str(word("candidate", base_name))
        return str(t("candidate.feedback", name=shown, kind=word("feedback", kind))) if plus else shown

    chosen = next((c for c in study["candidates"] if c.get("name") == study["chosen"]), None)
    series = prediction_series(document)
    trend: Markup | None = None
    trend_json = ""
    if series is not None:
        label = f.short if series["timed"] else f.count
        trend = prediction_chart(series, t("chart.predictions"), f.number, lambda at: _label(label, at, series["timed"]))
        if live:
            trend_json = json.dumps({**series, "zone": f.zone, "unit": unit(study["unit"])}, allow_nan=False)
    return {
        "study": study,
        "chosen": chosen,
        "score": score,
        "candidate_name": candidate_name,
        "share_bar": share_bar,
        "join": _join(document),
        "leak_sentence": _leak_sentence(study, t, f, metric_name),
        "metric_name": metric_name,
        "metric_label": f"{metric_name} [{metric_unit}]" if metric_unit else metric_name,
        "candidates_chart": candidates_chart(study, t, candidate_name, f.number),
        "protocol_chart": protocol_chart(study, t, f.count),
        "timed": series is not None and series["timed"],
        "trend": trend or None,
        "trend_json": trend_json if trend else "",
        "look_at": [_look(item, base) for item in study["look_at"]],
    }


def _join(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """How the tables of one plant were joined: keys and counts, clock offsets, and what was not used."""
    join = (document.get("frame") or {}).get("join") or {}
    tables = [
        {
            "table": item.get("table", ""),
            "by": " = ".join(dict.fromkeys(str(item[k]) for k in ("left_column", "right_column") if item.get(k))),
            **{key: item.get(key) for key in ("rows", "joined", "unmatched", "ambiguous", "superseded")},
        }
        for item in join.get("joins") or []
    ]
    clocks = [{"table": table, **offset} for table, offset in (join.get("offsets") or {}).items()]
    return {"tables": tables, "clocks": clocks, "unused": list(join.get("unused") or [])}


def _leak_sentence(study: Mapping[str, Any], t: Any, f: Formats, metric_name: str) -> str:  # noqa: ANN401 (a translator)
    """Say what a random split would have promised beside what keeping the order gives."""
    random, blocked = study["leak"]["random_split"], study["leak"]["blocked"]
    if random is None or blocked is None:
        return str(t("report.leak_unknown"))
    unit = study["metric"]["unit"]
    too_good = blocked - random if study["metric"]["better"] == "lower" else random - blocked
    near = abs(too_good) <= _NEAR * max(abs(blocked), abs(random))
    key = "report.leak_near" if near else "report.leak_promises" if too_good > 0 else "report.leak_level"
    return str(t(key, random=f.number(random, unit), blocked=f.number(blocked, unit), metric=metric_name))


def prediction_series(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the predictions of the last block as equal-length lists, or None when the document carries none."""
    found = document.get("series")
    if not isinstance(found, Mapping) or not found.get("prediction"):
        return None
    length = len(found["prediction"])
    times = found.get("time") or []
    instants = [_seconds(value) for value in times]
    timed = len(instants) == length and all(v is not None for v in instants)
    rows = found.get("row") or []
    at = instants if timed else rows if len(rows) == length and list(rows) == sorted(rows) else list(range(1, length + 1))
    blank: list[None] = [None] * length
    series = {
        "truth": list(found.get("actual") or blank),
        **{key: list(found.get(key) or blank) for key in ("prediction", "lower", "upper")},
    }
    if any(len(values) != length for values in series.values()):
        return None
    return {"timed": timed, "at": at, **series}


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return None


def _label(show: Any, at: object, timed: bool) -> str:  # noqa: ANN401 (one of two formatters)
    if timed and isinstance(at, int | float):
        return str(show(datetime.fromtimestamp(at).astimezone()))
    return str(show(at))


def _look(item: object, base: Mapping[str, Any]) -> str:
    if isinstance(item, Mapping):
        said = base["pick"](item, "reason")
        f: Formats = base["f"]
        places = [str(item["group"])] if item.get("group") else []
        places += [f.instant(item["time"])] if item.get("time") else []
        if item.get("row") is not None:
            places.append(base["t"]("report.look_row", source=item.get("source") or "", row=item["row"]).strip())
        return " · ".join([*places, said] if said else places)
    return str(item)
