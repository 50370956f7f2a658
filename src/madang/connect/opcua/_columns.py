"""Turns rows of notifications into the columns of a block, without changing what the peer said.

Numbers stay numbers; what float64 cannot hold exactly becomes text in decimal; a 4-byte float becomes the shortest decimal that
gives the same 4 bytes (23.4, not 23.399999618530273). Values that do not fit go to quarantine, with the reason, and the rest goes on.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
from asyncua import ua
from numpy.typing import NDArray

from madang.connect._blocks import DataType, Reject
from madang.connect.opcua._decode import ARRAY, EPOCH, RAW_TEXT, Row
from madang.connect.opcua._items import FAMILIES, Item, Items
from madang.connect.opcua._options import Options
from madang.plant import OVERFLOW_BITS, Bilingual

EXACT: Final = 1 << 53
"""Integers beyond this are not all float64 numbers."""
BAD_INDEX_NO_DATA: Final = 0x80370000
_INFO_AND_OVERFLOW: Final = 0xC80
_FLOAT: Final = 10
_PLAIN: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19})
_SIMPLE: Final = np.zeros(64, dtype=np.bool_)
_SIMPLE[[1, 2, 3, 4, 5, 6, 7, 10, 11]] = True
_TEXTS: Final = frozenset({12, 13, 14, 16, 17, 18, 20, 21})
_KEPT_PAYLOAD: Final = 4_194_304
_AGAIN_US: Final = 60_000_000
"""One reject of a kind per tag and minute stands for all of them [us]."""


@dataclass(frozen=True)
class Columns:
    """Samples of one block, still under client handles."""

    handles: NDArray[np.int32]
    time: NDArray[np.int64]
    """[us since 1970]"""
    number: NDArray[np.float64]
    has_number: NDArray[np.bool_]
    text: tuple[tuple[int, str], ...]
    """Texts by row."""
    quality: NDArray[np.uint32]
    received: int
    server_time: int | None

    def __len__(self) -> int:
        return len(self.handles)


@dataclass
class Turned:
    """What became of some rows."""

    columns: Columns | None
    rejects: list[Reject] = field(default_factory=list)
    set_aside: dict[str, int] = field(default_factory=dict)
    """How many values of which tags were set aside because of their time."""
    overflowed: list[tuple[int, int, int]] = field(default_factory=list)
    """Handle, last time held before, and time of the first value after a loss in the server's queue [us]."""
    repeated: int = 0
    """Values that the server told again after subscribing anew."""


class Columnizer:
    """Makes columns for one connection; remembers what it must about each tag in its `Items`."""

    def __init__(self, items: Items, options: Options) -> None:
        self._items = items
        self._options = options
        self._earliest = int(options.earliest.timestamp() * 1_000_000)
        self._ahead = int(options.ahead * 1_000_000)
        self._told: dict[tuple[int, str], int] = {}
        self._rejects: list[Reject] = []
        self._received = 0

    def turn(self, rows: Sequence[Row], received: int, *, live: bool = True) -> Turned:
        """Return the columns of some rows.

        Args:
            rows: In the order in which they came.
            received: When [us since 1970].
            live: False for history and single reads: they neither move a tag's newest time nor answer a mark.
        """
        self._rejects, self._received = [], received
        turned = Turned(None, self._rejects)
        known = len(self._items)
        rows = [row for row in rows if row[0] < known]
        if any(row[1] == ARRAY for row in rows):
            rows = self._spread(rows)
        returns: list[Row] = []
        if live:
            rows, returns = self._first_ones(rows, turned)
        told, rows = rows, [*rows, *returns]
        if not rows:
            return turned
        handle, kind, value, status, source, server = zip(*rows, strict=True)
        handles = np.array(handle, dtype=np.int32)
        kinds = np.array(kind, dtype=np.int16)
        time = self._times(handles, np.array(source, dtype=np.int64), np.array(server, dtype=np.int64))
        number, has_number, texts, keep = self._values(handles, kinds, value)
        quality = np.array(status, dtype=np.uint32)
        if live:
            keep &= self._in_range(handles, time, turned)
            self._overflows(handles, time, quality, keep, turned)
        newest_server = max(server)
        if not keep.all():
            rank = np.cumsum(keep) - 1
            texts = [(int(rank[row]), text) for row, text in texts if keep[row]]
            handles, time, quality = handles[keep], time[keep], quality[keep]
            number, has_number = number[keep], has_number[keep]
        if live:
            np.maximum.at(self._items.newest, handles, time)
            self._items.last.update(zip(handle, told, strict=False))
        if len(handles):
            server_time = (newest_server - EPOCH) // 10 if newest_server > EPOCH else None
            turned.columns = Columns(handles, time, number, has_number, tuple(texts), quality, received, server_time)
        return turned

    def answer(self, rows: Sequence[Row], received: int) -> Columns | None:
        """Return samples that say "back" for tags that were marked as cut off and did not change since."""
        self._rejects, self._received = [], received
        if any(row[1] == ARRAY for row in rows):
            rows = self._spread(rows)
        _, returns = self._first_ones(rows, Turned(None))
        return self.turn(returns, received, live=False).columns if returns else None

    def _first_ones(self, rows: Sequence[Row], turned: Turned) -> tuple[Sequence[Row], list[Row]]:
        """Drop what the server tells again after subscribing, and answer "no communication" marks.

        A value that did not change during an interruption keeps its old source time. Its return is then told at the server's time:
        the server says that it holds at that instant.
        """
        items = self._items
        if not items.fresh[: len(items)].any():
            return rows, []
        kept: list[Row] = []
        returns: list[Row] = []
        for row in rows:
            handle = row[0]
            if not items.fresh[handle]:
                kept.append(row)
                continue
            items.fresh[handle] = False
            mark = int(items.marked[handle])
            items.marked[handle] = 0
            last = items.last.get(handle)
            if last is not None and (last[1], last[3], last[4]) == (row[1], row[3], row[4]) and _equal(last[2], row[2]):
                turned.repeated += 1
            else:
                kept.append(row)
            if mark and (row[4] or row[5]) <= EPOCH + 10 * mark:
                back = max(EPOCH + 10 * (mark + 1), row[5])
                returns.append((handle, row[1], row[2], row[3], back, back))
                items.fact(items.all[handle], "time_after_interruption", "server")
        return kept, returns

    def _times(self, handles: NDArray[np.int32], source: NDArray[np.int64], server: NDArray[np.int64]) -> NDArray[np.int64]:
        """The source's own time; where it gives none, the server's, and the tag says so."""
        chosen = source if self._options.time == "source" else server
        other = server if self._options.time == "source" else source
        without = chosen <= 0
        if without.any():
            for handle in np.unique(handles[without]).tolist():
                self._items.fact(self._items.all[handle], "time_from", "server" if self._options.time == "source" else "source")
            chosen = np.where(without, other, chosen)
            neither = chosen <= 0
            for handle in np.unique(handles[neither]).tolist():
                self._items.fact(self._items.all[handle], "time_from", "received")
            chosen = np.where(neither, EPOCH + 10 * self._received, chosen)
        return (chosen - EPOCH) // 10

    def _in_range(self, handles: NDArray[np.int32], time: NDArray[np.int64], turned: Turned) -> NDArray[np.bool_]:
        fine: NDArray[np.bool_] = (time >= self._earliest) & (time <= self._received + self._ahead)
        for row in np.flatnonzero(~fine).tolist():
            item = self._items.all[int(handles[row])]
            turned.set_aside[item.tag.name] = turned.set_aside.get(item.tag.name, 0) + 1
            self._reject(
                item,
                "time_out_of_range",
                str(int(time[row])),
                Bilingual(
                    "값의 시각이 받아들이는 범위를 벗어났어요. 설비의 시계를 보세요. 서버 시각을 쓰려면 --set time=server",
                    "The time of the value lies outside of what is taken. Look at the equipment's clock. To use the server's: --set time=server",
                ),
            )
        return fine

    def _overflows(
        self,
        handles: NDArray[np.int32],
        time: NDArray[np.int64],
        quality: NDArray[np.uint32],
        keep: NDArray[np.bool_],
        turned: Turned,
    ) -> None:
        """Note values before which the server threw others away (OPC 10000-4, 7.39.1: info type 01 and overflow bit)."""
        hit = (quality & _INFO_AND_OVERFLOW) == OVERFLOW_BITS
        for row in np.flatnonzero(hit & keep).tolist():
            handle = int(handles[row])
            before = np.flatnonzero(handles[:row] == handle)
            last = int(time[before[-1]]) if len(before) else int(self._items.newest[handle])
            turned.overflowed.append((handle, last or int(time[row]), int(time[row])))

    def _values(
        self, handles: NDArray[np.int32], kinds: NDArray[np.int16], values: Sequence[object]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[tuple[int, str]], NDArray[np.bool_]]:
        count = len(values)
        simple = _SIMPLE[kinds] & self._items.numeric[handles]
        keep = np.ones(count, dtype=np.bool_)
        texts: list[tuple[int, str]] = []
        if simple.all():
            number = np.array(values, dtype=np.float64)
            has_number = simple
        else:
            number, has_number = np.zeros(count), simple.copy()
            number[simple] = np.array(
                [value for value, plain in zip(values, simple.tolist(), strict=True) if plain], dtype=np.float64
            )
            for row in np.flatnonzero(~simple).tolist():
                got = self._single(self._items.all[int(handles[row])], int(kinds[row]), values[row])
                if isinstance(got, str):
                    texts.append((row, got))
                elif isinstance(got, float):
                    number[row], has_number[row] = got, True
                elif got is False:
                    keep[row] = False
        floats = (kinds == _FLOAT) & has_number
        if floats.any():
            number[floats] = shortest(number[floats])
        return number, has_number, texts, keep

    def _single(self, item: Item, kind: int, value: object) -> float | str | bool | None:
        """Return one value as number or text; None where there is none, False where it was set aside."""
        if value is None or kind == 0:
            return None
        if kind == RAW_TEXT and isinstance(value, bytes):
            raw_text = value
            try:
                value, kind = raw_text.decode("cp949"), 12
            except UnicodeDecodeError:
                return self._refuse(
                    item, "malformed", raw_text, "글자의 부호를 알 수 없어요.", "The text is in an unknown encoding."
                )
            self._items.fact(item, "encoding", "cp949")
        if isinstance(value, ua.StatusCode):
            value = int(value.value)
        text: str | None = None
        number: float | None = None
        if kind in _PLAIN and isinstance(value, int | float):
            if isinstance(value, int) and abs(value) > EXACT:
                text = str(value)
            else:
                number = float(value)
        elif kind in _TEXTS:
            text = as_text(kind, value)
        if text is None and number is None:
            return self._refuse(
                item,
                "wrong_type",
                repr(type(value).__name__).encode(),
                "이런 자료형의 값은 아직 담지 않아요.",
                "Values of this data type are not taken yet.",
            )
        family = "number" if kind in _PLAIN else "text"
        if not item.known:
            self._settle(item, kind)
        if item.family != family:
            held = (text if text is not None else repr(number)).encode("utf-8", "replace")
            return self._refuse(
                item,
                "wrong_type",
                held,
                "태그의 자료형과 다른 값이 왔어요. 서버에서 태그의 자료형이 바뀌었는지 보세요.",
                "The value has another data type than its tag. See whether the tag changed in the server.",
            )
        if text is not None and family == "text" and len(raw := text.encode("utf-8", "replace")) > self._options.text_limit:
            return self._refuse(item, "too_large", raw, "글이 한도보다 길어요.", "The text is longer than the limit.")
        return text if text is not None else number

    def _settle(self, item: Item, kind: int) -> None:
        """The first value of a tag without a declared type decides."""
        data_type: DataType = (
            "text" if kind in _TEXTS else "boolean" if kind == 1 else "number" if kind in {10, 11} else "integer"
        )
        self._items.settle(item, data_type)

    def _spread(self, rows: Sequence[Row]) -> list[Row]:
        """Give each element of an array its own row, and each built value its own type."""
        spread: list[Row] = []
        for row in rows:
            variant = row[2]
            if row[1] != ARRAY or not isinstance(variant, ua.Variant):
                spread.append(row)
                continue
            item = self._items.all[row[0]]
            kind = _kind(variant)
            if not variant.is_array:
                spread.append((row[0], kind, variant.Value, *row[3:]))
                continue
            flat = _flat(variant)
            if len(flat) > self._options.array_limit or not (kind in _PLAIN or kind in _TEXTS):
                self._reject(
                    item,
                    "too_large" if kind in _PLAIN or kind in _TEXTS else "wrong_type",
                    f"{len(flat)} x {kind}",
                    Bilingual(
                        f"배열을 태그로 나누지 않았어요: 요소 {len(flat)}개, 한도 {self._options.array_limit}개. --set array_limit 으로 바꿔요.",
                        f"The array was not split into tags: {len(flat)} elements, {self._options.array_limit} allowed."
                        " --set array_limit changes that.",
                    ),
                )
                continue
            for index, value in flat:
                spread.append((self._items.element(item, index).handle, kind, value, *row[3:]))
            now = {index for index, _ in flat}
            for index, handle in item.elements.items():
                if index not in now:  # the array became shorter
                    spread.append((handle, 0, None, BAD_INDEX_NO_DATA, row[4], row[5]))
        return spread

    def _refuse(self, item: Item, code: str, payload: bytes, ko: str, en: str) -> bool:
        self._reject(item, code, payload, Bilingual(ko, en))
        return False

    def _reject(self, item: Item, code: str, payload: str | bytes, reason: Bilingual) -> None:
        """Set a value aside; a tag that goes on so is told of once a minute, and its values are counted in the gap ledger."""
        before = self._told.get((item.handle, code))
        if before is not None and self._received - before < _AGAIN_US:
            return
        self._told[(item.handle, code)] = self._received
        held = payload.encode() if isinstance(payload, str) else payload
        self._rejects.append(Reject(item.tag.name, held[:_KEPT_PAYLOAD], reason, code, self._received))


def shortest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for numbers that came as 4-byte floats the shortest decimals that give the same 4 bytes.

    >>> shortest(np.array([23.399999618530273])).tolist()
    [23.4]
    """
    written = pa.array(values.astype(np.float32)).cast(pa.string())
    numbers: NDArray[np.float64] = written.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def as_text(kind: int, value: object) -> str | None:
    """Return a value of a kind that is text for us: texts, times (ISO 8601), identifiers."""
    if kind == 13 and isinstance(value, int):
        moment = (value - EPOCH) // 10
        try:
            return datetime.fromtimestamp(moment / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
        except (OverflowError, ValueError, OSError):
            return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, ua.LocalizedText):
        return str(value.Text or "")
    if isinstance(value, ua.QualifiedName):
        return f"{value.NamespaceIndex}:{value.Name}" if value.NamespaceIndex else str(value.Name)
    if isinstance(value, ua.NodeId):
        return str(value.to_string())
    if isinstance(value, uuid.UUID | str):
        return str(value)
    if isinstance(value, bytes) and kind == 16:
        return value.decode("utf-8", "replace")
    return None


def _kind(variant: ua.Variant) -> int:
    return int(getattr(variant.VariantType, "value", 0))


def _flat(variant: ua.Variant) -> list[tuple[str, object]]:
    """Elements with their indexes, ``[2]`` or ``[1,0]``."""
    found: list[tuple[str, object]] = []

    def walk(value: object, index: tuple[int, ...]) -> None:
        if isinstance(value, list | tuple):
            for number, element in enumerate(value):
                walk(element, (*index, number))
        else:
            found.append((json.dumps(index, separators=(",", ":")), value))

    walk(variant.Value if variant.Value is not None else [], ())
    return found


def _equal(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)


__all__ = ["FAMILIES", "Columnizer", "Columns", "Turned", "as_text", "shortest"]
