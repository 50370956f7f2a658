"""What people say about points: kept as what they say about columns is, and shown on the point at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from madang.errors import InputError, Json
from madang.library._catalogue import Dataset
from madang.library._changes import _fitting, _word
from madang.library._instants import iso
from madang.library._mapping import decisions_of
from madang.library._meaning import decided
from madang.library._signals._points import Point, points_of, save_cards
from madang.library._state import dumps, mappings, steps
from madang.plant import Kind, Role, unit_of

if TYPE_CHECKING:
    from madang.library._state import State


def decide_point(
    state: State,
    dataset: Dataset,
    name: str,
    answer: str,
    party: str,
    now: datetime,
    *,
    role: str | None = None,
    kind: str | None = None,
    unit: str | None = None,
    point: str | None = None,
) -> dict[str, Json]:
    """Record what a person said about a point; see `Library.accept` and `Library.reject`.

    Raises:
        InputError: A name or word is not known, or the unit does not fit.
    """
    new_role = None if role is None else _word(Role, role, "role")
    new_kind = None if kind is None else Kind(_word(Kind, kind, "kind"))
    code = None if unit is None else unit_of(unit).code
    with state.begin() as db:
        known = points_of(db, dataset.id)
        found = _named(dataset, known, name)
        card = found.card
        accepted = answer == "accept"
        if accepted and (new_kind or code):
            _fitting(card, new_kind or card.kind, code or card.unit)
        mine = (mappings.c.dataset == dataset.id) & (mappings.c.source_name == card.source_name) & ~mappings.c.withdrawn
        db.execute(mappings.update().where(mine).values(withdrawn=True))
        key = db.execute(
            mappings.insert().values(
                dataset=dataset.id,
                source_name=card.source_name,
                unit_source=card.unit_source,
                answer=answer,
                role=str(new_role or card.role) if accepted else None,
                kind=str(new_kind or card.kind) if accepted else None,
                unit=(code or card.unit) if accepted else None,
                point=(point or card.point) if accepted else None,
                party=party,
                time=iso(now),
                withdrawn=False,
            )
        ).inserted_primary_key
        db.execute(
            steps.insert().values(
                kind="mapping",
                dataset=dataset.id,
                subject=card.source_name,
                party=party,
                time=iso(now),
                detail=dumps({"mapping": key[0] if key else 0, "answer": answer, "replaced": []}),
            )
        )
        settled = decided(replace(card, proposal=card.proposal), decisions_of(db), dataset.id)
        save_cards(db, dataset.id, {found.id: settled})
    return {"dataset": dataset.name, "version": 1, "datasets": [{"dataset": dataset.name, "version": 1}]}


def _named(dataset: Dataset, known: tuple[Point, ...], name: str) -> Point:
    found = next((p for p in known if name in (p.name, p.card.name)), None)
    if found is None:
        raise InputError(
            "no_such_column",
            ko=f"‘{dataset.name}’에 ‘{name}’ 점이 없어요.",
            en=f"“{dataset.name}” has no point “{name}”.",
            next_ko=f"madang library card {dataset.name} 로 이름을 확인하세요.",
            next_en=f"See the names with: madang library card {dataset.name}",
            where={"dataset": dataset.name, "asked": name, "known": [p.name for p in known[:200]]},
        )
    return found
