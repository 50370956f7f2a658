"""The verbs about connections say what they did in plain words and in a document, end as promised, and show no secret."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from madang.cli import main

Run = Callable[..., tuple[int, dict[str, Any]]]
SECRET = "Pl4nted-S3cret-0f-the-K1ln"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb in a folder of its own; its exit code and its document, held against its schema."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MADANG_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run_(*arguments: str) -> tuple[int, dict[str, Any]]:
        target = tmp_path / "document.json"
        target.unlink(missing_ok=True)
        code = main([*arguments, "--json", str(target), "--lang", "en"])
        if not target.exists():
            return code, {}
        document: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        name = str(document["schema"]).replace("/", "-")
        rules = json.loads(files("madang").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(rules).validate(document)
        return code, document

    return run_


def _rest(code: int, document: dict[str, Any]) -> tuple[int, str]:
    return code, str(document.get("code", ""))


def test_a_connection_is_made_paused_started_and_removed(run: Run) -> None:
    code, made = run("connect", "add", "door", "--kind", "http", "--set", "rest=keep", "--paused")
    assert (code, made["wanted"], made["options"], made["dataset"]) == (0, "paused", {"rest": "keep"}, "door")
    assert run("connect", "start", "door")[1]["wanted"] == "running"
    assert run("connect", "pause", "door")[1]["wanted"] == "paused"
    code, status = run("connect", "status")
    assert (code, [(c["name"], c["state"]) for c in status["connections"]]) == (0, [("door", "paused")])
    assert run("connect", "remove", "door")[0] == 0
    assert run("connect", "status")[1]["connections"] == []


def test_what_does_not_fit_ends_with_its_exit_code(run: Run) -> None:
    assert _rest(*run("connect", "add", "../x", "--kind", "http")) == (3, "bad_name")
    assert _rest(*run("connect", "add", "x", "--kind", "telepathy")) == (3, "no_such_kind")
    assert _rest(*run("connect", "add", "x", "--kind", "sql", "--url", "ftp://x")) == (3, "bad_url")
    assert _rest(*run("connect", "add", "x", "--kind", "http", "--set", "surprise=1")) == (3, "bad_option")
    assert _rest(*run("connect", "test", "nobody")) == (3, "no_such_connection")
    assert run("connect", "add", "x", "--kind", "http", "--set", "nothing")[0] == 2
    assert run("connect", "add", "x", "--kind", "http", "--secret", f"password={SECRET}")[0] == 2
    assert run("connect", "run", "--idle", "soon")[0] == 2
    assert run("connect", "status")[1]["connections"] == []


def test_a_test_that_passes_ends_with_0_and_one_that_fails_with_5(run: Run, tmp_path: Path) -> None:
    run("connect", "add", "door", "--kind", "http")
    code, document = run("connect", "test", "door")
    assert (code, document["passed"]) == (0, True)
    run("connect", "add", "mes", "--kind", "sql", "--url", f"sqlite:///{tmp_path}/nowhere/none.db")
    code, document = run("connect", "test", "mes")
    assert (code, document["passed"]) == (5, False)
    assert document["steps"][-1]["state"] == "failed"
    assert document["steps"][-1]["text_ko"]


def test_every_kind_says_what_it_takes(run: Run) -> None:
    code, document = run("connect", "kinds")
    assert code == 0
    assert "http" in {kind["kind"] for kind in document["kinds"]}


def test_no_secret_is_in_any_file_or_word(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILN_TOKEN", f"{SECRET}-env")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    url = f"postgresql://kim:{SECRET}-url@127.0.0.1:1/mes"
    run("connect", "add", "mes", "--kind", "sql", "--url", url)
    run("connect", "test", "mes")
    run("connect", "add", "mes", "--kind", "sql", "--url", url)
    run("connect", "browse", "mes")
    run("connect", "run", "--until", "0.5s")
    run("connect", "status")
    heard = "".join(capfd.readouterr())
    assert "mes" in heard
    assert SECRET not in heard
    found = [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert found == []


def test_a_report_of_a_fault_holds_no_secret(tmp_path: Path) -> None:
    program = (
        "import sys, madang.workspace as w\nfrom madang.cli import main\nfrom madang.workspace._secrets import remember\n"
        f"remember({SECRET!r})\n"
        f"def broken(*a, **k): raise ZeroDivisionError('log-in with ' + {SECRET!r})\n"
        "w.Workspace.open = broken\nsys.exit(main(['connect', 'status', '--lang', 'en']))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    [report] = tmp_path.glob("madang-fault-*.txt")
    text = report.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in text
    assert SECRET not in text + done.stdout + done.stderr


def test_a_secret_comes_in_by_standard_input_when_nobody_is_there_to_ask(tmp_path: Path) -> None:
    environment = {**os.environ, "MADANG_WORKSPACE": str(tmp_path / "ws"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    command = [sys.executable, "-m", "madang", "connect", "add", "x", "--kind", "http", "--secret", "token", "--json", "-"]
    done = subprocess.run(command, input=f"{SECRET}\n", env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["secrets"] == ["token"]
    assert SECRET not in done.stdout + done.stderr
    assert [p for p in tmp_path.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()] == []


def _readings(path: Path, count: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, temperature REAL)")
        db.executemany("INSERT INTO readings VALUES (?, ?)", [(i, 700 + i / 10) for i in range(count)])


def test_a_run_that_is_told_to_stop_ends_cleanly_and_everything_is_counted(tmp_path: Path, run: Run) -> None:
    _readings(tmp_path / "mes.db", 50)
    run("connect", "add", "mes", "--kind", "sql", "--url", f"sqlite:///{tmp_path}/mes.db", "--set", "every=1")
    environment = {**os.environ, "MADANG_WORKSPACE": str(tmp_path / "ws")}
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "madang", "connect", "run", "--ready", str(ready), "--lang", "en"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        status: dict[str, Any] = {}
        while time.monotonic() < end:
            _, status = run("connect", "status")
            if status["connections"][0]["committed"] >= 50:
                break
            assert process.poll() is None
            time.sleep(0.2)
        assert status["runner"]["running"] is True
        assert _rest(*run("connect", "run", "--until", "1s")) == (3, "runner_elsewhere")
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert not ready.exists()
    code, status = run("connect", "status")
    [mes] = status["connections"]
    assert (code, status["runner"]["running"], mes["state"]) == (0, False, "stopped")
    assert (mes["received"], mes["durable"], mes["committed"], mes["oldest_uncommitted"]) == (50, 50, 50, None)
