"""Reads a table page by page in the order of some of its columns, each page a short query that starts where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from madang.connect.sql._catalogue import SqlTable
from madang.connect.sql._database import Reader, Row
from madang.connect.sql._options import SqlOptions


def key_pages(reader: Reader, table: SqlTable, names: Sequence[str], size: int, rowid: bool = False) -> Iterator[list[Row]]:
    """Yield all rows of a table in key order (SQLite tables without a key: in the order of their row numbers).

    Args:
        reader: An open reading transaction.
        table: The table.
        names: Columns to read; those of the key need not be among them.
        size: Rows of a page.
        rowid: Whether to go by SQLite's row numbers.
    """
    order = ["rowid"] if rowid else list(table.key)
    wanted = [*names, *[name for name in order if name not in names]]
    query = table.select(wanted)
    for page in pages_after(reader, table, query, order, None, size, wanted):
        yield [row[: len(names)] for row in page] if len(wanted) > len(names) else page


def pages_after(
    reader: Reader,
    table: SqlTable,
    query: sa.Select[*tuple[Any, ...]],
    order: Sequence[str],
    low: object,
    size: int,
    names: Sequence[str] | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows of a query in order, from a value of the first column on (included); None: from the beginning."""
    names = list(names) if names is not None else [column.name for column in table.columns]
    at = [names.index(name) for name in order]
    columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in order]
    first = query.where(columns[0] >= _bound(low)) if low is not None else query
    ordered = [column.asc() for column in columns]
    page = reader.rows(first.order_by(*ordered).limit(size))
    while page:
        yield page
        if len(page) < size:
            return
        last = [page[-1][place] for place in at]
        page = reader.rows(query.where(_behind(columns, last)).order_by(*ordered).limit(size))


def _behind(columns: Sequence[sa.ColumnElement[Any]], last: Sequence[object]) -> sa.ColumnElement[bool]:
    """Return the condition to lie behind a row in the order of columns.

    Written out column by column with the first one bounded, since not every peer uses an index for a comparison of tuples.
    """
    steps = []
    for place in range(len(columns)):
        equal = [columns[before] == _bound(last[before]) for before in range(place)]
        steps.append(sa.and_(*equal, columns[place] > _bound(last[place])))
    return sa.and_(columns[0] >= _bound(last[0]), sa.or_(*steps)) if len(columns) > 1 else steps[0]


def _bound(value: object) -> sa.BindParameter[Any]:
    # Without a type no cast is written, and the peer compares by the column's own type and order.
    return sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)


# ---- the value of a column that only grows


def after(highest: Any, value: object) -> Any:  # noqa: ANN401 - a JSON value
    """Return the greater of a saved cursor and a value of the peer, as it is saved."""
    if value is None or isinstance(value, bool):
        return highest
    if isinstance(value, datetime):
        saved: dict[str, Any] = {"time": value.isoformat()}
        if highest is None or "time" not in highest or _read(highest["time"], value) < value:
            return saved
        return highest
    if isinstance(value, int):
        return {"id": value} if highest is None or "id" not in highest or highest["id"] < value else highest
    text = str(value)
    return {"text": text} if highest is None or "text" not in highest or highest["text"] < text else highest


def _read(text: str, like: datetime) -> datetime:
    read = datetime.fromisoformat(text)
    if (read.tzinfo is None) == (like.tzinfo is None):
        return read
    return read.replace(tzinfo=UTC) if like.tzinfo is not None else read.astimezone(UTC).replace(tzinfo=None)


def cursor_low(saved: Any, wall: datetime, options: SqlOptions) -> object:  # noqa: ANN401
    """Return from where to read on, so that rows committed late by up to the overlap are not missed; None: from the beginning.

    A time in the future, which one wrong row is enough to bring, does not lift the bound above now: it would hide all rows that
    come until then.

    Args:
        saved: Cursor as `after` returned it.
        wall: The time now in the connection's zone.
        options: How far to look back.
    """
    back = timedelta(seconds=options.overlap)
    if saved is None:
        return None
    if "id" in saved:
        return int(saved["id"]) - options.overlap_ids
    if "time" in saved:
        seen = datetime.fromisoformat(saved["time"])
        now = wall if seen.tzinfo is not None else wall.replace(tzinfo=None)
        return min(seen, now) - back
    # Times of SQLite are texts: the bound is written the way they are written.
    text = str(saved["text"])
    try:
        seen = datetime.fromisoformat(text)
    except ValueError:
        return None
    now = wall if seen.tzinfo is not None else wall.replace(tzinfo=None)
    low = min(seen, now.astimezone(seen.tzinfo) if seen.tzinfo is not None else now) - back
    sign = text[10] if len(text) > 10 else " "
    return low.replace(tzinfo=None).isoformat(sep=sign, timespec="seconds")
