"""Damaged containers: truncated at any byte, with flipped bits, or random. Always a clear error or cells, nothing else."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from madang.connect import open_table
from madang.connect._discover import find_tables, open_bytes
from madang.connect._openers import open_cells
from madang.errors import InputError

ROWS = 200


def _xlsx(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["시각", "온도(℃)", "판정"])
    for number in range(ROWS):
        book.active.append([datetime(2026, 1, 1 + number % 28), 20 + number / 7, "OK"])  # noqa: DTZ001
    book.active.merge_cells("A4:A5")
    book.save(path)


def _sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE lots (lot TEXT, qty REAL, remark TEXT)")
        connection.executemany(
            "INSERT INTO lots VALUES (?, ?, ?)", [(f"L{n}", n / 3, "정상" * (n % 40)) for n in range(ROWS * 5)]
        )
        connection.commit()


def _parquet(path: Path) -> None:
    pq.write_table(
        pa.table({"t": range(ROWS), "v": [n / 3 for n in range(ROWS)], "lot": [f"L{n % 9}" for n in range(ROWS)]}), path
    )


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", "b.jsonl", "c.csv.gz"):
            text = "\n".join(json.dumps({"a": n, "b": n / 7}) for n in range(ROWS)).encode()
            archive.writestr(name, gzip.compress(text) if name.endswith("gz") else text)


def _gzip(path: Path) -> None:
    path.write_bytes(gzip.compress("\n".join(f"{n},{n / 7}" for n in range(ROWS * 20)).encode()))


def _jsonl(path: Path) -> None:
    path.write_text(
        "\n".join(json.dumps({"a": n, "m": [{"n": "x", "v": n, "u": "kW"}]}) for n in range(ROWS)), encoding="utf-16"
    )


def _json(path: Path) -> None:
    path.write_text(json.dumps({"data": [{"a": n, "b": {"c": "가"}} for n in range(ROWS)]}), encoding="utf-8")


MAKERS: dict[str, Callable[[Path], None]] = {
    "book.xlsx": _xlsx, "mes.db": _sqlite, "data.parquet": _parquet, "export.zip": _zip, "meter.csv.gz": _gzip,
    "gateway.jsonl": _jsonl, "data.json": _json,
}  # fmt: skip


def _read_everything(path: Path) -> int:
    """Return how many rows a file gave, 0 when it was refused as input; any other error goes on."""
    count = 0
    try:
        for source in find_tables([path]):
            if source.format == "csv":
                with open_bytes(source) as stream:
                    count += len(stream.read())
                continue
            table = open_cells(source)
            count += sum(1 for _ in table.rows())
            if table.arrow is not None:
                count += sum(batch.num_rows for batch in table.arrow())
    except InputError as error:
        assert error.ko and error.en and error.next_ko and error.next_en
        return 0
    return count


@pytest.mark.parametrize("name", MAKERS)
def test_a_whole_file_is_read(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / name)
    assert _read_everything(tmp_path / name) >= ROWS


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_cut_off_anywhere_is_refused_or_gives_what_was_there(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    whole = _read_everything(tmp_path / name)
    random_ = random.Random(20_260_101)
    for length in [0, 1, 2, 3, 4, 16, 100, *(random_.randrange(len(data)) for _ in range(40))]:
        cut = tmp_path / f"cut_{name}"
        cut.write_bytes(data[:length])
        assert _read_everything(cut) <= whole, length


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_with_flipped_bits_is_refused_or_read(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    random_ = random.Random(7)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(random_.choice((1, 1, 3, 20))):
            damaged[random_.randrange(len(damaged))] ^= 1 << random_.randrange(8)
        path = tmp_path / f"flipped_{name}"
        path.write_bytes(damaged)
        _read_everything(path)


def test_random_bytes_behind_every_signature_are_refused(tmp_path: Path) -> None:
    random_ = random.Random(3)
    signatures = [
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x1f\x8b\x08",
        b"SQLite format 3\x00",
        b"PAR1",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"[{",
        b'{"a"',
    ]
    for signature in signatures:
        for length in (0, 50, 5000):
            path = tmp_path / "input"
            path.write_bytes(signature + random_.randbytes(length))
            _read_everything(path)


def test_a_hundred_thousand_columns_are_read_from_every_container(tmp_path: Path) -> None:
    record = {f"c{number}": number for number in range(100_000)}
    (tmp_path / "wide.jsonl").write_text("\n".join([json.dumps(record)] * 2), encoding="utf-8")
    (source,) = find_tables([tmp_path / "wide.jsonl"])
    table = open_cells(source)
    assert table.header is not None and len(table.header) == 100_000
    assert [len(row) for row in table.rows()] == [100_000, 100_000]


def test_records_whose_values_stand_as_names_are_refused(tmp_path: Path) -> None:
    lines = [json.dumps({f"{number}_{place}": 1 for place in range(300)}) for number in range(1000)]
    (tmp_path / "names.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (source,) = find_tables([tmp_path / "names.jsonl"])
    with pytest.raises(InputError, match="names"):
        open_cells(source)


def test_records_nested_without_end_are_refused_or_kept_as_text(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text('[{"a": ' + "[" * 50_000 + "]" * 50_000 + "}]", encoding="utf-8")
    _read_everything(tmp_path / "deep.json")
    (tmp_path / "deep.jsonl").write_text('{"a":' * 5000 + "1" + "}" * 5000 + '\n{"a": 1}', encoding="utf-8")
    _read_everything(tmp_path / "deep.jsonl")


def test_a_parquet_file_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    (source,) = find_tables([tmp_path / "empty.parquet"])
    table = open_cells(source)
    assert table.header == ("a",)
    assert list(table.rows()) == []


def test_whole_numbers_beyond_what_a_float_holds_pass_through_the_whole_reader(tmp_path: Path) -> None:
    numbers = [2**62 + 7 * place for place in range(ROWS)]
    pq.write_table(pa.table({"id": numbers, "v": [place / 3 for place in range(ROWS)]}), tmp_path / "ids.parquet")
    (source,) = find_tables([tmp_path / "ids.parquet"])
    reader = open_table(source)
    read = [value for chunk in reader.chunks() for value in chunk.rows.column("id").to_pylist()]
    assert [int(value) for value in read] == numbers
