"""The files of a spool: which there are, what was found in them, and how the next frames get onto the disk."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from madang.connect._frames import HEADER, FrameHeader, FrameKind, decode_facts, encode_facts, framed
from madang.connect._segments import SUFFIX, Count, Damage, Segment, SegmentScan, count_after

FORMAT: Final = 1


def flush_folder(folder: Path) -> None:
    """Make names in a folder durable, where the system can."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class SegmentStore:
    """Segments of one folder. One thread writes; any may look.

    Args:
        folder: Where the segments stand.
        spool_id: Written into each segment's head.
        salt: Seed of the header checksums.
        sync: Makes the bytes of an open file durable.
    """

    def __init__(self, folder: Path, spool_id: str, salt: int, sync: Callable[[int], None]) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.segments: list[Segment] = []
        self.cursors: dict[str, str] = {}
        self.released = 0
        self.last = 0
        """Sequence of the newest durable data frame, or the number before the next one where that is more."""
        self._id = spool_id
        self._salt = salt
        self._sync = sync
        self._handle: int | None = None
        self._counts: dict[Path, tuple[int, int, Count]] = {}

    def load(self) -> list[Damage]:
        """Read what earlier runs left: cut the torn tail, and return what is damaged before it."""
        found = sorted((s for p in self.folder.iterdir() if (s := Segment.named(p)) is not None), key=lambda s: s.place)
        damages: list[Damage] = []
        for number, segment in enumerate(found):
            newest = number == len(found) - 1
            scan = SegmentScan(segment, self._salt, whole=newest, before=None if newest else found[number + 1].first)
            scan.run()
            damages.extend(scan.damages)
            for header, payload in scan.facts:
                self._take_facts(header, payload)
            if not newest and segment.last < found[number + 1].first - 1:
                damages.append(Damage.of_tail(segment, scan.size, found[number + 1].first - 1))
        self.segments = found
        if found:
            self._take_up(found[-1])
            self.released = max(self.released, found[0].first - 1)
            self.last = max(self.released, *(s.last for s in found))
        return damages

    def _take_facts(self, header: FrameHeader, payload: bytes) -> None:
        facts = decode_facts(memoryview(payload))
        match header.kind:
            case FrameKind.HEAD:
                self.released = max(self.released, int(str(facts["released"])))
                cursors = facts["cursors"]
                self.cursors = dict(cursors) if isinstance(cursors, dict) else {}
            case FrameKind.RELEASE:
                self.released = max(self.released, int(str(facts["released"])))
            case FrameKind.CURSOR:
                self.cursors[str(facts["name"])] = str(facts["value"])

    def _take_up(self, segment: Segment) -> None:
        """Cut the torn tail of the newest file, and make sure that what is left is on the disk and not in a cache only."""
        handle = os.open(segment.path, os.O_RDWR)
        try:
            if os.fstat(handle).st_size > segment.end:
                os.ftruncate(handle, segment.end)
            self._sync(handle)
            flush_folder(self.folder)
            os.lseek(handle, segment.end, os.SEEK_SET)
        except BaseException:
            os.close(handle)
            raise
        if segment.end:
            self._handle = handle
        else:
            os.close(handle)

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        with self.lock:
            return sum(s.end for s in self.segments)

    @property
    def active(self) -> Segment | None:
        """The segment that frames are appended to."""
        return self.segments[-1] if self.segments and self._handle is not None else None

    def write(self, frames: Sequence[tuple[FrameHeader, Sequence[bytes]]], segment_bytes: int) -> None:
        """Write frames and make them durable, all of them, or raise and have none.

        Raises:
            OSError: They could not be written or flushed. What was written is cut off or left in a file that is not written to any
                more: after a failed flush nobody can say which bytes of a file are on the disk.
        """
        if not frames:
            return
        segment = self.active
        if segment is None or segment.end >= segment_bytes:
            segment = self._begin(frames[0][0].sequence)
        handle = self._handle
        if handle is None:
            raise RuntimeError("a segment without its file")
        data = b"".join(part for _, parts in frames for part in parts)
        try:
            write_all(handle, data)
        except OSError:
            self._take_back(handle, segment)
            raise
        try:
            self._sync(handle)
        except OSError:
            self.abandon()
            raise
        with self.lock:
            for header, _ in frames:
                segment.add(header, segment.end)
            self.last = max(self.last, segment.last)

    def _take_back(self, handle: int, segment: Segment) -> None:
        try:
            os.ftruncate(handle, segment.end)
            os.lseek(handle, segment.end, os.SEEK_SET)
        except OSError:
            self.abandon()

    def abandon(self) -> None:
        """Write to the active file no more; the next write begins another."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with contextlib.suppress(OSError):
            os.ftruncate(handle, self.segments[-1].end)
        with contextlib.suppress(OSError):
            os.close(handle)
        with self.lock:
            if self.segments[-1].frames == 0:
                self.segments.pop().path.unlink(missing_ok=True)

    def _begin(self, sequence: int) -> Segment:
        self.finish()
        first = sequence if sequence > self.last else self.last + 1
        copy = 0
        while (path := self.folder / f"{first:016d}-{copy}{SUFFIX}").exists():
            copy += 1
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        segment = Segment(path, first, copy)
        facts = {"format": FORMAT, "id": self._id, "released": self.released, "cursors": self.cursors}
        header, parts = framed(FrameKind.HEAD, first - 1, encode_facts(facts), 0, 0, self._salt)
        try:
            write_all(handle, b"".join(parts))
            self._sync(handle)
            flush_folder(self.folder)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        segment.add(header, 0)
        with self.lock:
            self._handle = handle
            self.segments.append(segment)
        return segment

    def finish(self) -> None:
        """Close the active file; it stays as it is."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def forget(self, keep_bytes: int) -> None:
        """Delete whole segments that were released, but for a tail of about `keep_bytes`."""
        with self.lock:
            kept = sum(s.end for s in self.segments[1:] if s.last <= self.released)
            while len(self.segments) > 1 and self.segments[0].last <= self.released and kept >= keep_bytes:
                gone = self.segments.pop(0)
                kept -= self.segments[0].end
                gone.path.unlink(missing_ok=True)

    def oldest(self) -> tuple[Segment, int] | None:
        """Return the oldest segment with data and the received time [us] of what follows it; None when there is none."""
        with self.lock:
            filled = [s for s in self.segments if s.frames]
        if not filled:
            return None
        return filled[0], (filled[1].oldest if len(filled) > 1 else filled[0].newest)

    def drop(self, segment: Segment) -> None:
        """Delete a segment, released or not."""
        with self.lock:
            if segment is self.segments[-1]:
                self.finish()
            self.last = max(self.last, segment.last)
            self.segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def unreleased(self, segment: Segment) -> Count:
        """Return what of a segment is not released."""
        with self.lock:
            released, known = self.released, self._counts.get(segment.path)
        if segment.last <= released:
            return Count(0, 0, 0, 0)
        if segment.first > released:
            return Count(segment.frames, segment.samples, segment.end, segment.oldest)
        if known is None or known[:2] != (released, segment.end):
            counted = count_after(segment, released, self._salt)
            with self.lock:
                self._counts = {segment.path: (released, segment.end, counted)}
            return counted
        return known[2]

    def from_sequence(self, after: int) -> Iterator[Segment]:
        """Yield the segments that hold frames with sequences above `after`."""
        with self.lock:
            found = [s for s in self.segments if s.last > after]
        yield from found


def write_all(handle: int, data: bytes) -> None:
    """Write all bytes at the file's place."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def identity(folder: Path) -> str:
    """Return the id that a spool has; a folder without one gets one.

    Where the file with the id is lost, the head of a segment still tells it: without it not one frame could be read.
    """
    path = folder / "spool.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.read_bytes())["id"])
    found = next((known for p in sorted(folder.glob("*" + SUFFIX)) if (known := _identity_in(p)) is not None), None)
    known = found or uuid4().hex
    for name in ("tags.jsonl", "gaps.jsonl"):
        (folder / name).touch()
    scratch = folder / "spool.json.new"
    with scratch.open("wb") as stream:
        stream.write(json.dumps({"format": FORMAT, "id": known}).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    flush_folder(folder)
    flush_folder(folder.parent)
    return known


def _identity_in(segment: Path) -> str | None:
    with segment.open("rb") as stream:
        head = stream.read(1 << 20)
    if len(head) < HEADER.size:
        return None
    _, kind, _, _, _, length, _, _, check, _ = HEADER.unpack_from(head)
    payload = head[HEADER.size : HEADER.size + length]
    if kind != FrameKind.HEAD or zlib.crc32(payload) != check:
        return None
    return str(decode_facts(memoryview(payload)).get("id"))
