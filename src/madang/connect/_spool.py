"""The spool: what a connection got is on disk before its peer is told so, and stays until the lake has it.

One thread writes. It takes everything that waits, writes it, flushes once, and then calls back: many small appends share one flush.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from madang.connect._blocks import Block, Message, Reject, Rows
from madang.connect._frames import (
    Frame,
    FrameHeader,
    FrameKind,
    Payload,
    encode_block,
    encode_facts,
    encode_messages,
    encode_reject,
    encode_rows,
)
from madang.connect._ledger import Ledger
from madang.connect._lock import FolderLock
from madang.connect._segments import Damage, read_frames
from madang.connect._store import SegmentStore, flush_folder, framed, read_identity, write_all
from madang.connect._tagbook import TagBook
from madang.errors import MadangError

OverflowPolicy = Literal["block", "drop_oldest", "thin"]
Done = Callable[[], None]
_FRAME_MESSAGES: Final = 16_384
_FRAME_BYTES: Final = 1 << 20

flush_file: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Makes the bytes of an open file durable; fdatasync, where the system has it."""


@dataclass(frozen=True)
class SpoolLimits:
    """How much a spool may take, and what happens when that is not enough."""

    bytes: int = 10 * 2**30
    """Most bytes on disk."""
    floor: int = 2 * 2**30
    """Bytes that stay free on the disk."""
    policy: OverflowPolicy = "block"
    """``block``: take no more until there is room. ``drop_oldest``: delete the oldest and note it. ``thin``: keep the smallest and
    largest of each stretch, mark them, note it; then as ``drop_oldest``."""
    segment_bytes: int = 64 * 2**20
    keep_bytes: int = 8 * 2**20
    """Released bytes that stay, so that what is sent twice can be recognised after a restart."""
    queue_bytes: int = 64 * 2**20
    """Most bytes in memory that are not durable yet; then appending waits."""
    window: float = 0.005
    """Least time between two flushes while more keeps coming [s]."""


@dataclass(frozen=True)
class SpoolDepth:
    """What is in a spool and not yet in the lake."""

    frames: int
    samples: int
    bytes: int
    oldest: datetime | None
    """When the oldest of it was received (UTC)."""
    bytes_per_second: float
    """What came in lately, as it stands on disk."""
    hours_to_full: float | None
    """How long it would last if nothing were taken out; None while nothing comes."""


@dataclass
class _Item:
    kind: FrameKind
    sequence: int
    payload: Payload | None
    samples: int
    received: int
    size: int
    done: list[Done] = field(default_factory=list)
    messages: list[Message] | None = None
    facts: tuple[str, str] | None = None


class Spool:
    """An append-only, crash-safe queue on disk for one connection. Made by `open`."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], datetime], limits: SpoolLimits, sync: Callable[[int], None]
    ) -> None:
        self.folder = folder
        self.limits = limits
        self._clock = clock
        self._lock_file = FolderLock(folder / "lock")
        self._lock_file.take()
        try:
            self.id = _identity(folder)
            self._salt = zlib.crc32(self.id.encode())
            self.ledger = Ledger(folder / "gaps.jsonl", name)
            self._store = SegmentStore(folder, self.id, self._salt, sync)
            damages = self._store.load()
            self.tags = TagBook.read(folder / "tags.jsonl", lambda: self._last)
            for damage in damages:
                self._note_damage(damage)
        except BaseException:
            self._lock_file.give()
            raise
        self._cursors = dict(self._store.cursors)
        self._last = self._store.last
        self._durable = self._store.last
        self._changed = threading.Condition()
        self._queue: list[_Item] = []
        self._queued = 0
        self._closing = False
        self._trouble: OSError | None = None
        self._rate = _Rate()
        self._thread = threading.Thread(target=self._run, name=f"spool {name}", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        limits: SpoolLimits = SpoolLimits(),
        sync: Callable[[int], None] = flush_file,
        name: str | None = None,
    ) -> Spool:
        """Open the spool of a folder, and make it when it is new.

        Args:
            folder: Its files; nobody else writes there.
            clock: Tells the time of ledger rows.
            limits: How much it may take.
            sync: Makes an open file durable.
            name: Name of the connection in the ledger; the folder's name by default.

        Raises:
            InputError: Another process holds it (``spool_busy``).
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, name or folder.name, clock, limits, sync)

    @property
    def durable(self) -> int:
        """Sequence of the newest frame that survives a power loss; 0 when there is none."""
        return self._durable

    @property
    def newest(self) -> datetime | None:
        """When the newest durable frame was received (UTC); None while there is none."""
        with self._store.lock:
            newest = max((s.newest for s in self._store.segments), default=0)
        return datetime.fromtimestamp(newest / 1e6, UTC) if newest else None

    def tail(self, messages: int) -> list[Message]:
        """Return up to about so many of the newest messages that are still on disk, released ones too, oldest first."""
        found: list[Message] = []
        with self._store.lock:
            segments = list(self._store.segments)
        for segment in reversed(segments):
            kept = [m for f in self.read(segment.first - 1, segment.end) if isinstance(f.content, list) for m in f.content]
            found = kept + found
            if len(found) >= messages:
                break
        return found[-messages:]

    @property
    def released(self) -> int:
        """Sequence up to which the lake has everything."""
        return self._store.released

    @property
    def trouble(self) -> OSError | None:
        """Why nothing can be written just now; None while all is well."""
        return self._trouble

    def append_block(self, block: Block, done: Done | None = None) -> int:
        """Take samples.

        Args:
            block: Columns of `BLOCK_SCHEMA`, or what can be cast to it.
            done: Called from the writer's thread once the block survives a power loss. It must be quick.

        Returns:
            Sequence of the frame; it is not durable yet.
        """
        payload = encode_block(block)
        return self._append(FrameKind.BLOCK, payload, len(block), block.received, done)

    def append_rows(self, rows: Rows, done: Done | None = None) -> int:
        """Take records of a table."""
        return self._append(FrameKind.ROWS, encode_rows(rows), rows.batch.num_rows, rows.received, done)

    def append_reject(self, reject: Reject) -> int:
        """Take what could not be understood."""
        return self._append(FrameKind.REJECT, encode_reject(reject), 1, reject.received, None)

    def append_messages(self, messages: Sequence[Message], done: Done | None = None) -> int:
        """Take raw messages. Messages appended one soon after another may share a frame; `done` is called for each call.

        Returns:
            Sequence of the frame that holds the last of them.
        """
        if not messages:
            return self._append_nothing(done)
        size = sum([len(m.payload) for m in messages]) + 16 * len(messages)
        with self._changed:
            self._wait_for_room()
            item = self._queue[-1] if self._queue else None
            if item is None or item.messages is None or item.size >= _FRAME_BYTES or item.samples >= _FRAME_MESSAGES:
                self._last += 1
                item = _Item(FrameKind.MESSAGES, self._last, None, 0, 0, 0, messages=[])
                self._queue.append(item)
            if item.messages is not None:
                item.messages.extend(messages)
            item.samples += len(messages)
            item.size += size
            item.received = messages[-1].received
            self._queued += size
            if done is not None:
                item.done.append(done)
            self._changed.notify_all()
            return item.sequence

    def _append_nothing(self, done: Done | None) -> int:
        with self._changed:
            if done is not None:
                self._queue.append(_Item(FrameKind.RELEASE, self._last, None, 0, 0, 0, [done]))
                self._changed.notify_all()
            return self._last

    def _append(self, kind: FrameKind, payload: Payload, samples: int, received: int, done: Done | None) -> int:
        with self._changed:
            self._wait_for_room()
            self._last += 1
            item = _Item(kind, self._last, payload, samples, received, payload.length, [] if done is None else [done])
            self._queue.append(item)
            self._queued += item.size
            self._changed.notify_all()
            return self._last

    def _wait_for_room(self) -> None:
        while self._queued > self.limits.queue_bytes and not self._closing:
            self._changed.wait()
        if self._closing:
            raise closed_error(self.folder)

    def cursor(self, name: str) -> str | None:
        """Return a position saved with `save_cursor`, the newest, durable or not."""
        return self._cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Done | None = None) -> None:
        """Save a position; it is durable not before everything appended earlier is."""
        with self._changed:
            self._wait_for_room()
            self._cursors[name] = value
            payload = encode_facts({"name": name, "value": value})
            calls = [] if done is None else [done]
            item = _Item(FrameKind.CURSOR, self._last, payload, 0, 0, payload.length, calls, facts=(name, value))
            self._queue.append(item)
            self._queued += item.size
            self._changed.notify_all()

    def wait(self, sequence: int, timeout: float | None = None) -> bool:
        """Wait until a frame is durable; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._durable >= sequence or not self._thread.is_alive(), timeout) and (
                self._durable >= sequence
            )

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

    def release(self, upto: int) -> None:
        """Say that the lake has everything up to a sequence; whole files that are not needed any more are deleted."""
        with self._changed:
            upto = min(upto, self._durable)
            if upto <= self._store.released or self._closing:
                return
            with self._store.lock:
                self._store.released = upto
            payload = encode_facts({"released": upto})
            self._queue.append(_Item(FrameKind.RELEASE, self._last, payload, 0, 0, payload.length))
            self._queued += payload.length
            self._changed.notify_all()

    def depth(self) -> SpoolDepth:
        """Return what is durable and not released."""
        frames = samples = size = 0
        oldest = 0
        with self._store.lock:
            released = self._store.released
            for segment in self._store.segments:
                if segment.last <= released:
                    continue
                mark = segment.mark_before(released)
                frames += segment.frames - mark.frames
                samples += segment.samples - mark.samples
                size += segment.end - mark.offset
                oldest = oldest or segment.oldest
            used = self._store.size
        rate = self._rate.per_second(time.monotonic())
        free = max(0, min(self.limits.bytes - used, free_bytes(self.folder) - self.limits.floor))
        return SpoolDepth(
            frames=frames,
            samples=samples,
            bytes=size,
            oldest=datetime.fromtimestamp(oldest / 1e6, UTC) if oldest else None,
            bytes_per_second=rate,
            hours_to_full=free / rate / 3600 if rate > 0 else None,
        )

    def close(self) -> None:
        """Make durable what was appended, and let others open the spool."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._store.finish()
        self._lock_file.give()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        begun = 0.0
        while True:
            with self._changed:
                idle = not self._queue
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
            if not idle:
                time.sleep(max(0.0, self.limits.window - (time.monotonic() - begun)))
            begun = time.monotonic()
            with self._changed:
                items, self._queue = self._queue, []
                self._queued = 0
                self._changed.notify_all()
            self._commit(items)

    def _commit(self, items: list[_Item]) -> None:
        frames = [f for item in items if (f := self._frame(item)) is not None]
        pause = 0.01
        while True:
            try:
                self._write_tags()
                self._store.write(frames, self.limits.segment_bytes)
                break
            except OSError as error:
                self._trouble = error
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait(pause)
                pause = min(1.0, pause * 2)
        self._trouble = None
        self.ledger.flush()
        for item in items:
            if item.facts is not None:
                self._store.cursors[item.facts[0]] = item.facts[1]
        self._rate.add(time.monotonic(), sum(h.size for h, _ in frames))
        with self._changed:
            self._durable = self._store.last
            self._changed.notify_all()
        self._store.forget(self.limits.keep_bytes)
        for item in items:
            for done in item.done:
                with contextlib.suppress(Exception):
                    done()

    def _frame(self, item: _Item) -> tuple[FrameHeader, list[bytes]] | None:
        if item.messages is not None:
            item.payload = encode_messages(item.messages)
        if item.payload is None:
            return None
        return framed(item.kind, item.sequence, item.payload, item.samples, item.received, self._salt)

    def _write_tags(self) -> None:
        lines = self.tags.take_lines()
        if not lines:
            return
        try:
            handle = os.open(self.folder / "tags.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(handle).st_size
                try:
                    write_all(handle, b"\n" + b"".join(lines))
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, size)
                    raise
            finally:
                os.close(handle)
        except OSError:
            self.tags.give_back(lines)
            raise

    def _note_damage(self, damage: Damage) -> None:
        if damage.last < damage.first or damage.last <= self._store.released:
            return
        now = self._clock()
        self.ledger.note(
            "spool_damaged",
            datetime.fromtimestamp(damage.since / 1e6, UTC) if damage.since else now,
            datetime.fromtimestamp(damage.until / 1e6, UTC) if damage.until else now,
            samples=damage.samples,
            note=f"{damage.path.name}: frames {damage.first}-{damage.last}, {damage.size} bytes at {damage.offset}",
            key=f"{damage.path.name}:{damage.first}-{damage.last}",
        )


class _Rate:
    """Bytes a second over about the last minute."""

    def __init__(self, span: float = 60.0) -> None:
        self._span = span
        self._lock = threading.Lock()
        self._seen: list[tuple[float, int]] = []

    def add(self, now: float, size: int) -> None:
        with self._lock:
            if self._seen and now - self._seen[-1][0] < 1.0:
                self._seen[-1] = (self._seen[-1][0], self._seen[-1][1] + size)
            else:
                self._seen.append((now, size))
            while self._seen and now - self._seen[0][0] > self._span:
                self._seen.pop(0)

    def per_second(self, now: float) -> float:
        with self._lock:
            recent = [(at, size) for at, size in self._seen if now - at <= self._span]
            if not recent:
                return 0.0
            return sum(size for _, size in recent) / max(1.0, now - recent[0][0])


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on a folder's disk."""
    if hasattr(os, "statvfs"):
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


def closed_error(folder: Path) -> MadangError:
    """Return the error of an append to a spool that is closed."""
    return MadangError(
        "spool_closed",
        ko="이미 닫힌 임시 저장소에 넣으려 했어요.",
        en="Something was appended to a spool that is closed.",
        where={"folder": folder.name},
    )


def _identity(folder: Path) -> str:
    path = folder / "spool.json"
    if path.exists():
        return read_identity(path)
    identity = uuid4().hex
    for name in ("tags.jsonl", "gaps.jsonl"):
        (folder / name).touch()
    scratch = folder / "spool.json.new"
    with scratch.open("wb") as stream:
        stream.write(json.dumps({"format": 1, "id": identity}).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    flush_folder(folder)
    flush_folder(folder.parent)
    return identity
