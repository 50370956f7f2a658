"""Log in with a provider's account (OpenID Connect, authorization code flow with PKCE), beside the accounts of this server.

What belongs to one log-in (state, nonce, verifier, where to go afterwards) is in a short-lived cookie of the browser that began it, closed with
a key of this process: nothing is kept for log-ins that nobody finishes, and no other browser can finish one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from madang.api._oidc_fetch import RejectedError, check_address, fetch
from madang.api._oidc_token import claims_of, need_joserfc, refused
from madang.errors import MadangError, RefusedError
from madang.workspace._oidc import OidcSettings, client_secret, is_loopback, read_oidc

if TYPE_CHECKING:
    from madang.library._people import RoleName
    from madang.workspace import Workspace

BEGUN: Final = 600
"""Seconds within which a log-in has to be finished."""
_FRESH: Final = 3600.0
"""Seconds for which what a provider publishes is used again."""
_LONGEST_TARGET: Final = 1500
_REMEMBERED: Final = 10_000
_LOG = logging.getLogger("madang.api")


@dataclass(frozen=True)
class Entry:
    """A person whom the provider has vouched for."""

    login: str
    name: str
    role: RoleName | None
    """None when the provider's groups give none."""
    target: str
    """Page to go to."""


class Provider:
    """The log-in provider of one workspace; every method may be called from any thread.

    Args:
        settings: Who it is.
        secret: Looks the client secret up; None for a client without one.
        now: The present, aware.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        settings: OidcSettings,
        secret: Callable[[], str | None],
        now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._secret = secret
        self._now = now
        self._clock = clock
        self._local = is_loopback(urlsplit(settings.issuer).hostname)
        self._box = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._used: OrderedDict[str, float] = OrderedDict()
        self._facts: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None

    def begin(self, back: str, target: str) -> tuple[str, str]:
        """Return the address of the provider's log-in page and the cookie of this log-in.

        Args:
            back: Address of this server that the provider sends the browser back to.
            target: Page of this server to go to afterwards.

        Raises:
            MadangError: The provider cannot be reached, or publishes what cannot be used.
        """
        page = check_address(self._published().get("authorization_endpoint"), local=self._local)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": back,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _letters(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        kept = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "back": back,
            "target": target if len(target) <= _LONGEST_TARGET else "/",
            "until": self._clock() + BEGUN,
        }
        return f"{page}{'&' if urlsplit(page).query else '?'}{urlencode(asked, quote_via=quote)}", self._close(kept)

    def finish(self, cookie: str, answer: Mapping[str, str]) -> Entry:
        """Return who has logged in.

        Args:
            cookie: The cookie of `begin`.
            answer: Query that the provider sent the browser back with.

        Raises:
            MadangError: The log-in was not begun by this browser, or not lately, or was finished before; the provider refused it, cannot be
                reached, or its proof does not fit.
        """
        kept = self._opened(cookie)
        if kept is None or kept["until"] < self._clock():
            raise _begin_again()
        if not hmac.compare_digest(str(kept["state"]).encode(), answer.get("state", "").encode()):
            raise _begin_again()
        self._once(str(kept["state"]))
        facts = self._published()
        # Who answers is named, so that one provider's answer is not taken to another (RFC 9207).
        named = answer.get("iss")
        if (named is None and facts.get("authorization_response_iss_parameter_supported") is True) or (
            named is not None and named != self.settings.issuer
        ):
            raise refused("answer_issuer", "다른 제공자가 대답했어요.", "Another provider answered.")
        code = answer.get("code", "")
        if "error" in answer or not code:
            raise _not_granted(self.settings.host, answer.get("error", ""))
        token = self._exchanged(facts, code, str(kept["verifier"]), str(kept["back"]))
        claims = claims_of(
            token,
            self._published_keys,
            issuer=self.settings.issuer,
            client=self.settings.client_id,
            nonce=str(kept["nonce"]),
            now=self._now(),
        )
        login = self.settings.login(claims["sub"])
        role = cast("RoleName | None", self.settings.role(claims))
        return Entry(login, self.settings.name(claims) or login, role, str(kept["target"]))

    def _exchanged(self, facts: Mapping[str, Any], code: str, verifier: str, back: str) -> str:
        """The ID token for a code."""
        address = check_address(facts.get("token_endpoint"), local=self._local)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        headers = {}
        secret, client = self._secret(), self.settings.client_id
        said = facts.get("token_endpoint_auth_methods_supported")
        ways = said if isinstance(said, list) else ["client_secret_basic"]
        if secret is None:
            form["client_id"] = client
        elif "client_secret_basic" not in ways and "client_secret_post" in ways:
            form |= {"client_id": client, "client_secret": secret}
        else:
            both = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
        try:
            token = fetch(address, local=self._local, form=form, headers=headers).get("id_token")
        except RejectedError as error:
            raise _not_granted(self.settings.host, f"http_{error.status}") from None
        if not isinstance(token, str):
            raise refused("token_missing", "ID 토큰이 없어요.", "There is no ID token.")
        return token

    def _published(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery 1.0, section 4)."""
        with self._lock:
            if self._facts is not None and self._facts[0] > self._clock():
                return self._facts[1]
        facts = fetch(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration", local=self._local)
        if facts.get("issuer") != self.settings.issuer:
            raise _other_issuer(self.settings.issuer)
        with self._lock:
            self._facts = (self._clock() + _FRESH, facts)
        return facts

    def _published_keys(self, afresh: bool) -> list[dict[str, Any]]:
        """The public keys (JWK)."""
        with self._lock:
            if not afresh and self._keys is not None and self._keys[0] > self._clock():
                return self._keys[1]
        found = fetch(check_address(self._published().get("jwks_uri"), local=self._local), local=self._local).get("keys")
        keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
        with self._lock:
            self._keys = (self._clock() + _FRESH, keys)
        return keys

    def _once(self, state: str) -> None:
        """Take note that a log-in is being finished, which happens once."""
        now = self._clock()
        with self._lock:
            while self._used and (next(iter(self._used.values())) < now or len(self._used) > _REMEMBERED):
                self._used.popitem(last=False)
            if state in self._used:
                raise _begin_again()
            self._used[state] = now + BEGUN

    def _close(self, kept: Mapping[str, object]) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(12)
        return _letters(nonce + AESGCM(self._box).encrypt(nonce, json.dumps(kept).encode(), b"madang-oidc"))

    def _opened(self, cookie: str) -> dict[str, Any] | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            closed = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
            opened: dict[str, Any] = json.loads(AESGCM(self._box).decrypt(closed[:12], closed[12:], b"madang-oidc"))
        except (ValueError, InvalidTag):
            return None
        return opened


def provider_of(workspace: Workspace, now: Callable[[], datetime]) -> Provider | None:
    """Return the provider that a workspace's settings name; None without one.

    Raises:
        InputError: The settings do not fit, or the secret is not where they say.
        MissingError: The library for signatures is not installed.
    """
    settings = read_oidc(workspace.root)
    if settings is None:
        return None
    need_joserfc()

    def secret() -> str | None:
        return client_secret(settings, workspace.secrets)

    if settings.client_secret is not None:
        secret()
    return Provider(settings, secret, now)


def note(error: MadangError) -> None:
    """Log that a log-in did not come about: the word for why, and nothing that was sent."""
    _LOG.warning("a log-in through the provider did not come about: %s", error.code)


def no_role(settings: OidcSettings) -> RefusedError:
    """The error for a person whose groups have no role here."""
    return RefusedError(
        "no_role",
        ko="로그인은 됐지만, 속한 그룹 가운데 여기서 역할이 있는 것이 없어요.",
        en="The log-in itself went well, but none of the groups has a role here.",
        next_ko=f"관리자에게 제공자의 그룹({settings.roles_claim})이나 workspace.toml 의 [oidc] roles 를 부탁하세요.",
        next_en=f"Ask the steward for a group at the provider ({settings.roles_claim}), or for a line in [oidc] roles of workspace.toml.",
        where={"claim": settings.roles_claim},
    )


def too_many() -> RefusedError:
    """The error for more log-ins at once than are dealt with."""
    return RefusedError(
        "too_many_tries",
        ko="지금 로그인하는 사람이 너무 많아요.",
        en="Too many people are logging in just now.",
        next_ko="잠시 뒤 다시 하세요.",
        next_en="Try again in a moment.",
        retry=True,
    )


def _letters(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _begin_again() -> RefusedError:
    return RefusedError(
        "log_in_not_begun",
        ko="이 브라우저에서 시작한 로그인이 아니거나, 너무 오래됐거나, 이미 끝난 로그인이에요.",
        en="This log-in was not begun in this browser, or too long ago, or is finished already.",
        next_ko="/log-in 에서 다시 시작하세요.",
        next_en="Begin again at /log-in.",
    )


def _not_granted(host: str, why: str) -> RefusedError:
    known = why if why.isascii() and why.replace("_", "").isalnum() and len(why) <= 40 else "unknown"
    return RefusedError(
        "provider_refused",
        ko=f"{host} 이(가) 로그인을 거절했어요 ({known}).",
        en=f"{host} refused the log-in ({known}).",
        next_ko="/log-in 에서 다시 시작하세요. 또 생기면 제공자에 적힌 client_id, 비밀 값, 돌아올 주소를 관리자와 확인하세요.",
        next_en="Begin again at /log-in. If it comes back, check client_id, secret and redirect address at the provider with the steward.",
        where={"host": host, "reason": known},
    )


def _other_issuer(issuer: str) -> RefusedError:
    return RefusedError(
        "provider_issuer",
        ko=f"{issuer} 에 있는 제공자는 스스로를 다른 주소로 불러요.",
        en=f"The provider at {issuer} calls itself by another address.",
        next_ko="workspace.toml 의 [oidc] issuer 를 .well-known/openid-configuration 의 issuer 와 글자까지 같게 적으세요.",
        next_en="Write [oidc] issuer of workspace.toml exactly as issuer in its .well-known/openid-configuration.",
        where={"issuer": issuer},
    )
