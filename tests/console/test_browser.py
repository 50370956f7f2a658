"""Journeys with a real Chromium, in Korean and English: by mouse, by keyboard alone, and with nothing from outside."""

from __future__ import annotations

import csv
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from madang.api import make_app
from tests.console.conftest import NOW, WORKER
from tests.console.documents import PretendWorkspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_CHROMIUM = os.environ.get("MADANG_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


RUN = "#progress button.main"
REPORT = "#progress a.main"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """An installed Chromium; without one the journeys are skipped, and counted."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium fonts-noto-cjk), or name it in MADANG_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Server:
    """The console on a free port, in a thread of its own."""

    def __init__(self, workspace: Any, **options: Any) -> None:  # noqa: ANN401 (a workspace, real or pretend)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = make_app(workspace, **options)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()


@pytest.fixture
def server(workspace: PretendWorkspace) -> Iterator[Server]:
    """The console over the pretend workspace."""
    with Server(workspace, now=lambda: NOW, worker=WORKER) as running:
        yield running


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    """A page that records what it asks for and what goes wrong."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=server.url)
    context.set_default_timeout(20_000)
    opened = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    assert wrong == []


@pytest.mark.parametrize(
    ("lang", "run", "sentence"),
    [("ko", "스터디 실행하기", "3구역 온도와 산소로"), ("en", "Run the study", "Zone-3 temperature and oxygen")],
)
def test_from_dropped_files_to_a_verdict(page: Page, tmp_path: Path, lang: str, run: str, sentence: str) -> None:
    file = tmp_path / "소성로_5월.csv"
    file.write_text("일시,온도\n2026-05-01 00:00,720\n", encoding="cp949")
    page.goto(f"/studies/new?lang={lang}")
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector(f"{RUN}:text-is('{run}')")
    page.check("input[name=target][value='잔류 리튬']")
    page.uncheck("input[name=use][value='비고']")
    page.click(RUN)
    page.click(REPORT)
    page.wait_for_selector("article.report h1")
    assert sentence in page.inner_text("article.report h1")
    page.wait_for_selector("#predictions canvas")


def test_a_file_can_be_dropped_with_the_mouse(page: Page) -> None:
    page.goto("/studies/new?lang=en")
    data = page.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['a,b\\n1,2'], 'dropped.csv')); return d; }"
    )
    page.dispatch_event("form[data-drop]", "drop", {"dataTransfer": data})
    page.wait_for_selector("text=dropped.csv")
    page.wait_for_selector("text=What was read")


def test_a_study_is_stopped_while_it_runs(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    page.goto("/studies/new?lang=en")
    page.set_input_files("input[type=file]", file)
    page.select_option("#budget", "600")
    page.click(RUN)
    page.wait_for_selector("text=Trying boosted trees")
    page.click("button:has-text('Stop')")
    page.wait_for_selector("text=No result was saved")


@pytest.mark.parametrize(("lang", "words"), [("ko", "온도"), ("en", "temperature")])
def test_search_goes_from_a_word_to_a_trend(page: Page, lang: str, words: str) -> None:
    page.goto(f"/?lang={lang}")
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/library?q=*")
    page.click("text=1구역 온도")
    page.wait_for_selector("#trend canvas")
    box = page.locator("#trend .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40)
    assert "℃" in page.inner_text("[data-cursor=max]")
    before = page.evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('/trend?')).length")
    page.click("[data-zoom=in]")
    page.wait_for_function(
        "(n) => performance.getEntriesByType('resource').filter((e) => e.name.includes('/trend?')).length > n", arg=before
    )
    page.wait_for_function("() => location.search.includes('from=')")
    seen = page.input_value("#from")
    page.reload()
    page.wait_for_selector("#trend canvas")
    assert page.input_value("#from") == seen
    page.click("[data-zoom=all]")
    page.wait_for_function("() => !location.search.includes('from=')")


def test_mappings_are_confirmed_by_keyboard_alone(page: Page, workspace: PretendWorkspace) -> None:
    page.goto("/?lang=ko")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_selector("#mappings")
    page.wait_for_function("document.readyState === 'complete'")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("a")
    page.wait_for_selector("#mappings tbody tr:first-child >> text=확인함")
    page.wait_for_selector("#mappings tbody tr:nth-child(2)[aria-selected=true]")
    page.keyboard.press("a")
    page.wait_for_selector("#mappings tbody tr:nth-child(2) >> text=확인함")
    assert [(d, c) for d, c, *_ in workspace.library.accepted] == [("소성로", "PV_07"), ("소성로", "산소 농도")]


def test_a_unit_is_changed_by_keyboard_and_a_wrong_one_is_refused_in_place(page: Page, workspace: PretendWorkspace) -> None:
    page.goto("/mapping?lang=en")
    first = page.locator("#mappings tbody tr").first
    first.locator("input[name=unit]").focus()
    page.keyboard.type("furlong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=That unit is not known.")
    first.locator("input[name=unit]").fill("kPa")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mappings tbody tr:first-child >> text=confirmed")
    assert workspace.library.accepted[-1][4] == "kPa"


def test_undo_takes_two_clicks_and_says_what_it_did(page: Page, workspace: PretendWorkspace) -> None:
    page.goto("/library/소성로?tab=findings&lang=en")
    page.locator("text=Undo").first.click()
    page.wait_for_selector("text=Undone. The new version is 소성로@3.")
    assert workspace.library.undone == ["u12"]


def test_the_language_changes_in_place_and_stays(page: Page) -> None:
    page.goto("/library/소성로?tab=quality&lang=ko")
    page.click("text=English")
    assert "tab=quality" in page.url
    page.wait_for_selector("text=Quality by shift")
    page.goto("/quality")
    assert page.get_attribute("html", "lang") == "en"
    page.click("text=한국어")
    page.wait_for_selector("text=격리된 행")


def test_the_theme_changes_and_stays(page: Page) -> None:
    page.goto("/?lang=en")
    page.click("text=Dark")
    page.goto("/library")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 24)"


def test_the_keyboard_is_explained(page: Page) -> None:
    page.goto("/?lang=en")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] >> text=Next row, previous row")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_the_focus_is_seen_and_the_first_stop_is_the_way_to_the_content(page: Page) -> None:
    page.goto("/?lang=en")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


_AXE = os.environ.get("MADANG_AXE", "")


@pytest.mark.skipif(not _AXE, reason="no axe-core: name its axe.min.js in MADANG_AXE (npm pack axe-core)")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious_on_any_page(
    chromium: Browser, server: Server, tmp_path: Path, theme: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, base_url=server.url, bypass_csp=True)
    page = context.new_page()
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    page.goto(f"/studies/new?lang=ko&theme={theme}")
    page.set_input_files("input[type=file]", file)
    page.click(RUN)
    page.wait_for_selector(REPORT)
    study = page.url.partition("#")[0].partition("?")[0]
    found = []
    for path in (
        "/", "/studies", "/studies/new", study, f"{study}/report", "/library", "/library?q=온도", "/library/소성로", "/library/소성로?tab=trend",
        "/library/소성로?tab=findings", "/library/소성로?tab=quality", "/library/소성로?tab=about", "/library/소성로?tab=versions",
        "/mapping?show=all", "/quality", "/nothing",
    ):  # fmt: skip
        page.goto(path)
        page.evaluate(Path(_AXE).read_text(encoding="utf-8") + ";0")
        violations = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
        found += [(path, v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")]
    context.close()
    assert found == []


@pytest.mark.parametrize("width", [390, 820, 1440, 1920])
def test_no_page_is_wider_than_the_screen(page: Page, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    page.goto("/studies/new?lang=ko")
    page.set_input_files("input[type=file]", file)
    page.click(RUN)
    page.wait_for_selector(REPORT)
    study = page.url.partition("#")[0]
    for lang in ("ko", "en"):
        for path in (
            "/", "/studies", "/studies/new", study, f"{study}/report", "/library", "/library/소성로", "/library/소성로?tab=trend",
            "/library/소성로?tab=findings", "/library/소성로?tab=quality", "/library/소성로?tab=about", "/library/소성로?tab=versions",
            "/mapping?show=all", "/quality", "/nothing",
        ):  # fmt: skip
            if path != "/nothing":
                page.goto(path + ("&" if "?" in path else "?") + f"lang={lang}")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} {lang} at {width}: {wide} px too wide"


def test_the_report_prints_on_at_most_four_pages(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    page.goto("/studies/new?lang=ko&theme=dark")
    page.set_input_files("input[type=file]", file)
    page.click(RUN)
    page.click(REPORT)
    page.wait_for_selector("#predictions canvas")
    pdf = page.pdf(prefer_css_page_size=True)
    assert 1 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type/Page/") <= 4
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "none"
    assert page.locator("#predictions svg").is_visible()


def _plant(path: Path, rows: int = 700) -> None:
    """A line whose strength follows the zone temperature of three rows before, with a code for a bad value."""
    chance = random.Random(7)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    heat: list[float] = []
    with path.open("w", encoding="cp949", newline="") as file:
        out = csv.writer(file)
        out.writerow(["일시", "1구역 온도(℃)", "송풍 압력(kPa)", "강도(MPa)"])
        for i in range(rows):
            heat.append(0.8 * (heat[-1] if heat else 0.0) + chance.gauss(0, 3))
            strength = 50 + 0.9 * heat[max(0, i - 3)] + chance.gauss(0, 1)
            pressure = "9999" if i % 97 == 5 else f"{12 + chance.gauss(0, 0.4):.2f}"
            out.writerow([f"{start + timedelta(hours=i):%Y-%m-%d %H:%M}", f"{720 + heat[-1]:.2f}", pressure, f"{strength:.2f}"])


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_real_file_becomes_a_real_verdict(chromium: Browser, tmp_path: Path, lang: str) -> None:
    from madang.workspace import Workspace

    file = tmp_path / "라인.csv"
    _plant(file)
    with Workspace.open(tmp_path / "공장") as workspace, Server(workspace) as server:
        context = chromium.new_context(base_url=server.url)
        context.set_default_timeout(240_000)
        page = context.new_page()
        page.goto(f"/?lang={lang}")
        page.set_input_files("input[type=file]", file)
        page.wait_for_selector("#use")
        page.check("input[name=target][value='강도']") if page.locator(
            "input[name=target][value='강도']"
        ).count() else page.fill("#other", "강도")
        page.select_option("#budget", "20")
        page.click(RUN)
        page.click(REPORT)
        page.wait_for_selector("article.report h1")
        assert len(page.inner_text("article.report h1")) > 10
        assert "1구역 온도" in page.inner_text("#causes")
        page.goto("/library")
        assert page.locator("tbody tr[data-row]").count() == 1
        context.close()
