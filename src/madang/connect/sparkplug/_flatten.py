"""Takes metrics apart into single values: data sets by row and column, templates by member, arrays by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from madang.connect.sparkplug._wire import TEXTS, DataType, MalformedError, Value, Wire, array, scalar

MOST: Final = 1_000
"""Values that one metric may hold."""
_DEEPEST: Final = 8
_NO_VALUES: Final = frozenset({DataType.BYTES, DataType.FILE, DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST})


class NotSupportedError(Exception):
    """A metric whose type is no measurement, such as a file."""


@dataclass(frozen=True)
class Part:
    """One value of a metric."""

    path: str
    """What is added to the metric's name: empty, ``/member``, ``[row].column`` or ``[place]``."""
    value: Value
    datatype: int


def parts(metric: Wire, datatype: int, known: Callable[[str], int], path: str = "", depth: int = 0) -> Iterator[Part]:
    """Yield the values of a metric.

    Args:
        metric: As it came.
        datatype: Its own, or the one its birth announced.
        known: Returns the announced data type of a member, whose data messages leave it out.
        path: Where in the outermost metric this one stands.
        depth: How deep.

    Raises:
        MalformedError: It does not hold what its type says.
        NotSupportedError: Its type is none of those taken.
    """
    if metric.is_null or metric.WhichOneof("value") is None:
        if datatype in {DataType.TEMPLATE, DataType.DATASET} or datatype >= DataType.INT8_ARRAY:
            return
        yield Part(path, None, datatype)
    elif datatype == DataType.TEMPLATE:
        if depth >= _DEEPEST:
            raise MalformedError("templates nested too deeply")
        yield from _template(metric.template_value, known, path, depth)
    elif datatype == DataType.DATASET:
        yield from _dataset(metric.dataset_value, path)
    elif datatype >= DataType.INT8_ARRAY:
        values = array(metric.bytes_value, datatype)
        if len(values) > MOST:
            raise NotSupportedError("too_many_values")
        for place, value in enumerate(values):
            yield Part(f"{path}[{place}]", value, _kind_of(value))
    elif datatype in _NO_VALUES:
        raise NotSupportedError("type")
    else:
        yield Part(path, scalar(metric, datatype), datatype)


def _template(template: Wire, known: Callable[[str], int], path: str, depth: int) -> Iterator[Part]:
    if template.is_definition:
        return
    for parameter in template.parameters:
        yield Part(f"{path}/{parameter.name}", scalar(parameter, parameter.type), parameter.type)
    for member in template.metrics:
        place = f"{path}/{member.name}"
        yield from parts(member, member.datatype or known(place), known, place, depth + 1)


def _dataset(dataset: Wire, path: str) -> Iterator[Part]:
    columns, types = list(dataset.columns), list(dataset.types)
    if len(columns) != len(types) or (dataset.num_of_columns and dataset.num_of_columns != len(columns)):
        raise MalformedError("a data set has as many headings as types")
    if len(columns) * len(dataset.rows) > MOST:
        raise NotSupportedError("too_many_values")
    for number, row in enumerate(dataset.rows):
        if len(row.elements) != len(columns):
            raise MalformedError("a row has as many cells as the data set has columns")
        for heading, datatype, cell in zip(columns, types, row.elements, strict=True):
            yield Part(f"{path}[{number}].{heading}", scalar(cell, datatype), datatype)


def _kind_of(value: Value) -> int:
    if isinstance(value, bool):
        return DataType.BOOLEAN
    if isinstance(value, str):
        return DataType.STRING
    return DataType.INT64 if isinstance(value, int) else DataType.DOUBLE


def is_text(datatype: int) -> bool:
    """Whether values of a data type are kept as texts."""
    return datatype in TEXTS or datatype == DataType.DATETIME
