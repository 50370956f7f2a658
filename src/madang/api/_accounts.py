"""Who may do what over the server: log-in, sessions, tokens, and the gate that every request passes.

Without any account a workspace is open on its own machine, so that a first value comes before any account. From the first account on everybody logs
in, on this machine too.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Annotated, Any, Final, cast
from urllib.parse import quote, urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Match

from madang.api._connections import FAILURES
from madang.api._documents import Open
from madang.api._guard import App, Receive, Refuse, Scope, Send
from madang.api._roles import LEAST, may
from madang.errors import MadangError, RefusedError

if TYPE_CHECKING:
    from madang.library._people import People, Person

COOKIE: Final = "madang_session"
VALID: Final = timedelta(hours=12)
"""How long a log-in lasts."""
_TRIES, _WINDOW = 8, 900.0
"""Wrong passwords for one login, and seconds after which they are forgotten."""
_TRIES_PLACE: Final = 40
"""The same for one address."""
_REMEMBERED: Final = 10_000
AT_ONCE: Final = 2
"""Passwords looked at at the same time."""


class LogIn(BaseModel):
    """Who wants to come in."""

    model_config = ConfigDict(extra="forbid")
    login: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=1, max_length=1000)


class Me(Open):
    """Who is logged in."""

    open: bool = Field(description="No account exists, so nobody has to log in (on this machine only).")
    login: str | None
    name: str | None
    role: str | None


class PeopleDocument(Open):
    """The accounts, without secrets."""

    people: list[dict[str, Any]]


class Patience:
    """Counts wrong passwords and asks for patience when there are too many.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def check(self, login: str, place: str) -> None:
        """Let a try through.

        Raises:
            RefusedError: There were too many wrong ones lately; whether the login exists is not told.
        """
        with self._lock:
            for key, most in ((("login", login), _TRIES), (("place", place), _TRIES_PLACE)):
                tries = self._lately(key)
                if len(tries) >= most:
                    raise _wait(int(tries[0] + _WINDOW - self._clock()) + 1)

    def wrong(self, login: str, place: str) -> None:
        """Count a wrong password."""
        with self._lock:
            for key in (("login", login), ("place", place)):
                self._wrong[key] = [*self._lately(key), self._clock()]
                self._wrong.move_to_end(key)
            while len(self._wrong) > _REMEMBERED:
                self._wrong.popitem(last=False)

    def right(self, login: str) -> None:
        """Forget the wrong passwords of a login."""
        with self._lock:
            self._wrong.pop(("login", login), None)

    def _lately(self, key: tuple[str, str]) -> list[float]:
        since = self._clock() - _WINDOW
        return [at for at in self._wrong.get(key, ()) if at > since]


class Accounts:
    """The log-in desk of one server; every method may be called from any thread.

    Args:
        people: The accounts of the workspace.
        shared: Whether other machines can reach the server; then nothing is ever open.
    """

    def __init__(self, people: People, *, shared: bool = False) -> None:
        self.people = people
        self.shared = shared
        self.patience = Patience()
        # Each look at a password takes 64 MiB: a crowd of them must not take all of the memory, nor the threads of everybody else.
        self._few = threading.BoundedSemaphore(AT_ONCE)

    @property
    def open(self) -> bool:
        """Whether nobody has to log in."""
        return not self.shared and not self.people.has_accounts()

    def log_in(self, login: str, password: str, place: str) -> tuple[str, Person]:
        """Return a session's token and who it is.

        Raises:
            RefusedError: It does not fit, or there were too many wrong tries.
        """
        name = login.strip()
        self.patience.check(name, place)
        with self._few:
            # Many tries at once pass the first look together; here each one sees those before it.
            self.patience.check(name, place)
            try:
                found = self.people.begin_session(name, password, valid=VALID)
            except RefusedError:
                self.patience.wrong(name, place)
                raise
        self.patience.right(name)
        return found

    def still(self, headers: dict[str, str], route: str) -> bool:
        """Return whether whoever sent a request may still use its route: a session may have ended since."""
        if self.open:
            return True
        person = self.who(headers)
        return person is not None and may(person.role, route)

    def who(self, headers: dict[str, str]) -> Person | None:
        """Return who sends a request: by the token of a program, else by the session of a browser."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        try:
            if kind.lower() == "bearer" and token:
                return self.people.person(token.strip(), session=False)
            session = session_of(headers.get("cookie", ""))
            return self.people.person(session, session=True) if session else None
        except RefusedError:
            return None


class Gate:
    """ASGI layer that lets a request through when its sender's role is enough for its route.

    Args:
        app: What it protects.
        accounts: The log-in desk.
        routes: The routes of the application.
        refuse: Makes the answer to a refused request.
    """

    def __init__(self, app: App, *, accounts: Accounts, routes: Sequence[BaseRoute], refuse: Refuse) -> None:
        self._app = app
        self._accounts = accounts
        self._routes = routes
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        state = scope.setdefault("state", {})
        state["person"] = state["role"] = None
        if await run_in_threadpool(lambda: self._accounts.open):
            state["let_in"] = True
            await self._app(scope, receive, send)
            return
        person = await run_in_threadpool(self._accounts.who, headers)
        if person is not None:
            state["person"], state["role"] = person.name or person.login, person.role
            state["login"] = person.login
            state["let_in"], state["may"] = True, partial(may, person.role)
        answer = self._answer(scope, headers, person)
        await (answer or self._app)(scope, receive, send)

    def _answer(self, scope: Scope, headers: dict[str, str], person: Person | None) -> App | None:
        """The refusal, where there is one."""
        if scope["path"].startswith("/static/"):
            return None
        route = route_of(scope, self._routes)
        if LEAST.get(route) == "anyone" or (person is not None and may(person.role, route)):
            return None
        if person is not None:
            return self._refuse(scope, _role_too_small(person.role, LEAST.get(route, "steward")), 403)
        if "text/html" in headers.get("accept", "") and not scope["path"].startswith("/api/"):
            back = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope.get("query_string") else "")
            target = back if scope["method"] == "GET" else "/"
            if "hx-request" in headers:
                # A part of a page would take the log-in page into its midst: the whole page goes there.
                return _to_log_in(headers)
            return cast(App, RedirectResponse(f"/log-in?next={quote(target, safe='')}", status_code=303))
        return self._refuse(scope, _not_logged_in(), 401)


def route_of(scope: Scope, routes: Sequence[BaseRoute]) -> str:
    """Return ``METHOD path`` of the route that answers a request, as the table of roles names it; the bare path when none does."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for route in routes:
        match, _ = route.matches(scope)
        path = getattr(route, "path", "")
        if match is Match.FULL and path:
            return f"{method} {path}"
    return f"{method} {scope['path']}"


def _to_log_in(headers: dict[str, str]) -> App:
    parts = urlsplit(headers.get("hx-current-url", ""))
    back = parts.path + (f"?{parts.query}" if parts.query else "")
    target = f"/log-in?next={quote(back, safe='')}" if back.startswith("/") and not back.startswith("//") else "/log-in"
    return cast(App, Response(status_code=401, headers={"HX-Redirect": target}))


def make_accounts_router(accounts: Accounts) -> APIRouter:
    """Return the routes for logging in and out, for programs (JSON) and for the log-in page (a form)."""
    router = APIRouter(responses=FAILURES)
    own_threads = CapacityLimiter(AT_ONCE)

    async def begin(login: str, password: str, place: str) -> tuple[str, Person]:
        return await to_thread.run_sync(accounts.log_in, login, password, place, limiter=own_threads)

    @router.get("/api/v1/me", tags=["people"], summary="Who is logged in", response_model=Me)
    def me(request: Request) -> dict[str, Any]:
        return _me(accounts, request)

    @router.post("/api/v1/log-in", tags=["people"], summary="Log in", response_model=Me)
    async def log_in(request: Request, body: LogIn) -> Response:
        token, person = await begin(body.login, body.password, _place(request))
        document = {"open": False, "login": person.login, "name": person.name, "role": person.role}
        return with_session(JSONResponse(document), request, token)

    @router.post("/api/v1/log-out", tags=["people"], summary="Log out", response_model=Me)
    async def log_out(request: Request) -> Response:
        await _end(accounts, request)
        answer = JSONResponse({"open": accounts.open, "login": None, "name": None, "role": None})
        answer.delete_cookie(COOKIE, path="/")
        return answer

    @router.get("/api/v1/people", tags=["people"], summary="The accounts", response_model=PeopleDocument)
    def people() -> dict[str, Any]:
        return {"people": accounts.people.accounts()}

    @router.post("/log-in", include_in_schema=False)
    async def log_in_form(
        request: Request,
        login: Annotated[str, Form(max_length=200)] = "",
        password: Annotated[str, Form(max_length=1000)] = "",
        next: Annotated[str, Form(max_length=4000)] = "/",
    ) -> Response:
        target = next if next.startswith("/") and not next.startswith(("//", "/\\")) else "/"
        try:
            token, _ = await begin(login, password, _place(request))
        except RefusedError as error:
            if error.code == "too_many_tries":
                raise
            return RedirectResponse(f"/log-in?wrong=1&next={quote(target, safe='')}", status_code=303)
        return with_session(RedirectResponse(target, status_code=303), request, token)

    @router.post("/log-out", include_in_schema=False)
    async def log_out_form(request: Request) -> Response:
        await _end(accounts, request)
        answer = RedirectResponse("/log-in", status_code=303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    return router


def session_of(cookies: str) -> str | None:
    """Return the session's token of a Cookie header."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _me(accounts: Accounts, request: Request) -> dict[str, Any]:
    state = request.scope.get("state", {})
    return {
        "open": accounts.open,
        "login": state.get("login"),
        "name": state.get("person"),
        "role": state.get("role"),
    }


async def _end(accounts: Accounts, request: Request) -> None:
    session = session_of(request.headers.get("cookie", ""))
    if session:
        await run_in_threadpool(accounts.people.end_session, session)


def with_session(answer: Response, request: Request, token: str) -> Response:
    """Return an answer that gives a browser its session."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(VALID.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return answer


def _place(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _wait(seconds: int) -> RefusedError:
    minutes = max(1, round(seconds / 60))
    return RefusedError(
        "too_many_tries",
        ko=f"틀린 비밀번호가 너무 많이 들어왔어요. 약 {minutes}분 뒤에 다시 해 주세요.",
        en=f"There were too many wrong passwords. Try again in about {minutes} min.",
        next_ko="비밀번호를 잊었으면 관리자에게 madang people password 를 부탁하세요.",
        next_en="If the password is forgotten, ask the steward for: madang people password",
        where={"seconds": seconds},
        retry=True,
    )


def _not_logged_in() -> MadangError:
    return RefusedError(
        "not_logged_in",
        ko="로그인해야 해요.",
        en="Logging in is needed.",
        next_ko="POST /api/v1/log-in 으로 로그인하거나 Authorization: Bearer 토큰을 보내세요.",
        next_en="Log in at POST /api/v1/log-in, or send Authorization: Bearer with a token.",
    )


def _role_too_small(role: str, least: str) -> MadangError:
    return RefusedError(
        "role_too_small",
        ko=f"이 일은 {least} 역할부터 할 수 있어요 (지금은 {role}).",
        en=f"This needs the role {least} at least (yours is {role}).",
        next_ko="관리자에게 madang people role 로 역할을 부탁하세요.",
        next_en="Ask the steward for it: madang people role",
        where={"role": role, "least": least},
    )
