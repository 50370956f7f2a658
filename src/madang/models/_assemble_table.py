"""What was read from the library becomes the one table a study learns from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from madang.connect import ROW
from madang.errors import InputError, Json
from madang.library import PART, ColumnCard, ReadResult
from madang.models._assemble_columns import instants, is_text, is_time, series_of, texts_of
from madang.models._assemble_names import find_name, plain_name, source_names
from madang.models._frame import Frame, IntArray, Series, TimeArray
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Kind, Role

_GROUP_WORDS = (
    "lot",
    "batch",
    "engine",
    "heat",
    "serial",
    "run",
    "unit",
    "campaign",
    "experiment",
    "wafer",
    "charge",
    "로트",
    "배치",
    "차수",
    "호기",
    "시리얼",
    "런",
)
_RESULT_WORDS = (
    "resulttime",
    "resulted",
    "reported",
    "reporttime",
    "released",
    "approved",
    "completed",
    "결과시각",
    "결과일시",
    "보고시각",
    "보고일시",
    "승인",
    "판정일시",
    "완료일시",
)


@dataclass(frozen=True)
class _Choice:
    """A column that was given or found, and why."""

    columns: tuple[str, ...]
    given: bool
    reason: Bilingual

    def document(self) -> dict[str, Json]:
        return {"columns": list(self.columns), "given": self.given, **self.reason.fields("reason")}


def frame_of(read: ReadResult, request: StudyRequest, *, keep: Collection[str] = ()) -> Frame:
    """Return one table of the library as a frame, its rows in the order of their source.

    Args:
        read: What the library gave; a long dataset is already wide.
        request: Names given by a person; each is looked up among names and source names.
        keep: Text columns that stay categories however many texts they hold (a saved study's own columns).

    Returns:
        The frame. ``facts`` holds ``dataset``, ``target`` (resolved name or null), ``time``, ``order``, ``group``,
        ``result_time`` (each with why it was taken), ``excluded``, ``left_out`` (columns no model can take, with the reason)
        and ``source_names``.

    Raises:
        InputError: A name that was given fits no column, or several.
    """
    cards = {card.name: card for card in read.columns if card.name in read.table.column_names}
    names = source_names(cards.values())
    target = None if request.target is None else find_name(request.target, names, "target")
    excluded = {find_name(name, names, "exclude") for name in request.exclude} - {target}
    order = None if request.order is None else find_name(request.order, names, "order")
    origin = read.version.dataset

    time = _time_column(cards, read, request, excluded | {target or ""})
    group = _group_columns(cards, read.table, request, excluded | {target or ""})
    result_time = _result_time_column(cards, read.table, time)

    series: dict[str, Series] = {}
    left_out: list[Json] = []
    for card in cards.values():
        column = read.table[card.name]
        if card.name in excluded or card.name in (PART, ROW):
            continue
        if is_time(column.type):
            if time is None or card.name not in time.columns:
                left_out.append(
                    _left_out(card.name, "이 시각 열은 입력으로 쓰지 않아요.", "A time of its own is not an input.")
                )
            continue
        made = series_of(card, column, origin, {*keep, *((target,) if target else ())})
        if made is None:
            left_out.append(_left_out(card.name, "자유롭게 적은 글이라 입력으로 쓰지 않아요.", "Free text is not an input."))
        else:
            series[card.name] = made

    facts: dict[str, Json] = {
        "dataset": str(read.version),
        "target": target,
        "time": None if time is None else time.document(),
        "order": order,
        "group": None if group is None else group.document(),
        "result_time": result_time,
        "excluded": [*sorted(excluded)],
        "left_out": left_out,
        "source_names": dict(names),
    }
    rows = read.table.num_rows
    return Frame(
        series=series,
        part=_places(read, rows),
        row=_whole(read.table, ROW, np.arange(1, rows + 1, dtype=np.int64)),
        time=None if time is None else instants(read.table[time.columns[0]]),
        result_time=None if result_time is None else instants(read.table[result_time]),
        group=None if group is None else _groups(read.table, group.columns),
        sources=tuple(part.source for part in read.parts),
        facts=facts,
    )


def frame_from_arrow(
    table: pa.Table,
    request: StudyRequest | None = None,
    *,
    dataset: str = "table",
    roles: Mapping[str, Role] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    units: Mapping[str, str] | None = None,
    keep: Collection[str] = (),
) -> Frame:
    """Return a frame of an Arrow table that never was in a library (tests, generated plants).

    Args:
        table: Columns of numbers, texts, booleans and times; `PART` and `ROW` are made when absent.
        request: What a person asked; nothing by default.
        dataset: Name shown as the origin of the columns.
        roles: Roles that are known; times and texts get the plain role of their type, numbers ``unknown``.
        kinds: Kinds of quantity that are known.
        units: Units that are known (UCUM).
        keep: See `frame_of`.
    """
    return frame_of(
        read_of(table, dataset=dataset, roles=roles, kinds=kinds, units=units), request or StudyRequest(), keep=keep
    )


def read_of(
    table: pa.Table,
    *,
    dataset: str = "table",
    roles: Mapping[str, Role] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    units: Mapping[str, str] | None = None,
) -> ReadResult:
    """Return an Arrow table in the shape of a library's read, with the plainest cards that fit its types."""
    from madang.library import Decision, VersionId

    version = VersionId(dataset, 1)
    cards = tuple(
        _plain_card(field, (roles or {}).get(field.name), (kinds or {}).get(field.name), (units or {}).get(field.name))
        for field in table.schema
        if field.name not in (PART, ROW)
    )
    open_to_all = Bilingual("도서관 밖의 표예요.", "A table outside the library.")
    decision = Decision(True, "caller", "study", version, tuple(c.name for c in cards), "none", open_to_all, -1)
    return ReadResult(table, cards, version, (), decision)


def _plain_card(field: pa.Field, role: Role | None, kind: Kind | None, unit: str | None) -> ColumnCard:
    plain_role, plain_kind = Role.UNKNOWN, Kind.UNKNOWN
    type_ = "number"
    if is_time(field.type):
        plain_role, plain_kind, type_ = Role.TIME, Kind.TIME, "time"
    elif is_text(field.type):
        plain_role, plain_kind, type_ = Role.TEXT, Kind.TEXT, "text"
    elif pa.types.is_boolean(field.type):
        plain_role, plain_kind, type_ = Role.STATE, Kind.STATE, "boolean"
    elif pa.types.is_integer(field.type):
        type_ = "integer"
    known = Bilingual("정해 준 대로예요.", "As given.")
    card = ColumnCard(
        field.name, field.name, role or plain_role, kind or plain_kind, unit, unit, known, 1.0, "accepted", "number"
    )
    return replace(card, type=type_)  # type: ignore[arg-type]


def _left_out(column: str, ko: str, en: str) -> Json:
    return {"column": column, **Bilingual(ko, en).fields("reason")}


def _places(read: ReadResult, rows: int) -> IntArray:
    """Return for each row the place of its part among the parts that were read (their own numbers count over all versions)."""
    number = _whole(read.table, PART, np.zeros(rows, dtype=np.int64))
    if not read.parts:
        return number
    return part_places(number, [part.index for part in read.parts])


def part_places(number: IntArray, parts: Sequence[int]) -> IntArray:
    """Return the place of each part number in a list of part numbers; 0 for a number that is not listed."""
    known = np.asarray(parts, dtype=np.int64)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], number), len(known) - 1)
    return np.where(known[order][at] == number, order[at], 0).astype(np.int64)


def _whole(table: pa.Table, name: str, otherwise: IntArray) -> IntArray:
    if name not in table.column_names:
        return otherwise
    values: IntArray = table[name].to_numpy().astype(np.int64)
    return values


def _time_column(
    cards: Mapping[str, ColumnCard], read: ReadResult, request: StudyRequest, never: Collection[str]
) -> _Choice | None:
    """Return the column that orders the rows: the one given, else the reader's, else the first of role time."""
    names = source_names(cards.values())
    if request.time is not None:
        name = find_name(request.time, names, "time")
        if not is_time(read.table[name].type):
            raise InputError(
                "not_a_time",
                ko=f"시각으로 지정한 열 '{name}'이(가) 시각으로 읽히지 않았습니다.",
                en=f"Column '{name}' (given as time) was not read as a time.",
                next_ko="순서만 뜻하는 열이라면 --order 로 지정해 주세요.",
                next_en="If the column only gives an order, name it with --order.",
                where={"column": name},
            )
        return _Choice((name,), True, Bilingual("사용자가 지정했어요.", "Given by the user."))
    timed = [n for n, c in cards.items() if is_time(read.table[n].type) and n not in never]
    by_reader = {part.layout.time_column for part in read.parts}
    for name in timed:
        if name in by_reader or names[name] in by_reader:
            return _Choice((name,), False, Bilingual("읽을 때 찾은 시각 열이에요.", "The time column found on reading."))
    first = [n for n in timed if cards[n].role is Role.TIME] or timed
    if not first:
        return None
    return _Choice((first[0],), False, Bilingual("첫 번째 시각 열이에요.", "The first time column."))


def _group_columns(
    cards: Mapping[str, ColumnCard], table: pa.Table, request: StudyRequest, never: Collection[str]
) -> _Choice | None:
    """Return the columns that say which rows belong together: given, else the lot, else a repeating identifier."""
    names = source_names(cards.values())
    given = tuple(dict.fromkeys(find_name(n, names, "group") for n in request.group))
    if request.lot is not None:
        lot = find_name(request.lot, names, "lot")
        given = given if lot in given else (*given, lot)
    if given:
        return _Choice(given, True, Bilingual("사용자가 지정했어요.", "Given by the user."))
    free = [card for card in cards.values() if card.name not in never and not is_time(table[card.name].type)]
    for card in free:
        if card.role is Role.LOT:
            return _Choice((card.name,), False, Bilingual("로트 번호로 보이는 열이에요.", "It looks like a lot number."))
    for card in free:
        if card.role is Role.IDENTIFIER and _names_a_group(card) and _repeats(table[card.name]):
            reason = Bilingual("같은 번호의 행이 이어져서 한 묶음으로 봤어요.", "Rows with the same number follow each other.")
            return _Choice((card.name,), False, reason)
    return None


def _names_a_group(card: ColumnCard) -> bool:
    plain = plain_name(card.source_name) + " " + plain_name(card.name)
    return any(word in plain for word in _GROUP_WORDS)


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether equal values stand together in runs of at least three rows on average, with more than one run."""
    values = texts_of(column)
    if len(values) < 6:
        return False
    runs = 1 + int(np.count_nonzero(values[1:] != values[:-1]))
    different = len(np.unique(values))
    return different > 1 and runs <= 2 * different and len(values) >= 3 * different


def _groups(table: pa.Table, columns: Sequence[str]) -> NDArray[np.str_]:
    parts = [texts_of(table[name]) for name in columns]
    joined = parts[0]
    for more in parts[1:]:
        joined = np.char.add(np.char.add(joined, "|"), more)
    return joined


def _result_time_column(cards: Mapping[str, ColumnCard], table: pa.Table, time: _Choice | None) -> str | None:
    """Return the column that says when a result became known: named so, and never before the row's own time."""
    if time is None:
        return None
    own = instants(table[time.columns[0]])
    for name, card in cards.items():
        if name in time.columns or not is_time(table[name].type):
            continue
        plain = plain_name(card.source_name) + " " + plain_name(name)
        if any(word in plain for word in _RESULT_WORDS) and not _ever_before(instants(table[name]), own):
            return name
    return None


def _ever_before(later: TimeArray, earlier: TimeArray) -> bool:
    known = ~(np.isnat(later) | np.isnat(earlier))
    return bool(np.any(later[known] < earlier[known]))
