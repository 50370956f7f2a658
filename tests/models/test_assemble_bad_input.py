"""Tables that are empty, short, doubled or blank give a frame or a clear refusal, and every row is accounted for."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from madang.errors import InputError
from madang.library import TableView, join_tables
from madang.models._assemble import assemble, read_of
from madang.models._words import StudyRequest
from madang.plant import Role
from madang.testing._joins import join_plant

_SHAPES = ("whole", "empty", "one", "two", "blank", "doubled")


def _shape(table: pa.Table, shape: str) -> pa.Table:
    if shape == "blank":
        return pa.table({name: pa.nulls(5, table.schema.field(name).type) for name in table.column_names})
    if shape == "doubled":
        return pa.concat_tables([table, table])
    return table.slice(0, {"whole": table.num_rows, "empty": 0, "one": 1, "two": 2}[shape])


@pytest.mark.parametrize(("lab", "lots"), [*itertools.product(_SHAPES, _SHAPES)])
def test_a_join_accounts_for_every_row_or_refuses(lab: str, lots: str) -> None:
    plant = join_plant(1, lots=80)
    left, right = TableView("lab", _shape(plant.lab, lab)), TableView("mes", _shape(plant.lots, lots))

    for one, other, by in ((left, right, "sample_lot=lot"), (right, left, "lot=sample_lot"), (left, right, None)):
        try:
            got = join_tables(one, other, by=None if by is None else (by,))
        except InputError as error:
            assert error.en and error.ko
            continue
        assert got.rows_left == got.rows_joined + len(got.unmatched) + len(got.ambiguous)
        assert got.table.num_rows == got.rows_joined


@pytest.mark.parametrize(("lab", "lots", "signal"), [*itertools.product(_SHAPES, _SHAPES, ("whole", "empty", "one", "blank"))])
def test_an_assembly_gives_rows_with_a_result_or_refuses(lab: str, lots: str, signal: str) -> None:
    plant = join_plant(1, lots=80)
    reads = [
        read_of(_shape(plant.signal, signal), dataset="plc"),
        read_of(_shape(plant.lots, lots), dataset="mes", roles={"lot": Role.LOT}),
        read_of(_shape(plant.lab, lab), dataset="lab", roles={"sample_lot": Role.LOT, "purity": Role.RESULT}),
    ]

    try:
        frame = assemble(reads, StudyRequest(target="purity"))
    except InputError as error:
        assert error.en and error.ko
        return
    assert len(frame) > 0
    assert set(frame["purity"].values) <= set(plant.lab["purity"].to_pylist())
