"""Settings, refusals and trust of a Sparkplug connection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from madang.connect import ConnectionSettings, Source
from madang.connect.sparkplug import DESCRIPTION, make
from madang.errors import MissingError, RefusedError, UsageError
from tests.connect.mqtt.broker import Broker
from tests.connect.mqtt.certificates import papers
from tests.connect.mqtt.sinks import MemorySink, running
from tests.connect.sparkplug.recorder import Recorder


def settings(url: str, secrets: dict[str, str] | None = None, **options: str) -> ConnectionSettings:
    return ConnectionSettings("line", "sparkplug", url, {"wait": "1", **options}, secrets or {})


def test_the_source_is_one_and_knows_its_settings() -> None:
    source = make(settings("mqtt://broker"))
    assert isinstance(source, Source)
    assert source.description is DESCRIPTION


@pytest.mark.parametrize(
    "options", [{"host_id": "a/b"}, {"namespace": "+"}, {"group": "#"}, {"sequence": "n"}, {"reorder_timeout": "0"}]
)
def test_a_wrong_setting_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        make(ConnectionSettings("line", "sparkplug", "mqtt://broker", options))


def test_a_missing_package_names_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("madang.connect.sparkplug._source", "madang.connect.sparkplug._wire"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("paho", "paho.mqtt", "paho.mqtt.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError) as missing:
        make(settings("mqtt://broker"))
    assert missing.value.next_en == "pip install 'madang[mqtt]'"


def test_the_connection_test_publishes_nothing_so_that_no_edge_takes_it_for_its_host() -> None:
    with Recorder() as recorder:
        steps = [(step.name, step.state) for step in make(settings(recorder.url)).test()]
    assert steps == [("name", "ok"), ("tcp", "ok"), ("login", "ok"), ("browse", "ok"), ("value", "skipped")]
    assert [connection.published() for connection in recorder.connections] == [[]]
    assert [connection.will for connection in recorder.connections] == [None]


@pytest.mark.peers
def test_a_wrong_password_ends_the_run_and_is_told_nowhere(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    with Broker(tmp_path / "broker", (f"password_file {passwords}",), anonymous=False) as broker:
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), "host", "s3cret"], check=True, capture_output=True)
        broker.restart()
        sink = MemorySink()
        with (
            pytest.raises(RefusedError) as refused,
            running(make(settings(broker.url, {"password": "wr0ng"}, user="host")), sink),
        ):
            pass
        assert "wr0ng" not in f"{refused.value.document()}{sink.texts}{sink.gaps}{sink.cursors}"
        sink = MemorySink()
        with running(make(settings(broker.url, {"password": "s3cret"}, user="host")), sink):
            pass
        assert "connected" in sink.states
        assert "s3cret" not in f"{sink.texts}{sink.gaps}{sink.cursors}{settings(broker.url, {'password': 's3cret'})}"


@pytest.mark.peers
def test_a_certificate_that_nobody_vouches_for_is_never_passed_over(tmp_path: Path) -> None:
    paper = papers(tmp_path / "papers")
    with Broker(tmp_path / "broker", listener=paper.listener()) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        step = list(make(settings(url)).test())[-1]
        assert (step.name, step.state, step.facts["thumbprint"]) == ("trust", "ask", paper.fingerprint)
        sink = MemorySink()
        with pytest.raises(RefusedError), running(make(settings(url)), sink):
            pass
        assert "connected" not in sink.states
        with running(make(settings(url, trust=paper.fingerprint)), sink):
            pass
        assert "connected" in sink.states


@pytest.mark.peers
def test_a_tls_address_at_a_plain_port_is_not_tried_in_the_clear(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        step = list(make(settings(f"mqtts://127.0.0.1:{broker.port}")).test())[-1]
    assert (step.name, step.state) == ("trust", "failed")
