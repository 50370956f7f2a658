"""Opens tables of formats that are not text: the opener hands on raw cells, everything else is found out as for text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from itertools import islice
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import _units
from madang.connect._cells import Cell, CellTable, UnreadRow
from madang.connect._discover import open_bytes
from madang.connect._encoding import find_encoding
from madang.connect._layouts import columns_for, found_by_learning, unique_names, with_learned
from madang.connect._learn import Learned, Sample, learn
from madang.connect._read import Reader, rules_of
from madang.connect._remarks import finding
from madang.connect._shape import TableShape, find_shape, no_table
from madang.connect._tables import Layout, ReadOptions, TableReader, TableSource
from madang.connect._template import Located, Misfit, columns_of, locate, match_names, strange_columns
from madang.connect._text import Records, Repair, no_cells
from madang.connect._values import ColumnRule
from madang.errors import Json
from madang.plant import Finding

_ROWS_AT_A_TIME = 20_000
_HEAD_ROWS = 3000
_LEARN_ROWS = 200_000


def cells_of(source: TableSource, options: ReadOptions) -> CellTable:
    """Return the raw cells of a source that is not text."""
    from madang.connect._openers import open_cells

    return open_cells(source, options)


def open_cell_table(source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
    """Open a table of raw cells; see `madang.connect.open_table`."""
    return open_given(source, _cells_for(source, options, template), options, template)


def _cells_for(source: TableSource, options: ReadOptions, template: Layout | None) -> CellTable:
    """Return the raw cells of a source, seen as those of its template where it is tolerantly laid over them."""
    if template is None or not options.tolerant:
        return cells_of(source, options)
    if source.format in ("json", "jsonl"):
        from madang.connect._json import open_json

        # One line alone could also be a document; the template knows.
        kind = template.format if template.format == "jsonl" else source.format
        opener = cast("dict[str, Any]", template.details.get("opener") or {})
        return open_json(replace(source, format=kind), options, opener.get("keys"), opener.get("key_units"))
    return cells_of(source, options)


def open_given(
    source: TableSource, cells: CellTable, options: ReadOptions, template: Layout | None, base: Layout | None = None
) -> Reader:
    """Open a table whose raw cells are at hand.

    Args:
        source: Where it comes from.
        cells: Its cells.
        options: What the caller fixes.
        template: Layout of an earlier table of the kind.
        base: What is known about the container of the cells, for a new layout.
    """
    if template is not None:
        return _with_template(source, cells, options, template)
    head = _head(cells)
    shape = _shape_of(cells, head)
    names = unique_names(shape.names)
    sample = Sample(names, list(_some(cells, shape)))
    natives = {name for name, place in zip(names, shape.used, strict=True) if _native(head, place)}
    learned = learn(sample, shape.units, natives) if sample.rows else Learned({name: ColumnRule("text") for name in names})
    _keep_types(cells, names, shape, learned)
    columns = columns_for(shape.names, names, shape.units, learned)
    details: dict[str, Json] = {"cells": _shape_details(shape), "opener": dict(cells.details)}
    if base is not None:
        layout = replace(base, columns=columns, details={**base.details, **details})
    else:
        layout = Layout(
            source.format,
            columns,
            "nested" if cells.details.get("nested") else "wide",
            encoding=_encoding_of(source),
            preamble_lines=shape.preamble,
            header_rows=shape.header_rows,
            units_row=shape.units_row,
            details=details,
        )
    layout = with_learned(layout, learned, options)
    by_learning = found_by_learning(learned, layout)
    return _reader(source, cells, shape, layout, options, lambda: (*cells.findings, *by_learning()))


def _head(cells: CellTable) -> list[list[Cell]]:
    return [row for row in islice(cells.rows(), _HEAD_ROWS) if not isinstance(row, UnreadRow)]


def _encoding_of(source: TableSource) -> str | None:
    """Return the encoding of a container that is text inside."""
    if source.format not in ("json", "jsonl"):
        return None
    with open_bytes(source) as stream:
        return find_encoding([stream.read(1 << 20)]).name


def _shape_of(cells: CellTable, head: Sequence[Sequence[Cell]]) -> TableShape:
    if cells.header is None:
        return find_shape(head, cells.header_rows)
    width = len(cells.header)
    if not width:
        raise no_table("empty")
    units = cells.units or (None,) * width
    return TableShape(0, 0, False, cells.header, units, tuple(range(width)), width, ragged=True)


def _shape_details(shape: TableShape) -> dict[str, Json]:
    return {"used": list[Json](shape.used), "width": shape.width, "header_fields": shape.header_fields}


def _native(rows: Sequence[Sequence[Cell]], place: int) -> bool:
    return any(isinstance(row[place], int | float) and not isinstance(row[place], bool) for row in rows if place < len(row))


def _some(cells: CellTable, shape: TableShape) -> Iterator[Records]:
    taken = 0
    for part in _records(cells, shape):
        yield part
        taken += part.count
        if taken >= _LEARN_ROWS:
            return


def _keep_types(cells: CellTable, names: Sequence[str], shape: TableShape, learned: Learned) -> None:
    """Let a typed container have the last word on the type of its columns."""
    if cells.arrow is None:
        return
    first = next(iter(cells.arrow()), None)
    if first is None:
        return
    for name, place in zip(names, shape.used, strict=True):
        kind, rule = first.schema.field(place).type, learned.rules[name]
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            learned.rules[name] = rule if rule.type == "time" else replace(rule, type="number")
        elif pa.types.is_integer(kind):
            learned.rules[name] = rule if rule.type == "time" else replace(rule, type="integer")
        elif pa.types.is_boolean(kind):
            learned.rules[name] = ColumnRule("boolean")
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            learned.rules[name] = rule if rule.type == "time" else ColumnRule("time", formats=("%Y-%m-%d %H:%M:%S",))


def _reader(
    source: TableSource,
    cells: CellTable,
    shape: TableShape,
    layout: Layout,
    options: ReadOptions,
    found: Callable[[], Sequence[Finding]],
    causal: bool = False,
) -> Reader:
    def runs(types: Sequence[Any], repair: Repair | None) -> Iterator[Records]:
        return _records(cells, shape, types)

    return Reader(source, layout, runs, options, found, causal)


# ---- cells to records


def _records(cells: CellTable, shape: TableShape, types: Sequence[Any] | None = None) -> Iterator[Records]:
    if cells.arrow is not None:
        yield from _arrow_records(cells, shape, types or [None] * len(shape.used))
        return
    rows = cells.rows()
    list(islice(rows, shape.first_record))
    first = 1
    while batch := list(islice(rows, _ROWS_AT_A_TIME)):
        run = _run_of(batch, shape, first)
        first += run.count
        if run.count:
            yield run


def _run_of(batch: Sequence[Sequence[Cell]], shape: TableShape, first: int) -> Records:
    out = Records(np.zeros(0, np.int64), [], used=shape.used)
    kept: list[list[str]] = []
    rows: list[int] = []
    number = first
    for row in batch:
        if isinstance(row, UnreadRow):
            out.quarantine.append((number, row.reason, row.text))
            number += 1
            continue
        texts = [cell_text(cell) for cell in row]
        if not any(text.strip() for text in texts):
            continue
        if any(text.strip() for text in texts[shape.width :]):
            out.quarantine.append((number, "fields", _joined(texts)))
        else:
            kept.append(texts + [""] * (shape.width - len(texts)))
            rows.append(number)
        number += 1
    out.rows = np.array(rows, dtype=np.int64)
    out.columns = [
        pa.array([texts[place] for texts in kept], pa.string()) if place >= 0 else no_cells(len(kept)) for place in shape.used
    ]
    out.originals = lambda index: _joined(kept[index])
    out.split = None
    return out


def _joined(texts: Sequence[str]) -> str:
    return "\t".join(texts).rstrip("\t")


def cell_text(cell: Cell) -> str:
    """Return a native cell as the text from which the reader makes it again; a whole number carries no point."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return ""
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


def _arrow_records(cells: CellTable, shape: TableShape, types: Sequence[Any]) -> Iterator[Records]:
    assert cells.arrow is not None
    first = 1
    for batch in cells.arrow():
        columns = [
            _arrow_column(batch.column(place), kind) if place >= 0 else no_cells(batch.num_rows)
            for place, kind in zip(shape.used, types, strict=True)
        ]
        rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
        first += batch.num_rows
        if batch.num_rows:
            yield Records(rows, columns, used=shape.used)


def _arrow_column(column: Any, wanted: Any) -> Any:  # noqa: ANN401 - pyarrow is untyped
    kind = column.type
    if wanted is not None and pa.types.is_floating(wanted) and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        numbers = pc.cast(column, pa.float64(), safe=False)
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
    if wanted is not None and pa.types.is_integer(wanted) and pa.types.is_integer(kind):
        return pc.cast(column, pa.int64(), safe=False)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if wanted is not None and pa.types.is_timestamp(wanted):
            return pc.cast(column, pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False)
        return _time_texts(column)
    if pa.types.is_floating(kind):
        return pa.array([cell_text(value) for value in column.to_pylist()], pa.string())
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _time_texts(column: Any) -> Any:  # noqa: ANN401 - pyarrow is untyped
    return pa.array([cell_text(value) for value in column.to_pylist()], pa.string())


# ---- with a template


def _with_template(source: TableSource, cells: CellTable, options: ReadOptions, template: Layout) -> Reader:
    located = _lay_over(cells, template, options.tolerant)
    misfit = located.misfit
    if misfit is not None and (_is_strange(misfit, template) if options.tolerant else misfit.blocking):
        raise misfit.error(source.source)
    details = {**template.details, "cells": _shape_details(located.shape), **strange_columns(template, misfit)}
    layout = replace(template, preamble_lines=located.shape.preamble, details=details)
    added = misfit.added if misfit is not None else ()

    def found() -> tuple[Finding, ...]:
        return (*cells.findings, *(finding("added_column", 0, (), name) for name in added))

    return _reader(source, cells, located.shape, layout, options, found, causal=True)


def _is_strange(misfit: Misfit, template: Layout) -> bool:
    return not misfit.header or len(misfit.missing) == len(columns_of(template))


def _lay_over(cells: CellTable, template: Layout, tolerant: bool = False) -> Located:
    known = cast("dict[str, Any]", template.details.get("cells") or {"width": len(template.columns), "header_fields": 0})
    head = _head(cells)
    if cells.header is None:
        return locate(head, template, rules_of(template), int(known["width"]), int(known["header_fields"]), tolerant)
    places, free = match_names(template, cells.header)
    names = columns_of(template)
    sources = {column.name: column.source_name for column in template.columns}
    missing = tuple(sources[name] for name in names if name not in places)
    used = tuple(places.get(name, -1) for name in names)
    units = cells.units or (None,) * len(cells.header)
    unit_texts = {column.name: column.unit_text for column in template.columns}
    changed = tuple(
        (name, str(unit_texts[name]), str(units[places[name]]))
        for name in names
        if name in places and (was := unit_texts[name]) and (now := units[places[name]]) and not _units.same_unit(now, was)
    )
    shape = TableShape(0, 0, False, names, (None,) * len(names), used, len(cells.header), ragged=True)
    misfit = Misfit(missing, (), tuple(cells.header[place] for place in free), (), changed)
    return Located(shape, misfit if misfit != Misfit() else None)


def lay_over_cells(source: TableSource, template: Layout) -> Located:
    """Lay a template over a table of raw cells, by its header alone."""
    return _lay_over(_cells_for(source, ReadOptions(tolerant=True), template), template, tolerant=True)


def fits_cells(source: TableSource, template: Layout) -> Misfit | None:
    """Say where a table of raw cells does not fit a template; None when it fits in everything."""
    return fits_given(cells_of(source, ReadOptions()), template)


def fits_given(cells: CellTable, template: Layout) -> Misfit | None:
    """Say where cells at hand do not fit a template; None when they fit in everything."""
    return _lay_over(cells, template).misfit
