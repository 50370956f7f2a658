"""Points: the tags of live connections under lasting numbers, what they mean, and how their counts become values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from madang.connect import SourceColumn, Tag
from madang.errors import InputError, Json
from madang.library._cards import ColumnCard, MappingStatus
from madang.library._catalogue import Dataset, card_from_json, card_to_json
from madang.library._instants import iso
from madang.library._signals._scales import Scale
from madang.library._state import datasets, dumps, live, loads, point_versions, points
from madang.plant import Bilingual, Kind, Role

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Row

    from madang.library._lake import Lake
    from madang.library._meaning import MappingDecision

LiveKind = Literal["signals", "rows"]


@dataclass(frozen=True)
class Point:
    """One point of a signals dataset."""

    id: int
    """Counted from 1 within the dataset; the number in the files."""
    name: str
    """Unique in the dataset and stable: the tag's own name, behind the connection's where two connections share it."""
    connection: str
    tag: str
    label: Bilingual | None
    kind: Kind
    role: Role
    data_type: str
    unit: str | None
    """UCUM code; None = unknown."""
    unit_source: str | None
    """As the source spells it; values in the files are in this unit."""
    low: float | None
    high: float | None
    status: MappingStatus
    card: ColumnCard
    facts: dict[str, Json]


@dataclass(frozen=True)
class PointVersion:
    """How a point's counts become values from a time on; the newest that is valid counts."""

    point: int
    number: int
    valid_from: int | None
    """[us since 1970]; None = always."""
    scale: Scale


def signals_datasets(db: Connection) -> tuple[Dataset, ...]:
    """Every dataset of signals, by name."""
    return live_datasets(db, "signals")


def live_datasets(db: Connection, kind: LiveKind) -> tuple[Dataset, ...]:
    """Every dataset of a kind that plants write without end, by name."""
    from sqlalchemy import select

    query = select(datasets).join(live, live.c.dataset == datasets.c.id).where(live.c.kind == kind).order_by(datasets.c.name)
    return tuple(_dataset(row) for row in db.execute(query))


def live_dataset(db: Connection, name: str) -> tuple[Dataset, LiveKind, dict[str, Json]] | None:
    """The live dataset of that name, its kind and its facts."""
    from sqlalchemy import select

    query = select(datasets, live.c.kind, live.c.facts.label("live_facts")).join(live, live.c.dataset == datasets.c.id)
    row = db.execute(query.where(datasets.c.name == name)).first()
    return None if row is None else (_dataset(row), row.kind, loads(row.live_facts))


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(row.id, row.name, row.folder, row.created, row.latest, loads(row.facts))


def make_live_dataset(
    db: Connection, lake: Lake, name: str, kind: LiveKind, now: datetime, facts: dict[str, Json] | None = None
) -> Dataset:
    """Return the live dataset of a name, made when missing.

    Raises:
        InputError: A dataset of another kind has that name.
    """
    from sqlalchemy import func, select

    found = live_dataset(db, name)
    if found is not None and found[1] == kind:
        return found[0]
    taken = db.execute(select(datasets.c.id).where(datasets.c.name == name)).first()
    if taken is not None:
        raise InputError(
            "dataset_of_another_kind",
            ko=f"‘{name}’ 데이터셋에는 다른 종류의 데이터가 있어서 이 연결의 값을 둘 수 없어요.",
            en=f"Dataset “{name}” holds data of another kind; values of this connection cannot stand there.",
            next_ko="--dataset 으로 다른 이름을 주세요.",
            next_en="Give another name with --dataset.",
            where={"dataset": name},
        )
    number = (db.execute(select(func.max(datasets.c.id))).scalar() or 0) + 1
    folder = f"d{number:06d}"
    while lake.folder(folder).exists():
        number += 1
        folder = f"d{number:06d}"
    db.execute(datasets.insert().values(id=number, name=name, folder=folder, created=iso(now), latest=0, facts="{}"))
    db.execute(live.insert().values(dataset=number, kind=kind, facts=dumps(facts or {})))
    return Dataset(number, name, folder, str(iso(now)), 0, {})


def points_of(db: Connection, dataset: int) -> tuple[Point, ...]:
    """Every point of a dataset, by number."""
    return tuple(point_of(row) for row in rows_of(db, dataset))


def rows_of(db: Connection, dataset: int) -> Sequence[Row[Any]]:
    """The row of every point of a dataset, by number."""
    from sqlalchemy import select

    return db.execute(select(points).where(points.c.dataset == dataset).order_by(points.c.point)).all()


def versions_of(db: Connection, dataset: int) -> tuple[PointVersion, ...]:
    """Every version of every point of a dataset, by point and number."""
    from sqlalchemy import select

    query = select(point_versions).where(point_versions.c.dataset == dataset)
    rows = db.execute(query.order_by(point_versions.c.point, point_versions.c.number))
    return tuple(
        PointVersion(r.point, r.number, r.valid_from, Scale(r.scale, r.divisor, r.offset, r.unit, r.rounding)) for r in rows
    )


def point_of(row: Row[Any]) -> Point:
    """The point of a row."""
    facts = loads(row.facts)
    card = card_from_json(loads(row.card)) if row.card is not None else plain_card(row.name, row.tag, row.type, row.unit_source)
    label = facts.get("label")
    return Point(
        id=row.point,
        name=row.name,
        connection=row.connection,
        tag=row.tag,
        label=None if label is None else Bilingual(*label),
        kind=card.kind,
        role=card.role,
        data_type=row.type,
        unit=card.unit,
        unit_source=row.unit_source,
        low=facts.get("low"),
        high=facts.get("high"),
        status=card.status,
        card=card,
        facts=facts,
    )


UNSEEN = Bilingual("아직 값을 보지 못했어요.", "No value has been seen yet.")


def plain_card(name: str, tag: str, data_type: str, unit: str | None) -> ColumnCard:
    """The card of a point of which nothing is known but what its source says."""
    kinds: dict[str, Literal["number", "integer", "text", "boolean"]] = {
        "number": "number",
        "integer": "integer",
        "boolean": "boolean",
        "text": "text",
    }
    return ColumnCard(tag, name, Role.UNKNOWN, Kind.UNKNOWN, unit, None, UNSEEN, 0.0, "ask", kinds.get(data_type, "number"))


def tag_facts(tag: Tag) -> dict[str, Json]:
    """What the catalogue keeps of a tag beside its name, type and unit."""
    return {
        "label": None if tag.label is None else [tag.label.ko, tag.label.en],
        "low": tag.low,
        "high": tag.high,
        "writable": tag.writable,
        "description": tag.description,
        "parent": tag.parent,
        "facts": dict(tag.facts),
    }


def add_points(db: Connection, dataset: int, connection: str, tags: Sequence[Tag], now: datetime) -> dict[str, int]:
    """Return the points of tags, new ones numbered on; what a known tag says of itself is brought up to date."""
    from sqlalchemy import func, select

    mine = (points.c.dataset == dataset) & (points.c.connection == connection)
    known = {r.tag: r for r in db.execute(select(points).where(mine))}
    names = set(db.execute(select(points.c.name).where(points.c.dataset == dataset)).scalars())
    last = db.execute(select(func.max(points.c.point)).where(points.c.dataset == dataset)).scalar() or 0
    found: dict[str, int] = {}
    fresh = []
    for tag in tags:
        row = known.get(tag.name)
        facts = dumps(tag_facts(tag))
        if row is not None:
            found[tag.name] = row.point
            if (row.facts, row.unit_source, row.type) != (facts, tag.unit, tag.data_type):
                changed = {"facts": facts, "unit_source": tag.unit, "type": tag.data_type}
                if row.unit_source != tag.unit:
                    changed["card"] = None
                db.execute(points.update().where(mine & (points.c.point == row.point)).values(**changed))
        elif tag.name not in found:
            last += 1
            name = _free_name(names, connection, tag.name)
            names.add(name)
            found[tag.name] = last
            fresh.append(
                {
                    "dataset": dataset,
                    "point": last,
                    "name": name,
                    "connection": connection,
                    "tag": tag.name,
                    "type": tag.data_type,
                    "unit_source": tag.unit,
                    "facts": facts,
                    "created": iso(now),
                }
            )
    if fresh:
        db.execute(points.insert(), fresh)
    return found


def _free_name(taken: set[str], connection: str, tag: str) -> str:
    name = tag if tag not in taken else f"{connection}/{tag}"
    again = 2
    while name in taken:
        name, again = f"{connection}/{tag}#{again}", again + 1
    return name


def add_versions(db: Connection, dataset: int, fresh: Iterable[PointVersion], now: datetime) -> None:
    """Record versions; none is ever changed."""
    rows = [
        {
            "dataset": dataset,
            "point": v.point,
            "number": v.number,
            "valid_from": v.valid_from,
            "scale": v.scale.scale,
            "divisor": v.scale.divisor,
            "offset": v.scale.offset,
            "rounding": v.scale.rounding,
            "unit": v.scale.unit,
            "created": iso(now),
        }
        for v in fresh
    ]
    if rows:
        db.execute(point_versions.insert(), rows)


def propose_cards(
    asked: Sequence[Point], samples: dict[int, pa.Array], decided_by: Sequence[MappingDecision], dataset: int
) -> dict[int, ColumnCard]:
    """Propose what points are, as files' columns are proposed: from their label, unit and values, then people's decisions.

    Args:
        asked: The points.
        samples: Good values of each point that has any.
        decided_by: What people decided earlier.
        dataset: Number of the dataset.
    """
    from madang.library._meaning import decided
    from madang.library._standardise import propose_columns

    found: dict[int, ColumnCard] = {}
    for point in asked:
        column = SourceColumn(point.name, spoken_name(point), point.card.type, point.unit_source)
        values = {column.name: samples[point.id]} if point.id in samples else {}
        proposal = propose_columns([column], values, table_hint=str(point.facts.get("parent") or ""))[0]
        card = replace(
            point.card,
            role=proposal.role,
            kind=proposal.kind,
            unit=proposal.unit,
            unit_reason=proposal.unit_reason,
            confidence=proposal.confidence,
            status=proposal.status,
        )
        found[point.id] = decided(card, decided_by, dataset)
    return found


def spoken_name(point: Point) -> str:
    """The name of a point that says most about it: its label, else the last piece of its tag's path.

    >>> import re
    >>> re.split(r"[/.;]", "line1/kiln.zone3_temp")[-1]
    'zone3_temp'
    """
    import re

    if point.label is not None and (point.label.en or point.label.ko):
        return point.label.en or point.label.ko
    pieces = [p for p in re.split(r"[/\\.;=]", point.tag) if re.search(r"[^\W\d_]", p)]
    return pieces[-1] if pieces else point.tag


def save_cards(db: Connection, dataset: int, cards: dict[int, ColumnCard]) -> None:
    """Keep proposed or decided cards."""
    for point, card in cards.items():
        where = (points.c.dataset == dataset) & (points.c.point == point)
        db.execute(points.update().where(where).values(card=dumps(card_to_json(card))))
