"""Check an ID token: whose signature, whose word, for whom, until when (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from madang.errors import MissingError, RefusedError

if TYPE_CHECKING:
    from joserfc._rfc7515.model import JWSAlgModel
    from joserfc.jwk import Key

ALGORITHMS: Final = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
"""Signatures that are believed, and the kind of key of each. Neither ``none`` nor one with a shared secret is among them."""
LEEWAY: Final = 60.0
"""Seconds that the clocks of two machines may differ."""
_RSA_LETTERS: Final = 342
"""Letters of base 64 of a modulus of 2,048 bits, the shortest that is believed."""


def need_joserfc() -> None:
    """Say what to install when the library for signatures is missing.

    Raises:
        MissingError: joserfc is not installed.
    """
    from importlib.util import find_spec

    if find_spec("joserfc") is None:
        raise MissingError(
            "extra_missing",
            ko="다른 곳의 계정으로 로그인하려면 joserfc 가 있어야 해요.",
            en="Logging in through a provider needs joserfc.",
            next_ko="pip install 'madang[oidc]'",
            next_en="pip install 'madang[oidc]'",
            where={"extra": "oidc"},
        )


def claims_of(
    token: str,
    keys: Callable[[bool], Sequence[Mapping[str, Any]]],
    *,
    issuer: str,
    client: str,
    nonce: str,
    now: datetime,
) -> dict[str, Any]:
    """Return what an ID token says, once everything about it fits.

    Args:
        token: The token in its compact form.
        keys: Gives the provider's keys (JWK); True fetches them anew.
        issuer: Who has to have signed it.
        client: For whom it has to be.
        nonce: What was asked with.
        now: The present.

    Raises:
        RefusedError: Something does not fit; its code says what, and nothing of the token is told.
    """
    claims = _signed(token, keys)
    if claims.get("iss") != issuer:
        raise refused("token_issuer", "다른 제공자가 보낸 것이에요.", "It is from another provider.")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    # A token for several has to say which of them asked for it.
    party = claims.get("azp", client if len(audiences) == 1 else None)
    if client not in audiences or party != client:
        raise refused("token_audience", "이 서버를 위한 것이 아니에요.", "It is not for this server.")
    seconds = now.timestamp()
    until, since, made = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
    if until is None or made is None or seconds >= until + LEEWAY:
        raise refused("token_expired", "유효한 때가 지났어요.", "It has expired.")
    if made > seconds + LEEWAY or (since is not None and since > seconds + LEEWAY):
        raise refused(
            "token_early",
            "아직 유효하지 않아요. 두 컴퓨터의 시계가 달라요.",
            "It is not valid yet: the clocks of the two machines differ.",
        )
    said = claims.get("nonce")
    if not (isinstance(said, str) and hmac.compare_digest(said.encode(), nonce.encode())):
        raise refused(
            "token_nonce", "이 화면에서 시작한 로그인이 아니에요.", "It does not belong to the log-in that this browser began."
        )
    subject = claims.get("sub")
    if not (isinstance(subject, str) and 0 < len(subject) <= 255 and subject.isascii() and subject.isprintable()):
        raise refused("token_subject", "누구인지 적혀 있지 않아요.", "It does not say who it is.")
    return claims


def _signed(token: str, keys: Callable[[bool], Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    import json

    from joserfc import jws
    from joserfc.errors import JoseError

    class Registry(jws.JWSRegistry):
        """Believes the algorithms above and no other; headers may carry more than is understood, unless marked critical."""

        max_header_length = 8192

        def get_alg(self, name: str) -> JWSAlgModel:
            if name not in ALGORITHMS:
                raise _no_algorithm()
            return self.algorithms[name]

    registry = Registry(strict_check_header=False)
    try:
        header = jws.extract_compact(token.encode(), registry=registry).headers()
        if header.get("alg") not in ALGORITHMS:
            raise _no_algorithm()
        key = _key(header, keys(False)) or _key(header, keys(True))
        if key is None:
            raise refused(
                "token_key",
                "서명한 열쇠를 제공자가 모른다고 해요.",
                "The provider does not publish the key that it is signed with.",
            )
        found = jws.deserialize_compact(token.encode(), key, registry=registry)
        claims = json.loads(found.payload or b"")
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise refused("token_signature", "서명이 맞지 않아요.", "Its signature does not fit.") from None
    if not isinstance(claims, dict):
        raise refused("token_signature", "서명이 맞지 않아요.", "Its signature does not fit.")
    return claims


def _key(header: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> Key | None:
    """The published key that a header names; without a name, the only one that fits."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    algorithm, name = header["alg"], header.get("kid")
    fitting = [key for key in keys if _fits(key, algorithm) and (name is None or key.get("kid") == name)]
    if len(fitting) != 1:
        return None
    public = {part: fitting[0][part] for part in ("kty", "crv", "n", "e", "x", "y") if part in fitting[0]}
    try:
        return import_key(public)
    except (JoseError, ValueError, TypeError):
        return None


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    kind = ALGORITHMS[algorithm]
    if key.get("kty") != kind or key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
        return False
    if key.get("alg", algorithm) not in ((algorithm,) if kind != "OKP" else ("EdDSA", "Ed25519")):
        return False
    if kind == "RSA":
        return isinstance(key.get("n"), str) and len(key["n"]) >= _RSA_LETTERS
    return key.get("crv") == ("P-256" if kind == "EC" else "Ed25519")


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    found = claims.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e12 else None


def _no_algorithm() -> RefusedError:
    return refused(
        "token_algorithm",
        f"허용되지 않는 방법으로 서명했어요. 되는 것: {', '.join(ALGORITHMS)}",
        f"It is signed in a way that is not allowed. Allowed: {', '.join(ALGORITHMS)}",
    )


def refused(code: str, ko: str, en: str) -> RefusedError:
    """The error for a log-in whose proof does not fit."""
    return RefusedError(
        code,
        ko=f"로그인 제공자가 보낸 증명을 믿을 수 없어서 들이지 않았어요. {ko}",
        en=f"The proof from the log-in provider cannot be believed, so nobody was let in. {en}",
        next_ko="/log-in 에서 다시 시작하세요. 또 생기면 관리자에게 이 낱말을 알려 주세요: " + code,
        next_en="Begin again at /log-in. If it comes back, tell the steward this word: " + code,
    )
