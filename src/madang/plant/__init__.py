"""The words every room speaks. This room touches nothing: no network, no clock, and no file but the line document it is handed.

Reading order: the words for columns and findings, units and their conversion, places and times, and the line document.

>>> unit = parse_unit("kg/㎠")
>>> round(convert(2.0, unit, "kPa"), 3)
196.133
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from madang.plant._places import EquipmentPath, Interval, Party
from madang.plant._status import (
    BAD,
    BAD_CONFIGURATION,
    BAD_DEVICE_FAILURE,
    BAD_NO_COMMUNICATION,
    BAD_NODE_UNKNOWN,
    BAD_NOT_SUPPORTED,
    BAD_OUT_OF_SERVICE,
    BAD_SENSOR_FAILURE,
    BAD_TYPE_MISMATCH,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
    GOOD_LOCAL_OVERRIDE,
    OVERFLOW_BITS,
    UNCERTAIN,
    UNCERTAIN_LAST_USABLE,
    UNCERTAIN_SUBNORMAL,
    UNCERTAIN_SUBSTITUTE,
    QualityClass,
    quality_class,
    quality_text,
)
from madang.plant._units import Unit, affine, convert, known_spellings, known_units, parse_unit, split_unit, unit_of
from madang.plant._words import FINDING_CODES, Bilingual, Finding, Kind, Role, Severity, ValueFlag

if TYPE_CHECKING:
    from madang.plant._line import (
        EnvelopeLimit,
        LineDocument,
        LineEquipment,
        LineError,
        LineHead,
        LinePoint,
        LineProduct,
        LineRecipe,
        LineSource,
        RecipePhase,
        check_line,
        duration_seconds,
        read_line,
    )

__all__ = [
    "BAD",
    "BAD_CONFIGURATION",
    "BAD_DEVICE_FAILURE",
    "BAD_NODE_UNKNOWN",
    "BAD_NOT_SUPPORTED",
    "BAD_NO_COMMUNICATION",
    "BAD_OUT_OF_SERVICE",
    "BAD_SENSOR_FAILURE",
    "BAD_TYPE_MISMATCH",
    "BAD_WAITING_FOR_INITIAL_DATA",
    "FINDING_CODES",
    "GOOD",
    "GOOD_LOCAL_OVERRIDE",
    "OVERFLOW_BITS",
    "UNCERTAIN",
    "UNCERTAIN_LAST_USABLE",
    "UNCERTAIN_SUBNORMAL",
    "UNCERTAIN_SUBSTITUTE",
    "Bilingual",
    "EnvelopeLimit",
    "EquipmentPath",
    "Finding",
    "Interval",
    "Kind",
    "LineDocument",
    "LineEquipment",
    "LineError",
    "LineHead",
    "LinePoint",
    "LineProduct",
    "LineRecipe",
    "LineSource",
    "Party",
    "QualityClass",
    "RecipePhase",
    "Role",
    "Severity",
    "Unit",
    "ValueFlag",
    "affine",
    "check_line",
    "convert",
    "duration_seconds",
    "known_spellings",
    "known_units",
    "parse_unit",
    "quality_class",
    "quality_text",
    "read_line",
    "split_unit",
    "unit_of",
]


def __getattr__(name: str) -> object:
    # The line document needs pydantic, which would slow the start of every command that reads none.
    if name in __all__:
        from madang.plant import _line

        return getattr(_line, name)
    raise AttributeError(name)
