"""A pushed body becomes samples: JSON, lines of JSON, or an Arrow stream.

A sample in JSON is ``{"tag": "kiln/zone1", "time": "2026-05-30T18:00:00Z", "value": 731.5, "quality": "good"}``; ``quality`` may be left out (good) or be
an OPC UA status code. Several stand in a list, in ``{"tags": [...], "samples": [...]}``, or one a line. ``{"time": ..., "values": {"a": 1, "b": 2}}`` gives several
tags of one time. In Arrow the columns are ``tag``, ``time``, ``value`` (or ``number`` and ``text``) and ``quality``.

No number and no text (null, NaN, infinity) is no value: it is kept as absent, and as bad unless the sender said another quality.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, DataType, Tag
from madang.connect._source import ConnectionSettings
from madang.errors import InputError, Json
from madang.plant import BAD, GOOD, UNCERTAIN, Bilingual

PayloadFormat = Literal["json", "ndjson", "arrow"]
EARLIEST: Final = 315_532_800_000_000
"""1980-01-01 [us since 1970]: an earlier time is a clock that was never set."""
AHEAD: Final = 86_400_000_000
"""How far ahead of its arrival a time may be [us]; later ones are a wrong clock or a wrong unit."""
MAX_TEXT: Final = 65_536
MAX_TAG: Final = 1000
MAX_NEW_TAGS: Final = 10_000
"""Different tags in one body at most."""
_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_QUALITIES: Final = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}
_EXACT: Final = 1 << 53


@dataclass(frozen=True)
class PushOptions:
    """How the bodies of one connection are read."""

    zone: str = "Asia/Seoul"
    time_unit: Literal["s", "ms", "us", "ns"] = "ms"
    missing_time: Literal["refuse", "received"] = "refuse"
    rest: Literal["refuse", "keep"] = "refuse"

    @classmethod
    def of(cls, settings: ConnectionSettings) -> PushOptions:
        """Return the options of a connection.

        Raises:
            InputError: One is not an allowed word.
        """
        allowed = {"time_unit": ("ms", "s", "us", "ns"), "missing_time": ("refuse", "received"), "rest": ("refuse", "keep")}
        found: dict[str, Any] = {}
        for name, words in allowed.items():
            found[name] = settings.options.get(name, words[0])
            if found[name] not in words:
                raise InputError(
                    "bad_option",
                    ko=f"{name} 은(는) {', '.join(words)} 가운데 하나여야 해요.",
                    en=f"{name} has to be one of {', '.join(words)}.",
                    next_ko=f"connections/{settings.name}.toml 의 [options] 를 고치세요.",
                    next_en=f"Correct [options] in connections/{settings.name}.toml.",
                    where={"connection": settings.name, "option": name, "allowed": [*words]},
                )
        return cls(settings.zone, found["time_unit"], found["missing_time"], found["rest"])


@dataclass(frozen=True)
class Problem:
    """Why one sample, or the whole body, cannot be taken."""

    index: int | None
    """Number of the sample in the body, from 0; None = the body itself."""
    field: str
    code: str
    """malformed, no_tag, no_time, wrong_type, time_out_of_range, too_large, bad_quality, too_many_tags"""
    text: Bilingual

    def document(self) -> dict[str, Json]:
        """Return it for a report."""
        return {"index": self.index, "field": self.field, "code": self.code, **self.text.fields("message")}


@dataclass
class Payload:
    """What one body holds."""

    tags: dict[str, Tag] = field(default_factory=dict)
    """What the body says about tags (unit, label, range), where it says anything."""
    batches: list[pa.RecordBatch] = field(default_factory=list)
    """Columns ``tag`` (place in `names`), ``time``, ``number``, ``text``, ``quality``."""
    names: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0
    """How many samples cannot be taken; `problems` tells of the first 20."""

    @property
    def samples(self) -> int:
        """How many samples can be taken."""
        return sum(batch.num_rows for batch in self.batches)

    @classmethod
    def read(cls, body: bytes, form: PayloadFormat, options: PushOptions, received: int) -> Payload:
        """Read a body; what is wrong with it stands in `problems`, never in an exception.

        Args:
            body: The bytes that came.
            form: How they are written.
            options: How the connection reads times.
            received: When they came [us since 1970].
        """
        payload = cls()
        if form == "arrow":
            from madang.connect.http._arrow import read_stream

            read_stream(payload, body, options, received)
        else:
            _Json(payload, options, received).read(body, lines=form == "ndjson")
        return payload

    def block(self, numbers: Sequence[int], received: int) -> Block | None:
        """Return the samples as one block, which a spool takes whole or not at all; None when there are none.

        Args:
            numbers: The lasting number of each of `names`.
            received: When they came [us since 1970].
        """
        if not self.samples:
            return None
        whole = (
            pa.Table.from_batches(self.batches).combine_chunks().to_batches()[0] if len(self.batches) > 1 else self.batches[0]
        )
        places = pa.array(numbers, pa.int32()).take(whole.column(0))
        return Block(pa.RecordBatch.from_arrays([places, *whole.columns[1:]], schema=BLOCK_SCHEMA), received)

    def problem(self, index: int | None, place: str, code: str, ko: str, en: str) -> None:
        """Note why a sample cannot be taken."""
        self.refused += 1
        if len(self.problems) < 20:
            self.problems.append(Problem(index, place, code, Bilingual(ko, en)))

    def place(self, name: str) -> int | None:
        """Return the place of a tag in `names`; None when the body has too many."""
        found = self._places.get(name)
        if found is None and len(self.names) < MAX_NEW_TAGS:
            found = self._places[name] = len(self.names)
            self.names.append(name)
        return found

    def places_of_all(self, names: Sequence[str | None]) -> bool:
        """Take all tags of a first batch at once, where each is a plain name and stands once; returns whether that was so.

        A sender of thousands of tags names all of them in every batch, and going through them one by one would take longer than the samples do.
        """
        if self.names or None in names or "" in names:
            return False
        plain = [name for name in names if name is not None]
        text = "\0".join(plain)
        if text.count("\0") >= len(plain) or len(max(plain, key=len, default="")) > MAX_TAG:
            return False
        places = dict(zip(plain, range(len(plain)), strict=True))
        if len(places) < len(plain):
            return False
        self.names, self._places = plain, places
        return True

    _places: dict[str, int] = field(default_factory=dict)


class _Wrong(Exception):  # noqa: N818 - a way out, not a fault
    def __init__(self, place: str, code: str, ko: str, en: str) -> None:
        super().__init__(code)
        self.place, self.code, self.ko, self.en = place, code, ko, en


class _Json:
    """Reads bodies of JSON into a payload."""

    def __init__(self, payload: Payload, options: PushOptions, received: int) -> None:
        self._payload = payload
        self._options = options
        self._received = received
        self._zone = ZoneInfo(options.zone)
        self._columns: tuple[list[int], list[int], list[float | None], list[str | None], list[int]] = ([], [], [], [], [])

    def read(self, body: bytes, *, lines: bool) -> None:
        for index, item in enumerate(self._lines(body) if lines else self._items(body)):
            if item is _SKIP:
                continue
            try:
                self._take(item)
            except _Wrong as wrong:
                self._payload.problem(index, wrong.place, wrong.code, wrong.ko, wrong.en)
        tag, time, number, text, quality = self._columns
        arrays = [
            pa.array(tag, pa.int32()),
            pa.array(time, pa.timestamp("us", tz="UTC")),
            pa.array(number, pa.float64()),
            pa.array(text, pa.string()),
            pa.array(quality, pa.uint32()),
        ]
        if tag:
            self._payload.batches.append(pa.RecordBatch.from_arrays(arrays, schema=BLOCK_SCHEMA))

    def _lines(self, body: bytes) -> Iterator[Any]:
        index = -1
        for number, line in enumerate(body.split(b"\n"), start=1):
            if not line.strip():
                continue
            index += 1
            try:
                yield msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._payload.problem(
                    index, f"line {number}", "malformed", f"{number}번째 줄이 JSON이 아니에요{_at(error)[0]}.",
                    f"Line {number} is not JSON{_at(error)[1]}.",
                )  # fmt: skip
                yield _SKIP

    def _items(self, body: bytes) -> Sequence[Any]:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            ko, en = _at(error)
            self._payload.problem(None, "", "malformed", f"보낸 것이 JSON이 아니에요{ko}.", f"The body is not JSON{en}.")
            return ()
        if isinstance(document, list):
            return document
        if isinstance(document, dict) and "samples" in document:
            self._declare(document.get("tags", []))
            samples = document["samples"]
            if isinstance(samples, list):
                return samples
            self._payload.problem(None, "samples", "wrong_type", "samples 는 목록이어야 해요.", "`samples` has to be a list.")
            return ()
        if isinstance(document, dict):
            return (document,)
        self._payload.problem(
            None, "", "wrong_type", "객체나 객체의 목록이어야 해요.", "The body has to be an object or a list of objects."
        )
        return ()

    def _declare(self, tags: object) -> None:
        """Take what the body says about its tags: unit, label, range."""
        for index, item in enumerate(tags if isinstance(tags, list) else [tags]):
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not 0 < len(name) <= MAX_TAG:
                self._payload.problem(index, "tags", "no_tag", "tags 에 name 이 없어요.", "An entry of `tags` has no `name`.")
                continue
            self._payload.tags[name] = declared(name, item)

    def _take(self, item: object) -> None:
        if not isinstance(item, dict):
            raise _Wrong("", "wrong_type", "측정값이 객체가 아니에요.", "The sample is not an object.")
        time = self._time(item.get("time", item.get("t")))
        quality = _quality(item.get("quality"))
        values = item.get("values")
        if isinstance(values, dict) and "tag" not in item:
            pairs = [(name, *_value(value, quality)) for name, value in values.items()]
        else:
            if "value" not in item:
                raise _Wrong("value", "no_value", "value 가 없어요.", "`value` is missing.")
            pairs = [(item.get("tag"), *_value(item["value"], quality))]
        taken = [(self._tag(name), number, text, code) for name, number, text, code in pairs]
        for place, number, text, code in taken:
            tags, times, numbers, texts, qualities = self._columns
            tags.append(place)
            times.append(time)
            numbers.append(number if number is None or isfinite(number) else None)
            texts.append(text)
            qualities.append(code)

    def _tag(self, name: object) -> int:
        if not isinstance(name, str) or not name:
            raise _Wrong("tag", "no_tag", "tag 가 없거나 글자가 아니에요.", "`tag` is missing or not a text.")
        if len(name) > MAX_TAG or "\0" in name:
            raise _Wrong("tag", "too_large", f"tag 는 {MAX_TAG}자까지예요.", f"`tag` may have {MAX_TAG} letters.")
        place = self._payload.place(name)
        if place is None:
            raise _too_many()
        return place

    def _time(self, value: object) -> int:
        if value is None:
            if self._options.missing_time == "received":
                return self._received
            raise _Wrong("time", "no_time", "time 이 없어요.", "`time` is missing.")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise _bad_time()
        if isinstance(value, str):
            return self._checked(self._instant(value))
        scale = _UNITS.get(self._options.time_unit)
        if isinstance(value, float):
            if abs(value) > 1e21:  # beyond any calendar in any unit; a product of it may be infinite
                raise _Wrong("time", "time_out_of_range", *OUT_OF_RANGE)
            return self._checked(round(value * scale) if scale else round(value / 1000))
        return self._checked(value * scale if scale else value // 1000)

    def _instant(self, text: str) -> int:
        try:
            # Python 3.11 reads ISO 8601 with at most six decimals; finer ones are cut.
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
        except ValueError:
            raise _bad_time() from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        # Not by way of UTC: the first and last hours of the calendar have none in other zones.
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def _checked(self, time: int) -> int:
        if not EARLIEST <= time <= self._received + AHEAD:
            raise _Wrong("time", "time_out_of_range", *OUT_OF_RANGE)
        return time


_SKIP: Final = object()
OUT_OF_RANGE: Final = (
    "시각이 1980년보다 이르거나 받은 때보다 하루 넘게 앞서요. 시계나 time_unit 을 확인하세요.",
    "The time is before 1980 or more than a day ahead of its arrival; check the clock, or time_unit.",
)


def declared(name: str, said: Mapping[str, Any]) -> Tag:
    """Return a tag with what a sender says about it; what is of the wrong type is passed over."""

    def text(key: str) -> str | None:
        value = said.get(key)
        return value[:MAX_TAG] if isinstance(value, str) else None

    def number(key: str) -> float | None:
        value = said.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None

    ko, en = text("label_ko") or text("label"), text("label_en") or text("label")
    type_: DataType = said["data_type"] if said.get("data_type") in ("number", "integer", "boolean", "text") else "number"
    label = Bilingual(ko or en or name, en or ko or name) if ko or en else None
    return Tag(name, label, type_, text("unit"), number("low"), number("high"), description=text("description") or "")


def _value(value: object, quality: int) -> tuple[float | None, str | None, int]:
    """Number, text and quality of a value."""
    if isinstance(value, bool):
        return float(value), None, quality
    if isinstance(value, int):
        return (float(value), None, quality) if abs(value) <= _EXACT else (None, _long(str(value)), quality)
    if isinstance(value, float):
        return value, None, quality
    if isinstance(value, str):
        return None, _long(value), quality
    if value is None:
        return None, None, quality if quality != GOOD else BAD
    raise _Wrong(
        "value", "wrong_type", "value 는 수, 글자, 참거짓, null 만 돼요.", "`value` may be a number, text, truth or null."
    )


def _long(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise _Wrong("value", "too_large", f"글자는 {MAX_TEXT:,}자까지예요.", f"A text may have {MAX_TEXT:,} letters.")
    return text


def _quality(value: object) -> int:
    if value is None:
        return GOOD
    if isinstance(value, str) and value.lower() in _QUALITIES:
        return _QUALITIES[value.lower()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return value
    raise _Wrong(
        "quality", "bad_quality", "quality 는 good, uncertain, bad 또는 OPC UA 상태 코드예요.",
        "`quality` is good, uncertain, bad or an OPC UA status code.",
    )  # fmt: skip


def _bad_time() -> _Wrong:
    return _Wrong(
        "time", "wrong_type", "time 을 읽을 수 없어요. 2026-05-30T18:00:00Z 나 1970년부터의 수로 적어 주세요.",
        "`time` cannot be read; write 2026-05-30T18:00:00Z, or a number since 1970.",
    )  # fmt: skip


def _too_many() -> _Wrong:
    return _Wrong(
        "tag",
        "too_many_tags",
        f"한 번에 태그 {MAX_NEW_TAGS:,}개까지 보낼 수 있어요.",
        f"{MAX_NEW_TAGS:,} tags at a time are allowed.",
    )


def _at(error: Exception) -> tuple[str, str]:
    """Where a body breaks off, without any of its content."""
    found = re.search(r"\(byte (\d+)\)", str(error)) or re.search(r"position (\d+)", str(error))
    return (f" ({found[1]}번째 바이트)", f" (byte {found[1]})") if found else ("", "")
