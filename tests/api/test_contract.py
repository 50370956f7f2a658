"""What programs rely on: every route answers with the document that the published schema describes, errors included."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.api.live_routes import ACCOUNT_ROUTES, LIVE_ROUTES
from tests.console.conftest import TestClient, settled
from tests.console.documents import PretendWorkspace


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": root["components"], "$schema": "https://json-schema.org/draft/2020-12/schema"}


_SCHEMA: dict[str, Any] = {}


def _schema(client: TestClient) -> dict[str, Any]:
    if not _SCHEMA:
        _SCHEMA.update(client.get("/api/v1/openapi.json").json())
    return _SCHEMA


def _check(client: TestClient, path: str, method: str, status: int, document: object) -> None:
    root = _schema(client)
    answer = root["paths"][path][method]["responses"][str(status)]
    schema = answer["content"]["application/json"]["schema"]
    jsonschema.validate(document, _resolve(schema, root))


READS = [
    ("/health", "/health"),
    ("/api/v1/datasets", "/api/v1/datasets"),
    ("/api/v1/datasets", "/api/v1/datasets?q=온도"),
    ("/api/v1/datasets/{name}", "/api/v1/datasets/소성로"),
    ("/api/v1/datasets/{name}", "/api/v1/datasets/소성로?version=1"),
    ("/api/v1/datasets/{name}/trend", "/api/v1/datasets/소성로/trend?column=1구역 온도&width=300"),
    ("/api/v1/quarantine", "/api/v1/quarantine"),
    ("/api/v1/quarantine", "/api/v1/quarantine?dataset=소성로&limit=3"),
    ("/api/v1/mappings", "/api/v1/mappings?show=all"),
    ("/api/v1/studies", "/api/v1/studies"),
]


@pytest.mark.parametrize(("path", "url"), READS)
def test_a_read_answers_as_its_schema_says(client: TestClient, path: str, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200
    _check(client, path, "get", 200, answer.json())


def test_every_route_of_the_schema_is_tried_here(client: TestClient) -> None:
    tried = {
        *((path, "get") for path, _ in READS),
        ("/api/v1/datasets/{name}/about", "put"), ("/api/v1/replay", "post"), ("/api/v1/undo", "post"), ("/api/v1/redo", "post"),
        ("/api/v1/mappings", "post"), ("/api/v1/intake", "post"), ("/api/v1/studies", "post"), ("/api/v1/studies/{study}", "get"),
        ("/api/v1/studies/{study}/run", "post"), ("/api/v1/studies/{study}/cancel", "post"), ("/api/v1/studies/{study}/intake", "get"),
        ("/api/v1/studies/{study}/report", "get"),
    }  # fmt: skip
    paths = _schema(client)["paths"]
    # Those of living data are tried in `test_live`, those of accounts in `test_accounts`.
    assert {(path, method) for path, methods in paths.items() for method in methods} == tried | LIVE_ROUTES | ACCOUNT_ROUTES


def test_every_route_says_what_it_does_and_which_errors_it_gives(client: TestClient) -> None:
    for path, methods in _schema(client)["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["tags"]
            if path != "/health":
                failures = {k: v for k, v in operation["responses"].items() if k >= "400"}
                assert {"403", "404", "413", "422", "500"} <= set(failures)
                assert all(f["content"]["application/json"]["schema"]["$ref"].endswith("/Failure") for f in failures.values())


CHANGES = [
    ("/api/v1/undo", {"id": "u12"}),
    ("/api/v1/replay", {"dataset": "소성로"}),
    ("/api/v1/mappings", {"dataset": "소성로", "column": "PV_07", "kind": "pressure", "unit": "kPa"}),
]


@pytest.mark.parametrize(("path", "body"), CHANGES)
def test_a_change_answers_as_its_schema_says(client: TestClient, path: str, body: dict[str, str]) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 200
    _check(client, path, "post", 200, answer.json())


def test_undoing_reaches_the_library_and_can_be_taken_back(client: TestClient, workspace: PretendWorkspace) -> None:
    made = client.post("/api/v1/undo", json={"id": "u12"}).json()
    assert (made["dataset"], made["version"]) == ("소성로", 3)
    assert workspace.library.undone == ["u12"]
    again = client.post("/api/v1/redo", json={"id": "u12"})
    _check(client, "/api/v1/redo", "post", 200, again.json())
    assert workspace.library.undone == []


def test_a_confirmed_mapping_is_kept_with_what_the_person_changed(client: TestClient, workspace: PretendWorkspace) -> None:
    body = {"dataset": "소성로", "column": "PV_07", "role": "actual", "kind": "pressure", "unit": "kPa"}
    column = client.post("/api/v1/mappings", json=body).json()
    assert (column["status"], column["kind_of_quantity"], column["unit"]) == ("accepted", "pressure", "kPa")
    assert workspace.library.accepted == [("소성로", "PV_07", "actual", "pressure", "kPa")]


def test_what_people_say_about_a_dataset_is_kept(client: TestClient, workspace: PretendWorkspace) -> None:
    answer = client.put("/api/v1/datasets/소성로/about", json={"process": "소성", "importance": "core"})
    _check(client, "/api/v1/datasets/{name}/about", "put", 200, answer.json())
    assert workspace.library.said == {"process": "소성", "importance": "core"}
    assert answer.json()["said"]["process"] == "소성"


def test_an_intake_answers_with_its_document(client: TestClient) -> None:
    answer = client.post("/api/v1/intake", files=[("files", ("a.csv", b"1,2"))])
    _check(client, "/api/v1/intake", "post", 200, answer.json())
    assert answer.json()["schema"] == "intake/1"


def test_a_study_goes_from_files_to_a_report(client: TestClient) -> None:
    made = client.post("/api/v1/studies", files=[("files", ("소성로.csv", b"1,2")), ("files", ("소성로.csv", b"3,4"))])
    assert made.status_code == 201
    _check(client, "/api/v1/studies", "post", 201, made.json())
    assert [f["name"] for f in made.json()["files"]] == ["소성로.csv", "소성로 (2).csv"]
    url = f"/api/v1/studies/{made.json()['id']}"
    assert settled(client, made.json()["id"], "ready")["state"] == "ready"
    _check(client, "/api/v1/studies/{study}/intake", "get", 200, client.get(f"{url}/intake").json())
    assert client.get(f"{url}/report").json()["code"] == "not_ready"
    started = client.post(f"{url}/run", json={"target": "잔류 리튬", "exclude": ["비고"], "money": {"cost_once": [1, 2, 3]}})
    _check(client, "/api/v1/studies/{study}/run", "post", 200, started.json())
    state = settled(client, made.json()["id"], "done")
    _check(client, "/api/v1/studies/{study}", "get", 200, state)
    report = client.get(str(state["report"]))
    _check(client, "/api/v1/studies/{study}/report", "get", 200, report.json())
    assert report.json()["schema"] == "study/1"


def test_a_running_study_can_be_stopped_and_leaves_no_result(client: TestClient, read_study: str) -> None:
    client.post(f"/api/v1/studies/{read_study}/run", json={"budget": 600})
    stopped = client.post(f"/api/v1/studies/{read_study}/cancel")
    _check(client, "/api/v1/studies/{study}/cancel", "post", 200, stopped.json())
    assert stopped.json()["state"] == "cancelled"
    assert client.get(f"/api/v1/studies/{read_study}/report").json()["code"] == "not_ready"


def test_only_one_study_is_computed_at_a_time(client: TestClient, read_study: str) -> None:
    client.post(f"/api/v1/studies/{read_study}/run", json={"budget": 600})
    other = client.post("/api/v1/studies", files=[("files", ("b.csv", b"1"))]).json()["id"]
    assert settled(client, other, "ready")["state"] == "ready"
    refused = client.post(f"/api/v1/studies/{other}/run", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "busy")
    client.post(f"/api/v1/studies/{read_study}/cancel")
    assert client.post(f"/api/v1/studies/{other}/run", json={}).status_code == 200


def test_files_that_cannot_be_read_say_why(client: TestClient) -> None:
    made = client.post("/api/v1/studies", files=[("files", ("setup.exe", b"MZ"))]).json()
    state: Any = settled(client, made["id"], "failed")
    assert state["error"]["code"] == "unreadable_file"
    assert state["error"]["next_ko"]


WRONG = [
    ("get", "/api/v1/nothing", 404, "not_found"),
    ("get", "/api/v1/datasets/none", 404, "no_such_dataset"),
    ("get", "/api/v1/datasets/소성로?version=x", 422, "invalid_request"),
    ("get", "/api/v1/datasets/소성로?version=0", 422, "invalid_request"),
    ("get", "/api/v1/datasets/소성로/trend", 422, "invalid_request"),
    ("get", "/api/v1/datasets/소성로/trend?column=로트", 404, "no_column"),
    ("get", "/api/v1/datasets/소성로/trend?column=1구역 온도&from=2026-05-01T00:00:00", 422, "no_zone"),
    ("get", "/api/v1/datasets/소성로/trend?column=1구역 온도&width=99999999", 422, "invalid_request"),
    ("get", "/api/v1/studies/0123456789ab", 404, "no_study"),
    ("get", "/api/v1/studies/..%2f..%2fetc", 404, "not_found"),
    ("get", "/api/v1/studies/ABC", 422, "invalid_request"),
    ("delete", "/api/v1/datasets", 405, "wrong_method"),
    ("post", "/api/v1/undo", 422, "invalid_request"),
    ("post", "/api/v1/intake", 422, "invalid_request"),
]


@pytest.mark.parametrize(("method", "url", "status", "code"), WRONG)
def test_every_error_is_a_document_in_both_languages(client: TestClient, method: str, url: str, status: int, code: str) -> None:
    answer = client.request(method, url)
    document = answer.json()
    assert (answer.status_code, document["schema"], document["code"]) == (status, "error/1", code)
    assert document["message_ko"]
    assert document["message_en"]
    root = _schema(client)
    jsonschema.validate(document, _resolve(root["components"]["schemas"]["Failure"], root))


def test_an_error_names_the_field_and_never_repeats_the_value(client: TestClient) -> None:
    answer = client.post("/api/v1/undo", json={"id": "010-1234-5678", "surprise": "secret"})
    assert "secret" not in answer.text
    assert "010-1234" not in answer.text
    assert answer.json()["where"]["fields"] == ["surprise"]


def test_a_fault_is_a_document_without_the_trace(
    client: TestClient, workspace: PretendWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError(name)

    workspace.library.card = broken  # type: ignore[assignment,method-assign]
    answer = client.get("/api/v1/datasets/소성로")
    assert (answer.status_code, answer.json()["code"]) == (500, "fault")
    assert "ZeroDivision" not in answer.text
    assert answer.json()["where"]["report"] in caplog.text
