"""Saved studies, models and reports: versioned bytes with facts about them and the dataset versions they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from madang.errors import InputError, Json
from madang.library._instants import iso
from madang.library._state import dumps, loads, objects

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


@dataclass(frozen=True)
class StoredObject:
    """One version of a saved object."""

    kind: str
    """What it is: ``study``, ``model``, ``report``."""
    name: str
    version: int
    sha256: str
    size: int
    """Bytes."""
    facts: dict[str, Json]
    inputs: tuple[str, ...]
    """Dataset versions it came from, such as ``meter@3``."""
    created: str
    party: str


def record_object(
    db: Connection,
    kind: str,
    name: str,
    sha256: str,
    size: int,
    facts: dict[str, Json],
    inputs: Sequence[str],
    now: datetime,
    party: str,
) -> StoredObject:
    """Record a new version of an object."""
    from sqlalchemy import func, select

    mine = (objects.c.kind == kind) & (objects.c.name == name)
    version = (db.execute(select(func.max(objects.c.version)).where(mine)).scalar() or 0) + 1
    values = {
        "kind": kind,
        "name": name,
        "version": version,
        "sha256": sha256,
        "size": size,
        "facts": dumps(facts),
        "inputs": dumps([str(i) for i in inputs]),
        "created": iso(now),
        "party": party,
    }
    db.execute(objects.insert().values(**values))
    return StoredObject(kind, name, version, sha256, size, facts, tuple(str(i) for i in inputs), str(iso(now)), party)


def find_object(db: Connection, kind: str, name: str, version: int | None) -> StoredObject:
    """Find a version of an object (the newest without a number).

    Raises:
        InputError: There is none; the error lists the names there are.
    """
    from sqlalchemy import select

    stem, _, tail = name.rpartition("@")
    if version is None and stem and tail.isdecimal():
        name, version = stem, int(tail)
    query = select(objects).where(objects.c.kind == kind, objects.c.name == name)
    if version is not None:
        query = query.where(objects.c.version == version)
    row = db.execute(query.order_by(objects.c.version.desc())).first()
    if row is None:
        known = sorted({r.name for r in db.execute(select(objects.c.name).where(objects.c.kind == kind))})
        raise InputError(
            "no_such_object",
            ko=f"‘{name}’이라는 저장된 것({kind})이 없어요.",
            en=f"There is no saved {kind} “{name}”.",
            next_ko="있는 이름: " + (", ".join(known[:20]) or "없음"),
            next_en="Names there are: " + (", ".join(known[:20]) or "none"),
            where={"kind": kind, "name": name, "version": version, "known": [*known[:100]]},
        )
    return _object(row)


def list_objects(db: Connection, kind: str | None) -> list[StoredObject]:
    """Every version of every object, oldest first."""
    from sqlalchemy import select

    query = select(objects).order_by(objects.c.id)
    return [_object(r) for r in db.execute(query if kind is None else query.where(objects.c.kind == kind))]


def _object(row: Row[Any]) -> StoredObject:
    return StoredObject(
        row.kind,
        row.name,
        row.version,
        row.sha256,
        row.size,
        loads(row.facts),
        tuple(loads(row.inputs)),
        row.created,
        row.party,
    )
