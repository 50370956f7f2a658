"""Tags become points with a meaning; a change of unit or of steps makes a new version and never changes what was written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from madang.connect import Tag
from madang.errors import InputError
from madang.library._state import State
from tests.library.live.plant import BEGIN, T0, Clock, MemorySpool, Sample, exact, kept, opened

SECOND = 1_000_000


def _versions(root: Path) -> list[tuple[object, ...]]:
    state = State(root)
    with state.reading() as db:
        asked = sa.text("SELECT point, valid_from, scale, divisor, unit FROM point_versions ORDER BY point, number")
        found = [tuple(row) for row in db.execute(asked)]
    state.close()
    return found


def test_a_tag_is_proposed_a_meaning_from_its_name_unit_and_values(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("kiln.zone3_temp", T0 + n, 700.0 + n / 10, 0) for n in range(80)], units={"kiln.zone3_temp": "℃"})
        spool.put([("상태", T0 + n, "가동", 0) for n in range(80)])
        intake.step(clock.go(), force=True)
        cards = {p.point: p for p in library.points("plant")}
        temperature = cards["kiln.zone3_temp"]
        assert (str(temperature.kind), temperature.unit, temperature.unit_source) == ("temperature", "Cel", "℃")
        assert str(cards["상태"].kind) == "state"
        intake.close()


def test_what_a_person_says_about_a_point_holds_and_waits_no_more(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("x17", T0 + n, 20.0 + n, 0) for n in range(80)])
        intake.step(clock.go(), force=True)
        assert [w["name"] for w in library.map_review("plant")] == ["x17"]
        library.accept("plant", "x17", kind="temperature", unit="Cel", role="actual")
        (point,) = library.points("plant")
        assert (str(point.kind), point.unit, point.status) == ("temperature", "Cel", "accepted")
        assert library.map_review("plant") == []
        library.reject("plant", "x17")
        assert library.points("plant")[0].status == "ask"
        intake.close()


def test_a_unit_that_changes_at_the_source_holds_from_the_next_frame_on(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    root = tmp_path / "w"
    with opened(root, clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("p", T0 + n * SECOND, 1.5 + n, 0) for n in range(5)], units={"p": "bar"})
        spool.put([("p", T0 + n * SECOND, 150.5 + n, 0) for n in range(5, 10)], units={"p": "kPa"})
        intake.step(clock.go(), force=True)
        assert [(v[1], v[4]) for v in _versions(root)] == [(None, "bar"), (T0 + 5 * SECOND, "kPa")]
        sent: list[Sample] = [("p", T0 + n * SECOND, (1.5 if n < 5 else 150.5) + n, 0) for n in range(10)]
        assert kept(root, library) == exact(sent)
        intake.close()


def test_finer_decimals_are_exact_at_once_and_get_a_version_of_their_own(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    root = tmp_path / "w"
    sent: list[Sample] = []
    with opened(root, clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        rng = np.random.default_rng(3)
        for turn, digits in enumerate([1, 1, 3, 3, 3]):
            values = np.round(rng.normal(20, 1, 100), digits).tolist()
            samples: list[Sample] = [("p", T0 + (turn * 100 + n) * SECOND, v, 0) for n, v in enumerate(values)]
            sent += samples
            spool.put(samples)
            intake.step(clock.go(), force=True)
            assert kept(root, library) == exact(sent)
        versions = _versions(root)
        assert [v[3] for v in versions] == [10.0, 1000.0]
        assert versions[1][1] == T0 + 299 * SECOND + 1
        library.resort(everything=True)
        assert kept(root, library) == exact(sent)
        intake.close()


def test_the_same_tag_of_two_connections_is_two_points(tmp_path: Path) -> None:
    spools, clock = [MemorySpool("s1"), MemorySpool("s2")], Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        for number, spool in enumerate(spools):
            intake.attach(f"c{number}", spool, None, dataset="plant")
            spool.put([("temp", T0, float(number), 0)])
        intake.step(clock.go(), force=True)
        assert sorted(p.point for p in library.points("plant")) == ["c1/temp", "temp"]
        intake.close()


def test_what_a_source_says_anew_about_a_tag_is_kept(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("p", T0, 1.0, 0)])
        intake.step(clock.go(), force=True)
        spool.tags.number_of(Tag("p", low=0.0, high=25.0))
        spool.put([("p", T0 + 1, 1.0, 0)], units=None)
        intake.step(clock.go(), force=True)
        assert len(library.points("plant")) == 1
        intake.close()


def test_backfilled_samples_that_are_kept_are_not_kept_twice_and_are_counted(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    root = tmp_path / "w"
    live: list[Sample] = [*(("a", T0 + n * SECOND, n / 2, 0) for n in (0, 1, 2, 7, 8)), ("a", T0, 0.0, 0)]
    history: list[Sample] = [*(("a", T0 + n * SECOND, n / 2, 0) for n in range(10)), ("a", T0 + SECOND, 0.5, 0x40000000)]
    text: list[Sample] = [("s", T0, "run", 0), ("s", T0, None, 0)]
    with opened(root, clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([*live, *text])
        intake.step(clock.go(), force=True)
        spool.put([*history, *text], origin="backfill")
        spool.put(history[3:6], origin="backfill")
        report = intake.step(clock.go(), force=True).connections["plant"]
        assert (report.samples, report.duplicates_dropped) == (6, 5 + 2 + 3)
        assert kept(root, library) == exact([*live, *text, *(h for h in history if h not in live)])
        intake.close()


def test_three_equal_samples_in_the_history_and_two_in_the_lake_make_one_new(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("a", T0, 1.0, 0)] * 2)
        intake.step(clock.go(timedelta(seconds=5)), force=True)
        spool.put([("a", T0, 1.0, 0)] * 3, origin="backfill")
        report = intake.step(clock.go(), force=True).connections["plant"]
        assert (report.samples, report.duplicates_dropped) == (1, 2)
        intake.close()


def test_a_name_that_files_have_stops_no_connection_and_files_cannot_enter_live_data(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    (tmp_path / "lab.csv").write_text("time,value\n2026-05-04 06:00,1.5\n2026-05-04 07:00,2.5\n", encoding="utf-8")
    with opened(tmp_path / "w", clock) as library:
        library.intake([tmp_path / "lab.csv"], dataset="plant")
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("a", T0, 1.0, 0)])
        assert intake.step(clock.go(), force=True).connections["plant"].samples == 1
        assert sorted(str(d["dataset"]) for d in library.list()["datasets"]) == ["plant", "plant.live"]  # type: ignore[index, union-attr, call-overload]
        with pytest.raises(InputError, match="filled by a live connection"):
            library.intake([tmp_path / "lab.csv"], dataset="plant.live")
        intake.close()


def test_cards_count_what_a_commit_added_and_follow_what_people_say(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("x", T0, 20.0, 0), ("y", T0, 1.0, 0)])
        intake.step(clock.go(), force=True)
        before = library.points("plant")
        library.accept("plant", "x", kind="temperature", unit="Cel")
        spool.put([("x", T0 + SECOND, 21.0, 0), ("z", T0, 1.0, 0)])
        intake.step(clock.go(), force=True)
        library.points("plant").clear()  # what is handed out is the caller's own
        after = {p.point: p for p in library.points("plant")}
        assert [(p.point, p.samples, p.unit) for p in before] == [("x", 1, None), ("y", 1, None)]
        assert [(p.samples, p.unit) for p in after.values()] == [(2, "Cel"), (1, None), (1, None)]
        assert after["x"].last == BEGIN + timedelta(seconds=1)
        assert list(after) == ["x", "y", "z"]
        intake.close()
