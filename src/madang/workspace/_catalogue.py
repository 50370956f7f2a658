"""Where the catalogue of a workspace stands when it is a database: an address from ``workspace.toml`` and a password from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from madang.errors import InputError
from madang.workspace._secrets import STORED, Secrets, is_reference, remember

OWNER: Final = "state"
"""Whose the password is in the box of secrets."""


def catalogue_address(file: Path, state: str, schema: str | None, password: str | None) -> str:
    """Return the whole address of the database, password and schema included.

    Args:
        file: The ``workspace.toml`` that says it.
        state: An address without a password, or ``env:NAME`` or ``file:PATH`` where one stands, with or without.
        schema: Schema of the catalogue; that of the address, else ``madang``, when None.
        password: ``env:NAME``, ``file:PATH`` or ``stored``; the database's own ways (``~/.pgpass``, ``PGPASSWORD``) when None.

    Raises:
        InputError: A password stands in ``workspace.toml``, a reference leads nowhere, or a name is no schema's.
    """
    secrets = Secrets(file.parent)
    if is_reference(state):
        state = secrets.get(OWNER, "address", state)
        if (held := _parts(file, state).password) is not None:
            remember(held)
    elif (said := _parts(file, state)).password is not None or "password" in dict(parse_qsl(said.query)):
        raise _plain_password(file, "state")
    if password is not None:
        if password != STORED and not is_reference(password):
            raise _plain_password(file, "state_password")
        state = _with_password(file, state, secrets.get(OWNER, "password", password))
    return state if schema is None else _with_schema(file, state, schema)


def _parts(file: Path, state: str) -> SplitResult:
    try:
        parts = urlsplit(state)
        _ = parts.port, parts.password
    except ValueError:
        raise _no_address(file) from None
    return parts


def _with_password(file: Path, state: str, password: str) -> str:
    parts = _parts(file, state)
    user, _, host = parts.netloc.rpartition("@")
    if not user:
        raise _no_address(file)
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}"))


def _with_schema(file: Path, state: str, schema: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise _no_schema(file, schema)
    parts = _parts(file, state)
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = " ".join(value for name, value in query if name == "options")
    options = re.sub(r"-c\s*search_path=\S+", "", options).strip()
    kept = [(name, value) for name, value in query if name != "options"]
    return urlunsplit(
        parts._replace(query=urlencode([*kept, ("options", f"{options} -csearch_path={schema}".strip())], quote_via=quote))
    )


def _plain_password(file: Path, setting: str) -> InputError:
    return InputError(
        "password_in_plain_text",
        ko=f"‘{file}’의 {setting} 에 비밀번호가 그대로 적혀 있어요.",
        en=f"A password stands in plain text in {setting} of “{file}”.",
        next_ko='비밀번호를 지우고 state_password = "env:MADANG_STATE_PASSWORD" 처럼 있는 곳만 적으세요. file:경로 도 돼요.',
        next_en='Take it out and say where it is, such as state_password = "env:MADANG_STATE_PASSWORD" or "file:PATH".',
        where={"file": str(file), "setting": setting},
    )


def _no_schema(file: Path, schema: str) -> InputError:
    return InputError(
        "no_such_schema_name",
        ko=f"‘{schema}’은(는) 스키마 이름으로 쓸 수 없어요.",
        en=f"“{schema}” cannot be the name of a schema.",
        next_ko="소문자, 숫자, 밑줄로 된 63자까지의 이름을 주세요. 예: kiln_1",
        next_en="Give up to 63 lower-case letters, digits and underscores, for example kiln_1.",
        where={"file": str(file), "schema": schema},
    )


def _no_address(file: Path) -> InputError:
    return InputError(
        "no_such_catalogue_place",
        ko=f"‘{file}’의 state 는 데이터베이스 주소가 아니에요.",
        en=f"state in “{file}” is no address of a database.",
        next_ko="postgresql+psycopg://사용자@서버/데이터베이스 꼴로 적으세요.",
        next_en="Write it as postgresql+psycopg://user@host/database.",
        where={"file": str(file)},
    )
