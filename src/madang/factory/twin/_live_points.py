"""What the control systems of the living plant show: every point of the line document, measured by imperfect instruments.

An instrument has a lasting bias, wanders slowly, is noisy, and its card counts in steps: a thermocouple shows tenths of a degree
whatever the powder feels. Values are in the units of the line document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import InputError
from madang.factory.twin._kiln import AIR_LEAK, BELT_SPEED, RELEASED_GAS, SET_POINTS, ZONES
from madang.factory.twin._live_kiln import LiveKiln
from madang.models.physics import oxygen_fraction
from madang.plant import Bilingual, LineDocument, LinePoint, Role

FloatArray: TypeAlias = NDArray[np.float64]

DataType = Literal["number", "integer", "boolean", "text"]
PASCAL_PER_MMAQ = 9.80665
"""Pascal in one millimetre of water (the conventional 4 degC)."""
SHOWN = ("kiln", "utility", "packing")
"""Equipment whose points the control systems show; the laboratory and the mixing room keep records instead."""
OXYGEN_ANALYSERS = range(2, 7)
"""Zones (counted from 0) with an oxygen analyser."""


@dataclass(frozen=True)
class LivePoint:
    """One point that the living plant shows."""

    path: str
    label: Bilingual
    data_type: DataType
    unit: str | None
    """UCUM code of the line document."""
    low: float | None
    """Engineering range [unit]."""
    high: float | None
    writable: bool
    description: str = ""


@dataclass(frozen=True)
class Shown:
    """What all points show at one second."""

    numbers: FloatArray
    """In the order of the points, NaN where the point is a text."""
    texts: dict[int, str]
    """Texts by place in the order of the points."""


def live_points(line: LineDocument) -> tuple[LivePoint, ...]:
    """Return the points of a line document that the control systems show, in its order."""
    return tuple(_point(point) for point in line.points if point.path.split("/")[0] in SHOWN)


def _point(point: LinePoint) -> LivePoint:
    kind: DataType = "number"
    if point.role in (Role.RECIPE, Role.LOT):
        kind = "text"
    elif point.role is Role.STATE:
        kind = "boolean"
    elif point.role is Role.COUNTER and point.unit == "{pcs}":
        kind = "integer"
    low, high = point.range or (None, None)
    return LivePoint(
        path=point.path,
        label=Bilingual(point.name_ko or point.path, point.name_en or point.path),
        data_type=kind,
        unit=point.unit,
        low=low,
        high=high,
        writable=point.role is Role.SET_POINT,
        description=" · ".join(point.aliases),
    )


@dataclass(frozen=True)
class _Instrument:
    """How one point is measured."""

    true: Callable[[LiveKiln], float]
    noise: float = 0.0
    wander: float = 0.0
    hours: float = 20.0
    """Correlation time of the wandering [h]."""
    decimals: int = 1
    bias: float = 0.0


class Instruments:
    """The instruments of all points of a line.

    Args:
        points: What is shown.
        rng: Gives biases, wandering and noise.

    Raises:
        InputError: The twin knows no physics for a point.
    """

    def __init__(self, points: tuple[LivePoint, ...], rng: np.random.Generator) -> None:
        self.points = points
        self._rng = rng
        known = _instruments(rng)
        unknown = [p.path for p in points if p.path not in known and p.data_type != "text"]
        if unknown:
            raise InputError(
                "no_physics",
                ko=f"쌍둥이 모델이 없는 점이 라인에 있어요: {', '.join(unknown[:5])}.",
                en=f"The line has points that the twin knows no physics for: {', '.join(unknown[:5])}.",
                next_ko="cathode_firing 팩의 라인을 쓰거나 그 점들을 빼 주세요.",
                next_en="Use the line of the pack cathode_firing, or leave these points out.",
                where={"points": [*unknown]},
            )
        self._number = [i for i, p in enumerate(points) if p.data_type != "text"]
        self._text = [i for i, p in enumerate(points) if p.data_type == "text"]
        chosen = [known[points[i].path] for i in self._number]
        self._true = [x.true for x in chosen]
        self._noise = np.array([x.noise for x in chosen])
        self._wander = np.array([x.wander for x in chosen])
        self._persistence = np.array([x.hours * 3600.0 for x in chosen])
        self._bias = np.array([x.bias for x in chosen])
        self._power = 10.0 ** np.array([x.decimals for x in chosen])
        self._low = np.array([-np.inf if points[i].low is None else points[i].low for i in self._number], dtype=np.float64)
        self._high = np.array([np.inf if points[i].high is None else points[i].high for i in self._number], dtype=np.float64)
        self._state = rng.standard_normal(len(chosen))

    def show(self, plant: LiveKiln, dt: float) -> Shown:
        """Return what the points show now, `dt` seconds after the last time."""
        true = np.array([read(plant) for read in self._true])
        keep = np.exp(-dt / self._persistence)
        self._state = self._state * keep + np.sqrt(1.0 - keep**2) * self._rng.standard_normal(len(keep))
        reading = true + self._bias + self._wander * self._state + self._noise * self._rng.standard_normal(len(keep))
        reading = np.clip(reading, self._low, self._high)
        numbers = np.full(len(self.points), np.nan)
        numbers[self._number] = np.rint(reading * self._power) / self._power
        return Shown(numbers, {i: self._words(i, plant) for i in self._text})

    def _words(self, at: int, plant: LiveKiln) -> str:
        if self.points[at].path == "kiln/recipe":
            return plant.recipe
        return plant.last_lot.name if plant.last_lot is not None else ""


def _instruments(rng: np.random.Generator) -> dict[str, _Instrument]:
    """Return the instruments by path; figures of noise and wandering are those of `simulate_kiln`."""
    made: dict[str, _Instrument] = {}
    for zone in range(ZONES):
        _zone_instruments(made, zone, rng)
    made["kiln/belt_speed"] = _Instrument(lambda p: 1000.0 * p.speed, 0.05, 0.06, decimals=2)
    made["kiln/roller_frequency"] = _Instrument(lambda p: 32.0 * p.speed / BELT_SPEED, 0.03, 0.04, decimals=2)
    made["kiln/charging"] = _Instrument(lambda p: float(p.charging), decimals=0)
    made["kiln/saggar_counter"] = _Instrument(lambda p: p.saggar_count, decimals=0)
    made["utility/exhaust_temperature"] = _Instrument(lambda p: 186.0, 0.6, 3.0, 15.0)
    made["utility/exhaust_fan_frequency"] = _Instrument(lambda p: 41.5, 0.05, 0.8, 25.0, 2)
    made["utility/draft"] = _Instrument(
        lambda p: -2.4 * PASCAL_PER_MMAQ, 0.08 * PASCAL_PER_MMAQ, 0.15 * PASCAL_PER_MMAQ, 6.0, 1
    )
    made["utility/cooling_air_flow"] = _Instrument(lambda p: 820.0, 4.0, 18.0, 12.0)
    made["utility/gas_flow"] = _Instrument(lambda p: 9.0 + 52.0 * float(p.duty.mean()), 0.2, 0.5, 12.0, 2)
    made["utility/energy"] = _Instrument(lambda p: p.energy, decimals=1)
    made["packing/humidity"] = _Instrument(lambda p: min(max(p.humidity, 8.0), 90.0), 0.4)
    made["packing/temperature"] = _Instrument(lambda p: p.hall, 0.15)
    return made


def _zone_instruments(made: dict[str, _Instrument], k: int, rng: np.random.Generator) -> None:
    """Add the instruments of zone `k`, counted from 0."""
    kiln, utility = f"kiln/zone{k + 1}", f"utility/zone{k + 1}"
    top, bottom = (float(x) for x in rng.normal(0.0, 1.2, 2))
    hours = rng.uniform(8.0, 40.0, 4)
    made[f"{kiln}/temperature_top"] = _Instrument(lambda p: float(p.zones[k]), 0.5, 0.8, hours[0], bias=top)
    made[f"{kiln}/temperature_bottom"] = _Instrument(lambda p: float(p.zones[k]) - 3.0, 0.6, 0.9, hours[1], bias=bottom)
    made[f"{kiln}/temperature_set"] = _Instrument(lambda p: float(p.set_points[k]), decimals=3)
    made[f"{kiln}/burner_duty"] = _Instrument(lambda p: 100.0 * float(p.duty[k]), 0.2)
    made[f"{kiln}/shell_temperature"] = _Instrument(
        lambda p: 45.0 + 0.012 * float(SET_POINTS[k]) + 0.8 * p.hall_driver, 0.3, 1.0, 30.0
    )
    made[f"{utility}/oxygen_flow"] = _Instrument(lambda p: float(p.flow[k]), 0.15, 0.25, hours[2], 2)
    made[f"{utility}/oxygen_valve"] = _Instrument(lambda p: float(p.valve[k]), 0.05)
    if k in OXYGEN_ANALYSERS:
        made[f"{utility}/oxygen_fraction"] = _Instrument(
            lambda p: 100.0 * float(oxygen_fraction(p.flow[k : k + 1], AIR_LEAK, RELEASED_GAS)[0]), 0.12, 0.25, hours[3], 2
        )


def state_names() -> tuple[str, ...]:
    """Return the names of the plant's true states in a trace, in the order of `state_values`."""
    zones = [f"state:zone{k + 1}/{what}" for what in ("temperature", "duty", "oxygen_flow") for k in range(ZONES)]
    return (
        *zones,
        "state:belt_speed",
        "state:belt_travelled",
        "state:hall_temperature",
        "state:packing_humidity",
        "state:lots_inside",
    )


def state_values(plant: LiveKiln) -> FloatArray:
    """Return the true states: zone temperatures [degC], duties [-], flows [Nm3/h], belt [mm/min] and [m], hall [degC], humidity [%]."""
    rest = [1000.0 * plant.speed, plant.travelled, plant.hall, plant.humidity, float(len(plant.inside))]
    return np.concatenate([plant.zones, plant.duty, plant.flow, rest])
