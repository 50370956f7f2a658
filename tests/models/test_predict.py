"""Prediction answers every record, and never from what came after it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from madang.errors import InputError
from madang.models import SavedModel, StudyRequest, study
from tests.models.exports import load_curve, predicted, read, write_csv


def _forecast(folder: Path, horizon: str = "1h") -> tuple[SavedModel, list[list[object]]]:
    time, load, current = load_curve(96 * 24)
    cut = 96 * 18
    train = write_csv(folder / "train.csv", ["time", "load", "current"], [time[:cut], load[:cut], current[:cut]])
    model = study(
        [read(train)], StudyRequest(task="forecast", target="load", horizon=horizon, budget_seconds=3, name="load")
    ).model
    assert model is not None
    return model, [list(r) for r in zip(time[cut:], load[cut:], current[cut:], strict=True)]


def _write(path: Path, rows: list[list[object]]) -> Path:
    return write_csv(path, ["time", "load", "current"], list(zip(*rows, strict=True)))


def _lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> tuple[SavedModel, list[list[object]]]:
    return _forecast(tmp_path_factory.mktemp("forecast"))


def test_cutting_the_file_after_any_record_changes_no_earlier_line(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    whole = predicted(model, _write(tmp_path / "new.csv", rows)).splitlines()
    for cut in np.random.default_rng(1).integers(1, len(rows), size=6):
        part = predicted(model, _write(tmp_path / "new.csv", rows[: int(cut)])).splitlines()
        assert part == whole[: int(cut) + 1]


def test_late_and_broken_records_do_not_change_earlier_lines_either(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    messy = [list(r) for r in rows[:200]]
    messy[50], messy[120] = messy[120], messy[50]
    messy[70][1] = ""
    whole = predicted(model, _write(tmp_path / "new.csv", messy)).splitlines()
    assert len(whole) == len(messy) + 1
    for cut in (49, 51, 71, 119, 121, 150):
        part = predicted(model, _write(tmp_path / "new.csv", messy[:cut])).splitlines()
        assert part == whole[: cut + 1]


def test_the_same_command_twice_writes_the_same_bytes(forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path) -> None:
    model, rows = forecast
    path = _write(tmp_path / "new.csv", rows)
    assert predicted(model, path) == predicted(model, path)


def test_a_model_that_was_written_down_and_read_again_predicts_the_same(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    content = model.to_bytes()
    again = SavedModel.from_bytes(content)
    assert again.to_bytes() == content
    path = _write(tmp_path / "new.csv", rows)
    assert predicted(again, path) == predicted(model, path)


def test_readings_of_the_instant_itself_and_of_the_hour_before_it_do_not_touch_its_line(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    before = _lines(predicted(model, _write(tmp_path / "new.csv", rows)))
    other = [list(r) for r in rows]
    # One hour ahead at 15 minutes: the line of record 100 may know record 96, not 97 to 100.
    for k in range(97, 101):
        other[k][1], other[k][2] = 999.0, 999.0
    after = _lines(predicted(model, _write(tmp_path / "new.csv", other)))
    assert after[100] == before[100]
    assert after[101]["prediction"] != before[101]["prediction"]


def test_a_line_is_issued_a_horizon_before_its_time(forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path) -> None:
    model, rows = forecast
    for line in _lines(predicted(model, _write(tmp_path / "new.csv", rows[:50]))):
        late = np.datetime64(line["time"].rstrip("Z")) - np.datetime64(line["issued"].rstrip("Z"))
        assert late >= np.timedelta64(1, "h")


def test_a_file_that_continues_after_learning_knows_what_was_before(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    lines = _lines(predicted(model, _write(tmp_path / "new.csv", rows)))
    error = [abs(float(line["prediction"]) - float(str(row[1]))) for line, row in zip(lines, rows, strict=True)]
    assert lines[0]["flag"] == "ok"
    assert np.mean(error[:96]) < 8
    inside = [float(line["lower"]) <= float(str(row[1])) <= float(line["upper"]) for line, row in zip(lines, rows, strict=True)]
    assert 0.8 < np.mean(inside) < 0.98


def test_a_file_from_long_after_learning_starts_without_history(
    forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path
) -> None:
    model, rows = forecast
    later = [[str(r[0]).replace("2024", "2031"), r[1], r[2]] for r in rows]
    lines = _lines(predicted(model, _write(tmp_path / "new.csv", later)))
    assert lines[0]["flag"] in ("no_history", "stale")
    assert lines[-1]["flag"] in ("ok", "outside")


def test_a_result_that_returns_late_is_not_used_before_it_returned(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    count = 900
    heat = rng.normal(0, 1, count).cumsum() * 0.05 + rng.normal(0, 1, count)
    quality = 3 * heat + np.linspace(0, 12, count) + rng.normal(0, 0.3, count)
    columns = [[round(float(v), 4) for v in heat], [round(float(v), 4) for v in quality]]
    train = write_csv(tmp_path / "train.csv", ["heat", "quality"], [c[:600] for c in columns])
    done = study([read(train)], StudyRequest(target="quality", lab_delay="24rows", budget_seconds=3))
    model = done.model
    assert model is not None
    follows = "+" in model.candidate or any(f.kind in ("result", "results") for f in model.recipe)
    assert follows, "a drifting process is followed by its late results"
    before = _lines(predicted(model, write_csv(tmp_path / "new.csv", ["heat", "quality"], [c[600:] for c in columns])))
    columns[1][700:725] = [500.0] * 25
    after = _lines(predicted(model, write_csv(tmp_path / "new.csv", ["heat", "quality"], [c[600:] for c in columns])))
    # Result 700 (place 100) is known 24 records later: the line at place 123 must not move, the one at 124 may.
    assert after[:124] == before[:124]
    assert after[140] != before[140]


def test_a_record_that_cannot_be_read_has_its_line_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, 200), rng.normal(0, 1, 200)
    train = write_csv(
        tmp_path / "train.csv",
        ["a", "b", "y"],
        [list(a.round(3)), list(b.round(3)), list((2 * a - b + rng.normal(0, 0.5, 200)).round(3))],
    )
    model = study([read(train)], StudyRequest(target="y", budget_seconds=2)).model
    assert model is not None
    (tmp_path / "new.csv").write_text("a,b,y\n0.1,0.2,\n0.3,0.1,\nthis,is,not,a,record,at,all\n50,0.5,\n", encoding="utf-8")
    lines = _lines(predicted(model, tmp_path / "new.csv"))
    assert [line["row"] for line in lines] == ["1", "2", "3", "4"]
    assert lines[0]["flag"] == "ok"
    assert lines[2]["flag"] == "unread" and lines[2]["prediction"] == ""
    assert lines[3]["flag"] == "outside" and "a" in lines[3]["reason"]


def test_a_file_without_the_model_s_columns_is_refused(forecast: tuple[SavedModel, list[list[object]]], tmp_path: Path) -> None:
    model, _ = forecast
    path = write_csv(tmp_path / "other.csv", ["pressure", "flow"], [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(InputError):
        predicted(model, path)
