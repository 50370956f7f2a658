"""What was not got is a record that survives."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from madang.connect import Ledger
from tests.connect.spooling import START

HOUR = timedelta(hours=1)


def test_a_gap_is_a_record_with_cause_bounds_tags_and_what_came_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "gaps.jsonl", "소성로")
    gap = ledger.open("disconnected", START, tags=["압력", "온도"], note="connection reset")
    ledger.close(gap, START + HOUR, samples=60)
    ledger.fill(gap, 20, whole=False)
    ledger.fill(gap, 40, whole=True)
    [again] = Ledger(tmp_path / "gaps.jsonl", "소성로").gaps()
    assert (again.id, again.connection, again.cause, again.note) == (
        "소성로-000001",
        "소성로",
        "disconnected",
        "connection reset",
    )
    assert (again.since, again.until, again.tags) == (START, START + HOUR, ("압력", "온도"))
    assert (again.samples, again.backfilled, again.filled) == (60, "yes", 60)
    assert Ledger.read(tmp_path / "gaps.jsonl", "소성로") == [again]


def test_the_same_open_cause_and_tags_is_noted_once_from_its_earliest_instant(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "gaps.jsonl", "line")
    first = ledger.open("disconnected", START + HOUR)
    assert ledger.open("disconnected", START + 2 * HOUR) == first
    assert ledger.open("disconnected", START) == first
    assert ledger.open("disconnected", START, tags=["a"]) != first
    assert ledger.open("bad_tag", START) != first
    assert ledger.get(first).since == START
    ledger.close(first, START + HOUR)
    assert ledger.open("disconnected", START + 3 * HOUR) != first
    assert [g.id for g in ledger.gaps()] == [f"line-{n:06d}" for n in (1, 2, 3, 4)]


def test_a_gap_that_is_closed_keeps_its_end_and_ends_not_before_it_began(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "gaps.jsonl", "line")
    gap = ledger.open("clock_jump", START)
    ledger.close(gap, START - HOUR)
    ledger.close(gap, START + HOUR)
    assert ledger.get(gap).until == START


def test_history_that_the_peer_does_not_keep_is_told_as_impossible(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "gaps.jsonl", "line")
    gap = ledger.open("disconnected", START)
    assert ledger.get(gap).backfilled == "no"
    ledger.fill(gap, 0, whole=None)
    assert ledger.get(gap).backfilled == "impossible"


@pytest.mark.parametrize("cut", range(2, 60, 7))
def test_a_line_torn_by_a_crash_costs_only_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "gaps.jsonl"
    ledger = Ledger(path, "line")
    ledger.open("disconnected", START)
    ledger.open("disk_full", START)
    os.truncate(path, path.stat().st_size - cut)
    again = Ledger(path, "line")
    assert [g.cause for g in again.gaps()] == ["disconnected"]
    again.open("paused", START)
    assert [g.cause for g in Ledger(path, "line").gaps()] == ["disconnected", "paused"]


def test_lines_that_could_not_be_written_are_written_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    ledger = Ledger(folder / "gaps.jsonl", "line")
    gap = ledger.open("disk_full", START)
    ledger.close(gap, START + HOUR)
    assert not ledger.flush()
    assert ledger.gaps()[0].until == START + HOUR
    folder.mkdir()
    assert ledger.flush()
    assert Ledger.read(folder / "gaps.jsonl", "line") == ledger.gaps()


def test_an_unknown_line_of_a_later_version_does_not_hide_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "gaps.jsonl"
    ledger = Ledger(path, "line")
    ledger.open("disconnected", START)
    with path.open("a") as stream:
        stream.write('{"kind": "note", "text": "새 형식"}\n[1]\n')
    assert [g.cause for g in Ledger(path, "line").gaps()] == ["disconnected"]


def test_a_gap_whose_line_cannot_be_read_any_more_does_not_give_its_number_to_another(tmp_path: Path) -> None:
    path = tmp_path / "gaps.jsonl"
    ledger = Ledger(path, "line")
    for hour in range(3):
        ledger.note("disconnected", START + hour * HOUR, START + hour * HOUR, key=str(hour))
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if b"line-000002" not in line))
    again = Ledger(path, "line")
    kept = again.get("line-000003")
    assert again.open("bad_tag", START + 9 * HOUR) == "line-000004"
    assert again.get("line-000003") == kept
