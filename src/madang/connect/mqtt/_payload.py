"""Turns the bytes of one message into a JSON value, or into the reason why that cannot be."""

from __future__ import annotations

import json
import math
import re
from typing import Final

import msgspec

from madang.connect.mqtt._rules import PayloadRules
from madang.connect.mqtt._walk import NOT_FINITE, ExactNumber
from madang.plant import Bilingual

_DECODER: Final = msgspec.json.Decoder()
_BOM: Final = b"\xef\xbb\xbf"
_NOT_FINITE_WORD: Final = re.compile(rb"\b(?:NaN|nan|-?Infinity|-?inf)\b")
_NOT_FINITE_TEXTS: Final = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity"})
_JSON_STARTS: Final = b'{["'
_PLAIN_TEXT: Final = 1_024
"""A payload that is no JSON is taken as a text up to this many letters."""

REASONS: Final = {
    "malformed": Bilingual("JSON이 깨져 있어요", "the JSON is malformed"),
    "not_text": Bilingual(
        "글자로 읽을 수 없어요. 인코딩이 다르면 옵션 encoding을 정해 주세요",
        "it cannot be read as text; if the encoding is another one, set the option encoding",
    ),
    "cp949": Bilingual(
        "UTF-8이 아니고 cp949(완성형)로 보여요. `--set encoding=cp949` 로 정하면 다시 읽어요",
        "it is not UTF-8 and looks like cp949; `--set encoding=cp949` reads it",
    ),
    "wrong_key": Bilingual("필드 이름이 너무 길거나 글자가 아니에요", "the name of a field is too long or no text"),
    "no_value": Bilingual("값이 없어요", "it holds no value"),
    "too_large": Bilingual("정해진 것보다 길어요", "it is longer than allowed"),
    "too_deep": Bilingual("너무 깊이 겹쳐 있어요", "it is nested too deeply"),
    "too_many_values": Bilingual("메시지 하나에 값이 너무 많아요", "one message holds too many values"),
    "too_many_tags": Bilingual("이 연결이 만들 수 있는 태그의 수를 넘었어요", "the connection has more tags than it may make"),
    "time_unreadable": Bilingual(
        "시각을 읽을 수 없어요. 옵션 time, time_format으로 알려 주세요", "the time cannot be read; say how with the options time and time_format"
    ),
    "time_ambiguous": Bilingual(
        "시각이 두 가지로 읽히거나 그 시간대에 없는 시각이에요. 옵션 time_format으로 알려 주세요",
        "the time can be read in two ways, or does not exist in its zone; say which with the option time_format",
    ),
    "time_out_of_range": Bilingual(
        "시각이 있을 수 없는 때예요(기기 시계를 확인해 주세요). 받을 범위는 옵션 earliest, ahead",
        "the time is impossible (check the device's clock); the options earliest and ahead say what is taken",
    ),
    "wrong_type": Bilingual(
        "자료형이 처음과 달라졌어요. 값은 품질 '나쁨 (자료형이 다름)'으로 남겨요",
        "the data type is not what it was at first; the values are kept as bad (type mismatch)",
    ),
}  # fmt: skip


class Unreadable(Exception):  # noqa: N818 - a reason, not a fault
    """A payload that cannot be read; `code` is the reason's stable word."""

    def __init__(self, code: str, reason: Bilingual | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason or REASONS[code]


def read_payload(payload: bytes, rules: PayloadRules) -> object:
    """Return what a payload holds: JSON, or else a short plain text.

    Raises:
        Unreadable: It is too large, no text, broken JSON, or empty.

    >>> read_payload(b'{"value": 23.5}', PayloadRules())
    {'value': 23.5}
    >>> read_payload("가동".encode(), PayloadRules())
    '가동'
    >>> read_payload(b"9007199254740993", PayloadRules())
    9007199254740993
    """
    if len(payload) > rules.max_payload:
        raise Unreadable("too_large")
    if rules.encoding != "utf-8":
        try:
            payload = payload.decode(rules.encoding).encode()
        except UnicodeError:
            raise Unreadable("malformed", REASONS["not_text"]) from None
    try:
        return _DECODER.decode(payload)
    except RecursionError:
        raise Unreadable("too_deep") from None
    except (msgspec.MsgspecError, ValueError) as error:
        return _otherwise(payload, error)


def _otherwise(payload: bytes, error: Exception) -> object:
    if payload.startswith(_BOM):
        payload = payload[len(_BOM) :]
        try:
            return _DECODER.decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise Unreadable("malformed", REASONS["cp949" if _is_cp949(payload) else "not_text"]) from None
    text = text.strip()
    if not text:
        raise Unreadable("no_value")
    if text.casefold() in _NOT_FINITE_TEXTS:
        return NOT_FINITE
    if "out of range" in str(error) or _NOT_FINITE_WORD.search(payload):
        return _patiently(text)
    if payload.lstrip()[:1] in _JSON_STARTS or len(text) > _PLAIN_TEXT or not text.isprintable():
        raise Unreadable("malformed")
    return text


def _patiently(text: str) -> object:
    """Read JSON with numbers beyond float64, which are kept in decimal, or with NaN and Infinity, which are no values."""
    try:
        return json.loads(text, parse_constant=lambda _: NOT_FINITE, parse_float=_exact)
    except RecursionError:
        raise Unreadable("too_deep") from None
    except ValueError:
        raise Unreadable("malformed") from None


def _exact(text: str) -> float | ExactNumber:
    number = float(text)
    return ExactNumber(text) if math.isinf(number) else number


def _is_cp949(payload: bytes) -> bool:
    try:
        text = payload.decode("cp949")
    except UnicodeDecodeError:
        return False
    return any("가" <= letter <= "힣" for letter in text)
