"""Words that every room uses for columns, findings and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from madang.errors import Json


@dataclass(frozen=True)
class Bilingual:
    """One text for people in both languages."""

    ko: str
    """Korean, 해요체 for guidance and 합쇼체 in documents."""
    en: str
    """English."""

    def fields(self, stem: str) -> dict[str, Json]:
        """Return ``{stem}_ko`` and ``{stem}_en`` for a report."""
        return {f"{stem}_ko": self.ko, f"{stem}_en": self.en}


class Role(StrEnum):
    """What a column is for in its table (closed list, part of the published interface)."""

    TIME = "time"
    TARGET_CANDIDATE = "target_candidate"
    ACTUAL = "actual"
    SET_POINT = "set_point"
    LIMIT = "limit"
    RESULT = "result"
    IDENTIFIER = "identifier"
    LOT = "lot"
    CATEGORY = "category"
    COUNTER = "counter"
    STATE = "state"
    TEXT = "text"
    RECIPE = "recipe"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """Kind of quantity: QUDT names in snake case, and the words for what is not a quantity."""

    TEMPERATURE = "temperature"
    PRESSURE = "pressure"
    VOLUME_FLOW = "volume_flow"
    MASS_FLOW = "mass_flow"
    ELECTRIC_CURRENT = "electric_current"
    VOLTAGE = "voltage"
    ACTIVE_POWER = "active_power"
    REACTIVE_POWER = "reactive_power"
    APPARENT_POWER = "apparent_power"
    ELECTRIC_ENERGY = "electric_energy"
    REACTIVE_ENERGY = "reactive_energy"
    POWER_FACTOR = "power_factor"
    ROTATIONAL_SPEED = "rotational_speed"
    FREQUENCY = "frequency"
    TORQUE = "torque"
    FORCE = "force"
    LENGTH = "length"
    AREA = "area"
    VOLUME = "volume"
    THICKNESS = "thickness"
    MASS = "mass"
    DENSITY = "density"
    CONCENTRATION = "concentration"
    HUMIDITY = "humidity"
    LEVEL = "level"
    DURATION = "duration"
    COUNT = "count"
    RATIO = "ratio"
    ACCELERATION = "acceleration"
    VELOCITY = "velocity"
    MONEY = "money"
    HARDNESS = "hardness"
    CONDUCTIVITY = "conductivity"
    ACIDITY = "acidity"
    IDENTIFIER = "identifier"
    CATEGORY = "category"
    STATE = "state"
    TEXT = "text"
    TIME = "time"
    UNKNOWN = "unknown"


Severity = Literal["info", "warning", "stop"]

FINDING_CODES: frozenset[str] = frozenset(
    [
        "duplicate_rows",
        "out_of_order",
        "midnight_row",
        "shifted_columns",
        "transposed",
        "repeated_file",
        "repeated_experiment",
        "stuck_values",
        "counter_rollover",
        "bad_value_code",
        "mixed_units",
        "unit_change",
        "personal_data",
        "clock_skew",
        "daylight_saving",
        "ambiguous_date",
        "totals_row",
        "hidden_sheet",
        "hidden_column",
        "formula_cell",
        "merged_header",
        "renamed_column",
        "type_change",
        "truncated",
        "unreadable_rows",
        "censored_value",
        "mixed_encoding",
    ]
)
"""The closed list of finding codes."""


@dataclass(frozen=True)
class Finding:
    """Something an intake noticed about a table, with what was done about it."""

    code: str
    """One of `FINDING_CODES`."""
    severity: Severity
    rows: int
    """How many source records it concerns."""
    message: Bilingual
    examples: tuple[int, ...] = ()
    """Record numbers (1-based), at most ten; never values."""
    column: str | None = None
    """Column concerned, if it is one."""
    undo: str | None = None
    """Id to hand to ``madang library undo``, where the step can be undone."""
    facts: dict[str, Json] = field(default_factory=dict)
    """More for programs: names, counts, tokens; never values of personal data."""

    def __post_init__(self) -> None:
        if self.code not in FINDING_CODES:
            raise ValueError(f"finding code {self.code!r} is not in the closed list")


class ValueFlag(StrEnum):
    """Why one cell of a table is not an ordinary good value."""

    MISSING = "missing"
    """The cell was empty or said so (``N.D.``, ``-``)."""
    BAD = "bad"
    """The cell held a code for a bad value, or a quality code said bad; the value is withheld."""
    UNCERTAIN = "uncertain"
    """A value is there, but its source calls it uncertain."""
    CENSORED = "censored"
    """``<0.01``: the bound is kept as value, the operator in the original text."""
    STUCK = "stuck"
    """The value did not move for longer than the sensor's noise allows."""
    CONVERTED = "converted"
    """The cell's own unit differed from its column's and was converted."""
