"""The desk of one workspace: what the console and the API ask of the library, as documents that both show."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from madang import __version__
from madang.api._trend import Trend, bucketed
from madang.errors import InputError

if TYPE_CHECKING:
    from madang.workspace import Workspace

Document = dict[str, Any]
"""A JSON document; its schema stands in `_documents`."""

READER: Final = "owner"
PURPOSE: Final = "show"
SAID: Final = ("description", "process", "equipment", "owner", "licence", "importance")
_TREND_CACHE_BYTES: Final = 600_000_000
_REMEMBERED: Final = 512
"""Cards and lists kept between two changes of the catalogue."""
_NUMERIC: Final = ("number", "integer")


class Desk:
    """Read and change one workspace on behalf of its owner; every method may be called from any thread."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._library: Any = workspace.library
        self._write = threading.Lock()
        self._arrays: OrderedDict[tuple[str, str], tuple[Any, Any, Any, bool]] = OrderedDict()
        self._arrays_lock = threading.Lock()
        self._kept: dict[tuple[str, str], Any] = {}
        self._kept_at: object = None
        self._kept_lock = threading.Lock()

    @property
    def path(self) -> Path:
        """Folder of the workspace."""
        return self._workspace.root

    @property
    def zone(self) -> str:
        """Zone in which times are shown."""
        return self._workspace.settings.zone

    def _remembered(self, what: str, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever is made)
        """What was made once since the catalogue last changed, by this process or another; callers do not change it."""
        at = self._library.stamp()
        with self._kept_lock:
            if self._kept_at != at or len(self._kept) >= _REMEMBERED:
                self._kept, self._kept_at = {}, at
            if (what, name) in self._kept:
                return self._kept[what, name]
        made = make()
        with self._kept_lock:
            if self._kept_at == at:
                self._kept[what, name] = made
        return made

    def datasets(self, query: str = "") -> list[Document]:
        """List datasets (those that fit a query, best first), newest version of each."""
        listed = self._remembered("list", "", lambda: [dataset_row(item) for item in self._library.list()["datasets"]])
        every = {row["dataset"]: row for row in listed}
        if not query.strip():
            return list(every.values())
        wanted: dict[str, Document] = {}
        for hit in self._library.search(query):
            name = str(hit["dataset"])
            if name in every:
                wanted.setdefault(name, every[name])
        for name, row in every.items():
            if query.lower() in name.lower() or any(query.lower() in str(s).lower() for s in row["sources"]):
                wanted.setdefault(name, row)
        return list(wanted.values())

    def columns_found(self, query: str, limit: int = 50) -> list[Document]:
        """List columns that fit a query."""
        found: list[Document] = []
        for hit in self._library.search(query):
            name = hit.get("column") or hit.get("name")
            if name and len(found) < limit:
                found.append(
                    {
                        "dataset": str(hit["dataset"]),
                        "name": str(name),
                        "kind_of_quantity": str(hit.get("kind_of_quantity") or hit.get("kind") or "unknown"),
                        "unit": hit.get("unit"),
                    }
                )
        return found

    def card(self, dataset: str, version: int | None = None) -> Document:
        """Return the card of a dataset.

        Raises:
            InputError: There is no such dataset or version.
        """
        wanted = dataset if version is None else f"{dataset}@{version}"
        found: Document = self._remembered("card", wanted, lambda: card_document(self._library.card(wanted)))
        return found

    def intake(self, paths: Sequence[Path], *, zone: str | None = None, dataset: str | None = None) -> Document:
        """Read files into the library and return the ``intake/1`` document (without envelope)."""
        with self._write:
            report: Document = self._library.intake(list(paths), dataset=dataset, zone=zone, strict=False).document()
        return report

    def undo(self, step: str) -> Document:
        """Undo one reading decision."""
        with self._write:
            result: Document = dict(self._library.undo(step))
        return result

    def redo(self, step: str) -> Document:
        """Make an undone decision again."""
        with self._write:
            result: Document = dict(self._library.redo(step))
        return result

    def describe(self, dataset: str, said: Mapping[str, str | None]) -> None:
        """Keep what people say about a dataset: description, process, equipment, owner, licence, importance."""
        with self._write:
            self._library.describe(dataset, **said)

    def replay(self, dataset: str) -> Document:
        """Read the quarantined rows of a dataset again with today's rules."""
        with self._write:
            result: Document = dict(self._library.replay(dataset))
        return result

    def quarantine(self, dataset: str | None = None) -> list[Document]:
        """List rows that wait in quarantine, of one dataset or of all."""
        names = [dataset] if dataset else [row["dataset"] for row in self.datasets() if row["quarantined"]]
        return [
            {
                "dataset": name,
                "source": str(row.get("source", "")),
                "row": int(row.get("row", 0)),
                "reason": str(row.get("reason", "")),
                "text": str(row.get("text", "")),
            }
            for name in names
            for row in self._library.quarantine(name)
        ]

    def mappings(self, dataset: str | None = None, show: str = "ask") -> list[Document]:
        """List columns with their proposed meaning: those to confirm, proposed, accepted, or all."""
        names = [dataset] if dataset else [row["dataset"] for row in self.datasets()]
        found: list[Document] = []
        for name in names:
            columns = self.card(name)["columns"]
            found += [{**column, "dataset": name} for column in columns if show in ("all", column["status"])]
        return sorted(found, key=lambda c: (c["status"] != "ask", c["confidence"])) if show == "all" else found

    def accept(
        self, dataset: str, column: str, *, role: str | None = None, kind: str | None = None, unit: str | None = None
    ) -> Document:
        """Confirm (or change) the meaning of a column; returns the column as it stands after it."""
        with self._write:
            self._library.accept(dataset, column, role=role, kind=kind, unit=unit, author=READER)
        for item in self.card(dataset)["columns"]:
            if item["name"] == column:
                return {**item, "dataset": dataset}
        raise no_column(dataset, column)

    def sources(self, dataset: str, folder: Path) -> list[Path]:
        """Write the kept originals of a dataset's newest version into a folder, to study them again."""
        found: list[Path] = [Path(p) for p in self._library.originals(dataset, folder)]
        return found

    def saved_studies(self) -> list[Document]:
        """List the studies kept in the library, newest first, each at its newest version, whoever computed them."""
        newest: dict[str, Document] = {}
        for item in self._library.objects("study"):
            newest[item.name] = {
                "name": item.name,
                "version": item.version,
                "created": item.created,
                "inputs": list(item.inputs),
            }
        return sorted(newest.values(), key=lambda s: (s["created"], s["name"]), reverse=True)

    def saved_study(self, name: str) -> Document:
        """Return the ``study/1`` document of a kept study (``name`` or ``name@2``).

        Raises:
            InputError: There is none of that name.
        """

        def read() -> Document:
            payload, found = self._library.get_object("study", name)
            document: Document = json.loads(payload)
            return {"madang": __version__, **document, "name": document.get("name") or found.name}

        kept: Document = self._remembered("study", name, read)
        return kept

    def trend(
        self, dataset: str, version: int | None, column: str, start: datetime | None, end: datetime | None, width: int
    ) -> Trend:
        """Return a column thinned to buckets of minimum, maximum and worst quality.

        Args:
            dataset: Name of the dataset.
            version: Version; None = the newest.
            column: Name of a numeric column (of a long table: of a tag).
            start: First instant wanted; None = from the beginning.
            end: Last instant wanted; None = to the end.
            width: How many buckets at most, from 1 to 8192.
        """
        card = self.card(dataset, version)
        if column not in {c["name"] for c in card["columns"] if c["type"] in _NUMERIC}:
            raise no_column(dataset, column)
        time, value, quality, timed = self._series(f"{dataset}@{card['version']}", card.get("time_column"), column)
        if timed and (start or end):
            low = np.searchsorted(time, _instant(start), "left") if start else 0
            high = np.searchsorted(time, _instant(end), "right") if end else len(time)
            time, value, quality = time[low:high], value[low:high], quality[low:high]
        return bucketed(time, value, quality, width, timed=timed)

    def _series(self, version: str, time_column: str | None, column: str) -> tuple[Any, Any, Any, bool]:
        import pyarrow as pa

        key = (version, column)
        with self._arrays_lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        wanted = [column] if time_column is None else [time_column, column]
        result = self._library.read(version, columns=wanted, reader=READER, purpose=PURPOSE)
        table = result.table
        value = np.asarray(table.column(column).cast("float64").to_numpy(zero_copy_only=False), dtype=np.float64)
        quality = np.where(np.isnan(value), 2, 0).astype(np.uint8)
        timed = time_column is not None and time_column in table.column_names
        if timed:
            time = np.asarray(table.column(time_column).cast(pa.timestamp("us", tz="UTC")).to_numpy(zero_copy_only=False))
            time = time.astype("datetime64[us]").view(np.int64)
            known = time != np.iinfo(np.int64).min
            time, value, quality = time[known], value[known], quality[known]
            if np.any(np.diff(time) < 0):
                order = np.argsort(time, kind="stable")
                time, value, quality = time[order], value[order], quality[order]
        else:
            time = np.arange(1, len(value) + 1, dtype=np.int64)
        with self._arrays_lock:
            self._arrays[key] = (time, value, quality, timed)
            while (
                sum(t.nbytes + v.nbytes for t, v, _, _ in self._arrays.values()) > _TREND_CACHE_BYTES and len(self._arrays) > 1
            ):
                self._arrays.popitem(last=False)
        return time, value, quality, timed


def _instant(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def no_column(dataset: str, column: str) -> InputError:
    """The error for a column that is not there, or has no numbers."""
    return InputError(
        "no_column",
        ko=f"데이터셋 {dataset}에 그런 숫자 열이 없어요.",
        en=f"Dataset {dataset} has no such numeric column.",
        next_ko="명세서에서 열 이름을 확인해 주세요.",
        next_en="Look up the column's name on the card.",
        where={"dataset": dataset, "column": column},
    )


def version_number(value: object) -> int:
    """Read a version given as a number or as ``dataset@number``."""
    match = re.search(r"(\d+)$", str(value))
    return int(match[1]) if match else 1


def dataset_row(item: Mapping[str, Any]) -> Document:
    """Return a dataset of the library's list with every field that a table of datasets shows."""
    sources = item.get("sources") or item.get("source") or []
    return {
        "dataset": str(item["dataset"]),
        "version": version_number(item.get("version", 1)),
        "rows": item.get("rows"),
        "columns": len(item["columns"]) if isinstance(item.get("columns"), list) else item.get("columns"),
        "time_first": item.get("time_first"),
        "time_last": item.get("time_last"),
        "quality": item.get("quality"),
        "asks": int(item.get("asks", 0) or 0),
        "quarantined": int(item.get("quarantined", item.get("rows_quarantined", 0)) or 0),
        "taken": item.get("taken") or item.get("created"),
        "sources": [str(s) for s in (sources if isinstance(sources, list) else [sources])],
    }


def card_document(card: Mapping[str, Any]) -> Document:
    """Return a card with every field that a page shows; fields the library does not give are null or empty."""
    columns = [
        {
            "name": c["name"],
            "source_name": c.get("source_name", c["name"]),
            "role": c.get("role", "unknown"),
            "kind_of_quantity": c.get("kind_of_quantity") or c.get("kind") or "unknown",
            "unit_source": c.get("unit_source"),
            "unit": c.get("unit"),
            "unit_reason_ko": c.get("unit_reason_ko") or "",
            "unit_reason_en": c.get("unit_reason_en") or c.get("unit_reason") or "",
            "confidence": float(c.get("confidence") or 0.0),
            "status": c.get("status", "proposed"),
            "type": c.get("type") or ("number" if c.get("stats") else "text"),
            "missing": int(c.get("missing") or 0),
            "bad": int(c.get("bad") or 0),
            "stuck": int(c.get("stuck") or 0),
            "stats": c.get("stats"),
            "quality": c.get("quality"),
        }
        for c in card.get("columns", [])
    ]
    parts = [part_document(p) for p in card.get("parts", card.get("tables", []))]
    head = parts[0] if parts else {}
    versions = [
        {
            "version": version_number(v.get("version", v.get("number", 1))),
            "taken": v.get("taken") or v.get("created"),
            "rows": v.get("rows"),
            "reason": str(v.get("reason") or ""),
            "sources": [str(s) for s in v.get("sources", [])],
        }
        for v in card.get("versions", [])
        if isinstance(v, Mapping)
    ]
    return {
        "dataset": str(card["dataset"]),
        "version": version_number(card.get("version", 1)),
        "rows": card.get("rows") if card.get("rows") is not None else sum(p["rows_kept"] for p in parts),
        "time_column": card.get("time_column") or head.get("time_column"),
        "time_first": card.get("time_first"),
        "time_last": card.get("time_last"),
        "zone": card.get("zone") or head.get("zone"),
        "zone_assumed": bool(card.get("zone_assumed", head.get("zone_assumed", False))),
        "quality": card.get("quality"),
        "quarantined": int(card.get("quarantined") or sum(p["rows_quarantined"] for p in parts)),
        "columns": columns,
        "parts": parts,
        "versions": versions,
        "shifts": card.get("shifts"),
        "said": {name: card.get(name) for name in SAID},
        "steps": [_step(s) for s in (card.get("lineage") or {}).get("steps", [])],
        "unknown": card.get("unknown") or {},
    }


def _step(step: Mapping[str, Any]) -> Document:
    return {
        "id": str(step["id"]),
        "kind": str(step.get("kind", "")),
        "step": step.get("step"),
        "time": step.get("time"),
        "undone": step.get("undone"),
        "reversible": bool(step.get("reversible", True)),
        "reason_ko": step.get("reason_ko") or "",
        "reason_en": step.get("reason_en") or "",
    }


def part_document(part: Mapping[str, Any]) -> Document:
    """Return one source table of a version in the words of ``intake/1``."""
    layout = part.get("layout")
    details: Mapping[str, Any] = layout if isinstance(layout, Mapping) else {}
    tally: Mapping[str, Any] = part.get("tally") or {}

    def word(name: str, default: object = None) -> Any:  # noqa: ANN401 (fields of a JSON document)
        return part.get(name, details.get(name, default))

    return {
        "source": str(part.get("source", "")),
        "sha256": part.get("sha256"),
        "format": word("format"),
        "encoding": word("encoding"),
        "separator": word("separator"),
        "preamble_lines": word("preamble_lines", 0) or 0,
        "header_rows": word("header_rows", 1),
        "units_row": bool(word("units_row", False)),
        "layout": layout if isinstance(layout, str) else details.get("layout", "wide"),
        "time_column": word("time_column"),
        "zone": word("zone"),
        "zone_assumed": bool(word("zone_assumed", False)),
        "time_first": part.get("time_first"),
        "time_last": part.get("time_last"),
        "rows_read": int(part.get("rows_read", tally.get("read", 0)) or 0),
        "rows_kept": int(part.get("rows_kept", tally.get("kept", 0)) or 0),
        "rows_quarantined": int(part.get("rows_quarantined", tally.get("quarantined", 0)) or 0),
        "rows_duplicate": int(part.get("rows_duplicate", tally.get("duplicate", 0)) or 0),
        "findings": [dict(f) for f in part.get("findings", [])],
    }
