"""The application: guard, errors, API and console over one workspace."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from madang import __version__
from madang.api._accounts import Accounts, Gate, make_accounts_router
from madang.api._connections import make_live_router
from madang.api._desk import Desk
from madang.api._documents import Health
from madang.api._guard import App, BodyTooLargeError, Guard, Scope
from madang.api._live import make_stream_router
from madang.api._live_desk import LiveDesk
from madang.api._oidc import provider_of
from madang.api._oidc_routes import make_oidc_router
from madang.api._push import make_push_router
from madang.api._routes import make_router
from madang.api._studies import Studies
from madang.errors import InputError, MadangError, RefusedError, UsageError

if TYPE_CHECKING:
    from madang.console import Console
    from madang.workspace import Workspace

HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
UPLOAD_LIMIT: Final = 4 << 30
"""Bytes of one upload at most; larger files come in by the command line."""
_STATUS: Final = {1: 500, 2: 422, 3: 422, 4: 403, 5: 409, 6: 503}
_STATUS_OF_CODE: Final = {"too_large": 413, "too_many_tries": 429, "too_slow": 408, "not_logged_in": 401, "not_known": 401}
_NOT_THERE: Final = {
    "no_such_object",
    "no_study",
    "no_dataset",
    "no_such_dataset",
    "no_such_version",
    "no_column",
    "not_found",
    "unknown_dataset",
    "no_such_connection",
    "no_such_point",
    "no_gap",
    "no_such_signals",
}
_LOG = logging.getLogger("madang.api")


def make_app(
    workspace: Workspace,
    *,
    hosts: frozenset[str] = HOSTS,
    upload_limit: int = UPLOAD_LIMIT,
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
    worker: tuple[str, ...] | None = None,
    connect: bool = False,
    shared: bool = False,
) -> FastAPI:
    """Return the API and the console over an opened workspace.

    Args:
        workspace: The opened workspace; it stays the caller's to close.
        hosts: Names that the Host header may carry, without port.
        upload_limit: Bytes of one request's body at most.
        now: Clock, aware; ages on the pages are counted from it.
        worker: Command that reads files and computes studies; None = Madang's own.
        connect: Whether connections run in this process as soon as there are any; else another process has to run them.
        shared: Whether other machines can reach the server; then everybody logs in, always.
    """
    from madang.console import Console

    desk = Desk(workspace)
    studies = Studies(desk.path, now=now, command=worker)
    provider = provider_of(workspace, now)
    # Whoever names a provider wants people to log in, before the first account too.
    accounts = Accounts(workspace.library.people, shared=shared or provider is not None)
    live = LiveDesk(workspace, own_runner=connect)
    console = Console(desk, studies, live, now=now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(live.run_if_wanted)
        yield
        studies.close()
        if connect:
            await run_in_threadpool(workspace.runner.stop)

    app = FastAPI(
        title="Madang",
        version=__version__,
        description="From messy factory exports to a verdict that holds on unseen data.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # What happens in the plant is nobody else's to watch, whatever the environment asks of the framework.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False},
    )
    app.state.studies = studies
    app.state.live = live
    app.state.accounts = accounts
    app.state.provider_host = "" if provider is None else provider.settings.host

    @app.get("/health", tags=["health"], summary="Whether the server answers", response_model=Health)
    def health() -> dict[str, Any]:
        return {"status": "ok", "madang": __version__, "workspace": desk.path.name}

    routers = (
        make_router(desk, studies),
        make_live_router(live),
        make_push_router(live),
        make_stream_router(live),
        make_accounts_router(accounts),
        make_oidc_router(accounts, provider),
    )
    for router in routers:
        app.include_router(router)
    app.include_router(console.router, include_in_schema=False)
    known = [*app.router.routes, *(route for router in (*routers, console.router) for route in router.routes)]
    app.state.routes = [route for route in known if getattr(route, "path", None)]
    app.mount("/static", console.static, name="static")
    _answer_errors(app, console)

    def refuse(scope: Scope, error: MadangError, status: int) -> App:
        return answer(console, Request(scope), error, status)

    app.add_middleware(Gate, accounts=accounts, routes=app.state.routes, refuse=refuse)
    app.add_middleware(Guard, hosts=hosts, limit=upload_limit, refuse=refuse)
    return app


def _answer_errors(app: FastAPI, console: Console) -> None:
    @app.exception_handler(MadangError)
    async def known(request: Request, error: MadangError) -> Response:
        return answer(console, request, error, status_of(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return answer(console, request, _not_found(), 404)
        if error.status_code == 405:
            return answer(console, request, _wrong_method(), 405)
        return answer(console, request, _invalid([str(error.detail)]), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # Names of fields only: what a person typed never comes back in an error.
        fields = [".".join(str(p) for p in item["loc"] if p not in ("body", "query", "path")) for item in error.errors()]
        if request.url.path.startswith("/api/") or not fields:
            return answer(console, request, _invalid(fields), 422)
        missing_files = "files" in fields
        return answer(console, request, _no_files() if missing_files else _invalid(fields), 422)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        if isinstance(error, BodyTooLargeError):
            raise error
        number = secrets.token_hex(4)
        _LOG.exception("fault %s", number, exc_info=error)
        return answer(console, request, _fault(number), 500)


def status_of(error: MadangError) -> int:
    """Return the HTTP status of an error."""
    if error.code in _NOT_THERE:
        return 404
    return _STATUS_OF_CODE.get(error.code, _STATUS[error.exit_code])


def answer(console: Console, request: Request, error: MadangError, status: int) -> Response:
    """Answer with an error: a document to programs, a page to people."""
    if (
        request.url.path.startswith("/api/")
        or request.url.path == "/health"
        or "text/html" not in request.headers.get("accept", "")
    ):
        return JSONResponse({"schema": "error/1", **error.document()}, status_code=status)
    return console.error_page(request, error, status)


def _not_found() -> InputError:
    return InputError(
        "not_found",
        ko="이 주소에는 아무것도 없어요.",
        en="There is nothing at this address.",
        next_ko="쪽 이름에서 고르거나 찾기를 써 보세요. API의 주소는 /api/v1/openapi.json 에 있어요.",
        next_en="Choose a page, or search. The addresses of the API are in /api/v1/openapi.json.",
    )


def _wrong_method() -> UsageError:
    return UsageError(
        "wrong_method",
        ko="이 주소는 그 방법으로 부를 수 없어요.",
        en="This address cannot be called that way.",
        next_ko="/api/v1/openapi.json 에서 방법을 확인해 주세요.",
        next_en="See /api/v1/openapi.json for the method.",
    )


def _invalid(fields: list[str]) -> UsageError:
    shown = ", ".join(dict.fromkeys(fields)) or "?"
    return UsageError(
        "invalid_request",
        ko=f"요청의 값이 맞지 않아요: {shown}.",
        en=f"Values of the request do not fit: {shown}.",
        next_ko="그 값을 고쳐서 다시 보내 주세요. 허용되는 값은 /api/v1/openapi.json 에 있어요.",
        next_en="Correct them and send it again; /api/v1/openapi.json says what is allowed.",
        where={"fields": [*dict.fromkeys(fields)]},
    )


def _no_files() -> UsageError:
    return UsageError(
        "no_files",
        ko="파일이 오지 않았어요.",
        en="No file arrived.",
        next_ko="파일을 하나 이상 골라 주세요.",
        next_en="Choose at least one file.",
    )


def _fault(number: str) -> MadangError:
    return MadangError(
        "fault",
        ko="마당 안에서 잘못이 생겼어요.",
        en="Something went wrong inside Madang.",
        next_ko=f"다시 해 보고, 또 생기면 보고 번호 {number}와 함께 알려 주세요.",
        next_en=f"Try again; if it comes back, report it with the number {number}.",
        where={"report": number},
        retry=True,
    )


def refuse_open_host(host: str) -> RefusedError:
    """The error for listening where others could reach a server that has no accounts."""
    return RefusedError(
        "needs_accounts",
        ko=f"{host} 에서 들으면 다른 컴퓨터도 들어올 수 있는데, 아직 계정이 없어서 열지 않았어요.",
        en=f"Listening on {host} would let other machines in, and there are no accounts yet, so it was not opened.",
        next_ko="madang people add 이름 --role steward 로 계정을 먼저 만들거나, madang serve --host 127.0.0.1 로 여세요.",
        next_en="Make an account first with madang people add NAME --role steward, or use madang serve --host 127.0.0.1.",
        where={"host": host},
    )
