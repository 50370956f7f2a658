"""A workspace says where its catalogue stands, and never the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from madang.errors import InputError
from madang.workspace import Workspace
from madang.workspace._catalogue import catalogue_address
from madang.workspace._secrets import Secrets, conceal

ADDRESS = "postgresql+psycopg://madang@db.plant:5433/plant"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws" / "workspace.toml"


def test_the_password_is_looked_up_and_taken_out_of_texts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_DB", "p@ss/wörd:1")
    found = catalogue_address(file, ADDRESS, None, "env:KILN_DB")
    assert found == "postgresql+psycopg://madang:p%40ss%2Fw%C3%B6rd%3A1@db.plant:5433/plant"
    assert "p@ss" not in conceal(f"{found} p@ss/wörd:1") and "p%40ss" not in conceal(found)


def test_the_password_may_stand_in_a_file_or_in_the_box_of_secrets(file: Path) -> None:
    place = file.parent / "password"
    place.write_text("from-a-file\n")
    assert "madang:from-a-file@" in catalogue_address(file, ADDRESS, None, f"file:{place}")
    Secrets(file.parent).put("state", "password", "from-the-box")
    assert "madang:from-the-box@" in catalogue_address(file, ADDRESS, None, "stored")


def test_a_whole_address_may_stand_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_DB", "postgresql://u:secret-in-address@h/d")
    assert catalogue_address(file, "env:KILN_DB", None, None) == "postgresql://u:secret-in-address@h/d"
    assert "secret-in-address" not in conceal("u:secret-in-address@h")


def test_a_schema_goes_into_the_address_beside_what_stands_there(file: Path) -> None:
    assert catalogue_address(file, ADDRESS, "kiln", None) == f"{ADDRESS}?options=-csearch_path%3Dkiln"
    beside = catalogue_address(
        file, f"{ADDRESS}?sslmode=verify-full&options=-csearch_path%3Da%20-cwork_mem%3D9MB", "kiln", None
    )
    assert beside == f"{ADDRESS}?sslmode=verify-full&options=-cwork_mem%3D9MB%20-csearch_path%3Dkiln"


@pytest.mark.parametrize(
    ("state", "schema", "password", "code"),
    [
        ("postgresql://madang:hunter22@db/plant", None, None, "password_in_plain_text"),
        ("postgresql://madang@db/plant?password=hunter22", None, None, "password_in_plain_text"),
        (ADDRESS, None, "hunter22", "password_in_plain_text"),
        (ADDRESS, None, "env:NOT_THERE_AT_ALL", "no_such_secret"),
        ("env:NOT_THERE_AT_ALL", None, None, "no_such_secret"),
        (ADDRESS, "Kiln; DROP", None, "no_such_schema_name"),
        ("postgresql://db:port/plant", None, None, "no_such_catalogue_place"),
    ],
)
def test_what_cannot_be_or_tells_a_password_is_refused_with_a_next_step(
    file: Path, state: str, schema: str | None, password: str | None, code: str
) -> None:
    lines = {"state": state, "state_schema": schema, "state_password": password}
    file.write_text("format = 1\n" + "".join(f'{k} = "{v}"\n' for k, v in lines.items() if v is not None), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        Workspace.open(file.parent)
    assert refused.value.code == code and refused.value.next_en and refused.value.next_ko
    assert "hunter22" not in f"{refused.value.en}{refused.value.ko}{refused.value.where}"
    assert not (file.parent / "state.sqlite").exists()
