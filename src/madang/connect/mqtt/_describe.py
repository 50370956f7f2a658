"""Says what one message would be taken for, so that a source that is silent now can be set up from a pasted sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from madang.connect._blocks import Message, Tag
from madang.connect.mqtt._decode import RECEIVED, PayloadDecoder
from madang.connect.mqtt._payload import Unreadable, read_payload
from madang.connect.mqtt._roles import role_of
from madang.connect.mqtt._rules import rules_of
from madang.connect.mqtt._walk import walk
from madang.errors import Json
from madang.plant import Bilingual, quality_text

Shape = Literal["number", "text", "boolean", "one_value", "many_values", "list_of_samples", "nested", "unreadable"]
_MOST = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SHAPES: Mapping[Shape, Bilingual] = {
    "number": Bilingual("숫자 하나", "one bare number"),
    "text": Bilingual("글자 하나", "one bare text"),
    "boolean": Bilingual("참/거짓 하나", "one bare yes or no"),
    "one_value": Bilingual("값 하나와 그 설명", "one value with what describes it"),
    "many_values": Bilingual("필드마다 값 하나", "one value in each field"),
    "list_of_samples": Bilingual("샘플의 목록", "a list of samples"),
    "nested": Bilingual("겹쳐진 값들", "nested values"),
    "unreadable": Bilingual("읽을 수 없음", "not readable"),
}


@dataclass(frozen=True)
class SampleSeen:
    """One sample of a pasted message."""

    tag: str
    time: datetime
    value: float | str | None
    quality: int
    unit: str | None


@dataclass(frozen=True)
class PayloadDescription:
    """What one message would be taken for."""

    shape: Shape
    text: Bilingual
    options: Mapping[str, str]
    """What was guessed, as options that would settle it."""
    samples: tuple[SampleSeen, ...]
    questions: tuple[Bilingual, ...]
    """What a person should confirm."""
    problems: tuple[Bilingual, ...] = ()
    """What could not be taken."""

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "shape": self.shape,
            "text_ko": self.text.ko,
            "text_en": self.text.en,
            "options": dict(self.options),
            "samples": [
                {
                    "tag": one.tag,
                    "time": one.time.isoformat().replace("+00:00", "Z"),
                    "value": one.value,
                    "quality": one.quality,
                    "quality_ko": quality_text(one.quality).ko,
                    "quality_en": quality_text(one.quality).en,
                    "unit": one.unit,
                }
                for one in self.samples
            ],
            "questions": [{"ko": one.ko, "en": one.en} for one in self.questions],
            "problems": [{"ko": one.ko, "en": one.en} for one in self.problems],
            "problem_ko": self.problems[0].ko if self.problems else "",
            "problem_en": self.problems[0].en if self.problems else "",
        }


def describe_payload(
    payload: bytes,
    *,
    topic: str = "line/sample",
    zone: str = "Asia/Seoul",
    options: Mapping[str, str] | None = None,
    received: int | None = None,
) -> PayloadDescription:
    """Say what a message would be taken for.

    Args:
        payload: The message as it is sent.
        topic: Topic under which it comes.
        zone: Zone of times that do not say theirs.
        options: Options of the connection so far.
        received: When it would be received [us since 1970]; None = just after its own newest time.

    Raises:
        UsageError: An option is wrong.

    >>> seen = describe_payload('{"온도": 731.5, "측정시각": "2026-03-02 08:00:00"}'.encode(), topic="1호기")
    >>> seen.shape, seen.samples[0].tag, seen.options["time"]
    ('many_values', '1호기#온도', '측정시각')
    """
    given = dict(options or {})
    rules = rules_of(given, zone)
    now = received if received is not None else 4_102_444_800_000_000
    try:
        value = read_payload(payload, rules)
    except Unreadable as error:
        return PayloadDescription("unreadable", _SHAPES["unreadable"], {}, (), (), (error.reason,))
    if received is None:
        # A pasted sample may be old or new: it is looked at as if it had come in just now, by its own clock.
        times = [one.time for one in walk(value, now, rules).samples if one.time is not None]
        now = max(times) if times else int((datetime.now(UTC) - _EPOCH) / timedelta(microseconds=1))
    found = walk(value, now, rules)
    tags: dict[str, Tag] = {}
    numbers: dict[str, int] = {}

    def number_of(tag: Tag) -> int:
        tags[tag.name] = tag
        return numbers.setdefault(tag.name, len(numbers) + 1)

    decoded = PayloadDecoder(rules).decode([Message(topic, payload, now)], number_of)
    names = {number: name for name, number in numbers.items()}
    samples: list[SampleSeen] = []
    for block in decoded.blocks:
        for row in block.batch.slice(0, _MOST).to_pylist():
            shown = row["number"] if row["text"] is None else row["text"]
            name = names[row["tag"]]
            samples.append(SampleSeen(name, row["time"], shown, row["quality"], tags[name].unit))
    words = ("time", "quality")
    guessed: dict[str, str] = {word: found.roles[word] for word in words if word in found.roles and word not in given}
    sequence = _sequence_key(value)
    if sequence is not None and "sequence" not in given:
        guessed["sequence"] = sequence
    return PayloadDescription(
        _shape(value, found.roles),
        _SHAPES[_shape(value, found.roles)],
        guessed,
        tuple(samples),
        tuple(_questions(found.roles, tags, guessed)),
        tuple(reject.reason for reject in decoded.rejects),
    )


def _shape(value: object, roles: Mapping[str, str]) -> Shape:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "list_of_samples"
    if not isinstance(value, dict):
        return "text"
    if any(isinstance(inner, list) and inner and isinstance(inner[0], dict) for inner in value.values()):
        return "list_of_samples"
    if any(isinstance(inner, (dict, list)) for inner in value.values()):
        return "nested"
    return "one_value" if "value" in roles else "many_values"


def _sequence_key(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    keys = [key for key, inner in value.items() if role_of(key) == "sequence" and type(inner) is int]
    return keys[0] if len(keys) == 1 else None


def _questions(roles: Mapping[str, str], tags: Mapping[str, Tag], guessed: Mapping[str, str]) -> list[Bilingual]:
    out: list[Bilingual] = []
    if "time" in guessed:
        out.append(
            Bilingual(f"'{roles['time']}'이(가) 값이 난 시각이 맞나요?", f"Is '{roles['time']}' the time of the values?")
        )
    elif any(tag.facts.get(RECEIVED) == "received" for tag in tags.values()):
        out.append(
            Bilingual(
                "시각이 들어 있지 않아, 받은 때를 값의 시각으로 적어요. 시각 필드가 있으면 옵션 time으로 알려 주세요.",
                "There is no time in it, so the receive time will stand for it. If a field is the time, name it with the option time.",
            )
        )
    if "quality" in guessed:
        out.append(
            Bilingual(
                f"'{roles['quality']}'이(가) 품질이 맞나요? 숫자라면 0이 좋음(ua)인지 나쁨(da)인지 옵션 quality_scale로 알려 주세요.",
                f"Is '{roles['quality']}' the quality? If it is a number, say with quality_scale whether 0 is good (ua) or bad (da).",
            )
        )
    if "sequence" in guessed:
        out.append(
            Bilingual(
                f"'{guessed['sequence']}'이(가) 1씩 커지는 번호라면 옵션 sequence로 정해, 빠진 메시지를 알 수 있어요.",
                f"If '{guessed['sequence']}' counts up by one, set it as the option sequence: missing messages become known.",
            )
        )
    return out
