"""What a person finds in quarantine: cells that their column's type cannot hold, and columns that changed their type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from madang.connect._blocks import Reject
from madang.connect.sql._catalogue import SqlTable
from madang.connect.sql._columns import BLOB_LIMIT, Misfit, fingerprint
from madang.plant import Bilingual


def misfit_rejects(
    table: SqlTable, rows: Sequence[Sequence[object]], misfits: Sequence[Misfit], received: int
) -> Iterator[Reject]:
    """Yield a reject for each cell that did not fit; its payload names the record and holds the value."""
    names = [column.name for column in table.columns]
    at = [names.index(name) for name in table.key]
    for misfit in misfits:
        code = _code(misfit)
        payload = {
            "table": table.name,
            "column": misfit.column,
            "key": {names[place]: str(rows[misfit.row][place]) for place in at},
            "value": fingerprint(misfit.value) if isinstance(misfit.value, bytes) else str(misfit.value),
        }
        yield Reject(
            topic=table.name,
            payload=json.dumps(payload, ensure_ascii=False).encode(),
            reason=Bilingual(
                f"'{table.name}' 의 열 '{misfit.column}' 에 그 자료형에 맞지 않는 값이 있어요. 그 칸만 비우고 나머지는 받았어요.",
                f"The column '{misfit.column}' of '{table.name}' holds a value that its type cannot hold. "
                "The cell was left empty, the rest of the record was taken.",
            ),
            code=code,
            received=received,
        )


def _code(misfit: Misfit) -> str:
    if misfit.value is None:
        return "no_value"
    if isinstance(misfit.value, bytes) and len(misfit.value) > BLOB_LIMIT:
        return "too_large"
    return "wrong_type" if isinstance(misfit.value, str | bytes) else "out_of_range"


def changed_type(table: str, column: str, before: str, now: str, received: int) -> Reject:
    """Return the note that a column has another type than before."""
    return Reject(
        topic=table,
        payload=json.dumps({"table": table, "column": column, "before": before, "now": now}, ensure_ascii=False).encode(),
        reason=Bilingual(
            f"'{table}' 의 열 '{column}' 자료형이 {before} 에서 {now} 으로 바뀌었어요. 새 자료형으로 계속 받아요.",
            f"The column '{column}' of '{table}' changed its type from {before} to {now}. It is read on with the new type.",
        ),
        code="type_changed",
        received=received,
    )
