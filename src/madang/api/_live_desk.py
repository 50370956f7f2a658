"""The desk of living data: what pages and programs ask of connections, points, trends and gaps, as documents that both show."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from madang.errors import InputError, MadangError
from madang.plant import Bilingual, quality_class, quality_text
from madang.workspace._lots import Lots

if TYPE_CHECKING:
    from madang.library import Buckets
    from madang.library._signals._cards import LastValue, PointCard
    from madang.library._signals._table import SignalView
    from madang.workspace import Workspace
    from madang.workspace._connections import Connection
    from madang.workspace._push import PushAnswer

Document = dict[str, Any]
PURPOSE: Final = "show"
MAX_BUCKETS: Final = 4000
_PAGE: Final = 200
_EXTRA_MODULES: Final = {"opcua": "asyncua", "mqtt": "paho", "modbus": "pymodbus", "sql": "psycopg"}
_SILENT_EVERY: Final = 1.0
_LIVING: Final = ("connected", "degraded")
"""States of a connection from which values come when they change."""
_CARDS_EVERY: Final = 60.0
_VIEWS: Final = 128
_NOTHING: Final = 3
"""Class of a span in which nothing came, beside 0 good, 1 uncertain and 2 bad."""
_SHIFTS: Final = (
    Bilingual("1조", "first shift"),
    Bilingual("2조", "second shift"),
    Bilingual("3조", "third shift"),
)
_LONGEST_WITH_SHIFTS: Final = timedelta(days=8)
"""Spans up to which shifts are drawn; in longer ones they would be a carpet."""


class LiveDesk:
    """Read and change the living side of one workspace; every method may be called from any thread.

    Args:
        workspace: The opened workspace.
        own_runner: Whether this process runs the connections, and starts to as soon as one is made.
    """

    def __init__(self, workspace: Workspace, *, own_runner: bool = False) -> None:
        self._workspace = workspace
        self._own = own_runner
        self._write = threading.Lock()
        self._silent: dict[str, tuple[float, frozenset[str]]] = {}
        self._cards: dict[str, tuple[float, list[PointCard]]] = {}
        self._views: OrderedDict[tuple[str, tuple[str, ...]], SignalView] = OrderedDict()
        self._views_lock = threading.Lock()
        self._lots: Lots | None = None

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self._workspace

    @property
    def reader(self) -> str:
        """Party on whose behalf pages read."""
        return self._workspace.settings.owner

    def run_if_wanted(self) -> None:
        """Start the runner in this process where there is something to run and nobody else does.

        A runner elsewhere is left alone: its states are shown, and a push says what to do.
        """
        if not self._own or self._workspace.runner.running or not self._workspace.connections.names():
            return
        try:
            self._workspace.runner.start()
        except InputError as error:
            if error.code != "runner_elsewhere":
                raise

    def connections(self) -> Document:
        """List the connections with how each is, and who runs them."""
        from madang.workspace._status import connection_documents

        return {"connections": [self._row(d) for d in connection_documents(self._workspace)], "runner": self.runner()}

    def runner(self) -> Document:
        """Return whether the connections are run, by which process and since when."""
        workspace = self._workspace
        if workspace.runner.running:
            return {"running": True, "here": True, **workspace.runner.head()}
        return {**workspace.runner_state.head(), "here": False}

    def connection(self, name: str) -> Document:
        """Return one connection with options, tags, policy and newest gaps.

        Raises:
            InputError: There is no such connection.
        """
        from madang.workspace._status import connection_document

        found = connection_document(self._workspace, name, gaps=_PAGE)
        connection = self._workspace.connections.get(name)
        return {**self._row(found), "chosen": [*connection.tags], "tags": self._tags(connection)}

    def add(self, body: Mapping[str, Any]) -> Document:
        """Make a connection. It does not start by itself unless ``wanted`` says so: a person tries it first.

        Args:
            body: ``name``, ``kind``, ``url``, ``options``, ``secrets``, ``tags``, ``dataset``, ``wanted``, ``policy``.
        """
        policy = body.get("policy") or {}
        with self._write:
            made = self._workspace.connections.add(
                str(body["name"]),
                str(body["kind"]),
                str(body.get("url") or ""),
                options=body.get("options") or {},
                secrets=body.get("secrets") or {},
                tags=body.get("tags") or (),
                dataset=body.get("dataset") or None,
                wanted="running" if body.get("wanted") == "running" else "paused",
                overflow=policy.get("overflow") or "block",
                max_bytes=policy.get("max_bytes") or 0,
            )
        self._follow()
        return self.connection(made.name)

    def change(self, name: str, wanted: Literal["running", "paused"]) -> Document:
        """Start or pause a connection."""
        with self._write:
            self._workspace.connections.want(name, wanted)
        self._follow()
        return self.connection(name)

    def choose_tags(self, name: str, tags: Sequence[str]) -> Document:
        """Say which tags a connection takes; all when there are none."""
        with self._write:
            self._workspace.connections.change(name, tags=tags)
        self._follow()
        return self.connection(name)

    def remove(self, name: str) -> Document:
        """Remove a connection and its secrets; what it brought stays."""
        with self._write:
            found = self._workspace.connections.get(name)
            self._workspace.connections.remove(name)
        self._follow()
        return {"name": found.name, "dataset": found.dataset, "kept": [f"spool/{found.name}"]}

    def test(self, given: str | Mapping[str, Any]) -> Document:
        """Try a connection step by step: one that is kept, by its name, or settings that are not."""
        from madang.workspace._reach import try_connection

        settings = self._settings(given)
        steps = []
        for step in try_connection(settings):
            following = step.next or Bilingual("", "")
            texts = {**step.text.fields("text"), **following.fields("next")}
            steps.append(
                {"name": step.name, "state": step.state, **texts, "seconds": round(step.seconds, 3), "facts": dict(step.facts)}
            )
        return {"steps": steps, "passed": all(step["state"] in ("ok", "skipped") for step in steps)}

    def trust(self, name: str, thumbprint: str) -> Document:
        """Trust a certificate that the peer has shown, and try to connect again at once."""
        from madang.workspace._reach import trust_peer

        trust_peer(self._settings(name), thumbprint)
        if self._workspace.runner.running:
            self._workspace.runner.restart(name)
        return {"name": name, "thumbprint": thumbprint, "trusted": True}

    def browse(self, name: str, under: str = "", limit: int = 1000) -> Document:
        """Return tags of the peer below a path."""
        from madang.workspace._reach import browse_connection

        tags = browse_connection(self._settings(name), under, limit)
        return {"under": under, "tags": [{**tag_document(tag), **meaning_of(tag)} for tag in tags]}

    def preview(self, name: str, tags: Sequence[str] = (), n: int = 20) -> Document:
        """Return a few samples: of a running connection the newest that came, else what the peer gives just now."""
        from madang.workspace._reach import preview_connection

        connection = self._workspace.connections.get(name)
        if connection.wanted == "running" and self.runner()["running"]:
            return {"samples": self._newest(connection, tags)[:n]}
        seen = preview_connection(self._settings(name), tags, self._workspace.clock, count=n)
        return {
            "samples": [
                {
                    "tag": sample.tag.name,
                    "value": sample.value,
                    "text": sample.text,
                    "time": _iso(sample.time),
                    "unit": sample.tag.unit,
                    "quality": sample.quality,
                    **quality_text(sample.quality).fields("quality"),
                }
                for sample in seen
            ]
        }

    def describe_payload(self, raw: bytes, topic: str = "line/sample") -> Document:
        """Say what a pasted message would be taken for."""
        from madang.connect.mqtt import describe_payload

        return payload_document(describe_payload(raw, topic=topic, zone=self._workspace.settings.zone).document())

    def kinds(self) -> Document:
        """List the kinds of connections with what each takes."""
        found = []
        for kind, about in self._workspace.connections.kinds().items():
            module = _EXTRA_MODULES.get(about.extra or "")
            found.append(
                {
                    "kind": kind,
                    **about.title.fields("title"),
                    "capabilities": sorted(about.capabilities),
                    "options": {name: {"ko": text.ko, "en": text.en} for name, text in about.options.items()},
                    "secrets": sorted(about.secrets),
                    "extra": about.extra,
                    "installed": module is None or find_spec(module) is not None,
                    "url_example": about.url_example,
                    "schemes": [*about.schemes],
                }
            )
        return {"kinds": found}

    def signals(self) -> Document:
        """List the datasets that living connections fill with samples."""
        listed = self._workspace.library.list()["datasets"]
        assert isinstance(listed, list)
        found = []
        for item in listed:
            if not isinstance(item, dict) or item.get("kind") != "signals":
                continue
            cards = self._workspace.library.points(str(item["dataset"]))
            first = min((c.first for c in cards if c.first is not None), default=None)
            last = max((c.last for c in cards if c.last is not None), default=None)
            found.append(
                {
                    "dataset": str(item["dataset"]),
                    "points": len(cards),
                    "samples": sum(c.samples for c in cards),
                    "time_first": _iso(first),
                    "time_last": _iso(last),
                }
            )
        return {"signals": found}

    def points(self, dataset: str, q: str = "") -> Document:
        """List the points of a dataset, or those whose name, tag or label holds some words."""
        words = q.casefold().split()
        found = []
        for card in self._workspace.library.points(dataset):
            document = card.document()
            text = " ".join(str(document[k] or "") for k in ("point", "tag", "connection", "label_ko", "label_en")).casefold()
            if all(word in text for word in words):
                label = card.label or Bilingual(card.point, card.point)
                found.append({**document, **label.fields("label")})
        return {"dataset": dataset, "points": found}

    def cards(self, dataset: str) -> list[PointCard]:
        """Return what is known of the points of a dataset, a minute old at most; callers do not change it."""
        now = time.monotonic()
        known = self._cards.get(dataset)
        if known is None or now - known[0] >= _CARDS_EVERY:
            known = self._cards[dataset] = (now, self._workspace.library.points(dataset))
        return known[1]

    def view(self, dataset: str, points: Sequence[str]) -> SignalView:
        """Return a reader's view of points, opened once for pages and programs that ask again and again."""
        key = (dataset, tuple(points))
        with self._views_lock:
            if key in self._views:
                self._views.move_to_end(key)
                return self._views[key]
        made = self._workspace.library.view(dataset, [*points] or None, reader=self.reader, purpose=PURPOSE)
        if points:  # a view of all points would not show those that come later
            with self._views_lock:
                self._views[key] = made
                while len(self._views) > _VIEWS:
                    self._views.popitem(last=False)
        return made

    def last(self, dataset: str, points: Sequence[str] | None = None) -> Document:
        """Return the newest sample of each point, as old as it is."""
        values = self.view(dataset, points or ()).last(silent=self.silent(dataset))
        documents = [value_document(value) for value in values]
        return {"now": _iso(self._workspace.clock()), "values": documents}

    def silent(self, dataset: str) -> frozenset[str]:
        """Return the connections that brought points of a dataset and are not connected now."""
        now = time.monotonic()
        known = self._silent.get(dataset)
        if known is not None and now - known[0] < _SILENT_EVERY:
            return known[1]
        living = {row["name"] for row in self.connections()["connections"] if row["state"] in _LIVING}
        # A point that came since the cards were read belongs to a connection that lives.
        found = frozenset(card.connection for card in self.cards(dataset)) - living
        self._silent[dataset] = (now, found)
        return found

    def range(
        self, dataset: str, point: str, start: datetime | None = None, end: datetime | None = None, limit: int = 100_000
    ) -> Document:
        """Return samples of one point, sorted by their own time, at most `limit` from the start on."""
        found = self._workspace.library.range(dataset, point, start, end, reader=self.reader, purpose=PURPOSE, limit=limit + 1)
        cut = len(found.time) > limit
        if cut:
            found = found.head(limit)
        texts = found.text
        return {
            "dataset": dataset,
            "point": point,
            "unit": found.unit,
            "cut": cut,
            "time": [_iso(datetime.fromtimestamp(t / 1e6, UTC)) for t in found.time.tolist()],
            "value": [v if np.isfinite(v) else None for v in found.value.tolist()],
            "quality": found.quality.tolist(),
            "text": None if texts is None else [None if t is None else str(t) for t in texts],
        }

    def trend(
        self,
        dataset: str,
        points: Sequence[str],
        start: datetime,
        end: datetime,
        buckets: int = 1000,
        lots: str | None = None,
    ) -> Document:
        """Return points thinned to buckets of extremes and worst quality, with gaps, lots and shifts of the span.

        Args:
            dataset: Name of the dataset.
            points: Names of points.
            start: First instant.
            end: First instant not wanted any more.
            buckets: How many at most, up to 4000.
            lots: Dataset with a record per lot, its start and its end; the only one that fits when None.
        """
        found = self.buckets(dataset, points, start, end, buckets)
        cards = {card.point: card for card in self.cards(dataset)}
        if not cards.keys() >= found.keys():  # points that came since
            self._cards.pop(dataset, None)
            cards = {card.point: card for card in self.cards(dataset)}
        rows = []
        for point, thinned in found.items():
            label = cards[point].label or Bilingual(point, point)
            rows.append({"point": point, "unit": cards[point].unit, **label.fields("label"), **bucket_columns(thinned)})
        connections = {cards[point].connection for point in found}
        gaps = [
            {key: gap[key] for key in ("id", "connection", "from", "to", "cause", "cause_ko", "cause_en", "points")}
            for gap in self.gaps(start=start, end=end)["gaps"]
            if gap["connection"] in connections
        ]
        return {
            "dataset": dataset,
            "from": _iso(start),
            "to": _iso(end),
            "points": rows,
            "gaps": gaps,
            "lots": [
                {"name": lot.name, "from": _iso(lot.start), "to": _iso(lot.end)}
                for lot in self._lot_finder().between(start, end, lots)
            ],
            "shifts": self._shifts(start, end),
        }

    def _lot_finder(self) -> Lots:
        if self._lots is None:
            self._lots = Lots(self._workspace.library, self.reader)
        return self._lots

    def buckets(self, dataset: str, points: Sequence[str], start: datetime, end: datetime, buckets: int) -> dict[str, Buckets]:
        """Return points thinned to buckets, as the library gives them."""
        if end <= start:
            raise InputError(
                "empty_span",
                ko="끝이 시작보다 뒤여야 해요.",
                en="The end has to be after the start.",
                next_ko="from 과 to 를 확인하세요.",
                next_en="Check from and to.",
                where={"from": _iso(start), "to": _iso(end)},
            )
        return self.view(dataset, points).trend(start, end, min(buckets, MAX_BUCKETS)) if points else {}

    def gaps(
        self,
        connection: str | None = None,
        cause: str | None = None,
        open_only: bool = False,
        start: datetime | None = None,
        end: datetime | None = None,
        page: int | None = None,
    ) -> Document:
        """List gaps of all connections, newest first; all of them when no page is asked for."""
        from madang.workspace._gaps import gap_document

        now = self._workspace.clock()
        found = self._workspace.gaps.find(connection=connection, cause=cause, open_only=open_only, start=start, end=end)
        shown = found if page is None else found[(page - 1) * _PAGE : page * _PAGE]
        causes: dict[str, int] = {}
        for gap in found:
            causes[gap.cause] = causes.get(gap.cause, 0) + 1
        return {
            "gaps": [gap_document(gap, now) for gap in shown],
            "total": len(found),
            "open": sum(gap.until is None for gap in found),
            "causes": causes,
        }

    def backfill(self, gap_id: str) -> Document:
        """Fetch what a gap lacks from its peer; it goes on behind this answer where that takes long."""
        came = self._workspace.runner.backfill(gap_id)
        return {"gap": gap_id, "samples": came}

    def quarantine_counts(self) -> Document:
        """Return how many messages and samples of each connection wait in quarantine."""
        from madang.workspace._status import connection_documents

        rows = [
            {"connection": d["name"], "dataset": d["dataset"], "rejected": d["rejected"]}
            for d in connection_documents(self._workspace)
        ]
        return {"quarantine": rows, "all": sum(int(str(row["rejected"])) for row in rows)}

    def push(self, connection: str, body: bytes, form: str, key: str | None, rest: str | None) -> PushAnswer:
        """Take a pushed batch; durable when this returns.

        Raises:
            MissingError: The connection does not run in this process.
        """
        self.run_if_wanted()
        allowed: dict[str, Literal["json", "ndjson", "arrow"]] = {"json": "json", "ndjson": "ndjson", "arrow": "arrow"}
        return self._workspace.runner.push(connection, body, allowed[form], key=key, rest=rest)

    def conditions(self, dataset: str) -> Document:
        """List the saved conditions of a dataset, where the library keeps them."""
        listed = getattr(self._workspace.library, "conditions", None)
        return {"conditions": [] if listed is None else [condition_document(c) for c in listed(dataset)]}

    def keep_condition(
        self, *, name: str, dataset: str, point: str, op: Literal["<", ">"], value: float, lasting_seconds: float
    ) -> Document:
        """Save a condition, whose occurrences become events."""
        keep = getattr(self._workspace.library, "keep_condition", None)
        if keep is None:
            from madang.errors import MissingError

            raise MissingError(
                "no_conditions",
                ko="조건을 사건으로 저장하는 기능이 아직 없어요.",
                en="Saving conditions as events is not there yet.",
                next_ko="madang library export 로 구간을 꺼내 살펴보세요.",
                next_en="Take the span out with madang library export and look at it.",
            )
        keep(dataset, name=name, point=point, op=op, value=value, lasting=timedelta(seconds=lasting_seconds))
        return self.conditions(dataset)

    def _follow(self) -> None:
        self.run_if_wanted()
        self._workspace.runner.follow()

    def _row(self, document: Mapping[str, Any]) -> Document:
        kinds = self._workspace.connections.kinds()
        about = kinds.get(str(document["kind"]))
        return {**document, "capabilities": sorted(about.capabilities) if about else []}

    def _settings(self, given: str | Mapping[str, Any]) -> Any:  # noqa: ANN401 (ConnectionSettings)
        connections = self._workspace.connections
        if isinstance(given, str):
            return connections.settings(connections.get(given))
        made, hidden = connections.checked(
            str(given.get("name") or "test"),
            str(given["kind"]),
            str(given.get("url") or ""),
            options=given.get("options") or {},
            secrets=given.get("secrets") or {},
            tags=given.get("tags") or (),
        )
        return connections.settings(made, hidden)

    def _tags(self, connection: Connection) -> list[Document]:
        """The points that a connection has brought so far."""
        try:
            cards = self._workspace.library.points(connection.dataset)
        except MadangError:
            return []
        found = []
        for card in cards:
            if card.connection == connection.name:
                label = card.label or Bilingual(card.tag, card.tag)
                found.append({**card.document(), "name": card.tag, **label.fields("label")})
        return found

    def _newest(self, connection: Connection, tags: Sequence[str]) -> list[Document]:
        wanted = {t["point"]: t["tag"] for t in self._tags(connection) if not tags or t["tag"] in tags}
        if not wanted:
            return []
        return [{**v, "tag": wanted[v["point"]]} for v in self.last(connection.dataset, [*wanted])["values"]]

    def _shifts(self, start: datetime, end: datetime) -> list[Document]:
        settings = self._workspace.settings
        if end - start > _LONGEST_WITH_SHIFTS:
            return []
        zone = ZoneInfo(settings.zone)
        day = start.astimezone(zone).replace(hour=settings.shift_start, minute=0, second=0, microsecond=0) - timedelta(days=1)
        found = []
        while day < end:
            for number, name in enumerate(_SHIFTS):
                first, last = day + timedelta(hours=8 * number), day + timedelta(hours=8 * number + 8)
                if last > start and first < end:
                    found.append(
                        {"from": _iso(max(first, start)), "to": _iso(min(last, end)), **name.fields("name"), "name": name.ko}
                    )
            day += timedelta(days=1)
        return found


def bucket_columns(thinned: Buckets) -> Document:
    """Return buckets as lists, with an empty one where so long nothing came that no line may be drawn."""
    width = thinned.width
    at = (thinned.start.astype("datetime64[us]").view(np.int64) if thinned.start.dtype.kind == "M" else thinned.start).astype(
        np.int64
    )
    count = len(at)
    holes = np.flatnonzero(thinned.broken[1:]) + 1 if count else np.zeros(0, dtype=np.int64)
    worst = np.where((thinned.worst >> 30) & 3 > 1, 2, (thinned.worst >> 30) & 3)
    columns = {
        "at": np.insert(at, holes, at[holes - 1] + width) / 1e6,
        "low": np.insert(thinned.minimum.astype(np.float64), holes, np.nan),
        "high": np.insert(thinned.maximum.astype(np.float64), holes, np.nan),
        "worst": np.insert(worst.astype(np.int64), holes, _NOTHING),
        "count": np.insert(thinned.count.astype(np.int64), holes, 0),
    }
    return {
        name: [v if np.isfinite(v) else None for v in column.tolist()] if column.dtype.kind == "f" else column.tolist()
        for name, column in columns.items()
    }


def value_document(value: LastValue) -> Document:
    """Return a newest sample; what is no number of JSON (NaN, infinity) is shown as text."""
    document: Document = {**value.document()}
    if value.value is not None and not isfinite(value.value):
        document |= {"value": None, "text": str(value.value)}
    return document


def meaning_of(tag: Any) -> Document:  # noqa: ANN401 (a Tag)
    """Return what a tag probably means, by its label (or the last piece of its name), its unit and where it was found."""
    from madang.connect import SourceColumn
    from madang.library._standardise import propose_columns

    pieces = [piece for piece in re.split(r"[/\\.;=]", tag.name) if re.search(r"[^\W\d_]", piece)]
    spoken = (tag.label.en or tag.label.ko) if tag.label else ""
    column = SourceColumn(tag.name, spoken or (pieces[-1] if pieces else tag.name), tag.data_type, tag.unit)
    [proposal] = propose_columns([column], {}, table_hint=tag.parent)
    return {
        "kind_of_quantity": str(proposal.kind),
        "role": str(proposal.role),
        "unit_ucum": proposal.unit,
        "confidence": round(proposal.confidence, 3),
        "status": proposal.status,
    }


def tag_document(tag: Any) -> Document:  # noqa: ANN401 (a Tag)
    """Return a tag of a peer as pages show it."""
    label = tag.label or Bilingual(tag.name, tag.name)
    return {
        "name": tag.name,
        **label.fields("label"),
        "data_type": tag.data_type,
        "unit": tag.unit,
        "low": tag.low,
        "high": tag.high,
        "parent": tag.parent,
        "description": tag.description,
        "writable": tag.writable,
    }


def payload_document(described: Mapping[str, Any]) -> Document:
    """Return what a pasted message would be taken for, with the fields of a preview."""
    samples = []
    for item in described["samples"]:
        value = item["value"]
        text = value if isinstance(value, str) else None
        kept = {"value": None if text is not None else value, "text": text}
        samples.append({**item, **kept, "quality_class": str(quality_class(item["quality"]))})
    return {**described, "samples": samples}


def condition_document(condition: Any) -> Document:  # noqa: ANN401 (the library's own)
    """Return a saved condition as pages show it."""
    document: Document = condition if isinstance(condition, dict) else condition.document()
    return document


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
