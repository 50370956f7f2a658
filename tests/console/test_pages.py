"""Each page opens with a sentence about the state, is sound HTML in both languages, and works without a script."""

from __future__ import annotations

import re
import time
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from madang.console import report_html
from tests.console.conftest import TestClient, settled
from tests.console.documents import PretendWorkspace, study_document

_VOID = {"meta", "link", "input", "br", "hr", "img", "rect", "path", "circle", "line"}


class Outline(HTMLParser):
    """Checks nesting and collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.labelled: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "label" and found.get("for"):
            self.labelled.add(str(found["for"]))
        self.links += [str(v) for k, v in attrs if k in ("href", "src", "action", "hx-get", "hx-post") and v]
        if any(k == "style" or k.startswith("on") for k, _ in attrs):
            self.problems.append(f"inline style or script on {tag}")
        if len(attrs) != len(found):
            self.problems.append(f"attribute twice on {tag}")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"{tag} closes what is not open")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script", "title"):
            self.text.append(data)


def outline(html: str) -> Outline:
    found = Outline()
    found.feed(html)
    return found


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_every_page_is_sound_html_in_both_languages(browser: TestClient, pages: list[str], lang: str) -> None:
    for page in pages:
        answer = browser.get(page + ("&" if "?" in page else "?") + f"lang={lang}")
        assert answer.status_code == 200, page
        found = outline(answer.text)
        assert found.problems == [], page
        assert found.open == [], page
        assert len(found.ids) == len(set(found.ids)), page
        assert f'<html lang="{lang}"' in answer.text
        headings = [tag for tag, _ in found.tags if tag == "h1"]
        assert len(headings) >= 1, page
        unnamed = [
            a for tag, a in found.tags
            if tag in ("input", "select", "textarea") and a.get("type") not in ("hidden", "radio") and not a.get("aria-label")
            and a.get("id") not in found.labelled
        ]  # fmt: skip
        assert unnamed == [], page


def test_every_link_on_every_page_leads_somewhere_on_this_site(browser: TestClient, pages: list[str]) -> None:
    links: dict[str, str] = {}
    for page in pages:
        for link in outline(browser.get(page).text).links:
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc) == ("", ""), f"{page}: {link}"
            links.setdefault(link.partition("#")[0], page)
    posts = ("/undo", "/redo", "/run", "/cancel", "/zone", "/files", "/from", "/replay", "/accept", "/about")
    for link, page in links.items():
        if link and not link.split("?")[0].endswith(posts):
            assert browser.get(link).status_code in (200, 204), f"{page}: {link}"


def test_pages_that_do_not_exist_yet_are_not_offered(browser: TestClient) -> None:
    rail = [str(a["data-go"]) for tag, a in outline(browser.get("/").text).tags if tag == "a" and a.get("data-go")]
    assert rail == ["h", "c", "t", "s", "l", "m", "q"]


def test_an_english_page_shows_no_korean_but_names_from_the_data(browser: TestClient, pages: list[str]) -> None:
    for page in pages:
        text = " ".join(outline(browser.get(page + ("&" if "?" in page else "?") + "lang=en").text).text)
        for own in (
            "양극재 1공장",
            "한국어",
            "온도",
            "소성로",
            "품질",
            "결과",
            "일시",
            "구역",
            "배기",
            "송풍",
            "압력",
            "산소",
            "농도",
            "로트",
            "잔류",
            "리튬",
            "비고",
            "월",
            "폐기",
            "수량",
            "목표를",
            "소성",
        ):
            text = text.replace(own, "")
        assert not re.search(r"[가-힣]", text), f"{page}: {re.search(r'.{20}[가-힣]+.{20}', text)}"


def test_home_opens_with_what_waits_and_one_next_step(browser: TestClient) -> None:
    page = browser.get("/?lang=ko").text
    assert "데이터셋 2개가 있고, 확인할 열 4개와 격리된 행 12개가 기다리고 있어요." in page
    assert page.count("btn main") == 1
    assert "열 4개 확인하기" in page
    english = browser.get("/?lang=en").text
    assert "2 datasets. Waiting for you: 4 columns to confirm and 12 quarantined rows." in english


def test_without_data_every_page_says_what_it_would_show_and_what_to_do(empty_browser: TestClient) -> None:
    for page in ("/", "/library", "/studies", "/mapping", "/quality"):
        html = empty_browser.get(page).text
        assert "btn main" in html, page
        assert "/studies" in html, page
    assert 'type="file"' in empty_browser.get("/").text


def test_a_failed_study_says_why_and_what_to_do(browser: TestClient) -> None:
    made = browser.post("/studies", files=[("files", ("setup.exe", b"MZ"))], follow_redirects=False)
    study = made.headers["location"].rsplit("/", 1)[1]
    settled(browser, study, "failed")
    page = browser.get(f"/studies/{study}?lang=en").text
    assert "It is not a table that can be read." in page
    assert "Export it as CSV or Excel." in page
    assert "Choose other files" in page


def test_dropping_nothing_is_said_in_words(browser: TestClient) -> None:
    answer = browser.post("/studies", data={"x": "1"})
    assert answer.status_code == 422
    assert "파일이 오지 않았어요." in answer.text


def test_a_refusal_is_a_page_for_people_and_a_document_for_programs(browser: TestClient) -> None:
    page = browser.get("/library/none?lang=en")
    assert page.status_code == 404
    assert "There is no dataset" in page.text
    assert browser.get("/library/none", headers={"accept": "application/json"}).json()["schema"] == "error/1"


def test_values_from_the_data_cannot_become_markup(browser: TestClient) -> None:
    page = browser.get("/quality").text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    hostile = browser.get('/library?q="><script>alert(1)</script>').text
    assert "<script>alert" not in hostile


def test_the_choice_of_language_and_theme_is_remembered(browser: TestClient) -> None:
    first = browser.get("/library?lang=en&theme=dark")
    assert 'data-theme="dark"' in first.text
    again = browser.get("/mapping").text
    assert '<html lang="en" data-theme="dark">' in again


def test_an_address_keeps_the_state_when_the_language_changes(browser: TestClient) -> None:
    page = browser.get("/library/소성로?tab=trend&column=배기 온도&from=2026-05-03T00:00&lang=ko")
    link = next(str(a["href"]) for tag, a in outline(page.text).tags if a.get("hreflang") == "en")
    english = browser.get(link).text
    assert '<option value="배기 온도" selected>' in english
    assert 'value="2026-05-03T00:00"' in english


def test_the_guided_study_shows_what_was_assumed_and_lets_it_be_changed(browser: TestClient, read_study: str) -> None:
    page = browser.get(f"/studies/{read_study}?lang=ko").text
    assert "시각에 시간대가 적혀 있지 않아 Asia/Seoul 시간대로 가정했어요." in page
    browser.post(f"/studies/{read_study}/zone", data={"zone": "Europe/Berlin"}, follow_redirects=False)
    settled(browser, read_study, "ready")
    changed = browser.get(f"/studies/{read_study}?lang=ko").text
    assert "시각을 Europe/Berlin 시간대로 읽었어요." in changed
    assert "으로 가정했어요" not in changed


def test_the_guided_study_offers_targets_and_suspects_columns(browser: TestClient, read_study: str) -> None:
    page = browser.get(f"/studies/{read_study}?lang=ko").text
    assert 'name="target" value="잔류 리튬"' in page
    assert "개인정보로 보여요" in page


def test_choices_are_kept_and_reach_the_study(browser: TestClient, read_study: str, workspace: PretendWorkspace) -> None:
    form = {
        "target": "잔류 리튬", "task": "regression", "budget": "20", "horizon": "1h", "goal": "늦기 전에", "seen": ["PV_07", "비고"], "use": ["PV_07"],
        "money.cost_once.low": "1,000", "money.cost_once.likely": "2000", "money.cost_once.high": "3000",
    }  # fmt: skip
    browser.post(f"/studies/{read_study}/run", data=form, follow_redirects=False)
    settled(browser, read_study, "done")
    draft = (workspace.root / "console" / "studies" / read_study / "draft.json").read_text(encoding="utf-8")
    for kept in (
        '"target": "잔류 리튬"',
        '"exclude": ["비고"]',
        '"budget": 20',
        '"cost_once": [1000.0, 2000.0, 3000.0]',
        '"currency": "KRW"',
    ):
        assert kept in draft
    page = browser.get(f"/studies/{read_study}?lang=ko").text
    assert "3구역 온도와 산소로 잔류 리튬을" in page
    assert "--exclude '비고'" in unescape(page)


@pytest.mark.parametrize("values", [("1", "", "3"), ("3", "2", "1"), ("a", "b", "c"), ("nan", "1", "2")])
def test_a_range_of_money_that_is_no_range_is_refused(
    browser: TestClient, read_study: str, values: tuple[str, str, str]
) -> None:
    form = {f"money.cost_once.{place}": v for place, v in zip(("low", "likely", "high"), values, strict=True)}
    answer = browser.post(f"/studies/{read_study}/run", data=form)
    assert answer.status_code == 422
    assert "cost_once" in answer.text


def test_progress_shows_what_is_tried_and_can_be_stopped(browser: TestClient, read_study: str) -> None:
    browser.post(f"/studies/{read_study}/run", data={"budget": "600"}, follow_redirects=False)
    piece = ""
    end = time.monotonic() + 30
    while "Trying boosted trees" not in piece and time.monotonic() < end:
        time.sleep(0.05)
        piece = browser.get(f"/studies/{read_study}/progress?lang=en&state=running").text
    assert "Trying boosted trees" in piece
    assert 'hx-trigger="every 1s"' in piece
    stopped = browser.post(f"/studies/{read_study}/cancel").text
    assert "data-row" in stopped
    assert (
        browser.get(f"/studies/{read_study}/progress?state=running").headers["hx-redirect"].startswith(f"/studies/{read_study}")
    )


def test_a_server_that_starts_again_says_that_the_study_was_interrupted(
    browser: TestClient, read_study: str, workspace: PretendWorkspace
) -> None:
    from madang.api import Studies
    from tests.console.conftest import NOW

    browser.post(f"/studies/{read_study}/run", data={"budget": "600"}, follow_redirects=False)
    again = Studies(workspace.root, now=lambda: NOW)
    assert again.get(read_study).state == "failed"
    assert (again.error(read_study) or {})["code"] == "interrupted"


def test_undo_is_one_button_and_is_confirmed_in_words(browser: TestClient, workspace: PretendWorkspace) -> None:
    page = browser.post("/library/undo", data={"id": "u12", "back": "/library/소성로?tab=findings"})
    assert workspace.library.undone == ["u12"]
    assert "되돌렸어요. 새 버전은 소성로@3 이에요." in page.text
    assert "되돌렸어요. 새 버전은" not in browser.get("/").text


def test_a_mapping_is_confirmed_in_place(browser: TestClient, workspace: PretendWorkspace) -> None:
    form = {"dataset": "소성로", "column": "PV_07", "role": "actual", "kind": "pressure", "unit": "kPa"}
    row = browser.post("/mapping/accept?row=1", data=form).text
    assert row.lstrip().startswith("<tr")
    assert "확인함" in row
    refused = browser.post("/mapping/accept?row=1", data={**form, "unit": "furlong"}).text
    assert "모르는 단위예요." in refused


def test_studies_kept_by_the_command_line_are_shown_too(browser: TestClient, workspace: PretendWorkspace) -> None:
    workspace.library.kept["전력-예측"] = {**study_document(), "name": "전력-예측"}
    assert "전력-예측" in browser.get("/").text
    assert "전력-예측" in browser.get("/studies").text
    assert browser.get("/studies/kept/전력-예측").status_code == 200
    assert browser.get("/studies/kept/none").status_code == 404
    assert browser.get("/studies/전력-예측?lang=en").url.path.startswith("/studies/kept/")
    assert browser.get("/studies/none").status_code == 404


def test_the_report_shows_every_part_of_the_study(browser: TestClient, done_study: str) -> None:
    page = browser.get(f"/studies/{done_study}/report?lang=en").text
    for part in (
        "Zone-3 temperature and oxygen tell", "medium confidence", "Raise zone 3 by 3 ℃", "5 ℃ more over the soak", "Six lots with zone 3",
        "burner drift is the real cause", "It fails under the drift", "covered 88.7", "would have promised RMSE 0.024\u00a0%", "Exhaust temperature has been",
        "KRW\u00a084\u00a0m", "L-0521-07", "linear + feedback (median)", "was taken as the target",
        "612 charges meet", "The calibration log has no key", "Ambiguous, left out",
    ):  # fmt: skip
        assert part in page, part


def test_the_report_file_stands_alone(tmp_path: Path) -> None:
    for lang in ("ko", "en"):
        html = report_html(study_document(), lang)
        found = outline(html)
        assert [p for p in found.problems if "inline" not in p] == []
        assert found.links == []
        assert "<script" not in html
        assert not re.search(r"url\(|@import|src=", html)
        assert re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", html).count("http") == 0
        assert html.count("<svg") >= 4
        assert "@page { size: A4" in html


def test_a_report_with_almost_nothing_in_it_still_says_the_verdict() -> None:
    verdict = {
        "code": "collect_data",
        "sentence_ko": "아직 답할 수 없습니다.",
        "sentence_en": "These data cannot answer it yet.",
        "confidence": "low",
        "next_ko": "더 모아 주세요.",
        "next_en": "Collect more.",
    }
    html = report_html({"schema": "study/1", "verdict": verdict}, "en")
    assert "These data cannot answer it yet." in html
    assert "unknown" in html
    assert outline(html).open == []


def test_a_leak_is_said_with_its_unit_and_two_alike_scores_promise_nothing() -> None:
    study = study_document()
    study["metric"] = {"name": "mae", "unit": "mm", "better": "lower"}
    study["leak"] = {"score": 0.5, "random_split": 1.0, "blocked": 2.0, "findings": []}
    page = report_html(study, "en")
    assert "MAE 1\u00a0mm" in page
    assert "must not be believed" in page
    study["leak"] = {"score": 0.01, "random_split": 1.98, "blocked": 2.0, "findings": []}
    page = report_html(study, "en")
    assert "nearly the same" in page
    assert "must not be believed" not in page


def test_a_unit_is_confirmed_by_the_sign_that_people_know(browser: TestClient, workspace: PretendWorkspace) -> None:
    row = {"dataset": "소성로", "column": "PV_07", "unit": "℃", "row": "1"}
    assert browser.post("/mapping/accept?row=1", data=row).status_code == 200
    assert workspace.library.accepted[-1][4] == "Cel"
