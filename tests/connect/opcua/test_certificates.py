"""Trust is given by a person, by thumbprint; nothing that is wrong with a certificate is passed over."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from madang.connect import ConnectionSettings
from madang.connect.opcua import trust, trusted
from madang.connect.opcua._certificates import examine, own_certificate, remember, split_chain
from madang.errors import UsageError
from tests.connect.opcua.servers import URI, make_certificate

NOW = datetime.now(UTC)


def look(der: bytes, folder: Path, *, host: str = "127.0.0.1", now: datetime = NOW, application: str = URI) -> tuple[str, ...]:
    return examine(der, folder=folder, host=host, application=application, now=now).problems


def settings(folder: Path) -> ConnectionSettings:
    return ConnectionSettings("kiln", "opcua", "opc.tcp://127.0.0.1:4840", {"certificates": str(folder)})


def test_our_certificate_is_made_once_and_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, NOW)
    again = own_certificate(tmp_path, NOW + timedelta(days=1))

    assert first == again
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    assert look(first.certificate.read_bytes(), tmp_path, application=first.uri, host="elsewhere") == ("host", "untrusted")


def test_two_that_start_at_once_use_the_same_certificate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: own_certificate(tmp_path, NOW), range(4)))

    assert len({one.thumbprint for one in made}) == 1


def test_a_certificate_is_trusted_by_its_thumbprint_in_any_spelling(tmp_path: Path) -> None:
    make_certificate(tmp_path / "server")
    der = (tmp_path / "server" / "server.der").read_bytes()
    assert look(der, tmp_path) == ("untrusted",)
    remember(tmp_path, der)
    sha1 = examine(der, folder=tmp_path, host="127.0.0.1", application=URI, now=NOW).sha1.upper()

    trust(settings(tmp_path), ":".join(sha1[at : at + 2] for at in range(0, 40, 2)))

    assert look(der, tmp_path) == ()
    assert [one.sha1.upper() for one in trusted(settings(tmp_path))] == [sha1]
    trust(settings(tmp_path), examine(der, folder=tmp_path, host="", application=URI, now=NOW).thumbprint)


def test_a_thumbprint_that_was_never_seen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        trust(settings(tmp_path), "ab" * 32)

    assert caught.value.code == "certificate_not_seen"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"last": NOW - timedelta(seconds=1)}, "expired"),
        ({"first": NOW + timedelta(hours=1)}, "not_yet"),
        ({"hosts": ["other-plc"]}, "host"),
        ({"uri": "urn:someone:else"}, "application"),
        ({"bits": 1024}, "weak"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said_even_when_it_is_trusted(
    tmp_path: Path, arguments: dict[str, object], problem: str
) -> None:
    make_certificate(tmp_path / "server", **arguments)  # type: ignore[arg-type]
    der = (tmp_path / "server" / "server.der").read_bytes()
    remember(tmp_path, der)
    trust(settings(tmp_path), examine(der, folder=tmp_path, host="", application=None, now=NOW).thumbprint)

    assert look(der, tmp_path) == (problem,)


def test_a_certificate_of_a_trusted_issuer_is_trusted_and_one_of_a_namesake_is_not(tmp_path: Path) -> None:
    issuer = make_certificate(tmp_path / "ca", ca=True)
    namesake = make_certificate(tmp_path / "false", ca=True)
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "ca.der").write_bytes(issuer[0].public_bytes(serialization.Encoding.DER))
    make_certificate(tmp_path / "good", issuer=issuer)
    make_certificate(tmp_path / "bad", issuer=namesake)

    assert look((tmp_path / "good" / "server.der").read_bytes(), tmp_path) == ()
    assert look((tmp_path / "bad" / "server.der").read_bytes(), tmp_path) == ("untrusted",)


def test_a_server_that_is_no_authority_cannot_vouch_for_another(tmp_path: Path) -> None:
    server = make_certificate(tmp_path / "server")
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "s.der").write_bytes(server[0].public_bytes(serialization.Encoding.DER))
    make_certificate(tmp_path / "forged", issuer=server)

    assert "untrusted" in look((tmp_path / "forged" / "server.der").read_bytes(), tmp_path)


def test_a_chain_is_taken_apart(tmp_path: Path) -> None:
    issuer = make_certificate(tmp_path / "ca", ca=True)
    make_certificate(tmp_path / "server", issuer=issuer)
    ders = [(tmp_path / "server" / "server.der").read_bytes(), (tmp_path / "ca" / "server.der").read_bytes()]

    assert split_chain(b"".join(ders)) == ders


@pytest.mark.parametrize("blob", [b"", b"\x30", b"no certificate", b"\x30\x82\xff\xff" + bytes(10)])
def test_what_is_no_certificate_is_said_to_be_unreadable(tmp_path: Path, blob: bytes) -> None:
    assert look(blob, tmp_path) == ("unreadable",)
