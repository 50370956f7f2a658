"""Views of live datasets for a plain DuckDB session: signals in physical values, followed tables as they are now."""

# ruff: noqa: S608 (the SQL is written here, names are quoted, nothing of it is run by this program)
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from madang.library._catalogue import Dataset
from madang.library._lake import Lake
from madang.library._signals._columns import CHANGE, OWN, SEEN, SEQUENCE
from madang.library._signals._points import Point, PointVersion, live_dataset, live_datasets, points_of, versions_of
from madang.library._signals._state_of_rows import newest_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_EMPTY: Final = (
    "SELECT NULL::INTEGER AS point, NULL::TIMESTAMPTZ AS time, NULL::INTEGER AS value, NULL::DOUBLE AS number,"
    " NULL::VARCHAR AS text, NULL::BIGINT AS quality WHERE false"
)


def live_folders(db: Connection) -> list[tuple[str, str]]:
    """Names of the live datasets and the folders of their tables."""
    found = [(d.name, d.table("signals")) for d in live_datasets(db, "signals")]
    return found + [(d.name, d.table("rows")) for d in live_datasets(db, "rows")]


def live_views(db: Connection, lake: Lake) -> str:
    """Return the SQL of all views of live datasets, and of ``madang_points``."""
    out, registry = [], []
    for dataset in live_datasets(db, "signals"):
        points = points_of(db, dataset.id)
        registry += [_registered(dataset, p) for p in points]
        out.append(_signals(lake, dataset, points, versions_of(db, dataset.id)))
        if _has_files(lake, dataset, "quarantine"):
            out.append(_files(dataset, "quarantine"))
            out.append(
                f"CREATE OR REPLACE VIEW {_name(dataset.name + '.quarantine')} AS SELECT * FROM {_read(dataset, 'quarantine')};\n"
            )
    out += [_rows(db, lake, dataset) for dataset in live_datasets(db, "rows")]
    columns = '("dataset", "point", "name", "connection", "tag", "type", "role", "kind", "unit", "unit_source")'
    listed = ",\n  ".join(registry) or "(" + ", ".join(["NULL"] * 10) + ")"
    where = "" if registry else " WHERE false"
    out.append(f"CREATE OR REPLACE VIEW madang_points AS SELECT * FROM (VALUES\n  {listed}\n) t{columns}{where};\n")
    return "\n".join(out)


def _registered(dataset: Dataset, point: Point) -> str:
    texts = (
        point.name,
        point.connection,
        point.tag,
        point.data_type,
        str(point.role),
        str(point.kind),
        point.unit,
        point.unit_source,
    )
    return f"({_text(dataset.name)}, {point.id}, " + ", ".join(_text(t) for t in texts) + ")"


def _signals(lake: Lake, dataset: Dataset, points: tuple[Point, ...], versions: tuple[PointVersion, ...]) -> str:
    name = _name(dataset.name)
    shown = "p.name AS point, s.time, {value} AS value, s.text, s.quality, v.unit"
    if not points or not _has_files(lake, dataset, "signals"):
        nothing = "NULL::VARCHAR AS point, NULL::TIMESTAMPTZ AS time, NULL::DOUBLE AS value, NULL::VARCHAR AS text, "
        return f"CREATE OR REPLACE VIEW {name} AS SELECT {nothing}NULL::BIGINT AS quality, NULL::VARCHAR AS unit WHERE false;\n"
    names = ",\n    ".join(f"({p.id}, {_text(p.name)})" for p in points)
    spans = ",\n    ".join(_spans(points, versions))
    value = (
        "coalesce(s.number, CASE WHEN v.rounding = 32 THEN (s.value::DOUBLE * v.scale / v.divisor + v.shift)::FLOAT::DOUBLE"
        " ELSE s.value::DOUBLE * v.scale / v.divisor + v.shift END)"
    )
    return (
        _files(dataset, "signals")
        + f"CREATE OR REPLACE VIEW {name} AS\n"
        + f"WITH p(id, name) AS (VALUES\n    {names}),\n"
        + f"v(id, since, until, scale, divisor, shift, rounding, unit) AS (VALUES\n    {spans})\n"
        + f"SELECT {shown.format(value=value)}\n"
        + f"FROM ({_EMPTY} UNION ALL BY NAME SELECT * FROM {_read(dataset, 'signals')}) s\n"
        + "JOIN p ON p.id = s.point JOIN v ON v.id = s.point AND s.time >= v.since AND s.time < v.until;\n"
    )


def _spans(points: tuple[Point, ...], versions: tuple[PointVersion, ...]) -> list[str]:
    """For each point the stretches of time, end excluded, in which each of its versions is the newest that is valid."""
    of: dict[int, list[PointVersion]] = {}
    for version in versions:
        of.setdefault(version.point, []).append(version)
    rows = []
    for point in points:
        mine = of.get(point.id, [])
        if not mine:
            unit = _text(point.unit_source)
            rows.append(
                f"({point.id}, '-infinity'::TIMESTAMPTZ, 'infinity'::TIMESTAMPTZ, 1::DOUBLE, 1::DOUBLE, 0::DOUBLE, 64, {unit})"
            )
        for at, version in enumerate(mine):
            later = [v.valid_from for v in mine[at + 1 :]]
            since = "'-infinity'::TIMESTAMPTZ" if version.valid_from is None or at == 0 else _instant(version.valid_from)
            if None in later:
                continue
            until = _instant(min(v for v in later if v is not None)) if later else "'infinity'::TIMESTAMPTZ"
            scale = version.scale
            numbers = ", ".join(_double(x) for x in (scale.scale, scale.divisor, scale.offset))
            rows.append(f"({point.id}, {since}, {until}, {numbers}, {scale.rounding}, {_text(scale.unit)})")
    return rows


def _rows(db: Connection, lake: Lake, dataset: Dataset) -> str:
    from deltalake import DeltaTable

    if not _has_files(lake, dataset, "rows"):
        return ""
    found = live_dataset(db, dataset.name)
    key = found[2].get("key") if found is not None else None
    schema = pa.schema(DeltaTable(str(lake.folder(dataset.table("rows")))).schema().to_arrow())
    own = [n for n in schema.names if n not in OWN]
    columns = ", ".join(_name(n) for n in (*own, CHANGE, SEEN, SEQUENCE))
    # A column that no live file has is still shown.
    empty = ", ".join(f"NULL::{_sql_type(schema.field(n).type)} AS {_name(n)}" for n in (*own, CHANGE, SEEN, SEQUENCE))
    history = _name(dataset.name + ".history")
    newest = newest_of([str(k) for k in key] if isinstance(key, list) else [], own, history)
    return (
        _files(dataset, "rows")
        + f"CREATE OR REPLACE VIEW {history} AS SELECT {columns}\n"
        + f"  FROM (SELECT {empty} WHERE false UNION ALL BY NAME SELECT * FROM {_read(dataset, 'rows')});\n"
        + f"CREATE OR REPLACE VIEW {_name(dataset.name)} AS SELECT {', '.join(_name(n) for n in own)} FROM ({newest});\n"
    )


def _sql_type(of: object) -> str:
    if pa.types.is_decimal(of):
        return f"DECIMAL(38, {of.scale})"  # type: ignore[attr-defined]
    kinds = {
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        pa.binary(): "BLOB",
        pa.date32(): "DATE",
        pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    }
    return kinds.get(of, "VARCHAR")


def _has_files(lake: Lake, dataset: Dataset, table: str) -> bool:
    folder = lake.folder(dataset.table(table))
    return (folder / "_delta_log").is_dir() and next(folder.glob("*.parquet"), None) is not None


def _files(dataset: Dataset, table: str) -> str:
    folder = f"getvariable('lake') || '/tables/{dataset.table(table)}'"
    return f"SET VARIABLE {_variable(dataset, table)} = (SELECT list({folder} || '/' || path) FROM madang_live({folder}));\n"


def _read(dataset: Dataset, table: str) -> str:
    return f"read_parquet(getvariable('{_variable(dataset, table)}'), union_by_name = true)"


def _variable(dataset: Dataset, table: str) -> str:
    return f"madang_{dataset.folder}_{table}"


def _instant(micros: int) -> str:
    return f"make_timestamptz({micros})"


def _double(number: float) -> str:
    return f"'{number!r}'::DOUBLE" if math.isfinite(number) else "NULL::DOUBLE"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"
