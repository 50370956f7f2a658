"""Lays a template over a later file of its kind, and says where the file does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from madang.connect import _units
from madang.connect._cells import Cell
from madang.connect._shape import TableShape, is_units_row, kind_of, row_names, row_units
from madang.connect._tables import Layout
from madang.connect._values import BAD_WORDS, MISSING_WORDS, ColumnRule, fold, read_instant, read_number
from madang.errors import InputError, Json
from madang.plant import Bilingual, split_unit

_LOOK = 300


@dataclass(frozen=True)
class Misfit:
    """Where a file differs from the template of its kind."""

    missing: tuple[str, ...] = ()
    """Columns of the template that the file does not have (source names)."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Column of the template, and the column of the file that seems to have taken its place."""
    added: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    """Columns that stand elsewhere; they are read by name."""
    units: tuple[tuple[str, str, str], ...] = ()
    """Column, unit in the template, unit in the file."""
    types: tuple[tuple[str, str], ...] = ()
    """Column, and the type that most of its cells do not have any more."""
    separator: tuple[str, str] | None = None
    header: bool = True
    """Whether the header of the template was found at all."""

    @property
    def blocking(self) -> bool:
        """Whether the file cannot be read with the template; added and moved columns do no harm."""
        return bool(self.missing or self.units or self.types or self.separator) or not self.header

    @property
    def message(self) -> Bilingual:
        """Say where the file does not fit."""
        ko, en = [], []
        if not self.header:
            ko.append("틀의 머리글을 찾지 못했어요")
            en.append("the header of the template was not found")
        if self.separator is not None:
            ko.append(f"구분자가 '{_shown(self.separator[0])}'에서 '{_shown(self.separator[1])}'(으)로 바뀌었어요")
            en.append(f"the separator changed from '{_shown(self.separator[0])}' to '{_shown(self.separator[1])}'")
        renamed = dict(self.renamed)
        for name in self.missing:
            if name in renamed:
                ko.append(f"열 '{name}'이(가) '{renamed[name]}'(으)로 바뀐 것 같아요")
                en.append(f"column '{name}' seems to be named '{renamed[name]}' now")
            else:
                ko.append(f"열 '{name}'이(가) 없어요")
                en.append(f"column '{name}' is missing")
        for name, was, now in self.units:
            ko.append(f"열 '{name}'의 단위가 '{was}'에서 '{now}'(으)로 바뀌었어요")
            en.append(f"the unit of column '{name}' changed from '{was}' to '{now}'")
        for name, kind in self.types:
            ko.append(f"열 '{name}'의 값이 더는 {_KO_TYPES[kind]} 형식이 아니에요")
            en.append(f"the cells of column '{name}' are no longer of type {kind}")
        if self.added:
            ko.append("새 열이 있어요: " + ", ".join(self.added[:8]))
            en.append("there are new columns: " + ", ".join(self.added[:8]))
        if self.moved:
            ko.append("자리가 바뀐 열이 있어요: " + ", ".join(self.moved[:8]))
            en.append("columns moved: " + ", ".join(self.moved[:8]))
        sentence = "; ".join(en)
        return Bilingual("; ".join(ko) + ".", sentence[:1].upper() + sentence[1:] + ".")

    def to_json(self) -> dict[str, Json]:
        """Return the misfit as JSON values."""
        return {
            "missing": list[Json](self.missing),
            "renamed": [list[Json](pair) for pair in self.renamed],
            "added": list[Json](self.added),
            "moved": list[Json](self.moved),
            "units": [list[Json](entry) for entry in self.units],
            "types": [list[Json](entry) for entry in self.types],
            "separator": list[Json](self.separator) if self.separator else None,
            "header": self.header,
        }

    def error(self, source: str) -> InputError:
        """Return the error for a file that cannot be read with its template."""
        return InputError(
            "does_not_fit",
            ko=f"'{source}' 파일이 저장된 틀과 맞지 않아요. {self.message.ko}",
            en=f"'{source}' does not fit the saved template. {self.message.en}",
            next_ko="예전과 같은 방식으로 내보내거나, 새 파일로 틀을 다시 만들어 주세요.",
            next_en="Export the file as before, or learn the template again from the new file.",
            where={"source": source, "misfit": self.to_json()},
        )


_KO_TYPES = {"number": "숫자", "integer": "정수", "time": "시각", "boolean": "참/거짓", "text": "글자"}


def _shown(separator: str) -> str:
    return {"\t": "tab"}.get(separator, separator)


@dataclass(frozen=True)
class Located:
    """A template laid over the rows of a file."""

    shape: TableShape
    misfit: Misfit | None


def locate(
    rows: Sequence[Sequence[Cell]],
    template: Layout,
    rules: dict[str, ColumnRule],
    width: int,
    header_fields: int,
    tolerant: bool = False,
) -> Located:
    """Find the header and the columns of a template in the physical rows of a file.

    Args:
        rows: Physical rows from the start of the file.
        template: Layout learned from an earlier file.
        rules: Rule of each column of the template.
        width: Fields of a record of the earlier file.
        header_fields: Fields of its last header row, 0 without header.
        tolerant: Whether the header alone decides, so that it does not matter how many records follow; some columns may be
            missing and others be new.
    """
    if template.header_rows == 0:
        return _locate_by_place(rows, template, rules, width, tolerant)
    start = _first_header(rows, template) if tolerant else _find_header(rows, template)
    if start is None:
        return Located(_empty_shape(template, width), Misfit(header=False))
    header = list(range(start, start + template.header_rows))
    last = rows[header[-1]]
    here = max(width + len(last) - header_fields, 1)
    # A table written with row names has one name less than columns.
    named = here if _has_row_names(template, header_fields) else len(last)
    present = row_names(rows, header, range(named), max(named, 1))
    below = start + template.header_rows
    has_units = is_units_row(rows[below]) if tolerant and below < len(rows) else template.units_row
    units_row = below if has_units and below < len(rows) else None
    units = row_units(rows, units_row, present, range(named))
    located = _matched(rows, template, rules, list(present), list(units), start, here, tolerant)
    return replace(located, shape=replace(located.shape, units_row=has_units)) if tolerant else located


def _has_row_names(template: Layout, header_fields: int) -> bool:
    names = columns_of(template)
    return len(names) == header_fields + 1 and template.columns[0].source_name == "c1"


def _find_header(rows: Sequence[Sequence[Cell]], template: Layout) -> int | None:
    wanted = {_key(column.source_name) for column in template.columns}
    bare = {_key(split_unit(column.source_name)[0]) for column in template.columns}
    best, best_share = None, 0.34
    for start in range(min(_LOOK, len(rows) - template.header_rows + 1)):
        header = list(range(start, start + template.header_rows))
        last = rows[header[-1]]
        if not last:
            continue
        names = row_names(rows, header, range(len(last)), len(last))
        found = sum(_key(name) in wanted or _key(split_unit(name)[0]) in bare for name in names)
        share = found / max(len(wanted), 1)
        if share > best_share:
            best, best_share = start, share
    return best


def _first_header(rows: Sequence[Sequence[Cell]], template: Layout) -> int | None:
    """Return the first row that is a header with at least one column of the template: later rows never change the answer."""
    wanted = {_key(split_unit(column.source_name)[0]) for column in template.columns}
    places = range(min(_LOOK, len(rows) - template.header_rows + 1))
    start = next((place for place in places if _names_found(rows, place, template.header_rows, wanted)), None)
    if start is None:
        return None
    # The first of several header rows may have names of the template too.
    window = range(start, min(start + template.header_rows, places.stop))
    return max(window, key=lambda place: (_names_found(rows, place, template.header_rows, wanted), -place))


def _names_found(rows: Sequence[Sequence[Cell]], start: int, header_rows: int, wanted: set[str]) -> int:
    """Return how many names of a template a row has when it is a header, else 0."""
    header = list(range(start, start + header_rows))
    last = rows[header[-1]]
    kinds = [kind_of(cell) for cell in last]
    solid = len(kinds) - kinds.count("empty")
    if not solid:
        return 0
    names = row_names(rows, header, range(len(last)), len(last))
    found = sum(_key(split_unit(name)[0]) in wanted for name in names)
    words = solid - kinds.count("number") - kinds.count("time")
    return found if found > 0.34 * len(wanted) or (words == solid and (solid > 1 or len(wanted) == 1)) else 0


def _key(name: str) -> str:
    return fold(name)


def match_names(template: Layout, present: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """Return the place of each column of a template among names, and the places left over."""
    places: dict[str, int] = {}
    free = list(range(len(present)))
    columns = [column for column in template.columns if not _is_derived(template, column.name)]
    for exact in (True, False):
        for column in columns:
            if column.name in places:
                continue
            for place in free:
                same = (
                    _key(present[place]) == _key(column.source_name)
                    if exact
                    else _key(split_unit(present[place])[0]) == _key(split_unit(column.source_name)[0])
                )
                if same:
                    places[column.name] = place
                    free.remove(place)
                    break
    return places, free


def _is_derived(template: Layout, name: str) -> bool:
    derived = template.details.get("derived")
    return isinstance(derived, list) and name in derived


def _matched(
    rows: Sequence[Sequence[Cell]],
    template: Layout,
    rules: dict[str, ColumnRule],
    present: list[str],
    units: list[str | None],
    start: int,
    width: int,
    tolerant: bool = False,
) -> Located:
    columns = [column for column in template.columns if not _is_derived(template, column.name)]
    places, free = match_names(template, present)
    missing = tuple(column.source_name for column in columns if column.name not in places)
    changed = tuple(
        (column.name, column.unit_text, str(units[places[column.name]]))
        for column in columns
        if column.name in places and column.unit_text is not None and not rules[column.name].cell_units
        and (now := units[places[column.name]]) is not None and not _units.same_unit(now, column.unit_text)
    )  # fmt: skip
    used = tuple(places.get(column.name, -1) for column in columns)
    in_order = [places[column.name] for column in columns if column.name in places]
    moved = tuple(
        column.source_name
        for column, before, now in zip(
            [column for column in columns if column.name in places], in_order, sorted(in_order), strict=True
        )
        if before != now
    )
    named = [place for place in free if present[place] != f"c{place + 1}"]
    renamed = _renamed(missing, [present[place] for place in named])
    shape = TableShape(
        start, template.header_rows, template.units_row, tuple(column.source_name for column in columns),
        tuple(column.unit_text for column in columns), used, width, bool(_text(template).get("ragged")),
    )  # fmt: skip
    types = () if missing or tolerant else _type_changes(rows[shape.first_record :], columns_of(template), rules, used)
    added = tuple(present[place] for place in named if present[place] not in dict(renamed).values())
    misfit = Misfit(missing, renamed, added, moved, changed, types)
    return Located(shape, misfit if misfit != Misfit() else None)


def _text(template: Layout) -> dict[str, Json]:
    text = template.details.get("text")
    return text if isinstance(text, dict) else {}


def columns_of(template: Layout) -> tuple[str, ...]:
    """Return the names of the columns that stand in the source itself."""
    return tuple(column.name for column in template.columns if not _is_derived(template, column.name))


def strange_columns(template: Layout, misfit: Misfit | None) -> dict[str, Json]:
    """Return, as details of a layout, the columns of a template that a file lacks and those it has in another unit."""
    if misfit is None:
        return {}
    absent = [column.name for column in template.columns if column.source_name in misfit.missing]
    return {"absent": list[Json](absent), "units_here": {name: now for name, _, now in misfit.units}}


def _renamed(missing: Sequence[str], free: Sequence[str]) -> tuple[tuple[str, str], ...]:
    out = []
    left = list(free)
    for name in missing:
        scored = sorted(((SequenceMatcher(None, _key(name), _key(other)).ratio(), other) for other in left), reverse=True)
        if scored and (scored[0][0] >= 0.6 or (len(missing) == 1 and len(left) == 1)):
            out.append((name, scored[0][1]))
            left.remove(scored[0][1])
    return tuple(out)


def _type_changes(
    rows: Sequence[Sequence[Cell]], names: Sequence[str], rules: dict[str, ColumnRule], used: Sequence[int]
) -> tuple[tuple[str, str], ...]:
    """Return typed columns most of whose cells in the first rows are plainly of another type."""
    out = []
    for name, place in zip(names, used, strict=True):
        rule = rules[name]
        if rule.type not in ("number", "integer", "time"):
            continue
        cells = [str(row[place]).strip() for row in rows[:_LOOK] if place < len(row) and row[place] is not None]
        solid = [cell for cell in cells if cell and fold(cell) not in MISSING_WORDS and fold(cell) not in BAD_WORDS]
        good = sum(_reads(cell, rule) for cell in solid)
        if len(solid) >= 5 and good < 0.2 * len(solid):
            out.append((name, rule.type))
    return tuple(out)


def _reads(cell: str, rule: ColumnRule) -> bool:
    return read_instant(cell, rule) is not None if rule.type == "time" else read_number(cell, rule).value is not None


def _locate_by_place(
    rows: Sequence[Sequence[Cell]], template: Layout, rules: dict[str, ColumnRule], width: int, tolerant: bool = False
) -> Located:
    names = columns_of(template)
    used = tuple(int(place) for place in _used(template))
    start = next((index for index, row in enumerate(rows[:_LOOK]) if _holds_record(row, used)), None)
    if start is None:
        return Located(_empty_shape(template, width), Misfit(missing=tuple(names)))
    sources = tuple(column.source_name for column in template.columns if column.name in names)
    shape = TableShape(start, 0, False, sources, (None,) * len(names), used, width, bool(_text(template).get("ragged")))
    if tolerant:
        fields = [kind_of(cell) != "empty" for cell in rows[start]]
        # One field more with an empty one inside is a shifted record, not another table.
        strange = any(fields[width:]) and (len(fields) > width + 1 or all(fields))
        return Located(shape, Misfit(header=False) if strange else None)
    longer = sum(
        len(row) > width and any(kind_of(cell) != "empty" for cell in row[width:]) for row in rows[start : start + _LOOK]
    )
    added = (f"c{width + 1}",) if longer > 0.5 * min(_LOOK, len(rows) - start) else ()
    misfit = Misfit(added=added, missing=added, types=_type_changes(rows[start:], names, rules, used))
    return Located(shape, misfit if misfit != Misfit() else None)


def _holds_record(row: Sequence[Cell], used: Sequence[int]) -> bool:
    kinds = [kind_of(row[place]) if place < len(row) else "empty" for place in used]
    return len(row) > max(used, default=0) and any(kind != "empty" for kind in kinds)


def _used(template: Layout) -> list[int]:
    used = _text(template).get("used")
    return [int(str(place)) for place in used] if isinstance(used, list) else list(range(len(columns_of(template))))


def _empty_shape(template: Layout, width: int) -> TableShape:
    count = len(columns_of(template))
    return TableShape(0, template.header_rows, template.units_row, ("",) * count, (None,) * count, tuple(range(count)), width)
