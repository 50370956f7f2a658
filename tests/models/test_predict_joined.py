"""A study of several exports answers every lot of new exports, each line from that lot's own records."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from madang.errors import InputError
from madang.models import StudyRequest
from madang.workspace import Workspace

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
LOTS, LEARNED = 260, 200


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _heat(lot: int) -> float:
    return 700 + 40 * random.Random(lot).random()


def _write(folder: Path, first: int, last: int, *, lab: bool = True, plc: bool = True) -> Path:
    """Write lots first..last: an hour each, a reading every two minutes, the laboratory five hours later."""
    folder.mkdir(parents=True)
    mes, results, readings = ["lot_no,start_time,end_time,charge"], ["lot_no,sampled,result_time,purity"], ["time,heater,draft"]
    for lot in range(first, last):
        rng = random.Random(10_000 + lot)
        start = BEGIN + timedelta(minutes=80 * lot)
        end = start + timedelta(minutes=60)
        mes.append(f"L{lot:05d},{_stamp(start)},{_stamp(end)},{100 + rng.gauss(0, 3):.2f}")
        purity = 50 + 0.2 * (_heat(lot) - 720) + rng.gauss(0, 0.2)
        results.append(f"L{lot:05d},{_stamp(end)},{_stamp(end + timedelta(hours=5))},{purity:.3f}")
        for minute in range(0, 80, 2):
            readings.append(
                f"{_stamp(start + timedelta(minutes=minute))},{_heat(lot) + rng.gauss(0, 0.5):.2f},{5 + rng.gauss(0, 1):.2f}"
            )
    files = {"mes": mes, **({"lab": results} if lab else {}), **({"plc": readings} if plc else {})}
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a workspace that holds the model ``purity`` of the first lots."""
    folder = tmp_path_factory.mktemp("joined")
    with Workspace.open(folder / "ws") as workspace:
        request = StudyRequest(task="regression", target="purity", name="purity", budget_seconds=3.0)
        assert workspace.study([_write(folder / "learned", 0, LEARNED)], request).model is not None
    return folder


def _predict(workshop: Path, folder: Path) -> str:
    out = folder.with_suffix(".csv")
    with Workspace.open(workshop / "ws") as workspace:
        workspace.predict("purity", [folder], out)
    return out.read_text(encoding="utf-8")


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_lot_is_answered_without_the_laboratory_and_close_to_what_it_found_later(workshop: Path, tmp_path: Path) -> None:
    rows = _rows(_predict(workshop, _write(tmp_path / "new", LEARNED, LOTS, lab=False)))
    assert [(r["source"], int(r["row"])) for r in rows] == [("mes.csv", n + 1) for n in range(LOTS - LEARNED)]
    assert all(r["issued"] and r["issued"] <= r["time"] for r in rows)
    errors, inside = [], 0
    for lot, row in zip(range(LEARNED, LOTS), rows, strict=True):
        rng = random.Random(10_000 + lot)
        rng.gauss(0, 3)
        truth = 50 + 0.2 * (_heat(lot) - 720) + rng.gauss(0, 0.2)
        errors.append(abs(float(row["prediction"]) - truth))
        inside += float(row["lower"]) <= truth <= float(row["upper"])
    assert sum(errors) / len(errors) < 0.6
    assert inside >= 0.75 * len(rows)


def test_the_same_files_give_the_same_bytes(workshop: Path, tmp_path: Path) -> None:
    folder = _write(tmp_path / "new", LEARNED, LEARNED + 20)
    assert _predict(workshop, folder) == _predict(workshop, folder)


@pytest.mark.parametrize("kept", [2, 7, 25])
def test_files_that_end_after_a_lot_answer_the_lots_before_as_the_whole_files_do(
    workshop: Path, tmp_path: Path, kept: int
) -> None:
    whole = _predict(workshop, _write(tmp_path / "whole", LEARNED, LEARNED + 40)).splitlines()
    part = _predict(workshop, _write(tmp_path / "part", LEARNED, LEARNED + kept)).splitlines()
    assert part == whole[: kept + 1]


def test_lots_without_their_signal_are_answered_and_flagged(workshop: Path, tmp_path: Path) -> None:
    rows = _rows(_predict(workshop, _write(tmp_path / "new", LEARNED, LEARNED + 20, plc=False)))
    assert len(rows) == 20
    assert all(r["prediction"] and r["flag"] == "degraded" for r in rows)


def test_a_lot_that_cannot_be_read_keeps_its_line(workshop: Path, tmp_path: Path) -> None:
    folder = _write(tmp_path / "new", LEARNED, LEARNED + 20)
    lines = (folder / "mes.csv").read_text(encoding="utf-8").splitlines()
    lines[5] = lines[5] + ",one,field,too,many"
    (folder / "mes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = _rows(_predict(workshop, folder))
    assert [int(r["row"]) for r in rows] == list(range(1, 21))
    assert [r["flag"] for r in rows].index("unread") == 4
    assert rows[4]["prediction"] == ""


def test_files_without_the_list_of_lots_are_refused(workshop: Path, tmp_path: Path) -> None:
    folder = _write(tmp_path / "new", LEARNED, LEARNED + 20)
    (folder / "mes.csv").unlink()
    with pytest.raises(InputError, match="list of lots") as refused:
        _predict(workshop, folder)
    assert refused.value.code == "no_lots"
