"""Whatever happened to a file on its way: a clear refusal or a flagged reading, never a crash, never a lost record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.connect import Layout
from madang.errors import InputError
from tests.connect.reading import read, series

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_ROWS = [
    "\n".join(series(60)).encode(),
    "\r\n".join(f"2024년 03월 05일 오전 {m // 60:02d}:{m % 60:02d},\"{m},123\",정상" for m in range(90)).encode("cp949"),
    ("Ofen 2\n\nZeit;Größe;Druck\n;mm;bar\n" + "".join(f"05.03.2024 00:{m:02d};{m},5;1,{m:02d}\n" for m in range(60))).encode("latin-1"),
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


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "1", "1,2\n", "time,temp\n2024-03-05 10:00,1.5\n", "\ufeff", "\ufeffa\n1\n", "합계\n", "0,1,2,3\n"])
def test_files_of_no_and_of_one_record(tmp_path: Path, text: str) -> None:
    _read(tmp_path / "x.csv", text.encode())


def test_a_table_of_ten_thousand_columns(tmp_path: Path) -> None:
    lines = [",".join(f"c{place}" for place in range(10_000)), *(",".join([str(row)] * 10_000) for row in range(2))]
    (tmp_path / "wide.csv").write_text("\n".join(lines) + "\n")
    reading = read(tmp_path / "wide.csv")
    assert (reading.reader.tally.read, len(reading.layout.columns)) == (2, 10_000)
