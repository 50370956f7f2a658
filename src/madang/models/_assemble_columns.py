"""Columns of a stored table as the plain arrays of a frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.library import ColumnCard
from madang.models._frame import FloatArray, Series, TimeArray
from madang.plant import Role

ALWAYS_FEW = 30
"""A text column with so few different texts is a category in any table."""
NEVER_MORE = 500
"""A text column with more different texts is free text, whatever the length of the table."""


@dataclass(frozen=True)
class TextCodes:
    """A text column as codes: -1 where the text is absent."""

    codes: NDArray[np.int64]
    categories: tuple[str, ...]
    """Sorted, so that the codes do not depend on the order of the rows."""


def is_time(type_: pa.DataType) -> bool:
    """Whether an Arrow type is an instant."""
    return bool(pa.types.is_timestamp(type_) or pa.types.is_date(type_))


def is_text(type_: pa.DataType) -> bool:
    """Whether an Arrow type is a text, dictionary-coded or not."""
    if pa.types.is_dictionary(type_):
        return is_text(type_.value_type)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def numbers(column: pa.ChunkedArray) -> FloatArray:
    """Return a numeric or boolean column as float64, NaN where absent."""
    values: FloatArray = column.cast(pa.float64(), safe=False).to_numpy()
    return np.ascontiguousarray(values)


def instants(column: pa.ChunkedArray) -> TimeArray:
    """Return a time column as datetime64[us] in UTC, NaT where absent."""
    zone = getattr(column.type, "tz", None)
    values: TimeArray = column.cast(pa.timestamp("us", tz=zone)).cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    return values


def text_codes(column: pa.ChunkedArray) -> TextCodes:
    """Return a text column as codes into its sorted texts."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = sorted(range(len(texts)), key=lambda at: str(texts[at]))
    place = np.empty(len(texts) + 1, dtype=np.int64)
    place[order] = np.arange(len(texts))
    place[-1] = -1
    return TextCodes(place[codes], tuple(str(texts[at]) for at in order))


def texts_of(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """Return any column as texts (whole numbers without a point), empty where absent: how groups are named."""
    if is_text(column.type):
        found = text_codes(column)
        return np.asarray([*found.categories, ""], dtype=np.str_)[found.codes]
    if is_time(column.type):
        named = np.datetime_as_string(instants(column))
        return np.where(named == "NaT", "", named)
    values = numbers(column)
    present, codes = np.unique(values, return_inverse=True)
    names = ["" if np.isnan(v) else str(int(v)) if v == np.floor(v) and abs(v) < 1e15 else repr(float(v)) for v in present]
    return np.asarray(names or [""], dtype=np.str_)[codes]


def series_of(card: ColumnCard, column: pa.ChunkedArray, origin: str, keep: Collection[str]) -> Series | None:
    """Return a column as a series, or None for free text that no model can take as it stands.

    Args:
        card: What is known about the column.
        column: Its values.
        origin: Dataset the column came from, for people.
        keep: Names that are kept as categories however many texts they hold.
    """
    if is_text(column.type):
        coded = text_codes(column)
        few = max(ALWAYS_FEW, min(NEVER_MORE, len(column) // 10))
        named = card.role in {Role.LOT, Role.IDENTIFIER, Role.CATEGORY, Role.STATE, Role.RECIPE, Role.TARGET_CANDIDATE}
        if len(coded.categories) > few and not named and card.name not in keep:
            return None
        values = np.where(coded.codes < 0, np.nan, coded.codes.astype(np.float64))
        return Series(card.name, values, coded.categories, card.role, card.kind, card.unit, origin=origin)
    return Series(card.name, numbers(column), None, card.role, card.kind, card.unit, origin=origin)
