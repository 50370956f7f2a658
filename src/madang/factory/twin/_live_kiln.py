"""The kiln of the built-in line as a plant that runs: the same equations as `simulate_kiln`, stepped through time.

A run of `simulate_kiln` knows its whole calendar before it starts; here nothing is known ahead, so that a set point may be
written while lots are inside, a burner may begin to fail, and every second is there to be read. The mechanisms that a seed
plants, where they sit and how far they move are those of ``simulate_kiln(seed)``: the living plant and its exports are one plant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.factory.twin import _kiln as kiln
from madang.factory.twin._kiln import OPERATORS, SET_POINTS, SOAK, SUPPLIERS, ZONE_LENGTH, ZONES, CauseCode
from madang.factory.twin._live_lots import EventKind, LabResult, LiveLot, PlantEvent, RawLot
from madang.models.physics import (
    conduction_step,
    convective_flux,
    crystallite_size,
    oxygen_fraction,
    radiative_flux,
    zone_power,
)

FloatArray: TypeAlias = NDArray[np.float64]

WARM_STEP = 60.0
"""Step while the kiln fills before anybody looks [s]."""
WARM_HOURS = 72.0
"""How long the kiln runs before second 0: it is full then, and results are on their way."""
HEAT_STEP = float(kiln.PROFILE_STEP)
"""Step of the lots' firing history [s], that of `simulate_kiln`."""
CHARGE_SPACING = 40.0
"""Seconds between the lanes of one charge."""
FLOWS = np.array([12.0, 20.0, 30.0, 40.0, 40.0, 40.0, 20.0, 10.0])
"""Oxygen flow that each zone is set to [Nm3/h]."""
OPENING = 62.0
"""Opening at which a sound valve gives its zone's flow [%] (house parameter)."""
RECIPE, PRODUCT = "R-850A", "NCM622"


class LiveKiln:
    """The kiln as it runs.

    >>> plant = LiveKiln(3, warm_hours=14.0)
    >>> for _ in range(60):
    ...     plant.step(1.0)
    >>> round(plant.t), len(plant.inside) > 20
    (60, True)

    Args:
        seed: Everything random follows from it.
        causes: As of `simulate_kiln`.
        calendar: Turns a second of the plant into an instant; names of lots follow from it.
        warm_hours: Hours that the kiln runs before second 0.
    """

    def __init__(
        self,
        seed: int,
        *,
        causes: Literal["planted", "none"] | Collection[CauseCode] = "planted",
        calendar: Callable[[float], datetime] | None = None,
        warm_hours: float = WARM_HOURS,
    ) -> None:
        self.seed = seed
        self.calendar = calendar
        self._plant_causes(seed, causes)
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 20250303, 1]))
        self.t = -warm_hours * 3600.0
        """Second of the plant; negative while it fills."""
        self.set_points: FloatArray = SET_POINTS.copy()
        """What the controllers hold [degC]; a write changes it."""
        self.drift: FloatArray = np.zeros(ZONES)
        """Shortfall of a failing burner beside the planted one [K], at most 0."""
        self.recipe = RECIPE
        self._start_drivers()
        self._start_zones()
        self.travelled = 0.0
        self.speed = kiln.BELT_SPEED
        self.flow: FloatArray = FLOWS.copy()
        self.valve: FloatArray = np.full(ZONES, OPENING)
        self.inside: list[LiveLot] = []
        self.events: list[PlantEvent] = []
        """What happened since somebody last took it (`take_events`)."""
        self.last_lot: LiveLot | None = None
        self.saggar_count = 31_200.0
        self.energy = 8_412_300.0
        """[kWh]"""
        self.power = 148.0
        """[kW]"""
        self._power_wander = 0.0
        self._pushes: list[tuple[float, int]] = []
        self._charging_until = -math.inf
        self._charge_at = self.t
        self._pending: list[tuple[float, int]] = []
        self._number = 0
        self._of_day: dict[str, int] = {}
        self.raw: RawLot = self._next_raw(0)
        self._raw_left = int(self.rng.integers(9, 16))
        self._heat_at = self.t
        self._trim: float | None = None
        self._warm: list[LiveLot] = []
        while self.t < 0.0:
            self.step(min(WARM_STEP, -self.t))
        self._settle_trim()

    # ------------------------------------------------------------------ what is planted

    def _plant_causes(self, seed: int, causes: Literal["planted", "none"] | Collection[CauseCode]) -> None:
        """Draw the causes exactly as `simulate_kiln` draws them for this seed."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, 20250303]))
        self.causes = kiln._choose(causes, rng)
        plan = kiln._Plan.make(rng, kiln.ALL_LOTS_NEEDED)
        self.zone, self.port = int(rng.choice(SOAK)), int(rng.choice(SOAK))
        self.amplitude: dict[CauseCode, float] = {}
        if self.causes:
            self.amplitude = kiln._amplitudes(self.causes, kiln._Drivers.make(rng, plan), self.zone, self.port)

    # ------------------------------------------------------------------ what moves by itself

    def _start_drivers(self) -> None:
        draw = self.rng.standard_normal
        # burner, port, humidity, hall: first-order wandering with the correlation times of `simulate_kiln` [s].
        self._persistence = np.array([20.0, 10.0, 30.0, 40.0]) * 3600.0
        self._wander: FloatArray = draw(4)
        self._level: FloatArray = draw(2)  # port, speed: what people change now and then
        self._hold = np.array([16.0, 18.0]) * 3600.0
        self._change_at: FloatArray = self.t + self.rng.exponential(self._hold)

    def _move_drivers(self, dt: float) -> None:
        keep = np.exp(-dt / self._persistence)
        self._wander = self._wander * keep + np.sqrt(1.0 - keep**2) * self.rng.standard_normal(4)
        for i in range(2):
            if self.t >= self._change_at[i]:
                self._level[i] = self.rng.standard_normal()
                self._change_at[i] = self.t + self.rng.exponential(self._hold[i])
        daily = math.sin(2.0 * math.pi * (self.t / 86400.0 - 0.3))
        burner, port, humid, hall = (float(x) for x in self._wander)
        self._burner = burner
        self._port = 0.8 * float(self._level[0]) + 0.6 * port
        self.humidity = 42.0 + self.amplitude.get("humidity", 9.0) * (0.85 * humid - 0.7 * daily)
        self._damp = 0.85 * humid - 0.7 * daily
        self.hall_driver = 0.8 * hall + 0.8 * daily
        self.hall = 24.0 + 1.2 * self.hall_driver
        keep_power = math.exp(-dt / (6.0 * 3600.0))
        self._power_wander = self._power_wander * keep_power + math.sqrt(1.0 - keep_power**2) * float(
            self.rng.standard_normal()
        )
        self.power = 148.0 + 3.0 * self._power_wander
        self.energy = (self.energy + self.power * dt / 3600.0) % 1e7

    # ------------------------------------------------------------------ zones and belt

    def _start_zones(self) -> None:
        entering = np.concatenate([[30.0], SET_POINTS[:-1]])
        self._needed = np.array([
            zone_power(float(t), 24.0, loss=float(a), load_flow=kiln.LOAD_FLOW, load_heat_capacity=kiln.LOAD_CP, entering=float(e))
            for t, a, e in zip(SET_POINTS, kiln.LOSS, entering, strict=True)
        ])  # fmt: skip
        self._pull = kiln.LOSS + kiln.LOAD_FLOW * kiln.LOAD_CP
        self.zones: FloatArray = SET_POINTS.copy()
        """True zone temperatures [degC]."""
        self.duty: FloatArray = np.full(ZONES, 0.62)
        self._integral: FloatArray = np.full(ZONES, 0.62)

    def _move_zones(self, dt: float) -> None:
        """Step the heat balances under PI control: the equations of `simulate_kiln`, with set points that may have moved."""
        shortfall = self.drift.copy()
        if "burner_drift" in self.causes:
            shortfall[self.zone] += self.amplitude["burner_drift"] * min(self._burner - 0.9, 0.0)
        available = np.where(shortfall < 0.0, self._needed + self._pull * shortfall, self._needed / 0.62)
        error = self.set_points - self.zones
        wanted = 0.03 * error + self._integral
        drive = np.clip(wanted, 0.0, 1.0)
        winding = np.where(wanted == drive, (0.03 / 900.0) * dt * error, (drive - wanted) * 0.2 * dt / 60.0)
        self._integral = self._integral + winding
        deviation = self.zones - SET_POINTS
        between = kiln.EXCHANGE * np.diff(deviation)
        power = available * drive - self._needed - self._pull * deviation + kiln.LOSS * (self.hall - 24.0)
        power[:-1] += between
        power[1:] -= between
        self.zones = self.zones + power * (dt / kiln.HEAT_CAPACITY)
        self.duty = drive

    def _move_gas_and_belt(self, dt: float) -> None:
        given = np.ones(ZONES)
        if "oxygen_port" in self.causes:
            given[self.port] = max(1.0 + self.amplitude["oxygen_port"] * min(self._port - 0.9, 0.0), 0.15)
        self.flow = FLOWS * given * (1.0 + 0.004 * self.rng.standard_normal(ZONES))
        self.valve = np.minimum(OPENING / given, 100.0)
        # A port that is partly blocked is opened first; what is lost is lost although the valve stands open.
        self.valve = np.where(given < 1.0, 100.0, self.valve)
        scale = self.amplitude["belt_speed"] if "belt_speed" in self.causes else 0.0008
        self.speed = kiln.BELT_SPEED * min(max(1.0 + scale * float(self._level[1]), 0.86), 1.16)
        self.travelled += self.speed * dt / 60.0

    # ------------------------------------------------------------------ lots

    def _next_raw(self, number: int) -> RawLot:
        ratio, moisture, bet, hidden = (float(x) for x in self.rng.standard_normal(4))
        return RawLot(
            number=number,
            name=f"LH-{self._day(self.t - 3 * 86400.0)}-{number % 7 + 1}",
            supplier=SUPPLIERS[int(self.rng.integers(0, 3))],
            drawn=(ratio, moisture, bet, hidden),
            ratio=round(kiln.NOMINAL_RATIO + self.amplitude.get("raw_ratio", 0.0025) * ratio, 5),
            moisture=round(0.9 + self.amplitude.get("raw_moisture", 0.22) * moisture, 3),
            bet=round(0.42 + 0.03 * bet, 3),
        )

    def _day(self, t: float) -> str:
        if self.calendar is None:
            return f"{25 + int(t // 86400) // 360:02d}{int(t // 86400) % 360 // 30 + 1:02d}{int(t // 86400) % 30 + 1:02d}"
        return self.calendar(t).strftime("%y%m%d")

    def _hour(self, t: float) -> int:
        return int(t // 3600) % 24 if self.calendar is None else self.calendar(t).hour

    def _move_charges(self) -> None:
        while self.t >= self._charge_at:
            at = self._charge_at
            interval = self.rng.uniform(66.0, 92.0) * 60.0
            if self.rng.random() < 0.012:
                interval += self.rng.uniform(1.5, 4.0) * 3600.0
            self._charge_at = at + interval
            self._raw_left -= 1
            if self._raw_left <= 0:
                self.raw = self._next_raw(self.raw.number + 1)
                self._raw_left = int(self.rng.integers(9, 16))
            self._pending += [(at + CHARGE_SPACING * lane, lane) for lane in range(3)]
            self._charging_until = at + 240.0
            self._pushes.append((at + 180.0, 24))
        while self._pending and self._pending[0][0] <= self.t:
            self._charge(*self._pending.pop(0))
        while self._pushes and self._pushes[0][0] <= self.t:
            self.saggar_count = (self.saggar_count + self._pushes.pop(0)[1]) % 32_768.0

    def _charge(self, at: float, lane: int) -> None:
        self._number += 1
        day = self._day(at)
        self._of_day[day] = self._of_day.get(day, 0) + 1
        crew = ((self._hour(at) - 6) % 24) // 8
        lot = LiveLot(
            number=self._number,
            name=f"RH1{day}-{self._of_day[day]:02d}",
            lane=lane,
            layer=int(self.rng.integers(0, 2)),
            raw=self.raw,
            charge=at,
            entered=self.travelled - self.speed * (self.t - at) / 60.0,
            shift=("주간", "오후", "야간")[crew],
            operator=OPERATORS[crew * 3 + int(self.rng.integers(0, 3))],
            saggars=int(self.rng.choice([24, 24, 24, 23, 22])),
            mass=round(float(self.rng.normal(1180.0, 14.0)), 1),
            bed=np.full(5, 30.0),
        )
        self.inside.append(lot)
        self.last_lot = lot
        self._tell(at, "charged", lot)

    @property
    def charging(self) -> bool:
        """Whether saggars are being pushed in."""
        return self.t < self._charging_until

    def _position(self, lot: LiveLot) -> float:
        return self.travelled - lot.entered

    def _heat_lots(self) -> None:
        """Let heat walk into the lots for one step of `HEAT_STEP`."""
        if not self.inside:
            return
        zone = np.array([min(int(self._position(lot) // ZONE_LENGTH), ZONES) for lot in self.inside])
        gas = np.where(zone < ZONES, self.zones[np.minimum(zone, ZONES - 1)], 60.0)
        soaking = (zone >= SOAK[0]) & (zone <= SOAK[-1])
        if "lane" in self.causes:
            right = np.array([lot.lane == 2 for lot in self.inside])
            gas = np.where(soaking & right, gas - self.amplitude["lane"], gas)
        bed = np.stack([lot.bed for lot in self.inside])
        for _ in range(2):
            flux = radiative_flux(gas, bed[:, 0], 0.35) + convective_flux(gas, bed[:, 0], 8.0)
            bed = conduction_step(bed, flux, diffusivity=4e-7, conductivity=0.5, thickness=0.02, seconds=HEAT_STEP / 2)
        mean = bed.mean(axis=1)
        for i, lot in enumerate(self.inside):
            lot.bed = bed[i]
            lot.powder.append(float(mean[i]))
            inside = [float(zone[i] == k) for k in SOAK]
            lot.soak.append((inside[0], inside[1], inside[2]))
            if soaking[i]:
                lot.flow_sum[zone[i] - SOAK[0]] += self.flow[zone[i]]
                lot.flow_count[zone[i] - SOAK[0]] += 1.0

    def _move_lots(self) -> None:
        out: list[LiveLot] = []
        for lot in self.inside:
            way = self._position(lot)
            if lot.soak_start is None and way >= ZONE_LENGTH * SOAK[0]:
                lot.soak_start = self.t
                self._tell(self.t, "soak_start", lot)
            if lot.soak_end is None and way >= ZONE_LENGTH * (SOAK[-1] + 1):
                lot.soak_end = self.t
                self._tell(self.t, "soak_end", lot)
            if way >= ZONE_LENGTH * ZONES:
                out.append(lot)
        for lot in out:
            self.inside.remove(lot)
            self._discharge(lot)

    def _discharge(self, lot: LiveLot) -> None:
        """Give the lot its qualities, by the chemistry of `simulate_kiln`, and send a sample to the laboratory."""
        lot.discharge = self.t
        off_ratio, off_moisture, _, hidden = lot.raw.drawn
        flows = np.where(lot.flow_count > 0, lot.flow_sum / np.maximum(lot.flow_count, 1.0), FLOWS[list(SOAK)])
        ratio = kiln.NOMINAL_RATIO + self.amplitude.get("raw_ratio", 0.0) * off_ratio
        ratio -= kiln.NOMINAL_RATIO * self.amplitude.get("raw_moisture", 0.0) * off_moisture / 100.0
        damp = self.amplitude.get("humidity", 0.0) * self._damp
        oxygen = oxygen_fraction(flows[None, :], kiln.AIR_LEAK, kiln.RELEASED_GAS)
        inputs = kiln._Inputs(np.ones(1), oxygen, np.array([ratio]), np.array([damp]))
        powder = np.array([lot.powder])
        value = float(kiln._chemistry(powder, HEAT_STEP, inputs, np.array([lot.soak]))[0][0])
        lot.true_value = value + kiln.COMMON_LOT * float(self.rng.standard_normal()) + kiln.COMMON_RAW * hidden
        lot.crystallite = float(crystallite_size(powder, HEAT_STEP, start=60.0, **kiln.GROWTH)[0])
        lot.sampled = self.t + float(self.rng.uniform(15.0, 50.0)) * 60.0
        lot.resulted = lot.sampled + min(4.0 + float(self.rng.gamma(2.2, 2.6)), 24.0) * 3600.0
        if self._trim is None:
            self._warm.append(lot)
        else:
            self._analyse(lot, self._trim)
        self._tell(self.t, "discharged", lot)

    def _analyse(self, lot: LiveLot, trim: float) -> None:
        """Let the laboratory find what it will find in a lot; `trim` is how the dosing shifts every lot [ppm]."""
        assert lot.true_value is not None
        lot.true_value += trim
        draw = self.rng.standard_normal(5)
        residual = round(lot.true_value + kiln.COMMON_LAB * float(draw[0]))
        lioh = round(residual * (0.62 + 0.03 * float(draw[1])))
        lot.result = LabResult(
            residual=float(residual),
            lioh=float(lioh),
            carbonate=float(residual - lioh),
            capacity=round(178.0 - 0.0012 * (lot.true_value - kiln.TARGET_CENTRE) + 0.55 * float(draw[2]), 2),
            crystallite=round(lot.crystallite + 2.0 * float(draw[3]), 1),
            d50=round(10.4 + 0.15 * float(draw[4]), 2),
        )

    def _settle_trim(self) -> None:
        """Trim the dosing so that the lots of the filling time are on target on average, as the plant's people do."""
        found = [lot.true_value for lot in self._warm if lot.true_value is not None]
        self._trim = kiln.TARGET_CENTRE - float(np.mean(found)) if found else 0.0
        for lot in self._warm:
            self._analyse(lot, self._trim)
        self._warm.clear()

    # ------------------------------------------------------------------ time

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass (at most a minute)."""
        self.t += dt
        self._move_drivers(dt)
        self._move_zones(dt)
        self._move_gas_and_belt(dt)
        self._move_charges()
        self._move_lots()
        if self.t >= self._heat_at + HEAT_STEP:
            self._heat_at += HEAT_STEP
            self._heat_lots()

    def take_events(self) -> list[PlantEvent]:
        """Return what happened to lots since the last call, oldest first; the first call tells of the filling time too."""
        taken, self.events = self.events, []
        return sorted(taken, key=lambda event: event.at)

    def _tell(self, at: float, kind: EventKind, lot: LiveLot) -> None:
        self.events.append(PlantEvent(at, kind, lot))
