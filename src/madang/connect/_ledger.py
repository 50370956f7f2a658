"""The gap ledger of one connection: an append-only file of what was not got, flushed line by line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from madang.connect._gaps import Backfilled, Gap, GapCause
from madang.errors import Json


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(text: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text)).astimezone(UTC)


def gap_document(gap: Gap) -> dict[str, Json]:
    """Return a gap as a line of the ledger."""
    return {
        "id": gap.id,
        "cause": gap.cause,
        "since": _text(gap.since),
        "until": _text(gap.until),
        "tags": None if gap.tags is None else list(gap.tags),
        "samples": gap.samples,
        "backfilled": gap.backfilled,
        "filled": gap.filled,
        "note": gap.note,
    }


def gap_of(document: Mapping[str, object], connection: str) -> Gap:
    """Return the gap of a line of the ledger."""
    since = _instant(document["since"])
    if since is None:
        raise ValueError("a gap needs a start")
    tags, samples = document.get("tags"), document.get("samples")
    return Gap(
        id=str(document["id"]),
        connection=connection,
        cause=document["cause"],  # type: ignore[arg-type]
        since=since,
        until=_instant(document.get("until")),
        tags=tuple(map(str, tags)) if isinstance(tags, list) else None,
        samples=samples if isinstance(samples, int) else None,
        backfilled=document.get("backfilled", "no"),  # type: ignore[arg-type]
        filled=int(str(document.get("filled", 0))),
        note=str(document.get("note", "")),
    )


class Ledger:
    """Gaps of one connection. Every change is a line with the gap as it stands then; the newest line of an id counts.

    A line that cannot be written (the disk is full) is kept and written with the next one, or by `flush`.

    Args:
        path: The file ``gaps.jsonl``; None keeps the gaps in memory alone.
        connection: Name of the connection; the beginning of each id.
    """

    def __init__(self, path: Path | None, connection: str) -> None:
        self.path = path
        self.connection = connection
        self._lock = threading.RLock()
        self._gaps = {} if path is None else {gap.id: gap for gap in Ledger.read(path, connection)}
        self._keys = {
            str(line["key"]): str(line["id"]) for line in (_lines(path) if path is not None else ()) if line.get("key")
        }
        self._unwritten: list[bytes] = []
        self._torn = path is not None and path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")

    @staticmethod
    def read(path: Path, connection: str) -> list[Gap]:
        """Return the gaps that a ledger holds, oldest first, without holding it; any process may."""
        gaps: dict[str, Gap] = {}
        for line in _lines(path):
            try:
                gap = gap_of(line, connection)
            except (KeyError, ValueError, TypeError):
                continue
            gaps[gap.id] = gap
        return list(gaps.values())

    def gaps(self) -> list[Gap]:
        """Return all gaps, oldest first."""
        with self._lock:
            return list(self._gaps.values())

    def get(self, gap: str) -> Gap:
        """Return one gap.

        Raises:
            KeyError: There is no such gap.
        """
        with self._lock:
            return self._gaps[gap]

    def open(
        self,
        cause: GapCause,
        since: datetime,
        *,
        tags: Sequence[str] | None = None,
        samples: int | None = None,
        note: str = "",
        key: str = "",
    ) -> str:
        """Note a gap that begins.

        The same cause and tags, still open, is noted once, from the earliest instant told; the same key is noted once for ever.

        Returns:
            The gap's id.
        """
        named = None if tags is None else tuple(sorted(set(tags)))
        with self._lock:
            if key and key in self._keys:
                return self._keys[key]
            for gap in self._gaps.values():
                if not key and gap.until is None and gap.cause == cause and gap.tags == named:
                    if since < gap.since:
                        self._put(replace(gap, since=since))
                    return gap.id
            fresh = Gap(
                id=f"{self.connection}-{self._highest() + 1:06d}",
                connection=self.connection,
                cause=cause,
                since=since,
                until=None,
                tags=named,
                samples=samples,
                note=note,
            )
            if key:
                self._keys[key] = fresh.id
            self._put(fresh, key)
            return fresh.id

    def note(
        self,
        cause: GapCause,
        since: datetime,
        until: datetime,
        *,
        tags: Sequence[str] | None = None,
        samples: int | None = None,
        note: str = "",
        key: str,
    ) -> str:
        """Note a gap that is already over; the same key is noted once."""
        with self._lock:
            known = key in self._keys
            gap = self.open(cause, since, tags=tags, samples=samples, note=note, key=key)
            if not known:
                self.close(gap, until)
            return gap

    def close(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        """Note that samples arrive again. A gap that is closed keeps its end."""
        with self._lock:
            known = self._gaps[gap]
            if known.until is None:
                lost = known.samples if samples is None else samples
                self._put(replace(known, until=max(until, known.since), samples=lost))

    def grow(self, gap: str, until: datetime, samples: int, *, key: str = "") -> None:
        """Note that an interval whose loss goes on is longer by now, and how many samples more are lost; the same key counts once."""
        with self._lock:
            if key and key in self._keys:
                return
            if key:
                self._keys[key] = gap
            known = self._gaps[gap]
            self._put(replace(known, until=max(until, known.until or known.since), samples=(known.samples or 0) + samples), key)

    def fill(self, gap: str, filled: int, *, whole: bool | None) -> None:
        """Note what backfilling brought; `whole` None = the peer keeps no history."""
        with self._lock:
            known = self._gaps[gap]
            total = known.filled + filled
            state: Backfilled = "impossible" if whole is None else "yes" if whole else "part" if total else "no"
            self._put(replace(known, backfilled=state, filled=total))

    def flush(self) -> bool:
        """Write what could not be written before; returns whether all is written."""
        with self._lock:
            if not self._unwritten or self.path is None:
                self._unwritten.clear()
                return True
            try:
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError:
                return False
            try:
                size = os.fstat(handle).st_size
                data = (b"\n" if self._torn else b"") + b"".join(self._unwritten)
                try:
                    if os.write(handle, data) != len(data):
                        raise OSError("short write")
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, size)
                    return False
            finally:
                os.close(handle)
            self._torn = False
            self._unwritten.clear()
            return True

    def _highest(self) -> int:
        """Return the number of the newest gap; a line that cannot be read any more must not give its number away twice."""
        numbers = (gap.rpartition("-")[2] for gap in self._gaps)
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _put(self, gap: Gap, key: str = "") -> None:
        self._gaps[gap.id] = gap
        line = gap_document(gap) | ({"key": key} if key else {})
        self._unwritten.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.flush()


def _lines(path: Path) -> list[dict[str, object]]:
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
    return found
