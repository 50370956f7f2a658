"""The living plant as its control systems see it: kiln, instruments and the troubles that touch them, second by second."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json
from madang.factory.twin._kiln import TARGET_CENTRE as CENTRE
from madang.factory.twin._kiln import TOLERANCE, CauseCode
from madang.factory.twin._live_kiln import WARM_HOURS, LiveKiln
from madang.factory.twin._live_lots import PlantEvent
from madang.factory.twin._live_points import PASCAL_PER_MMAQ, Instruments, LivePoint, live_points, state_values
from madang.factory.twin._live_troubles import LiveTrouble
from madang.plant import EnvelopeLimit, LineDocument

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class PlantClock:
    """Which instant a second of the plant is: the plant runs `speed` times as fast as the clock on the wall."""

    epoch: datetime
    """Instant of second 0 (UTC)."""
    speed: float

    def instant(self, t: float) -> datetime:
        """Return the instant of a second of the plant, in whole milliseconds.

        >>> from datetime import UTC, datetime
        >>> PlantClock(datetime(2026, 1, 1, tzinfo=UTC), 60.0).instant(90.0).isoformat()
        '2026-01-01T00:00:01.500000+00:00'
        """
        return self.epoch + timedelta(milliseconds=round(t / self.speed * 1000.0))

    def micros(self, t: float) -> int:
        """Return the same instant [us since 1970]."""
        since = self.instant(t) - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def second(self, instant: datetime) -> float:
        """Return the second of the plant that an instant is."""
        return (instant - self.epoch).total_seconds() * self.speed


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class PlantWrite:
    """A set point that somebody wrote."""

    t: float
    point: str
    value: float


@dataclass(frozen=True)
class PlantSecond:
    """What stands on the plant's screens at one second."""

    t: int
    numbers: FloatArray
    """Shown values in the order of the points, NaN for texts; a stuck sensor shows its old value."""
    sound: FloatArray
    """What sound instruments would show, in the units of the line document."""
    texts: dict[int, str]
    states: FloatArray
    """The true states (`state_names`)."""
    writes: tuple[PlantWrite, ...] = ()


@dataclass
class _Limit:
    """One hard limit, and whether the plant is outside it now."""

    limit: EnvelopeLimit
    at: int
    """Index into the true states."""
    outside: bool = False
    exits: int = 0
    minute_ago: list[float] = field(default_factory=list)


class LivePlant:
    """The plant that faces show and that a trace tells the truth about.

    Args:
        line: What the line is.
        seed: Everything random follows from it.
        causes: As of `simulate_kiln`.
        clock: Instants of the plant's seconds; lots are named by their day.
        troubles: What goes wrong, and when.
    """

    def __init__(
        self,
        line: LineDocument,
        seed: int,
        *,
        causes: Literal["planted", "none"] | Collection[CauseCode] = "planted",
        clock: PlantClock,
        troubles: Sequence[LiveTrouble] = (),
        warm_hours: float | None = None,
    ) -> None:
        self.line = line
        self.clock = clock
        self.troubles = tuple(troubles)
        self.points: tuple[LivePoint, ...] = live_points(line)
        self.place = {point.path: i for i, point in enumerate(self.points)}
        self._zone = ZoneInfo(line.line.zone)
        self.kiln = LiveKiln(
            seed, causes=causes, calendar=self.local, warm_hours=WARM_HOURS if warm_hours is None else warm_hours
        )
        self._instruments = Instruments(self.points, np.random.default_rng(np.random.SeedSequence([seed, 20250303, 2])))
        self._held: dict[str, float] = {}
        self._wanted: list[PlantWrite] = []
        self._limits = _limits(line)
        self.writes = 0
        self.tally = Tally()
        self.t = 0
        self.before: tuple[PlantEvent, ...] = tuple(self.kiln.take_events())
        """What happened to lots while the kiln filled, before second 0."""

    def second(self) -> PlantSecond:
        """Let one second pass and return what stands on the screens at its end."""
        kiln = self.kiln
        writes = self._apply_writes()
        kiln.drift[:] = 0.0
        for trouble in self.troubles:
            if trouble.kind == "drifting_burner" and trouble.acts(self.t) and trouble.point is not None:
                zone = int(trouble.point.split("/zone")[1][0]) - 1
                share = (self.t - trouble.start) / (trouble.end - trouble.start)
                kiln.drift[zone] = min((trouble.size or 0.0) * share, -1e-9)
        kiln.step(1.0)
        self.t += 1
        shown = self._instruments.show(kiln, 1.0)
        states = state_values(kiln)
        self._watch_limits(states)
        self.tally.energy_kwh += kiln.power / 3600.0
        self.tally.gas_m3 += (9.0 + 52.0 * float(kiln.duty.mean())) / 3600.0
        return PlantSecond(self.t, self._spoil(shown.numbers), shown.numbers, shown.texts, states, writes)

    def _spoil(self, sound: FloatArray) -> FloatArray:
        """Return what is shown when sensors stick and units are changed."""
        shown = sound.copy()
        for trouble in self.troubles:
            if trouble.point is None or not trouble.acts(self.t):
                if trouble.point is not None and trouble.kind == "stuck_sensor":
                    self._held.pop(trouble.point, None)
                continue
            at = self.place[trouble.point]
            if trouble.kind == "stuck_sensor":
                shown[at] = self._held.setdefault(trouble.point, float(sound[at]))
            elif trouble.kind == "unit_change":
                shown[at] = np.rint(sound[at] / PASCAL_PER_MMAQ * 100.0) / 100.0
        return shown

    def unit_of(self, point: LivePoint, t: float) -> str | None:
        """Return the unit in which a point is shown at a second of the plant."""
        changed = any(x.kind == "unit_change" and x.point == point.path and x.acts(t) for x in self.troubles)
        return "mm[H2O]" if changed else point.unit

    # ------------------------------------------------------------------ set points

    def refusal(self, path: str, value: float) -> str | None:
        """Return why a write would be refused (``unknown``, ``read_only``, ``out_of_range``), None when it would not."""
        at = self.place.get(path)
        if at is None:
            return "unknown"
        point = self.points[at]
        if not point.writable:
            return "read_only"
        inside = (
            np.isfinite(value) and (point.low is None or value >= point.low) and (point.high is None or value <= point.high)
        )
        return None if inside else "out_of_range"

    def write(self, path: str, value: float) -> None:
        """Take a set point; it acts from the next second on.

        Raises:
            ValueError: It would be refused (`refusal`).
        """
        why = self.refusal(path, value)
        if why is not None:
            raise ValueError(f"{path} is not written: {why}")
        self._wanted.append(PlantWrite(float(self.t), path, float(value)))

    def _apply_writes(self) -> tuple[PlantWrite, ...]:
        done, self._wanted = tuple(self._wanted), []
        for write in done:
            zone = int(write.point.split("/zone")[1][0]) - 1
            self.kiln.set_points[zone] = write.value
        self.writes += len(done)
        return done

    # ------------------------------------------------------------------ what it came to

    def take_events(self) -> list[PlantEvent]:
        """Return what happened to lots since the last call, and count it."""
        events = self.kiln.take_events()
        for event in events:
            self.tally.count(event)
        return events

    def local(self, t: float) -> datetime:
        """Return the wall time of the line's zone at a second of the plant, without a zone, as its systems write it."""
        return self.clock.instant(t).astimezone(self._zone).replace(tzinfo=None)

    @property
    def envelope_exits(self) -> int:
        """How often a true state left a hard limit of the line."""
        return sum(limit.exits for limit in self._limits)

    def _watch_limits(self, states: FloatArray) -> None:
        for watched in self._limits:
            value = float(states[watched.at])
            limit = watched.limit
            outside = (limit.low is not None and value < limit.low) or (limit.high is not None and value > limit.high)
            if limit.max_rate is not None:
                watched.minute_ago.append(value)
                if len(watched.minute_ago) > 60:
                    outside = outside or abs(value - watched.minute_ago.pop(0)) > limit.max_rate
            watched.exits += outside and not watched.outside
            watched.outside = outside


def _limits(line: LineDocument) -> list[_Limit]:
    """Return the hard limits of points whose true state the twin has."""
    found = []
    for limit in line.envelope:
        unit, zone, what = (*limit.point.split("/"), "", "")[:3]
        if not zone.startswith("zone"):
            continue
        base = {("kiln", "temperature_top"): 0, ("utility", "oxygen_flow"): 16}.get((unit, what))
        if base is not None:
            found.append(_Limit(limit, base + int(zone.removeprefix("zone")) - 1))
    return found


@dataclass
class Tally:
    """What a run came to, counted from events as they happen."""

    charged: int = 0
    discharged: int = 0
    mass_kg: float = 0.0
    energy_kwh: float = 0.0
    gas_m3: float = 0.0
    residual: list[float] = field(default_factory=list)
    """Laboratory results of the lots discharged [ppm]."""

    def count(self, event: PlantEvent) -> None:
        """Count an event of a lot."""
        if event.kind == "charged":
            self.charged += 1
        elif event.kind == "discharged" and event.lot.result is not None:
            self.discharged += 1
            self.mass_kg += event.lot.mass
            self.residual.append(event.lot.result.residual)

    def kpis(self) -> dict[str, Json]:
        """Return the figures; what no lot has shown yet is null, with a reason."""
        found = np.array(self.residual)
        good = int(np.sum(np.abs(found - CENTRE) <= TOLERANCE))
        kpis: dict[str, Json] = {
            "lots_charged": self.charged,
            "lots_discharged": self.discharged,
            "produced_kg": round(self.mass_kg, 1),
            "electric_energy_kwh": round(self.energy_kwh, 2),
            "gas_m3": round(self.gas_m3, 2),
            "lots_in_tolerance": good,
            "share_in_tolerance": None if not found.size else round(good / found.size, 4),
            "residual_lithium_mean_ppm": None if not found.size else round(float(found.mean()), 1),
            "energy_per_kg_kwh": None if not self.mass_kg else round(self.energy_kwh / self.mass_kg, 4),
        }
        if not found.size:
            reason = "no lot has left the kiln yet"
            for name in ("share_in_tolerance", "residual_lithium_mean_ppm", "energy_per_kg_kwh"):
                kpis[f"{name}_reason"] = reason
        return kpis
