"""A recording behaves as a plant does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from madang.connect import Collector, ConnectionSettings, Source, make_source
from madang.connect.replay._source import ReplaySource
from madang.errors import InputError
from madang.plant import BAD_NODE_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN, Interval
from madang.testing import RecordingSink, SourceContract, SourcePeer
from tests.connect.spooling import everything, open_spool

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def write(path: Path, rows: list[tuple[object, str, object, object]]) -> Path:
    """Write a recording of (time, tag, value, quality)."""
    columns = list(zip(*rows, strict=True))
    pq.write_table(pa.table(dict(zip(("time", "tag", "value", "quality"), map(list, columns), strict=True))), path)
    return path


class ReplayPeer(SourcePeer):
    """A recording that counts up each second, and a clock that is moved by hand."""

    tags = ("로1/온도", "로1/압력")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = write(
            folder / "counts.parquet", [(START + SECOND * n, tag, float(n), 0) for n in range(100) for tag in self.tags]
        )
        self.now = datetime(2027, 1, 1, tzinfo=UTC)

    def make(self) -> Source:
        self.began = self.now
        return ReplaySource(self.path, clock=lambda: self.now)

    def away(self) -> Source | None:
        return ReplaySource(self.folder / "nowhere.parquet")

    def change(self, value: float) -> None:
        self.now = self.began + SECOND * value

    def history(self, source: Source, sink: RecordingSink) -> tuple[Interval, int] | None:
        sink.save_cursor("anchor", str(int(self.now.timestamp() * 1_000_000)))
        self.now += SECOND * 5
        self.began = self.now
        return Interval(self.now - SECOND * 4, self.now - SECOND), 3 * len(self.tags)


class TestReplay(SourceContract):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[SourcePeer]:
        yield ReplayPeer(tmp_path)


def settings(url: str, **options: str) -> ConnectionSettings:
    return ConnectionSettings("rehearsal", "replay", url, options)


def replayed(source: Source, count: int) -> RecordingSink:
    """Run a source until so many samples came."""
    sink = RecordingSink()
    with SourceContract.running(source, sink, 10):
        assert sink.wait_for(lambda: sum(map(len, sink.blocks)) >= count, 10)
    return sink


def test_a_csv_with_texts_words_of_quality_and_local_times_is_replayed_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "기록.csv"
    path.write_text(
        "time,tag,value,quality\n"
        "2026-03-02 17:00:01,상태,가동,good\n"
        "2026-03-02T08:00:00Z,온도,-12,0x40900000\n"
        "2026-03-02 17:00:02,온도,1e3,uncertain\n"
        "2026-03-02 17:00:03,상태,007호,\n",
        encoding="utf-8",
    )
    sink = replayed(make_source(settings(f"file:{path}", speed="0", times="kept")), 4)
    [block] = sink.blocks
    assert sink.values() == [
        ("온도", -12.0, 0x40900000),
        ("상태", "가동", 0),
        ("온도", 1000.0, UNCERTAIN),
        ("상태", "007호", 0),
    ]
    assert [t - START for t in block.batch.column("time").to_pylist()] == [SECOND * n for n in range(4)]
    assert [t.data_type for t in sink.tags.all().values()] == ["number", "text"]


def test_times_are_moved_to_now_and_drawn_together_by_the_speed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [(START + SECOND * 10 * n, "T", float(n), 0) for n in range(3)])
    now = datetime(2027, 1, 1, tzinfo=UTC)
    source = ReplaySource(path, speed=10.0, clock=lambda: now)
    sink = RecordingSink()
    with SourceContract.running(source, sink, 10):
        assert sink.wait_for(lambda: len(sink.values()) == 1, 10)
        now += SECOND
        assert sink.wait_for(lambda: len(sink.values()) == 2, 10)
        now += SECOND * 0.9
        assert not sink.wait_for(lambda: len(sink.values()) == 3, 0.2)
    times = [t for b in sink.blocks for t in b.batch.column("time").to_pylist()]
    assert times == [datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)]


def test_two_samples_of_one_tag_at_one_time_both_come_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [(START, "T", 1.0, 0), (START, "T", 2.0, 0), (START, "T", 1.0, 0)])
    assert [v for _, v, _ in replayed(ReplaySource(path, speed=0), 3).values()] == [1.0, 2.0, 1.0]


def test_reading_before_the_first_value_says_that_it_is_awaited(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [(START, "T", 1.0, 0)])
    sink = RecordingSink()
    block = ReplaySource(path).read(["T", "없는 태그"], sink)
    assert sink.values_of(block) == [("T", None, BAD_WAITING_FOR_INITIAL_DATA), ("없는 태그", None, BAD_NODE_UNKNOWN)]


def test_a_wanted_tag_that_the_recording_lacks_is_a_gap_of_that_tag(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [(START, "T", 1.0, 0), (START, "U", 5.0, 0)])
    source = ReplaySource(path, speed=0, wanted=("T", "없는 태그"))
    sink = replayed(source, 1)
    assert sink.values() == [("T", 1.0, 0)]
    assert [(g.cause, g.tags) for g in sink.gaps] == [("bad_tag", ("없는 태그",))]


def test_as_fast_as_can_be_it_goes_on_where_it_stopped_and_repeats_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [(START + SECOND * n, "T", float(n), 0) for n in range(25_000)])
    values: list[float] = []
    for _ in range(2):
        with open_spool(tmp_path / "line") as spool:
            collector = Collector(ReplaySource(path, speed=0), spool, spool.ledger, lambda: datetime.now(UTC))
            stop = threading.Event()
            thread = threading.Thread(target=collector.run, args=(stop,))
            thread.start()
            for _ in range(200):
                if spool.cursor("row") == "25000":
                    break
                stop.wait(0.02)
            stop.set()
            thread.join(10)
    with open_spool(tmp_path / "line") as spool:
        for frame in everything(spool):
            values += frame.content.batch.column("number").to_pylist()  # type: ignore[union-attr]
    assert values == [float(n) for n in range(25_000)]


@pytest.mark.parametrize(
    ("times", "since"),
    [([0, 4_291_747_200_000_000], 0), ([-86_400_000_000, 0], -86_400_000_000)],
)
def test_times_of_1970_and_2106_are_replayed_as_recorded(tmp_path: Path, times: list[int], since: int) -> None:
    path = write(tmp_path / "a.parquet", [(t, "T", 1.0, 0) for t in times])
    [block] = replayed(ReplaySource(path, speed=0, times="kept"), 2).blocks
    assert block.batch.column("time").cast(pa.int64()).to_pylist() == times
    assert times[0] == since


def test_nan_infinities_empty_values_and_texts_of_a_megabyte_are_replayed_as_they_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", [(START, "T", float("nan"), 0), (START, "T", float("-inf"), 0), (START, "T", None, 0x80310000)]
    )
    assert str(replayed(ReplaySource(path, speed=0), 3).values()) == "[('T', nan, 0), ('T', -inf, 0), ('T', None, 2150694912)]"
    long = write(tmp_path / "b.parquet", [(START, "비고", "글" * 350_000, 0)])
    assert replayed(ReplaySource(long, speed=0), 1).values() == [("비고", "글" * 350_000, 0)]


@pytest.mark.parametrize("content", ["", "time,tag\n1,2\n", "time,tag,value\nyesterday,T,1\n"])
def test_a_file_that_is_no_recording_is_refused_in_plain_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        ReplaySource(path).browse()
    assert refused.value.code == "recording_unreadable"
    assert refused.value.where == {"file": "a.csv"}


@pytest.mark.parametrize("options", [{"speed": "fast"}, {"speed": "-1"}, {"speed": "inf"}, {"times": "later"}])
def test_an_option_that_does_not_fit_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InputError) as refused:
        make_source(settings("a.csv", **options))
    assert refused.value.code == "option_invalid"
