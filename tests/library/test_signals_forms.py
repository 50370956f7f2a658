"""Signals taken along: side by side, one record per sample, as a file, and as a dataset of records for a study."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from madang.connect import Tag
from madang.errors import InputError
from madang.library import Where
from madang.library._signals._scales import Scale
from madang.plant import BAD_SENSOR_FAILURE, UNCERTAIN
from tests.library.signal_files import NOW, NOW_US, Run, SignalsOnDisk

SECOND = 1_000_000
TENTHS = Scale(divisor=10.0, unit="℃")
TAGS = [Tag("temp", unit="℃"), Tag("flow", unit="m3/h"), Tag("state", data_type="text")]


def at(*seconds: float) -> list[int]:
    return [NOW_US + round(s * SECOND) for s in seconds]


@pytest.fixture
def plant(tmp_path: Path) -> SignalsOnDisk:
    made = SignalsOnDisk(tmp_path, TAGS)
    made.commit(
        Run(1, at(*range(120)), [k / 10 for k in range(120)], scale=TENTHS),
        Run(2, at(5, 65), [1.0, 3.0], [0, UNCERTAIN], scale=TENTHS),
        Run(3, at(-30, 70), ["heat", "soak"]),
    )
    made.commit(Run(1, at(120), [99.0], BAD_SENSOR_FAILURE, TENTHS))
    return made


def test_a_wide_record_holds_what_was_known_by_its_time_and_nothing_is_carried_over(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        read = library.read(
            "kiln",
            reader="owner",
            purpose="study",
            where=Where(time=(NOW, NOW + timedelta(seconds=180))),
            every=timedelta(minutes=1),
        )
    assert read.table["time"].to_pylist() == [NOW + timedelta(minutes=m) for m in (1, 2, 3)]
    assert read.table["temp"].to_pylist() == pytest.approx(
        [np.mean(np.arange(60)) / 10, np.mean(np.arange(60, 120)) / 10, None]
    )
    assert read.table["flow"].to_pylist() == [1.0, 3.0, None]
    assert read.table["state"].to_pylist() == ["heat", "soak", "soak"]
    assert read.table["samples"].to_pylist() == [61, 62, 1]
    assert read.facts["spans_with_value"] == {"temp": 2, "flow": 2, "state": 3}


def test_the_period_is_found_from_the_data(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        read = library.read("kiln", reader="owner", purpose="study", columns=["temp"])
    assert read.facts["every_seconds"] == 1.0


def test_long_form_says_the_quality_in_a_word_and_leaves_bad_values_empty(plant: SignalsOnDisk, tmp_path: Path) -> None:
    with plant.library() as library:
        where = Where(time=(NOW + timedelta(seconds=64), None))
        document = library.export("kiln", tmp_path / "long.csv", form="long", columns=["flow", "temp"], where=where)
    lines = (tmp_path / "long.csv").read_text().splitlines()
    assert lines[0] == "time,name,value,quality"
    assert lines[1] == "2026-05-04T03:01:05Z,flow,3,uncertain"
    assert lines[2] == "2026-05-04T03:01:04Z,temp,6.4,good"
    assert lines[-1] == "2026-05-04T03:02:00Z,temp,,bad"
    assert document["rows"] == len(lines) - 1 == 58


def test_texts_and_numbers_share_the_value_column_of_the_long_form(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        read = library.read("kiln", reader="owner", purpose="show", form="long")
    by_name = dict(zip(read.table["name"].to_pylist(), read.table["value"].to_pylist(), strict=True))
    assert by_name == {"temp": None, "flow": "3", "state": "soak"}


def test_the_source_form_keeps_values_and_codes_as_they_came(plant: SignalsOnDisk, tmp_path: Path) -> None:
    with plant.library() as library:
        library.export("kiln", tmp_path / "all.parquet", form="source")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.num_rows == 125
    assert table["quality"].to_pylist()[120] == BAD_SENSOR_FAILURE
    assert table["value"].to_pylist()[120] == 99.0


def test_a_snapshot_is_a_dataset_of_records_and_the_same_again_adds_nothing(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        first = library.snapshot("kiln", "study_me", every=timedelta(seconds=10))
        again = library.snapshot("kiln@2", "study_me", every=timedelta(seconds=10))
        other = library.snapshot("kiln", "study_me", every=timedelta(seconds=20))
        read = library.read("study_me", reader="owner", purpose="study")
        units = {c.name: c.unit for c in read.columns}
        lines = {d["purpose"] for d in library.decisions()}
    assert (first["version"], first["from_version"], first["added"]) == (1, "kiln@2", True)
    assert (again["version"], again["added"]) == (1, False)
    assert (other["version"], other["added"]) == (2, True)
    assert read.table.num_rows == other["rows"] == 9
    assert units["temp"] == "Cel"
    assert "snapshot" in lines


def test_a_period_that_no_plant_means_is_refused_with_the_next_step(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, [0], [1.0], scale=TENTHS), Run(1, [4_294_967_296_000_000], [1.0], scale=TENTHS))
    with plant.library() as library:
        with pytest.raises(InputError) as error:
            library.read("kiln", reader="owner", purpose="study", columns=["temp"])
        assert error.value.code == "too_many_spans"
        with pytest.raises(InputError):
            library.read("kiln", reader="owner", purpose="study", every=timedelta(0))


def test_signals_are_listed_and_described_beside_records(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        library.snapshot("kiln", "a_table", every=timedelta(seconds=10))
        listed = library.list()["datasets"]
        card = library.card("kiln")
    assert isinstance(listed, list)
    assert [(d["dataset"], d.get("kind")) for d in listed if isinstance(d, dict)] == [("a_table", None), ("kiln", "signals")]
    assert (card["rows"], card["layout"], card["time_first"]) == (125, "signals", "2026-05-04T02:59:30Z")
    assert [c["name"] for c in card["columns"]] == ["temp", "flow", "state"]  # type: ignore[index, union-attr, call-overload]
    json.dumps(card, allow_nan=False)


def test_points_are_found_by_what_they_mean_and_by_their_connection(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        assert [(h["dataset"], h["column"]) for h in library.search("온도")] == [("kiln", "temp")]
        assert ("kiln", None) in [(h["dataset"], h["column"]) for h in library.search("plc")]
