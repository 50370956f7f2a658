"""Whatever happened to a file on its way: a clear refusal or a flagged reading, never a crash, never a lost record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.connect import Layout
from madang.errors import InputError
from tests.connect.reading import read, read_text, series

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_ROWS = [
    "\n".join(series(60)).encode(),
    "\r\n".join(f'2024년 03월 05일 오전 {m // 60:02d}:{m % 60:02d},"{m},123",정상' for m in range(90)).encode("cp949"),
    ("Ofen 2\n\nZeit;Größe;Druck\n;mm;bar\n" + "".join(f"05.03.2024 00:{m:02d};{m},5;1,{m:02d}\n" for m in range(60))).encode(
        "latin-1"
    ),
    ("tag\ttime\tvalue\tquality\n" + "".join(f"A\t{1_709_596_800_000 + m}\t{m}.5\t192\n" for m in range(80))).encode("utf-16"),
    ("".join(" ".join(f"{(m * 7 + c) % 13 + c * 100}.5" for c in range(9)) + "\n" for m in range(40))).encode(),
    ("".join(f"2024-03-05T00:00:{m:02d}Z|X|{m}|Y|{m}\n2024-03-05T00:00:{m:02d}Z|X|1\n" for m in range(50))).encode(),
]


def _read(path: Path, data: bytes, template: Layout | None = None) -> None:
    path.write_bytes(data)
    try:
        read(path, template=template)
    except InputError as error:
        assert error.ko and error.en and error.code


@SETTINGS
@given(which=st.integers(0, len(_ROWS) - 1), share=st.floats(0, 1))
def test_a_file_cut_at_any_byte(tmp_path: Path, which: int, share: float) -> None:
    data = _ROWS[which]
    _read(tmp_path / "x.csv", data[: int(share * len(data))])


@SETTINGS
@given(which=st.integers(0, len(_ROWS) - 1), seed=st.integers(0, 10**6), flips=st.integers(1, 40))
def test_a_file_with_flipped_bits(tmp_path: Path, which: int, seed: int, flips: int) -> None:
    rng = random.Random(seed)
    data = bytearray(_ROWS[which])
    for _ in range(flips):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    _read(tmp_path / "x.csv", bytes(data))


@SETTINGS
@given(data=st.binary(max_size=600))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    _read(tmp_path / "x.csv", data)


@SETTINGS
@given(text=st.text(alphabet='0123456789.,;:-+/ \t\n\r"|#<>=eENaN가각힣é\u00a0합계', max_size=400))
def test_any_text_of_the_signs_that_tables_are_made_of(tmp_path: Path, text: str) -> None:
    _read(tmp_path / "x.csv", text.encode())


@SETTINGS
@given(which=st.integers(0, len(_ROWS) - 1), seed=st.integers(0, 10**6))
def test_a_damaged_file_under_the_template_of_its_kind(tmp_path: Path, which: int, seed: int) -> None:
    (tmp_path / "good.csv").write_bytes(_ROWS[which])
    layout = read(tmp_path / "good.csv").layout
    rng = random.Random(seed)
    data = bytearray(_ROWS[which][: rng.randrange(1, len(_ROWS[which]))])
    for _ in range(rng.randrange(6)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    _read(tmp_path / "x.csv", bytes(data), layout)


@pytest.mark.parametrize(
    "text", ["a,b\n", "a,b", "1", "1,2\n", "time,temp\n2024-03-05 10:00,1.5\n", "\ufeff", "\ufeffa\n1\n", "합계\n", "0,1,2,3\n"]
)
def test_files_of_no_and_of_one_record(tmp_path: Path, text: str) -> None:
    _read(tmp_path / "x.csv", text.encode())


def test_a_table_of_ten_thousand_columns(tmp_path: Path) -> None:
    lines = [",".join(f"c{place}" for place in range(10_000)), *(",".join([str(row)] * 10_000) for row in range(2))]
    (tmp_path / "wide.csv").write_text("\n".join(lines) + "\n")
    reading = read(tmp_path / "wide.csv")
    assert (reading.reader.tally.read, len(reading.layout.columns)) == (2, 10_000)


def _machine(count: int) -> list[str]:
    """Return an export whose columns differ in decimals, with a mode in words at the end."""
    lines = ["time,temp,pressure,flow,mode"]
    for index in range(count):
        value = 20 + (index * 37 % 101) / 10
        lines.append(
            f"2024-03-01 {index // 60:02d}:{index % 60:02d}:00,{value:.1f},{value / 7:.3f},{value * 3:.2f},{'RUN' if index % 9 else 'IDLE'}"
        )
    return lines


def test_a_record_shifted_so_that_its_last_cell_fell_off_is_set_apart(tmp_path: Path) -> None:
    lines = _machine(200)
    for place in (50, 120):
        time, *cells = lines[place].split(",")
        lines[place] = ",".join([time, "", *cells[:-1]])
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert [(entry["row"], entry["reason"]) for entry in reading.quarantine] == [(50, "shifted"), (120, "shifted")]
    assert reading.finding("shifted_columns").rows == 2


def test_a_shifted_record_of_numbers_alone_is_known_by_its_decimals(tmp_path: Path) -> None:
    lines = [line.rpartition(",")[0] for line in _machine(200)]
    time, *cells = lines[70].split(",")
    lines[70] = ",".join([time, "", *cells[:-1]])
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert [(entry["row"], entry["reason"]) for entry in reading.quarantine] == [(70, "shifted")]


def test_an_empty_cell_or_two_is_no_shift(tmp_path: Path) -> None:
    lines = _machine(200)
    for place, gone in ((40, (1,)), (60, (1, 3)), (80, (2, 4))):
        cells = lines[place].split(",")
        lines[place] = ",".join("" if at in gone else cell for at, cell in enumerate(cells))
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert not reading.quarantine and reading.reader.tally.kept == 200


@pytest.mark.parametrize("letters", [1, 2, 4, 5, 7, 12])
def test_a_file_cut_inside_its_last_record_says_so(tmp_path: Path, letters: int) -> None:
    text = "\n".join(_machine(200))
    whole = read_text(tmp_path, text)
    assert "truncated" not in whole.codes and whole.reader.tally.kept == 200
    cut = read_text(tmp_path, text[:-letters])
    assert cut.finding("truncated").rows == 1
    assert cut.quarantine[0]["row"] == 200


def test_a_number_cut_short_at_the_end_of_a_file_is_no_value(tmp_path: Path) -> None:
    text = "\n".join(line.rpartition(",")[0] for line in _machine(200))
    assert "truncated" not in read_text(tmp_path, text).codes
    cut = read_text(tmp_path, text[:-1])
    assert cut.finding("truncated").rows == 1 and cut.reader.tally.kept == 199
    assert "truncated" not in read_text(tmp_path, text[:-1] + "\n").codes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_all_header_rows_that_stand_again_inside_a_file_are_no_records(tmp_path: Path, encoding: str) -> None:
    lines = ["공정,노,노", *series(60, "일시,온도,상태")]
    lines.insert(2, ",°C,")
    lines[40:40] = [*lines[:3], "", ",,"]
    reading = read_text(tmp_path, "\n".join(lines) + "\n", encoding)
    assert reading.reader.tally.read == 60 == reading.reader.tally.kept


def test_names_are_told_apart_without_regard_to_case(tmp_path: Path) -> None:
    reading = read_text(tmp_path, "\n".join(series(30, "Time,time,TEMP")) + "\n")
    assert len({name.casefold() for name in reading.rows.column_names}) == 4


def test_a_table_on_its_side_under_epoch_seconds_with_a_row_of_words_is_turned(tmp_path: Path) -> None:
    rows = [["ts"], ["temp"], ["flow"], ["mode"]]
    for index in range(120):
        for row, cell in zip(rows, (1_740_755_400 + 600 * index, 20 + index % 7 / 4, 400 + index % 11, "AUTO"), strict=True):
            row.append(str(cell))
    reading = read_text(tmp_path, "".join(",".join(row) + "\n" for row in rows))
    assert reading.layout.layout == "transposed" and reading.reader.tally.kept == 120
    assert reading.layout.time_column == "ts"


def test_a_header_of_wide_letters_as_long_as_the_records_does_not_hide_the_blanks(tmp_path: Path) -> None:
    lines = ["수집시각  가열로_온도  배기가스_산소농도  소비전력  챔버_습도"]
    lines += [
        f"{1_726_758_900 + 900 * n}  {400 + n % 37}.{n % 10}  3.{10 + n % 80}  {280 + n % 23}.5  44.{n % 9}" for n in range(120)
    ]
    assert {len(line) for line in lines} == {36}
    reading = read_text(tmp_path, "\n".join(lines) + "\n")
    assert (reading.layout.format, reading.layout.time_column) == ("whitespace", "수집시각")
    assert reading.column("챔버_습도")[:2] == [44.0, 44.1]


def test_a_table_of_a_hundred_thousand_columns_is_refused_clearly(tmp_path: Path) -> None:
    row = ",".join(f"{n % 97}.5" for n in range(100_000))
    text = ",".join(f"c_{n}" for n in range(100_000)) + "\n" + (row + "\n") * 3
    with pytest.raises(InputError) as refused:
        read_text(tmp_path, text)
    assert refused.value.code == "too_many_columns"
