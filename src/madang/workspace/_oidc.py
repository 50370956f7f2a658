"""What ``[oidc]`` of ``workspace.toml`` says: the provider that people may log in with, and which of its groups has which role here."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from madang.errors import InputError

if TYPE_CHECKING:
    from madang.workspace._secrets import Secrets

KEPT: Final = "secret:oidc"
"""What stands for a client secret that is kept in the box of secrets."""
_OWNER, _NAME = ".oidc", "client_secret"
# The strongest first: who is in several groups has the first of their roles.
_RANK: Final = ("steward", "engineer", "operator", "auditor", "viewer", "partner")
_TEXTS: Final = ("issuer", "client_id", "client_secret", "roles_claim", "default_role", "name_claim")
_REFERENCE: Final = re.compile(r"(env|file):.+")


@dataclass(frozen=True)
class OidcSettings:
    """The provider of log-ins (OpenID Connect) of one workspace."""

    issuer: str
    """Address that the provider calls itself; https, or http on this machine."""
    client_id: str
    """What this server is called there."""
    roles: Mapping[str, str]
    """Role here of each group there."""
    client_secret: str | None = None
    """Where the secret is: ``secret:oidc``, ``env:NAME`` or ``file:PATH``; None for a client without one."""
    roles_claim: str = "groups"
    """Claim of the ID token with the groups; dots lead into nested ones (``realm_access.roles``)."""
    default_role: str | None = None
    """Role of who is in none of the groups; None lets them not in."""
    name_claim: str = "name"
    """Claim with the name to show."""
    scopes: tuple[str, ...] = ("openid", "profile")
    """What is asked for; some providers tell groups only when asked for ``groups``."""

    @property
    def host(self) -> str:
        """Host of the issuer, with its port where it is not the usual one, as people know it."""
        return urlsplit(self.issuer).netloc

    def login(self, subject: str) -> str:
        """Return the login here of a person there.

        Two issuers of one host are two, so the path of the issuer belongs to it.

        >>> OidcSettings("https://id.example.com/realms/plant", "madang", {}).login("4711")
        'oidc:4711@id.example.com/realms/plant'
        """
        place = urlsplit(self.issuer)
        return f"oidc:{subject}@{place.netloc}{place.path.rstrip('/')}"

    def role(self, claims: Mapping[str, object]) -> str | None:
        """Return the role of who has these claims; the strongest of several, None for nobody's.

        >>> settings = OidcSettings("https://id.example.com", "madang", {"line": "operator", "office": "viewer"})
        >>> settings.role({"groups": ["office", "line", "canteen"]}), settings.role({"groups": ["canteen"]})
        ('operator', None)
        """
        found: object = claims.get(self.roles_claim)
        if found is None:
            found = claims
            for part in self.roles_claim.split("."):
                found = found.get(part) if isinstance(found, Mapping) else None
        groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        has = {self.roles[group] for group in groups if isinstance(group, str) and group in self.roles}
        return next((role for role in _RANK if role in has), self.default_role)

    def name(self, claims: Mapping[str, object]) -> str | None:
        """Return the name to show; None when the provider tells none."""
        for claim in (self.name_claim, "name", "preferred_username", "email"):
            found = claims.get(claim)
            if isinstance(found, str) and (name := " ".join(found.split())[:200]) and name.isprintable():
                return name
        return None


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("id.example.com")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def read_oidc(root: Path) -> OidcSettings | None:
    """Return the provider that a workspace's settings name; None without one.

    Args:
        root: Folder of the workspace.

    Raises:
        InputError: The settings cannot be read, or do not fit.
    """
    file = root / "workspace.toml"
    if not file.exists():
        return None
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error
    if "oidc" not in document:
        return None
    found = _settings(document["oidc"])
    if isinstance(found, str):
        raise _unreadable(file, found)
    return found


def _settings(table: object) -> OidcSettings | str:
    """The settings of a table ``[oidc]``, or what is wrong with it."""
    from madang.library._people import ROLES

    if not isinstance(table, Mapping):
        return "oidc: a table [oidc]"
    unknown = [str(key) for key in table if key not in (*_TEXTS, "roles", "scopes")]
    if unknown:
        return f"oidc: {', '.join(unknown)} is unknown; known are {', '.join((*_TEXTS, 'roles', 'scopes'))}"
    for key in _TEXTS:
        if key in table and not (isinstance(table[key], str) and table[key]):
            return f"oidc.{key}: a text"
    roles, scopes, default = table.get("roles", {}), table.get("scopes", ["openid", "profile"]), table.get("default_role")
    if not (isinstance(roles, Mapping) and all(role in ROLES for role in roles.values())):
        return f"oidc.roles: a role of {', '.join(ROLES)} for each group"
    if default is not None and default not in ROLES:
        return f"oidc.default_role: one of {', '.join(ROLES)}"
    if not roles and default is None:
        return "oidc.roles: at least one group, or a default_role; else nobody could come in"
    if not (isinstance(scopes, list) and "openid" in scopes and all(isinstance(s, str) and s.isascii() for s in scopes)):
        return "oidc.scopes: a list of texts with openid"
    if not _is_issuer(table.get("issuer")):
        return "oidc.issuer: an https address without query, such as https://id.example.com (http on this machine only)"
    if "client_id" not in table:
        return "oidc.client_id: what the provider calls this server"
    secret = table.get("client_secret")
    if secret is not None and secret != KEPT and not _REFERENCE.fullmatch(secret):
        return f'oidc.client_secret: "{KEPT}", "env:NAME" or "file:PATH", never the secret itself'
    plain = {key: table[key] for key in _TEXTS if key in table}
    return OidcSettings(**plain, roles=dict(roles), scopes=tuple(dict.fromkeys(scopes)))


def client_secret(settings: OidcSettings, secrets: Secrets) -> str | None:
    """Look up the client secret; None for a client without one.

    Raises:
        InputError: It is not where the settings say.
        RefusedError: The box of secrets was closed with another key.
    """
    from madang.workspace._secrets import STORED

    if settings.client_secret is None:
        return None
    try:
        return secrets.get(_OWNER, _NAME, STORED if settings.client_secret == KEPT else settings.client_secret)
    except InputError as error:
        if error.code != "no_such_secret":
            raise
        raise InputError(
            "no_such_secret",
            ko=f"로그인 제공자의 비밀 값이 {settings.client_secret} 에 없어요.",
            en=f"The secret for the log-in provider is not at {settings.client_secret}.",
            next_ko="madang people oidc-secret 으로 넣거나, 그 환경 변수나 파일을 만드세요.",
            next_en="Keep it with madang people oidc-secret, or make that environment variable or file.",
            where={"reference": settings.client_secret},
        ) from None


def keep_client_secret(secrets: Secrets, value: str) -> None:
    """Keep the client secret encrypted, for ``client_secret = "secret:oidc"``.

    Raises:
        InputError: It is empty or longer than 64 KiB, or is a reference.
    """
    if not value or _REFERENCE.fullmatch(value):
        raise InputError(
            "bad_secret",
            ko="비밀 값이 비었거나 env:, file: 로 시작해요.",
            en="The secret is empty, or begins with env: or file:.",
            next_ko="제공자가 준 값을 표준 입력으로 주세요. env: 와 file: 은 workspace.toml 에 적어요.",
            next_en="Give what the provider gave on standard input; env: and file: are written into workspace.toml.",
        )
    secrets.put(_OWNER, _NAME, value)


def _is_issuer(issuer: object) -> bool:
    if not isinstance(issuer, str) or not issuer.isascii() or not issuer.isprintable() or " " in issuer:
        return False
    try:
        place = urlsplit(issuer)
        _ = place.port
    except ValueError:
        return False
    plain = "?" not in issuer and "#" not in issuer and "@" not in issuer and bool(place.hostname)
    return plain and (place.scheme == "https" or (place.scheme == "http" and is_loopback(place.hostname)))


def _unreadable(file: Path, what: str) -> InputError:
    return InputError(
        "workspace_unreadable",
        ko=f"‘{file}’을(를) 읽을 수 없어요: {what}",
        en=f"“{file}” cannot be read: {what}",
        next_ko="파일의 [oidc] 를 고치세요. docs/how-to/log-in-with-oidc.md 에 보기가 있어요.",
        next_en="Correct [oidc] in the file; docs/how-to/log-in-with-oidc.md has examples.",
        where={"file": str(file)},
    )
