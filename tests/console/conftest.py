"""A console over a pretend workspace."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from madang.api import make_app
from tests.console.documents import PretendLibrary, PretendWorkspace

with warnings.catch_warnings():
    # The test client warns about the name of the package it is built on.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient as TestClient

NOW = datetime(2026, 5, 31, 3, 0, tzinfo=UTC)
WORKER = (sys.executable, str(Path(__file__).with_name("pretend_worker.py")))
HOSTS = frozenset({"testserver", "127.0.0.1"})


@pytest.fixture
def workspace(tmp_path: Path) -> PretendWorkspace:
    """A workspace with two datasets."""
    root = tmp_path / "양극재 1공장"
    root.mkdir()
    return PretendWorkspace(root)


@pytest.fixture
def empty_workspace(tmp_path: Path) -> PretendWorkspace:
    """A workspace without data."""
    root = tmp_path / "new"
    root.mkdir()
    return PretendWorkspace(root, PretendLibrary(empty=True))


@pytest.fixture
def client(workspace: PretendWorkspace) -> Iterator[TestClient]:
    """A program that speaks to the API."""
    with TestClient(make_app(workspace, hosts=HOSTS, now=lambda: NOW, worker=WORKER), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        yield client


@pytest.fixture
def browser(client: TestClient) -> TestClient:
    """A reader's browser."""
    client.headers["accept"] = "text/html,*/*"
    return client


@pytest.fixture
def empty_browser(empty_workspace: PretendWorkspace) -> Iterator[TestClient]:
    """A reader's browser on a workspace without data."""
    app = make_app(empty_workspace, hosts=HOSTS, now=lambda: NOW, worker=WORKER)  # type: ignore[arg-type]
    with TestClient(app, headers={"accept": "text/html"}, raise_server_exceptions=False) as client:
        yield client


def settled(client: TestClient, study: str, *states: str, seconds: float = 30.0) -> dict[str, object]:
    """Wait until a study is in one of the states; return how far it is."""
    end = time.monotonic() + seconds
    while True:
        state: dict[str, object] = client.get(f"/api/v1/studies/{study}").json()
        if state["state"] in states or time.monotonic() > end:
            return state
        time.sleep(0.05)


@pytest.fixture
def read_study(client: TestClient) -> str:
    """A study whose files are read."""
    made = client.post("/api/v1/studies", files=[("files", ("소성로.csv", b"a,b\n1,2\n"))]).json()
    assert settled(client, made["id"], "ready")["state"] == "ready"
    return str(made["id"])


@pytest.fixture
def done_study(client: TestClient, read_study: str) -> str:
    """A study with a verdict."""
    client.post(f"/api/v1/studies/{read_study}/run", json={"target": "잔류 리튬"})
    assert settled(client, read_study, "done")["state"] == "done"
    return read_study


Pages = Callable[[], list[str]]


@pytest.fixture
def pages(done_study: str) -> list[str]:
    """Addresses of every page in every state that data can bring about."""
    library = [f"/library/소성로?tab={tab}" for tab in ("columns", "findings", "quality", "trend", "about", "versions")]
    return [
        "/", "/studies", "/studies/new", f"/studies/{done_study}", f"/studies/{done_study}/report", "/library", "/library?q=온도",
        "/library?q=zzz", *library, "/mapping", "/mapping?show=all", "/mapping?dataset=소성로&show=accepted", "/quality",
        "/quality?dataset=소성로", "/quality?dataset=품질 결과",
    ]  # fmt: skip
