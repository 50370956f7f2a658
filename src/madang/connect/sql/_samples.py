"""Follows a long table of readings (time, tag, value) and hands its rows over as samples."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Origin, Reject, Tag
from madang.connect._source import Sink
from madang.connect.sql._catalogue import SqlTable
from madang.connect.sql._columns import batch_of
from madang.connect.sql._database import Reader, Row
from madang.connect.sql._follow import Look
from madang.connect.sql._memory import digests
from madang.connect.sql._options import Readings, SqlOptions
from madang.connect.sql._pages import after, cursor_low, pages_after
from madang.errors import UsageError
from madang.plant import BAD, GOOD, UNCERTAIN, Bilingual

_EXACT: Final = 1 << 53
_WORDS: Final = {
    "good": GOOD, "ok": GOOD, "양호": GOOD, "정상": GOOD, "uncertain": UNCERTAIN, "불확실": UNCERTAIN, "의심": UNCERTAIN,
    "bad": BAD, "ng": BAD, "불량": BAD, "이상": BAD,
}  # fmt: skip
_HELD: Final = 200_000


class ReadingsFollower:
    """Follows one long table by the column that grows, looking back by the overlap for rows committed late.

    Which rows of the overlap were handed over is known while the process runs. After a restart they are handed over once more as
    ``backfill``, of which the library keeps only what it does not hold yet.

    Raises:
        UsageError: A column that was named is not there, or the column of the time holds no times.
    """

    def __init__(
        self,
        table: SqlTable,
        columns: Readings,
        options: SqlOptions,
        sink: Sink,
        clock: Callable[[], datetime],
        zone: str,
        sqlite: bool,
    ) -> None:
        self.table = table
        self._columns = columns
        self._options = options
        self._sink = sink
        self._clock = clock
        self._zone = ZoneInfo(zone)
        names = [column.name for column in table.columns]
        wanted = [columns.time, columns.tag, columns.value, *([columns.quality] if columns.quality else [])]
        missing = [name for name in wanted if name not in names]
        if missing or table.column(columns.time).form not in ("wall_clock", "instant"):
            raise _unfit(table.name, missing or [columns.time])
        self._at = [names.index(name) for name in wanted]
        self._cursor = options.cursors.get(table.name, columns.time)
        tail = [name for name in table.key if name != self._cursor] or (
            ["rowid"] if sqlite and not table.view and not table.key else []
        )
        self._order = [self._cursor, *tail] if tail or table.key else None
        self._names = [*names, *(["rowid"] if "rowid" in tail else [])]
        self._prefix = f"sql/{table.name}/samples"
        self._position: Any = json.loads(sink.cursor(self._prefix) or "null")
        self._known_before = self._position
        self._held: dict[tuple[bytes, int], Any] = {}
        self._numbers: dict[str, int] = {}

    def look(self, reader: Reader, now: datetime) -> Look:
        """Hand over readings that were not handed over yet."""
        look = Look()
        low = self._low()
        at = self._names.index(self._cursor)
        times_seen: Counter[bytes] = Counter()
        held: dict[tuple[bytes, int], Any] = {}
        for page in self._pages(reader, low):
            look.read += len(page)
            fresh = []
            for row, digest in zip(page, digests(self._names, page, 16), strict=True):
                times_seen[digest] += 1
                identity = (digest, times_seen[digest])
                held[identity] = row[at]
                if identity not in self._held:
                    fresh.append(row)
            # What lay at or before the position when this process began may have been handed over by the one before it.
            again = [row for row in fresh if self._before(row[at])]
            self._put(again, "backfill", look)
            self._put([row for row in fresh if not self._before(row[at])], "live", look)
            highest = after(self._position, page[-1][at])
            if highest != self._position:
                self._position = highest
                self._sink.save_cursor(self._prefix, json.dumps(highest))
            if len(held) > _HELD:
                held = self._within(held)
                times_seen = Counter({digest: times_seen[digest] for digest, _ in held})
        self._held = self._within(held)
        self._known_before = None
        return look

    def _low(self) -> object:
        wall = self._clock().astimezone(self._zone)
        return cursor_low(self._position, wall, self._options)

    def _within(self, held: dict[tuple[bytes, int], Any]) -> dict[tuple[bytes, int], Any]:
        low: Any = self._low()
        return {identity: value for identity, value in held.items() if low is None or value is None or value >= low}

    def _before(self, value: object) -> bool:
        return self._known_before is not None and bool(after(self._known_before, value) == self._known_before)

    def _pages(self, reader: Reader, low: object) -> Iterator[list[Row]]:
        query = self.table.select(self._names)
        if self._order is not None:
            yield from pages_after(reader, self.table, query, self._order, low, self._options.page, self._names)
            return
        grows: sa.ColumnElement[Any] = sa.column(self._cursor)
        if low is not None:
            query = query.where(grows >= sa.bindparam(None, low, type_=sa.types.NullType(), unique=True))
        yield from reader.pages(query.order_by(grows.asc()), self._options.page)

    # ---- samples

    def _put(self, rows: Sequence[Row], origin: Origin, look: Look) -> None:
        if not rows:
            return
        received = int(self._clock().timestamp() * 1_000_000)
        timed, _ = batch_of([self.table.column(self._columns.time)], [[row[self._at[0]]] for row in rows], self._zone.key)
        out: list[tuple[int, datetime, float | None, str | None, int]] = []
        for row, time in zip(rows, timed.column(0).to_pylist(), strict=True):
            instant, doubtful = self._instant(time)
            tag = row[self._at[1]]
            if instant is None or tag is None:
                self._sink.put_reject(self._misfit(row, received))
                continue
            number, text = value_of(row[self._at[2]])
            quality = quality_of(row[self._at[3]]) if len(self._at) > 3 else GOOD
            if number is None and text is None and quality == GOOD:
                quality = BAD
            if doubtful and quality == GOOD:
                quality = UNCERTAIN
            out.append((self._number(str(tag), text), instant, number, text, quality))
        if out:
            arrays = [pa.array(values, field.type) for values, field in zip(zip(*out, strict=True), BLOCK_SCHEMA, strict=True)]
            self._sink.put_block(Block(pa.RecordBatch.from_arrays(arrays, schema=BLOCK_SCHEMA), received, origin=origin))
            look.put += len(out)

    def _number(self, tag: str, text: str | None) -> int:
        if tag not in self._numbers:
            kind = self.table.column(self._columns.value)
            textual = kind.form == "text" or (text is not None and kind.form not in ("decimal", "exact_text", "integer"))
            self._numbers[tag] = self._sink.number_of(
                Tag(f"{self.table.name}/{tag}", data_type="text" if textual else "number", parent=self.table.name)
            )
        return self._numbers[tag]

    def _instant(self, time: datetime | None) -> tuple[datetime | None, bool]:
        """Return the instant of a time, and whether a clock set back has shown it twice."""
        if time is None or time.tzinfo is not None:
            return time, False
        first = time.replace(tzinfo=self._zone)
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != time:
            # The clock was set forward over this time: nothing can have been measured then.
            return None, False
        return first.astimezone(UTC), first.utcoffset() != first.replace(fold=1).utcoffset()

    def _misfit(self, row: Row, received: int) -> Reject:
        names = ("time", "tag", "value", "quality")
        payload = {name: str(row[at]) for name, at in zip(names, self._at, strict=False)}
        return Reject(
            topic=self.table.name,
            payload=json.dumps(payload, ensure_ascii=False).encode(),
            reason=Bilingual(
                f"'{self.table.name}' 의 한 행에 시각이나 태그가 없거나, 그 시각이 있을 수 없어요.",
                f"A row of '{self.table.name}' has no time or tag, or a time that cannot have been.",
            ),
            code="time_out_of_range",
            received=received,
        )


def value_of(value: object) -> tuple[float | None, str | None]:
    """Return a reading as a number, or as text where float64 would change it.

    >>> value_of(Decimal("0.1"))
    (0.1, None)
    >>> value_of(Decimal("12345678901234567.1"))
    (None, '12345678901234567.1')
    """
    if value is None:
        return None, None
    if isinstance(value, bool):
        return float(value), None
    if isinstance(value, int):
        return (float(value), None) if abs(value) <= _EXACT else (None, str(value))
    if isinstance(value, float):
        return value, None
    if isinstance(value, Decimal):
        number = float(value)
        exact = math.isnan(number) or math.isinf(number) or Decimal(repr(number)) == value
        return (number, None) if exact else (None, format(value, "f"))
    return None, value if isinstance(value, str) else str(value)


def quality_of(value: object) -> int:
    """Return the OPC UA status code of a quality as databases keep it: such a code, an OPC DA number up to 255, or a word.

    >>> quality_of(192), quality_of("불량") == BAD, quality_of(0x80310000) == 0x80310000
    (0, True, True)
    """
    if isinstance(value, bool):
        return GOOD if value else BAD
    if isinstance(value, int | float | Decimal):
        code = int(value)
        if 0 <= code <= 255:
            # OPC DA 3.0, 6.8: bits 6 and 7 are 11 good, 01 uncertain, 00 bad.
            return (BAD, UNCERTAIN, BAD, GOOD)[code >> 6]
        return code & 0xFFFFFFFF
    if value is None:
        return UNCERTAIN
    return _WORDS.get(str(value).strip().lower(), UNCERTAIN)


def _unfit(table: str, columns: Sequence[str]) -> UsageError:
    shown = ", ".join(columns)
    return UsageError(
        "bad_option",
        ko=f"표 '{table}' 을 측정값으로 읽을 수 없어요. 없거나 시각이 아닌 열: {shown}",
        en=f"The table '{table}' cannot be read as samples. Columns that are not there, or hold no times: {shown}",
        next_ko="--set samples=표:시각,태그,값 의 열 이름을 확인해 주세요.",
        next_en="Check the names of the columns in --set samples=TABLE:TIME,TAG,VALUE.",
        where={"table": table, "columns": list(columns)},
    )
