"""Only this machine and only this site may reach the workspace while there are no accounts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.api import make_app, serve
from madang.api._studies import safe_name
from madang.errors import InputError, RefusedError
from tests.console.conftest import HOSTS, NOW, WORKER, TestClient
from tests.console.documents import PretendWorkspace


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "testserver.evil.example", "", "[::2]"]
)
def test_a_foreign_host_name_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/api/v1/datasets", "/static/app.css"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert answer.json()["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "TESTSERVER", "testserver.:99"])
def test_this_machine_is_let_in_at_any_port(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://testserver"},
        {"origin": "http://testserver:9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_change_asked_for_by_another_site_is_refused_and_not_made(
    client: TestClient, workspace: PretendWorkspace, headers: dict[str, str]
) -> None:
    assert client.post("/api/v1/undo", json={"id": "u1"}, headers=headers).json()["code"] == "foreign_site"
    assert client.post("/library/undo", data={"id": "u1"}, headers=headers).status_code == 403
    assert workspace.library.undone == []


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://testserver"}, {"origin": "http://testserver", "sec-fetch-site": "same-origin"}]
)
def test_a_change_asked_for_by_this_site_or_a_program_is_made(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/undo", json={"id": "u1"}, headers=headers).status_code == 200


def test_every_answer_carries_the_headers_of_safety(client: TestClient) -> None:
    for path in ("/", "/health", "/nothing", "/static/app.css", "/api/v1/datasets/none"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(workspace: PretendWorkspace) -> None:
    app = make_app(workspace, hosts=HOSTS, now=lambda: NOW, worker=WORKER, upload_limit=10_000)  # type: ignore[arg-type]
    with TestClient(app) as client:
        answer = client.post("/api/v1/studies", files=[("files", ("a.csv", b"x" * 20_000))])
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert client.get("/api/v1/studies").json()["studies"] == []


def test_a_body_that_hides_its_length_is_cut_off_at_the_limit(workspace: PretendWorkspace) -> None:
    app = make_app(workspace, hosts=HOSTS, now=lambda: NOW, worker=WORKER, upload_limit=10_000)  # type: ignore[arg-type]
    with TestClient(app) as client:
        answer = client.post(
            "/api/v1/undo", content=(b"x" * 1000 for _ in range(50)), headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@given(name=st.text(max_size=300), taken=st.sets(st.text(max_size=20), max_size=5))
def test_an_uploaded_name_never_leaves_its_folder(name: str, taken: set[str]) -> None:
    safe = safe_name(name, taken)
    assert safe
    assert safe not in taken
    assert not re.search(r'[/\\\x00-\x1f<>:"|?*]', safe)
    assert safe not in (".", "..")
    assert len(safe) < 200


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\windows\\x.csv", "/abs/x.csv", "a\x00b.csv", "CON", "nul.csv"])
def test_an_upload_with_a_hostile_name_stays_in_its_study(client: TestClient, workspace: PretendWorkspace, name: str) -> None:
    made = client.post("/api/v1/studies", files=[("files", (name, b"1"))])
    assert made.status_code == 201
    folder = workspace.root / "console" / "studies" / made.json()["id"] / "files"
    assert [p.name for p in folder.iterdir()] == [f["name"] for f in made.json()["files"]]
    outside = [p for p in workspace.root.rglob("*") if p.is_file() and folder.parent not in p.parents]
    assert outside == []


@pytest.mark.parametrize(
    "path", ["/static/../_texts.py", "/static/%2e%2e/_texts.py", "/static/..%2f_texts.py", "/static//etc/passwd"]
)
def test_static_files_give_nothing_but_themselves(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_form_never_sends_the_reader_to_another_site(client: TestClient, back: str) -> None:
    answer = client.post("/library/undo", data={"id": "u1", "back": back}, follow_redirects=False)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.10", "example.com"])
def test_the_server_does_not_listen_for_others_while_there_are_no_accounts(workspace: PretendWorkspace, host: str) -> None:
    with pytest.raises(RefusedError) as refused:
        serve(workspace, host=host)  # type: ignore[arg-type]
    assert refused.value.code == "needs_accounts"
    assert "127.0.0.1" in refused.value.next_en


def test_a_port_that_is_taken_is_an_error_with_a_next_step(workspace: PretendWorkspace) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError) as error:
            serve(workspace, port=taken.getsockname()[1])  # type: ignore[arg-type]
    assert error.value.code == "port_taken"


def test_the_server_tells_its_address_when_it_answers_and_ends_cleanly(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    code = (
        "import sys\nfrom pathlib import Path\nfrom madang.api import serve\nfrom tests.console.documents import PretendWorkspace\n"
        f"serve(PretendWorkspace(Path({str(tmp_path)!r})), ready=Path({str(ready)!r}))\n"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    try:
        end = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < end:
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        assert told["pid"] == process.pid
        with urllib.request.urlopen(f"{told['url']}/health") as answer:
            assert json.load(answer)["status"] == "ok"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)
    assert not ready.exists()
