"""Fetch what a log-in provider publishes: https, few bytes, in good time, and from nobody that it was not asked of."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import IO, Any, Final
from urllib.parse import urlencode, urlsplit

from madang.errors import MissingError, RefusedError
from madang.workspace._oidc import is_loopback

_SECONDS: Final = 10.0
_BYTES: Final = 1 << 20


class RejectedError(Exception):
    """The provider answered a form with an error.

    Args:
        status: HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect of a plain request within one host, and no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,  # type: ignore[override,unused-ignore]
    ) -> urllib.request.Request | None:
        if req.get_method() != "GET" or _origin(newurl) != _origin(req.full_url):
            raise _elsewhere(urlsplit(req.full_url).netloc)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type,unused-ignore]


def fetch(
    url: str,
    *,
    local: bool,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Return the JSON object at an address.

    Args:
        url: Where; https, or http on this machine when `local`.
        local: Whether the provider itself is on this machine.
        form: Fields to post; None gets.
        headers: More headers.
        clock: Seconds that only grow.

    Raises:
        RefusedError: The address is not allowed, or it sends to another host.
        MissingError: It cannot be reached, is too slow, or answers with something else than a small JSON object.
        RejectedError: A form was answered with an error of the asker's (HTTP 4xx).
    """
    check_address(url, local=local)
    host = urlsplit(url).netloc
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(url, body, {"Accept": "application/json", "User-Agent": "madang", **(headers or {})})  # noqa: S310 (checked above)
    # A proxy of the environment is for what lies outside.
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname) else []
    opener = urllib.request.build_opener(_SameHost, *proxies)
    until = clock() + _SECONDS
    parts: list[bytes] = []
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            size = 0
            while part := answer.read1(65_536):
                parts.append(part)
                size += len(part)
                if size > _BYTES or clock() > until:
                    raise _unreachable(host)
        found = json.loads(b"".join(parts))
    except urllib.error.HTTPError as error:
        with error:
            if form is not None and 400 <= error.code < 500:
                raise RejectedError(error.code) from None
            raise _unreachable(host) from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        # What the provider said may hold what was sent to it: no cause is kept.
        raise _unreachable(host) from None
    if not isinstance(found, dict):
        raise _unreachable(host)
    return found


def check_address(url: object, *, local: bool) -> str:
    """Return an address that may be spoken to.

    Raises:
        RefusedError: It is not https (or http on this machine, for a provider on this machine).
    """
    try:
        place = urlsplit(url if isinstance(url, str) else "")
        allowed = place.scheme == "https" or (place.scheme == "http" and local and is_loopback(place.hostname))
        good = allowed and bool(place.hostname) and "@" not in place.netloc and not place.fragment and place.port != 0
    except ValueError:
        good = False
    if not (good and isinstance(url, str) and url.isprintable()):
        raise RefusedError(
            "provider_not_safe",
            ko="로그인 제공자의 주소가 https 가 아니에요.",
            en="An address of the log-in provider is not https.",
            next_ko="제공자의 .well-known/openid-configuration 에 적힌 주소를 관리자와 확인해 주세요.",
            next_en="Check the addresses in the provider's .well-known/openid-configuration with the steward.",
        )
    return url


def _origin(url: str) -> tuple[str, str]:
    place = urlsplit(url)
    return place.scheme, place.netloc.lower()


def _elsewhere(host: str) -> RefusedError:
    return RefusedError(
        "provider_redirects",
        ko=f"{host} 이(가) 다른 곳으로 보내서 따라가지 않았어요.",
        en=f"{host} sends elsewhere, and that was not followed.",
        next_ko="workspace.toml 의 [oidc] issuer 를 제공자가 스스로 말하는 주소로 적으세요.",
        next_en="Write into [oidc] issuer of workspace.toml the address that the provider calls itself.",
        where={"host": host},
    )


def _unreachable(host: str) -> MissingError:
    return MissingError(
        "provider_unreachable",
        ko=f"로그인 제공자 {host} 와(과) 이야기할 수 없어요.",
        en=f"The log-in provider {host} cannot be talked to.",
        next_ko="잠시 뒤 다시 하세요. 계속되면 네트워크와 workspace.toml 의 [oidc] issuer 를 확인하거나, 여기 계정으로 로그인하세요.",
        next_en="Try again in a moment. If it lasts, check the network and [oidc] issuer of workspace.toml, or log in with an account of this server.",
        where={"host": host},
        retry=True,
    )
