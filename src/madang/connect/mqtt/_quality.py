"""Reads the quality that payloads give: OPC UA codes, OPC DA numbers, words and yes/no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from madang.connect.mqtt._rules import QualityScale
from madang.plant import (
    BAD,
    BAD_CONFIGURATION,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    BAD_OUT_OF_SERVICE,
    BAD_SENSOR_FAILURE,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
    GOOD_LOCAL_OVERRIDE,
    UNCERTAIN,
    UNCERTAIN_LAST_USABLE,
    UNCERTAIN_SUBNORMAL,
)

_WORDS: Final = {
    "good": GOOD, "ok": GOOD, "valid": GOOD, "좋음": GOOD, "정상": GOOD, "양호": GOOD, "goodnonspecific": GOOD,
    "goodlocaloverride": GOOD_LOCAL_OVERRIDE, "goodclamped": GOOD_LOCAL_OVERRIDE,
    "uncertain": UNCERTAIN, "questionable": UNCERTAIN, "suspect": UNCERTAIN, "불확실": UNCERTAIN, "의심": UNCERTAIN,
    "stale": UNCERTAIN_LAST_USABLE, "uncertainlastusablevalue": UNCERTAIN_LAST_USABLE, "lastusable": UNCERTAIN_LAST_USABLE,
    "uncertainsubnormal": UNCERTAIN_SUBNORMAL,
    "bad": BAD, "invalid": BAD, "나쁨": BAD, "불량": BAD, "이상": BAD, "오류": BAD, "error": BAD, "fail": BAD, "badnonspecific": BAD,
    "badnotconnected": BAD_NO_COMMUNICATION, "badnocommunication": BAD_NO_COMMUNICATION, "badcommfailure": BAD_NO_COMMUNICATION,
    "통신이상": BAD_NO_COMMUNICATION, "통신불량": BAD_NO_COMMUNICATION,
    "baddevicefailure": BAD_DEVICE_FAILURE, "badsensorfailure": BAD_SENSOR_FAILURE, "badoutofservice": BAD_OUT_OF_SERVICE,
    "badwaitingforinitialdata": BAD_WAITING_FOR_INITIAL_DATA, "badconfigurationerror": BAD_CONFIGURATION,
}  # fmt: skip

# OPC DA 3.0, 6.8: substatus of bad (0) numbered in steps of four.
_DA_BAD: Final = {4: BAD_CONFIGURATION, 12: BAD_DEVICE_FAILURE, 16: BAD_SENSOR_FAILURE, 20: BAD_NO_COMMUNICATION,
                  24: BAD_NO_COMMUNICATION, 28: BAD_OUT_OF_SERVICE, 32: BAD_WAITING_FOR_INITIAL_DATA}  # fmt: skip
_UA_NAMES: Final = ("code", "statuscode")


def read_quality(value: object, scale: QualityScale, key: str = "") -> int | None:
    """Return the OPC UA status code that a quality field says, None when it says nothing about quality.

    A bare 0 is good in OPC UA and bad in OPC DA. With scale ``auto`` and a key that does not tell, it is uncertain.

    Args:
        value: What stands in the field.
        scale: What numbers mean.
        key: Name of the field, where it tells the scale (``statusCode``).

    >>> read_quality("GOOD", "auto"), read_quality(192, "auto"), read_quality(True, "auto")
    (0, 0, 0)
    >>> hex(read_quality(0, "auto"))
    '0x40000000'
    """
    if isinstance(value, bool):
        return GOOD if value else BAD
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return _of_number(value, scale, key)
    if isinstance(value, str):
        text = value.strip()
        if text.isdecimal() and text.isascii() and len(text) < 11:
            return _of_number(int(text), scale, key)
        return _of_word(text)
    if isinstance(value, Mapping):
        # OPC UA's JSON: {"Code": 2147483648, "Symbol": "Bad"}
        for name, inner in value.items():
            if str(name).casefold() in _UA_NAMES and isinstance(inner, int):
                return _of_number(inner, "ua", "")
        return GOOD if not value and "status" in key.casefold() else None
    return None


def _of_word(text: str) -> int | None:
    word = "".join(letter for letter in text.casefold() if letter.isalnum())
    found = _WORDS.get(word)
    if found is not None:
        return found
    for start, code in (("uncertain", UNCERTAIN), ("good", GOOD), ("bad", BAD)):
        if word.startswith(start) and text[:1].isupper():
            return code
    return None


def _of_number(value: int, scale: QualityScale, key: str) -> int | None:
    if not 0 <= value <= 0xFFFFFFFF:
        return None
    if scale == "ua" or (scale == "auto" and (value > 0xFF or "status" in key.casefold())):
        return value
    if scale == "auto" and value == 0:
        return UNCERTAIN
    if value > 0xFFFF:
        return None
    major = value & 0b1100_0000
    if major == 0b1100_0000:
        return GOOD_LOCAL_OVERRIDE if value & 0xFC == 216 else GOOD
    if major == 0b0100_0000:
        return {68: UNCERTAIN_LAST_USABLE, 88: UNCERTAIN_SUBNORMAL}.get(value & 0xFC, UNCERTAIN)
    return _DA_BAD.get(value & 0xFC, BAD)
