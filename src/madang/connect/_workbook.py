"""XLSX and XLS workbooks: every table on every sheet, hidden ones included and said."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from html import unescape
from pathlib import Path
from typing import Any, Literal

from madang.connect._bytes import broken_container, locked, whole_bytes
from madang.connect._cells import Cell, CellTable
from madang.connect._tables import ReadOptions, TableSource
from madang.errors import InputError, Json
from madang.plant import Bilingual, Finding

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
MAX_CELLS = 100_000_000
"""More cells than a sheet of real values has; a damaged size would ask for all the memory there is."""

TABLE_MARK = "!"
"""Between the name of a sheet and the number of a table on it, when there are several."""

Grid = list[list[Cell]]
Merge = tuple[int, int, int, int]
"""First row, first column, last row, last column (from 0, ends included)."""


@dataclass(frozen=True)
class Box:
    """Where a table stands on its sheet (rows and columns from 0, ends excluded)."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass
class _Sheet:
    name: str
    hidden: bool
    grid: Grid
    merges: list[Merge]
    boxes: list[Box]


@dataclass(frozen=True)
class _Hidden:
    """What only the XML of a sheet tells."""

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()
    formulas: tuple[tuple[int, int], ...] = field(default=())
    """Row and column of cells with a formula (from 0)."""
    errors: tuple[tuple[int, int, str], ...] = ()
    """Row, column and text of cells that show an error such as ``#REF!``, which the values leave out."""


def find_sheets(path: Path, member: str | None, shown: str) -> Iterator[tuple[str, str]]:
    """Yield part and shown name of every table in a workbook.

    Raises:
        InputError: The workbook is damaged, locked with a password, or empty.
    """
    workbook = _open(path, member)
    seen = 0
    try:
        for sheet in _sheets(workbook, path, member):
            for number in range(1, len(sheet.boxes) + 1):
                seen += 1
                part = sheet.name if len(sheet.boxes) == 1 else f"{sheet.name}{TABLE_MARK}{number}"
                yield part, f"{shown}#{part}"
    finally:
        workbook.close()
    if not seen:
        raise InputError(
            "empty_workbook",
            ko=f"'{shown}' 의 어느 시트에도 값이 없어요.",
            en=f"No sheet of the workbook '{shown}' holds values.",
            next_ko="값이 들어 있는 통합 문서인지 확인해 주세요.",
            next_en="Check that it is the workbook with the values.",
            where={"file": path.name},
        )


def open_sheet(source: TableSource, options: ReadOptions) -> CellTable:
    """Open one table of a workbook.

    Values of merged cells stand in every cell that they cover in a header, and in every row that they cover as a row label;
    elsewhere only in the first.

    Raises:
        InputError: The workbook is damaged or locked, or the table is not there.
    """
    assert source.part is not None
    workbook = _open(source.path, source.member)
    try:
        found = _find(workbook, source)
    finally:
        workbook.close()
    if found is None:
        raise InputError(
            "no_such_sheet",
            ko=f"'{source.path.name}' 에 표 '{source.part}' 가 없어요.",
            en=f"The workbook '{source.path.name}' holds no table '{source.part}'.",
            next_ko="시트 이름이 바뀌었는지 확인해 주세요.",
            next_en="Check whether the sheet was renamed.",
            where={"file": source.path.name, "table": source.part},
        )
    sheet, box = found
    merges = [merge for merge in sheet.merges if _inside(merge, box)]
    preamble, header_rows = _head(sheet.grid, box, merges)
    rows = _filled(sheet.grid, box, merges, box.top + preamble + (header_rows or 0))
    hidden = _hidden(source, sheet.name)
    for row, column, text in hidden.errors:
        if box.top <= row < box.bottom and box.left <= column < box.right:
            rows[row - box.top][column - box.left] = text
    details: dict[str, Json] = {"sheet": sheet.name, "first_cell": [box.top + 1, box.left + 1]}
    if header_rows is not None:
        details["preamble_rows"] = preamble
    return CellTable(
        rows=lambda: (list(row) for row in rows),
        header_rows=header_rows,
        findings=tuple(_findings(sheet, box, merges, hidden, preamble + (header_rows or 1), rows)),
        details=details,
    )


def _open(path: Path, member: str | None) -> Any:  # noqa: ANN401 - the library's own type is loaded late
    import python_calamine

    data = whole_bytes(path, member)
    if data.startswith(_OLE) and _ENCRYPTED in data[: 1 << 20] + data[-(1 << 16) :]:
        raise locked(path, member)
    try:
        return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    except python_calamine.PasswordError:
        raise locked(path, member) from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise _damaged(path, member, error) from error
    except BaseException as error:
        raise _panic(path, member, error) from error


def _damaged(path: Path, member: str | None, error: BaseException) -> InputError:
    text = str(error).lower()
    if "password" in text or "encrypt" in text:
        return locked(path, member)
    return broken_container(path, member, error)


def _panic(path: Path, member: str | None, error: BaseException) -> BaseException:
    """Tell a crash of the reading library, which is no ordinary exception, from an interruption by the person."""
    if type(error).__name__ == "PanicException" or isinstance(error, Exception):
        return broken_container(path, member, error)
    return error


def _sheets(workbook: Any, path: Path, member: str | None) -> Iterator[_Sheet]:  # noqa: ANN401 - see _open
    import python_calamine

    for place, metadata in enumerate(workbook.sheets_metadata):
        if metadata.typ != python_calamine.SheetTypeEnum.WorkSheet:
            continue
        try:
            sheet = workbook.get_sheet_by_index(place)
            if sheet.total_height * sheet.total_width > MAX_CELLS:
                raise ValueError("the sheet is larger than any sheet of values")
            grid = [[_cell(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
            merges = [(first[0], first[1], last[0], last[1]) for first, last in sheet.merged_cell_ranges or ()]
        except (python_calamine.CalamineError, OSError, ValueError, MemoryError, OverflowError) as error:
            raise _damaged(path, member, error) from error
        except BaseException as error:
            raise _panic(path, member, error) from error
        hidden = metadata.visible != python_calamine.SheetVisibleEnum.Visible
        yield _Sheet(metadata.name, hidden, grid, merges, _boxes(grid, merges))


def _find(workbook: Any, source: TableSource) -> tuple[_Sheet, Box] | None:  # noqa: ANN401 - see _open
    for sheet in _sheets(workbook, source.path, source.member):
        for number, box in enumerate(sheet.boxes, start=1):
            part = sheet.name if len(sheet.boxes) == 1 else f"{sheet.name}{TABLE_MARK}{number}"
            # A sheet that has gained or lost a note is still the sheet that a template names.
            if source.part in (part, sheet.name):
                return sheet, box
    return None


def _cell(value: object) -> Cell:
    if value is None or value == "":
        return None
    if isinstance(value, float):
        # A workbook knows one kind of number; a whole one is written without a point, as the sheet shows it.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, timedelta):
        # The sheet's elapsed time [h]:mm:ss.
        seconds = round(value.total_seconds(), 6)
        hours, rest = divmod(abs(seconds), 3600)
        return f"{'-' if seconds < 0 else ''}{int(hours):02d}:{int(rest // 60):02d}:{rest % 60:02.0f}"
    if isinstance(value, bool | int | str | datetime | date | time):
        return value
    return str(value)


# ---- where the tables are


def _boxes(grid: Grid, merges: Sequence[Merge]) -> list[Box]:
    """Return the tables of a sheet in reading order: parted by blank rows and columns, headings kept with what they head."""
    filled = [[cell is not None and cell != "" for cell in row] for row in grid]
    for top, left, bottom, right in merges:
        # A merged cell covers its place even where nothing is written.
        if bottom - top <= 1000 and top < len(filled) and left < len(filled[top]) and filled[top][left]:
            for row in range(top, min(bottom + 1, len(filled))):
                for column in range(left, min(right + 1, len(filled[row]))):
                    filled[row][column] = True
    width = max((len(row) for row in filled), default=0)
    whole = _shrunk(filled, Box(0, 0, len(filled), width))
    if whole is None:
        return []
    return _joined(grid, sorted(_parted(filled, whole, 0), key=lambda box: (box.top, box.left)))


def _shrunk(filled: Sequence[Sequence[bool]], box: Box) -> Box | None:
    rows = [row for row in range(box.top, box.bottom) if any(filled[row][box.left : box.right])]
    if not rows:
        return None
    span = range(rows[0], rows[-1] + 1)
    columns = [
        column for column in range(box.left, box.right) if any(filled[row][column] for row in span if column < len(filled[row]))
    ]
    return Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def _parted(filled: Sequence[Sequence[bool]], box: Box, depth: int) -> list[Box]:
    """Cut along blank rows, then along blank columns, until nothing can be cut."""
    if depth > 6:
        return [box]
    rows = [any(filled[row][box.left : box.right]) for row in range(box.top, box.bottom)]
    pieces = [Box(box.top + start, box.left, box.top + end, box.right) for start, end in _runs(rows)]
    if len(pieces) == 1:
        used = [False] * (box.right - box.left)
        for row in range(box.top, box.bottom):
            for column, cell in enumerate(filled[row][box.left : box.right]):
                used[column] = used[column] or cell
        pieces = [Box(box.top, box.left + start, box.bottom, box.left + end) for start, end in _runs(used)]
        # One column apart from its table (row numbers, a note) is no table of its own.
        if len(pieces) > 1 and any(piece.right - piece.left == 1 for piece in pieces):
            return [box]
    if len(pieces) == 1:
        return [box]
    shrunk = [small for piece in pieces if (small := _shrunk(filled, piece)) is not None]
    return [part for piece in shrunk for part in _parted(filled, piece, depth + 1)]


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for place, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = place
        elif not flag and start is not None:
            runs.append((start, place))
            start = None
    return runs


def _joined(grid: Grid, boxes: list[Box]) -> list[Box]:
    """Give headings and notes to the table they belong to, and join a table that a blank row has cut."""
    out: list[Box] = []
    waiting: Box | None = None
    for box in boxes:
        if not _is_table(grid, box):
            waiting = box if waiting is None else _union(waiting, box)
            continue
        above = out[-1] if out else None
        if above is not None and waiting is None and box.top >= above.bottom and _goes_on(grid, above, box):
            out[-1] = _union(above, box)
            continue
        out.append(_union(waiting, box) if waiting is not None and _heads(waiting, box) else box)
        waiting = None
    if waiting is not None:
        # Notes below the last table end it; a sheet of nothing but notes is one table that its reader will judge.
        if not out:
            return [waiting]
        if waiting.left < out[-1].right and out[-1].left < waiting.right:
            out[-1] = _union(out[-1], waiting)
    return out


def _union(a: Box, b: Box) -> Box:
    return Box(min(a.top, b.top), min(a.left, b.left), max(a.bottom, b.bottom), max(a.right, b.right))


def _heads(note: Box, table: Box) -> bool:
    return note.bottom <= table.top and note.left < table.right and table.left < note.right


def _is_table(grid: Grid, box: Box) -> bool:
    """Whether a block has at least two rows that fill at least two columns."""
    if box.right - box.left < 2 or box.bottom - box.top < 2:
        return False
    full = sum(len(_values(grid, row, box)) >= 2 for row in range(box.top, box.bottom))
    return (
        full >= 2 and any(_is_number(cell) for row in range(box.top, box.bottom) for cell in _values(grid, row, box))
    ) or full >= 4


def _values(grid: Grid, row: int, box: Box) -> list[Cell]:
    return [cell for cell in grid[row][box.left : box.right] if cell is not None and cell != ""]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float | datetime | date | time) and not isinstance(cell, bool)


def _goes_on(grid: Grid, above: Box, below: Box) -> bool:
    """Whether a block without a header of its own continues the table above it."""
    if below.left < above.left or below.right > above.right:
        return False
    first, last = grid[below.top], grid[above.bottom - 1]
    pairs = [(first[column], last[column]) for column in range(below.left, below.right) if column < min(len(first), len(last))]
    numbers = [_is_number(upper) == _is_number(lower) for lower, upper in pairs if lower is not None and upper is not None]
    return bool(numbers) and any(_is_number(lower) for lower, _ in pairs) and sum(numbers) >= 0.8 * len(numbers)


# ---- headers and merged cells


def _inside(merge: Merge, box: Box) -> bool:
    return box.top <= merge[0] and merge[2] < box.bottom and box.left <= merge[1] and merge[3] < box.right


def _head(grid: Grid, box: Box, merges: Sequence[Merge]) -> tuple[int, int | None]:
    """Return how many rows stand before the header, and how many rows the header has where merged cells tell it.

    A header has several rows where a cell is merged across columns above others, or down beside others.
    """
    first = next((row for row in range(box.top, min(box.bottom, box.top + 60)) if _is_data(grid, row, box)), None)
    if first is None:
        return 0, None
    telling = [merge for merge in merges if merge[2] < first and not _is_title(grid, merge, box)]
    if not telling:
        return 0, None
    start = min(merge[0] for merge in telling)
    # The units row, if there is one, stands below the header and holds no merged cell.
    end = max(_lowest_label(grid, merge, first, box) for merge in telling)
    return start - box.top, end - start


def _is_data(grid: Grid, row: int, box: Box) -> bool:
    values = _values(grid, row, box)
    return len(values) >= 2 and sum(_is_number(value) for value in values) >= max(1, 0.3 * len(values))


def _is_title(grid: Grid, merge: Merge, box: Box) -> bool:
    """Whether a merged cell is alone in its row: the name of the sheet, not of columns."""
    others = [
        column
        for row in range(merge[0], merge[2] + 1)
        for column, cell in enumerate(grid[row][box.left : box.right], start=box.left)
        if cell is not None and cell != "" and not merge[1] <= column <= merge[3]
    ]
    return not others and merge[3] - merge[1] + 1 > 0.5 * (box.right - box.left)


def _lowest_label(grid: Grid, merge: Merge, first: int, box: Box) -> int:
    """Return the row behind the header that a merged cell belongs to."""
    end = merge[2] + 1
    if merge[3] > merge[1] and end < first:
        below = [cell for cell in grid[end][merge[1] : merge[3] + 1] if cell is not None and cell != ""]
        if below:
            end += 1
    return end


def _filled(grid: Grid, box: Box, merges: Sequence[Merge], data: int) -> Grid:
    rows: Grid = []
    for row in range(box.top, box.bottom):
        cells = grid[row][box.left : box.right]
        rows.append([*cells, *[None] * (box.right - box.left - len(cells))])
    for top, left, bottom, right in merges:
        value = rows[top - box.top][left - box.left]
        if value is None:
            continue
        in_header = bottom < data and not _is_title(grid, (top, left, bottom, right), box)
        for row in range(top, bottom + 1):
            for column in range(left, (right if in_header else left) + 1):
                rows[row - box.top][column - box.left] = value
    return rows


# ---- what the sheet hides


def _hidden(source: TableSource, sheet: str) -> _Hidden:
    """Read hidden rows and columns and formulas from a sheet's XML; XLS files do not tell."""
    if source.format != "xlsx":
        return _Hidden()
    try:
        with zipfile.ZipFile(io.BytesIO(whole_bytes(source.path, source.member))) as archive:
            name = _xml_of(archive, sheet)
            if name is None:
                return _Hidden()
            xml = archive.read(name).decode("utf-8", "replace")
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, RuntimeError, NotImplementedError, EOFError):
        # The values were read; that hidden places could not be told apart is no reason to refuse them.
        return _Hidden()
    rows = {int(match[1]) - 1 for match in re.finditer(r'<row\b(?=[^>]*\bhidden="(?:1|true)")[^>]*?\br="(\d{1,7})"', xml)}
    columns: set[int] = set()
    for tag in re.findall(r'<col\b[^>]*\bhidden="(?:1|true)"[^>]*>', xml):
        first, last = re.search(r'\bmin="(\d{1,5})"', tag), re.search(r'\bmax="(\d{1,5})"', tag)
        if first and last:
            columns.update(range(int(first[1]) - 1, min(int(last[1]), 16_384)))
    formulas = [
        (int(match[2]) - 1, _column(match[1]))
        for match in re.finditer(r'<c\b[^>]*?\br="([A-Z]{1,3})(\d{1,7})"[^>]*>\s*<f\b', xml)
    ]
    errors = [
        (int(match[2]) - 1, _column(match[1]), unescape(match[3]))
        for match in re.finditer(
            r'<c\b(?=[^>]*\bt="e")[^>]*?\br="([A-Z]{1,3})(\d{1,7})"[^>]*>(?:\s*<f\b.*?(?:/>|</f>))?\s*<v>([^<]{1,20})</v>', xml
        )
    ]
    return _Hidden(frozenset(rows), frozenset(columns), tuple(formulas), tuple(errors))


def _xml_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    workbook = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    links = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    for tag in re.findall(r"<(?:\w+:)?sheet\b[^>]*>", workbook):
        name, link = re.search(r'\bname="([^"]*)"', tag), re.search(r'\br:id="([^"]*)"', tag)
        if name and link and unescape(name[1]) == sheet:
            for relation in re.findall(r"<Relationship\b[^>]*>", links):
                if f'Id="{link[1]}"' in relation:
                    target = re.search(r'Target="([^"]*)"', relation)
                    if target:
                        return target[1].lstrip("/") if target[1].startswith("/") else f"xl/{target[1]}"
    return None


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _findings(sheet: _Sheet, box: Box, merges: Sequence[Merge], hidden: _Hidden, head: int, rows: Grid) -> Iterator[Finding]:
    count = box.bottom - box.top - head
    if sheet.hidden:
        yield _found(
            "hidden_sheet",
            "warning",
            max(count, 0),
            "숨겨진 시트에 있는 표도 읽었어요.",
            "The table stands on a hidden sheet; it was read.",
        )
    for column in sorted(column for column in hidden.columns if box.left <= column < box.right):
        if any(row[column - box.left] is not None for row in rows):
            name = _label(rows, column - box.left, head)
            yield _found(
                "hidden_column",
                "warning",
                max(count, 0),
                f"숨겨진 열 '{name}' 도 읽었어요.",
                f"The hidden column '{name}' was read.",
                name,
            )
    data = box.top + head
    lines = sorted(row for row in hidden.rows if data <= row < box.bottom)
    if lines:
        examples = tuple(row - data + 1 for row in lines[:10])
        yield _found(
            "hidden_column", "info", len(lines), f"숨겨진 행 {len(lines)}개도 읽었어요.", f"{len(lines)} hidden rows were read.", None,
            examples, {"what": "rows"},
        )  # fmt: skip
    labels = [merge for merge in merges if merge[0] < data]
    if any(not _is_title(sheet.grid, merge, box) for merge in labels):
        yield _found(
            "merged_header",
            "info",
            0,
            "병합된 머리글을 열마다 풀어 읽었어요.",
            "Merged header cells were read for every column they cover.",
        )
    places = sorted({row for row, column in hidden.formulas if data <= row < box.bottom and box.left <= column < box.right})
    if places:
        examples = tuple(row - data + 1 for row in places[:10])
        yield _found(
            "formula_cell", "info", len(places), f"수식이 있는 행이 {len(places)}개예요. 마지막으로 계산된 값을 읽었어요.",
            f"{len(places)} rows hold formulas; the values calculated last were read.", None, examples,
        )  # fmt: skip


def _label(rows: Grid, column: int, head: int) -> str:
    texts = [row[column] for row in rows[: max(head, 1)] if row[column] is not None]
    return " / ".join(dict.fromkeys(str(text) for text in texts)) or f"c{column + 1}"


def _found(
    code: str,
    severity: Literal["info", "warning"],
    rows: int,
    ko: str,
    en: str,
    column: str | None = None,
    examples: tuple[int, ...] = (),
    facts: dict[str, Json] | None = None,
) -> Finding:
    return Finding(code, severity, rows, Bilingual(ko, en), examples, column, facts=facts or {})
