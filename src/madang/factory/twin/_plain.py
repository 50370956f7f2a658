"""A plain table of a plant, before anybody exports it: what the emitter makes ugly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
TimeArray: TypeAlias = NDArray[np.datetime64]

Language = Literal["ko", "vendor", "de"]


@dataclass(frozen=True)
class PlainColumn:
    """One column with numbers or texts."""

    name: str
    unit: str | None
    """As the plant writes it."""
    values: FloatArray
    """Numbers; for a text column the index into `texts`."""
    decimals: int = 1
    texts: tuple[str, ...] | None = None
    counter: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.texts is None


@dataclass(frozen=True)
class PlainTable:
    """Records at a steady pace."""

    name: str
    time_name: str
    time: TimeArray
    """Instants (UTC, datetime64[s])."""
    columns: tuple[PlainColumn, ...]


_NAMES: dict[Language, tuple[tuple[str, str, float, float, int], ...]] = {
    # name, unit, mean, spread, decimals
    "ko": (
        ("가열로 온도", "℃", 420.0, 18.0, 1), ("냉각수 유량", "L/min", 35.0, 2.5, 2), ("유압", "kgf/cm2", 71.0, 3.0, 1),
        ("모터 전류", "A", 24.0, 2.0, 2), ("소비전력", "kW", 310.0, 25.0, 1), ("배기가스 산소농도", "%", 4.2, 0.5, 2),
        ("챔버 습도", "%RH", 45.0, 4.0, 1), ("노점", "℃", -32.0, 3.0, 1),
    ),
    "vendor": (
        ("FIC-101.PV", "m3/h", 82.0, 6.0, 2), ("TI_2031", "degC", 188.0, 7.0, 2), ("PT-17", "kPa", 512.0, 14.0, 1),
        ("II_M3_AMPS", "A", 41.0, 4.0, 2), ("JI-900", "kW", 1240.0, 90.0, 1), ("AI_O2_7", "%", 5.1, 0.6, 3),
        ("SI-44", "rpm", 1480.0, 12.0, 0), ("VT_12X", "mm/s", 3.4, 0.4, 2),
    ),
    "de": (
        ("Temperatur Kühlzone", "°C", 61.0, 4.0, 1), ("Druck Gehäuse", "bar", 6.4, 0.3, 2), ("Durchfluss Öl", "l/min", 18.0, 1.2, 2),
        ("Strom Lüfter", "A", 12.0, 1.1, 2), ("Leistung Ofen", "kW", 1180.0, 85.0, 1), ("Feuchte Prüfraum", "%", 38.0, 3.0, 1),
    ),
}  # fmt: skip

_TIME_NAMES: dict[Language, tuple[str, ...]] = {
    "ko": ("일시", "측정일시", "수집시각"), "vendor": ("TimeStamp", "DATE_TIME", "Time"), "de": ("Zeitstempel", "Datum/Uhrzeit"),
}  # fmt: skip
_STATE: dict[Language, tuple[str, tuple[str, ...]]] = {
    "ko": ("운전상태", ("가동", "정지", "예열")), "vendor": ("MODE", ("AUTO", "MAN", "IDLE")), "de": ("Betriebsart", ("Betrieb", "Störung", "Aus")),
}  # fmt: skip


def plain_table(
    seed: int, *, language: Language, rows: int, period: int, columns: int, state: bool, counter: bool
) -> PlainTable:
    """Draw a table of a plant.

    Args:
        seed: Everything random follows from it.
        language: Whose names the columns bear.
        rows: Number of records, at least 20.
        period: Seconds between records, a divisor of a day.
        columns: Number of numeric readings, at least 2.
        state: Whether a text column with the operating state is added.
        counter: Whether a running counter is added.

    Returns:
        The table. Readings wander and carry noise, so none repeats for long.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 4211]))
    start = np.datetime64("2024-01-02T15:00:00", "s") + np.timedelta64(int(rng.integers(0, 500)) * 86400, "s")
    # Records end their interval: the first stands one period after local midnight.
    time = start + np.arange(1, rows + 1) * np.timedelta64(period, "s")
    pool = _NAMES[language]
    chosen = rng.permutation(len(pool))[: min(columns, len(pool))]
    made: list[PlainColumn] = []
    for i in chosen:
        name, unit, mean, spread, decimals = pool[int(i)]
        slow = np.cumsum(rng.standard_normal(rows)) / np.sqrt(rows)
        reading = mean + spread * (0.7 * slow + 0.6 * rng.standard_normal(rows))
        made.append(PlainColumn(name, unit, np.round(reading, decimals), decimals))
    if counter:
        name, unit = {"ko": ("적산전력량", "kWh"), "vendor": ("CNT_PIECES", "ea"), "de": ("Zähler Energie", "kWh")}[language]
        running = 1000.0 + np.cumsum(rng.integers(3, 19, rows)).astype(np.float64)
        made.append(PlainColumn(name, unit, running, 0, counter=True))
    if state:
        name, words = _STATE[language]
        level = np.repeat(rng.integers(0, len(words), rows // 15 + 1), 15)[:rows]
        made.append(PlainColumn(name, None, level.astype(np.float64), 0, texts=words))
    return PlainTable(f"T{seed % 1000:03d}", str(rng.choice(_TIME_NAMES[language])), time, tuple(made))
