"""Logging in through a provider: who is vouched for comes in with the role of their groups, and nothing else opens the door."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from madang.api import make_app
from madang.api._accounts import COOKIE as SESSION
from madang.api._oidc_fetch import check_address
from madang.api._oidc_routes import COOKIE
from madang.errors import InputError, MadangError, MissingError, RefusedError
from madang.workspace import Workspace
from madang.workspace._oidc import keep_client_secret, read_oidc
from tests.console.conftest import HOSTS, TestClient

pytest.importorskip("joserfc")

from joserfc.jwk import OctKey, RSAKey

from tests.api.oidc_provider import CLIENT, SECRET, OwnProvider

LOGIN = "oidc:4711@127.0.0.1:{port}/realms/plant"


@pytest.fixture(scope="module")
def running() -> Iterator[OwnProvider]:
    made = OwnProvider()
    yield made
    made.close()


@pytest.fixture
def provider(running: OwnProvider) -> OwnProvider:
    """The provider, well-behaved again."""
    running.person = {"sub": "4711", "name": "김 반장", "groups": ["plant-engineers", "canteen"]}
    running.published, running.claims, running.answer_more = {}, {}, {}
    running.forge = running.redirect_discovery = None
    running.secret = SECRET
    for kept in (running.codes, running.asked, running.forms, running.tokens):
        kept.clear()
    if running.algorithm != "RS256":
        running.rotate()
    return running


class Plant:
    """A workspace that names the provider, and browsers at it."""

    def __init__(self, root: Path, provider: OwnProvider, more: str = "", roles: str = "") -> None:
        self.provider = provider
        self.workspace = Workspace.open(root)
        file = root / "workspace.toml"
        roles = roles or '[oidc.roles]\nplant-engineers = "engineer"\noffice = "viewer"\n'
        secret = more if "client_secret" in more else f'client_secret = "file:{root}/.secret"\n{more}'
        (root / ".secret").write_text(SECRET + "\n", encoding="utf-8")
        head = f'[oidc]\nissuer = "{provider.issuer}"\nclient_id = "{CLIENT}"\n{secret}\n'
        file.write_text(f"{file.read_text(encoding='utf-8')}\n{head}\n{roles}", encoding="utf-8")
        self.people = self.workspace.library.people

    def app(self) -> FastAPI:
        return make_app(self.workspace, hosts=HOSTS)

    def browser(self, app: FastAPI | None = None) -> TestClient:
        headers = {"accept": "text/html", "accept-language": "en"}
        return TestClient(app or self.app(), raise_server_exceptions=False, headers=headers, follow_redirects=False)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, running: OwnProvider) -> Iterator[tuple[Plant, FastAPI]]:
    """One server for all the proofs that are only looked at."""
    made = Plant(tmp_path_factory.mktemp("gate"), running)
    yield made, made.app()
    made.workspace.close()


@pytest.fixture
def door(gate: tuple[Plant, FastAPI], provider: OwnProvider) -> TestClient:
    """A fresh browser at that server."""
    plant, app = gate
    return plant.browser(app)


@pytest.fixture
def plant(tmp_path: Path, provider: OwnProvider) -> Iterator[Plant]:
    made = Plant(tmp_path / "공장", provider)
    yield made
    made.workspace.close()


def _leave(browser: TestClient, target: str = "/trends?x=1") -> str:
    """Go to the provider and log in there; return where it sends the browser back to."""
    answer = browser.get("/log-in/oidc", params={"next": target})
    assert answer.status_code == 303, answer.text
    sent = httpx.get(answer.headers["location"], follow_redirects=False, trust_env=False)
    assert sent.status_code == 302
    return str(sent.headers["location"])


def _code(answer: httpx.Response) -> str:
    assert answer.status_code >= 400, answer.text
    assert SESSION not in answer.headers.get("set-cookie", "")
    return str(answer.json()["code"])


def _fails(browser: TestClient, address: str | None = None) -> str:
    """Come back from the provider; return the word for why nobody was let in."""
    return _code(browser.get(address or _leave(browser), headers={"accept": "application/json"}))


def _in(browser: TestClient) -> dict[str, Any]:
    answer = browser.get(_leave(browser))
    assert answer.status_code == 200, answer.text
    who: dict[str, Any] = browser.get("/api/v1/me").json()
    return who


def test_who_is_vouched_for_comes_in_with_the_role_of_the_groups(plant: Plant, provider: OwnProvider) -> None:
    browser = plant.browser()
    assert browser.get("/trends").headers["location"].startswith("/log-in")
    page = browser.get("/log-in?next=/trends")
    assert "/log-in/oidc?next=/trends" in page.text
    assert f"Log in with {urlsplit(provider.issuer).netloc}" in page.text
    answer = browser.get(_leave(browser))
    assert answer.status_code == 200
    # The session's cookie is SameSite=Strict: a page of this site goes on, no redirect that another site began.
    assert 'content="0;url=/trends?x=1"' in answer.text
    login = LOGIN.format(port=urlsplit(provider.issuer).port)
    assert browser.get("/api/v1/me").json() == {"open": False, "login": login, "name": "김 반장", "role": "engineer"}
    assert browser.get("/trends").status_code == 200
    [account] = plant.people.accounts()
    assert (account["login"], account["party"], account["role"]) == (login, login, "engineer")


def test_the_cookie_of_a_log_in_is_for_this_browser_and_this_way_only(plant: Plant) -> None:
    answer = plant.browser().get("/log-in/oidc")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/log-in/oidc", "Max-Age=600"} <= set(cookie.split("; "))
    asked = {name: value[0] for name, value in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    # What is secret in it can be read by nobody who has the cookie.
    assert asked["nonce"] not in cookie
    assert asked["nonce"].encode() not in base64.urlsafe_b64decode(cookie.split("=", 1)[1].split(";")[0] + "===")


def test_over_https_the_cookie_and_the_way_back_are_for_https(plant: Plant) -> None:
    browser = TestClient(plant.app(), base_url="https://testserver", follow_redirects=False)
    answer = browser.get("/log-in/oidc")
    assert "Secure" in answer.headers["set-cookie"].split("; ")
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["redirect_uri"] == ["https://testserver/log-in/oidc/back"]


def test_too_many_log_ins_at_once_are_asked_to_wait(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.api._oidc_routes._WAITING", 0)
    answer = plant.browser().get("/log-in/oidc", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")


def test_roles_and_names_are_renewed_at_each_log_in_and_sessions_follow(plant: Plant, provider: OwnProvider) -> None:
    first = plant.browser()
    assert _in(first)["role"] == "engineer"
    provider.person |= {"groups": ["office"], "name": "김 과장"}
    again = _in(plant.browser())
    assert (again["role"], again["name"]) == ("viewer", "김 과장")
    assert first.get("/api/v1/me").json()["role"] == "viewer"
    assert len(plant.people.accounts()) == 1


def test_a_person_without_a_mapped_group_is_not_let_in(plant: Plant, provider: OwnProvider) -> None:
    provider.person["groups"] = ["canteen"]
    assert _fails(plant.browser()) == "no_role"
    assert plant.people.accounts() == []


def test_who_loses_the_last_group_loses_the_sessions_too(plant: Plant, provider: OwnProvider) -> None:
    browser = plant.browser()
    assert _in(browser)["role"] == "engineer"
    provider.person["groups"] = None
    assert _fails(plant.browser()) == "no_role"
    assert browser.get("/api/v1/me").json()["login"] is None


def test_a_default_role_lets_everybody_of_the_provider_in(tmp_path: Path, provider: OwnProvider) -> None:
    plant = Plant(tmp_path / "w", provider, 'default_role = "viewer"\nroles_claim = "realm.roles"\nname_claim = "nick"')
    provider.person = {"sub": "9", "nick": "Lee", "name": "x", "realm": {"roles": ["canteen"]}}
    assert (who := _in(plant.browser()))["role"] == "viewer"
    assert who["name"] == "Lee"
    provider.person["realm"] = {"roles": ["office", "plant-engineers"]}
    assert _in(plant.browser())["role"] == "engineer"
    plant.workspace.close()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "Ed25519"])
def test_each_allowed_signature_is_believed(door: TestClient, provider: OwnProvider, algorithm: str) -> None:
    provider.rotate(algorithm)
    assert _in(door)["role"] == "engineer"


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"nonce": "another"}, "token_nonce"),
        ({"nonce": None}, "token_nonce"),
        ({"aud": "somebody-else"}, "token_audience"),
        ({"aud": None}, "token_audience"),
        ({"aud": [CLIENT, "somebody-else"]}, "token_audience"),
        ({"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"}, "token_audience"),
        ({"azp": "somebody-else"}, "token_audience"),
        ({"iss": "https://elsewhere.example"}, "token_issuer"),
        ({"iss": None}, "token_issuer"),
        ({"exp": int(time.time()) - 3600}, "token_expired"),
        ({"exp": None}, "token_expired"),
        ({"exp": True}, "token_expired"),
        ({"exp": "tomorrow"}, "token_expired"),
        ({"iat": None}, "token_expired"),
        ({"iat": int(time.time()) + 7200}, "token_early"),
        ({"nbf": int(time.time()) + 7200}, "token_early"),
        ({"sub": None}, "token_subject"),
        ({"sub": ""}, "token_subject"),
        ({"sub": "4711\n"}, "token_subject"),
        ({"sub": "x" * 256}, "token_subject"),
        ({"sub": 4711}, "token_subject"),
    ],
)
def test_a_token_that_does_not_fit_lets_nobody_in(
    door: TestClient, provider: OwnProvider, claims: dict[str, Any], word: str
) -> None:
    provider.claims = claims
    assert _fails(door) == word
    assert door.get("/api/v1/me").json()["login"] is None


@pytest.mark.parametrize("late", [-50, 50])
def test_clocks_may_differ_by_a_minute(door: TestClient, provider: OwnProvider, late: int) -> None:
    now = int(time.time())
    provider.claims = {"iat": now + late, "exp": now + 3} if late > 0 else {"iat": now - 300, "exp": now + late}
    assert _in(door)["role"] == "engineer"


def test_a_token_for_several_that_names_this_server_is_believed(door: TestClient, provider: OwnProvider) -> None:
    provider.claims = {"aud": ["account", CLIENT], "azp": CLIENT}
    assert _in(door)["role"] == "engineer"


def _json_letters(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_not_believed(door: TestClient, provider: OwnProvider, name: str) -> None:
    provider.forge = lambda claims: f"{_json_letters({'alg': name, 'kid': provider.keys[0].kid})}.{_json_letters(claims)}."
    assert _fails(door) == "token_algorithm"


def test_the_public_key_is_no_shared_secret(door: TestClient, provider: OwnProvider) -> None:
    key = provider.keys[0]
    assert isinstance(key, RSAKey)
    public = key.as_pem(private=False)

    def forge(claims: dict[str, Any]) -> str:
        parts = f"{_json_letters({'alg': 'HS256', 'kid': provider.keys[0].kid})}.{_json_letters(claims)}"
        made = hmac.new(public, parts.encode(), hashlib.sha256).digest()
        return f"{parts}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"

    provider.forge = forge
    assert _fails(door) == "token_algorithm"
    provider.forge = lambda claims: provider.sign(claims, OctKey.import_key(SECRET.ljust(32)), alg="HS256")
    assert _fails(door) == "token_algorithm"


def test_another_key_under_the_name_of_the_right_one_is_not_believed(door: TestClient, provider: OwnProvider) -> None:
    other = RSAKey.generate_key(2048, private=True)
    provider.forge = lambda claims: provider.sign(claims, other)
    assert _fails(door) == "token_signature"
    # Nor one that the token brings along itself.
    provider.forge = lambda claims: provider.sign(claims, other, jwk=other.as_dict(private=False))
    assert _fails(door) == "token_signature"
    provider.forge = lambda claims: provider.sign(claims, other, kid="its-own", jwk=other.as_dict(private=False))
    assert _fails(door) == "token_key"


def test_a_changed_claim_breaks_the_signature(door: TestClient, provider: OwnProvider) -> None:
    def forge(claims: dict[str, Any]) -> str:
        head, _, signature = provider.sign(claims).split(".")
        return f"{head}.{_json_letters(claims | {'sub': 'the-steward'})}.{signature}"

    provider.forge = forge
    assert _fails(door) == "token_signature"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "....", "e30.e30.e30", "\N{SNOWMAN}.x.y", "x" * 200_000])
def test_what_is_no_token_is_refused_in_words(door: TestClient, provider: OwnProvider, token: str) -> None:
    provider.forge = lambda _: token
    assert _fails(door) in ("token_signature", "token_algorithm")


def test_a_new_key_is_fetched_once_and_then_known(plant: Plant, provider: OwnProvider) -> None:
    app = plant.app()
    assert _in(plant.browser(app))["role"] == "engineer"
    assert _in(plant.browser(app))["role"] == "engineer"
    assert provider.asked.count("keys") == 1
    assert provider.asked.count("openid-configuration") == 1
    provider.rotate()
    assert _in(plant.browser(app))["role"] == "engineer"
    assert provider.asked.count("keys") == 2
    provider.forge = lambda claims: provider.sign(claims, kid="nobody-knows")
    assert _fails(plant.browser(app)) == "token_key"
    assert provider.asked.count("keys") == 3


def test_an_answer_with_another_state_or_to_another_browser_is_refused(plant: Plant, provider: OwnProvider) -> None:
    app = plant.app()
    browser, other = plant.browser(app), plant.browser(app)
    address = _leave(browser)
    assert _fails(other, address) == "log_in_not_begun"
    _leave(other)
    assert _fails(other, address) == "log_in_not_begun"
    place = urlsplit(address)
    query = {name: value[0] for name, value in parse_qs(place.query).items()}
    for wrong in ({"state": "x"}, {"state": ""}):
        answer = browser.get(place.path, params=query | wrong, headers={"accept": "application/json"})
        assert _code(answer) == "log_in_not_begun"
    twice = f"{address}&state={query['state']}"
    assert _fails(browser, twice) == "log_in_not_begun"
    browser.cookies.set(COOKIE, "AAAA", path="/log-in/oidc")
    assert _fails(browser, address) == "log_in_not_begun"
    assert "token" not in provider.asked


def test_an_answer_works_once(plant: Plant, provider: OwnProvider) -> None:
    browser = plant.browser()
    address = _leave(browser)
    kept = browser.cookies.get(COOKIE)
    assert browser.get(address).status_code == 200
    assert provider.asked.count("token") == 1
    browser.cookies.set(COOKIE, str(kept), path="/log-in/oidc")
    assert _fails(browser, address) == "log_in_not_begun"
    assert provider.asked.count("token") == 1


def test_a_code_that_was_used_before_is_refused_by_the_provider_in_words(plant: Plant, provider: OwnProvider) -> None:
    app = plant.app()
    victim, thief = plant.browser(app), plant.browser(app)
    code = parse_qs(urlsplit(_leave(victim)).query)["code"][0]
    own = urlsplit(_leave(thief))
    query = {name: value[0] for name, value in parse_qs(own.query).items()} | {"code": code}
    # A stolen code is worth nothing without the verifier of the browser that began.
    answer = thief.get(own.path, params=query, headers={"accept": "application/json"})
    assert _code(answer) == "provider_refused"


def test_a_log_in_has_to_be_finished_in_ten_minutes(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.api._oidc.BEGUN", -1)
    assert _fails(plant.browser()) == "log_in_not_begun"


def test_another_providers_answer_is_refused(plant: Plant, provider: OwnProvider) -> None:
    provider.answer_more = {"iss": "https://elsewhere.example"}
    assert _fails(plant.browser()) == "answer_issuer"
    assert "token" not in provider.asked


def test_a_provider_that_says_no_is_told_in_words(plant: Plant, provider: OwnProvider) -> None:
    provider.answer_more = {"error": "access_denied", "error_description": "<script>alert(1)</script>"}
    browser = plant.browser()
    answer = browser.get(_leave(browser))
    assert answer.status_code == 403
    assert "access_denied" in answer.text
    assert "alert(1)" not in answer.text
    provider.answer_more = {"error": "<script>alert(1)</script>"}
    assert "alert(1)" not in browser.get(_leave(browser)).text


def test_a_wrong_secret_is_told_in_words(plant: Plant, provider: OwnProvider) -> None:
    provider.secret = "changed since"
    assert _fails(plant.browser()) == "provider_refused"


def test_the_secret_goes_the_way_the_provider_asks_for(plant: Plant, provider: OwnProvider) -> None:
    provider.published = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert _in(plant.browser())["role"] == "engineer"
    assert provider.forms[-1]["client_secret"] == SECRET


def test_afterwards_nobody_is_sent_to_another_site(door: TestClient, provider: OwnProvider) -> None:
    for target in ("https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "/\t/elsewhere.example", "x"):
        answer = door.get(_leave(door, target))
        assert 'content="0;url=/"' in answer.text, target
    assert "<script" not in door.get(_leave(door, '/"><script>')).text


@pytest.mark.parametrize("place", ["https://elsewhere.example/", "http://localhost:9/", "file:///etc/passwd"])
def test_a_redirect_to_another_host_is_not_followed(plant: Plant, provider: OwnProvider, place: str) -> None:
    provider.redirect_discovery = place
    assert _code(plant.browser().get("/log-in/oidc", headers={"accept": "application/json"})) in (
        "provider_redirects", "provider_unreachable",
    )  # fmt: skip


def test_a_redirect_within_the_host_is_followed(plant: Plant, provider: OwnProvider) -> None:
    provider.redirect_discovery = f"{provider.issuer}/.well-known/openid-configuration?again"
    assert _in(plant.browser())["role"] == "engineer"


def test_a_provider_that_calls_itself_otherwise_is_refused(plant: Plant, provider: OwnProvider) -> None:
    provider.published = {"issuer": provider.issuer + "/"}
    assert _code(plant.browser().get("/log-in/oidc", headers={"accept": "application/json"})) == "provider_issuer"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("authorization_endpoint", "http://elsewhere.example/x"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("authorization_endpoint", None),
        ("token_endpoint", "http://elsewhere.example/x"),
        ("token_endpoint", 7),
        ("jwks_uri", "file:///etc/passwd"),
        ("jwks_uri", ""),
    ],
)
def test_an_endpoint_that_is_not_https_is_not_spoken_to(
    plant: Plant, provider: OwnProvider, name: str, address: object
) -> None:
    provider.published = {name: address}
    browser = plant.browser()
    if name == "authorization_endpoint":
        answer = browser.get("/log-in/oidc", headers={"accept": "application/json"})
        assert _code(answer) == "provider_not_safe"
    else:
        assert _fails(browser) == "provider_not_safe"


def test_plain_http_is_for_a_provider_on_this_machine_only() -> None:
    assert check_address("http://127.0.0.1:8080/x", local=True)
    assert check_address("https://id.example.com/x", local=False)
    for address, local in (("http://127.0.0.1/x", False), ("http://id.example.com", True), ("https://a@b.example", False)):
        with pytest.raises(RefusedError):
            check_address(address, local=local)


def test_an_answer_without_end_is_not_read(plant: Plant, provider: OwnProvider) -> None:
    provider.published = {"filler": "x" * (2 << 20)}
    assert _code(plant.browser().get("/log-in/oidc", headers={"accept": "application/json"})) == "provider_unreachable"


def test_a_provider_that_is_away_is_told_in_words_and_local_accounts_still_come_in(tmp_path: Path) -> None:
    gone = OwnProvider()
    gone.close()
    plant = Plant(tmp_path / "w", gone)
    browser = plant.browser()
    answer = browser.get("/log-in/oidc")
    assert answer.status_code == 503
    assert "cannot be talked to" in answer.text
    plant.people.add_party("kim", "Kim")
    plant.people.give_role("kim", "steward")
    plant.people.add_account("kim", "kim", "a long enough password")
    assert browser.post("/api/v1/log-in", json={"login": "kim", "password": "a long enough password"}).status_code == 200
    plant.workspace.close()


def test_logging_out_ends_the_session_here(plant: Plant) -> None:
    browser = plant.browser()
    _in(browser)
    token = str(browser.cookies.get(SESSION))
    assert browser.post("/log-out").status_code == 303
    browser.cookies.set(SESSION, token)
    assert browser.get("/api/v1/me").json()["login"] is None


def test_nothing_secret_is_logged_or_shown(plant: Plant, provider: OwnProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider.claims = {"aud": "somebody-else"}
    browser = plant.browser()
    address = _leave(browser)
    shown = browser.get(address).text
    query = parse_qs(urlsplit(address).query)
    verifier = provider.forms[-1]["code_verifier"]
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("madang"))
    assert "token_audience" in own
    for secret in (SECRET, verifier, query["code"][0], query["state"][0], *provider.tokens[-1].split(".")):
        assert secret not in own
        assert secret not in shown


def test_a_provider_closes_the_workspace_before_the_first_account(plant: Plant) -> None:
    browser = plant.browser()
    assert browser.get("/api/v1/me").json()["open"] is False
    assert browser.get("/api/v1/connections", headers={"accept": "application/json"}).status_code == 401


def test_no_password_opens_an_account_of_the_provider(plant: Plant, provider: OwnProvider) -> None:
    browser = plant.browser()
    login = _in(browser)["login"]
    for password in ("$outside", "", "a long enough password"):
        with pytest.raises(RefusedError):
            plant.people.log_in(login, password)
    with pytest.raises(InputError, match="log-in provider"):
        plant.people.set_password(login, "a long enough password")


def test_no_local_account_can_be_made_that_a_provider_would_open(plant: Plant) -> None:
    plant.people.add_party("kim", "Kim")
    with pytest.raises(InputError, match="log-in provider"):
        plant.people.add_account("kim", "oidc:4711@id.example.com", "a long enough password")
    plant.people.add_account("kim", "kim", "a long enough password")
    with pytest.raises(RefusedError):
        plant.people.enter("kim", "Kim", "steward", valid=timedelta(hours=1))


def test_without_a_provider_the_page_has_no_button_and_the_way_leads_nowhere(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as workspace:
        browser = TestClient(make_app(workspace, hosts=HOSTS), headers={"accept": "text/html"}, follow_redirects=False)
        assert "/log-in/oidc" not in browser.get("/log-in").text
        for path in ("/log-in/oidc", "/log-in/oidc/back?code=x&state=y"):
            assert browser.get(path).status_code == 404


def test_a_missing_library_is_told_with_the_line_to_type(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "joserfc" else real(name, *more))
    with pytest.raises(MissingError) as error:
        plant.app()
    assert error.value.next_en == "pip install 'madang[oidc]'"


def test_the_secret_is_kept_encrypted_or_looked_up_and_never_written_plainly(
    tmp_path: Path, provider: OwnProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADANG_SECRET_KEY", "11" * 32)
    kept = Plant(tmp_path / "kept", provider, 'client_secret = "secret:oidc"')
    with pytest.raises(InputError, match="oidc"):
        kept.app()
    keep_client_secret(kept.workspace.secrets, SECRET)
    kept.workspace.secrets.forget("oidc")
    assert _in(kept.browser())["role"] == "engineer"
    assert SECRET.encode() not in (tmp_path / "kept" / "keys" / "secrets.bin").read_bytes()
    kept.workspace.close()
    for bad in ("", "env:X", "file:x"):
        with pytest.raises(InputError):
            keep_client_secret(kept.workspace.secrets, bad)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('issuer = "http://id.example.com"\nclient_id = "m"\ndefault_role = "viewer"', "oidc.issuer"),
        ('issuer = "https://a@id.example.com"\nclient_id = "m"\ndefault_role = "viewer"', "oidc.issuer"),
        ('issuer = "https://id.example.com/?x"\nclient_id = "m"\ndefault_role = "viewer"', "oidc.issuer"),
        ('issuer = "https://id.example.com"\ndefault_role = "viewer"', "oidc.client_id"),
        ('issuer = "https://id.example.com"\nclient_id = "m"', "nobody could come in"),
        ('issuer = "https://id.example.com"\nclient_id = "m"\ndefault_role = "king"', "oidc.default_role"),
        ('issuer = "https://id.example.com"\nclient_id = "m"\nroles = {a = "king"}', "oidc.roles"),
        (
            'issuer = "https://id.example.com"\nclient_id = "m"\ndefault_role = "viewer"\nclient_secret = "hush"',
            "client_secret",
        ),
        ('issuer = "https://id.example.com"\nclient_id = "m"\ndefault_role = "viewer"\nscopes = ["x"]', "oidc.scopes"),
        ('issuer = "https://id.example.com"\nclient_id = "m"\ndefault_role = "viewer"\nsecret = "hush"', "secret is unknown"),
        ("client_id = 7", "oidc.client_id"),
    ],
)
def test_settings_that_do_not_fit_are_told_and_a_secret_in_them_is_not(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "workspace.toml").write_text(f"format = 1\n[oidc]\n{table}\n", encoding="utf-8")
    with pytest.raises(MadangError, match=said) as error:
        read_oidc(tmp_path)
    assert "hush" not in str(error.value)
