"""Sees a table that lies on its side, one quantity per row, and turns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madang.connect._cells import Cell, CellTable
from madang.connect._learn import epoch_scale
from madang.connect._shape import kind_of
from madang.connect._values import ColumnRule, read_number
from madang.errors import Json
from madang.plant import Bilingual

Floats = npt.NDArray[np.float64]
MOST_CELLS = 20_000_000
"""A table on its side must be held whole to be turned, so larger ones are left as they lie."""


@dataclass(frozen=True)
class Turned:
    """A table that lay on its side, as one that stands."""

    cells: CellTable
    reason: Bilingual


def turned(rows: Sequence[Sequence[str]], decimal: str = ".") -> Turned | None:
    """Return the table turned when the evidence says that its rows are the quantities; None when it stands.

    Args:
        rows: All physical rows of the table.
        decimal: Decimal mark of its numbers.
    """
    solid = [list(row) for row in rows if any(cell.strip() for cell in row)]
    by_header = _times_in_header(solid)
    if by_header is not None:
        reason = Bilingual("첫 행에 시각이 늘어서 있어요", "the first row holds the times")
        return Turned(_stand(solid[by_header:], labels=True, stamped=True), reason)
    labels = _labels(solid)
    body = [row[1:] if labels else row for row in solid]
    matrix = _numbers(body, decimal)
    if matrix is None or not lies(matrix):
        return None
    reason = Bilingual(
        "행마다 크기가 고르고 열마다 뒤섞여 있어요", "each row keeps its own scale while every column mixes them"
    )
    return Turned(_stand(solid, labels, stamped=False), reason)


def stand_again(rows: Sequence[Sequence[str]], details: dict[str, Json]) -> CellTable:
    """Turn a later table of a kind that is known to lie on its side."""
    solid = [list(row) for row in rows if any(cell.strip() for cell in row)]
    stamped = bool(details.get("stamped"))
    start = _times_in_header(solid) if stamped else 0
    return _stand(solid[start or 0 :], bool(details.get("labels")), stamped)


def _times_in_header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the row whose cells behind the first are instants while the rows below hold a name and numbers."""
    for place, row in enumerate(rows[:5]):
        cells = [cell for cell in row[1:] if cell.strip()]
        if len(cells) < 3 or not (sum(kind_of(cell) == "time" for cell in cells) >= 0.9 * len(cells) or _are_epochs(cells)):
            continue
        below = rows[place + 1 : place + 30]
        named = sum(bool(other) and kind_of(other[0]) == "word" for other in below)
        numbers = sum(_share(other, "number", "empty") >= 0.8 for other in below)
        words = sum(_share(other, "word", "empty") >= 0.9 and len(set(other[1:])) <= 12 for other in below)
        if numbers and named >= 0.9 * len(below) and numbers + words >= 0.9 * len(below) and numbers >= words:
            return place
    return None


def _are_epochs(cells: Sequence[str]) -> bool:
    """Whether whole numbers count seconds (or parts of them) of our days and only go on."""
    if len(cells) < 8 or not all(cell.strip().isascii() and cell.strip().isdigit() for cell in cells):
        return False
    numbers = [float(cell) for cell in cells]
    return epoch_scale(numbers) is not None and sorted(numbers) == numbers and len(set(numbers)) > 0.5 * len(numbers)


def _share(row: Sequence[str], *kinds: str) -> float:
    """Return the share of the filled cells behind the first that are of some kinds."""
    cells = [cell for cell in row[1:] if cell.strip()]
    return sum(kind_of(cell) in kinds for cell in cells) / len(cells) if cells else 1.0


def _labels(rows: Sequence[Sequence[str]]) -> bool:
    names = [row[0].strip() for row in rows if row]
    return len(rows) >= 3 and all(kind_of(name) == "word" for name in names) and len(set(names)) == len(names)


def _numbers(rows: Sequence[Sequence[str]], decimal: str) -> Floats | None:
    width = max(map(len, rows), default=0)
    if len(rows) < 3 or width < 8 or len(rows) * width > MOST_CELLS or any(len(row) != width for row in rows):
        return None
    try:
        return np.array([[float(cell.replace(decimal, ".")) if cell.strip() else np.nan for cell in row] for row in rows])
    except ValueError:
        pass
    rule = ColumnRule("number", decimal)
    read = [[read_number(cell, rule).value for cell in row] for row in rows]
    if sum(value is None for row in read for value in row) > 0.2 * len(rows) * width:
        return None
    return np.array([[np.nan if value is None else float(value) for value in row] for row in read])


def lies(matrix: Floats) -> bool:
    """Whether the rows of a matrix of numbers are its quantities.

    Quantities of a plant differ in scale far more than one of them varies, so the share of variance between the quantities
    is near one, and between samples near zero (intraclass correlation of inverse hyperbolic sines). Repeated measurements
    of different pieces also look so across rows; therefore rows must be fewer than columns, and neighbours in a row must
    follow each other as samples of a series do, or the scales must differ too much to be pieces of one kind.
    """
    rows, columns = matrix.shape
    if rows * 1.5 > columns:
        return False
    scaled = np.arcsinh(matrix)
    by_row, by_column = _between(scaled), _between(scaled.T)
    if by_row < 0.8 or by_column > 0.3:
        return False
    middle = np.nanmedian(np.abs(matrix), axis=1)
    apart = middle[middle > 0]
    decades = float(np.log10(apart.max() / apart.min())) if len(apart) else 0.0
    return decades > 1.5 or _follows(matrix) > 0.5


def _between(scaled: Floats) -> float:
    """Return the share of variance that lies between the rows."""
    total = float(np.nanvar(scaled))
    if total == 0:
        return 0.0
    means = np.nanmean(scaled, axis=1) if not np.isnan(scaled).all(axis=1).any() else np.zeros(len(scaled))
    return float(np.nanvar(means)) / total


def _follows(matrix: Floats) -> float:
    """Return the median correlation of each row with itself one place on."""
    out = []
    for row in matrix:
        solid = row[np.isfinite(row)]
        if len(solid) > 8 and float(np.std(solid)) > 0:
            centred = solid - solid.mean()
            out.append(float((centred[1:] * centred[:-1]).mean() / centred.var()))
    return float(np.median(out)) if out else 0.0


def _stand(rows: Sequence[Sequence[str]], labels: bool, stamped: bool) -> CellTable:
    width = max(map(len, rows), default=0)
    padded = [list(row) + [""] * (width - len(row)) for row in rows]
    names = [row[0].strip() or f"c{place}" for place, row in enumerate(padded, start=1)] if labels else []
    header = names or [f"c{place}" for place in range(1, len(padded) + 1)]
    if stamped and not padded[0][0].strip():
        header[0] = "time"

    def records() -> Iterator[list[Cell]]:
        for place in range(1 if labels else 0, width):
            yield [row[place] for row in padded]

    return CellTable(records, header=tuple(header), details={"labels": labels, "stamped": stamped})
