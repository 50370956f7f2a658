"""Trials of the whole way from a real broker to the lake; the benches run them long, the tests short."""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from madang.connect import Collector, ConnectionSettings, Gap, Ledger, Spool
from madang.connect.mqtt import make
from madang.library import Library
from tests.connect.mqtt.broker import KEEPS_ALL, Broker
from tests.connect.mqtt.collector import NAME, now
from tests.connect.mqtt.flood import Flood

ROOT = Path(__file__).resolve().parents[3]
START = 1_767_225_600_000
"""Time of the first message [ms since 1970]."""
TOPICS = 20


def one_value(number: int) -> tuple[str, bytes]:
    return f"p/{number % TOPICS}", b'{"timestamp_ms":%d,"value":%d}' % (START + number, number)


def ten_values(number: int) -> tuple[str, bytes]:
    body = ",".join(f'"k{key}":{number * 10 + key}' for key in range(10))
    return f"p/{number % TOPICS}", f'{{"timestamp_ms":{START + number},{body}}}'.encode()


def committed(folder: Path) -> Counter[int]:
    """Return how often each value stands in the lake."""
    found: Counter[int] = Counter()
    with Library.open(folder / "workspace", clock=now, zone="Asia/Seoul") as library:
        for point in library.points("plant"):
            samples = library.range(
                "plant",
                point.point,
                datetime(2000, 1, 1, tzinfo=UTC),
                datetime(2100, 1, 1, tzinfo=UTC),
                reader="owner",
                purpose="quality",
            )
            found.update(int(value) for value in samples.value)
    return found


def ledger(folder: Path) -> list[Gap]:
    return Ledger.read(folder / "workspace" / "spool" / NAME / "gaps.jsonl", NAME)


class Process:
    """The collector as a process."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        self.folder, self.url, self.options = folder, url, options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.connect.mqtt.collector", str(self.folder), self.url, *self.options],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 300) -> None:
        assert self.process is not None
        self.process.terminate()
        if self.process.wait(timeout=seconds):
            raise AssertionError((self.folder / "collector.log").read_text()[-4000:])

    def status(self) -> list[dict[str, float]]:
        path = self.folder / "status.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        out = []
        for line in lines:
            with contextlib.suppress(ValueError):
                out.append(json.loads(line))
        return out

    def wait_until(self, samples: int, seconds: float) -> None:
        """Wait until a running collector has committed so many samples."""
        end = time.monotonic() + seconds
        while True:
            mine = [line for line in self.status() if self.process is not None and line["pid"] == self.process.pid]
            if mine and mine[-1]["samples"] >= samples:
                return
            if time.monotonic() > end or (self.process is not None and self.process.poll() is not None):
                raise AssertionError((self.folder / "collector.log").read_text()[-4000:] or f"{mine[-1:]} of {samples}")
            time.sleep(0.2)


def quiet(process: Process, seconds: float, limit: float = 300) -> None:
    """Wait until nothing more was received for some seconds."""
    end, last, since = time.monotonic() + limit, -1.0, time.monotonic()
    while time.monotonic() < end:
        mine = [line for line in process.status() if process.process is not None and line["pid"] == process.process.pid]
        received = mine[-1]["received"] if mine else -1.0
        if received != last:
            last, since = received, time.monotonic()
        elif mine and time.monotonic() - since > seconds:
            return
        time.sleep(0.1)
    raise AssertionError("it never became quiet")


def _session(port: int, name: str, *, clean: bool = False) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5, manual_ack=True)
    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    wishes.SessionExpiryInterval = 3_600
    wishes.ReceiveMaximum = 2_000
    client.connect("127.0.0.1", port, properties=wishes, clean_start=clean)
    return client


def _reserve(port: int, name: str) -> None:
    """Leave a session behind, for which the broker keeps what comes."""
    client = _session(port, name)

    def subscribe(*_: object) -> None:
        client.subscribe("p/#", 1)

    def leave(*_: object) -> None:
        client.disconnect()

    client.on_connect = subscribe
    client.on_subscribe = leave
    client.loop_forever()


def bare(port: int, name: str, count: int) -> float:
    """Take a session's messages with a consumer that only acknowledges; returns messages a second from the first to the last."""
    client = _session(port, name)
    got, begun = 0, 0.0

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        nonlocal got, begun
        if not got:
            begun = time.perf_counter()
        got += 1
        client.ack(message.mid, message.qos)
        if got == count:
            client.disconnect()

    client.on_message = on_message
    client.loop_forever()
    return count / (time.perf_counter() - begun)


def ours(folder: Path, port: int, name: str, count: int) -> tuple[float, float]:
    """Take a session's messages into the lake; returns messages a second until durable, and until committed."""
    source = make(ConnectionSettings(NAME, "mqtt", f"mqtt://127.0.0.1:{port}", options={"client_id": name}, tags=("p/#",)))
    stop = threading.Event()
    with (
        Library.open(folder / "workspace", clock=now, zone="Asia/Seoul") as library,
        Spool.open(folder / "spool", clock=now) as spool,
    ):
        collector = Collector(source, spool, spool.ledger, now, tags=("p/#",))
        intake = library.live(threads=1)
        intake.attach(NAME, spool, source.decoder(), dataset="plant")
        durable: list[float] = []

        def watch() -> None:
            while collector.status().durable < count and not stop.is_set():
                time.sleep(0.01)
            durable.append(time.perf_counter())

        thread = threading.Thread(target=collector.run, args=(stop,))
        watcher = threading.Thread(target=watch)
        thread.start()
        while not collector.status().received:
            time.sleep(0.001)
        begun = time.perf_counter()
        watcher.start()
        samples = 0
        while samples < count:
            report = intake.step(now(), force=collector.status().durable >= count)
            samples += sum(one.samples for one in report.connections.values())
            if time.perf_counter() - begun > 300:
                raise AssertionError(f"{samples} of {count}")
            time.sleep(0.05)
        ended = time.perf_counter()
        stop.set()
        thread.join()
        watcher.join()
        intake.close()
    return count / (durable[0] - begun), count / (ended - begun)


def rate(folder: Path, messages: int, rounds: int) -> dict[str, float]:
    """Compare with a bare consumer, by turns."""
    consumers, stored, lakes = [], [], []
    with Broker(folder / "broker", (*KEEPS_ALL, "sys_interval 10", "autosave_interval 0")) as broker:
        for turn in range(rounds):
            names = [f"bare-{turn}", f"ours-{turn}"]
            for name in names:
                _reserve(broker.port, name)
            Flood(broker.port, one_value).send(messages)
            for name in names if turn % 2 else names[::-1]:
                if name.startswith("bare"):
                    consumers.append(bare(broker.port, name, messages))
                else:
                    durable, lake = ours(folder / f"round{turn}", broker.port, name, messages)
                    stored.append(durable)
                    lakes.append(lake)
    plain = statistics.median(consumers)
    return {
        "messages": messages,
        "rounds": rounds,
        "bare_per_s": round(plain),
        "durable_and_acknowledged_per_s": round(statistics.median(stored)),
        "committed_per_s": round(statistics.median(lakes)),
        "durable_to_bare": round(statistics.median(stored) / plain, 2),
        "committed_to_bare": round(statistics.median(lakes) / plain, 2),
    }


def values(folder: Path, seconds: float, per_second: float) -> dict[str, float]:
    """Publish ten values per message at a steady rate, into the committed lake."""
    count = int(seconds * per_second / 10)
    with Broker(folder / "broker") as broker:
        process = Process(folder, broker.url)
        process.start()
        quiet(process, 0.5)
        begun = time.monotonic()
        taken = Flood(broker.port, ten_values, rate=per_second / 10).send(count)
        took = time.monotonic() - begun
        process.wait_until(taken * 10, 60)
        behind = time.monotonic() - begun - took
        process.stop()
    status = process.status()
    memory = [line["rss_mb"] for line in status]
    half = memory[len(memory) // 2 :]
    found = committed(folder)
    return {
        "values": taken * 10,
        "values_per_s": round(taken * 10 / took),
        "behind_s": round(behind, 2),
        "lost": sum(1 for value in range(taken * 10) if not found[value]),
        "doubled": sum(1 for times in found.values() if times > 1),
        "rss_mb_half": half[0] if half else 0,
        "rss_mb_end": memory[-1],
        "rss_mb_most": max(memory),
        "cpu_share": round(status[-1]["cpu"] / took, 2),
    }


def crash(folder: Path, messages: int, kills: int, restarts: int, seed: int, *, per_second: float = 4_000) -> dict[str, float]:
    """Kill the collector, restart the broker, and fill the disk, while messages come."""
    dice = random.Random(seed)
    with Broker(folder / "broker") as broker, _small_disk(folder / "disk") as disk:
        process = Process(folder / "disk", broker.url, "identity=payload")
        process.start()
        quiet(process, 0.3)
        flood = Flood(broker.port, one_value, rate=per_second)
        sender = threading.Thread(target=flood.send, args=(messages,), kwargs={"patience": 120})
        sender.start()
        acts = ["kill"] * kills + ["restart"] * restarts + ["full"]
        dice.shuffle(acts)
        done: Counter[str] = Counter()
        for at, act in enumerate(acts):
            wanted = messages * (at + dice.random()) / len(acts)
            while flood.taken < wanted and sender.is_alive():
                time.sleep(0.01)
            done[act] += 1
            if act == "kill":
                process.kill()
                time.sleep(dice.random() * 0.3)
                process.start()
                time.sleep(dice.random() * 2)
            elif act == "restart":
                broker.restart()
            else:
                _fill_disk(folder / "disk", disk, 1.5 if disk else 0.0)
        sender.join()
        process.wait_until(0, 60)
        quiet(process, 3)
        process.stop()
        found = committed(folder / "disk")
        gaps = ledger(folder / "disk")
    return {
        "messages": messages,
        "taken_by_broker": flood.taken,
        "sent_again": flood.resent,
        "committed": len(found),
        "lost": sum(1 for number in range(flood.taken) if not found[number]),
        "doubled": sum(1 for times in found.values() if times > 1),
        "kills": done["kill"],
        "restarts": done["restart"],
        "disk_full": int(disk),
        "gaps": len(gaps),
        "gaps_disk_full": sum(gap.cause == "disk_full" for gap in gaps),
        "gaps_overflow": sum(gap.cause == "broker_overflow" for gap in gaps),
    }


@contextlib.contextmanager
def _small_disk(folder: Path, size: str = "400m") -> Iterator[bool]:
    """Mount a disk of its own, where that is allowed (as root on Linux)."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _fill_disk(folder: Path, disk: bool, seconds: float) -> None:
    """Leave no byte free for a while."""
    if not disk:
        return
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(1 << 16))
    time.sleep(seconds)
    ballast.unlink()
