"""Packs: what is known about a kind of process, as data."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import InputError
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.plant import LineDocument

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class PackSource:
    """Where an equation or a number of a pack comes from."""

    what: str
    reference: str


@dataclass(frozen=True)
class Quality:
    """What "good" means on a line: the share of lots within tolerance, stated with its lower bound."""

    point: str
    """Path of the point whose result decides."""
    column: str
    """Name under which the laboratory's exports show it: the target of a study."""
    centre: float
    tolerance: float
    """A lot is good at centre +- tolerance, both in `unit`, ends included."""
    unit: str
    lots_needed: int
    """Fewest lots that show `goal` when two points more are observed."""
    start: float
    goal: float

    def good(self, results: FloatArray) -> NDArray[np.bool_]:
        """Return which results lie within tolerance; an absent result (NaN) is not good."""
        return np.asarray(np.abs(results - self.centre) <= self.tolerance)

    def share(self, results: FloatArray) -> QualityShare:
        """Return the share of lots within tolerance with its one-sided 95 % lower bound.

        Args:
            results: Standing results of the lots, in `unit`; NaN (no result) is left out.

        Raises:
            InputError: There is no result at all.
        """
        known = results[np.isfinite(results)]
        if known.size == 0:
            raise InputError(
                "no_results", ko="결과가 있는 로트가 없어요.", en="No lot has a result.", next_ko="시험 성적을 함께 넣어 주세요.",
                next_en="Bring the laboratory's results as well.",
            )  # fmt: skip
        good = int(np.sum(self.good(known)))
        return QualityShare(good, int(known.size), good / known.size, lower_bound(good, int(known.size)))


@dataclass(frozen=True)
class QualityShare:
    """A share of lots within tolerance."""

    good: int
    lots: int
    share: float
    low: float
    """One-sided 95 % lower bound (Wilson score)."""


@dataclass(frozen=True)
class Pack:
    """What is known about one kind of process."""

    id: str
    version: str
    name: Bilingual
    owner: str
    status: str
    licence: str
    sources: tuple[PackSource, ...]
    line: LineDocument
    quality: Quality


def lower_bound(good: int, lots: int, z: float = 1.6448536269514722) -> float:
    """Return the one-sided lower bound of a share by the Wilson score.

    Args:
        good: Lots within tolerance, from 0 to `lots`.
        lots: Lots counted, at least 1.
        z: Quantile of the standard normal; the default is the one-sided 95 %.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference; score interval, lower end.

    >>> round(lower_bound(920, 1000), 4)
    0.9047
    """
    if lots < 1 or not 0 <= good <= lots:
        raise ValueError(f"0 <= good <= lots and at least one lot, got {good} of {lots}")
    share = good / lots
    centre = share + z * z / (2 * lots)
    spread = z * math.sqrt(share * (1 - share) / lots + z * z / (4 * lots * lots))
    return max(0.0, (centre - spread) / (1 + z * z / lots))


def pack_names() -> tuple[str, ...]:
    """Return the names of the packs that came with the package."""
    root = files("madang") / "packs"
    return tuple(sorted(p.name for p in root.iterdir() if (p / "pack.toml").is_file()))


def load_pack(name: str) -> Pack:
    """Read a pack that came with the package.

    Args:
        name: Its id, one of `pack_names`.

    Raises:
        InputError: There is no such pack.

    >>> load_pack("cathode_firing").quality.lots_needed
    609
    """
    from madang.plant import read_line

    if name not in pack_names():
        known = ", ".join(pack_names())
        raise InputError(
            "unknown_pack", ko=f"팩 {name!r}을(를) 찾을 수 없어요. 있는 팩: {known}.", en=f"There is no pack {name!r}; there are: {known}.",
            next_ko="이름을 확인해 주세요.", next_en="Check the name.", where={"pack": name},
        )  # fmt: skip
    root = files("madang") / "packs" / name
    head = tomllib.loads((root / "pack.toml").read_text(encoding="utf-8"))
    rule = tomllib.loads((root / "quality.toml").read_text(encoding="utf-8"))
    with as_file(root / "line.toml") as path:
        line = read_line(path)
    definition, metric = rule["definition"], rule["metric"]
    return Pack(
        id=head["id"],
        version=head["version"],
        name=Bilingual(head["name_ko"], head["name_en"]),
        owner=head["owner"],
        status=head["status"],
        licence=head["licence"],
        sources=tuple(PackSource(s["what"], s["reference"]) for s in head["sources"]),
        line=line,
        quality=Quality(
            point=definition["point"],
            column=definition["column"],
            centre=float(definition["centre"]),
            tolerance=float(definition["tolerance"]),
            unit=definition["unit"],
            lots_needed=int(metric["lots_needed"]),
            start=float(metric["start"]),
            goal=float(metric["goal"]),
        ),
    )
