"""The tags of one connection and their lasting numbers."""

from __future__ import annotations

import json
import threading
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from madang.connect._blocks import Tag
from madang.errors import Json
from madang.plant import Bilingual


def _check(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


def tag_document(number: int, tag: Tag, after: int) -> dict[str, Json]:
    """Return a tag as a line of the book."""
    return {
        "after": after,
        "number": number,
        "name": tag.name,
        "label": None if tag.label is None else [tag.label.ko, tag.label.en],
        "data_type": tag.data_type,
        "unit": tag.unit,
        "low": tag.low,
        "high": tag.high,
        "writable": tag.writable,
        "description": tag.description,
        "parent": tag.parent,
        "facts": dict(tag.facts),
    }


def tag_of(document: Mapping[str, object]) -> Tag:
    """Return the tag of a line of the book."""
    fields = {k: v for k, v in document.items() if k not in ("after", "number", "label")}
    label = document.get("label")
    return Tag(label=Bilingual(*label) if isinstance(label, list) else None, **fields)  # type: ignore[arg-type]


class TagBook:
    """Numbers the tags of a connection, from 1. A tag keeps its number for ever; its facts may change.

    The book itself holds what is in memory. Its lines are written, and flushed, before the frames that use them: the spool's writer
    takes them with `take_lines` at the start of each commit.

    Args:
        last_sequence: Tells the sequence of the newest frame appended, so that it is known from which frame on new facts hold.
    """

    def __init__(self, last_sequence: Callable[[], int] = lambda: 0) -> None:
        self._last_sequence = last_sequence
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._tags: dict[int, Tag] = {}
        self._last = 0
        self._changes: list[tuple[int, int, Tag]] = []
        self._lines: list[bytes] = []
        self.damaged = 0
        """Lines that could not be read."""
        self.torn = 0
        """Bytes at the end of the file that a crash left half written."""

    @classmethod
    def read(cls, path: Path, last_sequence: Callable[[], int] = lambda: 0) -> TagBook:
        """Read the book that a spool left; a torn last line was never used by a durable frame and is passed over."""
        book = cls(last_sequence)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for at, line in enumerate(lines):
            check, _, text = line.partition(b" ")
            if not line:
                continue
            if check != _check(text):
                if at < len(lines) - 1:
                    book.damaged += 1
                else:
                    book.torn = len(line)
                continue
            document = json.loads(text)
            number, tag = int(document["number"]), tag_of(document)
            book._numbers[tag.name] = number
            book._tags[number] = tag
            book._changes.append((int(document["after"]), number, tag))
            book._last = max(book._last, number)
        return book

    def number_of(self, tag: Tag) -> int:
        """Return the tag's number; a new tag, or new facts about one, are on disk before any block appended later is."""
        with self._lock:
            number = self._numbers.get(tag.name)
            if number is not None and self._tags[number] == tag:
                return number
            if number is None:
                number = self._last = self._last + 1
            kept = replace(tag, facts=dict(tag.facts))
            self._numbers[tag.name] = number
            self._tags[number] = kept
            after = self._last_sequence()
            self._changes.append((after, number, kept))
            text = json.dumps(tag_document(number, kept, after), ensure_ascii=False).encode("utf-8", "surrogatepass")
            self._lines.append(_check(text) + b" " + text + b"\n")
            return number

    def tag(self, number: int) -> Tag:
        """Return the tag of a number.

        Raises:
            KeyError: No tag has it.
        """
        with self._lock:
            return self._tags[number]

    def all(self) -> Mapping[int, Tag]:
        """Return all tags by number, as they are known now."""
        with self._lock:
            return MappingProxyType(dict(self._tags))

    def changes(self, after: int) -> Sequence[tuple[int, int, Tag]]:
        """Return new tags and new facts about tags, oldest first.

        Args:
            after: Changes that came before this frame was the newest are left out.

        Returns:
            For each change the sequence of the last frame before it, the tag's number, and the tag as it is from then on.
        """
        with self._lock:
            return self._changes[bisect_left(self._changes, after, key=lambda change: change[0]) :]

    def take_lines(self) -> list[bytes]:
        """Return the lines that are not written yet, and forget them."""
        with self._lock:
            lines, self._lines = self._lines, []
            return lines

    def give_back(self, lines: list[bytes]) -> None:
        """Take lines back that could not be written."""
        with self._lock:
            self._lines = lines + self._lines
