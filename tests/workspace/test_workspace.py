"""One opened installation: made when missing, safe with two users, and clear about what it cannot open."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from madang.errors import InputError
from madang.library._state import State
from madang.workspace import Settings, Workspace

METER = "time,temperature [Cel]\n" + "".join(f"2026-01-01 {h:02d}:00:00,{20 + h * 0.5}\n" for h in range(24))


def write(path: Path, text: str = METER) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_workspace_is_made_in_a_folder_with_korean_letters_and_blanks_and_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "우리 공장" / "작업 공간"
    with Workspace.open(place) as workspace:
        assert workspace.settings == Settings()
        workspace.library.intake([write(tmp_path / "meter.csv")])
    with Workspace.open(place) as workspace:
        assert len(workspace.library.read("meter", reader="owner", purpose="show").table) == 24


def test_settings_are_read_from_the_file_a_person_can_change(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "ws").close()
    file = tmp_path / "ws" / "workspace.toml"
    text = file.read_text(encoding="utf-8").replace("Asia/Seoul", "Europe/Berlin").replace('"owner"', '"김 공장장"')
    file.write_text(text, encoding="utf-8")
    with Workspace.open(tmp_path / "ws") as workspace:
        assert (workspace.settings.zone, workspace.library.zone) == ("Europe/Berlin", "Europe/Berlin")
        (table,) = workspace.library.intake([write(tmp_path / "meter.csv")]).tables
        assert table.time_first == datetime(2025, 12, 31, 23, 0, tzinfo=UTC)
        assert workspace.library.read("meter", reader="김 공장장", purpose="show").decision.allow


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        Workspace.open(write(tmp_path / "ws"))
    assert refused.value.code == "workspace_is_a_file"
    with pytest.raises(InputError):
        Workspace.open(tmp_path / "ws" / "below")


def test_a_workspace_of_a_newer_format_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "ws").close()
    file = tmp_path / "ws" / "workspace.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("format = 1", "format = 2"), encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(InputError) as refused:
        Workspace.open(tmp_path / "ws")
    assert (refused.value.code, file.read_bytes()) == ("newer_workspace", before)


def test_a_catalogue_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "ws").close()
    state = State(tmp_path / "ws")
    with state.begin() as db:
        db.execute(sa.text("UPDATE meta SET value = '99' WHERE key = 'schema_version'"))
    state.close()
    with pytest.raises(InputError) as refused:
        Workspace.open(tmp_path / "ws")
    assert refused.value.code == "newer_workspace"


@pytest.mark.usefixtures("sqlite_state")
def test_a_catalogue_that_is_no_database_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "state.sqlite").write_bytes(b"not a database at all, but long enough to look at" * 20)
    with pytest.raises(InputError) as refused:
        Workspace.open(tmp_path / "ws")
    assert refused.value.code == "catalogue_unreadable"


@pytest.mark.parametrize(
    "text", ["format = ", "zone = 'Asia/Seoul'", "format = 1\nzone = 'Mars/Base'", "format = 1\nlanguage = 'de'"]
)
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "ws").mkdir()
    write(tmp_path / "ws" / "workspace.toml", text)
    with pytest.raises(InputError) as refused:
        Workspace.open(tmp_path / "ws")
    assert "workspace.toml" in refused.value.en


BRING_IN = """
import sys
from pathlib import Path
from madang.workspace import Workspace
with Workspace.open(Path(sys.argv[1])) as workspace:
    print("ready", flush=True)
    sys.stdin.readline()
    workspace.library.intake([Path(sys.argv[2])])
"""


def test_two_processes_bring_files_in_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    files = [
        write(tmp_path / name, METER.replace("2026-01-01", day))
        for name, day in (("meter_1.csv", "2026-01-01"), ("meter_2.csv", "2026-01-02"))
    ]
    Workspace.open(tmp_path / "ws").close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BRING_IN, str(tmp_path / "ws"), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for file in files
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Workspace.open(tmp_path / "ws") as workspace:
        listed: Any = workspace.library.list()
        assert [(d["version"], d["rows"]) for d in listed["datasets"]] == [(2, 48)]


def test_readers_go_on_while_somebody_writes(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.library.intake([write(tmp_path / "meter.csv")])
        rows: list[int] = []

        def read() -> None:
            for _ in range(5):
                rows.append(len(workspace.library.read("meter@1", reader="owner", purpose="show").table))

        thread = threading.Thread(target=read)
        thread.start()
        workspace.library.intake([write(tmp_path / "other.csv", METER.replace("temperature", "pressure"))])
        thread.join()
        assert rows == [24] * 5
        assert len(workspace.library.decisions()) == 5


def test_bad_input_leaves_the_workspace_as_it_was(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.library.intake([write(tmp_path / "meter.csv")])
        before = workspace.library.list()
        (tmp_path / "empty.csv").write_bytes(b"")
        (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 40)
        (tmp_path / "folder").mkdir()
        for bad in ("empty.csv", "binary.csv", "folder", "absent.csv"):
            with pytest.raises(InputError):
                workspace.library.intake([tmp_path / bad])
        assert workspace.library.list() == before
