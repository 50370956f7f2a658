"""What was spooled is in the lake exactly once: whatever stops, comes again, or is done by two at once."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from madang.library._commit import Faults
from madang.library._signals._intake import LiveIntake
from tests.library.live.plant import (
    T0,
    Clock,
    MemorySpool,
    Sample,
    exact,
    kept,
    lake_samples,
    log_actions,
    opened,
    signals_folder,
)


class Crash(BaseException):
    """The power went."""


class CrashAt(Faults):
    """Stops at the n-th step that is passed from now on."""

    def __init__(self) -> None:
        self.left: int | None = None

    def at(self, step: str) -> None:
        if self.left is not None and step.startswith("live:"):
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash(step)


VALUES = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 0.1, 20.5, 1e300, float("nan"), float("inf"), 2.0**53, None, "run", "가동", "9007199254740993"]
    ),
    st.integers(-(10**6), 10**6).map(lambda n: n / 100),
)
SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 5).map(lambda s: T0 + s * 1000),
        VALUES,
        st.sampled_from([0, 0x80310000]),
    ),
    min_size=1,
    max_size=8,
)


class Committing(RuleBasedStateMachine):
    """Two connections of one dataset, two intakes that take from both, re-sorting, and crashes at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.root = self.home / "w"
        self.clock = Clock()
        self.spools = {"one": MemorySpool("s1"), "two": MemorySpool("s2")}
        self.sent: Counter[tuple[object, ...]] = Counter()
        self.faults = [CrashAt(), CrashAt()]
        self.library = opened(self.root, self.clock)
        self.intakes: list[LiveIntake | None] = [None, None]

    def intake(self, which: int) -> LiveIntake:
        found = self.intakes[which]
        if found is None:
            library = opened(self.root, self.clock, faults=self.faults[which])
            found = self.intakes[which] = library.live(threads=1)
            for name, spool in self.spools.items():
                found.attach(name, spool, None, dataset="plant")
        return found

    @rule(name=st.sampled_from(["one", "two"]), samples=SAMPLES)
    def values_come(self, name: str, samples: list[Sample]) -> None:
        self.spools[name].put(samples)
        # A tag of another connection is another point, under a name with that connection's.
        self.sent.update(exact([(f"{name}:{tag}", *rest) for tag, *rest in samples]))  # type: ignore[misc]

    @rule(which=st.integers(0, 1), crash=st.none() | st.integers(0, 8))
    def one_intake_steps(self, which: int, crash: int | None) -> None:
        self.clock.go()
        intake = self.intake(which)
        self.faults[which].left = crash
        try:
            intake.step(self.clock.now, force=True)
        except Crash:
            self.intakes[which] = None
        self.faults[which].left = None

    @rule()
    def files_are_gathered(self) -> None:
        self.clock.go(timedelta(hours=1))
        self.library.resort()

    @precondition(lambda self: self.spools["one"].released > 0)
    @rule()
    def old_files_go(self) -> None:
        self.library.retain(keep=timedelta(0), dry_run=False)

    @invariant()
    def nothing_released_is_missing(self) -> None:
        if not (signals_folder(self.root) / "_delta_log").is_dir():
            return
        held = self.in_lake()
        for name, spool in self.spools.items():
            for frame in spool.frames[: spool.released]:
                assert frame.sequence <= spool.released
                batch = frame.content.batch  # type: ignore[union-attr]
                for row in batch.to_pylist():
                    value = row["number"] if row["text"] is None else row["text"]
                    time = round(row["time"].timestamp() * 1e6)
                    (key,) = exact([(f"{name}:{spool.tags.tag(row['tag']).name}", time, value, row["quality"])])
                    assert held[key] > 0

    def in_lake(self) -> Counter[tuple[object, ...]]:
        names = {p.id: f"{p.connection}:{p.tag}" for p in self.library.points("plant")}
        return exact(lake_samples(signals_folder(self.root), names))

    def teardown(self) -> None:
        try:
            for which in (0, 1):
                self.intake(which).step(self.clock.go(), force=True)
            if self.sent:
                assert self.in_lake() == self.sent
        finally:
            self.library.close()
            shutil.rmtree(self.home, ignore_errors=True)


Committing.TestCase.settings = settings(
    max_examples=8, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWhateverHappensEverySampleIsThereOnce = Committing.TestCase


@pytest.mark.parametrize("step", ["live:files", "live:locked", "live:committed", "live:checkpoint", "live:released"])
def test_a_crash_at_each_step_of_a_commit_loses_and_doubles_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.library._signals._log.CHECKPOINT_EVERY", 4)

    class At(Faults):
        armed = False

        def at(self, passed: str) -> None:
            if self.armed and passed == step:
                raise Crash(step)

    faults, spool, clock = At(), MemorySpool(), Clock()
    library = opened(tmp_path / "w", clock, faults=faults)
    intake = library.live(threads=1)
    intake.attach("plant", spool, None)
    sent: list[Sample] = []
    crashed = False
    for turn in range(9):
        samples: list[Sample] = [("a", T0 + turn * 1000, turn / 10, 0), ("a", T0 + turn * 1000, turn / 10, 0)]
        sent += samples
        spool.put(samples)
        faults.armed = not crashed and turn >= 2
        try:
            intake.step(clock.go(), force=True)
        except Crash:
            crashed = True
            library.close()
            library = opened(tmp_path / "w", clock, faults=faults)
            faults.armed = False
            intake = library.live(threads=1)
            intake.attach("plant", spool, None)
    assert crashed
    intake.step(clock.go(), force=True)
    assert kept(tmp_path / "w", library) == exact(sent)
    intake.close()
    library.close()


def test_two_samples_at_one_time_are_both_kept_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("a", T0, 2.0, 0), ("a", T0, 1.0, 0), ("a", T0, 2.0, 0)])
        intake.step(clock.go(), force=True)
        spool.put([("a", T0, 0.5, 0)])
        intake.step(clock.go(), force=True)
        library.resort(everything=True)
        found = library.range("plant", "a", None, None, reader="owner", purpose="test")
        assert found.value.tolist() == [2.0, 1.0, 2.0, 0.5]
        intake.close()


def test_a_clock_that_is_set_back_an_hour_does_not_hold_the_commits_up_for_an_hour(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        for turn, by in enumerate((0, 2, -3600, 2, 2)):
            spool.put([("a", T0 + turn, 1.0, 0)])
            intake.step(clock.go(timedelta(seconds=by)))
            assert spool.released == (turn + 1 if turn else 0), f"after {by} s"
        intake.close()


def test_every_commit_carries_the_mark_of_the_spools_it_took_from(tmp_path: Path) -> None:
    spool, clock = MemorySpool("abc"), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        for turn in range(3):
            spool.put([("a", T0 + turn, 1.0, 0)])
            spool.put([("a", T0 + turn, 2.0, 0)])
            intake.step(clock.go(), force=True)
        marks = [a["txn"] for a in log_actions(signals_folder(tmp_path / "w")) if "txn" in a]
        assert [(m["appId"], m["version"]) for m in marks] == [("madang:abc", 2), ("madang:abc", 4), ("madang:abc", 6)]
        intake.close()


def test_a_full_disk_stops_nothing_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        spool.put([("a", T0, 1.0, 0)])
        real = os.fsync

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            intake.step(clock.go(), force=True)
        monkeypatch.setattr(os, "fsync", real)
        assert spool.released == 0
        spool.put([("a", T0 + 1, 2.0, 0)])
        intake.step(clock.go(), force=True)
        assert kept(tmp_path / "w", library) == exact([("a", T0, 1.0, 0), ("a", T0 + 1, 2.0, 0)])
        intake.close()


def test_arrival_in_any_order_gives_the_same_samples(tmp_path: Path) -> None:
    order = [("a", T0 + n * 1000, n / 4, 0) for n in range(200)]
    mixed = list(order)
    random.Random(4).shuffle(mixed)
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        for at in range(0, 200, 20):
            spool.put(mixed[at : at + 20])
            intake.step(clock.go(), force=True)
        found = library.range("plant", "a", None, None, reader="owner", purpose="test")
        assert found.value.tolist() == [n / 4 for n in range(200)]
        intake.close()
