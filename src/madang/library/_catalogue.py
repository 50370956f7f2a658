"""Between the catalogue's rows and the library's facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from madang.connect import Layout, ReadOptions, TableSource, Tally
from madang.errors import InputError, Json
from madang.library._cards import ColumnCard, ColumnStats, PartCard, VersionId
from madang.library._instants import iso, moment
from madang.library._lake import StoredFile
from madang.library._state import datasets, dumps, files, loads, parts, versions
from madang.plant import Bilingual, Finding, Kind, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

TABLES = ("records", "flags", "quarantine")
"""The Delta tables of one dataset."""

_TYPES: dict[str, Any] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}
_NAMES = {str(kind): name for name, kind in _TYPES.items()}

StoredColumns = tuple[tuple[str, str], ...]
"""Names and cell types of a part's stored columns, without the part and row columns."""


def arrow_type(cell_type: str) -> Any:  # noqa: ANN401 (an Arrow type)
    """The stored type of a cell type."""
    return _TYPES[cell_type]


def cell_type(arrow: Any) -> str:  # noqa: ANN401 (an Arrow type)
    """The cell type of a stored type."""
    return _NAMES[str(arrow)]


def records_schema(columns: Iterable[tuple[str, str]]) -> pa.Schema:
    """Schema of a dataset's records: part, row, then the columns."""
    return pa.schema(
        [pa.field("_part", pa.int32()), pa.field("_row", pa.int64())]
        + [pa.field(name, arrow_type(kind)) for name, kind in columns]
    )


FLAGS_SCHEMA = pa.schema(
    [("_part", pa.int32()), ("_row", pa.int64()), ("column", pa.string()), ("flag", pa.string()), ("original", pa.string())]
)
QUARANTINE_SCHEMA = pa.schema([("_part", pa.int32()), ("_row", pa.int64()), ("reason", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class TypeClash:
    """Two parts hold a column of one name in types that no column can have at once."""

    column: str
    before: str
    now: str


def union_columns(many: Iterable[tuple[StoredColumns, frozenset[str]]]) -> tuple[StoredColumns, tuple[TypeClash, ...]]:
    """Columns of several parts together, in the order of first appearance, and where they do not go together.

    Integers widen to numbers; a column without a value in a part takes the type it has elsewhere.
    """
    found: dict[str, str] = {}
    guessed: set[str] = set()
    clashes: list[TypeClash] = []
    for columns, empty in many:
        for name, kind in columns:
            before = found.get(name)
            if before is None or (name in guessed and name not in empty):
                found[name] = kind
                if name in empty:
                    guessed.add(name)
                else:
                    guessed.discard(name)
            elif before == kind or name in empty:
                continue
            elif {before, kind} == {"integer", "number"}:
                found[name] = "number"
            else:
                clashes.append(TypeClash(name, before, kind))
    return tuple(found.items()), tuple(clashes)


@dataclass(frozen=True)
class Dataset:
    """One dataset of the catalogue."""

    id: int
    name: str
    folder: str
    created: str
    latest: int
    facts: dict[str, Json]

    def table(self, kind: str) -> str:
        """Folder of one of its tables below the lake's ``tables``."""
        return f"{self.folder}/{kind}"


@dataclass(frozen=True)
class StoredPart:
    """One part with everything the library keeps about it."""

    card: PartCard
    dataset: int
    object: str
    """Hash of the kept original file (of the archive, for a member)."""
    file_name: str
    member: str | None
    sheet: str | None
    size: int
    added: str
    zone: str
    zone_given: bool
    disabled: frozenset[str]
    columns: tuple[ColumnCard, ...]
    stored: StoredColumns
    profile: bytes
    sketch: bytes
    flags: int
    empty: frozenset[str] = frozenset()
    """Columns without a single value in this part: their type is only a guess and gives way to another part's."""
    place: str = ""
    """Hash of the path the file came from: a file of the same name from there is its correction."""
    origin: int = 0
    """Part of which this one is another reading (itself, for the first reading): undoing a reading step keeps it."""


@dataclass(frozen=True)
class Version:
    """One immutable version."""

    id: VersionId
    created: str
    party: str
    reason: str
    parts: tuple[int, ...]
    columns: tuple[ColumnCard, ...]
    parents: tuple[str, ...]


def card_to_json(card: ColumnCard) -> dict[str, Json]:
    """The catalogue's form of a column card."""
    out: dict[str, Json] = {}
    for item in fields(card):
        value = getattr(card, item.name)
        if isinstance(value, Bilingual):
            value = {"ko": value.ko, "en": value.en}
        elif isinstance(value, ColumnStats):
            value = [value.n, value.sum, value.min, value.max]
        elif isinstance(value, Role | Kind):
            value = str(value)
        out[item.name] = value
    return out


def card_from_json(document: dict[str, Any]) -> ColumnCard:
    """The value of `card_to_json`."""
    stats = document["stats"]
    return ColumnCard(
        **{
            **document,
            "role": Role(document["role"]),
            "kind": Kind(document["kind"]),
            "unit_reason": Bilingual(**document["unit_reason"]),
            "stats": None if stats is None else ColumnStats(*stats),
        }
    )


def finding_to_json(finding: Finding) -> dict[str, Json]:
    """The catalogue's form of a finding."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "rows": finding.rows,
        "ko": finding.message.ko,
        "en": finding.message.en,
        "examples": list(finding.examples),
        "column": finding.column,
        "undo": finding.undo,
        "facts": finding.facts,
    }


def finding_from_json(document: dict[str, Any]) -> Finding:
    """The value of `finding_to_json`."""
    return Finding(
        code=document["code"],
        severity=document["severity"],
        rows=document["rows"],
        message=Bilingual(document["ko"], document["en"]),
        examples=tuple(document["examples"]),
        column=document["column"],
        undo=document["undo"],
        facts=document["facts"],
    )


def dataset_named(db: Connection, name: str) -> Dataset | None:
    """The dataset of that name."""
    from sqlalchemy import select

    row = db.execute(select(datasets).where(datasets.c.name == name, datasets.c.latest > 0)).first()
    return None if row is None else _dataset(row)


def all_datasets(db: Connection) -> tuple[Dataset, ...]:
    """Every dataset, by name."""
    from sqlalchemy import select

    return tuple(_dataset(row) for row in db.execute(select(datasets).where(datasets.c.latest > 0).order_by(datasets.c.name)))


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(row.id, row.name, row.folder, row.created, row.latest, loads(row.facts))


def resolve(db: Connection, name: str | VersionId) -> tuple[Dataset, Version]:
    """Find ``dataset`` (its latest version) or ``dataset@number``.

    Raises:
        InputError: There is no such dataset or version; the error lists what is there.
    """
    text = str(name)
    number: int | None = None
    dataset = dataset_named(db, text)
    if dataset is None and "@" in text:
        stem, _, tail = text.rpartition("@")
        dataset = dataset_named(db, stem)
        if dataset is not None:
            number = int(tail) if tail.isdecimal() else -1
    if dataset is None:
        known = [d.name for d in all_datasets(db)]
        raise InputError(
            "no_such_dataset",
            ko=f"‘{text}’이라는 데이터셋이 없어요.",
            en=f"There is no dataset “{text}”.",
            next_ko="madang library list 로 이름을 확인하세요." if known else "먼저 madang intake 로 파일을 들여오세요.",
            next_en="See the names with: madang library list" if known else "Bring files in first: madang intake PATH",
            where={"dataset": text, "known": list(known[:50])},
        )
    found = version_of(db, dataset, dataset.latest if number is None else number)
    if found is None:
        raise InputError(
            "no_such_version",
            ko=f"‘{dataset.name}’에는 판 1부터 {dataset.latest}까지 있어요.",
            en=f"“{dataset.name}” has versions 1 to {dataset.latest}.",
            next_ko=f"예: {dataset.name}@{dataset.latest}",
            next_en=f"For example: {dataset.name}@{dataset.latest}",
            where={"dataset": dataset.name, "asked": text},
        )
    return dataset, found


def version_of(db: Connection, dataset: Dataset, number: int) -> Version | None:
    """One version of a dataset."""
    from sqlalchemy import select

    row = db.execute(select(versions).where(versions.c.dataset == dataset.id, versions.c.number == number)).first()
    return None if row is None else _version(dataset, row)


def all_versions(db: Connection, dataset: Dataset) -> tuple[Version, ...]:
    """Every version of a dataset, oldest first."""
    from sqlalchemy import select

    rows = db.execute(select(versions).where(versions.c.dataset == dataset.id).order_by(versions.c.number))
    return tuple(_version(dataset, row) for row in rows)


def _version(dataset: Dataset, row: Row[Any]) -> Version:
    return Version(
        VersionId(dataset.name, row.number),
        row.created,
        row.party,
        row.reason,
        tuple(loads(row.parts)),
        tuple(card_from_json(c) for c in loads(row.columns)),
        tuple(loads(row.parents)),
    )


def parts_of(db: Connection, dataset: Dataset, wanted: Sequence[int] | None = None) -> tuple[StoredPart, ...]:
    """Parts of a dataset in the order asked for (all of them, oldest first, without an order)."""
    from sqlalchemy import select

    rows = db.execute(select(parts).where(parts.c.dataset == dataset.id).order_by(parts.c.part)).all()
    found = {row.part: _part(row) for row in rows if wanted is None or row.part in set(wanted)}
    return tuple(found.values()) if wanted is None else tuple(found[p] for p in wanted)


def _part(row: Row[Any]) -> StoredPart:
    options = loads(row.options)
    card = PartCard(
        index=row.part,
        source=row.source,
        sha256=row.sha256,
        layout=Layout.from_json(loads(row.layout)),
        tally=Tally(*loads(row.tally)),
        time_first=moment(row.time_first),
        time_last=moment(row.time_last),
        findings=tuple(finding_from_json(f) for f in loads(row.findings)),
    )
    return StoredPart(
        card=card,
        dataset=row.dataset,
        object=row.object,
        file_name=row.file_name,
        member=row.member,
        sheet=row.sheet,
        size=row.size,
        added=row.added,
        zone=options["zone"],
        zone_given=options["zone_given"],
        disabled=frozenset(options["disabled"]),
        columns=tuple(card_from_json(c) for c in loads(row.columns)),
        stored=tuple((name, kind) for name, kind in loads(row.stored)),
        profile=row.profile,
        sketch=row.sketch,
        flags=row.flags,
        empty=frozenset(options["empty"]),
        origin=options["origin"],
        place=options["place"],
    )


def part_values(part: StoredPart) -> dict[str, Any]:
    """The catalogue's row of a part."""
    tally = part.card.tally
    return {
        "dataset": part.dataset,
        "part": part.card.index,
        "source": part.card.source,
        "sha256": part.card.sha256,
        "object": part.object,
        "file_name": part.file_name,
        "member": part.member,
        "sheet": part.sheet,
        "size": part.size,
        "added": part.added,
        "layout": dumps(part.card.layout.to_json()),
        "options": dumps(
            {
                "zone": part.zone,
                "zone_given": part.zone_given,
                "disabled": sorted(part.disabled),
                "empty": sorted(part.empty),
                "origin": part.origin,
                "place": part.place,
            }
        ),
        "tally": dumps([tally.read, tally.kept, tally.quarantined, tally.duplicate]),
        "findings": dumps([finding_to_json(f) for f in part.card.findings]),
        "columns": dumps([card_to_json(c) for c in part.columns]),
        "stored": dumps([list(c) for c in part.stored]),
        "profile": part.profile,
        "sketch": part.sketch,
        "time_first": iso(part.card.time_first),
        "time_last": iso(part.card.time_last),
        "flags": part.flags,
    }


def read_options(part: StoredPart) -> ReadOptions:
    """How a part was read, to read it again."""
    return ReadOptions(zone=part.zone, zone_given=part.zone_given, disabled=part.disabled)


def source_of(part: StoredPart, path: Any) -> TableSource:  # noqa: ANN401 (a path)
    """The source of a part, with its kept original at another path."""
    return TableSource(
        source=part.card.source,
        path=path,
        sha256=part.card.sha256,
        size=part.size,
        format=part.card.layout.format,
        member=part.member,
        part=part.sheet,
    )


def files_of(db: Connection, dataset: Dataset, kind: str, wanted: Iterable[int] | None = None) -> tuple[StoredFile, ...]:
    """Files from which reads take the parts (all parts, when none are named)."""
    from sqlalchemy import select

    query = select(files).where(files.c.dataset == dataset.id, files.c.kind == kind, files.c.current)
    rows = db.execute(query.order_by(files.c.path)).all()
    keep = None if wanted is None else set(wanted)
    found = (StoredFile(r.path, r.rows, r.size, tuple(loads(r.parts))) for r in rows)
    return tuple(f for f in found if keep is None or keep & set(f.parts))


def live_files(db: Connection, dataset: Dataset, kind: str) -> tuple[StoredFile, ...]:
    """Files that the Delta log of a table lists, by the catalogue's account."""
    from sqlalchemy import select

    query = select(files).where(files.c.dataset == dataset.id, files.c.kind == kind, files.c.live).order_by(files.c.path)
    return tuple(StoredFile(r.path, r.rows, r.size, tuple(loads(r.parts))) for r in db.execute(query))


def file_values(dataset: int, kind: str, file: StoredFile, *, live: bool = True, current: bool = True) -> dict[str, Any]:
    """The catalogue's row of a file."""
    return {
        "dataset": dataset,
        "kind": kind,
        "path": file.path,
        "rows": file.rows,
        "size": file.size,
        "parts": dumps(list(file.parts)),
        "live": live,
        "current": current,
    }


def merge_cards(many: Sequence[Sequence[ColumnCard]]) -> tuple[ColumnCard, ...]:
    """Cards of a version: counts and sums over its parts, meaning from the newest part that has the column."""
    merged: dict[str, ColumnCard] = {}
    for cards in many:
        for card in cards:
            before = merged.get(card.name)
            merged[card.name] = card if before is None else _merge(before, card)
    return tuple(merged.values())


def _merge(before: ColumnCard, card: ColumnCard) -> ColumnCard:
    kind = card.type
    if {before.type, card.type} == {"integer", "number"}:
        kind = "number"
    same_unit = before.unit == card.unit
    return replace(
        card,
        type=kind,
        missing=before.missing + card.missing,
        bad=before.bad + card.bad,
        stuck=before.stuck + card.stuck,
        stats=_add(before.stats, card.stats) if same_unit else card.stats,
        status="accepted" if "accepted" in (before.status, card.status) else card.status,
    )


def _add(first: ColumnStats | None, second: ColumnStats | None) -> ColumnStats | None:
    if first is None or second is None:
        return first or second
    lows = [x for x in (first.min, second.min) if x is not None]
    highs = [x for x in (first.max, second.max) if x is not None]
    return ColumnStats(first.n + second.n, first.sum + second.sum, min(lows, default=None), max(highs, default=None))
