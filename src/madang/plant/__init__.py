"""The words every room speaks. This room touches nothing: no file, no network, no clock."""

from __future__ import annotations

from madang.plant._words import FINDING_CODES, Bilingual, Finding, Kind, Role, Severity, ValueFlag

__all__ = ["FINDING_CODES", "Bilingual", "Finding", "Kind", "Role", "Severity", "ValueFlag"]
