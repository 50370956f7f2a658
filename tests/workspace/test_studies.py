"""A saved model answers later files of its kind even where they lack columns, or hold no record yet."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from madang.errors import InputError
from madang.library._signals._points import make_live_dataset
from madang.models import StudyRequest
from madang.workspace import Workspace

HEADER = "time,strom [A],zone temp [°C],line,quality index"


def _lines(count: int, start: int = 0) -> list[str]:
    rng = random.Random(start)
    out = []
    for index in range(start, start + count):
        heat, power = 700 + 40 * rng.random(), 20 + 10 * rng.random()
        result = 0.05 * heat - 0.4 * power + rng.gauss(0, 0.1)
        out.append(
            f"2024-03-{1 + index // 1440:02d} {index % 1440 // 60:02d}:{index % 60:02d}:00,{power:.3f},{heat:.2f},A{index % 3},{result:.4f}"
        )
    return out


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the model ``quality``."""
    folder = tmp_path_factory.mktemp("workshop")
    path = folder / "export.csv"
    path.write_text("\n".join([HEADER, *_lines(600)]) + "\n", encoding="utf-8")
    with Workspace.open(folder / "ws") as workspace:
        request = StudyRequest(task="regression", target="quality index", name="quality", budget_seconds=3.0)
        study = workspace.study([path], request)
        assert study.model is not None
    return folder


def _predicted(workshop: Path, folder: Path, header: str, lines: list[str]) -> list[dict[str, str]]:
    path, out = folder / "new.csv", folder / "out.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    with Workspace.open(workshop / "ws") as workspace:
        workspace.predict("quality", [path], out)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _without_last(lines: list[str]) -> list[str]:
    return [line.rpartition(",")[0] for line in lines]


def test_a_file_without_the_result_is_answered(workshop: Path, tmp_path: Path) -> None:
    lines = _lines(30, 700)
    rows = _predicted(workshop, tmp_path, HEADER.rpartition(",")[0], _without_last(lines))
    assert [row["row"] for row in rows] == [str(place) for place in range(1, 31)]
    error = [abs(float(row["prediction"]) - float(line.rpartition(",")[2])) for row, line in zip(rows, lines, strict=True)]
    assert sum(error) / len(error) < 0.5


def test_a_renamed_column_that_matters_little_stops_nothing(workshop: Path, tmp_path: Path) -> None:
    rows = _predicted(workshop, tmp_path, HEADER.replace("line", "line no"), _lines(5, 700))
    assert len(rows) == 5 and all(row["prediction"] for row in rows)


def test_a_file_cut_after_any_record_gives_the_same_lines(workshop: Path, tmp_path: Path) -> None:
    header, lines = HEADER.rpartition(",")[0], _without_last(_lines(12, 700))
    lines[3] = lines[3].replace(",", ",,", 1)
    lines[5] = lines[4]
    whole = _predicted(workshop, tmp_path, header, lines)
    assert len(whole) == 12
    for count in (1, 2, 4, 6, 11):
        assert _predicted(workshop, tmp_path, header, lines[:count]) == whole[:count]


def test_another_unit_gives_the_same_answers(workshop: Path, tmp_path: Path) -> None:
    lines = _without_last(_lines(4, 700))
    header = HEADER.rpartition(",")[0]
    kelvin = [
        ",".join(f"{float(cell) + 273.15:.2f}" if place == 2 else cell for place, cell in enumerate(line.split(",")))
        for line in lines
    ]
    before = [float(row["prediction"]) for row in _predicted(workshop, tmp_path, header, lines)]
    after = [float(row["prediction"]) for row in _predicted(workshop, tmp_path, header.replace("°C", "K"), kelvin)]
    assert after == pytest.approx(before, abs=1e-6)


def test_a_header_alone_gives_a_header_alone_and_exit_code_0(workshop: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "new.csv", tmp_path / "out.csv"
    path.write_text(HEADER + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "madang",
        "--workspace",
        str(workshop / "ws"),
        "predict",
        "quality",
        str(path),
        "--out",
        str(out),
    ]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 0
    assert out.read_text(encoding="utf-8").splitlines() == [
        "source,row,time,issued,group,prediction,lower,upper,probability,score,limit,alarm,flag,reason"
    ]


def test_a_file_of_another_kind_is_named(workshop: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        _predicted(workshop, tmp_path, "a,b,c", ["1,2,3", "4,5,6"])
    assert refused.value.code == "no_table_fits" and "new.csv" in refused.value.en


def test_a_dataset_of_the_library_is_studied_by_its_name_like_the_file_it_came_from(workshop: Path) -> None:
    request = StudyRequest(task="regression", target="quality index", name="by_name", budget_seconds=3.0)
    with Workspace.open(workshop / "ws") as workspace:
        [dataset] = [str(d["dataset"]) for d in workspace.library.list()["datasets"] if isinstance(d, dict)]  # type: ignore[union-attr]
        by_name = workspace.study([Path(dataset)], request).document()
        by_file = workspace.study([workshop / "export.csv"], request).document()
        numbered = workspace.study([Path(f"{dataset}@1")], request).document()
    for field in ("task", "target", "verdict"):
        assert by_name[field] == by_file[field] == numbered[field]


def test_signals_are_not_studied_before_they_stand_side_by_side(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "ws") as workspace:
        with workspace.library._state.begin() as db:
            make_live_dataset(db, workspace.library._lake, "kiln1", "signals", datetime(2026, 5, 4, tzinfo=UTC))
        with pytest.raises(InputError) as error:
            workspace.study([Path("kiln1")], StudyRequest())
        assert error.value.code == "signals_are_no_records"
        with pytest.raises(InputError):
            workspace.study([Path("no-such-thing")], StudyRequest())
