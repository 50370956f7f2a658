"""Units written inside cells; what a unit means is the knowledge of `madang.plant`."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from madang import plant
from madang.errors import InputError


def is_unit(text: str) -> bool:
    """Whether a text names a unit of measure."""
    text = text.strip()
    if not text or len(text) > 20 or text.isdigit():
        return False
    return _parsed(text) is not None


def same_unit(first: str, second: str) -> bool:
    """Whether two texts write the same unit."""
    if _plain(first) == _plain(second):
        return True
    one, two = _parsed(first.strip()), _parsed(second.strip())
    return one is not None and one == two


def converted(value: float, from_unit: str, to_unit: str) -> float | None:
    """Convert a value; None when the units measure different things or one is unknown."""
    one, two = _parsed(from_unit.strip()), _parsed(to_unit.strip())
    if one is None or two is None:
        return None
    try:
        return plant.convert(value, one, two)
    except InputError:
        return None


def affine(from_unit: str, to_unit: str) -> tuple[float, float] | None:
    """Return ``(a, b)`` of ``there = a * here + b``; None when the units measure different things or one is unknown."""
    one, two = _parsed(from_unit.strip()), _parsed(to_unit.strip())
    if one is None or two is None:
        return None
    try:
        return plant.affine(one, two)
    except InputError:
        return None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().strip("[]()").replace(" ", "")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> plant.Unit | None:
    return plant.parse_unit(text)
