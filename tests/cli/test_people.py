"""Accounts are made from the command line; a password is on no command line and in no file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from madang.cli import main

Run = Callable[..., tuple[int, dict[str, Any]]]
PASSWORD = "Pl4nted passw0rd 긴 것"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb; `typed` is its standard input."""
    monkeypatch.setenv("MADANG_WORKSPACE", str(tmp_path / "ws"))

    def run_(*arguments: str, typed: str = "") -> tuple[int, dict[str, Any]]:
        target = tmp_path / "document.json"
        target.unlink(missing_ok=True)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = main([*arguments, "--json", str(target), "--lang", "en"])
        document: dict[str, Any] = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
        if document:
            name = str(document["schema"]).replace("/", "-")
            rules = json.loads(files("madang").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8"))
            jsonschema.Draft202012Validator(rules).validate(document)
        return code, document

    return run_


def test_people_come_and_change_and_the_first_is_a_steward(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, document = run("people", "add", "lee", "--role", "viewer", typed=PASSWORD)
    assert (code, document["code"]) == (4, "first_is_steward")
    code, document = run("people", "add", "kim", "--role", "steward", "--name", "김 반장", typed=f"{PASSWORD}\n")
    assert (code, document["first"]) == (0, True)
    assert run("people", "add", "lee", "--role", "viewer", typed=PASSWORD)[1]["first"] is False
    assert run("people", "add", "lee", "--role", "viewer", typed=PASSWORD)[1]["code"] == "login_exists"
    assert run("people", "add", "park", "--role", "viewer", typed="short")[1]["code"] == "password_too_short"
    assert run("people", "role", "lee", "engineer")[1]["role"] == "engineer"
    assert run("people", "role", "kim", "viewer")[1]["code"] == "last_steward"
    assert run("people", "password", "lee", typed="another long password")[0] == 0
    assert run("people", "password", "nobody", typed=PASSWORD)[1]["code"] == "no_such_account"
    found = {each["login"]: (each["role"], each["name"]) for each in run("people", "list")[1]["people"]}
    assert found == {"kim": ("steward", "김 반장"), "lee": ("engineer", "lee")}
    token = run("people", "token", "lee", "--label", "PC")[1]["token"]
    assert run("people", "token", "lee", "--label", "PC", "--revoke")[1]["revoked"] == 1
    heard = "".join(capfd.readouterr())
    (tmp_path / "document.json").unlink()
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert PASSWORD not in heard
    assert PASSWORD.encode() not in kept
    assert token.encode() not in kept


def test_the_secret_for_the_provider_is_kept_encrypted_and_never_said(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADANG_SECRET_KEY", "11" * 32)
    code, document = run("people", "oidc-secret", typed=f"{PASSWORD}\n")
    assert (code, document["reference"]) == (0, "secret:oidc")
    assert PASSWORD not in "".join(capfd.readouterr())
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert PASSWORD.encode() not in kept
    assert run("people", "oidc-secret", typed="")[1]["code"] == "bad_secret"
