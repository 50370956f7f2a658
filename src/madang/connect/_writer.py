"""The writing thread of a spool: takes everything that waits, writes it, flushes once, and then calls back."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from madang.connect._blocks import Message
from madang.connect._frames import FrameHeader, FrameKind, MessageColumns, Payload, framed
from madang.connect._ledger import Ledger
from madang.connect._limits import InflowRate, SpoolLimits
from madang.connect._room import THIN_FROM, THIN_UNTIL, Room, is_no_space
from madang.connect._store import SegmentStore, write_all
from madang.connect._tagbook import TagBook
from madang.errors import InputError, MadangError

Done = Callable[[], None]
_FRAME_MESSAGES: Final = 16_384
_FRAME_BYTES: Final = 1 << 20
_PAUSES: Final = (0.01, 1.0)
"""Shortest and longest wait before a write that failed is tried again [s]."""
_LOG: Final = logging.getLogger("madang.connect")


class _Item:
    """Something that waits to be written. Items that carry no data have no payload, or one without a sequence of its own."""

    __slots__ = ("columns", "cursor", "done", "kind", "payload", "received", "samples", "sequence", "size")

    def __init__(self, kind: FrameKind, sequence: int, payload: Payload | None, samples: int, received: int) -> None:
        self.kind = kind
        self.sequence = sequence
        self.payload = payload
        self.samples = samples
        self.received = received
        self.size = 0 if payload is None else payload.length
        self.done: list[Done] = []
        self.columns: MessageColumns | None = None
        self.cursor: tuple[str, str] | None = None

    def frame(self, salt: int) -> tuple[FrameHeader, list[bytes]] | None:
        """Return what is written for it."""
        payload, samples = self.payload, self.samples
        if self.columns is not None:
            payload, samples = self.columns.payload(), len(self.columns)
        return None if payload is None else framed(self.kind, self.sequence, payload, samples, self.received, salt)


class SpoolWriter:
    """Queue and thread of one spool.

    Args:
        store: Takes the frames.
        tags: Its new lines are written before the frames that use them.
        ledger: What it could not write for want of space is tried again after each commit.
        room: The overflow policy.
        limits: Sizes and the window of a group.
        tag_file: Where the lines of `tags` go.
        salt: The spool's own.
        sync: Makes an open file durable.
        name: For the thread.
    """

    def __init__(
        self,
        store: SegmentStore,
        tags: TagBook,
        ledger: Ledger,
        room: Room,
        limits: SpoolLimits,
        tag_file: Path,
        salt: int,
        sync: Callable[[int], None],
        name: str,
    ) -> None:
        self._store = store
        self._tags = tags
        self._ledger = ledger
        self._room = room
        self._limits = limits
        self._tag_file = tag_file
        self._salt = salt
        self._sync = sync
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._less = threading.Condition(self._lock)
        self._queue: list[_Item] = []
        self._queued = 0
        self._idle = False
        self._closing = False
        self._waiting = 0
        self._begun = 0.0
        self.last = store.last
        """Sequence of the newest frame, durable or not."""
        self.durable = store.last
        self.thinning = False
        """Whether the spool is so full that its policy thins out what comes."""
        self.trouble: OSError | None = None
        """Why nothing can be written just now."""
        self.rate = InflowRate()
        self._thread = threading.Thread(target=self._run, name=f"spool {name}", daemon=True)
        self._thread.start()

    def put(self, kind: FrameKind, payload: Payload, samples: int, received: int, done: Done | None) -> int:
        """Queue a data frame; returns its sequence."""
        self._check_size(payload.length)
        with self._lock:
            self._wait_for_room()
            self.last += 1
            self._add(_Item(kind, self.last, payload, samples, received), done)
            return self.last

    def put_messages(self, messages: Sequence[Message], done: Done | None) -> int:
        """Queue raw messages, behind those that wait, in one frame with them where they fit; returns the frame's sequence."""
        self._check_size(sum(len(message.payload) for message in messages))
        with self._lock:
            self._wait_for_room()
            item = self._queue[-1] if self._queue else None
            columns = item.columns if item is not None else None
            if item is None or columns is None or columns.size >= _FRAME_BYTES or len(columns) >= _FRAME_MESSAGES:
                columns = MessageColumns()
                grown = columns.extend(messages)
                self.last += 1
                item = _Item(FrameKind.MESSAGES, self.last, None, 0, 0)
                item.columns = columns
                self._queue.append(item)
            else:
                grown = columns.extend(messages)
            item.size += grown
            item.received = messages[-1].received
            self._queued += grown
            if done is not None:
                item.done.append(done)
            if self._idle:
                self._more.notify()
            return self.last

    def put_facts(
        self, kind: FrameKind, payload: Payload | None, *, cursor: tuple[str, str] | None = None, done: Done | None = None
    ) -> int:
        """Queue a frame that carries no data, or a call alone; returns the sequence of the newest data frame before it."""
        with self._lock:
            if self._closing:
                raise closed_error(self._tag_file.parent)
            item = _Item(kind, self.last, payload, 0, 0)
            item.cursor = cursor
            self._add(item, done)
            return self.last

    def _add(self, item: _Item, done: Done | None) -> None:
        if done is not None:
            item.done.append(done)
        self._queue.append(item)
        self._queued += item.size
        if self._idle:
            self._more.notify()

    def _check_size(self, size: int) -> None:
        """Refuse what would never find room: it, and all that comes behind it, would wait for ever.

        Half of the limit, because what is written together is up to an eighth of it longer.
        """
        if size > self._limits.bytes // 2:
            raise too_large_error(self._tag_file.parent, size, self._limits.bytes)

    def _wait_for_room(self) -> None:
        while self._queued > self._limits.queue_bytes and not self._closing:
            self._less.wait()
        if self._closing:
            raise closed_error(self._tag_file.parent)

    def wait(self, sequence: int, timeout: float | None) -> bool:
        """Wait until a frame is durable; returns whether it is."""
        with self._lock:
            self._waiting += 1
            try:
                self._less.wait_for(lambda: self.durable >= sequence or not self._thread.is_alive(), timeout)
            finally:
                self._waiting -= 1
            return self.durable >= sequence

    def close(self) -> None:
        """Write what waits, where it can be written, and end the thread."""
        with self._lock:
            self._closing = True
            self._more.notify_all()
            self._less.notify_all()
        self._thread.join()

    def nudge(self) -> None:
        """Say that there may be room now."""
        with self._lock:
            self._more.notify_all()

    def number_after(self, sequence: int) -> None:
        """Give new frames sequences above the one given, and above all before."""
        with self._lock:
            self.last = max(self.last, sequence)
            if not self._queue:
                self.durable = max(self.durable, sequence)

    def _run(self) -> None:
        try:
            while (items := self._next()) and self._commit(items):
                pass
        finally:
            with self._lock:
                self._closing = True
                self._less.notify_all()

    def _next(self) -> list[_Item]:
        """Wait for something to write, and return all of it; nothing when the spool is closed."""
        with self._lock:
            loaded = bool(self._queue)
            while not self._queue and not self._closing:
                self._idle = True
                self._more.wait()
            self._idle = False
        if loaded and (pause := self._limits.window - (time.monotonic() - self._begun)) > 0:
            time.sleep(pause)
        self._begun = time.monotonic()
        with self._lock:
            items, self._queue = self._queue, []
            self._queued = 0
            self._less.notify_all()
        return items

    def _commit(self, items: list[_Item]) -> bool:
        """Write items in as few groups as their size allows; returns False when the spool is closed before they could be."""
        begin = 0
        size = 0
        for end, item in enumerate(items):
            size += item.size
            if size >= self._limits.segment or end == len(items) - 1:
                if not self._write(items[begin : end + 1]):
                    return False
                begin, size = end + 1, 0
        return True

    def _write(self, items: Sequence[_Item]) -> bool:
        frames = [frame for item in items if (frame := item.frame(self._salt)) is not None]
        size = sum(header.size for header, _ in frames)
        shortest, longest = _PAUSES
        while not self._try(frames, size):
            with self._lock:
                if self._closing:
                    return False
                self._more.wait(shortest)
            shortest = min(longest, shortest * 2)
        self._after(items, frames, size)
        return True

    def _try(self, frames: Sequence[tuple[FrameHeader, Sequence[bytes]]], size: int) -> bool:
        try:
            if frames and not self._room.make(size):
                self.trouble = OSError(errno.ENOSPC, "no room")
                return False
            self._write_tags()
            self._store.write(frames, self._limits.segment)
        except OSError as error:
            self.trouble = error
            if is_no_space(error):
                self._room.make_by_force()
            elif error.errno == errno.EFBIG:
                self._store.finish()
            return False
        self.trouble = None
        return True

    def _after(self, items: Sequence[_Item], frames: Sequence[tuple[FrameHeader, Sequence[bytes]]], size: int) -> None:
        for item in items:
            if item.cursor is not None:
                self._store.cursors[item.cursor[0]] = item.cursor[1]
        with self._lock:
            self.durable = max(self.durable, items[-1].sequence)
            if self._waiting:
                self._less.notify_all()
        for item in items:
            for done in item.done:
                try:
                    done()
                except Exception as error:
                    _LOG.error("a source failed when told that its data is durable: %s", type(error).__name__)
        self._room.resume()
        self._ledger.flush()
        self._store.forget(self._limits.keep_bytes)
        self.rate.add(time.monotonic(), size)
        if self._limits.policy == "thin":
            self.thinning = self._room.fullness() >= (THIN_UNTIL if self.thinning else THIN_FROM)

    def _write_tags(self) -> None:
        lines = self._tags.take_lines()
        if not lines:
            return
        try:
            handle = os.open(self._tag_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(handle).st_size
                try:
                    write_all(handle, b"\n" + b"".join(lines))
                    self._sync(handle)
                except OSError:
                    os.ftruncate(handle, size)
                    raise
            finally:
                os.close(handle)
        except OSError:
            self._tags.give_back(lines)
            raise


def closed_error(folder: Path) -> MadangError:
    """Return the error of an append to a spool that is closed."""
    return MadangError(
        "spool_closed",
        ko="이미 닫힌 임시 저장소에 넣으려 했어요.",
        en="Something was appended to a spool that is closed.",
        next_ko="연결을 다시 시작해 주세요.",
        next_en="Start the connection again.",
        where={"folder": folder.name},
    )


def too_large_error(folder: Path, size: int, limit: int) -> MadangError:
    """Return the error of an append that a spool of this limit can never hold."""
    return InputError(
        "frame_too_large",
        ko=f"한 번에 온 {size:,}바이트는 {limit:,}바이트까지 쓰는 임시 저장소에 들어갈 수 없어요.",
        en=f"{size:,} bytes at once do not fit into a spool that may take {limit:,} bytes.",
        next_ko="더 작게 나누어 보내거나, --max-bytes 를 더 크게 해서 연결을 다시 만들어 주세요.",
        next_en="Send it in smaller parts, or make the connection again with a larger --max-bytes.",
        where={"folder": folder.name, "bytes": size, "limit": limit},
    )
