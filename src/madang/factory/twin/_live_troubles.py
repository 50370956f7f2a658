"""Troubles of the living plant: what can be made to go wrong, when, and the truth about it for whoever checks the watcher."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from madang.errors import Json, UsageError
from madang.factory.twin._live_points import LivePoint
from madang.plant import duration_seconds

TroubleKind = Literal[
    "network_cut",
    "server_restart",
    "stuck_sensor",
    "drifting_burner",
    "late_lab",
    "wrong_lab_rows",
    "unit_change",
    "tag_renamed",
    "clock_skew",
]
TROUBLE_KINDS: tuple[TroubleKind, ...] = get_args(TroubleKind)

_LENGTH: dict[TroubleKind, float] = {
    "network_cut": 300.0,
    "server_restart": 60.0,
    "stuck_sensor": 1800.0,
    "drifting_burner": 7200.0,
    "late_lab": 43_200.0,
    "wrong_lab_rows": 43_200.0,
    "unit_change": 1800.0,
    "tag_renamed": 0.0,
    "clock_skew": 1800.0,
}
"""How long each lasts when nothing is said [s of the plant]; 0 = to the end."""
_SIZE: dict[TroubleKind, float] = {
    "drifting_burner": -25.0,
    "late_lab": 12.0 * 3600.0,
    "clock_skew": 300.0,
    "wrong_lab_rows": 0.3,
}
"""Shortfall at the end [K]; how much later results come [s]; how far the clock is off [s]; share of wrong rows."""
_POINT: dict[TroubleKind, tuple[str, ...]] = {
    "stuck_sensor": ("kiln/zone5/temperature_bottom", "kiln/zone3/temperature_top", "utility/zone5/oxygen_flow"),
    "drifting_burner": ("kiln/zone4/temperature_top", "kiln/zone5/temperature_top", "kiln/zone6/temperature_top"),
    "unit_change": ("utility/draft",),
    "tag_renamed": ("utility/exhaust_temperature", "packing/temperature", "utility/cooling_air_flow"),
}
_WRITTEN = re.compile(
    r"^(?P<kind>[a-z_]+)(?:@(?P<start>[^+:=]+)(?:\+(?P<length>[^:=]+))?)?(?::(?P<point>[^=]+))?(?:=(?P<size>.+))?$"
)


@dataclass(frozen=True)
class LiveTrouble:
    """One trouble of a run."""

    kind: TroubleKind
    start: float
    """Second of the plant at which it begins."""
    end: float
    """Second at which it is over; infinite when it stays."""
    point: str | None = None
    """Point concerned, where it concerns one."""
    size: float | None = None
    """How far it goes; see the how-to of the twin for each kind's unit."""

    def acts(self, t: float) -> bool:
        """Whether it acts at a second of the plant: its start belongs to it, its end does not."""
        return self.start <= t < self.end

    def fields(self) -> dict[str, Json]:
        """Return it for the ready document and the report."""
        return {
            "kind": self.kind,
            "start": self.start,
            "end": None if np.isinf(self.end) else self.end,
            "point": self.point,
            "size": self.size,
        }


def read_troubles(text: str, points: Sequence[LivePoint], *, seed: int, hours: float | None) -> tuple[LiveTrouble, ...]:
    """Read a list such as ``network_cut@10min+2min,stuck_sensor@300:kiln/zone5/temperature_bottom``.

    Args:
        text: Troubles with commas between: ``KIND[@START[+LENGTH]][:POINT][=SIZE]``; times are of the plant, in seconds or with a unit.
        points: What the plant shows.
        seed: Chooses the start and the point of a trouble that does not say them.
        hours: Length of the run, None when it has no end; starts that are chosen lie in its first half.

    Raises:
        UsageError: An unknown kind, point or length of time.

    >>> read_troubles("network_cut@10min+30", (), seed=1, hours=None)[0].end
    630.0
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 909]))
    found = [_read(part.strip(), points, rng, hours) for part in text.split(",") if part.strip()]
    return tuple(sorted(found, key=lambda trouble: trouble.start))


def _read(part: str, points: Sequence[LivePoint], rng: np.random.Generator, hours: float | None) -> LiveTrouble:
    match = _WRITTEN.match(part)
    kind = next((k for k in TROUBLE_KINDS if match is not None and match["kind"] == k), None)
    if match is None or kind is None:
        raise _misused(part, f"{', '.join(TROUBLE_KINDS)} 중 하나여야 해요", f"one of {', '.join(TROUBLE_KINDS)} is meant")
    half = 1800.0 if hours is None else hours * 1800.0
    start = round(float(rng.uniform(0.1, 1.0)) * half) if match["start"] is None else _seconds(match["start"], part)
    length = _LENGTH[kind] if match["length"] is None else _seconds(match["length"], part)
    trouble = LiveTrouble(kind, float(start), start + length if length else float("inf"), size=_SIZE.get(kind))
    if match["size"] is not None:
        trouble = replace(trouble, size=_number(match["size"], part))
    return replace(trouble, point=_place(kind, match["point"], points, rng, part))


def _place(
    kind: TroubleKind, given: str | None, points: Sequence[LivePoint], rng: np.random.Generator, part: str
) -> str | None:
    if kind not in _POINT:
        if given is not None:
            raise _misused(part, f"{kind} 은 점을 고르지 않아요", f"{kind} concerns no single point")
        return None
    if given is None:
        return str(rng.choice(np.array(_POINT[kind])))
    if kind in ("drifting_burner", "unit_change") and given not in _POINT[kind] and not _may_drift(kind, given):
        allowed = ", ".join(_POINT[kind])
        raise _misused(part, f"{kind} 은 {allowed} 에서만 돼요", f"{kind} is possible at {allowed}")
    if points and given not in {point.path for point in points}:
        raise _misused(part, f"{given} 이라는 점이 없어요", f"there is no point {given}")
    return given


def _may_drift(kind: TroubleKind, point: str) -> bool:
    return kind == "drifting_burner" and re.fullmatch(r"kiln/zone[1-8]/temperature_top", point) is not None


def _seconds(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError:
        try:
            value = duration_seconds(text)
        except ValueError:
            raise _misused(part, f"{text} 은 시간이 아니에요", f"{text} is no length of time") from None
    if not 0.0 <= value < 1e9:
        raise _misused(part, f"{text} 은 0 이상이어야 해요", f"{text} must not be below 0")
    return value


def _number(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise _misused(part, f"{text} 은 수가 아니에요", f"{text} is no number")
    return value


def _misused(part: str, ko: str, en: str) -> UsageError:
    return UsageError(
        "bad_trouble",
        ko=f"고장 {part!r}: {ko}.",
        en=f"Trouble {part!r}: {en}.",
        next_ko="예: --trouble network_cut@10min+2min,stuck_sensor@300:kiln/zone5/temperature_bottom",
        next_en="For example: --trouble network_cut@10min+2min,stuck_sensor@300:kiln/zone5/temperature_bottom",
        where={"trouble": part},
    )
