"""The words every room speaks. This room touches nothing: no network, no clock, and no file but the line document it is given."""

from __future__ import annotations

from madang.plant._units import Unit, affine, convert, known_spellings, known_units, parse_unit, split_unit, unit_of
from madang.plant._words import FINDING_CODES, Bilingual, Finding, Kind, Role, Severity, ValueFlag

__all__ = [
    "FINDING_CODES",
    "Bilingual",
    "Finding",
    "Kind",
    "Role",
    "Severity",
    "Unit",
    "ValueFlag",
    "affine",
    "convert",
    "known_spellings",
    "known_units",
    "parse_unit",
    "split_unit",
    "unit_of",
]
