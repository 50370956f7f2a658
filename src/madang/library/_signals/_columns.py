"""Columns of a followed table: the source's own, in types that every reader of the lake knows; they may grow and never shrink."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

CHANGE, SEEN, SEQUENCE = "_change", "_seen", "_sequence"
OWN: Final = {
    CHANGE: pa.string(),
    SEEN: pa.timestamp("us", tz="UTC"),
    SEQUENCE: pa.int64(),
}
"""Columns that the lake adds: what happened to the record, when it was received, and its place among all entries of the table."""
ROWS_SCHEMA: Final = pa.schema([pa.field(n, t) for n, t in OWN.items()])


def kept_type(of: Any) -> Any | None:  # noqa: ANN401 (Arrow types)
    """Return the type that a source's type is kept in; None where nothing but nulls can be in it.

    Integers widen to 64 bits, decimals to 38 digits of the same scale, so that a harmless change at the source is none here. What the
    lake has no type for (times of day, lists, records) is kept as text.
    """
    if pa.types.is_null(of):
        return None
    if pa.types.is_dictionary(of):
        return kept_type(of.value_type)
    if pa.types.is_uint64(of):
        return pa.decimal128(38, 0)
    if pa.types.is_integer(of):
        return pa.int64()
    if pa.types.is_floating(of):
        return pa.float64()
    if pa.types.is_decimal(of) and of.precision <= 38:
        return pa.decimal128(38, of.scale)
    if pa.types.is_boolean(of):
        return pa.bool_()
    if pa.types.is_binary(of) or pa.types.is_large_binary(of) or pa.types.is_fixed_size_binary(of):
        return pa.binary()
    if pa.types.is_date(of):
        return pa.date32()
    if pa.types.is_timestamp(of):
        return pa.timestamp("us", tz="UTC")
    return pa.string()


def kept_column(column: pa.Array, field: pa.Field, zone: str) -> pa.Array:
    """Return a column in the type that `kept_type` says.

    Args:
        column: The source's values.
        field: Its field; the metadata ``zone`` names the zone of wall-clock times.
        zone: IANA zone of wall-clock times that do not name theirs.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    of = kept_type(column.type)
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            named = (field.metadata or {}).get(b"zone", zone.encode()).decode()
            wall = column.cast(pa.timestamp("us"), safe=False)
            column = pc.assume_timezone(wall, named, ambiguous="earliest", nonexistent="earliest")
        return column.cast(of, safe=False)
    if pa.types.is_nested(column.type):
        texts = [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in column.to_pylist()]
        return pa.array(texts, pa.string())
    if of == pa.string() and not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    return column if column.type == of else column.cast(of)


def type_word(of: Any) -> str:  # noqa: ANN401 (an Arrow type)
    """Return the word that a column's second type adds to its name.

    >>> type_word(pa.decimal128(38, 3))
    'decimal_3'
    """
    if pa.types.is_decimal(of):
        return f"decimal_{of.scale}"
    words = {
        pa.int64(): "integer",
        pa.float64(): "number",
        pa.string(): "text",
        pa.bool_(): "boolean",
        pa.binary(): "bytes",
        pa.date32(): "date",
        pa.timestamp("us", tz="UTC"): "time",
    }
    return words[of]


def place_of(name: str, of: Any, present: Mapping[str, Any]) -> str:  # noqa: ANN401 (Arrow types)
    """Return the column that values of a source's column go to: its own, or ``name__type`` where its own holds another type."""
    own = f"{name}_" if name in OWN else name
    spelt = {n.casefold(): n for n in present}
    own = spelt.get(own.casefold(), own)
    if own not in present or present[own] == of:
        return own
    return f"{own}__{type_word(of)}"
