"""Decodes raw messages into blocks, fast where messages of a topic look alike, and completely where they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, DataType, Decoded, Message, Reject, Tag
from madang.connect.mqtt._instants import plausible
from madang.connect.mqtt._payload import REASONS, Unreadable, read_payload
from madang.connect.mqtt._plan import SCALARS, Plan, plan_of
from madang.connect.mqtt._rules import PayloadRules
from madang.connect.mqtt._walk import ExactNumber, Found, Scalar, walk
from madang.plant import BAD, BAD_TYPE_MISMATCH, UNCERTAIN_LAST_USABLE, Bilingual

EXACT: Final = 1 << 53
"""Whole numbers up to here are exact in float64."""
UNKNOWN: Final = "type"
"""Fact of a tag whose values have all been empty so far: its data type is a guess."""
RECEIVED: Final = "time"
"""Fact of a tag: ``received`` when its payloads carry no time, so that the receive time stands for it; ``mixed`` when some do."""
_COUNTS: Final = frozenset({"integer", "number"})
_SECOND: Final = 1_000_000
_PLANS: Final = 20_000
_LONGEST_KEY: Final = 512


@dataclass(slots=True)
class _Entry:
    """What is known about a tag."""

    number: int
    tag: Tag
    kind: DataType | None
    """None: only empty values so far."""
    own_time: bool | None
    """Whether its payloads carry a time; None: some do."""
    noticed: bool = False
    """Whether a change of its type was told."""


class _Columns:
    """Samples of messages that were received within one second."""

    def __init__(self) -> None:
        self.tag: list[int] = []
        self.time: list[int] = []
        self.number: list[float | None] = []
        self.text: list[str | None] = []
        self.quality: list[int] = []
        self.texts = False
        self.empties = False

    def block(self, received: int, server_time: int | None) -> Block:
        rows = len(self.tag)
        if self.empties:
            number = pa.array(self.number, pa.float64())
        else:
            number = pa.array(np.array(self.number, np.float64))
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(np.array(self.tag, np.int32)),
                pa.array(np.array(self.time, np.int64)).cast(pa.timestamp("us", tz="UTC")),
                number,
                pa.array(self.text, pa.string()) if self.texts else pa.nulls(rows, pa.string()),
                pa.array(np.array(self.quality, np.uint32)),
            ],
            schema=BLOCK_SCHEMA,
        )
        return Block(batch, received=received, server_time=server_time)


class PayloadDecoder:
    """Decodes messages by rules.

    It remembers which tags it has met and their first data type, which the connection's tag book knows as well (`learn`), so a
    replay after a crash decodes to the same samples.

    Args:
        rules: How to read payloads.
    """

    def __init__(self, rules: PayloadRules) -> None:
        self._rules = rules
        self._entries: dict[str, _Entry] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}

    def learn(self, tags: Mapping[int, Tag]) -> None:
        """Take over what the tag book knows, so that a change of type is noticed across restarts."""
        for number, tag in tags.items():
            when = tag.facts.get(RECEIVED)
            self._entries[tag.name] = _Entry(
                number,
                tag,
                None if tag.facts.get(UNKNOWN) == "unknown" else tag.data_type,
                None if when == "mixed" else when != "received",
            )

    def decode(self, messages: Sequence[Message], number_of: Callable[[Tag], int]) -> Decoded:
        """Return what the messages hold, in their order; what cannot be understood comes back as rejects."""
        blocks: list[Block] = []
        rejects: list[Reject] = []
        columns, second, received, server_time = _Columns(), -1, 0, None
        for message in messages:
            if message.received // _SECOND != second:
                if columns.tag:
                    blocks.append(columns.block(received, server_time))
                columns, second, server_time = _Columns(), message.received // _SECOND, None
            received = message.received
            stamp = self._one(message, columns, number_of, rejects)
            if stamp is not None:
                server_time = max(stamp, server_time or stamp)
        if columns.tag:
            blocks.append(columns.block(received, server_time))
        return Decoded(blocks, rejects)

    def _one(self, message: Message, columns: _Columns, number_of: Callable[[Tag], int], rejects: list[Reject]) -> int | None:
        rules = self._rules
        try:
            value = read_payload(message.payload, rules)
        except Unreadable as error:
            rejects.append(_reject(message, error.code, error.reason))
            return None
        kind = type(value)
        if (kind is float or kind is int) and not rules.value:
            self._put(message, Found("", None, value, 0), columns, number_of, rejects)  # type: ignore[arg-type]
            return None
        look: tuple[str, ...] | None = None
        if kind is dict and set(map(type, value.values())) <= SCALARS:  # type: ignore[attr-defined]
            look = (message.topic, *value)  # type: ignore[misc]
            plan = self._plans.get(look)
            if plan is not None and self._planned(plan, value, message, columns, number_of, rejects):  # type: ignore[arg-type]
                return None
        found = walk(value, message.received, rules)
        for sample in found.samples:
            self._put(message, sample, columns, number_of, rejects)
        if look is not None and look not in self._plans and len(self._plans) < _PLANS:
            plan = plan_of(value, found, rules)  # type: ignore[arg-type]
            if plan is not None:
                self._plans[look] = plan
        for code in dict.fromkeys(code for code, _ in found.troubles):
            if code == "no_value" and found.samples:
                continue
            paths = sorted({path for one, path in found.troubles if one == code and path})[:5]
            rejects.append(_reject(message, code, REASONS[code], paths))
        if not found.samples and not found.troubles:
            rejects.append(_reject(message, "no_value", REASONS["no_value"]))
        return found.server_time

    def _planned(
        self,
        plan: Plan,
        record: dict[str, Scalar],
        message: Message,
        columns: _Columns,
        number_of: Callable[[Tag], int],
        rejects: list[Reject],
    ) -> bool:
        """Take a message that looks like an earlier one; False, and nothing taken, when it does not mean the same."""
        quality = 0
        time: int | None = None
        if plan.time is not None:
            time = plan.instant(record[plan.time], self._rules)
            if time is None or not plausible(time, message.received, self._rules):
                return False
        if plan.quality is not None:
            code = plan.code(record[plan.quality], self._rules)
            if code is None:
                return False
            quality = code
        entries, own_time = self._entries, time is not None
        for key, path in plan.fields:
            value = record[key]
            kind = type(value)
            entry = entries.get(f"{message.topic}#{path}" if path else message.topic)
            if (
                entry is None
                or entry.own_time is not own_time
                or not (
                    (kind is float and entry.kind == "number")
                    or (kind is int and -EXACT <= value <= EXACT and entry.kind in _COUNTS)  # type: ignore[operator]
                )
                or message.retained
            ):
                self._put(
                    message,
                    Found(path, time, value, quality if value is not None or quality >> 30 else BAD),
                    columns,
                    number_of,
                    rejects,
                )
                continue
            columns.tag.append(entry.number)
            columns.time.append(time if time is not None else message.received)
            columns.number.append(value)  # type: ignore[arg-type]
            columns.text.append(None)
            columns.quality.append(quality)
        return True

    def _put(
        self, message: Message, sample: Found, columns: _Columns, number_of: Callable[[Tag], int], rejects: list[Reject]
    ) -> None:
        name = f"{message.topic}#{sample.path}" if sample.path else message.topic
        entry = self._entries.get(name)
        value = sample.value
        number: float | None = None
        text: str | None = None
        if value is None:
            columns.empties = True
        elif type(value) is float:
            number = value
        elif isinstance(value, str):
            if len(value) > self._rules.max_text:
                rejects.append(_reject(message, "too_large", REASONS["too_large"], [sample.path]))
                return
            text = value
        elif isinstance(value, int) and is_exact(value):
            number = float(value)
        else:
            text = str(value)
        if text is not None:
            if _has_surrogate(text):
                rejects.append(_reject(message, "malformed", REASONS["malformed"], [sample.path]))
                return
            columns.texts = columns.empties = True
        quality = sample.quality
        if entry is None:
            if len(sample.path) > _LONGEST_KEY or not sample.path.isprintable():
                rejects.append(_reject(message, "malformed", REASONS["wrong_key"]))
                return
            if len(self._entries) >= self._rules.max_tags:
                rejects.append(_reject(message, "too_many_tags", REASONS["too_many_tags"], [sample.path]))
                return
            entry = self._new(name, message.topic, sample, number_of)
        elif value is not None or entry.own_time is not (sample.time is not None):
            quality = self._compared(entry, sample, quality, message, number_of, rejects)
        columns.tag.append(entry.number)
        if sample.time is None:
            if message.retained and quality >> 30 == 0:
                quality = UNCERTAIN_LAST_USABLE
            columns.time.append(message.received)
        else:
            columns.time.append(sample.time)
        columns.number.append(number)
        columns.text.append(text)
        columns.quality.append(quality)

    def _new(self, name: str, topic: str, sample: Found, number_of: Callable[[Tag], int]) -> _Entry:
        kind = _kind(sample.value)
        facts = {"topic": topic}
        if sample.path:
            facts["key"] = sample.path
        if kind is None:
            facts[UNKNOWN] = "unknown"
        if sample.time is None:
            facts[RECEIVED] = "received"
        parent = topic if sample.path else topic.rpartition("/")[0]
        tag = Tag(name, data_type=kind or "number", unit=sample.unit, parent=parent, facts=facts)
        entry = _Entry(number_of(tag), tag, kind, sample.time is not None)
        self._entries[name] = entry
        return entry

    def _compared(
        self,
        entry: _Entry,
        sample: Found,
        quality: int,
        message: Message,
        number_of: Callable[[Tag], int],
        rejects: list[Reject],
    ) -> int:
        """Compare a sample with what is known of its tag: tell the tag book what is new, and mark a type that does not fit."""
        kind = _kind(sample.value)
        if entry.own_time is not None and entry.own_time is not (sample.time is not None):
            entry.own_time = None
            entry.tag = replace(entry.tag, facts={**entry.tag.facts, RECEIVED: "mixed"})
            number_of(entry.tag)
        if sample.unit is not None and sample.unit != entry.tag.unit:
            entry.tag = replace(entry.tag, unit=sample.unit)
            number_of(entry.tag)
        if kind is None or kind == entry.kind:
            return quality
        if entry.kind is None or _widens(entry.kind, kind, sample.value):
            entry.kind = kind
            facts = {word: fact for word, fact in entry.tag.facts.items() if word != UNKNOWN}
            entry.tag = replace(entry.tag, data_type=kind, facts=facts)
            number_of(entry.tag)
            return quality
        if _fits(entry.kind, kind, sample.value):
            return quality
        if not entry.noticed:
            entry.noticed = True
            rejects.append(_reject(message, "wrong_type", REASONS["wrong_type"], [sample.path]))
        return BAD_TYPE_MISMATCH if quality >> 30 == 0 else quality


def is_exact(value: int) -> bool:
    """Whether float64 holds a whole number exactly."""
    if -EXACT <= value <= EXACT:
        return True
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _has_surrogate(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _kind(value: object) -> DataType | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, (float, ExactNumber)):
        return "number"
    return "text"


def _widens(known: DataType, kind: DataType, value: object) -> bool:
    """Whether a tag becomes one of a wider type: whole numbers were numbers all along, and a 0 or 1 was no boolean."""
    return (known == "integer" and kind == "number") or (
        known == "boolean" and kind in {"integer", "number"} and value not in (0, 1)
    )


def _fits(known: DataType, kind: DataType, value: object) -> bool:
    return (known == "number" and kind in {"integer", "boolean"}) or (
        known in {"integer", "boolean"} and kind in {"integer", "boolean"}
    )


def _reject(message: Message, code: str, reason: Bilingual, paths: Sequence[str] = ()) -> Reject:
    named = [path for path in paths if path]
    if named:
        at = ", ".join(named)[:200]
        reason = Bilingual(f"{reason.ko}: {at}", f"{reason.en}: {at}")
    return Reject(message.topic, message.payload, reason, code, message.received)
