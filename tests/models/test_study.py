"""A study of one table, from a file to a verdict."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from madang.errors import UsageError
from madang.models import StudyRequest, study
from madang.models._assemble import read_of
from tests.models.exports import load_curve, read, write_csv


def _report(table: pa.Table, request: StudyRequest) -> dict[str, Any]:
    document = study([read_of(table, dataset="plant")], request).document()
    from jsonschema import validate  # type: ignore[import-untyped]

    schema = json.loads((files("madang") / "schemas" / "study-1.json").read_text(encoding="utf-8"))
    text = json.dumps({"schema": "study/1", "madang": "0", "seconds": 0.0, **document}, allow_nan=False)
    validate(json.loads(text), schema)
    return document


def _soft_sensor(rows: int, seed: int = 0, drift: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    heat, flow, noise = rng.normal(0, 1, rows), rng.normal(0, 1, rows), rng.normal(0, 1, rows)
    quality = 3 * heat - 2 * np.roll(flow, 1) + 0.5 * noise + np.linspace(0, drift, rows)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    time = pa.array(start + np.arange(rows) * np.timedelta64(600, "s"), pa.timestamp("us", "UTC"))
    return pa.table({"time": time, "heat": heat, "flow": flow, "dust": rng.normal(0, 1, rows), "quality": quality})


def test_a_linear_plant_gets_a_linear_model_a_true_interval_and_its_causes() -> None:
    document = _report(_soft_sensor(1500), StudyRequest(target="quality", budget_seconds=5))
    by_name = {c["name"]: c for c in document["candidates"]}
    assert document["chosen"] in ("linear", "pls")
    # The noise has a standard deviation of 0.5: its mean absolute value is 0.40.
    assert 0.36 < by_name[document["chosen"]]["last_block"]["value"] < 0.48
    assert abs(document["interval"]["coverage"] - 0.90) < 0.05
    assert {c["column"] for c in document["causes"]} == {"heat", "flow"}
    assert document["verdict"]["code"] == "use_model"
    assert document["protocol"]["kind"] == "forward"
    assert document["leak"]["score"] == pytest.approx(document["leak"]["random_split"] - document["leak"]["blocked"])


def test_the_same_request_gives_the_same_report() -> None:
    def figures() -> dict[str, Any]:
        document = _report(_soft_sensor(500), StudyRequest(target="quality", budget_seconds=2, seed=4))
        for candidate in document["candidates"]:
            del candidate["fit_seconds"]
        return document

    assert figures() == figures()


def test_nothing_but_noise_is_not_answered_with_a_model() -> None:
    rng = np.random.default_rng(7)
    table = pa.table({"a": rng.normal(size=900), "b": rng.normal(size=900), "y": rng.normal(size=900)})
    document = _report(table, StudyRequest(target="y", budget_seconds=2))
    assert document["verdict"]["code"] in ("not_answerable", "collect_data")
    assert document["protocol"]["kind"] == "shuffled"


def test_rows_after_the_stated_end_do_not_change_what_is_learned() -> None:
    table = _soft_sensor(600)
    request = StudyRequest(target="quality", train_rows=(1, 400), budget_seconds=2)
    one = study([read_of(table)], request)
    values = table["quality"].to_numpy().copy()
    values[400:] += 1000.0
    changed = table.set_column(table.column_names.index("quality"), "quality", pa.array(values))
    other = study([read_of(changed)], request)
    assert one.chosen == other.chosen
    assert [c.folds for c in one.candidates] == [c.folds for c in other.candidates]
    assert one.model is not None and other.model is not None
    assert one.model.to_bytes() == other.model.to_bytes()


def test_a_forecast_does_not_use_readings_of_its_own_instant() -> None:
    time, load, current = load_curve(96 * 28)
    stamps = pa.array(np.array([np.datetime64(t.replace(" ", "T"), "us") for t in time]), pa.timestamp("us", "UTC"))
    table = pa.table({"time": stamps, "load": load, "current": current})
    document = _report(table, StudyRequest(task="forecast", target="load", horizon="1h", budget_seconds=5))
    by_name = {c["name"]: c for c in document["candidates"]}
    # Noise with a memory of 0.8 a step and steps of 3 leaves 3 x sqrt((1 - 0.8^8) / (1 - 0.64)) = 4.6 four steps ahead; the reading of
    # the instant itself would tell the load to 1.25.
    assert 4.2 < by_name[document["chosen"]]["last_block"]["value"] < 6.0
    assert by_name["persistence"]["last_block"]["value"] > by_name[document["chosen"]]["last_block"]["value"]
    assert document["rows"]["gap"] >= 4


def test_a_target_spread_over_indicator_columns_is_one_target() -> None:
    rng = np.random.default_rng(2)
    size = rng.normal(size=600)
    kind = np.digitize(size + rng.normal(0, 0.3, 600), [-0.6, 0.6])
    kind = kind[order := np.argsort(kind, kind="stable")]
    marks = {name: (kind == k).astype(np.int64) for k, name in enumerate(("Scratch", "Stain", "Bump"))}
    table = pa.table({"size": size[order], "other": rng.normal(size=600), **marks})
    document = _report(table, StudyRequest(budget_seconds=2))
    assert document["target_columns"] == ["Scratch", "Stain", "Bump"]
    assert document["protocol"]["kind"] == "shuffled"
    assert "next month" in document["verdict"]["sentence_en"]
    chosen = next(c for c in document["candidates"] if c["name"] == document["chosen"])
    assert chosen["last_block"]["value"] > 0.6


def test_a_handful_of_rows_is_answered_with_collect_more(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "few.csv", ["a", "y"], [[1.0, 2.0, 3.0], [1.5, 2.5, 3.25]])
    document = study([read(path)], StudyRequest(target="y")).document()
    assert document["verdict"]["code"] == "collect_data"  # type: ignore[index, call-overload]
    assert document["chosen"] is None


def test_a_length_of_time_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError) as refused:
        study([read_of(_soft_sensor(100))], StudyRequest(target="quality", lab_delay="soon"))
    assert "24rows" in refused.value.next_en


def test_a_drifting_plant_is_followed_when_results_return_and_called_drifting_when_not() -> None:
    table = _soft_sensor(1500, drift=30.0)
    followed = _report(table, StudyRequest(target="quality", lab_delay="10rows", budget_seconds=3))
    blind = _report(table, StudyRequest(target="quality", budget_seconds=3))
    error = [next(c for c in d["candidates"] if c["name"] == d["chosen"])["last_block"]["value"] for d in (followed, blind)]
    assert error[0] < 0.5 * error[1]
    assert abs(followed["interval"]["coverage"] - 0.9) < 0.04
    assert blind["drift"]["matters"] or "drift" in blind["interval"]["text_en"]
