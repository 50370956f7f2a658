"""What the columns of a table mean: the standardiser's proposals, people's earlier decisions, and the units to store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import Layout, SourceColumn
from madang.errors import Json
from madang.library._cards import ColumnCard
from madang.plant import Bilingual, Kind, Role, affine, parse_unit

Proposer: TypeAlias = Callable[[Layout, pa.RecordBatch], Sequence[ColumnCard]]
"""Proposes the cards of a table's columns (of a long table: of its tags) from its layout and its first records."""


@dataclass(frozen=True)
class MappingDecision:
    """What a person said about a column, to be used again wherever that column name comes back."""

    id: int
    dataset: int | None
    source_name: str
    unit_source: str | None
    answer: str
    """``accept`` or ``reject``."""
    role: Role | None
    kind: Kind | None
    unit: str | None
    point: str | None
    party: str


def decided(card: ColumnCard, decisions: Sequence[MappingDecision], dataset: int | None) -> ColumnCard:
    """Return the card as people decided it: the dataset's own decision first, then the newest of another dataset.

    A decision made elsewhere counts only for the same column name with the same written unit.
    """
    best: MappingDecision | None = None
    for decision in decisions:
        if decision.source_name != card.source_name:
            continue
        if decision.dataset == dataset and dataset is not None:
            best = decision
            break
        if best is None and decision.unit_source == card.unit_source:
            best = decision
    if best is None:
        return card
    card = replace(card, proposal=card.proposal or proposal_of(card))
    if best.answer == "reject":
        return replace(
            card,
            role=Role.UNKNOWN,
            kind=Kind.UNKNOWN,
            unit=None,
            point=None,
            confidence=0.0,
            status="ask",
            unit_reason=Bilingual(f"제안을 {best.party}이(가) 물렸어요.", f"The proposal was rejected by {best.party}."),
        )
    return replace(
        card,
        role=best.role or card.role,
        kind=best.kind or card.kind,
        unit=best.unit or card.unit,
        point=best.point or card.point,
        confidence=1.0,
        status="accepted",
        unit_reason=Bilingual(f"{best.party}이(가) 정했어요.", f"Decided by {best.party}."),
    )


def proposal_of(card: ColumnCard) -> dict[str, Json]:
    """What a card claims, to return to when a decision is withdrawn."""
    return {
        "role": str(card.role),
        "kind": str(card.kind),
        "unit": card.unit,
        "point": card.point,
        "confidence": card.confidence,
        "status": card.status,
        "unit_reason": {"ko": card.unit_reason.ko, "en": card.unit_reason.en},
        "proposal": None,
    }


def scaling(card: ColumnCard) -> tuple[float, float] | None:
    """Return (scale, offset) that turns written numbers into the card's unit; None when they are already in it."""
    if card.unit is None or card.unit_source is None or card.type not in ("number", "integer"):
        return None
    written = parse_unit(card.unit_source, card.kind)
    if written is None:
        return None
    scale, offset = affine(written, card.unit)
    return None if (scale, offset) == (1.0, 0.0) else (scale, offset)


def converted(column: pa.Array, by: tuple[float, float]) -> pa.Array:
    """Return a column of numbers in its unit: value x scale + offset; nulls stay nulls."""
    scale, offset = by
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return pa.array(values * scale + offset, pa.float64(), from_pandas=True)


def converted_by_tag(values: pa.Array, tags: pa.Array, by: Mapping[str, tuple[float, float]]) -> pa.Array:
    """The same for a long table, each record by its tag."""
    coded = tags.cast(pa.string()).fill_null("").dictionary_encode()
    names = coded.dictionary.to_pylist()
    scale = np.array([by.get(n, (1.0, 0.0))[0] for n in names])
    offset = np.array([by.get(n, (1.0, 0.0))[1] for n in names])
    codes = coded.indices.to_numpy(zero_copy_only=False)
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return pa.array(numbers * scale[codes] + offset[codes], pa.float64(), from_pandas=True)


_SAMPLE = 20_000
"""Records of the first chunk that the standardiser looks at."""


def standard_proposer(layout: Layout, sample: pa.RecordBatch) -> list[ColumnCard]:
    """Cards by the library's own standardiser, for every column or, in a long table, for the time and every tag."""
    from madang.library._standardise import propose_columns

    sample = sample.slice(0, _SAMPLE)
    hint = str(layout.details.get("table_hint", ""))
    columns = list(layout.columns)
    samples = {n: sample.column(n).drop_null() for n in sample.schema.names}
    if layout.long is not None:
        columns = [c for c in columns if c.name == layout.time_column]
        value = next(c for c in layout.columns if c.name == layout.long.value)
        tags = sample.column(layout.long.tag)
        for tag in tags.unique().to_pylist():
            if tag is not None:
                mine = sample.filter(pc.equal(tags, tag))
                columns.append(SourceColumn(tag, tag, value.type, _unit_of(mine, layout) or value.unit_text))
                samples[tag] = mine.column(layout.long.value).drop_null()
    proposals = propose_columns(columns, samples, table_hint=hint)
    return [
        ColumnCard(
            source_name=column.source_name,
            name=proposal.name,
            role=proposal.role,
            kind=proposal.kind,
            unit_source=proposal.unit_source,
            unit=proposal.unit,
            unit_reason=proposal.unit_reason,
            confidence=proposal.confidence,
            status=proposal.status,
            type=column.type,
        )
        for column, proposal in zip(columns, proposals, strict=True)
    ]


def _unit_of(records: pa.RecordBatch, layout: Layout) -> str | None:
    """The unit that most records of a tag carry."""
    if layout.long is None or layout.long.unit is None:
        return None
    counted = records.column(layout.long.unit).drop_null().value_counts().to_pylist()
    best = max(counted, key=lambda c: c["counts"], default=None)
    return None if best is None else str(best["values"])
