"""Pages of live lines: connections, trends and gaps. Each reads documents of the live desk and says one sentence about the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from madang.connect import GapCause
from madang.console._format import unit_symbol
from madang.console._pages import render
from madang.console._view import View, local_address, paged, see, shell
from madang.errors import InputError, MadangError, UsageError

if TYPE_CHECKING:
    from madang.api import LiveDesk
    from madang.console._console import Console

_LANES: Final = 8
"""Lanes that one screen holds; more would be too low to read."""
_FIRST: Final = 3
"""Lanes shown to a reader who has not chosen any."""
_SPANS: Final = ((900, "15m"), (3600, "1h"), (28_800, "8h"), (86_400, "1d"), (604_800, "7d"))
_HELD: Final = ("set_point", "state", "recipe", "limit", "category", "counter")
"""Roles whose value holds until it is changed, as whole numbers and switches do."""
_LASTINGS: Final = ((0, "0"), (60, "60"), (300, "300"), (1800, "1800"))
_MARKS: Final = {
    "connected": "",
    "starting": "",
    "paused": " stale",
    "stopped": " stale",
    "degraded": " warn",
    "needs_trust": " ask",
    "disconnected": " bad",
    "failed": " bad",
}
_TABS: Final = ("state", "test", "tags", "gaps", "settings")
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Instants that a screen may show."""
_STALE: Final = 30.0
"""Seconds without a good sample after which a running connection is remarked upon."""
_PREVIEW: Final = 20


def add_live_pages(console: Console, live: LiveDesk) -> None:
    """Add the routes of connections, trends and gaps to the console."""
    _add_connections(console, live)
    _add_one_connection(console, live)
    _add_trends(console, live)
    _add_gaps(console, live)
    _add_log_in(console)


def line_rows(view: View, live: LiveDesk) -> list[dict[str, Any]]:
    """Return the connections as a page shows them."""
    return [connection_view(view, row) for row in live.connections()["connections"]]


def connection_view(view: View, row: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a connection's document what a page says about it: a mark, an age in words, and whether it is stale."""
    age = row.get("age_seconds")
    running = row["state"] in ("connected", "degraded", "starting")
    return {
        **row,
        "mark": _MARKS.get(row["state"], ""),
        "said": view.pick(row, "text"),
        "age": _age(view, age),
        "stale": bool(running and age is not None and age > _STALE),
    }


def lines_sentence(view: View, rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in one sentence how the connections are, the worst one by its name."""
    running = [r for r in rows if r["wanted"] == "running"]
    if not running:
        return view.t("connections.sentence_paused", n=len(rows))
    bad = [r for r in running if r["state"] not in ("connected", "starting")]
    stale = [r for r in running if r not in bad and r["stale"]]
    if not bad and not stale:
        return view.t("connections.sentence_well", n=len(running))
    worst = (bad + stale)[0]
    what = (
        view.t("connections.trouble_state", state=view.word("constate", worst["state"]))
        if bad
        else view.t("connections.trouble_stale", age=worst["age"])
    )
    well = len(running) - len(bad) - len(stale)
    return view.t("connections.sentence_trouble", name=worst["name"], what=what, well=well, n=len(running))


def _age(view: View, seconds: float | None) -> str:
    if seconds is None:
        return view.f.unknown
    for limit, scale, key in ((90, 1, "seconds"), (5400, 60, "minutes"), (129_600, 3600, "hours")):
        if seconds < limit:
            return view.t(f"connections.{key}", n=view.f.count(max(0.0, seconds) / scale))
    return view.t("connections.days", n=view.f.count(seconds / 86_400))


def _add_connections(console: Console, live: LiveDesk) -> None:
    router = console.router

    @router.get("/connections")
    def connections(request: Request) -> Response:
        view = View(console, request, "connections")
        rows = line_rows(view, live)
        off = rows and not live.connections()["runner"]["running"]
        context = {
            "connections": rows,
            "sentence": lines_sentence(view, rows) if rows else view.t("connections.empty_title"),
            "more": view.t("connections.runner_off" if off else "connections.more"),
            "snippets": view.snippets("connect run" if off else "connect status", "ws.connections.status()"),
        }
        return view.page("connections.html", context)

    @router.get("/connections/rows")
    def rows(request: Request) -> Response:
        view = View(console, request, "connections")
        return HTMLResponse(render("_connection_rows.html", {**view.base(), "connections": line_rows(view, live)}))

    def wizard(view: View, kind: str, typed: Mapping[str, Any], problem: MadangError | None = None) -> Response:
        kinds = [_kind_view(view, item) for item in live.kinds()["kinds"]]
        chosen = next((item for item in kinds if item["kind"] == kind), None)
        context = {
            "kinds": kinds,
            "kind": chosen,
            "typed": typed,
            "problem": _said(view, problem) if problem is not None else None,
            "snippets": view.snippets("connect kinds", "ws.connections.kinds()"),
        }
        return view.page("connection_new.html", context, status=200 if problem is None else 422)

    @router.get("/connections/new")
    def new(request: Request, kind: Annotated[str, Query(max_length=40)] = "") -> Response:
        return wizard(View(console, request, "connections"), kind, {"name": "", "url": "", "options": {}})

    @router.post("/connections")
    async def make(request: Request) -> Response:
        form = {key: str(value).strip() for key, value in (await request.form(max_fields=500)).items()}
        options = {key[7:]: value for key, value in form.items() if key.startswith("option.") and value}
        secrets = {key[7:]: value for key, value in form.items() if key.startswith("secret.") and value}
        name = form.get("name", "")
        body = {"name": name, "kind": form.get("kind", ""), "url": form.get("url", ""), "options": options, "secrets": secrets}
        try:
            made = await run_in_threadpool(live.add, body)
        except (InputError, UsageError) as refused:
            # What was typed stays, but for secrets: those never come back from the server.
            return await run_in_threadpool(wizard, View(console, request, "connections"), form.get("kind", ""), body, refused)
        return see(f"/connections/{quote(made['name'], safe='')}?tab=test&try=1", flash="added::")

    @router.post("/connections/describe")
    def describe(
        request: Request,
        sample: Annotated[str, Form(max_length=1_000_000)],
        topic: Annotated[str, Form(max_length=1000)] = "plant/line1",
    ) -> Response:
        view = View(console, request, "connections")
        samples: list[dict[str, Any]] = []
        error = ""
        try:
            described = live.describe_payload(sample.encode(), topic)
            samples = [_sample_view(view, item) for item in described["samples"][:_PREVIEW]]
            error = view.pick(described, "problem")
        except MadangError as refused:
            error = " ".join(_said(view, refused).values())
        return HTMLResponse(render("_described.html", {**view.base(), "samples": samples, "error": error}))


def _said(view: View, error: MadangError) -> dict[str, str]:
    """Return what an error says to this reader."""
    ko = view.lang == "ko"
    return {"message": error.ko if ko else error.en, "next": error.next_ko if ko else error.next_en}


def _kind_view(view: View, item: Mapping[str, Any]) -> dict[str, Any]:
    options = [{"name": name, "text": text.get(view.lang) or text.get("en", "")} for name, text in item["options"].items()]
    return {"url_example": "", **item, "options": options}


def _sample_view(view: View, item: Mapping[str, Any]) -> dict[str, Any]:
    value = item.get("value")
    return {
        "tag": item.get("tag") or item.get("point") or "",
        "value": item["text"] if item.get("text") is not None else view.f.number(value) if value is not None else "–",
        "time": view.f.instant(item["time"]) if item.get("time") else "–",
        "quality": view.pick(item, "quality") or view.f.unknown,
    }


def _add_one_connection(console: Console, live: LiveDesk) -> None:
    router = console.router

    def base_of(name: str) -> str:
        return f"/connections/{quote(name, safe='')}"

    @router.get("/connections/{name}")
    def one(request: Request, name: str, tab: str = "state") -> Response:
        view = View(console, request, "connections")
        tab = tab if tab in _TABS else "state"
        c = connection_view(view, live.connection(name))
        error = c.get("error")
        new = c["state"] == "paused" and not c["received"] and not c["last_good"]
        if new:
            sentence = view.t("connections.sentence_new", name=name)
        elif c["state"] in ("connected", "degraded") and c["stale"]:
            sentence = view.t("connections.sentence_stale", name=name, age=c["age"])
        elif c["state"] == "connected" and c["last_good"]:
            sentence = view.t("connections.sentence_collecting", name=name, age=view.t("connections.age_newest", age=c["age"]))
        else:
            sentence = view.t("connections.sentence_state", name=name, state=view.word("constate", c["state"]))
        context = {
            "c": c,
            "tab": tab,
            "tabs": _TABS,
            "sentence": sentence,
            "more": view.t("connections.more_new") if new else c["said"],
            "error": {"message": view.pick(error, "message"), "next": view.pick(error, "next")} if error else None,
            "auto_test": request.query_params.get("try") == "1",
            "path_base": base_of(name),
            "gaps": [_gap_view(g, c) for g in c.get("gaps", [])],
            "back": f"{base_of(name)}?tab=gaps",
            "policy": _policy(c.get("policy")),
            "snippets": view.snippets(f"connect test {shell(name)}", f"ws.connections.status({name!r})"),
        }
        return view.page("connection.html", context)

    @router.get("/connections/{name}/now")
    def now(request: Request, name: str) -> Response:
        view = View(console, request, "connections")
        c = connection_view(view, live.connection(name))
        return HTMLResponse(render("_connection_now.html", {**view.base(), "c": c}))

    @router.post("/connections/{name}/test")
    def test(request: Request, name: str) -> Response:
        view = View(console, request, "connections")
        if "hx-request" not in request.headers:
            return see(f"{base_of(name)}?tab=test&try=1")
        steps = live.test(name)["steps"]
        context = {
            **view.base(),
            "steps": steps,
            "well": all(step["state"] in ("ok", "skipped") for step in steps),
            "asks": any(step["state"] == "ask" for step in steps),
            "wanted": live.connection(name)["wanted"],
            "path_base": base_of(name),
        }
        return HTMLResponse(render("_test_steps.html", context))

    @router.post("/connections/{name}/trust")
    def trust(name: str, thumbprint: Annotated[str, Form(max_length=200)]) -> Response:
        live.trust(name, thumbprint)
        return see(f"{base_of(name)}?tab=test&try=1")

    @router.get("/connections/{name}/browse")
    def browse(request: Request, name: str) -> Response:
        view = View(console, request, "connections")
        context: dict[str, Any] = {**view.base(), "path_base": base_of(name), "tags": [], "error": None}
        try:
            context["tags"] = _browsed(view, live, name)
        except MadangError as error:
            context["error"] = _said(view, error)
        return HTMLResponse(render("_browse.html", context))

    @router.post("/connections/{name}/tags")
    async def tags(request: Request, name: str) -> Response:
        form = await request.form(max_fields=200_000)
        chosen = [str(value) for value in form.getlist("tag")]
        await run_in_threadpool(live.choose_tags, name, chosen)
        return see(base_of(name))

    @router.post("/connections/{name}/start")
    def start(name: str) -> Response:
        live.change(name, "running")
        return see(base_of(name))

    @router.post("/connections/{name}/pause")
    def pause(name: str) -> Response:
        live.change(name, "paused")
        return see(base_of(name))

    @router.post("/connections/{name}/remove")
    def remove(name: str) -> Response:
        live.remove(name)
        return see("/connections")


def _policy(policy: object) -> str:
    """Return the word for what happens when a spool is full."""
    return str(policy.get("overflow", "block")) if isinstance(policy, Mapping) else str(policy or "block")


def _browsed(view: View, live: LiveDesk, name: str) -> list[dict[str, Any]]:
    """Return the tags of a source with their present values and what they probably mean."""
    chosen = set(live.connection(name).get("chosen") or ())
    found = live.browse(name)["tags"]
    values = {item["tag"]: item for item in live.preview(name, [tag["name"] for tag in found[:_PREVIEW]])["samples"]}
    shown = []
    for tag in found:
        sample = _sample_view(view, values[tag["name"]]) if tag["name"] in values else {"value": "", "quality": ""}
        kind = tag.get("kind_of_quantity")
        meaning = view.word("kind", kind) if kind and kind != "unknown" else ""
        shown.append(
            {
                "name": tag["name"],
                "label": view.pick(tag, "label"),
                "unit": tag.get("unit"),
                "data_type": tag["data_type"],
                "chosen": tag["name"] in chosen,
                "value": sample["value"],
                "quality": sample["quality"],
                "meaning": meaning,
            }
        )
    return shown


def _add_trends(console: Console, live: LiveDesk) -> None:
    router = console.router

    @router.get("/trends")
    def trends(
        request: Request,
        dataset: Annotated[str, Query(max_length=500)] = "",
        point: Annotated[list[str] | None, Query(max_length=200)] = None,
        span: Annotated[int | None, Query(ge=2, le=400_000_000)] = None,
    ) -> Response:
        view = View(console, request, "trends")
        signals = {item["dataset"]: item for item in live.signals()["signals"]}
        dataset = dataset if dataset in signals else next(iter(signals), "")
        points = [_point_view(view, p) for p in live.points(dataset)["points"]] if dataset else []
        by_name = {p["point"]: p for p in points}
        asked = point if point is not None else [p["point"] for p in points if p["numeric"]][:_FIRST]
        chosen = [by_name[name] for name in dict.fromkeys(asked) if name in by_name][:_LANES]
        first, last = request.query_params.get("from"), request.query_params.get("to")
        following = request.query_params.get("live") == "1" or (not first and not last and point is None)
        if span is None:
            span = _first_span(view, signals.get(dataset), console._now()) if following else 3600
        window = _window(view, first, last, span, signals.get(dataset), following, console._now())
        text = {"points": [p["point"] for p in chosen], "dataset": dataset}
        context = {
            "datasets": list(signals),
            "dataset": dataset,
            "points": points,
            "chosen": chosen,
            "chosen_names": [p["point"] for p in chosen],
            "most": _LANES,
            "live": following and bool(chosen),
            "span": int((window[1] - window[0]).total_seconds()),
            "spans": _SPANS,
            "lastings": _LASTINGS,
            "from_iso": "" if following else window[0].isoformat(),
            "to_iso": "" if following else window[1].isoformat(),
            "from_text": _typed(view, window[0]),
            "to_text": _typed(view, window[1]),
            "sentence": _trend_sentence(view, dataset, signals, points, chosen, console._now()),
            "more": view.t("trends.more") if chosen else "",
            "trend_words": _trend_words(view),
            "conditions": live.conditions(dataset)["conditions"] if dataset else [],
            "snippets": _trend_snippets(view, text, window) if chosen else None,
        }
        return view.page("trends.html", context)

    @router.post("/trends/conditions")
    def keep(
        dataset: Annotated[str, Form(max_length=500)],
        point: Annotated[str, Form(max_length=1000)],
        op: Annotated[Literal["<", ">"], Form()],
        value: Annotated[str, Form(max_length=40)],
        name: Annotated[str, Form(max_length=80)],
        lasting: Annotated[int, Form(ge=0, le=604_800)] = 0,
        back: Annotated[str, Form(max_length=4000)] = "/trends",
    ) -> Response:
        try:
            limit = float(value.replace(",", "").replace("\u2212", "-"))
        except ValueError:
            raise InputError(
                "not_a_number",
                ko="조건의 값이 숫자가 아니에요.",
                en="The value of the condition is not a number.",
                next_ko="숫자를 적어 주세요. 예: 720",
                next_en="Write a number, such as 720.",
                where={"field": "value"},
            ) from None
        live.keep_condition(name=name, dataset=dataset, point=point, op=op, value=limit, lasting_seconds=lasting)
        return see(local_address(back), flash="kept::")


def _point_view(view: View, point: Mapping[str, Any]) -> dict[str, Any]:
    label = view.pick(point, "label") or point["point"]
    return {
        "point": point["point"],
        "tag": point.get("tag") or point["point"],
        "label": label,
        "shown": label,
        "unit": unit_symbol(point.get("unit"), view.lang),
        "limits": point.get("limits") or [],
        "numeric": point.get("data_type") in ("number", "integer"),
        "drawn": point.get("data_type") != "text",
        "steps": point.get("data_type") in ("boolean", "integer") or point.get("role") in _HELD,
    }


def _window(
    view: View,
    first: str | None,
    last: str | None,
    span: int,
    signals: Mapping[str, Any] | None,
    following: bool,
    now: datetime,
) -> tuple[datetime, datetime]:
    """Return the span to show: what was asked for, else the newest stretch of the data."""
    newest = view.f.local((signals or {}).get("time_last"))
    end = _moment(view, last) or (now if following or newest is None else newest.astimezone(UTC))
    before = max(_EARLIEST - timedelta(days=1), end - timedelta(seconds=span))
    start = _moment(view, first) or before
    return (start, end) if start < end else (before, end)


def _first_span(view: View, signals: Mapping[str, Any] | None, now: datetime) -> int:
    """Return how much a reader sees first: an hour, or less where there is not so much yet."""
    since = view.f.local((signals or {}).get("time_first"))
    return _SPANS[0][0] if since is not None and (now - since).total_seconds() < _SPANS[0][0] else _SPANS[1][0]


def _moment(view: View, typed: str | None) -> datetime | None:
    if not typed:
        return None
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        return None
    try:
        found = (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(view.f.zone))).astimezone(UTC)
    except OverflowError:
        return None
    return min(max(found, _EARLIEST), _LATEST)


def _typed(view: View, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(view.f.zone)):%Y-%m-%dT%H:%M:%S}"


def _trend_sentence(
    view: View,
    dataset: str,
    signals: Mapping[str, Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
    chosen: Sequence[Mapping[str, Any]],
    now: datetime,
) -> str:
    if not dataset:
        return view.t("trends.empty_title")
    if chosen:
        return view.t("trends.sentence_chosen", names=", ".join(p["label"] for p in chosen))
    newest = signals[dataset].get("time_last")
    return view.t("trends.sentence", dataset=dataset, n=len(points), age=view.f.age(newest, now) if newest else view.f.unknown)


def _trend_words(view: View) -> dict[str, str]:
    live = {key: view.t(f"live.{key}") for key in ("failed", "empty", "unknown", "none")}
    live |= {"cut": view.t("live.cut", time="{time}"), "still": view.t("gaps.still")}
    shaped = {key: view.t(f"live.{key}", n="{n}") for key in ("seconds", "minutes", "hours")}
    quality = {key: view.t(f"quality.{key}") for key in ("good", "uncertain", "bad", "gap")}
    return {
        **live,
        **shaped,
        **quality,
        "age": view.t("live.age", age="{age}"),
        "follow": view.t("trends.follow"),
        "pause": view.t("trends.pause"),
    }


def _trend_snippets(view: View, what: Mapping[str, Any], window: tuple[datetime, datetime]) -> dict[str, str]:
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in window)
    points = ",".join(what["points"])
    command = f"library export {shell(what['dataset'])} --form long --columns {shell(points)} --from {start} --to {end} --out trend.csv"
    call = f"ws.trend({what['dataset']!r}, {what['points']!r}, {start!r}, {end!r})"
    return view.snippets(command, call)


def _add_gaps(console: Console, live: LiveDesk) -> None:
    router = console.router

    @router.get("/gaps")
    def gaps(
        request: Request,
        connection: Annotated[str, Query(max_length=200)] = "",
        cause: Annotated[str, Query(max_length=40)] = "",
        open: Annotated[str, Query(max_length=1)] = "",
        page: Annotated[int, Query(ge=1)] = 1,
    ) -> Response:
        view = View(console, request, "quality")
        only_open = open == "1"
        found = live.gaps(connection or None, cause or None, only_open)
        rows, pager = paged(found["gaps"], page)
        by_name = {row["name"]: row for row in live.connections()["connections"]}
        unfilled = sum(g["backfilled"] != "yes" for g in found["gaps"])
        if found["open"]:
            sentence = view.t("gaps.sentence_open", open=found["open"], n=found["total"])
        elif found["total"]:
            sentence = view.t("gaps.sentence_some", n=found["total"], unfilled=unfilled)
        else:
            sentence = view.t("gaps.sentence_well")
        call = f"ws.connections.gaps({connection!r})" if connection else "ws.connections.gaps()"
        context = {
            "gaps": [_gap_view(g, by_name.get(g["connection"], {})) for g in rows],
            "page": pager,
            "open": found["open"],
            "sentence": sentence,
            "more": view.t("gaps.more"),
            "names": list(by_name),
            "connection": connection,
            "back": view.base()["here_url"],
            "causes": get_args(GapCause),
            "cause": cause,
            "only_open": only_open,
            "snippets": view.snippets(f"connect gaps {shell(connection)}".strip(), call),
        }
        return view.page("gaps.html", context)

    @router.post("/gaps/{gap}/backfill")
    def backfill(gap: str, back: Annotated[str, Form(max_length=4000)] = "/gaps") -> Response:
        live.backfill(gap)
        return see(local_address(back), flash="asked::")


def _gap_view(gap: Mapping[str, Any], connection: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "samples": None,
        "seconds": None,
        "note": "",
        "points": [],
        "filled": 0,
        **gap,
        "can_backfill": "backfill" in (connection.get("capabilities") or ()),
    }


def _add_log_in(console: Console) -> None:
    @console.router.get("/log-in")
    def log_in(request: Request, next: Annotated[str, Query(max_length=4000)] = "/", wrong: str = "") -> Response:
        view = View(console, request, "")
        context = {
            "next": local_address(next),
            "wrong": wrong == "1",
            "provider": getattr(request.app.state, "provider_host", ""),
        }
        return view.page("log_in.html", context, status=401 if wrong == "1" else 200, bare=True)
