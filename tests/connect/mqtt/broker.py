"""A mosquitto of one's own on a free port, and a publisher that knows what the broker took over."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

KEEPS_ALL = ("max_queued_messages 0", "max_queued_bytes 0")
"""Configuration of a broker that throws nothing away."""


class Broker:
    """One mosquitto in a folder of its own."""

    def __init__(
        self, folder: Path, lines: Sequence[str] = KEEPS_ALL, *, listener: Sequence[str] = (), anonymous: bool = True
    ) -> None:
        program = shutil.which("mosquitto")
        if program is None:
            pytest.skip("mosquitto is not installed")
        self.program = program
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.settings = folder / "mosquitto.conf"
        self.settings.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    *listener,
                    f"allow_anonymous {str(anonymous).lower()}",
                    "persistence true",
                    f"persistence_location {folder}/",
                    "sys_interval 1",
                    "user root",
                    *lines,
                ]
            )
            + "\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Broker:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([self.program, "-c", str(self.settings)], stdout=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "mosquitto.log").read_text()) from None
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.stop(signal.SIGKILL)


def publish(port: int, messages: Iterable[tuple[str, bytes]], *, qos: int = 1, retain: bool = False) -> int:
    """Publish messages and return how many the broker took over."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(topic, payload, qos=qos, retain=retain) for topic, payload in messages]
    for one in sent:
        one.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()
    return sum(one.is_published() for one in sent)
