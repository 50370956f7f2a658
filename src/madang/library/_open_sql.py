"""``lake/open.sql`` and ``lake/README.md``: the lake opens without Madang, in a plain DuckDB session."""

# ruff: noqa: S608 (the SQL is written here, names are quoted, nothing of it is run by this program)
from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from madang.library._catalogue import TABLES, all_datasets, live_files, parts_of, union_columns, version_of
from madang.library._lake import Lake, replacing
from madang.library._state import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from madang.library._catalogue import Dataset

_HEAD = """\
-- Opens this lake in a plain DuckDB session: one view per dataset, newest version, physical values.
-- Run it once per session:   SET VARIABLE lake = '/path/to/this/folder';   then   .read /path/to/this/folder/open.sql
-- Without the variable the current directory is taken to be this folder.
-- The Delta logs are read here and now (checkpoint and JSON commits), so that only live files count.
SET VARIABLE lake = coalesce(getvariable('lake'), '.');

CREATE OR REPLACE TEMP MACRO madang_live(folder) AS TABLE
  WITH checkpoint_actions AS (
    SELECT regexp_extract(filename, '(\\d{20})\\.checkpoint', 1)::BIGINT AS version, add.path AS path
    FROM read_parquet(folder || '/_delta_log/*.checkpoint*.parquet', filename = true, union_by_name = true)
  ),
  base AS (SELECT max(version) AS version FROM checkpoint_actions),
  log_actions AS (
    SELECT regexp_extract(filename, '(\\d{20})\\.json$', 1)::BIGINT AS version, add.path AS added, remove.path AS removed
    FROM read_json(folder || '/_delta_log/*.json', format = 'newline_delimited', filename = true,
                   maximum_object_size = 268435456,
                   columns = {add: 'STRUCT(path VARCHAR)', remove: 'STRUCT(path VARCHAR)'})
  ),
  actions AS (
    SELECT c.version, c.path, true AS live FROM checkpoint_actions c, base b WHERE c.version = b.version AND c.path IS NOT NULL
    UNION ALL
    SELECT l.version, coalesce(l.added, l.removed), l.added IS NOT NULL
    FROM log_actions l, base b WHERE l.version > b.version AND coalesce(l.added, l.removed) IS NOT NULL
  )
  SELECT path FROM actions GROUP BY path HAVING arg_max(live, version) ORDER BY path;
"""

_README = """\
# A lake that opens without Madang

- `tables/dNNNNNN/records` holds one dataset: Parquet files registered in a Delta Lake log (`_delta_log`). Beside it, `flags` has the
  remarks on single cells and `quarantine` the records that could not be read. `_part` says from which source file a record came and
  `_row` which record of it it was. Numbers are in the unit of their column, times are UTC.
- `tables/dNNNNNN/signals` holds signals: `point`, `time`, `quality` (OPC UA status code), and one of `value` (counts), `number`, `text`. The
  value in the source's unit is `value * scale / divisor + offset`; scale, divisor and offset belong to a version of the point, valid from a time on, and
  stand in each file's footer (`madang.signals`) too. `open.sql` makes views in which this is done: one per dataset, and `madang_points`.
- `tables/dNNNNNN/rows` holds every entry of a followed table: `_change` (upsert, delete), `_seen` (time received), `_sequence` (order). The newest entry of a key
  counts: the view of the dataset's name shows those, `NAME.history` shows all.
- `archive` holds signals files that the rules of retention moved out of their tables; `last` the last value of each point, for live screens.
- `objects` holds the original files, named by the SHA-256 of their bytes.
- Do **not** read `tables/*/records/*.parquet` with a glob: superseded files stay on disk for older versions and would be counted twice.
  Read the Delta log: `open.sql` does that with DuckDB alone; Polars (`scan_delta`), Spark and deltalake do it by themselves.

Open it with DuckDB (no extension needed) from any directory:

    SET VARIABLE lake = '/path/to/this/folder';
    .read /path/to/this/folder/open.sql

or change into this folder and run `duckdb -init open.sql`. The folder may be moved or copied as a whole. Run `open.sql` again to see later
versions. The view `madang_columns` lists each column with its unit.

| dataset | folder |
|---|---|
"""


_WRITING = threading.Lock()


def describe_lake(lake: Lake, state: State) -> None:
    """Write both files for the datasets as they are now."""
    with _WRITING:
        _describe(lake, state)


def _describe(lake: Lake, state: State) -> None:
    from madang.library._signals._views import live_folders, live_views

    with state.reading() as db:
        datasets = all_datasets(db)
        sql = [_HEAD]
        columns: list[str] = []
        for dataset in datasets:
            sql.append(_views(db, lake, dataset))
            version = version_of(db, dataset, dataset.latest)
            for card in version.columns if version is not None else ():
                unit = "NULL" if card.unit is None else _text(card.unit)
                columns.append(
                    f"({_text(dataset.name)}, {_text(card.name)}, {_text(str(card.role))}, {_text(str(card.kind))}, {unit})"
                )
        sql.append(live_views(db, lake))
        others = live_folders(db)
    listed = ",\n  ".join(columns) or "(NULL, NULL, NULL, NULL, NULL)"
    sql.append(
        f'CREATE OR REPLACE VIEW madang_columns AS SELECT * FROM (VALUES\n  {listed}\n) t("dataset", "column", "role", "kind", "unit")'
        + ("" if columns else " WHERE false")
        + ";\n"
    )
    rows = "".join(f"| {d.name.replace('|', ' ')} | tables/{d.table('records')} |\n" for d in datasets)
    rows += "".join(f"| {name.replace('|', ' ')} | tables/{folder} |\n" for name, folder in others)
    with replacing(lake.root / "open.sql") as stream:
        stream.write("\n".join(sql).encode())
    with replacing(lake.root / "README.md") as stream:
        stream.write((_README + rows).encode())


def _views(db: Connection, lake: Lake, dataset: Dataset) -> str:
    version = version_of(db, dataset, dataset.latest)
    parts = parts_of(db, dataset, version.parts) if version is not None else ()
    stored, _ = union_columns([(p.stored, p.empty) for p in parts])
    out = []
    for kind in TABLES:
        if not (lake.folder(dataset.table(kind)) / "_delta_log").is_dir():
            continue
        name = dataset.name if kind == "records" else f"{dataset.name}.{kind}"
        live = live_files(db, dataset, kind)
        columns = ", ".join(_name(n) for n in ("_part", "_row", *(n for n, _ in stored))) if kind == "records" else "*"
        variable = f"madang_{dataset.folder}_{kind}"
        folder = f"getvariable('lake') || '/tables/{dataset.table(kind)}'"
        out.append(f"SET VARIABLE {variable} = (SELECT list({folder} || '/' || path) FROM madang_live({folder}));\n")
        if live:
            out.append(
                f"CREATE OR REPLACE VIEW {_name(name)} AS SELECT {columns}\n"
                f"  FROM read_parquet(getvariable('{variable}'), union_by_name = true);\n"
            )
        else:
            nothing = ", ".join(f"NULL AS {_name(n)}" for n in ("_part", "_row", *(n for n, _ in stored)))
            out.append(f"CREATE OR REPLACE VIEW {_name(name)} AS SELECT {nothing} WHERE false;\n")
    return "".join(out)


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
