"""The table a study learns from: plain arrays, with what is known about each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import Json
from madang.plant import Kind, Role

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
TimeArray: TypeAlias = NDArray[np.datetime64]
BoolArray: TypeAlias = NDArray[np.bool_]

Task = Literal["regression", "classification", "forecast", "fault", "life", "inspect", "energy"]

Availability = Literal["before", "with_target", "after_result", "calendar", "past_only", "unknown"]
"""When the value of a column is known, relative to the instant a prediction is issued.

before: known when the prediction is issued (process readings of the lot, recipe, raw lot);
calendar: known ahead for any instant (hour, weekday, shift, planned order);
with_target: known only at the instant of the target itself (usable only through its past);
past_only: the target's own past, usable from its result time on;
after_result: known only after the result (disposition, scrap count): never an input.
"""


@dataclass(frozen=True)
class Series:
    """One column of a frame."""

    name: str
    values: FloatArray
    """Numbers in `unit`, NaN where absent; for a categorical column the code of its category (as float), NaN where absent."""
    categories: tuple[str, ...] | None = None
    """Names of the categories, when the column is categorical."""
    role: Role = Role.UNKNOWN
    kind: Kind = Kind.UNKNOWN
    unit: str | None = None
    available: Availability = "unknown"
    origin: str = ""
    """Dataset (and how it was made: ``plc.kiln_t3 mean over soak``), for people."""

    @property
    def categorical(self) -> bool:
        """Whether the values are codes of categories."""
        return self.categories is not None


@dataclass(frozen=True)
class Frame:
    """Rows of one study in the order of their source, every column of equal length."""

    series: Mapping[str, Series]
    part: IntArray
    """Index of the source file of each row."""
    row: IntArray
    """Source record number of each row (1-based, per file)."""
    time: TimeArray | None = None
    """Instant of each row, datetime64[us] in UTC, NaT where unknown; None when the table has no time."""
    result_time: TimeArray | None = None
    """When the target of each row became known; None when the same as `time` plus a stated delay."""
    group: NDArray[np.str_] | None = None
    """Lot, engine, batch or heat that a row belongs to, when one was found or given."""
    sources: tuple[str, ...] = ()
    """Names of the source files, by part."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """How the frame was made (joins, offsets, windows), for the report."""

    def __post_init__(self) -> None:
        rows = len(self.row)
        for series in self.series.values():
            if len(series.values) != rows:
                raise ValueError(f"column {series.name!r} has {len(series.values)} rows, the frame has {rows}")

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series.values())

    def __getitem__(self, name: str) -> Series:
        return self.series[name]

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Frame:
        """Return the rows at an index or mask, in that order."""
        return replace(
            self,
            series={n: replace(s, values=s.values[index]) for n, s in self.series.items()},
            part=self.part[index],
            row=self.row[index],
            time=None if self.time is None else self.time[index],
            result_time=None if self.result_time is None else self.result_time[index],
            group=None if self.group is None else self.group[index],
        )

    def without(self, *names: str) -> Frame:
        """Return the frame without some columns."""
        return replace(self, series={n: s for n, s in self.series.items() if n not in names})

    def with_series(self, *series: Series) -> Frame:
        """Return the frame with columns added or replaced."""
        return replace(self, series={**self.series, **{s.name: s for s in series}})
