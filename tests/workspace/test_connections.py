"""Connections are readable files without secrets; a name never leads out of its folder."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.connect import SourceDescription
from madang.errors import InputError, MadangError, MissingError, RefusedError
from madang.plant import Bilingual
from madang.workspace._connections import Connections, checked_name, take_secrets_out
from madang.workspace._secrets import Secrets, conceal
from madang.workspace._toml import toml_text

SECRET = "Pl4nted-S3cret/한글 비밀"


def _kinds() -> Mapping[str, SourceDescription]:
    option = {"qos": Bilingual("품질", "quality"), "table.*": Bilingual("표", "table")}
    return {
        "mqtt": SourceDescription(
            "mqtt",
            Bilingual("메시지", "messages"),
            frozenset({"subscribe"}),
            option,
            frozenset({"password"}),
            None,
            ("mqtt", "mqtts"),
        ),
        "folder": SourceDescription("folder", Bilingual("폴더", "folder"), frozenset({"subscribe"})),
        "sql": SourceDescription("sql", Bilingual("표", "tables"), frozenset({"subscribe", "rows"})),
    }


def _connections(root: Path, environment: Mapping[str, str] | None = None) -> Connections:
    box = Secrets(root, environment or {}, config=root.parent / "config")
    return Connections(root, lambda: datetime(2026, 11, 1, tzinfo=UTC), box, kinds=_kinds)


def _everything(folder: Path) -> bytes:
    return b"\n".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_connection_is_kept_as_it_was_made_and_its_password_is_in_no_file(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "공장")
    made = connections.add(
        "소성로 1",
        "mqtt",
        "mqtt://kim:pa55w0rd-in-url@broker:1883",
        options={"qos": "1", "password": SECRET},
        tags=["a/b", "c\nd"],
    )
    found = _connections(tmp_path / "공장").get("소성로 1")
    assert found == made
    assert (found.url, found.options, found.secrets) == ("mqtt://kim@broker:1883", {"qos": "1"}, {"password": "stored"})
    assert _connections(tmp_path / "공장").settings(found).secrets == {"password": SECRET}
    kept = _everything(tmp_path / "공장")
    assert SECRET.encode() not in kept
    assert b"pa55w0rd" not in kept
    text = (tmp_path / "공장" / "connections" / "소성로 1.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["url"] == "mqtt://kim@broker:1883"


def test_a_secret_may_be_a_reference_and_is_looked_up_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(SECRET + "\n", encoding="utf-8")
    environment = {"BROKER_PASSWORD": "from-the-environment"}
    connections = _connections(tmp_path / "ws", environment)
    made = connections.add("a", "mqtt", "mqtt://b", secrets={"password": "env:BROKER_PASSWORD", "token": f"file:{file}"})
    assert connections.settings(made).secrets == {"password": "from-the-environment", "token": SECRET}
    assert not (tmp_path / "ws" / "keys").exists()
    environment["BROKER_PASSWORD"] = "changed-since"
    assert connections.settings(made).secrets["password"] == "changed-since"
    environment.clear()
    with pytest.raises(InputError) as error:
        connections.settings(made)
    assert error.value.code == "no_such_secret"
    assert "env:BROKER_PASSWORD" in error.value.en


def test_the_key_is_made_once_for_its_owner_alone_and_outside_the_workspace(tmp_path: Path) -> None:
    _connections(tmp_path / "ws").add("a", "mqtt", "mqtt://b", secrets={"password": SECRET})
    _connections(tmp_path / "other").add("a", "mqtt", "mqtt://b", secrets={"password": "another one"})
    key = tmp_path / "config" / "secret.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ws" / "keys" / "secrets.bin").stat().st_mode) == 0o600
    with pytest.raises(RefusedError) as error:
        Secrets(tmp_path, {}, config=tmp_path / "config").put("a", "password", SECRET)
    assert error.value.code == "key_inside_workspace"


@pytest.mark.parametrize("key", ["words that somebody chose", "ab" * 32, "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="])
def test_a_box_opens_with_its_own_key_only(tmp_path: Path, key: str) -> None:
    with_key = Secrets(tmp_path / "ws", {"MADANG_SECRET_KEY": key}, config=tmp_path / "none")
    with_key.put("a", "password", SECRET)
    assert Secrets(tmp_path / "ws", {"MADANG_SECRET_KEY": key}).get("a", "password", "stored") == SECRET
    with pytest.raises(RefusedError) as refused:
        Secrets(tmp_path / "ws", {"MADANG_SECRET_KEY": "another key"}).get("a", "password", "stored")
    assert refused.value.code == "wrong_secret_key"
    with pytest.raises(MissingError) as missing:
        Secrets(tmp_path / "ws", {}, config=tmp_path / "none").get("a", "password", "stored")
    assert "MADANG_SECRET_KEY" in missing.value.next_en
    assert not (tmp_path / "none").exists()


def test_a_box_that_was_tampered_with_is_not_opened(tmp_path: Path) -> None:
    box = Secrets(tmp_path / "ws", {"MADANG_SECRET_KEY": "ab" * 32})
    box.put("a", "password", SECRET)
    file = tmp_path / "ws" / "keys" / "secrets.bin"
    payload = bytearray(file.read_bytes())
    payload[-1] ^= 1
    file.write_bytes(payload)
    with pytest.raises(RefusedError):
        box.get("a", "password", "stored")
    file.write_bytes(payload[:20])
    with pytest.raises(InputError) as error:
        box.get("a", "password", "stored")
    assert error.value.code == "secrets_unreadable"


def test_a_removed_connection_loses_its_secrets_and_keeps_its_spool(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "ws")
    for name in ("a", "b"):
        connections.add(name, "mqtt", "mqtt://b", secrets={"password": f"secret of {name}"})
    waiting = connections.spool("a") / "segment"
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(b"waits")
    connections.remove("a")
    assert connections.names() == ["b"]
    assert waiting.exists()
    assert connections.settings(connections.get("b")).secrets == {"password": "secret of b"}
    again = connections.add("a", "mqtt", "mqtt://b")
    assert connections.settings(again).secrets == {}


@pytest.mark.parametrize(
    "name",
    ["", "..", "../a", "a/b", "a\\b", "/a", ".a", "a.", "a..b", "a\0b", "a\nb", "CON", "nul.toml", "x" * 65, "-a", "a:b", "a*"],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    connections = _connections(tmp_path / "ws")
    with pytest.raises(InputError) as error:
        connections.add(name, "folder", "/data")
    assert error.value.code == "bad_name"
    assert not (tmp_path / "ws" / "connections").exists()


@given(st.text(max_size=80))
@settings(max_examples=300)
def test_a_name_that_is_taken_is_one_plain_part_of_a_path(name: str) -> None:
    try:
        plain = checked_name(name)
    except InputError:
        return
    assert Path(plain).name == plain
    assert plain not in ("", ".", "..")
    assert os.sep not in plain
    assert "\0" not in plain
    assert checked_name(plain) == plain


@pytest.mark.parametrize(
    "url", ["", "http://broker", "mqtt://", "mqtt://b:99999", "mqtt://b:x", "mqtt://a\nb", "mqtt ://b", "broker:1883"]
)
def test_an_address_that_its_kind_does_not_take_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as error:
        _connections(tmp_path / "ws").add("a", "mqtt", url)
    assert error.value.code == "bad_url"


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://kim:p@ss/Sup3rS3cret@b:1",
        "mqtt://kim:12/Sup3rS3cret@b",
        "mqtt://kim:a?Sup3rS3cret@b",
        "mqtt://k:1#Sup3rS3cret@b",
    ],
)
def test_a_password_whose_signs_end_the_host_is_refused_and_stays_in_no_file(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as error:
        _connections(tmp_path / "ws").add("a", "mqtt", url)
    assert error.value.code == "bad_url"
    assert "Sup3rS3cret" not in f"{error.value.document()}{error.value.args}"
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"Sup3rS3cret" in f.read_bytes()]


@pytest.mark.parametrize("max_bytes", [-1, 1, 15_999_999])
def test_a_spool_that_could_hold_next_to_nothing_is_refused(tmp_path: Path, max_bytes: int) -> None:
    connections = _connections(tmp_path / "ws")
    with pytest.raises(InputError) as error:
        connections.add("a", "mqtt", "mqtt://b", max_bytes=max_bytes)
    assert error.value.code == "bad_option"
    assert connections.add("a", "mqtt", "mqtt://b", max_bytes=16_000_000).max_bytes == 16_000_000


def test_what_is_refused_names_no_secret(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "ws")
    tries = [
        ("a", "mqtt", "http://kim:Sup3rS3cret@b", {}),
        ("a", "mqtt", "mqtt://kim:Sup3rS3cret@b:x", {}),
        ("a", "mqtt", "mqtt://kim:Sup3rS3cret@b", {"surprise": "Sup3rS3cret"}),
        ("a", "nothing", "mqtt://kim:Sup3rS3cret@b", {}),
    ]
    for name, kind, url, options in tries:
        with pytest.raises(MadangError) as error:
            connections.add(name, kind, url, options=options)
        assert "Sup3rS3cret" not in f"{error.value.document()}{error.value.args}"
    assert not (tmp_path / "ws" / "keys").exists()


def test_names_that_differ_in_case_alone_are_one_name(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "ws")
    connections.add("Kiln", "folder", "/data")
    with pytest.raises(InputError) as error:
        connections.add("kiln", "folder", "/data")
    assert error.value.code == "connection_exists"


def test_options_may_follow_a_pattern_of_their_kind(tmp_path: Path) -> None:
    made = _connections(tmp_path / "ws").add("a", "mqtt", "mqtt://b", options={"table.mes.lots": "id"})
    assert made.options == {"table.mes.lots": "id"}
    with pytest.raises(InputError):
        _connections(tmp_path / "ws").add("b", "mqtt", "mqtt://b", options={"tabel": "id"})


def test_one_unreadable_file_hides_no_other_connection(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "ws")
    connections.add("good", "folder", "/data")
    (connections.folder / "broken.toml").write_text("kind = [", encoding="utf-8")
    (connections.folder / "plain.toml").write_text('kind = "mqtt"\nurl = "mqtt://kim:hunter22@b"\n', encoding="utf-8")
    good, bad = connections.all()
    assert [c.name for c in good] == ["good"]
    assert {name: error.code for name, error in bad.items()} == {
        "broken": "connection_unreadable",
        "plain": "secret_in_plain_text",
    }
    assert "hunter22" not in str(bad["plain"].document())


def test_a_policy_that_would_lose_records_is_refused_in_a_file_written_by_hand_too(tmp_path: Path) -> None:
    connections = _connections(tmp_path)
    connections.add("mes", "sql", "")
    file = connections.folder / "mes.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('"block"', '"thin"'), encoding="utf-8")
    good, bad = connections.all()
    assert good == []
    assert bad["mes"].code == "connection_unreadable"
    assert 'policy.overflow: "block"' in bad["mes"].en


def test_pausing_is_a_line_of_the_file(tmp_path: Path) -> None:
    connections = _connections(tmp_path / "ws")
    connections.add("a", "folder", "/data")
    before = connections.stamp()
    connections.want("a", "paused")
    assert connections.get("a").wanted == "paused"
    assert connections.stamp() != before


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=10), st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text())), max_size=5
    )
)
def test_what_is_written_as_toml_is_read_back_the_same(table: dict[str, str | int | bool | list[str]]) -> None:
    try:
        str(table).encode()
    except UnicodeEncodeError:
        return
    document = tomllib.loads(toml_text({"head": "x"}, {"table": table}, "a comment"))
    assert document.get("table", {}) == table


def test_secrets_in_addresses_are_taken_out_and_concealed_from_then_on() -> None:
    url, hidden = take_secrets_out("postgresql://kim:p%40ssw0rd-x@db/mes?sslmode=require&sslpassword=abcdef")
    assert url == "postgresql://kim@db/mes?sslmode=require"
    assert hidden == {"password": "p@ssw0rd-x", "sslpassword": "abcdef"}
    assert conceal("cannot log in with p@ssw0rd-x or p%40ssw0rd-x") == "cannot log in with ••• or •••"
