"""How a text is a table: encoding, separator, header, units, and rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from madang.errors import InputError
from tests.connect.reading import read, read_text, series


@pytest.mark.parametrize(
    ("text", "encoding", "reported"),
    [
        ("일시,온도(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "cp949", "cp949"),
        ("일시,온도(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "utf-8", "utf-8"),
        ("일시,온도(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "utf-8-sig", "utf-8-sig"),
        ("일시,온도(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "utf-16", "utf-16"),
        ("일시,온도(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "utf-16-le", "utf-16"),
        ("Time,T(℃)\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "cp949", "cp949"),
        ("Zeit;Größe [mm]\n01.03.2024 00:00;1,5\n01.03.2024 00:10;2,5\n", "latin-1", "latin-1"),
        ("Zeit;Öffnung °;Übermaß\n01.03.2024 00:00;1,5;2\n01.03.2024 00:10;2,5;3\n", "latin-1", "latin-1"),
        ("time,température\n2024-03-01 00:00,1.5\n2024-03-01 00:10,2.5\n", "latin-1", "latin-1"),
    ],
)
def test_the_encoding_is_told_by_what_its_letters_say(tmp_path: Path, text: str, encoding: str, reported: str) -> None:
    reading = read_text(tmp_path, text, encoding)
    assert reading.layout.encoding == reported
    assert reading.layout.columns[1].source_name == text.split("\n")[0].replace(";", ",").split(",")[1]
    assert reading.column(reading.layout.columns[1].name) == [1.5, 2.5]


def test_a_line_in_another_encoding_is_read_in_its_own_and_told(tmp_path: Path) -> None:
    lines = [f"2024-03-01 00:{minute:02d},1.{minute},정상".encode("cp949") for minute in range(30)]
    lines[12] = "2024-03-01 00:12,1.12,점검".encode()
    (tmp_path / "mixed.csv").write_bytes(b"\n".join(["일시,온도,상태".encode("cp949"), *lines]) + b"\n")
    reading = read(tmp_path / "mixed.csv")
    assert reading.column("상태")[12] == "점검"
    assert reading.finding("mixed_encoding").rows == 1
    assert "\ufffd" not in "".join(reading.column("상태"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_whatever_the_file_is_called(tmp_path: Path, separator: str) -> None:
    reading = read_text(tmp_path, "\n".join(series(40)).replace(",", separator) + "\n")
    assert reading.layout.separator == separator
    assert reading.reader.tally.kept == 40


def test_decimal_commas_do_not_part_fields(tmp_path: Path) -> None:
    body = "".join(f"01.03.2024 00:{minute:02d};{minute},5;{1000 + minute},25\n" for minute in range(30))
    reading = read_text(tmp_path, "Zeit;Druck;Menge\n" + body)
    assert (reading.layout.separator, reading.layout.decimal) == (";", ",")
    assert reading.column("Menge")[3] == 1003.25


def test_thousands_marks_are_told_from_decimal_commas_by_the_column(tmp_path: Path) -> None:
    body = "".join(f'2024-03-01 00:{minute:02d},"{minute + 1},0{minute:02d}",{minute}.5\n' for minute in range(30))
    reading = read_text(tmp_path, "time,energy,temp\n" + body)
    assert reading.layout.thousands == ","
    assert reading.column("energy")[7] == 8007.0


def test_a_preamble_and_a_units_row_are_no_records(tmp_path: Path) -> None:
    text = "Anlage: Ofen 2\nExport vom 05.01.2024\n\nZeit;Temp;Druck\n;°C;bar\n" + "".join(
        f"01.03.2024 00:{minute:02d};{minute},5;1,{minute:02d}\n" for minute in range(20)
    )
    layout = read_text(tmp_path, text).layout
    assert (layout.preamble_lines, layout.header_rows, layout.units_row) == (3, 1, True)
    assert [column.unit_text for column in layout.columns] == [None, "°C", "bar"]


def test_two_header_rows_are_joined_and_filled_to_the_right(tmp_path: Path) -> None:
    text = ",상부,,하부,\n일시,온도,압력,온도,압력\n" + "".join(
        f"2024-03-01 00:{minute:02d},{minute}.5,1.{minute},{minute}.25,2.{minute}\n" for minute in range(20)
    )
    names = [column.source_name for column in read_text(tmp_path, text).layout.columns]
    assert names == ["일시", "상부 / 온도", "상부 / 압력", "하부 / 온도", "하부 / 압력"]


def test_a_table_without_header_gets_numbered_columns(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "\n".join(series(20, header="")) + "\n")
    assert [column.name for column in reading.layout.columns] == ["c1", "c2", "c3"]
    assert reading.reader.tally.read == 20


def test_quoted_line_breaks_do_not_end_a_record(tmp_path: Path) -> None:
    lines = series(30, row='{time},{value},"ran\nwell {index}"')
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.reader.tally == type(reading.reader.tally)(30, 30, 0, 0)
    assert reading.column("state")[4] == "ran\nwell 4"


def test_a_stray_quote_costs_one_record_at_most(tmp_path: Path) -> None:
    lines = series(400)
    lines[10] = lines[10].replace("RUN", '"RUN')
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.reader.tally.kept >= 399


def test_blank_columns_at_the_end_are_left_out(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "\n".join(line + ",," for line in series(20)) + "\n")
    assert [column.name for column in reading.layout.columns] == ["time", "temp", "state"]


def test_fixed_width_columns_are_told_by_where_blanks_stand(tmp_path: Path) -> None:
    body = "".join(
        f"2024-03-01 00:{minute:02d}   {minute:5d}.5   {'line A' if minute % 3 else '':8s}{minute:4d}\n" for minute in range(30)
    )
    reading = read_text(tmp_path, body)
    assert reading.layout.format == "fixed"
    assert reading.column("c4")[7] == 7


def test_a_totals_row_waits_in_quarantine(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "\n".join([*series(30), "합계,999.9,"]) + "\n")
    assert reading.reader.tally.quarantined == 1
    assert reading.quarantine[0]["reason"] == "totals_row"
    assert reading.finding("totals_row").rows == 1


def test_a_repeated_header_is_no_record_and_told(tmp_path: Path) -> None:
    lines = series(30)
    reading = read_text(tmp_path, "\n".join([*lines[:15], lines[0], *lines[15:]]) + "\n")
    assert (reading.reader.tally.read, reading.reader.tally.kept) == (30, 30)
    assert reading.finding("unreadable_rows").severity == "info"


def test_lines_of_separators_only_are_blank_lines(tmp_path: Path) -> None:
    lines = series(30)
    reading = read_text(tmp_path, "\n".join([*lines[:15], ",,", *lines[15:], ",,"]) + "\n")
    assert (reading.reader.tally.read, reading.reader.tally.kept) == (30, 30)


@pytest.mark.parametrize("quoted", [False, True])
def test_blank_lines_between_records_are_no_records(tmp_path: Path, quoted: bool) -> None:
    lines = series(30, row='{time},{value},"RUN"' if quoted else "{time},{value},RUN")
    reading = read_text(tmp_path, "\r\n".join([*lines[:15], "", *lines[15:25], "", "", *lines[25:]]) + "\r\n")
    assert (reading.reader.tally.read, reading.reader.tally.kept) == (30, 30)


def test_a_file_cut_inside_its_last_record_says_so(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "\n".join([*series(30), "2024-03-01 01"]))
    assert reading.quarantine[0]["reason"] == "truncated"
    assert reading.finding("truncated").rows == 1


def test_records_with_too_many_fields_wait_with_their_text(tmp_path: Path) -> None:
    lines = series(30)
    lines[5] += ",one,two"
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.quarantine == [{"row": 5, "reason": "fields", "text": lines[5]}]
    assert reading.finding("unreadable_rows").examples == (5,)


def test_a_record_shifted_by_an_empty_field_is_put_right_and_told(tmp_path: Path) -> None:
    lines = series(40, header="time,a,b,state", row="{time},{value},1{index}.5,RUN")
    time, rest = lines[8].split(",", 1)
    lines[8] = f"{time},,{rest}"
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert reading.column("state")[7] == "RUN"
    assert reading.finding("shifted_columns").examples == (8,)
    assert any(flag["row"] == 8 and flag["original"] == lines[8] for flag in reading.flags)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n\n", bytes(range(256)) * 40, b"<html><body>no</body></html>\n", b"This is a letter to you, my friend.\n" * 5],
    ids=["empty", "blank", "binary", "markup", "prose"],
)
def test_what_is_no_table_is_refused_in_both_languages(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "x.csv")
    assert caught.value.ko and caught.value.en


def test_a_matrix_on_its_side_is_turned_with_the_reason(tmp_path: Path) -> None:
    rows = [" ".join(f"{scale * (1 + ((sample * 7 + place) % 13) / 100):.4e}" for sample in range(60))
            for place, scale in enumerate((0.25, 3600.0, 45.0, 120.0, 9.0, 2700.0, 0.3, 75.0, 51.0))]  # fmt: skip
    reading = read_text(tmp_path, "\n".join(rows) + "\n")
    assert reading.layout.layout == "transposed"
    assert (reading.reader.tally.read, len(reading.layout.columns)) == (60, 9)
    assert reading.finding("transposed").undo == "transposed"


def test_repeated_measurements_of_pieces_are_not_turned(tmp_path: Path) -> None:
    rows = [" ".join(f"{50 + piece * 3 + ((piece * 5 + take * 3) % 7) / 50:.2f}" for take in range(12)) for piece in range(7)]
    assert read_text(tmp_path, "\n".join(rows) + "\n").layout.layout == "wide"


def test_adapter_logs_become_long_tables_and_assets_stay_apart(tmp_path: Path) -> None:
    text = (
        "2024-03-01T00:00:00.1234567Z|Xpos|1.5|Ypos|2.5\n"
        "2024-03-01T00:00:01.1234567Z|Xpos|1.6\n"
        "2024-03-01T00:00:02Z|servo|FAULT|12|2|HIGH|overload\n"
        "2024-03-01T00:00:03Z|@ASSET@|T1|CuttingTool|--multiline--AB\n<Tool>\n</Tool>\n--multiline--AB\n"
        "2024-03-01T00:00:04Z|Xpos|UNAVAILABLE\n"
    )
    reading = read_text(tmp_path, text)
    assert reading.layout.format == "shdr"
    assert reading.column("tag") == ["Xpos", "Ypos", "Xpos", "servo", "Xpos"]
    assert reading.rows.column("_row").to_pylist() == [1, 1, 2, 3, 5]
    assert reading.quarantine[0]["text"].endswith("--multiline--AB")


def test_a_header_without_records_is_a_table_of_no_records(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "time,temp,state\n")
    assert reading.reader.tally.read == 0
    assert [column.name for column in reading.layout.columns] == ["time", "temp", "state"]


def test_two_words_of_a_header_over_one_column_of_fixed_width_stay_one_name(tmp_path: Path) -> None:
    lines = ["일시                     노점(℃)  챔버 습도(%RH)  냉각수 유량(L/min)  운전상태"]
    lines += [
        f"2024-08-24 {n // 4:02d}:{n % 4 * 15:02d}:00    -{30 + n % 5}.4        4{n % 9}.1          3{n % 7}.01    정지"
        for n in range(90)
    ]
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert {"챔버 습도", "냉각수 유량"} <= set(reading.rows.column_names)
    assert reading.column("냉각수 유량")[0] == 30.01
