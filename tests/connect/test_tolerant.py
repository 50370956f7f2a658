"""A file that lacks columns of its template, or has them otherwise, is read as far as it goes, whatever its length."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.connect import Layout, ReadOptions, find_tables, lacking, open_table
from madang.errors import InputError
from tests.connect.reading import Reading, read, read_text, series

TOLERANT = ReadOptions(tolerant=True)


def _records(count: int = 260) -> list[list[str]]:
    """Return records of time, zone, two readings and a state with every trouble that looks at the rows around it."""
    rng = random.Random(11)
    out = []
    for index in range(count):
        # The row of midnight carries the date of the day that just ended.
        minute = index * 30
        day = minute // 1440 - (1 if index and minute % 1440 == 0 else 0)
        time = f"2024-03-{1 + day:02d} {minute % 1440 // 60:02d}:{minute % 60:02d}:00"
        value = 41.5 if 120 <= index < 160 else 300 + rng.random() * 90
        out.append(
            [
                time,
                "가열대" if index % 3 else "냉각대",
                f"{value:.1f}",
                f"{5 + rng.random():.3f}",
                f"{index * 7 % 90}.{index % 10}",
            ]
        )
    for index in range(6, count, 19):
        out[index][2] = rng.choice(["9999", "통신오류", "-", "", "< 310", "55,5"])
    for index in range(30, count, 37):
        out[index] = list(out[index - 3])
    for index in range(50, count, 61):
        out[index], out[index - 1] = out[index - 1], out[index]
    for index in range(21, count, 53):
        out[index] = [out[index][0], "", *out[index][1:]]
    for index in range(25, count, 53):
        out[index] = [out[index][0], "", *out[index][1:-1]]
    return out


HEADER = ["일시", "구역", "온도(℃)", "압력(bar)", "유량"]


@dataclass(frozen=True)
class Form:
    """How records are written to a file."""

    name: str
    encoding: str = "utf-8"
    separator: str = ","

    def whole(self) -> bytes:
        """Return the file with all records."""
        return self.cut(len(self.lines()))

    def lines(self) -> list[str]:
        """Return the header and the records as lines; JSON lines and blanks hold no header or no empty cells."""
        records = _records()
        if self.name == "long.csv":
            tall = [["일시", "태그명", "측정값"]]
            for record in records:
                if len(record) == 5:
                    tall += [[record[0], "온도", record[2]], [record[0], "압력", record[3]], [record[0], "유량", record[4]]]
            return [",".join(row) for row in tall]
        if self.name.endswith("jsonl"):
            plain = [record for record in records if len(record) == 5]
            return [json.dumps(dict(zip(HEADER, record, strict=True)), ensure_ascii=False) for record in plain]
        if self.separator == " ":
            records = [[cell.replace(" ", "T") or "-" for cell in record] for record in records if len(record) == 5]
        return [self.separator.join(row) for row in [HEADER, *records]]

    def cut(self, count: int, letters: int = 0) -> bytes:
        """Return the file cut behind some lines and some letters of the next."""
        lines = self.lines()
        if self.name.endswith("xlsx"):
            return _workbook(lines[:count])
        rest = lines[count][:letters] if letters and count < len(lines) else ""
        return ("".join(line + "\n" for line in lines[:count]) + rest).encode(self.encoding)


def _workbook(lines: list[str]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in lines:
        sheet.append([_native(cell) for cell in line.split(",")[:5]])
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def _native(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None


FORMS = [
    Form("utf8.csv"), Form("cp949.csv", "cp949"), Form("utf16.csv", "utf-16"), Form("table.tsv", separator="\t"),
    Form("blanks.txt", separator=" "), Form("long.csv"), Form("lines.jsonl"), Form("book.xlsx"),
]  # fmt: skip


def _write(folder: Path, form: Form, data: bytes) -> Path:
    path = folder / form.name
    path.write_bytes(data)
    return path


def _without(entries: list[dict[str, Any]], known: int) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["row"] <= known]


def _same_up_to(whole: Reading, part: Reading, known: int) -> None:
    assert [row for row in part.rows.to_pylist() if row["_row"] <= known] == [
        row for row in whole.rows.to_pylist() if row["_row"] <= known
    ]
    assert _without(part.flags, known) == _without(whole.flags, known)
    assert _without(part.quarantine, known) == _without(whole.quarantine, known)
    assert _without(part.duplicates, known) == _without(whole.duplicates, known)


_LEARNED: dict[str, tuple[Layout, Reading]] = {}


def _learned(folder: Path, form: Form) -> tuple[Layout, Reading]:
    if form.name not in _LEARNED:
        path = _write(folder, form, form.whole())
        layout = read(path).layout
        _LEARNED[form.name] = layout, read(path, TOLERANT, layout)
    return _LEARNED[form.name]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_after_any_record_or_inside_a_line_reads_the_same_before_the_cut(
    tmp_path: Path, form: Form, data: st.DataObject
) -> None:
    layout, whole = _learned(tmp_path, form)
    header = 0 if form.name.endswith("jsonl") else 1
    count = data.draw(st.sampled_from([header, header + 1, header + 2]) | st.integers(header, len(form.lines())))
    letters = data.draw(st.integers(0, 25))
    if not count and not letters:
        return
    path = _write(tmp_path, form, form.cut(count, letters))
    try:
        part = read(path, TOLERANT, layout)
    except InputError as refused:
        assert count == 0, refused.en
        return
    _same_up_to(whole, part, count - header)
    assert part.reader.tally.read in (count - header, count - header + 1)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_file_cut_after_its_first_records_reads_the_same(tmp_path: Path, form: Form) -> None:
    layout, whole = _learned(tmp_path, form)
    header = 0 if form.name.endswith("jsonl") else 1
    for records in (0, 1, 2, 5, 30):
        if header + records:
            part = read(_write(tmp_path, form, form.cut(header + records)), TOLERANT, layout)
            assert part.reader.tally.read == records
            _same_up_to(whole, part, records)


def test_the_troubles_of_the_cut_files_are_really_there(tmp_path: Path) -> None:
    _, whole = _learned(tmp_path, FORMS[0])
    assert {
        "duplicate_rows",
        "out_of_order",
        "bad_value_code",
        "stuck_values",
        "midnight_row",
        "shifted_columns",
    } <= whole.codes


# ---- columns


def _template(folder: Path) -> Layout:
    return read_text(folder, "\n".join(series(60, "time,temp [°C],state,flow", "{time},{value},RUN,{index}.5")) + "\n").layout


def _later(folder: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path = folder / "later.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def test_missing_columns_are_empty_and_added_ones_left_out(tmp_path: Path) -> None:
    layout = _template(tmp_path)
    path = _later(tmp_path, series(8, "note,temp [°C],time", "x,{value},{time}"))
    reading = read(path, TOLERANT, layout)
    assert reading.column("state") == [None] * 8 == reading.column("flow")
    assert reading.column("temp")[0] == 20.0
    assert reading.rows.column_names == ["_row", "time", "temp", "state", "flow"]
    (source,) = find_tables([path])
    assert lacking(source, layout) == 3


def test_another_unit_is_converted_and_marked(tmp_path: Path) -> None:
    reading = read(
        _later(tmp_path, series(3, "time,temp [K],state,flow", "{time},300.15,RUN,1")), TOLERANT, _template(tmp_path)
    )
    assert reading.column("temp") == pytest.approx([27.0] * 3)
    assert [flag["flag"] for flag in reading.flags] == ["converted"] * 3
    assert reading.finding("unit_change").rows == 3


def test_another_spelling_of_the_same_unit_is_the_same_unit(tmp_path: Path) -> None:
    reading = read(_later(tmp_path, series(3, "time,temp [℃],state,flow", "{time},30.5,RUN,1")), None, _template(tmp_path))
    assert reading.column("temp") == [30.5] * 3 and not reading.flags


def test_a_unit_of_another_quantity_gives_no_values(tmp_path: Path) -> None:
    reading = read(_later(tmp_path, series(3, "time,temp [bar],state,flow", "{time},3.5,RUN,1")), TOLERANT, _template(tmp_path))
    assert reading.column("temp") == [None] * 3
    assert [(flag["flag"], flag["original"]) for flag in reading.flags] == [("bad", "3.5")] * 3


def test_cells_of_another_type_are_empty_and_marked(tmp_path: Path) -> None:
    lines = series(40, "time,temp [°C],state,flow", "{time},hot,RUN,{index}.5")
    reading = read(_later(tmp_path, lines), TOLERANT, _template(tmp_path))
    assert reading.column("temp") == [None] * 40
    assert {(flag["column"], flag["flag"]) for flag in reading.flags} == {("temp", "bad")}


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_accepted_when_the_header_is_found_again(tmp_path: Path, separator: str) -> None:
    lines = [line.replace(",", separator) for line in series(5, "time,temp [°C],flow", "{time},{value},2.5")]
    reading = read(_later(tmp_path, lines), TOLERANT, _template(tmp_path))
    assert reading.column("flow") == [2.5] * 5 and reading.column("state") == [None] * 5


@pytest.mark.parametrize(
    ("first", "second"), [("utf-8", "cp949"), ("cp949", "utf-8-sig"), ("cp949", "utf-16"), ("utf-16", "cp949")]
)
def test_another_encoding_is_accepted_when_the_header_is_found_again(tmp_path: Path, first: str, second: str) -> None:
    lines = series(40, "일시,온도,상태", "{time},{value},가동")
    layout = read_text(tmp_path, "\n".join(lines) + "\n", first).layout
    reading = read(_later(tmp_path, lines[:3], second), TOLERANT, layout)
    assert reading.column("상태") == ["가동", "가동"]


def test_a_template_of_a_workbook_reads_the_same_table_as_text(tmp_path: Path) -> None:
    book = tmp_path / "book.xlsx"
    book.write_bytes(_workbook(series(40)))
    reading = read(_later(tmp_path, series(4)), TOLERANT, read(book).layout)
    assert reading.column("state") == ["RUN"] * 4 and None not in reading.column("temp")


def test_a_units_row_that_came_or_went_is_no_record(tmp_path: Path) -> None:
    with_units = series(40)
    with_units.insert(1, ",°C,")
    layout = read_text(tmp_path, "\n".join(with_units) + "\n").layout
    assert layout.units_row
    assert read(_later(tmp_path, series(3)), TOLERANT, layout).reader.tally.kept == 3
    later = series(3)
    later.insert(1, ",K,")
    assert read(_later(tmp_path, later), TOLERANT, layout).finding("unit_change").rows == 3


def test_a_table_with_row_names_fits_its_own_template(tmp_path: Path) -> None:
    lines = series(40, "time,temp,flow", "r{index},{time},{value},2.5")
    layout = read_text(tmp_path, "\n".join(lines) + "\n").layout
    reading = read(_later(tmp_path, lines[:4]), TOLERANT, layout)
    assert reading.column("flow") == [2.5] * 3
    assert read(_later(tmp_path, lines), None, layout).reader.tally.kept == 40


def test_a_measurement_in_another_unit_is_converted_record_by_record(tmp_path: Path) -> None:
    def line(index: int, value: float, unit: str) -> str:
        time = f"2024-03-01T00:{index:02d}:00Z"
        return json.dumps(
            {"ts": time, "m": [{"n": "temp", "v": value, "u": unit}, {"n": "flow", "v": index + 0.5, "u": "m3/h"}]}
        )

    path = tmp_path / "lines.jsonl"
    path.write_text("".join(line(index, 20 + index / 7, "°C") + "\n" for index in range(50)), encoding="utf-8")
    layout = read(path).layout
    later = [line(0, 293.15, "K"), line(1, 21.0, "°C"), line(2, 5.0, "bar")]
    for count in (1, 2, 3):
        path.write_text("".join(text + "\n" for text in later[:count]), encoding="utf-8")
        assert read(path, TOLERANT, layout).column("temp") == [pytest.approx(20.0), 21.0, None][:count]


def test_a_name_that_comes_late_in_json_lines_does_not_rename_a_column(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines = [json.dumps({"ts": f"2024-03-01T00:{n:02d}:00Z", "m": [{"n": "temp", "v": n / 7}]}) for n in range(50)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    layout = read(path).layout
    lines[3] = json.dumps({"ts": "2024-03-01T00:03:00Z", "k": [{"n": "temp", "v": 1}], "temp": 5})
    for count in (1, 3, 5):
        path.write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")
        expected = [0.0, 1 / 7, 2 / 7, None, 4 / 7][:count]
        assert read(path, TOLERANT, layout).column("temp") == expected


def test_a_file_without_any_column_of_the_template_is_refused(tmp_path: Path) -> None:
    layout = _template(tmp_path)
    for lines in (series(9, "a,b,c"), ["temp and time of day were fine"], series(9, header="")):
        with pytest.raises(InputError):
            read(_later(tmp_path, lines), TOLERANT, layout)
        (source,) = find_tables([tmp_path / "later.csv"])
        assert lacking(source, layout) is None


def test_without_a_header_the_number_of_fields_decides(tmp_path: Path) -> None:
    layout = read_text(tmp_path, "\n".join(series(60, header="")) + "\n").layout
    assert layout.header_rows == 0
    assert read(_later(tmp_path, series(1, header="")), TOLERANT, layout).reader.tally.kept == 1
    with pytest.raises(InputError):
        read(_later(tmp_path, series(9, header="", row="{time},{value},RUN,5,6")), TOLERANT, layout)


def test_a_later_file_is_laid_under_the_template_it_differs_from_least(tmp_path: Path) -> None:
    narrow = read_text(tmp_path, "\n".join(series(40, "time,temp")) + "\n").layout
    wide = _template(tmp_path)
    (source,) = find_tables([_later(tmp_path, series(3, "time,temp,state", "{time},{value},RUN"))])
    assert lacking(source, wide) == 1
    assert open_table(source, TOLERANT, wide).layout.columns == wide.columns
    assert lacking(source, narrow) is not None
