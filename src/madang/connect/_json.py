"""JSON lines, arrays and documents: nested records become columns with dotted names, measurements columns with units."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, cast

import msgspec

from madang.connect._bytes import MAX_IN_MEMORY, open_container
from madang.connect._cells import Cell, CellTable, UnreadRow
from madang.connect._encoding import find_encoding
from madang.connect._tables import ReadOptions, TableSource
from madang.errors import InputError, Json
from madang.plant import Bilingual, Finding

MAX_COLUMNS = 200_000
MAX_DEPTH = 24
CHUNK = 1 << 20
"""Letters read at a time."""

Record: TypeAlias = "dict[str, Json] | list[Json]"

# Key names by which gateways write one measurement: name, value and unit, with or without a quality.
_NAME_KEYS = ("n", "name", "tag", "id", "key", "sensor", "point", "metric", "item", "signal", "measurement", "tagname", "field")
_VALUE_KEYS = ("v", "value", "val", "reading", "y", "vs", "vb")
_UNIT_KEYS = ("u", "unit", "uom", "units", "unitcode")
_BLANK_START = re.compile(r"\s*")
_NEXT_RECORD = re.compile(r"[}\]]\s*,\s*(?=[{\[])")


def looks_like_json(head: bytes) -> bool:
    """Whether the first bytes of a file begin a JSON value that can hold records."""
    try:
        text = _decoded_head(head)
    except InputError:
        return False
    text = text.lstrip("\ufeff \t\r\n")
    if re.match(r'\{\s*("|\}|$)', text):
        return True
    if not re.match(r"\[\s*([\[{\"\d\-]|null|true|false|$)", text):
        return False
    try:
        json.JSONDecoder().raw_decode(text)
    except ValueError as error:
        # Cut off by the end of the head, or broken: a list of records, or an INI file or note that begins with a bracket?
        return getattr(error, "pos", 0) > len(text) - 300 or text[1:].lstrip().startswith(("{", "["))
    except RecursionError:
        return False
    return True


def _decoded_head(head: bytes) -> str:
    encoding = find_encoding([head])
    name = "utf-16-le" if encoding.name == "utf-16" and not encoding.bom else encoding.name
    return head.decode(name, "replace")


def json_format(path: Path, member: str | None) -> Literal["jsonl", "json"]:
    """Say whether a file holds one record per line or one document."""
    with _text(path, member) as lines:
        filled = (line for line in iter(lambda: lines.readline(CHUNK), "") if line.strip())
        first = list(islice(filled, 2))
    if len(first) < 2:
        return "json"
    try:
        value = _parse(first[0])
    except ValueError:
        # A broken first line among lines that are records each is still a file of lines.
        return "jsonl" if first[0].lstrip().startswith("{") and _is_record(first[1]) else "json"
    return "jsonl" if isinstance(value, dict | list) else "json"


def _is_record(line: str) -> bool:
    try:
        return isinstance(_parse(line), dict)
    except ValueError:
        return False


def _parse(text: str) -> Json:
    """Parse one JSON value; the fast reader first, the lenient one (NaN, control signs) when it refuses.

    Raises:
        ValueError: The text is no JSON value.
    """
    try:
        return cast("Json", msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    try:
        return cast("Json", json.loads(text, strict=False))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _text(path: Path, member: str | None) -> io.TextIOWrapper:
    with open_container(path, member) as stream:
        encoding = find_encoding([stream.read(CHUNK)])
    name = "utf-16-le" if encoding.name == "utf-16" and not encoding.bom else encoding.name
    raw = open_container(path, member)
    return io.TextIOWrapper(cast("io.BufferedReader", raw), encoding=name, errors="backslashreplace", newline="\n")


# ---- records


def _lines(path: Path, member: str | None) -> Iterator[Record | UnreadRow]:
    with _text(path, member) as stream:
        for line in stream:
            text = line.strip("\ufeff \t\r\n")
            if not text:
                continue
            try:
                value = _parse(text)
            except ValueError:
                yield UnreadRow(text, "json" if line.endswith("\n") else "truncated")
                continue
            yield value if isinstance(value, dict | list) else UnreadRow(text, "json")


def _elements(path: Path, member: str | None) -> Iterator[Record | UnreadRow]:
    """Yield the elements of a top-level array (or of values one after another) without holding the whole text."""
    decoder = json.JSONDecoder(strict=False)
    with _text(path, member) as stream:
        buffer, end = stream.read(CHUNK).lstrip("\ufeff \t\r\n"), False
        in_array = buffer.startswith("[")
        place = 1 if in_array else 0
        while True:
            place = _skip(buffer, place)
            if place >= len(buffer) or (in_array and buffer[place] == "]"):
                more = stream.read(CHUNK)
                if not more:
                    return
                buffer, place = buffer[place:] + more, 0
                if in_array and buffer.startswith("]"):
                    return
                continue
            try:
                value, after = decoder.raw_decode(buffer, place)
                # A number or word at the very end of the buffer may go on in the next chunk.
                complete = after < len(buffer) or end
            except (ValueError, RecursionError):
                complete, value, after = False, None, place
            if not complete:
                more = stream.read(max(CHUNK, len(buffer)))
                if more and len(buffer) - place < MAX_IN_MEMORY:
                    buffer, place = buffer[place:] + more, 0
                    continue
                if not end:
                    end = True
                    continue
                found = _NEXT_RECORD.search(buffer, place)
                after = found.end() if found else len(buffer)
                yield UnreadRow(buffer[place:after].rstrip(", \r\n\t"), "json")
                place = after
                continue
            yield value if isinstance(value, dict | list) else UnreadRow(buffer[place:after], "json")
            place = after


def _skip(buffer: str, place: int) -> int:
    """Return the place behind blanks and the comma between two elements."""
    match = _BLANK_START.match(buffer, place)
    place = match.end() if match else place
    while place < len(buffer) and buffer[place] in ", \t\r\n\ufeff":
        place += 1
    return place


def _document(path: Path, member: str | None) -> tuple[Json, bool]:
    """Return a whole document, and whether it could be parsed."""
    with _text(path, member) as stream:
        text = stream.read(MAX_IN_MEMORY)
    try:
        return _parse(text.strip("\ufeff \t\r\n")), True
    except ValueError:
        return None, False


# ---- flattening


@dataclass
class _Columns:
    """Which columns the records of a file have."""

    names: dict[str, None] = field(default_factory=dict)
    """Inner names in order of first appearance: ``device.id``, and ``m[energy]`` for a measurement."""
    units: dict[str, str] = field(default_factory=dict)
    other_units: int = 0
    """Records in which a measurement had another unit than at first."""
    wide: bool = False
    """Whether records are lists of cells rather than objects."""
    nested: bool = False
    """Whether a record holds records or lists."""
    known: dict[str, str] = field(default_factory=dict)
    """Names that an earlier file gave, by inner name."""
    objects: bool = False

    def shown(self) -> tuple[str, ...]:
        """Return the names that people see: a measurement by its own name where that is free."""
        bare = {name: self.known.get(name) or _free(_bare(name), self.known.values()) for name in self.names}
        taken: dict[str, int] = {}
        for short in bare.values():
            taken[short] = taken.get(short, 0) + 1
        return tuple(
            short if taken[short] == 1 else name.replace("[", ".", 1).replace("]", "", 1) for name, short in bare.items()
        )


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _bare(name: str) -> str:
    start = name.find("[")
    return name[start + 1 :].replace("]", "", 1) if start > 0 and name.find("]") > start else name


def _flat(record: dict[str, Json]) -> tuple[dict[str, Cell], dict[str, str]]:
    """Return the cells of a record by inner name, and the units of its measurements."""
    cells: dict[str, Cell] = {}
    units: dict[str, str] = {}
    _flatten(record, "", cells, units, 0)
    return cells, units


def _flatten(value: Json, name: str, cells: dict[str, Cell], units: dict[str, str], depth: int) -> None:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, inner in value.items():
            _flatten(inner, f"{name}.{key}" if name else key, cells, units, depth + 1)
        return
    if isinstance(value, list):
        if _measurements(value):
            _measured(cast("list[dict[str, Json]]", value), name, cells, units)
            return
        if 0 < len(value) <= 64 and all(isinstance(item, int | float | bool) or item is None for item in value):
            for number, item in enumerate(value, start=1):
                _put(cells, f"{name}.{number}", _cell(item))
            return
    _put(cells, name, _cell(value))


def _put(cells: dict[str, Cell], name: str, cell: Cell) -> None:
    free, number = name, 2
    while free in cells:
        free, number = f"{name}_{number}", number + 1
    cells[free] = cell


def _cell(value: Json) -> Cell:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 1e300 else str(value)
    return value


def _keys_of(item: dict[str, Json]) -> tuple[str, str, str | None] | None:
    lower = {key.casefold(): key for key in item}
    name = next((lower[key] for key in _NAME_KEYS if key in lower), None)
    value = next((lower[key] for key in _VALUE_KEYS if key in lower), None)
    unit = next((lower[key] for key in _UNIT_KEYS if key in lower), None)
    return (name, value, unit) if name is not None and value is not None else None


def _measurements(items: Sequence[Json]) -> bool:
    """Whether a list holds named measurements."""
    return bool(items) and all(
        isinstance(item, dict)
        and len(item) <= 8
        and (keys := _keys_of(item)) is not None
        and isinstance(item[keys[0]], str | int)
        and not isinstance(item[keys[1]], dict | list)
        for item in items
    )


def _measured(items: list[dict[str, Json]], name: str, cells: dict[str, Cell], units: dict[str, str]) -> None:
    for item in items:
        keys = _keys_of(item)
        assert keys is not None
        inner = f"{name}[{item[keys[0]]}]"
        free, number = inner, 2
        while free in cells:
            free, number = f"{name}[{item[keys[0]]}_{number}]", number + 1
        cells[free] = _cell(item[keys[1]])
        unit = item.get(keys[2]) if keys[2] else None
        if isinstance(unit, str) and unit.strip():
            units[free] = unit.strip()
        for key, extra in item.items():
            if key not in keys:
                _flatten(extra, f"{free}.{key}", cells, units, 1)


# ---- tables


def open_json(
    source: TableSource,
    options: ReadOptions,
    known: Mapping[str, str] | None = None,
    known_units: Mapping[str, str] | None = None,
) -> CellTable:
    """Open a file of JSON lines, a JSON array or a document that holds records.

    Args:
        source: The file.
        options: What the caller fixes.
        known: Names by inner name, of an earlier file of the kind: its columns keep their names whatever else the records hold.
        known_units: Units by inner name, of an earlier file of the kind: a measurement in another one carries it in its cell.

    Raises:
        InputError: Nothing in it is a record, or it has more columns than a table can have.
    """
    records, details = _records(source)
    columns = _Columns(known=dict(known or {}), units=dict(known_units or {}))
    unread = 0
    count = 0
    for record in records():
        count += 1
        if isinstance(record, UnreadRow):
            unread += 1
        elif isinstance(record, dict):
            columns.objects = True
            _learn(columns, record, source)
        else:
            columns.wide = True
    if count == unread:
        raise _no_records(source, damaged=count > 0)
    if columns.wide and not columns.objects:
        return CellTable(rows=_lists(records), details=details)
    names = tuple(columns.names)
    units = tuple(None if known else columns.units.get(name) for name in names)
    shown = columns.shown()
    keys: dict[str, Json] = dict(zip(names, shown, strict=True))
    return CellTable(
        rows=_objects(records, names, columns.units),
        header=shown,
        units=units if any(units) else None,
        findings=tuple(_mixed_units(columns)),
        details={**details, "nested": columns.nested, "keys": keys, "key_units": dict[str, Json](columns.units)},
    )


def _learn(columns: _Columns, record: dict[str, Json], source: TableSource) -> None:
    cells, units = _flat(record)
    columns.nested |= cells.keys() != record.keys()
    for name in cells:
        columns.names.setdefault(name)
    if len(columns.names) > MAX_COLUMNS:
        raise InputError(
            "too_many_columns",
            ko=f"'{source.source}' 의 항목 이름이 {MAX_COLUMNS}가지가 넘어요. 이름 자리에 값이 들어 있는 것 같아요.",
            en=f"The records of '{source.source}' have more than {MAX_COLUMNS} names; values seem to stand where names belong.",
            next_ko="한 기록이 같은 이름의 항목을 갖도록 다시 내보내 주세요.",
            next_en="Export it again so that every record has fields of the same names.",
            where={"source": source.source},
        )
    other = False
    for name, unit in units.items():
        other |= columns.units.setdefault(name, unit) != unit
    columns.other_units += other


def _mixed_units(columns: _Columns) -> Iterator[Finding]:
    if columns.other_units:
        yield Finding(
            "mixed_units",
            "warning",
            columns.other_units,
            Bilingual(
                f"기록 {columns.other_units}건에서 측정값의 단위가 처음과 달라요. 값 옆에 그 단위를 적어 두었어요.",
                f"In {columns.other_units} records a measurement has another unit than at first; the unit stands beside the value.",
            ),
        )


def _objects(
    records: Callable[[], Iterator[Record | UnreadRow]], names: Sequence[str], units: Mapping[str, str]
) -> Callable[[], Iterator[list[Cell]]]:
    def rows() -> Iterator[list[Cell]]:
        for record in records():
            if isinstance(record, UnreadRow):
                yield record
            elif isinstance(record, list):
                yield UnreadRow(json.dumps(record, ensure_ascii=False), "json")
            else:
                cells, own = _flat(record)
                for name, unit in own.items():
                    if unit != units.get(name) and cells[name] is not None:
                        cells[name] = f"{cells[name]} {unit}"
                yield [cells.get(name) for name in names]

    return rows


def _lists(records: Callable[[], Iterator[Record | UnreadRow]]) -> Callable[[], Iterator[list[Cell]]]:
    def rows() -> Iterator[list[Cell]]:
        for record in records():
            if isinstance(record, UnreadRow):
                yield record
            elif isinstance(record, list):
                yield [_cell(item) for item in cast("list[Json]", record)]

    return rows


def _records(source: TableSource) -> tuple[Callable[[], Iterator[Record | UnreadRow]], dict[str, Json]]:
    """Find where the records are, and return a way to go through them."""
    path, member = source.path, source.member
    if source.format == "jsonl":
        return lambda: _lines(path, member), {}
    with _text(path, member) as stream:
        start = stream.read(4096).lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        return lambda: _elements(path, member), {}
    document, parsed = _document(path, member)
    if not parsed:
        return lambda: _elements(path, member), {}
    if not isinstance(document, dict):
        raise _no_records(source, damaged=False)
    found, where = _held(document)
    return lambda: iter(found), {"where": where}


def _held(document: dict[str, Json]) -> tuple[list[Record | UnreadRow], str]:
    """Return the records a document holds and the dotted name of their place."""
    best: tuple[int, list[Record | UnreadRow], str] = (0, [document], "")
    waiting: list[tuple[str, dict[str, Json], int]] = [("", document, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        columns = {key: inner for key, inner in value.items() if isinstance(inner, list)}
        scalars = [inner for inner in columns.values() if inner and not any(isinstance(item, dict | list) for item in inner)]
        # Column by column: lists of one length, each a column.
        if len(scalars) >= 2 and len(scalars) == len(columns) and len({len(inner) for inner in scalars}) == 1:
            rows: list[Record | UnreadRow] = [
                dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
            ]
            if len(rows) > best[0]:
                best = (len(rows), rows, name)
        for key, inner in value.items():
            place = f"{name}.{key}" if name else key
            if isinstance(inner, dict) and depth < MAX_DEPTH:
                waiting.append((place, inner, depth + 1))
            elif isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner) and len(inner) > best[0]:
                if not _measurements(inner) or len(value) == 1:
                    best = (len(inner), cast("list[Record | UnreadRow]", inner), place)
            elif isinstance(inner, list) and len(inner) > max(1, best[0]) and all(isinstance(item, list) for item in inner):
                best = (len(inner), _with_names(value, cast("list[list[Json]]", inner)), place)
    return best[1], best[2]


def _with_names(holder: dict[str, Json], rows: list[list[Json]]) -> list[Record | UnreadRow]:
    """Give rows the names that stand beside them (``columns`` and ``data`` of a split table)."""
    listed = next((holder[word] for word in ("columns", "header", "fields", "names") if word in holder), None)
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return list(rows)
    names = cast("list[str]", listed)
    return [
        dict(zip(names, row, strict=True))
        if len(row) == len(names)
        else UnreadRow(json.dumps(row, ensure_ascii=False), "width")
        for row in rows
    ]


def _no_records(source: TableSource, damaged: bool) -> InputError:
    return InputError(
        "broken_json" if damaged else "no_records",
        ko=f"'{source.source}' 에서 JSON 기록을 하나도 읽을 수 없어요." + (" 파일이 손상된 것 같아요." if damaged else ""),
        en=f"No JSON record can be read from '{source.source}'." + (" The file seems damaged." if damaged else ""),
        next_ko="한 줄에 기록 하나, 또는 기록의 배열로 다시 내보내 주세요.",
        next_en="Export it again as one record per line or as an array of records.",
        where={"source": source.source},
    )
