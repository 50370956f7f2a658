"""Which files were handed over: path, size, time and content of each, kept in the connection's cursors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from madang.connect._source import Sink

_SHELVES: Final = 64
"""Cursors over which the ledger is spread, so that one more file does not write all of it anew."""
Fate = Literal["taken", "same", "refused"]


@dataclass(frozen=True)
class Stamp:
    """What a look from outside tells of a file."""

    size: int
    """[bytes]"""
    changed: int
    """Time of the last change [ns since 1970], as the file system has it."""


@dataclass(frozen=True)
class Entry:
    """One file that was dealt with."""

    stamp: Stamp
    content: str
    """SHA-256 of its content, in hexadecimal digits."""
    fate: Fate
    """``taken``: handed over. ``same``: its content was handed over under another name. ``refused``: it waits in quarantine."""


class FileLedger:
    """The files that were dealt with, by their path below the folder."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._entries: dict[str, Entry] = {}
        self._contents: dict[str, str] = {}
        self._dirty: set[int] = set()
        for shelf in range(_SHELVES):
            text = sink.cursor(f"folder/{shelf}")
            for path, (size, changed, content, fate) in json.loads(text or "{}").items():
                self._keep(path, Entry(Stamp(size, changed), content, fate))

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, path: str) -> Entry | None:
        """Return what is known of a path."""
        return self._entries.get(path)

    def taken_as(self, content: str) -> str | None:
        """Return the path under which a content was handed over."""
        return self._contents.get(content)

    def note(self, path: str, entry: Entry) -> None:
        """Note a file as dealt with."""
        self._keep(path, entry)
        self._dirty.add(_shelf(path))

    def save(self) -> None:
        """Save what was noted."""
        for shelf in sorted(self._dirty):
            kept: Mapping[str, tuple[int, int, str, str]] = {
                path: (entry.stamp.size, entry.stamp.changed, entry.content, entry.fate)
                for path, entry in self._entries.items()
                if _shelf(path) == shelf
            }
            self._sink.save_cursor(f"folder/{shelf}", json.dumps(kept, ensure_ascii=True))
        self._dirty.clear()

    def _keep(self, path: str, entry: Entry) -> None:
        before = self._entries.get(path)
        if before is not None and self._contents.get(before.content) == path:
            # The file was written anew: its earlier content, should it come back, is an export of its own again.
            del self._contents[before.content]
        self._entries[path] = entry
        if entry.fate == "taken":
            self._contents[entry.content] = path


def _shelf(path: str) -> int:
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=1).digest()[0] % _SHELVES
