"""The codec against the published schema, and the tests against the published assertions."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from madang.connect.sparkplug._wire import DataType, Payload, decode, rebirth_request
from tests.connect.sparkplug import test_host, test_state
from tests.connect.sparkplug.covers import COVERED

_KINDS = {1: "double", 2: "float", 4: "uint64", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}
_OURS = {"DataSetValue": "Cell"}
NOT_COVERED = {
    # The host sends no commands but the rebirth request: writing to a plant goes through the gate alone.
    "topics-dcmd-topic",
    "topics-dcmd-mqtt",
    "topics-dcmd-timestamp",
    "topics-dcmd-payload",
    "payloads-dcmd-timestamp",
    "payloads-dcmd-seq",
    "payloads-dcmd-qos",
    "payloads-dcmd-retain",
    "operational-behavior-data-commands-ncmd-metric-name",
    "operational-behavior-data-commands-ncmd-metric-value",
    "operational-behavior-data-commands-dcmd-verb",
    "operational-behavior-data-commands-dcmd-metric-name",
    "operational-behavior-data-commands-dcmd-metric-value",
    # It speaks MQTT 5 alone.
    "message-flow-phid-sparkplug-clean-session-311",
    # It never leaves without a DISCONNECT while it can still send.
    "host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet",
    # One connection is one broker; several brokers are several connections, each with a time of its own.
    "operational-behavior-host-application-multi-server-timestamp",
    "operational-behavior-primary-application-state-with-multiple-servers-state-subs",
    # Nobody but the plant can see to it.
    "operational-behavior-host-application-host-id",
}
"""Assertions about hosts that no test shows, with the reason."""


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Path:
    folder = shared_data / "standards" / "sparkplug"
    if not folder.is_dir():
        pytest.skip("the published schema and assertions are not here")
    return folder


def test_every_field_has_the_number_and_type_of_the_published_schema(published: Path) -> None:
    text = re.sub(r"//.*", "", (published / "sparkplug_b.proto").read_text())
    wanted: dict[tuple[str, str], tuple[int, str]] = {}
    stack: list[str] = []
    for line in text.split("\n"):
        if opened := re.match(r"\s*(message|oneof|enum)\s+(\w+)\s*\{", line):
            stack.append(opened[2] if opened[1] == "message" else "")
        elif found := re.match(r"\s*(?:optional|repeated)?\s*([\w.]+)\s+(\w+)\s*=\s*(\d+);", line):
            owner = next(name for name in reversed(stack) if name)
            if not found[2].startswith("extension_"):
                wanted[_OURS.get(owner, owner), found[2]] = (int(found[3]), found[1])
        if "}" in line and stack:
            stack.pop()
    wanted = {key: value for key, value in wanted.items() if key[0] != "" and "Extension" not in key[0]}
    ours = {
        (message.name, field.name): (field.number, _KINDS.get(field.type) or field.message_type.name)
        for message in Payload.DESCRIPTOR.file.message_types_by_name.values()
        for field in message.fields
    }
    assert {key: (number, _OURS.get(kind, kind)) for key, (number, kind) in wanted.items()} == ours
    assert len(ours) > 60


def test_data_types_have_the_published_codes(published: Path) -> None:
    text = (published / "sparkplug_b.proto").read_text()
    block = text[text.index("enum DataType") : text.index("}")]
    codes = {name.casefold(): int(code) for name, code in re.findall(r"(\w+)\s*=\s*(\d+);", block)}
    assert codes == {member.name.replace("_", "").casefold(): int(member) for member in DataType}


def test_every_assertion_about_hosts_is_shown_or_listed_with_its_reason(published: Path) -> None:
    with (published / "assertions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    every = {row["id"].removeprefix("tck-id-") for row in rows}
    hosts = {row["id"].removeprefix("tck-id-") for row in rows if row["role"] == "host"}
    assert test_host.__name__
    assert test_state.__name__
    assert set(COVERED) <= every
    assert hosts - set(COVERED) == NOT_COVERED
    assert (len(hosts), len(hosts & set(COVERED))) == (88, 70)


def test_a_rebirth_request_is_what_the_wire_says() -> None:
    payload = decode(rebirth_request(1_700_000_000_000))
    assert payload.timestamp == 1_700_000_000_000
    assert not payload.HasField("seq")
    assert [(m.name, m.datatype, m.boolean_value) for m in payload.metrics] == [("Node Control/Rebirth", 11, True)]
