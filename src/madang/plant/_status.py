"""Quality of a reading: the OPC UA status code, kept as the peer gave it, and the three classes that people speak of."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from madang.plant._words import Bilingual


class QualityClass(StrEnum):
    """What a status code says about a value in one word."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


GOOD: Final = 0x00000000
GOOD_LOCAL_OVERRIDE: Final = 0x00960000
UNCERTAIN: Final = 0x40000000
UNCERTAIN_LAST_USABLE: Final = 0x40900000
UNCERTAIN_SUBSTITUTE: Final = 0x40910000
UNCERTAIN_SUBNORMAL: Final = 0x40950000
BAD: Final = 0x80000000
BAD_NO_COMMUNICATION: Final = 0x80310000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x80320000
BAD_NODE_UNKNOWN: Final = 0x80340000
BAD_NOT_SUPPORTED: Final = 0x803D0000
BAD_CONFIGURATION: Final = 0x80890000
BAD_DEVICE_FAILURE: Final = 0x808B0000
BAD_SENSOR_FAILURE: Final = 0x808C0000
BAD_OUT_OF_SERVICE: Final = 0x808D0000
BAD_TYPE_MISMATCH: Final = 0x80740000

OVERFLOW_BITS: Final = 0x00000480
"""Info type "data value" (bits 10 and 11 = 01) with the overflow bit 7: the server threw values away (OPC 10000-4, 7.39.1)."""

_NAMES: Final = {
    GOOD: Bilingual("좋음", "good"),
    GOOD_LOCAL_OVERRIDE: Bilingual("좋음 (현장에서 강제한 값)", "good (overridden on the floor)"),
    UNCERTAIN: Bilingual("불확실", "uncertain"),
    UNCERTAIN_LAST_USABLE: Bilingual("불확실 (마지막으로 쓸 만한 값)", "uncertain (last usable value)"),
    UNCERTAIN_SUBSTITUTE: Bilingual("불확실 (대신 넣은 값)", "uncertain (substituted value)"),
    UNCERTAIN_SUBNORMAL: Bilingual("불확실 (근거 부족)", "uncertain (fewer sources than needed)"),
    BAD: Bilingual("나쁨", "bad"),
    BAD_NO_COMMUNICATION: Bilingual("나쁨 (통신 끊김)", "bad (no communication)"),
    BAD_WAITING_FOR_INITIAL_DATA: Bilingual("나쁨 (첫 값을 기다림)", "bad (waiting for the first value)"),
    BAD_NODE_UNKNOWN: Bilingual("나쁨 (그런 태그가 없음)", "bad (no such tag)"),
    BAD_NOT_SUPPORTED: Bilingual("나쁨 (지원하지 않음)", "bad (not supported)"),
    BAD_CONFIGURATION: Bilingual("나쁨 (설정 오류)", "bad (configuration)"),
    BAD_DEVICE_FAILURE: Bilingual("나쁨 (장치 고장)", "bad (device failure)"),
    BAD_SENSOR_FAILURE: Bilingual("나쁨 (센서 고장)", "bad (sensor failure)"),
    BAD_OUT_OF_SERVICE: Bilingual("나쁨 (사용 안 함)", "bad (out of service)"),
    BAD_TYPE_MISMATCH: Bilingual("나쁨 (자료형이 다름)", "bad (type mismatch)"),
}


def quality_class(code: int) -> QualityClass:
    """Return the class of an OPC UA status code; the reserved severity counts as bad.

    Source:
        OPC 10000-4, 7.39: bits 30 and 31 are the severity.

    >>> quality_class(0x40900000).value
    'uncertain'
    """
    severity = (code >> 30) & 0b11
    return (QualityClass.GOOD, QualityClass.UNCERTAIN, QualityClass.BAD, QualityClass.BAD)[severity]


def quality_text(code: int) -> Bilingual:
    """Return what a status code means for people; one without a name of its own shows its class and number.

    >>> quality_text(0x80310000).en
    'bad (no communication)'
    >>> quality_text(0x80AB0000).en
    'bad (0x80AB0000)'
    """
    plain = code & 0xFFFF0000
    if plain in _NAMES:
        return _NAMES[plain]
    base = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}[quality_class(code)]
    name = _NAMES[base]
    return Bilingual(f"{name.ko} (0x{plain:08X})", f"{name.en} (0x{plain:08X})")
