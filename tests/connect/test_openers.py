"""Containers that are not text: what is found in them, and what their raw cells are."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sqlite3
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from madang.connect._bytes import open_container
from madang.connect._cells import Cell, CellTable, UnreadRow
from madang.connect._discover import Skipped, find_tables, open_bytes
from madang.connect._openers import open_cells
from madang.connect._tables import TableSource
from madang.errors import InputError
from tests.connect.old_workbook import Rows, old_workbook


def _sources(*paths: Path) -> dict[str, TableSource]:
    return {source.source: source for source in find_tables(list(paths))}


def _only(path: Path) -> CellTable:
    (source,) = find_tables([path])
    return open_cells(source)


def _rows(table: CellTable) -> list[list[Cell]]:
    return list(table.rows())


def _codes(table: CellTable) -> list[str]:
    return [finding.code for finding in table.findings]


# ---- workbooks


def _lab_workbook(path: Path) -> Path:
    """A laboratory sheet as Korean firms write it: title, author, two header rows with merges, merged row labels, a total."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "성적서"
    sheet["A1"] = "2026년 1월 품질 성적서"
    sheet.merge_cells("A1:F1")
    sheet["A2"] = "부서: 품질팀"
    for place, text in {
        "A4": "LOT NO",
        "B4": "온도",
        "D4": "수분(%)",
        "E4": "판정",
        "F4": "일자",
        "B5": "상부 [℃]",
        "C5": "하부 [℃]",
    }.items():
        sheet[place] = text
    for span in ("A4:A5", "B4:C4", "D4:D5", "E4:E5", "F4:F5"):
        sheet.merge_cells(span)
    for number in range(10):
        row = 6 + number
        if number % 2 == 0:
            sheet.cell(row, 1, f"00{number}")
            sheet.merge_cells(start_row=row, end_row=row + 1, start_column=1, end_column=1)
        sheet.cell(row, 2, 750 + number)
        sheet.cell(row, 3, 751.5 + number)
        sheet.cell(row, 4, 0.1 * number)
        sheet.cell(row, 5, "OK" if number % 3 else "NG")
        sheet.cell(row, 6, datetime(2026, 1, 1 + number, 9))  # noqa: DTZ001 - a workbook knows no zone
    sheet["A16"] = "합계"
    sheet["B16"] = "=SUM(B6:B15)"
    sheet["H4"], sheet["I4"] = "설비", "전력(kWh)"
    for number in range(5):
        sheet.cell(5 + number, 8, f"M{number}")
        sheet.cell(5 + number, 9, 100 + number)
    sheet["A20"], sheet["B20"] = "불량유형", "수량"
    for number in range(4):
        sheet.cell(21 + number, 1, f"F{number}")
        sheet.cell(21 + number, 2, number)
    sheet.column_dimensions["D"].hidden = True
    sheet.row_dimensions[8].hidden = True
    hidden = book.create_sheet("원가")
    hidden.sheet_state = "hidden"
    for cells in (["품번", "원가(원)"], ["A", 100], [None, None], ["B", 200]):
        hidden.append(cells)
    book.create_sheet("빈 시트")
    book.save(path)
    return path


def test_every_table_of_a_workbook_is_found_and_named(tmp_path: Path) -> None:
    found = _sources(_lab_workbook(tmp_path / "lab.xlsx"))
    assert list(found) == ["lab.xlsx#성적서!1", "lab.xlsx#성적서!2", "lab.xlsx#성적서!3", "lab.xlsx#원가"]
    assert {source.sha256 for source in found.values()} == {hashlib.sha256((tmp_path / "lab.xlsx").read_bytes()).hexdigest()}


def test_merged_header_cells_stand_over_every_column_and_row_labels_in_every_row(tmp_path: Path) -> None:
    found = _sources(_lab_workbook(tmp_path / "lab.xlsx"))
    table = open_cells(found["lab.xlsx#성적서!1"])
    rows = _rows(table)
    assert table.header_rows == 2
    assert rows[3] == ["LOT NO", "온도", "온도", "수분(%)", "판정", "일자"]
    assert rows[4] == ["LOT NO", "상부 [℃]", "하부 [℃]", "수분(%)", "판정", "일자"]
    assert [row[0] for row in rows[5:11]] == ["000", "000", "002", "002", "004", "004"]
    assert rows[5][5] == datetime(2026, 1, 1, 9)  # noqa: DTZ001
    assert rows[0] == ["2026년 1월 품질 성적서", None, None, None, None, None]


def test_what_a_sheet_hides_is_read_and_said(tmp_path: Path) -> None:
    found = _sources(_lab_workbook(tmp_path / "lab.xlsx"))
    lab, cost = open_cells(found["lab.xlsx#성적서!1"]), open_cells(found["lab.xlsx#원가"])
    assert {"hidden_column", "merged_header", "formula_cell"} <= set(_codes(lab))
    column = next(finding for finding in lab.findings if finding.code == "hidden_column" and finding.column)
    assert column.column == "수분(%)"
    rows = next(finding for finding in lab.findings if finding.facts.get("what") == "rows")
    assert rows.examples == (3,)
    formula = next(finding for finding in lab.findings if finding.code == "formula_cell")
    assert (formula.rows, formula.examples) == (1, (11,))
    assert _codes(cost) == ["hidden_sheet"]
    assert _rows(cost) == [["품번", "원가(원)"], ["A", 100], [None, None], ["B", 200]]


def test_a_row_label_is_not_carried_beyond_its_merged_range(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for cells in (["라인", "값", "비고"], ["A", 1, "x"], [None, 2, "y"], [None, 3, "z"]):
        sheet.append(cells)
    sheet.merge_cells("A2:A3")
    book.save(tmp_path / "book.xlsx")
    assert [row[0] for row in _rows(_only(tmp_path / "book.xlsx"))] == ["라인", "A", "A", None]


def test_codes_with_leading_zeros_errors_and_elapsed_times_keep_their_meaning(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["코드", "값", "가동"])
    sheet.append(["007", 1, 30 / 24])
    sheet.append(["010", 2.5, 0.5])
    sheet["B4"] = "#REF!"
    sheet["A4"] = "011"
    for row in (2, 3):
        sheet.cell(row, 3).number_format = "[h]:mm:ss"
    book.save(tmp_path / "book.xlsx")
    rows = _rows(_only(tmp_path / "book.xlsx"))
    assert [row[0] for row in rows] == ["코드", "007", "010", "011"]
    assert rows[1][1] == 1 and isinstance(rows[1][1], int)
    assert rows[3][1] == "#REF!"
    assert rows[1][2] == "30:00:00"


def test_dates_of_both_calendars_are_the_same_days(tmp_path: Path) -> None:
    for name, epoch in (("mac.xlsx", CALENDAR_MAC_1904), ("windows.xlsx", None)):
        book = openpyxl.Workbook()
        if epoch is not None:
            book.epoch = epoch
        book.active.append(["일자", "값"])
        book.active.append([datetime(2026, 3, 1, 6, 30), 1])  # noqa: DTZ001
        book.active.append([datetime(2026, 3, 2, 6, 30), 2])  # noqa: DTZ001
        book.save(tmp_path / name)
        assert _rows(_only(tmp_path / name))[1][0] == datetime(2026, 3, 1, 6, 30), name  # noqa: DTZ001


def test_a_blank_row_inside_a_table_does_not_cut_it(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for cells in (["시각", "온도", "압력"], [1, 20.5, 3], [2, 21.0, 3], [], [3, 21.5, 4], [4, 22.0, 4]):
        book.active.append(cells)
    book.save(tmp_path / "book.xlsx")
    assert list(_sources(tmp_path / "book.xlsx")) == ["book.xlsx#Sheet"]
    assert len(_rows(_only(tmp_path / "book.xlsx"))) == 6


def test_a_locked_workbook_says_that_it_is_locked(tmp_path: Path) -> None:
    # Office writes a locked workbook as an OLE container that names its encrypted package (MS-OFFCRYPTO 2.3).
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(2048)
    (tmp_path / "locked.xlsx").write_bytes(locked)
    with pytest.raises(InputError) as caught:
        list(find_tables([tmp_path / "locked.xlsx"]))
    assert caught.value.code == "password_protected"
    assert "암호" in caught.value.ko


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    openpyxl.Workbook().save(tmp_path / "empty.xlsx")
    with pytest.raises(InputError, match="No sheet"):
        list(find_tables([tmp_path / "empty.xlsx"]))


# ---- JSON


def test_named_measurements_become_columns_with_units(tmp_path: Path) -> None:
    path = tmp_path / "gateway.jsonl"
    lines = [
        {
            "device": {"id": "m1"},
            "time": "2026-01-01T00:00:00+09:00",
            "m": [{"n": "energy", "u": "MJ", "v": 1.5}, {"n": "pf", "u": "%", "v": 90}],
        },
        {
            "device": {"id": "m1"},
            "time": "2026-01-01T00:15:00+09:00",
            "m": [{"n": "pf", "u": "%", "v": None}, {"n": "energy", "u": "kWh", "v": 2}],
        },
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-16")
    table = _only(path)
    assert table.header == ("device.id", "time", "energy", "pf")
    assert table.units == (None, None, "MJ", "%")
    assert _rows(table) == [
        ["m1", "2026-01-01T00:00:00+09:00", 1.5, 90],
        ["m1", "2026-01-01T00:15:00+09:00", "2 kWh", None],
    ]
    assert _codes(table) == ["mixed_units"]


@pytest.mark.parametrize(
    ("text", "header", "rows"),
    [
        ('[{"a": 1, "b": {"c": 2}}, {"a": 3}]', ("a", "b.c"), [[1, 2], [3, None]]),
        ('{"meta": {"n": 2}, "data": [{"a": 1}, {"a": 2}, {"a": 3}]}', ("a",), [[1], [2], [3]]),
        ('{"time": [1, 2], "v": [3, 4]}', ("time", "v"), [[1, 3], [2, 4]]),
        ('{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}', ("a", "b"), [[1, 2], [3, 4]]),
        ('{"a": 1}\n{"a": 2, "b": [5, 6]}', ("a", "b.1", "b.2"), [[1, None, None], [2, 5, 6]]),
        ('[["t", "v"], [1, 2], [3, 4]]', None, [["t", "v"], [1, 2], [3, 4]]),
        ('{"a": NaN, "b": 1}\n{"a": 2, "b": 1}', ("a", "b"), [[None, 1], [2, 1]]),
    ],
)
def test_the_usual_forms_of_json_are_records(
    tmp_path: Path, text: str, header: tuple[str, ...] | None, rows: list[list[Cell]]
) -> None:
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    table = _only(path)
    assert table.header == header
    assert _rows(table) == rows


def test_a_broken_record_is_counted_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"a": 1}\n{"a":\n{"a": 3}\n', encoding="utf-8")
    rows = _rows(_only(path))
    assert [isinstance(row, UnreadRow) for row in rows] == [False, True, False]
    assert isinstance(rows[1], UnreadRow) and rows[1].text == '{"a":'


def test_an_array_that_was_cut_off_gives_the_records_before(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"a": number} for number in range(100)], indent=1)[:-30], encoding="utf-8")
    rows = _rows(_only(path))
    assert [row[0] for row in rows if not isinstance(row, UnreadRow)] == list(range(len(rows) - 1))
    assert isinstance(rows[-1], UnreadRow)


def test_a_long_array_on_one_line_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"row": number, "text": "가나다" * 10} for number in range(50_000)]), encoding="utf-8")
    table = _only(path)
    assert sum(row == [number, "가나다" * 10] for number, row in enumerate(table.rows())) == 50_000


# ---- Parquet and SQLite


def test_parquet_keeps_types_units_and_nested_fields(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("t", pa.timestamp("ms", "UTC")),
            pa.field("v", pa.float32(), metadata={"unit": "kWh"}),
            pa.field("where", pa.struct([("line", pa.string())])),
            pa.field("lot", pa.dictionary(pa.int8(), pa.string())),
        ]
    )
    when = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"t": when, "v": 1.5, "where": {"line": "A"}, "lot": "007"}, {"t": when, "v": None, "where": None, "lot": "008"}]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "data.parquet")
    table = _only(tmp_path / "data.parquet")
    assert table.header == ("t", "v", "where.line", "lot")
    assert table.units == (None, "kWh", None, None)
    assert _rows(table) == [[when, 1.5, "A", "007"], [when, None, None, "008"]]
    assert table.arrow is not None
    assert sum(batch.num_rows for batch in table.arrow()) == 2


def _database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE lots (lot TEXT, 수량 INTEGER, made BLOB)")
    connection.executemany("INSERT INTO lots VALUES (?, ?, ?)", [("007", 3, b"\x01"), ("008", None, None)])
    connection.execute("CREATE VIEW good AS SELECT lot FROM lots WHERE 수량 > 0")
    connection.execute("CREATE VIEW broken AS SELECT x FROM gone")
    connection.execute("CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n")
    connection.commit()
    return connection


def test_tables_and_views_of_a_database_are_read_and_the_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mes.db"
    _database(path).close()
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    found = _sources(path)
    assert list(found) == ["mes.db#good", "mes.db#lots"]
    table = open_cells(found["mes.db#lots"])
    assert table.header == ("lot", "수량", "made")
    assert _rows(table) == [["007", 3, "x'01'"], ["008", None, None]]
    assert before == (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))


def test_rows_that_stand_only_in_the_write_ahead_log_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mes.db"
    writer = _database(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("INSERT INTO lots VALUES ('009', 9, NULL)")
    writer.commit()
    log = (tmp_path / "mes.db-wal").read_bytes()
    assert log
    rows = _rows(open_cells(_sources(path)["mes.db#lots"]))
    assert [row[0] for row in rows] == ["007", "008", "009"]
    assert (tmp_path / "mes.db-wal").read_bytes() == log
    writer.close()


def test_a_database_with_an_open_transaction_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mes.db"
    _database(path).close()
    (tmp_path / "mes.db-journal").write_bytes(b"x" * 512)
    with pytest.raises(InputError) as caught:
        list(find_tables([path]))
    assert caught.value.code == "half_written"
    assert caught.value.retry


# ---- archives and folders


def test_an_archive_holds_tables_of_every_kind_with_the_hash_of_each_member(tmp_path: Path) -> None:
    lab = _lab_workbook(tmp_path / "lab.xlsx").read_bytes()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.csv", "a,b\n5,6\n")
    packed = gzip.compress(b"a,b\n1,2\n" * 100)
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("월간/자료.csv", "a,b\n3,4\n")
        archive.writestr("lab.xlsx", lab)
        archive.writestr("meter.csv.gz", packed)
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("__MACOSX/._자료.csv", "x")
        archive.writestr("readme.md", "x")
    found = _sources(path)
    assert list(found) == [
        "export.zip#inner.zip#deep.csv",
        "export.zip#lab.xlsx#성적서!1",
        "export.zip#lab.xlsx#성적서!2",
        "export.zip#lab.xlsx#성적서!3",
        "export.zip#lab.xlsx#원가",
        "export.zip#meter.csv.gz",
        "export.zip#월간/자료.csv",
    ]
    assert found["export.zip#lab.xlsx#원가"].sha256 == hashlib.sha256(lab).hexdigest()
    meter = found["export.zip#meter.csv.gz"]
    assert (meter.sha256, meter.size) == (hashlib.sha256(packed).hexdigest(), 800)
    with open_bytes(meter) as stream:
        assert stream.read(8) == b"a,b\n1,2\n"
        stream.seek(0)
        assert len(stream.read()) == 800
    with open_bytes(found["export.zip#inner.zip#deep.csv"]) as stream:
        assert stream.read() == b"a,b\n5,6\n"


def test_names_written_by_korean_windows_are_read_in_their_own_encoding(tmp_path: Path) -> None:
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xxxxxxxx.csv", "a,b\n1,2\n")
    # "측정자료" in CP949, without the flag that says UTF-8, as the tools of Korean Windows write it.
    path.write_bytes(path.read_bytes().replace(b"xxxxxxxx.csv", "측정자료".encode("cp949") + b".csv"))
    assert list(_sources(path)) == ["old.zip#측정자료.csv"]


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.csv", bytes(100 << 20))
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(100 << 20), 9))
    for name in ("bomb.zip", "bomb.csv.gz"):
        with pytest.raises(InputError) as caught:
            list(find_tables([tmp_path / name]))
        assert caught.value.code == "archive_too_large"


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.csv", b"a,b\n" + b"1,2\n" * 100_000)
    data = bytearray(path.read_bytes())
    # Uncompressed size in the central directory (APPNOTE 4.4.9) set to ten bytes.
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError):
        list(find_tables([path]))


def test_archives_too_deep_in_archives_are_not_opened(tmp_path: Path) -> None:
    data, name = b"a,b\n1,2\n", "data.csv"
    for depth in range(4):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, data)
        data, name = packed.getvalue(), f"level{depth}.zip"
    (tmp_path / "deep.zip").write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(find_tables([tmp_path / "deep.zip"]))
    assert caught.value.code == "archive_too_deep"


def test_a_locked_member_says_that_it_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
    data = bytearray(path.read_bytes())
    # Bit 0 of the general purpose flags (APPNOTE 4.4.4), in the local header and in the central directory.
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(find_tables([path]))
    assert caught.value.code == "password_protected"


def test_a_folder_is_walked_in_order_and_leaves_unfinished_files_alone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name in (
        "z.csv",
        "a.tsv",
        "b/c.csv",
        ".git/x.csv",
        "load.csv.part",
        "~$lab.xlsx",
        "movie.csv.crdownload",
        "picture.png",
    ):
        (tmp_path / name).write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    skipped: list[Skipped] = []
    found = [source.source for source in find_tables([tmp_path], skipped=skipped)]
    assert found == ["a.tsv", "b/c.csv", "z.csv"]
    assert {skip.source for skip in skipped} == {
        "load.csv.part",
        "~$lab.xlsx",
        "movie.csv.crdownload",
        "picture.png",
        "broken.xlsx",
    }
    assert all(skip.reason.ko and skip.reason.en for skip in skipped)
    assert [skip.source for skip in skipped if skip.error is not None] == ["broken.xlsx"]


def test_sentences_in_a_folder_are_passed_over_and_tables_without_an_ending_are_not(tmp_path: Path) -> None:
    sentence = "Permission is hereby granted, free of charge, to any person who obtains a copy"
    (tmp_path / "LICENSE").write_text("\n".join([sentence, f"{sentence}, and more", "", "THE END"] * 6), encoding="utf-8")
    (tmp_path / "matrix").write_text("\n".join(f"{n} {n / 7:.4f}  {n * 3}" for n in range(30)), encoding="utf-8")
    (tmp_path / "one.txt").write_text("\n".join(str(n) for n in range(30)), encoding="utf-8")
    (tmp_path / "pairs.txt").write_text("Gerät: Zähler\n\n" + "\n".join(f"A;{n}" for n in range(30)), encoding="utf-8")
    skipped: list[Skipped] = []
    assert [source.source for source in find_tables([tmp_path], skipped=skipped)] == ["matrix", "one.txt", "pairs.txt"]
    assert [skip.source for skip in skipped] == ["LICENSE"]
    assert list(_sources(tmp_path / "LICENSE")) == ["LICENSE"], "a file that is named is read"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes a file")
def test_a_file_that_a_program_is_still_writing_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "done.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    growing = tmp_path / "growing.csv"
    with growing.open("w", encoding="utf-8") as file:
        file.write("a,b\n1,")
        file.flush()
        with pytest.raises(InputError) as caught:
            list(find_tables([growing]))
        assert caught.value.code == "half_written" and caught.value.retry
        assert list(_sources(tmp_path)) == ["done.csv"]
    assert list(_sources(tmp_path)) == ["done.csv", "growing.csv"]


@pytest.mark.parametrize("make", ["missing", "empty folder", "picture", "part", "zip of nothing"])
def test_what_holds_no_table_is_refused_with_the_next_step(tmp_path: Path, make: str) -> None:
    path = tmp_path / "input"
    match make:
        case "empty folder":
            path.mkdir()
        case "picture":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        case "part":
            path = tmp_path / "load.csv.part"
            path.write_text("a,b\n1,2\n", encoding="utf-8")
        case "zip of nothing":
            with zipfile.ZipFile(path, "w"):
                pass
    with pytest.raises(InputError) as caught:
        list(find_tables([path]))
    assert caught.value.ko and caught.value.next_ko and caught.value.next_en


def test_a_member_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
    with pytest.raises(InputError, match=r"b\.csv"):
        open_container(path, "b.csv")


def test_the_gateway_file_of_the_sample_data_is_read_with_its_units(shared_data: Path) -> None:
    path = shared_data / "ingest_messy" / "gateway_utf16.jsonl"
    expected = json.loads((shared_data / "ingest_messy" / "expected.json").read_text(encoding="utf-8"))[path.name]
    table = _only(path)
    assert table.header is not None and table.units is not None
    place = table.header.index("energy")
    assert table.units[place] == "MJ"
    rows = _rows(table)
    assert len(rows) == expected["rows"]
    megajoules = [cell for row in rows if isinstance(cell := row[place], int | float)]
    assert sum(megajoules) / 3.6 == pytest.approx(expected["sum_energy_kWh"], abs=0.01)


def test_old_workbooks_are_read_with_merged_cells_and_hidden_sheets(tmp_path: Path) -> None:
    rows: Rows = [
        ["로트", "온도", None],
        [None, "상부", "하부"],
        ["007", 750.0, 751.5],
        ["008", 752.0, 753.0],
        ["009", 752.5, 751.0],
    ]
    merges = {"성적서": [(0, 1, 0, 2), (0, 0, 1, 0)]}
    data = old_workbook({"성적서": rows, "숨김": [["a", "b"], [1.0, 2.0], [3.0, 4.0]]}, merges, hidden="숨김")
    (tmp_path / "lab.xls").write_bytes(data)
    found = _sources(tmp_path / "lab.xls")
    assert [(source.source, source.format) for source in found.values()] == [("lab.xls#성적서", "xls"), ("lab.xls#숨김", "xls")]
    lab = open_cells(found["lab.xls#성적서"])
    assert lab.header_rows == 2
    assert _rows(lab)[:3] == [["로트", "온도", "온도"], ["로트", "상부", "하부"], ["007", 750, 751.5]]
    assert "hidden_sheet" in _codes(open_cells(found["lab.xls#숨김"]))
