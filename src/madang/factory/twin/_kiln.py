"""The built-in line: a roller-hearth kiln that fires cathode powder, with causes planted from a seed.

Zones are heated by burners under PI control; saggars travel through them on rollers; heat walks into the powder by
conduction; dehydration, formation, lithium loss and growth follow their kinetics (`madang.models.physics`). What leaves the
kiln has a residual lithium, a discharge capacity, a crystallite size and a median particle size, and the laboratory says so
hours later. Numbers that are not published are house parameters, chosen so that the figures look like a plant's.

A cause is a mechanism that is switched on. Where it is off, the same reading still moves, but something holds the product
harmless: the dosing corrects a lot's lithium ratio, the dehumidifier keeps the packing room dry, a thermocouple wanders while
the zone does not. So a study meets moving tags that matter and moving tags that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.models.physics import (
    arrhenius_rate,
    conduction_step,
    convective_flux,
    crystallite_size,
    lithium_loss,
    oxygen_fraction,
    radiative_flux,
    two_stage_remaining,
    zone_power,
)
from madang.plant import Bilingual

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
TextArray: TypeAlias = NDArray[np.str_]
TimeArray: TypeAlias = NDArray[np.datetime64]

CauseCode = Literal["burner_drift", "oxygen_port", "raw_ratio", "raw_moisture", "belt_speed", "lane", "humidity"]
CAUSES: tuple[CauseCode, ...] = (
    "burner_drift", "oxygen_port", "raw_ratio", "raw_moisture", "belt_speed", "lane", "humidity",
)  # fmt: skip
"""The mechanisms that can be planted."""

System = Literal["kiln", "utility", "fast"]

ZONES = 8
SET_POINTS = np.array([350.0, 560.0, 720.0, 835.0, 850.0, 850.0, 600.0, 260.0])
"""Zone set points [degC]; zones 4 to 6 are the soak."""
SOAK = (3, 4, 5)
ZONE_LENGTH = 5.0
"""Length of a zone [m] (house parameter)."""
BELT_SPEED = 5.0 / 1.5 / 60.0
"""Nominal belt speed [m/min]: a zone in 90 min, the kiln in 12 h."""
LANES = ("좌", "중", "우")
STEP = 60
"""Step of the zone balances [s]."""
PROFILE_STEP = 300
"""Step of a lot's firing history [s]."""

ALL_LOTS_NEEDED = 3200
"""Lots of the default run: the last fifth of them is a block of at least 609."""

TARGET_CENTRE = 3300.0
TOLERANCE = 400.0
"""Residual lithium [ppm] is within tolerance at centre +- tolerance; the pack's ``quality.toml`` states the same."""
COMMON_LOT, COMMON_RAW, COMMON_LAB = 105.0, 80.0, 75.0
"""Common-cause standard deviations of residual lithium [ppm]: between lots, between raw lots, of the laboratory."""
PLANTED_SD = 265.0
"""Standard deviation of residual lithium [ppm] that all planted causes together bring in."""


@dataclass(frozen=True)
class Tag:
    """One tag of the plant's control systems."""

    name: str
    """As its system writes it, without the unit."""
    unit: str
    system: System
    decimals: int = 1


@dataclass(frozen=True)
class PlantedCause:
    """A cause that was planted, and how a reader may recognise it."""

    code: CauseCode
    columns: tuple[str, ...]
    """Base names under which the exports show this very quantity; naming any of them names the cause."""
    direction: Literal["up", "down", "category"]
    """Which way residual lithium goes when the column goes up."""
    mechanism: Bilingual
    window: str
    """When it acts on a lot: ``soak``, ``charge``, ``discharge`` or ``whole``."""
    effect_sd: float
    """Standard deviation of what it does to residual lithium [ppm], measured by taking it away."""
    share: float
    """Share of the variance of the laboratory's residual lithium [-]."""


@dataclass(frozen=True)
class KilnTruth:
    """What nobody in the plant knows: kept apart from every export."""

    seed: int
    target: str
    unit: str
    causes: tuple[PlantedCause, ...]
    clock_offset_minutes: int
    """Clock of the control systems minus clock of the lot system [min]."""
    share_in_tolerance: float
    """Share of lots whose first laboratory result is within tolerance."""
    true_value: FloatArray
    """Residual lithium of every lot without laboratory error [ppm], in order of charging."""


@dataclass(frozen=True)
class KilnRun:
    """A run of the line: everything its systems recorded, before the exports make it ugly."""

    seed: int
    time: TimeArray
    """Instants of the one-minute history (UTC, datetime64[s])."""
    tags: tuple[Tag, ...]
    values: Mapping[str, FloatArray]
    """Readings of each tag at `time`, as the control system stores them (without transmission faults)."""
    lots: Mapping[str, NDArray[Any]]
    """One row per lot in order of charging: ``lot``, ``charge``, ``soak_start``, ``soak_end``, ``discharge`` (UTC), ``lane``,
    ``layer``, ``raw`` (index into `raw`), ``shift``, ``operator``, ``saggars``, ``mass`` [kg]."""
    raw: Mapping[str, NDArray[Any]]
    """One row per raw lot: ``raw_lot``, ``supplier``, ``received``, ``ratio`` [-], ``moisture`` [%], ``bet`` [m2/g]."""
    lab: Mapping[str, NDArray[Any]]
    """One row per lot: ``sampled``, ``resulted`` (UTC), ``residual`` [ppm], ``lioh``, ``carbonate`` [ppm], ``capacity``
    [mAh/g], ``crystallite`` [nm], ``d50`` [um]."""
    truth: KilnTruth = field(repr=False)


def simulate_kiln(
    seed: int,
    *,
    lots: int = ALL_LOTS_NEEDED,
    causes: Literal["planted", "none"] | Collection[CauseCode] = "planted",
) -> KilnRun:
    """Run the kiln for as many lots as asked and record what its systems see.

    Args:
        seed: Everything random follows from it.
        lots: How many lots to fire, at least 60; three are charged at a time, about 53 a day.
        causes: ``planted`` chooses two or three of `CAUSES` from the seed; ``none`` plants nothing; or name them.

    Returns:
        The run, with the truth in its own field.

    Raises:
        ValueError: Too few lots, or a cause that is not in `CAUSES`.
    """
    if lots < 60:
        raise ValueError(f"at least 60 lots, got {lots}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 20250303]))
    chosen = _choose(causes, rng)
    plan = _Plan.make(rng, lots)
    zone = int(rng.choice(SOAK))
    port = int(rng.choice(SOAK))
    drivers = _Drivers.make(rng, plan)
    amplitude = _amplitudes(chosen, drivers, zone, port)
    plant = _fire(plan, drivers, chosen, amplitude, zone, port, rng)
    true, effects = _residual(plan, drivers, plant, chosen, amplitude, zone, port)
    quality = _qualities(plan, drivers, plant, true, rng)
    share = float(np.mean(np.abs(quality["residual"] - TARGET_CENTRE) <= TOLERANCE))
    variance = float(np.var(quality["residual"]))
    truth = KilnTruth(
        seed=seed,
        target="잔류리튬",
        unit="ppm",
        causes=tuple(
            replace(
                _describe(code, zone, port),
                effect_sd=float(np.std(effects[code])),
                share=float(np.var(effects[code]) / variance),
            )
            for code in chosen
        ),
        clock_offset_minutes=int(rng.choice([-17, -11, -8, -5, 4, 7, 9, 13, 18])),
        share_in_tolerance=share,
        true_value=true,
    )
    tags, values = _tags(plan, drivers, plant, amplitude, rng)
    return KilnRun(
        seed=seed,
        time=plan.instant(plan.grid),
        tags=tags,
        values=values,
        lots=_lot_table(plan, plant, rng),
        raw=_raw_table(plan, drivers, amplitude),
        lab=quality,
        truth=truth,
    )


def _choose(causes: Literal["planted", "none"] | Collection[CauseCode], rng: np.random.Generator) -> tuple[CauseCode, ...]:
    """Return the causes to plant, in the order of `CAUSES`."""
    drawn = rng.permutation(len(CAUSES))
    number = int(rng.integers(2, 4))
    if causes == "planted":
        return tuple(CAUSES[i] for i in sorted(drawn[:number]))
    if causes == "none":
        return ()
    unknown = set(causes) - set(CAUSES)
    if unknown:
        raise ValueError(f"causes are of {CAUSES}, got {sorted(unknown)}")
    return tuple(code for code in CAUSES if code in causes)


@dataclass(frozen=True)
class _Plan:
    """When what is charged: the calendar of the run, in seconds after its start."""

    start: np.datetime64
    grid: FloatArray
    """Seconds of the history, one step apart."""
    charge: FloatArray
    """Second at which each lot enters the kiln."""
    lane: IntArray
    layer: IntArray
    raw: IntArray
    """Index of the raw lot of each lot."""
    raw_start: FloatArray
    """Second at which each raw lot is first used."""

    @classmethod
    def make(cls, rng: np.random.Generator, lots: int) -> _Plan:
        charges = -(-lots // 3)
        interval = rng.uniform(66.0, 92.0, charges) * 60.0
        stops = rng.random(charges) < 0.012
        interval[stops] += rng.uniform(1.5, 4.0, int(stops.sum())) * 3600.0
        first = 3.0 * 3600.0
        at = first + np.concatenate([[0.0], np.cumsum(interval)[:-1]])
        per_raw = rng.integers(9, 16, charges)
        raw_of_charge = np.repeat(np.arange(charges), per_raw)[:charges]
        raw = np.repeat(raw_of_charge, 3)[:lots]
        end = at[-1] + 16.5 * 3600.0
        day = np.datetime64("2025-01-06T21:00:00", "s") + np.timedelta64(int(rng.integers(0, 200)), "D")
        return cls(
            start=day,
            grid=np.arange(0.0, end, STEP),
            charge=np.repeat(at, 3)[:lots] + np.tile([0.0, 40.0, 80.0], charges)[:lots],
            lane=np.tile([0, 1, 2], charges)[:lots],
            layer=rng.integers(0, 2, lots),
            raw=raw,
            raw_start=np.array([at[raw_of_charge == r][0] for r in range(int(raw.max()) + 1)]),
        )

    def instant(self, seconds: FloatArray) -> TimeArray:
        """Return instants (UTC, datetime64[s]) of seconds after the start."""
        return np.asarray(self.start + np.round(seconds).astype("timedelta64[s]"))


def _wander(rng: np.random.Generator, steps: int, step: float, persistence: float) -> FloatArray:
    """Return a stationary first-order wandering of unit variance; `persistence` is its correlation time [s]."""
    from scipy.signal import lfilter

    keep = float(np.exp(-step / persistence))
    noise = rng.standard_normal(steps + 1)
    noise[1:] *= np.sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise)[1:], dtype=np.float64)


def _levels(rng: np.random.Generator, grid: FloatArray, mean_hold: float) -> FloatArray:
    """Return a level that people change now and then: steps of unit variance, held about `mean_hold` [s]."""
    changes = int(grid[-1] / mean_hold * 2.0) + 4
    at = np.concatenate([[0.0], np.cumsum(rng.exponential(mean_hold, changes))])
    level = rng.standard_normal(len(at))
    return np.asarray(level[np.searchsorted(at, grid, side="right") - 1], dtype=np.float64)


@dataclass(frozen=True)
class _Drivers:
    """What moves by itself; every one has about zero mean and unit variance."""

    burner: FloatArray
    port: FloatArray
    speed: FloatArray
    humidity: FloatArray
    hall: FloatArray
    ratio: FloatArray
    """Per raw lot."""
    moisture: FloatArray
    """Per raw lot."""
    bet: FloatArray
    """Per raw lot."""
    unmeasured: FloatArray
    """Per raw lot: what no certificate says."""
    supplier: IntArray

    @classmethod
    def make(cls, rng: np.random.Generator, plan: _Plan) -> _Drivers:
        """Draw the drivers; sets that happen to move together over the lots are drawn again."""
        drawn = cls._draw(rng, plan)
        for _ in range(40):
            if drawn._entangled(plan) < 0.2:
                break
            drawn = cls._draw(rng, plan)
        return drawn

    @classmethod
    def _draw(cls, rng: np.random.Generator, plan: _Plan) -> _Drivers:
        n, raws = len(plan.grid), len(plan.raw_start)
        day = plan.grid / 86400.0
        daily = np.sin(2.0 * np.pi * (day - 0.3))
        return cls(
            burner=_wander(rng, n, STEP, 20.0 * 3600.0),
            port=0.8 * _levels(rng, plan.grid, 16.0 * 3600.0) + 0.6 * _wander(rng, n, STEP, 10.0 * 3600.0),
            speed=_levels(rng, plan.grid, 18.0 * 3600.0),
            humidity=0.85 * _wander(rng, n, STEP, 30.0 * 3600.0) - 0.7 * daily,
            hall=0.8 * _wander(rng, n, STEP, 40.0 * 3600.0) + 0.8 * daily,
            ratio=rng.standard_normal(raws),
            moisture=rng.standard_normal(raws),
            bet=rng.standard_normal(raws),
            unmeasured=rng.standard_normal(raws),
            supplier=rng.integers(0, 3, raws),
        )

    def _entangled(self, plan: _Plan) -> float:
        """Return the largest correlation between two drivers as the lots meet them (0 in a run of a few raw lots)."""
        if len(plan.raw_start) < 8:
            return 0.0
        soak, end = plan.charge + 6.75 * 3600.0, plan.charge + 12.0 * 3600.0
        met = [
            np.interp(soak, plan.grid, self.burner), np.interp(soak, plan.grid, self.port),
            np.interp(soak, plan.grid, self.speed), np.interp(end, plan.grid, self.humidity),
            self.ratio[plan.raw], self.moisture[plan.raw], self.unmeasured[plan.raw],
        ]  # fmt: skip
        corr = np.abs(np.corrcoef(np.array(met)))
        np.fill_diagonal(corr, 0.0)
        return float(corr.max())


@dataclass(frozen=True)
class _Inputs:
    """What the chemistry of a lot depends on, beside its temperatures."""

    speed_scale: FloatArray
    """Residence in the soak over the nominal one [-]."""
    oxygen: FloatArray
    """Oxygen fraction per soak zone [-], shape (lot, 3)."""
    ratio: FloatArray
    """Effective molar ratio of lithium to metal [-]."""
    humidity: FloatArray
    """Relative humidity the packed powder met, above what the dehumidifier holds [%]."""


NOMINAL_RATIO = 1.03
NOMINAL_OXYGEN_FLOW = 40.0
AIR_LEAK, RELEASED_GAS = 30.0, 20.0
TOTAL_LITHIUM = 70_000.0
"""Lithium of the powder [ppm]."""
PICK_UP = 16.0
"""Residual lithium from moist air at the discharge [ppm per % relative humidity] (house parameter)."""
FORMATION = {"factor": 6.2e4, "activation": 180_000.0}
DEHYDRATION = {"factor": 4.0e7, "activation": 75_000.0}
EVAPORATION = {"factor": 2.2e6, "activation": 240_000.0}
GROWTH = {"factor": 4.0e7, "activation": 190_000.0}


def _chemistry(powder: FloatArray, step: float, inputs: _Inputs, soak_share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return residual lithium [ppm] and lithium lost [-] of each lot.

    Args:
        powder: Temperatures of the powder [degC], shape (lot, step).
        step: Length of a step [s].
        inputs: The rest of what matters.
        soak_share: Which share of each step lies in which soak zone [-], shape (lot, step, 3).
    """
    nominal = float(oxygen_fraction(np.array(NOMINAL_OXYGEN_FLOW), AIR_LEAK, RELEASED_GAS))
    # Formation of the layered oxide consumes oxygen; first order in its partial pressure (house parameter).
    pressure = 1.0 + np.einsum("lsz,lz->ls", soak_share, inputs.oxygen / nominal - 1.0)
    formation = arrhenius_rate(powder, **FORMATION) * pressure
    _, left = two_stage_remaining(arrhenius_rate(powder, **DEHYDRATION), formation, step)
    lost = lithium_loss(powder, step, **EVAPORATION)
    surplus = np.maximum(inputs.ratio - 1.0 - lost, 0.0)
    residual = TOTAL_LITHIUM * (left + surplus) + PICK_UP * inputs.humidity
    return residual, lost


def _history(
    charge: FloatArray, grid: FloatArray, travelled: FloatArray, zones: FloatArray, lane_offset: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return each lot's powder temperatures [degC] (lot, step) and its share in the soak zones (lot, step, 3).

    Heat reaches the powder's surface by radiation and convection and its depth by conduction; the mean over the bed reacts.
    """
    steps = int(14.5 * 3600 / PROFILE_STEP)
    at = charge[:, None] + np.arange(steps)[None, :] * float(PROFILE_STEP)
    position = np.interp(at, grid, travelled) - np.interp(charge, grid, travelled)[:, None]
    zone = np.minimum(np.floor(position / ZONE_LENGTH).astype(np.int64), ZONES)
    minute = np.minimum((at / STEP).astype(np.int64), zones.shape[0] - 1)
    inside = zone < ZONES
    gas = np.where(inside, zones[minute, np.minimum(zone, ZONES - 1)], 60.0)
    soak = np.stack([(zone == k) for k in SOAK], axis=-1)
    gas = gas + np.where(soak.any(axis=-1), lane_offset[:, None], 0.0)
    bed = np.full((len(charge), 5), 30.0)
    powder = np.empty((len(charge), steps))
    for i in range(steps):
        for _ in range(2):
            # Half steps, because the radiative flux is taken at the old surface temperature.
            flux = radiative_flux(gas[:, i], bed[:, 0], 0.35) + convective_flux(gas[:, i], bed[:, 0], 8.0)
            bed = conduction_step(bed, flux, diffusivity=4e-7, conductivity=0.5, thickness=0.02, seconds=PROFILE_STEP / 2)
        powder[:, i] = bed.mean(axis=1)
    return powder, soak.astype(np.float64)


def _nominal(
    *,
    zone: int | None = None,
    kelvin: float = 0.0,
    lane: float = 0.0,
    speed: float = 1.0,
    oxygen: float = 1.0,
    port: int = 0,
    ratio: float = 0.0,
    humidity: float = 0.0,
) -> float:
    """Return the residual lithium [ppm] of one lot under nominal firing with one thing changed."""
    grid = np.arange(0.0, 16.5 * 3600.0, STEP)
    zones = np.tile(SET_POINTS, (len(grid), 1))
    if zone is not None:
        zones[:, zone] += kelvin
    travelled = BELT_SPEED * speed * grid / 60.0
    powder, soak = _history(np.array([0.0]), grid, travelled, zones, np.array([lane]))
    flows = np.full((1, 3), NOMINAL_OXYGEN_FLOW)
    flows[0, port] *= oxygen
    inputs = _Inputs(
        np.ones(1), oxygen_fraction(flows, AIR_LEAK, RELEASED_GAS), np.array([NOMINAL_RATIO + ratio]), np.array([humidity])
    )
    return float(_chemistry(powder, PROFILE_STEP, inputs, soak)[0][0])


def _amplitudes(chosen: tuple[CauseCode, ...], drivers: _Drivers, zone: int, port: int) -> dict[CauseCode, float]:
    """Return how far each planted cause moves, in its own unit, so that the planted causes share `PLANTED_SD` evenly.

    The physics gives the sensitivity of a nominal lot; the amplitude follows from it.
    """
    if not chosen:
        return {}
    each = PLANTED_SD / np.sqrt(len(chosen))
    base = _nominal()
    probes: dict[CauseCode, Callable[[], float]] = {
        "burner_drift": lambda: (_nominal(zone=zone, kelvin=-8.0) - base) / 8.0,
        "oxygen_port": lambda: (_nominal(oxygen=0.7, port=SOAK.index(port)) - base) / 0.3,
        "raw_ratio": lambda: (_nominal(ratio=0.004) - base) / 0.004,
        # Water in the raw material is weighed in as if it were lithium hydroxide.
        "raw_moisture": lambda: (base - _nominal(ratio=-0.004)) / 0.004 * NOMINAL_RATIO / 100.0,
        "belt_speed": lambda: (_nominal(speed=1.04) - base) / 0.04,
        "lane": lambda: (_nominal(lane=-5.0) - base) / 5.0,
        "humidity": lambda: PICK_UP,
    }
    # Standard deviation of the driver as it acts, for one unit of amplitude.
    acting: dict[CauseCode, float] = {
        "burner_drift": float(np.std(_cold_only(drivers.burner))),
        "oxygen_port": float(np.std(_low_only(drivers.port))),
        "lane": float(np.std([0.0, 0.0, 1.0])),
    }
    return {code: float(each / abs(probes[code]()) / acting.get(code, 1.0)) for code in chosen}


def _cold_only(driver: FloatArray) -> FloatArray:
    """Return a burner's shortfall: a weak burner cannot hold its zone, a strong one is throttled by the controller."""
    return np.minimum(driver - 0.9, 0.0)


def _low_only(driver: FloatArray) -> FloatArray:
    """Return the shortfall of a partly blocked port: the valve is fully open, so flow is lost but never gained."""
    return np.minimum(driver - 0.9, 0.0)


@dataclass(frozen=True)
class _Plant:
    """What really happened inside the kiln."""

    zones: FloatArray
    """True zone temperatures [degC], shape (step, zone)."""
    duty: FloatArray
    """Burner duty [-], shape (step, zone)."""
    flow: FloatArray
    """Oxygen flow [Nm3/h], shape (step, zone)."""
    speed: FloatArray
    """Belt speed [m/min], shape (step,)."""
    travelled: FloatArray
    """Way of the belt since the start [m]."""
    powder: FloatArray
    soak: FloatArray


def _fire(
    plan: _Plan,
    drivers: _Drivers,
    chosen: tuple[CauseCode, ...],
    amplitude: Mapping[CauseCode, float],
    zone: int,
    port: int,
    rng: np.random.Generator,
) -> _Plant:
    """Run the zones and the belt through the calendar."""
    steps = len(plan.grid)
    shortfall = np.zeros((steps, ZONES))
    if "burner_drift" in chosen:
        shortfall[:, zone] = amplitude["burner_drift"] * _cold_only(drivers.burner)
    zones, duty = _zone_balances(plan, 24.0 + 1.2 * drivers.hall, shortfall)
    flow = np.tile(np.array([12.0, 20.0, 30.0, 40.0, 40.0, 40.0, 20.0, 10.0]), (steps, 1))
    flow *= 1.0 + 0.004 * rng.standard_normal((steps, ZONES))
    if "oxygen_port" in chosen:
        flow[:, port] *= np.clip(1.0 + amplitude["oxygen_port"] * _low_only(drivers.port), 0.15, None)
    relative = amplitude["belt_speed"] * drivers.speed if "belt_speed" in chosen else 0.0008 * drivers.speed
    speed = BELT_SPEED * np.clip(1.0 + relative, 0.86, 1.16)
    travelled = np.concatenate([[0.0], np.cumsum(speed * STEP / 60.0)[:-1]])
    offset = np.zeros(len(plan.charge))
    if "lane" in chosen:
        offset = np.where(plan.lane == 2, -amplitude["lane"], 0.0)
    powder, soak = _history(plan.charge, plan.grid, travelled, zones, offset)
    return _Plant(zones, duty, flow, speed, travelled, powder, soak)


LOSS = np.array([320.0, 300.0, 290.0, 280.0, 280.0, 280.0, 520.0, 1300.0])
"""Loss coefficients of the zones [W/K] (house parameters; the last two are cooled)."""
HEAT_CAPACITY = 1.6e6
"""Heat capacity of a zone's lining [J/K] (house parameter)."""
LOAD_FLOW, LOAD_CP = 0.42, 1000.0
EXCHANGE = 25.0
"""Radiative exchange between neighbouring zones, linearised [W/K] (house parameter)."""


def _zone_balances(plan: _Plan, hall: FloatArray, shortfall: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Step the heat balances of the zones under PI control; return temperatures [degC] and duty [-].

    A planted shortfall [K] below 0 lowers what a burner can give to the power that holds the zone that much below its
    set point; the controller then stands at full duty.
    """
    steps = len(plan.grid)
    entering = np.concatenate([[30.0], SET_POINTS[:-1]])
    needed = np.array([
        zone_power(float(t), 24.0, loss=float(a), load_flow=LOAD_FLOW, load_heat_capacity=LOAD_CP, entering=float(e))
        for t, a, e in zip(SET_POINTS, LOSS, entering, strict=True)
    ])  # fmt: skip
    ambient_pull = LOSS + LOAD_FLOW * LOAD_CP
    available = np.where(shortfall < 0.0, needed + ambient_pull * shortfall, needed / 0.62)
    temperature, integral = SET_POINTS.copy(), needed / available[0]
    zones, duty = np.empty((steps, ZONES)), np.empty((steps, ZONES))
    gain, reset = 0.03, 0.03 / 900.0
    for i in range(steps):
        error = SET_POINTS - temperature
        wanted = gain * error + integral
        drive = np.minimum(np.maximum(wanted, 0.0), 1.0)
        integral = integral + np.where(wanted == drive, reset * STEP * error, (drive - wanted) * 0.2)
        deviation = temperature - SET_POINTS
        between = EXCHANGE * np.diff(deviation)
        power = available[i] * drive - needed - ambient_pull * deviation + LOSS * (hall[i] - 24.0)
        power[:-1] += between
        power[1:] -= between
        temperature = temperature + power * (STEP / HEAT_CAPACITY)
        zones[i], duty[i] = temperature, drive
    return zones, duty


def _residual(
    plan: _Plan,
    drivers: _Drivers,
    plant: _Plant,
    chosen: tuple[CauseCode, ...],
    amplitude: Mapping[CauseCode, float],
    zone: int,
    port: int,
) -> tuple[FloatArray, dict[CauseCode, FloatArray]]:
    """Return the true residual lithium of every lot [ppm] and what each planted cause did to it (by taking it away)."""
    inputs = _inputs(plan, drivers, plant, chosen, amplitude)
    residual, _ = _chemistry(plant.powder, PROFILE_STEP, inputs, plant.soak)
    effects: dict[CauseCode, FloatArray] = {}
    for code in chosen:
        rest = tuple(c for c in chosen if c != code)
        zones, flow, travelled = plant.zones, plant.flow, plant.travelled
        if code == "burner_drift":
            zones = zones.copy()
            zones[:, zone] = SET_POINTS[zone]
        if code == "oxygen_port":
            flow = flow.copy()
            flow[:, port] = NOMINAL_OXYGEN_FLOW
        if code == "belt_speed":
            travelled = BELT_SPEED * plan.grid / 60.0
        powder, soak = plant.powder, plant.soak
        if code in ("burner_drift", "belt_speed", "lane"):
            offset = np.where(plan.lane == 2, -amplitude.get("lane", 0.0), 0.0) if "lane" in rest else np.zeros(len(plan.lane))
            powder, soak = _history(plan.charge, plan.grid, travelled, zones, offset)
        without = replace(plant, zones=zones, flow=flow, travelled=travelled, powder=powder, soak=soak)
        other, _ = _chemistry(powder, PROFILE_STEP, _inputs(plan, drivers, without, rest, amplitude), soak)
        effects[code] = residual - other
    # The plant trims its dosing until the mean is on target: only the differences between lots remain.
    return residual - float(residual.mean()) + TARGET_CENTRE, effects


def _inputs(
    plan: _Plan, drivers: _Drivers, plant: _Plant, chosen: tuple[CauseCode, ...], amplitude: Mapping[CauseCode, float]
) -> _Inputs:
    """Return what the chemistry of each lot meets, with only the chosen causes acting."""
    passage = _passage(plan, plant.travelled)
    cumulated = np.vstack([np.zeros(ZONES), np.cumsum(plant.flow, axis=0)])
    flows = np.empty((len(plan.charge), 3))
    for column, k in enumerate(SOAK):
        first = (passage[:, k] / STEP).astype(np.int64)
        last = np.minimum(np.maximum((passage[:, k + 1] / STEP).astype(np.int64), first + 1), len(plan.grid))
        flows[:, column] = (cumulated[last, k] - cumulated[first, k]) / (last - first)
    ratio = np.full(len(plan.charge), NOMINAL_RATIO)
    if "raw_ratio" in chosen:
        ratio = ratio + amplitude["raw_ratio"] * drivers.ratio[plan.raw]
    if "raw_moisture" in chosen:
        ratio = ratio - NOMINAL_RATIO * amplitude["raw_moisture"] * drivers.moisture[plan.raw] / 100.0
    humidity = np.zeros(len(plan.charge))
    if "humidity" in chosen:
        humidity = amplitude["humidity"] * np.interp(passage[:, ZONES], plan.grid, drivers.humidity)
    return _Inputs(np.ones(len(plan.charge)), oxygen_fraction(flows, AIR_LEAK, RELEASED_GAS), ratio, humidity)


def _passage(plan: _Plan, travelled: FloatArray) -> FloatArray:
    """Return when each lot meets the zone borders [s], shape (lot, zones + 1)."""
    begun = np.interp(plan.charge, plan.grid, travelled)
    borders = begun[:, None] + ZONE_LENGTH * np.arange(ZONES + 1)[None, :]
    return np.asarray(np.interp(borders, travelled, plan.grid), dtype=np.float64)


def _qualities(
    plan: _Plan, drivers: _Drivers, plant: _Plant, true: FloatArray, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Return what the laboratory reports of each lot; adds the common causes to `true` in place."""
    lots = len(plan.charge)
    true += COMMON_LOT * rng.standard_normal(lots) + COMMON_RAW * drivers.unmeasured[plan.raw]
    residual = true + COMMON_LAB * rng.standard_normal(lots)
    lioh = residual * (0.62 + 0.03 * rng.standard_normal(lots))
    crystallite = crystallite_size(plant.powder, PROFILE_STEP, start=60.0, **GROWTH)
    discharge = _passage(plan, plant.travelled)[:, ZONES]
    sampled = discharge + rng.uniform(15.0, 50.0, lots) * 60.0
    late = np.minimum(4.0 + rng.gamma(2.2, 2.6, lots), 24.0) * 3600.0
    return {
        "sampled": plan.instant(sampled),
        "resulted": plan.instant(sampled + late),
        "residual": np.round(residual, 0),
        "lioh": np.round(lioh, 0),
        "carbonate": np.round(residual, 0) - np.round(lioh, 0),
        "capacity": np.round(178.0 - 0.0012 * (true - TARGET_CENTRE) + 0.55 * rng.standard_normal(lots), 2),
        "crystallite": np.round(crystallite + 2.0 * rng.standard_normal(lots), 1),
        "d50": np.round(10.4 + 0.15 * rng.standard_normal(lots), 2),
    }


def _describe(code: CauseCode, zone: int, port: int) -> PlantedCause:
    """Return a cause without its measured effect."""
    z, p = zone + 1, port + 1
    known: dict[CauseCode, tuple[tuple[str, ...], Literal["up", "down", "category"], str, Bilingual]] = {
        "burner_drift": (
            (f"Z{z} 상부온도", f"Z{z} 하부온도"), "down", "soak",
            Bilingual(f"{z}존 버너 열화: 출력이 100 %에 닿고 온도가 설정값에 못 미쳐요.",
                      f"Burner of zone {z} is worn: it stands at full duty and the zone falls below its set point."),
        ),
        "oxygen_port": (
            (f"RHK1.O2.Z{p}.FLOW", f"RHK1.O2.Z{p}.CONC"), "down", "soak",
            Bilingual(f"{p}존 산소 공급구가 일부 막혀 유량이 부족해요.", f"The oxygen port of zone {p} is partly blocked."),
        ),
        "raw_ratio": (
            ("Li/Me비",), "up", "charge",
            Bilingual("배합 보정이 꺼져 원료 로트의 Li/Me비가 그대로 들어가요.",
                      "The dosing correction is off: the lithium ratio of each raw lot goes straight into the product."),
        ),
        "raw_moisture": (
            ("원료수분",), "down", "charge",
            Bilingual("건조기를 거치지 않아 수분만큼 리튬이 적게 계량돼요.",
                      "The dryer is bypassed: water is weighed in as if it were lithium hydroxide."),
        ),
        "belt_speed": (
            ("RHK1.BELT.SPEED", "RHK1.ROLL.HZ"), "up", "whole",
            Bilingual("작업조가 생산량에 맞춰 벨트 속도를 바꿔 유지 시간이 달라져요.",
                      "Crews change the belt speed with demand, and the time in the soak changes with it."),
        ),
        "lane": (
            ("레인",), "category", "soak",
            Bilingual("우측 레인 단열재가 낡아 유지 구간 온도가 낮아요.", "The insulation beside the right lane is worn: it soaks colder."),
        ),
        "humidity": (
            ("포장실 습도",), "up", "discharge",
            Bilingual("제습기가 고장 나 배출 분말이 수분을 먹어요.", "The dehumidifier is down: discharged powder picks up moisture."),
        ),
    }  # fmt: skip
    columns, direction, window, mechanism = known[code]
    return PlantedCause(code, columns, direction, mechanism, window, 0.0, 0.0)


def _tags(
    plan: _Plan, drivers: _Drivers, plant: _Plant, amplitude: Mapping[CauseCode, float], rng: np.random.Generator
) -> tuple[tuple[Tag, ...], dict[str, FloatArray]]:
    """Return the tags of the control systems and their one-minute readings, with sensor bias, wandering and noise."""
    n = len(plan.grid)
    listed: list[Tag] = []
    values: dict[str, FloatArray] = {}

    def record(tag: Tag, reading: FloatArray, noise: float, wander: float = 0.0, hours: float = 20.0) -> None:
        if wander:
            reading = reading + wander * _wander(rng, n, STEP, hours * 3600.0)
        values[tag.name] = np.round(reading + noise * rng.standard_normal(n), tag.decimals)
        listed.append(tag)

    for k in range(ZONES):
        z = k + 1
        bias = rng.normal(0.0, 1.2, 2)
        true = plant.zones[:, k]
        record(Tag(f"Z{z} 상부온도", "℃", "kiln"), true + bias[0], 0.5, 0.8, rng.uniform(8.0, 40.0))
        record(Tag(f"Z{z} 하부온도", "℃", "kiln"), true + bias[1] - 3.0, 0.6, 0.9, rng.uniform(8.0, 40.0))
        record(Tag(f"Z{z} 설정온도", "℃", "kiln"), np.full(n, SET_POINTS[k]), 0.0)
        record(Tag(f"Z{z} 버너출력", "%", "kiln"), np.minimum(100.0 * plant.duty[:, k], 100.0), 0.2)
        record(Tag(f"Z{z} 로벽온도", "℃", "kiln"), 45.0 + 0.012 * SET_POINTS[k] + 0.8 * drivers.hall, 0.3, 1.0, 30.0)
    charging = np.zeros(n)
    begun = (plan.charge[::3] / STEP).astype(np.int64)
    for minutes in range(4):
        charging[begun + minutes] = 1.0
    record(Tag("장입신호", "", "kiln", 0), charging, 0.0)
    pushed = np.zeros(n)
    np.add.at(pushed, begun + 3, 24.0)
    counter = np.mod(31_200.0 + np.cumsum(pushed), 32_768.0)
    record(Tag("새거카운터", "개", "kiln", 0), counter, 0.0)
    record(Tag("포장실 습도", "%", "kiln"), np.clip(42.0 + amplitude.get("humidity", 9.0) * drivers.humidity, 8.0, 90.0), 0.4)
    record(Tag("실내온도", "℃", "kiln"), 24.0 + 1.2 * drivers.hall, 0.15)
    for k in range(ZONES):
        record(Tag(f"RHK1.O2.Z{k + 1}.FLOW", "Nm3/h", "utility", 2), plant.flow[:, k], 0.15, 0.25, rng.uniform(8.0, 40.0))
    for k in range(2, 7):
        fraction = 100.0 * oxygen_fraction(plant.flow[:, k], AIR_LEAK, RELEASED_GAS)
        record(Tag(f"RHK1.O2.Z{k + 1}.CONC", "%", "utility", 2), fraction, 0.12, 0.25, rng.uniform(8.0, 40.0))
    relative = plant.speed / BELT_SPEED
    record(Tag("RHK1.BELT.SPEED", "mm/min", "utility", 2), 1000.0 * plant.speed, 0.05, 0.06)
    record(Tag("RHK1.ROLL.HZ", "Hz", "utility", 2), 32.0 * relative, 0.03, 0.04)
    record(Tag("RHK1.EXH.TEMP", "degC", "utility"), np.full(n, 186.0), 0.6, 3.0, 15.0)
    record(Tag("RHK1.EXH.FAN.HZ", "Hz", "utility", 2), np.full(n, 41.5), 0.05, 0.8, 25.0)
    record(Tag("RHK1.DRAFT", "mmAq", "utility", 2), np.full(n, -2.4), 0.08, 0.15, 6.0)
    record(Tag("RHK1.COOL.AIR", "Nm3/h", "utility", 1), np.full(n, 820.0), 4.0, 18.0, 12.0)
    fuel = 9.0 + 52.0 * plant.duty.mean(axis=1)
    record(Tag("RHK1.GAS.FLOW", "Nm3/h", "utility", 2), fuel, 0.2, 0.5, 12.0)
    power = 148.0 + 3.0 * _wander(rng, n, STEP, 6.0 * 3600.0)
    record(Tag("RHK1.KWH", "kWh", "utility", 1), np.mod(8_412_300.0 + np.cumsum(power * STEP / 3600.0), 1e7), 0.0)
    for i in range(4):
        record(Tag(f"RHK1.ROLL.AMP{i + 1}", "A", "fast", 2), np.full(n, 6.2 + 0.1 * i), 0.04, 0.12, 8.0)
    record(Tag("RHK1.COMB.PRES", "kPa", "fast", 3), np.full(n, 4.1), 0.02, 0.05, 4.0)
    record(Tag("RHK1.SEAL.PRES", "Pa", "fast", 1), np.full(n, 22.0), 0.3, 1.0, 4.0)
    return tuple(listed), values


OPERATORS = ("김민수", "이서준", "박지훈", "최영호", "정하늘", "강도현", "조은비", "윤재석", "장미란")
"""Invented names of the crews, three per shift."""
SUPPLIERS = ("한빛소재", "대륙리튬", "동방화학")


def _lot_table(plan: _Plan, plant: _Plant, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return what the lot system knows of each lot."""
    passage = _passage(plan, plant.travelled)
    charge = plan.instant(plan.charge)
    local = charge + np.timedelta64(9, "h")
    day = local.astype("datetime64[D]")
    hour = (local - day).astype("timedelta64[h]").astype(np.int64)
    shift = ((hour - 6) % 24) // 8
    lots = len(plan.charge)
    number = np.zeros(lots, dtype=np.int64)
    seen: dict[np.datetime64, int] = {}
    for i, d in enumerate(day):
        seen[d] = seen.get(d, 0) + 1
        number[i] = seen[d]
    names = [f"RH1{str(d)[2:4]}{str(d)[5:7]}{str(d)[8:10]}-{int(k):02d}" for d, k in zip(day, number, strict=True)]
    return {
        "lot": np.array(names),
        "charge": charge,
        "soak_start": plan.instant(passage[:, SOAK[0]]),
        "soak_end": plan.instant(passage[:, SOAK[-1] + 1]),
        "discharge": plan.instant(passage[:, ZONES]),
        "lane": np.array(LANES)[plan.lane],
        "layer": np.array(["상단", "하단"])[plan.layer],
        "raw": plan.raw,
        "shift": np.array(["주간", "오후", "야간"])[shift],
        "operator": np.array(OPERATORS)[shift * 3 + rng.integers(0, 3, lots)],
        "saggars": rng.choice(np.array([24, 24, 24, 23, 22]), lots),
        "mass": np.round(rng.normal(1180.0, 14.0, lots), 1),
    }


def _raw_table(plan: _Plan, drivers: _Drivers, amplitude: Mapping[CauseCode, float]) -> dict[str, NDArray[Any]]:
    """Return the certificates of the raw lots. They move whether or not the product feels it."""
    received = plan.instant(plan.raw_start - 3.0 * 86400.0)
    return {
        "raw_lot": np.array([f"LH-{str(t)[2:4]}{str(t)[5:7]}{str(t)[8:10]}-{i % 7 + 1}" for i, t in enumerate(received)]),
        "supplier": np.array(SUPPLIERS)[drivers.supplier],
        "received": received,
        "ratio": np.round(NOMINAL_RATIO + amplitude.get("raw_ratio", 0.0025) * drivers.ratio, 5),
        "moisture": np.round(0.9 + amplitude.get("raw_moisture", 0.22) * drivers.moisture, 3),
        "bet": np.round(0.42 + 0.03 * drivers.bet, 3),
    }
