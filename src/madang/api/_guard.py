"""What stands between a browser and the workspace, whoever is logged in: only the names of this server, only this site.

- The Host header must name this server, so that a page elsewhere cannot reach the server by rebinding its name.
- A request that changes something must come from this site itself (`Sec-Fetch-Site`, `Origin`), or from a program (neither).
- A body is limited, whether it says its length or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from madang.errors import MadangError, RefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, MadangError, int], App]

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_CSP: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class BodyTooLargeError(Exception):
    """The body grew beyond the limit while it was read."""


class Guard:
    """ASGI layer that refuses what does not come from here and adds the headers of safety to every answer.

    Args:
        app: What it protects.
        hosts: Host names (without port) that the server answers to.
        limit: Bytes of a body at most.
        refuse: Makes the answer to a refused request.
    """

    def __init__(self, app: App, *, hosts: frozenset[str], limit: int, refuse: Refuse) -> None:
        self._app = app
        self._hosts = hosts
        self._limit = limit
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = exceeded = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in _HEADERS if h[0] not in present)]
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self._problem(scope, headers)
        if problem is not None:
            await self._refuse(scope, *problem)(scope, receive, send_safely)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                exceeded = True
                raise BodyTooLargeError
            return message

        async def send_unless_exceeded(message: Message) -> None:
            # The framework answers with a guess of its own when a body breaks off; the true reason is given below.
            if started or not exceeded:
                await send_safely(message)

        try:
            await self._app(scope, receive_limited, send_unless_exceeded)
        except BodyTooLargeError:
            if started:
                raise
        if exceeded and not started:
            await self._refuse(scope, too_large(self._limit), 413)(scope, receive, send_safely)

    def _problem(self, scope: Scope, headers: dict[str, str]) -> tuple[MadangError, int] | None:
        host = headers.get("host", "")
        if _host_name(host) not in self._hosts:
            return _foreign_host(), 403
        if scope["method"] not in _SAFE and not _same_site(scope, headers, host):
            return _foreign_site(), 403
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limit:
            return too_large(self._limit), 413
        return None


def _host_name(host: str) -> str:
    name = host.rsplit("]", 1)[0] + "]" if host.startswith("[") else host.rsplit(":", 1)[0]
    return name.lower().rstrip(".")


def _same_site(scope: Scope, headers: dict[str, str], host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.lower() == f"{scope.get('scheme', 'http')}://{host}".lower()


def _foreign_host() -> RefusedError:
    return RefusedError(
        "foreign_host",
        ko="이 서버는 이 컴퓨터의 주소로만 열려 있어요.",
        en="This server answers to the addresses of this machine only.",
        next_ko="http://127.0.0.1 로 시작하는 주소로 여세요. 다른 이름으로 부르려면 madang serve --name 이름 으로 알려 주세요.",
        next_en="Open it at the address that starts with http://127.0.0.1; another name is told with madang serve --name NAME.",
    )


def _foreign_site() -> RefusedError:
    return RefusedError(
        "foreign_site",
        ko="다른 사이트에서 온 요청이라 거절했어요. 바뀐 것은 없어요.",
        en="The request came from another site and was refused. Nothing was changed.",
        next_ko="마당의 화면에서 직접 해 주세요.",
        next_en="Do it from Madang's own pages.",
    )


def too_large(limit: int) -> RefusedError:
    """The error for a body beyond the limit."""
    return RefusedError(
        "too_large",
        ko=f"보낸 것이 너무 커요. 한 번에 {limit // (1 << 20):,} MB까지 보낼 수 있어요.",
        en=f"What was sent is too large; {limit // (1 << 20):,} MB at a time is allowed.",
        next_ko="큰 파일은 명령줄로 넣어 주세요: madang intake 파일",
        next_en="Bring large files in from the command line: madang intake FILE",
    )
