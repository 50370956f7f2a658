"""Exports: the promised text of each format, and the same bytes each time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
import pytest

from madang.errors import InputError
from tests.library.plant_files import open_library, write_meter

SMALL = (
    '시각,"온도, 상부 [Cel]",수량,비고\n'
    '2026-01-01T00:00:00,1.5,3,"말 ""하다"""\n'
    "2026-01-01T00:00:00.250000,ERR,,x\n"
    "2026-01-01T00:02:00,100000.25,-0,\n"
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "작은 표.csv"
    file.write_text(SMALL, encoding="utf-8")
    return file


def test_csv_is_utf8_with_utc_times_points_and_empty_bad_values(tmp_path: Path, small: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([small])
        document = library.export("작은 표", tmp_path / "out.csv")
    assert document["rows"] == 3
    assert (tmp_path / "out.csv").read_bytes().decode("utf-8") == (
        '시각,"온도, 상부",수량,비고\n'
        '2026-01-01T00:00:00Z,1.5,3,"말 ""하다"""\n'
        "2026-01-01T00:00:00.250000Z,,,x\n"
        "2026-01-01T00:02:00Z,100000.25,0,\n"
    )


def test_the_long_form_has_a_quality_for_every_value(tmp_path: Path, small: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([small])
        library.export("작은 표", tmp_path / "out.csv", form="long", columns=["온도, 상부", "시각"])
    with (tmp_path / "out.csv").open(encoding="utf-8") as stream:
        rows = [(r["name"], r["value"], r["quality"]) for r in csv.DictReader(stream)]
    assert rows == [("온도, 상부", "1.5", "good"), ("온도, 상부", "", "bad"), ("온도, 상부", "100000.25", "good")]


def test_json_lines_and_parquet_hold_the_same(tmp_path: Path, small: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([small])
        library.export("작은 표", tmp_path / "out.jsonl")
        library.export("작은 표", tmp_path / "out.parquet")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1] == {"시각": "2026-01-01T00:00:00.250000Z", "온도, 상부": None, "수량": None, "비고": "x"}
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["온도, 상부"].to_pylist() == [r["온도, 상부"] for r in lines]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.export("meter", tmp_path / "out.csv", columns=["상태", "시각"])
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[:2] == ["상태,시각", "정지,2026-01-01T00:00:00Z"]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_the_same_version_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.export("meter@1", tmp_path / name)
        first = (tmp_path / name).read_bytes()
        library.intake([write_meter(tmp_path / "meter.csv", records=20)])
        library.export("meter@1", tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_an_exported_csv_comes_back_as_the_same_table(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.export("meter", tmp_path / "again.csv")
        text = (tmp_path / "again.csv").read_text(encoding="utf-8").replace("Z,", ",")
        (tmp_path / "again.csv").write_text(text, encoding="utf-8")
        library.intake([tmp_path / "again.csv"], dataset="again")
        names = ["시각", "로 온도", "압력", "상태"]
        first = library.read("meter", reader="owner", purpose="show").table.select(names)
        second = library.read("again", reader="owner", purpose="show").table.select(names)
        assert first.equals(second)


def test_a_long_dataset_is_exported_wide_long_and_as_its_source(tmp_path: Path) -> None:
    text = "time,tag,value\n2026-01-01T00:00:00,b,2\n2026-01-01T00:00:00,a,1\n2026-01-01T00:01:00,a,ERR\n"
    (tmp_path / "h.csv").write_text(text, encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        library.intake([tmp_path / "h.csv"])
        for form in ("wide", "long", "source"):
            library.export("h", tmp_path / f"{form}.csv", form=form)
    assert (tmp_path / "wide.csv").read_text() == "time,b,a\n2026-01-01T00:00:00Z,2,1\n2026-01-01T00:01:00Z,,\n"
    assert (tmp_path / "long.csv").read_text() == (
        "time,row,name,value,quality\n2026-01-01T00:00:00Z,1,b,2,good\n"
        "2026-01-01T00:00:00Z,2,a,1,good\n2026-01-01T00:01:00Z,3,a,,bad\n"
    )
    assert (tmp_path / "source.csv").read_text() == (
        "time,tag,value\n2026-01-01T00:00:00Z,b,2\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:01:00Z,a,\n"
    )


def test_an_unknown_ending_or_folder_is_refused(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        for out in (tmp_path / "out.xls", tmp_path / "absent" / "out.csv"):
            with pytest.raises(InputError):
                library.export("meter", out)


@pytest.mark.parametrize("form", ["wide", "source"])
def test_columns_may_be_asked_for_by_the_names_of_the_source(tmp_path: Path, form: Literal["wide", "source"]) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.export("meter", tmp_path / "out.csv", form=form, columns=["로 온도 [Cel]", "시각"])
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[:2] == ["로 온도,시각", "700,2026-01-01T00:00:00Z"]
