"""Who is who: parties, accounts, roles and tokens, so that there is one answer to that question.

Secrets are never kept: a password as its scrypt hash with a salt of its own, a token as its SHA-256 (it has 256 random bits).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from madang.errors import InputError, Json, RefusedError
from madang.library._instants import iso, moment
from madang.library._state import State, accounts, parties, roles, tokens

RoleName = Literal["owner", "engineer", "reader", "auditor"]
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}


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
        """Give a party a role; giving it twice changes nothing."""
        from sqlalchemy import select

        self._known(party)
        with self._state.begin() as db:
            if db.execute(select(roles).where(roles.c.party == party, roles.c.role == role)).first() is None:
                db.execute(roles.insert().values(party=party, role=role))

    def add_account(self, party: str, login: str, password: str) -> None:
        """Give a party a login; passwords need at least ten characters."""
        from sqlalchemy.exc import IntegrityError

        self._known(party)
        if len(password) < 10:
            raise InputError(
                "password_too_short",
                ko="비밀번호는 열 자 이상이어야 해요.",
                en="A password needs at least ten characters.",
                next_ko="더 긴 비밀번호를 쓰세요.",
                next_en="Use a longer password.",
                where={"login": login},
            )
        salt = self._random(16)
        row = {"party": party, "login": login, "salt": salt, "secret": _hash(password, salt), "created": iso(self._clock())}
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
        given = _hash(password, row.salt if row is not None else b"\0" * 16)
        if row is None or not hmac.compare_digest(given, row.secret):
            raise _unknown()
        return str(row.party)

    def add_token(self, login: str, label: str, *, valid: timedelta | None = None) -> str:
        """Return a new token of an account; it is shown this once and kept only as a hash."""
        from sqlalchemy import select

        now = self._clock()
        token = f"mdt_{self._random(32).hex()}"
        with self._state.begin() as db:
            account = db.execute(select(accounts.c.id).where(accounts.c.login == login)).scalar()
            if account is None:
                raise _no_account(login)
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
            if label is not None:
                where &= tokens.c.label == label
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


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)


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


def _no_account(login: str) -> InputError:
    return InputError(
        "no_such_account",
        ko=f"‘{login}’이라는 계정이 없어요.",
        en=f"There is no account “{login}”.",
        next_ko="먼저 계정을 더하세요.",
        next_en="Add the account first.",
        where={"login": login},
    )
