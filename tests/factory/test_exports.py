"""The exports of the built-in line hold what the line did, in the ugliness that is written down beside them."""

from __future__ import annotations

import csv
import itertools
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from madang.errors import InputError
from madang.factory.twin import ExportTruth, KilnRun, simulate_kiln, write_exports

Written = tuple[KilnRun, ExportTruth, Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    root = tmp_path_factory.mktemp("plant")
    run = simulate_kiln(17, lots=900)
    return run, write_exports(run, root / "in", truth=root / "truth.json"), root


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".xlsx"
    }


def test_the_same_run_writes_the_same_bytes(written: Written, tmp_path: Path) -> None:
    run, _, root = written
    write_exports(run, tmp_path / "again")
    first, second = _bytes(root / "in"), _bytes(tmp_path / "again")
    assert list(first) == list(second)
    for name, data in first.items():
        assert data == second[name], name


def test_the_truth_never_lies_inside_the_exports(written: Written, tmp_path: Path) -> None:
    run, _, root = written
    with pytest.raises(InputError, match="inside"):
        write_exports(run, tmp_path / "in", truth=tmp_path / "in" / "LAB" / "truth.json")
    words = " ".join(str(p) for p in (root / "in").rglob("*"))
    assert "truth" not in words.split("/in/")[-1]
    told = json.loads((root / "truth.json").read_text(encoding="utf-8"))
    assert [c["code"] for c in told["causes"]] == [c.code for c in run.truth.causes]


def test_every_file_has_as_many_records_as_the_truth_says(written: Written) -> None:
    _, truth, root = written
    for name, facts in truth.files.items():
        path = root / "in" / name
        if path.suffix in (".csv", ".tsv"):
            lines = path.read_bytes().decode(str(facts["encoding"])).splitlines()
            head = 4 if facts["system"] == "utility" else 1
            assert len(lines) - head == facts["rows"], name
    base = sqlite3.connect(root / "in" / "MES" / "mes.sqlite")
    counted = {t: base.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("lot_step", "raw_lot")}
    base.close()
    assert counted == truth.files["MES/mes.sqlite"]["tables"]


def _moment(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def test_the_control_systems_clock_is_off_by_the_stated_minutes(written: Written) -> None:
    _, truth, root = written
    rows = []
    for path in sorted((root / "in" / "PLC").glob("소성로*.csv")):
        with path.open(encoding="cp949", newline="") as handle:
            rows += list(csv.DictReader(handle))
    seen = sorted({(r["일시"], r["장입신호"]) for r in rows})
    rises = [_moment(b[0], "%Y-%m-%d %H:%M:%S") for a, b in itertools.pairwise(seen) if a[1] == "0" and b[1] == "1"]
    with (root / "in" / "MES" / "생산로트.csv").open(encoding="cp949", newline="") as handle:
        text = [r["투입일시"].replace("오전", "AM").replace("오후", "PM") for r in csv.DictReader(handle)][::3]
    charged = [_moment(t, "%Y-%m-%d %p %I:%M:%S") for t in text]
    offset = [(a - b).total_seconds() / 60.0 for a, b in zip(rises, charged, strict=True)]
    assert np.median(offset) == pytest.approx(truth.clock_offset_minutes, abs=1.0)
    assert np.ptp(offset) <= 1.5


def test_the_workbook_repeats_corrects_and_totals_as_the_truth_says(written: Written) -> None:
    from openpyxl import load_workbook

    _, truth, root = written
    book = load_workbook(root / "in" / "LAB" / "소성품_시험성적.xlsx")
    rows = list(book["시험결과"].iter_rows(min_row=1, values_only=True))
    start = next(i for i, r in enumerate(rows) if r[4] == "ppm") + 1
    body = rows[start:]
    assert body[-1][0] == "평균"
    tests = body[:-1]
    assert len(tests) == truth.files["LAB/소성품_시험성적.xlsx"]["rows"]
    assert {str(r[0]) for r in tests if r[11] == "정정"} == set(truth.superseded)
    assert {str(r[0]) for r in tests if r[11] == "재시험"} == set(truth.repeated)
    assert book["보정이력"].sheet_state == "hidden"
    standing: dict[str, float] = {}
    for lot in truth.final:
        mine = [r for r in tests if r[0] == lot]
        fixed = [float(str(r[4])) for r in mine if r[11] == "정정"]
        standing[lot] = fixed[0] if fixed else float(np.mean([float(str(r[4])) for r in mine]))
    assert standing == pytest.approx(truth.final)


def test_a_reused_lot_number_stands_for_two_charges_weeks_apart(written: Written) -> None:
    _, truth, root = written
    with (root / "in" / "MES" / "생산로트.csv").open(encoding="cp949", newline="") as handle:
        lots = [r["로트번호"] for r in csv.DictReader(handle)]
    assert {n for n in lots if lots.count(n) > 1} == set(truth.reused_lots)
    assert len(truth.reused_lots) > 0
    assert not set(truth.reused_lots) & set(truth.final)


def test_shifted_lines_hold_one_cell_too_many(written: Written) -> None:
    _, truth, root = written
    for name, facts in truth.files.items():
        if facts["system"] == "utility" and "shifted" in facts:
            lines = (root / "in" / name).read_text(encoding="utf-8-sig").splitlines()[2:]
            width = lines[0].count(",")
            assert sum(line.count(",") == width + 1 for line in lines) == facts["shifted"]


def test_without_troubles_the_files_are_only_ugly_not_faulty(tmp_path: Path) -> None:
    run = simulate_kiln(8, lots=120)
    truth = write_exports(run, tmp_path / "in", troubles=False, lean=True)
    assert not truth.reused_lots
    assert not truth.repeated
    assert not truth.superseded
    assert all(not {"stuck", "duplicates", "shifted", "bad_codes"} & set(f) for f in truth.files.values())
