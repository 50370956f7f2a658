"""A small log-in provider on this machine: true HTTP, true keys, and every mistake or trick that a test asks of it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

CLIENT, SECRET = "madang", "a secret with % and : in it"
BACK = "http://testserver/log-in/oidc/back"


class OwnProvider:
    """One provider with one person at a time."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "4711", "name": "김 반장", "groups": ["plant-engineers", "canteen"]}
        self.keys: list[Key] = []
        self.algorithm = "RS256"
        self.secret: str | None = SECRET
        self.published: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        """Claims of the token that differ; None leaves one out."""
        self.forge: Callable[[dict[str, Any]], str] | None = None
        """Makes the token in place of the signature with the current key."""
        self.redirect_discovery: str | None = None
        self.answer_more: dict[str, str] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.rotate()
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self._server = server
        self.issuer = f"http://127.0.0.1:{server.server_address[1]}/realms/plant"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def rotate(self, algorithm: str = "RS256") -> None:
        """Sign with another key from now on and publish that one alone."""
        self.algorithm = algorithm
        facts: Any = {"kid": uuid.uuid4().hex, "use": "sig"}
        made: Key
        if algorithm == "RS256":
            made = RSAKey.generate_key(2048, facts, private=True)
        elif algorithm == "ES256":
            made = ECKey.generate_key("P-256", facts, private=True)
        else:
            made = OKPKey.generate_key("Ed25519", facts, private=True)
        self.keys = [made]

    def sign(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:  # noqa: ANN401
        """Return a token that a key has signed."""
        key = key or self.keys[0]
        head = {"alg": self.algorithm, "kid": self.keys[0].kid, "typ": "JWT", **header}
        registry = jws.JWSRegistry(algorithms=["RS256", "ES256", "Ed25519", "HS256"], strict_check_header=False)
        if head["alg"] == "EdDSA":
            # The older name of the same signature: the library warns of it, so it is put together by hand.
            parts = f"{_letters(json.dumps(head).encode())}.{_letters(json.dumps(claims).encode())}"
            assert isinstance(key, OKPKey)
            private: Any = key.private_key
            return f"{parts}.{_letters(private.sign(parts.encode()))}"
        return jws.serialize_compact(head, json.dumps(claims), key, registry=registry)

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
            **self.published,
        }

    def _token(self, code: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": code["nonce"],
            **self.person, **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.forge(claims) if self.forge else self.sign(claims)

    def _authorize(self, asked: dict[str, str]) -> str:
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == BACK
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = uuid.uuid4().hex
        self.codes[code] = asked
        return f"{BACK}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer, **self.answer_more})}"

    def _exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        self.forms.append(form)
        if self.secret is not None:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            given = (unquote_plus(name), unquote_plus(secret)) if name else (form.get("client_id"), form.get("client_secret"))
            if given != (CLIENT, self.secret):
                return 401, {"error": "invalid_client"}
        # A code is good for once.
        code = self.codes.pop(form.get("code", ""), None)
        challenge = _letters(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if code is None or challenge != code["code_challenge"] or form.get("redirect_uri") != code["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        self.tokens.append(self._token(code))
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": self.tokens[-1]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                place = urlsplit(self.path)
                name = place.path.rsplit("/", 1)[-1]
                owner.asked.append(name)
                if name == "openid-configuration":
                    if owner.redirect_discovery and not place.query:
                        return self._send(owner.redirect_discovery)
                    return self._json(200, owner._discovery())
                if name == "keys":
                    return self._json(200, {"keys": [key.as_dict(private=False) for key in owner.keys]})
                if name == "authorize":
                    return self._send(owner._authorize({k: v[0] for k, v in parse_qs(place.query).items()}))
                return self._json(404, {})

            def do_POST(self) -> None:
                owner.asked.append("token")
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {k: v[0] for k, v in parse_qs(body).items()}
                self._json(*owner._exchange(form, self.headers.get("Authorization", "")))

            def _send(self, address: str) -> None:
                self.send_response(302)
                self.send_header("Location", address)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _json(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


def _letters(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
