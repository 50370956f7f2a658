"""What a cell says: instants as plants write them, bad values, bounds, units, codes; and what a stream of them says."""

from __future__ import annotations

from pathlib import Path

import pytest

from madang.connect import ReadOptions
from tests.connect.reading import read_text, series


def minutes(pattern: str, count: int = 40) -> str:
    """Return an export whose time is written by a pattern with {h}, {m}, {i}."""
    body = "".join(
        f"{pattern.format(h=index // 60, m=index % 60, i=index)},{20 + index % 7}.{index % 10}\n" for index in range(count)
    )
    return "time,temp\n" + body


@pytest.mark.parametrize(
    ("pattern", "written", "first"),
    [
        ("2024-03-05 {h:02d}:{m:02d}:00", "%Y-%m-%d %H:%M:%S", "2024-03-04 15:00:00"),
        ("2024-03-05T{h:02d}:{m:02d}:00.1234567", "%Y-%m-%dT%H:%M:%S.%f", "2024-03-04 15:00:00"),
        ("2024-03-05T{h:02d}:{m:02d}:00+09:00", "%Y-%m-%dT%H:%M:%S%z", "2024-03-04 15:00:00"),
        ("2024-03-05T{h:02d}:{m:02d}:00Z", "%Y-%m-%dT%H:%M:%S%z", "2024-03-05 00:00:00"),
        ("2024년 03월 05일 오전 {h:02d}:{m:02d}", "%Y년 %m월 %d일 %p %I:%M", "2024-03-04 15:00:00"),
        ("2024-03-05 오후 {h:02d}:{m:02d}:00", "%Y-%m-%d %p %I:%M:%S", "2024-03-05 03:00:00"),
        ("25.03.2024 {h:02d}:{m:02d}", "%d.%m.%Y %H:%M", "2024-03-24 15:00:00"),
        ("03/25/2024 {h:02d}:{m:02d} AM", "%m/%d/%Y %I:%M %p", "2024-03-24 15:00:00"),
        ("5-Mar-2024 {h:02d}:{m:02d}", "%d-%b-%Y %H:%M", "2024-03-04 15:00:00"),
        ("240305{h:02d}{m:02d}00", "%y%m%d%H%M%S", "2024-03-04 15:00:00"),
        ("20240305{h:02d}{m:02d}00", "%Y%m%d%H%M%S", "2024-03-04 15:00:00"),
    ],
)
def test_times_are_read_as_plants_write_them(tmp_path: Path, pattern: str, written: str, first: str) -> None:
    reading = read_text(tmp_path, minutes(pattern))
    assert reading.layout.time_format == written
    assert reading.times()[0] == first
    assert reading.times()[1][:-2] != reading.times()[0][:-2]


@pytest.mark.parametrize(("unit", "scale"), [("epoch_s", 1), ("epoch_ms", 10**3), ("epoch_us", 10**6), ("epoch_ns", 10**9)])
def test_epochs_are_told_by_their_size(tmp_path: Path, unit: str, scale: int) -> None:
    body = "".join(f"{(1_709_596_800 + 60 * index) * scale},{index}.5\n" for index in range(30))
    reading = read_text(tmp_path, "timestamp,temp\n" + body)
    assert reading.layout.time_format == unit
    assert (reading.layout.zone, reading.layout.zone_assumed) == ("UTC", False)
    assert reading.times()[1] == "2024-03-05 00:01:00"


def test_a_zone_that_is_not_said_is_assumed_and_shown(tmp_path: Path) -> None:
    assumed = read_text(tmp_path, "\n".join(series(20)) + "\n").layout
    given = read_text(tmp_path, "\n".join(series(20)) + "\n", options=ReadOptions(zone="Europe/Berlin", zone_given=True)).layout
    assert (assumed.zone, assumed.zone_assumed) == ("Asia/Seoul", True)
    assert (given.zone, given.zone_assumed) == ("Europe/Berlin", False)


def test_twenty_four_o_clock_is_the_next_midnight(tmp_path: Path) -> None:
    hours = [f"2024-03-{day:02d} {hour:02d}:00:00,{hour}.5" for day in (5, 6) for hour in range(1, 25)]
    reading = read_text(tmp_path, "time,temp\n" + "\n".join(hours) + "\n", options=ReadOptions(zone="UTC", zone_given=True))
    assert reading.times()[23] == "2024-03-06 00:00:00"
    assert "out_of_order" not in reading.codes


def test_the_midnight_row_dated_a_day_early_is_moved_and_can_be_undone(tmp_path: Path) -> None:
    rows = [f"2024-03-{day:02d} {hour % 24:02d}:00,{hour + day}.5" for day in range(5, 9) for hour in range(1, 25)]
    text = "time,temp\n" + "\n".join(rows) + "\n"
    reading = read_text(tmp_path, text, options=ReadOptions(zone="UTC", zone_given=True))
    assert reading.times()[23] == "2024-03-06 00:00:00"
    assert reading.finding("midnight_row").rows == 4
    undo = reading.finding("midnight_row").undo
    assert undo in {step.id for step in reading.layout.steps}
    undone = read_text(tmp_path, text, options=ReadOptions(zone="UTC", zone_given=True, disabled=frozenset({str(undo)})))
    assert undone.times()[23] == "2024-03-05 00:00:00"


def test_day_and_month_are_settled_by_the_course_of_the_series(tmp_path: Path) -> None:
    rows = [
        f"{month:02d}/{day:02d}/2024 {hour:02d}:00,{hour}.5" for month, day in ((3, 5), (3, 6), (3, 7)) for hour in range(24)
    ]
    reading = read_text(tmp_path, "time,temp\n" + "\n".join(rows) + "\n")
    assert reading.layout.time_format == "%m/%d/%Y %H:%M"
    assert "ambiguous_date" not in reading.codes


def test_an_order_that_nothing_proves_is_told(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "time,temp\n03/05/2024 10:00,1.5\n03/05/2024 10:10,1.7\n03/05/2024 10:20,1.6\n")
    assert "ambiguous_date" in reading.codes


def test_date_and_time_of_day_in_two_columns_become_one_time(tmp_path: Path) -> None:
    body = "".join(f"2024-03-05,10:{minute:02d}:00,{minute}.5\n" for minute in range(30))
    reading = read_text(tmp_path, "날짜,시각,온도\n" + body, options=ReadOptions(zone="UTC", zone_given=True))
    assert reading.times()[7] == "2024-03-05 10:07:00"


def test_local_times_that_do_not_exist_or_exist_twice_are_flagged(tmp_path: Path) -> None:
    spring = [f"2024-03-31 {hour:02d}:30:00,{hour}.5" for hour in range(6)]
    autumn = [f"2024-10-27 {hour:02d}:30:00,{place}.25" for place, hour in enumerate((0, 1, 2, 2, 3, 4))]
    reading = read_text(
        tmp_path, "time,temp\n" + "\n".join(spring + autumn) + "\n", options=ReadOptions(zone="Europe/Berlin", zone_given=True)
    )
    assert reading.finding("daylight_saving").rows == 3
    assert reading.times()[8:10] == ["2024-10-27 00:30:00", "2024-10-27 01:30:00"]


@pytest.mark.parametrize(
    ("cell", "flag"),
    [
        ("-", "missing"),
        ("#N/A", "missing"),
        ("N.D.", "missing"),
        ("ERR", "bad"),
        ("I/O Timeout", "bad"),
        ("통신오류", "bad"),
        ("NaN", "missing"),
        ("#DIV/0!", "bad"),
    ],
)
def test_words_for_bad_values_are_withheld_and_kept_in_their_text(tmp_path: Path, cell: str, flag: str) -> None:
    lines = series(40)
    lines[7] = lines[7].replace(lines[7].split(",")[1], cell)
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.column("temp")[6] is None
    assert {"row": 7, "column": "temp", "flag": flag, "original": cell} in reading.flags
    assert reading.finding("bad_value_code").column == "temp"


def test_far_numbers_that_repeat_exactly_are_codes_and_ordinary_extremes_are_not(tmp_path: Path) -> None:
    lines = series(200)
    for place in (20, 90, 150):
        lines[place] = lines[place].replace(lines[place].split(",")[1], "9999")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert [reading.column("temp")[place - 1] for place in (20, 90, 150)] == [None] * 3
    counted = read_text(tmp_path, "n,count\n" + "".join(f"{index},{9900 + index}\n" for index in range(200)))
    assert counted.column("count")[99] == 9999


def test_bounds_keep_their_value_and_are_marked(tmp_path: Path) -> None:
    lines = series(40)
    lines[3] = lines[3].replace(lines[3].split(",")[1], "<0.01")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.column("temp")[2] == 0.01
    assert reading.finding("censored_value").examples == (3,)


def test_cells_in_another_unit_are_converted_and_marked(tmp_path: Path) -> None:
    lines = series(40, header="time,temp [°C],state")
    lines[3] = lines[3].replace(lines[3].split(",")[1], "300.15 K")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.column("temp")[2] == pytest.approx(27.0)
    assert any(flag["flag"] == "converted" and flag["original"] == "300.15 K" for flag in reading.flags)
    assert reading.finding("mixed_units").rows == 1


def test_full_width_digits_and_cell_units_are_numbers(tmp_path: Path) -> None:
    lines = series(40, row="{time},{value} ℃,RUN")
    lines[3] = lines[3].replace(lines[3].split(",")[1], "２１.５ ℃")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.layout.columns[1].unit_text == "℃"
    assert reading.column("temp")[2] == 21.5


def test_codes_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    reading = read_text(
        tmp_path, "time,product,temp\n" + "".join(f"2024-03-05 10:{m:02d},{m % 5:03d},{m}.5\n" for m in range(30))
    )
    assert reading.column("product")[7] == "002"


def test_formulas_are_never_evaluated(tmp_path: Path) -> None:
    lines = series(40)
    lines[3] = lines[3].replace(lines[3].split(",")[1], "=A1*2")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.column("temp")[2] is None
    assert reading.finding("formula_cell").rows == 1


def test_quality_codes_withhold_bad_values(tmp_path: Path) -> None:
    body = "".join(
        f"{tag}\t{1_709_596_800_000 + 1000 * index}\t{index}.5\t{quality}\n"
        for index, quality in enumerate((192, 64, 0, 192, 216) * 4)
        for tag in ("A.PV", "B.PV")
    )
    reading = read_text(tmp_path, "TagName\tTimestamp\tValue\tQuality\n" + body)
    assert reading.layout.layout == "long"
    assert reading.column("Value")[:6] == [0.5, 0.5, 1.5, 1.5, None, None]
    assert {flag["flag"] for flag in reading.flags if flag["row"] == 3} == {"uncertain"}


def test_words_and_numbers_of_a_long_table_are_parted_by_tag(tmp_path: Path) -> None:
    body = "".join(
        f"T1,2024-03-05 10:{m:02d},{m}.5\nMODE,2024-03-05 10:{m:02d},{'RUN' if m % 2 else 'STOP'}\n" for m in range(30)
    )
    reading = read_text(tmp_path, "tag,time,value\n" + body)
    assert reading.column("value")[:4] == [0.5, None, 1.5, None]
    assert reading.column("value_text")[:4] == [None, "STOP", None, "RUN"]


def test_records_equal_in_everything_are_duplicates_only_where_something_identifies_them(tmp_path: Path) -> None:
    lines = series(40)
    reading = read_text(tmp_path, "\n".join([*lines, lines[5], lines[6]]) + "\n")
    assert reading.duplicates == [{"row": 41, "of_row": 5}, {"row": 42, "of_row": 6}]
    kept = read_text(tmp_path, "\n".join([*lines, lines[5]]) + "\n", options=ReadOptions(keep_duplicates=True))
    assert kept.reader.tally.kept == 41
    nameless = read_text(
        tmp_path, "yield,purity\n" + "".join(f"{70 + index % 5}.5,{50 + index % 3}.5\n" for index in range(60))
    )
    assert nameless.reader.tally.duplicate == 0
    assert nameless.finding("duplicate_rows").severity == "info"


def test_a_sensor_that_stands_still_is_marked_and_one_that_rests_is_not(tmp_path: Path) -> None:
    lines = series(400)
    for place in range(200, 240):
        lines[place] = lines[place].replace(lines[place].split(",")[1], "24.9")
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.finding("stuck_values").rows >= 39
    assert "stuck_values" not in read_text(tmp_path, "\n".join(series(400)) + "\n").codes


def test_a_counter_that_starts_again_is_told(tmp_path: Path) -> None:
    lines = [f"2024-03-05 {index // 60:02d}:{index % 60:02d},{(64_000 + index * 7) % 65_536}" for index in range(400)]
    reading = read_text(tmp_path, "time,count\n" + "\n".join(lines) + "\n")
    assert reading.finding("counter_rollover").rows == 1
    assert "bad_value_code" not in reading.codes


def test_records_out_of_order_are_told_and_stay_where_they_are(tmp_path: Path) -> None:
    lines = series(60)
    moved = [*lines[:30], *lines[40:50], *lines[30:40], *lines[50:]]
    reading = read_text(tmp_path, "\n".join(moved) + "\n")
    assert reading.finding("out_of_order").rows == 10
    assert "clock_skew" not in reading.codes
    assert reading.column("_row") == list(range(1, 61))


def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    lines = series(60)
    back = series(40, header="", row="{time},{value}5,RUN")
    reading = read_text(tmp_path, "\n".join([*lines, *(line for line in back[30:])]) + "\n" + "\n".join(series(90)[61:]) + "\n")
    assert "clock_skew" in reading.codes or "out_of_order" in reading.codes


def _in_two_units(count: int, at: int, scale: float, offset: float = 0.0, other: float = 0.0) -> str:
    lines = ["time,pressure,temp,level"]
    for n in range(count):
        value = 6.2 + (n * 37 % 101) / 200
        value = value * scale + offset if n >= at else value
        temp = 300 + (n * 13 % 29) / 10 + (other if n >= at else 0.0)
        lines.append(f"2024-03-01 {n // 60:02d}:{n % 60:02d}:00,{value:.4f},{temp:.1f},{n * 7 % 40}.5")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scale", [10.0, 14.5038, 98.0665, 1000.0, 0.1])
def test_a_column_that_goes_on_in_another_unit_is_marked_and_kept(tmp_path: Path, scale: float) -> None:
    reading = read_text(tmp_path, _in_two_units(300, 120, scale))
    found = reading.finding("unit_change")
    assert (found.column, found.rows, found.facts["row"]) == ("pressure", 180, 121)
    assert found.facts["scale"] == pytest.approx(scale, rel=0.01)
    assert None not in reading.column("pressure")
    assert {flag["row"] for flag in reading.flags if flag["flag"] == "uncertain"} == set(range(121, 301))


@pytest.mark.parametrize(("scale", "other"), [(3.0, 0.0), (10.0, 400.0), (12.0, 0.0)])
def test_a_plant_that_changes_its_state_is_no_change_of_unit(tmp_path: Path, scale: float, other: float) -> None:
    assert "unit_change" not in read_text(tmp_path, _in_two_units(300, 120, scale, other=other)).codes
