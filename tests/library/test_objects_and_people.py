"""Saved objects keep their versions; people are known without their secrets being kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from madang.errors import InputError, RefusedError
from madang.library import Library
from madang.library._state import State, metadata
from tests.library.plant_files import open_library


def test_an_object_saved_again_is_a_new_version_and_the_older_one_stays(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.put_object("model", "순도", b"first", facts={"seed": 1}, inputs=["meter@1"])
        second = library.put_object("model", "순도", b"second")
        assert second.version == 2
        assert library.get_object("model", "순도")[0] == b"second"
        payload, found = library.get_object("model", "순도@1")
        assert (payload, found.facts, found.inputs) == (b"first", {"seed": 1}, ("meter@1",))
        assert [o.version for o in library.objects("model")] == [1, 2]
        with pytest.raises(InputError) as error:
            library.get_object("model", "없음")
        assert error.value.where["known"] == ["순도"]


def test_a_token_is_known_until_it_is_revoked_or_expires_and_never_stands_in_the_files(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    with Library.open(tmp_path / "ws", clock=lambda: now[0], zone="Asia/Seoul") as library:
        people = library.people
        people.add_party("kim", "김 기사")
        people.add_account("kim", "kim", "길고 긴 비밀번호 하나")
        token = people.add_token("kim", "노트북", valid=timedelta(days=1))
        other = people.add_token("kim", "기계")
        assert (people.who(token), people.log_in("kim", "길고 긴 비밀번호 하나")) == ("kim", "kim")
        now[0] += timedelta(days=1)
        with pytest.raises(RefusedError):
            people.who(token)
        assert people.revoke_tokens("kim", "기계") == 1
        with pytest.raises(RefusedError):
            people.who(other)
    state = State(tmp_path / "ws")
    with state.reading() as db:
        stored = repr([db.execute(table.select()).all() for table in metadata.sorted_tables]).encode()
    state.close()
    stored += b"".join(p.read_bytes() for p in (tmp_path / "ws").glob("state.sqlite*"))
    for secret in (token, other, "길고 긴 비밀번호 하나"):
        assert secret.encode() not in stored


def test_a_wrong_password_and_an_unknown_login_are_refused_alike(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.people.add_party("kim", "김 기사")
        library.people.add_account("kim", "kim", "길고 긴 비밀번호 하나")
        for login in ("kim", "lee"):
            with pytest.raises(RefusedError, match="does not fit"):
                library.people.log_in(login, "틀린 비밀번호입니다")
        with pytest.raises(InputError):
            library.people.add_account("kim", "kim2", "짧다")


def test_roles_are_given_once(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.people.add_party("kim", "김 기사")
        library.people.give_role("kim", "engineer")
        library.people.give_role("kim", "engineer")
        assert library.people.parties() == [{"id": "kim", "name": "김 기사", "kind": "person", "roles": ["engineer"]}]
