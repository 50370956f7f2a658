"""Rules that a workspace has of its own, the way back from the archive, and what a crash in between leaves."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from madang.errors import InputError
from madang.library._commit import Faults
from madang.library._signals._retention import STANDARD
from madang.library._signals._rules import rules_of
from tests.library.live.plant import T0, Clock, MemorySpool, Sample, exact, kept, opened

SECOND = 1_000_000
RULES = """
[[rule]]
after_days = 10
then = "thinned"
every_seconds = 3600
[[rule]]
after_days = 100
then = "archived"
"""


class Crash(Faults):
    """Stops at the first time of one step."""

    def __init__(self, step: str) -> None:
        self.step: str | None = step

    def at(self, step: str) -> None:
        if step == self.step:
            self.step = None
            raise KeyboardInterrupt(step)


def _fed(root: Path, clock: Clock) -> list[Sample]:
    sent: list[Sample] = []
    with opened(root, clock) as library:
        intake, spool = library.live(threads=1), MemorySpool()
        intake.attach("plant", spool, None)
        for turn in range(3):
            at = T0 + turn * 60 * SECOND
            samples: list[Sample] = [("a", at + n * SECOND, (turn * 20 + n) / 4, 0) for n in range(20)]
            samples += [("b", at + n * SECOND, 1 / (turn * 20 + n + 3), 0) for n in range(20)]
            samples += [("s", at, "run", 0), ("a", at + 21 * SECOND, None, 0x80310000)]
            sent += samples
            spool.put(samples)
            intake.step(clock.go(timedelta(seconds=60)), force=True)
        intake.close()
    return sent


def test_a_workspace_without_rules_of_its_own_has_the_standard_ones(tmp_path: Path) -> None:
    assert rules_of(tmp_path) == STANDARD
    (tmp_path / "retention.toml").write_text("", encoding="utf-8")
    assert rules_of(tmp_path) == ()


@pytest.mark.parametrize(
    "text",
    [
        "[[rule]",
        "rules = 1",
        "rule = 3",
        '[[rule]]\nthen = "thinned"',
        '[[rule]]\nafter_days = true\nthen = "thinned"',
        '[[rule]]\nafter_days = 3\nthen = "deleted"',
        '[[rule]]\nafter_days = 3\nthen = "thinned"\nevery_seconds = 0',
        '[[rule]]\nafter_days = 3\nthen = "thinned"\nafter = 5',
    ],
)
def test_what_is_no_rule_is_refused_and_nothing_is_thinned(tmp_path: Path, text: str) -> None:
    root, clock = tmp_path / "w", Clock()
    sent = _fed(root, clock)
    (root / "retention.toml").write_text(text, encoding="utf-8")
    clock.go(timedelta(days=5000))
    with opened(root, clock) as library:
        with pytest.raises(InputError) as error:
            library.retain(dry_run=False)
        assert error.value.code == "bad_retention_rules"
        assert kept(root, library) == exact(sent)


def test_the_rules_of_a_workspace_are_the_ones_that_are_applied(tmp_path: Path) -> None:
    root, clock = tmp_path / "w", Clock()
    sent = _fed(root, clock)
    (root / "retention.toml").write_text(RULES, encoding="utf-8")
    clock.go(timedelta(days=9))
    with opened(root, clock) as library:
        library.retain(dry_run=False)
        assert kept(root, library) == exact(sent)
        clock.go(timedelta(days=2))
        library.retain(dry_run=False)
        # Of an hour: first and lowest, highest and last, the three that are not good; of b the two ends; of the text its one change.
        assert sum(kept(root, library).values()) == 2 + 3 + 2 + 1


def test_what_the_archive_holds_comes_back_with_the_same_samples(tmp_path: Path) -> None:
    root, clock = tmp_path / "w", Clock()
    sent = _fed(root, clock)
    (root / "retention.toml").write_text('[[rule]]\nafter_days = 1\nthen = "archived"', encoding="utf-8")
    clock.go(timedelta(days=5))
    with opened(root, clock) as library:
        before = library.range("plant", "a", None, None, reader="owner", purpose="test")
        for _ in range(2):  # there and back twice
            library.retain(dry_run=False)
            assert kept(root, library) == Counter()
            said = library.restore("plant", dry_run=True)
            assert (said["samples"], sum(kept(root, library).values())) == (len(sent), 0)
            assert library.restore("plant")["samples"] == len(sent)
            assert kept(root, library) == exact(sent)
            assert not [*(root / "lake" / "archive").rglob("*.parquet")]
            assert library.restore("plant")["files"] == 0
        after = library.range("plant", "a", None, None, reader="owner", purpose="test")
        assert (after.time.tolist(), after.quality.tolist()) == (before.time.tolist(), before.quality.tolist())


def test_only_what_reaches_into_the_asked_time_comes_back(tmp_path: Path) -> None:
    root, clock = tmp_path / "w", Clock()
    begin = clock.now
    _fed(root, clock)
    (root / "retention.toml").write_text('[[rule]]\nafter_days = 1\nthen = "archived"', encoding="utf-8")
    clock.go(timedelta(days=5))
    with opened(root, clock) as library:
        library.retain(dry_run=False)
        library.restore("plant", begin + timedelta(seconds=60), begin + timedelta(seconds=120))
        times = {time for _, time, *_ in kept(root, library)}
        assert (min(times), max(times)) == (T0 + 60 * SECOND, T0 + 81 * SECOND)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "step", ["archive:copied", "archive:durable", "archive:committed", "restore:copied", "restore:committed"]
)
def test_a_crash_on_the_way_to_the_archive_or_back_neither_loses_nor_doubles(tmp_path: Path, step: str) -> None:
    root, clock = tmp_path / "w", Clock()
    sent = _fed(root, clock)
    (root / "retention.toml").write_text('[[rule]]\nafter_days = 1\nthen = "archived"', encoding="utf-8")
    clock.go(timedelta(days=5))
    with opened(root, clock, Crash(step)) as library, pytest.raises(KeyboardInterrupt):
        library.retain(dry_run=False)
        library.restore("plant")
    with opened(root, clock) as library:
        library.resort(everything=True)  # what came back may be in another file by now
        if step.startswith("archive"):
            library.retain(dry_run=False)
            archived = sum(pq.read_metadata(p).num_rows for p in (root / "lake" / "archive").rglob("*.parquet"))
            assert kept(root, library) == Counter()
            assert archived == len(sent) * (1 if step == "archive:committed" or step == "archive:copied" else 2)
        library.restore("plant")
        assert kept(root, library) == exact(sent)


@pytest.mark.parametrize("step", ["thin:files", "thin:committed"])
def test_a_crash_while_thinning_leaves_all_samples_or_the_thinned_ones(tmp_path: Path, step: str) -> None:
    root, clock = tmp_path / "w", Clock()
    sent = _fed(root, clock)
    (root / "retention.toml").write_text(RULES, encoding="utf-8")
    clock.go(timedelta(days=11))
    with opened(root, clock, Crash(step)) as library, pytest.raises(KeyboardInterrupt):
        library.retain(dry_run=False)
    with opened(root, clock) as library:
        assert sum(kept(root, library).values()) == (len(sent) if step == "thin:files" else 8)
        library.retain(dry_run=False)
        assert sum(kept(root, library).values()) == 8
