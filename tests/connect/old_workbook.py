"""Writes the smallest XLS file (BIFF8 in a compound file) that a test needs; no library at hand writes them any more.

Source: [MS-XLS] 2.4 (records BOF, BoundSheet8, Label, Number, MergeCells, EOF) and [MS-CFB] 2.2 to 2.6 (header, FAT, directory).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
Rows = Sequence[Sequence[str | float | None]]


def old_workbook(
    sheets: Mapping[str, Rows], merges: Mapping[str, Sequence[tuple[int, int, int, int]]], hidden: str = ""
) -> bytes:
    """Return the bytes of a workbook.

    Args:
        sheets: Cells by name of the sheet.
        merges: Merged ranges by name of the sheet: first row, first column, last row, last column.
        hidden: Name of the sheet that is hidden.
    """
    streams = [_sheet(rows, merges.get(name, ())) for name, rows in sheets.items()]
    lengths = [len(_bound_sheet(name, 0, False)) for name in sheets]
    at = len(_record(0x0809, _BOF_GLOBALS)) + sum(lengths) + len(_record(0x000A, b""))
    book = _record(0x0809, _BOF_GLOBALS)
    for name, stream in zip(sheets, streams, strict=True):
        book += _bound_sheet(name, at, name == hidden)
        at += len(stream)
    return _compound(book + _record(0x000A, b"") + b"".join(streams))


_BOF_GLOBALS = struct.pack("<HHHHII", 0x0600, 0x0005, 0x0DBB, 0x07CC, 0, 0x0600)
_BOF_SHEET = struct.pack("<HHHHII", 0x0600, 0x0010, 0x0DBB, 0x07CC, 0, 0x0600)


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _bound_sheet(name: str, at: int, hidden: bool) -> bytes:
    return _record(0x0085, struct.pack("<IBBBB", at, int(hidden), 0, len(name), 1) + name.encode("utf-16-le"))


def _sheet(rows: Rows, merges: Sequence[tuple[int, int, int, int]]) -> bytes:
    width = max(len(row) for row in rows)
    out = _record(0x0809, _BOF_SHEET) + _record(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, width, 0))
    for place, row in enumerate(rows):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                text = struct.pack("<HHHHB", place, column, 0, len(cell), 1) + cell.encode("utf-16-le")
                out += _record(0x0204, text)
            elif cell is not None:
                out += _record(0x0203, struct.pack("<HHHd", place, column, 0, cell))
    if merges:
        ranges = b"".join(struct.pack("<HHHH", top, bottom, left, right) for top, left, bottom, right in merges)
        out += _record(0x00E5, struct.pack("<H", len(merges)) + ranges)
    return out + _record(0x000A, b"")


def _compound(stream: bytes) -> bytes:
    # Streams below 4096 bytes would go into a mini stream, so the only one is filled up.
    stream = stream.ljust(max(4096, -(-len(stream) // SECTOR) * SECTOR), b"\0")
    sectors = len(stream) // SECTOR
    chain = [FAT, END, *range(3, sectors + 2), END]
    fat = struct.pack(f"<{SECTOR // 4}I", *chain, *[FREE] * (SECTOR // 4 - len(chain)))
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
        + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, END, 0, END, 0) + struct.pack("<109I", 0, *[FREE] * 108)
    )  # fmt: skip
    directory = _entry("Root Entry", 5, 1, END, 0) + _entry("Workbook", 2, FREE, 2, len(stream)) + 2 * _entry("", 0, FREE, 0, 0)
    return header + fat + directory + stream


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0" if name else b""
    head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, 1, FREE, FREE, child)
    return head + bytes(36) + struct.pack("<IQ", start, size)
