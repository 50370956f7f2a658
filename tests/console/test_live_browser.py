"""Journeys over live lines with a real Chromium: from the wizard to a moving trend, and what is seen when something breaks off."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher

from madang.library import _people
from madang.workspace import Workspace
from tests.console.test_browser import Server
from tests.console.test_browser import chromium as chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

PASSWORD = "a long enough password"
HOSTILE = "<script>window.hit=1</script>온도"
_PLOTS = """
let made;
Object.defineProperty(window, "uPlot", { configurable: true, get: () => made, set(found) {
  made = new Proxy(found, { construct(target, given) { const plot = new target(...given); (window.plots ??= []).push(plot); return plot; } });
} });
"""
_UNNAMED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href]")].filter((one) =>
  one.offsetParent !== null && !(one.getAttribute("aria-label") || one.labels?.length || one.textContent.trim() || one.title)).map((one) => one.outerHTML)"""
_TWICE = """() => { const ids = [...document.querySelectorAll("[id]")].map((one) => one.id); return ids.filter((id, i) => ids.indexOf(id) !== i); }"""


class Plant:
    """A real workspace whose connections run in a server on a free port; samples are pushed to it as a program would."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.open(root)
        self.server = Server(self.workspace, connect=True)
        self.token = ""

    def ask(self, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401
        body = None if document is None else json.dumps(document).encode()
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.server.url}/api/v1{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def line(self, name: str = "kiln", tags: tuple[str, ...] = ("temperature",), seconds: int = 120) -> None:
        """A running connection that has brought one sample a second up to now."""
        self.ask("POST", "/connections", {"name": name, "kind": "http", "wanted": "running"})
        _until(lambda: self.ask("GET", f"/connections/{quote(name)}")["state"] == "connected")
        now = datetime.now(tz=UTC)
        self.push(name, [(tag, now - timedelta(seconds=s), 700.0 + s % 7) for s in range(seconds, 0, -1) for tag in tags])
        _until(lambda: self.ask("GET", f"/connections/{quote(name)}")["committed"] >= seconds * len(tags))

    def push(self, name: str, samples: list[tuple[str, datetime, float]]) -> None:
        body = [{"tag": tag, "time": at.isoformat(), "value": value} for tag, at, value in samples]
        self.ask("POST", f"/push/{quote(name)}", body)

    def now(self, value: float, name: str = "kiln", tag: str = "temperature") -> None:
        self.push(name, [(tag, datetime.now(tz=UTC), value)])


def _until(true: Any, seconds: float = 20.0) -> None:  # noqa: ANN401 (a call)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A plant whose server runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Plant(tmp_path / "공장")
    with made.workspace, made.server:
        yield made


@pytest.fixture
def opened(chromium: Browser, plant: Plant) -> Iterator[BrowserContext]:
    """A browser window that remembers which charts were drawn."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=plant.server.url)
    context.set_default_timeout(20_000)
    context.add_init_script(_PLOTS)
    yield context
    context.close()


@pytest.fixture
def page(opened: BrowserContext, plant: Plant) -> Iterator[Page]:
    """A page that asks for nothing from outside and has nothing to complain about."""
    made = opened.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    made.on("request", lambda request: asked.append(request.url))
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield made
    made.close()
    assert [url for url in asked if not url.startswith((plant.server.url, "data:"))] == []
    assert wrong == []


def _value(page: Page, lane: int = 0) -> str:
    return page.locator(".trend-lane .now .value").nth(lane).inner_text()


@pytest.mark.parametrize(
    ("lang", "new", "well"),
    [
        ("ko", "소성로1호기 연결은 아직 시작하지 않았어요.", "모든 단계에서 답이 와요."),
        ("en", "소성로1호기 has not been started yet.", "Every step answers."),
    ],
)
def test_from_the_wizard_to_a_trend_that_moves(page: Page, plant: Plant, lang: str, new: str, well: str) -> None:
    name = "소성로1호기"
    page.goto(f"/connections?lang={lang}")
    page.locator("a[href='/connections/new']").first.click()
    page.click("a[href*='kind=http']")
    page.fill("#name", name)
    page.click("form.about > button.main")
    page.wait_for_selector(f"h1:text-is('{new}')")
    page.wait_for_selector("#steps li")
    page.click("form[action$='/start'] button")
    _until(lambda: plant.ask("GET", f"/connections/{quote(name)}")["state"] == "connected")
    plant.now(701.25, name, "1존 온도")
    _until(lambda: plant.ask("GET", f"/connections/{quote(name)}")["committed"] >= 1)
    page.goto(f"/connections/{quote(name)}")
    page.click("a.btn[href^='/trends']")
    page.wait_for_selector(".trend-lane canvas")
    page.wait_for_function("() => document.querySelector('.now .value').textContent.startsWith('701.25')")
    plant.now(702.5, name, "1존 온도")
    page.wait_for_function("() => document.querySelector('.now .value').textContent.startsWith('702.5')")


def test_a_connection_is_made_by_keyboard_alone(page: Page) -> None:
    page.goto("/?lang=en")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/connections")
    page.locator(".head a[href='/connections/new']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/connections/new")
    page.locator("a[href*='kind=http']").focus()
    page.keyboard.press("Enter")
    page.locator("#name").focus()
    page.keyboard.type("kiln 2")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:text-is('kiln 2 has not been started yet.')")


def test_what_was_typed_stays_when_it_is_refused_but_secrets_do_not(opened: BrowserContext) -> None:
    page = opened.new_page()
    page.goto("/connections/new?kind=opcua&lang=en")
    page.fill("#name", "kiln")
    page.fill("#url", "http://nonsense")
    page.fill("#secret-password", "s3cret-word")
    page.click("form.about > button.main")
    page.wait_for_selector("[role=alert]")
    assert page.input_value("#name") == "kiln"
    assert page.input_value("#url") == "http://nonsense"
    assert page.input_value("#secret-password") == ""
    assert "s3cret-word" not in page.content()


def test_a_zoom_stands_in_the_address_and_back_undoes_it(page: Page, plant: Plant) -> None:
    plant.line(tags=("temperature", "pressure"))
    page.goto("/trends?dataset=kiln&point=temperature&point=pressure&lang=en")
    page.wait_for_selector(".trend-lane canvas")
    page.wait_for_function("() => location.search.includes('from=')")
    before = page.url
    page.click("[data-zoom=in]")
    page.wait_for_function("(url) => location.href !== url", arg=before)
    zoomed = page.url
    assert page.locator("form.picker input[name=from]").input_value() == page.input_value("#from")
    page.reload()
    page.wait_for_selector(".trend-lane canvas")
    assert page.url == zoomed
    page.click("a[hreflang=ko]")
    page.wait_for_selector("html[lang=ko] .trend-lane canvas")
    assert page.locator(".trend-lane").count() == 2
    page.go_back()
    page.go_back()
    page.wait_for_function("(url) => location.href === url", arg=before)
    page.wait_for_selector(".trend-lane canvas")


def test_dragging_over_a_stretch_looks_into_it(page: Page, plant: Plant) -> None:
    plant.line()
    page.goto("/trends?dataset=kiln&point=temperature&span=120&lang=en")
    page.wait_for_selector(".trend-lane canvas")
    page.wait_for_function("() => location.search.includes('from=')")
    before = page.input_value("#from")
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_function("(was) => document.getElementById('from').value > was", arg=before)
    assert page.locator("#live").get_attribute("aria-pressed") == "false"


def test_zooming_for_ever_stays_within_what_has_instants(page: Page, plant: Plant) -> None:
    plant.line(seconds=5)
    page.goto("/trends?dataset=kiln&point=temperature&lang=en")
    page.wait_for_selector(".trend-lane canvas")
    for _ in range(24):
        page.click("[data-zoom=out]")
        page.wait_for_function("() => !document.getElementById('lanes').hasAttribute('aria-busy')")
    assert page.input_value("#from") >= "1970-01-01"
    assert page.locator("#trend-note").is_hidden()
    page.goto("/trends?dataset=kiln&point=temperature&from=0001-01-01T00:00:00&to=9999-12-31T23:59:59")
    page.wait_for_selector(".trend-lane canvas")


def test_thirty_live_updates_do_not_grow_without_bound(page: Page, plant: Plant) -> None:
    plant.line(seconds=4)
    page.goto("/trends?dataset=kiln&point=temperature&live=1&span=10&lang=en")
    page.wait_for_selector(".trend-lane canvas")
    for i in range(30):
        plant.now(800.0 + i)
        page.wait_for_function(f"() => document.querySelector('.now .value').textContent.startsWith('{800 + i}')")
    page.wait_for_function("() => window.plots[0].data[0].length > 0")
    start = page.evaluate("window.plots[0].scales.x.min")
    assert page.evaluate("window.plots.length") == 1
    assert page.evaluate("(from) => window.plots[0].data[0].filter((at) => at < from).length", start) <= 1
    assert page.evaluate("window.plots[0].data[0].length") <= 45


def test_a_server_that_is_gone_is_said_and_nothing_looks_fresh(opened: BrowserContext, plant: Plant) -> None:
    plant.line(seconds=5)
    trends, home = opened.new_page(), opened.new_page()
    trends.goto("/trends?dataset=kiln&point=temperature&live=1&lang=en")
    trends.wait_for_function("() => document.querySelector('.now .value').textContent !== '–'")
    home.goto("/?lang=en")
    home.wait_for_selector("#rows table")
    plant.server._server.force_exit = True
    plant.server.__exit__()
    trends.bring_to_front()
    trends.wait_for_selector("#cut:not([hidden]) >> text=does not tell any more")
    trends.wait_for_selector(".now.stale")
    home.bring_to_front()
    home.wait_for_selector("#offline:not([hidden])")
    home.wait_for_selector("#rows.old")


def test_a_pause_is_a_gap_that_is_seen_and_breaks_the_line(page: Page, plant: Plant) -> None:
    plant.line(seconds=5)
    plant.ask("POST", "/connections/kiln/pause")
    _until(lambda: plant.ask("GET", "/gaps?open=true")["open"] == 1)
    page.goto("/gaps?lang=en")
    assert page.inner_text("h1") == "1 gap is open now; 1 in all."
    page.goto("/trends?dataset=kiln&point=temperature&live=1&lang=en")
    page.wait_for_selector("#gap-list:not([hidden]) li")
    page.wait_for_selector(".now.stale")


def test_names_from_a_machine_are_never_taken_for_a_page(page: Page, plant: Plant) -> None:
    plant.line(tags=(HOSTILE,), seconds=5)
    point = plant.ask("GET", "/signals/kiln/points")["points"][0]["point"]
    for path in (
        f"/trends?dataset=kiln&point={quote(point)}&live=1",
        "/",
        "/library/kiln",
        "/mapping?show=all",
        "/connections/kiln?tab=tags",
        "/gaps",
    ):
        page.goto(path)
        page.wait_for_load_state("load")
    page.goto(f"/trends?dataset=kiln&point={quote(point)}&live=1")
    page.wait_for_selector(".trend-lane canvas")
    assert HOSTILE in page.inner_text(".trend-lane h2")
    assert page.evaluate("window.hit") is None


def _account(plant: Plant, login: str, role: Any) -> None:  # noqa: ANN401 (a role)
    people = plant.workspace.library.people
    people.add_party(login, login)
    people.give_role(login, role)
    people.add_account(login, login, PASSWORD)


def _log_in(page: Page, login: str) -> None:
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("form.about button.main")


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are quick to check."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(_people, "_hasher", lambda: quick)
    _people._nobody.cache_clear()


@pytest.mark.usefixtures("quick_passwords")
def test_a_viewer_sees_lines_but_no_button_that_would_be_refused(page: Page, plant: Plant) -> None:
    plant.line(seconds=5)
    _account(plant, "봄이", "viewer")
    page.goto("/trends?dataset=kiln&point=temperature&lang=en")
    page.wait_for_url("**/log-in?next=*")
    assert "공장" not in page.content()
    _log_in(page, "봄이")
    page.wait_for_url("**/trends?dataset=kiln&point=temperature*")
    page.wait_for_selector(".trend-lane canvas")
    assert page.locator("details.condition").count() == 0
    page.goto("/connections")
    assert page.locator("a[href='/connections/new']").count() == 0
    page.goto("/connections/kiln?tab=settings")
    assert page.locator("main form").count() == 0


@pytest.mark.usefixtures("quick_passwords")
def test_a_session_that_ends_leads_to_the_log_in_page_and_not_into_the_table(opened: BrowserContext, plant: Plant) -> None:
    plant.line(seconds=5)
    _account(plant, "sun", "steward")
    page, trends = opened.new_page(), opened.new_page()
    page.goto("/connections?lang=en")
    _log_in(page, "sun")
    page.wait_for_selector("#rows table")
    trends.goto("/trends?dataset=kiln&point=temperature&live=1")
    trends.wait_for_selector(".trend-lane canvas")
    plant.workspace.library.people.set_password("sun", PASSWORD + "!")
    page.bring_to_front()
    page.wait_for_url("**/log-in?next=%2Fconnections*")
    trends.bring_to_front()
    trends.wait_for_url("**/log-in?next=*")


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_every_live_page_fits_and_names_its_controls(page: Page, plant: Plant, width: int) -> None:
    plant.line(tags=("temperature", "pressure"), seconds=5)
    page.set_viewport_size({"width": width, "height": 900})
    for lang in ("ko", "en"):
        for path in (
            "/", "/connections", "/connections/new", "/connections/new?kind=mqtt", "/connections/kiln", "/connections/kiln?tab=test",
            "/connections/kiln?tab=tags", "/connections/kiln?tab=gaps", "/connections/kiln?tab=settings", "/gaps", "/trends", "/log-in",
            "/trends?dataset=kiln&point=temperature&point=pressure&live=1",
        ):  # fmt: skip
            page.goto(path + ("&" if "?" in path else "?") + f"lang={lang}")
            page.wait_for_load_state("load")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} {lang} at {width}: {wide} px too wide"
            assert page.evaluate(_UNNAMED) == [], path
            assert page.evaluate(_TWICE) == [], path
            assert page.locator("h1").count() == 1, path
