"""Writes set points of an OPC UA server; only the gate holds one.

A write is checked against what the server says of the tag, written with the tag's own data type, and read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from asyncua import ua

from madang.connect._blocks import Tag
from madang.connect._source import ConnectionSettings, WriteOutcome
from madang.connect.opcua._browse import Found, Namespaces, describe
from madang.connect.opcua._columns import Columnizer
from madang.connect.opcua._history import as_row
from madang.connect.opcua._items import Items
from madang.connect.opcua._link import Clock, Link, open_link
from madang.connect.opcua._live import microseconds
from madang.connect.opcua._loop import LoopThread
from madang.connect.opcua._options import Options, read_options
from madang.connect.opcua._source import utc_now
from madang.connect.opcua._trouble import Trouble, status_name, translate
from madang.plant import BAD_NODE_UNKNOWN, Bilingual, QualityClass, quality_class, quality_text

T = TypeVar("T")
_FAILURES: Final = (OSError, TimeoutError, ua.UaError, AssertionError)
_INTEGERS: Final = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}
_LARGEST_FLOAT: Final = 3.4028234663852886e38


@dataclass(frozen=True)
class _Target:
    tag: Tag
    node: ua.NodeId
    variant: ua.VariantType | None
    """Data type that stands there now; None where it cannot be read."""
    status: int


class OpcuaActuator:
    """One OPC UA server, as an `Actuator`. It keeps one session, opened with the first question."""

    def __init__(self, settings: ConnectionSettings, *, clock: Clock = utc_now) -> None:
        self._name = settings.name
        self._options: Options = read_options(settings)
        self._clock = clock
        self._loop = LoopThread(f"opcua write {settings.name}")
        self._link: Link | None = None

    def propose(self, tag: str, value: float | str) -> Bilingual | None:
        """Return why the server would refuse this value, None when it would not; writes nothing."""

        async def act(link: Link) -> Bilingual | None:
            return _objection(await self._target(link, tag), value)

        return self._ask(act)

    def write(self, tag: str, value: float | str) -> WriteOutcome:
        """Write, read back, and say what stands there now; a value that does not fit is not sent."""

        async def act(link: Link) -> WriteOutcome:
            target = await self._target(link, tag)
            objection = _objection(target, value)
            if objection is not None or target.variant is None:
                return WriteOutcome(False, None, target.status, objection or _UNREADABLE)
            wanted = ua.WriteValue()
            wanted.NodeId = target.node
            wanted.AttributeId = ua.AttributeIds.Value
            wanted.Value = ua.DataValue(ua.Variant(_typed(value, target.variant), target.variant), None)
            parameters = ua.WriteParameters()
            parameters.NodesToWrite = [wanted]
            (answer,) = await link.session.write(parameters)
            status = int(answer.value)
            held, quality = await self._held(link, target)
            if quality_class(status) is QualityClass.BAD:
                name = status_name(status)
                return WriteOutcome(
                    False,
                    held,
                    quality,
                    Bilingual(f"서버가 쓰기를 거절했어요 ({name}).", f"The server refused the write ({name})."),
                )
            if not _arrived(held, value, target.variant):
                return WriteOutcome(True, held, quality, _DIFFERENT)
            return WriteOutcome(
                True, held, quality, Bilingual("썼고, 다시 읽어 확인했어요.", "Written, and confirmed by reading back.")
            )

        return self._ask(act)

    def read_back(self, tag: str) -> WriteOutcome:
        """Read what stands there now."""

        async def act(link: Link) -> WriteOutcome:
            target = await self._target(link, tag)
            held, quality = await self._held(link, target)
            return WriteOutcome(False, held, quality, quality_text(quality))

        return self._ask(act)

    def close(self) -> None:
        """End the session and its thread."""
        link, self._link = self._link, None
        if link is not None:
            self._loop.call(link.close())
        self._loop.close()

    async def _target(self, link: Link, name: str) -> _Target:
        now = await link.namespaces()
        names = Namespaces(now, now)
        try:
            node = names.node(name)
        except ValueError:
            return _Target(Tag(name), ua.NodeId(), None, BAD_NODE_UNKNOWN)
        (described,) = await describe(link, names, [Found(node)])
        (answer,) = await link.read([ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)])
        status = described.status or (int(answer.StatusCode.value) if answer.StatusCode is not None else 0)
        variant = answer.Value
        kind = variant.VariantType if variant is not None and variant.Value is not None and not variant.is_array else None
        return _Target(described.tag, node, kind if isinstance(kind, ua.VariantType) else None, status)

    async def _held(self, link: Link, target: _Target) -> tuple[float | str | None, int]:
        if target.status == BAD_NODE_UNKNOWN:
            return None, BAD_NODE_UNKNOWN
        (answer,) = await link.read([ua.ReadValueId(NodeId=target.node, AttributeId=ua.AttributeIds.Value)])
        items = Items()
        (item,) = items.add([(target.tag, target.node.to_string(), False, False)])
        columns = (
            Columnizer(items, self._options)
            .turn([as_row(item.handle, answer)], microseconds(self._clock()), live=False)
            .columns
        )
        if columns is None:
            return None, int(answer.StatusCode.value) if answer.StatusCode is not None else 0
        if columns.text:
            return columns.text[0][1], int(columns.quality[0])
        return float(columns.number[0]) if columns.has_number[0] else None, int(columns.quality[0])

    def _ask(self, act: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        async def whole() -> T:
            if self._link is None or not self._link.alive:
                self._link = await open_link(self._options, self._clock)
            return await act(self._link)

        try:
            return self._loop.call(whole())
        except Trouble as trouble:
            raise trouble.error(self._name) from None
        except _FAILURES as error:
            raise translate(error, "value", self._options.host, self._options.port).error(self._name) from None


def _objection(target: _Target, value: float | str) -> Bilingual | None:
    """Why a value does not fit a tag, by what the server says of it."""
    if quality_class(target.status) is QualityClass.BAD and target.variant is None:
        name = status_name(target.status)
        return Bilingual(f"태그를 읽을 수 없어요 ({name}).", f"The tag cannot be read ({name}).")
    if not target.tag.writable:
        return Bilingual("이 사용자는 이 태그에 쓸 수 없어요.", "This user may not write this tag.")
    if target.variant is None:
        return _UNREADABLE
    if isinstance(value, str):
        fits = target.variant in {ua.VariantType.String, ua.VariantType.LocalizedText} or (
            target.variant in _INTEGERS and _whole(value) is not None
        )
        if not fits:
            return Bilingual("이 태그는 글이 아니라 수를 담아요.", "This tag holds a number, not a text.")
    if isinstance(value, str) and target.variant not in _INTEGERS:
        return None
    if target.variant in _INTEGERS:
        whole = _whole(value)
        low, high = _INTEGERS[target.variant]
        if whole is None or not low <= whole <= high:
            return Bilingual(f"{low}부터 {high}까지의 정수만 담아요.", f"It holds whole numbers from {low} to {high} only.")
    elif target.variant == ua.VariantType.Boolean:
        if value not in {0, 1}:
            return Bilingual("0이나 1만 담아요.", "It holds 0 or 1 only.")
    elif target.variant in {ua.VariantType.Float, ua.VariantType.Double}:
        if not math.isfinite(float(value)) or (target.variant == ua.VariantType.Float and abs(float(value)) > _LARGEST_FLOAT):
            return Bilingual("유한한 수만 담아요.", "It holds finite numbers only.")
    else:
        return Bilingual("이 자료형에는 아직 쓰지 않아요.", "This data type is not written yet.")
    number = float(value)
    if (target.tag.low is not None and number < target.tag.low) or (target.tag.high is not None and number > target.tag.high):
        return Bilingual(
            f"공학 범위 {target.tag.low:g}부터 {target.tag.high:g}까지를 벗어나요.",
            f"It lies outside of the engineering range from {target.tag.low:g} to {target.tag.high:g}.",
        )
    return None


def _whole(value: float | str) -> int | None:
    try:
        if isinstance(value, str):
            return int(value)
        return int(value) if float(value).is_integer() else None
    except (ValueError, OverflowError):
        return None


def _typed(value: float | str, variant: ua.VariantType) -> object:
    if variant in _INTEGERS:
        return _whole(value)
    if variant == ua.VariantType.Boolean:
        return bool(value)
    if variant == ua.VariantType.LocalizedText:
        return ua.LocalizedText(str(value))
    return value if isinstance(value, str) else float(value)


def _arrived(held: float | str | None, value: float | str, variant: ua.VariantType) -> bool:
    if held is None:
        return False
    if isinstance(held, str) or isinstance(value, str):
        return str(held) == str(value) or _whole(held) == _whole(value) is not None
    if variant == ua.VariantType.Float:
        return bool(np.float32(held) == np.float32(value))
    return held == float(value)


_UNREADABLE: Final = Bilingual(
    "태그의 자료형을 알 수 없어 쓰지 않았어요.", "Nothing was written: the tag's data type is not known."
)
_DIFFERENT: Final = Bilingual("썼지만 다시 읽은 값이 달라요.", "Written, but another value is read back.")
