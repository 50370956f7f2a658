"""The spool: what a connection got is on disk before its peer is told so, and stays until the lake has it.

A folder holds ``spool.json`` (the spool's id), ``*.frames`` (segments: what came, in order), ``tags.jsonl`` (names and numbers of tags),
``gaps.jsonl`` (the ledger) and ``lock``. A segment is only appended to. What was acknowledged survives a power loss; what a crash left
half written is cut off; a damaged frame loses itself alone, and the ledger tells of it.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from madang.connect._blocks import Block, Message, Reject, Rows
from madang.connect._frames import Frame, FrameKind, encode_block, encode_facts, encode_reject, encode_rows
from madang.connect._ledger import Ledger
from madang.connect._limits import SpoolDepth, SpoolLimits, free_bytes
from madang.connect._lock import FileLock
from madang.connect._room import Room, instant
from madang.connect._segments import Damage, read_frames
from madang.connect._store import SegmentStore, identity
from madang.connect._tagbook import TagBook
from madang.connect._thin import Thinner
from madang.connect._writer import Done, SpoolWriter
from madang.errors import InputError

_CHUNK: Final = 8 << 20
_THIN_NOTED: Final = 10.0
"""How often the ledger is told of samples that are being left out [s]."""

flush_file: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Makes the bytes of an open file durable; fdatasync, where the system has it."""


class Spool:
    """An append-only queue on disk for one connection, made by `open`.

    Any thread may append, read and release. A frame has one sequence, counted from 1, that is never used again, not even after
    everything was released and the spool was opened anew.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        clock: Callable[[], datetime],
        limits: SpoolLimits,
        sync: Callable[[int], None],
        free: Callable[[Path], int],
    ) -> None:
        self.folder = folder
        self.limits = limits
        self._clock = clock
        self._guard = FileLock(folder / "lock")
        if not self._guard.take():
            raise _busy(folder)
        try:
            self.id = identity(folder)
            salt = zlib.crc32(self.id.encode())
            self.ledger = Ledger(folder / "gaps.jsonl", name)
            self._salt = salt
            self._store = SegmentStore(folder, self.id, salt, sync)
            for damage in self._store.load():
                self._note_damage(damage)
            self.tags = TagBook.read(folder / "tags.jsonl", lambda: self._writer.last)
            if self.tags.torn:
                os.truncate(folder / "tags.jsonl", (folder / "tags.jsonl").stat().st_size - self.tags.torn)
            if self.tags.damaged:
                self._note_tags(self.tags.damaged)
            self._room = Room(self._store, self.ledger, limits, clock, free)
            self._cursors = dict(self._store.cursors)
            self._writer = SpoolWriter(
                self._store, self.tags, self.ledger, self._room, limits, folder / "tags.jsonl", salt, sync, name
            )
        except BaseException:
            self._guard.release()
            raise
        self._thin_lock = threading.Lock()
        self._thinner = Thinner()
        self._thinned: tuple[str, float] | None = None
        self._left_out = 0
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        limits: SpoolLimits = SpoolLimits(),  # noqa: B008 - frozen
        sync: Callable[[int], None] = flush_file,
        free: Callable[[Path], int] = free_bytes,
        name: str | None = None,
    ) -> Spool:
        """Open the spool of a folder, and make it when it is new.

        Args:
            folder: Its files; nobody else writes there.
            clock: Tells the time of rows of the ledger (aware).
            limits: How much it may take, and what happens then.
            sync: Makes an open file durable.
            free: Tells the free bytes of a folder's disk.
            name: Name of the connection in the ledger; by default the folder's name.

        Raises:
            InputError: Another process, or another `Spool`, holds it (``spool_busy``).
            OSError: The folder cannot be read or written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, name or folder.name, clock, limits, sync, free)

    @property
    def durable(self) -> int:
        """Sequence of the newest frame that survives a power loss; 0 when there is none."""
        return self._writer.durable

    @property
    def appended(self) -> int:
        """Sequence of the newest frame appended, durable or not."""
        return self._writer.last

    @property
    def released(self) -> int:
        """Sequence up to which the lake has everything."""
        return self._store.released

    @property
    def trouble(self) -> OSError | None:
        """Why nothing can be written just now; None while all is well."""
        return self._writer.trouble

    @property
    def newest(self) -> datetime | None:
        """When the newest durable frame was received (UTC); None while there is none on disk."""
        with self._store.lock:
            newest = max((s.newest for s in self._store.segments), default=0)
        return instant(newest) if newest else None

    def append_block(self, block: Block, done: Done | None = None) -> int:
        """Take samples.

        Args:
            block: Columns of `BLOCK_SCHEMA`, or what can be cast to it.
            done: Called from the writing thread once the block survives a power loss; it must be quick.

        Returns:
            Sequence of the frame; it is not durable yet.

        Raises:
            MadangError: The spool is closed (``spool_closed``).
        """
        if self._writer.thinning or self._thinned is not None:
            block = self._thin(block)
            if not len(block):
                return self._writer.put_facts(FrameKind.RELEASE, None, done=done)
        return self._writer.put(FrameKind.BLOCK, encode_block(block), len(block), block.received, done)

    def append_messages(self, messages: Sequence[Message], done: Done | None = None) -> int:
        """Take raw messages, all or none. Messages of several calls, one soon after another, may share a frame.

        Returns:
            Sequence of the frame that holds them; with no message, that of the newest frame, and `done` is called when that is durable.

        Raises:
            TypeError: A payload is not bytes.
            ValueError: A number of a message does not fit, or they are too large.
            MadangError: The spool is closed (``spool_closed``).
        """
        if not messages:
            return self._writer.put_facts(FrameKind.RELEASE, None, done=done)
        return self._writer.put_messages(messages, done)

    def append_rows(self, rows: Rows, done: Done | None = None) -> int:
        """Take records of a table."""
        return self._writer.put(FrameKind.ROWS, encode_rows(rows), rows.batch.num_rows, rows.received, done)

    def append_reject(self, reject: Reject) -> int:
        """Take what could not be understood."""
        return self._writer.put(FrameKind.REJECT, encode_reject(reject), 1, reject.received, None)

    def cursor(self, name: str) -> str | None:
        """Return the position last saved with `save_cursor`; after a crash, the newest durable one."""
        return self._cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Done | None = None) -> None:
        """Save a position; it becomes durable after everything appended before it, never ahead."""
        payload = encode_facts({"name": name, "value": value})
        self._writer.put_facts(FrameKind.CURSOR, payload, cursor=(name, value), done=done)
        self._cursors[name] = value

    def wait(self, sequence: int, timeout: float | None = None) -> bool:
        """Wait until a frame is durable, at most `timeout` seconds; returns whether it is."""
        return self._writer.wait(sequence, timeout)

    def read(self, after: int, limit_bytes: int) -> list[Frame]:
        """Return durable frames with sequences above `after`, in order.

        Args:
            after: The last sequence that the caller has.
            limit_bytes: About how much to read at once; one frame comes even if it is larger.

        A frame that is damaged, or was dropped, is passed over; the ledger tells of it.
        """
        found: list[Frame] = []
        taken = 0
        for segment in self._store.from_sequence(after):
            with self._store.lock:
                end, mark = segment.end, segment.mark_before(after)
            try:
                handle = os.open(segment.path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                for piece in read_frames(handle, segment, mark.offset, end, after, limit_bytes - taken, self._salt):
                    if isinstance(piece, Damage):
                        self._note_damage(piece)
                    else:
                        found.append(piece)
                        taken += piece.size
            finally:
                os.close(handle)
            if taken >= limit_bytes:
                break
        return found

    def tail(self, messages: int) -> list[Message]:
        """Return the newest raw messages that are on disk, released ones too, at most so many, oldest first."""
        start: int | None = None
        missing = messages
        with self._store.lock:
            for segment in reversed(self._store.segments):
                for mark in reversed(segment.marks):
                    start = mark.sequence
                    if segment.samples - mark.samples >= missing:
                        break
                missing -= segment.samples
                if missing <= 0:
                    break
        kept: deque[Message] = deque(maxlen=messages)
        while start is not None and (frames := self.read(start, _CHUNK)):
            for frame in frames:
                if isinstance(frame.content, list):
                    kept.extend(frame.content)
            start = frames[-1].sequence
        return list(kept)

    def release(self, upto: int) -> None:
        """Say that the lake has everything up to a sequence; whole files that are not needed any more are deleted."""
        with self._store.lock:
            upto = min(upto, self.durable)
            if upto <= self._store.released or self._closed:
                return
            self._store.released = upto
        self._writer.put_facts(FrameKind.RELEASE, encode_facts({"released": upto}))
        self._writer.nudge()

    def number_after(self, sequence: int) -> None:
        """Give new frames sequences above the one given.

        Whoever finds that it has taken more than this spool holds calls it: the end of the spool was lost after it was read, and numbers
        of frames that were taken must not come again.
        """
        self._writer.number_after(sequence)

    def depth(self) -> SpoolDepth:
        """Return what is durable and not released."""
        with self._store.lock:
            segments = list(self._store.segments)
        counts = [c for segment in segments if (c := self._store.unreleased(segment)).frames]
        rate = self._writer.rate.per_second(time.monotonic())
        return SpoolDepth(
            frames=sum(c.frames for c in counts),
            samples=sum(c.samples for c in counts),
            bytes=sum(c.size for c in counts),
            oldest=instant(counts[0].oldest) if counts else None,
            bytes_per_second=rate,
            hours_to_full=max(0, self._room.left()) / rate / 3600 if rate > 0 else None,
        )

    def close(self) -> None:
        """Make durable what was appended, where it can be written, and let others open the spool.

        What cannot be written is not acknowledged; `trouble` says why.
        """
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        with self._thin_lock:
            self._note_thinned(time.monotonic(), over=True)
        self._store.finish()
        self._guard.release()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _thin(self, block: Block) -> Block:
        with self._thin_lock:
            now = time.monotonic()
            if not self._writer.thinning:
                self._note_thinned(now, over=True)
                return block
            kept, lost = self._thinner.thin(block)
            if lost and self._thinned is None:
                note = "samples that are neither first, smallest nor largest of their minute so far"
                self._thinned = (self.ledger.open("spool_thinned", instant(block.received), note=note), now)
            self._left_out += lost
            if self._thinned is not None and now - self._thinned[1] >= _THIN_NOTED:
                self._note_thinned(now, over=False)
            return kept

    def _note_thinned(self, now: float, *, over: bool) -> None:
        if self._thinned is None:
            return
        if self._left_out:
            self.ledger.grow(self._thinned[0], self._clock(), self._left_out)
            self._left_out = 0
        self._thinned = None if over else (self._thinned[0], now)

    def _note_damage(self, damage: Damage) -> None:
        if damage.last < damage.first or damage.last <= self._store.released:
            return
        now = self._clock()
        self.ledger.note(
            "spool_damaged",
            instant(damage.since) if damage.since else now,
            instant(damage.until) if damage.until else now,
            samples=damage.samples,
            note=f"{damage.path.name}: frames {damage.first}-{damage.last}",
            key=f"damaged {damage.path.name} {damage.first}-{damage.last}",
        )

    def _note_tags(self, lines: int) -> None:
        now = self._clock()
        note = f"tags.jsonl: {lines} lines cannot be read; their tags get new numbers"
        self.ledger.note("spool_damaged", now, now, note=note, key=f"damaged tags.jsonl {lines}")


def _busy(folder: Path) -> InputError:
    return InputError(
        "spool_busy",
        ko="다른 프로그램이 이 연결의 임시 저장소를 쓰고 있어요.",
        en="Another program is using the spool of this connection.",
        next_ko="그 프로그램을 끝낸 뒤 다시 하세요. `madang connect status`로 볼 수 있어요.",
        next_en="End that program and try again; `madang connect status` shows it.",
        where={"folder": folder.name},
        retry=True,
    )
