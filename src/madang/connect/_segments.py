"""One file of a spool: frames one after another, found again after any crash."""

from __future__ import annotations

import mmap
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from madang.connect._frames import HEADER, MAGIC, Frame, FrameHeader, decode, unpack_header

SUFFIX: Final = ".frames"
_MARK_FRAMES: Final = 256
_MARK_BYTES: Final = 1 << 20
"""A reader begins at a mark, so of large frames none is read only to be passed over."""


class Mark(NamedTuple):
    """A place in a segment from which counting can start."""

    sequence: int
    """Of the last data frame before the place."""
    offset: int
    frames: int
    samples: int


class Count(NamedTuple):
    """What a stretch of a segment holds."""

    frames: int
    samples: int
    size: int
    """[bytes]"""
    oldest: int
    """Received time of its first data frame [us since 1970]; 0 when there is none."""


@dataclass(frozen=True)
class Damage:
    """Bytes of a segment that hold no valid frame although valid ones follow."""

    path: Path
    offset: int
    size: int
    first: int
    """Sequence of the first frame lost."""
    last: int
    """Sequence of the last frame lost; `first - 1` when only a frame without data was hit."""
    samples: int | None
    """How many samples were lost, where the header of the damaged frame still tells."""
    since: int
    """Received time of the frame before [us since 1970]; 0 when there is none."""
    until: int
    """Received time of the frame after [us since 1970]."""

    @classmethod
    def of_tail(cls, segment: Segment, size: int, last: int) -> Damage:
        """Return the damage of a segment whose last frames are missing although later segments follow."""
        end = segment.end
        return cls(segment.path, end, max(0, size - end), segment.last + 1, last, None, segment.newest, segment.newest)


@dataclass
class Segment:
    """A file of frames and what is known of it without reading it again."""

    path: Path
    first: int
    """Sequence that its first data frame has, or would have."""
    copy: int = 0
    """Tells apart segments that begin alike: one that could not be written to any more is followed by another."""
    end: int = 0
    """Bytes that are valid and durable."""
    last: int = 0
    """Sequence of its last data frame; `first - 1` while it holds none."""
    frames: int = 0
    samples: int = 0
    oldest: int = 0
    """Received time of its first data frame [us since 1970]; 0 while it holds none."""
    newest: int = 0
    marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.marks:
            self.last = self.first - 1
            self.marks.append(Mark(self.last, 0, 0, 0))

    @classmethod
    def named(cls, path: Path) -> Segment | None:
        """Return an empty segment for a file name; None when the name is none of a segment."""
        first, _, copy = path.name.removesuffix(SUFFIX).partition("-")
        numbered = path.name.endswith(SUFFIX) and first.isdigit() and copy.isdigit()
        return cls(path, int(first), int(copy)) if numbered else None

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the segments of its spool."""
        return self.first, self.copy

    def add(self, header: FrameHeader, offset: int) -> None:
        """Count a frame that stands at an offset."""
        self.end = offset + header.size
        if not header.kind.is_data:
            return
        mark = self.marks[-1]
        if self.frames - mark.frames >= _MARK_FRAMES or offset - mark.offset >= _MARK_BYTES:
            self.marks.append(Mark(self.last, offset, self.frames, self.samples))
        self.last = header.sequence
        self.frames += 1
        self.samples += header.samples
        self.oldest = self.oldest or header.received
        self.newest = header.received

    def mark_before(self, sequence: int) -> Mark:
        """Return the nearest place whose frames before it have sequences up to the one given."""
        return self.marks[max(0, bisect_right(self.marks, sequence, key=lambda m: m.sequence) - 1)]


class SegmentScan:
    """Walks through a file of frames.

    Args:
        segment: Receives what is found.
        salt: The spool's own.
        whole: Whether payloads are checked too; where not, only headers are, and a damaged payload is found when it is read.
        before: Sequence with which the next segment begins: frames from it on were written again there, after a flush that failed.
    """

    def __init__(self, segment: Segment, salt: int, *, whole: bool, before: int | None = None) -> None:
        self.segment = segment
        self.before = before
        self.salt = salt
        self.whole = whole
        self.damages: list[Damage] = []
        self.facts: list[tuple[FrameHeader, bytes]] = []
        """Frames that carry no data, in order, with their payloads."""
        self.size = 0

    def run(self) -> None:
        """Read the file; afterwards `segment.end` is where the last valid frame ends."""
        self.size = self.segment.path.stat().st_size
        if self.size < HEADER.size:
            return
        with self.segment.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            offset = 0
            while offset < self.size:
                header = self._valid(data, offset, whole=self.whole)
                if header is None:
                    offset = self._skip(data, offset)
                    continue
                if self.before is not None and header.sequence >= self.before:
                    return
                if not header.kind.is_data:
                    start = offset + HEADER.size
                    self.facts.append((header, data[start : start + header.length]))
                self.segment.add(header, offset)
                offset += header.size

    def _valid(self, data: mmap.mmap, offset: int, *, whole: bool) -> FrameHeader | None:
        header = unpack_header(data[offset : offset + HEADER.size], 0, self.salt)
        if header is None or offset + header.size > self.size:
            return None
        start = offset + HEADER.size
        if (whole or not header.kind.is_data) and zlib.crc32(data[start : start + header.length]) != header.check:
            return None
        return header

    def _skip(self, data: mmap.mmap, offset: int) -> int:
        """Return where the next valid frame begins, and note the damage; the file's size when none follows."""
        broken = unpack_header(data[offset : offset + HEADER.size], 0, self.salt)
        after = data.find(MAGIC, offset + 1)
        while after >= 0:
            header = self._valid(data, after, whole=True) if after % 8 == 0 else None
            if header is not None and header.sequence >= self.segment.last:
                self._note(offset, after, header, broken)
                return after
            after = data.find(MAGIC, after + 1)
        return self.size

    def _note(self, offset: int, after: int, header: FrameHeader, broken: FrameHeader | None) -> None:
        last = header.sequence - 1 if header.kind.is_data else header.sequence
        only = broken is not None and broken.kind.is_data and broken.sequence == last == self.segment.last + 1
        self.damages.append(
            Damage(
                path=self.segment.path,
                offset=offset,
                size=after - offset,
                first=self.segment.last + 1,
                last=last,
                samples=broken.samples if only and broken is not None else None,
                since=self.segment.newest,
                until=header.received,
            )
        )


def read_frames(
    handle: int, segment: Segment, start: int, end: int, after: int, limit: int, salt: int
) -> Iterator[Frame | Damage]:
    """Yield the data frames of a segment with sequences above `after`, and what is damaged between them.

    Args:
        handle: The open file.
        segment: Whose file it is.
        start: Offset of a frame [bytes].
        end: Where valid and durable bytes end.
        after: Sequence of the last frame that is not wanted.
        limit: About how many bytes of frames to read; at least one frame comes if there is one.
        salt: The spool's own.
    """
    offset, taken, previous = start, 0, max(after, segment.first - 1)
    buffer, base = b"", start
    newest = 0
    damaged: tuple[int, FrameHeader | None] | None = None
    while offset < end and (taken < limit or damaged is not None):
        if offset + HEADER.size > base + len(buffer):
            buffer, base = os.pread(handle, min(max(limit - taken, 65536), end - offset), offset), offset
        header = unpack_header(buffer, offset - base, salt)
        if header is not None and offset + header.size <= end and header.kind.is_data and header.sequence > after:
            if offset + header.size > base + len(buffer):
                buffer, base = os.pread(handle, min(max(limit - taken, header.size), end - offset), offset), offset
            begin = offset - base + HEADER.size
            payload = memoryview(buffer)[begin : begin + header.length]
            if zlib.crc32(payload) == header.check:
                if damaged is not None:
                    yield _damage(segment, damaged, offset, previous, header, newest)
                    damaged = None
                yield Frame(header.sequence, decode(header, payload), header.received, header.samples, header.size)
                previous, newest = header.sequence, header.received
                taken += header.size
            elif damaged is None:
                damaged = (offset, header)
            offset += header.size
        elif header is not None and offset + header.size <= end:
            offset += header.size
        else:
            damaged = damaged or (offset, None)
            offset += 8
    if damaged is not None:
        yield _damage(segment, damaged, end, previous, None, newest)


def _damage(
    segment: Segment, damaged: tuple[int, FrameHeader | None], end: int, previous: int, after: FrameHeader | None, newest: int
) -> Damage:
    offset, broken = damaged
    last = segment.last if after is None else after.sequence - 1
    only = broken is not None and broken.sequence == last == previous + 1
    return Damage(
        path=segment.path,
        offset=offset,
        size=end - offset,
        first=previous + 1,
        last=last,
        samples=broken.samples if only and broken is not None else None,
        since=newest or (broken.received if broken else segment.oldest),
        until=after.received if after else segment.newest,
    )


def count_after(segment: Segment, after: int, salt: int) -> Count:
    """Return what a segment holds of frames with sequences above `after`, from its headers."""
    mark = segment.mark_before(after)
    frames, samples, offset, end = mark.frames, mark.samples, mark.offset, segment.end
    try:
        handle = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        return Count(0, 0, 0, 0)
    try:
        while offset < end:
            header = unpack_header(os.pread(handle, HEADER.size, offset), 0, salt)
            if header is None:
                offset += 8
                continue
            if header.kind.is_data:
                if header.sequence > after:
                    return Count(segment.frames - frames, segment.samples - samples, end - offset, header.received)
                frames += 1
                samples += header.samples
            offset += header.size
    finally:
        os.close(handle)
    return Count(0, 0, 0, 0)
