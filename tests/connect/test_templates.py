"""A template read once reads the next file of its kind, cut anywhere, and says where a file does not fit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.connect import Layout, ReadOptions, find_tables, fits, open_table
from madang.errors import InputError
from tests.connect.reading import Reading, read, read_text, series


def _cut(folder: Path, lines: list[str], count: int) -> Path:
    path = folder / "cut.csv"
    path.write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")
    return path


def _messy(count: int) -> list[str]:
    rng = random.Random(5)
    lines = series(count, header="time,temp [°C],state")
    for place in range(3, count, 17):
        time, value, state = lines[place].split(",")
        lines[place] = rng.choice(
            [f"{time},ERR,{state}", f"{time},,{value},{state}", f"{time},9999,{state}", f"{time},300.1 K,{state}"]
        )
    for place in range(40, count, 31):
        lines[place] = lines[place - 9]
    return lines


def test_a_layout_survives_its_json_form(tmp_path: Path) -> None:
    layout = read_text(tmp_path, "\n".join(_messy(200)) + "\n").layout
    assert Layout.from_json(layout.to_json()) == layout


def test_a_document_that_is_no_layout_is_refused() -> None:
    with pytest.raises(InputError):
        Layout.from_json({"format": "csv"})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(2, 301))
def test_cutting_a_file_after_any_record_changes_no_earlier_record(tmp_path: Path, count: int) -> None:
    lines = _messy(300)
    layout = read_text(tmp_path, "\n".join(lines) + "\n").layout
    whole = read(_cut(tmp_path, lines, len(lines)), template=layout)
    part = read(_cut(tmp_path, lines, count), template=layout)
    known = count - 1
    assert part.rows.to_pylist() == [row for row in whole.rows.to_pylist() if row["_row"] <= known]
    assert part.flags == [flag for flag in whole.flags if flag["row"] <= known]
    assert part.quarantine == [entry for entry in whole.quarantine if entry["row"] <= known]


def _misfit(folder: Path, lines: list[str]) -> tuple[Layout, Path]:
    layout = read_text(folder, "\n".join(series(60, header="time,temp [°C],state")) + "\n").layout
    path = folder / "later.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return layout, path


def _judge(layout: Layout, path: Path) -> object:
    (source,) = find_tables([path])
    return fits(source, layout)


def test_the_same_kind_fits(tmp_path: Path) -> None:
    layout, path = _misfit(tmp_path, ["Shift report", "", *series(30, header="time,temp [°C],state", start_hour=5)])
    assert _judge(layout, path) is None
    assert read(path, template=layout).reader.tally.kept == 30


def test_a_renamed_column_is_named(tmp_path: Path) -> None:
    layout, path = _misfit(tmp_path, series(30, header="time,temperature [°C],state"))
    with pytest.raises(InputError) as caught:
        read(path, template=layout)
    assert "temperature" in caught.value.en and "temp [°C]" in caught.value.en


def test_a_changed_unit_is_never_read_as_the_old_one(tmp_path: Path) -> None:
    layout, path = _misfit(tmp_path, series(30, header="time,temp [K],state"))
    with pytest.raises(InputError, match="unit"):
        read(path, template=layout)


def test_another_separator_and_a_changed_type_are_told(tmp_path: Path) -> None:
    layout, path = _misfit(tmp_path, [line.replace(",", ";") for line in series(30, header="time,temp [°C],state")])
    with pytest.raises(InputError, match="separator"):
        read(path, template=layout)
    layout, path = _misfit(tmp_path, series(30, header="time,temp [°C],state", row="{time},hot,RUN"))
    with pytest.raises(InputError, match="type"):
        read(path, template=layout)


def test_moved_and_added_columns_are_read_by_name(tmp_path: Path) -> None:
    layout, path = _misfit(tmp_path, series(30, header="state,more,temp [°C],time", row="RUN,{index},{value},{time}"))
    reading = read(path, template=layout)
    assert reading.column("state") == ["RUN"] * 30
    assert "renamed_column" in reading.codes


def _careful(reading: Reading, path: Path) -> Reading:
    """Read again, with every block taken record by record."""
    (source,) = find_tables([path])
    reader = open_table(source, ReadOptions(), reading.layout)
    return read(path, template=reader.layout)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_fast_way_and_the_careful_way_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    from madang.connect._text import TextTable

    cell = st.sampled_from(
        ["1", "-2.5", "+3", " 4 ", "5e3", ".5", "6.", "", "nan", "inf", "0x1F", "ERR", "7,5", "abc", '"8"', "1_0", "９"]
    )
    numbers = data.draw(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=30))
    lines = series(60, header="time,a,b,n", row="{time},{value},1{index}.25,{index}")
    for place, (a, b, n) in enumerate(numbers, start=1):
        lines[place] = f"{lines[place].split(',')[0]},{a},{b},{n}"
    layout = read_text(
        tmp_path, "\n".join(series(60, header="time,a,b,n", row="{time},{value},1{index}.25,{index}")) + "\n"
    ).layout
    path = _cut(tmp_path, lines, len(lines))
    fast = read(path, template=layout)
    with monkeypatch.context() as patched:
        patched.setattr(TextTable, "_fast", lambda self, block, types: None)
        careful = read(path, template=layout)
    assert fast.rows.equals(careful.rows)
    assert fast.flags == careful.flags
    assert (fast.quarantine, fast.duplicates) == (careful.quarantine, careful.duplicates)
