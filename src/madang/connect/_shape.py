"""Finds out how a text is a table: separator, preamble, header rows, units row, and which columns are really there."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache

from madang.connect import _times
from madang.connect._cells import Cell
from madang.connect._values import BAD_WORDS, FALSE_WORDS, MISSING_WORDS, TRUE_WORDS, fold
from madang.errors import InputError
from madang.plant import parse_unit, split_unit

WHITESPACE = "whitespace"
FIXED = "fixed"
_CANDIDATES = (",", ";", "\t", "|")
_NUMBER_LIKE = re.compile(
    r"^[<>≤≥]?\s*[₩$€]?\s*[+-]?(\d[\d.,'\u00a0\u202f ]*|[.,]\d+)([eE][+-]?\d+)?\s*(%|[^\d\s,;|\t]{1,8})?$"
)
_OPEN_QUOTE = re.compile(r'(^|[,;\t|])\s*"')
MAX_RECORD_LINES = 200
TOTAL_WORDS = frozenset(
    [
        "합계",
        "총계",
        "소계",
        "계",
        "총합",
        "총합계",
        "누계",
        "평균",
        "평균값",
        "최대",
        "최소",
        "최대값",
        "최소값",
        "total",
        "totals",
        "subtotal",
        "grandtotal",
        "sum",
        "average",
        "avg",
        "mean",
        "max",
        "min",
        "maximum",
        "minimum",
        "summe",
        "gesamt",
        "gesamtsumme",
        "zwischensumme",
        "mittelwert",
        "mittel",
        "durchschnitt",
        "stddev",
        "std",
    ]
) | {"grand total", "sub total", "합 계", "평 균", "소 계", "총 계"}


@dataclass(frozen=True)
class TableShape:
    """Where the parts of a table stand in its physical rows."""

    preamble: int
    """Physical rows before the header (before the data when there is no header)."""
    header_rows: int
    units_row: bool
    names: tuple[str, ...]
    """Source names of the used columns."""
    units: tuple[str | None, ...]
    used: tuple[int, ...]
    """Field positions of the used columns; -1 where the file lacks the column of a template."""
    width: int
    """Fields of an ordinary record."""
    ragged: bool = False
    """Whether records may leave out empty fields at their end."""
    header_fields: int = 0
    """Fields of the last header row."""

    @property
    def first_record(self) -> int:
        """Physical rows before the first record."""
        return self.preamble + self.header_rows + int(self.units_row)


# ---- kinds of cells


def kind_of(cell: Cell) -> str:
    """Return ``empty``, ``number``, ``time`` or ``word``."""
    if cell is None:
        return "empty"
    if isinstance(cell, bool):
        return "word"
    if isinstance(cell, int | float):
        return "number"
    if isinstance(cell, datetime | date | time):
        return "time"
    return _kind_of_text(cell)


@lru_cache(maxsize=65_536)
def _kind_of_text(text: str) -> str:
    text = text.strip()
    if not text:
        return "empty"
    if text[0].isdigit() or text[-1].isdigit() or text[-1] in "Z일분초":
        if _times.format_of(text) is not None and not text.isdigit():
            return "time"
        if _times.clock_format_of(text) is not None and ":" in text:
            return "time"
    if _NUMBER_LIKE.match(text) and _is_number(text):
        return "number"
    folded = fold(text)
    if folded in MISSING_WORDS or folded in BAD_WORDS:
        return "empty"
    if len(text) > 8 and _times.format_of(text) is not None:
        return "time"
    return "word"


def _is_number(text: str) -> bool:
    tail = re.sub(r"^[<>≤≥]?\s*[₩$€]?\s*[+-]?[\d.,'\u00a0\u202f ]+([eE][+-]?\d+)?", "", text).strip()
    return not tail or tail == "%" or parse_unit(tail) is not None


# ---- separator


def split_line(line: str, separator: str, widths: Sequence[tuple[int, int]] = ()) -> list[str]:
    """Split one record into its fields."""
    if separator == WHITESPACE:
        return line.split()
    if separator == FIXED:
        return [line[start:stop].strip() for start, stop in widths]
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return line.split(separator)


def is_open(line: str) -> bool:
    """Whether a record goes on in the next line, because a quoted field is not closed."""
    return line.count('"') % 2 == 1 and _OPEN_QUOTE.search(line) is not None


def records(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Join lines that belong to one record; yield the index of the first line and the record."""
    index = 0
    while index < len(lines):
        line = lines[index]
        if '"' in line and is_open(line):
            joined, last = line, index
            while last + 1 < len(lines) and last - index < MAX_RECORD_LINES and joined.count('"') % 2 == 1:
                last += 1
                joined = f"{joined}\n{lines[last]}"
            if joined.count('"') % 2 == 0:
                yield index, joined
                index = last + 1
                continue
        yield index, line
        index += 1


@dataclass(frozen=True)
class Separator:
    """How the fields of a line are told apart."""

    sign: str
    widths: tuple[tuple[int, int], ...] = ()


def find_separator(lines: Sequence[str]) -> Separator:
    """Say how the fields of a text's lines are told apart.

    Args:
        lines: Lines from the start of the file, without line ends; the first ones may be a preamble.

    Raises:
        InputError: The text is no table.
    """
    body = [line for line in lines if line.strip()]
    if not body:
        raise no_table("empty")
    scores = {sign: _score(body, sign) for sign in _CANDIDATES}
    best = max(_CANDIDATES, key=lambda sign: scores[sign])
    if scores[best] >= 0.45:
        _refuse_sentences(body, best)
        return Separator(best)
    blank = _whitespace_score(body)
    widths = _fixed_widths(body)
    words = {len(line.split()) for line in body}
    if widths is not None and len(words) == 1 and words.pop() > len(widths):
        # A header of wide letters can be as long as the records without standing above them.
        return Separator(WHITESPACE)
    if widths is not None and _even(body) and not _plain_blanks(body, len(widths)):
        return Separator(FIXED, widths)
    if blank >= 0.85:
        return Separator(WHITESPACE)
    if widths is not None:
        return Separator(FIXED, widths)
    if blank >= 0.6:
        return Separator(WHITESPACE)
    if scores[best] > 0.2:
        return Separator(best)
    _refuse_prose(body)
    return Separator(",")


def _score(lines: Sequence[str], sign: str) -> float:
    rows = [split_line(text, sign) for _, text in records(lines)]
    counts = Counter(len(row) for row in rows[len(rows) // 10 :])
    common, times = counts.most_common(1)[0]
    if common == 1:
        wide = {count: seen for count, seen in counts.items() if count > 1}
        if not wide or sum(wide.values()) < 0.3 * counts.total():
            return 0.0
        common = max(wide, key=lambda count: wide[count])
        times = wide[common]
    share = times / counts.total()
    cells = [cell for row in rows if len(row) == common for cell in row][:6000]
    typed = sum(_typed(cell, sign) for cell in cells) / len(cells)
    return share * typed**2


def _typed(cell: str, sign: str) -> bool:
    if kind_of(cell) != "word":
        return True
    return not any(other in cell for other in _CANDIDATES if other != sign) or len(cell) > 40


def _whitespace_score(lines: Sequence[str]) -> float:
    rows = [line.split() for line in lines]
    counts = Counter(len(row) for row in rows[len(rows) // 10 :])
    common, times = counts.most_common(1)[0]
    if common == 1:
        return 0.0
    cells = [cell for row in rows if len(row) == common for cell in row][:6000]
    solid = sum(kind_of(cell) in ("number", "time", "empty") for cell in cells) / len(cells)
    return times / counts.total() if solid >= 0.4 else 0.3 * times / counts.total()


def _even(lines: Sequence[str]) -> bool:
    """Whether nearly all lines have one length, as columns of fixed width give them."""
    lengths = Counter(len(line.rstrip("\r")) for line in lines)
    return lengths.most_common(1)[0][1] >= 0.9 * len(lines)


def _plain_blanks(lines: Sequence[str], columns: int) -> bool:
    """Whether parting at blanks gives the same columns, from the header on."""
    length = Counter(map(len, lines)).most_common(1)[0][0]
    return all(len(line.split()) == columns for line in lines if len(line) == length)


def _fixed_widths(lines: Sequence[str]) -> tuple[tuple[int, int], ...] | None:
    """Return where the columns stand, told by the places that are blank in all lines of the table."""
    length = Counter(map(len, lines)).most_common(1)[0][0]
    body = [line for line in lines if len(line) == length]
    if len(body) < 0.8 * len(lines):
        body = list(lines[len(lines) // 10 :])
    body = [line.expandtabs() for line in body]
    if len(body) < 3:
        return None
    filled = [False] * max(map(len, body))
    for line in body:
        for place, sign in enumerate(line):
            filled[place] = filled[place] or not sign.isspace()
    edges = [place for place in range(1, len(filled)) if filled[place] != filled[place - 1]]
    gaps = [(start, stop) for start, stop in itertools.pairwise(edges) if not filled[start]]
    gaps = _header_words_joined(body, gaps)
    if not gaps:
        return None
    # A single blank often stands inside a column (date and time, words); it parts columns only where nothing wider does.
    wide = [gap for gap in gaps if gap[1] - gap[0] > 1]
    best = _spans(gaps)
    share = _solid_share(body, best)
    if len(wide) and _solid_share(body, _spans(wide)) >= share - 0.02:
        best = _spans(wide)
    return best if share >= 0.3 else None


def _header_words_joined(lines: Sequence[str], gaps: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out gaps of one blank behind a word of the header below which nothing ever stands: it goes on in the next word."""
    out, start = [], 0
    for gap in gaps:
        below = any(line[start : gap[0]].strip() for line in lines[1:])
        if below or gap[1] - gap[0] > 1:
            out.append(gap)
            start = gap[1]
    return out


def _spans(gaps: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(itertools.pairwise([0, *((start + stop) // 2 for start, stop in gaps), 10_000]))


def _solid_share(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> float:
    """Return the share of filled fields that are a number or an instant."""
    cells = [cell for line in lines[:500] for start, stop in spans if (cell := line[start:stop].strip())]
    return sum(kind_of(cell) in ("number", "time") or fold(cell) in MISSING_WORDS for cell in cells) / max(len(cells), 1)


def _refuse_prose(lines: Sequence[str]) -> None:
    if lines[0].lstrip().startswith("<"):
        raise no_table("markup")
    words = sum(len(line.split()) for line in lines) / len(lines)
    if words > 4 and len(lines) > 1:
        raise no_table("prose")
    if words > 6:
        raise no_table("prose")


def _refuse_sentences(lines: Sequence[str], sign: str) -> None:
    """Refuse a running text whose commas fall at the same places: no field is a number, and fields are long."""
    cells = [cell for line in lines[:300] for cell in split_line(line, sign)]
    if any(kind_of(cell) in ("number", "time") for cell in cells):
        return
    if sum(len(cell.split()) for cell in cells) > 2.5 * len(cells) and '"' not in "".join(lines[:300]):
        raise no_table("prose")


def no_table(why: str) -> InputError:
    """Return the error for a text in which no table was found."""
    return InputError(
        "no_table",
        ko="이 파일에서 표를 찾지 못했어요. 행마다 같은 수의 값이 구분자(쉼표, 탭, 세미콜론, 공백)로 나뉘어 있어야 해요.",
        en="No table was found in this file. Each row must hold the same number of values, parted by commas, tabs, semicolons or blanks.",
        next_ko="표로 내보낸 파일인지 확인해 주세요.",
        next_en="Check that the file was exported as a table.",
        where={"reason": why},
    )


# ---- header


def find_shape(rows: Sequence[Sequence[Cell]], header_rows: int | None = None) -> TableShape:
    """Say where header, units row and records stand.

    Args:
        rows: Physical rows from the start of the table; blank rows are empty or hold empty cells only.
        header_rows: How many header rows the container itself says there are; None finds out.
    """
    solid = [index for index, row in enumerate(rows) if any(kind_of(cell) != "empty" for cell in row)]
    if not solid:
        raise no_table("empty")
    width, ragged = _width([rows[index] for index in solid])
    signature = _signature([rows[index] for index in solid], width)
    first = _first_record(rows, solid, signature, width)
    if header_rows is not None:
        first = max(first, solid[0] + header_rows)
    header, units = _header_above(rows, first, width, header_rows)
    used = _used(rows, first, header, width)
    preamble = header[0] if header else (units if units is not None else first)
    names = row_names(rows, header, used, width)
    found_units = row_units(rows, units, names, used)
    header_fields = len(rows[header[-1]]) if header else 0
    return TableShape(preamble, len(header), units is not None, names, found_units, used, width, ragged, header_fields)


def _width(rows: Sequence[Sequence[Cell]]) -> tuple[int, bool]:
    later = rows[min(len(rows) // 5, 20) :] or rows
    counts = Counter(len(row) for row in later)
    common = counts.most_common(1)[0][0]
    longer = {count: seen for count, seen in counts.items() if count > common}
    shorter = sum(seen for count, seen in counts.items() if count < common)
    longest = max(longer, default=common)
    if longer and sum(longer.values()) > 0.2 * counts.total():
        return longest, True
    return common, len(later) >= 20 and shorter > 0.05 * len(later)


def _signature(rows: Sequence[Sequence[Cell]], width: int) -> list[str]:
    """Return the commonest kind of each column's cells, below whatever may be a header."""
    body = rows[min(10, len(rows) // 3) :]
    out = []
    for place in range(width):
        kinds = Counter(kind_of(row[place]) for row in body if place < len(row))
        kinds.pop("empty", None)
        out.append(kinds.most_common(1)[0][0] if kinds else "empty")
    return out


def _first_record(rows: Sequence[Sequence[Cell]], solid: Sequence[int], signature: Sequence[str], width: int) -> int:
    hard = [place for place, kind in enumerate(signature) if kind in ("number", "time")]
    if not hard:
        return _first_of_words(rows, solid, width)
    for index in solid[:100]:
        row = rows[index]
        kinds = [kind_of(row[place]) if place < len(row) else "empty" for place in hard]
        fits = sum(
            kind == signature[place] or {kind, signature[place]} == {"number", "time"}
            for kind, place in zip(kinds, hard, strict=True)
        )
        against = sum(kind == "word" for kind in kinds)
        if fits >= max(1, 0.34 * len(hard)) and against <= 0.34 * len(hard) and not _counts_up(row, index, solid, rows):
            return index
    return solid[-1] + 1 if len(solid) == 1 else solid[min(1, len(solid) - 1)]


def _counts_up(row: Sequence[Cell], index: int, solid: Sequence[int], rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a first row is only the numbers of the columns (0, 1, 2 ... or 1, 2, 3 ...), not a record."""
    if index != solid[0] or len(row) < 4 or len(solid) < 3:
        return False
    texts = [str(cell).strip() for cell in row]
    for start in (0, 1):
        if texts == [str(number) for number in range(start, start + len(texts))]:
            below = [str(cell).strip() for cell in rows[solid[1]]]
            return any("." in cell or not cell.isdigit() for cell in below)
    return False


def _first_of_words(rows: Sequence[Sequence[Cell]], solid: Sequence[int], width: int) -> int:
    """Return the first record of a table of words only: its header is unlike any later cell of its columns."""
    wide = [index for index in solid if sum(kind_of(cell) != "empty" for cell in rows[index]) >= max(1, 0.5 * width)]
    if len(wide) < 2:
        # One line of several words is a header that no record follows yet.
        return solid[0] + 1 if len(solid) > 1 or (width > 1 and len(wide) == 1) else solid[0]
    head, body = wide[0], wide[1:]
    cells = [fold(str(cell)) for cell in rows[head] if cell is not None and str(cell).strip()]
    later = {fold(str(cell)) for index in body for cell in rows[index] if cell is not None}
    is_header = len(set(cells)) == len(cells) and not later.intersection(cells)
    return wide[1] if is_header else head


def _header_above(rows: Sequence[Sequence[Cell]], first: int, width: int, given: int | None) -> tuple[list[int], int | None]:
    """Return the header rows, top first, and the units row, looking up from the first record."""
    if given is not None:
        above = [index for index in range(first) if any(kind_of(cell) != "empty" for cell in rows[index])][-given - 1 :]
        units = above[-1] if above and len(above) > given and is_units_row(rows[above[-1]]) else None
        return [index for index in above if index != units][-given:] if given else [], units
    index = first - 1
    while index >= 0 and _filled(rows[index]) == 0:
        index -= 1
    if index < 0:
        return [], None
    units = None
    if is_units_row(rows[index]) and index > 0 and _is_header_row(rows[index - 1], width):
        units = index
        index -= 1
    if not _is_header_row(rows[index], width):
        return [], units
    header = [index]
    while index > 0 and len(header) < 4 and _is_group_row(rows[index - 1], width):
        index -= 1
        header.insert(0, index)
    return header, units


def _filled(row: Sequence[Cell]) -> int:
    return sum(cell is not None and str(cell).strip() != "" for cell in row)


def is_units_row(row: Sequence[Cell]) -> bool:
    """Whether a row holds the units of the columns."""
    cells = [str(cell).strip().strip("[]()") for cell in row if cell is not None and str(cell).strip()]
    if not cells:
        return False
    units = sum(cell in ("1", "-", "") or parse_unit(cell) is not None for cell in cells)
    return units >= max(1, 0.6 * len(cells)) and any(parse_unit(cell) is not None and cell not in ("1", "-") for cell in cells)


def _is_header_row(row: Sequence[Cell], width: int) -> bool:
    filled = _filled(row)
    if width == 1:
        return filled == 1 and len(row) <= 2
    return filled >= max(2, 0.4 * width) or (filled >= 1 and width == 2 and len(row) == width)


def _is_group_row(row: Sequence[Cell], width: int) -> bool:
    filled = [place for place, cell in enumerate(row) if cell is not None and str(cell).strip()]
    if (
        len(filled) < 2
        or len(row) > width + 1
        or filled[-1] < width / 2
        or str(row[filled[0]]).lstrip().startswith(("#", "//"))
    ):
        return False
    return all(kind_of(row[place]) == "word" for place in filled) and not str(row[filled[0]]).strip().endswith(":")


def _used(rows: Sequence[Sequence[Cell]], first: int, header: Sequence[int], width: int) -> tuple[int, ...]:
    named = {place for index in header for place, cell in enumerate(rows[index]) if cell is not None and str(cell).strip()}
    for row in rows[first:]:
        named.update(place for place, cell in enumerate(row) if cell is not None and str(cell).strip())
    return tuple(place for place in range(width) if place in named)


def row_names(rows: Sequence[Sequence[Cell]], header: Sequence[int], used: Sequence[int], width: int) -> tuple[str, ...]:
    """Return the names that header rows give to the fields at some places; ``c1``, ``c2`` ... where they give none."""
    levels = [_level(rows[index], width, spread=index != header[-1]) for index in header]
    if levels and len(rows[header[-1]]) == len(used) - 1 and len(used) > 2 and all(levels[-1][: len(used) - 1]):
        # A table written with row names has one name less than columns; the first column is the one without.
        levels = [["", *level[:-1]] for level in levels]
    out = []
    for number, place in enumerate(used, start=1):
        parts = list(dict.fromkeys(level[place] for level in levels if level[place]))
        out.append(" / ".join(parts) or f"c{number}")
    return tuple(out)


def _level(row: Sequence[Cell], width: int, spread: bool) -> list[str]:
    cells = [" ".join(str(cell).split()) if cell is not None else "" for cell in row][:width]
    cells += [""] * (width - len(cells))
    if spread:
        for place in range(1, width):
            cells[place] = cells[place] or cells[place - 1]
    return cells


def row_units(
    rows: Sequence[Sequence[Cell]], units: int | None, names: Sequence[str], used: Sequence[int]
) -> tuple[str | None, ...]:
    """Return the unit that a units row, or else the name itself, gives to each field."""
    out: list[str | None] = []
    for name, place in zip(names, used, strict=True):
        written = None
        if units is not None and place < len(rows[units]) and rows[units][place] is not None:
            written = str(rows[units][place]).strip().strip("[]()") or None
        out.append(written or split_unit(name)[1])
    return tuple(out)


def is_total(row: Sequence[Cell]) -> bool:
    """Whether a record is a totals row by its own words."""
    for cell in row[:3]:
        if isinstance(cell, str) and cell.strip():
            return fold(cell).strip(":= ") in TOTAL_WORDS
    return False


def is_boolean(words: set[str]) -> bool:
    """Whether folded words are all words for true and false."""
    return bool(words) and words <= (TRUE_WORDS | FALSE_WORDS)
