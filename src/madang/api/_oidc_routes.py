"""The two addresses of a log-in through a provider: the way there, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from madang.api._accounts import VALID, Accounts, with_session
from madang.api._oidc import BEGUN, Entry, Provider, no_role, note, too_many
from madang.errors import MadangError, UsageError
from madang.library._people import Person

COOKIE: Final = "madang_oidc"
_PATH: Final = "/log-in/oidc"
_AT_ONCE, _WAITING = 4, 32
_T = TypeVar("_T")


def make_oidc_router(accounts: Accounts, provider: Provider | None) -> APIRouter:
    """Return the routes; without a provider they say that there is none.

    Args:
        accounts: The log-in desk.
        provider: The provider.
    """
    router = APIRouter(include_in_schema=False)
    limiter = CapacityLimiter(_AT_ONCE)

    async def apart(work: Callable[[], _T]) -> _T:
        # A slow provider must not take the threads that everything else is answered by.
        if limiter.statistics().tasks_waiting >= _WAITING:
            raise too_many()
        return await to_thread.run_sync(work, limiter=limiter)

    @router.get(_PATH)
    async def leave(request: Request, next: Annotated[str, Query(max_length=4000)] = "/") -> Response:
        there = _there(provider)
        back = f"{request.url.scheme}://{request.headers['host']}{_PATH}/back"
        try:
            address, cookie = await apart(lambda: there.begin(back, here(next)))
        except MadangError as error:
            note(error)
            raise
        answer = RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})
        # Lax: the provider's page has to be able to send the browser back with it.
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, cookie, max_age=BEGUN, httponly=True, samesite="lax", secure=secure, path=_PATH)
        return answer

    @router.get(f"{_PATH}/back")
    async def back(request: Request) -> Response:
        there = _there(provider)
        query = request.query_params
        # A name that comes twice could be read in two ways.
        given = {name: value for name, value in query.items() if len(query.getlist(name)) == 1}
        _forget_query(request)
        try:
            entry = await apart(lambda: there.finish(request.cookies.get(COOKIE, ""), given))
            token, _ = await apart(lambda: _let_in(accounts, there, entry))
        except MadangError as error:
            note(error)
            raise
        answer = with_session(_onward(entry.target), request, token)
        answer.delete_cookie(COOKIE, path=_PATH)
        return answer

    return router


def here(target: str) -> str:
    r"""Return a page of this server; the first one for an address elsewhere.

    >>> here("/trends?x=1"), here("//elsewhere.example"), here("/\t/elsewhere.example")
    ('/trends?x=1', '/', '/')
    """
    local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if local and target.isprintable() and "\\" not in target else "/"


def _there(provider: Provider | None) -> Provider:
    if provider is None:
        raise UsageError(
            "not_found",
            ko="이 작업 공간에는 로그인 제공자가 정해져 있지 않아요.",
            en="This workspace has no log-in provider.",
            next_ko="/log-in 에서 여기 계정으로 로그인하거나, workspace.toml 에 [oidc] 를 적으세요.",
            next_en="Log in with an account of this server at /log-in, or write [oidc] into workspace.toml.",
        )
    return provider


def _forget_query(request: Request) -> None:
    """Take the code out of what a page of an error could repeat."""
    request.scope["query_string"] = b""
    request.__dict__.pop("_query_params", None)


def _let_in(accounts: Accounts, provider: Provider, entry: Entry) -> tuple[str, Person]:
    if entry.role is None:
        accounts.people.turn_away(entry.login)
        raise no_role(provider.settings)
    return accounts.people.enter(entry.login, entry.name, entry.role, valid=VALID)


def _onward(target: str) -> Response:
    # The session's cookie is for this site alone (SameSite=Strict), so a redirect that another site began would come without it:
    # a page of this site goes on instead.
    address = escape(quote(target, safe="/?&=%#:,;+@!$'()*~-._"), quote=True)
    page = (
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}">'
        f'<title>Madang</title><p><a href="{address}">로그인했어요. 계속하기 · Logged in. Go on</a></p>'
    )
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})
