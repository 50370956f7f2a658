"""Who is who: parties, accounts, roles, tokens and sessions, so that there is one answer to that question.

Secrets are never kept: a password as its argon2id hash (older ones as scrypt, until their next log-in), a token as its SHA-256 (it has
256 random bits).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from madang.errors import InputError, Json, RefusedError
from madang.library._instants import iso, moment
from madang.library._state import State, accounts, parties, roles, tokens

if TYPE_CHECKING:
    from argon2 import PasswordHasher
    from sqlalchemy import ColumnElement

RoleName = Literal["viewer", "operator", "engineer", "steward", "partner", "auditor"]
ROLES: Final = get_args(RoleName)
_OLD_ROLES: Final = {"owner": "steward", "reader": "viewer"}
_SESSION: Final = "session"
"""Label of the tokens that are log-in sessions; no other token may have it."""
_OUTSIDE: Final = b"$outside"
"""Stands for the password of an account whose person is known to a provider; nothing fits it."""
OUTSIDE: Final = "oidc:"
"""How the logins of such accounts begin; no local one may."""
_SHORTEST, _LONGEST = 10, 1000
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}


@dataclass(frozen=True)
class Person:
    """Whoever is logged in, or holds a token."""

    party: str
    login: str
    name: str
    role: RoleName


class People:
    """The parties of one library.

    Args:
        state: The catalogue.
        clock: Gives the time.
        random: Gives random bytes; the system's by default.
    """

    def __init__(
        self, state: State, clock: Callable[[], datetime], random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._state = state
        self._clock = clock
        self._random = random

    def add_party(self, id_: str, name: str, kind: Literal["firm", "site", "person", "agency"] = "person") -> None:
        """Add someone who can read, sign or own."""
        from sqlalchemy.exc import IntegrityError

        try:
            with self._state.begin() as db:
                db.execute(parties.insert().values(id=id_, name=name, kind=kind, created=iso(self._clock())))
        except IntegrityError as error:
            raise InputError(
                "party_exists",
                ko=f"‘{id_}’은(는) 이미 있어요.",
                en=f"“{id_}” is already there.",
                next_ko="다른 id 를 쓰세요.",
                next_en="Use another id.",
                where={"party": id_},
            ) from error

    def parties(self) -> list[dict[str, Json]]:
        """Everyone, with their roles."""
        from sqlalchemy import select

        with self._state.reading() as db:
            has = db.execute(select(roles)).all()
            return [
                {"id": p.id, "name": p.name, "kind": p.kind, "roles": sorted(r.role for r in has if r.party == p.id)}
                for p in db.execute(select(parties).order_by(parties.c.id))
            ]

    def give_role(self, party: str, role: RoleName) -> None:
        """Give a party its role, in place of the one it had; giving it twice changes nothing."""
        self._known(party)
        if role not in ROLES:
            raise _no_role(role)
        with self._state.begin() as db:
            db.execute(roles.delete().where(roles.c.party == party))
            db.execute(roles.insert().values(party=party, role=role))

    def has_accounts(self) -> bool:
        """Whether anybody has an account; until then a workspace is open on its own machine."""
        from sqlalchemy import select

        with self._state.reading() as db:
            return db.execute(select(accounts.c.id).limit(1)).first() is not None

    def accounts(self) -> list[dict[str, Json]]:
        """Every account with its person, role and living tokens; no secrets."""
        from sqlalchemy import select

        with self._state.reading() as db:
            has = {row.party: row.role for row in db.execute(select(roles))}
            live = [
                row.account for row in db.execute(select(tokens.c.account).where(tokens.c.revoked.is_(None), _no_session()))
            ]
            joined = select(accounts, parties.c.name).join(parties, parties.c.id == accounts.c.party)
            return [
                {
                    "login": row.login,
                    "name": row.name,
                    "party": row.party,
                    "role": _role(has.get(row.party)),
                    "created": row.created,
                    "tokens": live.count(row.id),
                }
                for row in db.execute(joined.order_by(accounts.c.login))
            ]

    def set_password(self, login: str, password: str) -> None:
        """Give an account another password; whoever is logged in with the old one is logged out.

        Raises:
            InputError: There is no such account, its password is a provider's, or it is too short or too long.
        """
        from sqlalchemy import select

        _check_password(login, password)
        with self._state.begin() as db:
            secret = db.execute(select(accounts.c.secret).where(accounts.c.login == login)).scalar()
            if secret is not None and bytes(secret) == _OUTSIDE:
                raise _outside(login)
            row = {"salt": b"", "secret": _hasher().hash(password).encode()}
            if not db.execute(accounts.update().where(accounts.c.login == login).values(**row)).rowcount:
                raise _no_account(login)
        self.revoke_tokens(login, _SESSION)

    def add_account(self, party: str, login: str, password: str) -> None:
        """Give a party a login; passwords need at least ten characters."""
        from sqlalchemy.exc import IntegrityError

        self._known(party)
        if login.startswith(OUTSIDE):
            raise _outside(login)
        _check_password(login, password)
        secret = _hasher().hash(password).encode()
        row = {"party": party, "login": login, "salt": b"", "secret": secret, "created": iso(self._clock())}
        try:
            with self._state.begin() as db:
                db.execute(accounts.insert().values(**row))
        except IntegrityError as error:
            raise InputError(
                "login_exists",
                ko=f"‘{login}’은(는) 이미 쓰이고 있어요.",
                en=f"“{login}” is already in use.",
                next_ko="다른 이름을 쓰세요.",
                next_en="Use another name.",
                where={"login": login},
            ) from error

    def log_in(self, login: str, password: str) -> str:
        """Return the party of an account; a wrong login and a wrong password look alike and take as long.

        Raises:
            RefusedError: They do not fit.
        """
        from sqlalchemy import select

        with self._state.reading() as db:
            row = db.execute(select(accounts).where(accounts.c.login == login)).first()
        if row is not None and bytes(row.secret) == _OUTSIDE:
            row = None
        secret = bytes(row.secret) if row is not None else _nobody()
        if len(password) > _LONGEST or not _fits(password, bytes(row.salt) if row is not None else b"", secret) or row is None:
            raise _unknown()
        if not secret.startswith(b"$argon2id$") or _hasher().check_needs_rehash(secret.decode()):
            with self._state.begin() as db:
                fresh = {"salt": b"", "secret": _hasher().hash(password).encode()}
                db.execute(accounts.update().where(accounts.c.id == row.id).values(**fresh))
        return str(row.party)

    def begin_session(self, login: str, password: str, *, valid: timedelta) -> tuple[str, Person]:
        """Log in and return the session's token, which is kept only as a hash, and who it is.

        Raises:
            RefusedError: Login and password do not fit.
        """
        self.log_in(login, password)
        token = self._new_token(login, _SESSION, valid)
        return token, self.person(token, session=True)

    def enter(self, login: str, name: str, role: RoleName, *, valid: timedelta) -> tuple[str, Person]:
        """Let in a person whom a provider has vouched for; return the session's token and who it is.

        The first time this makes the party and the account; each time it renews the name and the role.

        Args:
            login: What the account is called, beginning with `OUTSIDE`; also the party's id.
            name: Name to show.
            role: Role that the provider's groups give.
            valid: How long the session lasts.

        Raises:
            RefusedError: The login is a local account's, which no provider opens.
        """
        from sqlalchemy import select

        if role not in ROLES:
            raise _no_role(role)
        now = iso(self._clock())
        with self._state.begin() as db:
            row = db.execute(select(accounts.c.party, accounts.c.secret).where(accounts.c.login == login)).first()
            if row is None:
                if db.execute(select(parties.c.id).where(parties.c.id == login)).first() is None:
                    db.execute(parties.insert().values(id=login, name=name, kind="person", created=now))
                db.execute(accounts.insert().values(party=login, login=login, salt=b"", secret=_OUTSIDE, created=now))
            elif bytes(row.secret) != _OUTSIDE or row.party != login:
                raise _unknown()
            db.execute(parties.update().where(parties.c.id == login).values(name=name))
            db.execute(roles.delete().where(roles.c.party == login))
            db.execute(roles.insert().values(party=login, role=role))
        token = self._new_token(login, _SESSION, valid)
        return token, self.person(token, session=True)

    def turn_away(self, login: str) -> None:
        """End the sessions of a person whom the provider gives no role any more; who has no account is no error."""
        from sqlalchemy import select

        with self._state.reading() as db:
            known = db.execute(select(accounts.c.id).where(accounts.c.login == login)).first() is not None
        if known:
            self.revoke_tokens(login, _SESSION)

    def end_session(self, token: str) -> None:
        """Make a session worthless; one that is unknown changes nothing."""
        with self._state.begin() as db:
            where = (tokens.c.hash == _digest(token)) & (tokens.c.label == _SESSION)
            db.execute(tokens.update().where(where).values(revoked=iso(self._clock())))

    def person(self, token: str, *, session: bool) -> Person:
        """Return who a session (of a browser) or a token (of a program) belongs to.

        Raises:
            RefusedError: It is unknown, revoked or expired, or of the other kind.
        """
        from sqlalchemy import select

        with self._state.reading() as db:
            columns = (accounts.c.party, accounts.c.login, parties.c.name, tokens.c.expires, tokens.c.revoked, tokens.c.label)
            joined = (
                select(*columns).join(tokens, tokens.c.account == accounts.c.id).join(parties, parties.c.id == accounts.c.party)
            )
            row = db.execute(joined.where(tokens.c.hash == _digest(token))).first()
            if row is None or row.revoked is not None or (row.label == _SESSION) is not session:
                raise _unknown()
            role = db.execute(select(roles.c.role).where(roles.c.party == row.party)).scalar()
        until = moment(row.expires)
        if until is not None and until <= self._clock():
            raise _unknown()
        return Person(str(row.party), str(row.login), str(row.name), _role(role))

    def add_token(self, login: str, label: str, *, valid: timedelta | None = None) -> str:
        """Return a new token of an account; it is shown this once and kept only as a hash.

        Raises:
            InputError: There is no such account, or the label is kept for sessions.
        """
        if label == _SESSION or not label.strip():
            raise InputError(
                "bad_label",
                ko=f"토큰 이름은 비어 있거나 {_SESSION} 일 수 없어요.",
                en=f"A token's label cannot be empty or “{_SESSION}”.",
                next_ko="어디에 쓰는지 알 수 있는 이름을 주세요.",
                next_en="Name what it is for.",
                where={"login": login},
            )
        return self._new_token(login, label, valid)

    def _new_token(self, login: str, label: str, valid: timedelta | None) -> str:
        from sqlalchemy import select

        now = self._clock()
        token = f"{'mds' if label == _SESSION else 'mdt'}_{self._random(32).hex()}"
        with self._state.begin() as db:
            account = db.execute(select(accounts.c.id).where(accounts.c.login == login)).scalar()
            if account is None:
                raise _no_account(login)
            if label == _SESSION:
                # Sessions end each day; those that have ended are not kept.
                over = (tokens.c.label == _SESSION) & ((tokens.c.expires < iso(now)) | tokens.c.revoked.is_not(None))
                db.execute(tokens.delete().where(over))
            expires = None if valid is None else iso(now + valid)
            row = {"account": account, "hash": _digest(token), "label": label, "created": iso(now), "expires": expires}
            db.execute(tokens.insert().values(**row))
        return token

    def revoke_tokens(self, login: str, label: str | None = None) -> int:
        """Make an account's tokens (of one label) worthless from now on; return how many."""
        from sqlalchemy import select

        with self._state.begin() as db:
            account = db.execute(select(accounts.c.id).where(accounts.c.login == login)).scalar()
            if account is None:
                raise _no_account(login)
            where = (tokens.c.account == account) & tokens.c.revoked.is_(None)
            where &= _no_session() if label is None else tokens.c.label == label
            return db.execute(tokens.update().where(where).values(revoked=iso(self._clock()))).rowcount

    def who(self, token: str) -> str:
        """Return the party of a token.

        Raises:
            RefusedError: The token is unknown, revoked or expired.
        """
        from sqlalchemy import select

        with self._state.reading() as db:
            query = select(accounts.c.party, tokens.c.expires, tokens.c.revoked).join(tokens, tokens.c.account == accounts.c.id)
            row = db.execute(query.where(tokens.c.hash == _digest(token))).first()
        if row is None or row.revoked is not None:
            raise _unknown()
        until = moment(row.expires)
        if until is not None and until <= self._clock():
            raise _unknown()
        return str(row.party)

    def _known(self, party: str) -> None:
        from sqlalchemy import select

        with self._state.reading() as db:
            if db.execute(select(parties.c.id).where(parties.c.id == party)).first() is None:
                raise InputError(
                    "no_such_party",
                    ko=f"‘{party}’이라는 참여자가 없어요.",
                    en=f"There is no party “{party}”.",
                    next_ko="먼저 참여자를 더하세요.",
                    next_en="Add the party first.",
                    where={"party": party},
                )


@cache
def _hasher() -> PasswordHasher:
    """Argon2id with the first choice of RFC 9106, section 4, for little memory: 64 MiB, three passes, four lanes."""
    from argon2 import PasswordHasher
    from argon2.profiles import RFC_9106_LOW_MEMORY

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


@cache
def _nobody() -> bytes:
    """A hash that nobody knows the password of, so that an unknown login takes as long as a wrong password."""
    return _hasher().hash(secrets.token_hex(16)).encode()


def _fits(password: str, salt: bytes, secret: bytes) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    if not secret.startswith(b"$argon2id$"):
        return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT), secret)
    try:
        return _hasher().verify(secret.decode(), password)
    except (VerificationError, InvalidHashError):
        return False


def _no_session() -> ColumnElement[bool]:
    return tokens.c.label != _SESSION


def _role(found: str | None) -> RoleName:
    """The role of a party; without one it may look on, as the least of the house."""
    name = _OLD_ROLES.get(found or "", found or "viewer")
    return cast(RoleName, name) if name in ROLES else "viewer"


def _check_password(login: str, password: str) -> None:
    if len(password) < _SHORTEST:
        raise InputError(
            "password_too_short",
            ko="비밀번호는 열 자 이상이어야 해요.",
            en="A password needs at least ten characters.",
            next_ko="더 긴 비밀번호를 쓰세요.",
            next_en="Use a longer password.",
            where={"login": login},
        )
    if len(password) > _LONGEST:
        raise InputError(
            "password_too_long",
            ko=f"비밀번호는 {_LONGEST}자까지예요.",
            en=f"A password has at most {_LONGEST} characters.",
            next_ko="더 짧은 비밀번호를 쓰세요.",
            next_en="Use a shorter password.",
            where={"login": login},
        )


def _no_role(role: str) -> InputError:
    return InputError(
        "no_such_role",
        ko=f"‘{role}’이라는 역할이 없어요. 있는 것: {', '.join(ROLES)}",
        en=f"There is no role “{role}”. There are: {', '.join(ROLES)}",
        next_ko="그 가운데 하나를 주세요.",
        next_en="Give one of them.",
        where={"allowed": [*ROLES]},
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unknown() -> RefusedError:
    return RefusedError(
        "not_known",
        ko="로그인 정보나 토큰이 맞지 않아요.",
        en="The login or token does not fit.",
        next_ko="다시 확인하거나 소유자에게 물으세요.",
        next_en="Check it, or ask the owner.",
    )


def _outside(login: str) -> InputError:
    return InputError(
        "password_elsewhere",
        ko=f"‘{login}’의 비밀번호는 로그인 제공자에게 있어요.",
        en=f"The password of “{login}” is with the log-in provider.",
        next_ko=f"제공자에서 바꾸세요. 여기서 만드는 계정의 이름은 {OUTSIDE} 로 시작할 수 없어요.",
        next_en=f"Change it there. Accounts that are made here cannot have a name that begins with {OUTSIDE}.",
        where={"login": login},
    )


def _no_account(login: str) -> InputError:
    return InputError(
        "no_such_account",
        ko=f"‘{login}’이라는 계정이 없어요.",
        en=f"There is no account “{login}”.",
        next_ko="먼저 계정을 더하세요.",
        next_en="Add the account first.",
        where={"login": login},
    )
