"""The table of last values: whole, as old as it is, and the same for every process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madang.library._signals._last import UNKNOWN, LastRow, LastValues

HOUR = 3_600_000_000


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LastValues]:
    with LastValues.open(tmp_path / "last" / "d.bin", writable=True) as made:
        yield made


def put(table: LastValues, point: int, time: int, number: float, *, received: int = 10 * HOUR, text: str | None = None) -> int:
    texts = None if text is None else [text]
    return table.put(np.array([point]), np.array([time]), received, np.array([number]), np.array([0]), texts)


def test_a_late_sample_changes_nothing_and_one_of_the_same_time_does(table: LastValues) -> None:
    assert put(table, 7, 100, 1.0) == 1
    assert put(table, 7, 50, 2.0) == 0
    assert table.get([7])[0].number == 1.0
    assert put(table, 7, 100, 3.0) == 1
    assert table.get([7])[0] == LastRow(7, 100, 10 * HOUR, 3.0, None, 0)


def test_of_a_batch_the_newest_counts_whatever_its_order(table: LastValues) -> None:
    point, time = np.array([1, 2, 1, 1, 2]), np.array([5, 9, 8, 8, 3])
    table.put(point, time, 10 * HOUR, np.arange(5.0), np.arange(5))
    assert [(r.point, r.time, r.number, r.quality) for r in table.get()] == [(1, 8, 3.0, 3), (2, 9, 1.0, 1)]


def test_a_time_far_ahead_of_its_reception_gives_way_to_the_next_sample(table: LastValues) -> None:
    put(table, 1, 4_294_967_296_000_000, 9.0, received=HOUR)
    assert table.get([1])[0].time == 4_294_967_296_000_000
    assert put(table, 1, 2 * HOUR, 1.0, received=2 * HOUR) == 1
    assert table.get([1])[0].number == 1.0


def test_times_before_1970_and_an_unknown_reception_are_kept(table: LastValues) -> None:
    table.put_rows([LastRow(3, -5, UNKNOWN, 1.5, None, 0x80000000)])
    assert table.get([3]) == [LastRow(3, -5, UNKNOWN, 1.5, None, 0x80000000)]
    assert put(table, 3, -4, 2.0) == 1


def test_a_sample_without_a_value_replaces_the_one_before(table: LastValues) -> None:
    put(table, 1, 1, 5.0)
    put(table, 1, 2, float("nan"))
    assert table.get([1])[0] == LastRow(1, 2, 10 * HOUR, None, None, 0)


def test_long_texts_are_cut_between_letters_and_say_so(table: LastValues) -> None:
    put(table, 1, 1, float("nan"), text="소성 " * 3)
    put(table, 2, 1, float("nan"), text="a" + "가" * 100)
    short, long = table.get([1, 2])
    assert (short.text, short.cut) == ("소성 " * 3, False)
    assert long.cut and long.text is not None and long.text == "a" + "가" * (len(long.text) - 1)


def test_the_table_grows_under_its_readers(table: LastValues, tmp_path: Path) -> None:
    with LastValues.open(tmp_path / "last" / "d.bin") as reader:
        for point in (1, 5_000, 70_000):
            put(table, point, point, float(point))
        assert [r.number for r in reader.get([70_000, 1, 5_000])] == [70_000.0, 1.0, 5_000.0]
        assert [r.point for r in reader.get()] == [1, 5_000, 70_000]
        assert reader.get([9_999_999, -1]) == []


def test_a_reader_never_sees_half_a_record(table: LastValues, tmp_path: Path) -> None:
    stop = threading.Event()
    points = np.arange(1, 65)

    def write() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            table.put(points, np.full(64, count), count, np.full(64, float(count)), np.full(64, count))

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    try:
        with LastValues.open(tmp_path / "last" / "d.bin") as reader:
            for _ in range(300):
                for row in reader.get(points):
                    assert row.time == row.received == row.quality == row.number
                    seen += 1
    finally:
        stop.set()
        thread.join()
    assert seen > 0


def test_a_record_that_its_writer_left_torn_is_not_shown_and_is_taken_from_the_lake_again(tmp_path: Path) -> None:
    path = tmp_path / "d.bin"
    with LastValues.open(path, writable=True) as table:
        put(table, 1, 1, 5.0)
        put(table, 2, 1, 6.0)
    raw = bytearray(path.read_bytes())
    raw[2 * 256 + 16] ^= 0xFF
    path.write_bytes(raw)
    with LastValues.open(path) as reader:
        assert [r.point for r in reader.get()] == [2]
        assert reader.torn() == 1
    with LastValues.open(path, writable=True, rebuild=lambda: [LastRow(1, 1, UNKNOWN, 5.0, None, 0)]) as table:
        assert [(r.point, r.number) for r in table.get()] == [(1, 5.0), (2, 6.0)]


def test_a_table_made_anew_is_taken_up_by_an_open_reader(tmp_path: Path) -> None:
    path = tmp_path / "d.bin"
    with LastValues.open(path, writable=True) as table:
        put(table, 1, 1, 5.0)
    with LastValues.open(path) as reader:
        path.unlink()
        assert reader.get([1])[0].number == 5.0
        with LastValues.open(path, writable=True, rebuild=lambda: [LastRow(1, 2, UNKNOWN, 7.0, None, 0)]):
            assert reader.get([1])[0].number == 7.0


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is a POSIX one")
def test_a_second_writer_is_refused_and_another_process_reads(table: LastValues, tmp_path: Path) -> None:
    put(table, 1, 1, 5.0)
    with pytest.raises(BlockingIOError):
        LastValues.open(tmp_path / "last" / "d.bin", writable=True)
    code = (
        "import sys, pathlib; from madang.library._signals._last import LastValues;"
        "print(LastValues.open(pathlib.Path(sys.argv[1])).get([1])[0].number)"
    )
    path = str(tmp_path / "last" / "d.bin")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5.0"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.bin").write_bytes(b"x" * 1024)
    with pytest.raises(ValueError, match="not a table"):
        LastValues.open(tmp_path / "d.bin")
