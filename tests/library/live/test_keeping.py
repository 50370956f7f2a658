"""Signals over the years: gathered without a reader noticing, kept for the promised days, thinned and archived by rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from madang.connect import BLOCK_SCHEMA, Block, Decoded, Message, Reject, Tag
from madang.errors import InputError
from madang.library import Library
from madang.library._signals._intake import LiveIntake
from madang.library._signals._layout import Footer
from madang.plant import Bilingual
from tests.library.live.plant import T0, Clock, MemorySpool, Sample, exact, kept, log_actions, opened, signals_folder

SECOND = 1_000_000


def _fed(library: Library, clock: Clock, commits: int, every: timedelta) -> tuple[MemorySpool, LiveIntake, list[Sample]]:
    spool = MemorySpool()
    intake = library.live(threads=1)
    intake._last_gather = clock.now + timedelta(days=10_000)  # gathered by hand in these tests
    intake.attach("plant", spool, None)
    sent: list[Sample] = []
    for turn in range(commits):
        samples: list[Sample] = [(tag, T0 + turn * SECOND, (turn + 1) / 4, 0) for tag in ("a", "b")] + [
            ("s", T0 + turn, "run", 0)
        ]
        sent += samples
        spool.put(samples)
        intake.step(clock.go(every), force=True)
    return spool, intake, sent


def _levels(root: Path) -> list[int]:
    paths = [Path(u.removeprefix("file://")) for u in DeltaTable(str(signals_folder(root))).file_uris()]
    return sorted(Footer.of(pq.read_metadata(p)).level for p in paths)


def test_sixteen_commits_an_hour_and_a_day_are_gathered_and_hold_the_same_samples(tmp_path: Path) -> None:
    clock, root = Clock(), tmp_path / "w"
    with opened(root, clock) as library:
        _, intake, sent = _fed(library, clock, 20, timedelta(seconds=1))
        library.resort()
        assert _levels(root) == [0] * 8 + [1] * 2
        clock.go(timedelta(hours=1))
        library.resort()
        assert _levels(root) == [2, 2]
        clock.go(timedelta(days=1))
        library.resort()
        assert _levels(root) == [3, 3]
        assert kept(root, library) == exact(sent)
        assert all(
            not a["add"]["dataChange"]
            for a in log_actions(signals_folder(root))
            if a.get("add", {}).get("path", "l0")[1] != "0"
        )
        intake.close()


def test_a_reader_that_holds_the_old_files_reads_on_while_they_are_gathered(tmp_path: Path) -> None:
    clock, root = Clock(), tmp_path / "w"
    with opened(root, clock) as library:
        _, intake, sent = _fed(library, clock, 17, timedelta(seconds=1))
        before = DeltaTable(str(signals_folder(root)))
        library.resort(everything=True)
        assert before.to_pyarrow_table().num_rows == len(sent)
        version = before.version()
        held = library.range(f"plant@{version}", "a", None, None, reader="owner", purpose="test")
        assert held.value.tolist() == [(n + 1) / 4 for n in range(17)]
        intake.close()


def test_what_a_kept_version_needs_stays_and_the_rest_goes(tmp_path: Path) -> None:
    clock, root = Clock(), tmp_path / "w"
    with opened(root, clock) as library:
        _, intake, sent = _fed(library, clock, 5, timedelta(minutes=1))
        old = DeltaTable(str(signals_folder(root))).version()
        library.resort(everything=True)
        on_disk = len(list(signals_folder(root).glob("*.parquet")))
        clock.go(timedelta(days=1))
        library.retain(keep=timedelta(days=2), dry_run=False)
        assert len(list(signals_folder(root).glob("*.parquet"))) == on_disk
        assert DeltaTable(str(signals_folder(root)), version=old).to_pyarrow_table().num_rows == len(sent)
        wanted = library.retain(keep=timedelta(hours=2), dry_run=True)
        assert len(list(signals_folder(root).glob("*.parquet"))) == on_disk
        assert wanted[0]["removed_files"] == 10  # type: ignore[index, call-overload]
        library.retain(keep=timedelta(hours=2), dry_run=False)
        assert len(list(signals_folder(root).glob("*.parquet"))) == 2
        assert kept(root, library) == exact(sent)
        spool = MemorySpool("s2")
        intake.attach("more", spool, None, dataset="plant")
        spool.put([("a", T0, 9.0, 0)])
        intake.step(clock.go(), force=True)
        assert sum(kept(root, library).values()) == len(sent) + 1
        intake.close()


def test_thinning_keeps_what_a_trend_shows_and_everything_that_is_not_good(tmp_path: Path) -> None:
    clock, root = Clock(), tmp_path / "w"
    with opened(root, clock) as library:
        spool = MemorySpool()
        intake = library.live(threads=1)
        intake.attach("plant", spool, None)
        values = [5.0, 9.0, 1.0, 4.0, 4.5, 6.0]
        spool.put(
            [("a", T0 + n * SECOND, v, 0x40000000 if n == 4 else 0) for n, v in enumerate(values)]
            + [("s", T0 + n * SECOND, v, 0) for n, v in enumerate(["run", "run", "stop", "run"])]
        )
        intake.step(clock.go(), force=True)
        clock.go(timedelta(days=100))
        said = library.retain(dry_run=True)
        assert said[0]["thinned_samples"] == 10  # type: ignore[index, call-overload]
        assert sum(kept(root, library).values()) == 10
        library.retain(dry_run=False)
        assert kept(root, library) == exact(
            [("a", T0 + n * SECOND, values[n], 0x40000000 if n == 4 else 0) for n in (0, 1, 2, 4, 5)]
            + [("s", T0, "run", 0), ("s", T0 + 2 * SECOND, "stop", 0), ("s", T0 + 3 * SECOND, "run", 0)]
        )
        again = library.retain(dry_run=False)
        assert again[0]["thinned_files"] == 0  # type: ignore[index, call-overload]
        clock.go(timedelta(days=1000))
        library.retain(dry_run=False)
        assert sum(kept(root, library).values()) == 0
        assert sum(pq.read_metadata(p).num_rows for p in (root / "lake" / "archive").rglob("*.parquet")) == 8
        intake.close()


def test_a_dataset_of_its_own_importance_is_kept_by_its_own_rules(tmp_path: Path) -> None:
    from madang.library._signals._retention import STANDARD, rules_for

    assert [r.after.days for r in rules_for("core", STANDARD)] == [1095]
    assert [r.then for r in rules_for(None, STANDARD)] == ["thinned", "archived"]


def test_a_forecast_needs_samples_and_uses_what_they_take(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "w", clock) as library:
        with pytest.raises(InputError, match="no signals yet"):
            library.forecast()
        _, intake, _ = _fed(library, clock, 3, timedelta(seconds=1))
        library.resort(everything=True)
        found = library.forecast(30.0)
        assert found["samples_per_second"] == pytest.approx(30e12 / 16 / (30 * 86_400), rel=1e-6)
        assert found["stored_tb_per_month"] == pytest.approx(30 / 16 * float(str(found["sorted_bytes_per_sample"])), rel=1e-3)
        intake.close()


class _Rule:
    """Messages of a number under a topic; `strict` understands no comma."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict

    def decode(self, messages: Sequence[Message], number_of: object) -> Decoded:
        blocks, rejects = [], []
        for message in messages:
            text = message.payload.decode()
            if text == "bomb":
                raise RuntimeError
            if self.strict and "," in text:
                rejects.append(
                    Reject(message.topic, message.payload, Bilingual("쉼표", "a comma"), "malformed", message.received)
                )
                continue
            assert callable(number_of)
            columns = [[number_of(Tag(message.topic))], [message.received], [float(text.replace(",", "."))], [None], [0]]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, BLOCK_SCHEMA, strict=True)]
            blocks.append(Block(pa.record_batch(arrays, schema=BLOCK_SCHEMA), message.received))
        return Decoded(blocks, rejects)


def test_what_was_not_understood_waits_and_is_taken_when_the_rule_is_mended(tmp_path: Path) -> None:
    clock, spool, root = Clock(), MemorySpool(), tmp_path / "w"
    with opened(root, clock) as library:
        intake = library.live(threads=1)
        intake.attach("plant", spool, _Rule(strict=True))
        spool.append([Message("t", b"1.5", T0), Message("t", b"2,5", T0 + 1), Message("t", b"3,5", T0 + 2)])
        spool.append([Message("t", b"bomb", T0 + 3), Message("t", b"4.5", T0 + 4)])
        report = intake.step(clock.go(), force=True).connections["plant"]
        assert (report.samples, report.rejects, spool.released) == (2, 3, 2)
        intake.close()
        intake = library.live(threads=1)
        intake.attach("plant", spool, _Rule(strict=False))
        done = intake.replay("plant", clock.go())
        assert (done.taken, done.left) == (2, 1)
        assert intake.replay("plant", clock.go()).taken == 0
        sent: list[Sample] = [("t", T0, 1.5, 0), ("t", T0 + 1, 2.5, 0), ("t", T0 + 2, 3.5, 0), ("t", T0 + 4, 4.5, 0)]
        assert kept(root, library) == exact(sent)
        left = DeltaTable(str(signals_folder(root).parent / "quarantine")).to_pyarrow_table()
        assert left["payload"].to_pylist() == [b"bomb"]
        intake.close()


def test_a_half_written_commit_of_a_power_loss_is_put_right_and_comes_again(tmp_path: Path) -> None:
    clock, root = Clock(), tmp_path / "w"
    with opened(root, clock) as library:
        spool, intake, sent = _fed(library, clock, 3, timedelta(seconds=1))
        intake.close()
        log = signals_folder(root) / "_delta_log"
        (log / f"{4:020d}.json").write_text('{"commitInfo":{"timest')
        (log / f"{0:020d}.checkpoint.parquet").write_bytes(b"")
        again = library.live(threads=1)
        again.attach("plant", spool, None)
        spool.put([("a", T0, 7.0, 0)])
        again.step(clock.go(), force=True)
        assert kept(root, library) == exact([*sent, ("a", T0, 7.0, 0)])
        assert json.loads((log / f"{4:020d}.json").read_text().splitlines()[0])["commitInfo"]["operation"] == "WRITE"
        again.close()
