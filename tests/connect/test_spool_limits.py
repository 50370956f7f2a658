"""A spool that gets full waits, drops or thins as its policy says; the ledger tells what that cost, and it goes on."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect import BLOCK_SCHEMA, Block, Gap, Spool, SpoolLimits
from madang.connect._limits import InflowRate
from madang.connect._thin import EVERY, Thinner
from madang.errors import InputError
from madang.plant import OVERFLOW_BITS
from tests.connect.spooling import START_US, block, everything, messages, open_spool, segments

LIMIT = SpoolLimits(bytes=200_000, floor=0, segment_bytes=16_384, keep_bytes=0, window=0.0, queue_bytes=10_000)


def fill(spool: Spool, count: int, *, begin: int = 0) -> int:
    """Append blocks of 100 samples, one received each second, and return the last sequence that became durable."""
    last = 0
    for i in range(begin, begin + count):
        last = spool.append_block(block([float(i)] * 100, received=START_US + 1_000_000 * i))
        assert spool.wait(last, 10)
    return last


def on_disk(folder: Path) -> int:
    return sum(p.stat().st_size for p in segments(folder))


def seconds(gap: Gap) -> tuple[float, float | None]:
    """Return the bounds of a gap in seconds after the first block."""
    start = START_US / 1e6
    return gap.since.timestamp() - start, None if gap.until is None else gap.until.timestamp() - start


def test_a_full_spool_that_blocks_takes_no_more_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line", limits=LIMIT) as spool:
        sent = 0
        stop = threading.Event()

        def source() -> None:
            nonlocal sent
            while not stop.is_set() and sent < 300:
                spool.append_block(block([float(sent)] * 100))
                sent += 1

        thread = threading.Thread(target=source)
        thread.start()
        while not spool.ledger.gaps():
            spool.wait(10**9, 0.01)
        [gap] = spool.ledger.gaps()
        assert (gap.cause, gap.until, gap.note, gap.samples) == ("disk_full", None, "spool limit", None)
        assert on_disk(tmp_path / "line") <= LIMIT.bytes
        assert spool.trouble is not None
        assert sent < 300
        read = 0
        while thread.is_alive() or spool.durable < 300:
            frames = spool.read(read, 50_000)
            assert [f.sequence for f in frames] == list(range(read + 1, read + 1 + len(frames)))
            read += len(frames)
            spool.release(read)
            spool.wait(read + 1, 0.01)
        thread.join()
        assert spool.trouble is None
        assert all(g.cause == "disk_full" and g.until is not None for g in spool.ledger.gaps())


def test_a_full_spool_that_drops_keeps_the_newest_and_notes_exactly_what_is_gone(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line", limits=replace(LIMIT, policy="drop_oldest")) as spool:
        last = fill(spool, 150)
        kept = [f.sequence for f in everything(spool)]
        [gap] = spool.ledger.gaps()
        depth = spool.depth()
        assert on_disk(tmp_path / "line") <= LIMIT.bytes
    assert kept == list(range(kept[0], last + 1))
    assert kept[0] > 1
    assert (gap.cause, gap.samples) == ("spool_dropped", 100 * (kept[0] - 1))
    assert seconds(gap) == (0.0, kept[0] - 1.0)
    assert (depth.frames, depth.samples) == (len(kept), 100 * len(kept))
    with open_spool(tmp_path / "line") as again:
        assert again.ledger.gaps() == [gap]
        assert [f.sequence for f in everything(again)] == kept


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "thin"])
def test_what_could_never_find_room_is_refused_and_stops_nothing_behind_it(tmp_path: Path, policy: str) -> None:
    limits = replace(LIMIT, policy=policy)  # type: ignore[arg-type]
    with open_spool(tmp_path / "line", limits=limits) as spool:
        fill(spool, 3)
        with pytest.raises(InputError) as error:
            spool.append_block(block([0.5] * 20_000))
        assert error.value.code == "frame_too_large"
        with pytest.raises(InputError):
            spool.append_messages(messages(b"x" * 150_000))
        fill(spool, 3, begin=3)
        assert spool.ledger.gaps() == []
        large = spool.append_messages(messages(b"x" * 99_000))  # the largest that is taken finds room
        spool.release(spool.durable)
        assert spool.wait(large, 10)


def test_what_was_released_is_deleted_first_and_is_no_loss(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line", limits=replace(LIMIT, policy="drop_oldest", keep_bytes=10**9)) as spool:
        for i in range(150):
            spool.release(fill(spool, 1, begin=i))
        assert on_disk(tmp_path / "line") <= LIMIT.bytes
        assert spool.ledger.gaps() == []


def test_samples_that_were_released_in_a_dropped_file_are_not_counted_as_lost(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line", limits=replace(LIMIT, policy="drop_oldest")) as spool:
        fill(spool, 3)
        spool.release(2)
        fill(spool, 150, begin=3)
        first = spool.read(0, 1)[0].sequence
        [gap] = spool.ledger.gaps()
    assert gap.samples == 100 * (first - 1 - 2)
    assert seconds(gap)[0] == 2.0


def test_the_disk_floor_is_kept_free(tmp_path: Path) -> None:
    left = 300_000

    def free(folder: Path) -> int:
        return left - on_disk(folder)

    limits = replace(LIMIT, bytes=10**9, segment_bytes=16_384, floor=200_000, policy="drop_oldest")
    with open_spool(tmp_path / "line", limits=limits, free=free) as spool:
        fill(spool, 100)
        assert free(tmp_path / "line") >= 200_000
        assert [g.cause for g in spool.ledger.gaps()] == ["spool_dropped"]


def test_a_disk_that_others_filled_stops_the_spool_without_dropping_one_file_after_another_in_vain(tmp_path: Path) -> None:
    room = 10**9
    with open_spool(tmp_path / "line", limits=replace(LIMIT, floor=1, policy="drop_oldest"), free=lambda _: room) as spool:
        last = fill(spool, 30)
        files = len(segments(tmp_path / "line"))
        room = 0
        waiting = spool.append_block(block([1.0]))
        while not spool.ledger.gaps():
            spool.wait(waiting, 0.01)
        spool.wait(waiting, 0.1)
        kept = [f.sequence for f in everything(spool)]
        assert kept == list(range(kept[0], last + 1))
        assert len(segments(tmp_path / "line")) >= files - 1
        assert [(g.cause, g.note) for g in spool.ledger.gaps() if g.cause == "disk_full"] == [("disk_full", "disk floor")]
        room = 10**9
        assert spool.wait(waiting, 10)


def test_a_write_that_finds_the_disk_full_is_taken_back_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    write = os.write

    def tight(handle: int, data: bytes) -> int:
        if full.is_set() and len(data) > 50:
            write(handle, data[:37])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr("madang.connect._store.os.write", tight)
    with open_spool(tmp_path / "line") as spool:
        fill(spool, 3)
        full.set()
        told = threading.Event()
        last = spool.append_block(block([7.0]), told.set)
        while spool.trouble is None:
            spool.wait(last, 0.01)
        assert not told.is_set()
        full.clear()
        assert spool.wait(last, 10)
        [gap] = spool.ledger.gaps()
        assert (gap.cause, gap.note) == ("disk_full", "disk full")
    with open_spool(tmp_path / "line") as again:
        assert [f.sequence for f in everything(again)] == [1, 2, 3, 4]
        assert [g.until is None for g in again.ledger.gaps()] == [False]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = hasattr(os, "geteuid") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("a small file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("policy", ["block", "drop_oldest"])
def test_a_real_full_disk_is_survived(tiny_disk: Path, policy: str) -> None:
    limits = replace(LIMIT, bytes=10**9, segment_bytes=65_536, policy=policy)  # type: ignore[arg-type]
    ballast = tiny_disk / "ballast"
    with open_spool(tiny_disk / "line", limits=limits) as spool:
        ballast.write_bytes(b"x" * 500_000)
        sequences: list[int] = []
        acknowledged = 0
        for i in range(800):
            sequences.append(spool.append_messages(messages(b"%04d" % i * 300)))
            if not spool.wait(sequences[-1], 0.3):
                break
            acknowledged = sequences[-1]
        if policy == "block":
            assert [g.cause for g in spool.ledger.gaps()] == ["disk_full"]
            ballast.unlink()
            assert spool.wait(sequences[-1], 10)
            assert [f.sequence for f in everything(spool)] == list(range(1, sequences[-1] + 1))
        else:
            assert acknowledged == sequences[-1]
            kept = [f.sequence for f in everything(spool)]
            lost = sum(g.samples or 0 for g in spool.ledger.gaps() if g.cause == "spool_dropped")
            assert kept == list(range(kept[0], sequences[-1] + 1))
            assert lost == kept[0] - 1 > 0


def test_a_limit_on_the_size_of_a_file_only_ends_the_file(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from dataclasses import replace\n"
        "from tests.connect.spooling import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "spool = open_spool(Path(sys.argv[1]), limits=replace(SMALL, segment_bytes=1 << 20))\n"
        "assert all(spool.wait(spool.append_block(block([float(i)] * 100)), 10) for i in range(40))\n"
        "assert [f.sequence for f in everything(spool)] == list(range(1, 41)); spool.close(); print('whole')"
    )
    assert resource.RLIMIT_FSIZE
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "line")], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "whole\n", ran.stderr
    assert len(segments(tmp_path / "line")) > 3


def test_a_spool_that_thins_keeps_extremes_marks_them_and_notes_how_many_are_gone(tmp_path: Path) -> None:
    limits = replace(LIMIT, policy="thin")
    rng = np.random.default_rng(3)
    sent: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    with open_spool(tmp_path / "line", limits=limits) as spool:
        for i in range(400):
            values = rng.normal(size=100)
            sent.append(values)
            at = START_US + i * 120_000_000
            spool.wait(spool.append_block(block(list(values), at=at, received=at)), 10)
            if on_disk(tmp_path / "line") > 0.95 * limits.bytes:
                break
    with open_spool(tmp_path / "line", limits=replace(limits, policy="block")) as again:
        frames = everything(again)
        [gap] = again.ledger.gaps()
    kept = 0
    thinned = 0
    for frame, values in zip(frames, sent, strict=True):
        assert isinstance(frame.content, Block)
        got = np.array(frame.content.batch.column("number").to_pylist())
        quality = np.array(frame.content.batch.column("quality").to_pylist())
        kept += len(got)
        assert set(got) <= set(values)
        assert {values.min(), values.max(), values[0]} <= set(got) if len(got) < 100 else (got == values).all()
        if len(got) < 100:
            thinned += 1
            assert (quality[1:] == OVERFLOW_BITS).any()
            assert set(quality) <= {0, OVERFLOW_BITS}
    assert thinned > 0
    assert (gap.cause, gap.samples) == ("spool_thinned", sum(map(len, sent)) - kept)
    assert gap.until is not None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(1, 3),
                st.integers(0, 4),
                st.sampled_from([1.0, 2.0, 2.5, -3.0, float("inf"), float("nan"), None]),
                st.sampled_from([0, 0, 0, 0x40900000, 0x80310000]),
            ),
            max_size=12,
        ),
        max_size=5,
    )
)
def test_thinning_leaves_out_only_good_numbers_between_the_extremes_of_their_minute(
    blocks: list[list[tuple[int, int, float | None, int]]],
) -> None:
    thinner = Thinner()
    lowest: dict[tuple[int, int], tuple[float, float]] = {}
    newest: dict[int, int] = {}
    missing: dict[int, bool] = {}
    for rows in blocks:
        rows = [(tag, max(minute, newest.get(tag, 0)), number, quality) for tag, minute, number, quality in rows]
        columns = [
            pa.array([r[0] for r in rows], pa.int32()),
            pa.array([r[1] * EVERY for r in rows], pa.timestamp("us", "UTC")),
            pa.array([r[2] for r in rows], pa.float64()),
            pa.nulls(len(rows), pa.string()),
            pa.array([r[3] for r in rows], pa.uint32()),
        ]
        kept, lost = thinner.thin(Block(pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA), 0))
        expected = []
        ordered = sorted(range(len(rows)), key=lambda i: (rows[i][0], rows[i][1], i))
        keep = {}
        for i in ordered:
            tag, minute, number, quality = rows[i]
            if number is None or number != number or quality:
                keep[i] = True
                continue
            known = lowest.get((tag, minute))
            keep[i] = known is None or number < known[0] or number > known[1]
            lowest[tag, minute] = (number, number) if known is None else (min(known[0], number), max(known[1], number))
            newest[tag] = max(newest.get(tag, 0), minute)
        for i, (tag, _, _number, quality) in enumerate(rows):
            if keep[i]:
                expected.append((i, quality | OVERFLOW_BITS if missing.get(tag) else quality))
            missing[tag] = not keep[i]
        assert lost == len(rows) - len(expected)
        assert kept.batch.column("quality").to_pylist() == [q for _, q in expected]
        assert str(kept.batch.column("number").to_pylist()) == str([rows[i][2] for i, _ in expected])


def test_hours_to_full_follow_from_what_came_in_and_what_is_left(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line", limits=replace(LIMIT, bytes=10_000_000)) as spool:
        assert spool.depth().hours_to_full is None
        fill(spool, 5)
        depth = spool.depth()
    written = on_disk(tmp_path / "line")
    assert depth.hours_to_full == pytest.approx((10_000_000 - written) / depth.bytes_per_second / 3600, rel=0.01)


def test_inflow_is_measured_over_the_last_minute() -> None:
    rate = InflowRate()
    for tenth in range(1200):
        rate.add(tenth / 10, 50)
    assert rate.per_second(120.0) == pytest.approx(500, rel=0.05)
    assert rate.per_second(150.0) == pytest.approx(250, rel=0.1)
    assert rate.per_second(300.0) == 0.0


def test_the_overflow_bits_leave_the_class_of_a_quality_as_it_was() -> None:
    assert pc.bit_wise_and(pa.scalar(OVERFLOW_BITS, pa.uint32()), pa.scalar(0xC0000000, pa.uint32())).as_py() == 0
