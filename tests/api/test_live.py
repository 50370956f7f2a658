"""Living data over the API: connections are made and run, what is pushed is kept once, and what is shown is as old as it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pyarrow as pa
import pytest

from madang.api import LiveDesk, make_app
from madang.api._live import Streams
from madang.workspace import Workspace
from tests.console.conftest import HOSTS, TestClient

START = datetime(2026, 10, 30, 6, 0, tzinfo=UTC)


class Live:
    """A program that speaks to a server which runs the connections; every answer is held against the published schema."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.schema: dict[str, Any] = client.get("/api/v1/openapi.json").json()

    def ask(self, method: str, url: str, path: str | None = None, status: int = 200, **more: Any) -> Any:  # noqa: ANN401
        answer = self.client.request(method, f"/api/v1{url}", **more)
        assert answer.status_code == status, answer.text
        document = answer.json()
        operation = self.schema["paths"][f"/api/v1{path or url.partition('?')[0]}"][method]
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.validate(document, {**schema, "components": self.schema["components"]})
        return document

    def push(self, name: str, samples: object, key: str | None = None, status: int = 200, query: str = "") -> Any:  # noqa: ANN401
        headers = {} if key is None else {"idempotency-key": key}
        return self.ask("post", f"/push/{name}{query}", "/push/{connection}", status, json=samples, headers=headers)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A server over a new workspace that runs its connections."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Workspace.open(tmp_path / "공장") as workspace:
        app = make_app(workspace, hosts=HOSTS, connect=True)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Live(client)


def _eventually(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def _running(live: Live, name: str) -> None:
    live.ask("post", "/connections", status=201, json={"name": name, "kind": "http"})
    live.ask("post", f"/connections/{name}/start", "/connections/{name}/start")
    _eventually(lambda: live.ask("get", f"/connections/{name}", "/connections/{name}")["state"] == "connected")


def _samples(count: int, tag: str = "온도", first: float = 700.0) -> list[dict[str, Any]]:
    return [{"tag": tag, "time": (START + timedelta(seconds=i)).isoformat(), "value": first + i} for i in range(count)]


def _committed(live: Live, name: str, count: int) -> None:
    _eventually(lambda: live.ask("get", f"/connections/{name}", "/connections/{name}")["committed"] >= count)


def test_a_connection_goes_from_a_form_to_samples_on_a_chart(live: Live) -> None:
    assert live.ask("get", "/connections") == {"connections": [], "runner": live.ask("get", "/connections")["runner"]}
    assert "http" in {kind["kind"] for kind in live.ask("get", "/kinds")["kinds"]}
    made = live.ask("post", "/connections", status=201, json={"name": "소성로", "kind": "http", "options": {"rest": "refuse"}})
    assert (made["state"], made["wanted"], made["dataset"]) == ("paused", "paused", "소성로")
    assert live.ask("post", "/connections/소성로/test", "/connections/{name}/test")["passed"]
    live.ask("post", "/connections/소성로/start", "/connections/{name}/start")
    _eventually(lambda: live.ask("get", "/connections/소성로", "/connections/{name}")["state"] == "connected")
    body = {"tags": [{"name": "온도", "unit": "℃", "label": "1구역 온도"}], "samples": _samples(100)}
    assert live.push("소성로", body)["accepted"] == 100
    _committed(live, "소성로", 100)
    [row] = live.ask("get", "/signals")["signals"]
    assert (row["dataset"], row["points"], row["samples"]) == ("소성로", 1, 100)
    [point] = live.ask("get", "/signals/소성로/points?q=1구역", "/signals/{dataset}/points")["points"]
    assert (point["tag"], point["connection"], point["label_ko"]) == ("온도", "소성로", "1구역 온도")
    name = point["point"]
    [value] = live.ask("get", f"/signals/소성로/last?point={name}", "/signals/{dataset}/last")["values"]
    # Its connection lives, but a point that came every second and is weeks old is stale all the same.
    assert (value["value"], value["quality_class"], value["stale"]) == (799.0, "good", True)
    assert value["age_seconds"] > 0
    assert value["time"] == "2026-10-30T06:01:39Z"
    found = live.ask("get", f"/signals/소성로/range?point={name}&limit=10", "/signals/{dataset}/range")
    assert (found["value"], found["cut"]) == ([700.0 + i for i in range(10)], True)
    span = "from=2026-10-30T06:00:00Z&to=2026-10-30T06:10:00Z"
    trend = live.ask("get", f"/signals/소성로/trend?point={name}&{span}&buckets=60", "/signals/{dataset}/trend")
    [thinned] = trend["points"]
    assert (min(thinned["low"]), max(thinned["high"]), sum(thinned["count"])) == (700.0, 799.0, 100)
    assert set(thinned["worst"]) == {0}
    assert [shift["name"] for shift in trend["shifts"]] == ["2조"]
    tags = live.ask("get", "/connections/소성로", "/connections/{name}")["tags"]
    assert [tag["name"] for tag in tags] == ["온도"]
    [sample] = live.ask("get", "/connections/소성로/preview", "/connections/{name}/preview")["samples"]
    assert (sample["tag"], sample["value"]) == ("온도", 799.0)


def test_a_trend_comes_as_an_arrow_stream_when_asked(live: Live) -> None:
    _running(live, "door")
    live.push("door", _samples(50))
    _committed(live, "door", 50)
    [point] = live.ask("get", "/signals/door/points", "/signals/{dataset}/points")["points"]
    url = "/api/v1/signals/door/trend?from=2026-10-30T06:00:00Z&to=2026-10-30T06:10:00Z&buckets=10"
    answer = live.client.get(url, params={"point": point["point"]}, headers={"accept": "application/vnd.apache.arrow.stream"})
    # The parameters of the address are replaced by `params`, so they are given again.
    params = {"point": point["point"], "from": "2026-10-30T06:00:00Z", "to": "2026-10-30T06:10:00Z", "buckets": "10"}
    answer = live.client.get(
        "/api/v1/signals/door/trend", params=params, headers={"accept": "application/vnd.apache.arrow.stream"}
    )
    table = pa.ipc.open_stream(answer.content).read_all()
    assert sum(table.column("count").to_pylist()) == 50
    assert table.column("low").to_pylist()[0] == 700.0


def test_a_batch_sent_again_is_answered_again_and_kept_once(live: Live) -> None:
    _running(live, "door")
    first = live.push("door", _samples(3), "batch-1")
    again = live.push("door", _samples(3), "batch-1")
    assert (first["accepted"], first["again"], again["accepted"], again["again"]) == (3, False, 3, True)
    other = live.client.post("/api/v1/push/door", json=_samples(4), headers={"idempotency-key": "batch-1"})
    assert (other.status_code, other.json()["code"]) == (422, "key_used")
    _committed(live, "door", 3)
    assert live.ask("get", "/connections/door", "/connections/{name}")["received"] == 3


def test_lines_and_arrow_are_taken_and_what_is_wrong_is_named(live: Live) -> None:
    _running(live, "door")
    lines = "\n".join(json.dumps(s) for s in _samples(2))
    answer = live.client.post("/api/v1/push/door", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.json()["accepted"] == 2
    batch = pa.record_batch(
        {"tag": ["a", "b"], "time": pa.array([START, START], pa.timestamp("us", "UTC")), "value": [1.0, 2.0]}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    answer = live.client.post("/api/v1/push/door", content=bytes(sink.getvalue()), headers=headers)
    assert answer.json()["accepted"] == 2
    mixed = [*_samples(1), {"tag": "온도", "value": 1}, {"tag": 7, "time": START.isoformat(), "value": 1}]
    refused = live.push("door", mixed, status=422)
    assert refused["code"] == "bad_samples"
    assert [(p["index"], p["field"]) for p in refused["where"]["problems"]] == [(1, "time"), (2, "tag")]
    kept = live.push("door", mixed, query="?rest=keep")
    assert (kept["accepted"], kept["rejected"]) == (1, 2)
    _eventually(lambda: live.ask("get", "/quarantine/counts")["all"] >= 2)
    for content, form, code in (
        (b"{", "application/json", "bad_samples"),
        (b"x", "text/csv", "unknown_form"),
        (b"\x00" * 50, "application/vnd.apache.arrow.stream", "bad_samples"),
    ):
        answer = live.client.post("/api/v1/push/door", content=content, headers={"content-type": form})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    too_large = live.client.post("/api/v1/push/door", content=b"x" * ((64 << 20) + 1))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")


def test_what_cannot_be_done_says_why(live: Live) -> None:
    _running(live, "door")
    assert live.ask("get", "/connections/none", "/connections/{name}", 404)["code"] == "no_such_connection"
    assert live.push("none", [], status=404)["code"] == "no_such_connection"
    wrong = [
        ({"name": "../x", "kind": "http"}, "bad_name"),
        ({"name": "x", "kind": "telepathy"}, "no_such_kind"),
        ({"name": "door", "kind": "http"}, "connection_exists"),
        ({"name": "x", "kind": "http", "surprise": 1}, "invalid_request"),
    ]
    for body, code in wrong:
        assert live.ask("post", "/connections", status=422, json=body)["code"] == code
    assert (
        live.ask("post", "/connections/door/trust", "/connections/{name}/trust", 422, json={"thumbprint": "AB"})["code"]
        == "no_certificates"
    )
    assert live.ask("post", "/gaps/door-000001/backfill", "/gaps/{gap}/backfill", 404)["code"] == "no_gap"
    assert live.ask("get", "/connections/door/browse", "/connections/{name}/browse")["tags"] == []
    live.ask("post", "/connections/test", json={"kind": "http"})
    condition = {"name": "hot", "dataset": "door", "point": "온도", "op": ">", "value": 720}
    kept = live.client.post("/api/v1/conditions", json=condition)
    assert kept.status_code in (201, 404, 503)
    assert live.client.get("/api/v1/conditions?dataset=door").status_code in (200, 404)


def test_a_pasted_message_is_described(live: Live) -> None:
    message = json.dumps({"온도": 731.5, "time": "2026-03-02T08:00:00Z"}).encode()
    headers = {"content-type": "application/octet-stream"}
    described = live.ask(
        "post", "/connections/describe-payload?topic=1호기", "/connections/describe-payload", content=message, headers=headers
    )
    assert described["samples"][0]["value"] == 731.5
    unread = live.ask("post", "/connections/describe-payload", content=b"\xff\xfe{", headers=headers)
    assert unread["problem_ko"]


def test_a_pause_is_a_gap_and_a_removed_connection_keeps_its_data(live: Live) -> None:
    _running(live, "door")
    live.push("door", _samples(5))
    _committed(live, "door", 5)
    paused = live.ask("post", "/connections/door/pause", "/connections/{name}/pause")
    assert paused["state"] == "paused"
    assert live.push("door", _samples(1), status=503)["code"] == "connection_not_running"
    gaps = live.ask("get", "/gaps?connection=door&open=true", "/gaps")
    assert gaps["open"] >= 1
    [point] = live.ask("get", "/signals/door/points", "/signals/{dataset}/points")["points"]
    _eventually(lambda: live.ask("get", "/signals/door/last", "/signals/{dataset}/last")["values"][0]["stale"])
    assert point["connection"] == "door"
    chosen = live.ask("put", "/connections/door/tags", "/connections/{name}/tags", json={"tags": ["온도"]})
    assert chosen["chosen"] == ["온도"]
    removed = live.ask("delete", "/connections/door", "/connections/{name}")
    assert removed["dataset"] == "door"
    assert live.ask("get", "/connections")["connections"] == []
    assert live.ask("get", "/signals")["signals"][0]["samples"] == 5


def test_a_secret_goes_in_and_never_comes_out(live: Live, tmp_path: Path) -> None:
    secret = "Pl4nted-S3cret-0f-the-K1ln"
    url = f"postgresql://kim:{secret}@127.0.0.1:1/mes"
    made = live.client.post("/api/v1/connections", json={"name": "mes", "kind": "sql", "url": url, "wanted": "running"})
    assert made.status_code == 201
    _eventually(lambda: live.ask("get", "/connections/mes", "/connections/{name}")["state"] != "starting")
    heard = made.text + live.client.get("/api/v1/connections/mes").text + live.client.get("/connections/mes").text
    heard += live.client.post("/api/v1/connections/mes/test").text
    heard += live.client.post("/api/v1/connections/test", json={"kind": "sql", "url": url}).text
    assert secret not in heard
    assert live.ask("get", "/connections/mes", "/connections/{name}")["secrets"] == ["password"]
    assert [p for p in tmp_path.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()] == []


def test_live_values_come_as_they_change_and_say_how_old_they_are(live: Live) -> None:
    _running(live, "door")
    live.push("door", _samples(2))
    _committed(live, "door", 2)
    desk: LiveDesk = live.client.app.state.live  # type: ignore[attr-defined]

    async def watch() -> list[tuple[str, Any]]:
        events: list[tuple[str, Any]] = []
        stream = await Streams(desk).begin("door", None)
        pushed = False
        async for text in stream:
            kind, _, data = text.strip().partition("\ndata: ")
            events.append((kind.removeprefix("event: "), json.loads(data)))
            seen = [e for e in events if e[0] == "values"]
            if len(seen) == 1 and not pushed:
                pushed = True
                await asyncio.to_thread(live.push, "door", _samples(3, first=900.0))
            if len(seen) == 2:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return events

    events = asyncio.run(asyncio.wait_for(watch(), 30))
    values = [data["values"] for kind, data in events if kind == "values"]
    assert [v[0]["value"] for v in values] == [701.0, 902.0]
    assert values[0][0]["age_seconds"] > 0
    states = [data for kind, data in events if kind == "connections"]
    assert states[0][0]["name"] == "door"
    assert states[0][0]["state"] == "connected"
    missing = live.client.get("/api/v1/live?dataset=none")
    assert missing.status_code == 404


def _serve(root: Path, tmp_path: Path, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    ready = tmp_path / "ready.json"
    ready.unlink(missing_ok=True)
    environment = {**os.environ, "MADANG_WORKSPACE": str(root), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    process = subprocess.Popen(
        [sys.executable, "-m", "madang", "serve", "--ready", str(ready), "--quiet", *more], env=environment
    )
    _eventually(ready.exists, 60)
    return process, json.loads(ready.read_text())["url"]


def _post(url: str, document: object, key: str | None = None) -> tuple[int, Any]:
    headers = {"content-type": "application/json", **({"idempotency-key": key} if key else {})}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_what_was_answered_survives_a_kill_and_its_key_with_it(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    process, url = _serve(root, tmp_path)
    try:
        assert _post(f"{url}/api/v1/connections", {"name": "door", "kind": "http", "wanted": "running"})[0] == 201
        _eventually(lambda: _post(f"{url}/api/v1/push/door", _samples(1), "warm")[0] == 200)
        answers = [_post(f"{url}/api/v1/push/door", _samples(10, first=float(i)), f"key-{i}") for i in range(5)]
        assert [status for status, _ in answers] == [200] * 5
    finally:
        process.kill()
        process.wait(10)
    process, url = _serve(root, tmp_path)
    try:
        _eventually(lambda: _post(f"{url}/api/v1/push/door", _samples(1), "warm")[0] == 200)
        again = [_post(f"{url}/api/v1/push/door", _samples(10, first=float(i)), f"key-{i}")[1]["again"] for i in range(5)]
        assert again == [True] * 5
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    with Workspace.open(root) as workspace:
        assert sum(p.samples for p in workspace.library.points("door")) == 51


def test_a_server_that_leaves_connections_to_another_process_says_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    with Workspace.open(root) as workspace:
        workspace.connections.add("door", "http", "")
    process, url = _serve(root, tmp_path, "--no-connect")
    try:
        status, document = _post(f"{url}/api/v1/push/door", _samples(1))
        assert (status, document["code"]) == (503, "connection_not_running")
        assert "madang serve" in document["next_en"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
