"""The public sample data sets are read right, by evidence alone."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.connect.reading import Reading, read


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((shared_data / "ingest_messy" / "expected.json").read_text(encoding="utf-8"))
    return expected


def _total(reading: Reading, column: str) -> float:
    return float(sum(value for value in reading.column(column) if value is not None))


def test_the_korean_meter_is_read_as_its_truth_says(shared_data: Path, truth: dict[str, Any]) -> None:
    reading = read(shared_data / "ingest_messy" / "meter_kr_cp949.csv")
    want = truth["meter_kr_cp949.csv"]
    assert (reading.layout.encoding, reading.layout.separator, reading.layout.thousands) == ("cp949", ",", ",")
    assert reading.reader.tally.kept == want["rows"]
    assert _total(reading, "전력사용량") / 1000 == pytest.approx(want["sum_energy_kWh"])
    assert reading.column("측정일시")[0] == datetime.fromisoformat(want["first_ts_utc"])
    assert reading.column("측정일시")[-1] == datetime.fromisoformat(want["last_ts_utc"])


def test_the_german_meter_is_read_as_its_truth_says(shared_data: Path, truth: dict[str, Any]) -> None:
    reading = read(shared_data / "ingest_messy" / "zaehler_de_latin1.csv")
    want = truth["zaehler_de_latin1.csv"]
    layout, tally = reading.layout, reading.reader.tally
    assert (layout.encoding, layout.separator, layout.decimal) == ("latin-1", ";", ",")
    assert (layout.preamble_lines, layout.units_row) == (want["preamble_lines"], want["units_row"])
    assert (tally.read, tally.kept, tally.duplicate) == (want["file_data_lines"], want["unique_rows"], want["duplicate_rows"])
    assert _total(reading, "Wirkarbeit") == pytest.approx(want["sum_energy_kWh_good"])
    assert len([flag for flag in reading.flags if flag["column"] == "Wirkarbeit"]) == want["bad_quality_values"]
    assert "out_of_order" in reading.codes


def test_the_historian_is_read_long_with_its_quality(shared_data: Path, truth: dict[str, Any]) -> None:
    reading = read(shared_data / "ingest_messy" / "historian_long_utf8bom.tsv")
    want = truth["historian_long_utf8bom.tsv"]
    assert (reading.layout.encoding, reading.layout.separator, reading.layout.layout) == ("utf-8-sig", "\t", "long")
    assert sorted(set(reading.column("TagName"))) == want["tags"]
    assert len([flag for flag in reading.flags if flag["column"] == "Value"]) == want["not_good_rows"]
    doubtful = {flag["row"] for flag in reading.flags}
    good = sum(
        value
        for row, tag, value in zip(reading.column("_row"), reading.column("TagName"), reading.column("Value"), strict=True)
        if tag.endswith(".KWH") and row not in doubtful
    )
    assert good == pytest.approx(want["sum_energy_kWh_quality_192"])


def test_midnight_rows_of_the_steel_works_make_the_series_even(shared_data: Path) -> None:
    reading = read(shared_data / "steel_energy" / "Steel_industry_data_2018_01_09.csv")
    times = reading.column("date")
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(minutes=15)}
    assert times[0] == datetime(2017, 12, 31, 15, 15, tzinfo=UTC)
    assert reading.finding("midnight_row").rows == 273


def test_the_process_matrix_on_its_side_is_turned_and_the_others_stand(shared_data: Path) -> None:
    lying, standing = read(shared_data / "tep" / "d00.dat"), read(shared_data / "tep" / "d01.dat")
    assert (lying.layout.layout, lying.reader.tally.read, len(lying.layout.columns)) == ("transposed", 500, 52)
    assert (standing.layout.layout, standing.reader.tally.read, len(standing.layout.columns)) == ("wide", 480, 52)
    assert lying.column("c2")[0] == pytest.approx(3672.0, rel=0.05)


def test_quirks_of_the_other_sets(shared_data: Path) -> None:
    milling = read(shared_data / "ai4i2020" / "ai4i2020_visible.csv")
    assert (milling.layout.separator, milling.reader.tally.kept) == ("\t", 8000)
    assert {column.name: column.unit_text for column in milling.layout.columns}["Torque"] == "Nm"
    engines = read(shared_data / "cmapss_fd001" / "train_FD001.txt")
    assert (engines.layout.format, engines.reader.tally.kept, len(engines.layout.columns)) == ("whitespace", 20631, 26)
    water = read(shared_data / "skab" / "valve1" / "0.csv")
    assert (water.layout.separator, water.layout.time_column) == (";", "datetime")
    pulp = read(shared_data / "batch_process" / "kamyr.csv")
    assert (pulp.reader.tally.kept, len(pulp.layout.columns)) == (96, 10)
    assert sum(pulp.rows.column(name).null_count for name in pulp.rows.column_names) == 53
    dryer = read(shared_data / "batch_process" / "dryer.csv")
    assert (dryer.reader.tally.kept, dryer.layout.time_column) == (9220, None)


def test_every_time_stamped_line_of_the_machine_log_is_read(shared_data: Path) -> None:
    path = shared_data / "mtconnect_okuma" / "okuma.txt"
    stamped = sum(line.startswith("2022-08-08T") for line in path.read_text(encoding="utf-8").splitlines())
    reading = read(path)
    commands = [entry for entry in reading.quarantine if entry["reason"] == "command"]
    assert reading.reader.tally.read - len(commands) - _without_stamp(reading) == stamped
    assets = [entry for entry in reading.quarantine if entry["text"].split("|")[1:2] == ["@ASSET@"]]
    assert len(assets) == 118
    assert reading.column("time")[0] == datetime(2022, 8, 8, 13, 51, 34, 716714, tzinfo=UTC)


def _without_stamp(reading: Reading) -> int:
    return sum(entry["reason"] == "fields" and not entry["text"].startswith("2022-08-08T") for entry in reading.quarantine)
