"""Columns of a peer and their Arrow types; values that do not fit are told apart, never bent until they fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

Form = Literal[
    "number", "integer", "boolean", "decimal", "text", "exact_text", "wall_clock", "instant", "date", "time", "binary"
]
BLOB_LIMIT: Final = 1 << 20
"""Largest binary value [bytes] that is carried when binary values are kept."""
_DIGITS: Final = 38
"""Most digits of a decimal that every reader of the lake can hold."""


@dataclass(frozen=True)
class SqlColumn:
    """One column as the peer declares it and as it travels."""

    name: str
    declared: str
    form: Form
    arrow: Any
    nullable: bool = True


@dataclass(frozen=True)
class Misfit:
    """A value that its column's type cannot hold; the cell travels empty and the value goes to quarantine."""

    row: int
    column: str
    value: object


def column_of(name: str, kind: Any, declared: str, nullable: bool, database: str, blobs: str) -> SqlColumn:  # noqa: ANN401
    """Return how a column travels.

    NUMERIC of up to 38 digits stays decimal; a wider one, or one without bounds, travels as the text of its digits, which is exact
    too. A time without zone stays what the clock on the wall showed, since only a zone's rules could make an instant of it.

    Args:
        name: Name at the peer.
        kind: Type as SQLAlchemy reflected it.
        declared: Type as the peer spells it.
        nullable: Whether it may be empty.
        database: Kind of database.
        blobs: ``fingerprint`` or ``keep``.
    """
    form, arrow = _travels(kind, declared, database, blobs)
    return SqlColumn(name, declared, form, arrow, nullable)


def _travels(kind: Any, declared: str, database: str, blobs: str) -> tuple[Form, Any]:  # noqa: ANN401
    if isinstance(kind, sa.Boolean):
        return "boolean", pa.bool_()
    if isinstance(kind, sa.Integer | mysql.YEAR):
        return "integer", pa.uint64() if getattr(kind, "unsigned", False) else pa.int64()
    if isinstance(kind, sa.Float):
        return "number", pa.float64()
    if isinstance(kind, sa.Numeric):
        return _decimal(kind, database)
    if isinstance(kind, sa.DateTime):
        aware = bool(kind.timezone) or (database == "mysql" and isinstance(kind, sa.TIMESTAMP))
        return ("instant", pa.timestamp("us", tz="UTC")) if aware else ("wall_clock", pa.timestamp("us"))
    if isinstance(kind, sa.Date):
        return "date", pa.date32()
    if isinstance(kind, sa.Time):
        exact = database == "postgresql" and not kind.timezone
        return ("time", pa.time64("us")) if exact else ("text", pa.string())
    if isinstance(kind, sa.LargeBinary) or "BINARY" in declared.upper():
        return ("binary", pa.binary()) if blobs == "keep" else ("text", pa.string())
    return "text", pa.string()


def _decimal(kind: Any, database: str) -> tuple[Form, Any]:  # noqa: ANN401
    digits, places = kind.precision, kind.scale
    if digits is None and database == "sqlite":
        # SQLite keeps no decimals: what is declared NUMERIC is stored as an integer or a binary floating-point number.
        return "number", pa.float64()
    if digits is None or digits > _DIGITS or not 0 <= (places or 0) <= digits:
        return "exact_text", pa.string()
    return "decimal", pa.decimal128(digits, places or 0)


def schema_of(columns: Sequence[SqlColumn], zone: str) -> Any:  # noqa: ANN401
    """Return the Arrow schema; wall-clock columns carry the zone in which the connection says they were meant."""
    return pa.schema(
        [
            pa.field(column.name, column.arrow, metadata={"zone": zone} if column.form == "wall_clock" else None)
            for column in columns
        ]
    )


def batch_of(columns: Sequence[SqlColumn], rows: Sequence[Sequence[object]], zone: str) -> tuple[Any, list[Misfit]]:
    """Return rows of the driver as an Arrow batch, and the values that did not fit."""
    misfits: list[Misfit] = []
    arrays = []
    for place, column in enumerate(columns):
        values = [_BEFORE[column.form](row[place]) for row in rows] if column.form in _BEFORE else [row[place] for row in rows]
        arrays.append(_array(column, values, misfits))
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns, zone)), misfits


def _array(column: SqlColumn, values: list[Any], misfits: list[Misfit]) -> Any:  # noqa: ANN401
    try:
        if _all_fit(column, values):
            return pa.array(values, column.arrow)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError, TypeError):
        pass  # One of them does not fit; below it is found.
    kept: list[Any] = []
    for row, value in enumerate(values):
        try:
            if not _all_fit(column, [value]):
                raise ValueError(column.name)
            pa.array([value], column.arrow)
            kept.append(value)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError, TypeError):
            kept.append(None)
            misfits.append(Misfit(row, column.name, value))
    return pa.array(kept, column.arrow)


def _all_fit(column: SqlColumn, values: list[Any]) -> bool:
    """Whether Arrow would take the values as they are meant, where it would otherwise bend them in silence."""
    allowed = _ALLOWED.get(column.form)
    if allowed is not None and not all(value is None or type(value) in allowed for value in values):
        return False
    if column.form == "binary":
        return all(value is None or len(value) <= BLOB_LIMIT for value in values)
    if column.form in ("instant", "wall_clock"):
        return all(value is None or (value.tzinfo is not None) == (column.form == "instant") for value in values)
    return True


_ALLOWED: Final[Mapping[Form, frozenset[type]]] = {
    "integer": frozenset({int}),
    "number": frozenset({float, int}),
    "boolean": frozenset({bool}),
    "decimal": frozenset({Decimal, int}),
    "date": frozenset({date}),
    "time": frozenset({time}),
    "wall_clock": frozenset({datetime}),
    "instant": frozenset({datetime}),
    "binary": frozenset({bytes}),
}


# ---- from the driver's values to the column's


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return fingerprint(bytes(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    if isinstance(value, timedelta):
        return _elapsed(value)
    return str(value)


def fingerprint(value: bytes) -> str:
    """Return what stands for a binary value that is not carried: a change of the value changes it.

    >>> fingerprint(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;bytes=0'
    """
    return f"sha256:{hashlib.sha256(value).hexdigest()};bytes={len(value)}"


def _elapsed(value: timedelta) -> str:
    """Return a TIME of MariaDB, which may be negative and longer than a day, as the peer writes it."""
    micros = value // timedelta(microseconds=1)
    seconds, rest = divmod(abs(micros), 1_000_000)
    tail = f".{rest:06d}" if rest else ""
    return f"{'-' if micros < 0 else ''}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{tail}"


def _decimal_of(value: object) -> object:
    # SQLite hands a declared decimal over as the float it stored; its shortest text is what was written.
    return Decimal(repr(value)) if isinstance(value, float) else value


def _date_of(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _time_of(value: object) -> object:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _instant_of(value: object) -> object:
    read = _time_of(value)
    # MariaDB hands a TIMESTAMP over without zone; the session's zone is UTC.
    return (
        read.replace(tzinfo=UTC) if isinstance(read, datetime) and read.tzinfo is None and not isinstance(value, str) else read
    )


def _boolean_of(value: object) -> object:
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def _bytes_of(value: object) -> object:
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


_BEFORE: Final[Mapping[Form, Callable[[object], object]]] = {
    "text": _text,
    "exact_text": _text,
    "decimal": _decimal_of,
    "date": _date_of,
    "wall_clock": _time_of,
    "instant": _instant_of,
    "boolean": _boolean_of,
    "binary": _bytes_of,
}
