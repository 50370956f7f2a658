"""The stepwise test of a database connection: name, TCP, log-in, tables, one row; nothing is changed at the peer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from madang.connect._source import TestName, TestStep
from madang.connect.sql._catalogue import Catalogue
from madang.connect.sql._database import Database, trouble
from madang.plant import Bilingual

_WAIT = 5.0


def steps(database: Database, catalogue: Catalogue, wanted: Callable[[], Sequence[str]]) -> Iterator[TestStep]:
    """Yield the steps of the test in order; the last one is the first that failed."""
    plan: tuple[tuple[TestName, Callable[[], TestStep]], ...] = (
        ("name", lambda: _name(database)),
        ("tcp", lambda: _tcp(database)),
        ("trust", lambda: _trust(database)),
        ("login", lambda: _login(database)),
        ("browse", lambda: _browse(catalogue, wanted())),
        ("value", lambda: _value(database, catalogue, wanted())),
    )
    for name, step in plan:
        started = time.monotonic()
        try:
            done = step()
        except (SQLAlchemyError, OSError) as error:
            done = _failed(name, error)
        yield TestStep(done.name, done.state, done.text, done.next, time.monotonic() - started, done.facts)
        if done.state == "failed":
            return


def _name(database: Database) -> TestStep:
    if database.host is None:
        path = database.path
        if path is None or not path.is_file():
            return TestStep(
                "name", "failed", Bilingual("데이터베이스 파일이 없어요.", "The database file is not there."),
                Bilingual("주소의 경로를 확인해 주세요.", "Check the path in the address."),
            )  # fmt: skip
        return TestStep("name", "ok", Bilingual("데이터베이스 파일이 있어요.", "The database file is there."))
    try:
        found = socket.getaddrinfo(database.host, database.port, type=socket.SOCK_STREAM)
    except OSError:
        return TestStep(
            "name", "failed", Bilingual(f"'{database.host}' 라는 컴퓨터를 찾을 수 없어요.", f"No computer is called '{database.host}'."),
            Bilingual("이름의 철자와 DNS, VPN 을 확인해 주세요.", "Check the spelling, the DNS and the VPN."),
        )  # fmt: skip
    address = str(found[0][4][0])
    return TestStep(
        "name",
        "ok",
        Bilingual(f"이름의 주소를 찾았어요: {address}", f"The name has an address: {address}"),
        facts={"address": address},
    )


def _tcp(database: Database) -> TestStep:
    if database.host is None:
        return TestStep("tcp", "skipped", Bilingual("파일이라 네트워크가 필요 없어요.", "A file needs no network."))
    try:
        socket.create_connection((database.host, database.port), timeout=_WAIT).close()
    except OSError:
        return TestStep(
            "tcp", "failed",
            Bilingual(f"{database.host} 의 {database.port} 포트가 대답하지 않아요.", f"Port {database.port} of {database.host} does not answer."),
            Bilingual("데이터베이스가 켜져 있는지, 방화벽이 포트를 여는지 확인해 주세요.", "Check that the database runs, and that the firewall opens the port."),
        )  # fmt: skip
    return TestStep("tcp", "ok", Bilingual("포트가 대답해요.", "The port answers."))


def _login(database: Database) -> TestStep:
    with database.snapshot() as reader:
        reader.rows(sa.select(sa.literal(1)))
        version = ".".join(str(part) for part in reader.connection.dialect.server_version_info or ())
    return TestStep(
        "login", "ok", Bilingual("로그인했고, 읽기만 하는 연결이에요.", "Logged in; the connection can only read."),
        facts={"kind": database.kind, "version": version},
    )  # fmt: skip


def _trust(database: Database) -> TestStep:
    """Say whether the connection is encrypted; drivers fall back to plain text without a word."""
    queries = {
        "postgresql": "SELECT CASE WHEN ssl THEN version ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        "mysql": "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'",
    }
    if database.kind not in queries:
        return TestStep(
            "trust", "skipped", Bilingual("이 연결에서는 확인하지 않아요.", "Not looked at for this kind of connection.")
        )
    try:
        with database.snapshot() as reader:
            rows = reader.rows(sa.text(queries[database.kind]))
    except SQLAlchemyError:
        # Why it cannot be asked is for the next step to say.
        return TestStep(
            "trust",
            "skipped",
            Bilingual("암호화 여부를 물을 수 없어요.", "Whether it is encrypted could not be asked."),
        )
    version = str(rows[0][0] or "") if rows else ""
    if version:
        return TestStep(
            "trust",
            "ok",
            Bilingual(f"암호화된 연결이에요 ({version}).", f"The connection is encrypted ({version})."),
            facts={"tls": version},
        )
    return TestStep(
        "trust", "ok", Bilingual("암호화되지 않은 연결이에요.", "The connection is not encrypted."),
        Bilingual("다른 망을 지나면 주소 끝에 ?sslmode=verify-full (PostgreSQL) 이나 ?ssl_ca=파일 (MariaDB) 을 붙여 주세요.",
                  "If it crosses other networks, add ?sslmode=verify-full (PostgreSQL) or ?ssl_ca=FILE (MariaDB) to the address."),
        facts={"tls": ""},
    )  # fmt: skip


def _browse(catalogue: Catalogue, wanted: Sequence[str]) -> TestStep:
    found = catalogue.names()
    missing = [name for name in wanted if name not in found]
    if missing:
        shown = ", ".join(missing)
        return TestStep(
            "browse", "failed",
            Bilingual(f"이런 표가 없거나 볼 권한이 없어요: {shown}", f"These tables are not there, or may not be seen: {shown}"),
            Bilingual("표 이름(스키마.표)과 SELECT 권한을 확인해 주세요.", "Check the names (SCHEMA.TABLE) and the right to SELECT."),
        )  # fmt: skip
    if not found:
        return TestStep(
            "browse", "failed", Bilingual("볼 수 있는 표가 하나도 없어요.", "There is no table that can be seen."),
            Bilingual("이 사용자에게 SELECT 권한을 주세요.", "Give this user the right to SELECT."),
        )  # fmt: skip
    count = len(wanted) or len(found)
    return TestStep(
        "browse", "ok", Bilingual(f"표 {count}개를 찾았어요.", f"{count} tables were found."), facts={"tables": str(count)}
    )


def _value(database: Database, catalogue: Catalogue, wanted: Sequence[str]) -> TestStep:
    found = catalogue.names()
    unsure: list[str] = []
    for name in wanted or sorted(found)[:20]:
        table = catalogue.table(name)
        if table is None:
            continue
        with database.snapshot() as reader:
            reader.rows(table.select().limit(1))
        if len(table.growing) > 1:
            unsure.append(f"{name} ({', '.join(table.growing)})")
    if unsure:
        shown = "; ".join(unsure)
        return TestStep(
            "value", "ask",
            Bilingual(f"앞으로만 가는 열이 둘 이상이에요: {shown}", f"More than one column may be the one that only grows: {shown}"),
            Bilingual("--set cursor=표=열 로 골라 주세요. 고르지 않으면 표 전체를 견주어요.", "Choose with --set cursor=TABLE=COLUMN; without it whole tables are compared."),
        )  # fmt: skip
    return TestStep("value", "ok", Bilingual("표의 한 행을 읽었어요.", "A row of each table was read."))


def _failed(name: TestName, error: BaseException) -> TestStep:
    word = trouble(error) if isinstance(error, DBAPIError | OSError) else "other"
    text, following = {
        "login": (
            Bilingual("이름이나 비밀번호가 맞지 않아요.", "The name or the password was refused."),
            Bilingual("사용자와 비밀번호를 다시 넣어 주세요.", "Give the user and the password again."),
        ),
        "refused": (
            Bilingual("로그인은 되지만 읽을 권한이 없어요.", "The log-in works, but it has no right to read."),
            Bilingual("이 사용자에게 SELECT 권한을 주세요.", "Give this user the right to SELECT."),
        ),
        "timeout": (
            Bilingual("데이터베이스가 제때 대답하지 않았어요.", "The database did not answer in time."),
            Bilingual(
                "--set timeout=초 를 늘리거나 복제본에 연결해 주세요.", "Raise --set timeout=SECONDS, or connect to a replica."
            ),
        ),
        "missing": (
            Bilingual("주소에 적힌 데이터베이스나 표가 없어요.", "The database or table of the address is not there."),
            Bilingual("데이터베이스와 표의 이름을 확인해 주세요.", "Check the names of the database and the table."),
        ),
        "lost": (
            Bilingual("연결이 끊겼어요.", "The connection was lost."),
            Bilingual("데이터베이스가 켜져 있는지 확인하고 다시 해 주세요.", "Check that the database runs, and try again."),
        ),
    }.get(
        word,
        (
            Bilingual(
                f"데이터베이스가 거절했어요 ({type(error).__name__}).", f"The database refused ({type(error).__name__})."
            ),
            Bilingual("주소와 데이터베이스의 기록을 확인해 주세요.", "Check the address and the database's own log."),
        ),
    )
    return TestStep(name, "failed", text, following)
