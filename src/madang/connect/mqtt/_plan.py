"""What messages that look alike have in common, so that the second one need not be searched again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from madang.connect._times import EPOCHS
from madang.connect.mqtt._instants import read_instant
from madang.connect.mqtt._quality import read_quality
from madang.connect.mqtt._roles import role_of
from madang.connect.mqtt._rules import PayloadRules
from madang.connect.mqtt._walk import Findings, Scalar, unit_in

SCALARS: Final = frozenset({bool, int, float, str, type(None)})
_QUALITIES: Final = 1_000


@dataclass(slots=True)
class Plan:
    """Which field of a flat record is what. It holds for records with the same keys in the same order."""

    time: str | None
    time_unit: str
    """Unit of a whole number in the time field."""
    quality: str | None
    fields: tuple[tuple[str, str], ...]
    """Key and path of every value."""
    _codes: dict[object, int | None] = field(default_factory=dict)

    def instant(self, stamp: object, rules: PayloadRules) -> int | None:
        """Return the time [us since 1970], None when it cannot be read."""
        found = read_instant(stamp, self.time_unit if isinstance(stamp, (int, float)) else rules.time_format, rules)
        return found if isinstance(found, int) else None

    def code(self, value: Scalar, rules: PayloadRules) -> int | None:
        """Return the status code of a quality field."""
        key = (type(value), value)
        if key not in self._codes:
            if len(self._codes) >= _QUALITIES:
                self._codes.clear()
            self._codes[key] = read_quality(value, rules.quality_scale, self.quality or "")
        return self._codes[key]


def plan_of(record: Mapping[str, Scalar], found: Findings, rules: PayloadRules) -> Plan | None:
    """Return what records with these keys have in common, None when their values matter too.

    Args:
        record: A flat record.
        found: What `walk` found in it.
        rules: How it was read.
    """
    if found.troubles or found.server_time is not None or rules.value or rules.name is not None or "name" in found.roles:
        return None
    if any(sample.unit is not None for sample in found.samples):
        return None
    time, quality, value = (found.roles.get(word) for word in ("time", "quality", "value"))
    taken = {key for key in (time, quality, rules.sequence) if key is not None}
    rest = [key for key in record if key not in taken and key != value]
    if any(role_of(key) in {"time", "time?", "quality", "server_time", "unit"} for key in rest):
        return None
    fields = [(value, "")] if value is not None else []
    fields += [(key, key) for key in rest]
    if [path for _, path in fields] != [sample.path for sample in found.samples]:
        return None
    written = rules.time_format
    if time is not None and written not in EPOCHS:
        written = unit_in(time) or "auto"
    return Plan(time, written, quality, tuple(fields))
