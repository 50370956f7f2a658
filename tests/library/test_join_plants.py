"""Rows of a plant whose systems disagree find their partners, and what cannot be decided is listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from madang.errors import InputError
from madang.library._clocks import offset_of_events, offset_of_samples, offset_of_signals
from madang.library._join import JoinResult, join_tables, span_of, window_table
from madang.library._join_times import TableView, row_times
from madang.testing._joins import JoinPlant, join_plant

SEEDS = range(20)


def _view(name: str, table: pa.Table) -> TableView:
    return TableView(name, table)


def _lab_to_lots(plant: JoinPlant) -> JoinResult:
    return join_tables(_view("lab", plant.lab), _view("mes", plant.lots), by=("sample_lot=lot",))


@pytest.mark.parametrize("seed", SEEDS)
def test_results_find_the_lot_they_were_taken_from(seed: int) -> None:
    plant = join_plant(seed)

    got = _lab_to_lots(plant)

    listed = {row.row - 1 for row in got.ambiguous}
    lost = {row - 1 for row in got.unmatched}
    joined = np.array(sorted(set(range(plant.lab.num_rows)) - listed - lost))
    assert got.rows_joined == len(joined) == got.table.num_rows
    assert got.rows_left == got.rows_joined + len(got.unmatched) + len(got.ambiguous)
    right = got.partner == plant.true_lot[joined]
    assert right.mean() >= 0.99
    assert not plant.undecidable[joined].any()
    decidable = (plant.true_lot >= 0) & ~plant.undecidable
    assert decidable[joined].sum() >= 0.98 * decidable.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_each_lot_gets_its_latest_result(seed: int) -> None:
    plant = join_plant(seed)

    got = join_tables(_view("mes", plant.lots), _view("lab", plant.lab), by=("lot=sample_lot",))

    listed = {row.row - 1 for row in got.ambiguous} | {row - 1 for row in got.unmatched}
    joined = np.array(sorted(set(range(plant.lots.num_rows)) - listed))
    assert (got.partner == plant.final[joined]).mean() >= 0.99
    assert got.rows_joined >= 0.95 * (plant.final >= 0).sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_offset_of_the_control_clock_is_found_within_a_minute(seed: int) -> None:
    plant = join_plant(seed)
    lots = _view("mes", plant.lots)
    times = row_times(lots)
    assert times is not None

    _, offset = window_table(lots, times, _view("plc", plant.signal))

    assert offset.supported
    assert offset.minutes == pytest.approx(plant.offset_minutes, abs=1.0)
    assert offset.low <= offset.minutes <= offset.high


def test_a_lot_used_again_months_later_is_told_apart_by_time_and_not_without_it() -> None:
    march, september = np.datetime64("2024-03-01", "us"), np.datetime64("2024-09-01", "us")
    many = [march + np.timedelta64(n, "h") for n in range(12)]
    lots = pa.table({"lot": [*(f"A{n}" for n in range(12)), "A3"], "start": [*many, september], "recipe": ["x"] * 12 + ["y"]})
    lab = pa.table({"lot": [f"A{n}" for n in range(12)], "sampled": [t + np.timedelta64(2, "h") for t in many]})

    timed = join_tables(_view("lab", lab), _view("mes", lots), by=("lot",))
    blind = join_tables(_view("lab", lab.select(["lot"])), _view("mes", lots), by=("lot",))

    assert timed.rows_joined == 12
    assert set(timed.table["recipe"].to_pylist()) == {"x"}
    assert [row.row for row in blind.ambiguous] == [4]
    assert blind.ambiguous[0].candidates == (4, 13)
    assert blind.rows_joined == 11


def test_a_result_whose_lot_is_not_in_the_export_is_not_given_to_another_use_of_the_number() -> None:
    hours = [np.datetime64("2024-03-01", "us") + np.timedelta64(n, "h") for n in range(20)]
    lots = pa.table({"lot": [f"A{n}" for n in range(20)], "start": hours})
    late = hours[:19] + [hours[19] + np.timedelta64(200, "D")]
    lab = pa.table({"lot": [f"A{n}" for n in range(20)], "sampled": [t + np.timedelta64(3, "h") for t in late]})

    got = join_tables(_view("lab", lab), _view("mes", lots), by=("lot",))

    assert got.rows_joined == 19
    assert [row.row for row in got.ambiguous] == [20]


def test_two_lots_that_differ_only_in_their_spelling_are_not_confused() -> None:
    names = ["LOT-0012", "L12", "LOT-0013", "LOT-0014", "LOT-0015", "LOT-0016"]
    lots = pa.table({"lot": names, "n": [1, 2, 3, 4, 5, 6]})
    lab = pa.table({"lot": ["0012", "l12", "LOT 13"], "y": [0.1, 0.2, 0.3]})

    got = join_tables(_view("lab", lab), _view("mes", lots), by=("lot",))

    assert list(zip(got.table["y"].to_pylist(), got.table["n"].to_pylist(), strict=True)) == [(0.2, 2), (0.3, 3)]
    assert [(row.row, row.candidates) for row in got.ambiguous] == [(1, (1, 2))]


def test_several_rows_per_lot_as_a_rule_are_not_taken_for_corrections() -> None:
    lots = pa.table({"lot": [f"A{n}" for n in range(10)]})
    items = pa.table(
        {"lot": [f"A{n % 10}" for n in range(30)], "item": ["a"] * 10 + ["b"] * 10 + ["c"] * 10, "value": range(30)}
    )

    got = join_tables(_view("mes", lots), _view("items", items), by=("lot",))

    assert got.rows_joined == 0
    assert len(got.ambiguous) == 10


def test_only_what_was_known_then_counts() -> None:
    day = np.datetime64("2024-03-01", "us")
    lots = pa.table({"lot": ["A1", "A2"], "start": [day, day]})
    lab = pa.table({
        "lot": ["A1", "A2", "A1"], "sampled": [day] * 3, "result_time": [day + np.timedelta64(h, "h") for h in (4, 5, 9)],
        "value": [1.0, 2.0, 3.0],
    })  # fmt: skip
    at = datetime(2024, 3, 1, 6, tzinfo=UTC)

    before = join_tables(_view("mes", lots), _view("lab", lab), by=("lot",), known_at=at)
    after = join_tables(_view("mes", lots), _view("lab", lab), by=("lot",))

    assert before.table["value"].to_pylist() == [1.0, 2.0]
    assert after.table["value"].to_pylist() == [3.0, 2.0]
    assert after.superseded == ((1, 3),)


def test_an_as_of_join_keeps_its_tolerance_and_its_delay() -> None:
    at = np.datetime64("2024-03-01", "us") + np.arange(5) * np.timedelta64(10, "m")
    signal = pa.table({"time": at, "v": [0.0, 1.0, 2.0, 3.0, 4.0]})
    asked = pa.table({"t": [at[2] + np.timedelta64(4, "m"), at[4] + np.timedelta64(12, "m")]})

    close = join_tables(_view("q", asked), _view("s", signal), by="time", tolerance=timedelta(minutes=5))
    wide = join_tables(_view("q", asked), _view("s", signal), by="time", tolerance=timedelta(minutes=12))
    delayed = join_tables(
        _view("q", asked), _view("s", signal), by="time", delay=timedelta(minutes=14), tolerance=span_of("5m")
    )

    assert close.table["v"].to_pylist() == [2.0]
    assert close.unmatched == (2,)
    assert wide.table["v"].to_pylist() == [2.0, 4.0]
    assert delayed.table["v"].to_pylist() == [1.0]


def test_two_readings_of_one_instant_that_differ_are_listed() -> None:
    at = np.datetime64("2024-03-01", "us")
    signal = pa.table({"time": [at, at], "v": [1.0, 2.0]})

    got = join_tables(_view("q", pa.table({"t": [at]})), _view("s", signal), by="time", tolerance=timedelta(minutes=1))

    assert got.rows_joined == 0
    assert got.ambiguous[0].candidates == (1, 2)


def test_signals_are_summed_up_per_lot_and_ambiguous_lots_stay_out() -> None:
    plant = join_plant(3)

    got = join_tables(
        _view("lab", plant.lab), _view("plc", plant.signal), by=("sample_lot=lot",), windows=_view("mes", plant.lots)
    )

    assert got.offset is not None
    assert got.offset.minutes == pytest.approx(plant.offset_minutes, abs=1.0)
    row = int(np.flatnonzero(plant.true_lot[np.array([r for r in range(plant.lab.num_rows) if r < 1])] >= 0)[0])
    lot = int(plant.true_lot[row])
    time = plant.signal["time"].to_numpy() - got.offset.shift
    inside = (time >= plant.lots["start"][lot].as_py()) & (time < plant.lots["end"][lot].as_py())
    expected = plant.signal["temperature"].to_numpy()[inside].mean()
    assert got.table["temperature mean"][0].as_py() == pytest.approx(expected)


def test_a_document_counts_every_row_and_speaks_both_languages() -> None:
    document = _lab_to_lots(join_plant(1)).document()

    counts = [document[name] for name in ("rows_joined", "rows_unmatched", "rows_ambiguous")]
    assert document["rows_left"] == sum(int(str(count)) for count in counts)
    ambiguous = document["ambiguous"]
    assert isinstance(ambiguous, list)
    for row in ambiguous:
        assert isinstance(row, dict)
        assert row["reason_en"]
        assert row["reason_ko"]


def test_a_column_that_is_not_there_is_refused_with_the_columns_that_are() -> None:
    with pytest.raises(InputError) as caught:
        join_tables(_view("a", pa.table({"x": [1]})), _view("b", pa.table({"y": [1]})), by=("part",))

    assert "x" in caught.value.en


def test_a_laboratory_that_writes_utc_for_local_time_is_found() -> None:
    start = np.datetime64("2024-03-01", "us") + np.arange(40) * np.timedelta64(90, "m")
    sampled = start + np.timedelta64(2, "h") - np.timedelta64(9, "h")

    wrong = offset_of_samples(start, sampled)
    right = offset_of_samples(start, sampled + np.timedelta64(9, "h"))

    assert wrong.minutes == -540.0
    assert wrong.supported
    assert not right.supported
    assert right.minutes == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_events_that_have_nothing_to_do_with_each_other_support_no_offset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    origin = np.datetime64("2024-03-01", "us")
    lots = origin + np.cumsum(rng.uniform(60, 120, 200)).astype("timedelta64[m]")
    time = origin + np.arange(20_000) * np.timedelta64(1, "m")
    switch = (np.cumsum(rng.random(20_000) < 0.02) % 2).astype(np.float64)

    assert not offset_of_events({"start": lots}, {"switch": (time, switch)}).supported


def test_lots_at_equal_distances_support_no_offset_because_every_one_fits() -> None:
    origin = np.datetime64("2024-03-01", "us")
    lots = origin + np.arange(200) * np.timedelta64(60, "m")
    time = origin + np.arange(12_000) * np.timedelta64(1, "m")
    charging = (np.arange(12_000) % 60 < 4).astype(np.float64)

    assert not offset_of_events({"start": lots}, {"charging": (time, charging)}).supported


@pytest.mark.parametrize("minutes", [-40, 0, 540])
def test_two_meters_of_one_thing_show_how_their_clocks_differ(minutes: int) -> None:
    rng = np.random.default_rng(7)
    time = np.datetime64("2024-03-01", "us") + np.arange(6000) * np.timedelta64(1, "m")
    level = np.cumsum(rng.normal(0.0, 1.0, 6000))
    other = 3.0 * level + rng.normal(0.0, 0.3, 6000)

    got = offset_of_signals((time, level), (time + np.timedelta64(minutes, "m"), other))

    assert got.supported
    assert got.minutes == pytest.approx(minutes, abs=1.0)


def test_an_unsupported_offset_is_zero_and_says_why() -> None:
    rng = np.random.default_rng(8)
    time = np.datetime64("2024-03-01", "us") + np.arange(3000) * np.timedelta64(1, "m")

    got = offset_of_signals((time, rng.normal(size=3000)), (time, rng.normal(size=3000)))

    assert got.minutes == 0.0
    assert not got.supported
    assert got.evidence.ko
    assert replace(got, minutes=3.0).shift == np.timedelta64(180, "s")
