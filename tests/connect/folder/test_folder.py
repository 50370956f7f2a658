"""Whole files are handed over once; half-written ones are left alone; nothing is skipped after a crash."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect import ConnectionSettings
from madang.connect.folder import make
from madang.errors import InputError, MadangError, UsageError
from tests.connect.sql.shelf import Hands, Shelf


class Crash(BaseException):
    """The process ends here."""


class Desk:
    """Takes files as the intake does: a content is kept once, a new content of a name supersedes the old one."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.kept: dict[str, str] = {}
        self.times_taken: Counter[str] = Counter()
        self.bad: set[str] = set()
        self.busy = False

    def __call__(self, paths: Sequence[Path]) -> None:
        self.calls.append([path.name for path in paths])
        if self.busy:
            raise MadangError("busy", ko="나중에", en="later", retry=True)
        for path in paths:
            if path.name in self.bad:
                raise InputError("unreadable_file", ko="못 읽어요", en="unreadable")
        for path in paths:
            content = path.read_text()
            self.times_taken[content] += 1
            self.kept[path.name] = content


def _watched(folder: Path, desk: Desk, hands: Hands, **options: str) -> Any:  # noqa: ANN401
    source = make(ConnectionSettings("lab", "folder", str(folder), {"settle": "10", **options}), clock=hands)
    source.on_files = desk
    return source


def _looks(source: Any, shelf: Shelf, hands: Hands, times: int = 2) -> None:  # noqa: ANN401
    for _ in range(times):
        source.round(shelf)
        hands.on(10)
    source.round(shelf)


def test_a_file_is_handed_over_once_it_stands_still_and_then_never_again(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    source = _watched(tmp_path, desk, hands)
    file = tmp_path / "분석 결과.csv"
    for part in ("a", "ab", "abc"):
        file.write_text(part)
        source.round(shelf)
        hands.on(9)
    source.round(shelf)
    assert desk.calls == []
    hands.on(2)
    source.round(shelf)
    _looks(source, shelf, hands)
    _looks(_watched(tmp_path, desk, hands), shelf, hands)
    assert desk.calls == [["분석 결과.csv"]]


def test_half_written_and_temporary_files_are_left_alone(tmp_path: Path) -> None:
    desk, hands = Desk(), Hands()
    for name in ("~$report.xlsx", ".hidden.csv", "a.csv.part", "b.tmp", "empty.csv"):
        (tmp_path / name).write_text("" if name == "empty.csv" else "x")
    _looks(_watched(tmp_path, desk, hands), Shelf(), hands, 5)
    assert desk.calls == []


def test_a_marker_says_that_a_file_is_whole_at_once(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    source = _watched(tmp_path, desk, hands, marker=".done")
    (tmp_path / "a.csv").write_text("1")
    _looks(source, shelf, hands, 4)
    assert desk.calls == []
    (tmp_path / "a.csv.done").write_text("")
    source.round(shelf)
    assert desk.calls == [["a.csv"]]


def test_a_name_exported_anew_supersedes_and_a_renamed_or_touched_file_is_not_read_twice(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    source = _watched(tmp_path, desk, hands)
    file = tmp_path / "day.csv"
    file.write_text("first")
    _looks(source, shelf, hands)
    file.write_text("second, corrected")
    _looks(source, shelf, hands)
    assert desk.kept == {"day.csv": "second, corrected"}
    os.utime(file, (1, 1))
    file.rename(tmp_path / "renamed.csv")
    (tmp_path / "copy.csv").write_text("second, corrected")
    _looks(source, shelf, hands)
    assert desk.times_taken == {"first": 1, "second, corrected": 1}
    # Going back to the first export is an export too.
    (tmp_path / "renamed.csv").write_text("other")
    file.write_text("first")
    _looks(source, shelf, hands)
    assert desk.kept["day.csv"] == "first"


def test_one_file_that_cannot_be_read_waits_in_quarantine_and_the_others_go_through(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    desk.bad.add("broken.xlsx")
    for name in ("a.csv", "broken.xlsx", "c.csv"):
        (tmp_path / name).write_text(name)
    source = _watched(tmp_path, desk, hands)
    _looks(source, shelf, hands, 4)
    assert desk.times_taken == {"a.csv": 1, "c.csv": 1}
    assert [(reject.topic, reject.code) for reject in shelf.rejects()] == [("broken.xlsx", "unreadable_file")]
    desk.bad.clear()
    (tmp_path / "broken.xlsx").write_text("repaired")
    _looks(source, shelf, hands)
    assert desk.times_taken["repaired"] == 1


def test_what_the_intake_puts_off_is_handed_over_later(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    desk.busy = True
    (tmp_path / "a.csv").write_text("1")
    source = _watched(tmp_path, desk, hands)
    _looks(source, shelf, hands)
    assert shelf.states[-1][0] == "degraded"
    desk.busy = False
    _looks(source, shelf, hands)
    assert desk.times_taken == {"1": 1}


def test_a_share_that_goes_away_is_a_gap_and_its_files_are_not_read_again(tmp_path: Path) -> None:
    desk, hands, shelf = Desk(), Hands(), Shelf()
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "a.csv").write_text("1")
    source = _watched(folder, desk, hands)
    _looks(source, shelf, hands)
    folder.rename(tmp_path / "away")
    _looks(source, shelf, hands)
    (tmp_path / "away").rename(folder)
    (folder / "b.csv").write_text("2")
    _looks(source, shelf, hands)
    assert desk.times_taken == {"1": 1, "2": 1}
    assert [(gap["cause"], gap["until"] is not None) for gap in shelf.gaps.values()] == [("disconnected", True)]


def test_the_test_says_where_it_fails(tmp_path: Path) -> None:
    steps = list(_watched(tmp_path / "none", Desk(), Hands()).test())
    assert [(step.name, step.state) for step in steps] == [("name", "failed")]
    (tmp_path / "a.csv").write_text("1")
    assert {step.state for step in _watched(tmp_path, Desk(), Hands()).test()} == {"ok", "skipped"}


def test_an_option_that_cannot_be_understood_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _watched(tmp_path, Desk(), Hands(), deep="perhaps")
    assert caught.value.where["option"] == "deep"


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("rename"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("look"), st.just(""), st.integers(0, 12)),
        st.tuples(st.just("crash"), st.just(""), st.integers(0, 9)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_happens_in_the_folder_and_to_us_each_content_that_lies_still_is_taken(
    actions: list[tuple[str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, desk, hands, shelf = Path(name), Desk(), Hands(), Shelf()
        source = _watched(folder, desk, hands)
        for number, (what, file, value) in enumerate(actions):
            path = folder / f"{file}.csv"
            if what == "write":
                path.write_text(f"{value}" * (value + 1))
                os.utime(path, ns=(number, number))
            elif what == "remove":
                path.unlink(missing_ok=True)
            elif what == "rename" and path.exists():
                path.replace(folder / "d.csv")
            elif what == "look":
                hands.on(value)
                source.round(shelf)
            elif what == "crash":
                before = len(shelf.log)
                hands.on(10)
                source.round(shelf)
                # Power was lost somewhere in this look; files that were taken stay taken.
                shelf.cut(before + min(value, len(shelf.log) - before))
                source = _watched(folder, desk, hands)
        _looks(source, shelf, hands)
        lying = {path.read_text() for path in folder.glob("*.csv")}
        assert lying <= set(desk.times_taken)
        calls = len(desk.calls)
        _looks(_watched(folder, desk, hands), shelf, hands)
        assert len(desk.calls) == calls
