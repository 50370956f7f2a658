"""Logs of machine-tool adapters (SHDR): ``time|key|value|key|value...``, conditions, messages and assets.

Source: MTConnect Institute, adapter protocol as read by the cppagent reference implementation: a condition is
``time|key|level|native code|native severity|qualifier|message``; ``@ASSET@`` commands may carry a body over several lines
that ends with the line of the mark given after ``--multiline--``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from madang.connect._text import Records

NAMES = ("time", "tag", "value", "detail")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?(@[\d.]+)?$")
_LEVELS = frozenset({"NORMAL", "WARNING", "FAULT", "UNAVAILABLE"})
_KEY = re.compile(r"^[^\s|=,;]{1,80}$")
_MULTILINE = "--multiline--"
_MAX_BODY = 10_000


def is_shdr(lines: Sequence[str]) -> bool:
    """Whether the lines are such a log: time stamps first, then keys and values in pairs whose number differs."""
    solid = [line for line in lines[:2000] if line.strip()]
    stamped = [line.split("|") for line in solid if "|" in line and _STAMP.match(line.split("|", 1)[0])]
    if len(stamped) < max(2, 0.5 * len(solid)):
        return False
    paired = [fields for fields in stamped if len(fields) % 2 == 1 and _KEY.match(fields[1])]
    varied = len({len(fields) for fields in stamped}) > 1
    keys = {fields[1] for fields in stamped if len(fields) > 1}
    return varied and len(paired) >= 0.8 * len(stamped) and not all(re.fullmatch(r"[\d.+-]*", key) for key in keys)


def read_shdr(blocks: Iterator[bytes]) -> Iterator[Records]:
    """Yield the pairs of each time-stamped line as a long table; pairs of one line share its record number."""
    state = _Log()
    for block in blocks:
        text = block.decode("utf-8", "backslashreplace")
        run = state.take(text.replace("\r\n", "\n").split("\n"), block.endswith(b"\n"))
        if run is not None:
            yield run
    last = state.finish()
    if last is not None:
        yield last


class _Log:
    """Reads a log line by line; an asset's body may go on from one block to the next."""

    def __init__(self) -> None:
        self._number = 0
        self._body: list[str] = []
        self._mark: str | None = None
        self._rows: list[int] = []
        self._cells: list[tuple[str, str, str, str]] = []
        self._apart: list[tuple[int, str, str]] = []

    def take(self, lines: Sequence[str], whole: bool) -> Records | None:
        for line in lines[:-1] if whole else lines:
            self._line(line)
        return self._run()

    def finish(self) -> Records | None:
        if self._mark is not None:
            self._apart.append((self._number, "truncated", "\n".join(self._body)))
            self._mark = None
        return self._run()

    def _run(self) -> Records | None:
        if not self._rows and not self._apart:
            return None
        columns = [pa.array(column, pa.string()) for column in zip(*self._cells, strict=True)] if self._cells else []
        rows, cells = self._rows, self._cells
        run = Records(
            np.array(rows, dtype=np.int64),
            columns or [pa.array([], pa.string()) for _ in NAMES],
            quarantine=self._apart,
            originals=_originals(cells),
            used=tuple(range(len(NAMES))),
        )
        self._rows, self._cells, self._apart = [], [], []
        return run

    def _line(self, line: str) -> None:
        if self._mark is not None:
            self._body.append(line)
            if line.strip() == self._mark or len(self._body) > _MAX_BODY:
                self._apart.append((self._number, "asset", "\n".join(self._body)))
                self._mark = None
            return
        if not line.strip():
            return
        self._number += 1
        fields = line.split("|")
        if line.startswith("*"):
            self._apart.append((self._number, "command", line))
        elif not _STAMP.match(fields[0]) or len(fields) < 3:
            self._apart.append((self._number, "fields", line))
        elif fields[1].startswith("@"):
            self._asset(fields, line)
        else:
            self._pairs(fields, line)

    def _asset(self, fields: Sequence[str], line: str) -> None:
        if fields[-1].startswith(_MULTILINE):
            self._mark, self._body = fields[-1].strip(), [line]
        else:
            self._apart.append((self._number, "asset", line))

    def _pairs(self, fields: Sequence[str], line: str) -> None:
        stamp = fields[0].split("@", 1)[0]
        if len(fields) == 7 and fields[2].upper() in _LEVELS:
            self._add(stamp, fields[1], fields[2], "|".join(fields[3:]).strip("|"))
        elif len(fields) == 4:
            self._add(stamp, fields[1], fields[3], fields[2])
        elif len(fields) % 2 == 1:
            for key, value in zip(fields[1::2], fields[2::2], strict=True):
                self._add(stamp, key, value, "")
        else:
            self._apart.append((self._number, "fields", line))

    def _add(self, stamp: str, key: str, value: str, detail: str) -> None:
        self._rows.append(self._number)
        self._cells.append((stamp, key, value, detail))


def _originals(cells: Sequence[tuple[str, ...]]) -> Callable[[int], str]:
    return lambda index: "|".join(cells[index])


def empty_types() -> list[Any]:
    """Return the Arrow types in which the columns may be read at once: none, all are text."""
    return [None] * len(NAMES)
