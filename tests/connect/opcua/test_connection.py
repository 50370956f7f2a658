"""The way to a server: each step in plain words, trust by a person, and nothing weaker than was asked for."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from asyncua import ua
from asyncua.client.ua_session import UaSession

from madang.connect import ConnectionSettings, Source, opcua
from madang.connect.opcua import DESCRIPTION, _link, make, trust
from madang.connect.opcua._source import OpcuaSource
from madang.errors import InputError, MissingError, RefusedError, UsageError
from tests.connect.opcua.servers import KeepingSink, PlantServer, Subscribed, free_port, make_certificate, settings

if TYPE_CHECKING:
    from madang.connect import TestStep

OPERATOR = {"password": "가마1!"}


def steps(wanted: ConnectionSettings) -> list[TestStep]:
    source = make(wanted)
    try:
        return list(source.test())
    finally:
        source.close()


def secured_settings(server: PlantServer, folder: Path, **options: str) -> ConnectionSettings:
    return settings(
        server.url, secrets=OPERATOR, **{"security": "auto", "certificates": str(folder), "user": "operator", **options}
    )


def trusting(server: PlantServer, folder: Path, **options: str) -> ConnectionSettings:
    """Settings of a server whose certificate a person has trusted."""
    wanted = secured_settings(server, folder, **options)
    last = steps(wanted)[-1]
    assert last.state == "ask"
    trust(wanted, last.facts["thumbprint"])
    return wanted


def test_it_is_a_source_and_says_what_it_can_do(plant: PlantServer) -> None:
    source = make(settings(plant.url))

    assert isinstance(source, Source)
    assert source.description is DESCRIPTION
    assert {"browse", "read", "subscribe", "backfill", "write"} <= DESCRIPTION.capabilities
    source.close()


def test_a_good_connection_passes_all_six_steps_and_says_that_it_is_not_encrypted(plant: PlantServer) -> None:
    found = steps(settings(plant.url))

    assert [(step.name, step.state) for step in found] == [
        (name, "ok") for name in ("name", "tcp", "trust", "login", "browse", "value")
    ]
    assert "security=none" in found[2].text.ko


def test_a_connection_test_changes_nothing_at_the_server(plant: PlantServer) -> None:
    source, sink = make(settings(plant.url)), KeepingSink()
    names = [f"ns=2;s={name}" for name in plant.nodes]
    before = [source.browse(), source.read(names, sink).batch.to_pylist()]

    passed = [step.state for step in source.test()]

    after = [source.browse(), source.read(names, sink).batch.to_pylist()]
    source.close()
    assert passed == ["ok"] * 6
    assert after == before


def test_no_request_is_larger_than_the_server_says_it_takes(plant: PlantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = UaSession.read

    async def counted(self: UaSession, parameters: ua.ReadParameters) -> list[ua.DataValue]:
        asked.append(len(parameters.NodesToRead))
        return list(await read(self, parameters))

    async def small(link: _link.Link) -> _link.Limits:
        return _link.Limits(read=7, browse=2, items=3, history=1)

    monkeypatch.setattr(UaSession, "read", counted)
    monkeypatch.setattr(_link, "_ask_limits", small)
    source = make(settings(plant.url))

    tags = source.browse()

    source.close()
    assert len(tags) == 8
    assert max(asked) <= 7


def test_a_missing_library_tells_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcua, "find_spec", lambda name: None)

    with pytest.raises(MissingError) as caught:
        make(settings("opc.tcp://plc:4840"))

    assert caught.value.next_en == "pip install 'madang[opcua]'"


def test_an_unknown_name_stops_at_the_first_step() -> None:
    found = steps(settings("opc.tcp://no-such-host.invalid:4840"))

    assert [(step.name, step.state) for step in found] == [("name", "failed")]
    assert found[0].next is not None


def test_a_closed_port_stops_at_the_second_step() -> None:
    found = steps(settings(f"opc.tcp://127.0.0.1:{free_port()}"))

    assert [(step.name, step.state) for step in found] == [("name", "ok"), ("tcp", "failed")]


def test_a_port_that_speaks_something_else_is_said_to_be_no_opc_ua() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        found = steps(settings(f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}", timeout="2"))

    assert found[-1].state == "failed"
    assert found[-1].name == "trust"


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = steps(settings(f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}", timeout="0.3"))

    assert [(step.name, step.state) for step in found][-1] == ("trust", "failed")
    assert found[-1].seconds < 5


def test_encryption_is_never_left_out_silently(plant: PlantServer, tmp_path: Path) -> None:
    wanted = settings(plant.url, security="auto", certificates=str(tmp_path))

    last = steps(wanted)[-1]

    assert (last.name, last.state) == ("trust", "failed")
    assert last.next is not None
    assert "security=none" in last.next.en
    with pytest.raises(RefusedError) as caught:
        make(wanted).read(["ns=2;s=kiln/zone1"], KeepingSink())
    assert caught.value.code == "security_not_offered"


def test_a_policy_that_the_server_does_not_have_is_not_replaced_by_a_weaker_one(secured: PlantServer, tmp_path: Path) -> None:
    wanted = secured_settings(secured, tmp_path, security="Aes256Sha256RsaPss", mode="Sign")

    last = steps(wanted)[-1]

    assert (last.name, last.state) == ("trust", "failed")
    assert "Aes256Sha256RsaPss" in last.facts["offered"] or "Aes256_Sha256_RsaPss" in last.facts["offered"]


@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        ("Basic256Sha256", "Sign"),
        ("Basic256Sha256", "SignAndEncrypt"),
        ("Aes128Sha256RsaOaep", "SignAndEncrypt"),
        ("Aes256Sha256RsaPss", "SignAndEncrypt"),
    ],
)
def test_each_policy_connects_once_a_person_has_trusted_the_server(
    secured: PlantServer, tmp_path: Path, policy: str, mode: str
) -> None:
    found = steps(trusting(secured, tmp_path, security=policy, mode=mode))

    assert [step.state for step in found] == ["ok"] * 6
    assert found[2].facts["security"] == policy


def test_an_encrypted_read_of_more_than_a_thousand_tags_comes_whole(secured: PlantServer, tmp_path: Path) -> None:
    source = make(trusting(secured, tmp_path))
    names = [f"ns=2;s=t{number}" for number in range(1200)]

    block = source.read(names, KeepingSink())

    source.close()
    assert sorted(block.batch.column(2).to_pylist()) == [float(number) for number in range(1200)]


def test_an_unknown_server_waits_for_a_person_and_goes_on_by_itself_once_trusted(secured: PlantServer, tmp_path: Path) -> None:
    wanted = secured_settings(secured, tmp_path, reconnect="0.1")
    sink = KeepingSink()
    limited = ConnectionSettings("kiln", "opcua", wanted.url, wanted.options, wanted.secrets, ("ns=2;s=t7",))

    with Subscribed(make(limited), sink):
        sink.wait(lambda: sink.states and sink.states[-1][0] == "needs_trust")
        (pending,) = (tmp_path / "pending").glob("*.der")
        trust(wanted, pending.stem)
        sink.wait(lambda: sink.values("ns=2;s=t7") == [7.0])

    assert sink.of("disconnected") == []


def test_a_wrong_password_is_said_and_not_tried_again(secured: PlantServer, tmp_path: Path) -> None:
    good = trusting(secured, tmp_path)
    wrong = ConnectionSettings("kiln", "opcua", good.url, good.options, {"password": "wrong"})

    last = steps(wrong)[-1]
    sink = KeepingSink()
    with Subscribed(make(wrong), sink) as running:
        running.join()

    assert (last.name, last.state) == ("login", "failed")
    assert isinstance(running.error, RefusedError)
    assert running.error.code == "login_refused"
    assert "wrong" not in str(running.error.document()).replace("wrong_", "")
    assert sink.states[-1][0] == "failed"


def test_a_password_is_not_sent_where_others_can_read_it(plant: PlantServer) -> None:
    last = steps(settings(plant.url, secrets=OPERATOR, user="operator"))[-1]

    assert (last.name, last.state) == ("login", "failed")
    assert last.next is not None
    assert "plain_password" in last.next.en


def test_an_expired_and_foreign_certificate_is_refused_until_both_are_accepted_knowingly(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    make_certificate(tmp_path / "server", first=now - timedelta(days=9), last=now - timedelta(days=1), hosts=["other-plc"])
    server = PlantServer(certificates=tmp_path / "server")
    server.policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
    server.start()

    def accepting(*words: str) -> ConnectionSettings:
        return settings(server.url, security="auto", certificates=str(tmp_path), accept=",".join(words))

    try:
        server.add("t", 1.0)
        refused = [steps(accepting(*words))[-1] for words in ((), ("expired",))]
        accepted = accepting("expired", "host")
        asked = steps(accepted)[-1]
        trust(accepted, asked.facts["thumbprint"])
        passed = steps(accepted)
    finally:
        server.close()

    assert [(step.name, step.state) for step in refused] == [("trust", "failed")] * 2
    for step, word in zip(refused, ("expired", "host"), strict=True):
        assert step.next is not None
        assert f"accept={word}" in step.next.en
    assert asked.state == "ask"
    assert [step.state for step in passed] == ["ok"] * 6


def test_browsing_tells_type_range_place_and_elements(plant: PlantServer) -> None:
    source = make(settings(plant.url))

    tags = {tag.name: tag for tag in source.browse()}
    under = source.browse("소성 라인")
    few = source.browse(limit=2)

    source.close()
    assert tags["ns=2;s=kiln/zone1"].parent == "소성 라인"
    assert {name: tag.data_type for name, tag in tags.items()} == {
        "ns=2;s=kiln/zone1": "number",
        "ns=2;s=kiln/speed": "number",
        "ns=2;s=kiln/count": "integer",
        "ns=2;s=kiln/lot": "text",
        "ns=2;s=kiln/on": "boolean",
        **{f"ns=2;s=kiln/profile[{number}]": "number" for number in range(3)},
    }
    assert {tag.name for tag in under} == set(tags)
    assert len(few) == 2


def test_a_place_that_is_not_there_is_said(plant: PlantServer) -> None:
    source = make(settings(plant.url))

    with pytest.raises(InputError) as caught:
        source.browse("no such line")

    source.close()
    assert caught.value.code == "no_such_folder"


def test_units_ranges_states_and_two_nodes_of_one_name_are_told_apart(workshop: PlantServer) -> None:
    one, two = workshop.folder("가마 1"), workshop.folder("가마 2")
    first = workshop.add("a", 1.0, under=one)
    workshop.add("b", 2.0, under=two)
    for name in ("a", "b"):
        workshop.do(
            workshop.nodes[name].write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(ua.LocalizedText("온도", "ko")))
        )
    workshop.do(first.add_property(2, "EURange", ua.Range(0.0, 1200.0)))
    unit = ua.EUInformation(
        "http://www.opcfoundation.org/UA/units/un/cefact", 4408652, ua.LocalizedText(""), ua.LocalizedText("")
    )
    workshop.do(first.add_property(2, "EngineeringUnits", unit))
    mode = workshop.add("mode", 1, ua.VariantType.Int32, under=two)
    workshop.do(mode.add_property(2, "EnumStrings", [ua.LocalizedText("정지"), ua.LocalizedText("가동")]))
    workshop.do(one.add_reference(two, ua.ObjectIds.Organizes))  # the second kiln is reached on two ways
    source = make(settings(workshop.url))

    found = [*source.browse("가마 1"), *source.browse("가마 2")]
    everywhere = [tag.name for tag in source.browse()]

    source.close()
    tags = {tag.name: tag for tag in found}
    assert len(everywhere) == len(set(everywhere))
    assert set(tags) == {"ns=2;s=a", "ns=2;s=b", "ns=2;s=mode"}
    kiln = tags["ns=2;s=a"]
    assert (kiln.unit, kiln.low, kiln.high) == ("°C", 0.0, 1200.0)
    assert {tags[f"ns=2;s={name}"].label.ko for name in "ab"} == {"온도"}  # type: ignore[union-attr]
    assert tags["ns=2;s=mode"].facts["states"] == "0=정지; 1=가동"


def test_reading_gives_one_sample_a_tag_and_the_status_of_what_is_not_there(plant: PlantServer) -> None:
    source, sink = make(settings(plant.url)), KeepingSink()

    sink.put_block(
        source.read(["ns=2;s=kiln/speed", "ns=2;s=kiln/count", "ns=2;s=nothing", "ns=9;s=x", "ns=2;s=kiln/profile[1]"], sink)
    )

    source.close()
    assert sink.values("ns=2;s=kiln/speed") == [23.4]
    assert sink.values("ns=2;s=kiln/count") == [str(2**60 + 1)]
    assert sink.values("ns=2;s=kiln/profile[1]") == [2.5]
    assert [status for _, _, status in sink.samples("ns=2;s=nothing")] == [0x80340000]
    assert [status for _, _, status in sink.samples("ns=9;s=x")] == [0x80340000]


@pytest.mark.parametrize(
    ("url", "options", "code"),
    [
        ("http://plc:4840", {}, "wrong_address"),
        ("opc.tcp://", {}, "wrong_address"),
        ("opc.tcp://operator:pw@plc:4840", {}, "secret_in_address"),
        ("opc.tcp://plc", {"securty": "none"}, "wrong_option"),
        ("opc.tcp://plc", {"security": "Basic128Rsa15"}, "wrong_option"),
        ("opc.tcp://plc", {"publish": "fast"}, "wrong_option"),
        ("opc.tcp://plc", {"publish": "1000", "sampling": "100", "queue": "10"}, "wrong_option"),
        ("opc.tcp://plc", {"accept": "everything"}, "wrong_option"),
        ("opc.tcp://plc", {"earliest": "yesterday"}, "wrong_option"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_is_allowed(url: str, options: dict[str, str], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        OpcuaSource(ConnectionSettings("kiln", "opcua", url, options))

    assert caught.value.code == code
    assert "pw" not in str(caught.value.document())
