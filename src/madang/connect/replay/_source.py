"""The source that replays a recording."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Origin, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestStep
from madang.connect.replay import DESCRIPTION
from madang.connect.replay._recording import Recording
from madang.errors import InputError, MadangError
from madang.plant import BAD_NODE_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA, Bilingual, Interval

_TICK: Final = 0.05
"""How often it looks what is due [s]."""
_ROWS: Final = 10_000
"""Most samples in one block."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class ReplaySource:
    """Hands out the samples of a recording at the pace at which they were taken, or faster.

    It behaves as a plant does: what is due while nobody listens is not kept for later, but can be fetched as history. As fast as can
    be (speed 0) there is no pace: then it goes on where the last run stopped.
    """

    path: Path
    speed: float = 1.0
    times: Literal["now", "kept"] = "now"
    zone: str = "Asia/Seoul"
    wanted: tuple[str, ...] = ()
    clock: Callable[[], datetime] = _now
    _read: Recording | None = field(default=None, repr=False)
    _place: int = 0

    @classmethod
    def from_settings(cls, settings: ConnectionSettings) -> ReplaySource:
        """Return the source for a connection.

        Raises:
            InputError: An option does not fit (``option_invalid``).
        """
        path = Path(settings.url.removeprefix("file://").removeprefix("file:"))
        try:
            speed = float(settings.options.get("speed", "1"))
        except ValueError:
            speed = -1.0
        times = settings.options.get("times", "now")
        if not 0 <= speed < float("inf") or times not in ("now", "kept"):
            raise InputError(
                "option_invalid",
                ko="재생 옵션이 맞지 않아요. speed는 0 이상인 수, times는 now나 kept예요.",
                en="An option of the recording does not fit: speed is a number from 0 on, times is now or kept.",
                next_ko="`--set speed=10 --set times=now`처럼 적어 주세요.",
                next_en="Give them as in --set speed=10 --set times=now.",
                where={"connection": settings.name},
            )
        return cls(path, speed, "kept" if times == "kept" else "now", settings.zone, settings.tags)

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Open the file and look for its tags."""
        try:
            recording = self._recording()
        except MadangError as error:
            yield TestStep("name", "failed", Bilingual(error.ko, error.en), Bilingual(error.next_ko, error.next_en))
            return
        yield TestStep("name", "ok", Bilingual("기록 파일을 열었어요.", "The recording is open."))
        count = len(recording.tags)
        found = Bilingual(f"태그 {count}개가 있어요.", f"It holds {count} tags.")
        yield TestStep(
            "browse",
            "ok" if count else "failed",
            found,
            None if count else Bilingual("다른 파일을 골라 주세요.", "Choose another file."),
        )
        if count:
            yield TestStep("value", "ok", Bilingual("값을 읽었어요.", "A value was read."))

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return the tags of the recording; there are no folders."""
        recording = self._recording()
        kinds = zip(recording.tags, recording.numeric, strict=True)
        return [Tag(name, data_type="number" if numeric else "text") for name, numeric in kinds if name.startswith(under)][
            :limit
        ]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the newest values up to the place where the replay is."""
        recording = self._recording()
        newest = recording.newest_before(self._place)
        shown = self._shown_times(recording, sink)
        now = _micros(self.clock())
        known = {name: i for i, name in enumerate(recording.tags)}
        rows = []
        for name in tags:
            number = sink.number_of(self._tag(name))
            row = newest.get(known.get(name, -1))
            if row is None:
                code = BAD_WAITING_FOR_INITIAL_DATA if name in known else BAD_NODE_UNKNOWN
                rows.append({"tag": number, "time": now, "number": None, "text": None, "quality": code})
                continue
            sample = recording.batch.slice(row, 1).drop_columns("time").to_pylist()[0]
            rows.append(sample | {"tag": number, "time": int(shown[row])})
        columns = [pa.array([r[f.name] for r in rows], pa.int64() if f.name == "time" else f.type) for f in BLOCK_SCHEMA]
        columns[1] = columns[1].cast(BLOCK_SCHEMA.field("time").type)
        return Block(pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA), now)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Hand out what is due until `stop` is set; after the last sample nothing more comes."""
        recording = self._recording()
        numbers = np.array([sink.number_of(self._tag(name)) for name in recording.tags], np.int32)
        missing = [name for name in self.wanted if name not in recording.tags]
        if missing:
            sink.gap_opened("bad_tag", self.clock(), tags=missing)
        shown = self._shown_times(recording, sink, begin=True)
        due = self._anchor(sink, begin=True) + self._offsets(recording)
        kept = int(sink.cursor("row") or 0)
        self._place = kept if self.speed == 0 else int(np.searchsorted(due, _micros(self.clock())))
        sink.state("connected")
        while not stop.is_set():
            end = min(len(recording), self._place + _ROWS)
            if self.speed:
                end = min(end, int(np.searchsorted(due, _micros(self.clock()), side="right")))
            if end == self._place:
                if self._place == len(recording):
                    stop.wait()
                else:
                    stop.wait(_TICK)
                continue
            block = self._block(recording, shown, numbers, slice(self._place, end), "live")
            if len(block):
                sink.put_block(block)
            self._place = end
            if self.speed == 0:
                sink.save_cursor("row", str(end))

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Hand out the samples of an interval as history, up to now."""
        recording = self._recording()
        shown = self._shown_times(recording, sink)
        first, end = np.searchsorted(shown, [_micros(interval.start), _micros(interval.end)])
        past = self._anchor(sink, begin=False) + self._offsets(recording)
        end = min(int(end), self._place if self.speed == 0 else int(np.searchsorted(past, _micros(self.clock()), side="right")))
        numbers = np.array([sink.number_of(self._tag(name)) for name in recording.tags], np.int32)
        only = [i for i, name in enumerate(recording.tags) if name in (tags or self.wanted or recording.tags)]
        count = 0
        for begin in range(int(first), end, _ROWS):
            block = self._block(recording, shown, numbers, slice(begin, min(end, begin + _ROWS)), "backfill", only)
            if len(block):
                sink.put_block(block)
            count += len(block)
        return count

    def decoder(self) -> Decoder | None:
        """Return None: it puts blocks itself."""
        return None

    def close(self) -> None:
        """Forget the recording."""
        self._read = None

    def _recording(self) -> Recording:
        if self._read is None:
            self._read = Recording.read(self.path, self.zone)
        return self._read

    def _tag(self, name: str) -> Tag:
        recording = self._recording()
        numeric = name not in recording.tags or recording.numeric[recording.tags.index(name)]
        return Tag(name, data_type="number" if numeric else "text")

    def _anchor(self, sink: Sink, *, begin: bool) -> int:
        """Return when the first sample was, or would have been, handed out [us since 1970]."""
        kept = sink.cursor("anchor")
        if kept is not None:
            return int(kept)
        now = _micros(self.clock())
        if begin:
            sink.save_cursor("anchor", str(now))
        return now

    def _offsets(self, recording: Recording) -> npt.NDArray[np.int64]:
        """Return how long after the first sample each is handed out [us]."""
        since = recording.times - recording.times[:1]
        return (since / self.speed).astype(np.int64) if self.speed else since

    def _shown_times(self, recording: Recording, sink: Sink, *, begin: bool = False) -> npt.NDArray[np.int64]:
        anchor = self._anchor(sink, begin=begin)
        return recording.times if self.times == "kept" else anchor + self._offsets(recording)

    def _block(
        self,
        recording: Recording,
        shown: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int32],
        rows: slice,
        origin: Origin,
        only: Sequence[int] = (),
    ) -> Block:
        part = recording.batch.slice(rows.start, rows.stop - rows.start)
        tags = part.column("tag").to_numpy(zero_copy_only=False)
        columns = [
            pa.array(numbers[tags], pa.int32()),
            pa.array(shown[rows], pa.int64()).cast(BLOCK_SCHEMA.field("time").type),
            *part.columns[2:],
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=BLOCK_SCHEMA)
        names = only or ([i for i, name in enumerate(recording.tags) if name in self.wanted] if self.wanted else ())
        if names:
            batch = batch.filter(pa.array(np.isin(tags, names)))
        return Block(batch, _micros(self.clock()), origin=origin)


def _micros(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000)
