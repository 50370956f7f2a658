"""Planted traps and their clean twins: does a guardrail see what no model may see, and nothing else?

A case is a small plant's table made from a seed. Its clean twin is the same table without the trap; both carry whatever makes
honest data look suspicious: a strong cause, seasons, lot effects, rare classes, coarse sensors at rest, slow drift, counters
that reset, empty cells, lagged columns, readings in the unit of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from madang.models._frame import FloatArray, Frame, Series, Task
from madang.plant import Kind, Role

_PROCESS_NAMES: Final = (
    ("로내온도", "furnace_temp", "TI101"), ("압력", "chamber_pressure", "PT-204"), ("유량", "gas_flow", "FI_330"),
    ("습도", "humidity_pct", "AI77"), ("모터전류", "motor_current", "M12_A"), ("회전수", "spindle_rpm", "SP_09"),
    ("장력", "tension", "WT_5"), ("라인속도", "line_speed", "V_02"), ("원료수분", "raw_moisture", "LIMS_4"),
    ("냉각수온", "coolant_temp", "TI250"), ("진동", "vibration_rms", "VB8"), ("토크", "torque_nm", "TQ_3"),
    ("두께편차", "gap_mm", "GP_1"), ("pH", "bath_ph", "QI_6"),
)  # fmt: skip
_TARGETS: Final = (
    ("잔류리튬", "residual_li", "Y1"), ("점도", "viscosity", "LAB_Y"), ("경도", "hardness", "Q_001"), ("두께", "thickness", "y"),
)  # fmt: skip
_CLASS_TARGETS: Final = (
    ("검사등급", "quality_class", "Y"),
    ("합격여부", "is_defect", "target"),
    ("상태", "machine_failure", "y"),
)


@dataclass(frozen=True)
class TrapCase:
    """One table with its truth."""

    kind: str
    """Name of the trap, or ``clean``."""
    world: str
    frame: Frame
    target: str
    task: Task
    horizon_rows: int
    planted: tuple[str, ...] = ()
    """Columns that leak; empty for a clean table and for traps that lie in the rows."""
    codes: frozenset[str] = frozenset()
    """Codes that name the trap rightly, when it lies in the rows."""


class _World:
    """A plant's table under construction."""

    def __init__(self, name: str, seed: int, rows: int) -> None:
        self.name = name
        self.random = np.random.default_rng(seed)
        self.n = rows
        self.style = int(self.random.integers(0, 3))
        self.series: dict[str, Series] = {}
        self.time: np.ndarray | None = None
        self.group: np.ndarray | None = None
        self.part = np.zeros(rows, dtype=np.int64)
        self.task: Task = "regression"
        self.horizon = 0
        self.target = ""
        self.y: FloatArray = np.zeros(rows)

    def add(
        self, name: str, values: NDArray[Any], categories: tuple[str, ...] | None = None, role: Role = Role.UNKNOWN,
        kind: Kind = Kind.UNKNOWN, unit: str | None = None,
    ) -> str:  # fmt: skip
        while name in self.series:
            name += "_2"
        self.series[name] = Series(name, np.asarray(values, dtype=np.float64), categories, role, kind, unit)
        return name

    def walk(self, memory: float) -> FloatArray:
        noise = self.random.standard_normal(self.n)
        out = np.empty(self.n)
        out[0] = noise[0]
        for t in range(1, self.n):
            out[t] = memory * out[t - 1] + np.sqrt(1 - memory**2) * noise[t]
        return out

    def frame(self) -> Frame:
        names = list(self.series)
        order = [names[k] for k in self.random.permutation(len(names))] if self.style != 1 else names
        return Frame(
            {n: self.series[n] for n in order}, self.part, np.arange(1, self.n + 1, dtype=np.int64),
            time=self.time, group=self.group, sources=tuple(f"export_{k}.csv" for k in range(int(self.part.max()) + 1)),
        )  # fmt: skip


def _process(world: _World, memory: float) -> list[str]:
    """Readings with common moods, some coarse, one at rest for hours, with empty cells."""
    r, n = world.random, world.n
    count = int(r.integers(4, 11))
    moods = np.stack([world.walk(memory) for _ in range(2)], axis=1)
    names = []
    for k in r.permutation(len(_PROCESS_NAMES))[:count]:
        x = moods @ r.normal(0, 0.5, 2) + world.walk(memory) * r.uniform(0.5, 1.0)
        if r.random() < 0.25:
            x = x + np.linspace(0, r.normal(0, 1.0), n)
        x = r.uniform(10, 900) + x * r.uniform(0.5, 30)
        draw = r.random()
        if draw < 0.3:
            step = float(np.std(x)) / r.uniform(2, 6)
            x = np.round(x / step) * step
        elif draw < 0.8:
            x = np.round(x, 2)
        if r.random() < 0.25:
            x = np.where(r.random(n) < r.uniform(0.01, 0.1), np.nan, x)
        names.append(world.add(_PROCESS_NAMES[k][world.style], x))
    return names


def _signal(world: _World, names: list[str]) -> FloatArray:
    """A smooth honest effect of a few readings, standardised."""
    out = np.zeros(world.n)
    for name in names[: int(world.random.integers(2, 4))]:
        x = world.series[name].values
        x = np.nan_to_num((x - np.nanmean(x)) / max(float(np.nanstd(x)), 1e-9))
        out += world.random.choice([-1, 1]) * world.random.uniform(0.5, 1.0) * np.tanh(x * world.random.uniform(0.5, 1.5))
    return out / max(float(np.std(out)), 1e-9)


def _honest_suspects(world: _World) -> None:
    """Columns that are right to have, and look like leaks."""
    r, n = world.random, world.n
    if r.random() < 0.5:
        length = int(r.integers(15, 60))
        world.add(("금형타수", "strokes_since_change", "CNT_1")[world.style], np.arange(n) % length, role=Role.COUNTER)
    if r.random() < 0.4:
        world.add(("레시피", "recipe", "RCP")[world.style], r.integers(0, 4, n), ("R1", "R2", "R3", "R4"), role=Role.RECIPE)
    if r.random() < 0.4:
        world.add(("설정온도", "temp_sp", "SP101")[world.style], 800 + 5.0 * r.integers(0, 3, n), role=Role.SET_POINT)
    if r.random() < 0.3:
        world.add(("캠페인로트순번", "campaign_batch_no", "BN")[world.style], np.arange(n) // int(r.integers(20, 50)))
    if r.random() < 0.3:
        world.add(("장비", "machine", "EQ")[world.style], r.integers(0, 3, n), ("A", "B", "C"))


def _numeric(world: _World, memory: float, honest: float) -> None:
    names = _process(world, memory)
    signal = _signal(world, names)
    r = world.random
    noise = world.walk(memory * r.uniform(0, 0.8))
    y = np.sqrt(honest) * signal + np.sqrt(1 - honest) * noise
    if r.random() < 0.4:
        # One reading that explains nearly all of it, as a well-run furnace does.
        driver = y + r.standard_normal(world.n) * np.sqrt(r.uniform(0.03, 0.12))
        world.add(
            ("노심온도", "core_temp", "TI999")[world.style], np.round(700 + 12 * np.sign(r.normal()) * np.sinh(driver / 2), 1)
        )
    centre, spread = float(r.uniform(5, 500)), float(r.uniform(0.2, 20))
    world.y = np.asarray(np.round(centre + spread * y, 3), dtype=np.float64)
    if r.random() < 0.3:
        mixed = centre + spread * (0.7 * y + 0.7 * r.standard_normal(world.n)) + spread * r.uniform(0.3, 1)
        world.add(("입고검사값", "incoming_value", "IN_Q")[world.style], np.round(mixed, 3))
    world.target = _TARGETS[int(r.integers(0, len(_TARGETS)))][world.style]
    world.add(world.target, world.y)
    _honest_suspects(world)


def _lots(seed: int, rows: int) -> _World:
    world = _World("lots", seed, rows)
    _numeric(world, world.random.uniform(0.0, 0.6), world.random.uniform(0.3, 0.95))
    return world


def _series(seed: int, rows: int) -> _World:
    world = _World("series", seed, rows)
    step = int(world.random.choice([60, 600, 3600]))
    start = np.datetime64("2024-03-01T00:00:00", "us")
    world.time = start + (np.arange(rows) * step).astype("timedelta64[s]").astype("timedelta64[us]")
    _numeric(world, world.random.uniform(0.7, 0.98), world.random.uniform(0.3, 0.95))
    if world.random.random() < 0.4:
        name = f"{world.target}_prev" if world.style == 1 else ("직전값", "", "LAB_Y_T-1")[world.style]
        world.add(name, np.concatenate([[np.nan], world.y[:-1]]))
    return world


def _energy(seed: int, rows: int) -> _World:
    world = _World("energy", seed, rows)
    r = world.random
    world.task, world.horizon = "forecast", int(r.choice([1, 4, 24]))
    start = np.datetime64("2024-03-01T00:00:00", "us")
    world.time = start + (np.arange(rows) * 3600).astype("timedelta64[s]").astype("timedelta64[us]")
    hour = np.arange(rows) % 24
    running = np.where((hour > 6) & (hour < 20) & ((np.arange(rows) // 24) % 7 < 6), 1.0, 0.0)
    load = 20 + 60 * running * (1 + 0.15 * world.walk(0.9)) + 3 * world.walk(0.5)
    world.y = np.asarray(np.round(np.maximum(load, 1), 2), dtype=np.float64)
    world.target = ("전력사용량", "usage_kwh", "KWH")[world.style]
    world.add(world.target, world.y, kind=Kind.ELECTRIC_ENERGY, unit="kW.h")
    world.add(
        ("외기온도", "ambient_temp", "TO")[world.style], np.round(12 + 6 * np.sin(hour / 24 * 6.28) + 3 * world.walk(0.99), 1)
    )
    world.add(("시각", "hour", "HH")[world.style], hour.astype(float))
    world.add(("생산계획", "planned_output", "PLAN")[world.style], np.round(running * r.uniform(80, 120)))
    _process(world, 0.9)
    return world


def _defects(seed: int, rows: int) -> _World:
    world = _World("defects", seed, rows)
    r = world.random
    world.task = "classification"
    names = _process(world, r.uniform(0, 0.7))
    score = _signal(world, names) * r.uniform(0.5, 2.5) + r.standard_normal(rows)
    prevalence = r.uniform(0.04, 0.3)
    world.y = (score > np.quantile(score, 1 - prevalence)).astype(float)
    if r.random() < 0.3:
        driver = score + r.standard_normal(rows) * 0.25
        world.add(("노심온도", "core_temp", "TI999")[world.style], np.round(700 + 12 * driver, 1))
    world.target = _CLASS_TARGETS[int(r.integers(0, 3))][world.style]
    world.add(world.target, world.y, ("good", "bad") if r.random() < 0.5 else None)
    _honest_suspects(world)
    return world


def _classes(seed: int, rows: int) -> _World:
    world = _World("classes", seed, rows)
    r = world.random
    world.task = "classification"
    names = _process(world, r.uniform(0, 0.5))
    count = int(r.integers(3, 7))
    scores = np.stack(
        [_signal(world, names[k % len(names) :] + names) * 1.5 + r.gumbel(0, 1, rows) for k in range(count)], axis=1
    )
    world.y = np.argmax(scores + np.log(r.dirichlet(np.ones(count) * 2) + 0.03), axis=1).astype(float)
    world.target = _CLASS_TARGETS[int(r.integers(0, 3))][world.style]
    world.add(world.target, world.y, tuple(f"k{k}" for k in range(count)))
    _honest_suspects(world)
    return world


_WORLDS: Final[dict[str, Callable[[int, int], _World]]] = {
    "lots": _lots, "series": _series, "energy": _energy, "defects": _defects, "classes": _classes,
}  # fmt: skip
_NUMERIC: Final = ("lots", "series", "energy")
_SERIES: Final = ("series", "energy")
_CLASSED: Final = ("defects", "classes")


def _named(world: _World, names: tuple[str, str, str]) -> str:
    return names[world.style]


def _copy(w: _World) -> tuple[str, ...]:
    a, b = w.random.uniform(0.1, 9), w.random.normal(0, 50)
    return (w.add(_named(w, ("환산값", "converted_value", "C_77")), np.round(a * w.y + b, 4)),)


def _noisy_copy(w: _World) -> tuple[str, ...]:
    if w.task == "classification":
        k = int(w.y.max()) + 1
        flips = w.random.random(w.n) < w.random.uniform(0.0, 0.1) * min(
            float(np.mean(w.y != np.bincount(w.y.astype(int)).argmax())), 0.3
        )
        values = np.where(flips, w.random.integers(0, k, w.n), w.y)
        return (w.add(_named(w, ("작업자기록", "operator_entry", "OP_1")), values, tuple(f"v{i}" for i in range(k))),)
    noise = w.random.standard_normal(w.n) * float(np.std(w.y)) * w.random.uniform(0.02, 0.2)
    return (w.add(_named(w, ("재측정값", "second_gauge", "G2")), np.round(w.y + noise, 3)),)


def _relabel(w: _World) -> tuple[str, ...]:
    if w.task == "classification":
        k = int(w.y.max()) + 1
        codes = w.random.permutation(k)[w.y.astype(int)].astype(float)
        return (w.add(_named(w, ("구분", "bucket", "B_3")), codes, tuple(f"z{i}" for i in range(k))),)
    edges = np.quantile(w.y, (0.2, 0.4, 0.6, 0.8))
    return (w.add(_named(w, ("구분", "bucket", "B_3")), np.searchsorted(edges, w.y).astype(float), ("C", "A", "E", "B", "D")),)


def _consequence(w: _World) -> tuple[str, ...]:
    spread = max(float(np.std(w.y)), 1e-9)
    level = (w.y - w.y.mean()) / spread
    amount = np.maximum(0, np.round(5 + 3 * level + w.random.standard_normal(w.n) * w.random.uniform(0.5, 2), 1))
    name = w.random.choice(np.array([("폐기량_kg", "scrap_kg", "SCRAP_QTY"), ("재작업시간", "rework_minutes", "REWORK_T")]))
    return (w.add(str(name[w.style]), amount),)


def _computed(w: _World) -> tuple[str, ...]:
    """A coarse amount computed from the target, under a name that says nothing."""
    level = (w.y - w.y.min()) / max(float(np.ptp(w.y)), 1e-9)
    return (
        w.add(
            _named(w, ("환산지수", "index_value", "K_40")),
            np.round(level ** w.random.uniform(0.6, 1.6) * w.random.integers(6, 40)),
        ),
    )


def _meter(w: _World) -> tuple[str, ...]:
    if w.name != "energy":
        return _computed(w)
    co2 = w.add(_named(w, ("CO2(tCO2)", "co2_t", "CO2")), np.round(w.y * 0.0005, 3))
    return (co2,)


def _failure_flags(w: _World) -> tuple[str, ...]:
    bad = np.flatnonzero(w.y == 1)
    split = np.array_split(w.random.permutation(bad), 3)
    out = []
    for k, rows in enumerate(split):
        values = np.zeros(w.n)
        values[rows] = 1
        out.append(w.add(("모드", "MODE", "F")[w.style] + "ABC"[k], values))
    return tuple(out)


def _scrambled_number(w: _World) -> tuple[str, ...]:
    """A serial number that was given after sorting."""
    order = np.argsort(w.y + w.random.standard_normal(w.n) * 0.1 * float(np.std(w.y)), kind="stable")
    values = np.empty(w.n)
    values[order] = np.arange(w.n) + 10_000
    return (w.add(_named(w, ("일련번호", "serial_no", "SN")), values),)


def _sorted_rows(w: _World) -> tuple[str, ...]:
    order = np.argsort(w.y, kind="stable")
    w.series = {n: replace(s, values=s.values[order]) for n, s in w.series.items()}
    w.y = w.y[order]
    return ()


def _future(w: _World) -> tuple[str, ...]:
    k = int(w.random.integers(1, 5))
    values = np.concatenate([w.y[k:], np.full(k, np.nan)])
    noise = w.random.standard_normal(w.n) * float(np.std(w.y)) * w.random.choice([0.0, 0.01])
    return (w.add(_named(w, ("보조값", "aux_signal", "X_88")), values + noise),)


def _future_feature(w: _World) -> tuple[str, ...]:
    source = next(n for n, s in w.series.items() if n != w.target and len(np.unique(s.values)) > w.n // 4)
    k = int(w.random.integers(1, 6))
    name = source + ("_다음", "_next", "_T+1")[w.style]
    return (w.add(name, np.concatenate([w.series[source].values[k:], np.full(k, np.nan)])),)


def _centred_mean(w: _World) -> tuple[str, ...]:
    width = int(w.random.integers(1, 8)) * 2 + 1
    values = np.convolve(w.y, np.ones(width) / width, "same")
    values[: width // 2] = np.nan
    values[-(width // 2) :] = np.nan
    return (w.add(_named(w, ("평활값", "smooth_value", "S_5")), np.round(values, 4)),)


def _running_sum(w: _World) -> tuple[str, ...]:
    if w.random.random() < 0.5:
        return (w.add(_named(w, ("누계", "total_to_date", "TOT")), np.cumsum(w.y)),)
    return (w.add(_named(w, ("누적평균", "mean_to_date", "AVG")), np.cumsum(w.y) / np.arange(1, w.n + 1)),)


def _ratio(w: _World) -> tuple[str, ...]:
    other = next(
        n for n, s in w.series.items()
        if n != w.target and not s.categorical and np.nanmin(s.values) > 0 and len(np.unique(s.values)) > 12
    )  # fmt: skip
    x = w.series[other].values
    if w.random.random() < 0.5:
        return (w.add(_named(w, ("원단위", "per_unit", "R_1")), w.y / x),)
    return (w.add(_named(w, ("차이값", "delta_value", "D_1")), w.y - x),)


def _missing(w: _World) -> tuple[str, ...]:
    """A value that somebody enters only for the bad ones."""
    if w.task == "classification":
        bad = w.y == (1 if w.name == "defects" else np.bincount(w.y.astype(int)).argmin())
    else:
        bad = w.y > np.quantile(w.y, w.random.uniform(0.7, 0.9))
    bad = bad & (w.random.random(w.n) < w.random.uniform(0.85, 1.0))
    return (
        w.add(_named(w, ("보정시간", "extra_minutes", "EM_2")), np.where(bad, np.round(w.random.uniform(5, 60, w.n)), np.nan)),
    )


def _duplicates(w: _World) -> tuple[str, ...]:
    share = w.random.uniform(0.03, 0.2)
    count = max(8, int(share * w.n))
    source = w.random.choice(w.n, count, replace=False)
    place = w.random.choice(w.n, count, replace=False)
    w.series = {n: replace(s, values=_overwritten(s.values, place, source)) for n, s in w.series.items()}
    w.y = w.series[w.target].values
    return ()


def _overwritten(values: FloatArray, place: np.ndarray, source: np.ndarray) -> FloatArray:
    out = values.copy()
    out[place] = values[source]
    return out


def _files(w: _World) -> tuple[str, ...]:
    if w.task == "classification":
        w.part = w.y.astype(np.int64)
    else:
        w.part = np.searchsorted(np.quantile(w.y, (0.25, 0.5, 0.75)), w.y).astype(np.int64)
    order = np.argsort(w.part, kind="stable")
    w.series = {n: replace(s, values=s.values[order]) for n, s in w.series.items()}
    w.part, w.y = w.part[order], w.y[order]
    return ()


def _file_column(w: _World) -> tuple[str, ...]:
    part = w.y.astype(int) if w.task == "classification" else np.searchsorted(np.quantile(w.y, (0.25, 0.5, 0.75)), w.y)
    copies = w.random.integers(0, 3, w.n)
    names = tuple(f"img_{k}_{c}.csv" for k in range(int(part.max()) + 1) for c in range(3))
    return (w.add(_named(w, ("원본파일", "source_file", "FILE")), (part * 3 + copies).astype(float), names),)


def _lot_rows(w: _World) -> tuple[str, ...]:
    """Several rows per lot, which share most of the lot's result, and a lot column that nobody declared."""
    size = int(w.random.integers(4, 13))
    lot = np.arange(w.n) // size
    effect = w.random.standard_normal(int(lot.max()) + 1)[lot]
    if w.task == "classification":
        own = effect * 1.5 + w.random.standard_normal(w.n) * 0.6
        values = (own > np.quantile(own, 1 - max(0.1, float(np.mean(w.y == 1))))).astype(float)
    else:
        values = np.round(w.y + 1.2 * float(np.std(w.y)) * effect, 3)
    w.y = values
    w.series[w.target] = replace(w.series[w.target], values=values)
    name = _named(w, ("로트번호", "lot_no", "LOT"))
    w.add(name, lot.astype(float), tuple(f"L{k:05d}" for k in range(int(lot.max()) + 1)), role=Role.LOT)
    return ()


def _group_mean(w: _World) -> tuple[str, ...]:
    """The mean result of each small lot, computed over all rows, given as an input."""
    lot = np.arange(w.n) // int(w.random.integers(2, 5))
    means = np.bincount(lot, weights=w.y) / np.bincount(lot)
    w.add(_named(w, ("묶음", "bundle", "BDL")), lot.astype(float))
    return (w.add(_named(w, ("묶음평균", "bundle_level", "BL")), means[lot]),)


@dataclass(frozen=True)
class _Kind:
    plant: Callable[[_World], tuple[str, ...]]
    worlds: tuple[str, ...]
    codes: frozenset[str] = frozenset()


TRAPS: Final[dict[str, _Kind]] = {
    "label_copy": _Kind(_copy, _NUMERIC),
    "noisy_copy": _Kind(_noisy_copy, ("lots", "series", *_CLASSED)),
    "relabel": _Kind(_relabel, ("lots", "series", *_CLASSED)),
    "named_consequence": _Kind(_consequence, ("lots", "series", "defects")),
    "computed_consequence": _Kind(_computed, ("lots", "series")),
    "same_meter": _Kind(_meter, ("energy",)),
    "failure_flags": _Kind(_failure_flags, ("defects",)),
    "serial_after_sorting": _Kind(_scrambled_number, ("lots", "defects")),
    "sorted_rows": _Kind(_sorted_rows, ("lots", *_CLASSED), frozenset({"row_order"})),
    "future_target": _Kind(_future, _SERIES),
    "future_reading": _Kind(_future_feature, ("series",)),
    "centred_mean": _Kind(_centred_mean, _SERIES),
    "running_sum": _Kind(_running_sum, _NUMERIC),
    "ratio_or_difference": _Kind(_ratio, ("lots", "series")),
    "filled_after_result": _Kind(_missing, ("lots", "series", *_CLASSED)),
    "duplicate_rows": _Kind(_duplicates, ("lots", *_CLASSED), frozenset({"duplicate_rows"})),
    "file_per_class": _Kind(_files, ("lots", *_CLASSED), frozenset({"file_name", "row_order"})),
    "file_column": _Kind(_file_column, ("lots", *_CLASSED)),
    "undeclared_lots": _Kind(_lot_rows, ("lots", "defects"), frozenset({"group_overlap"})),
    "group_mean": _Kind(_group_mean, ("lots",)),
}
"""All kinds of traps, with the plants in which each is planted."""


def trap_cases(seed: int, *, sizes: tuple[int, ...] = (400, 1200)) -> Iterator[tuple[TrapCase, TrapCase]]:
    """Yield every trap in every plant it fits and in every size, each with its clean twin.

    Args:
        seed: Of everything; another seed gives other tables.
        sizes: Rows of the tables.
    """
    for place, (kind, trap) in enumerate(TRAPS.items()):
        for at, name in enumerate(trap.worlds):
            for rows in sizes:
                own = seed * 1_000_003 + place * 10_007 + at * 101 + rows
                clean, planted = _WORLDS[name](own, rows), _WORLDS[name](own, rows)
                columns = trap.plant(planted)
                yield (
                    TrapCase(kind, name, planted.frame(), planted.target, planted.task, planted.horizon, columns, trap.codes),
                    TrapCase("clean", name, clean.frame(), clean.target, clean.task, clean.horizon),
                )
