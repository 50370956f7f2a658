"""Learns from a sample of records how each column is written, and what the table as a whole is."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import _times
from madang.connect._shape import TOTAL_WORDS, is_boolean, kind_of
from madang.connect._tables import LongColumns
from madang.connect._text import Records
from madang.connect._times import DAY_US, NO_TIME, Instants
from madang.connect._unit_change import UnitChange, find_unit_change
from madang.connect._values import (
    BAD_WORDS,
    MISSING_WORDS,
    ColumnRule,
    convert_numbers,
    fold,
    read_clocks,
    read_number,
)
from madang.connect._watch import record_hashes
from madang.errors import InputError
from madang.plant import convert, known_units, parse_unit

Floats = npt.NDArray[np.float64]

_TIME_HINT = re.compile(r"time|date|stamp|epoch|clock|일시|시각|시간|날짜|일자|zeit|datum|^ts$|^t$|utc", re.IGNORECASE)
_TAG_HINT = re.compile(
    r"tag|point|signal|sensor|variable|parameter|^item|^key|항목|태그|변수|신호|측점|messstelle|messgr|^name$|channel",
    re.IGNORECASE,
)
_VALUE_HINT = re.compile(r"^value|^val$|^wert|reading|측정값|^값|계측값|measurement|_value$", re.IGNORECASE)
_QUALITY_HINT = re.compile(r"qualit|^q$|[ _.]q$|status|품질|상태|opc", re.IGNORECASE)
_UNIT_HINT = re.compile(r"unit|uom|단위|einheit", re.IGNORECASE)
_QUALITY_TAIL = re.compile(r"[ _.\-/]*(quality|qual|qualit[aä]t|q|status|품질|상태)$", re.IGNORECASE)
GOOD_WORDS = frozenset({"good", "ok", "gut", "정상", "양호", "valid", "192"})
UNCERTAIN_WORDS = frozenset({"uncertain", "unsicher", "불확실", "questionable", "64"})
BAD_QUALITY_WORDS = frozenset({"bad", "schlecht", "불량", "이상", "invalid", "0", "comm fail", "i/o timeout"})
SAMPLE = 4000
"""Cells per column that vote on how it is written."""
_LIMITS = sorted({2**k for k in (8, 12, 15, 16, 20, 24, 31, 32)} | {10**k for k in range(3, 10)})


@dataclass
class Learned:
    """What was found out about the columns of a table."""

    rules: dict[str, ColumnRule]
    time_column: str | None = None
    long: LongColumns | None = None
    quality: dict[str, str] = field(default_factory=dict)
    """Column of values -> column of its quality."""
    joined: tuple[str, str, str] | None = None
    """New column, date column and clock column, when date and time of day stand apart."""
    key: bool = False
    """Whether records that agree in everything are proven duplicates."""
    order_by: tuple[str, ...] = ()
    """Columns within whose groups the time runs forward."""
    ambiguous: dict[str, int] = field(default_factory=dict)
    """Time columns whose order of day and month nothing proves, with the number of dates concerned."""
    evidence: dict[str, str] = field(default_factory=dict)
    """Time columns whose order was found from the course of the series."""
    midnight: int = 0
    stuck: dict[str, list[float]] = field(default_factory=dict)
    """Column -> run of equal values beyond which it is stuck, then the values at which it rests by nature."""
    counters: dict[str, float] = field(default_factory=dict)
    """Column -> value at which the counter starts again."""
    tag_codes: dict[str, list[float]] = field(default_factory=dict)
    """Tag -> numbers that stand for a bad value, in a long table."""
    text_tags: list[str] = field(default_factory=list)
    """Tags of a long table whose values are words; their text goes to a column of its own."""
    ranges: dict[str, list[float]] = field(default_factory=dict)
    """Column -> lowest and highest value that a record in its right place may be expected to hold."""
    tag_stuck: dict[str, list[float]] = field(default_factory=dict)
    decimals: dict[str, int] = field(default_factory=dict)
    """Column -> digits behind the decimal mark, where all its numbers are written with the same number of them."""
    worded: list[str] = field(default_factory=list)
    """Columns of words in which no number stands."""
    filled: list[str] = field(default_factory=list)
    """Columns that are hardly ever empty."""
    unit_changes: dict[str, tuple[int, UnitChange]] = field(default_factory=dict)
    """Column -> record from which on it seems to be in another unit, and the change."""
    words: dict[str, list[str]] = field(default_factory=dict)
    """Columns of few words -> these words."""


class Sample:
    """Records to learn from: stretches of the source, contiguous inside."""

    def __init__(self, names: Sequence[str], parts: Sequence[Records]) -> None:
        self.names = tuple(names)
        self.parts = [_without_totals(part) for part in parts if len(part.rows)]
        self.rows = sum(len(part.rows) for part in self.parts)

    def texts(self, name: str) -> Any:  # noqa: ANN401 - pyarrow is untyped
        """Return all texts of a column as one array."""
        place = self.names.index(name)
        if not self.parts:
            return pa.array([], pa.string())
        return pa.concat_arrays([part.columns[place] for part in self.parts])

    def cells(self, name: str) -> list[str]:
        """Return stripped, non-empty texts of a column, evenly drawn."""
        texts = self.texts(name)
        if len(texts) > SAMPLE:
            head = np.arange(SAMPLE // 4)
            spread = np.linspace(SAMPLE // 4, len(texts) - 1, SAMPLE - len(head)).astype(np.int64)
            texts = texts.take(pa.array(np.concatenate([head, spread])))
        return [text.strip() for text in texts.to_pylist() if text and text.strip()]


def _without_totals(part: Records) -> Records:
    """Leave rows of totals out: their sums would look like values far from all others."""
    words = pa.array(sorted(form for word in TOTAL_WORDS for form in (word, word.upper(), word.capitalize(), word.title())))
    hits = np.zeros(len(part.rows), dtype=bool)
    for column in part.columns[:3]:
        if pa.types.is_string(column.type):
            hits |= pc.is_in(pc.utf8_trim_whitespace(column), value_set=words).to_numpy(zero_copy_only=False)
    if not hits.any() or hits.sum() > 0.2 * len(hits):
        return part
    keep = pa.array(~hits)
    return Records(part.rows[~hits], [column.filter(keep) for column in part.columns])


def learn(sample: Sample, units: Sequence[str | None], natives: Collection[str] = ()) -> Learned:
    """Find out how the columns of a table are written.

    Args:
        sample: Records as text.
        units: Unit of each column where header or units row give one.
        natives: Columns whose container keeps numbers as numbers, so that their decimal mark is a point.
    """
    cells = {name: sample.cells(name) for name in sample.names}
    decimal = _file_decimal([cells[name] for name in sample.names])
    learned = Learned({})
    clocks: dict[str, str] = {}
    for name, unit in zip(sample.names, units, strict=True):
        rule = _time_rule(sample, name, cells[name], learned)
        if rule is None and (written := _clock_format(cells[name])) is not None:
            clocks[name] = written
        mark = "." if name in natives else None
        learned.rules[name] = rule or _value_rule(cells[name], unit, mark or decimal, mark)
    _join_date_and_clock(learned, clocks, sample)
    learned.time_column = _main_time(sample, learned, cells)
    _find_long(sample, learned, cells)
    _find_quality(sample, learned, cells)
    _find_codes(sample, learned)
    if learned.time_column is not None:
        _find_midnight(sample, learned)
        _find_order(sample, learned)
    _find_key(sample, learned)
    _find_watches(sample, learned)
    _find_looks(sample, learned, cells)
    return learned


# ---- numbers


_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
_COMMA_DECIMAL = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_DOT_DECIMAL = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_BLANK_GROUPS = re.compile(r"[+-]?\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?")
_TICK_GROUPS = re.compile(r"[+-]?\d{1,3}('\d{3})+([.,]\d+)?")
_BARE = re.compile(r"^(?:[<>≤≥]=?\s*|[₩$€]\s*)?(?P<number>[+-]?[\d.,'\u00a0\u202f ]*\d(?:[eE][+-]?\d+)?)")


@dataclass
class _Votes:
    """How often the numbers of a column can only be, or could be, written in each way."""

    comma_decimal: int = 0
    dot_decimal: int = 0
    comma_groups: int = 0
    dot_groups: int = 0
    maybe_comma: int = 0
    maybe_dot: int = 0
    blank_groups: int = 0
    tick_groups: int = 0


def _votes(cells: Sequence[str]) -> _Votes:
    votes = _Votes()
    for cell in cells:
        found = _BARE.match(cell)
        if found is None:
            continue
        text = found["number"].strip()
        if _BLANK_GROUPS.fullmatch(text):
            votes.blank_groups += 1
        elif _TICK_GROUPS.fullmatch(text):
            votes.tick_groups += 1
        elif _COMMA_GROUPS.fullmatch(text):
            _vote_groups(votes, text, ",", ".")
        elif _DOT_GROUPS.fullmatch(text):
            _vote_groups(votes, text, ".", ",")
        elif _COMMA_DECIMAL.fullmatch(text):
            votes.comma_decimal += 1
        elif _DOT_DECIMAL.fullmatch(text):
            votes.dot_decimal += 1
    return votes


def _vote_groups(votes: _Votes, text: str, mark: str, other: str) -> None:
    sure = text.count(mark) > 1 or other in text
    leading_zero = text.lstrip("+-").startswith("0")
    if mark == ",":
        if leading_zero:
            votes.comma_decimal += 1
        elif sure:
            votes.comma_groups += 1
        else:
            votes.maybe_comma += 1
    elif leading_zero:
        votes.dot_decimal += 1
    elif sure:
        votes.dot_groups += 1
    else:
        votes.maybe_dot += 1


def _file_decimal(columns: Sequence[Sequence[str]]) -> str:
    comma = dot = 0
    for cells in columns:
        if cells and _times.format_of(cells[0]) is None:
            votes = _votes(cells[:500])
            comma += votes.comma_decimal + votes.dot_groups
            dot += votes.dot_decimal + votes.comma_groups
    if comma > dot:
        return ","
    return "."


def _marks(votes: _Votes, decimal: str, cells: Sequence[str]) -> tuple[str, str | None]:
    """Return decimal mark and thousands mark of one column."""
    comma = votes.comma_decimal + votes.dot_groups
    dot = votes.dot_decimal + votes.comma_groups
    own = "," if comma > dot else "." if dot > comma else None
    if own is None and votes.maybe_comma:
        # 1,234 alone: thousands, unless the file writes decimals with a comma.
        own = "," if decimal == "," and not _short_whole(cells, ",") else "."
    if own is None and votes.maybe_dot:
        own = "," if decimal == "," else "."
    own = own or decimal
    if votes.blank_groups:
        return own, " "
    if votes.tick_groups:
        return own, "'"
    if own == ".":
        return ".", "," if votes.comma_groups or votes.maybe_comma else None
    return ",", "." if votes.dot_groups or votes.maybe_dot else None


def _short_whole(cells: Sequence[str], mark: str) -> bool:
    """Whether a column has whole numbers below 1000 beside groups of three: a sign of thousands marks."""
    whole = sum(cell.isdigit() and len(cell) <= 3 for cell in cells)
    return whole > 0 and all(mark not in cell or len(cell.rpartition(mark)[2]) == 3 for cell in cells)


def _value_rule(cells: Sequence[str], unit: str | None, decimal: str, native: str | None) -> ColumnRule:
    solid = [cell for cell in cells if fold(cell) not in MISSING_WORDS]
    if not solid:
        return ColumnRule("number" if cells and unit else "text", unit=unit)
    folded = {fold(cell) for cell in solid[:2000]}
    if is_boolean(folded) and len(folded) <= 4:
        return ColumnRule("boolean")
    mark, thousands = _marks(_votes(solid), decimal, solid) if native is None else (native, None)
    cell_unit = _cell_unit(solid)
    unit = unit or cell_unit or _unit_by_scale(solid, ColumnRule("number", mark, thousands))
    rule = ColumnRule("number", mark, thousands, unit, cell_unit is not None)
    read = [read_number(cell, rule) for cell in solid]
    good = sum(reading.value is not None for reading in read)
    known = sum(fold(cell) in BAD_WORDS for cell, reading in zip(solid, read, strict=True) if reading.value is None)
    formulas = sum(reading.note == "formula" for reading in read)
    strange = {cell for cell, reading in zip(solid, read, strict=True) if reading.value is None and fold(cell) not in BAD_WORDS}
    judged = len(solid) - known - formulas
    if not good or good < 0.8 * judged or (len(strange) > 20 and good < 0.95 * judged):
        return ColumnRule("text")
    if _is_code(solid):
        return ColumnRule("text")
    return replace(rule, type="integer") if _is_integer(solid, rule) else rule


def _cell_unit(cells: Sequence[str]) -> str | None:
    """Return the unit most cells carry behind their number."""
    found: Counter[str] = Counter()
    for cell in cells[:1000]:
        match = re.match(r"^[<>]?\s*[+-]?[\d.,'\u00a0 ]*\d\s*(?P<unit>[^\d\s.,+'-]\S{0,14})$", cell)
        if match and parse_unit(match["unit"]) is not None:
            found[match["unit"]] += 1
    if found.total() < 0.5 * min(len(cells), 1000):
        return None
    return found.most_common(1)[0][0]


_CELL_WITH_UNIT = re.compile(r"^(?P<number>[<>]?\s*[+-]?[\d.,'\u00a0 ]*\d)\s*(?P<unit>[^\d\s.,+'-]\S{0,14})$")


def _unit_by_scale(cells: Sequence[str], rule: ColumnRule) -> str | None:
    """Return the unit of a column that names none, from the few cells that carry one.

    Exactly one unit of the same quantity must bring those cells into the midst of the others.
    """
    dressed = [(match["number"], match["unit"]) for cell in cells if (match := _CELL_WITH_UNIT.match(cell)) is not None]
    dressed = [(number, unit) for number, unit in dressed if parse_unit(unit) is not None]
    if not dressed or len({unit for _, unit in dressed}) != 1:
        return None
    bare = [float(value) for cell in cells if (value := read_number(cell, rule).value) is not None]
    if len(bare) < 10:
        return None
    given = parse_unit(dressed[0][1])
    values = [value for number, _ in dressed if (value := read_number(number, rule).value) is not None]
    if given is None or not values:
        return None
    middle, spread = float(np.median(bare)), float(np.quantile(bare, 0.99) - np.quantile(bare, 0.01))
    distances: list[tuple[float, str]] = []
    for unit in known_units():
        if unit.dimension != given.dimension or unit.difference != given.difference:
            continue
        try:
            there = np.asarray(convert(np.array(values, dtype=np.float64), given, unit))
        except InputError:
            continue
        distances.append((abs(float(np.median(there)) - middle), unit.display))
    distances.sort()
    if not distances or distances[0][0] > 0.6 * spread:
        return None
    # Bar, atm and kgf/cm2 lie within three in a hundred of each other: a guess between near units would be a silent change.
    alone = len(distances) == 1 or distances[1][0] > 0.6 * spread
    return distances[0][1] if alone else None


def _is_code(cells: Sequence[str]) -> bool:
    """Whether numbers are codes: leading zeros, or more digits than a number keeps."""
    zeros = sum(len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in cells)
    long = sum(len(cell) > 18 and cell.isdigit() for cell in cells)
    return zeros >= max(1, 0.01 * len(cells)) or long > 0.5 * len(cells)


def _is_integer(cells: Sequence[str], rule: ColumnRule) -> bool:
    """Whether a column counts or names rather than measures, so that whole numbers are its nature."""
    whole = [cell for cell in cells if re.fullmatch(r"[+-]?\d{1,18}", cell)]
    if rule.thousands is not None or rule.cell_units or len(whole) < 0.98 * len(cells) or len(cells) < 3:
        return False
    if any("." in cell or "," in cell for cell in cells):
        return False
    numbers = [int(cell) for cell in whole]
    distinct = len(set(numbers))
    if distinct < 2:
        return False
    runs_up = sum(b >= a for a, b in itertools.pairwise(numbers)) >= 0.98 * (len(numbers) - 1)
    return max(map(abs, numbers)) >= 2**31 or (distinct <= 50 and distinct <= 0.05 * len(numbers)) or (runs_up and distinct > 2)


# ---- instants


def _time_rule(sample: Sample, name: str, cells: Sequence[str], learned: Learned) -> ColumnRule | None:
    solid = [cell for cell in cells if fold(cell) not in MISSING_WORDS and fold(cell) not in BAD_WORDS]
    if not solid:
        return None
    digits = sum(bool(re.fullmatch(r"\d+([.,]\d+)?", cell)) for cell in solid)
    if digits >= 0.9 * len(solid):
        return _numeric_time(name, solid)
    looks = Counter(written for cell in solid if (written := _times.format_of(cell)) is not None)
    if looks.total() < 0.8 * len(solid):
        return None
    formats = [written for written, _ in looks.most_common(12)]
    return _settle_order(sample, name, formats, learned)


def _numeric_time(name: str, cells: Sequence[str]) -> ColumnRule | None:
    hint = bool(_TIME_HINT.search(name))
    whole = [cell for cell in cells if cell.isdecimal() and cell.isascii()]
    if len(whole) >= 0.95 * len(cells):
        looks = Counter(_times.format_of(cell) for cell in whole)
        written, seen = looks.most_common(1)[0]
        steady = len(set(whole)) > 1 and sum(b >= a for a, b in itertools.pairwise(whole)) >= 0.9 * (len(whole) - 1)
        if written is not None and seen >= 0.95 * len(whole) and (hint or (len(whole[0]) >= 12 and steady)):
            return ColumnRule("time", formats=(written,))
    numbers = [float(cell.replace(",", ".")) for cell in cells if re.fullmatch(r"\d+([.,]\d+)?", cell, re.ASCII)]
    scale = epoch_scale(numbers)
    if scale is not None and (hint or _runs_on(numbers)):
        return ColumnRule("time", formats=(scale,))
    if hint and numbers and all(20_000 <= number <= 80_000 for number in numbers) and len(set(numbers)) > 1:
        return ColumnRule("time", formats=("excel_serial",))
    return None


def epoch_scale(numbers: Sequence[float]) -> str | None:
    """Return the format of numbers that count time since 1970 and lie between 2000 and 2040."""
    if not numbers:
        return None
    for written, per_second in (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6), ("epoch_ns", 1e9)):
        # 2000-01-01 to 2040-01-01
        if all(946_684_800 <= number / per_second <= 2_208_988_800 for number in numbers):
            return written
    return None


def _runs_on(numbers: Sequence[float]) -> bool:
    return len(set(numbers)) > 2 and sum(b >= a for a, b in itertools.pairwise(numbers)) >= 0.95 * (len(numbers) - 1)


def _settle_order(sample: Sample, name: str, formats: Sequence[str], learned: Learned) -> ColumnRule:
    opened = [written for written in formats if _times.is_open(written)]
    if not opened:
        return ColumnRule("time", formats=tuple(formats[:6]))
    two_digit_year = any("%3" in written for written in opened)
    orders = ["ymd", "dmy", "mdy"] if two_digit_year else ["dmy", "mdy"]
    texts = sample.texts(name)
    scored = []
    for order in orders:
        settled = tuple(dict.fromkeys(_times.settle(written, order) for written in formats))
        rule = ColumnRule("time", formats=settled, order=order)
        local = read_clocks(texts, rule).local
        scored.append((_unread(texts, local), _disorder(local), rule))
    valid = min(unread for unread, _, _ in scored)
    fitting = [entry for entry in scored if entry[0] <= valid + 0.002 * max(1, len(texts))]
    if len(fitting) == 1:
        return fitting[0][2]
    calm = min(disorder for _, disorder, _ in fitting)
    calmest = [entry for entry in fitting if entry[1] <= calm * 1.2 + 1e-9]
    if len(calmest) == 1:
        learned.evidence[name] = "course"
        return calmest[0][2]
    learned.ambiguous[name] = len(texts)
    return _habit(opened[0], calmest)


def _habit(written: str, entries: Sequence[tuple[int, float, ColumnRule]]) -> ColumnRule:
    """Choose by custom where nothing proves the order: Korea writes the year first, the United States the month with AM and PM."""
    mark = written[2] if len(written) > 2 else "-"
    wanted = ["dmy"] if mark == "." else ["ymd", "mdy", "dmy"] if "%p" in written or mark == "-" else ["ymd", "dmy"]
    for order in wanted:
        for _, _, rule in entries:
            if rule.order == order:
                return rule
    return entries[0][2]


def _unread(texts: Any, local: Instants) -> int:  # noqa: ANN401 - pyarrow is untyped
    return int(len(texts) - (local != NO_TIME).sum())


def _disorder(local: Instants) -> float:
    """Return how restless a series of instants is: steps back, and jumps beside the usual step (0 is perfectly even)."""
    there = local[local != NO_TIME]
    if len(there) < 3:
        return 0.0
    steps = np.diff(there)
    usual = float(np.median(np.abs(steps[steps != 0]))) if (steps != 0).any() else 1.0
    back = float((steps < 0).sum())
    far = float((np.abs(steps) > 20 * usual).sum()) if usual else 0.0
    return (back + far) / len(steps)


def _clock_format(cells: Sequence[str]) -> str | None:
    solid = [cell for cell in cells if fold(cell) not in MISSING_WORDS]
    if sum(_times.clock_format_of(cell) is not None for cell in solid[:50]) < 0.5 * min(len(solid), 50):
        return None
    found = Counter(written for cell in solid if (written := _times.clock_format_of(cell)) is not None)
    if not solid or found.total() < 0.9 * len(solid):
        return None
    written = found.most_common(1)[0][0]
    return None if written == "%H%M%S" and not all(len(cell) == 6 for cell in solid) else written


def _join_date_and_clock(learned: Learned, clocks: dict[str, str], sample: Sample) -> None:
    """Put a column of dates and a column of times of day together, where no column has both."""
    dates = [
        name
        for name, rule in learned.rules.items()
        if rule.type == "time" and rule.formats[0] not in _times.EPOCHS and not re.search("%[HI]", rule.formats[0])
    ]
    full = [name for name, rule in learned.rules.items() if rule.type == "time" and name not in dates]
    if full or not dates:
        return
    day = dates[0]
    hinted = [name for name, written in clocks.items() if ":" in written or "시" in written or _TIME_HINT.search(name)]
    if not hinted:
        return
    place = sample.names.index(day)
    clock = min(hinted, key=lambda name: abs(sample.names.index(name) - place))
    written = tuple(f"{part} {clocks[clock]}" for part in learned.rules[day].formats)
    taken = {name.casefold() for name in sample.names}
    new = next(name for name in ("time", "date_time", "time_", "time__", "time___") if name not in taken)
    learned.rules[new] = replace(learned.rules[day], formats=written)
    learned.rules[clock] = ColumnRule("text")
    learned.joined = (new, day, clock)


def _main_time(sample: Sample, learned: Learned, cells: dict[str, list[str]]) -> str | None:
    if learned.joined is not None:
        return learned.joined[0]
    times = [name for name in sample.names if learned.rules[name].type == "time"]
    if not times:
        return None
    full = [name for name in times if re.search("%[HI]|epoch|excel", learned.rules[name].formats[0])]
    return max(full or times, key=lambda name: len(cells[name]) > 0.9 * max(len(cells[other]) for other in times))


def joined_texts(sample: Sample, learned: Learned) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """Return the texts of the main time column, date and clock put together where they stand apart."""
    assert learned.time_column is not None
    if learned.joined is None:
        return sample.texts(learned.time_column)
    _, day, clock = learned.joined
    return join_date_clock(sample.texts(day), sample.texts(clock))


def join_date_clock(day: Any, clock: Any) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """Put texts of dates and of times of day together; empty where either is empty."""
    day, clock = pc.utf8_trim_whitespace(day), pc.utf8_trim_whitespace(clock)
    whole = pc.and_(pc.not_equal(day, ""), pc.not_equal(clock, ""))
    return pc.if_else(whole, pc.binary_join_element_wise(day, clock, " "), "")


# ---- the table as a whole


def _distinct(cells: Sequence[str]) -> int:
    return len(set(cells))


def _find_long(sample: Sample, learned: Learned, cells: dict[str, list[str]]) -> None:
    if learned.time_column is None or len(sample.names) > 8 or sample.rows < 3:
        return
    texts = [name for name in sample.names if learned.rules[name].type in ("text", "integer") and cells[name]]
    tags = [
        name
        for name in texts
        if learned.rules[name].type == "text" and not _is_quality(cells[name]) and not _is_units(cells[name])
    ]
    numbers = [
        name for name in sample.names if learned.rules[name].type in ("number", "integer") and not _is_quality(cells[name])
    ]
    values = [name for name in sample.names if _VALUE_HINT.search(name) and name not in (learned.time_column, *tags)]
    values = values or [name for name in sample.names if _VALUE_HINT.search(name) and learned.rules[name].type == "text"]
    hinted = [name for name in tags if _TAG_HINT.search(name) and name not in values]
    if hinted and values:
        tag, value = hinted[0], values[0]
    elif len(numbers) == 1 and len(tags) == 1 and _tags_share_times(sample, learned, tags[0]):
        tag, value = tags[0], numbers[0]
    else:
        return
    if _distinct(cells[tag]) > 0.5 * len(cells[tag]) and len(cells[tag]) > 10:
        return
    quality = [
        name for name in sample.names if name not in (tag, value) and _QUALITY_HINT.search(name) and _is_quality(cells[name])
    ]
    unit = [
        name
        for name in sample.names
        if name not in (tag, value) and (_UNIT_HINT.search(name) or not quality) and _is_units(cells[name])
    ]
    learned.long = LongColumns(tag, value, quality[0] if quality else None, unit[0] if unit else None)
    if learned.rules[value].type == "integer":
        learned.rules[value] = replace(learned.rules[value], type="number")
    if learned.rules[value].type == "text":
        _part_text_tags(sample, learned, tag, value)


def _part_text_tags(sample: Sample, learned: Learned, tag: str, value: str) -> None:
    """Tell tags of numbers from tags of words, where one column of values holds both."""
    texts = sample.texts(value)
    words: list[str] = []
    numbers: list[str] = []
    for name, where in groups(sample.texts(tag)).items():
        cells = [text.strip() for text in texts.take(pa.array(where[:SAMPLE])).to_pylist() if text and text.strip()]
        if not cells or _value_rule(cells, None, _file_decimal([cells]), None).type in ("number", "integer"):
            numbers += cells[: SAMPLE // 4]
        else:
            words.append(name)
    if len(numbers) >= 10:
        rule = _value_rule(numbers, None, _file_decimal([numbers]), None)
        if rule.type in ("number", "integer"):
            learned.rules[value] = replace(rule, type="number")
            learned.text_tags = words


def _tags_share_times(sample: Sample, learned: Learned, tag: str) -> bool:
    local = read_clocks(joined_texts(sample, learned), learned.rules[str(learned.time_column)]).local
    _, inverse = np.unique(local, return_inverse=True)
    codes = sample.texts(tag).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    pairs = len(np.unique(inverse.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes))
    moments = int(inverse.max(initial=0)) + 1
    return len(local) >= 6 and pairs >= 0.95 * len(local) and moments <= 0.6 * len(local)


def _is_quality(cells: Sequence[str]) -> bool:
    words = {fold(cell) for cell in cells}
    if not words or len(words) > 12:
        return False
    if all(word.isdigit() and int(word) <= 255 for word in words):
        return "192" in words
    return bool(words & GOOD_WORDS) and words <= (GOOD_WORDS | UNCERTAIN_WORDS | BAD_QUALITY_WORDS | BAD_WORDS)


def _is_units(cells: Sequence[str]) -> bool:
    words = set(cells)
    return 0 < len(words) <= 60 and all(parse_unit(word) is not None and not word.isdigit() for word in words)


def _find_quality(sample: Sample, learned: Learned, cells: dict[str, list[str]]) -> None:
    if learned.long is not None:
        if learned.long.quality:
            learned.quality[learned.long.value] = learned.long.quality
        return
    lower = {name.casefold(): name for name in sample.names}
    for name in sample.names:
        stem = _QUALITY_TAIL.sub("", name)
        if not stem or stem == name or not _is_quality(cells[name]):
            continue
        owner = lower.get(stem.casefold()) or lower.get(f"{stem}_value".casefold()) or lower.get(f"{stem}.value".casefold())
        if owner is not None and owner != name and learned.rules[owner].type in ("number", "integer"):
            learned.quality[owner] = name
            learned.rules[name] = ColumnRule("text")
    lone = [name for name in sample.names if _is_quality(cells[name]) and re.fullmatch(r"(?i)q|qualit\w*|opc\w*|품질\w*", name)]
    numbers = [name for name in sample.names if learned.rules[name].type == "number"]
    if not learned.quality and len(lone) == 1 and len(numbers) == 1:
        learned.quality[numbers[0]] = lone[0]


def values_of(sample: Sample, name: str, rule: ColumnRule) -> Floats:
    """Return a numeric column of the sample, NaN where there is no value."""
    values = convert_numbers(sample.texts(name), rule).values
    out: Floats = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    return out


def bad_codes(values: Floats) -> list[float]:
    """Return the numbers that can only stand for a bad value: written like a code, far from everything else, and repeated.

    Args:
        values: Values of one quantity, NaN where there is none.
    """
    solid = values[np.isfinite(values)]
    if len(solid) < 12:
        return []
    unique, counts = np.unique(solid, return_counts=True)
    written = {float(unique[place]): int(counts[place]) for place in _outermost_codes(unique)}
    if not written or len(unique) - len(written) < 2:
        return []
    rest = unique[~np.isin(unique, list(written))]
    low, high = float(rest[0]), float(rest[-1])
    spread = max(high - low, 1e-9, 0.02 * max(abs(low), abs(high)))
    out = []
    for code, count in written.items():
        gap = code - high if code > high else low - code if code < low else -1.0
        if count > 0.5 * len(solid) or gap <= 0:
            continue
        if (count >= 2 and gap > 1.0 * spread) or gap > 8.0 * spread:
            out.append(code)
    return out


def _outermost_codes(unique: Floats) -> list[int]:
    """Return the places of code-like numbers at both ends of sorted values; one inside the range proves nothing."""
    places: list[int] = []
    for order in (range(len(unique)), range(len(unique) - 1, -1, -1)):
        for place in order:
            if not looks_like_code(float(unique[place])):
                break
            places.append(place)
    return sorted(set(places))


def looks_like_code(value: float) -> bool:
    """Whether a number is written like one that systems put for "no value": 9s, a full register, a huge float."""
    if abs(value) >= 1e30:
        return True
    if value in (32767.0, -32768.0, 65535.0, 32766.0, 65534.0, 2147483647.0, -2147483648.0, 4294967295.0, 16777215.0):
        return True
    digits = repr(abs(value)).replace(".0", "").replace(".", "")
    return (len(digits) >= 3 and set(digits) in ({"9"}, {"8"}, {"7"})) or (abs(value) in (99.0, 99.9) and value < 0)


def _find_codes(sample: Sample, learned: Learned) -> None:
    for name in sample.names:
        rule = learned.rules[name]
        if rule.type not in ("number", "integer") or (learned.long and name == learned.long.value):
            continue
        codes = bad_codes(values_of(sample, name, rule))
        if codes:
            learned.rules[name] = replace(rule, bad_codes=tuple(codes))
    if learned.long is not None and learned.rules[learned.long.value].type == "number":
        values = values_of(sample, learned.long.value, learned.rules[learned.long.value])
        for tag, where in groups(sample.texts(learned.long.tag)).items():
            codes = bad_codes(values[where])
            if codes:
                learned.tag_codes[tag] = codes


def groups(texts: Any) -> dict[str, npt.NDArray[np.int64]]:  # noqa: ANN401 - pyarrow is untyped
    """Return the indices of each distinct text, in order."""
    encoded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    words = encoded.dictionary.to_pylist()
    return {word: order[bounds[place] : bounds[place + 1]] for place, word in enumerate(words)}


def _find_midnight(sample: Sample, learned: Learned) -> None:
    """See whether rows of 00:00 stand behind the last row of the day whose date they carry."""
    name = str(learned.time_column)
    rule = learned.rules[name]
    if rule.formats[0] in _times.EPOCHS or not re.search("%[HI]", rule.formats[0]):
        return
    local = read_clocks(joined_texts(sample, learned), rule).local
    if len(local):
        # Several records of one instant (tags, machines) count once.
        local = local[np.concatenate([[True], local[1:] != local[:-1]])]
    early, right = 0, 0
    for place in np.flatnonzero((local != NO_TIME) & (local % DAY_US == 0)).tolist():
        if place == 0 or local[place - 1] == NO_TIME:
            continue
        before = local[place] - local[place - 1]
        after = local[place + 1] - local[place] if place + 1 < len(local) and local[place + 1] != NO_TIME else None
        if -DAY_US < before < -DAY_US // 2 and (after is None or after >= DAY_US):
            early += 1
        elif 0 <= before <= DAY_US:
            right += 1
    if early >= 1 and early >= 9 * right:
        learned.rules[name] = replace(rule, midnight=True)
        learned.midnight = early


def _find_order(sample: Sample, learned: Learned) -> None:
    """See whether the time runs forward within the groups of another column only."""
    if learned.long is not None:
        learned.order_by = (learned.long.tag,)
        return
    local = read_clocks(joined_texts(sample, learned), learned.rules[str(learned.time_column)]).local
    back = _steps_back(local)
    if back <= max(2, 0.001 * len(local)):
        return
    for name in sample.names:
        if learned.rules[name].type not in ("text", "integer"):
            continue
        parts = groups(sample.texts(name))
        if 1 < len(parts) <= 0.2 * len(local) and sum(_steps_back(local[where]) for where in parts.values()) <= 0.02 * back:
            learned.order_by = (name,)
            return


def _steps_back(local: Instants) -> int:
    there = local[local != NO_TIME]
    return int((np.diff(there) < 0).sum()) if len(there) > 1 else 0


def _find_key(sample: Sample, learned: Learned) -> None:
    """See whether a record is known by its time (and tag) or by an identifier, so that an equal record is a duplicate."""
    if not sample.rows:
        return
    texts = {name: pc.utf8_trim_whitespace(sample.texts(name)) for name in sample.names}
    distinct = np.unique(record_hashes(list(texts.values())), return_index=True)[1]
    texts = {name: column.take(pa.array(distinct)) for name, column in texts.items()}
    candidates: list[list[str]] = []
    if learned.time_column is not None:
        stamp = [learned.joined[1], learned.joined[2]] if learned.joined else [learned.time_column]
        others = [name for name in sample.names if learned.rules[name].type in ("text", "integer") and name not in stamp]
        candidates = [stamp, *([*stamp, other] for other in others), [*stamp, *others]]
    else:
        candidates = [[name] for name in sample.names if learned.rules[name].type in ("text", "integer")]
    for names in candidates:
        if len(np.unique(record_hashes([texts[name] for name in names]))) >= 0.98 * len(distinct):
            learned.key = True
            return


# ---- how the cells of a column look


def _find_looks(sample: Sample, learned: Learned, cells: dict[str, list[str]]) -> None:
    """See by what a cell is known to stand in its column: decimals, words, and that it is there at all."""
    for name in sample.names:
        rule, solid = learned.rules[name], [cell for cell in cells[name] if fold(cell) not in MISSING_WORDS | BAD_WORDS]
        if len(solid) < 20:
            continue
        texts = sample.texts(name)
        if int(pc.sum(pc.equal(pc.utf8_trim_whitespace(texts), "")).as_py() or 0) <= 0.02 * len(texts):
            learned.filled.append(name)
        if rule.type == "number":
            digits = Counter(decimals_of(cell, rule.decimal) for cell in solid)
            common, seen = digits.most_common(1)[0]
            if common is not None and common > 0 and seen >= 0.98 * len(solid):
                learned.decimals[name] = common
        elif rule.type == "text":
            if sum(kind_of(cell) in ("number", "time") for cell in solid) <= 0.02 * len(solid):
                learned.worded.append(name)
            often = [word for word, seen in Counter(solid).items() if seen > 0.02 * len(solid)]
            if len(often) <= 12 and sum(cell in often for cell in solid) >= 0.98 * len(solid):
                learned.words[name] = sorted(often)


def decimals_of(cell: str, decimal: str) -> int | None:
    """Return how many digits a plain number has behind its decimal mark; None when it is no plain number."""
    whole, mark, rest = cell.strip().lstrip("+-").partition(decimal)
    if not re.fullmatch(r"[\d.,' ]*\d", whole, re.ASCII) or (mark and not re.fullmatch(r"\d*", rest, re.ASCII)):
        return None
    return len(rest)


# ---- stuck sensors and counters


def _find_watches(sample: Sample, learned: Learned) -> None:
    if learned.long is not None:
        if learned.rules[learned.long.value].type == "number":
            values = values_of(sample, learned.long.value, learned.rules[learned.long.value])
            for tag, where in groups(sample.texts(learned.long.tag)).items():
                limit = stuck_limit(values[where])
                if limit is not None:
                    learned.tag_stuck[tag] = limit
        return
    for name in sample.names:
        rule = learned.rules[name]
        if rule.type not in ("number", "integer"):
            continue
        values = values_of(sample, name, rule)
        if rule.type == "number" and (limit := stuck_limit(values)) is not None:
            learned.stuck[name] = limit
        if (bounds := usual_range(values)) is not None:
            learned.ranges[name] = bounds
        if (wraps_at := rollover_limit(values)) is not None:
            learned.counters[name] = wraps_at
    _find_unit_changes(sample, learned)


def _find_unit_changes(sample: Sample, learned: Learned) -> None:
    rows = np.concatenate([part.rows for part in sample.parts]) if sample.parts else np.zeros(0, np.int64)
    if not len(rows) or (np.diff(rows) <= 0).any():
        return
    names = [
        name for name in sample.names
        if learned.rules[name].type in ("number", "integer") and not learned.rules[name].cell_units and name not in learned.counters
    ]  # fmt: skip
    columns = {name: values_of(sample, name, learned.rules[name]) for name in names}
    for name in names:
        if learned.rules[name].type == "number" and (change := find_unit_change(name, columns)) is not None:
            learned.unit_changes[name] = int(rows[change.index]), change


def usual_range(values: Floats) -> list[float] | None:
    """Return the range of a quantity, four times as wide as the middle 96 of a hundred of its values."""
    solid = values[np.isfinite(values)]
    if len(solid) < 30:
        return None
    low, high = np.quantile(solid, [0.02, 0.98])
    span = 1.5 * max(float(high - low), 1e-9, 0.01 * abs(float(high)))
    return [float(low - span), float(high + span)]


def stuck_limit(values: Floats) -> list[float] | None:
    """Return the run of equal values beyond which a sensor is stuck, then the values at which it rests by nature.

    The limit is eight times the run that one run in a hundred exceeds, and at least twelve records. A value that was held
    beyond the limit more than once (zero, full scale, the set point) is a rest, not a standstill. None for a quantity that
    often stands still.
    """
    solid = values[np.isfinite(values)]
    if len(solid) < 50 or len(np.unique(solid)) < 10:
        return None
    lengths, starts = runs(solid)
    if len(lengths) < 0.2 * len(solid):
        return None
    limit = int(max(12, 8 * np.quantile(np.sort(lengths), 0.99)))
    long = lengths > limit
    held, times = np.unique(solid[starts[long]], return_counts=True)
    rests = held[(times > 1) | (held == 0)]
    stuck = long & ~np.isin(solid[starts], rests)
    if stuck.sum() > 3 + 0.001 * len(solid):
        return None
    return [float(limit), *rests.tolist()]


def runs(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return lengths and first indices of the runs of equal values."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return np.diff(np.concatenate([starts, [len(values)]])), starts


def rollover_limit(values: Floats) -> float | None:
    """Return the register size at which a counter starts again, when the sample shows one doing so."""
    solid = values[np.isfinite(values)]
    if len(solid) < 20 or float(solid.min()) < 0:
        return None
    steps = np.diff(solid)
    drops = np.flatnonzero(steps < -0.5 * np.maximum(solid[:-1], 1.0))
    ups = steps[steps > 0]
    if not len(drops) or len(drops) > 0.05 * len(steps) or (steps < 0).sum() != len(drops) or len(ups) < 0.2 * len(steps):
        return None
    step = float(np.quantile(ups, 0.99))
    for limit in _LIMITS:
        tops = solid[:-1][drops]
        if ((tops < limit) & (tops >= limit - 4 * step - 1)).all() and (solid[1:][drops] <= 4 * step + 1).all():
            return float(limit)
    return None
