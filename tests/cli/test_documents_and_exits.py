"""Every verb of data says what it did in a document that fits its schema, and ends with the exit code that was promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from madang.cli import main

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb in a folder of its own; its exit code and its document, which has been held against its schema."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MADANG_WORKSPACE", str(tmp_path / "작업 공간"))

    def run_(*arguments: str) -> tuple[int, dict[str, Any]]:
        target = tmp_path / "document.json"
        target.unlink(missing_ok=True)
        code = main([*arguments, "--json", str(target), "--lang", "en"])
        if not target.exists():
            return code, {}
        document: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"), parse_constant=_no_constant)
        schema = str(document["schema"])
        rules = json.loads(files("madang").joinpath(f"schemas/{schema.replace('/', '-')}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(rules)
        jsonschema.Draft202012Validator(rules).validate(document)
        return code, document

    return run_


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def write_lots(folder: Path) -> None:
    """Write a log of lots, their results (one lot twice, so that it is ambiguous), and a broken record."""
    log = ["time,lot,temperature [degC]"]
    log += [f"2026-01-01 {hour:02d}:00:00,LOT-{hour:03d},{800 + hour * 0.5}" for hour in range(24)]
    (folder / "log.csv").write_text("\n".join([*log, "broken,line,with,too,many,fields"]) + "\n", encoding="utf-8")
    results = ["sampled,lot,density [g/cm3]"]
    results += [f"2026-01-02 {hour:02d}:00:00,LOT-{hour:03d},{2.1 + hour * 0.01:.2f}" for hour in range(20)]
    results.append("2026-01-02 23:00:00,LOT-003,9.99")
    (folder / "lab.csv").write_text("\n".join(results) + "\n", encoding="utf-8")


def test_every_verb_of_data_writes_a_document_that_fits_its_schema(tmp_path: Path, run: Run) -> None:
    write_lots(tmp_path)
    seen = {}
    for arguments in (
        ("library", "list"),
        ("intake", "log.csv", "lab.csv"),
        ("intake", "log.csv"),
        ("library", "list"),
        ("library", "card", "log"),
        ("library", "search", "온도"),
        ("library", "map", "--review"),
        ("library", "map", "--review", "--dataset", "log"),
        ("library", "map", "--dataset", "log", "--column", "temperature", "--unit", "K"),
        ("library", "map", "--dataset", "log", "--column", "lot", "--reject"),
        ("library", "describe", "log", "--process", "firing"),
        ("library", "quarantine", "log"),
        ("library", "quarantine", "log", "--replay"),
        ("library", "export", "log", "--out", "log.parquet", "--form", "long"),
        ("library", "join", "--left", "log", "--right", "lab", "--by", "lot", "--out", "joined.csv"),
        ("library", "compact", "log"),
        ("library", "undo", "u1"),
        ("library", "redo", "u1"),
        ("doctor",),
    ):
        code, document = run(*arguments)
        assert (code, document["madang"] != "") == (0, True), arguments
        seen[document["schema"]] = document
    assert sorted(seen) == sorted(
        f"{word}/1"
        for word in [
            "card",
            "compact",
            "doctor",
            "export",
            "intake",
            "join",
            "library-list",
            "mapping",
            "mapping-review",
            "quarantine",
            "redo",
            "replay",
            "search",
            "undo",
        ]
    )
    assert seen["card/1"]["process"] == "firing"


def test_rows_that_may_belong_to_two_are_listed_and_never_in_the_output(tmp_path: Path, run: Run) -> None:
    write_lots(tmp_path)
    run("intake", "log.csv", "lab.csv")
    code, document = run("library", "join", "--left", "log", "--right", "lab", "--by", "lot", "--out", "joined.csv")
    lines = (tmp_path / "joined.csv").read_text(encoding="utf-8").splitlines()
    assert code == 0
    assert document["rows_left"] == document["rows_joined"] + document["rows_unmatched"] + document["rows_ambiguous"] == 24
    assert (len(lines) - 1, document["rows_unmatched"]) == (document["rows_joined"], 4)
    for row in document["ambiguous"]:
        assert not any(f"LOT-{row['row'] - 1:03d}" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("library", "card", "nope"), 3, "no_such_dataset"),
        (("library", "card", "log@9"), 3, "no_such_version"),
        (("library", "undo", "u99"), 3, "no_such_step"),
        (("library", "redo", "u1"), 3, "not_undone"),
        (("library", "export", "log", "--out", "x.doc"), 3, "unknown_ending"),
        (("library", "export", "log", "--out", "none/x.csv"), 3, "cannot_write"),
        (("library", "map", "--dataset", "log", "--column", "temperature", "--kind", "pressure"), 3, "unit_of_another_kind"),
        (("intake", "nothing-here.csv"), 3, "no_such_path"),
        (("intake", "lab.csv", "--zone", "Mars/Base"), 3, "unknown_zone"),
        (("intake", "lab.csv", "--dataset", "lab@2"), 3, "bad_dataset_name"),
        (("intake", "people.csv", "--strict"), 5, "strict"),
    ],
)
def test_a_command_that_cannot_do_it_writes_an_error_document(
    tmp_path: Path, run: Run, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    write_lots(tmp_path)
    run("intake", "log.csv")
    people = ["name,phone,value"] + [f"김철수,010-1234-{1000 + i},{i}" for i in range(30)]
    (tmp_path / "people.csv").write_text("\n".join(people) + "\n", encoding="utf-8")
    before = run("library", "list")[1]["datasets"]
    found, document = run(*arguments)
    assert (found, document["schema"], document["code"]) == (exit_code, "error/1", code)
    assert not any(word in json.dumps(document, ensure_ascii=False) for word in ("김철수", "010-1234"))
    assert run("library", "list")[1]["datasets"] == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-verb",),
        ("intake",),
        ("library", "export", "log"),
        ("library", "export", "log", "--out", "x.csv", "--form", "tall"),
        ("library", "map", "--accept"),
        ("library", "map", "--dataset", "log", "--column", "temperature"),
        ("library", "map", "--dataset", "log", "--column", "temperature", "--accept", "--reject"),
        ("library", "describe", "log"),
        ("library", "list", "--lang", "fr"),
        ("library", "list", "--lang"),
    ],
)
def test_a_command_used_wrongly_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments]) == 2
    assert not (tmp_path / "x.csv").exists()


def test_where_the_report_goes_is_looked_at_before_anything_is_stored(tmp_path: Path, run: Run) -> None:
    write_lots(tmp_path)
    assert main(["intake", "log.csv", "--json", "none/report.json"]) == 2
    assert run("library", "list")[1]["datasets"] == []


def test_a_device_or_pipe_that_the_report_goes_to_stays_what_it_is(tmp_path: Path, run: Run) -> None:
    del run
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert main(["doctor", "--json", str(pipe)]) == 0
        assert json.loads(reader.communicate(timeout=20)[0])["schema"] == "doctor/1"
    assert pipe.is_fifo()


def test_the_owner_named_in_the_settings_may_export_and_join(tmp_path: Path, run: Run) -> None:
    write_lots(tmp_path)
    (tmp_path / "작업 공간").mkdir()
    (tmp_path / "작업 공간" / "workspace.toml").write_text('format = 1\nowner = "김 공장장"\n', encoding="utf-8")
    run("intake", "log.csv", "lab.csv")
    assert run("library", "export", "log", "--out", "log.csv.parquet")[0] == 0
    assert run("library", "join", "--left", "log", "--right", "lab", "--out", "joined.csv")[0] == 0
    assert run("library", "card", "log")[1]["party"] == "김 공장장"


def _process(tmp_path: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m madang {command}'],
        cwd=tmp_path,
        env={**os.environ, "MADANG_WORKSPACE": str(tmp_path / "ws"), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_standard_output_bears_the_document_and_nothing_else(tmp_path: Path) -> None:
    write_lots(tmp_path)
    done = _process(tmp_path, "intake log.csv --json -", LANG="ko_KR.UTF-8", LC_ALL="")
    assert (done.returncode, json.loads(done.stdout)["schema"]) == (0, "intake/1")
    assert "넣었어요" in done.stderr.decode()


@pytest.mark.parametrize(("closed", "exit_code"), [(">&-", 2), ("2>&-", 0)])
def test_closed_streams_are_no_fault(tmp_path: Path, closed: str, exit_code: int) -> None:
    assert _process(tmp_path, f"doctor --json - {closed}").returncode == exit_code


def test_a_terminal_that_has_no_hangul_is_spoken_to_all_the_same(tmp_path: Path) -> None:
    done = _process(tmp_path, "doctor --lang ko", PYTHONIOENCODING="ascii")
    assert (done.returncode, b"Python" in done.stderr) == (0, True)
