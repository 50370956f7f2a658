"""Who may do what: nothing is asked for before the first account, and everything from it on."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from madang.api import _live, make_app, serve
from madang.api._accounts import AT_ONCE, COOKIE, Patience, route_of
from madang.api._roles import LEAST, may
from madang.errors import RefusedError
from madang.library import Library, _people
from madang.library._people import _SCRYPT, ROLES
from madang.library._state import accounts
from madang.workspace import Workspace
from tests.console.conftest import HOSTS, TestClient

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are quick to check: how long argon2 takes is not what is tried here."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(_people, "_hasher", lambda: quick)
    _people._nobody.cache_clear()


class Plant:
    """A workspace with accounts, and clients that are logged in."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.open(root)
        self.people = self.workspace.library.people
        self.app = make_app(self.workspace, hosts=HOSTS)

    def add(self, login: str, role: Any = "steward") -> None:  # noqa: ANN401
        self.people.add_party(login, f"{login} 님")
        self.people.give_role(login, role)
        self.people.add_account(login, login, PASSWORD)

    def client(self, login: str | None = None, **headers: str) -> TestClient:
        client = TestClient(self.app, raise_server_exceptions=False, headers=headers, follow_redirects=False)
        if login is not None:
            answer = client.post("/api/v1/log-in", json={"login": login, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
        return client


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path / "공장")
    yield made
    made.workspace.close()


def _routes(plant: Plant) -> list[str]:
    """Every route of the application, pages included."""
    found = []
    for route in plant.app.state.routes:
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                found.append(f"{method} {route.path}")
    return sorted(set(found))


def test_no_route_is_without_a_least_role(plant: Plant) -> None:
    assert [route for route in _routes(plant) if route not in LEAST] == []


def test_the_table_names_no_route_that_is_not_there(plant: Plant) -> None:
    there = set(_routes(plant))
    assert [route for route in LEAST if route not in there] == []


def test_only_what_logs_people_in_needs_no_log_in() -> None:
    open_ = {route for route, least in LEAST.items() if least == "anyone"}
    assert open_ == {
        "GET /health", "GET /log-in", "POST /log-in", "GET /log-in/oidc", "GET /log-in/oidc/back", "GET /api/v1/me",
        "POST /api/v1/log-in", "GET /api/v1/openapi.json",
    }  # fmt: skip


def test_nothing_that_changes_something_is_a_viewers_an_auditors_or_a_partners() -> None:
    for route in LEAST:
        if not route.startswith("GET ") and not route.endswith(("/log-in", "/log-out")):
            assert not any(may(role, route) for role in ("viewer", "auditor", "partner")), route


def test_without_accounts_this_machine_is_open(plant: Plant) -> None:
    client = plant.client()
    assert client.get("/api/v1/connections").status_code == 200
    assert client.get("/api/v1/me").json() == {"open": True, "login": None, "name": None, "role": None}


def test_from_the_first_account_on_every_route_asks_who_it_is(plant: Plant) -> None:
    plant.add("kim")
    client = plant.client()
    for route in _routes(plant):
        method, path = route.split(" ", 1)
        if LEAST[route] == "anyone":
            continue
        address = re.sub(r"\{[^}]+\}", "0123456789ab", path)
        answer = client.request(method, address)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in"), route
    assert client.get("/static/app.css").status_code == 200
    assert client.get("/health").status_code == 200


def test_each_role_reaches_what_the_table_says_and_nothing_else(plant: Plant) -> None:
    plant.add("steward")
    others = [role for role in ROLES if role != "steward"]
    for role in others:
        plant.add(role, role)
    for role in others:
        client = plant.client(role)
        for route in (
            "GET /api/v1/connections",
            "POST /api/v1/connections",
            "GET /api/v1/people",
            "POST /api/v1/push/{connection}",
        ):
            method, path = route.split(" ", 1)
            answer = client.request(method, path.replace("{connection}", "none"), json={})
            refused = answer.status_code == 403 and answer.json()["code"] == "role_too_small"
            assert refused is not may(role, route), (role, route)
    assert plant.client("steward").get("/api/v1/people").json()["people"][0]["login"] in ROLES


def test_a_browser_is_led_to_the_log_in_page_and_back(plant: Plant) -> None:
    plant.add("kim")
    client = plant.client(accept="text/html")
    asked = client.get("/trends?dataset=소성로")
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/log-in?next=%2Ftrends%3Fdataset%3D")
    wrong = client.post("/log-in", data={"login": "kim", "password": "not the password", "next": "/trends"})
    assert wrong.headers["location"] == "/log-in?wrong=1&next=%2Ftrends"
    right = client.post("/log-in", data={"login": "kim", "password": PASSWORD, "next": "//evil.example"})
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    page = client.get("/trends")
    assert page.status_code == 200
    assert "kim 님" in page.text
    left = client.post("/log-out")
    assert left.headers["location"] == "/log-in"
    assert client.get("/trends").status_code == 303


def test_a_session_that_was_ended_or_whose_password_changed_is_worthless(plant: Plant) -> None:
    plant.add("kim")
    client = plant.client("kim")
    session = client.cookies[COOKIE]
    assert client.get("/api/v1/me").json()["login"] == "kim"
    assert client.post("/api/v1/log-out").status_code == 200
    assert plant.client(cookie=f"{COOKIE}={session}").get("/api/v1/connections").status_code == 401
    client = plant.client("kim")
    plant.people.set_password("kim", "another long password")
    assert client.get("/api/v1/connections").status_code == 401


def test_a_token_serves_a_program_and_a_session_does_not(plant: Plant) -> None:
    plant.add("kim")
    plant.add("line-pc", "operator")
    token = plant.people.add_token("line-pc", "소성로 PC")
    program = plant.client(authorization=f"Bearer {token}")
    assert program.get("/api/v1/me").json()["role"] == "operator"
    assert program.get("/api/v1/connections").status_code == 200
    assert program.post("/api/v1/connections", json={"name": "x", "kind": "http"}).json()["code"] == "role_too_small"
    session = plant.client("kim").cookies[COOKIE]
    assert plant.client(authorization=f"Bearer {session}").get("/api/v1/connections").status_code == 401
    assert plant.client(cookie=f"{COOKIE}={token}").get("/api/v1/connections").status_code == 401
    assert plant.people.revoke_tokens("line-pc", "소성로 PC") == 1
    assert program.get("/api/v1/connections").status_code == 401


def test_a_change_from_another_site_is_refused_although_the_browser_is_logged_in(plant: Plant) -> None:
    plant.add("kim")
    client = plant.client("kim")
    answer = client.post("/api/v1/connections", json={"name": "x", "kind": "http"}, headers={"origin": "http://evil.example"})
    assert answer.json()["code"] == "foreign_site"
    assert plant.workspace.connections.names() == []


def test_too_many_wrong_passwords_have_to_wait_whether_the_login_exists_or_not(plant: Plant) -> None:
    plant.add("kim")
    client = plant.client()
    for login in ("kim", "nobody"):
        answers = [client.post("/api/v1/log-in", json={"login": login, "password": "wrong password"}) for _ in range(9)]
        assert [a.status_code for a in answers] == [401] * 8 + [429]
        assert answers[-1].json()["code"] == "too_many_tries"
    assert client.post("/api/v1/log-in", json={"login": "kim", "password": PASSWORD}).status_code == 429


def test_wrong_passwords_are_forgotten_after_a_while() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])
    for _ in range(8):
        patience.check("kim", "10.0.0.1")
        patience.wrong("kim", "10.0.0.1")
    with pytest.raises(RefusedError):
        patience.check("kim", "10.0.0.2")
    patience.check("lee", "10.0.0.1")
    now[0] = 901.0
    patience.check("kim", "10.0.0.1")


def test_a_session_ends_by_itself(tmp_path: Path) -> None:
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    with Library.open(tmp_path / "ws", clock=lambda: now[0], zone="Asia/Seoul") as library:
        library.people.add_party("kim", "김")
        library.people.add_account("kim", "kim", PASSWORD)
        token, person = library.people.begin_session("kim", PASSWORD, valid=timedelta(hours=12))
        assert person.role == "viewer"
        now[0] += timedelta(hours=11)
        assert library.people.person(token, session=True).login == "kim"
        now[0] += timedelta(hours=1)
        with pytest.raises(RefusedError):
            library.people.person(token, session=True)


def test_a_password_of_an_older_workspace_still_fits_and_is_kept_in_the_newer_way(tmp_path: Path) -> None:
    import hashlib

    with Library.open(tmp_path / "ws", clock=lambda: datetime.now(UTC), zone="Asia/Seoul") as library:
        library.people.add_party("kim", "김")
        library.people.add_account("kim", "kim", PASSWORD)
        old = hashlib.scrypt(PASSWORD.encode(), salt=b"s" * 16, **_SCRYPT)
        with library._state.begin() as db:
            db.execute(accounts.update().values(salt=b"s" * 16, secret=old))
        with pytest.raises(RefusedError):
            library.people.log_in("kim", "not the password")
        assert library.people.log_in("kim", PASSWORD) == "kim"
        with library._state.reading() as db:
            [row] = db.execute(accounts.select()).all()
        assert bytes(row.secret).startswith(b"$argon2id$")
        assert library.people.log_in("kim", PASSWORD) == "kim"


def test_a_server_for_others_opens_only_once_somebody_has_an_account(plant: Plant) -> None:
    with pytest.raises(RefusedError) as refused:
        serve(plant.workspace, host="0.0.0.0")
    assert refused.value.code == "needs_accounts"
    shared = TestClient(make_app(plant.workspace, hosts=HOSTS, shared=True))
    assert shared.get("/api/v1/connections").status_code == 401


def test_the_route_of_a_request_is_the_one_that_answers_it(plant: Plant) -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/connections/new", "headers": []}
    assert route_of(scope, plant.app.state.routes) == "GET /connections/new"
    assert route_of({**scope, "path": "/connections/kiln"}, plant.app.state.routes) == "GET /connections/{name}"
    assert route_of({**scope, "path": "/api/v1/nothing"}, plant.app.state.routes) == "GET /api/v1/nothing"


def test_many_tries_at_once_are_counted_like_one_after_the_other(plant: Plant) -> None:
    plant.add("sun")
    desk = plant.app.state.accounts
    said: list[str] = []

    def attempt() -> None:
        with pytest.raises(RefusedError) as refused:
            desk.log_in("sun", "wrong", "10.0.0.1")
        said.append(refused.value.code)

    threads = [threading.Thread(target=attempt) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(said) == 30
    assert len(said) - said.count("too_many_tries") <= 8 + AT_ONCE - 1


def test_a_part_of_a_page_leads_the_whole_page_to_the_log_in(plant: Plant) -> None:
    plant.add("sun")
    here = {"accept": "text/html", "hx-request": "true"}

    led = plant.client().get("/connections/rows", headers={**here, "hx-current-url": "http://testserver/connections?lang=ko"})
    elsewhere = plant.client().get(
        "/connections/rows", headers={**here, "hx-current-url": "http://evil.example//evil.example/"}
    )

    assert (led.status_code, led.headers["hx-redirect"]) == (401, "/log-in?next=%2Fconnections%3Flang%3Dko")
    assert elsewhere.headers["hx-redirect"] == "/log-in"


def test_whoever_was_not_let_in_learns_nothing_of_the_workspace(plant: Plant) -> None:
    plant.add("sun")
    stranger = plant.client(accept="text/html")
    for _ in range(8):
        stranger.post("/log-in", data={"login": "sun", "password": "wrong"})

    pages = [
        stranger.get("/", headers={"host": "evil.example"}),
        stranger.post("/log-in", data={"login": "sun", "password": "wrong"}),
        stranger.get("/log-in"),
    ]

    assert [page.status_code for page in pages] == [403, 429, 200]
    assert not any(plant.workspace.root.name in page.text for page in pages)


def test_a_live_stream_ends_with_its_session(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.add("sun")
    client = plant.client("sun")
    headers = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    desk = plant.app.state.accounts

    assert desk.still(headers, "GET /api/v1/live")
    client.post("/api/v1/log-out")
    assert not desk.still(headers, "GET /api/v1/live")

    monkeypatch.setattr(_live, "_ASKED_EVERY", 0.0)

    async def events() -> list[str]:
        streams = _live.Streams(plant.app.state.live)
        return [event async for event in await streams.begin(None, None, lambda: desk.still(headers, "GET /api/v1/live"))]

    assert asyncio.run(asyncio.wait_for(events(), 20)) == []
