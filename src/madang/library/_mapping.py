"""Decisions of people about what columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from madang.library._meaning import MappingDecision
from madang.library._state import mappings
from madang.plant import Kind, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection


def decisions_of(db: Connection) -> tuple[MappingDecision, ...]:
    """Decisions that hold, newest first."""
    from sqlalchemy import select

    rows = db.execute(select(mappings).where(~mappings.c.withdrawn).order_by(mappings.c.id.desc()))
    return tuple(
        MappingDecision(
            id=r.id,
            dataset=r.dataset,
            source_name=r.source_name,
            unit_source=r.unit_source,
            answer=r.answer,
            role=None if r.role is None else Role(r.role),
            kind=None if r.kind is None else Kind(r.kind),
            unit=r.unit,
            point=r.point,
            party=r.party,
        )
        for r in rows
    )
