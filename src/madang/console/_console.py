"""The routes of the pages: each reads documents from the desk, adds one sentence about the state, and fills a template."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from madang.console._charts import quality_strip
from madang.console._format import Formats, unit_symbol
from madang.console._live_pages import add_live_pages, line_rows, lines_sentence
from madang.console._pages import render
from madang.console._report import report_context, report_html
from madang.console._texts import Lang
from madang.console._view import YEAR, View, download, local_address, paged, see, shell
from madang.errors import InputError, MadangError, RefusedError
from madang.plant import Kind, Role

if TYPE_CHECKING:
    from madang.api import Desk, LiveDesk, Studies

_QUARANTINE_SHOWN: Final = 1000
_ZONES: Final = (
    "Asia/Seoul", "UTC", "Asia/Tokyo", "Asia/Shanghai", "Asia/Ho_Chi_Minh", "Asia/Kolkata", "Europe/Berlin", "Europe/Warsaw",
    "Europe/London", "America/New_York", "America/Chicago", "America/Los_Angeles", "America/Mexico_City",
)  # fmt: skip
_UNITLESS: Final = frozenset({"identifier", "category", "state", "text", "time", "count", "ratio", "power_factor", "unknown"})
_ABOUT: Final = ("description", "process", "equipment", "owner", "licence")
_CLASSES: Final = ("unclassified", "open", "member", "agreement", "restricted", "core")


class _Static(StaticFiles):
    """Files that never change under one address: the address carries their hash."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        response = await super().get_response(path, scope)
        kept = f"public, max-age={YEAR}, immutable" if b"v=" in scope.get("query_string", b"") else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


class Console:
    """The pages over one desk.

    Args:
        desk: The library of the workspace.
        studies: Its guided studies.
        live: Its connections and what they bring.
        now: Clock, aware.
    """

    def __init__(self, desk: Desk, studies: Studies, live: LiveDesk, *, now: Callable[[], datetime]) -> None:
        self._desk = desk
        self._studies = studies
        self._live = live
        self._now = now
        self.router = APIRouter(default_response_class=HTMLResponse)
        self.static = _Static(packages=[("madang.console", "static")])
        self._add_home()
        self._add_studies()
        self._add_library()
        self._add_mapping()
        self._add_quality()
        add_live_pages(self, live)

    def error_page(self, request: Request, error: MadangError, status: int) -> Response:
        """Answer a person with what happened and the next step."""
        view = View(self, request, "")
        ko = view.lang == "ko"
        shown = {
            "kind": 3 if status == 404 else error.exit_code,
            "code": error.code,
            "message": error.ko if ko else error.en,
            "next": error.next_ko if ko else error.next_en,
            "where": {k: v for k, v in error.where.items() if isinstance(v, str | int)},
        }
        if "hx-request" in request.headers:
            # A part of a page was asked for: the error stands in its place.
            return HTMLResponse(render("_error.html", {**view.base(), "error": shown}), status_code=status)
        # Who was not let in learns nothing of the workspace.
        bare = not getattr(request.state, "let_in", False)
        return view.page("error.html", {"error": shown}, status=status, waiting=False, bare=bare)

    def _waiting(self, datasets: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        return sum(d["asks"] for d in datasets), sum(d["quarantined"] for d in datasets)

    def _study_row(self, draft: Any, view: View) -> dict[str, Any]:  # noqa: ANN401 (a draft of `madang.api`)
        document = self._studies.document(draft.id) if draft.state == "done" else None
        verdict = (document or {}).get("verdict") or {}
        error = self._studies.error(draft.id) if draft.state == "failed" else None
        line = view.pick(verdict, "sentence") if document else view.pick(error, "message")
        return {
            "id": draft.id,
            "name": (document or {}).get("name"),
            "href": f"/studies/{draft.id}/report" if document else f"/studies/{draft.id}",
            "title": _title(draft, document, view),
            "data": ", ".join(item["name"] for item in draft.files),
            "line": line,
            "confidence": verdict.get("confidence"),
            "state": draft.state,
            "time": draft.ended or draft.created,
        }

    def _study_rows(self, view: View, states: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Guided studies, and those that were computed elsewhere and kept in the library, newest first."""
        rows = [self._study_row(d, view) for d in self._studies.all() if not states or d.state in states]
        shown = {row["name"] for row in rows}
        for kept in self._desk.saved_studies():
            if kept["name"] in shown:
                continue
            document = self._desk.saved_study(kept["name"])
            verdict = document.get("verdict") or {}
            rows.append(
                {
                    "id": kept["name"],
                    "name": kept["name"],
                    "href": f"/studies/kept/{quote(kept['name'], safe='')}",
                    "title": f"{document.get('target')} · {kept['name']}" if document.get("target") else kept["name"],
                    "data": ", ".join(kept["inputs"]),
                    "line": view.pick(verdict, "sentence"),
                    "confidence": verdict.get("confidence"),
                    "state": "done",
                    "time": kept["created"],
                }
            )
        return sorted(rows, key=lambda r: datetime.fromisoformat(str(r["time"])).timestamp(), reverse=True)

    def _add_home(self) -> None:
        @self.router.get("/")
        def home(request: Request) -> Response:
            view = View(self, request, "home")
            datasets = self._desk.datasets()
            asks, quarantined = self._waiting(datasets)
            lines = line_rows(view, self._live)
            library = _home_sentence(view, len(datasets), asks, quarantined) if datasets else view.t("home.empty_sentence")
            context = {
                "datasets": datasets[:8],
                "dataset_count": len(datasets),
                "connections": lines,
                "studies": self._study_rows(view, ("done", "running", "failed"))[:8],
                "sentence": lines_sentence(view, lines) if lines else library,
                "more": library if lines and datasets else _last_intake(view, datasets, self._now()),
                "next_step": _next_step(view, asks, quarantined),
                "snippets": view.snippets("library list", "ws.library.list()"),
            }
            return view.page("home.html", context, datasets=datasets)

    def _add_studies(self) -> None:
        from madang.api._routes import add_files, begin, choose_and_run

        studies, router = self._studies, self.router

        @router.get("/studies")
        def list_studies(request: Request, page: Annotated[int, Query(ge=1)] = 1) -> Response:
            view = View(self, request, "studies")
            every = self._study_rows(view)
            rows, pager = paged(every, page)
            done = sum(row["state"] == "done" for row in every)
            sentence = view.t("studies.sentence", n=len(every), done=done) if every else view.t("studies.sentence_empty")
            return view.page("studies.html", {"studies": rows, "page": pager, "sentence": sentence})

        @router.get("/studies/new")
        def new_study(request: Request) -> Response:
            view = View(self, request, "studies")
            return view.page("study_new.html", {"datasets": self._desk.datasets()})

        @router.post("/studies")
        def drop(files: Annotated[list[UploadFile], File()]) -> Response:
            draft = begin(studies, files, None)
            return see(f"/studies/{draft.id}")

        @router.post("/studies/from")
        def from_library(dataset: Annotated[str, Form(max_length=500)]) -> Response:
            draft = studies.new()
            paths = self._desk.sources(dataset, studies.upload_folder(draft.id))
            draft.files = [{"name": path.name, "size": path.stat().st_size} for path in paths]
            studies.start(draft, "reading")
            return see(f"/studies/{draft.id}")

        @router.get("/studies/kept/{name}")
        def kept(request: Request, name: str) -> Response:
            view = View(self, request, "studies")
            document = self._desk.saved_study(name)
            context = {
                **report_context(document, view.base(), live=True),
                "guided": None,
                "download": f"/studies/kept/{quote(name, safe='')}/report.html?lang={view.lang}",
                "snippets": None,
            }
            return view.page("report.html", context)

        @router.get("/studies/kept/{name}/report.html")
        def kept_file(request: Request, name: str) -> Response:
            view = View(self, request, "studies")
            return download(report_html(self._desk.saved_study(name), view.lang, self._desk.zone), name, view.lang)

        @router.get("/studies/{study}")
        def guided(request: Request, study: str) -> Response:
            if not studies.knows(study) and any(kept["name"] == study for kept in self._desk.saved_studies()):
                # The command line speaks of a study by the name it was kept under.
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"/studies/kept/{quote(study, safe='')}{query}", status_code=307)
            view = View(self, request, "studies")
            return view.page("study.html", self._guided_context(study, view))

        @router.get("/studies/{study}/progress")
        def progress(request: Request, study: str, state: str = "running") -> Response:
            view = View(self, request, "studies")
            draft = studies.get(study)
            if draft.state != state:
                # What comes next is another page: the whole guided study is read again.
                return Response(
                    status_code=204,
                    headers={"HX-Redirect": f"/studies/{study}{'#step5' if state == 'running' else ''}", "HX-Refresh": "true"},
                )
            return HTMLResponse(render("_progress.html", {**view.base(), "draft": self._draft_view(draft, view)}))

        @router.post("/studies/{study}/files")
        def more_files(study: str, files: Annotated[list[UploadFile], File()]) -> Response:
            add_files(studies, studies.get(study), files, None)
            return see(f"/studies/{study}")

        @router.post("/studies/{study}/zone")
        def zone(study: str, zone: Annotated[str, Form(max_length=60)]) -> Response:
            draft = studies.get(study)
            draft.zone = zone
            studies.start(draft, "reading")
            return see(f"/studies/{study}")

        @router.post("/studies/{study}/run")
        async def run(request: Request, study: str) -> Response:
            form = await request.form(max_fields=200_000)
            choices = _choices({key: [str(v) for v in form.getlist(key)] for key in form})
            try:
                await run_in_threadpool(choose_and_run, studies, study, choices)
            except RefusedError as refused:
                # What was chosen is kept; the page says what it waits for.
                return see(f"/studies/{study}?{urlencode({'waits': str(refused.where.get('study', ''))})}#step5")
            return see(f"/studies/{study}#step5")

        @router.post("/studies/{study}/cancel")
        def cancel(study: str) -> Response:
            studies.cancel(study)
            return see(f"/studies/{study}#step5")

        @router.get("/studies/{study}/report")
        def report(request: Request, study: str) -> Response:
            view = View(self, request, "studies")
            document = self._finished(study)
            context = {
                **report_context(document, view.base(), live=True),
                "guided": f"/studies/{study}",
                "download": f"/studies/{study}/report.html?lang={view.lang}",
                "snippets": _study_snippets(view, studies.get(study)),
            }
            return view.page("report.html", context)

        @router.get("/studies/{study}/report.html")
        def report_file(request: Request, study: str) -> Response:
            view = View(self, request, "studies")
            return download(report_html(self._finished(study), view.lang, self._desk.zone), study, view.lang)

    def _finished(self, study: str) -> dict[str, Any]:
        self._studies.get(study)
        document = self._studies.document(study)
        if document is None:
            raise InputError(
                "not_ready",
                ko="아직 판단이 나오지 않았어요.",
                en="There is no verdict yet.",
                next_ko="스터디를 먼저 실행해 주세요.",
                next_en="Run the study first.",
                where={"study": study},
            )
        return document

    def _draft_view(self, draft: Any, view: View) -> dict[str, Any]:  # noqa: ANN401 (a draft of `madang.api`)
        document = self._studies.document(draft.id) if draft.state == "done" else None
        intake = self._studies.intake(draft.id)
        error = self._studies.error(draft.id) if draft.state == "failed" else None
        said = None
        if error:
            source = (error.get("where") or {}).get("source")
            said = {"message": view.pick(error, "message"), "next": view.pick(error, "next"), "source": source}
        tables = [_table_view(table, view) for table in (intake or {}).get("tables", [])]
        zones = [t["zone"] for t in tables if t["time_column"] and t["zone"]]
        return {
            **{
                name: getattr(draft, name)
                for name in ("id", "state", "files", "target", "task", "horizon", "lab_delay", "goal", "budget", "money")
            },
            "title": _title(draft, document, view),
            "read": intake is not None and bool(tables),
            "read_error": said if intake is None else None,
            "error": said,
            "tables": tables,
            "zone": draft.zone or (zones[0] if zones else self._desk.zone),
            "zone_assumed": draft.zone is None and any(t["zone_assumed"] for t in tables),
            "seconds": self._studies.seconds(draft),
            "share": next((line.get("share") for line in reversed(self._studies.progress(draft.id))), None),
            "trying": [line.get(view.lang) or line.get("ko") or "" for line in self._studies.progress(draft.id)],
            "verdict": (document or {}).get("verdict"),
        }

    def _guided_context(self, study: str, view: View) -> dict[str, Any]:
        draft = self._studies.get(study)
        shown = self._draft_view(draft, view)
        columns = _unique_columns(shown["tables"])
        tables = shown["tables"]
        totals = {key: sum(t[f"rows_{key}"] for t in tables) for key in ("read", "kept", "quarantined", "duplicate")}
        some = totals["quarantined"] or totals["duplicate"]
        known = bool(tables) and all(t["known"] for t in tables)
        read = view.t(
            "read.sentence_known" if known else "read.sentence_some" if some else "read.sentence",
            tables=len(tables),
            rows=totals["read"],
            kept=totals["kept"],
            quarantined=totals["quarantined"],
            duplicate=totals["duplicate"],
        )
        failed = draft.state == "failed"
        sentence = (
            ("failed" if shown["read"] else "unread")
            if failed
            else {"reading": "reading", "ready": "ask"}.get(draft.state, draft.state)
        )
        zones = list(dict.fromkeys([shown["zone"], *_ZONES]))
        return {
            "draft": shown,
            "sentence": view.t(f"study.sentence_{sentence}"),
            "read_sentence": read,
            "zones": zones,
            "unitless": _UNITLESS,
            "refused": self._waits_for(draft, view),
            "targets": _target_candidates(columns, draft.target),
            "all_columns": [c["name"] for c in columns],
            "tasks": ("auto", "regression", "classification", "forecast"),
            "money_fields": [
                {"id": name, "typed": [_plain(v) for v in (draft.money.get(name) or ["", "", ""])]}
                for name in (
                    "units_per_year",
                    "bad_share",
                    "loss_per_bad",
                    "avoided_share",
                    "saving_per_year",
                    "cost_once",
                    "cost_per_year",
                )
            ],
            "inputs": [_input_view(c, draft.exclude, view, self._leaks(study)) for c in columns],
            "snippets": _study_snippets(view, draft),
        }

    def _waits_for(self, draft: Any, view: View) -> str | None:  # noqa: ANN401 (a draft of `madang.api`)
        """The study that this one was refused for, while that one is still at work."""
        other = view.request.query_params.get("waits", "")
        if draft.state == "running" or not self._studies.knows(other):
            return None
        return other if self._studies.get(other).state in ("reading", "running") else None

    def _leaks(self, study: str) -> Mapping[str, Mapping[str, Any]]:
        document = self._studies.document(study) or {}
        return {f["column"]: f for f in (document.get("leak") or {}).get("findings", []) if f.get("column")}

    def _add_library(self) -> None:
        desk, router = self._desk, self.router

        @router.get("/library")
        def library(
            request: Request, q: Annotated[str, Query(max_length=500)] = "", page: Annotated[int, Query(ge=1)] = 1
        ) -> Response:
            view = View(self, request, "library")
            every = desk.datasets()
            found = desk.datasets(q) if q.strip() else every
            hits = desk.columns_found(q) if q.strip() else []
            shown, pager = paged(found, page)
            if not every:
                sentence = view.t("library.sentence_empty")
            elif q.strip():
                sentence = view.t("library.sentence_found", q=q, n=len(found), hits=len(hits))
            else:
                sentence = view.t("library.sentence", n=len(every), rows=sum(d["rows"] or 0 for d in every))
            context = {
                "sentence": sentence,
                "any_dataset": bool(every),
                "query": q,
                "datasets": shown,
                "hits": hits,
                "page": pager,
                "snippets": view.snippets(
                    f"library search {shell(q)}" if q else "library list",
                    f"ws.library.search({q!r})" if q else "ws.library.list()",
                ),
            }
            return view.page("library.html", context, datasets=every)

        @router.get("/library/{name}")
        def card(
            request: Request,
            name: str,
            version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
            tab: str = "columns",
            column: Annotated[str | None, Query(max_length=1000)] = None,
            page: Annotated[int, Query(ge=1)] = 1,
        ) -> Response:
            view = View(self, request, "library")
            return view.page(
                "card.html", self._card_context(view, desk.card(name, version), tab, column, page, version is not None)
            )

        @router.post("/library/undo")
        def undo(id: Annotated[str, Form(max_length=200)], back: Annotated[str, Form(max_length=2000)] = "/") -> Response:
            made = desk.undo(id)
            return see(local_address(back), flash=f"undone:{made.get('dataset')}:{made.get('version')}")

        @router.post("/library/redo")
        def redo(id: Annotated[str, Form(max_length=200)], back: Annotated[str, Form(max_length=2000)] = "/") -> Response:
            made = desk.redo(id)
            return see(local_address(back), flash=f"redone:{made.get('dataset')}:{made.get('version')}")

        @router.post("/library/{name}/about")
        async def about(request: Request, name: str) -> Response:
            form = await request.form()
            said = {key: str(form.get(key) or "").strip()[:4000] or None for key in (*_ABOUT, "importance") if key in form}
            if said.get("importance") == "unclassified":
                said["importance"] = None
            await run_in_threadpool(desk.describe, name, said)
            return see(f"/library/{quote(name, safe='')}?tab=about", flash=f"said:{name}:0")

    def _card_context(
        self, view: View, card: dict[str, Any], tab: str, column: str | None, page: int, version_given: bool
    ) -> dict[str, Any]:
        tab = tab if tab in ("columns", "findings", "quality", "trend", "about", "versions") else "columns"
        columns = card["columns"]
        asks = sum(c["status"] == "ask" for c in columns)
        numeric = [c for c in columns if c["type"] in ("number", "integer")]
        chosen = next((c for c in numeric if c["name"] == column), numeric[0] if numeric else None)
        shown, pager = paged(columns, page)
        strip = _strip(card.get("shifts"), view)
        span = (
            view.t("card.span", first=view.f.instant(card["time_first"]), last=view.f.instant(card["time_last"]))
            if card["time_first"]
            else ""
        )
        assumed = view.t("card.zone_assumed", zone=card["zone"]) if card["zone_assumed"] and card["time_column"] else ""
        first, last = view.request.query_params.get("from"), view.request.query_params.get("to")
        query = {"column": chosen["name"] if chosen else "", "version": card["version"]}
        for key, value in (("from", first), ("to", last)):
            moment = _local_instant(value, view.f.zone)
            if moment is not None:
                query[key] = moment
        warned = sum(item.get("severity") != "info" for part in card["parts"] for item in part["findings"])
        kept_apart = card["quarantined"]
        key = (
            "both"
            if asks and kept_apart
            else "asks"
            if asks
            else "quarantine"
            if kept_apart
            else "warned"
            if warned
            else "well"
        )
        state = view.t(f"card.state_{key}", n=asks or kept_apart or warned, asks=asks, quarantined=kept_apart)
        name = card["dataset"]
        return {
            "card": card,
            "tab": tab,
            "version_given": version_given,
            "columns": shown,
            "page": pager,
            "unitless": _UNITLESS,
            "sentence": view.t("card.sentence", rows=card["rows"], columns=len(columns), state=state),
            "more": " ".join(x for x in (span, assumed) if x),
            "finding_count": sum(len(p["findings"]) for p in card["parts"]),
            "worst": sorted((c for c in columns if c["quality"] is not None), key=lambda c: (c["quality"], c["name"]))[:20],
            "strip": quality_strip(strip, view.t("chart.quality")) if strip else None,
            "numeric": numeric,
            "trend_column": chosen["name"] if chosen else None,
            "trend_unit": chosen["unit"] if chosen else None,
            "trend_url": f"/api/v1/datasets/{quote(name, safe='')}/trend?{urlencode(query)}",
            "trend_first": _input_time(view.f, card["time_first"]),
            "trend_last": _input_time(view.f, card["time_last"]),
            "trend_from": first or _input_time(view.f, card["time_first"]),
            "trend_to": last or _input_time(view.f, card["time_last"]),
            "lineage": [{**p, "form": _form(p, view)} for p in card["parts"]],
            "versions": [{**v, "reason": _reason(v["reason"], view)} for v in reversed(card["versions"])],
            "steps": [{**s, "what": _reason(s["kind"], view)} for s in reversed(card["steps"])][:100],
            "said": card["said"],
            "about_fields": _ABOUT,
            "classes": _CLASSES,
            "snippets": view.snippets(
                f"library card {shell(name)}@{card['version']}", f"ws.library.card({name + '@' + str(card['version'])!r})"
            ),
        }

    def _add_mapping(self) -> None:
        desk, router = self._desk, self.router

        @router.get("/mapping")
        def mapping(
            request: Request,
            dataset: Annotated[str, Query(max_length=500)] = "",
            show: str = "ask",
            page: Annotated[int, Query(ge=1)] = 1,
        ) -> Response:
            view = View(self, request, "mapping")
            show = show if show in ("ask", "proposed", "accepted", "all") else "ask"
            datasets = desk.datasets()
            columns = desk.mappings(dataset or None, show)
            shown, pager = paged(columns, page)
            waiting = len(columns) if show == "ask" else len(desk.mappings(dataset or None, "ask"))
            sentence = (
                view.t("mapping.sentence_empty")
                if not datasets
                else view.t("mapping.sentence_waiting", n=waiting)
                if waiting
                else view.t("mapping.sentence_well")
            )
            context = {
                **_mapping_words(),
                "sentence": sentence,
                "more": view.t("mapping.more") if datasets else "",
                "any_dataset": bool(datasets),
                "names": [d["dataset"] for d in datasets],
                "dataset": dataset,
                "show": show,
                "columns": [_mapping_row(c, view) for c in shown],
                "page": pager,
                "snippets": view.snippets("library map --review", "ws.library.map_review()"),
            }
            return view.page("mapping.html", context, datasets=datasets)

        @router.post("/mapping/accept")
        def accept(
            request: Request,
            dataset: Annotated[str, Form(max_length=500)],
            column: Annotated[str, Form(max_length=1000)],
            role: Annotated[str, Form(max_length=40)] = "",
            kind: Annotated[str, Form(max_length=40)] = "",
            unit: Annotated[str, Form(max_length=60)] = "",
            back: Annotated[str, Form(max_length=2000)] = "/mapping",
            row: int = 0,
        ) -> Response:
            view = View(self, request, "mapping")
            error = ""
            try:
                code = _unit_code(unit, view.lang)
                card = desk.accept(dataset, column, role=role or None, kind=kind or None, unit=code)
            except MadangError as refused:
                if not row:
                    raise
                error = refused.ko if view.lang == "ko" else refused.en
                card = next(c for c in desk.mappings(dataset, "all") if c["name"] == column)
            if not row:
                return see(local_address(back))
            context = {
                **view.base(),
                **_mapping_words(),
                "column": {**_mapping_row(card, view), "error": error},
                "here_url": local_address(back),
            }
            return HTMLResponse(render("_mapping_row_only.html", context))

    def _add_quality(self) -> None:
        desk, router = self._desk, self.router

        @router.get("/quality")
        def quality(
            request: Request, dataset: Annotated[str, Query(max_length=500)] = "", page: Annotated[int, Query(ge=1)] = 1
        ) -> Response:
            view = View(self, request, "quality")
            datasets = desk.datasets()
            wanted = [d for d in datasets if not dataset or d["dataset"] == dataset]
            rows = [r for d in wanted if d["quarantined"] for r in desk.quarantine(d["dataset"])]
            shown, pager = paged(rows[:_QUARANTINE_SHOWN], page)
            if not datasets:
                sentence = view.t("quality.sentence_empty")
            elif len(rows) > _QUARANTINE_SHOWN:
                sentence = view.t("quality.sentence_some", n=len(rows), shown=_QUARANTINE_SHOWN)
            else:
                sentence = view.t("quality.sentence_waiting", n=len(rows)) if rows else view.t("quality.sentence_well")
            context = {
                "sentence": sentence,
                "more": view.t("quality.more") if rows else "",
                "any_dataset": bool(datasets),
                "names": [d["dataset"] for d in datasets],
                "dataset": dataset,
                "rows": [
                    {**r, "reason": view.pick(r, "reason") or view.word("quarantine", r.get("reason", ""))} for r in shown
                ],
                "page": pager,
                "findings": _warnings(desk.card(d["dataset"]) for d in wanted[:20]),
                "snippets": view.snippets(
                    f"library quarantine {shell(dataset or (wanted[0]['dataset'] if wanted else 'DATASET'))}",
                    f"ws.library.quarantine({dataset or (wanted[0]['dataset'] if wanted else 'DATASET')!r})",
                ),
            }
            return view.page("quality.html", context, datasets=datasets)

        @router.post("/quality/replay")
        def replay(dataset: Annotated[str, Form(max_length=500)] = "") -> Response:
            names = [dataset] if dataset else [d["dataset"] for d in desk.datasets() if d["quarantined"]]
            made: Mapping[str, Any] = {}
            for name in names:
                made = desk.replay(name)
            target = f"/quality?{urlencode({'dataset': dataset})}" if dataset else "/quality"
            return see(target, flash=f"replayed:{made.get('dataset', '')}:{made.get('version', '')}" if made else None)


def _home_sentence(view: View, datasets: int, asks: int, quarantined: int) -> str:
    waiting = [view.t(f"home.waiting_{key}", n=n) for key, n in (("asks", asks), ("quarantine", quarantined)) if n]
    if not waiting:
        return view.t("home.sentence_well", datasets=datasets)
    joined = (
        view.t("home.and", first=waiting[0], second=waiting[1]) if len(waiting) == 2 else view.t("home.only", first=waiting[0])
    )
    return view.t("home.sentence_waiting", datasets=datasets, waiting=joined)


def _last_intake(view: View, datasets: Sequence[Mapping[str, Any]], now: datetime) -> str | None:
    taken = max((d["taken"] for d in datasets if d["taken"]), default=None)
    return view.t("home.last_intake", age=view.f.age(taken, now), time=view.f.instant(taken)) if taken else None


def _next_step(view: View, asks: int, quarantined: int) -> dict[str, str]:
    if asks:
        return {"href": "/mapping", "label": view.t("home.next_asks", n=asks)}
    if quarantined:
        return {"href": "/quality", "label": view.t("home.next_quarantine")}
    return {"href": "/studies/new", "label": view.t("home.next_study")}


def _title(draft: Any, document: Mapping[str, Any] | None, view: View) -> str:  # noqa: ANN401 (a draft of `madang.api`)
    names = [item["name"] for item in draft.files]
    if not names:
        return view.t("studies.untitled", date=view.f.short(draft.created))
    files = names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"
    target = (document or {}).get("target")
    return f"{target} · {files}" if target else files


def _form(table: Mapping[str, Any], view: View) -> str:
    """Say in a few words how a table was read."""
    form = [str(table.get("format") or "").upper(), table.get("encoding")]
    separator = {",": None, "\t": "TAB"}.get(str(table.get("separator")), table.get("separator"))
    form += [f"‘{separator}’" if separator and len(str(separator)) == 1 else separator]
    if table.get("preamble_lines"):
        form.append(view.t("read.preamble", n=table["preamble_lines"]))
    if table.get("header_rows") is not None:
        form.append(view.t("read.header_rows", n=table["header_rows"]) if table["header_rows"] else view.t("read.no_header"))
    if table.get("units_row"):
        form.append(view.t("read.units_row"))
    if table.get("layout") in ("long", "transposed", "nested"):
        form.append(view.t(f"read.layout_{table['layout']}"))
    return " · ".join(str(x) for x in form if x)


def _reason(code: str, view: View) -> str:
    """Say why a version or a step was made; the library's word carries the id of a step after a blank."""
    word, _, rest = code.partition(" ")
    said = view.word("card", f"reason_{word}")
    return code if said == f"reason_{word}" else f"{said} ({rest})" if rest else said


def _table_view(table: Mapping[str, Any], view: View) -> dict[str, Any]:
    findings = list(table.get("findings", []))
    return {
        **{key: table.get(key) for key in ("source", "dataset", "time_column", "time_first", "time_last", "zone")},
        **{f"rows_{key}": int(table.get(f"rows_{key}") or 0) for key in ("read", "kept", "quarantined", "duplicate")},
        "version": str(table.get("version", 1)).rpartition("@")[2],
        "zone_assumed": bool(table.get("zone_assumed")),
        "form": _form(table, view),
        "columns": list(table.get("columns", [])),
        "asks": sum(c.get("status") == "ask" for c in table.get("columns", [])),
        "findings": findings,
        "known": any(item.get("code") == "repeated_file" for item in findings),
        "open": any(item.get("severity") == "stop" for item in findings),
    }


def _unique_columns(tables: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Columns of all tables, one of each name, in the order of appearance."""
    found: dict[str, dict[str, Any]] = {}
    for table in tables:
        personal = {f.get("column") for f in table["findings"] if f.get("code") == "personal_data"}
        for column in table["columns"]:
            found.setdefault(column["name"], {**column, "dataset": table["dataset"], "personal": column["name"] in personal})
    return list(found.values())


def _target_candidates(columns: Sequence[Mapping[str, Any]], chosen: str | None) -> list[Mapping[str, Any]]:
    rank = {"target_candidate": 0, "result": 1}
    likely = sorted((c for c in columns if c.get("role") in rank), key=lambda c: rank[str(c["role"])])
    # A table of results holds the measured result itself beside its judgement.
    tables = {c["dataset"] for c in likely}
    likely += [c for c in columns if c.get("role") == "actual" and c["dataset"] in tables and c.get("status") != "rejected"]
    likely = likely[:11]
    if chosen and chosen not in {c["name"] for c in likely}:
        likely += [c for c in columns if c["name"] == chosen]
    return likely


def _input_view(
    column: Mapping[str, Any], excluded: Sequence[str], view: View, leaks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    role = str(column.get("role", "unknown"))
    available = {"result": "after_result", "target_candidate": "after_result", "time": "calendar"}.get(role, "unknown")
    if role in ("set_point", "recipe", "limit", "lot"):
        available = "before"
    suspicion = ""
    leak = leaks.get(str(column["name"]))
    if leak:
        suspicion = view.t("use.leak", what=view.word("leak", leak["code"]))
    elif column.get("personal"):
        suspicion = view.t("use.personal")
    elif role == "result":
        suspicion = view.t("use.role_result")
    elif role == "identifier":
        suspicion = view.t("use.role_identifier")
    elif role == "text":
        suspicion = view.t("use.role_text")
    return {
        **{key: column.get(key) for key in ("name", "dataset", "unit")},
        "role": role,
        "kind_of_quantity": column.get("kind_of_quantity", "unknown"),
        "available": available,
        "suspicion": suspicion,
        "use": column["name"] not in excluded,
    }


def _choices(form: Mapping[str, Sequence[str]]) -> Any:  # noqa: ANN401 (`StudyChoices`, imported late)
    """Read the guided page's form.

    Raises:
        InputError: A range of money is incomplete or out of order.
    """
    from madang.api._documents import StudyChoices

    def one(name: str) -> str:
        return (form.get(name) or [""])[0].strip()

    money: dict[str, Any] = {}
    for name in sorted({key.split(".")[1] for key in form if key.startswith("money.") and key.count(".") == 2}):
        typed = [one(f"money.{name}.{place}").replace(",", "") for place in ("low", "likely", "high")]
        if not any(typed):
            continue
        money[name] = _range(name, typed)
    if money:
        money["currency"] = "KRW"
    used = set(form.get("use") or [])
    task, budget = one("task"), one("budget")
    return StudyChoices(
        target=one("other_target") or one("target") or None,
        task=task if task in ("regression", "classification", "forecast") else "auto",  # type: ignore[arg-type]
        exclude=[name for name in form.get("seen") or [] if name not in used],
        horizon=one("horizon") or None,
        lab_delay=one("lab_delay") or None,
        goal=one("goal") or None,
        seed=0,
        budget=min(3600, max(5, int(budget))) if budget.isdecimal() else 60,
        money=money,
    )


def _range(name: str, typed: Sequence[str]) -> list[float]:
    try:
        numbers = [float(x) for x in typed]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or numbers != sorted(numbers) or not all(math.isfinite(n) for n in numbers):
        raise InputError(
            "money_range",
            ko=f"{name}: 최소 ≤ 보통 ≤ 최대인 숫자 셋이 필요해요.",
            en=f"{name}: three numbers with low ≤ likely ≤ high are needed.",
            next_ko="셋 다 적거나 모두 비워 주세요.",
            next_en="Fill in all three, or none.",
            where={"field": name},
        )
    return numbers


def _study_snippets(view: View, draft: Any) -> dict[str, str]:  # noqa: ANN401 (a draft of `madang.api`)
    names = [item["name"] for item in draft.files]
    options = [f"--target {shell(draft.target)}"] if draft.target else []
    options += [f"--task {draft.task}"] if draft.task != "auto" else []
    options += [f"--exclude {shell(','.join(draft.exclude))}"] if draft.exclude else []
    options += [f"--horizon {shell(draft.horizon)}"] if draft.horizon else []
    options += [f"--lab-delay {shell(draft.lab_delay)}"] if draft.lab_delay else []
    options += [f"--zone {shell(draft.zone)}"] if draft.zone else []
    options += [f"--budget {draft.budget}s", f"--seed {draft.seed}"]
    fields = {"target": draft.target, "task": draft.task, "exclude": tuple(draft.exclude), "horizon": draft.horizon}
    request = ", ".join(f"{k}={v!r}" for k, v in fields.items() if v and v != "auto")
    call = f"ws.study({[*names]!r}, StudyRequest({request}))"
    snippets = view.snippets(f"study {' '.join(shell(n) for n in names)} {' '.join(options)}", call)
    snippets["python"] = snippets["python"].replace(
        "import madang\n", "import madang\nfrom madang.models import StudyRequest\n"
    )
    return snippets


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _mapping_words() -> dict[str, Any]:
    from madang.plant import known_units

    return {
        "roles": [r.value for r in Role],
        "kinds": [k.value for k in Kind],
        "units": sorted({u.code for u in known_units()}),
        "unitless": _UNITLESS,
    }


def _unit_code(typed: str, lang: Lang) -> str | None:
    """The code of a unit that was typed as its sign; what is no sign is left to the library to read."""
    from madang.plant import known_units

    sign = typed.strip()
    return next((u.code for u in known_units() if sign and unit_symbol(u.code, lang) == sign), sign or None)


def _mapping_row(column: Mapping[str, Any], view: View) -> dict[str, Any]:
    stats = column.get("stats") or {}
    seen = ""
    if stats.get("min") is not None and stats.get("max") is not None:
        seen = view.t("mapping.seen", min=view.f.number(stats["min"]), max=view.f.number(stats["max"], column.get("unit")))
    key = hashlib.sha256(f"{column['dataset']}\0{column['name']}".encode()).hexdigest()[:10]
    return {**column, "key": key, "seen": seen, "error": ""}


def _warnings(cards: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for card in cards:
        for part in card["parts"]:
            serious = [item for item in part["findings"] if item.get("severity") != "info"]
            if serious:
                found.append({"dataset": card["dataset"], "source": part["source"], "findings": serious[:10]})
    return found[:20]


def _strip(shifts: Any, view: View) -> dict[str, Any] | None:  # noqa: ANN401 (a JSON value)
    """Arrange the shifts as a calendar: one row for each shift of the day, one column for each day; the newest 120 days."""
    found = [s for s in shifts or [] if s.get("local")]
    if len(found) < 2:
        return None
    by_place = {(s["local"][11:16], s["local"][:10]): s for s in found}
    days = sorted({day for _, day in by_place})[-120:]
    clocks = sorted({clock for clock, _ in by_place})

    def said(shift: Mapping[str, Any] | None) -> str:
        if shift is None:
            return ""
        numbers = {key: view.f.count(shift.get(key) or 0) for key in ("records", "missing", "bad", "stuck")}
        return view.t(
            "card.shift",
            time=f"{shift['local']} {view.f.zone_label}",
            score=view.f.number(shift.get("score"), digits=2),
            **numbers,
        )

    return {
        "rows": [view.t("card.shift_from", clock=clock) for clock in clocks],
        "columns": days,
        "values": [[(by_place.get((clock, day)) or {}).get("score") for day in days] for clock in clocks],
        "titles": [[said(by_place.get((clock, day))) for day in days] for clock in clocks],
    }


def _local_instant(value: str | None, zone: str) -> str | None:
    """Read a local time typed on the page as an instant with its offset; None when it is not one."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).isoformat()


def _input_time(f: Formats, value: object) -> str:
    local = f.local(value)
    return "" if local is None else f"{local:%Y-%m-%dT%H:%M}"
