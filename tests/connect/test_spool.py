"""What was acknowledged is there, in order, once, after whatever happened."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from madang.connect import BLOCK_SCHEMA, Block, Ledger, Message, Reject, Rows, Spool, SpoolLimits, Tag
from madang.errors import InputError, MadangError
from madang.plant import Bilingual
from tests.connect.spooling import SMALL, START_US, Clock, block, everything, messages, no_sync, open_spool, segments


def numbers(spool: Spool) -> list[list[object]]:
    return [f.content.batch.column("number").to_pylist() for f in everything(spool) if isinstance(f.content, Block)]


def test_everything_that_can_be_appended_comes_back_as_it_was(tmp_path: Path) -> None:
    odd = pa.record_batch(
        [
            pa.array([1, 1, 2, 2], pa.int32()),
            pa.array([-1, 0, START_US, 4_291_747_200_000_000], pa.timestamp("us", "UTC")),
            pa.array([float("nan"), float("-inf"), None, -0.0]),
            pa.array([None, None, "가동 중" * 1000, None]),
            pa.array([0, 0x80310000, 0x40900000, 0xFFFFFFFF], pa.uint32()),
        ],
        schema=BLOCK_SCHEMA,
    )
    late = Block(odd, START_US, server_time=START_US - 5, origin="backfill")
    raw = [
        Message("plant/a", b"\x00\xff", START_US),
        Message("공장/로/온도", b"x" * 1_000_000, START_US + 1, again=True, retained=False, packet=65_535),
        Message("", b"", -1, retained=True),
    ]
    lots = pa.record_batch({"로트": ["A-1"], "수량": pa.array([Decimal("0.10")], pa.decimal128(12, 2)), "비고": [None]})
    rows = Rows("mes.lots", ("로트",), lots, START_US, "snapshot")
    reject = Reject("plant/b", b"{not json", Bilingual("읽을 수 없어요.", "It cannot be read."), "malformed", START_US)
    with open_spool(tmp_path / "line") as spool:
        sequences = [spool.append_block(late), spool.append_messages(raw), spool.append_rows(rows), spool.append_reject(reject)]
        assert spool.wait(sequences[-1], 10)
        found = everything(spool)
    assert [f.sequence for f in found] == sequences == [1, 2, 3, 4]
    kept, messages_kept, rows_kept, reject_kept = (f.content for f in found)
    assert isinstance(kept, Block)
    assert kept.batch.drop_columns("number").equals(odd.drop_columns("number"))
    assert str(kept.batch.column("number").to_pylist()) == str(odd.column("number").to_pylist())
    assert (kept.received, kept.server_time, kept.origin) == (START_US, START_US - 5, "backfill")
    assert (messages_kept, rows_kept, reject_kept) == (raw, rows, reject)


def test_two_samples_of_one_tag_at_one_time_are_both_kept(tmp_path: Path) -> None:
    twice = pa.record_batch(
        [
            pa.array([1, 1], pa.int32()),
            pa.array([START_US] * 2, pa.timestamp("us", "UTC")),
            pa.array([20.5, 21.5]),
            pa.nulls(2, pa.string()),
            pa.array([0, 0], pa.uint32()),
        ],
        schema=BLOCK_SCHEMA,
    )
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(Block(twice, START_US)), 10)
        assert numbers(spool) == [[20.5, 21.5]]


def test_nothing_is_acknowledged_before_it_is_flushed(tmp_path: Path) -> None:
    may_flush, told = threading.Event(), threading.Event()

    def slow(handle: int) -> None:
        may_flush.wait(10)
        os.fsync(handle)

    spool = open_spool(tmp_path / "line", sync=slow)
    sequence = spool.append_block(block([1.0]), told.set)
    assert not spool.wait(sequence, 0.05)
    assert (told.is_set(), spool.durable, spool.read(0, 1000)) == (False, 0, [])
    may_flush.set()
    assert spool.wait(sequence, 10)
    assert told.wait(10)
    assert len(spool.read(0, 1000)) == 1
    spool.close()


def test_a_flush_that_fails_is_never_followed_by_an_acknowledgement_of_what_it_did_not_flush(tmp_path: Path) -> None:
    broken = threading.Event()
    failures = []

    def sync(handle: int) -> None:
        if broken.is_set():
            failures.append(handle)
            raise OSError(errno.EIO, "Input/output error")

    told: list[int] = []
    spool = open_spool(tmp_path / "line", sync=sync)
    assert spool.wait(spool.append_block(block([1.0]), lambda: told.append(1)), 10)
    broken.set()
    second = spool.append_block(block([2.0]), lambda: told.append(2))
    assert not spool.wait(second, 0.1)
    assert failures
    assert spool.trouble is not None
    assert (told, spool.durable, [f.sequence for f in everything(spool)]) == ([1], 1, [1])
    broken.clear()
    assert spool.wait(second, 10)
    spool.close()
    assert told == [1, 2]
    with open_spool(tmp_path / "line") as again:
        assert numbers(again) == [[1.0], [2.0]]
        assert again.ledger.gaps() == []


def test_after_a_failed_flush_the_same_file_is_not_trusted_again(tmp_path: Path) -> None:
    fail = threading.Event()

    def sync(_: int) -> None:
        if fail.is_set():
            fail.clear()
            raise OSError(errno.EIO, "Input/output error")

    with open_spool(tmp_path / "line", sync=sync) as spool:
        spool.wait(spool.append_block(block([1.0])), 10)
        first = segments(tmp_path / "line")
        fail.set()
        spool.wait(spool.append_block(block([2.0])), 10)
        assert set(segments(tmp_path / "line")) > set(first)
        assert numbers(spool) == [[1.0], [2.0]]


def test_a_tag_keeps_its_number_and_is_known_wherever_a_block_uses_it(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        first = spool.tags.number_of(Tag("ns=2;s=온도", Bilingual("온도", "Temperature"), unit="℃", facts={"a": "b"}))
        second = spool.tags.number_of(Tag("ns=2;s=압력"))
        spool.wait(spool.append_block(block([1.0], tag=first)), 10)
        changed = spool.tags.number_of(Tag("ns=2;s=온도", unit="K"))
        spool.wait(spool.append_block(block([2.0], tag=first)), 10)
    assert (first, second, changed) == (1, 2, 1)
    with open_spool(tmp_path / "line") as again:
        assert again.tags.tag(1).unit == "K"
        assert [(after, number, tag.unit) for after, number, tag in again.tags.changes(0)] == [
            (0, 1, "℃"),
            (0, 2, None),
            (1, 1, "K"),
        ]
        assert again.tags.changes(1)[0][2].unit == "K"
        assert again.tags.number_of(Tag("ns=2;s=유량")) == 3


def test_a_tag_book_with_a_flipped_bit_gives_no_wrong_name(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.tags.number_of(Tag("TI101"))
        spool.tags.number_of(Tag("TI102"))
        spool.wait(spool.append_block(block([1.0])), 10)
    book = tmp_path / "line" / "tags.jsonl"
    book.write_bytes(book.read_bytes().replace(b"TI101", b"TI109"))
    with open_spool(tmp_path / "line") as again:
        assert {n: t.name for n, t in again.tags.all().items()} == {2: "TI102"}
        assert again.tags.number_of(Tag("TI101")) == 3
        assert [g.cause for g in again.ledger.gaps()] == ["spool_damaged"]


def test_sequences_go_on_after_everything_was_released(tmp_path: Path) -> None:
    for _ in range(3):
        with open_spool(tmp_path / "line") as spool:
            before = spool.durable
            last = [spool.append_block(block([float(i)] * 100)) for i in range(20)][-1]
            assert last == before + 20
            spool.wait(last, 10)
            spool.release(last)
            spool.wait(spool.append_messages([]), 10)
            assert spool.read(last, 1000) == []
    with open_spool(tmp_path / "line") as spool:
        assert (spool.durable, spool.released, spool.depth().frames) == (60, 60, 0)
        assert len(segments(tmp_path / "line")) <= 2


def test_a_reader_that_holds_more_than_the_spool_makes_it_count_on_from_there(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(block([1.0])), 10)
        spool.number_after(41)
        assert spool.append_block(block([2.0])) == 42
        assert spool.wait(42, 10)
        assert [f.sequence for f in everything(spool)] == [1, 42]
    with open_spool(tmp_path / "line") as again:
        assert again.append_block(block([3.0])) == 43
        assert again.ledger.gaps() == []


def test_a_cursor_is_durable_with_what_was_put_before_it_and_stays_when_files_are_deleted(tmp_path: Path) -> None:
    told = threading.Event()
    with open_spool(tmp_path / "line") as spool:
        spool.append_block(block([1.0]))
        spool.save_cursor("lots", "가-17", told.set)
        assert told.wait(10)
        assert spool.durable == 1
        last = [spool.append_block(block([float(i)] * 100)) for i in range(20)][-1]
        spool.wait(last, 10)
        spool.release(last)
    with open_spool(tmp_path / "line") as again:
        assert (again.cursor("lots"), again.cursor("orders")) == ("가-17", None)
        assert len(segments(tmp_path / "line")) == 1


@pytest.mark.parametrize("cut", [1, 7, 39, 40, 41, 100])
def test_a_torn_tail_is_cut_to_the_last_whole_frame(tmp_path: Path, cut: int) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait([spool.append_block(block([float(i)])) for i in range(3)][-1], 10)
    newest = segments(tmp_path / "line")[-1]
    whole = newest.stat().st_size
    with newest.open("r+b") as stream:
        stream.truncate(whole - cut)
    with open_spool(tmp_path / "line") as again:
        assert numbers(again) == [[0.0], [1.0]]
        assert again.ledger.gaps() == []
        assert again.append_block(block([9.0])) == 3
    with open_spool(tmp_path / "line") as once_more:
        assert numbers(once_more) == [[0.0], [1.0], [9.0]]


def test_every_flipped_bit_costs_its_own_frame_alone_and_is_noted(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait([spool.append_block(block([float(i)] * 3, received=START_US + i)) for i in range(5)][-1], 10)
    newest = segments(tmp_path / "line")[-1]
    sound = newest.read_bytes()
    frame = (len(sound) - sound.index(b"MDF1", 8)) // 5
    third = len(sound) - 3 * frame
    for offset in [*range(third, third + 40), *range(third + 40, third + frame, 23)]:
        spoiled = bytearray(sound)
        spoiled[offset] ^= 0x10
        newest.write_bytes(spoiled)
        (tmp_path / "line" / "gaps.jsonl").write_bytes(b"")
        with open_spool(tmp_path / "line") as again:
            kept = [f.sequence for f in everything(again)]
            gaps = again.ledger.gaps()
        if kept == [1, 2, 3, 4, 5]:
            assert not sound[offset]  # zeros behind a payload carry nothing
            continue
        assert kept == [1, 2, 4, 5], offset
        assert [(g.cause, g.note.split(": ")[1]) for g in gaps] == [("spool_damaged", "frames 3-3")]
        assert gaps[0].samples in (3, None)
        assert (gaps[0].since.microsecond, gaps[0].until and gaps[0].until.microsecond) == (1, 3)


def test_damage_in_an_older_file_is_found_when_it_is_read_and_noted_once(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        last = 0
        for i in range(30):
            last = spool.append_block(block([float(i)] * 20))
            spool.wait(last, 10)
    files = segments(tmp_path / "line")
    assert len(files) > 3
    data = bytearray(files[1].read_bytes())
    data[len(data) // 2] ^= 1
    files[1].write_bytes(data)
    kept, gaps = [], []
    for _ in range(2):
        with open_spool(tmp_path / "line") as again:
            kept = [f.sequence for f in everything(again)]
            gaps = again.ledger.gaps()
    missing = set(range(1, last + 1)) - set(kept)
    assert len(missing) == 1
    assert [g.note.split(": ")[1] for g in gaps] == [f"frames {min(missing)}-{min(missing)}"]
    assert gaps[0].samples == 20


def test_a_file_that_someone_deleted_is_noted(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        for i in range(30):
            spool.wait(spool.append_block(block([float(i)] * 20)), 10)
    files = segments(tmp_path / "line")
    files[1].unlink()
    with open_spool(tmp_path / "line") as again:
        kept = [f.sequence for f in everything(again)]
        [gap] = again.ledger.gaps()
    missing = sorted(set(range(1, 31)) - set(kept))
    assert gap.note.endswith(f"frames {missing[0]}-{missing[-1]}")


def test_a_payload_that_holds_a_spool_is_not_taken_for_frames(tmp_path: Path) -> None:
    with open_spool(tmp_path / "other") as other:
        other.wait(other.append_block(block([666.0])), 10)
    smuggled = segments(tmp_path / "other")[0].read_bytes()
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_messages(messages(smuggled)), 10)
    newest = segments(tmp_path / "line")[-1]
    data = bytearray(newest.read_bytes())
    data[data.index(smuggled) - 20] ^= 1
    newest.write_bytes(data)
    with open_spool(tmp_path / "line") as again:
        assert everything(again) == []


def test_two_openings_of_one_spool_are_refused(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line"):
        with pytest.raises(InputError) as here:
            open_spool(tmp_path / "line")
        code = (
            "import sys; from pathlib import Path; from datetime import UTC, datetime; from madang.connect import Spool\n"
            "from madang.errors import InputError\n"
            "try: Spool.open(Path(sys.argv[1]), clock=lambda: datetime.now(UTC))\n"
            "except InputError as error: print(error.code, error.retry)"
        )
        there = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "line")], capture_output=True, text=True, check=True, timeout=60
        )
    assert here.value.code == "spool_busy"
    assert there.stdout.split() == ["spool_busy", "True"]
    with open_spool(tmp_path / "line"):
        pass


def test_an_identity_file_that_is_lost_is_made_anew_from_the_frames(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(block([1.0])), 10)
        known = spool.id
    (tmp_path / "line" / "spool.json").unlink()
    with open_spool(tmp_path / "line") as again:
        assert again.id == known
        assert numbers(again) == [[1.0]]


def test_messages_of_many_small_calls_are_told_one_by_one_and_keep_their_order(tmp_path: Path) -> None:
    told: list[int] = []
    with open_spool(tmp_path / "line", limits=SpoolLimits(floor=0)) as spool:
        for i in range(2000):
            spool.append_messages(messages(b"%d" % i), lambda i=i: told.append(i))  # type: ignore[misc]
        spool.wait(spool.append_messages(messages(b"end")), 10)
        kept = [m.payload for f in everything(spool) if isinstance(f.content, list) for m in f.content]
    assert told == list(range(2000))
    assert kept == [*(b"%d" % i for i in range(2000)), b"end"]


@pytest.mark.parametrize(
    "wrong",
    [Message("t", "text", 0), Message("t", b"", 2**63), Message("t", b"", 0, packet=70_000), Message("t", b"", None)],  # type: ignore[arg-type]
)
def test_a_message_that_does_not_fit_is_refused_at_once_and_the_rest_goes_on(tmp_path: Path, wrong: Message) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.append_messages(messages(b"before"))
        with pytest.raises((TypeError, ValueError)):
            spool.append_messages([*messages(b"beside"), wrong])
        spool.wait(spool.append_messages(messages(b"after")), 10)
        kept = [m.payload for f in everything(spool) if isinstance(f.content, list) for m in f.content]
    assert kept == [b"before", b"after"]


def test_a_source_that_fails_when_told_does_not_stop_the_spool(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("the peer is gone")

    with open_spool(tmp_path / "line") as spool:
        spool.append_block(block([1.0]), fails)
        assert spool.wait(spool.append_block(block([2.0])), 10)


def test_a_closed_spool_takes_nothing_and_says_so(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "line")
    spool.append_block(block([1.0]))
    spool.close()
    spool.close()
    with pytest.raises(MadangError) as refused:
        spool.append_block(block([2.0]))
    assert refused.value.code == "spool_closed"
    with open_spool(tmp_path / "line") as again:
        assert numbers(again) == [[1.0]]


def test_depth_counts_what_is_durable_and_not_released(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        for i in range(30):
            spool.wait(spool.append_block(block([float(i)] * 20, received=START_US + 1_000_000 * i)), 10)
        for upto in (0, 1, 7, 16, 29, 30):
            spool.release(upto)
            depth = spool.depth()
            assert (depth.frames, depth.samples) == (30 - upto, 20 * (30 - upto))
            assert depth.oldest is None if upto == 30 else depth.oldest is not None
            if depth.oldest is not None:
                assert depth.oldest.timestamp() * 1e6 == START_US + 1_000_000 * upto
        assert spool.depth().bytes_per_second > 0
        assert spool.depth().hours_to_full is not None


def test_the_newest_messages_stay_for_comparison_after_they_were_released(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=4096, keep_bytes=20_000, floor=0, window=0.0)
    with open_spool(tmp_path / "line", limits=limits) as spool:
        for i in range(200):
            spool.wait(spool.append_messages(messages(b"%06d" % i * 50)), 10)
        spool.release(200)
    assert 5 <= len(segments(tmp_path / "line")) <= 8
    with open_spool(tmp_path / "line", limits=limits) as spool:
        assert [m.payload[:6] for m in spool.tail(3)] == [b"000197", b"000198", b"000199"]
        assert 40 <= len(spool.tail(1000)) < 200


def test_what_a_crashed_writer_left_in_the_cache_is_flushed_before_it_is_offered(tmp_path: Path) -> None:
    with open_spool(tmp_path / "line") as spool:
        spool.wait(spool.append_block(block([1.0])), 10)
    flushed: list[int] = []
    newest = segments(tmp_path / "line")[-1].stat().st_ino
    with contextlib.closing(open_spool(tmp_path / "line", sync=lambda h: flushed.append(os.fstat(h).st_ino))):
        assert newest in flushed


def test_the_ledger_of_a_spool_can_be_read_by_others_while_it_is_held(tmp_path: Path) -> None:
    clock = Clock()
    with open_spool(tmp_path / "line", clock=clock, sync=no_sync, limits=SMALL) as spool:
        gap = spool.ledger.open("disconnected", clock())
        assert [g.id for g in Ledger.read(tmp_path / "line" / "gaps.jsonl", "line")] == [gap] == ["line-000001"]


def test_a_reader_of_large_blocks_reads_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage gigabytes wait; reading on must not begin at the start of the file each time."""
    with Spool.open(tmp_path, clock=Clock(), sync=no_sync) as spool:
        spool.wait(max(spool.append_block(block([float(i)] * 120_000)) for i in range(12)), 60)
        size = sum(p.stat().st_size for p in segments(tmp_path))
        got: list[int] = []
        read = os.pread

        def counted(handle: int, count: int, offset: int) -> bytes:
            found = read(handle, count, offset)
            got.append(len(found))
            return found

        monkeypatch.setattr(os, "pread", counted)
        after, frames = 0, 0
        while found := spool.read(after, 4 << 20):
            after, frames = found[-1].sequence, frames + len(found)
    assert frames == 12
    assert sum(got) < 1.5 * size
