"""A table of text as a stream of records: blocks of bytes become columns, by a fast way and a careful way that agree."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from madang.connect._encoding import FoundEncoding, decode_line, strangers
from madang.connect._shape import FIXED, WHITESPACE, Separator, TableShape, is_open, records, split_line
from madang.errors import InputError

BLOCK = 8 << 20
"""Bytes read at a time."""
LONGEST_LINE = 64 << 20

Opener = Callable[[], BinaryIO]


@dataclass
class Records:
    """A run of records in source order, one array per used column: text, or already typed where the fast way could."""

    rows: npt.NDArray[np.int64]
    """Record numbers, 1-based."""
    columns: list[Any]
    quarantine: list[tuple[int, str, str]] = field(default_factory=list)
    """Record number, reason and original text of what could not be read."""
    repaired: list[tuple[int, str]] = field(default_factory=list)
    """Record number and original text of records that were shifted and put right."""
    originals: Callable[[int], str] | None = None
    """Gives the original text of the record at an index."""
    split: Callable[[str], list[str]] | None = None
    """Parts an original text into the fields of a record of full width."""
    used: tuple[int, ...] = ()
    """Field position of each column."""
    ends_open: bool = False
    """Whether this run ends the file, without a line end behind its last record."""

    @property
    def count(self) -> int:
        """Source records of the run, quarantined ones included."""
        return len(self.rows) + len(self.quarantine)

    def text(self, index: int) -> str:
        """Return the original text of the record at an index."""
        if self.originals is not None:
            return self.originals(index)
        return ", ".join(str(column[index].as_py() or "") for column in self.columns)

    def fields(self, index: int) -> list[str]:
        """Return the fields of the record at an index as text."""
        if self.split is not None:
            return self.split(self.text(index))
        return [str(value) if (value := column[index].as_py()) is not None else "" for column in self.columns]

    def unmend_last(self, last: int) -> None:
        """Set a mended last record apart: its file ends in it, so nothing is certain about it."""
        if not self.repaired or self.repaired[-1][0] != last:
            return
        row, text = self.repaired.pop()
        place = int(np.searchsorted(self.rows, row))
        keep = np.delete(np.arange(len(self.rows)), place)
        self.rows = self.rows[keep]
        self.columns = [column.take(pa.array(keep)) for column in self.columns]
        originals = self.originals
        if originals is not None:
            self.originals = lambda index: originals(int(keep[index]))
        self.quarantine.append((row, "truncated", text))

    def part(self, start: int, stop: int) -> Records:
        """Return a stretch of the run; quarantined records are left to the caller."""
        rows = self.rows[start:stop]
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
        originals = self.originals
        return Records(
            rows,
            [column.slice(start, stop - start) for column in self.columns],
            repaired=[entry for entry in self.repaired if first <= entry[0] <= last],
            originals=(lambda index: originals(index + start)) if originals is not None else None,
            split=self.split,
            used=self.used,
            ends_open=self.ends_open and stop == len(self.rows),
        )


@dataclass
class Mixed:
    """Lines that are in another encoding than their file."""

    lines: int = 0
    examples: list[int] = field(default_factory=list)
    """Line numbers, 1-based."""
    encodings: set[str] = field(default_factory=set)


Repair = Callable[[list[str]], "list[str] | None"]
"""Puts a record with a shifted field right, or says that this cannot be done with certainty."""


@dataclass
class TextTable:
    """A table of text of known encoding, separator and shape."""

    opener: Opener
    encoding: FoundEncoding
    separator: Separator
    shape: TableShape
    newline: bytes = b"\n"
    comment: str | None = None
    decimal: str = "."
    """Decimal mark that the fast way may assume in columns it types itself."""
    header_lines: tuple[str, ...] = ()
    """The header rows and the units row as written; where they stand again inside the file they are no records."""
    repeated_headers: int = 0
    mixed: Mixed = field(default_factory=Mixed)
    ends_open: bool = False
    """Whether the last line has no line end."""

    def records(self, types: Sequence[Any] | None = None, repair: Repair | None = None) -> Iterator[Records]:
        """Yield the records from the beginning.

        Args:
            types: Arrow type per used column that the fast way may read directly (None: as text).
            repair: What to do with records of the wrong width.
        """
        wanted = list(types) if types is not None else [None] * len(self.shape.used)
        self.mixed = Mixed()
        self.repeated_headers = 0
        first = 1
        held: Records | None = None
        with ThreadPoolExecutor(1) as pool:
            for block, tokens in _ahead(pool, self.blocks(), lambda block: self._fast(block, wanted)):
                run = self._records_of(block, tokens, first, repair)
                first += run.count
                if held is not None:
                    yield held
                held = run
        if held is not None:
            if self.ends_open:
                held.ends_open = True
                held.unmend_last(first - 1)
                held.quarantine = [_cut_short(entry, first - 1) for entry in held.quarantine]
            yield held

    def physical_rows(self) -> list[list[str]]:
        """Return all physical rows of the text, for a table that must be held whole."""
        text = b"".join(self.blocks()).decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        lines = text.split("\n")
        parted = records(lines) if self.separator.sign not in (WHITESPACE, FIXED) else enumerate(lines)
        return [split_line(line, self.separator.sign, self.separator.widths) for _, line in parted if line.strip()]

    def segment(self, start: int, length: int) -> Records:
        """Return the records of a stretch inside the file as text, for learning; record numbers are not known and start at 1."""
        with self.opener() as stream:
            stream.seek(start)
            data = stream.read(length)
        first, last = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        block = self._decode(data[first:last], 0)
        return self._records_of(block, self._fast(block, [None] * len(self.shape.used)), 1, None)

    # ---- bytes to blocks of UTF-8

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of whole records as UTF-8, the preamble and header left out."""
        open_rest = b""
        skipped = False
        line = 1
        for raw, last in self._raw_blocks():
            block = self._decode(raw, line)
            line += block.count(b"\n")
            block = open_rest + block
            open_rest = b""
            if not skipped:
                block = block[_after_rows(block, self.shape.first_record) :]
                skipped = True
            if not last and b'"' in block and block.count(b'"') % 2:
                block, open_rest = _cut_open(block)
            if last:
                self.ends_open = bool(block) and not block.endswith(b"\n")
            if b'"' not in block and (b"\n\n" in block or b"\n\r\n" in block):
                block = re.sub(rb"\n(?:\r?\n)+", b"\n", block)
            if block:
                yield block

    def _raw_blocks(self) -> Iterator[tuple[bytes, bool]]:
        with self.opener() as stream:
            stream.read(self.encoding.bom)
            if self.encoding.name.startswith(("utf-16", "utf-32")):
                yield from self._wide_blocks(stream)
                return
            carry = b""
            while True:
                data = stream.read(BLOCK)
                if not data:
                    yield carry, True
                    return
                data = carry + data
                cut = data.rfind(self.newline) + 1
                if cut == 0 and len(data) > LONGEST_LINE:
                    raise _endless_line()
                carry = data[cut:]
                if cut:
                    yield data[:cut], False

    def _wide_blocks(self, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
        name = self.encoding.name
        if self.encoding.bom:
            stream.seek(0)
        elif name == "utf-16":
            name = "utf-16-le"
        decoder = codecs.getincrementaldecoder(name)(errors="backslashreplace")
        carry = ""
        while True:
            data = stream.read(BLOCK)
            text = carry + decoder.decode(data, final=not data)
            if not data:
                yield text.encode("utf-8", "backslashreplace"), True
                return
            cut = text.rfind("\n") + 1
            carry = text[cut:]
            if cut:
                yield text[:cut].encode("utf-8", "backslashreplace"), False

    def _decode(self, raw: bytes, line: int) -> bytes:
        if self.newline == b"\r":
            raw = raw.replace(b"\r", b"\n")
        name = self.encoding.name
        if raw.isascii() or name.startswith(("utf-16", "utf-32")):
            return raw
        if not strangers(raw, name):
            try:
                text = raw.decode(name)
            except UnicodeDecodeError:
                return self._decode_lines(raw, line)
            return raw if name in ("utf-8", "utf-8-sig") else text.encode()
        return self._decode_lines(raw, line)

    def _decode_lines(self, raw: bytes, line: int) -> bytes:
        out = []
        own = "utf-8" if self.encoding.name == "utf-8-sig" else self.encoding.name
        for number, part in enumerate(raw.split(b"\n"), start=line):
            if part.isascii():
                out.append(part)
                continue
            if not strangers(part, own):
                try:
                    out.append(part.decode(own).encode())
                except UnicodeDecodeError:
                    pass
                else:
                    continue
            text, used = decode_line(part, own)
            if used != own:
                self.mixed.lines += 1
                self.mixed.encodings.add(used)
                if len(self.mixed.examples) < 10:
                    self.mixed.examples.append(number)
            out.append(text.encode())
        return b"\n".join(out)

    # ---- blocks to records

    def _records_of(self, block: bytes, fast: list[Any] | None, first: int, repair: Repair | None) -> Records:
        if fast is None:
            return self._careful(block, first, repair)
        rows = np.arange(first, first + len(fast[0]), dtype=np.int64)
        return Records(rows, fast, originals=_Lines(block), split=self._split, used=self.shape.used)

    def _split(self, text: str) -> list[str]:
        fields = split_line(text, self.separator.sign, self.separator.widths)
        return self._fit(fields, self.shape.width) or fields

    def _fast(self, block: bytes, types: Sequence[Any]) -> list[Any] | None:
        """Read a block with Arrow's reader; None when anything about it is unusual."""
        sign = self.separator.sign
        if sign == FIXED or self.shape.ragged or self.shape.width == 1 or (self.comment and self.comment.encode() in block):
            return None
        if sign == WHITESPACE:
            if b'"' in block:
                return None
            block = re.sub(rb"[ \t\r\x0b\x0c]+", b" ", block)
            block = re.sub(rb"(?m)^ | $", b"", block)
            sign = " "
        elif b'"' in block and (block.count(b'"') % 2 or re.search(re.escape(sign).encode() + rb'[ \t]+"', block)):
            return None
        if _has_blank_record(block, sign.encode()) or any(line.encode() in block for line in self.header_lines):
            return None
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if not lines or b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
            return None
        for attempt in (types, [None] * len(types)):
            names = [f"f{place}" for place in range(self.shape.width)]
            used = [names[place] for place in self.shape.used if place >= 0]
            wanted = [kind for kind, place in zip(attempt, self.shape.used, strict=True) if place >= 0]
            column_types = {name: kind or pa.string() for name, kind in zip(used, wanted, strict=True)}
            try:
                table = pacsv.read_csv(
                    io.BytesIO(block),
                    read_options=pacsv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=True),
                    parse_options=pacsv.ParseOptions(delimiter=sign, quote_char='"', ignore_empty_lines=True),
                    convert_options=pacsv.ConvertOptions(
                        column_types=column_types,
                        include_columns=used,
                        null_values=[""],
                        strings_can_be_null=False,
                        decimal_point=self.decimal,
                    ),
                )
            except pa.ArrowInvalid:
                continue
            if table.num_rows != lines:
                return None
            columns = [
                table.column(names[place]).combine_chunks() if place >= 0 else no_cells(lines) for place in self.shape.used
            ]
            if all(not pa.types.is_floating(column.type) or _finite(column) for column in columns):
                return columns
        return None

    def _careful(self, block: bytes, first: int, repair: Repair | None) -> Records:
        """Read a block record by record, and keep apart what has the wrong width."""
        lines = block.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
        if lines and not lines[-1]:
            lines.pop()
        width, used = self.shape.width, self.shape.used
        kept: list[list[str]] = []
        rows: list[int] = []
        originals: list[str] = []
        out = Records(np.zeros(0, np.int64), [])
        number = first
        for _, text in records(lines) if self.separator.sign not in (WHITESPACE, FIXED) else enumerate(lines):
            text = text.rstrip("\r")
            if not text.strip():
                continue
            fields = split_line(text, self.separator.sign, self.separator.widths)
            if not any(cell.strip() for cell in fields):
                continue
            if text.strip() in self.header_lines:
                self.repeated_headers += text.strip() == self.header_lines[0]
                continue
            if self.comment and text.lstrip().startswith(self.comment):
                out.quarantine.append((number, "comment", text))
            elif (fitting := self._fit(fields, width)) is not None:
                kept.append(fitting)
                rows.append(number)
                originals.append(text)
            elif repair is not None and (mended := repair(fields)) is not None:
                kept.append(mended)
                rows.append(number)
                originals.append(text)
                out.repaired.append((number, text))
            else:
                out.quarantine.append((number, "fields", text))
            number += 1
        out.rows = np.array(rows, dtype=np.int64)
        out.originals, out.split, out.used = originals.__getitem__, self._split, used
        out.columns = [
            pa.array([fields[place] for fields in kept], pa.string()) if place >= 0 else no_cells(len(kept)) for place in used
        ]
        return out

    def _fit(self, fields: list[str], width: int) -> list[str] | None:
        """Return the fields of a record of ordinary width, blank ends taken off or added; None when the width is wrong."""
        if len(fields) == width:
            return fields
        if len(fields) > width:
            return fields[:width] if not any(cell.strip() for cell in fields[width:]) else None
        last_used = max(self.shape.used) + 1 if self.shape.used else width
        if self.shape.ragged or len(fields) >= last_used:
            return fields + [""] * (width - len(fields))
        return None


def no_cells(count: int) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """Return the texts of a column that the file does not have."""
    return pa.array([""] * count, pa.string())


def _has_blank_record(block: bytes, sign: bytes) -> bool:
    """Whether a line holds nothing but separators, which is a blank line of a spreadsheet."""
    if not block.startswith(sign) and b"\n" + sign not in block:
        return False
    return re.search(rb"(?:^|\n)(?:[ \t]|" + re.escape(sign) + rb'|"")+\r?(?:\n|$)', block) is not None


def _finite(column: Any) -> bool:  # noqa: ANN401 - pyarrow is untyped
    """Whether a column holds no NaN or infinity, which only words in the file can have made."""
    return pc.all(pc.is_finite(column)).as_py() in (True, None)


class _Lines:
    """Lines of a block, parted only when one is asked for."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._lines: list[bytes] | None = None

    def __call__(self, index: int) -> str:
        if self._lines is None:
            self._lines = self._block.split(b"\n")
        return self._lines[index].decode("utf-8", "backslashreplace").rstrip("\r")


def _ahead(
    pool: ThreadPoolExecutor, blocks: Iterator[bytes], work: Callable[[bytes], list[Any] | None]
) -> Iterator[tuple[bytes, list[Any] | None]]:
    """Let the next block be parsed while the caller works on this one; order is kept."""
    waiting: tuple[bytes, Future[list[Any] | None]] | None = None
    for block in blocks:
        following = (block, pool.submit(work, block))
        if waiting is not None:
            yield waiting[0], waiting[1].result()
        waiting = following
    if waiting is not None:
        yield waiting[0], waiting[1].result()


def _after_rows(block: bytes, rows: int) -> int:
    """Return the offset behind the first physical rows of a block; a quoted line break does not end a row."""
    if rows == 0:
        return 0
    lines = block.decode("utf-8", "backslashreplace").split("\n")
    for seen, (index, _) in enumerate(records(lines)):
        if seen == rows:
            return len("\n".join(lines[:index]).encode()) + 1
    return len(block)


def _cut_short(entry: tuple[int, str, str], last: int) -> tuple[int, str, str]:
    """Name the true reason of a last record that has too few fields because the file ends in it."""
    row, reason, text = entry
    return (row, "truncated", text) if row == last and reason == "fields" else entry


def _cut_open(block: bytes) -> tuple[bytes, bytes]:
    """Part off a record at the end of a block whose quoted field goes on in the next block."""
    lines = block.decode("utf-8", "backslashreplace").split("\n")
    start = len(lines)
    for index, text in records(lines):
        if '"' in text and is_open(text) and len(lines) - index < 200:
            start = index
            break
    if start >= len(lines):
        return block, b""
    return "\n".join([*lines[:start], ""]).encode() if start else b"", "\n".join(lines[start:]).encode()


def _endless_line() -> InputError:
    return InputError(
        "endless_line",
        ko="한 줄이 64 MB를 넘어요. 줄바꿈이 없는 파일이거나 표가 아니에요.",
        en="One line is longer than 64 MB: the file has no line breaks or is no table.",
        next_ko="행마다 줄바꿈이 있는 표로 다시 내보내 주세요.",
        next_en="Export the data again as a table with one row per line.",
    )
