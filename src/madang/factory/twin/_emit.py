"""One table, written the way some plant would write it, with every trouble named and counted beside it."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import sqlite3
import tempfile
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.factory.twin._plain import PlainColumn, PlainTable

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

FileForm = Literal["csv", "tsv", "fixed", "whitespace", "jsonl", "json", "parquet", "xlsx", "sqlite"]
TimeForm = Literal[
    "space", "iso_offset", "ampm", "h24", "day_first_dot", "day_first_slash", "epoch_s", "epoch_ms", "epoch_us", "compact",
    "midnight_row", "words_ko", "excel_serial", "iso_z", "month_first", "split",
]  # fmt: skip
Trouble = Literal[
    "duplicates", "out_of_order", "shifted_longer", "shifted_same", "totals", "truncated", "bad_codes", "missing_words",
    "stuck", "rollover", "mixed_units", "censored", "personal", "hidden_sheet", "hidden_column", "second_table",
    "blank_lines", "repeated_header", "trailing_separator", "sep_line", "cell_units", "full_width", "quoted_newline",
]  # fmt: skip

SEOUL = np.timedelta64(9 * 3600, "s")
SPLIT = "\x1f"
"""Parts a time that is written into two cells."""
BAD_WORDS = ("-", "#N/A", "9999", "ERR", "9999", "#VALUE!", "Bad", "9999")
MISSING_WORDS = ("", "N.D.", "NULL", "NaN", "")


@dataclass(frozen=True)
class Style:
    """How a table is written."""

    form: FileForm = "csv"
    encoding: str = "utf-8"
    separator: str = ","
    decimal: str = "."
    thousands: bool = False
    preamble: tuple[str, ...] = ()
    header: Literal["one", "two", "none"] = "one"
    units: Literal["none", "row", "header"] = "header"
    layout: Literal["wide", "long", "transposed", "nested"] = "wide"
    time: TimeForm = "space"
    compress: Literal["none", "gzip", "zip"] = "none"
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True)
class ColumnTruth:
    """What a right reading of a column gives, in the column's written unit."""

    name: str
    unit: str | None
    n: int
    sum: float


@dataclass(frozen=True)
class Outcome:
    """One right way to read a table: a few troubles may be mended or set aside, and both are right."""

    kept: int
    quarantined: int
    duplicate: int
    columns: tuple[ColumnTruth, ...]
    time_first: str | None
    time_last: str | None


@dataclass(frozen=True)
class EmittedTruth:
    """What stands in the file."""

    style: Style
    outcomes: tuple[Outcome, ...]
    expected: frozenset[str]
    """Findings that a good intake reports."""
    allowed: frozenset[str]
    """Findings that are no false alarm here."""
    encodings: frozenset[str]
    """Python codec names under which the bytes read the same; empty where there is no text encoding."""
    layout: str


@dataclass(frozen=True)
class Emitted:
    """A file and the truth about it."""

    name: str
    data: bytes
    truth: EmittedTruth


@dataclass
class _Sheet:
    """A table on its way to text: one row per record, one entry per column."""

    table: PlainTable
    cells: list[list[str]]
    """Written cells without the time, by record."""
    times: list[str]
    values: FloatArray
    """Value in the column's unit, shape (record, column)."""
    state: NDArray[np.str_]
    """``good``, ``none`` (missing, bad, not numeric), ``stuck`` or ``censored`` by cell."""
    source: IntArray
    """Base record of each written record."""
    kind: list[str]
    """``normal``, ``duplicate``, ``shifted``, ``totals`` or ``truncated`` by written record."""
    expected: set[str] = field(default_factory=set)
    allowed: set[str] = field(default_factory=set)
    strange_lines: int = 0
    """Lines that are no records: blank ones, headers in between. They may be passed over or set aside."""


def emit(table: PlainTable, style: Style, seed: int) -> Emitted:
    """Write a table in a style and say what stands in the file.

    Args:
        table: The plain table.
        style: How it is written; a trouble that the form cannot show (a truncated workbook) raises.
        seed: Of the places where troubles strike.

    Returns:
        The file's name, its bytes and the truth.

    Raises:
        ValueError: The style contradicts itself.
    """
    _check(style, table)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 977]))
    sheet = _written(table, style)
    for trouble in style.troubles:
        _CELL_TROUBLES.get(trouble, _leave)(sheet, style, rng)
    for trouble in style.troubles:
        _ROW_TROUBLES.get(trouble, _leave)(sheet, style, rng)
    data = _render(sheet, style, rng)
    name = f"{table.name}.{_suffix(style)}"
    if style.compress == "gzip":
        data, name = gzip.compress(data, mtime=0), name + ".gz"
    elif style.compress == "zip":
        data, name = _zipped(name, data), f"{table.name}.zip"
    layout = {"nested": "nested", "long": "long", "transposed": "transposed"}.get(style.layout, "wide")
    return Emitted(name, data, EmittedTruth(
        style, _outcomes(sheet, style), frozenset(sheet.expected), frozenset(sheet.allowed | sheet.expected),
        _same_encodings(style, data), layout,
    ))  # fmt: skip


def _check(style: Style, table: PlainTable) -> None:
    text = style.form in ("csv", "tsv")
    wide_text = text and style.layout == "wide"
    for trouble, possible in {
        "truncated": wide_text,
        "shifted_longer": wide_text,
        "shifted_same": wide_text and any(not c.numeric for c in table.columns),
        "totals": wide_text or style.form == "xlsx",
        "hidden_sheet": style.form == "xlsx",
        "hidden_column": style.form == "xlsx",
        "second_table": style.form == "xlsx",
        "rollover": any(c.counter for c in table.columns),
        **dict.fromkeys(("blank_lines", "repeated_header", "trailing_separator", "sep_line", "quoted_newline"), wide_text),
    }.items():
        if trouble in style.troubles and not possible:
            raise ValueError(f"{trouble} cannot be shown in {style.form}/{style.layout}")
    if style.time == "split" and not wide_text:
        raise ValueError("a time in two columns is shown in wide text files")
    if style.decimal == "," and style.separator == ",":
        raise ValueError("a decimal comma needs another separator")
    if style.layout in ("long", "nested", "transposed") and style.form in ("xlsx", "sqlite", "parquet", "fixed"):
        raise ValueError("layouts other than wide are written as text")


def _suffix(style: Style) -> str:
    return {"fixed": "txt", "whitespace": "dat"}.get(style.form, style.form)


# --- cells -----------------------------------------------------------------------------------------------------------------


def _number(value: float, decimals: int, style: Style) -> str:
    text = f"{value:,.{decimals}f}" if style.thousands else f"{value:.{decimals}f}"
    if style.decimal == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    return text


def _time_text(at: np.datetime64, form: TimeForm) -> str:
    """Return one instant (UTC) in a form; local forms are wall times of Seoul."""
    if form in ("epoch_s", "epoch_ms", "epoch_us"):
        seconds = int(at.astype("datetime64[s]").astype(np.int64))
        return str(seconds * {"epoch_s": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}[form])
    local = at + SEOUL
    day, clock = str(local.astype("datetime64[s]")).split("T")
    year, month, date = day.split("-")
    midnight = clock == "00:00:00"
    before = str((local - np.timedelta64(1, "D")).astype("datetime64[D]"))
    if form == "iso_offset":
        return f"{day}T{clock}+09:00"
    if form == "ampm":
        hour = int(clock[:2])
        return f"{day} {'오전' if hour < 12 else '오후'} {(hour % 12) or 12:02d}{clock[2:]}"
    if form == "h24":
        return f"{before} 24:00:00" if midnight else f"{day} {clock}"
    if form == "midnight_row":
        return f"{before} 00:00:00" if midnight else f"{day} {clock}"
    if form == "day_first_dot":
        return f"{date}.{month}.{year} {clock}"
    if form == "day_first_slash":
        return f"{date}/{month}/{year} {clock[:5]}"
    if form == "iso_z":
        return f"{at.astype('datetime64[s]')}Z"
    if form == "words_ko":
        hour = int(clock[:2])
        return f"{year}년 {month}월 {date}일 {'오전' if hour < 12 else '오후'} {(hour % 12) or 12:02d}:{clock[3:5]}"
    if form == "excel_serial":
        return f"{(local - np.datetime64('1899-12-30T00:00:00', 's')).astype(np.int64) / 86400.0:.8f}"
    if form == "month_first":
        hour = int(clock[:2])
        return f"{int(month)}/{int(date)}/{year} {(hour % 12) or 12}{clock[2:]} {'AM' if hour < 12 else 'PM'}"
    if form == "split":
        return f"{day}{SPLIT}{clock}"
    if form == "compact":
        return f"{year[2:]}{month}{date}{clock.replace(':', '')}"
    return f"{day} {clock}"


def _written(table: PlainTable, style: Style) -> _Sheet:
    """Return the table as clean cells in the style's number and time forms."""
    n = len(table.time)
    values = np.column_stack([c.values for c in table.columns])
    state = np.full(values.shape, "good", dtype="<U8")
    for k, column in enumerate(table.columns):
        if not column.numeric:
            state[:, k] = "none"
    cells = [[_cell(column, values[i, k], style) for k, column in enumerate(table.columns)] for i in range(n)]
    sheet = _Sheet(table, cells, [_time_text(t, style.time) for t in table.time], values, state, np.arange(n), ["normal"] * n)
    if style.time == "midnight_row":
        sheet.expected.add("midnight_row")
    if style.time in ("day_first_dot", "day_first_slash", "month_first"):
        sheet.allowed.add("ambiguous_date")
    if style.form == "xlsx" and style.header == "two":
        sheet.allowed.add("merged_header")
    if style.layout == "transposed":
        sheet.expected.add("transposed")
    if any(c.counter for c in table.columns):
        sheet.allowed.add("counter_rollover")
    return sheet


def _cell(column: PlainColumn, value: float, style: Style) -> str:
    if column.texts is not None:
        return column.texts[int(value)]
    return _number(value, column.decimals, style)


# --- troubles in cells -----------------------------------------------------------------------------------------------------


def _leave(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """Do nothing: the trouble belongs to another stage."""


def _numeric(sheet: _Sheet, rng: np.random.Generator, *, counters: bool = False) -> int:
    """Return a random numeric column."""
    fit = [k for k, c in enumerate(sheet.table.columns) if c.numeric and (counters or not c.counter)]
    return int(rng.choice(fit))


def _put(sheet: _Sheet, rows: IntArray, k: int, texts: list[str], state: str) -> None:
    for i, text in zip(rows.tolist(), texts, strict=True):
        sheet.cells[i][k] = text
        sheet.state[i, k] = state


def _bad_codes(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    k = _numeric(sheet, rng)
    rows = np.sort(rng.choice(len(sheet.cells) - 4, 12, replace=False)) + 2
    words = [BAD_WORDS[i % len(BAD_WORDS)] for i in range(12)]
    _put(sheet, rows, k, words, "none")
    sheet.expected.add("bad_value_code")


def _missing_words(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    k = _numeric(sheet, rng)
    rows = np.sort(rng.choice(len(sheet.cells) - 4, 15, replace=False)) + 2
    rows = rows[sheet.state[rows, k] == "good"]
    _put(sheet, rows, k, [MISSING_WORDS[i % len(MISSING_WORDS)] for i in range(len(rows))], "none")
    sheet.allowed.add("bad_value_code")


def _stuck(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    k = _numeric(sheet, rng)
    length = max(40, len(sheet.cells) // 6)
    first = int(rng.integers(5, len(sheet.cells) - length - 5))
    rows = np.arange(first, first + length)
    rows = rows[sheet.state[rows, k] == "good"]
    held = sheet.values[rows[0], k]
    sheet.values[rows, k] = held
    _put(sheet, rows, k, [_cell(sheet.table.columns[k], float(held), style)] * len(rows), "stuck")
    sheet.expected.add("stuck_values")


def _rollover(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    k = next(i for i, c in enumerate(sheet.table.columns) if c.counter)
    top = float(rng.choice([10_000, 65_536]))
    span = sheet.values[-1, k] - sheet.values[0, k]
    sheet.values[:, k] = np.mod(sheet.values[:, k] - sheet.values[0, k] + top - span * rng.uniform(0.3, 0.7), top)
    sheet.values[:, k] = np.floor(sheet.values[:, k])
    for i in range(len(sheet.cells)):
        sheet.cells[i][k] = _number(float(sheet.values[i, k]), 0, style)
    sheet.expected.add("counter_rollover")


def _mixed_units(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """A few cells of a temperature or pressure bear a unit of their own."""
    other = {
        "℃": ("K", 1.0, 273.15),
        "°C": ("K", 1.0, 273.15),
        "degC": ("K", 1.0, 273.15),
        "kPa": ("bar", 0.01, 0.0),
        "bar": ("kPa", 100.0, 0.0),
        "kgf/cm2": ("kPa", 98.0665, 0.0),
        "kW": ("W", 1000.0, 0.0),
        "A": ("mA", 1000.0, 0.0),
    }
    fit = [k for k, c in enumerate(sheet.table.columns) if c.unit in other and not c.counter]
    if not fit or style.units == "none":
        return
    k = int(rng.choice(fit))
    unit, factor, offset = other[str(sheet.table.columns[k].unit)]
    rows = np.sort(rng.choice(np.arange(3, len(sheet.cells) - 3), 6, replace=False))
    rows = rows[sheet.state[rows, k] == "good"]
    for i in rows.tolist():
        written = _number(float(sheet.values[i, k]) * factor + offset, 4, style)
        sheet.cells[i][k] = f"{written} {unit}"
    sheet.expected.add("mixed_units")


def _censored(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    k = _numeric(sheet, rng)
    rows = np.sort(rng.choice(np.arange(2, len(sheet.cells) - 2), 7, replace=False))
    rows = rows[sheet.state[rows, k] == "good"]
    bound = float(np.min(sheet.values[:, k]))
    sheet.values[rows, k] = bound
    _put(sheet, rows, k, ["<" + _cell(sheet.table.columns[k], bound, style)] * len(rows), "censored")
    sheet.expected.add("censored_value")


def _personal(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    german = style.encoding == "latin-1"
    names = ("Jürgen Weiß", "Anna Müller", "Karl Schmidt") if german else ("김서연", "박민준", "이도윤", "최하은", "정우진")
    phone = "0171" if german else "010"
    crew = [
        f"{names[int(i)]} {phone}-{rng.integers(2000, 9999)}-{rng.integers(1000, 9999)}"
        for i in rng.integers(0, len(names), len(sheet.cells))
    ]
    column = PlainColumn("Bediener" if german else "담당자", None, np.zeros(len(sheet.cells)), 0, texts=("",))
    sheet.table = replace(sheet.table, columns=(*sheet.table.columns, column))
    for row, who in zip(sheet.cells, crew, strict=True):
        row.append(who)
    extra = np.full((len(sheet.cells), 1), "none", dtype="<U8")
    sheet.state = np.hstack([sheet.state, extra])
    sheet.values = np.hstack([sheet.values, np.zeros((len(sheet.cells), 1))])
    sheet.expected.add("personal_data")


def _cell_units(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """Every number of one column is followed by its unit."""
    fit = [k for k, c in enumerate(sheet.table.columns) if c.unit and c.numeric and not c.counter]
    k = int(rng.choice(fit))
    for i, row in enumerate(sheet.cells):
        if sheet.state[i, k] == "good":
            row[k] = f"{row[k]} {sheet.table.columns[k].unit}"


def _full_width(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """A few numbers were typed with full-width digits."""
    k = _numeric(sheet, rng)
    rows = np.sort(rng.choice(np.arange(2, len(sheet.cells) - 2), 6, replace=False))
    wide = str.maketrans("0123456789.-", "０１２３４５６７８９．－")
    for i in rows[sheet.state[rows, k] == "good"].tolist():
        sheet.cells[i][k] = sheet.cells[i][k].translate(wide)


def _quoted_newline(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """A remark column holds line ends inside quotes."""
    n = len(sheet.cells)
    marked = set(rng.choice(np.arange(2, n - 2), 9, replace=False).tolist())
    column = PlainColumn("REMARK" if style.encoding == "latin-1" else "비고", None, np.zeros(n), 0, texts=("",))
    sheet.table = replace(sheet.table, columns=(*sheet.table.columns, column))
    for i, row in enumerate(sheet.cells):
        row.append(f"check{style.separator} valve\nthen pump" if i in marked else "ok")
    sheet.state = np.hstack([sheet.state, np.full((n, 1), "none", dtype="<U8")])
    sheet.values = np.hstack([sheet.values, np.zeros((n, 1))])


_CELL_TROUBLES: dict[Trouble, Any] = {
    "cell_units": _cell_units, "full_width": _full_width, "quoted_newline": _quoted_newline,
    "personal": _personal, "rollover": _rollover, "stuck": _stuck, "bad_codes": _bad_codes, "missing_words": _missing_words,
    "censored": _censored, "mixed_units": _mixed_units,
}  # fmt: skip


# --- troubles in rows ------------------------------------------------------------------------------------------------------


def _arrange(sheet: _Sheet, order: list[int], kinds: list[str]) -> None:
    """Rearrange the written records; `order` names the present record of each new one."""
    sheet.cells = [list(sheet.cells[i]) for i in order]
    sheet.times = [sheet.times[i] for i in order]
    sheet.values, sheet.state = sheet.values[order], sheet.state[order]
    sheet.source, sheet.kind = sheet.source[order], kinds


def _duplicates(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    n = len(sheet.cells)
    number = int(rng.integers(5, 20))
    again = np.sort(rng.choice(np.arange(2, n - 3), number, replace=False)).tolist()
    if rng.random() < 0.5:
        order, kinds = [*range(n), *again], [*sheet.kind, *["duplicate"] * number]
    else:
        order, kinds = [], []
        chosen = set(again)
        for i in range(n):
            order.append(i)
            kinds.append(sheet.kind[i])
            if i in chosen:
                order.append(i)
                kinds.append("duplicate")
    _arrange(sheet, order, kinds)
    sheet.expected.add("duplicate_rows")
    sheet.allowed.add("out_of_order")


def _out_of_order(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    n = len(sheet.cells)
    block = int(rng.integers(4, 15))
    first = int(rng.integers(3, n - block - 45))
    order = [
        *range(first),
        *range(first + block, first + block + 30),
        *range(first, first + block),
        *range(first + block + 30, n),
    ]
    _arrange(sheet, order, [sheet.kind[i] for i in order])
    sheet.expected.add("out_of_order")


def _lone_rows(sheet: _Sheet, rng: np.random.Generator, number: int) -> list[int]:
    """Return records that have no duplicate, away from both ends."""
    unique, count = np.unique(sheet.source, return_counts=True)
    lone = set(unique[count == 1].tolist())
    fit = [i for i in range(5, len(sheet.cells) - 5) if int(sheet.source[i]) in lone and sheet.kind[i] == "normal"]
    return sorted(int(i) for i in rng.choice(fit, number, replace=False))


def _shifted_longer(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    for i in _lone_rows(sheet, rng, 4):
        sheet.cells[i].insert(0, "")
        sheet.kind[i] = "shifted"
    sheet.expected.add("shifted_columns")


def _shifted_same(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """A stray separator moved the cells to the right and the last one fell off: the text column now holds a number."""
    text = next(k for k, c in enumerate(sheet.table.columns) if not c.numeric)
    for i in _lone_rows(sheet, rng, 4):
        row = sheet.cells[i]
        row.insert(0, "")
        del row[text + 1]
        sheet.kind[i] = "shifted_lost"
    sheet.expected.add("shifted_columns")


def _totals(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    sums = np.nansum(np.where(sheet.state == "none", 0.0, sheet.values), axis=0)
    row = [_number(float(s), c.decimals, style) if c.numeric else "" for s, c in zip(sums, sheet.table.columns, strict=True)]
    sheet.cells.append(row)
    sheet.times.append("합계" if style.encoding not in ("latin-1",) else "Summe")
    sheet.values = np.vstack([sheet.values, sums])
    sheet.state = np.vstack([sheet.state, np.full((1, sheet.state.shape[1]), "none", dtype="<U8")])
    sheet.source = np.append(sheet.source, -1)
    sheet.kind.append("totals")
    sheet.expected.add("totals_row")


def _truncated(sheet: _Sheet, style: Style, rng: np.random.Generator) -> None:
    """The last line is cut; the cut itself is made when the text stands."""
    sheet.kind[-1] = "truncated"
    sheet.expected.add("truncated")
    sheet.allowed.add("unreadable_rows")


_ROW_TROUBLES: dict[Trouble, Any] = {
    "out_of_order": _out_of_order, "duplicates": _duplicates, "shifted_longer": _shifted_longer, "shifted_same": _shifted_same,
    "totals": _totals, "truncated": _truncated,
}  # fmt: skip


# --- the truth -------------------------------------------------------------------------------------------------------------


def _outcomes(sheet: _Sheet, style: Style) -> tuple[Outcome, ...]:
    """Return every right reading: a shifted record mended or set aside, a stuck or censored value counted or not."""
    kinds = set(sheet.kind)
    states = set(np.unique(sheet.state).tolist())
    choices = itertools.product(
        (False, True) if "shifted" in kinds else (False,),
        (False, True) if "stuck" in states else (False,),
        (False, True) if "censored" in states else (False,),
        (False, True) if "totals" in kinds else (True,),
    )
    seen: list[Outcome] = []
    for mended, stuck, censored, totals in choices:
        for records in _record_counts(sheet, style):
            outcome = _outcome(sheet, style, records, mended=mended, stuck=stuck, censored=censored, totals=totals)
            for strange in range(sheet.strange_lines + 1):
                told = replace(outcome, quarantined=outcome.quarantined + strange)
                if told not in seen:
                    seen.append(told)
    return tuple(seen)


def _record_counts(sheet: _Sheet, style: Style) -> tuple[str, ...]:
    """Return what may be counted as a source record: of a transposed table its lines, or its instants."""
    return ("instants", "lines") if style.layout == "transposed" else ("records",)


def _outcome(sheet: _Sheet, style: Style, records: str, *, mended: bool, stuck: bool, censored: bool, totals: bool) -> Outcome:
    kind = np.array(sheet.kind)
    kept = (kind == "normal") | ((kind == "shifted") & mended)
    quarantined = (
        np.isin(kind, ["shifted_lost", "truncated"]) | ((kind == "shifted") & (not mended)) | ((kind == "totals") & totals)
    )
    good = sheet.state == "good"
    good |= (sheet.state == "stuck") & stuck
    good |= (sheet.state == "censored") & censored
    columns = tuple(
        ColumnTruth(c.name, c.unit if style.units != "none" or style.layout in ("long", "nested") else None, int(np.sum(good[kept, k])),
                    float(np.sum(sheet.values[kept, k][good[kept, k]])))
        for k, c in enumerate(sheet.table.columns) if c.numeric
    )  # fmt: skip
    instants = sheet.table.time[sheet.source[kept]]
    scale = len(sheet.table.columns) if style.layout == "long" else 1
    number = (int(kept.sum()), int(quarantined.sum()), int(np.sum(kind == "duplicate")))
    if records == "lines":
        number = (len(sheet.table.columns), 0, 0)
    return Outcome(
        number[0] * scale, number[1] * scale if "truncated" not in sheet.kind else number[1], number[2] * scale, columns,
        f"{instants.min().astype('datetime64[s]')}Z", f"{instants.max().astype('datetime64[s]')}Z",
    )  # fmt: skip


def _same_encodings(style: Style, data: bytes) -> frozenset[str]:
    """Return the codecs that read a text file alike: plain ASCII is every one of them."""
    if style.form in ("xlsx", "sqlite", "parquet") or style.compress != "none":
        return frozenset()
    named = {style.encoding}
    if style.encoding in ("utf-8", "cp949", "latin-1") and data.isascii():
        named |= {"utf-8", "cp949", "latin-1", "ascii"}
    if style.encoding == "latin-1":
        named |= {"cp1252", "iso8859-1"}
    if style.encoding == "cp949":
        named |= {"euc-kr"}
    return frozenset(named)


# --- forms -----------------------------------------------------------------------------------------------------------------


def _render(sheet: _Sheet, style: Style, rng: np.random.Generator) -> bytes:
    if style.form == "xlsx":
        return _xlsx(sheet, style)
    if style.form == "sqlite":
        return _sqlite(sheet, style)
    if style.form == "parquet":
        return _parquet(sheet)
    if style.form in ("jsonl", "json"):
        return _json(sheet, style).encode(style.encoding)
    lines = _lines(sheet, style)
    newline = "\r\n" if rng.random() < 0.5 else "\n"
    text = newline.join(lines) + newline
    if "truncated" in sheet.kind:
        # At least one separator is lost with the cut: a file that only lacks its last line end is whole.
        whole = len(lines[-1])
        kept = min(int(whole * rng.uniform(0.4, 0.75)), lines[-1].rstrip(style.separator).rindex(style.separator) - 1)
        text = text[: len(text) - len(newline) - whole + kept]
    return text.encode(style.encoding)


def _headers(sheet: _Sheet, style: Style) -> list[str]:
    names = [sheet.table.time_name] if style.time != "split" else ["일자", "시각"]
    if style.time == "split" and style.encoding == "latin-1":
        names = ["Datum", "Uhrzeit"]
    for c in sheet.table.columns:
        with_unit = style.units == "header" and c.unit
        names.append(f"{c.name}({c.unit})" if with_unit else c.name)
    return names


def _group_names(style: Style) -> tuple[str, str]:
    return ("Bereich A", "Bereich B") if style.encoding == "latin-1" else ("A구역", "B구역")


def _lines(sheet: _Sheet, style: Style) -> list[str]:
    if style.layout == "long":
        return _long_lines(sheet, style)
    records = [[t, *row] for t, row in zip(sheet.times, sheet.cells, strict=True)]
    if style.time == "split":
        records = [[*row[0].split(SPLIT), *row[1:]] for row in records]
    head: list[list[str]] = []
    if style.header == "two":
        half = len(sheet.table.columns) // 2
        first, second = _group_names(style)
        head.append(["", *[first if k < half else second for k in range(len(sheet.table.columns))]])
    if style.header != "none":
        head.append(_headers(sheet, style))
    if style.units == "row":
        head.append(["", *[c.unit or "" for c in sheet.table.columns]])
    block = [*head, *records]
    if style.layout == "transposed":
        block = [list(column) for column in zip(*block, strict=True)]
    if style.form == "fixed":
        return [*style.preamble, *_fixed(block)]
    if style.form == "whitespace":
        # Runs of blanks part the cells, so a time of two words becomes two columns: such files give epochs.
        return [*style.preamble, *("  ".join(cell.replace(" ", "_") or "NaN" for cell in row) for row in block)]
    lines = [_joined(row, style.separator) for row in block]
    return [*style.preamble, *_disturbed(lines, len(head), sheet, style)]


def _disturbed(lines: list[str], head: int, sheet: _Sheet, style: Style) -> list[str]:
    """Return the lines with those that are no records put in between."""
    if "trailing_separator" in style.troubles:
        lines = [line + style.separator for line in lines]
    strange: list[tuple[int, str]] = []
    body = len(lines) - head
    if "blank_lines" in style.troubles:
        strange += [(head + body * k // 5, "") for k in (1, 2, 3)]
    if "repeated_header" in style.troubles and head:
        strange += [(head + body * k // 3, line) for k in (1, 2) for line in lines[:head]]
    for at, line in sorted(strange, key=lambda s: -s[0]):
        lines.insert(at, line)
    sheet.strange_lines = len(strange)
    if strange:
        sheet.allowed.add("unreadable_rows")
    return [f"sep={style.separator}", *lines] if "sep_line" in style.troubles else lines


def _joined(row: list[str], separator: str) -> str:
    return separator.join(f'"{cell}"' if separator in cell or '"' in cell or "\n" in cell else cell for cell in row)


def _fixed(block: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in block) + 2 for k in range(len(block[0]))]
    return [
        "".join(cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in block
    ]


def _long_lines(sheet: _Sheet, style: Style) -> list[str]:
    lines = [*style.preamble, _joined(["TagName", sheet.table.time_name, "Value", "Unit"], style.separator)]
    for at, row in zip(sheet.times, sheet.cells, strict=True):
        for column, cell in zip(sheet.table.columns, row, strict=True):
            lines.append(_joined([column.name, at, cell, column.unit or ""], style.separator))
    return lines


def _plain_value(cell: str) -> float | int | str | None:
    """Return a JSON value: a number where the cell is one, the text otherwise, null where it is empty."""
    if cell == "":
        return None
    try:
        return float(cell) if "." in cell else int(cell)
    except ValueError:
        return cell


def _json(sheet: _Sheet, style: Style) -> str:
    records: list[dict[str, Any]] = []
    names = _headers(sheet, style)
    for at, row in zip(sheet.times, sheet.cells, strict=True):
        time: Any = int(at) if at.isdigit() else at
        if style.layout == "nested":
            measures = [
                {"n": c.name, "u": c.unit, "v": _plain_value(cell)}
                for c, cell in zip(sheet.table.columns, row, strict=True) if c.numeric
            ]  # fmt: skip
            record: dict[str, Any] = {"device": {"id": "gw-07"}, names[0]: time, "m": measures}
            for c, cell in zip(sheet.table.columns, row, strict=True):
                if not c.numeric:
                    record[c.name] = cell
        else:
            record = {names[0]: time, **{n: _plain_value(cell) for n, cell in zip(names[1:], row, strict=True)}}
        records.append(record)
    if style.form == "json":
        return json.dumps(records, ensure_ascii=False, indent=1)
    return "\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n"


def _xlsx(sheet: _Sheet, style: Style) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    page = book.active
    page.title = "데이터"
    for line in style.preamble:
        page.append([line])
    top = page.max_row + 1 if style.preamble else 1
    width = len(sheet.table.columns)
    if style.header == "two":
        half = max(width // 2, 1)
        page.append([None, *["A구역" if k in (0, half) else None for k in range(width)]])
        page.cell(top, 2, "A구역")
        page.cell(top, 2 + half, "B구역")
        if half > 1:
            page.merge_cells(start_row=top, start_column=2, end_row=top, end_column=1 + half)
        if width - half > 1:
            page.merge_cells(start_row=top, start_column=2 + half, end_row=top, end_column=1 + width)
    page.append(_headers(sheet, style))
    if style.units == "row":
        page.append([None, *[c.unit for c in sheet.table.columns]])
    for at, row in zip(sheet.times, sheet.cells, strict=True):
        time: Any = int(at) if at.isdigit() else at
        if style.time == "space" and at[:1].isdigit():
            time = np.datetime64(at.replace(" ", "T"), "s").item()
        page.append([time, *(_plain_value(cell) for cell in row)])
    if "second_table" in style.troubles:
        start = page.max_row + 4
        page.cell(start, 1, "부적합 목록")
        for k, word in enumerate(("번호", "내용", "수량")):
            page.cell(start + 1, 1 + k, word)
        for i in range(4):
            for k, value in enumerate((i + 1, f"부적합 {i + 1}", 3 * i + 1)):
                page.cell(start + 2 + i, 1 + k, value)
    if "hidden_sheet" in style.troubles:
        other = book.create_sheet("숨김")
        other.append(["기준", "값"])
        other.append(["상한", 12.5])
        other.sheet_state = "hidden"
        sheet.expected.add("hidden_sheet")
    if "hidden_column" in style.troubles:
        page.column_dimensions["B"].hidden = True
        sheet.expected.add("hidden_column")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sqlite(sheet: _Sheet, style: Style) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.sqlite"
        base = sqlite3.connect(path)
        names = _headers(sheet, style)
        declared = ", ".join(
            f'"{n}" {"TEXT" if i == 0 or not sheet.table.columns[i - 1].numeric else "REAL"}' for i, n in enumerate(names)
        )
        base.execute(f'CREATE TABLE "readings" ({declared})')
        marks = ", ".join("?" * len(names))
        rows = [[at, *(_plain_value(cell) for cell in row)] for at, row in zip(sheet.times, sheet.cells, strict=True)]
        base.executemany(f'INSERT INTO "readings" VALUES ({marks})', rows)  # noqa: S608 - the marks are question marks
        base.commit()
        base.close()
        return path.read_bytes()


def _parquet(sheet: _Sheet) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {
        sheet.table.time_name: pa.array(sheet.table.time[sheet.source].astype("datetime64[us]"), pa.timestamp("us", tz="UTC"))
    }
    for k, c in enumerate(sheet.table.columns):
        texts = [row[k] for row in sheet.cells]
        numbers = [_plain_value(t) for t in texts]
        usable = c.numeric and not any(isinstance(v, str) for v in numbers)
        columns[c.name] = pa.array([None if v is None else float(v) for v in numbers]) if usable else pa.array(texts)
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def _zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"내보내기/{name}", (2025, 1, 2, 3, 4, 6)), data)
    return out.getvalue()
