"""What is peculiar to PostgreSQL: values that Python has no type for, and the horizon behind which nothing can be committed any more."""

from __future__ import annotations

from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg.adapt import Loader
from psycopg.types import datetime as times
from psycopg.types.string import TextLoader

from madang.connect.sql._database import Reader

_TEXTS: Final = ("json", "jsonb", "interval", "timetz", "money", "inet", "cidr")


class _Date(times.DateLoader):
    def load(self, data: Any) -> Any:  # noqa: ANN401 - a value Python can hold, else its text
        return _or_text(super().load, data)


class _Timestamp(times.TimestampLoader):
    def load(self, data: Any) -> Any:  # noqa: ANN401
        return _or_text(super().load, data)


class _Timestamptz(times.TimestamptzLoader):
    def load(self, data: Any) -> Any:  # noqa: ANN401
        return _or_text(super().load, data)


def _or_text(load: Any, data: Any) -> Any:  # noqa: ANN401
    try:
        return load(data)
    except psycopg.DataError:
        # 'infinity', years before Christ and behind 9999: one such value must not stop the table.
        return bytes(data).decode()


def be_lenient(connection: psycopg.Connection[Any]) -> None:
    """Make one value that Python cannot hold arrive as its text instead of failing the whole page."""
    loaders: dict[str, type[Loader]] = {"date": _Date, "timestamp": _Timestamp, "timestamptz": _Timestamptz}
    for name in _TEXTS:
        loaders[name] = TextLoader
    for name, loader in loaders.items():
        connection.adapters.register_loader(name, loader)


def horizon(reader: Reader) -> int:
    """Return the oldest transaction that was still running when the reader's snapshot was taken (64 bits, with its epoch).

    Every row that becomes visible after this snapshot was written by this transaction or by one with a greater number; so a later
    look for rows with such numbers misses none, however late they are committed and whatever stands in their columns.

    Source:
        PostgreSQL manual, 9.27 "Transaction ID and Snapshot Information Functions": xmin of a snapshot is the lowest id still active.
    """
    return int(reader.rows(sa.text("SELECT txid_snapshot_xmin(txid_current_snapshot())"))[0][0])


def newest(reader: Reader) -> int:
    """Return the first transaction number not yet given out when the snapshot was taken."""
    return int(reader.rows(sa.text("SELECT txid_snapshot_xmax(txid_current_snapshot())"))[0][0])


def written_since(number: int) -> sa.ColumnElement[bool]:
    """Return the condition that a row version was written by a transaction not older than a number.

    The system column holds 32 bits of the number and wraps around; rows more than two billion transactions old may fit by
    chance, which costs a look at a row already held and nothing else.
    """
    low = number & 0xFFFFFFFF
    return sa.text(f"((xmin::text::bigint - {low}) & 4294967295) < 2147483648")  # type: ignore[return-value]
