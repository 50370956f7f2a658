"""Pages of live lines: what they say first, what they offer next, and that nothing stale looks fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from fastapi import FastAPI

from madang.api import Desk, Studies
from madang.connect import ConnectionState, GapCause, TestName
from madang.console import Console
from madang.console._texts import catalogue
from tests.console.conftest import WORKER, TestClient
from tests.console.documents import PretendWorkspace
from tests.console.live_documents import NOW, PretendLive


@pytest.fixture
def live() -> PretendLive:
    """A live desk with three connections: one well, one cut off, one paused."""
    return PretendLive()


def reader(root: Path, live: PretendLive, lang: str) -> TestClient:
    """A reader's browser over a pretend live desk."""
    root.mkdir(exist_ok=True)
    desk = Desk(PretendWorkspace(root))  # type: ignore[arg-type]
    console = Console(desk, Studies(desk.path, now=lambda: NOW, command=WORKER), live, now=lambda: NOW)  # type: ignore[arg-type]
    app = FastAPI()
    app.include_router(console.router)
    return TestClient(app, headers={"accept": "text/html", "accept-language": lang})


@pytest.fixture
def english(tmp_path: Path, live: PretendLive) -> Iterator[TestClient]:
    """A reader of English."""
    with reader(tmp_path / "plant", live, "en") as client:
        yield client


@pytest.fixture
def korean(tmp_path: Path, live: PretendLive) -> Iterator[TestClient]:
    """A reader of Korean."""
    with reader(tmp_path / "plant", live, "ko") as client:
        yield client


def sentence(page: str) -> str:
    """The first sentence of a page."""
    return page.split('<h1 id="sentence">')[1].split("</h1>")[0]


def test_home_opens_with_the_line_that_is_in_trouble(english: TestClient) -> None:
    assert sentence(english.get("/").text) == "mes is disconnected; 1 of 2 connected well."


def test_the_same_is_said_in_korean(korean: TestClient) -> None:
    assert sentence(korean.get("/").text) == "mes 연결의 상태: 끊김. 전체 2개 가운데 1개는 정상이에요."


def test_a_running_connection_without_good_samples_is_named_with_its_age(english: TestClient, live: PretendLive) -> None:
    live.rows = [{**live.rows[0], "age_seconds": 125.0}]

    assert sentence(english.get("/connections").text) == "kiln1 has had no good sample for 2 min; 0 of 1 connected well."


def test_a_paused_connection_is_not_counted_as_trouble(english: TestClient, live: PretendLive) -> None:
    live.rows = [live.rows[0], live.rows[2]]

    assert sentence(english.get("/connections").text) == "1 connection is running and well."


def test_an_empty_workspace_says_what_a_connection_would_show(tmp_path: Path) -> None:
    with reader(tmp_path / "new", PretendLive(empty=True), "en") as client:
        page = client.get("/connections").text
        trends = client.get("/trends").text

    assert "Each connection would stand here" in page
    assert "/connections/new" in page
    assert "No live data yet" in trends


def test_a_connection_made_on_the_page_is_tried_before_it_collects(english: TestClient, live: PretendLive) -> None:
    made = english.post(
        "/connections",
        data={
            "kind": "opcua",
            "name": "kiln2",
            "url": "opc.tcp://10.0.0.7:4840",
            "option.security": "none",
            "secret.password": "s3cret-word",
        },
        follow_redirects=False,
    )

    assert made.headers["location"] == "/connections/kiln2?tab=test&try=1"
    asked = dict(live.asked)["add"]
    assert asked["options"] == {"security": "none"}
    assert asked["secrets"] == {"password": "s3cret-word"}
    assert live.connection("kiln2")["wanted"] == "paused"
    assert "s3cret-word" not in english.get("/connections/kiln2?tab=settings").text


def test_a_certificate_is_trusted_by_a_person(english: TestClient, live: PretendLive) -> None:
    steps = english.post("/connections/kiln1/test", headers={"hx-request": "true"}).text
    assert "I know this certificate" in steps
    assert "waits for your decision" in steps

    english.post("/connections/kiln1/trust", data={"thumbprint": "AB:CD"})

    assert ("trust", ("kiln1", "AB:CD")) in live.asked


def test_tags_are_shown_with_the_values_they_have_now(english: TestClient) -> None:
    page = english.get("/connections/kiln1/browse").text

    assert "Zone 3 temperature" in page
    assert "734.3" in page
    assert "volume flow" in page


def test_chosen_tags_are_kept(english: TestClient, live: PretendLive) -> None:
    english.post("/connections/kiln1/tags", data={"tag": ["ns=2;i=1003"]})

    assert ("choose_tags", ("kiln1", ["ns=2;i=1003"])) in live.asked


def test_a_pasted_sample_is_described_or_refused_in_plain_words(english: TestClient) -> None:
    good = english.post("/connections/describe", data={"sample": '{"value": 1.5}', "topic": "plant/line1"}).text
    bad = english.post("/connections/describe", data={"sample": "hello", "topic": "plant/line1"}).text

    assert "Read as 1 sample." in good
    assert "This is not JSON." in bad


def test_an_open_gap_is_said_first(english: TestClient) -> None:
    page = english.get("/gaps").text

    assert sentence(page) == "1 gap is open now; 3 in all."
    assert "the server threw values away" in page
    assert "the source keeps no history" in page


def test_only_a_gap_that_history_may_fill_offers_to_be_filled(english: TestClient, live: PretendLive) -> None:
    assert "/backfill" not in english.get("/gaps").text  # open, impossible, and filled

    english.post("/gaps/kiln1-000001/backfill")

    assert ("backfill", "kiln1-000001") in live.asked


def test_the_address_of_a_trend_holds_all_that_is_seen(english: TestClient) -> None:
    page = english.get("/trends?dataset=kiln1&point=oxygen_flow&from=2026-05-31T10:00:00&to=2026-05-31T12:00:00").text

    assert 'data-from="2026-05-31T01:00:00+00:00"' in page
    assert "ws.trend(" in page
    assert sentence(page) == "Oxygen flow"


def test_a_point_that_is_not_there_is_left_out(english: TestClient) -> None:
    page = english.get("/trends?dataset=kiln1&point=nothing").text

    assert "Choose points" in page


def test_a_condition_whose_value_is_no_number_is_refused(english: TestClient, live: PretendLive) -> None:
    from madang.errors import InputError

    with pytest.raises(InputError, match="not a number"):
        english.post(
            "/trends/conditions", data={"dataset": "kiln1", "point": "oxygen_flow", "op": ">", "value": "hot", "name": "x"}
        )

    english.post(
        "/trends/conditions",
        data={"dataset": "kiln1", "point": "oxygen_flow", "op": ">", "value": "1,200.5", "name": "x", "lasting": "60"},
    )
    assert dict(live.asked)["keep_condition"]["value"] == 1200.5


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_every_cause_of_a_gap_has_words(lang: str) -> None:
    words = catalogue(lang)

    missing = [code for code in get_args(GapCause) if f"gapcause.{code}" not in words]
    missing += [code for code in get_args(ConnectionState) if f"constate.{code}" not in words]
    missing += [code for code in get_args(TestName) if f"teststep.{code}" not in words]

    assert missing == []
